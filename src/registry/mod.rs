//! What we know of credentials and workspaces, and the objects that know it.

mod command;
pub mod credential;
pub mod deployment;
mod listing;
pub mod record;
pub mod tally;
pub mod witness;
pub mod workspace;
