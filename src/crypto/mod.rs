//! The key ring and what is signed or checked with its keys.
//!
//! Cryptography comes from RustCrypto crates, or is asked of the platform (`job.rs`); none is written here.
//!
//! Begin with `keyring.rs`: one sub-key for each purpose.

pub mod claims;
pub mod id_check;
pub mod job;
pub mod jwk;
pub mod jws;
pub mod jwt;
pub mod keyring;
pub mod purpose;
