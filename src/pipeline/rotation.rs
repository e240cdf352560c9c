//! `/v1/credentials/{id}/rotate`: another secret for the same credential, and the end of the one before.

use super::{
    Notes,
    api::Asked,
    credentials::{find, one, owner},
    mint,
    reply::Reply,
    shown::shown,
};
use crate::{
    error::Reason,
    machine::World,
    registry::workspace::{Command, Workspace},
};

/// The longest overlap of a rotation: a week; and the one that is taken where none is given: a day.
const MAX_OVERLAP_SECONDS: u64 = 604_800;
const DEFAULT_OVERLAP_SECONDS: u64 = 86_400;

/// `POST /v1/credentials/{id}/rotate`.
pub async fn rotate(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let record = find(asked, world, notes).await?;
    let (_, mut fields) = asked.body()?;
    let overlap = fields.optional_number("overlap_seconds", 0, MAX_OVERLAP_SECONDS)?;
    fields.finish()?;
    let (secret, current) = mint::another(&record, asked.config, world)?;
    let overlap = overlap.unwrap_or(DEFAULT_OVERLAP_SECONDS);
    let rotate = Command::RotateCredential(record.id.clone(), current, overlap, asked.by.clone());
    let record = one(world.ask::<Workspace>(&owner(&record)?, rotate).await?)?;
    Reply::json(201, &shown(&record, Some(&secret), world.now()))
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
