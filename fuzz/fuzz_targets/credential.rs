//! See `fuzz/src/checks/credential.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| claviger_fuzz::checks::credential::check(bytes));
