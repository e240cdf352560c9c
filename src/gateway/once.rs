//! A gateway write with an `Idempotency-Key`: its credential's object is asked whether it goes out, or what came of it before.

use super::{
    store_answers::Answer,
    store_once::{Begin, Command, Reply as Word},
};
use crate::{
    admission::minute_counts::Place,
    audit::{self, By},
    call::{
        config::Config,
        idempotency_key,
        meter::Admitted,
        reply::{Body, Passing, Reply},
        request::Request,
    },
    error::Reason,
    machines::credential::{self, Credential},
    object::{
        idempotency::{RetryKey, hex},
        machine::World,
    },
    policy::{Idempotency, Route},
    upstream::answer_copy::Attempt,
    world::upstream::reflect,
};
use sha2::{Digest as _, Sha256};

/// What becomes of a write.
pub enum Idempotent {
    /// It goes out: as an attempt, where it came with a key.
    Forward(Option<Attempt>),
    /// It went out before: this came of it.
    Replay(Reply),
}

/// The key of a write, where the route honours one; refused where it requires one and none came.
pub fn key(
    admitted: &Admitted,
    route: &Route,
    body: Option<&[u8]>,
    request: &Request,
    world: &impl World,
) -> Result<Option<RetryKey>, Reason> {
    if route.idempotency == Idempotency::Ignored {
        return Ok(None);
    }
    let scope = ["gateway", admitted.principal().id().as_str(), &request.method, request.path()];
    let key = idempotency_key::parse(world, &scope, body.unwrap_or_default())?;
    if key.is_none() && route.idempotency == Idempotency::Required {
        return Err(Reason::IdempotencyKeyMissing);
    }
    // Another query is another request, as another body is.
    let digest = |body: [u8; 32]| Sha256::new().chain_update(body).chain_update(request.query()).finalize().into();
    Ok(key.map(|key| RetryKey { body: digest(key.body), ..key }))
}

/// Asks whether it goes out.
pub async fn begin(
    retry: Option<RetryKey>,
    admitted: &Admitted,
    route: &Route,
    by: By,
    config: &Config,
    world: &impl World,
) -> Result<Idempotent, Reason> {
    let Some(retry) = retry else { return Ok(Idempotent::Forward(None)) };
    let principal = admitted.principal();
    let chain = principal.workspace().map(|workspace| audit::workspace(workspace.as_str()));
    let chain = chain.unwrap_or_else(|| audit::deployment(&config.deployment));
    let place = Place { source: principal.id().as_str().to_owned(), chain };
    let attempt = Attempt { object: principal.object().to_owned(), key: retry.key, id: by.request_id.clone() };
    let begin = Command::Begin(Begin { retry, by, route: route.name(), place });
    match world.ask::<Credential>(&attempt.object, credential::Command::Once(Box::new(begin))).await {
        Ok(credential::Reply::Once(Word::Go)) => Ok(Idempotent::Forward(Some(attempt))),
        Ok(credential::Reply::Once(Word::Replay(answer))) => Ok(Idempotent::Replay(replay(answer, config))),
        Ok(credential::Reply::Once(Word::Refused(reason))) => Err(reason),
        Ok(_) => Err(Reason::Unavailable),
        Err(reason) => {
            // It may have been written all the same, and nothing goes out.
            if matches!(reason, Reason::Unavailable | Reason::ObjectFailed) {
                attempt.failed(&reason, world).await;
            }
            Err(reason)
        }
    }
}

/// What the upstream gets instead of the caller's key: the same for each attempt, and for no other credential.
pub fn id_for_upstream(attempt: &Attempt) -> String {
    format!("idk_{}", hex(&attempt.key))
}

/// The answer of an earlier request.
fn replay(mut answer: Answer, config: &Config) -> Reply {
    // An earlier build kept them as the upstream wrote them.
    if let Some(mirror) = &config.mirror {
        reflect(&mut answer.headers, mirror);
    }
    let mut reply = Reply::empty(answer.status).with("idempotent-replayed", "true");
    reply.body = Body::Upstream(Passing { headers: answer.headers, watch: None, kept: Some(answer.body.0) });
    reply
}
