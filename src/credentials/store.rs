//! The room of credentials: how many rows each environment keeps, in which order they were made, and what ended is forgotten.
//!
//! A row is kept while its credential lives, and for 90 days after its end. Where an environment has no room left, the credentials that
//! ended first are forgotten sooner. Their id and the hashes of their secrets stay, so that none ever comes back. A row that an
//! earlier version wrote is in no index yet: such rows are counted and indexed some at a time, whenever the number of all of them is
//! not the one that was written here last.

use crate::{
    codec::time::Timestamp,
    error::Reason,
    object::machine::{Range, Turn},
    value::id::{CredentialId, Environment},
    wire,
};

/// Rows that each environment keeps, ended ones included: a list stays bounded, and a leaked deploy key cannot fill the disk.
pub const MAX_KEPT: usize = 10_000;

/// A credential that ended is kept in full for so long: 90 days.
const KEPT_SECONDS: u64 = 90 * 86_400;

/// While a deployment goes out, an earlier version may answer for so long beside this one: a day.
const ROLLING_SECONDS: u64 = 86_400;

/// Rows of an earlier version that one turn counts.
const COUNTED_ROWS: usize = 250;
/// Credentials that one turn forgets.
const FORGOTTEN_ROWS: usize = 100;

/// Both environments.
pub(crate) const BOTH: [Environment; 2] = [Environment::Live, Environment::Test];

/// Where the rows of one sort of credentials are.
pub(crate) struct Room {
    /// The rows themselves, by id.
    pub rows: &'static str,
    /// How their ids begin.
    pub kinds: &'static [&'static str],
    /// How many there are in all: earlier versions know this number alone.
    pub total: &'static str,
    /// How many there are of each environment.
    pub counts: &'static str,
    /// Their ids by environment and by when they were made; none where there are no environments.
    pub made: Option<&'static str>,
    /// Their ids by environment and by when they end.
    pub ends: &'static str,
    /// What stays of those that are forgotten.
    pub forgotten: &'static str,
    /// Reads one of the rows.
    pub read: fn(&str, &Turn) -> Result<Option<Facts>, Reason>,
}

/// What decides about the room of a credential.
#[derive(Debug)]
pub(crate) struct Facts {
    /// Whose room it takes.
    pub environment: Environment,
    /// Whether it takes any.
    pub takes_room: bool,
    /// When it ended or will end, as far as that is known.
    pub ends_at: Option<Timestamp>,
    /// Hashes of its secrets.
    pub hashes: Vec<[u8; 32]>,
}

/// How many rows there are.
#[derive(Default)]
pub(crate) struct Counts {
    live: usize,
    test: usize,
    /// The total that was written with them.
    total: usize,
    /// The last row that was counted; none once all were.
    counted: Option<String>,
    /// When all are counted and indexed once more: an earlier version that still answers meanwhile keeps no index.
    again: Option<Timestamp>,
    /// Grows with every row that is made.
    made: usize,
}

wire!(Counts { live, test, total, counted, again, made });

/// What stays of a credential that ended long ago.
pub(crate) struct Forgotten {
    /// When it ended.
    pub at: Timestamp,
    /// The hashes of its secrets.
    pub hashes: Vec<[u8; 32]>,
}

wire!(Forgotten { at, hashes });

impl Counts {
    fn of(&mut self, environment: Environment) -> &mut usize {
        match environment {
            Environment::Live => &mut self.live,
            Environment::Test => &mut self.test,
        }
    }

    /// Whether all rows are counted and indexed.
    pub fn is_whole(&self) -> bool {
        self.counted.is_none()
    }
}

impl Room {
    /// Nothing is here yet.
    pub fn begin(&self, turn: &mut Turn) {
        turn.put(self.counts, &Counts::default());
    }

    /// The row of a credential.
    pub fn row(&self, id: &CredentialId) -> String {
        format!("{}{id}", self.rows)
    }

    pub(crate) fn counts(&self, turn: &Turn) -> Result<Counts, Reason> {
        let total = turn.get::<usize>(self.total)?.unwrap_or_default();
        let known = turn.get::<Counts>(self.counts)?;
        let is_due = |counts: &Counts| counts.again.is_some_and(|again| again <= turn.at());
        let again = match &known {
            Some(counts) if counts.total == total && !is_due(counts) => return Ok(known.unwrap_or_default()),
            Some(counts) if is_due(counts) => None,
            _ => Some(turn.at().plus_seconds(ROLLING_SECONDS)),
        };
        let made = known.map_or(0, |counts| counts.made + 1);
        // An earlier version made or changed some, which nobody counted: from the beginning.
        Ok(Counts { total, counted: Some(self.rows.to_owned()), again, made, ..Counts::default() })
    }

    fn put(&self, counts: &Counts, turn: &mut Turn) {
        turn.put(self.total, &counts.total);
        turn.put(self.counts, counts);
    }

    /// Counts and indexes some rows of an earlier version, if there are any.
    fn count(&self, turn: &mut Turn) -> Result<Counts, Reason> {
        let mut counts = self.counts(turn)?;
        let Some(counted) = counts.counted.take() else { return Ok(counts) };
        let range = Range { prefix: self.rows, after: Some(&counted), reverse: false, limit: COUNTED_ROWS };
        let mut keys = turn.list_keys(&range)?;
        keys.retain(|key| *key > counted);
        keys.truncate(COUNTED_ROWS);
        for key in &keys {
            let id = key.strip_prefix(self.rows).and_then(|id| CredentialId::try_from(id.to_owned()).ok());
            if let (Some(id), Some(facts)) = (id, self.readable(key, turn)?) {
                *counts.of(facts.environment) += usize::from(facts.takes_room);
                self.index(&id, None, &facts, turn)?;
            }
        }
        counts.counted = keys.pop().filter(|_| keys.len() + 1 == COUNTED_ROWS);
        if counts.is_whole() {
            // What an earlier version counted and nobody can read takes room too.
            counts.live = counts.live.max(counts.total.saturating_sub(counts.test));
            counts.total = counts.live + counts.test;
            counts.again.map_or(Ok(()), |again| self.ring_at(again, turn))?;
        } else {
            self.ring_at(turn.at(), turn)?;
        }
        self.put(&counts, turn);
        Ok(counts)
    }

    /// A number that is another after every credential that is made.
    pub fn made(&self, turn: &Turn) -> Result<usize, Reason> {
        self.counts(turn).map(|counts| counts.made)
    }

    /// How many rows of an environment there are; those of both, where they are not counted yet.
    pub fn kept(&self, environment: Environment, turn: &Turn) -> Result<usize, Reason> {
        let mut counts = self.counts(turn)?;
        Ok(if counts.is_whole() { *counts.of(environment) } else { counts.total })
    }

    /// A row; none where it cannot be read, too.
    fn readable(&self, key: &str, turn: &Turn) -> Result<Option<Facts>, Reason> {
        match (self.read)(key, turn) {
            Err(Reason::Unreadable(_)) => Ok(None),
            facts => facts,
        }
    }

    /// Takes the room of a new credential, before it is stored; refused where its environment has none.
    pub fn take(&self, id: &CredentialId, environment: Environment, turn: &mut Turn) -> Result<(), Reason> {
        if turn.get::<Forgotten>(&format!("{}{id}", self.forgotten))?.is_some() {
            return Err(Reason::Conflict("A credential with this id has ended.".to_owned()));
        }
        let mut counts = self.count(turn)?;
        let is_full = match counts.is_whole() {
            true => *counts.of(environment) >= MAX_KEPT && !self.make_room(&mut counts, environment, turn)?,
            // Nobody knows yet whose they are.
            false => counts.total >= BOTH.len() * MAX_KEPT,
        };
        if is_full {
            let whose =
                self.made.map_or("deploy keys".to_owned(), |_| format!("`{}` credentials", environment.as_str()));
            return Err(Reason::Conflict(format!(
                "There are {MAX_KEPT} {whose} here, and none of them has ended: revoke one that nobody needs."
            )));
        }
        self.put(&counts, turn);
        Ok(())
    }

    /// A row is about to be stored: counted and indexed, where there was none, and indexed by another end, where it has one.
    pub fn store(&self, id: &CredentialId, old: Option<&Facts>, new: &Facts, turn: &mut Turn) -> Result<(), Reason> {
        if old.is_none() && new.takes_room {
            let mut counts = self.count(turn)?;
            counts.total += 1;
            counts.made += 1;
            // A row beyond those that were counted will be.
            if counts.counted.as_ref().is_none_or(|counted| self.row(id) <= *counted) {
                *counts.of(new.environment) += 1;
            }
            self.put(&counts, turn);
        }
        self.index(id, old, new, turn)
    }

    /// Keeps the indexes as a row is that changes.
    fn index(&self, id: &CredentialId, old: Option<&Facts>, new: &Facts, turn: &mut Turn) -> Result<(), Reason> {
        if let Some(made) = self.made.filter(|_| old.is_none()) {
            turn.put(made_at(made, new.environment, id), id);
        }
        if old.is_some_and(|old| old.ends_at == new.ends_at) {
            return Ok(());
        }
        if let Some(end) = old.and_then(|old| old.ends_at) {
            turn.delete(self.end(new.environment, end, id));
        }
        if let Some(end) = new.ends_at {
            turn.put(self.end(new.environment, end, id), id);
            self.ring_at(end.max(turn.at()).plus_seconds(KEPT_SECONDS), turn)?;
        }
        Ok(())
    }

    fn end(&self, environment: Environment, end: Timestamp, id: &CredentialId) -> String {
        format!("{}{}/{:015}/{id}", self.ends, environment.as_str(), end.0)
    }

    /// Credentials of an environment that end by then, those that end first; some of them.
    fn ended(
        &self,
        environment: Environment,
        by: Timestamp,
        turn: &Turn,
    ) -> Result<Vec<(String, CredentialId)>, Reason> {
        let prefix = format!("{}{}/", self.ends, environment.as_str());
        let last = format!("{prefix}{:015}/~", by.0);
        let range = Range { prefix: &prefix, after: None, reverse: false, limit: FORGOTTEN_ROWS };
        let mut rows = turn.list_readable::<CredentialId>(&range)?;
        rows.retain(|(key, _)| *key <= last);
        Ok(rows)
    }

    /// Forgets the one that ended first; whether there was one.
    fn make_room(&self, counts: &mut Counts, environment: Environment, turn: &mut Turn) -> Result<bool, Reason> {
        for (key, id) in self.ended(environment, turn.at(), turn)? {
            if self.forget(key, &id, turn.at(), counts, turn)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Forgets a credential that ended by then: whether that makes room. What an index says is true only if the row says so.
    fn forget(
        &self,
        key: String,
        id: &CredentialId,
        by: Timestamp,
        counts: &mut Counts,
        turn: &mut Turn,
    ) -> Result<bool, Reason> {
        turn.delete(key);
        let row = self.row(id);
        let Some(facts) = self.readable(&row, turn)? else { return Ok(false) };
        match facts.ends_at {
            Some(at) if at <= by => {
                turn.put(format!("{}{id}", self.forgotten), &Forgotten { at, hashes: facts.hashes });
                turn.delete(row);
                turn.delete(self.end(facts.environment, at, id));
                if let Some(made) = self.made {
                    turn.delete(made_at(made, facts.environment, id));
                }
                let room = usize::from(facts.takes_room);
                let count = counts.of(facts.environment);
                *count = count.saturating_sub(room);
                counts.total = counts.total.saturating_sub(room);
                Ok(facts.takes_room)
            }
            // An earlier version gave it another end.
            Some(end) => {
                turn.put(self.end(facts.environment, end, id), id);
                Ok(false)
            }
            None => Ok(false),
        }
    }

    /// What stays of a credential that is forgotten.
    pub fn forgotten(&self, id: &CredentialId, turn: &Turn) -> Result<Option<Forgotten>, Reason> {
        turn.get(&format!("{}{id}", self.forgotten))
    }

    /// The first end of an environment's credentials, if it is among so many rows.
    fn first_end(&self, environment: Environment, looks: usize, turn: &Turn) -> Result<Option<Timestamp>, Reason> {
        let prefix = format!("{}{}/", self.ends, environment.as_str());
        let keys = turn.list_keys(&Range { prefix: &prefix, after: None, reverse: false, limit: looks })?;
        Ok(keys.first().and_then(|key| moment(key, &prefix)))
    }

    /// Asks for the alarm. Where there is no environment there are few rows, and whatever comes next looks after them.
    fn ring_at(&self, moment: Timestamp, turn: &mut Turn) -> Result<(), Reason> {
        if self.made.is_some() { turn.wake_at(moment.max(turn.at())) } else { Ok(()) }
    }

    /// The alarm rang: goes on counting, and forgets what ended 90 days ago.
    pub fn wake(&self, turn: &mut Turn) -> Result<(), Reason> {
        let mut counts = self.count(turn)?;
        if !counts.is_whole() {
            return Ok(());
        }
        let by = Timestamp(turn.at().0.saturating_sub(KEPT_SECONDS * 1_000));
        let mut has_changed = false;
        for environment in BOTH {
            let is_due = self.first_end(environment, 1, turn)?.is_some_and(|end| end <= by);
            if is_due {
                for (key, id) in self.ended(environment, by, turn)? {
                    has_changed |= self.forget(key, &id, by, &mut counts, turn)?;
                }
            }
            // More than one turn may take away meanwhile.
            let looks = if is_due { FORGOTTEN_ROWS + 1 } else { 50 };
            if let Some(end) = self.first_end(environment, looks, turn)? {
                self.ring_at(end.plus_seconds(KEPT_SECONDS), turn)?;
            }
        }
        if has_changed {
            self.put(&counts, turn);
        }
        Ok(())
    }
}

pub(crate) fn made_at(made: &str, environment: Environment, id: &CredentialId) -> String {
    let kind = id.as_str().split('_').next().unwrap_or_default();
    format!("{made}{}/{}/{kind}", environment.as_str(), unique(id))
}

/// An id without its kind: it begins with the moment when the credential was made.
pub(crate) fn unique(id: &CredentialId) -> &str {
    id.as_str().split_once('_').map_or(id.as_str(), |(_, unique)| unique)
}

/// The moment in the key of an index row.
fn moment(key: &str, prefix: &str) -> Option<Timestamp> {
    key.strip_prefix(prefix)?.split('/').next()?.parse().ok().map(Timestamp)
}
