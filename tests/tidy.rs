//! The architecture, as a test: who may know whom, how a file must look, and what nothing in the repository may mention.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod paths;

use paths::{File, in_earnest, paths};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

/// Whether files on one line may know each other.
#[derive(PartialEq)]
enum Mates {
    Apart,
    Together,
}
use Mates::{Apart, Together};

/// Lowest first. A file may name files on lines above its own, and its line-mates where they stand together or in one room. The line of
/// a file is the one that names it; else the one with its room, `room/*`; else the one with the beginning of its name, `*/store*`.
const LAYERS: &[(&[&str], Mates, &str)] = &[
    (&["codec/work"], Apart, "steps of work, counted by every reader"),
    (
        &["codec/cbor", "codec/values", "json", "json/*", "codec/sse", "codec/raw_object"],
        Apart,
        "how any value is stored and sent, and how what others send is read",
    ),
    (
        &[
            "codec/*",
            "world/upstream",
            "world/fetch",
            "world/isolate",
            "upstream/answer_headers",
            "upstream/answer_mapping",
            "upstream/header_family",
            "upstream/query",
            "upstream/request_headers",
        ],
        Together,
        "values that know nothing of the world, and what passes to an upstream and back",
    ),
    (&["world/*"], Apart, "memory that an isolate holds, by the kind of caller"),
    (&["upstream/websocket"], Apart, "two headers of a call to the upstream"),
    (&["limits/window", "limits/reservation", "limits/lease_size"], Apart, "a reason tells the limits as they stand"),
    (
        &["upstream/circuit_breaker", "upstream/breaker", "upstream/route_breaker"],
        Apart,
        "what is known of the upstream, by the moment",
    ),
    (&["limits/*"], Apart, "names for limits"),
    (&["error", "error/*"], Apart, "one failure in its two languages"),
    (&["value/*", "crypto/*", "call/request"], Apart, "names, keys, queries and tokens, which fail with a reason"),
    (
        &["crypto/id_check", "value/origin", "value/public_suffix"],
        Apart,
        "an origin depends on the environment; the key ring checks ids",
    ),
    (
        &["object/machine", "object/host"],
        Together,
        "a turn says how it must be hosted, a host says what a turn decided",
    ),
    (&["object/*"], Apart, "what hosts deliver, and what came twice"),
    (&["audit", "audit/*"], Apart, "who did what: rows in a turn, signed by the key ring"),
    (&["protocol/*", "admission/*", "machines/*", "*/store*"], Together, "the objects that know credentials"),
    (
        &[
            "protocol/conversation",
            "conversations/store",
            "conversations/store_record",
            "conversations/store_refusals",
            "conversations/store_ending",
        ],
        Together,
        "it tells the workspace what it holds",
    ),
    (&["credential", "credential/*"], Apart, "what a caller presents"),
    (&["principal/lease"], Apart, "permits that an isolate holds: the credential's object handed them out"),
    (&["principal", "principal/*"], Apart, "a caller who was authenticated: the credential's object was asked"),
    (&["policy", "policy/*"], Apart, "may they: it takes a principal, and splits ceilings over shards"),
    (&["call/meter"], Apart, "how much"),
    (&["upstream/answer_copy"], Apart, "an answer as it passes, for a client that repeats the request"),
    (&["upstream/*"], Apart, "what passes on its way back, once it was admitted"),
    (&["*"], Together, "the road"),
];

/// The line of a file.
fn layer(name: &str) -> usize {
    let (room, stem) = name.split_once('/').unwrap_or((name, ""));
    let fits = |pattern: &str| match pattern.strip_suffix('*') {
        None => (pattern == name).then_some(3),
        Some("") => Some(0),
        Some(beginning) => match beginning.strip_prefix("*/") {
            Some(beginning) => stem.starts_with(beginning).then_some(1),
            None => (beginning == format!("{room}/") && !stem.is_empty()).then_some(2),
        },
    };
    let best = |patterns: &[&str]| patterns.iter().filter_map(|pattern| fits(pattern)).max();
    let (at, _) = LAYERS.iter().map(|(patterns, ..)| best(patterns)).enumerate().max_by_key(|(_, fit)| *fit).unwrap();
    at
}

fn may_name(own: &str, other: &str) -> bool {
    let (line, theirs) = (layer(own), layer(other));
    let room = |name: &str| name.split('/').next().unwrap().to_owned();
    theirs < line || (theirs == line && (LAYERS[line].1 == Together || room(own) == room(other)))
}

/// Every file below a folder, by its path there.
fn files(folder: &Path, root: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            files(&entry, root, found);
        } else {
            let name = entry.strip_prefix(root).unwrap_or(&entry).to_str().unwrap().to_owned();
            found.push((name, fs::read_to_string(&entry).unwrap()));
        }
    }
}

fn source() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in ["src", "edge/src", "edge/js", "cli/src"] {
        files(Path::new(folder), Path::new("."), &mut found);
    }
    assert!(found.len() > 200, "only {} files", found.len());
    found
}

#[test]
fn every_file_says_what_it_is_in_at_most_400_lines_and_two_folders() {
    for (name, text) in source() {
        let opening = if name.ends_with(".rs") { "//! " } else { "// " };
        assert!(text.starts_with(opening), "{name} does not say what it is");
        assert!(text.lines().count() <= 400, "{name} is two files: {} lines", text.lines().count());
        assert!(name.matches('/').count() <= 2, "{name} is too deep");
    }
}

#[test]
fn what_carries_decides_nothing_in_150_lines() {
    for name in ["entry.js", "object.js", "crypto.js", "passing.js", "reading.js", "upstream.js", "fetching.js"] {
        let lines = fs::read_to_string(format!("edge/js/{name}")).unwrap().lines().count();
        assert!(lines < 150, "{name} carries and decides nothing, in {lines} lines");
    }
}

#[test]
fn nothing_hopes_instead_of_deciding() {
    for (name, text) in source().into_iter().filter(|(name, _)| name.ends_with(".rs")) {
        let text = in_earnest(&text);
        for hope in [".unwrap()", ".expect(", "todo!", "unimplemented!", "panic!", "unreachable!", "dbg!", "unsafe "] {
            assert!(!text.contains(hope), "{name}: {hope}");
        }
    }
}

#[test]
fn only_the_edge_knows_the_platform_and_only_the_outside_has_a_clock() {
    for (name, text) in source().into_iter().filter(|(name, _)| name.ends_with(".rs")) {
        let text = in_earnest(&text);
        for platform in ["wasm_bindgen", "js_sys", "web_sys"] {
            assert!(name.starts_with("edge/") || !text.contains(platform), "{name} knows the platform: {platform}");
        }
        for clock in ["SystemTime", "Instant", "Date::now", "now_utc", "now_local"] {
            // The operator's command line is the outside too: it stamps the keys that it makes.
            assert!(
                (name.starts_with("edge/") || name.starts_with("cli/")) || !text.contains(clock),
                "{name} has a clock: {clock}"
            );
        }
        for randomness in ["getrandom", "thread_rng"] {
            assert!(
                (name.starts_with("edge/") || name.starts_with("cli/")) || !text.contains(randomness),
                "{name} rolls dice"
            );
        }
    }
}

#[test]
fn every_file_names_only_files_below_its_own() {
    let all = paths::core();
    let mut looked_at = 0;
    let mut up = Vec::new();
    for file in &all {
        for other in paths(file, &all) {
            looked_at += 1;
            if !may_name(&file.name, &other) {
                up.push(format!("{} looks up to {other}", file.path));
            }
        }
    }
    assert!(
        up.is_empty(),
        "{}",
        up.join(
            "
"
        )
    );
    assert!(looked_at > 900, "only {looked_at} names");
    for (patterns, ..) in LAYERS {
        for pattern in *patterns {
            let exact = |file: &File| file.name == *pattern;
            assert!(pattern.contains('*') || all.iter().any(exact), "`{pattern}` has a line and no file");
        }
    }
}

#[test]
fn no_room_has_more_than_14_files_beside_its_front_but_the_protocol() {
    let mut rooms = BTreeMap::new();
    for file in paths::core().iter().filter(|file| !file.path.ends_with("/mod.rs")) {
        *rooms.entry(file.name.split('/').next().unwrap().to_owned()).or_insert(0) += 1;
    }
    rooms.retain(|room, count| *count > 14 && room != "protocol");
    assert!(rooms.is_empty(), "{rooms:?}");
}

/// A file's name says where its code runs.
#[test]
fn what_stores_asks_nobody_and_knows_no_call() {
    let all = paths::core();
    let mut seen = 0;
    for file in all.iter().filter(|file| file.stem().starts_with("store")) {
        let text = in_earnest(&file.text);
        assert!(!text.contains("World") && !text.contains("async "), "{} asks", file.path);
        for other in paths(file, &all) {
            assert!(!other.starts_with("call/") && !other.starts_with("road/"), "{} names {other}", file.path);
        }
        seen += 1;
    }
    assert!(seen > 15, "only {seen} files");
}

/// A view is JSON: it neither asks nor stores.
#[test]
fn a_view_neither_asks_nor_stores() {
    for file in paths::core().iter().filter(|file| file.stem() == "view") {
        let text = in_earnest(&file.text);
        assert!(!text.contains("Turn") && !text.contains("async "), "{}", file.path);
    }
}

/// The checks themselves, on texts that break them.
#[test]
fn the_checks_see_what_they_look_for() {
    let file =
        |name: &str, text: &str| File { name: name.to_owned(), path: format!("src/{name}.rs"), text: text.to_owned() };
    let text = "use super::store;\nuse crate::{\n    error::Reason,\n    gateway,\n    policy::{self, Action},\n    wire,\n};\nfn f() { crate::road::route::g(); gateway::api::h() }";
    let names = ["error", "policy", "road/route", "gateway", "gateway/api", "workspaces/store", "workspaces/api"];
    let mut all: Vec<File> = names.iter().map(|name| file(name, "")).collect();
    // A room whose front only says which files it has is no file to name.
    all[3] = File { path: "src/gateway/mod.rs".to_owned(), ..all[3].clone() };
    let named = paths(&file("workspaces/api", text), &all);
    let expected = ["error", "gateway/api", "policy", "road/route", "workspaces/store"].map(str::to_owned);
    assert_eq!(named, BTreeSet::from(expected));
    assert!(may_name("road/serve", "call/meter") && may_name("object/host", "object/machine"));
    assert!(!may_name("call/meter", "road/serve") && !may_name("workspaces/store_pages", "workspaces/api"));
    assert!(!may_name("value/id", "crypto/id_check"));
    let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { x.unwrap() }\n}\n// .unwrap()\nfn c() {}";
    assert!(!in_earnest(text).contains("unwrap") && in_earnest(text).contains("fn c"));
    assert!(in_earnest("fn a() { x.unwrap() }").contains(".unwrap()"));
    let text = "#[cfg(feature = \"faults\")]\n#[allow(clippy::panic)]\nfn a() { panic!() }\nfn b() {}";
    assert_eq!(in_earnest(text).trim(), "fn b() {}");
}

#[test]
fn every_dependency_is_pinned_and_says_what_it_is_for() {
    let manifests = ["Cargo.toml", "cli/Cargo.toml", "fuzz/Cargo.toml"].map(|name| fs::read_to_string(name).unwrap());
    let (mut inside, mut seen) = (false, 0);
    for line in manifests.iter().flat_map(|manifest| manifest.lines()) {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if inside && !line.trim().is_empty() && !line.starts_with('#') && !line.ends_with(".workspace = true") {
            let (dependency, reason) = line.split_once(" # ").unwrap_or_else(|| panic!("no reason: {line}"));
            let (_, version) = dependency.split_once(" = ").unwrap();
            let pinned = ["\"=", "{ version = \"=", "{ path = "].iter().any(|start| version.starts_with(start));
            assert!(pinned && reason.trim().len() > 3, "{line}");
            seen += 1;
        }
    }
    assert!(seen > 10, "only {seen} dependencies");
}

/// The files that git knows, or would if they were added.
fn listed() -> Vec<String> {
    let listed = Command::new("git").args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]).output();
    let listed = String::from_utf8(listed.expect("git lists the files").stdout).unwrap();
    listed.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[test]
fn a13_no_package_runs_a_script_of_its_own_when_it_is_installed() {
    let names = listed();
    let folders: Vec<&str> = names.iter().filter_map(|name| name.strip_suffix("package.json")).collect();
    assert!(folders.contains(&"") && folders.len() > 3, "{folders:?}");
    for folder in folders {
        let settings = fs::read_to_string(format!("{folder}.npmrc")).unwrap_or_default();
        assert!(settings.lines().any(|line| line == "ignore-scripts=true"), "{folder}.npmrc");
    }
}

/// The calls of `curl` in a text, each with all that is its argument: what stands before a `|` or behind `<<<` is not.
fn calls_of_curl(text: &str) -> Vec<String> {
    let (mut calls, mut open) = (Vec::new(), String::new());
    for line in text.lines() {
        // A quotation goes on over the end of a line, and so does what ends in a backslash.
        let Some((_, begin)) = line.split_once("curl ").or((!open.is_empty()).then_some(("", line))) else { continue };
        open.push_str(begin);
        if open.ends_with('\\') || open.matches('\'').count() % 2 == 1 {
            open.push(' ');
            continue;
        }
        let call = std::mem::take(&mut open);
        calls.push(call.split(" <<<").next().unwrap_or_default().to_ascii_lowercase());
    }
    calls
}

#[test]
fn a13_no_document_and_no_example_puts_a_key_into_an_argument() {
    let named = ["authorization", "x-api-key", "x-service-token", "_key", "token:", "secret:", "--user", "bearer"];
    let holds_a_key = |call: &str| {
        // A widget key stands in pages for everybody.
        let call = call.replace("widget_key", "").replace("\"server_key\"", "").replace("\"service_token\"", "");
        named.iter().any(|name| call.contains(name))
    };
    for call in [
        "curl -s $CLAVIGER/v1/whoami -H \"Authorization: Bearer $KEY\"",
        "curl -s a \\\n  -H 'x-api-key: k'",
        "curl -s a --json '{\n \"a\": 1}' -H \"X-Service-Token: $T\"",
        "curl --oauth2-bearer k a",
    ] {
        assert!(calls_of_curl(call).iter().any(|call| holds_a_key(call)), "{call}");
    }
    let sound = "curl -s a -H @- --json '{\n \"kind\": \"server_key\"}' <<< \"Authorization: Bearer $KEY\"";
    assert!(!calls_of_curl(sound).iter().any(|call| holds_a_key(call)), "{sound}");
    assert!(fs::read_to_string("README.md").unwrap().contains("claviger credentials create"), "it has a quick start");
    let mut seen = 0;
    for name in listed().iter().filter(|name| name.ends_with(".md") || name.starts_with("examples/")) {
        let Ok(text) = fs::read_to_string(name) else { continue };
        for call in calls_of_curl(&text) {
            assert!(!holds_a_key(&call), "{name}: everybody on the machine can read it: {call}");
            seen += 1;
        }
    }
    assert!(seen > 10, "only {seen}");
}

#[test]
fn nothing_in_the_repository_names_a_registry_or_somebodys_machine() {
    let words =
        [concat!("registry", ".npm"), concat!("index", ".crates"), concat!("/wor", "k/"), concat!("/ro", "ot/")];
    let mut seen = 0;
    for name in listed() {
        // What is no text cannot mention anything; what was deleted is not there any more.
        let Ok(text) = fs::read_to_string(&name) else { continue };
        for word in words {
            let line = text.lines().position(|line| line.contains(word));
            assert!(line.is_none(), "{name}:{} names {word}", line.unwrap_or_default() + 1);
        }
        seen += 1;
    }
    assert!(seen > 60, "only {seen} files");
}
