//! The gateway: what Claviger does not answer itself goes to the API behind, if the policy has a route for it.

use super::{
    Notes,
    believe::{Call, believe, decline},
    config::Config,
    reply::{Body, Reply},
};
use crate::{
    error::Reason,
    id::WorkspaceId,
    machine::World,
    meter::{Admitted, meter},
    policy::{Action, Destination, Idempotency, Route, authorize_route},
    request::Request,
    scope::Scope,
    upstream::{Outgoing, forwarded, returned},
};

/// The whole road of a call to the API behind.
pub async fn call(request: &Request, config: &Config, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let number = config.policy.route(&request.method, request.path()).ok_or(Reason::NotFound)?;
    let route = config.policy.routes.get(number).ok_or(Reason::NotFound)?;
    notes.route = Some(route.name().into());
    let door = config.door();
    let presented = door.in_headers(world)?;
    super::refuse_credentials_in(request.query(), &door, presented.is_some())?;
    let verified = presented.ok_or(Reason::CredentialMissing)?;
    notes.kind = Some(verified.kind().as_str());
    let needs = route.needs(verified.kind(), &config.policy);
    let call = Call { name: route.name(), needs, cost: 1, request, config };
    if route.admits(verified.kind()).is_err() {
        return Err(decline(verified, call, world, notes).await);
    }
    let (principal, _) = believe(verified, call, world, notes).await?;
    let admitted = meter(authorize_route(principal, number, &config.policy)?)?;
    notes.quotas = admitted.quotas().to_vec();
    let reply = act(&admitted, request, config, world).await?;
    Ok(reply.with_quotas(admitted.quotas(), world.now()))
}

/// Forwards the call, once. The route is the one that was authorized, whatever else the request might mean.
async fn act(admitted: &Admitted, request: &Request, config: &Config, world: &impl World) -> Result<Reply, Reason> {
    let Action::Forward(number) = admitted.action() else {
        return Err(Reason::NotFound);
    };
    let route = config.policy.routes.get(number).ok_or(Reason::NotFound)?;
    if let Some(what) = unserved(route) {
        return Err(Reason::RouteNotServed(what.to_owned()));
    }
    let origin = config.upstream.as_deref().ok_or(Reason::UpstreamMissing)?;
    let is_read = matches!(request.method.as_str(), "GET" | "HEAD");
    let has_body = world.header("transfer-encoding").is_some()
        || world.header("content-length").is_some_and(|length| length.trim() != "0");
    if is_read && has_body {
        return Err(Reason::invalid("", "A GET or HEAD has no body here: ask in the path and in the query."));
    }
    let mut headers = forwarded(world.headers());
    headers.extend(vouched(admitted, request));
    let url = format!("{origin}{}", request.target());
    let call = Outgoing { method: request.method.clone(), url, has_body: !is_read, headers };
    let answer = world.forward(call).await?;
    let mut reply = Reply::empty(answer.status);
    reply.body = Body::Upstream(returned(answer.headers));
    Ok(reply)
}

/// What a route asks for that this version cannot do. It is refused then: passing it on would leave out what the policy wants.
fn unserved(route: &Route) -> Option<&'static str> {
    if route.review {
        return Some("its writes wait for a person's approval");
    }
    if route.to == Destination::Records {
        return Some("it leads to the embedded records");
    }
    if route.tokens.is_some() {
        return Some("its cost is counted in tokens");
    }
    (route.idempotency == Idempotency::Required).then_some("it requires an Idempotency-Key that is honoured here")
}

/// Who is asking, in our word: what comes in under these names never passes. What the principal has not is left out.
fn vouched(admitted: &Admitted, request: &Request) -> Vec<(String, String)> {
    let principal = admitted.principal();
    let scopes: Vec<&str> = principal.scopes().iter().map(Scope::as_str).collect();
    let scopes = scopes.join(" ");
    let facts = [
        ("claviger-principal", Some(principal.id().as_str())),
        ("claviger-kind", Some(principal.kind().as_str())),
        ("claviger-workspace", principal.workspace().map(WorkspaceId::as_str)),
        ("claviger-environment", principal.environment().map(|environment| environment.as_str())),
        ("claviger-scopes", Some(scopes.as_str()).filter(|scopes| !scopes.is_empty())),
        ("claviger-request-id", Some(request.id.as_str())),
    ];
    facts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect()
}
