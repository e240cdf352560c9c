//! Whoever only asks about a server key or service token, and what they may apply of it: their own workspace's, in their own
//! environment.

use super::server_key::{KeyRecord, Needs};
use crate::{
    error::Reason,
    value::id::{Environment, WorkspaceId},
    wire,
};

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Asking {
    /// The one workspace of whoever asks; none: any.
    pub workspace: Option<WorkspaceId>,
    /// The one environment of whoever asks; none: both.
    pub environment: Option<Environment>,
    /// A scope that is asked for beside what the call takes.
    pub scope: Option<Needs>,
}

wire!(Asking { workspace, environment, scope });

impl Asking {
    /// Whether a credential of this workspace and environment may be asked about at all.
    pub fn reaches(&self, workspace: Option<&WorkspaceId>, environment: Option<Environment>) -> Result<(), Reason> {
        if self.workspace.is_some() && self.workspace.as_ref() != workspace {
            return Err(Reason::WrongWorkspace);
        }
        if self.environment.is_some() && self.environment != environment {
            return Err(Reason::EnvironmentMismatch);
        }
        Ok(())
    }

    /// The same of one that is kept here: an error, so that nothing is counted and nothing is told.
    pub(crate) fn may_know(&self, record: &KeyRecord) -> Result<(), Reason> {
        self.reaches(record.id.workspace().as_ref(), Some(record.environment))
    }
}
