//! Ending many credentials with one call: 202 while some live, 200 once none does anywhere.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod toy;

use claviger::value::id::CredentialId;
use serde_json::{Value, json};
use toy::{Answer, Fault, ORIGIN, Toy};

const PATH: &str = "/v1/workspaces/acme/credentials/revoke";

fn keys(toy: &Toy, count: usize, environment: &str) -> Vec<(String, String)> {
    (0..count).map(|_| toy.widget_key("acme", environment, &[ORIGIN])).collect()
}

fn end(toy: &Toy, body: &Value) -> Answer {
    toy.admin("POST", PATH, body)
}

fn left(answer: &Answer) -> u64 {
    assert!(matches!(answer.status, 200 | 202), "{}", answer.text);
    let remaining = answer.json["remaining"].as_u64().unwrap();
    assert_eq!(answer.json["status"], if remaining == 0 { "revoked" } else { "revoking" });
    assert_eq!(answer.status == 200, remaining == 0);
    remaining
}

fn opens(toy: &Toy, key: &str) -> bool {
    let address = toy.objects.borrow().len().to_string();
    let headers = [("origin", ORIGIN), ("x-client", address.as_str())];
    match toy.send("POST", &format!("/w/{key}/conversations"), &headers, "{}") {
        answer if answer.status == 201 => true,
        answer => {
            answer.refused(401, "revoked_credential");
            false
        }
    }
}

#[test]
fn sixty_keys_end_with_one_call_and_none_that_is_made_meanwhile() {
    let toy = Toy::new("default");
    toy.workspace("acme");
    let all = keys(&toy, 60, "live");
    toy.advance(1);
    let begun = end(&toy, &json!({"reason": "leaked"}));
    assert_eq!(left(&begun), 60);
    toy.advance(1);
    let (_, fresh) = toy.widget_key("acme", "live", &[ORIGIN]);
    let again = json!({"reason": "leaked", "made_until": begun.text_at("made_until")});
    for _ in 0..3 {
        toy.advance(5);
        assert_eq!(left(&end(&toy, &again)), 0);
    }
    for (_, key) in &all {
        assert!(!opens(&toy, key));
    }
    assert!(opens(&toy, &fresh));
    let events = toy.admin("GET", "/v1/audit?workspace=acme&action=credential.revoke&limit=100", &Value::Null).ok(200);
    assert_eq!(events.json["items"].as_array().unwrap().len(), 60, "each once");
    let one = toy.admin("GET", &format!("/v1/credentials/{}", all[0].0), &Value::Null).ok(200);
    assert_eq!(one.json["status"], "revoked");
}

#[test]
fn it_goes_on_by_itself_after_a_crash_and_nobody_has_to_ask_again() {
    let toy = Toy::new("default");
    toy.workspace("acme");
    let all = keys(&toy, 45, "live");
    assert!(left(&end(&toy, &json!({}))) > 0);
    toy.forget();
    toy.advance(60);
    assert!(all.iter().all(|(_, key)| !opens(&toy, key)));
    assert_eq!(left(&end(&toy, &json!({}))), 0);
    assert_eq!(left(&end(&toy, &json!({}))), 0, "again is the same");
}

#[test]
fn a_shard_that_does_not_answer_keeps_its_key_among_those_that_are_left() {
    let toy = Toy::new("default");
    toy.workspace("acme");
    let all = keys(&toy, 3, "live");
    let deaf = ("CREDENTIAL".to_owned(), format!("{}/07", CredentialId::try_from(all[1].0.clone()).unwrap()));
    toy.faults.borrow_mut().insert(deaf, Fault::Dead);
    assert_eq!(left(&end(&toy, &json!({}))), 3);
    toy.advance(5);
    assert_eq!(left(&end(&toy, &json!({}))), 1);
    toy.faults.borrow_mut().clear();
    toy.advance(10);
    assert_eq!(left(&end(&toy, &json!({}))), 0);
}

#[test]
fn only_what_is_meant_ends() {
    let toy = Toy::new("default");
    toy.workspace("acme");
    let (live, test) = (keys(&toy, 2, "live"), keys(&toy, 2, "test"));
    let nobody = end(&toy, &json!({"created_by": "deploy_key:dk_00000000000000000000"}));
    assert_eq!(left(&nobody), 0);
    end(&toy, &json!({"environment": "test"}));
    toy.advance(5);
    assert!(live.iter().all(|(_, key)| opens(&toy, key)));
    assert!(!opens(&toy, &test[0].1) && !opens(&toy, &test[1].1));
    end(&toy, &json!({"made_until": "yesterday"})).refused(400, "invalid_request");
    end(&toy, &json!({"environment": "prod"})).refused(400, "invalid_request");
    end(&toy, &json!({"kind": "widget_key"})).refused(400, "invalid_request");
    toy.admin("POST", "/v1/workspaces/nobody/credentials/revoke", &json!({})).refused(404, "not_found");
}

#[test]
fn two_different_ones_do_not_mix() {
    let toy = Toy::new("default");
    toy.workspace("acme");
    keys(&toy, 30, "live");
    end(&toy, &json!({"reason": "one"}));
    end(&toy, &json!({"reason": "two"})).refused(409, "conflict");
    toy.advance(10);
    assert_eq!(left(&end(&toy, &json!({"reason": "two"}))), 0);
}

#[test]
fn l6_what_is_no_actor_is_refused_and_not_kept() {
    let toy = Toy::new("default");
    toy.workspace("acme");
    let before = toy.kept();
    let run = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    for actor in
        [run.to_owned(), format!("r1:{run}"), format!("server_key:{run}"), "nobody".to_owned(), ":x".to_owned()]
    {
        end(&toy, &json!({"created_by": actor})).refused(400, "invalid_request");
    }
    assert_eq!(toy.kept(), before);
    assert_eq!(left(&end(&toy, &json!({"created_by": "cli:"}))), 0);
}
