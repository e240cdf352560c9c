//! How much: the exact window. Never more than the limit in any window, counted in sixty slots.
//!
//! A slot that is about to leave the window counts whole until it has left it, so the window never admits too much; it
//! admits too little by at most one slot's worth.

use crate::{time::Timestamp, wire};

/// Slots in a window: a steady caller below `limit - limit / 60` is never refused.
const SLOTS: u64 = 60;

/// At most `limit` units in any `window_seconds`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limit {
    /// The policy's name in the `RateLimit-Policy` header.
    pub name: String,
    /// Units.
    pub limit: u32,
    /// Seconds.
    pub window_seconds: u32,
}

wire!(Limit { name, limit, window_seconds });

/// A limit as it stands: what the headers of `docs/http.md` tell.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Quota {
    /// The limit.
    pub limit: Limit,
    /// Units that would be admitted now.
    pub remaining: u32,
    /// When `remaining` next grows.
    pub reset_at: Timestamp,
}

wire!(Quota { limit, remaining, reset_at });

/// What was admitted, by slot, oldest first: all that has to be stored.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Window {
    slots: Vec<(u64, u32)>,
    /// The last moment at which it admitted.
    latest: Timestamp,
}

wire!(Window { slots, latest });

/// The answer to a question for permits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Counted in every window.
    Admitted(Vec<Quota>),
    /// Counted in none.
    Refused {
        /// Milliseconds until it would be admitted, if nobody else asks.
        retry_after_millis: u64,
        /// The limits as they stand.
        quotas: Vec<Quota>,
        /// Whether the windows must be stored all the same: the clock stepped back, and they with it.
        moved: bool,
    },
}

/// Admits `cost` units in all of `windows`, or in none of them.
pub fn admit(windows: &mut [(&Limit, Window)], cost: u32, at: Timestamp) -> Verdict {
    let mut moved = false;
    for (limit, window) in windows.iter_mut() {
        moved |= window.settle(limit, at);
    }
    let wait = windows.iter().map(|(limit, window)| window.wait(limit, cost, at)).max();
    match wait {
        Some(retry_after_millis) if retry_after_millis > 0 => {
            let quotas = windows.iter().map(|(limit, window)| window.quota(limit, at)).collect();
            Verdict::Refused { retry_after_millis, quotas, moved }
        }
        _ => {
            for (limit, window) in windows.iter_mut() {
                window.count(limit, cost, at);
            }
            let quotas = windows.iter().map(|(limit, window)| window.quota(limit, at)).collect();
            Verdict::Admitted(quotas)
        }
    }
}

impl Window {
    /// Whether nothing in it counts any more at `at`, so that it need not be kept.
    pub fn is_idle(&self, limit: &Limit, at: Timestamp) -> bool {
        self.slots.iter().all(|(slot, _)| limit.leaves(*slot) <= at.0)
    }

    /// The limit as it stands.
    pub fn quota(&self, limit: &Limit, at: Timestamp) -> Quota {
        let reset_at = self.slots.first().map_or(at, |(slot, _)| Timestamp(limit.leaves(*slot)));
        Quota { limit: limit.clone(), remaining: limit.limit.saturating_sub(self.used()), reset_at: reset_at.max(at) }
    }

    fn used(&self) -> u32 {
        self.slots.iter().fold(0, |sum: u32, (_, count)| sum.saturating_add(*count))
    }

    /// Drops what no longer counts. Where the clock stepped back, no time has passed since the last admission: everything
    /// moves back with the clock, so that nothing leaves early and nobody is locked out until the clock has caught up.
    fn settle(&mut self, limit: &Limit, at: Timestamp) -> bool {
        let moved = at < self.latest;
        let back = self.latest.millis_since(at) / limit.slot_millis();
        self.latest = self.latest.min(at);
        for (slot, _) in &mut self.slots {
            *slot = slot.saturating_sub(back);
        }
        self.slots.retain(|(slot, _)| limit.leaves(*slot) > at.0);
        moved
    }

    /// Milliseconds until `cost` fits; the whole window where it never can.
    fn wait(&self, limit: &Limit, cost: u32, at: Timestamp) -> u64 {
        let mut used = self.used();
        if used.saturating_add(cost) <= limit.limit {
            return 0;
        }
        for (slot, count) in &self.slots {
            used = used.saturating_sub(*count);
            if used.saturating_add(cost) <= limit.limit {
                return limit.leaves(*slot).saturating_sub(at.0).max(1);
            }
        }
        limit.window_millis()
    }

    /// Counts into the slot of `at`, or into the newest, if that is later.
    fn count(&mut self, limit: &Limit, cost: u32, at: Timestamp) {
        self.latest = at;
        let now = at.0 / limit.slot_millis();
        match self.slots.last_mut() {
            Some((newest, count)) if *newest >= now => *count = count.saturating_add(cost),
            _ => self.slots.push((now, cost)),
        }
    }
}

impl Limit {
    fn window_millis(&self) -> u64 {
        u64::from(self.window_seconds).max(1) * 1_000
    }

    fn slot_millis(&self) -> u64 {
        self.window_millis().div_ceil(SLOTS)
    }

    /// The moment from which a slot no longer counts: a window after its last instant.
    fn leaves(&self, slot: u64) -> u64 {
        slot.saturating_add(1).saturating_mul(self.slot_millis()).saturating_add(self.window_millis())
    }
}

#[cfg(test)]
#[allow(clippy::panic, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::{Limit, Verdict, Window, admit};
    use crate::time::Timestamp;
    use proptest::prelude::*;

    fn limit(limit: u32, window_seconds: u32) -> Limit {
        Limit { name: "requests".to_owned(), limit, window_seconds }
    }

    fn ask(window: &mut Window, limit: &Limit, at: u64) -> Verdict {
        let mut windows = [(limit, std::mem::take(window))];
        let verdict = admit(&mut windows, 1, Timestamp(at));
        let [(_, after)] = windows;
        *window = after;
        verdict
    }

    #[test]
    fn h1_the_end_of_one_window_and_the_start_of_the_next_share_one_limit() {
        let (mut window, limit) = (Window::default(), limit(3, 60));
        for at in [59_990, 59_995, 59_999] {
            assert!(matches!(ask(&mut window, &limit, at), Verdict::Admitted(_)));
        }
        assert!(matches!(ask(&mut window, &limit, 60_001), Verdict::Refused { .. }));
    }

    #[test]
    fn h11_retry_after_is_true() {
        let (mut window, limit) = (Window::default(), limit(2, 60));
        ask(&mut window, &limit, 0);
        ask(&mut window, &limit, 30_000);
        let Verdict::Refused { retry_after_millis, .. } = ask(&mut window, &limit, 40_000) else {
            panic!("refused");
        };
        assert!(matches!(ask(&mut window, &limit, 40_000 + retry_after_millis - 1), Verdict::Refused { .. }));
        assert!(matches!(ask(&mut window, &limit, 40_000 + retry_after_millis), Verdict::Admitted(_)));
    }

    #[test]
    fn h3_a_clock_that_steps_back_an_hour_locks_nobody_out_for_longer_than_a_window() {
        let (mut window, limit) = (Window::default(), limit(1, 60));
        let start = 10_000_000;
        assert!(matches!(ask(&mut window, &limit, start), Verdict::Admitted(_)));
        let back = start - 3_600_000;
        assert!(matches!(ask(&mut window, &limit, back), Verdict::Refused { .. }));
        assert!(matches!(ask(&mut window, &limit, back + 61_000 + 1_000), Verdict::Admitted(_)));
    }

    #[test]
    fn several_windows_admit_all_or_none() {
        let (minute, hour) = (limit(5, 60), limit(1, 3_600));
        let mut windows = [(&minute, Window::default()), (&hour, Window::default())];
        assert!(matches!(admit(&mut windows, 1, Timestamp(0)), Verdict::Admitted(_)));
        let before = windows[0].1.clone();
        assert!(matches!(admit(&mut windows, 1, Timestamp(1)), Verdict::Refused { .. }));
        assert_eq!(windows[0].1, before);
    }

    proptest! {
        /// Against the naive log of all admissions in true time, while the clock that the window is shown steps back.
        #[test]
        fn h3_never_more_than_the_limit_in_any_window_whatever_the_clock_does(
            steps in proptest::collection::vec((0u64..4_000, 0u64..40), 1..300), most in 1u32..9,
        ) {
            let (mut window, limit) = (Window::default(), limit(most, 10));
            let (mut now, mut behind, mut log) = (100_000_000u64, 0u64, Vec::new());
            for (gap, step) in steps {
                now += gap;
                // One call in twenty finds the clock up to an hour further behind than before.
                behind += if step < 2 { step * 1_800_000 + gap } else { 0 };
                if matches!(ask(&mut window, &limit, now - behind), Verdict::Admitted(_)) {
                    log.push(now);
                }
            }
            for start in &log {
                let inside = log.iter().filter(|at| (*start..start + 10_000).contains(*at)).count();
                prop_assert!(inside <= most as usize, "{inside} of {most} from {start}");
            }
        }

        /// A caller who stays below the limit by one slot's worth is never refused.
        #[test]
        fn a_steady_caller_below_the_limit_is_never_refused(most in 2u32..200, offset in 0u64..60_000) {
            let (mut window, limit) = (Window::default(), limit(most, 60));
            let gap = 61_000 / u64::from(most) + 1;
            for call in 0..400 {
                let verdict = ask(&mut window, &limit, 1_000_000 + offset + call * gap);
                prop_assert!(matches!(verdict, Verdict::Admitted(_)), "call {call} of {most}/min every {gap} ms");
            }
        }
    }
}
