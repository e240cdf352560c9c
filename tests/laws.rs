//! Laws that every kind of credential obeys: what was issued is believed, and nothing else is, however near it comes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod lawful;

use claviger::{
    credential::{DeployKey, HistorySecret, Kind as _, WidgetKey},
    crypto::keyring::{KeyRing, Purpose},
};
use lawful::*;

#[test]
fn what_was_issued_is_believed_and_only_as_what_it_is() {
    fn law<K: Lawful>() {
        for name in NAMES {
            let sample = K::sample(name);
            let text = text_of(&sample);
            assert_eq!(K::verify(&text, BRAND, &ring()), Some(Ok(sample)), "{text}");
            let kinds = [
                WidgetKey::verify(&text, BRAND, &ring()).is_some(),
                HistorySecret::verify(&text, BRAND, &ring()).is_some(),
                DeployKey::verify(&text, BRAND, &ring()).is_some(),
            ];
            assert_eq!(kinds.iter().filter(|is_one| **is_one).count(), 1, "{text}");
        }
    }
    law::<WidgetKey>();
    law::<HistorySecret>();
    law::<DeployKey>();
    // The laws below stand on these two: a text is taken apart and put together as it was, and a signer's is believed.
    for_every_kind(|text, purpose| {
        let (prefix, bytes) = open(text);
        assert_eq!(close(&prefix, &bytes), text);
        assert_eq!(signed(purpose, &prefix, |_| bytes[..bytes.len() - 32].to_vec()), text);
        assert!(believed(text, BRAND, &ring()));
    });
}

#[test]
fn b1_every_flipped_bit_is_refused() {
    for_every_kind(|text, _| {
        for bit in 0..text.len() * 8 {
            let mut flipped = text.as_bytes().to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // A byte that is no text arrives as U+FFFD.
            refused(&String::from_utf8_lossy(&flipped));
        }
        let (prefix, bytes) = open(text);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            refused(&close(&prefix, &flipped));
        }
    });
}

#[test]
fn b2_every_truncation_and_every_extension_is_refused() {
    for_every_kind(|text, _| {
        for at in 0..text.len() {
            refused(&text[..at]);
            refused(&format!("{}{}", &text[..at], &text[at + 1..]));
            if at > 0 {
                refused(&text[at..]);
            }
        }
        for more in (0..=255).map(char::from).chain(['\u{fffd}', '\u{feff}', '\u{200b}']) {
            refused(&format!("{text}{more}"));
            refused(&format!("{more}{text}"));
        }
        refused(&format!("{text}{text}"));
        let (prefix, bytes) = open(text);
        for at in 0..bytes.len() {
            refused(&close(&prefix, &bytes[..at]));
        }
        for more in [vec![0], vec![255], vec![0; 32], bytes.clone()] {
            refused(&close(&prefix, &[bytes.clone(), more].concat()));
        }
    });
}

#[test]
fn b9_a_tag_of_anything_else_is_refused() {
    for_every_kind(|text, purpose| {
        let (prefix, bytes) = open(text);
        let message = || bytes[..bytes.len() - 32].to_vec();
        for other in Purpose::ALL.into_iter().filter(|other| *other != purpose) {
            refused(&signed(other, &prefix, |_| message()));
        }
        // Another environment's, stage's, deployment's and brand's tag, carried over to this text and the other way round.
        let others = [
            prefix.replace("_live_", "_test_"),
            prefix.replace("_test_", "_live_"),
            prefix.replace("dev:", "prod:"),
            prefix.replace("dev:a", "dev:b"),
            prefix.replace("clv_", "clw_"),
            prefix.replace("_wk_", "_hs_"),
            prefix.replace("_hs_", "_wk_"),
            prefix.replace("_hs_", "_dk_"),
            format!("dev:x|{prefix}"),
            String::new(),
        ];
        for other in others.into_iter().filter(|other| *other != prefix) {
            refused(&close(&other, &bytes));
            let (_, theirs) = open_at(&signed(purpose, &other, |_| message()), other.len());
            refused(&close(&prefix, &theirs));
        }
        // The workspace edited, one character at a time: the tag covers it.
        for at in 2..bytes.len() - 32 {
            let mut edited = bytes.clone();
            edited[at] = if edited[at] == b'z' { b'y' } else { b'z' };
            refused(&close(&prefix, &edited));
        }
        assert!(!believed(text, "clw", &ring()), "another brand");
        assert!(!believed(text, BRAND, &KeyRing::parse(OTHER_ROOT).unwrap()), "another root");
        let demoted = format!("r2:{},{ROOT}:check-only", &OTHER_ROOT[3..]);
        assert!(!believed(text, BRAND, &KeyRing::parse(&demoted).unwrap()), "a demoted root");
        let older = format!("r2:{},{ROOT}", &OTHER_ROOT[3..]);
        assert!(believed(text, BRAND, &KeyRing::parse(&older).unwrap()), "an older root that may still sign");
    });
}

#[test]
fn b10_no_other_version_is_read_even_with_a_genuine_tag() {
    for_every_kind(|text, purpose| {
        let (prefix, bytes) = open(text);
        for version in (0..=255).filter(|version| *version != 1) {
            let mut message = bytes[..bytes.len() - 32].to_vec();
            message[0] = version;
            refused(&signed(purpose, &prefix, |_| message.clone()));
        }
        refused(&signed(purpose, &prefix, |_| bytes[1..bytes.len() - 32].to_vec()));
        refused(&signed(purpose, &prefix, |_| Vec::new()));
        for key_id in (0..=255).filter(|key_id| *key_id != bytes[1]) {
            let mut message = bytes[..bytes.len() - 32].to_vec();
            message[1] = key_id;
            refused(&signed(purpose, &prefix, |_| message.clone()));
        }
    });
}

#[test]
fn b13_fields_do_not_shift_into_each_other() {
    for_every_kind(|text, purpose| {
        let (prefix, bytes) = open(text);
        let message = &bytes[..bytes.len() - 32];
        let (first, rest) = (usize::from(message[2]), &message[3..]);
        // The same concatenation, cut elsewhere: (`ab`, `c`) for (`a`, `bc`), with the old tag and with a genuine one.
        for cut in 0..first {
            let shifted = [
                &message[..2],
                &[u8::try_from(cut).unwrap()],
                &rest[..cut],
                &[u8::try_from(first - cut + 8).unwrap()],
                &rest[cut..first],
                &rest[first + 1..],
            ]
            .concat();
            refused(&close(&prefix, &[&shifted, &bytes[bytes.len() - 32..]].concat()));
            refused(&signed(purpose, &prefix, |_| shifted.clone()));
        }
        // With a genuine tag: a field too many, one too few, one that reaches into the tag, one of another length.
        refused(&signed(purpose, &prefix, |_| [message, &[0]].concat()));
        refused(&signed(purpose, &prefix, |_| [message, &[1, 65]].concat()));
        refused(&signed(purpose, &prefix, |_| [message, &[8, 0, 0, 0, 0, 0, 0, 0, 1]].concat()));
        refused(&signed(purpose, &prefix, |_| message[..message.len() - 9].to_vec()));
        refused(&signed(purpose, &prefix, |_| message[..message.len() - 1].to_vec()));
        refused(&signed(purpose, &prefix, |_| {
            [&message[..message.len() - 9], &[40], &message[message.len() - 8..]].concat()
        }));
        refused(&signed(purpose, &prefix, |_| {
            [&message[..message.len() - 9], &[7], &message[message.len() - 7..]].concat()
        }));
        refused(&signed(purpose, &prefix, |_| [&message[..2], &[0], &message[3 + first..]].concat()));
    });
}

#[test]
fn b14_a_tag_has_32_bytes_and_they_are_the_right_ones() {
    for_every_kind(|text, _| {
        let (prefix, bytes) = open(text);
        let (message, tag) = bytes.split_at(bytes.len() - 32);
        let wrong = [
            vec![],
            vec![0],
            vec![0; 16],
            vec![0; 31],
            vec![0; 32],
            vec![255; 32],
            vec![0; 33],
            tag[..1].to_vec(),
            tag[..16].to_vec(),
            tag[..31].to_vec(),
            [tag, &[0]].concat(),
            [tag, tag].concat(),
            [&[0], tag].concat(),
        ];
        for tag in wrong {
            refused(&close(&prefix, &[message, &tag].concat()));
        }
        refused(&prefix);
    });
}

#[test]
fn b16_credentials_that_differ_only_at_the_end_of_a_long_name_differ() {
    let names: [String; 2] = [format!("{}x", "w".repeat(63)), format!("{}y", "w".repeat(63))];
    fn law<K: Lawful>(names: &[String; 2]) {
        let (one, other) = (text_of(&K::sample(&names[0])), text_of(&K::sample(&names[1])));
        let ((one_prefix, one), (other_prefix, other)) = (open(&one), open(&other));
        assert!(one_prefix.len() + one.len() > 72 + 32, "longer than any block that might be cut");
        assert_ne!(one[one.len() - 32..], other[other.len() - 32..]);
        refused(&close(&one_prefix, &[&one[..one.len() - 32], &other[other.len() - 32..]].concat()));
        refused(&close(&other_prefix, &[&other[..other.len() - 32], &one[one.len() - 32..]].concat()));
    }
    law::<WidgetKey>(&names);
    law::<HistorySecret>(&names);
    law::<DeployKey>(&names);
}

/// Verifiers with one mistake each: the laws above would catch every one of them.
#[test]
fn a_broken_verifier_would_be_caught() {
    let text = text_of(&WidgetKey::sample("a"));
    let (prefix, bytes) = open(&text);
    let (message, tag) = bytes.split_at(bytes.len() - 32);
    let genuine = |covered: &[u8], start: &[u8]| {
        let (found, _) = ring().sign(Purpose::WidgetKey, |_| covered.to_vec()).unwrap();
        found.starts_with(start)
    };
    // Compares only the first half of the tag: a flipped bit in the other half is believed (b1, b14).
    let mut flipped = bytes.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let whole = [prefix.as_bytes(), message].concat();
    assert!(genuine(&whole, &flipped[message.len()..][..16]) && !genuine(&whole, &flipped[message.len()..]));
    assert!(genuine(&whole, tag));
    // Compares as much as was sent: a tag of no bytes is believed (b14).
    assert!(genuine(&whole, &[]));
    // Leaves the prefix out of the tag: the other environment's is the same (b9).
    let (live, _) = ring().sign(Purpose::WidgetKey, |_| message.to_vec()).unwrap();
    assert!(genuine(message, &live) && !genuine(&whole, &live));
    // Leaves the lengths out: two lists of fields are one message (b13).
    let (one, other) = (["ab", "c"].concat(), ["a", "bc"].concat());
    assert!(genuine(one.as_bytes(), &ring().sign(Purpose::WidgetKey, |_| other.into_bytes()).unwrap().0));
}
