//! How often an object tells another one what only people want to know: at most once a day, each at an hour of its own. So what a workspace
//! is told does not grow with how often its credentials are used, and not all of them tell at the same moment.

use crate::{codec::time::Timestamp, error::Reason, object::machine::Turn, protocol::credential_record::Sighting};
use sha2::{Digest as _, Sha256};

/// Where the credential was last seen in a browser, and when: to the minute.
pub(crate) const SEEN: &str = "seen-in-browser";
/// When the workspace was last told of a use.
pub(crate) const REPORTED: &str = "reported";

/// Between two messages lie a day and, so that those that began together part, up to half a day more.
const DAY_SECONDS: u64 = 86_400;
const SPREAD_SECONDS: u64 = 43_200;
const MINUTE_SECONDS: u64 = 60;

/// The first use of a key is told within six hours.
const FIRST_SECONDS: u64 = 21_600;

/// Whether it is time to tell again, or for the first time; it is told now. What tells is called `seed`.
pub(crate) fn is_due(row: &str, seed: &str, turn: &mut Turn) -> Result<bool, Reason> {
    let (told, at): (Option<Timestamp>, _) = (turn.get(row)?, turn.at());
    // Most of the time, the name need not be looked at.
    let is_late = |told: Timestamp| told > at || told.plus_seconds(DAY_SECONDS + spread(seed, SPREAD_SECONDS)) <= at;
    let is_due = told.is_none_or(|told| is_of_another_day(told, turn) && is_late(told));
    if is_due {
        turn.put(row, &at);
    }
    Ok(is_due)
}

/// The same, where the first time can wait: it is told when the alarm rings, however often that is within the next hours.
pub(crate) fn is_due_later(row: &str, seed: &str, turn: &mut Turn) -> Result<bool, Reason> {
    if turn.get::<Timestamp>(row)?.is_some() {
        return is_due(row, seed, turn);
    }
    let wait = spread(seed, FIRST_SECONDS);
    let before = (DAY_SECONDS + spread(seed, SPREAD_SECONDS)).saturating_sub(wait);
    turn.put(row, &Timestamp(turn.at().0.saturating_sub(before * 1_000)));
    turn.wake_at(turn.at().plus_seconds(wait))?;
    Ok(false)
}

/// A credential was seen in a browser: noted once a minute, and told at once, once a day, and where it is another page.
pub(crate) fn see(row: &str, seed: &str, origin: &str, turn: &mut Turn) -> Result<Option<Sighting>, Reason> {
    let (known, at): (Option<Sighting>, _) = (turn.get(SEEN)?, turn.at());
    if known.as_ref().is_some_and(|known| known.at <= at && known.at.plus_seconds(MINUTE_SECONDS) > at) {
        return Ok(None);
    }
    let sighting = Sighting { at, origin: Some(origin.to_owned()).filter(|origin| !origin.is_empty()) };
    turn.put(SEEN, &sighting);
    let is_elsewhere = known.is_none_or(|known| known.origin != sighting.origin);
    let is_due = is_due(row, seed, turn)?;
    if is_elsewhere && !is_due {
        turn.put(row, &at);
    }
    Ok(Some(sighting).filter(|_| is_due || is_elsewhere))
}

/// Whether it was told so long ago that it may be time again.
pub(crate) fn is_of_another_day(told: Timestamp, turn: &Turn) -> bool {
    told.plus_seconds(DAY_SECONDS) <= turn.at() || told > turn.at()
}

/// A number of seconds below `most` that is always the same for this name.
pub(crate) fn spread(seed: &str, most: u64) -> u64 {
    let digest: [u8; 32] = Sha256::digest(seed).into();
    digest.iter().take(6).fold(0, |number, byte| (number << 8) | u64::from(*byte)) % most
}
