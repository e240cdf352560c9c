//! What we know of credentials and workspaces, and the objects that know it.

pub mod asking;
pub mod bulk;
pub mod command;
pub mod credential;
pub mod deploy_command;
pub mod deploy_key;
pub mod deploy_keys;
pub mod deploy_record;
pub mod deployment;
pub mod identity;
pub mod key;
mod listing;
mod meter;
mod metering;
mod note;
mod place;
pub mod record;
pub mod settings;
pub mod tally;
pub mod usage;
pub mod witness;
pub mod workspace;
