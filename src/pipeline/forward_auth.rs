//! `/v1/forward-auth`: a proxy in front of an API asks, before it passes a call on, what the gateway would decide.
//!
//! The caller's own headers come as they are. Which call it is, the proxy says in `X-Forwarded-Method` and `X-Forwarded-Uri`.

use super::{
    Notes,
    believe::Whence,
    config::Config,
    decision::{Case, refuse_reviewed},
    forwarding::vouched,
    reply::Reply,
};
use crate::{
    error::Reason,
    machine::World,
    policy::{Destination, Idempotency, Route},
    request::Request,
};

/// The whole road of a call that is not forwarded: 204, or what the gateway would say.
pub async fn call(request: &Request, config: &Config, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    super::refuse_credentials_in(request.query(), &config.door(), false)?;
    let original = Original::read(|name| world.header(name))?;
    let (path, query) = original.target.split_once('?').unwrap_or((&original.target, ""));
    let whence = Whence::of_request(config, world);
    let case = Case { method: &original.method, path, query, whence, request, config };
    let found = case.find(|door| door.in_headers(world), world, notes).await?;
    let route = found.route;
    let admitted = case.admit(found, world, notes).await?;
    refuse_reviewed(route)?;
    if let Some(what) = undecidable(route) {
        return Err(Reason::RouteNotServed(what.to_owned()));
    }
    let mut reply = Reply::empty(204);
    reply.headers = vouched(&admitted, request);
    Ok(reply.with_quotas(admitted.quotas(), world.now()))
}

/// What cannot be decided without the body, which stays with the proxy, or without the API's answer; and what no proxy has
/// behind it.
fn undecidable(route: &Route) -> Option<&'static str> {
    if route.to == Destination::Records {
        return Some("it leads to the embedded records, and not to the API behind the proxy that asks");
    }
    if route.tokens.is_some() {
        return Some(
            "its cost in tokens stands in the body and in the answer, which a proxy that asks keeps to itself",
        );
    }
    (route.idempotency == Idempotency::Required)
        .then_some("it requires an Idempotency-Key, which is honoured only where Claviger forwards the call itself")
}

/// The call that the proxy holds.
#[derive(Debug)]
pub struct Original {
    /// Its method.
    pub method: String,
    /// Its path and query, as they were sent.
    pub target: String,
}

impl Original {
    /// Reads what the proxy says; each once. What was sent twice arrives joined by `, `, which no method and no target holds.
    pub fn read(header: impl Fn(&str) -> Option<String>) -> Result<Self, Reason> {
        let required =
            |name: &str| header(name).ok_or_else(|| Reason::invalid(name, "The proxy must send this header."));
        let method = required("x-forwarded-method")?;
        let is_token = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if !(1..=40).contains(&method.len()) || !is_token(&method) {
            return Err(Reason::invalid("x-forwarded-method", "One method, as the caller sent it."));
        }
        let target = required("x-forwarded-uri")?;
        if !target.starts_with('/') || target.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(Reason::invalid("x-forwarded-uri", "One path with its query, as the caller sent them."));
        }
        // Nothing is decided by it. An odd one would have come through a proxy that is not sound.
        let is_host = |text: &str| {
            text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'[' | b']'))
        };
        if header("x-forwarded-host").is_some_and(|host| host.is_empty() || !is_host(&host)) {
            return Err(Reason::invalid("x-forwarded-host", "One name or address, and a port."));
        }
        Ok(Self { method, target })
    }
}
