//! Requests whatever credential they carry: headers, paths, methods, bodies, documents for anybody, and a broken configuration.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod toy;

use serde_json::json;
use toy::{Answer, ROOT, Toy, VARIABLES, idle};

fn whoami(toy: &Toy, headers: &[(&str, &str)]) -> Answer {
    toy.send("GET", "/v1/whoami", headers, "")
}

#[test]
fn a16_a_header_over_8_kib_is_refused_before_anything_is_looked_at() {
    let toy = Toy::new("default");
    let key = toy.deploy_key();
    whoami(&toy, &[("authorization", &key), ("x-any", &"x".repeat(8_192))]).ok(200);
    idle(&whoami(&toy, &[("authorization", &key), ("x-any", &"x".repeat(8_193))]), 431, "header_too_large");
    idle(&whoami(&toy, &[("authorization", &format!("Bearer {}", "x".repeat(300_000)))]), 431, "header_too_large");
}

#[test]
fn a22_a23_what_is_spelled_differently_is_not_there_and_other_methods_are_told() {
    let toy = Toy::new("default");
    let key = toy.deploy_key();
    for path in [
        "/v1",
        "/v1/whoami/",
        "/V1/whoami",
        "//v1/whoami",
        "/v1/%77hoami",
        "/v1/../v1/whoami",
        "/w",
        "/w/x",
        "/w/x/messages",
        "/v1/whoami;x",
        "/console/",
    ] {
        idle(&toy.send("GET", path, &[("authorization", &key)], ""), 404, "not_found");
    }
    for (method, path, allow) in [
        ("POST", "/v1/whoami", "GET, HEAD"),
        ("OPTIONS", "/v1/whoami", "GET, HEAD"),
        ("TRACE", "/v1/whoami", "GET, HEAD"),
        ("get", "/v1/whoami", "GET, HEAD"),
        ("DELETE", "/v1/credentials", "GET, POST, HEAD"),
        ("PUT", "/v1/credentials/x", "GET, PATCH, HEAD"),
        ("GET", "/v1/credentials/x/revoke", "POST"),
        ("GET", "/w/x/conversations", "POST, OPTIONS"),
        ("DELETE", "/w/x/conversations/y/messages", "GET, POST, HEAD, OPTIONS"),
        ("POST", "/healthz", "GET, HEAD, OPTIONS"),
    ] {
        let refused = toy.send(method, path, &[("authorization", &key), ("x-http-method-override", "GET")], "");
        idle(&refused, 405, "method_not_allowed");
        assert_eq!(refused.header("allow"), Some(allow), "{method} {path}");
    }
}

#[test]
fn a27_a28_bodies_are_json_of_one_object_and_not_too_long() {
    let toy = Toy::new("default");
    let key = toy.deploy_key();
    let send = |headers: &[(&str, &str)], body: &str| {
        let mut all = vec![("authorization", key.as_str())];
        all.extend(headers);
        toy.send("POST", "/v1/workspaces", &all, body)
    };
    let good = "{\"name\":\"n\"}";
    for media_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/json; charset=utf-16",
        "application/jsonx",
        "text/json",
        "application/json, text/plain",
    ] {
        send(&[("content-type", media_type)], good).refused(415, "unsupported_media_type");
    }
    send(&[("content-type", "")], good).refused(415, "unsupported_media_type");
    for media_type in ["application/json", "Application/JSON; charset=UTF-8", "application/json;charset=\"utf-8\""] {
        send(&[("content-type", media_type)], good).ok(201);
    }
    for body in [
        "{",
        "[]",
        "null",
        "7",
        "\"n\"",
        "{\"name\":\"n\",\"name\":\"m\"}",
        "{\"name\":NaN}",
        "{\"name\":1e400}",
        "{\"name\":\"\\ud800\"}",
        "{} {}",
    ] {
        send(&[], body).refused(400, "invalid_request");
    }
    send(&[], &format!("{{\"name\":{}1{}}}", "[".repeat(1_000), "]".repeat(1_000))).refused(400, "invalid_request");
    let long = json!({"name": "x".repeat(1 << 20)}).to_string();
    send(&[], &long).refused(413, "payload_too_large");
    send(&[("content-length", "1048577")], good).refused(413, "payload_too_large");
    let unknown = send(&[], "{\"name\":\"n\",\"ownr\":1}");
    unknown.refused(400, "invalid_request");
    assert!(unknown.text_at("error").contains("`ownr`"), "{}", unknown.text);
}

#[test]
fn a_refusal_is_also_told_as_a_problem_where_that_is_asked_for() {
    let toy = Toy::new("default");
    let refused = whoami(&toy, &[("accept", "application/problem+json, application/json;q=0.5")]);
    refused.refused(401, "missing_credential");
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    assert_eq!(
        (refused.json["type"].as_str(), refused.json["status"].as_u64()),
        (Some("https://auth.example/docs/errors#missing_credential"), Some(401))
    );
    assert_eq!(refused.json["detail"], "Send one in the Authorization header.");
    assert_eq!(refused.text_at("fix"), format!("{} See {}", refused.text_at("detail"), refused.text_at("type")));
    assert_eq!(refused.text_at("title"), refused.text_at("error"));
    assert_eq!(whoami(&toy, &[("accept", "*/*")]).header("content-type"), Some("application/json"));
}

#[test]
fn documents_are_for_anybody_and_ask_nobody() {
    let toy = Toy::new("default");
    for (path, status) in [
        ("/healthz", 200),
        ("/docs", 200),
        ("/docs/errors", 200),
        ("/widget.js", 200),
        ("/.well-known/oauth-protected-resource", 200),
        ("/.well-known/oauth-protected-resource/v1/x", 200),
        ("/.well-known/oauth-protected-resource/../x", 404),
        ("/.well-known/oauth-protected-resource/%3Cb%3E", 404),
    ] {
        for headers in [vec![], vec![("authorization", "Bearer x"), ("origin", "https://any.example")]] {
            let told = toy.send("GET", path, &headers, "").ok(status);
            assert_eq!((told.hops, told.header("access-control-allow-origin")), (0, Some("*")), "{path}");
            assert_eq!(toy.send("HEAD", path, &headers, "").ok(status).text, "");
            assert_eq!(toy.send("OPTIONS", path, &headers, "").ok(204).hops, 0);
        }
    }
    let told = toy.send("GET", "/.well-known/oauth-protected-resource/v1/x", &[("host", "evil.example")], "").ok(200);
    assert_eq!(told.json["resource"], "https://auth.example/v1/x", "a21: never from Host");
    let bare = Toy::changed(&[("POLICY_TOML", "brand = \"clv\"\n[scopes]\n")]);
    idle(&bare.send("GET", "/widget.js", &[], ""), 404, "not_found");
    idle(&bare.send("POST", "/w/x/conversations", &[], ""), 404, "not_found");
}

#[test]
fn every_variable_that_is_missing_or_malformed_closes_everything_and_is_named() {
    let long = "x".repeat(65);
    let padded = format!("{ROOT}=");
    let doubled = format!("{ROOT},{ROOT}");
    let demoted = format!("{ROOT}:check-only");
    for (name, values) in [
        ("ROOT_SECRETS", vec!["", "x", "r1:AAAA", &padded, &doubled, &demoted, "r1:!", "a:b:c:d"]),
        (
            "ORIGIN",
            vec![
                "",
                "auth.example",
                "https://auth.example/",
                "https://auth.example/x",
                "ftp://auth.example",
                "https://AUTH.example",
                "https://auth.example:443",
            ],
        ),
        ("STAGE", vec!["", "productions", "Dev", " dev"]),
        ("DEPLOYMENT", vec!["", "a b", "a/b", "ä", &long]),
        ("POLICY", vec!["unknown", "../default"]),
        ("POLICY_TOML", vec!["x", "brand = 7", "brand = \"clv\"\nunknown = 1"]),
    ] {
        for value in values {
            let toy = Toy::changed(&[(name, value)]);
            for (method, path) in
                [("GET", "/v1/whoami"), ("GET", "/healthz"), ("POST", "/w/x/conversations"), ("GET", "/nowhere")]
            {
                let refused = toy.send(method, path, &[("authorization", "Bearer x")], "");
                idle(&refused, 503, "not_configured");
                assert!(refused.text.contains(name) || name == "POLICY", "{name}={value}: {}", refused.text);
                assert!(!refused.text.contains(&ROOT[3..]), "a root secret is never repeated");
            }
        }
    }
    let plain = |stage, origin| Toy::changed(&[("STAGE", stage), ("ORIGIN", origin)]).send("GET", "/healthz", &[], "");
    plain("dev", "http://auth.example").ok(200);
    plain("prod", "http://127.0.0.1:8787").ok(200);
    idle(&plain("prod", "http://auth.example"), 503, "not_configured");
    assert_eq!(VARIABLES.len(), 5);
    Toy::new("support").send("GET", "/healthz", &[], "").ok(200);
}
