//! The life of a widget key: shown once, changed, rotated, expired, revoked; and what the next call of a page says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod toy;

use serde_json::{Value, json};
use toy::{Answer, ORIGIN, Toy};

fn open(toy: &Toy, key: &str) -> Answer {
    toy.send("POST", &format!("/w/{key}/conversations"), &[("origin", ORIGIN)], "")
}

fn get(toy: &Toy, path: &str) -> Answer {
    toy.admin("GET", path, &Value::Null)
}

#[test]
fn b33_a_key_is_shown_whole_once_and_never_again() {
    let toy = Toy::new("default");
    let (id, key) = toy.shop();
    let read = get(&toy, &format!("/v1/credentials/{id}")).ok(200);
    assert_eq!(read.json["hint"], format!("clv_wk_live_…{}", &key[key.len() - 4..]));
    assert_eq!((read.json["status"].as_str(), read.json["kind"].as_str()), (Some("active"), Some("widget_key")));
    let listed = get(&toy, "/v1/credentials?workspace=acme").ok(200);
    assert_eq!(listed.json["items"], json!([read.json]));
    let changed = toy.admin("PATCH", &format!("/v1/credentials/{id}"), &json!({"name": "new"})).ok(200);
    let revoked = toy.admin("POST", &format!("/v1/credentials/{id}/revoke"), &json!({"reason": "leaked"})).ok(200);
    for answer in [read, listed, changed, revoked] {
        assert!(!answer.text.contains(&key[20..]) && answer.secrets().is_empty(), "{}", answer.text);
    }
    assert_eq!(toy.issued.borrow().len(), 1);
    for object in toy.objects.borrow().values() {
        for (row, value) in &object.rows {
            let stored = String::from_utf8_lossy(value);
            assert!(!row.contains(&key[20..]) && !stored.contains(&key[20..]), "{row}");
        }
    }
}

#[test]
fn b28_a_rotated_key_overlaps_as_long_as_was_said() {
    let toy = Toy::new("default");
    let (id, old) = toy.shop();
    let rotated = toy.admin("POST", &format!("/v1/credentials/{id}/rotate"), &json!({"overlap_seconds": 100})).ok(201);
    let new = rotated.text_at("secret");
    assert_eq!((rotated.text_at("id"), rotated.text_at("old_expires_at")), (id, "2026-01-01T00:01:40.000Z".to_owned()));
    assert_eq!(rotated.text_at("replaces"), format!("clv_wk_live_…{}", &old[old.len() - 4..]));
    open(&toy, &old).ok(201);
    open(&toy, &new).ok(201);
    toy.advance(99);
    open(&toy, &old).ok(201);
    toy.advance(1);
    let dead = open(&toy, &old);
    dead.refused(401, "revoked_credential");
    assert_eq!(dead.header("access-control-allow-origin"), Some(ORIGIN));
    open(&toy, &new).ok(201);
}

#[test]
fn b29_at_most_two_secrets_of_a_key_live_and_without_overlap_one() {
    let toy = Toy::new("default");
    let (id, first) = toy.shop();
    let rotate = |body: Value| toy.admin("POST", &format!("/v1/credentials/{id}/rotate"), &body);
    let second = rotate(json!({})).ok(201).text_at("secret");
    let third = rotate(json!({})).ok(201).text_at("secret");
    open(&toy, &first).refused(401, "revoked_credential");
    open(&toy, &second).ok(201);
    open(&toy, &third).ok(201);
    let fourth = rotate(json!({"overlap_seconds": 0})).ok(201).text_at("secret");
    for dead in [first, second, third] {
        open(&toy, &dead).refused(401, "revoked_credential");
    }
    open(&toy, &fourth).ok(201);
    for body in [json!({"overlap_seconds": 604_801}), json!({"overlap_seconds": -1}), json!({"overlap": 1})] {
        rotate(body).refused(400, "invalid_request");
    }
    open(&toy, &fourth).ok(201);
}

#[test]
fn b6_a_revoked_key_is_dead_for_the_next_call_and_the_page_may_read_why() {
    let toy = Toy::new("default");
    let (id, key) = toy.shop();
    let visitor = toy.open(&key);
    let path = format!("/v1/credentials/{id}/revoke");
    let revoked = toy.admin("POST", &path, &json!({"reason": "leaked"})).ok(200);
    assert_eq!(revoked.json, json!({"status": "revoked", "revoked_at": "2026-01-01T00:00:00.000Z"}));
    for answer in [open(&toy, &key), toy.say(&visitor, "hi"), toy.visit(&visitor, "GET", "messages", "")] {
        answer.refused(401, "revoked_credential");
        assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN));
        assert!(answer.json.get("items").is_none());
    }
    toy.advance(9);
    assert_eq!(toy.admin("POST", &path, &json!({})).ok(200).json, revoked.json, "idempotent");
    for (method, tail) in [("PATCH", ""), ("POST", "/rotate")] {
        toy.admin(method, &format!("/v1/credentials/{id}{tail}"), &json!({})).refused(409, "conflict");
    }
    assert_eq!(get(&toy, &format!("/v1/credentials/{id}")).ok(200).json["status"], "revoked");
}

#[test]
fn a_key_expires_and_a_change_reaches_the_next_call() {
    let toy = Toy::new("default");
    let (id, key) = toy.shop();
    let change = |body: Value| toy.admin("PATCH", &format!("/v1/credentials/{id}"), &body);
    change(json!({"origins": ["https://new.example"]})).ok(200);
    open(&toy, &key).refused(403, "origin_not_allowed");
    change(json!({"origins": [ORIGIN, ORIGIN], "expires_at": "2026-01-01T01:00:00+00:30"})).ok(200);
    toy.advance(30 * 60 - 1);
    open(&toy, &key).ok(201);
    toy.advance(1);
    let expired = open(&toy, &key);
    expired.refused(401, "expired_credential");
    assert_eq!(expired.header("access-control-allow-origin"), Some(ORIGIN));
    change(json!({"expires_at": null})).ok(200);
    open(&toy, &key).ok(201);
    for body in [
        json!({"expires_at": "tomorrow"}),
        json!({"expires_at": 7}),
        json!({"origins": []}),
        json!({"kind": "x"}),
        json!({"environment": "test"}),
    ] {
        change(body).refused(400, "invalid_request");
    }
}
