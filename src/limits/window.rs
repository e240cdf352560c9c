//! How much: the exact window. Never more than the limit in any window, counted in sixty slots.
//!
//! A slot that is about to leave the window counts whole until it has left it, so the window never admits too much; it
//! admits too little by at most one slot's worth.
//!
//! Whoever asks often is served from a block: permits that are stored as used before anybody uses them, in the slot of the
//! last moment at which they could be. A crash forgets how many of a block were left, and so admits too little for a window,
//! never too much; what is left when the block's second is over, is given back.

pub use super::{
    lease_size::{FEWEST_LEASED, lease},
    reservation::{look, spend},
};

use crate::{codec::time::Timestamp, wire};

/// Slots in a window: a steady caller below `limit - limit / 60` is never refused.
const SLOTS: u64 = 60;

/// A block's life: what the rate is measured over, and when unused permits are given back.
const BLOCK_MILLIS: u64 = 1_000;

/// A block holds at most this part of the limit.
pub(super) const BLOCKS: u32 = 20;

/// At most `limit` units in any `window_seconds`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limit {
    /// The policy's name in the `RateLimit-Policy` header.
    pub name: String,
    /// Units.
    pub limit: u32,
    /// Seconds.
    pub window_seconds: u32,
}

wire!(Limit { name, limit, window_seconds });

impl Limit {
    /// Whether windows that all must admit never admit more than this one.
    pub fn is_kept_by(&self, windows: &[Self]) -> bool {
        windows.iter().any(|other| {
            let times = self.window_seconds.div_ceil(other.window_seconds.max(1));
            u64::from(other.limit) * u64::from(times) <= u64::from(self.limit)
        })
    }
}

/// A limit as it stands: what the headers of `docs/http.md` tell.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Quota {
    /// The limit.
    pub limit: Limit,
    /// Units that would be admitted now.
    pub remaining: u32,
    /// When `remaining` next grows.
    pub reset_at: Timestamp,
}

wire!(Quota { limit, remaining, reset_at });

/// What was admitted, by slot, oldest first: all that has to be stored.
///
/// It reckons with a time of its own, which never goes back. Where the clock is found behind, no time has passed, and from
/// there on as much as the clock says; where it has caught up, it counts again. So a clock that steps back locks nobody out,
/// and one that is corrected makes nothing leave early. (One that runs ahead does, and nothing in here can see that.)
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Window {
    pub(super) slots: Vec<(u64, u32)>,
    /// The moment of the last question, in its own time.
    pub(super) latest: Timestamp,
    /// The length of the slots, in milliseconds: a policy may change under a stored window.
    slot_millis: Option<u64>,
    /// The same moment by the clock.
    shown: Option<Timestamp>,
}

wire!(Window { slots, latest, slot_millis, shown });

/// A window in use.
#[derive(Clone, Debug, Default)]
pub struct Counter {
    /// What was used, and when.
    pub(super) used: Window,
    /// Permits of the block that nobody has used yet.
    pub(super) left: u32,
    /// The last moment at which they can be used, in the window's time.
    until: Timestamp,
    /// The same moment by the clock: when it is time to close the block.
    due: Option<Timestamp>,
    pub(super) must_store: bool,
}

/// How many permits are taken at a time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pace {
    /// One by one: whoever stores with every call anyway.
    Single,
    /// In blocks that grow with the rate.
    Ahead,
    /// In one block for all windows, which are always asked together: of so many, where every limit has room for them.
    Together(u32),
}

/// The answer to a question for permits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Counted in every window.
    Admitted(Vec<Quota>),
    /// Counted in none.
    Refused {
        /// Milliseconds until it would be admitted, if nobody else asks.
        retry_after_millis: u64,
        /// The limits as they stand.
        quotas: Vec<Quota>,
    },
}

/// Admits `cost` units in all windows, or in none of them. Those that must be stored first say so afterwards.
pub fn admit(counters: &mut [(&Limit, Counter)], cost: u32, pace: Pace, at: Timestamp) -> Verdict {
    for (limit, counter) in counters.iter_mut() {
        counter.settle(limit, at);
    }
    let wait = counters.iter().map(|(limit, counter)| counter.used.wait(limit, cost)).max();
    let refused = wait.filter(|millis| *millis > 0);
    if refused.is_none() {
        let goes_on = counters.iter().all(|(_, counter)| counter.left >= cost);
        for (limit, counter) in counters.iter_mut() {
            counter.used.add(limit, cost, counter.used.latest);
        }
        let room = counters.iter().map(|(limit, counter)| counter.used.room(limit)).min().unwrap_or_default();
        for (limit, counter) in counters.iter_mut() {
            match pace {
                Pace::Together(most) if !goes_on => counter.renew(most.min(room), at),
                _ if counter.left >= cost => counter.left -= cost,
                Pace::Single | Pace::Together(_) => counter.renew(0, at),
                Pace::Ahead => counter.renew(counter.used.ahead(limit), at),
            }
        }
    }
    let quotas = counters.iter().map(|(limit, counter)| counter.used.quota(limit, at)).collect();
    match refused {
        Some(retry_after_millis) => Verdict::Refused { retry_after_millis, quotas },
        None => Verdict::Admitted(quotas),
    }
}

impl Counter {
    /// A counter that goes on where a stored window stands.
    pub fn new(window: Window) -> Self {
        Self { used: window, ..Self::default() }
    }

    /// Whether [`Self::row`] must be stored before anything is admitted by it.
    pub fn must_store(&self) -> bool {
        self.must_store
    }

    /// What was really used.
    pub fn used(&self) -> &Window {
        &self.used
    }

    /// The window to store: permits that can still be used count as used at the last moment.
    pub fn row(&self, limit: &Limit) -> Window {
        let mut row = self.used.clone();
        if self.left > 0 {
            row.add(limit, self.left, self.until);
        }
        row
    }

    /// The counter once its row is stored.
    pub fn stored(self) -> Self {
        Self { must_store: false, ..self }
    }

    /// When the block is to be closed, where there is one: memory knows more than the stored row until then.
    pub fn block_ends_at(&self) -> Option<Timestamp> {
        self.due
    }

    /// What was really used, to be stored when the block is over: this gives back the rest. `None` while it is not.
    pub fn close(&self, at: Timestamp) -> Option<Window> {
        let due = self.due.unwrap_or_default();
        // A block that is due too late was made before the clock stepped back.
        (due <= at || due.millis_since(at) > BLOCK_MILLIS).then(|| self.used.clone())
    }

    pub(super) fn settle(&mut self, limit: &Limit, at: Timestamp) {
        self.must_store |= self.used.settle(limit, at);
        if self.until <= self.used.latest {
            self.left = 0;
        }
    }

    /// Begins another block; what is left of the one before is given back.
    fn renew(&mut self, permits: u32, at: Timestamp) {
        self.must_store = true;
        self.left = permits;
        self.until = self.used.latest.plus_millis(BLOCK_MILLIS);
        self.due = (self.left > 0).then(|| at.plus_millis(BLOCK_MILLIS));
    }
}

impl Window {
    /// Whether nothing in it counts any more at `at`, so that it need not be kept.
    pub fn is_idle(&self, limit: &Limit, at: Timestamp) -> bool {
        let mut now = self.clone();
        now.settle(limit, at);
        now.slots.is_empty()
    }

    /// The moment of the last question, in its own time, which never goes back.
    pub fn latest(&self) -> Timestamp {
        self.latest
    }

    /// The window as it must be stored where the clock is found behind: its time goes on from there.
    pub fn found_behind(&self, limit: &Limit, at: Timestamp) -> Option<Self> {
        let mut now = self.clone();
        now.settle(limit, at).then_some(now)
    }

    #[inline(never)]
    pub(super) fn quota(&self, limit: &Limit, at: Timestamp) -> Quota {
        let wait = self.slots.first().map_or(0, |(slot, _)| limit.leaves(*slot).saturating_sub(self.latest.0));
        let remaining = limit.limit.saturating_sub(self.used());
        Quota { limit: limit.clone(), remaining, reset_at: at.plus_millis(wait) }
    }

    pub(super) fn used(&self) -> u32 {
        self.slots.iter().fold(0, |sum: u32, (_, count)| sum.saturating_add(*count))
    }

    /// Goes on to the moment that the clock shows, and drops what no longer counts. Answers whether the clock was found
    /// behind: then the window must be stored, or the next one would find that again.
    #[inline(never)]
    pub(super) fn settle(&mut self, limit: &Limit, at: Timestamp) -> bool {
        let millis = limit.slot_millis();
        if let Some(old) = self.slot_millis.replace(millis).filter(|old| *old != millis) {
            for (slot, _) in &mut self.slots {
                *slot = slot.saturating_add(1).saturating_mul(old) / millis;
            }
        }
        let shown = self.shown.replace(at).unwrap_or(self.latest);
        self.latest = if at < self.latest { self.latest.plus_millis(at.millis_since(shown)) } else { at };
        self.slots.retain(|(slot, _)| limit.leaves(*slot) > self.latest.0);
        at < shown
    }

    /// Milliseconds until `cost` fits; the whole window where it never can.
    #[inline(never)]
    pub(super) fn wait(&self, limit: &Limit, cost: u32) -> u64 {
        let mut used = self.used();
        if used.saturating_add(cost) <= limit.limit {
            return 0;
        }
        for (slot, count) in &self.slots {
            used = used.saturating_sub(*count);
            if used.saturating_add(cost) <= limit.limit {
                return limit.leaves(*slot).saturating_sub(self.latest.0).max(1);
            }
        }
        limit.window_millis()
    }

    /// Counts into the slot of `at`: those of permits that may be used later stand behind it.
    #[inline(never)]
    pub(super) fn add(&mut self, limit: &Limit, units: u32, at: Timestamp) {
        let now = at.0 / limit.slot_millis();
        let place = self.slots.partition_point(|(slot, _)| *slot < now);
        match self.slots.get_mut(place) {
            Some((slot, count)) if *slot == now => *count = count.saturating_add(units),
            _ => self.slots.insert(place, (now, units)),
        }
    }

    /// How many permits the next second will want, by what the last one used: none for a slow caller.
    fn ahead(&self, limit: &Limit) -> u32 {
        let (slot, at) = (limit.slot_millis(), self.latest);
        let first = at.0.saturating_sub(BLOCK_MILLIS) / slot;
        let recent = self.slots.iter().filter(|(number, _)| *number >= first);
        let (since, units) = recent.fold((at.0, 0u64), |(since, units), (number, count)| {
            (since.min(number.saturating_mul(slot)), units + u64::from(*count))
        });
        let elapsed = at.0.saturating_sub(since).max(BLOCK_MILLIS);
        let rate = u32::try_from(units * BLOCK_MILLIS / elapsed).unwrap_or(u32::MAX);
        rate.saturating_sub(1).min(self.room(limit))
    }
}

impl Limit {
    pub(super) fn window_millis(&self) -> u64 {
        u64::from(self.window_seconds).max(1) * 1_000
    }

    fn slot_millis(&self) -> u64 {
        self.window_millis().div_ceil(SLOTS)
    }

    /// The moment from which a slot no longer counts: a window after its last instant.
    fn leaves(&self, slot: u64) -> u64 {
        slot.saturating_add(1).saturating_mul(self.slot_millis()).saturating_add(self.window_millis())
    }
}
