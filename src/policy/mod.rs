//! May they. The policy file as types, the table of actions, and the one pure function that reads it.

mod built_in;
mod file;
mod gate;
mod identity;
mod router;
mod routes;
mod scopes;
mod table;

pub use built_in::{BUILT_IN, DEFAULT, built_in};
pub use file::{PolicyError, parse};
pub use gate::authorize_route;
pub use identity::IdentityRule;

use crate::{credential::CredentialKind, error::Reason, limit::Limit, principal::Principal, scope::Scope};

/// A policy file, parsed and found sound.
#[derive(Clone, Debug)]
pub struct Policy {
    /// What every credential starts with.
    pub brand: String,
    /// E-mail addresses of people who may make deploy keys.
    pub operators: Vec<String>,
    /// Every scope, with what a person reads about it.
    pub scopes: Vec<(Scope, ScopeRule)>,
    /// Every tier.
    pub tiers: Vec<(String, Tier)>,
    /// The chat widget, if there is one.
    pub widget: Option<WidgetPolicy>,
    /// Routes of the gateway.
    pub routes: Vec<Route>,
    /// The same, as they are looked for.
    router: router::Router,
    /// `Authorization` schemes that carry deploy keys.
    pub deploy_schemes: Vec<String>,
}

/// One scope.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ScopeRule {
    /// What a person reads on consent and key pages.
    pub says: String,
    /// The scopes that come with it.
    pub implies: Implies,
}

/// What comes with a scope.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Implies {
    /// Every scope there is.
    All,
    /// These.
    Only(Vec<Scope>),
}

/// How much a credential may use.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tier {
    /// Windows of requests, all of which must admit.
    pub requests: Vec<Limit>,
    /// Windows of tokens, all of which must admit.
    pub tokens: Vec<Limit>,
    /// The numbers come with each credential.
    pub custom: bool,
    /// Permits may be leased to isolates for so long: then this is the bound on revocation.
    pub lease_seconds: Option<u32>,
}

/// The chat widget.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WidgetPolicy {
    /// Life of a history secret.
    pub history_secret_seconds: u64,
    /// Longest message.
    pub text_bytes: usize,
    /// Messages on a page.
    pub page: usize,
    /// Whether a visitor must say who they are.
    pub identity: IdentityRule,
    /// Messages, per key and network.
    pub messages: Limit,
    /// Messages, per conversation.
    pub conversation_messages: Limit,
    /// New conversations, per key and network.
    pub conversations: Limit,
    /// New conversations, per key and shard: the key's ceiling, split.
    pub shard_conversations: Limit,
}

/// A route of the gateway.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Route {
    /// Upper-case method.
    pub method: String,
    /// Path pattern.
    pub path: String,
    /// The scope it takes; none: any accepted credential.
    pub scope: Option<Scope>,
    /// The kinds of credentials it takes, by name.
    pub accept: Vec<String>,
    /// Where it leads.
    pub to: Destination,
    /// Writes wait for a person's approval.
    pub review: bool,
    /// `Idempotency-Key`.
    pub idempotency: Idempotency,
    /// How a request's cost in tokens is estimated and settled.
    pub tokens: Option<TokenRule>,
}

/// Where a route leads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Destination {
    /// The embedded records.
    Records,
    /// The API behind.
    Upstream,
}

/// What a route does with an `Idempotency-Key`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Idempotency {
    /// Honoured where it is sent.
    Accepted,
    /// Not looked at.
    Ignored,
    /// Refused where it is missing.
    Required,
}

/// How a request's cost in tokens is estimated and settled.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TokenRule {
    /// The member of the request that bounds the cost.
    pub reserve: String,
    /// The member of the answer that tells it.
    pub settle: String,
}

/// Everything anyone can do here.
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
    /// `PATCH /v1/credentials/{id}`.
    ChangeCredential,
    /// `GET /v1/audit/export`.
    ExportAudit,
    /// The gateway's route of this number in the policy: see [`authorize_route`].
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
    /// `POST /v1/credentials/{id}/rotate`.
    RotateCredential,
    /// `POST /w/{wk}/conversations/{id}/secret/rotate`.
    RotateHistorySecret,
    /// `GET /v1/audit/verify`.
    VerifyAudit,
    /// `GET /v1/whoami`.
    Whoami,
    /// `POST /w/{wk}/conversations/{id}/messages`.
    Write,
}

impl Action {
    /// Every action but the routes, which are the policy's.
    pub const ALL: [Self; 25] = [
        Self::Whoami,
        Self::CreateWorkspace,
        Self::ListWorkspaces,
        Self::ReadWorkspace,
        Self::CreateIdentitySecret,
        Self::ListIdentitySecrets,
        Self::RevokeCredentials,
        Self::RevokeIdentitySecret,
        Self::CreateCredential,
        Self::ListCredentials,
        Self::ReadCredential,
        Self::ChangeCredential,
        Self::RotateCredential,
        Self::RevokeCredential,
        Self::ListConversations,
        Self::ReadMessages,
        Self::Reply,
        Self::ReadAudit,
        Self::ExportAudit,
        Self::VerifyAudit,
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
            | Self::CreateWorkspace
            | Self::ListWorkspaces
            | Self::ReadWorkspace
            | Self::CreateIdentitySecret
            | Self::ListIdentitySecrets
            | Self::RevokeCredentials
            | Self::RevokeIdentitySecret
            | Self::CreateCredential
            | Self::ListCredentials
            | Self::ReadCredential
            | Self::ChangeCredential
            | Self::RotateCredential
            | Self::RevokeCredential
            | Self::ListConversations
            | Self::ReadMessages
            | Self::Reply
            | Self::ReadAudit
            | Self::ExportAudit
            | Self::VerifyAudit => &[CredentialKind::DeployKey],
        }
    }

    /// Whether a credential of this kind can ever do this; asked before anything is read from storage.
    pub fn admits(self, kind: CredentialKind) -> Result<(), Reason> {
        if self.accepts().contains(&kind) { Ok(()) } else { Err(Reason::KindNotAllowed(kind.as_str().to_owned())) }
    }
}

/// Proof that the policy was asked and said yes. There is no other way to get one.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    principal: Principal,
    action: Action,
}

impl Permit {
    /// Who.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// What.
    pub fn action(&self) -> Action {
        self.action
    }

    /// Takes the permit apart, to meter it.
    pub fn into_parts(self) -> (Principal, Action) {
        (self.principal, self.action)
    }
}

/// Whether `principal` may do `action`.
pub fn authorize(principal: Principal, action: Action) -> Result<Permit, Reason> {
    action.admits(principal.kind())?;
    Ok(Permit { principal, action })
}
