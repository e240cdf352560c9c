//! What the object of a server key or a service token counts: the windows of its tier, and its usage, in one row.
//!
//! Whoever asks often is served from one block of permits for all windows (see `limit`), and the usage of a block is stored
//! with the next one: an admission from memory reads the key's row and writes nothing. The alarm stores what memory alone
//! knows once nobody asks any more; while somebody does, it only looks.

use super::{metering::Metered, usage::Usage};
use crate::{
    error::Reason,
    limit::{Counter, Limit, Pace, Verdict, Window, admit},
    machine::Turn,
    time::Timestamp,
    wire,
};

pub(super) const ACCOUNT: &str = "account";

/// What memory alone knows is looked after so much later: a block's second is over by then, and long before an object that
/// nobody asks is evicted.
const SETTLE_MILLIS: u64 = 3_000;

/// An alarm that has not rung so long after its moment was given up by the platform.
const LATE_MILLIS: u64 = 10_000;

/// Windows that are in force no longer, and that still count.
const MAX_WINDOWS: usize = 16;

/// Secrets that memory knows as used: the two that live, and some that did.
const MAX_USED: usize = 8;

/// The one row.
#[derive(Default)]
pub(super) struct Account {
    pub windows: Vec<Stored>,
    /// What was used.
    pub usage: Usage,
}

wire!(Account { windows, usage });

pub(super) struct Stored {
    limit: Limit,
    window: Window,
    /// When it was no longer in force.
    ended: Option<Timestamp>,
}

wire!(Stored { limit, window, ended });

/// What is kept in memory between two stores.
#[derive(Clone, Default)]
pub struct KeyMeter {
    /// All windows, where memory knows more of them than the row, or where there are none: a block is open.
    pub(super) open: Option<Vec<Counted>>,
    /// Usage that is not stored yet.
    pub(super) pending: Usage,
    /// Secrets whose first use is stored: see [`Self::meter`].
    used: Vec<String>,
    /// The alarm that stores both.
    alarm: Option<Timestamp>,
    rate: Rate,
}

#[derive(Clone)]
pub(super) struct Counted {
    pub limit: Limit,
    pub counter: Counter,
    ended: Option<Timestamp>,
}

/// How much was admitted in this second of the clock, and in the one before.
#[derive(Clone, Copy, Default)]
pub struct Rate {
    second: u64,
    now: u32,
    before: u32,
}

/// A call, as the usage of a key tells it.
pub struct Tick<'a> {
    /// The hint of the secret that was presented.
    pub secret: &'a str,
    /// What the call was for.
    pub scope: Option<&'a str>,
    /// Where it came from.
    pub network: Option<&'a str>,
}

impl KeyMeter {
    /// Counts `cost` in all windows, or in none of them, and the usage of it; and what memory learns of that. The first use of
    /// a secret is stored before it is answered: a rotation ends the secret that nobody uses, whatever was killed meanwhile.
    pub fn meter(&self, limits: &[Limit], cost: u32, tick: &Tick, turn: &mut Turn) -> Result<(Metered, Self), Reason> {
        let (at, mut learnt, mut stored) = (turn.at(), self.clone(), None);
        let known = match learnt.open.take() {
            Some(open) => open,
            None => account(&mut stored, turn)?.counted(),
        };
        let mut counted = in_force(limits, known);
        let mut counters: Vec<(&Limit, Counter)> =
            counted.iter().map(|Counted { limit, counter, .. }| (limit, counter.clone())).collect();
        let rate = self.rate.and(cost, at);
        let outcome = match admit(&mut counters, cost, Pace::Together(rate.ahead()), at) {
            Verdict::Admitted(mut quotas) => {
                learnt.rate = rate;
                learnt.pending.count(tick, at);
                quotas.truncate(limits.len());
                Ok(quotas)
            }
            Verdict::Refused { retry_after_millis, mut quotas } => {
                learnt.pending.deny(at);
                quotas.truncate(limits.len());
                Err(Reason::RateLimited { retry_after_millis, quotas })
            }
        };
        let is_first = outcome.is_ok() && !learnt.used.iter().any(|used| used == tick.secret);
        let is_news = is_first && !account(&mut stored, turn)?.usage.knows(tick.secret);
        if is_first {
            learnt.used.insert(0, tick.secret.to_owned());
            learnt.used.truncate(MAX_USED);
        }
        let must_store = is_news || counters.iter().any(|(_, counter)| counter.must_store());
        let counters: Vec<Counter> = counters.into_iter().map(|(_, counter)| counter.stored()).collect();
        for (counted, counter) in counted.iter_mut().zip(counters) {
            counted.counter = counter;
        }
        if must_store {
            let account = account(&mut stored, turn)?;
            account.windows = counted.iter().map(Counted::row).collect();
            account.usage.absorb(std::mem::take(&mut learnt.pending), turn)?;
            turn.put(ACCOUNT, account);
        }
        learnt.open = Some(counted).filter(|counted| counted.is_empty() || has_block(counted));
        learnt.plan(turn)?;
        Ok((outcome, learnt))
    }

    /// Counts a call that is not metered.
    pub fn count(&self, tick: &Tick, turn: &mut Turn) -> Result<Self, Reason> {
        let mut learnt = self.clone();
        learnt.pending.count(tick, turn.at());
        learnt.plan(turn)?;
        Ok(learnt)
    }

    /// Counts a call that was refused.
    pub fn deny(&self, turn: &mut Turn) -> Result<Self, Reason> {
        let mut learnt = self.clone();
        learnt.pending.deny(turn.at());
        learnt.plan(turn)?;
        Ok(learnt)
    }

    /// Remembers what was stored, and what was not.
    pub fn learn(&mut self, learnt: Self) {
        *self = learnt;
    }

    /// The alarm rang: a block that is over is closed, which gives back the rest, and all usage is stored. Usage waits for the
    /// block that carries it.
    pub fn wake(&self, turn: &mut Turn) -> Result<Option<Self>, Reason> {
        let open = self.open.as_deref().filter(|open| has_block(open));
        let mut learnt = self.clone();
        learnt.alarm = None;
        if open.is_some_and(|open| open.iter().any(|counted| counted.counter.close(turn.at()).is_none())) {
            learnt.plan(turn)?;
            return Ok(Some(learnt));
        }
        if open.is_some() || !self.pending.is_empty() {
            let mut account: Account = turn.get(ACCOUNT)?.unwrap_or_default();
            if let Some(open) = open {
                account.windows = open.iter().map(Counted::closed).collect();
                learnt.open = None;
            }
            account.usage.absorb(std::mem::take(&mut learnt.pending), turn)?;
            turn.put(ACCOUNT, &account);
        }
        Ok(Some(learnt))
    }

    /// All that was used, stored or not.
    pub(super) fn usage(&self, turn: &Turn) -> Result<Usage, Reason> {
        let mut usage = turn.get::<Account>(ACCOUNT)?.unwrap_or_default().usage;
        usage.merge(self.pending.clone());
        Ok(usage)
    }

    /// Whatever memory alone knows is stored before long. An alarm that stands is not set again: one that the clock has left
    /// behind, by stepping back or by going on for long, is.
    fn plan(&mut self, turn: &mut Turn) -> Result<(), Reason> {
        let due = turn.at().plus_millis(SETTLE_MILLIS);
        let stands = self.alarm.is_some_and(|set| set <= due && turn.at() <= set.plus_millis(LATE_MILLIS));
        let knows_more = !self.pending.is_empty() || self.open.as_deref().is_some_and(has_block);
        if knows_more && !stands {
            turn.wake_at(due)?;
            self.alarm = Some(due);
        }
        Ok(())
    }
}

/// The stored account, read once.
fn account<'s>(read: &'s mut Option<Account>, turn: &Turn) -> Result<&'s mut Account, Reason> {
    if read.is_none() {
        *read = Some(turn.get(ACCOUNT)?.unwrap_or_default());
    }
    read.as_mut().ok_or(Reason::Unavailable)
}

/// The windows of these limits, with what was counted before, and after them those that are in force no longer: these go on
/// counting for as long as they are, so that tiers that are changed back and forth reset nothing. A length that is new begins
/// with what the longest one knows.
pub(super) fn in_force(limits: &[Limit], known: Vec<Counted>) -> Vec<Counted> {
    let longest = known.iter().max_by_key(|counted| counted.limit.window_seconds);
    let begun = |limit: &Limit| match known.iter().find(|counted| counted.is_as_long_as(limit)) {
        Some(same) => same.counter.clone(),
        None => longest.map(|longest| Counter::new(longest.counter.used().clone())).unwrap_or_default(),
    };
    let counted = |limit: &Limit| Counted { counter: begun(limit), limit: limit.clone(), ended: None };
    let mut all: Vec<Counted> = limits.iter().map(counted).collect();
    let others = known.into_iter().filter(|counted| !limits.iter().any(|limit| counted.is_as_long_as(limit)));
    all.extend(others.filter_map(Counted::ended).take(MAX_WINDOWS));
    all
}

pub(super) fn has_block(counted: &[Counted]) -> bool {
    counted.iter().any(|counted| counted.counter.block_ends_at().is_some())
}

impl Counted {
    fn is_as_long_as(&self, limit: &Limit) -> bool {
        self.limit.window_seconds == limit.window_seconds
    }

    /// The same, without a limit; none where it has been out of force for longer than it is.
    fn ended(self) -> Option<Self> {
        let now = self.counter.used().latest();
        let ended = self.ended.unwrap_or(now);
        // And a slot, which counts whole until it has left.
        let is_over = now.millis_since(ended) > u64::from(self.limit.window_seconds) * 1_020;
        let limit = Limit { limit: u32::MAX, ..self.limit };
        (!is_over).then_some(Self { limit, ended: Some(ended), ..self })
    }

    pub fn row(&self) -> Stored {
        Stored { limit: self.limit.clone(), window: self.counter.row(&self.limit), ended: self.ended }
    }

    /// The row once the block is over.
    fn closed(&self) -> Stored {
        Stored { window: self.counter.used().clone(), ..self.row() }
    }
}

impl Account {
    pub fn counted(&mut self) -> Vec<Counted> {
        let counted = |Stored { limit, window, ended }| Counted { limit, counter: Counter::new(window), ended };
        std::mem::take(&mut self.windows).into_iter().map(counted).collect()
    }
}

impl Rate {
    /// And `cost` more, now.
    pub fn and(self, cost: u32, at: Timestamp) -> Self {
        let second = at.0 / 1_000;
        let (before, now) = match second.checked_sub(self.second) {
            Some(0) => (self.before, self.now),
            Some(1) => (self.now, 0),
            _ => (0, 0),
        };
        Self { second, now: now.saturating_add(cost), before }
    }

    /// The busier of the two.
    pub fn busier(self) -> u32 {
        self.before.max(self.now)
    }

    /// How many more the next second will want.
    fn ahead(self) -> u32 {
        self.busier().saturating_sub(1)
    }
}
