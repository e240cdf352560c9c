//! The one road: parse → authenticate → authorize → meter → act → log. There is no second way in.

mod audit;
pub mod body;
pub mod config;
pub mod original;
pub mod public;
pub mod reply;
pub mod route;

mod api;
mod assertion;
mod assertion_keys;
mod believe;
mod bulk;
mod conversations;
mod credentials;
pub mod cursor;
mod decision;
mod deploy_keys;
mod deploy_shown;
mod forward_auth;
mod forwarding;
mod freshness;
mod gateway;
pub mod github;
mod health;
mod identity;
mod identity_secrets;
mod leaks;
mod making;
mod mint;
mod network;
mod once;
mod order;
mod records;
mod retry;
mod rotation;
mod shown;
mod tokens;
mod trace;
mod usage;
mod verify;
mod widget;
mod widget_replies;
mod workspaces;

use crate::{
    credential::Door, error::Reason, id::CredentialId, limit::Quota, machine::World, principal::Facts, request::Request,
};
use config::Config;
use public::Document;
use reply::{Body, Passing, Reply, refuse};
use route::{Route, Wish, route};
use serde::Serialize;
use std::borrow::Cow;

/// The longest header that is taken: 8 KiB.
const MAX_HEADER_BYTES: usize = 8 * 1_024;

/// What is learnt of a request on its way, for the log and for the headers of its answer.
#[derive(Default)]
struct Notes {
    route: Option<Cow<'static, str>>,
    kind: Option<&'static str>,
    credential: Option<String>,
    target: Option<String>,
    workspace: Option<String>,
    /// On the widget's routes.
    is_widget: bool,
    /// What was metered on the way, for an answer that says no after all.
    quotas: Vec<Quota>,
    /// What is known of a genuine credential that was refused, for whoever asks about it.
    facts: Option<Facts>,
    /// The origin that may read the answer: only ever one that the key lists.
    readable_by: Option<String>,
}

impl Notes {
    /// The credential that the call is about; only what was found to exist may stand in a log.
    fn found(&mut self, id: &CredentialId) {
        self.target = Some(id.as_str().to_owned());
        self.workspace = id.workspace().map(String::from);
    }
}

/// One line a request; no path, no query, no header and no body stands in it.
#[derive(Serialize)]
struct LogLine<'a> {
    at: String,
    request_id: &'a str,
    route: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace: Option<&'a str>,
}

/// Answers a request, whatever it is.
pub async fn serve(request: &Request, config: Result<&Config, &Reason>, world: &impl World) -> Reply {
    let mut notes = Notes::default();
    let answered = match config {
        Ok(config) => answer(request, config, world, &mut notes).await,
        Err(reason) => Err(reason.clone()),
    };
    let (reason, mut reply) = match answered {
        Ok(reply) => (None, reply),
        Err(reason) => {
            let reason = reason.after(&notes.quotas, world.now());
            let mut reply = refuse(&reason, &request.id, config.ok(), world);
            if !matches!(reason, Reason::RateLimited { .. } | Reason::TokensLimited { .. }) {
                reply = reply.with_quotas(&notes.quotas, world.now());
            }
            (Some(reason), reply)
        }
    };
    reply = dress(reply, request, &notes);
    let line = LogLine {
        at: world.now().rfc3339(),
        request_id: &request.id,
        route: notes.route.as_deref().unwrap_or("none"),
        status: reply.status,
        reason: reason.as_ref().map(Reason::name),
        detail: reason.as_ref().and_then(Reason::detail),
        kind: notes.kind,
        credential: notes.credential.as_deref(),
        target: notes.target.as_deref(),
        workspace: notes.workspace.as_deref(),
    };
    reply.log = serde_json::to_string(&line).unwrap_or_default();
    reply
}

async fn answer(request: &Request, config: &Config, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    if request.longest_header > MAX_HEADER_BYTES {
        return Err(Reason::HeaderTooLarge);
    }
    // On the bare runtime the URL is made of it: a path in there would be taken for the path.
    if world.header("host").is_some_and(|host| host.bytes().any(|b| matches!(b, b'/' | b'?' | b'#' | b'\\' | b'@'))) {
        return Err(Reason::invalid("host", "The Host header is a name or an address, and a port."));
    }
    let (route, wish) = match route(&request.method, request.path()) {
        // What Claviger does not answer itself may be a route of the policy.
        Err(Reason::NotFound) => return gateway::call(request, config, world, notes).await,
        found => found?,
    };
    notes.route = Some(route.name().into());
    match (route, wish) {
        (Route::Public(document), Wish::Call) => {
            notes.readable_by = Some("*".to_owned());
            match document {
                Document::Health if health::asks_for_upstream(request.query()) => {
                    health::with_upstream(config, world).await
                }
                _ => public::serve(document, request, config, world).await,
            }
        }
        (Route::Public(_), Wish::Preflight) => {
            notes.readable_by = Some("*".to_owned());
            Ok(public::preflight())
        }
        (Route::Widget(key, ..), Wish::Preflight) => widget::preflight(key, config, world, notes),
        (Route::Widget(key, action, conversation), Wish::Call) => {
            widget::call(key, action, conversation, request, config, world, notes).await
        }
        (Route::Leaks, _) => leaks::call(request, config, world, notes).await,
        (Route::ForwardAuth, _) => forward_auth::call(request, config, world, notes).await,
        (Route::Api(action, id), _) => api::call(action, id, request, config, world, notes).await,
    }
}

/// RFC 6750 §2.3 is not offered: what stands in a URL stands in logs.
fn refuse_credentials_in(query: &str, door: &Door, is_presented: bool) -> Result<(), Reason> {
    if query.is_empty() {
        return Ok(());
    }
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let found = pairs.any(|(name, value)| {
        name == "access_token" && is_presented || door.is_like_credential(&value) || door.is_like_credential(&name)
    });
    if found { Err(Reason::invalid("query", CREDENTIAL_IN_URL)) } else { Ok(()) }
}

const CREDENTIAL_IN_URL: &str =
    "A credential never belongs into a URL. Treat it as leaked, and send one in the Authorization header.";

/// The headers that every answer has.
fn dress(mut reply: Reply, request: &Request, notes: &Notes) -> Reply {
    if !reply.says("cache-control") {
        reply = reply.with("cache-control", "no-store");
    }
    reply = reply.with("x-request-id", request.id.as_str()).with("x-content-type-options", "nosniff");
    if let Some(origin) = &notes.readable_by {
        reply = reply.with("access-control-allow-origin", origin.as_str()).with(
            "access-control-expose-headers",
            "Idempotent-Replayed, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-Id",
        );
    }
    if notes.is_widget {
        reply = reply.with("vary", "Origin");
    }
    match &mut reply.body {
        // What we say of an answer, the API behind does not say again.
        Body::Upstream(Passing { headers: theirs, .. }) => {
            theirs.retain(|(name, _)| !reply.headers.iter().any(|(ours, _)| ours == name))
        }
        body if request.method == "HEAD" => *body = Body::Empty,
        _ => {}
    }
    reply
}
