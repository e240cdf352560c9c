//! The object of one workspace: its control plane. It knows every credential and conversation, and tells the objects that
//! admit whenever one changes.

pub use crate::protocol::{
    conversation_note::ConversationNote,
    workspace::{Change, Command, Expiry, ListCredentials, Reply},
};

use super::{
    credential::{self, Credential, SHARDS, shard_name},
    deployment::{self, Deployment, WorkspaceRecord},
};
use crate::{
    audit::{self, Act, By, Entry},
    conversations,
    credentials::{
        self,
        store::{Facts, Room},
    },
    error::Reason,
    gateway, identity, leaks,
    object::{
        idempotency,
        machine::{Machine, MemoryUpdate, Step, Turn, next},
    },
    protocol::credential_record::{CredentialRecord, Status},
    value::id::CredentialId,
    workspaces,
};

pub(crate) const INFO: &str = "info";
/// The name of the deployment that knows this workspace.
pub(crate) const DEPLOYMENT: &str = "deployment";
/// Rows of credentials.
pub const CREDENTIALS: &str = "credential/";
/// Rows of conversations.
pub const CONVERSATIONS: &str = "conversation/";

/// The room of credentials.
pub(crate) const ROOM: Room = Room {
    rows: CREDENTIALS,
    kinds: &["sk_", "st_", "wk_"],
    total: "credential-count",
    counts: "credential-counts",
    made: Some("credential-made/"),
    ends: "credential-end/",
    forgotten: "credential-forgotten/",
    read: |row, turn| Ok(turn.get::<CredentialRecord>(row)?.map(|record| facts(&record))),
};

/// See the module.
#[derive(Default)]
pub struct Workspace;

impl Machine for Workspace {
    const BINDING: &'static str = "WORKSPACE";
    type Command = Command;
    type Reply = Reply;

    fn handle(&self, command: Command, turn: &mut Turn) -> Result<Step<Self>, Reason> {
        let info: Option<WorkspaceRecord> = turn.get(INFO)?;
        let reply = match (command, info) {
            (Command::Create(..), Some(_)) => {
                return Err(Reason::Conflict("There is a workspace with this id already.".to_owned()));
            }
            (Command::Create(record, deployment, by), None) => create(record, &deployment, by, turn)?,
            (_, None) => return Err(Reason::NotFound),
            (Command::Describe, Some(info)) => {
                Reply::Workspace(WorkspaceRecord { plan: workspaces::store_plan::stored(turn)?, ..info })
            }
            (command, Some(info)) => answer(command, &info, turn)?,
        };
        Ok(Step::reply(reply))
    }

    /// The head of the audit chain is signed, and the deployment keeps a copy.
    fn wake(&self, turn: &mut Turn) -> Result<MemoryUpdate<Self>, Reason> {
        credentials::store_revoke_many::wake(turn)?;
        gateway::store_answers::wake(turn)?;
        conversations::store_retention::wake(turn)?;
        ROOM.wake(turn)?;
        workspaces::store_pages::wake(turn)?;
        gateway::store_record_room::wake(turn)?;
        if let Some(checkpoint) = audit::wake(turn)?
            && let Some(deployment) = turn.get::<String>(DEPLOYMENT)?
        {
            turn.send::<Deployment>(&deployment, &deployment::Command::Keep(checkpoint))?;
        }
        Ok(None)
    }
}

/// Recorded twice: in the workspace's own chain, and in the deployment's.
fn create(record: WorkspaceRecord, deployment: &str, by: By, turn: &mut Turn) -> Result<Reply, Reason> {
    turn.put(INFO, &WorkspaceRecord { plan: None, ..record.clone() });
    if let Some(plan) = &record.plan {
        turn.put(workspaces::store_plan::PLAN, plan);
    }
    turn.put(DEPLOYMENT, &deployment.to_owned());
    ROOM.begin(turn);
    workspaces::store_pages::begin(turn);
    gateway::store_record_room::begin(turn);
    note(&record, Act::WorkspaceCreate, by.clone(), record.id.as_str(), turn)?;
    let entry = Entry::done(Act::WorkspaceCreate, by, record.id.as_str(), turn.at());
    let source = audit::workspace(record.id.as_str());
    let report = audit::Report::new(audit::deployment(deployment), source, entry, turn)?;
    turn.send::<Deployment>(deployment, &deployment::Command::Register(record.clone(), Some(report)))?;
    turn.await_delivery();
    Ok(Reply::Workspace(record))
}

/// Records an act in the workspace's chain, in the transaction of the act.
fn note(info: &WorkspaceRecord, act: Act, by: By, target: &str, turn: &mut Turn) -> Result<(), Reason> {
    let entry = Entry::done(act, by, target, turn.at());
    audit::record(&audit::workspace(info.id.as_str()), entry, turn)
}

fn answer(command: Command, info: &WorkspaceRecord, turn: &mut Turn) -> Result<Reply, Reason> {
    if let Some(by) = command.by() {
        lives(by, turn)?;
    }
    match command {
        Command::Create(..) | Command::Describe => Ok(Reply::Done),
        Command::CreateCredential(mut record, retry, by) => {
            if let Some(made) = retry.as_ref().map(|key| idempotency::find(key, turn)).transpose()?.flatten() {
                // Told again: the request that made it may have been answered before every shard knew.
                let record: Box<CredentialRecord> = turn.get(&made)?.ok_or_else(forgotten)?;
                tell_shards(&record, turn)?;
                turn.await_delivery();
                return Ok(Reply::Known(record));
            }
            workspaces::store_plan::create(&mut record, &by, info, turn)?;
            ROOM.take(&record.id, record.environment, turn)?;
            if let Some(key) = &retry {
                idempotency::remember(key, credential_key(&record.id), turn)?;
            }
            note(info, Act::CredentialCreate, by, record.id.as_str(), turn)?;
            publish(*record, turn)
        }
        Command::ReadCredential(id) => find(&id, turn).map(|record| Reply::Credential(Box::new(record))),
        Command::ListCredentials(list) => workspaces::store_pages::credentials(list, turn),
        Command::ChangeCredential(id, mut change, by) => {
            let mut record = find_living(&id, turn)?;
            let (before, needs) = (record.clone(), change.needs.take().unwrap_or_default());
            let Some(members) = change.apply(&mut record) else {
                // Told again: the request that made it so may have been answered before every shard knew.
                tell_shards(&record, turn)?;
                turn.await_delivery();
                return Ok(Reply::Credential(Box::new(record)));
            };
            workspaces::store_plan::change(&before, &record, &needs, &by, info, turn)?;
            let entry = Entry::done(Act::CredentialChange, by, id.as_str(), turn.at());
            let entry = Entry { reason: Some(members), ..entry };
            audit::record(&audit::workspace(info.id.as_str()), entry, turn)?;
            publish(record, turn)
        }
        Command::RotateCredential(id, secret, overlap_seconds, by, unused) => {
            let mut record = find_living(&id, turn)?;
            // One that is at its end because its secret leaked gets another.
            if record.expires_at.is_some_and(|expires_at| expires_at <= turn.at()) {
                return Err(Reason::Conflict(
                    "This credential has expired: give it another expires_at first.".to_owned(),
                ));
            }
            workspaces::store_plan::hand_out(&record, &by, turn)?;
            note(info, Act::CredentialRotate, by, id.as_str(), turn)?;
            record.rotate(secret, overlap_seconds, unused.as_deref(), turn.at());
            publish(record, turn)
        }
        Command::RevokeMany(which, by) => credentials::store_revoke_many::revoke(which, by, turn)
            .map(|(remaining, until)| Reply::Remaining(remaining, until)),
        Command::RevokeCredential(id, reason, by) => {
            let record = find(&id, turn)?;
            if record.revoked_at.is_none() {
                let record = end(record, reason, by, turn)?;
                turn.await_delivery();
                return Ok(Reply::Credential(Box::new(record)));
            }
            // Told again, so that a repeated call that answers 200 is true everywhere.
            tell_shards(&record, turn)?;
            turn.await_delivery();
            Ok(Reply::Credential(Box::new(record)))
        }
        Command::CredentialUsed(id, at) => {
            let mut record = find(&id, turn)?;
            if record.last_used_at.is_none_or(|known| known < at) {
                record.last_used_at = Some(at);
                turn.put(credential_key(&id), &record);
            }
            Ok(Reply::Done)
        }
        Command::CredentialSighted(id, sighting) => {
            let mut record = find(&id, turn)?;
            if let Some(key) = &mut record.key
                && key.sighting.as_ref().is_none_or(|known| known.at < sighting.at)
            {
                key.sighting = Some(sighting);
                turn.put(credential_key(&id), &record);
            }
            Ok(Reply::Done)
        }
        Command::Leaked(leak) => leaks::store::handle(leak, info, turn),
        Command::FinishRotation(id, by) => finish_rotation(&id, by, info, turn),
        Command::FindMade(retry) => match idempotency::find(&retry, turn)? {
            Some(made) => turn.get(&made)?.map(Reply::Known).ok_or_else(forgotten),
            None => Ok(Reply::Done),
        },
        Command::KnowsConversation(id) => conversations::store_retention::knows(&id, turn).map(Reply::Listed),
        Command::NoteConversation(note) => {
            conversations::store_retention::plan(turn)?;
            workspaces::store_pages::note(note, turn)
        }
        Command::ForgetConversation { id, report, swept } => {
            conversations::store_retention::forget(&id, report, swept, turn)
        }
        Command::ConversationsWrote(wrote) => {
            conversations::store_retention::plan(turn)?;
            workspaces::store_pages::note_writers(wrote, turn)
        }
        Command::ListConversations { environment, after, limit, is_plain } => {
            conversations::store_retention::plan(turn)?;
            workspaces::store_pages::conversations(environment, after, limit, is_plain == Some(true), turn)
        }
        Command::Identity(command) => {
            identity::store::handle(command, &audit::workspace(info.id.as_str()), turn).map(Reply::Identity)
        }
        Command::Records(command) => gateway::store_records::handle(command, turn).map(Reply::Records),
        Command::ReadAudit(ask) => Ok(Reply::Audit(Box::new(audit::read(&ask, turn)?))),
        Command::Report(report) => {
            let environment = workspaces::store_pages::environment_of(&report.entry.by.actor, turn);
            audit::receive_of(environment, report, turn).map(|()| Reply::Done)
        }
        Command::ChangeWorkspace(change, by) => {
            workspaces::store_settings::change(change, info, by, turn).map(Reply::Workspace)
        }
    }
}

/// The old secret of a rotation ends now, wherever it is asked for; one that has ended is not ended twice.
fn finish_rotation(id: &CredentialId, by: By, info: &WorkspaceRecord, turn: &mut Turn) -> Result<Reply, Reason> {
    let mut record = find_living(id, turn)?;
    let at = turn.at();
    match &mut record.previous {
        Some(overlap) if overlap.until > at => (overlap.until, overlap.over) = (at, Some(true)),
        _ => {
            tell_shards(&record, turn)?;
            turn.await_delivery();
            return Ok(Reply::Credential(Box::new(record)));
        }
    }
    note(info, Act::CredentialRotateFinish, by, id.as_str(), turn)?;
    publish(record, turn)
}

/// Stores a new version and tells every shard before the answer goes.
fn publish(record: CredentialRecord, turn: &mut Turn) -> Result<Reply, Reason> {
    let record = store(record, turn)?;
    turn.await_delivery();
    Ok(Reply::Credential(Box::new(record)))
}

/// Ends a credential for good: stored, recorded, and told to every shard.
pub(crate) fn end(
    record: CredentialRecord,
    reason: Option<String>,
    by: By,
    turn: &mut Turn,
) -> Result<CredentialRecord, Reason> {
    let workspace = record.id.workspace().ok_or(Reason::NotFound)?;
    let entry = Entry::done(Act::CredentialRevoke, by, record.id.as_str(), turn.at());
    audit::record(&audit::workspace(workspace.as_str()), entry, turn)?;
    store(CredentialRecord { revoked_at: Some(turn.at()), revoked_reason: reason, ..record }, turn)
}

pub(crate) fn store(mut record: CredentialRecord, turn: &mut Turn) -> Result<CredentialRecord, Reason> {
    let known: Option<CredentialRecord> = turn.get(&credential_key(&record.id))?;
    ROOM.store(&record.id, known.as_ref().map(facts).as_ref(), &facts(&record), turn)?;
    record.version = next(record.version)?;
    turn.put(credential_key(&record.id), &record);
    tell_shards(&record, turn)?;
    Ok(record)
}

pub(crate) fn tell_shards(record: &CredentialRecord, turn: &mut Turn) -> Result<(), Reason> {
    if let (Some(name), Some(key)) = (record.key_object(), record.key_record(turn.at())) {
        return turn.send::<Credential>(&name, &credential::Command::StoreKey(Box::new(key)));
    }
    for shard in 0..SHARDS {
        let store = credential::Command::Store(record.shard(turn.at()));
        turn.send::<Credential>(&shard_name(&record.id, shard), &store)?;
    }
    Ok(())
}

fn credential_key(id: &CredentialId) -> String {
    ROOM.row(id)
}

/// What decides about a credential's room.
fn facts(record: &CredentialRecord) -> Facts {
    let ends_at = [record.revoked_at, record.ends_at()].into_iter().flatten().min();
    Facts { environment: record.environment, takes_room: true, ends_at, hashes: record.digests().copied().collect() }
}

fn forgotten() -> Reason {
    Reason::Conflict("The credential that this request made has ended, and is forgotten.".to_owned())
}

pub(crate) fn find(id: &CredentialId, turn: &Turn) -> Result<CredentialRecord, Reason> {
    turn.get(&credential_key(id))?.ok_or(Reason::NotFound)
}

/// A credential of the workspace's own may have ended since it was admitted: what is stored here is later than that.
fn lives(by: &By, turn: &Turn) -> Result<(), Reason> {
    let id = by.actor.split_once(':').and_then(|(_, id)| CredentialId::try_from(id.to_owned()).ok());
    match id.filter(|id| id.workspace().is_some()).map(|id| find(&id, turn)) {
        Some(Ok(record)) if record.revoked_at.is_some() => Err(Reason::CredentialRevoked),
        Some(Err(Reason::NotFound)) => Err(Reason::CredentialUnknown),
        Some(Err(reason)) => Err(reason),
        _ => Ok(()),
    }
}

/// What was revoked cannot be changed back into life; what only expired can.
fn find_living(id: &CredentialId, turn: &Turn) -> Result<CredentialRecord, Reason> {
    let record = find(id, turn)?;
    match record.status(turn.at()) {
        Status::Revoked => Err(Reason::Conflict("This credential was revoked: make another.".to_owned())),
        Status::Active | Status::Expired | Status::Expiring => Ok(record),
    }
}
