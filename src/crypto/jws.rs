//! Tokens of our own: the compact form of a JWS (RFC 7515 §7.1), once something outside has signed it with ES256.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde::Serialize;

/// The header of a token of ours. No key and no address of one stands in it: whoever verifies knows where ours are.
#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'a str,
    kid: &'a str,
}

/// What is signed: header and claims, as they then stand before the last dot.
pub fn unsigned(typ: &str, kid: &str, claims: &impl Serialize) -> Option<String> {
    let header = serde_json::to_vec(&Header { alg: "ES256", typ, kid }).ok()?;
    let claims = serde_json::to_vec(claims).ok()?;
    Some(format!("{}.{}", Base64UrlUnpadded::encode_string(&header), Base64UrlUnpadded::encode_string(&claims)))
}

/// The whole token: `signature` is `r ‖ s` (RFC 7518 §3.4); none where it is anything else.
pub fn signed(unsigned: &str, signature: &[u8]) -> Option<String> {
    (signature.len() == 64).then(|| format!("{unsigned}.{}", Base64UrlUnpadded::encode_string(signature)))
}
