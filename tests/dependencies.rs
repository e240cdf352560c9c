//! What the packages of the four lock files may be: `deny.toml`, held without cargo-deny, which few machines have.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

use serde_json::Value;
use std::{collections::BTreeMap, env, fs, process::Command};
use toml::de::{DeTable, DeValue};

const MANIFESTS: [&str; 4] = ["Cargo.toml", "fuzz/Cargo.toml", "tests/crash/Cargo.toml", "tools/wasm/Cargo.toml"];

/// The only source of packages that are not our own.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn read(name: &str) -> Value {
    let file = fs::read_to_string(name).unwrap();
    table(DeTable::parse(&file).unwrap_or_else(|error| panic!("{name}: {error}")).get_ref())
}

fn table(table: &DeTable) -> Value {
    table.iter().map(|(name, value)| (name.get_ref().to_string(), as_json(value.get_ref()))).collect()
}

/// What these files hold: texts, lists and tables.
fn as_json(value: &DeValue) -> Value {
    match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Array(list) => list.iter().map(|value| as_json(value.get_ref())).collect(),
        DeValue::Table(inner) => table(inner),
        _ => Value::Null,
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(text).collect()
}

/// A package in a lock file: its name, its version and where it is from.
struct Locked {
    name: String,
    version: String,
    source: Option<String>,
    digest: bool,
}

fn locked(manifest: &str) -> Vec<Locked> {
    let lock = read(&manifest.replace(".toml", ".lock"));
    let packages = lock["package"].as_array().unwrap().iter().map(|package| Locked {
        name: text(&package["name"]),
        version: text(&package["version"]),
        source: package.get("source").map(text),
        digest: package.get("checksum").is_some(),
    });
    packages.collect()
}

/// Every package of a lock file with the licence that it declares. Asks cargo, which fetches what is not there yet.
fn licences(manifest: &str) -> Vec<(String, Option<String>)> {
    let cargo = env::var_os("CARGO").expect("cargo runs the tests");
    let arguments = ["metadata", "--quiet", "--locked", "--format-version=1", "--manifest-path", manifest];
    let said = Command::new(cargo).args(arguments).output().unwrap();
    assert!(said.status.success(), "{manifest}: {}", String::from_utf8_lossy(&said.stderr));
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    let packages = said["packages"].as_array().unwrap().iter().filter(|package| !package["source"].is_null());
    let field = |package: &Value, name: &str| package[name].as_str().map(str::to_owned);
    packages.map(|package| (field(package, "name").unwrap(), field(package, "license"))).collect()
}

/// Whether an SPDX expression is satisfied by these licences. `/` is how `OR` was written once.
fn satisfied(expression: &str, allowed: &[&str]) -> bool {
    /// The alternatives up to the end or a closing bracket.
    fn any(words: &mut &[&str], allowed: &[&str]) -> bool {
        let mut good = all(words, allowed);
        while let Some(rest) = words.strip_prefix(&["OR"]) {
            *words = rest;
            good |= all(words, allowed);
        }
        good
    }
    fn all(words: &mut &[&str], allowed: &[&str]) -> bool {
        let mut good = one(words, allowed);
        while let Some(rest) = words.strip_prefix(&["AND"]) {
            *words = rest;
            good &= one(words, allowed);
        }
        good
    }
    fn one(words: &mut &[&str], allowed: &[&str]) -> bool {
        let (first, rest) = words.split_first().expect("a licence");
        *words = rest;
        if *first == "(" {
            let good = any(words, allowed);
            *words = words.strip_prefix(&[")"]).expect("a closing bracket");
            return good;
        }
        // A licence with an exception is another licence.
        if let Some(rest) = words.strip_prefix(&["WITH"]) {
            *words = &rest[1..];
            return false;
        }
        allowed.contains(first)
    }
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut words = words.as_slice();
    let good = any(&mut words, allowed);
    assert!(words.is_empty(), "not understood: {expression}");
    good
}

#[test]
fn every_licence_is_one_that_we_accept_and_each_of_those_is_needed() {
    let rules = read("deny.toml")["licenses"].clone();
    let allowed = texts(&rules["allow"]);
    let exceptions = rules["exceptions"].as_array().unwrap().iter();
    let exceptions: BTreeMap<String, Vec<String>> =
        exceptions.map(|entry| (text(&entry["crate"]), texts(&entry["allow"]))).collect();
    let packages: Vec<(String, Option<String>)> = MANIFESTS.iter().flat_map(|manifest| licences(manifest)).collect();
    assert!(packages.len() > 300, "only {} packages", packages.len());
    // The first package that may not be used, with one of the accepted licences left out.
    let refused = |without: &str| {
        packages.iter().find(|(name, licence)| {
            let own = exceptions.get(name).into_iter().flatten();
            let accepted = allowed.iter().chain(own).map(String::as_str).filter(|name| *name != without);
            !licence.as_ref().is_some_and(|licence| satisfied(licence, &accepted.collect::<Vec<_>>()))
        })
    };
    assert_eq!(refused(""), None, "no licence of deny.toml");
    for name in allowed.iter().chain(exceptions.values().flatten()) {
        assert!(refused(name).is_some(), "deny.toml allows {name}, which nothing needs any more");
    }
}

#[test]
fn no_package_is_there_in_two_versions_but_for_the_listed() {
    let skipped = read("deny.toml")["bans"]["skip"].as_array().unwrap().clone();
    let mut unused: Vec<String> = skipped.iter().map(|entry| text(&entry["crate"])).collect();
    let listed = unused.clone();
    for manifest in MANIFESTS {
        let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for package in locked(manifest) {
            versions.entry(package.name).or_default().push(package.version);
        }
        for (name, versions) in versions.into_iter().filter(|(_, versions)| versions.len() > 1) {
            let listed = |version: &String| {
                let entry = listed.iter().find(|entry| {
                    let (other, start) = entry.split_once('@').unwrap();
                    name == other && format!("{version}.").starts_with(&format!("{start}."))
                })?;
                unused.retain(|other| other != entry);
                Some(entry)
            };
            let kept = versions.len() - versions.iter().filter_map(listed).count();
            assert!(kept == 1, "{manifest}: {name} in {versions:?}: move one, or list it in deny.toml with the reason");
        }
    }
    assert!(unused.is_empty(), "deny.toml skips what is not twice any more: {unused:?}");
    assert!(skipped.iter().all(|entry| entry["reason"].as_str().is_some_and(|reason| reason.len() > 3)));
}

#[test]
fn every_package_is_ours_or_from_crates_io_with_its_digest() {
    for manifest in MANIFESTS {
        let packages = locked(manifest);
        assert!(packages.len() > 40, "{manifest}: only {} packages", packages.len());
        for Locked { name, source, digest, .. } in packages {
            match source {
                Some(source) => assert!(source == CRATES_IO && digest, "{manifest}: {name} is from {source}"),
                None => assert!(name.starts_with("claviger"), "{manifest}: {name} is from a folder"),
            }
        }
    }
}

/// The checks themselves, on expressions with every connective.
#[test]
fn an_expression_is_read_as_spdx_means_it() {
    let allowed = ["MIT", "ISC"];
    for good in
        ["MIT", "GPL-3.0 OR MIT", "MIT/Apache-2.0", "MIT AND ISC", "GPL-3.0 AND GPL-2.0 OR ISC", "(A OR MIT) AND ISC"]
    {
        assert!(satisfied(good, &allowed), "{good}");
    }
    for bad in ["GPL-3.0", "MIT AND GPL-3.0", "MIT WITH X", "(MIT OR A) AND B", "MITX", "A AND (B OR MIT)"] {
        assert!(!satisfied(bad, &allowed), "{bad}");
    }
    assert!(satisfied("A WITH X OR MIT", &allowed));
}
