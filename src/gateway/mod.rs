//! The gateway: routes of the policy, to the upstream or to the embedded records, and what an `Idempotency-Key` makes of a write.
//!
//! `store*.rs` runs in a turn of the credential's object; of records, in one of the workspace's.
//!
//! Begin with `api.rs`: the whole way of one call.

pub mod api;
pub mod api_records;
pub mod forward;
pub mod once;
pub mod preconditions;
pub mod store_answers;
pub mod store_once;
pub mod store_record_room;
pub mod store_records;
pub mod tokens;
