//! See `fuzz/src/checks/limit.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| claviger_fuzz::checks::limit::check(bytes));
