//! What can be changed of a server key, what cannot, and what is said about it.
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
use toy::Toy;

#[test]
fn a13_no_end_lies_further_ahead_than_the_longest_life() {
    let toy = Toy::new("default");
    toy.workspace("acme");
    let (id, _) = toy.server_key("acme", "live", &json!({}));
    let change = |moment: &str| toy.admin("PATCH", &format!("/v1/credentials/{id}"), &json!({"expires_at": moment}));
    for far in ["9999-12-31T23:59:59Z", "2036-01-09T00:00:00.001Z"] {
        change(far).refused(400, "invalid_request");
    }
    change("2036-01-09T00:00:00Z").ok(200);
    toy.admin("PATCH", &format!("/v1/credentials/{id}"), &json!({"expires_at": null})).ok(200);
    // The same bound where a key is made.
    let create = |seconds: u64| {
        let body = json!({"kind": "server_key", "workspace": "acme", "environment": "live", "name": "n", "expires_in": seconds});
        toy.admin("POST", "/v1/credentials", &body)
    };
    create(3_660 * 86_400 + 1).refused(400, "invalid_request");
    assert_eq!(create(3_660 * 86_400).ok(201).text_at("expires_at"), "2036-01-09T00:00:00.000Z");
}

#[test]
fn an_expired_key_gets_a_new_end_before_it_gets_a_new_secret() {
    let toy = Toy::new("llm");
    toy.workspace("acme");
    let (id, old) = toy.server_key("acme", "live", &json!({"expires_in": 60}));
    toy.advance(61);
    let path = format!("/v1/credentials/{id}");
    toy.whoami(&old).refused(401, "expired_credential");
    let refused = toy.admin("POST", &format!("{path}/rotate"), &json!({}));
    refused.refused(409, "conflict");
    assert!(refused.text_at("error").contains("expires_at"));
    toy.admin("PATCH", &path, &json!({"expires_at": "2026-02-01T00:00:00Z"})).ok(200);
    toy.whoami(&old).ok(200);
    let new = toy.admin("POST", &format!("{path}/rotate"), &json!({})).ok(201).text_at("secret");
    toy.whoami(&new).ok(200);
}

#[test]
fn n2_a_scope_that_the_policy_does_not_name_is_for_whoever_holds_everything_and_the_fix_can_be_followed() {
    let toy = Toy::new("llm");
    toy.workspace("acme");
    let (_, admin) = toy.server_key("acme", "live", &json!({"scopes": ["admin"]}));
    let (_, plain) = toy.server_key("acme", "live", &json!({"scopes": ["usage:read"]}));
    toy.server(&admin, "GET", "/v1/conversations", &Value::Null).ok(200);
    let refused = toy.server(&plain, "GET", "/v1/conversations", &Value::Null);
    refused.refused(403, "insufficient_scope");
    assert_eq!(refused.json["required"], json!(["admin"]));
    let advice = "Use a credential with the scope admin: a deploy key, or an administrator's key, makes one";
    assert!(refused.text_at("fix").starts_with(advice), "{}", refused.text);
    let made =
        json!({"kind": "server_key", "workspace": "acme", "environment": "live", "name": "n", "scopes": ["admin"]});
    for answer in [toy.admin("POST", "/v1/credentials", &made), toy.server(&admin, "POST", "/v1/credentials", &made)] {
        let followed = answer.ok(201).text_at("secret");
        toy.server(&followed, "GET", "/v1/conversations", &Value::Null).ok(200);
    }
    // Where nothing implies everything, no workspace's key has it; and the answer does not say otherwise.
    let toy = Toy::new("memory");
    toy.workspace("acme");
    let scopes = json!({"scopes": ["memory.read", "memory.context", "memory.candidates", "continuations.log"]});
    let (_, all) = toy.server_key("acme", "live", &scopes);
    for path in ["/v1/conversations", "/v1/audit"] {
        let refused = toy.server(&all, "GET", path, &Value::Null);
        refused.refused(403, "insufficient_scope");
        assert_eq!(refused.json.get("required"), None);
        assert!(refused.text_at("fix").contains("Call with a deploy key"), "{}", refused.text);
        toy.admin("GET", &format!("{path}?workspace=acme"), &Value::Null).ok(200);
    }
}
