//! What every host of a machine does, be it an object at the edge or a map in a test: read, decide, hand over the changes.

use super::machine::{Changes, Machine, MemoryUpdate, Rows, Turn};
use crate::{
    codec::{
        cbor::{self, Wire},
        time::Timestamp,
    },
    error::Reason,
    limits::tier::Tiers,
};

/// The first byte of a reply: what the host must do before it lets go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Delivery {
    /// The turn sends nothing.
    Nothing = 0,
    /// What it sends may arrive later.
    Later = 1,
    /// What it sends must arrive first.
    First = 2,
    /// There was no turn: the object failed.
    Failed = 3,
}

/// The second byte of a reply: whether the rest is the answer or the reason against it.
const ANSWERED: u8 = 0;
const REFUSED: u8 = 1;

/// A decision that waits for its changes to be written.
pub struct Decided<M> {
    /// What memory learns once they are.
    pub update: MemoryUpdate<M>,
    /// The reply, to be let go once they are.
    pub reply: Vec<u8>,
    /// All of them, or none.
    pub changes: Changes,
}

/// One command. A refusal changes nothing.
pub fn handle<M: Machine>(
    machine: &M,
    rows: &dyn Rows,
    command: &[u8],
    at: Timestamp,
    tiers: &Tiers,
    retention_seconds: Option<u64>,
) -> Decided<M> {
    let mut turn = Turn::new(rows, at).with_tiers(tiers).keeping_for(retention_seconds);
    let decided = read_as("command", command).and_then(|command| machine.handle(command, &mut turn));
    match decided {
        Ok(step) => {
            let changes = turn.finish();
            let mut reply = vec![changes.delivery() as u8, ANSWERED];
            reply.extend(cbor::write(&step.reply));
            Decided { update: step.update, reply, changes }
        }
        Err(reason) => refused(&reason),
    }
}

/// The reply of a command that changed nothing, because of this.
pub fn refused<M>(reason: &Reason) -> Decided<M> {
    Decided { update: None, reply: refuse(reason), changes: Changes::default() }
}

/// A reply that is only a reason.
pub fn refuse(reason: &Reason) -> Vec<u8> {
    let mut reply = vec![Delivery::Nothing as u8, REFUSED];
    reply.extend(cbor::write(reason));
    reply
}

/// Reads what [`handle`] answered.
pub fn read<M: Machine>(reply: &[u8]) -> Result<M::Reply, Reason> {
    match refusal(reply)? {
        Some(reason) => Err(reason),
        None => read_as("reply", reply.get(2..).unwrap_or_default()),
    }
}

/// The reason in a reply, if it is one.
pub fn refusal(reply: &[u8]) -> Result<Option<Reason>, Reason> {
    match reply {
        [_, ANSWERED, ..] => Ok(None),
        [_, REFUSED, reason @ ..] => read_as("reason", reason).map(Some),
        _ => Err(Reason::Unavailable),
    }
}

fn read_as<T: Wire>(what: &str, bytes: &[u8]) -> Result<T, Reason> {
    cbor::read(bytes).map_err(|_| Reason::Unreadable(what.to_owned()))
}
