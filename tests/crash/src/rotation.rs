//! Workload: the secret of a conversation. After a rotation answered, no older secret opens it, but for the one retry.

use crate::{
    admin::{Key, Visitor, is_ended},
    check::{Operation, is_linearizable},
    client::{Call, Client},
    report::Violation,
    team::Workload,
};
use stateright::semantics::SequentialSpec;
use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Rotations in the life of one conversation.
const ROTATIONS: usize = 8;
/// The right to repeat a rotation ends after a minute: a life that long would need a clock in the model.
const LIFE: Duration = Duration::from_secs(50);

/// What is asked with a secret: secrets are counted from 0 in the order in which they were seen.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    Use(usize),
    Rotate(usize),
}

/// What comes of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Ret {
    Admitted,
    Refused,
    Rotated(usize),
}

/// The secrets as one client would see them alone.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Secrets {
    /// The one that lives; `None` where its text got lost on its way.
    current: Option<usize>,
    previous: Option<usize>,
    /// Whether the one that lives was used: then the previous one may not repeat the rotation.
    used: bool,
    seen: BTreeSet<usize>,
}

impl Secrets {
    fn new() -> Self {
        Self { current: Some(0), previous: None, used: false, seen: BTreeSet::from([0]) }
    }

    fn rotate(&mut self, presented: usize, made: Option<usize>) {
        self.seen.extend(made);
        (self.current, self.previous, self.used) = (made, Some(presented), false);
    }

    fn may_repeat(&self, presented: usize) -> bool {
        self.previous == Some(presented) && !self.used
    }
}

impl SequentialSpec for Secrets {
    type Op = Op;
    type Ret = Ret;

    /// Only for what was never answered.
    fn invoke(&mut self, op: &Op) -> Ret {
        match *op {
            Op::Use(secret) if self.current == Some(secret) => {
                self.used = true;
                Ret::Admitted
            }
            Op::Rotate(secret) if self.current == Some(secret) => {
                self.rotate(secret, None);
                Ret::Refused
            }
            _ => Ret::Refused,
        }
    }

    fn is_valid_step(&mut self, op: &Op, ret: &Ret) -> bool {
        match (op, ret) {
            (Op::Use(secret), Ret::Admitted) => {
                self.used |= self.current == Some(*secret);
                self.current == Some(*secret)
            }
            (Op::Use(secret), Ret::Refused) => self.current != Some(*secret),
            (Op::Rotate(secret), Ret::Rotated(made)) if self.current == Some(*secret) => {
                let is_new = !self.seen.contains(made);
                self.rotate(*secret, Some(*made));
                is_new
            }
            (Op::Rotate(secret), Ret::Rotated(made)) if self.may_repeat(*secret) => {
                let is_same = self.current.map_or_else(|| !self.seen.contains(made), |current| current == *made);
                self.seen.insert(*made);
                self.current = Some(*made);
                is_same
            }
            (Op::Rotate(secret), Ret::Refused) => self.current != Some(*secret) && !self.may_repeat(*secret),
            _ => false,
        }
    }
}

type History = Vec<Operation<Op, Ret>>;

/// Uses of a secret that began after a rotation had answered with another one in its stead: admitted, and refused.
pub fn uses_after_an_end(history: &History) -> (u64, u64) {
    let (mut admitted, mut refused) = (0, 0);
    for used in history {
        let (Op::Use(secret), Some((_, ret))) = (&used.op, &used.returned) else {
            continue;
        };
        let is_late = history.iter().any(|rotated| match (&rotated.op, &rotated.returned) {
            (Op::Rotate(old), Some((moment, Ret::Rotated(_)))) => old == secret && *moment < used.invoked,
            _ => false,
        });
        admitted += u64::from(is_late && *ret == Ret::Admitted);
        refused += u64::from(is_late && *ret == Ret::Refused);
    }
    (admitted, refused)
}

/// See the module.
#[derive(Default)]
pub struct Rotation {
    key: Mutex<Option<Key>>,
}

/// One conversation.
pub struct Conversation {
    visitor: Visitor,
    secrets: Mutex<Vec<String>>,
    history: Mutex<History>,
    began: Instant,
    rotated: AtomicBool,
}

impl Conversation {
    fn ask(&self, client: &mut Client, op: Op) -> Option<Ret> {
        let (Op::Use(number) | Op::Rotate(number)) = op;
        let secret = self.secrets.lock().expect("no client panics")[number].clone();
        let visitor = Visitor { secret, ..self.visitor.clone() };
        let request = match op {
            Op::Rotate(_) => visitor.rotating(),
            Op::Use(_) if client.dice.u8(..4) == 0 => visitor.writing(&client.fresh("text")),
            Op::Use(_) => visitor.reading(),
        };
        let Call { invoked, returned, answer, .. } = client.call(&request);
        let ret = match answer {
            None => None,
            Some(answer) if is_ended(&answer) => Some(Ret::Refused),
            Some(answer) => match (&op, answer.status) {
                (Op::Use(_), 200 | 201) => Some(Ret::Admitted),
                (Op::Rotate(_), 201) => Some(Ret::Rotated(self.number(answer.text("history_secret")))),
                _ => {
                    client.surprise(&request, &answer.body);
                    None
                }
            },
        };
        let returned = ret.clone().map(|ret| (returned, ret));
        self.history.lock().expect("no client panics").push(Operation { invoked, op, returned });
        ret
    }

    fn number(&self, secret: String) -> usize {
        let mut secrets = self.secrets.lock().expect("no client panics");
        secrets.iter().position(|seen| *seen == secret).unwrap_or_else(|| {
            secrets.push(secret);
            secrets.len() - 1
        })
    }

    fn newest(&self) -> usize {
        self.secrets.lock().expect("no client panics").len() - 1
    }

    /// Rotates with the newest secret, and repeats that while the outcome is unknown; sometimes also when it is known.
    fn rotate(&self, client: &mut Client) {
        let secret = self.newest();
        while self.began.elapsed() < LIFE && self.ask(client, Op::Rotate(secret)).is_none() {}
        if client.dice.u8(..3) == 0 {
            self.ask(client, Op::Rotate(secret));
        }
        let older = client.dice.usize(..=secret);
        self.ask(client, Op::Use(older));
    }
}

impl Workload for Rotation {
    type Object = Conversation;

    fn prepare(&self, client: &mut Client) -> Option<Conversation> {
        let mut slot = self.key.lock().expect("no client panics");
        if slot.is_none() {
            *slot = client.key("rotation").map(|(key, _)| key);
        }
        let visitor = client.conversation(slot.as_ref()?)?;
        Some(Conversation {
            secrets: Mutex::new(vec![visitor.secret.clone()]),
            visitor,
            history: Mutex::default(),
            began: Instant::now(),
            rotated: AtomicBool::new(false),
        })
    }

    fn play(&self, conversation: &Conversation, member: usize, client: &mut Client) {
        if member == 0 {
            (0..ROTATIONS).for_each(|_| conversation.rotate(client));
            return conversation.rotated.store(true, Ordering::Relaxed);
        }
        while !conversation.rotated.load(Ordering::Relaxed) && conversation.began.elapsed() < LIFE {
            let newest = conversation.newest();
            let secret = if client.dice.bool() { newest } else { client.dice.usize(..=newest) };
            conversation.ask(client, Op::Use(secret));
        }
    }

    fn check(&self, conversation: &Conversation, client: &mut Client) {
        if conversation.began.elapsed() > LIFE {
            return;
        }
        let history = conversation.history.lock().expect("no client panics");
        let (late, refused) = uses_after_an_end(&history);
        let report = &client.world.report;
        let ends = history.iter().filter(|operation| matches!(operation.returned, Some((_, Ret::Rotated(_))))).count();
        report.tally().revocations += ends as u64;
        report.tally().uses_after_an_end += late + refused;
        let name = &conversation.visitor.conversation;
        if late > 0 {
            report.violation(Violation::LateUse, format!("{name}: a rotated secret opened it {late} times"));
        } else if !is_linearizable(Secrets::new(), &history) {
            report.violation(Violation::Disorder, format!("{name}: no order explains {history:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{done, open};

    fn legal(history: History) -> bool {
        is_linearizable(Secrets::new(), &history)
    }

    #[test]
    fn a_rotation_and_its_retry_are_legal_until_the_new_secret_is_used() {
        let rotated = |from| done(from, from + 1, Op::Rotate(0), Ret::Rotated(1));
        assert!(legal(vec![rotated(0), rotated(2), done(4, 5, Op::Use(0), Ret::Refused)]));
        assert!(legal(vec![open(0, Op::Rotate(0)), rotated(2), done(4, 5, Op::Use(1), Ret::Admitted)]));
        assert!(legal(vec![
            rotated(0),
            done(2, 3, Op::Use(1), Ret::Admitted),
            done(4, 5, Op::Rotate(0), Ret::Refused)
        ]));
        assert!(!legal(vec![rotated(0), done(2, 3, Op::Use(1), Ret::Admitted), rotated(4)]));
        assert!(!legal(vec![rotated(0), done(2, 3, Op::Rotate(0), Ret::Refused)]));
    }

    #[test]
    fn two_living_secrets_are_seen() {
        assert!(!legal(vec![done(0, 1, Op::Rotate(0), Ret::Rotated(1)), done(2, 3, Op::Rotate(0), Ret::Rotated(2)),]));
        assert!(!legal(vec![done(0, 1, Op::Rotate(0), Ret::Rotated(1)), done(2, 3, Op::Use(1), Ret::Refused)]));
    }

    #[test]
    fn a_late_use_is_seen_and_counted_and_one_at_the_same_time_is_none() {
        let late = vec![done(0, 1, Op::Rotate(0), Ret::Rotated(1)), done(2, 3, Op::Use(0), Ret::Admitted)];
        assert_eq!(uses_after_an_end(&late), (1, 0));
        assert!(!legal(late));
        let meanwhile = vec![done(0, 3, Op::Rotate(0), Ret::Rotated(1)), done(1, 4, Op::Use(0), Ret::Admitted)];
        assert_eq!(uses_after_an_end(&meanwhile), (0, 0));
        assert!(legal(meanwhile));
    }
}
