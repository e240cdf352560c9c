//! What can be done here, outside the gateway's routes: which kinds of credentials may, and which scopes they need for it.

use super::{Implies, Policy};
use crate::{admission::server_key::Needs, credential::CredentialKind, error::Reason};

/// The scope that administers a workspace.
pub const ADMIN: &str = "admin";

/// Everything anyone can do here, outside the gateway's routes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Action {
    /// `POST /w/{wk}/conversations/{id}/close`.
    CloseConversation,
    /// `POST /v1/credentials`.
    CreateCredential,
    /// `POST /v1/workspaces/{id}/identity-secrets`.
    CreateIdentitySecret,
    /// `POST /v1/workspaces`.
    CreateWorkspace,
    /// `DELETE /v1/conversations/{id}`.
    DeleteConversation,
    /// `PATCH /v1/credentials/{id}`.
    ChangeCredential,
    /// `PATCH /v1/workspaces/{id}`.
    ChangeWorkspace,
    /// `GET /v1/audit/export`.
    ExportAudit,
    /// The gateway's route of this number in the policy: see [`crate::policy::authorize_route`].
    Forward(usize),
    /// `GET /v1/conversations`.
    ListConversations,
    /// `GET /v1/credentials`.
    ListCredentials,
    /// `GET /v1/workspaces/{id}/identity-secrets`.
    ListIdentitySecrets,
    /// `GET /v1/workspaces`.
    ListWorkspaces,
    /// `POST /w/{wk}/conversations`.
    OpenConversation,
    /// `GET /v1/audit`.
    ReadAudit,
    /// `GET /v1/credentials/{id}`.
    ReadCredential,
    /// `GET /w/{wk}/conversations/{id}/messages`.
    ReadHistory,
    /// `GET /v1/conversations/{id}/messages`.
    ReadMessages,
    /// `GET /v1/workspaces/{id}`.
    ReadWorkspace,
    /// `POST /v1/conversations/{id}/messages`.
    Reply,
    /// `POST /v1/credentials/{id}/revoke`.
    RevokeCredential,
    /// `POST /v1/workspaces/{id}/credentials/revoke`.
    RevokeCredentials,
    /// `POST /v1/workspaces/{id}/identity-secrets/{kid}/revoke`.
    RevokeIdentitySecret,
    /// `POST /v1/assertion-keys/rotate`.
    RotateAssertionKey,
    /// `POST /v1/credentials/{id}/rotate`.
    RotateCredential,
    /// `POST /w/{wk}/conversations/{id}/secret/rotate`.
    RotateHistorySecret,
    /// `GET /v1/audit/verify`.
    VerifyAudit,
    /// `GET /v1/whoami`.
    Whoami,
    /// `GET /v1/credentials/{id}/usage`.
    ReadUsage,
    /// `POST /v1/credentials/{id}/rotate/finish`.
    FinishRotation,
    /// `POST /v1/self/revoke`.
    RevokeSelf,
    /// `POST /w/{wk}/conversations/{id}/messages`.
    Write,
    /// `POST /v1/verify`.
    Verify,
}

impl Action {
    /// Every action but the routes, which are the policy's.
    pub const ALL: [Self; 32] = [
        Self::Whoami,
        Self::RevokeSelf,
        Self::CreateWorkspace,
        Self::ListWorkspaces,
        Self::ReadWorkspace,
        Self::ChangeWorkspace,
        Self::RotateAssertionKey,
        Self::CreateIdentitySecret,
        Self::ListIdentitySecrets,
        Self::RevokeCredentials,
        Self::RevokeIdentitySecret,
        Self::CreateCredential,
        Self::ListCredentials,
        Self::ReadCredential,
        Self::ChangeCredential,
        Self::RotateCredential,
        Self::FinishRotation,
        Self::RevokeCredential,
        Self::ReadUsage,
        Self::ListConversations,
        Self::ReadMessages,
        Self::Reply,
        Self::DeleteConversation,
        Self::ReadAudit,
        Self::ExportAudit,
        Self::VerifyAudit,
        Self::Verify,
        Self::OpenConversation,
        Self::ReadHistory,
        Self::Write,
        Self::RotateHistorySecret,
        Self::CloseConversation,
    ];

    /// The policy table: the kinds that may do this. On `/w` the widget key in the path says which workspace, and the
    /// history secret who; neither is accepted anywhere else.
    pub fn accepts(self) -> &'static [CredentialKind] {
        match self {
            // Each route says so itself.
            Self::Forward(_) => &[],
            Self::OpenConversation => &[CredentialKind::WidgetKey],
            Self::ReadHistory | Self::Write | Self::RotateHistorySecret | Self::CloseConversation => {
                &[CredentialKind::HistorySecret]
            }
            Self::Whoami
            | Self::RevokeSelf
            | Self::ListConversations
            | Self::ReadMessages
            | Self::Reply
            | Self::Verify => &[CredentialKind::DeployKey, CredentialKind::ServerKey, CredentialKind::ServiceToken],
            Self::CreateWorkspace | Self::ListWorkspaces | Self::RotateAssertionKey => &[CredentialKind::DeployKey],
            Self::ReadWorkspace
            | Self::ChangeWorkspace
            | Self::CreateIdentitySecret
            | Self::ListIdentitySecrets
            | Self::RevokeCredentials
            | Self::RevokeIdentitySecret
            | Self::CreateCredential
            | Self::ListCredentials
            | Self::ReadCredential
            | Self::ReadUsage
            | Self::ChangeCredential
            | Self::RotateCredential
            | Self::FinishRotation
            | Self::RevokeCredential
            | Self::DeleteConversation
            | Self::ReadAudit
            | Self::ExportAudit
            | Self::VerifyAudit => &[CredentialKind::DeployKey, CredentialKind::ServerKey],
        }
    }

    /// The parameters that its query may have. On `/v1` any other one is refused: a misspelled filter would answer more than was
    /// asked for.
    pub fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::Whoami
            | Self::RevokeSelf
            | Self::CreateWorkspace
            | Self::RotateAssertionKey
            | Self::CreateCredential
            | Self::Verify
            | Self::OpenConversation
            | Self::Write
            | Self::RotateHistorySecret
            | Self::CloseConversation
            // Whatever the upstream makes of it.
            | Self::Forward(_) => &[],
            Self::ListWorkspaces => &["limit", "cursor"],
            // The id names the workspace; said once more, it must be the same.
            Self::ReadWorkspace
            | Self::ChangeWorkspace
            | Self::CreateIdentitySecret
            | Self::ListIdentitySecrets
            | Self::RevokeCredentials
            | Self::RevokeIdentitySecret
            | Self::ReadCredential
            | Self::ChangeCredential
            | Self::RotateCredential
            | Self::FinishRotation
            | Self::RevokeCredential
            | Self::DeleteConversation
            | Self::Reply => &["workspace"],
            Self::ListCredentials => &["workspace", "kind", "status", "environment", "limit", "cursor"],
            Self::ReadUsage => &["from", "to", "bucket", "workspace"],
            Self::ListConversations => &["workspace", "environment", "limit", "cursor"],
            Self::ReadMessages => &["after", "workspace"],
            Self::ReadHistory => &["after"],
            Self::ReadAudit => &["workspace", "after", "before", "action", "actor", "since", "until", "limit"],
            Self::ExportAudit | Self::VerifyAudit => &["workspace", "after"],
        }
    }

    /// The scopes any of which is enough for a workspace's own credential; none: any credential of a kind that may.
    fn scopes(self, kind: CredentialKind) -> &'static [&'static str] {
        match self {
            // What asks instead of a gateway is a service. A key that administers may, too.
            Self::Verify if kind == CredentialKind::ServiceToken => &["verify", ADMIN],
            Self::Whoami
            | Self::RevokeSelf
            | Self::Forward(_)
            | Self::OpenConversation
            | Self::ReadHistory
            | Self::Write
            | Self::RotateHistorySecret
            | Self::CloseConversation => &[],
            Self::ListConversations => &["conversations:read"],
            Self::ReadMessages => &["messages:read"],
            Self::Reply => &["messages:write"],
            Self::ListCredentials | Self::ReadCredential | Self::ReadUsage => &["credentials:read", ADMIN],
            Self::ReadWorkspace => &["workspaces:read", ADMIN],
            Self::ChangeWorkspace => &["workspaces:write", ADMIN],
            Self::CreateWorkspace
            | Self::ListWorkspaces
            | Self::CreateIdentitySecret
            | Self::ListIdentitySecrets
            | Self::RevokeCredentials
            | Self::RevokeIdentitySecret
            | Self::CreateCredential
            | Self::ChangeCredential
            | Self::RotateAssertionKey
            | Self::RotateCredential
            | Self::FinishRotation
            | Self::RevokeCredential
            | Self::DeleteConversation
            | Self::ReadAudit
            | Self::ExportAudit
            | Self::Verify
            | Self::VerifyAudit => &[ADMIN],
        }
    }

    /// What a call needs of a credential of this kind; none: it needs no scope. A policy without the scope lets nobody.
    pub fn needs(self, kind: CredentialKind, policy: &Policy) -> Option<Needs> {
        one_of(self.scopes(kind), kind, policy)
    }

    /// What it needs beside that.
    pub fn needs_too(self, kind: CredentialKind, policy: &Policy) -> Option<Needs> {
        // Whoever deletes messages may write them.
        let scopes: &[&str] = if self == Self::DeleteConversation { &["messages:write"] } else { &[] };
        one_of(scopes, kind, policy)
    }

    /// Whether a permit is enough that was handed out a moment ago, maybe of a credential that has ended since. Nothing that
    /// administers or writes is among it.
    pub fn lease_allowed(self) -> bool {
        matches!(self, Self::Whoami | Self::ListConversations | Self::ReadMessages)
    }

    /// Whether it reaches what live and test data have in common.
    pub fn spans_environments(self) -> bool {
        matches!(
            self,
            Self::ChangeWorkspace
                | Self::CreateIdentitySecret
                | Self::ListIdentitySecrets
                | Self::RevokeIdentitySecret
                | Self::ReadAudit
                | Self::ExportAudit
                | Self::VerifyAudit
        )
    }

    /// Whether a credential of this kind can ever do this; asked before anything is read from storage.
    pub fn admits(self, kind: CredentialKind) -> Result<(), Reason> {
        if self.accepts().contains(&kind) { Ok(()) } else { Err(Reason::KindNotAllowed(kind.as_str().to_owned())) }
    }
}

/// One of these scopes, as the policy knows them; none: no scope at all.
fn one_of(scopes: &[&str], kind: CredentialKind, policy: &Policy) -> Option<Needs> {
    let has_scopes = matches!(kind, CredentialKind::ServerKey | CredentialKind::ServiceToken);
    let scopes: Vec<&str> = scopes.iter().map(|ours| policy.own(ours)).collect();
    let known = |scope: &&&str| policy.scopes.iter().any(|(known, _)| known.as_str() == **scope);
    let wanted = *scopes.last().filter(|_| has_scopes)?;
    let Some(scope) = scopes.iter().find(known) else {
        // What the policy does not name, only whoever holds everything may: such a scope can be asked for.
        let all = policy.scopes.iter().filter(|(_, rule)| rule.implies == Implies::All);
        let enough: Vec<String> = all.map(|(scope, _)| scope.as_str().to_owned()).collect();
        let scope = enough.first().cloned().unwrap_or_else(|| wanted.to_owned());
        return Some(Needs { scope, enough });
    };
    let enough = scopes.iter().flat_map(|scope| policy.satisfying(scope)).collect();
    Some(Needs { scope: (*scope).to_owned(), enough })
}
