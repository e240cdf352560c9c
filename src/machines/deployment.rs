//! The object of a whole deployment: the lists of its workspaces and of its deploy keys, its own audit chain, the checkpoints of theirs,
//! and the keys that sign assertions. On no ordinary request's path: isolates fetch those keys about once a minute.

use crate::{
    assertion,
    audit::{self, Ask, Checkpoint, Page, Report},
    codec::time::Timestamp,
    deploy_keys,
    error::Reason,
    object::machine::{Machine, MemoryUpdate, Range, Step, Turn},
    value::id::WorkspaceId,
    wire,
    workspaces::store_plan::WorkspacePlan,
};

const WORKSPACES: &str = "workspace/";
/// Rows of other chains' checkpoints, by chain.
const HELD: &str = "held/";

/// Checkpoints that are kept of each workspace: ten days of one an hour. Each one covers all that was before it.
const MAX_HELD: usize = 240;

/// See the module.
#[derive(Default)]
pub struct Deployment;

/// What the object can be asked.
pub enum Command {
    /// Workspaces by id, after this one.
    ListWorkspaces(Option<WorkspaceId>, usize),
    /// A workspace was made, with the event for the chain; or it changed.
    Register(WorkspaceRecord, Option<Report>),
    /// A page of the audit chain.
    ReadAudit(Ask),
    /// Another object tells an event.
    Report(Report),
    /// Another chain's head was signed.
    Keep(Checkpoint),
    /// The checkpoints of that chain.
    Kept(String),
    /// Something about deploy keys.
    DeployKeys(Box<deploy_keys::store::Command>),
    /// Something about the keys that sign assertions.
    AssertionKeys(assertion::store::Command),
    /// Is there such a workspace?
    Knows(WorkspaceId),
}

wire!(enum Command {
    0 ListWorkspaces(a, b), 1 Register(a, b), 2 ReadAudit(a), 3 Report(a), 4 Keep(a), 5 Kept(a), 6 DeployKeys(a),
    7 AssertionKeys(a), 10 Knows(a),
});

/// What the object answers.
pub enum Reply {
    /// Done; or known already.
    Done,
    /// Workspaces.
    Workspaces(Vec<WorkspaceRecord>),
    /// Events.
    Audit(Box<Page>),
    /// Checkpoints, oldest first.
    Checkpoints(Vec<Checkpoint>),
    /// To what was about deploy keys.
    DeployKeys(deploy_keys::store::Reply),
    /// To what was about the keys that sign assertions.
    AssertionKeys(assertion::store::Reply),
    /// Whether it is in the list.
    Listed(bool),
}

wire!(enum Reply { 0 Done, 1 Workspaces(a), 2 Audit(a), 3 Checkpoints(a), 4 DeployKeys(a), 5 AssertionKeys(a), 8 Listed(a) });

/// A workspace in the list.
#[derive(Clone, Debug)]
pub struct WorkspaceRecord {
    /// Which one.
    pub id: WorkspaceId,
    /// What people call it.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// The tier of credentials that ask for none.
    pub default_tier: Option<String>,
    /// Grows with every change; none: it never changed. The list ignores what is older than what it has.
    pub version: Option<u64>,
    /// What its own credentials may grant; none: it has no plan of its own. The workspace itself keeps it in a row apart.
    pub plan: Option<WorkspacePlan>,
}

wire!(WorkspaceRecord { id, name, created_at, default_tier, version, plan });

impl Machine for Deployment {
    const BINDING: &'static str = "DEPLOYMENT_OBJECT";
    type Command = Command;
    type Reply = Reply;

    fn handle(&self, command: Command, turn: &mut Turn) -> Result<Step<Self>, Reason> {
        let reply = match command {
            Command::Register(record, report) => {
                register(&record, turn)?;
                report.map_or(Ok(()), |report| audit::receive(report, turn))?;
                Reply::Done
            }
            Command::ListWorkspaces(after, limit) => {
                let after = after.map(|id| format!("{WORKSPACES}{id}"));
                let range = Range { prefix: WORKSPACES, after: after.as_deref(), reverse: false, limit };
                Reply::Workspaces(turn.list_readable(&range)?.into_iter().map(|(_, record)| record).collect())
            }
            Command::ReadAudit(ask) => Reply::Audit(Box::new(audit::read(&ask, turn)?)),
            Command::Report(report) => audit::receive(report, turn).map(|()| Reply::Done)?,
            Command::DeployKeys(command) => Reply::DeployKeys(deploy_keys::store::handle(*command, turn)?),
            Command::AssertionKeys(command) => Reply::AssertionKeys(assertion::store::handle(command, turn)?),
            Command::Knows(id) => Reply::Listed(turn.has(&format!("{WORKSPACES}{id}"))?),
            Command::Keep(checkpoint) => keep(&checkpoint, turn)?,
            Command::Kept(chain) => {
                let kept = kept(&chain, turn)?.into_iter().map(|(_, checkpoint)| checkpoint);
                Reply::Checkpoints(kept.collect())
            }
        };
        Ok(Step::reply(reply))
    }

    fn wake(&self, turn: &mut Turn) -> Result<MemoryUpdate<Self>, Reason> {
        deploy_keys::store::wake(turn)?;
        audit::wake(turn).map(|_| None)
    }
}

/// Messages may come twice and late: an older name does not come back.
fn register(record: &WorkspaceRecord, turn: &mut Turn) -> Result<(), Reason> {
    let key = format!("{WORKSPACES}{}", record.id);
    let known: Option<WorkspaceRecord> = turn.get(&key)?;
    if known.is_none_or(|known| known.version < record.version) {
        turn.put(key, record);
    }
    Ok(())
}

/// What is kept is not replaced: two signatures under one event that differ are evidence.
fn keep(checkpoint: &Checkpoint, turn: &mut Turn) -> Result<Reply, Reason> {
    let key = format!("{HELD}{}/{:015}", checkpoint.chain, checkpoint.seq);
    if turn.get::<Checkpoint>(&key)?.is_none() {
        let kept = kept(&checkpoint.chain, turn)?;
        if let Some((oldest, _)) = kept.first().filter(|_| kept.len() >= MAX_HELD) {
            turn.delete(oldest.as_str());
        }
        turn.put(key, checkpoint);
    }
    Ok(Reply::Done)
}

fn kept(chain: &str, turn: &Turn) -> Result<Vec<(String, Checkpoint)>, Reason> {
    let prefix = format!("{HELD}{chain}/");
    turn.list_readable(&Range { prefix: &prefix, after: None, reverse: false, limit: MAX_HELD })
}
