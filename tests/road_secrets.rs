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

use claviger::id::Stage;
use serde_json::json;
use toy::{Answer, ORIGIN, ROOT, Toy, Visitor};

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
    let toy = Toy::new("default");
    let visitor = toy.conversation();
    // The one place that repeats what was sent: a preflight tells the page its own origin.
    let origin = format!("https://{}", visitor.key);
    toy.send("OPTIONS", &format!("/w/{}/conversations", visitor.key), &[("origin", &origin)], "");
}

/// What a careless person may paste into the wrong place: whole credentials, and secrets without a brand.
fn pasted(toy: &Toy) -> Vec<String> {
    let visitor = toy.conversation();
    let root = ROOT.split_once(':').unwrap().1.to_owned();
    let deploy_key = toy.deploy_key_for(Stage::Dev, "local", 60);
    vec![visitor.key.to_uppercase(), visitor.secret, visitor.key, deploy_key, root, ROOT.to_owned()]
}

#[test]
fn l6_a_secret_in_the_path_of_a_document_is_not_repeated() {
    let toy = Toy::new("default");
    for secret in pasted(&toy) {
        for path in [format!("/{secret}"), format!("/w/{secret}"), format!("/a/x.{secret}/b")] {
            toy.send("GET", &format!("/.well-known/oauth-protected-resource{path}"), &[], "").refused(404, "not_found");
        }
    }
    toy.send("GET", "/.well-known/oauth-protected-resource/mcp/clv_live/0a1b2c3d-0000-4000-8000-0123456789ab", &[], "")
        .ok(200);
}

#[test]
fn l6_a_secret_is_taken_neither_for_a_name_nor_for_a_reason() {
    let toy = Toy::new("default");
    let secrets = pasted(&toy);
    let id = toy.admin("GET", "/v1/credentials?workspace=acme", &json!(null)).json["items"][0]["id"].clone();
    let path = format!("/v1/credentials/{}", id.as_str().unwrap());
    let key = |name: &str| json!({"kind": "widget_key", "workspace": "acme", "environment": "live", "name": name, "origins": [ORIGIN]});
    let encoded = |secret: &str| secret.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let spelled = |secret: &String| [secret.clone(), format!("mine: {secret}"), encoded(&secret[secret.len() - 43..])];
    for secret in secrets.iter().flat_map(spelled).filter(|text| text.len() <= 200) {
        // That a deploy key was used is counted in its own object, and puts it on the list.
        let rows = || {
            let mut objects = toy.snapshot();
            objects.values_mut().for_each(|object| object.rows.retain(|row, _| !row.starts_with("deploy-key/")));
            objects.retain(|(_, name), object| !name.starts_with("dk_") && !object.rows.is_empty());
            objects
        };
        let before = rows();
        toy.admin("POST", "/v1/workspaces", &json!({"name": secret})).refused(400, "invalid_request");
        toy.admin("POST", "/v1/credentials", &key(&secret)).refused(400, "invalid_request");
        toy.admin("PATCH", &path, &json!({"name": secret})).refused(400, "invalid_request");
        toy.admin("POST", &format!("{path}/revoke"), &json!({"reason": secret})).refused(400, "invalid_request");
        assert!(rows() == before, "something of it was kept");
    }
    toy.admin("PATCH", &path, &json!({"name": "clv_live shop, Zürich"})).ok(200);
    toy.admin("POST", &format!("{path}/revoke"), &json!({"reason": "leaked in a log, see ticket 4711"})).ok(200);
}

#[test]
fn l6_a_secret_as_the_name_of_a_member_is_not_repeated_not_even_its_beginning() {
    let toy = Toy::new("default");
    for secret in pasted(&toy) {
        let told = toy.admin("POST", "/v1/workspaces", &json!({"name": "a", secret.clone(): 1}));
        told.refused(400, "invalid_request");
        assert!(!told.text.contains(&secret[..20]), "{}", told.text);
    }
    let told = toy.admin("POST", "/v1/workspaces", &json!({"name": "a", "is_admin": true}));
    assert!(told.text.contains("`is_admin`"), "{}", told.text);
}
