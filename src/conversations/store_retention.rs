//! Conversations in which nobody has written for as long as the policy keeps one: looked for once a day, in the workspace's list.
//!
//! The list may be behind, so each conversation decides itself, and tells when it is gone. What one sweep took is one event.

use crate::{
    audit::{self, Act, By, Entry, Report},
    codec::time::Timestamp,
    error::Reason,
    machines::{
        deployment::WorkspaceRecord,
        workspace::{CONVERSATIONS, ConversationNote, INFO, Reply},
    },
    object::{
        idempotency::{self, RetryKey},
        machine::{Range, Turn},
    },
    value::id::ConversationId,
    wire, workspaces,
};
use sha2::{Digest as _, Sha256};

/// When the next rows are looked at, and after which one.
const AT: &str = "retention-at";
const AFTER: &str = "retention-after";
/// How many conversations this sweep has taken so far.
const SWEPT: &str = "retention-swept";

/// A sweep a day; the first one a minute after the policy was first seen to want one.
const EVERY_SECONDS: u64 = 86_400;
const FIRST_SECONDS: u64 = 60;

/// Rows that one turn looks at, with a second between two turns.
const ROWS: usize = 200;

/// A sweep that has taken nothing for so long is over, and is recorded.
const QUIET_SECONDS: u64 = 10;

/// The conversation's machine stands further up. This is its binding, and the one command that it is sent from here.
const BINDING: &str = "CONVERSATION";

enum Ask {
    Sweep(ConversationId, u64),
}

wire!(enum Ask { 9 Sweep(a, b) });

struct Swept {
    first: Timestamp,
    last: Timestamp,
    count: u64,
}

wire!(Swept { first, last, count });

/// The first sweep is due soon, where the policy wants any and none is due.
pub(crate) fn plan(turn: &mut Turn) -> Result<(), Reason> {
    if turn.retention_seconds().is_some() && turn.get::<Timestamp>(AT)?.is_none() {
        again(FIRST_SECONDS, turn)?;
    }
    Ok(())
}

/// A conversation is gone: deleted, which is recorded, or swept, which is counted. In either case once.
pub(crate) fn forget(
    id: &ConversationId,
    report: Option<Report>,
    swept: bool,
    turn: &mut Turn,
) -> Result<Reply, Reason> {
    if workspaces::store_pages::forget(id, turn)? {
        if let Some(report) = report {
            idempotency::remember(&deletion(id), id.as_str().to_owned(), turn)?;
            audit::receive(report, turn)?;
        }
        if swept {
            let known: Option<Swept> = turn.get(SWEPT)?;
            let (first, count) = known.map_or((turn.at(), 0), |known| (known.first, known.count));
            turn.put(SWEPT, &Swept { first, last: turn.at(), count: count.saturating_add(1) });
            turn.wake_at(turn.at().plus_seconds(QUIET_SECONDS))?;
        }
    }
    audit::forget_source(id.as_str(), turn);
    Ok(Reply::Done)
}

/// Whether there is such a conversation, or was a day ago: so a deletion that is repeated finds it.
pub(crate) fn knows(id: &ConversationId, turn: &Turn) -> Result<bool, Reason> {
    Ok(turn.has(&format!("{CONVERSATIONS}{id}"))? || idempotency::find(&deletion(id), turn)?.is_some())
}

fn deletion(id: &ConversationId) -> RetryKey {
    RetryKey { key: Sha256::digest(format!("deleted conversation\n{id}")).into(), body: [0; 32] }
}

/// The alarm rang: asks the next conversations that may have been idle for too long, and records the sweep that is over.
pub(crate) fn wake(turn: &mut Turn) -> Result<(), Reason> {
    record(turn)?;
    let Some(due) = turn.get::<Timestamp>(AT)? else { return Ok(()) };
    let Some(seconds) = turn.retention_seconds() else {
        // The policy keeps everything by now.
        turn.delete(AT);
        turn.delete(AFTER);
        return Ok(());
    };
    // A moment that lies further ahead than a day was set by a clock that was wrong.
    if due > turn.at() && due <= turn.at().plus_seconds(EVERY_SECONDS) {
        return turn.wake_at(due);
    }
    let latest = Timestamp(turn.at().0.saturating_sub(seconds.saturating_mul(1_000)));
    let after: Option<String> = turn.get(AFTER)?;
    let range = Range { prefix: CONVERSATIONS, after: after.as_deref(), reverse: false, limit: ROWS };
    let keys = turn.list_keys(&range)?;
    // In the order in which they began: behind the first that is younger there are only younger ones.
    let rows = turn.list_readable::<ConversationNote>(&range)?.into_iter().map(|(_, note)| note);
    let mut is_over = keys.len() < ROWS;
    for note in rows {
        if note.created_at > latest {
            is_over = true;
            break;
        }
        if note.last_message_at.unwrap_or(note.created_at) <= latest {
            turn.send_to(BINDING, note.id.as_str(), &Ask::Sweep(note.id.clone(), seconds))?;
        }
    }
    match keys.last().filter(|_| !is_over) {
        Some(last) => {
            turn.put(AFTER, last);
            again(1, turn)
        }
        None => {
            turn.delete(AFTER);
            again(EVERY_SECONDS, turn)
        }
    }
}

fn again(seconds: u64, turn: &mut Turn) -> Result<(), Reason> {
    let due = turn.at().plus_seconds(seconds);
    turn.put(AT, &due);
    turn.wake_at(due)
}

/// One event of all that a sweep took.
fn record(turn: &mut Turn) -> Result<(), Reason> {
    let Some(swept) = turn.get::<Swept>(SWEPT)? else { return Ok(()) };
    let over = swept.last.plus_seconds(QUIET_SECONDS);
    if turn.at() < over {
        return turn.wake_at(over);
    }
    turn.delete(SWEPT);
    let Some(info) = turn.get::<WorkspaceRecord>(INFO)? else { return Ok(()) };
    let by = By { actor: "policy:retention".to_owned(), request_id: String::new(), network: None };
    let entry = Entry::done(Act::ConversationSweep, by, info.id.as_str(), swept.first);
    audit::record(&audit::workspace(info.id.as_str()), Entry { count: Some(swept.count), ..entry }, turn)
}
