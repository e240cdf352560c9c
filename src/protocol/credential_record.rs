//! The record of one credential: all that is known of it but its secret.

use crate::{
    admission::server_key::{KeyRecord, KeySecret, object_name},
    codec::{kind::CredentialKind, time::Timestamp},
    limits::tier::Numbers,
    value::{
        address::AddressRange,
        id::{CredentialId, Environment, Locator},
        origin::Origin,
        scope::Scope,
    },
    wire,
};

/// A credential that ends within this time is `expiring`: 14 days.
const EXPIRING_SECONDS: u64 = 14 * 86_400;

/// A credential as its workspace keeps it.
#[derive(Clone, Debug)]
pub struct CredentialRecord {
    /// Which one; names the workspace.
    pub id: CredentialId,
    /// Live or test data.
    pub environment: Environment,
    /// What people call it.
    pub name: String,
    /// Where it may be used from.
    pub origins: Vec<Origin>,
    /// The secret that is handed out.
    pub current: SecretRecord,
    /// The one before, while it overlaps.
    pub previous: Option<Overlap>,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom: `<kind>:<id>`.
    pub created_by: String,
    /// The moment from which it opens nothing.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked: for good.
    pub revoked_at: Option<Timestamp>,
    /// Why it was revoked, in the words of whoever did.
    pub revoked_reason: Option<String>,
    /// When it was last used for a write, to the hour.
    pub last_used_at: Option<Timestamp>,
    /// Grows with every change; a shard ignores what is older than what it has.
    pub version: u64,
    /// What only server keys and service tokens have; none: a widget key.
    pub key: Option<KeyPart>,
}

wire!(CredentialRecord {
    id,
    environment,
    name,
    origins,
    current,
    previous,
    created_at,
    created_by,
    expires_at,
    revoked_at,
    revoked_reason,
    last_used_at,
    version,
    key,
});

/// What a server key or a service token has, and a widget key has not.
#[derive(Clone, Debug)]
pub struct KeyPart {
    /// `server_key` or `service_token`.
    pub kind: CredentialKind,
    /// Where its object is found.
    pub locator: Locator,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// How much, by the policy's name.
    pub tier: Option<String>,
    /// The numbers of a custom tier.
    pub numbers: Option<Numbers>,
    /// Where it may be used from; anywhere, where none is listed.
    pub addresses: Vec<AddressRange>,
    /// The service that a service token is for.
    pub service: Option<String>,
    /// Secrets that live no longer: whoever presents one is told so.
    pub ended: Vec<SecretRecord>,
    /// Where it was last seen in a browser.
    pub sighting: Option<Sighting>,
}

wire!(KeyPart { kind, locator, scopes, tier, numbers, addresses, service, ended, sighting });

/// A server's credential was seen in a browser.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// When.
    pub at: Timestamp,
    /// On a page of this origin, where it said so.
    pub origin: Option<String>,
}

wire!(Sighting { at, origin });

/// Ended secrets that are remembered.
const MAX_ENDED: usize = 6;

/// One of the at most two live secrets of a credential.
#[derive(Clone, Debug)]
pub struct SecretRecord {
    /// Which one: stands in the signed text.
    pub serial: u64,
    /// Prefix and last four characters, for people.
    pub hint: String,
    /// SHA-256 of the whole text, of an opaque credential.
    pub digest: Option<[u8; 32]>,
    /// It leaked: the moment from which it opens nothing, whatever becomes of the credential.
    pub until: Option<Timestamp>,
}

wire!(SecretRecord { serial, hint, digest, until });

/// A secret that was rotated out.
#[derive(Clone, Debug)]
pub struct Overlap {
    /// Which secret.
    pub secret: SecretRecord,
    /// The moment from which it opens nothing.
    pub until: Timestamp,
    /// Whether somebody ended it: for good, whatever the clock says later.
    pub over: Option<bool>,
}

wire!(Overlap { secret, until, over });

/// Where a credential stands in its life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    /// It opens what it opens.
    Active,
    /// It still does, for less than 14 days.
    Expiring,
    /// Its time is over.
    Expired,
    /// It was revoked.
    Revoked,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Active, Self::Expiring, Self::Expired, Self::Revoked];

    /// Where a credential with these ends stands at `at`.
    pub fn of(revoked_at: Option<Timestamp>, expires_at: Option<Timestamp>, at: Timestamp) -> Self {
        match (revoked_at, expires_at) {
            (Some(_), _) => Self::Revoked,
            (None, Some(expires_at)) if expires_at <= at => Self::Expired,
            (None, Some(expires_at)) if expires_at <= at.plus_seconds(EXPIRING_SECONDS) => Self::Expiring,
            (None, _) => Self::Active,
        }
    }

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expiring => "expiring",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl CredentialRecord {
    /// Where it stands at `at`.
    pub fn status(&self, at: Timestamp) -> Status {
        Status::of(self.revoked_at, self.ends_at(), at)
    }

    /// When it ends as it is now: by itself, or because its secret leaked and nobody replaces that.
    pub fn ends_at(&self) -> Option<Timestamp> {
        [self.expires_at, self.current.until].into_iter().flatten().min()
    }

    /// The digests of its secrets, those that have ended too.
    pub fn digests(&self) -> impl Iterator<Item = &[u8; 32]> {
        let ended = self.key.iter().flat_map(|key| &key.ended);
        let previous = self.previous.iter().map(|overlap| &overlap.secret);
        [&self.current].into_iter().chain(previous).chain(ended).filter_map(|secret| secret.digest.as_ref())
    }

    /// Which kind.
    pub fn kind(&self) -> CredentialKind {
        self.key.as_ref().map_or(CredentialKind::WidgetKey, |key| key.kind)
    }

    /// Hands out another secret; the old one overlaps until then. At most two live: whatever overlapped before ends now.
    /// But a secret that nobody ever used goes before the one that everybody uses: its answer was lost, and this repeats it.
    pub fn rotate(&mut self, secret: SecretRecord, overlap_seconds: u64, unused: Option<&str>, at: Timestamp) {
        let until = at.plus_seconds(overlap_seconds);
        let is_lost = overlap_seconds > 0
            && unused == Some(self.current.hint.as_str())
            && self.overlap(at).is_some_and(|(_, until)| until > at);
        let replaced = std::mem::replace(&mut self.current, secret);
        // What leaked gets no longer than it had.
        let leaked = replaced.until.map_or(until, |end| end.min(until));
        let is_over = overlap_seconds == 0 || leaked <= at;
        let before = match &mut self.previous {
            Some(overlap) if is_lost => {
                overlap.until = until;
                Some(replaced)
            }
            previous => previous
                .replace(Overlap { secret: replaced, until: leaked, over: Some(is_over) })
                .map(|overlap| overlap.secret),
        };
        if let (Some(key), Some(before)) = (&mut self.key, before) {
            key.ended.insert(0, before);
            key.ended.truncate(MAX_ENDED);
        }
    }

    /// The name of the object of a server key or service token.
    pub fn key_object(&self) -> Option<String> {
        let key = self.key.as_ref()?;
        Some(object_name(key.kind, self.environment, &key.locator))
    }

    /// The secret before, for the objects that admit. One that has ended by now has ended for good: their clocks may be behind.
    fn overlap(&self, at: Timestamp) -> Option<(&SecretRecord, Timestamp)> {
        let overlap = self.previous.as_ref()?;
        let is_over = overlap.until <= at || overlap.over == Some(true);
        Some((&overlap.secret, if is_over { Timestamp::default() } else { overlap.until }))
    }

    /// What the object of a server key or service token must know.
    pub fn key_record(&self, at: Timestamp) -> Option<KeyRecord> {
        let key = self.key.as_ref()?;
        let secret =
            |secret: &SecretRecord, until| Some(KeySecret { digest: secret.digest?, hint: secret.hint.clone(), until });
        let current = secret(&self.current, self.current.until);
        let previous = self.overlap(at).and_then(|(before, until)| secret(before, Some(until)));
        let ended = key.ended.iter().filter_map(|ended| secret(ended, Some(Timestamp::default())));
        Some(KeyRecord {
            version: self.version,
            id: self.id.clone(),
            kind: key.kind,
            environment: self.environment,
            secrets: current.into_iter().chain(previous).chain(ended).collect(),
            scopes: key.scopes.clone(),
            tier: key.tier.clone(),
            numbers: key.numbers.clone(),
            addresses: key.addresses.clone(),
            service: key.service.clone(),
            expires_at: self.expires_at,
            revoked: self.revoked_at.is_some(),
        })
    }

    /// What the shards must know.
    pub fn shard(&self, at: Timestamp) -> ShardRecord {
        ShardRecord {
            version: self.version,
            environment: self.environment,
            serial: self.current.serial,
            previous: self.overlap(at).map(|(secret, until)| (secret.serial, until)),
            origins: self.origins.clone(),
            expires_at: self.expires_at,
            revoked: self.revoked_at.is_some(),
        }
    }
}

/// A widget key as each of its shards keeps it: enough to admit a call without asking anybody.
#[derive(Clone, Debug)]
pub struct ShardRecord {
    /// The registry's version of this.
    pub version: u64,
    /// Live or test data.
    pub environment: Environment,
    /// The serial that lives.
    pub serial: u64,
    /// The serial before, and until when it lives.
    pub previous: Option<(u64, Timestamp)>,
    /// Where the key may be used from.
    pub origins: Vec<Origin>,
    /// The moment from which it opens nothing.
    pub expires_at: Option<Timestamp>,
    /// For good.
    pub revoked: bool,
}

wire!(ShardRecord { version, environment, serial, previous, origins, expires_at, revoked });
