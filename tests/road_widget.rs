//! The whole road of a visitor: opening, writing, reading, rotating, closing; and all that a page cannot do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod toy;

use serde_json::json;
use toy::{ORIGIN, ROOT, Toy, Visitor};

const DAY: u64 = 86_400;

#[test]
fn a_visitor_talks_with_an_operator() {
    let toy = Toy::new("default");
    let visitor = toy.conversation();
    let said = toy.say(&visitor, "Is it waterproof?").ok(201);
    assert_eq!((said.json["id"].as_str(), said.json["from"].as_str()), (Some("msg_1"), Some("visitor")));
    assert_eq!(said.json["at"], "2026-01-01T00:00:00.000Z");
    assert_eq!(said.header("access-control-allow-origin"), Some(ORIGIN));
    assert_eq!(said.header("vary"), Some("Origin"));

    let listed = toy.admin("GET", "/v1/conversations?workspace=acme", &json!(null)).ok(200);
    assert_eq!(listed.json["items"][0]["id"], visitor.conversation.as_str());
    assert_eq!(listed.json["items"][0]["status"], "open");
    let path = format!("/v1/conversations/{}/messages", visitor.conversation);
    assert_eq!(toy.admin("GET", &path, &json!(null)).ok(200).json["items"][0]["text"], "Is it waterproof?");
    let replied = toy.admin("POST", &path, &json!({"text": "To 50 m."})).ok(201);
    assert_eq!((replied.json["id"].as_str(), replied.json["from"].as_str()), (Some("msg_2"), Some("operator")));
    assert_eq!(toy.hear(&visitor), ["Is it waterproof?", "To 50 m."]);

    let head = toy.visit(&visitor, "HEAD", "messages", "").ok(200);
    assert_eq!(head.text, "");
    toy.advance(3);
    let other = toy.open(&visitor.key);
    assert_ne!((&other.conversation, &other.secret), (&visitor.conversation, &visitor.secret));
    assert!(toy.hear(&other).is_empty());
}

#[test]
fn a_page_holds_fifty_messages_and_says_where_the_next_begins() {
    let toy = Toy::new("default");
    let visitor = toy.conversation();
    let path = format!("/v1/conversations/{}/messages", visitor.conversation);
    for number in 1..=51 {
        toy.admin("POST", &path, &json!({"text": format!("number {number}")})).ok(201);
    }
    let first = toy.visit(&visitor, "GET", "messages", "").ok(200);
    assert_eq!(first.json["items"].as_array().unwrap().len(), 50);
    assert_eq!(first.json["next"], "msg_50");
    let second = toy.visit(&visitor, "GET", "messages?after=msg_50", "").ok(200);
    assert_eq!(second.json["items"].as_array().unwrap().len(), 1);
    assert_eq!((second.json["items"][0]["text"].as_str(), second.json["next"].is_null()), (Some("number 51"), true));
    let last = toy.visit(&visitor, "GET", "messages?after=msg_51", "").ok(200);
    assert_eq!((last.json["items"].as_array().unwrap().len(), last.json["next"].is_null()), (0, true));
    for broken in ["msg_", "msg_x", "51", "msg_-1", "msg_99999999999", "msg_1%20"] {
        toy.visit(&visitor, "GET", &format!("messages?after={broken}"), "").refused(400, "invalid_request");
    }
}

#[test]
fn a_rotation_may_be_repeated_for_a_minute_until_the_new_secret_is_used() {
    let toy = Toy::new("default");
    let old = toy.conversation();
    toy.advance(1);
    let first = toy.visit(&old, "POST", "secret/rotate", "").ok(201);
    let new = Visitor { secret: first.text_at("history_secret"), ..old.clone() };
    assert_ne!(new.secret, old.secret);
    // The old one is dead for everything but this one call, which answers the same.
    toy.visit(&old, "GET", "messages", "").refused(401, "revoked_credential");
    toy.say(&old, "me again").refused(401, "revoked_credential");
    toy.visit(&old, "POST", "close", "").refused(401, "revoked_credential");
    toy.advance(58);
    assert_eq!(toy.visit(&old, "POST", "secret/rotate", "").ok(201).text, first.text);
    toy.hear(&new);
    toy.visit(&old, "POST", "secret/rotate", "").refused(401, "revoked_credential");

    let third = toy.visit(&new, "POST", "secret/rotate", "").ok(201);
    toy.advance(60);
    toy.visit(&new, "POST", "secret/rotate", "").refused(401, "revoked_credential");
    let newest = Visitor { secret: third.text_at("history_secret"), ..old.clone() };
    toy.visit(&old, "POST", "secret/rotate", "").refused(401, "revoked_credential");
    assert!(toy.hear(&newest).is_empty());

    // Writing is a use too.
    let fourth = toy.visit(&newest, "POST", "secret/rotate", "").ok(201);
    toy.say(&Visitor { secret: fourth.text_at("history_secret"), ..old }, "hello").ok(201);
    toy.visit(&newest, "POST", "secret/rotate", "").refused(401, "revoked_credential");
}

#[test]
fn a_closed_conversation_opens_for_nobody_and_its_messages_stay_for_the_operator() {
    let toy = Toy::new("default");
    let visitor = toy.conversation();
    toy.say(&visitor, "bye").ok(201);
    toy.advance(1);
    let closed = toy.visit(&visitor, "POST", "close", "").ok(200);
    assert_eq!(
        (closed.json["status"].as_str(), closed.json["closed_at"].as_str()),
        (Some("closed"), Some("2026-01-01T00:00:01.000Z"))
    );
    for (method, tail, body) in [
        ("GET", "messages", ""),
        ("POST", "messages", "{\"text\":\"x\"}"),
        ("POST", "secret/rotate", ""),
        ("POST", "close", ""),
    ] {
        let refused = toy.visit(&visitor, method, tail, body);
        refused.refused(401, "revoked_credential");
        assert_eq!(refused.header("access-control-allow-origin"), Some(ORIGIN), "the page may read why");
    }
    let path = format!("/v1/conversations/{}/messages", visitor.conversation);
    assert_eq!(toy.admin("GET", &path, &json!(null)).ok(200).json["items"][0]["text"], "bye");
    toy.admin("POST", &path, &json!({"text": "too late"})).refused(410, "gone");
    let listed = toy.admin("GET", "/v1/conversations?workspace=acme", &json!(null)).ok(200);
    assert_eq!(listed.json["items"][0]["status"], "closed");
}

#[test]
fn b6_a_history_secret_lives_thirty_days_and_not_a_second_more() {
    let toy = Toy::new("default");
    let (_, key) = toy.shop();
    let opened = toy.send("POST", &format!("/w/{key}/conversations"), &[("origin", ORIGIN)], "").ok(201);
    assert_eq!(opened.json["expires_at"], "2026-01-31T00:00:00.000Z");
    let visitor =
        Visitor { key, conversation: opened.text_at("conversation"), secret: opened.text_at("history_secret") };
    toy.advance(30 * DAY - 1);
    assert!(toy.hear(&visitor).is_empty());
    toy.advance(1);
    toy.visit(&visitor, "GET", "messages", "").refused(401, "expired_credential");
    toy.visit(&visitor, "POST", "secret/rotate", "").refused(401, "expired_credential");
    let listed = toy.admin("GET", "/v1/conversations?workspace=acme", &json!(null)).ok(200);
    assert_eq!(listed.json["items"][0]["status"], "expired", "its alarm rang");
    let path = format!("/v1/conversations/{}/messages", visitor.conversation);
    toy.admin("POST", &path, &json!({"text": "too late"})).refused(410, "gone");

    // A rotated secret lives thirty days from its rotation.
    let visitor = toy.open(&visitor.key);
    toy.advance(20 * DAY);
    let rotated = toy.visit(&visitor, "POST", "secret/rotate", "").ok(201);
    let visitor = Visitor { secret: rotated.text_at("history_secret"), ..visitor };
    toy.advance(29 * DAY);
    assert!(toy.hear(&visitor).is_empty());
}

#[test]
fn b24_a_history_secret_opens_its_own_conversation_and_nothing_else() {
    let toy = Toy::new("default");
    let one = toy.conversation();
    let other = toy.open(&one.key);
    let crossed = Visitor { conversation: other.conversation.clone(), ..one.clone() };
    for (method, tail, body) in [
        ("GET", "messages", ""),
        ("POST", "messages", "{\"text\":\"x\"}"),
        ("POST", "secret/rotate", ""),
        ("POST", "close", ""),
    ] {
        let refused = toy.visit(&crossed, method, tail, body);
        refused.refused(403, "wrong_conversation");
        assert_eq!(
            (refused.made, refused.hops),
            (0, 2),
            "the key's shard, and the secret's own conversation, which counts that"
        );
        assert_eq!(refused.header("access-control-allow-origin"), Some(ORIGIN));
    }
    let unknown = Visitor { conversation: "conv_00000000000000000000_acme".to_owned(), ..one.clone() };
    toy.visit(&unknown, "GET", "messages", "").refused(403, "wrong_conversation");
    let nonsense = Visitor { conversation: "..".to_owned(), ..one.clone() };
    toy.visit(&nonsense, "GET", "messages", "").refused(403, "wrong_conversation");
    assert!(toy.hear(&other).is_empty() && toy.hear(&one).is_empty());
}

#[test]
fn b25_b7_a_history_secret_stays_in_its_workspace_and_environment() {
    let toy = Toy::new("default");
    let one = toy.conversation();
    toy.workspace("other");
    let (_, other) = toy.widget_key("other", "live", &[ORIGIN]);
    let (_, test) = toy.widget_key("acme", "test", &[ORIGIN]);
    toy.visit(&Visitor { key: other, ..one.clone() }, "GET", "messages", "").refused(403, "wrong_workspace");
    toy.visit(&Visitor { key: test, ..one.clone() }, "GET", "messages", "").refused(403, "wrong_environment");
    assert!(toy.hear(&one).is_empty());
}

#[test]
fn b19_b20_b21_only_a_listed_origin_gets_in_and_only_it_may_read_the_answer() {
    let toy = Toy::new("default");
    let (_, key) = toy.shop();
    let path = format!("/w/{key}/conversations");
    for origin in [
        "",
        "null",
        "file://",
        "data:",
        "https://shop.example.evil.com",
        "https://evilshop.example",
        "https://shop.example.",
        "http://shop.example",
        "https://shop.example:8443",
        "https://shop.example@evil.com",
        "https://SHOP.example",
        "https://shop.example/",
        "https://xn--shop.example",
        "*",
        "https://shop.example, https://evil.example",
    ] {
        let refused = toy.send("POST", &path, &[("origin", origin)], "{}");
        refused.refused(403, "origin_not_allowed");
        assert_eq!(refused.header("access-control-allow-origin"), None, "{origin}");
        assert_eq!(refused.header("vary"), Some("Origin, Accept"));
        assert_eq!((refused.hops, refused.made), (1, 0));
    }
    let twice = toy.send("POST", &path, &[("origin", ORIGIN), ("origin", ORIGIN)], "{}");
    twice.refused(403, "origin_not_allowed");
    let visitor = toy.open(&key);
    let elsewhere = toy.send(
        "GET",
        &format!("{path}/{}/messages", visitor.conversation),
        &[("origin", "https://evil.example"), ("authorization", &format!("Bearer {}", visitor.secret))],
        "",
    );
    elsewhere.refused(403, "origin_not_allowed");
    assert!(elsewhere.json.get("items").is_none(), "what was read at the same time is dropped");
    toy.send("POST", &path, &[("origin", ORIGIN), ("referer", "https://evil.example/")], "{}").ok(201);
}

#[test]
fn m5_a_preflight_echoes_the_origin_without_credentials_and_without_asking_anybody() {
    let toy = Toy::new("default");
    let (_, key) = toy.shop();
    for tail in [
        "conversations",
        "conversations/conv_x/messages",
        "conversations/conv_x/secret/rotate",
        "conversations/conv_x/close",
    ] {
        let asked = toy
            .send(
                "OPTIONS",
                &format!("/w/{key}/{tail}"),
                &[("origin", "https://any.example"), ("access-control-request-method", "POST")],
                "",
            )
            .ok(204);
        assert_eq!((asked.hops, asked.made, asked.text.as_str()), (0, 0, ""));
        assert_eq!(asked.header("access-control-allow-origin"), Some("https://any.example"));
        assert_eq!(asked.header("access-control-allow-credentials"), None);
        assert_eq!(asked.header("access-control-max-age"), Some("7200"));
        assert_eq!(asked.header("access-control-allow-headers"), Some("Authorization, Content-Type, Idempotency-Key"));
        assert_eq!(asked.header("vary"), Some("Origin"));
    }
    let forged = toy.send("OPTIONS", &format!("/w/{}/conversations", toy::forge(&key)), &[("origin", ORIGIN)], "");
    forged.refused(401, "invalid_credential");
    assert_eq!((forged.hops, forged.header("access-control-allow-origin")), (0, None));
}

#[test]
fn f4_a_preflight_allows_the_headers_that_a_pages_own_scripts_add_and_repeats_nothing_else() {
    const OWN: &str = "Authorization, Content-Type, Idempotency-Key";
    let toy = Toy::new("default");
    let visitor = toy.conversation();
    let path = format!("/w/{}/conversations", visitor.key);
    let allowed = |path: &str, asked: &str| {
        let headers = [("origin", ORIGIN), ("access-control-request-headers", asked)];
        let answer = toy.send("OPTIONS", path, &headers, "").ok(204);
        assert_eq!((answer.hops, answer.header("access-control-allow-credentials")), (0, None));
        answer.header("access-control-allow-headers").map(str::to_owned)
    };
    for (asked, more) in [
        ("traceparent", "traceparent"),
        ("authorization,content-type,sentry-trace,baggage", "sentry-trace, baggage"),
        (" X-Requested-With ,\tx-datadog-trace-id,, ", "X-Requested-With, x-datadog-trace-id"),
        ("newrelic,x-b3-traceid,x_custom.name,idempotency-key", "newrelic, x-b3-traceid, x_custom.name"),
    ] {
        assert_eq!(allowed(&path, asked), Some(format!("{OWN}, {more}")), "{asked}");
    }
    assert_eq!(allowed("/healthz", "traceparent,baggage").as_deref(), Some("traceparent, baggage"));
    assert_eq!(allowed("/widget.js", "x-requested-with").as_deref(), Some("x-requested-with"));

    let long = "x-amz-server-side-encryption-customer-algorithm";
    assert_eq!(allowed("/healthz", long).as_deref(), Some(long));

    // The most that is repeated is 1 KiB.
    let long = "a-b.".repeat(256);
    assert_eq!(allowed("/healthz", &long), Some(long.clone()));
    let none = [
        ["", ",", "*", "x-a,*", "x a", "x\u{1}a", "a:b", "\"a\"", "a;q=1", "ä", "(x)"].map(str::to_owned).to_vec(),
        vec![visitor.secret.clone(), visitor.key.to_lowercase(), format!("x-a,{}", visitor.key), ROOT[3..].to_owned()],
        vec![visitor.key.replace("clv", "%63lv"), format!("{long}c")],
    ]
    .concat();
    for asked in none {
        assert_eq!(allowed(&path, &asked).as_deref(), Some(OWN), "{asked}");
        assert_eq!(allowed("/healthz", &asked), None, "{asked}");
    }
    assert_eq!(allowed(&path, "authorization,content-type,idempotency-key").as_deref(), Some(OWN));
}

#[test]
fn a_widget_call_asks_two_objects_and_a_read_asks_both_at_once() {
    let toy = Toy::new("default");
    let visitor = toy.conversation();
    let read = toy.visit(&visitor, "GET", "messages", "").ok(200);
    assert_eq!((read.hops, read.rounds, read.made), (2, 1, 0));
    let said = toy.say(&visitor, "hello").ok(201);
    assert_eq!((said.hops, said.rounds, said.made), (2, 2, 0), "a write waits for the admission");
    let opened = toy.send("POST", &format!("/w/{}/conversations", visitor.key), &[("origin", ORIGIN)], "").ok(201);
    assert_eq!((opened.hops, opened.rounds, opened.made), (2, 2, 1), "the conversation");
}

#[test]
fn members_that_nobody_asked_for_are_refused() {
    let toy = Toy::new("default");
    let visitor = toy.conversation();
    let path = format!("/w/{}/conversations", visitor.key);
    for body in
        [json!({"subject": "me"}), json!({"verified": true}), json!({"workspace": "other"}), json!({"expires_in": 1})]
    {
        let refused = toy.send("POST", &path, &[("origin", ORIGIN)], &body.to_string());
        refused.refused(400, "invalid_request");
        let member = body.as_object().unwrap().keys().next().unwrap();
        assert!(refused.text_at("error").contains(member.as_str()), "{}", refused.text);
    }
    for (tail, body) in [
        ("messages", "{\"text\":\"x\",\"from\":\"operator\"}"),
        ("messages", "{}"),
        ("messages", "{\"text\":\" \"}"),
        ("messages", "{\"text\":7}"),
        ("secret/rotate", "{\"generation\":1}"),
        ("close", "{\"reason\":\"x\"}"),
    ] {
        toy.visit(&visitor, "POST", tail, body).refused(400, "invalid_request");
    }
    assert!(toy.hear(&visitor).is_empty());
    let long = json!({"text": "x".repeat(16 * 1_024)}).to_string();
    toy.visit(&visitor, "POST", "messages", &long).ok(201);
    toy.visit(&visitor, "POST", "messages", &json!({"text": "x".repeat(16 * 1_024 + 1)}).to_string())
        .refused(413, "payload_too_large");
}
