//! What a shard of a widget key counts: the windows of networks, the key's ceilings, and who wrote lately.
//!
//! Blocks of permits and the list of those who wrote live in memory between two rings of the alarm, which stores what was
//! really used, gives back the rest, and tells the workspace. What a crash forgets of it, it forgets on the safe side.

use crate::{
    codec::time::Timestamp,
    error::Reason,
    limits::window::{Counter, Limit, Pace, Quota, Verdict, Window, admit},
    machines::workspace::{self, Workspace},
    object::machine::{Machine as _, OUTBOX, Range, Turn},
    value::id::ConversationId,
    wire,
};
use std::collections::BTreeMap;

/// The row of the shard's part of the key's ceiling of new conversations.
pub const CEILING: &str = "ceiling";
/// The row of its part of the key's ceiling of messages.
pub const MESSAGES_CEILING: &str = "ceiling-messages";
const WINDOWS: &str = "window/";
const SWEEP_AT: &str = "sweep-at";
const SWEPT_TO: &str = "swept-to";

/// Windows that have gone idle are looked for this often, so many at a time.
const SWEEP_SECONDS: u64 = 3_600;
const SWEEP_ROWS: usize = 500;

/// The workspace's list learns who wrote this much later at most, from so many conversations in one message.
const TELL_SECONDS: u64 = 2;
const TELL_CONVERSATIONS: usize = 500;

/// As many are remembered while the workspace does not answer.
const MAX_WROTE: usize = 10_000;

/// The row of a network's window.
pub fn network_row(operation: &str, network: &str) -> String {
    format!("{WINDOWS}{operation}/{network}")
}

/// What is kept in memory between two rings of the alarm.
#[derive(Default)]
pub struct Meters {
    /// Windows of which memory knows more than their rows: a block of theirs is open.
    open: BTreeMap<String, (Limit, Counter)>,
    /// Who wrote since the workspace was told.
    wrote: BTreeMap<ConversationId, Timestamp>,
}

/// What memory may forget once a ring of the alarm is stored.
pub struct Rung {
    /// Rows that say it all again.
    closed: Vec<String>,
    /// Whether the workspace will apply who wrote; or there are too many to remember.
    told: bool,
}

/// What memory learns of an admission once its rows are stored.
pub struct Learnt {
    counters: Vec<(String, Limit, Counter)>,
    wrote: Option<(ConversationId, Timestamp)>,
}

/// The limits as they stand, or why not.
pub type Metered = Result<Vec<Quota>, Reason>;

/// A window with its limit, so that a sweep can tell when it is over.
#[derive(Default)]
struct Stored {
    limit: Option<Limit>,
    window: Window,
}

wire!(Stored { limit, window });

impl Meters {
    /// Counts one unit in all windows, or in none of them. The rows of blocks are in the turn.
    pub fn meter(
        &self,
        windows: &[(&Limit, String)],
        writes: Option<&ConversationId>,
        turn: &mut Turn,
    ) -> Result<(Metered, Learnt), Reason> {
        let mut counters = Vec::with_capacity(windows.len());
        for (limit, row) in windows {
            let open = self.open.get(row).filter(|(known, _)| known == *limit);
            let counter = match open {
                Some((_, counter)) => counter.clone(),
                None => Counter::new(turn.get::<Stored>(row)?.unwrap_or_default().window),
            };
            counters.push((*limit, counter));
        }
        let verdict = admit(&mut counters, 1, Pace::Ahead, turn.at());
        let mut learnt = Learnt { counters: Vec::with_capacity(windows.len()), wrote: None };
        for ((limit, counter), (_, row)) in counters.into_iter().zip(windows) {
            if counter.must_store() {
                turn.put(row.as_str(), &Stored { limit: Some(limit.clone()), window: counter.row(limit) });
                plan_sweep(turn)?;
            }
            if let Some(end) = counter.block_ends_at().filter(|_| counter.must_store()) {
                turn.wake_at(end)?;
            }
            learnt.counters.push((row.clone(), limit.clone(), counter.stored()));
        }
        match verdict {
            Verdict::Refused { retry_after_millis, quotas } => {
                Ok((Err(Reason::RateLimited { retry_after_millis, quotas }), learnt))
            }
            Verdict::Admitted(quotas) => {
                if let Some(id) = writes {
                    if self.wrote.is_empty() {
                        turn.wake_at(turn.at().plus_seconds(TELL_SECONDS))?;
                    }
                    learnt.wrote = Some((id.clone(), turn.at()));
                }
                Ok((Ok(quotas), learnt))
            }
        }
    }

    /// Remembers an admission whose rows are stored.
    pub fn apply(&mut self, learnt: Learnt) {
        for (row, limit, counter) in learnt.counters {
            // Without a block the row says it all.
            match counter.block_ends_at() {
                Some(_) => drop(self.open.insert(row, (limit, counter))),
                None => drop(self.open.remove(&row)),
            }
        }
        self.wrote.extend(learnt.wrote);
    }

    /// The alarm rang: blocks that are over are closed, and the workspace is told who wrote.
    pub fn wake(&self, turn: &mut Turn) -> Result<Rung, Reason> {
        let mut closed = Vec::new();
        for (row, (limit, counter)) in &self.open {
            match counter.close(turn.at()) {
                Some(window) => {
                    turn.put(row.as_str(), &Stored { limit: Some(limit.clone()), window });
                    closed.push(row.clone());
                }
                None => turn.wake_at(counter.block_ends_at().unwrap_or(turn.at()))?,
            }
        }
        // One that does not answer is told later, and of all at once.
        let prefix = format!("{OUTBOX}{}/", Workspace::BINDING);
        let waits = !turn.list_keys(&Range { prefix: &prefix, after: None, reverse: false, limit: 1 })?.is_empty();
        if waits && !self.wrote.is_empty() {
            turn.wake_at(turn.at().plus_seconds(TELL_SECONDS))?;
        }
        let told = !waits || self.wrote.len() > MAX_WROTE;
        let wrote: Vec<_> = self.wrote.iter().filter(|_| !waits).map(|(id, at)| (id.clone(), *at)).collect();
        for part in wrote.chunks(TELL_CONVERSATIONS) {
            // All of one key, so all of one workspace.
            if let Some(workspace) = part.first().and_then(|(id, _)| id.workspace()) {
                turn.send::<Workspace>(workspace.as_str(), &workspace::Command::ConversationsWrote(part.to_vec()))?;
            }
        }
        sweep(turn)?;
        Ok(Rung { closed, told })
    }

    /// Forgets what [`Self::wake`] stored.
    pub fn forget(&mut self, rung: &Rung) {
        self.open.retain(|row, _| !rung.closed.contains(row));
        if rung.told {
            self.wrote.clear();
        }
    }
}

fn plan_sweep(turn: &mut Turn) -> Result<(), Reason> {
    if turn.get::<Timestamp>(SWEEP_AT)?.is_none() {
        let due = turn.at().plus_seconds(SWEEP_SECONDS);
        turn.put(SWEEP_AT, &due);
        turn.wake_at(due)?;
    }
    Ok(())
}

/// Forgets the windows of networks that have been quiet for a whole window: some at a time, and on where it stopped.
fn sweep(turn: &mut Turn) -> Result<(), Reason> {
    let Some(due) = turn.get::<Timestamp>(SWEEP_AT)? else {
        return Ok(());
    };
    if due > turn.at() && due <= turn.at().plus_seconds(SWEEP_SECONDS) {
        return turn.wake_at(due);
    }
    let from: Option<String> = turn.get(SWEPT_TO)?;
    let range = Range { prefix: WINDOWS, after: from.as_deref(), reverse: false, limit: SWEEP_ROWS };
    let stored = turn.list_readable::<Stored>(&range)?;
    let last = stored.last().map(|(key, _)| key.clone()).filter(|_| stored.len() == SWEEP_ROWS);
    let next = match &last {
        Some(_) => Some(turn.at().plus_seconds(1)),
        None => (from.is_some() || !stored.is_empty()).then(|| turn.at().plus_seconds(SWEEP_SECONDS)),
    };
    match last {
        Some(key) => turn.put(SWEPT_TO, &key),
        None => turn.delete(SWEPT_TO),
    }
    match next {
        Some(due) => {
            turn.put(SWEEP_AT, &due);
            turn.wake_at(due)?;
        }
        None => turn.delete(SWEEP_AT),
    }
    for (key, stored) in stored {
        let Some(limit) = stored.limit.filter(|limit| !stored.window.is_idle(limit, turn.at())) else {
            turn.delete(key);
            continue;
        };
        if let Some(window) = stored.window.found_behind(&limit, turn.at()) {
            turn.put(key, &Stored { limit: Some(limit), window });
        }
    }
    Ok(())
}
