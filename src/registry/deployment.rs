//! The object of a whole deployment: the list of its workspaces. On no ordinary request's path.

use crate::{
    error::Reason,
    id::WorkspaceId,
    machine::{Machine, Range, Step, Turn},
    time::Timestamp,
    wire,
};

const WORKSPACES: &str = "workspace/";

/// See the module.
#[derive(Default)]
pub struct Deployment;

/// What the object can be asked.
pub enum Command {
    /// Workspaces by id, after this one.
    ListWorkspaces(Option<WorkspaceId>, usize),
    /// A workspace was made.
    Register(WorkspaceRecord),
}

wire!(enum Command { 0 ListWorkspaces(a, b), 1 Register(a) });

/// A workspace in the list.
#[derive(Clone, Debug)]
pub struct WorkspaceRecord {
    /// Which one.
    pub id: WorkspaceId,
    /// What people call it.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

wire!(WorkspaceRecord { id, name, created_at });

impl Machine for Deployment {
    const BINDING: &'static str = "DEPLOYMENT_OBJECT";
    type Command = Command;
    type Reply = Vec<WorkspaceRecord>;

    fn handle(&self, command: Command, turn: &mut Turn) -> Result<Step<Self>, Reason> {
        let reply = match command {
            Command::Register(record) => {
                turn.put(format!("{WORKSPACES}{}", record.id), &record);
                Vec::new()
            }
            Command::ListWorkspaces(after, limit) => {
                let after = after.map(|id| format!("{WORKSPACES}{id}"));
                let range = Range { prefix: WORKSPACES, after: after.as_deref(), reverse: false, limit };
                turn.list_readable(&range)?.into_iter().map(|(_, record)| record).collect()
            }
        };
        Ok(Step::reply(reply))
    }
}
