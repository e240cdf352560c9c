//! The texts of one deploy key: which of them live through rotations, messages that come late or twice, and what was used.
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
    admission::deploy_key::{DeployKeyState, DeployText},
    codec::time::Timestamp,
    credential::{DeployKey, Kind as _},
    deploy_keys::{
        self,
        store::{Ended, Mandate, Seen},
    },
    error::Reason,
    machines::{
        credential::{Command, Credential},
        deployment::{self, Deployment},
    },
    protocol::credential_record::Sighting,
    value::id::{CredentialId, Stage},
};
use serde_json::{Value, json};
use toy::{Answer, Fault, START, Toy};

fn world() -> Toy {
    Toy::new("default")
}

fn with(toy: &Toy, text: &str, method: &str, path: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    toy.send(method, path, &[("authorization", &format!("Convex {text}"))], &body)
}

fn whoami(toy: &Toy, text: &str) -> Answer {
    with(toy, text, "GET", "/v1/whoami", &Value::Null)
}

fn make(toy: &Toy) -> (String, String) {
    let made =
        toy.admin("POST", "/v1/credentials", &json!({"kind": "deploy_key", "stage": "dev", "name": "CI"})).ok(201);
    (made.text_at("id"), made.text_at("secret"))
}

fn rotate(toy: &Toy, id: &str, overlap_seconds: u64) -> Answer {
    let body = json!({"overlap_seconds": overlap_seconds});
    toy.admin("POST", &format!("/v1/credentials/{id}/rotate"), &body)
}

fn read(toy: &Toy, id: &str) -> Value {
    toy.admin("GET", &format!("/v1/credentials/{id}"), &Value::Null).ok(200).json
}

fn opened(toy: &Toy, text: &str) -> DeployKey {
    DeployKey::verify(text, "clv", &toy.config.as_ref().unwrap().ring).unwrap().unwrap()
}

fn hint(text: &str) -> String {
    format!("dev:local|clv_dk_…{}", &text[text.len() - 4..])
}

fn tell_list(toy: &Toy, command: deploy_keys::store::Command) -> Result<deploy_keys::store::Reply, Reason> {
    match toy.tell::<Deployment>("local", deployment::Command::DeployKeys(Box::new(command)))? {
        deployment::Reply::DeployKeys(reply) => Ok(reply),
        _ => panic!("another answer"),
    }
}

#[test]
fn both_texts_of_a_rotation_live_until_the_overlap_is_over() {
    let toy = world();
    let (id, old) = make(&toy);
    let rotated = rotate(&toy, &id, 600).ok(201);
    let new = rotated.text_at("secret");
    assert_eq!(rotated.text_at("replaces"), hint(&old));
    assert_eq!(
        (rotated.text_at("hint"), rotated.text_at("old_expires_at")),
        (hint(&new), "2026-01-01T00:10:00.000Z".to_owned())
    );
    assert_eq!(
        (opened(&toy, &new).id.as_str(), opened(&toy, &new).expires_at),
        (id.as_str(), opened(&toy, &old).expires_at)
    );
    whoami(&toy, &old).ok(200);
    assert_eq!(whoami(&toy, &new).ok(200).text_at("id"), id);
    toy.advance(599);
    whoami(&toy, &old).ok(200);
    assert_eq!(read(&toy, &id)["replaces"], hint(&old));
    toy.advance(1);
    whoami(&toy, &old).refused(401, "revoked_credential");
    whoami(&toy, &new).ok(200);
    assert!(read(&toy, &id).get("replaces").is_none());
}

#[test]
fn rotations_of_one_millisecond_are_told_apart_and_two_texts_live_at_most() {
    let toy = world();
    let (id, first) = make(&toy);
    let texts: Vec<String> = (0..3).map(|_| rotate(&toy, &id, 600).ok(201).text_at("secret")).collect();
    let mut serials: Vec<u64> = texts.iter().chain([&first]).map(|text| opened(&toy, text).issued_at.0).collect();
    serials.sort_unstable();
    serials.dedup();
    assert_eq!(serials.len(), 4, "the clock stood still, and no two are alike");
    for dead in [&first, &texts[0]] {
        whoami(&toy, dead).refused(401, "revoked_credential");
    }
    for living in &texts[1..] {
        whoami(&toy, living).ok(200);
    }
    let newest = rotate(&toy, &id, 0).ok(201).text_at("secret");
    for dead in &texts {
        whoami(&toy, dead).refused(401, "revoked_credential");
    }
    whoami(&toy, &newest).ok(200);
    for seconds in [604_801, u64::MAX] {
        rotate(&toy, &id, seconds).refused(400, "invalid_request");
    }
}

#[test]
fn an_old_text_can_be_ended_before_its_time_and_twice() {
    let toy = world();
    let (id, old) = make(&toy);
    let new = rotate(&toy, &id, 600).ok(201).text_at("secret");
    for _ in 0..2 {
        let path = format!("/v1/credentials/{id}/rotate/finish");
        assert!(toy.admin("POST", &path, &Value::Null).ok(200).json.get("replaces").is_none());
        whoami(&toy, &old).refused(401, "revoked_credential");
        whoami(&toy, &new).ok(200);
    }
}

#[test]
fn a_key_that_was_made_offline_rotates_itself_with_its_first_call() {
    let toy = world();
    let old = toy.deploy_key_for(Stage::Dev, "local", 3_600);
    let id = opened(&toy, &old).id;
    let path = format!("/v1/credentials/{id}/rotate");
    let new = with(&toy, &old, "POST", &path, &json!({"overlap_seconds": 0})).ok(201).text_at("secret");
    whoami(&toy, &old).refused(401, "revoked_credential");
    assert_eq!(
        whoami(&toy, &new).ok(200).text_at("expires_at"),
        "2026-01-01T01:00:00.000Z",
        "no rotation puts its end off"
    );
    toy.advance(3_600);
    whoami(&toy, &new).refused(401, "expired_credential");
    rotate(&toy, id.as_str(), 0).refused(409, "conflict");
}

#[test]
fn an_end_that_was_set_earlier_holds_for_the_next_text_too() {
    let toy = world();
    let (id, _) = make(&toy);
    let path = format!("/v1/credentials/{id}");
    toy.admin("PATCH", &path, &json!({"expires_at": "2026-01-01T00:00:10Z"})).ok(200);
    let rotated = rotate(&toy, &id, 0).ok(201);
    assert_eq!(rotated.text_at("expires_at"), "2026-01-01T00:00:10.000Z");
    toy.advance(10);
    whoami(&toy, &rotated.text_at("secret")).refused(401, "expired_credential");
    toy.admin("PATCH", &path, &json!({"expires_at": "2026-01-01T00:01:00Z"})).ok(200);
    whoami(&toy, &rotated.text_at("secret")).ok(200);
}

#[test]
fn of_two_offline_texts_of_one_id_the_one_that_came_first_is_the_key() {
    let toy = world();
    let id = CredentialId::issue_deploy_key(Timestamp(START), [3; 16]);
    let text = |millis| {
        let issued_at = Timestamp(START - 1_000 + millis);
        let expires_at = issued_at.plus_seconds(60);
        toy.write(&DeployKey {
            id: id.clone(),
            stage: Stage::Dev,
            deployment: "local".to_owned(),
            issued_at,
            expires_at,
        })
    };
    whoami(&toy, &text(5)).ok(200);
    for other in [4, 6] {
        whoami(&toy, &text(other)).refused(401, "revoked_credential");
    }
    whoami(&toy, &text(5)).ok(200);
}

#[test]
fn a_rotation_that_the_keys_object_has_not_learnt_is_pending_and_shows_nothing() {
    let toy = world();
    let (id, old) = make(&toy);
    toy.faults.borrow_mut().insert(("CREDENTIAL".to_owned(), id.clone()), Fault::Dead);
    let pending = rotate(&toy, &id, 0);
    assert_eq!(pending.refused(503, "unavailable").json["pending"], true);
    assert!(pending.secrets().is_empty());
    toy.faults.borrow_mut().clear();
    whoami(&toy, &old).ok(200);
    toy.advance(1);
    whoami(&toy, &old).refused(401, "revoked_credential");
}

#[test]
fn what_the_keys_object_is_told_late_or_twice_changes_nothing_and_its_end_is_for_good() {
    let toy = world();
    let (id, old) = make(&toy);
    let new = rotate(&toy, &id, 0).ok(201).text_at("secret");
    let store = |version, text: &str| {
        let state = DeployKeyState {
            version,
            current: opened(&toy, text).issued_at.0,
            previous: None,
            ends_at: None,
            current_until: None,
        };
        toy.tell::<Credential>(&id, Command::StoreDeployKey(state)).map(|_| ()).unwrap();
    };
    for version in [0, 1, 2] {
        store(version, &old);
        whoami(&toy, &old).refused(401, "revoked_credential");
        whoami(&toy, &new).ok(200);
    }
    toy.admin("POST", &format!("/v1/credentials/{id}/revoke"), &Value::Null).ok(200);
    store(99, &new);
    whoami(&toy, &new).refused(401, "revoked_credential");
}

#[test]
fn what_the_list_is_told_late_or_twice_brings_no_key_back_and_takes_no_name_away() {
    let toy = world();
    let told = |text: &DeployKey, used: u64, sighted: Option<u64>| {
        let sighting = sighted.map(|at| Sighting { at: Timestamp(START + at), origin: None });
        let (serial, expires_at) = (text.issued_at.0 + 7, text.expires_at.plus_seconds(7));
        let text_of = DeployText { serial, expires_at, hint: "another".to_owned() };
        let used_at = Some(Timestamp(START + used));
        let seen = Seen { id: text.id.clone(), text: text_of, used_at, sighting };
        assert!(tell_list(&toy, deploy_keys::store::Command::Seen(seen)).is_ok());
    };
    let (id, text) = make(&toy);
    let key = opened(&toy, &text);
    told(&key, 20_000, Some(20_000));
    let known = read(&toy, &id);
    assert_eq!((&known["name"], &known["hint"]), (&json!("CI"), &json!(hint(&text))));
    assert_eq!(known["last_used_at"], "2026-01-01T00:00:20.000Z");
    told(&key, 10_000, Some(10_000));
    told(&key, 20_000, None);
    assert_eq!(read(&toy, &id), known, "the latest use and the latest sighting");

    let end = |at: u64| {
        let ended = Ended { id: key.id.clone(), at: Timestamp(START + at), why: None, report: None };
        assert!(tell_list(&toy, deploy_keys::store::Command::Ended(Box::new(ended))).is_ok());
    };
    end(1_000);
    let ended = read(&toy, &id);
    assert_eq!((&ended["status"], &ended["revoked_at"]), (&json!("revoked"), &json!("2026-01-01T00:00:01.000Z")));
    end(2_000);
    told(&key, 10_000, None);
    assert_eq!(read(&toy, &id), ended);
}

#[test]
fn of_two_rotations_that_read_the_same_text_one_is_sent_back() {
    let toy = world();
    let (id, text) = make(&toy);
    let known = opened(&toy, &text).issued_at.0;
    let by = claviger::audit::By { actor: "deploy_key:x".to_owned(), request_id: String::new(), network: None };
    let turn_over = |serial: u64| {
        let text = DeployText { serial, expires_at: Timestamp(START + 1), hint: String::new() };
        let mandate = Mandate { by: by.clone(), deployment: "local".to_owned() };
        let id = id.clone().try_into().unwrap();
        tell_list(&toy, deploy_keys::store::Command::Rotate(id, text, 0, mandate)).is_ok()
    };
    assert_eq!([known - 1, known, known + 1, known + 1, known + 2].map(turn_over), [false, false, true, false, true]);
}

#[test]
fn usage_tells_which_text_is_still_in_use_and_what_was_denied() {
    let toy = world();
    let (id, old) = make(&toy);
    let usage = |query: &str| toy.admin("GET", &format!("/v1/credentials/{id}/usage{query}"), &Value::Null);
    let unused = usage("").ok(200).json;
    assert_eq!((&unused["total"], &unused["last_used_at"], &unused["series"]), (&json!(0), &Value::Null, &json!([])));
    for _ in 0..3 {
        whoami(&toy, &old).ok(200);
    }
    let new = rotate(&toy, &id, 60).ok(201).text_at("secret");
    toy.advance(60);
    whoami(&toy, &new).ok(200);
    whoami(&toy, &old).refused(401, "revoked_credential");
    toy.send("GET", "/v1/whoami", &[("authorization", &format!("Convex {new}")), ("origin", "https://a.example")], "")
        .refused(403, "server_key_in_browser");
    let told = usage("?bucket=minute").ok(200).json;
    assert_eq!((&told["total"], &told["denied"]), (&json!(4), &json!(2)));
    assert_eq!(told["last_used_at"], "2026-01-01T00:01:00.000Z");
    assert_eq!(
        told["series"],
        json!([
            {"at": "2026-01-01T00:00:00.000Z", "total": 3, "denied": 0},
            {"at": "2026-01-01T00:01:00.000Z", "total": 1, "denied": 2},
        ])
    );
    assert_eq!(
        told["by_secret"],
        json!([
            {"hint": hint(&new), "last_used_at": "2026-01-01T00:01:00.000Z", "total": 1},
            {"hint": hint(&old), "last_used_at": "2026-01-01T00:00:00.000Z", "total": 3},
        ])
    );
    assert_eq!(told["by_scope"], json!([]));
    // It survives the process, once it is stored.
    toy.advance(3);
    toy.forget();
    assert_eq!(usage("").ok(200).json["total"], 4);
    usage("?bucket=week").refused(400, "invalid_request");
}

#[test]
fn a_use_is_one_transaction_and_its_usage_writes_nothing_more() {
    let toy = world();
    let (_, text) = make(&toy);
    whoami(&toy, &text).ok(200);
    let before = toy.commits.get();
    for _ in 0..10 {
        whoami(&toy, &text).ok(200);
    }
    assert_eq!(toy.commits.get() - before, 10);
}

#[test]
fn all_that_happens_to_a_deploy_key_stands_in_the_deployments_chain() {
    let toy = world();
    let asker = toy.deploy_key();
    let call =
        |method: &str, path: &str, body: Value| toy.send(method, path, &[("authorization", &asker)], &body.to_string());
    let made = call("POST", "/v1/credentials", json!({"kind": "deploy_key", "stage": "dev", "name": "CI"})).ok(201);
    let path = format!("/v1/credentials/{}", made.text_at("id"));
    for _ in 0..2 {
        call("PATCH", &path, json!({"name": "n", "expires_at": "2026-01-02T00:00:00Z"})).ok(200);
    }
    call("POST", &format!("{path}/rotate"), json!({})).ok(201);
    for tail in ["/rotate/finish", "/rotate/finish", "/revoke", "/revoke"] {
        call("POST", &format!("{path}{tail}"), json!({})).ok(200);
    }
    let page = toy.admin("GET", "/v1/audit?limit=100", &Value::Null).ok(200).json;
    let events = page["items"].as_array().unwrap();
    let of_key: Vec<(&str, Option<&str>)> = events
        .iter()
        .filter(|event| event["target"] == made.json["id"])
        .map(|event| (event["action"].as_str().unwrap(), event["reason"].as_str()))
        .collect();
    assert_eq!(
        of_key,
        [
            ("credential.create", None),
            ("credential.change", Some("name, expires_at")),
            ("credential.rotate", None),
            ("credential.rotate_finish", None),
            ("deploy_key.revoke", None),
        ]
    );
    let actor = made.text_at("created_by");
    assert!(
        events.iter().filter(|event| event["target"] == made.json["id"]).all(|event| event["actor"] == actor.as_str())
    );
    let verified = toy.admin("GET", "/v1/audit/verify", &Value::Null).ok(200).json;
    assert_eq!(verified["valid"], true);
}
