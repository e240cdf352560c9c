//! The objects: which function answers which command.
//!
//! The only files that implement `Machine`, beside the conversation's.
//!
//! Begin with `credential.rs`.

pub mod credential;
pub mod deployment;
pub mod workspace;
