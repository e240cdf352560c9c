//! The object of one workspace: its control plane. It knows every credential and conversation, and tells the objects that
//! admit whenever one changes.

use super::{
    credential::{self, Credential, SHARDS, shard_name},
    deployment::{self, Deployment, WorkspaceRecord},
    identity, listing,
    record::{CredentialRecord, Overlap, SecretRecord, Status},
};
use crate::{
    error::Reason,
    id::{ConversationId, CredentialId, Environment},
    machine::{Machine, Step, Turn},
    origin::Origin,
    replay::{self, RetryKey},
    time::Timestamp,
    wire,
};

pub use super::note::ConversationNote;

const INFO: &str = "info";
/// Rows of credentials.
pub const CREDENTIALS: &str = "credential/";
/// Rows of conversations.
pub const CONVERSATIONS: &str = "conversation/";

/// Credentials that can ever be made in a workspace, revoked ones included: a listing stays bounded, and a leaked deploy key
/// cannot fill the disk.
const MAX_CREDENTIALS: usize = 10_000;
const CREDENTIAL_COUNT: &str = "credential-count";

/// See the module.
#[derive(Default)]
pub struct Workspace;

/// What the object can be asked.
pub enum Command {
    /// Make this workspace, known to the deployment of that name.
    Create(WorkspaceRecord, String),
    /// What is this workspace?
    Describe,
    /// A credential was made by the caller, who may do so.
    CreateCredential(Box<CredentialRecord>, Option<RetryKey>),
    /// One credential.
    ReadCredential(CredentialId),
    /// Credentials, newest first.
    ListCredentials(ListCredentials),
    /// Change what can be changed.
    ChangeCredential(CredentialId, Change),
    /// Hand out another secret; the old one overlaps for so many seconds.
    RotateCredential(CredentialId, SecretRecord, u64),
    /// End a credential, for this reason.
    RevokeCredential(CredentialId, Option<String>),
    /// A shard saw a credential in use.
    CredentialUsed(CredentialId, Timestamp),
    /// A conversation began, or changed its state.
    NoteConversation(ConversationNote),
    /// Visitors wrote in these conversations, then: a shard tells of many at a time.
    ConversationsWrote(Vec<(ConversationId, Timestamp)>),
    /// Conversations, newest first.
    ListConversations {
        /// Only of this environment.
        environment: Option<Environment>,
        /// Older than this one.
        after: Option<ConversationId>,
        /// At most so many.
        limit: usize,
    },
    /// Something about identity secrets.
    Identity(identity::Command),
}

wire!(enum Command {
    0 Create(a, b), 1 Describe, 2 CreateCredential(a, b), 3 ReadCredential(a), 4 ListCredentials(a),
    5 ChangeCredential(a, b), 6 RotateCredential(a, b, c), 7 RevokeCredential(a, b),
    8 CredentialUsed(a, b), 9 NoteConversation(a),
    10 ListConversations { environment, after, limit }, 11 Identity(a), 12 ConversationsWrote(a),
});

/// Which credentials.
pub struct ListCredentials {
    /// Only with this status.
    pub status: Option<String>,
    /// Older than this one.
    pub after: Option<CredentialId>,
    /// At most so many.
    pub limit: usize,
}

wire!(ListCredentials { status, after, limit });

/// What changes; `None` stays as it is.
#[derive(Default)]
pub struct Change {
    /// What people call it.
    pub name: Option<String>,
    /// Where it may be used from.
    pub origins: Option<Vec<Origin>>,
    /// Its end.
    pub expires_at: Option<Expiry>,
}

wire!(Change { name, origins, expires_at });

/// When a credential ends.
#[derive(Clone, Copy)]
pub enum Expiry {
    /// At this moment.
    At(Timestamp),
    /// Not by itself.
    Never,
}

wire!(enum Expiry { 0 At(a), 1 Never });

/// What the object answers.
pub enum Reply {
    /// Done; or known already.
    Done,
    /// The workspace.
    Workspace(WorkspaceRecord),
    /// One credential.
    Credential(Box<CredentialRecord>),
    /// The credential that an earlier request with the same `Idempotency-Key` made.
    Known(Box<CredentialRecord>),
    /// Credentials, and where to go on.
    Credentials(Vec<CredentialRecord>, Option<CredentialId>),
    /// Conversations, and where to go on.
    Conversations(Vec<ConversationNote>, Option<ConversationId>),
    /// To what was about identity secrets.
    Identity(identity::Reply),
}

wire!(enum Reply {
    0 Done, 1 Workspace(a), 2 Credential(a), 3 Credentials(a, b), 4 Conversations(a, b), 5 Known(a), 6 Identity(a) });

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
            (Command::Create(record, deployment), None) => create(record, &deployment, turn)?,
            (_, None) => return Err(Reason::NotFound),
            (Command::Describe, Some(info)) => Reply::Workspace(info),
            (command, Some(_)) => answer(command, turn)?,
        };
        Ok(Step::reply(reply))
    }
}

fn create(record: WorkspaceRecord, deployment: &str, turn: &mut Turn) -> Result<Reply, Reason> {
    turn.put(INFO, &record);
    turn.send::<Deployment>(deployment, &deployment::Command::Register(record.clone()))?;
    turn.await_delivery();
    Ok(Reply::Workspace(record))
}

fn answer(command: Command, turn: &mut Turn) -> Result<Reply, Reason> {
    match command {
        Command::Create(..) | Command::Describe => Ok(Reply::Done),
        Command::CreateCredential(record, retry) => {
            if let Some(made) = retry.as_ref().map(|key| replay::find(key, turn)).transpose()?.flatten() {
                // Told again: the request that made it may have been answered before every shard knew.
                let record: Box<CredentialRecord> = turn.get(&made)?.ok_or(Reason::Unreadable(made))?;
                tell_shards(&record, turn)?;
                return Ok(Reply::Known(record));
            }
            let count = turn.get::<usize>(CREDENTIAL_COUNT)?.unwrap_or_default();
            if count >= MAX_CREDENTIALS {
                return Err(Reason::Conflict(format!("In this workspace {count} credentials were made already.")));
            }
            turn.put(CREDENTIAL_COUNT, &(count + 1));
            if let Some(key) = &retry {
                replay::remember(key, credential_key(&record.id), turn)?;
            }
            publish(*record, turn)
        }
        Command::ReadCredential(id) => find(&id, turn).map(|record| Reply::Credential(Box::new(record))),
        Command::ListCredentials(list) => listing::credentials(&list, turn),
        Command::ChangeCredential(id, change) => {
            let mut record = find_living(&id, turn)?;
            if let Some(name) = change.name {
                record.name = name;
            }
            if let Some(origins) = change.origins {
                record.origins = origins;
            }
            if let Some(expires_at) = change.expires_at {
                record.expires_at = match expires_at {
                    Expiry::At(moment) => Some(moment),
                    Expiry::Never => None,
                };
            }
            publish(record, turn)
        }
        Command::RotateCredential(id, secret, overlap_seconds) => {
            let mut record = find_living(&id, turn)?;
            let replaced = std::mem::replace(&mut record.current, secret);
            // At most two secrets live: whatever overlapped before ends now.
            let until = turn.at().plus_seconds(overlap_seconds);
            record.previous = Some(Overlap { secret: replaced, until });
            publish(record, turn)
        }
        Command::RevokeCredential(id, reason) => {
            let mut record = find(&id, turn)?;
            if record.revoked_at.is_none() {
                record.revoked_at = Some(turn.at());
                record.revoked_reason = reason;
                return publish(record, turn);
            }
            // Told again, so that a repeated call that answers 200 is true everywhere.
            tell_shards(&record, turn)?;
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
        Command::NoteConversation(note) => listing::note(note, turn),
        Command::ConversationsWrote(wrote) => listing::note_writers(wrote, turn),
        Command::ListConversations { environment, after, limit } => {
            listing::conversations(environment, after, limit, turn)
        }
        Command::Identity(command) => identity::handle(command, turn).map(Reply::Identity),
    }
}

/// Stores a new version and tells every shard before the answer goes.
fn publish(mut record: CredentialRecord, turn: &mut Turn) -> Result<Reply, Reason> {
    record.version += 1;
    turn.put(credential_key(&record.id), &record);
    tell_shards(&record, turn)?;
    Ok(Reply::Credential(Box::new(record)))
}

fn tell_shards(record: &CredentialRecord, turn: &mut Turn) -> Result<(), Reason> {
    for shard in 0..SHARDS {
        let store = credential::Command::Store(record.shard());
        turn.send::<Credential>(&shard_name(&record.id, shard), &store)?;
    }
    turn.await_delivery();
    Ok(())
}

fn credential_key(id: &CredentialId) -> String {
    format!("{CREDENTIALS}{id}")
}

fn find(id: &CredentialId, turn: &Turn) -> Result<CredentialRecord, Reason> {
    turn.get(&credential_key(id))?.ok_or(Reason::NotFound)
}

/// What was revoked cannot be changed back into life; what only expired can.
fn find_living(id: &CredentialId, turn: &Turn) -> Result<CredentialRecord, Reason> {
    let record = find(id, turn)?;
    match record.status(turn.at()) {
        Status::Revoked => Err(Reason::Conflict("This credential was revoked.".to_owned())),
        Status::Active | Status::Expired | Status::Expiring => Ok(record),
    }
}
