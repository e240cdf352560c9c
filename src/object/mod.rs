//! State. An object hosts one machine, which decides one command in one turn; its host writes all changes of the turn in one transaction, or none.
//!
//! A turn reads rows and collects changes. It has no clock, no randomness, and waits for nothing.
//!
//! Begin with `machine.rs`: `Machine`, `Turn`, and `World`, which is all that a request may ask of the outside.

pub mod host;
pub mod idempotency;
pub mod machine;
pub mod outbox;
