//! A workspace's identity secrets: which there are, which live, and who made or ended them. Never the secrets themselves.

use crate::{
    audit::{self, Act, By, Entry},
    codec::time::Timestamp,
    error::Reason,
    object::{
        idempotency::{self, RetryKey},
        machine::Turn,
    },
    value::id::IdentitySecretId,
    wire,
};

/// One row holds them all: there are few.
const SECRETS: &str = "identity-secrets";

/// As many live at once: the one in use, and its successor while servers change over.
const MAX_LIVE: usize = 2;

/// As many are remembered, so that people find what has ended lately and the row stays small.
const MAX_KEPT: usize = 10;

/// What can be asked about identity secrets.
pub enum Command {
    /// One was made.
    Create(Made, Option<RetryKey>),
    /// All that are remembered, newest first.
    List,
    /// Those that live.
    Live,
    /// One ends.
    Revoke(Revoked),
}

wire!(enum Command { 0 Create(a, b), 1 List, 2 Live, 3 Revoke(a) });

/// A new identity secret.
pub struct Made {
    /// Its public id.
    pub kid: IdentitySecretId,
    /// By whom.
    pub by: By,
}

wire!(Made { kid, by });

/// The end of an identity secret.
pub struct Revoked {
    /// Its public id.
    pub kid: IdentitySecretId,
    /// By whom.
    pub by: By,
}

wire!(Revoked { kid, by });

/// All that is known of an identity secret.
#[derive(Clone, Debug)]
pub struct IdentitySecretRecord {
    /// Its public id.
    pub kid: IdentitySecretId,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom: `<kind>:<id>`.
    pub created_by: String,
    /// The one that ended so that this one could begin.
    pub replaces: Option<IdentitySecretId>,
    /// When it ended, and by whom.
    pub revoked: Option<(Timestamp, String)>,
}

wire!(IdentitySecretRecord { kid, created_at, created_by, replaces, revoked });

/// The answer.
pub enum Reply {
    /// It was made now, or ended.
    One(IdentitySecretRecord),
    /// An earlier request with the same `Idempotency-Key` made it.
    Known(IdentitySecretRecord),
    /// Newest first.
    Many(Vec<IdentitySecretRecord>),
    /// Those that live, newest first.
    Live(Vec<IdentitySecretId>),
}

wire!(enum Reply { 0 One(a), 1 Known(a), 2 Many(a), 3 Live(a) });

/// Answers within the workspace's turn; what changes is recorded in `chain`.
pub fn handle(command: Command, chain: &str, turn: &mut Turn) -> Result<Reply, Reason> {
    let mut secrets: Vec<IdentitySecretRecord> = turn.get(SECRETS)?.unwrap_or_default();
    match command {
        Command::List => Ok(Reply::Many(secrets)),
        Command::Live => Ok(Reply::Live(secrets.into_iter().filter(is_live).map(|record| record.kid).collect())),
        Command::Create(made, retry) => {
            if let Some(kid) = retry.as_ref().map(|key| idempotency::find(key, turn)).transpose()?.flatten() {
                let known = secrets.into_iter().find(|record| record.kid.as_str() == kid);
                return known.map(Reply::Known).ok_or_else(|| {
                    Reason::Conflict("This request made an identity secret that has long ended.".to_owned())
                });
            }
            if let Some(key) = &retry {
                idempotency::remember(key, made.kid.as_str().to_owned(), turn)?;
            }
            let mut record = IdentitySecretRecord {
                kid: made.kid,
                created_at: turn.at(),
                created_by: made.by.actor.clone(),
                replaces: None,
                revoked: None,
            };
            // At most two live: the oldest ends in the transaction in which the third begins.
            let mut live = secrets.iter_mut().filter(|secret| is_live(secret));
            if let Some(oldest) = live.nth(MAX_LIVE - 1) {
                oldest.revoked = Some((turn.at(), record.created_by.clone()));
                record.replaces = Some(oldest.kid.clone());
                let entry = Entry::done(Act::IdentitySecretRevoke, made.by.clone(), oldest.kid.as_str(), turn.at());
                audit::record(chain, entry, turn)?;
            }
            audit::record(
                chain,
                Entry::done(Act::IdentitySecretCreate, made.by, record.kid.as_str(), turn.at()),
                turn,
            )?;
            secrets.insert(0, record.clone());
            // What lives is never forgotten: at most two do.
            while secrets.len() > MAX_KEPT {
                let Some(oldest) = secrets.iter().rposition(|secret| !is_live(secret)) else { break };
                secrets.remove(oldest);
            }
            turn.put(SECRETS, &secrets);
            Ok(Reply::One(record))
        }
        Command::Revoke(Revoked { kid, by }) => {
            let record = secrets.iter_mut().find(|record| record.kid == kid).ok_or(Reason::NotFound)?;
            let is_new = record.revoked.is_none();
            record.revoked.get_or_insert((turn.at(), by.actor.clone()));
            let record = record.clone();
            if is_new {
                let entry = Entry::done(Act::IdentitySecretRevoke, by, record.kid.as_str(), turn.at());
                audit::record(chain, entry, turn)?;
                turn.put(SECRETS, &secrets);
            }
            Ok(Reply::One(record))
        }
    }
}

fn is_live(record: &IdentitySecretRecord) -> bool {
    record.revoked.is_none()
}
