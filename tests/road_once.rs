//! Gateway writes with an `Idempotency-Key`: one goes out, whoever repeats it gets the same answer, and what nobody knows is
//! never made again. Attack cases J by number.
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
    gateway::{
        self,
        store_once::{Command, LEASE_SECONDS, Outcome},
    },
    machines::credential::{self, Credential},
    upstream::{answer_copy, watch::Ending},
    world::upstream::{Incoming, Sent},
};
use serde_json::{Value, json};
use toy::{Answer, Fault, Name, Toy};

const POLICY: &str = r#"
brand = "clv"
unlimited = true
[scopes]
"things:write" = "Change things"
admin = { says = "Everything", implies = "*" }
[widget]
[[routes]]
match = "POST /v1/things"
accept = ["server_key", "service_token", "deploy_key"]
to = "upstream"
idempotency = "accepted"
[[routes]]
match = "PUT /v1/things"
accept = ["server_key"]
to = "upstream"
idempotency = "accepted"
[[routes]]
match = "POST /v1/things/{id}"
scope = "things:write"
accept = ["server_key"]
to = "upstream"
idempotency = "required"
[[routes]]
match = "POST /v1/plain"
accept = ["server_key"]
to = "upstream"
"#;

const DAY: u64 = 86_400;

fn toy() -> (Toy, String) {
    let toy = Toy::changed(&[("POLICY_TOML", POLICY), ("UPSTREAM", "http://api.internal")]);
    toy.workspace("acme");
    let (_, key) = toy.server_key("acme", "live", &Value::Null);
    (toy, key)
}

impl Toy {
    /// A write with this `Idempotency-Key`; none, where it is empty.
    fn put(&self, key: &str, path: &str, once: &str, body: &str) -> Answer {
        self.put_as("POST", key, path, once, body)
    }

    fn put_as(&self, method: &str, key: &str, path: &str, once: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {key}");
        self.send(method, path, &[("authorization", &bearer), ("idempotency-key", once)], body)
    }

    fn went_out(&self) -> usize {
        self.forwarded.borrow().len()
    }

    /// The `Idempotency-Key` of the last call that went out.
    fn id_sent(&self) -> Option<String> {
        let forwarded = self.forwarded.borrow();
        let headers = &forwarded.last().expect("something went out").headers;
        headers.iter().find(|(name, _)| name == "idempotency-key").map(|(_, value)| value.clone())
    }

    fn answers(&self, status: u16, headers: &[(&str, &str)], body: &str) {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        *self.upstream.borrow_mut() = Ok(Incoming { status, headers });
        *self.upstream_body.borrow_mut() = (vec![body.as_bytes().to_vec()], Ending::Whole);
    }

    fn fails(&self, reason: Reason) {
        *self.upstream.borrow_mut() = Err(reason);
    }

    /// The object of the one server key.
    fn key_object(&self) -> Name {
        let objects = self.objects.borrow();
        objects.keys().find(|(_, name)| name.starts_with("sk_live_")).expect("a key's object").clone()
    }

    /// From now on this is wrong with it.
    fn strike(&self, object: Name, fault: Fault) {
        self.faults.borrow_mut().insert(object, fault);
    }

    /// Rows of requests that came with a key.
    fn rows(&self) -> usize {
        let objects = self.objects.borrow();
        objects.values().flat_map(|object| object.rows.keys()).filter(|key| key.starts_with("once")).count()
    }

    fn unknown_in_the_audit(&self) -> Vec<Value> {
        self.advance(120);
        let path = "/v1/audit?workspace=acme&action=upstream.unknown";
        self.admin("GET", path, &Value::Null).ok(200).json["items"].as_array().unwrap().clone()
    }
}

#[track_caller]
fn replayed(answer: &Answer) {
    assert_eq!(answer.header("idempotent-replayed"), Some("true"), "{}", answer.text);
}

#[track_caller]
fn fresh(answer: &Answer) {
    assert_eq!((answer.status, answer.header("idempotent-replayed")), (200, None), "{}", answer.text);
}

#[test]
fn j1_whoever_repeats_a_write_gets_its_status_headers_and_body_again_and_one_call_went_out() {
    let (toy, key) = toy();
    let headers = [
        ("content-type", "text/plain"),
        ("content-length", "9"),
        ("x-price", "4711"),
        ("set-cookie", "session=theirs"),
        ("claviger-scopes", "admin"),
    ];
    toy.answers(201, &headers, "made once");
    let first = toy.put(&key, "/v1/things?a=1", "k1", "{\"n\":1}").ok(201);
    assert_eq!(toy.forwarded.borrow()[0].body, Sent::Bytes(b"{\"n\":1}".to_vec()));
    toy.answers(500, &[], "another");
    for spelling in ["k1", "\"k1\""] {
        let again = toy.put(&key, "/v1/things?a=1", spelling, "{\"n\":1}").ok(201);
        replayed(&again);
        assert_eq!((again.text.as_str(), again.hops), ("made once", 2));
        // Metered as any call, and without what belonged to the first answer alone.
        assert!(again.header("x-request-id").is_some() && first.header("idempotent-replayed").is_none());
        let stays = |(name, _): &&(String, String)| !matches!(name.as_str(), "set-cookie" | "content-length");
        let passed: Vec<_> = first.passed.iter().filter(stays).cloned().collect();
        assert_eq!((again.passed, passed.len()), (passed, 3));
    }
    assert_eq!(toy.went_out(), 1);
    // Another process answers the same: it is stored.
    toy.forget();
    replayed(&toy.put(&key, "/v1/things?a=1", "k1", "{\"n\":1}").ok(201));
    assert_eq!(toy.went_out(), 1);
}

#[test]
fn the_api_behind_gets_a_key_of_ours_that_nobody_else_has_and_never_the_callers() {
    let (toy, key) = toy();
    toy.put(&key, "/v1/things", "k1", "{}").ok(200);
    let id = toy.id_sent().unwrap();
    assert!(id.len() == 68 && id.starts_with("idk_") && !id.contains("k1"), "{id}");
    // Nothing went out at first: then it is the same one.
    toy.fails(Reason::UpstreamDown(1));
    toy.put(&key, "/v1/things", "k2", "{}").refused(502, "upstream_error");
    let before = toy.id_sent().unwrap();
    toy.answers(200, &[], "");
    toy.put(&key, "/v1/things", "k2", "{}").ok(200);
    assert_eq!(toy.id_sent().unwrap(), before);
    assert_ne!(before, id);
    // Without a key, none; and no other spelling of the header passes for one.
    let bearer = format!("Bearer {key}");
    toy.send("POST", "/v1/things", &[("authorization", &bearer), ("idempotency_key", "k3")], "{}").ok(200);
    let shown = format!("{:?}", toy.forwarded.borrow().last().unwrap().headers);
    assert!(!shown.contains("k3") && !shown.contains("idempotency"), "{shown}");
    // A route that does not look at it lets it pass as it is.
    toy.put(&key, "/v1/plain", "k1", "{}").ok(200);
    toy.put(&key, "/v1/plain", "k1", "{}").ok(200);
    assert_eq!((toy.id_sent().as_deref(), toy.went_out()), (Some("k1"), 6));
}

#[test]
fn j2_while_a_write_is_under_way_its_repetition_is_told_to_wait() {
    let (toy, key) = toy();
    let same = key.clone();
    toy.answers(200, &[], "done");
    toy.after_hops(2, move |toy| {
        let meanwhile = toy.put(&same, "/v1/things", "k1", "{}");
        meanwhile.refused(409, "idempotency_in_progress");
        assert_eq!(meanwhile.header("retry-after"), Some("1"));
        // Another key does not wait.
        fresh(&toy.put(&same, "/v1/things", "k2", "{}"));
    });
    fresh(&toy.put(&key, "/v1/things", "k1", "{}"));
    replayed(&toy.put(&key, "/v1/things", "k1", "{}"));
    assert_eq!(toy.went_out(), 2);
}

#[test]
fn j3_j4_another_body_or_query_is_another_request_and_another_path_or_method_has_its_own_keys() {
    let (toy, key) = toy();
    fresh(&toy.put(&key, "/v1/things?a=1", "k1", "{\"a\":1,\"b\":2}"));
    for (path, body) in [
        ("/v1/things?a=1", "{\"b\":2,\"a\":1}"),
        ("/v1/things?a=1", "{\"a\":1, \"b\":2}"),
        ("/v1/things?a=1", ""),
        ("/v1/things?a=2", "{\"a\":1,\"b\":2}"),
        ("/v1/things", "{\"a\":1,\"b\":2}"),
    ] {
        toy.put(&key, path, "k1", body).refused(422, "idempotency_key_reused");
    }
    assert_eq!(toy.went_out(), 1);
    replayed(&toy.put(&key, "/v1/things?a=1", "k1", "{\"a\":1,\"b\":2}"));
    fresh(&toy.put_as("PUT", &key, "/v1/things?a=1", "k1", "{\"a\":1,\"b\":2}"));
    assert_eq!(toy.went_out(), 2);
}

#[test]
fn j5_j16_no_other_credential_learns_or_takes_a_key_and_every_kind_has_its_own() {
    let (toy, key) = toy();
    let (_, other) = toy.server_key("acme", "live", &Value::Null);
    let (_, test) = toy.server_key("acme", "test", &Value::Null);
    let (_, token) = toy.service_token("acme", "live", "billing", &Value::Null);
    let deploy = toy.deploy_key();
    let mut ids = Vec::new();
    for key in [&key, &other, &test] {
        fresh(&toy.put(key, "/v1/things", "k1", "{}"));
        ids.extend(toy.id_sent());
    }
    let service = [("x-service-name", "billing"), ("x-service-token", token.as_str()), ("idempotency-key", "k1")];
    let administrator = [("authorization", deploy.as_str()), ("idempotency-key", "k1")];
    for headers in [service.as_slice(), &administrator] {
        fresh(&toy.send("POST", "/v1/things", headers, "{}"));
        ids.extend(toy.id_sent());
        replayed(&toy.send("POST", "/v1/things", headers, "{}"));
    }
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), toy.went_out()), (5, 5));
}

#[test]
fn j6_a_key_that_is_none_is_refused_and_nothing_goes_out() {
    let (toy, key) = toy();
    let long = "k".repeat(256);
    for once in [long.as_str(), "a b", "\"a", "a, b", "ä", "\"\"", "a\u{1}"] {
        toy.put(&key, "/v1/things", once, "{}").refused(400, "idempotency_key_invalid");
    }
    let bearer = format!("Bearer {key}");
    let twice = [("authorization", bearer.as_str()), ("idempotency-key", "a"), ("idempotency-key", "a")];
    toy.send("POST", "/v1/things", &twice, "{}").refused(400, "idempotency_key_invalid");
    assert_eq!((toy.went_out(), toy.rows()), (0, 0));
    fresh(&toy.put(&key, "/v1/things", &"k".repeat(255), "{}"));
}

#[test]
fn j7_where_a_key_is_required_a_write_without_one_is_refused_only_to_whoever_may_write() {
    let (toy, key) = toy();
    toy.put(&key, "/v1/things/1", "", "{}").refused(403, "insufficient_scope");
    let (_, may) = toy.server_key("acme", "live", &json!({"scopes": ["things:write"]}));
    toy.put(&may, "/v1/things/1", "", "{}").refused(400, "idempotency_key_required");
    assert_eq!((toy.went_out(), toy.rows()), (0, 0));
    fresh(&toy.put(&may, "/v1/things/1", "k1", "{}"));
    replayed(&toy.put(&may, "/v1/things/1", "k1", "{}"));
}

#[test]
fn j8_what_was_refused_before_it_went_out_is_not_remembered() {
    let (toy, key) = toy();
    toy.put(&key, "/v1/things/1", "k1", "{}").refused(403, "insufficient_scope");
    let id = toy.admin("GET", "/v1/credentials?workspace=acme", &Value::Null).json["items"][0]["id"].clone();
    let path = format!("/v1/credentials/{}", id.as_str().unwrap());
    toy.admin("PATCH", &path, &json!({"scopes": ["things:write"]})).ok(200);
    assert_eq!(toy.rows(), 0);
    for reason in [Reason::UpstreamMissing, Reason::UpstreamDown(9_000), Reason::Unavailable] {
        toy.fails(reason);
        assert!(toy.put(&key, "/v1/things/1", "k1", "{}").status >= 500);
        assert!(toy.rows() <= 1, "only how many there are");
    }
    toy.answers(200, &[], "done");
    fresh(&toy.put(&key, "/v1/things/1", "k1", "{}"));
    let nobody = Toy::changed(&[("POLICY_TOML", POLICY)]);
    nobody.workspace("acme");
    let (_, key) = nobody.server_key("acme", "live", &Value::Null);
    nobody.put(&key, "/v1/things", "k1", "{}").refused(502, "upstream_error");
    assert!(nobody.rows() <= 1 && nobody.went_out() == 0);
}

#[test]
fn j9_whatever_the_api_behind_answers_is_the_answer() {
    let (toy, key) = toy();
    for status in [400, 404, 409, 422, 500, 503, 204, 302] {
        let once = status.to_string();
        toy.answers(status, &[("x-status", &once)], &once);
        assert_eq!(toy.put(&key, "/v1/things", &once, "{}").status, status);
        toy.answers(200, &[], "another");
        let again = toy.put(&key, "/v1/things", &once, "{}");
        replayed(&again);
        assert_eq!((again.status, again.text), (status, once));
    }
    assert_eq!(toy.went_out(), 8);
}

#[test]
fn j9_what_somebody_in_between_says_who_gave_up_waiting_is_no_answer_of_the_api() {
    let (toy, key) = toy();
    for status in [504, 520, 524] {
        let once = status.to_string();
        toy.answers(status, &[], "gave up");
        assert_eq!(toy.put(&key, "/v1/things", &once, "{}").status, status);
        toy.answers(200, &[], "another");
        toy.put(&key, "/v1/things", &once, "{}").refused(409, "conflict");
    }
    assert_eq!((toy.went_out(), toy.unknown_in_the_audit().len()), (3, 3));
}

#[test]
fn j10_j11_a_call_whose_end_was_never_told_is_unknown_after_its_lease_recorded_and_never_made_again() {
    let (toy, key) = toy();
    let dead = toy.key_object();
    toy.answers(200, &[], "paid");
    // The upstream has done it, and then the process dies.
    toy.after_hops(2, move |toy| toy.strike(dead, Fault::Dead));
    toy.put(&key, "/v1/things", "k1", "{}").ok(200);
    assert!(!toy.followed.get());
    toy.faults.borrow_mut().clear();
    toy.forget();
    toy.put(&key, "/v1/things", "k1", "{}").refused(409, "idempotency_in_progress");
    toy.advance(LEASE_SECONDS - 1);
    toy.put(&key, "/v1/things", "k1", "{}").refused(409, "idempotency_in_progress");
    assert_eq!(toy.unknown_in_the_audit().len(), 1);
    for _ in 0..2 {
        let lost = toy.put(&key, "/v1/things", "k1", "{}");
        lost.refused(409, "conflict");
        assert_eq!(lost.log["reason"], "upstream_lost");
        assert!(lost.text_at("error").contains("answer was lost"), "{}", lost.text);
    }
    let events = toy.unknown_in_the_audit();
    assert_eq!((events.len(), toy.went_out()), (1, 1));
    assert_eq!(
        (events[0]["target"].as_str(), events[0]["outcome"].as_str()),
        (Some("POST /v1/things"), Some("unknown"))
    );
    assert!(events[0]["actor"].as_str().unwrap().starts_with("server_key:sk_"), "{}", events[0]);
    assert_eq!(toy.admin("GET", "/v1/audit/verify?workspace=acme", &Value::Null).json["valid"], true);
    // A person looks, and repeats it with another key.
    fresh(&toy.put(&key, "/v1/things", "k2", "{}"));
}

#[test]
fn an_outcome_is_found_lost_without_the_alarm_and_recorded_once() {
    let (toy, key) = toy();
    let object = toy.key_object();
    let dead = object.clone();
    toy.after_hops(2, move |toy| toy.strike(dead, Fault::Dead));
    toy.put(&key, "/v1/things", "k1", "{}").ok(200);
    toy.faults.borrow_mut().clear();
    toy.objects.borrow_mut().get_mut(&object).unwrap().alarm = None;
    toy.advance(LEASE_SECONDS);
    toy.put(&key, "/v1/things", "k1", "{}").refused(409, "conflict");
    assert_eq!((toy.unknown_in_the_audit().len(), toy.unknown_in_the_audit().len(), toy.went_out()), (1, 1, 1));
    // Also where nobody asks for it again, by whatever comes next; at the latest with the alarm.
    for (once, next) in [("k2", "k3"), ("k4", "")] {
        let dead = object.clone();
        toy.after_hops(2, move |toy| toy.strike(dead, Fault::Dead));
        toy.put(&key, "/v1/things", once, "{}").ok(200);
        toy.faults.borrow_mut().clear();
        if !next.is_empty() {
            toy.objects.borrow_mut().get_mut(&object).unwrap().alarm = None;
        }
        toy.advance(LEASE_SECONDS);
        fresh(&toy.put(&key, "/v1/things", next, "{}"));
    }
    assert_eq!(toy.unknown_in_the_audit().len(), 3);
}

#[test]
fn where_it_is_known_that_no_answer_came_it_is_unknown_at_once() {
    let (toy, key) = toy();
    let deploy = toy.deploy_key();
    for (once, reason, status) in [("k1", Reason::UpstreamFailed, 502), ("k2", Reason::UpstreamTimedOut, 504)] {
        toy.fails(reason);
        assert_eq!(toy.put(&key, "/v1/things", once, "{}").status, status);
        toy.answers(200, &[], "done");
        assert_eq!(toy.put(&key, "/v1/things", once, "{}").log["reason"], "upstream_lost");
    }
    toy.fails(Reason::UpstreamFailed);
    let headers = [("authorization", deploy.as_str()), ("idempotency-key", "k1")];
    assert_eq!(toy.send("POST", "/v1/things", &headers, "{}").status, 502);
    assert_eq!(toy.send("POST", "/v1/things", &headers, "{}").status, 409);
    assert_eq!((toy.unknown_in_the_audit().len(), toy.went_out()), (2, 3));
    // What a deploy key did stands in the deployment's own chain.
    let own = toy.admin("GET", "/v1/audit?action=upstream.unknown", &Value::Null).ok(200);
    assert_eq!(own.json["items"].as_array().unwrap().len(), 1, "{}", own.text);
}

#[test]
fn an_answer_that_comes_after_its_call_was_given_up_is_the_answer_and_one_of_another_attempt_is_not() {
    let (toy, key) = toy();
    let (binding, object) = toy.key_object();
    assert_eq!(binding, "CREDENTIAL");
    toy.fails(Reason::UpstreamTimedOut);
    toy.put(&key, "/v1/things", "k1", "{}").refused(504, "upstream_timeout");
    let digest: [u8; 32] = {
        let id = toy.id_sent().unwrap();
        let byte = |at: usize| u8::from_str_radix(&id[4 + 2 * at..6 + 2 * at], 16).unwrap();
        std::array::from_fn(byte)
    };
    let late = |attempt: &str, outcome| {
        let command = credential::Command::Once(Box::new(Command::End(digest, attempt.to_owned(), outcome, None)));
        toy.tell::<Credential>(&object, command).unwrap();
    };
    let answer =
        gateway::store_answers::Answer { status: 202, headers: Vec::new(), body: cbor::Bytes(b"late".to_vec()) };
    for outcome in [Outcome::Lost, Outcome::Nothing] {
        late("req_toy", outcome);
    }
    late("req_other", Outcome::Answered(answer.clone()));
    assert_eq!(toy.put(&key, "/v1/things", "k1", "{}").log["reason"], "upstream_lost");
    late("req_toy", Outcome::Answered(answer));
    late("req_toy", Outcome::Nothing);
    late("req_toy", Outcome::Lost);
    let again = toy.put(&key, "/v1/things", "k1", "{}").ok(202);
    replayed(&again);
    assert_eq!((again.text.as_str(), toy.went_out(), toy.unknown_in_the_audit().len()), ("late", 1, 1));
}

#[test]
fn j12_a_revoked_credential_gets_no_answer_of_before_also_where_it_ends_in_between() {
    let (toy, key) = toy();
    let id = toy.whoami(&key).text_at("id");
    fresh(&toy.put(&key, "/v1/things", "k1", "{}"));
    let path = format!("/v1/credentials/{id}/revoke");
    // It was admitted, and then it ends: nothing goes out.
    let revoke = path.clone();
    toy.after_hops(1, move |toy| drop(toy.admin("POST", &revoke, &Value::Null).ok(200)));
    toy.put(&key, "/v1/things", "k2", "{}").refused(401, "revoked_credential");
    toy.put(&key, "/v1/things", "k1", "{}").refused(401, "revoked_credential");
    assert_eq!(toy.went_out(), 1);
    let deploy = toy.deploy_key();
    let headers = [("authorization", deploy.as_str()), ("idempotency-key", "k1")];
    fresh(&toy.send("POST", "/v1/things", &headers, "{}"));
    toy.send("POST", "/v1/self/revoke", &headers[..1], "").ok(200);
    toy.send("POST", "/v1/things", &headers, "{}").refused(401, "revoked_credential");
}

#[test]
fn j13_a_key_is_remembered_for_a_day_to_the_second_and_then_nothing_is_left_of_it() {
    let (toy, key) = toy();
    toy.answers(200, &[], "first");
    fresh(&toy.put(&key, "/v1/things", "k1", "{}"));
    toy.answers(200, &[], "second");
    toy.advance(DAY - 1);
    replayed(&toy.put(&key, "/v1/things", "k1", "{}"));
    toy.advance(2);
    let new = toy.put(&key, "/v1/things", "k1", "{\"another\":true}");
    fresh(&new);
    assert_eq!((new.text.as_str(), toy.went_out()), ("second", 2));
    replayed(&toy.put(&key, "/v1/things", "k1", "{\"another\":true}"));
    // The alarm clears away what nobody asks for.
    for number in 0..600 {
        toy.put(&key, "/v1/things", &format!("n{number}"), "{}").ok(200);
    }
    toy.advance(DAY + 2 * 3_600);
    assert_eq!(toy.rows(), 1, "how many there are");
    let used = toy.objects.borrow()[&toy.key_object()].rows["once-use"].clone();
    assert_eq!(cbor::read::<(usize, usize)>(&used), Ok((0, 0)));
}

#[test]
fn j14_no_key_and_no_cookie_stands_in_a_row() {
    let (toy, key) = toy();
    toy.answers(200, &[("set-cookie", "session=very-secret")], "done");
    toy.put(&key, "/v1/things", "my-idempotency-key", "{\"card\":\"4242\"}").ok(200);
    let stored: Vec<u8> =
        toy.objects.borrow().values().flat_map(|object| object.rows.values().flatten().copied()).collect();
    let stored = String::from_utf8_lossy(&stored).into_owned();
    for text in ["my-idempotency-key", "very-secret", "4242", key.as_str()] {
        assert!(!stored.contains(text), "{text}");
    }
    assert!(stored.contains("done"), "the answer is the API's own, and kept");
}

#[test]
fn j15_a_credential_that_has_as_many_keys_as_it_may_is_told_when_one_is_free_again() {
    let (toy, key) = toy();
    fresh(&toy.put(&key, "/v1/things", "k1", "{}"));
    let object = toy.key_object();
    let fill = |rows: usize, bytes: usize| {
        let row = cbor::write(&(rows, bytes));
        toy.objects.borrow_mut().get_mut(&object).unwrap().rows.insert("once-use".to_owned(), row);
    };
    for (rows, bytes) in [(gateway::store_answers::MAX_ROWS, 0), (1, gateway::store_answers::MAX_BYTES)] {
        fill(rows, bytes);
        let full = toy.put(&key, "/v1/things", "k2", "{}");
        full.refused(429, "rate_limited");
        assert_eq!(full.header("retry-after"), Some(DAY.to_string().as_str()));
        assert_eq!(full.log["reason"], "idempotency_keys_full");
        replayed(&toy.put(&key, "/v1/things", "k1", "{}"));
        fill(rows - usize::from(bytes == 0), bytes - usize::from(bytes > 0));
        fresh(&toy.put(&key, "/v1/things", &format!("n{rows}"), "{}"));
    }
    assert_eq!(toy.went_out(), 3);
    // Whoever sends none goes on.
    fill(gateway::store_answers::MAX_ROWS, 0);
    fresh(&toy.put(&key, "/v1/things", "", "{}"));
    toy.advance(DAY);
    fresh(&toy.put(&key, "/v1/things", "k2", "{}"));
}

#[test]
fn an_answer_that_is_too_long_or_breaks_off_is_said_so_and_not_made_again() {
    let (toy, key) = toy();
    let part = vec![b'a'; answer_copy::MAX_BYTES / 2];
    let just = vec![part.clone(), part.clone()];
    let over = vec![part.clone(), part.clone(), vec![b'a']];
    for (once, parts, ending, says) in [
        ("k1", just.clone(), Ending::Whole, ""),
        ("k2", over.clone(), Ending::Whole, "status 201, and that answer was too long to be kept"),
        ("k3", over, Ending::Cut, "too long to be kept"),
        ("k4", just, Ending::Cut, "status 201, and that answer broke off before its end"),
    ] {
        toy.answers(201, &[], "");
        *toy.upstream_body.borrow_mut() = (parts, ending);
        let first = toy.put(&key, "/v1/things", once, "{}").ok(201);
        let again = toy.put(&key, "/v1/things", once, "{}");
        if says.is_empty() {
            replayed(&again);
            assert!(again.text == first.text);
        } else {
            again.refused(409, "conflict");
            assert!(again.text_at("error").contains(says), "{}", again.text);
        }
    }
    let long = "h".repeat(70_000);
    toy.answers(200, &[("x-long", &long)], "");
    toy.put(&key, "/v1/things", "k5", "{}").ok(200);
    toy.put(&key, "/v1/things", "k5", "{}").refused(409, "conflict");
    assert_eq!(toy.went_out(), 5);
}

#[test]
fn where_the_object_cannot_be_asked_nothing_goes_out_and_what_it_wrote_is_taken_back() {
    let (toy, key) = toy();
    let object = toy.key_object();
    for fault in [Fault::Dead, Fault::NoReads, Fault::NoWrites] {
        let name = object.clone();
        toy.after_hops(1, move |toy| toy.strike(name, fault));
        toy.put(&key, "/v1/things", "k1", "{}").refused(503, "unavailable");
        toy.faults.borrow_mut().clear();
    }
    assert_eq!(toy.went_out(), 0);
    fresh(&toy.put(&key, "/v1/things", "k1", "{}"));
}

#[test]
fn a_body_that_a_key_stands_for_is_at_most_a_mebibyte_and_one_without_a_key_streams() {
    let (toy, key) = toy();
    let long = "x".repeat((1 << 20) + 1);
    toy.put(&key, "/v1/things", "k1", &long).refused(413, "payload_too_large");
    assert_eq!((toy.went_out(), toy.rows()), (0, 0));
    fresh(&toy.put(&key, "/v1/things", "k1", &long[1..]));
    fresh(&toy.put(&key, "/v1/things", "", &long));
    assert_eq!(toy.forwarded.borrow().last().unwrap().body, Sent::Stream);
}
