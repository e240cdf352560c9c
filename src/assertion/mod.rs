//! `Claviger-Assertion`: who calls, signed so that the upstream can check it.
//!
//! Keys are made and used by the platform's cryptography; `store.rs` runs in a turn of the deployment's object.
//!
//! Begin with `sign.rs`.

pub mod key_cache;
pub mod sign;
pub mod store;
