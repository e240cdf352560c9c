//! The key pairs that sign what the upstream is told: which one signs when, and for how long the others stay published.
//!
//! ```text
//! made ── 2 h: published, and signs not yet ──▶ signs for 30 days ──▶ its successor signs; published for 2 h more
//! ```
//!
//! A pair comes here with its private part sealed, made by whichever isolate found that one is due. Two that find it at once
//! make one each: the first is kept, and both are answered with it.

pub use crate::protocol::deploy_keys::Mandate;

use crate::{
    audit::{self, Act, Entry},
    codec::time::Timestamp,
    crypto::jwk,
    error::Reason,
    object::machine::{Range, Turn},
    wire,
};

const KEYS: &str = "assertion-key/";
/// When keys that nobody could open were last replaced.
const REPLACED: &str = "assertion-keys-replaced";

/// How long a key signs until another one is due.
pub const PERIOD_SECONDS: u64 = 30 * 86_400;

/// How long a key is published before it signs, and after it has signed last. Whoever verifies may have fetched the keys an
/// hour ago, an isolate may know them for ten minutes and more; no two clocks agree.
pub const NOTICE_SECONDS: u64 = 2 * 3_600;

/// Keys that nobody could open are replaced at once, but not more often than this: two versions of the variables that serve at
/// the same time, and have no root secret in common, would do it without end.
const REPLACE_SECONDS: u64 = 60;

/// Rows that are looked at: of keys that can be read there are three at most, or four.
const LOOK: usize = 100;

/// A key pair as an isolate makes it.
#[derive(Clone)]
pub struct Pair {
    /// The name of the key: its thumbprint (RFC 7638).
    pub kid: String,
    /// The public point's coordinates, in base64url.
    pub x: String,
    /// The other one.
    pub y: String,
    /// The root secret under which the private part is sealed, by its key id.
    pub root: u8,
    /// The private part: nonce, ciphertext, tag.
    pub sealed: Vec<u8>,
}

wire!(Pair { kid, x, y, root, sealed });

/// A key pair, and since when it signs.
#[derive(Clone)]
pub struct SigningKey {
    /// The pair.
    pub pair: Pair,
    /// When it came here: since then it is published.
    pub made_at: Timestamp,
    /// From when on it signs, until its successor does.
    pub signs_from: Timestamp,
}

wire!(SigningKey { pair, made_at, signs_from });

/// What can be asked about the keys.
pub enum Command {
    /// Which are there? Whoever asks seals under this root secret.
    Fetch(u8),
    /// Here is one, if one is due. Those of the names that follow cannot be opened any more.
    Offer(Box<Pair>, Vec<String>, Mandate),
    /// Here is one that somebody asked for; whether the others end at once, or in their time.
    Rotate(Box<Pair>, bool, Mandate),
}

wire!(enum Command { 0 Fetch(a), 1 Offer(a, b, c), 2 Rotate(a, b, c) });

/// The keys that are published, in the order in which they sign; and whether another one is due.
pub struct Reply {
    /// The keys.
    pub keys: Vec<SigningKey>,
    /// Whether another one is due.
    pub is_due: bool,
}

wire!(Reply { keys, is_due });

/// Answers within the deployment's turn.
pub fn handle(command: Command, turn: &mut Turn) -> Result<Reply, Reason> {
    let (keys, root) = match command {
        Command::Fetch(root) => (published(turn)?, root),
        Command::Offer(pair, closed, mandate) => (offer(&pair, &closed, mandate, turn)?, pair.root),
        Command::Rotate(pair, ends_others, mandate) => (rotate(&pair, ends_others, mandate, turn)?, pair.root),
    };
    let is_due = is_due(&keys, root, turn.at());
    Ok(Reply { keys, is_due })
}

/// The keys that may sign at `at`, best first: the last one that has begun, those before it, and at worst one whose time is
/// still to come, where no other can be opened.
pub fn signers(keys: &[SigningKey], at: Timestamp) -> impl Iterator<Item = &SigningKey> {
    let begun = keys.partition_point(|key| key.signs_from <= at);
    let (begun, later) = keys.split_at_checked(begun).unwrap_or_default();
    begun.iter().rev().chain(later)
}

/// Whether the next key is to be made. One that is sealed under another root secret than new ones are is replaced as if it were
/// old: when that secret is taken away one day, nothing depends on it any more.
fn is_due(keys: &[SigningKey], root: u8, at: Timestamp) -> bool {
    keys.last().is_none_or(|last| {
        let is_old = last.signs_from.plus_seconds(PERIOD_SECONDS) <= at || last.pair.root != root;
        is_old && last.signs_from <= at
    })
}

fn offer(pair: &Pair, closed: &[String], mandate: Mandate, turn: &mut Turn) -> Result<Vec<SigningKey>, Reason> {
    let keys = published(turn)?;
    let at = turn.at();
    let signs_from = if keys.iter().all(|key| closed.contains(&key.pair.kid)) {
        // What cannot be opened may be open to somebody else: whoever holds a root secret that leaked.
        if !keys.is_empty() {
            // One that is damaged holds nobody up.
            let last: Option<Timestamp> = turn.get(REPLACED).ok().flatten();
            if last.is_some_and(|last| (last..last.plus_seconds(REPLACE_SECONDS)).contains(&at)) {
                return Ok(keys);
            }
            turn.put(REPLACED, &at);
        }
        withdraw(turn)?;
        at
    } else if is_due(&keys, pair.root, at) {
        at.plus_seconds(NOTICE_SECONDS)
    } else {
        return Ok(keys);
    };
    note(Act::AssertionKeyCreate, pair, None, mandate, turn)?;
    add(pair, signs_from, turn);
    published(turn)
}

/// Somebody wants another key. Where the others go on for their time, one that waits for its turn already is that other key.
fn rotate(pair: &Pair, ends_others: bool, mandate: Mandate, turn: &mut Turn) -> Result<Vec<SigningKey>, Reason> {
    let (keys, at) = (published(turn)?, turn.at());
    if !ends_others && keys.last().is_some_and(|last| last.signs_from > at) {
        return Ok(keys);
    }
    let (signs_from, what) = match (ends_others, keys.is_empty()) {
        (false, false) => (at.plus_seconds(NOTICE_SECONDS), "the others were kept"),
        _ => (at, "the others were withdrawn"),
    };
    if ends_others {
        withdraw(turn)?;
    }
    note(Act::AssertionKeyRotate, pair, Some(what.to_owned()), mandate, turn)?;
    add(pair, signs_from, turn);
    published(turn)
}

fn add(pair: &Pair, signs_from: Timestamp, turn: &mut Turn) {
    let key = SigningKey { pair: pair.clone(), made_at: turn.at(), signs_from };
    turn.put(format!("{KEYS}{}", pair.kid), &key);
}

/// Every key goes, the damaged ones too.
fn withdraw(turn: &mut Turn) -> Result<(), Reason> {
    for row in turn.list_keys(&rows())? {
        turn.delete(row);
    }
    Ok(())
}

/// The keys, in the order in which they sign; those whose time has passed are deleted. One that is damaged is not among them.
fn published(turn: &mut Turn) -> Result<Vec<SigningKey>, Reason> {
    let mut keys: Vec<SigningKey> = Vec::new();
    for row in turn.list_keys(&rows())? {
        // A storage that does not answer is no damage.
        match turn.get::<SigningKey>(&row) {
            Ok(Some(key)) if key.pair.is_sound() => {
                let is_before = |known: &SigningKey| (known.signs_from, known.made_at) <= (key.signs_from, key.made_at);
                keys.insert(keys.partition_point(is_before), key);
            }
            Ok(_) => {}
            Err(Reason::Unreadable(_)) => {}
            Err(reason) => return Err(reason),
        }
    }
    let ended = keys.iter().skip(1).filter(|next| next.signs_from.plus_seconds(NOTICE_SECONDS) <= turn.at()).count();
    for key in keys.drain(..ended) {
        turn.delete(format!("{KEYS}{}", key.pair.kid));
    }
    Ok(keys)
}

fn rows() -> Range<'static> {
    Range { prefix: KEYS, after: None, reverse: false, limit: LOOK }
}

impl Pair {
    /// Whether the name is that of this point: else nothing that it signs could be verified.
    fn is_sound(&self) -> bool {
        self.kid == jwk::thumbprint(&self.x, &self.y)
    }
}

fn note(act: Act, pair: &Pair, reason: Option<String>, mandate: Mandate, turn: &mut Turn) -> Result<(), Reason> {
    let entry = Entry { reason, ..Entry::done(act, mandate.by, &pair.kid, turn.at()) };
    audit::record(&audit::deployment(&mandate.deployment), entry, turn)
}
