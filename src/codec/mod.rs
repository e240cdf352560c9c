//! How values are written and read: rows and messages (CBOR), base62, moments, secrets, event streams.
//!
//! The lowest room: it names no other one.
//!
//! Begin with `cbor.rs`: `wire!` makes a type storable, and says what may change about it later.

pub mod base62;
pub mod cbor;
pub mod kind;
pub mod p256_der;
pub mod raw_object;
pub mod secret;
pub mod sse;
pub mod time;
pub mod values;
pub mod work;
