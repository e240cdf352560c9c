//! See `fuzz/src/checks/id.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| claviger_fuzz::checks::id::check(bytes));
