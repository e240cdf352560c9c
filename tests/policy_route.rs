//! Routes in policy files: what they mean, and every way in which one makes no sense or could be reached by nobody.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

use claviger::policy::{self, Destination, Dialect, Idempotency, Policy, Route};

const ROUTE: &str = "match = \"POST /things\"\naccept = [\"server_key\"]\nto = \"upstream\"\n";

#[track_caller]
fn sound(text: &str) -> Policy {
    policy::parse(&format!("brand = \"gs\"\n{text}")).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[track_caller]
fn refused(text: &str, line: usize, reason: &str) {
    let error = policy::parse(&format!("brand = \"gs\"\n{text}")).expect_err(text);
    assert!(error.line == line && error.reason.contains(reason), "{error}\n{text}");
    assert_eq!(error.to_string(), format!("line {line}: {}", error.reason));
}

fn route(text: &str) -> Route {
    sound(&format!("[scopes]\nr = \"Read\"\n[[routes]]\n{text}")).routes.remove(0)
}

#[track_caller]
fn refused_route(text: &str, line: usize, reason: &str) {
    refused(&format!("[[routes]]\n{text}"), line + 2, reason);
}

#[test]
fn a_route_is_what_it_says() {
    let read = route(
        "match = \"GET /our/things/{rest...}\"\naccept = [\"user_jwt\", \"session\"]\nto = \"records\"\nscope = \"r\"",
    );
    assert_eq!((read.method.as_str(), read.path.as_str()), ("GET", "/our/things/{rest...}"));
    assert_eq!(
        (read.accept.as_slice(), read.to, read.review),
        (["user_jwt".to_owned(), "session".to_owned()].as_slice(), Destination::Records, false)
    );
    assert_eq!(
        (read.scope.as_ref().map(|scope| scope.as_str()), read.idempotency, read.tokens),
        (Some("r"), Idempotency::Ignored, None)
    );
    let write = route(&format!(
        "{ROUTE}review = true\nidempotency = \"required\"\ntokens = {{ reserve = \"max\", settle = \"used\" }}"
    ));
    assert_eq!(
        (write.to, write.review, write.idempotency, write.scope),
        (Destination::Upstream, true, Idempotency::Required, None)
    );
    let rule = |text: &str| {
        let rule = route(&format!("{ROUTE}tokens = {{ {text} }}")).tokens.unwrap();
        (rule.asked.clone(), rule.told.clone(), rule.default)
    };
    let expected = |default| (vec!["max".into()], vec!["used".into()], default);
    assert!(write.tokens.is_some_and(|rule| rule.default == 4_096 && rule.dialect.is_none() && !rule.refused_counts));
    assert_eq!(rule("reserve = \"max\", settle = \"used\""), expected(4_096));
    for default in [0, 1, u32::MAX] {
        assert_eq!(rule(&format!("reserve = \"max\", settle = \"used\", default = {default}")), expected(default));
    }
    assert_eq!(rule("reserve = \"a.b\", settle = \"usage.total tokens.é\"").1, ["usage.total tokens.é"]);
    let lists = "reserve = [\"a\", \"b.c\"], settle = [\"d\", \"e\"], multiply = [\"n\", \"m\"], refused = \"held\"";
    assert_eq!(rule(lists), (["a", "b.c", "n", "m"].map(Into::into).into(), ["d", "e"].map(Into::into).into(), 4_096));
    assert_eq!(rule("reserve = \"a\", settle = [\"d\"], multiply = \"n\"").0, ["a", "n"]);
    for (dialect, expected) in
        [("openai", Dialect::OpenAi), ("anthropic", Dialect::Anthropic), ("gemini", Dialect::Gemini)]
    {
        let rule = route(&format!("{ROUTE}tokens = {{ dialect = \"{dialect}\", default = 7, refused = \"free\" }}"));
        let rule = rule.tokens.unwrap();
        assert_eq!((rule.dialect, rule.default, rule.refused_counts), (Some(expected), 7, false));
    }
    assert_eq!(route(&format!("{ROUTE}idempotency = \"accepted\"")).idempotency, Idempotency::Accepted);
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] {
        assert_eq!(route(&ROUTE.replace("POST", method)).method, method);
    }
    for kind in ["server_key", "service_token", "access_token", "extension_token", "user_jwt", "session", "deploy_key"]
    {
        assert_eq!(route(&ROUTE.replace("server_key", kind)).accept, [kind]);
    }
}

#[test]
fn a_route_that_makes_no_sense_is_refused_where_it_does_not() {
    let with = |more: &str| format!("{ROUTE}{more}");
    let read = |more: &str| format!("{}{more}", ROUTE.replace("POST", "GET"));
    let head = |more: &str| format!("{}{more}", ROUTE.replace("POST", "HEAD"));
    for (text, line, reason) in [
        (with("review = 1"), 4, "`review` is true or false"),
        (read("review = true"), 4, "review on a read"),
        (head("review = true"), 4, "review on a read"),
        (with("idempotency = \"ignored\""), 4, "`idempotency` is \"accepted\" or \"required\""),
        (read("idempotency = \"accepted\""), 4, "idempotency on a read"),
        (with("scope = \"s\""), 4, "unknown scope `s`"),
        (with("tokens = { reserve = \"a\" }"), 4, "`settle` is missing"),
        (with("tokens = { settle = \"a\" }"), 4, "`reserve` is missing"),
        (with("tokens = { settle = \"a\", reserve = \"a\", more = 1 }"), 4, "unknown key `more`"),
        (
            with("tokens = { settle = \"a\", reserve = \"\" }"),
            4,
            "`reserve` is the names of members, with dots between",
        ),
        (with("tokens = { settle = \"a\", reserve = [] }"), 4, "`reserve` is a member, or a list of 1 to 8"),
        (
            with("tokens = { settle = [\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\"], reserve = \"a\" }"),
            4,
            "`settle` is a member, or a list of 1 to 8",
        ),
        (with("tokens = { settle = [\"a\", 5], reserve = \"a\" }"), 4, "`settle` is a text"),
        (with("tokens = { settle = 5, reserve = \"a\" }"), 4, "`settle` is a text"),
        (with("tokens = { settle = [\"a\", \"a\"], reserve = \"a\" }"), 4, "`settle` has this member twice"),
        (with("tokens = { settle = \"a\", reserve = \"a\", multiply = \"n.\" }"), 4, "`multiply` is the names"),
        (with("tokens = { settle = \"a\", reserve = \"a\", refused = \"no\" }"), 4, "`refused` is \"free\" or"),
        (with("tokens = { dialect = \"cohere\" }"), 4, "`dialect` is \"openai\", \"anthropic\" or \"gemini\""),
        (with("tokens = { dialect = \"openai\", multiply = \"n\" }"), 4, "leave out `multiply`"),
        (with("tokens = { dialect = \"openai\", reserve = \"n\" }"), 4, "leave out `reserve`"),
        (with("tokens = {}"), 4, "`reserve` is missing"),
        (with("tokens = { settle = \"a..b\", reserve = \"a\" }"), 4, "`settle` is the names of members"),
        (with("tokens = { settle = \".a\", reserve = \"a\" }"), 4, "`settle` is the names of members"),
        (with("tokens = { settle = \"a\", reserve = \"a\", default = -1 }"), 4, "`default` is a whole number from 0"),
        (with("tokens = 5"), 4, "`tokens` is a table"),
        (
            read("tokens = { reserve = \"a\", settle = \"b\" }"),
            4,
            "tokens are settled from an upstream's answer to a write",
        ),
        (with("tokens = { reserve = \"a\", settle = \"b\" }").replace("upstream", "records"), 4, "tokens are settled"),
        (with("more = 1"), 4, "unknown key `more`"),
        (ROUTE.replace("server_key", "history_secret"), 2, "a history_secret is safe in browsers"),
        (ROUTE.replace("upstream", "elsewhere"), 3, "`to` is \"upstream\" or \"records\""),
        (ROUTE.replace("[\"server_key\"]", "\"server_key\""), 2, "`accept` is a list of texts"),
    ] {
        refused_route(&text, line, reason);
    }
    refused_route("match = \"POST /a\"\nto = \"upstream\"", 1, "`accept` is missing");
    refused_route("accept = [\"session\"]", 0, "`match` is missing");
    refused_route("match = \"POST /a\"\naccept = [\"session\"]", 0, "`to` is missing");
    // Two patterns of one shape: nobody would reach the second one.
    let twice = |one: &str, other: &str| {
        format!("[[routes]]\n{}[[routes]]\n{}", ROUTE.replace("/things", one), ROUTE.replace("/things", other))
    };
    refused(&twice("/a/{x}/b", "/a/{y}/b"), 6, "an earlier one has POST /a/{}/b too");
    refused(&twice("/a/{x...}", "/a/{y...}"), 6, "an earlier one has POST /a/{...} too");
    for (one, other) in [("/a/{x}", "/a/{x...}"), ("/a/{x}", "/b/{x}"), ("/a/{x}", "/a/x"), ("/a", "/a/b")] {
        assert_eq!(sound(&twice(one, other)).routes.len(), 2, "{one} and {other}");
    }
    let methods = twice("/a", "/a").replacen("POST", "PUT", 1);
    assert_eq!(sound(&methods).routes.len(), 2);
}

#[test]
fn a_pattern_is_a_method_and_plain_segments() {
    for path in [
        "/",
        "/a",
        "/a/",
        "/{a}/",
        "/a-._~!$&'()*+,=:@b/C9",
        "/{a_1}",
        "/{a}/b/{rest...}",
        "/v1",
        "/v1/things",
        "/v1/whoamiX",
        "/wx",
    ] {
        let read = policy::parse(&format!("brand = \"gs\"\n[[routes]]\n{}", ROUTE.replace("/things", path)));
        assert_eq!(read.is_ok(), path != "/", "{path}");
    }
    for path in [
        "",
        "a",
        "//",
        "//a",
        "/a//",
        "/a//b",
        "/.",
        "/a/..",
        "/a?b",
        "/a%20b",
        "/a b",
        "/{}",
        "/{a",
        "/a}",
        "/{a-b}",
        "/{...}",
        "/{a...}/b",
        "/ä",
        "/a#b",
    ] {
        refused_route(&ROUTE.replace("/things", path), 1, "match: ");
    }
    for line in ["POST", "post /a", "OPTIONS /a", "CONNECT /a", " /a"] {
        refused_route(&ROUTE.replace("POST /things", line), 1, "match: ");
    }
    for path in [
        "/w/a",
        "/v1/credentials",
        "/v1/conversations/{id}/notes",
        "/docs/errors",
        "/healthz",
        "/.well-known/x",
        "/oauth/token",
        "/widget.js",
        "/login",
    ] {
        refused_route(&ROUTE.replace("/things", path), 1, "Claviger answers this path itself");
    }
}

#[test]
fn a_route_waits_a_minute_for_its_upstream_unless_it_says_how_long() {
    assert_eq!(route(ROUTE).timeout_seconds, 60);
    for seconds in [1, 600] {
        assert_eq!(route(&format!("{ROUTE}timeout_seconds = {seconds}")).timeout_seconds, seconds);
    }
    for value in ["0", "601", "-1", "1.5", "\"9\"", "true"] {
        refused_route(
            &format!("{ROUTE}timeout_seconds = {value}"),
            4,
            "`timeout_seconds` is a whole number from 1 to 600",
        );
    }
    let records = ROUTE.replace("\"upstream\"", "\"records\"");
    refused_route(&format!("{records}timeout_seconds = 9"), 1, "timeout_seconds: nobody behind is waited for");
}

#[test]
fn every_call_of_ours_is_a_path_that_no_policy_can_name() {
    let matrix = std::fs::read_to_string("tests/output/matrix.txt").unwrap();
    let calls: Vec<&str> = matrix.lines().filter_map(|line| line.trim().split("  ").next()).collect();
    let calls: Vec<(&str, &str)> = calls.iter().filter_map(|call| call.split_once(" /")).collect();
    let mut tried = 0;
    for (method, path) in calls.into_iter().filter(|(method, _)| matches!(*method, "GET" | "POST" | "PATCH" | "DELETE"))
    {
        // The table also shows the records, which a policy must name, and what is not there at all.
        if path.contains("records") || path.ends_with("nothing") {
            continue;
        }
        let path = path.split(['?', ' ']).next().unwrap();
        refused_route(
            &ROUTE.replace("POST /things", &format!("{method} /{path}")),
            1,
            "Claviger answers this path itself",
        );
        tried += 1;
    }
    assert!(tried > 35, "{tried} calls in the table");
}

#[test]
fn p8_no_route_writes_where_another_ones_writes_wait_for_a_person() {
    let records = |line: &str, more: &str| {
        format!("[[routes]]\nmatch = \"{line}\"\naccept = [\"server_key\"]\nto = \"records\"\n{more}")
    };
    let reviewed = records("POST /v1/plans/notes", "review = true\n");
    for line in [
        "POST /v1/records/{collection}",
        "PUT /v1/records/{collection}/{id}",
        "DELETE /v1/{rest...}",
        "POST /v1/other/notes",
        "PUT /v1/notes/{id}",
    ] {
        refused(&format!("{reviewed}{}", records(line, "")), 7, "a way around it");
        refused(&format!("{}{reviewed}", records(line, "")), 6, "a way around it");
    }
    for line in ["GET /v1/records/{collection}", "POST /v1/records/others", "PUT /v1/others/{id}"] {
        sound(&format!("{reviewed}{}", records(line, "")));
    }
    sound(&format!("{reviewed}{}", records("POST /v1/records/{collection}", "review = true\n")));
}
