//! GitHub's reports of leaked credentials: believed by their signature alone, and what they end.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod toy;

use base64ct::{Base64, Encoding as _};
use claviger::{
    credential::{HistorySecret, Kind as _, Opaque, ServerKey},
    error::Reason,
    value::id::{Environment, Locator, Stage},
    world::fetch::Fetched,
};
use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer as _},
    pkcs8::EncodePublicKey as _,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use toy::{Answer, Fault, ORIGIN, Toy, forge, idle};

const LEAKS: &str = "/v1/leaks/github";
const KEYS_URL: &str = "https://api.github.com/meta/public_keys/secret_scanning";
const FOUND_AT: &str = "https://github.com/octocat/hello/blob/12345600b9cbe38a219f39a9941c9319b600c002/.env";

fn key(number: u8) -> SigningKey {
    SigningKey::from_slice(&[number; 32]).unwrap()
}

fn pem(key: &SigningKey) -> String {
    let text = Base64::encode_string(key.verifying_key().to_public_key_der().unwrap().as_bytes());
    let (first, second) = text.split_at(64);
    format!("-----BEGIN PUBLIC KEY-----\n{first}\n{second}\n-----END PUBLIC KEY-----\n")
}

fn name(number: u8) -> String {
    format!("f9525bf0{number:02x}")
}

/// GitHub publishes these keys.
fn publish(toy: &Toy, numbers: &[u8]) {
    let keys: Vec<Value> = numbers
        .iter()
        .map(|number| json!({"key_identifier": name(*number), "key": pem(&key(*number)), "is_current": true}))
        .collect();
    let body = json!({"public_keys": keys}).to_string().into_bytes();
    toy.documents.borrow_mut().insert(KEYS_URL.to_owned(), Ok(Fetched { status: 200, body }));
}

fn sign(number: u8, body: &str) -> String {
    let signature: Signature = key(number).sign(body.as_bytes());
    Base64::encode_string(signature.to_der().as_bytes())
}

fn send(toy: &Toy, name: &str, signature: &str, body: &str) -> Answer {
    let headers = [("github-public-key-identifier", name), ("github-public-key-signature", signature)];
    let answer = toy.send("POST", LEAKS, &headers, body);
    // Whatever was sent, none of it comes back.
    for item in serde_json::from_str::<Value>(body).unwrap_or_default().as_array().into_iter().flatten() {
        let token = item["token"].as_str().unwrap_or_default();
        assert!(token.len() < 8 || !answer.text.contains(token), "the answer repeats what leaked: {}", answer.text);
    }
    answer
}

/// A report that GitHub signed with its key of that number.
fn signed(toy: &Toy, number: u8, body: &str) -> Answer {
    send(toy, &name(number), &sign(number, body), body)
}

fn items(tokens: &[&str]) -> String {
    let item = |token: &&str| json!({"token": token, "type": "claviger_key", "url": FOUND_AT, "source": "content"});
    Value::from(tokens.iter().map(item).collect::<Vec<_>>()).to_string()
}

fn report(toy: &Toy, tokens: &[&str]) -> Answer {
    signed(toy, 1, &items(tokens))
}

/// What came of one text.
#[track_caller]
fn label(toy: &Toy, token: &str) -> String {
    let answer = report(toy, &[token]).ok(200);
    let verdicts = answer.json.as_array().unwrap();
    let hash: String = Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((verdicts.len(), &verdicts[0]["token_hash"]), (1, &json!(hash)));
    assert_eq!(verdicts[0]["token_type"], "claviger_key");
    assert_eq!(verdicts[0].as_object().unwrap().len(), 3);
    verdicts[0]["label"].as_str().unwrap().to_owned()
}

fn toy_with(policy: &str) -> Toy {
    let toy = Toy::changed(&[("POLICY_TOML", policy)]);
    publish(&toy, &[1]);
    toy.workspace("acme");
    toy
}

fn toy() -> Toy {
    let toy = Toy::new("default");
    publish(&toy, &[1]);
    toy.workspace("acme");
    toy
}

const GRACE: &str =
    "brand = \"clv\"\n[scopes]\nadmin = { says = \"All\", implies = \"*\" }\n[widget]\n[leaks]\noverlap_minutes = 5\n";

fn audit(toy: &Toy, query: &str) -> Vec<Value> {
    let page = toy.admin("GET", &format!("/v1/audit?{query}&limit=100"), &Value::Null).ok(200);
    page.json["items"].as_array().unwrap().clone()
}

fn by_github(toy: &Toy, query: &str) -> Vec<Value> {
    audit(toy, query).into_iter().filter(|event| event["actor"] == "github:secret-scanning").collect()
}

const TRUE: &str = "true_positive";
const FALSE: &str = "false_positive";

#[test]
fn a_leaked_server_key_or_service_token_is_dead_when_github_has_its_answer() {
    let toy = toy();
    let (id, secret) = toy.server_key("acme", "live", &Value::Null);
    let (_, token) = toy.service_token("acme", "test", "spine", &Value::Null);
    toy.whoami(&secret).ok(200);
    let answer = report(&toy, &[&secret, &token]).ok(200);
    assert_eq!((answer.hops, answer.rounds), (4, 2), "two each, both at once");
    assert_eq!(answer.json[0]["label"], TRUE);
    assert_eq!(answer.json[1]["label"], TRUE);
    toy.whoami(&secret).refused(401, "revoked_credential");
    let service = [("x-service-token", token.as_str()), ("x-service-name", "spine")];
    toy.send("GET", "/v1/whoami", &service, "").refused(401, "revoked_credential");
    let shown = toy.admin("GET", &format!("/v1/credentials/{id}"), &Value::Null).ok(200);
    assert_eq!(shown.json["status"], "revoked");

    let events = by_github(&toy, "workspace=acme&action=credential.revoke");
    assert_eq!(events.len(), 2);
    assert_eq!((&events[0]["target"], &events[0]["outcome"]), (&json!(id), &json!("done")));
    assert_eq!(events[0]["reason"], format!("leaked: {FOUND_AT}"));
    assert_eq!(events[0]["request_id"], "req_toy");
    assert_eq!(toy.admin("GET", "/v1/audit/verify?workspace=acme", &Value::Null).ok(200).json["valid"], true);
}

#[test]
fn a_second_report_of_what_is_dead_changes_nothing_and_says_the_same() {
    let toy = toy();
    let (id, secret) = toy.server_key("acme", "live", &Value::Null);
    let visitor = toy.open(&toy.widget_key("acme", "live", &[ORIGIN]).1);
    let deploy_key = toy.deploy_key_for(Stage::Dev, "local", 3_600);
    for token in [&secret, &visitor.secret, &deploy_key] {
        assert_eq!(label(&toy, token), TRUE);
    }
    let before = (audit(&toy, "workspace=acme").len(), audit(&toy, "").len());
    let shown = |toy: &Toy| toy.admin("GET", &format!("/v1/credentials/{id}"), &Value::Null).ok(200).text;
    let revoked = shown(&toy);
    for _ in 0..3 {
        toy.advance(1);
        for token in [&secret, &visitor.secret, &deploy_key] {
            assert_eq!(label(&toy, token), TRUE);
        }
    }
    assert_eq!((audit(&toy, "workspace=acme").len(), audit(&toy, "").len()), before);
    assert_eq!(shown(&toy), revoked);
}

#[test]
fn what_was_made_up_costs_no_hop() {
    let toy = toy();
    let (_, secret) = toy.server_key("acme", "live", &Value::Null);
    let visitor = toy.open(&toy.widget_key("acme", "live", &[ORIGIN]).1);
    let deploy_key = toy.deploy_key_for(Stage::Dev, "local", 3_600);
    report(&toy, &[]).ok(200);
    for token in [
        forge(&secret),
        forge(&visitor.secret),
        forge(&deploy_key),
        forge(&visitor.key),
        visitor.key.clone(),
        secret.to_uppercase(),
        format!(" {secret}"),
        format!("{secret}A"),
        secret[..secret.len() - 1].to_owned(),
        String::new(),
        "NMIfyYncKcRALEXAMPLE".to_owned(),
    ] {
        let answer = report(&toy, &[&token]).ok(200);
        assert_eq!(answer.json[0]["label"], FALSE, "{token}");
        assert_eq!((answer.hops, answer.made), (0, 0), "{token}");
    }
    toy.whoami(&secret).ok(200);
    assert_eq!(toy.hear(&visitor), Vec::<String>::new());
    // A widget key is public: what opens a page's chat is no leak.
    toy.open(&visitor.key);
}

/// It holds nothing by which it could be recognised: nobody is asked, nothing is claimed, and the log tells the operator.
#[test]
fn of_what_looks_like_an_identity_secret_nothing_is_said_but_in_the_log() {
    let toy = toy();
    let (_, secret) = toy.identity_secret("acme");
    report(&toy, &[]).ok(200);
    let answer = report(&toy, &[&secret, "NMIfyYncKcRALEXAMPLE"]).ok(200);
    assert_eq!((answer.json.as_array().unwrap().len(), answer.hops), (1, 0));
    assert_eq!(answer.json[0]["label"], FALSE);
    assert_eq!(answer.log["kind"], "identity_secret");
    assert!(report(&toy, &["NMIfyYncKcRALEXAMPLE"]).log["kind"].is_null());
}

/// Whoever has a root secret can make a check, and whoever saw a locator can put it in front.
#[test]
fn a_genuine_check_around_an_unknown_secret_ends_nothing() {
    let toy = toy();
    let (_, secret) = toy.server_key("acme", "live", &Value::Null);
    let config = toy.config.as_ref().unwrap();
    let locator = Locator::try_from(secret["clv_live_".len()..][..8].to_owned()).unwrap();
    let guessed = ServerKey { environment: Environment::Live, opaque: Opaque::draw(locator, [7; 16]) };
    let guessed = guessed.issue("clv", &config.ring).unwrap().reveal().to_owned();
    let answer = report(&toy, &[&guessed]).ok(200);
    assert_eq!((answer.json[0]["label"].as_str(), answer.hops), (Some(FALSE), 1), "its object alone is asked");
    toy.whoami(&secret).ok(200);
    // Of a place where nobody lives, and a conversation that nobody opened.
    let nobody = ServerKey { environment: Environment::Live, opaque: Opaque::draw(Locator::draw([3; 16]), [7; 16]) };
    assert_eq!(label(&toy, nobody.issue("clv", &config.ring).unwrap().reveal()), FALSE);
    let secret = HistorySecret {
        conversation: "conv_01234567890123456789_acme".to_owned().try_into().unwrap(),
        environment: Environment::Live,
        generation: 1,
        expires_at: claviger::codec::time::Timestamp(u64::MAX),
    };
    assert_eq!(label(&toy, secret.issue("clv", &config.ring).unwrap().reveal()), FALSE);
    assert!(by_github(&toy, "workspace=acme").is_empty());
}

#[test]
fn only_the_secret_that_leaked_ends_and_its_successor_lives_on() {
    let toy = toy();
    let (id, old) = toy.server_key("acme", "live", &Value::Null);
    let rotate = format!("/v1/credentials/{id}/rotate");
    let new = toy.admin("POST", &rotate, &json!({"overlap_seconds": 3_600})).ok(201).text_at("secret");
    toy.whoami(&new).ok(200);
    toy.whoami(&old).ok(200);
    assert_eq!(label(&toy, &old), TRUE);
    toy.whoami(&old).refused(401, "revoked_credential");
    toy.whoami(&new).ok(200);
    let events = by_github(&toy, "workspace=acme");
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["action"], "credential.rotate_finish");
    // One that was rotated out long ago is genuine, and hurts nobody.
    let newest = toy.admin("POST", &rotate, &json!({"overlap_seconds": 0})).ok(201).text_at("secret");
    for dead in [&old, &new] {
        assert_eq!(label(&toy, dead), TRUE);
    }
    toy.whoami(&newest).ok(200);
    assert_eq!(by_github(&toy, "workspace=acme").len(), 1);
    assert_eq!(label(&toy, &newest), TRUE);
    toy.whoami(&newest).refused(401, "revoked_credential");
}

#[test]
fn a_key_whose_limit_is_used_up_is_ended_and_a_report_is_no_use_of_it() {
    let toy = Toy::new("llm");
    publish(&toy, &[1]);
    toy.workspace("acme");
    let (id, secret) = toy.server_key("acme", "live", &json!({"allowed_addresses": ["192.0.2.7"]}));
    let call = || {
        let bearer = format!("Bearer {secret}");
        toy.send("GET", "/v1/whoami", &[("authorization", &bearer), ("x-client", "192.0.2.7")], "")
    };
    while call().status == 200 {}
    call().refused(429, "rate_limited");
    let usage = |toy: &Toy| {
        let usage = toy.admin("GET", &format!("/v1/credentials/{id}/usage"), &Value::Null).ok(200).json;
        (usage["total"].clone(), usage["denied"].clone(), usage["last_used_at"].clone())
    };
    let before = usage(&toy);
    assert_eq!(label(&toy, &secret), TRUE);
    assert_eq!(usage(&toy), before, "neither a use nor a refusal");
    call().refused(401, "revoked_credential");
}

#[test]
fn what_has_expired_is_ended_for_good_so_that_nobody_prolongs_it_unknowingly() {
    let toy = toy();
    let (id, secret) = toy.server_key("acme", "live", &json!({"expires_in": 60}));
    toy.advance(61);
    assert_eq!(label(&toy, &secret), TRUE);
    let longer = json!({"expires_at": null});
    toy.admin("PATCH", &format!("/v1/credentials/{id}"), &longer).refused(409, "conflict");
}

#[test]
fn a_leaked_deploy_key_dies_with_or_without_the_place_before_it_and_known_or_not() {
    for is_used in [false, true] {
        for is_bare in [false, true] {
            let toy = toy();
            let text = toy.deploy_key_for(Stage::Dev, "local", 3_600);
            let whoami = || toy.send("GET", "/v1/whoami", &[("authorization", &format!("Convex {text}"))], "");
            if is_used {
                whoami().ok(200);
            }
            let found = if is_bare { text.split_once('|').unwrap().1 } else { &text };
            assert_eq!(label(&toy, found), TRUE, "{is_used} {is_bare}");
            whoami().refused(401, "revoked_credential");
            let events = by_github(&toy, "action=deploy_key.revoke");
            assert_eq!((events.len(), &events[0]["reason"]), (1, &json!(format!("leaked: {FOUND_AT}"))));
        }
    }
}

#[test]
fn the_old_text_of_a_rotated_deploy_key_ends_alone() {
    let toy = toy();
    let made =
        toy.admin("POST", "/v1/credentials", &json!({"kind": "deploy_key", "stage": "dev", "name": "ci"})).ok(201);
    let (id, old) = (made.text_at("id"), made.text_at("secret"));
    toy.advance(1);
    let new = toy.admin("POST", &format!("/v1/credentials/{id}/rotate"), &json!({})).ok(201).text_at("secret");
    let whoami = |text: &str| toy.send("GET", "/v1/whoami", &[("authorization", &format!("Convex {text}"))], "");
    assert_eq!(label(&toy, &old), TRUE);
    whoami(&old).refused(401, "revoked_credential");
    whoami(&new).ok(200);
    assert_eq!(by_github(&toy, "action=credential.rotate_finish").len(), 1);
    assert_eq!(label(&toy, &old), TRUE);
    whoami(&new).ok(200);
    assert_eq!(label(&toy, &new), TRUE);
    whoami(&new).refused(401, "revoked_credential");
}

#[test]
fn a_deploy_key_of_another_stage_or_deployment_is_genuine_and_is_ended_there() {
    let toy = toy();
    let config = toy.config.as_ref().unwrap();
    report(&toy, &[]).ok(200);
    for (stage, deployment) in [(Stage::Prod, "local"), (Stage::Dev, "other")] {
        let text = toy.deploy_key_for(stage, deployment, 3_600);
        let answer = report(&toy, &[&text]).ok(200);
        assert_eq!((answer.json[0]["label"].as_str(), answer.hops), (Some(TRUE), 0));
    }
    assert_eq!(config.stage, Stage::Dev);
}

#[test]
fn a_leaked_history_secret_ends_with_its_conversation_and_an_old_one_ends_nothing() {
    let toy = toy();
    let (_, key) = toy.widget_key("acme", "live", &[ORIGIN]);
    let mut visitor = toy.open(&key);
    toy.say(&visitor, "hello").ok(201);
    let old = visitor.secret.clone();
    visitor.secret = toy.visit(&visitor, "POST", "secret/rotate", "").ok(201).text_at("history_secret");
    toy.hear(&visitor);
    assert_eq!(label(&toy, &old), TRUE);
    toy.say(&visitor, "still here").ok(201);
    assert_eq!(label(&toy, &visitor.secret), TRUE);
    toy.visit(&visitor, "GET", "messages", "").refused(401, "revoked_credential");
    toy.visit(&visitor, "POST", "secret/rotate", "").refused(401, "revoked_credential");
    let list = toy.admin("GET", "/v1/conversations?workspace=acme", &Value::Null).ok(200);
    assert_eq!(list.json["items"][0]["status"], "closed");
    let events = by_github(&toy, "workspace=acme&action=history_secret.revoke");
    assert_eq!((events.len(), &events[0]["target"]), (1, &json!(visitor.conversation)));
}

/// For 60 s the secret before a rotation may fetch the one after it: whoever found the old one could have the new one.
#[test]
fn a_secret_that_may_still_fetch_its_successor_is_alive() {
    let toy = toy();
    let mut visitor = toy.open(&toy.widget_key("acme", "live", &[ORIGIN]).1);
    let old = visitor.clone();
    visitor.secret = toy.visit(&visitor, "POST", "secret/rotate", "").ok(201).text_at("history_secret");
    assert_eq!(label(&toy, &old.secret), TRUE);
    toy.visit(&old, "POST", "secret/rotate", "").refused(401, "revoked_credential");
    toy.visit(&visitor, "GET", "messages", "").refused(401, "revoked_credential");
}

#[test]
fn by_policy_the_owner_gets_minutes_to_act() {
    let toy = toy_with(GRACE);
    let (id, secret) = toy.server_key("acme", "live", &json!({"scopes": ["admin"]}));
    assert_eq!(label(&toy, &secret), TRUE);
    toy.whoami(&secret).ok(200);
    let shown = |toy: &Toy| toy.admin("GET", &format!("/v1/credentials/{id}"), &Value::Null).ok(200);
    let end = shown(&toy);
    assert_eq!(
        (end.text_at("status"), end.text_at("expires_at")),
        ("expiring".into(), "2026-01-01T00:05:00.000Z".into())
    );
    let events = by_github(&toy, "workspace=acme");
    assert_eq!((events.len(), events[0]["action"].as_str()), (1, Some("credential.change")));
    // A later report puts nothing off.
    toy.advance(60);
    assert_eq!(label(&toy, &secret), TRUE);
    assert_eq!(shown(&toy).text, end.text);
    assert_eq!(by_github(&toy, "workspace=acme").len(), 1);
    toy.advance(239);
    toy.whoami(&secret).ok(200);
    toy.advance(1);
    toy.whoami(&secret).refused(401, "revoked_credential");
    assert_eq!(label(&toy, &secret), TRUE);
    assert_eq!((by_github(&toy, "workspace=acme").len(), shown(&toy).text_at("status")), (1, "expired".into()));
    // Nor does it lengthen less than was left.
    let (short, secret) = toy.server_key("acme", "live", &json!({"expires_in": 30}));
    assert_eq!(label(&toy, &secret), TRUE);
    let shown = toy.admin("GET", &format!("/v1/credentials/{short}"), &Value::Null).ok(200);
    assert_eq!(shown.text_at("expires_at"), "2026-01-01T00:05:30.000Z");
}

#[test]
fn in_these_minutes_a_rotation_saves_the_credential_and_not_what_leaked() {
    let toy = toy_with(GRACE);
    let (id, old) = toy.server_key("acme", "live", &Value::Null);
    assert_eq!(label(&toy, &old), TRUE);
    // Nothing keeps alive what leaked: no other end of the credential, and no longer overlap.
    let path = format!("/v1/credentials/{id}");
    toy.admin("PATCH", &path, &json!({"expires_at": null})).ok(200);
    let rotated = toy.admin("POST", &format!("{path}/rotate"), &json!({"overlap_seconds": 86_400})).ok(201);
    assert_eq!(rotated.text_at("old_expires_at"), "2026-01-01T00:05:00.000Z");
    assert!(rotated.json["expires_at"].is_null());
    let new = rotated.text_at("secret");
    toy.advance(299);
    toy.whoami(&old).ok(200);
    toy.whoami(&new).ok(200);
    toy.advance(1);
    for _ in 0..2 {
        toy.whoami(&old).refused(401, "revoked_credential");
        toy.whoami(&new).ok(200);
        assert_eq!(label(&toy, &old), TRUE);
    }
    // Of a longer overlap a report leaves the minutes, and no more.
    let newest = toy.admin("POST", &format!("{path}/rotate"), &json!({"overlap_seconds": 86_400})).ok(201);
    toy.whoami(&newest.text_at("secret")).ok(200);
    assert_eq!(label(&toy, &new), TRUE);
    toy.whoami(&new).ok(200);
    toy.advance(300);
    toy.whoami(&new).refused(401, "revoked_credential");
    toy.whoami(&newest.text_at("secret")).ok(200);
}

#[test]
fn after_these_minutes_a_rotation_still_brings_the_credential_back_without_what_leaked() {
    let toy = toy_with(GRACE);
    let (id, old) = toy.server_key("acme", "live", &Value::Null);
    assert_eq!(label(&toy, &old), TRUE);
    toy.advance(600);
    let path = format!("/v1/credentials/{id}");
    toy.admin("PATCH", &path, &json!({"expires_at": null})).ok(200);
    toy.whoami(&old).refused(401, "revoked_credential");
    let new = toy.admin("POST", &format!("{path}/rotate"), &json!({})).ok(201).text_at("secret");
    toy.whoami(&new).ok(200);
    toy.whoami(&old).refused(401, "revoked_credential");
    assert_eq!(toy.admin("GET", &path, &Value::Null).text_at("status"), "active");
}

#[test]
fn a_deploy_key_is_saved_by_a_rotation_too() {
    let toy = toy_with(GRACE);
    let made =
        toy.admin("POST", "/v1/credentials", &json!({"kind": "deploy_key", "stage": "dev", "name": "ci"})).ok(201);
    let (path, old) = (format!("/v1/credentials/{}", made.text_at("id")), made.text_at("secret"));
    assert_eq!(label(&toy, &old), TRUE);
    let shown = toy.admin("GET", &path, &Value::Null).ok(200);
    assert_eq!(
        (shown.text_at("expires_at"), shown.text_at("status")),
        ("2026-01-01T00:05:00.000Z".into(), "expiring".into())
    );
    let rotated = toy.admin("POST", &format!("{path}/rotate"), &json!({"overlap_seconds": 86_400})).ok(201);
    assert_eq!(rotated.text_at("old_expires_at"), "2026-01-01T00:05:00.000Z");
    assert_eq!(rotated.text_at("expires_at"), made.text_at("expires_at"));
    let whoami = |text: &str| toy.send("GET", "/v1/whoami", &[("authorization", &format!("Convex {text}"))], "");
    whoami(&old).ok(200);
    toy.advance(300);
    whoami(&old).refused(401, "revoked_credential");
    whoami(&rotated.text_at("secret")).ok(200);
}

#[test]
fn a_deploy_key_gets_these_minutes_too_and_a_history_secret_none() {
    let toy = toy_with(GRACE);
    let text = toy.deploy_key_for(Stage::Dev, "local", 3_600);
    let whoami = || toy.send("GET", "/v1/whoami", &[("authorization", &format!("Convex {text}"))], "");
    assert_eq!(label(&toy, &text), TRUE, "never used, so nobody knew it");
    whoami().ok(200);
    toy.advance(299);
    assert_eq!(label(&toy, &text), TRUE);
    whoami().ok(200);
    toy.advance(1);
    for _ in 0..2 {
        whoami().refused(401, "revoked_credential");
        assert_eq!(label(&toy, &text), TRUE);
    }
    assert_eq!(by_github(&toy, "").len(), 1);

    let visitor = toy.open(&toy.widget_key("acme", "live", &[ORIGIN]).1);
    assert_eq!(label(&toy, &visitor.secret), TRUE);
    toy.visit(&visitor, "GET", "messages", "").refused(401, "revoked_credential");
}

#[test]
fn a_report_that_github_did_not_sign_does_nothing_and_says_nothing() {
    let toy = toy();
    publish(&toy, &[1, 2]);
    let (_, secret) = toy.server_key("acme", "live", &Value::Null);
    let body = items(&[&secret]);
    let (good, name) = (sign(1, &body), name(1));
    let doubled = |text: &str| format!("{text}, {text}");
    let stored = toy.snapshot();
    let longer = format!("{body} ");
    for (id, signature, sent) in [
        ("", good.as_str(), body.as_str()),
        (&name, "", &body),
        (&name, "=", &body),
        (&name, &good[..good.len() - 4], &body),
        (&name, &good, &longer),
        (&name, &good, &body.replace("content", "commit ")),
        (&name, &sign(2, &body), &body),
        (&name, &sign(3, &body), &body),
        ("f9525bf0ff", &good, &body),
        (&self::name(2), &good, &body),
        (&doubled(&name), &good, &body),
        (&name, &doubled(&good), &body),
        (&name.to_uppercase(), &good, &body),
        ("../..", &good, &body),
        (&"a".repeat(129), &good, &body),
        // Not even that the body makes no sense is told.
        (&name, &good, "{"),
        (&name, &good, ""),
    ] {
        let answer = send(&toy, id, signature, sent);
        assert_eq!((answer.status, answer.code()), (401, "invalid_signature"), "{id} {signature} {}", answer.text);
        assert_eq!(answer.header("www-authenticate"), Some("Github-Public-Key-Signature"));
        assert_eq!((answer.hops, answer.log["reason"].as_str()), (0, Some("signature_invalid")));
    }
    // Nor does a credential of ours open this call, whoever's it is.
    let deploy_key = toy.deploy_key();
    let answer = toy.send("POST", LEAKS, &[("authorization", &deploy_key)], &body);
    assert_eq!((answer.status, answer.code()), (401, "invalid_signature"));
    assert_eq!(toy.snapshot(), stored);
    toy.whoami(&secret).ok(200);
    assert_eq!(send(&toy, &name, &good, &body).ok(200).json[0]["label"], TRUE, "the control");
}

#[test]
fn b28_a_body_is_bounded_and_what_github_signed_must_still_make_sense() {
    let toy = toy();
    let (_, secret) = toy.server_key("acme", "live", &Value::Null);
    let stored = toy.snapshot();
    let too_long = format!("[{}]", " ".repeat(1 << 20));
    assert_eq!(signed(&toy, 1, &too_long).status, 413);
    let item = |rest: &str| format!("[{{\"token\":\"{secret}\"{rest}}}]");
    let many = items(&vec![secret.as_str(); 501]);
    for body in [
        "",
        "{}",
        "null",
        "[1]",
        "[\"a\"]",
        "[{}]",
        "[{\"token\":1,\"type\":\"a\"}]",
        &item(""),
        &item(",\"type\":null"),
        &item(",\"type\":\"\""),
        &item(",\"type\":\"a b\""),
        &item(",\"type\":\"a\",\"url\":1"),
        &item(",\"type\":\"a\",\"token\":\"b\""),
        &item(",\"type\":\"a\"").replace(']', ""),
        &item(",\"type\":\"a\"").replace(']', ",1]"),
        &many,
    ] {
        let answer = signed(&toy, 1, body);
        assert_eq!(
            (answer.status, answer.code(), answer.hops),
            (400, "invalid_request", 0),
            "{}",
            &body[..body.len().min(90)]
        );
    }
    let headers = [
        ("github-public-key-identifier", name(1)),
        ("github-public-key-signature", sign(1, "[]")),
        ("content-encoding", "gzip".to_owned()),
    ];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    toy.send("POST", LEAKS, &headers, "[]").refused(415, "unsupported_media_type");
    assert_eq!(toy.snapshot(), stored);
    // What GitHub may say beyond what is read is no fault of the report.
    let more = item(",\"type\":\"a\",\"url\":null,\"source\":\"commit\",\"new\":{\"a\":[1]}");
    assert_eq!(signed(&toy, 1, &more).ok(200).json[0]["label"], TRUE);
    assert_eq!(signed(&toy, 1, &items(&vec![secret.as_str(); 500])).ok(200).json.as_array().unwrap().len(), 500);
}

#[test]
fn one_text_in_many_places_is_seen_to_once_and_many_texts_at_once() {
    let toy = toy();
    let (_, one) = toy.server_key("acme", "live", &Value::Null);
    report(&toy, &[]).ok(200);
    let answer = report(&toy, &[&one, "nonsense", &one, &one]).ok(200);
    let labels: Vec<&str> =
        answer.json.as_array().unwrap().iter().map(|verdict| verdict["label"].as_str().unwrap()).collect();
    assert_eq!((labels, answer.hops), (vec![TRUE, FALSE, TRUE, TRUE], 2));
    let secrets: Vec<String> = (0..60).map(|_| toy.server_key("acme", "live", &Value::Null).1).collect();
    let answer = report(&toy, &secrets.iter().map(String::as_str).collect::<Vec<_>>()).ok(200);
    assert_eq!((answer.hops, answer.rounds), (120, 6), "25 at a time");
    for secret in &secrets {
        toy.whoami(secret).refused(401, "revoked_credential");
    }
}

#[test]
fn where_one_cannot_be_decided_github_is_told_to_come_again_and_what_ended_stays_ended() {
    let toy = toy();
    let (_, first) = toy.server_key("acme", "live", &Value::Null);
    let (_, second) = toy.server_key("acme", "live", &Value::Null);
    let object = ("CREDENTIAL".to_owned(), format!("sk_live_{}", &first["clv_live_".len()..][..8]));
    for fault in [Fault::Dead, Fault::NoReads] {
        toy.faults.borrow_mut().insert(object.clone(), fault);
        let answer = report(&toy, &[&first, &second]);
        answer.refused(503, "unavailable");
        assert_eq!(answer.header("retry-after"), Some("1"));
        toy.whoami(&second).refused(401, "revoked_credential");
    }
    toy.faults.borrow_mut().clear();
    toy.whoami(&first).ok(200);
    assert_eq!(label(&toy, &first), TRUE);
    toy.whoami(&first).refused(401, "revoked_credential");
}

#[test]
fn a_revocation_that_its_object_has_not_heard_of_is_not_called_done() {
    let toy = toy();
    let (_, secret) = toy.server_key("acme", "live", &Value::Null);
    let object = ("CREDENTIAL".to_owned(), format!("sk_live_{}", &secret["clv_live_".len()..][..8]));
    toy.faults.borrow_mut().insert(object, Fault::NoWrites);
    for _ in 0..2 {
        let answer = report(&toy, &[&secret]);
        answer.refused(503, "unavailable");
        assert_eq!(answer.json["pending"], true);
    }
    toy.faults.borrow_mut().clear();
    assert_eq!(label(&toy, &secret), TRUE);
    toy.whoami(&secret).refused(401, "revoked_credential");
    assert_eq!(by_github(&toy, "workspace=acme").len(), 1);
}

#[test]
fn a_url_is_recorded_only_where_nothing_like_a_secret_can_stand_in_it() {
    let toy = toy();
    let (_, leaked) = toy.server_key("acme", "live", &Value::Null);
    let (_, other) = toy.server_key("acme", "live", &Value::Null);
    let bytes = "a1".repeat(22);
    for (url, recorded) in [
        (FOUND_AT.to_owned(), Some(FOUND_AT)),
        (format!("{FOUND_AT}?token=ABCDEF#L3"), Some(FOUND_AT)),
        (format!("https://github.com/{other}"), None),
        (format!("https://github.com/{}", other.to_uppercase()), None),
        (format!("https://github.com/a/{leaked}/b"), None),
        (format!("https://github.com/{bytes}"), None),
        (format!("https://github.com/{}", other.replacen("clv", "%63lv", 1)), None),
        ("https://user:pass@github.com/a".to_owned(), None),
        ("http://github.com/a".to_owned(), None),
        ("javascript:alert(1)".to_owned(), None),
        ("https://github.com/a b".to_owned(), None),
        ("https://github.com/\u{1b}[2J".to_owned(), None),
        (format!("https://github.com/{}", "a/".repeat(150)), None),
        (String::new(), None),
    ] {
        let (id, secret) = toy.server_key("acme", "live", &Value::Null);
        let body = json!([{"token": secret, "type": "a", "url": url}]).to_string();
        signed(&toy, 1, &body).ok(200);
        let events = by_github(&toy, "workspace=acme");
        let event = events.iter().find(|event| event["target"] == id).unwrap();
        let expected = recorded.map_or_else(|| "leaked".to_owned(), |url| format!("leaked: {url}"));
        assert_eq!(event["reason"], expected, "{url}");
    }
    for (_, object) in toy.snapshot() {
        for row in object.rows.values() {
            let text = String::from_utf8_lossy(row).to_lowercase();
            assert!(!text.contains(&other.to_lowercase()) && !text.contains(&leaked.to_lowercase()));
        }
    }
}

#[test]
fn keys_are_fetched_once_and_remembered_for_a_day() {
    let toy = toy();
    let fetches = || toy.fetched.borrow().len();
    for _ in 0..5 {
        report(&toy, &[]).ok(200);
    }
    assert_eq!(*toy.fetched.borrow(), [format!("public 65536 5000 {KEYS_URL}")]);
    toy.advance(86_399);
    report(&toy, &[]).ok(200);
    assert_eq!(fetches(), 1);
    // Then GitHub no longer lists the key: it is not believed.
    publish(&toy, &[2]);
    toy.advance(1);
    assert_eq!(report(&toy, &[]).status, 401);
    assert_eq!(fetches(), 2);
    signed(&toy, 2, "[]").ok(200);
    // Another isolate knows nothing.
    toy.isolate.forget();
    signed(&toy, 2, "[]").ok(200);
    assert_eq!(fetches(), 3);
}

#[test]
fn a_key_that_nobody_knows_makes_us_ask_once_in_ten_minutes() {
    let toy = toy();
    report(&toy, &[]).ok(200);
    publish(&toy, &[1, 2]);
    for _ in 0..20 {
        assert_eq!(signed(&toy, 2, "[]").status, 401);
    }
    toy.advance(599);
    assert_eq!(signed(&toy, 2, "[]").status, 401);
    assert_eq!(toy.fetched.borrow().len(), 1);
    toy.advance(1);
    signed(&toy, 2, "[]").ok(200);
    for _ in 0..20 {
        assert_eq!(signed(&toy, 3, "[]").status, 401);
        report(&toy, &[]).ok(200);
    }
    assert_eq!(toy.fetched.borrow().len(), 2);
    // A clock that steps back keeps nobody out.
    toy.step_back(3_600);
    report(&toy, &[]).ok(200);
    assert_eq!(toy.fetched.borrow().len(), 3);
}

#[test]
fn while_no_key_is_to_be_had_github_is_told_to_come_again() {
    let toy = toy();
    let (_, secret) = toy.server_key("acme", "live", &Value::Null);
    let answers = |answer: Result<Fetched, Reason>| toy.documents.borrow_mut().insert(KEYS_URL.to_owned(), answer);
    let good = toy.documents.borrow()[KEYS_URL].clone();
    let body = |text: &str| Ok(Fetched { status: 200, body: text.as_bytes().to_vec() });
    let p384 = "-----BEGIN PUBLIC KEY-----\\nMHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE\\n-----END PUBLIC KEY-----";
    for answer in [
        Err(Reason::Unavailable),
        Ok(Fetched { status: 302, body: good.clone().unwrap().body }),
        Ok(Fetched { status: 404, body: good.clone().unwrap().body }),
        body(""),
        body("[]"),
        body("{\"public_keys\":[]}"),
        body("{\"public_keys\":[{\"key_identifier\":\"a\"},1]}"),
        body(&format!("{{\"public_keys\":[{{\"key_identifier\":\"f9525bf001\",\"key\":\"{p384}\"}}]}}")),
    ] {
        let asked = toy.fetched.borrow().len();
        answers(answer);
        for _ in 0..5 {
            let answer = report(&toy, &[&secret]);
            answer.refused(503, "unavailable");
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        assert_eq!(toy.fetched.borrow().len(), asked + 1, "once a minute");
        toy.advance(60);
    }
    toy.whoami(&secret).ok(200);
    answers(good);
    report(&toy, &[&secret]).ok(200);
    // What is remembered is good while the server of the keys is down, for its day.
    answers(Err(Reason::Unavailable));
    toy.advance(86_399);
    report(&toy, &[]).ok(200);
    toy.advance(1);
    report(&toy, &[]).refused(503, "unavailable");
}

#[test]
fn the_operator_may_name_another_server_of_keys() {
    let url = "http://127.0.0.1:9/keys";
    let toy = Toy::changed(&[("GITHUB_KEYS_URL", url)]);
    report(&toy, &[]).refused(503, "unavailable");
    assert_eq!(*toy.fetched.borrow(), [format!("configured 65536 5000 {url}")]);
    for url in ["https://a.example", "https://a.example:8443/k?a=b", "http://localhost:1/", "http://[::1]:80/k"] {
        let is_default_port = url.contains(":80/");
        assert_eq!(Toy::changed(&[("GITHUB_KEYS_URL", url)]).config.is_ok(), !is_default_port, "{url}");
    }
    for url in [
        "a.example",
        "http://a.example/k",
        "ftp://a.example",
        "https://",
        "https://u@a.example/",
        "https://a.example/ b",
        "https://a.example/#f",
        "https://a.example?x",
        "https://A.example/",
    ] {
        Toy::changed(&[("GITHUB_KEYS_URL", url)]).send("GET", "/healthz", &[], "").refused(503, "not_configured");
    }
}

#[test]
fn the_minutes_have_bounds_and_their_table_no_other_key() {
    let parse = |leaks: &str| claviger::policy::parse(&format!("brand = \"clv\"\n[leaks]\n{leaks}\n"));
    for (text, seconds) in [("", None), ("overlap_minutes = 1", Some(60)), ("overlap_minutes = 1_440", Some(86_400))] {
        assert_eq!(parse(text).unwrap().leak_grace_seconds, seconds, "{text}");
    }
    for text in [
        "overlap_minutes = 0",
        "overlap_minutes = 1441",
        "overlap_minutes = -1",
        "overlap_minutes = \"5\"",
        "overlap = 5",
    ] {
        assert_eq!(parse(text).unwrap_err().line, 3, "{text}");
    }
}

#[test]
fn the_call_has_one_path_and_one_method() {
    let toy = toy();
    idle(&toy.send("GET", LEAKS, &[], ""), 405, "method_not_allowed");
    let answer = toy.send("OPTIONS", LEAKS, &[("origin", ORIGIN)], "");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    for path in ["/v1/leaks", "/v1/leaks/", "/v1/leaks/github/", "/v1/leaks/gitlab", "/v1/leaks/GitHub"] {
        idle(&toy.send("POST", path, &[], ""), 404, "not_found");
    }
    let (_, secret) = toy.server_key("acme", "live", &Value::Null);
    idle(&toy.exchange("POST", &format!("{LEAKS}?token={secret}"), &[], "[]"), 400, "invalid_request");
}
