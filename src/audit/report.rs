//! Events on their way to the object that keeps the chain: they may arrive twice and are recorded once.
//!
//! Refusals are told by as many objects as there are conversations, and whoever has a page's public key can open those: in
//! one minute and in one day a chain takes so many of them one by one, and of the others how many there were.

use super::{
    act::{By, Entry},
    record,
};
use crate::{
    codec::time::Timestamp,
    error::Reason,
    object::machine::{Range, Turn, next},
    value::id::Environment,
    wire,
};

/// The number of the last report that this object sent.
const SENT: &str = "audit-sent";
/// The number of the last report that was taken in, by source.
const RECEIVED: &str = "audit-from/";

/// How many refusals this minute and this day have seen, by kind of credential.
const SEEN: &str = "audit-seen/";
/// Refusals that found no room, by kind of credential and reason.
const MORE: &str = "audit-more/";
/// What both have behind the kind, of `test` credentials.
const OF_TEST: &str = "/test";

/// Refusals of one kind of credential that a chain takes one by one in a minute.
const MAX_REFUSALS: u64 = 50;
/// The same in a day. The others of that day are one event for each reason: so strangers add some 600 events a day for each
/// kind at most, about 100 MB a year.
const MAX_REFUSALS_A_DAY: u64 = 500;
const MINUTE_MILLIS: u64 = 60_000;
const DAY_MINUTES: u64 = 1_440;

/// Rows of refusals that found no room, at most: more than there are kinds and reasons.
const MAX_MORE: usize = 200;

struct Seen {
    minute: u64,
    count: u64,
    day: Option<u64>,
    /// How many of that day were taken one by one.
    today: Option<u64>,
}

wire!(Seen { minute, count, day, today });

struct More {
    minute: u64,
    chain: String,
    entry: Entry,
    /// The minute in which it is recorded; none: the next one.
    until: Option<u64>,
}

wire!(More { minute, chain, entry, until });

impl More {
    fn until(&self) -> u64 {
        self.until.unwrap_or_else(|| self.minute.saturating_add(1))
    }
}

/// An event for the chain of another object.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which chain.
    pub chain: String,
    /// The object that tells it.
    pub source: String,
    /// Grows with every report of that object.
    pub sequence: u64,
    /// The event.
    pub entry: Entry,
}

wire!(Report { chain, source, sequence, entry });

impl Report {
    /// The next report of this object, which is called `source`.
    pub fn new(chain: String, source: String, entry: Entry, turn: &mut Turn) -> Result<Self, Reason> {
        let sequence = next(turn.get(SENT)?.unwrap_or_default())?;
        turn.put(SENT, &sequence);
        Ok(Self { chain, source, sequence, entry })
    }
}

/// This object will tell nothing any more.
pub fn forget_sent(turn: &mut Turn) {
    turn.delete(SENT);
}

/// The object `source` is gone, and tells nothing any more.
pub fn forget_source(source: &str, turn: &mut Turn) {
    turn.delete(format!("{RECEIVED}{source}"));
}

/// Records what another object tells; nothing where it was told before. Messages of one object arrive in order.
pub fn receive(report: Report, turn: &mut Turn) -> Result<(), Reason> {
    receive_of(None, report, turn)
}

/// The same, of a credential of this environment: refusals of `test` ones take no room of others.
pub fn receive_of(environment: Option<Environment>, report: Report, turn: &mut Turn) -> Result<(), Reason> {
    let key = format!("{RECEIVED}{}", report.source);
    if turn.get::<u64>(&key)?.is_some_and(|known| report.sequence <= known) {
        return Ok(());
    }
    turn.put(key, &report.sequence);
    let Report { chain, entry, .. } = report;
    let kind = entry.by.actor.split_once(':').map(|(kind, _)| kind.to_owned());
    match kind.filter(|_| entry.outcome == "refused") {
        Some(kind) if environment == Some(Environment::Test) => refuse(&format!("{kind}{OF_TEST}"), chain, entry, turn),
        Some(kind) => refuse(&kind, chain, entry, turn),
        None => record(&chain, entry, turn),
    }
}

/// Records a refusal where there is room for it in this minute and day, and counts it where there is none.
fn refuse(kind: &str, chain: String, entry: Entry, turn: &mut Turn) -> Result<(), Reason> {
    let (key, minute) = (format!("{SEEN}{kind}"), minute(turn.at()));
    let day = minute / DAY_MINUTES;
    let known: Option<Seen> = turn.get(&key)?;
    let today = known.as_ref().filter(|seen| seen.day == Some(day)).and_then(|seen| seen.today).unwrap_or_default();
    let is_full = today >= MAX_REFUSALS_A_DAY;
    let seen = match known {
        Some(seen) if seen.minute == minute || is_full => seen.count,
        // The first of a minute does not wait for the alarm to end the one before.
        _ => wake(turn).map(|()| 0)?,
    };
    if seen < MAX_REFUSALS && !is_full {
        turn.put(key, &Seen { minute, count: seen + 1, day: Some(day), today: Some(today + 1) });
        return record(&chain, entry, turn);
    }
    let until = if is_full { day.saturating_add(1).saturating_mul(DAY_MINUTES) } else { minute.saturating_add(1) };
    let key = format!("{MORE}{kind}/{}", entry.reason.as_deref().unwrap_or_default());
    let known: Option<More> = turn.get(&key)?;
    let count = known.as_ref().and_then(|more| more.entry.count).unwrap_or_default();
    let count = Some(count.saturating_add(entry.count.unwrap_or(1)));
    let first = known.map_or_else(
        || {
            let by = By { actor: format!("{}:*", kind.trim_end_matches(OF_TEST)), ..entry.by };
            Entry { by, target: "*".to_owned(), ..entry }
        },
        |more| more.entry,
    );
    turn.put(key, &More { minute, chain, entry: Entry { count, ..first }, until: Some(until) });
    turn.wake_at(start_of(until))
}

/// The alarm rang: records how many found no room in minutes and days that are over.
pub(crate) fn wake(turn: &mut Turn) -> Result<(), Reason> {
    let now = minute(turn.at());
    for (key, more) in
        turn.list_readable::<More>(&Range { prefix: MORE, after: None, reverse: false, limit: MAX_MORE })?
    {
        if (more.minute..more.until()).contains(&now) {
            turn.wake_at(start_of(more.until()))?;
        } else {
            turn.delete(key);
            record(&more.chain, more.entry, turn)?;
        }
    }
    Ok(())
}

fn minute(at: Timestamp) -> u64 {
    at.0 / MINUTE_MILLIS
}

fn start_of(minute: u64) -> Timestamp {
    Timestamp(minute.saturating_mul(MINUTE_MILLIS))
}
