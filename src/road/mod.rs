//! The one road of every request: parse, authenticate, authorize, meter, act, log. There is no second way in.
//!
//! It names every subject, and no subject names it but for its table of calls.
//!
//! Begin with `serve.rs`.

pub mod dispatch;
pub mod health;
pub mod public;
pub mod route;
pub mod serve;
