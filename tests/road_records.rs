//! The embedded records: JSON documents per workspace and environment, and a write that happens exactly once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod toy;

use claviger::{codec::cbor, gateway, policy};
use serde_json::{Value, json};
use toy::{Answer, Fault, Name, Toy, idle};

const POLICY: &str = r#"
brand = "clv"
[scopes]
"records:read" = "Read records"
"records:write" = "Write records"
[widget]
[[routes]]
match = "GET /v1/records/{collection}"
scope = "records:read"
accept = ["server_key", "deploy_key"]
to = "records"
[[routes]]
match = "POST /v1/records/{collection}"
scope = "records:write"
accept = ["server_key", "deploy_key"]
to = "records"
idempotency = "accepted"
[[routes]]
match = "GET /v1/records/{collection}/{id}"
scope = "records:read"
accept = ["server_key", "deploy_key"]
to = "records"
[[routes]]
match = "PUT /v1/records/{collection}/{id}"
scope = "records:write"
accept = ["server_key"]
to = "records"
idempotency = "accepted"
[[routes]]
match = "DELETE /v1/records/{collection}/{id}"
scope = "records:write"
accept = ["server_key"]
to = "records"
idempotency = "accepted"
[[routes]]
match = "GET /v1/memory/{rest...}"
accept = ["server_key"]
to = "records"
[[routes]]
match = "POST /v1/memory/{rest...}"
accept = ["server_key"]
to = "records"
idempotency = "required"
"#;

/// Where writes wait for a person: nothing else writes there.
const REVIEWED: &str = "brand = \"clv\"\n[[routes]]\nmatch = \"POST /v1/plans/notes\"\naccept = [\"server_key\"]\nto = \"records\"\nreview = true\n";

fn toy() -> (Toy, String) {
    let toy = Toy::changed(&[("POLICY_TOML", POLICY)]);
    toy.workspace("acme");
    let key = toy.key_for("acme", "live");
    (toy, key)
}

impl Toy {
    fn key_for(&self, workspace: &str, environment: &str) -> String {
        self.server_key(workspace, environment, &json!({"scopes": ["records:read", "records:write"]})).1
    }

    /// A call with headers beside the credential's.
    fn with_key(&self, key: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let bearer = format!("Bearer {key}");
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend(headers);
        self.send(method, path, &all, body)
    }

    fn get(&self, key: &str, path: &str) -> Answer {
        self.with_key(key, "GET", path, &[], "")
    }

    fn post(&self, key: &str, once: &str, body: &str) -> Answer {
        self.with_key(key, "POST", "/v1/records/notes", &[("idempotency-key", once)], body)
    }

    /// What the members `text` of a page are.
    fn texts(&self, key: &str, path: &str) -> Vec<String> {
        let page = self.get(key, path).ok(200);
        page.json["items"].as_array().unwrap().iter().map(|item| item["text"].as_str().unwrap().to_owned()).collect()
    }

    fn record_rows(&self) -> usize {
        let workspace = &self.objects.borrow()[&home()];
        workspace.rows.keys().filter(|key| key.starts_with("record/")).count()
    }
}

fn home() -> Name {
    ("WORKSPACE".to_owned(), "acme".to_owned())
}

#[test]
fn a_document_is_made_read_replaced_listed_and_deleted() {
    let (toy, key) = toy();
    let sent =
        "{ \"text\": \"a\", \"price\": 1.50, \"n\": 123456789012345678901234567890, \"deep\": {\"b\": [1, null]} }";
    let made = toy.with_key(&key, "POST", "/v1/records/notes", &[], sent).ok(201);
    let id = made.text_at("id");
    assert!(id.starts_with("rec_") && id.len() == 24, "{id}");
    assert_eq!(made.header("content-type"), Some("application/json"));
    assert_eq!((made.json["version"].as_u64(), made.json["created_at"] == made.json["updated_at"]), (Some(1), true));
    // To the letter, and without the space.
    let kept = "\"text\":\"a\",\"price\":1.50,\"n\":123456789012345678901234567890,\"deep\":{\"b\":[1,null]}}";
    assert!(made.text.ends_with(kept), "{}", made.text);
    let path = format!("/v1/records/notes/{id}");
    let read = toy.get(&key, &path).ok(200);
    assert_eq!((read.text.as_str(), read.header("etag")), (made.text.as_str(), made.header("etag")));
    let head = toy.with_key(&key, "HEAD", &path, &[], "").ok(200);
    assert_eq!((head.text.as_str(), head.header("etag")), ("", made.header("etag")));
    toy.advance(5);
    // What was read can be sent back: the members that are ours are not looked at.
    let changed = read.text.replace("\"text\":\"a\"", "\"text\":\"b\"");
    let put = toy.with_key(&key, "PUT", &path, &[], &changed).ok(200);
    assert_eq!((put.json["text"].as_str(), put.json["version"].as_u64()), (Some("b"), Some(2)));
    assert!(put.json["created_at"] == made.json["created_at"] && put.json["updated_at"] != made.json["updated_at"]);
    assert_ne!(put.header("etag"), made.header("etag"));
    let chosen = toy.with_key(&key, "PUT", "/v1/records/notes/My-own.id_1", &[], "{\"text\":\"c\"}").ok(201);
    assert_eq!(chosen.text_at("id"), "My-own.id_1");
    assert_eq!(toy.texts(&key, "/v1/records/notes"), ["c", "b"]);
    assert_eq!(toy.texts(&key, "/v1/records/other"), [""; 0]);
    let gone = toy.with_key(&key, "DELETE", &path, &[], "").ok(204);
    assert_eq!(gone.text, "");
    toy.get(&key, &path).refused(404, "not_found");
    toy.with_key(&key, "DELETE", &path, &[], "").refused(404, "not_found");
    assert_eq!(toy.texts(&key, "/v1/records/notes"), ["c"]);
    // Metered and logged as any call; no word of what was sent, and no id, stands in the log.
    assert!(put.header("x-request-id").is_some() && put.log["route"] == "PUT /v1/records/{collection}/{id}");
    assert!(put.log["workspace"] == "acme" && !put.log.to_string().contains("rec_"), "{}", put.log);
}

#[test]
fn workspaces_and_environments_have_their_own_and_a_deploy_key_says_which_it_means() {
    let (toy, live) = toy();
    toy.workspace("other");
    let (test, other) = (toy.key_for("acme", "test"), toy.key_for("other", "live"));
    for key in [&live, &test, &other] {
        assert_eq!(toy.texts(key, "/v1/records/notes"), [""; 0]);
        toy.with_key(key, "PUT", "/v1/records/notes/1", &[], "{\"text\":\"mine\"}").ok_or_else(key, &toy);
    }
    toy.with_key(&live, "PUT", "/v1/records/notes/1", &[], "{\"text\":\"changed\"}").ok(200);
    assert_eq!(toy.texts(&test, "/v1/records/notes"), ["mine"]);
    assert_eq!(toy.texts(&other, "/v1/records/notes"), ["mine"]);
    toy.get(&live, "/v1/records/notes?workspace=other").refused(403, "wrong_workspace");
    toy.get(&live, "/v1/records/notes?environment=test").refused(403, "wrong_environment");
    toy.get(&live, "/v1/records/notes?environment=prod").refused(400, "invalid_request");
    assert_eq!(toy.texts(&live, "/v1/records/notes?workspace=acme&environment=live"), ["changed"]);
    let administer = |query: &str| toy.admin("GET", &format!("/v1/records/notes{query}"), &Value::Null);
    administer("").refused(400, "invalid_request");
    administer("?workspace=acme").refused(400, "invalid_request");
    administer("?environment=live").refused(400, "invalid_request");
    administer("?workspace=nobody&environment=live").refused(404, "not_found");
    let page = administer("?workspace=acme&environment=test").ok(200);
    assert_eq!((page.json["items"][0]["text"].as_str(), page.log["workspace"].as_str()), (Some("mine"), Some("acme")));
}

impl Answer {
    /// It was made now; whoever fails is named.
    #[track_caller]
    fn ok_or_else(self, key: &str, toy: &Toy) {
        assert_eq!(self.status, 201, "{}: {}", toy.whoami(key).text, self.text);
    }
}

#[test]
fn no_one_comes_in_by_another_way_than_the_policys() {
    let (toy, key) = toy();
    idle(&toy.send("GET", "/v1/records/notes", &[], ""), 401, "missing_credential");
    let reads = toy.server_key("acme", "live", &json!({"scopes": ["records:read"]})).1;
    toy.get(&reads, "/v1/records/notes").ok(200);
    toy.post(&reads, "", "{}").refused(403, "insufficient_scope");
    for (method, path) in [
        ("PATCH", "/v1/records/notes/1"),
        ("DELETE", "/v1/records/notes"),
        ("POST", "/v1/records/notes/1"),
        ("GET", "/v1/records"),
        ("GET", "/v1/records/"),
        ("GET", "/v1/records/notes/1/2"),
        ("GET", "/v1/memory/notes/1/2"),
    ] {
        toy.with_key(&key, method, path, &[], "").refused(404, "not_found");
    }
    // What waits for a person's approval cannot be written past it.
    let reviewed = Toy::changed(&[("POLICY_TOML", REVIEWED)]);
    reviewed.workspace("acme");
    let (_, proposing) = reviewed.server_key("acme", "live", &Value::Null);
    reviewed.with_key(&proposing, "POST", "/v1/plans/notes", &[], "{}").refused(503, "not_configured");
    assert_eq!(toy.record_rows(), 0);
    // Who was revoked after it was admitted writes nothing.
    let id = toy.whoami(&key).text_at("id");
    let path = format!("/v1/credentials/{id}/revoke");
    toy.after_hops(1, move |toy| drop(toy.admin("POST", &path, &Value::Null).ok(200)));
    toy.post(&key, "", "{}").refused(401, "revoked_credential");
    assert_eq!(toy.record_rows(), 0);
}

#[test]
fn a_route_of_another_prefix_leads_to_the_same_collections() {
    let (toy, key) = toy();
    let once = [("idempotency-key", "k1")];
    let made = toy.with_key(&key, "POST", "/v1/memory/notes", &once, "{\"text\":\"a\"}").ok(201);
    let id = made.text_at("id");
    for prefix in ["memory", "records"] {
        assert_eq!(toy.texts(&key, &format!("/v1/{prefix}/notes")), ["a"]);
        assert_eq!(toy.get(&key, &format!("/v1/{prefix}/notes/{id}")).ok(200).text, made.text);
    }
    toy.with_key(&key, "POST", "/v1/memory/notes/x", &once, "{}").refused(404, "not_found");
    toy.with_key(&key, "POST", "/v1/memory/notes", &[], "{}").refused(400, "idempotency_key_required");
}

#[test]
fn a_name_a_cursor_or_a_body_that_is_none_is_refused_and_nothing_is_stored() {
    let (toy, key) = toy();
    let long = format!("/v1/records/{}", "a".repeat(65));
    for path in ["/v1/records/Notes", "/v1/records/a.b", &long, "/v1/records/a%20b", "/v1/records/notes/%41"] {
        assert!([400, 404].contains(&toy.get(&key, path).status), "{path}");
    }
    for id in ["a".repeat(129), "a:b".to_owned(), "ä".to_owned(), "a@b".to_owned()] {
        assert!([400, 404].contains(&toy.with_key(&key, "PUT", &format!("/v1/records/notes/{id}"), &[], "{}").status));
    }
    for query in ["cursor=", "cursor=x", "cursor=1.", "cursor=99999999999999999.a", "limit=0", "limit=101", "limit=a"] {
        toy.get(&key, &format!("/v1/records/notes?{query}")).refused(400, "invalid_request");
    }
    for body in ["", "[]", "1", "{\"a\":1,\"a\":2}", "{\"a\":{\"b\":1,\"b\":1}}", "{\"a\":1e999}", "{} {}", "{'a':1}"] {
        for (method, path) in [("POST", "/v1/records/notes"), ("PUT", "/v1/records/notes/1")] {
            let headers = [("content-type", "application/json")];
            toy.with_key(&key, method, path, &headers, body).refused(400, "invalid_request");
        }
    }
    for headers in [("content-type", "text/plain"), ("content-encoding", "gzip")] {
        toy.with_key(&key, "POST", "/v1/records/notes", &[headers], "{}").refused(415, "unsupported_media_type");
    }
    toy.with_key(&key, "POST", "/v1/records/notes", &[], &"x".repeat((1 << 20) + 1)).refused(413, "payload_too_large");
    toy.with_key(&key, "GET", "/v1/records/notes", &[], "{}").refused(400, "invalid_request");
    toy.with_key(&key, "DELETE", "/v1/records/notes/1", &[], "{}").refused(400, "invalid_request");
    assert_eq!(toy.record_rows(), 0);
    let most = format!("{{\"a\":\"{}\"}}", "x".repeat((1 << 20) - 8));
    let made = toy.with_key(&key, "POST", "/v1/records/notes", &[], &most).ok(201);
    assert_eq!(made.json["a"].as_str().map(str::len), Some((1 << 20) - 8));
}

#[test]
fn pages_are_newest_first_and_hold_together_while_others_write() {
    let (toy, key) = toy();
    for number in 0..7 {
        toy.post(&key, "", &format!("{{\"text\":\"{number}\"}}")).ok(201);
        toy.advance_millis(1);
    }
    let first = toy.get(&key, "/v1/records/notes?limit=3").ok(200);
    let last = first.json["items"][2]["id"].as_str().unwrap().to_owned();
    toy.post(&key, "", "{\"text\":\"new\"}").ok(201);
    // The record that a page ended with is gone: the next one begins behind its place.
    toy.with_key(&key, "DELETE", &format!("/v1/records/notes/{last}"), &[], "").ok(204);
    let cursor = first.text_at("next_cursor");
    assert_eq!(toy.texts(&key, &format!("/v1/records/notes?limit=3&cursor={cursor}")), ["3", "2", "1"]);
    let rest = toy.get(&key, &format!("/v1/records/notes?limit=4&cursor={cursor}")).ok(200);
    assert_eq!((rest.json["items"].as_array().unwrap().len(), &rest.json["next_cursor"]), (4, &Value::Null));
    // A page is bounded by what its documents weigh too, and a single one always fits.
    let fat = format!("{{\"text\":\"{}\"}}", "x".repeat(600_000));
    for _ in 0..3 {
        toy.with_key(&key, "POST", "/v1/records/fat", &[], &fat).ok(201);
        toy.advance_millis(1);
    }
    let mut cursor = String::new();
    for more in [true, true, false] {
        let page = toy.get(&key, &format!("/v1/records/fat{cursor}")).ok(200);
        assert_eq!((page.json["items"].as_array().unwrap().len(), page.json["next_cursor"].is_string()), (1, more));
        cursor = format!("?cursor={}", page.json["next_cursor"].as_str().unwrap_or_default());
    }
}

#[test]
fn a_write_that_expects_another_version_changes_nothing() {
    let (toy, key) = toy();
    let path = "/v1/records/notes/1";
    let put = |header: (&str, &str), body: &str| toy.with_key(&key, "PUT", path, &[header], body);
    put(("if-match", "*"), "{}").refused(409, "conflict");
    put(("if-match", "\"1-1\""), "{}").refused(409, "conflict");
    let first = put(("if-none-match", "*"), "{}").ok(201);
    put(("if-none-match", "*"), "{}").refused(409, "conflict");
    put(("if-none-match", "\"a\""), "{}").refused(400, "invalid_request");
    let tag = first.header("etag").unwrap().to_owned();
    let second = put(("if-match", &format!("\"other\", {tag}")), "{\"n\":2}").ok(200);
    put(("if-match", &tag), "{\"n\":3}").refused(409, "conflict");
    put(("if-match", &format!("W/{}", second.header("etag").unwrap())), "{\"n\":3}").refused(409, "conflict");
    toy.with_key(&key, "DELETE", path, &[("if-match", &tag)], "").refused(409, "conflict");
    assert_eq!(toy.get(&key, path).json["n"], 2);
    put(("if-match", "*"), "{\"n\":4}").ok(200);
    // One that was deleted and made anew is another one.
    let tag = toy.get(&key, path).header("etag").unwrap().to_owned();
    toy.with_key(&key, "DELETE", path, &[("if-match", &tag)], "").ok(204);
    toy.advance_millis(1);
    for n in 0..3 {
        put(("if-match", ""), &format!("{{\"n\":{n}}}")).ok(if n == 0 { 201 } else { 200 });
    }
    put(("if-match", &tag), "{}").refused(409, "conflict");
}

#[test]
fn j1_j10_a_write_happens_once_also_where_its_answer_was_lost_and_whatever_died() {
    let (toy, key) = toy();
    // The answer is lost on its way: the workspace stored it and answered nobody.
    let lost = {
        let made = toy.post(&key, "k1", "{\"text\":\"a\"}").ok(201);
        toy.forget();
        made
    };
    toy.advance(3);
    let again = toy.post(&key, "k1", "{\"text\":\"a\"}").ok(201);
    assert_eq!((again.text.as_str(), again.header("etag")), (lost.text.as_str(), lost.header("etag")));
    assert_eq!((again.header("idempotent-replayed"), lost.header("idempotent-replayed")), (Some("true"), None));
    let path = format!("/v1/records/notes/{}", lost.text_at("id"));
    let write =
        |method: &str, once: &str, body: &str| toy.with_key(&key, method, &path, &[("idempotency-key", once)], body);
    let put = write("PUT", "k1", "{\"text\":\"b\"}").ok(200);
    write("PUT", "k2", "{\"text\":\"c\"}").ok(200);
    // The answer of then, whatever the record is now; and nothing is written.
    let before = toy.get(&key, &path).text;
    let again = write("PUT", "k1", "{\"text\":\"b\"}").ok(200);
    assert_eq!((again.text, again.headers.iter().any(|(name, _)| *name == "idempotent-replayed")), (put.text, true));
    assert_eq!(toy.get(&key, &path).text, before);
    write("DELETE", "k3", "").ok(204);
    let again = write("DELETE", "k3", "").ok(204);
    assert_eq!((again.header("idempotent-replayed"), again.text.as_str()), (Some("true"), ""));
    toy.post(&key, "k1", "{\"text\":\"b\"}").refused(422, "idempotency_key_reused");
    assert_eq!(toy.record_rows(), 0);
    // A storage that takes nothing in takes neither the record nor the key.
    toy.faults.borrow_mut().insert(home(), Fault::NoWrites);
    toy.post(&key, "k4", "{\"text\":\"d\"}").refused(503, "unavailable");
    toy.faults.borrow_mut().clear();
    let made = toy.post(&key, "k4", "{\"text\":\"d\"}").ok(201);
    assert_eq!((made.header("idempotent-replayed"), toy.record_rows()), (None, 1));
}

#[test]
fn j5_j8_j13_refusals_are_not_remembered_keys_are_ones_own_and_end_after_a_day() {
    let (toy, key) = toy();
    let other = toy.key_for("acme", "live");
    let put = |once: &str, header: (&str, &str)| {
        toy.with_key(&key, "PUT", "/v1/records/notes/1", &[("idempotency-key", once), header], "{}")
    };
    put("k1", ("if-match", "*")).refused(409, "conflict");
    put("k1", ("if-match", "")).ok(201);
    toy.post(&key, "a b", "{}").refused(400, "idempotency_key_invalid");
    for key in [&key, &other] {
        assert_eq!(toy.post(key, "k1", "{}").ok(201).header("idempotent-replayed"), None);
    }
    assert_eq!(toy.record_rows(), 3);
    toy.advance(86_399);
    assert_eq!(toy.post(&key, "k1", "{}").ok(201).header("idempotent-replayed"), Some("true"));
    toy.advance(1);
    assert_eq!(toy.post(&key, "k1", "{}").ok(201).header("idempotent-replayed"), None);
    assert_eq!(toy.record_rows(), 4);
    toy.advance(2 * 86_400);
    let left = |prefix: &str| toy.objects.borrow()[&home()].rows.keys().filter(|key| key.starts_with(prefix)).count();
    assert_eq!((left("once/"), left("once-answer/"), left("once-at/"), left("record/")), (0, 0, 0, 4));
}

#[test]
fn j15_a_workspace_has_room_for_so_many_records_and_no_more() {
    let (toy, key) = toy();
    toy.with_key(&key, "PUT", "/v1/records/notes/1", &[], "{\"a\":\"xxx\"}").ok(201);
    let fill = |count: usize, bytes: usize| {
        let row = cbor::write(&(count, bytes));
        toy.objects.borrow_mut().get_mut(&home()).unwrap().rows.insert("record-use".to_owned(), row);
    };
    for (count, bytes) in [(gateway::store_records::MAX_RECORDS, 9), (1, gateway::store_records::MAX_BYTES)] {
        fill(count, bytes);
        let full = toy.post(&key, "", "{\"a\":1}");
        full.refused(409, "conflict");
        assert!(full.text_at("error").contains("no room"), "{}", full.text);
        // What takes no more room than before is taken, and what is deleted makes room.
        toy.with_key(&key, "PUT", "/v1/records/notes/1", &[], "{\"a\":\"xx\"}").ok(200);
        toy.with_key(&key, "DELETE", "/v1/records/notes/1", &[], "").ok(204);
        toy.with_key(&key, "PUT", "/v1/records/notes/1", &[], "{\"a\":\"x\"}").ok(201);
        toy.with_key(&key, "PUT", "/v1/records/notes/1", &[], "{\"a\":\"xxx\"}");
    }
}

#[test]
fn a_route_that_cannot_lead_to_records_is_refused_with_its_line() {
    let parse = |line: &str| {
        let text =
            format!("brand = \"clv\"\n[[routes]]\nmatch = \"{line}\"\naccept = [\"server_key\"]\nto = \"records\"\n");
        policy::parse(&text).map(drop)
    };
    for line in [
        "GET /v1/records/{collection}",
        "POST /v1/records/{collection}",
        "HEAD /v1/records/{collection}/{id}",
        "PUT /v1/records/{c}/{i}",
        "DELETE /v1/records/notes/{id}",
        "POST /v1/records/notes",
        "GET /v1/records/notes/{id}",
        "GET /v1/memory/{rest...}",
        "DELETE /v1/memory/{rest...}",
        "GET /{collection}/{id}",
        "POST /{rest...}",
    ] {
        assert_eq!(parse(line), Ok(()), "{line}");
    }
    let methods = "a collection of records takes GET and POST";
    for (line, why) in [
        ("PATCH /v1/records/{collection}/{id}", methods),
        ("PATCH /v1/memory/{rest...}", methods),
        ("PUT /v1/records/{collection}", methods),
        ("DELETE /v1/records/notes", methods),
        ("POST /v1/records/notes/{id}", methods),
        ("POST /v1/records/{collection}/{id}", methods),
        ("GET /v1/{team}/records/{collection}", "before them it is literal"),
        ("GET /v1/{collection}/notes", "before them it is literal"),
        ("GET /v1/{a}/{b}/{c}", "before them it is literal"),
        ("GET /v1/{team}/{rest...}", "before them it is literal"),
        ("GET /v1/records/Notes", "a-z, 0-9"),
        ("GET /v1/records/", "a-z, 0-9"),
        ("PUT /v1/records/No.tes/{id}", "a-z, 0-9"),
    ] {
        let error = parse(line).expect_err(line);
        assert!(
            error.line == 3 && error.reason.starts_with("match: ") && error.reason.contains(why),
            "{line}: {error}"
        );
    }
    // Their names say what they are, where only one of them is a variable.
    let read = |line: &str, path: &str| {
        let text =
            format!("brand = \"clv\"\n[[routes]]\nmatch = \"{line}\"\naccept = [\"server_key\"]\nto = \"records\"\n");
        let policy = policy::parse(&text).unwrap();
        policy.routes[0].record(path).map(|(collection, id)| (collection.to_owned(), id.map(str::to_owned)))
    };
    let both = |id: Option<&str>| Some(("notes".to_owned(), id.map(str::to_owned)));
    assert_eq!(read("GET /v1/notes/{id}", "/v1/notes/7"), both(Some("7")));
    assert_eq!(read("GET /v1/all/{kind}", "/v1/all/notes"), both(None));
    assert_eq!(read("GET /v1/{a}/{b}", "/v1/notes/7"), both(Some("7")));
    assert_eq!(read("GET /v1/{rest...}", "/v1/notes"), both(None));
    assert_eq!(read("GET /v1/{rest...}", "/v1/notes/7"), both(Some("7")));
    assert_eq!(read("GET /v1/{rest...}", "/v1/notes/7/8"), None);
}

#[test]
fn a_record_that_was_deleted_and_made_anew_in_the_same_moment_has_another_tag() {
    let (toy, key) = toy();
    let path = "/v1/records/notes/a";
    let first = toy.with_key(&key, "PUT", path, &[], "{\"text\":\"mine\"}").ok(201);
    let tag = first.passed.iter().find(|(name, _)| name == "etag").map(|(_, value)| value.clone());
    let tag = tag.or_else(|| first.header("etag").map(str::to_owned)).unwrap();
    toy.with_key(&key, "DELETE", path, &[], "").ok(204);
    toy.with_key(&key, "PUT", path, &[], "{\"text\":\"theirs\"}").ok(201);
    toy.with_key(&key, "PUT", path, &[("if-match", &tag)], "{\"text\":\"over it\"}").refused(409, "conflict");
}

#[test]
fn a_read_with_the_tag_of_what_is_there_is_told_that_it_has_not_changed() {
    let toy = Toy::changed(&[("POLICY_TOML", POLICY)]);
    toy.workspace("acme");
    let (_, key) = toy.server_key("acme", "live", &json!({"scopes": ["records:read", "records:write"]}));
    let path = "/v1/records/notes/n1";
    let bearer = format!("Bearer {key}");
    let read =
        |method: &str, tags: &str| toy.send(method, path, &[("authorization", &bearer), ("if-none-match", tags)], "");
    let tag = toy.server(&key, "PUT", path, &json!({"a": 1})).ok(201).header("etag").unwrap().to_owned();
    for tags in [tag.clone(), format!("\"x\", {tag}"), format!("W/{tag}"), "*".to_owned()] {
        for method in ["GET", "HEAD"] {
            let same = read(method, &tags).ok(304);
            assert_eq!(
                (same.text.as_str(), same.header("etag"), same.header("content-type")),
                ("", Some(tag.as_str()), None)
            );
        }
    }
    for tags in ["", "\"x\"", tag.trim_matches('"'), &format!("\"{tag}\"")] {
        assert_eq!(read("GET", tags).ok(200).json["a"], 1, "{tags}");
    }
    toy.server(&key, "PUT", path, &json!({"a": 2})).ok(200);
    assert_eq!(read("GET", &tag).ok(200).json["a"], 2);
    // What may not be read says nothing of what is there.
    let (_, none) = toy.server_key("acme", "live", &Value::Null);
    let headers = [("authorization", &*format!("Bearer {none}")), ("if-none-match", "*")];
    toy.send("GET", path, &headers, "").refused(403, "insufficient_scope");
    toy.server(&key, "DELETE", path, &Value::Null).ok(204);
    read("GET", "*").refused(404, "not_found");
}
