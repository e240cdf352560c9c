//! What we know of credentials and workspaces, and the objects that know it.

pub mod credential;
pub mod deployment;
mod listing;
mod metering;
pub mod record;
pub mod workspace;
