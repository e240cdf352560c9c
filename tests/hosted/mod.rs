//! One machine over rows that are counted: for tests of what a turn reads, writes and tells, however many rows there are.
#![allow(dead_code, reason = "no test needs all of it")]

use claviger::{
    codec::{cbor, time::Timestamp},
    error::Reason,
    object::{
        host,
        machine::{Changes, Machine, Range, Rows},
        outbox,
    },
};
use std::{cell::Cell, collections::BTreeMap, ops::Bound};

/// 2026-01-01T00:00:00Z.
pub const START: u64 = 1_767_225_600_000;

/// Rows, and how many were read.
#[derive(Default)]
pub struct Stored {
    pub rows: BTreeMap<String, Vec<u8>>,
    pub read: Cell<usize>,
}

impl Rows for Stored {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Reason> {
        self.read.set(self.read.get() + 1);
        Ok(self.rows.get(key).cloned())
    }

    fn list(&self, range: &Range) -> Result<Vec<(String, Vec<u8>)>, Reason> {
        let end = format!("{}\u{10ffff}", range.prefix);
        let (from, to) = match (range.after, range.reverse) {
            (Some(after), false) if after >= range.prefix => (Bound::Excluded(after), Bound::Excluded(end.as_str())),
            (Some(after), true) if after < end.as_str() => (Bound::Included(range.prefix), Bound::Excluded(after)),
            _ => (Bound::Included(range.prefix), Bound::Excluded(end.as_str())),
        };
        if matches!((&from, &to), (Bound::Included(from), Bound::Excluded(to)) if from >= to) {
            return Ok(Vec::new());
        }
        let found = self.rows.range::<str, _>((from, to)).map(|(key, row)| (key.clone(), row.clone()));
        let found: Vec<_> =
            if range.reverse { found.rev().take(range.limit).collect() } else { found.take(range.limit).collect() };
        self.read.set(self.read.get() + found.len());
        Ok(found)
    }
}

/// A machine and what it keeps. What it tells others is taken as delivered.
#[derive(Default)]
pub struct Hosted<M: Machine> {
    pub memory: M,
    pub stored: Stored,
    pub now: u64,
    /// When the alarm rings.
    pub alarm: Option<u64>,
    /// The largest number of rows that one turn has read, and all that were.
    pub most: usize,
    pub all: usize,
    pub turns: usize,
    /// Messages for others.
    pub sent: usize,
}

impl<M: Machine> Hosted<M> {
    pub fn new() -> Self {
        Self { now: START, ..Self::default() }
    }

    pub fn tell(&mut self, command: &M::Command) -> Result<M::Reply, Reason> {
        let decided = host::handle(&self.memory, &self.stored, &cbor::write(command), Timestamp(self.now), &[], None);
        self.keep(decided.changes);
        if let Some(apply) = decided.update {
            apply(&mut self.memory);
        }
        host::read::<M>(&decided.reply)
    }

    /// Turns the clock, and lets the alarm ring on its way.
    pub fn advance(&mut self, seconds: u64) {
        let end = self.now + seconds * 1_000;
        while let Some(alarm) = self.alarm.filter(|alarm| *alarm <= end) {
            self.now = self.now.max(alarm);
            self.ring();
        }
        self.now = end;
    }

    /// The alarm rings until nothing is due.
    pub fn settle(&mut self) {
        while self.alarm.is_some_and(|alarm| alarm <= self.now) {
            self.ring();
        }
    }

    pub fn ring(&mut self) {
        self.alarm = None;
        let decided = outbox::wake(&self.memory, &self.stored, Timestamp(self.now), None, None).unwrap();
        self.keep(decided.changes);
        if let Some(apply) = decided.update {
            apply(&mut self.memory);
        }
    }

    fn keep(&mut self, changes: Changes) {
        let read = self.stored.read.take();
        (self.most, self.all, self.turns) = (self.most.max(read), self.all + read, self.turns + 1);
        for (key, value) in changes.rows {
            match value {
                Some(_) if key.starts_with("out/") => self.sent += 1,
                Some(value) => drop(self.stored.rows.insert(key, value)),
                None => drop(self.stored.rows.remove(&key)),
            }
        }
        if let Some(Timestamp(moment)) = changes.alarm {
            self.alarm = Some(moment);
        }
    }

    /// Begins to count anew.
    pub fn reset(&mut self) {
        (self.most, self.all, self.turns, self.sent) = (0, 0, 0, 0);
        self.stored.read.set(0);
    }

    pub fn count(&self, prefix: &str) -> usize {
        self.stored.rows.keys().filter(|key| key.starts_with(prefix)).count()
    }

    /// Takes away what a build before this one does not write.
    pub fn as_before(&mut self, gone: &[&str]) {
        self.stored.rows.retain(|key, _| !gone.iter().any(|gone| key.starts_with(gone)));
    }
}
