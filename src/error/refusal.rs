//! What callers are told when we say no: a stable code, what happened, and what to do about it.

pub use super::{
    code::{Code, Explanation},
    near::{instead, nearest, plain},
};

use super::{IdentityFault, Reason};

/// What the caller is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// The stable name.
    pub code: Code,
    /// What happened, for people.
    pub error: String,
    /// What to do about it, for people.
    pub fix: String,
    /// Scopes that would have been enough.
    pub required: Vec<String>,
    /// The part of the request that is meant, where it is one and has a name.
    pub field: Option<String>,
}

impl From<&Reason> for Refusal {
    /// The only place where the inside meets the outside. No `_` arm: a new reason does not compile until somebody decides
    /// what the world may know.
    fn from(reason: &Reason) -> Self {
        use Code as C;
        let say = |code, error: &str, fix: &str| Self {
            code,
            error: error.to_owned(),
            fix: fix.to_owned(),
            required: Vec::new(),
            field: None,
        };
        let field =
            |name: &String, refusal| Self { field: Some(name.clone()).filter(|name| !name.is_empty()), ..refusal };
        match reason {
            Reason::AddressNotAllowed => say(
                C::AddressNotAllowed,
                "This credential may not be used from this address.",
                "Call from an address on its list, or add this one to its allowed_addresses.",
            ),
            Reason::AmbiguousCredential => say(
                C::AmbiguousCredential,
                "The request carries more than one credential.",
                "Send exactly one credential, in one header, once.",
            ),
            Reason::BodyTooLarge(limit) => {
                say(C::PayloadTooLarge, &format!("This is over the limit of {limit} bytes."), "Send less at once.")
            }
            Reason::BrowserNotAllowed => say(
                C::ServerKeyInBrowser,
                "A server's credential must never be used from a browser.",
                "Treat it as leaked: rotate it, and call from your server, or use a widget key.",
            ),
            Reason::Conflict(what) => {
                say(C::Conflict, what, "Read the present state, then try again if it is still wanted.")
            }
            Reason::ConversationFull => say(C::Conflict, "This conversation is full.", "Begin a new conversation."),
            Reason::CredentialExpired => say(C::ExpiredCredential, "This credential has expired.", "Get a new one."),
            // Unknown, forged and malformed answer alike, so that nobody learns which half was wrong.
            Reason::CredentialForged
            | Reason::CredentialMalformed
            | Reason::CredentialUnknown
            | Reason::ServiceMismatch => say(
                C::InvalidCredential,
                "This credential is not valid.",
                "Check that it was copied whole, belongs to this deployment, and stands in the right header.",
            ),
            Reason::CredentialMissing => {
                say(C::MissingCredential, "This call needs a credential.", "Send one in the Authorization header.")
            }
            Reason::CredentialMissingIn(header) => say(
                C::MissingCredential,
                "This call needs a credential of this gateway.",
                &format!("Send one in the header {header}: here no other is read."),
            ),
            Reason::CredentialRevoked => say(C::RevokedCredential, "This credential was revoked.", "Get a new one."),
            Reason::DeliveryPending => say(
                C::Unavailable,
                "The change is stored, but not yet known everywhere.",
                "Delivery goes on by itself. Read the state again in a few seconds.",
            ),
            Reason::EnvironmentMismatch => say(
                C::WrongEnvironment,
                "This credential belongs to the other environment.",
                "Use a live credential for live data and a test credential for test data.",
            ),
            Reason::Gone(what) => say(C::Gone, what, "Start a new one."),
            Reason::HeaderTooLarge => say(C::HeaderTooLarge, "A header is over 8 KiB.", "Send shorter headers."),
            Reason::HeadersTooLarge => {
                say(C::HeaderTooLarge, "All headers together are over 64 KiB.", "Send fewer or shorter headers.")
            }
            Reason::UriTooLong(limit) => say(
                C::UriTooLong,
                &format!("The path and query are over the limit of {limit} bytes."),
                "Send less in the URL. What is long belongs in the body of a call that has one.",
            ),
            Reason::BodyTooSlow => say(
                C::InvalidRequest,
                "The body did not arrive in time.",
                "Send all of it within 120 seconds, and never pause for 30.",
            ),
            Reason::MemoryFull => say(
                C::Unavailable,
                "Too many requests are being received at once.",
                "Send the same request again shortly, with its Content-Length.",
            ),
            Reason::IdempotencyInProgress => say(
                C::IdempotencyInProgress,
                "A request with this Idempotency-Key is still under way.",
                "Wait a moment, then send the same request with the same key: it gets the answer of the first one.",
            ),
            Reason::IdempotencyKeyMissing => say(
                C::IdempotencyKeyRequired,
                "This call needs an Idempotency-Key.",
                "Send a new one with each new request, and the same one to repeat that request.",
            ),
            Reason::IdempotencyKeyMalformed => say(
                C::IdempotencyKeyInvalid,
                "The Idempotency-Key is not valid.",
                "Send it once: 1 to 255 visible ASCII characters without spaces, or with spaces as a quoted string.",
            ),
            Reason::IdempotencyKeyReused => say(
                C::IdempotencyKeyReused,
                "This Idempotency-Key was used with another body or query.",
                "Use a new key for a new request.",
            ),
            Reason::IdempotencyKeysFull(millis) => say(
                C::RateLimited,
                "As many Idempotency-Keys are remembered here as there is room for.",
                &format!(
                    "Nothing was done. Each is forgotten after a day: try again in {} s.",
                    millis.div_ceil(1_000).max(1)
                ),
            ),
            Reason::Identity(IdentityFault::Elsewhere) => say(
                C::WrongWorkspace,
                "The visitor's identity was signed for another workspace.",
                "Put the id of this widget key's workspace into `aud`.",
            ),
            Reason::Identity(IdentityFault::Expired) => say(
                C::ExpiredCredential,
                "The visitor's identity has expired.",
                "Let your server sign a new one for each page, or give the widget a function that fetches one.",
            ),
            // Malformed, forged and of an unknown secret answer alike: see above.
            Reason::Identity(IdentityFault::Forged | IdentityFault::Malformed | IdentityFault::SecretUnknown) => say(
                C::InvalidCredential,
                "The visitor's identity is not valid.",
                "Sign a JWT with HS256 and the whole text of an identity secret that lives, or leave `identity` out.",
            ),
            Reason::Identity(IdentityFault::Missing) => say(
                C::MissingCredential,
                "This chat is for signed-in visitors only.",
                "Send `identity`, a JWT that your server signed: the policy says `identity = \"required\"`.",
            ),
            Reason::InsufficientScope(required) => Self {
                required: required.clone(),
                ..say(
                    C::InsufficientScope,
                    &format!("This credential lacks the scope {}.", required.join(", ")),
                    &format!(
                        "Use a credential with the scope {}: a deploy key, or an administrator's key, makes one or adds the scope to this one.",
                        required.join(", ")
                    ),
                )
            },
            Reason::InvalidRequest(name, why) => {
                let error = match name.as_str() {
                    "" => "The request is not valid.".to_owned(),
                    name => format!("`{name}` is not valid."),
                };
                field(name, say(C::InvalidRequest, &error, why))
            }
            Reason::Missing(part, name, wanted) => {
                field(name, say(C::InvalidRequest, &format!("The {} `{name}` is missing.", part.as_str()), wanted))
            }
            Reason::Unknown(part, name, known) => {
                let part = part.as_str();
                let error = match name.as_str() {
                    "" => format!("The request has a {part} that is not known here."),
                    name => format!("The {part} `{name}` is not known here."),
                };
                field(name, say(C::InvalidRequest, &error, known))
            }
            Reason::PlanExceeded(what, plan) => say(
                C::PlanExceeded,
                what,
                &format!("{plan} Ask for that, or have the operator change the plan with a deploy key."),
            ),
            Reason::CallerExceeded(what) => say(
                C::EscalationNotAllowed,
                what,
                "Ask for less, or ask with a deploy key, or with an administrator's key that is not bound so.",
            ),
            Reason::TierUnknown(name) => say(
                C::NotConfigured,
                &format!("The policy has no tier `{name}`, which this credential has."),
                "Give the policy that tier again, or this credential another one: a deploy key does so with PATCH \
                 /v1/credentials/{id}.",
            ),
            Reason::KindNotAllowed(kind) => say(
                C::CredentialKindNotAllowed,
                &format!("A {kind} is not accepted here."),
                "Use a credential of a kind that this call takes.",
            ),
            Reason::KindNotTaken(kind, taken) => {
                let fix = match taken.as_slice() {
                    [] => "No kind of credential that this version issues opens this call.".to_owned(),
                    taken => format!("Use a credential of another kind: this call takes {}.", taken.join(", ")),
                };
                say(C::CredentialKindNotAllowed, &format!("A {kind} is not accepted here."), &fix)
            }
            Reason::NoScopeOpens(scope) => say(
                C::InsufficientScope,
                &format!("This call takes the scope {scope}, which the policy of this deployment does not have."),
                "No scope of this policy opens it. Call with a deploy key; or ask the deployment's operator to add the scope to the policy.",
            ),
            Reason::MethodNotAllowed(allow) => {
                say(C::MethodNotAllowed, "This path does not take that method.", &format!("Use {allow}."))
            }
            Reason::NotConfigured(what) => {
                say(C::NotConfigured, what, "Set it and start again. No request is served until then.")
            }
            Reason::ObjectFailed => say(
                C::Internal,
                "Something went wrong on our side.",
                "Try again. If it goes on, report the request id.",
            ),
            Reason::NotFound => say(C::NotFound, "There is nothing here.", "Check the path and the id."),
            Reason::OriginNotAllowed => say(
                C::OriginNotAllowed,
                "This widget key may not be used from this origin.",
                "Add the page's exact origin (scheme, host and port) to the key's origins.",
            ),
            Reason::RateLimited { retry_after_millis, .. } => say(
                C::RateLimited,
                "Too many requests.",
                &format!("Try again in {} s.", retry_after_millis.div_ceil(1_000).max(1)),
            ),
            Reason::ReviewRequired => say(
                C::ReviewRequired,
                "A person must approve this write first, and this version of Claviger cannot ask for that yet.",
                "No call makes this write until then. The deployment's operator may take `review` off the route in the policy.",
            ),
            Reason::RouteNotServed(what) => say(
                C::NotConfigured,
                &format!("This version cannot serve this route: {what}."),
                "Nothing was forwarded. If a proxy asked, let Claviger forward these calls itself; else the deployment's operator changes the route.",
            ),
            Reason::SignatureInvalid => say(
                C::InvalidSignature,
                "The signature is not one of GitHub's.",
                "Only GitHub reports here. Revoke a credential that you found with POST /v1/self/revoke.",
            ),
            Reason::StageMismatch => say(
                C::WrongStage,
                "The deploy key is for another stage or deployment.",
                "Call that deployment, with a deploy key made for it.",
            ),
            Reason::TokensLimited { retry_after_millis, .. } => say(
                C::TokenRateLimited,
                "Too many tokens.",
                &format!("Try again in {} s, or ask for fewer.", retry_after_millis.div_ceil(1_000).max(1)),
            ),
            Reason::TokensTooMany(needed, limit) => say(
                C::PayloadTooLarge,
                &format!("This call may take {needed} tokens, and the limit is {limit}: it can never be admitted."),
                "Ask for fewer tokens, send less at once, or use a credential with a higher tier.",
            ),
            Reason::Unavailable | Reason::Unreadable(_) => say(
                C::Unavailable,
                "This cannot be answered right now.",
                "Try again shortly. Nothing was changed unless an earlier answer said so.",
            ),
            Reason::UnsupportedMediaType => {
                say(C::UnsupportedMediaType, "The body must be JSON.", "Send it with Content-Type: application/json.")
            }
            Reason::UpstreamFailed => say(
                C::UpstreamError,
                "The upstream did not answer.",
                "It is not known whether the call had an effect: look before you repeat one that changes something.",
            ),
            Reason::UpstreamDown(millis) => say(
                C::UpstreamError,
                "The upstream has failed again and again, and is left alone for a moment.",
                &format!("Nothing was forwarded. Try again in {} s.", millis.div_ceil(1_000).max(1)),
            ),
            Reason::UpstreamLost => say(
                C::Conflict,
                "A request with this Idempotency-Key went to the upstream, and its answer was lost.",
                "Look there what became of it. If it had no effect, send it again with a new key.",
            ),
            Reason::UpstreamTimedOut => say(
                C::UpstreamTimeout,
                "The upstream did not answer in time.",
                "It is not known whether the call had an effect: look before you repeat one that changes something.",
            ),
            Reason::UpstreamMissing => say(
                C::UpstreamError,
                "This gateway has no upstream: the variable UPSTREAM is not set.",
                "Nothing was forwarded. The deployment's operator sets UPSTREAM to its origin.",
            ),
            Reason::WrongConversation => say(
                C::WrongConversation,
                "This history secret opens another conversation.",
                "Use the secret that was given with this conversation.",
            ),
            Reason::WrongWorkspace => say(
                C::WrongWorkspace,
                "This credential belongs to another workspace.",
                "Use a credential of that workspace.",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Refusal;
    use crate::error::{IdentityFault, Reason};

    #[test]
    fn p6_unknown_forged_and_malformed_credentials_cannot_be_told_apart() {
        let told = |reason: &Reason| Refusal::from(reason);
        assert_eq!(told(&Reason::CredentialForged), told(&Reason::CredentialUnknown));
        assert_eq!(told(&Reason::CredentialForged), told(&Reason::CredentialMalformed));
        let identity = |fault| told(&Reason::Identity(fault));
        assert_eq!(identity(IdentityFault::Forged), identity(IdentityFault::SecretUnknown));
        assert_eq!(identity(IdentityFault::Forged), identity(IdentityFault::Malformed));
    }
}
