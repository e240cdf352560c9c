//! One word for one thing, in every document and in the three crates: comments, names and what callers are told.
//!
//! `tests/output/words.txt` holds how often each old word is left. A number may only fall, and the change that
//! makes it fall lowers it: `UPDATE=1 cargo test --locked --test words` does, and never raises one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

use std::{collections::BTreeMap, env, fs, process::Command};

const FILE: &str = "tests/output/words.txt";

/// What is not to be said, and what is said in its place. `*` stands for the rest of a word.
const WORDS: &[(&[&str], &str)] = &[
    // People and programs.
    (&["whoever"], "the caller, the client, the operator: name the one who acts"),
    (&["whichever"], "the one that …, or any"),
    (&["that which"], "the standard noun"),
    (&["api behind", "apis behind"], "the upstream"),
    (&["whence"], "where the call comes from: ClientOrigin in code"),
    // What is done.
    (&["believe*"], "authenticate; trust"),
    (&["decline*"], "reject"),
    (&["secret over", "turned over", "turn it over"], "rotate"),
    (&["has it as", "have it as", "had it as"], "records it as"),
    (&["stead"], "instead of"),
    (&["mint", "mints", "minted", "minting"], "issue"),
    (&["witness*"], "record a refusal"),
    // Things in the code.
    (&["crowded"], "the sweep threshold"),
    (&["errand*"], "a widget operation"),
    (&["fuse", "fuses"], "a circuit breaker"),
    (&["is_telling"], "counts_as_failure"),
    (&["lesson*"], "a memory update"),
    (&["may_ride"], "lease_allowed"),
    (&["tally", "tallies"], "a count per minute: MinuteCount in code"),
    (&["wish", "wishes"], "a preflight or a call"),
    // One spelling, Oxford's: -ize, and -our.
    (&["authoris*", "initialis*", "minimis*", "normalis*", "organis*", "recognis*", "serialis*", "summaris*"], "-ize"),
    (&["behavior*", "color*", "favor*", "honor*", "neighbor*"], "-our"),
    (&["analyz*", "canceled", "canceling", "center*", "labeled"], "analyse, cancelled, centre, labelled"),
];

/// A document or a file of code as running text: without the marks of comments, so that a phrase may be broken over lines.
fn running(text: &str) -> String {
    let lines = text.lines().map(|line| line.trim().trim_start_matches(['/', '!', '*', '#', '>']).trim());
    lines.collect::<Vec<_>>().join(" ").to_lowercase()
}

/// How often a running text has a phrase, as words of their own. An underscore parts words.
fn count(text: &str, phrase: &str) -> usize {
    let (stem, open) = phrase.strip_suffix('*').map_or((phrase, false), |stem| (stem, true));
    let whole = |at: usize| {
        let before = text[..at].chars().next_back().is_some_and(char::is_alphabetic);
        let after = text[at + stem.len()..].chars().next().is_some_and(char::is_alphabetic);
        !before && (open || !after)
    };
    text.match_indices(stem).filter(|(at, _)| whole(*at)).count()
}

/// The documents and the code, each as running text.
fn texts() -> Vec<String> {
    let arguments =
        ["ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", "*.md", "src", "edge", "cli/src"];
    let listed = Command::new("git").args(arguments).output().expect("git lists the files").stdout;
    let names = String::from_utf8(listed).unwrap();
    // What was deleted is not there any more.
    let read = names.split('\0').filter_map(|name| fs::read_to_string(name).ok());
    read.map(|text| running(&text)).collect()
}

#[test]
fn no_old_word_comes_back_and_the_last_ones_go() {
    let texts = texts();
    assert!(texts.len() > 100, "only {} files", texts.len());
    let kept = fs::read_to_string(FILE).unwrap();
    let lines = kept.lines().map(|line| line.rsplit_once(' ').expect("a word and its number"));
    let mut kept: BTreeMap<&str, usize> = lines.map(|(word, left)| (word, left.parse().unwrap())).collect();

    let update = env::var("UPDATE").is_ok_and(|update| update == "1");
    let (mut lower, mut faults) = (String::new(), Vec::new());
    for (phrases, instead) in WORDS {
        let found: usize = phrases.iter().flat_map(|phrase| texts.iter().map(|text| count(text, phrase))).sum();
        let allowed = kept.remove(phrases[0]).unwrap_or(0);
        if found > allowed {
            let (names, search) = (phrases.join("”, “"), phrases.join("|").replace('*', ""));
            faults.push(format!("“{names}”: {found}, where {allowed} are left to be replaced. Say: {instead}."));
            faults.push(format!("    git grep -inE '{search}' '*.md' src"));
        } else if found < allowed && !update {
            faults.push(format!("“{}”: {found} instead of {allowed}: lower the number in {FILE}", phrases[0]));
        }
        if allowed.min(found) > 0 {
            lower += &format!("{} {}\n", phrases[0], allowed.min(found));
        }
    }
    if update {
        fs::write(FILE, lower).unwrap();
    } else {
        faults.extend(kept.keys().map(|word| format!("“{word}” is in {FILE} and not in the table")));
    }
    assert!(faults.is_empty(), "\n{}\nUPDATE=1 cargo test --locked --test words lowers numbers", faults.join("\n"));
}

/// The check itself, on texts that have the words and on texts that only seem to.
#[test]
fn a_word_is_counted_where_it_stands_alone() {
    let text =
        running("/// Whoever asks, in the\n    // API behind it; WHOEVER_ASKS, whoeverish.\n//! an `errands` list");
    assert_eq!(count(&text, "whoever"), 2);
    assert_eq!(count(&text, "api behind"), 1);
    assert_eq!((count(&text, "errand*"), count(&text, "errand")), (1, 0));
    assert_eq!((count("instead", "stead"), count("in its stead.", "stead")), (0, 1));
    assert_eq!(count("`may_ride: bool`", "may_ride"), 1);
}
