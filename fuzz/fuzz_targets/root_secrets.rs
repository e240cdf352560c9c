//! See `fuzz/src/checks/root_secrets.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| claviger_fuzz::checks::root_secrets::check(bytes));
