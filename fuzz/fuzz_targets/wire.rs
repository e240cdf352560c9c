//! See `fuzz/src/checks/wire.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| claviger_fuzz::checks::wire::check(bytes));
