//! The command line as an operator meets it: the built binary, its output to the byte, its exit codes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

use claviger::{
    codec::time::Timestamp,
    credential::{DeployKey, Kind as _},
    crypto::keyring::{KeyRing, Purpose},
    error::Reason,
    value::id::Stage,
};
use claviger_cli::scanners;
use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

const OLD: &str = "old:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const NEW: &str = "new:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";
const DAY: u64 = 86_400;

/// What a run left behind.
#[derive(Debug)]
struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Run {
    /// The only line on standard output.
    fn line(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self:?}");
        let line = self.stdout.strip_suffix('\n').expect("a whole line");
        assert!(!line.is_empty() && !line.contains('\n'), "{self:?}");
        line
    }

    /// The only line on standard error, of a run that answered nothing.
    fn error(&self, code: i32) -> &str {
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""), "{self:?}");
        let line = self.stderr.strip_suffix('\n').expect("a whole line");
        assert!(!line.is_empty() && !line.contains('\n'), "{self:?}");
        line
    }
}

/// Runs the binary with these variables and no others.
fn run(variables: &[(&str, &str)], arguments: &[&str]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_claviger"));
    command.env_clear().envs(variables.iter().copied()).args(arguments).stdin(Stdio::null());
    let output = command.output().expect("the binary runs");
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

const DEPLOY_KEY: &[&str] = &["deploy-key", "--stage", "dev", "--deployment", "local"];

fn verify(key: &str, brand: &str, roots: &str) -> Result<DeployKey, Reason> {
    DeployKey::verify(key, brand, &KeyRing::parse(roots).unwrap()).expect("a deploy key of the brand")
}

/// A policy file of this text.
fn policy(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.toml"));
    fs::write(&path, text).unwrap();
    path
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp(u64::try_from(since.as_millis()).unwrap())
}

#[test]
fn a_deploy_key_stands_alone_on_standard_output_and_verifies() {
    let before = now();
    let made = run(&[("ROOT_SECRETS", OLD)], DEPLOY_KEY);
    let key = verify(made.line(), "clv", OLD).unwrap();
    assert_eq!((key.stage, key.deployment.as_str()), (Stage::Dev, "local"));
    assert!(before <= key.issued_at && key.issued_at <= now());
    assert_eq!(key.expires_at, key.issued_at.plus_seconds(90 * DAY));
    assert!(made.line().starts_with("dev:local|clv_dk_"));
    let facts = made.stderr.trim_end();
    assert!(facts.contains(key.id.as_str()) && facts.contains(&key.expires_at.rfc3339()), "{facts}");
    assert!(!facts.contains('|') && !facts.contains('\n'), "{facts}");
}

#[test]
fn two_deploy_keys_are_never_the_same() {
    let [one, other] = [(); 2].map(|()| run(&[("ROOT_SECRETS", OLD)], DEPLOY_KEY));
    let [one, other] = [one, other].map(|made| verify(made.line(), "clv", OLD).unwrap());
    assert_ne!(one.id, other.id);
}

#[test]
fn a_deploy_key_verifies_under_no_other_root_stage_or_deployment() {
    let made = run(&[("ROOT_SECRETS", OLD)], DEPLOY_KEY);
    let key = made.line();
    let other_root = OLD.replace("AA", "BB");
    for (key, roots) in [
        (key.to_owned(), other_root.as_str()),
        (key.replacen("dev", "prod", 1), OLD),
        (key.replacen("local", "other", 1), OLD),
    ] {
        assert_eq!(verify(&key, "clv", roots).unwrap_err(), Reason::CredentialForged, "{key}");
    }
}

#[test]
fn the_first_root_that_is_not_check_only_signs() {
    let roots = format!("{NEW}:check-only\n{OLD}");
    let made = run(&[("ROOT_SECRETS", &roots)], DEPLOY_KEY);
    assert!(verify(made.line(), "clv", OLD).is_ok());
    let sub_key = run(&[("ROOT_SECRETS", &roots)], &["deploy-sub-key"]);
    assert!(sub_key.line().starts_with("old:"));
}

#[test]
fn the_sub_key_alone_makes_a_deploy_key_that_verifies_under_the_root() {
    let roots = format!("{NEW},{OLD}");
    let sub_key = run(&[("ROOT_SECRETS", &roots)], &["deploy-sub-key"]);
    assert_eq!(sub_key.stderr, "");
    assert_eq!(sub_key.line(), *KeyRing::derive_sub_key(&roots, Purpose::DeployKey).unwrap());
    let made = run(&[("DEPLOY_SUB_KEY", sub_key.line())], DEPLOY_KEY);
    assert_eq!(verify(made.line(), "clv", &roots).unwrap().deployment, "local");
    assert!(!made.stderr.contains(&sub_key.line()[4..]));
}

#[test]
fn the_brand_is_that_of_the_policy_that_would_serve() {
    for (variables, brand) in [
        (vec![], "clv"),
        (vec![("POLICY", "support")], "woes"),
        (vec![("POLICY", ""), ("POLICY_TOML", "")], "clv"),
        (vec![("POLICY_TOML", "brand = \"gs\""), ("POLICY", "support")], "gs"),
    ] {
        let made = run(&[variables, vec![("ROOT_SECRETS", OLD)]].concat(), DEPLOY_KEY);
        assert!(verify(made.line(), brand, OLD).is_ok());
    }
    let unknown = run(&[("ROOT_SECRETS", OLD), ("POLICY", "nope")], DEPLOY_KEY);
    assert!(unknown.error(1).contains("POLICY names no built-in policy"));
    let unsound = run(&[("ROOT_SECRETS", OLD), ("POLICY_TOML", "\nbrand = 1")], DEPLOY_KEY);
    assert!(unsound.error(1).contains("POLICY_TOML is not sound: line 2: `brand` is a text"));
}

#[test]
fn a_life_is_days_hours_or_seconds_and_366_days_at_most() {
    let with = |life: &str| run(&[("ROOT_SECRETS", OLD)], &[DEPLOY_KEY, &["--expires-in", life]].concat());
    for (life, seconds) in
        [("1s", 1), ("3600s", 3_600), ("12h", 43_200), ("90d", 90 * DAY), ("366d", 366 * DAY), ("8784h", 366 * DAY)]
    {
        let key = verify(with(life).line(), "clv", OLD).unwrap();
        assert_eq!(key.expires_at, key.issued_at.plus_seconds(seconds), "{life}");
    }
    for life in ["367d", "8785h", "31622401s", "0d", "18446744073709551615d", "99999999999999999999s", "1.5d"] {
        assert!(with(life).error(2).contains("366d at most"), "{life}");
    }
    for life in ["", "90", "d90", "1w", "1D", "90ä", "90 days"] {
        assert!(with(life).error(2).contains("a life is"), "{life}");
    }
}

#[test]
fn a_stage_or_deployment_that_no_worker_can_have_is_wrong_usage() {
    let with = |stage, deployment| {
        run(&[("ROOT_SECRETS", OLD)], &["deploy-key", "--stage", stage, "--deployment", deployment])
    };
    for stage in ["", "Dev", "Production", "prod.", "dev:x"] {
        assert!(with(stage, "local").error(2).contains("a stage is dev, staging or prod"), "{stage}");
    }
    for deployment in ["", "a b", "a|b", "a:b", "ä", &"a".repeat(65)] {
        assert!(with("dev", deployment).error(2).contains("a deployment is"), "{deployment}");
    }
    let missing = run(&[("ROOT_SECRETS", OLD)], &["deploy-key", "--stage", "dev"]);
    assert!(missing.error(2).contains("--deployment"));
}

#[test]
fn a_fresh_root_secret_stands_alone_and_serves() {
    let made = run(&[], &["root-secrets", "make"]);
    assert_eq!(made.stderr, "");
    assert!(made.line().starts_with("r1:") && made.line().len() == 3 + 43, "{made:?}");
    assert!(KeyRing::parse(made.line()).is_ok());
    assert_ne!(run(&[], &["root-secrets", "make"]).line(), made.line());
    assert!(run(&[], &["root-secrets", "make", "--id", "2026.a_b-c"]).line().starts_with("2026.a_b-c:"));
    for id in ["", "a b", "a:b", "ä", &"a".repeat(33)] {
        assert!(run(&[], &["root-secrets", "make", "--id", id]).error(2).contains("An id is"), "{id}");
    }
}

#[test]
fn a_fresh_root_secret_that_does_not_go_with_the_others_is_refused() {
    let make = |id| run(&[("ROOT_SECRETS", OLD)], &["root-secrets", "make", "--id", id]);
    assert!(make("old").error(1).contains("choose another id"));
    let both = format!("{},{OLD}", make("r2").line());
    assert!(KeyRing::parse(&both).is_ok());
}

#[test]
fn the_list_shows_ids_and_which_are_check_only() {
    let roots = format!(" {NEW} ,\n{OLD}:check-only ");
    let list = run(&[("ROOT_SECRETS", &roots)], &["root-secrets", "list"]);
    assert_eq!((list.code, list.stdout.as_str()), (Some(0), "new  may sign\nold  check-only\n"));
    assert_eq!(list.stderr, "");
}

#[test]
fn a_demoted_root_is_check_only_and_all_else_stays() {
    let roots = format!("{NEW} {OLD}");
    let demoted = run(&[("ROOT_SECRETS", &roots)], &["root-secrets", "demote", "old"]);
    assert_eq!(demoted.line(), format!("{NEW},{OLD}:check-only"));
    assert_eq!(demoted.stderr, "");
    let again = run(&[("ROOT_SECRETS", demoted.line())], &["root-secrets", "demote", "old"]);
    assert_eq!(again.line(), demoted.line());

    let key = run(&[("ROOT_SECRETS", OLD)], DEPLOY_KEY);
    assert!(verify(key.line(), "clv", &roots).is_ok());
    assert_eq!(verify(key.line(), "clv", demoted.line()).unwrap_err(), Reason::CredentialForged);
}

#[test]
fn the_last_root_that_signs_is_not_demoted() {
    for roots in [OLD, &format!("{OLD},{NEW}:check-only")] {
        let refused = run(&[("ROOT_SECRETS", roots)], &["root-secrets", "demote", "old"]);
        assert!(refused.error(1).contains("No entry would be left that signs"));
    }
    let unknown = run(&[("ROOT_SECRETS", OLD)], &["root-secrets", "demote", "ol"]);
    assert!(unknown.error(1).contains("no entry of this id"));
}

const NEED_ROOTS: &[&[&str]] =
    &[DEPLOY_KEY, &["deploy-sub-key"], &["root-secrets", "list"], &["root-secrets", "demote", "old"]];

#[test]
fn missing_root_secrets_are_wrong_usage_that_says_what_to_set() {
    for arguments in NEED_ROOTS {
        for variables in [&[][..], &[("ROOT_SECRETS", "")], &[("ROOT_SECRETS", ""), ("DEPLOY_SUB_KEY", "")]] {
            assert!(run(variables, arguments).error(2).contains("ROOT_SECRETS"), "{arguments:?}");
        }
    }
    let both = run(&[("ROOT_SECRETS", OLD), ("DEPLOY_SUB_KEY", OLD)], DEPLOY_KEY);
    assert!(both.error(2).contains("both. Set one of them."));
}

#[test]
fn malformed_root_secrets_are_refused_with_the_entry_and_never_repeated() {
    let secret = &OLD[4..];
    let make_one = "holds no entry that may sign";
    for (roots, why) in [
        (format!("{NEW},{secret}"), "entry 2 is not `id:secret`"),
        (format!("{OLD}="), "entry 1 is not 32 bytes of base64url without padding"),
        (format!("{OLD}A"), "entry 1 is not 32 bytes"),
        (format!("{NEW},{OLD}:revoked"), "entry 2 ends in something other than `:check-only`"),
        (format!("a b:{secret}"), "entry 1 is not `id:secret`"),
        (format!("ä:{secret}"), "entry 1 has an id that is not"),
        (format!("{OLD},{OLD}"), "entry 2 has an id too much like another's"),
        (format!("{OLD}:check-only"), make_one),
        (" ,\n".to_owned(), make_one),
    ] {
        for arguments in NEED_ROOTS {
            let refused = run(&[("ROOT_SECRETS", &roots)], arguments);
            assert!(refused.error(1).contains(why), "{refused:?}");
            assert!(!refused.stderr.contains("AAAA"), "{refused:?}");
        }
    }
    for key in ["old", &format!("{OLD}="), &format!("{OLD}:check-only"), &format!("{OLD},{NEW}")] {
        let refused = run(&[("DEPLOY_SUB_KEY", key)], DEPLOY_KEY);
        assert!(refused.error(1).contains("DEPLOY_SUB_KEY is malformed"), "{refused:?}");
        assert!(!refused.stderr.contains("AAAA") && !refused.stderr.contains("ROOT_SECRETS"), "{refused:?}");
    }
}

#[test]
fn no_root_secret_appears_on_any_output() {
    let roots = format!("{NEW},{OLD}");
    let sound = policy("no-root-secret", "brand = \"gs\"");
    let sound = sound.to_str().unwrap();
    let (old, option) = (&OLD[4..], format!("--root-secrets={OLD}"));
    let deploy_key = |last: &[&'static str]| [DEPLOY_KEY, last].concat();
    let runs: &[&[&str]] = &[
        &[],
        &["--help"],
        &["--version"],
        &["deploy-sub-key"],
        &["policy", "check", sound],
        &["root-secrets", "list"],
        &["root-secrets", "make"],
        // What a hurried operator does: the secret as an argument, where each of these takes none.
        &[OLD],
        &[&option],
        &["deploy-key", "--stage", OLD, "--deployment", old],
        &["deploy-sub-key", &roots],
        &["policy", "check", sound, old],
        &["policy", "check", OLD],
        &["root-secrets", "demote", OLD],
        &["root-secrets", "demote", old],
        &["root-secrets", "make", "--id", OLD],
        &["root-secrets", "list", OLD],
        &deploy_key(&[]),
        &deploy_key(&["--expires-in", OLD]),
        &deploy_key(&[OLD]),
    ];
    for arguments in runs {
        let ended = run(&[("ROOT_SECRETS", &roots)], arguments);
        for secret in [&OLD[4..40], &NEW[4..40]] {
            assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret), "{arguments:?}");
        }
        assert!(matches!(ended.code, Some(0..=2)), "{ended:?}");
    }
    // The one answer that is root secrets is all on standard output.
    let demoted = run(&[("ROOT_SECRETS", &roots)], &["root-secrets", "demote", "old"]);
    assert!(demoted.line().contains(old) && demoted.stderr.is_empty());
}

#[test]
fn the_built_in_policies_are_sound() {
    let check =
        |file: &str| run(&[], &["policy", "check", &format!("{}/../policies/{file}", env!("CARGO_MANIFEST_DIR"))]);
    let default = check("default.toml");
    assert!(
        default.line().ends_with(": brand clv, scopes 6, tiers 3, routes 0, widget yes, public suffixes of 2026-11-05"),
        "{default:?}"
    );
    let support = check("support.toml");
    assert!(
        support
            .line()
            .ends_with(": brand woes, scopes 16, tiers 3, routes 35, widget yes, public suffixes of 2026-11-05"),
        "{support:?}"
    );
    for file in ["analytics.toml", "default.toml", "llm.toml", "memory.toml", "support.toml"] {
        let told = check(file).stderr;
        assert!(told.lines().all(|line| line.starts_with("note: ")), "{file}: {told}");
    }
}

#[test]
fn a_sound_policy_with_routes_and_no_widget_is_summed_up() {
    let path = policy("sound", &format!("{BASE}{TIER}{ROUTE}"));
    let checked = run(&[], &["policy", "check", path.to_str().unwrap()]);
    assert_eq!(
        checked.line(),
        format!(
            "{} is sound: brand gs, scopes 1, tiers 1, routes 1, widget no, public suffixes of 2026-11-05",
            path.display()
        )
    );
    // What only the deployment's variables can make true.
    assert!(checked.stderr.contains("CLIENT_ADDRESS_HEADER") && !checked.stderr.contains("append"), "{checked:?}");
    let path = policy("appends", &format!("{BASE}{TIER}{ROUTE}[upstream]\nforwarded = \"append\"\n"));
    let checked = run(&[], &["policy", "check", path.to_str().unwrap()]);
    assert!(
        checked.stderr.contains("forwarded = \"append\" believes every client that reaches Claviger"),
        "{checked:?}"
    );
}

#[test]
fn n4_a_policy_says_how_much_keys_may_use_or_that_they_are_unlimited() {
    let check = |name: &str, text: &str| {
        let path = policy(name, text);
        (run(&[], &["policy", "check", path.to_str().unwrap()]), path)
    };
    for (name, text) in [
        ("silent", format!("{BASE}{ROUTE}")),
        ("empty", format!("{BASE}[tiers]\n{ROUTE}")),
        ("no", format!("unlimited = false\n{BASE}")),
    ] {
        let (silent, path) = check(name, &text);
        let line = silent.error(1);
        assert!(line.starts_with(&format!("{}:1: no [tiers]", path.display())), "{line}");
        // What it says to do, done.
        assert!(
            line.contains("[tiers.free] with `requests = { limit = 600, window_seconds = 60 }`, or `unlimited = true`")
        );
    }
    for (name, text) in
        [("limited", format!("{BASE}{TIER}{ROUTE}")), ("unlimited", format!("unlimited = true\n{BASE}{ROUTE}"))]
    {
        let (told, _) = check(name, &text);
        assert!(told.code == Some(0) && told.stderr.lines().all(|line| line.starts_with("note: ")), "{name}: {told:?}");
    }
    let (both, path) = check("both", &format!("brand = \"gs\"\nunlimited = true\n{TIER}"));
    assert!(both.error(1).starts_with(&format!("{}:2: `unlimited = true`", path.display())), "{both:?}");
}

#[test]
fn n3_n4_what_is_sound_and_may_not_be_meant_is_a_warning_and_no_failure() {
    let warned = |name: &str, text: &str| {
        let path = policy(name, &format!("brand = \"gs\"\n{text}"));
        let checked = run(&[], &["policy", "check", path.to_str().unwrap()]);
        assert_eq!(checked.code, Some(0), "{checked:?}");
        assert!(checked.line().contains(" is sound: "), "{checked:?}");
        checked
            .stderr
            .lines()
            .filter(|line| !line.starts_with("note: "))
            .map(|line| line.strip_prefix("warning: ").expect("a warning").to_owned())
            .collect::<Vec<_>>()
    };
    let scopes = warned("useless", &format!("{TIER}[scopes]\n\"a:read\" = \"A\"\n\"b:read\" = \"B\"\n{ROUTE}"));
    assert_eq!(scopes, ["the scope `b:read` opens nothing: no route takes it, and no call of Claviger's own"]);
    let counting = "[[routes]]\nmatch = \"POST /v1/chat\"\naccept = [\"server_key\"]\nto = \"upstream\"\n\
        tokens = { reserve = \"max_tokens\", settle = \"usage.total_tokens\" }\n";
    let tiers = warned(
        "windows",
        &format!(
            "[tiers.calls]\nrequests = {{ limit = 1, window_seconds = 1 }}\n[tiers.both]\nrequests = {{ limit = 1, window_seconds = 1 }}\n\
         tokens = {{ limit = 1, window_seconds = 1 }}\n[tiers.tokens]\ntokens = {{ limit = 1, window_seconds = 1 }}\n\
         [tiers.own]\ncustom = true\ngranted_by = \"admin\"\n{counting}"
        ),
    );
    let begins = [
        "the tier `calls` has no `tokens`",
        "the tier `own` is custom and `granted_by",
        "the tier `tokens` has no `requests`",
    ];
    assert_eq!(tiers.len(), begins.len(), "{tiers:?}");
    for (warning, begin) in tiers.iter().zip(begins) {
        assert!(warning.starts_with(begin), "{warning}");
    }
    assert!(tiers[0].ends_with("on POST /v1/chat"), "{}", tiers[0]);
}

#[test]
fn n8_a_stage_may_be_written_out_and_is_shown_short() {
    for (word, stage) in
        [("development", "dev"), ("dev", "dev"), ("staging", "staging"), ("production", "prod"), ("prod", "prod")]
    {
        let made = run(&[("ROOT_SECRETS", OLD)], &["deploy-key", "--stage", word, "--deployment", "main"]);
        assert!(made.line().starts_with(&format!("{stage}:main|clv_dk_")), "{made:?}");
        assert!(made.stderr.contains(&format!("for {stage}:main, ")), "{made:?}");
    }
}

const TIER: &str = "[tiers.free]\nrequests = { limit = 60, window_seconds = 60 }\n";

const BASE: &str = "brand = \"gs\"\n[scopes]\n\"a:read\" = \"Read\"\n";
const ROUTE: &str =
    "[[routes]]\nmatch = \"GET /v1/things/{id}\"\nscope = \"a:read\"\naccept = [\"server_key\"]\nto = \"upstream\"\n";

#[test]
fn an_unsound_policy_is_refused_with_its_line_and_the_workers_reason() {
    let route = |from: &str, to: &str| format!("{BASE}{}", ROUTE.replace(from, to));
    let table: &[(&str, String, usize, &str)] = &[
        ("empty", String::new(), 1, "`brand` is missing"),
        ("unknown-key", format!("{BASE}[tiers.free]\ncustom = true\nreqs = 1\n"), 6, "unknown key `reqs`"),
        ("unknown-top-key", "brand = \"gs\"\n\nbrnad = \"gs\"\n".to_owned(), 3, "unknown key `brnad`"),
        ("unknown-scope", route("\"a:read\"", "\"a:raed\""), 6, "unknown scope `a:raed`"),
        ("unknown-kind", route("server_key", "serverkey"), 7, "unknown kind `serverkey`"),
        ("browser-safe", route("\"server_key\"", "\"server_key\",\n\"widget_key\""), 8, "safe in browsers"),
        ("review-on-a-read", format!("{BASE}{ROUTE}review = true\n"), 9, "review on a read"),
        ("duplicate-route", format!("{BASE}{ROUTE}{}", ROUTE.replace("{id}", "{name}")), 9, "no request can reach"),
        ("built-in-path", route("/v1/things/{id}", "/v1/workspaces/{id}"), 5, "Claviger answers this path itself"),
        ("to-nowhere", route("upstream", "nowhere"), 8, "`to` is"),
        ("no-accept", route("[\"server_key\"]", "[]"), 5, "`accept` names no kind"),
        ("brand-in-capitals", "# a comment\nbrand = \"GS\"\n".to_owned(), 2, "brand is 2 to 8 of a-z and 0-9"),
        ("brand-of-one", "brand = \"g\"".to_owned(), 1, "brand is 2 to 8"),
        ("syntax", "brand = \"gs\"\n[scopes\n".to_owned(), 2, ""),
        ("syntax-quote", "brand = \"gs\"\r\n\r\na = \"b\r\n".to_owned(), 3, ""),
        ("twice", "brand = \"gs\"\nbrand = \"gs\"\n".to_owned(), 2, "duplicate key"),
        (
            "limit-0",
            format!("{BASE}[tiers.free]\nrequests = {{ limit = 0, window_seconds = 60 }}\n"),
            5,
            "`limit` is a whole number from 1",
        ),
        ("no-window", format!("{BASE}[tiers.free]\n"), 4, "a tier has windows"),
    ];
    for (name, text, line, reason) in table {
        let path = policy(name, text);
        let checked = run(&[], &["policy", "check", path.to_str().unwrap()]);
        let said = checked.error(1);
        assert!(said.starts_with(&format!("{}:{line}: ", path.display())), "{name}: {said}");
        assert!(said.contains(reason), "{name}: {said}");
        let served = claviger::policy::parse(text).expect_err(name);
        assert!(said.ends_with(&format!(": {}", served.reason)), "{name}: {said}");
    }
}

#[test]
fn a_policy_file_that_cannot_be_read_is_wrong_usage() {
    let missing = run(&[], &["policy", "check", "no/such.toml"]);
    assert!(missing.error(2).contains("no/such.toml cannot be read"));
    let latin = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("latin.toml");
    fs::write(&latin, b"brand = \"gs\"\n# caf\xe9\n").unwrap();
    assert!(run(&[], &["policy", "check", latin.to_str().unwrap()]).error(2).contains("UTF-8"));
}

#[test]
fn the_scanners_pattern_is_that_of_the_policy_that_would_serve() {
    for (variables, brand) in [(vec![], "clv"), (vec![("POLICY", "llm")], "gs"), (vec![("POLICY_TOML", BASE)], "gs")] {
        let pattern = run(&variables, &["policy", "scanners"]);
        assert_eq!(pattern.line(), scanners::pattern(&[brand]), "{variables:?}");
        let rule = run(&variables, &["policy", "scanners", "--gitleaks"]);
        assert_eq!((rule.code, rule.stdout.trim_end()), (Some(0), scanners::rule(&[brand]).as_str()));
    }
    assert!(run(&[("POLICY", "nope")], &["policy", "scanners"]).error(1).contains("POLICY"));
}

#[test]
fn help_shows_examples_and_the_version_is_that_of_the_crate() {
    let all: &[&[&str]] = &[&[], &["deploy-key"], &["deploy-sub-key"], &["root-secrets"], &["policy"]];
    for command in all {
        let help = run(&[], &[command, &["--help"][..]].concat());
        assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""), "{command:?}");
        assert!(
            help.stdout.contains("Example") && help.stdout.contains("\n  claviger ") || *command == ["deploy-sub-key"],
            "{}",
            help.stdout
        );
    }
    assert_eq!(run(&[], &["--version"]).line(), concat!("claviger ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_usage_is_2_and_one_line() {
    for arguments in [&["nope"][..], &["deploy-key", "--nope"], &["policy", "check"], &["root-secrets", "demote"]] {
        let wrong = run(&[("ROOT_SECRETS", OLD)], arguments);
        assert!(wrong.error(2).starts_with("claviger: "), "{wrong:?}");
    }
    // Without a command at all: the help.
    let none = run(&[], &[]);
    assert_eq!((none.code, none.stdout.as_str()), (Some(2), ""));
    assert!(none.stderr.contains("Usage:"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_key_that_could_not_be_printed_is_no_success() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_claviger"));
    command.env_clear().env("ROOT_SECRETS", OLD).args(DEPLOY_KEY).stdout(full);
    assert_eq!(command.output().unwrap().status.code(), Some(1));
}

#[test]
fn a7_policy_check_warns_where_conversations_are_kept_for_ever() {
    let check = |name: &str, widget: &str| {
        let path = policy(name, &format!("{BASE}{TIER}{widget}"));
        let checked = run(&[], &["policy", "check", path.to_str().unwrap()]);
        assert!(checked.line().contains(" is sound: "), "{checked:?}");
        checked.stderr
    };
    let warned = check("kept", "[widget]\n");
    assert!(warned.contains("warning: [widget] has no `retention_days`"), "{warned}");
    for (name, widget) in [("swept", "[widget]\nretention_days = 365\n"), ("none", "")] {
        let told = check(name, widget);
        assert!(!told.contains("retention_days"), "{told}");
    }
}
