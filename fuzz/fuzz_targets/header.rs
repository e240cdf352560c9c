//! See `fuzz/src/checks/header.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| claviger_fuzz::checks::header::check(bytes));
