//! `/v1/workspaces` and `/v1/audit`: a workspace, its plan, its lists and its audit chain.
//!
//! `api*.rs` asks; `store*.rs` runs in a turn of the workspace's object.
//!
//! Begin with `api.rs`; what a workspace's own keys may grant is in `store_plan.rs`.

pub mod api;
pub mod api_audit;
pub mod api_known;
pub mod plan;
pub mod store_pages;
pub mod store_plan;
pub mod store_settings;
