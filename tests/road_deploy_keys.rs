//! Deploy keys under `/v1/credentials`: who makes them, what is known of those that nobody made here, and how they end.
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
    credential::{DeployKey, Kind as _},
    value::id::Stage,
};
use serde_json::{Value, json};
use toy::{Answer, Fault, Toy};

const DAY: u64 = 86_400;
const LIST: &str = "/v1/credentials?kind=deploy_key";

fn world() -> Toy {
    Toy::new("default")
}

/// A call with the text of a deploy key.
fn with(toy: &Toy, text: &str, method: &str, path: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    toy.send(method, path, &[("authorization", &format!("Convex {text}"))], &body)
}

fn whoami(toy: &Toy, text: &str) -> Answer {
    with(toy, text, "GET", "/v1/whoami", &Value::Null)
}

/// A deploy key that the command line made for a day, and its id.
fn offline(toy: &Toy) -> (String, String) {
    let text = toy.deploy_key_for(Stage::Dev, "local", DAY);
    let key = DeployKey::verify(&text, "clv", &toy.config.as_ref().unwrap().ring);
    (key.unwrap().unwrap().id.into(), text)
}

fn order() -> Value {
    json!({"kind": "deploy_key", "stage": "dev", "name": "CI"})
}

/// Makes one with whatever else `members` say: its id and its text.
fn make(toy: &Toy, members: &Value) -> (String, String) {
    let mut body = order();
    for (name, value) in members.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    let made = toy.admin("POST", "/v1/credentials", &body).ok(201);
    (made.text_at("id"), made.text_at("secret"))
}

fn read(toy: &Toy, id: &str) -> Value {
    toy.admin("GET", &format!("/v1/credentials/{id}"), &Value::Null).ok(200).json
}

/// One of the list; the newest that is not the asker's own.
fn listed(toy: &Toy, id: &str) -> Option<Value> {
    let page = toy.admin("GET", &format!("{LIST}&limit=100"), &Value::Null).ok(200).json;
    page["items"].as_array().unwrap().iter().find(|item| item["id"] == id).cloned()
}

fn break_list(toy: &Toy) {
    toy.faults.borrow_mut().insert(("DEPLOYMENT_OBJECT".to_owned(), "local".to_owned()), Fault::Dead);
}

fn mend(toy: &Toy) {
    toy.faults.borrow_mut().clear();
}

#[test]
fn a_deploy_key_makes_another_which_is_shown_once_and_costs_one_hop() {
    let toy = world();
    let (maker, text) = offline(&toy);
    let made = with(&toy, &text, "POST", "/v1/credentials", &order()).ok(201);
    let secret = made.text_at("secret");
    assert!(secret.starts_with("dev:local|clv_dk_"), "{secret}");
    let hint = format!("dev:local|clv_dk_…{}", &secret[secret.len() - 4..]);
    let expected = json!({
        "id": made.json["id"], "kind": "deploy_key", "hint": hint, "name": "CI", "workspace": null, "scopes": [],
        "environment": null, "stage": "dev", "deployment": "local", "tier": null, "status": "active",
        "created_at": "2026-01-01T00:00:00.000Z", "created_by": format!("deploy_key:{maker}"),
        "expires_at": "2026-04-01T00:00:00.000Z", "last_used_at": null,
    });
    let mut shown = made.json.clone();
    shown.as_object_mut().unwrap().remove("secret");
    assert_eq!(shown, expected);
    assert_eq!(
        (read(&toy, &made.text_at("id")), listed(&toy, &made.text_at("id"))),
        (expected.clone(), Some(expected))
    );

    let told = whoami(&toy, &secret).ok(200);
    assert_eq!(
        (told.hops, told.text_at("id"), told.text_at("expires_at")),
        (1, made.text_at("id"), shown["expires_at"].as_str().unwrap().to_owned())
    );
    assert_eq!(made.log["target"], made.json["id"]);
}

#[test]
fn it_lives_ninety_days_where_nobody_says_and_a_year_at_most() {
    let toy = world();
    let (_, ninety) = make(&toy, &Value::Null);
    let (_, year) = make(&toy, &json!({"expires_in": 366 * DAY}));
    let (_, brief) = make(&toy, &json!({"expires_in": 1}));
    for expires_in in [json!(366 * DAY + 1), json!(0), json!("1"), json!(1.5)] {
        let mut body = order();
        body["expires_in"] = expires_in;
        toy.admin("POST", "/v1/credentials", &body).refused(400, "invalid_request");
    }
    toy.advance(1);
    whoami(&toy, &brief).refused(401, "expired_credential");
    toy.advance(90 * DAY - 2);
    whoami(&toy, &ninety).ok(200);
    toy.advance(1);
    whoami(&toy, &ninety).refused(401, "expired_credential");
    whoami(&toy, &year).ok(200);
}

#[test]
fn what_belongs_to_a_workspace_or_to_another_stage_does_not_belong_to_a_deploy_key() {
    let toy = world();
    for (name, value) in [
        ("workspace", json!("acme")),
        ("environment", json!("live")),
        ("scopes", json!(["admin"])),
        ("tier", json!("free")),
        ("limits", json!({"requests": []})),
        ("origins", json!(["https://shop.example"])),
        ("allowed_addresses", json!(["192.0.2.1"])),
        ("service", json!("s")),
        ("deployment", json!("other")),
        ("stage", json!("live")),
        ("stage", json!("Production")),
        ("stage", Value::Null),
        ("name", Value::Null),
        ("name", json!("clv_dk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")),
    ] {
        let mut body = order();
        body[name] = value;
        let refused = toy.admin("POST", "/v1/credentials", &body);
        refused.refused(400, "invalid_request");
        assert!(refused.text_at("error").contains(name), "{name}: {}", refused.text);
    }
    for stage in ["staging", "prod", "production"] {
        let mut body = order();
        body["stage"] = json!(stage);
        toy.admin("POST", "/v1/credentials", &body).refused(403, "wrong_stage");
    }
    make(&toy, &json!({"scopes": [], "origins": [], "tier": null}));
}

#[test]
fn no_workspaces_own_credential_makes_one_or_learns_of_one() {
    let toy = world();
    toy.workspace("acme");
    let (id, _) = make(&toy, &Value::Null);
    for (environment, scopes) in [("live", json!(["admin"])), ("test", json!(["admin"])), ("live", json!([]))] {
        let (_, key) = toy.server_key("acme", environment, &json!({"scopes": scopes}));
        let is_admin = scopes != json!([]);
        let code = if is_admin { "credential_kind_not_allowed" } else { "insufficient_scope" };
        toy.server(&key, "POST", "/v1/credentials", &order()).refused(403, code);
        toy.server(&key, "GET", LIST, &Value::Null).refused(403, code);
        for (method, tail) in [
            ("GET", ""),
            ("PATCH", ""),
            ("POST", "/rotate"),
            ("POST", "/rotate/finish"),
            ("POST", "/revoke"),
            ("GET", "/usage"),
        ] {
            let answer = toy.server(&key, method, &format!("/v1/credentials/{id}{tail}"), &Value::Null);
            if is_admin {
                answer.refused(404, "not_found")
            } else {
                answer.refused(403, "insufficient_scope")
            };
        }
    }
    assert_eq!(read(&toy, &id)["status"], "active");
    toy.admin("GET", &format!("/v1/credentials/{id}?workspace=acme"), &Value::Null).refused(404, "not_found");
}

#[test]
fn one_idempotency_key_makes_one_deploy_key_and_shows_its_text_once() {
    let toy = world();
    let key = toy.deploy_key();
    let ask = |body: &Value| {
        let headers = [("authorization", key.as_str()), ("idempotency-key", "once")];
        toy.send("POST", "/v1/credentials", &headers, &body.to_string())
    };
    let (first, again) = (ask(&order()).ok(201), ask(&order()).ok(201));
    assert_eq!(first.text_at("id"), again.text_at("id"));
    assert!(again.json.get("secret").is_none() && again.json["secret_shown"] == true, "{}", again.text);
    assert_eq!((again.header("idempotent-replayed"), again.made), (Some("true"), 0));
    let mut other = order();
    other["name"] = json!("other");
    ask(&other).refused(422, "idempotency_key_reused");
    whoami(&toy, &first.text_at("secret")).ok(200);
}

#[test]
fn a_key_that_was_made_offline_is_listed_from_its_first_use_on() {
    let toy = world();
    let (id, text) = offline(&toy);
    assert_eq!(listed(&toy, &id), None);
    toy.admin("GET", &format!("/v1/credentials/{id}"), &Value::Null).refused(404, "not_found");
    toy.advance(5);
    whoami(&toy, &text).ok(200);
    let shown = listed(&toy, &id).unwrap();
    assert_eq!(shown["hint"], format!("dev:local|clv_dk_…{}", &text[text.len() - 4..]));
    assert_eq!((&shown["name"], &shown["created_by"]), (&json!("made offline"), &json!("cli:")));
    assert_eq!(
        (&shown["created_at"], &shown["expires_at"]),
        (&json!("2026-01-01T00:00:00.000Z"), &json!("2026-01-02T00:00:00.000Z"))
    );
    assert_eq!((&shown["last_used_at"], &shown["status"]), (&json!("2026-01-01T00:00:05.000Z"), &json!("expiring")));
    // The list is told no more often than once a day: its own object says so now.
    toy.advance(60);
    whoami(&toy, &text).ok(200);
    assert_eq!(read(&toy, &id)["last_used_at"], "2026-01-01T00:01:05.000Z");
}

#[test]
fn whoever_asks_is_on_the_list_even_if_word_of_it_is_still_on_the_way() {
    let toy = world();
    let (early, late) = (offline(&toy), offline(&toy));
    break_list(&toy);
    whoami(&toy, &early.1).ok(200);
    whoami(&toy, &late.1).ok(200);
    mend(&toy);
    let ids = |answer: Answer| {
        let items = answer.ok(200).json["items"].as_array().unwrap().clone();
        items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(with(&toy, &early.1, "GET", LIST, &Value::Null)), std::slice::from_ref(&early.0));
    let read = with(&toy, &late.1, "GET", &format!("/v1/credentials/{}", early.0), &Value::Null).ok(200);
    assert_eq!(read.text_at("id"), early.0);
    let path = format!("/v1/credentials/{}/rotate", late.0);
    let rotated = with(&toy, &late.1, "POST", &path, &Value::Null).ok(201);
    whoami(&toy, &rotated.text_at("secret")).ok(200);
    toy.advance(1);
    let mut both = vec![early.0, late.0];
    both.sort();
    both.reverse();
    assert_eq!(ids(with(&toy, &early.1, "GET", LIST, &Value::Null)), both);
    assert_eq!(ids(with(&toy, &early.1, "GET", &format!("{LIST}&limit=1"), &Value::Null)), both[..1]);
}

#[test]
fn whoever_asks_first_stands_in_its_place_of_the_list_and_on_one_page() {
    let toy = world();
    let ids = |text: &str, query: &str| {
        let items = with(&toy, text, "GET", &format!("{LIST}{query}"), &Value::Null).ok(200).json["items"].clone();
        items.as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut keys: Vec<(String, String)> = (0..5).map(|_| offline(&toy)).collect();
    keys.sort();
    keys.reverse();
    let (ids_of, text): (Vec<String>, Vec<String>) = keys.into_iter().unzip();
    let id = |place: usize| ids_of[place].clone();
    for place in [0, 4] {
        whoami(&toy, &text[place]).ok(200);
    }
    break_list(&toy);
    for place in [1, 2, 3] {
        whoami(&toy, &text[place]).ok(200);
    }
    mend(&toy);
    assert_eq!(ids(&text[1], ""), [id(0), id(1), id(4)]);
    assert_eq!(ids(&text[2], &format!("&cursor={}", id(2))), [id(4)], "it stands on the page before");
    assert_eq!(ids(&text[3], &format!("&cursor={}", id(0))), [id(1), id(2), id(3), id(4)]);
    toy.advance(1);
    assert_eq!(ids(&text[4], ""), ids_of);
}

#[test]
fn a_deployment_makes_ten_thousand_deploy_keys_and_no_more() {
    let toy = world();
    let list = ("DEPLOYMENT_OBJECT".to_owned(), "local".to_owned());
    make(&toy, &Value::Null);
    let count = claviger::codec::cbor::write(&9_999_usize);
    toy.objects.borrow_mut().get_mut(&list).unwrap().rows.insert("deploy-key-count".to_owned(), count);
    make(&toy, &Value::Null);
    toy.admin("POST", "/v1/credentials", &order()).refused(409, "conflict");
    let (id, text) = offline(&toy);
    whoami(&toy, &text).ok(200);
    assert!(listed(&toy, &id).is_some(), "those of the command line are listed all the same");
}

#[test]
fn a_key_that_was_ended_before_its_first_use_is_remembered_as_ended() {
    let toy = world();
    let (id, text) = offline(&toy);
    toy.advance(7);
    let revoked = toy.admin("POST", &format!("/v1/credentials/{id}/revoke"), &json!({"reason": "lost"})).ok(200);
    assert_eq!(revoked.json, json!({"status": "revoked", "revoked_at": "2026-01-01T00:00:07.000Z"}));
    let tombstone = listed(&toy, &id).unwrap();
    assert_eq!((&tombstone["status"], &tombstone["hint"]), (&json!("revoked"), &json!("dev:local|clv_dk_…")));
    assert_eq!((&tombstone["expires_at"], &tombstone["revoked_at"]), (&Value::Null, &revoked.json["revoked_at"]));
    whoami(&toy, &text).refused(401, "revoked_credential");
    toy.advance(120);
    assert_eq!(read(&toy, &id), tombstone);
    for (method, tail, body) in [
        ("PATCH", "", json!({"name": "back"})),
        ("POST", "/rotate", Value::Null),
        ("POST", "/rotate/finish", Value::Null),
    ] {
        toy.admin(method, &format!("/v1/credentials/{id}{tail}"), &body).refused(409, "conflict");
    }
}

#[test]
fn the_list_is_asked_by_status_and_page_and_for_no_workspace() {
    let toy = world();
    let asker = toy.deploy_key();
    let get = |query: &str| toy.send("GET", &format!("{LIST}{query}"), &[("authorization", &asker)], "");
    get("").ok(200);
    let ids: Vec<String> = (0..4)
        .map(|number| {
            toy.advance(1);
            let body = json!({"kind": "deploy_key", "stage": "dev", "name": "n", "expires_in": if number == 0 { 10 } else { 30 * DAY }});
            let headers = [("authorization", asker.as_str())];
            toy.send("POST", "/v1/credentials", &headers, &body.to_string()).ok(201).text_at("id")
        })
        .collect();
    let revoke = format!("/v1/credentials/{}/revoke", ids[1]);
    toy.send("POST", &revoke, &[("authorization", &asker)], "").ok(200);
    toy.advance(20);
    let of = |query: &str| {
        let page = get(query).ok(200).json;
        let items = page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned());
        (items.collect::<Vec<_>>(), page["next_cursor"].as_str().map(str::to_owned))
    };
    assert_eq!(of("&status=revoked").0, [ids[1].clone()]);
    assert_eq!(of("&status=expired").0, [ids[0].clone()]);
    assert_eq!(of("&status=active").0, [ids[3].clone(), ids[2].clone()]);
    assert_eq!(of("&status=expiring").0.len(), 1, "the asker, for an hour");
    let (first, next) = of("&limit=2");
    assert_eq!(first, [ids[3].clone(), ids[2].clone()]);
    // Also by the id of the last one, as earlier versions said it.
    for cursor in [next.unwrap(), ids[2].clone()] {
        let (rest, end) = of(&format!("&limit=3&cursor={cursor}"));
        assert_eq!((&rest[..2], rest.len(), end), (&[ids[1].clone(), ids[0].clone()][..], 3, None));
    }
    for query in ["&status=dead", "&cursor=x", "&limit=0", "&workspace=acme", "&environment=live"] {
        get(query).refused(400, "invalid_request");
    }
    toy.admin("GET", "/v1/credentials", &Value::Null).refused(400, "invalid_request");
    toy.admin("GET", "/v1/credentials?kind=history_secret", &Value::Null).refused(400, "invalid_request");
}

#[test]
fn name_and_end_can_be_changed_and_the_end_never_beyond_what_is_signed() {
    let toy = world();
    let (id, text) = make(&toy, &json!({"expires_in": 100}));
    let change = |body: Value| toy.admin("PATCH", &format!("/v1/credentials/{id}"), &body);
    assert_eq!(change(json!({"name": "new"})).ok(200).json["name"], "new");
    let at = |seconds: u64| json!({"expires_at": format!("2026-01-01T00:{:02}:{:02}Z", seconds / 60, seconds % 60)});
    let shown = change(at(10)).ok(200).json;
    assert_eq!((&shown["expires_at"], &shown["name"]), (&json!("2026-01-01T00:00:10.000Z"), &json!("new")));
    assert_eq!(whoami(&toy, &text).ok(200).json["expires_at"], shown["expires_at"]);
    toy.advance(10);
    whoami(&toy, &text).refused(401, "expired_credential");
    assert_eq!(read(&toy, &id)["status"], "expired");
    let refused = change(at(101));
    refused.refused(400, "invalid_request");
    assert!(refused.text.contains("2026-01-01T00:01:40.000Z"), "{}", refused.text);
    change(at(100)).ok(200);
    toy.advance(89);
    whoami(&toy, &text).ok(200);
    toy.advance(1);
    whoami(&toy, &text).refused(401, "expired_credential");
    for body in [
        json!({"expires_at": null}),
        json!({"expires_at": "soon"}),
        json!({"scopes": ["admin"]}),
        json!({"stage": "dev"}),
    ] {
        change(body).refused(400, "invalid_request");
    }
    toy.admin("POST", &format!("/v1/credentials/{id}/revoke"), &Value::Null).ok(200);
    change(json!({"name": "back"})).refused(409, "conflict");
    toy.admin("PATCH", "/v1/credentials/dk_00000000000000000000", &json!({})).refused(404, "not_found");
}

#[test]
fn a_key_that_ends_is_dead_at_once_and_the_list_learns_it() {
    let toy = world();
    let (id, text) = make(&toy, &Value::Null);
    let path = format!("/v1/credentials/{id}/revoke");
    break_list(&toy);
    let pending = toy.admin("POST", &path, &json!({"reason": "leaked"}));
    assert_eq!(pending.refused(503, "unavailable").json["pending"], true);
    whoami(&toy, &text).refused(401, "revoked_credential");
    mend(&toy);
    assert_eq!(read(&toy, &id)["status"], "active", "not told yet");
    let told = toy.admin("POST", &path, &json!({"reason": "again"})).ok(200);
    assert_eq!(read(&toy, &id)["revoked_at"], told.json["revoked_at"]);
    toy.advance(1);
    assert_eq!(toy.admin("POST", &path, &Value::Null).ok(200).json, told.json);
    toy.faults.borrow_mut().insert(("CREDENTIAL".to_owned(), id), Fault::Dead);
    toy.admin("POST", &path, &Value::Null).refused(503, "unavailable");
}

#[test]
fn whoever_finds_a_deploy_key_can_kill_it_with_itself() {
    let toy = world();
    for (id, text) in [offline(&toy), make(&toy, &Value::Null)] {
        with(&toy, &text, "POST", "/v1/self/revoke", &Value::Null).ok(200);
        whoami(&toy, &text).refused(401, "revoked_credential");
        assert_eq!(read(&toy, &id)["status"], "revoked");
    }
}

#[test]
fn a_deploy_key_in_a_browser_is_refused_and_shown_where_it_was_seen() {
    let toy = world();
    for (id, text) in [offline(&toy), make(&toy, &Value::Null)] {
        let authorization = format!("Convex {text}");
        let from = |name: &str, value: &str| {
            toy.send("GET", "/v1/whoami", &[("authorization", &authorization), (name, value)], "")
        };
        let seen = || read(&toy, &id)["seen_in_browser"].clone();
        let at = claviger::codec::time::Timestamp(toy.now_millis()).rfc3339();
        from("origin", "https://leaky.example").refused(403, "server_key_in_browser");
        assert_eq!(seen(), json!({"at": at, "origin": "https://leaky.example"}));
        from("origin", "https://other.example").refused(403, "server_key_in_browser");
        assert_eq!(seen()["origin"], "https://leaky.example", "once a minute, where it is another page");
        toy.advance(60);
        from("origin", &format!("https://{text}.example")).refused(403, "server_key_in_browser");
        assert_eq!(seen()["origin"], Value::Null, "no sound origin is none");
        toy.advance(60);
        from("sec-fetch-site", "cross-site").refused(403, "server_key_in_browser");
        assert!(seen()["origin"].is_null() && read(&toy, &id)["last_used_at"].is_null());
        whoami(&toy, &text).ok(200);
    }
    let elsewhere = format!("Convex {}", toy.deploy_key_for(Stage::Prod, "local", DAY));
    let before = listed_count(&toy);
    toy.send("GET", "/v1/whoami", &[("authorization", &elsewhere), ("origin", "https://a.example")], "")
        .refused(403, "wrong_stage");
    assert_eq!(listed_count(&toy), before + 1, "the asker alone");
}

#[test]
fn a14_a_deploy_key_that_is_used_all_day_is_told_by_the_minute_and_then_by_the_hour() {
    let toy = world();
    let (id, text) = make(&toy, &json!({ "name": "ci" }));
    for _ in 0..200 {
        whoami(&toy, &text).ok(200);
        toy.advance(60);
    }
    toy.advance(3_600);
    let page =
        toy.admin("GET", &format!("/v1/audit?action=deploy_key.use&actor=deploy_key:{id}&limit=100"), &Value::Null);
    let events = page.ok(200).json["items"].as_array().unwrap().clone();
    let count: u64 = events.iter().map(|event| event["count"].as_u64().unwrap()).sum();
    assert_eq!(count, 200, "each use is counted once: {events:?}");
    assert!((11..=14).contains(&events.len()), "{} events", events.len());
}

fn listed_count(toy: &Toy) -> usize {
    toy.admin("GET", &format!("{LIST}&limit=100"), &Value::Null).ok(200).json["items"].as_array().unwrap().len()
}
