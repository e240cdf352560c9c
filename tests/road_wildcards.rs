//! Wildcard origins, and the list of suffixes under which anybody gets a name.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod toy;

use claviger::{
    error::Reason,
    value::public_suffix::{DATE, PATH, PublicSuffixes, VERSION},
    world::fetch::Fetched,
};
use serde_json::{Value, json};
use std::fs;
use toy::{Answer, ORIGIN, Toy};

fn create(toy: &Toy, origins: &[&str]) -> Answer {
    let body =
        json!({"kind": "widget_key", "workspace": "acme", "environment": "live", "name": "n", "origins": origins});
    toy.admin("POST", "/v1/credentials", &body)
}

fn world() -> Toy {
    let toy = Toy::new("default");
    toy.workspace("acme");
    toy
}

#[test]
fn no_wildcard_is_listed_under_a_public_suffix_and_nothing_is_stored_of_one() {
    let toy = world();
    let before = toy.kept();
    for shared in
        ["https://*.k12.ma.us", "https://*.any.ck", "https://*.co.uk", "https://*.github.io:8443", "https://*.uk"]
    {
        let refused = create(&toy, &[ORIGIN, shared]);
        refused.refused(400, "invalid_request");
        assert!(refused.text_at("fix").contains("list the exact origins"), "{}", refused.text);
    }
    assert_eq!(toy.kept(), before);
    let refused = create(&toy, &["https://*.k12.ma.us"]);
    assert!(refused.text_at("fix").contains(DATE), "the list's date is shown: {}", refused.text);
    for own in ["https://*.shop.example", "https://*.www.ck", "https://*.shop.co.uk", "https://*.notgithub.io"] {
        create(&toy, &[own]).ok(201);
    }
}

#[test]
fn the_list_is_read_when_a_wildcard_is_new_and_on_no_other_call() {
    let toy = world();
    create(&toy, &[ORIGIN, "https://a.github.io"]).ok(201);
    assert_eq!(toy.fetched.borrow().len(), 0);
    let made = create(&toy, &["https://*.shop.example"]).ok(201);
    assert_eq!(toy.fetched.borrow().as_slice(), [format!("asset 1048576 5000 {PATH}")]);
    let path = format!("/v1/credentials/{}", made.text_at("id"));
    // What is shown can be sent back.
    toy.admin("PATCH", &path, &json!({"origins": ["https://*.shop.example", ORIGIN]})).ok(200);
    toy.admin("PATCH", &path, &json!({"name": "b"})).ok(200);
    let opened = format!("/w/{}/conversations", made.text_at("secret"));
    toy.send("POST", &opened, &[("origin", "https://eu.shop.example")], "{}").ok(201);
    assert_eq!(toy.fetched.borrow().len(), 1);
    toy.admin("PATCH", &path, &json!({"origins": ["https://*.any.ck"]})).refused(400, "invalid_request");
    assert_eq!(toy.fetched.borrow().len(), 2);
}

#[test]
fn without_a_whole_list_new_wildcards_are_refused_and_listed_ones_stay() {
    let toy = world();
    let made = create(&toy, &["https://*.shop.example"]).ok(201);
    let path = format!("/v1/credentials/{}", made.text_at("id"));
    let cut = toy::suffix_list();
    for missing in [
        Err(Reason::Unavailable),
        Ok(Fetched { status: 404, body: toy::suffix_list() }),
        Ok(Fetched { status: 200, body: cut[..cut.len() - 20].to_vec() }),
        Ok(Fetched { status: 200, body: b"<!doctype html>".to_vec() }),
    ] {
        toy.documents.borrow_mut().insert(PATH.to_owned(), missing);
        let refused = create(&toy, &["https://*.other.example"]);
        refused.refused(400, "invalid_request");
        assert!(refused.text_at("fix").contains("list the exact origins"), "{}", refused.text);
        create(&toy, &["https://other.example"]).ok(201);
        toy.admin("PATCH", &path, &json!({"origins": ["https://*.shop.example", ORIGIN]})).ok(200);
        let opened = format!("/w/{}/conversations", made.text_at("secret"));
        toy.send("POST", &opened, &[("origin", "https://eu.shop.example")], "{}").ok(201);
    }
    let shown: Value = toy.admin("GET", &path, &Value::Null).ok(200).json;
    assert_eq!(shown["origins"], json!(["https://*.shop.example", ORIGIN]));
}

#[test]
fn the_deployments_file_says_what_the_public_suffix_list_says() {
    let file = fs::read("www/public-suffixes.txt").expect("`make www/public-suffixes.txt` makes it");
    let suffixes = PublicSuffixes::parse(&file).expect("a whole list");
    let text = String::from_utf8(file.clone()).unwrap();
    assert!(text.lines().count() > 9_000 && text.is_ascii());
    assert!(
        text.lines().next().unwrap().ends_with(&format!("psl {VERSION}")),
        "`DATE` and `VERSION` belong to another list"
    );
    let mut hosts: Vec<String> = Vec::new();
    for rule in text.lines().filter(|rule| !rule.starts_with("//")).step_by(29) {
        let host = rule.trim_start_matches('!').replacen("*.", "any.", 1);
        hosts.extend([host.clone(), format!("own.{host}"), format!("a.own.{host}")]);
    }
    hosts.extend(["www.ck", "city.kawasaki.jp", "kawasaki.jp", "shop.co.uk", "github.io"].map(str::to_owned));
    hosts.extend(["compute-1.amazonaws.com", "compute.amazonaws.com"].map(str::to_owned));
    let is_suffix = |host: &str| {
        psl::suffix(host.as_bytes()).is_some_and(|suffix| suffix.is_known() && suffix.as_bytes() == host.as_bytes())
    };
    for host in hosts.iter().filter(|host| host.contains('.')) {
        // Or every name below it is one.
        let known = is_suffix(host) || is_suffix(&format!("anybody.{host}")) && is_suffix(&format!("else.{host}"));
        assert_eq!(suffixes.find(&[host]).is_some(), known, "{host}");
    }
    assert!(suffixes.find(&["compute-1.amazonaws.com"]).is_some() && suffixes.find(&["kawasaki.jp"]).is_some());
}
