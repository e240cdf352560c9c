//! Refusals that people can follow: what is unknown is named with what there is, what is missing is said to be missing, and a
//! number is its value. Rows N1, N2, N5, N6, F15 and F26.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod scene;
mod toy;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use claviger::{
    policy::{self, Action, BUILT_IN, Policy, built_in},
    road::route::name,
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use scene::Scene;
use serde_json::{Value, json};
use sha2::Sha256;
use std::fs;
use toy::{Answer, ORIGIN, Toy};

/// Calls under `/v1` that take a credential in the headers.
fn calls() -> impl Iterator<Item = (Action, &'static str)> {
    Action::ALL.into_iter().map(|action| (action, name(action))).filter(|(_, call)| !call.contains(" /w/"))
}

fn parsed(name: &str) -> Policy {
    policy::parse(built_in(name).unwrap()).unwrap()
}

/// A call of the scene with this query, good in all else.
fn with_query(scene: &Scene, call: &str, query: &str, column: &str) -> Answer {
    let (method, pattern) = call.split_once(' ').unwrap();
    let id = match pattern {
        _ if pattern.starts_with("/v1/credentials") => &scene.key_id,
        _ if pattern.starts_with("/v1/workspaces") => "acme",
        _ => &scene.visitor.conversation,
    };
    let path = format!("{}?{query}", pattern.replace("{id}", id).replace("{kid}", "is_0000000000000000"));
    let headers = scene.headers(column);
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let body = match (method, pattern) {
        ("GET", _) => "",
        ("POST", "/v1/credentials") => r#"{"kind":"server_key","workspace":"acme","environment":"live","name":"n"}"#,
        _ => "{}",
    };
    scene.toy.send(method, &path, &headers, body)
}

#[track_caller]
fn says(answer: &Answer, error: &str, fix: &str) {
    answer.refused(400, "invalid_request");
    let said = answer.text_at("fix");
    let said = said.strip_suffix(" See https://auth.example/docs/errors#invalid_request").unwrap();
    assert_eq!((answer.text_at("error").as_str(), said), (error, fix));
}

#[test]
fn n1_every_call_under_v1_refuses_a_parameter_that_it_does_not_know_and_one_that_comes_twice() {
    for (action, call) in calls() {
        let scene = Scene::new();
        let known = action.parameters();
        let all = match known {
            [] => "This call takes no parameters.".to_owned(),
            known => format!("This call takes: {}.", known.join(", ")),
        };
        let before = scene.toy.kept();
        for query in ["bogus=1", "bogus", "bogus=", "%62ogus=1", "zzz=b&bogus=1"] {
            let answer = with_query(&scene, call, query, "deploy key");
            let named = if query.starts_with("zzz") { "zzz" } else { "bogus" };
            says(&answer, &format!("The parameter `{named}` is not known here."), &all);
        }
        for parameter in known {
            let answer = with_query(&scene, call, &format!("{parameter}=a&{parameter}=a"), "deploy key");
            let twice = "This parameter stands in the query twice: once is enough.";
            says(&answer, &format!("`{parameter}` is not valid."), twice);
        }
        assert!(scene.toy.kept() == before, "{call}: something was done");
        // Whoever may not do it learns nothing of what it takes.
        for (column, code) in [("nothing", "missing_credential"), ("forged", "invalid_credential")] {
            assert_eq!(with_query(&scene, call, "bogus=1", column).code(), code, "{call}");
        }
    }
}

#[test]
fn n1_a_slip_of_the_pen_is_recognized_and_what_may_be_a_secret_is_not_repeated() {
    let toy = Toy::new("default");
    toy.workspace("acme");
    let audit = "This call takes: workspace, after, before, action, actor, since, until, limit.";
    for (query, named, meant) in [
        ("workspce=acme", "workspce", "workspace"),
        ("Workspace=acme", "Workspace", "workspace"),
        ("actoin=credential.create", "actoin", "action"),
        ("limits=5", "limits", "limit"),
    ] {
        let answer = toy.admin("GET", &format!("/v1/audit?{query}"), &Value::Null);
        let fix = format!("Did you mean `{meant}`? {audit}");
        says(&answer, &format!("The parameter `{named}` is not known here."), &fix);
    }
    for name in [&"a".repeat(40), "my_live_key", "two%20words", "%00", "9f86d081884c7d659a2feaa0c55ad015", "p%40ss!"] {
        let answer = toy.admin("GET", &format!("/v1/audit?{name}=1"), &Value::Null);
        says(&answer, "The request has a parameter that is not known here.", audit);
    }
    // What the platform makes of a query without anything in it is nothing.
    for path in ["/v1/audit?", "/v1/audit?&&", "/v1/audit?workspace=acme&"] {
        toy.admin("GET", path, &Value::Null).ok(200);
    }
}

#[test]
fn n1_public_documents_and_the_gateway_ignore_what_they_do_not_know() {
    let policy = "brand = \"clv\"\n[widget]\n[[routes]]\nmatch = \"GET /v1/things\"\naccept = [\"server_key\"]\nto = \"upstream\"";
    let toy = Toy::changed(&[("POLICY_TOML", policy), ("UPSTREAM", "http://api.internal")]);
    toy.workspace("acme");
    for path in ["/healthz", "/docs", "/widget.js", "/.well-known/oauth-protected-resource", "/.well-known/jwks.json"] {
        toy.send("GET", &format!("{path}?bogus=1&bogus=2"), &[], "").ok(200);
    }
    let (_, key) = toy.server_key("acme", "live", &Value::Null);
    toy.server(&key, "GET", "/v1/things?bogus=1&bogus=2", &Value::Null).ok(200);
    assert!(toy.forwarded.borrow()[0].url.ends_with("/v1/things?bogus=1&bogus=2"));
}

/// The documents list what the table says, call by call.
#[test]
fn n1_the_documents_list_the_parameters_of_every_call() {
    let text = fs::read_to_string("docs/http.md").unwrap();
    for (action, call) in calls().filter(|(_, call)| call.starts_with("GET ")) {
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with(&format!("| `{call}`"))).collect();
        assert!(!rows.is_empty(), "{call} is not there");
        for parameter in action.parameters() {
            let is_there = rows.iter().any(|row| {
                [format!("?{parameter}="), format!("&{parameter}="), format!("`{parameter}=`")]
                    .iter()
                    .any(|form| row.contains(form.as_str()))
            });
            // An id in the path names the workspace, and lists are said to have these two.
            let is_general =
                (*parameter == "workspace" && call.contains('{')) || matches!(*parameter, "limit" | "cursor");
            assert!(is_there || is_general, "{call}: {parameter}");
        }
    }
}

#[test]
fn n1_the_audit_is_filtered_by_time() {
    let toy = Toy::new("default");
    let stamp = |toy: &Toy| claviger::codec::time::Timestamp(toy.now_millis()).rfc3339();
    let mut moments = Vec::new();
    for id in ["one", "two", "three"] {
        toy.advance(3_600);
        moments.push(stamp(&toy));
        toy.workspace(id);
    }
    toy.advance(3_600);
    let found = |query: &str| {
        let path = format!("/v1/audit?action=workspace.create&{query}");
        let page = toy.admin("GET", &path, &Value::Null).ok(200);
        let items = page.json["items"].as_array().unwrap().clone();
        items.iter().map(|item| item["target"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let all = found("");
    assert_eq!(all.len(), 3, "{all:?}");
    assert_eq!(found(&format!("since={}", moments[1])), all[1..]);
    assert_eq!(found(&format!("until={}", moments[1])), all[..2]);
    assert_eq!(found(&format!("since={0}&until={0}", moments[1])), all[1..2]);
    assert_eq!(found(&format!("since={}&until={}&before=", moments[0], moments[1])), [all[1].clone(), all[0].clone()]);
    assert_eq!(found("since=2030-01-01T00:00:00Z"), [""; 0]);
    // With other offsets it is the same moment.
    let offset = moments[1].replace('Z', "%2B00:00");
    assert_eq!(found(&format!("since={offset}")), all[1..]);
    for (query, named) in [
        ("since=yesterday", "since"),
        ("until=2026-01-01", "until"),
        ("since=", "since"),
        (&format!("since={}&until={}", moments[1], moments[0]), "since"),
    ] {
        let answer = toy.admin("GET", &format!("/v1/audit?{query}"), &Value::Null);
        answer.refused(400, "invalid_request");
        assert_eq!(answer.text_at("error"), format!("`{named}` is not valid."));
    }
    // An export is a chain that anybody verifies: it has no holes, and says so.
    let answer = toy.admin("GET", "/v1/audit/export?since=2026-01-01T00:00:00Z", &Value::Null);
    says(&answer, "The parameter `since` is not known here.", "This call takes: workspace, after.");
}

/// The scopes that a refusal asks for, and what its `fix` says.
fn asked_for(answer: &Answer) -> (Vec<String>, String) {
    let required = answer.json["required"].as_array().cloned().unwrap_or_default();
    (required.iter().map(|scope| scope.as_str().unwrap().to_owned()).collect(), answer.text_at("fix"))
}

#[test]
fn n2_whoever_does_what_a_refusal_for_a_scope_says_is_let_through_under_every_built_in_policy() {
    for (policy, _) in BUILT_IN {
        let scopes: Vec<String> = parsed(policy).scopes.iter().map(|(scope, _)| scope.as_str().to_owned()).collect();
        for (_, call) in calls() {
            let toy = Toy::changed(&[("POLICY", policy), ("UPSTREAM", "http://api.internal")]);
            toy.workspace("acme");
            let (method, path) = call.split_once(' ').unwrap();
            let (id, _) = toy.server_key("acme", "live", &Value::Null);
            let path =
                path.replace("/workspaces/{id}", "/workspaces/acme").replace("{id}", &id).replace("{kid}", "is_x");
            let body = if method == "GET" { Value::Null } else { json!({}) };
            let (_, none) = toy.server_key("acme", "live", &Value::Null);
            let refused = toy.server(&none, method, &path, &body);
            if refused.code() != "insufficient_scope" {
                assert!(refused.status != 403 || refused.code() == "credential_kind_not_allowed", "{}", refused.text);
                continue;
            }
            let (required, fix) = asked_for(&refused);
            let challenge = refused.header("www-authenticate").unwrap();
            assert!(!challenge.contains("scope=\"\""), "{challenge}");
            if required.is_empty() {
                assert!(
                    fix.contains("No scope of this policy opens it. Call with a deploy key"),
                    "{policy} {call}: {fix}"
                );
                // That is so: a key with all there is gets no further, and a deploy key does.
                let (_, every) = toy.server_key("acme", "live", &json!({"scopes": scopes}));
                toy.server(&every, method, &path, &body).refused(403, "insufficient_scope");
                assert_ne!(toy.admin(method, &path, &body).status, 403, "{policy} {call}");
                continue;
            }
            for scope in &required {
                assert!(scopes.contains(scope), "{policy} {call}: the policy has no scope {scope}");
                assert!(fix.contains(&format!("the scope {scope}")), "{fix}");
            }
            let (_, made) = toy.server_key("acme", "live", &json!({"scopes": required}));
            assert_ne!(toy.server(&made, method, &path, &body).status, 403, "{policy} {call}: {required:?}");
        }
    }
}

#[test]
fn n2_a_refused_kind_is_told_which_kinds_a_call_takes_and_each_of_them_is_taken() {
    for (action, call) in calls() {
        let scene = Scene::new();
        let key = scene.visitor.key.clone();
        for column in ["widget key", "history secret", "service token"] {
            let refused = scene.call(call, &key, scene.headers(column));
            if refused.code() != "credential_kind_not_allowed" {
                continue;
            }
            let taken: Vec<&str> = action.accepts().iter().map(|kind| kind.as_str()).collect();
            let fix = format!("Use a credential of another kind: this call takes {}.", taken.join(", "));
            assert!(refused.text_at("fix").starts_with(&fix), "{call}: {}", refused.text);
            for (kind, column) in [("deploy_key", "deploy key"), ("server_key", "all scopes")] {
                let is_taken = scene.call(call, &key, scene.headers(column)).code() != "credential_kind_not_allowed";
                assert_eq!(is_taken, taken.contains(&kind), "{call} with {kind}");
            }
        }
    }
}

#[test]
fn n5_review_required_says_what_is_so_in_this_version() {
    let toy = Toy::changed(&[("POLICY", "memory"), ("UPSTREAM", "http://api.internal")]);
    toy.workspace("acme");
    let scopes = json!({"scopes": ["memory.read", "memory.context", "memory.candidates"]});
    let (_, key) = toy.server_key("acme", "live", &scopes);
    let policy = parsed("memory");
    let route = policy.routes.iter().find(|route| route.review).expect("memory has a route under review");
    let path =
        route.path.split('/').map(|part| if part.starts_with('{') { "a" } else { part }).collect::<Vec<_>>().join("/");
    let bearer = format!("Bearer {key}");
    let headers =
        [("authorization", bearer.as_str()), ("x-forwarded-method", &route.method), ("x-forwarded-uri", &path)];
    let asked = toy.send("GET", "/v1/forward-auth", &headers, "");
    asked.refused(403, "review_required");
    // Nobody is sent to a call that is refused in turn.
    let sent = toy.server(&key, &route.method, &path, &json!({}));
    sent.refused(503, "not_configured");
    let fix = asked.text_at("fix");
    assert!(fix.starts_with("No call makes this write until then."), "{fix}");
    assert!(!fix.contains("Send the write") && toy.forwarded.borrow().is_empty());
}

fn order(members: &Value) -> Value {
    let mut body = json!({"kind": "server_key", "workspace": "acme", "environment": "live", "name": "n"});
    for (name, value) in members.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

#[test]
fn n6_missing_unknown_and_malformed_are_three_sentences_with_what_there_is() {
    let toy = Toy::new("default");
    toy.workspace("acme");
    let (id, _) = toy.server_key("acme", "live", &Value::Null);
    let create = |members: Value| toy.admin("POST", "/v1/credentials", &order(&members));
    let text = |max: u32| format!("A text of 1 to {max} characters without control characters.");
    // Missing, or `null`: one and the same.
    for name in [json!(null), json!("")] {
        let answer = create(json!({"name": name}));
        let error = if name.is_null() { "The member `name` is missing." } else { "`name` is not valid." };
        says(&answer, error, &text(100));
    }
    says(&toy.admin("POST", "/v1/workspaces", &json!({})), "The member `name` is missing.", &text(100));
    let kinds = "One of server_key, service_token, widget_key and deploy_key.";
    says(&create(json!({"kind": null})), "The member `kind` is missing.", kinds);
    for kind in [json!("serverkey"), json!(5), json!(""), json!("k".repeat(50))] {
        says(&create(json!({"kind": kind})), "`kind` is not valid.", kinds);
    }
    says(&create(json!({"environment": null})), "The member `environment` is missing.", "Either live or test.");
    says(&create(json!({"environment": "production"})), "`environment` is not valid.", "Either live or test.");
    let which = "A deploy key must say which workspace is meant.";
    says(&create(json!({"workspace": null})), "The member `workspace` is missing.", which);
    let listed = toy.admin("GET", "/v1/credentials", &Value::Null);
    says(&listed, "The parameter `workspace` is missing.", which);
    let widget = create(json!({"kind": "widget_key"}));
    let origins = "A list of at least one origin, like https://shop.example.";
    says(&widget, "The member `origins` is missing.", origins);
    let stage = toy.admin("POST", "/v1/credentials", &json!({"kind": "deploy_key", "name": "n"}));
    says(
        &stage,
        "The member `stage` is missing.",
        "One of dev, staging and prod (development and production are the same).",
    );
    let service = create(json!({"kind": "service_token"}));
    says(
        &service,
        "The member `service` is missing.",
        "1 to 64 of a-z, A-Z, 0-9, `-`, `_` and `.`, starting with a letter or digit.",
    );
    let (_, history) = toy.widget_key("acme", "live", &[ORIGIN]);
    let visitor = toy.open(&history);
    says(&toy.visit(&visitor, "POST", "messages", "{}"), "The member `text` is missing.", "A text that is not empty.");
    says(
        &toy.visit(&visitor, "POST", "messages", "{\"text\":\" \"}"),
        "`text` is not valid.",
        "A text that is not empty.",
    );
    // What is no object at all, in three sentences too, and without a word of it.
    let raw = |body: &str| toy.send("POST", "/v1/workspaces", &[("authorization", &toy.deploy_key())], body);
    let many: Vec<String> = (0..65).map(|n| format!("\"m{n}\":1")).collect();
    for (body, fix) in [
        ("[\"my_live_secret\"]", "The body must be a JSON object."),
        ("{\"name\":\"a\",\"name\":\"b\"}", "An object has each member once: one stands there twice."),
        (&format!("{{{}}}", many.join(",")), "An object has at most 64 members."),
        ("{\"name\":", "The body is not well-formed JSON (line 1, column 8)."),
    ] {
        says(&raw(body), "The request is not valid.", fix);
    }
    // Unknown: with all there is, of this call and this kind.
    let change = |members: &Value| toy.admin("PATCH", &format!("/v1/credentials/{id}"), members);
    says(
        &change(&json!({"scope": ["admin"]})),
        "The member `scope` is not known here.",
        "Did you mean `scopes`? This call takes: name, scopes, tier, limits, allowed_addresses, expires_at.",
    );
    says(
        &toy.admin("POST", &format!("/v1/credentials/{id}/rotate"), &json!({"overlap": 0})),
        "The member `overlap` is not known here.",
        "This call takes: overlap_seconds.",
    );
    says(
        &toy.admin("POST", &format!("/v1/credentials/{id}/rotate/finish"), &json!({"a": 0})),
        "The member `a` is not known here.",
        "This call takes no members.",
    );
    let unknown = create(json!({"kind": "widget_key", "origins": [ORIGIN], "scope": "a"}));
    says(
        &unknown,
        "The member `scope` is not known here.",
        "This call takes: kind, workspace, environment, name, expires_in, origins.",
    );
    let unknown = create(json!({"my_live_secret": 1}));
    assert_eq!(unknown.text_at("error"), "The request has a member that is not known here.");
    // Malformed: where, and what would be right.
    let scopes = "admin, conversations:read, credentials:read, messages:read, messages:write, verify";
    for (list, place, what) in [
        (json!(["message:read"]), 0, "There is no scope `message:read`. Did you mean `messages:read`?"),
        (json!(["admin", "x"]), 1, "There is no scope `x`."),
        (json!(["admin", "verify", "a secret!"]), 2, "There is no such scope."),
    ] {
        let fix = format!("{what} This policy has: {scopes}.");
        says(&create(json!({"scopes": list})), &format!("`scopes[{place}]` is not valid."), &fix);
        says(&change(&json!({"scopes": list})), &format!("`scopes[{place}]` is not valid."), &fix);
    }
    let verified = toy.admin("POST", "/v1/verify", &json!({"credential": "x", "scope": "admn"}));
    let fix = format!("There is no scope `admn`. Did you mean `admin`? This policy has: {scopes}.");
    says(&verified, "`scope` is not valid.", &fix);
    let ranges = create(json!({"allowed_addresses": ["192.0.2.1", "x"]}));
    assert_eq!(ranges.text_at("error"), "`allowed_addresses[1]` is not valid.");
    let pages = create(json!({"kind": "widget_key", "origins": [ORIGIN, "shop.example"]}));
    assert_eq!(pages.text_at("error"), "`origins[1]` is not valid.");
    let bounds = "A whole number from 1 to 2678400.";
    let custom = |window: Value| create(json!({"tier": "enterprise", "limits": {"requests": [window]}}));
    says(&custom(json!({"limit": 1})), "The member `limits.requests[0].window_seconds` is missing.", bounds);
    let wrong = custom(json!({"limit": 1, "window_seconds": "60"}));
    says(&wrong, "`limits.requests[0].window_seconds` is not valid.", bounds);
    says(
        &custom(json!({"limit": 1, "window_seconds": 60, "burst": 1})),
        "The member `limits.requests[0].burst` is not known here.",
        "`limits.requests[0]` takes: limit, window_seconds.",
    );
    let tiers = "The policy has these tiers: enterprise, free, standard.";
    says(&create(json!({"tier": "gold"})), "`tier` is not valid.", tiers);
}

#[test]
fn n6_a_policy_file_lists_what_there_is() {
    let fault = |text: &str| claviger::policy::parse(&format!("brand = \"gs\"\n{text}")).unwrap_err().to_string();
    let route = "[[routes]]\nmatch = \"GET /a\"\naccept = [\"server_key\"]\nto = \"upstream\"\n";
    for (text, why) in [
        (
            format!("[scopes]\na = \"A\"\nb = \"B\"\n{route}scope = \"c\""),
            "line 9: unknown scope `c`, expected one of a, b",
        ),
        (format!("{route}scope = \"c\""), "line 6: unknown scope `c`: the file has none"),
        (
            "[scopes]\na = \"A\"\nb = { says = \"B\", implies = [\"c\"] }".to_owned(),
            "line 4: unknown scope `c`, expected one of a, b",
        ),
        ("scpoes = 1".to_owned(), "line 2: unknown key `scpoes`, expected one of brand, operators, scopes"),
        (format!("{route}review = 1"), "line 6: `review` is true or false"),
        ("[[routes]]\nmatch = \"GET /a\"\nto = \"upstream\"".to_owned(), "`accept` is missing"),
        ("[tiers.a]\nrequests = { limit = 1 }".to_owned(), "`window_seconds` is missing"),
    ] {
        let said = fault(&text);
        assert!(said.contains(why), "{said}\n{text}");
    }
}

#[test]
fn f15_a_whole_number_is_one_however_it_is_written() {
    let toy = Toy::new("default");
    toy.workspace("acme");
    let raw =
        |method: &str, path: &str, body: &str| toy.send(method, path, &[("authorization", &toy.deploy_key())], body);
    let text = order(&json!({})).to_string();
    for number in ["60", "60.0", "6e1", "6E+1", "600e-1", "0.6e2", "60.000"] {
        let body = format!("{},\"expires_in\":{number}}}", text.trim_end_matches('}'));
        let made = raw("POST", "/v1/credentials", &body).ok(201);
        let whole = claviger::codec::time::Timestamp(toy.now_millis() + 60_000).rfc3339();
        assert_eq!(made.text_at("expires_at"), whole, "{number}");
        let path = format!("/v1/credentials/{}/rotate", made.text_at("id"));
        raw("POST", &path, &format!("{{\"overlap_seconds\":{number}}}")).ok(201);
    }
    for number in ["60.5", "1e-1", "-60.0", "1e30", "9007199254740994.0"] {
        let body = format!("{},\"expires_in\":{number}}}", text.trim_end_matches('}'));
        says(
            &raw("POST", "/v1/credentials", &body),
            "`expires_in` is not valid.",
            "A whole number from 1 to 316224000.",
        );
    }
    let custom = order(&json!({"tier": "enterprise"})).to_string();
    let limits = "{\"requests\":[{\"limit\":1e2,\"window_seconds\":60.0}]}";
    let made =
        raw("POST", "/v1/credentials", &format!("{},\"limits\":{limits}}}", custom.trim_end_matches('}'))).ok(201);
    assert_eq!(made.json["limits"]["requests"], json!([{"limit": 100, "window_seconds": 60}]));
    let (_, key) = toy.server_key("acme", "live", &json!({"scopes": ["admin"]}));
    raw("POST", "/v1/verify", &format!("{{\"credential\":\"{key}\",\"tokens\":5.0}}")).ok(200);
    // In a query, a number is digits.
    for limit in ["%2B5", "5.0", "5e0", "-5", "", " 5"] {
        toy.admin("GET", &format!("/v1/workspaces?limit={limit}"), &Value::Null).refused(400, "invalid_request");
    }
}

#[test]
fn f26_an_identity_token_has_at_most_64_claims_and_the_document_says_so() {
    let toy = Toy::new("default");
    let (_, key) = toy.shop();
    let (kid, secret) = toy.identity_secret("acme");
    let open = |claims: &Value| {
        let iat = toy.now_millis() / 1_000;
        let mut all = json!({"sub": "u", "aud": "acme", "iat": iat, "exp": iat + 60});
        for (name, value) in claims.as_object().unwrap() {
            all[name] = value.clone();
        }
        let token = jwt(&kid, &secret, &all);
        toy.send(
            "POST",
            &format!("/w/{key}/conversations"),
            &[("origin", ORIGIN)],
            &json!({"identity": token}).to_string(),
        )
    };
    let claims = |count: usize| Value::Object((0..count).map(|n| (format!("c{n}"), json!(n))).collect());
    open(&claims(60)).ok(201);
    let many = open(&claims(61));
    says(
        &many,
        "`identity` is not valid.",
        "The token's payload must be a JSON object in UTF-8 that has each member once, and at most 64; so must each object in it.",
    );
    open(&json!({"inner": claims(64)})).ok(201);
    assert_eq!(open(&json!({"inner": claims(65)})).text_at("error"), "`identity` is not valid.");
    let document = fs::read_to_string("docs/identity.md").unwrap().replace('\n', " ");
    assert!(document.contains("at most 64 claims") && document.contains("one of more than 64"));
    // And what is missing is said to be missing.
    for (name, wanted) in [("sub", "The claim `sub` is missing"), ("aud", "The claim `aud` is missing")] {
        let iat = toy.now_millis() / 1_000;
        let mut all = json!({"sub": "u", "aud": "acme", "iat": iat, "exp": iat + 60});
        all.as_object_mut().unwrap().remove(name);
        let body = json!({"identity": jwt(&kid, &secret, &all)}).to_string();
        let refused = toy.send("POST", &format!("/w/{key}/conversations"), &[("origin", ORIGIN)], &body);
        assert!(refused.text_at("fix").starts_with(wanted), "{}", refused.text);
    }
}

#[test]
fn f15_an_identity_may_be_dated_with_a_fraction() {
    let toy = Toy::new("default");
    let (_, key) = toy.shop();
    let (kid, secret) = toy.identity_secret("acme");
    let now = (toy.now_millis() / 1_000) as f64;
    for (iat, exp) in [(now, now + 60.0), (now + 0.25, now + 3_600.25), (now - 0.125, now + 1.5)] {
        let token = jwt(&kid, &secret, &json!({"sub": "u", "aud": "acme", "iat": iat, "exp": exp, "nbf": iat}));
        let body = json!({"identity": token}).to_string();
        toy.send("POST", &format!("/w/{key}/conversations"), &[("origin", ORIGIN)], &body).ok(201);
    }
}

/// A token as a customer's server signs it.
fn jwt(kid: &str, secret: &str, claims: &Value) -> String {
    let part = |value: &Value| Base64UrlUnpadded::encode_string(value.to_string().as_bytes());
    let signed = format!("{}.{}", part(&json!({"alg": "HS256", "typ": "JWT", "kid": kid})), part(claims));
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(&signed).finalize();
    format!("{signed}.{}", Base64UrlUnpadded::encode_string(&mac.into_bytes()))
}
