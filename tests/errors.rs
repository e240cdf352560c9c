//! `docs/errors.md` and the page that every deployment serves: both made of the table of codes, and of what the road says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod pages;
mod toy;

use base64ct::{Base64, Encoding};
use claviger::error::{
    IdentityFault, Part, Reason,
    refusal::{Code, Explanation, Refusal},
};
use pages::{Block, html, markdown, phrase, style};
use sha2::{Digest, Sha256};
use std::{collections::BTreeSet, env, fs};
use toy::Toy;

const MARKDOWN: &str = "docs/errors.md";
const HTML: &str = "www/docs/errors.html";
const INDEX: &str = "www/docs/index.html";

/// The first line of each file, for whoever wants to mend something there.
const SOURCE: &str =
    "Made of src/error/ by tests/errors.rs: change it there, then UPDATE=1 cargo test --locked --test errors";

/// One of each reason, with something that it may say.
fn reasons() -> Vec<Reason> {
    let text = str::to_owned;
    vec![
        Reason::AddressNotAllowed,
        Reason::AmbiguousCredential,
        Reason::BodyTooLarge(1 << 20),
        Reason::BrowserNotAllowed,
        Reason::Conflict(text("There is a workspace with this id already.")),
        Reason::ConversationFull,
        Reason::CredentialExpired,
        Reason::CredentialForged,
        Reason::CredentialMalformed,
        Reason::CredentialMissing,
        Reason::CredentialMissingIn(text("x-api-key")),
        Reason::CredentialRevoked,
        Reason::CredentialUnknown,
        Reason::DeliveryPending,
        Reason::EnvironmentMismatch,
        Reason::Gone(text("This conversation has ended.")),
        Reason::HeaderTooLarge,
        Reason::HeadersTooLarge,
        Reason::UriTooLong(8_192),
        Reason::BodyTooSlow,
        Reason::MemoryFull,
        Reason::IdempotencyInProgress,
        Reason::IdempotencyKeyMalformed,
        Reason::IdempotencyKeyMissing,
        Reason::ReviewRequired,
        Reason::TokensLimited { retry_after_millis: 7_000, quotas: Vec::new(), tokens: Vec::new() },
        Reason::TokensTooMany(50_000, 40_000),
        Reason::UpstreamDown(5_000),
        Reason::UpstreamLost,
        Reason::UpstreamTimedOut,
        Reason::IdempotencyKeyReused,
        Reason::IdempotencyKeysFull(3_600_000),
        Reason::ServiceMismatch,
        Reason::RouteNotServed(text("its writes wait for a person's approval")),
        Reason::UpstreamFailed,
        Reason::UpstreamMissing,
        Reason::InsufficientScope(vec![text("messages:write")]),
        Reason::Identity(IdentityFault::Elsewhere),
        Reason::Identity(IdentityFault::Expired),
        Reason::Identity(IdentityFault::Forged),
        Reason::Identity(IdentityFault::Malformed),
        Reason::Identity(IdentityFault::Missing),
        Reason::Identity(IdentityFault::SecretUnknown),
        Reason::invalid("environment", "Either live or test."),
        Reason::PlanExceeded(
            text("The workspace's plan does not grant the tier enterprise."),
            text("It grants the tier free."),
        ),
        Reason::CallerExceeded(text("A deploy key does not put off its own end.")),
        Reason::TierUnknown(text("gold")),
        Reason::KindNotAllowed(text("widget_key")),
        Reason::KindNotTaken(text("service_token"), vec![text("deploy_key"), text("server_key")]),
        Reason::Missing(Part::Member, text("name"), text("A text of 1 to 100 characters without control characters.")),
        Reason::NoScopeOpens(text("admin")),
        Reason::unknown(Part::Parameter, "workspce", &["workspace", "limit"]),
        Reason::MethodNotAllowed(text("GET, HEAD")),
        Reason::NotConfigured(text("The variable ORIGIN is not set.")),
        Reason::NotFound,
        Reason::OriginNotAllowed,
        Reason::RateLimited { retry_after_millis: 7_000, quotas: Vec::new() },
        Reason::SignatureInvalid,
        Reason::StageMismatch,
        Reason::ObjectFailed,
        Reason::Unavailable,
        Reason::Unreadable(String::new()),
        Reason::UnsupportedMediaType,
        Reason::WrongConversation,
        Reason::WrongWorkspace,
    ]
}

/// What the entry says where the core could not: code, status, what happened, what to do.
fn failures() -> Vec<(String, u16, String, String)> {
    let source = fs::read_to_string("edge/js/entry.js").unwrap();
    let (_, table) = source.split_once("const FAILURES = {\n").expect("the entry has its table of failures");
    let lines = table.lines().take_while(|line| *line != "};");
    let read = |line: &str| {
        let (code, rest) = line.trim().split_once(": ").unwrap();
        let (status, error, fix) = serde_json::from_str(rest.trim_end_matches(',')).unwrap();
        (code.to_owned(), status, error, fix)
    };
    lines.map(read).collect()
}

/// What answers with a code say, each once; and what the log calls it.
fn causes(code: Code) -> (Vec<String>, Vec<String>) {
    let (mut said, mut logged) = (Vec::new(), Vec::new());
    for reason in reasons() {
        let refusal = Refusal::from(&reason);
        if refusal.code == code {
            said.push(format!("“{}” {}", refusal.error, refusal.fix));
            logged.push(format!("`{}`", reason.name()));
        }
    }
    for (name, _, error, fix) in failures().into_iter().filter(|(name, ..)| name == code.as_str()) {
        said.push(format!("“{error}” {fix}"));
        logged.push(format!("`{name}`"));
    }
    let mut seen = BTreeSet::new();
    said.retain(|text| seen.insert(text.clone()));
    (said, logged)
}

fn entry(code: Code) -> Vec<Block> {
    let Explanation { means, when, fix } = code.explanation();
    let (said, logged) = causes(code);
    vec![
        Block::Entry(code.as_str().to_owned()),
        Block::Text(means.to_owned()),
        Block::Facts(vec![
            ("When", vec![when.to_owned()]),
            ("What to do", vec![fix.to_owned()]),
            ("Answers say", said),
            ("The log says", vec![logged.join(", ")]),
        ]),
    ]
}

/// An answer as it comes down the road, with a line for each two or three members.
fn example(accept: &str) -> String {
    let toy = Toy::new("default");
    let (_, key) = toy.shop();
    let headers = [("origin", "https://www.shop.example"), ("accept", accept)];
    let answer = toy.send("POST", &format!("/w/{key}/conversations"), &headers, "{}");
    answer.refused(403, "origin_not_allowed");
    let mut text = answer.text.replace("req_toy", "req_…").replace("\":", "\": ").replace(",\"", ", \"");
    for member in ["success", "error", "fix", "request_id", "title", "detail"] {
        text = text.replace(&format!(", \"{member}\""), &format!(",\n \"{member}\""));
    }
    text
}

fn errors() -> Vec<Block> {
    let text = |words: &str| Block::Text(words.to_owned());
    let heading = |words: &str| Block::Heading(words.to_owned());
    let list = |items: &[&str]| Block::List(items.iter().map(|item| (*item).to_owned()).collect());

    let statuses: BTreeSet<u16> = Code::ALL.iter().map(|code| code.status()).collect();
    let of = |status: u16| Code::ALL.iter().copied().filter(move |code| code.status() == status);
    let title = |status: u16| format!("{status} {}", phrase(status));
    let names = |status: u16| of(status).map(|code| code.as_str().to_owned()).collect();

    let mut blocks = vec![
        Block::Title("Errors".to_owned()),
        text(
            "Whatever goes wrong, the answer says what happened, what to do about it, and a code that a program can rely on.",
        ),
        Block::Index(statuses.iter().map(|status| (title(*status), names(*status))).collect()),
        heading("What an error looks like"),
        Block::Example(example("application/json")),
        list(&[
            "`code` is stable: decide by it, not by the texts.",
            "`error` says what happened, `fix` what to do. Both are for people and may change. `fix` ends with a link to the \
             code's entry on this page.",
            "`required`, with `insufficient_scope` only: the scopes that would be enough.",
            "`pending`, with `unavailable` only: the change is stored, and not yet known everywhere.",
            "`request_id` is the header `X-Request-Id`, which every answer has, and stands in the log line of the request. It is \
             what to report.",
        ]),
        text(
            "Every 401 has `WWW-Authenticate`, every 405 has `Allow`, every 429 has `Retry-After`. Where the request says \
             `Accept: application/problem+json`, the same facts come as problem details (RFC 9457), and `type` is the link:",
        ),
        Block::Example(example("application/problem+json")),
        heading("Trying again"),
        list(&[
            "After a 429 or a 503, wait for as many seconds as `Retry-After` says, then send the same request again. Where there \
             is none, somebody must mend the deployment first.",
            "After a 500, or where no answer came, send the same request again. A call that writes is best sent with an \
             `Idempotency-Key` from the beginning: the same key with the same body takes effect once.",
            "With `pending: true` the change is made. Do not repeat it: read the state again after `Retry-After`.",
            "Any other error comes again until the request, the credential or the settings are changed.",
        ]),
        text("Below, names and numbers in what answers say are examples. What the log says is for the operator."),
    ];
    for status in statuses {
        blocks.push(Block::Heading(title(status)));
        blocks.extend(of(status).flat_map(entry));
    }
    blocks
}

/// What a deployment serves for people and programs to read.
fn index() -> Vec<Block> {
    let list = [
        "[Errors](/docs/errors): every code that an answer can have, what brings it about, and how to mend it.",
        "[Health](/healthz): whether this deployment serves, and which version it is.",
        "[Key set](/.well-known/jwks.json): the public keys that verify what the upstream is told of its callers (RFC 7517).",
        "[Protected resource metadata](/.well-known/oauth-protected-resource): which scopes there are, and how a credential is \
         sent (RFC 9728).",
    ];
    vec![
        Block::Title("Documents".to_owned()),
        Block::Text("What this deployment says about itself, to anybody.".to_owned()),
        Block::List(list.map(str::to_owned).to_vec()),
    ]
}

fn files() -> [(&'static str, String); 3] {
    [(MARKDOWN, markdown(SOURCE, &errors())), (HTML, html(SOURCE, &errors())), (INDEX, html(SOURCE, &index()))]
}

#[test]
fn the_pages_are_what_the_table_and_the_road_say() {
    for (name, made) in files() {
        if env::var("UPDATE").is_ok_and(|update| update == "1") {
            fs::create_dir_all("www/docs").unwrap();
            fs::write(name, &made).unwrap();
        }
        let kept = fs::read_to_string(name).unwrap_or_default();
        let differs = made.lines().zip(kept.lines()).find(|(made, kept)| made != kept);
        assert!(made == kept, "{name} is old: {differs:?}\nUPDATE=1 cargo test --locked --test errors makes it anew");
    }
}

#[test]
fn every_code_has_one_place_on_each_page_and_every_link_leads_somewhere() {
    let [(_, markdown), (_, html), (_, index)] = files();
    for code in Code::ALL.iter().map(|code| code.as_str()) {
        assert_eq!(markdown.lines().filter(|line| *line == format!("### {code}")).count(), 1, "{code}");
        assert_eq!(html.matches(&format!(" id=\"{code}\"")).count(), 1, "{code}");
        assert_eq!(html.matches(&format!("href=\"#{code}\"")).count(), 2, "{code}: from the index, and from itself");
    }
    let places = Code::ALL.len();
    assert_eq!((html.matches(" id=\"").count(), html.matches("href=\"#").count()), (places, 2 * places));
    assert_eq!(markdown.matches("](#").count(), places);
    // Other links lead to what the deployment itself serves.
    let toy = Toy::new("default");
    let links: Vec<&str> = index.split("href=\"").skip(1).map(|rest| rest.split_once('"').unwrap().0).collect();
    assert!(links.contains(&"/docs/errors") && !html.contains("href=\"/"), "{links:?}");
    for link in links {
        assert_eq!(toy.send("GET", link, &[], "").status, 200, "{link}");
    }
}

#[test]
fn every_reason_is_on_the_page_and_no_code_is_without_one() {
    let source = fs::read_to_string("src/error/reason.rs").unwrap();
    let (_, names) = source.split_once("pub fn name(").unwrap();
    let (names, _) = names.split_once("\n    }\n").unwrap();
    let known: BTreeSet<&str> = names.split('"').skip(1).step_by(2).collect();
    let examples: Vec<Reason> = reasons();
    let shown: BTreeSet<&str> = examples.iter().map(Reason::name).collect();
    let missing: Vec<_> = known.difference(&shown).collect();
    assert!(missing.is_empty() && known.len() > 30, "give `reasons` in tests/errors.rs an example of {missing:?}");
    for code in Code::ALL.iter().copied() {
        assert!(!causes(code).0.is_empty(), "{code:?}: nothing answers with this code, so it should not be there");
    }
}

#[test]
fn an_explanation_is_one_or_two_plain_sentences_and_shorter_than_anybody_skips() {
    for code in Code::ALL.iter().copied() {
        let Explanation { means, when, fix } = code.explanation();
        for text in [means, when, fix] {
            assert!(text.ends_with('.') && !text.contains("  "), "{code:?}: {text}");
            assert!(text.len() <= 240 && text.matches(". ").count() <= 2, "{code:?} is long: {text}");
        }
    }
}

#[test]
fn the_entry_fails_with_codes_of_the_table() {
    let failures = failures();
    let names: Vec<&str> = failures.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["internal", "unavailable"]);
    for (name, status, ..) in failures {
        let code = Code::ALL.iter().find(|code| code.as_str() == name).unwrap();
        assert_eq!(code.status(), status, "{name}");
    }
}

#[test]
fn a_page_is_for_anybody_and_can_do_nothing_but_be_read() {
    let toy = Toy::new("default");
    let digest = Base64::encode_string(&Sha256::digest(style()));
    for (path, name) in [("/", INDEX), ("/docs", INDEX), ("/docs/errors", HTML)] {
        let answer = toy.send("GET", path, &[("origin", "https://any.example")], "").ok(200);
        assert_eq!(answer.text, format!("asset {}", name.strip_prefix("www").unwrap()));
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        assert_eq!(
            answer.header("content-security-policy"),
            Some(policy.as_str()),
            "PAGE_POLICY of pipeline/public.rs"
        );
        let page = files().into_iter().find(|(known, _)| *known == name).unwrap().1;
        let (head, body) = page.split_once(&format!("<style>{}</style>", style())).expect(name);
        for what in ["<script", "<style", "<link", "<iframe", "<form", " style=", " src=", " on"] {
            let found = [head, body]
                .concat()
                .split('<')
                .any(|rest| format!("<{}", rest.split('>').next().unwrap()).contains(what));
            assert!(!found, "{name}: {what}");
        }
        assert!(!style().contains("url(") && !style().contains("@import"));
    }
}

#[test]
fn every_refusal_leads_to_its_entry_where_the_deployment_knows_its_name() {
    let toy = Toy::new("default");
    let refused = toy.send("GET", "/v1/whoami", &[], "");
    refused.refused(401, "missing_credential");
    let link = "https://auth.example/docs/errors#missing_credential";
    assert_eq!(refused.text_at("fix"), format!("Send one in the Authorization header. See {link}"));

    // The page itself is not served there either.
    for missing in ["ORIGIN", "ROOT_SECRETS"] {
        let toy = Toy::changed(&[(missing, "")]);
        let accept = [("accept", "application/problem+json")];
        let refused = toy.send("GET", "/docs/errors", &accept, "");
        refused.refused(503, "not_configured");
        assert_eq!(refused.text_at("fix"), "Set it and start again. No request is served until then.");
        assert_eq!(refused.text_at("type"), "urn:claviger:error:not_configured");
    }
}
