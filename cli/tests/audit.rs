//! `claviger audit verify` as whoever was given an export meets it: what it finds, what it says, and its exit codes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

#[path = "../../tests/toy/mod.rs"]
mod toy;

use serde_json::{Value, json};
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use toy::{ROOT, Toy};

struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

fn run(arguments: &[&str], roots: &str, stdin: &str) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_claviger"));
    command.env_clear().args(["audit", "verify"]).args(arguments);
    if !roots.is_empty() {
        command.env("ROOT_SECRETS", roots);
    }
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    // One that ended before it read everything is judged by what it said.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn verify(text: &str, roots: &str) -> Value {
    let run = run(&["--json", "-"], roots, text);
    let found: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("{} {}", run.stdout, run.stderr));
    assert_eq!(found["valid"], run.code == 0, "{found}");
    assert_eq!(run.stderr.is_empty(), run.code == 0, "{}", run.stderr);
    found
}

fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.ndjson"));
    fs::write(&path, text).unwrap();
    path
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A shop with eight events and one checkpoint, behind the fifth.
fn scene() -> Toy {
    let toy = Toy::new("default");
    let (id, _) = toy.shop();
    for event in 3..=8 {
        toy.admin("PATCH", &format!("/v1/credentials/{id}"), &json!({"name": event.to_string()})).ok(200);
        if event == 5 {
            toy.advance(3_600);
        }
    }
    toy
}

fn export(toy: &Toy, after: u64) -> String {
    toy.admin("GET", &format!("/v1/audit/export?workspace=acme&after={after}"), &Value::Null).ok(200).text
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

fn joined(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn an_export_is_found_sound_without_a_network_and_its_signatures_with_the_root_secret() {
    let whole = export(&scene(), 0);
    let path = file("whole", &whole);
    let plain = run(&[text(&path)], "", "");
    assert_eq!((plain.code, plain.stderr.as_str()), (0, ""), "{}", plain.stderr);
    assert!(plain.stdout.contains("is sound: events 8, head "), "{}", plain.stdout);
    let end = "/8, checkpoints 0 signed, 2 not verified, 0 kept; that nothing was cut off its end is not proven without \
               ROOT_SECRETS\n";
    assert!(plain.stdout.ends_with(end), "{}", plain.stdout);
    let signed = run(&[text(&path)], ROOT, "");
    let end = "checkpoints 2 signed, 0 not verified, 0 kept; its end was signed at 2026-01-01T01:00:00.000Z\n";
    assert!(signed.stdout.ends_with(end), "{}", signed.stdout);
    assert_eq!(verify(&whole, "")["end_signed_at"], Value::Null);
    assert_eq!(verify(&whole, ROOT)["end_signed_at"], "2026-01-01T01:00:00.000Z");
    let found = verify(&whole, ROOT);
    assert_eq!((&found["count"], &found["head"]["seq"], found["next_after"].is_null()), (&json!(8), &json!(8), true));
    let other = "r1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";
    assert_eq!(verify(&whole, other)["first_bad_line"], 6, "a root secret that takes the same name");
}

#[test]
fn every_change_of_an_export_is_found_at_its_line() {
    let whole = lines(&export(&scene(), 0));
    assert_eq!(whole.len(), 11, "eight events, two checkpoints and the end");
    let changed = |line: usize, from: &str, to: &str| {
        let mut lines = whole.clone();
        assert!(lines[line].contains(from), "{from} in {}", lines[line]);
        lines[line] = lines[line].replacen(from, to, 1);
        joined(&lines)
    };
    for (line, from, to) in [
        (0, "workspace.create", "workspace.creatE"),
        (1, "deploy_key:dk_", "deploy_key:dk-"),
        (1, "2026-01-01T00:00:00.000Z", "2026-01-01T00:00:00.001Z"),
        (2, "\"outcome\":\"done\"", "\"outcome\":\"refused\""),
        (2, "\"reason\":\"name\"", "\"reason\":\"origins\""),
        (2, "\"reason\":\"name\",", ""),
        (3, "req_toy", "req_toys"),
        (3, "\"prev\":\"", "\"count\":7,\"prev\":\""),
        (3, "\"prev\":\"", "\"network\":\"10.0.0.0/24\",\"prev\":\""),
        (3, "\"prev\":\"", "\"note\":\"not in the hash\",\"prev\":\""),
        (3, "\"prev\":\"", "\"action\":\"x\",\"prev\":\""),
        (4, "\"seq\":5", "\"seq\":6"),
        (5, "\"seq\":5", "\"seq\":4"),
        (5, "workspace:acme", "workspace:other"),
        (5, "2026-01-01T01", "2026-01-01T02"),
        (5, "\"signature\":\"", "\"signature\":\"A"),
        (10, "\"next_after\":null", "\"next_after\":8"),
        (10, "workspace:acme", "workspace:other"),
        (10, "\"seq\":8", "\"seq\":9"),
        (10, "\"at\":\"2026", "\"at\":\"2025"),
    ] {
        let found = verify(&changed(line, from, to), ROOT);
        assert_eq!(found["first_bad_line"], line + 1, "{from} to {to}: {found}");
    }
    // What is no event at all.
    for (line, from, to) in
        [(0, "{", "[{"), (2, "}", "} "), (2, "\"seq\":3", "\"seq\":3.0"), (2, "\"seq\":3", "\"seq\":\"3\"")]
    {
        let found = verify(&changed(line, from, to), "");
        assert_eq!(found["valid"], to == "} ", "{found}");
    }
}

#[test]
fn a_removed_a_doubled_a_moved_and_a_cut_off_line_are_found() {
    let whole = lines(&export(&scene(), 0));
    for at in 0..whole.len() {
        let mut without = whole.clone();
        without.remove(at);
        let found = verify(&joined(&without), "");
        // A checkpoint may be left out: nothing rests on it but what it proves.
        assert_eq!(found["valid"], matches!(at, 5 | 9), "without line {at}: {found}");
        let mut doubled = whole.clone();
        doubled.insert(at, whole[at].clone());
        assert_eq!(verify(&joined(&doubled), "")["valid"], matches!(at, 5 | 9 | 10), "line {at} twice");
        let cut = verify(&joined(&whole[..at]), "");
        assert_eq!((cut["valid"].clone(), cut["first_bad_line"].clone()), (json!(false), json!(at + 1)), "cut at {at}");
        if at > 0 {
            let mut moved = whole.clone();
            moved.swap(at - 1, at);
            assert_eq!(verify(&joined(&moved), "")["valid"], false, "lines {} and {at}", at - 1);
        }
    }
    let half = &joined(&whole)[..700];
    assert_eq!(verify(half, "")["valid"], false);
}

/// The last line is signed by nobody: whoever cuts an export can write one that fits.
#[test]
fn an_export_that_was_cut_and_got_another_end_is_not_sound() {
    let whole = lines(&export(&scene(), 0));
    let end = |event: &str| {
        let event: Value = serde_json::from_str(event).unwrap();
        let head = json!({"chain": "workspace:acme", "seq": event["seq"], "hash": event["hash"], "at": event["at"]});
        json!({"head": head, "next_after": null}).to_string()
    };
    // Behind the third event; behind the seventh, which lies beyond a checkpoint; and the whole without its last signature.
    for (kept, last) in [(3, 2), (8, 7), (9, 8)] {
        let forged = [&whole[..kept], &[end(&whole[last])]].concat();
        let found = verify(&joined(&forged), ROOT);
        assert_eq!((&found["valid"], &found["first_bad_line"]), (&json!(false), &json!(kept + 1)), "{found}");
        assert!(found["why"].as_str().unwrap().contains("signed"), "{found}");
        assert_eq!(verify(&joined(&forged), "")["end_signed_at"], Value::Null, "without a ring nobody can tell");
    }
    // All of it.
    assert_eq!(verify("{\"head\":null,\"next_after\":null}\n", ROOT)["valid"], false);
    // Cut back to a checkpoint it is what an export of that hour was: the moment says so.
    let back = [&whole[..6], &[end(&whole[4])]].concat();
    assert_eq!(verify(&joined(&back), ROOT)["end_signed_at"], "2026-01-01T01:00:00.000Z");
    // A signature whose key is gone proves nothing.
    let other = "r2:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";
    assert_eq!(verify(&joined(&whole), other)["first_bad_line"], 11);
}

#[test]
fn parts_are_verified_together_and_one_alone_only_from_where_it_begins() {
    let toy = scene();
    let (whole, rest) = (lines(&export(&toy, 0)), export(&toy, 5));
    // The first part, as a call that ends after five events would have answered it.
    let head: Value = serde_json::from_str(whole.last().unwrap()).unwrap();
    let mut first = whole[..6].to_vec();
    let end = json!({"head": head["head"], "next_after": 5}).to_string();
    assert!(end.starts_with("{\"head\":"));
    first.push(end);
    let alone = verify(&joined(&first), ROOT);
    assert_eq!((&alone["count"], &alone["next_after"]), (&json!(5), &json!(5)));
    let plain = run(&["-"], ROOT, &joined(&first));
    assert!(plain.stdout.ends_with(", and there is more: export with after=5\n"), "{}", plain.stdout);
    assert_eq!(verify(&(joined(&first) + &rest), ROOT)["count"], 8);
    assert_eq!(verify(&rest, "")["first_bad_line"], 1, "what stands before is missing");

    let hash = serde_json::from_str::<Value>(&whole[4]).unwrap()["hash"].as_str().unwrap().to_owned();
    let from = |place: &str| run(&["--from", place, "-"], ROOT, &rest);
    assert_eq!(from(&format!("{hash}/5")).code, 0);
    assert_eq!(from(&format!("{}/5", "0".repeat(64))).code, 1);
    assert_eq!(from(&format!("{hash}/4")).code, 1);
    for wrong in ["5", "x/5", &format!("{hash}/x")] {
        assert_eq!(from(wrong).code, 2);
    }
}

#[test]
fn a_checkpoint_that_was_kept_must_lie_on_the_chain() {
    let toy = scene();
    let whole = export(&toy, 0);
    let kept = lines(&whole)[5].clone();
    let bare = serde_json::from_str::<Value>(&kept).unwrap()["checkpoint"].to_string();
    let path = file("chain", &whole);
    for (name, text_of_it) in [("wrapped", &kept), ("bare", &bare), ("kept-export", &whole)] {
        let checkpoint = file(name, text_of_it);
        let run = run(&["--checkpoint", text(&checkpoint), text(&path)], ROOT, "");
        let count = if name == "kept-export" { 2 } else { 1 };
        assert!(
            run.stdout.contains(&format!(" {count} kept; its end was signed at ")),
            "{name}: {} {}",
            run.stdout,
            run.stderr
        );
    }
    // A chain that was computed anew is sound in itself, and is not the one of which the checkpoint was kept.
    let other = Toy::new("default");
    let (id, _) = other.shop();
    for _ in 0..8 {
        other.admin("POST", &format!("/v1/credentials/{id}/rotate"), &json!({})).ok(201);
    }
    let forged = export(&other, 0);
    assert_eq!(verify(&forged, ROOT)["valid"], true);
    let checkpoint = file("held", &kept);
    let against = |export: &str| run(&["--checkpoint", text(&checkpoint), "-"], "", export);
    let found = against(&forged);
    assert_eq!((found.code, found.stdout.as_str()), (1, ""));
    assert_eq!(found.stderr, "<stdin>:5: a checkpoint that was kept is of another event than this one\n");
    // One that ends before the checkpoint was cut off.
    let young = Toy::new("default");
    young.shop();
    assert_eq!(against(&export(&young, 0)).stderr, "<stdin>:5: a checkpoint that was kept is not on this chain\n");
    // A checkpoint of another chain proves nothing here.
    let foreign = file("foreign", &kept.replace("workspace:acme", "workspace:other"));
    assert_eq!(run(&["--checkpoint", text(&foreign), text(&path)], "", "").code, 1);
    for unfit in ["", "x\n", "{}\n"] {
        let checkpoint = file("unfit", unfit);
        assert_eq!(run(&["--checkpoint", text(&checkpoint), text(&path)], "", "").code, 2);
    }
    assert_eq!(run(&["nowhere.ndjson"], "", "").code, 2);
}

#[test]
fn a13_an_export_without_an_event_verifies_nothing() {
    let toy = Toy::new("default");
    let key = toy.deploy_key();
    let empty = toy.send("GET", "/v1/audit/export", &[("authorization", &key)], "").ok(200).text;
    let verified = verify(&empty, "");
    assert_eq!((&verified["valid"], &verified["first_bad_line"]), (&false.into(), &1.into()));
    assert_eq!(verified["why"], "there is no event before it: nothing was verified");
    assert_eq!(verify("", "")["first_bad_line"], 1);
    assert_eq!(verify("\n", "")["first_bad_line"], 1);
}
