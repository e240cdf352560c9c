//! `/v1/workspaces`.

use super::{
    plan,
    store_plan::{PlanChange, WorkspacePlan},
    store_settings::{DefaultTier, Settings},
};
use crate::{
    call::{
        body::Fields,
        cursor::{self, Cursor},
        log::Notes,
        reply::Reply,
    },
    error::Reason,
    identity,
    limits::tier::Tiers,
    machines::{
        deployment::{self, Deployment, WorkspaceRecord},
        workspace::{self, Workspace},
    },
    object::machine::World,
    road::dispatch::Asked,
    value::id::WorkspaceId,
    workspaces,
};
use serde::Serialize;

#[derive(Serialize)]
struct Shown {
    id: String,
    name: String,
    created_at: String,
    /// A list tells a plan of the workspace's own, and nothing else of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    default_tier: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<plan::Shown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity_secret_count: Option<usize>,
}

#[derive(Serialize)]
struct Page {
    items: Vec<Shown>,
    next_cursor: Option<String>,
}

impl Shown {
    fn of(record: WorkspaceRecord, asked: &Asked<'_>) -> Self {
        Self {
            plan: record.plan.is_some().then(|| plan::shown(&record, &asked.config.policy.tiers)),
            id: record.id.into(),
            name: record.name,
            created_at: record.created_at.rfc3339(),
            default_tier: None,
            identity_secret_count: None,
        }
    }
}

/// `POST /v1/workspaces`.
pub async fn create(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let (_, mut fields) = asked.body()?;
    let name = fields.required_label("name", 100, &asked.config.door())?;
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
    let plan = asked_plan(plan::change(&mut fields, asked)?);
    fields.finish()?;
    let (created_at, wanted) = (world.now(), plan.clone());
    let record = WorkspaceRecord { id: id.clone(), name, created_at, default_tier: None, version: None, plan };
    let create = workspace::Command::Create(record, asked.config.deployment.clone(), asked.by.clone());
    let created = world.ask::<Workspace>(id.as_str(), create).await;
    if matches!(created, Err(Reason::Conflict(_))) {
        list_again(&id, asked, world).await?;
    }
    match created? {
        workspace::Reply::Workspace(record) => {
            notes.workspace = Some(record.id.as_str().to_owned());
            workspaces::api_known::remember(&record.id, world);
            knows(&record, wanted.as_ref(), asked)?;
            Reply::json(201, &Shown::of(record, asked))
        }
        _ => Err(Reason::Unavailable),
    }
}

/// There is such a workspace already. The call that created it may have died before the deployment's list heard of it: who is told
/// that the id is taken can use it from then on.
async fn list_again(id: &WorkspaceId, asked: &Asked<'_>, world: &impl World) -> Result<(), Reason> {
    let described = world.ask::<Workspace>(id.as_str(), workspace::Command::Describe).await?;
    let workspace::Reply::Workspace(record) = described else { return Err(Reason::Unavailable) };
    let register = deployment::Command::Register(record, None);
    world.ask::<Deployment>(&asked.config.deployment, register).await.map(drop)
}

/// `GET /v1/workspaces`.
pub async fn list(asked: &Asked<'_>, world: &impl World) -> Result<Reply, Reason> {
    let limit = asked.limit()?;
    let of: cursor::List = &["workspaces"];
    let (after, _) = Cursor::parse(cursor::read(asked.query("cursor")?, of, &asked.config.ring)?)?;
    let list = deployment::Command::ListWorkspaces(after, limit + 1);
    let deployment::Reply::Workspaces(mut records) = world.ask::<Deployment>(&asked.config.deployment, list).await?
    else {
        return Err(Reason::Unavailable);
    };
    let more = records.len() > limit;
    records.truncate(limit);
    let last = records.last().filter(|_| more);
    let next_cursor = last.map(|last| cursor::issue(last.id.as_str(), of, &asked.config.ring)).transpose()?;
    Reply::json(200, &Page { items: records.into_iter().map(|record| Shown::of(record, asked)).collect(), next_cursor })
}

/// `GET /v1/workspaces/{id}`.
pub async fn read(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let named = WorkspaceId::try_from(asked.id.to_owned()).map_err(|_| Reason::NotFound)?;
    let id = asked.workspace_of(Some(named), world).await?;
    let answer = world.ask::<Workspace>(id.as_str(), workspace::Command::Describe).await?;
    shown_whole(answer, None, asked, world, notes).await
}

/// `PATCH /v1/workspaces/{id}`.
pub async fn change(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let named = WorkspaceId::try_from(asked.id.to_owned()).map_err(|_| Reason::NotFound)?;
    let id = asked.workspace_of(Some(named), world).await?;
    let (_, mut fields) = asked.body()?;
    let name = fields.label("name", 100, &asked.config.door())?;
    let default_tier = default_tier(&mut fields, &asked.config.policy.tiers)?;
    let plan = plan::change(&mut fields, asked)?;
    fields.finish()?;
    let wanted = asked_plan(plan.clone());
    let change = workspace::Command::ChangeWorkspace(Settings { name, default_tier, plan }, asked.by.clone());
    let answer = world.ask::<Workspace>(id.as_str(), change).await?;
    shown_whole(answer, wanted.as_ref(), asked, world, notes).await
}

/// The plan that is asked for, where it is one of the workspace's own.
fn asked_plan(change: Option<PlanChange>) -> Option<WorkspacePlan> {
    match change {
        Some(PlanChange::Set(plan)) => Some(plan),
        Some(PlanChange::Default | PlanChange::Shown(_)) | None => None,
    }
}

/// While a deployment goes out, an object of the version before passes over what it does not know: that is no success.
fn knows(record: &WorkspaceRecord, wanted: Option<&WorkspacePlan>, asked: &Asked<'_>) -> Result<(), Reason> {
    let plan = plan::effective(record, &asked.config.policy.tiers);
    if wanted.is_none_or(|wanted| *wanted == plan) { Ok(()) } else { Err(Reason::Unavailable) }
}

/// The tier of credentials that ask for none: one whose numbers the policy has, or `null`.
fn default_tier(fields: &mut Fields, tiers: &Tiers) -> Result<Option<DefaultTier>, Reason> {
    if fields.take_null("default_tier") {
        return Ok(Some(DefaultTier::None));
    }
    let Some(name) = fields.optional_text("default_tier", 64)? else { return Ok(None) };
    let ready = || tiers.iter().filter(|(_, tier)| !tier.custom).map(|(name, _)| name.as_str());
    if ready().any(|known| known == name) {
        return Ok(Some(DefaultTier::Named(name)));
    }
    let names = ready().collect::<Vec<_>>().join(", ");
    let why = match names.as_str() {
        "" => "The policy has no tier whose numbers are its own.".to_owned(),
        names => format!("null, or a tier whose numbers are the policy's: {names}."),
    };
    Err(Reason::invalid("default_tier", &why))
}

/// A workspace with all that is known of it.
async fn shown_whole(
    answer: workspace::Reply,
    wanted: Option<&WorkspacePlan>,
    asked: &Asked<'_>,
    world: &impl World,
    notes: &mut Notes,
) -> Result<Reply, Reason> {
    let workspace::Reply::Workspace(record) = answer else { return Err(Reason::Unavailable) };
    notes.workspace = Some(record.id.as_str().to_owned());
    knows(&record, wanted, asked)?;
    let identity_secret_count = Some(identity::api::count(&record.id, asked, world).await?);
    let default_tier = Some(record.default_tier.clone());
    let plan = Some(plan::shown(&record, &asked.config.policy.tiers));
    Reply::json(200, &Shown { default_tier, plan, identity_secret_count, ..Shown::of(record, asked) })
}
