//! The place of a server key or service token before it is made there: reserved for a while, so that no two are made in one.

use super::server_key::{KEY, KeyRecord};
use crate::{
    codec::time::Timestamp, error::Reason, machines::credential::Reply, object::machine::Turn, value::id::CredentialId,
};

const RESERVED: &str = "reserved";
const RESERVED_UNTIL: &str = "reserved-until";

/// Whoever reserves a place makes a credential there within seconds, or never.
const RESERVED_SECONDS: u64 = 3_600;

/// Takes the place for `id`; a conflict where another credential has it.
pub(crate) fn reserve(id: &CredentialId, turn: &mut Turn) -> Result<Reply, Reason> {
    let key: Option<KeyRecord> = turn.get(KEY)?;
    let holder = match key {
        Some(key) => Some(key.id),
        None => turn.get(RESERVED)?,
    };
    match holder {
        Some(holder) if holder != *id => Err(Reason::Conflict("This place is taken.".to_owned())),
        Some(_) => Ok(Reply::Done),
        None => {
            let until = turn.at().plus_seconds(RESERVED_SECONDS);
            turn.put(RESERVED, id);
            turn.put(RESERVED_UNTIL, &until);
            turn.wake_at(until)?;
            Ok(Reply::Done)
        }
    }
}

/// The credential was made.
pub(crate) fn take(turn: &mut Turn) {
    turn.delete(RESERVED);
    turn.delete(RESERVED_UNTIL);
}

/// The alarm rang: a place where nothing was made is free again, and keeps nothing.
pub(crate) fn wake(turn: &mut Turn) -> Result<(), Reason> {
    match turn.get::<Timestamp>(RESERVED_UNTIL)? {
        Some(until) if until <= turn.at() => take(turn),
        Some(until) => turn.wake_at(until)?,
        None => {}
    }
    Ok(())
}
