//! The one road: parse → authenticate → authorize → meter → act → log. There is no second way in.

use super::{
    dispatch, health,
    public::{self, Document},
    route::{CallKind, Route, route},
};
use crate::{
    call::{
        config::Config,
        log::Notes,
        reply::{Body, Passing, Reply, refuse},
        request::MAX_HEADER_BYTES,
        request::Request,
    },
    conversations,
    error::Reason,
    gateway, introspection, leaks,
    object::machine::World,
    policy::NO_LIMITS,
};
use serde::Serialize;

/// The longest names and values that all headers have together: 64 KiB.
const MAX_HEADERS_BYTES: usize = 64 * 1_024;

/// The longest path and query of a call that is answered here: 8 KiB. The policy says how long those of its routes may be.
const MAX_URL_BYTES: usize = 8 * 1_024;

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
    /// What is wrong with the variables, though they serve: in the first line of each isolate.
    #[serde(skip_serializing_if = "Option::is_none")]
    warnings: Option<[&'static str; 1]>,
}

/// Whether this isolate has said what is wrong.
#[derive(Default)]
struct Warned(bool);

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
            let mut reply = refuse(&reason, &request.id, notes.dialect, config.ok(), world);
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
        warnings: config.ok().filter(|config| config.policy.has_no_limits()).and_then(|_| {
            let is_first = world.isolate().with(|warned: &mut Warned| !std::mem::replace(&mut warned.0, true));
            is_first.then_some([NO_LIMITS])
        }),
    };
    reply.log = serde_json::to_string(&line).unwrap_or_default();
    reply
}

async fn answer(request: &Request, config: &Config, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    refuse_sizes(request, config, world)?;
    refuse_host(world)?;
    let (route, kind) = match route(&request.method, request.path()) {
        // What Claviger does not answer itself may be a route of the policy.
        Err(Reason::NotFound) => return gateway::api::call(request, config, world, notes).await,
        found => found?,
    };
    notes.route = Some(route.name().into());
    match (route, kind) {
        (Route::Public(document), CallKind::Call) => {
            notes.readable_by = Some("*".to_owned());
            match document {
                Document::Health if health::asks_for_upstream(request.query()) => {
                    health::with_upstream(config, world).await
                }
                _ => public::serve(document, request, config, world).await,
            }
        }
        (Route::Public(_), CallKind::Preflight) => {
            notes.readable_by = Some("*".to_owned());
            Ok(public::preflight(config, world))
        }
        (Route::Widget(key, ..), CallKind::Preflight) => {
            conversations::api_widget::preflight(key, config, world, notes)
        }
        (Route::Widget(key, action, conversation), CallKind::Call) => {
            conversations::api_widget::call(key, action, conversation, request, config, world, notes).await
        }
        (Route::Leaks, _) => leaks::api::call(request, config, world, notes).await,
        (Route::ForwardAuth, _) => introspection::api_forward_auth::call(request, config, world, notes).await,
        (Route::Api(action, id), _) => dispatch::call(action, id, request, config, world, notes).await,
    }
}

/// A URL that is too long, and then headers that are, are refused before anything else is looked at.
fn refuse_sizes(request: &Request, config: &Config, world: &impl World) -> Result<(), Reason> {
    let (bytes, of_routes) = (request.target().len(), config.policy.max_url_bytes);
    if bytes > of_routes.min(MAX_URL_BYTES) {
        let is_ours = || !matches!(route(&request.method, request.path()), Err(Reason::NotFound));
        // The longest of both is refused unread.
        let limit = if bytes <= of_routes.max(MAX_URL_BYTES) && is_ours() { MAX_URL_BYTES } else { of_routes };
        if bytes > limit {
            return Err(Reason::UriTooLong(limit));
        }
    }
    if request.header_bytes > MAX_HEADERS_BYTES {
        return Err(Reason::HeadersTooLarge);
    }
    // Where all of them are no longer than one may be, none is.
    let is_long = |(_, value): &(String, String)| value.len() > MAX_HEADER_BYTES;
    if request.header_bytes > MAX_HEADER_BYTES && world.headers().iter().any(is_long) {
        return Err(Reason::HeaderTooLarge);
    }
    Ok(())
}

/// On the bare runtime the URL is made of the header `Host`: a path in there would be taken for the path. Two lines of it arrive
/// joined by a comma, and no server may choose between them (RFC 9112 §3.2).
fn refuse_host(world: &impl World) -> Result<(), Reason> {
    let is_sound = |b: u8| b.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+;=".contains(&b);
    if world.header("host").is_some_and(|host| !host.bytes().all(is_sound)) {
        return Err(Reason::invalid("host", "The Host header is one name or address, and a port, once."));
    }
    Ok(())
}

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
        match reply.headers.iter_mut().find(|(name, _)| *name == "vary") {
            Some((_, varies)) => varies.insert_str(0, "Origin, "),
            None => reply.headers.push(("vary", "Origin".to_owned())),
        }
    }
    match &mut reply.body {
        // What we say of an answer, the upstream does not say again.
        Body::Upstream(Passing { headers: theirs, .. }) => {
            theirs.retain(|(name, _)| !reply.headers.iter().any(|(ours, _)| ours == name))
        }
        body if request.method == "HEAD" => *body = Body::Empty,
        _ => {}
    }
    reply
}
