//! What watches the answer of the upstream while it passes, and acts once it has passed.

pub use super::token_usage::{TokenReservation, TokenUsage};

use super::answer_copy::ResponseRecorder;
use crate::{error::Reason, object::machine::World, world::memory_budget::Share};
use futures_util::future::join;

/// How an answer's body ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// All of it passed.
    Whole,
    /// It broke off, or nobody was left to read it.
    Cut,
}

/// What is watched for: parts that know nothing of each other; see the module.
#[derive(Debug, Default)]
pub struct Watch {
    keeping: Option<ResponseRecorder>,
    spent: Option<TokenUsage>,
    share: Option<Share>,
}

impl Watch {
    /// Watches for what the call has used, and settles it.
    pub fn settles(&mut self, spent: TokenUsage) {
        self.spent = Some(spent);
    }

    /// Keeps the answer for whoever repeats the request.
    pub fn keeps(&mut self, keeping: ResponseRecorder) {
        self.keeping = Some(keeping);
    }

    /// Counts what is held of the answer in this share.
    pub fn counts_in(&mut self, share: Share) {
        self.share = Some(share);
    }

    /// A part of the body has come.
    pub fn feed(&mut self, part: &[u8]) {
        if let Some(spent) = &mut self.spent {
            spent.feed(part);
        }
        if let Some(keeping) = &mut self.keeping {
            keeping.feed(part);
        }
        // Where there is no room for it, the answer passes all the same.
        if self.share.as_ref().is_some_and(|share| !share.holds(self.held_bytes())) {
            if let Some(keeping) = &mut self.keeping {
                keeping.give_up();
            }
            self.share = None;
        }
    }

    /// What an answer has used is read without keeping any of it.
    fn held_bytes(&self) -> usize {
        self.keeping.as_ref().map_or(0, ResponseRecorder::held_bytes)
    }

    /// Whether the rest is read to its end though the caller has gone.
    pub fn goes_on(&self) -> bool {
        self.keeping.as_ref().is_some_and(ResponseRecorder::goes_on)
            || self.spent.as_ref().is_some_and(TokenUsage::goes_on)
    }

    /// It is over. The caller's last bytes wait for this.
    pub async fn end(self, ending: Ending, world: &impl World) -> Result<(), Reason> {
        let settled = async {
            match self.spent {
                Some(spent) => spent.end(ending, world).await,
                None => Ok(()),
            }
        };
        let kept = async {
            match self.keeping {
                Some(keeping) => keeping.end(ending == Ending::Whole, world).await,
                None => Ok(()),
            }
        };
        let (settled, kept) = join(settled, kept).await;
        settled.and(kept)
    }
}
