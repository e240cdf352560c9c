//! The public part of a P-256 key pair, as anybody may fetch it (RFC 7517, RFC 7518 §6.2), and its name (RFC 7638).

use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// A public key that verifies ES256, and nothing else. No private member has a place here.
#[derive(Serialize)]
pub struct Jwk<'a> {
    kty: &'static str,
    crv: &'static str,
    r#use: &'static str,
    alg: &'static str,
    kid: &'a str,
    x: &'a str,
    y: &'a str,
}

/// RFC 7517 §5.
#[derive(Serialize)]
pub struct JwkSet<'a> {
    /// The keys.
    pub keys: Vec<Jwk<'a>>,
}

impl<'a> Jwk<'a> {
    /// The key of this name, by the coordinates of its point.
    pub fn es256(kid: &'a str, x: &'a str, y: &'a str) -> Self {
        Self { kty: "EC", crv: "P-256", r#use: "sig", alg: "ES256", kid, x, y }
    }
}

/// The coordinates of an uncompressed point (SEC 1 §2.3.3), as a JWK spells them; none where these bytes are no such point.
pub fn coordinates(point: &[u8]) -> Option<(String, String)> {
    let (form, both) = point.split_first()?;
    let (x, y) = both.split_at_checked(32).filter(|(_, y)| y.len() == 32)?;
    (*form == 4).then(|| (Base64UrlUnpadded::encode_string(x), Base64UrlUnpadded::encode_string(y)))
}

/// The name of a key: the digest of its members (RFC 7638 §3), so that one name is always one key.
pub fn thumbprint(x: &str, y: &str) -> String {
    let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    Base64UrlUnpadded::encode_string(&Sha256::digest(members))
}

#[cfg(test)]
mod tests {
    use super::{coordinates, thumbprint};

    #[test]
    #[allow(clippy::indexing_slicing, reason = "tests")]
    fn a_point_is_65_bytes_without_compression() {
        let point = [&[4][..], &[1; 32], &[2; 32]].concat();
        let x = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";
        let y = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI";
        assert_eq!(coordinates(&point), Some((x.to_owned(), y.to_owned())));
        for bytes in
            [&point[..0], &point[..1], &point[..64], &[&point[..], &[0]].concat(), &[&[2][..], &point[1..]].concat()]
        {
            assert_eq!(coordinates(bytes), None, "{}", bytes.len());
        }
    }

    #[test]
    fn a_key_is_named_by_the_digest_of_its_members() {
        // The key of RFC 7517, appendix A.1; its thumbprint by another implementation.
        let (x, y) = ("MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM");
        assert_eq!(thumbprint(x, y), "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s");
    }
}
