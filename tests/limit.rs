//! The exact window against a naive log of all that was admitted, whatever the clock, evictions and crashes do.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use claviger::{
    codec::time::Timestamp,
    limits::window::{Counter, Limit, Pace, Verdict, Window, admit},
};
use proptest::prelude::*;

fn limit(limit: u32, window_seconds: u32) -> Limit {
    Limit { name: "requests".to_owned(), limit, window_seconds }
}

/// The object that counts: a row that is stored, memory that may vanish, and an alarm.
#[derive(Default)]
struct Host {
    row: Window,
    memory: Option<Counter>,
    alarm: Option<u64>,
    writes: u32,
}

impl Host {
    fn ask(&mut self, limit: &Limit, pace: Pace, at: u64) -> Verdict {
        let counter = self.memory.take().unwrap_or_else(|| Counter::new(self.row.clone()));
        let mut counters = [(limit, counter)];
        let verdict = admit(&mut counters, 1, pace, Timestamp(at));
        let [(_, counter)] = counters;
        if counter.must_store() {
            self.row = counter.row(limit);
            self.writes += 1;
        }
        if let Some(end) = counter.block_ends_at() {
            self.alarm = Some(self.alarm.map_or(end.0, |set| set.min(end.0)));
        }
        self.memory = counter.block_ends_at().is_some().then(|| counter.stored());
        verdict
    }

    fn admits(&mut self, limit: &Limit, at: u64) -> bool {
        matches!(self.ask(limit, Pace::Ahead, at), Verdict::Admitted(_))
    }

    /// Rings the alarm if it is due.
    fn ring(&mut self, at: u64) {
        if self.alarm.is_none_or(|due| due > at) {
            return;
        }
        self.alarm = None;
        let Some(counter) = self.memory.take() else { return };
        match counter.close(Timestamp(at)) {
            Some(window) => {
                self.row = window;
                self.writes += 1;
            }
            None => {
                self.alarm = counter.block_ends_at().map(|end| end.0);
                self.memory = Some(counter);
            }
        }
    }

    /// The process dies: what was not stored is gone.
    fn crash(&mut self) {
        self.memory = None;
    }
}

/// The most that `log` holds in any window.
fn most_in_any(log: &[u64], millis: u64) -> usize {
    let inside = |start: &u64| log.iter().filter(|at| (*start..start + millis).contains(*at)).count();
    log.iter().map(inside).max().unwrap_or_default()
}

#[test]
fn h1_the_end_of_one_window_and_the_start_of_the_next_share_one_limit() {
    let (mut host, limit) = (Host::default(), limit(3, 60));
    for at in [59_990, 59_995, 59_999] {
        assert!(host.admits(&limit, at));
    }
    assert!(!host.admits(&limit, 60_001));
}

#[test]
fn h11_retry_after_is_true() {
    let (mut host, limit) = (Host::default(), limit(2, 60));
    assert!(host.admits(&limit, 0) && host.admits(&limit, 30_000));
    let Verdict::Refused { retry_after_millis, quotas } = host.ask(&limit, Pace::Ahead, 40_000) else {
        panic!("refused");
    };
    assert_eq!((quotas[0].remaining, quotas[0].reset_at), (0, Timestamp(40_000 + retry_after_millis)));
    assert!(!host.admits(&limit, 40_000 + retry_after_millis - 1));
    assert!(host.admits(&limit, 40_000 + retry_after_millis));
}

#[test]
fn h3_a_clock_that_steps_back_an_hour_locks_nobody_out_for_longer_than_a_window() {
    let (mut host, limit) = (Host::default(), limit(1, 60));
    let start = 10_000_000;
    assert!(host.admits(&limit, start));
    let back = start - 3_600_000;
    assert!(!host.admits(&limit, back));
    assert!(host.admits(&limit, back + 61_000 + 1_000));
}

#[test]
fn h3_a_clock_that_steps_back_and_is_corrected_admits_nothing_twice() {
    for back in [5_000, 50_000, 3_600_000] {
        let (mut host, limit, start) = (Host::default(), limit(10, 60), 100_000_000);
        assert!((0..10).all(|_| host.admits(&limit, start)));
        assert!(!host.admits(&limit, start + 1_000 - back));
        assert!(!host.admits(&limit, start + 12_000), "back by {back} ms");
        assert!(host.admits(&limit, start + 12_000 + 62_000), "nobody is locked out for longer than a window");
    }
}

#[test]
fn several_windows_admit_all_or_none() {
    let (minute, hour) = (limit(5, 60), limit(1, 3_600));
    let mut counters = [(&minute, Counter::default()), (&hour, Counter::default())];
    assert!(matches!(admit(&mut counters, 1, Pace::Ahead, Timestamp(0)), Verdict::Admitted(_)));
    let Verdict::Refused { retry_after_millis, quotas } = admit(&mut counters, 1, Pace::Ahead, Timestamp(1)) else {
        panic!("refused");
    };
    assert_eq!(retry_after_millis, 3_600_000 + 60_000 - 1, "as long as the longest of them");
    assert_eq!((quotas[0].remaining, quotas[1].remaining), (4, 0));
}

#[test]
fn more_than_the_limit_at_once_is_never_admitted_and_costs_nothing() {
    let limit = limit(10, 60);
    let mut counters = [(&limit, Counter::default())];
    assert!(matches!(admit(&mut counters, 11, Pace::Ahead, Timestamp(5)), Verdict::Refused { .. }));
    assert!(matches!(admit(&mut counters, 10, Pace::Ahead, Timestamp(5)), Verdict::Admitted(_)));
    assert!(matches!(admit(&mut counters, 1, Pace::Ahead, Timestamp(5)), Verdict::Refused { .. }));
}

#[test]
fn a_caller_every_11_seconds_at_6_a_minute_is_never_refused_though_every_call_ends_in_a_crash() {
    let (mut host, limit) = (Host::default(), limit(6, 60));
    for call in 0..1_000 {
        assert!(host.admits(&limit, 5_000_000 + call * 11_000), "call {call}");
        host.crash();
    }
}

#[test]
fn blocks_grow_with_the_rate_to_a_second_of_it_and_a_twentieth_of_the_limit() {
    for (most, per_second, block) in [(60_000, 100u64, 100), (60_000, 10, 10), (1_200, 100, 60), (60, 1, 1)] {
        let (mut host, limit) = (Host::default(), limit(most, 60));
        let (mut writes, mut longest, mut since) = (0, 0, 0);
        for call in 0..per_second * 10 {
            let at = 1_000_000 + call * 1_000 / per_second;
            host.ring(at);
            host.ask(&limit, Pace::Ahead, at);
            since += 1;
            if host.writes > writes {
                (writes, longest, since) = (host.writes, longest.max(since), 0);
            }
        }
        assert!(longest <= block + 1, "{longest} calls between two writes at {per_second}/s of {most}");
        assert!(longest >= block / 2, "{longest} calls between two writes at {per_second}/s of {most}");
    }
}

#[test]
fn a_block_counts_until_a_window_after_the_last_moment_at_which_it_can_be_used() {
    let (mut host, limit, mut log) = (Host::default(), limit(1_000, 1), Vec::new());
    for at in (0..500u64).map(|call| 1_000_000 + call * 2) {
        host.ring(at);
        host.ask(&limit, Pace::Ahead, at);
    }
    // The last block is used up at its very end, and then forgotten.
    let end = host.memory.as_ref().and_then(Counter::block_ends_at).unwrap().0;
    let row = host.row.clone();
    while host.row == row && host.admits(&limit, end - 1) {
        log.push(end - 1);
    }
    host.row = row;
    host.crash();
    assert!(log.len() > 20, "{} from the block", log.len());
    log.extend((0..1_200).map(|_| end + 900).filter(|at| host.admits(&limit, *at)));
    assert!(most_in_any(&log, 1_000) <= 1_000, "{} in a second", log.len());
}

#[test]
fn a_busy_key_writes_at_most_40_times_for_1_000_admissions() {
    for per_second in [50, 100, 1_000] {
        let (mut host, limit) = (Host::default(), limit(1_000_000, 60));
        for call in 0..per_second * 30 {
            let at = 1_000_000 + call * 1_000 / per_second;
            host.ring(at);
            assert!(host.admits(&limit, at));
        }
        let per_thousand = u64::from(host.writes) * 1_000 / (per_second * 30);
        // The first second, in which the rate is not yet known, aside.
        let first = per_second.min(60);
        let steady = (u64::from(host.writes) - first) * 1_000 / (per_second * 29);
        assert!(steady <= 40, "{steady} writes for 1,000 at {per_second}/s, {per_thousand} with the first second");
    }
}

#[test]
fn a_policy_that_changes_the_windows_length_finds_what_was_admitted_before() {
    let (minute, hour) = (limit(5, 60), limit(5, 3_600));
    let mut host = Host::default();
    for call in 0..5 {
        assert!(host.admits(&minute, 1_000_000 + call));
    }
    host.crash();
    assert!(!host.admits(&hour, 1_030_000));
    assert!(host.admits(&hour, 1_000_000 + 3_600_000 + 120_000));
    assert!(host.admits(&minute, 1_000_000 + 3_600_000 + 120_000));
    assert!(host.admits(&minute, 1_000_000 + 3_600_000 + 300_000), "nobody is locked out for years");
}

/// What happens between two calls.
#[derive(Clone, Copy, Debug)]
enum Event {
    Calls(u8),
    Crash,
    /// Idle for ten seconds and more: the alarm has rung, and the object is gone.
    Eviction,
    /// The clock is found so many milliseconds further behind.
    ClockBack(u64),
    Pause(u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        8 => (1u8..40).prop_map(Event::Calls),
        2 => Just(Event::Crash),
        1 => Just(Event::Eviction),
        1 => prop_oneof![0u64..2_000, 0u64..7_200_000].prop_map(Event::ClockBack),
        4 => prop_oneof![0u64..1_500, 0u64..12_000].prop_map(Event::Pause),
    ];
    proptest::collection::vec(event, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// In true time, while the clock that the object is shown steps back.
    #[test]
    fn h3_never_more_than_the_limit_in_any_window(events in events(), most in 1u32..80, seconds in 1u32..15, gap in 0u64..120) {
        let (mut host, limit) = (Host::default(), limit(most, seconds));
        let (mut now, mut behind, mut log) = (100_000_000u64, 0u64, Vec::new());
        for event in events {
            match event {
                Event::Calls(count) => for _ in 0..count {
                    now += gap;
                    host.ring(now - behind);
                    if host.admits(&limit, now - behind) {
                        log.push(now);
                    }
                },
                Event::Crash => host.crash(),
                Event::Eviction => {
                    now += 10_000;
                    host.ring(now - behind);
                    host.crash();
                }
                Event::ClockBack(millis) => behind += millis,
                Event::Pause(millis) => now += millis,
            }
        }
        let found = most_in_any(&log, u64::from(seconds) * 1_000);
        prop_assert!(found <= most as usize, "{found} of {most} in {seconds} s");
    }

    /// A glitch: the clock is found behind, is asked so often meanwhile, and is right again before it has caught up by itself.
    #[test]
    fn h3_a_clock_that_steps_back_and_is_corrected_makes_nothing_leave_early(
        glitches in proptest::collection::vec((0u64..20_000, 1u64..100_000, 0u64..2_000, 1u8..30), 1..40), most in 1u32..30,
    ) {
        let (mut host, limit) = (Host::default(), limit(most, 10));
        let (mut now, mut log) = (1_000_000_000u64, Vec::new());
        for (pause, back, gap, calls) in glitches {
            now += pause;
            let gap = gap.min(back / u64::from(calls));
            for call in 0..calls {
                // The first call of a glitch finds the clock right. Where it is not admitted, nothing knows that moment.
                let behind = if call == 0 { 0 } else { back };
                now += if call < 2 { 0 } else { gap };
                host.ring(now - behind);
                if host.admits(&limit, now - behind) {
                    log.push(now);
                } else if call == 0 {
                    break;
                }
            }
        }
        let found = most_in_any(&log, 10_000);
        prop_assert!(found <= most as usize, "{found} of {most}");
    }

    /// One slot's worth below the limit, in any rhythm, with evictions whenever it is idle for long enough.
    #[test]
    fn a_steady_caller_below_the_limit_is_never_refused(
        most in 2u32..3_000, offset in 0u64..60_000, seconds in prop_oneof![Just(1u32), Just(10), Just(60), Just(3_600)],
    ) {
        let (mut host, limit) = (Host::default(), limit(most, seconds));
        let micros = u64::from(seconds) * 61_020_000 / 60 / u64::from(most) + 1_000;
        for call in 0..(4 * u64::from(most)).min(4_000) {
            let at = 1_000_000 + offset + call * micros / 1_000;
            if micros > 11_000_000 {
                host.ring(at - 1_000);
                host.crash();
            }
            host.ring(at);
            prop_assert!(host.admits(&limit, at), "call {call} of {most} in {seconds} s");
        }
    }

    /// What a crash may cost: a block, for a window.
    #[test]
    fn a_steady_caller_at_nine_tenths_is_never_refused_though_every_window_has_a_crash(
        most in 20u32..3_000, moment in 0u64..1_000,
    ) {
        let (mut host, limit) = (Host::default(), limit(most, 60));
        let micros = 60_000_000 * 10 / 9 / u64::from(most);
        for call in 0..4 * u64::from(most) {
            let at = 1_000_000 + call * micros / 1_000;
            host.ring(at);
            prop_assert!(host.admits(&limit, at), "call {call} of {most}");
            if call % (u64::from(most) * 6 / 5) == moment % (u64::from(most) * 6 / 5) {
                host.crash();
            }
        }
    }
}
