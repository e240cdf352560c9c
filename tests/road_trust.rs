//! Work before trust: what a caller can make us do before anybody has admitted it grows with what it sent, and has an end.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

#[path = "lawful/tokens.rs"]
mod tokens;
mod toy;

use base64ct::{Base64, Encoding as _};
use claviger::{
    codec::work,
    credential::{Kind as _, ServerKey},
    world::{
        fetch::Fetched,
        memory_budget::{Holder, Share},
        upstream::{Incoming, Rules, forwarded},
    },
};
use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer as _},
    pkcs8::EncodePublicKey as _,
};
use serde_json::{Value, json};
use std::{cell::Cell, rc::Rc};
use toy::{Answer, ORIGIN, Toy, idle};

/// Work that grows with what was sent doubles with it; a fifth more is for what is done once for each call.
const GROWTH: f64 = 2.2;

const POLICY: &str = r#"
brand = "clv"
[scopes]
admin = { says = "All", implies = "*" }
"things:write" = "Change things"
[widget]
messages_per_minute = 100000
messages_per_minute_per_conversation = 100000
conversations_per_hour = 100000
conversations_per_hour_per_key = 1000000
[[routes]]
match = "POST /v1/tokens"
accept = ["server_key", "deploy_key"]
to = "upstream"
tokens = { reserve = "max_tokens", settle = "usage.total_tokens" }
[[routes]]
match = "POST /v1/once"
accept = ["server_key"]
to = "upstream"
idempotency = "accepted"
[[routes]]
match = "PUT /v1/records/{collection}/{id}"
accept = ["server_key"]
to = "records"
[[routes]]
match = "GET /v1/any/{rest...}"
accept = ["server_key"]
to = "upstream"
"#;

/// A policy of a hundred routes that are all looked at for a path of many segments.
fn many_routes() -> String {
    let route = |number: usize| {
        let path = "/{a}".repeat(number + 1);
        format!("[[routes]]\nmatch = \"GET {path}/x\"\naccept = [\"server_key\"]\nto = \"upstream\"\n")
    };
    format!("brand = \"clv\"\n{}", (0..100).map(route).collect::<String>())
}

fn toy_of(policy: &str) -> Toy {
    Toy::changed(&[("POLICY_TOML", policy), ("UPSTREAM", "http://api.internal:8080")])
}

/// Steps that this takes.
fn steps(act: impl FnOnce()) -> f64 {
    let before = work::charged();
    act();
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    let steps = (work::charged() - before) as f64;
    steps
}

/// The most that twice as much multiplies the steps by, from `least` on.
fn growth(least: usize, most: usize, mut act: impl FnMut(usize)) -> f64 {
    let mut worst: f64 = 0.0;
    let mut size = least;
    while 2 * size <= most {
        let (once, twice) = (steps(|| act(size)), steps(|| act(2 * size)));
        assert!(once > 0.0, "nobody counted anything");
        worst = worst.max(twice / once);
        size *= 2;
    }
    assert!(worst > 0.0, "nothing was tried");
    worst
}

#[track_caller]
fn is_linear(what: &str, least: usize, most: usize, act: impl FnMut(usize)) {
    let growth = growth(least, most, act);
    assert!(growth <= GROWTH, "{what}: twice as much takes {growth:.2} times the work");
}

/// A text of about `bytes` bytes, of `part` again and again.
fn of(part: &str, bytes: usize) -> String {
    part.repeat(bytes / part.len())
}

/// Parts that make a reader look again at what it has seen.
const PARTS: [&str; 14] = [
    "a",
    ".clv_st_",
    "clv_st_",
    "clv_",
    "_",
    "|",
    "clv_live_|",
    "%63lv_st_.",
    "a=b&",
    "&",
    "=",
    "%41",
    ".clv_hs_a",
    ",",
];

#[test]
fn a1_a_query_is_read_in_work_that_grows_with_it_on_every_call() {
    let toy = toy_of(POLICY);
    let (_, widget) = toy.shop();
    let (_, key) = toy.server_key("acme", "live", &json!({ "scopes": ["admin"] }));
    let bearer = format!("Bearer {key}");
    let paths = [
        "/v1/whoami".to_owned(),
        "/v1/credentials".to_owned(),
        "/v1/audit".to_owned(),
        "/v1/conversations".to_owned(),
        "/v1/forward-auth".to_owned(),
        "/healthz".to_owned(),
        "/.well-known/oauth-protected-resource".to_owned(),
        "/v1/any/thing".to_owned(),
        "/nowhere".to_owned(),
        format!("/w/{widget}/conversations/conv_x/messages"),
    ];
    for path in paths {
        toy.advance(60);
        for part in PARTS {
            for headers in [vec![], vec![("authorization", bearer.as_str())]] {
                is_linear(&format!("{path}?{part}…"), 1_024, 8_000 - path.len(), |bytes| {
                    let answer = toy.exchange("GET", &format!("{path}?{}", of(part, bytes)), &headers, "");
                    assert_ne!(answer.status, 429, "{path}: this would be as far as it gets");
                });
            }
        }
    }
    for path in ["/v1/leaks/github", "/v1/verify", "/v1/tokens"] {
        for part in PARTS {
            is_linear(&format!("{path}?{part}…"), 1_024, 8_000, |bytes| {
                toy.exchange("POST", &format!("{path}?{}", of(part, bytes)), &[], "{}");
            });
        }
    }
}

#[test]
fn a1_a_path_is_read_in_work_that_grows_with_it_also_past_a_hundred_routes() {
    for policy in [POLICY.to_owned(), many_routes()] {
        let toy = toy_of(&format!("{policy}\n[upstream]\nmax_url_bytes = 65536\n"));
        for start in
            ["/", "/v1/any/", "/w/", "/v1/credentials/", "/.well-known/oauth-protected-resource/", "/v1/records/a/"]
        {
            for part in PARTS.iter().chain(&["a/", "/", "%2f", "./", "clv_st_/"]) {
                for method in ["GET", "HEAD", "PUT"] {
                    // Over 8 KiB it is asked first whether the path is one of ours.
                    for (least, most) in [(2_000, 8_000), (8_200, 65_536)] {
                        is_linear(&format!("{method} {start}{part}…"), least, most, |bytes| {
                            toy.exchange(method, &format!("{start}{}", of(part, bytes + 1 - start.len())), &[], "");
                        });
                    }
                }
            }
        }
    }
}

/// Every header that is read somewhere.
const HEADERS: [&str; 26] = [
    "accept",
    "access-control-request-headers",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "github-public-key-identifier",
    "github-public-key-signature",
    "host",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "origin",
    "sec-fetch-site",
    "sec-websocket-protocol",
    "transfer-encoding",
    "upgrade",
    "x-api-key",
    "x-client",
    "x-forwarded-host",
    "x-forwarded-method",
    "x-forwarded-uri",
    "x-service-name",
    "x-service-token",
];

#[test]
fn a1_each_header_is_read_in_work_that_grows_with_it() {
    let toy = toy_of(POLICY);
    let (_, widget) = toy.shop();
    let (_, key) = toy.server_key("acme", "live", &json!({ "scopes": ["admin"] }));
    let bearer = format!("Bearer {key}");
    let visit = format!("/w/{widget}/conversations");
    let calls = [
        ("GET", "/v1/whoami", ""),
        ("GET", "/v1/any/x", ""),
        ("GET", "/v1/forward-auth", ""),
        ("POST", "/v1/leaks/github", "[]"),
        ("POST", "/v1/once", "{}"),
        ("PUT", "/v1/records/a/b", "{}"),
        ("POST", visit.as_str(), "{}"),
        ("OPTIONS", visit.as_str(), ""),
    ];
    let parts =
        PARTS.iter().chain(&["a,", "clv_st_live_", "Bearer ", "dev:local|", "https://a.", "/a", "1", "\"a\", ", "W/"]);
    for part in parts {
        for name in HEADERS {
            toy.advance(60);
            for (method, path, body) in calls {
                for with_key in [false, true] {
                    is_linear(&format!("{method} {path} {name}: {part}…"), 2_000, 8_000, |bytes| {
                        let value = of(part, bytes);
                        let mut headers = vec![(name, value.as_str())];
                        if with_key && name != "authorization" {
                            headers.push(("authorization", &bearer));
                        }
                        let answer = toy.exchange(method, path, &headers, body);
                        assert_ne!(answer.status, 429, "{path}: this would be as far as it gets");
                    });
                }
            }
        }
    }
}

#[test]
fn a1_many_headers_and_what_connection_lists_are_read_in_work_that_grows_with_both() {
    let toy = toy_of(POLICY);
    let (_, key) = toy_with_key(&toy);
    let bearer = format!("Bearer {key}");
    is_linear("many headers", 400, 3_200, |count| {
        let names: Vec<String> = (0..count).map(|number| format!("x-{number:04}")).collect();
        let listed = names.iter().take(count / 2).map(String::as_str).collect::<Vec<_>>();
        let lists: Vec<String> = listed.chunks(800).map(|names| names.join(",")).collect();
        let mut headers: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "a")).collect();
        headers.extend(lists.iter().map(|list| ("connection", list.as_str())));
        headers.push(("authorization", &bearer));
        toy.send("GET", "/v1/any/x", &headers, "").ok(200);
    });
    // 1,500 names × 3,000 headers, and the one way back.
    let lists = |size: usize, pass: &dyn Fn(Headers) -> Headers| {
        let mut headers: Vec<(String, String)> =
            (0..size).map(|number| (format!("x-{number:04}"), String::new())).collect();
        let listed: Vec<String> = (0..size / 2).map(|number| format!("y-{number:04}")).collect();
        headers.push(("connection".to_owned(), listed.join(", ")));
        assert_eq!(pass(headers).len(), size);
    };
    is_linear("Connection", 375, 3_000, |size| {
        lists(size, &|headers| forwarded(headers, &Rules::default()));
    });
    is_linear("Connection of an answer", 375, 3_000, |size| {
        lists(size, &|headers| {
            let mut headers = claviger::world::upstream::returned(headers, None);
            headers.pop();
            headers
        });
    });
    // The control: a list that is searched for each header.
    let searched = |mut headers: Vec<(String, String)>| {
        let (_, list) = headers.pop().unwrap();
        let listed: Vec<&str> = list.split(',').map(str::trim).collect();
        headers.retain(|(name, _)| {
            !listed.iter().any(|hop| {
                work::charge(hop.len());
                hop == name
            })
        });
        headers
    };
    assert!(growth(375, 3_000, |size| lists(size, &searched)) > 3.0, "the harness would not have seen it");
}

fn toy_with_key(toy: &Toy) -> (String, String) {
    toy.workspace("acme");
    toy.server_key("acme", "live", &json!({ "scopes": ["admin"] }))
}

/// Names and values.
type Headers = Vec<(String, String)>;
/// A body of so many bytes.
type Body = fn(usize) -> String;

fn bodies() -> Vec<(&'static str, Body)> {
    fn members(count: usize) -> String {
        (0..count).map(|number| format!("\"m{number}\":1")).collect::<Vec<_>>().join(",")
    }
    vec![
        ("a long text", |bytes| json!({ "text": "a".repeat(bytes) }).to_string()),
        ("a text like keys", |bytes| {
            json!({ "text": of(".clv_st_", bytes), "name": of(".clv_st_", bytes) }).to_string()
        }),
        ("escapes", |bytes| format!("{{\"text\":\"{}\"}}", of("\\u0041", bytes / 6 * 6))),
        ("many members", |bytes| format!("{{{}}}", members(bytes / 10))),
        ("objects of members", |bytes| {
            let one = format!("{{{}}}", members(60));
            format!("{{\"a\":[{}]}}", vec![one.clone(); bytes / one.len() + 1].join(","))
        }),
        ("a list of numbers", |bytes| format!("{{\"a\":[1{}]}}", ",1".repeat(bytes / 2))),
        ("a list of lists", |bytes| format!("{{\"a\":[[]{}]}}", ",[]".repeat(bytes / 3))),
        ("a list of texts", |bytes| format!("{{\"scopes\":[\"a\"{}]}}", ",\"a\"".repeat(bytes / 4))),
        ("depth", |bytes| format!("{{\"a\":{}{}}}", "[".repeat(bytes / 2), "]".repeat(bytes / 2))),
        ("space", |bytes| format!("{{{}}}", " ".repeat(bytes))),
        ("no JSON", |bytes| "x".repeat(bytes)),
        ("the same member", |bytes| format!("{{\"a\":1{}}}", ",\"a\":1".repeat(bytes / 6))),
    ]
}

#[test]
fn a1_each_body_is_read_in_work_that_grows_with_it() {
    let toy = toy_of(POLICY);
    let (_, widget) = toy.shop();
    let visitor = toy.open(&widget);
    let (_, key) = toy.server_key("acme", "live", &json!({ "scopes": ["admin"] }));
    let bearer = format!("Bearer {key}");
    let history = format!("Bearer {}", visitor.secret);
    let write = format!("/w/{widget}/conversations/{}/messages", visitor.conversation);
    let open = format!("/w/{widget}/conversations");
    let calls = [
        ("POST", "/v1/credentials", vec![("authorization", bearer.as_str())], 262_144),
        ("POST", "/v1/verify", vec![("authorization", &bearer)], 262_144),
        ("POST", "/v1/workspaces/acme/credentials/revoke", vec![("authorization", &bearer)], 65_536),
        ("POST", "/v1/tokens", vec![("authorization", &bearer)], 262_144),
        ("POST", "/v1/once", vec![("authorization", &bearer), ("idempotency-key", "k")], 262_144),
        ("PUT", "/v1/records/a/b", vec![("authorization", &bearer)], 262_144),
        ("POST", &write, vec![("origin", ORIGIN), ("authorization", &history)], 90_000),
        ("POST", &open, vec![("origin", ORIGIN)], 16_000),
    ];
    for (what, body) in bodies() {
        toy.advance(60);
        for (method, path, headers, most) in &calls {
            is_linear(&format!("{method} {path}: {what}"), 4_000, *most, |bytes| {
                let answer = toy.exchange(method, path, headers, &body(bytes));
                assert_ne!(answer.status, 429, "{path}: this would be as far as it gets");
            });
        }
        is_linear(&format!("a report: {what}"), 8_000, 262_144, |bytes| {
            let _ = claviger::leaks::github::findings(body(bytes).as_bytes());
        });
    }
}

/// Sends reports that GitHub signed.
fn reports(toy: &Toy) -> impl Fn(&[String]) -> Answer {
    let signer = SigningKey::from_slice(&[1; 32]).unwrap();
    let text = Base64::encode_string(signer.verifying_key().to_public_key_der().unwrap().as_bytes());
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n{}\n-----END PUBLIC KEY-----\n", &text[..64], &text[64..]);
    let keys = json!({"public_keys": [{"key_identifier": "k1", "key": pem, "is_current": true}]}).to_string();
    let url = "https://api.github.com/meta/public_keys/secret_scanning".to_owned();
    toy.documents.borrow_mut().insert(url, Ok(Fetched { status: 200, body: keys.into_bytes() }));
    move |tokens| {
        let item = |token: &String| json!({"token": token, "type": "key", "url": "https://a.example/b"});
        let body = Value::from(tokens.iter().map(item).collect::<Vec<_>>()).to_string();
        let signature: Signature = signer.sign(body.as_bytes());
        let signature = Base64::encode_string(signature.to_der().as_bytes());
        let headers = [("github-public-key-identifier", "k1"), ("github-public-key-signature", signature.as_str())];
        toy.exchange("POST", "/v1/leaks/github", &headers, &body)
    }
}

#[test]
fn a1_a_report_and_an_identity_are_read_in_work_that_grows_with_them() {
    let toy = toy_of(POLICY);
    let send = reports(&toy);
    let report = |tokens: &[String]| drop(send(tokens).ok(200));
    is_linear("findings", 60, 480, |count| {
        report(&(0..count).map(|number| format!("clv_st_live_{number}")).collect::<Vec<_>>());
    });
    is_linear("long findings", 4_000, 64_000, |bytes| report(&[of(".clv_st_", bytes)]));
    let (_, key) = toy.shop();
    let (_, secret) = toy.identity_secret("acme");
    for (what, claims) in [
        ("a claim", (|bytes| json!({ "x": of(".clv_st_", bytes) })) as fn(usize) -> Value),
        ("audiences", |bytes| json!({ "aud": vec!["acme"; bytes / 7] })),
        ("claims", |bytes| Value::Object((0..bytes / 12).map(|number| (format!("c{number}"), json!(1))).collect())),
    ] {
        is_linear(&format!("an identity: {what}"), 700, 5_600, |bytes| {
            let mut all =
                json!({ "sub": "ada", "aud": "acme", "iat": toy::START / 1_000, "exp": toy::START / 1_000 + 600 });
            all.as_object_mut().unwrap().extend(claims(bytes).as_object().unwrap().clone());
            let body = json!({ "identity": tokens::sign(&secret, &all) }).to_string();
            let opened = toy.exchange("POST", &format!("/w/{key}/conversations"), &[("origin", ORIGIN)], &body);
            // More members than a token may have are read to their end, and no further.
            assert_eq!(opened.status, if all.as_object().unwrap().len() > 64 { 400 } else { 201 }, "{}", opened.text);
        });
    }
}

/// What `is_like_credential` was: it looked for the longest run behind every place where the brand stands.
fn old_is_like_credential(text: &str, brand: &str) -> bool {
    let longest_run = |text: &str| {
        work::charge(text.len());
        let runs = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
        runs.map(str::len).max().unwrap_or_default()
    };
    let tags = [("dk_", 43), ("hs_", 43), ("is_", 43), ("wk_", 43), ("st_", 32), ("live_", 32), ("test_", 32)];
    let text = text.to_ascii_lowercase();
    let start = text.rsplit_once('|').map_or(0, |(place, _)| place.len() + 1);
    text.match_indices(brand).any(|(at, found)| {
        let rest = text.get(at + found.len()..).and_then(|rest| rest.strip_prefix('_')).unwrap_or_default();
        let body = tags.iter().find_map(|(tag, characters)| Some((rest.strip_prefix(tag)?, *characters)));
        body.is_some_and(|(body, characters)| at == start || longest_run(body) >= characters)
    })
}

#[test]
fn a1_the_reader_before_this_one_fails_the_same_test_and_says_the_same_of_every_text() {
    let toy = toy_of(POLICY);
    let config = toy.config.as_ref().unwrap();
    let door = config.door();
    let text = |bytes: usize| of(".clv_st_", bytes);
    let old = growth(1_024, 8_192, |bytes| {
        let _ = old_is_like_credential(&text(bytes), "clv");
    });
    assert!(old > GROWTH, "the harness would not have seen it: {old:.2}");
    is_linear("a text of brands", 1_024, 8_192, |bytes| {
        let _ = door.is_like_credential(&text(bytes));
    });
    let run = "a".repeat(43);
    let pieces = [
        "clv_st_",
        "clv_dk_",
        "clv_live_",
        "CLV_HS_",
        "clv",
        "_",
        "|",
        ".",
        " ",
        "é",
        &run,
        &run[..31],
        &run[..32],
        "st_",
        "lclv_st_",
    ];
    let mut random: u64 = 1;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..5 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text += pieces[usize::try_from(random >> 33).unwrap() % pieces.len()];
        }
        assert_eq!(door.is_like_credential(&text), old_is_like_credential(&text, "clv"), "{text}");
    }
}

#[test]
fn a1_a_credential_is_seen_in_any_spelling_also_behind_a_brand_that_overlaps() {
    let toy = toy_of(&POLICY.replace("brand = \"clv\"", "brand = \"aa\""));
    let key = format!("aa_live_{}", "b".repeat(32));
    for text in [
        key.clone(),
        format!("a{key}"),
        format!("aaa{key}"),
        key.to_uppercase(),
        format!("x/{key}"),
        format!("dev:local|{key}"),
    ] {
        let refused = toy.exchange("GET", &format!("/v1/whoami?x={text}"), &[], "");
        idle(&refused, 400, "invalid_request");
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        idle(&toy.exchange("GET", &format!("/v1/whoami?{encoded}"), &[], ""), 400, "invalid_request");
    }
}

#[test]
fn a1_a_url_that_is_too_long_is_refused_before_anything_else_is_looked_at() {
    let toy = toy_of(&POLICY.replace("[widget]", "[upstream]\nmax_url_bytes = 10000\n[widget]"));
    let (_, key) = toy_with_key(&toy);
    let get = |path: &str, bytes: usize, header: (&str, &str)| {
        toy.exchange("GET", &format!("{path}?{}", "x".repeat(bytes - path.len() - 1)), &[header], "")
    };
    let bearer = ("authorization", &*format!("Bearer {key}"));
    get("/healthz", 8_192, bearer).ok(200);
    get("/v1/any/x", 10_000, bearer).ok(200);
    for (path, bytes) in [
        ("/v1/whoami", 8_193),
        ("/v1/whoami", 60_000),
        ("/healthz", 8_193),
        ("/w/x/conversations", 8_193),
        ("/v1/leaks/github", 8_193),
        ("/v1/forward-auth", 8_193),
        ("/v1/any/x", 10_001),
        ("/nowhere", 10_001),
    ] {
        for header in [bearer, ("authorization", "Bearer clv_live_x"), ("host", "a b"), ("x-a", &"a".repeat(70_000))] {
            idle(&get(path, bytes, header), 414, "uri_too_long");
        }
    }
    idle(&toy.exchange("OPTIONS", &format!("/w/{}/conversations", "x".repeat(9_000)), &[], ""), 414, "uri_too_long");
    // Where the policy does not say: 16 KiB.
    let toy = toy_of(POLICY);
    let (_, key) = toy_with_key(&toy);
    let bearer = ("authorization", &*format!("Bearer {key}"));
    let get = |bytes: usize| toy.exchange("GET", &format!("/v1/any/{}", "x".repeat(bytes - 8)), &[bearer], "");
    get(16_384).ok(200);
    idle(&get(16_385), 414, "uri_too_long");
}

#[test]
fn a1_headers_that_are_too_much_together_are_refused_before_anything_else_is_looked_at() {
    let toy = toy_of(POLICY);
    let (_, key) = toy_with_key(&toy);
    let bearer = format!("Bearer {key}");
    let send = |path: &str, count: usize, bytes: usize, more: &[(&str, &str)]| -> Answer {
        let names: Vec<String> = (0..count).map(|number| format!("x-{number:04}")).collect();
        let value = "v".repeat(bytes);
        let mut headers: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), value.as_str())).collect();
        headers.extend(more);
        toy.exchange("GET", path, &headers, "")
    };
    let auth = [("authorization", bearer.as_str())];
    send("/v1/whoami", 7, 8_192, &auth).ok(200);
    for path in ["/v1/whoami", "/v1/any/x", "/healthz", "/w/x/conversations", "/nowhere"] {
        idle(&send(path, 8, 8_192, &auth), 431, "header_too_large");
        idle(&send(path, 8_000, 1, &[]), 431, "header_too_large");
        idle(&send(path, 1, 8_193, &auth), 431, "header_too_large");
        idle(&send(path, 8, 8_192, &[("host", "a, b")]), 431, "header_too_large");
    }
}

#[test]
fn f25_two_host_lines_and_a_host_that_is_none_are_refused() {
    let toy = toy_of(POLICY);
    let (_, key) = toy_with_key(&toy);
    let send =
        |host: &str| toy.send("GET", "/v1/whoami", &[("host", host), ("authorization", &format!("Bearer {key}"))], "");
    for host in [
        "auth.example",
        "auth.example:8787",
        "127.0.0.1:1",
        "[::1]:8787",
        "xn--bcher-kva.example",
        "a_b.example",
        "LOCALHOST",
    ] {
        send(host).ok(200);
    }
    for host in ["a, b", "a,b", "a b", "a\tb", "a/b", "a?b", "a#b", "a@b", "a\\b", "a\u{e9}", "a\"b", "<a>"] {
        idle(&send(host), 400, "invalid_request");
    }
}

#[test]
fn a1_a_genuine_key_is_known_to_the_readers_of_these_tests() {
    let toy = toy_of(POLICY);
    let (_, key) = toy_with_key(&toy);
    let config = toy.config.as_ref().unwrap();
    assert!(ServerKey::verify(&key, "clv", &config.ring).unwrap().is_ok());
    assert!(config.door().is_like_credential(&key));
}

/// A body that is longer than what is read before anybody was asked.
fn long() -> String {
    json!({ "name": "a", "text": "a".repeat(10_000), "max_tokens": 5, "x": "b".repeat(10_000) }).to_string()
}

/// A call: method, path, headers, body.
type Call = (&'static str, String, Vec<(&'static str, String)>, String);

fn send(toy: &Toy, (method, path, headers, body): &Call) -> Answer {
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    toy.most_read.set(0);
    toy.send(method, path, &headers, body)
}

/// A small body that is slow, of a length that nobody knows; and a long one.
fn late(call: &Call) -> [(bool, Call); 2] {
    let (method, path, headers, body) = call.clone();
    let mut chunked = headers.clone();
    chunked.push(("transfer-encoding", "chunked".to_owned()));
    [(true, (method, path.clone(), chunked, body)), (false, (method, path, headers, long()))]
}

/// Refused before anything of its body was read, with one hop.
#[track_caller]
fn refused_on_the_head(toy: &Toy, call: &Call, status: u16, code: &str) {
    for (is_slow, call) in late(call) {
        toy.slow_bodies.set(is_slow);
        let refused = send(toy, &call);
        refused.refused(status, code);
        assert_eq!((toy.most_read.get(), refused.hops), (0, 1), "{} {code}", call.1);
    }
    toy.slow_bodies.set(false);
}

fn bearer(key: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {key}"))
}

#[test]
fn a6_what_a_servers_key_may_not_is_refused_before_its_body_is_read() {
    let policy = format!(
        "{POLICY}\n[tiers.two]\nrequests = {{ limit = 2, window_seconds = 60 }}\n[tiers.wide]\nrequests = {{ limit = 9000, window_seconds = 60 }}"
    );
    let toy = toy_of(&policy.replace(
        "accept = [\"server_key\", \"deploy_key\"]",
        "accept = [\"server_key\", \"deploy_key\"]\nscope = \"things:write\"",
    ));
    toy.workspace("acme");
    let made = |members: &Value| toy.server_key("acme", "live", members);
    let calls = |key: &str| -> Vec<Call> {
        [
            ("POST", "/v1/credentials"),
            ("POST", "/v1/verify"),
            ("POST", "/v1/tokens"),
            ("POST", "/v1/once"),
            ("PUT", "/v1/records/a/b"),
        ]
        .map(|(method, path)| {
            (method, path.to_owned(), vec![bearer(key), ("idempotency-key", "k".to_owned())], "{}".to_owned())
        })
        .to_vec()
    };
    let (id, revoked) = made(&json!({ "scopes": ["admin"], "tier": "wide" }));
    toy.admin("POST", &format!("/v1/credentials/{id}/revoke"), &Value::Null).ok(200);
    let (_, expired) = made(&json!({ "scopes": ["admin"], "tier": "wide", "expires_in": 1 }));
    let (_, elsewhere) = made(&json!({ "scopes": ["admin"], "tier": "wide", "allowed_addresses": ["9.9.9.9"] }));
    let (_, spent) = made(&json!({ "scopes": ["admin"], "tier": "two" }));
    let (_, bare) = made(&json!({ "tier": "wide" }));
    let (_, good) = made(&json!({ "scopes": ["admin"], "tier": "wide" }));
    toy.advance(1);
    (0..2).for_each(|_| drop(toy.whoami(&spent).ok(200)));
    for (key, status, code) in [
        (&revoked, 401, "revoked_credential"),
        (&expired, 401, "expired_credential"),
        (&elsewhere, 403, "address_not_allowed"),
        (&spent, 429, "rate_limited"),
    ] {
        for call in calls(key) {
            refused_on_the_head(&toy, &call, status, code);
        }
    }
    for call in calls(&bare).iter().take(3) {
        refused_on_the_head(&toy, call, 403, "insufficient_scope");
    }
    for (method, path, mut headers, body) in calls(&good) {
        headers.push(("origin", ORIGIN.to_owned()));
        refused_on_the_head(&toy, &(method, path, headers, body), 403, "server_key_in_browser");
    }
    // A deploy key that was revoked, too.
    let key = toy.deploy_key();
    let id = toy.send("GET", "/v1/whoami", &[("authorization", &key)], "").ok(200).text_at("id");
    toy.admin("POST", &format!("/v1/credentials/{id}/revoke"), &Value::Null).ok(200);
    for path in ["/v1/credentials", "/v1/tokens"] {
        let call = ("POST", path.to_owned(), vec![("authorization", key.clone())], "{}".to_owned());
        refused_on_the_head(&toy, &call, 401, "revoked_credential");
    }
    // What the head says of the body itself costs no byte of it either.
    for (headers, status, code) in [
        (vec![("content-type", "text/plain".to_owned())], 415, "unsupported_media_type"),
        (vec![("content-encoding", "gzip".to_owned())], 415, "unsupported_media_type"),
        (vec![("content-length", "1048577".to_owned())], 413, "payload_too_large"),
    ] {
        let call = ("POST", "/v1/credentials".to_owned(), [vec![bearer(&good)], headers].concat(), "{}".to_owned());
        send(&toy, &call).refused(status, code);
        assert_eq!(toy.most_read.get(), 0, "{code}");
    }
}

#[test]
fn a6_what_a_page_may_not_is_refused_before_its_body_is_read_and_a_listed_page_reads_why() {
    let toy = toy_of(&POLICY.replace("conversations_per_hour = 100000", "conversations_per_hour = 2"));
    let (id, key) = toy.shop();
    let visitor = toy.open(&key);
    let open = |key: &str, origin: &str, client: &str| -> Call {
        let headers = vec![("origin", origin.to_owned()), ("x-client", client.to_owned())];
        ("POST", format!("/w/{key}/conversations"), headers, "{}".to_owned())
    };
    let write = |origin: &str| -> Call {
        let path = format!("/w/{key}/conversations/{}/messages", visitor.conversation);
        ("POST", path, vec![("origin", origin.to_owned()), bearer(&visitor.secret)], json!({ "text": "a" }).to_string())
    };
    for call in [write("https://evil.example"), write(""), write("null")] {
        refused_on_the_head(&toy, &call, 403, "origin_not_allowed");
    }
    // A body to open a conversation has 16 KiB at most: a longer one is refused by its head as well.
    let slow = |call: Call, status: u16, code: &str| {
        toy.slow_bodies.set(true);
        let refused = send(&toy, &call);
        toy.slow_bodies.set(false);
        refused.refused(status, code);
        assert_eq!((toy.most_read.get(), refused.hops), (0, 1), "{code}");
        refused
    };
    slow(open(&key, "https://evil.example", "1.1.1.1"), 403, "origin_not_allowed");
    (0..2).for_each(|_| drop(send(&toy, &open(&key, ORIGIN, "2.2.2.2")).ok(201)));
    let limited = slow(open(&key, ORIGIN, "2.2.2.2"), 429, "rate_limited");
    assert_eq!(limited.header("access-control-allow-origin"), Some(ORIGIN));
    toy.admin("POST", &format!("/v1/credentials/{id}/revoke"), &Value::Null).ok(200);
    let revoked = slow(open(&key, ORIGIN, "1.1.1.1"), 401, "revoked_credential");
    assert_eq!(revoked.header("access-control-allow-origin"), Some(ORIGIN));
    refused_on_the_head(&toy, &write(ORIGIN), 401, "revoked_credential");
}

#[test]
fn a6_a_small_body_costs_one_hop_and_a_long_one_is_counted_once() {
    let toy = toy_of(&format!("{POLICY}\n[tiers.ten]\nrequests = {{ limit = 10, window_seconds = 60 }}"));
    toy.workspace("acme");
    let (id, key) = toy.server_key("acme", "live", &json!({ "scopes": ["admin"], "tier": "ten" }));
    let call = |body: String| -> Call { ("POST", "/v1/tokens".to_owned(), vec![bearer(&key)], body) };
    let small = || send(&toy, &call("{\"max_tokens\":5}".to_owned())).ok(200);
    // The first call fetches the key that signs assertions.
    assert_eq!(small().header("x-ratelimit-remaining"), Some("9"));
    assert_eq!((small().hops, toy.most_read.get()), (1, 16));
    let whole = send(&toy, &call(long())).ok(200);
    assert_eq!((whole.hops, whole.header("x-ratelimit-remaining")), (2, Some("7")), "asked twice and counted once");
    for (is_slow, call) in late(&call("{\"max_tokens\":5}".to_owned())) {
        toy.slow_bodies.set(is_slow);
        send(&toy, &call).ok(200);
    }
    toy.slow_bodies.set(false);
    assert_eq!(toy.whoami(&key).header("x-ratelimit-remaining"), Some("4"));
    let usage = toy.admin("GET", &format!("/v1/credentials/{id}/usage"), &Value::Null).ok(200);
    assert_eq!((&usage.json["total"], &usage.json["denied"]), (&json!(6), &json!(0)), "{}", usage.text);
    // A visitor's, too.
    let (_, widget) = toy.widget_key("acme", "live", &[ORIGIN]);
    let visitor = toy.open(&widget);
    let write = |body: &str| toy.visit(&visitor, "POST", "messages", body);
    assert_eq!(write(&json!({ "text": "a" }).to_string()).ok(201).hops, 2, "the shard and the conversation");
    let before: u32 = write("{}").header("x-ratelimit-remaining").map_or(0, |left| left.parse().unwrap());
    let escaped = format!("{{\"text\":\"{}\"}}", "\\u0061".repeat(16_384));
    let long = write(&escaped).ok(201);
    assert_eq!(long.hops, 3);
    let left: u32 = long.header("x-ratelimit-remaining").unwrap().parse().unwrap();
    assert!(before == 0 || before - left == 1, "{before} {left}");
}

#[test]
fn a6_a_long_call_of_a_deploy_key_is_recorded_once() {
    let toy = toy_of(POLICY);
    let key = toy.deploy_key();
    let call = ("POST", "/v1/tokens".to_owned(), vec![("authorization", key)], long());
    // Two for the key, and two for the one that signs assertions.
    assert_eq!(send(&toy, &call).ok(200).hops, 4);
    toy.advance(120);
    let audit = toy.admin("GET", "/v1/audit", &Value::Null).ok(200);
    let uses: Vec<&Value> =
        audit.json["items"].as_array().unwrap().iter().filter(|item| item["target"] == "POST /v1/tokens").collect();
    assert_eq!((uses.len(), uses[0]["count"].as_u64().unwrap_or(1)), (1, 1), "{}", audit.text);
}

#[test]
fn a6_a_credential_that_ends_while_a_long_or_slow_body_is_on_its_way_acts_no_more() {
    let toy = toy_of(POLICY);
    let (widget_id, widget) = toy.shop();
    let visitor = toy.open(&widget);
    for (method, path) in
        [("POST", "/v1/credentials"), ("POST", "/v1/tokens"), ("POST", "/v1/once"), ("PUT", "/v1/records/a/b")]
    {
        for number in 0..2 {
            let (id, key) = toy.server_key("acme", "live", &json!({ "scopes": ["admin"] }));
            let headers = vec![bearer(&key), ("idempotency-key", "k".to_owned())];
            let (is_slow, call) = late(&(method, path.to_owned(), headers, "{}".to_owned()))[number].clone();
            toy.slow_bodies.set(is_slow);
            let before = (toy.forwarded.borrow().len(), toy.issued.borrow().len());
            toy.while_body_is_on_its_way(move |toy| {
                toy.slow_bodies.set(false);
                toy.admin("POST", &format!("/v1/credentials/{id}/revoke"), &Value::Null).ok(200);
            });
            send(&toy, &call).refused(401, "revoked_credential");
            assert_eq!((toy.forwarded.borrow().len(), toy.issued.borrow().len()), before, "{path}");
        }
    }
    let path = format!("/w/{widget}/conversations/{}/messages", visitor.conversation);
    let headers = vec![("origin", ORIGIN.to_owned()), bearer(&visitor.secret)];
    let write: Call = ("POST", path, headers, json!({ "text": "late" }).to_string());
    let [(_, slow), _] = late(&write);
    toy.slow_bodies.set(true);
    toy.while_body_is_on_its_way(move |toy| {
        toy.slow_bodies.set(false);
        toy.advance(40 * 86_400);
    });
    send(&toy, &slow).refused(401, "expired_credential");
    let visitor = toy.open(&widget);
    let path = format!("/w/{widget}/conversations/{}/messages", visitor.conversation);
    let headers =
        vec![("origin", ORIGIN.to_owned()), bearer(&visitor.secret), ("transfer-encoding", "chunked".to_owned())];
    toy.slow_bodies.set(true);
    toy.while_body_is_on_its_way(move |toy| {
        toy.slow_bodies.set(false);
        toy.admin("POST", &format!("/v1/credentials/{widget_id}/revoke"), &Value::Null).ok(200);
    });
    send(&toy, &("POST", path, headers, json!({ "text": "late" }).to_string())).refused(401, "revoked_credential");
}

#[test]
fn a6_what_strangers_hold_costs_others_a_hop_and_what_one_kind_holds_is_not_missing_to_another() {
    let toy = toy_of(POLICY);
    let (_, widget) = toy.shop();
    let visitor = toy.open(&widget);
    let (_, key) = toy.server_key("acme", "live", &json!({ "scopes": ["admin"] }));
    toy.workspace("other");
    let (_, other) = toy.server_key("other", "live", &json!({ "scopes": ["admin"] }));
    let held = |holder: Holder, who: &str, bytes: usize| {
        let share = Share::new(&toy.isolate, holder, who);
        assert!(share.holds(bytes));
        share
    };
    let call = |key: &str, body: String| -> Call { ("POST", "/v1/tokens".to_owned(), vec![bearer(key)], body) };
    let small = || "{\"max_tokens\":5}".to_owned();
    send(&toy, &call(&key, small())).ok(200);
    let strangers = held(Holder::Stranger, "", Holder::Stranger.most());
    assert_eq!(send(&toy, &call(&key, small())).ok(200).hops, 2, "it is asked first who this is");
    assert_eq!(toy.say(&visitor, "hello").ok(201).hops, 3);
    drop(strangers);
    assert_eq!(send(&toy, &call(&key, small())).ok(200).hops, 1);
    // One customer of the servers, and then all of them.
    let one = held(Holder::Server, "acme", Holder::Server.most_of_one());
    let full = send(&toy, &call(&key, long()));
    full.refused(503, "unavailable");
    assert_eq!(full.header("retry-after"), Some("1"));
    send(&toy, &call(&key, small())).ok(200);
    send(&toy, &call(&other, long())).ok(200);
    let rest = held(Holder::Server, "third", Holder::Server.most_of_one());
    send(&toy, &call(&other, long())).refused(503, "unavailable");
    let escaped = format!("{{\"text\":\"{}\"}}", "\\u0061".repeat(16_384));
    toy.visit(&visitor, "POST", "messages", &escaped).ok(201);
    drop((one, rest));
    send(&toy, &call(&key, long())).ok(200);
    // Nothing stays held.
    assert!(Share::new(&toy.isolate, Holder::Server, "acme").holds(Holder::Server.most_of_one()));
    // Half of the widget's for one network, or for one key where no network is known.
    let widgets: Vec<Share> = ["a", "b"].map(|who| held(Holder::Widget, who, Holder::Widget.most_of_one())).into();
    let full = toy.visit(&visitor, "POST", "messages", &escaped);
    full.refused(503, "unavailable");
    assert_eq!(full.header("access-control-allow-origin"), Some(ORIGIN), "a listed page reads why");
    send(&toy, &call(&key, long())).ok(200);
    drop(widgets);
    // Reports of leaks have their own, which is nobody's who calls.
    let report = reports(&toy);
    let servers: Vec<Share> = ["", "acme"].map(|who| held(Holder::Server, who, Holder::Server.most_of_one())).into();
    report(&["x".to_owned()]).ok(200);
    drop(servers);
    let room = held(Holder::Report, "", Holder::Report.most());
    report(&["x".to_owned()]).refused(503, "unavailable");
    send(&toy, &call(&key, long())).ok(200);
    drop(room);
    report(&["x".to_owned()]).ok(200);
}

#[test]
fn a6_half_of_the_widgets_room_is_for_one_network_or_for_one_key_where_none_is_known() {
    let toy = toy_of(POLICY);
    let (id, widget) = toy.shop();
    let visitor = toy.open(&widget);
    let long = format!("{{\"text\":\"{}\"}}", "\\u0061".repeat(16_384));
    let write = |client: &str| toy.visit_with(&visitor, "POST", "messages", &[("x-client", client)], &long);
    for (who, full, others) in [("10.0.0.0/24", "10.0.0.9", ["10.0.1.9", ""]), (&id, "", ["10.0.0.9", "10.0.1.9"])] {
        let share = Share::new(&toy.isolate, Holder::Widget, who);
        assert!(share.holds(Holder::Widget.most_of_one()));
        write(full).refused(503, "unavailable");
        others.into_iter().for_each(|other| drop(write(other).ok(201)));
        drop(share);
        write(full).ok(201);
    }
}

/// A body of which no byte came yet is no stranger's any more; and where its caller's kind has no room, it is refused before anybody
/// counts the call.
#[test]
fn a6_a_body_is_held_for_its_caller_from_the_moment_in_which_that_is_known() {
    let toy = toy_of(POLICY);
    let (_, widget) = toy.shop();
    let visitor = toy.open(&widget);
    let (_, key) = toy.server_key("acme", "live", &json!({ "scopes": ["admin"] }));
    let server =
        |method, path: &str, body: Value| -> Call { (method, path.to_owned(), vec![bearer(&key)], body.to_string()) };
    let page = vec![("origin", ORIGIN.to_owned()), ("x-client", "10.0.0.9".to_owned()), bearer(&visitor.secret)];
    let path = format!("/w/{widget}/conversations/{}/messages", visitor.conversation);
    let calls = [
        (
            server("POST", "/v1/credentials", json!({"kind": "server_key", "environment": "live", "name": "n"})),
            Holder::Server,
            "acme",
        ),
        (server("PUT", "/v1/records/a/b", json!({})), Holder::Server, "acme"),
        (("POST", path, page, json!({"text": "a"}).to_string()), Holder::Widget, "10.0.0.0/24"),
    ];
    let has_room =
        |toy: &Toy, holder: Holder, who: &str, bytes: usize| Share::new(&toy.isolate, holder, who).holds(bytes);
    for (call, holder, who) in &calls {
        let (holder, who) = (*holder, *who);
        // A small one that was read early, once the credential's object has admitted its caller.
        let seen = Rc::new(Cell::new(None));
        let kept = Rc::clone(&seen);
        toy.after_hops(1, move |toy| {
            let strangers = has_room(toy, Holder::Stranger, "", Holder::Stranger.most());
            kept.set(Some((strangers, has_room(toy, holder, who, holder.most_of_one()))));
        });
        assert!(send(&toy, call).status < 300, "{}", call.1);
        assert_eq!(seen.get(), Some((true, false)), "{}", call.1);
        // A slow one, while it is on its way.
        let (_, slow) = late(call)[0].clone();
        let seen = Rc::new(Cell::new(None));
        let kept = Rc::clone(&seen);
        toy.slow_bodies.set(true);
        toy.while_body_is_on_its_way(move |toy| {
            kept.set(Some(has_room(toy, Holder::Stranger, "", Holder::Stranger.most())));
        });
        assert!(send(&toy, &slow).status < 300, "{}", call.1);
        assert_eq!(seen.get(), Some(true), "{}", call.1);
        let full = Share::new(&toy.isolate, holder, who);
        assert!(full.holds(holder.most_of_one()));
        let refused = send(&toy, &slow);
        refused.refused(503, "unavailable");
        assert_eq!(refused.hops, 1, "{}: nobody counts it", call.1);
        toy.slow_bodies.set(false);
    }
}

#[test]
fn a6_what_is_not_served_is_not_read() {
    let toy = toy_of(&format!(
        "{POLICY}\n[[routes]]\nmatch = \"POST /v1/reviewed\"\naccept = [\"server_key\"]\nto = \"upstream\"\nreview = true"
    ));
    let (_, key) = toy_with_key(&toy);
    for body in ["{}".to_owned(), long()] {
        send(&toy, &("POST", "/v1/reviewed".to_owned(), vec![bearer(&key)], body)).refused(503, "not_configured");
        assert_eq!(toy.most_read.get(), 0);
    }
}

#[test]
fn a6_a_message_that_the_policy_takes_fits_however_it_is_written_and_nothing_longer_is_read() {
    for text_bytes in [16_384, 65_536] {
        let policy = POLICY.replace("[widget]", &format!("[widget]\ntext_bytes = {text_bytes}"));
        let toy = toy_of(&policy);
        let (_, key) = toy.shop();
        let visitor = toy.open(&key);
        let escaped = |count: usize| format!("{{\"text\":\"{}\"}}", "\\u0061".repeat(count));
        toy.visit(&visitor, "POST", "messages", &escaped(text_bytes)).ok(201);
        toy.visit(&visitor, "POST", "messages", &escaped(text_bytes + 1)).refused(413, "payload_too_large");
        let most = 6 * text_bytes + 4_096;
        let spaced = |bytes: usize| format!("{{\"text\":\"a\"{}}}", " ".repeat(bytes - 12));
        toy.visit(&visitor, "POST", "messages", &spaced(most)).ok(201);
        toy.most_read.set(0);
        toy.visit(&visitor, "POST", "messages", &spaced(most + 1)).refused(413, "payload_too_large");
        assert_eq!(toy.most_read.get(), 0);
        for (tail, body) in [("secret/rotate", " ".repeat(16_385)), ("close", " ".repeat(16_385))] {
            toy.visit(&visitor, "POST", tail, &body).refused(413, "payload_too_large");
        }
        let open = |bytes: usize| {
            toy.send(
                "POST",
                &format!("/w/{key}/conversations"),
                &[("origin", ORIGIN)],
                &format!("{{{}}}", " ".repeat(bytes - 2)),
            )
        };
        open(16_384).ok(201);
        open(16_385).refused(413, "payload_too_large");
        assert_eq!(toy.most_read.get(), 16_384);
    }
}

#[test]
fn a16_an_answer_for_which_there_is_no_room_passes_unwatched_and_counts_as_held() {
    let toy = toy_of(&format!(
        "{POLICY}\n[tiers.some]\nrequests = {{ limit = 100, window_seconds = 60 }}\ntokens = {{ limit = 10000, window_seconds = 60 }}"
    ));
    toy.workspace("acme");
    let (_, key) = toy.server_key("acme", "live", &json!({ "scopes": ["admin"], "tier": "some" }));
    let answer = json!({ "usage": { "total_tokens": 7 }, "text": "a".repeat(50_000) }).to_string();
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    *toy.upstream.borrow_mut() = Ok(Incoming { status: 200, headers });
    toy.upstream_body.borrow_mut().0 = answer.as_bytes().chunks(10_000).map(<[u8]>::to_vec).collect();
    let bearer = format!("Bearer {key}");
    let tokens = || toy.send("POST", "/v1/tokens", &[("authorization", &bearer)], "{\"max_tokens\":100}").ok(200);
    let left = || -> u32 { toy.whoami(&key).header("x-ratelimit-remaining-tokens").unwrap().parse().unwrap() };
    let once =
        |name: &str| toy.send("POST", "/v1/once", &[("authorization", &bearer), ("idempotency-key", name)], "{}");
    assert_eq!(tokens().text, answer);
    assert_eq!(left(), 9_993);
    once("a").ok(200);
    assert_eq!(once("a").ok(200).header("idempotent-replayed"), Some("true"));
    let full = Share::new(&toy.isolate, Holder::Answer, "acme");
    assert!(full.holds(Holder::Answer.most_of_one() - 20_000));
    assert_eq!(tokens().text, answer, "it passes all the same");
    assert_eq!(left(), 9_993 - 7, "what was used is read without keeping any of it");
    assert_eq!(once("b").ok(200).text, answer);
    once("b").refused(409, "conflict");
    drop(full);
    once("c").ok(200);
    assert_eq!(once("c").ok(200).text, answer);
    assert!(Share::new(&toy.isolate, Holder::Answer, "acme").holds(Holder::Answer.most_of_one()), "nothing stays held");
}

#[test]
fn n12_whatever_is_refused_beside_a_genuine_widget_key_a_listed_page_can_read() {
    let toy = toy_of(POLICY);
    let (id, key) = toy.shop();
    let visitor = toy.open(&key);
    let (_, server) = toy.server_key("acme", "live", &json!({}));
    let path = format!("/w/{key}/conversations/{}/messages", visitor.conversation);
    let forged = toy::forge(&visitor.secret);
    let twice = format!("Bearer {0}, Bearer {0}", visitor.secret);
    for origin in [ORIGIN, "https://evil.example"] {
        for method in ["GET", "POST"] {
            for (header, status, code, hops) in [
                (("authorization", format!("Bearer {forged}")), 401, "invalid_credential", 1),
                (("authorization", "Bearer clv_hs_live_x".to_owned()), 401, "invalid_credential", 1),
                (("authorization", format!("Bearer {}", &visitor.secret[..60])), 401, "invalid_credential", 1),
                (("authorization", "Basic x".to_owned()), 401, "invalid_credential", 1),
                (("authorization", twice.clone()), 400, "ambiguous_credential", 1),
                (("x-none", String::new()), 401, "missing_credential", 1),
                (("authorization", format!("Bearer {key}")), 403, "credential_kind_not_allowed", 1),
                (("authorization", format!("Bearer {server}")), 403, "server_key_in_browser", 2),
            ] {
                let body = if method == "GET" { "" } else { "{\"text\":\"a\"}" };
                toy.most_read.set(0);
                let refused = toy.send(method, &path, &[("origin", origin), (header.0, &header.1)], body);
                let is_listed = origin == ORIGIN;
                // The owner of a leaked key hears of it whatever page sent it.
                let is_told = is_listed || code == "server_key_in_browser";
                let expected = if is_told { (status, code) } else { (403, "origin_not_allowed") };
                refused.refused(expected.0, expected.1);
                assert_eq!(refused.header("access-control-allow-origin"), is_listed.then_some(ORIGIN), "{code}");
                assert_eq!((refused.hops, refused.made, toy.most_read.get()), (hops, 0, 0), "{code}");
            }
        }
    }
    // So are those of a genuine secret that does not fit: only its conversation is told beside.
    let other = toy.open(&key);
    let (_, test_key) = toy.widget_key("acme", "test", &[ORIGIN]);
    toy.workspace("other");
    let (_, their_key) = toy.widget_key("other", "live", &[ORIGIN]);
    let (test, theirs) = (toy.open(&test_key), toy.open(&their_key));
    for (secret, status, code) in [
        (&other.secret, 403, "wrong_conversation"),
        (&test.secret, 403, "wrong_environment"),
        (&theirs.secret, 403, "wrong_workspace"),
    ] {
        for method in ["GET", "POST"] {
            for origin in [ORIGIN, "https://evil.example"] {
                let headers = [("origin", origin), ("authorization", &*format!("Bearer {secret}"))];
                toy.most_read.set(0);
                let refused = toy.send(method, &path, &headers, if method == "GET" { "" } else { "{\"text\":\"a\"}" });
                let is_listed = origin == ORIGIN;
                let expected = if is_listed { (status, code) } else { (403, "origin_not_allowed") };
                refused.refused(expected.0, expected.1);
                assert_eq!(refused.header("access-control-allow-origin"), is_listed.then_some(ORIGIN), "{code}");
                assert_eq!((refused.hops, toy.most_read.get()), (1 + usize::from(is_listed), 0), "{code}");
            }
        }
    }
    // Where no page asks, nobody needs to read why.
    idle(&toy.send("GET", &path, &[], ""), 401, "missing_credential");
    idle(&toy.send("GET", &path, &[("authorization", &format!("Bearer {forged}"))], ""), 401, "invalid_credential");
    // A widget key that was made up still costs nobody anything.
    let path = format!("/w/{}/conversations/{}/messages", toy::forge(&key), visitor.conversation);
    let refused = toy.send("GET", &path, &[("origin", ORIGIN), ("authorization", &format!("Bearer {forged}"))], "");
    idle(&refused, 401, "invalid_credential");
    assert_eq!(refused.header("access-control-allow-origin"), None);
    // The key itself comes first.
    toy.admin("POST", &format!("/v1/credentials/{id}/revoke"), &Value::Null).ok(200);
    let path = format!("/w/{key}/conversations/{}/messages", visitor.conversation);
    toy.send("GET", &path, &[("origin", ORIGIN), ("authorization", &format!("Bearer {forged}"))], "")
        .refused(401, "revoked_credential");
}
