//! What the object of a server key or a service token counts: the windows of its tier, and its usage, in one row.
//!
//! Whoever asks often is served from blocks of permits (see `limit`), and the usage of a block is stored when the block is
//! stored: an admission from memory reads the key's row and writes nothing.

use super::{metering::Metered, usage::Usage};
use crate::{
    error::Reason,
    limit::{Counter, Limit, Pace, Verdict, Window, admit},
    machine::Turn,
    time::Timestamp,
    wire,
};

const ACCOUNT: &str = "account";

/// A block that is over is closed a little later: whoever goes on asking has stored the next one by then.
const GRACE_MILLIS: u64 = 250;

/// Usage that no block carries is stored this much later.
const FLUSH_SECONDS: u64 = 2;

/// Windows that no tier has any more, and that still count: kept, so that changing tiers back and forth resets nothing.
const MAX_WINDOWS: usize = 16;

/// The one row.
#[derive(Default)]
pub(super) struct Account {
    windows: Vec<Stored>,
    /// What was used.
    pub usage: Usage,
}

wire!(Account { windows, usage });

struct Stored {
    limit: Limit,
    window: Window,
}

wire!(Stored { limit, window });

/// What is kept in memory between two stores.
#[derive(Default)]
pub struct KeyMeter {
    /// Windows of which memory knows more than the row: a block of theirs is open.
    open: Vec<(Limit, Counter)>,
    /// Usage that is not stored yet.
    pub(super) pending: Usage,
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

/// What memory learns once the turn is stored.
pub struct Learnt {
    /// The windows, where a call was metered.
    counters: Option<Vec<(Limit, Counter)>>,
    /// All that is not stored yet; or nothing, where all is.
    pending: Usage,
}

impl KeyMeter {
    /// Counts `cost` in all windows, or in none of them, and the usage of it.
    pub fn meter(
        &self,
        limits: &[Limit],
        cost: u32,
        tick: &Tick,
        turn: &mut Turn,
    ) -> Result<(Metered, Learnt), Reason> {
        let mut stored = None;
        let mut counters = Vec::with_capacity(limits.len());
        for limit in limits {
            let open = self.open.iter().find(|(known, _)| known == limit);
            let counter = match open {
                Some((_, counter)) => counter.clone(),
                None => Counter::new(account(&mut stored, turn)?.window(limit)),
            };
            counters.push((limit, counter));
        }
        let verdict = admit(&mut counters, cost, Pace::Ahead, turn.at());
        let mut pending = self.pending.clone();
        let outcome = match verdict {
            Verdict::Admitted(quotas) => {
                pending.count(tick, turn.at());
                Ok(quotas)
            }
            Verdict::Refused { retry_after_millis, quotas } => {
                pending.deny(turn.at());
                Err(Reason::RateLimited { retry_after_millis, quotas })
            }
        };
        if counters.iter().any(|(_, counter)| counter.must_store()) {
            let mut account = account(&mut stored, turn)?.take();
            account.replace(&counters, turn.at());
            account.usage.absorb(std::mem::take(&mut pending), turn)?;
            turn.put(ACCOUNT, &account);
            if let Some(end) = counters.iter().filter_map(|(_, counter)| counter.block_ends_at()).min() {
                turn.wake_at(end.plus_millis(GRACE_MILLIS))?;
            }
        } else {
            self.plan_flush(turn)?;
        }
        let counters = counters.into_iter().map(|(limit, counter)| (limit.clone(), counter.stored())).collect();
        Ok((outcome, Learnt { counters: Some(counters), pending }))
    }

    /// Counts a call that is not metered.
    pub fn count(&self, tick: &Tick, turn: &mut Turn) -> Result<Learnt, Reason> {
        self.plan_flush(turn)?;
        let mut pending = self.pending.clone();
        pending.count(tick, turn.at());
        Ok(Learnt { counters: None, pending })
    }

    /// Counts a call that was refused.
    pub fn deny(&self, turn: &mut Turn) -> Result<Learnt, Reason> {
        self.plan_flush(turn)?;
        let mut pending = self.pending.clone();
        pending.deny(turn.at());
        Ok(Learnt { counters: None, pending })
    }

    /// Remembers what was stored, and what was not.
    pub fn learn(&mut self, learnt: Learnt) {
        self.pending = learnt.pending;
        if let Some(counters) = learnt.counters {
            // Without a block the row says it all.
            self.open = counters.into_iter().filter(|(_, counter)| counter.block_ends_at().is_some()).collect();
        }
    }

    /// The alarm rang: blocks that are over are closed, which gives back the rest, and all usage is stored.
    pub fn wake(&self, turn: &mut Turn) -> Result<Option<Learnt>, Reason> {
        let mut is_closed = false;
        let mut counters: Vec<(&Limit, Counter)> = Vec::with_capacity(self.open.len());
        for (limit, counter) in &self.open {
            match counter.close(turn.at()) {
                Some(window) => {
                    is_closed = true;
                    counters.push((limit, Counter::new(window)));
                }
                None => {
                    let end = counter.block_ends_at().unwrap_or(turn.at());
                    turn.wake_at(end.plus_millis(GRACE_MILLIS))?;
                    counters.push((limit, counter.clone()));
                }
            }
        }
        // Usage alone waits for the block that carries it.
        if !is_closed && (self.pending.is_empty() || !self.open.is_empty()) {
            return Ok(None);
        }
        let mut account: Account = turn.get(ACCOUNT)?.unwrap_or_default();
        account.replace(&counters, turn.at());
        account.usage.absorb(self.pending.clone(), turn)?;
        turn.put(ACCOUNT, &account);
        let counters = counters.into_iter().map(|(limit, counter)| (limit.clone(), counter)).collect();
        Ok(Some(Learnt { counters: Some(counters), pending: Usage::default() }))
    }

    /// All that was used, stored or not.
    pub(super) fn usage(&self, turn: &mut Turn) -> Result<Usage, Reason> {
        let mut usage = turn.get::<Account>(ACCOUNT)?.unwrap_or_default().usage;
        usage.absorb(self.pending.clone(), turn)?;
        Ok(usage)
    }

    /// Whatever memory alone knows is stored before long.
    fn plan_flush(&self, turn: &mut Turn) -> Result<(), Reason> {
        if self.pending.is_empty() && self.open.is_empty() {
            turn.wake_at(turn.at().plus_seconds(FLUSH_SECONDS))?;
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

impl Account {
    fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// The window that counts for `limit`: a changed number goes on where the old one stands.
    fn window(&self, limit: &Limit) -> Window {
        let is_it = |stored: &&Stored| stored.limit.window_seconds == limit.window_seconds;
        self.windows.iter().find(is_it).map(|stored| stored.window.clone()).unwrap_or_default()
    }

    fn replace(&mut self, counters: &[(&Limit, Counter)], at: Timestamp) {
        let is_replaced =
            |stored: &Stored| counters.iter().any(|(limit, _)| stored.limit.window_seconds == limit.window_seconds);
        self.windows.retain(|stored| !is_replaced(stored) && !stored.window.is_idle(&stored.limit, at));
        self.windows.truncate(MAX_WINDOWS);
        self.windows.extend(
            counters.iter().map(|(limit, counter)| Stored { limit: (*limit).clone(), window: counter.row(limit) }),
        );
    }
}
