//! What goes out: every answer and every refusal, from one place.

use super::{
    config::Config,
    error_dialect,
    header_list::{self, PROBLEM},
};
use crate::{
    codec::time::Timestamp,
    error::{
        Reason,
        refusal::{Code, Refusal},
    },
    limits::window::Quota,
    object::machine::World,
    policy::ErrorDialect,
    upstream::watch::Watch,
    world::memory_budget::Share,
};
use serde::Serialize;

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: Body,
    /// The line for the log.
    pub log: String,
}

/// The body of an answer.
#[derive(Debug)]
pub enum Body {
    /// A file of `www/`, which the platform serves.
    Asset(&'static str),
    /// None.
    Empty,
    /// JSON.
    Json(String),
    /// JSON texts, one a line: newline-delimited JSON.
    Lines(Vec<String>),
    /// What the upstream answers, as a stream.
    Upstream(Passing),
}

/// An answer of the upstream on its way to the caller.
#[derive(Debug)]
pub struct Passing {
    /// Its own headers that pass, names in lower case.
    pub headers: Vec<(String, String)>,
    /// What is watched for in its body; none: it streams past without being looked at.
    pub watch: Option<Box<Watch>>,
    /// Its body, where it is one that was kept; else it streams past.
    pub kept: Option<Vec<u8>>,
}

impl Reply {
    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Body::Empty, log: String::new() }
    }

    /// An answer in JSON.
    pub fn json(status: u16, body: &impl Serialize) -> Result<Self, Reason> {
        let text = serde_json::to_string(body).map_err(|error| Reason::Unreadable(error.to_string()))?;
        Ok(Self::text(status, text))
    }

    /// An answer in JSON that was written before.
    pub fn text(status: u16, json: String) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self { status, headers, body: Body::Json(json), log: String::new() }
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Whether a header of this name goes out, of ours or of the upstream.
    pub fn says(&self, name: &str) -> bool {
        let theirs = if let Body::Upstream(passing) = &self.body { passing.headers.as_slice() } else { &[] };
        self.headers.iter().any(|(ours, _)| *ours == name) || theirs.iter().any(|(theirs, _)| theirs == name)
    }

    /// With something more that is watched for in an answer of the upstream.
    #[must_use]
    pub fn watched(mut self, more: impl FnOnce(&mut Watch)) -> Self {
        if let Body::Upstream(passing) = &mut self.body {
            more(passing.watch.get_or_insert_default());
        }
        self
    }

    /// With what is held of a watched answer counted in this share.
    #[must_use]
    pub fn counted_in(mut self, share: impl FnOnce() -> Share) -> Self {
        if let Body::Upstream(Passing { watch: Some(watch), .. }) = &mut self.body {
            watch.counts_in(share());
        }
        self
    }

    /// With the headers of a metered answer (`X-RateLimit-*`, and draft-ietf-httpapi-ratelimit-headers-11).
    #[must_use]
    pub fn with_quotas(mut self, quotas: &[Quota], at: Timestamp) -> Self {
        if quotas.is_empty() {
            return self;
        }
        let list = |member: &dyn Fn(&Quota) -> String| {
            quotas
                .iter()
                .map(|quota| format!("\"{}\";{}", quota.limit.name, member(quota)))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let window = |quota: &Quota| quota.reset_at.millis_since(at).div_ceil(1_000).max(1);
        for (are_tokens, [most, remaining, reset]) in [(false, REQUESTS), (true, TOKENS)] {
            let counted = quotas.iter().filter(|quota| quota.limit.counts_tokens() == are_tokens);
            if let Some(tightest) = counted.min_by_key(|quota| quota.remaining) {
                self.headers.extend([
                    (most, tightest.limit.limit.to_string()),
                    (remaining, tightest.remaining.to_string()),
                    (reset, tightest.reset_at.epoch_seconds_up().to_string()),
                ]);
            }
        }
        self.headers.extend([
            ("ratelimit-policy", list(&|quota| format!("q={};w={}", quota.limit.limit, quota.limit.window_seconds))),
            ("ratelimit", list(&|quota| format!("r={};t={}", quota.remaining, window(quota)))),
        ]);
        self
    }
}

/// The headers of the tightest limit, of requests and of tokens.
const REQUESTS: [&str; 3] = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];
const TOKENS: [&str; 3] = ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"];

/// The body of a refusal (`docs/errors.md`).
#[derive(Serialize)]
pub struct ErrorBody<'a> {
    success: bool,
    /// The stable name.
    pub code: &'static str,
    /// What happened, for people.
    pub error: &'a str,
    /// What to do about it, for people, with the link to the code's entry.
    pub fix: &'a str,
    /// Scopes that would have been enough.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub required: &'a [String],
    /// Whether the change is stored, and not yet known everywhere.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pending: bool,
    /// The request.
    pub request_id: &'a str,
}

/// The same facts as RFC 9457 problem details.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(flatten)]
    body: ErrorBody<'a>,
}

/// Tells the caller no, and as much of the reason as they may apply: as problem details where the caller prefers them, else in the
/// dialect of the route, where it has one.
pub fn refuse(
    reason: &Reason,
    request_id: &str,
    dialect: ErrorDialect,
    config: Option<&Config>,
    world: &impl World,
) -> Reply {
    let refusal = Refusal::from(reason);
    let (status, code) = (refusal.code.status(), refusal.code.as_str());
    // Callers reach this deployment and not our sources: it serves the page itself, where it knows its own name.
    let page = config.map(|config| format!("{}/docs/errors#{code}", config.origin));
    let fix = page.as_ref().map(|page| format!("{} See {page}", refusal.fix));
    let body = ErrorBody {
        success: false,
        code,
        error: &refusal.error,
        fix: fix.as_ref().unwrap_or(&refusal.fix),
        required: &refusal.required,
        pending: *reason == Reason::DeliveryPending,
        request_id,
    };
    let wants_problem = world.header("accept").is_some_and(|accept| header_list::prefers_problem(&accept));
    let (content_type, text) = if wants_problem {
        let r#type = page.unwrap_or_else(|| format!("urn:claviger:error:{code}"));
        let problem = Problem { r#type, title: &refusal.error, status, detail: &refusal.fix, body };
        (PROBLEM, serde_json::to_string(&problem).ok())
    } else {
        let text = error_dialect::body(dialect, &refusal, &body).or_else(|| serde_json::to_string(&body).ok());
        ("application/json", text)
    };
    let mut reply = Reply::empty(status).with("content-type", content_type).with("vary", "Accept");
    reply.body = text.map_or(Body::Empty, Body::Json);
    if let (401 | 403, Some(config)) = (status, config)
        && let Some(challenge) = challenge(&refusal, config)
    {
        reply = reply.with("www-authenticate", challenge);
    }
    match reason {
        Reason::MethodNotAllowed(allow) => reply.with("allow", allow),
        Reason::RateLimited { retry_after_millis, quotas } => reply
            .with_quotas(quotas, world.now())
            .with("retry-after", retry_after_millis.div_ceil(1_000).max(1).to_string()),
        Reason::TokensLimited { retry_after_millis, quotas, tokens } => reply
            .with_quotas(&[quotas.as_slice(), tokens].concat(), world.now())
            .with("retry-after", retry_after_millis.div_ceil(1_000).max(1).to_string()),
        Reason::UpstreamDown(millis) | Reason::IdempotencyKeysFull(millis) => {
            reply.with("retry-after", millis.div_ceil(1_000).max(1).to_string())
        }
        Reason::Unavailable
        | Reason::MemoryFull
        | Reason::Unreadable(_)
        | Reason::DeliveryPending
        | Reason::IdempotencyInProgress => reply.with("retry-after", "1"),
        _ => reply,
    }
}

/// RFC 6750 §3 and RFC 9728 §5.1; `error` only where a credential was presented.
fn challenge(refusal: &Refusal, config: &Config) -> Option<String> {
    let metadata = format!("Bearer resource_metadata=\"{}/.well-known/oauth-protected-resource\"", config.origin);
    match refusal.code {
        // No bearer token helps here: what is wanted is a signature, in the header of this name (RFC 9110 §11.6.1).
        Code::InvalidSignature => Some("Github-Public-Key-Signature".to_owned()),
        Code::MissingCredential => Some(metadata),
        Code::InvalidCredential | Code::ExpiredCredential | Code::RevokedCredential => {
            Some(format!("{metadata}, error=\"invalid_token\""))
        }
        Code::InsufficientScope => {
            let scope = match refusal.required.as_slice() {
                [] => String::new(),
                required => format!(", scope=\"{}\"", required.join(" ")),
            };
            Some(format!("{metadata}, error=\"insufficient_scope\"{scope}"))
        }
        _ => None,
    }
}
