//! The way to the upstream: how long it is waited for, when it is left alone, what a WebSocket takes along, and its health.
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
    error::Reason,
    world::upstream::{Incoming, Outgoing, Sent},
};
use proptest::prelude::*;
use toy::{Answer, ORIGIN, Toy, idle};

const POLICY: &str = r#"
brand = "clv"
[[routes]]
match = "GET /v1/things/{id}"
accept = ["deploy_key"]
to = "upstream"
[[routes]]
match = "POST /v1/things"
accept = ["deploy_key"]
to = "upstream"
idempotency = "accepted"
timeout_seconds = 600
[[routes]]
match = "GET /v1/quick"
accept = ["deploy_key"]
to = "upstream"
timeout_seconds = 1
[[routes]]
match = "GET /v1/keys"
accept = ["server_key"]
to = "upstream"
"#;

const EVERYTHING: &str =
    "brand = \"clv\"\n[[routes]]\nmatch = \"GET /{rest...}\"\naccept = [\"deploy_key\"]\nto = \"upstream\"\n";

const UPSTREAM: &str = "http://api.internal:8080";

fn toy() -> Toy {
    Toy::changed(&[("POLICY_TOML", POLICY), ("UPSTREAM", UPSTREAM)])
}

impl Toy {
    fn through(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let key = self.deploy_key();
        let mut all = vec![("authorization", key.as_str())];
        all.extend(headers);
        self.send(method, path, &all, "")
    }

    fn get(&self) -> Answer {
        self.through("GET", "/v1/things/1", &[])
    }

    fn sent(&self) -> Outgoing {
        self.forwarded.borrow().last().expect("something went out").clone()
    }

    fn went_out(&self) -> usize {
        self.forwarded.borrow().len()
    }

    fn is_silent(&self, why: Reason) {
        *self.upstream.borrow_mut() = Err(why);
    }

    fn answers(&self, status: u16, headers: &[(&str, &str)]) {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        *self.upstream.borrow_mut() = Ok(Incoming { status, headers });
    }

    /// Five calls that get no answer.
    fn break_down(&self) {
        self.is_silent(Reason::UpstreamFailed);
        for _ in 0..5 {
            let answer = self.get();
            answer.refused(502, "upstream_error");
            assert_eq!(answer.header("retry-after"), None);
        }
    }
}

fn names(call: &Outgoing) -> Vec<&str> {
    let mut names: Vec<&str> = call.headers.iter().map(|(name, _)| name.as_str()).collect();
    // Our word about the caller, and about the call.
    names.retain(|name| !name.starts_with("claviger-") && *name != "forwarded" && !name.starts_with("x-forwarded-"));
    names.sort_unstable();
    names
}

#[test]
fn a_route_says_how_long_the_api_may_take_to_begin_its_answer() {
    let toy = toy();
    toy.get().ok(200);
    assert_eq!((toy.sent().timeout_seconds, toy.sent().outlives_caller), (60, false));
    toy.through("GET", "/v1/quick", &[]).ok(200);
    assert_eq!(toy.sent().timeout_seconds, 1);
    toy.through("POST", "/v1/things", &[]).ok(200);
    assert_eq!((toy.sent().timeout_seconds, toy.sent().outlives_caller), (600, false));
    toy.is_silent(Reason::UpstreamTimedOut);
    let answer = toy.get();
    answer.refused(504, "upstream_timeout");
    assert_eq!(answer.log["reason"], "upstream_timed_out");
    // It was metered like any call, and says so.
    assert_eq!(answer.log["kind"], "deploy_key");
}

#[test]
fn a_call_whose_answer_is_read_here_goes_on_without_its_caller_and_asks_for_bytes_as_they_are() {
    let toy = toy();
    let headers = [("idempotency-key", "k1"), ("accept-encoding", "gzip, br")];
    toy.through("POST", "/v1/things", &headers).ok(200);
    let sent = toy.sent();
    assert!(sent.outlives_caller && sent.body == Sent::Bytes(Vec::new()));
    assert!(sent.headers.contains(&("accept-encoding".to_owned(), "identity".to_owned())), "{:?}", sent.headers);
    assert_eq!(names(&sent).iter().filter(|name| **name == "accept-encoding").count(), 1);
    // What only passes comes as the caller wants it.
    toy.through("POST", "/v1/things", &headers[1..]).ok(200);
    assert!(toy.sent().headers.contains(&("accept-encoding".to_owned(), "gzip, br".to_owned())));
}

#[test]
fn an_api_that_fails_again_and_again_is_left_alone_and_then_tried_once() {
    let toy = toy();
    toy.break_down();
    let answer = toy.get();
    answer.refused(502, "upstream_error");
    assert_eq!((answer.header("retry-after"), answer.log["reason"].as_str()), (Some("5"), Some("upstream_down")));
    assert!(answer.text_at("fix").starts_with("Nothing was forwarded. Try again in 5 s."));
    assert_eq!(toy.went_out(), 5);
    // Whoever may not call it learns nothing of it.
    idle(&toy.send("GET", "/v1/things/1", &[], ""), 401, "missing_credential");
    toy.advance_millis(4_001);
    assert_eq!(toy.get().header("retry-after"), Some("1"));
    toy.advance_millis(999);
    assert_eq!((toy.get().status, toy.get().header("retry-after")), (502, Some("5")));
    assert_eq!(toy.went_out(), 6, "one probe");
    toy.advance(5);
    toy.answers(500, &[]);
    toy.get().ok(500);
    toy.get().ok(500);
    assert_eq!(toy.went_out(), 8, "any answer closes it");
}

#[test]
fn answers_of_whichever_status_are_no_failures_and_timeouts_are() {
    let toy = toy();
    toy.answers(503, &[]);
    for _ in 0..20 {
        toy.get().ok(503);
    }
    toy.is_silent(Reason::UpstreamTimedOut);
    for _ in 0..5 {
        toy.get().refused(504, "upstream_timeout");
    }
    assert_eq!(toy.get().log["reason"], "upstream_down");
}

#[test]
fn a_caller_cannot_make_the_api_look_dead_to_others() {
    let toy = toy();
    // By going away, or by a body that is held back or cut.
    toy.is_silent(Reason::invalid("", "The caller has gone before the answer came."));
    for _ in 0..20 {
        toy.get().refused(400, "invalid_request");
    }
    toy.is_silent(Reason::UpstreamTimedOut);
    for body in [("content-length", "9"), ("transfer-encoding", "chunked")] {
        for _ in 0..20 {
            toy.through("POST", "/v1/things", &[body]).refused(504, "upstream_timeout");
        }
    }
    toy.answers(200, &[]);
    toy.get().ok(200);
}

#[test]
fn a_websocket_takes_the_subprotocols_along_and_nothing_of_the_connection() {
    let toy = toy();
    let asks = [
        ("upgrade", "websocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ("sec-websocket-version", "13"),
        ("sec-websocket-extensions", "permessage-deflate"),
        ("sec-websocket-protocol", "chat, v2"),
        ("x-a", "1"),
        ("claviger-principal", "forged"),
    ];
    toy.answers(101, &[("sec-websocket-accept", "x"), ("sec-websocket-protocol", "v2"), ("set-cookie", "a=1")]);
    let answer = toy.through("GET", "/v1/things/1", &asks).ok(101);
    let vary = ("vary", "Authorization, X-Api-Key, X-Service-Token");
    let expected = |headers: &[(&str, &str)]| -> Vec<(String, String)> {
        headers.iter().chain([&vary]).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    assert_eq!(answer.passed, expected(&[("sec-websocket-protocol", "v2"), ("set-cookie", "a=1")]));
    assert_eq!(names(&toy.sent()), ["sec-websocket-protocol", "upgrade", "x-a"]);
    assert_eq!(answer.log["status"], 101);
    // The same credential, kinds and browsers as for any call.
    idle(&toy.send("GET", "/v1/things/1", &asks, ""), 401, "missing_credential");
    let in_browser = [asks.as_slice(), &[("origin", ORIGIN)]].concat();
    toy.through("GET", "/v1/things/1", &in_browser).refused(403, "server_key_in_browser");
    assert_eq!(toy.went_out(), 1);
    // An API that refuses says so itself.
    toy.answers(426, &[("sec-websocket-version", "13"), ("upgrade", "websocket")]);
    let answer = toy.through("GET", "/v1/things/1", &asks).ok(426);
    assert_eq!(answer.passed, expected(&[("sec-websocket-version", "13")]));
}

#[test]
fn no_other_upgrade_passes_and_none_that_nobody_asked_for() {
    let toy = toy();
    toy.answers(101, &[]);
    for headers in [
        &[][..],
        &[("upgrade", "h2c"), ("connection", "upgrade")],
        &[("upgrade", "websocket")],
        &[("upgrade", "websocket"), ("connection", "close")],
    ] {
        // One that becomes something else unasked is a failure, and counts as one.
        toy.through("GET", "/v1/things/1", headers).refused(502, "upstream_error");
        assert_eq!(names(&toy.sent()), Vec::<&str>::new());
    }
    let upgrade = [("upgrade", "websocket"), ("connection", "upgrade")];
    toy.through("HEAD", "/v1/things/1", &upgrade);
    assert_eq!(names(&toy.sent()), Vec::<&str>::new());
    toy.answers(101, &[]);
    assert_eq!(toy.get().log["reason"], "upstream_down");
}

#[test]
fn health_alone_asks_nobody_whatever_else_stands_in_the_query() {
    let toy = toy();
    toy.break_down();
    for path in ["/healthz", "/healthz?", "/healthz?a=b", "/healthz?Upstream", "/healthz?a=upstream"] {
        let answer = toy.send("GET", path, &[], "").ok(200);
        assert_eq!((answer.json["status"].as_str(), answer.json.get("upstream")), (Some("ok"), None), "{path}");
    }
    assert_eq!(toy.went_out(), 5);
}

#[test]
fn the_health_of_the_api_is_asked_once_in_five_seconds_by_however_many() {
    let toy = toy();
    let health = |path: &str, status: u16, says: &str| {
        let answer = toy.send("GET", path, &[], "").ok(status);
        assert_eq!(
            (answer.json["status"].as_str(), answer.json["upstream"]["status"].as_str()),
            (Some(says), Some(says))
        );
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        answer
    };
    for path in ["/healthz?upstream", "/healthz?upstream=1", "/healthz?a&upstream"] {
        health(path, 200, "ok");
    }
    assert_eq!(toy.went_out(), 1);
    let sent = toy.sent();
    assert_eq!(
        (sent.method.as_str(), sent.url.as_str(), names(&sent)),
        ("HEAD", "http://api.internal:8080/", vec!["user-agent"])
    );
    assert!(sent.headers.len() == 1 && sent.body == Sent::Nothing && sent.timeout_seconds <= 5, "{sent:?}");
    toy.is_silent(Reason::UpstreamTimedOut);
    toy.advance_millis(4_999);
    let first = health("/healthz?upstream", 200, "ok").json["upstream"]["checked_at"].clone();
    toy.advance_millis(1);
    let second = health("/healthz?upstream", 503, "failing").json["upstream"]["checked_at"].clone();
    assert!(first.as_str() < second.as_str(), "{first} {second}");
    health("/healthz?upstream", 503, "failing");
    assert_eq!(toy.went_out(), 2);
    // Its own probe fails, and it has answered one before: it is left alone by all, until that was 5 s ago.
    for _ in 0..20 {
        toy.advance(5);
        health("/healthz?upstream", 503, "failing");
    }
    toy.answers(404, &[]);
    let refused = toy.get();
    refused.refused(502, "upstream_error");
    assert_eq!((refused.header("retry-after"), toy.went_out()), (Some("5"), 22));
    toy.advance(5);
    toy.get().ok(404);
    // And where calls were answered just now, nobody need ask.
    let before = toy.went_out();
    health("/healthz?upstream", 200, "ok");
    assert_eq!(toy.went_out(), before);
}

#[test]
fn health_knows_of_the_circuit_and_asks_again_when_its_time_is_over() {
    let toy = toy();
    let key = |number: usize| {
        let workspace = format!("w{number}");
        toy.workspace(&workspace);
        toy.server_key(&workspace, "live", &serde_json::Value::Null).1
    };
    let keys: Vec<String> = (0..5).map(key).collect();
    toy.is_silent(Reason::UpstreamFailed);
    for key in &keys {
        toy.send("GET", "/v1/keys", &[("x-api-key", key)], "").refused(502, "upstream_error");
    }
    let health = |status: u16| toy.send("HEAD", "/healthz?upstream", &[], "").ok(status);
    assert_eq!(health(503).text, "");
    assert_eq!(toy.went_out(), 5);
    toy.advance(5);
    toy.answers(200, &[]);
    health(200);
    assert_eq!(toy.went_out(), 6);
    // It told of no call that was answered: each may try once.
    toy.send("GET", "/v1/keys", &[("x-api-key", &keys[0])], "").ok(200);
}

#[test]
fn without_an_api_its_health_is_that_none_is_configured() {
    let toy = Toy::changed(&[("POLICY_TOML", POLICY)]);
    let answer = toy.send("GET", "/healthz?upstream", &[], "").ok(503);
    assert_eq!(
        (answer.text_at("status").as_str(), &answer.json["upstream"]["status"]),
        ("failing", &"not_configured".into())
    );
    assert_eq!(toy.went_out(), 0);
}

proptest! {
    #[test]
    fn a22_what_goes_out_is_what_was_matched_byte_for_byte(
        path in "[a-zA-Z0-9/%.;:@\\\\~|{}\"+*-]{0,12}",
        query in "(\\?[ -\"$-~]{0,12})?",
        fragment in "(#[ -~]{0,6})?",
    ) {
        let toy = Toy::changed(&[("POLICY_TOML", EVERYTHING), ("UPSTREAM", UPSTREAM)]);
        let target = format!("/x{path}{query}");
        toy.through("GET", &format!("{target}{fragment}"), &[]);
        if let Some(sent) = toy.forwarded.borrow().last() {
            prop_assert_eq!(&sent.url, &format!("{UPSTREAM}{target}"));
            // And whoever undoes the encoding once, or takes it apart at slashes, reads no other path.
            let shape = |path: &str| path.split('/').map(|segment| segment.is_empty()).collect::<Vec<_>>();
            let path = target.split('?').next().unwrap();
            let undone = String::from_utf8_lossy(&form_urlencoded::parse(path.replace('+', "%2B").as_bytes()).next().map_or(Vec::new(), |(name, _)| name.into_owned().into_bytes())).into_owned();
            prop_assert!(undone.split('/').all(|segment| segment != "." && segment != ".."), "{undone}");
            if !path.contains(['=', '&']) {
                prop_assert_eq!(shape(path), shape(&undone));
            }
        }
    }
}
