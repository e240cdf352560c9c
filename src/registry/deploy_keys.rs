//! The deployment's list of its deploy keys: those that were made here, those that were made offline and then used, and the
//! ends of those that never were. Each key's own object admits, and is told whenever its key changes.

pub use super::deploy_command::{Change, Command, Ended, ListDeployKeys, Mandate, Reply, Seen};

use super::{
    credential::{self, Credential},
    deploy_key::DeployText,
    deploy_record::DeployKeyRecord,
    leak::Found,
    listing,
    record::Status,
};
use crate::{
    audit::{self, Act, Entry},
    error::Reason,
    id::CredentialId,
    machine::{Range, Turn, next},
    replay::{self, RetryKey},
};

const KEYS: &str = "deploy-key/";
const COUNT: &str = "deploy-key-count";

/// Deploy keys that can ever be made here: a leaked one cannot fill the disk.
const MAX_KEYS: usize = 10_000;

/// Answers within the deployment's turn.
pub fn handle(command: Command, turn: &mut Turn) -> Result<Reply, Reason> {
    match command {
        Command::Create(record, retry, mandate) => create(*record, retry, mandate, turn),
        Command::FindMade(retry) => match replay::find(&retry, turn)? {
            Some(made) => turn.get(&made)?.map(Reply::Known).ok_or(Reason::Unreadable(made)),
            None => Ok(Reply::Done),
        },
        Command::Read(id, caller) => {
            caller.map(|seen| see(seen, turn)).transpose()?;
            find(&id, turn).map(|record| Reply::One(Box::new(record)))
        }
        Command::List(which, caller) => {
            let new = caller.map(|seen| see(seen, turn)).transpose()?.flatten();
            list(&which, new, turn)
        }
        Command::Change(id, change, mandate) => self::change(&id, change, mandate, turn),
        Command::Rotate(id, text, overlap_seconds, mandate) => rotate(&id, text, overlap_seconds, mandate, turn),
        Command::FinishRotation(id, mandate) => finish_rotation(&id, mandate, turn),
        Command::Seen(seen) => see(seen, turn).map(|_| Reply::Done),
        Command::Ended(ended) => end(*ended, turn),
        Command::Leaked(seen, found, deployment) => leaked(seen, &found, &deployment, turn),
    }
}

fn create(
    record: DeployKeyRecord,
    retry: Option<RetryKey>,
    mandate: Mandate,
    turn: &mut Turn,
) -> Result<Reply, Reason> {
    if let Some(made) = retry.as_ref().map(|key| replay::find(key, turn)).transpose()?.flatten() {
        let record: Box<DeployKeyRecord> = turn.get(&made)?.ok_or(Reason::Unreadable(made))?;
        tell(&record, turn)?;
        return Ok(Reply::Known(record));
    }
    let count = turn.get::<usize>(COUNT)?.unwrap_or_default();
    if count >= MAX_KEYS {
        return Err(Reason::Conflict(format!("In this deployment {count} deploy keys were made already.")));
    }
    turn.put(COUNT, &(count + 1));
    if let Some(key) = &retry {
        replay::remember(key, row(&record.id), turn)?;
    }
    note(Act::CredentialCreate, mandate, &record.id, None, turn)?;
    publish(record, turn)
}

fn change(id: &CredentialId, change: Change, mandate: Mandate, turn: &mut Turn) -> Result<Reply, Reason> {
    let (mut record, text) = find_living(id, turn)?;
    let mut members = Vec::new();
    if let Some(name) = change.name.filter(|name| *name != record.name) {
        record.name = name;
        members.push("name");
    }
    if let Some(moment) = change.expires_at.filter(|moment| record.expires_at() != Some(*moment)) {
        if moment > text.expires_at {
            let why = format!("Its text says when it ends at the latest: {}.", text.expires_at.rfc3339());
            return Err(Reason::invalid("expires_at", &why));
        }
        // Its end is put off by another one, never by itself.
        if moment > record.ends_at.unwrap_or(text.expires_at) && is_by(&mandate, id) {
            return Err(Reason::CallerExceeded("A deploy key does not put off its own end.".to_owned()));
        }
        record.ends_at = Some(moment);
        members.push("expires_at");
    }
    if members.is_empty() {
        return tell_again(record, turn);
    }
    note(Act::CredentialChange, mandate, id, Some(members.join(", ")), turn)?;
    publish(record, turn)
}

fn rotate(
    id: &CredentialId,
    text: DeployText,
    overlap_seconds: u64,
    mandate: Mandate,
    turn: &mut Turn,
) -> Result<Reply, Reason> {
    let (mut record, old) = find_living(id, turn)?;
    if record.current_until.is_some() && is_by(&mandate, id) {
        return Err(Reason::CallerExceeded("A secret that leaked does not replace itself.".to_owned()));
    }
    // Two texts of one moment could not be told apart.
    if text.serial <= old.serial {
        return Err(Reason::Conflict("Another rotation came first.".to_owned()));
    }
    // At most two live: whatever overlapped before ends now. What leaked gets no longer than it had.
    let until = turn.at().plus_seconds(overlap_seconds);
    record.previous = Some((old, record.current_until.take().map_or(until, |end| end.min(until))));
    record.current = Some(text);
    note(Act::CredentialRotate, mandate, id, None, turn)?;
    publish(record, turn)
}

fn finish_rotation(id: &CredentialId, mandate: Mandate, turn: &mut Turn) -> Result<Reply, Reason> {
    let (mut record, _) = find_living(id, turn)?;
    let at = turn.at();
    match &mut record.previous {
        Some((_, until)) if *until > at => *until = at,
        _ => return tell_again(record, turn),
    }
    note(Act::CredentialRotateFinish, mandate, id, None, turn)?;
    publish(record, turn)
}

/// A key of which nobody knew is listed: the answer, then. What is known of one stays, its end above all.
fn see(seen: Seen, turn: &mut Turn) -> Result<Option<DeployKeyRecord>, Reason> {
    let Seen { id, text, used_at, sighting } = seen;
    let key = row(&id);
    let known: Option<DeployKeyRecord> = turn.get(&key)?;
    let is_new = known.is_none();
    let mut record = known.unwrap_or_else(|| DeployKeyRecord::offline(id, Some(text), turn.at()));
    let is_later = used_at > record.last_used_at;
    if is_later {
        record.last_used_at = used_at;
    }
    let is_sighted = sighting.as_ref().map(|sighting| sighting.at) > record.sighting.as_ref().map(|known| known.at);
    if is_sighted {
        record.sighting = sighting;
    }
    if is_new || is_later || is_sighted {
        turn.put(key, &record);
    }
    Ok(is_new.then_some(record))
}

/// A text was found. One that lives no more stays as it is; the one before the last ends, and its successor lives on.
fn leaked(seen: Seen, found: &Found, deployment: &str, turn: &mut Turn) -> Result<Reply, Reason> {
    let (id, text, at) = (seen.id.clone(), seen.text.clone(), turn.at());
    // Nothing puts off the end that is signed.
    if text.expires_at <= at {
        return Ok(Reply::Leaked(false));
    }
    see(seen, turn)?;
    let mut record = find(&id, turn)?;
    let end = found.end(at);
    let is_current = record.current.as_ref().is_some_and(|current| current.serial == text.serial);
    let act = match &mut record.previous {
        _ if record.revoked_at.is_some() => None,
        _ if is_current && record.current_until.is_some_and(|until| until <= end) => None,
        _ if is_current && found.grace_seconds.is_none() => return Ok(Reply::Leaked(true)),
        _ if is_current => {
            record.current_until = Some(end);
            Some(Act::CredentialChange)
        }
        Some((previous, until)) if previous.serial == text.serial && *until > end => {
            *until = end;
            Some(Act::CredentialRotateFinish)
        }
        _ => None,
    };
    let told = match act {
        Some(act) => {
            audit::record(&audit::deployment(deployment), found.entry(act, id.as_str(), at), turn)?;
            publish(record, turn)
        }
        None => tell_again(record, turn),
    };
    told.map(|_| Reply::Leaked(false))
}

/// The first end counts. One of a key that nobody knew is kept too: as long as this stands, no use brings the key back.
fn end(ended: Ended, turn: &mut Turn) -> Result<Reply, Reason> {
    let Ended { id, at, why, report } = ended;
    let key = row(&id);
    let known: Option<DeployKeyRecord> = turn.get(&key)?;
    let record = known.unwrap_or_else(|| DeployKeyRecord::offline(id, None, at));
    if record.revoked_at.is_none() {
        turn.put(key, &DeployKeyRecord { revoked_at: Some(at), revoked_reason: why, ..record });
    }
    report.map_or(Ok(()), |report| audit::receive(report, turn))?;
    Ok(Reply::Done)
}

fn list(which: &ListDeployKeys, new: Option<DeployKeyRecord>, turn: &Turn) -> Result<Reply, Reason> {
    let after = which.after.as_ref().map(row);
    let range = Range { prefix: KEYS, after: after.as_deref(), reverse: true, limit: listing::LOOK };
    let mut rows: Vec<DeployKeyRecord> = turn.list_readable(&range)?.into_iter().map(|(_, record)| record).collect();
    // Stored in this turn, so not among the rows yet.
    let is_before = |new: &DeployKeyRecord| which.after.as_ref().is_none_or(|after| new.id < *after);
    if let Some(new) = new.filter(is_before) {
        let place = rows.partition_point(|record| record.id > new.id);
        rows.insert(place, new);
        rows.truncate(listing::LOOK);
    }
    let wanted = |record: &DeployKeyRecord| {
        which.status.as_deref().is_none_or(|status| record.status(turn.at()).as_str() == status)
    };
    let (items, next) = listing::page(rows, which.limit, wanted);
    Ok(Reply::Many(items, next.map(|record| record.id)))
}

/// Stores a new version, and tells the key's object before the answer goes.
fn publish(mut record: DeployKeyRecord, turn: &mut Turn) -> Result<Reply, Reason> {
    record.version = next(record.version)?;
    turn.put(row(&record.id), &record);
    tell_again(record, turn)
}

fn tell_again(record: DeployKeyRecord, turn: &mut Turn) -> Result<Reply, Reason> {
    tell(&record, turn)?;
    Ok(Reply::One(Box::new(record)))
}

fn tell(record: &DeployKeyRecord, turn: &mut Turn) -> Result<(), Reason> {
    if let Some(state) = record.state() {
        turn.send::<Credential>(record.id.as_str(), &credential::Command::StoreDeployKey(state))?;
        turn.await_delivery();
    }
    Ok(())
}

/// Records an act in the deployment's chain, in the transaction of the act.
fn note(act: Act, mandate: Mandate, id: &CredentialId, reason: Option<String>, turn: &mut Turn) -> Result<(), Reason> {
    let entry = Entry { reason, ..Entry::done(act, mandate.by, id.as_str(), turn.at()) };
    audit::record(&audit::deployment(&mandate.deployment), entry, turn)
}

/// Whether it is the key itself that asks.
fn is_by(mandate: &Mandate, id: &CredentialId) -> bool {
    mandate.by.actor.split_once(':').is_some_and(|(_, actor)| actor == id.as_str())
}

fn row(id: &CredentialId) -> String {
    format!("{KEYS}{id}")
}

fn find(id: &CredentialId, turn: &Turn) -> Result<DeployKeyRecord, Reason> {
    turn.get(&row(id))?.ok_or(Reason::NotFound)
}

/// One that can be changed, and its text: what was revoked does not come back.
fn find_living(id: &CredentialId, turn: &Turn) -> Result<(DeployKeyRecord, DeployText), Reason> {
    let record = find(id, turn)?;
    match (record.status(turn.at()), record.current.clone()) {
        (Status::Active | Status::Expired | Status::Expiring, Some(text)) => Ok((record, text)),
        _ => Err(Reason::Conflict("This deploy key was revoked.".to_owned())),
    }
}
