//! Deploy keys under `/v1/credentials`: the keys of operators.
//!
//! `api.rs` asks the deployment's object; `store.rs` runs in its turn.
//!
//! Begin with `store.rs`: made here, or made offline and then used.

pub mod api;
pub mod store;
pub mod view;
