//! See `fuzz/src/checks/origin.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| claviger_fuzz::checks::origin::check(bytes));
