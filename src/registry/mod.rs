//! What we know of credentials and workspaces, and the objects that know it.

pub mod bulk;
pub mod command;
pub mod credential;
pub mod deploy_command;
pub mod deploy_key;
pub mod deploy_keys;
pub mod deploy_record;
pub mod deployment;
pub mod identity;
pub mod kept;
pub mod key;
mod listing;
mod meter;
mod metering;
mod note;
pub mod once;
mod place;
pub mod record;
pub mod record_name;
pub mod records;
pub mod settings;
pub mod tally;
pub mod usage;
pub mod witness;
pub mod workspace;
