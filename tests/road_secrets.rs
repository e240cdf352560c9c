//! What is never kept: no secret in any row or log line, nothing that a visitor says in a log; and the check that watches it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod toy;

use serde_json::json;
use toy::{Answer, ORIGIN, Toy, Visitor};

fn from(toy: &Toy, key: &str, address: &str) -> Answer {
    toy.send("POST", &format!("/w/{key}/conversations"), &[("origin", ORIGIN), ("x-client", address)], "")
}

#[test]
fn l6_no_secret_that_was_handed_out_is_stored_or_logged() {
    let toy = Toy::new("default");
    let (id, key) = toy.shop();
    let visitor = toy.open(&key);
    let rotated = toy.visit(&visitor, "POST", "secret/rotate", "").ok(201);
    let visitor = Visitor { secret: rotated.text_at("history_secret"), ..visitor };
    toy.visit_with(&visitor, "POST", "messages", &[("idempotency-key", "k")], "{\"text\":\"hi\"}").ok(201);
    let rotated = toy.admin("POST", &format!("/v1/credentials/{id}/rotate"), &json!({"overlap_seconds": 9})).ok(201);
    from(&toy, &rotated.text_at("secret"), "").ok(201);
    toy.visit(&visitor, "POST", "close", "").ok(200);
    toy.advance(86_400);
    let issued = toy.issued.borrow();
    assert_eq!(issued.len(), 5, "two keys and three history secrets");
    for (name, object) in toy.objects.borrow().iter() {
        for (row, value) in &object.rows {
            let stored = String::from_utf8_lossy(value);
            for secret in issued.iter() {
                // Not even the tag: the last 43 characters.
                let tag = &secret[secret.len() - 40..];
                assert!(!row.contains(tag) && !stored.contains(tag), "{name:?} {row}");
            }
        }
    }
}

#[test]
fn p8_what_a_visitor_says_stands_in_no_log() {
    let toy = Toy::new("default");
    let visitor = toy.conversation();
    let canary = "canary-5d1c";
    for (method, tail, body) in [
        ("POST", "messages", json!({"text": canary}).to_string()),
        ("POST", "messages", format!("{{\"text\":\"{canary}\"")),
        ("GET", "messages?after=canary-5d1c", String::new()),
        ("POST", "canary-5d1c", String::new()),
        ("POST", "messages", json!({"text": 7, "canary": canary}).to_string()),
    ] {
        let headers = [("user-agent", canary), ("idempotency-key", canary), ("referer", canary), ("x-client", canary)];
        let answer = toy.visit_with(&visitor, method, tail, &headers, &body);
        assert!(!answer.log.to_string().contains(canary), "{}", answer.log);
        assert!(answer.status == 201 || !answer.text.contains(canary), "{}", answer.text);
    }
    let hidden = toy.send("GET", "/v1/canary-5d1c", &[("authorization", canary), ("x-request-id", canary)], canary);
    assert!(!hidden.log.to_string().contains(canary) && !hidden.text.contains(canary));
}

/// The negative control: every test of this world would fail if an answer repeated a credential.
#[test]
#[should_panic(expected = "the answer repeats a credential")]
fn a_repeated_credential_is_seen() {
    let like_one = "x".repeat(50);
    Toy::new("default").send("GET", &format!("/.well-known/oauth-protected-resource/{like_one}"), &[], "");
}

#[test]
fn a_credential_in_the_path_of_a_document_is_not_repeated() {
    let toy = Toy::new("default");
    let visitor = toy.conversation();
    for secret in [visitor.secret, visitor.key] {
        toy.send("GET", &format!("/.well-known/oauth-protected-resource/w/{secret}"), &[], "")
            .refused(404, "not_found");
    }
}
