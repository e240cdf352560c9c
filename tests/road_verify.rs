//! `POST /v1/verify`: what whoever asks about a credential is told, what that costs, and what they never apply.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod toy;

use claviger::value::id::Stage;
use serde_json::{Value, json};
use toy::{Answer, Fault, ORIGIN, Toy, forge};

const POLICY: &str = r#"
brand = "gs"
[scopes]
"prompts:read" = "Read prompts"
"prompts:write" = "Change prompts"
verify = "Ask about credentials"
admin = { says = "Everything", implies = "*" }
[tiers.free]
requests = { limit = 60, window_seconds = 60 }
[tiers.small]
requests = { limit = 2, window_seconds = 60 }
[tiers.words]
requests = { limit = 60, window_seconds = 60 }
tokens = { limit = 1_000, window_seconds = 60 }
[widget]
[[routes]]
match = "POST /v1/completions"
accept = ["server_key", "deploy_key"]
to = "upstream"
tokens = { reserve = "max_tokens", settle = "usage.total_tokens" }
[[routes]]
match = "GET /v1/prompts/{id}"
scope = "prompts:read"
accept = ["server_key", "service_token", "deploy_key"]
to = "upstream"
[[routes]]
match = "DELETE /v1/prompts/{id}"
accept = ["deploy_key"]
to = "upstream"
[[routes]]
match = "POST /v1/prompts"
scope = "prompts:write"
accept = ["server_key", "deploy_key"]
to = "upstream"
review = true
"#;

fn toy() -> Toy {
    let toy = Toy::changed(&[("POLICY_TOML", POLICY), ("UPSTREAM", "https://api.example")]);
    toy.workspace("acme");
    toy.workspace("other");
    toy
}

impl Toy {
    /// The operator asks.
    fn verify(&self, question: &Value) -> Answer {
        self.send("POST", "/v1/verify", &[("authorization", &self.deploy_key())], &question.to_string())
    }

    /// A server of a workspace asks.
    fn verify_as(&self, key: &str, question: &Value) -> Answer {
        self.server(key, "POST", "/v1/verify", question)
    }

    fn usage_of(&self, id: &str) -> Value {
        let usage = self.admin("GET", &format!("/v1/credentials/{id}/usage"), &Value::Null).ok(200);
        json!([usage.json["total"], usage.json["denied"]])
    }
}

/// It says no, with this code.
#[track_caller]
fn no(answer: &Answer, code: &str) {
    assert_eq!((answer.status, answer.code()), (200, code), "{}", answer.text);
    assert_eq!(answer.json["allowed"], false);
}

#[track_caller]
fn yes(answer: &Answer) {
    assert_eq!((answer.status, &answer.json["allowed"], answer.code()), (200, &json!(true), ""), "{}", answer.text);
}

#[test]
fn the_answer_says_who_it_is_how_much_is_left_and_by_which_steps() {
    let toy = toy();
    let (id, key) = toy.server_key("acme", "live", &json!({"scopes": ["prompts:read"], "expires_in": 3600}));
    let told = toy.verify(&json!({"credential": key, "method": "GET", "path": "/v1/prompts/1?a=b"}));
    yes(&told);
    let hint = format!("gs_live_…{}", &key[key.len() - 4..]);
    assert_eq!(
        told.json,
        json!({
            "allowed": true,
            "principal": {
                "kind": "server_key", "id": id, "workspace": "acme", "environment": "live", "scopes": ["prompts:read"],
                "tier": "free", "expires_at": "2026-01-01T01:00:00.000Z",
            },
            "limits": [{
                "name": "requests", "limit": 60, "window_seconds": 60, "remaining": 59, "reset_at": told.json["limits"][0]["reset_at"],
            }],
            "trace": [
                {"step": "parse", "outcome": "passed", "compared": {"route": "GET /v1/prompts/{id}"}},
                {"step": "authenticate", "outcome": "passed", "compared": {"kind": "server_key", "hint": hint}},
                {"step": "authorize", "outcome": "passed", "compared": {
                    "kind": "server_key", "accepts": ["server_key", "service_token", "deploy_key"], "needs": ["prompts:read"],
                    "holds": ["prompts:read"],
                }},
                {"step": "meter", "outcome": "passed", "compared": {"requests": 1}},
            ],
        })
    );
    assert_eq!((told.hops, told.log["target"].as_str()), (2, Some(id.as_str())));
    assert_eq!((told.log["route"].as_str(), told.log["workspace"].as_str()), (Some("POST /v1/verify"), Some("acme")));
    assert_eq!(toy.whoami(&key).header("x-ratelimit-remaining"), Some("58"));
    assert_eq!(toy.forwarded.borrow().len(), 0);
}

#[test]
fn a_refusal_tells_which_step_said_no_and_what_it_compared() {
    let toy = toy();
    let (id, key) = toy.server_key("acme", "live", &json!({"scopes": ["prompts:write"]}));
    let told = toy.verify(&json!({"credential": key, "method": "GET", "path": "/v1/prompts/1"}));
    no(&told, "insufficient_scope");
    assert_eq!((&told.json["principal"]["id"], &told.json["limits"]), (&json!(id), &json!([])));
    let steps: Vec<&Value> = told.json["trace"].as_array().unwrap().iter().map(|step| &step["outcome"]).collect();
    assert_eq!(steps, ["passed", "passed", "refused", "skipped"]);
    assert_eq!(told.json["trace"][2]["compared"]["needs"], json!(["prompts:read"]));
    assert_eq!(told.json["trace"][2]["compared"]["holds"], json!(["prompts:write"]));
    // A write under review is not for whoever asks: only the write itself can wait for a person.
    let told = toy.verify(&json!({"credential": key, "method": "POST", "path": "/v1/prompts"}));
    no(&told, "review_required");
    let steps: Vec<&Value> = told.json["trace"].as_array().unwrap().iter().map(|step| &step["outcome"]).collect();
    assert_eq!(steps, ["passed", "passed", "refused", "passed"]);
    assert_eq!(told.json["limits"][0]["remaining"], 59);
    let told = toy.verify(&json!({"credential": key, "method": "GET", "path": "/v1/nowhere"}));
    no(&told, "not_found");
    assert_eq!(
        (&told.json["principal"], &told.json["trace"][0]),
        (&Value::Null, &json!({"step": "parse", "outcome": "refused", "compared": {}}))
    );
    let told = toy.verify(&json!({"credential": toy.open(&toy.widget_key("acme", "live", &[ORIGIN]).1).secret, "method": "POST", "path": "/v1/prompts"}));
    no(&told, "credential_kind_not_allowed");
    let steps: Vec<&Value> = told.json["trace"].as_array().unwrap().iter().map(|step| &step["outcome"]).collect();
    assert_eq!(
        (steps, told.hops),
        (
            ["passed", "skipped", "refused", "skipped"]
                .iter()
                .map(|text| json!(text))
                .collect::<Vec<_>>()
                .iter()
                .collect(),
            1
        )
    );
}

#[test]
fn p6_forged_unknown_and_misplaced_credentials_look_alike_and_cost_as_little_as_on_the_road() {
    let toy = toy();
    let (_, key) = toy.server_key("acme", "live", &Value::Null);
    let (_, token) = toy.service_token("acme", "live", "billing", &Value::Null);
    let elsewhere = Toy::changed(&[("POLICY_TOML", POLICY)]);
    elsewhere.workspace("acme");
    elsewhere.load(3, 77);
    // Genuine by its check, and never made here.
    let (_, unknown) = elsewhere.server_key("acme", "live", &Value::Null);
    let ask =
        |credential: &str| toy.verify(&json!({"credential": credential, "method": "GET", "path": "/v1/prompts/1"}));
    let forged = ask(&forge(&key));
    no(&forged, "invalid_credential");
    assert_eq!((forged.hops, &forged.json["principal"]), (1, &Value::Null));
    for credential in [unknown.as_str(), "", "x", "hunter2", &token] {
        let told = ask(credential);
        assert_eq!((&told.json, told.status), (&forged.json, 200), "{credential}");
    }
    assert_eq!(ask(&unknown).hops, 2, "its object was asked");
    no(&ask("a, b"), "ambiguous_credential");
    no(&ask(&"a".repeat(9_000)), "header_too_large");
}

#[test]
fn what_is_asked_about_is_counted_and_so_is_the_question() {
    let toy = toy();
    let (_, asker) = toy.server_key("acme", "live", &json!({"scopes": ["admin"], "tier": "free"}));
    let (id, key) = toy.server_key("acme", "live", &json!({"scopes": ["prompts:read"], "tier": "small"}));
    let question = json!({"credential": key, "method": "GET", "path": "/v1/prompts/1"});
    for remaining in ["59", "58"] {
        let told = toy.verify_as(&asker, &question);
        yes(&told);
        assert_eq!(told.header("x-ratelimit-remaining"), Some(remaining));
    }
    let told = toy.verify_as(&asker, &question);
    no(&told, "rate_limited");
    assert_eq!((told.header("x-ratelimit-remaining"), told.header("retry-after")), (Some("57"), None));
    assert_eq!((&told.json["limits"][0]["remaining"], &told.json["principal"]["id"]), (&json!(0), &json!(id)));
    let seconds = told.json["retry_after"].as_u64().unwrap();
    toy.server(&key, "GET", "/v1/prompts/1", &Value::Null).refused(429, "rate_limited");
    toy.advance(seconds);
    yes(&toy.verify_as(&asker, &question));
    toy.advance(10);
    assert_eq!(toy.usage_of(&id), json!([3, 2]));
    for _ in 0..70 {
        toy.verify_as(&asker, &json!({"credential": "x"}));
    }
    toy.verify_as(&asker, &json!({"credential": "x"})).refused(429, "rate_limited");
}

#[test]
fn a_server_key_with_admin_a_service_with_verify_and_a_deploy_key_may_ask() {
    let toy = toy();
    let (_, key) = toy.server_key("acme", "live", &json!({"scopes": ["prompts:read"]}));
    let question = json!({"credential": key});
    for (scope, status) in [("admin", 200), ("verify", 403), ("prompts:read", 403)] {
        let (_, asker) = toy.server_key("acme", "live", &json!({"scopes": [scope]}));
        assert_eq!(toy.verify_as(&asker, &question).status, status, "server key with {scope}");
    }
    for (scope, status) in [("admin", 200), ("verify", 200), ("prompts:read", 403)] {
        let (_, asker) = toy.service_token("acme", "live", "edge", &json!({"scopes": [scope]}));
        let headers = [("x-service-token", asker.as_str()), ("x-service-name", "edge")];
        let answer = toy.send("POST", "/v1/verify", &headers, &question.to_string());
        assert_eq!(answer.status, status, "service token with {scope}");
    }
    yes(&toy.verify(&question));
    toy.send("POST", "/v1/verify", &[], &question.to_string()).refused(401, "missing_credential");
    toy.send("GET", "/v1/verify", &[], "").refused(405, "method_not_allowed");
    // A policy without a scope of that name: whoever holds everything.
    let toy = Toy::new("llm");
    toy.workspace("acme");
    for (scope, status) in [("admin", 200), ("usage:read", 403)] {
        let (_, asker) = toy.service_token("acme", "live", "edge", &json!({"scopes": [scope]}));
        let headers = [("x-service-token", asker.as_str()), ("x-service-name", "edge")];
        assert_eq!(toy.send("POST", "/v1/verify", &headers, "{\"credential\":\"x\"}").status, status, "{scope}");
    }
}

#[test]
fn p2_a_workspace_learns_nothing_of_what_is_anothers_and_nothing_is_counted_there() {
    let toy = toy();
    let (_, asker) = toy.server_key("acme", "live", &json!({"scopes": ["admin"]}));
    let admin = json!({"scopes": ["admin"]});
    let (theirs, revoked) = (toy.server_key("other", "live", &admin), toy.server_key("other", "live", &admin));
    toy.admin("POST", &format!("/v1/credentials/{}/revoke", revoked.0), &json!({})).ok(200);
    let token = toy.service_token("other", "live", "billing", &Value::Null);
    let widget_key = toy.widget_key("other", "live", &[ORIGIN]);
    let visitor = toy.open(&widget_key.1);
    let deploy_key = toy.deploy_key_for(Stage::Dev, "local", 60);
    let test_key = toy.server_key("acme", "test", &admin);
    let test_widget = toy.widget_key("acme", "test", &[ORIGIN]);
    yes(&toy.verify_as(&asker, &json!({"credential": toy.server_key("acme", "live", &Value::Null).1})));
    let before = toy.snapshot();
    let answers: Vec<Value> = [
        (&theirs.1, "wrong_workspace"),
        (&revoked.1, "wrong_workspace"),
        (&token.1, "wrong_workspace"),
        (&widget_key.1, "wrong_workspace"),
        (&visitor.secret, "wrong_workspace"),
        (&deploy_key, "wrong_workspace"),
        (&test_key.1, "wrong_environment"),
        (&test_widget.1, "wrong_environment"),
    ]
    .into_iter()
    .flat_map(|(credential, code)| {
        let alone = json!({"credential": credential, "service": "billing"});
        let scope = json!({"credential": credential, "scope": "prompts:write"});
        let browser = json!({"credential": credential, "origin": ORIGIN});
        let routed = json!({
            "credential": credential, "service": "billing", "origin": ORIGIN, "method": "GET", "path": "/v1/prompts/1",
        });
        // A kind that the route does not take, from a page: its own object would be told.
        let declined = json!({
            "credential": credential, "service": "billing", "origin": ORIGIN, "method": "DELETE", "path": "/v1/prompts/1",
        });
        [alone, scope, browser, routed, declined].map(|question| {
            let told = toy.verify_as(&asker, &question);
            no(&told, code);
            assert_eq!((&told.json["principal"], &told.json["limits"]), (&Value::Null, &json!([])), "{question}");
            assert_eq!(told.log["target"], Value::Null);
            assert_eq!(told.log["workspace"], "acme");
            told.json
        })
    })
    .collect();
    // Every answer of one code is the same, whatever was asked about: but for the route in question.
    for code in ["wrong_workspace", "wrong_environment"] {
        for route in [json!(null), json!("GET /v1/prompts/{id}"), json!("DELETE /v1/prompts/{id}")] {
            let same: Vec<&Value> = answers
                .iter()
                .filter(|told| told["code"] == code && told["trace"][0]["compared"]["route"] == route)
                .collect();
            assert!(same.len() > 1 && same.iter().all(|told| *told == same[0]), "{same:?}");
        }
    }
    let after = toy.snapshot();
    let changed: Vec<_> =
        after.iter().filter(|(name, object)| before.get(name).map(|known| &known.rows) != Some(&object.rows)).collect();
    // The asker's own object counts its own calls, and its workspace knows of that. Nothing else was touched.
    assert!(
        changed.iter().all(|((_, name), _)| name.starts_with("sk_live_") || name == "acme"),
        "{:?}",
        changed.iter().map(|(name, _)| name).collect::<Vec<_>>()
    );
    assert!(changed.len() <= 2, "{}", changed.len());
    toy.advance(10);
    assert_eq!(toy.usage_of(&theirs.0), json!([0, 0]));
    assert_eq!(
        toy.admin("GET", &format!("/v1/credentials/{}", theirs.0), &Value::Null).json["seen_in_browser"],
        Value::Null
    );
    // The operator is bound to nothing.
    yes(&toy.verify(&json!({"credential": theirs.1})));
    no(&toy.verify(&json!({"credential": revoked.1})), "revoked_credential");
    yes(&toy.verify(&json!({"credential": test_key.1})));
}

#[test]
fn without_a_call_it_is_whether_the_credential_is_genuine_and_lives() {
    let toy = toy();
    let (key_id, key) = toy.server_key("acme", "live", &Value::Null);
    let (_, token) = toy.service_token("acme", "live", "billing", &Value::Null);
    let (widget_id, widget_key) = toy.widget_key("acme", "live", &[ORIGIN]);
    let visitor = toy.open(&widget_key);
    let deploy_key = toy.deploy_key_for(Stage::Dev, "local", 60);
    yes(&toy.verify(&json!({"credential": key, "tokens": 0, "method": null})));
    yes(&toy.verify(&json!({"credential": token, "service": "billing"})));
    let told = toy.verify(&json!({"credential": widget_key, "origin": ORIGIN}));
    yes(&told);
    assert_eq!(
        (&told.json["principal"]["kind"], &told.json["principal"]["id"]),
        (&json!("widget_key"), &json!(widget_id))
    );
    assert_eq!(told.json["trace"][3]["compared"]["requests"], 0);
    let told = toy.verify(&json!({"credential": visitor.secret}));
    // Alone it opens nothing, and whether the widget key beside it lives nobody was asked.
    no(&told, "credential_kind_not_allowed");
    let told = toy.verify(&json!({"credential": deploy_key}));
    yes(&told);
    assert_eq!(
        (&told.json["principal"]["kind"], &told.json["principal"]["workspace"]),
        (&json!("deploy_key"), &Value::Null)
    );
    let hint = told.json["trace"][1]["compared"]["hint"].as_str().unwrap();
    assert!(hint.starts_with("dev:local|gs_dk_…") && hint.chars().count() == "dev:local|gs_dk_…".chars().count() + 4);

    yes(&toy.verify(&json!({"credential": widget_key})));
    for origin in ["https://a.example", "null", "x"] {
        no(&toy.verify(&json!({"credential": widget_key, "origin": origin})), "origin_not_allowed");
    }
    no(&toy.verify(&json!({"credential": token, "service": "another"})), "invalid_credential");
    let elsewhere = toy.deploy_key_for(Stage::Prod, "local", 60);
    no(&toy.verify(&json!({"credential": elsewhere})), "wrong_stage");
    for id in [&key_id, &widget_id] {
        toy.admin("POST", &format!("/v1/credentials/{id}/revoke"), &json!({})).ok(200);
    }
    no(&toy.verify(&json!({"credential": widget_key, "origin": ORIGIN})), "revoked_credential");
    let told = toy.verify(&json!({"credential": key}));
    no(&told, "revoked_credential");
    assert_eq!((&told.json["principal"]["id"], &told.json["principal"]["tier"]), (&json!(key_id), &json!("free")));
    toy.advance(60);
    no(&toy.verify(&json!({"credential": deploy_key})), "expired_credential");
}

#[test]
fn a_scope_is_asked_for_alone_or_beside_what_the_route_takes() {
    let toy = toy();
    let (_, key) = toy.server_key("acme", "live", &json!({"scopes": ["prompts:read"]}));
    let ask = |question: Value| toy.verify(&question);
    yes(&ask(json!({"credential": key, "scope": "prompts:read"})));
    let told = ask(json!({"credential": key, "scope": "prompts:write"}));
    no(&told, "insufficient_scope");
    assert_eq!(told.json["trace"][2]["compared"]["needs"], json!(["prompts:write"]));
    let route = |scope: &str| json!({"credential": key, "method": "GET", "path": "/v1/prompts/1", "scope": scope});
    yes(&ask(route("prompts:read")));
    let told = ask(route("prompts:write"));
    no(&told, "insufficient_scope");
    assert_eq!(told.json["trace"][2]["compared"]["needs"], json!(["prompts:read", "prompts:write"]));
    let (_, admin) = toy.server_key("acme", "live", &json!({"scopes": ["admin"]}));
    yes(&ask(json!({"credential": admin, "scope": "prompts:write"})));
    // It administers the stage: no scope binds it.
    yes(&ask(json!({"credential": toy.deploy_key_for(Stage::Dev, "local", 60), "scope": "prompts:write"})));
    let visitor = toy.open(&toy.widget_key("acme", "live", &[ORIGIN]).1);
    for safe in [&visitor.key, &visitor.secret] {
        no(&ask(json!({"credential": safe, "scope": "prompts:read", "origin": ORIGIN})), "credential_kind_not_allowed");
    }
}

#[test]
fn p2_a_servers_credential_on_a_page_is_refused_and_seen_there_as_if_it_had_come_here() {
    let toy = toy();
    let (id, key) = toy.server_key("acme", "live", &json!({"scopes": ["prompts:read"]}));
    for origin in [ORIGIN, "null", "x"] {
        no(&toy.verify(&json!({"credential": key, "origin": origin})), "server_key_in_browser");
    }
    let seen = toy.admin("GET", &format!("/v1/credentials/{id}"), &Value::Null).ok(200);
    assert_eq!(seen.json["seen_in_browser"]["origin"], ORIGIN);
    let deploy_key = toy.deploy_key_for(Stage::Dev, "local", 60);
    no(&toy.verify(&json!({"credential": deploy_key, "origin": ORIGIN})), "server_key_in_browser");
}

#[test]
fn a_key_that_is_held_to_addresses_needs_the_clients() {
    let toy = toy();
    let (id, key) = toy.server_key("acme", "live", &json!({"allowed_addresses": ["192.0.2.0/24"]}));
    no(&toy.verify(&json!({"credential": key})), "address_not_allowed");
    no(&toy.verify(&json!({"credential": key, "address": "198.51.100.1"})), "address_not_allowed");
    for address in ["192.0.2.1", "::ffff:192.0.2.1"] {
        yes(&toy.verify(&json!({"credential": key, "address": address})));
    }
    toy.advance(10);
    let usage = toy.admin("GET", &format!("/v1/credentials/{id}/usage"), &Value::Null).ok(200);
    assert_eq!(usage.json["network"], "192.0.2.0/24");
}

#[test]
fn a27_a_question_that_makes_no_sense_is_the_askers_mistake_and_nothing_is_repeated_or_counted() {
    let toy = toy();
    let (id, key) = toy.server_key("acme", "live", &Value::Null);
    let brand_of_two = &key;
    assert_eq!(brand_of_two.len(), 40);
    for (question, field) in [
        (json!({}), "credential"),
        (json!({"credential": null}), "credential"),
        (json!({"credential": 1}), "credential"),
        (json!({"credential": [key]}), "credential"),
        (json!({"credential": {"a": key}}), "credential"),
        (json!({"credential": key, "method": "GET"}), "path"),
        (json!({"credential": key, "path": "/"}), "method"),
        (json!({"credential": key, "method": "GET", "path": "v1/prompts"}), "path"),
        (json!({"credential": key, "method": "GET", "path": "https://a.example/v1"}), "path"),
        (json!({"credential": key, "method": "GET\n", "path": "/v1"}), "method"),
        (json!({"credential": key, "method": "GET", "path": format!("/{}", "a".repeat(9_000))}), "path"),
        (json!({"credential": key, "scope": "prompts"}), "scope"),
        (json!({"credential": key, "scope": key}), "scope"),
        (json!({"credential": key, "tokens": -1}), "tokens"),
        (json!({"credential": key, "tokens": 1.5}), "tokens"),
        (json!({"credential": key, "tokens": "1"}), "tokens"),
        (json!({"credential": key, "tokens": 4_294_967_296_u64}), "tokens"),
        (json!({"credential": key, "origin": ""}), "origin"),
        (json!({"credential": key, "address": "192.0.2.0/24"}), "address"),
        (json!({"credential": key, "address": "localhost"}), "address"),
        (json!({"credential": key, "service": 1}), "service"),
        (json!({"credential": key, "credentials": 1}), "credentials"),
        (json!({"credential": key, key.clone(): 1}), ""),
    ] {
        let answer = toy.verify(&question);
        answer.refused(400, "invalid_request");
        assert!(!answer.text.contains(&key), "{}", answer.text);
        let error = answer.text_at("error");
        assert_eq!(error.split('`').nth(1).unwrap_or_default(), field, "{question}: {error}");
        let sentences = [" is not valid.", " is missing.", " is not known here."];
        assert!(sentences.iter().any(|sentence| error.ends_with(sentence)), "{question}: {error}");
    }
    for body in [
        format!("\"{key}\""),
        format!("{{\"credential\":\"{key}"),
        format!("{{\"credential\":\"{key}\",\"credential\":\"{key}\"}}"),
    ] {
        let answer = toy.send("POST", "/v1/verify", &[("authorization", &toy.deploy_key())], &body);
        answer.refused(400, "invalid_request");
        assert!(!answer.text.contains(&key), "{}", answer.text);
    }
    toy.advance(10);
    assert_eq!(toy.usage_of(&id), json!([0, 0]));
}

#[test]
fn tokens_that_are_asked_about_are_used_and_together_with_the_request_or_not_at_all() {
    let toy = toy();
    let (id, key) = toy.server_key("acme", "live", &json!({"tier": "words"}));
    let ask = |tokens: Value| {
        let call = json!({"credential": key, "method": "POST", "path": "/v1/completions?n=1", "tokens": tokens});
        toy.verify(&call)
    };
    let left = |answer: &Answer| {
        let limits = answer.json["limits"].as_array().unwrap();
        limits.iter().map(|limit| limit["remaining"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let told = ask(json!(600));
    yes(&told);
    assert_eq!(left(&told), [59, 400]);
    // Nobody tells of the answer later: all of it is used, and nothing is held.
    let told = toy.verify(&json!({"credential": key, "tokens": 300}));
    yes(&told);
    assert_eq!(left(&told), [58, 100]);
    let told = ask(json!(101));
    no(&told, "token_rate_limited");
    assert_eq!(left(&told), [58, 100]);
    assert!(told.json["retry_after"].as_u64().is_some_and(|seconds| (1..=62).contains(&seconds)), "{}", told.text);
    assert_eq!(told.json["trace"][3]["outcome"], "refused");
    let told = ask(json!(1_001));
    no(&told, "payload_too_large");
    yes(&ask(json!(100)));
    toy.advance(62);
    yes(&ask(json!(1_000)));
    toy.advance(3);
    let usage = toy.admin("GET", &format!("/v1/credentials/{id}/usage"), &Value::Null).ok(200);
    assert_eq!(usage.json["tokens"], json!({"used": 2_000}));
    // Whoever does not say how many cannot be told whether they fit.
    for question in [
        json!({"credential": key, "method": "POST", "path": "/v1/completions"}),
        json!({"credential": key, "method": "POST", "path": "/v1/completions?a=b", "tokens": null}),
    ] {
        let refused = toy.verify(&question);
        refused.refused(400, "invalid_request");
        assert_eq!(refused.text_at("error"), "The member `tokens` is missing.");
    }
    // A tier without tokens, and a deploy key, are not counted.
    let (_, plain) = toy.server_key("acme", "live", &Value::Null);
    yes(&toy.verify(&json!({"credential": plain, "tokens": 4_000_000_000_u64})));
}

#[test]
fn p9_what_is_asked_about_stands_in_no_answer_no_log_and_no_row() {
    let toy = toy();
    let (_, asker) = toy.server_key("acme", "live", &json!({"scopes": ["admin"]}));
    let (_, key) = toy.server_key("acme", "live", &Value::Null);
    let (_, token) = toy.service_token("acme", "live", "billing", &Value::Null);
    let visitor = toy.open(&toy.widget_key("acme", "live", &[ORIGIN]).1);
    let deploy_key = toy.deploy_key_for(Stage::Dev, "local", 60);
    let foreign = "hunter2-hunter2-hunter2".to_owned();
    let texts = [key.clone(), token, visitor.secret.clone(), deploy_key, foreign, forge(&key)];
    for text in &texts {
        for more in [
            json!({}),
            json!({"origin": ORIGIN}),
            json!({"origin": format!("https://{}", text.to_lowercase().replace(['|', ':'], "-"))}),
            json!({"service": text}),
            json!({"method": "GET", "path": format!("/v1/prompts/{text}")}),
            json!({"method": "GET", "path": format!("/v1/prompts/1?key={text}")}),
            json!({"method": text.get(..20), "path": "/v1/prompts/1"}),
            json!({"scope": text.get(..60)}),
        ] {
            let mut question = json!({"credential": text});
            more.as_object().unwrap().iter().for_each(|(name, value)| question[name] = value.clone());
            for answer in [toy.verify(&question), toy.verify_as(&asker, &question)] {
                let shown = format!("{} {:?} {}", answer.text, answer.headers, answer.log);
                let tail = &text[text.len() - 18..];
                assert!(!shown.contains(text.as_str()) && !shown.contains(tail), "{question}: {shown}");
            }
            toy.advance(61);
        }
    }
    for (name, object) in toy.snapshot() {
        for (row, bytes) in &object.rows {
            for text in &texts {
                let tail = &text.as_bytes()[text.len() - 18..];
                assert!(!bytes.windows(tail.len()).any(|part| part == tail), "{name:?} {row}");
            }
        }
    }
}

#[test]
fn p10_an_object_that_cannot_be_asked_is_no_answer_about_the_credential() {
    let toy = toy();
    let (_, asker) = toy.server_key("acme", "live", &json!({"scopes": ["admin"]}));
    let (_, key) = toy.server_key("acme", "live", &Value::Null);
    yes(&toy.verify_as(&asker, &json!({"credential": key})));
    let name = format!("sk_live_{}", &key["gs_live_".len()..][..8]);
    toy.faults.borrow_mut().insert(("CREDENTIAL".to_owned(), name.clone()), Fault::Dead);
    toy.verify_as(&asker, &json!({"credential": key})).refused(503, "unavailable");
    toy.faults.borrow_mut().clear();
    yes(&toy.verify_as(&asker, &json!({"credential": key})));
    assert!(toy.snapshot().keys().any(|(_, known)| *known == name));
}
