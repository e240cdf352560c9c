//! Clients that ask what the gateway would decide: `/v1/verify` and `/v1/forward-auth`.
//!
//! The decision itself is `call/decide.rs`; here it is asked for and shown.
//!
//! Begin with `api_forward_auth.rs`.

pub mod api_forward_auth;
pub mod api_verify;
pub mod forwarded_call;
pub mod view;
