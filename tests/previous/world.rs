//! Writes the rows of a whole deployment, as this build stores them, into the file that WORLD names.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

mod toy;

use claviger::{error::Reason, upstream::watch::Ending, world::upstream::Incoming};
use serde_json::{Value, json};
use toy::{Fault, ORIGIN, START, Toy};

const POLICY: &str = include_str!("previous/policy.toml");

impl Toy {
    fn says(&self, status: u16, content_type: &str, parts: &[&str], ending: Ending) {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        *self.upstream.borrow_mut() = Ok(Incoming { status, headers });
        *self.upstream_body.borrow_mut() = (parts.iter().map(|part| part.as_bytes().to_vec()).collect(), ending);
    }
}

#[test]
fn world() {
    let Ok(file) = std::env::var("WORLD") else { return };
    let toy = Toy::changed(&[("POLICY_TOML", POLICY), ("UPSTREAM", "https://api.example")]);
    let mut facts = json!({});
    toy.says(200, "application/json", &[], Ending::Whole);
    toy.send("GET", "/.well-known/jwks.json", &[], "").ok(200);
    for id in ["acme", "other", "bulk"] { toy.workspace(id); }
    toy.admin("PATCH", "/v1/workspaces/acme", &json!({"name": "Acme & Co", "default_tier": "standard"})).ok(200);
    // Widget keys and conversations.
    let (wk, widget) = toy.widget_key("acme", "live", &[ORIGIN, "https://*.shop.example"]);
    let (_, widget_test) = toy.widget_key("acme", "test", &[ORIGIN]);
    let open = toy.open(&widget);
    toy.say(&open, "first").ok(201);
    toy.visit_with(&open, "POST", "messages", &[("idempotency-key", "m1")], "{\"text\":\"second\"}").ok(201);
    toy.admin("POST", &format!("/v1/conversations/{}/messages", open.conversation), &json!({"text": "answer"})).ok(201);
    let closed = toy.open(&widget);
    toy.say(&closed, "bye").ok(201);
    toy.visit(&closed, "POST", "close", "{}").ok(200);
    let test_talk = toy.open(&widget_test);
    toy.say(&test_talk, "only a test").ok(201);
    let rotated = toy.admin("POST", &format!("/v1/credentials/{wk}/rotate"), &json!({"overlap_seconds": 86400})).ok(201);
    facts["widget"] = json!({"id": wk, "old": widget, "new": rotated.text_at("secret"), "test": widget_test});
    facts["open"] = json!({"conversation": open.conversation, "secret": open.secret, "texts": ["first", "second", "answer"]});
    facts["closed"] = json!({"conversation": closed.conversation, "secret": closed.secret});
    facts["test_talk"] = json!({"conversation": test_talk.conversation, "secret": test_talk.secret});
    let (kid, identity) = toy.identity_secret("acme");
    facts["identity"] = json!({"kid": kid, "secret": identity});
    // Server keys.
    let scopes = json!({"scopes": ["admin"], "tier": "free"});
    let (live_id, live) = toy.server_key("acme", "live", &scopes);
    let (test_id, test) = toy.server_key("acme", "test", &scopes);
    let (rot_id, rot_old) = toy.server_key("acme", "live", &json!({"scopes": ["completions:read"], "tier": "enterprise", "limits": {"requests": [{"limit": 50, "window_seconds": 60}]}}));
    toy.whoami(&rot_old).ok(200);
    let rot_new = toy.admin("POST", &format!("/v1/credentials/{rot_id}/rotate"), &json!({})).ok(201).text_at("secret");
    toy.whoami(&rot_new).ok(200);
    let (dead_id, dead) = toy.server_key("acme", "live", &json!({}));
    toy.admin("POST", &format!("/v1/credentials/{dead_id}/revoke"), &json!({"reason": "over"})).ok(200);
    let (service_id, service) = toy.service_token("acme", "live", "billing", &json!({"scopes": ["verify"], "allowed_addresses": ["192.0.2.0/24"]}));
    toy.send("GET", "/v1/whoami", &[("authorization", &format!("Bearer {live}")), ("origin", "https://leak.example")], "");
    facts["keys"] = json!({"live": [live_id, live], "test": [test_id, test], "rotated": [rot_id, rot_old, rot_new], "dead": [dead_id, dead], "service": [service_id, service]});
    // Deploy keys.
    let made = toy.admin("POST", "/v1/credentials", &json!({"kind": "deploy_key", "stage": "dev", "name": "ci"})).ok(201);
    let revoked = toy.admin("POST", "/v1/credentials", &json!({"kind": "deploy_key", "stage": "dev", "name": "gone"})).ok(201);
    toy.admin("POST", &format!("/v1/credentials/{}/revoke", revoked.text_at("id")), &json!({})).ok(200);
    facts["deploy"] = json!({"made": [made.text_at("id"), made.text_at("secret")], "revoked": [revoked.text_at("id"), revoked.text_at("secret")]});
    // Records, each write with a key.
    let put = |key: &str, path: &str, once: &str, body: &str| {
        let bearer = format!("Bearer {key}");
        toy.send("PUT", path, &[("authorization", bearer.as_str()), ("idempotency-key", once)], body)
    };
    let kept = put(&live, "/v1/records/notes/one", "r1", "{\"text\":\"kept\",\"n\":1.50}").ok(201);
    put(&live, "/v1/records/notes/one", "r2", "{\"text\":\"changed\"}").ok(200);
    put(&live, "/v1/records/notes/two", "r3", "{}").ok(201);
    put(&test, "/v1/records/notes/one", "r1", "{\"text\":\"test\"}").ok(201);
    facts["records"] = json!({"first_answer": kept.text, "now": toy.server(&live, "GET", "/v1/records/notes/one", &Value::Null).ok(200).text});
    // Gateway writes with a key: answered, not kept, lost, under way.
    let order = |once: &str| {
        let bearer = format!("Bearer {live}");
        toy.send("POST", "/v1/orders", &[("authorization", bearer.as_str()), ("idempotency-key", once)], "{\"a\":1}")
    };
    toy.says(201, "application/json", &["{\"order\":7}"], Ending::Whole);
    order("answered").ok(201);
    *toy.upstream.borrow_mut() = Err(Reason::UpstreamTimedOut);
    order("lost");
    toy.says(201, "application/json", &["{\"order\":8}"], Ending::Whole);
    toy.holds_answers.set(true);
    order("under-way").ok(201);
    // Tokens that are held.
    let (tok_id, tok) = toy.server_key("acme", "live", &json!({"scopes": ["completions:read"], "tier": "free"}));
    toy.says(200, "application/json", &["{\"usage\":{\"total_tokens\":10}}"], Ending::Whole);
    toy.server(&tok, "POST", "/v1/chat/completions", &json!({"max_tokens": 30000})).ok(200);
    let left = toy.whoami(&tok).json["limits"].clone();
    facts["tokens"] = json!({"key": [tok_id, tok], "limits": left});
    toy.holds_answers.set(false);
    // A lease that is open.
    let (hot_id, hot) = toy.server_key("acme", "live", &json!({"scopes": ["completions:read"], "tier": "hot"}));
    toy.says(200, "application/json", &["[]"], Ending::Whole);
    for _ in 0..250 { toy.advance_millis(10); toy.server(&hot, "GET", "/v1/models", &Value::Null).ok(200); }
    facts["hot"] = json!([hot_id, hot]);
    // Checkpoints.
    toy.advance(3_700);
    toy.whoami(&dead);
    // Bulk: sixty keys, and the process ends after the first slice.
    let many: Vec<(String, String)> = (0..60).map(|_| toy.server_key("bulk", "live", &json!({}))).collect();
    toy.advance(1);
    let fault = |name: &str, fault: Fault| { toy.faults.borrow_mut().insert(("CREDENTIAL".to_owned(), name.to_owned()), fault); };
    // Some of them cannot be told yet.
    for (_, key) in many.iter().skip(10).take(5) { fault(&format!("sk_live_{}", &key[9..17]), Fault::Dead); }
    let begun = toy.admin("POST", "/v1/workspaces/bulk/credentials/revoke", &json!({"reason": "leaked"})).ok(202);
    facts["bulk"] = json!({"keys": many.iter().map(|(_, key)| key).collect::<Vec<_>>(), "ids": many.iter().map(|(id, _)| id).collect::<Vec<_>>(), "made_until": begun.text_at("made_until"), "remaining": begun.json["remaining"]});
    // A revocation that nobody has heard of yet, and a new name that the deployment does not know.
    let (pending_id, pending) = toy.server_key("acme", "live", &json!({}));
    toy.whoami(&pending).ok(200);
    fault(&format!("sk_live_{}", &pending[9..17]), Fault::Dead);
    toy.admin("POST", &format!("/v1/credentials/{pending_id}/revoke"), &json!({})).refused(503, "unavailable");
    facts["pending"] = json!([pending_id, pending]);
    toy.faults.borrow_mut().insert(("DEPLOYMENT_OBJECT".to_owned(), "local".to_owned()), Fault::NoWrites);
    let deploy = toy.deploy_key();
    let _ = toy.send("PATCH", "/v1/workspaces/other", &[("authorization", &deploy)], "{\"name\":\"Other, renamed\"}");
    // A gateway write whose answer never came, begun just now, and tokens for it.
    toy.holds_answers.set(true);
    toy.says(201, "application/json", &["{\"order\":9}"], Ending::Whole);
    order("running").ok(201);
    toy.says(200, "application/json", &["{\"usage\":{\"total_tokens\":10}}"], Ending::Whole);
    toy.server(&tok, "POST", "/v1/chat/completions", &json!({"max_tokens": 30000})).ok(200);
    facts["tokens"]["limits"] = toy.whoami(&tok).json["limits"].clone();
    let clock = toy.now_millis();
    assert!(clock > START);
    let objects: Vec<Value> = toy.objects.borrow().iter().filter(|(_, object)| !object.rows.is_empty()).map(|((binding, name), object)| {
        let rows: serde_json::Map<String, Value> = object.rows.iter().map(|(key, bytes)| (key.clone(), bytes.iter().map(|b| format!("{b:02x}")).collect::<String>().into())).collect();
        json!({"binding": binding, "name": name, "alarm": object.alarm, "rows": rows})
    }).collect();
    let world = json!({"clock": clock, "facts": facts, "objects": objects});
    std::fs::write(file, serde_json::to_string(&world).unwrap()).unwrap();
}
