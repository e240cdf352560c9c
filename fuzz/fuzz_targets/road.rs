//! See `fuzz/src/checks/road.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| claviger_fuzz::checks::road::check(bytes));
