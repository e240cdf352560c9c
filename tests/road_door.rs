//! The door: how a credential may be presented, and what is said to those who stay outside.
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
use serde_json::Value;
use toy::{Answer, ORIGIN, Toy, Visitor, forge, idle, told_to_the_page};

fn whoami(toy: &Toy, headers: &[(&str, &str)]) -> Answer {
    toy.send("GET", "/v1/whoami", headers, "")
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
    told_to_the_page(&toy.send("GET", &path, &[("origin", ORIGIN)], ""), 401, "missing_credential");
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
    told_to_the_page(&toy.visit_with(&visitor, "GET", "messages", &headers, ""), 400, "ambiguous_credential");
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
        told_to_the_page(&read(&value), 401, "invalid_credential");
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
    told_to_the_page(
        &toy.visit_with(&Visitor { secret: String::new(), ..visitor.clone() }, "GET", "messages", &[], ""),
        401,
        "invalid_credential",
    );
    let path = format!("/w/{}/conversations", visitor.key);
    let messages = format!("{path}/{}/messages", visitor.conversation);
    let bearer = |text: &str| format!("Bearer {text}");
    for (method, path, values) in [
        ("POST", &path, [key.clone(), bearer(&visitor.secret), bearer(&visitor.key)].as_slice()),
        ("GET", &messages, [key.clone(), bearer(&visitor.key)].as_slice()),
    ] {
        for value in values {
            let refused = toy.send(method, path, &[("authorization", value)], "");
            idle(&refused, 403, "credential_kind_not_allowed");
            // From a page: an operator's own has leaked, and its object is told.
            let refused = toy.send(method, path, &[("origin", ORIGIN), ("authorization", value)], "");
            match *value == key {
                true => refused.refused(403, "server_key_in_browser"),
                false => refused.refused(403, "credential_kind_not_allowed"),
            };
            assert_eq!(
                (refused.hops, refused.header("access-control-allow-origin")),
                // The key of the page is genuine and lists it: so it may read why.
                (1 + usize::from(*value == key), Some(ORIGIN))
            );
        }
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
        refused.refused(403, "server_key_in_browser");
        assert_eq!(refused.hops, 1, "its object counts that");
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

proptest! {
    #[test]
    fn a14_a15_no_header_and_no_path_breaks_the_door_or_costs_a_hop(text in "\\PC*", scheme in "(Bearer|Convex|Deploy|)") {
        let toy = Toy::new("default");
        for (path, headers) in [
            ("/v1/whoami".to_owned(), vec![("authorization".to_owned(), format!("{scheme} {text}"))]),
            ("/v1/whoami".to_owned(), vec![("x-api-key".to_owned(), text.clone())]),
            (format!("/w/{text}/conversations"), Vec::new()),
            (format!("/x{text}"), Vec::new()),
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
