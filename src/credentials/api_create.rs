//! `POST /v1/credentials`: a new credential. Its secret is shown once and stored never.

use super::{
    api::{KINDS, KINDS_RULE, MAX_LIFE_SECONDS, one},
    view::shown,
};
use crate::{
    call::{
        body::{Fields, required},
        idempotency_key,
        log::Notes,
        reply::Reply,
    },
    codec::kind::CredentialKind,
    credentials, deploy_keys,
    error::Reason,
    machines::workspace::{self, Workspace},
    object::{idempotency::RetryKey, machine::World},
    protocol::{
        credential_record::{CredentialRecord, KeyPart},
        workspace::Plan,
    },
    road::dispatch::{Asked, ENVIRONMENTS},
    value::{
        id::{CredentialId, Environment, Locator, WorkspaceId},
        origin::Origin,
    },
};

/// `POST /v1/credentials`.
pub async fn create(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let (bytes, mut fields) = asked.body()?;
    let known = |text: &str| {
        CredentialKind::parse(text).filter(|kind| KINDS.contains(kind) || *kind == CredentialKind::DeployKey)
    };
    let kind = required("kind", fields.one_of("kind", KINDS_RULE, known)?, KINDS_RULE)?;
    if kind == CredentialKind::DeployKey {
        return deploy_keys::api::create(&bytes, fields, asked, world, notes).await;
    }
    let workspace = asked.workspace(fields.optional_text("workspace", 64)?, world).await?;
    let environment = fields.one_of("environment", ENVIRONMENTS, Environment::parse)?;
    let environment = asked.own_environment(Some(required("environment", environment, ENVIRONMENTS)?))?;
    let environment = required("environment", environment, ENVIRONMENTS)?;
    let name = fields.required_label("name", 100, &asked.config.door())?;
    let expires_in = fields.optional_number("expires_in", 1, MAX_LIFE_SECONDS)?;
    let retry = idempotency_key::parse(world, &["credentials", &asked.actor()], &bytes)?;
    let ordered = match kind {
        CredentialKind::WidgetKey => {
            credentials::fields::refuse_key_members(&mut fields)?;
            let origins = credentials::fields::origins(&mut fields, environment, asked)?;
            Ordered::Widget(required("origins", origins, "A list of at least one origin, like https://shop.example.")?)
        }
        _ => Ordered::Key(Box::new(key_part(kind, &mut fields, asked)?)),
    };
    fields.finish()?;
    if let Ordered::Widget(origins) = &ordered {
        credentials::api_wildcard_origins::check(origins, &[], world).await?;
    }
    if let Some(retry) = &retry {
        let find = workspace::Command::FindMade(RetryKey { ..*retry });
        if let workspace::Reply::Known(record) = world.ask::<Workspace>(workspace.as_str(), find).await? {
            return again(&record, world, notes);
        }
    }

    let at = world.now();
    let random = world.random()?;
    let (id, secret, current, origins, key) = match ordered {
        Ordered::Widget(origins) => {
            let id = CredentialId::issue_widget_key(&workspace, at, random);
            let (secret, current) = credentials::issue::signed(&id, environment, asked.config, world)?;
            (id, secret, current, origins, None)
        }
        Ordered::Key(mut part) => {
            let id = match kind {
                CredentialKind::ServiceToken => CredentialId::issue_service_token(&workspace, at, random),
                _ => CredentialId::issue_server_key(&workspace, at, random),
            };
            if part.tier.is_none() && part.numbers.is_none() {
                let plan = credentials::fields::plan_otherwise(asked, default_tier(&workspace, world).await?)?;
                (part.tier, part.numbers) = (plan.tier, plan.numbers);
            }
            part.locator = credentials::issue::place(&id, kind, environment, world).await?;
            let (secret, current) =
                credentials::issue::opaque(kind, environment, part.locator.clone(), asked.config, world)?;
            (id, secret, current, Vec::new(), Some(*part))
        }
    };
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
        key,
    };
    let create = workspace::Command::CreateCredential(Box::new(record), retry, asked.by.clone());
    match world.ask::<Workspace>(workspace.as_str(), create).await? {
        workspace::Reply::Known(record) => again(&record, world, notes),
        reply => {
            let record = one(reply)?;
            notes.found(&record.id);
            Reply::json(201, &shown(&record, Some(&secret), at))
        }
    }
}

/// What only one sort of credentials has.
enum Ordered {
    Key(Box<KeyPart>),
    Widget(Vec<Origin>),
}

/// What a server key or service token is to have; its place is drawn later.
fn key_part(kind: CredentialKind, fields: &mut Fields, asked: &Asked<'_>) -> Result<KeyPart, Reason> {
    if fields.optional_texts("origins", 1_000)?.is_some_and(|origins| !origins.is_empty()) {
        return Err(Reason::invalid(
            "origins",
            "Only a widget key is held to origins: this kind is never in a browser.",
        ));
    }
    fields.forget(&["origins"]);
    let service = match kind {
        CredentialKind::ServiceToken => Some(credentials::fields::service(fields, asked)?),
        _ => None,
    };
    let plan = credentials::fields::plan(fields, asked, None)?.unwrap_or(Plan { tier: None, numbers: None });
    Ok(KeyPart {
        kind,
        locator: Locator::draw([0; 16]),
        scopes: credentials::fields::scopes(fields, asked)?.unwrap_or_default(),
        tier: plan.tier,
        numbers: plan.numbers,
        addresses: credentials::fields::addresses(fields, asked)?.unwrap_or_default(),
        service,
        ended: Vec::new(),
        sighting: None,
    })
}

async fn default_tier(workspace: &WorkspaceId, world: &impl World) -> Result<Option<String>, Reason> {
    match world.ask::<Workspace>(workspace.as_str(), workspace::Command::Describe).await? {
        workspace::Reply::Workspace(record) => Ok(record.default_tier),
        _ => Err(Reason::Unavailable),
    }
}

/// Made before, and its secret shown then: never twice.
fn again(record: &CredentialRecord, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    notes.found(&record.id);
    let again = shown(record, None, world.now()).shown_before();
    Ok(Reply::json(201, &again)?.with("idempotent-replayed", "true"))
}
