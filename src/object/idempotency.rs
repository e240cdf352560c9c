//! Requests that come twice: an `Idempotency-Key` stands for what its first request made, in the transaction that made it.

use super::machine::{Range, Turn};
use crate::{codec::time::Timestamp, error::Reason, wire};

/// All rows of this file.
pub const ROWS: &str = "retry";
const RETRIES: &str = "retry/";
const RETRIES_BY_TIME: &str = "retry-at/";

/// Idempotency keys are remembered for a day.
const RETRY_SECONDS: u64 = 86_400;

/// Expired idempotency rows that one request clears away.
const SWEEP_ROWS: usize = 8;

/// What tells a repeated request from a new one.
#[derive(Clone, Copy, Debug)]
pub struct RetryKey {
    /// SHA-256 of the `Idempotency-Key` with all that scopes it.
    pub key: [u8; 32],
    /// SHA-256 of the body.
    pub body: [u8; 32],
}

wire!(RetryKey { key, body });

/// What an `Idempotency-Key` stands for.
struct Retry {
    body: [u8; 32],
    made: String,
    at: Timestamp,
}

wire!(Retry { body, made, at });

/// What an earlier request with this key made; refused where its body was another.
pub fn find(retry: &RetryKey, turn: &Turn) -> Result<Option<String>, Reason> {
    match turn.get::<Retry>(&retry_key(&retry.key))? {
        Some(known) if turn.at() >= known.at.plus_seconds(RETRY_SECONDS) => Ok(None),
        Some(known) if known.body != retry.body => Err(Reason::IdempotencyKeyReused),
        Some(known) => Ok(Some(known.made)),
        None => Ok(None),
    }
}

/// Remembers what this key stands for.
pub fn remember(retry: &RetryKey, made: String, turn: &mut Turn) -> Result<(), Reason> {
    forget(turn)?;
    let key = retry_key(&retry.key);
    turn.put(format!("{RETRIES_BY_TIME}{:015}/{}", turn.at().0, hex(&retry.key)), &key);
    turn.put(key, &Retry { body: retry.body, made, at: turn.at() });
    Ok(())
}

/// Clears away a few keys whose day is over; one that was used again since has a day of its own.
fn forget(turn: &mut Turn) -> Result<(), Reason> {
    let range = Range { prefix: RETRIES_BY_TIME, after: None, reverse: false, limit: SWEEP_ROWS };
    let end = format!("{RETRIES_BY_TIME}{:015}", turn.at().0.saturating_sub(RETRY_SECONDS * 1_000));
    for (row, key) in turn.list_readable::<String>(&range)?.into_iter().take_while(|(row, _)| *row < end) {
        let known = match turn.get::<Retry>(&key) {
            // One that cannot be read stands for nothing, and must not hold up all others.
            Err(Reason::Unreadable(_)) => None,
            known => known?,
        };
        if known.is_none_or(|known| known.at.plus_seconds(RETRY_SECONDS) <= turn.at()) {
            turn.delete(key);
        }
        turn.delete(row);
    }
    Ok(())
}

fn retry_key(key: &[u8; 32]) -> String {
    format!("{RETRIES}{}", hex(key))
}

/// A digest as text.
pub fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
