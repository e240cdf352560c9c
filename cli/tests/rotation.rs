//! `claviger credentials rotate --watch` against a worker that answers by a script: when the old secret ends, and when not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

#[path = "../../tests/scripted/mod.rs"]
mod scripted;

use claviger::codec::time::Timestamp;
use scripted::{DEPLOY_KEY, ID, NEW_SECRET, Reply, Run, Sent, Worker, ok, refusal};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

const OLD: &str = "clv_live_…old1";

/// So many seconds from now.
fn soon(seconds: u64) -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp(u64::try_from(since.as_millis()).unwrap()).plus_seconds(seconds).rfc3339()
}

fn rotated(end: &str) -> Value {
    json!({
        "id": ID, "kind": "server_key", "secret": NEW_SECRET, "hint": "clv_live_…new1", "name": "api", "workspace": "acme",
        "environment": "live", "expires_at": null, "replaces": OLD, "old_expires_at": end,
    })
}

/// The credential as it is read, without a secret.
fn shown(end: &str) -> Value {
    let mut shown = rotated(end);
    shown.as_object_mut().unwrap().remove("secret");
    shown
}

/// What the old secret was used in all; the new one is used all the time.
fn usage(old: u64) -> Reply {
    ok(json!({"total": old + 999, "by_secret": [
        {"hint": "clv_live_…new1", "last_used_at": soon(0), "total": 999},
        {"hint": OLD, "last_used_at": format!("2026-07-30T12:00:{old:02}.000Z"), "total": old},
    ]}))
}

const QUICK: &[&str] = &["--silent", "1s", "--every", "1s"];

/// A worker whose usage is told by `usage`, given how often it was asked; all else is as it should be.
fn worker(end: &str, mut usage: impl FnMut(usize) -> Reply + Send + 'static) -> Worker {
    let (end, mut looks) = (end.to_owned(), 0);
    Worker::start(move |_, sent| match sent.line() {
        line if line.ends_with("/usage") => {
            looks += 1;
            usage(looks - 1)
        }
        line if line.ends_with("/rotate") => (201, String::new(), rotated(&end).to_string()),
        line if line.ends_with("/rotate/finish") => ok(shown("2026-07-30T13:00:00.000Z")),
        _ => ok(shown(&end)),
    })
}

fn watch(worker: &Worker, more: &[&str]) -> Run {
    worker.run(&[&["rotate", "--watch", ID][..], QUICK, more].concat())
}

fn lines(worker: &Worker) -> Vec<String> {
    let prefix = format!("/v1/credentials/{ID}");
    worker.sent().iter().map(|sent: &Sent| sent.line().replace(&prefix, "")).collect()
}

#[test]
fn the_old_secret_is_ended_once_nobody_uses_it_and_not_before() {
    let worker = worker(&soon(3_600), |look| usage([3, 4, 4][look.min(2)]));
    let ended = watch(&worker, &["--overlap", "1h"]);
    assert_eq!(ended.good(), NEW_SECRET);
    assert_eq!(
        lines(&worker),
        ["POST /rotate", "GET /usage", "GET /usage", "GET /usage", "GET ", "POST /rotate/finish"]
    );
    assert_eq!(worker.sent()[5].json(), json!({}));
    let told = &ended.stderr;
    assert!(
        told.contains(&format!("{OLD}: last used 2026-07-30T12:00:04.000Z, 4 in all; silent for 0s of 1s")),
        "{told}"
    );
    assert!(told.ends_with(&format!("the old secret {OLD} has ended, and nobody used it for 1s\n")), "{told}");
    assert!(!told.contains(NEW_SECRET) && !told.contains(DEPLOY_KEY));
}

#[test]
fn a_secret_that_was_never_used_is_ended_too_and_json_is_two_lines() {
    let worker = worker(&soon(3_600), |_| ok(json!({"total": 0, "by_secret": []})));
    let ended = watch(&worker, &["--json"]);
    let [first, second] = ended.good().lines().collect::<Vec<_>>()[..] else { panic!("{ended:?}") };
    let [first, second]: [Value; 2] = [first, second].map(|line| serde_json::from_str(line).unwrap());
    assert_eq!(first["secret"], NEW_SECRET);
    assert_eq!((second["old_expires_at"].as_str(), second.get("secret")), (Some("2026-07-30T13:00:00.000Z"), None));
    assert!(ended.stderr.contains("never used, 0 in all"), "{}", ended.stderr);
}

#[test]
fn only_watch_rotates_nothing() {
    let worker = worker(&soon(3_600), |_| usage(7));
    let ended = watch(&worker, &["--only-watch"]);
    assert_eq!(ended.good(), "");
    assert_eq!(lines(&worker), ["GET ", "GET /usage", "GET /usage", "GET ", "POST /rotate/finish"]);
    let none = Worker::always(ok(json!({"id": ID})));
    let ended = watch(&none, &["--only-watch"]);
    assert_eq!((ended.good(), none.sent().len()), ("", 1));
    assert!(ended.stderr.contains("there is nothing to wait for"));
}

#[test]
fn a_secret_in_use_is_never_ended_and_the_end_of_its_overlap_is_no_success() {
    let worker = worker(&soon(3), |look| usage(look.try_into().unwrap()));
    let ended = watch(&worker, &[]);
    assert_eq!((ended.code, ended.stdout.trim_end()), (Some(1), NEW_SECRET));
    assert!(
        ended.stderr.contains("before it was silent") && ended.stderr.contains("credentials usage"),
        "{}",
        ended.stderr
    );
    assert!(!lines(&worker).iter().any(|line| line.contains("finish")));
}

#[test]
fn what_passes_is_waited_out_and_is_no_silence_by_itself() {
    // Used while nobody could be asked.
    let worker = worker(&soon(3_600), |look| match look {
        0 => usage(1),
        1 => refusal(503, "unavailable"),
        2 => (429, "retry-after: 1\r\n".to_owned(), refusal(429, "rate_limited").2),
        _ => usage(2),
    });
    let ended = watch(&worker, &["--only-watch"]);
    ended.good();
    assert!(ended.stderr.contains("(unavailable, request req_1) Trying again."), "{}", ended.stderr);
    assert_eq!(lines(&worker).iter().filter(|line| line.ends_with("/usage")).count(), 5);
}

#[test]
fn a_refusal_ends_the_watch_and_says_that_the_overlap_ends_by_itself() {
    let end = soon(3_600);
    let worker = worker(&end, |_| refusal(403, "insufficient_scope"));
    let ended = watch(&worker, &["--only-watch"]);
    assert_eq!(ended.code, Some(1));
    let line = format!("The watch is over, and the old secret {OLD} ends by itself at {end}.\n");
    assert!(ended.stderr.ends_with(&line) && ended.stderr.contains("(insufficient_scope"), "{}", ended.stderr);
}

#[test]
fn a_secret_that_was_not_watched_is_not_ended() {
    let end = soon(3_600);
    let mut reads = 0;
    let worker = Worker::start(move |_, sent| {
        if sent.path.ends_with("/usage") {
            return usage(1);
        }
        reads += 1;
        // Rotated by somebody else meanwhile: what is old now is what was new.
        let mut shown = shown(&end);
        if reads > 1 {
            shown["replaces"] = json!("clv_live_…new1");
        }
        ok(shown)
    });
    let ended = watch(&worker, &["--only-watch"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("was rotated again meanwhile"), "{}", ended.stderr);
    assert!(!lines(&worker).iter().any(|line| line.contains("finish")));
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_the_watching_and_says_what_goes_on() {
    use std::{process::Command, sync::mpsc};
    let end = soon(3_600);
    let (looked, look) = mpsc::channel();
    let worker = worker(&end, move |count| {
        looked.send(()).unwrap();
        usage(count.try_into().unwrap())
    });
    let variables = [("CLAVIGER_KEY", DEPLOY_KEY), ("CLAVIGER_URL", worker.url.as_str())];
    let child = scripted::start(&variables, &["credentials", "rotate", "--watch", ID, "--every", "1h"]);
    look.recv().unwrap();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let ended = scripted::end(child);
    assert_eq!((ended.code, ended.stdout.trim_end()), (Some(130), NEW_SECRET));
    let line = format!(
        "broken off: the old secret {OLD} ends by itself at {end}; `claviger credentials rotate {ID} --only-watch` watches on\n"
    );
    assert!(ended.stderr.contains(&line), "{}", ended.stderr);
}
