//! Who may do what: every route, called with every kind of credential, as a table that people can read and approve.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod scene;
mod toy;

use claviger::{
    policy::Action,
    road::route::{Route, name, route},
};
use scene::Scene;
use std::{env, fs};
use toy::{Answer, ORIGIN, forge};

const FILE: &str = "tests/output/matrix.txt";

const COLUMNS: [&str; 6] = ["nothing", "deploy key", "widget key", "history secret", "forged", "two at once"];

/// What a customer's servers and the operator's own services hold.
const SERVERS: [&str; 8] =
    ["all scopes", "no scopes", "of another's", "of test", "service token", "forged key", "expired", "revoked"];

/// The words of the table, and the codes that callers see.
const WORDS: [(&str, &str); 15] = [
    ("none", "missing_credential"),
    ("bad", "invalid_credential"),
    ("unsigned", "invalid_signature"),
    ("two", "ambiguous_credential"),
    ("kind", "credential_kind_not_allowed"),
    ("browser", "server_key_in_browser"),
    ("page", "origin_not_allowed"),
    ("absent", "not_found"),
    ("method", "method_not_allowed"),
    ("input", "invalid_request"),
    ("scope", "insufficient_scope"),
    ("workspace", "wrong_workspace"),
    ("environment", "wrong_environment"),
    ("expired", "expired_credential"),
    ("revoked", "revoked_credential"),
];

const EXPLANATION: &str = "\
Who may do what
===============

Each line is a call, each column is the credential that stands in the request's headers. The number is the answer's
HTTP status: 2xx is yes, everything else is no.

  nothing          no credential at all
  deploy key       of the operator's server, in its own scheme
  widget key       of the customer's page, which is public, used as if it were a secret
  history secret   of the visitor, for the one conversation in question
  forged           a credential of the right shape with one character changed
  two at once      two good credentials in one request

  all scopes       a server key of this shop's workspace, with every scope that the policy has, `admin` too
  no scopes        one with none
  of another's     one of another workspace, with every scope there
  of test          one of this workspace's test data, with every scope
  service token    of the operator's own service, beside its name, with every scope
  forged key       the first with one character changed
  expired, revoked the first, after its end

  401 none      a credential is needed           400 two          one credential at a time
  401 bad       the credential is not genuine    403 kind         genuine, and of a kind that cannot do this
  403 browser   a server's key from a browser    403 page         this page is not on the key's list
  401 expired   genuine, and its time is over    401 revoked      genuine, and ended for good
  403 scope     it lacks the scope               403 workspace    it belongs to another workspace
  404 absent    it may not know of this          403 environment  it belongs to the other environment
  401 unsigned  no credential opens this, only a signature of GitHub's
";

fn cell(answer: &Answer) -> String {
    let word = WORDS.iter().find(|(_, code)| *code == answer.code()).map_or(answer.code(), |(word, _)| word);
    format!("{} {word}", answer.status).trim_end().to_owned()
}

fn line(first: &str, cells: impl IntoIterator<Item = String>) -> String {
    let cells: String = cells.into_iter().map(|cell| format!("{cell:<16}")).collect();
    format!("{:<58}{cells}", first).trim_end().to_owned() + "\n"
}

fn section(title: &str, calls: &[&str], heads: &[&str], answer: impl Fn(&str, &str) -> Answer) -> String {
    let mut text = format!("\n{title}\n{}\n\n", "-".repeat(title.len()));
    text += &line("", heads.iter().map(|head| (*head).to_owned()));
    for call in calls {
        text += &line(call, heads.iter().map(|head| cell(&answer(call, head))));
    }
    text
}

fn table() -> String {
    let by_kind = |call: &str, column: &str| {
        let scene = Scene::new();
        let headers = scene.headers(column);
        let key = scene.visitor.key.clone();
        scene.call(call, &key, headers)
    };
    let calls: Vec<&str> = Action::ALL.into_iter().map(name).collect();
    let (widget, server): (Vec<&str>, Vec<&str>) = calls.iter().partition(|call| call.contains(" /w/"));
    let documents = [
        "GET /healthz",
        "GET /docs",
        "GET /docs/errors",
        "GET /widget.js",
        "GET /.well-known/oauth-protected-resource",
        "GET /.well-known/jwks.json",
    ];
    let mut text = EXPLANATION.to_owned();
    text += &section("The customer's and the operator's servers", &server, &COLUMNS, by_kind);
    text += &section("The widget on a customer's page (a good widget key is in the path)", &widget, &COLUMNS, by_kind);
    let title = "The same calls with a server key or a service token";
    text += &section(title, &server, &SERVERS, by_kind);
    let title = "The same calls of the widget, with a server key or a service token beside its key";
    text += &section(title, &widget, &SERVERS, by_kind);
    text += &section("Documents for anybody", &documents, &COLUMNS, by_kind);

    let leaks = ["POST /v1/leaks/github"];
    let title = "GitHub's reports, with a credential instead of GitHub's signature";
    text += &section(title, &leaks, &COLUMNS, by_kind);
    text += &section("The same, with what servers hold", &leaks, &SERVERS, by_kind);

    let heads = ["widget key", "history secret", "deploy key", "server key", "service token", "forged", "nonsense"];
    text +=
        &section("The widget, with something else in the path instead of its key", &widget, &heads, |call, head| {
            let scene = Scene::new();
            let in_path = match head {
                "widget key" => scene.visitor.key.clone(),
                "history secret" => scene.visitor.secret.clone(),
                "deploy key" => scene.deploy_key.trim_start_matches("Convex ").to_owned(),
                "server key" => scene.server_key.clone(),
                "service token" => scene.service_token.clone(),
                "forged" => forge(&scene.visitor.key),
                _ => "nonsense".to_owned(),
            };
            let opens = call.ends_with("/conversations");
            scene.call(call, &in_path, if opens { Vec::new() } else { scene.headers("history secret") })
        });

    let heads = ["the shop's page", "another page", "no page", "Sec-Fetch-Site"];
    let both = [
        "GET /v1/whoami",
        "GET /v1/credentials",
        "POST /w/{widget_key}/conversations",
        "GET /w/{widget_key}/conversations/{id}/messages",
    ];
    text += &section("The right credential, by where it comes from", &both, &heads, |call, head| {
        let scene = Scene::new();
        let mut headers = match call {
            "POST /w/{widget_key}/conversations" => Vec::new(),
            call if call.contains(" /w/") => scene.headers("history secret"),
            _ => scene.headers("deploy key"),
        };
        let key = scene.visitor.key.clone();
        headers.push(place(head).unwrap_or(("origin", String::new())));
        scene.call(call, &key, headers)
    });
    let both = ["GET /v1/whoami", "GET /v1/credentials"];
    text += &section("A server key, by where it comes from", &both, &heads, |call, head| {
        let scene = Scene::new();
        let mut headers = scene.headers("all scopes");
        headers.extend(place(head));
        scene.call(call, "", headers)
    });
    text += &parameters();
    text
}

/// The parameters of each call, as the one table of the policy has them.
fn parameters() -> String {
    let title = "The parameters that a query may have";
    let mut text = format!("\n{title}\n{}\n\n", "-".repeat(title.len()));
    text += "Any other one is refused, and one that comes twice.\n\n";
    for action in Action::ALL.into_iter().filter(|action| !name(*action).contains(" /w/")) {
        text += format!("{:<58}{}\n", name(action), action.parameters().join(", ")).trim_end();
        text += "\n";
    }
    text
}

fn place(head: &str) -> Option<(&'static str, String)> {
    match head {
        "the shop's page" => Some(("origin", ORIGIN.to_owned())),
        "another page" => Some(("origin", "https://another.example".to_owned())),
        "Sec-Fetch-Site" => Some(("sec-fetch-site", "cross-site".to_owned())),
        _ => None,
    }
}

#[test]
fn the_matrix_is_as_it_was_approved() {
    let found = table();
    if env::var("UPDATE").is_ok_and(|update| update == "1") {
        fs::create_dir_all("tests/output").unwrap();
        fs::write(FILE, &found).unwrap();
    }
    let approved = fs::read_to_string(FILE).unwrap_or_default();
    if found != approved {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let (found, approved) = (lines(&found), lines(&approved));
        let gone = approved.iter().filter(|line| !found.contains(line)).map(|line| format!("- {line}\n"));
        let new = found.iter().filter(|line| !approved.contains(line)).map(|line| format!("+ {line}\n"));
        let difference: String = gone.chain(new).collect();
        panic!("{FILE} is another now:\n{difference}\nIf that is meant: UPDATE=1 cargo test --locked --test matrix");
    }
}

#[test]
fn every_action_has_its_route_and_stands_in_the_matrix() {
    let table = table();
    for action in Action::ALL {
        let call = name(action);
        assert!(table.lines().any(|line| line.starts_with(call)), "{call} is missing");
        let (method, path) = call.split_once(' ').unwrap();
        let found = match route(method, path).unwrap().0 {
            Route::Api(found, _) | Route::Widget(_, found, _) => found,
            other => panic!("{other:?}"),
        };
        assert_eq!(found, action, "{call} leads elsewhere");
    }
    let mut actions = Action::ALL.to_vec();
    actions.sort_unstable();
    actions.dedup();
    assert_eq!(actions.len(), Action::ALL.len());
}

/// Said without the file, so that nobody approves it away by accident.
#[test]
fn no_safe_kind_opens_a_servers_call_and_no_call_opens_without_a_credential() {
    for call in Action::ALL.into_iter().map(name) {
        let scene = Scene::new();
        let key = scene.visitor.key.clone();
        for column in ["nothing", "widget key", "forged", "two at once"] {
            let opens = call == "POST /w/{widget_key}/conversations" && column == "nothing";
            assert_eq!(scene.call(call, &key, scene.headers(column)).status < 300, opens, "{call} with {column}");
        }
        let on_widget = call.contains(" /w/");
        assert!(on_widget || scene.call(call, &key, scene.headers("history secret")).status == 403, "{call}");
        assert!(!on_widget || scene.call(call, &key, scene.headers("deploy key")).status == 403, "{call}");
    }
}

#[test]
fn a_key_opens_nothing_of_another_workspace_and_without_a_scope_only_itself() {
    for call in Action::ALL.into_iter().map(name) {
        let opens = |column: &str| {
            let scene = Scene::new();
            let key = scene.visitor.key.clone();
            let answer = scene.call(call, &key, scene.headers(column));
            // Whoever may ask about credentials is told no about one that is not theirs.
            answer.status < 300 && answer.json["allowed"] != false
        };
        let is_its_own = matches!(call, "GET /v1/whoami" | "POST /v1/self/revoke");
        for column in ["no scopes", "of another's"] {
            assert_eq!(opens(column), is_its_own, "{call} with {column}");
        }
        for column in ["forged key", "expired", "revoked"] {
            assert!(!opens(column), "{call} with {column}");
        }
        assert!(!call.contains(" /w/") || !opens("all scopes") && !opens("service token"), "{call}");
    }
}
