//! What watches the answer of the API behind while it passes, and acts once it has passed.

use crate::{error::Reason, machine::World};

/// How an answer's body ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// All of it passed.
    Whole,
    /// It broke off, or nobody was left to read it.
    Cut,
}

/// What is watched for; see the module.
#[derive(Debug, Default)]
pub struct Watch {}

impl Watch {
    /// A part of the body has come.
    pub fn feed(&mut self, part: &[u8]) {
        let _ = part;
    }

    /// Whether the rest is read to its end though the caller has gone.
    pub fn goes_on(&self) -> bool {
        false
    }

    /// It is over. The caller's last bytes wait for this.
    pub async fn end(self, ending: Ending, world: &impl World) -> Result<(), Reason> {
        let _ = (ending, world);
        Ok(())
    }
}
