//! How the upstream is, for anybody who asks: mostly by what is known already, so that asking often asks it nothing more.

use crate::{
    call::{config::Config, reply::Reply, request::pairs},
    codec::time::Timestamp,
    error::Reason,
    object::machine::World,
    upstream::circuit_breaker::Circuit,
    world::upstream::{Outgoing, Sent},
};
use serde::Serialize;

/// It is asked once in so long at most, by each isolate: strangers must not be able to make us call it.
const PAUSE_MILLIS: u64 = 5_000;

/// And has so long to say anything at all.
const TIMEOUT_SECONDS: u32 = 5;

/// When an isolate asked last, and what came of it.
#[derive(Debug, Default)]
struct Asked {
    at: Option<Timestamp>,
    is_well: Option<bool>,
}

/// The answer of `/healthz`.
#[derive(Serialize)]
struct Health {
    status: &'static str,
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<Upstream>,
}

#[derive(Serialize)]
struct Upstream {
    status: &'static str,
    /// When it was seen so; `null` where nothing has been asked yet.
    checked_at: Option<String>,
}

/// Claviger's own.
pub fn own() -> Result<Reply, Reason> {
    Reply::json(200, &health("ok", None))
}

/// Whether a query asks for the health of the upstream as well.
pub fn asks_for_upstream(query: &str) -> bool {
    pairs(query).any(|(name, _)| name == "upstream")
}

/// And that of the upstream: 200 where it is well, 503 otherwise.
pub async fn with_upstream(config: &Config, world: &impl World) -> Result<Reply, Reason> {
    let Some(origin) = &config.upstream else {
        return Reply::json(503, &health("failing", Some(Upstream { status: "not_configured", checked_at: None })));
    };
    let at = world.now();
    let by_calls = world.isolate().with(|circuit: &mut Circuit| circuit.is_well(at));
    let (is_well, checked_at) = match by_calls {
        Some(is_well) => (is_well, Some(at)),
        None => ask(origin, world).await,
    };
    let status = if is_well { "ok" } else { "failing" };
    let upstream = Upstream { status, checked_at: checked_at.map(Timestamp::rfc3339) };
    Reply::json(if is_well { 200 } else { 503 }, &health(status, Some(upstream)))
}

/// Asks it, or says what came of the last time. Where that is still under way and was the first: calls go through until it is known.
async fn ask(origin: &str, world: &impl World) -> (bool, Option<Timestamp>) {
    let at = world.now();
    let known = world.isolate().with(|asked: &mut Asked| {
        // Before it, the clock has stepped back.
        let is_fresh = |last: Timestamp| (last..last.plus_millis(PAUSE_MILLIS)).contains(&at);
        if asked.at.is_some_and(is_fresh) {
            return Some((asked.is_well.unwrap_or(true), asked.at.filter(|_| asked.is_well.is_some())));
        }
        asked.at = Some(at);
        None
    });
    if let Some(known) = known {
        return known;
    }
    // Whatever it says, it is there: only silence is not.
    let call = Outgoing {
        method: "HEAD".to_owned(),
        url: format!("{origin}/"),
        body: Sent::Nothing,
        headers: vec![("user-agent".to_owned(), concat!("claviger/", env!("CARGO_PKG_VERSION")).to_owned())],
        timeout_seconds: TIMEOUT_SECONDS,
        outlives_caller: true,
    };
    let answers = world.isolate().with(|circuit: &mut Circuit| circuit.answers());
    let is_well = world.forward(call).await.is_ok();
    world.isolate().with(|circuit: &mut Circuit| circuit.probed(answers, is_well, world.now()));
    world.isolate().with(|asked: &mut Asked| (asked.at, asked.is_well) = (Some(world.now()), Some(is_well)));
    (is_well, Some(world.now()))
}

fn health(status: &'static str, upstream: Option<Upstream>) -> Health {
    Health { status, version: env!("CARGO_PKG_VERSION"), upstream }
}
