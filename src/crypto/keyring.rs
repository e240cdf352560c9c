//! The key ring: root secrets, and one sub-key per purpose derived from each.
//!
//! `ROOT_SECRETS` holds entries `id:base64url(32 bytes)`, newest first, separated by commas or white space; an entry may end
//! in `:check-only`. New credentials use the first entry that is not `check-only`. Keyed checks verify under any entry;
//! tags never under a `check-only` one: a leaked root is demoted, and what could be forged with it dies.

pub use super::purpose::Purpose;

use crate::error::Reason;
use base64ct::{Base64UrlUnpadded, Encoding as _};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use std::fmt;
use zeroize::Zeroizing;

/// The root secrets, and what is derived from them.
pub struct KeyRing {
    entries: Vec<Entry>,
}

struct Entry {
    /// One byte that stands for the entry inside signed credentials.
    key_id: u8,
    check_only: bool,
    keys: Vec<(Purpose, Hmac<Sha256>)>,
}

impl KeyRing {
    /// Reads `ROOT_SECRETS`. The reason never repeats any part of a secret.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        let mut entries = Vec::new();
        for (position, entry) in entries_of(text) {
            let mut parts = entry.split(':');
            let (Some(id), Some(root), option, None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
                return Err(malformed(position, "is not `id:secret`"));
            };
            let check_only = match option {
                None => false,
                Some("check-only") => true,
                Some(_) => return Err(malformed(position, "ends in something other than `:check-only`")),
            };
            let root =
                key_bytes(root).ok_or_else(|| malformed(position, "is not 32 bytes of base64url without padding"))?;
            let derived = Hkdf::<Sha256>::new(None, &*root);
            let keys = Purpose::ALL
                .into_iter()
                .map(|purpose| Ok((purpose, keyed(&*expand(&derived, purpose)?)?)))
                .collect::<Result<_, Reason>>()?;
            entries.push(Entry { key_id: key_id(id, position)?, check_only, keys });
        }
        Self::of(entries)
    }

    /// Reads one sub-key `id:<purpose>:base64url(32 bytes)`, which can do what its purpose can do and nothing else: so no
    /// pipeline has to hold a root secret.
    pub fn parse_sub_key(text: &str, purpose: Purpose) -> Result<Self, Reason> {
        let malformed = || Reason::NotConfigured(format!("The sub-key is not `id:{}:key`.", purpose.name()));
        let (id, rest) = text.trim().split_once(':').ok_or_else(malformed)?;
        let key = rest.strip_prefix(purpose.name()).and_then(|rest| rest.strip_prefix(':'));
        let key = key.and_then(key_bytes).ok_or_else(malformed)?;
        let keys = vec![(purpose, keyed(&*key)?)];
        Self::of(vec![Entry { key_id: key_id(id, 1)?, check_only: false, keys }])
    }

    /// The sub-key of the first entry that signs, as [`Self::parse_sub_key`] reads it.
    pub fn derive_sub_key(roots: &str, purpose: Purpose) -> Result<Zeroizing<String>, Reason> {
        Self::parse(roots)?;
        for (position, entry) in entries_of(roots) {
            if let Some((id, root)) = entry.split_once(':').filter(|(_, root)| !root.contains(':')) {
                let root = key_bytes(root).ok_or_else(|| malformed(position, "is not a secret"))?;
                let key = expand(&Hkdf::<Sha256>::new(None, &*root), purpose)?;
                return Ok(Zeroizing::new(format!(
                    "{id}:{}:{}",
                    purpose.name(),
                    Base64UrlUnpadded::encode_string(&*key)
                )));
            }
        }
        Err(malformed(1, "is check-only"))
    }

    /// The tag of `message`, and the key id of the entry that made it.
    pub fn sign(&self, purpose: Purpose, message: impl FnOnce(u8) -> Vec<u8>) -> Result<([u8; 32], Vec<u8>), Reason> {
        let entry = self.first()?;
        let key = entry.key(purpose).ok_or_else(nothing_signs)?;
        let message = message(entry.key_id);
        Ok((key.clone().chain_update(&message).finalize().into_bytes().into(), message))
    }

    /// The key id of the entry that signs.
    pub fn signing_id(&self) -> Result<u8, Reason> {
        self.first().map(|entry| entry.key_id)
    }

    /// Whether anything is derived under the entry `key_id`: it is there, and not `check-only`.
    pub fn derives(&self, key_id: u8) -> bool {
        self.signing(key_id).is_some()
    }

    /// The secret that `message` (given in parts) stands for under the entry `key_id`; none where that does not sign.
    pub fn derive(&self, purpose: Purpose, key_id: u8, message: &[&[u8]]) -> Option<Zeroizing<[u8; 32]>> {
        let key = self.signing(key_id)?.key(purpose)?;
        let mac = message.iter().fold(key.clone(), |mac, part| mac.chain_update(part));
        Some(Zeroizing::new(mac.finalize().into_bytes().into()))
    }

    /// Whether `tag` was made for `message` (given in parts) under the entry `key_id`, in constant time.
    pub fn verify(&self, purpose: Purpose, key_id: u8, message: &[&[u8]], tag: &[u8]) -> bool {
        let Some(key) = self.signing(key_id).and_then(|entry| entry.key(purpose)) else {
            return false;
        };
        let mac = message.iter().fold(key.clone(), |mac, part| mac.chain_update(part));
        mac.verify_slice(tag).is_ok()
    }

    /// Whether `is_it` knows the MAC of `message` (given in parts) under any entry: also under one that may no longer sign.
    pub fn checks(&self, purpose: Purpose, message: &[&[u8]], is_it: impl Fn(&[u8; 32]) -> bool) -> bool {
        let keys = self.entries.iter().filter_map(|entry| entry.key(purpose));
        keys.into_iter().any(|key| {
            let mac = message.iter().fold(key.clone(), |mac, part| mac.chain_update(part));
            is_it(&mac.finalize().into_bytes().into())
        })
    }

    /// Whether a tag that names this entry can be verified at all: the entry is here, and no leaked one.
    pub fn can_verify(&self, key_id: u8) -> bool {
        self.signing(key_id).is_some()
    }

    /// The entry that signs what is new.
    fn first(&self) -> Result<&Entry, Reason> {
        self.entries.iter().find(|entry| !entry.check_only).ok_or_else(nothing_signs)
    }

    /// The entry of this key id, unless it is `check-only`.
    fn signing(&self, key_id: u8) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key_id == key_id && !entry.check_only)
    }

    fn of(entries: Vec<Entry>) -> Result<Self, Reason> {
        if !entries.iter().any(|entry| !entry.check_only) {
            return Err(Reason::NotConfigured(
                "ROOT_SECRETS holds no entry that may sign: `claviger root-secrets make` makes one.".to_owned(),
            ));
        }
        for (position, entry) in entries.iter().enumerate() {
            if entries.iter().take(position).any(|other| other.key_id == entry.key_id) {
                return Err(malformed(position + 1, "has an id too much like another's: choose another id"));
            }
        }
        Ok(Self { entries })
    }
}

impl Entry {
    fn key(&self, purpose: Purpose) -> Option<&Hmac<Sha256>> {
        self.keys.iter().find(|(of, _)| *of == purpose).map(|(_, key)| key)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({} entries)", self.entries.len())
    }
}

fn entries_of(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split(|c: char| c == ',' || c.is_whitespace())
        .filter(|entry| !entry.is_empty())
        .enumerate()
        .map(|(index, entry)| (index + 1, entry))
}

/// The byte that stands for an id: the first of its SHA-256.
fn key_id(id: &str, position: usize) -> Result<u8, Reason> {
    let sound = (1..=32).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    if !sound {
        return Err(malformed(position, "has an id that is not 1 to 32 of a-z, A-Z, 0-9, `_`, `-` and `.`"));
    }
    let [first, ..]: [u8; 32] = Sha256::digest(id).into();
    Ok(first)
}

fn key_bytes(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let mut bytes = Zeroizing::new([0; 32]);
    let length = Base64UrlUnpadded::decode(text, &mut *bytes).ok()?.len();
    (length == 32).then_some(bytes)
}

fn expand(derived: &Hkdf<Sha256>, purpose: Purpose) -> Result<Zeroizing<[u8; 32]>, Reason> {
    let mut key = Zeroizing::new([0; 32]);
    derived
        .expand(purpose.label().as_bytes(), &mut *key)
        .map_err(|_| Reason::NotConfigured("HKDF refused the length of a sub-key.".to_owned()))?;
    Ok(key)
}

fn keyed(key: &[u8]) -> Result<Hmac<Sha256>, Reason> {
    Hmac::new_from_slice(key).map_err(|_| Reason::NotConfigured("HMAC refused the length of a sub-key.".to_owned()))
}

fn nothing_signs() -> Reason {
    Reason::NotConfigured("There is no root secret to sign with.".to_owned())
}

fn malformed(position: usize, what: &str) -> Reason {
    Reason::NotConfigured(format!("ROOT_SECRETS is malformed: entry {position} {what}."))
}

#[cfg(test)]
#[allow(clippy::panic, clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{KeyRing, Purpose};
    use crate::error::Reason;

    const OLD: &str = "old:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    const NEW: &str = "new:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";

    fn tag(ring: &KeyRing, purpose: Purpose) -> ([u8; 32], u8) {
        let mut id = 0;
        let (tag, _) = ring
            .sign(purpose, |key_id| {
                id = key_id;
                b"message".to_vec()
            })
            .unwrap();
        (tag, id)
    }

    #[test]
    fn a_demoted_root_signs_nothing_and_verifies_no_tag() {
        let (tag, id) = tag(&KeyRing::parse(OLD).unwrap(), Purpose::WidgetKey);
        let both = KeyRing::parse(&format!("{NEW},{OLD}")).unwrap();
        assert!(both.verify(Purpose::WidgetKey, id, &[b"mess", b"age"], &tag));
        let demoted = KeyRing::parse(&format!("{NEW}\n{OLD}:check-only")).unwrap();
        assert!(!demoted.verify(Purpose::WidgetKey, id, &[b"message"], &tag));
    }

    #[test]
    fn a_tag_verifies_for_no_other_purpose_and_no_other_length() {
        let ring = KeyRing::parse(OLD).unwrap();
        let (tag, id) = tag(&ring, Purpose::WidgetKey);
        assert!(!ring.verify(Purpose::HistorySecret, id, &[b"message"], &tag));
        assert!(!ring.verify(Purpose::WidgetKey, id.wrapping_add(1), &[b"message"], &tag));
        for short in [&tag[..0], &tag[..1], &tag[..31]] {
            assert!(!ring.verify(Purpose::WidgetKey, id, &[b"message"], short));
        }
    }

    #[test]
    fn a_sub_key_alone_makes_the_same_tags() {
        let ring = KeyRing::parse(OLD).unwrap();
        let sub_key = KeyRing::derive_sub_key(OLD, Purpose::DeployKey).unwrap();
        assert!(sub_key.starts_with("old:deploy_key:"), "it says what it is for");
        assert!(KeyRing::parse_sub_key(&sub_key, Purpose::HistorySecret).is_err(), "and is for nothing else");
        let alone = KeyRing::parse_sub_key(&sub_key, Purpose::DeployKey).unwrap();
        assert_eq!(tag(&ring, Purpose::DeployKey), tag(&alone, Purpose::DeployKey));
        assert!(KeyRing::parse_sub_key(OLD, Purpose::DeployKey).is_err(), "a root secret is no sub-key");
        assert!(alone.sign(Purpose::WidgetKey, |_| Vec::new()).is_err());
    }

    #[test]
    fn k27_malformed_root_secrets_are_refused_and_never_repeated() {
        let padded = format!("{OLD}=");
        let doubled = format!("{OLD},{OLD}");
        let lone = format!("{OLD}:check-only");
        for text in ["", " , ", "AAAA", "a:AAAA", "a:!", &padded, &doubled, &lone, "a:b:c:d", "ä:AAAA"] {
            let Err(Reason::NotConfigured(why)) = KeyRing::parse(text) else {
                panic!("{text} is refused");
            };
            assert!(!why.contains("AAAA"), "{why}");
        }
    }

    #[test]
    fn whoever_must_mend_root_secrets_is_told_which_entry() {
        let long = format!("{}:{}", "a".repeat(33), &OLD[4..]);
        let umlaut = format!("ä:{}", &OLD[4..]);
        for (text, position) in [
            (long.clone(), 1),
            (umlaut.clone(), 1),
            (format!("{NEW}, {long}"), 2),
            (format!("{NEW} {umlaut}"), 2),
            (format!("{NEW},{OLD}:check"), 2),
            (format!("{NEW},{OLD},a:AAAA"), 3),
            (format!("{NEW},{OLD},{NEW}"), 3),
        ] {
            let Err(Reason::NotConfigured(why)) = KeyRing::parse(&text) else {
                panic!("{text} is refused");
            };
            assert!(why.contains(&format!("entry {position} ")), "{why}");
        }
        let longest = format!("{}:{}", "a".repeat(32), &OLD[4..]);
        assert_eq!(format!("{:?}", KeyRing::parse(&format!("{NEW},{longest}")).unwrap()), "KeyRing(2 entries)");
    }
}
