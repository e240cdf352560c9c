//! See `fuzz/src/checks/time.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| claviger_fuzz::checks::time::check(bytes));
