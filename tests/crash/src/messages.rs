//! Workload: a conversation as a list. Nothing acknowledged is lost, nothing is there twice, and one order explains all.

use crate::{
    admin::{Key, Visitor, texts},
    check::{Operation, is_linearizable},
    client::{Call, Client, Moment},
    http::{Answer, Request},
    report::Violation,
    team::Workload,
};
use serde_json::json;
use stateright::semantics::SequentialSpec;
use std::sync::Mutex;

/// Operations of each member on one conversation.
const OPERATIONS: usize = 14;
/// Conversations for one widget key.
const CONVERSATIONS: usize = 200;

/// What is asked of a list.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    Append(String),
    Read,
}

/// What it answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Ret {
    /// The place of the new message, from 1.
    Appended(usize),
    All(Vec<String>),
}

/// The list as one client would see it alone.
#[derive(Clone, Default, Eq, Hash, PartialEq)]
pub struct List(Vec<String>);

impl SequentialSpec for List {
    type Op = Op;
    type Ret = Ret;

    fn invoke(&mut self, op: &Op) -> Ret {
        match op {
            Op::Append(text) => {
                self.0.push(text.clone());
                Ret::Appended(self.0.len())
            }
            Op::Read => Ret::All(self.0.clone()),
        }
    }
}

type History = Vec<Operation<Op, Ret>>;

/// What is wrong with a history that ends with a read of everything.
pub fn verdict(history: &History) -> Option<(Violation, String)> {
    let Some(Operation { returned: Some((_, Ret::All(stored))), .. }) = history.last() else {
        return Some((Violation::Lost, "the conversation cannot be read".to_owned()));
    };
    for (at, text) in stored.iter().enumerate() {
        if stored[..at].contains(text) {
            return Some((Violation::Doubled, format!("`{text}` is there twice: {stored:?}")));
        }
    }
    for operation in history {
        if let (Op::Append(text), Some(_)) = (&operation.op, &operation.returned)
            && !stored.contains(text)
        {
            return Some((Violation::Lost, format!("`{text}` was acknowledged and is not in {stored:?}")));
        }
    }
    if is_linearizable(List::default(), history) {
        return None;
    }
    Some((Violation::Disorder, format!("no order of these operations explains the answers: {history:?}")))
}

/// See the module.
#[derive(Default)]
pub struct Messages {
    key: Mutex<Option<(Key, usize)>>,
}

/// One conversation.
pub struct Conversation {
    visitor: Visitor,
    history: Mutex<History>,
}

impl Conversation {
    fn note(&self, invoked: Moment, op: Op, returned: Option<(Moment, Ret)>) {
        self.history.lock().expect("no client panics").push(Operation { invoked, op, returned });
    }

    fn append(&self, client: &mut Client) {
        let text = client.fresh("text");
        let request = if client.dice.u8(..4) == 0 {
            let path = format!("/v1/conversations/{}/messages", self.visitor.conversation);
            client.as_operator(Request::post(path, &json!({"text": text})))
        } else {
            self.visitor.writing(&text)
        };
        let request = request.with("Idempotency-Key", text.as_str());
        let Call { invoked, mut returned, mut answer, .. } = client.call(&request);
        if answer.is_none() {
            // One in seven is given up: it stays in flight for ever.
            let again = if client.dice.u8(..7) > 0 { client.resolve(&request) } else { None };
            match again {
                Some((_, later, known)) => (returned, answer) = (later, Some(known)),
                None => return self.note(invoked, Op::Append(text), None),
            }
        }
        let place = answer.as_ref().and_then(|answer| place(answer, &text));
        match (place, answer) {
            (Some(place), _) => self.note(invoked, Op::Append(text), Some((returned, Ret::Appended(place)))),
            (None, Some(answer)) => client.surprise(&request, &answer.body),
            (None, None) => {}
        }
    }

    fn read(&self, client: &mut Client, request: &Request) {
        // A read of unknown outcome changes nothing and says nothing.
        let Call { invoked, returned, answer: Some(answer), .. } = client.call(request) else {
            return;
        };
        match texts(&answer) {
            _ if answer.status != 200 => client.surprise(request, &answer.body),
            Some(texts) => self.note(invoked, Op::Read, Some((returned, Ret::All(texts)))),
            None => client.world.report.violation(Violation::Torn, format!("a gap in {}", answer.body)),
        }
    }
}

/// Where the message of an answer stands.
fn place(answer: &Answer, text: &str) -> Option<usize> {
    let place = answer.body["id"].as_str()?.strip_prefix("msg_")?.parse().ok()?;
    (answer.status == 201 && answer.body["text"] == text).then_some(place)
}

impl Workload for Messages {
    type Object = Conversation;

    fn prepare(&self, client: &mut Client) -> Option<Conversation> {
        let mut slot = self.key.lock().expect("no client panics");
        let (key, left) = match slot.take() {
            Some((key, left)) if left > 0 => (key, left),
            _ => (client.key("messages")?.0, CONVERSATIONS),
        };
        let visitor = client.conversation(&key)?;
        *slot = Some((key, left - 1));
        Some(Conversation { visitor, history: Mutex::default() })
    }

    fn play(&self, conversation: &Conversation, _: usize, client: &mut Client) {
        for _ in 0..OPERATIONS {
            match client.dice.u8(..10) {
                0..3 => conversation.read(client, &conversation.visitor.reading()),
                _ => conversation.append(client),
            }
        }
    }

    fn check(&self, conversation: &Conversation, client: &mut Client) {
        let request = conversation.visitor.reading();
        let Some((invoked, returned, answer)) = client.resolve(&request) else {
            return;
        };
        let Some(texts) = texts(&answer) else {
            return client.world.report.violation(Violation::Torn, format!("a gap in {}", answer.body));
        };
        conversation.note(invoked, Op::Read, Some((returned, Ret::All(texts))));
        if let Some((kind, what)) = verdict(&conversation.history.lock().expect("no client panics")) {
            client.world.report.violation(kind, format!("{}: {what}", conversation.visitor.conversation));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{done, open};

    fn append(from: u64, to: u64, text: &str, place: usize) -> Operation<Op, Ret> {
        done(from, to, Op::Append(text.to_owned()), Ret::Appended(place))
    }

    fn read(from: u64, to: u64, texts: &[&str]) -> Operation<Op, Ret> {
        done(from, to, Op::Read, Ret::All(texts.iter().map(ToString::to_string).collect()))
    }

    fn kind(history: History) -> Option<Violation> {
        verdict(&history).map(|(kind, _)| kind)
    }

    #[test]
    fn what_may_happen_passes() {
        assert_eq!(kind(vec![append(0, 1, "a", 1), append(2, 3, "b", 2), read(4, 5, &["a", "b"])]), None);
        // Two at once, in either order.
        assert_eq!(kind(vec![append(0, 9, "a", 2), append(1, 8, "b", 1), read(10, 11, &["b", "a"])]), None);
        // What was never answered may be there, or not, or come late.
        let unanswered = || open(0, Op::Append("a".to_owned()));
        assert_eq!(kind(vec![unanswered(), append(2, 3, "b", 2), read(4, 5, &["a", "b"])]), None);
        assert_eq!(kind(vec![unanswered(), append(2, 3, "b", 1), read(4, 5, &["b"])]), None);
        assert_eq!(kind(vec![unanswered(), read(1, 2, &[]), append(2, 3, "b", 1), read(4, 5, &["b", "a"])]), None);
    }

    #[test]
    fn what_is_lost_or_doubled_is_seen() {
        assert_eq!(kind(vec![append(0, 1, "a", 1), read(2, 3, &[])]), Some(Violation::Lost));
        let overwritten = vec![append(0, 3, "a", 1), append(1, 2, "b", 1), read(4, 5, &["b"])];
        assert_eq!(kind(overwritten), Some(Violation::Lost));
        assert_eq!(kind(vec![append(0, 1, "a", 1), read(2, 3, &["a", "a"])]), Some(Violation::Doubled));
        assert_eq!(kind(vec![]), Some(Violation::Lost));
    }

    #[test]
    fn stale_reads_and_wrong_orders_are_seen() {
        let stale = vec![append(0, 1, "a", 1), read(2, 3, &[]), read(4, 5, &["a"])];
        assert_eq!(kind(stale), Some(Violation::Disorder));
        let swapped = vec![append(0, 1, "a", 1), append(2, 3, "b", 2), read(4, 5, &["b", "a"])];
        assert_eq!(kind(swapped), Some(Violation::Disorder));
        let vanished = vec![open(0, Op::Append("a".to_owned())), read(1, 2, &["a"]), read(3, 4, &[])];
        assert_eq!(kind(vanished), Some(Violation::Disorder));
    }
}
