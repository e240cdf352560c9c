//! Whoever only asks gets the road's answer: `POST /v1/verify`, `GET /v1/forward-auth` and the gateway agree, whatever comes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod toy;

use claviger::value::id::Stage;
use proptest::prelude::*;
use serde_json::{Value, json};
use toy::{Answer, ORIGIN, Toy, forge};

const POLICY: &str = r#"
brand = "clv"
[scopes]
"prompts:read" = "Read prompts"
"prompts:write" = "Change prompts"
admin = { says = "Everything", implies = "*" }
[tiers.free]
requests = [{ limit = 5, window_seconds = 10 }, { limit = 12, window_seconds = 60 }]
[widget]
[[routes]]
match = "GET /v1/prompts"
scope = "prompts:read"
accept = ["server_key", "service_token"]
to = "upstream"
[[routes]]
match = "GET /v1/prompts/{id}"
scope = "prompts:write"
accept = ["server_key", "service_token", "deploy_key"]
to = "upstream"
[[routes]]
match = "GET /v1/models"
accept = ["server_key", "service_token", "deploy_key"]
to = "upstream"
[[routes]]
match = "POST /v1/operators"
accept = ["deploy_key"]
to = "upstream"
[[routes]]
match = "POST /v1/reviewed"
scope = "prompts:write"
accept = ["server_key", "deploy_key"]
to = "upstream"
review = true
[[routes]]
match = "POST /v1/once"
accept = ["server_key"]
to = "upstream"
idempotency = "required"
[[routes]]
match = "POST /v1/tokens"
scope = "prompts:read"
accept = ["server_key"]
to = "upstream"
tokens = { reserve = "max_tokens", settle = "usage.total_tokens" }
[[routes]]
match = "GET /v1/records/{rest...}"
accept = ["server_key"]
to = "records"
"#;

const ROUTES: [(&str, &str); 18] = [
    ("GET", "/v1/prompts"),
    ("HEAD", "/v1/prompts"),
    ("GET", "/v1/prompts/1"),
    ("GET", "/v1/prompts/%31?a=b&c=%2f..;//"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models?access_token=a"),
    ("GET", "/v1/models?a=clv_live_0000000000000000000000000000000"),
    ("POST", "/v1/operators"),
    ("POST", "/v1/reviewed"),
    ("POST", "/v1/once"),
    ("POST", "/v1/tokens"),
    ("GET", "/v1/records/a/1"),
    ("DELETE", "/v1/models"),
    ("GET", "/v1/nowhere"),
    ("GET", "/v1//prompts"),
    ("GET", "/v1/prompts/../models"),
    ("GET", "/v1/prompts/a%2fb"),
    ("GET", "/v1/prompts/1;x"),
];

const ORIGINS: [Option<&str>; 4] = [None, Some(ORIGIN), Some("null"), Some("https://another.example")];
const ADDRESSES: [Option<&str>; 3] = [None, Some("192.0.2.7"), Some("198.51.100.7")];

/// A credential: its text, and the name that stands beside a service token.
type Held = (String, Option<&'static str>);

/// One of the three worlds that live through the same, and the operator's key that asks in it.
struct World {
    toy: Toy,
    held: Vec<Held>,
    ids: Vec<String>,
    asker: String,
}

impl World {
    fn new() -> Self {
        let toy = Toy::changed(&[("POLICY_TOML", POLICY), ("UPSTREAM", "https://api.example")]);
        let (_, widget_key) = toy.shop();
        let visitor = toy.open(&widget_key);
        toy.workspace("other");
        let mut ids = Vec::new();
        let mut held: Vec<Held> = Vec::new();
        for (workspace, environment, members) in [
            ("acme", "live", json!({"scopes": ["prompts:read"]})),
            ("acme", "live", json!({"scopes": ["admin"]})),
            ("acme", "test", json!({"scopes": ["prompts:write"]})),
            ("other", "live", json!({"scopes": ["prompts:write", "prompts:read"]})),
            ("acme", "live", json!({"scopes": ["admin"], "expires_in": 20})),
            ("acme", "live", json!({"scopes": ["admin"], "allowed_addresses": ["192.0.2.0/24"]})),
        ] {
            let (id, text) = toy.server_key(workspace, environment, &members);
            ids.push(id);
            held.push((text, None));
        }
        let (id, text) = toy.service_token("acme", "live", "billing", &json!({"scopes": ["prompts:read"]}));
        ids.push(id);
        for service in [Some("billing"), Some("another"), None, Some("a,b")] {
            held.push((text.clone(), service));
        }
        held.extend([forge(&held[0].0), forge(&text)].map(|text| (text, None)));
        held.extend([widget_key, visitor.secret].map(|text| (text, None)));
        for (stage, deployment, seconds) in
            [(Stage::Dev, "local", 3_600), (Stage::Dev, "local", 25), (Stage::Prod, "local", 60), (Stage::Dev, "x", 60)]
        {
            held.push((toy.deploy_key_for(stage, deployment, seconds), None));
        }
        held.extend(["x", "clv_live_", "a, b", "dev:local|clv_dk_x"].map(|text| (text.to_owned(), None)));
        let asker = toy.deploy_key();
        let world = Self { toy, held, ids, asker };
        world.waits(0);
        world
    }

    /// Time passes. Who forwards, and who answers a proxy, signs: the keys for that are known then.
    fn waits(&self, seconds: u64) {
        self.toy.advance(seconds);
        self.toy.send("GET", "/.well-known/jwks.json", &[], "").ok(200);
    }

    /// The headers of a call with the credential of this number.
    fn headers(&self, number: usize, origin: Option<&str>, address: Option<&str>) -> Vec<(&'static str, String)> {
        let (text, service) = &self.held[number];
        let mut headers = if text.contains("|clv_dk_") {
            vec![("authorization", format!("Convex {text}"))]
        } else if text.contains("_st_") {
            vec![("x-service-token", text.clone())]
        } else {
            vec![("authorization", format!("Bearer {text}"))]
        };
        headers.extend(service.map(|name| ("x-service-name", name.to_owned())));
        headers.extend(origin.map(|origin| ("origin", origin.to_owned())));
        headers.extend(address.map(|address| ("x-client", address.to_owned())));
        headers
    }

    fn send(&self, method: &str, path: &str, headers: &[(&'static str, String)], body: &str) -> Answer {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.toy.exchange(method, path, &headers, body)
    }

    fn calls(&self, (method, path): (&str, &str), mut headers: Vec<(&'static str, String)>, step: usize) -> Answer {
        headers.push(("idempotency-key", format!("step-{step}")));
        self.send(method, path, &headers, if method == "POST" { "{\"max_tokens\":1}" } else { "" })
    }

    fn asks_as_a_proxy(&self, (method, path): (&str, &str), mut headers: Vec<(&'static str, String)>) -> Answer {
        headers.push(("x-forwarded-method", method.to_owned()));
        headers.push(("x-forwarded-uri", path.to_owned()));
        headers.push(("x-forwarded-host", "api.example".to_owned()));
        self.send("GET", "/v1/forward-auth", &headers, "")
    }

    fn asks(&self, (method, path): (&str, &str), number: usize, origin: Option<&str>, address: Option<&str>) -> Answer {
        let (credential, service) = &self.held[number];
        let question = json!({
            "credential": credential, "service": service, "method": method, "path": path, "origin": origin,
            "address": address, "tokens": (path == "/v1/tokens").then_some(5),
        });
        self.toy.send("POST", "/v1/verify", &[("authorization", &self.asker)], &question.to_string())
    }

    fn revokes(&self, number: usize) {
        self.toy.admin("POST", &format!("/v1/credentials/{}/revoke", self.ids[number]), &json!({})).ok(200);
    }

    fn usage(&self) -> Vec<Value> {
        self.toy.advance(10);
        let usage = |id: &String| {
            let usage = self.toy.admin("GET", &format!("/v1/credentials/{id}/usage"), &Value::Null).ok(200);
            json!([usage.json["total"], usage.json["denied"], usage.json["by_scope"]])
        };
        self.ids.iter().map(usage).collect()
    }

    /// Which keys were seen in a browser.
    fn sighted(&self) -> Vec<bool> {
        let sighted = |id: &String| {
            let key = self.toy.admin("GET", &format!("/v1/credentials/{id}"), &Value::Null).ok(200);
            key.json["seen_in_browser"].is_object()
        };
        self.ids.iter().map(sighted).collect()
    }
}

#[derive(Clone, Debug)]
enum Event {
    Call { credential: usize, route: usize, origin: usize, address: usize },
    Wait(u64),
    Revoke(usize),
    Evict,
}

fn event() -> impl Strategy<Value = Event> {
    let origin = prop_oneof![8 => Just(0usize), 1 => 1usize..4];
    let credential = prop_oneof![2 => 0usize..7, 1 => 0usize..20];
    prop_oneof![
        12 => (credential, 0..ROUTES.len(), origin, 0..ADDRESSES.len()).prop_map(|(credential, route, origin, address)| {
            Event::Call { credential, route, origin, address }
        }),
        2 => (1u64..15).prop_map(Event::Wait),
        1 => (0usize..7).prop_map(Event::Revoke),
        1 => Just(Event::Evict),
    ]
}

/// What a proxy that asks can never be told yes about, and why the road may say otherwise.
fn asked_in_vain(path: &str) -> Option<&'static str> {
    match path {
        "/v1/reviewed" => Some("review_required"),
        "/v1/once" | "/v1/tokens" | "/v1/records/a/1" => Some("not_configured"),
        _ => None,
    }
}

fn live(events: Vec<Event>) {
    let [road, proxy, origin_server] = [World::new(), World::new(), World::new()];
    for (step, event) in events.into_iter().enumerate() {
        let worlds = [&road, &proxy, &origin_server];
        match event {
            Event::Wait(seconds) => worlds.iter().for_each(|world| world.waits(seconds)),
            Event::Revoke(number) => worlds.iter().for_each(|world| world.revokes(number)),
            Event::Evict => worlds.iter().for_each(|world| world.toy.forget()),
            Event::Call { credential, route, origin, address } => {
                let (call, origin, address) = (ROUTES[route], ORIGINS[origin], ADDRESSES[address]);
                let headers = road.headers(credential, origin, address);
                let what = format!("{call:?} with {credential} from {origin:?} {address:?}");
                // The answer to a HEAD has no body that tells a code: it is that of the GET.
                let made = if call.0 == "HEAD" { ("GET", call.1) } else { call };
                let expected = road.calls(made, headers.clone(), step);
                // There is no such record: the road had gone on by then.
                let is_record = call.1.starts_with("/v1/records/") && expected.code() == "not_found";
                let is_passed = expected.code().is_empty() || expected.json["code"] == "not_configured" || is_record;
                let decided = if is_record { "" } else { expected.code() };

                let told = proxy.asks_as_a_proxy(call, headers);
                let code = asked_in_vain(call.1).filter(|_| is_passed).unwrap_or(decided);
                assert_eq!(told.code(), code, "forward-auth: {what}");
                assert_eq!(told.status == 204, code.is_empty(), "forward-auth: {what}");
                assert_eq!(told.header("retry-after"), expected.header("retry-after"), "{what}");
                assert_eq!(told.header("www-authenticate"), expected.header("www-authenticate"), "{what}");
                assert_eq!(told.header("x-ratelimit-remaining"), expected.header("x-ratelimit-remaining"), "{what}");
                // What only follows from a decision asks others, too.
                let acts = is_passed && matches!(call.1, "/v1/once" | "/v1/records/a/1");
                assert!(told.hops == expected.hops || acts && told.hops < expected.hops, "{what}");

                let told = origin_server.asks(call, credential, origin, address).ok(200);
                let is_reviewed = call.1 == "/v1/reviewed" && is_passed;
                let code = if is_reviewed { "review_required" } else { decided };
                assert_eq!(told.code(), code, "verify: {what}: {}", told.text);
                assert_eq!(told.json["allowed"], code.is_empty(), "{what}");
                assert_eq!(told.json["trace"].as_array().unwrap().len(), 4);
                let refusals =
                    told.json["trace"].as_array().unwrap().iter().filter(|step| step["outcome"] == "refused");
                assert_eq!(refusals.count(), usize::from(!code.is_empty()), "{what}: {}", told.text);
                let seconds = told.json["retry_after"].as_u64().map(|seconds| seconds.to_string());
                assert_eq!(seconds.as_deref(), expected.header("retry-after"), "{what}");
                let limits = told.json["limits"].as_array().unwrap();
                let least = limits.iter().map(|limit| limit["remaining"].as_u64().unwrap()).min();
                let least = least.map(|least| least.to_string());
                assert_eq!(least.as_deref(), expected.header("x-ratelimit-remaining"), "{what}");
            }
        }
    }
    assert_eq!(proxy.toy.forwarded.borrow().len() + origin_server.toy.forwarded.borrow().len(), 0);
    let (usage, sighted) = (road.usage(), road.sighted());
    for world in [proxy, origin_server] {
        assert_eq!((world.usage(), world.sighted()), (usage.clone(), sighted.clone()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn p1_whoever_asks_is_told_what_the_road_answers_and_it_counts_as_much(
        events in proptest::collection::vec(event(), 1..60),
    ) {
        live(events);
    }
}

#[test]
fn p1_every_credential_at_every_route_from_everywhere() {
    for credential in 0..World::new().held.len() {
        let calls = (0..ROUTES.len()).flat_map(|route| {
            let froms = [(0, 0), (1, 0), (2, 1), (0, 2)];
            froms.map(|(origin, address)| Event::Call { credential, route, origin, address })
        });
        // The limits are there again before each call.
        live(calls.flat_map(|call| [call, Event::Wait(1)]).collect());
    }
}
