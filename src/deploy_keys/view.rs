//! A deploy key as people and programs see it: everything but its text.

use crate::{
    codec::{kind::CredentialKind, secret::Secret, time::Timestamp},
    credentials::{
        self,
        view::{Seen, seen},
    },
    object::machine::World,
    protocol::deploy_key_record::DeployKeyRecord,
    road::dispatch::Asked,
};
use serde::Serialize;

/// The same members as of any other credential; those that a deploy key cannot have are `null` or empty.
#[derive(Serialize)]
pub struct Shown<'a> {
    id: &'a str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_shown: Option<bool>,
    hint: String,
    name: &'a str,
    workspace: Option<&'a str>,
    scopes: [&'a str; 0],
    environment: Option<&'a str>,
    stage: &'static str,
    deployment: &'a str,
    tier: Option<&'a str>,
    status: &'static str,
    created_at: String,
    created_by: &'a str,
    expires_at: Option<String>,
    last_used_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seen_in_browser: Option<Seen<'a>>,
}

impl Shown<'_> {
    /// The same, with word that an earlier answer showed the secret.
    #[must_use]
    pub fn shown_before(mut self) -> Self {
        self.secret_shown = Some(true);
        self
    }
}

/// Shows a deploy key; with its text only in the answer to the call that made that.
pub fn shown<'a>(
    record: &'a DeployKeyRecord,
    secret: Option<&'a Secret>,
    asked: &Asked<'a>,
    world: &impl World,
) -> Shown<'a> {
    let at = world.now();
    let overlap = record.previous.as_ref().filter(|(_, until)| at < *until || secret.is_some());
    let hint = record.current.as_ref().map(|text| text.hint.clone());
    Shown {
        id: record.id.as_str(),
        kind: CredentialKind::DeployKey.as_str(),
        // The one place where a new secret is shown: to whoever made it, in the answer to the call that made it.
        secret: secret.map(Secret::reveal),
        secret_shown: None,
        hint: hint.unwrap_or_else(|| credentials::issue::deploy_hint(asked.config)),
        name: &record.name,
        workspace: None,
        scopes: [],
        environment: None,
        stage: asked.config.stage.as_str(),
        deployment: &asked.config.deployment,
        tier: None,
        status: record.status(at).as_str(),
        created_at: record.created_at.rfc3339(),
        created_by: &record.created_by,
        expires_at: record.expires_at().map(Timestamp::rfc3339),
        last_used_at: record.last_used_at.map(Timestamp::rfc3339),
        replaces: overlap.map(|(text, _)| text.hint.as_str()),
        old_expires_at: overlap.map(|(_, until)| until.rfc3339()),
        revoked_at: record.revoked_at.map(Timestamp::rfc3339),
        seen_in_browser: record.sighting.as_ref().map(seen),
    }
}
