//! What scanners of secrets find: real credentials of every kind, wherever people leave them, and nothing that only comes near.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

#[path = "../../tests/toy/mod.rs"]
mod toy;

use claviger::{
    codec::time::Timestamp,
    credential::{HistorySecret, Kind as _},
    policy::{BUILT_IN, parse},
    value::id::{Environment, Stage},
};
use claviger_cli::scanners::{pattern, rule};
use regex::bytes::{Regex, RegexBuilder};
use serde_json::Value;
use std::fs;
use toy::{ORIGIN, Toy};

/// Every kind of secret, as a deployment of this brand hands them out, in workspaces with the shortest and the longest names.
fn secrets(brand: &str) -> (Vec<String>, Vec<String>) {
    let policy = format!("brand = \"{brand}\"\n[scopes]\nadmin = {{ says = \"All\", implies = \"*\" }}\n[widget]\n");
    let toy = Toy::changed(&[("POLICY_TOML", &policy)]);
    let (mut secrets, mut public) = (Vec::new(), Vec::new());
    for workspace in ["a", "ac", "acm", "acme_2-x", &"w".repeat(39)] {
        toy.workspace(workspace);
        for environment in ["live", "test"] {
            secrets.push(toy.server_key(workspace, environment, &Value::Null).1);
            secrets.push(toy.service_token(workspace, environment, "spine", &Value::Null).1);
            let (_, key) = toy.widget_key(workspace, environment, &[ORIGIN]);
            secrets.push(toy.open(&key).secret);
            public.push(key);
        }
        secrets.push(toy.identity_secret(workspace).1);
    }
    for (stage, deployment) in [(Stage::Dev, "local"), (Stage::Prod, "a"), (Stage::Staging, "A-b_9")] {
        secrets.push(toy.deploy_key_for(stage, deployment, 3_600));
    }
    secrets.push(toy.deploy_key_for(Stage::Dev, &"d".repeat(64), 3_600).split_once('|').unwrap().1.to_owned());
    // Some end in a character that ends no word.
    let config = toy.config.as_ref().unwrap();
    let generations = (0..400).map(|generation| HistorySecret {
        conversation: "conv_01234567890123456789_ac".to_owned().try_into().unwrap(),
        environment: Environment::Live,
        generation,
        expires_at: Timestamp(1_800_000_000_000),
    });
    secrets.extend(
        generations
            .map(|secret| secret.issue(brand, &config.ring).unwrap().reveal().to_owned())
            .filter(|secret| secret.ends_with(['-', '_'])),
    );
    assert!(secrets.iter().any(|secret| secret.ends_with('-')) && secrets.iter().any(|secret| secret.ends_with('_')));
    (secrets, public)
}

fn brands() -> Vec<String> {
    BUILT_IN.iter().map(|(_, text)| parse(text).unwrap().brand).collect()
}

/// As Go and RE2 read it: words are made of ASCII.
fn re2(brands: &[&str]) -> Regex {
    RegexBuilder::new(&pattern(brands)).unicode(false).build().unwrap()
}

fn found<'a>(pattern: &Regex, text: &'a str) -> Vec<&'a str> {
    let token =
        |captures: regex::bytes::Captures<'a>| std::str::from_utf8(captures.get(1).unwrap().as_bytes()).unwrap();
    pattern.captures_iter(text.as_bytes()).map(token).collect()
}

/// Where people leave them.
fn places(secret: &str) -> Vec<String> {
    let placed = [
        "{}",
        "{}\n",
        "KEY={}",
        "export KEY={} # ours\r\n",
        "KEY='{}'",
        "KEY=\"{}\";",
        "key: {}",
        "- {}",
        "{\"key\": \"{}\"}",
        "{\"env\":\"A=b\\n{}\\n\"}",
        "{\"html\":\"\\u003e{}\\u003c\"}",
        "<b>{}</b>",
        "`{}`",
        "({})",
        "https://a.example/?key={}&b=c",
        "https://a.example/#{}",
        "https://{}@a.example/",
        "curl -H 'Authorization: Bearer {}'",
        "Authorization: Convex {}",
        "a,{},b",
        "a={}%0A",
        "q=%22{}%22",
        "x\t{}\t",
        "key_{} ",
        "the key is {}.",
        "\u{fc}{}\u{fc}",
    ];
    placed.iter().map(|place| place.replace("{}", secret)).collect()
}

#[test]
fn one_pattern_finds_every_secret_of_every_built_in_brand_wherever_it_lies() {
    let brands = brands();
    let all: Vec<&str> = brands.iter().map(String::as_str).collect();
    let together = re2(&all);
    for brand in &brands {
        let own = re2(&[brand]);
        let (secrets, public) = secrets(brand);
        for secret in &secrets {
            for text in places(secret) {
                assert_eq!(
                    (found(&own, &text), found(&together, &text)),
                    (vec![secret.as_str()], vec![secret.as_str()]),
                    "{text}"
                );
            }
        }
        // Beside each other, with one character between them.
        for separator in ["\n", " ", ",", "\"", "|"] {
            assert_eq!(found(&own, &secrets.join(separator)), secrets, "{separator:?}");
        }
        // Public by nature.
        for key in &public {
            assert!(found(&together, key).is_empty(), "{key}");
        }
    }
}

/// A deploy key in a URL is found without its place, and the report of it ends it all the same (`tests/road_leaks.rs`).
#[test]
fn of_a_deploy_key_whose_bar_is_encoded_the_secret_part_is_found() {
    let toy = Toy::new("default");
    let text = toy.deploy_key_for(Stage::Dev, "local", 3_600);
    let pattern = re2(&["clv"]);
    let secret = text.split_once('|').unwrap().1;
    assert_eq!(found(&pattern, &format!("https://a.example/?key={}", text.replace('|', "%7C"))), [secret]);
    assert_eq!(found(&pattern, &format!("other:local|{secret}")), [secret]);
}

#[test]
fn what_only_comes_near_is_not_found() {
    let pattern = re2(&["clv"]);
    let (secrets, _) = secrets("clv");
    for secret in &secrets {
        let (start, token) = secret.split_at(secret.find("clv_").unwrap());
        let tag = token["clv_".len()..].split_once('_').unwrap().0;
        let (head, body) = token.rsplit_once("live_").or(token.rsplit_once("test_")).unwrap_or(token.split_at(7));
        let mut near = vec![
            format!("x{token}"),
            format!("9{token}"),
            format!("{secret}x").replace("-x", "xx"),
            token.to_uppercase(),
            token.replacen("clv", "clw", 1),
            token.replacen("clv_", "clv-", 1),
            token
                .replacen("live_", "prod_", 1)
                .replacen("test_", "prod_", 1)
                .replacen("dk_", "de_", 1)
                .replacen("is_", "it_", 1),
            format!("{head}{}", body.replacen(char::is_alphanumeric, ".", 1)),
            start.to_owned(),
        ];
        // Of a history secret the length depends on its workspace.
        match tag {
            "hs" => near.push(token[..120 - 20].to_owned()),
            _ => near.push(token[..token.len() - 1].to_owned()),
        }
        if tag == "hs" {
            near.retain(|text| !text.ends_with('x'));
        }
        for text in near {
            assert!(found(&pattern, &text).is_empty(), "{text}");
        }
    }
    for text in ["", "clv_", "clv_live_", "clv_live_…Xy9w", "sk_Vbk3bGsXsOTQ2jry4tUw_acme", "clv_hs_live_short"] {
        assert!(found(&pattern, text).is_empty(), "{text}");
    }
}

#[test]
fn the_repository_has_the_rule_of_its_brands_and_the_security_model_the_pattern_of_one() {
    let brands = brands();
    let brands: Vec<&str> = brands.iter().map(String::as_str).collect();
    let file = fs::read_to_string("../.gitleaks.toml").unwrap();
    assert!(file.contains(&rule(&brands)), ".gitleaks.toml has another rule than:\n{}", rule(&brands));
    let page = "../docs/security-model.md";
    let text = fs::read_to_string(page).unwrap();
    assert!(text.contains(&pattern(&["clv"])), "{page} has another pattern than:\n{}", pattern(&["clv"]));
    // What stands between three quotes is taken as it is.
    let parsed = toml::de::DeTable::parse(&file).unwrap();
    let rules = parsed.get_ref()["rules"].get_ref().as_array().unwrap();
    assert_eq!(rules[0].get_ref()["regex"].get_ref().as_str(), Some(pattern(&brands).as_str()));
}

#[test]
fn the_pattern_needs_nothing_that_re2_has_not() {
    let pattern = pattern(&["clv"]);
    for foreign in ["(?=", "(?!", "(?<", "\\1", "*+", "++", "\\K"] {
        assert!(!pattern.contains(foreign), "{foreign}");
    }
}
