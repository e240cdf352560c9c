//! Exports of an audit: whatever is called sound holds the events that were recorded, and every change of it is found.

use super::{Dice, text};
use crate::{
    lawful::ROOT,
    toy::{START, Toy},
};
use claviger::{
    audit::{Act, By, Entry, Event, GENESIS, Head},
    codec::time::Timestamp,
    crypto::keyring::KeyRing,
    error::Reason,
};
use claviger_cli::inspect;
use serde_json::{Value, json};
use std::sync::LazyLock;

/// A shop's export: eight events, a checkpoint behind the fifth and the last, and the end.
pub static EXPORT: LazyLock<String> = LazyLock::new(|| {
    let toy = Toy::new("default");
    let (id, _) = toy.shop();
    for event in 3..=8 {
        toy.admin("PATCH", &format!("/v1/credentials/{id}"), &json!({"name": format!("n{event}")})).ok(200);
        if event == 5 {
            toy.advance(3_600);
        }
    }
    toy.admin("GET", "/v1/audit/export?workspace=acme&after=0", &Value::Null).ok(200).text
});

static RING: LazyLock<KeyRing> = LazyLock::new(|| KeyRing::parse(ROOT).expect("a root secret"));

pub fn check(bytes: &[u8]) {
    // Any bytes, with and without what would prove them, and as checkpoints that were kept.
    let _ = is_sound(bytes, b"");
    let _ = inspect(bytes, b"", None);
    let _ = is_sound(EXPORT.as_bytes(), bytes);
    one_byte(bytes);
    edited(bytes);
    events(bytes);
}

fn is_sound(export: &[u8], kept: &[u8]) -> bool {
    matches!(inspect(export, kept, Some(&RING)), Ok(None))
}

/// The events of an export, as another parser of JSON reads them, and where it ends.
fn events_of(export: &[u8]) -> (Vec<Value>, Option<Value>) {
    let lines = export.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let lines = lines.map(|line| serde_json::from_slice::<Value>(line).expect("a sound line is JSON"));
    let lines: Vec<Value> = lines.filter(|line| line.get("checkpoint").is_none()).collect();
    let (ends, events): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line.get("next_after").is_some());
    (events, ends.last().cloned())
}

/// A sound export with one byte of it changed.
fn one_byte(bytes: &[u8]) {
    let mut dice = Dice(bytes);
    let mut changed = EXPORT.clone().into_bytes();
    let at = usize::from(dice.pair()) % changed.len();
    changed[at] = dice.byte();
    if is_sound(&changed, b"") {
        assert_eq!(events_of(&changed), events_of(EXPORT.as_bytes()), "at {at}: {}", text(&changed));
    }
}

/// A sound export with one piece of it replaced by something else: at most it is cut off, and then it says so.
fn edited(bytes: &[u8]) {
    let mut dice = Dice(bytes);
    let start = usize::from(dice.pair()) % (EXPORT.len() + 1);
    let end = (start + usize::from(dice.pair())).min(EXPORT.len());
    let changed = [&EXPORT.as_bytes()[..start], dice.0, &EXPORT.as_bytes()[end..]].concat();
    if is_sound(&changed, b"") {
        let (all, _) = events_of(EXPORT.as_bytes());
        let (events, end) = events_of(&changed);
        assert!(all.starts_with(&events), "{}", text(&changed));
        let says_so = end.is_some_and(|end| end["head"].is_null() || end["next_after"] == events.len());
        assert!(says_so || events.len() == all.len(), "{}", text(&changed));
    }
}

/// Events of any texts: what is written of them is sound, and no two that differ have one hash.
fn events(bytes: &[u8]) {
    let text = text(bytes);
    let (one, two) = text.split_once('\n').unwrap_or((&text, ""));
    let (one, two) = (event(1, GENESIS.to_owned(), one), event(1, GENESIS.to_owned(), two));
    assert_eq!(one.hash == two.hash, one == two, "{one:?} {two:?}");
    let next = event(2, one.hash.clone(), &two.actor);
    let head = Value::from_iter([
        ("chain", json!("workspace:a")),
        ("seq", json!(2)),
        ("hash", json!(next.hash)),
        ("at", json!(next.at)),
    ]);
    let head: Head = serde_json::from_value(head).expect("a head");
    let end = json!({"head": head, "next_after": null});
    let line = |event: &Event| serde_json::to_string(event).expect("JSON");
    let export = format!("{}\n{}\n{end}\n", line(&one), line(&next));
    // Signed by nobody, so only whoever has no root secret takes it.
    assert!(matches!(inspect(export.as_bytes(), b"", None), Ok(None)), "{export}");
}

/// Its members are the parts between bars, as many as there are.
fn event(seq: u64, prev: String, text: &str) -> Event {
    let mut parts = text.split('|');
    let mut part = || parts.next().unwrap_or_default().to_owned();
    let by = By { actor: part(), request_id: part(), network: None };
    let at = Timestamp(START);
    let entry = match part().as_str() {
        "" => Entry::done(Act::CredentialCreate, by, &part(), at),
        _ => Entry::refused(by, &part(), &Reason::NotFound, at),
    };
    let (network, count) = (parts.next().map(str::to_owned), parts.next().and_then(|count| count.parse().ok()));
    let by = By { network, ..entry.by.clone() };
    Event::new(seq, prev, Entry { by, count, ..entry })
}
