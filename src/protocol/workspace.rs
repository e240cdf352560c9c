//! What a workspace's object is asked, and what it answers.

use super::{
    conversation_note::ConversationNote,
    credential_record::{CredentialRecord, SecretRecord, Sighting},
};
use crate::{
    admission::server_key::Needs,
    audit::{Ask, By, Page, Report},
    codec::{kind::CredentialKind, time::Timestamp},
    credentials, gateway, identity,
    leaks::store::Leak,
    limits::tier::Numbers,
    machines::deployment::WorkspaceRecord,
    object::idempotency::RetryKey,
    value::{
        address::AddressRange,
        id::{ConversationId, CredentialId, Environment},
        origin::Origin,
        scope::Scope,
    },
    wire,
    workspaces::store_settings::Settings,
};

/// What the object can be asked.
pub enum Command {
    /// Make this workspace, known to the deployment of that name.
    Create(WorkspaceRecord, String, By),
    /// What is this workspace?
    Describe,
    /// A credential was made by the caller, who may do so.
    CreateCredential(Box<CredentialRecord>, Option<RetryKey>, By),
    /// One credential.
    ReadCredential(CredentialId),
    /// Credentials, newest first.
    ListCredentials(ListCredentials),
    /// Change what can be changed.
    ChangeCredential(CredentialId, Change, By),
    /// Hand out another secret; the old one overlaps for so many seconds. The hint of the secret of today, where nobody has
    /// ever used that: then what overlaps is the one before, which everybody uses.
    RotateCredential(CredentialId, SecretRecord, u64, By, Option<String>),
    /// End a credential, for this reason.
    RevokeCredential(CredentialId, Option<String>, By),
    /// End many credentials.
    RevokeMany(credentials::store_revoke_many::Which, By),
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
        /// The id is a cursor of an earlier version: it is looked up first, since the caller may have made it up.
        is_plain: Option<bool>,
    },
    /// A page of the audit chain.
    ReadAudit(Ask),
    /// Another object tells an event.
    Report(Report),
    /// Something about identity secrets.
    Identity(identity::store::Command),
    /// A server's credential was seen in a browser.
    CredentialSighted(CredentialId, Sighting),
    /// The old secret of a rotation ends now.
    FinishRotation(CredentialId, By),
    /// What did an earlier request with this key make?
    FindMade(RetryKey),
    /// Change the workspace itself.
    ChangeWorkspace(Settings, By),
    /// A secret was found where anybody can read it.
    Leaked(Leak),
    /// Something about the embedded records.
    Records(gateway::store_records::Command),
    /// Is there such a conversation?
    KnowsConversation(ConversationId),
    /// A conversation is gone.
    ForgetConversation {
        /// Which one.
        id: ConversationId,
        /// The deletion, for the chain.
        report: Option<Report>,
        /// Whether it was swept, which is counted.
        swept: bool,
    },
}

wire!(enum Command {
    0 Create(a, b, c), 1 Describe, 2 CreateCredential(a, b, c), 3 ReadCredential(a), 4 ListCredentials(a),
    5 ChangeCredential(a, b, c), 6 RotateCredential(a, b, c, d, e), 7 RevokeCredential(a, b, c),
    8 CredentialUsed(a, b), 9 NoteConversation(a),
    10 ListConversations { environment, after, limit, is_plain }, 11 ReadAudit(a), 12 Report(a),
    13 Identity(a), 14 ConversationsWrote(a), 15 RevokeMany(a, b), 16 CredentialSighted(a, b),
    17 FinishRotation(a, b), 18 FindMade(a), 19 ChangeWorkspace(a, b),
    20 Leaked(a), 21 Records(a),
    30 KnowsConversation(a), 31 ForgetConversation { id, report, swept },
});

impl Command {
    /// Who does what only somebody whose credential lives may do. Ending one is nobody's gain, and may be asked for twice.
    pub fn by(&self) -> Option<&By> {
        match self {
            Self::CreateCredential(_, _, by)
            | Self::ChangeCredential(_, _, by)
            | Self::RotateCredential(_, _, _, by, _)
            | Self::ChangeWorkspace(_, by)
            | Self::RevokeMany(_, by)
            | Self::FinishRotation(_, by)
            | Self::Identity(identity::store::Command::Create(identity::store::Made { by, .. }, _)) => Some(by),
            Self::Records(gateway::store_records::Command::Write(write)) => Some(&write.by),
            _ => None,
        }
    }
}

/// Which credentials.
pub struct ListCredentials {
    /// Only with this status.
    pub status: Option<String>,
    /// Older than this one.
    pub after: Option<CredentialId>,
    /// At most so many.
    pub limit: usize,
    /// Only of this kind.
    pub kind: Option<CredentialKind>,
    /// Only of this environment.
    pub environment: Option<Environment>,
    /// `after` is a cursor of an earlier version: it is looked up first, since the caller may have made it up.
    pub is_plain: Option<bool>,
}

wire!(ListCredentials { status, after, limit, kind, environment, is_plain });

/// What changes; `None` stays as it is.
#[derive(Default)]
pub struct Change {
    /// What people call it.
    pub name: Option<String>,
    /// Where it may be used from.
    pub origins: Option<Vec<Origin>>,
    /// Its end.
    pub expires_at: Option<Expiry>,
    /// What it may do.
    pub scopes: Option<Vec<Scope>>,
    /// How much.
    pub plan: Option<Plan>,
    /// Where it may be used from.
    pub addresses: Option<Vec<AddressRange>>,
    /// Of the scopes that a credential gives itself: which are enough to have each.
    pub needs: Option<Vec<Needs>>,
}

wire!(Change { name, origins, expires_at, scopes, plan, addresses, needs });

/// How much a credential may use.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// By the policy's name; none where the policy has no tiers.
    pub tier: Option<String>,
    /// The numbers of a custom tier.
    pub numbers: Option<Numbers>,
}

wire!(Plan { tier, numbers });

impl Change {
    /// Changes the record. The members that are not what they were, for the audit, and never their values; none where nothing
    /// is another than before.
    pub fn apply(self, record: &mut CredentialRecord) -> Option<String> {
        let expires_at = self.expires_at.map(|expiry| match expiry {
            Expiry::At(moment) => Some(moment),
            Expiry::Never => None,
        });
        let members = [
            set(&mut record.name, self.name).then_some("name"),
            set(&mut record.origins, self.origins).then_some("origins"),
            set(&mut record.expires_at, expires_at).then_some("expires_at"),
        ];
        let mut members: Vec<&str> = members.into_iter().flatten().collect();
        if let Some(key) = &mut record.key {
            let (tier, numbers) = self.plan.map(|plan| (plan.tier, plan.numbers)).unzip();
            let of_key = [
                set(&mut key.scopes, self.scopes).then_some("scopes"),
                set(&mut key.tier, tier).then_some("tier"),
                set(&mut key.numbers, numbers).then_some("limits"),
                set(&mut key.addresses, self.addresses).then_some("allowed_addresses"),
            ];
            members.extend(of_key.into_iter().flatten());
        }
        (!members.is_empty()).then(|| members.join(", "))
    }
}

/// Whether that is another value.
fn set<T: PartialEq>(known: &mut T, value: Option<T>) -> bool {
    value.is_some_and(|value| std::mem::replace(known, value) != *known)
}

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
    /// How many credentials have not ended everywhere yet, of those made until then.
    Remaining(usize, Timestamp),
    /// Events.
    Audit(Box<Page>),
    /// To what was about identity secrets.
    Identity(identity::store::Reply),
    /// Whether what was found is a secret of that credential: it has ended then, or will when its grace is over.
    Leaked(bool),
    /// To what was about records.
    Records(gateway::store_records::Reply),
    /// Whether it is in the list.
    Listed(bool),
}

wire!(enum Reply {
    0 Done, 1 Workspace(a), 2 Credential(a), 3 Credentials(a, b), 4 Conversations(a, b), 5 Known(a),
    6 Audit(a), 7 Identity(a), 8 Remaining(a, b), 9 Leaked(a), 10 Records(a),
    17 Listed(a) });
