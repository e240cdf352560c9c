//! What a request needs from outside, as values: calls to the upstream, documents that are fetched, the memory of an isolate.
//!
//! Types and budgets. Nothing here goes out: `edge/` does that.
//!
//! Begin with `upstream.rs`.

pub mod fetch;
pub mod isolate;
pub mod memory_budget;
pub mod upstream;
