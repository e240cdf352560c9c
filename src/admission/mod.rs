//! What the object of a credential does: it admits, counts, and tells its workspace and the audit.
//!
//! Everything runs inside one turn of that object.
//!
//! Begin with `server_key.rs`: one turn authenticates a server key, allows the call and counts it.

pub mod deploy_key;
pub mod introspection;
pub mod judge;
pub mod key_meter;
pub mod lease;
pub mod locator_reservation;
pub mod minute_counts;
pub mod server_key;
pub mod shard_meter;
pub mod stored_window;
pub mod token_holds;
pub mod usage;
pub mod use_reports;
pub mod visit_refusals;
