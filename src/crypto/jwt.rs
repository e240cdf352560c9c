//! JSON Web Tokens that somebody else's server signed with a secret of ours: compact JWS (RFC 7515), HS256 and nothing else.
//!
//! ```text
//! eyJhbGciOiJIUzI1NiJ9 . eyJzdWIiOiI3In0 . <43 characters>
//! header                 payload           HMAC-SHA-256 over all before the last dot
//! ```
//!
//! One spelling only: base64url without padding, without spare bits. The algorithm is pinned here and never chosen by the
//! token; what a header says about keys beyond `kid` is refused, so nothing is ever fetched.

pub use super::claims::{Claims, MAX_LIFE_SECONDS, SKEW_SECONDS, Unfit};

use crate::json::{Member, Members};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The longest token that is looked at.
pub const MAX_BYTES: usize = 8 * 1_024;

const TAG_BYTES: usize = 32;

/// Members of a header that change what is verified, with what, or of which bytes.
const REFUSED: [&str; 8] = ["crit", "b64", "zip", "enc", "jwk", "jku", "x5u", "x5c"];

/// A token of the right shape, believed by nobody yet.
pub struct Jws<'a> {
    kid: Option<String>,
    signed: &'a str,
    payload: &'a str,
    tag: [u8; TAG_BYTES],
}

/// The payload of a token whose tag was genuine. Only [`Jws::verify`] makes one.
#[derive(Debug)]
pub struct Payload(Vec<u8>);

impl<'a> Jws<'a> {
    /// Reads the shape; `None` for anything else than one HS256 token spelled the one way.
    pub fn parse(text: &'a str) -> Option<Self> {
        if text.len() > MAX_BYTES {
            return None;
        }
        let (signed, tag) = text.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.').filter(|(_, payload)| !payload.contains('.'))?;
        let mut bytes = [0; TAG_BYTES];
        let tag = Base64UrlUnpadded::decode(tag, &mut bytes).ok()?.try_into().ok()?;
        let header = String::from_utf8(Base64UrlUnpadded::decode_vec(header).ok()?).ok()?;
        let mut header = Members::parse(&header).ok()?;
        let is = |member: Option<Member>, wanted: &str| matches!(member, Some(Member::Text(text)) if text == wanted);
        if !is(header.take("alg"), "HS256") || header.names().any(|name| REFUSED.contains(&name)) {
            return None;
        }
        if header.get("typ").is_some() && !is(header.take("typ"), "JWT") {
            return None;
        }
        let kid = match header.take("kid") {
            None => None,
            Some(Member::Text(kid)) => Some(kid),
            Some(_) => return None,
        };
        Some(Self { kid, signed, payload, tag })
    }

    /// The name of the secret, if the token says one.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The payload, if this key made the tag; compared in constant time.
    pub fn verify(&self, key: &[u8]) -> Option<Payload> {
        let mac = Hmac::<Sha256>::new_from_slice(key).ok()?.chain_update(self.signed);
        mac.verify_slice(&self.tag).ok()?;
        Base64UrlUnpadded::decode_vec(self.payload).ok().map(Payload)
    }
}

impl Payload {
    /// What was signed.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}
