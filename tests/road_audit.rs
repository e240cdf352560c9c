//! The audit: every act of an operator is in its chain, once, in the transaction of the act; and nothing else is.
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
    audit::{Act, Ask, By, Entry, Report},
    codec::time::Timestamp,
    crypto::id_check,
    machines::{
        deployment::{self, Deployment},
        workspace::{self, Workspace},
    },
    object::machine::Machine as _,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use toy::{Answer, Fault, ORIGIN, START, Toy, Visitor};

fn get(toy: &Toy, path: &str) -> Answer {
    toy.admin("GET", path, &Value::Null)
}

/// Every event of a chain: of a workspace, or of the deployment where that is empty.
fn chain(toy: &Toy, workspace: &str) -> Vec<Value> {
    let (mut events, mut after) = (Vec::new(), 0);
    loop {
        let page = get(toy, &format!("/v1/audit?limit=100&after={after}{workspace}")).ok(200);
        events.extend(page.json["items"].as_array().unwrap().clone());
        let Some(next) = page.json["next_after"].as_u64() else { break events };
        after = next;
    }
}

const ACME: &str = "&workspace=acme";

fn actions(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["action"].as_str().unwrap()).collect()
}

#[track_caller]
fn is_sound(toy: &Toy, workspace: &str) -> Value {
    let verified = get(toy, &format!("/v1/audit/verify?after=0{workspace}")).ok(200).json;
    assert_eq!(verified["valid"], true, "{verified}");
    verified
}

#[test]
fn l9_every_administrative_act_is_in_the_chain_once_with_who_what_when_and_the_request() {
    let toy = Toy::new("default");
    let key = toy.deploy_key();
    let send = |method: &str, path: &str, body: Value| {
        toy.send(method, path, &[("authorization", &key), ("x-client", "10.1.2.3")], &body.to_string())
    };
    send("POST", "/v1/workspaces", json!({"name": "Acme", "id": "acme"})).ok(201);
    toy.advance(1);
    let body =
        json!({"kind": "widget_key", "workspace": "acme", "environment": "live", "name": "n", "origins": [ORIGIN]});
    let id = send("POST", "/v1/credentials", body).ok(201).text_at("id");
    let change = json!({"name": "m", "origins": [ORIGIN], "expires_at": "2027-01-01T00:00:00Z"});
    send("PATCH", &format!("/v1/credentials/{id}"), change).ok(200);
    send("POST", &format!("/v1/credentials/{id}/rotate"), json!({})).ok(201);
    send("POST", &format!("/v1/credentials/{id}/revoke"), json!({"reason": "a canary of words"})).ok(200);
    let events = chain(&toy, ACME);
    let acts = ["workspace.create", "credential.create", "credential.change", "credential.rotate", "credential.revoke"];
    assert_eq!(actions(&events), acts);
    let deploy_key = format!("deploy_key:{}", get_id(&toy, &key));
    for (place, event) in events.iter().enumerate() {
        assert_eq!(event["seq"], place + 1);
        assert_eq!((event["actor"].as_str(), event["outcome"].as_str()), (Some(deploy_key.as_str()), Some("done")));
        assert_eq!((event["request_id"].as_str(), event["network"].as_str()), (Some("req_toy"), Some("10.1.2.0/24")));
        assert_eq!(event["target"], if place == 0 { "acme" } else { id.as_str() });
        assert_eq!(event["at"], format!("2026-01-01T00:00:0{}.000Z", place.min(1)));
    }
    assert_eq!(events[2]["reason"], "name, expires_at");
    // What somebody typed is in no event: a chain cannot forget.
    assert!(!json!(events).to_string().contains("canary"));
    // The deployment's own chain has the workspace, and no other act of a workspace.
    assert_eq!(actions(&chain(&toy, "")), ["workspace.create"]);
    is_sound(&toy, ACME);
    is_sound(&toy, "");
}

fn get_id(toy: &Toy, key: &str) -> String {
    toy.send("GET", "/v1/whoami", &[("authorization", key)], "").ok(200).text_at("id")
}

#[test]
fn l4_what_could_not_be_written_is_neither_done_nor_recorded() {
    let toy = Toy::new("default");
    let (id, _) = toy.shop();
    let name = (Workspace::BINDING.to_owned(), "acme".to_owned());
    let stored = || (toy.snapshot()[&name].clone(), chain(&toy, ACME));
    let before = stored();
    toy.faults.borrow_mut().insert(name.clone(), Fault::NoWrites);
    for (method, path) in [("POST", "/rotate"), ("POST", "/revoke"), ("PATCH", "")] {
        toy.admin(method, &format!("/v1/credentials/{id}{path}"), &json!({})).refused(503, "unavailable");
    }
    toy.faults.borrow_mut().clear();
    assert_eq!(stored(), before);

    // An act that is refused in the object, after it was thought of, leaves nothing either.
    toy.admin("POST", &format!("/v1/credentials/{id}/revoke"), &json!({})).ok(200);
    toy.admin("POST", &format!("/v1/credentials/{id}/rotate"), &json!({})).refused(409, "conflict");
    toy.admin("PATCH", &format!("/v1/credentials/{id}"), &json!({"name": "x"})).refused(409, "conflict");
    assert_eq!(actions(&chain(&toy, ACME))[2..], ["credential.revoke"]);
}

#[test]
fn what_changes_nothing_is_recorded_once() {
    let toy = Toy::new("default");
    let (id, _) = toy.shop();
    let key = toy.deploy_key();
    let offline = id_check::deploy_key(Timestamp(START), [3; 16], &toy.config.as_ref().unwrap().ring).unwrap();
    let body = json!({
        "kind": "widget_key", "workspace": "acme", "environment": "live", "name": "again", "origins": [ORIGIN],
    });
    for _ in 0..3 {
        let headers = [("authorization", key.as_str()), ("idempotency-key", "k")];
        toy.send("POST", "/v1/credentials", &headers, &body.to_string()).ok(201);
        toy.admin("POST", &format!("/v1/credentials/{id}/revoke"), &json!({})).ok(200);
        toy.admin("POST", &format!("/v1/credentials/{offline}/revoke"), &json!({})).ok(200);
        toy.admin("POST", "/v1/workspaces", &json!({"name": "again", "id": "acme"})).refused(409, "conflict");
    }
    let acts = ["workspace.create", "credential.create", "credential.create", "credential.revoke"];
    assert_eq!(actions(&chain(&toy, ACME)), acts);
    assert_eq!(actions(&chain(&toy, "")), ["workspace.create", "deploy_key.revoke"]);
    assert_eq!(chain(&toy, "")[1]["target"], offline.as_str());
}

#[test]
fn a_change_that_changes_nothing_is_no_event_and_no_version() {
    let toy = Toy::new("default");
    let (id, key) = toy.shop();
    let path = format!("/v1/credentials/{id}");
    let shown = get(&toy, &path).ok(200).json;
    let name = (Workspace::BINDING.to_owned(), "acme".to_owned());
    let stored = || {
        let rows = toy.snapshot()[&name].rows.clone();
        rows.into_iter()
            .filter(|(row, _)| row.starts_with("credential/") || row.starts_with("audit"))
            .collect::<Vec<_>>()
    };
    let before = stored();
    let same = json!({"name": shown["name"], "origins": shown["origins"], "expires_at": shown["expires_at"]});
    for body in [json!({}), json!({"name": shown["name"]}), json!({"expires_at": null}), same] {
        assert_eq!(toy.admin("PATCH", &path, &body).ok(200).json, shown);
        assert_eq!(stored(), before, "{body}");
    }
    toy.open(&key);
    // What was stored and did not reach every shard does so when the call is repeated.
    let shard = toy.snapshot().into_keys().find(|(kind, name)| kind == "CREDENTIAL" && name.contains(&id)).unwrap();
    toy.faults.borrow_mut().insert(shard, Fault::Dead);
    toy.admin("PATCH", &path, &json!({"name": "other"})).refused(503, "unavailable");
    toy.admin("PATCH", &path, &json!({"name": "other"})).refused(503, "unavailable");
    toy.faults.borrow_mut().clear();
    toy.admin("PATCH", &path, &json!({"name": "other"})).ok(200);
    let events = chain(&toy, ACME);
    assert_eq!(actions(&events)[2..], ["credential.change"]);
    assert_eq!(events[2]["reason"], "name");
}

#[test]
fn every_use_of_a_deploy_key_is_counted_by_call_and_minute_and_survives_a_crash() {
    let toy = Toy::new("default");
    toy.workspace("acme");
    toy.advance(120);
    let known = chain(&toy, "").len();
    let key = toy.deploy_key();
    for _ in 0..7 {
        toy.send("GET", "/v1/whoami", &[("authorization", &key)], "").ok(200);
        toy.forget();
    }
    toy.send("GET", "/v1/workspaces", &[("authorization", &key)], "").ok(200);
    assert_eq!(chain(&toy, "").len(), known, "told when the minute is over");
    toy.advance(60);
    toy.send("GET", "/v1/whoami", &[("authorization", &key)], "").ok(200);
    toy.advance(60);
    let id = get_id(&toy, &key);
    let events = chain(&toy, "");
    let uses = events.iter().filter(|event| event["actor"] == format!("deploy_key:{id}"));
    let uses: Vec<_> =
        uses.map(|event| (event["target"].as_str().unwrap(), event["count"].as_u64().unwrap())).collect();
    assert_eq!(uses, [("GET /v1/whoami", 7), ("GET /v1/workspaces", 1), ("GET /v1/whoami", 1)]);
    is_sound(&toy, "");
}

#[test]
fn a_redelivered_event_is_recorded_once() {
    let toy = Toy::new("default");
    toy.shop();
    let by = By { actor: "widget_key:x".to_owned(), request_id: "req_1".to_owned(), network: None };
    let entry =
        |count| Entry { count: Some(count), ..Entry::done(Act::CredentialRefuse, by.clone(), "x", Timestamp(START)) };
    let report = |source: &str, sequence| Report {
        chain: "workspace:acme".to_owned(),
        source: source.to_owned(),
        sequence,
        entry: entry(sequence),
    };
    for (source, sequence) in [("a", 1), ("a", 1), ("a", 2), ("b", 1), ("a", 1), ("a", 2), ("b", 1), ("a", 3)] {
        toy.tell::<Workspace>("acme", workspace::Command::Report(report(source, sequence))).unwrap();
    }
    let counts: Vec<u64> = chain(&toy, ACME).iter().filter_map(|event| event["count"].as_u64()).collect();
    assert_eq!(counts, [1, 2, 1, 3]);
}

/// The acknowledgement is lost: the whole outbox of an object comes again.
#[test]
fn a_lost_acknowledgement_doubles_no_event() {
    let toy = Toy::new("default");
    let (_, key) = toy.shop();
    let path = format!("/w/{key}/conversations");
    for _ in 0..3 {
        toy.send("POST", &path, &[("origin", "https://other.example")], "").refused(403, "origin_not_allowed");
    }
    // The minute is over, and the workspace takes nothing in: everything waits in the outbox.
    let name = (Workspace::BINDING.to_owned(), "acme".to_owned());
    toy.faults.borrow_mut().insert(name, Fault::Dead);
    toy.advance(61);
    let waiting: Vec<_> = toy
        .snapshot()
        .into_iter()
        .map(|(name, object)| {
            let rows = object.rows.into_iter().filter(|(row, _)| row.starts_with("out/WORKSPACE/"));
            (name, rows.collect::<Vec<_>>())
        })
        .filter(|(_, rows)| !rows.is_empty())
        .collect();
    assert_eq!(waiting.len(), 1);
    toy.faults.borrow_mut().clear();
    toy.advance(10);
    let once = chain(&toy, ACME);
    assert_eq!(once.last().unwrap()["count"], 3);
    for _ in 0..2 {
        for (name, rows) in &waiting {
            let mut objects = toy.objects.borrow_mut();
            let object = objects.get_mut(name).unwrap();
            object.rows.extend(rows.clone());
            object.alarm = Some(toy.now_millis() + 1_000);
        }
        toy.advance(10);
    }
    assert!(toy.snapshot().values().all(|object| object.rows.keys().all(|row| !row.starts_with("out/"))));
    assert_eq!(chain(&toy, ACME), once);
    is_sound(&toy, ACME);
}

#[test]
fn pages_go_on_where_they_stopped_in_both_directions_and_through_filters() {
    let toy = Toy::new("default");
    let (id, _) = toy.shop();
    for name in 0..13 {
        toy.admin("PATCH", &format!("/v1/credentials/{id}"), &json!({"name": name.to_string()})).ok(200);
    }
    toy.admin("POST", &format!("/v1/credentials/{id}/rotate"), &json!({})).ok(201);
    let page = |query: &str| get(&toy, &format!("/v1/audit?workspace=acme&{query}")).ok(200).json;
    let numbers = |page: &Value| -> Vec<u64> {
        page["items"].as_array().unwrap().iter().map(|event| event["seq"].as_u64().unwrap()).collect()
    };
    let first = page("limit=5");
    assert_eq!((numbers(&first), first["next_after"].as_u64()), ((1..=5).collect(), Some(5)));
    assert_eq!(first["head"]["seq"], 16);
    assert_eq!(numbers(&page("limit=5&after=5")), [6, 7, 8, 9, 10]);
    let last = page("limit=100&after=10");
    assert_eq!((numbers(&last), last["next_after"].is_null()), ((11..=16).collect(), true));
    assert_eq!(numbers(&page("after=16")), [0; 0]);
    let newest = page("before=&limit=3");
    assert_eq!((numbers(&newest), newest["next_before"].as_u64()), (vec![16, 15, 14], Some(14)));
    let rest = page("before=3");
    assert_eq!((numbers(&rest), rest["next_before"].is_null()), (vec![2, 1], true));
    assert_eq!(numbers(&page("action=credential.rotate")), [16]);
    assert_eq!(numbers(&page("action=credential.change&limit=2&after=4")), [5, 6]);
    let actor = first["items"][2]["actor"].as_str().unwrap();
    assert_eq!(numbers(&page(&format!("actor={actor}"))), [3]);
    assert_eq!(numbers(&page("actor=nobody")), [0; 0]);
    for query in ["after=x", "after=-1", "before=1&after=1", "action=all", "limit=0", "limit=101", "after=1&after=2"] {
        get(&toy, &format!("/v1/audit?workspace=acme&{query}")).refused(400, "invalid_request");
    }
    get(&toy, "/v1/audit?workspace=nowhere").refused(404, "not_found");
    get(&toy, "/v1/audit/export?workspace=nowhere").refused(404, "not_found");
    get(&toy, "/v1/audit/verify?workspace=nowhere").refused(404, "not_found");
}

#[test]
fn a_filter_looks_at_so_many_events_and_says_where_to_go_on() {
    let toy = Toy::new("default");
    toy.shop();
    let by = By { actor: "x:y".to_owned(), request_id: "req_1".to_owned(), network: None };
    for sequence in 1..=1_100 {
        let entry = Entry::done(Act::DeployKeyUse, by.clone(), "z", Timestamp(START));
        let report = Report { chain: "workspace:acme".to_owned(), source: "s".to_owned(), sequence, entry };
        toy.tell::<Workspace>("acme", workspace::Command::Report(report)).unwrap();
    }
    let page =
        |after: u64| get(&toy, &format!("/v1/audit?workspace=acme&action=workspace.create&after={after}")).ok(200).json;
    assert_eq!((page(1)["items"].as_array().unwrap().len(), page(1)["next_after"].as_u64()), (0, Some(1_001)));
    assert!(page(1_001)["next_after"].is_null());
    assert_eq!(is_sound(&toy, ACME)["count"], 1_102);
    let export = get(&toy, "/v1/audit/export?workspace=acme").ok(200);
    assert_eq!(export.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(export.text.lines().count(), 1_104, "every event, the head signed, and the end");
}

#[test]
fn l8_a_workspaces_chain_holds_nothing_of_another() {
    let toy = Toy::new("default");
    toy.shop();
    toy.workspace("other");
    let (_, key) = toy.widget_key("other", "live", &[ORIGIN]);
    let visitor = toy.open(&key);
    for _ in 0..3 {
        let stolen =
            Visitor { secret: visitor.secret.clone(), ..toy.open(&toy.widget_key("acme", "live", &[ORIGIN]).1) };
        toy.visit(&stolen, "GET", "messages", "").refused(403, "wrong_workspace");
    }
    toy.advance(120);
    for (query, own, foreign) in [(ACME, "acme", "other"), ("&workspace=other", "other", "acme")] {
        let text = json!(chain(&toy, query)).to_string();
        assert!(text.contains(own) && !text.contains(&format!("_{foreign}\"")), "{text}");
    }
    // The one whose secret it was learns that somebody tried.
    let refusals = chain(&toy, "&workspace=other").into_iter().filter(|event| event["action"] == "credential.refuse");
    let refusals: Vec<Value> = refusals.collect();
    assert_eq!(
        (refusals.len(), &refusals[0]["reason"], &refusals[0]["count"]),
        (1, &json!("wrong_workspace"), &json!(3))
    );
}

#[test]
fn l10_a_clock_that_steps_back_leaves_the_numbers_in_order() {
    let toy = Toy::new("default");
    let (id, _) = toy.shop();
    toy.step_back(3_600);
    let late = toy.deploy_key();
    let path = format!("/v1/credentials/{id}");
    toy.send("PATCH", &path, &[("authorization", &late)], "{\"name\":\"late\"}").ok(200);
    let events = chain(&toy, ACME);
    assert_eq!(events.iter().map(|event| event["seq"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(events[2]["at"].as_str() < events[1]["at"].as_str());
    is_sound(&toy, ACME);
}

#[test]
fn an_older_object_without_a_chain_has_an_empty_one() {
    let toy = Toy::new("default");
    let ask = Ask { limit: 10, ..Ask::default() };
    let deployment::Reply::Audit(page) = toy.tell::<Deployment>("local", deployment::Command::ReadAudit(ask)).unwrap()
    else {
        panic!("no page");
    };
    assert!(page.items.is_empty() && page.head.is_none());
    let empty = is_sound(&toy, "");
    assert_eq!((&empty["count"], empty["head"].is_null()), (&json!(0), true));
    assert_eq!(get(&toy, "/v1/audit/export").ok(200).text, "{\"head\":null,\"next_after\":null}\n");
}

#[test]
fn every_action_has_a_name_of_its_own() {
    let names: BTreeSet<&str> = Act::ALL.iter().map(|act| act.as_str()).collect();
    assert_eq!(names.len(), Act::ALL.len());
    let documented = std::fs::read_to_string("docs/audit.md").unwrap();
    for name in names {
        assert!(documented.contains(&format!("`{name}`")), "{name} stands in no document");
    }
}
