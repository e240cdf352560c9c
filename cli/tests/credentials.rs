//! `claviger credentials` against a worker that answers by a script: what is sent, what is printed, and what is not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

#[path = "../../tests/scripted/mod.rs"]
mod scripted;

use scripted::{DEPLOY_KEY, ID, NEW_SECRET, Reply, SERVER_KEY, Sent, Worker, ok, refusal, run};
use serde_json::{Value, json};

fn made() -> Value {
    json!({
        "id": ID, "kind": "server_key", "secret": NEW_SECRET, "hint": "clv_live_…eck6", "name": "api", "workspace": "acme",
        "scopes": ["messages:read"], "environment": "live", "tier": null, "status": "active",
        "created_at": "2026-07-30T12:00:00.000Z", "created_by": "deploy_key:dk_1", "expires_at": null, "last_used_at": null,
    })
}

fn with(mut value: Value, more: Value) -> Value {
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    value
}

fn created(body: Value) -> Reply {
    (201, String::new(), body.to_string())
}

const CREATE: &[&str] =
    &["create", "--kind", "server_key", "--workspace", "acme", "--environment", "live", "--name", "api"];

#[test]
fn a_new_secret_stands_alone_on_standard_output_and_the_facts_beside_it() {
    let worker = Worker::always(created(made()));
    let ended = worker.run(CREATE);
    assert_eq!(ended.good(), NEW_SECRET);
    assert_eq!(ended.stdout, format!("{NEW_SECRET}\n"));
    assert_eq!(ended.stderr, format!("server_key {ID}, of acme, live, hint clv_live_…eck6, never expires\n"));
    let sent = worker.only();
    assert_eq!(sent.line(), "POST /v1/credentials");
    assert_eq!(sent.header("authorization"), Some(&*format!("Convex {DEPLOY_KEY}")));
    assert_eq!(sent.header("content-type"), Some("application/json"));
    assert_eq!(sent.header("idempotency-key"), None);
    assert_eq!(sent.json(), json!({"kind": "server_key", "workspace": "acme", "environment": "live", "name": "api"}));
}

#[test]
fn every_argument_of_a_new_credential_reaches_the_worker() {
    let worker = Worker::always(created(with(made(), json!({"expires_at": "2026-10-28T12:00:00.000Z"}))));
    let more: &[&str] = &[
        "--scope",
        "messages:read",
        "--scope",
        "messages:write",
        "--tier",
        "enterprise",
        "--limit",
        "1000/60",
        "--limit",
        "9/1",
        "--token-limit",
        "40000/60",
        "--expires-in",
        "90d",
        "--allowed-address",
        "203.0.113.0/24",
        "--allowed-address",
        "2001:db8::/48",
        "--origin",
        "https://shop.example",
        "--service",
        "billing",
        "--stage",
        "prod",
        "--idempotency-key",
        "once-7",
        "--json",
    ];
    let ended = worker.run(&[CREATE, more].concat());
    assert_eq!(ended.json()["secret"], NEW_SECRET);
    assert!(ended.stderr.contains("expires 2026-10-28") && !ended.stderr.contains(NEW_SECRET), "{}", ended.stderr);
    let sent = worker.only();
    assert_eq!(sent.header("idempotency-key"), Some("once-7"));
    let expected = json!({
        "kind": "server_key", "workspace": "acme", "environment": "live", "name": "api", "tier": "enterprise",
        "scopes": ["messages:read", "messages:write"],
        "limits": {
            "requests": [{"limit": 1000, "window_seconds": 60}, {"limit": 9, "window_seconds": 1}],
            "tokens": [{"limit": 40_000, "window_seconds": 60}],
        },
        "expires_in": 7_776_000, "allowed_addresses": ["203.0.113.0/24", "2001:db8::/48"],
        "origins": ["https://shop.example"], "service": "billing", "stage": "prod",
    });
    assert_eq!(sent.json(), expected);
}

#[test]
fn the_header_follows_the_shape_of_the_key() {
    for (key, header) in [
        (DEPLOY_KEY.to_owned(), format!("Convex {DEPLOY_KEY}")),
        (SERVER_KEY.to_owned(), format!("Bearer {SERVER_KEY}")),
    ] {
        let worker = Worker::always(ok(json!({"items": [], "next_cursor": null})));
        worker.run_as(&key, &["list"]).good();
        assert_eq!(worker.only().header("authorization"), Some(&*header));
    }
    // What deploy keys are sent under is a setting of the policy.
    let worker = Worker::always(ok(made()));
    let policy = "brand = \"clv\"\n[schemes]\ndeploy_key = [\"Operator\"]\n";
    let variables = [("CLAVIGER_KEY", DEPLOY_KEY), ("CLAVIGER_URL", &worker.url), ("POLICY_TOML", policy)];
    run(&variables, &["credentials", "show", ID], "").good();
    assert_eq!(worker.only().header("authorization"), Some(&*format!("Operator {DEPLOY_KEY}")));
}

#[test]
fn what_is_no_key_for_administration_is_not_sent_at_all() {
    let worker = Worker::always(ok(made()));
    let long = "A".repeat(120);
    for key in [
        format!("clv_wk_live_{long}"),
        format!("clv_hs_live_{long}"),
        "clv_st_live_Loc8tor0SecretSecretSecretcheck6".to_owned(),
        format!("{SERVER_KEY}\n"),
        format!("Bearer {SERVER_KEY}"),
        format!("\"{DEPLOY_KEY}\""),
        "hunter2".to_owned(),
        format!("|clv_dk_{long}"),
    ] {
        let error = worker.run_as(&key, &["list"]);
        assert!(error.error(2).contains("`claviger doctor` says what it is"), "{error:?}");
    }
    let none = run(&[("CLAVIGER_URL", &worker.url), ("CLAVIGER_KEY", "")], &["credentials", "list"], "");
    assert!(none.error(2).contains("CLAVIGER_KEY is not set"));
    assert_eq!(worker.sent().len(), 0);
}

#[test]
fn a_key_of_live_data_goes_over_the_network_in_tls_only_and_no_url_is_repeated() {
    let live = SERVER_KEY.replace("_test_", "_live_");
    let prod = DEPLOY_KEY.replace("dev:", "prod:");
    for key in [&live, &prod] {
        let refused = run(&[("CLAVIGER_KEY", key)], &["credentials", "list", "--url", "http://keys.invalid"], "");
        assert!(refused.error(2).contains("Use https:"), "{refused:?}");
    }
    for key in [SERVER_KEY, DEPLOY_KEY] {
        let tried = run(&[("CLAVIGER_KEY", key)], &["credentials", "list", "--url", "http://keys.invalid"], "");
        assert!(tried.error(1).contains("Nothing can be reached at http://keys.invalid"), "{tried:?}");
    }
    for url in [
        "keys.example",
        "ftp://keys.example",
        "https://o:pass-7@keys.example",
        "https://keys.example/v1",
        "https://k?pass-7",
    ] {
        let refused = run(&[("CLAVIGER_KEY", SERVER_KEY)], &["credentials", "list", "--url", url], "");
        assert!(refused.error(2).contains("The worker's URL is") && !refused.stderr.contains("pass-7"), "{refused:?}");
    }
    let none = run(&[("CLAVIGER_KEY", SERVER_KEY)], &["credentials", "list"], "");
    assert!(none.error(2).contains("Set CLAVIGER_URL"));
    // One slash at the end is how people copy an origin.
    let worker = Worker::always(ok(json!({"items": [], "next_cursor": null})));
    let url = format!("{}/", worker.url);
    run(&[("CLAVIGER_KEY", SERVER_KEY)], &["credentials", "list", "--url", &url], "").good();
    assert_eq!(worker.only().line(), "GET /v1/credentials");
}

#[test]
fn no_proxy_of_the_environment_is_asked() {
    let (worker, proxy) = (Worker::always(ok(made())), Worker::always(ok(made())));
    let variables = [
        ("CLAVIGER_KEY", DEPLOY_KEY),
        ("CLAVIGER_URL", &worker.url),
        ("HTTP_PROXY", &proxy.url),
        ("http_proxy", &proxy.url),
        ("ALL_PROXY", &proxy.url),
        ("HTTPS_PROXY", &proxy.url),
    ];
    run(&variables, &["credentials", "show", ID], "").good();
    assert_eq!((worker.sent().len(), proxy.sent().len()), (1, 0));
}

#[test]
fn a_key_follows_no_redirect() {
    let elsewhere = Worker::always(ok(made()));
    let worker = Worker::always((302, format!("location: {}/v1\r\n", elsewhere.url), String::new()));
    assert!(worker.run(&["show", ID]).error(1).contains("is no Claviger: status 302"));
    assert_eq!(elsewhere.sent().len(), 0);
}

#[test]
fn a_list_is_a_table_and_asks_for_what_was_asked() {
    let item = |name: &str, used: Value| with(made(), json!({"secret": null, "name": name, "last_used_at": used}));
    let page = json!({"items": [item("a", json!("2026-07-30T12:00:00.000Z")), item("long name", Value::Null)], "next_cursor": "wk_2"});
    let worker = Worker::always(ok(page));
    let asked = ["list", "--kind", "widget_key", "--status", "expiring", "--workspace", "acme", "--limit", "2"];
    let ended = worker.run(&asked);
    let expected = format!(
        "{:28}  KIND        NAME       STATUS  HINT            LAST USED\n\
         {ID}  server_key  a          active  clv_live_…eck6  2026-07-30T12:00:00.000Z\n\
         {ID}  server_key  long name  active  clv_live_…eck6  -",
        "ID"
    );
    // How long ago that was, the clock says.
    let lines: Vec<String> = ended.good().lines().map(|line| line.split(" (").next().unwrap().to_owned()).collect();
    assert_eq!(lines.join("\n"), expected);
    assert!(ended.good().contains(" ago)"), "{}", ended.stdout);
    assert_eq!(ended.stderr, "There are more: --all lists them.\n");
    assert_eq!(worker.only().line(), "GET /v1/credentials?kind=widget_key&status=expiring&workspace=acme&limit=2");
    assert_eq!(worker.run(&["list", "--json"]).json()["next_cursor"], "wk_2");
}

#[test]
fn all_pages_are_followed_to_the_last_and_in_no_circle() {
    let worker = Worker::start(|before, _| {
        let next = ["a b", "c"].get(before);
        ok(json!({"items": [with(made(), json!({"name": before.to_string()}))], "next_cursor": next}))
    });
    let ended = worker.run(&["list", "--all", "--json"]);
    let names: Vec<_> = ended.json()["items"].as_array().unwrap().iter().map(|item| item["name"].clone()).collect();
    assert_eq!((names, ended.json()["next_cursor"].clone()), (vec![json!("0"), json!("1"), json!("2")], Value::Null));
    let lines: Vec<_> = worker.sent().iter().map(Sent::line).collect();
    assert_eq!(lines, ["", "?cursor=a+b", "?cursor=c"].map(|query| format!("GET /v1/credentials{query}")));
    let circle = Worker::always(ok(json!({"items": [], "next_cursor": "a"})));
    assert!(circle.run(&["list", "--all"]).error(1).contains("same page again"));
    let none = Worker::always(ok(json!({"items": [], "next_cursor": null}))).run(&["list"]);
    assert_eq!((none.good(), none.stderr.as_str()), ("", "There is none.\n"));
}

#[test]
fn one_credential_is_shown_with_all_that_is_known_of_it() {
    let name = "evil \u{1b}[2J name";
    let worker =
        Worker::always(ok(with(made(), json!({"secret": null, "name": name, "scopes": ["a:read", "b:read"]}))));
    let shown = worker.run(&["show", ID]);
    for line in [
        "kind          server_key",
        "scopes        a:read, b:read",
        "expires_at    -",
        "name          evil \u{fffd}[2J name",
    ] {
        assert!(shown.good().lines().any(|shown| shown == line), "{line}\n{}", shown.stdout);
    }
    assert!(!shown.good().contains("secret"));
    assert_eq!(worker.only().line(), format!("GET /v1/credentials/{ID}"));
    assert_eq!(worker.run(&["show", ID, "--json"]).json()["name"], name);
}

#[test]
fn a_rotation_hands_out_the_new_secret_and_says_when_the_old_one_ends() {
    let old = json!({"replaces": "clv_live_…old1", "old_expires_at": "2026-07-31T12:00:00.000Z"});
    let worker = Worker::always(created(with(made(), old)));
    let ended = worker.run(&["rotate", ID, "--overlap", "24h"]);
    assert_eq!(ended.good(), NEW_SECRET);
    assert!(
        ended.stderr.ends_with("the old secret clv_live_…old1 ends at 2026-07-31T12:00:00.000Z\n"),
        "{}",
        ended.stderr
    );
    let sent = worker.only();
    assert_eq!(
        (sent.line(), sent.json()),
        (format!("POST /v1/credentials/{ID}/rotate"), json!({"overlap_seconds": 86_400}))
    );
    worker.run(&["rotate", ID]).good();
    worker.run(&["rotate", ID, "--overlap", "0s"]).good();
    let bodies: Vec<_> = worker.sent().iter().map(Sent::json).collect();
    assert_eq!(bodies[1..], [json!({}), json!({"overlap_seconds": 0})]);
    assert!(worker.run(&["rotate", ID, "--overlap", "8d"]).error(2).contains("7d at most"));
}

#[test]
fn a_revocation_asks_nothing_and_says_since_when() {
    let worker = Worker::always(ok(json!({"status": "revoked", "revoked_at": "2026-07-30T12:00:00.000Z"})));
    let ended = worker.run(&["revoke", ID, "--reason", "leaked"]);
    assert_eq!(ended.good(), format!("{ID} is revoked since 2026-07-30T12:00:00.000Z"));
    let sent = worker.only();
    assert_eq!((sent.line(), sent.json()), (format!("POST /v1/credentials/{ID}/revoke"), json!({"reason": "leaked"})));
    let again = worker.run(&["revoke", "dk_0123456789abcdefghij", "--json"]);
    assert_eq!(again.json()["status"], "revoked");
    assert_eq!(worker.sent()[1].json(), json!({}));
}

#[test]
fn usage_is_totals_by_secret_and_by_scope_and_names_what_was_never_used() {
    let at = "2026-07-30T12:00:00.000Z";
    let usage = json!({
        "last_used_at": at, "total": 12, "denied": 3,
        "series": [{"at": at, "total": 12, "denied": 3}],
        "by_secret": [{"hint": "clv_live_…new1", "last_used_at": at, "total": 10}, {"hint": "clv_live_…old1", "last_used_at": null, "total": 2}],
        "by_scope": [{"scope": "a:read", "last_used_at": at, "total": 12}, {"scope": "a:write", "last_used_at": null, "total": 0}],
    });
    let worker = Worker::always(ok(usage.clone()));
    let shown = worker.run(&["usage", ID]);
    let expected = format!(
        "total      12\ndenied     3\nlast used  {at}\n\n\
         HINT            TOTAL  LAST USED\nclv_live_…new1  10     {at}\nclv_live_…old1  2      -\n\n\
         SCOPE    TOTAL  LAST USED\na:read   12     {at}\na:write  0      -\n\n\
         never used: a:write"
    );
    assert_eq!(shown.good(), expected);
    let fine = ["usage", ID, "--from", "2026-07-30T00:00:00Z", "--to", "2026-07-31T01:00:00+01:00", "--bucket", "hour"];
    assert!(worker.run(&fine).good().contains(&format!("AT                        TOTAL  DENIED\n{at}  12     3")));
    let query = "from=2026-07-30T00%3A00%3A00.000Z&to=2026-07-31T00%3A00%3A00.000Z&bucket=hour";
    assert_eq!(worker.sent()[1].line(), format!("GET /v1/credentials/{ID}/usage?{query}"));
    assert_eq!(worker.run(&["usage", ID, "--json"]).json(), usage);
}

#[test]
fn usage_in_tokens_is_shown_where_tokens_were_counted() {
    let at = "2026-07-30T12:00:00.000Z";
    let usage = json!({
        "last_used_at": at, "total": 12, "denied": 3, "tokens": {"used": 51_200},
        "series": [{"at": at, "total": 11, "denied": 3, "tokens": 51_200}, {"at": at, "total": 1, "denied": 0}],
        "by_secret": [], "by_scope": [],
    });
    let worker = Worker::always(ok(usage));
    let run = worker.run(&["usage", ID, "--bucket", "hour"]);
    let shown = run.good();
    assert!(shown.contains("denied     3\ntokens     51200\nlast used"), "{shown}");
    assert!(shown.contains(&format!("DENIED  TOKENS\n{at}  11     3       51200\n{at}  1      0       -")), "{shown}");
}

const CALLS: &[&[&str]] = &[CREATE, &["list"], &["show", ID], &["rotate", ID], &["revoke", ID], &["usage", ID]];

#[test]
fn a_refusal_is_what_happened_what_to_do_the_code_and_the_request() {
    let worker = Worker::always(refusal(403, "insufficient_scope"));
    let line = "claviger: It did not work. Do it differently. (insufficient_scope, request req_1)";
    for call in CALLS {
        assert_eq!(worker.run(call).error(1), line);
        assert_eq!(worker.run(&[call, &["--json"][..]].concat()).error(1), line);
    }
}

#[test]
fn what_is_no_worker_is_said_to_be_none_and_cannot_speak_for_one() {
    for body in ["<html>", "", "[]", "{\"code\":1}"] {
        for status in [200, 404, 500] {
            let worker = Worker::always((status, String::new(), body.to_owned()));
            for call in CALLS {
                let unread = "none that this version understands";
                let what = if status == 200 && body.starts_with('{') { unread } else { "is no Claviger" };
                for more in [&[][..], &["--json"]] {
                    let ended = worker.run(&[call, more].concat());
                    assert!(ended.error(1).contains(what), "{ended:?}");
                }
            }
        }
    }
    // It repeats the key, and would clear the screen.
    let body = json!({"code": "x", "error": format!("{DEPLOY_KEY} \u{1b}[2J"), "fix": "f", "request_id": "r"});
    let echo = Worker::always((401, String::new(), body.to_string()));
    assert_eq!(echo.run(&["list"]).error(1), "claviger: [redacted] \u{fffd}[2J f (x, request r)");
}

#[test]
fn a_worker_that_cannot_be_reached_is_said_where_and_what_to_do() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    for call in CALLS {
        let variables = [("CLAVIGER_KEY", DEPLOY_KEY), ("CLAVIGER_URL", url.as_str())];
        let ended = run(&variables, &[&["credentials"], *call].concat(), "");
        let line = ended.error(1);
        assert!(line.contains(&url) && line.ends_with("Is the worker running, and is the URL right?"), "{line}");
    }
}

#[test]
fn whether_a_lost_answer_had_an_effect_is_said_to_be_unknown() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let variables = [("CLAVIGER_KEY", DEPLOY_KEY), ("CLAVIGER_URL", url.as_str())];
    let made = run(&variables, &[&["credentials"], CREATE].concat(), "");
    assert!(made.error(1).contains("Whether it was done is not known"), "{made:?}");
    let read = run(&variables, &["credentials", "list"], "");
    assert!(read.error(1).ends_with("Try again."), "{read:?}");
}

#[test]
fn a_secret_that_was_shown_before_is_no_success_without_json() {
    let shown = with(made(), json!({"secret": null, "secret_shown": true}));
    let mut shown_without = shown;
    shown_without.as_object_mut().unwrap().remove("secret");
    let worker = Worker::always(created(shown_without));
    let again = worker.run(&[CREATE, &["--idempotency-key", "k"]].concat());
    assert!(again.error(1).contains("its secret was shown then") && again.stderr.contains("rotate"), "{again:?}");
    let as_json = worker.run(&[CREATE, &["--idempotency-key", "k", "--json"]].concat());
    assert_eq!(as_json.json()["secret_shown"], true);
    for key in ["", "a b", "ä", &"k".repeat(256)] {
        assert!(
            worker.run(&[CREATE, &["--idempotency-key", key]].concat()).error(2).contains("idempotency key"),
            "{key}"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_secret_that_could_not_be_printed_is_said_to_be_lost() {
    use std::process::{Command, Stdio};
    let worker = Worker::always(created(made()));
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_claviger"));
    command
        .env_clear()
        .env("CLAVIGER_KEY", DEPLOY_KEY)
        .env("CLAVIGER_URL", &worker.url)
        .arg("credentials")
        .args(CREATE);
    let output = command.stdout(full).stdin(Stdio::null()).output().unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        line.contains("could not be printed") && line.contains("revoke it") && !line.contains(NEW_SECRET),
        "{line}"
    );
}

#[test]
fn wrong_usage_is_2_sends_nothing_and_repeats_no_secret() {
    let worker = Worker::always(ok(made()));
    for arguments in [
        &["nope"][..],
        &["create"],
        &["create", "--kind", "history_secret", "--name", "x"],
        &["create", "--kind", "server_key", "--name", "x", "--limit", "1000"],
        &["create", "--kind", "server_key", "--name", "x", "--expires-in", "0d"],
        &["list", "--status", "gone"],
        &["list", "--limit", "0"],
        &["list", "--workspace", "a/b"],
        &["show"],
        &["show", "../workspaces"],
        &["show", NEW_SECRET],
        &["revoke", DEPLOY_KEY],
        &["rotate", &NEW_SECRET[..30]],
        &["usage", ID, "--bucket", "year"],
        &["usage", ID, "--from", "yesterday"],
        &["rotate", ID, "--only-watch", "--overlap", "1h"],
        &["rotate", ID, "--watch", "--overlap", "10m"],
        &["rotate", ID, "--watch", "--silent", "1d"],
        &["list", NEW_SECRET],
    ] {
        let wrong = worker.run(arguments);
        wrong.error(2);
        assert!(!wrong.stderr.contains("Fresh") && !wrong.stderr.contains("clv_dk_AW"), "{wrong:?}");
    }
    assert_eq!(worker.sent().len(), 0);
}
