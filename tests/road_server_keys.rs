//! Server keys: who they are, what they may, how much, and how they end. Each call costs one hop.
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
use toy::{Toy, idle};

/// The number that base62 writes so.
fn number(text: &str) -> u128 {
    let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    text.bytes().fold(0, |number, b| number * 62 + digits.iter().position(|digit| *digit == b).unwrap() as u128)
}

fn world() -> Toy {
    let toy = Toy::new("llm");
    toy.workspace("acme");
    toy
}

#[test]
fn a_server_key_says_who_it_is_in_one_hop_with_its_limits() {
    let toy = world();
    let (id, key) = toy.server_key("acme", "live", &json!({"scopes": ["prompts:read", "usage:read"]}));
    assert!(key.starts_with("gs_live_") && key.len() == 40, "{key}");
    let answer = toy.whoami(&key).ok(200);
    assert_eq!((answer.hops, answer.rounds), (1, 1));
    let who = &answer.json;
    assert_eq!(who["kind"], "server_key");
    assert_eq!(who["id"], id.as_str());
    assert_eq!(
        (&who["workspace"], &who["environment"], &who["tier"]),
        (&json!("acme"), &json!("live"), &json!("free"))
    );
    assert_eq!(who["scopes"], json!(["prompts:read", "usage:read"]));
    assert_eq!(who["limits"][0]["limit"], 60);
    assert_eq!(who["limits"][0]["remaining"], 59);
    assert_eq!(answer.header("x-ratelimit-limit"), Some("60"));
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("59"));
    let by_header = toy.send("GET", "/v1/whoami", &[("x-api-key", &key)], "").ok(200);
    assert_eq!(by_header.header("x-ratelimit-remaining"), Some("58"));
}

#[test]
fn the_sixty_first_call_of_a_minute_is_refused_and_the_next_minute_admits_again() {
    let toy = world();
    let (_, key) = toy.server_key("acme", "live", &Value::Null);
    for _ in 0..60 {
        toy.whoami(&key).ok(200);
    }
    let refused = toy.whoami(&key);
    refused.refused(429, "rate_limited");
    assert_eq!(refused.header("x-ratelimit-remaining"), Some("0"));
    toy.advance(62);
    toy.whoami(&key).ok(200);
}

#[test]
fn a_forged_key_costs_nobody_anything() {
    let toy = world();
    let (_, key) = toy.server_key("acme", "live", &Value::Null);
    let (rest, last) = key.split_at(key.len() - 1);
    let forged = format!("{rest}{}", if last == "0" { "1" } else { "0" });
    idle(&toy.whoami(&forged), 401, "invalid_credential");
    idle(&toy.whoami(&key.replace("_live_", "_test_")), 401, "invalid_credential");
    idle(&toy.whoami(rest), 401, "invalid_credential");
}

#[test]
fn a_rotation_keeps_the_limit_and_tells_the_two_secrets_apart() {
    let toy = world();
    let (id, old) = toy.server_key("acme", "live", &json!({"scopes": ["admin"]}));
    for _ in 0..30 {
        toy.whoami(&old).ok(200);
    }
    let rotated = toy.admin("POST", &format!("/v1/credentials/{id}/rotate"), &json!({"overlap_seconds": 600})).ok(201);
    let new = rotated.text_at("secret");
    assert_eq!(rotated.text_at("replaces"), format!("gs_live_…{}", &old[36..]));
    assert_eq!(toy.whoami(&new).header("x-ratelimit-remaining"), Some("29"));
    assert_eq!(toy.whoami(&old).header("x-ratelimit-remaining"), Some("28"));
    let usage = toy.admin("GET", &format!("/v1/credentials/{id}/usage"), &Value::Null).ok(200);
    assert_eq!(usage.json["total"], 32);
    assert_eq!(usage.json["by_secret"][0]["total"], 1);
    assert_eq!(usage.json["by_secret"][1]["total"], 31);
    assert_eq!(usage.json["by_scope"], json!([{"scope": "admin", "last_used_at": null, "total": 0}]));
    toy.advance(601);
    toy.whoami(&old).refused(401, "revoked_credential");
    toy.whoami(&new).ok(200);
}

#[test]
fn a_rotation_that_is_repeated_because_its_answer_was_lost_leaves_the_secret_that_everybody_uses() {
    let toy = world();
    let (id, used) = toy.server_key("acme", "live", &Value::Null);
    toy.whoami(&used).ok(200);
    let rotate = |overlap: u64| {
        let path = format!("/v1/credentials/{id}/rotate");
        toy.admin("POST", &path, &json!({"overlap_seconds": overlap})).ok(201)
    };
    let lost = rotate(600).text_at("secret");
    let again = rotate(600);
    assert_eq!(again.text_at("replaces"), format!("gs_live_…{}", &used[36..]));
    toy.whoami(&used).ok(200);
    toy.whoami(&lost).refused(401, "revoked_credential");
    let new = again.text_at("secret");
    toy.whoami(&new).ok(200);
    // It is in use now: the next rotation is another one, and two live.
    let newest = rotate(600).text_at("secret");
    toy.whoami(&used).refused(401, "revoked_credential");
    toy.whoami(&new).ok(200);
    // A leak leaves nothing alive, used or not.
    let last = rotate(0).text_at("secret");
    for dead in [&new, &newest] {
        toy.whoami(dead).refused(401, "revoked_credential");
    }
    toy.whoami(&last).ok(200);
}

#[test]
fn a_secret_that_was_used_once_is_not_taken_for_a_lost_one_though_the_process_died_right_after() {
    let policy = "brand = \"gs\"\n[tiers.free]\nrequests = { limit = 10_000, window_seconds = 60 }\n";
    let toy = Toy::changed(&[("POLICY_TOML", policy)]);
    toy.workspace("acme");
    let (id, old) = toy.server_key("acme", "live", &Value::Null);
    let rotate = || {
        let path = format!("/v1/credentials/{id}/rotate");
        toy.admin("POST", &path, &json!({"overlap_seconds": 600})).ok(201).text_at("secret")
    };
    // So busy that a block is open: most calls are counted in memory.
    (0..400).for_each(|_| drop(toy.whoami(&old).ok(200)));
    let new = rotate();
    toy.whoami(&new).ok(200);
    toy.forget();
    let newest = rotate();
    toy.whoami(&old).refused(401, "revoked_credential");
    toy.whoami(&new).ok(200);
    toy.whoami(&newest).ok(200);
}

#[test]
fn an_old_secret_can_be_ended_before_its_time_and_twice() {
    let toy = world();
    let (id, old) = toy.server_key("acme", "live", &Value::Null);
    let new = toy.admin("POST", &format!("/v1/credentials/{id}/rotate"), &json!({})).ok(201).text_at("secret");
    toy.whoami(&old).ok(200);
    for _ in 0..2 {
        toy.admin("POST", &format!("/v1/credentials/{id}/rotate/finish"), &Value::Null).ok(200);
        toy.whoami(&old).refused(401, "revoked_credential");
    }
    toy.whoami(&new).ok(200);
    let newest = toy.admin("POST", &format!("/v1/credentials/{id}/rotate"), &json!({"overlap_seconds": 0})).ok(201);
    toy.whoami(&new).refused(401, "revoked_credential");
    toy.whoami(&old).refused(401, "revoked_credential");
    toy.whoami(&newest.text_at("secret")).ok(200);
}

#[test]
fn a_revoked_key_is_dead_when_the_answer_is_there() {
    let toy = world();
    let (id, key) = toy.server_key("acme", "live", &Value::Null);
    toy.whoami(&key).ok(200);
    toy.admin("POST", &format!("/v1/credentials/{id}/revoke"), &json!({"reason": "leaked"})).ok(200);
    toy.whoami(&key).refused(401, "revoked_credential");
}

#[test]
fn whoever_finds_a_leaked_key_can_kill_it_even_when_its_limit_is_used_up() {
    let toy = world();
    let (_, key) = toy.server_key("acme", "live", &Value::Null);
    while toy.whoami(&key).status == 200 {}
    toy.server(&key, "POST", "/v1/self/revoke", &Value::Null).ok(200);
    toy.whoami(&key).refused(401, "revoked_credential");
    toy.server(&key, "POST", "/v1/self/revoke", &Value::Null).refused(401, "revoked_credential");
}

#[test]
fn a_leaked_key_is_ended_from_anywhere_and_by_whoever_does_not_know_the_service() {
    let toy = world();
    let (_, key) = toy.server_key("acme", "live", &json!({"allowed_addresses": ["192.0.2.0/24"]}));
    let bearer = format!("Bearer {key}");
    let elsewhere = [("authorization", bearer.as_str()), ("x-client", "198.51.100.1")];
    toy.send("GET", "/v1/whoami", &elsewhere, "").refused(403, "address_not_allowed");
    toy.send("POST", "/v1/self/revoke", &elsewhere, "").ok(200);
    toy.send("GET", "/v1/whoami", &[("authorization", &bearer), ("x-client", "192.0.2.1")], "")
        .refused(401, "revoked_credential");
    let body = json!({
        "kind": "service_token", "workspace": "acme", "environment": "live", "name": "capture", "service": "capture",
    });
    let token = toy.admin("POST", "/v1/credentials", &body).ok(201).text_at("secret");
    toy.send("POST", "/v1/self/revoke", &[("x-service-token", &token)], "").ok(200);
    toy.send("GET", "/v1/whoami", &[("x-service-token", &token), ("x-service-name", "capture")], "")
        .refused(401, "revoked_credential");
}

#[test]
fn a_key_without_the_scope_is_told_which_one_and_admin_implies_all() {
    let toy = Toy::new("default");
    toy.workspace("acme");
    let (_, reader) = toy.server_key("acme", "live", &json!({"scopes": ["conversations:read"]}));
    let (_, admin) = toy.server_key("acme", "live", &json!({"scopes": ["admin"]}));
    toy.server(&reader, "GET", "/v1/conversations", &Value::Null).ok(200);
    toy.server(&admin, "GET", "/v1/conversations", &Value::Null).ok(200);
    let refused = toy.server(&reader, "GET", "/v1/audit", &Value::Null);
    refused.refused(403, "insufficient_scope");
    assert_eq!(refused.json["required"], json!(["admin"]));
    toy.server(&admin, "GET", "/v1/audit", &Value::Null).ok(200);
}

#[test]
fn an_admin_key_makes_keys_of_its_own_workspace_and_environment_only() {
    let toy = Toy::new("default");
    toy.workspace("acme");
    toy.workspace("other");
    let (_, admin) = toy.server_key("acme", "live", &json!({"scopes": ["admin"]}));
    let order = |environment: &str, workspace: Value| {
        let mut body =
            json!({"kind": "server_key", "environment": environment, "name": "n", "scopes": ["messages:read"]});
        if !workspace.is_null() {
            body["workspace"] = workspace;
        }
        toy.server(&admin, "POST", "/v1/credentials", &body)
    };
    let made = order("live", Value::Null).ok(201);
    assert_eq!(made.json["scopes"], json!(["messages:read"]));
    order("test", Value::Null).refused(403, "wrong_environment");
    order("live", json!("other")).refused(403, "wrong_workspace");
    let (other, _) = toy.server_key("other", "live", &Value::Null);
    toy.server(&admin, "POST", &format!("/v1/credentials/{other}/revoke"), &Value::Null).refused(404, "not_found");
    let (test, _) = toy.server_key("acme", "test", &Value::Null);
    toy.server(&admin, "POST", &format!("/v1/credentials/{test}/revoke"), &Value::Null)
        .refused(403, "wrong_environment");
}

#[test]
fn a_key_in_a_browser_is_refused_and_its_owner_sees_where() {
    let toy = world();
    let (id, key) = toy.server_key("acme", "live", &Value::Null);
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str()), ("origin", "https://leaky.example")];
    toy.send("GET", "/v1/whoami", &headers, "").refused(403, "server_key_in_browser");
    let shown = toy.admin("GET", &format!("/v1/credentials/{id}"), &Value::Null).ok(200);
    assert_eq!(shown.json["seen_in_browser"]["origin"], "https://leaky.example");
    toy.whoami(&key).ok(200);
}

#[test]
fn a_service_token_needs_the_name_of_its_service_beside_it() {
    let toy = world();
    let body = json!({
        "kind": "service_token", "workspace": "acme", "environment": "live", "name": "capture", "service": "capture-spine",
    });
    let made = toy.admin("POST", "/v1/credentials", &body).ok(201);
    let token = made.text_at("secret");
    assert!(token.starts_with("gs_st_live_"));
    let call = |name: &str| toy.send("GET", "/v1/whoami", &[("x-service-token", &token), ("x-service-name", name)], "");
    let answer = call("capture-spine").ok(200);
    assert_eq!((answer.hops, &answer.json["kind"]), (1, &json!("service_token")));
    call("other-spine").refused(401, "invalid_credential");
    call("").refused(401, "invalid_credential");
    toy.whoami(&token).refused(401, "invalid_credential");
}

#[test]
fn a_key_with_listed_addresses_opens_nothing_from_elsewhere() {
    let toy = world();
    let (_, key) = toy.server_key("acme", "live", &json!({"allowed_addresses": ["192.0.2.0/24", "2001:db8::/32"]}));
    let bearer = format!("Bearer {key}");
    let from = |address: &str| toy.send("GET", "/v1/whoami", &[("authorization", &bearer), ("x-client", address)], "");
    from("192.0.2.9").ok(200);
    from("2001:db8::9").ok(200);
    from("198.51.100.1").refused(403, "address_not_allowed");
    from("").refused(403, "address_not_allowed");
    from("nonsense").refused(403, "address_not_allowed");
}

#[test]
fn a_place_that_is_taken_is_drawn_again_and_nobody_loses_a_key() {
    let toy = world();
    let (_, first) = toy.server_key("acme", "live", &Value::Null);
    let body = json!({"kind": "server_key", "workspace": "acme", "environment": "live", "name": "n"});
    // The deploy key's dice and the id's come first; then the place, which is the other's.
    toy.load(3, number(&first[8..16]));
    let made = toy.admin("POST", "/v1/credentials", &body).ok(201);
    let usual = toy.admin("POST", "/v1/credentials", &body).ok(201);
    assert_eq!(made.rounds, usual.rounds + 1, "one place more was asked for");
    let second = made.text_at("secret");
    assert_ne!(first[8..16], second[8..16]);
    toy.whoami(&first).ok(200);
    toy.whoami(&second).ok(200);
}

#[test]
fn a_credential_that_is_asked_for_twice_with_one_idempotency_key_is_made_once_and_its_secret_shown_once() {
    let toy = world();
    let key = toy.deploy_key();
    let body = json!({"kind": "server_key", "workspace": "acme", "environment": "live", "name": "n"}).to_string();
    let ask =
        || toy.send("POST", "/v1/credentials", &[("authorization", &key), ("idempotency-key", "once")], &body).ok(201);
    let (first, again) = (ask(), ask());
    assert_eq!(first.text_at("id"), again.text_at("id"));
    assert!(again.json.get("secret").is_none() && again.json["secret_shown"] == true, "{}", again.text);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.made, 0, "no place is taken in vain");
    toy.whoami(&first.text_at("secret")).ok(200);
}

#[test]
fn credentials_are_listed_newest_first_whatever_their_kind_and_however_they_are_paged() {
    let toy = world();
    let mut made = Vec::new();
    for (kind, more) in [
        ("widget_key", json!({"origins": ["https://shop.example"]})),
        ("server_key", json!({})),
        ("service_token", json!({"service": "capture"})),
        ("server_key", json!({})),
        ("widget_key", json!({"origins": ["https://shop.example"]})),
    ] {
        toy.advance(1);
        let mut body = json!({"kind": kind, "workspace": "acme", "environment": "live", "name": "n"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        made.insert(0, toy.admin("POST", "/v1/credentials", &body).ok(201).text_at("id"));
    }
    for limit in [1, 2, 100] {
        let (mut listed, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/credentials?workspace=acme&limit={limit}{cursor}");
            let page = toy.admin("GET", &path, &Value::Null).ok(200);
            listed
                .extend(page.json["items"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()));
            let Some(next) = page.json["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(listed.get(..made.len()), Some(&made[..]), "limit {limit}");
    }
}
