//! Who did what: a row for every act, written in the transaction of the act itself and chained to the row before by a hash.
//!
//! Nothing that a caller typed freely stands in a row (a name, a reason in words): a chain forgets nothing, so it must not
//! apply a secret that somebody pasted by mistake. Of what GitHub reports, a URL does, once it was looked through for one.

mod act;
mod checkpoint;
mod event;
mod page;
mod report;
mod walk;

pub use act::{Act, By, Entry};
pub use checkpoint::{Checkpoint, Signature};
pub use event::{Event, GENESIS};
pub use page::{Ask, Page, read};
pub use report::{Report, forget_sent, forget_source, receive, receive_of};
pub use walk::Walk;

use crate::{
    codec::time::Timestamp,
    error::Reason,
    object::machine::{Range, Turn, next},
    wire,
};
use serde::{Deserialize, Serialize};

const HEAD: &str = "audit-head";
const EVENTS: &str = "audit/";

/// Where a chain stands.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Which chain: `workspace:<id>` or `deployment:<name>`.
    pub chain: String,
    /// The number of its last event.
    pub seq: u64,
    /// The hash of that.
    pub hash: String,
    /// When that happened.
    pub at: String,
    /// When the head is to be signed; none where it has not moved since.
    #[serde(skip)]
    due: Option<Timestamp>,
}

wire!(Head { chain, seq, hash, at, due });

/// The name of a workspace's chain.
pub fn workspace(id: &str) -> String {
    format!("workspace:{id}")
}

/// The name of a deployment's own chain.
pub fn deployment(name: &str) -> String {
    format!("deployment:{name}")
}

/// Writes an event to the chain of this object, beside whatever else the turn changes: all of it or nothing.
pub fn record(chain: &str, entry: Entry, turn: &mut Turn) -> Result<(), Reason> {
    let head: Option<Head> = turn.get(HEAD)?;
    // A chain whose head is gone does not begin anew over what is left of it.
    if head.is_none() && has_events(turn)? {
        return Err(Reason::Unreadable(HEAD.to_owned()));
    }
    let due = checkpoint::due(head.as_ref().and_then(|head| head.due), turn);
    let (last, prev) = head.map_or_else(|| (0, GENESIS.to_owned()), |head| (head.seq, head.hash));
    let seq = next(last)?;
    let event = Event::new(seq, prev, entry);
    turn.put(event_key(seq), &event);
    turn.put(HEAD, &Head { chain: chain.to_owned(), seq, hash: event.hash, at: event.at, due: Some(due) });
    turn.wake_at(due.max(turn.at()))
}

/// The alarm rang: records what waited for it; signs the head if that is due, and answers the checkpoint.
pub fn wake(turn: &mut Turn) -> Result<Option<Checkpoint>, Reason> {
    report::wake(turn)?;
    checkpoint::wake(turn)
}

/// Whether there is any row of an event, readable or not.
fn has_events(turn: &Turn) -> Result<bool, Reason> {
    let any = Range { prefix: EVENTS, after: None, reverse: false, limit: 1 };
    turn.list_keys(&any).map(|keys| !keys.is_empty())
}

fn event_key(seq: u64) -> String {
    format!("{EVENTS}{seq:015}")
}
