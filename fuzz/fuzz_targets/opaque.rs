//! See `fuzz/src/checks/opaque.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| claviger_fuzz::checks::opaque::check(bytes));
