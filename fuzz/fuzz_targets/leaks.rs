//! See `fuzz/src/checks/leaks.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| claviger_fuzz::checks::leaks::check(bytes));
