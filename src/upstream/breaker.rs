//! One workspace's own way to one route: five failures in a row close it for a moment, then one call tries, and any answer opens it.

use crate::codec::time::Timestamp;

/// So many failures in a row open it: one or two may be a restart, or a connection that both sides closed at once.
const FAILURES: u32 = 5;

/// They count together when they come within so long of the first.
pub const TOGETHER_MILLIS: u64 = 30_000;

/// For so long nothing goes out: long enough to breathe, and no longer than a person waits before trying again.
pub const OPEN_MILLIS: u64 = 5_000;

/// A call whose failure says nothing holds up the next try only so long.
pub const UNSURE_MILLIS: u64 = 1_000;

/// Failures in a row, and what they lead to.
#[derive(Debug, Default)]
pub struct Breaker {
    /// Failures in a row, and when the first of them came.
    failures: u32,
    since: Timestamp,
    /// Closed to all calls from one moment to another: it is open, as electricians say.
    open: Option<(Timestamp, Timestamp)>,
    /// How many answers there were.
    answers: u64,
}

/// What one of them says of a call.
#[derive(Debug)]
pub struct BreakerTicket {
    /// Answers before it: if there are more when it fails, others were served meanwhile.
    answers: u64,
    /// Whether its failure can only be the upstream's. A caller may hold back or cut a body that passes as it comes.
    counts_as_failure: bool,
    /// Whether it tries an upstream that was left alone.
    is_probe: bool,
}

impl BreakerTicket {
    /// Whether its failure says anything.
    fn tells(&self, fuse: &Breaker) -> bool {
        self.counts_as_failure && self.answers == fuse.answers
    }
}

impl Breaker {
    /// BreakerTicket for one call, or for how many milliseconds there is none. `counts_as_failure`: the caller has no part in its failure.
    pub fn pass(&mut self, at: Timestamp, counts_as_failure: bool) -> Result<BreakerTicket, u64> {
        let is_probe = self.open.is_some();
        if let Some((from, until)) = self.open {
            // Before it began, the clock has stepped back: who knows how far.
            if (from..until).contains(&at) {
                return Err(until.millis_since(at));
            }
            // This call is the probe. The next one may be, should nothing be heard of it.
            self.hold(at, if counts_as_failure { OPEN_MILLIS } else { UNSURE_MILLIS });
        }
        Ok(BreakerTicket { answers: self.answers, counts_as_failure, is_probe })
    }

    /// An answer came, whichever: it is well.
    pub fn answered(&mut self) {
        self.answers = self.answers.wrapping_add(1);
        (self.failures, self.open) = (0, None);
    }

    /// No answer came.
    pub fn failed(&mut self, leave: &BreakerTicket, at: Timestamp) {
        if !leave.tells(self) {
            return;
        }
        if self.open.is_some() {
            // Of those that went out before it opened nothing new is learnt.
            if leave.is_probe {
                self.hold(at, OPEN_MILLIS);
            }
            return;
        }
        if self.is_first(at) {
            (self.failures, self.since) = (0, at);
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES {
            self.hold(at, OPEN_MILLIS);
        }
    }

    /// Nobody waited for the answer any more, so nothing is known: another call may be the probe at once.
    pub fn dropped(&mut self, leave: &BreakerTicket, at: Timestamp) {
        if leave.is_probe && self.open.is_some() {
            self.hold(at, 0);
        }
    }

    /// Whether a failure now is the first of a row.
    fn is_first(&self, at: Timestamp) -> bool {
        self.failures == 0 || !(self.since..=self.since.plus_millis(TOGETHER_MILLIS)).contains(&at)
    }

    fn hold(&mut self, at: Timestamp, millis: u64) {
        self.open = Some((at, at.plus_millis(millis)));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{Breaker as Circuit, BreakerTicket as CallPermit};
    use crate::codec::time::Timestamp;

    const T: u64 = 1_767_225_600_000;

    fn at(millis: u64) -> Timestamp {
        Timestamp(T + millis)
    }

    fn fail(circuit: &mut Circuit, times: u32, millis: u64) {
        for _ in 0..times {
            let pass = circuit.pass(at(millis), true).unwrap();
            circuit.failed(&pass, at(millis));
        }
    }

    /// One that opened at the moment 0.
    fn open() -> Circuit {
        let mut circuit = Circuit::default();
        fail(&mut circuit, 5, 0);
        circuit
    }

    fn wait(circuit: &mut Circuit, millis: u64) -> Option<u64> {
        circuit.pass(at(millis), true).err()
    }

    #[test]
    fn five_failures_in_a_row_open_it_for_five_seconds() {
        let mut circuit = Circuit::default();
        fail(&mut circuit, 4, 0);
        assert_eq!(wait(&mut circuit, 0), None);
        fail(&mut circuit, 1, 30_000);
        assert_eq!((wait(&mut circuit, 30_000), wait(&mut circuit, 34_999)), (Some(5_000), Some(1)));
        assert_eq!(wait(&mut circuit, 35_000), None);
    }

    #[test]
    fn failures_that_come_slowly_or_with_an_answer_between_them_do_not() {
        let mut circuit = Circuit::default();
        for minute in 0..20 {
            fail(&mut circuit, 4, minute * 30_001);
            assert_eq!(wait(&mut circuit, minute * 30_001), None);
        }
        let mut circuit = Circuit::default();
        for _ in 0..20 {
            fail(&mut circuit, 4, 0);
            circuit.answered();
        }
        assert_eq!(wait(&mut circuit, 0), None);
    }

    #[test]
    fn a_call_that_fails_while_others_are_answered_says_nothing() {
        let mut circuit = Circuit::default();
        let passes: Vec<CallPermit> = (0..20).map(|_| circuit.pass(at(0), true).unwrap()).collect();
        circuit.answered();
        passes.iter().for_each(|pass| circuit.failed(pass, at(2)));
        assert_eq!(wait(&mut circuit, 3), None);
    }

    #[test]
    fn a_call_that_its_caller_can_make_fail_is_not_counted() {
        let mut circuit = Circuit::default();
        for _ in 0..20 {
            let pass = circuit.pass(at(0), false).unwrap();
            circuit.failed(&pass, at(0));
        }
        assert_eq!(wait(&mut circuit, 0), None);
        // As a probe it neither opens nor closes it, and is soon followed by another.
        let mut circuit = open();
        let probe = circuit.pass(at(5_000), false).unwrap();
        assert_eq!(wait(&mut circuit, 5_000), Some(1_000));
        circuit.failed(&probe, at(5_001));
        assert_eq!((wait(&mut circuit, 5_999), wait(&mut circuit, 6_000)), (Some(1), None));
    }

    #[test]
    fn one_probe_goes_out_and_closes_it_or_opens_it_again() {
        let mut circuit = open();
        let probe = circuit.pass(at(5_000), true).unwrap();
        assert_eq!((wait(&mut circuit, 5_000), wait(&mut circuit, 9_999)), (Some(5_000), Some(1)));
        circuit.failed(&probe, at(7_000));
        assert_eq!((wait(&mut circuit, 7_000), wait(&mut circuit, 11_999)), (Some(5_000), Some(1)));
        let _probe = circuit.pass(at(12_000), true).unwrap();
        circuit.answered();
        assert_eq!((wait(&mut circuit, 12_100), wait(&mut circuit, 12_100)), (None, None));
        // All is forgotten: it takes five again.
        fail(&mut circuit, 4, 12_200);
        assert_eq!(wait(&mut circuit, 12_200), None);
    }

    #[test]
    fn a_probe_of_which_nothing_is_heard_is_followed_by_another() {
        let mut circuit = open();
        assert_eq!(wait(&mut circuit, 5_000), None);
        assert_eq!((wait(&mut circuit, 9_999), wait(&mut circuit, 10_000)), (Some(1), None));
    }

    #[test]
    fn a_probe_whose_caller_has_gone_gives_its_place_to_the_next_call() {
        let mut circuit = open();
        let probe = circuit.pass(at(5_000), true).unwrap();
        circuit.dropped(&probe, at(5_001));
        assert_eq!((wait(&mut circuit, 5_001), wait(&mut circuit, 5_001)), (None, Some(5_000)));
        // One that is no probe opens nothing and closes nothing.
        let pass = Circuit::default().pass(at(0), true).unwrap();
        let mut circuit = open();
        circuit.dropped(&pass, at(1));
        assert_eq!(wait(&mut circuit, 1), Some(4_999));
    }

    #[test]
    fn what_went_out_before_it_opened_does_not_keep_it_open() {
        let mut circuit = Circuit::default();
        let passes: Vec<CallPermit> = (0..100).map(|_| circuit.pass(at(0), true).unwrap()).collect();
        passes.iter().zip(0..).for_each(|(pass, number)| circuit.failed(pass, at(1_000 + number * 100)));
        // The fifth of them opened it, and none after that counted.
        assert_eq!(wait(&mut circuit, 6_399), Some(1));
        assert_eq!(wait(&mut circuit, 6_400), None);
        // An answer closes it, whenever its call went out.
        let mut circuit = open();
        circuit.answered();
        assert_eq!(wait(&mut circuit, 1), None);
    }

    #[test]
    fn a_clock_that_steps_back_keeps_nobody_out() {
        let mut circuit = Circuit::default();
        for _ in 0..5 {
            let pass = circuit.pass(Timestamp(T), true).unwrap();
            circuit.failed(&pass, Timestamp(T));
        }
        let before = Timestamp(T - 3_600_000);
        assert!(circuit.pass(before, true).is_ok());
        // From there on it is open by the new clock.
        assert_eq!(circuit.pass(before, true).err(), Some(5_000));
        assert!(circuit.pass(before.plus_millis(5_000), true).is_ok());
        // And failures in a row begin anew.
        let mut circuit = Circuit::default();
        fail(&mut circuit, 4, 0);
        let pass = circuit.pass(before, true).unwrap();
        circuit.failed(&pass, before);
        assert!(circuit.pass(before, true).is_ok());
    }
}
