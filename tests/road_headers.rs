//! Headers on both ways of the gateway: what a caller cannot say of itself, where our credentials never go, whose name answers bear; and
//! that one workspace's failures are its own.
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
use claviger::{
    error::Reason,
    policy,
    world::upstream::{Incoming, Outgoing},
};
use serde_json::{Value, json};
use toy::{Answer, Toy, idle};

const POLICY: &str = r#"
brand = "clv"
[tiers.free]
requests = { limit = 100000, window_seconds = 60 }
[[routes]]
match = "GET /v1/things/{id}"
accept = ["server_key", "service_token", "deploy_key"]
to = "upstream"
[[routes]]
match = "POST /v1/things"
accept = ["server_key", "deploy_key"]
to = "upstream"
idempotency = "accepted"
[[routes]]
match = "GET /v1/mine"
accept = ["server_key", "deploy_key"]
to = "upstream"
own_header = "X-Api-Key"
[[routes]]
match = "PATCH /v1/things/{id}"
accept = ["server_key"]
to = "upstream"
if_match = "required"
[[routes]]
match = "GET /v1/records/{collection}/{id}"
accept = ["server_key"]
to = "records"
[[routes]]
match = "PUT /v1/records/{collection}/{id}"
accept = ["server_key"]
to = "records"
if_match = "required"
[[routes]]
match = "DELETE /v1/records/{collection}/{id}"
accept = ["server_key"]
to = "records"
"#;

const UPSTREAM: &str = "http://api.internal:8080";

struct World {
    toy: Toy,
    key: String,
}

fn packed(text: &str) -> String {
    Base64::encode_string(text.as_bytes())
}

fn packed_for_urls(text: &str) -> String {
    Base64UrlUnpadded::encode_string(text.as_bytes())
}

fn with(policy: &str) -> World {
    let toy = Toy::changed(&[("POLICY_TOML", policy), ("UPSTREAM", UPSTREAM)]);
    toy.workspace("acme");
    let key = toy.server_key("acme", "live", &Value::Null).1;
    World { toy, key }
}

fn world() -> World {
    with(POLICY)
}

impl World {
    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut all = vec![("x-api-key", self.key.as_str())];
        all.extend(headers);
        self.toy.send(method, path, &all, "")
    }

    fn get(&self, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", "/v1/things/1", headers)
    }

    fn sent(&self) -> Outgoing {
        self.toy.forwarded.borrow().last().expect("something went out").clone()
    }

    /// What the upstream got under this name.
    fn got(&self, name: &str) -> Vec<String> {
        let headers = self.sent().headers;
        headers.into_iter().filter(|(known, _)| known == name).map(|(_, value)| value).collect()
    }

    fn went_out(&self) -> usize {
        self.toy.forwarded.borrow().len()
    }

    fn answers(&self, status: u16, headers: &[(&str, &str)]) {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        *self.toy.upstream.borrow_mut() = Ok(Incoming { status, headers });
    }
}

/// Headers of the upstream that came through, but for the one that every answer has.
fn passed(answer: &Answer) -> Vec<(&str, &str)> {
    let passed = answer.passed.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    passed.filter(|(name, _)| *name != "vary").collect()
}

#[test]
fn f6_a10_what_a_caller_says_of_where_it_comes_from_and_who_it_is_never_arrives() {
    let world = world();
    let spoofed = [
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-prefix",
        "x-forwarded-port",
        "x-forwarded-uri",
        "x-forwarded-path",
        "x-forwarded-method",
        "x-forwarded-user",
        "x-forwarded-client-cert",
        "x-real-ip",
        "true-client-ip",
        "cf-connecting-ip",
        "fastly-client-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-original-uri",
        "x-original-url",
        "x-original-method",
        "x-override-url",
        "x-rewrite-url",
        "x-http-method-override",
        "x-method-override",
        "x-envoy-original-path",
        "x-envoy-external-address",
        "remote-user",
        "x-remote-user",
        "x-auth-request-email",
        "x-client-cert",
        "x-ssl-client-verify",
        "client-cert",
        "x-amzn-oidc-identity",
        "x-goog-authenticated-user-email",
        "x-ms-client-principal-name",
        "cf-access-authenticated-user-email",
        "tailscale-user-login",
        "x_forwarded_for",
        "x.real.ip",
        "remote_user",
        "proxy",
        "x_client",
    ];
    let mut headers: Vec<(&str, &str)> = spoofed.iter().map(|name| (*name, "spoofed")).collect();
    headers.push(("x-client", "192.0.2.7:4711"));
    headers.push(("x-trace", "1"));
    world.get(&headers).ok(200);
    let sent = world.sent();
    assert!(!sent.headers.iter().any(|(_, value)| value == "spoofed"), "{:?}", sent.headers);
    for (name, value) in [
        ("forwarded", "for=192.0.2.7;host=auth.example;proto=https"),
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-host", "auth.example"),
        ("x-forwarded-port", "443"),
        ("x-forwarded-proto", "https"),
        ("x-trace", "1"),
    ] {
        assert_eq!(world.got(name), [value], "{name}");
    }
    assert_eq!(world.got("x-client"), Vec::<String>::new(), "the header that a proxy writes for us");
    // Where no address is known, none is told.
    for address in [None, Some(("x-client", "unknown")), Some(("x-client", "10.0.0.1, 192.0.2.7"))] {
        world.get(&address.into_iter().collect::<Vec<_>>()).ok(200);
        assert_eq!(world.got("forwarded"), ["host=auth.example;proto=https"]);
        assert_eq!(world.got("x-forwarded-for"), Vec::<String>::new());
    }
    world.get(&[("x-client", "[2001:db8::1]:443")]).ok(200);
    assert_eq!(
        (world.got("forwarded")[0].as_str(), world.got("x-forwarded-for")[0].as_str()),
        ("for=\"[2001:db8::1]\";host=auth.example;proto=https", "2001:db8::1")
    );
    // A caller has none of ours taken out.
    world.get(&[("connection", "X-Forwarded-For, Forwarded, X-Forwarded-Host"), ("x-client", "192.0.2.7")]).ok(200);
    assert_eq!((world.got("x-forwarded-for").len(), world.got("x-forwarded-host").len()), (1, 1));
}

#[test]
fn f6_a_policy_that_names_a_trusted_proxy_keeps_what_it_said() {
    let policy = format!("{POLICY}\n[upstream]\nforwarded = \"append\"\npass = [\"X-Client-Cert\", \"X-Client\"]\n");
    let world = with(&policy);
    world
        .get(&[
            ("x-client", "192.0.2.7"),
            ("x-forwarded-for", "198.51.100.9"),
            ("forwarded", "for=198.51.100.9"),
            ("x-forwarded-proto", "http"),
            ("x-client-cert", "MII"),
            ("x_client_cert", "forged"),
            ("remote-user", "root"),
        ])
        .ok(200);
    for (name, value) in [
        ("x-forwarded-for", "198.51.100.9, 192.0.2.7"),
        ("forwarded", "for=198.51.100.9, for=192.0.2.7;host=auth.example;proto=https"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "auth.example"),
        ("x-client-cert", "MII"),
        ("x-client", "192.0.2.7"),
    ] {
        assert_eq!(world.got(name), [value], "{name}");
    }
    assert!(world.got("remote-user").is_empty() && world.got("x_client_cert").is_empty());
}

#[test]
fn f6_a_policy_cannot_let_through_what_would_undo_its_own_decisions() {
    let error = |table: &str| policy::parse(&format!("{POLICY}\n[upstream]\n{table}\n")).unwrap_err().reason;
    for (table, why) in [
        ("forwarded = \"keep\"", "`forwarded` is \"anew\" or \"append\""),
        ("own_header = \"cookie\"", "`own_header` is one of authorization, x-api-key, x-service-token"),
        ("pass = [\"X-Forwarded-For\"]", "is written by Claviger"),
        ("pass = [\"X-HTTP-Method-Override\"]", "another method or path"),
        ("pass = [\"X-Original-URL\"]", "another method or path"),
        ("pass = [\"X-Rewrite-Url\"]", "another method or path"),
        ("pass = [\"Authorization\"]", "never passes"),
        ("pass = [\"x_api_key\"]", "never passes"),
        ("pass = [\"Cookie\"]", "never passes"),
        ("pass = [\"X-Service-Name\"]", "never passes"),
        ("pass = [\"Claviger-Principal\"]", "never passes"),
        ("pass = [\"Connection\"]", "never passes"),
        ("pass = [\"Proxy-Authorization\"]", "never passes"),
        ("pass = [\"Host\"]", "never passes"),
        ("pass = [\"a b\"]", "no name of a header"),
        ("pass = [\"\"]", "no name of a header"),
        ("own = 1", "unknown key"),
    ] {
        let error = error(table);
        assert!(error.contains(why), "{table}: {error}");
    }
    let route = |more: &str| {
        let text = format!("{POLICY}\n[[routes]]\nto = \"upstream\"\n{more}\n");
        policy::parse(&text).map(|_| ()).map_err(|error| error.reason)
    };
    let takes =
        |kinds: &str, own: &str| route(&format!("match = \"GET /v1/x\"\naccept = {kinds}\nown_header = \"{own}\""));
    for (kinds, own) in [
        ("[\"deploy_key\"]", "x-api-key"),
        ("[\"service_token\"]", "x-api-key"),
        ("[\"service_token\"]", "authorization"),
        ("[\"server_key\", \"deploy_key\"]", "x-service-token"),
    ] {
        assert!(takes(kinds, own).unwrap_err().contains("nobody could use this route"), "{kinds} {own}");
    }
    for (kinds, own) in [
        ("[\"deploy_key\", \"server_key\"]", "X-API-Key"),
        ("[\"deploy_key\"]", "authorization"),
        ("[\"service_token\"]", "x-service-token"),
    ] {
        assert_eq!(takes(kinds, own), Ok(()), "{kinds} {own}");
    }
    for (more, why) in [
        ("match = \"GET /v1/x\"\naccept = [\"server_key\"]\nif_match = \"required\"", "overwrites nothing"),
        ("match = \"PUT /v1/x\"\naccept = [\"server_key\"]\nif_match = \"optional\"", "`if_match` is \"required\""),
    ] {
        assert!(route(more).unwrap_err().contains(why), "{more}");
    }
}

#[test]
fn a10_a_query_that_names_another_method_is_taken_out_and_the_rest_goes_on_as_it_was_sent() {
    let world = world();
    for (sent, arrives) in [
        ("?_method=DELETE", ""),
        ("?a=1&_method=DELETE&b=%20+'", "?a=1&b=%20+'"),
        ("?%5FMethod=put", ""),
        ("?a;_method=DELETE", "?a"),
        ("?method=DELETE", "?method=DELETE"),
        ("?", "?"),
        ("", ""),
    ] {
        world.send("GET", &format!("/v1/things/1{sent}"), &[]).ok(200);
        assert_eq!(world.sent().url, format!("{UPSTREAM}/v1/things/1{arrives}"), "{sent}");
    }
}

#[test]
fn a10_a_proxy_that_asks_would_pass_it_on_so_it_is_refused() {
    let world = world();
    let asks = |uri: &str, headers: &[(&str, &str)]| {
        let mut all = vec![("x-forwarded-method", "GET"), ("x-forwarded-uri", uri), ("x-api-key", world.key.as_str())];
        all.extend(headers);
        world.toy.send("GET", "/v1/forward-auth", &all, "")
    };
    asks("/v1/things/1?a=b", &[]).ok(204);
    asks("/v1/things/1?a=b&_method=DELETE", &[]).refused(400, "invalid_request");
    // Nor does a proxy know a credential by its form (F10).
    let other = world.toy.server_key("acme", "live", &Value::Null).1;
    for name in ["api-key", "x-auth-token", "referer", "cookie", "proxy-authorization"] {
        asks("/v1/things/1", &[(name, &other)]).refused(400, "ambiguous_credential");
    }
}

#[test]
fn f7_answers_name_us_where_they_name_the_upstream() {
    let world = world();
    world.answers(
        307,
        &[
            ("location", "http://api.internal:8080/v1/any/x/"),
            ("content-location", "//API.internal:8080/v1/any"),
            ("link", "<http://api.internal:8080/2>; rel=next, <https://other.example/>; rel=help"),
            ("refresh", "0; url=http://api.internal:8080/3"),
            ("set-cookie", "a=1; Domain=api.internal; Path=/"),
            ("set-cookie", "b=1; Domain=other.example"),
            ("alt-svc", "h3=\":443\""),
            ("strict-transport-security", "max-age=1"),
            ("clear-site-data", "\"*\""),
            ("service-worker-allowed", "/"),
            ("x-internal", "api.internal:8080"),
        ],
    );
    assert_eq!(
        passed(&world.get(&[]).ok(307)),
        [
            ("location", "https://auth.example/v1/any/x/"),
            ("content-location", "https://auth.example/v1/any"),
            ("link", "<https://auth.example/2>; rel=next, <https://other.example/>; rel=help"),
            ("refresh", "0; url=https://auth.example/3"),
            ("set-cookie", "a=1; Path=/"),
            ("set-cookie", "b=1; Domain=other.example"),
            ("x-internal", "api.internal:8080"),
        ]
    );
    // What becomes a WebSocket as well.
    world.answers(101, &[("location", "http://api.internal:8080/a")]);
    let answer = world.get(&[("upgrade", "websocket"), ("connection", "upgrade")]).ok(101);
    assert_eq!(passed(&answer), [("location", "https://auth.example/a")]);
}

#[test]
fn f7_an_answer_that_is_given_again_names_us_too_whenever_it_was_kept() {
    let mut world = world();
    world.answers(201, &[("location", "http://api.internal:8080/v1/things/7"), ("link", "<http://old.internal/>")]);
    let post = |world: &World| {
        let answer = world.send("POST", "/v1/things", &[("idempotency-key", "k1")]).ok(201);
        (
            answer.header("idempotent-replayed").is_some(),
            passed(&answer).iter().map(|(_, value)| (*value).to_owned()).collect::<Vec<_>>(),
        )
    };
    let (first, again) = (post(&world), post(&world));
    assert_eq!(
        first,
        (false, vec!["https://auth.example/v1/things/7".to_owned(), "<http://old.internal/>".to_owned()])
    );
    assert_eq!(again, (true, first.1));
    // One that was kept as it came, by a build that did not turn names.
    world.toy.config = Toy::changed(&[("POLICY_TOML", POLICY), ("UPSTREAM", "http://old.internal")]).config;
    assert_eq!(post(&world).1[1], "<https://auth.example/>");
}

#[test]
fn f10_a_credential_of_ours_never_reaches_the_upstream_wherever_it_stands_and_however_it_is_packed() {
    let world = world();
    let key = world.key.clone();
    let other = world.toy.server_key("acme", "test", &Value::Null).1;
    let token = world.toy.service_token("acme", "live", "billing", &Value::Null).1;
    let deploy = world.toy.deploy_key().split_once(' ').unwrap().1.to_owned();
    let percent = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    for secret in [&key, &other, &token, &deploy] {
        let packed = [
            secret.clone(),
            format!("Bearer {secret}"),
            format!("a={secret}; b"),
            format!("https://shop.example/?key={secret}&a=b"),
            percent(secret),
            secret.replace('_', "%5F"),
            percent(&percent(secret)),
            packed(secret),
            format!("Basic {}", packed(&format!("user:{secret}"))),
            format!("Basic {}", packed(&format!("{secret}:"))),
            packed_for_urls(secret),
            format!("base64url.bearer.authorization.k8s.io.{}", packed_for_urls(secret)),
            format!("xx-{}", packed_for_urls(secret)),
            format!("{{\"token\":\"{secret}\"}}"),
            packed(&format!("{{\"token\":\"{secret}\"}}")).replace('=', "%3D"),
        ];
        for value in &packed {
            for name in
                ["api-key", "x-goog-api-key", "x-auth-token", "referer", "proxy-authorization", "x-anything", "from"]
            {
                world.get(&[(name, value), ("x-stays", "1")]).ok(200);
                assert_eq!((world.got(name).len(), world.got("x-stays").len()), (0, 1), "{name}: {value}");
            }
        }
        // Of subprotocols the others stay.
        let offered = format!("chat, {secret} ,v2,base64url.{}", packed_for_urls(secret));
        let upgrade = [("upgrade", "websocket"), ("connection", "upgrade")];
        world.get(&[&upgrade[..], &[("sec-websocket-protocol", &offered)]].concat());
        assert_eq!(world.got("sec-websocket-protocol"), ["chat,v2"]);
        world.get(&[&upgrade[..], &[("sec-websocket-protocol", secret)]].concat());
        assert_eq!(world.got("sec-websocket-protocol"), Vec::<String>::new());
    }
    // What only begins like one, or is none, passes.
    for value in [
        "clv_live_",
        "clv_test_acme",
        "sk_VbjhV1ypWwr7B3YQ0wJo_acme",
        "clvx_live_0123456789012345678901234567890123",
        &"A".repeat(400),
    ] {
        world.get(&[("x-anything", value)]).ok(200);
        assert_eq!(world.got("x-anything"), [value]);
    }
}

#[test]
fn x_a_credential_that_was_pasted_as_the_name_of_a_header_stays_here() {
    let world = world();
    let name = world.key.to_ascii_lowercase();
    world.send("GET", "/v1/things/1", &[(&name, "x"), ("x-stays", "1")]).ok(200);
    assert_eq!((world.got(&name), world.got("x-stays")), (vec![], vec!["1".to_owned()]));
}

#[test]
fn f10_in_a_url_it_is_refused_however_it_is_packed() {
    let world = world();
    let key = world.key.clone();
    let other = world.toy.server_key("acme", "test", &Value::Null).1;
    let before = world.went_out();
    for secret in [&key, &other] {
        let packed = [secret.clone(), secret.replace('_', "%255f"), packed_for_urls(&format!("user:{secret}"))];
        for text in packed {
            let answer = world.toy.exchange("GET", &format!("/v1/things/1?a=b&x={text}"), &[("x-api-key", &key)], "");
            idle(&answer, 400, "invalid_request");
        }
        let answer = world.toy.exchange("GET", &format!("/v1/things/{secret}"), &[("x-api-key", &key)], "");
        idle(&answer, 400, "invalid_request");
        assert!(!answer.text.contains(secret.as_str()) && !answer.log.to_string().contains(secret.as_str()));
        let answer = world.toy.exchange(
            "GET",
            &format!("/v1/things/{}", secret.replace('_', "%5F")),
            &[("x-api-key", &key)],
            "",
        );
        idle(&answer, 400, "invalid_request");
    }
    assert_eq!(world.went_out(), before);
    // An id that begins like one is one.
    world.send("GET", "/v1/things/clv_live_1", &[]).ok(200);
}

#[test]
fn f10_where_one_header_is_ours_the_other_goes_to_the_upstream_and_no_key_of_ours_in_it() {
    let world = world();
    let mine = |headers: &[(&str, &str)]| world.toy.send("GET", "/v1/mine", headers, "");
    mine(&[("x-api-key", &world.key), ("authorization", "Bearer their-own-token")]).ok(200);
    assert_eq!(
        (world.got("authorization"), world.got("x-api-key")),
        (vec!["Bearer their-own-token".to_owned()], vec![])
    );
    assert_eq!(world.got("claviger-kind"), ["server_key"]);
    for theirs in ["Basic dXNlcjpwYXNz", "anything, at all", "Convex x"] {
        mine(&[("x-api-key", &world.key), ("authorization", theirs), ("x-service-token", "x")]).ok(200);
        assert_eq!((world.got("authorization"), world.got("x-service-token")), (vec![theirs.to_owned()], vec![]));
    }
    // Ours stays behind all the same.
    mine(&[("x-api-key", &world.key), ("authorization", &format!("Bearer {}", world.key))]).ok(200);
    assert!(world.got("authorization").is_empty());
    // Nothing else opens it, and the refusal says what does.
    let before = world.went_out();
    for headers in [
        &[][..],
        &[("authorization", &*format!("Bearer {}", world.key))],
        &[("authorization", &*world.toy.deploy_key())],
    ] {
        let answer = mine(headers);
        idle(&answer, 401, "missing_credential");
        assert!(answer.text_at("fix").contains("x-api-key"), "{}", answer.text);
    }
    mine(&[("x-api-key", &toy::forge(&world.key)), ("authorization", "Bearer a")]).refused(401, "invalid_credential");
    assert_eq!(world.went_out(), before);
    // A proxy that asks is told the same.
    let asks = |headers: &[(&str, &str)]| {
        let about = [("x-forwarded-method", "GET"), ("x-forwarded-uri", "/v1/mine")];
        world.toy.send("GET", "/v1/forward-auth", &[&about, headers].concat(), "")
    };
    asks(&[("x-api-key", &world.key), ("authorization", "Bearer their-own-token")]).ok(204);
    asks(&[("x-api-key", &world.key), ("authorization", &format!("Bearer {}", world.key))])
        .refused(400, "ambiguous_credential");
    // Elsewhere two are two.
    world.get(&[("authorization", "Bearer their-own-token")]).refused(400, "ambiguous_credential");
    // `[upstream]` says it for all routes that say nothing.
    let own =
        with(&format!("{}\n[upstream]\nown_header = \"authorization\"\n", POLICY.replace(", \"service_token\"", "")));
    let bearer = format!("Bearer {}", own.key);
    own.toy.send("GET", "/v1/things/1", &[("authorization", &bearer), ("x-api-key", "theirs")], "").ok(200);
    assert_eq!(own.got("x-api-key"), ["theirs"]);
    own.get(&[]).refused(401, "missing_credential");
    own.toy.send("GET", "/v1/mine", &[("x-api-key", &own.key)], "").ok(200);
    own.toy.send("GET", "/v1/whoami", &[("x-api-key", &own.key)], "").ok(200);
}

#[test]
fn a11_a_route_can_want_a_condition_of_every_write() {
    let world = world();
    let put = |headers: &[(&str, &str)]| {
        let headers = [&[("x-api-key", world.key.as_str())], headers].concat();
        world.toy.send("PUT", "/v1/records/notes/1", &headers, "{\"n\":1}")
    };
    for none in [&[][..], &[("if-match", "")], &[("if-match", " ")], &[("if-unmodified-since", "x")]] {
        let answer = put(none);
        answer.refused(400, "invalid_request");
        assert!(
            answer.text_at("error").contains("if-match") && answer.text_at("fix").contains("ETag"),
            "{}",
            answer.text
        );
    }
    put(&[("if-match", "*")]).refused(409, "conflict");
    let tag = put(&[("if-none-match", "*")]).ok(201).header("etag").unwrap().to_owned();
    let tag = put(&[("if-match", &tag)]).ok(200).header("etag").unwrap().to_owned();
    // Of the upstream's the header is the upstream's to read.
    let patch = |headers: &[(&str, &str)]| world.send("PATCH", "/v1/things/1", headers);
    patch(&[]).refused(400, "invalid_request");
    patch(&[("if-match", "\"x\""), ("connection", "close, If-Match")]).refused(400, "invalid_request");
    patch(&[("if-match", "W/\"x\"")]).ok(200);
    assert_eq!(world.got("if-match"), ["W/\"x\""]);
    // And of a call that a proxy holds.
    let asks = |headers: &[(&str, &str)]| {
        let about =
            [("x-forwarded-method", "PATCH"), ("x-forwarded-uri", "/v1/things/1"), ("x-api-key", world.key.as_str())];
        world.toy.send("GET", "/v1/forward-auth", &[&about, headers].concat(), "")
    };
    asks(&[]).refused(400, "invalid_request");
    asks(&[("if-match", "\"x\"")]).ok(204);
    // A list is read by its quotes: this names no tag of the record, and this makes no sense.
    let bare = tag.trim_matches('"').to_owned();
    for list in [format!("\"a,{bare},b\""), format!("W/{tag}"), "\"\"".to_owned(), ",".to_owned()] {
        put(&[("if-match", &list)]).refused(409, "conflict");
    }
    for list in
        [format!("\"a,{tag},b\""), bare.clone(), format!("*, {tag}"), format!("w/{tag}"), format!("{tag} {tag}")]
    {
        put(&[("if-match", &list)]).refused(400, "invalid_request");
    }
    put(&[("if-match", &format!("W/\"x\" ,, {tag},"))]).ok(200);
}

#[test]
fn a11_a_read_is_conditional_too() {
    let world = world();
    let headers = [("x-api-key", world.key.as_str()), ("if-none-match", "*")];
    let tag = world.toy.send("PUT", "/v1/records/notes/1", &headers, "{}").ok(201).header("etag").unwrap().to_owned();
    let get = |method: &str, name: &str, value: &str| world.send(method, "/v1/records/notes/1", &[(name, value)]);
    for list in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
        for method in ["GET", "HEAD"] {
            let answer = get(method, "if-none-match", &list).ok(304);
            assert_eq!((answer.text.as_str(), answer.header("etag")), ("", Some(tag.as_str())), "{list}");
        }
    }
    for list in ["\"x\"".to_owned(), format!("\"a,{}\"", tag.trim_matches('"')), "x".to_owned(), String::new()] {
        assert_eq!(get("GET", "if-none-match", &list).ok(200).json["version"], 1, "{list}");
    }
    get("GET", "if-match", &tag).ok(200);
    for list in ["\"x\"".to_owned(), format!("W/{tag}")] {
        get("GET", "if-match", &list).refused(409, "conflict");
    }
    world.send("GET", "/v1/records/notes/none", &[("if-none-match", "*")]).refused(404, "not_found");
}

#[test]
fn a15_what_a_few_workspaces_do_to_the_upstream_closes_nothing_for_the_others() {
    let world = world();
    let key = |workspace: &str, environment: &str| {
        if world.toy.admin("GET", &format!("/v1/workspaces/{workspace}"), &Value::Null).status == 404 {
            world.toy.workspace(workspace);
        }
        world.toy.server_key(workspace, environment, &json!({})).1
    };
    let call = |key: &str, path: &str| world.toy.send("GET", path, &[("x-api-key", key)], "");
    let slow = || *world.toy.upstream.borrow_mut() = Err(Reason::UpstreamTimedOut);
    let keys: Vec<String> = (0..6).map(|number| key(&format!("w{number}"), "live")).collect();
    // Four fail for as long as they like, and wait each for itself.
    for _ in 0..4 {
        slow();
        for key in &keys[..4] {
            while call(key, "/v1/things/slow").header("retry-after").is_none() {}
        }
        world.answers(200, &[]);
        call(&world.key, "/v1/things/1").ok(200);
        call(&keys[4], "/v1/things/1").ok(200);
        // Their other routes are open, too.
        call(&keys[0], "/v1/mine").ok(200);
        world.toy.advance(5);
    }
    // What test keys do says nothing to live ones, of the same workspace either.
    slow();
    for number in 0..6 {
        let test = key(&format!("w{number}"), "test");
        while call(&test, "/v1/things/slow").header("retry-after").is_none() {}
    }
    world.answers(200, &[]);
    call(&keys[5], "/v1/things/1").ok(200);
    // When most of those who call fail, it is not they.
    world.toy.advance(60);
    slow();
    for key in &keys[..5] {
        call(key, "/v1/things/1").refused(504, "upstream_timeout");
    }
    let before = world.went_out();
    let answer = call(&world.key, "/v1/things/1");
    answer.refused(502, "upstream_error");
    assert_eq!((answer.header("retry-after"), world.went_out()), (Some("5"), before));
    call(&world.key, "/v1/mine").refused(504, "upstream_timeout");
    // Then each may try, whoever else tries and hangs; and an answer opens it for all.
    world.toy.advance(5);
    call(&keys[0], "/v1/things/1").refused(504, "upstream_timeout");
    world.answers(200, &[]);
    call(&world.key, "/v1/things/1").ok(200);
    call(&keys[1], "/v1/things/1").ok(200);
}

#[test]
fn f25_a_websocket_key_that_is_none_opens_nothing() {
    let world = world();
    world.answers(101, &[]);
    let open = |headers: &[(&str, &str)]| {
        world.get(&[&[("upgrade", "websocket"), ("connection", "upgrade")], headers].concat())
    };
    for headers in [("sec-websocket-key", "none"), ("sec-websocket-key", "AAAA"), ("sec-websocket-version", "8")] {
        open(&[headers]).refused(400, "invalid_request");
    }
    assert_eq!(world.went_out(), 0);
    open(&[("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="), ("sec-websocket-version", "13")]).ok(101);
    // Where no WebSocket is wanted it is a header like any.
    world.answers(200, &[]);
    world.get(&[("sec-websocket-key", "none")]).ok(200);
}
