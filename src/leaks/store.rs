//! A secret lies where anybody can read it. What leaked ends, and nothing else: a successor that somebody rotated to lives on.

use crate::{
    audit::{self, Act, By, Entry},
    codec::time::Timestamp,
    error::Reason,
    machines::{
        deployment::WorkspaceRecord,
        workspace::{self, Reply},
    },
    object::machine::Turn,
    protocol::credential_record::CredentialRecord,
    value::id::CredentialId,
    wire,
};
use ctutils::CtEq as _;

/// A secret of a server key or service token that was found.
pub struct Leak {
    /// Which credential it names.
    pub id: CredentialId,
    /// SHA-256 of the whole text: whose secret it is, is decided by this alone.
    pub digest: [u8; 32],
    /// Where, as far as it may be told, and how fast it ends.
    pub found: Found,
}

wire!(Leak { id, digest, found });

/// How something was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Who found it.
    pub by: By,
    /// Where: a URL in which nothing secret stands; none where there was no such.
    pub url: Option<String>,
    /// Seconds that its owner gets to act; none: it ends at once.
    pub grace_seconds: Option<u64>,
}

wire!(Found { by, url, grace_seconds });

impl Found {
    /// Why something ended, for the record.
    pub fn why(&self) -> String {
        self.url.as_ref().map_or_else(|| "leaked".to_owned(), |url| format!("leaked: {url}"))
    }

    /// The moment at which it ends.
    pub(crate) fn end(&self, at: Timestamp) -> Timestamp {
        at.plus_seconds(self.grace_seconds.unwrap_or_default())
    }

    /// The event of what was done about it.
    pub fn entry(&self, act: Act, target: &str, at: Timestamp) -> Entry {
        Entry { reason: Some(self.why()), ..Entry::done(act, self.by.clone(), target, at) }
    }
}

/// Which of a credential's secrets it is.
enum Secret {
    Current,
    Previous,
    Ended,
}

/// Ends the secret that leaked; answers whether it is one of this credential at all. What is dead already stays as it is.
pub(crate) fn handle(leak: Leak, info: &WorkspaceRecord, turn: &mut Turn) -> Result<Reply, Reason> {
    let Leak { id, digest, found } = leak;
    // One that ended long ago: nothing is left to end.
    if let Some(forgotten) = workspace::ROOM.forgotten(&id, turn)? {
        let is = |known: &[u8; 32]| known.ct_eq(&digest).to_bool();
        return Ok(Reply::Leaked(forgotten.hashes.iter().fold(false, |found, known| is(known) | found)));
    }
    let mut record = workspace::find(&id, turn)?;
    let Some(secret) = which(&record, &digest) else {
        return Ok(Reply::Leaked(false));
    };
    let at = turn.at();
    let act = match secret {
        _ if record.revoked_at.is_some() => None,
        Secret::Ended => None,
        Secret::Current if record.current.until.is_some_and(|until| until <= found.end(at)) => None,
        // Also of what has expired: somebody who has not heard of this could give it another end.
        Secret::Current if found.grace_seconds.is_none() => {
            (record.revoked_at, record.revoked_reason) = (Some(at), Some(found.why()));
            Some(Act::CredentialRevoke)
        }
        Secret::Current => {
            record.current.until = Some(found.end(at));
            Some(Act::CredentialChange)
        }
        Secret::Previous => {
            let end = found.end(at);
            let overlap = record.previous.as_mut().filter(|overlap| overlap.until > end && overlap.over != Some(true));
            overlap.map(|overlap| {
                (overlap.until, overlap.over) = (end, Some(end <= at));
                Act::CredentialRotateFinish
            })
        }
    };
    match act {
        Some(act) => {
            audit::record(&audit::workspace(info.id.as_str()), found.entry(act, id.as_str(), at), turn)?;
            workspace::store(record, turn)?;
        }
        // Told again: an earlier report may have been answered before the credential's object knew.
        None => workspace::tell_shards(&record, turn)?,
    }
    turn.await_delivery();
    Ok(Reply::Leaked(true))
}

/// All are compared, and each in constant time.
fn which(record: &CredentialRecord, digest: &[u8; 32]) -> Option<Secret> {
    let is = |known: &Option<[u8; 32]>| known.as_ref().is_some_and(|known| known.ct_eq(digest).to_bool());
    let key = record.key.as_ref()?;
    let ended = key.ended.iter().fold(false, |found, secret| is(&secret.digest) | found);
    let previous = record.previous.as_ref().is_some_and(|overlap| is(&overlap.secret.digest));
    match (is(&record.current.digest), previous, ended) {
        (true, ..) => Some(Secret::Current),
        (_, true, _) => Some(Secret::Previous),
        (.., true) => Some(Secret::Ended),
        _ => None,
    }
}
