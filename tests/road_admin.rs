//! The whole road of an operator: workspaces and their credentials, made, listed and read under a deploy key.
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

fn get(toy: &Toy, path: &str) -> Answer {
    toy.admin("GET", path, &Value::Null)
}

#[test]
fn a_workspace_is_made_once_listed_and_read() {
    let toy = Toy::new("default");
    let made = toy.admin("POST", "/v1/workspaces", &json!({"name": "Acme Ltd", "id": "acme"})).ok(201);
    assert_eq!(made.json, json!({"id": "acme", "name": "Acme Ltd", "created_at": "2026-01-01T00:00:00.000Z"}));
    toy.admin("POST", "/v1/workspaces", &json!({"name": "again", "id": "acme"})).refused(409, "conflict");
    let named = toy.admin("POST", "/v1/workspaces", &json!({"name": "Nameless"})).ok(201);
    let mut read = get(&toy, &format!("/v1/workspaces/{}", named.text_at("id"))).ok(200).json;
    assert_eq!(read.as_object_mut().unwrap().remove("identity_secret_count"), Some(json!(0)));
    assert_eq!(read.as_object_mut().unwrap().remove("default_tier"), Some(Value::Null));
    let plan = json!({"tiers": ["free"], "custom_limits": null, "default": true});
    assert_eq!(read.as_object_mut().unwrap().remove("plan"), Some(plan));
    assert_eq!(read, named.json);
    get(&toy, "/v1/workspaces/nowhere").refused(404, "not_found");
    for name in ["b", "c", "d"] {
        toy.workspace(name);
    }
    let first = get(&toy, "/v1/workspaces?limit=2").ok(200);
    assert_eq!(first.json["items"].as_array().unwrap().len(), 2);
    let rest = get(&toy, &format!("/v1/workspaces?limit=3&cursor={}", first.text_at("next_cursor"))).ok(200);
    assert_eq!((rest.json["items"].as_array().unwrap().len(), rest.json["next_cursor"].is_null()), (3, true));
    for query in ["limit=0", "limit=101", "limit=x", "cursor=..", "limit=1&limit=2"] {
        get(&toy, &format!("/v1/workspaces?{query}")).refused(400, "invalid_request");
    }
    for body in [
        json!({"id": "x"}),
        json!({"name": ""}),
        json!({"name": "x", "id": "a/b"}),
        json!({"name": "x", "owner": "me"}),
    ] {
        toy.admin("POST", "/v1/workspaces", &body).refused(400, "invalid_request");
    }
}

#[test]
fn credentials_are_listed_newest_first_by_status_and_page() {
    let toy = Toy::new("default");
    toy.workspace("acme");
    let mut ids: Vec<String> = (0..5)
        .map(|_| {
            toy.advance(1);
            toy.widget_key("acme", "live", &[ORIGIN]).0
        })
        .collect();
    ids.reverse();
    let page = |query: &str| get(&toy, &format!("/v1/credentials?workspace=acme&{query}")).ok(200);
    let shown = |answer: &Answer| -> Vec<String> {
        answer.json["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    };
    let first = page("limit=3");
    assert_eq!(shown(&first), ids[..3]);
    let second = page(&format!("limit=3&cursor={}", first.text_at("next_cursor")));
    assert_eq!((shown(&second), second.json["next_cursor"].is_null()), (ids[3..].to_vec(), true));
    toy.admin("POST", &format!("/v1/credentials/{}/revoke", ids[2]), &json!({})).ok(200);
    toy.admin("PATCH", &format!("/v1/credentials/{}", ids[0]), &json!({"expires_at": "2026-01-10T00:00:00.000Z"}))
        .ok(200);
    toy.admin("PATCH", &format!("/v1/credentials/{}", ids[1]), &json!({"expires_at": "2025-01-10T00:00:00.000Z"}))
        .ok(200);
    assert_eq!(shown(&page("status=revoked")), [ids[2].clone()]);
    assert_eq!(shown(&page("status=expiring")), [ids[0].clone()]);
    assert_eq!(shown(&page("status=expired")), [ids[1].clone()]);
    assert_eq!(shown(&page("status=active&kind=widget_key")), ids[3..]);
    for query in ["status=good", "kind=history_secret", "cursor=x", "limit=0"] {
        get(&toy, &format!("/v1/credentials?workspace=acme&{query}")).refused(400, "invalid_request");
    }
    get(&toy, "/v1/credentials").refused(400, "invalid_request");
    get(&toy, "/v1/credentials?workspace=nowhere").refused(404, "not_found");
}

#[test]
fn b30_b31_b22_what_a_key_cannot_be_is_refused_by_name() {
    let toy = Toy::new("default");
    toy.workspace("acme");
    let good =
        json!({"kind": "widget_key", "workspace": "acme", "environment": "live", "name": "n", "origins": [ORIGIN]});
    for (member, value) in [
        ("kind", json!("history_secret")),
        ("kind", json!("Server_Key")),
        ("kind", json!(null)),
        ("workspace", json!(null)),
        ("workspace", json!("a/b")),
        ("environment", json!("prod")),
        ("environment", json!(null)),
        ("name", json!("")),
        ("name", json!("a\u{7}b")),
        ("scopes", json!(["admin"])),
        ("scopes", json!("admin")),
        ("expires_in", json!(0)),
        ("expires_in", json!(-1)),
        ("expires_in", json!(1.5)),
        ("origins", json!(null)),
        ("origins", json!([])),
        ("origins", json!(["*"])),
        ("origins", json!(["http://shop.example"])),
        ("origins", json!(["https://*.github.io"])),
        ("origins", json!([7])),
        ("userId", json!("u")),
        ("workspaceId", json!("other")),
        ("rateLimitMax", json!(9)),
        ("expiresAt", json!(null)),
        ("__proto__", json!({})),
        ("tier", json!("enterprise")),
        ("serial", json!(1)),
    ] {
        let mut body = good.clone();
        body[member] = value.clone();
        let refused = toy.admin("POST", "/v1/credentials", &body);
        refused.refused(400, "invalid_request");
        assert!(refused.text_at("error").contains(member), "{member} {value}: {}", refused.text);
    }
    assert_eq!(get(&toy, "/v1/credentials?workspace=acme").ok(200).json["items"], json!([]));
    toy.admin("POST", "/v1/credentials", &good).ok(201);
}

#[test]
fn an_id_names_its_workspace_and_no_other_will_do() {
    let toy = Toy::new("default");
    let visitor = toy.conversation();
    toy.workspace("other");
    let id = get(&toy, "/v1/credentials?workspace=acme").ok(200).json["items"][0]["id"].as_str().unwrap().to_owned();
    get(&toy, &format!("/v1/credentials/{id}?workspace=acme")).ok(200);
    for path in [
        format!("/v1/credentials/{id}?workspace=other"),
        format!("/v1/credentials/{}other", id.trim_end_matches("acme")),
        format!("/v1/credentials/{id}x"),
        "/v1/credentials/x".to_owned(),
        "/v1/credentials/dk_00000000000000000000".to_owned(),
        format!("/v1/conversations/{}/messages?workspace=other", visitor.conversation),
        "/v1/conversations/x/messages".to_owned(),
        "/v1/conversations/conv_00000000000000000000_acme/messages".to_owned(),
    ] {
        get(&toy, &path).refused(404, "not_found");
    }
}

#[test]
fn a_conversation_says_when_somebody_last_wrote_and_not_when_it_was_closed() {
    let toy = Toy::new("default");
    let visitor = toy.conversation();
    let listed = || get(&toy, "/v1/conversations?workspace=acme").ok(200).json["items"][0].clone();
    assert!(listed()["last_message_at"].is_null());
    toy.say(&visitor, "hi").ok(201);
    toy.advance(2);
    assert_eq!(listed()["last_message_at"], "2026-01-01T00:00:00.000Z");
    toy.advance(3 * 86_400);
    toy.visit(&visitor, "POST", "close", "").ok(200);
    assert_eq!(listed()["status"], "closed");
    assert_eq!(listed()["last_message_at"], "2026-01-01T00:00:00.000Z");
}
