//! The life of a deploy key: one hop for whom it belongs to, none for a stranger, and an end that nobody can put off.
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
    codec::time::Timestamp,
    credential::DeployKey,
    object::machine::World as _,
    value::id::{CredentialId, Stage},
};
use toy::{Answer, ORIGIN, START, Toy, Visitor, forge};

const DAY: u64 = 86_400;

fn open(toy: &Toy, key: &str) -> Answer {
    toy.send("POST", &format!("/w/{key}/conversations"), &[("origin", ORIGIN)], "")
}

fn whoami(toy: &Toy, key: &str) -> Answer {
    toy.send("GET", "/v1/whoami", &[("authorization", key)], "")
}

#[test]
fn whoami_costs_one_hop_and_a_stranger_none() {
    let toy = Toy::new("default");
    let key = toy.deploy_key();
    let told = whoami(&toy, &key).ok(200);
    assert_eq!((told.hops, told.rounds), (1, 1));
    assert_eq!((told.json["kind"].as_str(), told.json["stage"].as_str()), (Some("deploy_key"), Some("dev")));
    assert_eq!((told.json["deployment"].as_str(), told.json["workspace"].is_null()), (Some("local"), true));
    assert_eq!(told.json["expires_at"], "2026-01-01T01:00:00.000Z");
    assert_eq!(told.log["route"], "GET /v1/whoami");
    assert_eq!(told.log["credential"], told.json["id"]);

    let forged = whoami(&toy, &forge(&key));
    forged.refused(401, "invalid_credential");
    assert_eq!((forged.hops, forged.made), (0, 0));
    let (_, wk) = toy.shop();
    let forged = open(&toy, &forge(&wk));
    forged.refused(401, "invalid_credential");
    assert_eq!((forged.hops, forged.made), (0, 0));
    let visitor = toy.open(&wk);
    let forged = Visitor { secret: forge(&visitor.secret), ..visitor };
    let forged = toy.say(&forged, "hi");
    forged.refused(401, "invalid_credential");
    // The key of the page is genuine: its shard is asked whether that may read why.
    assert_eq!((forged.hops, forged.made), (1, 0));
}

#[test]
fn b35_a_deploy_key_of_another_stage_or_deployment_is_refused_and_its_object_counts_that() {
    let toy = Toy::new("default");
    for (stage, deployment) in [(Stage::Prod, "local"), (Stage::Staging, "local"), (Stage::Dev, "other")] {
        let refused = whoami(&toy, &format!("Convex {}", toy.deploy_key_for(stage, deployment, 60)));
        refused.refused(403, "wrong_stage");
        assert_eq!(refused.hops, 1);
    }
}

#[test]
fn b37_a_deploy_key_ends_when_it_says_and_none_lives_for_ever() {
    let toy = Toy::new("default");
    let key = format!("Convex {}", toy.deploy_key_for(Stage::Dev, "local", 10));
    toy.advance(9);
    whoami(&toy, &key).ok(200);
    toy.advance(1);
    whoami(&toy, &key).refused(401, "expired_credential");
    whoami(&toy, &format!("Convex {}", toy.deploy_key_for(Stage::Dev, "local", 366 * DAY))).ok(200);
    let eternal = format!("Convex {}", toy.deploy_key_for(Stage::Dev, "local", 366 * DAY + 1));
    whoami(&toy, &eternal).refused(401, "invalid_credential");
}

#[test]
fn a_deploy_key_cannot_be_made_ahead_of_its_time_to_live_longer() {
    let toy = Toy::new("default");
    let id = CredentialId::issue_deploy_key(Timestamp(START), [3; 16]);
    let issued_at = toy.now().plus_seconds(20 * 366 * DAY);
    let expires_at = issued_at.plus_seconds(300 * DAY);
    let key = toy.write(&DeployKey { id, stage: Stage::Dev, deployment: "local".to_owned(), issued_at, expires_at });
    whoami(&toy, &format!("Convex {key}")).refused(401, "invalid_credential");
}

#[test]
fn the_clock_of_whoever_makes_a_deploy_key_may_be_five_minutes_ahead_and_no_more() {
    let toy = Toy::new("default");
    for (millis_ahead, status) in [(300_000, 200), (300_001, 401)] {
        let id = CredentialId::issue_deploy_key(Timestamp(START), [3; 16]);
        let issued_at = toy.now().plus_millis(millis_ahead);
        let expires_at = issued_at.plus_seconds(60);
        let key = DeployKey { id, stage: Stage::Dev, deployment: "local".to_owned(), issued_at, expires_at };
        whoami(&toy, &format!("Convex {}", toy.write(&key))).ok(status);
    }
}

#[test]
fn a_revoked_deploy_key_is_dead() {
    let toy = Toy::new("default");
    let key = toy.deploy_key();
    let id = whoami(&toy, &key).ok(200).text_at("id");
    let (other, path) = (toy.deploy_key(), format!("/v1/credentials/{id}/revoke"));
    let json = ("content-type", "application/json");
    let revoke = || toy.send("POST", &path, &[("authorization", &other), json], r#"{"reason":"left on a laptop"}"#);
    let first = revoke().ok(200);
    assert_eq!(first.json["status"], "revoked");
    whoami(&toy, &key).refused(401, "revoked_credential");
    toy.advance(1);
    assert_eq!(revoke().ok(200).json["revoked_at"], first.json["revoked_at"]);
    whoami(&toy, &toy.deploy_key()).ok(200);
}
