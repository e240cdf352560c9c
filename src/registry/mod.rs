//! What we know of credentials and workspaces, and the objects that know it.

pub mod bulk;
mod command;
pub mod credential;
pub mod deployment;
pub mod identity;
mod listing;
mod metering;
mod note;
pub mod record;
pub mod tally;
pub mod witness;
pub mod workspace;
