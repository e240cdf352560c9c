//! What the laws of credentials stand on: one of each kind, its text taken apart, and a signer who signs anything.
#![allow(dead_code, reason = "no test needs all of it")]

use base64ct::{Base64UrlUnpadded, Encoding as _};
use claviger::{
    codec::time::Timestamp,
    credential::{DeployKey, HistorySecret, Kind, ServerKey, ServiceToken, WidgetKey},
    crypto::keyring::{KeyRing, Purpose},
    value::id::{ConversationId, CredentialId, Environment, Stage, WorkspaceId},
};

pub const BRAND: &str = "clv";
pub const ROOT: &str = "r1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
pub const OTHER_ROOT: &str = "r1:AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
pub const NAMES: [&str; 3] = ["a", "ab", "abc"];

/// A kind, with what the laws have to know of it.
pub trait Lawful: Kind + Clone + std::fmt::Debug + PartialEq {
    const PURPOSE: Purpose;

    /// One of its kind; the name takes its length into the credential.
    fn sample(name: &str) -> Self;
}

pub fn workspace(name: &str) -> WorkspaceId {
    name.to_owned().try_into().unwrap()
}

impl Lawful for WidgetKey {
    const PURPOSE: Purpose = Purpose::WidgetKey;

    fn sample(name: &str) -> Self {
        let id = CredentialId::issue_widget_key(&workspace(name), Timestamp(5), [9; 16]);
        Self { id, environment: Environment::Live, serial: 0x0102_0304_0506_0708 }
    }
}

impl Lawful for HistorySecret {
    const PURPOSE: Purpose = Purpose::HistorySecret;

    fn sample(name: &str) -> Self {
        let conversation = ConversationId::issue(&workspace(name), Timestamp(5), [9; 16]);
        Self { conversation, environment: Environment::Test, generation: 7, expires_at: Timestamp(99) }
    }
}

impl Lawful for DeployKey {
    const PURPOSE: Purpose = Purpose::DeployKey;

    /// Its id has one length: the name goes into the text before the signed part, which is under the tag too.
    fn sample(name: &str) -> Self {
        let id = CredentialId::issue_deploy_key(Timestamp(5), [9; 16]);
        let deployment = name.to_owned();
        Self { id, stage: Stage::Dev, deployment, issued_at: Timestamp(1), expires_at: Timestamp(2) }
    }
}

pub fn ring() -> KeyRing {
    KeyRing::parse(ROOT).unwrap()
}

pub fn text_of<K: Kind>(kind: &K) -> String {
    kind.issue(BRAND, &ring()).unwrap().reveal().to_owned()
}

/// Whether any kind at all believes this text.
pub fn believed(text: &str, brand: &str, ring: &KeyRing) -> bool {
    matches!(WidgetKey::verify(text, brand, ring), Some(Ok(_)))
        || matches!(HistorySecret::verify(text, brand, ring), Some(Ok(_)))
        || matches!(DeployKey::verify(text, brand, ring), Some(Ok(_)))
        || matches!(ServerKey::verify(text, brand, ring), Some(Ok(_)))
        || matches!(ServiceToken::verify(text, brand, ring), Some(Ok(_)))
}

#[track_caller]
pub fn refused(text: &str) {
    assert!(!believed(text, BRAND, &ring()), "believed: {text}");
}

/// The part before the signed one, and the bytes of that.
pub fn open(text: &str) -> (String, Vec<u8>) {
    let at = ["_wk_live_", "_hs_test_", "_dk_"].into_iter().find_map(|tag| Some(text.find(tag)? + tag.len()));
    let (prefix, body) = text.split_at(at.unwrap());
    (prefix.to_owned(), Base64UrlUnpadded::decode_vec(body).unwrap())
}

pub fn close(prefix: &str, bytes: &[u8]) -> String {
    format!("{prefix}{}", Base64UrlUnpadded::encode_string(bytes))
}

/// A text whose tag is genuine for exactly these bytes: what a broken signer might make.
pub fn signed(purpose: Purpose, prefix: &str, message: impl Fn(u8) -> Vec<u8>) -> String {
    let made = ring().sign(purpose, |key_id| [prefix.as_bytes(), &message(key_id)].concat()).unwrap();
    let (tag, message) = made;
    close(prefix, &[&message[prefix.len()..], &tag].concat())
}

/// For every kind, and for every length modulo three that base64 tells apart.
pub fn for_every_kind(law: impl Fn(&str, Purpose)) {
    for name in NAMES {
        law(&text_of(&WidgetKey::sample(name)), WidgetKey::PURPOSE);
        law(&text_of(&HistorySecret::sample(name)), HistorySecret::PURPOSE);
        law(&text_of(&DeployKey::sample(name)), DeployKey::PURPOSE);
    }
}

/// The same, where the length of the first part is known.
pub fn open_at(text: &str, at: usize) -> (String, Vec<u8>) {
    (text[..at].to_owned(), Base64UrlUnpadded::decode_vec(&text[at..]).unwrap())
}
