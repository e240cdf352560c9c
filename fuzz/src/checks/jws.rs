//! Tokens that a customer's server signed: only what was signed under the key is believed, in one spelling, and any change of
//! it is not.

use super::{Dice, text};
use crate::tokens::{sign, sign_input, sign_parts};
use claviger::{
    codec::time::Timestamp,
    crypto::jwt::{Claims, Jws, MAX_LIFE_SECONDS, SKEW_SECONDS},
};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// The key of this world, and another.
pub const KEY: &str = "clv_is_0123456789012345678901234567890123456789012";
const OTHER_KEY: &str = "clv_is_0123456789012345678901234567890123456789013";

/// When it is, in seconds, and whom tokens are for.
pub const NOW: u64 = 1_700_000_000;
const AUDIENCE: &str = "acme";

/// Tokens that were signed.
pub static SIGNED: LazyLock<[String; 3]> = LazyLock::new(|| {
    let claims = |aud: Value| json!({"sub": "user-7", "aud": aud, "iat": NOW, "exp": NOW + 600, "nbf": 0}).to_string();
    [
        sign(KEY, &json!({"sub": "user-7", "aud": AUDIENCE, "iat": NOW, "exp": NOW + 600})),
        sign_parts(KEY.as_bytes(), r#"{"alg":"HS256","kid":"is_1"}"#, claims(json!([AUDIENCE, "é"]))),
        sign_parts(KEY.as_bytes(), r#"{ "typ": "JWT", "alg": "HS256" }"#, claims(json!("other"))),
    ]
});

pub fn check(bytes: &[u8]) {
    let text = text(bytes);
    if believed(&text).is_some() {
        let (signed, _) = text.rsplit_once('.').expect("a tag");
        assert_eq!(sign_input(KEY.as_bytes(), signed), text, "believed, and not what the key signs");
    }
    edited(bytes);
    signed(bytes);
}

fn believed(token: &str) -> Option<Vec<u8>> {
    Some(Jws::parse(token)?.verify(KEY.as_bytes())?.bytes().to_vec())
}

/// A signed text with one piece of it replaced by something else.
fn edited(bytes: &[u8]) {
    let mut dice = Dice(bytes);
    let token = &SIGNED[usize::from(dice.byte()) % SIGNED.len()];
    let start = usize::from(dice.pair()) % (token.len() + 1);
    let end = (start + usize::from(dice.byte() % 8)).min(token.len());
    let changed = format!("{}{}{}", &token[..start], text(dice.0), &token[end..]);
    assert_eq!(believed(&changed).is_some(), SIGNED.contains(&changed), "{changed}");
}

/// Any header and any payload, with a genuine tag: the header is of the one algorithm, and the claims are what others read.
fn signed(bytes: &[u8]) {
    let cut = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (header, payload) = (&bytes[..cut], bytes.get(cut + 1..).unwrap_or_default());
    let token = sign_parts(KEY.as_bytes(), header, payload);
    if let Some(jws) = Jws::parse(&token) {
        let naive: Map<String, Value> = serde_json::from_slice(header).expect("a header is an object");
        assert_eq!(naive["alg"], "HS256");
        assert!(naive.get("typ").is_none_or(|typ| typ == "JWT"));
        assert!(
            !["crit", "b64", "zip", "enc", "jwk", "jku", "x5u", "x5c"].iter().any(|name| naive.contains_key(*name))
        );
        assert_eq!(jws.kid(), naive.get("kid").map(|kid| kid.as_str().expect("a text")));
        assert!(jws.verify(OTHER_KEY.as_bytes()).is_none());
        assert_eq!(jws.verify(KEY.as_bytes()).expect("it is genuine").bytes(), payload);
    }
    // The claims, also where the header was nothing.
    let token = sign_parts(KEY.as_bytes(), r#"{"alg":"HS256"}"#, payload);
    let Some(read) = Jws::parse(&token).and_then(|jws| jws.verify(KEY.as_bytes())) else { return };
    let at = Timestamp(NOW * 1_000);
    let Ok(subject) = Claims::parse(&read).and_then(|claims| claims.subject_for(AUDIENCE, at)) else { return };
    let naive: Map<String, Value> = serde_json::from_slice(payload).expect("claims are an object");
    let seconds = |name: &str| naive[name].as_u64().expect("whole seconds");
    let (issued_at, expires_at) = (seconds("iat"), seconds("exp"));
    assert_eq!(naive["sub"], subject);
    assert!((1..=255).contains(&subject.chars().count()) && !subject.chars().any(char::is_control));
    assert!(
        naive["aud"] == AUDIENCE || naive["aud"].as_array().is_some_and(|all| all.iter().any(|one| one == AUDIENCE))
    );
    assert!(issued_at < expires_at && expires_at - issued_at <= MAX_LIFE_SECONDS && NOW < expires_at);
    assert!(issued_at <= NOW + SKEW_SECONDS);
    assert!(!naive.contains_key("nbf") || seconds("nbf") <= NOW + SKEW_SECONDS);
}
