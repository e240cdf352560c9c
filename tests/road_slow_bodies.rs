//! A credential that ends while its call is under way: whoever holds a body back, or is fast, gains nothing by it.
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

fn world() -> Toy {
    let toy = Toy::new("default");
    toy.workspace("acme");
    toy
}

fn admin_key(toy: &Toy) -> (String, String) {
    toy.server_key("acme", "live", &json!({ "scopes": ["admin"] }))
}

fn create(toy: &Toy, authorization: &str) -> toy::Answer {
    let body = json!({ "kind": "server_key", "workspace": "acme", "environment": "live", "name": "another", "scopes": ["admin"] });
    toy.send("POST", "/v1/credentials", &[("authorization", authorization)], &body.to_string())
}

fn end(toy: &Toy, id: &str) {
    toy.admin("POST", &format!("/v1/credentials/{id}/revoke"), &Value::Null).ok(200);
}

#[test]
fn a_leaked_key_whose_body_comes_after_its_revocation_makes_no_other() {
    let toy = world();
    let (id, key) = admin_key(&toy);
    let before = toy.issued.borrow().len();
    toy.while_body_is_on_its_way(move |toy| end(toy, &id));
    create(&toy, &format!("Bearer {key}")).refused(401, "revoked_credential");
    assert_eq!(toy.issued.borrow().len(), before, "a key was handed out");
}

#[test]
fn an_old_secret_whose_body_comes_after_its_rotation_makes_no_key() {
    let toy = world();
    let (id, key) = admin_key(&toy);
    toy.while_body_is_on_its_way(move |toy| {
        toy.admin("POST", &format!("/v1/credentials/{id}/rotate"), &json!({ "overlap_seconds": 0 })).ok(201);
    });
    create(&toy, &format!("Bearer {key}")).refused(401, "revoked_credential");
}

#[test]
fn a_key_whose_body_comes_after_its_end_or_without_its_scope_makes_no_key() {
    let toy = world();
    let (_, key) = toy.server_key("acme", "live", &json!({ "scopes": ["admin"], "expires_in": 60 }));
    toy.while_body_is_on_its_way(|toy| toy.advance(60));
    create(&toy, &format!("Bearer {key}")).refused(401, "expired_credential");
    let (id, key) = admin_key(&toy);
    toy.while_body_is_on_its_way(move |toy| {
        toy.admin("PATCH", &format!("/v1/credentials/{id}"), &json!({ "scopes": [] })).ok(200);
    });
    create(&toy, &format!("Bearer {key}")).refused(403, "insufficient_scope");
}

#[test]
fn a_deploy_key_whose_body_comes_after_its_revocation_makes_no_key() {
    let toy = world();
    let key = toy.deploy_key();
    let me = toy.send("GET", "/v1/whoami", &[("authorization", &key)], "").ok(200);
    let id = me.text_at("id");
    toy.while_body_is_on_its_way(move |toy| end(toy, &id));
    create(&toy, &key).refused(401, "revoked_credential");
}

#[test]
fn a_refused_call_says_who_is_refused_before_it_says_what_is_wrong_with_the_body() {
    let toy = world();
    let (id, key) = admin_key(&toy);
    let authorization = format!("Bearer {key}");
    let send = |body: &str| toy.send("POST", "/v1/credentials", &[("authorization", &authorization)], body);
    send("{").refused(400, "invalid_request");
    end(&toy, &id);
    send("{").refused(401, "revoked_credential");
}

#[test]
fn a_key_that_ends_between_its_admission_and_its_act_acts_no_more() {
    // One hop admits, and up to three more come before the workspace acts.
    for hops in 1..=3 {
        let toy = world();
        let (id, key) = admin_key(&toy);
        toy.after_hops(hops, move |toy| end(toy, &id));
        create(&toy, &format!("Bearer {key}")).refused(401, "revoked_credential");
    }
    let calls = |other: &str| {
        [
            ("PATCH", format!("/v1/credentials/{other}"), json!({ "name": "b" })),
            ("POST", format!("/v1/credentials/{other}/rotate"), Value::Null),
            ("POST", format!("/v1/credentials/{other}/rotate/finish"), Value::Null),
            ("POST", "/v1/workspaces/acme/credentials/revoke".to_owned(), json!({ "environment": "live" })),
            ("POST", "/v1/workspaces/acme/identity-secrets".to_owned(), Value::Null),
        ]
    };
    for number in 0..5 {
        let toy = world();
        let (id, key) = admin_key(&toy);
        let (other, _) = admin_key(&toy);
        let (method, path, body) = calls(&other)[number].clone();
        let hops = if path.contains(&other) { 2 } else { 1 };
        toy.after_hops(hops, move |toy| end(toy, &id));
        toy.server(&key, method, &path, &body).refused(401, "revoked_credential");
    }
}

#[test]
fn a_key_that_revokes_itself_twice_at_once_is_told_twice_that_it_is_revoked() {
    let toy = world();
    let (id, key) = admin_key(&toy);
    toy.after_hops(1, move |toy| end(toy, &id));
    toy.server(&key, "POST", "/v1/self/revoke", &Value::Null).ok(200);
}

#[test]
fn a_widget_key_whose_body_comes_after_its_revocation_opens_nothing() {
    let toy = Toy::new("default");
    let (id, key) = toy.shop();
    let open = || toy.send("POST", &format!("/w/{key}/conversations"), &[("origin", toy::ORIGIN)], "{}");
    open().ok(201);
    toy.while_body_is_on_its_way(move |toy| end(toy, &id));
    open().refused(401, "revoked_credential");
}
