//! Words of the domain, parsed once and trusted afterwards: ids, scopes, origins, addresses.
//!
//! Pure: a value is sound, or it does not exist.
//!
//! Begin with `id.rs`.

pub mod address;
pub mod id;
pub mod origin;
pub mod public_suffix;
pub mod scope;
