//! A credential as people and programs see it: everything but its secret.

use crate::{
    credential::CredentialKind, origin::Origin, registry::record::CredentialRecord, secret::Secret, time::Timestamp,
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
    scopes: [&'a str; 0],
    origins: Vec<&'a str>,
    environment: &'static str,
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
    let overlap = record.previous.as_ref().filter(|overlap| at < overlap.until || secret.is_some());
    Shown {
        id: record.id.as_str(),
        kind: CredentialKind::WidgetKey.as_str(),
        // The one place where a new secret is shown: to whoever made it, in the answer to the call that made it.
        secret: secret.map(Secret::reveal),
        secret_shown: None,
        hint: &record.current.hint,
        name: &record.name,
        workspace: record.id.workspace().map(String::from),
        scopes: [],
        origins: record.origins.iter().map(Origin::as_str).collect(),
        environment: record.environment.as_str(),
        tier: None,
        status: record.status(at).as_str(),
        created_at: record.created_at.rfc3339(),
        created_by: &record.created_by,
        expires_at: record.expires_at.map(Timestamp::rfc3339),
        last_used_at: record.last_used_at.map(Timestamp::rfc3339),
        replaces: overlap.map(|overlap| overlap.secret.hint.as_str()),
        old_expires_at: overlap.map(|overlap| overlap.until.rfc3339()),
        revoked_at: record.revoked_at.map(Timestamp::rfc3339),
    }
}
