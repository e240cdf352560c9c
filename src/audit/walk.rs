//! Verification: goes along a chain, event by event, and says where it is not what it was. Pure; the edge and the CLI share it.

use super::{
    checkpoint::Checkpoint,
    event::{Event, GENESIS},
};

/// How far a chain was found sound.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Walk {
    /// The last event that was found sound.
    pub seq: u64,
    /// Its hash.
    pub hash: String,
    /// How many were.
    pub count: u64,
}

impl Walk {
    /// From the beginning.
    pub fn begin() -> Self {
        Self::after(0, GENESIS.to_owned())
    }

    /// From behind the event `seq`, whose hash is believed.
    pub fn after(seq: u64, hash: String) -> Self {
        Self { seq, hash, count: 0 }
    }

    /// Takes the next event, or says what is wrong with it.
    pub fn step(&mut self, event: &Event) -> Result<(), &'static str> {
        if Some(event.seq) != self.seq.checked_add(1) {
            return Err("it does not follow the event before: some are missing, doubled or in another order");
        }
        if event.prev != self.hash {
            return Err("its `prev` is not the hash of the event before");
        }
        if event.digest() != event.hash {
            return Err("its `hash` is not the hash of its content");
        }
        *self = Self { seq: event.seq, hash: event.hash.clone(), count: self.count + 1 };
        Ok(())
    }

    /// Whether a checkpoint lies where the walk has come to, or says why not.
    pub fn check(&self, checkpoint: &Checkpoint) -> Result<(), &'static str> {
        if checkpoint.seq == self.seq && checkpoint.hash == self.hash {
            Ok(())
        } else {
            Err("the checkpoint is of another event than the one that stands here")
        }
    }
}
