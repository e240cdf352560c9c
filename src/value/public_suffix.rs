//! Public suffixes, such as `co.uk` and `github.io`: strangers register names under them. The list is a file of the deployment,
//! which the build makes of the Public Suffix List; it is read only when somebody lists a wildcard origin.

use crate::codec::time::Timestamp;

/// The day of the list: that of the crate `psl` which `Cargo.toml` pins.
pub const DATE: &str = "2026-11-05";

/// The version of that crate. A test holds both against the pin.
pub const VERSION: &str = "2.1.247";

/// Where the deployment keeps the file, among its static assets.
pub const PATH: &str = "/public-suffixes.txt";

/// The file has about 165 KB; one that is longer than this is not ours.
pub const MAX_BYTES: u32 = 1 << 20;

/// The file's last line: a file that was cut short would let wildcards pass that the whole one refuses.
const END: &str = "// end";

/// A list that is older than a year misses suffixes that people use by now.
const YEAR_MILLIS: u64 = 365 * 86_400_000;

/// What an operator is told, where the list of this version is older than a year at `at`.
pub fn warning(at: Timestamp) -> Option<String> {
    let made = Timestamp::parse_rfc3339(&format!("{DATE}T00:00:00Z"))?;
    let is_old = at.millis_since(made) > YEAR_MILLIS;
    is_old
        .then(|| format!("The Public Suffix List of this version is of {DATE}: more than a year old. Update Claviger."))
}

/// The list, whole.
pub struct PublicSuffixes<'a>(&'a str);

impl<'a> PublicSuffixes<'a> {
    /// Reads the file; `None` where it is not whole.
    pub fn parse(file: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(file).ok()?;
        let rules = text.trim_end().strip_suffix(END)?;
        (rules.starts_with("// ") && rules.lines().nth(1_000).is_some()).then_some(Self(rules))
    }

    /// The first of these hosts below which strangers get names, by the rules of publicsuffix.org: a rule is a suffix, `*.` before it
    /// stands for one label more, and `!` takes one name out again. What stands behind that `*.` counts too, since every name below it
    /// is somebody's suffix: `compute-1.amazonaws.com` is where everybody's machines are.
    pub fn find<'h>(&self, hosts: &[&'h str]) -> Option<&'h str> {
        let mut found = vec![(false, false); hosts.len()];
        for rule in self.0.lines() {
            for (host, (is_suffix, is_exception)) in hosts.iter().zip(&mut found) {
                let parent = host.split_once('.').map(|(_, parent)| parent);
                match (rule.strip_prefix('!'), rule.strip_prefix("*.")) {
                    (Some(name), _) => *is_exception |= name == *host,
                    (_, Some(below)) => *is_suffix |= parent == Some(below) || below == *host,
                    _ => *is_suffix |= rule == *host,
                }
            }
        }
        let mut found = hosts.iter().zip(found);
        found.find(|(_, (is_suffix, is_exception))| *is_suffix && !is_exception).map(|(host, _)| *host)
    }
}

#[cfg(test)]
mod tests {
    use super::{DATE, PublicSuffixes, warning};
    use crate::codec::time::Timestamp;

    fn list() -> String {
        let many: String = (0..1_000).map(|number| format!("tld{number}\n")).collect();
        format!("// A list\n{many}com\nco.uk\n*.ck\n!www.ck\ngithub.io\n*.compute.example\n// end\n")
    }

    #[test]
    fn a_host_is_a_suffix_by_its_own_rule_or_by_a_wildcard_and_not_by_an_exception() {
        let list = list();
        let suffixes = PublicSuffixes::parse(list.as_bytes());
        let find = |host| suffixes.as_ref().and_then(|suffixes| suffixes.find(&[host]));
        for shared in ["com", "co.uk", "github.io", "any.ck", "eu.compute.example"] {
            assert_eq!(find(shared), Some(shared));
        }
        for own in ["shop.co.uk", "www.ck", "a.eu.compute.example", "agithub.io", "uk"] {
            assert_eq!(find(own), None, "{own}");
        }
        let both = suffixes.as_ref().and_then(|suffixes| suffixes.find(&["shop.co.uk", "any.ck", "com"]));
        assert_eq!(both, Some("any.ck"));
    }

    #[test]
    fn x_where_every_name_below_is_a_strangers_no_wildcard_is_taken() {
        let list = list();
        let suffixes = PublicSuffixes::parse(list.as_bytes());
        let find = |host| suffixes.as_ref().and_then(|suffixes| suffixes.find(&[host]));
        // `https://*.compute.example` would admit what anybody runs at `a.compute.example`, which is a suffix itself.
        for shared in ["ck", "compute.example"] {
            assert_eq!(find(shared), Some(shared));
        }
        assert_eq!(find("example"), None);
    }

    #[test]
    fn a_list_that_is_older_than_a_year_is_told_of() {
        let made = Timestamp::parse_rfc3339(&format!("{DATE}T00:00:00Z")).unwrap_or_default();
        assert!(made > Timestamp::default());
        assert_eq!(warning(made.plus_seconds(365 * 86_400)), None);
        assert!(warning(made.plus_seconds(366 * 86_400)).is_some_and(|text| text.contains(DATE)));
        assert_eq!(warning(Timestamp::default()), None);
    }

    #[test]
    fn a_file_that_is_cut_short_or_is_another_one_is_no_list() {
        let list = list();
        assert!(PublicSuffixes::parse(list.as_bytes()).is_some());
        for other in ["", "// end", "<!doctype html>", "// A list\ncom\n// end\n", list.trim_end_matches("// end\n")] {
            assert!(PublicSuffixes::parse(other.as_bytes()).is_none(), "{}", other.len());
        }
        assert!(PublicSuffixes::parse(list.get(2..).unwrap_or_default().as_bytes()).is_none());
    }
}
