//! See `fuzz/src/checks/url.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| claviger_fuzz::checks::url::check(bytes));
