//! The whole road of a visitor who asks often: limits per network, per conversation and per key; and retries that do nothing twice.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod toy;

use claviger::{machines::credential::shard_for, value::id::CredentialId};
use serde_json::json;
use toy::{Answer, ORIGIN, Object, START, Toy, Visitor};

const DAY: u64 = 86_400;

fn say_from(toy: &Toy, visitor: &Visitor, address: &str) -> Answer {
    toy.visit_with(visitor, "POST", "messages", &[("x-client", address)], "{\"text\":\"hi\"}")
}

fn open_from(toy: &Toy, key: &str, address: &str) -> Answer {
    toy.send("POST", &format!("/w/{key}/conversations"), &[("origin", ORIGIN), ("x-client", address)], "")
}

fn retry(toy: &Toy, visitor: &Visitor, key: &str, text: &str) -> Answer {
    toy.visit_with(visitor, "POST", "messages", &[("idempotency-key", key)], &json!({"text": text}).to_string())
}

/// A shop, and three conversations from three networks.
fn three() -> (Toy, [Visitor; 3]) {
    let toy = Toy::new("default");
    let (_, key) = toy.shop();
    let visitors = [(); 3].map(|()| toy.open(&key));
    (toy, visitors)
}

#[test]
fn the_61st_message_of_a_minute_waits_and_says_how_long() {
    let (toy, [one, two, three]) = three();
    for _ in 0..30 {
        say_from(&toy, &one, "192.0.2.1").ok(201);
        say_from(&toy, &two, "192.0.2.1").ok(201);
    }
    let refused = say_from(&toy, &three, "192.0.2.1");
    refused.refused(429, "rate_limited");
    assert_eq!(refused.hops, 1, "the conversation is not asked");
    let header = |name| refused.header(name).unwrap_or_else(|| panic!("no {name}")).to_owned();
    assert_eq!((header("x-ratelimit-limit"), header("x-ratelimit-remaining")), ("60".to_owned(), "0".to_owned()));
    let wait: u64 = header("retry-after").parse().unwrap();
    let reset: u64 = header("x-ratelimit-reset").parse().unwrap();
    assert_eq!(reset, START / 1_000 + wait);
    assert_eq!(header("ratelimit-policy"), "\"messages\";q=60;w=60");
    assert_eq!(header("ratelimit"), format!("\"messages\";r=0;t={wait}"));
    assert_eq!(refused.header("access-control-allow-origin"), Some(ORIGIN), "the page may read when to try again");
    assert!(header("access-control-expose-headers").contains("Retry-After"));
    assert!(toy.hear(&three).is_empty(), "reading is not counted");

    toy.advance(wait - 1);
    say_from(&toy, &three, "192.0.2.1").refused(429, "rate_limited");
    toy.advance(1);
    say_from(&toy, &three, "192.0.2.1").ok(201);
}

#[test]
fn the_31st_message_of_a_conversation_waits_wherever_it_comes_from() {
    let (toy, [one, two, _]) = three();
    for number in 1..=30 {
        let said = say_from(&toy, &one, &format!("192.0.{number}.1")).ok(201);
        assert_eq!(said.header("x-ratelimit-remaining"), Some((30 - number).to_string().as_str()));
        assert_eq!(said.header("ratelimit-policy"), Some("\"messages\";q=60;w=60, \"conversation\";q=30;w=60"));
    }
    let refused = say_from(&toy, &one, "192.0.99.1");
    refused.refused(429, "rate_limited");
    assert_eq!(refused.header("ratelimit-policy"), Some("\"messages\";q=60;w=60, \"conversation\";q=30;w=60"));
    say_from(&toy, &two, "192.0.99.1").ok(201);
    let path = format!("/v1/conversations/{}/messages", one.conversation);
    toy.admin("POST", &path, &json!({"text": "operators are not held to it"})).ok(201);
    toy.advance(61);
    say_from(&toy, &one, "192.0.99.1").ok(201);
}

#[test]
fn the_11th_conversation_of_an_hour_waits() {
    let toy = Toy::new("default");
    let (_, key) = toy.shop();
    for number in 1..=10 {
        let opened = open_from(&toy, &key, "192.0.2.1").ok(201);
        assert_eq!(opened.header("x-ratelimit-remaining"), Some((10 - number).to_string().as_str()));
        assert_eq!(opened.header("ratelimit-policy"), Some("\"conversations\";q=10;w=3600, \"key\";q=625;w=3600"));
    }
    let refused = open_from(&toy, &key, "192.0.2.1");
    refused.refused(429, "rate_limited");
    assert_eq!((refused.hops, refused.made), (1, 0));
    open_from(&toy, &key, "192.0.3.1").ok(201);
    toy.advance(3_600 + 60);
    open_from(&toy, &key, "192.0.2.1").ok(201);
}

#[test]
fn a_key_has_a_ceiling_over_all_networks_split_over_its_shards() {
    let policy = "brand = \"clv\"\n[scopes]\n[widget]\nconversations_per_hour_per_key = 16\n";
    let toy = Toy::changed(&[("POLICY_TOML", policy)]);
    let (_, key) = toy.shop();
    let opened = (0..=255).filter(|number| open_from(&toy, &key, &format!("192.0.{number}.1")).status == 201).count();
    assert_eq!(opened, 16, "one for each shard, and never more than the ceiling");
}

/// Fills the window of the first address; the second shares it, or does not.
fn shares(toy: &Toy, visitors: &[Visitor; 3], one: &str, other: &str) -> bool {
    for visitor in &visitors[..2] {
        for _ in 0..30 {
            say_from(toy, visitor, one).ok(201);
        }
    }
    let shared = say_from(toy, &visitors[2], other).status == 429;
    toy.advance(61);
    shared
}

#[test]
fn a24_networks_are_told_apart_by_the_named_header_and_by_nothing_else() {
    let (toy, visitors) = three();
    for (one, other, shared) in [
        ("192.0.2.1", "192.0.2.254", true),
        ("192.0.2.1", "192.0.3.1", false),
        ("::ffff:192.0.2.1", "192.0.2.7", true),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true),
        ("2001:DB8:0:1::1", "2001:0db8::0001:0:0:0:9", true),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
        ("not an address", "192.0.2.1, 192.0.2.2", true),
        ("not an address", "192.0.2.1", false),
    ] {
        assert_eq!(shares(&toy, &visitors, one, other), shared, "{one} and {other}");
    }
    for _ in 0..30 {
        say_from(&toy, &visitors[0], "192.0.2.1").ok(201);
        say_from(&toy, &visitors[1], "192.0.2.1").ok(201);
    }
    for header in ["x-forwarded-for", "cf-connecting-ip", "x-real-ip", "forwarded"] {
        let headers = [("x-client", "192.0.2.1"), (header, "198.51.100.1")];
        toy.visit_with(&visitors[2], "POST", "messages", &headers, "{\"text\":\"hi\"}").refused(429, "rate_limited");
    }
}

#[test]
fn without_a_named_header_everybody_shares_one_bucket() {
    let toy = Toy::changed(&[("CLIENT_ADDRESS_HEADER", "")]);
    let (_, key) = toy.shop();
    let visitors = [(); 3].map(|()| toy.open(&key));
    assert!(shares(&toy, &visitors, "192.0.2.1", "198.51.100.1"));
}

#[test]
fn a_rotated_key_and_a_rotated_secret_share_the_limits_of_the_ones_before() {
    let toy = Toy::new("default");
    let (id, key) = toy.shop();
    let visitor = toy.open(&key);
    for _ in 0..30 {
        toy.say(&visitor, "hi").ok(201);
    }
    let rotated = toy.visit(&visitor, "POST", "secret/rotate", "").ok(201);
    let visitor = Visitor { secret: rotated.text_at("history_secret"), ..visitor };
    toy.say(&visitor, "hi").refused(429, "rate_limited");
    for _ in 0..9 {
        toy.open(&key);
    }
    let rotated = toy.admin("POST", &format!("/v1/credentials/{id}/rotate"), &json!({})).ok(201);
    open_from(&toy, &rotated.text_at("secret"), "").refused(429, "rate_limited");
}

#[test]
fn a_repeated_message_is_stored_once_and_says_so() {
    let (toy, [one, two, _]) = three();
    let first = retry(&toy, &one, "k-1", "hello").ok(201);
    assert_eq!(first.header("idempotent-replayed"), None);
    toy.advance(5);
    for key in ["k-1", "\"k-1\""] {
        let again = retry(&toy, &one, key, "hello").ok(201);
        assert_eq!((again.text.as_str(), again.header("idempotent-replayed")), (first.text.as_str(), Some("true")));
        assert!(again.header("x-ratelimit-remaining").is_some());
    }
    let name = ("CONVERSATION".to_owned(), one.conversation.clone());
    let before = toy.snapshot()[&name].clone();
    retry(&toy, &one, "k-1", "something else").refused(422, "idempotency_key_reused");
    assert!(toy.snapshot()[&name] == before, "a refusal changes nothing, not even what is counted");
    assert_eq!(toy.hear(&one), ["hello"]);
    let other = retry(&toy, &two, "k-1", "something else").ok(201);
    assert_eq!(other.header("idempotent-replayed"), None, "another conversation's key is another key");
    retry(&toy, &one, "k-2", "hello").ok(201);
    assert_eq!(toy.hear(&one), ["hello", "hello"]);

    // The operator's keys are apart from the visitor's.
    let path = format!("/v1/conversations/{}/messages", one.conversation);
    let key = toy.deploy_key();
    let send = |text: &str| {
        let headers = [("authorization", key.as_str()), ("idempotency-key", "k-1")];
        toy.send("POST", &path, &headers, &json!({"text": text}).to_string())
    };
    assert_eq!(send("from us").ok(201).header("idempotent-replayed"), None);
    assert_eq!(send("from us").ok(201).header("idempotent-replayed"), Some("true"));
    send("not from us").refused(422, "idempotency_key_reused");
    assert_eq!(toy.hear(&one), ["hello", "hello", "from us"]);
}

#[test]
fn an_idempotency_key_is_remembered_for_a_day() {
    let (toy, [visitor, ..]) = three();
    retry(&toy, &visitor, "k", "hello").ok(201);
    toy.advance(DAY - 1);
    assert_eq!(retry(&toy, &visitor, "k", "hello").ok(201).header("idempotent-replayed"), Some("true"));
    toy.advance(1);
    assert_eq!(retry(&toy, &visitor, "k", "other").ok(201).header("idempotent-replayed"), None);
    assert_eq!(retry(&toy, &visitor, "k", "other").ok(201).header("idempotent-replayed"), Some("true"));
}

#[test]
fn a_key_that_is_used_again_after_its_day_is_remembered_for_another_however_many_expired_with_it() {
    let (toy, [visitor, ..]) = three();
    for number in 1..=12 {
        toy.advance(1);
        retry(&toy, &visitor, &format!("k-{number}"), "old").ok(201);
    }
    toy.advance(DAY + 60);
    retry(&toy, &visitor, "k-12", "new").ok(201);
    for number in 0..3 {
        retry(&toy, &visitor, &format!("z-{number}"), "sweeps").ok(201);
    }
    let again = retry(&toy, &visitor, "k-12", "new").ok(201);
    assert_eq!(again.header("idempotent-replayed"), Some("true"), "a minute later it is still known");
}

#[test]
fn a_broken_idempotency_key_is_refused_and_nothing_is_stored() {
    let (toy, [visitor, ..]) = three();
    let long = "k".repeat(256);
    for key in ["\"", "\"\"", "a b", "a\"b", "\"a", "ä", "a, b", "\"a, b\"", &long] {
        retry(&toy, &visitor, key, "hello").refused(400, "idempotency_key_invalid");
    }
    assert!(toy.hear(&visitor).is_empty());
    retry(&toy, &visitor, &"k".repeat(255), "hello").ok(201);
}

#[test]
fn a_replay_is_a_use_too_and_ends_the_older_secrets_right_to_rotate_again() {
    let (toy, [old, ..]) = three();
    retry(&toy, &old, "k", "hello").ok(201);
    let rotated = toy.visit(&old, "POST", "secret/rotate", "").ok(201);
    let new = Visitor { secret: rotated.text_at("history_secret"), ..old.clone() };
    assert_eq!(retry(&toy, &new, "k", "hello").ok(201).header("idempotent-replayed"), Some("true"));
    toy.visit(&old, "POST", "secret/rotate", "").refused(401, "revoked_credential");
}

#[test]
fn h3_a_clock_that_steps_back_an_hour_locks_nobody_out_for_longer_than_a_window() {
    let (toy, [visitor, ..]) = three();
    for _ in 0..30 {
        toy.say(&visitor, "hi").ok(201);
    }
    toy.step_back(3_600);
    // At most one burst more, and then a window.
    let answer = toy.say(&visitor, "hi");
    assert!(matches!(answer.status, 201 | 429), "{}", answer.text);
    toy.advance(62);
    toy.say(&visitor, "hi").ok(201);
}

#[test]
fn n6_the_windows_of_networks_that_went_quiet_are_forgotten_however_many_there_were() {
    let toy = Toy::new("default");
    let (id, key) = toy.shop();
    let id = CredentialId::try_from(id).unwrap();
    let windows = || -> usize {
        let shards = toy.snapshot().into_iter().filter(|((binding, _), _)| binding == "CREDENTIAL");
        shards.map(|(_, shard)| shard.rows.keys().filter(|row| row.starts_with("window/")).count()).sum()
    };
    // More networks than one sweep looks at, all of them at one shard.
    let networks = (0..u32::MAX).map(|number| (number / 250, number % 250));
    let crowd = networks.filter(|(b, c)| shard_for(&id, &format!("10.{b}.{c}.0/24")).ends_with("/07")).take(600);
    for (b, c) in crowd {
        open_from(&toy, &key, &format!("10.{b}.{c}.1")).ok(201);
    }
    assert_eq!(windows(), 600);
    for _ in 0..3 {
        toy.advance(3_700);
    }
    assert_eq!(windows(), 0);
}

#[test]
fn a_clock_that_steps_back_does_not_put_off_forgetting_the_networks_that_went_quiet() {
    let toy = Toy::new("default");
    let (_, key) = toy.shop();
    let windows = || -> usize {
        let rows = |object: Object| object.rows.into_keys().filter(|row| row.starts_with("window/")).count();
        toy.snapshot().into_values().map(rows).sum()
    };
    open_from(&toy, &key, "10.1.1.1").ok(201);
    toy.step_back(36_000);
    open_from(&toy, &key, "10.1.1.1").ok(201);
    assert_eq!(windows(), 1);
    for _ in 0..3 {
        toy.advance(3_700);
    }
    assert_eq!(windows(), 0);
}

#[test]
fn h_neither_rotations_nor_evictions_nor_crashes_nor_a_clock_that_steps_back_admit_one_more() {
    let policy = "brand = \"clv\"\n[scopes]\n[widget]\nmessages_per_minute = 200\nmessages_per_minute_per_conversation = 100000\n";
    let toy = Toy::changed(&[("POLICY_TOML", policy)]);
    let (id, key) = toy.shop();
    let mut visitor = toy.open(&key);
    let mut admitted = 0;
    for call in 0..400 {
        admitted += usize::from(say_from(&toy, &visitor, "192.0.2.1").status == 201);
        match call % 40 {
            9 => toy.forget(),
            19 => {
                let path = format!("/v1/credentials/{id}/rotate");
                visitor.key = toy.admin("POST", &path, &json!({})).ok(201).text_at("secret");
            }
            29 => toy.step_back(30),
            _ => {}
        }
    }
    // Ten crashes, of which each forgot a block of at most ten.
    assert!((100..=200).contains(&admitted), "{admitted}");
}
