//! The gateway: what Claviger does not answer itself goes to the API behind, if the policy has a route for it.

use super::{
    Notes, body,
    config::Config,
    decision::{Case, Taking},
    forwarding::{self, forward},
    reply::{Body, Passing, Reply},
    tokens,
};
use crate::{
    error::Reason,
    machine::World,
    meter::Admitted,
    policy::{Action, Destination, Idempotency, Route},
    request::Request,
    upstream::returned,
    websocket::{self, SWITCHING_PROTOCOLS},
};

/// The whole road of a call to the API behind.
pub async fn call(request: &Request, config: &Config, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let case = Case::of_request(request, config, world);
    let found = case.find(&mut |door| door.in_headers(world), world, notes).await?;
    let reads_body = reads_body(found.route, world);
    // The whole body first, where it is read here: else whoever holds back its end acts with a credential that has ended since.
    let body = match &found.route.tokens {
        Some(_) => Some(body::read_json(world).await?),
        None if reads_body => Some(forwarding::read(world).await?),
        None => None,
    };
    let rule = found.route.tokens.as_ref();
    let tokens = rule.map(|rule| tokens::reserve(rule, body.as_deref().unwrap_or_default())).transpose()?;
    let object = found.object();
    // What is read here is kept, counted or decided upon here: that asks the credential's object.
    let admitted = case.admit(found, Taking { tokens, may_ride: !reads_body }, world, notes).await?;
    let answered = act(&admitted, body, request, config, world).await;
    let reply = match tokens::held(rule, object, &admitted, request) {
        Some(held) => tokens::settle(held, answered, world).await?,
        None => answered?,
    };
    Ok(reply.with_quotas(admitted.quotas(), world.now()))
}

/// Whether the body is read here, whole and before anybody is believed: then it has a limit. Any other streams through.
fn reads_body(route: &Route, world: &impl World) -> bool {
    let is_retried = route.idempotency != Idempotency::Ignored && world.header("idempotency-key").is_some();
    route.review || route.to == Destination::Records || is_retried
}

/// Does what was admitted. The route is the one that was authorized, whatever else the request might mean.
async fn act(
    admitted: &Admitted,
    body: Option<Vec<u8>>,
    request: &Request,
    config: &Config,
    world: &impl World,
) -> Result<Reply, Reason> {
    let Action::Forward(number) = admitted.action() else {
        return Err(Reason::NotFound);
    };
    let route = config.policy.routes.get(number).ok_or(Reason::NotFound)?;
    if let Some(what) = unserved(route) {
        return Err(Reason::RouteNotServed(what.to_owned()));
    }
    let answer = forward(admitted, route, body, request, config, world).await?;
    let mut reply = Reply::empty(answer.status);
    let headers = returned(answer.headers);
    let headers = if answer.status == SWITCHING_PROTOCOLS { websocket::passing(headers) } else { headers };
    reply.body = Body::Upstream(Passing { headers, watch: None });
    Ok(reply)
}

/// What a route asks for that this version cannot do. It is refused then: passing it on would leave out what the policy wants.
pub fn unserved(route: &Route) -> Option<&'static str> {
    if route.review {
        return Some("its writes wait for a person's approval");
    }
    if route.to == Destination::Records {
        return Some("it leads to the embedded records");
    }
    (route.idempotency == Idempotency::Required).then_some("it requires an Idempotency-Key that is honoured here")
}
