//! Conversations cost a stranger's ids nothing, and they end: ceilings, retention, deletion, and an audit that stays small.
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
    conversation::{Command, Conversation, Open},
    error::Reason,
    host,
    id::{ConversationId, Environment, WorkspaceId},
    machine::{Machine as _, World as _},
    pipeline::route::name,
    policy::Action,
    wire,
};
use serde_json::{Value, json};
use toy::{Answer, ORIGIN, ROOT, Toy};

const NEW_ROOT: &str = "r2:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";

/// Twenty base62 characters that nobody made here.
fn made_up(number: u64) -> String {
    let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let random = (0..20).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(digits[(state >> 33) as usize % digits.len()])
    });
    random.collect()
}

fn count(toy: &Toy, binding: &str) -> usize {
    toy.objects.borrow().keys().filter(|(known, _)| known == binding).count()
}

/// A conversation as the version before made it: its id has no check. The workspace lists it.
fn old_conversation(toy: &Toy) -> ConversationId {
    let workspace: WorkspaceId = "acme".to_owned().try_into().unwrap();
    let id = ConversationId::issue(&workspace, toy.now(), [9; 16]);
    let open = Open {
        id: id.clone(),
        environment: Environment::Live,
        widget_key: "wk_00000000000000000000_acme".to_owned().try_into().unwrap(),
        expires_at: toy.now().plus_seconds(30 * 86_400),
        subject: None,
    };
    toy.tell::<Conversation>(id.as_str(), Command::Open(open)).unwrap();
    id
}

#[test]
fn a8_a_made_up_conversation_is_not_found_and_becomes_no_object() {
    let toy = Toy::new("default");
    toy.conversation();
    let scopes = json!({"scopes": ["messages:read", "messages:write", "admin"]});
    let (_, key) = toy.server_key("acme", "live", &scopes);
    toy.whoami(&key).ok(200);
    let before = count(&toy, Conversation::BINDING);
    for number in 0..300 {
        let path = format!("/v1/conversations/conv_{}_acme/messages", made_up(number));
        let read = toy.server(&key, "GET", &path, &Value::Null);
        read.refused(404, "not_found");
        let written = toy.server(&key, "POST", &path, &json!({"text": "x"}));
        written.refused(404, "not_found");
        assert_eq!((read.made, written.made), (0, 0));
        toy.advance(3);
    }
    assert_eq!(count(&toy, Conversation::BINDING), before);
}

/// Every call of a server, with a name in it that nobody made.
fn calls_about_nothing(number: u64) -> Vec<(&'static str, String, String)> {
    let nowhere = format!("nowhere-{number}");
    let mut calls = Vec::new();
    for action in Action::ALL.into_iter().filter(|action| *action != Action::CreateWorkspace) {
        let (method, pattern) = name(action).split_once(' ').unwrap();
        if !pattern.starts_with("/v1/") {
            continue;
        }
        let ids = match pattern {
            _ if !pattern.contains("{id}") => vec![String::new()],
            _ if pattern.starts_with("/v1/workspaces") => vec![nowhere.clone()],
            _ if pattern.starts_with("/v1/conversations") => {
                vec![format!("conv_{}_{nowhere}", made_up(number)), format!("conv_{}_acme", made_up(number))]
            }
            _ => ["sk", "st", "wk"]
                .iter()
                .map(|tag| format!("{tag}_{}_{nowhere}", made_up(number)))
                .chain([format!("dk_{}", made_up(number))])
                .collect(),
        };
        for id in ids {
            let path = pattern.replace("{id}", &id).replace("{kid}", "is_AAAAAAAAAAAAAAAAAAAAAAA");
            let body = match (method, pattern) {
                ("POST", "/v1/credentials") => json!({
                    "kind": "server_key", "workspace": nowhere, "environment": "live", "name": "n",
                })
                .to_string(),
                ("POST", "/v1/verify") => json!({"credential": format!("clv_live_{}", made_up(number))}).to_string(),
                ("POST", _) if pattern.ends_with("/messages") => json!({"text": "x"}).to_string(),
                ("GET" | "DELETE", _) => String::new(),
                _ => "{}".to_owned(),
            };
            let is_list = id.is_empty() && method == "GET";
            let query = if is_list { format!("?workspace={nowhere}") } else { String::new() };
            calls.push((method, path + &query, body));
        }
    }
    calls
}

#[test]
fn a8_no_name_that_a_deploy_key_makes_up_becomes_an_object() {
    let toy = Toy::new("default");
    toy.shop();
    let (key, other) = (toy.deploy_key(), toy.deploy_key());
    for key in [&key, &other] {
        toy.send("GET", "/v1/whoami", &[("authorization", key)], "").ok(200);
    }
    let mut not_found = 0;
    for number in 0..20 {
        for (method, path, body) in calls_about_nothing(number) {
            let by = if path.starts_with("/v1/self") { continue } else { &key };
            let answer: Answer = toy.send(method, &path, &[("authorization", by)], &body);
            assert_eq!(answer.made, 0, "{method} {path}: {}", answer.text);
            not_found += usize::from(answer.status == 404);
        }
    }
    assert!(not_found > 20 * 20, "{not_found}");
}

#[test]
fn a8_no_workspace_that_is_made_up_becomes_an_object_by_records() {
    let policy = "brand = \"clv\"\n[[routes]]\nmatch = \"GET /v1/notes/{collection}\"\naccept = [\"deploy_key\"]\nto = \"records\"\n";
    let toy = Toy::changed(&[("POLICY_TOML", policy)]);
    toy.workspace("acme");
    let key = toy.deploy_key();
    let read = |workspace: &str| {
        let path = format!("/v1/notes/a?workspace={workspace}&environment=live");
        toy.send("GET", &path, &[("authorization", &key)], "")
    };
    read("acme").ok(200);
    let made_up = read("nowhere");
    made_up.refused(404, "not_found");
    assert_eq!(made_up.made, 0);
}

#[test]
fn a8_a_workspace_is_looked_up_once_and_then_remembered() {
    let toy = Toy::new("default");
    toy.shop();
    let key = toy.deploy_key();
    let list = || toy.send("GET", "/v1/credentials?workspace=acme", &[("authorization", &key)], "").ok(200).hops;
    assert_eq!(list(), 2, "the isolate that made it knows it");
    toy.isolate.forget();
    assert_eq!([list(), list()], [3, 2]);
    // What a workspace's own credential implies is looked up nowhere.
    toy.isolate.forget();
    let (_, own) = toy.server_key("acme", "live", &json!({"scopes": ["admin"]}));
    toy.isolate.forget();
    assert_eq!(toy.server(&own, "GET", "/v1/credentials", &Value::Null).ok(200).hops, 2);
}

#[test]
fn a8_a_conversation_of_the_version_before_is_found_by_its_list() {
    let toy = Toy::new("default");
    toy.shop();
    let id = old_conversation(&toy);
    let (_, key) = toy.server_key("acme", "live", &json!({"scopes": ["messages:read"]}));
    let path = format!("/v1/conversations/{id}/messages");
    assert_eq!(toy.server(&key, "GET", &path, &Value::Null).ok(200).hops, 3);
    toy.admin("GET", &path, &Value::Null).ok(200);
}

#[test]
fn a8_a_check_is_good_under_a_root_secret_that_may_no_longer_sign() {
    let mut toy = Toy::new("default");
    let visitor = toy.conversation();
    let roots = format!("{NEW_ROOT},{ROOT}:check-only");
    toy.config = Toy::changed(&[("POLICY", "default"), ("ROOT_SECRETS", &roots)]).config;
    let path = format!("/v1/conversations/{}/messages", visitor.conversation);
    let key = toy.deploy_key();
    assert_eq!(toy.send("GET", &path, &[("authorization", &key)], "").ok(200).hops, 2, "nobody looks it up");
}

/// While a deployment goes out, an object may still be of the version before, which does not know the question.
#[test]
fn a8_an_object_that_does_not_know_the_question_hinders_no_call() {
    let toy = Toy::new("default");
    toy.shop();
    let id = old_conversation(&toy);
    toy.isolate.forget();
    toy.on_its_way.set(Some(|reply| {
        let listed = |reply: &[u8]| {
            reply.ends_with(&wire::write(&claviger::registry::deployment::Reply::Listed(true)))
                || reply.ends_with(&wire::write(&claviger::registry::workspace::Reply::Listed(true)))
        };
        if listed(&reply) { host::refuse(&Reason::Unreadable("command".to_owned())) } else { reply }
    }));
    toy.admin("GET", &format!("/v1/conversations/{id}/messages"), &Value::Null).ok(200);
    toy.admin("GET", "/v1/credentials?workspace=acme", &Value::Null).ok(200);
}

#[test]
fn a8_what_cannot_be_looked_up_is_not_guessed() {
    let toy = Toy::new("default");
    let (_, key) = toy.shop();
    toy.isolate.forget();
    toy.faults.borrow_mut().insert(("DEPLOYMENT_OBJECT".to_owned(), "local".to_owned()), toy::Fault::Dead);
    toy.admin("GET", "/v1/credentials?workspace=acme", &Value::Null).refused(503, "unavailable");
    // A visitor's calls ask no list.
    toy.send("POST", &format!("/w/{key}/conversations"), &[("origin", ORIGIN)], "{}").ok(201);
}
