//! The road when something is broken: objects that do not answer, storage that fails, and rows that cannot be read.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod toy;

use serde_json::{Value, json};
use toy::{Answer, Fault, Name, ORIGIN, Toy};

fn object(binding: &str, name: &str) -> Name {
    (binding.to_owned(), name.to_owned())
}

fn break_it(toy: &Toy, name: &Name, fault: Fault) {
    toy.faults.borrow_mut().insert(name.clone(), fault);
}

fn mend(toy: &Toy) {
    toy.faults.borrow_mut().clear();
}

fn get(toy: &Toy, path: &str) -> Answer {
    toy.admin("GET", path, &Value::Null)
}

/// Replaces a row by bytes that nobody wrote.
fn spoil(toy: &Toy, name: &Name, row: &str) {
    let mut objects = toy.objects.borrow_mut();
    let rows = &mut objects.get_mut(name).unwrap().rows;
    let key = rows.keys().find(|key| key.starts_with(row)).unwrap_or_else(|| panic!("no {row}")).clone();
    rows.insert(key, vec![0xff, 0x00, 0x13]);
}

/// The shard of the key that admits `visitor`s without a client address.
fn shard(toy: &Toy, id: &str) -> Name {
    let objects = toy.objects.borrow();
    let used = objects
        .iter()
        .find(|((_, name), object)| name.starts_with(id) && object.rows.keys().any(|row| row.starts_with("window/")));
    used.unwrap().0.clone()
}

#[track_caller]
fn unavailable(answer: &Answer, pending: bool) {
    answer.refused(503, "unavailable");
    assert_eq!(answer.json.get("pending").is_some(), pending, "{}", answer.text);
    assert!(answer.header("retry-after").is_some());
}

fn from(toy: &Toy, key: &str, address: &str) -> Answer {
    toy.send("POST", &format!("/w/{key}/conversations"), &[("origin", ORIGIN), ("x-client", address)], "")
}

#[test]
fn a_change_that_one_shard_does_not_learn_is_pending_and_reaches_it_later() {
    let toy = Toy::new("default");
    let (id, key) = toy.shop();
    toy.open(&key);
    let deaf = shard(&toy, &id);
    break_it(&toy, &deaf, Fault::Dead);
    let path = format!("/v1/credentials/{id}/revoke");
    unavailable(&toy.admin("POST", &path, &json!({})), true);
    assert_eq!(get(&toy, &format!("/v1/credentials/{id}")).ok(200).json["status"], "revoked", "the change is stored");

    // The other shards were not held up.
    let answers: Vec<u16> = (0..=255).map(|number| from(&toy, &key, &format!("192.0.{number}.1")).status).collect();
    assert!(
        answers.iter().all(|status| matches!(status, 401 | 503)) && answers.contains(&401) && answers.contains(&503)
    );
    unavailable(&toy.admin("POST", &path, &json!({})), true);
    toy.advance(30);
    mend(&toy);
    from(&toy, &key, "").ok(201);
    toy.advance(5);
    from(&toy, &key, "").refused(401, "revoked_credential");
    assert_eq!(toy.admin("POST", &path, &json!({})).ok(200).json["status"], "revoked");
    let waiting = toy
        .objects
        .borrow()
        .values()
        .flat_map(|object| object.rows.keys().cloned())
        .filter(|row| row.starts_with("out/"))
        .count();
    assert_eq!(waiting, 0);
}

#[test]
fn messages_for_one_shard_arrive_in_order_also_late() {
    let toy = Toy::new("default");
    let (id, key) = toy.shop();
    toy.open(&key);
    break_it(&toy, &shard(&toy, &id), Fault::Dead);
    let change = |body: Value| toy.admin("PATCH", &format!("/v1/credentials/{id}"), &body);
    unavailable(&change(json!({"origins": ["https://one.example"]})), true);
    unavailable(&change(json!({"origins": ["https://two.example"]})), true);
    mend(&toy);
    change(json!({"origins": [ORIGIN]})).ok(200);
    from(&toy, &key, "").ok(201);
    toy.advance(60);
    from(&toy, &key, "").ok(201);
}

#[test]
fn a_workspace_is_pending_until_its_deployment_knows_it() {
    let toy = Toy::new("default");
    break_it(&toy, &object("DEPLOYMENT_OBJECT", "local"), Fault::Dead);
    unavailable(&toy.admin("POST", "/v1/workspaces", &json!({"name": "n", "id": "acme"})), true);
    mend(&toy);
    assert_eq!(get(&toy, "/v1/workspaces").ok(200).json["items"], json!([]));
    toy.advance(1);
    assert_eq!(get(&toy, "/v1/workspaces").ok(200).json["items"][0]["id"], "acme");
}

#[test]
fn a_visitor_does_not_wait_for_the_workspaces_list() {
    let toy = Toy::new("default");
    let (_, key) = toy.shop();
    break_it(&toy, &object("WORKSPACE", "acme"), Fault::Dead);
    let visitor = toy.open(&key);
    toy.say(&visitor, "anybody?").ok(201);
    mend(&toy);
    assert_eq!(get(&toy, "/v1/conversations?workspace=acme").ok(200).json["items"], json!([]));
    toy.advance(6);
    assert_eq!(
        get(&toy, "/v1/conversations?workspace=acme").ok(200).json["items"][0]["id"],
        visitor.conversation.as_str()
    );
}

#[test]
fn where_an_object_does_not_answer_nobody_is_admitted() {
    let toy = Toy::new("default");
    let visitor = toy.conversation();
    let id = get(&toy, "/v1/credentials?workspace=acme").ok(200).json["items"][0]["id"].as_str().unwrap().to_owned();
    let shard = shard(&toy, &id);
    for fault in [Fault::Dead, Fault::NoReads] {
        break_it(&toy, &shard, fault);
        for answer in [
            toy.visit(&visitor, "GET", "messages", ""),
            toy.say(&visitor, "hi"),
            toy.visit(&visitor, "POST", "close", ""),
        ] {
            unavailable(&answer, false);
            assert!(answer.json.get("items").is_none());
        }
        mend(&toy);
    }
    let key = toy.deploy_key();
    let dk = toy.send("GET", "/v1/whoami", &[("authorization", &key)], "").ok(200).text_at("id");
    for fault in [Fault::Dead, Fault::NoReads] {
        break_it(&toy, &object("CREDENTIAL", &dk), fault);
        unavailable(&toy.send("GET", "/v1/whoami", &[("authorization", &key)], ""), false);
    }
    assert!(toy.hear(&visitor).is_empty());
}

#[test]
fn what_cannot_be_written_did_not_happen() {
    let toy = Toy::new("default");
    let visitor = toy.conversation();
    toy.say(&visitor, "before").ok(201);
    let id = get(&toy, "/v1/credentials?workspace=acme").ok(200).json["items"][0]["id"].as_str().unwrap().to_owned();
    let conversation = object("CONVERSATION", &visitor.conversation);
    let workspace = object("WORKSPACE", "acme");
    for fault in [Fault::NoReads, Fault::NoWrites] {
        break_it(&toy, &conversation, fault);
        let before = toy.snapshot()[&conversation].clone();
        for (tail, body) in [("messages", "{\"text\":\"lost\"}"), ("secret/rotate", ""), ("close", "")] {
            unavailable(&toy.visit(&visitor, "POST", tail, body), false);
        }
        assert!(toy.snapshot()[&conversation] == before);
        mend(&toy);
        break_it(&toy, &workspace, fault);
        let mut before = toy.snapshot();
        before.remove(&object("DEPLOYMENT_OBJECT", "local"));
        let create =
            json!({"kind": "widget_key", "workspace": "acme", "environment": "live", "name": "n", "origins": [ORIGIN]});
        for (method, path, body) in [
            ("POST", "/v1/credentials".to_owned(), create),
            ("PATCH", format!("/v1/credentials/{id}"), json!({"name": "lost"})),
            ("POST", format!("/v1/credentials/{id}/rotate"), json!({"overlap_seconds": 0})),
            ("POST", format!("/v1/credentials/{id}/revoke"), json!({})),
        ] {
            let answer = toy.admin(method, &path, &body);
            unavailable(&answer, false);
            assert!(answer.secrets().is_empty());
        }
        let mut after = toy.snapshot();
        after.retain(|name, _| before.contains_key(name));
        assert!(after == before, "nothing but the deploy keys' own objects, and the list of them");
        mend(&toy);
    }
    assert_eq!(toy.hear(&visitor), ["before"]);
    toy.say(&visitor, "after").ok(201);
}

#[test]
fn an_unreadable_record_is_closed_and_nothing_beside_it() {
    let toy = Toy::new("default");
    let (one, key) = toy.shop();
    let (other, other_key) = toy.widget_key("acme", "live", &[ORIGIN]);
    let (visitor, neighbour) = (toy.open(&key), toy.open(&key));
    toy.say(&visitor, "hi").ok(201);
    spoil(&toy, &object("CONVERSATION", &visitor.conversation), "record");
    unavailable(&toy.visit(&visitor, "GET", "messages", ""), false);
    unavailable(&toy.say(&visitor, "hi"), false);
    unavailable(&get(&toy, &format!("/v1/conversations/{}/messages", visitor.conversation)), false);
    toy.say(&neighbour, "hi").ok(201);

    spoil(&toy, &object("WORKSPACE", "acme"), &format!("credential/{one}"));
    unavailable(&get(&toy, &format!("/v1/credentials/{one}")), false);
    unavailable(&toy.admin("POST", &format!("/v1/credentials/{one}/revoke"), &json!({})), false);
    get(&toy, &format!("/v1/credentials/{other}")).ok(200);
    from(&toy, &other_key, "").ok(201);
    from(&toy, &key, "").ok(201);
    let shard = shard(&toy, &other);
    spoil(&toy, &shard, "record");
    let statuses: Vec<u16> =
        (0..64).map(|number| from(&toy, &other_key, &format!("192.0.{number}.1")).status).collect();
    assert!(statuses.contains(&201) && statuses.contains(&503), "{statuses:?}");
}

#[test]
fn an_unreadable_row_does_not_close_the_listing_of_its_neighbours() {
    let toy = Toy::new("default");
    let (one, key) = toy.shop();
    let (other, _) = toy.widget_key("acme", "live", &[ORIGIN]);
    let (visitor, neighbour) = (toy.open(&key), toy.open(&key));
    let workspace = object("WORKSPACE", "acme");
    spoil(&toy, &workspace, &format!("credential/{one}"));
    spoil(&toy, &workspace, &format!("conversation/{}", visitor.conversation));
    let listed = get(&toy, "/v1/credentials?workspace=acme").ok(200);
    assert_eq!(listed.json["items"][0]["id"], other.as_str());
    let listed = get(&toy, "/v1/conversations?workspace=acme").ok(200);
    assert_eq!(listed.json["items"][0]["id"], neighbour.conversation.as_str());
}

#[test]
fn an_unreadable_row_does_not_keep_an_object_from_delivering() {
    let toy = Toy::new("default");
    let (id, key) = toy.shop();
    let visitor = toy.open(&key);
    // The conversation has something to tell, and its own record cannot be read when the alarm rings.
    break_it(&toy, &object("WORKSPACE", "acme"), Fault::Dead);
    toy.visit(&visitor, "POST", "close", "").ok(200);
    mend(&toy);
    spoil(&toy, &object("CONVERSATION", &visitor.conversation), "record");
    toy.advance(120);
    assert_eq!(get(&toy, "/v1/conversations?workspace=acme").ok(200).json["items"][0]["status"], "closed");
    // A shard with one unreadable window still sweeps and rings without failing.
    let shard = shard(&toy, &id);
    spoil(&toy, &shard, "window/");
    toy.advance(2 * 3_600);
    assert_eq!(toy.objects.borrow()[&shard].failed_alarms, 0);
}
