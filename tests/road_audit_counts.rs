//! Refusals of genuine credentials: counted by the minute, one event each, cheap in a flood; and nothing of strangers.
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
    audit::{By, Entry, Report},
    error::Reason,
    machines::{
        credential::Credential,
        deployment::Deployment,
        workspace::{self, Workspace},
    },
    object::machine::{Machine as _, World as _},
    value::id::Stage,
};
use serde_json::{Value, json};
use toy::{Answer, Fault, ORIGIN, Toy, Visitor, forge};

fn open(toy: &Toy, key: &str, origin: &str) -> Answer {
    toy.send("POST", &format!("/w/{key}/conversations"), &[("origin", origin), ("x-client", "10.1.2.3")], "{}")
}

/// The refusals in a chain: actor, reason and count.
fn refusals(toy: &Toy, workspace: &str) -> Vec<(String, String, u64)> {
    let text = |event: &Value, name: &str| event[name].as_str().unwrap().to_owned();
    let (mut items, mut after) = (Vec::new(), Some(0));
    while let Some(begin) = after {
        let path = format!("/v1/audit?limit=100&action=credential.refuse&after={begin}{workspace}");
        let page = toy.admin("GET", &path, &Value::Null).ok(200).json;
        items.extend(page["items"].as_array().unwrap().clone());
        after = page["next_after"].as_u64();
    }
    assert!(items.iter().all(|event| event["outcome"] == "refused"));
    items.iter().map(|event| (text(event, "actor"), text(event, "reason"), event["count"].as_u64().unwrap())).collect()
}

fn told(refusals: &[(String, String, u64)]) -> Vec<(&str, u64)> {
    refusals.iter().map(|(_, reason, count)| (reason.as_str(), *count)).collect()
}

const ACME: &str = "&workspace=acme";

#[test]
fn l7_a_thousand_refusals_in_a_minute_are_one_event_with_a_count_and_a_few_writes() {
    let toy = Toy::new("default");
    let (id, key) = toy.shop();
    let before = toy.commits.get();
    for _ in 0..1_000 {
        open(&toy, &key, "https://other.example").refused(403, "origin_not_allowed");
    }
    assert_eq!(toy.commits.get() - before, 10, "at 1, 2, 4 and so on up to 512");
    assert!(refusals(&toy, ACME).is_empty());
    toy.advance(60);
    assert_eq!(refusals(&toy, ACME), [(format!("widget_key:{id}"), "origin_not_allowed".to_owned(), 1_000)]);
    let page = toy.admin("GET", "/v1/audit?workspace=acme&action=credential.refuse", &Value::Null).ok(200).json;
    let event = &page["items"][0];
    assert_eq!((&event["network"], &event["target"]), (&json!("10.1.2.0/24"), &json!(id)));
    assert_eq!((&event["at"], &event["request_id"]), (&json!("2026-01-01T00:00:00.000Z"), &json!("req_toy")));
}

#[test]
fn a_crash_loses_less_than_half_of_a_count_and_the_count_goes_on() {
    let toy = Toy::new("default");
    let (_, key) = toy.shop();
    for _ in 0..1_000 {
        open(&toy, &key, "https://other.example").refused(403, "origin_not_allowed");
    }
    toy.forget();
    for _ in 0..10 {
        open(&toy, &key, "https://other.example").refused(403, "origin_not_allowed");
    }
    toy.advance(60);
    assert_eq!(told(&refusals(&toy, ACME)), [("origin_not_allowed", 522)]);
}

#[test]
fn minutes_are_told_apart_and_so_are_reasons_and_networks() {
    let toy = Toy::new("default");
    let (id, key) = toy.shop();
    for count in [3, 5] {
        for _ in 0..count {
            open(&toy, &key, "https://other.example").refused(403, "origin_not_allowed");
        }
        toy.advance(60);
    }
    for _ in 0..10 {
        open(&toy, &key, ORIGIN).ok(201);
    }
    for _ in 0..4 {
        open(&toy, &key, ORIGIN).refused(429, "rate_limited");
    }
    toy.admin("POST", &format!("/v1/credentials/{id}/revoke"), &json!({})).ok(200);
    for _ in 0..2 {
        open(&toy, &key, ORIGIN).refused(401, "revoked_credential");
    }
    toy.advance(60);
    assert_eq!(
        told(&refusals(&toy, ACME)),
        [("origin_not_allowed", 3), ("origin_not_allowed", 5), ("credential_revoked", 2), ("rate_limited", 4)]
    );
    // Where no alarm rang, the next refusal tells of the minute before.
    let (_, key) = toy.widget_key("acme", "live", &[ORIGIN]);
    open(&toy, &key, "https://other.example").refused(403, "origin_not_allowed");
    let shard = toy
        .snapshot()
        .into_iter()
        .filter(|(_, object)| object.rows.keys().any(|row| row.starts_with("tally/credential")));
    for (name, _) in shard {
        toy.objects.borrow_mut().get_mut(&name).unwrap().alarm = None;
    }
    toy.advance(60);
    open(&toy, &key, "https://other.example").refused(403, "origin_not_allowed");
    assert_eq!(told(&refusals(&toy, ACME))[4..], [("origin_not_allowed", 1)]);
}

#[test]
fn a_widget_key_that_has_ended_is_told_of() {
    let toy = Toy::new("default");
    let (id, key) = toy.shop();
    let end = json!({"expires_at": "2026-01-01T00:00:30.000Z"});
    toy.admin("PATCH", &format!("/v1/credentials/{id}"), &end).ok(200);
    toy.advance(30);
    open(&toy, &key, ORIGIN).refused(401, "expired_credential");
    toy.advance(60);
    assert_eq!(told(&refusals(&toy, ACME)), [("credential_expired", 1)]);
}

#[test]
fn a_history_secret_that_its_conversation_refuses_is_told_of() {
    let toy = Toy::new("default");
    let (_, key) = toy.shop();
    let (old, closed, expired, limited) = (toy.open(&key), toy.open(&key), toy.open(&key), toy.open(&key));
    let crossed = Visitor { conversation: closed.conversation.clone(), ..toy.open(&key) };
    let fresh = toy.visit(&old, "POST", "secret/rotate", "").ok(201).text_at("history_secret");
    toy.say(&Visitor { secret: fresh, ..old.clone() }, "hello").ok(201);
    toy.visit(&closed, "POST", "close", "").ok(200);
    for (method, tail, body) in [
        ("GET", "messages", ""),
        ("POST", "messages", "{\"text\":\"x\"}"),
        ("POST", "secret/rotate", ""),
        ("POST", "close", ""),
    ] {
        for visitor in [&old, &closed] {
            toy.visit(visitor, method, tail, body).refused(401, "revoked_credential");
        }
        toy.visit(&crossed, method, tail, body).refused(403, "wrong_conversation");
    }
    for _ in 0..30 {
        toy.say(&limited, "x").ok(201);
    }
    for _ in 0..3 {
        toy.say(&limited, "x").refused(429, "rate_limited");
    }
    toy.advance(60);
    let actor = |visitor: &Visitor| format!("history_secret:{}", visitor.conversation);
    let mut found = refusals(&toy, ACME);
    found.sort();
    let crossed = found.iter().find(|(_, reason, _)| reason == "wrong_conversation").unwrap().clone();
    assert_eq!(crossed.2, 4);
    let mut expected = vec![
        (actor(&old), "credential_revoked".to_owned(), 4),
        (actor(&closed), "credential_revoked".to_owned(), 4),
        (actor(&limited), "rate_limited".to_owned(), 3),
        crossed,
    ];
    expected.sort();
    assert_eq!(found, expected);

    // Whose time is over, also long after.
    toy.advance(31 * 86_400);
    toy.say(&expired, "x").refused(401, "expired_credential");
    toy.advance(60);
    assert_eq!(refusals(&toy, ACME).last().unwrap(), &(actor(&expired), "credential_expired".to_owned(), 1));
}

/// Whoever has a page's public key has as many genuine history secrets as there may be conversations.
#[test]
fn strangers_with_many_history_secrets_fill_no_chain() {
    let toy = Toy::new("default");
    toy.shop();
    let report = |conversation: u64, minute: u64, reason: &Reason| {
        let actor = format!("history_secret:{conversation}");
        let by = By { actor, request_id: format!("req_{conversation}"), network: None };
        let entry = Entry::refused(by, &conversation.to_string(), reason, toy.now());
        let (chain, source) = ("workspace:acme".to_owned(), format!("s{conversation}"));
        let report = Report { chain, source, sequence: minute, entry: Entry { count: Some(3), ..entry } };
        toy.tell::<Workspace>("acme", workspace::Command::Report(report)).unwrap();
    };
    for minute in 1..=2 {
        for conversation in 0..500 {
            report(conversation, minute, &Reason::CredentialRevoked);
        }
        for conversation in 500..510 {
            report(conversation, minute, &Reason::CredentialExpired);
        }
        toy.advance(60);
        let mut found = refusals(&toy, ACME).split_off(52 * (minute as usize - 1));
        assert_eq!(found.len(), 52, "fifty of them, and how many more of either reason");
        let more = found.split_off(50);
        let others = |reason: &str, count| ("history_secret:*".to_owned(), reason.to_owned(), count);
        assert_eq!(more, [others("credential_expired", 30), others("credential_revoked", 1_350)]);
        assert_eq!(found[49].0, "history_secret:49");
    }
    let rows = toy.snapshot()[&(Workspace::BINDING.to_owned(), "acme".to_owned())].rows.clone();
    assert!(rows.keys().all(|row| !row.starts_with("audit-more/")));
    // Where no alarm rang, the next refusal tells of the minute before; and other credentials have room of their own.
    for minute in [3, 4] {
        for conversation in 0..60 {
            report(conversation, minute, &Reason::CredentialRevoked);
        }
        let name = (Workspace::BINDING.to_owned(), "acme".to_owned());
        if minute == 3 {
            toy.objects.borrow_mut().get_mut(&name).unwrap().alarm = None;
            toy.advance(60);
        }
    }
    let (_, key) = toy.widget_key("acme", "live", &[ORIGIN]);
    open(&toy, &key, "https://other.example").refused(403, "origin_not_allowed");
    toy.advance(120);
    let reasons: Vec<String> = refusals(&toy, ACME).into_iter().map(|(_, reason, _)| reason).collect();
    assert_eq!(reasons.iter().filter(|reason| *reason == "origin_not_allowed").count(), 1);
    assert_eq!(refusals(&toy, ACME).iter().map(|(_, _, count)| count).sum::<u64>(), 3 * (510 + 510 + 60 + 60) + 1);
    let verified = toy.admin("GET", "/v1/audit/verify?workspace=acme", &Value::Null).ok(200).json;
    assert_eq!(verified["valid"], true, "{verified}");
}

#[test]
fn b18_a_deploy_key_that_is_refused_is_told_of_wherever_it_was_refused() {
    let toy = Toy::new("default");
    let key = toy.deploy_key();
    let whoami = |key: &str, headers: &[(&str, &str)]| {
        toy.send("GET", "/v1/whoami", &[&[("authorization", key)], headers].concat(), "")
    };
    let id = whoami(&key, &[]).ok(200).text_at("id");
    whoami(&key, &[("origin", "https://console.example")]).refused(403, "server_key_in_browser");
    let foreign = format!("Convex {}", toy.deploy_key_for(Stage::Prod, "local", 3_600));
    for _ in 0..2 {
        whoami(&foreign, &[]).refused(403, "wrong_stage");
    }
    let short = format!("Convex {}", toy.deploy_key_for(Stage::Dev, "local", 1));
    toy.advance(1);
    whoami(&short, &[]).refused(401, "expired_credential");
    toy.admin("POST", &format!("/v1/credentials/{id}/revoke"), &json!({})).ok(200);
    for _ in 0..3 {
        whoami(&key, &[]).refused(401, "revoked_credential");
    }
    toy.advance(120);
    let mut found = refusals(&toy, "");
    found.sort_by(|one, other| one.1.cmp(&other.1));
    assert_eq!(
        told(&found),
        [("browser_not_allowed", 1), ("credential_expired", 1), ("credential_revoked", 3), ("stage_mismatch", 2)]
    );
    assert_eq!(found[0].0, format!("deploy_key:{id}"));
}

#[test]
fn a_refusal_stands_also_where_it_cannot_be_counted() {
    let toy = Toy::new("default");
    let key = toy.deploy_key();
    let id = toy.send("GET", "/v1/whoami", &[("authorization", &key)], "").ok(200).text_at("id");
    toy.faults.borrow_mut().insert((Credential::BINDING.to_owned(), id), Fault::NoWrites);
    let headers = [("authorization", key.as_str()), ("origin", "null")];
    toy.send("GET", "/v1/whoami", &headers, "").refused(403, "server_key_in_browser");
    // And what cannot be counted is not admitted.
    toy.send("GET", "/v1/whoami", &headers[..1], "").refused(503, "unavailable");
}

#[test]
fn n6_a_stranger_leaves_no_row_anywhere() {
    let toy = Toy::new("default");
    let visitor = toy.conversation();
    let (key, before) = (toy.deploy_key(), toy.snapshot());
    toy.send("GET", "/v1/whoami", &[("authorization", &forge(&key))], "").refused(401, "invalid_credential");
    open(&toy, &forge(&visitor.key), ORIGIN).refused(401, "invalid_credential");
    let forged = Visitor { secret: forge(&visitor.secret), ..visitor };
    toy.say(&forged, "x").refused(401, "invalid_credential");
    assert_eq!(toy.snapshot(), before);
}

#[test]
fn when_all_is_told_nothing_is_left_to_tell() {
    let toy = Toy::new("default");
    let visitor = toy.conversation();
    open(&toy, &visitor.key, "https://other.example").refused(403, "origin_not_allowed");
    toy.visit(&visitor, "POST", "close", "").ok(200);
    toy.say(&visitor, "x").refused(401, "revoked_credential");
    toy.advance(7_200);
    for (name, object) in toy.snapshot() {
        assert!(object.rows.keys().all(|row| !row.starts_with("tally/") && !row.starts_with("out/")), "{name:?}");
        if name.0 == Deployment::BINDING {
            assert_eq!(object.alarm, None, "it wakes for nothing");
        }
    }
}
