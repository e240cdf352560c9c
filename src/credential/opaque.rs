//! The opaque form: 32 characters of base62 behind a prefix. It says nothing; the object that its locator names knows all.
//!
//! ```text
//! gs_live_9kQ2xVbA7sT0uWq3LmNcEy5RzPd8fGhJ
//! prefix   locator  secret            check
//!          8        18 (107 bits)     6: HMAC-SHA-256 over all that stands before it
//! ```
//!
//! The check keeps strangers off storage: a text that was made up is refused without asking anybody. It is not the proof.
//! The proof is the digest of the whole text, which the object compares with those that it keeps.

use crate::{
    codec::{base62, secret::Secret, work},
    crypto::keyring::{KeyRing, Purpose},
    error::Reason,
    value::id::Locator,
};
use ctutils::CtEq as _;
use sha2::{Digest as _, Sha256};

const LOCATOR: usize = 8;
const SECRET: usize = 18;
const CHECK: usize = 6;

/// SHA-256 of a whole credential: all that is ever kept of it.
pub type Digest = [u8; 32];

/// The digest of a credential's text.
pub fn digest(text: &str) -> Digest {
    work::charge(text.len());
    Sha256::digest(text).into()
}

/// The two halves of an opaque credential: which one, and what only its holder knows.
#[derive(Debug)]
pub struct Opaque {
    /// Names the object; the same for every secret of one identity.
    pub locator: Locator,
    secret: Secret,
}

impl Opaque {
    /// A new secret for the identity at `locator`.
    pub fn draw(locator: Locator, random: [u8; 16]) -> Self {
        let secret = Secret::new(base62::encode(u128::from_le_bytes(random), SECRET));
        Self { locator, secret }
    }

    /// Verifies the check of `prefix ‖ body`, under any root secret: also under one that may no longer sign, since the check
    /// is not the proof.
    pub(crate) fn verify(ring: &KeyRing, prefix: &str, body: &str) -> Result<Self, Reason> {
        if !base62::is_base62(body, LOCATOR + SECRET + CHECK) {
            return Err(Reason::CredentialMalformed);
        }
        let (rest, check) = body.split_at_checked(LOCATOR + SECRET).ok_or(Reason::CredentialMalformed)?;
        let (locator, secret) = rest.split_at_checked(LOCATOR).ok_or(Reason::CredentialMalformed)?;
        let message = [prefix.as_bytes(), rest.as_bytes()];
        if !ring.checks(Purpose::CredentialCheck, &message, |mac| is_same(&reduce(mac), check)) {
            return Err(Reason::CredentialForged);
        }
        let locator = Locator::try_from(locator.to_owned()).map_err(|_| Reason::CredentialMalformed)?;
        Ok(Self { locator, secret: Secret::new(secret.to_owned()) })
    }

    /// The whole text.
    pub(crate) fn issue(&self, ring: &KeyRing, prefix: &str) -> Result<Secret, Reason> {
        // It becomes a part of the text that its holder sees once.
        let secret = self.secret.reveal();
        let message = [prefix.as_bytes(), self.locator.as_str().as_bytes(), secret.as_bytes()];
        let mac = ring.derive(Purpose::CredentialCheck, ring.signing_id()?, &message).ok_or(Reason::Unavailable)?;
        Ok(Secret::new(format!("{prefix}{}{secret}{}", self.locator, reduce(&mac))))
    }
}

/// The six characters that stand for a MAC.
fn reduce(mac: &[u8; 32]) -> String {
    let [a, b, c, d, e, f, g, h, ..] = *mac;
    base62::encode(u128::from(u64::from_be_bytes([a, b, c, d, e, f, g, h])), CHECK)
}

/// Whether both are the same, in a time that does not say where they differ.
fn is_same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.as_bytes().ct_eq(b.as_bytes()).to_bool()
}
