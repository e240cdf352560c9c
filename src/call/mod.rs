//! What every call stands on: its request, its body, who makes it, the decision about it, and the reply.
//!
//! It runs in the isolate and may ask objects. It knows no subject's storage.
//!
//! Begin with `request.rs` and `authenticate.rs`; `decide.rs` is the decision that the gateway shares with introspection.

pub mod authenticate;
pub mod body;
pub mod body_arrival;
pub mod config;
pub mod cursor;
pub mod decide;
pub mod error_dialect;
pub mod header_list;
pub mod idempotency_key;
pub mod log;
pub mod meter;
pub mod network;
pub mod reply;
pub mod request;
