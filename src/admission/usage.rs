//! How much a credential was used, by the minute, by secret and by scope: for people, never for a decision.
//!
//! It is stored when the windows are, so a crash forgets at most the last seconds of it; but never that a secret is in use. Minutes of the running hour
//! stand beside the windows; every hour that is over has a row of its own, for 90 days.

use crate::{
    codec::time::Timestamp,
    error::Reason,
    object::machine::{Range, Turn},
    wire,
};

const HOURS: &str = "usage/";
const MINUTE_MILLIS: u64 = 60_000;

/// Hours that are kept.
const KEPT_HOURS: u64 = 90 * 24;

/// Rows of hours that are over which one turn clears away.
const SWEEP_ROWS: usize = 8;

/// Names that are told apart: more secrets or scopes than a credential can have at a time. A newer one takes the place of the
/// one that was not used for longest.
const MAX_SHARES: usize = 128;

/// What was used.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// Calls that were admitted.
    pub total: u64,
    /// Calls that were refused.
    pub denied: u64,
    /// When it was last admitted.
    pub last_used_at: Option<Timestamp>,
    /// From which network that was, where the deployment knows.
    pub network: Option<String>,
    /// By the hint of the secret.
    pub secrets: Vec<Share>,
    /// By what the calls were for.
    pub scopes: Vec<Share>,
    /// The running hour.
    minutes: Vec<Minute>,
    /// Tokens that calls have used; none where none were counted.
    pub tokens: Option<u64>,
}

wire!(Usage { total, denied, last_used_at, network, secrets, scopes, minutes, tokens });

/// A part of the usage.
#[derive(Clone, Debug)]
pub struct Share {
    /// Whose.
    pub name: String,
    /// Calls that were admitted.
    pub total: u64,
    /// When one last was.
    pub last_used_at: Timestamp,
}

wire!(Share { name, total, last_used_at });

/// The calls of one minute, or of more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Minute {
    /// The first minute, counted from 1970.
    pub minute: u64,
    /// Calls that were admitted.
    pub total: u64,
    /// Calls that were refused.
    pub denied: u64,
    /// Tokens that were used; none where none were counted.
    pub tokens: Option<u64>,
}

wire!(Minute { minute, total, denied, tokens });

/// Which part of the past, in what steps.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// The first minute.
    pub from: u64,
    /// The minute before which it ends.
    pub to: u64,
    /// Minutes in a step: 1, 60 or 1,440.
    pub step: u64,
}

wire!(Span { from, to, step });

impl Usage {
    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.minutes.is_empty()
    }

    /// Whether a call with the secret of this hint was counted.
    pub fn knows(&self, hint: &str) -> bool {
        self.secrets.iter().any(|share| share.name == hint)
    }

    /// Counts a call that was admitted.
    pub fn count(&mut self, tick: &super::key_meter::Tick, at: Timestamp) {
        self.total += 1;
        self.last_used_at = Some(at);
        if let Some(network) = tick.network {
            network.clone_into(self.network.get_or_insert_default());
        }
        share(&mut self.secrets, tick.secret, 1, at);
        if let Some(scope) = tick.scope {
            share(&mut self.scopes, scope, 1, at);
        }
        self.add(Minute { total: 1, ..Minute::at(at) });
    }

    /// Counts a call that was refused.
    pub(crate) fn deny(&mut self, at: Timestamp) {
        self.denied += 1;
        self.add(Minute { denied: 1, ..Minute::at(at) });
    }

    /// Counts tokens that a call has used.
    pub(crate) fn spend(&mut self, tokens: u32, at: Timestamp) {
        let tokens = Some(u64::from(tokens)).filter(|tokens| *tokens > 0);
        if tokens.is_some() {
            self.tokens = sum(self.tokens, tokens);
            self.add(Minute { tokens, ..Minute::at(at) });
        }
    }

    /// As it was counted elsewhere, by a clock that may be ahead: nothing was used later than `at`.
    pub(crate) fn until(mut self, at: Timestamp) -> Self {
        self.last_used_at = self.last_used_at.map(|used| used.min(at));
        for share in self.secrets.iter_mut().chain(&mut self.scopes) {
            share.last_used_at = share.last_used_at.min(at);
        }
        for minute in &mut self.minutes {
            minute.minute = minute.minute.min(at.0 / MINUTE_MILLIS);
        }
        self
    }

    /// Takes over what memory counted, to be stored: an hour that is over gets a row.
    pub(crate) fn absorb(&mut self, pending: Self, turn: &mut Turn) -> Result<(), Reason> {
        self.merge(pending);
        self.end_hours(turn)
    }

    /// Takes over what memory counted. Rows of hours are written with the account and never without it: whoever only reads
    /// has them all here.
    pub(crate) fn merge(&mut self, pending: Self) {
        let Self { total, denied, last_used_at, network, secrets, scopes, minutes, tokens } = pending;
        self.total = self.total.saturating_add(total);
        self.denied = self.denied.saturating_add(denied);
        self.tokens = sum(self.tokens, tokens);
        self.last_used_at = self.last_used_at.max(last_used_at);
        self.network = network.or(self.network.take());
        for (known, new) in [(&mut self.secrets, secrets), (&mut self.scopes, scopes)] {
            for Share { name, total, last_used_at } in new {
                share(known, &name, total, last_used_at);
            }
        }
        for Minute { minute, total, denied, tokens } in minutes {
            // A clock that stepped back counts into the hour that is running.
            let running = self.minutes.last().map(|last| hour(last.minute));
            let minute = running.map_or(minute, |running| minute.max(running * 60));
            self.add(Minute { minute, total, denied, tokens });
        }
    }

    /// The calls of a span, in steps; a step without calls is left out.
    pub(crate) fn series(&self, span: Span, turn: &Turn) -> Result<Vec<Minute>, Reason> {
        if span.from >= span.to {
            return Ok(Vec::new());
        }
        let after = format!("{HOURS}{:010}", hour(span.from).saturating_sub(1));
        let limit = usize::try_from(KEPT_HOURS).unwrap_or(usize::MAX);
        let range = Range { prefix: HOURS, after: Some(&after), reverse: false, limit };
        let stored = turn.list_readable::<Vec<Minute>>(&range)?.into_iter().flat_map(|(_, minutes)| minutes);
        let mut steps: Vec<Minute> = Vec::new();
        for Minute { minute, total, denied, tokens } in stored.chain(self.minutes.iter().copied()) {
            if minute < span.from || minute >= span.to {
                continue;
            }
            let first = minute - minute % span.step.max(1);
            match steps.iter_mut().rev().find(|step| step.minute == first) {
                Some(step) => {
                    (step.total, step.denied) = (step.total + total, step.denied + denied);
                    step.tokens = sum(step.tokens, tokens);
                }
                None => steps.push(Minute { minute: first, total, denied, tokens }),
            }
        }
        steps.sort_by_key(|step| step.minute);
        Ok(steps)
    }

    fn end_hours(&mut self, turn: &mut Turn) -> Result<(), Reason> {
        let Some(running) = self.minutes.last().map(|last| hour(last.minute)) else { return Ok(()) };
        let over = self.minutes.partition_point(|minute| hour(minute.minute) < running);
        if over == 0 {
            return Ok(());
        }
        let ended: Vec<Minute> = self.minutes.drain(..over).collect();
        for minutes in ended.chunk_by(|one, next| hour(one.minute) == hour(next.minute)) {
            let Some(first) = minutes.first() else { continue };
            turn.put(hour_key(hour(first.minute)), &minutes.to_vec());
        }
        let oldest = hour_key(running.saturating_sub(KEPT_HOURS));
        let range = Range { prefix: HOURS, after: None, reverse: false, limit: SWEEP_ROWS };
        for key in turn.list_keys(&range)?.into_iter().take_while(|key| *key < oldest) {
            turn.delete(key);
        }
        Ok(())
    }

    /// Counts into a minute.
    fn add(&mut self, Minute { minute, total, denied, tokens }: Minute) {
        match self.minutes.iter_mut().rev().find(|known| known.minute == minute) {
            Some(known) => {
                known.total = known.total.saturating_add(total);
                known.denied = known.denied.saturating_add(denied);
                known.tokens = sum(known.tokens, tokens);
            }
            None => self.minutes.push(Minute { minute, total, denied, tokens }),
        }
    }
}

impl Minute {
    /// The minute of a moment, with nothing in it.
    fn at(at: Timestamp) -> Self {
        Self { minute: at.0 / MINUTE_MILLIS, total: 0, denied: 0, tokens: None }
    }
}

fn sum(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    let (Some(known), Some(new)) = (one, other) else { return one.or(other) };
    Some(known.saturating_add(new))
}

fn share(shares: &mut Vec<Share>, name: &str, total: u64, at: Timestamp) {
    if let Some(share) = shares.iter_mut().find(|share| share.name == name) {
        share.total = share.total.saturating_add(total);
        share.last_used_at = share.last_used_at.max(at);
        return;
    }
    let oldest = (0..shares.len()).min_by_key(|place| shares.get(*place).map(|share| share.last_used_at));
    if let Some(oldest) = oldest.filter(|_| shares.len() >= MAX_SHARES) {
        shares.remove(oldest);
    }
    shares.push(Share { name: name.to_owned(), total, last_used_at: at });
}

fn hour(minute: u64) -> u64 {
    minute / 60
}

fn hour_key(hour: u64) -> String {
    format!("{HOURS}{hour:010}")
}
