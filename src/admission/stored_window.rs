//! Windows of a credential as they are stored and as they are in use, when its limits change too.

use crate::{
    codec::time::Timestamp,
    limits::window::{Counter, Limit, Window},
    wire,
};

/// Windows that are in force no longer, and that still count.
const MAX_WINDOWS: usize = 16;

/// A window in the row.
pub struct Stored {
    limit: Limit,
    window: Window,
    /// When it was no longer in force.
    ended: Option<Timestamp>,
}

wire!(Stored { limit, window, ended });

/// A window in use.
#[derive(Clone)]
pub struct Counted {
    /// The limit; out of force, none.
    pub limit: Limit,
    /// What was counted.
    pub counter: Counter,
    ended: Option<Timestamp>,
}

impl From<Stored> for Counted {
    fn from(Stored { limit, window, ended }: Stored) -> Self {
        Self { limit, counter: Counter::new(window), ended }
    }
}

/// The windows of these limits, with what was counted before, and after them those that are in force no longer: these go on
/// counting for as long as they are, so that tiers that are changed back and forth reset nothing. A length that is new begins
/// with what the longest one knows.
pub fn in_force(limits: &[Limit], known: Vec<Counted>) -> Vec<Counted> {
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

/// Whether a block is open in one of them.
pub fn has_block(counted: &[Counted]) -> bool {
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

    /// As it is stored.
    pub fn row(&self) -> Stored {
        Stored { limit: self.limit.clone(), window: self.counter.row(&self.limit), ended: self.ended }
    }

    /// The row once the block is over.
    pub fn closed(&self) -> Stored {
        Stored { window: self.counter.used().clone(), ..self.row() }
    }
}
