//! The architecture, as a test: who may know whom, how a file must look, and what nothing in the repository may mention.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

use std::{fs, path::Path, process::Command};

/// Whether rooms on one line may know each other.
#[derive(PartialEq)]
enum Mates {
    Apart,
    Together,
}
use Mates::{Apart, Together};

/// Lowest first. A room may name the rooms on lines above its own; and its line-mates, where they stand together.
const LAYERS: &[(&[&str], Mates, &str)] = &[
    (&["work"], Apart, "steps of work, counted by every reader"),
    (&["wire", "json", "sse", "document"], Apart, "how any value is stored and sent, and how what others send is read"),
    (
        &["time", "secret", "base62", "kind", "upstream", "fetch", "der", "isolate"],
        Apart,
        "values that know nothing of the world",
    ),
    (&["budget"], Apart, "memory that an isolate holds, by the kind of caller"),
    (&["websocket"], Apart, "two headers of a call to the upstream"),
    (&["limit"], Apart, "a reason against a call tells the limits as they stand"),
    (&["circuit"], Apart, "what is known of the API behind, by the moment"),
    (&["tier"], Apart, "names for limits"),
    (&["error", "refusal"], Together, "one failure in its two languages"),
    (
        &["id", "scope", "keyring", "request", "jose", "address", "crypto"],
        Apart,
        "names, keys, queries and tokens, which fail with a reason",
    ),
    (
        &["origin", "suffix", "id_check"],
        Apart,
        "what is an origin depends on the environment; under which hosts anybody gets a name; the key ring checks ids",
    ),
    (&["machine", "host"], Together, "a turn says how it must be hosted, a host says what a turn decided"),
    (&["outbox", "replay"], Apart, "what hosts deliver, and what came twice"),
    (&["audit"], Apart, "who did what: rows in a turn, signed by the key ring"),
    (&["registry"], Apart, "the objects that know credentials"),
    (&["conversation"], Apart, "it tells the workspace's registry what it holds"),
    (&["credential"], Apart, "what a caller presents"),
    (&["lease"], Apart, "permits that an isolate holds: the credential's object handed them out"),
    (&["principal"], Apart, "a caller we believe: the credential's object was asked"),
    (&["policy"], Apart, "may they: it takes a principal, and splits ceilings over the registry's shards"),
    (&["meter"], Apart, "how much"),
    (&["keeping"], Apart, "an answer as it passes, for whoever repeats the request"),
    (&["watch"], Apart, "what passes on its way back, once it was admitted"),
    (&["pipeline"], Apart, "the road"),
    (&["edge", "cli"], Apart, "who brings requests, and who runs the place"),
];

fn layer(room: &str) -> usize {
    let place = LAYERS.iter().position(|(rooms, ..)| rooms.contains(&room));
    place.unwrap_or_else(|| panic!("`{room}` has no layer: give it one in tests/tidy.rs"))
}

fn may_name(room: &str, other: &str) -> bool {
    let (own, theirs) = (layer(room), layer(other));
    room == other || theirs < own || (theirs == own && LAYERS[own].1 == Together)
}

/// Every file below a folder, by its path there.
fn files(folder: &Path, root: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            files(&entry, root, found);
        } else {
            let name = entry.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            found.push((name, fs::read_to_string(&entry).unwrap()));
        }
    }
}

fn source() -> Vec<(String, String)> {
    let mut found = Vec::new();
    files(Path::new("src"), Path::new("src"), &mut found);
    assert!(found.len() > 30, "only {} files", found.len());
    found
}

fn room(name: &str) -> &str {
    name.split(['/', '.']).next().unwrap()
}

/// The text without what is only for tests, and without what fails on purpose.
fn in_earnest(text: &str) -> String {
    let mut kept = text.to_owned();
    for attribute in ["#[cfg(test)]", "#[cfg(feature = \"faults\")]"] {
        while let Some(start) = kept.find(attribute) {
            let rest = &kept[start + attribute.len()..];
            let end = rest.find(['{', ';']).unwrap();
            let mut length = end + 1;
            if rest[end..].starts_with('{') {
                let mut depth = 0;
                for (at, character) in rest[end..].char_indices() {
                    depth += i32::from(character == '{') - i32::from(character == '}');
                    if depth == 0 {
                        length = end + at + 1;
                        break;
                    }
                }
            }
            kept.replace_range(start..start + attribute.len() + length, "");
        }
    }
    let code = kept.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.collect::<Vec<_>>().join("\n")
}

/// The rooms that a text names as `crate::room` or `crate::{room, …}`.
fn named(text: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for (at, path) in text.match_indices("crate::") {
        let rest = &text[at + path.len()..];
        let first =
            |path: &str| path.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_owned();
        let Some(block) = rest.strip_prefix('{') else {
            rooms.push(first(rest));
            continue;
        };
        let (mut depth, mut item) = (0, String::new());
        for character in block.chars() {
            match character {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => rooms.push(first(&std::mem::take(&mut item))),
                _ if depth == 0 => item.push(character),
                _ => {}
            }
        }
        rooms.push(first(&item));
    }
    // A macro is named at the root: `crate::wire!` is the room `wire` again.
    rooms.retain(|room| !room.is_empty());
    rooms
}

#[test]
fn every_file_says_what_it_is_in_at_most_400_lines_and_two_folders() {
    for (name, text) in source() {
        let opening = if name.ends_with(".rs") { "//! " } else { "// " };
        assert!(text.starts_with(opening), "{name} does not say what it is");
        assert!(text.lines().count() <= 400, "{name} is two files: {} lines", text.lines().count());
        assert!(name.matches('/').count() <= 1, "{name} is too deep");
    }
}

#[test]
fn what_carries_decides_nothing_in_150_lines() {
    for name in ["entry.js", "object.js", "crypto.js", "passing.js", "reading.js", "upstream.js", "fetching.js"] {
        let lines = fs::read_to_string(format!("src/edge/{name}")).unwrap().lines().count();
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
            assert!(room(&name) == "edge" || !text.contains(platform), "{name} knows the platform: {platform}");
        }
        for clock in ["SystemTime", "Instant", "Date::now", "now_utc", "now_local"] {
            // The operator's command line is the outside too: it stamps the keys that it makes.
            assert!(matches!(room(&name), "edge" | "cli") || !text.contains(clock), "{name} has a clock: {clock}");
        }
        for randomness in ["getrandom", "thread_rng"] {
            assert!(matches!(room(&name), "edge" | "cli") || !text.contains(randomness), "{name} rolls dice");
        }
    }
}

#[test]
fn every_room_names_only_rooms_below_its_own() {
    let mut looked_at = 0;
    for (name, text) in source().into_iter().filter(|(name, _)| name.ends_with(".rs")) {
        if matches!(room(&name), "lib" | "bin") {
            continue;
        }
        for other in named(&in_earnest(&text)) {
            assert!(may_name(room(&name), &other), "{name} looks up to `{other}`");
            looked_at += 1;
        }
    }
    assert!(looked_at > 100, "only {looked_at} names");
    let names: Vec<&str> = LAYERS.iter().flat_map(|(rooms, ..)| rooms.iter().copied()).collect();
    for name in &names {
        let exists = Path::new("src").join(name).is_dir() || Path::new("src").join(format!("{name}.rs")).is_file();
        assert!(exists, "`{name}` has a layer and no file");
    }
}

/// The checks themselves, on texts that break them.
#[test]
fn the_checks_see_what_they_look_for() {
    let text =
        "use crate::{\n    error::Reason,\n    policy::{self, Action},\n    wire,\n};\nfn f() { crate::edge::g() }";
    assert_eq!(named(text), ["error", "policy", "wire", "edge"]);
    assert!(may_name("pipeline", "meter") && may_name("host", "machine") && !may_name("meter", "pipeline"));
    assert!(!may_name("id", "scope") && !may_name("machine", "outbox"));
    let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { x.unwrap() }\n}\n// .unwrap()\nfn c() {}";
    assert!(!in_earnest(text).contains("unwrap") && in_earnest(text).contains("fn c"));
    assert!(in_earnest("fn a() { x.unwrap() }").contains(".unwrap()"));
    let text = "#[cfg(feature = \"faults\")]\n#[allow(clippy::panic)]\nfn a() { panic!() }\nfn b() {}";
    assert_eq!(in_earnest(text).trim(), "fn b() {}");
}

#[test]
fn every_dependency_is_pinned_and_says_what_it_is_for() {
    let manifests = ["Cargo.toml", "fuzz/Cargo.toml"].map(|name| fs::read_to_string(name).unwrap());
    let (mut inside, mut seen) = (false, 0);
    for line in manifests.iter().flat_map(|manifest| manifest.lines()) {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if inside && !line.trim().is_empty() && !line.starts_with('#') {
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
