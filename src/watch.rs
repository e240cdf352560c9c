//! What watches the answer of the API behind while it passes, and acts once it has passed.

use crate::{error::Reason, keeping::Keeping, machine::World};

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
    /// It is kept for whoever repeats the request.
    pub keeping: Option<Keeping>,
}

impl Watch {
    /// Itself, if there is anything to watch for.
    pub fn wanted(self) -> Option<Self> {
        self.keeping.is_some().then_some(self)
    }

    /// A part of the body has come.
    pub fn feed(&mut self, part: &[u8]) {
        if let Some(keeping) = &mut self.keeping {
            keeping.feed(part);
        }
    }

    /// Whether the rest is read to its end though the caller has gone.
    pub fn goes_on(&self) -> bool {
        self.keeping.as_ref().is_some_and(Keeping::goes_on)
    }

    /// It is over. The caller's last bytes wait for this.
    pub async fn end(self, ending: Ending, world: &impl World) -> Result<(), Reason> {
        match self.keeping {
            Some(keeping) => keeping.end(ending == Ending::Whole, world).await,
            None => Ok(()),
        }
    }
}
