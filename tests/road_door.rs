//! The door: how a credential may be presented, what else a request may carry, and what is said to those who stay outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod toy;

use proptest::prelude::*;
use serde_json::{Value, json};
use toy::{Answer, ORIGIN, ROOT, Toy, VARIABLES, Visitor, forge};

fn whoami(toy: &Toy, headers: &[(&str, &str)]) -> Answer {
    toy.send("GET", "/v1/whoami", headers, "")
}

/// A refusal that cost nobody anything.
#[track_caller]
fn idle(answer: &Answer, status: u16, code: &str) {
    answer.refused(status, code);
    assert_eq!((answer.hops, answer.made), (0, 0), "{}", answer.text);
}

#[test]
fn a1_without_a_credential_the_answer_says_where_to_get_one_and_blames_nobody() {
    let toy = Toy::new("default");
    let refused = whoami(&toy, &[]);
    idle(&refused, 401, "missing_credential");
    let challenge = "Bearer resource_metadata=\"https://auth.example/.well-known/oauth-protected-resource\"";
    assert_eq!(refused.header("www-authenticate"), Some(challenge));
    let visitor = toy.conversation();
    let path = format!("/w/{}/conversations/{}/messages", visitor.key, visitor.conversation);
    idle(&toy.send("GET", &path, &[("origin", ORIGIN)], ""), 401, "missing_credential");
}

#[test]
fn a2_a3_a4_a5_two_credentials_are_ambiguous_also_when_they_are_the_same() {
    let toy = Toy::new("default");
    let visitor = toy.conversation();
    let (key, bearer) = (toy.deploy_key(), format!("Bearer {}", visitor.secret));
    for headers in [
        vec![("authorization", key.as_str()), ("authorization", key.as_str())],
        vec![("authorization", key.as_str()), ("authorization", bearer.as_str())],
        vec![("x-api-key", visitor.key.as_str()), ("x-api-key", visitor.key.as_str())],
        vec![("authorization", key.as_str()), ("x-api-key", visitor.key.as_str())],
        vec![("authorization", key.as_str()), ("x-api-key", "x")],
        vec![("authorization", "x"), ("x-service-token", "x")],
        vec![("authorization", "x"), ("x-api-key", "x"), ("x-service-token", "x")],
    ] {
        idle(&whoami(&toy, &headers), 400, "ambiguous_credential");
    }
    let headers = [("authorization", bearer.as_str()), ("x-api-key", visitor.secret.as_str())];
    idle(&toy.visit_with(&visitor, "GET", "messages", &headers, ""), 400, "ambiguous_credential");
}

#[test]
fn a6_b27_a_credential_in_the_query_is_refused_and_never_repeated() {
    let toy = Toy::new("default");
    let visitor = toy.conversation();
    let key = toy.deploy_key();
    idle(&toy.send("GET", "/v1/whoami?access_token=x", &[("authorization", &key)], ""), 400, "invalid_request");
    idle(&toy.send("GET", "/v1/whoami?access_token=x", &[], ""), 401, "missing_credential");
    let deploy_key = key.strip_prefix("Convex ").unwrap().replace('|', "%7C");
    for secret in [visitor.key.as_str(), &visitor.secret, &deploy_key] {
        for query in [format!("access_token={secret}"), format!("a=b&anything={secret}")] {
            idle(&toy.send("GET", &format!("/v1/whoami?{query}"), &[], ""), 400, "invalid_request");
            idle(
                &toy.send("GET", &format!("/v1/whoami?{query}"), &[("authorization", &key)], ""),
                400,
                "invalid_request",
            );
        }
    }
}

#[test]
fn b27_a_history_secret_in_the_query_of_a_widget_call_is_refused_too() {
    let toy = Toy::new("default");
    let visitor = toy.conversation();
    let tail = format!("messages?history_secret={}", visitor.secret);
    toy.visit(&visitor, "GET", &tail, "").refused(400, "invalid_request");
    let path = format!("/w/{}/conversations/{}/{tail}", visitor.key, visitor.conversation);
    toy.send("GET", &path, &[("origin", ORIGIN)], "").refused(400, "invalid_request");
}

#[test]
fn a7_to_a19_one_scheme_one_space_and_every_kind_behind_its_own() {
    let toy = Toy::new("default");
    let visitor = toy.conversation();
    let key = toy.deploy_key();
    let text = key.strip_prefix("Convex ").unwrap();
    for scheme in ["Convex", "convex", "CONVEX", "Deploy", "dEpLoY"] {
        whoami(&toy, &[("authorization", &format!("{scheme} {text}"))]).ok(200);
    }
    let secret = visitor.secret.as_str();
    for value in [
        format!("Bearer {text}"),
        format!("Basic {text}"),
        format!("Token {text}"),
        format!("Convex  {text}"),
        format!("Convex\t{text}"),
        format!("Convex {text} "),
        format!(" Convex {text}"),
        format!("Convex{text}"),
        text.to_owned(),
        "Convex".to_owned(),
        "Convex ".to_owned(),
        format!("Convex {secret}"),
        format!("Convex {}", visitor.key),
        format!("Convex {text},x"),
        format!("Convex {}", text.replace("clv", "сlv")),
        format!("Convex \u{fffd}{text}"),
        format!("Digest {secret}"),
        format!("Bearer  {secret}"),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
    ] {
        idle(&whoami(&toy, &[("authorization", &value)]), 401, "invalid_credential");
    }
    for header in ["x-api-key", "x-service-token"] {
        idle(&whoami(&toy, &[(header, text)]), 401, "invalid_credential");
    }
    let path = format!("/w/{}/conversations/{}/messages", visitor.key, visitor.conversation);
    let read = |value: &str| toy.send("GET", &path, &[("origin", ORIGIN), ("authorization", value)], "");
    read(&format!("bEaReR {secret}")).ok(200);
    for value in
        [format!("Convex {secret}"), format!("Bearer  {secret}"), format!("Bearer {secret},"), secret.to_owned()]
    {
        idle(&read(&value), 401, "invalid_credential");
    }
}

#[test]
fn a19_a_history_secret_is_a_bearer_token_and_no_api_key() {
    let toy = Toy::new("default");
    let visitor = toy.conversation();
    let path = format!("/w/{}/conversations/{}/messages", visitor.key, visitor.conversation);
    toy.send("GET", &path, &[("origin", ORIGIN), ("x-api-key", &visitor.secret)], "")
        .refused(401, "invalid_credential");
}

#[test]
fn b17_b18_no_kind_opens_what_is_not_its_own() {
    let toy = Toy::new("default");
    let visitor = toy.conversation();
    for secret in [&visitor.secret, &visitor.key] {
        idle(&whoami(&toy, &[("authorization", &format!("Bearer {secret}"))]), 403, "credential_kind_not_allowed");
    }
    idle(&whoami(&toy, &[("x-api-key", &visitor.key)]), 403, "credential_kind_not_allowed");
    let key = toy.deploy_key();
    idle(
        &toy.visit_with(&Visitor { secret: String::new(), ..visitor.clone() }, "GET", "messages", &[], ""),
        401,
        "invalid_credential",
    );
    let path = format!("/w/{}/conversations", visitor.key);
    for value in [key.clone(), format!("Bearer {}", visitor.secret), format!("Bearer {}", visitor.key)] {
        let refused = toy.send("POST", &path, &[("origin", ORIGIN), ("authorization", &value)], "");
        if value == key || value.ends_with(&visitor.secret) {
            idle(&refused, 403, "credential_kind_not_allowed");
        } else {
            refused.refused(403, "credential_kind_not_allowed");
        }
    }
    let messages = format!("{path}/{}/messages", visitor.conversation);
    for value in [key.clone(), format!("Bearer {}", visitor.key)] {
        idle(
            &toy.send("GET", &messages, &[("origin", ORIGIN), ("authorization", &value)], ""),
            403,
            "credential_kind_not_allowed",
        );
    }
    // In the path: a history secret is of another kind, and a deploy key is not even that.
    idle(
        &toy.send("POST", &format!("/w/{}/conversations", visitor.secret), &[("origin", ORIGIN)], ""),
        403,
        "credential_kind_not_allowed",
    );
    for text in [key.strip_prefix("Convex ").unwrap(), "clv_live_x", "x", "", "..", &forge(&visitor.key)] {
        idle(
            &toy.send("POST", &format!("/w/{text}/conversations"), &[("origin", ORIGIN)], ""),
            401,
            "invalid_credential",
        );
    }
}

#[test]
fn a_deploy_key_from_a_browser_is_refused_and_a_server_is_not_mistaken_for_one() {
    let toy = Toy::new("default");
    let key = toy.deploy_key();
    for header in [
        ("origin", "https://console.example"),
        ("origin", "null"),
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-site", "none"),
    ] {
        let refused = whoami(&toy, &[("authorization", &key), header]);
        idle(&refused, 403, "server_key_in_browser");
        assert_eq!(refused.header("access-control-allow-origin"), None);
    }
    whoami(
        &toy,
        &[
            ("authorization", &key),
            ("sec-fetch-mode", "cors"),
            ("user-agent", "node"),
            ("referer", "https://x.example/"),
        ],
    )
    .ok(200);
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
        "/",
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
        (Some("urn:claviger:error:missing_credential"), Some(401))
    );
    assert!(refused.json["title"].is_string() && refused.json["detail"].is_string());
    assert_eq!(whoami(&toy, &[("accept", "*/*")]).header("content-type"), Some("application/json"));
}

#[test]
fn documents_are_for_anybody_and_ask_nobody() {
    let toy = Toy::new("default");
    for (path, status) in [
        ("/healthz", 200),
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
        ("STAGE", vec!["", "production", "Dev", " dev"]),
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
    assert_eq!(VARIABLES.len(), 5);
    Toy::new("support").send("GET", "/healthz", &[], "").ok(200);
}

proptest! {
    #[test]
    fn a14_a15_no_header_and_no_path_breaks_the_door_or_costs_a_hop(text in "\\PC*", scheme in "(Bearer|Convex|Deploy|)") {
        let toy = Toy::new("default");
        for (path, headers) in [
            ("/v1/whoami".to_owned(), vec![("authorization".to_owned(), format!("{scheme} {text}"))]),
            ("/v1/whoami".to_owned(), vec![("x-api-key".to_owned(), text.clone())]),
            (format!("/w/{text}/conversations"), Vec::new()),
            (format!("/{text}"), Vec::new()),
            (format!("/v1/whoami?{text}"), Vec::new()),
        ] {
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let refused = toy.send("POST", &path, &headers, &Value::Null.to_string());
            prop_assert!((400..500).contains(&refused.status), "{} {}", refused.status, refused.text);
            let refused = toy.send("GET", &path, &headers, "");
            prop_assert!((400..500).contains(&refused.status) && refused.hops == 0, "{} {}", refused.status, refused.text);
        }
    }
}
