//! Ending many credentials at once: some in every turn, the rest by the alarm, so that no turn grows with their number. Each environment
//! has its own work: what is done to `test` keys never holds up `live` ones.

use super::{store::BOTH, store_pages::LOOK};
use crate::{
    audit::By,
    codec::time::Timestamp,
    error::Reason,
    machines::{
        credential::Credential,
        workspace::{self, ROOM},
    },
    object::machine::{Machine as _, OUTBOX, Range, Turn},
    protocol::credential_record::CredentialRecord,
    value::id::{CredentialId, Environment},
    wire,
};
use std::collections::BTreeSet;

/// The work that is under way, of each environment.
const WORK: &str = "bulk-revocation/";
/// The row of earlier versions, which know one work at a time, of one environment or of both. It is kept beside, where it is free.
const OLD: &str = "bulk-revocation";
/// Which work of that row is known here.
const KNOWN: &str = "bulk-revocation-known";

/// The last work of an environment that was done, and how many credentials had ever been made by then.
const DONE: &str = "bulk-revocation-done/";

/// Credentials that one turn ends: each is told to sixteen objects.
const SLICE: usize = 20;
/// Rows that it looks at for that.
const LOOKS: usize = 100;
/// Rows that it counts, so that people see how much is left.
const COUNTS: usize = 500;

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

/// What is still to be done, as earlier versions keep it.
struct Old {
    which: Which,
    by: By,
    after: Option<String>,
    remaining: usize,
}

wire!(Old { which, by, after, remaining });

/// What is still to be done in one environment.
struct Work {
    which: Which,
    by: By,
    /// The last credential that was looked at.
    after: Option<CredentialId>,
    /// The last one that was counted, and how many were.
    counted: Option<CredentialId>,
    count: usize,
    /// Whether all were counted.
    is_counted: bool,
    /// How many of them are left to end.
    remaining: usize,
    /// How many credentials had ever been made when it began.
    made: usize,
}

wire!(Work { which, by, after, counted, count, is_counted, remaining, made });

/// Begins, or tells how far it has come: how many have not ended everywhere yet, of those made until then. What is still to be looked at
/// counts as left.
pub fn revoke(mut which: Which, by: By, turn: &mut Turn) -> Result<(usize, Timestamp), Reason> {
    adopt(turn)?;
    let environments = concerned(&which);
    let running =
        environments.iter().map(|environment| work(*environment, turn)).collect::<Result<Vec<_>, Reason>>()?;
    let begun = running.iter().flatten().find_map(|work| work.which.until);
    let until = which.until.or(begun).unwrap_or(turn.at());
    which.until = Some(until);
    if running.iter().flatten().any(|work| !is_same(&work.which, &which)) {
        return Err(Reason::Conflict("Another revocation of many credentials is under way here.".to_owned()));
    }
    let mut remaining = 0;
    for (environment, running) in environments.iter().zip(running) {
        if running.is_none() && !is_done(*environment, &which, turn)? {
            let work = Work::new(which.clone(), by.clone(), turn)?;
            go_on(*environment, work, turn)?;
        }
        if let Some(work) = work(*environment, turn)? {
            remaining += work.remaining;
            if !work.is_counted {
                remaining += ROOM.kept(*environment, turn)?.saturating_sub(work.count);
            }
        }
        remaining += untold(*environment, turn)?;
    }
    let is_begun = environments.iter().any(|environment| matches!(work(*environment, turn), Ok(Some(_))));
    if is_begun && turn.get::<Old>(OLD)?.is_none() {
        turn.put(KNOWN, &which);
        turn.put(OLD, &Old { which, by, after: None, remaining });
    }
    Ok((remaining, until))
}

/// The alarm rang: the next slice.
pub fn wake(turn: &mut Turn) -> Result<(), Reason> {
    adopt(turn)?;
    for environment in BOTH {
        if let Some(work) = work(environment, turn)? {
            go_on(environment, work, turn)?;
        }
    }
    Ok(())
}

/// Goes on with what an earlier version began.
fn adopt(turn: &mut Turn) -> Result<(), Reason> {
    let known = turn.get::<Which>(KNOWN)?;
    let Some(Old { which, by, .. }) = turn.get::<Old>(OLD)? else {
        if known.is_some() {
            turn.delete(KNOWN);
        }
        return Ok(());
    };
    if known.as_ref() == Some(&which) {
        return Ok(());
    }
    let mut are_all = true;
    for environment in concerned(&which) {
        match work(environment, turn)? {
            None => {
                let work = Work::new(which.clone(), by.clone(), turn)?;
                turn.put(row(environment), &work);
            }
            Some(other) => are_all &= is_same(&other.which, &which),
        }
    }
    if are_all {
        turn.put(KNOWN, &which);
    }
    turn.wake_at(turn.at())
}

fn go_on(environment: Environment, mut work: Work, turn: &mut Turn) -> Result<(), Reason> {
    if !work.is_counted {
        let (ids, _) = ROOM.ids(&[environment], work.counted.as_ref(), false, COUNTS, turn)?;
        for id in &ids {
            work.remaining += usize::from(work.concerned(id, environment, turn)?.is_some());
        }
        work.count += ids.len();
        work.is_counted = ids.len() < COUNTS;
        work.counted = ids.into_iter().last().or(work.counted);
    }
    let mut ended = 0;
    let (ids, _) = ROOM.ids(&[environment], work.after.as_ref(), false, LOOKS, turn)?;
    let mut is_over = work.is_counted && ids.len() < LOOKS;
    for id in ids {
        if ended == SLICE {
            is_over = false;
            break;
        }
        if let Some(record) = work.concerned(&id, environment, turn)? {
            workspace::end(record, work.which.reason.clone(), work.by.clone(), turn)?;
            ended += 1;
        }
        work.after = Some(id);
    }
    if is_over {
        return finish(environment, &work, turn);
    }
    work.remaining = work.remaining.saturating_sub(ended);
    turn.put(row(environment), &work);
    turn.wake_at(turn.at())
}

/// Whether all that is meant was looked at already, and nothing was made since.
fn is_done(environment: Environment, which: &Which, turn: &Turn) -> Result<bool, Reason> {
    let Some((done, made)) = turn.get::<(Which, usize)>(&done_row(environment))? else { return Ok(false) };
    if made != ROOM.made(turn)? || done.created_by != which.created_by {
        return Ok(false);
    }
    let (newest, _) = ROOM.ids(&[environment], None, true, 1, turn)?;
    let newest = newest.first().map(|id| workspace::find(id, turn)).transpose()?;
    Ok(which.until <= done.until || newest.is_none_or(|newest| Some(newest.created_at) <= done.until))
}

/// Nothing is left to look at.
fn finish(environment: Environment, done: &Work, turn: &mut Turn) -> Result<(), Reason> {
    turn.put(done_row(environment), &(done.which.clone(), done.made));
    if work(environment, turn)?.is_none() {
        return Ok(());
    }
    turn.delete(row(environment));
    let mut others = BOTH.into_iter().filter(|other| *other != environment);
    let goes_on = others.any(|other| matches!(work(other, turn), Ok(Some(work)) if is_same(&work.which, &done.which)));
    if !goes_on && turn.get::<Which>(KNOWN)?.is_some_and(|known| is_same(&known, &done.which)) {
        turn.delete(OLD);
        turn.delete(KNOWN);
    }
    Ok(())
}

impl Work {
    fn new(which: Which, by: By, turn: &Turn) -> Result<Self, Reason> {
        let made = ROOM.made(turn)?;
        Ok(Self { which, by, after: None, counted: None, count: 0, is_counted: false, remaining: 0, made })
    }

    /// The record of a credential that is to end and has not.
    fn concerned(
        &self,
        id: &CredentialId,
        environment: Environment,
        turn: &Turn,
    ) -> Result<Option<CredentialRecord>, Reason> {
        let record = match workspace::find(id, turn) {
            Err(Reason::NotFound | Reason::Unreadable(_)) => return Ok(None),
            record => record?,
        };
        let Which { created_by, until, .. } = &self.which;
        let is_meant = record.revoked_at.is_none()
            && record.environment == environment
            && until.is_none_or(|until| record.created_at <= until)
            && created_by.as_deref().is_none_or(|actor| actor == record.created_by);
        Ok(Some(record).filter(|_| is_meant))
    }
}

/// The environments that are meant.
fn concerned(which: &Which) -> Vec<Environment> {
    which.environment.map_or(BOTH.to_vec(), |environment| vec![environment])
}

/// Whether both mean the same, where they meet.
fn is_same(one: &Which, other: &Which) -> bool {
    let parts = |which: &Which| (which.created_by.clone(), which.reason.clone(), which.until);
    parts(one) == parts(other)
}

fn done_row(environment: Environment) -> String {
    format!("{DONE}{}", environment.as_str())
}

fn row(environment: Environment) -> String {
    format!("{WORK}{}", environment.as_str())
}

fn work(environment: Environment, turn: &Turn) -> Result<Option<Work>, Reason> {
    turn.get(&row(environment))
}

/// Credentials of an environment of which some object has not acknowledged the latest state.
fn untold(environment: Environment, turn: &Turn) -> Result<usize, Reason> {
    let outbox = format!("{OUTBOX}{}/", Credential::BINDING);
    let mut names = BTreeSet::new();
    for kind in ["sk", "st"] {
        let prefix = format!("{outbox}{kind}_{}_", environment.as_str());
        let range = Range { prefix: &prefix, after: None, reverse: false, limit: LOOK };
        names.extend(turn.list_keys(&range)?.iter().filter_map(|key| Some(key.split('#').next()?.to_owned())));
    }
    // The name of a widget key's object does not tell whose it is: one look for each of them.
    let prefix = format!("{outbox}wk_");
    let mut after: Option<String> = None;
    for _ in 0..LOOK {
        let range = Range { prefix: &prefix, after: after.as_deref(), reverse: false, limit: 1 };
        let keys = turn.list_keys(&range)?;
        let beyond = keys.iter().find(|key| after.as_ref().is_none_or(|after| *key > after));
        let Some(id) = beyond.and_then(|key| key.strip_prefix(&outbox)?.split('/').next()) else { break };
        let known = CredentialId::try_from(id.to_owned()).ok().and_then(|id| workspace::find(&id, turn).ok());
        if known.is_some_and(|record| record.environment == environment) {
            names.insert(id.to_owned());
        }
        after = Some(format!("{outbox}{id}/~"));
    }
    Ok(names.len())
}
