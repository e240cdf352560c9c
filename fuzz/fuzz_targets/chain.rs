//! See `fuzz/src/checks/chain.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| claviger_fuzz::checks::chain::check(bytes));
