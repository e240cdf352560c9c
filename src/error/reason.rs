//! Why we said no, in our own words: precise, for the log and the audit. What callers apply is a [`Refusal`].

use super::refusal::{Refusal, instead, plain};
use crate::{codec::time::Timestamp, limits::window::Quota, wire};
use std::fmt;

/// Why we said no: for the log and the audit, never for the wire.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reason {
    /// The client's address is not on the credential's list, or not known.
    AddressNotAllowed,
    /// Two credentials, or one header twice.
    AmbiguousCredential,
    /// A body over the limit, in bytes.
    BodyTooLarge(usize),
    /// A body that did not arrive in time.
    BodyTooSlow,
    /// A server's credential arrived from a browser.
    BrowserNotAllowed,
    /// What was asked for exists already, or changed meanwhile.
    Conflict(String),
    /// The conversation holds as much as one may.
    ConversationFull,
    /// A genuine credential past its expiry.
    CredentialExpired,
    /// The shape is right, the check or tag is not.
    CredentialForged,
    /// Not the shape of any credential accepted there.
    CredentialMalformed,
    /// No credential at all.
    CredentialMissing,
    /// The same, on a route that reads one header alone: which.
    CredentialMissingIn(String),
    /// A genuine credential that was revoked, rotated out or closed.
    CredentialRevoked,
    /// The check is right, but no such credential was ever made.
    CredentialUnknown,
    /// The change is stored, but not every object has acknowledged it in time.
    DeliveryPending,
    /// A `test` credential at something `live`, or the other way round.
    EnvironmentMismatch,
    /// What was asked for existed and has ended.
    Gone(String),
    /// A header over 8 KiB.
    HeaderTooLarge,
    /// All headers together over 64 KiB.
    HeadersTooLarge,
    /// A request with the same `Idempotency-Key` is still under way.
    IdempotencyInProgress,
    /// The `Idempotency-Key` is empty, too long or not visible ASCII.
    IdempotencyKeyMalformed,
    /// A route that requires an `Idempotency-Key` was called without one.
    IdempotencyKeyMissing,
    /// The same `Idempotency-Key` came with another body before.
    IdempotencyKeyReused,
    /// As many keys are remembered for this credential as it may have; milliseconds until the first of them is forgotten.
    IdempotencyKeysFull(u64),
    /// The credential lacks these scopes.
    InsufficientScope(Vec<String>),
    /// A visitor's identity that proves nothing.
    Identity(IdentityFault),
    /// The request makes no sense; for people: which field, and why.
    InvalidRequest(String, String),
    /// What a workspace's own credential asks for is not in the workspace's plan: what, and what is; for people.
    PlanExceeded(String, String),
    /// What a credential asks for would be wider than the credential itself: how; for people.
    CallerExceeded(String),
    /// The policy that serves has no tier of the credential's: its name.
    TierUnknown(String),
    /// A genuine credential of a kind that this route does not take.
    KindNotAllowed(String),
    /// The isolate holds as much for callers of this kind, or for this caller, as it may.
    MemoryFull,
    /// The same, and the kinds that it takes.
    KindNotTaken(String, Vec<String>),
    /// Something that must be there is not: what sort of thing, its name, and what it should be.
    Missing(Part, String, String),
    /// The path exists, the method does not; the methods that do.
    MethodNotAllowed(String),
    /// A variable is missing or malformed; for the operator: which, and why.
    NotConfigured(String),
    /// No scope of the policy opens this call: the scope that would.
    NoScopeOpens(String),
    /// Nothing there, or nothing the caller may know of.
    NotFound,
    /// The `Origin` is not on the widget key's list.
    OriginNotAllowed,
    /// More than the limit admits.
    RateLimited {
        /// Milliseconds until it would be admitted.
        retry_after_millis: u64,
        /// The limits as they stand.
        quotas: Vec<Quota>,
    },
    /// Somebody only asks about a write that waits for a person's approval.
    ReviewRequired,
    /// A service token beside another service's name, or beside none.
    ServiceMismatch,
    /// A route of the gateway wants what this version cannot do: what that is.
    RouteNotServed(String),
    /// The deploy key is of another stage or deployment.
    StageMismatch,
    /// An object failed on its way; what it had not written, it forgot.
    ObjectFailed,
    /// More tokens than the limit admits.
    TokensLimited {
        /// Milliseconds until they would be admitted.
        retry_after_millis: u64,
        /// The limits of requests as they stand.
        quotas: Vec<Quota>,
        /// The limits of tokens as they stand.
        tokens: Vec<Quota>,
    },
    /// More tokens than the limit could ever admit: what the call would take at most, and the limit.
    TokensTooMany(u32, u32),
    /// An object or its storage did not answer.
    Unavailable,
    /// A stored row that cannot be read: that record is closed, nothing else.
    Unreadable(String),
    /// Something that is not known here: what sort of thing, its name where that can be shown, and what there is.
    Unknown(Part, String, String),
    /// A body that is not JSON by its `Content-Type`.
    UnsupportedMediaType,
    /// A report in GitHub's name without a signature of GitHub's.
    SignatureInvalid,
    /// A path and query over the limit, in bytes.
    UriTooLong(usize),
    /// The upstream did not answer, or not in a way that could be passed on.
    UpstreamFailed,
    /// The upstream failed so often lately that it is left alone for so many milliseconds.
    UpstreamDown(u64),
    /// An earlier request with this `Idempotency-Key` went to the upstream, and nobody knows what came of it.
    UpstreamLost,
    /// The upstream did not begin to answer in time.
    UpstreamTimedOut,
    /// The policy has routes to an upstream, and no variable says where that is.
    UpstreamMissing,
    /// A history secret at another conversation.
    WrongConversation,
    /// A credential of another workspace.
    WrongWorkspace,
}

wire!(enum Reason {
    0 AmbiguousCredential, 1 BodyTooLarge(a), 2 BrowserNotAllowed, 3 Conflict(a),
    4 CredentialExpired, 5 CredentialForged, 6 CredentialMalformed, 7 CredentialMissing,
    8 CredentialRevoked, 9 CredentialUnknown, 10 DeliveryPending, 11 EnvironmentMismatch,
    12 Gone(a), 13 HeaderTooLarge, 14 IdempotencyKeyMalformed, 15 IdempotencyKeyReused,
    16 InsufficientScope(a), 17 InvalidRequest(a, b), 18 KindNotAllowed(a), 19 MethodNotAllowed(a),
    20 NotConfigured(a), 21 NotFound, 22 OriginNotAllowed,
    23 RateLimited { retry_after_millis, quotas }, 24 StageMismatch, 25 ObjectFailed,
    26 Unavailable, 27 Unreadable(a), 28 UnsupportedMediaType, 29 WrongConversation,
    30 WrongWorkspace, 31 Identity(a), 32 AddressNotAllowed, 33 ServiceMismatch,
    34 RouteNotServed(a), 35 UpstreamFailed, 36 UpstreamMissing,
    37 IdempotencyInProgress, 38 IdempotencyKeyMissing, 39 ReviewRequired,
    40 TokensLimited { retry_after_millis, quotas, tokens }, 41 TokensTooMany(a, b),
    42 UpstreamDown(a), 43 UpstreamLost, 44 UpstreamTimedOut, 45 SignatureInvalid,
    46 IdempotencyKeysFull(a), 47 UriTooLong(a), 48 HeadersTooLarge, 49 BodyTooSlow, 50 MemoryFull,
    55 NoScopeOpens(a), 56 KindNotTaken(a, b), 57 Missing(a, b, c), 58 Unknown(a, b, c),
    70 CredentialMissingIn(a),
    63 ConversationFull,
    60 PlanExceeded(a, b), 61 CallerExceeded(a), 62 TierUnknown(a),
});

/// A part of a request that has a name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// A header.
    Header,
    /// A member of the body.
    Member,
    /// A parameter of the query.
    Parameter,
}

wire!(enum Part { 0 Header, 1 Member, 2 Parameter });

impl Part {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Member => "member",
            Self::Parameter => "parameter",
        }
    }
}

/// Why a visitor's identity proves nothing. One that is genuine and unsound is an invalid request instead.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum IdentityFault {
    /// Signed for another workspace.
    Elsewhere,
    /// Signed, and over.
    Expired,
    /// No secret that lives made the signature.
    Forged,
    /// Not the shape of any token that is taken.
    Malformed,
    /// None came, where the policy requires one.
    Missing,
    /// It names a secret that does not live in this workspace.
    SecretUnknown,
}

wire!(enum IdentityFault { 0 Elsewhere, 1 Expired, 2 Forged, 3 Malformed, 4 Missing, 5 SecretUnknown });

impl Reason {
    /// The name in logs, without what was sent or stored.
    pub fn name(&self) -> &'static str {
        match self {
            Self::AddressNotAllowed => "address_not_allowed",
            Self::AmbiguousCredential => "ambiguous_credential",
            Self::BodyTooLarge(..) => "body_too_large",
            Self::BodyTooSlow => "body_too_slow",
            Self::BrowserNotAllowed => "browser_not_allowed",
            Self::Conflict(..) => "conflict",
            Self::ConversationFull => "conversation_full",
            Self::CredentialExpired => "credential_expired",
            Self::CredentialForged => "credential_forged",
            Self::CredentialMalformed => "credential_malformed",
            Self::CredentialMissing | Self::CredentialMissingIn(..) => "credential_missing",
            Self::CredentialRevoked => "credential_revoked",
            Self::CredentialUnknown => "credential_unknown",
            Self::DeliveryPending => "delivery_pending",
            Self::EnvironmentMismatch => "environment_mismatch",
            Self::Gone(..) => "gone",
            Self::HeaderTooLarge => "header_too_large",
            Self::HeadersTooLarge => "headers_too_large",
            Self::IdempotencyInProgress => "idempotency_in_progress",
            Self::IdempotencyKeyMalformed => "idempotency_key_malformed",
            Self::IdempotencyKeyMissing => "idempotency_key_missing",
            Self::IdempotencyKeyReused => "idempotency_key_reused",
            Self::IdempotencyKeysFull(..) => "idempotency_keys_full",
            Self::InsufficientScope(..) | Self::NoScopeOpens(..) => "insufficient_scope",
            Self::Identity(IdentityFault::Elsewhere) => "identity_elsewhere",
            Self::Identity(IdentityFault::Expired) => "identity_expired",
            Self::Identity(IdentityFault::Forged) => "identity_forged",
            Self::Identity(IdentityFault::Malformed) => "identity_malformed",
            Self::Identity(IdentityFault::Missing) => "identity_missing",
            Self::Identity(IdentityFault::SecretUnknown) => "identity_secret_unknown",
            Self::InvalidRequest(..) | Self::Missing(..) | Self::Unknown(..) => "invalid_request",
            Self::KindNotAllowed(..) | Self::KindNotTaken(..) => "kind_not_allowed",
            Self::MemoryFull => "memory_full",
            Self::PlanExceeded(..) => "plan_exceeded",
            Self::CallerExceeded(..) => "caller_exceeded",
            Self::TierUnknown(..) => "tier_unknown",
            Self::MethodNotAllowed(..) => "method_not_allowed",
            Self::NotConfigured(..) => "not_configured",
            Self::NotFound => "not_found",
            Self::OriginNotAllowed => "origin_not_allowed",
            Self::RateLimited { .. } => "rate_limited",
            Self::ReviewRequired => "review_required",
            Self::ServiceMismatch => "service_mismatch",
            Self::RouteNotServed(..) => "route_not_served",
            Self::SignatureInvalid => "signature_invalid",
            Self::StageMismatch => "stage_mismatch",
            Self::ObjectFailed => "object_failed",
            Self::TokensLimited { .. } => "tokens_limited",
            Self::TokensTooMany(..) => "tokens_too_many",
            Self::Unavailable => "unavailable",
            Self::Unreadable(..) => "unreadable",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::UriTooLong(..) => "uri_too_long",
            Self::UpstreamDown(_) => "upstream_down",
            Self::UpstreamFailed => "upstream_failed",
            Self::UpstreamLost => "upstream_lost",
            Self::UpstreamTimedOut => "upstream_timed_out",
            Self::UpstreamMissing => "upstream_missing",
            Self::WrongConversation => "wrong_conversation",
            Self::WrongWorkspace => "wrong_workspace",
        }
    }

    /// What an operator must know beyond the name: of our own making, never of a caller's.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::NotConfigured(what)
            | Self::RouteNotServed(what)
            | Self::TierUnknown(what)
            | Self::Unreadable(what) => Some(what),
            _ => None,
        }
    }

    /// This reason where a call takes these kinds of credentials.
    #[must_use]
    pub fn among<'a>(self, taken: impl IntoIterator<Item = &'a str>) -> Self {
        match self {
            Self::KindNotAllowed(kind) => Self::KindNotTaken(kind, taken.into_iter().map(str::to_owned).collect()),
            reason => reason,
        }
    }

    /// This reason against a call that other limits had admitted: all of them are told, and it comes back when all admit it.
    pub fn after(self, admitted: &[Quota], at: Timestamp) -> Self {
        match self {
            Self::RateLimited { retry_after_millis, quotas } => {
                let full = admitted.iter().filter(|quota| quota.remaining == 0);
                let waits = full.map(|quota| quota.reset_at.millis_since(at));
                let retry_after_millis = waits.fold(retry_after_millis, u64::max);
                Self::RateLimited { retry_after_millis, quotas: [admitted, &quotas].concat() }
            }
            reason => reason,
        }
    }

    /// Something that must be there is not: its name, and what it should be.
    pub fn missing(part: Part, name: &str, wanted: &str) -> Self {
        Self::Missing(part, name.to_owned(), wanted.to_owned())
    }

    /// Something that is not known here, and all that is. Its name is shown only where it can be no secret.
    pub fn unknown(part: Part, name: &str, known: &[&str]) -> Self {
        Self::Unknown(part, plain(name).unwrap_or_default().to_owned(), instead(part.as_str(), name, known))
    }

    /// This reason against one item of the list that it names.
    #[must_use]
    pub fn at(self, place: usize) -> Self {
        match self {
            Self::InvalidRequest(field, why) => Self::InvalidRequest(format!("{field}[{place}]"), why),
            reason => reason,
        }
    }

    /// The request makes no sense: which field, and what would.
    pub fn invalid(field: &str, why: &str) -> Self {
        Self::InvalidRequest(field.to_owned(), why.to_owned())
    }
}

impl fmt::Display for Reason {
    /// For logs and for the CLI; never for the wire.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refusal { error, fix, .. } = Refusal::from(self);
        write!(f, "{error} {fix}")
    }
}
