//! The command line's calls to a running worker, beside those about credentials: what is sent, what is printed, and what is not.
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
use scripted::{DEPLOY_KEY, ID, Run, SERVER_KEY, Worker, ok, refusal, run};
use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

const CONVERSATION: &str = "conv_0123456789abcdefghij_acme";

fn call(worker: &Worker, arguments: &[&str], input: &str) -> Run {
    let ended = run(&[("CLAVIGER_URL", &worker.url), ("CLAVIGER_KEY", DEPLOY_KEY)], arguments, input);
    assert!(!ended.stdout.contains(DEPLOY_KEY) && !ended.stderr.contains(DEPLOY_KEY), "the key was printed");
    ended
}

#[test]
fn n13_calls_of_the_product_are_commands_and_each_of_them_answers_in_json() {
    let item = json!({
        "id": "acme", "kind": "deploy_key", "kid": "is_1", "name": "Acme", "created_at": "2026-01-01T00:00:00.000Z",
        "revoked_at": "2026-01-01T00:00:00.000Z", "allowed": true, "items": [], "next_cursor": null, "head": null, "next_after": null,
    });
    let id = CONVERSATION;
    let kid = "is_AQAAAAAAAAAAAAAAAAAAAAA";
    let cases: Vec<(Vec<&str>, String, Value)> = vec![
        (vec!["whoami"], "GET /v1/whoami".to_owned(), Value::Null),
        (vec!["workspaces", "list"], "GET /v1/workspaces".to_owned(), Value::Null),
        (vec!["workspaces", "show", "acme"], "GET /v1/workspaces/acme".to_owned(), Value::Null),
        (
            vec!["workspaces", "create", "--name", "Acme", "--id", "acme"],
            "POST /v1/workspaces".to_owned(),
            json!({"name": "Acme", "id": "acme"}),
        ),
        (
            vec!["workspaces", "change", "acme", "--default-tier", "-"],
            "PATCH /v1/workspaces/acme".to_owned(),
            json!({"default_tier": null}),
        ),
        (
            vec!["workspaces", "change", "acme", "--name", "A"],
            "PATCH /v1/workspaces/acme".to_owned(),
            json!({"name": "A"}),
        ),
        (
            vec!["identity-secrets", "list", "--workspace", "acme"],
            "GET /v1/workspaces/acme/identity-secrets".to_owned(),
            Value::Null,
        ),
        (
            vec!["identity-secrets", "create", "--workspace", "acme"],
            "POST /v1/workspaces/acme/identity-secrets".to_owned(),
            json!({}),
        ),
        (
            vec!["identity-secrets", "revoke", "--workspace", "acme", kid],
            format!("POST /v1/workspaces/acme/identity-secrets/{kid}/revoke"),
            json!({}),
        ),
        (
            vec!["conversations", "list", "--workspace", "acme", "--environment", "live"],
            "GET /v1/conversations?workspace=acme&environment=live".to_owned(),
            Value::Null,
        ),
        (
            vec!["conversations", "messages", id, "--after", "msg_1"],
            format!("GET /v1/conversations/{id}/messages?after=msg_1"),
            Value::Null,
        ),
        (
            vec!["conversations", "reply", id, "--text", "Hello"],
            format!("POST /v1/conversations/{id}/messages"),
            json!({"text": "Hello"}),
        ),
        (
            vec!["conversations", "reply", id, "--text", "Hello", "--idempotency-key", "once-7"],
            format!("POST /v1/conversations/{id}/messages"),
            json!({"text": "Hello"}),
        ),
        (vec!["conversations", "delete", id], format!("DELETE /v1/conversations/{id}"), Value::Null),
        (
            vec!["verify", "--method", "GET", "--path", "/v1/a", "--tokens", "7"],
            "POST /v1/verify".to_owned(),
            json!({"credential": SERVER_KEY, "method": "GET", "path": "/v1/a", "tokens": 7}),
        ),
        (
            vec!["audit", "list", "--workspace", "acme", "--action", "credential.create"],
            "GET /v1/audit?workspace=acme&action=credential.create&before=".to_owned(),
            Value::Null,
        ),
    ];
    for (arguments, line, body) in cases {
        let worker = Worker::always(ok(item.clone()));
        let ended = call(&worker, &[&arguments[..], &["--json"]].concat(), SERVER_KEY);
        assert_eq!(
            ended.json(),
            if arguments.contains(&"list") && arguments[0] != "identity-secrets" && arguments[0] != "audit" {
                json!({"items": [], "next_cursor": null})
            } else {
                item.clone()
            },
            "{arguments:?}"
        );
        let sent = worker.only();
        assert_eq!(sent.line(), line, "{arguments:?}");
        assert_eq!(if sent.body.is_empty() { Value::Null } else { sent.json() }, body, "{arguments:?}");
        assert_eq!(sent.header("content-type").is_some(), !body.is_null(), "{arguments:?}");
        assert_eq!(sent.header("idempotency-key"), arguments.iter().find(|word| **word == "once-7").copied());
        // And without it, for people.
        let said = call(&Worker::always(ok(item.clone())), &arguments, SERVER_KEY);
        // Without a secret in the answer there is none to print.
        assert_eq!(
            said.code,
            Some(i32::from(arguments.get(..2) == Some(&["identity-secrets", "create"][..]))),
            "{arguments:?}: {}",
            said.stderr
        );
    }
}

#[test]
fn n13_a_refused_credential_is_told_by_the_exit_code_and_never_repeated() {
    let worker = Worker::always(ok(json!({
        "allowed": false, "code": "insufficient_scope", "principal": {"kind": "server_key", "id": ID}, "limits": [],
        "trace": [{"step": "parse", "outcome": "passed"}, {"step": "authorize", "outcome": "refused"}],
    })));
    let ended = call(&worker, &["verify", "--scope", "admin"], &format!("  {SERVER_KEY}\n"));
    assert_eq!(ended.code, Some(1));
    assert!(ended.stdout.contains("insufficient_scope") && ended.stdout.contains("authorize"), "{}", ended.stdout);
    assert!(!ended.stdout.contains(SERVER_KEY) && !ended.stderr.contains(SERVER_KEY));
    assert_eq!(worker.only().json()["credential"], SERVER_KEY);
    let none = call(&worker, &["verify"], "");
    assert_eq!((none.code, worker.sent().len()), (Some(2), 1), "{}", none.stderr);
}

#[test]
fn n13_an_identity_secret_stands_alone_on_standard_output() {
    let secret = "clv_is_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let worker =
        Worker::always(ok(json!({"kid": "is_AQAAAAAAAAAAAAAAAAAAAAA", "secret": secret, "replaces": "is_old"})));
    let ended = call(&worker, &["identity-secrets", "create", "--workspace", "acme"], "");
    assert_eq!(ended.good(), secret);
    assert!(ended.stderr.contains("is_old") && !ended.stderr.contains(secret), "{}", ended.stderr);
    assert_eq!(call(&worker, &["identity-secrets", "create"], "").code, Some(2));
}

#[test]
fn n13_many_are_counted_before_they_end() {
    let worker = Worker::start(|before, sent| match (before, sent.method.as_str()) {
        (0, "GET") => ok(json!({"items": [
            {"id": "1", "status": "active", "created_by": "server_key:x"}, {"id": "2", "status": "revoked", "created_by": "server_key:x"},
        ], "next_cursor": "c"})),
        (1, "GET") => ok(json!({"items": [
            {"id": "3", "status": "expired", "created_by": "server_key:x"}, {"id": "4", "status": "active", "created_by": "server_key:y"},
        ], "next_cursor": null})),
        (2, "POST") => (
            202,
            String::new(),
            json!({"status": "revoking", "remaining": 2, "made_until": "2026-01-01T00:00:00.000Z"}).to_string(),
        ),
        _ => ok(json!({"status": "revoked", "remaining": 0, "made_until": "2026-01-01T00:00:00.000Z"})),
    });
    let all = ["credentials", "revoke", "--all", "--workspace", "acme", "--created-by", "server_key:x"];
    let counted = call(&worker, &[&all[..], &["--dry-run"]].concat(), "");
    assert!(counted.good().starts_with("2 credentials of acme would end"), "{}", counted.stdout);
    assert!(worker.sent().iter().all(|sent| sent.method == "GET"), "nothing ended");
    let ended = call(&worker, &[&all[..], &["--reason", "leaked", "--json"]].concat(), "");
    assert_eq!(ended.json()["remaining"], 0);
    let posts: Vec<Value> = worker.sent().iter().filter(|sent| sent.method == "POST").map(|sent| sent.json()).collect();
    assert_eq!(
        posts,
        [
            json!({"created_by": "server_key:x", "reason": "leaked"}),
            json!({"created_by": "server_key:x", "reason": "leaked", "made_until": "2026-01-01T00:00:00.000Z"}),
        ]
    );
    for wrong in [
        &["credentials", "revoke"][..],
        &["credentials", "revoke", "--all"],
        &["credentials", "revoke", ID, "--dry-run"],
        &["credentials", "revoke", ID, "--all", "--workspace", "acme"],
    ] {
        assert_eq!(call(&worker, wrong, "").code, Some(2), "{wrong:?}");
    }
}

/// One that ends more, or less, than it was asked to cannot be undone.
#[test]
fn n13_many_of_one_environment_are_counted_and_ended_in_that_environment_alone() {
    let worker = Worker::start(|_, sent| match sent.method.as_str() {
        "GET" => ok(json!({"items": [{"id": "1", "status": "active"}], "next_cursor": null})),
        _ => ok(json!({"status": "revoked", "remaining": 0, "made_until": "2026-01-01T00:00:00.000Z"})),
    });
    let all = ["credentials", "revoke", "--all", "--workspace", "acme", "--environment", "test"];
    let counted = call(&worker, &[&all[..], &["--dry-run", "--json"]].concat(), "");
    assert_eq!(counted.json(), json!({"would_revoke": 1}));
    let said = call(&worker, &[&all[..], &["--dry-run"]].concat(), "");
    assert_eq!(said.good(), "1 credential of acme would end. Without --dry-run it does.");
    call(&worker, &all, "").good();
    let sent = worker.sent();
    let lines: Vec<String> = sent.iter().map(scripted::Sent::line).collect();
    assert_eq!(
        lines,
        [
            "GET /v1/credentials?workspace=acme&environment=test",
            "GET /v1/credentials?workspace=acme&environment=test",
            "POST /v1/workspaces/acme/credentials/revoke"
        ]
    );
    assert_eq!(sent[2].json(), json!({"environment": "test"}));
}

#[test]
fn n13_events_between_two_moments_are_asked_for_by_time_or_by_how_long_ago() {
    let worker = Worker::always(ok(json!({"items": [], "head": null})));
    let asked =
        ["audit", "list", "--since", "2026-01-01T00:00:00Z", "--until", "2026-01-02T02:00:00+02:00", "--limit", "7"];
    call(&worker, &asked, "").good();
    let line = "GET /v1/audit?before=&since=2026-01-01T00%3A00%3A00.000Z&until=2026-01-02T00%3A00%3A00.000Z&limit=7";
    assert_eq!(worker.only().line(), line);
    call(&worker, &["audit", "list", "--since", "2h"], "").good();
    let line = worker.sent()[1].line();
    let since = line.strip_prefix("GET /v1/audit?before=&since=").expect(&line).replace("%3A", ":");
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let ago = u64::try_from(millis).unwrap() - Timestamp::parse_rfc3339(&since).expect(&line).0;
    assert!((7_200_000..7_260_000).contains(&ago), "{ago} ms ago");
    assert_eq!(call(&worker, &["audit", "list", "--since", "yesterday"], "").code, Some(2));
    // As docs/http.md has it: `since` and `until` are both included.
    let help = call(&worker, &["audit", "list", "--help"], "");
    let until = help.good().split("--until").nth(1).unwrap();
    assert!(until.contains("itself included") && !until.contains("before"), "{until}");
}

#[test]
fn n13_the_tail_begins_with_the_newest_events_and_shows_each_one_as_it_comes() {
    let event = |seq: u64| json!({"seq": seq, "action": format!("credential.{seq}"), "at": "2026-01-01T00:00:00.000Z"});
    // At once: each waits until it looks again.
    let watched = [true, false].map(|is_json| {
        thread::spawn(move || {
            let worker = Worker::start(move |before, _| match before {
                0 => ok(json!({"items": [event(2), event(1)], "head": {"seq": 2}})),
                1 => ok(json!({"items": [event(3)], "head": {"seq": 3}, "next_after": null})),
                _ => refusal(403, "insufficient_scope"),
            });
            let variables = [("CLAVIGER_URL", worker.url.as_str()), ("CLAVIGER_KEY", DEPLOY_KEY)];
            let asked = ["audit", "tail", "--workspace", "acme", "--limit", "2", "--json"];
            let mut child = scripted::start(&variables, &asked[..if is_json { 7 } else { 6 }]);
            let lines = BufReader::new(child.stdout.take().unwrap()).lines().take(3);
            let lines: Vec<String> = lines.map(Result::unwrap).collect();
            child.kill().unwrap();
            scripted::end(child);
            if is_json {
                let shown: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
                assert_eq!(shown, [event(1), event(2), event(3)]);
            } else {
                let first = lines.iter().map(|line| line.split("  ").next().unwrap()).collect::<Vec<_>>();
                assert_eq!((first, lines[2].contains("credential.3")), (vec!["1", "2", "3"], true));
            }
            let sent: Vec<String> = worker.sent().iter().take(2).map(scripted::Sent::line).collect();
            assert_eq!(sent, ["GET /v1/audit?workspace=acme&before=&limit=2", "GET /v1/audit?workspace=acme&after=2"]);
        })
    });
    for watched in watched {
        watched.join().unwrap();
    }
}

#[test]
fn n13_an_export_is_printed_part_by_part_until_its_end() {
    let worker = Worker::start(|before, _| {
        let next = if before == 0 { json!(2) } else { Value::Null };
        (200, String::new(), format!("{{\"seq\":{}}}\n{}\n", before + 1, json!({"head": null, "next_after": next})))
    });
    let ended = call(&worker, &["audit", "export", "--workspace", "acme"], "");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stdout.lines().count(), 4);
    let lines: Vec<String> = worker.sent().iter().map(scripted::Sent::line).collect();
    assert_eq!(lines, ["GET /v1/audit/export?after=0&workspace=acme", "GET /v1/audit/export?after=2&workspace=acme"]);
}

#[test]
fn n13_what_is_mistyped_gets_a_suggestion_and_the_help_of_its_own_command() {
    let ended = |arguments: &[&str]| run(&[], arguments, "");
    for (arguments, meant, help) in [
        (&["credentails"][..], "`credentials`", "`claviger --help`"),
        (&["credentials", "lst"], "`list`", "`claviger credentials --help`"),
        (&["credentials", "list", "--worksapce", "acme"], "`--workspace`", "`claviger credentials list --help`"),
        (&["conversations", "list", "--environment", "liv"], "`live`", "`claviger conversations list --help`"),
    ] {
        let ended = ended(arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}");
        assert!(ended.stderr.contains(meant) && ended.stderr.contains(help), "{arguments:?}: {}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
    // A secret that was typed where none belongs is not repeated.
    for place in [&["workspaces", "show", "acme"][..], &["conversations", "messages"], &["whoami"]] {
        let typed = ended(&[place, &["clv_live_Loc8tor0SecretSecretSecretcheck6"]].concat());
        assert_eq!(typed.code, Some(2), "{place:?}");
        assert!(typed.stderr.contains("[redacted]") && !typed.stderr.contains("SecretSecret"), "{}", typed.stderr);
    }
}

#[test]
fn n13_a_refusal_of_the_worker_is_one_line_with_its_code() {
    let worker = Worker::always(refusal(403, "insufficient_scope"));
    let ended = call(&worker, &["workspaces", "list"], "");
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    assert!(ended.stderr.contains("insufficient_scope") && ended.stderr.contains("req_1"), "{}", ended.stderr);
}

/// What is sent by a command that changes something, in JSON: all of it, and nothing that was not asked for.
fn changes(arguments: &[&str], answer: &Value) -> (String, Value) {
    let worker = Worker::always(ok(answer.clone()));
    assert_eq!(call(&worker, &[arguments, &["--json"]].concat(), "").json(), *answer, "{arguments:?}");
    let said = call(&worker, arguments, "");
    assert!(said.good().contains("Acme") && !said.good().contains('{'), "{}", said.stdout);
    let sent = worker.sent();
    assert_eq!((sent.len(), sent[0].json()), (2, sent[1].json()), "{arguments:?}");
    (sent[0].line(), sent[0].json())
}

#[test]
fn n13_a_credential_is_changed_member_by_member_and_in_nothing_that_was_not_named() {
    let answer = json!({"id": ID, "kind": "server_key", "name": "Acme", "expires_at": null});
    let cases: Vec<(Vec<&str>, Value)> = vec![
        (vec!["--name", "Back end"], json!({"name": "Back end"})),
        (vec!["--scope", "a:read", "--scope", "b:read"], json!({"scopes": ["a:read", "b:read"]})),
        (vec!["--expires-at", "2026-01-02T02:00:00+02:00"], json!({"expires_at": "2026-01-02T00:00:00.000Z"})),
        (vec!["--expires-at", "-"], json!({"expires_at": null})),
        (vec!["--tier", "free"], json!({"tier": "free"})),
        (
            vec!["--tier", "own", "--limit", "1000/60", "--limit", "9/1", "--token-limit", "5/60"],
            json!({"tier": "own", "limits": {
                "requests": [{"limit": 1000, "window_seconds": 60}, {"limit": 9, "window_seconds": 1}],
                "tokens": [{"limit": 5, "window_seconds": 60}],
            }}),
        ),
        (vec!["--limit", "7/1"], json!({"limits": {"requests": [{"limit": 7, "window_seconds": 1}]}})),
        (vec!["--allowed-address", "203.0.113.0/24"], json!({"allowed_addresses": ["203.0.113.0/24"]})),
        (vec!["--allowed-address", "-"], json!({"allowed_addresses": []})),
        (vec!["--origin", "https://a.example"], json!({"origins": ["https://a.example"]})),
    ];
    for (arguments, body) in cases {
        let sent = changes(&[&["credentials", "change", ID], &arguments[..]].concat(), &answer);
        assert_eq!(sent, (format!("PATCH /v1/credentials/{ID}"), body));
    }
    let worker = Worker::always(ok(answer));
    for wrong in [
        &["credentials", "change", ID][..],
        &["credentials", "change", ID, "--json"],
        &["credentials", "change", "--name", "x"],
        &["credentials", "change", SERVER_KEY, "--name", "x"],
        &["credentials", "change", ID, "--expires-at", "2h"],
        &["credentials", "change", ID, "--allowed-address", "-", "--allowed-address", "203.0.113.0/24"],
    ] {
        let ended = call(&worker, wrong, "");
        assert_eq!((ended.code, worker.sent().len()), (Some(2), 0), "{wrong:?}");
        assert!(!ended.stderr.contains(SERVER_KEY), "{}", ended.stderr);
    }
}

#[test]
fn n13_a_plan_is_set_whole_or_goes_back_to_the_one_that_holds_otherwise() {
    let answer = json!({"id": "acme", "name": "Acme", "plan": {"tiers": ["free"], "custom_limits": null}});
    let custom =
        json!({"requests": [{"limit": 1000, "window_seconds": 60}], "tokens": [{"limit": 5, "window_seconds": 1}]});
    for (arguments, plan) in [
        (&["--tier", "free"][..], json!({"tiers": ["free"], "custom_limits": null})),
        (
            &["--tier", "free", "--tier", "own", "--limit", "1000/60", "--token-limit", "5/1"],
            json!({"tiers": ["free", "own"], "custom_limits": custom}),
        ),
        (&["--default"], Value::Null),
    ] {
        let sent = changes(&[&["workspaces", "plan", "acme"], arguments].concat(), &answer);
        assert_eq!(sent, ("PATCH /v1/workspaces/acme".to_owned(), json!({"plan": plan})));
        if plan.is_null() {
            continue;
        }
        let sent = changes(&[&["workspaces", "create", "--name", "Acme"], arguments].concat(), &answer);
        assert_eq!(sent, ("POST /v1/workspaces".to_owned(), json!({"name": "Acme", "plan": plan})));
    }
    let worker = Worker::always(ok(answer));
    for wrong in [
        &["workspaces", "plan", "acme"][..],
        &["workspaces", "plan", "acme", "--tier", "free", "--default"],
        // Which tiers, nobody would know; and what is not named is taken away.
        &["workspaces", "plan", "acme", "--limit", "1000/60"],
        &["workspaces", "plan", "acme", "--tier", "own", "--token-limit", "5/1"],
    ] {
        assert_eq!((call(&worker, wrong, "").code, worker.sent().len()), (Some(2), 0), "{wrong:?}");
    }
}
