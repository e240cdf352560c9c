//! See `fuzz/src/checks/document.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| claviger_fuzz::checks::document::check(bytes));
