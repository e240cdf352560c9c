//! Which route a path means: the closest one, found the same way by a naive reading of the patterns.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

use claviger::policy::{self, Policy};
use proptest::prelude::*;
use std::fmt::Write as _;

fn policy(patterns: &[&str]) -> Policy {
    let mut text = "brand = \"gs\"\n".to_owned();
    for pattern in patterns {
        write!(text, "[[routes]]\nmatch = \"{pattern}\"\naccept = [\"server_key\"]\nto = \"upstream\"\n").unwrap();
    }
    policy::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[track_caller]
fn means(policy: &Policy, line: &str) -> Option<String> {
    let (method, path) = line.split_once(' ').unwrap();
    let number = policy.route(method, path)?;
    Some(policy.routes[number].name())
}

#[test]
fn what_is_spelled_out_comes_before_a_variable_and_a_variable_before_the_rest() {
    let policy = policy(&[
        "GET /{area}/{rest...}",
        "GET /a/{rest...}",
        "GET /a/{x}",
        "GET /a/{x}/c",
        "GET /a/b",
        "POST /a/b",
        "GET /a/b/",
        "GET /{area}/b/c",
    ]);
    for (line, route) in [
        ("GET /a/b", "GET /a/b"),
        ("HEAD /a/b", "GET /a/b"),
        ("POST /a/b", "POST /a/b"),
        ("GET /a/b/", "GET /a/b/"),
        ("GET /a/x", "GET /a/{x}"),
        // Back from `/a/b`, which goes no further.
        ("GET /a/b/c", "GET /a/{x}/c"),
        ("GET /a/b/d", "GET /a/{rest...}"),
        ("GET /a/x/", "GET /a/{rest...}"),
        ("GET /a/x/c/d", "GET /a/{rest...}"),
        ("GET /z/b/c", "GET /{area}/b/c"),
        ("GET /z/b/d", "GET /{area}/{rest...}"),
    ] {
        assert_eq!(means(&policy, line).as_deref(), Some(route), "{line}");
    }
    for line in ["GET /", "GET /a", "GET /a/", "POST /a/x", "PUT /a/b", "HEAD /z", "GET a/b", "GET  "] {
        assert_eq!(means(&policy, line), None, "{line}");
    }
}

#[test]
fn more_routes_than_the_audit_counts_by_and_longer_ones_than_it_names_are_refused() {
    let line = |number: usize| format!("GET /r{number}");
    let lines: Vec<String> = (0..101).map(line).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(policy(&lines[..100]).routes.len(), 100);
    let text = |path: &str| {
        format!("brand = \"gs\"\n[[routes]]\nmatch = \"GET {path}\"\naccept = [\"session\"]\nto = \"upstream\"\n")
    };
    let all: String =
        lines.iter().map(|line| text(line.trim_start_matches("GET ")).replace("brand = \"gs\"\n", "")).collect();
    let error = policy::parse(&format!("brand = \"gs\"\n{all}")).expect_err("one too many");
    assert!(error.reason.starts_with("more than 100 routes") && error.line == 402, "{error}");
    assert!(policy::parse(&text(&format!("/{}", "a".repeat(511)))).is_ok());
    let error = policy::parse(&text(&format!("/{}", "a".repeat(512)))).expect_err("too long");
    assert!(error.reason.contains("too long") && error.line == 3, "{error}");
}

/// A pattern's segments: of few names, so that many fit.
fn any_pattern() -> impl Strategy<Value = String> {
    let segment = prop_oneof![Just("a"), Just("b"), Just("{x}")];
    (proptest::collection::vec(segment, 1..4), any::<bool>()).prop_map(|(segments, rest)| {
        let rest = if rest { "/{rest...}" } else { "" };
        format!("/{}{rest}", segments.join("/"))
    })
}

/// Whether the pattern takes the path, and how closely each segment does.
fn naively(pattern: &str, path: &str) -> Option<Vec<u8>> {
    let (mut pattern, mut path) = (pattern.split('/').skip(1), path.split('/').skip(1));
    let mut closeness = Vec::new();
    loop {
        match (pattern.next(), path.next()) {
            (None, None) => return Some(closeness),
            (Some("{rest...}"), Some(sent)) if !sent.is_empty() => {
                closeness.push(2);
                return Some(closeness);
            }
            (Some("{x}"), Some(sent)) if !sent.is_empty() => closeness.push(1),
            (Some(name), Some(sent)) if name == sent => closeness.push(0),
            _ => return None,
        }
    }
}

proptest! {
    #[test]
    fn the_closest_of_all_that_fit_is_found(
        patterns in proptest::collection::btree_set(any_pattern(), 1..12),
        path in proptest::collection::vec(prop_oneof![Just("a"), Just("b"), Just("c")], 1..6),
        slash in any::<bool>(),
    ) {
        let patterns: Vec<String> = patterns.into_iter().collect();
        let lines: Vec<String> = patterns.iter().map(|pattern| format!("GET {pattern}")).collect();
        let policy = policy(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        let path = format!("/{}{}", path.join("/"), if slash { "/" } else { "" });
        let fitting = patterns.iter().filter_map(|pattern| Some((naively(pattern, &path)?, pattern)));
        let closest = fitting.min().map(|(_, pattern)| format!("GET {pattern}"));
        prop_assert_eq!(policy.route("GET", &path).map(|number| policy.routes[number].name()), closest);
    }

    #[test]
    fn a_path_that_is_taken_means_the_same_with_its_encoding_undone(path in "/[a-c%./;\\\\0-9A-F]{0,12}") {
        let policy = policy(&["GET /a", "GET /{x}", "GET /a/{x}", "GET /{x}/b", "GET /a/{rest...}", "GET /{x}/{y}/{rest...}"]);
        if let Some(number) = policy.route("GET", &path) {
            let undone: String = form_urlencoded::parse(format!("x={}", path.replace('+', "%2B")).as_bytes())
                .map(|(_, value)| value.into_owned())
                .collect();
            prop_assert!(!undone.contains("..") || !undone.split('/').any(|segment| segment == ".."), "{}", undone);
            prop_assert!(!undone.contains([';', '\\', '%', '\0']), "{}", undone);
            let closest = policy.routes.iter().enumerate().filter_map(|(number, route)| {
                Some((naively(&route.path.replace("{y}", "{x}"), &undone)?, number))
            });
            prop_assert_eq!(closest.min().map(|(_, number)| number), Some(number));
        }
    }
}
