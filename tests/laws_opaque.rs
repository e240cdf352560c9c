//! Laws of opaque credentials: what was issued is known by its check, nothing near it is, and the format stays what it was.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod lawful;
#[path = "lawful/opaque.rs"]
mod opaque;
mod toy;

use claviger::{
    credential::{CredentialKind, digest},
    crypto::keyring::{KeyRing, Purpose},
};
use lawful::{BRAND, OTHER_ROOT, ROOT, believed, ring};
use opaque::{DIGITS, SHAPES, read, write};
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use toy::{Answer, Toy, idle};

const LOCATOR: usize = 8;
const SECRET: usize = 18;
const CHECK: usize = 6;
const LENGTH: usize = LOCATOR + SECRET + CHECK;

/// Numbers that only look like chance: the same in every run.
fn dice(number: u64) -> [u8; 16] {
    Sha256::digest(number.to_be_bytes())[..16].try_into().unwrap()
}

fn rings(text: &str) -> KeyRing {
    KeyRing::parse(text).unwrap()
}

fn other_root() -> String {
    format!("r2:{}", &OTHER_ROOT[3..])
}

/// Presents a text in the place of its kind.
fn present(toy: &Toy, kind: CredentialKind, text: &str) -> Answer {
    match kind {
        CredentialKind::ServiceToken => {
            toy.send("GET", "/v1/whoami", &[("x-service-token", text), ("x-service-name", "a")], "")
        }
        _ => toy.whoami(text),
    }
}

/// Computed by another program, with HMAC and SHA-256 alone. It must never change: customers hold such keys.
#[test]
fn the_format_is_the_one_that_customers_hold() {
    let place = std::array::from_fn(|at| at as u8);
    let secret = std::array::from_fn(|at| 100 + at as u8);
    for (shape, text) in SHAPES.into_iter().zip([
        "clv_live_5Q4iTM5QvmCEs9oWvoHNMgSDf226a7vU",
        "clv_test_5Q4iTM5QvmCEs9oWvoHNMgSDf2u5EnDx",
        "clv_st_live_5Q4iTM5QvmCEs9oWvoHNMgSDf2qqrdMp",
        "clv_st_test_5Q4iTM5QvmCEs9oWvoHNMgSDf2PEw34M",
    ]) {
        assert_eq!(write(shape, (place, secret), BRAND, &ring()), text);
        assert_eq!(read(text, BRAND, &ring()), Some((shape.0, shape.1, "5Q4iTM5Q".to_owned())));
    }
    let other = "gs_live_5Q4iTM5QvmCEs9oWvoHNMgSDf2Uyy1Pj";
    assert_eq!(write(SHAPES[0], (place, secret), "gs", &ring()), other);
    let hex: String = digest(other).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "1f29cd3eec279979fbb378f3a2a6d52618c4ce76f34bd1e1105e0e4dbadb3863");
}

#[test]
fn a_check_is_known_under_every_root_of_the_ring_and_made_by_none_that_was_demoted() {
    for (number, shape) in (0..).zip(SHAPES) {
        let dice = (dice(number), dice(number + 100));
        let write = |roots: &str| write(shape, dice, BRAND, &rings(roots));
        let reads = |text: &str, roots: &str| read(text, BRAND, &rings(roots)).is_some();
        let (old, new) = (write(ROOT), write(&other_root()));
        assert_ne!(old[old.len() - CHECK..], new[new.len() - CHECK..]);
        let other = other_root();
        let (both, turned) = (format!("{other},{ROOT}"), format!("{ROOT},{other}"));
        let demoted = format!("{other},{ROOT}:check-only");
        let first_demoted = format!("{ROOT}:check-only,{other}");
        for ring in [&both, &turned, &demoted, &first_demoted] {
            assert!(reads(&old, ring) && reads(&new, ring), "{shape:?}");
        }
        assert!(!reads(&old, &other) && !reads(&new, ROOT), "a root that is not in the ring");
        // The first that may sign makes what is new.
        for (ring, made) in [(&both, &new), (&turned, &old), (&demoted, &new), (&first_demoted, &new)] {
            assert_eq!(&write(ring), made);
        }
        // Whoever holds a sub-key for something else neither makes nor knows any.
        let sub_key = KeyRing::derive_sub_key(ROOT, Purpose::DeployKey).unwrap();
        assert!(read(&old, BRAND, &KeyRing::parse_sub_key(&sub_key, Purpose::DeployKey).unwrap()).is_none());
    }
}

#[test]
fn a_demoted_root_ends_no_server_key_and_a_root_that_is_gone_ends_all() {
    let mut toy = Toy::new("default");
    toy.workspace("acme");
    let (id, key) = toy.server_key("acme", "live", &Value::Null);
    let (_, token) = toy.service_token("acme", "live", "a", &Value::Null);
    let (_, widget_key) = toy.widget_key("acme", "live", &[toy::ORIGIN]);
    let roots = |toy: &mut Toy, roots: &str| toy.config = Toy::changed(&[("ROOT_SECRETS", roots)]).config;
    let open = |toy: &Toy| toy.send("POST", &format!("/w/{widget_key}/conversations"), &[("origin", toy::ORIGIN)], "");
    roots(&mut toy, &format!("{},{ROOT}:check-only", other_root()));
    toy.whoami(&key).ok(200);
    present(&toy, CredentialKind::ServiceToken, &token).ok(200);
    idle(&open(&toy), 401, "invalid_credential");
    // What is handed out now is under the new root.
    let next = toy.admin("POST", &format!("/v1/credentials/{id}/rotate"), &json!({})).ok(201).text_at("secret");
    let (_, another) = toy.server_key("acme", "live", &Value::Null);
    roots(&mut toy, &other_root());
    idle(&toy.whoami(&key), 401, "invalid_credential");
    idle(&present(&toy, CredentialKind::ServiceToken, &token), 401, "invalid_credential");
    toy.whoami(&next).ok(200);
    toy.whoami(&another).ok(200);
}

/// The check is not the proof: whoever has the root, demoted or not, opens nothing with it.
#[test]
fn b4_b5_a_genuine_check_around_a_secret_that_was_never_issued_opens_nothing() {
    let toy = Toy::new("default");
    toy.workspace("acme");
    let (_, key) = toy.server_key("acme", "live", &Value::Null);
    let before = toy.snapshot();
    for number in 0..50 {
        // The place of the key that there is, with another secret; and a place where nothing is.
        let stranger = write(SHAPES[0], (dice(number), dice(number + 1)), BRAND, &ring());
        let neighbour = write(SHAPES[0], (place(&key[9..17]), dice(number)), BRAND, &ring());
        assert_eq!(neighbour[..17], key[..17]);
        let answers = [stranger, neighbour].map(|text| {
            let answer = toy.whoami(&text);
            answer.refused(401, "invalid_credential");
            assert_eq!(answer.hops, 1);
            let log = answer.log.to_string();
            assert!(!log.contains("sk_"), "nobody is known by it: {log}");
            (answer.text, answer.headers)
        });
        assert_eq!(answers[0], answers[1], "nobody learns which half was wrong");
    }
    let kept = |objects: BTreeMap<toy::Name, toy::Object>| {
        objects.into_iter().filter(|(_, object)| !object.rows.is_empty()).collect::<Vec<_>>()
    };
    assert!(kept(toy.snapshot()) == kept(before), "something of it was kept");
    toy.whoami(&key).ok(200);
}

/// Dice that draw this place.
fn place(text: &str) -> [u8; 16] {
    let number = text.chars().fold(0u128, |number, c| number * 62 + DIGITS.find(c).unwrap() as u128);
    number.to_le_bytes()
}

#[test]
fn b1_b2_every_changed_character_every_cut_and_every_extension_is_refused() {
    for (number, shape) in (0..).zip(SHAPES) {
        let text = write(shape, (dice(number), dice(number + 1)), BRAND, &ring());
        assert_eq!(text.len(), shape.2.len() + LENGTH);
        let others = DIGITS.chars().chain("_-=+/. ,;%\t\n\0ÄäА０\u{feff}\u{fffd}".chars());
        for other in others {
            for at in 0..text.len() {
                let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
                assert!(changed == text || !any(&changed), "{changed}");
                assert!(!any(&format!("{}{other}{}", &text[..at], &text[at..])), "{other} at {at}");
            }
            assert!(!any(&format!("{text}{other}")), "{other} behind");
        }
        for at in 0..text.len() {
            assert!(!any(&text[..at]) && !any(&text[at + 1..]), "cut at {at}");
            assert!(!any(&format!("{}{}", &text[..at], &text[at + 1..])), "without {at}");
            let mut swapped: Vec<char> = text.chars().collect();
            swapped.swap(at, (at + 1) % text.len());
            let swapped: String = swapped.into_iter().collect();
            assert!(swapped == text || !any(&swapped), "{swapped}");
            for bit in 0..8 {
                let mut flipped = text.as_bytes().to_vec();
                flipped[at] ^= 1 << bit;
                assert!(!any(&String::from_utf8_lossy(&flipped)));
            }
        }
    }
}

/// Whether any kind at all takes it for its own.
fn any(text: &str) -> bool {
    believed(text, BRAND, &ring())
}

fn shape() -> impl Strategy<Value = usize> {
    0..SHAPES.len()
}

/// What comes near a credential and is none.
fn near(text: &str, prefix: &str) -> Vec<String> {
    let body = &text[prefix.len()..];
    let percent = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let (first, last) = (&body[..1], &body[LENGTH - 1..]);
    let mut near = vec![
        text.to_uppercase(),
        text.to_lowercase(),
        text.chars().map(|c| if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }).collect(),
        format!("{prefix}{}", body.chars().rev().collect::<String>()),
        body.to_owned(),
        percent(text),
        format!("{prefix}{}", percent(body)),
        format!("{prefix}{}{}", percent(first), &body[1..]),
        format!("{prefix}{}{}", &body[..LENGTH - 1], percent(last)),
        text.replacen('_', "%5F", 1),
        text.replacen('_', "-", 1),
        text.replacen('_', "__", 1),
        text.replacen('_', "", 1),
        format!("_{text}"),
        format!("{prefix}{first}{body}"),
        format!("{text}{last}"),
        format!("{text}{text}"),
        format!("{text}="),
        format!("{prefix}{}-{}", &body[..LOCATOR], &body[LOCATOR..]),
        format!("{prefix}{}_{}", &body[..LENGTH - CHECK], &body[LENGTH - CHECK..]),
        format!("{prefix}{}", &body[..LENGTH - CHECK]),
        format!("{prefix}{}{}", &body[..LENGTH - CHECK], "0".repeat(CHECK)),
        format!("{prefix}{}", "0".repeat(LENGTH)),
        format!("dev:local|{text}"),
        format!("Bearer {text}"),
        format!("\"{text}\""),
        format!("{prefix}{}", body.replace(first, "\u{ff10}")),
    ];
    let prefixes = ["clv_live_", "clv_test_", "clv_st_live_", "clv_st_test_", "clv_wk_live_", "clv_wk_test_"];
    let more = ["clv_hs_live_", "clv_is_", "clv_dk_", "dev:local|clv_dk_", "clv_at_live_", "clv_rt_live_", "clv_prod_"];
    let brands = ["clw_live_", "gs_live_", "CLV_live_", "clv_LIVE_", "clv_ST_live_", "cl_live_", "live_", "_live_", ""];
    let others = prefixes.into_iter().chain(more).chain(brands).filter(|other| *other != prefix);
    near.extend(others.map(|other| format!("{other}{body}")));
    near.retain(|near| near != text);
    near
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn b1_b2_b3_b7_b10_b12_what_comes_near_a_key_is_refused_in_every_place_without_a_hop(
        which in shape(), place: [u8; 16], secret: [u8; 16], at in 0..LENGTH, step in 1..62usize,
    ) {
        let (kind, _, prefix) = SHAPES[which];
        let text = write(SHAPES[which], (place, secret), BRAND, &ring());
        let mut others = near(&text, prefix);
        let known = DIGITS.find(&text[prefix.len() + at..][..1]).unwrap();
        let other = &DIGITS[(known + step) % 62..][..1];
        others.push(format!("{}{other}{}", &text[..prefix.len() + at], &text[prefix.len() + at + 1..]));
        let toy = Toy::new("default");
        for other in others {
            prop_assert!(!any(&other), "{}", other);
            for kind in [kind, CredentialKind::ServerKey, CredentialKind::ServiceToken] {
                let answer = present(&toy, kind, &other);
                prop_assert_eq!((answer.status, answer.code(), answer.hops), (401, "invalid_credential", 0), "{}", other);
            }
            let answer = toy.send("GET", "/v1/whoami", &[("x-api-key", &other)], "");
            prop_assert_eq!((answer.status, answer.code(), answer.hops), (401, "invalid_credential", 0), "{}", other);
        }
        prop_assert!(toy.objects.borrow().is_empty());
    }

    #[test]
    fn what_is_written_is_read_back_and_only_by_its_kind_and_brand(which in shape(), place: [u8; 16], secret: [u8; 16]) {
        let (kind, environment, prefix) = SHAPES[which];
        let text = write(SHAPES[which], (place, secret), BRAND, &ring());
        let body = text.strip_prefix(prefix).unwrap();
        prop_assert!(body.len() == LENGTH && body.chars().all(|c| DIGITS.contains(c)), "{}", text);
        prop_assert_eq!(read(&text, BRAND, &ring()), Some((kind, environment, body[..LOCATOR].to_owned())));
        prop_assert_eq!(read(&text, "clw", &ring()), None);
        prop_assert_eq!(read(&text, BRAND, &rings(OTHER_ROOT)), None);
        // Another secret at the same place is another text, with another check.
        let mut other = secret;
        other[0] ^= 1;
        let other = write(SHAPES[which], (place, other), BRAND, &ring());
        prop_assert_eq!(&other[..prefix.len() + LOCATOR], &text[..prefix.len() + LOCATOR]);
        prop_assert_ne!(&other[prefix.len() + LOCATOR..text.len() - CHECK], &text[prefix.len() + LOCATOR..text.len() - CHECK]);
        prop_assert_ne!(&other[text.len() - CHECK..], &text[text.len() - CHECK..]);
    }

    #[test]
    fn no_text_at_all_is_taken_for_one(text in "(clv_)?(st_)?(live_|test_)?[0-9A-Za-z]{0,40}") {
        prop_assert!(!any(&text));
    }
}

/// Every character as often as any other, in every place: with chance, the sum stays within a few hundred of its mean.
#[test]
fn the_characters_are_drawn_evenly_and_no_two_are_drawn_alike() {
    const KEYS: usize = 6_200;
    let (mut counts, mut seen) = (vec![[0usize; 62]; LENGTH], [(); 3].map(|()| BTreeSet::new()));
    for number in 0..KEYS as u64 {
        let text = write(SHAPES[0], (dice(2 * number), dice(2 * number + 1)), BRAND, &ring());
        let body = &text["clv_live_".len()..];
        for (at, c) in body.chars().enumerate() {
            counts[at][DIGITS.find(c).unwrap()] += 1;
        }
        let parts = [&body[..LOCATOR], &body[LOCATOR..LOCATOR + SECRET], &body[LENGTH - CHECK..]];
        for (part, seen) in parts.into_iter().zip(&mut seen) {
            seen.insert(part.to_owned());
        }
    }
    assert_eq!([seen[0].len(), seen[1].len()], [KEYS; 2], "places and secrets");
    assert!(seen[2].len() > KEYS - 3, "checks");
    let expected = (KEYS / 62) as f64;
    for (at, counts) in counts.iter().enumerate() {
        let distance = |count: &usize| (*count as f64 - expected).powi(2) / expected;
        let sum: f64 = counts.iter().map(distance).sum();
        // 61 degrees of freedom: a mean of 61, a deviation of 11; six deviations either way.
        assert!((5.0..128.0).contains(&sum), "place {at}: {sum}");
    }
}
