//! Histories, and whether some order of their operations explains every answer.
//!
//! The models are stateright's, and so is the question. Its own tester tries all orders, which never ends where many
//! operations stay in flight for ever, as kills make them; this search remembers what it has tried (Wing and Gong 1993,
//! Lowe 2017). A test holds it to stateright's answers.

use crate::client::Moment;
use stateright::semantics::SequentialSpec;
use std::{collections::HashSet, hash::Hash};

/// What one client asked of an object, when, and what came of it.
#[derive(Clone, Debug)]
pub struct Operation<Op, Ret> {
    pub invoked: Moment,
    pub op: Op,
    /// When it was answered, and how; `None` stays in flight for ever.
    pub returned: Option<(Moment, Ret)>,
}

impl<Op, Ret> Operation<Op, Ret> {
    fn answered(&self) -> Moment {
        self.returned.as_ref().map_or(Moment::MAX, |(moment, _)| *moment)
    }
}

/// Whether the object behind a history could be one sequential object, each operation at one moment between its call and
/// its answer. What was never answered may have happened at any later moment, or never.
pub fn is_linearizable<S>(initial: S, history: &[Operation<S::Op, S::Ret>]) -> bool
where
    S: SequentialSpec + Clone + Eq + Hash,
{
    let mut tried = HashSet::new();
    let mut open = vec![(vec![false; history.len()], initial)];
    while let Some((done, object)) = open.pop() {
        let left = || (0..history.len()).filter(|at| !done[*at]);
        // Whatever was called after this answer cannot have come before it.
        let first_answer = left().map(|at| history[at].answered()).min().unwrap_or(Moment::MAX);
        if first_answer == Moment::MAX {
            return true;
        }
        for at in left().filter(|at| history[*at].invoked <= first_answer) {
            let Operation { op, returned, .. } = &history[at];
            let mut after = object.clone();
            let is_step = match returned {
                Some((_, answer)) => after.is_valid_step(op, answer),
                // What would change nothing may as well never have happened.
                None => {
                    after.invoke(op);
                    after != object
                }
            };
            let mut done = done.clone();
            done[at] = true;
            if is_step && tried.insert((done.clone(), after.clone())) {
                open.push((done, after));
            }
        }
    }
    false
}

/// For the tests of the checkers: an operation that was called and answered at these moments.
#[cfg(test)]
pub fn done<Op, Ret>(invoked: Moment, returned: Moment, op: Op, ret: Ret) -> Operation<Op, Ret> {
    Operation { invoked, op, returned: Some((returned, ret)) }
}

/// For the tests of the checkers: an operation that was never answered.
#[cfg(test)]
pub fn open<Op, Ret>(invoked: Moment, op: Op) -> Operation<Op, Ret> {
    Operation { invoked, op, returned: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stateright::semantics::{ConsistencyTester as _, LinearizabilityTester};

    /// A number: writing one answers it, and so does reading.
    #[derive(Clone, Eq, Hash, PartialEq)]
    struct Number(u8);

    impl SequentialSpec for Number {
        type Op = Option<u8>;
        type Ret = u8;

        fn invoke(&mut self, write: &Option<u8>) -> u8 {
            self.0 = write.unwrap_or(self.0);
            self.0
        }
    }

    type History = Vec<Operation<Option<u8>, u8>>;

    /// Three clients with a number that answers mostly as it should.
    fn random(dice: &mut fastrand::Rng) -> History {
        let (mut history, mut value) = (History::new(), 0);
        let mut free = [0; 3];
        for _ in 0..dice.usize(2..9) {
            let client = dice.usize(..3);
            let invoked = free[client] + dice.u64(1..4);
            let returned = invoked + dice.u64(1..6);
            free[client] = returned;
            let (op, ret) = match dice.u8(..3) {
                0 => {
                    value = dice.u8(..4);
                    (Some(value), value)
                }
                1 => (None, dice.u8(..4)),
                _ => (None, value),
            };
            let returned = (dice.u8(..5) > 0).then_some((returned, ret));
            history.push(Operation { invoked, op, returned });
        }
        history
    }

    /// The same history for stateright, whose threads do one thing at a time: each operation is a thread of its own.
    fn as_stateright_sees_it(history: &History) -> bool {
        let mut events = Vec::new();
        for (number, operation) in history.iter().enumerate() {
            events.push((operation.invoked, false, number));
            events.extend(operation.returned.as_ref().map(|(moment, _)| (*moment, true, number)));
        }
        events.sort_unstable();
        let mut tester = LinearizabilityTester::new(Number(0));
        for (_, is_answer, number) in events {
            match history[number].returned.filter(|_| is_answer) {
                Some((_, ret)) => tester.on_return(number, ret).map(drop),
                None => tester.on_invoke(number, history[number].op).map(drop),
            }
            .unwrap();
        }
        tester.is_consistent()
    }

    #[test]
    fn this_search_answers_as_stateright_does() {
        let mut dice = fastrand::Rng::with_seed(1);
        let mut legal = 0;
        for _ in 0..3_000 {
            let history = random(&mut dice);
            let answer = is_linearizable(Number(0), &history);
            assert_eq!(answer, as_stateright_sees_it(&history), "{history:?}");
            legal += u32::from(answer);
        }
        assert!((500..2_500).contains(&legal), "{legal} of 3000 are legal: both answers must be tried");
    }

    #[test]
    fn many_operations_in_flight_end_in_time() {
        let mut history: History = (0..40).map(|number| open(number, Some(number as u8 % 3))).collect();
        history.extend((0..40).map(|at| done(100 + 2 * at, 101 + 2 * at, None, 1)));
        assert!(is_linearizable(Number(0), &history));
    }
}
