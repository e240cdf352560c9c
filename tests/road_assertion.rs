//! The assertion: what it says and for how long, which keys sign it over weeks, and who can verify it with what they fetched before.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod toy;

use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};
use claviger::{call::config::Config, value::id::Stage, world::isolate::Isolate};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey, signature::Verifier as _};
use proptest::prelude::*;
use serde_json::{Value, json};
use toy::{Answer, Fault, START, Toy, VARIABLES};

const POLICY: &str = r#"
brand = "clv"
[scopes]
"things:read" = "See things"
"things:write" = "Change things"
[[routes]]
match = "POST /v1/things"
accept = ["server_key", "service_token", "deploy_key"]
to = "upstream"
"#;
const UPSTREAM: &str = "http://api.internal:8080";
const OTHER_ROOT: &str = "r2:ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8";
const DAY: u64 = 86_400;

fn toy() -> Toy {
    Toy::changed(&[("POLICY_TOML", POLICY), ("UPSTREAM", UPSTREAM)])
}

fn text(bytes: &str) -> Value {
    serde_json::from_slice(&Base64UrlUnpadded::decode_vec(bytes).unwrap()).unwrap()
}

/// Header and claims, if a key of this set verifies them: as any library would.
fn verify(token: &str, set: &Value) -> Option<(Value, Value)> {
    let (unsigned, signature) = token.rsplit_once('.').unwrap();
    let (header, claims) = unsigned.split_once('.').unwrap();
    let (header, claims) = (text(header), text(claims));
    let key = set["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"])?;
    let coordinate = |name: &str| Base64UrlUnpadded::decode_vec(key[name].as_str().unwrap()).unwrap();
    let point = [vec![4], coordinate("x"), coordinate("y")].concat();
    let signature = Signature::from_slice(&Base64UrlUnpadded::decode_vec(signature).unwrap()).unwrap();
    VerifyingKey::from_sec1_bytes(&point).unwrap().verify(unsigned.as_bytes(), &signature).ok()?;
    Some((header, claims))
}

fn claims(token: &str) -> Value {
    text(token.split('.').nth(1).unwrap())
}

fn kid(token: &str) -> String {
    text(token.split('.').next().unwrap())["kid"].as_str().unwrap().to_owned()
}

fn kids(set: &Value) -> Vec<String> {
    set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

impl Toy {
    /// The published keys.
    fn set(&self) -> Value {
        self.send("GET", "/.well-known/jwks.json", &[], "").ok(200).json
    }

    /// A call that goes out.
    fn through(&self, authorization: &str) -> Answer {
        self.send("POST", "/v1/things", &[("authorization", authorization)], "{}")
    }

    /// The assertion that goes out with a call.
    #[track_caller]
    fn asserts(&self, authorization: &str) -> String {
        self.through(authorization).ok(200);
        let forwarded = self.forwarded.borrow();
        let all = &forwarded.last().unwrap().headers;
        let values: Vec<&String> =
            all.iter().filter(|(name, _)| name == "claviger-assertion").map(|(_, v)| v).collect();
        assert_eq!(values.len(), 1, "one assertion");
        values[0].clone()
    }

    /// A deploy key that lives for long.
    fn lasting_key(&self) -> String {
        format!("Convex {}", self.deploy_key_for(Stage::Dev, "local", 360 * DAY))
    }

    fn bearer(&self, members: &Value) -> (String, String) {
        let (id, key) = self.server_key("acme", "live", members);
        (id, format!("Bearer {key}"))
    }

    fn signings(&self) -> usize {
        self.jobs.borrow().iter().filter(|job| **job == "sign_p256").count()
    }

    fn rotate(&self, body: &Value) -> Answer {
        self.admin("POST", "/v1/assertion-keys/rotate", body)
    }

    /// The same deployment, served by a version with these root secrets.
    fn now_with(&mut self, roots: &str) {
        let mut variables = vec![("ROOT_SECRETS", roots), ("POLICY_TOML", POLICY), ("UPSTREAM", UPSTREAM)];
        variables.extend(VARIABLES);
        self.config = Config::parse(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        });
        assert!(self.config.is_ok());
        self.isolate.forget();
    }

    fn object(&self) -> toy::Name {
        ("DEPLOYMENT_OBJECT".to_owned(), "local".to_owned())
    }

    /// The rows of the keys.
    fn key_rows(&self) -> Vec<String> {
        let objects = self.objects.borrow();
        let rows = objects.get(&self.object()).into_iter().flat_map(|object| object.rows.keys());
        rows.filter(|key| key.starts_with("assertion-key/")).cloned().collect()
    }
}

#[test]
fn the_api_behind_is_told_who_asks_in_a_token_that_it_can_check() {
    let toy = toy();
    toy.workspace("acme");
    let (id, key) = toy.bearer(&json!({"scopes": ["things:read", "things:write"]}));
    toy.advance_millis(1_234);
    let token = toy.asserts(&key);
    let (header, claims) = verify(&token, &toy.set()).unwrap();
    let now = (START + 1_234) / 1_000;
    assert_eq!(header, json!({"alg": "ES256", "typ": "claviger-assertion+jwt", "kid": kid(&token)}));
    let expected = json!({
        "iss": "https://auth.example", "aud": UPSTREAM, "sub": id, "iat": now, "exp": now + 60, "kind": "server_key",
        "workspace": "acme", "environment": "live", "scope": "things:read things:write",
    });
    assert_eq!(claims, expected);
    // The headers beside it say the same.
    let sent = toy.forwarded.borrow().last().unwrap().clone();
    for (name, member) in [
        ("principal", "sub"),
        ("kind", "kind"),
        ("workspace", "workspace"),
        ("environment", "environment"),
        ("scopes", "scope"),
    ] {
        let value = sent.headers.iter().find(|(known, _)| *known == format!("claviger-{name}"));
        assert_eq!(value.map(|(_, value)| value.as_str()), claims[member].as_str(), "{name}");
    }
    // What a principal has not is left out.
    let (_, claims) = verify(&toy.asserts(&toy.lasting_key()), &toy.set()).unwrap();
    let mut names: Vec<&String> = claims.as_object().unwrap().keys().collect();
    names.sort_unstable();
    assert_eq!(names, ["aud", "exp", "iat", "iss", "kind", "sub"]);
    let (_, bare) = toy.bearer(&json!({"scopes": []}));
    assert!(verify(&toy.asserts(&bare), &toy.set()).unwrap().1.get("scope").is_none());
}

#[test]
fn what_comes_in_under_that_name_never_passes() {
    let toy = toy();
    let key = toy.lasting_key();
    let genuine = toy.asserts(&key);
    for name in ["claviger-assertion", "Claviger-Assertion", "claviger_assertion"] {
        let other = toy.lasting_key();
        let headers = [("authorization", other.as_str()), (name, genuine.as_str())];
        toy.send("POST", "/v1/things", &headers, "{}").ok(200);
        let sent = toy.forwarded.borrow().last().unwrap().clone();
        let all: Vec<_> = sent.headers.iter().filter(|(name, _)| name.contains("assertion")).collect();
        assert_eq!(all.len(), 1);
        assert_ne!(all[0].1, genuine);
    }
}

#[test]
fn equal_facts_are_signed_once_in_30_seconds_and_other_facts_at_once() {
    let toy = toy();
    toy.workspace("acme");
    let (id, key) = toy.bearer(&json!({"scopes": ["things:read"]}));
    let first = toy.asserts(&key);
    for _ in 0..20 {
        assert_eq!(toy.asserts(&key), first);
    }
    assert_eq!(toy.signings(), 1);
    toy.advance_millis(29_999);
    assert_eq!(toy.asserts(&key), first);
    toy.advance_millis(1);
    let second = toy.asserts(&key);
    assert_ne!(claims(&second)["iat"], claims(&first)["iat"]);
    assert_eq!(toy.signings(), 2);
    // Other facts of the same credential, in the same moment.
    toy.admin("PATCH", &format!("/v1/credentials/{id}"), &json!({"scopes": ["things:write"]})).ok(200);
    assert_eq!(claims(&toy.asserts(&key))["scope"], "things:write");
    // And what another isolate signed is nothing here.
    toy.isolate.forget();
    toy.asserts(&key);
    assert_eq!(toy.signings(), 4);
    // Of two credentials with the same scopes each is itself.
    let (other, other_key) = toy.bearer(&json!({"scopes": ["things:write"]}));
    assert_eq!(claims(&toy.asserts(&other_key))["sub"], json!(other));
    assert_eq!(claims(&toy.asserts(&key))["sub"], json!(id));
}

#[test]
fn a_lookup_is_all_that_a_call_costs_once_there_is_an_assertion() {
    let toy = toy();
    let key = toy.lasting_key();
    let first = toy.through(&key).ok(200);
    assert_eq!(*toy.jobs.borrow(), ["generate_p256", "seal_aes_256_gcm", "sign_p256"]);
    // The key's object; then the deployment's, which has no key, and takes the one that was made.
    assert_eq!(first.hops, 3);
    let again = toy.through(&key).ok(200);
    assert_eq!((again.hops, again.rounds, toy.jobs.borrow().len()), (1, 1, 3));
    // Another isolate fetches and opens it.
    toy.isolate.forget();
    assert_eq!(toy.through(&key).ok(200).hops, 2);
    assert_eq!(toy.jobs.borrow()[3..], ["open_aes_256_gcm", "sign_p256"]);
    // For a minute nobody asks the object.
    toy.advance(59);
    assert_eq!(toy.through(&key).ok(200).hops, 1);
    toy.advance(31);
    assert_eq!((toy.through(&key).ok(200).hops, toy.through(&key).ok(200).hops), (2, 1));
}

#[test]
fn a_clock_that_steps_back_never_yields_one_from_the_future_or_one_that_is_over() {
    let toy = toy();
    let key = toy.lasting_key();
    let sound = |toy: &Toy, token: &str| {
        let (now, claims) = (toy.now_millis(), claims(token));
        let (iat, exp) = (claims["iat"].as_u64().unwrap() * 1_000, claims["exp"].as_u64().unwrap() * 1_000);
        assert!(iat <= now && now + 29_000 < exp, "{iat} {now} {exp}");
        assert!(verify(token, &toy.set()).is_some());
    };
    toy.advance(100);
    sound(&toy, &toy.asserts(&key));
    for (back, on) in [(1, 0), (29, 3), (31, 200), (90, 1), (3_600, 10), (2 * DAY, 0)] {
        toy.advance(on);
        sound(&toy, &toy.asserts(&key));
        toy.advance(2 * DAY);
        sound(&toy, &toy.asserts(&key));
        toy.step_back(back);
        sound(&toy, &toy.asserts(&toy.lasting_key()));
        sound(&toy, &toy.asserts(&key));
    }
}

#[test]
fn without_a_key_nothing_goes_out() {
    let toy = toy();
    let key = toy.lasting_key();
    for fault in [Fault::Dead, Fault::NoReads, Fault::NoWrites] {
        toy.faults.borrow_mut().insert(toy.object(), fault);
        toy.through(&key).refused(503, "unavailable");
        toy.send("GET", "/.well-known/jwks.json", &[], "").refused(503, "unavailable");
    }
    toy.faults.borrow_mut().clear();
    toy.has_crypto.set(false);
    toy.through(&key).refused(503, "unavailable");
    toy.advance(1);
    toy.send("GET", "/.well-known/jwks.json", &[], "").refused(503, "unavailable");
    toy.has_crypto.set(true);
    assert!(toy.forwarded.borrow().is_empty());
    toy.asserts(&key);
    // The platform fails at a later one: what is known is no help, and nothing is taken for damage.
    toy.has_crypto.set(false);
    toy.advance(30);
    toy.through(&key).refused(503, "unavailable");
    toy.isolate.forget();
    toy.through(&key).refused(503, "unavailable");
    toy.has_crypto.set(true);
    toy.asserts(&key);
    assert_eq!((toy.forwarded.borrow().len(), toy.key_rows().len()), (2, 1));
}

#[test]
fn an_object_that_does_not_answer_is_missed_after_ten_minutes_and_not_asked_by_every_call() {
    let toy = toy();
    let key = toy.lasting_key();
    toy.asserts(&key);
    toy.faults.borrow_mut().insert(toy.object(), Fault::Dead);
    let hops = || -> usize { (0..50).map(|_| toy.through(&toy.lasting_key()).ok(200).hops).sum() };
    toy.advance(590);
    assert_eq!(hops(), 51, "one of fifty tried to fetch the keys again");
    toy.advance(4);
    assert_eq!(hops(), 50, "and the others leave it to that one for a while");
    toy.advance(5);
    assert_eq!(hops(), 51);
    toy.advance(1);
    toy.through(&toy.lasting_key()).refused(503, "unavailable");
    toy.faults.borrow_mut().clear();
    toy.asserts(&key);
}

#[test]
fn anybody_may_fetch_the_keys_before_there_is_one_and_nothing_private_is_among_them() {
    let toy = toy();
    let answer = toy.send("GET", "/.well-known/jwks.json", &[("origin", "https://any.example")], "").ok(200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("cache-control"), Some("public, max-age=60"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.log["route"], "GET /.well-known/jwks.json");
    let keys = answer.json["keys"].as_array().unwrap();
    assert_eq!((answer.json.as_object().unwrap().len(), keys.len()), (1, 1));
    let mut names: Vec<&String> = keys[0].as_object().unwrap().keys().collect();
    names.sort_unstable();
    assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
    for (name, value) in [("alg", "ES256"), ("crv", "P-256"), ("kty", "EC"), ("use", "sig")] {
        assert_eq!(keys[0][name], value);
    }
    let head = toy.send("HEAD", "/.well-known/jwks.json", &[], "").ok(200);
    assert_eq!((head.text.as_str(), head.header("cache-control")), ("", Some("public, max-age=60")));
    let preflight = toy.send("OPTIONS", "/.well-known/jwks.json", &[("origin", "https://any.example")], "").ok(204);
    assert_eq!(preflight.header("access-control-allow-methods"), Some("GET, HEAD"));
    toy.send("POST", "/.well-known/jwks.json", &[], "{}").refused(405, "method_not_allowed");
    assert!(verify(&toy.asserts(&toy.lasting_key()), &answer.json).is_some());
}

#[test]
fn a_flood_of_strangers_reaches_the_object_once_a_minute_and_a_dead_one_ten_times_a_second() {
    let toy = toy();
    let flood =
        |calls: usize| -> usize { (0..calls).map(|_| toy.send("GET", "/.well-known/jwks.json", &[], "").hops).sum() };
    assert_eq!(flood(200), 2, "one finds no key, and offers one");
    toy.advance(60);
    assert_eq!(flood(200), 1);
    toy.isolate.forget();
    toy.faults.borrow_mut().insert(toy.object(), Fault::Dead);
    assert_eq!(flood(200), 10);
    toy.advance_millis(999);
    assert_eq!(flood(200), 0);
    toy.advance_millis(1);
    assert_eq!(flood(200), 10);
    // Whoever has a credential is not held up by that.
    toy.faults.borrow_mut().clear();
    toy.asserts(&toy.lasting_key());
}

#[test]
fn two_isolates_that_both_find_no_key_use_the_same_one() {
    let mut toy = toy();
    let key = toy.lasting_key();
    toy.through(&key).ok(200);
    let rows = toy.key_rows();
    toy.objects.borrow_mut().get_mut(&toy.object()).unwrap().rows.remove(&rows[0]);
    toy.isolate.forget();
    // After the key's object and the deployment's were asked, and before its own pair is offered.
    let other = toy.lasting_key();
    toy.after_hops(2, move |toy| {
        toy.through(&other).ok(200);
    });
    let first = toy.asserts(&key);
    assert_eq!(toy.key_rows().len(), 1);
    let forwarded = toy.forwarded.borrow().clone();
    let meant: Vec<&str> = forwarded[1..]
        .iter()
        .flat_map(|call| &call.headers)
        .filter(|(name, _)| name == "claviger-assertion")
        .map(|(_, token)| token.as_str())
        .collect();
    assert_eq!(meant.len(), 2);
    assert_eq!(kid(meant[0]), kid(meant[1]));
    std::mem::take(&mut toy.isolate);
    assert!(verify(&first, &toy.set()).is_some());
    let audit = toy.admin("GET", "/v1/audit?action=assertion_key.create", &Value::Null).ok(200);
    assert_eq!(audit.json["items"].as_array().unwrap().len(), 2, "the first one, and the one that won");
}

#[test]
fn the_making_of_a_key_is_recorded_with_the_request_that_found_it_due() {
    let toy = toy();
    let token = toy.asserts(&toy.lasting_key());
    let audit = toy.admin("GET", "/v1/audit?action=assertion_key.create", &Value::Null).ok(200);
    let event = &audit.json["items"][0];
    assert_eq!((event["actor"].as_str(), event["request_id"].as_str()), (Some("deployment:local"), Some("req_toy")));
    assert_eq!((event["target"].as_str(), event["outcome"].as_str()), (Some(kid(&token).as_str()), Some("done")));
}

#[test]
fn a_key_signs_for_a_month_is_known_two_hours_before_and_for_two_hours_after() {
    let mut toy = toy();
    let key = toy.lasting_key();
    let first = kid(&toy.asserts(&key));
    toy.advance(30 * DAY - 1);
    assert_eq!((kid(&toy.asserts(&key)), kids(&toy.set())), (first.clone(), vec![first.clone()]));
    // Due: made by the next one that fetches them, and published.
    toy.advance(61);
    assert_eq!(kid(&toy.asserts(&key)), first);
    let both = kids(&toy.set());
    assert_eq!(both.len(), 2);
    let second = both[1].clone();
    toy.advance(7_199);
    assert_eq!(kid(&toy.asserts(&key)), first);
    toy.advance(30);
    assert_eq!(kid(&toy.asserts(&key)), second);
    // An isolate that is new, and one that knows the keys from before, agree.
    let known = std::mem::take(&mut toy.isolate);
    assert_eq!(kid(&toy.asserts(&key)), second);
    toy.isolate = known;
    toy.advance(7_199 - 30);
    assert_eq!(kids(&toy.set()), both);
    toy.advance(61);
    assert_eq!(
        (kids(&toy.set()), toy.key_rows().len()),
        (vec![second.clone()], 1),
        "the private part is deleted with it"
    );
    // Nobody called for months: the old one signs until its successor has been known for two hours.
    toy.advance(200 * DAY);
    assert_eq!(kid(&toy.asserts(&key)), second);
    assert_eq!(kids(&toy.set()).len(), 2);
    toy.advance(7_200);
    assert_ne!(kid(&toy.asserts(&key)), second);
}

#[derive(Clone, Debug)]
enum Event {
    Call,
    Fetch,
    Forget,
    RotateGently,
    ClockBack(u64),
}

fn events() -> impl Strategy<Value = Vec<(u64, usize, Event)>> {
    let gap = prop_oneof![4 => 0u64..400, 4 => 300u64..3_700, 1 => 3_600u64..DAY, 1 => DAY..31 * DAY];
    let event = prop_oneof![
        8 => Just(Event::Call),
        8 => Just(Event::Fetch),
        2 => Just(Event::Forget),
        2 => Just(Event::RotateGently),
        1 => (1u64..3).prop_map(Event::ClockBack),
    ];
    proptest::collection::vec((gap, 0usize..3, event), 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Three isolates, months, pauses of any length: whoever verifies may have fetched the keys an hour before, and have got
    /// an answer that a cache had for a minute.
    #[test]
    fn every_assertion_verifies_all_its_life_by_keys_that_were_fetched_an_hour_before(events in events()) {
        let mut toy = toy();
        let key = toy.lasting_key();
        let mut isolates: [Isolate; 3] = std::array::from_fn(|_| Isolate::default());
        let (mut fetched, mut made, mut spent) = (Vec::new(), Vec::new(), 0);
        for (gap, which, event) in events {
            spent += gap;
            if spent > 350 * DAY {
                break;
            }
            toy.advance(gap);
            std::mem::swap(&mut toy.isolate, &mut isolates[which]);
            match event {
                Event::Call => {
                    let token = toy.asserts(&key);
                    let (now, exp) = (toy.now_millis(), claims(&token)["exp"].as_u64().unwrap() * 1_000);
                    assert!(claims(&token)["iat"].as_u64().unwrap() * 1_000 <= now && now + 29_000 < exp);
                    made.push((now, token));
                }
                Event::Fetch => fetched.push((toy.now_millis(), toy.set())),
                Event::Forget => toy.isolate.forget(),
                Event::RotateGently => drop(toy.rotate(&json!({"keep_old": true})).ok(201)),
                Event::ClockBack(seconds) => toy.step_back(seconds),
            }
            std::mem::swap(&mut toy.isolate, &mut isolates[which]);
            prop_assert!(toy.key_rows().len() <= 4);
        }
        known_to_all(&made, &fetched);
    }
}

/// Assertions by when they went out, and sets by when they were fetched: no assertion meets a set in its life, be that an hour
/// old and a minute in a cache, that does not verify it. How many met.
#[track_caller]
fn known_to_all(made: &[(u64, String)], fetched: &[(u64, Value)]) -> usize {
    let mut met = 0;
    for (at, token) in made {
        let exp = claims(token)["exp"].as_u64().unwrap() * 1_000;
        for (since, set) in fetched.iter().filter(|(since, _)| at.saturating_sub(3_660_000) <= *since && *since <= exp)
        {
            assert!(verify(token, set).is_some(), "made at {at}, fetched at {since}");
            met += 1;
        }
    }
    met
}

#[test]
fn when_one_key_follows_another_nobody_who_verifies_notices() {
    let mut toy = toy();
    let key = toy.lasting_key();
    let mut other = Isolate::default();
    let (mut fetched, mut made) = (Vec::new(), Vec::new());
    toy.asserts(&key);
    toy.advance(30 * DAY - 3_600);
    for _ in 0..100 {
        toy.advance(311);
        std::mem::swap(&mut toy.isolate, &mut other);
        made.push((toy.now_millis(), toy.asserts(&key)));
        fetched.push((toy.now_millis(), toy.set()));
    }
    let mut signed: Vec<String> = made.iter().map(|(_, token)| kid(token)).collect();
    signed.dedup();
    assert_eq!(signed.len(), 2, "one followed the other, once");
    assert!(known_to_all(&made, &fetched) > 1_000);
}

#[test]
fn a_leaked_key_is_replaced_at_once_and_published_no_more() {
    let mut toy = toy();
    let key = toy.lasting_key();
    let first = kid(&toy.asserts(&key));
    let other = std::mem::take(&mut toy.isolate);
    toy.asserts(&key);
    let answer = toy.rotate(&Value::Null).ok(201);
    let second = answer.text_at("kid");
    assert_eq!(
        (answer.text_at("signs_from"), answer.json["published"].clone()),
        (answer.text_at("created_at"), json!([second]))
    );
    // Here at once; on another isolate within a minute, even where an assertion was made by the old one a moment ago.
    assert_eq!((kid(&toy.asserts(&key)), kids(&toy.set())), (second.clone(), vec![second.clone()]));
    toy.isolate = other;
    assert_eq!(kid(&toy.asserts(&key)), first);
    toy.advance(60);
    assert_eq!((kids(&toy.set()), kid(&toy.asserts(&key))), (vec![second.clone()], second.clone()));
    assert_eq!(toy.key_rows(), [format!("assertion-key/{second}")]);
    let audit = toy.admin("GET", "/v1/audit?action=assertion_key.rotate", &Value::Null).ok(200);
    let event = &audit.json["items"][0];
    assert!(event["actor"].as_str().unwrap().starts_with("deploy_key:dk_"));
    assert_eq!(
        (event["target"].as_str(), event["reason"].as_str()),
        (Some(second.as_str()), Some("the others were withdrawn"))
    );
    assert_eq!(answer.log["route"], "POST /v1/assertion-keys/rotate");
}

#[test]
fn a_rotation_that_keeps_the_old_key_is_an_early_one_and_the_same_when_repeated() {
    let toy = toy();
    let key = toy.lasting_key();
    let first = kid(&toy.asserts(&key));
    let answer = toy.rotate(&json!({"keep_old": true})).ok(201);
    let second = answer.text_at("kid");
    assert_eq!(answer.json["published"], json!([first, second]));
    let again = toy.rotate(&json!({"keep_old": true})).ok(201);
    assert_eq!(again.json, answer.json);
    let audit = toy.admin("GET", "/v1/audit?action=assertion_key.rotate", &Value::Null).ok(200);
    assert_eq!(audit.json["items"].as_array().unwrap().len(), 1);
    assert_eq!(kid(&toy.asserts(&key)), first);
    toy.advance(7_200);
    assert_eq!(kid(&toy.asserts(&key)), second);
    // A bad one that waits for its turn goes with the others.
    toy.rotate(&json!({"keep_old": true})).ok(201);
    let third = toy.rotate(&json!({"keep_old": false})).ok(201).text_at("kid");
    assert_eq!((kids(&toy.set()), kid(&toy.asserts(&key))), (vec![third.clone()], third));
    // In a deployment that has none yet, either makes the first.
    let toy = self::toy();
    let made = toy.rotate(&json!({"keep_old": true})).ok(201);
    assert_eq!(made.text_at("signs_from"), made.text_at("created_at"));
    assert_eq!(kid(&toy.asserts(&toy.lasting_key())), made.text_at("kid"));
}

#[test]
fn a_rotation_is_a_deploy_keys_and_says_what_it_does_not_know() {
    let toy = toy();
    toy.workspace("acme");
    for body in [json!({"keep_old": "yes"}), json!({"keep_old": 1}), json!({"keep": true}), json!({"keep_old": [true]})]
    {
        toy.rotate(&body).refused(400, "invalid_request");
    }
    toy.rotate(&json!({"keep_old": null})).ok(201);
    let (_, key) = toy.server_key("acme", "live", &json!({"scopes": []}));
    toy.server(&key, "POST", "/v1/assertion-keys/rotate", &json!({})).refused(403, "credential_kind_not_allowed");
    toy.send("POST", "/v1/assertion-keys/rotate", &[], "{}").refused(401, "missing_credential");
    toy.admin("GET", "/v1/assertion-keys/rotate", &Value::Null).refused(405, "method_not_allowed");
    let rows = toy.key_rows();
    for fault in [Fault::Dead, Fault::NoWrites] {
        toy.faults.borrow_mut().insert(toy.object(), fault);
        toy.rotate(&json!({})).refused(503, "unavailable");
    }
    toy.faults.borrow_mut().clear();
    assert_eq!(toy.key_rows(), rows);
}

#[test]
fn under_a_demoted_root_or_without_it_no_key_is_opened_and_another_one_signs_at_once() {
    let root = VARIABLES[0].1;
    for after in [format!("{OTHER_ROOT},{root}:check-only"), OTHER_ROOT.to_owned()] {
        let mut toy = toy();
        let first = kid(&toy.asserts(&toy.lasting_key()));
        toy.rotate(&json!({"keep_old": true})).ok(201);
        toy.advance(61);
        toy.now_with(&after);
        let before = toy.jobs.borrow().len();
        let set = toy.set();
        let token = toy.asserts(&toy.lasting_key());
        assert!(verify(&token, &set).is_some());
        assert_ne!(kid(&token), first);
        // Also the one that waited for its turn: what was sealed under a leaked secret may be anybody's.
        assert_eq!((kids(&set), toy.key_rows().len()), (vec![kid(&token)], 1));
        assert!(!toy.jobs.borrow()[before..].contains(&"open_aes_256_gcm"));
    }
}

#[test]
fn a_second_root_takes_the_keys_over_in_their_time_so_that_the_first_can_go() {
    let root = VARIABLES[0].1;
    let mut toy = toy();
    let first = kid(&toy.asserts(&toy.lasting_key()));
    toy.now_with(&format!("{OTHER_ROOT},{root}"));
    toy.advance(1);
    assert_eq!(kid(&toy.asserts(&toy.lasting_key())), first);
    let set = toy.set();
    assert_eq!(kids(&set).len(), 2);
    toy.advance(7_200);
    toy.now_with(OTHER_ROOT);
    assert!(verify(&toy.asserts(&toy.lasting_key()), &set).is_some());
}

#[test]
fn two_versions_without_a_root_in_common_do_not_replace_each_others_keys_without_end() {
    let root = VARIABLES[0].1;
    let mut toy = toy();
    toy.asserts(&toy.lasting_key());
    toy.advance(61);
    toy.now_with(OTHER_ROOT);
    let second = kid(&toy.asserts(&toy.lasting_key()));
    for _ in 0..5 {
        toy.advance(10);
        toy.now_with(root);
        toy.through(&toy.lasting_key()).refused(503, "unavailable");
        toy.now_with(OTHER_ROOT);
        assert_eq!(kid(&toy.asserts(&toy.lasting_key())), second);
    }
}

#[test]
fn a_key_of_another_deployment_or_stage_does_not_open_here() {
    let toy = toy();
    let first = kid(&toy.asserts(&toy.lasting_key()));
    for (name, value) in [("DEPLOYMENT", "other"), ("STAGE", "staging")] {
        let other = Toy::changed(&[(name, value), ("POLICY_TOML", POLICY), ("UPSTREAM", UPSTREAM)]);
        let place = if name == "DEPLOYMENT" { "other" } else { "local" };
        let rows = toy.objects.borrow()[&toy.object()].clone();
        other.objects.borrow_mut().insert(("DEPLOYMENT_OBJECT".to_owned(), place.to_owned()), rows);
        other.advance(61);
        let (stage, deployment) = if name == "STAGE" { (Stage::Staging, "local") } else { (Stage::Dev, "other") };
        let key = format!("Convex {}", other.deploy_key_for(stage, deployment, 3_600));
        assert_ne!(kid(&other.asserts(&key)), first, "{name}");
    }
}

#[test]
fn i19_a_damaged_row_closes_that_key_and_nothing_else() {
    let toy = toy();
    let key = toy.lasting_key();
    let first = kid(&toy.asserts(&key));
    let row = toy.key_rows().remove(0);
    let whole = toy.objects.borrow()[&toy.object()].clone();
    let bytes = whole.rows[&row].clone();
    toy.advance(61);
    for at in (0..bytes.len()).step_by(7).chain([bytes.len() - 1]) {
        toy.isolate.forget();
        let mut object = whole.clone();
        object.rows.get_mut(&row).unwrap()[at] ^= 1;
        toy.objects.borrow_mut().insert(toy.object(), object);
        let token = toy.asserts(&key);
        assert!(verify(&token, &toy.set()).is_some(), "byte {at}");
    }
    // Of two, the other one signs on.
    toy.objects.borrow_mut().insert(toy.object(), whole.clone());
    toy.isolate.forget();
    let second = toy.rotate(&json!({"keep_old": true})).ok(201).text_at("kid");
    toy.advance(7_200);
    assert_eq!(kid(&toy.asserts(&key)), second);
    toy.objects.borrow_mut().get_mut(&toy.object()).unwrap().rows.insert(format!("assertion-key/{second}"), vec![0xff]);
    toy.isolate.forget();
    assert_eq!(kid(&toy.asserts(&toy.lasting_key())), first);
    // A rotation takes the damaged ones with it.
    let third = toy.rotate(&Value::Null).ok(201).text_at("kid");
    assert_eq!(toy.key_rows(), [format!("assertion-key/{third}")]);
}

#[test]
fn l6_the_private_key_stands_in_no_row_no_answer_and_no_log() {
    let toy = toy();
    let key = toy.lasting_key();
    let mut said = String::new();
    for _ in 0..3 {
        let answer = toy.rotate(&json!({})).ok(201);
        said += &(answer.text + &answer.log.to_string());
        let call = toy.through(&key).ok(200);
        said += &(call.text + &call.log.to_string() + &toy.set().to_string());
    }
    said += &toy.admin("GET", "/v1/audit/export", &Value::Null).ok(200).text;
    said += &format!("{:?}", toy.forwarded.borrow());
    let rows: Vec<u8> =
        toy.objects.borrow().values().flat_map(|object| object.rows.values().flatten().copied()).collect();
    // The toy's private keys are one number 32 times. These were made here: their public halves were published.
    for number in 1..=4u8 {
        let secret = [number; 32];
        let public = SigningKey::from_slice(&secret).unwrap().verifying_key().to_sec1_point(false);
        assert_eq!(said.contains(&Base64UrlUnpadded::encode_string(&public.as_bytes()[1..33])), number < 4);
        // As bytes, or as the list of small numbers that a row has.
        assert!(!rows.windows(32).any(|run| run == secret), "in a row");
        for text in [Base64UrlUnpadded::encode_string(&secret), Base64::encode_string(&secret)] {
            let core = &text[2..40];
            assert!(!said.contains(core) && !String::from_utf8_lossy(&rows).contains(core), "{number}");
        }
    }
}
