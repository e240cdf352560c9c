//! What an administrator may ask for a server key or a service token, and what not: each wrong member by its documented code,
//! with nothing stored and nothing counted that was not asked soundly.
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
use toy::{Answer, Name, ORIGIN, Object, Toy};

fn world() -> Toy {
    let toy = Toy::new("default");
    toy.workspace("acme");
    toy
}

/// All that is kept, without what counts the uses of operators' keys.
fn kept(toy: &Toy) -> BTreeMap<Name, Object> {
    toy.kept()
}

/// Refused for this member, with nothing kept and nothing handed out.
#[track_caller]
fn refused(toy: &Toy, member: &str, answer: impl FnOnce() -> Answer) {
    let (before, issued) = (kept(toy), toy.issued.borrow().len());
    let answer = answer();
    answer.refused(400, "invalid_request");
    names(&answer, member);
    assert!(kept(toy) == before && toy.issued.borrow().len() == issued, "something was kept");
    assert!(answer.made <= 1, "only the operator's own object");
}

/// The answer says of this member, or of a place within it, that it is missing, not known or not valid.
#[track_caller]
fn names(answer: &Answer, member: &str) {
    let error = answer.text_at("error");
    let named = error.split('`').nth(1).unwrap_or_default();
    let is_within = |rest: &str| rest.is_empty() || (!member.is_empty() && rest.starts_with(['.', '[']));
    assert!(named.strip_prefix(member).is_some_and(is_within), "{}", answer.text);
    let sentences = [" is not valid.", " is missing.", " is not known here."];
    assert!(sentences.iter().any(|sentence| error.ends_with(sentence)), "{}", answer.text);
}

fn order(members: &Value) -> Value {
    let mut body = json!({"kind": "server_key", "workspace": "acme", "environment": "live", "name": "n"});
    for (name, value) in members.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// These members are refused where a key is made and where one is changed, for what `member` says.
#[track_caller]
fn neither_made_nor_changed(toy: &Toy, id: &str, member: &str, members: &Value) {
    refused(toy, member, || toy.admin("POST", "/v1/credentials", &order(members)));
    refused(toy, member, || toy.admin("PATCH", &format!("/v1/credentials/{id}"), members));
}

/// A body as it is written, with numbers that no value of this program can hold.
fn raw(toy: &Toy, method: &str, path: &str, body: &str) -> Answer {
    toy.send(method, path, &[("authorization", &toy.deploy_key())], body)
}

#[test]
fn b31_only_scopes_of_the_policy_each_once_exactly_as_they_are_written() {
    let toy = world();
    let (id, _) = toy.server_key("acme", "live", &Value::Null);
    let many = vec!["admin"; 1_000];
    let unknown: Vec<String> = (0..101).map(|number| format!("scope:{number}")).collect();
    for scopes in [
        json!(["conversations:delete"]),
        json!(["*"]),
        json!(["admin "]),
        json!([" admin"]),
        json!(["Admin"]),
        json!(["ADMIN"]),
        json!(["admin\u{0}"]),
        json!(["adm\u{456}n"]),
        json!(["__proto__"]),
        json!(["constructor"]),
        json!([""]),
        json!(["admin messages:read"]),
        json!(["admin,messages:read"]),
        json!(["admin", "admin"]),
        json!(["messages:read", "admin", "messages:read"]),
        json!(many),
        json!(vec!["admin"; 1_001]),
        json!(unknown),
        json!("admin"),
        json!({"admin": true}),
        json!([["admin"]]),
        json!([1]),
        json!([null]),
        json!(["admin", 1]),
        json!(true),
        json!(0),
    ] {
        neither_made_nor_changed(&toy, &id, "scopes", &json!({"scopes": scopes}));
    }
    // None are none, never all; and a list is always in the policy's order.
    let made = |scopes: Value| toy.admin("POST", "/v1/credentials", &order(&json!({"scopes": scopes}))).ok(201);
    for none in [json!([]), Value::Null] {
        assert_eq!(made(none).json["scopes"], json!([]));
    }
    let scopes = json!(["messages:write", "conversations:read"]);
    assert_eq!(made(scopes).json["scopes"], json!(["conversations:read", "messages:write"]));
}

#[test]
fn b30_b32_whoever_may_not_administer_makes_and_changes_nothing_and_no_member_is_smuggled_in() {
    let toy = world();
    let (id, reader) = toy.server_key("acme", "live", &json!({"scopes": ["credentials:read"]}));
    let (_, admin) = toy.server_key("acme", "live", &json!({"scopes": ["admin"]}));
    let (_, token) = toy.service_token("acme", "live", "a", &json!({"scopes": ["admin"]}));
    let path = format!("/v1/credentials/{id}");
    for (method, path, body) in [
        ("POST", "/v1/credentials", order(&json!({"scopes": ["credentials:read"]}))),
        ("PATCH", path.as_str(), json!({"scopes": ["admin"]})),
        ("PATCH", path.as_str(), json!({"tier": "standard"})),
        ("POST", &format!("{path}/rotate"), json!({})),
        ("POST", &format!("{path}/revoke"), json!({})),
    ] {
        let refused = toy.server(&reader, method, path, &body);
        refused.refused(403, "insufficient_scope");
        assert_eq!(refused.json["required"], json!(["admin"]));
        let body = body.to_string();
        let services = [("x-service-token", token.as_str()), ("x-service-name", "a")];
        toy.send(method, path, &services, &body).refused(403, "credential_kind_not_allowed");
        toy.send(method, path, &[], &body).refused(401, "missing_credential");
    }
    for member in [
        "userId",
        "workspaceId",
        "rateLimitMax",
        "expiresAt",
        "expires_at",
        "id",
        "secret",
        "secrets",
        "locator",
        "hint",
        "created_by",
        "created_at",
        "status",
        "version",
        "service",
        "stage",
        "revoked",
    ] {
        refused(&toy, member, || toy.admin("POST", "/v1/credentials", &order(&json!({member: "x"}))));
    }
    for member in [
        "kind",
        "workspace",
        "environment",
        "service",
        "id",
        "secret",
        "created_by",
        "expires_in",
        "origins",
        "revoked_at",
        "status",
    ] {
        refused(&toy, member, || toy.admin("PATCH", &path, &json!({member: "x"})));
    }
    let own = toy.server(&admin, "GET", &path, &Value::Null).ok(200);
    assert_eq!((&own.json["scopes"], &own.json["tier"]), (&json!(["credentials:read"]), &json!("free")));
}

#[test]
fn a_tier_is_one_of_the_policys_and_numbers_come_with_a_custom_one_alone() {
    let toy = world();
    let (id, _) = toy.server_key("acme", "live", &Value::Null);
    let numbers = json!({"requests": [{"limit": 5, "window_seconds": 60}]});
    for tier in [json!("gold"), json!("Free"), json!("free "), json!(5), json!(["free"]), json!({}), json!(true)] {
        neither_made_nor_changed(&toy, &id, "tier", &json!({"tier": tier}));
    }
    neither_made_nor_changed(&toy, &id, "tier", &json!({"tier": ""}));
    neither_made_nor_changed(&toy, &id, "limits", &json!({"tier": "enterprise"}));
    neither_made_nor_changed(&toy, &id, "limits", &json!({"tier": "enterprise", "limits": null}));
    neither_made_nor_changed(&toy, &id, "limits", &json!({"tier": "free", "limits": numbers}));
    refused(&toy, "tier", || toy.admin("POST", "/v1/credentials", &order(&json!({"limits": numbers}))));
    // The tier that it has is not a custom one.
    refused(&toy, "limits", || toy.admin("PATCH", &format!("/v1/credentials/{id}"), &json!({"limits": numbers})));
    let made = toy.admin("POST", "/v1/credentials", &order(&json!({"tier": "enterprise", "limits": numbers}))).ok(201);
    let path = format!("/v1/credentials/{}", made.text_at("id"));
    // What was shown can be sent back, and is the same.
    let again = toy.admin("PATCH", &path, &json!({"limits": made.json["limits"]})).ok(200);
    assert_eq!(again.json["limits"], made.json["limits"]);
    let back = toy.admin("PATCH", &path, &json!({"tier": "free"})).ok(200);
    assert_eq!((&back.json["tier"], back.json.get("limits")), (&json!("free"), None), "no number stays behind");
}

#[test]
fn limits_are_windows_of_whole_numbers_and_nothing_else() {
    let toy = world();
    let (id, _) = toy.server_key("acme", "live", &Value::Null);
    let one = "{\"limit\":1,\"window_seconds\":1}";
    let nine = (1..=9).map(|n| format!("{{\"limit\":1,\"window_seconds\":{n}}}")).collect::<Vec<_>>().join(",");
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let window =
        |limit: &str, seconds: &str| format!("{{\"requests\":[{{\"limit\":{limit},\"window_seconds\":{seconds}}}]}}");
    let numbers = [
        "0",
        "-1",
        "-0",
        "1.5",
        "1.0000001",
        "1e-2",
        "4294967296",
        "18446744073709551616",
        "1e400",
        "\"1\"",
        "null",
        "true",
        "[1]",
        "{}",
    ];
    let seconds = ["0", "-1", "0.5", "2678401", "99999999999", "1e8", "\"60\"", "null", "[]"];
    let mut wrong: Vec<String> = numbers.iter().map(|number| window(number, "60")).collect();
    wrong.extend(seconds.iter().map(|seconds| window("1", seconds)));
    wrong.extend([
        "[]".to_owned(),
        "5".to_owned(),
        "\"60/60\"".to_owned(),
        "true".to_owned(),
        "{}".to_owned(),
        "{\"requests\":[]}".to_owned(),
        "{\"requests\":null}".to_owned(),
        format!("{{\"requests\":{one}}}"),
        format!("{{\"tokens\":[{one}]}}"),
        format!("{{\"requests\":[{nine}]}}"),
        format!("{{\"requests\":[{one}],\"tokens\":[{nine}]}}"),
        format!("{{\"requests\":[{one},{one}]}}"),
        format!("{{\"requests\":[{one},{}]}}", one.replace("\"limit\":1", "\"limit\":9")),
        format!("{{\"requests\":[{one}],\"tokens\":[{one},{one}]}}"),
        format!("{{\"requests\":[{one}],\"tokens\":5}}"),
        format!("{{\"requests\":[{one}],\"tokens\":[\"a\"]}}"),
        format!("{{\"requests\":[{one}],\"bytes\":[{one}]}}"),
        format!("{{\"requests\":[{one}],\"Requests\":[{one}]}}"),
        format!("{{\"requests\":[[{one}]]}}"),
        format!("{{\"requests\":[{one},null]}}"),
        "{\"requests\":[{}]}".to_owned(),
        "{\"requests\":[{\"limit\":1}]}".to_owned(),
        "{\"requests\":[{\"window_seconds\":1}]}".to_owned(),
        "{\"requests\":[{\"limit\":1,\"window_seconds\":1,\"burst\":5}]}".to_owned(),
        "{\"requests\":[{\"limit\":1,\"window_seconds\":1,\"name\":\"x\"}]}".to_owned(),
        "{\"requests\":[\"60 per minute\"]}".to_owned(),
        format!("{{\"requests\":{deep}}}"),
        deep,
    ]);
    let key = order(&json!({"tier": "enterprise"})).to_string();
    for limits in wrong {
        // What no number can hold is no JSON to us, and no member of a body.
        let member = if limits.contains("1e400") { "" } else { "limits" };
        let body = format!("{},\"limits\":{limits}}}", key.trim_end_matches('}'));
        refused(&toy, member, || raw(&toy, "POST", "/v1/credentials", &body));
        let body = format!("{{\"tier\":\"enterprise\",\"limits\":{limits}}}");
        refused(&toy, member, || raw(&toy, "PATCH", &format!("/v1/credentials/{id}"), &body));
    }
    let deepest = format!("{},\"limits\":{}1{}}}", key.trim_end_matches('}'), "[".repeat(5_000), "]".repeat(5_000));
    refused(&toy, "", || raw(&toy, "POST", "/v1/credentials", &deepest));
    let twice = format!("{},\"limits\":{{\"requests\":[{one}],\"requests\":[{one}]}}}}", key.trim_end_matches('}'));
    refused(&toy, "", || raw(&toy, "POST", "/v1/credentials", &twice));
    let most = json!({"requests": (1..=8).map(|n| json!({"limit": u32::MAX, "window_seconds": n})).collect::<Vec<_>>(), "tokens": []});
    let widest =
        json!({"requests": [{"limit": 1, "window_seconds": 2_678_400}], "tokens": [{"limit": 1, "window_seconds": 1}]});
    for limits in [most, widest] {
        let made =
            toy.admin("POST", "/v1/credentials", &order(&json!({"tier": "enterprise", "limits": limits}))).ok(201);
        assert_eq!(made.json["limits"], limits);
        toy.whoami(&made.text_at("secret")).ok(200);
    }
}

#[test]
fn numbers_of_time_are_whole_and_within_their_bounds() {
    let toy = world();
    let (id, key) = toy.server_key("acme", "live", &Value::Null);
    let numbers = ["-1", "1.5", "1e-3", "\"60\"", "true", "[60]", "{}", "18446744073709551616", "-0"];
    let text = order(&json!({})).to_string();
    for number in numbers.into_iter().chain(["0", "316224001"]) {
        let body = format!("{},\"expires_in\":{number}}}", text.trim_end_matches('}'));
        refused(&toy, "expires_in", || raw(&toy, "POST", "/v1/credentials", &body));
    }
    for number in numbers.into_iter().chain(["604801"]) {
        let path = format!("/v1/credentials/{id}/rotate");
        refused(&toy, "overlap_seconds", || raw(&toy, "POST", &path, &format!("{{\"overlap_seconds\":{number}}}")));
    }
    for moment in [
        "\"\"",
        "\"tomorrow\"",
        "\"2026-01-01\"",
        "\"1969-12-31T23:59:59Z\"",
        "\"10000-01-01T00:00:00Z\"",
        "0",
        "[]",
        "\"2026-13-01T00:00:00Z\"",
    ] {
        let path = format!("/v1/credentials/{id}");
        refused(&toy, "expires_at", || raw(&toy, "PATCH", &path, &format!("{{\"expires_at\":{moment}}}")));
    }
    toy.whoami(&key).ok(200);
    let longest = toy.admin("POST", "/v1/credentials", &order(&json!({"expires_in": 316_224_000}))).ok(201);
    assert_eq!(longest.json["expires_at"], "2036-01-09T00:00:00.000Z");
    // Its last millisecond, and the one after it.
    let short = toy.admin("POST", "/v1/credentials", &order(&json!({"expires_in": 1}))).ok(201).text_at("secret");
    toy.whoami(&short).ok(200);
    toy.advance(1);
    toy.whoami(&short).refused(401, "expired_credential");
}

#[test]
fn addresses_are_ranges_in_one_spelling_and_need_a_deployment_that_knows_them() {
    let toy = world();
    let (id, key) = toy.server_key("acme", "live", &Value::Null);
    let many: Vec<String> = (0..51).map(|number| format!("192.0.2.{number}")).collect();
    for addresses in [
        json!(["192.0.2.1/24"]),
        json!(["192.0.2.0/33"]),
        json!(["192.0.2.0/-1"]),
        json!(["192.0.2.0/024"]),
        json!(["192.0.2.0/255.255.255.0"]),
        json!(["192.0.2"]),
        json!(["192.0.2.256"]),
        json!(["0300.0.2.0"]),
        json!(["0xc0000200"]),
        json!(["3221225984"]),
        json!(["2001:db8::1/32"]),
        json!(["2001:db8::/129"]),
        json!(["::ffff:192.0.2.0/120"]),
        json!(["::ffff:192.0.2.1"]),
        json!(["::ffff:0:0/96"]),
        json!(["fe80::1%eth0"]),
        json!(["[2001:db8::1]"]),
        json!(["192.0.2.1:443"]),
        json!(["localhost"]),
        json!(["*"]),
        json!([""]),
        json!([" 192.0.2.1"]),
        json!(["192.0.2.1", "x"]),
        json!(["192.0.2.1,192.0.2.2"]),
        json!("192.0.2.1"),
        json!({"0": "192.0.2.1"}),
        json!([["192.0.2.1"]]),
        json!([3]),
        json!(many),
    ] {
        neither_made_nor_changed(&toy, &id, "allowed_addresses", &json!({"allowed_addresses": addresses}));
    }
    let listed = ["192.0.2.0/24", "2001:DB8::/32", "192.0.2.0/24", "198.51.100.7", "0.0.0.0/0"];
    let made = toy.admin("PATCH", &format!("/v1/credentials/{id}"), &json!({"allowed_addresses": listed})).ok(200);
    assert_eq!(
        made.json["allowed_addresses"],
        json!(["192.0.2.0/24", "2001:db8::/32", "198.51.100.7/32", "0.0.0.0/0"])
    );
    toy.whoami(&key).refused(403, "address_not_allowed");
    toy.admin("PATCH", &format!("/v1/credentials/{id}"), &json!({"allowed_addresses": []})).ok(200);
    toy.whoami(&key).ok(200);

    let blind = Toy::changed(&[("CLIENT_ADDRESS_HEADER", "")]);
    blind.workspace("acme");
    let (id, _) = blind.server_key("acme", "live", &json!({"allowed_addresses": []}));
    neither_made_nor_changed(&blind, &id, "allowed_addresses", &json!({"allowed_addresses": ["192.0.2.1"]}));
}

#[test]
fn a_kind_has_what_belongs_to_it_and_a_service_has_a_name_that_a_header_can_hold() {
    let toy = world();
    let (id, _) = toy.server_key("acme", "live", &Value::Null);
    for kind in [
        json!("deploy_keys"),
        json!("history_secret"),
        json!("access_token"),
        json!("Server_Key"),
        json!("server_key "),
    ] {
        refused(&toy, "kind", || toy.admin("POST", "/v1/credentials", &order(&json!({"kind": kind}))));
    }
    for kind in [json!(""), json!(5), Value::Null, json!(["server_key"])] {
        refused(&toy, "kind", || toy.admin("POST", "/v1/credentials", &order(&json!({"kind": kind}))));
    }
    let long = "a".repeat(65);
    for service in ["", "-a", ".a", "_a", "a b", "a,b", "a\"b", "a\r\nx: y", "ä", "a/b", &long, " a", "a "] {
        let body = order(&json!({"kind": "service_token", "service": service}));
        refused(&toy, "service", || toy.admin("POST", "/v1/credentials", &body));
    }
    for service in [Value::Null, json!(5), json!(["a"])] {
        let body = order(&json!({"kind": "service_token", "service": service}));
        refused(&toy, "service", || toy.admin("POST", "/v1/credentials", &body));
    }
    refused(&toy, "service", || toy.admin("POST", "/v1/credentials", &order(&json!({"service": "a"}))));
    neither_made_nor_changed(&toy, &id, "origins", &json!({"origins": [ORIGIN]}));
    let widget = |member: &str, value: Value| order(&json!({"kind": "widget_key", "origins": [ORIGIN], member: value}));
    for (member, value, named) in [
        ("scopes", json!(["admin"]), "scopes"),
        ("tier", json!("free"), "tier"),
        ("limits", json!({"requests": []}), "tier"),
        ("allowed_addresses", json!(["192.0.2.1"]), "allowed_addresses"),
        ("service", json!("a"), "service"),
    ] {
        refused(&toy, named, || toy.admin("POST", "/v1/credentials", &widget(member, value)));
    }
    for environment in [json!("prod"), json!("Live"), json!(""), Value::Null, json!(1)] {
        refused(&toy, "environment", || {
            toy.admin("POST", "/v1/credentials", &order(&json!({"environment": environment})))
        });
    }
    for name in [json!(""), json!("a\nb"), json!("\u{0}"), json!("n".repeat(101)), Value::Null, json!(1)] {
        refused(&toy, "name", || toy.admin("POST", "/v1/credentials", &order(&json!({"name": name}))));
    }
}

#[test]
fn a27_a28_a_body_is_one_sound_object_of_json() {
    let toy = world();
    let (id, admin) = toy.server_key("acme", "live", &json!({"scopes": ["admin"], "tier": "standard"}));
    let (_, other) = toy.server_key("acme", "live", &Value::Null);
    let bearer = format!("Bearer {admin}");
    let calls = [
        ("POST", "/v1/credentials".to_owned()),
        ("PATCH", format!("/v1/credentials/{id}")),
        ("POST", format!("/v1/credentials/{id}/rotate")),
        ("POST", format!("/v1/credentials/{id}/rotate/finish")),
        ("POST", format!("/v1/credentials/{id}/revoke")),
        ("POST", "/v1/self/revoke".to_owned()),
    ];
    let good = order(&json!({})).to_string();
    for (method, path) in &calls {
        let send = |body: &str, more: &[(&str, &str)]| {
            let headers = [[("authorization", bearer.as_str())].as_slice(), more].concat();
            toy.send(method, path, &headers, body)
        };
        let deep = format!("{{\"name\":{}1{}}}", "[".repeat(1_000), "]".repeat(1_000));
        for body in [
            "[]",
            "null",
            "1",
            "\"a\"",
            "{",
            "{}x",
            "{\"name\":1e400}",
            "{\"name\":NaN}",
            "{\"name\":\"\\ud800\"}",
            "{\"a\":1,\"a\":1}",
            &deep,
        ] {
            send(body, &[]).refused(400, "invalid_request");
        }
        for body in ["{\"credential\":\"x\"}", &format!("{{\"id\":{}}}", json!(other))] {
            send(body, &[]).refused(400, "invalid_request");
        }
        for kind in
            ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "application/jsonp"]
        {
            send(&good, &[("content-type", kind)]).refused(415, "unsupported_media_type");
        }
        send(&good, &[("content-encoding", "gzip")]).refused(415, "unsupported_media_type");
        send(&format!("{{\"name\":\"{}\"}}", "x".repeat(1 << 20)), &[]).refused(413, "payload_too_large");
    }
    let listed = toy.server(&admin, "GET", "/v1/credentials", &Value::Null).ok(200);
    let items = listed.json["items"].as_array().unwrap();
    assert!(
        items.len() == 2 && items.iter().all(|item| item["status"] == "active" && item["name"] == "backend"),
        "{}",
        listed.text
    );
    assert!(items.iter().all(|item| item.get("replaces").is_none()), "nothing was rotated: {}", listed.text);
    toy.whoami(&other).ok(200);
}

#[test]
fn l8_pages_are_of_the_callers_own_whatever_the_cursor_says() {
    let toy = world();
    toy.workspace("other");
    for _ in 0..3 {
        toy.server_key("other", "live", &Value::Null);
        toy.server_key("acme", "test", &Value::Null);
    }
    let (theirs, _) = toy.server_key("other", "live", &Value::Null);
    let (_, key) = toy.server_key("acme", "live", &json!({"scopes": ["admin"], "tier": "standard"}));
    let list = |query: &str| toy.server(&key, "GET", &format!("/v1/credentials?{query}"), &Value::Null);
    for (query, member) in [
        ("cursor=", "cursor"),
        ("cursor=x", "cursor"),
        ("cursor=sk_", "cursor"),
        ("cursor=credential/", "cursor"),
        ("cursor=sk_00000000000000000000_acme%00", "cursor"),
        ("cursor=conv_00000000000000000000_acme", "cursor"),
        ("cursor=../deployment", "cursor"),
        ("cursor=sk_00000000000000000000_acme&cursor=x", "cursor"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=1.5", "limit"),
        ("limit=1e1", "limit"),
        ("limit=", "limit"),
        ("limit=1&limit=1", "limit"),
        ("limit=18446744073709551616", "limit"),
        ("kind=", "kind"),
        ("kind=SERVER_KEY", "kind"),
        ("kind=server_key&kind=server_key", "kind"),
        ("status=", "status"),
        ("status=dead", "status"),
        ("environment=", "environment"),
        ("environment=prod", "environment"),
    ] {
        refused_query(&list(query), member, query);
    }
    list("environment=test").refused(403, "wrong_environment");
    list("kind=deploy_key").refused(403, "credential_kind_not_allowed");
    for cursor in [
        theirs.as_str(),
        "sk_zzzzzzzzzzzzzzzzzzzz_other",
        "wk_zzzzzzzzzzzzzzzzzzzz_acme",
        "st_zzzzzzzzzzzzzzzzzzzz_nobody",
    ] {
        for kind in ["", "&kind=server_key"] {
            refused_query(&list(&format!("cursor={cursor}{kind}&limit=100")), "cursor", cursor);
        }
    }
    assert_eq!(list("").ok(200).json["items"].as_array().unwrap().len(), 1);
}

#[track_caller]
fn refused_query(answer: &Answer, member: &str, query: &str) {
    answer.refused(400, "invalid_request");
    assert!(answer.text_at("error").starts_with(&format!("`{member}` is not valid.")), "{query}: {}", answer.text);
}

#[test]
fn a_usage_is_asked_for_a_span_that_there_is() {
    let toy = world();
    let (id, key) = toy.server_key("acme", "live", &json!({"scopes": ["credentials:read"], "tier": "standard"}));
    let (wk, _) = toy.widget_key("acme", "live", &[ORIGIN]);
    let ask = |query: &str| toy.server(&key, "GET", &format!("/v1/credentials/{id}/usage?{query}"), &Value::Null);
    for (query, member) in [
        ("bucket=", "bucket"),
        ("bucket=week", "bucket"),
        ("bucket=HOUR", "bucket"),
        ("bucket=60", "bucket"),
        ("bucket=hour&bucket=day", "bucket"),
        ("from=", "from"),
        ("from=yesterday", "from"),
        ("from=1767225600", "from"),
        ("from=2026-01-01", "from"),
        ("from=2026-01-01T00:00:00", "from"),
        ("from=1969-12-31T23:59:59Z", "from"),
        ("to=", "to"),
        ("to=now", "to"),
        ("to=10000-01-01T00:00:00Z", "to"),
        ("to=2026-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "to"),
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "from"),
        ("from=9999-12-31T00:00:00Z", "from"),
        ("from=1970-01-01T00:00:00Z", "from"),
        ("bucket=minute&from=2025-12-01T00:00:00Z", "from"),
        ("bucket=hour&from=2025-01-01T00:00:00Z", "from"),
        ("bucket=day&from=1970-01-01T00:00:00Z", "from"),
        ("to=9999-12-31T23:59:59.999Z&from=1970-01-01T00:00:00Z", "from"),
    ] {
        refused_query(&ask(query), member, query);
    }
    for query in [
        "to=9999-12-31T23:59:59.999Z",
        "to=1970-01-01T00:00:00Z",
        "bucket=day&from=2025-01-01T00:00:00Z",
        "from=2026-01-01T00:00:00Z&to=2026-01-01T00:00:00Z",
    ] {
        let answer = ask(query).ok(200);
        assert!(answer.json["series"].as_array().unwrap().len() <= 1, "{query}: {}", answer.text);
    }
    refused_query(&toy.server(&key, "GET", &format!("/v1/credentials/{wk}/usage"), &Value::Null), "id", "a widget key");
    let (_, none) = toy.server_key("acme", "live", &Value::Null);
    toy.server(&none, "GET", &format!("/v1/credentials/{id}/usage"), &Value::Null).refused(403, "insufficient_scope");
}

#[test]
fn j3_j5_j6_b34_a_retry_is_the_same_request_of_the_same_caller_or_a_mistake() {
    let toy = world();
    let (_, one) = toy.server_key("acme", "live", &json!({"scopes": ["admin"]}));
    let (_, two) = toy.server_key("acme", "live", &json!({"scopes": ["admin"]}));
    let send = |key: &str, retry: &[&str], body: &Value| {
        let bearer = format!("Bearer {key}");
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend(retry.iter().map(|retry| ("idempotency-key", *retry)));
        toy.send("POST", "/v1/credentials", &headers, &body.to_string())
    };
    let body = order(&json!({}));
    let long = "k".repeat(256);
    for wrong in [long.as_str(), "\"\"", "a b", "\u{e9}", "\"a", "a\"b", "\t", "k, k"] {
        send(&one, &[wrong], &body).refused(400, "idempotency_key_invalid");
    }
    send(&one, &["k", "k"], &body).refused(400, "idempotency_key_invalid");
    // What was refused is not remembered.
    send(&one, &["k"], &order(&json!({"tier": "gold"}))).refused(400, "invalid_request");
    let made = send(&one, &["k"], &body).ok(201);
    let again = send(&one, &["\"k\""], &body).ok(201);
    assert_eq!((again.text_at("id"), &again.json["secret_shown"]), (made.text_at("id"), &json!(true)));
    send(&one, &["k"], &order(&json!({"name": "other"}))).refused(422, "idempotency_key_reused");
    assert_ne!(send(&two, &["k"], &body).ok(201).text_at("id"), made.text_at("id"), "another caller's is another");
    // Who is revoked is told that, and nothing of what was made.
    toy.server(&one, "POST", "/v1/self/revoke", &Value::Null).ok(200);
    send(&one, &["k"], &body).refused(401, "revoked_credential");
    toy.whoami(&made.text_at("secret")).ok(200);
}
