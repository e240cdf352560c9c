//! Windows of which a part is held: for calls that are under way, until it is known how much they used.
//!
//! What is held counts whole in every window for as long as it is; what was used counts from the moment at which that is
//! known. So whenever within a call its units were used, no window has ever seen more than the limit.

use super::window::{Counter, Limit, Quota};
use crate::codec::time::Timestamp;

/// Names of windows that count tokens start so; those of all others do not.
const TOKENS: &str = "tokens";

/// Looks, and counts nothing: milliseconds until `cost` fits beside what is `held`, in all windows, and the windows as they
/// stand. 0: it fits now; the longest window where what is held stands in the way, since nobody knows for how long.
pub fn look(counters: &mut [(&Limit, Counter)], held: u32, cost: u32, at: Timestamp) -> (u64, Vec<Quota>) {
    for (limit, counter) in counters.iter_mut() {
        counter.settle(limit, at);
    }
    let wait = |(limit, counter): &(&Limit, Counter)| counter.used.wait(limit, held.saturating_add(cost));
    let wait = if cost == 0 { None } else { counters.iter().map(wait).max() };
    let quotas = counters.iter().map(|(limit, counter)| {
        let mut quota = counter.used.quota(limit, at);
        quota.remaining = quota.remaining.saturating_sub(held);
        if counter.used.slots.is_empty() && held > 0 {
            quota.reset_at = at.plus_millis(limit.window_millis());
        }
        quota
    });
    (wait.unwrap_or_default(), quotas.collect())
}

/// Counts units that were used, however many they are. The window must be stored then.
pub fn spend(limit: &Limit, counter: &mut Counter, units: u32, at: Timestamp) {
    counter.settle(limit, at);
    if units > 0 {
        counter.used.add(limit, units, counter.used.latest);
    }
}

impl Limit {
    /// Names for several windows of one thing: the RateLimit header needs them apart.
    pub fn tell_apart(windows: &mut [Self]) {
        if windows.len() > 1 {
            windows.iter_mut().for_each(|window| window.name = format!("{}-{}", window.name, window.window_seconds));
        }
    }

    /// Whether it counts tokens, and not requests or messages.
    pub fn counts_tokens(&self) -> bool {
        self.name.strip_prefix(TOKENS).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }
}
