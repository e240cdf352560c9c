//! How much: exact sliding windows, tokens that are held, permits for leases, and the tiers that name limits.
//!
//! Pure numbers: the moment is always an argument.
//!
//! Begin with `window.rs`: `admit` is the one function that lets a call through a limit.

pub mod lease_size;
pub mod reservation;
pub mod tier;
pub mod window;
