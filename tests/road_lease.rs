//! Leases: what rides on one, what never does, and when whatever was changed is known.
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
use toy::{Answer, Toy};

/// As long as a lease lives in the tier `hot`.
const LEASE_MILLIS: u64 = 2_000;

const POLICY: &str = r#"
brand = "gs"
[scopes]
"conversations:read" = "Read"
"prompts:read" = "Read"
"prompts:write" = "Write"
admin = { says = "All", implies = "*" }
[tiers.hot]
requests = { limit = 60_000, window_seconds = 60 }
lease_seconds = 2
[tiers.cool]
requests = { limit = 60_000, window_seconds = 60 }
[tiers.custom]
custom = true
lease_seconds = 2
[tiers.small]
requests = { limit = 100, window_seconds = 60 }
lease_seconds = 2
[tiers.short]
requests = { limit = 60_000, window_seconds = 10 }
lease_seconds = 60
[[routes]]
match = "GET /v1/prompts"
scope = "prompts:read"
accept = ["server_key", "service_token"]
to = "upstream"
[[routes]]
match = "POST /v1/prompts"
scope = "prompts:write"
accept = ["server_key"]
to = "upstream"
idempotency = "accepted"
"#;

fn world() -> Toy {
    let toy = Toy::changed(&[("POLICY_TOML", POLICY), ("UPSTREAM", "https://api.example")]);
    toy.workspace("acme");
    toy
}

fn hot(toy: &Toy, members: &[(&str, Value)]) -> (String, String) {
    let mut body = json!({"tier": "hot", "scopes": ["prompts:read", "prompts:write", "conversations:read"]});
    for (name, value) in members {
        body[*name] = value.clone();
    }
    toy.server_key("acme", "live", &body)
}

fn get(toy: &Toy, key: &str) -> Answer {
    toy.server(key, "GET", "/v1/prompts", &Value::Null)
}

/// Calls at 100 a second until the isolate holds permits for many more.
fn warm(toy: &Toy, key: &str) {
    for _ in 0..250 {
        toy.advance_millis(10);
        get(toy, key).ok(200);
    }
    assert!((0..2).any(|_| get(toy, key).ok(200).hops == 0), "a lease is held");
}

/// How long calls are still admitted, every ten milliseconds; then what refuses them.
fn goes_on(toy: &Toy, call: impl Fn() -> Answer) -> (u64, Answer) {
    let began = toy.now_millis();
    for _ in 0..1_000 {
        let answer = call();
        if answer.status != 200 {
            return (toy.now_millis() - began, answer);
        }
        toy.advance_millis(10);
    }
    panic!("admitted for ten seconds");
}

fn usage(toy: &Toy, id: &str) -> Value {
    toy.admin("GET", &format!("/v1/credentials/{id}/usage"), &Value::Null).ok(200).json
}

#[test]
fn p4_a_leased_call_asks_nobody_reads_nothing_and_writes_nothing() {
    let toy = world();
    let (id, key) = hot(&toy, &[]);
    warm(&toy, &key);
    let (commits, reads) = (toy.commits.get(), toy.reads.get());
    let answer = get(&toy, &key).ok(200);
    assert_eq!((answer.hops, answer.rounds), (0, 0));
    let sent = toy.forwarded.borrow().last().unwrap().clone();
    assert!(sent.headers.contains(&("claviger-principal".to_owned(), id.clone())));
    let who = toy.whoami(&key).ok(200);
    assert_eq!((who.hops, who.rounds, toy.commits.get(), toy.reads.get()), (0, 0, commits, reads));
    assert_eq!(
        (&who.json["id"], &who.json["tier"], &who.json["workspace"]),
        (&json!(id), &json!("hot"), &json!("acme"))
    );
    assert_eq!(toy.server(&key, "GET", "/v1/conversations", &Value::Null).ok(200).hops, 1, "the list itself");
}

#[test]
fn p4_of_a_thousand_calls_a_second_the_object_sees_a_few() {
    let toy = world();
    let (_, key) = hot(&toy, &[]);
    let (mut first, mut later) = (0, 0);
    for call in 0..10_000 {
        toy.advance_millis(1);
        let hops = toy.whoami(&key).ok(200).hops;
        *(if call < 1_000 { &mut first } else { &mut later }) += hops;
    }
    assert!(first <= 25, "{first} hops in the first second");
    assert!(later <= 9 * 3, "{later} hops in nine seconds");
}

#[test]
fn a_lease_is_for_whoever_calls_often_and_far_from_the_limit() {
    let toy = world();
    for (tier, pause, calls) in [("cool", 1, 500), ("hot", 400, 500), ("small", 1, 90)] {
        let (_, key) = hot(&toy, &[("tier", json!(tier))]);
        for _ in 0..calls {
            toy.advance_millis(pause);
            assert_eq!(toy.whoami(&key).ok(200).hops, 1, "{tier}, every {pause} ms");
        }
    }
    // A caller who takes all that there is, gets all of it, and at the end one by one.
    let limits = json!({"requests": [{"limit": 6_000, "window_seconds": 60}]});
    let (_, key) = hot(&toy, &[("tier", json!("custom")), ("limits", limits)]);
    let hops: Vec<usize> = (0..6_000).map(|_| toy.whoami(&key).ok(200).hops).collect();
    toy.whoami(&key).refused(429, "rate_limited");
    let asked: usize = hops[..5_000].iter().sum();
    assert!(asked < 50, "{asked}");
    assert!(hops[5_980..].iter().all(|hops| *hops == 1));
}

#[test]
fn b_a_revoked_key_rides_on_for_as_long_as_the_lease_at_most() {
    let toy = world();
    let (id, key) = hot(&toy, &[("scopes", json!(["admin"]))]);
    warm(&toy, &key);
    toy.admin("POST", &format!("/v1/credentials/{id}/revoke"), &Value::Null).ok(200);
    // Where nothing is held it is dead at once; and so is whatever administers or writes here.
    toy.chosen.set(1);
    get(&toy, &key).refused(401, "revoked_credential");
    toy.chosen.set(0);
    let (rode, refused) = goes_on(&toy, || get(&toy, &key));
    refused.refused(401, "revoked_credential");
    assert!((1..=LEASE_MILLIS).contains(&rode), "{rode} ms");
    get(&toy, &key).refused(401, "revoked_credential");
}

#[test]
fn b_nothing_that_administers_or_is_kept_here_rides_on_a_lease() {
    let toy = world();
    let (id, key) = hot(&toy, &[("scopes", json!(["admin"]))]);
    for (method, path, body) in [
        ("GET", "/v1/credentials", Value::Null),
        ("POST", "/v1/credentials", json!({"kind": "server_key", "environment": "live", "name": "n", "tier": "hot"})),
        ("GET", "/v1/audit", Value::Null),
        ("GET", "/v1/workspaces/acme", Value::Null),
    ] {
        warm(&toy, &key);
        assert!(toy.server(&key, method, path, &body).hops >= 2, "{method} {path}");
    }
    warm(&toy, &key);
    toy.admin("POST", &format!("/v1/credentials/{id}/revoke"), &Value::Null).ok(200);
    toy.server(&key, "GET", "/v1/credentials", &Value::Null).refused(401, "revoked_credential");
    // And this isolate knows it now.
    get(&toy, &key).refused(401, "revoked_credential");
}

#[test]
fn a_write_that_may_be_retried_asks_and_one_that_streams_through_rides() {
    let toy = world();
    let (_, key) = hot(&toy, &[]);
    warm(&toy, &key);
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", "once")];
    assert!(toy.send("POST", "/v1/prompts", &headers, "{}").ok(200).hops >= 1);
    assert_eq!(toy.server(&key, "POST", "/v1/prompts", &json!({})).ok(200).hops, 0);
}

#[test]
fn whoever_ends_the_key_itself_asks_and_the_lease_is_over() {
    let toy = world();
    let (_, key) = hot(&toy, &[]);
    warm(&toy, &key);
    toy.server(&key, "POST", "/v1/self/revoke", &Value::Null).ok(200);
    get(&toy, &key).refused(401, "revoked_credential");
}

#[test]
fn what_was_changed_is_known_when_the_lease_is_over() {
    let from_here = |toy: &Toy, key: &str| {
        toy.send("GET", "/v1/prompts", &[("authorization", &format!("Bearer {key}")), ("x-client", "192.0.2.1")], "")
    };
    for (what, body, code) in [
        ("", json!({"scopes": ["prompts:write"]}), "insufficient_scope"),
        ("", json!({"allowed_addresses": ["198.51.100.0/24"]}), "address_not_allowed"),
        ("/rotate", json!({"overlap_seconds": 0}), "revoked_credential"),
        ("/rotate/finish", Value::Null, "revoked_credential"),
    ] {
        let toy = world();
        let (id, key) = hot(&toy, &[]);
        if what == "/rotate/finish" {
            toy.admin("POST", &format!("/v1/credentials/{id}/rotate"), &json!({"overlap_seconds": 600})).ok(201);
        }
        warm(&toy, &key);
        let method = if what.is_empty() { "PATCH" } else { "POST" };
        let changed = toy.admin(method, &format!("/v1/credentials/{id}{what}"), &body);
        assert!(changed.status < 300, "{}", changed.text);
        let (rode, refused) = goes_on(&toy, || from_here(&toy, &key));
        assert_eq!(refused.code(), code);
        assert!((1..=LEASE_MILLIS).contains(&rode), "{code}: {rode} ms");
    }
}

#[test]
fn an_isolate_that_has_asked_meanwhile_knows_what_was_changed() {
    let toy = world();
    let (id, key) = hot(&toy, &[]);
    warm(&toy, &key);
    toy.admin("PATCH", &format!("/v1/credentials/{id}"), &json!({"scopes": ["prompts:write"]})).ok(200);
    get(&toy, &key).ok(200);
    let bearer = format!("Bearer {key}");
    toy.send("POST", "/v1/prompts", &[("authorization", &bearer), ("idempotency-key", "once")], "{}").ok(200);
    get(&toy, &key).refused(403, "insufficient_scope");
}

#[test]
fn an_end_that_was_known_when_the_lease_was_taken_is_exact() {
    let toy = world();
    let (id, key) = hot(&toy, &[]);
    let end = toy.now_millis() + 3_000;
    let expires_at = claviger::codec::time::Timestamp(end).rfc3339();
    toy.admin("PATCH", &format!("/v1/credentials/{id}"), &json!({"expires_at": expires_at})).ok(200);
    warm(&toy, &key);
    let (_, refused) = goes_on(&toy, || get(&toy, &key));
    refused.refused(401, "expired_credential");
    assert_eq!(toy.now_millis(), end);
    // The overlap of a rotation as well.
    let (id, old) = hot(&toy, &[]);
    toy.admin("POST", &format!("/v1/credentials/{id}/rotate"), &json!({"overlap_seconds": 3})).ok(201);
    let end = toy.now_millis() + 3_000;
    warm(&toy, &old);
    goes_on(&toy, || get(&toy, &old)).1.refused(401, "revoked_credential");
    assert_eq!(toy.now_millis(), end);
}

#[test]
fn another_secret_of_the_same_key_has_no_part_in_its_lease() {
    let toy = world();
    let (id, old) = hot(&toy, &[]);
    warm(&toy, &old);
    let rotated = toy.admin("POST", &format!("/v1/credentials/{id}/rotate"), &json!({"overlap_seconds": 600})).ok(201);
    assert_eq!(get(&toy, &rotated.text_at("secret")).ok(200).hops, 1);
    assert_eq!(get(&toy, &old).ok(200).hops, 0);
    let last = if old.ends_with('0') { "1" } else { "0" };
    toy::idle(&get(&toy, &format!("{}{last}", &old[..39])), 401, "invalid_credential");
}

#[test]
fn what_a_lease_would_refuse_is_asked_refused_and_recorded() {
    let toy = world();
    let (id, key) = hot(&toy, &[("scopes", json!(["prompts:read"])), ("allowed_addresses", json!(["192.0.2.0/24"]))]);
    let bearer = format!("Bearer {key}");
    let call = |method: &str, path: &str, more: (&str, &str), client: &str| {
        toy.send(method, path, &[("authorization", &bearer), ("x-client", client), more], "")
    };
    for _ in 0..250 {
        toy.advance_millis(10);
        call("GET", "/v1/prompts", ("accept", "*/*"), "192.0.2.1").ok(200);
    }
    assert_eq!(call("GET", "/v1/prompts", ("accept", "*/*"), "192.0.2.1").ok(200).hops, 0);
    for (method, path, more, client, status, code) in [
        ("POST", "/v1/prompts", ("accept", "*/*"), "192.0.2.1", 403, "insufficient_scope"),
        ("GET", "/v1/prompts", ("accept", "*/*"), "198.51.100.1", 403, "address_not_allowed"),
        ("GET", "/v1/prompts", ("origin", "https://leaky.example"), "192.0.2.1", 403, "server_key_in_browser"),
    ] {
        let refused = call(method, path, more, client);
        refused.refused(status, code);
        assert_eq!(refused.hops, 1);
    }
    assert_eq!(call("GET", "/v1/prompts", ("accept", "*/*"), "192.0.2.1").ok(200).hops, 0, "nobody else is kept out");
    let shown = toy.admin("GET", &format!("/v1/credentials/{id}"), &Value::Null).ok(200);
    assert_eq!(shown.json["seen_in_browser"]["origin"], "https://leaky.example");
    assert_eq!(usage(&toy, &id)["denied"], 3);
    toy.advance(61);
    let rows = toy.admin("GET", "/v1/audit?workspace=acme&limit=100", &Value::Null).ok(200);
    let refused = rows.json["items"].as_array().unwrap().iter().filter(|row| row["outcome"] == "refused").count();
    assert!(refused >= 3, "{}", rows.text);
}

#[test]
fn a_service_token_rides_beside_the_name_of_its_service_only() {
    let toy = world();
    let body = json!({"kind": "service_token", "workspace": "acme", "environment": "live", "name": "s", "service": "spine",
        "tier": "hot", "scopes": ["prompts:read"]});
    let token = toy.admin("POST", "/v1/credentials", &body).ok(201).text_at("secret");
    let call =
        |name: &str| toy.send("GET", "/v1/prompts", &[("x-service-token", &token), ("x-service-name", name)], "");
    for _ in 0..250 {
        toy.advance_millis(10);
        call("spine").ok(200);
    }
    assert_eq!(call("spine").ok(200).hops, 0);
    let other = call("other");
    other.refused(401, "invalid_credential");
    assert_eq!(other.hops, 1);
    assert_eq!(call("spine").ok(200).hops, 0);
}

#[test]
fn usage_is_exact_once_the_isolate_has_asked_again_and_a_lost_one_loses_what_it_had_not_told() {
    let toy = world();
    let (id, key) = hot(&toy, &[]);
    let bearer = format!("Bearer {key}");
    for call in 0..500 {
        toy.advance_millis(10);
        let client = if call < 499 { "192.0.2.1" } else { "198.51.100.1" };
        let path = if call % 5 == 0 { "/v1/whoami" } else { "/v1/prompts" };
        toy.send("GET", path, &[("authorization", &bearer), ("x-client", client)], "").ok(200);
    }
    let untold = 500 - usage(&toy, &id)["total"].as_u64().unwrap();
    assert!((1..=200).contains(&untold), "{untold} of a lease");
    toy.advance(3);
    let last = toy.now_millis();
    assert_eq!(
        toy.send("GET", "/v1/prompts", &[("authorization", &bearer), ("x-client", "203.0.113.1")], "").ok(200).hops,
        1
    );
    let told = usage(&toy, &id);
    assert_eq!((&told["total"], &told["by_secret"][0]["total"]), (&json!(501), &json!(501)));
    let by_scope = told["by_scope"].as_array().unwrap().iter().find(|scope| scope["scope"] == "prompts:read").unwrap();
    assert_eq!(by_scope["total"], 401);
    assert_eq!(told["last_used_at"], claviger::codec::time::Timestamp(last).rfc3339());
    assert_eq!(told["network"], "203.0.113.0/24");
    let sum: u64 = told["series"].as_array().unwrap().iter().map(|step| step["total"].as_u64().unwrap()).sum();
    assert_eq!(sum, 501);
    warm(&toy, &key);
    toy.isolate.forget();
    toy.advance(3);
    get(&toy, &key).ok(200);
    let after = usage(&toy, &id)["total"].as_u64().unwrap();
    assert!((753 - 200..753).contains(&after), "{after}");
}

#[test]
fn usage_of_an_isolate_whose_clock_is_ahead_is_of_the_past() {
    let toy = world();
    let (id, key) = hot(&toy, &[]);
    let now = toy.now_millis();
    toy.ahead.set(7_200_000);
    (0..300).for_each(|_| drop(get(&toy, &key).ok(200)));
    toy.advance(3);
    get(&toy, &key).ok(200);
    toy.ahead.set(0);
    let usage = usage(&toy, &id);
    assert_eq!(usage["total"], 301);
    assert_eq!(usage["last_used_at"], claviger::codec::time::Timestamp(now + 3_000).rfc3339());
    let series = usage["series"].as_array().unwrap();
    assert_eq!((series.len(), &series[0]["total"]), (1, &json!(301)));
}

#[test]
fn a_lease_ends_when_the_clock_is_found_behind_and_the_hour_of_a_clock_does_not_matter() {
    let toy = world();
    toy.ahead.set(7_200_000);
    let (id, key) = hot(&toy, &[]);
    warm(&toy, &key);
    toy.ahead.set(7_199_000);
    assert_eq!(get(&toy, &key).ok(200).hops, 1, "an hour or a second ago: nobody can say");
    warm(&toy, &key);
    toy.admin("POST", &format!("/v1/credentials/{id}/revoke"), &Value::Null).ok(200);
    let (rode, _) = goes_on(&toy, || get(&toy, &key));
    assert!((1..=LEASE_MILLIS).contains(&rode), "{rode} ms");
}

#[test]
fn an_answer_that_was_on_its_way_when_the_clock_stepped_back_brings_no_lease() {
    // One of these calls is the one that asks for permits.
    for before in 3..7 {
        let toy = world();
        toy.ahead.set(7_200_000);
        let ((_, key), (_, other)) = (hot(&toy, &[]), hot(&toy, &[]));
        for _ in 0..before {
            toy.advance_millis(10);
            get(&toy, &key).ok(200);
        }
        // It is under way, the clock is set back, and somebody else's call sees that.
        toy.after_hops(0, move |toy| {
            toy.ahead.set(3_600_000);
            get(toy, &other).ok(200);
        });
        get(&toy, &key).ok(200);
        assert_eq!((toy.ahead.get(), get(&toy, &key).ok(200).hops), (3_600_000, 1), "after {before}");
    }
}

#[test]
fn a_lease_lives_for_a_twentieth_of_the_shortest_window_at_most() {
    let toy = world();
    let (id, key) = hot(&toy, &[("tier", json!("short"))]);
    for _ in 0..500 {
        toy.advance_millis(4);
        toy.whoami(&key).ok(200);
    }
    toy.admin("POST", &format!("/v1/credentials/{id}/revoke"), &Value::Null).ok(200);
    let (rode, _) = goes_on(&toy, || toy.whoami(&key));
    assert!((1..=500).contains(&rode), "{rode} ms");
}

#[test]
fn h11_the_headers_of_a_leased_call_promise_no_more_than_the_object_would_admit() {
    let toy = world();
    let (_, key) = hot(
        &toy,
        &[("tier", json!("custom")), ("limits", json!({"requests": [{"limit": 3_000, "window_seconds": 60}]}))],
    );
    let mut leased = 0;
    for call in 0..2_900u64 {
        toy.advance_millis(2);
        let answer = toy.whoami(&key).ok(200);
        let remaining: u64 = answer.header("x-ratelimit-remaining").unwrap().parse().unwrap();
        leased += usize::from(answer.hops == 0);
        assert!(remaining < 3_000 - call, "{remaining} left after {call}");
        assert!(remaining + 2 * 150 >= 3_000 - call - 1, "{remaining} left after {call}");
        let reset: u64 = answer.header("x-ratelimit-reset").unwrap().parse().unwrap();
        assert!(reset * 1_000 >= toy.now_millis());
    }
    assert!(leased > 2_000, "{leased}");
}
