//! Routes of the policy with server keys and service tokens: one hop, the scope that the route takes, the limit of the key.
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

fn toy() -> Toy {
    let toy = Toy::changed(&[("POLICY", "llm"), ("UPSTREAM", "https://api.example")]);
    toy.workspace("acme");
    toy
}

#[test]
fn a_route_costs_one_hop_and_one_request_of_the_keys_limit_and_says_who_it_is() {
    let toy = toy();
    let (id, key) = toy.server_key("acme", "live", &json!({"scopes": ["prompts:read", "usage:read"]}));
    // Whoever comes first has the keys of assertions made.
    toy.send("GET", "/.well-known/jwks.json", &[], "").ok(200);
    let answer = toy.server(&key, "GET", "/v1/prompts", &Value::Null).ok(200);
    assert_eq!((answer.hops, answer.header("x-ratelimit-remaining")), (1, Some("59")));
    let sent = toy.forwarded.borrow().last().unwrap().clone();
    let header = |name: &str| sent.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!(header("claviger-principal"), Some(id.as_str()));
    assert_eq!(header("claviger-kind"), Some("server_key"));
    assert_eq!(header("claviger-environment"), Some("live"));
    assert_eq!(header("claviger-scopes"), Some("prompts:read usage:read"));
    assert_eq!(header("authorization"), None);
    let usage = toy.admin("GET", &format!("/v1/credentials/{id}/usage"), &Value::Null).ok(200);
    assert_eq!(usage.json["by_scope"][0]["scope"], "prompts:read");
    assert_eq!((&usage.json["by_scope"][0]["total"], &usage.json["by_scope"][1]["total"]), (&json!(1), &json!(0)));
}

#[test]
fn what_the_key_may_not_is_not_forwarded_and_not_counted() {
    let toy = toy();
    let (_, key) = toy.server_key("acme", "live", &json!({"scopes": ["prompts:read"]}));
    let refused = toy.server(&key, "POST", "/v1/prompts", &json!({}));
    refused.refused(403, "insufficient_scope");
    assert_eq!(refused.json["required"], json!(["prompts:write"]));
    assert_eq!(toy.whoami(&key).header("x-ratelimit-remaining"), Some("59"));
    toy.server(&key, "GET", "/v1/nowhere", &Value::Null).refused(404, "not_found");
    let (_, admin) = toy.server_key("acme", "live", &json!({"scopes": ["admin"]}));
    toy.server(&admin, "POST", "/v1/prompts", &json!({})).ok(200);
    assert_eq!(toy.forwarded.borrow().len(), 1);
}

#[test]
fn over_the_limit_nothing_is_forwarded_and_a_forged_key_asks_nobody() {
    let toy = toy();
    let (_, key) = toy.server_key("acme", "live", &Value::Null);
    for _ in 0..60 {
        toy.server(&key, "GET", "/v1/models", &Value::Null).ok(200);
    }
    toy.server(&key, "GET", "/v1/models", &Value::Null).refused_as_openai(429, "rate_limited");
    assert_eq!(toy.forwarded.borrow().len(), 60);
    let last = if key.ends_with('0') { "1" } else { "0" };
    let forged = toy.server(&format!("{}{last}", &key[..39]), "GET", "/v1/models", &Value::Null);
    forged.refused_as_openai(401, "invalid_credential");
    let deploy = toy.deploy_key();
    let other = toy.send("GET", "/v1/models", &[("authorization", &deploy)], "");
    other.refused_as_openai(403, "credential_kind_not_allowed");
    assert_eq!((forged.hops, forged.made, other.hops, other.made), (0, 0, 0, 0));
}
