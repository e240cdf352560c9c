//! The record of one credential: all that is known of it but its secret.

use crate::{
    id::{CredentialId, Environment},
    origin::Origin,
    time::Timestamp,
    wire,
};

/// A credential that ends within this time is `expiring`: 14 days.
const EXPIRING_SECONDS: u64 = 14 * 86_400;

/// A widget key as its workspace keeps it.
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
});

/// One of the at most two live secrets of a credential.
#[derive(Clone, Debug)]
pub struct SecretRecord {
    /// Which one: stands in the signed text.
    pub serial: u64,
    /// Prefix and last four characters, for people.
    pub hint: String,
}

wire!(SecretRecord { serial, hint });

/// A secret that was rotated out.
#[derive(Clone, Debug)]
pub struct Overlap {
    /// Which secret.
    pub secret: SecretRecord,
    /// The moment from which it opens nothing.
    pub until: Timestamp,
}

wire!(Overlap { secret, until });

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
        match (self.revoked_at, self.expires_at) {
            (Some(_), _) => Status::Revoked,
            (None, Some(expires_at)) if expires_at <= at => Status::Expired,
            (None, Some(expires_at)) if expires_at <= at.plus_seconds(EXPIRING_SECONDS) => Status::Expiring,
            (None, _) => Status::Active,
        }
    }

    /// What the shards must know.
    pub fn shard(&self) -> ShardRecord {
        ShardRecord {
            version: self.version,
            environment: self.environment,
            serial: self.current.serial,
            previous: self.previous.as_ref().map(|overlap| (overlap.secret.serial, overlap.until)),
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
