//! `/v1/credentials/{id}/rotate`: another secret for the same credential, and the end of the one before.

use super::{
    api::{find, one, owner},
    view::shown,
};
use crate::{
    admission::usage::Span,
    call::{log::Notes, reply::Reply},
    credentials,
    error::Reason,
    machines::{
        credential::{self, Credential},
        workspace::{Command, Workspace},
    },
    object::machine::World,
    protocol::credential_record::CredentialRecord,
    road::dispatch::Asked,
};

/// The longest overlap of a rotation: a week; and the one that is taken where none is given: a day.
const MAX_OVERLAP_SECONDS: u64 = 604_800;
const DEFAULT_OVERLAP_SECONDS: u64 = 86_400;

/// `POST /v1/credentials/{id}/rotate`.
pub async fn rotate(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let record = find(asked, world, notes).await?;
    let overlap = overlap_seconds(asked)?;
    let (secret, current) = credentials::issue::another(&record, asked.config, world)?;
    let unused = unused(&record, world).await?;
    let rotate = Command::RotateCredential(record.id.clone(), current, overlap, asked.by.clone(), unused);
    let record = one(world.ask::<Workspace>(&owner(&record)?, rotate).await?)?;
    Reply::json(201, &shown(&record, Some(&secret), world.now()))
}

/// The hint of a new secret that nobody has used yet, while the old one still lives: whoever asks again never got it.
async fn unused(record: &CredentialRecord, world: &impl World) -> Result<Option<String>, Reason> {
    let overlaps = record.previous.as_ref().is_some_and(|overlap| overlap.until > world.now());
    let Some(name) = record.key_object().filter(|_| overlaps) else { return Ok(None) };
    let ask = credential::Command::ReadUsage(Span { from: 0, to: 0, step: 1 });
    let credential::Reply::Usage(usage, ..) = world.ask::<Credential>(&name, ask).await? else {
        return Err(Reason::Unavailable);
    };
    let hint = &record.current.hint;
    Ok((!usage.knows(hint)).then(|| hint.clone()))
}

/// The one member of the body: how long the old secret lives on.
pub fn overlap_seconds(asked: &Asked<'_>) -> Result<u64, Reason> {
    let (_, mut fields) = asked.body()?;
    let overlap = fields.optional_number("overlap_seconds", 0, MAX_OVERLAP_SECONDS)?;
    fields.finish()?;
    Ok(overlap.unwrap_or(DEFAULT_OVERLAP_SECONDS))
}

/// `POST /v1/credentials/{id}/rotate/finish`: the old secret is not used any more, so it need not wait for its end.
pub async fn finish(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let record = find(asked, world, notes).await?;
    let (_, fields) = asked.body()?;
    fields.finish()?;
    let finish = Command::FinishRotation(record.id.clone(), asked.by.clone());
    let record = one(world.ask::<Workspace>(&owner(&record)?, finish).await?)?;
    Reply::json(200, &shown(&record, None, world.now()))
}
