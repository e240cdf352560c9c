//! May they. The policy file as types, the table of actions, and the one pure function that reads it.

mod action;
mod answers;
mod file;
mod gate;
mod identity;
mod own;
mod records;
mod router;
mod routes;
mod scopes;
mod table;
mod tokens;
mod upstream;
mod warnings;

pub use crate::limits::tier::Tier;
pub use action::{ADMIN, Action};
pub use file::{MAX_WINDOW_SECONDS, PolicyError, line_of, parse};
pub use gate::authorize_route;
pub use identity::IdentityRule;
pub use tokens::{Asks, Dialect, MAX_PARTS, Tells, TokenRule};
pub use upstream::{UpstreamPolicy, hints};
pub use warnings::{NO_LIMITS, Warning};

use crate::{
    conversations::store::Room,
    error::Reason,
    limits::window::Limit,
    principal::Principal,
    value::{id::Environment, scope::Scope},
};
use std::sync::Arc;

/// A policy file, parsed and found sound.
#[derive(Clone, Debug)]
pub struct Policy {
    /// What every credential starts with.
    pub brand: String,
    /// E-mail addresses of people who may make deploy keys.
    pub operators: Vec<String>,
    /// Every scope, with what a person reads about it.
    pub scopes: Vec<(Scope, ScopeRule)>,
    /// The policy's own scopes for our own calls, by the names that these have here; the same name, where one is not listed.
    pub own: Vec<(&'static str, Scope)>,
    /// Keys are not limited, and the file says so.
    pub unlimited: bool,
    /// Every tier.
    pub tiers: Vec<(String, Tier)>,
    /// The chat widget, if there is one.
    pub widget: Option<WidgetPolicy>,
    /// Routes of the gateway.
    pub routes: Vec<Route>,
    /// The same, as they are looked for.
    router: router::Router,
    /// The headers of calls to the upstream.
    pub upstream: UpstreamPolicy,
    /// `Authorization` schemes that carry deploy keys.
    pub deploy_schemes: Vec<String>,
    /// The longest path and query of a call to one of the routes.
    pub max_url_bytes: usize,
    /// Seconds that the owner of a leaked credential gets to act; none: it ends at once.
    pub leak_grace_seconds: Option<u64>,
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
    /// Messages, per key and shard: the key's ceiling, split.
    pub shard_messages: Limit,
    /// What one conversation holds at most.
    pub room: Room,
    /// How long a conversation is kept in which nobody writes; none: for ever.
    pub retention_seconds: Option<u64>,
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
    /// Statuses of the upstream that prove, beside those that always do, that it did nothing: they free the key.
    pub idempotency_frees: Vec<u16>,
    /// How refusals on this route are written.
    pub errors: ErrorDialect,
    /// How a request's cost in tokens is estimated and settled.
    pub tokens: Option<Arc<TokenRule>>,
    /// How long the upstream may take to begin its answer.
    pub timeout_seconds: u32,
    /// The one header that our credential is read from; none: any that carries one.
    pub own_header: Option<&'static str>,
    /// Whether a write must say what it expects to find.
    pub requires_condition: bool,
}

/// Where a route leads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Destination {
    /// The embedded records.
    Records,
    /// The upstream.
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

/// How a refusal is written: for the official clients of a provider, as that provider writes it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ErrorDialect {
    /// As everywhere else.
    #[default]
    Claviger,
    /// `{"error": {message, type, param, code}}`.
    OpenAi,
    /// `{"type": "error", "error": {type, message}, "request_id"}`.
    Anthropic,
    /// `{"error": {code, message, status, details}}`.
    Gemini,
}

impl Policy {
    /// How long a conversation is kept in which nobody writes; none: for ever.
    pub fn retention_seconds(&self) -> Option<u64> {
        self.widget.as_ref()?.retention_seconds
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

/// Whether `principal` may do `action` by the policy that serves.
pub fn authorize(principal: Principal, action: Action, policy: &Policy) -> Result<Permit, Reason> {
    action.admits(principal.kind())?;
    if let Some(needs) = action.needs(principal.kind(), policy)
        && !principal.holds_one_of(&needs.enough)
    {
        return Err(Reason::InsufficientScope(vec![needs.scope]));
    }
    if let Some(needs) = action.needs_too(principal.kind(), policy)
        && !principal.holds_one_of(&needs.enough)
    {
        return Err(Reason::InsufficientScope(vec![needs.scope]));
    }
    // What both environments share is not for a credential that is for trying things out.
    if action.spans_environments() && principal.environment() == Some(Environment::Test) {
        return Err(Reason::EnvironmentMismatch);
    }
    Ok(Permit { principal, action })
}

/// The policy that serves when none is named.
pub const DEFAULT: &str = include_str!("../../policies/default.toml");

/// Every built-in policy, by name.
pub const BUILT_IN: [(&str, &str); 5] = [
    ("analytics", include_str!("../../policies/analytics.toml")),
    ("default", DEFAULT),
    ("llm", include_str!("../../policies/llm.toml")),
    ("memory", include_str!("../../policies/memory.toml")),
    ("support", include_str!("../../policies/support.toml")),
];

/// The text of a built-in policy.
pub fn built_in(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}
