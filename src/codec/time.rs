//! Points in time, as values: the clock itself is always an argument.

use crate::wire;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(pub u64);

wire!(Timestamp(u64));

impl Timestamp {
    /// This moment and `millis` more.
    #[must_use]
    pub fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// This moment and `seconds` more.
    #[must_use]
    pub fn plus_seconds(self, seconds: u64) -> Self {
        self.plus_millis(seconds.saturating_mul(1_000))
    }

    /// Milliseconds from `earlier` until this moment; 0 where the clock stepped back.
    pub fn millis_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whole seconds since the Unix epoch, rounded up: "not before this second".
    pub fn epoch_seconds_up(self) -> u64 {
        self.0.div_ceil(1_000)
    }

    /// RFC 3339 in UTC, as bodies show it: always with milliseconds, so that it sorts as text; empty beyond the year 9999.
    pub fn rfc3339(self) -> String {
        let seconds = i64::try_from(self.0 / 1_000).ok();
        let moment = seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
        let text = moment.and_then(|moment| moment.format(&Rfc3339).ok()).unwrap_or_default();
        text.strip_suffix('Z').map_or_else(String::new, |text| format!("{text}.{:03}Z", self.0 % 1_000))
    }

    /// Reads RFC 3339; `None` for anything else, and for moments before 1970 or, in UTC, after the year 9999.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        let millis = u64::try_from(moment.unix_timestamp_nanos().div_euclid(1_000_000)).ok();
        millis.map(Self).filter(|moment| !moment.rfc3339().is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::Timestamp;

    #[test]
    fn a_moment_is_shown_in_utc_and_read_back() {
        let moment = Timestamp(1_706_745_600_123);
        assert_eq!(moment.rfc3339(), "2024-02-01T00:00:00.123Z");
        assert_eq!(Timestamp::parse_rfc3339("2024-02-01T01:00:00.123+01:00"), Some(moment));
        assert_eq!(Timestamp::parse_rfc3339("2024-02-01"), None);
        assert_eq!(Timestamp(u64::MAX).rfc3339(), "");
    }

    #[test]
    fn a_moment_that_could_not_be_shown_is_not_taken() {
        let last = Timestamp::parse_rfc3339("9999-12-31T23:59:59.999Z");
        assert!(last.is_some_and(|last| last.rfc3339() == "9999-12-31T23:59:59.999Z"));
        assert_eq!(Timestamp::parse_rfc3339("9999-12-31T23:59:59-01:00"), None);
        assert_eq!(Timestamp::parse_rfc3339("1970-01-01T00:00:00Z"), Some(Timestamp(0)));
        assert_eq!(Timestamp::parse_rfc3339("1969-12-31T23:59:59.9999Z"), None);
    }
}
