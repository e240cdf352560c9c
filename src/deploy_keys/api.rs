//! Deploy keys under `/v1/credentials`: made, listed, changed, rotated and ended by whoever has one.

use super::{
    store::{Change, Command, ListDeployKeys, Mandate, Reply as Answer, Seen},
    view::{Shown, shown},
};
use crate::{
    call::{
        body::{self, Fields, required},
        cursor::{self, Cursor},
        idempotency_key,
        log::Notes,
        reply::Reply,
    },
    codec::{kind::CredentialKind, time::Timestamp},
    credential::MAX_LIFE_SECONDS,
    credentials::{
        self,
        api::{revocation_reason, revoked, wanted_status},
        api_rotate::overlap_seconds,
    },
    crypto::id_check,
    error::Reason,
    json::Member,
    machines::{
        credential::{self, Credential},
        deployment::{self, Deployment},
    },
    object::{idempotency::RetryKey, machine::World},
    policy::Action,
    protocol::deploy_key_record::DeployKeyRecord,
    road::dispatch::Asked,
    value::id::{CredentialId, Stage},
};
use serde::Serialize;

/// The life of a deploy key where nobody says: 90 days.
const DEFAULT_LIFE_SECONDS: u64 = 90 * 86_400;

/// Rotations of one key at one moment are put one after the other; more of them in a row are no chance.
const TRIES: usize = 3;

/// The stages that there are.
const STAGES: &str = "One of dev, staging and prod (development and production are the same).";

/// What a credential of a workspace has, and a deploy key has not.
const FOREIGN: [&str; 8] =
    ["workspace", "environment", "scopes", "tier", "limits", "origins", "allowed_addresses", "service"];

#[derive(Serialize)]
struct Page<'a> {
    items: Vec<Shown<'a>>,
    next_cursor: Option<String>,
}

/// The deploy key that the path of a call about credentials names. A workspace's own credential knows of none.
pub fn named(asked: &Asked<'_>) -> Result<Option<CredentialId>, Reason> {
    if !is_about_one(asked.admitted.action()) {
        return Ok(None);
    }
    let id = CredentialId::try_from(asked.id.to_owned()).map_err(|_| Reason::NotFound)?;
    match id.workspace() {
        Some(_) => Ok(None),
        None if is_deploy_key(asked) && asked.query("workspace")?.is_none() => Ok(Some(id)),
        None => Err(Reason::NotFound),
    }
}

fn is_about_one(action: Action) -> bool {
    matches!(
        action,
        Action::ReadCredential
            | Action::ChangeCredential
            | Action::RotateCredential
            | Action::FinishRotation
            | Action::RevokeCredential
            | Action::ReadUsage
    )
}

fn is_deploy_key(asked: &Asked<'_>) -> bool {
    asked.admitted.principal().kind() == CredentialKind::DeployKey
}

/// What is asked of the deploy key `id`.
pub async fn act(id: CredentialId, asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    if asked.admitted.action() == Action::RevokeCredential {
        let why = revocation_reason(asked)?;
        // One that was made offline stands in no list yet. Its id says that it was made; without a check the list knows it.
        if !id_check::is_our_deploy_key(&id, &asked.config.ring) {
            find(&id, asked, world).await?;
        }
        notes.found(&id);
        return end(&id, why, asked, world).await;
    }
    let mut record = find(&id, asked, world).await?;
    notes.found(&id);
    match asked.admitted.action() {
        Action::ReadCredential => {
            credentials::api_last_used::refresh_deploy_keys(std::slice::from_mut(&mut record), world).await;
            Reply::json(200, &shown(&record, None, asked, world))
        }
        Action::ChangeCredential => change(id, asked, world).await,
        Action::RotateCredential => rotate(record, asked, world).await,
        Action::FinishRotation => {
            let (_, fields) = asked.body()?;
            fields.finish()?;
            let record = one(ask(Command::FinishRotation(id, mandate(asked)), asked, world).await?)?;
            Reply::json(200, &shown(&record, None, asked, world))
        }
        Action::ReadUsage => {
            let current = record.current.iter().map(|text| text.hint.as_str());
            let previous = record.previous.iter().map(|(text, _)| text.hint.as_str());
            let known =
                credentials::api_usage::Known { secrets: current.chain(previous).collect(), scopes: Vec::new() };
            credentials::api_usage::answer(id.as_str(), &credentials::api_usage::steps(asked, world)?, &known, world)
                .await
        }
        _ => Err(Reason::NotFound),
    }
}

/// `POST /v1/credentials` with `kind: "deploy_key"`.
pub async fn create(
    bytes: &[u8],
    mut fields: Fields,
    asked: &Asked<'_>,
    world: &impl World,
    notes: &mut Notes,
) -> Result<Reply, Reason> {
    let kind = asked.admitted.principal().kind();
    if kind != CredentialKind::DeployKey {
        return Err(Reason::KindNotTaken(
            kind.as_str().to_owned(),
            vec![CredentialKind::DeployKey.as_str().to_owned()],
        ));
    }
    refuse_foreign_members(&mut fields)?;
    let stage = required("stage", fields.one_of("stage", STAGES, Stage::parse)?, STAGES)?;
    let name = fields.required_label("name", 100, &asked.config.door())?;
    let expires_in = fields.optional_number("expires_in", 1, MAX_LIFE_SECONDS)?.unwrap_or(DEFAULT_LIFE_SECONDS);
    fields.finish()?;
    if stage != asked.config.stage {
        return Err(Reason::StageMismatch);
    }
    let retry = idempotency_key::parse(world, &["credentials", &asked.actor()], bytes)?;
    if let Some(retry) = &retry
        && let Answer::Known(record) = ask(Command::FindMade(RetryKey { ..*retry }), asked, world).await?
    {
        return again(&record, asked, world, notes);
    }
    let at = world.now();
    let id = id_check::deploy_key(at, world.random()?, &asked.config.ring)?;
    let (secret, text) = credentials::issue::deploy_key(&id, at, at.plus_seconds(expires_in), asked.config)?;
    let record = DeployKeyRecord::new(id, name, asked.actor(), text);
    match ask(Command::Create(Box::new(record), retry, mandate(asked)), asked, world).await? {
        Answer::Known(record) => again(&record, asked, world, notes),
        answer => {
            let record = one(answer)?;
            notes.found(&record.id);
            Reply::json(201, &shown(&record, Some(&secret), asked, world))
        }
    }
}

/// `GET /v1/credentials?kind=deploy_key`.
pub async fn list(asked: &Asked<'_>, world: &impl World) -> Result<Reply, Reason> {
    let kind = asked.admitted.principal().kind();
    if kind != CredentialKind::DeployKey {
        return Err(Reason::KindNotTaken(
            kind.as_str().to_owned(),
            vec![CredentialKind::DeployKey.as_str().to_owned()],
        ));
    }
    for name in ["workspace", "environment"] {
        if asked.query(name)?.is_some() {
            return Err(Reason::invalid(name, "A deploy key belongs to none: leave it out."));
        }
    }
    let status = wanted_status(asked)?;
    let of = ["deploy_keys".to_owned(), status.clone().unwrap_or_default()];
    let of: Vec<&str> = of.iter().map(String::as_str).collect();
    let (after, _) = Cursor::parse(cursor::read(asked.query("cursor")?, &of, &asked.config.ring)?)?;
    let list = ListDeployKeys { status, after, limit: asked.limit()? };
    let Answer::Many(mut records, next) = ask(Command::List(list, caller(asked)), asked, world).await? else {
        return Err(Reason::Unavailable);
    };
    let next = next.map(|next| cursor::issue(next.as_str(), &of, &asked.config.ring)).transpose()?;
    credentials::api_last_used::refresh_deploy_keys(&mut records, world).await;
    let items = records.iter().map(|record| shown(record, None, asked, world)).collect();
    Reply::json(200, &Page { items, next_cursor: next })
}

async fn change(id: CredentialId, asked: &Asked<'_>, world: &impl World) -> Result<Reply, Reason> {
    let (_, mut fields) = asked.body()?;
    refuse_foreign_members(&mut fields)?;
    let name = fields.label("name", 100, &asked.config.door())?;
    if fields.take_null("expires_at") {
        return Err(Reason::invalid("expires_at", "A deploy key always ends."));
    }
    let expires_at = body::moment("expires_at", fields.optional_text("expires_at", 40)?)?;
    fields.finish()?;
    let change = Command::Change(id, Change { name, expires_at }, mandate(asked));
    let record = one(ask(change, asked, world).await?)?;
    Reply::json(200, &shown(&record, None, asked, world))
}

/// Another text of the same key, which ends when the old one would have.
async fn rotate(mut record: DeployKeyRecord, asked: &Asked<'_>, world: &impl World) -> Result<Reply, Reason> {
    let overlap = overlap_seconds(asked)?;
    for left in (0..TRIES).rev() {
        let (Some(old), None) = (&record.current, record.revoked_at) else {
            return Err(Reason::Conflict("This deploy key was revoked: make another.".to_owned()));
        };
        if old.expires_at <= world.now() {
            return Err(Reason::Conflict("This deploy key is at its end: make another.".to_owned()));
        }
        let issued_at = world.now().max(Timestamp(old.serial).plus_millis(1));
        let (secret, text) = credentials::issue::deploy_key(&record.id, issued_at, old.expires_at, asked.config)?;
        let rotate = Command::Rotate(record.id.clone(), text, overlap, mandate(asked));
        match ask(rotate, asked, world).await {
            Err(Reason::Conflict(_)) if left > 0 => record = find(&record.id, asked, world).await?,
            answer => {
                let record = one(answer?)?;
                return Reply::json(201, &shown(&record, Some(&secret), asked, world));
            }
        }
    }
    Err(Reason::Unavailable)
}

/// Ends a deploy key, listed or not: first where it is admitted.
pub async fn end(
    id: &CredentialId,
    why: Option<String>,
    asked: &Asked<'_>,
    world: &impl World,
) -> Result<Reply, Reason> {
    let revoke = credential::Command::RevokeDeployKey(Some(asked.about(id)), why, None);
    match world.ask::<Credential>(id.as_str(), revoke).await? {
        credential::Reply::DeployKey(revoked_at) => revoked(revoked_at),
        _ => Err(Reason::Unavailable),
    }
}

fn refuse_foreign_members(fields: &mut Fields) -> Result<(), Reason> {
    let is_there = |member: &Member| !matches!(member, Member::Texts(texts) if texts.is_empty());
    for name in FOREIGN {
        if fields.take_member(name).as_ref().is_some_and(is_there) {
            return Err(Reason::invalid(name, "A deploy key administers a whole deployment, and has no such member."));
        }
    }
    fields.forget(&FOREIGN);
    Ok(())
}

/// The caller's own key, as its object tells the list of it.
fn caller(asked: &Asked<'_>) -> Option<Seen> {
    let principal = asked.admitted.principal();
    let text = principal.deploy_text()?.clone();
    Some(Seen { id: principal.id().clone(), text, used_at: None, sighting: None })
}

fn mandate(asked: &Asked<'_>) -> Mandate {
    Mandate { by: asked.by.clone(), deployment: asked.config.deployment.clone() }
}

async fn ask(command: Command, asked: &Asked<'_>, world: &impl World) -> Result<Answer, Reason> {
    let command = deployment::Command::DeployKeys(Box::new(command));
    match world.ask::<Deployment>(&asked.config.deployment, command).await? {
        deployment::Reply::DeployKeys(answer) => Ok(answer),
        _ => Err(Reason::Unavailable),
    }
}

async fn find(id: &CredentialId, asked: &Asked<'_>, world: &impl World) -> Result<DeployKeyRecord, Reason> {
    one(ask(Command::Read(id.clone(), caller(asked)), asked, world).await?)
}

fn one(answer: Answer) -> Result<DeployKeyRecord, Reason> {
    match answer {
        Answer::One(record) => Ok(*record),
        _ => Err(Reason::Unavailable),
    }
}

/// Made before, and its secret shown then: never twice.
fn again(record: &DeployKeyRecord, asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    notes.found(&record.id);
    let again = shown(record, None, asked, world).shown_before();
    Ok(Reply::json(201, &again)?.with("idempotent-replayed", "true"))
}
