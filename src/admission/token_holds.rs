//! What the object of a credential counts of tokens: what its calls used, and what is held for those that are under way.
//!
//! A call's tokens are held from its admission until somebody says how many it used, or until that comes no more. Each change
//! is stored in the turn that makes it, in the row of the requests' windows.

use super::stored_window::{Counted, Stored, in_force};
use crate::{
    codec::time::Timestamp,
    limits::window::{Counter, Limit, Quota, look, spend},
    wire,
};

/// A settlement that has not come so long after its call was admitted was lost, and what was held counts as used.
pub const HOLD_MILLIS: u64 = 15 * 60_000;

/// Calls of one credential that may be under way at a time: what is held is one row.
pub const MAX_OPEN: usize = 1_000;

/// Somebody may try again so soon where too many calls are under way.
const CROWDED_MILLIS: u64 = 1_000;

/// What a call asks for.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'a> {
    /// By which its settlement names it.
    pub id: &'a str,
    /// Tokens; 0: it is not counted in tokens.
    pub amount: u32,
}

/// The part of the row.
#[derive(Default)]
pub(crate) struct Row {
    windows: Vec<Stored>,
    open: Vec<Reservation>,
}

wire!(Row { windows, open });

/// What is held for one call.
#[derive(Clone)]
struct Reservation {
    id: String,
    amount: u32,
    /// When its settlement is given up.
    due: Timestamp,
}

wire!(Reservation { id, amount, due });

/// The same in use.
#[derive(Clone, Default)]
pub(crate) struct Tokens {
    windows: Vec<Counted>,
    open: Vec<Reservation>,
    /// Windows that are in force: the first ones.
    in_force: usize,
    must_store: bool,
}

impl From<Row> for Tokens {
    fn from(Row { windows, open }: Row) -> Self {
        Self { windows: windows.into_iter().map(Counted::from).collect(), open, ..Self::default() }
    }
}

impl Tokens {
    /// Whether [`Self::row`] must be stored before anybody is answered.
    pub fn must_store(&self) -> bool {
        self.must_store || self.windows.iter().any(|counted| counted.counter.must_store())
    }

    /// What to store; none where nothing was ever counted.
    pub fn row(&self) -> Option<Row> {
        let windows: Vec<Stored> = self.windows.iter().map(Counted::row).collect();
        let is_empty = windows.is_empty() && self.open.is_empty();
        (!is_empty).then(|| Row { windows, open: self.open.clone() })
    }

    /// The same once its row is stored.
    pub fn stored(mut self) -> Self {
        self.must_store = false;
        for counted in &mut self.windows {
            counted.counter = std::mem::take(&mut counted.counter).stored();
        }
        self
    }

    /// From now on these limits are in force.
    pub fn under(&mut self, limits: &[Limit]) {
        self.windows = in_force(limits, std::mem::take(&mut self.windows));
        self.in_force = limits.len();
    }

    /// Gives up the settlements that have not come: what was held is used. Answers how much that is.
    pub fn give_up(&mut self, at: Timestamp) -> u32 {
        let latest = at.plus_millis(HOLD_MILLIS);
        let mut lost = 0_u32;
        for reservation in &mut self.open {
            // Held when the clock was ahead: nobody is locked out for longer than this.
            if reservation.due > latest {
                (reservation.due, self.must_store) = (latest, true);
            }
            if reservation.due <= at {
                lost = lost.saturating_add(reservation.amount);
            }
        }
        let before = self.open.len();
        self.open.retain(|reservation| reservation.due > at);
        if self.open.len() < before {
            self.spend(lost, at);
        }
        lost
    }

    /// Milliseconds until so many more would be admitted, 0 being now, and the windows in force as they stand.
    pub fn look(&mut self, ask: Ask, at: Timestamp) -> (u64, Vec<Quota>) {
        let held = self.open.iter().fold(0_u32, |sum, reservation| sum.saturating_add(reservation.amount));
        let mut counters: Vec<(&Limit, Counter)> =
            self.windows.iter().map(|Counted { limit, counter, .. }| (limit, counter.clone())).collect();
        let (mut wait, mut quotas) = look(&mut counters, held, ask.amount, at);
        let counters: Vec<Counter> = counters.into_iter().map(|(_, counter)| counter).collect();
        for (counted, counter) in self.windows.iter_mut().zip(counters) {
            counted.counter = counter;
        }
        if ask.amount > 0 && self.open.len() >= MAX_OPEN {
            wait = wait.max(CROWDED_MILLIS);
        }
        quotas.truncate(self.in_force);
        (wait, quotas)
    }

    /// Holds what a call was admitted with. Answers the windows as they stand then; before, they were `quotas`.
    pub fn admit(&mut self, ask: Ask, quotas: Vec<Quota>, at: Timestamp) -> Vec<Quota> {
        if ask.amount == 0 {
            return quotas;
        }
        let due = at.plus_millis(HOLD_MILLIS);
        self.open.push(Reservation { id: ask.id.to_owned(), amount: ask.amount, due });
        self.must_store = true;
        self.look(Ask { amount: 0, ..ask }, at).1
    }

    /// The call used so many: that counts, and the rest is given back; where nobody knows, all that was held counts. Answers
    /// what counts; `None` where nothing is held for this call, or no longer.
    pub fn settle(&mut self, id: &str, used: Option<u32>, at: Timestamp) -> Option<u32> {
        let place = self.open.iter().position(|reservation| reservation.id == id)?;
        let held = self.open.remove(place).amount;
        let used = used.unwrap_or(held);
        self.spend(used, at);
        Some(used)
    }

    /// When the first settlement is to be given up.
    pub fn due(&self) -> Option<Timestamp> {
        self.open.iter().map(|reservation| reservation.due).min()
    }

    fn spend(&mut self, units: u32, at: Timestamp) {
        self.must_store = true;
        for Counted { limit, counter, .. } in &mut self.windows {
            spend(limit, counter, units, at);
        }
    }
}
