//! See `fuzz/src/checks/scan.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| claviger_fuzz::checks::scan::check(bytes));
