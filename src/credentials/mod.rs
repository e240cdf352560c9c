//! `/v1/credentials`: credentials are made, listed, changed, rotated and revoked.
//!
//! `api*.rs` asks the workspace's object; `store*.rs` runs in its turn.
//!
//! Begin with `api_create.rs`.

pub mod api;
pub mod api_create;
pub mod api_last_used;
pub mod api_revoke_many;
pub mod api_rotate;
pub mod api_usage;
pub mod api_wildcard_origins;
pub mod fields;
pub mod issue;
pub mod store;
pub mod store_pages;
pub mod store_revoke_many;
pub mod view;
