//! What the chain proves: any change of any row is found and named, and signed heads hold whoever keeps the storage to it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod toy;

use claviger::{
    audit::{Act, Ask, By, Checkpoint, Entry, Event, Head, Report, Signature},
    codec::cbor,
    crypto::keyring::KeyRing,
    machines::{
        deployment::Deployment,
        workspace::{self, Workspace},
    },
    object::machine::{Machine as _, World as _},
};
use proptest::prelude::*;
use serde_json::{Value, json};
use toy::{Name, ROOT, Toy};

const HOUR: u64 = 3_600;

fn acme() -> Name {
    (Workspace::BINDING.to_owned(), "acme".to_owned())
}

fn verify(toy: &Toy) -> Value {
    toy.admin("GET", "/v1/audit/verify?workspace=acme", &Value::Null).ok(200).json
}

fn export(toy: &Toy, after: u64) -> String {
    toy.admin("GET", &format!("/v1/audit/export?workspace=acme&after={after}"), &Value::Null).ok(200).text
}

/// A chain of `events` acts, with a checkpoint in the middle.
fn scene(events: usize) -> Toy {
    let toy = Toy::new("default");
    let (id, _) = toy.shop();
    for event in 2..events {
        toy.admin("PATCH", &format!("/v1/credentials/{id}"), &json!({"name": event.to_string()})).ok(200);
        if event == events / 2 {
            toy.advance(HOUR);
        }
    }
    toy
}

/// One event more, told by another object.
fn tell(toy: &Toy, sequence: u64) {
    let by = By { actor: "x:y".to_owned(), request_id: "req_1".to_owned(), network: None };
    let entry = Entry::done(Act::CredentialRefuse, by, "z", toy.now());
    let report = Report { chain: "workspace:acme".to_owned(), source: "s".to_owned(), sequence, entry };
    toy.tell::<Workspace>("acme", workspace::Command::Report(report)).unwrap();
}

fn row(seq: usize) -> String {
    format!("audit/{seq:015}")
}

fn read(toy: &Toy, seq: usize) -> Event {
    cbor::read(&toy.objects.borrow()[&acme()].rows[&row(seq)]).unwrap()
}

fn write(toy: &Toy, key: String, value: Option<Vec<u8>>) {
    let mut objects = toy.objects.borrow_mut();
    let rows = &mut objects.get_mut(&acme()).unwrap().rows;
    match value {
        Some(value) => rows.insert(key, value),
        None => rows.remove(&key),
    };
}

fn put(toy: &Toy, seq: usize, event: &Event) {
    write(toy, row(seq), Some(cbor::write(event)));
}

fn head(toy: &Toy) -> Head {
    cbor::read(&toy.objects.borrow()[&acme()].rows["audit-head"]).unwrap()
}

/// Changes one member of an event to another text.
fn tamper(event: &mut Event, member: usize, text: &str) {
    let other = |known: &str| if known == text { format!("{text}x") } else { text.to_owned() };
    match member {
        0 => event.at = other(&event.at),
        1 => event.actor = other(&event.actor),
        2 => event.action = other(&event.action),
        3 => event.target = other(&event.target),
        4 => event.outcome = other(&event.outcome),
        5 => event.reason = Some(other(event.reason.as_deref().unwrap_or_default())),
        6 => event.request_id = other(&event.request_id),
        7 => event.network = Some(other(event.network.as_deref().unwrap_or_default())),
        8 => event.count = Some(event.count.unwrap_or_default() + 1),
        9 => event.prev = other(&event.prev),
        10 => event.hash = other(&event.hash),
        _ => event.seq += 1,
    }
}

#[test]
fn l1_any_tampering_is_found_and_the_first_bad_event_is_named() {
    const EVENTS: usize = 12;
    let toy = scene(EVENTS);
    let sound = toy.snapshot();
    assert_eq!(verify(&toy)["valid"], true, "{}", verify(&toy));
    assert_eq!(verify(&toy)["count"], EVENTS);
    let restore = || *toy.objects.borrow_mut() = sound.clone();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let what = (0..16_usize, 1..=EVENTS, ".{0,8}", 1..=EVENTS);
    runner
        .run(&what, |(kind, seq, text, other)| {
            restore();
            let first = match kind {
                0..=11 => {
                    let mut event = read(&toy, seq);
                    tamper(&mut event, kind, &text);
                    put(&toy, seq, &event);
                    seq
                }
                // Removed.
                12 => {
                    write(&toy, row(seq), None);
                    seq
                }
                // Cut off.
                13 => {
                    (seq..=EVENTS).for_each(|seq| write(&toy, row(seq), None));
                    seq
                }
                // Two exchanged; or one put over another.
                14 if seq != other => {
                    let (one, two) = (read(&toy, seq), read(&toy, other));
                    put(&toy, seq, &two);
                    put(&toy, other, &one);
                    seq.min(other)
                }
                15 if seq != other => {
                    put(&toy, seq, &read(&toy, other));
                    seq
                }
                _ => return Ok(()),
            };
            let found = verify(&toy);
            prop_assert_eq!(&found["valid"], false, "{} {} {}", kind, seq, found);
            prop_assert_eq!(found["first_bad"].as_u64(), Some(first as u64), "{} {}", kind, found);
            Ok(())
        })
        .unwrap();
}

/// Whoever can write rows can compute hashes too: only the checkpoints stand against that.
#[test]
fn l2_l3_a_chain_that_was_computed_anew_or_cut_contradicts_its_checkpoints() {
    let toy = scene(12);
    let sound = toy.snapshot();
    let covered = verify(&toy)["checkpoints"].clone();
    assert_eq!(covered, json!({"sound": 1, "unsigned": 0}));
    let rewrite = |from: usize, to: usize| {
        let mut prev = read(&toy, from).prev;
        for seq in from..=to {
            let mut event = read(&toy, seq);
            (event.actor, event.prev) = ("deploy_key:somebody_else".to_owned(), prev);
            event.hash = event.digest();
            put(&toy, seq, &event);
            prev = event.hash;
        }
        let mut known = head(&toy);
        (known.seq, known.hash) = (to as u64, prev);
        write(&toy, "audit-head".to_owned(), Some(cbor::write(&known)));
        (to + 1..=12).for_each(|seq| write(&toy, row(seq), None));
    };
    // A row before the checkpoint.
    rewrite(3, 12);
    assert_eq!((verify(&toy)["valid"].clone(), verify(&toy)["first_bad"].clone()), (json!(false), json!(7)));
    // The object's own checkpoint is gone as well: the deployment has a copy.
    write(&toy, format!("checkpoint/{:015}", 7), None);
    assert_eq!(verify(&toy)["first_bad"], 7);
    // Everything was cut off behind the third event, with head and checkpoint.
    *toy.objects.borrow_mut() = sound.clone();
    rewrite(3, 3);
    write(&toy, format!("checkpoint/{:015}", 7), None);
    assert_eq!(verify(&toy)["first_bad"], 4);
    // What came after the last checkpoint can be rewritten by whoever holds the storage: that is the limit.
    *toy.objects.borrow_mut() = sound;
    rewrite(8, 12);
    assert_eq!(verify(&toy)["valid"], true);
}

#[test]
fn a_chain_that_is_cut_below_any_of_its_checkpoints_is_not_sound() {
    let toy = scene(12);
    let sound = toy.snapshot();
    let held = format!("held/workspace:acme/{:015}", 7);
    let cut = |to: usize| {
        let event = read(&toy, to);
        let mut known = head(&toy);
        (known.seq, known.hash) = (to as u64, event.hash);
        write(&toy, "audit-head".to_owned(), Some(cbor::write(&known)));
        (to + 1..=12).for_each(|seq| write(&toy, row(seq), None));
    };
    // Its own checkpoint is still there, the deployment's copy is not; and the other way round.
    for own in [true, false] {
        *toy.objects.borrow_mut() = sound.clone();
        cut(5);
        if own {
            let mut objects = toy.objects.borrow_mut();
            let deployment = objects.get_mut(&(Deployment::BINDING.to_owned(), "local".to_owned())).unwrap();
            assert!(deployment.rows.remove(&held).is_some());
        } else {
            write(&toy, format!("checkpoint/{:015}", 7), None);
        }
        let found = verify(&toy);
        assert_eq!((&found["valid"], &found["first_bad"]), (&json!(false), &json!(6)), "{found}");
    }
    // Everything is gone but a checkpoint.
    *toy.objects.borrow_mut() = sound.clone();
    (1..=12).for_each(|seq| write(&toy, row(seq), None));
    write(&toy, "audit-head".to_owned(), None);
    assert_eq!(verify(&toy)["first_bad"], 1);
    // An export shows it as well: the checkpoint lies on no event.
    *toy.objects.borrow_mut() = sound;
    cut(5);
    let checkpoints = export(&toy, 0).lines().filter(|line| line.contains("\"seq\":7")).count();
    assert_eq!(checkpoints, 1);
}

#[test]
fn a_chain_without_its_head_is_not_sound_and_does_not_begin_anew() {
    let toy = scene(12);
    let id = read(&toy, 2).target;
    write(&toy, "audit-head".to_owned(), None);
    let found = verify(&toy);
    assert_eq!((&found["valid"], &found["first_bad"]), (&json!(false), &json!(1)), "{found}");
    let before = toy.snapshot()[&acme()].rows.clone();
    let answer = toy.admin("POST", &format!("/v1/credentials/{id}/rotate"), &json!({}));
    assert!(answer.status >= 500, "{}", answer.text);
    assert_eq!(toy.snapshot()[&acme()].rows, before, "what could not be recorded was not done");
    // Also where its events cannot be read.
    (1..=12).for_each(|seq| write(&toy, row(seq), Some(b"?".to_vec())));
    let path = "/v1/audit/verify?workspace=acme";
    let found = toy.admin("GET", path, &Value::Null);
    assert!(found.status >= 500, "{}", found.text);
}

/// The clock was ahead when the head moved, and is right again: it is not waited for.
#[test]
fn a_clock_that_steps_back_does_not_stop_the_checkpoints() {
    let toy = Toy::new("default");
    toy.advance(1_000 * HOUR);
    let (id, _) = toy.shop();
    toy.step_back(1_000 * HOUR);
    let own = || toy.snapshot()[&acme()].rows.keys().filter(|key| key.starts_with("checkpoint/")).count();
    let path = format!("/v1/credentials/{id}");
    toy.send("PATCH", &path, &[("authorization", &toy.deploy_key())], "{\"name\":\"x\"}").ok(200);
    toy.advance(HOUR);
    assert_eq!(own(), 1);
    toy.send("PATCH", &path, &[("authorization", &toy.deploy_key())], "{\"name\":\"y\"}").ok(200);
    toy.advance(HOUR);
    assert_eq!(own(), 2);
}

#[test]
fn a_head_that_moved_is_signed_after_an_hour_and_no_other() {
    let toy = Toy::new("default");
    let (id, _) = toy.shop();
    let own = |toy: &Toy| {
        let rows = toy.snapshot()[&acme()].rows.clone();
        rows.into_iter().filter(|(key, _)| key.starts_with("checkpoint/")).collect::<Vec<_>>()
    };
    toy.advance(HOUR - 1);
    assert!(own(&toy).is_empty());
    toy.advance(1);
    assert_eq!(own(&toy).len(), 1);
    toy.advance(10 * HOUR);
    assert_eq!(own(&toy).len(), 1, "the head has not moved");
    toy.admin("PATCH", &format!("/v1/credentials/{id}"), &json!({"name": "x"})).ok(200);
    toy.advance(2 * HOUR);
    assert_eq!(own(&toy).len(), 2);

    let checkpoint: Checkpoint = cbor::read(&own(&toy)[1].1).unwrap();
    assert_eq!((checkpoint.chain.as_str(), checkpoint.seq), ("workspace:acme", 3));
    assert_eq!(checkpoint.at, "2026-01-01T12:00:00.000Z");
    let ring = KeyRing::parse(ROOT).unwrap();
    assert_eq!(checkpoint.signature(&ring), Signature::Sound);
    for change in [
        Checkpoint { chain: "workspace:other".to_owned(), ..checkpoint.clone() },
        Checkpoint { seq: 4, ..checkpoint.clone() },
        Checkpoint { hash: "0".repeat(64), ..checkpoint.clone() },
        Checkpoint { at: "2026-01-01T13:00:00.000Z".to_owned(), ..checkpoint.clone() },
        Checkpoint { signature: String::new(), ..checkpoint.clone() },
    ] {
        assert_eq!(change.signature(&ring), Signature::Forged);
    }
    let other = "r2:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";
    assert_eq!(checkpoint.signature(&KeyRing::parse(other).unwrap()), Signature::Unknown);
    let demoted = KeyRing::parse(&format!("{other},{ROOT}:check-only")).unwrap();
    assert_eq!(checkpoint.signature(&demoted), Signature::Unknown);

    // The deployment keeps the workspace's, and signs its own head.
    let rows = toy.snapshot()[&(Deployment::BINDING.to_owned(), "local".to_owned())].rows.clone();
    let kept = rows.get(&format!("held/workspace:acme/{:015}", 3)).unwrap();
    assert_eq!(cbor::read::<Checkpoint>(kept).unwrap(), checkpoint);
    assert!(rows.keys().any(|key| key.starts_with("checkpoint/")));
}

#[test]
fn the_deployment_keeps_the_last_240_checkpoints_of_a_workspace() {
    let toy = Toy::new("default");
    toy.workspace("acme");
    for sequence in 1..=250 {
        tell(&toy, sequence);
        toy.advance(HOUR);
    }
    let rows = toy.snapshot()[&(Deployment::BINDING.to_owned(), "local".to_owned())].rows.clone();
    let kept: Vec<&String> = rows.keys().filter(|key| key.starts_with("held/")).collect();
    assert_eq!((kept.len(), kept[0].as_str()), (240, "held/workspace:acme/000000000000012"));
    assert_eq!(verify(&toy)["valid"], true);
}

#[test]
fn without_a_ring_nothing_is_signed_and_nothing_breaks() {
    let mut toy = Toy::new("default");
    toy.shop();
    let config = std::mem::replace(&mut toy.config, Err(claviger::error::Reason::Unavailable));
    toy.advance(3 * HOUR);
    assert!(toy.snapshot()[&acme()].rows.keys().all(|key| !key.starts_with("checkpoint/")));
    toy.config = config;
    toy.advance(HOUR);
    assert!(toy.snapshot()[&acme()].rows.keys().any(|key| key.starts_with("checkpoint/")), "it was tried again");
    assert_eq!(verify(&toy)["checkpoints"]["sound"], 1);
}

#[test]
fn an_export_has_every_event_every_checkpoint_and_its_end_signed_and_goes_on_where_it_stopped() {
    let toy = Toy::new("default");
    toy.workspace("acme");
    for sequence in 1..510 {
        tell(&toy, sequence);
        if sequence == 255 {
            toy.advance(HOUR);
        }
    }
    let text = export(&toy, 0);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: Vec<u64> = lines.iter().filter_map(|line| line["seq"].as_u64()).collect();
    assert_eq!(events, (1..=510).collect::<Vec<_>>());
    let signed: Vec<u64> = lines.iter().filter_map(|line| line["checkpoint"]["seq"].as_u64()).collect();
    assert_eq!(signed, [256, 510]);
    assert!(lines[256]["checkpoint"].is_object(), "behind the event that it signs");
    let end = lines.last().unwrap();
    assert_eq!((&end["head"]["seq"], end["next_after"].is_null()), (&json!(510), true));
    assert_eq!(end["head"]["chain"], "workspace:acme");
    let rest = export(&toy, 256);
    assert_eq!(rest.lines().count(), 1 + 254 + 2, "the checkpoint of the last one before comes again");
    assert_eq!(export(&toy, 510).lines().count(), 2);
    toy.admin("GET", "/v1/audit/export?workspace=acme&after=x", &Value::Null).refused(400, "invalid_request");
}

#[test]
fn a_verification_begins_where_the_one_before_ended_and_sees_the_seam() {
    let toy = scene(12);
    let from = |after: u64| {
        toy.admin("GET", &format!("/v1/audit/verify?workspace=acme&after={after}"), &Value::Null).ok(200).json
    };
    assert_eq!((from(5)["valid"].clone(), from(5)["count"].clone()), (json!(true), json!(8)), "5 to 12");
    let mut event = read(&toy, 5);
    event.target = "x".to_owned();
    put(&toy, 5, &event);
    assert_eq!(from(5)["first_bad"], 5);
    event.hash = event.digest();
    put(&toy, 5, &event);
    assert_eq!(from(5)["first_bad"], 6);
    for beyond in [13, 14, 40] {
        let found = from(beyond);
        assert_eq!(
            (&found["valid"], &found["first_bad"]),
            (&json!(false), &json!(13)),
            "there is nothing there: {found}"
        );
    }
    assert_eq!((from(12)["valid"].clone(), from(12)["count"].clone()), (json!(true), json!(1)));
}

#[test]
fn p8_no_secret_is_in_any_event_or_export() {
    let toy = scene(4);
    let (_, key) = toy.widget_key("acme", "live", &[toy::ORIGIN]);
    let visitor = toy.open(&key);
    toy.visit(&visitor, "POST", "close", "").ok(200);
    toy.say(&visitor, "x").refused(401, "revoked_credential");
    toy.advance(2 * HOUR);
    let text = export(&toy, 0);
    for secret in toy.issued.borrow().iter() {
        assert!(!text.contains(&secret[secret.len() - 40..]));
    }
    assert!(text.contains("credential.refuse"));
}

#[test]
fn a_page_holds_checkpoints_only_where_they_were_asked_for() {
    let toy = Toy::new("default");
    toy.workspace("acme");
    toy.advance(HOUR);
    for checkpoints in [false, true] {
        let ask = Ask { limit: 10, checkpoints, ..Ask::default() };
        let answer = toy.tell::<Workspace>("acme", workspace::Command::ReadAudit(ask)).unwrap();
        let workspace::Reply::Audit(page) = answer else { panic!("a page") };
        assert_eq!((page.items.len(), page.checkpoints.len()), (1, usize::from(checkpoints)));
    }
}
