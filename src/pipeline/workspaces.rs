//! `/v1/workspaces`.

use super::{Notes, api::Asked, body::required, identity_secrets, reply::Reply};
use crate::{
    error::Reason,
    id::WorkspaceId,
    machine::World,
    registry::{
        deployment::{self, Deployment, WorkspaceRecord},
        workspace::{self, Workspace},
    },
};
use serde::Serialize;

#[derive(Serialize)]
struct Shown {
    id: String,
    name: String,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_tier: Option<String>,
    /// A list does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    identity_secret_count: Option<usize>,
}

#[derive(Serialize)]
struct Page {
    items: Vec<Shown>,
    next_cursor: Option<String>,
}

impl From<WorkspaceRecord> for Shown {
    fn from(record: WorkspaceRecord) -> Self {
        let created_at = record.created_at.rfc3339();
        Self {
            id: record.id.into(),
            name: record.name,
            created_at,
            default_tier: record.default_tier,
            identity_secret_count: None,
        }
    }
}

/// `POST /v1/workspaces`.
pub async fn create(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let (_, mut fields) = asked.body()?;
    let name = required("name", fields.label("name", 100, &asked.config.door())?)?;
    let id = match fields.optional_text("id", 64)? {
        Some(id) if asked.config.door().is_like_secret(&id) => {
            return Err(Reason::invalid(
                "id",
                "This looks like a secret, which has no place here: treat it as leaked.",
            ));
        }
        Some(id) => WorkspaceId::try_from(id).map_err(|_| {
            Reason::invalid("id", "1 to 42 of a-z, A-Z, 0-9, _ and -, starting with a letter or digit.")
        })?,
        None => WorkspaceId::issue(world.now(), world.random()?),
    };
    fields.finish()?;
    let record = WorkspaceRecord { id: id.clone(), name, created_at: world.now(), default_tier: None };
    let create = workspace::Command::Create(record, asked.config.deployment.clone(), asked.by.clone());
    match world.ask::<Workspace>(id.as_str(), create).await? {
        workspace::Reply::Workspace(record) => {
            notes.workspace = Some(record.id.as_str().to_owned());
            Reply::json(201, &Shown::from(record))
        }
        _ => Err(Reason::Unavailable),
    }
}

/// `GET /v1/workspaces`.
pub async fn list(asked: &Asked<'_>, world: &impl World) -> Result<Reply, Reason> {
    let limit = asked.limit()?;
    let after = asked.query("cursor")?.map(WorkspaceId::try_from).transpose();
    let after = after.map_err(|_| Reason::invalid("cursor", "Use next_cursor of the page before."))?;
    let list = deployment::Command::ListWorkspaces(after, limit + 1);
    let deployment::Reply::Workspaces(mut records) = world.ask::<Deployment>(&asked.config.deployment, list).await?
    else {
        return Err(Reason::Unavailable);
    };
    let more = records.len() > limit;
    records.truncate(limit);
    let next_cursor = records.last().filter(|_| more).map(|record| record.id.as_str().to_owned());
    Reply::json(200, &Page { items: records.into_iter().map(Shown::from).collect(), next_cursor })
}

/// `GET /v1/workspaces/{id}`.
pub async fn read(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let named = WorkspaceId::try_from(asked.id.to_owned()).map_err(|_| Reason::NotFound)?;
    let id = asked.workspace_of(Some(named))?;
    match world.ask::<Workspace>(id.as_str(), workspace::Command::Describe).await? {
        workspace::Reply::Workspace(record) => {
            notes.workspace = Some(record.id.as_str().to_owned());
            let identity_secret_count = Some(identity_secrets::count(&id, asked, world).await?);
            Reply::json(200, &Shown { identity_secret_count, ..record.into() })
        }
        _ => Err(Reason::Unavailable),
    }
}
