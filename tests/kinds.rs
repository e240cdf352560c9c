//! Every kind of credential at every class of calls, and in every bad state: the tables of docs/kinds.md, from real answers.
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

use claviger::{codec::kind::CredentialKind, policy::Action, road::route::name};
use scene::{SCOPES, SERVICE, Scene, bearer, token};
use serde_json::{Value, json};
use std::{collections::BTreeSet, env, fs};
use toy::{Answer, ORIGIN, Toy, forge};

const FILE: &str = "docs/kinds.md";

/// A class of calls: all of one class answer a kind alike, or the class is two.
///
/// A new call of the core, or a route of the gateway, is one more line here, or one more call in a line.
const CLASSES: [(&str, &[&str]); 15] = [
    ("who am I, and end me", &["GET /v1/whoami", "POST /v1/self/revoke"]),
    ("all workspaces", &["GET /v1/workspaces", "POST /v1/workspaces"]),
    ("the keys of assertions", &["POST /v1/assertion-keys/rotate"]),
    (
        "one workspace",
        &[
            "GET /v1/workspaces/{id}",
            "PATCH /v1/workspaces/{id}",
            "POST /v1/workspaces/{id}/identity-secrets",
            "GET /v1/workspaces/{id}/identity-secrets",
            "POST /v1/workspaces/{id}/identity-secrets/{kid}/revoke",
            "POST /v1/workspaces/{id}/credentials/revoke",
        ],
    ),
    (
        "credentials and their usage, to read",
        &["GET /v1/credentials", "GET /v1/credentials/{id}", "GET /v1/credentials/{id}/usage"],
    ),
    (
        "credentials, to make, change and end",
        &[
            "POST /v1/credentials",
            "PATCH /v1/credentials/{id}",
            "POST /v1/credentials/{id}/rotate",
            "POST /v1/credentials/{id}/rotate/finish",
            "POST /v1/credentials/{id}/revoke",
        ],
    ),
    (
        "conversations, from the server's side",
        &["GET /v1/conversations", "GET /v1/conversations/{id}/messages", "POST /v1/conversations/{id}/messages"],
    ),
    ("a conversation, to delete", &["DELETE /v1/conversations/{id}"]),
    ("asking whether a credential would be admitted", &["POST /v1/verify"]),
    ("the audit", &["GET /v1/audit", "GET /v1/audit/export", "GET /v1/audit/verify"]),
    ("the widget: a new conversation", &["POST /w/{widget_key}/conversations"]),
    (
        "the widget: in a conversation",
        &[
            "GET /w/{widget_key}/conversations/{id}/messages",
            "POST /w/{widget_key}/conversations/{id}/messages",
            "POST /w/{widget_key}/conversations/{id}/secret/rotate",
            "POST /w/{widget_key}/conversations/{id}/close",
        ],
    ),
    (
        "documents for anybody",
        &[
            "GET /healthz",
            "GET /widget.js",
            "GET /docs",
            "GET /docs/errors",
            "GET /.well-known/oauth-protected-resource",
            "GET /.well-known/jwks.json",
        ],
    ),
    ("what GitHub alone reports", &["POST /v1/leaks/github"]),
    ("anything else", &["GET /v1/nothing", "POST /nothing"]),
];

/// The columns: each is sent in its own place, and from where its holder calls.
const COLUMNS: [&str; 8] = [
    "nothing",
    "`deploy_key`",
    "`server_key` with `admin`",
    "`server_key` without scopes",
    "`service_token` with every scope",
    "`widget_key`",
    "`history_secret`",
    "a forged one",
];

fn answer(scene: &Scene, call: &str, column: &str) -> Answer {
    let key = scene.visitor.key.as_str();
    let headers = match column {
        "nothing" => Vec::new(),
        "`deploy_key`" => scene.headers("deploy key"),
        "`server_key` with `admin`" => bearer(&scene.another("acme", "live", &json!({"scopes": ["admin"]}))),
        "`server_key` without scopes" => scene.headers("no scopes"),
        "`service_token` with every scope" => scene.headers("service token"),
        // Its place is the path. Where the path has none, somebody tries it as a secret.
        "`widget_key`" if call.contains(" /w/") => Vec::new(),
        "`widget_key`" => scene.headers("widget key"),
        "`history_secret`" => scene.headers("history secret"),
        _ => bearer(&forge(&scene.server_key)),
    };
    // Without a widget's key there is no path to call.
    let in_path = if column == "nothing" { "none" } else { key };
    scene.call(call, in_path, headers)
}

fn cell(answer: &Answer) -> String {
    if answer.code().is_empty() { answer.status.to_string() } else { format!("{} `{}`", answer.status, answer.code()) }
}

fn line<T: AsRef<str>>(cells: impl IntoIterator<Item = T>) -> String {
    cells.into_iter().fold(String::new(), |line, cell| format!("{line}| {} ", cell.as_ref())) + "|\n"
}

fn table(first: &str, columns: &[&str], rows: impl IntoIterator<Item = (String, Vec<String>)>) -> String {
    let heads = [first].into_iter().chain(columns.iter().copied());
    let mut text = line(heads) + &"|---".repeat(columns.len() + 1) + "|\n";
    for (head, cells) in rows {
        text += &line([head].into_iter().chain(cells));
    }
    text
}

fn classes() -> String {
    let rows = CLASSES.map(|(class, calls)| {
        let cells = COLUMNS.map(|column| {
            let answers: BTreeSet<String> =
                calls.iter().map(|call| cell(&answer(&Scene::new(), call, column))).collect();
            let is_one = answers.len() == 1 || answers.iter().all(|answer| answer.starts_with('2'));
            assert!(is_one, "the class `{class}` is two for {column}: {answers:?}");
            answers.into_iter().collect::<Vec<_>>().join(", ")
        });
        let calls = calls.iter().map(|call| format!("`{call}`")).collect::<Vec<_>>().join("<br>");
        (format!("**{class}**<br>{calls}"), cells.to_vec())
    });
    table("call", &COLUMNS, rows)
}

/// What may be wrong with a genuine credential, or with the way in which it is sent.
const STATES: [&str; 13] = [
    "one character is another",
    "its end has come",
    "it was revoked",
    "it was rotated out",
    "its prefix says the other environment",
    "another workspace is asked for",
    "data of the other environment is asked for",
    "another stage or deployment",
    "in the wrong header",
    "twice, or beside another",
    "from a browser",
    "its limit is used up",
    "what only one kind is held to",
];

const SERVERS: [&str; 3] = ["`deploy_key`", "`server_key`", "`service_token`"];
const PAGES: [&str; 2] = ["`widget_key`", "`history_secret`"];

/// A server's credential in that state at `GET /v1/credentials` or `GET /v1/conversations`; none: there is no such state.
fn of_server(kind: &str, state: &str) -> Option<Answer> {
    let toy = Toy::new("default");
    toy.workspace("acme");
    toy.workspace("other");
    let make = |members: Value| match kind {
        "`service_token`" => toy.service_token("acme", "live", SERVICE, &members),
        _ => toy.server_key("acme", "live", &members),
    };
    let scopes = json!({"scopes": SCOPES});
    let headers = |text: &str| match kind {
        "`deploy_key`" => vec![("authorization", text.to_owned())],
        "`service_token`" => token(text, SERVICE),
        _ => bearer(text),
    };
    let send = |path: &str, headers: &[(&'static str, String)]| {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        toy.send("GET", path, &headers, "")
    };
    let is_deploy_key = kind == "`deploy_key`";
    let (id, text) = if is_deploy_key { (String::new(), toy.deploy_key()) } else { make(scopes.clone()) };
    let here = "/v1/conversations?workspace=acme";
    let end = |what: &str, body: Value| toy.admin("POST", &format!("/v1/credentials/{id}/{what}"), &body);
    Some(match state {
        "one character is another" => send(here, &headers(&forge(&text))),
        "its end has come" if is_deploy_key => {
            toy.advance(3_601);
            send(here, &headers(&text))
        }
        "its end has come" => {
            let (_, text) = make(json!({"scopes": SCOPES, "expires_in": 60}));
            toy.advance(61);
            send(here, &headers(&text))
        }
        "it was revoked" => {
            let sent = headers(&text);
            let sent: Vec<(&str, &str)> = sent.iter().map(|(name, value)| (*name, value.as_str())).collect();
            toy.send("POST", "/v1/self/revoke", &sent, "").ok(200);
            toy.send("GET", here, &sent, "")
        }
        "it was rotated out" if is_deploy_key => {
            let id = toy.send("GET", "/v1/whoami", &[("authorization", &text)], "").ok(200).text_at("id");
            let rotate = format!("/v1/credentials/{id}/rotate");
            toy.admin("POST", &rotate, &json!({"overlap_seconds": 0})).ok(201);
            send(here, &headers(&text))
        }
        "it was rotated out" => {
            end("rotate", json!({"overlap_seconds": 0})).ok(201);
            send(here, &headers(&text))
        }
        "its prefix says the other environment" if !is_deploy_key => {
            send(here, &headers(&text.replace("live", "test")))
        }
        "another workspace is asked for" if !is_deploy_key => {
            send("/v1/conversations?workspace=other", &headers(&text))
        }
        "data of the other environment is asked for" if !is_deploy_key => {
            send("/v1/conversations?environment=test", &headers(&text))
        }
        "another stage or deployment" if is_deploy_key => {
            let key = toy.deploy_key_for(claviger::value::id::Stage::Prod, "local", 60);
            send(here, &headers(&format!("Convex {key}")))
        }
        "in the wrong header" => match kind {
            "`deploy_key`" => send(here, &[("x-api-key", text.replace("Convex ", ""))]),
            "`server_key`" => send(here, &token(&text, SERVICE)),
            _ => send(here, &bearer(&text)),
        },
        "twice, or beside another" => {
            let twice = [headers(&text), headers(&text)].concat();
            assert_eq!(send(here, &twice).code(), "ambiguous_credential");
            send(here, &[headers(&text), vec![("cookie", "a=b".into()), ("x-api-key", "x".into())]].concat())
        }
        "from a browser" => send(here, &[headers(&text), vec![("origin", ORIGIN.to_owned())]].concat()),
        "its limit is used up" if !is_deploy_key => {
            (0..60).for_each(|_| drop(send(here, &headers(&text)).ok(200)));
            send(here, &headers(&text))
        }
        "what only one kind is held to" if kind == "`service_token`" => send(here, &token(&text, "another")),
        "what only one kind is held to" if kind == "`server_key`" => {
            let (_, text) = make(json!({"scopes": SCOPES, "allowed_addresses": ["192.0.2.0/24"]}));
            send(here, &[headers(&text), vec![("x-client", "198.51.100.1".into())]].concat())
        }
        _ => return None,
    })
}

/// The same of what pages hold, at a message in a conversation.
fn of_page(kind: &str, state: &str) -> Option<Answer> {
    let scene = Scene::new();
    let (toy, visitor) = (&scene.toy, &scene.visitor);
    let is_key = kind == "`widget_key`";
    let say = |key: &str, secret: &str, more: &[(&str, &str)]| {
        let bearer = format!("Bearer {secret}");
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend(more);
        if !more.iter().any(|(name, _)| *name == "origin") {
            headers.push(("origin", ORIGIN));
        }
        let path = format!("/w/{key}/conversations/{}/messages", visitor.conversation);
        toy.send("POST", &path, &headers, "{\"text\":\"hi\"}")
    };
    let with = |text: &str| if is_key { say(text, &visitor.secret, &[]) } else { say(&visitor.key, text, &[]) };
    let mine = if is_key { &visitor.key } else { &visitor.secret };
    let path = format!("/v1/credentials/{}", scene.id);
    Some(match state {
        "one character is another" => with(&forge(mine)),
        "its end has come" if is_key => {
            toy.admin("PATCH", &path, &json!({"expires_at": "2026-01-01T00:00:00Z"})).ok(200);
            with(mine)
        }
        "its end has come" => {
            toy.advance(30 * 86_400 + 1);
            with(mine)
        }
        "it was revoked" if is_key => {
            toy.admin("POST", &format!("{path}/revoke"), &json!({})).ok(200);
            with(mine)
        }
        "it was revoked" => {
            toy.visit(visitor, "POST", "close", "").ok(200);
            with(mine)
        }
        "it was rotated out" if is_key => {
            toy.admin("POST", &format!("{path}/rotate"), &json!({"overlap_seconds": 0})).ok(201);
            with(mine)
        }
        "it was rotated out" => {
            toy.visit(visitor, "POST", "secret/rotate", "").ok(201);
            with(mine)
        }
        "its prefix says the other environment" => with(&mine.replace("_live_", "_test_")),
        "another workspace is asked for" if !is_key => {
            toy.workspace("other");
            let (_, other) = toy.widget_key("other", "live", &[ORIGIN]);
            say(&other, mine, &[])
        }
        "data of the other environment is asked for" if !is_key => {
            let (_, test) = toy.widget_key("acme", "test", &[ORIGIN]);
            say(&test, mine, &[])
        }
        "in the wrong header" if !is_key => {
            let path = format!("/w/{}/conversations/{}/messages", visitor.key, visitor.conversation);
            toy.send("POST", &path, &[("x-api-key", mine), ("origin", ORIGIN)], "{\"text\":\"hi\"}")
        }
        "in the wrong header" => toy.send("GET", "/v1/whoami", &[("x-api-key", mine)], ""),
        "twice, or beside another" if !is_key => say(&visitor.key, mine, &[("x-api-key", "x")]),
        "its limit is used up" => {
            // The key's is per network, and the secret's per conversation: half as much.
            let mut last = with(mine);
            let other = toy.open(&visitor.key);
            while last.status == 201 && is_key {
                toy.say(&other, "hi");
                last = with(mine);
            }
            while last.status == 201 {
                last = with(mine);
            }
            last
        }
        "what only one kind is held to" if is_key => say(mine, &visitor.secret, &[("origin", "https://a.example")]),
        "what only one kind is held to" => {
            let other = toy.open(&visitor.key);
            let path = format!("/w/{}/conversations/{}/messages", visitor.key, other.conversation);
            toy.send(
                "POST",
                &path,
                &[("authorization", &format!("Bearer {mine}")), ("origin", ORIGIN)],
                "{\"text\":\"hi\"}",
            )
        }
        _ => return None,
    })
}

fn states() -> String {
    let shown = |answer: Option<Answer>| {
        answer.map_or("–".to_owned(), |answer| {
            assert!(answer.status >= 400, "{}", answer.text);
            cell(&answer)
        })
    };
    let rows = STATES.map(|state| {
        let servers = SERVERS.iter().map(|kind| shown(of_server(kind, state)));
        let pages = PAGES.iter().map(|kind| shown(of_page(kind, state)));
        (state.to_owned(), servers.chain(pages).collect())
    });
    table("what is wrong", &[SERVERS.as_slice(), &PAGES].concat(), rows)
}

/// The document, with its tables as they are today.
fn printed(document: &str) -> String {
    let mut text = document.to_owned();
    for (mark, table) in [("calls", classes()), ("refusals", states())] {
        let (start, end) = (format!("<!-- {mark}: printed by tests/kinds.rs -->\n"), format!("<!-- end of {mark} -->"));
        let (before, rest) = text.split_once(&start).unwrap_or_else(|| panic!("{FILE} has no place for {mark}"));
        let (_, after) = rest.split_once(&end).unwrap();
        text = format!("{before}{start}\n{table}\n{end}{after}");
    }
    text
}

#[test]
fn the_document_says_what_every_kind_opens_today() {
    let approved = fs::read_to_string(FILE).unwrap();
    let found = printed(&approved);
    if env::var("UPDATE").is_ok_and(|update| update == "1") {
        fs::write(FILE, &found).unwrap();
    } else if found != approved {
        let new = found.lines().filter(|line| !approved.lines().any(|known| known == *line));
        let new: String = new.map(|line| format!("+ {line}\n")).collect();
        panic!("{FILE} is another now:\n{new}\nIf that is meant: UPDATE=1 cargo test --locked --test kinds");
    }
}

#[test]
fn every_call_is_of_one_class_and_every_kind_has_its_columns_and_its_words() {
    let mut calls: Vec<&str> = CLASSES.iter().flat_map(|(_, calls)| calls.iter().copied()).collect();
    for action in Action::ALL {
        assert_eq!(calls.iter().filter(|call| **call == name(action)).count(), 1, "{}", name(action));
    }
    calls.sort_unstable();
    assert!(calls.windows(2).all(|two| two[0] != two[1]));
    let document = fs::read_to_string(FILE).unwrap();
    for kind in CredentialKind::ALL {
        let shown = format!("`{}`", kind.as_str());
        assert!(COLUMNS.iter().any(|column| column.starts_with(&shown)), "{shown} has no column");
        assert!(SERVERS.iter().chain(&PAGES).any(|column| *column == shown), "{shown} has no column");
        assert!(document.contains(&format!("\n### {shown}\n")), "{shown} is not explained");
    }
}
