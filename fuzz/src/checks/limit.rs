//! Limits: whatever is asked for and whenever, whoever crashes, no window ever admits more than its limit, by a naive log of
//! all admissions.
//!
//! The input is two limits, and then steps: how much time passes, how far the clock jumps back, how much is asked for, and
//! whether memory is lost.

use super::Dice;
use claviger::{
    codec::time::Timestamp,
    limits::window::{Counter, Limit, Pace, Verdict, Window, admit},
};

/// A window: its row, and what memory knows beyond it.
#[derive(Default)]
struct Hosted {
    row: Window,
    memory: Option<Counter>,
}

pub fn check(bytes: &[u8]) {
    let mut dice = Dice(bytes);
    let limits = [(); 2].map(|()| Limit {
        name: "requests".to_owned(),
        limit: u32::from(dice.byte()) + 1,
        window_seconds: 1 + u32::from(dice.pair() % 4_000),
    });
    let (mut now, mut behind) = (10_000_000_000_u64, 0);
    let mut hosted = [Hosted::default(), Hosted::default()];
    let mut log: Vec<(u64, u32)> = Vec::new();
    for _ in 0..400 {
        if dice.is_empty() {
            break;
        }
        // True time passes in milliseconds or in seconds; the clock that is shown jumps back now and then.
        let (step, kind) = (dice.pair(), dice.byte());
        now += u64::from(step) * if kind & 1 == 0 { 1 } else { 1_000 };
        behind += if kind & 6 == 6 { u64::from(dice.pair()) * 100 } else { 0 };
        let at = Timestamp(now.saturating_sub(behind));
        for window in &mut hosted {
            // The alarm closes a block that is over; a crash forgets it.
            if let Some(row) = window.memory.as_ref().and_then(|counter| counter.close(at)) {
                *window = Hosted { row, memory: None };
            }
            if kind & 24 == 24 {
                window.memory = None;
            }
        }
        let cost = u32::from(kind >> 5) + 1;
        let mut counters = [0, 1].map(|which| {
            let Hosted { row, memory } = &hosted[which];
            (&limits[which], memory.clone().unwrap_or_else(|| Counter::new(row.clone())))
        });
        let verdict = admit(&mut counters, cost, if kind & 32 == 0 { Pace::Ahead } else { Pace::Single }, at);
        for ((limit, counter), window) in counters.into_iter().zip(&mut hosted) {
            if counter.must_store() {
                window.row = counter.row(limit);
            }
            window.memory = counter.block_ends_at().is_some().then(|| counter.stored());
        }
        match verdict {
            Verdict::Admitted(quotas) => {
                log.push((now, cost));
                for (quota, limit) in quotas.iter().zip(&limits) {
                    assert!(quota.limit == *limit && quota.remaining < limit.limit);
                    assert!(used(&log, limit, now) <= limit.limit, "over {limit:?}: {log:?}");
                }
            }
            Verdict::Refused { retry_after_millis, quotas } => {
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
