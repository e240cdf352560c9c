//! See `fuzz/src/checks/arguments.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| claviger_fuzz::checks::arguments::check(bytes));
