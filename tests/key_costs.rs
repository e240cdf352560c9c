//! What a call with a server key costs the object that admits it: rows written, rows read, and objects asked.
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
use toy::{Toy, idle};

/// Tiers that are as wide as the test needs, and one with a long window beside the short one.
fn world() -> Toy {
    let policy = "brand = \"gs\"\n[scopes]\nadmin = { says = \"All\", implies = \"*\" }\n\
        [tiers.free]\nrequests = { limit = 60, window_seconds = 60 }\n\
        [tiers.wide]\nrequests = { limit = 100_000, window_seconds = 60 }\n\
        [tiers.two]\nrequests = [{ limit = 100_000, window_seconds = 60 }, { limit = 5_000_000, window_seconds = 86_400 }]\n\
        [tiers.month]\nrequests = { limit = 50_000_000, window_seconds = 2_592_000 }\n";
    let toy = Toy::changed(&[("POLICY_TOML", policy)]);
    toy.workspace("acme");
    toy
}

/// Calls at a steady rate for so many seconds; all are admitted. Transactions and rows that they cost.
fn steady(toy: &Toy, key: &str, per_second: u64, seconds: u64) -> (usize, usize) {
    let (commits, written) = (toy.commits.get(), toy.written.get());
    let mut past = 0;
    for call in 1..=per_second * seconds {
        let due = call * 1_000 / per_second;
        toy.advance_millis(due - past);
        past = due;
        toy.whoami(key).ok(200);
    }
    (toy.commits.get() - commits, toy.written.get() - written)
}

#[test]
fn a_busy_key_writes_at_most_40_times_for_1_000_admissions_in_transactions_and_in_rows() {
    for (tier, per_second) in [("wide", 51), ("wide", 60), ("wide", 200), ("two", 73), ("month", 60)] {
        let toy = world();
        let (_, key) = toy.server_key("acme", "live", &json!({"tier": tier}));
        // Its making has been recorded and signed; and some way into the windows' slots, as calls come.
        toy.advance_millis(700_123);
        // The first second, in which nobody knows the rate yet.
        let (first, _) = steady(&toy, &key, per_second, 1);
        assert!(first <= 40, "{first} transactions in the first second at {per_second}/s of {tier}");
        let calls = usize::try_from(per_second * 60).unwrap();
        let (commits, rows) = steady(&toy, &key, per_second, 60);
        assert!(commits * 1_000 <= 40 * calls, "{commits} transactions for {calls} at {per_second}/s of {tier}");
        assert!(rows * 1_000 <= 40 * calls, "{rows} rows for {calls} at {per_second}/s of {tier}");
    }
}

#[test]
fn an_admission_from_memory_reads_the_keys_row_asks_one_object_and_writes_nothing() {
    let toy = world();
    let (_, key) = toy.server_key("acme", "live", &json!({"tier": "two"}));
    steady(&toy, &key, 100, 2);
    let mut from_memory = 0;
    for _ in 0..20 {
        let (commits, reads) = (toy.commits.get(), toy.reads.get());
        let answer = toy.whoami(&key).ok(200);
        assert_eq!((answer.hops, answer.rounds), (1, 1));
        if toy.commits.get() == commits {
            from_memory += 1;
            assert_eq!(toy.reads.get() - reads, 1, "the key's row and nothing else");
        }
    }
    assert!(from_memory >= 19, "{from_memory} of 20 from memory");
}

#[test]
fn a_flood_of_refused_calls_writes_hardly_anything() {
    let toy = world();
    let (_, key) = toy.server_key("acme", "live", &Value::Null);
    while toy.whoami(&key).status == 200 {}
    let (commits, mut refused) = (toy.commits.get(), 0);
    for call in 0..4_000 {
        toy.advance_millis(u64::from(call % 4 == 0));
        refused += usize::from(toy.whoami(&key).status == 429);
    }
    assert_eq!(refused, 4_000);
    let commits = toy.commits.get() - commits;
    assert!(commits <= 20, "{commits} transactions for 4,000 refusals in a second");
}

#[test]
fn a_caller_whom_no_tier_limits_writes_hardly_anything() {
    let policy = "brand = \"gs\"\nunlimited = true\n[scopes]\nadmin = { says = \"All\", implies = \"*\" }\n";
    let toy = Toy::changed(&[("POLICY_TOML", policy)]);
    toy.workspace("acme");
    let (_, key) = toy.server_key("acme", "live", &Value::Null);
    let (commits, _) = steady(&toy, &key, 100, 20);
    assert!(commits <= 30, "{commits} transactions in 20 s");
}

#[test]
fn forged_keys_and_tokens_ask_nobody_and_write_nothing() {
    let toy = world();
    let (_, key) = toy.server_key("acme", "live", &Value::Null);
    let body = json!({
        "kind": "service_token", "workspace": "acme", "environment": "live", "name": "capture", "service": "spine",
    });
    let token = toy.admin("POST", "/v1/credentials", &body).ok(201).text_at("secret");
    let before = toy.snapshot();
    for (number, letter) in ('a'..='z').enumerate() {
        for text in [&key, &token] {
            let at = text.len() - 1 - number % 12;
            let mut forged = text.clone();
            forged.replace_range(at..=at, &if text[at..].starts_with(letter) { '0' } else { letter }.to_string());
            let headers = [("x-service-token", forged.as_str()), ("x-service-name", "spine")];
            match text == &key {
                true => idle(&toy.whoami(&forged), 401, "invalid_credential"),
                false => idle(&toy.send("GET", "/v1/whoami", &headers, ""), 401, "invalid_credential"),
            }
        }
    }
    assert!(toy.snapshot() == before);
}
