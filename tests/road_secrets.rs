//! What is never kept: no secret in any row or log line, nothing that a visitor says in a log; and the check that watches it.
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
use toy::{Answer, ORIGIN, ROOT, Toy, Visitor};

fn from(toy: &Toy, key: &str, address: &str) -> Answer {
    toy.send("POST", &format!("/w/{key}/conversations"), &[("origin", ORIGIN), ("x-client", address)], "")
}

#[test]
fn l6_no_secret_that_was_handed_out_is_stored_or_logged() {
    let toy = Toy::new("default");
    let (id, key) = toy.shop();
    let visitor = toy.open(&key);
    let rotated = toy.visit(&visitor, "POST", "secret/rotate", "").ok(201);
    let visitor = Visitor { secret: rotated.text_at("history_secret"), ..visitor };
    toy.visit_with(&visitor, "POST", "messages", &[("idempotency-key", "k")], "{\"text\":\"hi\"}").ok(201);
    let rotated = toy.admin("POST", &format!("/v1/credentials/{id}/rotate"), &json!({"overlap_seconds": 9})).ok(201);
    from(&toy, &rotated.text_at("secret"), "").ok(201);
    toy.visit(&visitor, "POST", "close", "").ok(200);
    toy.advance(86_400);
    let issued = toy.issued.borrow();
    assert_eq!(issued.len(), 5, "two keys and three history secrets");
    for (name, object) in toy.objects.borrow().iter() {
        for (row, value) in &object.rows {
            let stored = String::from_utf8_lossy(value);
            for secret in issued.iter() {
                // Not even the tag: the last 43 characters.
                let tag = &secret[secret.len() - 40..];
                assert!(!row.contains(tag) && !stored.contains(tag), "{name:?} {row}");
            }
        }
    }
}

#[test]
fn p8_what_a_visitor_says_stands_in_no_log() {
    let toy = Toy::new("default");
    let visitor = toy.conversation();
    let canary = "canary-5d1c";
    for (method, tail, body) in [
        ("POST", "messages", json!({"text": canary}).to_string()),
        ("POST", "messages", format!("{{\"text\":\"{canary}\"")),
        ("GET", "messages?after=canary-5d1c", String::new()),
        ("POST", "canary-5d1c", String::new()),
        ("POST", "messages", json!({"text": 7, "canary": canary}).to_string()),
    ] {
        let headers = [("user-agent", canary), ("idempotency-key", canary), ("referer", canary), ("x-client", canary)];
        let answer = toy.visit_with(&visitor, method, tail, &headers, &body);
        assert!(!answer.log.to_string().contains(canary), "{}", answer.log);
        assert!(answer.status == 201 || !answer.text.contains(canary), "{}", answer.text);
    }
    let hidden = toy.send("GET", "/v1/canary-5d1c", &[("authorization", canary), ("x-request-id", canary)], canary);
    assert!(!hidden.log.to_string().contains(canary) && !hidden.text.contains(canary));
}

/// The negative control: every test of this world would fail if an answer repeated a credential.
#[test]
#[should_panic(expected = "the answer repeats a credential")]
fn a_repeated_credential_is_seen() {
    let toy = Toy::new("default");
    let visitor = toy.conversation();
    // The one place that repeats what was sent: a preflight tells the page its own origin.
    let origin = format!("https://{}", visitor.key);
    toy.send("OPTIONS", &format!("/w/{}/conversations", visitor.key), &[("origin", &origin)], "");
}

/// What a careless person may paste into the wrong place: whole credentials, and secrets without a brand.
fn pasted(toy: &Toy) -> Vec<String> {
    let visitor = toy.conversation();
    let root = ROOT.split_once(':').unwrap().1.to_owned();
    let deploy_key = toy.deploy_key_for(Stage::Dev, "local", 60);
    let (_, server_key) = toy.server_key("acme", "live", &json!(null));
    let (_, service_token) = toy.service_token("acme", "test", "a", &json!(null));
    let upper = [visitor.key.to_uppercase(), server_key.to_uppercase()];
    let mut pasted = vec![visitor.secret, visitor.key, deploy_key, root, ROOT.to_owned(), server_key, service_token];
    pasted.extend(upper);
    pasted
}

#[test]
fn l6_a_secret_in_the_path_of_a_document_is_not_repeated() {
    let toy = Toy::new("default");
    for secret in pasted(&toy) {
        for path in [format!("/{secret}"), format!("/w/{secret}"), format!("/a/x.{secret}/b")] {
            toy.send("GET", &format!("/.well-known/oauth-protected-resource{path}"), &[], "").refused(404, "not_found");
        }
    }
    toy.send("GET", "/.well-known/oauth-protected-resource/mcp/clv_live/0a1b2c3d-0000-4000-8000-0123456789ab", &[], "")
        .ok(200);
}

#[test]
fn l6_a_secret_is_taken_neither_for_a_name_nor_for_a_reason() {
    let toy = Toy::new("default");
    let secrets = pasted(&toy);
    let id = toy.admin("GET", "/v1/credentials?workspace=acme", &json!(null)).json["items"][0]["id"].clone();
    let path = format!("/v1/credentials/{}", id.as_str().unwrap());
    let key = |name: &str| json!({"kind": "widget_key", "workspace": "acme", "environment": "live", "name": name, "origins": [ORIGIN]});
    let encoded = |secret: &str| secret.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let end = |secret: &str| encoded(&secret[secret.len().saturating_sub(43)..]);
    let spelled = |secret: &String| [secret.clone(), format!("mine: {secret}"), end(secret)];
    for secret in secrets.iter().flat_map(spelled).filter(|text| text.len() <= 200) {
        // That a deploy key was used is counted in its own object, and puts it on the list.
        let rows = || {
            let mut objects = toy.snapshot();
            objects.values_mut().for_each(|object| object.rows.retain(|row, _| !row.starts_with("deploy-key/")));
            objects.retain(|(_, name), object| !name.starts_with("dk_") && !object.rows.is_empty());
            objects
        };
        let before = rows();
        toy.admin("POST", "/v1/workspaces", &json!({"name": secret})).refused(400, "invalid_request");
        toy.admin("POST", "/v1/credentials", &key(&secret)).refused(400, "invalid_request");
        toy.admin("PATCH", &path, &json!({"name": secret})).refused(400, "invalid_request");
        toy.admin("POST", &format!("{path}/revoke"), &json!({"reason": secret})).refused(400, "invalid_request");
        assert!(rows() == before, "something of it was kept");
    }
    toy.admin("PATCH", &path, &json!({"name": "clv_live shop, Zürich"})).ok(200);
    toy.admin("POST", &format!("{path}/revoke"), &json!({"reason": "leaked in a log, see ticket 4711"})).ok(200);
}

#[test]
fn l6_a_credential_is_taken_neither_for_a_service_nor_for_an_origin_nor_for_whoever_made_others() {
    let toy = Toy::new("default");
    let secrets: Vec<String> =
        pasted(&toy).into_iter().filter(|secret| secret.to_lowercase().contains("clv_")).collect();
    assert!(secrets.len() > 6);
    let order = |kind: &str, member: &str, value: Value| {
        let mut body = json!({"kind": kind, "workspace": "acme", "environment": "live", "name": "n", "service": "a"});
        if kind == "widget_key" {
            body["service"] = Value::Null;
        }
        body[member] = value;
        toy.admin("POST", "/v1/credentials", &body)
    };
    let (id, key) = toy.server_key("acme", "live", &json!(null));
    let bearer = format!("Bearer {key}");
    for secret in &secrets {
        order("service_token", "service", json!(secret)).refused(400, "invalid_request");
        let origin = format!("https://{}.example", secret.to_lowercase());
        order("widget_key", "origins", json!([origin])).refused(400, "invalid_request");
        let many = json!({"created_by": format!("server_key:{secret}")});
        toy.admin("POST", "/v1/workspaces/acme/credentials/revoke", &many).refused(400, "invalid_request");
        // A page of that name is told of, and its name is not.
        let page = [("authorization", bearer.as_str()), ("origin", origin.as_str())];
        toy.send("GET", "/v1/whoami", &page, "").refused(403, "server_key_in_browser");
        toy.advance(61);
        for (name, object) in toy.objects.borrow().iter() {
            for (row, value) in &object.rows {
                let stored = format!("{row} {}", String::from_utf8_lossy(value)).to_lowercase();
                let hidden = &secret.to_lowercase()[secret.len() - 26..];
                assert!(!stored.contains(hidden), "{name:?} {row}");
            }
        }
    }
    let seen = toy.admin("GET", &format!("/v1/credentials/{id}"), &json!(null)).ok(200).json["seen_in_browser"].clone();
    assert!(seen["at"].is_string() && seen["origin"].is_null(), "{seen}");
}

/// Where a key can stand in a request, beside where it belongs.
const HEADERS: [&str; 16] = [
    "authorization",
    "x-api-key",
    "x-service-token",
    "x-service-name",
    "proxy-authorization",
    "cookie",
    "user-agent",
    "referer",
    "origin",
    "idempotency-key",
    "accept",
    "content-type",
    "x-request-id",
    "x-client",
    "x-forwarded-for",
    "host",
];

#[test]
fn l6_a_servers_credential_stands_in_no_answer_log_audit_or_row_wherever_it_was_sent() {
    let toy = Toy::new("default");
    toy.workspace("acme");
    let every = json!({"scopes": ["admin", "messages:read", "messages:write"], "tier": "standard"});
    let (id, key) = toy.server_key("acme", "live", &every);
    let (_, token) = toy.service_token("acme", "live", "a", &every);
    let old = key.clone();
    let key = toy.admin("POST", &format!("/v1/credentials/{id}/rotate"), &json!({})).ok(201).text_at("secret");
    let (_, wk) = toy.widget_key("acme", "live", &[ORIGIN]);
    let bearer = format!("Bearer {key}");
    let secrets = [key.as_str(), token.as_str(), old.as_str()];
    let hidden: Vec<&str> = secrets.iter().map(|secret| &secret[secret.len() - 24..]).collect();
    let check = |answer: &Answer, what: &str| {
        let said = format!("{} {:?} {}", answer.text, answer.headers, answer.log);
        assert!(answer.status != 500 && !hidden.iter().any(|secret| said.contains(secret)), "{what}: {said}");
    };
    let calls = [
        ("GET", "/v1/whoami".to_owned()),
        ("GET", "/v1/credentials".to_owned()),
        ("POST", "/v1/credentials".to_owned()),
        ("GET", format!("/v1/credentials/{id}/usage")),
        ("GET", "/v1/audit".to_owned()),
        ("POST", format!("/w/{wk}/conversations")),
        ("OPTIONS", format!("/w/{wk}/conversations")),
        ("GET", "/healthz".to_owned()),
        ("GET", "/nothing".to_owned()),
    ];
    for (method, path) in &calls {
        for secret in secrets {
            for value in
                [secret.to_owned(), format!("Bearer {secret}"), format!("Basic {secret}"), format!("a, {secret}")]
            {
                for name in HEADERS {
                    let more = [("authorization", bearer.as_str()), (name, value.as_str())];
                    for headers in [&more[1..], &more] {
                        // The one place that repeats what was sent: a preflight tells the page its own origin.
                        if !(*method == "OPTIONS" && name == "origin") {
                            check(&toy.exchange(method, path, headers, ""), &format!("{method} {path} {name}"));
                        }
                        toy.advance(1);
                    }
                }
            }
            let good = [("authorization", bearer.as_str())];
            for path in [
                format!("{path}/{secret}"),
                format!("/{secret}{path}"),
                format!("{path}?{secret}=1"),
                format!("{path}?cursor={secret}&workspace={secret}"),
            ] {
                check(&toy.exchange(method, &path, &good, ""), &path);
                check(&toy.exchange(method, &path, &[("origin", ORIGIN)], ""), &path);
            }
            for member in [
                "name",
                "kind",
                "workspace",
                "environment",
                "service",
                "scopes",
                "tier",
                "limits",
                "allowed_addresses",
                "origins",
                "reason",
                secret,
            ] {
                let mut body = json!({"kind": "service_token", "environment": "live", "name": "n", "service": "a"});
                for value in [json!(secret), json!([secret]), json!({secret: secret}), json!([{secret: [secret]}])] {
                    body[member] = value;
                    check(&toy.exchange(method, path, &good, &body.to_string()), &format!("{method} {path} {body}"));
                    toy.advance(1);
                }
            }
        }
    }
    toy.advance(3_600);
    for path in
        ["/v1/audit?workspace=acme", "/v1/audit/export?workspace=acme", "/v1/audit", "/v1/credentials?workspace=acme"]
    {
        check(&toy.admin("GET", path, &json!(null)).ok(200), path);
    }
    // What was handed out on the way, too.
    let issued = toy.issued.borrow();
    assert!(issued.iter().any(|secret| secret.as_str() == key));
    for (name, object) in toy.objects.borrow().iter() {
        for (row, value) in &object.rows {
            let stored = format!("{} {row} {}", name.1, String::from_utf8_lossy(value));
            for secret in issued.iter() {
                assert!(!stored.contains(&secret[secret.len() - 24..]), "{name:?} {row}");
            }
        }
    }
}

#[test]
fn l6_a_secret_as_the_name_of_a_member_is_not_repeated_not_even_its_beginning() {
    let toy = Toy::new("default");
    for secret in pasted(&toy) {
        let told = toy.admin("POST", "/v1/workspaces", &json!({"name": "a", secret.clone(): 1}));
        told.refused(400, "invalid_request");
        assert!(!told.text.contains(&secret[..20]), "{}", told.text);
    }
    let told = toy.admin("POST", "/v1/workspaces", &json!({"name": "a", "is_admin": true}));
    assert!(told.text.contains("`is_admin`"), "{}", told.text);
}
