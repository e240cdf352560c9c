//! What we know of credentials and workspaces, and the objects that know it.

pub mod asking;
pub mod assertion_keys;
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
pub mod leak;
pub mod leasing;
mod listing;
pub mod meter;
mod metering;
mod note;
mod place;
pub mod record;
pub mod settings;
pub mod tally;
pub mod tokens;
pub mod usage;
mod window;
pub mod witness;
pub mod workspace;
