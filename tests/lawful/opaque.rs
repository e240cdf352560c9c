//! Opaque credentials for laws: made of dice, written under any key ring, and whatever comes near them.
#![allow(dead_code, reason = "no test needs all of it")]

use claviger::{
    credential::{CredentialKind, Kind as _, Opaque, ServerKey, ServiceToken},
    crypto::keyring::KeyRing,
    value::id::{Environment, Locator},
};

pub const DIGITS: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Both kinds in both environments, and what stands before their 32 characters.
pub const SHAPES: [(CredentialKind, Environment, &str); 4] = [
    (CredentialKind::ServerKey, Environment::Live, "clv_live_"),
    (CredentialKind::ServerKey, Environment::Test, "clv_test_"),
    (CredentialKind::ServiceToken, Environment::Live, "clv_st_live_"),
    (CredentialKind::ServiceToken, Environment::Test, "clv_st_test_"),
];

/// The text of a credential with this place and this secret.
pub fn write(
    (kind, environment, _): (CredentialKind, Environment, &str),
    (place, secret): ([u8; 16], [u8; 16]),
    brand: &str,
    ring: &KeyRing,
) -> String {
    let opaque = Opaque::draw(Locator::draw(place), secret);
    let made = match kind {
        CredentialKind::ServiceToken => ServiceToken { environment, opaque }.issue(brand, ring),
        _ => ServerKey { environment, opaque }.issue(brand, ring),
    };
    made.unwrap().reveal().to_owned()
}

/// What a text is believed to be, as far as anybody can tell without storage.
pub fn read(text: &str, brand: &str, ring: &KeyRing) -> Option<(CredentialKind, Environment, String)> {
    let key = ServerKey::verify(text, brand, ring).and_then(Result::ok);
    let key = key.map(|key| (CredentialKind::ServerKey, key.environment, key.opaque.locator.to_string()));
    let token = ServiceToken::verify(text, brand, ring).and_then(Result::ok);
    key.or(token.map(|token| (CredentialKind::ServiceToken, token.environment, token.opaque.locator.to_string())))
}
