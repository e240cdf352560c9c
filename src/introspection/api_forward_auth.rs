//! `/v1/forward-auth`: a proxy in front of an API asks, before it passes a call on, what the gateway would decide.
//!
//! Anybody can ask so, instead of a proxy: so nobody is given an assertion here, which would prove that a call came through us.
//! The caller's own headers come as they are. Which call it is, the proxy says in `X-Forwarded-Method` and `X-Forwarded-Uri`.

use super::forwarded_call::Original;
use crate::{
    call::{
        authenticate::ClientOrigin,
        config::Config,
        decide::{Cost, RouteCall, refuse_reviewed},
        log::Notes,
        reply::Reply,
        request::Request,
    },
    error::Reason,
    gateway::{forward::vouched, preconditions},
    object::machine::World,
    policy::{Destination, Idempotency, Route},
    world::upstream::{CREDENTIALS, without_other_method},
};

/// The whole road of a call that is not forwarded: 204, or what the gateway would say.
pub async fn call(request: &Request, config: &Config, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    crate::call::authenticate::refuse_credentials_in(request.query(), &config.door(), false)?;
    let original = Original::read(|name| world.header(name))?;
    let (path, query) = original.target.split_once('?').unwrap_or((&original.target, ""));
    let client_origin = ClientOrigin::of_request(config, world);
    let case = RouteCall { method: &original.method, path, query, client_origin, request, config };
    let found = case.find(&mut |door, route| door.in_header(route.own_header, world), world, notes).await?;
    let route = found.route;
    refuse_what_the_proxy_would_pass(query, route, config, world)?;
    let (admitted, _) = case.admit(found, Cost { tokens: None, lease_allowed: true }, world, notes).await?;
    refuse_reviewed(route)?;
    if let Some(what) = undecidable(route) {
        return Err(Reason::RouteNotServed(what.to_owned()));
    }
    let mut reply = Reply::empty(204);
    reply.headers = vouched(&admitted, request);
    for name in COPIED {
        if !reply.says(name) {
            reply = reply.with(name, "");
        }
    }
    Ok(reply.with_quotas(admitted.quotas(), world.now()))
}

/// What the gateway would take out on the way: a proxy knows the names of headers, and neither a credential by its form nor a
/// parameter.
fn refuse_what_the_proxy_would_pass(
    query: &str,
    route: &Route,
    config: &Config,
    world: &impl World,
) -> Result<(), Reason> {
    if without_other_method(query).is_some() {
        return Err(Reason::invalid("query", "Send the method as the method, and not in a parameter."));
    }
    let door = config.door();
    let is_read = |name: &str| match route.own_header {
        None => CREDENTIALS.contains(&name),
        Some(own) => own == name,
    };
    // What is asked about is looked at by itself.
    let is_about = |name: &str| matches!(name, "x-forwarded-method" | "x-forwarded-uri" | "x-forwarded-host");
    let mut others = world.headers().into_iter().filter(|(name, _)| !is_read(name) && !is_about(name));
    if others.any(|(_, value)| door.holds_credential(&value)) {
        return Err(Reason::AmbiguousCredential);
    }
    preconditions::require(route, world)
}

/// Proxies copy these by their names. Where one is missing some keep what the caller sent under it, and Caddy 2.6 sends on
/// the name of its own variable: so each is there, empty where there is nothing to say.
const COPIED: [&str; 5] =
    ["claviger-assertion", "claviger-environment", "claviger-principal", "claviger-scopes", "claviger-workspace"];

/// What cannot be decided without the body, which stays with the proxy, or without the API's answer; and what no proxy has
/// behind it.
fn undecidable(route: &Route) -> Option<&'static str> {
    if route.to == Destination::Records {
        return Some("it leads to the embedded records, and not to the upstream of the proxy that asks");
    }
    if route.tokens.is_some() {
        return Some(
            "its cost in tokens stands in the body and in the answer, which a proxy that asks keeps to itself",
        );
    }
    (route.idempotency == Idempotency::Required)
        .then_some("it requires an Idempotency-Key, which is honoured only where Claviger forwards the call itself")
}
