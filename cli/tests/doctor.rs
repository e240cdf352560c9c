//! `claviger doctor` and `completions`: what is said of every kind, good, forged, cut off and wrongly pasted; and no secret.
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

use base64ct::{Base64, Base64Url, Encoding as _};
use claviger::{
    codec::time::Timestamp,
    credential::{DeployKey, HistorySecret, IdentitySecret, Kind as _, Opaque, ServerKey, ServiceToken, WidgetKey},
    crypto::keyring::KeyRing,
    value::id::{ConversationId, CredentialId, Environment, Locator, Stage, WorkspaceId},
};
use claviger_cli::{Diagnosis, Expected, diagnose};
use proptest::prelude::*;
use scripted::{Run, run};
use serde_json::Value;
use std::io::Write as _;

const ROOT: &str = "r1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
const OTHER_ROOT: &str = "r2:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";
const AT: Timestamp = Timestamp(1_785_412_800_000);

fn workspace() -> WorkspaceId {
    "acme".to_owned().try_into().unwrap()
}

/// One of each kind that is signed, with the id inside.
fn signed(brand: &str, environment: Environment) -> [(&'static str, String, String); 3] {
    let ring = KeyRing::parse(ROOT).unwrap();
    let expires_at = AT.plus_seconds(86_400);
    let id = CredentialId::issue_widget_key(&workspace(), AT, [1; 16]);
    let widget_key = WidgetKey { id: id.clone(), environment, serial: 7 }.issue(brand, &ring).unwrap();
    let conversation = ConversationId::issue(&workspace(), AT, [2; 16]);
    let history = HistorySecret { conversation: conversation.clone(), environment, generation: 0, expires_at };
    let deploy_id = CredentialId::issue_deploy_key(AT, [3; 16]);
    let deployment = "local".to_owned();
    let deploy_key = DeployKey { id: deploy_id.clone(), stage: Stage::Dev, deployment, issued_at: AT, expires_at };
    [
        ("widget_key", widget_key.reveal().to_owned(), id.into()),
        ("history_secret", history.issue(brand, &ring).unwrap().reveal().to_owned(), conversation.into()),
        ("deploy_key", deploy_key.issue(brand, &ring).unwrap().reveal().to_owned(), deploy_id.into()),
    ]
}

/// One of each kind that is opaque.
fn opaque() -> [(&'static str, String); 2] {
    let ring = KeyRing::parse(ROOT).unwrap();
    let opaque = || Opaque::draw(Locator::try_from("Loc8tor0".to_owned()).unwrap(), [5; 16]);
    let server_key = ServerKey { environment: Environment::Test, opaque: opaque() }.issue("clv", &ring).unwrap();
    let service_token = ServiceToken { environment: Environment::Test, opaque: opaque() }.issue("clv", &ring).unwrap();
    [("server_key", server_key.reveal().to_owned()), ("service_token", service_token.reveal().to_owned())]
}

fn identity_secret() -> String {
    let ring = KeyRing::parse(ROOT).unwrap();
    IdentitySecret::issue(&workspace(), [4; 16], "clv", &ring).unwrap().secret.reveal().to_owned()
}

const SERVER_KEY: &str = "clv_live_Loc8tor0SecretSecretSecretcheck6";
const SERVICE_TOKEN: &str = "clv_st_test_Loc8tor0SecretSecretSecretcheck6";

fn shape_only() -> Expected {
    let deploy_schemes = vec!["Convex".to_owned(), "Deploy".to_owned()];
    Expected { ring: None, brand: None, deploy_schemes, stage: None, deployment: None, at: AT }
}

fn with_root(root: &str) -> Expected {
    Expected { ring: Some(KeyRing::parse(root).unwrap()), brand: Some("clv".to_owned()), ..shape_only() }
}

/// Its problems, of a text in which there are some.
#[track_caller]
fn problems(text: &str, expected: &Expected) -> Vec<String> {
    let found = diagnose(text, expected);
    assert!(!found.sound && !found.problems.is_empty(), "{text}: {found:?}");
    found.problems
}

/// Its only problem.
#[track_caller]
fn problem(text: &str, expected: &Expected) -> String {
    let mut problems = problems(text, expected);
    assert_eq!(problems.len(), 1, "{text}: {problems:?}");
    problems.remove(0)
}

#[track_caller]
fn sound(text: &str, expected: &Expected) -> Diagnosis {
    let found = diagnose(text, expected);
    assert!(found.sound && found.problems.is_empty(), "{text}: {found:?}");
    found
}

#[test]
fn every_signed_kind_is_known_with_its_id_and_its_end_and_is_genuine_under_its_root() {
    for (kind, text, id) in signed("clv", Environment::Live) {
        let found = sound(&text, &with_root(ROOT));
        assert_eq!((found.kind, found.id.as_deref(), found.genuine), (Some(kind), Some(&*id), Some(true)));
        assert_eq!(found.brand.as_deref(), Some("clv"));
        let shape = sound(&text, &shape_only());
        assert_eq!((shape.kind, shape.id.as_deref(), shape.genuine), (Some(kind), Some(&*id), None));
        assert!(shape.notes[0].contains("only its shape") || kind == "deploy_key", "{shape:?}");
        let end = AT.plus_seconds(86_400).rfc3339();
        assert_eq!(found.expires_at, (kind != "widget_key").then_some(end));
        let is_dev = kind == "deploy_key";
        assert_eq!((found.stage, found.deployment.as_deref()), (is_dev.then_some("dev"), is_dev.then_some("local")));
        assert_eq!(found.environment, (!is_dev).then_some("live"));
    }
}

#[test]
fn opaque_kinds_are_known_with_their_locator_and_where_they_are_sent() {
    let found = sound(SERVER_KEY, &shape_only());
    assert_eq!(
        (found.kind, found.environment, found.locator.as_deref()),
        (Some("server_key"), Some("live"), Some("Loc8tor0"))
    );
    assert!(found.sent_as.as_deref().unwrap().starts_with("Authorization: Bearer"));
    let found = sound(SERVICE_TOKEN, &shape_only());
    assert_eq!((found.kind, found.environment), (Some("service_token"), Some("test")));
    assert!(
        found.sent_as.as_deref().unwrap().starts_with("X-Service-Token") && found.notes[1].contains("test data"),
        "{found:?}"
    );
    let found = sound(&identity_secret(), &with_root(ROOT));
    assert_eq!((found.kind, found.genuine), (Some("identity_secret"), None));
}

#[test]
fn the_check_of_an_opaque_kind_is_genuine_under_its_root_even_a_demoted_one() {
    for (kind, text) in opaque() {
        for roots in [ROOT.to_owned(), format!("{OTHER_ROOT},{ROOT}:check-only")] {
            let found = sound(&text, &with_root(&roots));
            assert_eq!(
                (found.kind, found.locator.as_deref(), found.genuine),
                (Some(kind), Some("Loc8tor0"), Some(true))
            );
        }
        assert!(problem(&text, &with_root(OTHER_ROOT)).contains("made under other root secrets"));
        assert!(problem(&text.replace("_test_", "_live_"), &with_root(ROOT)).contains("not genuine"));
        for at in text.len() - 32..text.len() {
            let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
            let found = diagnose(&[&text[..at], other, &text[at + 1..]].concat(), &with_root(ROOT));
            assert!(!found.sound && found.genuine == Some(false), "{kind} {at}: {found:?}");
        }
    }
}

#[test]
fn what_was_changed_anywhere_is_not_genuine() {
    for (kind, text, _) in signed("clv", Environment::Test) {
        let start = text.rfind("k_").or(text.rfind("_test_")).unwrap() + 12;
        for at in (start..text.len() - 1).step_by(7) {
            let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
            let changed = [&text[..at], other, &text[at + 1..]].concat();
            let found = diagnose(&changed, &with_root(ROOT));
            assert!(!found.sound && found.genuine == Some(false), "{kind} {at}: {found:?}");
        }
        assert!(problem(&text, &with_root(OTHER_ROOT)).contains("a root secret that is not in ROOT_SECRETS"));
        let demoted = format!("{OTHER_ROOT},{ROOT}:check-only");
        assert!(problem(&text, &with_root(&demoted)).contains("may no longer sign"));
    }
    let [(_, widget_key, _), ..] = signed("clv", Environment::Test);
    assert!(problem(&widget_key.replace("_test_", "_live_"), &with_root(ROOT)).contains("not genuine"));
}

#[test]
fn what_was_cut_off_is_said_to_be_with_how_much_is_missing() {
    let kinds = signed("clv", Environment::Live).map(|(_, text, _)| text);
    for text in kinds.iter().map(String::as_str).chain([SERVER_KEY, SERVICE_TOKEN, &identity_secret()]) {
        for missing in [1, 2, 3, 5, 20] {
            for expected in [shape_only(), with_root(ROOT)] {
                let why = problem(&text[..text.len() - missing], &expected);
                assert!(why.contains(&format!("{missing} of its characters")), "{text} -{missing}: {why}");
            }
        }
        let why = problem(&format!("{text}AB"), &shape_only());
        assert!(why.contains("2 characters too long"), "{text}: {why}");
    }
    // So much that not even the fields are whole.
    assert!(problem(&kinds[0][..20], &shape_only()).contains("most of it"));
}

#[test]
fn what_comes_along_with_a_paste_is_named_and_looked_through() {
    let [(_, widget_key, _), _, (_, deploy_key, id)] = signed("clv", Environment::Live);
    let expected = shape_only();
    for (pasted, why) in [
        (format!(" {SERVER_KEY}"), "White space stands around it"),
        (format!("{SERVER_KEY}\r\n"), "White space stands around it"),
        (format!("\u{feff}{SERVER_KEY}\u{a0}"), "White space stands around it"),
        (format!("\"{SERVER_KEY}\""), "Quotes stand around it"),
        (format!("‘{SERVER_KEY}’"), "Quotes stand around it"),
        (format!("Bearer {SERVER_KEY}"), "The scheme stands before it"),
        (format!("x-api-key:{SERVER_KEY}"), "The header's name stands before it"),
        (format!("CLAVIGER_KEY={SERVER_KEY}"), "A variable's name stands before it"),
        (format!("export KEY={SERVER_KEY}"), "A variable's name stands before it"),
        (format!("{}\n{}", &SERVER_KEY[..20], &SERVER_KEY[20..]), "stands inside it"),
        (format!("{}\u{200b}{}", &SERVER_KEY[..20], &SERVER_KEY[20..]), "stands inside it"),
        (format!("{SERVER_KEY},"), "Other text stands around it"),
        (format!("{{\"secret\":\"{SERVER_KEY}\"}}"), "Other text stands around it"),
        (format!("https://keys.example/w/{widget_key}/conversations"), "Other text stands around it"),
        (format!("{SERVER_KEY} {SERVICE_TOKEN}"), "There is more than one"),
        (deploy_key.replace('|', "%7C"), "was written in another way"),
        (deploy_key.replace('|', "\\|"), "was written in another way"),
        (format!("Convex {deploy_key}"), "The scheme stands before it"),
    ] {
        assert!(problem(&pasted, &expected).contains(why), "{pasted}: {:?}", problem(&pasted, &expected));
    }
    let all = problems(&format!("\" Authorization: Bearer {SERVER_KEY} \"\n"), &shape_only());
    assert_eq!(all.len(), 4, "{all:?}");
    let found = diagnose(&format!("'{deploy_key}'"), &with_root(ROOT));
    assert_eq!((found.id.as_deref(), found.genuine), (Some(&*id), Some(true)));
}

#[test]
fn the_wrong_header_for_a_kind_is_said_with_the_right_one() {
    let [(_, widget_key, _), (_, history_secret, _), (_, deploy_key, _)] = signed("clv", Environment::Live);
    for (pasted, right) in [
        (
            format!("Bearer {deploy_key}"),
            "A deploy_key is not sent like that. It goes into Authorization: Convex <key>.",
        ),
        (format!("x-api-key: {deploy_key}"), "Authorization: Convex"),
        (format!("Convex {SERVER_KEY}"), "Authorization: Bearer"),
        (format!("Basic {SERVER_KEY}"), "Authorization: Bearer"),
        (format!("Authorization: {SERVER_KEY}"), "A server_key is not sent without a scheme."),
        (format!("Bearer {SERVICE_TOKEN}"), "X-Service-Token"),
        (format!("x-api-key: {history_secret}"), "beside a widget key"),
        (format!("Bearer {widget_key}"), "the path: /w/"),
        (format!("Bearer {}", identity_secret()), "no request"),
    ] {
        let all = problems(&pasted, &shape_only());
        assert!(all.iter().any(|problem| problem.contains(right)), "{pasted}: {all:?}");
    }
    let of_policy = Expected { deploy_schemes: vec!["Operator".to_owned()], ..shape_only() };
    let all = problems(&format!("Operator {deploy_key}"), &of_policy);
    assert_eq!(all, ["The scheme stands before it. It is no part of the credential."]);
}

#[test]
fn another_brand_stage_or_deployment_or_the_end_of_its_life_is_said() {
    let [(_, widget_key, _), _, (_, deploy_key, _)] = signed("gs", Environment::Live);
    assert!(problem(&widget_key, &with_root(ROOT)).contains("Its brand is gs, and the policy's is clv"));
    sound(&widget_key, &shape_only());
    assert!(problem(&SERVER_KEY.replace("clv", "Clv"), &shape_only()).contains("another case"));
    let of = |stage: &str, deployment: &str| {
        let (stage, deployment) = (Some(stage.to_owned()), Some(deployment.to_owned()));
        Expected { stage, deployment, ..shape_only() }
    };
    sound(&deploy_key, &of("dev", "local"));
    assert!(problem(&deploy_key, &of("prod", "local")).contains("another stage than prod"));
    assert!(problem(&deploy_key, &of("dev", "main")).contains("another deployment than main"));
    let later = Expected { at: AT.plus_seconds(86_400), ..shape_only() };
    assert!(problem(&deploy_key, &later).contains("It has expired"));
    sound(&deploy_key, &Expected { at: Timestamp(later.at.0 - 1), ..shape_only() });
}

#[test]
fn what_is_no_credential_is_said_to_be_what_it_is() {
    let [.., (_, deploy_key, id)] = signed("clv", Environment::Live);
    let (place, token) = deploy_key.split_once('|').unwrap();
    for (text, why) in [
        ("", "nothing left"),
        ("\"\"", "nothing left"),
        ("$CLAVIGER_KEY", "a variable's name"),
        ("Bearer {{ key }}", "a variable's name"),
        ("clv_live_…eck6", "This is a hint"),
        (ROOT, "This is what stands in ROOT_SECRETS"),
        ("r1:deploy_key:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", "This is a sub-key"),
        (&id, "a credential's id"),
        (place, "a shell took the rest"),
        (token, "What stands before its `|` is missing"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl", "a JWT"),
        ("hunter2", "the form of no credential"),
        ("clv_xx_live_abc", "the form of no credential"),
        (&format!("x|{SERVER_KEY}"), "Only deploy keys have that"),
    ] {
        let all = problems(text, &shape_only());
        assert!(all.iter().any(|problem| problem.contains(why)), "{text}: {all:?}");
    }
}

/// Runs the command with this on standard input.
fn doctor(variables: &[(&str, &str)], input: &str, json: bool) -> Run {
    let arguments = ["doctor", "--json"];
    run(variables, if json { &arguments } else { &arguments[..1] }, input)
}

#[test]
fn the_command_reads_standard_input_and_else_the_environment() {
    let [.., (_, deploy_key, id)] = signed("clv", Environment::Live);
    // Made in 2026 for a day: whether it has expired depends on the day of the test.
    let found = doctor(&[("ROOT_SECRETS", ROOT)], &format!("{deploy_key}\n"), true);
    let found: Value = serde_json::from_str(&found.stdout).unwrap();
    assert_eq!((&found["id"], &found["genuine"]), (&Value::from(id), &Value::from(true)));
    for (key, input) in
        [("", format!("{SERVER_KEY}\n")), (SERVER_KEY, String::new()), ("hunter2", SERVER_KEY.to_owned())]
    {
        let found = doctor(&[("CLAVIGER_KEY", key)], &input, true);
        assert_eq!((found.json()["kind"].as_str(), found.stderr.as_str()), (Some("server_key"), ""));
    }
    assert!(doctor(&[], " \n", false).error(2).contains("There is nothing to look at"));
    assert!(doctor(&[("ROOT_SECRETS", "r1:x")], SERVER_KEY, false).error(1).contains("entry 1"));
    // The policy says the brand.
    let other = doctor(&[("POLICY", "support")], SERVER_KEY, false);
    assert_eq!(other.code, Some(1));
    assert!(other.stdout.contains("problem      Its brand is clv, and the policy's is woes"), "{other:?}");
    assert_eq!(other.stderr, "claviger: 1 thing is wrong with it.\n");
}

#[test]
fn f27_base64_of_a_credential_and_a_file_in_utf_16_are_said_to_be_that() {
    let [.., (_, deploy_key, _)] = signed("clv", Environment::Live);
    for key in [SERVER_KEY, SERVICE_TOKEN, deploy_key.as_str()] {
        for (text, is_url) in
            [(key.to_owned(), false), (format!("{key}\n"), false), (format!("CLAVIGER_KEY={key}"), true)]
        {
            let padded =
                if is_url { Base64Url::encode_string(text.as_bytes()) } else { Base64::encode_string(text.as_bytes()) };
            let (one, other) = padded.split_at(20);
            for encoded in [
                padded.clone(),
                padded.trim_end_matches('=').to_owned(),
                format!("{one}\n{other}"),
                format!("key={padded}"),
            ] {
                let found = diagnose(&encoded, &shape_only());
                let all = found.problems.join(" ");
                assert!(all.contains("base64 of a credential") && found.kind.is_some(), "{encoded}: {all}");
            }
        }
        let wide: Vec<u16> = key.encode_utf16().chain("\r\n".encode_utf16()).collect();
        for mark in [&[0xfeff_u16][..], &[]] {
            for turn in [u16::to_le_bytes, u16::to_be_bytes] {
                let bytes: Vec<u8> = mark.iter().chain(&wide).flat_map(|unit| turn(*unit)).collect();
                let mut child = scripted::start(&[], &["doctor", "--json"]);
                child.stdin.take().unwrap().write_all(&bytes).unwrap();
                let ended = scripted::end(child);
                let found: Value = serde_json::from_str(&ended.stdout).unwrap();
                assert_eq!((ended.code, found["sound"].as_bool()), (Some(1), Some(false)));
                assert!(
                    found["problems"][0].as_str().unwrap().contains("UTF-16") && found["kind"].is_string(),
                    "{found}"
                );
            }
        }
    }
}

#[test]
fn people_read_a_table() {
    let found = doctor(&[], SERVICE_TOKEN, false);
    let expected = "kind         service_token\nbrand        clv\nenvironment  test\nlocator      Loc8tor0\n\
        sent as      X-Service-Token: <token>, beside X-Service-Name: <service>\n\
        note         Whether it is genuine could not be judged, only its shape: ROOT_SECRETS is not in the environment.\n\
        note         A test credential: it opens test data, and is refused at live data.\n\
        note         Whether it was revoked, only the worker knows.";
    assert_eq!(found.good(), expected);
}

/// Whether any eight characters in a row of `secret` stand in `said`.
fn leaks(said: &str, secret: &str) -> bool {
    let characters: Vec<char> = secret.chars().collect();
    characters.windows(8).any(|run| said.contains(&run.iter().collect::<String>()))
}

#[test]
fn nothing_of_a_secret_is_ever_said() {
    let kinds = signed("clv", Environment::Live).map(|(_, text, _)| text);
    let identity_secret = identity_secret();
    let opaque = [(SERVER_KEY, 17), (SERVICE_TOKEN, 20), (&*identity_secret, 7)];
    let all = kinds.iter().map(|text| (text.as_str(), text.rfind(['_', '|']).unwrap() + 1)).chain(opaque);
    for (text, secret_from) in all {
        // Of what is signed, the id is in the text; the rest of it is as the text has it.
        let secret = &text[secret_from..];
        let wrapped = [
            text.to_owned(),
            format!("Bearer {text}"),
            format!("\"{text}\""),
            format!("X={text}"),
            format!("{text}|{text}"),
            format!("{secret}:x|{text}"),
            format!("{text} {text}"),
            format!("dev:{secret}|{text}"),
            secret.to_owned(),
        ];
        for pasted in wrapped {
            for expected in [shape_only(), with_root(ROOT)] {
                let said = serde_json::to_string(&diagnose(&pasted, &expected)).unwrap();
                assert!(!leaks(&said, secret), "{pasted}: {said}");
            }
        }
    }
    let said = serde_json::to_string(&diagnose(ROOT, &shape_only())).unwrap();
    assert!(!leaks(&said, &ROOT[3..]), "{said}");
}

proptest! {
    #[test]
    fn any_text_at_all_is_judged(text in "\\PC{0,80}", cut in 0..200_usize) {
        diagnose(&text, &with_root(ROOT));
        let [.., (_, deploy_key, _)] = signed("clv", Environment::Live);
        let pasted = [&deploy_key[..cut.min(deploy_key.len() - 1)], &text].concat();
        let is_genuine = diagnose(&pasted, &with_root(ROOT)).genuine == Some(true);
        prop_assert!(!is_genuine || pasted.contains(&deploy_key));
    }
}

#[test]
fn completions_name_every_command_in_every_shell() {
    let commands = [
        "deploy-key",
        "deploy-sub-key",
        "root-secrets",
        "make",
        "list",
        "demote",
        "credentials",
        "create",
        "show",
        "rotate",
        "revoke",
        "usage",
        "doctor",
        "completions",
        "policy",
        "check",
        "audit",
        "verify",
        "only-watch",
        "allowed-address",
    ];
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&[], &["completions", shell], "");
        assert_eq!(script.stderr, "");
        for command in commands {
            assert!(script.good().contains(command), "{shell} does not complete {command}");
        }
    }
    assert!(run(&[], &["completions", "tcsh"], "").error(2).contains("bash, zsh, fish"));
}

#[test]
fn the_help_of_every_command_has_an_example_and_tells_its_exit_codes() {
    let mut seen = 0;
    let mut waiting: Vec<Vec<String>> = vec![vec![]];
    while let Some(path) = waiting.pop() {
        let arguments: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
        let help = run(&[("ROOT_SECRETS", ROOT), ("CLAVIGER_URL", "https://hidden.example")], &arguments, "");
        let text = help.good();
        assert!(text.contains("Example") && text.contains("claviger "), "{path:?}: {text}");
        assert!(!text.contains("hidden.example") && !text.contains(&ROOT[3..]), "{path:?}");
        seen += 1;
        let commands = text.split("Commands:\n").nth(1).unwrap_or_default().lines().take_while(|line| !line.is_empty());
        let names = commands.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
        waiting.extend(names.map(|name| [&path[..], &[name.to_owned()]].concat()));
        if path.is_empty() || path == ["credentials"] || path == ["doctor"] {
            assert!(text.contains("Exit codes"), "{path:?}");
        }
    }
    assert!(seen > 18, "only {seen}");
}
