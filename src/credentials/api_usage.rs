//! `/v1/credentials/{id}/usage`: how much, when, with which secret and for what: and what was never used.

use super::api::find;
use crate::{
    admission::usage::{Minute, Share, Span},
    call::{body, log::Notes, reply::Reply},
    codec::time::Timestamp,
    error::Reason,
    machines::credential::{Command, Credential, Reply as Answer},
    object::machine::World,
    road::dispatch::Asked,
};
use serde::Serialize;

const MINUTE_MILLIS: u64 = 60_000;

/// Steps that one answer tells at most.
const MAX_STEPS: u64 = 1_500;

#[derive(Serialize)]
struct Usage<'a> {
    last_used_at: Option<String>,
    total: u64,
    denied: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<Tokens>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<&'a str>,
    bucket: &'static str,
    series: Vec<Step>,
    by_secret: Vec<BySecret<'a>>,
    by_scope: Vec<ByScope<'a>>,
}

#[derive(Serialize)]
struct Tokens {
    used: u64,
}

#[derive(Serialize)]
struct Step {
    at: String,
    total: u64,
    denied: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<u64>,
}

#[derive(Serialize)]
struct BySecret<'a> {
    hint: &'a str,
    last_used_at: Option<String>,
    total: u64,
}

#[derive(Serialize)]
struct ByScope<'a> {
    scope: &'a str,
    last_used_at: Option<String>,
    total: u64,
}

/// A width of the steps: its name, its minutes, and how many steps back the answer begins where nobody says.
const BUCKETS: [(&str, u64, u64); 3] = [("minute", 1, 60), ("hour", 60, 24), ("day", 1_440, 30)];

/// `GET /v1/credentials/{id}/usage`.
pub async fn read(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let steps = steps(asked, world)?;
    let record = find(asked, world, notes).await?;
    let Some(name) = record.key_object() else {
        return Err(Reason::invalid("id", "The usage of a widget key is not counted: it is public."));
    };
    let previous = record.previous.iter().map(|overlap| &overlap.secret);
    let secrets = [&record.current].into_iter().chain(previous).map(|secret| secret.hint.as_str()).collect();
    let scopes = record.key.iter().flat_map(|key| &key.scopes).map(|scope| scope.as_str()).collect();
    answer(&name, &steps, &Known { secrets, scopes }, world).await
}

/// The part of the past that is asked for, and the name of its steps.
pub struct Steps {
    span: Span,
    bucket: &'static str,
}

/// What a credential has, used or not.
pub struct Known<'a> {
    /// Hints of the secrets that live.
    pub secrets: Vec<&'a str>,
    /// Its scopes.
    pub scopes: Vec<&'a str>,
}

/// The parameters `bucket`, `from` and `to`.
pub fn steps(asked: &Asked<'_>, world: &impl World) -> Result<Steps, Reason> {
    let bucket = asked.query("bucket")?.unwrap_or_else(|| "hour".to_owned());
    let bucket = BUCKETS.into_iter().find(|(name, ..)| *name == bucket);
    let (bucket, step, back) = bucket.ok_or_else(|| Reason::invalid("bucket", "One of minute, hour and day."))?;
    let to = body::moment("to", asked.query("to")?)?.unwrap_or(world.now()).0 / MINUTE_MILLIS;
    let to = (to - to % step).saturating_add(step);
    let from = match body::moment("from", asked.query("from")?)? {
        Some(moment) => moment.0 / MINUTE_MILLIS / step * step,
        None => to.saturating_sub(back * step),
    };
    if from >= to {
        return Err(Reason::invalid("from", "A moment before `to`."));
    }
    if (to - from) / step > MAX_STEPS {
        return Err(Reason::invalid("from", "At most 1500 steps at once: ask for less, or for wider steps."));
    }
    Ok(Steps { span: Span { from, to, step }, bucket })
}

/// How much the credential whose object is called `name` was used.
pub async fn answer(name: &str, steps: &Steps, known: &Known<'_>, world: &impl World) -> Result<Reply, Reason> {
    let ask = Command::ReadUsage(steps.span);
    let Answer::Usage(usage, series, _) = world.ask::<Credential>(name, ask).await? else {
        return Err(Reason::Unavailable);
    };
    Reply::json(
        200,
        &Usage {
            last_used_at: usage.last_used_at.map(Timestamp::rfc3339),
            total: usage.total,
            denied: usage.denied,
            tokens: usage.tokens.map(|used| Tokens { used }),
            network: usage.network.as_deref(),
            bucket: steps.bucket,
            series: series.into_iter().map(shown_step).collect(),
            by_secret: by_secret(known, &usage.secrets),
            by_scope: by_scope(known, &usage.scopes),
        },
    )
}

fn shown_step(Minute { minute, total, denied, tokens }: Minute) -> Step {
    Step { at: Timestamp(minute.saturating_mul(MINUTE_MILLIS)).rfc3339(), total, denied, tokens }
}

/// Every secret that lives, used or not, and those that did.
fn by_secret<'a>(known: &Known<'a>, used: &'a [Share]) -> Vec<BySecret<'a>> {
    let parts = parts(&known.secrets, used);
    parts.map(|(hint, last_used_at, total)| BySecret { hint, last_used_at, total }).collect()
}

/// Every scope that it has, used or not, and what else it was used for: by a scope that implies it.
fn by_scope<'a>(known: &Known<'a>, used: &'a [Share]) -> Vec<ByScope<'a>> {
    let parts = parts(&known.scopes, used);
    parts.map(|(scope, last_used_at, total)| ByScope { scope, last_used_at, total }).collect()
}

fn parts<'a>(known: &[&'a str], used: &'a [Share]) -> impl Iterator<Item = (&'a str, Option<String>, u64)> {
    let known = known.to_vec();
    let others: Vec<&str> = used.iter().map(|share| share.name.as_str()).filter(|name| !known.contains(name)).collect();
    known.into_iter().chain(others).map(|name| match used.iter().find(|share| share.name == name) {
        Some(share) => (name, Some(share.last_used_at.rfc3339()), share.total),
        None => (name, None, 0),
    })
}
