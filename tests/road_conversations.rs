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
    audit::{By, Entry, Report},
    codec::cbor,
    conversations::store::{Command, Conversation, Open, Party, Room},
    error::Reason,
    limits::window::Limit,
    machines::workspace::{self, Workspace},
    object::{
        host,
        idempotency::RetryKey,
        machine::{Machine as _, World as _},
    },
    policy::Action,
    road::route::name,
    value::id::{ConversationId, Environment, WorkspaceId},
    wire,
};
use serde_json::{Value, json};
use toy::{Answer, Fault, ORIGIN, ROOT, Toy, Visitor};

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
    // The third object is that of the key which is listed: it knows when it was used last.
    assert_eq!(toy.server(&own, "GET", "/v1/credentials", &Value::Null).ok(200).hops, 3);
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
            reply.ends_with(&cbor::write(&claviger::machines::deployment::Reply::Listed(true)))
                || reply.ends_with(&cbor::write(&claviger::machines::workspace::Reply::Listed(true)))
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

const DAY: u64 = 86_400;

/// A shop under the widget's policy `keys`; the text of its widget key.
fn shop(keys: &str) -> (Toy, String) {
    let scopes = "\"messages:read\" = \"r\"\n\"messages:write\" = \"w\"\nadmin = \"a\"\nall = { says = \"x\", implies = \"*\" }\n";
    let toy = Toy::changed(&[("POLICY_TOML", &format!("brand = \"clv\"\n[scopes]\n{scopes}[widget]\n{keys}"))]);
    let (_, key) = toy.shop();
    (toy, key)
}

/// The same world under another policy of the widget.
fn change_policy(toy: &mut Toy, keys: &str) {
    toy.config = shop(keys).0.config;
}

fn say_from(toy: &Toy, visitor: &Visitor, client: &str) -> Answer {
    toy.visit_with(visitor, "POST", "messages", &[("x-client", client)], "{\"text\":\"hello\"}")
}

/// The conversation's object.
fn object(toy: &Toy, id: &str) -> toy::Object {
    toy.snapshot()[&(Conversation::BINDING.to_owned(), id.to_owned())].clone()
}

/// The ids in the workspace's list.
fn listed(toy: &Toy) -> Vec<String> {
    let list = toy.admin("GET", "/v1/conversations?workspace=acme&limit=100", &Value::Null).ok(200).json;
    list["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

/// The events of this action in the workspace's chain.
fn events(toy: &Toy, action: &str) -> Vec<Value> {
    let (mut items, mut after) = (Vec::new(), Some(0));
    while let Some(begin) = after {
        let path = format!("/v1/audit?workspace=acme&limit=100&action={action}&after={begin}");
        let page = toy.admin("GET", &path, &Value::Null).ok(200).json;
        items.extend(page["items"].as_array().unwrap().clone());
        after = page["next_after"].as_u64();
    }
    items
}

#[test]
fn a7_messages_have_a_ceiling_per_key_however_many_networks_and_conversations_write_them() {
    let (toy, key) = shop("messages_per_hour_per_key = 64\nconversations_per_hour = 1000\n");
    let visitors: Vec<Visitor> = (0..10).map(|_| toy.open(&key)).collect();
    // A /48 of IPv6 is 65,536 networks.
    let flood = || {
        (0..400).filter(|n| say_from(&toy, &visitors[n % 10], &format!("2001:db8:1:{n:x}::1")).status == 201).count()
    };
    let admitted = flood();
    assert!((50..=64).contains(&admitted), "{admitted}");
    let refused = say_from(&toy, &visitors[0], "2001:db8:1:1::1");
    refused.refused(429, "rate_limited");
    toy.advance(1_800);
    assert_eq!(flood(), 0);
    toy.advance(1_900);
    assert!((50..=64).contains(&flood()));
}

#[test]
fn a7_a_conversation_holds_so_many_messages_and_the_answer_still_fits() {
    let (toy, key) = shop("messages_per_conversation = 16\nmessages_per_minute_per_conversation = 1000\n");
    let visitor = toy.open(&key);
    let body = "{\"text\":\"first\"}";
    let first = || toy.visit_with(&visitor, "POST", "messages", &[("idempotency-key", "k")], body);
    first().ok(201);
    (1..16).for_each(|_| drop(toy.say(&visitor, "x").ok(201)));
    let full = toy.say(&visitor, "x");
    full.refused(409, "conflict");
    assert!(full.text_at("fix").starts_with("Begin a new conversation."), "{}", full.text);
    assert_eq!(first().ok(201).header("idempotent-replayed"), Some("true"), "a repetition stores nothing");
    let path = format!("/v1/conversations/{}/messages", visitor.conversation);
    let answer = || toy.admin("POST", &path, &json!({"text": "We are here."}));
    answer().ok(201);
    answer().ok(201);
    answer().refused(409, "conflict");
    toy.say(&visitor, "x").refused(409, "conflict");
    assert_eq!(toy.hear(&visitor).len(), 18);
    // The fix can be followed.
    let next = toy.open(&key);
    toy.say(&next, "x").ok(201);
}

#[test]
fn a7_a_conversation_holds_so_many_bytes_of_text() {
    let (toy, key) = shop("bytes_per_conversation = 65_536\nmessages_per_minute_per_conversation = 1000\n");
    let visitor = toy.open(&key);
    let text = "ü".repeat(8_000);
    (0..4).for_each(|_| drop(toy.say(&visitor, &text).ok(201)));
    toy.say(&visitor, &text).refused(409, "conflict");
    toy.say(&visitor, &"x".repeat(1_536)).ok(201);
    toy.say(&visitor, "x").refused(409, "conflict");
}

/// The version before counted no bytes, and sends no ceilings.
#[test]
fn a7_what_the_version_before_stores_and_sends_is_read() {
    struct Append {
        by: Party,
        text: String,
        retry: Option<RetryKey>,
        limit: Option<Limit>,
    }
    wire!(Append { by, text, retry, limit });
    let old = Append { by: Party::Visitor(1), text: "x".to_owned(), retry: None, limit: None };
    let new: claviger::conversations::store::Append = cbor::read(&cbor::write(&old)).unwrap();
    assert!(new.room.is_none());
    let new = claviger::conversations::store::Append { room: Some(Room { messages: 1, bytes: 1 }), ..new };
    assert_eq!(cbor::read::<Append>(&cbor::write(&new)).unwrap().text, "x");
    enum WidgetOperation {
        Write(Limit, Option<ConversationId>),
    }
    wire!(enum WidgetOperation { 2 Write(a, b) });
    let limit = Limit { name: "messages".to_owned(), limit: 1, window_seconds: 1 };
    let old = WidgetOperation::Write(limit.clone(), None);
    let new: claviger::machines::credential::WidgetOperation = cbor::read(&cbor::write(&old)).unwrap();
    assert!(matches!(new, claviger::machines::credential::WidgetOperation::Write(_, None, None)));
    let new = claviger::machines::credential::WidgetOperation::Write(limit.clone(), None, Some(limit));
    let WidgetOperation::Write(read, _) = cbor::read(&cbor::write(&new)).unwrap();
    assert_eq!(read.name, "messages");
}

#[test]
fn a7_without_retention_nothing_ever_goes() {
    let (toy, key) = shop("");
    let (written, unused) = (toy.open(&key), toy.open(&key));
    toy.say(&written, "hello").ok(201);
    toy.advance(4_000 * DAY);
    assert_eq!(listed(&toy), [unused.conversation, written.conversation.clone()]);
    let path = format!("/v1/conversations/{}/messages", written.conversation);
    assert_eq!(toy.admin("GET", &path, &Value::Null).ok(200).json["items"][0]["text"], "hello");
    assert!(events(&toy, "conversation.sweep").is_empty());
}

#[test]
fn a7_a_conversation_that_is_idle_for_as_long_as_the_policy_says_is_swept_and_that_is_recorded() {
    let (toy, key) = shop("retention_days = 30\nhistory_secret_days = 90\n");
    let (idle, unused, busy) = (toy.open(&key), toy.open(&key), toy.open(&key));
    let bodies = [("idempotency-key", "k")];
    toy.visit_with(&idle, "POST", "messages", &bodies, "{\"text\":\"hello\"}").ok(201);
    toy.say(&busy, "hello").ok(201);
    toy.advance(20 * DAY);
    toy.say(&busy, "still here").ok(201);
    assert_eq!(listed(&toy).len(), 3);
    toy.advance(9 * DAY + DAY / 2);
    assert_eq!(listed(&toy).len(), 3, "not a moment too early");
    toy.advance(2 * DAY);
    assert_eq!(listed(&toy), std::slice::from_ref(&busy.conversation));
    assert_eq!(toy.hear(&busy), ["hello", "still here"]);
    // Its rows are gone, and so is what it was opened with.
    for gone in [&idle, &unused] {
        let rows = object(&toy, &gone.conversation).rows;
        let left: Vec<&String> = rows.keys().filter(|key| !matches!(key.as_str(), "alarm" | "out-sequence")).collect();
        assert_eq!(left, ["record"]);
        toy.visit(gone, "GET", "messages", "").refused(401, "revoked_credential");
        toy.say(gone, "x").refused(401, "revoked_credential");
        toy.visit(gone, "POST", "secret/rotate", "").refused(401, "revoked_credential");
        toy.visit(gone, "POST", "close", "").refused(401, "revoked_credential");
        let path = format!("/v1/conversations/{}/messages", gone.conversation);
        toy.admin("GET", &path, &Value::Null).refused(410, "gone");
        toy.admin("POST", &path, &json!({"text": "x"})).refused(410, "gone");
    }
    let told = events(&toy, "conversation.sweep");
    assert_eq!(told.len(), 1, "one event for the sweep: {told:?}");
    let event = &told[0];
    assert_eq!((&event["count"], &event["actor"]), (&json!(2), &json!("policy:retention")));
    assert_eq!((&event["target"], &event["outcome"]), (&json!("acme"), &json!("done")));
    // And at last nothing at all is left.
    toy.advance(70 * DAY);
    assert!(object(&toy, &idle.conversation).rows.is_empty() && object(&toy, &unused.conversation).rows.is_empty());
    assert!(listed(&toy).is_empty());
    assert_eq!(events(&toy, "conversation.sweep").len(), 2);
    let rows = toy.snapshot()[&("WORKSPACE".to_owned(), "acme".to_owned())].rows.clone();
    let about = |id: &str| rows.keys().filter(|key| key.contains(id)).count();
    assert_eq!(about(&idle.conversation) + about(&unused.conversation) + about(&busy.conversation), 0);
    let verified = toy.admin("GET", "/v1/audit/verify?workspace=acme", &Value::Null).ok(200).json;
    assert_eq!(verified["valid"], true);
}

#[test]
fn a7_retention_reaches_what_was_there_before_and_stops_when_the_policy_does() {
    let (mut toy, key) = shop("");
    let old = toy.open(&key);
    toy.say(&old, "hello").ok(201);
    toy.visit(&old, "POST", "close", "").ok(200);
    toy.advance(400 * DAY);
    change_policy(&mut toy, "retention_days = 365\n");
    let young = toy.open(&key);
    toy.say(&young, "hello").ok(201);
    toy.advance(DAY);
    assert_eq!(listed(&toy), std::slice::from_ref(&young.conversation));
    change_policy(&mut toy, "");
    toy.advance(800 * DAY);
    assert_eq!(listed(&toy), [young.conversation]);
}

/// A crash makes the list forget who wrote last.
#[test]
fn a7_a_list_that_is_behind_sweeps_nothing_that_is_young() {
    let (toy, key) = shop("retention_days = 30\nhistory_secret_days = 90\n");
    let visitor = toy.open(&key);
    toy.advance(20 * DAY);
    toy.say(&visitor, "hello").ok(201);
    toy.forget();
    toy.advance(11 * DAY);
    let list = toy.admin("GET", "/v1/conversations?workspace=acme", &Value::Null).ok(200).json;
    assert_eq!(list["items"][0]["last_message_at"], "2026-01-21T00:00:00.000Z", "and it has caught up");
    assert_eq!(toy.hear(&visitor), ["hello"]);
    assert!(events(&toy, "conversation.sweep").is_empty());
}

#[test]
fn a7_many_conversations_are_swept_in_steps_and_are_one_event() {
    let (toy, key) =
        shop("retention_days = 1\nconversations_per_hour = 1000\nconversations_per_hour_per_key = 160000\n");
    for _ in 0..450 {
        toy.open(&key);
    }
    toy.advance(4 * DAY);
    assert!(listed(&toy).is_empty());
    let told = events(&toy, "conversation.sweep");
    assert_eq!((told.len(), &told[0]["count"]), (1, &json!(450)));
}

fn delete(toy: &Toy, key: &str, id: &str) -> Answer {
    toy.server(key, "DELETE", &format!("/v1/conversations/{id}"), &Value::Null)
}

#[test]
fn a7_a_conversation_is_deleted_for_good_by_one_who_may_and_that_is_recorded() {
    let (toy, key) = shop("");
    let (visitor, other) = (toy.open(&key), toy.open(&key));
    for number in 0..5 {
        let (name, body) = (format!("k{number}"), "{\"text\":\"hello\"}");
        toy.visit_with(&visitor, "POST", "messages", &[("idempotency-key", &name)], body).ok(201);
    }
    let id = visitor.conversation.as_str();
    let made = |environment: &str, scopes: &[&str]| toy.server_key("acme", environment, &json!({"scopes": scopes}));
    let (may, may_key) = made("live", &["messages:write", "admin"]);
    // Both scopes, in this environment, of this workspace; and no visitor.
    let required = delete(&toy, &made("live", &["admin"]).1, id);
    assert_eq!(required.refused(403, "insufficient_scope").json["required"], json!(["messages:write"]));
    let required = delete(&toy, &made("live", &["messages:write", "messages:read"]).1, id);
    assert_eq!(required.refused(403, "insufficient_scope").json["required"], json!(["admin"]));
    delete(&toy, &made("test", &["messages:write", "admin"]).1, id).refused(403, "wrong_environment");
    toy.workspace("other");
    let (_, foreign) = toy.server_key("other", "live", &json!({"scopes": ["messages:write", "admin"]}));
    delete(&toy, &foreign, id).refused(404, "not_found");
    let (_, token) = toy.service_token("acme", "live", "spine", &json!({"scopes": ["messages:write", "admin"]}));
    let headers = [("x-service-token", token.as_str()), ("x-service-name", "spine")];
    toy.send("DELETE", &format!("/v1/conversations/{id}"), &headers, "").refused(403, "credential_kind_not_allowed");
    assert_eq!(toy.hear(&visitor).len(), 5);

    for _ in 0..2 {
        assert_eq!(delete(&toy, &may_key, id).ok(200).json, json!({"id": id, "deleted": true}));
        toy.advance(1);
    }
    assert_eq!(listed(&toy), std::slice::from_ref(&other.conversation));
    toy.visit(&visitor, "GET", "messages", "").refused(401, "revoked_credential");
    toy.say(&visitor, "x").refused(401, "revoked_credential");
    let path = format!("/v1/conversations/{id}/messages");
    toy.admin("GET", &path, &Value::Null).refused(410, "gone");
    toy.admin("POST", &path, &json!({"text": "x"})).refused(410, "gone");
    let rows = object(&toy, id).rows;
    assert!(rows.keys().all(|key| !key.starts_with("message/") && !key.starts_with("retry")), "{:?}", rows.keys());
    let told = events(&toy, "conversation.delete");
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0]["actor"], &told[0]["target"]), (&json!(format!("server_key:{may}")), &json!(id)));
    assert_eq!(told[0]["request_id"], "req_toy");

    // With a deploy key, too; and in the end the tombstone goes.
    let id = other.conversation.as_str();
    let gone = toy.admin("DELETE", &format!("/v1/conversations/{id}"), &Value::Null).ok(200);
    assert_eq!(gone.json, json!({"id": id, "deleted": true}));
    assert!(listed(&toy).is_empty());
    toy.advance(31 * DAY);
    assert!(object(&toy, id).rows.is_empty());
    toy.admin("DELETE", &format!("/v1/conversations/{id}"), &Value::Null).refused(404, "not_found");
}

#[test]
fn a7_a_deletion_that_the_workspace_has_not_learnt_is_pending_and_done() {
    let (toy, key) = shop("");
    let visitor = toy.open(&key);
    toy.say(&visitor, "hello").ok(201);
    let (path, operator) = (format!("/v1/conversations/{}", visitor.conversation), toy.deploy_key());
    let delete = || toy.send("DELETE", &path, &[("authorization", &operator)], "");
    let workspace = ("WORKSPACE".to_owned(), "acme".to_owned());
    toy.faults.borrow_mut().insert(workspace, toy::Fault::Dead);
    assert_eq!(delete().refused(503, "unavailable").json["pending"], true);
    toy.visit(&visitor, "GET", "messages", "").refused(401, "revoked_credential");
    toy.forget();
    toy.faults.borrow_mut().clear();
    toy.advance(10);
    assert!(listed(&toy).is_empty());
    delete().ok(200);
    assert_eq!(events(&toy, "conversation.delete").len(), 1);
}

#[test]
fn a7_a_long_conversation_that_is_deleted_is_closed_at_once_and_emptied_in_steps() {
    let (toy, key) = shop("messages_per_minute_per_conversation = 100000\n");
    let visitor = toy.open(&key);
    let path = format!("/v1/conversations/{}", visitor.conversation);
    let operator = toy.deploy_key();
    for number in 0..300 {
        let name = format!("k{number}");
        let headers = [("authorization", operator.as_str()), ("idempotency-key", name.as_str())];
        toy.send("POST", &format!("{path}/messages"), &headers, "{\"text\":\"hello\"}").ok(201);
    }
    toy.admin("DELETE", &path, &Value::Null).ok(200);
    // The process dies in between.
    toy.forget();
    toy.admin("GET", &format!("{path}/messages"), &Value::Null).refused(410, "gone");
    toy.advance(60);
    let rows = object(&toy, &visitor.conversation).rows;
    assert!(rows.keys().all(|key| !key.starts_with("message/") && !key.starts_with("retry")), "{}", rows.len());
}

#[test]
fn a7_a_conversation_of_the_version_before_is_deleted_twice_alike() {
    let (toy, _) = shop("");
    let id = old_conversation(&toy);
    let path = format!("/v1/conversations/{id}");
    for _ in 0..2 {
        toy.admin("DELETE", &path, &Value::Null).ok(200);
    }
    assert_eq!(events(&toy, "conversation.delete").len(), 1);
}

#[test]
fn a7_a_secret_that_is_refused_all_day_adds_few_events() {
    let (toy, key) = shop("");
    let visitor = toy.open(&key);
    toy.visit(&visitor, "POST", "close", "").ok(200);
    for _ in 0..1_440 {
        for _ in 0..3 {
            toy.say(&visitor, "x").refused(401, "revoked_credential");
        }
        toy.advance(60);
    }
    toy.advance(3_600);
    let told = events(&toy, "credential.refuse");
    assert!((11..=35).contains(&told.len()), "{}", told.len());
    let sum: u64 = told.iter().map(|event| event["count"].as_u64().unwrap()).sum();
    assert_eq!(sum, 3 * 1_440, "and all of them are counted");
    // The next day begins anew, by the minute.
    toy.advance(DAY);
    toy.say(&visitor, "x").refused(401, "revoked_credential");
    toy.advance(60);
    assert_eq!(events(&toy, "credential.refuse").len(), told.len() + 1);
}

#[test]
fn a7_strangers_with_a_thousand_secrets_add_few_events_in_a_day() {
    let (toy, key) = shop("");
    let report = |source: u64, sequence: u64| {
        let by = By { actor: format!("history_secret:{source}"), request_id: String::new(), network: None };
        let entry = Entry::refused(by, &source.to_string(), &Reason::CredentialRevoked, toy.now());
        let (chain, source) = ("workspace:acme".to_owned(), format!("s{source}"));
        let report = Report { chain, source, sequence, entry: Entry { count: Some(2), ..entry } };
        toy.tell::<Workspace>("acme", workspace::Command::Report(report)).unwrap();
    };
    for step in 1..=144 {
        (0..60).for_each(|source| report(source, step));
        toy.advance(600);
        if step == 72 {
            toy.forget();
        }
    }
    toy.advance(120);
    let told = events(&toy, "credential.refuse");
    assert!(told.len() <= 520, "{}", told.len());
    let sum: u64 = told.iter().map(|event| event["count"].as_u64().unwrap()).sum();
    assert_eq!(sum, 2 * 60 * 144);
    // What is done is recorded one by one, whatever strangers do.
    for _ in 0..3 {
        toy.widget_key("acme", "live", &[ORIGIN]);
    }
    assert_eq!(events(&toy, "credential.create").len(), 4);
    drop(key);
}

/// Anybody can open conversations, and nobody needs one without a message.
#[test]
fn a7_a_conversation_in_which_nobody_ever_wrote_goes_a_week_after_its_end() {
    let (toy, key) = shop("retention_days = 365\n");
    let (unused, closed, written) = (toy.open(&key), toy.open(&key), toy.open(&key));
    toy.visit(&closed, "POST", "close", "").ok(200);
    toy.say(&written, "hello").ok(201);
    toy.advance(7 * DAY - 1);
    assert_eq!(listed(&toy).len(), 3);
    toy.advance(29 * DAY);
    let mut both = [written.conversation.clone(), unused.conversation.clone()];
    both.sort_by(|one, other| other.cmp(one));
    assert_eq!(listed(&toy), both);
    toy.advance(DAY + 60);
    assert_eq!(listed(&toy), [written.conversation]);
    let counts: Vec<_> = events(&toy, "conversation.sweep").iter().map(|event| event["count"].clone()).collect();
    assert_eq!(counts, [json!(1), json!(1)]);
}

#[test]
fn a8_a_workspace_whose_creation_died_halfway_is_reached_by_who_creates_it_again() {
    let toy = Toy::new("default");
    let key = toy.deploy_key();
    let create =
        || toy.send("POST", "/v1/workspaces", &[("authorization", &key)], "{\"id\":\"acme\",\"name\":\"Acme\"}");
    let list = || toy.send("GET", "/v1/credentials?workspace=acme", &[("authorization", &key)], "");
    toy.faults.borrow_mut().insert(("DEPLOYMENT_OBJECT".to_owned(), "local".to_owned()), Fault::NoWrites);
    create().refused(503, "unavailable");
    toy.faults.borrow_mut().clear();
    // The process dies with what it was about to tell, and its alarm has not rung yet.
    toy.isolate.forget();
    list().refused(404, "not_found");
    create().refused(409, "conflict");
    list().ok(200);
    assert_eq!(toy.admin("GET", "/v1/workspaces", &Value::Null).ok(200).json["items"].as_array().unwrap().len(), 1);
}
