//! What is told of by the minute: refusals of genuine credentials, and uses of deploy keys. One event each, with a count.
//!
//! A use is counted in the transaction that admits it. A refusal is counted in memory and written at 1, 2, 4, 8 and so on of
//! a minute: a flood costs a few writes, and a crash loses less than half of a count. When the minute is over, the alarm tells
//! the object that keeps the chain.

use super::{
    deployment::{self, Deployment},
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
const MINUTE_MILLIS: u64 = 60_000;

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
}

wire!(Tally { minute, count, place, entry });

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
        let counted = |count| Counted { key: key.clone(), minute, count };
        if let Some(known) = known.filter(|known| !(known + 1).is_power_of_two()) {
            return Ok(counted(known + 1));
        }
        let stored = self.take(&key, minute, turn)?;
        let count = known.max(stored.as_ref().map(|stored| stored.count)).unwrap_or_default().saturating_add(1);
        if count.is_power_of_two() {
            let (place, entry) = stored.map_or_else(|| (place(), entry), |stored| (stored.place, stored.entry));
            put(&key, &Tally { minute, count, place, entry }, turn)?;
        }
        Ok(counted(count))
    }

    /// Counts what was done, whatever becomes of this process.
    pub fn admit(&self, place: Place, entry: Entry, turn: &mut Turn) -> Result<(), Reason> {
        let key = key(&entry, &entry.target);
        let minute = minute(turn.at());
        let stored = self.take(&key, minute, turn)?;
        let stored = stored.unwrap_or(Tally { minute, count: 0, place, entry });
        put(&key, &Tally { count: stored.count.saturating_add(1), ..stored }, turn)
    }

    /// The alarm rang: tells of the minutes that are over.
    pub fn wake(&self, turn: &mut Turn) -> Result<(), Reason> {
        let minute = minute(turn.at());
        let range = Range { prefix: TALLIES, after: None, reverse: false, limit: MAX_TALLIES };
        for (key, tally) in turn.list_readable::<Tally>(&range)? {
            if tally.minute == minute {
                turn.wake_at(end_of(minute))?;
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

    fn count(&self, key: &str, minute: u64) -> Option<u64> {
        let known = self.0.iter().find(|known| known.key == key && known.minute == minute);
        known.map(|known| known.count)
    }

    /// The row of this minute; one of another minute is told of first.
    fn take(&self, key: &str, minute: u64, turn: &mut Turn) -> Result<Option<Tally>, Reason> {
        match turn.get::<Tally>(key)? {
            Some(tally) if tally.minute != minute => self.tell(key, tally, turn).map(|()| None),
            found => Ok(found),
        }
    }

    fn tell(&self, key: &str, tally: Tally, turn: &mut Turn) -> Result<(), Reason> {
        let Tally { minute, count, place, entry } = tally;
        let count = self.count(key, minute).max(Some(count));
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

fn put(key: &str, tally: &Tally, turn: &mut Turn) -> Result<(), Reason> {
    turn.put(key, tally);
    turn.wake_at(end_of(tally.minute))
}

fn key(entry: &Entry, what: &str) -> String {
    format!("{TALLIES}{}/{what}", entry.action)
}

fn minute(at: Timestamp) -> u64 {
    at.0 / MINUTE_MILLIS
}

fn end_of(minute: u64) -> Timestamp {
    Timestamp(minute.saturating_add(1).saturating_mul(MINUTE_MILLIS))
}
