//! Pages of a chain: in order, or newest first, and never more than a bounded look into it.

use super::{
    EVENTS, HEAD, Head,
    checkpoint::{self, CHECKPOINTS, Checkpoint},
    event::Event,
    event_key, has_events,
};
use crate::{
    codec::time::Timestamp,
    error::Reason,
    object::machine::{Range, Turn},
    wire,
};

/// Rows that a page with a filter looks through at most.
const LOOK: usize = 1_000;

/// Which events.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// Only beyond this one, in the direction of reading; from the first or the last one where there is none.
    pub from: Option<u64>,
    /// From the last one back.
    pub newest_first: bool,
    /// Only these acts.
    pub action: Option<String>,
    /// Only by this one.
    pub actor: Option<String>,
    /// At most so many.
    pub limit: usize,
    /// With the checkpoints that lie among them, or on the one that the page begins after; and on the last page with those
    /// that lie beyond, where there should be none.
    pub checkpoints: bool,
    /// Only from this moment on.
    pub since: Option<Timestamp>,
    /// Only until this moment, which is one of them.
    pub until: Option<Timestamp>,
}

wire!(Ask { from, newest_first, action, actor, limit, checkpoints, since, until });

impl Ask {
    /// Whether an event happened when it must have. Events of one minute are told of together, so that a chain is not in the order
    /// of these moments: each is looked at.
    pub fn is_in_time(&self, event: &Event) -> bool {
        if self.since.is_none() && self.until.is_none() {
            return true;
        }
        let at = Timestamp::parse_rfc3339(&event.at);
        at.is_some_and(|at| self.since.is_none_or(|since| since <= at) && self.until.is_none_or(|until| at <= until))
    }
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The events.
    pub items: Vec<Event>,
    /// Where the chain stands; none where nothing was ever recorded.
    pub head: Option<Head>,
    /// Where the next page begins, if there is more.
    pub next: Option<u64>,
    /// Checkpoints, where they were asked for.
    pub checkpoints: Vec<Checkpoint>,
}

wire!(Page { items, head, next, checkpoints });

/// A page of this object's chain.
pub fn read(ask: &Ask, turn: &Turn) -> Result<Page, Reason> {
    let head: Option<Head> = turn.get(HEAD)?;
    let is_filtered = ask.action.is_some() || ask.actor.is_some() || ask.since.is_some() || ask.until.is_some();
    let from = ask.from.map(event_key);
    let limit = if is_filtered { LOOK } else { ask.limit };
    let range = Range { prefix: EVENTS, after: from.as_deref(), reverse: ask.newest_first, limit };
    let (mut items, mut looked_to) = (Vec::new(), None);
    // One that cannot be read leaves a gap, which a verification names.
    for (_, event) in turn.list_readable::<Event>(&range)? {
        looked_to = Some(event.seq);
        let wanted = ask.action.as_ref().is_none_or(|action| event.action == *action)
            && ask.actor.as_ref().is_none_or(|actor| event.actor == *actor)
            && ask.is_in_time(&event);
        if wanted {
            items.push(event);
        }
        if items.len() == ask.limit {
            break;
        }
    }
    if head.is_none() && looked_to.is_none() && ask.from.unwrap_or_default() == 0 && has_events(turn)? {
        return Err(Reason::Unreadable(HEAD.to_owned()));
    }
    let last = head.as_ref().map_or(0, |head| head.seq);
    let next = looked_to.filter(|seq| if ask.newest_first { *seq > 1 } else { *seq < last });
    let checkpoints = if ask.checkpoints {
        self::checkpoints(ask.from.unwrap_or_default(), looked_to.filter(|_| next.is_some()), turn)?
    } else {
        Vec::new()
    };
    Ok(Page { items, head, next, checkpoints })
}

fn checkpoints(from: u64, to: Option<u64>, turn: &Turn) -> Result<Vec<Checkpoint>, Reason> {
    let after = from.checked_sub(1).map(checkpoint::key);
    let range = Range { prefix: CHECKPOINTS, after: after.as_deref(), reverse: false, limit: LOOK };
    let rows = turn.list_readable::<Checkpoint>(&range)?.into_iter().map(|(_, checkpoint)| checkpoint);
    Ok(rows.take_while(|checkpoint| to.is_none_or(|to| checkpoint.seq <= to)).collect())
}
