//! What a name that is not known was probably meant to be, and whether it can be shown at all.

/// What is shorter is none of our credentials, and too short for the secrets of most others.
const MAX_SHOWN: usize = 39;

/// A name as it can be repeated to whoever sent it: short, and of the characters of names. Anything else may be a secret.
pub fn plain(name: &str) -> Option<&str> {
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':' | b'[' | b']');
    let is_plain = (1..=MAX_SHOWN).contains(&name.len()) && name.bytes().all(is_name);
    // As many keys are spelled, of ours and of others; and what is drawn by lot rather than named.
    let is_key = ["_live_", "_test_"].iter().any(|part| name.contains(part));
    let is_drawn = |word: &str| word.len() >= 16 && word.bytes().any(|b| b.is_ascii_digit());
    let is_secret = is_key || name.split(|c: char| !c.is_ascii_alphanumeric()).any(is_drawn);
    (is_plain && !is_secret).then_some(name)
}

/// What there is instead of `name`, for people: the nearest first, and then all.
pub fn instead(what: &str, name: &str, known: &[&str]) -> String {
    let all = match known {
        [] => return format!("This call takes no {what}s."),
        known => format!("This call takes: {}.", known.join(", ")),
    };
    match nearest(name, known) {
        Some(meant) => format!("Did you mean `{meant}`? {all}"),
        None => all,
    }
}

/// The known name that `name` is most like, if it is like one.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let name = plain(name)?.to_ascii_lowercase();
    let near = known.iter().map(|known| (distance(name.as_bytes(), known.to_ascii_lowercase().as_bytes()), *known));
    let (steps, known) = near.min_by_key(|(steps, _)| *steps)?;
    let most = if name.len() < 8 { 1 } else { 2 };
    (steps <= most && steps < name.len()).then_some(known)
}

/// How many characters must be put in, left out, replaced or swapped with the next (optimal string alignment).
fn distance(one: &[u8], other: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, a) in one.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, b) in other.iter().enumerate() {
            let at = |line: &[usize], place: usize| line.get(place).copied().unwrap_or(usize::MAX - 1);
            let replaced = at(&last, column) + usize::from(a != b);
            let mut best = replaced.min(at(&last, column + 1) + 1).min(at(&next, column) + 1);
            let is_swap = row > 0 && column > 0 && one.get(row - 1) == Some(b) && other.get(column - 1) == Some(a);
            if is_swap {
                best = best.min(at(&before, column - 1) + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut last, next);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest, plain};

    #[test]
    fn a_slip_of_the_pen_is_recognized_and_another_word_is_not() {
        let known = ["workspace", "kind", "status", "environment", "limit", "cursor"];
        for (sent, meant) in [
            ("workspce", Some("workspace")),
            ("Workspace", Some("workspace")),
            ("work_space", Some("workspace")),
            ("enviroment", Some("environment")),
            ("envrionment", Some("environment")),
            ("knid", Some("kind")),
            ("limits", Some("limit")),
            ("sort", None),
            ("k", None),
            ("", None),
            ("a b", None),
        ] {
            assert_eq!(nearest(sent, &known), meant, "{sent}");
        }
        assert_eq!((distance(b"ab", b"ba"), distance(b"", b"abc"), distance(b"abc", b"abc")), (1, 3, 0));
    }

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        for (name, is_shown) in [
            ("scopes[0]", true),
            ("orders:read", true),
            (&"a".repeat(39), true),
            (&"a".repeat(40), false),
            ("gs_live_abcdefghijklmnop", false),
            ("key:9f86d081884c7d659a2feaa0", false),
            ("", false),
            ("p@ssw0rd!", false),
            ("a\u{e9}", false),
            ("two words", false),
        ] {
            assert_eq!(plain(name).is_some(), is_shown, "{name}");
        }
    }
}
