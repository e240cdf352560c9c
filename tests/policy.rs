//! Policy files, rule by rule: what each key means, what holds where it is silent, and every edge at which it is refused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

use claviger::{
    conversations::store::Room,
    limits::window::Limit,
    policy::{self, BUILT_IN, IdentityRule, Implies, Policy, WidgetPolicy, built_in},
};

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

fn widget(text: &str) -> WidgetPolicy {
    sound(&format!("[widget]\n{text}")).widget.unwrap()
}

fn limit(name: &str, limit: u32, window_seconds: u32) -> Limit {
    Limit { name: name.to_owned(), limit, window_seconds }
}

#[test]
fn every_file_of_the_folder_is_a_built_in_policy_and_sound() {
    let mut files: Vec<String> = std::fs::read_dir("policies")
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    files.sort();
    assert_eq!(files, BUILT_IN.map(|(name, _)| name));
    for (name, text) in BUILT_IN {
        assert_eq!(built_in(name), Some(text));
        assert_eq!(text, std::fs::read_to_string(format!("policies/{name}.toml")).unwrap());
        policy::parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    assert_eq!(built_in("default"), Some(policy::DEFAULT));
    for name in ["other", "", "Default", "default.toml", "../default"] {
        assert_eq!(built_in(name), None, "{name}");
    }
}

#[test]
fn a_brand_is_2_to_8_small_letters_and_digits() {
    for brand in ["g5", "abcdefgh", "00"] {
        assert_eq!(policy::parse(&format!("brand = \"{brand}\"")).unwrap().brand, brand);
    }
    for brand in ["", "a", "abcdefghi", "a_b", "a-b", "Gs", "gä"] {
        let error = policy::parse(&format!("\nbrand = \"{brand}\"")).expect_err(brand);
        assert_eq!((error.line, error.reason.as_str()), (2, "brand is 2 to 8 of a-z and 0-9"));
    }
    assert!(policy::parse("brand = 5").expect_err("a number").reason.contains("`brand` is a text"));
}

#[test]
fn operators_are_mail_addresses() {
    assert_eq!(sound("operators = [\"a@b\", \"c@d\"]").operators, ["a@b", "c@d"]);
    refused("operators = [\"a@b\",\n\"c\"]", 3, "operators are e-mail addresses");
    refused("operators = \"a@b\"", 2, "`operators` is a list of texts");
    refused("operators = [5]", 2, "`operators` is a text");
}

#[test]
fn deploy_keys_stand_behind_convex_or_deploy_unless_the_file_says_otherwise() {
    assert_eq!(sound("").deploy_schemes, ["Convex", "Deploy"]);
    assert_eq!(sound("[schemes]\n").deploy_schemes, ["Convex", "Deploy"]);
    assert_eq!(sound("[schemes]\ndeploy_key = [\"Key1\"]").deploy_schemes, ["Key1"]);
    refused("[schemes]\ndeploy_key = []", 2, "`deploy_key` names no scheme");
    for name in ["", "a b", "bearer", "BEARER", "a-b", "ä"] {
        refused(&format!("[schemes]\ndeploy_key = [\"A\",\n\"{name}\"]"), 4, "cannot name a scheme of its own");
    }
    refused("[schemes]\nserver_key = []", 3, "unknown key `server_key`, expected one of deploy_key");
}

#[test]
fn a_scope_has_words_for_people_and_may_bring_others() {
    let scopes = sound("[scopes]\na = \"A\"\nb = { says = \"B\", implies = [\"a\"] }\nc = { says = \"C\", implies = \"*\" }\nd.says = \"D\"").scopes;
    let shown: Vec<_> = scopes.iter().map(|(scope, rule)| (scope.as_str(), rule.says.as_str())).collect();
    assert_eq!(shown, [("a", "A"), ("b", "B"), ("c", "C"), ("d", "D")]);
    let none = Implies::Only(Vec::new());
    let implied: Vec<_> = scopes.iter().map(|(_, rule)| rule.implies.clone()).collect();
    assert_eq!(implied, [none.clone(), Implies::Only(vec![scopes[0].0.clone()]), Implies::All, none]);
    refused("[scopes]\n\"a b\" = \"A\"", 3, "1 to 64 visible ASCII characters");
    refused("[scopes]\na = { says = \"A\", implies = [\"a\",\n\"b\"] }", 4, "unknown scope `b`");
    refused("[scopes]\na = { implies = [] }", 3, "`says` is missing");
    refused("[scopes]\na = { says = \"A\", implies = \"a\" }", 3, "`implies` is a list of texts");
    refused("[scopes]\na = { says = \"A\", also = [] }", 3, "unknown key `also`");
    refused("[scopes]\na = 5", 3, "`a` is a table");
    refused("scopes = 5", 2, "`scopes` is a table");
}

#[test]
fn a_tier_has_windows_or_is_custom() {
    let tier = |text: &str| sound(&format!("[tiers.a]\n{text}")).tiers.remove(0).1;
    let one = tier("requests = { limit = 1, window_seconds = 2_678_400 }");
    assert_eq!(
        (one.requests, one.tokens, one.custom, one.lease_seconds),
        (vec![limit("requests", 1, 2_678_400)], vec![], false, None)
    );
    let two = tier(
        "lease_seconds = 60\ntokens = [{ limit = 4_294_967_295, window_seconds = 1 }, { limit = 0x10, window_seconds = 0b11 }]",
    );
    assert_eq!(two.tokens, [limit("tokens-1", u32::MAX, 1), limit("tokens-3", 16, 3)]);
    assert_eq!((two.requests, two.lease_seconds), (vec![], Some(60)));
    assert!(tier("custom = true").custom);
    for (text, by_admin) in [("", false), ("granted_by = \"plan\"", false), ("granted_by = \"admin\"", true)] {
        assert_eq!(tier(&format!("custom = true\n{text}")).granted_by_admin, by_admin, "{text}");
    }
    refused("[tiers.a]\ncustom = true\ngranted_by = \"anybody\"", 4, "`granted_by` is \"plan\" or \"admin\"");
    let windows = "[tiers.a]\nrequests = { limit = 1, window_seconds = 1 }\n";
    refused("[tiers.a]\ncustom = false", 2, "a tier has windows, or `custom = true`");
    refused(&format!("{windows}custom = true"), 2, "a tier has windows, or `custom = true`");
    refused(&format!("{windows}custom = 1"), 4, "`custom` is true or false");
    refused("[tiers.a]\nrequests = { limit = 1 }", 3, "a window has `limit` and `window_seconds`");
    refused("[tiers.a]\nrequests = { window_seconds = 1 }", 3, "a window has `limit` and `window_seconds`");
    refused("[tiers.a]\nrequests = [5]", 3, "`requests` is a table");
    refused("[tiers.a]\nrequests = { limit = 1, window_seconds = 1, burst = 2 }", 3, "unknown key `burst`");
    for (lease, why) in
        [("0", "from 1 to 60"), ("61", "from 1 to 60"), ("\"1\"", "from 1 to 60"), ("1.0", "from 1 to 60")]
    {
        refused(&format!("{windows}lease_seconds = {lease}"), 4, why);
    }
    for (name, number, most) in
        [("limit", "0", u32::MAX), ("limit", "4_294_967_296", u32::MAX), ("window_seconds", "2678401", 2_678_400)]
    {
        let other = if name == "limit" { "window_seconds" } else { "limit" };
        let why = format!("`{name}` is a whole number from 1 to {most}");
        refused(&format!("[tiers.a]\ntokens = {{ {other} = 1, {name} = {number} }}"), 3, &why);
    }
    refused("[tiers]\na = 5", 3, "`a` is a table");
}

#[test]
fn the_widgets_numbers_hold_where_the_file_is_silent() {
    assert!(sound("").widget.is_none());
    let silent = WidgetPolicy {
        history_secret_seconds: 30 * 86_400,
        text_bytes: 16_384,
        page: 50,
        messages: limit("messages", 60, 60),
        conversation_messages: limit("conversation", 30, 60),
        conversations: limit("conversations", 10, 3_600),
        shard_conversations: limit("key", 625, 3_600),
        shard_messages: limit("key", 6_250, 3_600),
        room: Room { messages: 5_000, bytes: 4 << 20 },
        retention_seconds: None,
        identity: IdentityRule::Optional,
    };
    assert_eq!(widget(""), silent);
    let told = widget(
        "history_secret_days = 365\ntext_bytes = 65_536\npage = 500\nmessages_per_minute = 1\n\
         messages_per_minute_per_conversation = 2\nconversations_per_hour = 3\nconversations_per_hour_per_key = 47",
    );
    assert_eq!((told.history_secret_seconds, told.text_bytes, told.page), (365 * 86_400, 65_536, 500));
    assert_eq!((told.messages.limit, told.conversation_messages.limit, told.conversations.limit), (1, 2, 3));
    // 16 shards, and never more in sum than the file allows.
    assert_eq!(told.shard_conversations.limit, 2);
    assert_eq!(widget("conversations_per_hour_per_key = 16").shard_conversations.limit, 1);
    assert_eq!(widget("messages_per_hour_per_key = 47").shard_messages.limit, 2);
    for (name, least, most) in [
        ("history_secret_days", 1, 365),
        ("text_bytes", 1, 65_536),
        ("page", 1, 500),
        ("messages_per_minute", 1, u32::MAX),
        ("messages_per_minute_per_conversation", 1, u32::MAX),
        ("conversations_per_hour", 1, u32::MAX),
        ("conversations_per_hour_per_key", 16, u32::MAX),
        ("messages_per_hour_per_key", 16, u32::MAX),
        ("messages_per_conversation", 1, 1_000_000),
        ("bytes_per_conversation", 65_536, 1 << 30),
        ("retention_days", 1, 3_650),
    ] {
        widget(&format!("{name} = {least}"));
        widget(&format!("{name} = {most}"));
        for number in [i64::from(least) - 1, i64::from(most) + 1] {
            refused(
                &format!("[widget]\n{name} = {number}"),
                3,
                &format!("`{name}` is a whole number from {least} to {most}"),
            );
        }
    }
    refused("[widget]\npages = 5", 3, "unknown key `pages`");
}

#[test]
fn what_a_file_names_is_repeated_without_what_a_terminal_would_obey() {
    refused("\"a\\u001b[2J\\nb\" = 1", 2, "unknown key `a [2J b`");
    refused("[scopes]\na = { says = \"A\", implies = [\"\\u0007\"] }", 3, "unknown scope ` `");
}
