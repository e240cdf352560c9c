//! What can be changed of a workspace itself: who may, what it does to new keys, and who learns of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod toy;

use claviger::machines::deployment::{Command, Deployment, WorkspaceRecord};
use serde_json::{Value, json};
use toy::{Answer, Fault, Toy};

fn world() -> Toy {
    let toy = Toy::new("default");
    toy.workspace("acme");
    toy
}

fn change(toy: &Toy, body: &Value) -> Answer {
    toy.admin("PATCH", "/v1/workspaces/acme", body)
}

/// Name and default tier of the workspace as it is read.
fn read(toy: &Toy) -> (Value, Value) {
    let shown = toy.admin("GET", "/v1/workspaces/acme", &Value::Null).ok(200).json;
    (shown["name"].clone(), shown["default_tier"].clone())
}

fn listed(toy: &Toy) -> Value {
    toy.admin("GET", "/v1/workspaces", &Value::Null).ok(200).json["items"][0]["name"].clone()
}

/// Reasons of the events of this act in the workspace's chain.
fn recorded(toy: &Toy) -> Vec<(String, String)> {
    let page = toy.admin("GET", "/v1/audit?workspace=acme&action=workspace.change", &Value::Null).ok(200).json;
    let text = |event: &Value, name: &str| event[name].as_str().unwrap().to_owned();
    page["items"].as_array().unwrap().iter().map(|event| (text(event, "target"), text(event, "reason"))).collect()
}

#[test]
fn a_workspace_gets_another_name_which_the_deployments_list_learns() {
    let toy = world();
    assert_eq!(read(&toy), (json!("acme"), Value::Null));
    let changed = change(&toy, &json!({"name": "Acme Ltd"})).ok(200).json;
    assert_eq!((&changed["name"], &changed["default_tier"]), (&json!("Acme Ltd"), &Value::Null));
    assert_eq!(changed["identity_secret_count"], 0);
    assert_eq!(changed["id"], "acme");
    assert_eq!((read(&toy).0, listed(&toy)), (json!("Acme Ltd"), json!("Acme Ltd")));
    assert_eq!(toy.admin("GET", "/v1/workspaces/acme", &Value::Null).json, changed);
}

#[test]
fn keys_that_ask_for_no_tier_get_the_workspaces() {
    let toy = world();
    let tier = || {
        let (id, _) = toy.server_key("acme", "live", &Value::Null);
        toy.admin("GET", &format!("/v1/credentials/{id}"), &Value::Null).ok(200).json["tier"].clone()
    };
    assert_eq!(tier(), "free");
    change(&toy, &json!({"default_tier": "standard"})).ok(200);
    assert_eq!((read(&toy).1, tier()), (json!("standard"), json!("standard")));
    change(&toy, &json!({"name": "n"})).ok(200);
    assert_eq!(read(&toy).1, "standard", "what is not named stays");
    change(&toy, &json!({"default_tier": null})).ok(200);
    assert_eq!((read(&toy).1, tier()), (Value::Null, json!("free")));
}

#[test]
fn a_default_tier_is_one_whose_numbers_the_policy_has() {
    let toy = world();
    for tier in [json!("enterprise"), json!("gold"), json!(""), json!(1), json!(["free"])] {
        let refused = change(&toy, &json!({"default_tier": tier}));
        refused.refused(400, "invalid_request");
        assert!(refused.text.contains("default_tier"), "{}", refused.text);
    }
    for body in [json!({"name": ""}), json!({"id": "x"}), json!({"identity_secret_count": 1}), json!({"name": 1})] {
        change(&toy, &body).refused(400, "invalid_request");
    }
    assert_eq!(read(&toy), (json!("acme"), Value::Null));
    toy.admin("PATCH", "/v1/workspaces/nowhere", &json!({"name": "n"})).refused(404, "not_found");
}

#[test]
fn a_change_is_recorded_by_the_names_of_its_members_and_what_changes_nothing_is_not() {
    let toy = world();
    change(&toy, &json!({"name": "Acme Ltd", "default_tier": "standard"})).ok(200);
    change(&toy, &json!({"name": "Acme Ltd", "default_tier": "standard"})).ok(200);
    change(&toy, &json!({})).ok(200);
    change(&toy, &json!({"default_tier": null})).ok(200);
    let acme = |reason: &str| ("acme".to_owned(), reason.to_owned());
    assert_eq!(recorded(&toy), [acme("name, default_tier"), acme("default_tier")]);
}

#[test]
fn an_administrator_of_the_workspace_may_and_a_test_key_or_another_workspaces_may_not() {
    let toy = world();
    toy.workspace("other");
    let key = |workspace: &str, environment: &str, scope: &str| {
        toy.server_key(workspace, environment, &json!({"scopes": [scope]})).1
    };
    let call = |key: &str| toy.server(key, "PATCH", "/v1/workspaces/acme", &json!({"name": "theirs"}));
    call(&key("acme", "test", "admin")).refused(403, "wrong_environment");
    call(&key("acme", "live", "conversations:read")).refused(403, "insufficient_scope");
    call(&key("other", "live", "admin")).refused(404, "not_found");
    assert_eq!(read(&toy).0, "acme");
    call(&key("acme", "live", "admin")).ok(200);
    assert_eq!((read(&toy).0, listed(&toy)), (json!("theirs"), json!("theirs")));
}

#[test]
fn an_older_name_that_arrives_late_or_twice_does_not_come_back() {
    let toy = world();
    let record = |name: &str, version| WorkspaceRecord {
        id: "acme".to_owned().try_into().unwrap(),
        name: name.to_owned(),
        created_at: claviger::codec::time::Timestamp(toy::START),
        default_tier: None,
        version,
        plan: None,
    };
    change(&toy, &json!({"name": "one"})).ok(200);
    change(&toy, &json!({"name": "two"})).ok(200);
    for (name, version) in [("acme", None), ("one", Some(1)), ("other two", Some(2))] {
        assert!(toy.tell::<Deployment>("local", Command::Register(record(name, version), None)).is_ok());
        assert_eq!(listed(&toy), "two");
    }
}

#[test]
fn a_name_that_the_list_has_not_learnt_is_pending_and_gets_there() {
    let toy = world();
    let list = ("DEPLOYMENT_OBJECT".to_owned(), "local".to_owned());
    toy.faults.borrow_mut().insert(list, Fault::Dead);
    let pending = change(&toy, &json!({"name": "late"}));
    assert_eq!(
        (pending.refused(503, "unavailable").json["pending"].as_bool(), read(&toy).0),
        (Some(true), json!("late"))
    );
    toy.faults.borrow_mut().clear();
    change(&toy, &json!({"name": "late"})).ok(200);
    assert_eq!(listed(&toy), "late");
    assert_eq!(recorded(&toy).len(), 1);
}
