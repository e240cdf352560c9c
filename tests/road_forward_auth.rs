//! `GET /v1/forward-auth`: what a proxy is told about a call that it holds, and what it must say of that call.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod toy;

use claviger::introspection::forwarded_call::Original;
use serde_json::{Value, json};
use toy::{Answer, ORIGIN, Toy, forge, idle};

const POLICY: &str = r#"
brand = "clv"
[scopes]
"prompts:read" = "Read prompts"
"prompts:write" = "Change prompts"
[tiers.free]
requests = { limit = 3, window_seconds = 60 }
[widget]
[[routes]]
match = "GET /v1/prompts/{id}"
scope = "prompts:read"
accept = ["server_key", "service_token", "deploy_key"]
to = "upstream"
[[routes]]
match = "POST /v1/prompts"
scope = "prompts:write"
accept = ["server_key", "deploy_key"]
to = "upstream"
idempotency = "accepted"
[[routes]]
match = "POST /v1/reviewed"
accept = ["server_key", "deploy_key"]
to = "upstream"
review = true
[[routes]]
match = "POST /v1/once"
accept = ["deploy_key"]
to = "upstream"
idempotency = "required"
[[routes]]
match = "POST /v1/tokens"
accept = ["deploy_key"]
to = "upstream"
tokens = { reserve = "max_tokens", settle = "usage.total_tokens" }
[[routes]]
match = "GET /v1/records/{rest...}"
accept = ["deploy_key"]
to = "records"
"#;

fn toy() -> Toy {
    let toy = Toy::changed(&[("POLICY_TOML", POLICY)]);
    toy.workspace("acme");
    toy
}

impl Toy {
    /// A proxy asks, with the caller's headers.
    fn forward_auth(&self, method: &str, uri: &str, headers: &[(&str, &str)]) -> Answer {
        let mut all =
            vec![("x-forwarded-method", method), ("x-forwarded-uri", uri), ("x-forwarded-host", "api.example")];
        all.extend(headers);
        self.send("GET", "/v1/forward-auth", &all, "")
    }
}

#[test]
fn a_good_call_is_204_with_our_word_about_who_it_is_and_what_is_left() {
    let toy = toy();
    let (id, key) = toy.server_key("acme", "live", &json!({"scopes": ["prompts:read", "prompts:write"]}));
    let told = toy.forward_auth("GET", "/v1/prompts/1?a=b", &[("x-api-key", &key)]).ok(204);
    assert_eq!((told.text.as_str(), told.hops), ("", 1));
    for (name, value) in [
        ("claviger-principal", id.as_str()),
        ("claviger-kind", "server_key"),
        ("claviger-workspace", "acme"),
        ("claviger-environment", "live"),
        ("claviger-scopes", "prompts:read prompts:write"),
        ("claviger-request-id", "req_toy"),
        ("x-request-id", "req_toy"),
        ("x-ratelimit-remaining", "2"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(told.header(name), Some(value), "{name}");
    }
    let names: Vec<&str> = told.headers.iter().map(|(name, _)| *name).collect();
    let mut once = names.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), names.len(), "each name once: {names:?}");
    assert_eq!(told.log["route"], "GET /v1/forward-auth for GET /v1/prompts/{id}");
    assert_eq!((&told.log["credential"], &told.log["workspace"]), (&json!(id), &json!("acme")));
    // What a deploy key has not is empty: a proxy that copies headers by name must not keep the caller's. And what the caller says of itself is nobody's word.
    let deploy_key = toy.deploy_key();
    let headers =
        [("authorization", deploy_key.as_str()), ("claviger-scopes", "admin"), ("claviger-workspace", "other")];
    let told = toy.forward_auth("HEAD", "/v1/prompts/1", &headers).ok(204);
    assert_eq!((told.header("claviger-kind"), told.header("claviger-scopes")), (Some("deploy_key"), Some("")));
    assert_eq!((told.header("claviger-workspace"), told.header("x-ratelimit-remaining")), (Some(""), None));
    assert_eq!(toy.forwarded.borrow().len(), 0);
}

#[test]
fn it_meters_as_the_road_does() {
    let toy = toy();
    let (id, key) = toy.server_key("acme", "live", &json!({"scopes": ["prompts:read"]}));
    let headers = [("authorization", format!("Bearer {key}"))];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    for _ in 0..3 {
        toy.forward_auth("GET", "/v1/prompts/1", &headers).ok(204);
    }
    let told = toy.forward_auth("GET", "/v1/prompts/1", &headers);
    told.refused(429, "rate_limited");
    assert_eq!(told.header("x-ratelimit-remaining"), Some("0"));
    toy.whoami(&key).refused(429, "rate_limited");
    toy.advance(told.header("retry-after").unwrap().parse().unwrap());
    toy.forward_auth("GET", "/v1/prompts/1", &headers).ok(204);
    toy.advance(10);
    let usage = toy.admin("GET", &format!("/v1/credentials/{id}/usage"), &Value::Null).ok(200);
    assert_eq!((&usage.json["total"], &usage.json["denied"]), (&json!(4), &json!(2)));
    assert_eq!(usage.json["by_scope"][0]["scope"], "prompts:read");
}

#[test]
fn p3_a_strangers_credential_costs_no_hop_and_no_call_passes_without_one() {
    let toy = toy();
    let (_, key) = toy.server_key("acme", "live", &Value::Null);
    let visitor = toy.open(&toy.widget_key("acme", "live", &[ORIGIN]).1);
    let deploy_key = toy.deploy_key();
    let bearer = |text: &str| format!("Bearer {text}");
    let ask = |headers: &[(&str, &str)]| toy.forward_auth("GET", "/v1/prompts/1", headers);
    idle(&ask(&[]), 401, "missing_credential");
    idle(&ask(&[("authorization", &bearer(&forge(&key)))]), 401, "invalid_credential");
    idle(&ask(&[("authorization", &forge(&deploy_key))]), 401, "invalid_credential");
    idle(&ask(&[("authorization", &deploy_key), ("x-api-key", &key)]), 400, "ambiguous_credential");
    for text in [&visitor.key, &visitor.secret] {
        idle(&ask(&[("authorization", &bearer(text))]), 403, "credential_kind_not_allowed");
    }
    ask(&[("authorization", &bearer(&key))]).refused(403, "insufficient_scope");
    for browser in [("origin", ORIGIN), ("origin", "null"), ("sec-fetch-site", "same-origin")] {
        ask(&[("authorization", &deploy_key), browser]).refused(403, "server_key_in_browser");
    }
    // Node's fetch sends this one by itself.
    ask(&[("authorization", &deploy_key), ("sec-fetch-mode", "cors")]).ok(204);
}

#[test]
fn a_revoked_key_is_refused_at_once() {
    let toy = toy();
    let (id, key) = toy.server_key("acme", "live", &json!({"scopes": ["prompts:read"]}));
    toy.forward_auth("GET", "/v1/prompts/1", &[("x-api-key", &key)]).ok(204);
    toy.admin("POST", &format!("/v1/credentials/{id}/revoke"), &json!({})).ok(200);
    toy.forward_auth("GET", "/v1/prompts/1", &[("x-api-key", &key)]).refused(401, "revoked_credential");
}

#[test]
fn p8_asking_is_no_way_around_what_only_the_road_itself_can_do() {
    let toy = toy();
    let key = toy.deploy_key();
    let ask = |method: &str, uri: &str, headers: &[(&str, &str)]| toy.forward_auth(method, uri, headers);
    let good = [("authorization", key.as_str()), ("idempotency-key", "a")];
    ask("POST", "/v1/reviewed", &good).refused(403, "review_required");
    for (method, uri, why) in [
        ("POST", "/v1/once", "Idempotency-Key"),
        ("POST", "/v1/tokens", "tokens"),
        ("GET", "/v1/records/a/1", "records"),
    ] {
        let told = ask(method, uri, &good);
        told.refused(503, "not_configured");
        assert!(told.text_at("error").contains(why), "{}", told.text);
        assert_eq!(told.log["reason"], "route_not_served");
    }
    // Whoever may not use a route does not apply what it is.
    for (method, uri) in [("POST", "/v1/reviewed"), ("POST", "/v1/once"), ("GET", "/v1/records/a/1")] {
        idle(&ask(method, uri, &[]), 401, "missing_credential");
    }
    ask("POST", "/v1/prompts", &good).ok(204);
}

#[test]
fn a22_a_path_without_a_route_or_that_servers_read_in_two_ways_is_not_there() {
    let toy = toy();
    let key = toy.deploy_key();
    for uri in [
        "/",
        "/v1/prompts",
        "/v1/prompts/",
        "/v1/prompts/1/",
        "/v1/prompts/1/2",
        "/V1/prompts/1",
        "/v1//prompts/1",
        "//v1/prompts/1",
        "//evil.example/v1/prompts/1",
        "/v1/./prompts/1",
        "/v1/x/../prompts/1",
        "/v1/prompts/..",
        "/v1/prompts/%2e%2e",
        "/v1/prompts/a%2fb",
        "/v1/prompts/a%5cb",
        "/v1/prompts/a\\b",
        "/v1/prompts/a;b",
        "/v1/prompts/a%00",
        "/v1/prompts/a%25",
        "/v1/prompts/%",
        "/v1/prompts/1#?a",
        "/v1/prompts/\u{f6}",
        "/%76%31/prompts/1",
        // Claviger's own are no routes of the policy.
        "/v1/whoami",
        "/v1/credentials",
        "/v1/forward-auth",
        "/healthz",
    ] {
        idle(&toy.forward_auth("GET", uri, &[("authorization", &key)]), 404, "not_found");
    }
    for method in ["get", "OPTIONS", "TRACE", "CONNECT", "PUT", "M-SEARCH", "GETX"] {
        idle(&toy.forward_auth(method, "/v1/prompts/1", &[("authorization", &key)]), 404, "not_found");
    }
    for uri in ["/v1/prompts/1", "/v1/prompts/a%20b", "/v1/prompts/1?/../;//%2f=\u{f6}", "/v1/prompts/1?"] {
        toy.forward_auth("GET", uri, &[("authorization", &key)]).ok(204);
    }
}

#[test]
fn a_credential_in_the_query_is_refused_in_the_callers_and_in_the_proxys() {
    let toy = toy();
    let (_, key) = toy.server_key("acme", "live", &json!({"scopes": ["prompts:read"]}));
    let headers = [("x-api-key", key.as_str())];
    for query in [format!("key={key}"), format!("a=b&{key}"), "access_token=a".to_owned()] {
        let told = toy.forward_auth("GET", &format!("/v1/prompts/1?{query}"), &headers);
        idle(&told, 400, "invalid_request");
        assert!(!told.text.contains(&key) && !told.log.to_string().contains(&key));
    }
    let all = [("x-forwarded-method", "GET"), ("x-forwarded-uri", "/v1/prompts/1"), headers[0]];
    idle(&toy.send("GET", &format!("/v1/forward-auth?key={key}"), &all, ""), 400, "invalid_request");
    toy.send("GET", "/v1/forward-auth?a=b", &all, "").ok(204);
}

#[test]
fn what_the_proxy_says_of_the_call_it_says_once_and_soundly() {
    let toy = toy();
    let key = toy.deploy_key();
    let good =
        [("x-forwarded-method", "GET"), ("x-forwarded-uri", "/v1/prompts/1"), ("x-forwarded-host", "api.example:8443")];
    let ask = |headers: &[(&str, &str)]| {
        let mut all = vec![("authorization", key.as_str())];
        all.extend(headers);
        toy.send("GET", "/v1/forward-auth", &all, "")
    };
    ask(&good).ok(204);
    // Nothing is decided by the host, so a proxy need not say it.
    ask(&good[..2]).ok(204);
    idle(&ask(&good[1..]), 400, "invalid_request");
    idle(&ask(&[good[0], good[2]]), 400, "invalid_request");
    for doubled in good {
        idle(&ask(&[good.as_slice(), &[doubled]].concat()), 400, "invalid_request");
    }
    for (place, values) in [
        (0, ["G T", "GET,POST", "GET\t", "GET /", "G\u{c9}T"].as_slice()),
        (
            1,
            &[
                "v1/prompts/1",
                "https://api.example/v1/prompts/1",
                "*",
                "/v1/prompts/1 HTTP/1.1",
                "/v1/prompts/1, /",
                "/a\tb",
                "?a",
            ],
        ),
        (2, &["a, b", "a/b", "a@b", "a b", "a,b"]),
    ] {
        for value in values {
            let mut headers = good;
            headers[place].1 = value;
            let told = ask(&headers);
            idle(&told, 400, "invalid_request");
            assert!(told.text_at("error").contains(good[place].0), "{value}: {}", told.text);
        }
    }
    let long = "A".repeat(41);
    idle(&ask(&[("x-forwarded-method", &long), good[1]]), 400, "invalid_request");
    // What other servers would take for the call is nobody's word.
    let others =
        [("x-original-url", "/v1/reviewed"), ("x-original-method", "POST"), ("x-http-method-override", "POST")];
    ask(&[good.as_slice(), &others].concat()).ok(204);
    toy.send("POST", "/v1/forward-auth", &good, "").refused(405, "method_not_allowed");
    toy.send("OPTIONS", "/v1/forward-auth", &good, "").refused(405, "method_not_allowed");
    toy.send("GET", "/v1/forward-auth/", &good, "").refused(404, "not_found");
    assert_eq!(
        Original::read(|_| Some(String::new())).map(|_| ()).map_err(|reason| reason.name()),
        Err("invalid_request")
    );
}
