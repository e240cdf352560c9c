//! What is told of by the minute: refusals of genuine credentials, and uses of deploy keys. One event each, with a count.
//!
//! A use is counted in the transaction that admits it. A refusal is counted in memory and written at 1, 2, 4, 8 and so on of
//! a minute: a flood costs a few writes, and a crash loses less than half of a count. When the minute is over, the alarm tells
//! the object that keeps the chain. Of a server's credential three minutes of a day are told so, and what follows as one: what a workspace
//! is told does not grow with how long its keys are refused.

use super::{
    deployment::{self, Deployment},
    news,
    workspace::{self, Workspace},
};
use crate::{
    audit::{By, Entry, Report},
    error::Reason,
    machine::{Range, Turn},
    time::Timestamp,
    wire,
};

const TALLIES: &str = "tally/";
/// Minutes that were told of a day, of a server's credential: that day, and how many.
const TOLD: &str = "tally-told/";
const MINUTE_MILLIS: u64 = 60_000;
const DAY_MINUTES: u64 = 1_440;

/// Minutes of a day that are told by themselves.
const MINUTES: u64 = 3;

/// More rows than there are reasons and calls: one alarm tells of all of them.
const MAX_TALLIES: usize = 200;

/// What memory knows of this minute's refusals; rows know it to the next lower power of two.
#[derive(Default)]
pub struct Tallies(Vec<Counted>);

/// A refusal that was counted: memory learns it once the turn is stored.
#[derive(Clone)]
pub struct Counted {
    key: String,
    minute: u64,
    count: u64,
    until: u64,
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

struct Tally {
    minute: u64,
    count: u64,
    place: Place,
    entry: Entry,
    /// The minute before which it is not told; none: the next one.
    until: Option<u64>,
}

wire!(Tally { minute, count, place, entry, until });

impl Tally {
    fn until(&self) -> u64 {
        self.until.unwrap_or(self.minute.saturating_add(1))
    }

    fn is_open(&self, minute: u64) -> bool {
        (self.minute..self.until()).contains(&minute)
    }
}

impl Tallies {
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
        let minute = minute(turn.at());
        let known = self.count(&key, minute);
        if let Some(known) = known.filter(|known| !(known.count + 1).is_power_of_two()) {
            return Ok(Counted { count: known.count + 1, ..known.clone() });
        }
        let stored = match self.take(&key, minute, turn)? {
            Some(stored) => stored,
            None => {
                let place = place();
                let until = until(&key, minute, &entry, &place, turn)?;
                Tally { minute, count: 0, place, entry, until }
            }
        };
        let count = known.map_or(0, |known| known.count).max(stored.count).saturating_add(1);
        let counted = Counted { key, minute: stored.minute, count, until: stored.until() };
        if count.is_power_of_two() {
            put(&counted.key, &Tally { count, ..stored }, turn)?;
        }
        Ok(counted)
    }

    /// Counts what was done, whatever becomes of this process.
    pub fn admit(&self, place: Place, entry: Entry, turn: &mut Turn) -> Result<(), Reason> {
        let key = key(&entry, &entry.target);
        let minute = minute(turn.at());
        let stored = self.take(&key, minute, turn)?;
        let stored = stored.unwrap_or(Tally { minute, count: 0, place, entry, until: None });
        put(&key, &Tally { count: stored.count.saturating_add(1), ..stored }, turn)
    }

    /// The alarm rang: tells of the minutes that are over.
    pub fn wake(&self, turn: &mut Turn) -> Result<(), Reason> {
        let minute = minute(turn.at());
        let range = Range { prefix: TALLIES, after: None, reverse: false, limit: MAX_TALLIES };
        for (key, tally) in turn.list_readable::<Tally>(&range)? {
            if tally.is_open(minute) {
                turn.wake_at(start_of(tally.until()))?;
            } else {
                self.tell(&key, tally, turn)?;
                turn.delete(key);
            }
        }
        Ok(())
    }

    /// Learns what was counted.
    pub fn learn(&mut self, counted: Counted) {
        self.0.retain(|known| known.key != counted.key);
        self.0.push(counted);
    }

    fn count(&self, key: &str, minute: u64) -> Option<&Counted> {
        self.0.iter().find(|known| known.key == key && (known.minute..known.until).contains(&minute))
    }

    /// The row that counts in this minute; one that is over is told of first.
    fn take(&self, key: &str, minute: u64, turn: &mut Turn) -> Result<Option<Tally>, Reason> {
        match turn.get::<Tally>(key)? {
            Some(tally) if !tally.is_open(minute) => self.tell(key, tally, turn).map(|()| None),
            found => Ok(found),
        }
    }

    fn tell(&self, key: &str, tally: Tally, turn: &mut Turn) -> Result<(), Reason> {
        let Tally { minute, count, place, entry, .. } = tally;
        let count = self.count(key, minute).map_or(count, |known| known.count.max(count));
        tell(place, Entry { count: Some(count), ..entry }, turn)
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

fn put(key: &str, tally: &Tally, turn: &mut Turn) -> Result<(), Reason> {
    turn.put(key, tally);
    turn.wake_at(start_of(tally.until()))
}

/// When a refusal that is counted now is told, where that is not in the next minute: days begin at another minute for each credential.
fn until(key: &str, minute: u64, entry: &Entry, place: &Place, turn: &mut Turn) -> Result<Option<u64>, Reason> {
    if !["server_key:", "service_token:"].iter().any(|kind| entry.by.actor.starts_with(kind)) {
        return Ok(None);
    }
    let offset = news::spread(&place.source, DAY_MINUTES);
    let day = minute.saturating_add(offset) / DAY_MINUTES;
    let row = format!("{TOLD}{key}");
    let told = turn.get::<(u64, u64)>(&row)?.filter(|(known, _)| *known == day).map_or(0, |(_, told)| told);
    if told >= MINUTES {
        let next = (day.saturating_add(1).saturating_mul(DAY_MINUTES)).saturating_sub(offset);
        return Ok(Some(next.max(minute.saturating_add(1))));
    }
    turn.put(row, &(day, told + 1));
    Ok(None)
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
