//! What is told of by the minute: refusals of genuine credentials, and uses of deploy keys. One event each, with a count.
//!
//! A use is counted in the transaction that admits it. A refusal is counted in memory and written at 1, 2, 4, 8 and so on: a
//! flood costs a few writes, and a crash loses less than half of a count. When the minute is over, the alarm tells the object
//! that keeps the chain. What goes on minute after minute is told by the hour, for the rest of the day.

use super::use_reports;
use crate::{
    audit::{By, Entry, Report},
    codec::time::Timestamp,
    error::Reason,
    machines::{
        deployment::{self, Deployment},
        workspace::{self, Workspace},
    },
    object::machine::{Range, Turn},
    wire,
};

const TALLIES: &str = "tally/";
/// How often this day was told, by what; until the day is over.
pub const TOLD: &str = "told/";
const MINUTE_MILLIS: u64 = 60_000;
const HOUR_MINUTES: u64 = 60;
const DAY_MINUTES: u64 = 1_440;

/// Events of one credential and reason, or call, that a day tells by the minute; then it is by the hour: 34 events a day at most.
const MINUTES_A_DAY: u64 = 10;

/// The same of a server's credential; then it is by the day, and days end at another minute for each of them: a workspace may have ten
/// thousand that are refused all the time.
const MINUTES_A_DAY_OF_A_SERVER: u64 = 3;

/// More rows than there are reasons and calls: one alarm tells of all of them.
const MAX_TALLIES: usize = 200;

/// What memory knows of the refusals of this minute or hour; rows know it to the next lower power of two.
#[derive(Default)]
pub struct MinuteCounts(Vec<Counted>);

/// A refusal that was counted: memory learns it once the turn is stored.
#[derive(Clone)]
pub struct Counted {
    key: String,
    minute: u64,
    until: u64,
    count: u64,
}

/// Who tells it, and to which chain.
#[derive(Clone, Debug)]
pub struct Place {
    /// The object that counts.
    pub source: String,
    /// The chain that is told.
    pub chain: String,
}

wire!(Place { source, chain });

struct MinuteCount {
    minute: u64,
    count: u64,
    place: Place,
    entry: Entry,
    /// The minute in which it is told; none: the next one.
    until: Option<u64>,
}

wire!(MinuteCount { minute, count, place, entry, until });

impl MinuteCount {
    fn until(&self) -> u64 {
        self.until.unwrap_or_else(|| self.minute.saturating_add(1))
    }

    fn goes_on(&self, now: u64) -> bool {
        (self.minute..self.until()).contains(&now)
    }
}

struct Told {
    day: u64,
    count: u64,
}

wire!(Told { day, count });

impl MinuteCounts {
    /// Counts a refusal of the genuine credential `target`.
    pub fn refuse(
        &self,
        place: impl FnOnce() -> Place,
        by: By,
        target: &str,
        reason: &Reason,
        turn: &mut Turn,
    ) -> Result<Counted, Reason> {
        let entry = Entry::refused(by, target, reason, turn.at());
        let key = key(&entry, reason.name());
        let now = minute(turn.at());
        let known = self.0.iter().find(|known| known.key == key && (known.minute..known.until).contains(&now));
        if let Some(known) = known.filter(|known| !(known.count + 1).is_power_of_two()) {
            return Ok(Counted { count: known.count + 1, ..known.clone() });
        }
        let stored = self.take(&key, now, turn)?;
        let (minute, until) = match (&stored, known) {
            (Some(stored), _) => (stored.minute, stored.until()),
            (None, Some(known)) => (known.minute, known.until),
            (None, None) => (now, next_telling(&key, &entry, now, turn)?),
        };
        let known = known.map(|known| known.count);
        let count = known.max(stored.as_ref().map(|stored| stored.count)).unwrap_or_default().saturating_add(1);
        if count.is_power_of_two() {
            let (place, entry) = stored.map_or_else(|| (place(), entry), |stored| (stored.place, stored.entry));
            put(&key, &MinuteCount { minute, count, place, entry, until: Some(until) }, turn)?;
        }
        Ok(Counted { key, minute, until, count })
    }

    /// Counts what was done, whatever becomes of this process.
    pub fn admit(&self, place: Place, entry: Entry, turn: &mut Turn) -> Result<(), Reason> {
        let key = key(&entry, &entry.target);
        let minute = minute(turn.at());
        let stored = self.take(&key, minute, turn)?;
        let stored = match stored {
            Some(stored) => stored,
            None => {
                let until = Some(next_telling(&key, &entry, minute, turn)?);
                MinuteCount { minute, count: 0, place, entry, until }
            }
        };
        put(&key, &MinuteCount { count: stored.count.saturating_add(1), ..stored }, turn)
    }

    /// The alarm rang: tells of the minutes and hours that are over.
    pub fn wake(&self, turn: &mut Turn) -> Result<(), Reason> {
        let now = minute(turn.at());
        let range = Range { prefix: TALLIES, after: None, reverse: false, limit: MAX_TALLIES };
        for (key, tally) in turn.list_readable::<MinuteCount>(&range)? {
            if tally.goes_on(now) {
                turn.wake_at(start_of(tally.until()))?;
            } else {
                self.tell(&key, tally, turn)?;
                turn.delete(key);
            }
        }
        let range = Range { prefix: TOLD, ..range };
        for (key, told) in turn.list_readable::<Told>(&range)? {
            if told.day == day(now) {
                turn.wake_at(start_of(next_day(now)))?;
            } else {
                turn.delete(key);
            }
        }
        Ok(())
    }

    /// Tells of all that was counted, also in this minute.
    pub fn tell_all(&self, turn: &mut Turn) -> Result<(), Reason> {
        let range = Range { prefix: TALLIES, after: None, reverse: false, limit: MAX_TALLIES };
        for (key, tally) in turn.list_readable::<MinuteCount>(&range)? {
            self.tell(&key, tally, turn)?;
            turn.delete(key);
        }
        Ok(())
    }

    /// Learns what was counted.
    pub fn apply(&mut self, counted: Counted) {
        self.0.retain(|known| known.key != counted.key);
        self.0.push(counted);
    }

    fn count(&self, key: &str, minute: u64) -> Option<u64> {
        let known = self.0.iter().find(|known| known.key == key && known.minute == minute);
        known.map(|known| known.count)
    }

    /// The row of this minute or hour; one that is over is told of first.
    fn take(&self, key: &str, minute: u64, turn: &mut Turn) -> Result<Option<MinuteCount>, Reason> {
        match turn.get::<MinuteCount>(key)? {
            Some(tally) if !tally.goes_on(minute) => self.tell(key, tally, turn).map(|()| None),
            found => Ok(found),
        }
    }

    fn tell(&self, key: &str, tally: MinuteCount, turn: &mut Turn) -> Result<(), Reason> {
        let MinuteCount { minute, count, place, entry, until } = tally;
        let count = self.count(key, minute).max(Some(count));
        if until.is_some() {
            let (row, now) = (told_row(key), self::minute(turn.at()));
            let known = turn.get::<Told>(&row)?.filter(|told| told.day == day(now));
            let count = known.map_or(0, |told| told.count).saturating_add(1);
            turn.put(row, &Told { day: day(now), count });
            turn.wake_at(start_of(next_day(now)))?;
        }
        tell(place, Entry { count, ..entry }, turn)
    }
}

/// Sends an event to the object that keeps the chain.
pub fn tell(place: Place, entry: Entry, turn: &mut Turn) -> Result<(), Reason> {
    let Some((kind, name)) = place.chain.split_once(':').map(|(kind, name)| (kind.to_owned(), name.to_owned())) else {
        return Ok(());
    };
    let report = Report::new(place.chain, place.source, entry, turn)?;
    match kind.as_str() {
        "deployment" => turn.send::<Deployment>(&name, &deployment::Command::Report(report)),
        _ => turn.send::<Workspace>(&name, &workspace::Command::Report(report)),
    }
}

fn put(key: &str, tally: &MinuteCount, turn: &mut Turn) -> Result<(), Reason> {
    turn.put(key, tally);
    turn.wake_at(start_of(tally.until()))
}

/// The minute in which a refusal is told that is counted from now on: the next one, until the day has told of it often.
fn next_telling(key: &str, entry: &Entry, now: u64, turn: &Turn) -> Result<u64, Reason> {
    let told = turn.get::<Told>(&told_row(key))?.filter(|told| told.day == day(now)).map_or(0, |told| told.count);
    let is_of_a_server = ["server_key:", "service_token:"].iter().any(|kind| entry.by.actor.starts_with(kind));
    let (step, offset) = match is_of_a_server {
        true if told >= MINUTES_A_DAY_OF_A_SERVER => (DAY_MINUTES, use_reports::spread(&entry.target, DAY_MINUTES)),
        false if told >= MINUTES_A_DAY => (HOUR_MINUTES, 0),
        _ => (1, 0),
    };
    Ok((now.saturating_add(offset) / step).saturating_add(1).saturating_mul(step).saturating_sub(offset))
}

fn told_row(key: &str) -> String {
    format!("{TOLD}{key}")
}

fn day(minute: u64) -> u64 {
    minute / DAY_MINUTES
}

fn next_day(minute: u64) -> u64 {
    day(minute).saturating_add(1).saturating_mul(DAY_MINUTES)
}

fn key(entry: &Entry, what: &str) -> String {
    format!("{TALLIES}{}/{what}", entry.action)
}

fn minute(at: Timestamp) -> u64 {
    at.0 / MINUTE_MILLIS
}

fn start_of(minute: u64) -> Timestamp {
    Timestamp(minute.saturating_mul(MINUTE_MILLIS))
}
