//! One route of the upstream: the way of each workspace to it, and when it is closed for all of them.

use super::breaker::{Breaker, BreakerTicket, OPEN_MILLIS, TOGETHER_MILLIS, UNSURE_MILLIS};
use crate::codec::time::Timestamp;

/// So many workspaces must fail: one customer has a few, and no more than a few.
const WORKSPACES: usize = 5;

/// Workspaces of which the calls of late are remembered; the one that began first makes room.
pub const MOST: usize = 200;

/// What an isolate knows of one route.
#[derive(Debug, Default)]
pub struct Route {
    ways: Vec<Way>,
    /// Closed to all from one moment to another; after that each workspace may try, until an answer comes.
    open: Option<(Timestamp, Timestamp)>,
    /// How many answers there were, and how often it was opened or closed.
    answers: u64,
    turns: u64,
}

/// One workspace's way.
#[derive(Debug, Default)]
struct Way {
    workspace: String,
    own: Breaker,
    /// Its calls since this moment that failed and that were answered.
    since: Timestamp,
    failed: u32,
    answered: u32,
    /// When it tried a route that was closed to all, and until when it does not again.
    tried: Option<(Timestamp, Timestamp)>,
}

/// What the failure of a call says of its route.
#[derive(Debug)]
pub struct Ticket {
    /// Answers before it: if there are more when it fails, others were served meanwhile.
    answers: u64,
    /// If it was opened or closed since, what comes of this call is no news.
    turns: u64,
    counts_as_failure: bool,
    is_probe: bool,
}

impl Way {
    fn is_recent(&self, at: Timestamp) -> bool {
        (self.since..=self.since.plus_millis(TOGETHER_MILLIS)).contains(&at)
    }

    /// BreakerTicket for one call; of a route that is closed to all it tries once.
    fn pass(&mut self, is_probe: bool, counts_as_failure: bool, at: Timestamp) -> Result<BreakerTicket, u64> {
        if is_probe
            && let Some((from, until)) = self.tried
            && (from..until).contains(&at)
        {
            return Err(until.millis_since(at));
        }
        let own = self.own.pass(at, counts_as_failure)?;
        if is_probe {
            let pause = if counts_as_failure { OPEN_MILLIS } else { UNSURE_MILLIS };
            self.tried = Some((at, at.plus_millis(pause)));
        }
        Ok(own)
    }

    fn count(&mut self, is_answered: bool, at: Timestamp) {
        if !self.is_recent(at) || self.failed == 0 && self.answered == 0 {
            (self.since, self.failed, self.answered) = (at, 0, 0);
        }
        let count = if is_answered { &mut self.answered } else { &mut self.failed };
        *count = count.saturating_add(1);
    }

    /// Whether most of its calls of late failed; `None` where there were none.
    fn fails(&self, at: Timestamp) -> Option<bool> {
        let has_called = self.is_recent(at) && (self.failed > 0 || self.answered > 0);
        has_called.then_some(self.failed > self.answered)
    }
}

impl Route {
    /// BreakerTicket for one call of this workspace, or for how many milliseconds there is none.
    pub fn pass(
        &mut self,
        workspace: &str,
        at: Timestamp,
        counts_as_failure: bool,
    ) -> Result<(BreakerTicket, Ticket), u64> {
        let is_probe = match self.open {
            // Before it began, the clock has stepped back: who knows how far.
            Some((from, until)) if (from..until).contains(&at) => return Err(until.millis_since(at)),
            open => open.is_some(),
        };
        let ticket = Ticket { answers: self.answers, turns: self.turns, counts_as_failure, is_probe };
        let own = self.with(workspace, at, |way| way.pass(is_probe, counts_as_failure, at))?;
        Ok((own, ticket))
    }

    /// An answer came, whichever.
    pub fn answered(&mut self, workspace: &str, at: Timestamp) {
        self.answers = self.answers.wrapping_add(1);
        if self.open.is_some() {
            self.turn(None);
        }
        self.with(workspace, at, |way| {
            way.own.answered();
            way.count(true, at);
        });
    }

    /// No answer came.
    pub fn failed(&mut self, workspace: &str, own: &BreakerTicket, ticket: &Ticket, at: Timestamp) {
        let is_news = ticket.counts_as_failure && ticket.answers == self.answers && ticket.turns == self.turns;
        self.with(workspace, at, |way| {
            way.own.failed(own, at);
            if is_news {
                way.count(false, at);
            }
        });
        if !is_news {
            return;
        }
        let fail = |way: &&Way| way.fails(at) == Some(true);
        let do_well = |way: &&Way| way.fails(at) == Some(false);
        let failing = self.ways.iter().filter(fail).count();
        if failing >= WORKSPACES && failing > self.ways.iter().filter(do_well).count() {
            self.turn(Some((at, at.plus_millis(OPEN_MILLIS))));
        }
    }

    /// Nobody waited for the answer.
    pub fn dropped(&mut self, workspace: &str, own: &BreakerTicket, ticket: &Ticket, at: Timestamp) {
        self.with(workspace, at, |way| {
            way.own.dropped(own, at);
            if ticket.is_probe {
                way.tried = None;
            }
        });
    }

    /// Whether it is closed to all at this moment.
    pub fn is_open(&self, at: Timestamp) -> bool {
        self.open.is_some_and(|(from, until)| (from..until).contains(&at))
    }

    /// How many workspaces are remembered.
    #[cfg(test)]
    pub fn remembered(&self) -> usize {
        self.ways.len()
    }

    /// Opens or closes it for all. What was counted led to this, and leads to nothing more.
    fn turn(&mut self, open: Option<(Timestamp, Timestamp)>) {
        (self.open, self.turns) = (open, self.turns.wrapping_add(1));
        for way in &mut self.ways {
            (way.failed, way.answered, way.tried) = (0, 0, None);
        }
    }

    /// Lends the way of a workspace, made anew where none is known.
    fn with<R>(&mut self, workspace: &str, at: Timestamp, used: impl FnOnce(&mut Way) -> R) -> R {
        let mut way = match self.ways.iter().position(|way| way.workspace == workspace) {
            Some(place) => self.ways.swap_remove(place),
            None => {
                if self.ways.len() >= MOST {
                    let first = self.ways.iter().enumerate().min_by_key(|(_, way)| way.since).map(|(place, _)| place);
                    first.map(|first| self.ways.swap_remove(first));
                }
                Way { workspace: workspace.to_owned(), since: at, ..Way::default() }
            }
        };
        let result = used(&mut way);
        self.ways.push(way);
        result
    }
}
