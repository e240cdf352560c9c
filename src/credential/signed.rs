//! The signed form: base64url(version ‖ key id ‖ fields, length-prefixed ‖ tag), verified without any storage.
//!
//! ```text
//! clv_wk_live_AWs…        prefix ‖ base64url of
//!             01          version
//!             6b          key id: which root secret's sub-key made the tag
//!             05 68656c6c6f …   each field behind its length in one byte
//!             32 bytes    HMAC-SHA-256 over prefix ‖ all before the tag
//! ```
//!
//! The prefix (brand, kind, environment, stage) is under the tag, so a tag made for one verifies as no other; lengths are
//! under it too, so no two lists of fields read alike. There is one spelling only: decoding is strict.

use crate::{
    codec::secret::Secret,
    crypto::keyring::{KeyRing, Purpose},
    error::Reason,
};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const TAG_BYTES: usize = 32;

/// A longer text is nobody's credential.
const MAX_TEXT: usize = 1_024;

/// The fields of a text whose tag was verified, oldest position first.
pub struct Fields {
    bytes: Zeroizing<Vec<u8>>,
    at: usize,
    end: usize,
}

/// Makes the text `prefix ‖ base64url(…)`.
pub fn issue(ring: &KeyRing, purpose: Purpose, prefix: &str, fields: &[&[u8]]) -> Result<Secret, Reason> {
    let mut lengths = Vec::with_capacity(fields.len());
    for field in fields {
        let length =
            u8::try_from(field.len()).map_err(|_| Reason::invalid("", "A name is too long for a credential."))?;
        lengths.push(length);
    }
    let (tag, message) = ring.sign(purpose, |key_id| {
        let mut message = prefix.as_bytes().to_vec();
        message.extend([VERSION, key_id]);
        for (field, length) in fields.iter().zip(&lengths) {
            message.push(*length);
            message.extend_from_slice(field);
        }
        message
    })?;
    let mut bytes = Zeroizing::new(message.get(prefix.len()..).unwrap_or_default().to_vec());
    bytes.extend_from_slice(&tag);
    Ok(Secret::new(format!("{prefix}{}", Base64UrlUnpadded::encode_string(&bytes))))
}

/// Verifies `prefix ‖ body` and opens its fields.
pub fn verify(ring: &KeyRing, purpose: Purpose, prefix: &str, body: &str) -> Result<Fields, Reason> {
    if body.len() > MAX_TEXT {
        return Err(Reason::CredentialMalformed);
    }
    let bytes = Base64UrlUnpadded::decode_vec(body).map_err(|_| Reason::CredentialMalformed)?;
    let bytes = Zeroizing::new(bytes);
    let end = bytes.len().checked_sub(TAG_BYTES).ok_or(Reason::CredentialMalformed)?;
    let (message, tag) = bytes.split_at(end);
    let [VERSION, key_id, ..] = *message else {
        return Err(Reason::CredentialMalformed);
    };
    if !ring.verify(purpose, key_id, &[prefix.as_bytes(), message], tag) {
        return Err(Reason::CredentialForged);
    }
    Ok(Fields { bytes, at: 2, end })
}

impl Fields {
    /// The next field.
    pub fn bytes(&mut self) -> Result<&[u8], Reason> {
        let start = self.at + 1;
        let length = self.bytes.get(self.at).filter(|_| self.at < self.end);
        let end = start + usize::from(*length.ok_or(Reason::CredentialMalformed)?);
        if end > self.end {
            return Err(Reason::CredentialMalformed);
        }
        self.at = end;
        self.bytes.get(start..end).ok_or(Reason::CredentialMalformed)
    }

    /// The next field, as text.
    pub fn text(&mut self) -> Result<String, Reason> {
        let bytes = self.bytes()?.to_vec();
        String::from_utf8(bytes).map_err(|_| Reason::CredentialMalformed)
    }

    /// The next field, as a number of eight bytes, big-endian.
    pub fn number(&mut self) -> Result<u64, Reason> {
        let bytes = self.bytes()?.try_into().map_err(|_| Reason::CredentialMalformed)?;
        Ok(u64::from_be_bytes(bytes))
    }

    /// Nothing may be left.
    pub fn finish(self) -> Result<(), Reason> {
        if self.at == self.end { Ok(()) } else { Err(Reason::CredentialMalformed) }
    }
}
