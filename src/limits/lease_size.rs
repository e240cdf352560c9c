//! Permits for later: no more than the windows can spare, and counted as used before anybody uses them.
//!
//! They are counted in the slot of the last moment at which they may be used, so that they leave a window when the last of them
//! may. What nobody used of them counts for as long: a lease can only admit too little.

use super::window::{BLOCKS, Counter, Limit, Quota, Window};
use crate::codec::time::Timestamp;

/// Fewer permits are not worth handing out.
pub const FEWEST_LEASED: u32 = 8;

/// A lease takes at most this part of what a window has left: so whoever else asks finds some too.
const SHARES: u32 = 4;

/// Takes up to `wanted` permits out of all windows, to be used within `millis`. None where that would be few: near a limit,
/// and of a small one.
pub fn lease(counters: &mut [(&Limit, Counter)], wanted: u32, millis: u64) -> u32 {
    let spare = counters.iter().map(|(limit, counter)| counter.spare(limit)).min().unwrap_or_default();
    let permits = wanted.min(spare);
    if permits < FEWEST_LEASED {
        return 0;
    }
    for (limit, counter) in counters {
        counter.used.add(limit, permits, counter.used.latest.plus_millis(millis));
        counter.must_store = true;
    }
    permits
}

impl Counter {
    fn spare(&self, limit: &Limit) -> u32 {
        let left = limit.limit.saturating_sub(self.used.used()).saturating_sub(self.left);
        (left / SHARES).min(limit.limit / BLOCKS)
    }

    /// The limit as it stands.
    pub fn quota(&self, limit: &Limit, at: Timestamp) -> Quota {
        self.used.quota(limit, at)
    }
}

impl Window {
    /// The largest block that it has room for.
    pub(crate) fn room(&self, limit: &Limit) -> u32 {
        limit.limit.saturating_sub(self.used()).min(limit.limit / BLOCKS)
    }
}
