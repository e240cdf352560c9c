//! Writes the inputs that fuzzing starts from into `fuzz/corpus/`: sound ones, made under the tests' root secret.
//!
//! After a stored format or a credential changed: `cargo run --manifest-path fuzz/Cargo.toml --example seeds`.

use claviger::{
    crypto::keyring::{KeyRing, Purpose},
    policy,
};
use claviger_fuzz::{
    checks::{ALL, chain::EXPORT, credential::ISSUED, jws, opaque, scene, wire},
    lawful::{OTHER_ROOT, ROOT, open},
};
use std::{collections::BTreeSet, fs, path::Path};

const ROAD: &[&str] = &[
    "POST /w/{key}/conversations\norigin: https://shop.example\nx-client: 192.0.2.7\n\n{}\n---\nGET /healthz",
    "OPTIONS /w/{key}/conversations\norigin: https://shop.example\naccess-control-request-method: POST",
    "POST /w/{key}/conversations/{conversation}/messages\norigin: https://shop.example\nauthorization: Bearer {secret}\nidempotency-key: \"k\"\n\n{\"text\":\"hi\"}\n---\nGET /w/{key}/conversations/{conversation}/messages?after=msg_1\norigin: https://shop.example\nauthorization: Bearer {secret}",
    "POST /w/{key}/conversations/{conversation}/secret/rotate\norigin: https://shop.example\nauthorization: Bearer {secret}\n---\n+61\n---\nPOST /w/{key}/conversations/{conversation}/close\norigin: https://shop.example\nauthorization: Bearer {made}\n---\nGET /w/{key}/conversations/{conversation}/messages\norigin: https://shop.example\nauthorization: Bearer {made}",
    "GET /v1/whoami\nauthorization: Convex {deploy}",
    "POST /v1/workspaces\nauthorization: Deploy {deploy}\n\n{\"name\":\"Other\",\"id\":\"other\"}\n---\nGET /v1/workspaces?limit=1&cursor=acme\nauthorization: Convex {deploy}\n---\nGET /v1/workspaces/other\nauthorization: Convex {deploy}",
    "POST /v1/credentials\nauthorization: Convex {deploy}\nidempotency-key: a\n\n{\"kind\":\"widget_key\",\"workspace\":\"acme\",\"environment\":\"test\",\"name\":\"n\",\"origins\":[\"https://*.a.example\",\"http://localhost:3000\"],\"expires_in\":60}\n---\nOPTIONS /w/{made}/conversations\norigin: http://localhost:3000",
    "GET /v1/credentials?workspace=acme&status=active&kind=widget_key&limit=2\nauthorization: Convex {deploy}\n---\nPATCH /v1/credentials/{id}\nauthorization: Convex {deploy}\n\n{\"name\":\"b\",\"expires_at\":\"2026-02-01T00:00:00Z\",\"origins\":[\"https://b.example\"]}\n---\nPOST /v1/credentials/{id}/rotate\nauthorization: Convex {deploy}\n\n{\"overlap_seconds\":5}\n---\nPOST /v1/credentials/{id}/revoke\nauthorization: Convex {deploy}\n\n{\"reason\":\"leaked\"}\n---\nGET /v1/credentials/{id}?workspace=acme\nauthorization: Convex {deploy}",
    "GET /v1/conversations?workspace=acme&environment=live\nauthorization: Convex {deploy}\n---\nPOST /v1/conversations/{conversation}/messages\nauthorization: Convex {deploy}\n\n{\"text\":\"how can we help?\"}\n---\nGET /v1/conversations/{conversation}/messages?after=msg_1\nauthorization: Convex {deploy}\naccept: application/problem+json",
    "GET /.well-known/oauth-protected-resource/v1/x\n---\nGET /widget.js\n---\nHEAD /healthz\nhost: a/b\n---\nGET /v1/whoami?access_token={secret}\nx-api-key: {key}\n---\nDELETE /v1/credentials\nsec-fetch-site: same-origin\nauthorization: Convex {deploy}",
    "POST /v1/workspaces/acme/identity-secrets\nauthorization: Convex {deploy}\nidempotency-key: i\n\n{}\n---\nPOST /w/{key}/conversations\norigin: https://shop.example\n\n{\"identity\":\"{identity}\"}\n---\n+601\n---\nPOST /w/{key}/conversations\norigin: https://shop.example\n\n{\"identity\":\"{identity}.\"}\n---\nGET /v1/workspaces/acme/identity-secrets\nauthorization: Convex {deploy}",
    "POST /w/{key}/conversations\norigin: https://shop.example\n\n{\"identity\":null}\n---\nPOST /w/{key}/conversations\norigin: https://shop.example\n\n{\"identity\":\"\"}\n---\nPOST /w/{key}/conversations\norigin: https://shop.example\n\n{\"identity\":\"eyJhbGciOiJIUzI1NiJ9.e30.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}\n---\nPOST /v1/workspaces/acme/identity-secrets/is_1/revoke\nauthorization: Convex {deploy}",
    "GET /v1/audit?workspace=acme&order=asc&limit=1\nauthorization: Convex {deploy}\n---\nGET /v1/audit?workspace=acme&action=credential.create&actor=deploy_key:x&cursor=2\nauthorization: Convex {deploy}\n---\nGET /v1/audit\nauthorization: Convex {deploy}\n---\nGET /v1/audit/verify?workspace=acme\nauthorization: Convex {deploy}",
    "+3601\n---\nGET /v1/audit/export?workspace=acme&after=1\nauthorization: Convex {deploy}\naccept: application/x-ndjson\n---\nGET /v1/audit/export\nauthorization: Convex {deploy}\n---\nGET /v1/audit/verify?workspace=acme&after=1&limit=1\nauthorization: Convex {deploy}\n---\nGET /v1/audit/checkpoints\nauthorization: Convex {deploy}",
];

/// With what a customer's server and an operator's service hold.
const SERVERS: &[&str] = &[
    "GET /v1/whoami\nauthorization: Bearer {server}\nx-client: 192.0.2.7\n---\nPOST /v1/credentials/{server_id}/rotate\nx-api-key: {server}\n\n{\"overlap_seconds\":30}\n---\nGET /v1/whoami\nauthorization: Bearer {made}\n---\n+31\n---\nGET /v1/whoami\nauthorization: Bearer {server}\n---\nPOST /v1/self/revoke\nauthorization: Bearer {made}",
    "POST /v1/credentials\nauthorization: Bearer {server}\nidempotency-key: k\n\n{\"kind\":\"service_token\",\"environment\":\"live\",\"name\":\"n\",\"service\":\"b\",\"tier\":\"enterprise\",\"limits\":{\"requests\":[{\"limit\":2,\"window_seconds\":60}]},\"allowed_addresses\":[\"192.0.2.0/24\"],\"expires_in\":60}\n---\nGET /v1/whoami\nx-service-token: {made}\nx-service-name: b\nx-client: 192.0.2.7\n---\n+61\n---\nGET /v1/whoami\nx-service-token: {made}\nx-service-name: b\nx-client: 192.0.2.7",
    "GET /v1/conversations/{conversation}/messages\nx-service-token: {service}\nx-service-name: a\n---\nGET /v1/whoami\nx-service-token: {service}\nx-service-name: b\n---\nGET /v1/whoami\nauthorization: Bearer {server}\norigin: https://a.example\n---\nPOST /w/{server}/conversations\norigin: https://a.example\n---\nGET /v1/credentials/{server_id}\nauthorization: Convex {deploy}",
    "GET /v1/credentials/{server_id}/usage?bucket=minute&from=2026-01-01T00:00:00Z\nauthorization: Bearer {server}\n---\nPATCH /v1/credentials/{server_id}\nauthorization: Bearer {server}\n\n{\"scopes\":[],\"tier\":\"free\",\"allowed_addresses\":[\"2001:db8::/32\"]}\n---\nGET /v1/audit\nauthorization: Bearer {server}\n---\nPOST /v1/credentials/{server_id}/rotate/finish\nauthorization: Convex {deploy}",
    "POST /v1/verify\nauthorization: Bearer {server}\n\n{\"credential\":\"{service}\",\"service\":\"a\",\"scope\":\"admin\",\"origin\":null,\"address\":\"192.0.2.7\"}\n---\nPOST /v1/verify\nauthorization: Convex {deploy}\n\n{\"credential\":\"{server}\",\"method\":\"GET\",\"path\":\"/v1/a?b\",\"tokens\":0}\n---\nGET /v1/forward-auth\nx-forwarded-method: GET\nx-forwarded-uri: /v1/a\nauthorization: Bearer {server}",
];

const HEADERS: &[&str] = &[
    "Authorization: Bearer {0}",
    "Authorization: bearer {1}",
    "Authorization: Convex {2}",
    "Authorization: DEPLOY {5}",
    "X-Api-Key: {3}",
    "X-Api-Key: {4}",
    "Authorization: Bearer {0}\nX-Api-Key: {0}",
    "Authorization: Bearer {0}, Bearer {1}",
    "Authorization: Bearer {7}\nAuthorization: Bearer {7}",
    "Authorization: Convex  {2}",
    "X-Service-Token: {0}",
    "Cookie: a",
    "Authorization: Bearer {a}",
    "X-Api-Key: {b}",
    "X-Service-Token: {c}\nX-Service-Name: a",
    "X-Service-Name: a, b\nX-Service-Token: {d}",
    "X-Service-Token: {d}\nX-Service-Token: {d}",
    "Authorization: Bearer {c}",
    "X-Service-Token: {a}",
    "X-Forwarded-Method: GET\nX-Forwarded-Uri: /v1/a?b\nX-Forwarded-Host: a:1\nAuthorization: Bearer {a}",
    "X-Forwarded-Method: GET\nX-Forwarded-Uri: /v1/a\nX-Forwarded-Uri: /v1/a",
    "Bare: {2}\nBare: {b}\nBare: {c}",
];

const ORDER: &[&str] = &[
    "\"scopes\":[\"messages:read\",\"admin\"]",
    "\"scopes\":[\"admin\",\"admin\"],\"expires_in\":60",
    "\"tier\":\"enterprise\",\"limits\":{\"requests\":[{\"limit\":1000,\"window_seconds\":60},{\"limit\":5,\"window_seconds\":1}],\"tokens\":[{\"limit\":4294967295,\"window_seconds\":2678400}]}",
    "\"tier\":\"enterprise\",\"limits\":{\"requests\":[{\"window_seconds\":60,\"limit\":0}],\"tokens\":[]}",
    "\"tier\":\"standard\",\"limits\":null,\"scopes\":[],\"origins\":[]",
    "\"allowed_addresses\":[\"192.0.2.0/24\",\"2001:db8::/32\",\"198.51.100.7\"]",
    "\"allowed_addresses\":[\"192.0.2.1/24\",\"::ffff:192.0.2.1\",\"::/0\",\"0.0.0.0/0\"]",
    "\"expires_in\":316224001,\"tier\":\"free\"",
    "\"service\":\"a\"",
];

const TEXTS: &[(&str, &[&str])] = &[
    (
        "arguments",
        &[
            "deploy-key\n--stage\ndev\n--deployment\nlocal\n--expires-in\n12h",
            "deploy-key\n--stage=prod\n--deployment=main",
            "deploy-sub-key",
            "root-secrets\nmake\n--id\nr2",
            "root-secrets\nlist",
            "root-secrets\ndemote\nr1",
            "policy\ncheck\na.toml",
            "--help",
            "--version",
            "deploy-key\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        ],
    ),
    (
        "body",
        &[
            "{}",
            "{\"name\":\"Acme\",\"id\":\"acme\"}",
            "{\"kind\":\"widget_key\",\"origins\":[\"https://a.example\"],\"expires_in\":60}",
            "{\"text\":\"h\\u00e9\\ud83d\\ude00 \"}",
            "{\"expires_at\":null,\"a\":true,\"b\":{\"c\":[1,-2,3.5e7]},\"d\":18446744073709551615}",
            "{\"a\":1,\"a\":2}",
            "[{\"a\":1}]",
            "{\"a\":[\"1\",\"2\",\"3\",\"4\"]}",
            "{\"a\":[[[[[[]]]]]]}",
        ],
    ),
    (
        "document",
        &[
            "{}",
            "{\"text\":\"a\"}",
            "{ \"b\" : 1.50,\n \"a\":[1, {\"c\" :null}] }",
            "{\"id\":\"x\",\"a\":{\"id\":1},\"version\":2,\"created_at\":\"\",\"updated_at\":\"\"}",
            "{\"a\":\"\\u0061 \\\" \\\\ \\n  {\"}",
            "{\"n\":123456789012345678901234567890,\"e\":1e-7,\"z\":-0}",
            "{\"a\":1,\"a\":2}",
            "{\"a\":{\"b\":1,\"b\":2}}",
            "{\"a\":[[[[[[[[]]]]]]]]}",
            "[{\"a\":1}]",
            "{\"\\u0069d\":1,\"é\":\"é\"}",
        ],
    ),
    (
        "id",
        &[
            "acme",
            "a-b_C9",
            "wk_01234567890123456789_acme",
            "dk_01234567890123456789",
            "conv_01234567890123456789_a_b",
            "live",
            "test",
            "prod",
            "staging",
            "conversations:read",
            "ws-VbfjW2wJyHYHeBTFhjsx",
        ],
    ),
    (
        "idempotency",
        &["k", "\"k\"", "\"a\\\"b\\\\c d\"", "a b", "\"a, b\"", "8e03978e-40d5-43dd-bc93-6894a57f9324", "\"a\"b"],
    ),
    (
        "leaks",
        &[
            "MEYCIQDbSPxYLGw+zxzIrQZJkprBhNX6VhYUQATOYudbKR2LyAIhAPRyFkXE8giBAEns2WeSS+ivgqkqhZJ1GmXpTizeVBQC",
            "MAYCAQECAQE=",
            "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEv789Pr5Yi9i2gJ6l84+Ah7AiG08q\nwvatz1Huxcm+rrVxn80DfIYe2aQUl4lTMCu8sLEr3nQv7Pc0hzy8vq1e9w==\n-----END PUBLIC KEY-----\n",
            "-----BEGIN PUBLIC KEY-----\r\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEv789Pr5Yi9i2gJ6l84+Ah7AiG08q\r\nwvatz1Huxcm+rrVxn80DfIYe2aQUl4lTMCu8sLEr3nQv7Pc0hzy8vq1e9w==\r\n-----END PUBLIC KEY-----",
            "{\"public_keys\":[{\"key_identifier\":\"f9525bf0\",\"key\":\"-----BEGIN PUBLIC KEY-----\\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEv789Pr5Yi9i2gJ6l84+Ah7AiG08q\\nwvatz1Huxcm+rrVxn80DfIYe2aQUl4lTMCu8sLEr3nQv7Pc0hzy8vq1e9w==\\n-----END PUBLIC KEY-----\\n\",\"is_current\":true},{\"key_identifier\":\"a\",\"key\":\"-\"},1]}",
            "[{\"token\":\"clv_live_a\",\"type\":\"clv_key\",\"url\":\"https://github.com/a/b\",\"source\":\"content\"}]",
            "[]",
            "[{\"token\":\"a\",\"type\":\"b\",\"url\":null,\"new\":{\"c\":[1]}},{\"token\":\"\",\"type\":\"a-b_c.9\"}]",
            "[{\"token\":\"a\",\"type\":\"b\",\"token\":\"c\"}]",
        ],
    ),
    (
        "origin",
        &[
            "https://shop.example\nhttps://shop.example",
            "https://*.shop.example:8443\nhttps://a.shop.example:8443",
            "http://localhost:3000\nhttp://localhost:3000",
            "https://[2001:db8::1]\nhttps://[2001:db8::1]",
            "https://*.github.io\nhttps://a.github.io",
            "http://127.0.0.1:8788\nnull",
            "https://xn--bcher-kva.example\nhttps://b",
            "https://*.co.uk\n",
        ],
    ),
    (
        "policy",
        &[
            "brand = \"gs\"\n[scopes]\nread = \"Read\"\nadmin = { says = \"All\", implies = \"*\" }\nwrite = { says = \"W\", implies = [\"read\"] }\n",
            "brand = \"gs\"\noperators = [\"a@b\"]\n[tiers.free]\nrequests = { limit = 60, window_seconds = 60 }\n[tiers.own]\ncustom = true\n",
            "brand = \"gs\"\n[widget]\ntext_bytes = 1_000\npage = 0x10\n[schemes]\ndeploy_key = [\"Key\"]\n",
            "brand = \"gs\"\n[scopes]\nr = \"Read\"\n[[routes]]\nmatch = \"POST /tickets/{id}\"\nscope = \"r\"\naccept = [\"server_key\"]\nto = \"upstream\"\nreview = true\nidempotency = \"required\"\ntokens = { reserve = \"max\", settle = \"used\" }\n",
            "brand = \"gs\"\n\"a\\u001b[2J\\nb\" = 1\n",
            "brand = \"gs\"\n[[routes]]\nmatch = \"GET /files/{rest...}\"\naccept = [\"user_jwt\"]\nto = \"records\"\n",
        ],
    ),
    (
        "scan",
        &[
            "\u{3}{\"max_tokens\":7,\"n\":2,\"usage\":{\"total\":1e2,\"parts\":{\"n\":3}}}",
            "\u{1}[{\"usage\":{\"total\":7}},\n{\"usage\":{\"total\":-7.5e-3}}]",
            "\u{5}{\"n\":[\"a\",[1],2,{}],\"usage\":null}\n{\"Max_Tokens\":1}\n",
            "\u{2}{\"us\\u0061ge\":{\"total\":18446744073709551615},\"\\ud83d\\ude00\":\"\\ud83d\"}",
            "\u{7}{\"max_tokens\":1,\"max_tokens\":2,\"usage\":{},\"usage\":{\"total\":\"x\"}}",
            "\u{4}\u{1e}{\"a\":[true,false,null,0.10]}\u{1e}",
            "\u{9}{\"max_to\u{212a}ens\":01}",
        ],
    ),
    (
        "sse",
        &[
            "\u{3}data: {\"choices\":[]}\n\ndata: {\"usage\":{\"total\":7}}\n\ndata: [DONE]\n\n",
            "\u{1}\u{feff}event: a\r\ndata: {\"usage\":\r\ndata:{\"total\":7}}\r\n\r\n: comment\r\n",
            "\u{2}data\rdata: x\r\rid: 1\rdata:  y\r\r",
            "\u{5}data: {\"usage\":null}\n\ndata: {\"usage\":{\"total\":-1}}",
            "\u{7}data: a\n\n\n\ndata:\n\nretry: 5\ndata:b\ndatax: c\n",
            "\u{4}{\"usage\":{\"total\":7,\"total\":8}}",
            "\u{9}data: {\"us\\u0061ge\":{\"total\":18446744073709551615}}\r\n\r",
        ],
    ),
    (
        "time",
        &[
            "2024-02-01T00:00:00.123Z",
            "2024-02-01T01:00:00+01:00",
            "1970-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999Z",
            "2016-12-31T23:59:60Z",
            "9999-12-31T23:59:59-01:00",
            "1969-12-31T23:59:59.9999Z",
        ],
    ),
    (
        "url",
        &[
            "GET\nhttps://a.example/v1/credentials?workspace=acme&limit=5\nlimit",
            "PATCH\nhttps://a/v1/credentials/wk_1\na",
            "POST\nhttps://a/w/clv_wk_live_A/conversations/conv_1/secret/rotate\n",
            "OPTIONS\nhttps://a/w/k/conversations#x\n",
            "GET\nhttps://a/.well-known/oauth-protected-resource/mcp?a=%41&a=b+c\na",
            "DELETE\n/v1/conversations/x/messages?after=msg_1\nafter",
            "HEAD\nhttps://a?x\nx",
            "GET\nhttps://a/v1/%77hoami\n",
        ],
    ),
];

fn main() {
    for (name, _) in ALL {
        for (number, seed) in seeds(name).into_iter().enumerate() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
            fs::create_dir_all(&folder).expect("a folder");
            fs::write(folder.join(format!("seed-{number:02}")), seed).expect("a file");
        }
    }
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let bytes = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>();
    match name {
        "credential" => credentials(),
        "chain" => chain(),
        "header" => bytes(HEADERS),
        "jws" => jws(),
        "opaque" => opaque_credentials(),
        "order" => bytes(ORDER),
        "limit" => vec![
            vec![0; 40],
            (0..90).collect(),
            [1, 0, 60, 9, 0, 10].into_iter().chain([3, 232, 1].repeat(30)).collect(),
        ],
        "road" => [bytes(ROAD), bytes(SERVERS)].concat(),
        "root_secrets" => root_secrets(),
        "row" => (0..40).map(|number| vec![number, number / 2, number * 5, 1, b'a' + number]).collect(),
        "wire" => rows(),
        _ => {
            let mut seeds = bytes(TEXTS.iter().find(|(known, _)| *known == name).expect("seeds").1);
            if name == "policy" {
                seeds.extend(bytes(&policy::BUILT_IN.map(|(_, text)| text)));
            }
            seeds
        }
    }
}

/// Each kind as it is, and the fields that its tag covers.
fn credentials() -> Vec<Vec<u8>> {
    let fields = |text: &String| {
        let (_, bytes) = open(text);
        bytes[2..bytes.len() - 32].to_vec()
    };
    let edits = (0..3).map(|which| vec![which, 20, 1, b'A']);
    ISSUED.iter().map(|text| text.clone().into_bytes()).chain(ISSUED.iter().take(3).map(fields)).chain(edits).collect()
}

/// Each shape as it is, edits of it, and dice.
fn opaque_credentials() -> Vec<Vec<u8>> {
    let edits = (0..4).map(|which| vec![which, 20, 1, b'A']);
    let dice = (0..4).map(|shape| [&[shape], [7 * shape; 32].as_slice()].concat());
    opaque::ISSUED.iter().map(|text| text.clone().into_bytes()).chain(edits).chain(dice).collect()
}

/// An export, whole and cut off, its lines, edits of it, and members of events.
fn chain() -> Vec<Vec<u8>> {
    let lines: Vec<&str> = EXPORT.lines().collect();
    let mut texts = vec![EXPORT.clone(), format!("{}\n{}\n", lines[0], lines[1]), EXPORT.replacen("done", "dome", 1)];
    texts.extend(lines.iter().skip(4).map(|line| format!("{line}\n")));
    texts.push("{\"head\":null,\"next_after\":null}\n".to_owned());
    texts.extend(["a:b|req_1||t|192.0.2.0/24|7\na:b|req_1|r|t", "a|b\na|b|", "|a\na|"].map(str::to_owned));
    let edits = [[0, 9, 0, 1, b'7'], [0, 200, 0, 0, b' '], [1, 44, 1, 44, b'\n']];
    texts.into_iter().map(String::into_bytes).chain(edits.map(Vec::from)).collect()
}

/// Tokens that were signed, and headers over payloads.
fn jws() -> Vec<Vec<u8>> {
    let (iat, exp) = (jws::NOW, jws::NOW + 600);
    let mut texts = jws::SIGNED.to_vec();
    texts.extend([
        format!("{{\"alg\":\"HS256\"}}\n{{\"sub\":\"u\",\"aud\":\"acme\",\"iat\":{iat},\"exp\":{exp}}}"),
        format!("{{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"is_1\"}}\n{{\"sub\":\"u\",\"aud\":[\"acme\"],\"iat\":{iat},\"exp\":{exp},\"nbf\":{iat}}}"),
        format!("{{\"alg\":\"none\"}}\n{{\"sub\":\"\\u0000\",\"aud\":\"acme\",\"iat\":{iat},\"exp\":{exp}}}"),
        format!("{{\"alg\":\"HS256\",\"crit\":[]}}\n{{\"sub\":\"u\",\"sub\":\"v\",\"iat\":{iat},\"exp\":{iat}}}"),
        "{\"alg\":\"HS256\",\"jku\":\"a\"}\n[]".to_owned(),
        "{\"\\u0061lg\":\"HS256\"}\n{}".to_owned(),
    ]);
    let edits = [vec![0, 0, 30, 0, b'='], vec![1, 0, 1, 1, b'Y'], vec![2, 0, 40, 2, b'.', b'.']];
    texts.into_iter().map(String::into_bytes).chain(edits).collect()
}

fn root_secrets() -> Vec<Vec<u8>> {
    let other = OTHER_ROOT.replace("r1:", "r2:");
    let mut texts = vec![
        ROOT.to_owned(),
        format!("{other},{ROOT}"),
        format!("{other}\n{ROOT}:check-only"),
        format!("{ROOT}:check-only"),
    ];
    for purpose in Purpose::ALL {
        texts.push(KeyRing::derive_sub_key(ROOT, purpose).expect("a sub-key").to_string());
    }
    texts.into_iter().map(String::into_bytes).collect()
}

/// What lies in the objects of the scene, and the same as the parts of an enum, for every type that can be read from it.
fn rows() -> Vec<Vec<u8>> {
    let mut stored = Vec::new();
    scene::with(|scene| {
        for object in scene.toy.objects.borrow().values() {
            stored.extend(object.rows.values().cloned());
        }
    });
    let mut shapes = stored.clone();
    for number in 0..=30u8 {
        let number = if number < 24 { vec![number] } else { vec![0x18, number] };
        let parts = |count: u8, parts: &[&[u8]]| [&[0x80 + count], number.as_slice(), &parts.concat()].concat();
        shapes.extend([parts(1, &[]), parts(2, &[b"\x61a"]), parts(2, &[b"\x01"]), parts(3, &[b"\x01", b"\x02"])]);
        for row in &stored {
            shapes.extend([parts(2, &[row]), parts(3, &[row, b"\xf6"])]);
        }
    }
    let (mut kept, mut seen) = (Vec::new(), BTreeSet::new());
    for (which, shape) in (0..wire::TYPES).flat_map(|which| shapes.iter().map(move |shape| (which, shape))) {
        let is_new = |seen: &mut BTreeSet<_>| seen.insert((which, shape.get(..2.min(shape.len())).map(<[u8]>::to_vec)));
        if wire::reads(which, shape) && is_new(&mut seen) {
            kept.push([&[which], shape.as_slice()].concat());
        }
    }
    kept
}
