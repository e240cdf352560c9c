//! Moments as RFC 3339 writes them: one that is taken is shown, and what is shown is the same moment.

use super::{Dice, text};
use claviger::codec::time::Timestamp;

pub fn check(bytes: &[u8]) {
    let text = text(bytes);
    if let Some(moment) = Timestamp::parse_rfc3339(&text) {
        let shown = moment.rfc3339();
        assert_eq!(Timestamp::parse_rfc3339(&shown), Some(moment), "{text} is shown as {shown:?}");
        assert_eq!(shown.len(), "2024-02-01T00:00:00.123Z".len(), "{shown}");
        // Before 1970 there is nothing, by whatever clock.
        assert!(!text.starts_with("1969-12-30") && !text.starts_with("18"), "{text}");
    }
    let mut dice = Dice(bytes);
    let moment = Timestamp((0..8).fold(0, |number, _| number << 8 | u64::from(dice.byte())));
    let shown = moment.rfc3339();
    assert!(shown.is_empty() || Timestamp::parse_rfc3339(&shown) == Some(moment), "{moment:?}");
    assert!(shown.is_empty() || shown < moment.plus_millis(1).rfc3339() || moment.plus_millis(1).rfc3339().is_empty());
}
