//! `POST /v1/leaks/github`: GitHub found texts that look like credentials. What is genuine and lives, ends.
//!
//! The one room that acts without `Admitted`: GitHub's signature over the report stands for it.
//!
//! Begin with `api.rs`.

pub mod api;
pub mod github;
pub mod store;
