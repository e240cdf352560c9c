//! The head of a chain, signed: whoever keeps one can tell later whether anything before it was rewritten.

use super::{HEAD, Head};
use crate::{
    codec::time::Timestamp,
    crypto::keyring::{KeyRing, Purpose},
    error::Reason,
    object::machine::Turn,
    wire,
};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde::{Deserialize, Serialize};

/// Rows of a chain's own checkpoints.
pub(crate) const CHECKPOINTS: &str = "checkpoint/";

/// A head that has moved is signed after so long: an hour.
const INTERVAL_SECONDS: u64 = 3_600;

/// A signature under one head.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Which chain.
    pub chain: String,
    /// The last event that it covers.
    pub seq: u64,
    /// The hash of that event.
    pub hash: String,
    /// When it was signed.
    pub at: String,
    /// The entry of the key ring that signed.
    pub key_id: u8,
    /// HMAC-SHA-256 of [`Checkpoint::text`], base64url.
    pub signature: String,
}

wire!(Checkpoint { chain, seq, hash, at, key_id, signature });

/// What a signature is found to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signature {
    /// It was made here.
    Sound,
    /// Its key is gone or was demoted: nobody can tell any more.
    Unknown,
    /// It was not made under the key that it names.
    Forged,
}

impl Checkpoint {
    /// Signs where a chain stands at `at`.
    pub fn sign(head: &Head, at: Timestamp, ring: &KeyRing) -> Result<Self, Reason> {
        let Head { chain, seq, hash, .. } = head.clone();
        let mut checkpoint = Self { chain, seq, hash, at: at.rfc3339(), key_id: 0, signature: String::new() };
        let (tag, _) = ring.sign(Purpose::AuditCheckpoint, |key_id| {
            checkpoint.key_id = key_id;
            checkpoint.text().into_bytes()
        })?;
        checkpoint.signature = Base64UrlUnpadded::encode_string(&tag);
        Ok(checkpoint)
    }

    /// What is signed: a line for each of these.
    pub fn text(&self) -> String {
        let Self { chain, seq, hash, at, key_id, .. } = self;
        format!("claviger/1/audit_checkpoint\n{chain}\n{seq}\n{hash}\n{at}\n{key_id}")
    }

    /// Whether the signature was made under this ring.
    pub fn signature(&self, ring: &KeyRing) -> Signature {
        if !ring.can_verify(self.key_id) {
            return Signature::Unknown;
        }
        let tag = Base64UrlUnpadded::decode_vec(&self.signature).unwrap_or_default();
        let is_sound = ring.verify(Purpose::AuditCheckpoint, self.key_id, &[self.text().as_bytes()], &tag);
        if is_sound { Signature::Sound } else { Signature::Forged }
    }
}

/// When a head that moves now is to be signed, where that was set before and where not.
pub(crate) fn due(set: Option<Timestamp>, turn: &Turn) -> Timestamp {
    let latest = turn.at().plus_seconds(INTERVAL_SECONDS);
    match set {
        // The clock was ahead when it was set: that moment is not waited for.
        Some(set) if set > latest => turn.at(),
        Some(set) => set,
        None => latest,
    }
}

/// Signs the head if that is due, keeps the checkpoint and answers it.
pub(crate) fn wake(turn: &mut Turn) -> Result<Option<Checkpoint>, Reason> {
    let Some(mut head) = turn.get::<Head>(HEAD)? else {
        return Ok(None);
    };
    let Some(due) = head.due.map(|set| self::due(Some(set), turn)) else {
        return Ok(None);
    };
    if turn.at() < due {
        turn.wake_at(due)?;
        return Ok(None);
    }
    let signed = turn.signer().and_then(|ring| Checkpoint::sign(&head, turn.at(), ring).ok());
    // Without a ring there is nothing to sign with yet: try again later.
    head.due = if signed.is_some() { None } else { Some(self::due(None, turn)) };
    if let Some(again) = head.due {
        turn.wake_at(again)?;
    }
    turn.put(HEAD, &head);
    if let Some(checkpoint) = &signed {
        turn.put(key(checkpoint.seq), checkpoint);
    }
    Ok(signed)
}

/// The row of the checkpoint under the event `seq`.
pub(crate) fn key(seq: u64) -> String {
    format!("{CHECKPOINTS}{seq:015}")
}
