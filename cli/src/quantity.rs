//! How times, limits and names are written as arguments.

use claviger::{
    codec::time::Timestamp,
    value::id::{ConversationId, CredentialId, IdentitySecretId, WorkspaceId},
};
use serde::Serialize;
use serde_json::{Value, json};

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

/// An end in an argument: a moment as RFC 3339 writes it, or none.
pub type End = Option<String>;

/// Reads an end; `-` is none.
pub fn end(text: &str) -> Result<End, &'static str> {
    if text == "-" { Ok(None) } else { moment(text).map(Some) }
}

/// The windows of requests, and of tokens where there are any, as a worker takes them.
pub fn windows(requests: &[Limit], tokens: &[Limit]) -> Value {
    if tokens.is_empty() { json!({ "requests": requests }) } else { json!({ "requests": requests, "tokens": tokens }) }
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

/// Reads a conversation's id.
pub fn conversation(text: &str) -> Result<ConversationId, &'static str> {
    ConversationId::try_from(text.to_owned())
        .map_err(|_| "this is no conversation's id: `claviger conversations list` shows them")
}

/// Reads an identity secret's id.
pub fn kid(text: &str) -> Result<IdentitySecretId, &'static str> {
    IdentitySecretId::try_from(text.to_owned())
        .map_err(|_| "this is no identity secret's id: `claviger identity-secrets list` shows them")
}

/// Reads a moment, or how long ago it was: `2h`.
pub fn since(text: &str) -> Result<Since, &'static str> {
    match (seconds(text), moment(text)) {
        (Ok(seconds), _) => Ok(Since::Ago(seconds)),
        (_, Ok(moment)) => Ok(Since::Moment(moment)),
        _ => Err("a moment as in RFC 3339, or how long ago it was: 2h, 7d"),
    }
}

/// A moment in an argument.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Since {
    /// So many seconds ago.
    Ago(u64),
    /// As RFC 3339 writes it.
    Moment(String),
}

impl Since {
    /// As RFC 3339 writes it.
    pub fn rfc3339(&self, now: Timestamp) -> String {
        match self {
            Self::Ago(seconds) => Timestamp(now.0.saturating_sub(seconds.saturating_mul(1_000))).rfc3339(),
            Self::Moment(moment) => moment.clone(),
        }
    }
}

/// A moment as people say it: `2 minutes ago`, `in 3 days`. `None` where the text is no moment.
pub fn ago(text: &str, now: Timestamp) -> Option<String> {
    let moment = Timestamp::parse_rfc3339(text)?;
    let (past, future) = (now.millis_since(moment) / 1_000, moment.millis_since(now) / 1_000);
    let seconds = past.max(future);
    let units = [("year", 365 * 86_400), ("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)];
    let Some((name, unit)) = units.into_iter().find(|(_, unit)| seconds >= *unit) else {
        return Some("just now".to_owned());
    };
    let count = seconds / unit;
    let many = if count == 1 { "" } else { "s" };
    Some(if past > 0 { format!("{count} {name}{many} ago") } else { format!("in {count} {name}{many}") })
}

#[cfg(test)]
mod tests {
    use super::{Limit, Since, ago, limit, seconds, since, some_seconds, span};
    use claviger::codec::time::Timestamp;

    #[test]
    fn n13_a_moment_is_also_said_as_people_say_it() {
        let now = Timestamp::parse_rfc3339("2026-07-30T12:00:00Z").unwrap_or_default();
        for (moment, said) in [
            ("2026-07-30T11:58:00Z", "2 minutes ago"),
            ("2026-07-30T11:59:59Z", "1 second ago"),
            ("2026-07-30T12:00:00.400Z", "just now"),
            ("2026-07-29T12:00:00Z", "1 day ago"),
            ("2026-08-02T13:00:00Z", "in 3 days"),
            ("2028-07-30T12:00:00Z", "in 2 years"),
        ] {
            assert_eq!(ago(moment, now).as_deref(), Some(said), "{moment}");
        }
        assert_eq!(ago("-", now), None);
        assert_eq!(since("2h").map(|since| since.rfc3339(now)).as_deref(), Ok("2026-07-30T10:00:00.000Z"));
        assert_eq!(since("2026-07-30T10:00:00Z"), Ok(Since::Moment("2026-07-30T10:00:00.000Z".to_owned())));
        assert!(since("yesterday").is_err());
    }

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
