//! Parts of the gateway that meet on one route: tokens, an `Idempotency-Key`, a lease, and whoever only asks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod toy;

use claviger::{error::Reason, upstream::watch::Ending, world::upstream::Incoming};
use serde_json::{Value, json};
use toy::{Answer, Toy};

const POLICY: &str = r#"
brand = "gs"
[scopes]
"completions:read" = "Complete"
admin = { says = "All", implies = "*" }
[tiers.free]
requests = { limit = 60_000, window_seconds = 60 }
tokens = { limit = 40_000, window_seconds = 60 }
lease_seconds = 2
[[routes]]
match = "POST /v1/chat/completions"
scope = "completions:read"
accept = ["server_key"]
to = "upstream"
idempotency = "accepted"
tokens = { reserve = "max_tokens", settle = "usage.total_tokens" }
[[routes]]
match = "GET /v1/models"
accept = ["server_key"]
to = "upstream"
"#;

const CHAT: &str = "/v1/chat/completions";
const BODY: &str = "{\"max_tokens\":1000}";
/// What a call with that body holds.
const HELD: u64 = 1_000 + 5;

fn world() -> (Toy, String) {
    let toy = Toy::changed(&[("POLICY_TOML", POLICY), ("UPSTREAM", "https://api.example")]);
    toy.workspace("acme");
    toy.send("GET", "/.well-known/jwks.json", &[], "").ok(200);
    let (_, key) = toy.server_key("acme", "live", &json!({"scopes": ["completions:read"]}));
    (toy, key)
}

impl Toy {
    fn says(&self, status: u16, text: &str, ending: Ending) {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        *self.upstream.borrow_mut() = Ok(Incoming { status, headers });
        *self.upstream_body.borrow_mut() = (vec![text.as_bytes().to_vec()], ending);
    }

    fn chat(&self, key: &str, once: &str) -> Answer {
        let bearer = format!("Bearer {key}");
        self.send("POST", CHAT, &[("authorization", &bearer), ("idempotency-key", once)], BODY)
    }

    fn tokens_left(&self, key: &str) -> u64 {
        self.whoami(key).ok(200).header("x-ratelimit-remaining-tokens").unwrap().parse().unwrap()
    }

    fn went_out(&self) -> usize {
        self.forwarded.borrow().len()
    }
}

fn used(tokens: u64) -> String {
    json!({"usage": {"total_tokens": tokens}}).to_string()
}

#[test]
fn j1_a_repeated_call_gets_the_first_answer_and_takes_no_tokens() {
    let (toy, key) = world();
    toy.says(200, &used(300), Ending::Whole);
    let first = toy.chat(&key, "k").ok(200);
    assert_eq!(first.header("idempotent-replayed"), None);
    assert_eq!(toy.tokens_left(&key), 39_700);
    for _ in 0..3 {
        let again = toy.chat(&key, "k").ok(200);
        assert_eq!((again.header("idempotent-replayed"), again.text.as_str()), (Some("true"), first.text.as_str()));
        assert_eq!((toy.tokens_left(&key), toy.went_out()), (39_700, 1));
    }
    let bearer = format!("Bearer {key}");
    let other = toy.send("POST", CHAT, &[("authorization", &bearer), ("idempotency-key", "k")], "{\"max_tokens\":7}");
    other.refused(422, "idempotency_key_reused");
    assert_eq!((toy.tokens_left(&key), toy.went_out()), (39_700, 1));
}

#[test]
fn j9_a_call_whose_answer_was_lost_keeps_its_tokens_and_its_repetition_takes_none() {
    let (toy, key) = world();
    *toy.upstream.borrow_mut() = Err(Reason::UpstreamTimedOut);
    toy.chat(&key, "k").refused(504, "upstream_timeout");
    assert_eq!(toy.tokens_left(&key), 40_000 - HELD);
    toy.chat(&key, "k").refused(409, "conflict");
    assert_eq!((toy.tokens_left(&key), toy.went_out()), (40_000 - HELD, 1));
    // One that broke off has told nothing: all that was held counts, and nobody gets half an answer.
    toy.says(200, "{\"usage\":{\"total", Ending::Cut);
    toy.chat(&key, "l").ok(200);
    toy.chat(&key, "l").refused(409, "conflict");
    assert_eq!((toy.tokens_left(&key), toy.went_out()), (40_000 - 2 * HELD, 2));
}

#[test]
fn tokens_that_are_refused_leave_the_key_of_the_request_as_it_was() {
    let (toy, key) = world();
    toy.says(200, &used(39_500), Ending::Whole);
    toy.chat(&key, "a").ok(200);
    toy.chat(&key, "b").refused(429, "token_rate_limited");
    toy.advance(62);
    toy.says(200, &used(1), Ending::Whole);
    let now = toy.chat(&key, "b").ok(200);
    assert_eq!((now.header("idempotent-replayed"), toy.went_out()), (None, 2));
}

#[test]
fn no_call_that_takes_tokens_rides_on_a_lease() {
    let (toy, key) = world();
    // Busy enough for a lease, which then admits without a hop.
    let mut ridden = 0;
    for _ in 0..400 {
        toy.advance_millis(5);
        ridden += usize::from(toy.server(&key, "GET", "/v1/models", &Value::Null).ok(200).hops == 0);
    }
    assert!(ridden > 300, "{ridden} of 400");
    toy.says(200, &used(700), Ending::Whole);
    let mut spent = 0;
    for once in ["", "k", ""] {
        let answer = toy.chat(&key, once).ok(200);
        spent += 700;
        // The object admits it, and hears what it used.
        assert!(answer.hops >= 2, "{} hops", answer.hops);
        assert_eq!(answer.header("x-ratelimit-remaining-tokens"), Some(&*(40_000 - spent + 700 - HELD).to_string()));
    }
    let mut refused = 0;
    while toy.chat(&key, "").status == 200 {
        refused += 1;
        assert!(refused < 60, "forty thousand tokens are more than that");
    }
    toy.chat(&key, "").refused(429, "token_rate_limited");
}

#[test]
fn whoever_only_asks_rides_on_no_lease_and_takes_nothing_with_them_that_the_isolate_has_to_tell() {
    let (toy, key) = world();
    for _ in 0..400 {
        toy.advance_millis(5);
        toy.whoami(&key).ok(200);
    }
    let (_, stranger) = {
        toy.workspace("other");
        toy.server_key("other", "live", &json!({"scopes": ["admin"]}))
    };
    let question = json!({"credential": key});
    let told = toy.server(&stranger, "POST", "/v1/verify", &question).ok(200);
    assert_eq!((told.json["code"].as_str(), told.hops), (Some("wrong_workspace"), 2));
    let told = toy.admin("POST", "/v1/verify", &question).ok(200);
    assert_eq!((&told.json["allowed"], told.hops), (&json!(true), 2));
    // Once the isolate has told the rest, every call was counted once.
    toy.advance(3);
    toy.whoami(&key).ok(200);
    let id = told.json["principal"]["id"].as_str().unwrap();
    let usage = toy.admin("GET", &format!("/v1/credentials/{id}/usage"), &Value::Null).ok(200);
    assert_eq!(usage.json["total"], 402);
}

#[test]
fn whoever_asks_as_a_proxy_is_told_who_calls_and_given_no_assertion() {
    let (toy, key) = world();
    let bearer = format!("Bearer {key}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("x-forwarded-method", "GET"),
        ("x-forwarded-uri", "/v1/models"),
        ("x-forwarded-host", "api.example"),
    ];
    let told = toy.send("GET", "/v1/forward-auth", &headers, "").ok(204);
    // Anybody can ask: what would prove to the API that a call came through us is in nobody's hands.
    assert_eq!(told.header("claviger-assertion"), Some(""));
    assert_eq!(told.header("claviger-workspace"), Some("acme"));
    let without = Toy::changed(&[("POLICY_TOML", POLICY)]);
    without.workspace("acme");
    let (_, key) = without.server_key("acme", "live", &Value::Null);
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str()), headers[1], headers[2], headers[3]];
    assert_eq!(without.send("GET", "/v1/forward-auth", &headers, "").ok(204).header("claviger-assertion"), Some(""));
}
