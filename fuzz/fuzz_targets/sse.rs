//! See `fuzz/src/checks/sse.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| claviger_fuzz::checks::sse::check(bytes));
