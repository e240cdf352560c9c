//! Scopes: what the built-in policies call theirs, which come with which, and how a list of names becomes a list of scopes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

use claviger::{
    codec::kind::CredentialKind,
    error::Reason,
    policy::{self, Action, Implies, Policy, built_in},
    value::scope::Scope,
};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn built(name: &str) -> Policy {
    policy::parse(built_in(name).unwrap()).unwrap()
}

fn names(policy: &Policy) -> Vec<&str> {
    policy.scopes.iter().map(|(scope, _)| scope.as_str()).collect()
}

fn scope(name: &str) -> Scope {
    name.to_owned().try_into().unwrap()
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// What a request is told whose list of scopes is not taken.
fn told(refused: Result<Vec<Scope>, Reason>) -> String {
    match refused {
        Err(Reason::InvalidRequest(field, why)) if field.starts_with("scopes") => format!("{field}: {why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_language_model_api_has_seven_scopes_and_its_limits() {
    let llm = built("llm");
    assert_eq!(llm.brand, "gs");
    let others = ["completions:read", "prompts:read", "prompts:write", "sessions:read", "sessions:write", "usage:read"];
    let all = [["admin"].as_slice(), &others].concat();
    assert_eq!(names(&llm), all);
    for other in others {
        assert_eq!(llm.satisfying(other), ["admin", other]);
        assert!(llm.covers(&[scope("admin")], &scope(other)) && !llm.covers(&[scope(other)], &scope("admin")));
    }
    let says: Vec<&str> = llm.scopes.iter().map(|(_, rule)| rule.says.as_str()).collect();
    assert_eq!((says[0], says[1], says[6]), ("Full access", "Execute completions", "View usage statistics"));
    let tiers: Vec<_> = llm
        .tiers
        .iter()
        .map(|(name, tier)| {
            let windows = |limits: &[claviger::limits::window::Limit]| {
                limits.iter().map(|limit| (limit.limit, limit.window_seconds)).collect::<Vec<_>>()
            };
            (name.as_str(), windows(&tier.requests), windows(&tier.tokens), tier.custom)
        })
        .collect();
    let expected = [
        ("enterprise", vec![], vec![], true),
        ("free", vec![(60, 60)], vec![(40_000, 60)], false),
        ("standard", vec![(500, 60)], vec![(400_000, 60)], false),
    ];
    assert_eq!(tiers, expected);
}

#[test]
fn any_accepted_key_may_list_models_and_what_a_model_answers_is_counted_in_tokens() {
    let llm = built("llm");
    let route =
        |line: &str| llm.routes.iter().find(|route| format!("{} {}", route.method, route.path) == line).unwrap();
    let models = route("GET /v1/models");
    assert_eq!(models.scope, None);
    assert!(["server_key", "service_token"].iter().all(|kind| models.accept.iter().any(|known| known == kind)));
    for line in ["POST /v1/chat/completions", "POST /v1/sessions/{id}/messages"] {
        assert!(route(line).tokens.is_some(), "{line}");
    }
    let open: Vec<&str> =
        llm.routes.iter().filter(|route| route.scope.is_none()).map(|route| route.path.as_str()).collect();
    assert_eq!(open, ["/v1/models"], "all else takes a scope");
}

#[test]
fn the_analytics_product_has_eleven_scopes_and_none_brings_another() {
    let analytics = built("analytics");
    assert_eq!(analytics.brand, "dbdy");
    let expected = BTreeSet::from([
        "read:data",
        "track:events",
        "read:links",
        "write:links",
        "read:monitors",
        "write:monitors",
        "read:status_pages",
        "write:status_pages",
        "manage:websites",
        "manage:flags",
        "manage:config",
    ]);
    assert_eq!(names(&analytics).into_iter().collect::<BTreeSet<_>>(), expected);
    apart(&analytics);
    let needs = |line: &str| {
        let found = analytics.routes.iter().find(|route| format!("{} {}", route.method, route.path) == line);
        found.unwrap_or_else(|| panic!("{line}")).scope.as_ref().unwrap().as_str()
    };
    assert_eq!((needs("GET /v1/query/websites"), needs("POST /v1/mcp/")), ("read:data", "read:data"));
    // Every scope is good for something.
    let used: BTreeSet<&str> =
        analytics.routes.iter().filter_map(|route| Some(route.scope.as_ref()?.as_str())).collect();
    assert_eq!(used, expected);
}

#[test]
fn the_teams_memory_has_four_scopes_and_no_write_to_it_without_review() {
    let memory = built("memory");
    assert_eq!(names(&memory), ["continuations.log", "memory.candidates", "memory.context", "memory.read"]);
    apart(&memory);
    let writes: Vec<_> = memory
        .routes
        .iter()
        .filter(|route| route.to == policy::Destination::Records && route.method != "GET")
        .collect();
    assert!(!writes.is_empty() && writes.iter().all(|route| route.review));
    // A browser's capture proposes, and does nothing else.
    for route in &memory.routes {
        let captures = route.accept.iter().any(|kind| kind == "extension_token");
        assert_eq!(captures, route.scope == Some(scope("memory.candidates")), "{} {}", route.method, route.path);
    }
}

#[test]
fn the_support_product_has_sixteen_scopes_two_for_each_resource() {
    let support = built("support");
    let resources =
        ["workspace", "conversations", "messages", "customers", "sources", "agents", "channels", "webhooks"];
    let expected: BTreeSet<String> =
        resources.iter().flat_map(|name| [format!("{name}:read"), format!("{name}:write")]).collect();
    assert_eq!(names(&support).into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), expected);
    assert_eq!(expected.len(), 16);
    apart(&support);
    assert_eq!(support.warnings(), [], "each of them opens something");
}

#[test]
fn n3_no_scope_of_a_built_in_policy_opens_nothing() {
    for (name, text) in policy::BUILT_IN {
        let policy = policy::parse(text).unwrap();
        assert_eq!(policy.warnings(), [], "{name}");
        assert!(!policy.has_no_limits(), "{name}");
    }
}

#[test]
fn n3_a_policy_says_which_of_its_scopes_our_own_calls_take() {
    let read = |own: &str| {
        let scopes = "brand = \"gs\"\n[scopes]\n\"inbox:read\" = \"Read\"\n\"messages:read\" = \"M\"\nroot = \"All\"\n";
        policy::parse(&format!("{scopes}[own]\n{own}"))
    };
    let policy = read("\"messages:read\" = \"inbox:read\"\nadmin = \"root\"").unwrap();
    let needs = |action: Action| action.needs(CredentialKind::ServerKey, &policy).unwrap();
    assert_eq!(needs(Action::ReadMessages).enough, ["inbox:read"], "and not the scope of our name any more");
    assert_eq!(needs(Action::CreateCredential).enough, ["root"]);
    // One that is not listed stands for itself: here there is no such scope, and none that brings all.
    assert_eq!(needs(Action::ListConversations).enough, Vec::<String>::new());
    let useless = policy.warnings();
    assert_eq!(useless.len(), 1, "{useless:?}");
    assert!(useless[0].text.starts_with("the scope `messages:read` opens nothing"), "{}", useless[0].text);
    for (own, line, reason) in [
        ("\"messages:read\" = \"inbox:reed\"", 7, "unknown scope `inbox:reed`"),
        ("root = \"root\"", 7, "no call takes the scope `root`, expected one of admin, "),
        ("admin = \"root\"\n\"Messages:read\" = \"root\"", 8, "no call takes the scope `Messages:read`"),
        ("admin = 5", 7, "`admin` is a text"),
        ("admin = [\"root\"]", 7, "`admin` is a text"),
    ] {
        let error = read(own).expect_err(own);
        assert!(error.line == line && error.reason.contains(reason), "{error}");
    }
}

fn apart(policy: &Policy) {
    for (scope, _) in &policy.scopes {
        assert_eq!(policy.satisfying(scope.as_str()), [scope.as_str()]);
    }
}

const CHAIN: &str = "brand = \"gs\"\n[scopes]\na = \"A\"\nb = { says = \"B\", implies = [\"a\"] }\n\
    c = { says = \"C\", implies = [\"b\"] }\nd = { says = \"D\", implies = [\"e\"] }\n\
    e = { says = \"E\", implies = [\"d\"] }\nf = { says = \"F\", implies = \"*\" }\ng = { says = \"G\", implies = [\"f\"] }";

#[test]
fn a_scope_brings_what_its_scopes_bring_and_everything_brings_all() {
    let policy = policy::parse(CHAIN).unwrap();
    for (needed, enough) in [
        ("a", vec!["a", "b", "c", "f", "g"]),
        ("b", vec!["b", "c", "f", "g"]),
        ("c", vec!["c", "f", "g"]),
        // A circle: each brings the other.
        ("d", vec!["d", "e", "f", "g"]),
        ("e", vec!["d", "e", "f", "g"]),
        ("f", vec!["f", "g"]),
        ("g", vec!["f", "g"]),
        ("h", vec![]),
        ("", vec![]),
        ("A", vec![]),
        ("*", vec![]),
    ] {
        assert_eq!(policy.satisfying(needed), enough, "{needed}");
    }
}

#[test]
fn a_scope_that_the_policy_has_no_longer_is_good_for_nothing() {
    let policy = policy::parse(CHAIN).unwrap();
    let gone = scope("gone");
    assert!(!policy.covers(std::slice::from_ref(&gone), &gone));
    assert!(!policy.covers(&[scope("f")], &gone), "not even everything brings what is not there");
    assert!(!policy.covers(&[gone, scope("a")], &scope("b")));
    assert!(policy.covers(&[scope("gone"), scope("c")], &scope("a")));
    assert!(!policy.covers(&[], &scope("a")));
}

#[test]
fn names_become_scopes_in_the_policys_order() {
    let policy = policy::parse(CHAIN).unwrap();
    assert_eq!(policy.resolve(&owned(&["c", "a", "b"])).unwrap(), [scope("a"), scope("b"), scope("c")]);
    assert_eq!(policy.resolve(&[]).unwrap(), []);
    assert!(told(policy.resolve(&owned(&["a", "b", "a"]))).starts_with("scopes[2]: a stands in the list twice"));
    let long = vec!["a".to_owned(); 101];
    assert!(told(policy.resolve(&long)).contains("at most 100"));
    assert!(told(policy.resolve(&long[..100])).starts_with("scopes[1]: a stands in the list twice"));
    let many: String = (0..100).map(|number| format!("s{number} = \"S\"\n")).collect();
    let many = policy::parse(&format!("brand = \"gs\"\n[scopes]\n{many}")).unwrap();
    assert_eq!(many.resolve(&owned(&names(&many))).unwrap().len(), 100);
}

#[test]
fn n6_what_the_policy_does_not_know_is_repeated_only_where_it_can_be_no_secret() {
    let policy = policy::parse(CHAIN).unwrap();
    let known = names(&policy).join(", ");
    for unknown in ["gs_live_abcdefghijklmnop", "", " a", "a ", "*", "a b", "ä", "\u{0}", "\"a\"", &"x".repeat(40)] {
        let why = told(policy.resolve(&owned(&["a", unknown])));
        assert_eq!(why, format!("scopes[1]: There is no such scope. This policy has: {known}."));
        let why = told(policy.resolve(&owned(&[unknown, unknown])));
        assert!(why.starts_with("scopes[0]: "), "{why}");
    }
    let why = told(policy.resolve(&owned(&["a", "orders:write"])));
    assert_eq!(why, format!("scopes[1]: There is no scope `orders:write`. This policy has: {known}."));
    let why = told(policy.resolve(&owned(&["A"])));
    assert_eq!(why, format!("scopes[0]: There is no scope `A`. Did you mean `a`? This policy has: {known}."));
    let none = policy::parse("brand = \"gs\"").unwrap();
    assert_eq!(told(none.resolve(&owned(&["a"]))), "scopes[0]: There is no scope `a`: this policy has none.");
}

/// Any policy of up to eight scopes, each with what it implies.
fn any_policy() -> impl Strategy<Value = Vec<Option<Vec<usize>>>> {
    proptest::collection::vec(proptest::option::weighted(0.9, proptest::collection::vec(0..8_usize, 0..3)), 1..8)
}

proptest! {
    #[test]
    fn what_is_enough_is_what_can_be_reached(rules in any_policy(), held in 0..8_usize, wanted in 0..8_usize) {
        let count = rules.len();
        let rules: Vec<Option<BTreeSet<usize>>> = rules
            .into_iter()
            .map(|rule| rule.map(|implied| implied.into_iter().map(|at| at % count).collect()))
            .collect();
        let (held, wanted) = (held % count, wanted % count);
        let lines = rules.iter().enumerate().map(|(at, rule)| match rule {
            None => format!("s{at} = {{ says = \"S\", implies = \"*\" }}\n"),
            Some(implied) => {
                let implied: Vec<String> = implied.iter().map(|at| format!("\"s{at}\"")).collect();
                format!("s{at} = {{ says = \"S\", implies = [{}] }}\n", implied.join(", "))
            }
        });
        let policy = policy::parse(&format!("brand = \"gs\"\n[scopes]\n{}", lines.collect::<String>())).unwrap();
        prop_assert!(policy.scopes.iter().all(|(_, rule)| rule.implies == Implies::All || !rule.says.is_empty()));
        // The other way round: forward from what is held, one step after the other.
        let mut reached = BTreeSet::from([held]);
        for _ in 0..count {
            for at in reached.clone() {
                match &rules[at] {
                    None => reached.extend(0..count),
                    Some(implied) => reached.extend(implied),
                }
            }
        }
        let name = |at: usize| scope(&format!("s{at}"));
        prop_assert_eq!(policy.covers(&[name(held)], &name(wanted)), reached.contains(&wanted));
        let enough = policy.satisfying(name(wanted).as_str());
        prop_assert_eq!(enough.contains(&format!("s{held}")), reached.contains(&wanted));
    }
}
