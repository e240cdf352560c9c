//! The only seam to the outside: state is a machine that decides one command at a time, and the world is a few methods.
//!
//! A machine reads [`Rows`] and collects its changes in a [`Turn`]. Whoever hosts it (an object at the edge, a map in the
//! tests) writes all changes in one transaction, or none, and only then lets the reply go.

use super::host::Delivery;
use crate::{
    codec::{
        cbor::{self, Wire},
        time::Timestamp,
    },
    crypto::{job::Job, keyring::KeyRing},
    error::Reason,
    limits::tier::Tiers,
    world::{
        fetch::{Fetched, Wanted},
        isolate::Isolate,
        memory_budget::Share,
        upstream::{Incoming, Outgoing},
    },
};

/// The prefix of rows that wait for another object: see [`Turn::send`].
pub const OUTBOX: &str = "out/";
const OUTBOX_SEQUENCE: &str = "out-sequence";
const ALARM: &str = "alarm";

/// One kind of state. `Self` is only memory: it may vanish at any time, and what must not vanish is in rows.
pub trait Machine: Default {
    /// The name of the object binding.
    const BINDING: &'static str;
    /// What it can be asked.
    type Command: Wire;
    /// What it answers.
    type Reply: Wire;

    /// Decides. No clock, no storage and no randomness but what is handed in; an error changes nothing.
    fn handle(&self, command: Self::Command, turn: &mut Turn) -> Result<Step<Self>, Reason>;

    /// The alarm rang: see [`Turn::wake_at`].
    fn wake(&self, turn: &mut Turn) -> Result<MemoryUpdate<Self>, Reason> {
        let _ = turn;
        Ok(None)
    }
}

/// What memory learns of a turn, once its changes are stored and not before.
pub type MemoryUpdate<M> = Option<Box<dyn FnOnce(&mut M)>>;

/// A decision: the reply, and what memory learns of it.
pub struct Step<M: Machine> {
    /// What memory learns.
    pub update: MemoryUpdate<M>,
    /// The answer.
    pub reply: M::Reply,
}

impl<M: Machine> Step<M> {
    /// A decision that leaves memory as it is.
    pub fn reply(reply: M::Reply) -> Self {
        Self { update: None, reply }
    }
}

/// Stored rows: an ordered map from text to bytes.
pub trait Rows {
    /// The row at `key`.
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Reason>;

    /// Rows in key order (or reversed), at most `range.limit` of them.
    fn list(&self, range: &Range) -> Result<Vec<(String, Vec<u8>)>, Reason>;
}

/// Which rows.
#[derive(Clone, Copy)]
pub struct Range<'a> {
    /// Keys that start so.
    pub prefix: &'a str,
    /// Only keys beyond this whole key, in the direction of reading.
    pub after: Option<&'a str>,
    /// From the last key to the first.
    pub reverse: bool,
    /// At most so many.
    pub limit: usize,
}

/// One command's view of the rows: what is stored, with this command's own changes on top.
pub struct Turn<'a> {
    rows: &'a dyn Rows,
    at: Timestamp,
    signer: Option<&'a KeyRing>,
    tiers: &'a Tiers,
    retention_seconds: Option<u64>,
    changes: Vec<(String, Option<Vec<u8>>)>,
    alarm: Option<Timestamp>,
    sent: Vec<String>,
    awaits_delivery: bool,
}

/// What a turn wants written, all of it or nothing.
#[derive(Default)]
pub struct Changes {
    /// Rows to put, or to delete where there is no value.
    pub rows: Vec<(String, Option<Vec<u8>>)>,
    /// When the object must be woken, where that changed.
    pub alarm: Option<Timestamp>,
    /// Rows of the outbox that must be acknowledged before the reply goes; it may go at once where there is none.
    pub awaited: Vec<String>,
}

impl Changes {
    /// What the host must do before it lets the reply go.
    pub fn delivery(&self) -> Delivery {
        match (self.awaited.is_empty(), self.rows.iter().any(|(key, _)| key.starts_with(OUTBOX))) {
            (false, _) => Delivery::First,
            (true, true) => Delivery::Later,
            (true, false) => Delivery::Nothing,
        }
    }
}

impl<'a> Turn<'a> {
    /// A turn at the moment `at`.
    pub fn new(rows: &'a dyn Rows, at: Timestamp) -> Self {
        Self {
            rows,
            at,
            signer: None,
            tiers: &[],
            retention_seconds: None,
            changes: Vec::new(),
            alarm: None,
            sent: Vec::new(),
            awaits_delivery: false,
        }
    }

    /// The same, for a machine that may sign.
    #[must_use]
    pub fn signed_by(self, signer: Option<&'a KeyRing>) -> Self {
        Self { signer, ..self }
    }

    /// The same, for a machine that holds credentials to the limits of their tiers.
    #[must_use]
    pub fn with_tiers(self, tiers: &'a Tiers) -> Self {
        Self { tiers, ..self }
    }

    /// The same, for a machine that keeps conversations for so long.
    #[must_use]
    pub fn keeping_for(self, retention_seconds: Option<u64>) -> Self {
        Self { retention_seconds, ..self }
    }

    /// How long the policy that serves keeps a conversation in which nobody writes; none: for ever, also where the deployment
    /// has no sound variables.
    pub fn retention_seconds(&self) -> Option<u64> {
        self.retention_seconds
    }

    /// The tiers of the policy that serves; none where the deployment has no sound variables.
    pub fn tiers(&self) -> &'a Tiers {
        self.tiers
    }

    /// What signs; none where the deployment has no sound variables, and in most turns.
    pub fn signer(&self) -> Option<&'a KeyRing> {
        self.signer
    }

    /// The same turn once more: what is decided on it is dropped, unless it takes the place of this one.
    pub fn fork(&self) -> Self {
        Self { changes: self.changes.clone(), sent: self.sent.clone(), ..*self }
    }

    /// The moment of this command: one for all its decisions.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// The row at `key`; a row that cannot be read closes this record and nothing else.
    pub fn get<T: Wire>(&self, key: &str) -> Result<Option<T>, Reason> {
        let bytes = match self.changes.iter().find(|(changed, _)| changed == key) {
            Some((_, change)) => change.clone(),
            None => self.rows.get(key)?,
        };
        bytes.map(|bytes| read(key, &bytes)).transpose()
    }

    /// Whether there is a row at `key`, readable or not.
    pub fn has(&self, key: &str) -> Result<bool, Reason> {
        match self.changes.iter().find(|(changed, _)| changed == key) {
            Some((_, change)) => Ok(change.is_some()),
            None => Ok(self.rows.get(key)?.is_some()),
        }
    }

    /// Puts a row.
    pub fn put(&mut self, key: impl Into<String>, value: &impl Wire) {
        self.change(key.into(), Some(cbor::write(value)));
    }

    /// Deletes a row.
    pub fn delete(&mut self, key: impl Into<String>) {
        self.change(key.into(), None);
    }

    fn change(&mut self, key: String, change: Option<Vec<u8>>) {
        self.changes.retain(|(changed, _)| *changed != key);
        self.changes.push((key, change));
    }

    /// Whether this turn changes anything so far.
    pub fn writes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Stored rows in order; this turn's own changes are not among them.
    pub fn list<T: Wire>(&self, range: &Range) -> Result<Vec<(String, T)>, Reason> {
        let rows = self.rows.list(range)?;
        rows.into_iter().map(|(key, bytes)| read(&key, &bytes).map(|value| (key, value))).collect()
    }

    /// The keys of rows, stored ones and those of this turn, in order.
    pub fn list_keys(&self, range: &Range) -> Result<Vec<String>, Reason> {
        let mut keys: Vec<String> = self.rows.list(range)?.into_iter().map(|(key, _)| key).collect();
        for (key, change) in self.changes.iter().filter(|(key, _)| key.starts_with(range.prefix)) {
            keys.retain(|known| known != key);
            keys.extend(change.as_ref().map(|_| key.clone()));
        }
        keys.sort();
        Ok(keys)
    }

    /// The same, without the rows that cannot be read: one record that is closed does not hide the others.
    pub fn list_readable<T: Wire>(&self, range: &Range) -> Result<Vec<(String, T)>, Reason> {
        let rows = self.rows.list(range)?;
        Ok(rows.into_iter().filter_map(|(key, bytes)| Some((key, cbor::read(&bytes).ok()?))).collect())
    }

    /// Tells another object something, in the same transaction as the change that makes it true: in order per target, at
    /// least once, by redelivery until acknowledged.
    pub fn send<M: Machine>(&mut self, name: &str, command: &M::Command) -> Result<(), Reason> {
        self.send_to(M::BINDING, name, command)
    }

    /// The same, to an object whose machine stands further up than the sender's.
    pub fn send_to(&mut self, binding: &str, name: &str, command: &impl Wire) -> Result<(), Reason> {
        let sequence = next(self.get(OUTBOX_SEQUENCE)?.unwrap_or_default())?;
        self.put(OUTBOX_SEQUENCE, &sequence);
        let key = format!("{OUTBOX}{binding}/{name}#{sequence:015}");
        self.put(key.as_str(), command);
        self.sent.push(key);
        // Should this process die before delivery, the alarm delivers.
        self.wake_at(self.at.plus_seconds(1))
    }

    /// Nothing will be sent from here any more: forgets the number of the last message, unless one still waits. Whether none does.
    pub fn close_outbox(&mut self) -> Result<bool, Reason> {
        let any = Range { prefix: OUTBOX, after: None, reverse: false, limit: 1 };
        let is_empty = self.list_keys(&any)?.is_empty();
        if is_empty {
            self.delete(OUTBOX_SEQUENCE);
        }
        Ok(is_empty)
    }

    /// The reply waits until all that this turn sends was acknowledged (5 s at most, then it says that delivery is pending).
    pub fn await_delivery(&mut self) {
        self.awaits_delivery = true;
    }

    /// Asks for the alarm at `moment`, unless an earlier one is set already.
    pub fn wake_at(&mut self, moment: Timestamp) -> Result<(), Reason> {
        let set = self.get::<Timestamp>(ALARM)?;
        // One that should have rung by now may be lost: it rings at once, for what it was set for must not wait longer.
        let is_overdue = set.is_some_and(|set| set <= self.at) && self.alarm.is_none();
        let moment = if is_overdue { moment.min(self.at) } else { moment };
        if is_overdue || set.is_none_or(|set| moment < set) {
            self.put(ALARM, &moment);
            self.alarm = Some(moment);
        }
        Ok(())
    }

    /// The alarm rang: it is no longer set.
    pub fn alarm_rang(&mut self) {
        self.delete(ALARM);
    }

    /// The changes to write.
    pub fn finish(self) -> Changes {
        let awaited = if self.awaits_delivery { self.sent } else { Vec::new() };
        Changes { rows: self.changes, alarm: self.alarm, awaited }
    }
}

/// The number after `number`; a stored one that has no next is damaged, and closes its record.
pub fn next(number: u64) -> Result<u64, Reason> {
    number.checked_add(1).ok_or_else(|| Reason::Unreadable("number".to_owned()))
}

fn read<T: Wire>(key: &str, bytes: &[u8]) -> Result<T, Reason> {
    cbor::read(bytes).map_err(|_| Reason::Unreadable(key.to_owned()))
}

/// How the request's body is read. However it is read, it ends where its sender pauses for long, or takes too long for all of it.
pub struct Reading<'a> {
    /// It is refused once it is longer than so many bytes.
    pub limit: usize,
    /// It is left where it stands once more bytes than these have come.
    pub enough: usize,
    /// And after so many milliseconds.
    pub soon_millis: u32,
    /// What counts its bytes as they come.
    pub share: &'a Share,
}

impl Reading<'_> {
    /// So long may its sender say nothing.
    pub const PAUSE_MILLIS: u32 = 30_000;
    /// So long may all of it take.
    pub const WHOLE_MILLIS: u32 = 120_000;

    /// As text for whoever reads it.
    pub fn to_line(&self) -> String {
        // Where it is not left, it ends before that.
        let enough = self.enough.min(self.limit);
        let soon = self.soon_millis.min(2 * Self::WHOLE_MILLIS);
        format!("{} {enough} {soon} {} {}", self.limit, Self::PAUSE_MILLIS, Self::WHOLE_MILLIS)
    }
}

/// Everything outside the decisions of one request: the clock, the dice, its headers and body, and the objects by name.
#[allow(async_fn_in_trait, reason = "one thread at the edge, and in the tests")]
pub trait World {
    /// The moment of this request: one for all its decisions.
    fn now(&self) -> Timestamp;

    /// Sixteen bytes nobody can guess.
    fn random(&self) -> Result<[u8; 16], Reason>;

    /// The request's header `name` (lower case); several lines of one name arrive joined by `, `.
    fn header(&self, name: &str) -> Option<String>;

    /// Every header of the request, by its name in lower case.
    fn headers(&self) -> Vec<(String, String)>;

    /// The request's body, whole; none where the reading stopped before its end, and may go on later.
    async fn body(&self, reading: Reading<'_>) -> Result<Option<Vec<u8>>, Reason>;

    /// Asks the object `name` of this kind: one hop.
    async fn ask<M: Machine>(&self, name: &str, command: M::Command) -> Result<M::Reply, Reason>;

    /// The same, and unavailable where no answer came within so many milliseconds. A world without a stopwatch waits.
    async fn ask_within<M: Machine>(&self, name: &str, command: M::Command, millis: u32) -> Result<M::Reply, Reason> {
        let _ = millis;
        self.ask::<M>(name, command).await
    }

    /// Calls the upstream; the request's body goes with it as it comes.
    async fn forward(&self, call: Outgoing) -> Result<Incoming, Reason>;

    /// Fetches a document of somebody else's; unavailable where none came within its limits.
    async fn fetch(&self, wanted: Wanted<'_>) -> Result<Fetched, Reason>;

    /// Has the platform do one piece of cryptography.
    async fn crypto(&self, job: Job<'_>) -> Result<Vec<u8>, Reason>;

    /// What the isolate remembers.
    fn isolate(&self) -> &Isolate;
}
