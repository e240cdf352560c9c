//! What GitHub sends and publishes: signatures and keys have one spelling each, and a report says what any JSON reader reads.

use super::text;
use base64ct::{Base64, Encoding as _};
use claviger::{
    codec::p256_der::{p256_point, p256_signature},
    leaks::github::{findings, keys},
};
use serde_json::Value;

pub fn check(bytes: &[u8]) {
    let text = text(bytes);
    signature(&text);
    // The same bytes as DER, in the one spelling of base64.
    signature(&Base64::encode_string(bytes));
    point(&text);
    point(&format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", Base64::encode_string(bytes)));
    report(bytes);
    for (name, point) in keys(bytes) {
        let naive: Value = serde_json::from_slice(bytes).expect("what has keys is JSON");
        let list = naive["public_keys"].as_array().expect("a list");
        assert!(list.iter().any(
            |key| key["key_identifier"] == name && p256_point(key["key"].as_str().expect("a text")) == Some(point)
        ));
    }
}

/// What is read is what its encoding is written as.
fn signature(text: &str) {
    let Some(both) = p256_signature(text) else { return };
    let integer = |number: &[u8]| {
        let start = number.iter().position(|byte| *byte != 0).expect("no number is zero");
        let (sign, digits) = (vec![0; usize::from(number[start] >> 7)], &number[start..]);
        let length = u8::try_from(sign.len() + digits.len()).expect("a byte");
        [&[2, length], sign.as_slice(), digits].concat()
    };
    let numbers = [integer(&both[..32]), integer(&both[32..])].concat();
    let der = [&[0x30, u8::try_from(numbers.len()).expect("a byte")], numbers.as_slice()].concat();
    assert_eq!(Base64::encode_string(&der), text);
}

fn point(pem: &str) {
    let Some(point) = p256_point(pem) else { return };
    assert_eq!(point[0], 4);
    let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = Base64::decode_vec(&base64).expect("strict base64");
    assert!(der.len() == 91 && der.ends_with(&point), "{pem}");
}

fn report(bytes: &[u8]) {
    let Ok(found) = findings(bytes) else { return };
    let naive: Value = serde_json::from_slice(bytes).expect("a report is JSON");
    let list = naive.as_array().expect("a list");
    assert!(found.len() == list.len() && found.len() <= 500);
    for (found, item) in found.iter().zip(list) {
        assert_eq!(item["token"], found.token.reveal());
        assert_eq!(item["type"], found.token_type);
        assert_eq!(item.get("url").and_then(Value::as_str).unwrap_or_default(), found.url);
        assert!((1..=100).contains(&found.token_type.len()) && found.token_type.is_ascii());
    }
}
