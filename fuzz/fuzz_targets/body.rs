//! See `fuzz/src/checks/body.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| claviger_fuzz::checks::body::check(bytes));
