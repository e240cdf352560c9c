//! Origins: a list entry admits itself, or, with a leading `*.`, one label more; nothing else comes in.
//!
//! The input is an entry and an `Origin` header, each on a line.

use super::text;
use claviger::value::{id::Environment, origin::Origin};

pub fn check(bytes: &[u8]) {
    let input = text(bytes);
    let (entry, header) = input.split_once('\n').unwrap_or((&input, &input));
    let live = Origin::parse(entry, Environment::Live);
    let test = Origin::parse(entry, Environment::Test);
    assert!(live.is_err() || test.is_ok(), "what is good for live data is good for test data");
    let Ok(origin) = test else { return };
    assert_eq!(origin.as_str(), entry);
    assert!(entry.is_ascii() && !entry.contains(|c: char| c.is_whitespace() || c.is_uppercase()), "{entry}");
    assert!(entry.starts_with("https://") || (entry.starts_with("http://") && live.is_err()));
    match entry.split_once("://*.") {
        None => assert_eq!(origin.admits(header), header == entry, "{entry} and {header}"),
        Some((scheme, rest)) => {
            assert!(rest.contains('.') && !origin.admits(entry) && !origin.admits(&format!("{scheme}://{rest}")));
            assert!(
                origin.admits(&format!("{scheme}://a.{rest}")) && !origin.admits(&format!("{scheme}://a.b.{rest}"))
            );
            if origin.admits(header) {
                let label = header.strip_prefix(&format!("{scheme}://")).and_then(|host| host.strip_suffix(rest));
                let label = label.and_then(|label| label.strip_suffix('.')).expect("the same suffix");
                assert!(!label.is_empty() && !label.contains(['.', '/', ':', '@', '[', '*', '%']), "{header}");
            }
        }
    }
}
