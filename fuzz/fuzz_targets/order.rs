//! See `fuzz/src/checks/order.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| claviger_fuzz::checks::order::check(bytes));
