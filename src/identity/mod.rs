//! Identity secrets of a customer's servers, and the visitors that they vouch for.
//!
//! `store.rs` runs in a turn of the workspace's object. No secret is stored: each is derived from its id.
//!
//! Begin with `verify_visitor.rs`.

pub mod api;
pub mod store;
pub mod verify_visitor;
