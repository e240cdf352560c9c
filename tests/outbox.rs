//! What one object must tell others, row by row: how many targets one look finds, and in which order.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod toy;

use claviger::object::outbox;
use toy::Stored;

fn waiting(targets: usize, messages: usize) -> Stored {
    let keys = (0..targets).flat_map(|target| (1..=messages).map(move |number| (target, number)));
    let rows = keys.map(|(target, number)| (format!("out/CREDENTIAL/k/{target:02}#{number:015}"), vec![0]));
    Stored { rows: rows.collect(), fails: false, ..Stored::default() }
}

#[test]
fn one_look_finds_the_first_message_of_at_most_64_targets_and_the_next_look_goes_on_there() {
    let stored = waiting(70, 3);
    let first = outbox::heads(&stored, "").unwrap();
    assert_eq!(first.len(), 64);
    for (target, head) in first.iter().enumerate() {
        assert_eq!((head.binding.as_str(), head.name.as_str()), ("CREDENTIAL", format!("k/{target:02}").as_str()));
        assert!(head.key.ends_with("#000000000000001"), "{}", head.key);
    }
    let second = outbox::heads(&stored, &first[63].key).unwrap();
    assert_eq!(
        second.iter().map(|head| head.name.as_str()).collect::<Vec<_>>(),
        ["k/64", "k/65", "k/66", "k/67", "k/68", "k/69"]
    );
    assert!(outbox::heads(&stored, &second[5].key).unwrap().is_empty());
}

#[test]
fn a_target_hears_its_messages_in_order_and_nothing_of_anothers() {
    let stored = waiting(2, 2);
    let head = outbox::heads(&stored, "").unwrap().swap_remove(0);
    let next = outbox::next(&stored, &head.key).unwrap().unwrap();
    assert!(next.name == head.name && next.key.ends_with("#000000000000002"), "{next:?}");
    assert_eq!(outbox::next(&stored, &next.key).unwrap(), None);
}
