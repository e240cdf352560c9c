//! What the object of a server key or a service token counts: the windows of its tier, and its usage, in one row.
//!
//! Whoever asks often is served from one block of permits for all windows (see `limit`), and the usage of a block is stored
//! with the next one: an admission from memory reads the key's row and writes nothing. The alarm stores what memory alone
//! knows once nobody asks any more; while somebody does, it only looks.

use super::{
    shard_meter::Metered,
    stored_window::{Counted, Stored, has_block, in_force},
    token_holds::{Ask, Row, Tokens},
    usage::Usage,
};
use crate::{
    codec::time::Timestamp,
    error::Reason,
    limits::{
        tier::Limits,
        window::{Counter, Limit, Pace, Verdict, admit, look},
    },
    object::machine::Turn,
    wire,
};

pub(crate) const ACCOUNT: &str = "account";

/// What memory alone knows is looked after so much later: a block's second is over by then, and long before an object that
/// nobody asks is evicted.
const SETTLE_MILLIS: u64 = 3_000;

/// An alarm that has not rung so long after its moment was given up by the platform.
const LATE_MILLIS: u64 = 10_000;

/// Secrets that memory knows as used: the two that live, and some that did.
const MAX_USED: usize = 8;

/// The one row.
#[derive(Default)]
pub(crate) struct Account {
    /// See `limit`.
    pub windows: Vec<Stored>,
    /// What was used.
    pub usage: Usage,
    /// What was used and what is held of tokens; none where that was never counted.
    tokens: Option<Row>,
}

wire!(Account { windows, usage, tokens });

/// What is kept in memory between two stores.
#[derive(Clone, Default)]
pub struct KeyMeter {
    /// All windows, where memory knows more of them than the row, or where there are none: a block is open.
    pub(crate) open: Option<Vec<Counted>>,
    /// The row's tokens, where memory has read them: none of them is ever in memory alone.
    tokens: Option<Tokens>,
    /// Usage that is not stored yet.
    pub(crate) pending: Usage,
    /// Secrets whose first use is stored: see [`Self::meter`].
    used: Vec<String>,
    /// The alarm that stores both.
    alarm: Option<Timestamp>,
    rate: Rate,
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
    /// Counts `cost` requests and holds tokens, in all windows, or in none of them, and the usage of it; and what memory learns
    /// of that. The first use of a secret is stored before it is answered: a rotation ends the secret that nobody uses, whatever
    /// was killed meanwhile.
    pub(crate) fn meter(
        &self,
        Limits { requests: limits, tokens: token_limits }: Limits,
        cost: u32,
        ask: Ask,
        tick: &Tick,
        turn: &mut Turn,
    ) -> Result<(Metered, Self), Reason> {
        if let Some(most) = token_limits.iter().map(|limit| limit.limit).min().filter(|most| ask.amount > *most) {
            return Ok((Err(Reason::TokensTooMany(ask.amount, most)), self.deny(turn)?));
        }
        let (at, mut learnt, mut stored) = (turn.at(), self.clone(), None);
        let known = match learnt.open.take() {
            Some(open) => open,
            None => account(&mut stored, turn)?.counted(),
        };
        let mut counted = in_force(limits, known);
        let mut counters: Vec<(&Limit, Counter)> =
            counted.iter().map(|Counted { limit, counter, .. }| (limit, counter.clone())).collect();
        let rate = self.rate.and(cost, at);
        let mut tokens = learnt.take_tokens(&mut stored, turn)?;
        tokens.under(token_limits);
        learnt.pending.spend(tokens.give_up(at), at);
        // A tier that does not limit tokens does not count them.
        let ask = Ask { amount: if token_limits.is_empty() { 0 } else { ask.amount }, ..ask };
        let (wait, held) = tokens.look(ask, at);
        let verdict = if wait == 0 {
            admit(&mut counters, cost, Pace::Together(rate.ahead()), at)
        } else {
            // Together or not at all: the requests are only looked at.
            let (retry_after_millis, quotas) = look(&mut counters, 0, cost, at);
            Verdict::Refused { retry_after_millis, quotas }
        };
        let outcome = match verdict {
            Verdict::Admitted(mut quotas) => {
                learnt.rate = rate;
                learnt.pending.count(tick, at);
                quotas.truncate(limits.len());
                Ok([quotas, tokens.admit(ask, held, at)].concat())
            }
            Verdict::Refused { retry_after_millis: first, mut quotas } => {
                learnt.pending.deny(at);
                quotas.truncate(limits.len());
                let retry_after_millis = first.max(wait);
                Err(match first {
                    0 => Reason::TokensLimited { retry_after_millis, quotas, tokens: held },
                    _ => Reason::RateLimited { retry_after_millis, quotas: [quotas, held].concat() },
                })
            }
        };
        let is_first = outcome.is_ok() && !learnt.used.iter().any(|used| used == tick.secret);
        let is_news = is_first && !account(&mut stored, turn)?.usage.knows(tick.secret);
        if is_first {
            learnt.used.insert(0, tick.secret.to_owned());
            learnt.used.truncate(MAX_USED);
        }
        let must_store = is_news || tokens.must_store() || counters.iter().any(|(_, counter)| counter.must_store());
        let counters: Vec<Counter> = counters.into_iter().map(|(_, counter)| counter.stored()).collect();
        for (counted, counter) in counted.iter_mut().zip(counters) {
            counted.counter = counter;
        }
        if must_store {
            account(&mut stored, turn)?.windows = counted.iter().map(Counted::row).collect();
            learnt.store(&mut stored, &tokens, turn)?;
        }
        learnt.tokens = Some(tokens.stored());
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

    /// A call used so many tokens; where nobody knows, all that were held for it. What comes twice or too late changes nothing.
    pub fn settle(&self, id: &str, used: Option<u32>, turn: &mut Turn) -> Result<Self, Reason> {
        let (mut learnt, mut stored) = (self.clone(), None);
        let mut tokens = learnt.take_tokens(&mut stored, turn)?;
        if let Some(units) = tokens.settle(id, used, turn.at()) {
            learnt.pending.spend(units, turn.at());
            // A block that is open stands in the row already.
            learnt.store(&mut stored, &tokens, turn)?;
        }
        learnt.tokens = Some(tokens.stored());
        Ok(learnt)
    }

    /// Remembers what was stored, and what was not.
    pub fn apply(&mut self, learnt: Self) {
        *self = learnt;
    }

    /// The alarm rang: a block that is over is closed, which gives back the rest, and all usage is stored. Usage waits for the
    /// block that carries it.
    pub fn wake(&self, turn: &mut Turn) -> Result<Option<Self>, Reason> {
        let open = self.open.as_deref().filter(|open| has_block(open));
        let (at, mut learnt, mut stored) = (turn.at(), self.clone(), None);
        learnt.alarm = None;
        let is_over = open.is_none_or(|open| open.iter().all(|counted| counted.counter.close(at).is_some()));
        let mut tokens = learnt.take_tokens(&mut stored, turn)?;
        learnt.pending.spend(tokens.give_up(at), at);
        if tokens.must_store() || is_over && (open.is_some() || !self.pending.is_empty()) {
            if let Some(open) = open.filter(|_| is_over) {
                account(&mut stored, turn)?.windows = open.iter().map(Counted::closed).collect();
                learnt.open = None;
            }
            learnt.store(&mut stored, &tokens, turn)?;
        } else if let Some(due) = tokens.due() {
            turn.wake_at(due)?;
        }
        learnt.tokens = Some(tokens.stored());
        learnt.plan(turn)?;
        Ok(Some(learnt))
    }

    /// All that was used, stored or not.
    pub(crate) fn usage(&self, turn: &Turn) -> Result<Usage, Reason> {
        let mut usage = turn.get::<Account>(ACCOUNT)?.unwrap_or_default().usage;
        usage.merge(self.pending.clone());
        Ok(usage)
    }

    /// The tokens that memory knows, or those of the row.
    fn take_tokens(&mut self, stored: &mut Option<Account>, turn: &Turn) -> Result<Tokens, Reason> {
        match self.tokens.take() {
            Some(tokens) => Ok(tokens),
            None => Ok(account(stored, turn)?.tokens.take().map(Tokens::from).unwrap_or_default()),
        }
    }

    /// Stores the account, with the usage that memory alone knows.
    fn store(&mut self, stored: &mut Option<Account>, tokens: &Tokens, turn: &mut Turn) -> Result<(), Reason> {
        let account = account(stored, turn)?;
        account.tokens = tokens.row();
        account.usage.absorb(std::mem::take(&mut self.pending), turn)?;
        turn.put(ACCOUNT, account);
        tokens.due().map_or(Ok(()), |due| turn.wake_at(due))
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

impl Account {
    pub fn counted(&mut self) -> Vec<Counted> {
        std::mem::take(&mut self.windows).into_iter().map(Counted::from).collect()
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
