//! The gateway: what Claviger does not answer itself goes to the API behind, if the policy has a route for it.

use super::{
    Notes,
    believe::{Call, believe, decline},
    config::Config,
    forwarding::{self, Key, forward},
    once::{self, Turned},
    records,
    reply::{Body, Passing, Reply},
};
use crate::{
    audit::By,
    error::Reason,
    keeping::Keeping,
    machine::World,
    meter::{Admitted, meter},
    policy::{Action, Destination, Idempotency, Route, authorize_route},
    request::Request,
    upstream::returned,
    watch::Watch,
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
    // The whole body first, where it is read here: else whoever holds back its end acts with a credential that has ended since.
    let body = if reads_body(route, world) { Some(forwarding::read(world).await?) } else { None };
    let (principal, by) = believe(verified, call, world, notes).await?;
    let admitted = meter(authorize_route(principal, number, &config.policy)?)?;
    notes.quotas = admitted.quotas().to_vec();
    let reply = act(&admitted, by, body, request, config, world, notes).await?;
    Ok(reply.with_quotas(admitted.quotas(), world.now()))
}

/// Whether the body is read here, whole and before anybody is believed: then it has a limit. Any other streams through.
fn reads_body(route: &Route, world: &impl World) -> bool {
    let is_retried = route.idempotency != Idempotency::Ignored && world.header("idempotency-key").is_some();
    route.tokens.is_some() || route.review || route.to == Destination::Records || is_retried
}

/// Does what was admitted. The route is the one that was authorized, whatever else the request might mean.
async fn act(
    admitted: &Admitted,
    by: By,
    body: Option<Vec<u8>>,
    request: &Request,
    config: &Config,
    world: &impl World,
    notes: &mut Notes,
) -> Result<Reply, Reason> {
    let Action::Forward(number) = admitted.action() else {
        return Err(Reason::NotFound);
    };
    let route = config.policy.routes.get(number).ok_or(Reason::NotFound)?;
    if let Some(what) = unserved(route) {
        return Err(Reason::RouteNotServed(what.to_owned()));
    }
    if route.to == Destination::Records {
        return records::serve(admitted, route, &body.unwrap_or_default(), by, request, world, notes).await;
    }
    let retry = once::key(admitted, route, body.as_deref(), request, world)?;
    let attempt = match once::begin(retry, admitted, route, by, config, world).await? {
        Turned::Out(attempt) => attempt,
        Turned::Back(reply) => return Ok(reply),
    };
    let key = match route.idempotency {
        Idempotency::Ignored => Key::Theirs,
        Idempotency::Accepted | Idempotency::Required => Key::Ours(attempt.as_ref().map(once::id_for_upstream)),
    };
    let answer = match (forward(admitted, body, key, request, config, world).await, attempt.as_ref()) {
        (Ok(answer), _) => answer,
        (Err(reason), None) => return Err(reason),
        (Err(reason), Some(attempt)) => {
            attempt.failed(&reason, world).await;
            return Err(reason);
        }
    };
    let headers = returned(answer.headers);
    let keeping = attempt.map(|attempt| Keeping::new(attempt, answer.status, &headers));
    let mut reply = Reply::empty(answer.status);
    reply.body = Body::Upstream(Passing { headers, watch: Watch { keeping }.wanted(), kept: None });
    Ok(reply)
}

/// What a route asks for that this version cannot do. It is refused then: passing it on would leave out what the policy wants.
fn unserved(route: &Route) -> Option<&'static str> {
    if route.review {
        return Some("its writes wait for a person's approval");
    }
    route.tokens.is_some().then_some("its cost is counted in tokens")
}
