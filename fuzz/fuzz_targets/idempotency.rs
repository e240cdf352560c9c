//! See `fuzz/src/checks/idempotency.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| claviger_fuzz::checks::idempotency::check(bytes));
