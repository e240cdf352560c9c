//! Server keys and service tokens as attackers send them, by the number of the attack: what is refused, and what it costs whom.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod toy;

use serde_json::{Value, json};
use std::collections::BTreeMap;
use toy::{Answer, Fault, Name, ORIGIN, Object, Toy, forge, idle, told_to_the_page};

const HERE: &str = "/v1/whoami";

fn world() -> Toy {
    let toy = Toy::new("default");
    toy.workspace("acme");
    toy
}

fn get(toy: &Toy, headers: &[(&str, &str)]) -> Answer {
    toy.send("GET", HERE, headers, "")
}

/// All that is kept, without what counts the uses of operators' keys.
fn kept(toy: &Toy) -> BTreeMap<Name, Object> {
    toy.kept()
}

fn usage(toy: &Toy, id: &str) -> Value {
    toy.admin("GET", &format!("/v1/credentials/{id}/usage"), &Value::Null).ok(200).json
}

/// Nothing happened: no row, no object, and the key's next call finds its limit as it was.
#[track_caller]
fn unmoved(toy: &Toy, key: &str, act: impl FnOnce()) {
    let remaining =
        || toy.whoami(key).ok(200).header("x-ratelimit-remaining").unwrap().parse::<u32>().expect("a number");
    let first = remaining();
    let (before, issued) = (kept(toy), toy.issued.borrow().len());
    act();
    assert!(kept(toy) == before, "something was kept");
    assert_eq!((remaining(), toy.issued.borrow().len()), (first - 1, issued));
}

#[test]
fn a1_a5_one_credential_in_one_header_once() {
    let toy = world();
    let (_, key) = toy.server_key("acme", "live", &Value::Null);
    let (_, other) = toy.server_key("acme", "test", &Value::Null);
    let (_, token) = toy.service_token("acme", "live", "a", &Value::Null);
    let (bearer, others) = (format!("Bearer {key}"), format!("Bearer {other}"));
    let (bearer, others, key, token) = (bearer.as_str(), others.as_str(), key.as_str(), token.as_str());
    unmoved(&toy, key, || {
        for headers in [
            vec![("authorization", bearer), ("authorization", bearer)],
            vec![("authorization", bearer), ("authorization", others)],
            vec![("authorization", bearer), ("x-api-key", key)],
            vec![("authorization", bearer), ("x-api-key", other.as_str())],
            vec![("authorization", bearer), ("x-api-key", "x")],
            vec![("authorization", "x"), ("x-api-key", key)],
            vec![("x-api-key", key), ("x-api-key", key)],
            vec![("x-api-key", key), ("x-service-token", token), ("x-service-name", "a")],
            vec![("authorization", bearer), ("x-service-token", token), ("x-service-name", "a")],
            vec![("x-service-token", token), ("x-service-token", token), ("x-service-name", "a")],
            vec![("x-service-token", token), ("x-service-name", "a"), ("x-service-name", "a")],
            vec![("x-service-token", token), ("x-service-name", "b"), ("x-service-name", "a")],
        ] {
            idle(&get(&toy, &headers), 400, "ambiguous_credential");
        }
        for headers in
            [vec![], vec![("x-service-name", "a")], vec![("cookie", bearer)], vec![("proxy-authorization", bearer)]]
        {
            idle(&get(&toy, &headers), 401, "missing_credential");
        }
    });
}

#[test]
fn a6_b27_a_key_in_a_query_or_a_path_is_refused_wherever_it_stands_and_never_repeated() {
    let toy = world();
    let (id, key) = toy.server_key("acme", "live", &json!({"scopes": ["admin"]}));
    let (_, token) = toy.service_token("acme", "live", "a", &Value::Null);
    let bearer = format!("Bearer {key}");
    let good = [("authorization", bearer.as_str())];
    for secret in [&key, &token, &key.to_uppercase(), &format!("x{key}"), &key.replace('_', "%5F"), &format!("a|{key}")]
    {
        for query in [format!("access_token={secret}"), format!("workspace={secret}"), format!("{secret}=1")] {
            unmoved(&toy, &key, || {
                idle(&toy.send("GET", &format!("{HERE}?{query}"), &[], ""), 400, "invalid_request");
                idle(&toy.send("GET", &format!("{HERE}?{query}"), &good, ""), 400, "invalid_request");
            });
        }
    }
    idle(&toy.send("GET", "/v1/whoami?access_token=x", &good, ""), 400, "invalid_request");
    for path in ["/v1/credentials/{}", "/v1/credentials/{}/usage", "/v1/workspaces/{}", "/v1/conversations/{}/messages"]
    {
        toy.send("GET", &path.replace("{}", &key), &good, "").refused(404, "not_found");
        toy.send("GET", &path.replace("{}", &token), &good, "").refused(404, "not_found");
    }
    for path in ["/v1/{}", "/{}", "/v1/whoami/{}"] {
        idle(&toy.send("GET", &path.replace("{}", &key), &good, ""), 404, "not_found");
    }
    toy.send("GET", &format!("/v1/credentials/{id}"), &good, "").ok(200);
}

#[test]
fn a7_a8_a10_a11_a18_a19_one_scheme_one_space_and_nothing_around_it() {
    let toy = world();
    let (_, key) = toy.server_key("acme", "live", &Value::Null);
    let (_, token) = toy.service_token("acme", "live", "a", &Value::Null);
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        get(&toy, &[("authorization", &format!("{scheme} {key}"))]).ok(200);
    }
    let deploy_key = toy.deploy_key();
    let deploy_text = deploy_key.strip_prefix("Convex ").unwrap();
    unmoved(&toy, &key, || {
        for value in [
            format!("Bearer  {key}"),
            format!("Bearer\t{key}"),
            format!("Bearer{key}"),
            format!("Bearer {key} "),
            format!(" Bearer {key}"),
            format!("Bearer {key}\u{a0}"),
            format!("Bearer: {key}"),
            format!("Bearer {key},x"),
            format!("Bearer {key};x"),
            format!("Bearer \"{key}\""),
            format!("Bearer Bearer {key}"),
            format!("Basic {key}"),
            format!("Digest {key}"),
            format!("Negotiate {key}"),
            format!("Token {key}"),
            format!("Convex {key}"),
            format!("Deploy {key}"),
            format!("Bearer {token}"),
            format!("Convex {token}"),
            format!("Bearer {deploy_text}"),
            key.clone(),
            "Bearer".to_owned(),
            "Bearer ".to_owned(),
        ] {
            idle(&get(&toy, &[("authorization", &value)]), 401, "invalid_credential");
        }
        for value in [format!(" {key}"), format!("{key} "), format!("\t{key}"), format!("Bearer {key}"), token.clone()]
        {
            idle(&get(&toy, &[("x-api-key", &value)]), 401, "invalid_credential");
        }
        for value in [key.clone(), format!(" {token}"), format!("{token} "), format!("Bearer {token}"), forge(&token)] {
            idle(&get(&toy, &[("x-service-token", &value), ("x-service-name", "a")]), 401, "invalid_credential");
        }
        for value in [format!("Bearer {key}, Bearer {key}"), format!("Bearer {key}, x")] {
            idle(&get(&toy, &[("authorization", &value)]), 400, "ambiguous_credential");
        }
    });
}

#[test]
fn a16_a_header_that_is_too_long_is_refused_before_anything_is_asked() {
    let toy = world();
    let (_, key) = toy.server_key("acme", "live", &Value::Null);
    unmoved(&toy, &key, || {
        for name in ["authorization", "x-api-key", "x-service-token", "x-anything"] {
            let value = format!("Bearer {key}{}", "x".repeat(8_200));
            idle(&get(&toy, &[(name, &value)]), 431, "header_too_large");
        }
    });
}

#[test]
fn a23_to_head_a_key_says_the_same_and_is_counted_the_same() {
    let toy = world();
    let (_, key) = toy.server_key("acme", "live", &Value::Null);
    let bearer = format!("Bearer {key}");
    let head = toy.send("HEAD", HERE, &[("authorization", &bearer)], "").ok(200);
    assert_eq!((head.header("x-ratelimit-remaining"), head.text.as_str()), (Some("59"), ""));
    assert_eq!(toy.send("HEAD", HERE, &[], "").status, 401);
    assert_eq!(toy.send("HEAD", HERE, &[("authorization", &forge(&bearer))], "").status, 401);
    for method in ["get", "POST", "DELETE", "OPTIONS", "TRACE"] {
        let headers = [("authorization", bearer.as_str()), ("x-http-method-override", "GET")];
        idle(&toy.send(method, HERE, &headers, ""), 405, "method_not_allowed");
    }
}

#[test]
fn a24_headers_that_claim_something_are_not_believed() {
    let toy = world();
    toy.workspace("other");
    let (_, key) = toy.server_key("acme", "live", &json!({"scopes": ["admin"], "allowed_addresses": ["192.0.2.7"]}));
    let bearer = format!("Bearer {key}");
    let claims = [
        ("x-forwarded-for", "192.0.2.7"),
        ("cf-connecting-ip", "192.0.2.7"),
        ("forwarded", "for=192.0.2.7"),
        ("x-real-ip", "192.0.2.7"),
        ("x-workspace-id", "other"),
        ("x-service-name", "a"),
        ("claviger-workspace", "other"),
        ("claviger-scopes", "admin"),
        ("cf-worker", "a.example"),
    ];
    let with = |address: &str| {
        let headers = [[("authorization", bearer.as_str()), ("x-client", address)].as_slice(), &claims].concat();
        toy.send("GET", "/v1/credentials", &headers, "")
    };
    with("").refused(403, "address_not_allowed");
    with("198.51.100.1").refused(403, "address_not_allowed");
    let own = with("192.0.2.7").ok(200);
    assert_eq!(own.json["items"][0]["workspace"], "acme");
}

#[test]
fn h5_an_address_is_the_same_in_every_spelling_and_no_other_text_is_one() {
    let toy = world();
    let listed = json!({"allowed_addresses": ["192.0.2.0/24", "2001:db8::/32"]});
    let (_, key) = toy.server_key("acme", "live", &listed);
    let bearer = format!("Bearer {key}");
    let from = |address: &str| get(&toy, &[("authorization", &bearer), ("x-client", address)]);
    for address in [
        "192.0.2.1",
        "::ffff:192.0.2.1",
        "::FFFF:c000:0201",
        "2001:DB8::1",
        "2001:0db8:0:0:0:0:0:1",
        " 192.0.2.1 ",
        // As proxies write it that tell the port too.
        "192.0.2.1:443",
        "[2001:db8::1]",
        "[2001:db8::1]:443",
    ] {
        from(address).ok(200);
    }
    for address in [
        "192.0.3.1",
        "::192.0.2.1",
        "64:ff9b::c000:201",
        "2001:db8::1%eth0",
        "[2001:db8::1]443",
        "[192.0.2.1]",
        "192.0.2.1:x",
        "192.0.3.1:443",
        "192.0.2.1, 192.0.2.1",
        "192.0.2.1,198.51.100.1",
        "192.000.002.001",
        "3221225985",
        "0xc0.0.2.1",
        "192.0.2",
        "192.0.2.0/24",
        "localhost",
        "\u{ff11}92.0.2.1",
        "",
    ] {
        from(address).refused(403, "address_not_allowed");
    }
}

#[test]
fn a_deployment_that_forgets_its_header_closes_what_was_held_to_addresses() {
    let mut toy = world();
    let (_, held) = toy.server_key("acme", "live", &json!({"allowed_addresses": ["192.0.2.0/24"]}));
    let (_, free) = toy.server_key("acme", "live", &Value::Null);
    // The variables of a deployment: what comes first counts.
    toy.config = Toy::changed(&[("CLIENT_ADDRESS_HEADER", "")]).config;
    let from = |key: &str| get(&toy, &[("authorization", &format!("Bearer {key}")), ("x-client", "192.0.2.1")]);
    from(&held).refused(403, "address_not_allowed");
    from(&free).ok(200);
}

#[test]
fn b6_each_end_has_its_code_and_only_whoever_holds_a_genuine_secret_hears_it() {
    let toy = world();
    let (revoked_id, revoked) = toy.server_key("acme", "live", &Value::Null);
    let (rotated_id, rotated) = toy.server_key("acme", "live", &Value::Null);
    let (_, expired) = toy.server_key("acme", "live", &json!({"expires_in": 60}));
    toy.admin("POST", &format!("/v1/credentials/{revoked_id}/revoke"), &json!({})).ok(200);
    let rotate = json!({"overlap_seconds": 0});
    toy.admin("POST", &format!("/v1/credentials/{rotated_id}/rotate"), &rotate).ok(201);
    toy.whoami(&expired).ok(200);
    toy.advance(59);
    toy.whoami(&expired).ok(200);
    toy.advance(1);
    for (key, code) in
        [(&revoked, "revoked_credential"), (&rotated, "revoked_credential"), (&expired, "expired_credential")]
    {
        toy.whoami(key).refused(401, code);
        idle(&toy.whoami(&forge(key)), 401, "invalid_credential");
        // What has ended opens nothing else either, and cannot end anything.
        toy.server(key, "POST", "/v1/self/revoke", &Value::Null).refused(401, code);
    }
    toy.advance(61);
    let page = toy.admin("GET", "/v1/audit?workspace=acme&action=credential.refuse", &Value::Null).ok(200);
    let told: Vec<_> =
        page.json["items"].as_array().unwrap().iter().map(|item| (&item["reason"], &item["count"])).collect();
    let of =
        |reason: &str| told.iter().filter(|(known, _)| **known == reason).map(|(_, count)| count.as_u64()).collect();
    let (revoked, expired): (Vec<_>, Vec<_>) = (of("credential_revoked"), of("credential_expired"));
    assert_eq!((revoked, expired), (vec![Some(2), Some(2)], vec![Some(2)]), "{}", page.text);
}

#[test]
fn b8_another_workspace_answers_alike_whether_it_is_there_or_not() {
    let toy = world();
    toy.workspace("other");
    let (theirs, _) = toy.server_key("other", "live", &Value::Null);
    let (_, key) = toy.server_key("acme", "live", &json!({"scopes": ["admin"]}));
    let made = |workspace: &str| {
        let body = json!({"kind": "server_key", "workspace": workspace, "environment": "live", "name": "n"});
        toy.server(&key, "POST", "/v1/credentials", &body)
    };
    let list =
        |workspace: &str| toy.server(&key, "GET", &format!("/v1/credentials?workspace={workspace}"), &Value::Null);
    let (there, not_there) = (made("other"), made("nobody"));
    there.refused(403, "wrong_workspace");
    assert_eq!(there.text, not_there.text);
    list("other").refused(403, "wrong_workspace");
    assert_eq!(list("other").text, list("nobody").text);
    let nobody = theirs.replace("_other", "_nobody");
    let unknown = theirs.replacen("sk_0", "sk_1", 1).replace("_other", "_acme");
    for (method, tail, body) in [
        ("GET", "", Value::Null),
        ("GET", "/usage", Value::Null),
        ("PATCH", "", json!({"name": "mine"})),
        ("POST", "/rotate", json!({})),
        ("POST", "/rotate/finish", Value::Null),
        ("POST", "/revoke", json!({})),
    ] {
        let answers = [&theirs, &nobody, &unknown].map(|id| {
            let answer = toy.server(&key, method, &format!("/v1/credentials/{id}{tail}"), &body);
            answer.refused(404, "not_found");
            answer.text
        });
        assert!(answers[0] == answers[1] && answers[1] == answers[2], "{method} {tail}");
    }
    for path in ["/v1/workspaces/other", "/v1/workspaces/nobody", "/v1/workspaces/other/identity-secrets"] {
        toy.server(&key, "GET", path, &Value::Null).refused(404, "not_found");
    }
    toy.server(&key, "GET", "/v1/workspaces/acme?workspace=other", &Value::Null).refused(404, "not_found");
    toy.server(&key, "GET", "/v1/audit?workspace=other", &Value::Null).refused(403, "wrong_workspace");
    assert!(toy.snapshot().keys().all(|(_, name)| name != "nobody"), "nobody makes an object by naming it");
}

#[test]
fn b15_what_is_no_id_names_no_object() {
    let toy = world();
    let (id, key) = toy.server_key("acme", "live", &json!({"scopes": ["admin"], "tier": "standard"}));
    let (_, wk) = toy.widget_key("acme", "live", &[ORIGIN]);
    let visitor = toy.open(&wk);
    let (kid, _) = toy.identity_secret("acme");
    let dk = toy.admin("GET", HERE, &Value::Null).text_at("id");
    let objects = toy.objects.borrow().len();
    for other in [
        visitor.conversation.as_str(),
        &kid,
        &dk,
        "acme",
        "x",
        "..",
        "%2e%2e",
        "sk_",
        "' OR 1=1",
        &id.replace("sk_", "wk_"),
        &id.replace("sk_", "st_"),
        &id.replace("sk_", "SK_"),
        &format!("{id} "),
        &format!("{id}%00"),
        &format!("{id}x"),
        &id[..id.len() - 1],
        &id.replace('_', "%5F"),
        &"x".repeat(2_000),
    ] {
        for (method, tail) in [("GET", ""), ("GET", "/usage"), ("POST", "/rotate"), ("POST", "/revoke")] {
            let answer = toy.server(&key, method, &format!("/v1/credentials/{other}{tail}"), &Value::Null);
            assert!(matches!((answer.status, answer.code()), (404, "not_found")), "{other}{tail}: {}", answer.text);
        }
    }
    assert_eq!(toy.objects.borrow().len(), objects);
    toy.whoami(&key).ok(200);
}

#[test]
fn b17_b18_a_key_opens_no_widget_and_its_owner_hears_of_a_page_that_tries() {
    let toy = world();
    let (id, key) = toy.server_key("acme", "live", &json!({"scopes": ["admin"]}));
    let (_, token) = toy.service_token("acme", "live", "a", &Value::Null);
    let (_, wk) = toy.widget_key("acme", "live", &[ORIGIN]);
    let visitor = toy.open(&wk);
    let messages = |key: &str| format!("/w/{key}/conversations/{}/messages", visitor.conversation);
    let bearer = format!("Bearer {key}");
    let beside = [("authorization", bearer.as_str())];
    let services = [("x-service-token", token.as_str()), ("x-service-name", "a")];
    unmoved(&toy, &key, || {
        // No page: refused for its kind, and nobody is asked.
        let path = format!("/w/{key}/conversations");
        idle(&toy.send("POST", &path, &[], "{}"), 403, "credential_kind_not_allowed");
        idle(&toy.send("POST", &messages(&key), &beside, "{}"), 403, "credential_kind_not_allowed");
        idle(&toy.send("POST", &messages(&wk), &beside, "{\"text\":\"hi\"}"), 403, "credential_kind_not_allowed");
        idle(&toy.send("POST", &messages(&wk), &services, "{\"text\":\"hi\"}"), 403, "credential_kind_not_allowed");
        idle(&toy.send("OPTIONS", &path, &[("origin", ORIGIN)], ""), 403, "credential_kind_not_allowed");
        for text in [forge(&key), token.clone(), forge(&token)] {
            let path = format!("/w/{text}/conversations");
            idle(&toy.send("POST", &path, &[("origin", ORIGIN)], "{}"), 401, "invalid_credential");
        }
        let forged = format!("Bearer {}", forge(&key));
        let headers = [("authorization", forged.as_str()), ("origin", ORIGIN)];
        told_to_the_page(&toy.send("POST", &messages(&wk), &headers, "{\"text\":\"hi\"}"), 401, "invalid_credential");
    });
    let page = [("origin", "https://leaky.example")];
    let seen =
        || toy.admin("GET", &format!("/v1/credentials/{id}"), &Value::Null).ok(200).json["seen_in_browser"].clone();
    assert_eq!(seen(), Value::Null);
    for (path, headers) in [
        (format!("/w/{key}/conversations"), page.to_vec()),
        (messages(&wk), [page.as_slice(), &beside].concat()),
        // A call that its kind may never make.
        ("/v1/workspaces".to_owned(), [page.as_slice(), &beside].concat()),
    ] {
        toy.advance(61);
        let refused = toy.send("POST", &path, &headers, "{\"text\":\"hi\"}");
        refused.refused(403, "server_key_in_browser");
        // Beside a genuine widget key its shard is asked as well; it does not list this page, which reads nothing.
        let hops = 1 + usize::from(path == messages(&wk));
        assert_eq!((refused.hops, refused.header("access-control-allow-origin")), (hops, None));
        assert_eq!(refused.log["credential"], id.as_str());
        assert_eq!(refused.log["kind"], "server_key");
        assert_eq!(seen()["origin"], "https://leaky.example");
        assert_eq!(seen()["at"], refused.log["at"]);
    }
    let tried = toy.send("POST", &messages(&wk), &[page.as_slice(), &services].concat(), "{\"text\":\"hi\"}");
    tried.refused(403, "server_key_in_browser");
    toy.advance(61);
    let page = toy.admin("GET", "/v1/audit?workspace=acme&action=credential.refuse", &Value::Null).ok(200);
    let items = page.json["items"].as_array().unwrap();
    let because = |reason: &str| items.iter().filter(|item| item["reason"] == reason).count();
    // The widget key, which does not list this page, counts the two calls that came beside it.
    assert_eq!((because("browser_not_allowed"), because("origin_not_allowed")), (4, 2), "{}", page.text);
    assert_eq!(usage(&toy, &id)["denied"], 3);
    toy.whoami(&key).ok(200);
}

#[test]
fn b35_an_operators_key_passes_no_gateway_and_one_in_a_page_is_told_of() {
    let toy = Toy::new("llm");
    let key = toy.deploy_key();
    let call = |headers: &[(&str, &str)]| toy.send("GET", "/v1/models", headers, "");
    let other = call(&[("authorization", &key)]);
    other.refused_as_openai(403, "credential_kind_not_allowed");
    assert_eq!((other.hops, other.made), (0, 0));
    let leaked = call(&[("authorization", &key), ("origin", ORIGIN)]);
    leaked.refused_as_openai(403, "server_key_in_browser");
    assert_eq!(leaked.hops, 1, "its object counts that");
}

#[test]
fn b17_what_belongs_to_pages_is_no_servers_key() {
    let toy = world();
    let (_, wk) = toy.widget_key("acme", "live", &[ORIGIN]);
    let visitor = toy.open(&wk);
    let bearer = |text: &str| format!("Bearer {text}");
    let (key, secret) = (bearer(&visitor.key), bearer(&visitor.secret));
    for (method, path) in
        [("GET", HERE), ("POST", "/v1/self/revoke"), ("GET", "/v1/credentials"), ("POST", "/v1/credentials")]
    {
        for headers in [[("authorization", key.as_str())], [("x-api-key", &visitor.key)], [("authorization", &secret)]]
        {
            idle(&toy.send(method, path, &headers, ""), 403, "credential_kind_not_allowed");
        }
        idle(&toy.send(method, path, &[("x-api-key", &visitor.secret)], ""), 401, "invalid_credential");
        for text in [&visitor.key, &visitor.secret] {
            let headers = [("x-service-token", text.as_str()), ("x-service-name", "a")];
            idle(&toy.send(method, path, &headers, ""), 401, "invalid_credential");
        }
    }
}

#[test]
fn a_service_token_beside_any_other_name_is_refused_and_counted() {
    let toy = world();
    let (id, token) = toy.service_token("acme", "live", "Capture.spine-1", &Value::Null);
    let call = |name: &str| get(&toy, &[("x-service-token", &token), ("x-service-name", name)]);
    call("Capture.spine-1").ok(200);
    let wrong = [
        "",
        "capture.spine-1",
        "Capture.spine-1 ",
        " Capture.spine-1",
        "Capture.spine-2",
        "Capture.spine-11",
        "\"Capture.spine-1\"",
        "Capture%2Espine-1",
        "*",
        "null",
    ];
    let answers = wrong.map(|name| {
        let answer = call(name);
        answer.refused(401, "invalid_credential");
        assert_eq!(answer.hops, 1);
        answer.text
    });
    assert!(answers.iter().all(|text| *text == answers[0]));
    idle(&call("Capture.spine-1,x"), 400, "ambiguous_credential");
    let counted = usage(&toy, &id);
    assert_eq!((&counted["total"], &counted["denied"]), (&json!(1), &json!(wrong.len())));
    toy.advance(61);
    let page = toy.admin("GET", "/v1/audit?workspace=acme&action=credential.refuse", &Value::Null).ok(200);
    let told = &page.json["items"][0];
    assert_eq!((&told["reason"], &told["count"]), (&json!("service_mismatch"), &json!(wrong.len())), "{}", page.text);
    assert_eq!(told["target"], id.as_str());
}

#[test]
fn b28_an_old_secret_lives_to_the_last_moment_and_the_objects_clock_decides() {
    let toy = world();
    let (id, old) = toy.server_key("acme", "live", &Value::Null);
    let rotated = toy.admin("POST", &format!("/v1/credentials/{id}/rotate"), &json!({"overlap_seconds": 60})).ok(201);
    toy.advance(59);
    toy.whoami(&old).ok(200);
    toy.advance(1);
    toy.whoami(&old).refused(401, "revoked_credential");
    // Back and forth: whatever the clock says, that is it.
    toy.step_back(60);
    toy.whoami(&old).ok(200);
    toy.advance(60);
    toy.whoami(&old).refused(401, "revoked_credential");
    toy.forget();
    toy.whoami(&old).refused(401, "revoked_credential");
    toy.whoami(&rotated.text_at("secret")).ok(200);
}

#[test]
fn b29_after_many_rotations_two_secrets_live_and_every_other_is_dead() {
    let toy = world();
    let (id, first) = toy.server_key("acme", "live", &json!({"tier": "standard"}));
    let mut secrets = vec![first];
    for _ in 0..5 {
        let rotated = toy.admin("POST", &format!("/v1/credentials/{id}/rotate"), &json!({})).ok(201);
        secrets.push(rotated.text_at("secret"));
        let live = secrets.iter().filter(|key| toy.whoami(key).status == 200).count();
        assert_eq!(live, 2);
        for (place, key) in secrets.iter().rev().enumerate() {
            let answer = toy.whoami(key);
            if place < 2 {
                answer.ok(200)
            } else {
                answer.refused(401, "revoked_credential");
                continue;
            };
        }
    }
    // Of those that ended long ago nobody knows any more; they open nothing all the same.
    for _ in 0..10 {
        let rotated = toy.admin("POST", &format!("/v1/credentials/{id}/rotate"), &json!({})).ok(201);
        secrets.push(rotated.text_at("secret"));
        // It is in use, or the next rotation would take it for one whose answer was lost.
        toy.whoami(&secrets[secrets.len() - 1]).ok(200);
    }
    for (place, key) in secrets.iter().rev().enumerate() {
        assert_eq!(toy.whoami(key).status, if place < 2 { 200 } else { 401 });
    }
    let counted = usage(&toy, &id);
    assert!(counted["by_secret"].as_array().unwrap().len() >= 2, "{counted}");
}

#[test]
fn b33_a_secret_is_shown_once_and_never_again() {
    let toy = world();
    let (id, key) = toy.server_key("acme", "live", &json!({"scopes": ["admin"]}));
    let (token_id, token) = toy.service_token("acme", "live", "a", &Value::Null);
    toy.whoami(&key).ok(200);
    let rotated = toy.admin("POST", &format!("/v1/credentials/{id}/rotate"), &json!({})).ok(201).text_at("secret");
    toy.advance(3_600);
    let mut said = String::new();
    for id in [&id, &token_id] {
        for tail in ["", "/usage"] {
            said += &toy.server(&rotated, "GET", &format!("/v1/credentials/{id}{tail}"), &Value::Null).ok(200).text;
        }
        said += &toy.server(&rotated, "PATCH", &format!("/v1/credentials/{id}"), &json!({"name": "new"})).ok(200).text;
        said +=
            &toy.server(&rotated, "POST", &format!("/v1/credentials/{id}/rotate/finish"), &Value::Null).ok(200).text;
    }
    for path in ["/v1/credentials", "/v1/audit", "/v1/audit/export", "/v1/audit/verify", HERE] {
        said += &toy.server(&rotated, "GET", path, &Value::Null).ok(200).text;
    }
    said += &toy.server(&rotated, "POST", "/v1/self/revoke", &Value::Null).ok(200).text;
    for secret in [key, token, rotated] {
        let (prefix, body) = secret.split_at(secret.len() - 32);
        assert!(!said.contains(&body[..8]), "where it is");
        assert!(!said.contains(&body[8..26]) && !said.contains(&body[24..]), "what it is");
        assert!(said.contains(&format!("{prefix}…{}", &body[28..])), "prefix and last four");
    }
}

#[test]
fn h1_h2_h3_the_limit_holds_in_every_window_whatever_happens_to_clock_memory_and_secret() {
    let toy = world();
    let (id, mut key) = toy.server_key("acme", "live", &Value::Null);
    let all = |key: &str, toy: &Toy| (0..200).filter(|_| toy.whoami(key).status == 200).count();
    toy.advance(59);
    assert_eq!(all(&key, &toy), 60);
    // The next minute of the clock is no new window.
    for _ in 0..58 {
        toy.advance(1);
        assert_eq!(all(&key, &toy), 0);
    }
    toy.forget();
    assert_eq!(all(&key, &toy), 0, "evicted");
    key = toy.admin("POST", &format!("/v1/credentials/{id}/rotate"), &json!({})).ok(201).text_at("secret");
    assert_eq!(all(&key, &toy), 0, "rotated");
    for (tier, limits) in [("standard", Value::Null), ("free", Value::Null)] {
        toy.admin("PATCH", &format!("/v1/credentials/{id}"), &json!({"tier": tier, "limits": limits})).ok(200);
    }
    assert_eq!(all(&key, &toy), 0, "another tier and back");
    toy.step_back(3_600);
    assert!(all(&key, &toy) <= 60, "the clock went back: one window more at most");
    toy.advance(3_600 + 86_400);
    assert_eq!(all(&key, &toy), 60, "and nobody is locked out for longer than a window");
}

#[test]
fn h7_n4_strangers_use_up_nobodys_limit_and_touch_nobody() {
    let toy = world();
    let (_, key) = toy.server_key("acme", "live", &Value::Null);
    unmoved(&toy, &key, || {
        for number in 0..500u32 {
            let at = 9 + (number as usize % 32);
            let other = if key[at..].starts_with('A') { "B" } else { "A" };
            idle(&toy.whoami(&format!("{}{other}{}", &key[..at], &key[at + 1..])), 401, "invalid_credential");
        }
    });
}

#[test]
fn h10_h12_i3_where_its_object_fails_nobody_is_admitted_and_a_storm_of_refusals_writes_nothing() {
    let toy = world();
    let (id, key) = toy.server_key("acme", "live", &Value::Null);
    let object = toy.snapshot().into_keys().find(|(_, name)| name.starts_with("sk_live_")).unwrap();
    for fault in [Fault::Dead, Fault::NoReads, Fault::NoWrites] {
        toy.faults.borrow_mut().insert(object.clone(), fault);
        for _ in 0..3 {
            let refused = toy.whoami(&key);
            refused.refused(503, "unavailable");
            assert!(refused.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().unwrap() > 0));
        }
        toy.faults.borrow_mut().clear();
    }
    let admitted = (0..100).filter(|_| toy.whoami(&key).status == 200).count();
    assert_eq!(admitted, 60, "what was not admitted was not counted");
    let refused = toy.whoami(&key);
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    let reset: u64 = refused.header("x-ratelimit-reset").unwrap().parse().unwrap();
    assert!(wait >= 1 && reset * 1_000 >= toy.now_millis(), "{wait} {reset}");
    let commits = toy.commits.get();
    for _ in 0..1_000 {
        toy.whoami(&key).refused(429, "rate_limited");
    }
    assert!(toy.commits.get() - commits <= 12, "{} writes", toy.commits.get() - commits);
    assert_eq!(usage(&toy, &id)["denied"], 1_041);
}

#[test]
fn i17_i19_nothing_waits_for_an_alarm_and_what_cannot_be_read_opens_nothing() {
    let toy = world();
    let (id, key) = toy.server_key("acme", "live", &json!({"expires_in": 60}));
    let old = key.clone();
    toy.admin("POST", &format!("/v1/credentials/{id}/rotate"), &json!({"overlap_seconds": 30})).ok(201);
    for object in toy.objects.borrow_mut().values_mut() {
        object.alarm = None;
    }
    toy.advance(30);
    toy.whoami(&old).refused(401, "revoked_credential");
    let (_, broken) = toy.server_key("acme", "live", &Value::Null);
    let (_, sound) = toy.server_key("acme", "live", &Value::Null);
    let name = ("CREDENTIAL".to_owned(), format!("sk_live_{}", &broken[9..17]));
    for damage in [Vec::new(), vec![0xff], b"{}".to_vec()] {
        toy.forget();
        toy.objects.borrow_mut().get_mut(&name).unwrap().rows.insert("key".to_owned(), damage);
        toy.whoami(&broken).refused(503, "unavailable");
        toy.whoami(&sound).ok(200);
    }
    toy.objects.borrow_mut().get_mut(&name).unwrap().rows.clear();
    toy.forget();
    toy.whoami(&broken).refused(401, "invalid_credential");
}
