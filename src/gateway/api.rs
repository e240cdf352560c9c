//! The gateway: what Claviger does not answer itself goes to the upstream, if the policy has a route for it.

use super::{
    forward::{Key, forward},
    once::{self, Idempotent},
    preconditions, tokens,
};
use crate::{
    audit::By,
    call::{
        body::MAX_BYTES,
        body_arrival::{Arrival, whose},
        config::Config,
        decide::{Cost, RouteCall},
        log::Notes,
        meter::Admitted,
        reply::{Body, Passing, Reply},
        request::Request,
    },
    error::Reason,
    gateway,
    object::machine::World,
    policy::{Action, Destination, Idempotency, Route},
    upstream::{
        answer_copy::{ResponseRecorder, is_refusal},
        websocket::{self, SWITCHING_PROTOCOLS},
    },
    world::{
        memory_budget::{Holder, Share},
        upstream::returned,
    },
};

/// The whole road of a call to the upstream.
pub async fn call(request: &Request, config: &Config, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let case = RouteCall::of_request(request, config, world);
    let found = case.find(&mut |door, route| door.in_header(route.own_header, world), world, notes).await?;
    let reads_body = reads_body(found.route, world);
    // What cannot be served is not read.
    let is_served = unserved(found.route).is_none();
    let rule = found.route.tokens.as_ref().filter(|_| is_served);
    let mut arrival = match rule {
        Some(_) => Arrival::json(MAX_BYTES, request, world),
        None if reads_body && is_served => Arrival::plain(MAX_BYTES, request, world),
        None => Arrival::none(),
    };
    arrival.early(world).await;
    if arrival.is_expected() {
        let who = case.check(&found, world, notes).await?;
        arrival.rest(Holder::Server, &who, world).await?;
    }
    let body = if reads_body { Some(arrival.take()?) } else { None };
    let tokens = rule.map(|rule| tokens::reserve(rule, body.as_deref().unwrap_or_default())).transpose()?;
    // What is read here is kept, counted or decided upon here: that asks the credential's object.
    let cost = Cost { tokens: tokens.map(|reserve| reserve.amount), lease_allowed: !reads_body };
    let (admitted, by) = case.admit(found, cost, world, notes).await?;
    arrival.belongs_to(Holder::Server, &whose(admitted.principal()));
    let answered = act(&admitted, by, body, request, config, world, notes).await;
    let reply = match tokens::held(rule, tokens, &admitted, request) {
        Some(held) => tokens::settle(held, answered, world).await?,
        None => answered?,
    };
    let share = || Share::new(world.isolate(), Holder::Answer, &whose(admitted.principal()));
    Ok(reply.counted_in(share).with_quotas(admitted.quotas(), world.now()))
}

/// Whether the body is read here, whole: then it has a limit. Any other streams through.
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
    preconditions::require(route, world)?;
    if route.to == Destination::Records {
        return gateway::api_records::serve(
            admitted,
            route,
            &body.unwrap_or_default(),
            by,
            (request, config),
            world,
            notes,
        )
        .await;
    }
    let retry = once::key(admitted, route, body.as_deref(), request, world)?;
    let attempt = match once::begin(retry, admitted, route, by, config, world).await? {
        Idempotent::Forward(attempt) => attempt,
        Idempotent::Replay(reply) => return Ok(reply),
    };
    let key = match route.idempotency {
        Idempotency::Ignored => Key::Theirs,
        Idempotency::Accepted | Idempotency::Required => Key::Ours(attempt.as_ref().map(once::id_for_upstream)),
    };
    let answer = match (forward(admitted, route, body, key, request, config, world).await, attempt.as_ref()) {
        (Ok(answer), _) => answer,
        (Err(reason), None) => return Err(reason),
        (Err(reason), Some(attempt)) => {
            attempt.failed(&reason, world).await;
            return Err(reason);
        }
    };
    let attempt = match attempt {
        // Told before the caller learns of it: whoever repeats the request at once finds the key free.
        Some(attempt) if is_refusal(answer.status, &answer.headers, route) => {
            attempt.refused(answer.status, world).await;
            None
        }
        attempt => attempt,
    };
    let headers = returned(answer.headers, config.mirror.as_ref());
    let headers = if answer.status == SWITCHING_PROTOCOLS { websocket::passing(headers) } else { headers };
    let keeping = attempt.map(|attempt| ResponseRecorder::new(attempt, answer.status, &headers));
    let mut reply = Reply::empty(answer.status);
    reply.body = Body::Upstream(Passing { headers, watch: None, kept: None });
    if let Some(keeping) = keeping {
        reply = reply.watched(|watch| watch.keeps(keeping));
    }
    Ok(reply)
}

/// What a route asks for that this version cannot do. It is refused then: passing it on would leave out what the policy wants.
pub fn unserved(route: &Route) -> Option<&'static str> {
    route.review.then_some("its writes wait for a person's approval")
}
