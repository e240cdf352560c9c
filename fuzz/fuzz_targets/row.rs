//! See `fuzz/src/checks/row.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| claviger_fuzz::checks::row::check(bytes));
