//! How times, limits and names are written as arguments.

use crate::{
    id::{CredentialId, WorkspaceId},
    time::Timestamp,
};
use serde::Serialize;

/// Ten years: the longest life that a worker gives anything.
const MAX_SECONDS: u64 = 10 * 366 * 86_400;

const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// So many requests in every window.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Limit {
    limit: u64,
    window_seconds: u64,
}

/// Reads `90d`, `12h`, `10m` or `30s`, as seconds; `0s` is a length of time too.
pub fn seconds(text: &str) -> Result<u64, &'static str> {
    let mut count = text.chars();
    let unit = count.next_back().and_then(|last| UNITS.into_iter().find(|(name, _)| *name == last));
    let count = count.as_str();
    let digits = !count.is_empty() && count.bytes().all(|b| b.is_ascii_digit());
    let (_, unit) = unit.filter(|_| digits).ok_or("a time is written 90d, 12h, 10m or 30s")?;
    let seconds = count.parse::<u64>().ok().and_then(|count| count.checked_mul(unit));
    seconds.filter(|seconds| *seconds <= MAX_SECONDS).ok_or("a time is ten years at most")
}

/// The same, and longer than nothing.
pub fn some_seconds(text: &str) -> Result<u64, &'static str> {
    seconds(text).and_then(|seconds| if seconds == 0 { Err("a time of 0 is none: at least 1s") } else { Ok(seconds) })
}

/// Seconds as [`seconds`] reads them, in as many units as it takes: `1h30m`.
pub fn span(mut seconds: u64) -> String {
    if seconds == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (name, unit) in UNITS {
        if seconds >= unit {
            text.push_str(&format!("{}{name}", seconds / unit));
            seconds %= unit;
        }
    }
    text
}

/// Reads `1000/60`: requests, a slash, and the window in seconds.
pub fn limit(text: &str) -> Result<Limit, &'static str> {
    let read = |(limit, window): (&str, &str)| Some((limit.parse().ok()?, window.parse().ok()?));
    let (limit, window_seconds) =
        text.split_once('/').and_then(read).ok_or("a limit is written 1000/60: requests, and the window in seconds")?;
    if limit == 0 || window_seconds == 0 {
        return Err("a limit and its window are at least 1");
    }
    Ok(Limit { limit, window_seconds })
}

/// Reads a moment, and hands it on as it is shown everywhere.
pub fn moment(text: &str) -> Result<String, &'static str> {
    let moment = Timestamp::parse_rfc3339(text).map(Timestamp::rfc3339);
    moment.ok_or("a moment is written as in RFC 3339: 2026-07-30T12:00:00Z")
}

/// Reads a credential's id: a secret that was taken for one never reaches a path, nor a log.
pub fn id(text: &str) -> Result<CredentialId, &'static str> {
    CredentialId::try_from(text.to_owned())
        .map_err(|_| "this is no credential's id: `claviger credentials list` shows them")
}

/// Reads a workspace's id.
pub fn workspace(text: &str) -> Result<WorkspaceId, &'static str> {
    WorkspaceId::try_from(text.to_owned())
        .map_err(|_| "a workspace is named by its id: 1 to 64 of a-z, A-Z, 0-9, `_` and `-`")
}

#[cfg(test)]
mod tests {
    use super::{Limit, limit, seconds, some_seconds, span};

    #[test]
    fn a_time_has_one_unit_and_reads_back() {
        for (text, value) in
            [("90d", 7_776_000), ("12h", 43_200), ("10m", 600), ("30s", 30), ("0s", 0), ("3660d", 316_224_000)]
        {
            assert_eq!(seconds(text), Ok(value), "{text}");
        }
        for text in ["", "d", "90", "1w", "-1s", "+1s", "1.5h", "1 h", "1ä", "ä", "99999999999999999999d", "3661d"] {
            assert!(seconds(text).is_err(), "{text}");
        }
        assert!(some_seconds("0m").is_err() && some_seconds("1m") == Ok(60));
        assert_eq!([0, 59, 60, 5_400, 90_061].map(span), ["0s", "59s", "1m", "1h30m", "1d1h1m1s"]);
    }

    #[test]
    fn a_limit_is_requests_and_seconds() {
        assert_eq!(limit("1000/60"), Ok(Limit { limit: 1_000, window_seconds: 60 }));
        for text in ["", "/", "1000", "0/60", "1000/0", "a/60", "1000/60/1", "-1/60", "1000/60s"] {
            assert!(limit(text).is_err(), "{text}");
        }
    }
}
