//! Who may do what: every route, called with every kind of credential, as a table that people can read and approve.
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
    pipeline::route::{Route, name, route},
    policy::Action,
};
use std::{env, fs};
use toy::{Answer, ORIGIN, Toy, Visitor, forge};

const FILE: &str = "tests/output/matrix.txt";

const COLUMNS: [&str; 6] = ["nothing", "deploy key", "widget key", "history secret", "forged", "two at once"];

/// The words of the table, and the codes that callers see.
const WORDS: [(&str, &str); 9] = [
    ("none", "missing_credential"),
    ("bad", "invalid_credential"),
    ("two", "ambiguous_credential"),
    ("kind", "credential_kind_not_allowed"),
    ("browser", "server_key_in_browser"),
    ("page", "origin_not_allowed"),
    ("absent", "not_found"),
    ("method", "method_not_allowed"),
    ("input", "invalid_request"),
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

  401 none      a credential is needed           400 two       one credential at a time
  401 bad       the credential is not genuine    403 kind      genuine, and of a kind that cannot do this
  403 browser   a server's key from a browser    403 page      this page is not on the key's list
";

/// A shop with a conversation, and everything that can stand in a header.
struct Scene {
    toy: Toy,
    visitor: Visitor,
    id: String,
    kid: String,
    deploy_key: String,
}

fn scene() -> Scene {
    let toy = Toy::new("default");
    let (id, key) = toy.shop();
    let visitor = toy.open(&key);
    let deploy_key = toy.deploy_key();
    let (kid, _) = toy.identity_secret("acme");
    Scene { toy, visitor, id, kid, deploy_key }
}

impl Scene {
    fn headers(&self, column: &str) -> Vec<(&'static str, String)> {
        let bearer = |text: &str| vec![("authorization", format!("Bearer {text}"))];
        match column {
            "nothing" => Vec::new(),
            "deploy key" => vec![("authorization", self.deploy_key.clone())],
            "widget key" => bearer(&self.visitor.key),
            "history secret" => bearer(&self.visitor.secret),
            "forged" => vec![("authorization", forge(&self.deploy_key))],
            _ => vec![("authorization", self.deploy_key.clone()), ("x-api-key", self.visitor.key.clone())],
        }
    }

    fn call(&self, call: &str, key: &str, mut headers: Vec<(&'static str, String)>) -> Answer {
        let (method, pattern) = call.split_once(' ').unwrap();
        let id = if pattern.starts_with("/v1/credentials") {
            &self.id
        } else if pattern.starts_with("/v1/workspaces") {
            "acme"
        } else {
            &self.visitor.conversation
        };
        let mut path = pattern.replace("{widget_key}", key).replace("{id}", id).replace("{kid}", &self.kid);
        if matches!(pattern, "/v1/credentials" | "/v1/conversations") && method == "GET" {
            path.push_str("?workspace=acme");
        }
        if path.starts_with("/w/") && headers.iter().all(|(name, _)| *name != "origin") {
            headers.push(("origin", ORIGIN.to_owned()));
        }
        let body = match (method, pattern) {
            ("POST", "/v1/workspaces") => "{\"name\":\"new\"}".to_owned(),
            ("POST", "/v1/credentials") => format!(
                "{{\"kind\":\"widget_key\",\"workspace\":\"acme\",\"environment\":\"live\",\"name\":\"n\",\"origins\":[\"{ORIGIN}\"]}}"
            ),
            ("POST", _) if pattern.ends_with("/messages") => "{\"text\":\"hello\"}".to_owned(),
            ("POST" | "PATCH", _) => "{}".to_owned(),
            _ => String::new(),
        };
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.toy.send(method, &path, &headers, &body)
    }
}

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
        let scene = scene();
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
    ];
    let mut text = EXPLANATION.to_owned();
    text += &section("The customer's and the operator's servers", &server, &COLUMNS, by_kind);
    text += &section("The widget on a customer's page (a good widget key is in the path)", &widget, &COLUMNS, by_kind);
    text += &section("Documents for anybody", &documents, &COLUMNS, by_kind);

    let heads = ["widget key", "history secret", "deploy key", "forged", "nonsense"];
    text +=
        &section("The widget, with something else in the path instead of its key", &widget, &heads, |call, head| {
            let scene = scene();
            let in_path = match head {
                "widget key" => scene.visitor.key.clone(),
                "history secret" => scene.visitor.secret.clone(),
                "deploy key" => scene.deploy_key.trim_start_matches("Convex ").to_owned(),
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
        let scene = scene();
        let mut headers = match call {
            "POST /w/{widget_key}/conversations" => Vec::new(),
            call if call.contains(" /w/") => scene.headers("history secret"),
            _ => scene.headers("deploy key"),
        };
        let key = scene.visitor.key.clone();
        headers.push(match head {
            "the shop's page" => ("origin", ORIGIN.to_owned()),
            "another page" => ("origin", "https://another.example".to_owned()),
            "Sec-Fetch-Site" => ("sec-fetch-site", "cross-site".to_owned()),
            _ => ("origin", String::new()),
        });
        scene.call(call, &key, headers)
    });
    text
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
            Route::Public(document) => panic!("{document:?}"),
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
        let scene = scene();
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
