//! A credential as people and programs see it: everything but its secret.

use crate::{
    codec::{secret::Secret, time::Timestamp},
    limits::{tier::Numbers, window::Limit},
    protocol::credential_record::{CredentialRecord, Sighting},
    value::{origin::Origin, scope::Scope},
};
use serde::Serialize;

/// A credential as it is shown; the secret only ever in the answer that made it.
#[derive(Serialize)]
pub struct Shown<'a> {
    id: &'a str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_shown: Option<bool>,
    hint: &'a str,
    name: &'a str,
    workspace: Option<String>,
    scopes: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origins: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_addresses: Option<Vec<String>>,
    environment: &'static str,
    tier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<Limits>,
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

/// The numbers of a custom tier.
#[derive(Serialize)]
pub struct Limits {
    requests: Vec<Window>,
    tokens: Vec<Window>,
}

#[derive(Serialize)]
struct Window {
    limit: u32,
    window_seconds: u32,
}

/// Where a server's credential was last found in a browser.
#[derive(Serialize)]
pub struct Seen<'a> {
    at: String,
    origin: Option<&'a str>,
}

impl Shown<'_> {
    /// The same, with word that an earlier answer showed the secret.
    #[must_use]
    pub fn shown_before(mut self) -> Self {
        self.secret_shown = Some(true);
        self
    }
}

/// Shows a credential; with its secret only in the answer to the call that made that.
pub fn shown<'a>(record: &'a CredentialRecord, secret: Option<&'a Secret>, at: Timestamp) -> Shown<'a> {
    let key = record.key.as_ref();
    let overlap = record.previous.as_ref().filter(|overlap| at < overlap.until || secret.is_some());
    Shown {
        id: record.id.as_str(),
        kind: record.kind().as_str(),
        // The one place where a new secret is shown: to whoever made it, in the answer to the call that made it.
        secret: secret.map(Secret::reveal),
        secret_shown: None,
        hint: &record.current.hint,
        name: &record.name,
        workspace: record.id.workspace().map(String::from),
        scopes: key.map(|key| key.scopes.iter().map(Scope::as_str).collect()).unwrap_or_default(),
        origins: key.is_none().then(|| record.origins.iter().map(Origin::as_str).collect()),
        service: key.and_then(|key| key.service.as_deref()),
        allowed_addresses: key.map(|key| key.addresses.iter().map(ToString::to_string).collect()),
        environment: record.environment.as_str(),
        tier: key.and_then(|key| key.tier.as_deref()),
        limits: key.and_then(|key| key.numbers.as_ref()).map(limits),
        status: record.status(at).as_str(),
        created_at: record.created_at.rfc3339(),
        created_by: &record.created_by,
        expires_at: record.ends_at().map(Timestamp::rfc3339),
        last_used_at: record.last_used_at.map(Timestamp::rfc3339),
        replaces: overlap.map(|overlap| overlap.secret.hint.as_str()),
        old_expires_at: overlap.map(|overlap| overlap.until.rfc3339()),
        revoked_at: record.revoked_at.map(Timestamp::rfc3339),
        seen_in_browser: key.and_then(|key| key.sighting.as_ref()).map(seen),
    }
}

/// Shows the numbers of a custom tier.
pub fn limits(numbers: &Numbers) -> Limits {
    let window = |limit: &Limit| Window { limit: limit.limit, window_seconds: limit.window_seconds };
    Limits {
        requests: numbers.requests.iter().map(window).collect(),
        tokens: numbers.tokens.iter().map(window).collect(),
    }
}

/// Shows where.
pub fn seen(sighting: &Sighting) -> Seen<'_> {
    Seen { at: sighting.at.rfc3339(), origin: sighting.origin.as_deref() }
}
