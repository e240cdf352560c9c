//! Every failure inside (`Reason`), every refusal outside (`Refusal`), and the one match between the two.
//!
//! It knows ids and limits by their text alone, so that every other room may fail with it.
//!
//! Begin with `reason.rs` for what can go wrong, and with `code.rs` for what a caller may rely on.

pub mod code;
pub mod near;
pub mod reason;
pub mod refusal;

pub use code::Code;
pub use reason::*;
