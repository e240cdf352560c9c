//! The fuzzer's corpus, without the fuzzer: whatever it found once, in any parser, is tried again with every `cargo test`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

#[path = "../fuzz/src/checks/mod.rs"]
mod checks;
mod lawful;
#[path = "lawful/opaque.rs"]
mod opaque;
#[path = "lawful/tokens.rs"]
mod tokens;
mod toy;

use std::{collections::BTreeSet, fs, path::Path};

/// What the folder holds, in order.
fn listed(folder: impl AsRef<Path>) -> Vec<std::path::PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn names(folder: &str) -> BTreeSet<String> {
    listed(folder).iter().map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn whatever_the_fuzzer_found_once_stays_found() {
    for (name, check) in checks::ALL {
        let files = listed(format!("fuzz/corpus/{name}"));
        assert!(files.len() > 4, "{name} has a corpus");
        for file in files {
            let bytes = fs::read(&file).unwrap();
            if std::panic::catch_unwind(|| check(&bytes)).is_err() {
                panic!("{} breaks a promise of fuzz/src/checks/{name}.rs", file.display());
            }
        }
    }
}

#[test]
fn every_check_is_fuzzed_and_has_a_corpus() {
    let checks: BTreeSet<String> = checks::ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz/fuzz_targets"), checks);
    assert_eq!(names("fuzz/corpus"), checks);
    let manifest = fs::read_to_string("fuzz/Cargo.toml").unwrap();
    for name in checks {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is no binary in fuzz/Cargo.toml");
    }
}
