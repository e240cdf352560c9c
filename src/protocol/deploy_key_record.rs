//! The record of one deploy key: all that its deployment knows of it, which is never its text.

use super::credential_record::{Sighting, Status};
use crate::{
    admission::deploy_key::{DeployKeyState, DeployText},
    codec::time::Timestamp,
    value::id::CredentialId,
    wire,
};

/// Who makes keys offline.
pub(crate) const OFFLINE: &str = "cli:";

/// A deploy key as the list keeps it.
#[derive(Clone, Debug)]
pub struct DeployKeyRecord {
    /// Which one.
    pub id: CredentialId,
    /// What people call it.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom: `<kind>:<id>`, or `cli:`.
    pub created_by: String,
    /// The text that is handed out; none: it was ended before anybody used it.
    pub current: Option<DeployText>,
    /// The one before, and until when it lives.
    pub previous: Option<(DeployText, Timestamp)>,
    /// An end before the one that is signed.
    pub ends_at: Option<Timestamp>,
    /// When it was revoked: for good.
    pub revoked_at: Option<Timestamp>,
    /// Why it was revoked, in the words of whoever did.
    pub revoked_reason: Option<String>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// Where it was last found in a browser.
    pub sighting: Option<Sighting>,
    /// Grows with every change; the key's object ignores what is older than what it has.
    pub version: u64,
    /// The text that is handed out leaked: the moment from which it opens nothing.
    pub current_until: Option<Timestamp>,
}

wire!(DeployKeyRecord {
    id,
    name,
    created_at,
    created_by,
    current,
    previous,
    ends_at,
    revoked_at,
    revoked_reason,
    last_used_at,
    sighting,
    version,
    current_until
});

impl DeployKeyRecord {
    /// One that is made now: its text was issued at this moment.
    pub fn new(id: CredentialId, name: String, created_by: String, text: DeployText) -> Self {
        let created_at = Timestamp(text.serial);
        Self { current: Some(text), ..Self::blank(id, name, created_at, created_by) }
    }

    fn blank(id: CredentialId, name: String, created_at: Timestamp, created_by: String) -> Self {
        Self {
            id,
            name,
            created_at,
            created_by,
            current: None,
            previous: None,
            ends_at: None,
            revoked_at: None,
            revoked_reason: None,
            last_used_at: None,
            sighting: None,
            version: 0,
            current_until: None,
        }
    }

    /// One that was made offline, of which we apply at this moment: nobody gave it a name, and who made it stands nowhere.
    pub(crate) fn offline(id: CredentialId, text: Option<DeployText>, at: Timestamp) -> Self {
        let made_at = text.as_ref().map_or(at, |text| Timestamp(text.serial));
        Self { current: text, ..Self::blank(id, "made offline".to_owned(), made_at, OFFLINE.to_owned()) }
    }

    /// When it ends.
    pub fn expires_at(&self) -> Option<Timestamp> {
        let own = self.ends_at.or(self.current.as_ref().map(|text| text.expires_at));
        [own, self.current_until].into_iter().flatten().min()
    }

    /// Where it stands at `at`.
    pub fn status(&self, at: Timestamp) -> Status {
        Status::of(self.revoked_at, self.expires_at(), at)
    }

    /// What the key's object must know; none where there is no text.
    pub(crate) fn state(&self) -> Option<DeployKeyState> {
        Some(DeployKeyState {
            version: self.version,
            current: self.current.as_ref()?.serial,
            previous: self.previous.as_ref().map(|(text, until)| (text.serial, *until)),
            ends_at: self.ends_at,
            current_until: self.current_until,
        })
    }
}
