//! Tokens of a call to the upstream: what is held for it before it goes out, and that it is settled whatever becomes of it.

use crate::{
    call::{
        meter::Admitted,
        reply::{Body, Passing, Reply},
        request::Request,
    },
    error::Reason,
    json::{Event, Path, Scanner, Shape, Value},
    object::machine::World,
    policy::{Asks, TokenRule},
    upstream::watch::{TokenReservation, TokenUsage},
};
use std::sync::Arc;

/// Bytes of a body for which one token is held: what models split text into is rarely shorter.
const BYTES_PER_TOKEN: usize = 4;

/// What a call may take at most.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reserve {
    /// Tokens.
    pub amount: u32,
    /// How many of them stand for what it sends.
    pub sent: u32,
}

/// The most that a call with this body may take: what it says itself, and an estimate of what it sends.
pub fn reserve(rule: &TokenRule, body: &[u8]) -> Result<Reserve, Reason> {
    let mut bounds = Bounds::new(rule);
    let numbers = match body {
        [] => 0,
        body => read(&rule.asked, body, &mut |path, is_exact, value| bounds.hear(path, is_exact, value))?,
    };
    // A question may be sent as the numbers of its tokens: each is one, however short.
    let sent = u32::try_from(numbers.max(body.len().div_ceil(BYTES_PER_TOKEN))).unwrap_or(u32::MAX);
    let answer = u32::try_from(bounds.answer()?).unwrap_or(u32::MAX);
    Ok(Reserve { amount: answer.saturating_add(sent).max(1), sent })
}

/// Reads a body that must be one JSON object: what stands at these paths is told. Answers how many numbers it has.
fn read(paths: &[Path], body: &[u8], told: &mut dyn FnMut(usize, bool, Value)) -> Result<usize, Reason> {
    std::str::from_utf8(body).map_err(|_| Reason::invalid("", "The body is not well-formed UTF-8."))?;
    let mut scanner = Scanner::new(Shape::One, paths.len());
    let mut hear = |event: Event| {
        if let Event::Found { path, is_exact, value } = event {
            told(path, is_exact, value);
        }
    };
    scanner.feed(paths, body, &mut hear);
    let is_empty = body.trim_ascii().is_empty();
    if !scanner.end(paths, &mut hear) || is_empty {
        let before = body.get(..scanner.read_bytes().saturating_sub(1)).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        // Bytes, as other readers of JSON count.
        let column = 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count();
        return Err(Reason::invalid("", &format!("The body is not well-formed JSON (line {line}, column {column}).")));
    }
    let text = body.trim_ascii();
    if !text.starts_with(b"{") && text != b"null" {
        told(0, true, Value::Unfit);
    }
    Ok(scanner.numbers())
}

/// What the members of a request say of its answer.
struct Bounds<'a> {
    rule: &'a TokenRule,
    /// The largest bound that is spelled as it should be.
    said: Option<u32>,
    /// The largest of those that some reader takes for one: they only raise it.
    raised: u32,
    /// How many answers, by groups.
    times: [u64; 8],
    /// The first member that says nothing sound, and why.
    fault: Option<Reason>,
}

impl<'a> Bounds<'a> {
    fn new(rule: &'a TokenRule) -> Self {
        Self { rule, said: None, raised: 0, times: [1; 8], fault: None }
    }

    fn hear(&mut self, path: usize, is_exact: bool, value: Value) {
        let Some(asks) = self.rule.asks.get(path) else { return };
        let number = match (asks, value) {
            (Asks::Items(_), Value::Items(items)) => Some(items),
            // One question, in whatever form; or none.
            (Asks::Items(_), Value::Null | Value::Text(_) | Value::Unfit | Value::Number(_)) => Some(1),
            (_, Value::Number(number)) => Some(number).filter(|number| *number <= u64::from(u32::MAX)),
            (Asks::Bound | Asks::BoundFromZero, Value::Null) => {
                // Some readers take it for another spelling of the same, which is then without a bound.
                self.raised = self.raised.max(if is_exact { 0 } else { self.rule.default });
                return;
            }
            (_, Value::Null) => return,
            _ => None,
        };
        let Some(number) = number else {
            let name = self.rule.asked.get(path).map(|path| path.as_ref()).unwrap_or_default();
            let why = if matches!(asks, Asks::Times(_) | Asks::Items(_)) { TIMES } else { BOUND };
            self.fault.get_or_insert_with(|| Reason::invalid(name, why));
            return;
        };
        let bound = u32::try_from(number).unwrap_or(u32::MAX);
        match asks {
            Asks::Bound if bound == 0 => self.raised = self.raised.max(self.rule.default),
            Asks::Bound | Asks::BoundFromZero if is_exact => self.said = self.said.max(Some(bound)),
            Asks::Bound | Asks::BoundFromZero | Asks::Raise => self.raised = self.raised.max(bound),
            Asks::Times(group) | Asks::Items(group) => {
                if let Some(times) = self.times.get_mut(usize::from(*group)) {
                    *times = number.max(*times);
                }
            }
        }
    }

    /// The most tokens that the answer may take.
    fn answer(self) -> Result<u64, Reason> {
        let bound = self.said.unwrap_or(self.rule.default).max(self.raised);
        let answer = self.times.into_iter().fold(u64::from(bound), u64::saturating_mul);
        self.fault.map_or(Ok(answer), Err)
    }
}

const BOUND: &str = "In a JSON object and once, a whole number from 0 to 4294967295: the most tokens that the answer may take. A \
                     negative number is no bound: leave the member out instead, and the route's own counts.";
const TIMES: &str = "In a JSON object and once, a whole number from 0 to 4294967295: how many answers there are to be.";

/// What is held for a call that was admitted; nothing where its credential's tokens are not limited.
pub fn held(
    rule: Option<&Arc<TokenRule>>,
    reserve: Option<Reserve>,
    admitted: &Admitted,
    request: &Request,
) -> Option<TokenReservation> {
    let is_counted = admitted.quotas().iter().any(|quota| quota.limit.counts_tokens());
    let Reserve { amount, sent } = reserve.filter(|_| is_counted)?;
    let (object, rule) = (admitted.principal().object().to_owned(), Arc::clone(rule?));
    Some(TokenReservation { object, id: request.id.clone(), amount, sent, rule })
}

/// Sees to it that what is held is settled: once the answer has passed, or at once where there is none.
pub async fn settle(
    held: TokenReservation,
    answered: Result<Reply, Reason>,
    world: &impl World,
) -> Result<Reply, Reason> {
    let used = match answered {
        Ok(Reply { status, body: Body::Upstream(Passing { ref headers, kept: None, .. }), .. }) => {
            let spent = TokenUsage::new(held, status, headers);
            return answered.map(|reply| reply.watched(|watch| watch.settles(spent)));
        }
        // It went out, and nobody knows what it did there.
        Err(Reason::UpstreamFailed | Reason::UpstreamTimedOut) => None,
        // It did not go out, or not again.
        _ => Some(0),
    };
    // One that does not come is given up after a while.
    drop(held.settle(used, world).await);
    answered
}
