//! `/v1/workspaces/{id}/identity-secrets`: what a customer's servers sign with who their visitors are.

use super::{
    store::{Command, IdentitySecretRecord, Made, Reply as Answer, Revoked},
    verify_visitor,
};
use crate::{
    call::{idempotency_key, log::Notes, reply::Reply},
    codec::{secret::Secret, time::Timestamp},
    credential::IdentitySecret,
    error::Reason,
    object::machine::World,
    road::dispatch::Asked,
    value::id::{IdentitySecretId, WorkspaceId},
};
use serde::Serialize;

/// An identity secret as it is shown; the secret only in the answer that made it.
#[derive(Serialize)]
struct Shown<'a> {
    kid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_shown: Option<bool>,
    status: &'static str,
    created_at: String,
    created_by: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<String>,
}

#[derive(Serialize)]
struct Listed<'a> {
    items: Vec<Shown<'a>>,
}

/// `POST /v1/workspaces/{id}/identity-secrets`.
pub async fn create(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let workspace = workspace_of(asked, asked.id, world).await?;
    let (bytes, fields) = asked.body()?;
    fields.finish()?;
    let config = asked.config;
    let made = IdentitySecret::issue(&workspace, world.random()?, &config.policy.brand, &config.ring)?;
    let retry = idempotency_key::parse(world, &["identity-secrets", &asked.actor()], &bytes)?;
    let create = Command::Create(Made { kid: made.kid, by: asked.by.clone() }, retry);
    let answer = verify_visitor::ask(&workspace, create, world).await?;
    notes.workspace = Some(workspace.into());
    match answer {
        Answer::One(record) => Reply::json(201, &shown(&record, Some(&made.secret), asked)),
        // Made before, and its secret shown then: never twice.
        Answer::Known(record) => {
            let again = Shown { secret_shown: Some(true), ..shown(&record, None, asked) };
            Ok(Reply::json(201, &again)?.with("idempotent-replayed", "true"))
        }
        _ => Err(Reason::Unavailable),
    }
}

/// `GET /v1/workspaces/{id}/identity-secrets`.
pub async fn list(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let workspace = workspace_of(asked, asked.id, world).await?;
    let Answer::Many(records) = verify_visitor::ask(&workspace, Command::List, world).await? else {
        return Err(Reason::Unavailable);
    };
    notes.workspace = Some(workspace.into());
    Reply::json(200, &Listed { items: records.iter().map(|record| shown(record, None, asked)).collect() })
}

/// `POST /v1/workspaces/{id}/identity-secrets/{kid}/revoke`.
pub async fn revoke(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let (id, kid) = asked.id.split_once("/identity-secrets/").ok_or(Reason::NotFound)?;
    let workspace = workspace_of(asked, id, world).await?;
    let kid = IdentitySecretId::try_from(kid.to_owned()).map_err(|_| Reason::NotFound)?;
    let (_, fields) = asked.body()?;
    fields.finish()?;
    let revoke = Command::Revoke(Revoked { kid, by: asked.by.clone() });
    let Answer::One(record) = verify_visitor::ask(&workspace, revoke, world).await? else {
        return Err(Reason::Unavailable);
    };
    notes.workspace = Some(workspace.into());
    Reply::json(200, &shown(&record, None, asked))
}

/// How many of a workspace's identity secrets verify anything.
pub async fn count(workspace: &WorkspaceId, asked: &Asked<'_>, world: &impl World) -> Result<usize, Reason> {
    let live = verify_visitor::live(workspace, world).await?;
    Ok(live.iter().filter(|kid| can_sign(kid, asked)).count())
}

fn shown<'a>(record: &'a IdentitySecretRecord, secret: Option<&'a Secret>, asked: &Asked<'_>) -> Shown<'a> {
    let status = match record.revoked {
        Some(_) => "revoked",
        None if can_sign(&record.kid, asked) => "active",
        None => "demoted",
    };
    Shown {
        kid: record.kid.as_str(),
        // The one place where a new secret is shown: to whoever made it, in the answer to the call that made it.
        secret: secret.map(Secret::reveal),
        secret_shown: None,
        status,
        created_at: record.created_at.rfc3339(),
        created_by: &record.created_by,
        replaces: record.replaces.as_ref().map(IdentitySecretId::as_str),
        revoked_at: record.revoked.as_ref().map(|(at, _)| Timestamp::rfc3339(*at)),
    }
}

/// Whether its root secret is still there and not demoted.
fn can_sign(kid: &IdentitySecretId, asked: &Asked<'_>) -> bool {
    asked.config.ring.derives(kid.key_id())
}

async fn workspace_of(asked: &Asked<'_>, id: &str, world: &impl World) -> Result<WorkspaceId, Reason> {
    asked.workspace_of(Some(WorkspaceId::try_from(id.to_owned()).map_err(|_| Reason::NotFound)?), world).await
}
