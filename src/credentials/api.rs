//! `/v1/credentials`: listing, changing and revoking them.

use super::view::{Shown, shown};
use crate::{
    admission::server_key::Needs,
    call::{
        body,
        cursor::{self, Cursor},
        log::Notes,
        reply::Reply,
    },
    codec::{kind::CredentialKind, time::Timestamp},
    credentials, deploy_keys,
    error::Reason,
    machines::workspace::{self, Change, Expiry, ListCredentials, Workspace},
    object::machine::World,
    protocol::credential_record::{CredentialRecord, Status},
    road::dispatch::Asked,
    value::{
        id::{CredentialId, Environment},
        scope::Scope,
    },
};
use serde::Serialize;

/// How long a credential may live that has an end: ten years.
pub const MAX_LIFE_SECONDS: u64 = 3_660 * 86_400;

/// The kinds that a workspace has.
pub const KINDS: [CredentialKind; 3] =
    [CredentialKind::ServerKey, CredentialKind::ServiceToken, CredentialKind::WidgetKey];

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

/// `GET /v1/credentials`.
pub async fn list(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let kind = asked.query("kind")?.map(|text| CredentialKind::parse(&text));
    if kind == Some(Some(CredentialKind::DeployKey)) {
        return deploy_keys::api::list(asked, world).await;
    }
    let kind = kind.map(|kind| kind.filter(|kind| KINDS.contains(kind)).ok_or_else(unknown_kind));
    let workspace = asked.workspace(asked.query("workspace")?, world).await?;
    let (status, kind) = (wanted_status(asked)?, kind.transpose()?);
    let environment = asked.environment(asked.query("environment")?)?;
    let of = [
        "credentials",
        workspace.as_str(),
        environment.map_or("", Environment::as_str),
        kind.map_or("", CredentialKind::as_str),
        status.as_deref().unwrap_or_default(),
    ]
    .map(str::to_owned);
    let of: Vec<&str> = of.iter().map(String::as_str).collect();
    let (after, is_plain) = Cursor::parse(cursor::read(asked.query("cursor")?, &of, &asked.config.ring)?)?;
    let list = ListCredentials { status, after, limit: asked.limit()?, kind, environment, is_plain: Some(is_plain) };
    let reply = world.ask::<Workspace>(workspace.as_str(), workspace::Command::ListCredentials(list)).await?;
    let workspace::Reply::Credentials(mut records, next) = reply else {
        return Err(Reason::Unavailable);
    };
    // What was shown last is a place of the caller's own, whatever else was looked at.
    let next = next.map(|next| records.last().map_or(next, |record| record.id.clone()));
    let next_cursor = next.map(|next| cursor::issue(next.as_str(), &of, &asked.config.ring)).transpose()?;
    credentials::api_last_used::refresh(&mut records, world).await;
    let items = records.iter().map(|record| shown(record, None, world.now())).collect();
    notes.workspace = Some(workspace.into());
    Reply::json(200, &Page { items, next_cursor })
}

/// The parameter `status`.
pub fn wanted_status(asked: &Asked<'_>) -> Result<Option<String>, Reason> {
    let status = asked.query("status")?;
    if status.as_deref().is_some_and(|text| Status::ALL.iter().all(|status| status.as_str() != text)) {
        return Err(Reason::invalid("status", "One of active, expiring, revoked and expired."));
    }
    Ok(status)
}

/// Those that are made and listed here, for people.
pub const KINDS_RULE: &str = "One of server_key, service_token, widget_key and deploy_key.";

/// A kind that nobody makes or lists here.
fn unknown_kind() -> Reason {
    Reason::invalid("kind", KINDS_RULE)
}

/// `GET /v1/credentials/{id}`.
pub async fn read(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let mut record = find(asked, world, notes).await?;
    credentials::api_last_used::refresh_one(&mut record, world).await;
    Reply::json(200, &shown(&record, None, world.now()))
}

/// `PATCH /v1/credentials/{id}`.
pub async fn change(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let record = find(asked, world, notes).await?;
    let (_, mut fields) = asked.body()?;
    let name = fields.label("name", 100, &asked.config.door())?;
    let mut change = Change { name, ..Change::default() };
    match &record.key {
        None => {
            credentials::fields::refuse_key_members(&mut fields)?;
            change.origins = credentials::fields::origins(&mut fields, record.environment, asked)?;
            credentials::api_wildcard_origins::check(
                change.origins.as_deref().unwrap_or_default(),
                &record.origins,
                world,
            )
            .await?;
        }
        Some(key) => {
            change.scopes = credentials::fields::scopes(&mut fields, asked)?;
            if let Some(scopes) = change.scopes.as_deref().filter(|_| *asked.admitted.principal().id() == record.id) {
                let policy = &asked.config.policy;
                let enough = |scope: &Scope| Needs {
                    scope: scope.as_str().to_owned(),
                    enough: policy.satisfying(scope.as_str()),
                };
                change.needs = Some(scopes.iter().map(enough).collect());
            }
            change.plan = credentials::fields::plan(&mut fields, asked, Some(key))?;
            change.addresses = credentials::fields::addresses(&mut fields, asked)?;
        }
    }
    change.expires_at = if fields.take_null("expires_at") {
        Some(Expiry::Never)
    } else {
        let moment = body::moment("expires_at", fields.optional_text("expires_at", 40)?)?;
        if moment.is_some_and(|moment| moment > world.now().plus_seconds(MAX_LIFE_SECONDS))
            && moment != record.expires_at
        {
            return Err(Reason::invalid("expires_at", "At most 3660 days (ten years) from now, or null for no end."));
        }
        moment.map(Expiry::At)
    };
    fields.finish()?;
    let change = workspace::Command::ChangeCredential(record.id.clone(), change, asked.by.clone());
    let record = one(world.ask::<Workspace>(&owner(&record)?, change).await?)?;
    Reply::json(200, &shown(&record, None, world.now()))
}

/// `POST /v1/credentials/{id}/revoke`.
pub async fn revoke(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let record = find(asked, world, notes).await?;
    let reason = revocation_reason(asked)?;
    let revoke = workspace::Command::RevokeCredential(record.id.clone(), reason, asked.by.clone());
    revoked(one(world.ask::<Workspace>(&owner(&record)?, revoke).await?)?.revoked_at)
}

/// The answer to whoever ended a credential.
pub fn revoked(revoked_at: Option<Timestamp>) -> Result<Reply, Reason> {
    Reply::json(200, &Revoked { status: "revoked", revoked_at: revoked_at.map(Timestamp::rfc3339) })
}

/// `POST /v1/self/revoke`.
pub async fn revoke_self(asked: &Asked<'_>, world: &impl World) -> Result<Reply, Reason> {
    let id = asked.admitted.principal().id();
    let why = Some("It revoked itself.".to_owned());
    match id.workspace() {
        Some(workspace) => {
            let revoke = workspace::Command::RevokeCredential(id.clone(), why, asked.by.clone());
            revoked(one(world.ask::<Workspace>(workspace.as_str(), revoke).await?)?.revoked_at)
        }
        None => deploy_keys::api::end(id, why, asked, world).await,
    }
}

/// Why a credential is revoked, in the words of whoever asks.
pub fn revocation_reason(asked: &Asked<'_>) -> Result<Option<String>, Reason> {
    let (_, mut fields) = asked.body()?;
    let reason = fields.label("reason", 200, &asked.config.door())?;
    fields.finish()?;
    Ok(reason)
}

/// The credential that the path names, within what the caller may know of.
pub async fn find(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<CredentialRecord, Reason> {
    let id = CredentialId::try_from(asked.id.to_owned()).map_err(|_| Reason::NotFound)?;
    let workspace = asked.workspace_of(id.workspace(), world).await?;
    let record = one(world.ask::<Workspace>(workspace.as_str(), workspace::Command::ReadCredential(id)).await?)?;
    asked.within(record.environment)?;
    notes.found(&record.id);
    Ok(record)
}

/// The workspace that knows it.
pub fn owner(record: &CredentialRecord) -> Result<String, Reason> {
    record.id.workspace().map(String::from).ok_or(Reason::NotFound)
}

/// One credential.
pub fn one(reply: workspace::Reply) -> Result<CredentialRecord, Reason> {
    match reply {
        workspace::Reply::Credential(record) => Ok(*record),
        _ => Err(Reason::Unavailable),
    }
}
