//! The gateway's road: which calls go to the upstream, what goes out with them, what comes back, and what never passes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod toy;

use claviger::{
    error::Reason,
    value::id::Stage,
    world::upstream::{Incoming, Outgoing, Sent},
};
use toy::{Answer, ORIGIN, Toy, forge, idle};

const POLICY: &str = r#"
brand = "clv"
[scopes]
"things:write" = "Change things"
[widget]
[[routes]]
match = "GET /v1/things/{id}"
accept = ["deploy_key"]
to = "upstream"
[[routes]]
match = "GET /v1/things/secret"
accept = ["server_key"]
to = "upstream"
[[routes]]
match = "POST /v1/things"
scope = "things:write"
accept = ["server_key", "deploy_key"]
to = "upstream"
idempotency = "accepted"
[[routes]]
match = "HEAD /v1/heads"
accept = ["server_key"]
to = "upstream"
[[routes]]
match = "GET /v1/heads"
accept = ["deploy_key"]
to = "upstream"
[[routes]]
match = "POST /v1/mcp/"
accept = ["deploy_key"]
to = "upstream"
[[routes]]
match = "DELETE /{area}/{rest...}"
accept = ["deploy_key"]
to = "upstream"
[[routes]]
match = "POST /v1/reviewed"
accept = ["deploy_key"]
to = "upstream"
review = true
[[routes]]
match = "GET /v1/records/{rest...}"
accept = ["deploy_key"]
to = "records"
[[routes]]
match = "POST /v1/records/{rest...}"
accept = ["deploy_key"]
to = "records"
review = true
[[routes]]
match = "POST /v1/once"
accept = ["deploy_key"]
to = "upstream"
idempotency = "required"
"#;

const UPSTREAM: &str = "http://api.internal:8080";

fn toy() -> Toy {
    Toy::changed(&[("POLICY_TOML", POLICY), ("UPSTREAM", UPSTREAM)])
}

impl Toy {
    /// A call with a good deploy key, and headers beside it.
    fn through(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let key = self.deploy_key();
        let mut all = vec![("authorization", key.as_str())];
        all.extend(headers);
        self.send(method, path, &all, body)
    }

    /// What went out last.
    fn sent(&self) -> Outgoing {
        self.forwarded.borrow().last().expect("something went out").clone()
    }

    fn went_out(&self) -> usize {
        self.forwarded.borrow().len()
    }

    fn answers(&self, status: u16, headers: &[(&str, &str)]) {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        *self.upstream.borrow_mut() = Ok(Incoming { status, headers });
    }
}

fn value<'a>(call: &'a Outgoing, name: &str) -> Vec<&'a str> {
    call.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
}

#[test]
fn a_call_goes_out_as_it_came_with_our_word_and_without_the_credential() {
    let toy = toy();
    let key = toy.deploy_key();
    let headers = [
        ("authorization", key.as_str()),
        ("accept", "text/event-stream"),
        ("content-type", "application/x-ndjson"),
        ("x-request-id", "theirs"),
        ("idempotency-key", "k1"),
        ("content-length", "7"),
        ("host", "attacker.example"),
        ("te", "trailers"),
        ("connection", "keep-alive, X-Hop"),
        ("x-hop", "1"),
        ("cookie", "a=b"),
        ("x-service-name", "billing"),
        ("claviger-principal", "deploy_key:forged"),
        ("claviger-workspace", "other"),
        ("claviger_scopes", "admin"),
    ];
    // The keys that sign assertions are known.
    toy.send("GET", "/.well-known/jwks.json", &[], "").ok(200);
    let answer = toy.send("POST", "/v1/things?a=1&b=%20", &headers, "{\"a\":1}").ok(200);
    assert_eq!(answer.text, "the API behind");
    let sent = toy.sent();
    assert_eq!((sent.method.as_str(), sent.url.as_str()), ("POST", "http://api.internal:8080/v1/things?a=1&b=%20"));
    // It has an Idempotency-Key, so its body is read here.
    assert_eq!(sent.body, Sent::Bytes(b"{\"a\":1}".to_vec()));
    let mut names: Vec<&str> = sent.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let ours = ["claviger-assertion", "claviger-kind", "claviger-principal", "claviger-request-id"];
    let theirs = ["idempotency-key", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto", "x-request-id"];
    assert_eq!(names, [&["accept", "accept-encoding"][..], &ours, &["content-type", "forwarded"], &theirs].concat());
    let id = answer.log["credential"].as_str().unwrap();
    assert_eq!(value(&sent, "claviger-principal"), [id]);
    assert_eq!(value(&sent, "claviger-kind"), ["deploy_key"]);
    assert_eq!(value(&sent, "claviger-request-id"), ["req_toy"]);
    let token = key.split_once('|').unwrap().1;
    assert!(!format!("{sent:?}").contains(token), "the credential went out");
    // The Idempotency-Key that went out is ours: the key's object was asked for it, and then told the answer.
    assert!(value(&sent, "idempotency-key")[0].starts_with("idk_"));
    assert_eq!((answer.hops, answer.rounds), (3, 2));
    let plain = toy.send("POST", "/v1/things", &[("authorization", key.as_str())], "{}").ok(200);
    assert_eq!((plain.hops, plain.rounds), (1, 1));
}

#[test]
fn the_log_and_the_audit_name_the_policys_route_and_not_the_path() {
    let toy = toy();
    let answer = toy.through("GET", "/v1/things/customer-4711?q=private", &[], "").ok(200);
    assert_eq!(answer.log["route"], "GET /v1/things/{id}");
    assert_eq!((answer.log["status"].as_u64(), answer.log["kind"].as_str()), (Some(200), Some("deploy_key")));
    assert!(!answer.log.to_string().contains("4711") && !answer.log.to_string().contains("private"));
    toy.advance(120);
    let audit = toy.through("GET", "/v1/audit?action=deploy_key.use", &[], "").ok(200);
    let uses = audit.json["items"].as_array().unwrap();
    assert!(
        uses.iter().any(|event| event["target"].as_str().unwrap().contains("GET /v1/things/{id}")),
        "{}",
        audit.text
    );
    assert!(!audit.text.contains("4711"));
}

#[test]
fn an_answer_comes_back_as_it_is_without_what_is_not_theirs_to_say() {
    let toy = toy();
    toy.answers(
        418,
        &[
            ("content-type", "text/plain"),
            ("set-cookie", "a=1"),
            ("set-cookie", "__Host-claviger=stolen; Path=/; Secure"),
            ("set-cookie", "b=2"),
            ("connection", "close, x-hop"),
            ("x-hop", "1"),
            ("transfer-encoding", "chunked"),
            ("claviger-principal", "deploy_key:forged"),
            ("x-request-id", "theirs"),
            ("x-content-type-options", "none"),
            ("location", "/v1/elsewhere"),
            ("access-control-allow-origin", "*"),
        ],
    );
    let answer = toy.through("GET", "/v1/things/1", &[], "").ok(418);
    let passed: Vec<(&str, &str)> = answer.passed.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [
        ("content-type", "text/plain"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("location", "/v1/elsewhere"),
        ("access-control-allow-origin", "*"),
        ("vary", "Authorization, X-Api-Key, X-Service-Token"),
    ];
    assert_eq!(passed, expected);
    assert_eq!(
        (answer.header("x-request-id"), answer.header("x-content-type-options")),
        (Some("req_toy"), Some("nosniff"))
    );
    // Whoever says nothing is not cached: a proxy in between does not know that x-api-key is a credential.
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    toy.answers(200, &[("cache-control", "private, max-age=60")]);
    let answer = toy.through("GET", "/v1/things/1", &[], "").ok(200);
    assert_eq!(answer.header("cache-control"), None);
    let cached = ("cache-control".to_owned(), "private, max-age=60".to_owned());
    assert_eq!(answer.passed.first(), Some(&cached));
}

#[test]
fn a_path_without_a_route_is_not_there_and_asks_for_no_credential() {
    let toy = toy();
    for (method, path) in [
        ("GET", "/v1/nothing"),
        ("GET", "/v1/things"),
        ("GET", "/v1/things/"),
        ("GET", "/v1/things/1/2"),
        ("PUT", "/v1/things/1"),
        ("OPTIONS", "/v1/things/1"),
        ("get", "/v1/things/1"),
        ("POST", "/v1/mcp"),
        ("DELETE", "/v1"),
        ("DELETE", "/v1/"),
        ("TRACE", "/v1/things/1"),
    ] {
        idle(&toy.send(method, path, &[], ""), 404, "not_found");
        idle(&toy.through(method, path, &[], ""), 404, "not_found");
    }
    assert_eq!(toy.went_out(), 0);
    toy.through("POST", "/v1/mcp/", &[], "{}").ok(200);
}

#[test]
fn a22_a_spelling_that_servers_read_in_two_ways_leads_nowhere() {
    let toy = toy();
    for path in [
        "/v1/things/../secret",
        "/v1/things/..",
        "/v1/things/.",
        "/v1/./things/1",
        "//v1/things/1",
        "/v1//things/1",
        "/v1/things//1",
        "/v1/things/%2e%2e",
        "/v1/things/%2E",
        "/v1/things/.%2e",
        "/v1/things/a%2fb",
        "/v1/things/a%2Fb",
        "/v1/things/a%5cb",
        "/v1/things/a\\b",
        "/v1/things/a;b",
        "/v1/things/a%3bb",
        "/v1/things/%00",
        "/v1/things/a\0",
        "/v1/things/%0d%0aX:1",
        "/v1/things/%7f",
        "/v1/things/%252e%252e",
        "/v1/things/%",
        "/v1/things/%2",
        "/v1/things/%zz",
        "/v1/things/%+1",
        "/v1/things/a b",
        "/v1/things/ä",
        "/v1/things/a\"b",
        "/v1/things/a|b",
        "/v1/things/{id}",
        "/v1/things/a^b",
        // It is the route that deploy keys may not use, spelled as one that they may.
        "/v1/things/%73ecret",
        "/v1/things/secre%74",
        "/v1/%74hings/1",
        "/%76%31/things/1",
    ] {
        idle(&toy.through("GET", path, &[], ""), 404, "not_found");
    }
    for path in ["/v1/../v1/a", "/v1/a//b", "/v1/a/..", "/v1/a%2f..", "/v1/a/;b"] {
        idle(&toy.through("DELETE", path, &[], ""), 404, "not_found");
    }
    assert_eq!(toy.went_out(), 0);
    for path in [
        "/v1/things/a%20b",
        "/v1/things/caf%C3%A9",
        "/v1/things/%ff",
        "/v1/things/a%40b.example",
        "/v1/things/a.b",
        "/v1/things/...",
    ] {
        toy.through("GET", path, &[], "").ok(200);
        assert_eq!(toy.sent().url, format!("{UPSTREAM}{path}"));
    }
    toy.through("DELETE", "/v1/a/b%20c/d/", &[], "").ok(200);
    assert_eq!(toy.sent().url, format!("{UPSTREAM}/v1/a/b%20c/d/"));
}

#[test]
fn what_claviger_answers_itself_never_goes_out() {
    let toy = toy();
    for path in [
        "/v1/credentials/a/b/c",
        "/v1/workspaces/a/b",
        "/w/a/b",
        "/oauth/token",
        "/v1/vault/a",
        "/.well-known/a/b",
        "/v1/%63redentials/a",
        "/%6fauth/token",
        "/v1/audit/a",
    ] {
        idle(&toy.through("DELETE", path, &[], ""), 404, "not_found");
    }
    // Its paths with methods that it does not take are its paths still.
    idle(&toy.through("DELETE", "/v1/credentials", &[], ""), 405, "method_not_allowed");
    assert_eq!(toy.went_out(), 0);
    toy.through("DELETE", "/v1/credentialsX", &[], "").ok(200);
}

#[test]
fn a_route_takes_the_kinds_that_it_accepts_and_nothing_without_one() {
    let toy = toy();
    let visitor = toy.conversation();
    let key = toy.deploy_key();
    let read = |headers: &[(&str, &str)]| toy.send("GET", "/v1/things/1", headers, "");
    idle(&read(&[]), 401, "missing_credential");
    idle(&read(&[("authorization", &forge(&key))]), 401, "invalid_credential");
    idle(&read(&[("authorization", &key), ("x-api-key", &visitor.key)]), 400, "ambiguous_credential");
    for text in [&visitor.key, &visitor.secret] {
        let bearer = format!("Bearer {text}");
        idle(&read(&[("authorization", &bearer)]), 403, "credential_kind_not_allowed");
    }
    // A route that takes server keys alone.
    idle(&toy.through("GET", "/v1/things/secret", &[], ""), 403, "credential_kind_not_allowed");
    read(&[("authorization", &key), ("origin", ORIGIN)]).refused(403, "server_key_in_browser");
    read(&[("authorization", &key), ("sec-fetch-site", "none")]).refused(403, "server_key_in_browser");
    let elsewhere = format!("Convex {}", toy.deploy_key_for(Stage::Prod, "local", 60));
    read(&[("authorization", &elsewhere)]).refused(403, "wrong_stage");
    let old = format!("Convex {}", toy.deploy_key_for(Stage::Dev, "local", 60));
    read(&[("authorization", &old)]).ok(200);
    toy.advance(60);
    read(&[("authorization", &old)]).refused(401, "expired_credential");
    assert_eq!(toy.went_out(), 1);
}

#[test]
fn a_revoked_key_opens_no_route() {
    let toy = toy();
    let key = toy.deploy_key();
    let read = || toy.send("GET", "/v1/things/1", &[("authorization", &key)], "");
    let id = read().ok(200).log["credential"].as_str().unwrap().to_owned();
    toy.through("POST", &format!("/v1/credentials/{id}/revoke"), &[], "{}").ok(200);
    read().refused(401, "revoked_credential");
    assert_eq!(toy.went_out(), 1);
}

#[test]
fn a_credential_in_the_query_goes_nowhere() {
    let toy = toy();
    let key = toy.deploy_key_for(Stage::Dev, "local", 60);
    let path = format!("/v1/things/1?key={}", key.replace('|', "%7C"));
    idle(&toy.through("GET", &path, &[], ""), 400, "invalid_request");
    idle(&toy.through("GET", "/v1/things/1?access_token=a", &[], ""), 400, "invalid_request");
    assert_eq!(toy.went_out(), 0);
}

#[test]
fn a_head_is_a_get_without_a_body_unless_it_has_a_route_of_its_own() {
    let toy = toy();
    toy.answers(200, &[("content-length", "70"), ("etag", "\"a\"")]);
    let answer = toy.through("HEAD", "/v1/things/1", &[], "").ok(200);
    assert_eq!(answer.passed.len(), 3);
    assert_eq!((toy.sent().method.as_str(), toy.sent().body), ("HEAD", Sent::Nothing));
    toy.through("GET", "/v1/heads", &[], "").ok(200);
    assert_eq!(toy.through("HEAD", "/v1/heads", &[], "").status, 403);
    // A GET with a body means one thing here and another behind.
    let fat = toy.through("GET", "/v1/things/1", &[("content-length", "2")], "");
    fat.refused(400, "invalid_request");
    toy.through("GET", "/v1/things/1", &[("transfer-encoding", "chunked")], "").refused(400, "invalid_request");
    toy.through("GET", "/v1/things/1", &[("content-length", "0")], "").ok(200);
    assert_eq!(toy.sent().body, Sent::Nothing);
    toy.through("DELETE", "/v1/a", &[("content-length", "2")], "{}").ok(200);
    assert_eq!(toy.sent().body, Sent::Stream);
}

#[test]
fn a_route_that_this_version_cannot_serve_is_refused_whole() {
    let toy = toy();
    for (method, path, why) in [("POST", "/v1/reviewed", "approval"), ("POST", "/v1/records/a", "approval")] {
        // Whoever may not use it does not apply what it is.
        idle(&toy.send(method, path, &[], ""), 401, "missing_credential");
        let answer = toy.through(method, path, &[("idempotency-key", "a")], "{}");
        answer.refused(503, "not_configured");
        assert!(answer.text_at("error").contains(why) && answer.text_at("fix").contains("Nothing was forwarded"));
        assert_eq!(answer.log["reason"], "route_not_served");
    }
    assert_eq!(toy.went_out(), 0);
}

#[test]
fn an_api_that_is_not_there_is_said_so_and_only_to_whoever_may_call_it() {
    let toy = Toy::changed(&[("POLICY_TOML", POLICY)]);
    idle(&toy.send("GET", "/v1/things/1", &[], ""), 401, "missing_credential");
    let answer = toy.through("GET", "/v1/things/1", &[], "");
    answer.refused(502, "upstream_error");
    assert!(answer.text_at("error").contains("UPSTREAM is not set"), "{}", answer.text);
    assert_eq!((answer.log["reason"].as_str(), toy.went_out()), (Some("upstream_missing"), 0));
    toy.through("GET", "/v1/whoami", &[], "").ok(200);
}

#[test]
fn an_api_that_does_not_answer_is_called_once_and_said_so() {
    let toy = toy();
    *toy.upstream.borrow_mut() = Err(Reason::UpstreamFailed);
    let answer = toy.through("POST", "/v1/things", &[], "{}");
    answer.refused(502, "upstream_error");
    assert!(answer.text_at("fix").contains("not known whether"), "{}", answer.text);
    assert_eq!((answer.log["reason"].as_str(), toy.went_out()), (Some("upstream_failed"), 1));
}

#[test]
fn an_upstream_is_an_origin_or_nothing_is_served() {
    for origin in ["https://api.example", "http://127.0.0.1:9000", "http://[::1]:9000", "https://api.example:8443"] {
        Toy::changed(&[("UPSTREAM", origin)]).send("GET", "/healthz", &[], "").ok(200);
    }
    for origin in [
        "api.example",
        "https://api.example/",
        "https://api.example/v1",
        "https://api.example:443",
        "https://u:p@api.example",
        "ftp://api.example",
        "https://API.example",
        "https://api.example?a",
        "https://",
    ] {
        let answer = Toy::changed(&[("UPSTREAM", origin)]).send("GET", "/healthz", &[], "");
        answer.refused(503, "not_configured");
        assert!(answer.text_at("error").starts_with("UPSTREAM is"), "{}", answer.text);
    }
}

#[test]
fn a_policy_without_routes_has_no_gateway() {
    let toy = Toy::changed(&[("UPSTREAM", UPSTREAM)]);
    for path in ["/v1/models", "/v1/things/1", "/v1/whoami/"] {
        idle(&toy.through("GET", path, &[], ""), 404, "not_found");
    }
    assert_eq!(toy.went_out(), 0);
}
