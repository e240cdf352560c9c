//! What an earlier build stored and sent: this build reads all of it, goes on with all of it, and writes so that the earlier one
//! can read it. Two builds share a state while a deployment goes out. `tests/previous/` has what the earlier one wrote.
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
    admission::{deploy_key::DeployKeyState, server_key::KeyRecord},
    assertion::store::SigningKey,
    audit,
    codec::cbor::{self, Wire},
    conversations::{self, store::Conversation},
    error::Reason,
    gateway,
    identity::store::IdentitySecretRecord,
    machines::{
        credential::{self, Credential},
        deployment::{self, Deployment, WorkspaceRecord},
        workspace::{self, ConversationNote, Workspace},
    },
    object::{
        host,
        machine::{Machine, World as _},
    },
    protocol::{
        credential_record::{CredentialRecord, ShardRecord},
        deploy_key_record::DeployKeyRecord,
    },
    upstream::watch::Ending,
    world::upstream::Incoming,
};
use minicbor::{Decoder, data::Type};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use toy::{Answer, ORIGIN, Object, START, Toy};

/// Messages and rows of the earlier build: what each is, a tab, and its bytes in hex.
const GOLDEN: &str = include_str!("previous/golden.txt");
/// A deployment as the earlier build stored it: `{clock, facts, objects}`.
const WORLD: &str = include_str!("previous/world.json");
const POLICY: &str = include_str!("previous/policy.toml");

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

// --- bytes ---

/// A value of CBOR, as far as it is used here.
#[derive(Clone, Debug, PartialEq)]
enum Cbor {
    Array(Vec<Cbor>),
    Leaf(Vec<u8>),
    Null,
}

fn parse(decoder: &mut Decoder) -> Cbor {
    match decoder.datatype().expect("sound CBOR") {
        Type::Array => {
            let count = decoder.array().unwrap().expect("a known length");
            Cbor::Array((0..count).map(|_| parse(decoder)).collect())
        }
        Type::Null => {
            decoder.null().unwrap();
            Cbor::Null
        }
        _ => {
            let start = decoder.position();
            decoder.skip().unwrap();
            Cbor::Leaf(decoder.input()[start..decoder.position()].to_vec())
        }
    }
}

/// Whether `new` is `old` with parts appended: then the earlier build reads it as it reads `old`.
fn extends(new: &Cbor, old: &Cbor) -> bool {
    match (new, old) {
        (Cbor::Array(new), Cbor::Array(old)) => {
            new.len() >= old.len() && new.iter().zip(old).all(|(new, old)| extends(new, old))
        }
        (new, old) => new == old,
    }
}

/// Reads the bytes as this type, and writes them so that the earlier build can read them.
fn same<T: Wire>(what: &str, golden: &[u8]) {
    let value = cbor::read::<T>(golden).unwrap_or_else(|_| panic!("{what} is not read any more: {golden:02x?}"));
    let written = cbor::write(&value);
    let (new, old) = (parse(&mut Decoder::new(&written)), parse(&mut Decoder::new(golden)));
    assert!(extends(&new, &old), "{what}: the earlier build cannot read what was written\n{old:?}\n{new:?}");
}

/// What each kind of message or row is read as; `false`: only a machine can read it.
fn check(what: &str, golden: &[u8]) -> bool {
    let mut words = what.split(' ');
    let (kind, binding, key) =
        (words.next().unwrap(), words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let row = key.split(['/', '#']).next().unwrap();
    match (kind, binding, row) {
        ("reason", ..) => same::<Reason>(what, golden),
        ("command", Conversation::BINDING, _) => same::<conversations::store::Command>(what, golden),
        ("command", Credential::BINDING, _) => same::<credential::Command>(what, golden),
        ("command", Deployment::BINDING, _) => same::<deployment::Command>(what, golden),
        ("command", Workspace::BINDING, _) => same::<workspace::Command>(what, golden),
        ("reply", Conversation::BINDING, _) => same::<conversations::store::Reply>(what, golden),
        ("reply", Credential::BINDING, _) => same::<credential::Reply>(what, golden),
        ("reply", Deployment::BINDING, _) => same::<deployment::Reply>(what, golden),
        ("reply", Workspace::BINDING, _) => same::<workspace::Reply>(what, golden),
        ("row", Conversation::BINDING, "message") => same::<conversations::store::Message>(what, golden),
        ("row", Credential::BINDING, "record") => same::<ShardRecord>(what, golden),
        ("row", Credential::BINDING, "key") => same::<KeyRecord>(what, golden),
        ("row", Credential::BINDING, "deploy-key") => same::<DeployKeyState>(what, golden),
        ("row", Deployment::BINDING, "deploy-key") => same::<DeployKeyRecord>(what, golden),
        ("row", Deployment::BINDING, "workspace") => same::<WorkspaceRecord>(what, golden),
        ("row", Deployment::BINDING, "assertion-key") => same::<SigningKey>(what, golden),
        ("row", Workspace::BINDING, "info") => same::<WorkspaceRecord>(what, golden),
        ("row", Workspace::BINDING, "credential") => same::<CredentialRecord>(what, golden),
        ("row", Workspace::BINDING, "conversation") => same::<ConversationNote>(what, golden),
        ("row", Workspace::BINDING, "identity-secrets") => same::<Vec<IdentitySecretRecord>>(what, golden),
        ("row", Workspace::BINDING, "record") => same::<gateway::store_records::Record>(what, golden),
        ("row", _, "audit") => same::<audit::Event>(what, golden),
        ("row", _, "audit-head") => same::<audit::Head>(what, golden),
        ("row", _, "checkpoint" | "held") => same::<audit::Checkpoint>(what, golden),
        ("row", _, "once") => same::<gateway::store_answers::Row>(what, golden),
        ("row", _, "once-answer") => same::<gateway::store_answers::Answer>(what, golden),
        _ => return false,
    }
    true
}

#[test]
fn everything_that_the_earlier_build_sent_or_stored_is_read_and_written_so_that_it_reads_it_too() {
    let (mut read, mut left) = (0, BTreeSet::new());
    for line in GOLDEN.lines() {
        let (what, hex) = line.split_once('\t').unwrap();
        if check(what, &bytes(hex)) {
            read += 1;
        } else {
            left.insert(what.split(['/', '#']).next().unwrap());
        }
    }
    assert!(read > 700, "only {read} were read");
    // Rows of private types: the machines read them below.
    assert!(left.iter().all(|what| what.starts_with("row ")), "{left:?}");
}

#[test]
fn the_check_sees_a_part_that_is_gone_changed_or_in_another_place() {
    let old = parse(&mut Decoder::new(&[0x82, 0x01, 0x61, b'a']));
    for (new, fits) in [
        (&[0x82, 0x01, 0x61, b'a'][..], true),
        (&[0x83, 0x01, 0x61, b'a', 0xF6], true),
        (&[0x81, 0x01], false),
        (&[0x82, 0x02, 0x61, b'a'], false),
        (&[0x82, 0x61, b'a', 0x01], false),
        (&[0x82, 0x01, 0x81, 0x61, b'a'], false),
    ] {
        assert_eq!(extends(&parse(&mut Decoder::new(new)), &old), fits, "{new:02x?}");
    }
}

// --- a deployment ---

struct Found {
    toy: Toy,
    facts: Value,
}

/// The deployment as the earlier build left it, at that moment.
fn found() -> Found {
    let world: Value = serde_json::from_str(WORLD).unwrap();
    let toy = Toy::changed(&[("POLICY_TOML", POLICY), ("UPSTREAM", "https://api.example")]);
    // The dice fell before, too.
    (0..10_000).for_each(|_| drop(toy.random()));
    toy.advance_millis(world["clock"].as_u64().unwrap() - START);
    for object in world["objects"].as_array().unwrap() {
        let rows = object["rows"].as_object().unwrap();
        let rows = rows.iter().map(|(key, hex)| (key.clone(), bytes(hex.as_str().unwrap()))).collect();
        let name = (object["binding"].as_str().unwrap().to_owned(), object["name"].as_str().unwrap().to_owned());
        toy.objects.borrow_mut().insert(name, Object { rows, alarm: object["alarm"].as_u64(), failed_alarms: 0 });
    }
    Found { toy, facts: world["facts"].clone() }
}

impl Found {
    fn text(&self, pointer: &str) -> String {
        self.facts.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer}")).to_owned()
    }

    fn says(&self, status: u16, text: &str) {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        *self.toy.upstream.borrow_mut() = Ok(Incoming { status, headers });
        *self.toy.upstream_body.borrow_mut() = (vec![text.as_bytes().to_vec()], Ending::Whole);
    }

    fn order(&self, once: &str) -> Answer {
        let bearer = format!("Bearer {}", self.text("/keys/live/1"));
        self.toy.send("POST", "/v1/orders", &[("authorization", &bearer), ("idempotency-key", once)], "{\"a\":1}")
    }

    fn hear(&self, talk: &str) -> Answer {
        let (conversation, secret) =
            (self.text(&format!("/{talk}/conversation")), self.text(&format!("/{talk}/secret")));
        let key = self.text(if talk == "test_talk" { "/widget/test" } else { "/widget/new" });
        let path = format!("/w/{key}/conversations/{conversation}/messages");
        self.toy.send("GET", &path, &[("origin", ORIGIN), ("authorization", &format!("Bearer {secret}"))], "")
    }

    fn get(&self, key: &str, path: &str) -> Answer {
        self.toy.server(key, "GET", path, &Value::Null)
    }
}

#[test]
fn every_credential_of_the_earlier_build_is_what_it_was() {
    let found = found();
    let toy = &found.toy;
    for name in ["live", "test"] {
        let key = found.text(&format!("/keys/{name}/1"));
        assert_eq!(toy.whoami(&key).ok(200).text_at("id"), found.text(&format!("/keys/{name}/0")));
    }
    // Both secrets of a rotation, for a day.
    for at in [1, 2] {
        toy.whoami(&found.text(&format!("/keys/rotated/{at}"))).ok(200);
    }
    toy.whoami(&found.text("/keys/dead/1")).refused(401, "revoked_credential");
    let service = found.text("/keys/service/1");
    let asks = |address| {
        toy.send(
            "GET",
            "/v1/whoami",
            &[("x-service-token", &service), ("x-service-name", "billing"), ("x-client", address)],
            "",
        )
    };
    asks("192.0.2.1").ok(200);
    asks("198.51.100.1").refused(403, "address_not_allowed");
    let deploy = |at: &str| {
        let key = format!("Convex {}", found.text(&format!("/deploy/{at}/1")));
        toy.send("GET", "/v1/whoami", &[("authorization", &key)], "")
    };
    deploy("made").ok(200);
    deploy("revoked").refused(401, "revoked_credential");
    toy.advance(86_400);
    toy.whoami(&found.text("/keys/rotated/1")).refused(401, "revoked_credential");
    toy.whoami(&found.text("/keys/rotated/2")).ok(200);
}

#[test]
fn conversations_and_records_of_the_earlier_build_are_there_and_go_on() {
    let found = found();
    let toy = &found.toy;
    let texts = |answer: Answer| -> Vec<String> {
        answer.json["items"].as_array().unwrap().iter().map(|item| item["text"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(texts(found.hear("open").ok(200)), ["first", "second", "answer"]);
    assert_eq!(texts(found.hear("test_talk").ok(200)), ["only a test"]);
    found.hear("closed").refused(401, "revoked_credential");
    let fresh = toy.open(&found.text("/widget/new"));
    toy.say(&fresh, "new").ok(201);
    let live = found.text("/keys/live/1");
    let listed = found.get(&live, "/v1/conversations").ok(200);
    assert_eq!(listed.json["items"].as_array().unwrap().len(), 3, "{}", listed.text);
    let note = found.get(&live, "/v1/records/notes/one").ok(200);
    assert_eq!(note.text, found.text("/records/now"));
    // What was written with a key is answered as it was then, and not written again.
    let bearer = format!("Bearer {live}");
    let again = toy.send(
        "PUT",
        "/v1/records/notes/one",
        &[("authorization", &bearer), ("idempotency-key", "r1")],
        "{\"text\":\"kept\",\"n\":1.50}",
    );
    assert_eq!((again.status, again.text), (201, found.text("/records/first_answer")));
    assert_eq!(found.get(&live, "/v1/records/notes/one").text, found.text("/records/now"));
    let test = found.text("/keys/test/1");
    assert_eq!(found.get(&test, "/v1/records/notes/one").ok(200).text_at("text"), "test");
    assert_eq!(found.get(&live, "/v1/records/notes").ok(200).json["items"].as_array().unwrap().len(), 2);
}

#[test]
fn writes_with_a_key_that_the_earlier_build_sent_are_not_sent_again() {
    let found = found();
    found.says(201, "{\"order\":\"another\"}");
    let sent = found.toy.forwarded.borrow().len();
    let again = found.order("answered").ok(201);
    assert_eq!(again.text, "{\"order\":7}");
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    found.order("lost").refused(409, "conflict");
    found.order("running").refused(409, "idempotency_in_progress");
    found.toy.advance(3_600);
    found.order("running").refused(409, "conflict");
    assert_eq!(found.toy.forwarded.borrow().len(), sent, "nothing went out");
    found.order("fresh").ok(201);
}

#[test]
fn tokens_that_the_earlier_build_held_stay_held_until_their_time_is_over() {
    let found = found();
    let key = found.text("/tokens/key/1");
    let left = |answer: &Answer| answer.header("x-ratelimit-remaining-tokens").unwrap().parse::<u64>().unwrap();
    let before = left(&found.toy.whoami(&key).ok(200));
    assert!(before <= 10_000, "{before}");
    let chat = found.toy.server(&key, "POST", "/v1/chat/completions", &json!({"max_tokens": 30_000}));
    chat.refused(429, "token_rate_limited");
    // Given up after a quarter of an hour, at what was held: and a window later that is over, too.
    found.toy.advance(17 * 60);
    assert_eq!(left(&found.toy.whoami(&key).ok(200)), 40_000);
}

#[test]
fn what_waited_in_the_earlier_builds_outbox_arrives_and_the_half_done_revocation_ends() {
    let found = found();
    let toy = &found.toy;
    let pending = found.text("/pending/1");
    toy.advance(120);
    toy.whoami(&pending).refused(401, "revoked_credential");
    let names = toy.admin("GET", "/v1/workspaces", &Value::Null).ok(200);
    let other = names.json["items"].as_array().unwrap().iter().find(|item| item["id"] == "other").unwrap().clone();
    assert_eq!(other["name"], "Other, renamed");
    let body = json!({"reason": "leaked", "made_until": found.text("/bulk/made_until")});
    let left = toy.admin("POST", "/v1/workspaces/bulk/credentials/revoke", &body).ok(200);
    assert_eq!(left.json["remaining"], 0);
    for key in found.facts["bulk"]["keys"].as_array().unwrap() {
        toy.whoami(key.as_str().unwrap()).refused(401, "revoked_credential");
    }
    let waiting: Vec<String> = toy
        .objects
        .borrow()
        .values()
        .flat_map(|object| object.rows.keys().filter(|key| key.starts_with("out/")).cloned().collect::<Vec<_>>())
        .collect();
    assert_eq!(waiting, Vec::<String>::new());
}

#[test]
fn the_lists_and_the_audit_of_the_earlier_build_are_whole() {
    let found = found();
    let toy = &found.toy;
    let mut ids = BTreeSet::new();
    let mut cursor = String::new();
    loop {
        let page = toy.admin("GET", &format!("/v1/credentials?workspace=bulk&limit=25{cursor}"), &Value::Null).ok(200);
        ids.extend(page.json["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        match page.json["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let made: BTreeSet<String> =
        found.facts["bulk"]["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, made);
    for path in ["/v1/audit/verify?workspace=acme", "/v1/audit/verify?workspace=bulk", "/v1/audit/verify"] {
        let verified = toy.admin("GET", path, &Value::Null).ok(200);
        assert_eq!(verified.json["valid"], true, "{path}: {}", verified.text);
        assert!(verified.json["count"].as_u64().unwrap() > 5, "{path}: {}", verified.text);
    }
}

/// Rows by object kind and the first part of their key: how many parts each has at least.
fn arity(objects: &BTreeMap<toy::Name, Object>) -> BTreeMap<(String, String), usize> {
    let mut least = BTreeMap::new();
    for ((binding, _), object) in objects {
        for (key, row) in object.rows.iter().filter(|(key, _)| !key.starts_with("out/") && !key.contains("/-")) {
            if let Cbor::Array(parts) = parse(&mut Decoder::new(row)) {
                let group = (binding.clone(), key.split(['/', '#']).next().unwrap().to_owned());
                let known = least.entry(group).or_insert(parts.len());
                *known = parts.len().min(*known);
            }
        }
    }
    least
}

#[test]
fn no_row_that_this_build_writes_lacks_a_part_that_the_earlier_build_must_read() {
    let found = found();
    let toy = &found.toy;
    let before = arity(&toy.snapshot());
    found.says(201, "{\"order\":1}");
    found.order("fresh").ok(201);
    let visitor = toy.open(&found.text("/widget/new"));
    toy.say(&visitor, "new").ok(201);
    let (id, key) = toy.server_key("acme", "live", &json!({"scopes": ["admin"]}));
    toy.whoami(&key).ok(200);
    toy.admin("POST", &format!("/v1/credentials/{id}/rotate"), &json!({})).ok(201);
    toy.admin("PATCH", "/v1/workspaces/acme", &json!({"name": "Again"})).ok(200);
    toy.server(&key, "PUT", "/v1/records/notes/new", &json!({"a": 1})).ok(201);
    toy.advance(7_200);
    let after = arity(&toy.snapshot());
    for (group, parts) in &before {
        if let Some(now) = after.get(group) {
            // A list may shrink; a record has a fixed number of parts, which only grows.
            let is_list = matches!(group.1.as_str(), "identity-secrets" | "usage");
            assert!(is_list || now >= parts, "{group:?} has {now} parts, and had {parts}");
        }
    }
}

#[test]
fn what_this_build_cannot_know_it_refuses_and_loses_nothing() {
    let found = found();
    let tiers = &found.toy.config.as_ref().unwrap().policy.tiers;
    // A command of a later build, with a number that nobody has today.
    let command = [0x82, 0x18, 0xC8, 0x61, b'a'];
    let rows = toy::Stored::default();
    let decided = host::handle(&Workspace, &rows, &command, claviger::codec::time::Timestamp(START), tiers, None);
    assert!(decided.changes.rows.is_empty());
    assert!(!claviger::object::outbox::is_acknowledged(&decided.reply), "it is told again until somebody knows it");
}
