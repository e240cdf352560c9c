//! What one object must tell others: rows that are delivered in order per target until they are acknowledged.

use super::{
    host::{self, Decided},
    machine::{Machine, OUTBOX, Range, Rows, Turn},
};
use crate::{codec::time::Timestamp, crypto::keyring::KeyRing, error::Reason};

/// Targets that one look answers at most.
const TARGETS: usize = 64;

/// A message to deliver.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// The row, to be deleted when the target acknowledged.
    pub key: String,
    /// The target's binding.
    pub binding: String,
    /// The target's name.
    pub name: String,
}

/// The first message for each of the next targets beyond the one of the row `after`, from the first target on where that is
/// empty.
pub fn heads(rows: &dyn Rows, after: &str) -> Result<Vec<Message>, Reason> {
    let mut heads = Vec::new();
    // `$` follows `#`: on to the next target, however much waits for this one.
    let beyond = |key: &str| key.rsplit_once('#').map(|(target, _)| format!("{target}$"));
    let mut after = beyond(after);
    while heads.len() < TARGETS {
        let range = Range { prefix: OUTBOX, after: after.as_deref(), reverse: false, limit: 1 };
        let Some((key, _)) = rows.list(&range)?.into_iter().next() else {
            break;
        };
        let Some((binding, name)) = target(&key) else {
            return Err(Reason::Unreadable(key));
        };
        after = beyond(&key);
        let (binding, name) = (binding.to_owned(), name.to_owned());
        heads.push(Message { key, binding, name });
    }
    Ok(heads)
}

/// The next message for the target of `key`.
pub fn next(rows: &dyn Rows, key: &str) -> Result<Option<Message>, Reason> {
    let (Some((prefix, _)), Some((binding, name))) = (key.rsplit_once('#'), target(key)) else {
        return Ok(None);
    };
    let prefix = format!("{prefix}#");
    let found = rows.list(&Range { prefix: &prefix, after: Some(key), reverse: false, limit: 1 })?;
    Ok(found.into_iter().next().map(|(key, _)| Message { key, binding: binding.to_owned(), name: name.to_owned() }))
}

/// Whether the target has taken a message in: it did it, or refused it for good.
pub fn is_acknowledged(reply: &[u8]) -> bool {
    match host::refusal(reply) {
        Ok(None) => true,
        Ok(Some(Reason::Unavailable | Reason::Unreadable(_) | Reason::ObjectFailed)) | Err(_) => false,
        Ok(Some(_)) => true,
    }
}

/// Whether none of the rows `keys` waits any longer.
pub fn are_delivered<'a>(rows: &dyn Rows, keys: impl IntoIterator<Item = &'a str>) -> Result<bool, Reason> {
    for key in keys {
        if rows.get(key)?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The alarm rang: the machine does what is due, with what may sign, and what still waits is tried again later.
pub fn wake<M: Machine>(
    machine: &M,
    rows: &dyn Rows,
    at: Timestamp,
    signer: Option<&KeyRing>,
    retention_seconds: Option<u64>,
) -> Result<Decided<M>, Reason> {
    let mut turn = Turn::new(rows, at).signed_by(signer).keeping_for(retention_seconds);
    turn.alarm_rang();
    let update = match machine.wake(&mut turn) {
        Ok(update) => update,
        // A row that cannot be read closes its record; what others must be told goes out all the same.
        Err(Reason::Unreadable(_)) => {
            turn = Turn::new(rows, at);
            turn.alarm_rang();
            None
        }
        Err(reason) => return Err(reason),
    };
    if !rows.list(&Range { prefix: OUTBOX, after: None, reverse: false, limit: 1 })?.is_empty() {
        turn.wake_at(at.plus_seconds(5))?;
    }
    Ok(Decided { update, reply: Vec::new(), changes: turn.finish() })
}

/// `out/<binding>/<name>#<sequence>`.
fn target(key: &str) -> Option<(&str, &str)> {
    key.strip_prefix(OUTBOX)?.rsplit_once('#')?.0.split_once('/')
}
