//! Events on their way to the object that keeps the chain: they may arrive twice and are recorded once.

use super::{act::Entry, record};
use crate::{
    error::Reason,
    machine::{Turn, next},
    wire,
};

/// The number of the last report that this object sent.
const SENT: &str = "audit-sent";
/// The number of the last report that was taken in, by source.
const RECEIVED: &str = "audit-from/";

/// An event for the chain of another object.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which chain.
    pub chain: String,
    /// The object that tells it.
    pub source: String,
    /// Grows with every report of that object.
    pub sequence: u64,
    /// The event.
    pub entry: Entry,
}

wire!(Report { chain, source, sequence, entry });

impl Report {
    /// The next report of this object, which is called `source`.
    pub fn new(chain: String, source: String, entry: Entry, turn: &mut Turn) -> Result<Self, Reason> {
        let sequence = next(turn.get(SENT)?.unwrap_or_default())?;
        turn.put(SENT, &sequence);
        Ok(Self { chain, source, sequence, entry })
    }
}

/// Records what another object tells; nothing where it was told before. Messages of one object arrive in order.
pub fn receive(report: Report, turn: &mut Turn) -> Result<(), Reason> {
    let key = format!("{RECEIVED}{}", report.source);
    if turn.get::<u64>(&key)?.is_some_and(|known| report.sequence <= known) {
        return Ok(());
    }
    turn.put(key, &report.sequence);
    record(&report.chain, report.entry, turn)
}
