//! What is done and what is only answered: a refusal of the upstream frees an `Idempotency-Key`, and refusals of ours are written
//! for who reads them. Rows F3, F11 and F19.
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
    codec::cbor,
    error::Reason,
    gateway::{self, store_once::LEASE_SECONDS},
    policy,
    upstream::watch::Ending,
    world::upstream::Incoming,
};
use serde_json::{Value, json};
use toy::{Answer, Fault, Toy};

const POLICY: &str = r#"
brand = "clv"
[scopes]
"things:write" = "Change things"
admin = { says = "Everything", implies = "*" }
[[routes]]
match = "POST /v1/things"
accept = ["server_key"]
to = "upstream"
idempotency = "accepted"
[[routes]]
match = "POST /v1/models"
accept = ["server_key"]
to = "upstream"
idempotency = "required"
idempotency_frees = [408, 425, 503, 529]
"#;

const DAY: u64 = 86_400;
const PLAIN: &str = "/v1/things";
const LISTED: &str = "/v1/models";

fn gateway() -> (Toy, String) {
    let toy = Toy::changed(&[("POLICY_TOML", POLICY), ("UPSTREAM", "http://api.internal")]);
    toy.workspace("acme");
    let (_, key) = toy.server_key("acme", "live", &Value::Null);
    (toy, key)
}

impl Toy {
    fn once(&self, key: &str, path: &str, once: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {key}");
        self.send("POST", path, &[("authorization", &bearer), ("idempotency-key", once)], body)
    }

    fn answers(&self, status: u16, headers: &[(&str, &str)], body: &str) {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        *self.upstream.borrow_mut() = Ok(Incoming { status, headers });
        *self.upstream_body.borrow_mut() = (vec![body.as_bytes().to_vec()], Ending::Whole);
    }

    fn ids_sent(&self) -> Vec<String> {
        let of = |headers: &[(String, String)]| {
            headers.iter().find(|(name, _)| name == "idempotency-key").map(|(_, value)| value.clone())
        };
        self.forwarded.borrow().iter().filter_map(|call| of(&call.headers)).collect()
    }

    /// The one row of a request that came with a key, as it is stored.
    fn row(&self) -> Vec<u8> {
        let objects = self.objects.borrow();
        let mut rows = objects.values().flat_map(|object| &object.rows).filter(|(name, _)| name.starts_with("once/"));
        let row = rows.next().expect("a row").1.clone();
        assert!(rows.next().is_none(), "one row");
        row
    }
}

#[track_caller]
fn is_replay(answer: &Answer) -> bool {
    assert!(answer.status != 409 || answer.json["success"] != false, "{}", answer.text);
    answer.header("idempotent-replayed") == Some("true")
}

/// What the upstream answers first; and whether the key is free then, on a route that lists nothing and on one that does.
#[test]
fn f3_an_answer_that_proves_that_nothing_was_done_frees_the_key_and_passes() {
    let (toy, key) = gateway();
    let in_use = r#"{"error":{"type":"idempotency_error","code":"idempotency_key_in_use"}}"#;
    let when: &[(&str, &str)] = &[("retry-after", "1")];
    for (number, (status, headers, body, plain, listed)) in [
        (401, &[][..], "{}", true, true),
        (403, &[], "", true, true),
        (429, when, "{}", true, true),
        (429, &[], "", true, true),
        (409, when, "{}", true, true),
        (409, &[], in_use, true, true),
        (409, &[], r#"{"code":"conflict"}"#, false, false),
        (408, &[], "", false, true),
        (425, &[], "", false, true),
        (503, when, "", false, true),
        (503, &[("retry-after", "")], "", false, false),
        (503, &[], "", false, false),
        (529, &[], "", false, true),
        (400, &[], "", false, false),
        (404, when, "", false, false),
        (500, when, "", false, false),
        (502, when, "", false, false),
        (200, when, "", false, false),
    ]
    .into_iter()
    .enumerate()
    {
        for (path, frees) in [(PLAIN, plain), (LISTED, listed)] {
            let once = format!("k{number}");
            toy.answers(status, headers, body);
            let first = toy.once(&key, path, &once, "{\"n\":1}").ok(status);
            assert_eq!((first.text.as_str(), is_replay(&first)), (body, false));
            toy.answers(201, &[], "done");
            let second = toy.once(&key, path, &once, "{\"n\":1}");
            assert_eq!(second.status, if frees { 201 } else { status }, "{path} {status} {headers:?} {body}");
            assert_eq!(is_replay(&second), !frees, "{path} {status} {headers:?} {body}");
            // What was done in the end is what is remembered.
            toy.answers(500, &[], "another");
            let third = toy.once(&key, path, &once, "{\"n\":1}");
            assert!(is_replay(&third) && third.status == second.status && third.text == second.text);
            // The upstream gets one id for all attempts.
            let ids = toy.ids_sent();
            let of_this = ids.iter().filter(|id| *id == ids.last().unwrap()).count();
            assert_eq!(of_this, if frees { 2 } else { 1 }, "{path} {status}");
        }
    }
}

#[test]
fn f3_who_gave_up_waiting_frees_no_key_and_may_not_be_listed() {
    let (toy, key) = gateway();
    for status in [504, 520, 522, 524, 527] {
        for path in [PLAIN, LISTED] {
            toy.answers(status, &[("retry-after", "1")], r#"{"code":"idempotency_key_in_use"}"#);
            toy.once(&key, path, &status.to_string(), "{}").ok(status);
            toy.answers(200, &[], "another");
            toy.once(&key, path, &status.to_string(), "{}").refused(409, "conflict");
        }
    }
    let route = "brand = \"clv\"\n[[routes]]\nmatch = \"POST /a\"\naccept = [\"server_key\"]\n";
    let fault = |rest: &str| policy::parse(&format!("{route}{rest}")).err().map(|error| error.to_string());
    let upstream = "to = \"upstream\"\nidempotency = \"accepted\"\n";
    for sound in ["[]", "[408, 425, 503]", "[409, 429, 529]", "[400, 599]"] {
        assert_eq!(fault(&format!("{upstream}idempotency_frees = {sound}")), None);
    }
    for (list, why) in [
        ("[504]", "504 says that nobody knows what was done"),
        ("[503, 520]", "520 says that nobody knows what was done"),
        ("[527]", "527 says that nobody knows what was done"),
        ("[200]", "a list of whole numbers from 400 to 599"),
        ("[600]", "a list of whole numbers from 400 to 599"),
        ("503", "a list of whole numbers from 400 to 599"),
        ("[\"503\"]", "a list of whole numbers from 400 to 599"),
    ] {
        let error = fault(&format!("{upstream}idempotency_frees = {list}")).expect(list);
        assert!(error.starts_with("line 7: ") && error.contains(why), "{error}");
    }
    for rest in ["to = \"upstream\"\nidempotency_frees = [503]", "to = \"upstream\"\nidempotency_frees = []"] {
        assert!(fault(rest).expect(rest).contains("only where `idempotency` honours keys"));
    }
}

#[test]
fn f3_a_freed_key_stands_for_its_request_alone_until_its_day_is_over() {
    let (toy, key) = gateway();
    toy.answers(429, &[("retry-after", "1")], "");
    toy.once(&key, PLAIN, "k1", "{\"n\":1}").ok(429);
    for (path, body) in [(PLAIN, "{\"n\":2}"), ("/v1/things?a=1", "{\"n\":1}"), (PLAIN, "")] {
        toy.once(&key, path, "k1", body).refused(422, "idempotency_key_reused");
    }
    // Nor does an attempt that never went out make it forget.
    *toy.upstream.borrow_mut() = Err(Reason::UpstreamDown(1));
    toy.once(&key, PLAIN, "k1", "{\"n\":1}").refused(502, "upstream_error");
    toy.once(&key, PLAIN, "k1", "{\"n\":2}").refused(422, "idempotency_key_reused");
    toy.advance(DAY);
    toy.answers(200, &[], "another");
    assert_eq!(toy.once(&key, PLAIN, "k1", "{\"n\":2}").ok(200).text, "another");
    // What a repetition did is remembered for a day from then on, however late it went out.
    toy.answers(429, &[], "");
    toy.once(&key, PLAIN, "k2", "{}").ok(429);
    toy.advance(DAY - 60);
    toy.answers(200, &[], "done");
    assert!(!is_replay(&toy.once(&key, PLAIN, "k2", "{}").ok(200)));
    toy.advance(DAY - 60);
    assert!(is_replay(&toy.once(&key, PLAIN, "k2", "{}").ok(200)));
    toy.advance(3 * DAY);
    let left = toy.objects.borrow();
    let left: Vec<_> =
        left.values().flat_map(|object| object.rows.keys()).filter(|name| name.starts_with("once")).collect();
    assert_eq!(left, ["once-use"], "nothing stays for ever");
}

#[test]
fn f3_of_many_that_repeat_a_refused_write_exactly_one_is_under_way() {
    let (toy, key) = gateway();
    toy.answers(429, &[], "");
    toy.once(&key, PLAIN, "k1", "{}").ok(429);
    toy.answers(200, &[], "done");
    let same = key.clone();
    toy.after_hops(2, move |toy| {
        for _ in 0..3 {
            toy.once(&same, PLAIN, "k1", "{}").refused(409, "idempotency_in_progress");
        }
        toy.once(&same, PLAIN, "k1", "{\"n\":2}").refused(422, "idempotency_key_reused");
    });
    assert!(!is_replay(&toy.once(&key, PLAIN, "k1", "{}").ok(200)));
    assert!(is_replay(&toy.once(&key, PLAIN, "k1", "{}").ok(200)));
    assert_eq!(toy.forwarded.borrow().len(), 2);
}

#[test]
fn f3_a_crash_before_a_refusal_is_stored_leaves_the_write_unknown_and_so_does_one_of_its_repetition() {
    for refusals in [0, 1] {
        let (toy, key) = gateway();
        toy.answers(429, &[], "");
        for _ in 0..refusals {
            toy.once(&key, PLAIN, "k1", "{}").ok(429);
        }
        let objects = toy.objects.borrow();
        let object = objects.keys().find(|(_, name)| name.starts_with("sk_live_")).unwrap().clone();
        drop(objects);
        // The upstream refuses, and then the process dies.
        toy.after_hops(2, move |toy| {
            toy.faults.borrow_mut().insert(object, Fault::Dead);
        });
        toy.once(&key, PLAIN, "k1", "{}").ok(429);
        toy.faults.borrow_mut().clear();
        toy.forget();
        toy.answers(200, &[], "done");
        toy.once(&key, PLAIN, "k1", "{}").refused(409, "idempotency_in_progress");
        toy.advance(LEASE_SECONDS);
        let lost = toy.once(&key, PLAIN, "k1", "{}");
        lost.refused(409, "conflict");
        assert_eq!((lost.log["reason"].as_str(), toy.forwarded.borrow().len()), (Some("upstream_lost"), 1 + refusals));
    }
}

/// A row as the previous build reads it.
#[derive(Debug)]
struct OldRow {
    request: [u8; 32],
    at: claviger::codec::time::Timestamp,
    attempt: String,
    state: gateway::store_answers::State,
    owner: Option<String>,
}

claviger::wire!(OldRow { request, at, attempt, state, owner });

#[derive(Debug)]
enum OldCommand {
    End([u8; 32], String, OldOutcome),
}

claviger::wire!(enum OldCommand { 1 End(a, b, c) });

#[derive(Debug, PartialEq)]
enum OldOutcome {
    Nothing,
}

claviger::wire!(enum OldOutcome { 3 Nothing });

#[test]
fn f3_the_previous_build_reads_a_freed_row_as_one_that_is_neither_repeated_nor_made_again() {
    let (toy, key) = gateway();
    toy.answers(429, &[], "");
    toy.once(&key, PLAIN, "k1", "{}").ok(429);
    let row: OldRow = cbor::read(&toy.row()).expect("it reads it");
    assert!(
        matches!(row.state, gateway::store_answers::State::NotKept(429, _)),
        "a conflict that tells the status: {row:?}"
    );
    assert!(row.owner.is_none() && row.attempt == "req_toy" && row.at.0 > 0 && row.request != [0; 32]);
    // What it writes in turn is not free, whatever it was before.
    let ended = cbor::write(&OldRow { state: gateway::store_answers::State::Unknown, ..row });
    assert!(!cbor::read::<gateway::store_answers::Row>(&ended).unwrap().is_free());
    // And it is told of a refusal in words that it has: nothing was done.
    let end = claviger::gateway::store_once::Command::End(
        [7; 32],
        "req_a".to_owned(),
        claviger::gateway::store_once::Outcome::Nothing,
        Some(429),
    );
    let OldCommand::End(key, attempt, outcome) = cbor::read(&cbor::write(&end)).expect("it reads it");
    assert_eq!((key, attempt.as_str(), outcome), ([7; 32], "req_a", OldOutcome::Nothing));
}

#[test]
fn f3_a_refusal_is_told_at_its_head_so_nobody_must_read_its_body_for_the_key_to_be_free() {
    let (toy, key) = gateway();
    toy.answers(429, &[], "");
    toy.holds_answers.set(true);
    toy.once(&key, PLAIN, "k1", "{}").ok(429);
    assert!(toy.under_way.borrow().is_empty(), "nothing of it is kept");
    toy.answers(200, &[], "done");
    assert!(!is_replay(&toy.once(&key, PLAIN, "k1", "{}").ok(200)));
}

const DIALECTS: &str = r#"
brand = "gs"
[scopes]
chat = "Chat"
[tiers.free]
requests = { limit = 3, window_seconds = 60 }
tokens = { limit = 1_000, window_seconds = 60 }
[tiers.wide]
requests = { limit = 100, window_seconds = 60 }
tokens = { limit = 1_000, window_seconds = 60 }
[[routes]]
match = "POST /v1/openai"
accept = ["server_key"]
scope = "chat"
to = "upstream"
tokens = { reserve = "max_tokens", settle = "usage.total_tokens" }
errors = "openai"
[[routes]]
match = "POST /v1/anthropic"
accept = ["server_key"]
scope = "chat"
to = "upstream"
tokens = { reserve = "max_tokens", settle = "usage.total_tokens" }
errors = "anthropic"
[[routes]]
match = "POST /v1/gemini"
accept = ["server_key"]
scope = "chat"
to = "upstream"
tokens = { reserve = "max_tokens", settle = "usage.total_tokens" }
errors = "gemini"
[[routes]]
match = "POST /v1/ours"
accept = ["server_key"]
scope = "chat"
to = "upstream"
tokens = { reserve = "max_tokens", settle = "usage.total_tokens" }
errors = "claviger"
"#;

/// Refusals of every sort, on a route of this name: status, our code, and the answer.
fn refusals(route: &str, accept: &str) -> Vec<(u16, &'static str, Answer)> {
    let toy = Toy::changed(&[("POLICY_TOML", DIALECTS), ("UPSTREAM", "http://api.internal")]);
    toy.workspace("acme");
    let key = |members: Value| format!("Bearer {}", toy.server_key("acme", "live", &members).1);
    let (good, plain) = (key(json!({"scopes": ["chat"]})), key(json!({"tier": "wide"})));
    let wide = key(json!({"scopes": ["chat"], "tier": "wide"}));
    let path = format!("/v1/{route}");
    let send = |authorization: &str, body: &Value| {
        let headers = [("authorization", authorization), ("accept", accept)];
        toy.send("POST", &path, &headers, &body.to_string())
    };
    toy.answers(200, &[("content-type", "application/json")], "{\"usage\":{\"total_tokens\":900}}");
    let mut found = vec![
        (401, "missing_credential", send("", &json!({}))),
        (401, "invalid_credential", send("Bearer sk-wrong", &json!({}))),
        (403, "insufficient_scope", send(&plain, &json!({"max_tokens": 1}))),
        (400, "invalid_request", send(&wide, &json!({"max_tokens": "many"}))),
        (413, "payload_too_large", send(&wide, &json!({"max_tokens": 5_000}))),
    ];
    send(&wide, &json!({"max_tokens": 900})).ok(200);
    found.push((429, "token_rate_limited", send(&wide, &json!({"max_tokens": 900}))));
    toy.answers(200, &[("content-type", "application/json")], "{\"usage\":{\"total_tokens\":1}}");
    for _ in 0..3 {
        send(&good, &json!({"max_tokens": 1}));
    }
    found.push((429, "rate_limited", send(&good, &json!({"max_tokens": 1}))));
    *toy.upstream.borrow_mut() = Err(Reason::UpstreamTimedOut);
    let (_, other) = toy.server_key("acme", "live", &json!({"scopes": ["chat"]}));
    found.push((504, "upstream_timeout", send(&format!("Bearer {other}"), &json!({"max_tokens": 1}))));
    found
}

#[test]
fn f11_a_route_has_its_refusals_written_in_its_dialect_with_our_code_fix_and_request_id() {
    let ours = refusals("ours", "application/json");
    for (dialect, types) in [
        (
            "openai",
            [
                "authentication_error",
                "authentication_error",
                "permission_error",
                "invalid_request_error",
                "invalid_request_error",
                "tokens",
                "requests",
                "server_error",
            ],
        ),
        (
            "anthropic",
            [
                "authentication_error",
                "authentication_error",
                "permission_error",
                "invalid_request_error",
                "request_too_large",
                "rate_limit_error",
                "rate_limit_error",
                "timeout_error",
            ],
        ),
        (
            "gemini",
            [
                "UNAUTHENTICATED",
                "UNAUTHENTICATED",
                "PERMISSION_DENIED",
                "INVALID_ARGUMENT",
                "INVALID_ARGUMENT",
                "RESOURCE_EXHAUSTED",
                "RESOURCE_EXHAUSTED",
                "DEADLINE_EXCEEDED",
            ],
        ),
    ] {
        let theirs = refusals(dialect, "application/json");
        for (((status, code, answer), (_, _, plain)), kind) in theirs.iter().zip(&ours).zip(types) {
            plain.refused(*status, code);
            assert_eq!(answer.status, *status, "{}", answer.text);
            let (fix, error) = (plain.text_at("fix"), plain.text_at("error"));
            let message = format!("{error} {fix}");
            let body = &answer.json;
            match dialect {
                "openai" => {
                    let param = if *code == "invalid_request" { json!("max_tokens") } else { Value::Null };
                    let mut expected = json!({
                        "message": message, "type": kind, "param": param, "code": code, "fix": fix, "request_id": "req_toy",
                    });
                    if *code == "insufficient_scope" {
                        expected["required"] = json!(["chat"]);
                    }
                    assert_eq!(*body, json!({"error": expected}));
                }
                "anthropic" => {
                    let mut expected = json!({"type": kind, "message": message, "code": code, "fix": fix});
                    if *code == "insufficient_scope" {
                        expected["required"] = json!(["chat"]);
                    }
                    assert_eq!(*body, json!({"type": "error", "error": expected, "request_id": "req_toy"}));
                }
                _ => {
                    let info = json!({
                        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                        "reason": code.to_ascii_uppercase(),
                        "domain": "claviger",
                        "metadata": {"code": code, "fix": fix, "request_id": "req_toy"},
                    });
                    let error = json!({"code": status, "message": message, "status": kind, "details": [info]});
                    assert_eq!(*body, json!({"error": error}));
                }
            }
            // Status and headers are the same: what clients decide by.
            assert_eq!(answer.headers, plain.headers);
            assert_eq!(answer.log["reason"], plain.log["reason"]);
        }
        // Whoever prefers problem details gets them.
        for (status, code, answer) in refusals(dialect, "application/problem+json") {
            answer.refused(status, code);
            assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        }
    }
}

#[test]
fn f11_what_is_refused_before_a_route_is_known_is_ours_and_a_dialect_is_one_of_four() {
    let toy = Toy::changed(&[("POLICY_TOML", DIALECTS), ("UPSTREAM", "http://api.internal")]);
    toy.send("POST", "/v1/openai/x", &[], "").refused(404, "not_found");
    toy.send("GET", "/v1/openai", &[], "").refused(404, "not_found");
    toy.send("GET", "/v1/whoami", &[], "").refused(401, "missing_credential");
    // A proxy that asks about a call of the route passes the answer on.
    let asked = [("x-forwarded-method", "POST"), ("x-forwarded-uri", "/v1/anthropic")];
    let answer = toy.send("GET", "/v1/forward-auth", &asked, "").ok(401);
    assert_eq!(answer.json["error"]["code"], "missing_credential");
    let route = "brand = \"gs\"\n[[routes]]\nmatch = \"POST /a\"\naccept = [\"server_key\"]\nto = \"upstream\"\n";
    for dialect in ["claviger", "openai", "anthropic", "gemini"] {
        assert!(policy::parse(&format!("{route}errors = \"{dialect}\"")).is_ok());
    }
    for wrong in ["\"OpenAI\"", "\"google\"", "\"\"", "true"] {
        let error = policy::parse(&format!("{route}errors = {wrong}")).unwrap_err();
        assert!(error.line == 6 && error.reason.contains("`errors` is"), "{error}");
    }
}

#[test]
fn f19_accept_is_read_by_its_grammar_and_every_error_varies_by_it() {
    let toy = Toy::new("default");
    for (accept, is_problem) in [
        ("application/problem+json", true),
        ("APPLICATION/PROBLEM+JSON", true),
        ("application/problem+json;q=0", false),
        ("application/problem+json;Q=0.0, */*", false),
        ("application/json, application/problem+json;q=0.5", false),
        ("application/json;q=0.5, application/problem+json", true),
        ("text/html;level=\"application/problem+json\"", false),
        ("*/*", false),
        ("", false),
    ] {
        let answer = toy.send("GET", "/v1/whoami", &[("accept", accept)], "");
        answer.refused(401, "missing_credential");
        let expected = if is_problem { "application/problem+json" } else { "application/json" };
        assert_eq!(answer.header("content-type"), Some(expected), "{accept}");
        assert_eq!(answer.header("vary"), Some("Accept"));
    }
    // Two lines are one list.
    let lines = [("accept", "application/json;q=0.1"), ("accept", "application/problem+json")];
    let answer = toy.send("GET", "/v1/whoami", &lines, "");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    // The same care for a body's type and coding.
    let send = |name: &str, value: &str| {
        let key = toy.deploy_key();
        let headers = [("authorization", key.as_str()), (name, value)];
        toy.send("POST", "/v1/workspaces", &headers, "{\"name\":\"n\"}").status
    };
    for sound in [
        "application/json",
        "Application/JSON;",
        "application/json ; charset=\"UTF-8\"",
        "application/json;a=\"x;charset=latin1\"",
        "application/json; a=\"\\\"; charset=latin1\"",
    ] {
        assert_eq!(send("content-type", sound), 201, "{sound}");
    }
    for other in [
        "application/json;charset=latin1",
        "application/json, application/json",
        "text/plain;a=\"application/json\"",
        "application/jsonx",
        "application/json; charset=\"latin1\"",
    ] {
        assert_eq!(send("content-type", other), 415, "{other}");
    }
    for (coding, status) in [("identity", 201), ("Identity, ", 201), (",", 201), ("gzip", 415), ("identity, br", 415)] {
        assert_eq!(send("content-encoding", coding), status, "{coding}");
    }
}

#[test]
fn f3_a_repetition_that_was_done_and_whose_answer_is_not_kept_is_not_free() {
    let (toy, key) = gateway();
    for (once, ending, long) in [("k1", Ending::Cut, false), ("k2", Ending::Whole, true), ("k3", Ending::Cut, true)] {
        toy.answers(429, &[], "");
        toy.once(&key, PLAIN, once, "{}").ok(429);
        toy.answers(200, &[], "done");
        let part = vec![b'a'; if long { claviger::upstream::answer_copy::MAX_BYTES + 1 } else { 4 }];
        *toy.upstream_body.borrow_mut() = (vec![part], ending);
        toy.once(&key, PLAIN, once, "{}").ok(200);
        let sent = toy.forwarded.borrow().len();
        toy.answers(200, &[], "another");
        for _ in 0..2 {
            toy.once(&key, PLAIN, once, "{}").refused(409, "conflict");
        }
        assert_eq!(toy.forwarded.borrow().len(), sent, "{once}: it was done");
    }
    // The same for one that the upstream says is under way, once the first of its answers has come.
    toy.answers(409, &[], r#"{"code":"idempotency_key_in_use"}"#);
    toy.once(&key, PLAIN, "k4", "{}").ok(409);
    *toy.upstream.borrow_mut() = Err(Reason::UpstreamTimedOut);
    toy.once(&key, PLAIN, "k4", "{}").refused(504, "upstream_timeout");
    toy.answers(200, &[], "another");
    toy.once(&key, PLAIN, "k4", "{}").refused(409, "conflict");
}

#[test]
fn f3_keys_that_were_freed_take_room_once_and_none_of_it_is_left_behind() {
    let (toy, key) = gateway();
    for _ in 0..5 {
        toy.answers(429, &[], "");
        toy.once(&key, PLAIN, "k1", "{}").ok(429);
        // Each attempt has a moment of its own.
        toy.advance(1);
    }
    let objects = toy.objects.borrow();
    let used = objects.values().find_map(|object| object.rows.get("once-use")).unwrap();
    assert_eq!(cbor::read::<(usize, usize)>(used), Ok((1, 0)));
    let kept: Vec<_> =
        objects.values().flat_map(|object| object.rows.keys()).filter(|name| name.starts_with("once")).collect();
    assert_eq!(kept.len(), 3, "its row, its moment and the count: {kept:?}");
}

#[test]
fn f3_a_freed_key_goes_out_again_only_where_its_answer_has_room() {
    let (toy, key) = gateway();
    toy.answers(429, &[], "");
    toy.once(&key, PLAIN, "k1", "{}").ok(429);
    for object in toy.objects.borrow_mut().values_mut() {
        if let Some(used) = object.rows.get_mut("once-use") {
            *used = cbor::write(&(1_usize, gateway::store_answers::MAX_BYTES));
        }
    }
    toy.forget();
    let sent = toy.forwarded.borrow().len();
    toy.answers(200, &[], "done");
    let full = toy.once(&key, PLAIN, "k1", "{}");
    full.refused(429, "rate_limited");
    assert_eq!((full.log["reason"].as_str(), toy.forwarded.borrow().len()), (Some("idempotency_keys_full"), sent));
}

#[test]
fn f3_f11_the_policy_of_language_models_frees_keys_and_speaks_as_its_clients_do() {
    let policy = policy::parse(policy::built_in("llm").unwrap()).unwrap();
    let (mut frees, mut speaks) = (0, Vec::new());
    for route in &policy.routes {
        let name = format!("{} {}", route.method, route.path);
        if route.idempotency != policy::Idempotency::Ignored {
            assert_eq!(route.idempotency_frees, [408, 425, 503], "{name}");
            frees += 1;
        }
        if route.errors != policy::ErrorDialect::Claviger {
            speaks.push((name, route.errors));
        }
    }
    assert!(frees > 5, "{frees} routes");
    speaks.sort_by(|one, other| one.0.cmp(&other.0));
    let expected = [
        ("GET /v1/models", policy::ErrorDialect::OpenAi),
        ("POST /v1/chat/completions", policy::ErrorDialect::OpenAi),
        ("POST /v1/completions", policy::ErrorDialect::OpenAi),
        ("POST /v1/embeddings", policy::ErrorDialect::OpenAi),
        ("POST /v1/messages", policy::ErrorDialect::Anthropic),
        ("POST /v1/responses", policy::ErrorDialect::OpenAi),
    ];
    assert_eq!(speaks, expected.map(|(name, dialect)| (name.to_owned(), dialect)));
}
