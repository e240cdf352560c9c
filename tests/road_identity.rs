//! Visitors who prove who they are: the customer's secrets, the tokens signed with them, and what nobody gets with one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

#[path = "lawful/tokens.rs"]
mod tokens;
mod toy;

use serde_json::{Value, json};
use tokens::{part, sign, sign_parts};
use toy::{Answer, ORIGIN, START, Toy, Visitor, forge};

const NOW: u64 = START / 1_000;
const OTHER_ROOT: &str = "r2:AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

fn claims(subject: &str) -> Value {
    json!({"sub": subject, "aud": "acme", "iat": NOW, "exp": NOW + 600})
}

/// A page opens a conversation and hands this over as its visitor's identity.
fn open(toy: &Toy, key: &str, identity: &Value) -> Answer {
    let body = json!({"identity": identity}).to_string();
    let answer = toy.send("POST", &format!("/w/{key}/conversations"), &[("origin", ORIGIN)], &body);
    if let Some(token) = identity.as_str().filter(|token| token.len() > 20) {
        let shown = format!("{}{:?}{}", answer.text, answer.headers, answer.log);
        assert!(!shown.contains(token), "the answer or the log repeats the token");
        let tag = token.rsplit('.').next().unwrap();
        assert!(tag.is_empty() || !shown.contains(tag), "not even its tag");
    }
    answer
}

fn token(toy: &Toy, key: &str, secret: &str, claims: &Value) -> Answer {
    open(toy, key, &json!(sign(secret, claims)))
}

fn visitor(key: &str, opened: &Answer) -> Visitor {
    Visitor {
        key: key.to_owned(),
        conversation: opened.text_at("conversation"),
        secret: opened.text_at("history_secret"),
    }
}

fn secrets(toy: &Toy) -> Vec<(String, String)> {
    let listed = toy.admin("GET", "/v1/workspaces/acme/identity-secrets", &Value::Null).ok(200);
    let items = listed.json["items"].as_array().unwrap().clone();
    let text = |item: &Value, name: &str| item[name].as_str().unwrap().to_owned();
    items.iter().map(|item| (text(item, "kid"), text(item, "status"))).collect()
}

fn count(toy: &Toy) -> u64 {
    toy.admin("GET", "/v1/workspaces/acme", &Value::Null).ok(200).json["identity_secret_count"].as_u64().unwrap()
}

fn listed(toy: &Toy) -> Vec<Value> {
    let listed = toy.admin("GET", "/v1/conversations?workspace=acme", &Value::Null).ok(200);
    listed.json["items"].as_array().unwrap().clone()
}

/// A shop with one identity secret: the toy, the widget key, the kid and the secret.
fn shop() -> (Toy, String, String, String) {
    shop_in(Toy::changed(&[("POLICY_TOML", "brand = \"clv\"\n[widget]\nconversations_per_hour = 1000\n")]))
}

fn shop_in(toy: Toy) -> (Toy, String, String, String) {
    let (_, key) = toy.shop();
    let (kid, secret) = toy.identity_secret("acme");
    (toy, key, kid, secret)
}

#[test]
fn a_visitor_whom_the_customers_server_vouches_for_is_verified() {
    let (toy, key, kid, secret) = shop();
    assert!(secret.starts_with("clv_is_") && secret.len() == 50 && kid.starts_with("is_"), "{kid}");
    let opened = token(&toy, &key, &secret, &claims("user-7")).ok(201);
    assert_eq!(opened.json["verified"], true);
    assert_eq!((opened.hops, opened.rounds, opened.made), (3, 3, 1), "the shard, the workspace, the conversation");
    let verified = visitor(&key, &opened);
    let unverified = toy.open(&key);
    toy.say(&verified, "it is me").ok(201);

    let rows = listed(&toy);
    assert_eq!((rows[1]["verified"].as_bool(), rows[1]["subject"].as_str()), (Some(true), Some("user-7")));
    assert_eq!((rows[0]["verified"].as_bool(), rows[0]["subject"].is_null()), (Some(false), true));
    let read = |visitor: &Visitor| {
        let path = format!("/v1/conversations/{}/messages", visitor.conversation);
        let page = toy.admin("GET", &path, &Value::Null).ok(200);
        (page.json["verified"].clone(), page.json["subject"].clone())
    };
    assert_eq!(read(&verified), (json!(true), json!("user-7")));
    assert_eq!(read(&unverified), (json!(false), json!(null)));
    // The visitor's own page has no use for it.
    let own = toy.visit(&verified, "GET", "messages", "").ok(200);
    assert!(own.json.get("subject").is_none() && own.json.get("verified").is_none(), "{}", own.text);

    // It lasts as long as the conversation: over a rotation, after the token's end, and when it is closed.
    toy.advance(3_600);
    let rotated = toy.visit(&verified, "POST", "secret/rotate", "").ok(201);
    let verified = Visitor { secret: rotated.text_at("history_secret"), ..verified };
    assert_eq!(read(&verified).0, true);
    toy.visit(&verified, "POST", "close", "").ok(200);
    assert_eq!(read(&verified).1, "user-7");
    assert_eq!(listed(&toy)[1]["verified"], true);
}

#[test]
fn what_proves_nothing_is_refused_with_its_code_and_opens_nothing() {
    let (toy, key, kid, secret) = shop();
    let (_, foreign) = {
        toy.workspace("other");
        toy.identity_secret("other")
    };
    let before = toy.snapshot().len();
    let good = sign(&secret, &claims("user-7"));
    let header = |kid: &str| json!({"alg": "HS256", "kid": kid}).to_string();
    let with_kid = |kid: &str, secret: &str| sign_parts(secret.as_bytes(), header(kid), claims("u").to_string());
    for (identity, hops, why) in [
        (String::new(), 1, "malformed"),
        ("x".to_owned(), 1, "malformed"),
        ("a.b.c".to_owned(), 1, "malformed"),
        ("user-7".to_owned(), 1, "malformed"),
        ("a\nb".to_owned(), 1, "malformed"),
        ("x".repeat(16_000), 1, "malformed"),
        (format!("{good} "), 1, "malformed"),
        (sign_parts(secret.as_bytes(), r#"{"alg":"none"}"#, claims("u").to_string()), 1, "malformed"),
        (format!("{}.{}.", part(r#"{"alg":"none"}"#), part(claims("u").to_string())), 1, "malformed"),
        // An HMAC of the user's id alone, as older widgets take it.
        ("b1fe4e395f1c729a481f80be7c02b8ce0efdfc37c04af310f5590b7f6223d4ff".to_owned(), 1, "malformed"),
        (forge(&good), 2, "forged"),
        (sign("", &claims("u")), 2, "forged"),
        (sign(&kid, &claims("u")), 2, "forged"),
        (sign(&key, &claims("u")), 2, "forged"),
        (sign(secret.trim_start_matches("clv_is_"), &claims("u")), 2, "forged"),
        (sign(&foreign, &claims("u")), 2, "forged"),
        (with_kid(&kid, &foreign), 2, "forged"),
        (with_kid("is_nobody", &secret), 2, "secret_unknown"),
        (with_kid("", &secret), 2, "secret_unknown"),
        (with_kid("../../acme", &secret), 2, "secret_unknown"),
        (with_kid(&"k".repeat(5_000), &secret), 2, "secret_unknown"),
        // The claims of a token that nobody signed are nobody's business.
        (sign("guess", &json!({"sub": "u"})), 2, "forged"),
        (sign("guess", &json!({"sub": "u", "aud": "other", "iat": 0, "exp": 1})), 2, "forged"),
    ] {
        let refused = open(&toy, &key, &json!(identity));
        refused.refused(401, "invalid_credential");
        assert_eq!((refused.hops, refused.log["reason"].as_str()), (hops, Some(format!("identity_{why}").as_str())));
        assert_eq!(refused.text_at("error"), "The visitor's identity is not valid.");
        assert_eq!(refused.header("access-control-allow-origin"), Some(ORIGIN), "the page may read why");
    }
    open(&toy, &key, &json!("x".repeat(100_000))).refused(413, "payload_too_large");
    toy.advance(600);
    let at = NOW + 600;
    let fresh = |changes: Value| {
        let mut claims = json!({"sub": "user-7", "aud": "acme", "iat": at, "exp": at + 600});
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    };
    token(&toy, &key, &secret, &fresh(json!({"exp": at, "iat": at - 600}))).refused(401, "expired_credential");
    token(&toy, &key, &secret, &claims("user-7")).refused(401, "expired_credential");
    token(&toy, &key, &secret, &fresh(json!({"aud": "other"}))).refused(403, "wrong_workspace");
    for (changes, says) in [
        (json!({"exp": at + 3_601}), "3600 seconds"),
        (json!({"exp": null}), "`iat` and `exp`"),
        (json!({"sub": ""}), "`sub`"),
        (json!({"aud": null}), "`aud`"),
        (json!({"iat": at + 61, "exp": at + 90}), "clock"),
    ] {
        let refused = token(&toy, &key, &secret, &fresh(changes));
        refused.refused(400, "invalid_request");
        assert_eq!(refused.text_at("error"), "`identity` is not valid.");
        assert!(refused.text_at("fix").contains(says), "{}", refused.text);
    }
    for wrong in [json!(7), json!(true), json!(["a"]), json!({"sub": "u"})] {
        let refused = open(&toy, &key, &wrong);
        refused.refused(400, "invalid_request");
        assert!(refused.text_at("error").contains("identity"), "{}", refused.text);
    }
    assert_eq!(toy.snapshot().len(), before, "no conversation");
    assert!(listed(&toy).is_empty());
    // Nobody is signed in: the page says so, or says nothing.
    assert_eq!(open(&toy, &key, &json!(null)).ok(201).json["verified"], false);
}

#[test]
fn a_stranger_pays_with_their_own_limit_before_anybody_looks_at_the_token() {
    let (toy, key, _, secret) = shop_in(Toy::new("default"));
    for _ in 0..10 {
        open(&toy, &key, &json!(sign("guess", &claims("u")))).refused(401, "invalid_credential");
    }
    let limited = token(&toy, &key, &secret, &claims("user-7"));
    limited.refused(429, "rate_limited");
    assert_eq!(limited.hops, 1);
    let elsewhere = toy.send(
        "POST",
        &format!("/w/{key}/conversations"),
        &[("origin", "https://evil.example")],
        &json!({"identity": sign(&secret, &claims("user-7"))}).to_string(),
    );
    elsewhere.refused(403, "origin_not_allowed");
}

#[test]
fn two_secrets_live_and_a_third_ends_the_oldest_at_once() {
    let (toy, key, first, secret) = shop();
    assert_eq!(count(&toy), 1);
    let path = "/v1/workspaces/acme/identity-secrets";
    let made = toy.admin("POST", path, &json!({})).ok(201);
    let (second, other) = (made.text_at("kid"), made.text_at("secret"));
    assert!(made.json.get("replaces").is_none(), "{}", made.text);
    assert_eq!(made.text_at("status"), "active");
    assert!(made.text_at("created_by").starts_with("deploy_key:dk_"));
    assert!(secret != other && first != second && count(&toy) == 2);
    // Both sign, with a `kid` and without.
    for (kid, secret) in [(&first, &secret), (&second, &other)] {
        token(&toy, &key, secret, &claims("u")).ok(201);
        let header = json!({"alg": "HS256", "kid": kid}).to_string();
        open(&toy, &key, &json!(sign_parts(secret.as_bytes(), header, claims("u").to_string()))).ok(201);
    }
    let third = toy.admin("POST", path, &json!({})).ok(201);
    assert_eq!(third.text_at("replaces"), first);
    token(&toy, &key, &secret, &claims("u")).refused(401, "invalid_credential");
    token(&toy, &key, &other, &claims("u")).ok(201);
    token(&toy, &key, &third.text_at("secret"), &claims("u")).ok(201);
    let state = |status: &str| status.to_owned();
    assert_eq!(
        secrets(&toy),
        [(third.text_at("kid"), state("active")), (second.clone(), state("active")), (first.clone(), state("revoked"))]
    );
    assert_eq!(count(&toy), 2);

    // One ends at once, once, and for good.
    let end = format!("{path}/{second}/revoke");
    let ended = toy.admin("POST", &end, &Value::Null).ok(200);
    toy.advance(9);
    assert_eq!(toy.admin("POST", &end, &Value::Null).ok(200).json, ended.json);
    assert_eq!(
        (ended.text_at("status"), ended.text_at("revoked_at")),
        (state("revoked"), state("2026-01-01T00:00:00.000Z"))
    );
    token(&toy, &key, &other, &claims("u")).refused(401, "invalid_credential");
    assert_eq!(count(&toy), 1);
    for absent in ["is_nobody", "..", &format!("{}A", &second[..second.len() - 1])] {
        toy.admin("POST", &format!("{path}/{absent}/revoke"), &Value::Null).refused(404, "not_found");
    }
    toy.admin("POST", "/v1/workspaces/other/identity-secrets", &Value::Null).refused(404, "not_found");
    toy.workspace("other");
    toy.admin("POST", &format!("/v1/workspaces/other/identity-secrets/{}/revoke", third.text_at("kid")), &Value::Null)
        .refused(404, "not_found");
    toy.admin("POST", path, &json!({"secret": "mine"})).refused(400, "invalid_request");
    // What has ended is remembered for people, and not without end.
    for _ in 0..20 {
        toy.identity_secret("acme");
    }
    assert_eq!((secrets(&toy).len(), count(&toy)), (10, 2));
}

#[test]
fn an_idempotency_key_makes_one_secret_and_shows_it_once() {
    let toy = Toy::new("default");
    toy.workspace("acme");
    let path = "/v1/workspaces/acme/identity-secrets";
    let deploy_key = toy.deploy_key();
    let make = |key: &str, body: &str| {
        toy.send("POST", path, &[("authorization", &deploy_key), ("idempotency-key", key)], body)
    };
    let made = make("k", "{}").ok(201);
    let again = make("k", "{}").ok(201);
    assert_eq!((again.header("idempotent-replayed"), again.json["secret_shown"].as_bool()), (Some("true"), Some(true)));
    assert!(again.json.get("secret").is_none() && again.text_at("kid") == made.text_at("kid"));
    make("k", "").refused(422, "idempotency_key_reused");
    make("", "{}").ok(201);
    make("\"", "{}").refused(400, "idempotency_key_invalid");
    assert_eq!(secrets(&toy).len(), 2);
}

#[test]
fn l6_nothing_of_an_identity_secret_or_a_token_is_stored_or_logged() {
    let (toy, key, _, secret) = shop();
    let text = sign(&secret, &claims("user-7"));
    open(&toy, &key, &json!(text)).ok(201);
    toy.identity_secret("acme");
    toy.identity_secret("acme");
    let tag = text.rsplit('.').next().unwrap();
    let issued = toy.issued.borrow();
    assert_eq!(issued.len(), 5, "a widget key, three identity secrets, a history secret");
    for (name, object) in toy.objects.borrow().iter() {
        for (row, value) in &object.rows {
            let stored = String::from_utf8_lossy(value);
            for secret in issued.iter().map(String::as_str).chain([tag]) {
                let end = &secret[secret.len() - 40..];
                assert!(!stored.contains(end) && !row.contains(end), "{name:?} {row}");
            }
        }
    }
    drop(issued);
    // Not in a URL either.
    let path = format!("/v1/conversations?workspace=acme&q={secret}");
    let refused = toy.admin("GET", &path, &Value::Null);
    assert_eq!(refused.code(), "invalid_request");
    toy.send("GET", "/v1/whoami", &[("authorization", &format!("Bearer {secret}"))], "")
        .refused(401, "invalid_credential");
}

#[test]
fn a_demoted_root_derives_none_of_its_identity_secrets() {
    let (toy, key, kid, secret) = shop();
    let visitor = visitor(&key, &token(&toy, &key, &secret, &claims("user-7")).ok(201));
    let with = |roots: &str| {
        let other = Toy::changed(&[("ROOT_SECRETS", roots)]);
        other.objects.borrow_mut().extend(toy.snapshot());
        other
    };
    let both = with(&format!("{OTHER_ROOT},{}", toy::ROOT));
    assert_eq!((secrets(&both), count(&both)), (vec![(kid.clone(), "active".to_owned())], 1));
    token(&both, &key, &secret, &claims("user-7")).ok(201);

    let demoted = with(&format!("{OTHER_ROOT},{}:check-only", toy::ROOT));
    assert_eq!((secrets(&demoted), count(&demoted)), (vec![(kid, "demoted".to_owned())], 0));
    let (_, fresh) = demoted.widget_key("acme", "live", &[ORIGIN]);
    let refused = token(&demoted, &fresh, &secret, &claims("user-7"));
    refused.refused(401, "invalid_credential");
    assert_eq!(refused.log["reason"], "identity_secret_unknown");
    demoted.visit(&visitor, "GET", "messages", "").refused(401, "invalid_credential");
    // What they proved before stays proven: the operator still sees it.
    assert_eq!(listed(&demoted)[0]["subject"], "user-7");
    let (_, next) = demoted.identity_secret("acme");
    token(&demoted, &fresh, &next, &claims("user-7")).ok(201);
}

#[test]
fn histories_never_merge() {
    let (toy, key, _, secret) = shop();
    let (_, test) = toy.widget_key("acme", "test", &[ORIGIN]);
    toy.workspace("other");
    let (_, other) = toy.widget_key("other", "live", &[ORIGIN]);
    let (_, foreign) = toy.identity_secret("other");
    let mut elsewhere = claims("user-7");
    elsewhere["aud"] = json!("other");
    // The same person, as far as `sub` says: in two tabs, unverified, in the other environment, in another workspace.
    let one = visitor(&key, &token(&toy, &key, &secret, &claims("user-7")).ok(201));
    let two = visitor(&key, &token(&toy, &key, &secret, &claims("user-7")).ok(201));
    let nobody = toy.open(&key);
    let tested = visitor(&test, &token(&toy, &test, &secret, &claims("user-7")).ok(201));
    let theirs = visitor(&other, &token(&toy, &other, &foreign, &elsewhere).ok(201));
    let all = [one, two, nobody, tested, theirs];
    for (at, visitor) in all.iter().enumerate() {
        toy.say(visitor, &format!("mine, {at}")).ok(201);
    }
    for (at, visitor) in all.iter().enumerate() {
        let rotated = toy.visit(visitor, "POST", "secret/rotate", "").ok(201);
        let visitor = Visitor { secret: rotated.text_at("history_secret"), ..visitor.clone() };
        assert_eq!(toy.hear(&visitor), [format!("mine, {at}")]);
        for (other, stranger) in all.iter().enumerate().filter(|(other, _)| *other != at) {
            let crossed = Visitor { conversation: stranger.conversation.clone(), ..visitor.clone() };
            assert_eq!(toy.visit(&crossed, "GET", "messages", "").status, 403, "{at} {other}");
            let crossed = Visitor { key: stranger.key.clone(), ..crossed };
            assert_eq!(toy.visit(&crossed, "GET", "messages", "").status, 403, "{at} {other}");
        }
        // An identity cannot be set or changed later.
        for (tail, body) in [
            ("messages", json!({"text": "x", "identity": sign(&secret, &claims("user-8"))})),
            ("messages", json!({"text": "x", "subject": "user-8"})),
            ("messages", json!({"text": "x", "verified": true})),
            ("secret/rotate", json!({"identity": sign(&secret, &claims("user-8"))})),
            ("close", json!({"identity": sign(&secret, &claims("user-8"))})),
        ] {
            toy.visit(&visitor, "POST", tail, &body.to_string()).refused(400, "invalid_request");
        }
    }
    let environment = |row: &Value| (row["environment"].clone(), row["subject"].clone(), row["verified"].clone());
    let rows: Vec<_> = listed(&toy).iter().map(environment).collect();
    assert_eq!(rows.iter().filter(|row| **row == (json!("live"), json!("user-7"), json!(true))).count(), 2);
    assert_eq!(rows.iter().filter(|row| **row == (json!("live"), json!(null), json!(false))).count(), 1);
    assert_eq!(rows.iter().filter(|row| **row == (json!("test"), json!("user-7"), json!(true))).count(), 1);
    assert_eq!(rows.len(), 4);
}

#[test]
fn where_identity_is_required_nobody_talks_without_one() {
    let toy = Toy::changed(&[("POLICY_TOML", "brand = \"clv\"\n[widget]\nidentity = \"required\"\n")]);
    let (_, key) = toy.shop();
    let (_, secret) = toy.identity_secret("acme");
    let before = toy.snapshot().len();
    for body in ["", "{}", "{\"identity\":null}"] {
        let refused = toy.send("POST", &format!("/w/{key}/conversations"), &[("origin", ORIGIN)], body);
        refused.refused(401, "missing_credential");
        assert!(refused.text_at("fix").contains("identity") && refused.hops == 1, "{}", refused.text);
        assert_eq!(refused.header("access-control-allow-origin"), Some(ORIGIN));
    }
    open(&toy, &key, &json!("")).refused(401, "invalid_credential");
    assert_eq!(toy.snapshot().len(), before, "no conversation");
    let visitor = visitor(&key, &token(&toy, &key, &secret, &claims("user-7")).ok(201));
    toy.say(&visitor, "hello").ok(201);
}

#[test]
fn the_policy_knows_two_rules_and_no_third() {
    let policy = |value: &str| {
        claviger::policy::parse(&format!("brand = \"clv\"\n[widget]\nidentity = {value}\n"))
            .map_err(|error| error.to_string())
    };
    assert!(policy("\"optional\"").is_ok() && policy("\"required\"").is_ok());
    for wrong in ["\"enforced\"", "\"\""] {
        assert_eq!(policy(wrong).err().unwrap(), "line 3: `identity` is \"optional\" or \"required\"");
    }
    assert_eq!(policy("true").err().unwrap(), "line 3: `identity` is a text");
}

#[test]
fn while_the_workspace_is_ill_a_signed_in_visitor_waits_and_nothing_is_believed() {
    let (toy, key, _, secret) = shop();
    let name = ("WORKSPACE".to_owned(), "acme".to_owned());
    for fault in [toy::Fault::Dead, toy::Fault::NoReads] {
        toy.faults.borrow_mut().insert(name.clone(), fault);
        token(&toy, &key, &secret, &claims("user-7")).refused(503, "unavailable");
    }
    toy.faults.borrow_mut().clear();
    assert!(listed(&toy).is_empty());
    token(&toy, &key, &secret, &claims("user-7")).ok(201);
}

#[test]
fn a_secret_in_use_outlives_any_number_of_others_that_came_and_went() {
    let toy = Toy::new("default");
    toy.workspace("acme");
    let make = || toy.admin("POST", "/v1/workspaces/acme/identity-secrets", &json!(null)).ok(201).text_at("kid");
    let kept = make();
    for _ in 0..15 {
        let path = format!("/v1/workspaces/acme/identity-secrets/{}/revoke", make());
        toy.admin("POST", &path, &json!({})).ok(200);
    }
    let listed = toy.admin("GET", "/v1/workspaces/acme/identity-secrets", &json!(null)).ok(200);
    let items = listed.json["items"].as_array().unwrap();
    assert!(items.len() <= 10);
    assert!(items.iter().any(|item| item["kid"] == kept.as_str() && item["status"] == "active"), "{}", listed.text);
}
