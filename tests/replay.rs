//! What is kept of idempotency keys: a row and its place in time for a day, and then neither.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod toy;

use toy::{Toy, Visitor};

const DAY: u64 = 86_400;

fn say(toy: &Toy, visitor: &Visitor, key: &str) {
    toy.visit_with(visitor, "POST", "messages", &[("idempotency-key", key)], "{\"text\":\"hi\"}").ok(201);
}

/// Rows of keys, and rows that find them by time.
fn kept(toy: &Toy, visitor: &Visitor) -> (usize, usize) {
    let objects = toy.objects.borrow();
    let (_, object) = objects.iter().find(|((_, name), _)| *name == visitor.conversation).unwrap();
    let count = |prefix: &str| object.rows.keys().filter(|key| key.starts_with(prefix)).count();
    (count("retry/"), count("retry-at/"))
}

#[test]
fn expired_keys_are_cleared_away_eight_at_a_time_and_living_ones_are_not() {
    let toy = Toy::new("default");
    let visitor = toy.conversation();
    for number in 0..12 {
        say(&toy, &visitor, &format!("old-{number}"));
        toy.advance(1);
    }
    assert_eq!(kept(&toy, &visitor), (12, 12));
    // The first four are a day old and a moment more.
    toy.advance(DAY - 8);
    say(&toy, &visitor, "a");
    assert_eq!(kept(&toy, &visitor), (9, 9));
    toy.advance(60);
    say(&toy, &visitor, "b");
    assert_eq!(kept(&toy, &visitor), (2, 2));
    for number in 0..12 {
        say(&toy, &visitor, &format!("new-{number}"));
        toy.advance(1);
    }
    toy.advance(DAY + 60);
    say(&toy, &visitor, "c");
    assert_eq!(kept(&toy, &visitor), (14 - 8 + 1, 14 - 8 + 1));
    say(&toy, &visitor, "d");
    assert_eq!(kept(&toy, &visitor), (2, 2));
}

#[test]
fn i19_an_expired_key_that_cannot_be_read_is_cleared_away_too_and_holds_up_nobody() {
    let toy = Toy::new("default");
    let visitor = toy.conversation();
    say(&toy, &visitor, "old");
    for ((_, name), object) in
        toy.objects.borrow_mut().iter_mut().filter(|((_, name), _)| *name == visitor.conversation)
    {
        let row = object.rows.iter_mut().find(|(key, _)| key.starts_with("retry/")).expect(name).1;
        *row = vec![0xff];
    }
    toy.advance(DAY + 1);
    say(&toy, &visitor, "new");
    assert_eq!(kept(&toy, &visitor), (1, 1));
}
