//! `/v1/credentials`: making, listing, changing, rotating and revoking them. A secret is shown once and stored never.

use super::{
    Notes,
    api::Asked,
    body::{self, Fields, required},
    config::Config,
    reply::Reply,
    retry,
    shown::{Shown, shown},
};
use crate::{
    credential::{CredentialKind, Kind as _, WidgetKey},
    error::Reason,
    id::{CredentialId, Environment},
    machine::World,
    origin::Origin,
    registry::{
        credential::{self, Credential},
        record::{CredentialRecord, SecretRecord, Status},
        workspace::{self, Change, Expiry, ListCredentials, Workspace},
    },
    secret::Secret,
    time::Timestamp,
};
use serde::Serialize;

/// Origins that one widget key may list.
const MAX_ORIGINS: usize = 50;

/// The longest overlap of a rotation: a week; and the one that is taken where none is given: a day.
const MAX_OVERLAP_SECONDS: u64 = 604_800;
const DEFAULT_OVERLAP_SECONDS: u64 = 86_400;

/// The longest life that can be asked for: ten years.
const MAX_LIFE_SECONDS: u64 = 10 * 366 * 86_400;

#[derive(Serialize)]
struct Page<'a> {
    items: Vec<Shown<'a>>,
    next_cursor: Option<String>,
}

#[derive(Serialize)]
struct Revoked {
    status: &'static str,
    revoked_at: Option<String>,
}

/// `POST /v1/credentials`.
pub async fn create(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let (bytes, mut fields) = body::read(world).await?;
    let kind = fields.text("kind", 40)?;
    if kind != CredentialKind::WidgetKey.as_str() {
        return Err(Reason::invalid("kind", "Credentials of the kind widget_key can be made here."));
    }
    let workspace = asked.workspace(fields.optional_text("workspace", 64)?)?;
    let environment = fields.text("environment", 8)?;
    let environment =
        Environment::parse(&environment).ok_or_else(|| Reason::invalid("environment", "Either live or test."))?;
    let name = required("name", fields.label("name", 100, &asked.config.door())?)?;
    if fields.optional_texts("scopes", 100)?.is_some_and(|scopes| !scopes.is_empty()) {
        return Err(Reason::invalid("scopes", "A widget key is public and has no scopes."));
    }
    if fields.optional_text("tier", 64)?.is_some() {
        return Err(Reason::invalid("tier", "A widget key has no tier: its limits are the policy's."));
    }
    if fields.optional_texts("allowed_addresses", 100)?.is_some_and(|addresses| !addresses.is_empty()) {
        return Err(Reason::invalid("allowed_addresses", "A widget key is held to origins, not to addresses."));
    }
    let expires_in = fields.optional_number("expires_in", 1, MAX_LIFE_SECONDS)?;
    let origins = origins(&mut fields, environment)?
        .ok_or_else(|| Reason::invalid("origins", "List the origins of the pages that may use this key."))?;
    fields.finish()?;

    let at = world.now();
    let id = CredentialId::issue_widget_key(&workspace, at, world.random()?);
    let (secret, current) = issue(&id, environment, asked.config, world)?;
    let record = CredentialRecord {
        id,
        environment,
        name,
        origins,
        current,
        previous: None,
        created_at: at,
        created_by: asked.actor(),
        expires_at: expires_in.map(|seconds| at.plus_seconds(seconds)),
        revoked_at: None,
        revoked_reason: None,
        last_used_at: None,
        version: 0,
    };
    let retry = retry::parse(world, &["credentials", &asked.actor()], &bytes)?;
    let create = workspace::Command::CreateCredential(Box::new(record), retry, asked.by.clone());
    match world.ask::<Workspace>(workspace.as_str(), create).await? {
        workspace::Reply::Known(record) => {
            // Made before, and its secret shown then: never twice.
            notes.found(&record.id);
            let again = shown(&record, None, at).shown_before();
            Ok(Reply::json(201, &again)?.with("idempotent-replayed", "true"))
        }
        reply => {
            let record = one(reply)?;
            notes.found(&record.id);
            Reply::json(201, &shown(&record, Some(&secret), at))
        }
    }
}

/// `GET /v1/credentials`.
pub async fn list(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let workspace = asked.workspace(asked.query("workspace")?)?;
    let status = asked.query("status")?;
    if status.as_deref().is_some_and(|text| Status::ALL.iter().all(|status| status.as_str() != text)) {
        return Err(Reason::invalid("status", "One of active, expiring, revoked and expired."));
    }
    let kind = asked.query("kind")?;
    if kind.as_deref().is_some_and(|text| text != CredentialKind::WidgetKey.as_str()) {
        return Err(Reason::invalid("kind", "Credentials of the kind widget_key can be listed here."));
    }
    let after = asked.query("cursor")?.map(CredentialId::try_from).transpose();
    let after = after.map_err(|_| Reason::invalid("cursor", "Use next_cursor of the page before."))?;
    let list = ListCredentials { status, after, limit: asked.limit()? };
    let reply = world.ask::<Workspace>(workspace.as_str(), workspace::Command::ListCredentials(list)).await?;
    let workspace::Reply::Credentials(records, next) = reply else {
        return Err(Reason::Unavailable);
    };
    notes.workspace = Some(workspace.into());
    let items = records.iter().map(|record| shown(record, None, world.now())).collect();
    Reply::json(200, &Page { items, next_cursor: next.map(String::from) })
}

/// `GET /v1/credentials/{id}`.
pub async fn read(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let record = find(asked, world, notes).await?;
    Reply::json(200, &shown(&record, None, world.now()))
}

/// `PATCH /v1/credentials/{id}`.
pub async fn change(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let record = find(asked, world, notes).await?;
    let (_, mut fields) = body::read(world).await?;
    let name = fields.label("name", 100, &asked.config.door())?;
    let origins = origins(&mut fields, record.environment)?;
    let expires_at = if fields.take_null("expires_at") {
        Some(Expiry::Never)
    } else {
        body::moment("expires_at", fields.optional_text("expires_at", 40)?)?.map(Expiry::At)
    };
    fields.finish()?;
    let change = Change { name, origins, expires_at };
    let change = workspace::Command::ChangeCredential(record.id.clone(), change, asked.by.clone());
    let record = one(world.ask::<Workspace>(&owner(&record)?, change).await?)?;
    Reply::json(200, &shown(&record, None, world.now()))
}

/// `POST /v1/credentials/{id}/rotate`.
pub async fn rotate(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let record = find(asked, world, notes).await?;
    let (_, mut fields) = body::read(world).await?;
    let overlap = fields.optional_number("overlap_seconds", 0, MAX_OVERLAP_SECONDS)?;
    fields.finish()?;
    let (secret, current) = issue(&record.id, record.environment, asked.config, world)?;
    let overlap = overlap.unwrap_or(DEFAULT_OVERLAP_SECONDS);
    let rotate = workspace::Command::RotateCredential(record.id.clone(), current, overlap, asked.by.clone());
    let record = one(world.ask::<Workspace>(&owner(&record)?, rotate).await?)?;
    Reply::json(201, &shown(&record, Some(&secret), world.now()))
}

/// `POST /v1/credentials/{id}/revoke`.
pub async fn revoke(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let id = CredentialId::try_from(asked.id.to_owned()).map_err(|_| Reason::NotFound)?;
    let revoked_at = match id.workspace() {
        Some(_) => {
            let record = find(asked, world, notes).await?;
            let reason = revocation_reason(asked, world).await?;
            let revoke = workspace::Command::RevokeCredential(record.id.clone(), reason, asked.by.clone());
            one(world.ask::<Workspace>(&owner(&record)?, revoke).await?)?.revoked_at
        }
        // Made offline and listed nowhere: its own object keeps that it has ended. Only deploy keys come this far.
        None => {
            notes.found(&id);
            revocation_reason(asked, world).await?;
            let revoke = credential::Command::RevokeDeployKey(Some(asked.about(&id)));
            match world.ask::<Credential>(id.as_str(), revoke).await? {
                credential::Reply::DeployKey(revoked_at) => revoked_at,
                _ => return Err(Reason::Unavailable),
            }
        }
    };
    Reply::json(200, &Revoked { status: "revoked", revoked_at: revoked_at.map(Timestamp::rfc3339) })
}

async fn revocation_reason(asked: &Asked<'_>, world: &impl World) -> Result<Option<String>, Reason> {
    let (_, mut fields) = body::read(world).await?;
    let reason = fields.label("reason", 200, &asked.config.door())?;
    fields.finish()?;
    Ok(reason)
}

/// Makes a new secret of a widget key, and what is kept of it.
fn issue(
    id: &CredentialId,
    environment: Environment,
    config: &Config,
    world: &impl World,
) -> Result<(Secret, SecretRecord), Reason> {
    let serial = u128::from_le_bytes(world.random()?) & u128::from(u64::MAX);
    let serial = u64::try_from(serial).unwrap_or_default();
    let key = WidgetKey { id: id.clone(), environment, serial };
    let secret = key.issue(&config.policy.brand, &config.ring)?;
    let text = secret.reveal();
    let end = text.get(text.len().saturating_sub(4)..).unwrap_or_default();
    let hint = format!("{}_wk_{}_…{end}", config.policy.brand, environment.as_str());
    Ok((secret, SecretRecord { serial, hint }))
}

fn origins(fields: &mut Fields, environment: Environment) -> Result<Option<Vec<Origin>>, Reason> {
    let Some(texts) = fields.optional_texts("origins", MAX_ORIGINS)? else {
        return Ok(None);
    };
    if texts.is_empty() {
        return Err(Reason::invalid("origins", "List at least one origin."));
    }
    let mut origins = Vec::new();
    for text in &texts {
        let origin = Origin::parse(text, environment)?;
        if !origins.contains(&origin) {
            origins.push(origin);
        }
    }
    Ok(Some(origins))
}

async fn find(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<CredentialRecord, Reason> {
    let id = CredentialId::try_from(asked.id.to_owned()).map_err(|_| Reason::NotFound)?;
    let workspace = asked.workspace_of(id.workspace())?;
    let record = one(world.ask::<Workspace>(workspace.as_str(), workspace::Command::ReadCredential(id)).await?)?;
    notes.found(&record.id);
    Ok(record)
}

fn owner(record: &CredentialRecord) -> Result<String, Reason> {
    record.id.workspace().map(String::from).ok_or(Reason::NotFound)
}

fn one(reply: workspace::Reply) -> Result<CredentialRecord, Reason> {
    match reply {
        workspace::Reply::Credential(record) => Ok(*record),
        _ => Err(Reason::Unavailable),
    }
}
