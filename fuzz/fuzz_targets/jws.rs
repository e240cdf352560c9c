//! See `fuzz/src/checks/jws.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| claviger_fuzz::checks::jws::check(bytes));
