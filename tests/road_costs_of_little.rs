//! Calls that come to nothing cost nothing that lasts, and none of them is free to repeat.
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
use toy::{Fault, Toy};

fn world() -> Toy {
    let toy = Toy::new("default");
    toy.workspace("acme");
    toy
}

fn places(toy: &Toy) -> usize {
    let objects = toy.objects.borrow();
    objects.iter().filter(|((_, name), object)| name.starts_with("sk_") && !object.rows.is_empty()).count()
}

#[test]
fn a_place_where_no_key_was_made_is_forgotten_and_one_where_a_key_was_is_not() {
    let toy = world();
    let (_, key) = toy.server_key("acme", "live", &Value::Null);
    let body = json!({ "kind": "server_key", "workspace": "acme", "environment": "live", "name": "a", "scopes": [], "tier": "free" });
    toy.faults.borrow_mut().insert(("WORKSPACE".to_owned(), "acme".to_owned()), Fault::NoWrites);
    for _ in 0..5 {
        toy.admin("POST", "/v1/credentials", &body).refused(503, "unavailable");
    }
    toy.faults.borrow_mut().clear();
    assert_eq!(places(&toy), 6);
    toy.advance(3_599);
    assert_eq!(places(&toy), 6, "whoever is slow still has its place");
    toy.advance(2);
    assert_eq!(places(&toy), 1);
    toy.whoami(&key).ok(200);
}

#[test]
fn a_call_that_is_not_metered_asks_nobody_unless_it_ends_the_credential() {
    let toy = world();
    let (_, key) = toy.server_key("acme", "live", &Value::Null);
    let answer = toy.server(&key, "POST", "/v1/self/revoke", &json!({ "reason": "x" }));
    assert_eq!(answer.refused(400, "invalid_request").hops, 0);
    toy.whoami(&key).ok(200);
    toy.server(&key, "POST", "/v1/self/revoke", &Value::Null).ok(200);
    toy.whoami(&key).refused(401, "revoked_credential");
}
