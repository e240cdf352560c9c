//! `ROOT_SECRETS` and sub-keys: a ring that is made signs and verifies, and no refusal repeats what was in it.

use super::text;
use claviger::{
    crypto::keyring::{KeyRing, Purpose},
    error::Reason,
};

pub fn check(bytes: &[u8]) {
    let text = text(bytes);
    let ring = KeyRing::parse(&text);
    // Which entries there are is nothing that white space or commas decide.
    let respelled = text.replace([',', ' ', '\n'], " ,\t");
    assert_eq!(KeyRing::parse(&respelled).is_ok(), ring.is_ok());
    match ring {
        Ok(ring) => Purpose::ALL.into_iter().for_each(|purpose| sound(&text, &ring, purpose)),
        Err(reason) => {
            silent(&text, &reason);
            assert!(KeyRing::derive_sub_key(&text, Purpose::DeployKey).is_err());
        }
    }
    for purpose in Purpose::ALL {
        match KeyRing::parse_sub_key(&text, purpose) {
            Ok(alone) => {
                let others = Purpose::ALL.into_iter().filter(|other| *other != purpose);
                assert!(others.into_iter().all(|other| tag(&alone, other).is_none()), "a sub-key has one purpose");
                assert!(tag(&alone, purpose).is_some());
            }
            Err(reason) => silent(&text, &reason),
        }
    }
}

/// A ring that was made signs, verifies what it signed and nothing else, and its sub-key does the same for one purpose.
fn sound(text: &str, ring: &KeyRing, purpose: Purpose) {
    let (tag, key_id) = tag(ring, purpose).expect("a ring signs");
    assert!(ring.verify(purpose, key_id, &[b"a", b"bc"], &tag));
    assert!(!ring.verify(purpose, key_id, &[b"a", b"bd"], &tag));
    assert!(!ring.verify(purpose, key_id, &[b"abc"], &tag[..31]));
    for other in Purpose::ALL.into_iter().filter(|other| *other != purpose) {
        assert!(!ring.verify(other, key_id, &[b"abc"], &tag), "{purpose:?} is {other:?}");
    }
    let sub_key = KeyRing::derive_sub_key(text, purpose).expect("a ring that signs has sub-keys");
    let alone = KeyRing::parse_sub_key(&sub_key, purpose).expect("a sub-key that was printed is read");
    assert_eq!(self::tag(&alone, purpose), Some((tag, key_id)));
    assert!(!text.contains(&sub_key[sub_key.len() - 43..]), "a sub-key is no root secret");
    assert!(!format!("{ring:?}").contains(&sub_key[sub_key.len() - 43..]));
}

fn tag(ring: &KeyRing, purpose: Purpose) -> Option<([u8; 32], u8)> {
    let mut id = 0;
    let signed = ring.sign(purpose, |key_id| {
        id = key_id;
        b"abc".to_vec()
    });
    signed.ok().map(|(tag, _)| (tag, id))
}

/// No word of what was sent that is longer than our own words.
fn silent(text: &str, reason: &Reason) {
    let Reason::NotConfigured(why) = reason else { panic!("{reason:?}") };
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
    for word in words.filter(|word| word.len() > "audit_checkpoint".len()) {
        assert!(!why.contains(word), "{why}");
    }
}
