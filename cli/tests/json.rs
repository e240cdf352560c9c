//! `--json`: every command that answers has it, and what it prints is one object (of an audit that is followed or exported, one a line).
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

use clap::CommandFactory as _;
use claviger::{
    credential::{DeployKey, Kind as _},
    crypto::keyring::{KeyRing, Purpose},
};
use claviger_cli::{Cli, scanners};
use scripted::{Run, run};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

const OLD: &str = "old:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const NEW: &str = "new:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";

/// Every command that does something, by its words, and whether it takes `--json`.
fn commands() -> Vec<(String, bool)> {
    fn walk(command: &clap::Command, path: &str, found: &mut Vec<(String, bool)>) {
        let mut subs = command.get_subcommands().filter(|sub| sub.get_name() != "help").peekable();
        if subs.peek().is_none() {
            found.push((path.to_owned(), command.get_arguments().any(|one| one.get_long() == Some("json"))));
        }
        subs.for_each(|sub| walk(sub, format!("{path} {}", sub.get_name()).trim(), found));
    }
    let mut found = Vec::new();
    walk(&Cli::command(), "", &mut found);
    found
}

#[test]
fn n13_every_command_that_answers_takes_json() {
    Cli::command().debug_assert();
    let found = commands();
    assert!(found.len() > 30, "only {found:?}");
    // A script for a shell is all that this one prints.
    let without: Vec<&str> = found.iter().filter(|(_, takes)| !takes).map(|(path, _)| path.as_str()).collect();
    assert_eq!(without, ["completions"]);
}

/// One object alone on standard output.
fn object(ended: &Run) -> Value {
    let line = ended.stdout.strip_suffix('\n').expect("a whole line");
    assert!(!line.contains('\n'), "{ended:?}");
    let value: Value = serde_json::from_str(line).expect(line);
    assert!(value.is_object(), "{line}");
    value
}

#[test]
fn n13_what_is_made_offline_stands_under_secret_in_json() {
    let roots = format!("{NEW},{OLD}");
    let with = |arguments: &[&str]| run(&[("ROOT_SECRETS", &roots)], &[arguments, &["--json"]].concat(), "");

    let made = with(&["deploy-key", "--stage", "production", "--deployment", "main", "--expires-in", "12h"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let key = object(&made);
    let genuine = DeployKey::verify(key["secret"].as_str().unwrap(), "clv", &KeyRing::parse(&roots).unwrap());
    let genuine = genuine.expect("of the brand").unwrap();
    let shown = json!({
        "kind": "deploy_key", "id": genuine.id.as_str(), "stage": "prod", "deployment": "main", "secret": key["secret"],
        "created_at": genuine.issued_at.rfc3339(), "expires_at": genuine.expires_at.rfc3339(),
    });
    assert_eq!(key, shown);
    assert!(!made.stderr.contains("clv_dk_"), "{}", made.stderr);

    let sub_key = KeyRing::derive_sub_key(&roots, Purpose::DeployKey).unwrap();
    assert_eq!(object(&with(&["deploy-sub-key"])), json!({"id": "new", "secret": *sub_key}));

    let fresh = object(&with(&["root-secrets", "make", "--id", "r2"]));
    let entry = fresh["secret"].as_str().unwrap();
    assert!(entry.starts_with("r2:") && KeyRing::parse(entry).is_ok());
    assert_eq!(fresh, json!({"id": "r2", "secret": entry}));

    let demoted = format!("{NEW},{OLD}:check-only");
    assert_eq!(object(&with(&["root-secrets", "demote", "old"])), json!({"id": "old", "secret": demoted}));
    let listed = run(&[("ROOT_SECRETS", &demoted)], &["root-secrets", "list", "--json"], "");
    let items = json!([{"id": "new", "check_only": false}, {"id": "old", "check_only": true}]);
    assert_eq!(object(&listed), json!({"items": items}));
    assert!(!listed.stdout.contains(&OLD[4..]) && listed.stderr.is_empty(), "{listed:?}");
}

#[test]
fn n13_the_scanners_pattern_stands_in_json_as_it_does_without() {
    for arguments in [&["policy", "scanners", "--json"][..], &["policy", "scanners", "--json", "--gitleaks"]] {
        let found = object(&run(&[("POLICY", "llm")], arguments, ""));
        let brands = ["gs"];
        let shown = json!({"brand": "gs", "pattern": scanners::pattern(&brands), "gitleaks": scanners::rule(&brands)});
        assert_eq!(found, shown);
    }
}

const TIER: &str = "[tiers.free]\nrequests = { limit = 60, window_seconds = 60 }\n";
const ROUTE: &str =
    "[[routes]]\nmatch = \"GET /v1/things\"\nscope = \"a:read\"\naccept = [\"server_key\"]\nto = \"upstream\"\n";

/// Looks at a policy, and says where it lies too.
fn check(name: &str, text: &str) -> (Run, PathBuf) {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("json-{name}.toml"));
    fs::write(&path, text).unwrap();
    (run(&[], &["policy", "check", "--json", path.to_str().unwrap()], ""), path)
}

#[test]
fn n13_a_sound_policy_is_told_in_json_with_the_line_of_each_warning() {
    let scopes = "brand = \"gs\"\n\n[scopes]\n\"a:read\" = \"A\"\n\"b:read\" = \"B\"\n";
    let tiers = "[tiers.none]\ntokens = { limit = 1, window_seconds = 1 }\n[tiers]\nown = { custom = true, granted_by = \"admin\" }\n";
    let (ended, path) = check("sound", &format!("{scopes}{TIER}{tiers}[widget]\n{ROUTE}"));
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    let found = object(&ended);
    let lines: Vec<(u64, &str)> = found["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|warning| {
            Some((warning["line"].as_u64()?, warning["text"].as_str()?.split_inclusive('`').take(2).last()?))
        })
        .collect();
    assert_eq!(lines, [(5, "b:read`"), (8, "none`"), (11, "own`"), (12, "retention_days`")], "{found}");
    let notes = found["notes"].as_array().unwrap();
    assert!(notes.len() == 1 && notes[0]["text"].as_str().unwrap().contains("CLIENT_ADDRESS_HEADER"), "{found}");
    let shown = json!({
        "ok": true, "file": path.to_str().unwrap(), "brand": "gs", "scopes": 2, "tiers": 3, "routes": 1, "widget": true,
        "public_suffixes": found["public_suffixes"], "problems": [], "warnings": found["warnings"], "notes": notes,
    });
    assert_eq!(found, shown);
    assert!(found["public_suffixes"].as_str().unwrap().starts_with("20"));
}

#[test]
fn n13_an_unsound_policy_is_told_in_json_with_its_line_and_by_the_exit_code() {
    for (name, text, line, why) in [
        ("unknown", "brand = \"gs\"\n\nbrnad = \"gs\"\n".to_owned(), 3, "unknown key `brnad`"),
        ("syntax", "brand = \"gs\"\n[scopes\n".to_owned(), 2, ""),
        ("unlimited", format!("brand = \"gs\"\n[scopes]\n\"a:read\" = \"A\"\n{ROUTE}"), 1, "no [tiers]"),
    ] {
        let (ended, path) = check(name, &text);
        let found = object(&ended);
        let said = found["problems"][0]["text"].as_str().unwrap();
        assert!(said.contains(why), "{name}: {found}");
        let shown = json!({
            "ok": false, "file": path.to_str().unwrap(), "problems": [{"line": line, "text": said}], "warnings": [], "notes": [],
        });
        assert_eq!(found, shown, "{name}");
        // The answer is an answer, also where it is no; and for people as without.
        assert_eq!((ended.code, ended.stderr), (Some(1), format!("{}:{line}: {said}\n", path.display())), "{name}");
    }
    let missing = run(&[], &["policy", "check", "--json", "no/such.toml"], "");
    assert_eq!((missing.code, missing.stdout.as_str()), (Some(2), ""), "nothing was looked at");
}

#[test]
fn n13_an_export_takes_json_and_is_the_same_lines() {
    let line = json!({"head": null, "next_after": null}).to_string();
    let worker = scripted::Worker::always((200, String::new(), format!("{line}\n")));
    let variables = [("CLAVIGER_URL", worker.url.as_str()), ("CLAVIGER_KEY", scripted::DEPLOY_KEY)];
    let [plain, json] =
        [&["audit", "export"][..], &["audit", "export", "--json"]].map(|asked| run(&variables, asked, ""));
    assert_eq!((plain.code, &plain.stdout), (Some(0), &json.stdout));
    assert!(!plain.stdout.is_empty());
}
