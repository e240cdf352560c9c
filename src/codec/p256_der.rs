//! P-256 keys and signatures as others write them (PEM and DER), read strictly into the plain forms that the platform takes.
//!
//! Of each there is one spelling only: what any other decoder would let pass in a second one is nothing here.

use base64ct::{Base64, Encoding as _};

/// A `SubjectPublicKeyInfo` (RFC 5480 §2) of a P-256 key up to its point, whose length is fixed: so are all bytes before it.
const SPKI_P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// SEC 1 §2.3.3: the point is uncompressed.
const UNCOMPRESSED: u8 = 4;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;

/// The public point (65 bytes, uncompressed) of a P-256 key in PEM (RFC 7468 §13). Whether it lies on the curve, whoever
/// verifies with it says.
pub fn p256_point(pem: &str) -> Option<[u8; 65]> {
    let pem = pem.trim_end_matches(['\r', '\n']);
    let body = pem.strip_prefix("-----BEGIN PUBLIC KEY-----")?.strip_suffix("-----END PUBLIC KEY-----")?;
    let body = body.strip_prefix("\r\n").or(body.strip_prefix('\n'))?;
    let base64: String = body.lines().collect();
    let mut bytes = [0; 91];
    let spki = Base64::decode(&base64, &mut bytes).ok()?;
    let point: [u8; 65] = spki.strip_prefix(&SPKI_P256)?.try_into().ok()?;
    point.starts_with(&[UNCOMPRESSED]).then_some(point)
}

/// `r ‖ s` (64 bytes) of an ECDSA signature over P-256 in base64 of DER (RFC 3279 §2.2.3).
pub fn p256_signature(base64: &str) -> Option<[u8; 64]> {
    // As long as two numbers of 33 bytes can be, and no longer.
    let mut bytes = [0; 72];
    let [SEQUENCE, length, numbers @ ..] = Base64::decode(base64, &mut bytes).ok()? else { return None };
    if usize::from(*length) != numbers.len() {
        return None;
    }
    let (r, rest) = number(numbers)?;
    let (s, rest) = number(rest)?;
    if !rest.is_empty() {
        return None;
    }
    let mut both = [0; 64];
    let (left, right) = both.split_at_mut(32);
    for (place, number) in [(left, r), (right, s)] {
        let start = place.len().checked_sub(number.len())?;
        place.get_mut(start..)?.copy_from_slice(number);
    }
    Some(both)
}

/// A positive number in its shortest form, without the zero that keeps it positive; and what stands behind it.
fn number(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let [INTEGER, length, rest @ ..] = bytes else { return None };
    let (number, rest) = rest.split_at_checked(usize::from(*length))?;
    match number {
        [0, positive @ ..] if positive.first()? >= &0x80 => Some((positive, rest)),
        [first, ..] if (1..0x80).contains(first) => Some((number, rest)),
        // None, zero, padded, or negative.
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{p256_point, p256_signature};
    use base64ct::{Base64, Encoding as _};
    use p256::{
        ecdsa::{Signature, SigningKey, VerifyingKey, signature::Signer as _},
        elliptic_curve::sec1::ToSec1Point as _,
        pkcs8::EncodePublicKey as _,
    };

    fn key(number: u8) -> SigningKey {
        SigningKey::from_slice(&[number; 32]).unwrap()
    }

    fn pem(key: &SigningKey) -> String {
        let text = Base64::encode_string(key.verifying_key().to_public_key_der().unwrap().as_bytes());
        let (first, second) = text.split_at(64);
        format!("-----BEGIN PUBLIC KEY-----\n{first}\n{second}\n-----END PUBLIC KEY-----\n")
    }

    #[test]
    fn what_others_sign_is_read_as_it_was_signed() {
        for number in 1..=60 {
            let key = key(number);
            assert_eq!(
                p256_point(&pem(&key)).unwrap(),
                key.verifying_key().as_affine().to_sec1_point(false).as_bytes()
            );
            for message in 0..20u8 {
                let signature: Signature = key.sign(&[message]);
                let der = Base64::encode_string(signature.to_der().as_bytes());
                assert_eq!(p256_signature(&der).unwrap(), signature.to_bytes().as_slice(), "{number} {message}");
            }
        }
    }

    /// r and s as bytes of an INTEGER, whatever they are.
    fn der(r: &[u8], s: &[u8]) -> String {
        let integer = |bytes: &[u8]| [&[2, u8::try_from(bytes.len()).unwrap()], bytes].concat();
        let numbers = [integer(r), integer(s)].concat();
        Base64::encode_string(&[&[0x30, u8::try_from(numbers.len()).unwrap()], numbers.as_slice()].concat())
    }

    #[test]
    fn a_signature_has_one_spelling() {
        let padded = [&[0], [0xff; 32].as_slice()].concat();
        assert_eq!(p256_signature(&der(&[1], &padded)).unwrap(), [[0; 31].as_slice(), &[1], &[0xff; 32]].concat()[..]);
        assert!(p256_signature(&der(&[0x7f; 32], &[0, 0x80])).is_some());
        let long = [&[0, 0xff], [1; 32].as_slice()].concat();
        for (r, s) in [
            (&[][..], &[1][..]),
            (&[0], &[1]),
            (&[1], &[0]),
            (&[0, 0], &[1]),
            (&[0, 1], &[1]),
            (&[1], &[0, 0x7f]),
            (&[0, 0, 0x80], &[1]),
            (&[0x80], &[1]),
            (&[1], &[0xff]),
            (&[1], &long),
            (&long, &[1]),
            (&[1; 33], &[1]),
        ] {
            assert_eq!(p256_signature(&der(r, s)), None, "{r:?} {s:?}");
        }
        let base64 = |bytes: &[u8]| Base64::encode_string(bytes);
        for text in [
            String::new(),
            "=".to_owned(),
            // Trailing bytes, inside and outside.
            base64(&[0x30, 6, 2, 1, 1, 2, 1, 1, 0]),
            base64(&[0x30, 7, 2, 1, 1, 2, 1, 1, 0]),
            base64(&[0x30, 9, 2, 1, 1, 2, 1, 1, 2, 1, 1]),
            // Lengths in the long form, indefinite, and too long.
            base64(&[0x30, 0x81, 6, 2, 1, 1, 2, 1, 1]),
            base64(&[0x30, 0x80, 2, 1, 1, 2, 1, 1, 0, 0]),
            base64(&[0x30, 7, 2, 0x81, 1, 1, 2, 1, 1]),
            base64(&[0x30, 6, 2, 1, 1, 2, 2, 1]),
            base64(&[0x30, 3, 2, 1, 1]),
            // Other types.
            base64(&[0x31, 6, 2, 1, 1, 2, 1, 1]),
            base64(&[0x30, 6, 3, 1, 1, 2, 1, 1]),
            base64(&[2, 1, 1]),
            // Other spellings of base64: without padding, of URLs, with white space, with spare bits.
            der(&[1], &[1]).trim_end_matches('=').to_owned() + "\n",
            format!(" {}", der(&[1], &[1])),
            der(&[1, 0], &[0x7b, 0xff, 0xff]).replace('/', "_"),
            "MAYCAQECAQF=".to_owned(),
        ] {
            assert_eq!(p256_signature(&text), None, "{text}");
        }
        assert!(p256_signature("MAYCAQECAQE=").is_some());
    }

    #[test]
    fn a_key_is_one_of_this_curve_in_pem() {
        let sound = pem(&key(1));
        assert!(p256_point(sound.trim_end()).is_some() && p256_point(&sound.replace('\n', "\r\n")).is_some());
        let der = key(1).verifying_key().to_public_key_der().unwrap().as_bytes().to_vec();
        let wrapped = |der: &[u8]| {
            format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", Base64::encode_string(der))
        };
        assert!(p256_point(&wrapped(&der)).is_some());
        for at in 0..27 {
            let mut other = der.clone();
            if let Some(byte) = other.get_mut(at) {
                *byte ^= 1;
            }
            assert_eq!(p256_point(&wrapped(&other)), None, "{at}");
        }
        let compressed = VerifyingKey::from(&key(1)).as_affine().to_sec1_point(true).as_bytes().to_vec();
        for other in [&[][..], &compressed, der.get(..90).unwrap(), &[der.as_slice(), &[0]].concat()] {
            assert_eq!(p256_point(&wrapped(other)), None);
        }
        for text in [
            String::new(),
            Base64::encode_string(&der),
            sound.replace("PUBLIC", "EC PUBLIC"),
            sound.replace("BEGIN PUBLIC KEY-----\n", "BEGIN PUBLIC KEY-----"),
            format!("{sound}{sound}"),
            format!("x{sound}"),
            format!("{sound}x"),
            sound.replace("MF", "M F"),
        ] {
            assert_eq!(p256_point(&text), None, "{text}");
        }
    }
}
