//! What the list of deploy keys is asked, and what it answers.

use super::{credential_record::Sighting, deploy_key_record::DeployKeyRecord};
use crate::{
    admission::deploy_key::DeployText,
    audit::{By, Report},
    codec::time::Timestamp,
    leaks::store::Found,
    object::idempotency::RetryKey,
    value::id::CredentialId,
    wire,
};

/// What can be asked about deploy keys.
pub enum Command {
    /// One was made by the caller, who may do so.
    Create(Box<DeployKeyRecord>, Option<RetryKey>, Mandate),
    /// What did an earlier request with this key make?
    FindMade(RetryKey),
    /// One of them. Whoever asks with a deploy key is on the list, even if its object's word is still on the way.
    Read(CredentialId, Option<Seen>),
    /// Newest first; the same.
    List(ListDeployKeys, Option<Seen>),
    /// Change what can be changed.
    Change(CredentialId, Change, Mandate),
    /// Hand out another text; the old one overlaps for so many seconds.
    Rotate(CredentialId, DeployText, u64, Mandate),
    /// The old text of a rotation ends now.
    FinishRotation(CredentialId, Mandate),
    /// A key's object was asked to admit it.
    Seen(Seen),
    /// A key's object ended it.
    Ended(Box<Ended>),
    /// A text was found where anybody can read it; which deployment's chain records what is done.
    Leaked(Seen, Box<Found>, String),
}

wire!(enum Command {
    0 Create(a, b, c), 1 FindMade(a), 2 Read(a, b), 3 List(a, b), 4 Change(a, b, c), 5 Rotate(a, b, c, d),
    6 FinishRotation(a, b), 7 Seen(a), 8 Ended(a), 9 Leaked(a, b, c),
});

/// On whose word something is done, and which deployment's chain records it.
pub struct Mandate {
    /// Who.
    pub by: By,
    /// The name of this deployment.
    pub deployment: String,
}

wire!(Mandate { by, deployment });

/// What a key's object tells of it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Which key.
    pub id: CredentialId,
    /// The text that came.
    pub text: DeployText,
    /// When it was admitted, if it was.
    pub used_at: Option<Timestamp>,
    /// Where it was found in a browser, if it was.
    pub sighting: Option<Sighting>,
}

wire!(Seen { id, text, used_at, sighting });

/// The end of a deploy key.
pub struct Ended {
    /// Which key.
    pub id: CredentialId,
    /// When.
    pub at: Timestamp,
    /// Why, in the words of whoever did.
    pub why: Option<String>,
    /// The event for the chain; none where that was told before.
    pub report: Option<Report>,
}

wire!(Ended { id, at, why, report });

/// Which deploy keys.
pub struct ListDeployKeys {
    /// Only with this status.
    pub status: Option<String>,
    /// Older than this one.
    pub after: Option<CredentialId>,
    /// At most so many.
    pub limit: usize,
}

wire!(ListDeployKeys { status, after, limit });

/// What changes; `None` stays as it is.
#[derive(Default)]
pub struct Change {
    /// What people call it.
    pub name: Option<String>,
    /// Its end; never after the one that is signed.
    pub expires_at: Option<Timestamp>,
}

wire!(Change { name, expires_at });

/// The answer.
pub enum Reply {
    /// Done; or known already.
    Done,
    /// One of them.
    One(Box<DeployKeyRecord>),
    /// The one that an earlier request with the same `Idempotency-Key` made.
    Known(Box<DeployKeyRecord>),
    /// Some, and where to go on.
    Many(Vec<DeployKeyRecord>, Option<CredentialId>),
    /// What was found was seen to. A previous build said here whether the key's own object is still to end it; this one never does.
    Leaked(bool),
}

wire!(enum Reply { 0 Done, 1 One(a), 2 Known(a), 3 Many(a, b), 4 Leaked(a) });
