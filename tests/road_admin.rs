//! The whole road of an operator: workspaces, credentials and their lives, under a deploy key.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod toy;

use claviger::{
    credential::DeployKey,
    id::{CredentialId, Stage},
    machine::World as _,
    registry::credential::{Command, Credential},
    time::Timestamp,
};
use serde_json::{Value, json};
use toy::{Answer, ORIGIN, START, Toy};

const DAY: u64 = 86_400;

fn open(toy: &Toy, key: &str) -> Answer {
    toy.send("POST", &format!("/w/{key}/conversations"), &[("origin", ORIGIN)], "")
}

fn whoami(toy: &Toy, key: &str) -> Answer {
    toy.send("GET", "/v1/whoami", &[("authorization", key)], "")
}

fn get(toy: &Toy, path: &str) -> Answer {
    toy.admin("GET", path, &Value::Null)
}

#[test]
fn whoami_costs_one_hop_and_a_stranger_none() {
    let toy = Toy::new("default");
    let key = toy.deploy_key();
    let told = whoami(&toy, &key).ok(200);
    assert_eq!((told.hops, told.rounds), (1, 1));
    assert_eq!((told.json["kind"].as_str(), told.json["stage"].as_str()), (Some("deploy_key"), Some("dev")));
    assert_eq!((told.json["deployment"].as_str(), told.json["workspace"].is_null()), (Some("local"), true));
    assert_eq!(told.json["expires_at"], "2026-01-01T01:00:00Z");
    assert_eq!(told.log["route"], "GET /v1/whoami");
    assert_eq!(told.log["credential"], told.json["id"]);

    let forged = whoami(&toy, &toy::forge(&key));
    forged.refused(401, "invalid_credential");
    assert_eq!((forged.hops, forged.made), (0, 0));
    let (_, wk) = toy.shop();
    let forged = open(&toy, &toy::forge(&wk));
    forged.refused(401, "invalid_credential");
    assert_eq!((forged.hops, forged.made), (0, 0));
    let visitor = toy.open(&wk);
    let forged = toy::Visitor { secret: toy::forge(&visitor.secret), ..visitor };
    let forged = toy.say(&forged, "hi");
    forged.refused(401, "invalid_credential");
    assert_eq!((forged.hops, forged.made), (0, 0));
}

#[test]
fn a_workspace_is_made_once_listed_and_read() {
    let toy = Toy::new("default");
    let made = toy.admin("POST", "/v1/workspaces", &json!({"name": "Acme Ltd", "id": "acme"})).ok(201);
    assert_eq!(made.json, json!({"id": "acme", "name": "Acme Ltd", "created_at": "2026-01-01T00:00:00Z"}));
    toy.admin("POST", "/v1/workspaces", &json!({"name": "again", "id": "acme"})).refused(409, "conflict");
    let named = toy.admin("POST", "/v1/workspaces", &json!({"name": "Nameless"})).ok(201);
    assert_eq!(get(&toy, &format!("/v1/workspaces/{}", named.text_at("id"))).ok(200).json, named.json);
    get(&toy, "/v1/workspaces/nowhere").refused(404, "not_found");
    for name in ["b", "c", "d"] {
        toy.workspace(name);
    }
    let first = get(&toy, "/v1/workspaces?limit=2").ok(200);
    assert_eq!((first.json["items"].as_array().unwrap().len(), first.json["next_cursor"].as_str()), (2, Some("b")));
    let rest = get(&toy, "/v1/workspaces?limit=3&cursor=b").ok(200);
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
    toy.admin("PATCH", &format!("/v1/credentials/{}", ids[0]), &json!({"expires_at": "2026-01-10T00:00:00Z"})).ok(200);
    toy.admin("PATCH", &format!("/v1/credentials/{}", ids[1]), &json!({"expires_at": "2025-01-10T00:00:00Z"})).ok(200);
    assert_eq!(shown(&page("status=revoked")), [ids[2].clone()]);
    assert_eq!(shown(&page("status=expiring")), [ids[0].clone()]);
    assert_eq!(shown(&page("status=expired")), [ids[1].clone()]);
    assert_eq!(shown(&page("status=active&kind=widget_key")), ids[3..]);
    for query in ["status=good", "kind=server_key", "cursor=x", "limit=0"] {
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
        ("kind", json!("server_key")),
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
fn b28_a_rotated_key_overlaps_as_long_as_was_said() {
    let toy = Toy::new("default");
    let (id, old) = toy.shop();
    let rotated = toy.admin("POST", &format!("/v1/credentials/{id}/rotate"), &json!({"overlap_seconds": 100})).ok(201);
    let new = rotated.text_at("secret");
    assert_eq!((rotated.text_at("id"), rotated.text_at("old_expires_at")), (id, "2026-01-01T00:01:40Z".to_owned()));
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
    assert_eq!(revoked.json, json!({"status": "revoked", "revoked_at": "2026-01-01T00:00:00Z"}));
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
fn b35_a_deploy_key_of_another_stage_or_deployment_is_refused_without_a_hop() {
    let toy = Toy::new("default");
    for (stage, deployment) in [(Stage::Prod, "local"), (Stage::Staging, "local"), (Stage::Dev, "other")] {
        let refused = whoami(&toy, &format!("Convex {}", toy.deploy_key_for(stage, deployment, 60)));
        refused.refused(403, "wrong_stage");
        assert_eq!((refused.hops, refused.made), (0, 0));
    }
}

#[test]
fn b37_a_deploy_key_ends_when_it_says_and_none_lives_for_ever() {
    let toy = Toy::new("default");
    let key = format!("Convex {}", toy.deploy_key_for(Stage::Dev, "local", 10));
    toy.advance(9);
    whoami(&toy, &key).ok(200);
    toy.advance(1);
    whoami(&toy, &key).refused(401, "expired_credential");
    whoami(&toy, &format!("Convex {}", toy.deploy_key_for(Stage::Dev, "local", 366 * DAY))).ok(200);
    let eternal = format!("Convex {}", toy.deploy_key_for(Stage::Dev, "local", 366 * DAY + 1));
    whoami(&toy, &eternal).refused(401, "invalid_credential");
}

#[test]
fn a_deploy_key_cannot_be_made_ahead_of_its_time_to_live_longer() {
    let toy = Toy::new("default");
    let id = CredentialId::issue_deploy_key(Timestamp(START), [3; 16]);
    let issued_at = toy.now().plus_seconds(20 * 366 * DAY);
    let expires_at = issued_at.plus_seconds(300 * DAY);
    let key = toy.write(&DeployKey { id, stage: Stage::Dev, deployment: "local".to_owned(), issued_at, expires_at });
    whoami(&toy, &format!("Convex {key}")).refused(401, "invalid_credential");
}

#[test]
fn a_revoked_deploy_key_is_dead() {
    let toy = Toy::new("default");
    let key = toy.deploy_key();
    let id = whoami(&toy, &key).ok(200).text_at("id");
    assert!(toy.tell::<Credential>(&id, Command::RevokeDeployKey).is_ok());
    whoami(&toy, &key).refused(401, "revoked_credential");
    whoami(&toy, &toy.deploy_key()).ok(200);
}
