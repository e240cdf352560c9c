//! The circuit to the API behind: when it fails again and again it is left alone for a moment, and then tried with one call.
//!
//! Whoever brings about failures, by asking for what takes too long, must not be able to shut the API for others: failures of one
//! customer leave it alone for that customer, and only those of two for all.

mod fuse;

use crate::time::Timestamp;
use fuse::{FAILURES, Fuse, Leave};

/// Customers whose own failures are remembered; the one that failed first makes room.
const MOST: usize = 500;

/// What an isolate knows of the API behind, by the calls that it made itself.
#[derive(Debug, Default)]
pub struct Circuit {
    all: Fuse,
    /// Whose the failures in a row are, and whether they are another's, too.
    whose: String,
    is_mixed: bool,
    /// The same for each customer whose calls failed.
    own: Vec<(String, Fuse)>,
}

/// Leave to call the API behind once.
#[derive(Debug)]
#[must_use]
pub struct Pass {
    whose: String,
    all: Leave,
    own: Leave,
}

impl Circuit {
    /// Leave for one call of this customer, or for how many milliseconds there is none. `is_telling`: the caller has no part in its
    /// failure but by what it asks for.
    pub fn pass(&mut self, whose: &str, at: Timestamp, is_telling: bool) -> Result<Pass, u64> {
        let own = match self.own.iter_mut().find(|(known, _)| known == whose) {
            Some((_, fuse)) => fuse.pass(at, is_telling)?,
            None => Fuse::default().pass(at, is_telling)?,
        };
        Ok(Pass { whose: whose.to_owned(), all: self.all.pass(at, is_telling)?, own })
    }

    /// An answer came, whichever: it is well.
    pub fn answered(&mut self, pass: &Pass, at: Timestamp) {
        self.all.answered(at);
        self.own.retain(|(known, _)| *known != pass.whose);
    }

    /// No answer came.
    pub fn failed(&mut self, pass: &Pass, at: Timestamp) {
        self.of(&pass.whose).failed(&pass.own, at);
        if !pass.all.tells(&self.all) {
            return;
        }
        let is_first = self.all.is_first(at);
        if is_first {
            (self.whose, self.is_mixed) = (pass.whose.clone(), false);
        }
        self.is_mixed |= self.whose != pass.whose;
        let would_open = !is_first && self.all.failures.saturating_add(1) >= FAILURES;
        // One customer's alone open it for nobody else.
        if self.is_mixed || !would_open {
            self.all.failed(&pass.all, at);
        }
    }

    /// Nobody waited for the answer any more, so nothing is known: another call may be the probe at once.
    pub fn dropped(&mut self, pass: &Pass, at: Timestamp) {
        self.all.dropped(&pass.all, at);
        if let Some((_, fuse)) = self.own.iter_mut().find(|(known, _)| *known == pass.whose) {
            fuse.dropped(&pass.own, at);
        }
    }

    /// Whether the API behind is well, if the calls of late tell.
    pub fn is_well(&self, at: Timestamp) -> Option<bool> {
        self.all.is_well(at)
    }

    fn of(&mut self, whose: &str) -> &mut Fuse {
        let place = self.own.iter().position(|(known, _)| known == whose).unwrap_or_else(|| {
            if self.own.len() >= MOST {
                self.own.remove(0);
            }
            self.own.push((whose.to_owned(), Fuse::default()));
            self.own.len() - 1
        });
        match self.own.get_mut(place) {
            Some((_, fuse)) => fuse,
            // Never: it was found or made.
            None => &mut self.all,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::Circuit;
    use crate::time::Timestamp;

    fn at(millis: u64) -> Timestamp {
        Timestamp(1_767_225_600_000 + millis)
    }

    fn fails(circuit: &mut Circuit, whose: &str, times: u32, millis: u64) {
        for _ in 0..times {
            let pass = circuit.pass(whose, at(millis), true).unwrap();
            circuit.failed(&pass, at(millis));
        }
    }

    #[test]
    fn one_customer_who_fails_as_often_as_they_like_shuts_it_for_nobody_else() {
        let mut circuit = Circuit::default();
        for round in 0..20 {
            let now = round * 5_000;
            while let Ok(pass) = circuit.pass("a", at(now), true) {
                circuit.failed(&pass, at(now));
            }
            assert!(circuit.pass("b", at(now), true).is_ok(), "{round}");
            assert_ne!(circuit.is_well(at(now)), Some(false));
        }
        // Nor does a failure of their own that comes behind those: it is one of two, and then all may wait.
        assert_eq!(circuit.pass("a", at(95_000), true).err(), Some(5_000));
    }

    #[test]
    fn failures_of_two_customers_open_it_for_all_and_an_answer_to_anybody_closes_it() {
        let mut circuit = Circuit::default();
        fails(&mut circuit, "a", 4, 0);
        fails(&mut circuit, "b", 1, 100);
        assert_eq!(circuit.pass("c", at(100), true).err(), Some(5_000));
        assert_eq!(circuit.is_well(at(100)), Some(false));
        let pass = circuit.pass("c", at(5_100), true).unwrap();
        assert!(circuit.pass("d", at(5_100), true).is_err(), "one tries");
        circuit.answered(&pass, at(5_200));
        for whose in ["a", "b", "c", "d"] {
            assert!(circuit.pass(whose, at(5_200), true).is_ok(), "{whose}");
        }
        // An answer in between begins anew, whoever gets it.
        fails(&mut circuit, "a", 2, 40_000);
        fails(&mut circuit, "b", 2, 40_000);
        let pass = circuit.pass("c", at(40_000), true).unwrap();
        circuit.answered(&pass, at(40_000));
        fails(&mut circuit, "a", 2, 40_000);
        assert!(circuit.pass("d", at(40_000), true).is_ok());
    }

    #[test]
    fn it_remembers_so_many_customers_and_no_more() {
        let mut circuit = Circuit::default();
        for number in 0..2_000 {
            let whose = format!("w{number}");
            if let Ok(pass) = circuit.pass(&whose, at(number), true) {
                circuit.failed(&pass, at(number));
            }
        }
        assert!(circuit.own.len() <= super::MOST);
    }
}
