//! Limits: whatever is asked for and whenever, no window ever admits more than its limit, by a naive log of all admissions.
//!
//! The input is two limits, and then steps: how much time passes, how far the clock jumps back, how much is asked for.

use super::Dice;
use claviger::{
    limit::{Limit, Verdict, Window, admit},
    time::Timestamp,
};

pub fn check(bytes: &[u8]) {
    let mut dice = Dice(bytes);
    let [one, other] = [(); 2].map(|()| Limit {
        name: "requests".to_owned(),
        limit: u32::from(dice.byte()) + 1,
        window_seconds: 1 + u32::from(dice.pair() % 4_000),
    });
    let (mut now, mut behind) = (10_000_000_000_u64, 0);
    let mut windows = [(&one, Window::default()), (&other, Window::default())];
    let mut log: Vec<(u64, u32)> = Vec::new();
    for _ in 0..400 {
        if dice.is_empty() {
            break;
        }
        // True time passes in milliseconds or in seconds; the clock that is shown jumps back now and then.
        let (step, kind) = (dice.pair(), dice.byte());
        now += u64::from(step) * if kind & 1 == 0 { 1 } else { 1_000 };
        behind += if kind & 6 == 6 { u64::from(dice.pair()) * 100 } else { 0 };
        let cost = u32::from(kind >> 3) + 1;
        match admit(&mut windows, cost, Timestamp(now.saturating_sub(behind))) {
            Verdict::Admitted(quotas) => {
                log.push((now, cost));
                for (quota, limit) in quotas.iter().zip([&one, &other]) {
                    assert!(quota.limit == *limit && quota.remaining < limit.limit);
                    assert!(used(&log, limit, now) <= limit.limit, "over {limit:?}: {log:?}");
                }
            }
            Verdict::Refused { retry_after_millis, quotas, .. } => {
                assert!(retry_after_millis > 0 && quotas.len() == 2);
            }
        }
    }
}

/// What was admitted within the window that ends now.
fn used(log: &[(u64, u32)], limit: &Limit, now: u64) -> u32 {
    let start = now.saturating_sub(u64::from(limit.window_seconds) * 1_000);
    log.iter().filter(|(at, _)| *at > start).map(|(_, cost)| cost).sum()
}
