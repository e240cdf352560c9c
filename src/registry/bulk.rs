//! Ending many credentials at once: some in every turn, the rest by the alarm, so that no turn grows with their number.

use super::{
    credential::Credential,
    record::CredentialRecord,
    workspace::{self, CREDENTIALS},
};
use crate::{
    audit::By,
    error::Reason,
    id::Environment,
    machine::{Machine as _, OUTBOX, Range, Turn},
    time::Timestamp,
    wire,
};
use std::collections::BTreeSet;

/// The row of the work that is under way: one at a time.
const WORK: &str = "bulk-revocation";

/// Credentials that one turn ends: each is told to sixteen objects.
const SLICE: usize = 20;

/// More rows than a workspace can have credentials.
const ALL: usize = 10_000;

/// Which credentials are to end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Which {
    /// Only of this environment.
    pub environment: Option<Environment>,
    /// Only those that this actor made: `<kind>:<id>`.
    pub created_by: Option<String>,
    /// Why, in the words of whoever asks.
    pub reason: Option<String>,
    /// Only what was made until then: a call that is repeated to see how far it has come ends nothing newer.
    pub until: Option<Timestamp>,
}

wire!(Which { environment, created_by, reason, until });

/// What is still to be done.
struct Work {
    which: Which,
    by: By,
    /// The last row that was looked at.
    after: Option<String>,
    remaining: usize,
}

wire!(Work { which, by, after, remaining });

/// Begins, or tells how far it has come: how many have not ended everywhere yet, of those made until then.
pub fn revoke(mut which: Which, by: By, turn: &mut Turn) -> Result<(usize, Timestamp), Reason> {
    let running = turn.get::<Work>(WORK)?;
    let begun = running.as_ref().and_then(|work| work.which.until).filter(|_| which.until.is_none());
    let until = which.until.or(begun).unwrap_or(turn.at());
    which.until = Some(until);
    match running {
        Some(work) if work.which != which => {
            return Err(Reason::Conflict("Another revocation of many credentials is under way.".to_owned()));
        }
        Some(_) => {}
        None => {
            let work = Work { which, by, after: None, remaining: 0 };
            let remaining = rows(None, ALL, turn)?.iter().filter(|(_, record)| work.concerns(record)).count();
            if remaining > 0 {
                go_on(Work { remaining, ..work }, turn)?;
            }
        }
    }
    let work = turn.get::<Work>(WORK)?;
    Ok((work.map_or(0, |work| work.remaining) + untold(turn)?, until))
}

/// The alarm rang: the next slice.
pub fn wake(turn: &mut Turn) -> Result<(), Reason> {
    match turn.get::<Work>(WORK)? {
        Some(work) => go_on(work, turn),
        None => Ok(()),
    }
}

fn go_on(mut work: Work, turn: &mut Turn) -> Result<(), Reason> {
    let mut ended = 0;
    let mut is_over = true;
    for (key, record) in rows(work.after.as_deref(), ALL, turn)? {
        if ended == SLICE {
            is_over = false;
            break;
        }
        work.after = Some(key);
        if work.concerns(&record) {
            workspace::end(record, work.which.reason.clone(), work.by.clone(), turn)?;
            ended += 1;
        }
    }
    if is_over {
        turn.delete(WORK);
        return Ok(());
    }
    work.remaining = work.remaining.saturating_sub(ended);
    turn.put(WORK, &work);
    turn.wake_at(turn.at())
}

impl Work {
    fn concerns(&self, record: &CredentialRecord) -> bool {
        let Which { environment, created_by, until, .. } = &self.which;
        record.revoked_at.is_none()
            && until.is_none_or(|until| record.created_at <= until)
            && environment.is_none_or(|environment| environment == record.environment)
            && created_by.as_deref().is_none_or(|actor| actor == record.created_by)
    }
}

fn rows(after: Option<&str>, limit: usize, turn: &Turn) -> Result<Vec<(String, CredentialRecord)>, Reason> {
    turn.list_readable(&Range { prefix: CREDENTIALS, after, reverse: false, limit })
}

/// Credentials of which some object has not acknowledged the latest state.
fn untold(turn: &Turn) -> Result<usize, Reason> {
    let prefix = format!("{OUTBOX}{}/", Credential::BINDING);
    let waiting = turn.list_keys(&Range { prefix: &prefix, after: None, reverse: false, limit: ALL })?;
    let ids: BTreeSet<&str> =
        waiting.iter().filter_map(|key| key.strip_prefix(&prefix)?.split(['/', '#']).next()).collect();
    Ok(ids.len())
}
