//! A call to the upstream: which headers pass both ways, the circuit breaker, and what reads the answer while it passes.
//!
//! Pure, but for what settles after an answer, which asks the credential's object.
//!
//! Begin with `request_headers.rs` and `answer_headers.rs`; `watch.rs` follows an answer.

pub mod answer_copy;
pub mod answer_headers;
pub mod answer_mapping;
pub mod breaker;
pub mod circuit_breaker;
pub mod header_family;
pub mod query;
pub mod request_headers;
pub mod route_breaker;
pub mod token_usage;
pub mod usage_reader;
pub mod watch;
pub mod websocket;
