//! The deployment's list of its deploy keys: those that were made here, those that were made offline and then used, and the
//! ends of those that never were. Each key's own object admits, and is told whenever its key changes.

pub use crate::protocol::deploy_keys::{Change, Command, Ended, ListDeployKeys, Mandate, Reply, Seen};

use crate::{
    admission::deploy_key::DeployText,
    audit::{self, Act, Entry},
    credentials::store::{Facts, Room},
    error::Reason,
    leaks::store::Found,
    machines::credential::{self, Credential},
    object::{
        idempotency::{self, RetryKey},
        machine::{Turn, next},
    },
    protocol::{
        credential_record::Status,
        deploy_key_record::{DeployKeyRecord, OFFLINE},
    },
    value::id::{CredentialId, Environment},
};

/// The room of deploy keys, which have no environment. What begins with `-` stands before every id.
const ROOM: Room = Room {
    rows: "deploy-key/",
    kinds: &["dk_"],
    total: "deploy-key-count",
    counts: "deploy-key/-counts",
    made: None,
    ends: "deploy-key/-end/",
    forgotten: "deploy-key/-forgotten/",
    read: |row, turn| Ok(turn.get::<DeployKeyRecord>(row)?.map(|record| facts(&record))),
};

/// Answers within the deployment's turn.
pub fn handle(command: Command, turn: &mut Turn) -> Result<Reply, Reason> {
    match command {
        Command::Create(record, retry, mandate) => create(*record, retry, mandate, turn),
        Command::FindMade(retry) => match idempotency::find(&retry, turn)? {
            Some(made) => turn.get(&made)?.map(Reply::Known).ok_or_else(forgotten),
            None => Ok(Reply::Done),
        },
        Command::Read(id, caller) => {
            caller.map(|seen| see(seen, turn)).transpose()?;
            find(&id, turn).map(|record| Reply::One(Box::new(record)))
        }
        Command::List(which, caller) => {
            caller.map(|seen| see(seen, turn)).transpose()?;
            list(which, turn)
        }
        Command::Change(id, change, mandate) => self::change(&id, change, mandate, turn),
        Command::Rotate(id, text, overlap_seconds, mandate) => rotate(&id, text, overlap_seconds, mandate, turn),
        Command::FinishRotation(id, mandate) => finish_rotation(&id, mandate, turn),
        Command::Seen(seen) => see(seen, turn).map(|()| Reply::Done),
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
    if let Some(made) = retry.as_ref().map(|key| idempotency::find(key, turn)).transpose()?.flatten() {
        let record: Box<DeployKeyRecord> = turn.get(&made)?.ok_or_else(forgotten)?;
        tell(&record, turn)?;
        return Ok(Reply::Known(record));
    }
    wake(turn)?;
    ROOM.take(&record.id, Environment::Live, turn)?;
    if let Some(key) = &retry {
        idempotency::remember(key, ROOM.row(&record.id), turn)?;
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

/// A key of which nobody knew is listed. What is known of one stays, its end above all: one that is forgotten is not listed anew.
fn see(seen: Seen, turn: &mut Turn) -> Result<(), Reason> {
    let Seen { id, text, used_at, sighting } = seen;
    let known: Option<DeployKeyRecord> = turn.get(&ROOM.row(&id))?;
    let is_new = known.is_none();
    if is_new && ROOM.forgotten(&id, turn)?.is_some() {
        return Ok(());
    }
    let mut record = known.unwrap_or_else(|| DeployKeyRecord::offline(id, Some(text), turn.at()));
    let is_later = used_at > record.last_used_at;
    if is_later {
        record.last_used_at = used_at;
    }
    let is_sighted = sighting.as_ref().map(|sighting| sighting.at) > record.sighting.as_ref().map(|known| known.at);
    if is_sighted {
        record.sighting = sighting;
    }
    if is_new || is_later || is_sighted { put(&record, turn) } else { Ok(()) }
}

/// Stores a record, and takes the room of one that was not listed.
fn put(record: &DeployKeyRecord, turn: &mut Turn) -> Result<(), Reason> {
    let known: Option<DeployKeyRecord> = turn.get(&ROOM.row(&record.id))?;
    ROOM.store(&record.id, known.as_ref().map(facts).as_ref(), &facts(record), turn)?;
    turn.put(ROOM.row(&record.id), record);
    Ok(())
}

/// What decides about a key's room.
fn facts(record: &DeployKeyRecord) -> Facts {
    let ends_at = [record.revoked_at, record.expires_at()].into_iter().flatten().min();
    // Whoever holds the sub-key makes them offline as long as the deployment lives: they take no room of those that are made here.
    let takes_room = record.created_by != OFFLINE;
    Facts { environment: Environment::Live, takes_room, ends_at, hashes: Vec::new() }
}

fn forgotten() -> Reason {
    Reason::Conflict("The deploy key that this request made has ended, and is forgotten.".to_owned())
}

/// Something comes, or the alarm rang: what ended long ago is forgotten.
pub(crate) fn wake(turn: &mut Turn) -> Result<(), Reason> {
    ROOM.wake(turn)
}

/// A text was found. One that lives no more stays as it is; the one before the last ends, and its successor lives on. Which of the two it
/// is, is decided in the turn that ends it: no rotation comes in between.
fn leaked(seen: Seen, found: &Found, deployment: &str, turn: &mut Turn) -> Result<Reply, Reason> {
    let (id, text, at) = (seen.id.clone(), seen.text.clone(), turn.at());
    // Nothing puts off the end that is signed, and nothing that has ended comes back.
    if text.expires_at <= at || ROOM.forgotten(&id, turn)?.is_some() {
        return Ok(Reply::Leaked(false));
    }
    see(seen, turn)?;
    let mut record = find(&id, turn)?;
    let end = found.end(at);
    let is_current = record.current.as_ref().is_some_and(|current| current.serial == text.serial);
    let act = match &mut record.previous {
        _ if record.revoked_at.is_some() => None,
        _ if is_current && record.current_until.is_some_and(|until| until <= end) => None,
        _ if is_current && found.grace_seconds.is_none() => {
            (record.revoked_at, record.revoked_reason) = (Some(at), Some(found.why()));
            Some(Act::DeployKeyRevoke)
        }
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
    if record.revoked_at.is_some() {
        // Its object admits: it is told here, and again by every report until it has heard.
        let revoke = credential::Command::RevokeDeployKey(None, Some(found.why()), Some(found.clone()));
        turn.send::<Credential>(id.as_str(), &revoke)?;
    }
    let told = match act {
        Some(act) => {
            audit::record(&audit::deployment(deployment), found.entry(act, id.as_str(), at), turn)?;
            publish(record, turn)
        }
        None => tell_again(record, turn),
    };
    turn.await_delivery();
    told.map(|_| Reply::Leaked(false))
}

/// The first end counts. One of a key that nobody knew is kept too: as long as this stands, no use brings the key back.
fn end(ended: Ended, turn: &mut Turn) -> Result<Reply, Reason> {
    let Ended { id, at, why, report } = ended;
    wake(turn)?;
    let known: Option<DeployKeyRecord> = turn.get(&ROOM.row(&id))?;
    if known.is_some() || ROOM.forgotten(&id, turn)?.is_none() {
        let record = known.unwrap_or_else(|| DeployKeyRecord::offline(id, None, at));
        if record.revoked_at.is_none() {
            put(&DeployKeyRecord { revoked_at: Some(at), revoked_reason: why, ..record }, turn)?;
        }
    }
    report.map_or(Ok(()), |report| audit::receive(report, turn))?;
    Ok(Reply::Done)
}

fn list(which: ListDeployKeys, turn: &Turn) -> Result<Reply, Reason> {
    let ListDeployKeys { status, after, limit } = which;
    let wanted =
        |record: &DeployKeyRecord| status.as_deref().is_none_or(|status| record.status(turn.at()).as_str() == status);
    let (items, next) = ROOM.page(&[], after, limit, turn, wanted)?;
    Ok(Reply::Many(items, next))
}

/// Stores a new version, and tells the key's object before the answer goes.
fn publish(mut record: DeployKeyRecord, turn: &mut Turn) -> Result<Reply, Reason> {
    record.version = next(record.version)?;
    put(&record, turn)?;
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

fn find(id: &CredentialId, turn: &Turn) -> Result<DeployKeyRecord, Reason> {
    turn.get(&ROOM.row(id))?.ok_or(Reason::NotFound)
}

/// One that can be changed, and its text: what was revoked does not come back.
fn find_living(id: &CredentialId, turn: &Turn) -> Result<(DeployKeyRecord, DeployText), Reason> {
    let record = find(id, turn)?;
    match (record.status(turn.at()), record.current.clone()) {
        (Status::Active | Status::Expired | Status::Expiring, Some(text)) => Ok((record, text)),
        _ => Err(Reason::Conflict("This deploy key was revoked: make another.".to_owned())),
    }
}
