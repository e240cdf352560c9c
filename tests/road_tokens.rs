//! Routes that cost tokens: what is held for a call, what its answer says that it used, and what becomes of both.
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
    admission::token_holds::{HOLD_MILLIS, MAX_OPEN},
    error::Reason,
    machines::credential::{Command, Credential},
    upstream::watch::Ending,
    world::upstream::{Incoming, Outgoing, Sent},
};
use serde_json::{Value, json};
use toy::{Answer, Fault, Name, Toy, idle};

const POLICY: &str = r#"
brand = "gs"
[scopes]
"completions:read" = "Complete"
admin = { says = "All", implies = "*" }
[tiers.free]
requests = { limit = 60, window_seconds = 60 }
tokens = { limit = 40_000, window_seconds = 60 }
[tiers.wide]
requests = { limit = 100_000, window_seconds = 60 }
tokens = { limit = 40_000, window_seconds = 60 }
[tiers.two]
requests = [{ limit = 100, window_seconds = 60 }, { limit = 1_000, window_seconds = 3_600 }]
tokens = [{ limit = 1_000, window_seconds = 10 }, { limit = 3_000, window_seconds = 60 }]
[tiers.bare]
tokens = { limit = 500, window_seconds = 60 }
[tiers.plain]
requests = { limit = 60, window_seconds = 60 }
[tiers.custom]
custom = true
[[routes]]
match = "POST /v1/chat/completions"
scope = "completions:read"
accept = ["server_key", "service_token", "deploy_key"]
to = "upstream"
tokens = { reserve = "max_tokens", settle = "usage.total_tokens" }
[[routes]]
match = "POST /v1/embeddings"
accept = ["server_key"]
to = "upstream"
tokens = { reserve = "options.most", settle = "used", default = 100 }
[[routes]]
match = "POST /v1/plain"
accept = ["server_key"]
to = "upstream"
[[routes]]
match = "POST /v1/reviewed"
accept = ["server_key"]
to = "upstream"
review = true
tokens = { reserve = "max_tokens", settle = "usage.total_tokens" }
"#;

const CHAT: &str = "/v1/chat/completions";

/// A world, and a key of this tier in it: its id and its text.
fn world(tier: &str) -> (Toy, String, String) {
    let toy = Toy::changed(&[("POLICY_TOML", POLICY), ("UPSTREAM", "https://api.example")]);
    toy.says(200, "application/json", &[], Ending::Whole);
    toy.workspace("acme");
    // The keys that sign assertions are known.
    toy.send("GET", "/.well-known/jwks.json", &[], "").ok(200);
    let (id, key) = toy.server_key("acme", "live", &json!({"tier": tier, "scopes": ["completions:read"]}));
    (toy, id, key)
}

/// The object of a key.
fn object(toy: &Toy, key: &str) -> Name {
    let name = format!("sk_live_{}", &key[8..16]);
    let objects = toy.objects.borrow();
    objects.keys().find(|(binding, known)| binding == "CREDENTIAL" && *known == name).expect("its object").clone()
}

/// What a call holds with a body that bounds its answer so.
fn held(most: u64) -> u64 {
    most + json!({"max_tokens": most}).to_string().len().div_ceil(4) as u64
}

/// A bound with which a call holds exactly so many.
fn bound(held_tokens: u64) -> u64 {
    (0..=held_tokens).rev().find(|most| held(*most) == held_tokens).expect("a bound")
}

impl Toy {
    /// What the upstream will answer.
    fn says(&self, status: u16, content_type: &str, parts: &[&str], ending: Ending) {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        *self.upstream.borrow_mut() = Ok(Incoming { status, headers });
        *self.upstream_body.borrow_mut() = (parts.iter().map(|part| part.as_bytes().to_vec()).collect(), ending);
    }

    fn says_used(&self, used: &Value) {
        let text = json!({"choices": [], "usage": {"total_tokens": used}}).to_string();
        self.says(200, "application/json", &[&text], Ending::Whole);
    }

    fn chat(&self, key: &str, most: u64) -> Answer {
        self.server(key, "POST", CHAT, &json!({"max_tokens": most}))
    }

    /// What is left of the tokens, and of the requests, to a call that takes one request.
    fn left(&self, key: &str) -> (u64, u64) {
        let answer = self.whoami(key).ok(200);
        let number = |name: &str| answer.header(name).expect("a header").parse().unwrap();
        (number("x-ratelimit-remaining-tokens"), number("x-ratelimit-remaining"))
    }

    fn tokens_left(&self, key: &str) -> u64 {
        self.left(key).0
    }

    /// A call whose answer stays under way.
    fn begin(&self, id: &str, key: &str, most: u64) -> Answer {
        *self.request_id.borrow_mut() = id.to_owned();
        self.holds_answers.set(true);
        let answer = self.chat(key, most);
        self.holds_answers.set(false);
        *self.request_id.borrow_mut() = "req_toy".to_owned();
        answer
    }

    /// The oldest answer under way ends, having used so many.
    fn finish(&self, used: u64) -> Result<(), Reason> {
        let watch = self.under_way.borrow_mut().remove(0);
        let text = json!({"usage": {"total_tokens": used}}).to_string();
        self.pass(watch, &[text.into_bytes()], Ending::Whole)
    }
}

#[test]
fn a_call_holds_what_it_may_take_and_gives_back_what_it_did_not_use_to_the_token() {
    let (toy, id, key) = world("free");
    toy.says_used(&json!(1_234));
    let answer = toy.chat(&key, 5_000).ok(200);
    let header = |name: &str| answer.header(name).unwrap_or_default();
    assert_eq!((header("x-ratelimit-limit-tokens"), header("x-ratelimit-limit")), ("40000", "60"));
    // While it passes, all that it may take is held.
    assert_eq!(header("x-ratelimit-remaining-tokens"), (40_000 - held(5_000)).to_string());
    assert_eq!(header("x-ratelimit-remaining"), "59");
    assert_eq!(header("ratelimit-policy"), "\"requests\";q=60;w=60, \"tokens\";q=40000;w=60");
    assert!(header("ratelimit").starts_with("\"requests\";r=59;t="), "{}", header("ratelimit"));
    assert!(header("ratelimit").contains("\"tokens\";r="), "{}", header("ratelimit"));
    let reset: u64 = header("x-ratelimit-reset-tokens").parse().unwrap();
    assert!((1..=61).contains(&(reset - toy.now_millis() / 1_000)));
    assert_eq!((answer.hops, toy.left(&key)), (2, (40_000 - 1_234, 58)), "one hop to admit it, one to settle it");
    let usage = toy.admin("GET", &format!("/v1/credentials/{id}/usage?bucket=minute"), &Value::Null).ok(200);
    assert_eq!(usage.json["tokens"], json!({"used": 1_234}));
    assert_eq!(usage.json["series"][0]["tokens"], 1_234);
    // After a window and a slot nothing of it counts.
    toy.advance(61);
    assert_eq!(toy.tokens_left(&key), 40_000);
}

#[test]
fn the_api_behind_gets_the_body_as_it_came_and_is_asked_for_no_coding() {
    let (toy, _, key) = world("free");
    let bearer = format!("Bearer {key}");
    let body = "{ \"max_tokens\" : 7,\n\"messages\":[] }";
    let headers = [("authorization", bearer.as_str()), ("accept-encoding", "gzip, br")];
    toy.send("POST", CHAT, &headers, body).ok(200);
    let sent = toy.forwarded.borrow().last().unwrap().clone();
    assert_eq!(sent.body, Sent::Bytes(body.as_bytes().to_vec()));
    let coding = |sent: &Outgoing| -> Vec<String> {
        let of_coding = sent.headers.iter().filter(|(name, _)| name == "accept-encoding");
        of_coding.map(|(_, value)| value.clone()).collect()
    };
    assert_eq!(coding(&sent), ["identity"]);
    toy.send("POST", "/v1/plain", &headers, body).ok(200);
    let sent = toy.forwarded.borrow().last().unwrap().clone();
    assert_eq!(coding(&sent), ["gzip, br"], "no other route's business");
}

#[test]
fn a_stream_is_settled_by_the_last_number_that_it_tells() {
    let (toy, _, key) = world("free");
    let stream = "data: {\"choices\":[],\"usage\":null}\r\n\r\ndata: {\"usage\":{\"total_tokens\":12}}\n\n\
                  : a comment\n\nevent: last\ndata: {\"usage\":\ndata: {\"total_tokens\":345}}\n\ndata: [DONE]\n\n";
    let mut left = 40_000;
    for size in [1, 2, 3, 7, 64, 1_000] {
        let parts: Vec<&str> =
            (0..stream.len()).step_by(size).map(|at| &stream[at..stream.len().min(at + size)]).collect();
        toy.says(200, "text/event-stream; charset=utf-8", &parts, Ending::Whole);
        toy.chat(&key, 1_000).ok(200);
        left -= 345;
        assert_eq!(toy.tokens_left(&key), left, "in parts of {size}");
    }
}

#[test]
fn where_nobody_knows_what_was_used_all_that_was_held_counts() {
    let whole = |text: &str| (200, "application/json", text.to_owned(), Ending::Whole);
    let wrong = ["-5", "\"5\"", "5.5", "null", "4294967296", "1e999", "[5]", "{}", "true", "5,\"total_tokens\":6"];
    let mut cases: Vec<_> =
        wrong.iter().map(|value| whole(&format!("{{\"usage\":{{\"total_tokens\":{value}}}}}"))).collect();
    cases.extend(
        [
            "",
            "{",
            "[]",
            "{\"usage\":5}",
            "{\"usage\":[]}",
            "{\"total_tokens\":5}",
            "{\"choices\":{\"usage\":{\"total_tokens\":5}}}",
        ]
        .map(whole),
    );
    let usage = "{\"usage\":{\"total_tokens\":5}}";
    cases.extend([
        (200, "text/plain", usage.to_owned(), Ending::Whole),
        (
            200,
            "text/event-stream",
            format!("event: {usage}\n\nid: {usage}\n\n: {usage}\n\ndata: [DONE]\n\n"),
            Ending::Whole,
        ),
        (200, "text/event-stream", format!("data: {usage}\n"), Ending::Cut),
        (200, "application/json", usage[..usage.len() - 1].to_owned(), Ending::Cut),
        (302, "text/html", String::new(), Ending::Whole),
        (502, "text/html", String::new(), Ending::Whole),
        (504, "application/json", "{}".to_owned(), Ending::Whole),
        (500, "application/json", "{}".to_owned(), Ending::Whole),
        (503, "application/json", "{}".to_owned(), Ending::Whole),
        (524, "text/html", String::new(), Ending::Whole),
        (408, "text/html", String::new(), Ending::Whole),
    ]);
    let (toy, _, key) = world("wide");
    for (status, content_type, text, ending) in cases {
        toy.says(status, content_type, &[&text], ending);
        assert_eq!(toy.chat(&key, 1_000).status, status);
        assert_eq!(toy.tokens_left(&key), 40_000 - held(1_000), "{content_type} {text}");
        toy.advance(62);
    }
}

#[test]
fn what_was_refused_or_never_went_out_costs_nothing() {
    let (toy, _, key) = world("free");
    for status in [400, 401, 404, 422, 429] {
        toy.says(status, "application/json", &["{\"error\":{}}"], Ending::Whole);
        assert_eq!(toy.chat(&key, 1_000).status, status);
        assert_eq!(toy.tokens_left(&key), 40_000, "{status}");
    }
    // One that says what it used did use it.
    toy.says(400, "application/json", &["{\"usage\":{\"total_tokens\":7}}"], Ending::Whole);
    toy.chat(&key, 1_000);
    assert_eq!(toy.tokens_left(&key), 40_000 - 7);
    toy.server(&key, "POST", "/v1/reviewed", &json!({"max_tokens": 9_000})).refused(503, "not_configured");
    assert_eq!(toy.tokens_left(&key), 40_000 - 7);
    *toy.upstream.borrow_mut() = Err(Reason::UpstreamDown(3_000));
    toy.chat(&key, 1_000).refused(502, "upstream_error");
    assert_eq!(toy.tokens_left(&key), 40_000 - 7);
    let toy = Toy::changed(&[("POLICY_TOML", POLICY)]);
    toy.workspace("acme");
    let (_, key) = toy.server_key("acme", "live", &json!({"scopes": ["completions:read"]}));
    let answer = toy.chat(&key, 1_000);
    answer.refused(502, "upstream_error");
    // A request it was all the same, and the answer says how the limits stand.
    assert_eq!((answer.header("x-ratelimit-remaining"), toy.left(&key)), (Some("59"), (40_000, 58)));
}

#[test]
fn a_call_that_went_out_and_was_not_answered_may_have_run_so_all_that_was_held_counts() {
    for (lost, status) in [(Reason::UpstreamFailed, 502), (Reason::UpstreamTimedOut, 504)] {
        let (toy, _, key) = world("free");
        *toy.upstream.borrow_mut() = Err(lost);
        assert_eq!(toy.chat(&key, 1_000).status, status);
        assert_eq!(toy.tokens_left(&key), 40_000 - held(1_000));
        toy.advance(62);
        assert_eq!(toy.tokens_left(&key), 40_000, "counted when it failed, not when it would be given up");
    }
}

#[test]
fn more_than_the_tier_could_ever_admit_is_413_says_so_and_counts_nothing() {
    for (tier, limit) in [("free", 40_000), ("two", 1_000)] {
        let (toy, _, key) = world(tier);
        let before = toy.left(&key);
        let answer = toy.chat(&key, bound(limit + 1));
        answer.refused(413, "payload_too_large");
        let said = format!("This call may take {} tokens, and the limit is {limit}", limit + 1);
        assert!(answer.text_at("error").starts_with(&said), "{}", answer.text);
        assert_eq!((answer.log["reason"].as_str(), answer.hops), (Some("tokens_too_many"), 1));
        for absurd in ["4294967295", "3999999999"] {
            let body: Value = serde_json::from_str(&format!("{{\"max_tokens\":{absurd}}}")).unwrap();
            toy.server(&key, "POST", CHAT, &body).refused(413, "payload_too_large");
        }
        assert_eq!(toy.forwarded.borrow().len(), 0);
        assert_eq!(toy.left(&key), (before.0, before.1 - 1));
        toy.says_used(&json!(0));
        toy.chat(&key, bound(limit)).ok(200);
    }
}

#[test]
fn tokens_that_are_used_up_are_429_with_both_limits_and_take_no_request() {
    let (toy, _, key) = world("free");
    toy.says_used(&json!(39_000));
    toy.chat(&key, 39_500).ok(200);
    toy.advance(10);
    let before = toy.forwarded.borrow().len();
    let answer = toy.chat(&key, 1_000);
    answer.refused(429, "token_rate_limited");
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("59"), "no request was counted");
    assert_eq!(answer.header("x-ratelimit-remaining-tokens"), Some("1000"), "and nothing held");
    assert_eq!(answer.header("ratelimit-policy"), Some("\"requests\";q=60;w=60, \"tokens\";q=40000;w=60"));
    assert_eq!(toy.forwarded.borrow().len(), before);
    // H11: what it says is true to the second.
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((50..=51).contains(&seconds), "{seconds}");
    toy.says_used(&json!(1_000));
    toy.chat(&key, bound(1_000)).ok(200);
    toy.says_used(&json!(0));
    toy.advance(seconds - 2);
    toy.chat(&key, 1_000).refused(429, "token_rate_limited");
    toy.advance(2);
    toy.chat(&key, 1_000).ok(200);
}

#[test]
fn requests_that_are_used_up_are_429_and_hold_no_token() {
    let (toy, _, key) = world("free");
    toy.says_used(&json!(10));
    for _ in 0..60 {
        toy.chat(&key, 1_000).ok(200);
    }
    let answer = toy.chat(&key, 1_000);
    answer.refused(429, "rate_limited");
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("0"));
    assert_eq!(answer.header("x-ratelimit-remaining-tokens"), Some("39400"));
    // Where both are used up, it is the requests, and it waits for both.
    toy.says_used(&json!(40_000));
    let answer = toy.chat(&key, 39_900);
    answer.refused(429, "rate_limited");
    assert_eq!(toy.whoami(&key).refused(429, "rate_limited").header("x-ratelimit-remaining-tokens"), Some("39400"));
}

#[test]
fn other_calls_tell_the_tokens_too_and_write_nothing_for_it() {
    let (toy, _, key) = world("wide");
    toy.says_used(&json!(1_500));
    toy.chat(&key, 2_000).ok(200);
    let answer = toy.whoami(&key).ok(200);
    let names: Vec<&str> =
        answer.json["limits"].as_array().unwrap().iter().map(|limit| limit["name"].as_str().unwrap()).collect();
    assert_eq!((names, answer.hops), (vec!["requests", "tokens"], 1));
    assert_eq!(answer.json["limits"][1]["remaining"], 38_500);
    toy.server(&key, "POST", "/v1/plain", &json!({"max_tokens": 99_999_999})).ok(200);
    assert_eq!(toy.tokens_left(&key), 38_500);
    // From a block of requests nothing is stored.
    for _ in 0..100 {
        toy.whoami(&key).ok(200);
    }
    let mut from_memory = 0;
    for _ in 0..20 {
        let (commits, reads) = (toy.commits.get(), toy.reads.get());
        assert_eq!(toy.tokens_left(&key), 38_500);
        if toy.commits.get() == commits {
            (from_memory, _) = (from_memory + 1, assert_eq!(toy.reads.get() - reads, 1));
        }
    }
    assert!(from_memory > 10, "{from_memory} of 20 from memory");
}

#[test]
fn a_tier_without_tokens_and_a_deploy_key_go_on_unmetered() {
    let (toy, id, key) = world("plain");
    toy.says_used(&json!(1_000_000));
    let answer = toy.chat(&key, 4_000_000_000).ok(200);
    assert_eq!((answer.hops, answer.header("x-ratelimit-remaining-tokens")), (1, None));
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("59"));
    assert_eq!(answer.header("ratelimit-policy"), Some("\"requests\";q=60;w=60"));
    let usage = toy.admin("GET", &format!("/v1/credentials/{id}/usage"), &Value::Null).ok(200);
    assert_eq!(usage.json.get("tokens"), None);
    let answer = toy.admin("POST", CHAT, &json!({"max_tokens": 4_000_000_000_u64})).ok(200);
    assert_eq!((answer.hops, answer.header("ratelimit-policy")), (1, None));
}

#[test]
fn a_tier_of_tokens_alone_and_one_of_two_windows_tell_what_they_have() {
    let (toy, _, key) = world("bare");
    toy.says_used(&json!(100));
    let answer = toy.chat(&key, 200).ok(200);
    assert_eq!((answer.header("x-ratelimit-limit"), answer.header("x-ratelimit-limit-tokens")), (None, Some("500")));
    assert_eq!(answer.header("ratelimit-policy"), Some("\"tokens\";q=500;w=60"));
    toy.chat(&key, bound(401)).refused(429, "token_rate_limited");
    let (toy, _, key) = world("two");
    toy.says_used(&json!(800));
    let answer = toy.chat(&key, bound(800)).ok(200);
    let policy = "\"requests-60\";q=100;w=60, \"requests-3600\";q=1000;w=3600, \"tokens-10\";q=1000;w=10, \"tokens-60\";q=3000;w=60";
    assert_eq!(answer.header("ratelimit-policy"), Some(policy));
    assert_eq!(answer.header("x-ratelimit-remaining-tokens"), Some("200"), "the tightest");
    for _ in 0..2 {
        toy.chat(&key, bound(800)).refused(429, "token_rate_limited");
        toy.advance(11);
        toy.chat(&key, bound(800)).ok(200);
    }
    toy.advance(11);
    let answer = toy.chat(&key, bound(800));
    answer.refused(429, "token_rate_limited");
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds > 20, "the longer window is the one that is full: {seconds}");
}

#[test]
fn a_body_that_bounds_nothing_is_refused_before_anybody_is_asked() {
    let (toy, _, key) = world("free");
    let bearer = format!("Bearer {key}");
    let auth = ("authorization", bearer.as_str());
    for value in ["-1", "1.5", "1e-3", "\"7\"", "true", "[]", "{}", "4294967296", "1,\"max_tokens\":2"] {
        let answer = toy.send("POST", CHAT, &[auth], &format!("{{\"max_tokens\":{value}}}"));
        idle(&answer, 400, "invalid_request");
        assert_eq!(answer.text_at("error"), "`max_tokens` is not valid.", "{value}");
    }
    for body in ["{", "max_tokens=7", "{} {}"] {
        idle(&toy.send("POST", CHAT, &[auth], body), 400, "invalid_request");
    }
    let plain = ("content-type", "text/plain");
    idle(&toy.send("POST", CHAT, &[auth, plain], "{\"max_tokens\":7}"), 415, "unsupported_media_type");
    let coded = ("content-encoding", "gzip");
    idle(&toy.send("POST", CHAT, &[auth, coded], "{\"max_tokens\":7}"), 415, "unsupported_media_type");
    let long = format!("{{\"max_tokens\":7,\"a\":\"{}\"}}", "x".repeat(1 << 20));
    idle(&toy.send("POST", CHAT, &[auth], &long), 413, "payload_too_large");
    // A credential that is none is not asked for its body.
    idle(&toy.send("POST", CHAT, &[], "{"), 401, "missing_credential");
    assert_eq!((toy.forwarded.borrow().len(), toy.left(&key)), (0, (40_000, 59)));
}

#[test]
fn a_request_that_says_nothing_is_bounded_by_the_policy() {
    let (toy, _, key) = world("free");
    toy.says(200, "text/plain", &[], Ending::Whole);
    toy.server(&key, "POST", CHAT, &json!({})).ok(200);
    assert_eq!(toy.tokens_left(&key), 40_000 - 4_096 - 1);
    toy.server(&key, "POST", CHAT, &json!({"max_tokens": null})).ok(200);
    assert_eq!(toy.tokens_left(&key), 40_000 - 2 * 4_096 - 1 - 5);
    toy.server(&key, "POST", "/v1/embeddings", &json!({"options": {}})).ok(200);
    assert_eq!(toy.tokens_left(&key), 40_000 - 2 * 4_096 - 6 - 100 - 4);
    toy.server(&key, "POST", "/v1/embeddings", &json!({"options": {"most": 1}})).ok(200);
    assert_eq!(toy.tokens_left(&key), 40_000 - 2 * 4_096 - 6 - 104 - 1 - 6);
    // Tools of more members than a body of our own may have are nobody's business here.
    let tools: serde_json::Map<String, Value> =
        (0..500).map(|n| (format!("m{n}"), json!({"max_tokens": "x"}))).collect();
    toy.server(&key, "POST", CHAT, &json!({"max_tokens": 7, "tools": tools})).ok(200);
}

#[test]
fn what_was_used_beyond_what_was_held_is_a_debt_that_nobody_gets_around() {
    let (toy, _, key) = world("wide");
    toy.says_used(&json!(100_000));
    toy.chat(&key, 1_000).ok(200);
    assert_eq!(toy.tokens_left(&key), 0);
    toy.chat(&key, 0).refused(429, "token_rate_limited");
    assert_eq!(toy.whoami(&key).status, 200, "a call that takes no tokens owes none");
    toy.advance(50);
    let answer = toy.chat(&key, 0);
    answer.refused(429, "token_rate_limited");
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    toy.says_used(&json!(0));
    toy.advance(seconds);
    toy.chat(&key, 39_000).ok(200);
}

#[test]
fn a_settlement_that_comes_twice_or_for_nobody_changes_nothing() {
    let (toy, _, key) = world("wide");
    let name = object(&toy, &key).1;
    assert_eq!(toy.begin("req_a", &key, 1_000).status, 200);
    assert_eq!(toy.begin("req_b", &key, 1_000).status, 200);
    assert_eq!(toy.tokens_left(&key), 40_000 - 2 * held(1_000));
    let settle = |id: &str, used| drop(toy.tell::<Credential>(&name, Command::Settle(id.to_owned(), used)).unwrap());
    settle("req_b", Some(10));
    let before = toy.snapshot();
    for used in [Some(10), Some(0), Some(9_999), None] {
        settle("req_b", used);
        settle("req_c", used);
    }
    assert!(toy.snapshot() == before);
    assert_eq!(toy.tokens_left(&key), 40_000 - held(1_000) - 10);
    toy.finish(20).unwrap();
    assert_eq!(toy.tokens_left(&key), 40_000 - 30);
}

#[test]
fn a_settlement_that_does_not_come_is_given_up_at_what_was_held_and_a_late_one_changes_nothing() {
    for is_asked in [false, true] {
        let (toy, id, key) = world("wide");
        toy.begin("req_a", &key, 1_000);
        toy.advance_millis(HOLD_MILLIS - 1);
        assert_eq!(toy.tokens_left(&key), 40_000 - held(1_000), "held for as long as it takes");
        if is_asked {
            toy.forget();
            toy.advance_millis(1);
        } else {
            toy.advance_millis(30_001);
        }
        // From now on it is used, and leaves the window as anything does.
        assert_eq!(toy.tokens_left(&key), 40_000 - held(1_000));
        toy.finish(10).unwrap();
        assert_eq!(toy.tokens_left(&key), 40_000 - held(1_000));
        let usage = toy.admin("GET", &format!("/v1/credentials/{id}/usage"), &Value::Null).ok(200);
        assert_eq!(usage.json["tokens"]["used"], held(1_000));
        toy.advance(if is_asked { 61 } else { 32 });
        assert_eq!(toy.tokens_left(&key), 40_000);
    }
}

#[test]
fn h10_where_the_object_does_not_answer_nothing_goes_out_and_what_is_held_stays_held() {
    let (toy, _, key) = world("wide");
    let name = object(&toy, &key);
    for fault in [Fault::Dead, Fault::NoReads, Fault::NoWrites] {
        toy.faults.borrow_mut().insert(name.clone(), fault);
        toy.chat(&key, 1_000).refused(503, "unavailable");
        toy.faults.borrow_mut().clear();
    }
    assert_eq!((toy.forwarded.borrow().len(), toy.tokens_left(&key)), (0, 40_000));
    toy.begin("req_a", &key, 1_000);
    toy.faults.borrow_mut().insert(name.clone(), Fault::NoWrites);
    assert!(toy.finish(10).is_err(), "it could not be settled");
    toy.faults.borrow_mut().clear();
    assert_eq!(toy.tokens_left(&key), 40_000 - held(1_000));
    // The caller has the answer of the upstream, whatever becomes of its settlement.
    *toy.upstream.borrow_mut() = Err(Reason::UpstreamDown(1_000));
    toy.after_hops(1, move |toy| {
        toy.faults.borrow_mut().insert(name, Fault::Dead);
    });
    toy.chat(&key, 1_000).refused(502, "upstream_error");
}

#[test]
fn h9_a_crash_between_admission_and_settlement_forgets_nothing() {
    let (toy, _, key) = world("wide");
    for number in 0..5 {
        toy.begin(&format!("req_{number}"), &key, 1_000);
        toy.forget();
    }
    assert_eq!(toy.tokens_left(&key), 40_000 - 5 * held(1_000));
    for number in 1..=5 {
        toy.forget();
        toy.finish(100).unwrap();
        toy.forget();
        assert_eq!(toy.tokens_left(&key), 40_000 - (5 - number) * held(1_000) - number * 100);
    }
}

#[test]
fn h2_of_a_thousand_at_once_as_many_are_admitted_as_fit_and_not_one_more() {
    let (toy, _, key) = world("wide");
    let answers: Vec<u16> = (0..1_000).map(|n| toy.begin(&format!("req_{n}"), &key, bound(500)).status).collect();
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 80);
    assert!(answers[..80].iter().all(|status| *status == 200) && answers[80..].iter().all(|status| *status == 429));
    assert_eq!(toy.forwarded.borrow().len(), 80);
}

#[test]
fn h12_a_storm_of_refusals_writes_hardly_anything() {
    let (toy, _, key) = world("wide");
    toy.says_used(&json!(40_000));
    toy.chat(&key, 30_000).ok(200);
    let commits = toy.commits.get();
    for call in 0..4_000 {
        toy.advance_millis(u64::from(call % 4 == 0));
        toy.chat(&key, 1_000).refused(429, "token_rate_limited");
    }
    for _ in 0..1_000 {
        toy.chat(&key, 50_000).refused(413, "payload_too_large");
    }
    let commits = toy.commits.get() - commits;
    assert!(commits <= 30, "{commits} transactions for 5,000 refusals in a second");
}

#[test]
fn a_call_and_its_settlement_write_one_row_each() {
    let (toy, _, key) = world("wide");
    toy.says_used(&json!(10));
    toy.chat(&key, 100).ok(200);
    toy.advance(20);
    let mut most = [0, 0];
    for number in 0..50 {
        let (commits, rows) = (toy.commits.get(), toy.written.get());
        assert_eq!(toy.begin(&format!("req_{number}"), &key, 100).hops, 1);
        let admitted = (toy.commits.get() - commits, toy.written.get() - rows);
        toy.finish(10).unwrap();
        let settled = (toy.commits.get() - commits - admitted.0, toy.written.get() - rows - admitted.1);
        assert_eq!((admitted.0, settled), (1, (1, 1)));
        // The alarm for what does not come is set once for many calls.
        most = [most[0].max(admitted.1), most[1] + admitted.1];
        toy.advance_millis(20);
    }
    assert!(most[0] <= 3 && most[1] <= 60, "{most:?}");
}

#[test]
fn a_credential_has_at_most_a_thousand_calls_under_way() {
    let (toy, _, key) = world("wide");
    for number in 0..MAX_OPEN {
        assert_eq!(toy.begin(&format!("req_{number}"), &key, 0).status, 200, "{number}");
    }
    let answer = toy.chat(&key, 0);
    answer.refused(429, "token_rate_limited");
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(toy.whoami(&key).status, 200);
    toy.finish(0).unwrap();
    toy.chat(&key, 0).ok(200);
    toy.chat(&key, 0).ok(200);
}

#[test]
fn both_secrets_of_a_rotation_share_the_tokens_and_a_revoked_keys_calls_are_settled_all_the_same() {
    let (toy, id, key) = world("free");
    toy.begin("req_a", &key, 10_000);
    let rotated = toy.admin("POST", &format!("/v1/credentials/{id}/rotate"), &json!({})).ok(201);
    let newer = rotated.text_at("secret");
    assert_eq!(toy.tokens_left(&newer), 40_000 - held(10_000));
    toy.begin("req_b", &newer, 10_000);
    toy.chat(&key, 30_000).refused(429, "token_rate_limited");
    toy.finish(500).unwrap();
    assert_eq!(
        (toy.tokens_left(&key), toy.tokens_left(&newer)),
        (40_000 - 500 - held(10_000), 40_000 - 500 - held(10_000))
    );
    toy.admin("POST", &format!("/v1/credentials/{id}/revoke"), &json!({})).ok(200);
    toy.chat(&newer, 1).refused(401, "revoked_credential");
    toy.finish(700).unwrap();
    let usage = toy.admin("GET", &format!("/v1/credentials/{id}/usage"), &Value::Null).ok(200);
    assert_eq!(usage.json["tokens"]["used"], 1_200);
}

#[test]
fn h6_no_change_of_tiers_forgets_what_was_used_or_what_is_held() {
    let (toy, id, key) = world("free");
    let change = |members: Value| drop(toy.admin("PATCH", &format!("/v1/credentials/{id}"), &members).ok(200));
    toy.says_used(&json!(30_000));
    toy.chat(&key, 30_000).ok(200);
    toy.begin("req_a", &key, bound(5_000));
    assert_eq!(toy.tokens_left(&key), 5_000);
    change(json!({"tier": "plain"}));
    assert_eq!(toy.whoami(&key).header("x-ratelimit-remaining-tokens"), None);
    toy.chat(&key, 1_000_000).ok(200);
    change(
        json!({"tier": "custom", "limits": {"requests": [{"limit": 100, "window_seconds": 60}], "tokens": [{"limit": 50_000, "window_seconds": 600}]}}),
    );
    assert_eq!(toy.tokens_left(&key), 15_000, "a window of another length knows what the longest one knew");
    toy.finish(1_000).unwrap();
    assert_eq!(toy.tokens_left(&key), 19_000);
    change(json!({"tier": "free"}));
    assert_eq!(toy.tokens_left(&key), 9_000);
    toy.advance(61);
    assert_eq!(toy.tokens_left(&key), 40_000);
}

#[test]
fn h3_a_clock_that_steps_locks_nobody_out_and_admits_nothing_twice() {
    let (toy, _, key) = world("wide");
    toy.says_used(&json!(30_000));
    toy.chat(&key, 30_000).ok(200);
    toy.begin("req_a", &key, bound(5_000));
    toy.step_back(3_600);
    toy.chat(&key, 5_000).refused(429, "token_rate_limited");
    assert_eq!(toy.tokens_left(&key), 5_000);
    toy.advance(62);
    assert_eq!(toy.tokens_left(&key), 35_000, "it has left the window, and the call is still under way");
    toy.advance_millis(HOLD_MILLIS - 61_000);
    assert_eq!(toy.tokens_left(&key), 35_000, "given up");
    toy.advance(62);
    assert_eq!(toy.tokens_left(&key), 40_000);
}

#[test]
fn h1_a_long_call_counts_in_the_window_in_which_it_ends() {
    let (toy, _, key) = world("wide");
    toy.begin("req_a", &key, bound(40_000));
    for _ in 0..5 {
        toy.advance(60);
        assert_eq!(toy.chat(&key, 0).status, 429, "held for as long as it takes");
    }
    toy.finish(39_000).unwrap();
    toy.says_used(&json!(0));
    toy.chat(&key, bound(1_000)).ok(200);
    toy.advance(59);
    toy.chat(&key, bound(1_001)).refused(429, "token_rate_limited");
    toy.advance(3);
    toy.chat(&key, bound(40_000)).ok(200);
}

#[test]
fn a_service_token_is_counted_as_a_server_key_is() {
    let (toy, ..) = world("free");
    let (_, token) =
        toy.service_token("acme", "test", "billing", &json!({"scopes": ["completions:read"], "tier": "free"}));
    toy.says_used(&json!(111));
    let headers = [("x-service-token", token.as_str()), ("x-service-name", "billing")];
    let answer = toy.send("POST", CHAT, &headers, "{\"max_tokens\":500}").ok(200);
    assert_eq!(answer.hops, 2);
    let answer = toy.send("GET", "/v1/whoami", &headers, "").ok(200);
    assert_eq!(answer.header("x-ratelimit-remaining-tokens"), Some("39889"));
}

#[test]
fn seed_001_completions_and_messages_cost_tokens_of_40_000_and_400_000_a_minute() {
    let toy = Toy::changed(&[("POLICY", "llm"), ("UPSTREAM", "https://api.example")]);
    toy.workspace("acme");
    toy.says(200, "text/event-stream", &["data: {\"usage\":{\"total_tokens\":25}}\n\ndata: [DONE]\n\n"], Ending::Whole);
    for (tier, limit) in [("free", 40_000), ("standard", 400_000)] {
        let scopes = ["completions:read", "sessions:write"];
        let (_, key) = toy.server_key("acme", "live", &json!({"tier": tier, "scopes": scopes}));
        for path in [CHAT, "/v1/sessions/s1/messages"] {
            let answer = toy.server(&key, "POST", path, &json!({"max_tokens": 100, "stream": true})).ok(200);
            assert_eq!(answer.header("x-ratelimit-limit-tokens"), Some(limit.to_string().as_str()));
        }
        assert_eq!(toy.tokens_left(&key), limit - 50);
        assert_eq!(toy.chat(&key, limit).ok(413).json["error"]["code"], "payload_too_large");
    }
    let numbers =
        json!({"requests": [{"limit": 5, "window_seconds": 60}], "tokens": [{"limit": 500, "window_seconds": 60}]});
    let (_, key) =
        toy.server_key("acme", "live", &json!({"tier": "enterprise", "limits": numbers, "scopes": ["admin"]}));
    toy.chat(&key, 100).ok(200);
    assert_eq!(toy.left(&key), (475, 3));
}
