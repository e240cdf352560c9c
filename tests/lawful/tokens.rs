//! Signs tokens as a customer's server would, and as a broken one might.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// base64url without padding.
pub fn part(bytes: impl AsRef<[u8]>) -> String {
    Base64UrlUnpadded::encode_string(bytes.as_ref())
}

/// `header.payload`, signed, whatever both are.
pub fn sign_parts(key: &[u8], header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    sign_input(key, &format!("{}.{}", part(header), part(payload)))
}

/// Any text with its tag behind it.
pub fn sign_input(key: &[u8], input: &str) -> String {
    let tag = Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(input).finalize().into_bytes();
    format!("{input}.{}", part(tag))
}

/// The header of most libraries.
pub const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// A token of these claims.
pub fn sign(key: &str, claims: &serde_json::Value) -> String {
    sign_parts(key.as_bytes(), HEADER, claims.to_string())
}
