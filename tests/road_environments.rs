//! An environment is part of every key: whatever `test` credentials do, `live` ones are answered the same.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod toy;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use claviger::{
    admission::deploy_key::DeployText,
    codec::cbor,
    deploy_keys::{
        self,
        store::{Ended, Seen},
    },
    gateway::{store_answers::MAX_ROWS, store_records::MAX_RECORDS},
    machines::deployment::Deployment,
};
use serde_json::{Value, json};
use toy::{Answer, Name, ORIGIN, Toy, Visitor};

const POLICY: &str = r#"
brand = "clv"
[scopes]
"records:read" = "Read records"
"records:write" = "Write records"
admin = { says = "All", implies = "*" }
[widget]
[[routes]]
match = "GET /v1/records/{collection}"
scope = "records:read"
accept = ["server_key", "deploy_key"]
to = "records"
[[routes]]
match = "GET /v1/records/{collection}/{id}"
scope = "records:read"
accept = ["server_key"]
to = "records"
[[routes]]
match = "PUT /v1/records/{collection}/{id}"
scope = "records:write"
accept = ["server_key", "deploy_key"]
to = "records"
idempotency = "accepted"
[[routes]]
match = "DELETE /v1/records/{collection}/{id}"
scope = "records:write"
accept = ["server_key"]
to = "records"
idempotency = "accepted"
"#;

fn home() -> Name {
    ("WORKSPACE".to_owned(), "acme".to_owned())
}

/// One environment of a workspace, and all that calls in it.
struct Side {
    environment: &'static str,
    admin: String,
    widget: String,
    /// What it has made so far.
    credentials: Vec<String>,
    visitors: Vec<Visitor>,
    cursors: Vec<String>,
}

/// Dice of a run: the same ones for the same seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }
}

fn world() -> Toy {
    let toy = Toy::changed(&[("POLICY_TOML", POLICY)]);
    toy.workspace("acme");
    toy
}

fn admin(toy: &Toy, environment: &str) -> String {
    toy.server_key("acme", environment, &json!({"scopes": ["admin"]})).1
}

fn side(toy: &Toy, environment: &'static str) -> Side {
    let widget = toy.widget_key("acme", environment, &[ORIGIN]).1;
    let admin = admin(toy, environment);
    Side { environment, admin, widget, credentials: Vec::new(), visitors: Vec::new(), cursors: Vec::new() }
}

impl Side {
    /// One call, by these dice.
    fn call(&mut self, toy: &Toy, dice: &mut Dice) -> Answer {
        let (kind, one) = (dice.next(17), dice.next(5));
        let environment = self.environment;
        let server = |method: &str, path: &str, body: &Value| toy.server(&self.admin, method, path, body);
        let credential = || self.credentials.get(one).or(self.credentials.last()).cloned().unwrap_or_default();
        let answer = match kind {
            0 | 1 => server(
                "POST",
                "/v1/credentials",
                &json!({"kind": "server_key", "environment": environment, "name": "n", "scopes": ["records:read"],
                        "expires_in": if one == 0 { 30 } else { 86_400 }}),
            ),
            2 => server(
                "POST",
                "/v1/credentials",
                &json!({"kind": "widget_key", "environment": environment, "name": "n", "origins": [ORIGIN]}),
            ),
            3 => server("GET", &format!("/v1/credentials?limit={}", one + 1), &Value::Null),
            4 => {
                let cursor = self.cursors.last().cloned().unwrap_or_default();
                server("GET", &format!("/v1/credentials?limit={}&cursor={cursor}", one + 1), &Value::Null)
            }
            5 => server("GET", "/v1/credentials?status=revoked&limit=3", &Value::Null),
            6 => server("GET", &format!("/v1/credentials/{}", credential()), &Value::Null),
            7 => server("POST", &format!("/v1/credentials/{}/revoke", credential()), &json!({})),
            8 => server("POST", &format!("/v1/credentials/{}/rotate", credential()), &json!({})),
            9 if one == 0 => server(
                "POST",
                "/v1/workspaces/acme/credentials/revoke",
                &json!({"created_by": "server_key:nobody", "reason": format!("{one}")}),
            ),
            9 => server(
                "POST",
                "/v1/workspaces/acme/credentials/revoke",
                &json!({"created_by": format!("server_key:{one}"), "reason": environment}),
            ),
            10 => server("GET", "/v1/conversations?limit=2", &Value::Null),
            11 => toy.send(
                "POST",
                &format!("/w/{}/conversations", self.widget),
                &[("origin", ORIGIN), ("x-client", &format!("10.0.{one}.1"))],
                "{}",
            ),
            12 => match self.visitors.get(one) {
                Some(visitor) => toy.say(visitor, "hello"),
                None => server("GET", "/v1/whoami", &Value::Null),
            },
            13 | 14 => server("PUT", &format!("/v1/records/notes/{one}"), &json!({"text": "x".repeat(dice.next(40))})),
            15 => server("GET", "/v1/records/notes?limit=2", &Value::Null),
            _ => server("DELETE", &format!("/v1/records/notes/{one}"), &Value::Null),
        };
        self.apply(&answer);
        answer
    }

    fn apply(&mut self, answer: &Answer) {
        if answer.status == 201 && answer.json["kind"].is_string() {
            self.credentials.push(answer.text_at("id"));
        }
        if let Some(conversation) = answer.json["conversation"].as_str() {
            self.visitors.push(Visitor {
                key: self.widget.clone(),
                conversation: conversation.to_owned(),
                secret: answer.text_at("history_secret"),
            });
        }
        if let Some(cursor) = answer.json["next_cursor"].as_str() {
            self.cursors.push(cursor.to_owned());
        }
    }
}

/// An answer without what is drawn: ids, secrets, hints.
fn told(answer: &Answer) -> Value {
    fn mask(value: &mut Value, name: &str) {
        let is_drawn =
            ["id", "secret", "hint", "created_by", "replaces", "conversation", "history_secret", "next_cursor"];
        match value {
            Value::String(text) if is_drawn.contains(&name) => *text = "drawn".to_owned(),
            Value::Object(members) => members.iter_mut().for_each(|(name, value)| mask(value, name)),
            Value::Array(items) => items.iter_mut().for_each(|item| mask(item, name)),
            _ => {}
        }
    }
    let mut told = answer.json.clone();
    mask(&mut told, "");
    let headers: Vec<String> = answer
        .headers
        .iter()
        .filter(|(name, _)| !name.contains("id"))
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    json!([answer.status, told, headers])
}

/// What `live` calls are answered; between them come so many `test` calls at a time.
fn live_answers(seed: u64, others: usize, prepare: impl Fn(&Toy)) -> Vec<Value> {
    let toy = world();
    let (mut live, mut test) = (side(&toy, "live"), side(&toy, "test"));
    prepare(&toy);
    let (mut dice, mut other_dice) = (Dice(seed), Dice(seed ^ 0xABCD));
    let mut answers = Vec::new();
    for _ in 0..60 {
        for _ in 0..others {
            match other_dice.next(8) {
                0 => drop(toy.admin(
                    "PUT",
                    "/v1/records/notes/1?workspace=acme&environment=test",
                    &json!({"text": "from the operator"}),
                )),
                1 => drop(toy.admin(
                    "POST",
                    "/v1/workspaces/acme/credentials/revoke",
                    &json!({"environment": "test", "created_by": "server_key:x", "reason": "tried"}),
                )),
                2 => drop(toy.admin("GET", "/v1/credentials?workspace=acme&environment=test", &Value::Null)),
                _ => drop(test.call(&toy, &mut other_dice)),
            }
        }
        answers.push(told(&live.call(&toy, &mut dice)));
        toy.advance(7);
    }
    answers
}

#[test]
fn a4_a_random_run_of_test_calls_between_live_calls_changes_no_live_answer() {
    for seed in 0..6 {
        let alone = live_answers(seed, 0, |_| {});
        let among = live_answers(seed, 3, |_| {});
        for (number, (alone, among)) in alone.iter().zip(&among).enumerate() {
            assert_eq!(alone, among, "seed {seed}, call {number}");
        }
    }
}

/// The same where `test` has used up all of its room: `live` has its own.
#[test]
fn a4_nor_does_it_where_test_has_no_room_left() {
    let fill = |toy: &Toy| {
        let mut objects = toy.objects.borrow_mut();
        let rows = &mut objects.get_mut(&home()).unwrap().rows;
        // Rows as an earlier build leaves them: a total, and no word of whose.
        let row = cbor::write(&json_record("x"));
        for number in 0..200 {
            rows.insert(format!("record/test/notes/f{number:06}"), row.clone());
        }
        rows.insert("record-use".to_owned(), cbor::write(&(200_usize, 200_usize)));
    };
    for seed in 100..102 {
        assert_eq!(live_answers(seed, 0, |_| {}), live_answers(seed, 3, fill), "seed {seed}");
    }
}

fn json_record(text: &str) -> claviger::gateway::store_records::Record {
    claviger::gateway::store_records::Record {
        id: claviger::protocol::record_name::RecordId::parse("f").unwrap(),
        created_at: claviger::codec::time::Timestamp(toy::START),
        updated_at: claviger::codec::time::Timestamp(toy::START),
        version: 1,
        text: text.to_owned(),
        serial: None,
    }
}

#[test]
fn a4_test_records_fill_the_room_of_test_records_alone() {
    let toy = world();
    let (live, test) = (admin(&toy, "live"), admin(&toy, "test"));
    let put = |key: &str, id: &str| toy.server(key, "PUT", &format!("/v1/records/notes/{id}"), &json!({"a": 1}));
    put(&test, "first").ok(201);
    {
        let mut objects = toy.objects.borrow_mut();
        let rows = &mut objects.get_mut(&home()).unwrap().rows;
        let known = (1_usize, rows["record/test/notes/first"].len());
        let full = (MAX_RECORDS, known.1);
        // As it is once so many were written.
        rows.insert("record-use".to_owned(), cbor::write(&full));
        rows.insert("record-use-test".to_owned(), cbor::write(&Room { test: full, total: full, counted: None }));
    }
    put(&test, "second").refused(409, "conflict");
    put(&live, "first").ok(201);
    put(&live, "second").ok(201);
    // What is deleted makes room, in its own environment.
    toy.server(&test, "DELETE", "/v1/records/notes/first", &Value::Null).ok(204);
    put(&test, "second").ok(201);
    put(&test, "third").refused(409, "conflict");
    put(&live, "third").ok(201);
}

#[test]
fn a4_how_long_live_waits_for_room_is_not_told_by_the_idempotency_keys_of_test() {
    let toy = world();
    let (live, test) = (admin(&toy, "live"), admin(&toy, "test"));
    let put = |key: &str, name: &str| {
        let headers = [("authorization", format!("Bearer {key}")), ("idempotency-key", name.to_owned())];
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        toy.send("PUT", "/v1/records/notes/one", &headers, "{}")
    };
    for number in 0..20 {
        put(&test, &format!("t{number}"));
    }
    toy.advance(1_800);
    put(&live, "first").ok(201);
    {
        let mut objects = toy.objects.borrow_mut();
        let rows = &mut objects.get_mut(&home()).unwrap().rows;
        rows.insert("once-use/live".to_owned(), cbor::write(&(MAX_ROWS, 0_usize)));
    }
    let full = put(&live, "second");
    full.refused(429, "rate_limited");
    assert_eq!(full.header("retry-after"), Some("86400"), "of the first key of live, which came half an hour later");
    // And what is over in live makes room there, behind whatever of test is over too.
    toy.advance(86_400);
    put(&live, "third").ok(200);
    let left = toy.objects.borrow()[&home()].rows.keys().filter(|key| key.starts_with("once-at-live/")).count();
    assert_eq!(left, 1, "the first is forgotten under both names");
}

/// The row, as it is written.
struct Room {
    test: (usize, usize),
    total: (usize, usize),
    counted: Option<String>,
}

claviger::wire!(Room { test, total, counted });

#[test]
fn a4_an_entity_tag_of_live_tells_nothing_of_what_test_wrote() {
    let tags = |others: usize| {
        let toy = world();
        let (live, test) = (admin(&toy, "live"), admin(&toy, "test"));
        let put = |key: &str, id: &str| toy.server(key, "PUT", &format!("/v1/records/notes/{id}"), &json!({"a": 1}));
        (0..3)
            .map(|number| {
                (0..others).for_each(|other| drop(put(&test, &format!("{number}-{other}")).ok(201)));
                put(&live, &format!("n{number}")).ok(201).header("etag").unwrap().to_owned()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(tags(0), tags(5));
}

fn cursor(answer: &Answer) -> String {
    answer.text_at("next_cursor")
}

fn ids(answer: &Answer) -> Vec<String> {
    answer.json["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a9_a_cursor_names_nothing_that_its_caller_was_not_shown_and_nobody_can_make_one() {
    let toy = world();
    let (live, test) = (admin(&toy, "live"), admin(&toy, "test"));
    for environment in ["live", "test", "live", "live", "test", "live", "test", "live"] {
        toy.advance(1);
        toy.server_key("acme", environment, &Value::Null);
        let widget = toy.widget_key("acme", environment, &[ORIGIN]).1;
        toy.open(&widget);
    }
    for list in ["/v1/credentials", "/v1/conversations"] {
        let get = |key: &str, query: &str| toy.server(key, "GET", &format!("{list}?{query}"), &Value::Null);
        let all: Vec<String> = ids(&get(&test, "limit=100").ok(200));
        let first = get(&test, "limit=1").ok(200);
        let text = cursor(&first);
        let plain = String::from_utf8_lossy(&Base64UrlUnpadded::decode_vec(&text[3..]).unwrap()).into_owned();
        assert!(plain.ends_with(&ids(&first)[0]), "the last one that was shown: {plain}");
        let rest = get(&test, &format!("limit=100&cursor={text}")).ok(200);
        assert_eq!(ids(&rest), all[1..]);
        // Of this list, with these filters, of this environment alone; and unchanged.
        let mut changed = text.clone().into_bytes();
        *changed.last_mut().unwrap() = if changed.ends_with(b"A") { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        for (key, query) in [
            (&live, format!("cursor={text}")),
            (&test, format!("cursor={changed}")),
            (&test, format!("cursor={}", &text[..text.len() - 2])),
            (&test, "cursor=c1.".to_owned()),
            (&test, "cursor=c1.AAAA".to_owned()),
        ] {
            let answer = get(key, &query);
            answer.refused(400, "invalid_request");
            assert!(answer.text_at("fix").contains("next_cursor of the page before"), "{}", answer.text);
        }
        let other = if list == "/v1/credentials" { "/v1/conversations" } else { "/v1/credentials" };
        toy.server(&test, "GET", &format!("{other}?cursor={text}"), &Value::Null).refused(400, "invalid_request");
        // As an earlier version told it: an id, of what the caller may see.
        let own = ids(&first).remove(0);
        assert_eq!(ids(&get(&test, &format!("limit=100&cursor={own}")).ok(200)), all[1..]);
        let theirs = ids(&get(&live, "limit=1").ok(200)).remove(0);
        get(&test, &format!("cursor={theirs}")).refused(400, "invalid_request");
        let nobody = format!("{}0000000000000_acme", &own[..own.len() - 18]);
        get(&test, &format!("cursor={nobody}")).refused(400, "invalid_request");
    }
    let filtered = toy.server(&test, "GET", "/v1/credentials?kind=server_key&limit=1", &Value::Null).ok(200);
    let elsewhere = format!("/v1/credentials?kind=widget_key&cursor={}", cursor(&filtered));
    toy.server(&test, "GET", &elsewhere, &Value::Null).refused(400, "invalid_request");
    let records = |key: &str, query: &str| toy.server(key, "GET", &format!("/v1/records/{query}"), &Value::Null);
    for id in ["a", "b", "c"] {
        toy.server(&test, "PUT", &format!("/v1/records/notes/{id}"), &json!({})).ok(201);
    }
    let page = records(&test, "notes?limit=1").ok(200);
    records(&test, &format!("notes?cursor={}", cursor(&page))).ok(200);
    records(&live, &format!("notes?cursor={}", cursor(&page))).refused(400, "invalid_request");
    records(&test, &format!("others?cursor={}", cursor(&page))).refused(400, "invalid_request");
}

/// Every page of every environment, one by one: nothing is left out, nothing comes twice, and nothing is another's.
#[test]
fn a9_pages_of_one_item_show_all_that_there_is() {
    let toy = world();
    let keys = [("live", admin(&toy, "live")), ("test", admin(&toy, "test"))];
    for number in 0..12 {
        let environment = if number % 3 == 0 { "test" } else { "live" };
        let widget = toy.widget_key("acme", environment, &[ORIGIN]).1;
        toy.open(&widget);
        if number % 4 == 0 {
            toy.advance(1);
        }
    }
    for (environment, key) in &keys {
        for (list, count) in [
            ("/v1/credentials", if *environment == "test" { 5 } else { 9 }),
            ("/v1/conversations", if *environment == "test" { 4 } else { 8 }),
        ] {
            let (mut found, mut query) = (Vec::new(), String::new());
            loop {
                let page = toy.server(key, "GET", &format!("{list}?limit=1{query}"), &Value::Null).ok(200);
                for item in page.json["items"].as_array().unwrap() {
                    assert_eq!(item["environment"], *environment);
                }
                found.extend(ids(&page));
                let Some(next) = page.json["next_cursor"].as_str() else { break };
                query = format!("&cursor={next}");
            }
            assert_eq!(found.len(), count, "{list} of {environment}");
            found.sort();
            found.dedup();
            assert_eq!(found.len(), count);
        }
    }
}

/// Conversations that an earlier build noted stand in no index.
#[test]
fn a4_conversations_of_an_earlier_build_are_listed_while_they_are_indexed_and_afterwards() {
    let toy = world();
    let test = admin(&toy, "test");
    for environment in ["test", "live", "live", "test"] {
        toy.advance(1);
        let widget = toy.widget_key("acme", environment, &[ORIGIN]).1;
        toy.open(&widget);
    }
    let list = || ids(&toy.server(&test, "GET", "/v1/conversations", &Value::Null).ok(200));
    let all = list();
    assert_eq!(all.len(), 2);
    let unknow = |with_state: bool| {
        let mut objects = toy.objects.borrow_mut();
        objects
            .get_mut(&home())
            .unwrap()
            .rows
            .retain(|key, _| !(key.starts_with("conversation-of/") || with_state && key == "conversation-index"));
    };
    unknow(true);
    assert_eq!(list(), all);
    toy.advance(10);
    assert_eq!(list(), all);
    // One that the earlier build notes meanwhile.
    unknow(false);
    assert_eq!(list(), all);
    toy.advance(2 * 86_400);
    assert_eq!(list(), all);
    let rows = toy.snapshot()[&home()].rows.clone();
    assert_eq!(rows.keys().filter(|key| key.starts_with("conversation-of/")).count(), 4);
}

#[test]
fn a14_a_list_shows_the_last_use_as_the_keys_own_objects_know_it() {
    let toy = world();
    let (id, key) = toy.server_key("acme", "live", &Value::Null);
    toy.whoami(&key).ok(200);
    toy.advance(3_600);
    toy.whoami(&key).ok(200);
    let at = claviger::codec::time::Timestamp(toy.now_millis()).rfc3339();
    let listed = || {
        let page = toy.admin("GET", "/v1/credentials?workspace=acme&limit=100", &Value::Null).ok(200);
        let item = page.json["items"].as_array().unwrap().iter().find(|item| item["id"] == id.as_str()).cloned();
        (item.unwrap()["last_used_at"].clone(), page.rounds)
    };
    assert_eq!(listed().0, at);
    let read = || toy.admin("GET", &format!("/v1/credentials/{id}"), &Value::Null).ok(200).json["last_used_at"].clone();
    assert_eq!(read(), at);
    for _ in 0..60 {
        toy.server_key("acme", "live", &Value::Null);
    }
    let rounds = listed().1;
    assert!(rounds <= 4, "all at once, and not one after the other: {rounds}");
    // One that does not answer is shown as it was last told of.
    let object = ("CREDENTIAL".to_owned(), format!("sk_live_{}", &key["clv_live_".len()..][..8]));
    toy.faults.borrow_mut().insert(object, toy::Fault::Dead);
    assert_eq!(listed().0, Value::Null);
    toy.faults.borrow_mut().clear();
    toy.advance(7 * 3_600);
    assert_eq!(listed().0, at);
    let widget = toy.widget_key("acme", "live", &[ORIGIN]);
    toy.open(&widget.1);
    let read = toy.admin("GET", &format!("/v1/credentials/{}", widget.0), &Value::Null).ok(200);
    assert!(read.json["last_used_at"].is_string());
}

/// What is told once a day is known anew to whoever asks the credential's own objects: of every kind, uses and sightings.
#[test]
fn a14_whoever_is_told_once_a_day_is_told_no_more_and_shows_what_is_so_all_the_same() {
    let toy = world();
    let at = || json!(claviger::codec::time::Timestamp(toy.now_millis()).rfc3339());
    let read = |id: &str| toy.admin("GET", &format!("/v1/credentials/{id}"), &Value::Null).ok(200);
    // Of a widget key a list says what the workspace was told: it has sixteen objects.
    let (id, key) = toy.widget_key("acme", "live", &[ORIGIN]);
    toy.open(&key);
    let first = at();
    toy.advance(2 * 3_600);
    toy.open(&key);
    let page = toy.admin("GET", "/v1/credentials?workspace=acme&limit=100", &Value::Null).ok(200);
    let item = page.json["items"].as_array().unwrap().iter().find(|item| item["id"] == id.as_str()).cloned();
    assert_eq!(item.unwrap()["last_used_at"], first);
    assert_eq!(read(&id).json["last_used_at"], at());
    // A server key in a browser.
    let (id, key) = toy.server_key("acme", "live", &Value::Null);
    for _ in 0..2 {
        toy.advance(3_600);
        let headers = [("origin", ORIGIN), ("authorization", &*format!("Bearer {key}"))];
        toy.send("GET", "/v1/whoami", &headers, "").refused(403, "server_key_in_browser");
    }
    assert_eq!(read(&id).json["seen_in_browser"]["at"], at());
    // A deploy key; those that are made offline take no room of those that are made here.
    let order = json!({"kind": "deploy_key", "stage": "dev", "name": "ci"});
    let made = toy.admin("POST", "/v1/credentials", &order).ok(201);
    let (id, key) = (made.text_at("id"), format!("Convex {}", made.text_at("secret")));
    let whoami = || drop(toy.send("GET", "/v1/whoami", &[("authorization", &key)], "").ok(200));
    whoami();
    let first = at();
    toy.advance(3_600);
    whoami();
    assert_eq!(read(&id).json["last_used_at"], at());
    toy.faults.borrow_mut().insert(("CREDENTIAL".to_owned(), id.clone()), toy::Fault::Dead);
    assert_eq!(read(&id).json["last_used_at"], first);
    toy.faults.borrow_mut().clear();
    let list = ("DEPLOYMENT_OBJECT".to_owned(), "local".to_owned());
    assert_eq!(toy.snapshot()[&list].rows["deploy-key-count"], cbor::write(&1_usize));
}

/// While nobody knows yet whose an earlier build's records are, there is room for both.
#[test]
fn a4_records_that_are_not_counted_yet_take_no_room_of_live_ones() {
    let toy = world();
    let live = admin(&toy, "live");
    {
        let mut objects = toy.objects.borrow_mut();
        let rows = &mut objects.get_mut(&home()).unwrap().rows;
        for number in 0..100 {
            rows.insert(format!("record/test/notes/f{number:06}"), cbor::write(&json_record("x")));
        }
        rows.insert("record-use".to_owned(), cbor::write(&(MAX_RECORDS + 50, 100_usize)));
    }
    toy.server(&live, "PUT", "/v1/records/notes/first", &json!({"a": 1})).ok(201);
}

/// The report comes, and a rotation right after it was looked up: the successor lives, whichever came first.
#[test]
fn a16_a_leak_report_ends_no_successor_that_was_made_between_its_hops() {
    for hops in 0..4 {
        let toy = world();
        leaks::publish(&toy);
        let order = json!({"kind": "deploy_key", "stage": "dev", "name": "ci"});
        let made = toy.admin("POST", "/v1/credentials", &order).ok(201);
        let (id, old) = (made.text_at("id"), made.text_at("secret"));
        toy.advance(1);
        leaks::report(&toy, &[]).ok(200);
        let successor = std::rc::Rc::new(std::cell::RefCell::new(None));
        let kept = successor.clone();
        toy.after_hops(hops, move |toy| {
            let rotated = toy.admin("POST", &format!("/v1/credentials/{id}/rotate"), &json!({}));
            *kept.borrow_mut() = (rotated.status == 201).then(|| rotated.text_at("secret"));
        });
        leaks::report(&toy, &[&old]).ok(200);
        toy.advance(10);
        let whoami = |text: &str| toy.send("GET", "/v1/whoami", &[("authorization", &format!("Convex {text}"))], "");
        whoami(&old).refused(401, "revoked_credential");
        // Handed out is handed out: it works. A rotation after the end was refused.
        if let Some(successor) = successor.borrow().clone() {
            whoami(&successor).ok(200);
        }
    }
}

#[test]
fn a16_a_report_that_could_not_be_delivered_ends_the_key_when_it_comes_again() {
    let toy = world();
    leaks::publish(&toy);
    let made =
        toy.admin("POST", "/v1/credentials", &json!({"kind": "deploy_key", "stage": "dev", "name": "ci"})).ok(201);
    let (id, text) = (made.text_at("id"), made.text_at("secret"));
    leaks::report(&toy, &[]).ok(200);
    let object = ("CREDENTIAL".to_owned(), id.clone());
    toy.faults.borrow_mut().insert(object, toy::Fault::Dead);
    leaks::report(&toy, &[&text]).refused(503, "unavailable");
    toy.faults.borrow_mut().clear();
    leaks::report(&toy, &[&text]).ok(200);
    toy.send("GET", "/v1/whoami", &[("authorization", &format!("Convex {text}"))], "")
        .refused(401, "revoked_credential");
    let events = toy.admin("GET", "/v1/audit?action=deploy_key.revoke", &Value::Null).ok(200);
    assert_eq!(events.json["items"].as_array().unwrap().len(), 1, "once");
    let shown = toy.admin("GET", &format!("/v1/credentials/{id}"), &Value::Null).ok(200);
    assert_eq!(shown.json["status"], "revoked");
}

/// A deploy key that ended long ago is forgotten, and neither a use nor a report brings it back.
#[test]
fn a4_a_deploy_key_that_ended_ninety_days_ago_is_forgotten_for_good() {
    let toy = world();
    let made = toy
        .admin(
            "POST",
            "/v1/credentials",
            &json!({"kind": "deploy_key", "stage": "dev", "name": "ci", "expires_in": 366 * 86_400}),
        )
        .ok(201);
    let (id, text) = (made.text_at("id"), made.text_at("secret"));
    toy.admin("POST", &format!("/v1/credentials/{id}/revoke"), &json!({})).ok(200);
    toy.advance(91 * 86_400);
    // Whatever is made next looks after what ended.
    toy.admin("POST", "/v1/credentials", &json!({"kind": "deploy_key", "stage": "dev", "name": "next"})).ok(201);
    toy.admin("GET", &format!("/v1/credentials/{id}"), &Value::Null).refused(404, "not_found");
    let whoami = || toy.send("GET", "/v1/whoami", &[("authorization", &format!("Convex {text}"))], "");
    whoami().refused(401, "revoked_credential");
    toy.admin("POST", &format!("/v1/credentials/{id}/revoke"), &json!({})).ok(200);
    toy.advance(60);
    whoami().refused(401, "revoked_credential");
    // Nor does what its object told then, and comes only now.
    let known = claviger::value::id::CredentialId::try_from(id.clone()).unwrap();
    let at = claviger::codec::time::Timestamp(toy::START);
    let text = DeployText { serial: toy::START, expires_at: at, hint: "dev:local|clv_dk_…abcd".to_owned() };
    let seen = Seen { id: known.clone(), text, used_at: Some(at), sighting: None };
    let ended = Ended { id: known, at, why: None, report: None };
    for late in [deploy_keys::store::Command::Seen(seen), deploy_keys::store::Command::Ended(Box::new(ended))] {
        let late = claviger::machines::deployment::Command::DeployKeys(Box::new(late));
        let _ = toy.tell::<Deployment>("local", late).unwrap();
        toy.admin("GET", &format!("/v1/credentials/{id}"), &Value::Null).refused(404, "not_found");
    }
    let list = ("DEPLOYMENT_OBJECT".to_owned(), "local".to_owned());
    let rows = toy.snapshot()[&list].rows.clone();
    let left: Vec<&String> = rows.keys().filter(|key| key.contains(&id) && !key.starts_with("audit")).collect();
    assert_eq!(left, [&format!("deploy-key/-forgotten/{id}")]);
    let _ = toy.tell::<Deployment>("local", claviger::machines::deployment::Command::ListWorkspaces(None, 1)).unwrap();
}

/// Reports that GitHub signed.
mod leaks {
    use super::toy::{Answer, Toy};
    use base64ct::{Base64, Encoding as _};
    use claviger::world::fetch::Fetched;
    use p256::{
        ecdsa::{Signature, SigningKey, signature::Signer as _},
        pkcs8::EncodePublicKey as _,
    };
    use serde_json::{Value, json};

    const KEYS: &str = "https://api.github.com/meta/public_keys/secret_scanning";

    fn key() -> SigningKey {
        SigningKey::from_slice(&[7; 32]).unwrap()
    }

    pub fn publish(toy: &Toy) {
        let text = Base64::encode_string(key().verifying_key().to_public_key_der().unwrap().as_bytes());
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n");
        let keys = json!({"public_keys": [{"key_identifier": "k", "key": pem, "is_current": true}]});
        let document = Fetched { status: 200, body: keys.to_string().into_bytes() };
        toy.documents.borrow_mut().insert(KEYS.to_owned(), Ok(document));
    }

    pub fn report(toy: &Toy, tokens: &[&str]) -> Answer {
        let item =
            |token: &&str| json!({"token": token, "type": "t", "url": "https://github.com/a/b", "source": "content"});
        let body = Value::from(tokens.iter().map(item).collect::<Vec<_>>()).to_string();
        let signature: Signature = key().sign(body.as_bytes());
        let signature = Base64::encode_string(signature.to_der().as_bytes());
        let headers = [("github-public-key-identifier", "k"), ("github-public-key-signature", signature.as_str())];
        toy.send("POST", "/v1/leaks/github", &headers, &body)
    }
}
