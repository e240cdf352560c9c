//! The circuit breaker: an upstream that fails again and again is left alone for a moment, and then tried again.
//!
//! Nobody may shut the upstream for others by asking for what takes too long. So failures of one workspace's calls to a route close that
//! route for that workspace only. It opens for all when the recent calls of at least five workspaces failed, and those of fewer did
//! well; or when Claviger's own probe of the upstream fails. What `test` credentials do counts for `test` credentials alone.

use super::{
    breaker::{BreakerTicket, OPEN_MILLIS},
    route_breaker::{self, Route},
};
use crate::codec::time::Timestamp;

/// An answer says that the upstream is well for so long.
const FRESH_MILLIS: u64 = 5_000;

/// What an isolate knows of the upstream, by the calls that it made itself.
#[derive(Debug, Default)]
pub struct Circuit {
    /// By the place of the route in the policy, and by environment.
    routes: Vec<((usize, bool), Route)>,
    /// From when until when all calls are refused, since a probe failed.
    dead: Option<(Timestamp, Timestamp)>,
    /// Whether the upstream has ever answered a probe: one that never does says nothing by that.
    answers_probes: bool,
    /// How many answers there were, when the last one came, and whether a call failed since.
    answers: u64,
    answered_at: Option<Timestamp>,
    has_failed: bool,
}

/// Whose call it is, and to what.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The place of the route in the policy.
    pub route: usize,
    /// Whether its credential is for trying things out.
    pub is_test: bool,
    /// The workspace; empty for a deploy key.
    pub workspace: &'a str,
}

/// BreakerTicket to call the upstream once.
#[derive(Debug)]
#[must_use]
pub struct CallPermit {
    place: (usize, bool),
    workspace: String,
    own: BreakerTicket,
    /// What its failure says of the route, if anything.
    of_route: route_breaker::Ticket,
}

impl Circuit {
    /// BreakerTicket for one call, or for how many milliseconds there is none. `counts_as_failure`: the caller has no part in its failure but by what
    /// it asks for.
    pub fn pass(&mut self, caller: Caller, at: Timestamp, counts_as_failure: bool) -> Result<CallPermit, u64> {
        if let Some((from, until)) = self.dead
            && (from..until).contains(&at)
        {
            return Err(until.millis_since(at));
        }
        let place = (caller.route, caller.is_test);
        if self.route(place).is_none() {
            self.routes.push((place, Route::default()));
        }
        let Some(route) = self.route(place) else { return Err(0) };
        let (own, of_route) = route.pass(caller.workspace, at, counts_as_failure)?;
        Ok(CallPermit { place, workspace: caller.workspace.to_owned(), own, of_route })
    }

    /// An answer came, whichever: the upstream is well.
    pub fn answered(&mut self, pass: &CallPermit, at: Timestamp) {
        self.answers = self.answers.wrapping_add(1);
        (self.answered_at, self.has_failed, self.dead) = (Some(at), false, None);
        if let Some(route) = self.route(pass.place) {
            route.answered(&pass.workspace, at);
        }
    }

    /// No answer came.
    pub fn failed(&mut self, pass: &CallPermit, at: Timestamp) {
        self.has_failed = true;
        if let Some(route) = self.route(pass.place) {
            route.failed(&pass.workspace, &pass.own, &pass.of_route, at);
        }
    }

    /// Nobody waited for the answer any more, so nothing is known: another call may try at once.
    pub fn dropped(&mut self, pass: &CallPermit, at: Timestamp) {
        if let Some(route) = self.route(pass.place) {
            route.dropped(&pass.workspace, &pass.own, &pass.of_route, at);
        }
    }

    /// How many answers there were: for a probe, before it goes out.
    pub fn answers(&self) -> u64 {
        self.answers
    }

    /// What came of Claviger's own probe, before which there were so many answers. Its failure says nothing where calls were answered
    /// meanwhile, or where the upstream has never answered one.
    pub fn probed(&mut self, answers: u64, is_answered: bool, at: Timestamp) {
        if is_answered {
            (self.answers_probes, self.dead) = (true, None);
        } else if self.answers_probes && self.answers == answers {
            self.dead = Some((at, at.plus_millis(OPEN_MILLIS)));
        }
    }

    /// Whether the upstream is well, if the calls of late tell.
    pub fn is_well(&self, at: Timestamp) -> Option<bool> {
        if self.dead.is_some_and(|(from, until)| (from..until).contains(&at)) {
            return Some(false);
        }
        let is_fresh = |answered: Timestamp| (answered..answered.plus_millis(FRESH_MILLIS)).contains(&at);
        match self.answered_at.filter(|answered| is_fresh(*answered)) {
            // Some are served and some are not: that is to be asked.
            Some(_) => (!self.has_failed).then_some(true),
            None => self.routes.iter().any(|((_, is_test), route)| !is_test && route.is_open(at)).then_some(false),
        }
    }

    fn route(&mut self, place: (usize, bool)) -> Option<&mut Route> {
        self.routes.iter_mut().find(|(known, _)| *known == place).map(|(_, route)| route)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::{CallPermit, Caller, Circuit};
    use crate::codec::time::Timestamp;
    use proptest::prelude::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp(1_767_225_600_000 + millis)
    }

    fn by(workspace: &str) -> Caller<'_> {
        Caller { route: 0, is_test: false, workspace }
    }

    fn pass(circuit: &mut Circuit, workspace: &str, millis: u64) -> Result<CallPermit, u64> {
        circuit.pass(by(workspace), at(millis), true)
    }

    fn fails(circuit: &mut Circuit, workspace: &str, times: u32, millis: u64) {
        for _ in 0..times {
            let pass = pass(circuit, workspace, millis).unwrap();
            circuit.failed(&pass, at(millis));
        }
    }

    fn answered(circuit: &mut Circuit, workspace: &str, millis: u64) {
        let pass = pass(circuit, workspace, millis).unwrap();
        circuit.answered(&pass, at(millis));
    }

    fn waits(circuit: &mut Circuit, workspace: &str, millis: u64) -> Option<u64> {
        pass(circuit, workspace, millis).err()
    }

    #[test]
    fn a15_four_workspaces_that_fail_as_often_as_they_like_close_it_for_nobody_else() {
        let mut circuit = Circuit::default();
        for round in 0..20 {
            let now = round * 5_000;
            for workspace in ["a", "b", "c", "d"] {
                while let Ok(pass) = pass(&mut circuit, workspace, now) {
                    circuit.failed(&pass, at(now));
                }
                assert_eq!(waits(&mut circuit, workspace, now), Some(5_000));
            }
            assert_eq!(waits(&mut circuit, &format!("other {round}"), now), None);
            assert_ne!(circuit.is_well(at(now)), Some(false));
        }
    }

    #[test]
    fn a15_it_opens_for_all_when_the_calls_of_five_workspaces_failed_and_an_answer_to_anybody_closes_it() {
        let mut circuit = Circuit::default();
        for workspace in ["a", "b", "c", "d"] {
            fails(&mut circuit, workspace, 2, 0);
        }
        assert_eq!(waits(&mut circuit, "f", 0), None);
        fails(&mut circuit, "e", 1, 100);
        assert_eq!((waits(&mut circuit, "f", 100), waits(&mut circuit, "f", 5_099)), (Some(5_000), Some(1)));
        assert_eq!(circuit.is_well(at(100)), Some(false));
        // Then each workspace may try once: whoever tries first holds up nobody else.
        let slow = pass(&mut circuit, "a", 5_100).unwrap();
        assert_eq!((waits(&mut circuit, "a", 5_100), waits(&mut circuit, "a", 10_099)), (Some(5_000), Some(1)));
        answered(&mut circuit, "f", 5_100);
        assert_eq!(circuit.is_well(at(5_100)), Some(true));
        for workspace in ["a", "b", "c", "d", "e", "f"] {
            assert_eq!(waits(&mut circuit, workspace, 5_100), None, "{workspace}");
        }
        // What went out before is no news, and it takes five again.
        circuit.failed(&slow, at(5_200));
        for workspace in ["b", "c", "d", "e"] {
            fails(&mut circuit, workspace, 1, 5_200);
        }
        assert_eq!(waits(&mut circuit, "f", 5_200), None);
    }

    #[test]
    fn a15_one_that_still_fails_stays_open_while_those_of_five_workspaces_say_so() {
        let mut circuit = Circuit::default();
        let five = ["a", "b", "c", "d", "e"];
        five.iter().for_each(|workspace| fails(&mut circuit, workspace, 1, 0));
        five.iter().for_each(|workspace| fails(&mut circuit, workspace, 1, 5_000));
        assert_eq!(waits(&mut circuit, "f", 5_000), Some(5_000));
        // Four do not keep it open for a fifth.
        five[..4].iter().for_each(|workspace| fails(&mut circuit, workspace, 1, 10_000));
        assert_eq!(waits(&mut circuit, "f", 10_000), None);
    }

    #[test]
    fn a15_the_failures_of_a_few_among_many_that_are_served_close_it_for_nobody() {
        let mut circuit = Circuit::default();
        for number in 0..6 {
            answered(&mut circuit, &format!("well {number}"), 0);
        }
        for number in 0..6 {
            fails(&mut circuit, &format!("slow {number}"), 4, 100);
        }
        assert_eq!(waits(&mut circuit, "other", 100), None);
        fails(&mut circuit, "slow 6", 1, 100);
        assert_eq!(waits(&mut circuit, "other", 100), Some(5_000), "most of those that call");
        // Of each workspace most of its own calls must have failed.
        let mut circuit = Circuit::default();
        for number in 0..8 {
            let workspace = format!("half {number}");
            answered(&mut circuit, &workspace, 0);
            fails(&mut circuit, &workspace, 1, 0);
        }
        assert_eq!(waits(&mut circuit, "other", 0), None);
        // And lately.
        let mut circuit = Circuit::default();
        for number in 0..20 {
            fails(&mut circuit, &format!("rare {number}"), 1, number * 8_000);
        }
        assert_eq!(waits(&mut circuit, "other", 160_000), None);
    }

    #[test]
    fn a15_a_route_is_closed_for_itself_and_test_for_test() {
        let mut circuit = Circuit::default();
        let fail = |circuit: &mut Circuit, caller: Caller| {
            let pass = circuit.pass(caller, at(0), true).unwrap();
            circuit.failed(&pass, at(0));
        };
        for workspace in ["a", "b", "c", "d", "e", "f"] {
            let caller = by(workspace);
            let test = Caller { is_test: true, ..caller };
            if circuit.pass(test, at(0), true).is_ok() {
                fail(&mut circuit, test);
            }
            assert!(circuit.pass(caller, at(0), true).is_ok(), "{workspace}");
        }
        assert!(circuit.pass(Caller { is_test: true, ..by("g") }, at(0), true).is_err());
        for workspace in ["a", "b", "c", "d", "e"] {
            fail(&mut circuit, Caller { route: 7, ..by(workspace) });
        }
        assert!(circuit.pass(Caller { route: 7, ..by("g") }, at(0), true).is_err());
        assert!(circuit.pass(by("g"), at(0), true).is_ok());
    }

    #[test]
    fn a15_a_probe_that_fails_opens_it_for_all_where_the_upstream_answered_one_before() {
        let mut circuit = Circuit::default();
        circuit.probed(0, false, at(0));
        assert_eq!(waits(&mut circuit, "a", 0), None, "an upstream that answers no probe says nothing by that");
        circuit.probed(0, true, at(1_000));
        circuit.probed(0, false, at(6_000));
        assert_eq!((waits(&mut circuit, "a", 6_000), waits(&mut circuit, "a", 11_000)), (Some(5_000), None));
        assert_eq!(circuit.is_well(at(6_000)), Some(false));
        // An answer closes it, and one while the probe was under way says more than the probe.
        circuit.probed(0, false, at(20_000));
        circuit.probed(0, true, at(20_001));
        let before = circuit.answers();
        answered(&mut circuit, "a", 20_001);
        circuit.probed(before, false, at(20_002));
        assert_eq!(waits(&mut circuit, "b", 20_002), None);
    }

    #[test]
    fn a_call_that_its_caller_can_make_fail_or_during_which_others_were_served_is_not_counted() {
        let mut circuit = Circuit::default();
        for number in 0..20 {
            let workspace = format!("w{number}");
            let pass = circuit.pass(by(&workspace), at(0), false).unwrap();
            circuit.failed(&pass, at(0));
        }
        assert_eq!(waits(&mut circuit, "other", 0), None);
        let passes: Vec<CallPermit> =
            (0..20).map(|number| pass(&mut circuit, &format!("w{number}"), 0).unwrap()).collect();
        answered(&mut circuit, "other", 1);
        passes.iter().for_each(|pass| circuit.failed(pass, at(2)));
        assert_eq!(waits(&mut circuit, "other", 3), None);
    }

    #[test]
    fn it_remembers_so_many_workspaces_and_no_more() {
        let mut circuit = Circuit::default();
        for number in 0..3_000 {
            if let Ok(pass) = pass(&mut circuit, &format!("w{number}"), number) {
                if number % 2 == 0 { circuit.failed(&pass, at(number)) } else { circuit.answered(&pass, at(number)) }
            }
        }
        assert!(circuit.routes.iter().all(|(_, route)| route.remembered() <= crate::upstream::route_breaker::MOST));
    }

    #[test]
    fn it_is_well_by_a_fresh_answer_that_no_failure_followed() {
        let mut circuit = Circuit::default();
        assert_eq!(circuit.is_well(at(0)), None);
        answered(&mut circuit, "a", 0);
        assert_eq!((circuit.is_well(at(4_999)), circuit.is_well(at(5_000))), (Some(true), None));
        fails(&mut circuit, "b", 1, 1_000);
        assert_eq!(circuit.is_well(at(1_000)), None);
        answered(&mut circuit, "a", 7_000);
        assert_eq!((circuit.is_well(at(7_000)), circuit.is_well(at(6_999))), (Some(true), None));
    }

    #[derive(Clone, Debug)]
    struct Step {
        who: usize,
        route: usize,
        wait: u64,
        what: u8,
        counts_as_failure: bool,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = (
            0..4_usize,
            0..2_usize,
            prop_oneof![Just(0), 1..100_u64, 900..6_000_u64, Just(31_000)],
            0..4_u8,
            any::<bool>(),
        );
        let step = step.prop_map(|(who, route, wait, what, counts_as_failure)| Step {
            who,
            route,
            wait,
            what,
            counts_as_failure,
        });
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        /// Whatever four workspaces do, and however long their calls hang: another one's call always goes out.
        #[test]
        fn a15_whatever_four_workspaces_do_closes_nothing_for_the_others(
            steps in steps(),
            was_down in any::<bool>(),
            others_call in any::<bool>(),
        ) {
            let mut circuit = Circuit::default();
            let (mut now, mut pending) = (0, Vec::new());
            if was_down {
                // It was down for everybody, and has been well again since one breath after that.
                for workspace in ["1", "2", "3", "4", "5", "6"] {
                    if let Ok(pass) = pass(&mut circuit, workspace, 0) {
                        circuit.failed(&pass, at(0));
                    }
                }
                prop_assert!(pass(&mut circuit, "other", 0).is_err());
                now = 5_000;
            }
            for (number, step) in steps.iter().enumerate() {
                now += step.wait;
                let name = step.who.to_string();
                let caller = Caller { route: step.route, is_test: false, workspace: &name };
                if let Ok(pass) = circuit.pass(caller, at(now), step.counts_as_failure) {
                    match step.what {
                        0 => circuit.failed(&pass, at(now)),
                        1 => circuit.dropped(&pass, at(now)),
                        2 => circuit.answered(&pass, at(now)),
                        _ => pending.push(pass),
                    }
                }
                if step.what == 2 {
                    pending.drain(..).for_each(|pass| circuit.failed(&pass, at(now)));
                }
                let other = format!("other {number}");
                let caller = Caller { route: step.route, is_test: false, workspace: &other };
                let pass = circuit.pass(caller, at(now), true);
                prop_assert!(pass.is_ok(), "{number}: {:?}", pass.err());
                if let (true, Ok(pass)) = (others_call, pass) {
                    circuit.answered(&pass, at(now));
                }
            }
        }
    }
}
