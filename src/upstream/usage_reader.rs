//! What an answer says that it used: read from its JSON, or from the JSON of its events, as the bytes come. Nothing of it is kept.

use crate::{
    codec::sse::{Events, Piece},
    json::{Event, Scanner, Shape, Value},
    policy::{Dialect, MAX_PARTS, Tells, TokenRule},
};

/// The data of the event that ends many streams, though it is no JSON.
const DONE: &[u8] = b"[DONE]";

/// The kinds of events that end a stream: of `/v1/messages`, and of `/v1/responses`.
const ENDS: [&str; 4] = ["message_stop", "response.completed", "response.incomplete", "response.failed"];

/// An answer that is being read.
#[derive(Debug)]
pub struct Reader {
    scanner: Scanner,
    /// None: it is JSON.
    stream: Option<Stream>,
    usage: Usage,
}

/// An answer in events.
#[derive(Debug, Default)]
struct Stream {
    events: Events,
    event: Begun,
}

#[derive(Debug, Default)]
struct Begun {
    /// The first bytes of the event's data, as many as tell that it is [`DONE`].
    data: Vec<u8>,
    /// Whether an event was complete.
    has_come: bool,
}

/// What an answer says that it used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Used {
    /// Tokens.
    pub tokens: u32,
    /// Whether the answer is counted in, and not only the question.
    pub has_answer: bool,
    /// Whether the question is.
    pub has_question: bool,
}

/// What was told so far.
#[derive(Debug, Default)]
struct Usage {
    /// By parts; in the last one, all that was used.
    slots: Vec<Slot>,
    facts: Facts,
    /// What the document that is being read tells beside its numbers.
    heard: Facts,
}

#[derive(Clone, Copy, Debug, Default)]
struct Facts {
    /// It says what the answer used, and not only what the question did.
    has_answer: bool,
    /// The stream ends with it.
    is_over: bool,
    /// It tells of an error.
    has_error: bool,
}

/// What one part of the usage comes to.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// Totals that others followed.
    before: u64,
    /// The running total.
    last: Option<u32>,
    /// What the document that is being read says.
    told: Option<u32>,
    /// It says two things, so it says nothing.
    is_twice: bool,
}

impl Reader {
    /// Reads JSON, or events.
    pub fn new(rule: &TokenRule, is_stream: bool) -> Self {
        let usage = Usage { slots: vec![Slot::default(); MAX_PARTS + 1], ..Usage::default() };
        Self { scanner: scanner(rule), stream: is_stream.then(Stream::default), usage }
    }

    /// The next bytes of the answer.
    pub fn feed(&mut self, rule: &TokenRule, part: &[u8]) {
        let Self { scanner, stream, usage } = self;
        match stream {
            None => scanner.feed(&rule.told, part, &mut |event| usage.hear_document(rule, event)),
            Some(Stream { events, event }) => {
                events.feed(part, &mut |piece| usage.hear_event(rule, piece, scanner, event));
            }
        }
    }

    /// Nothing follows. Answers whether all that the answer says was read.
    pub fn end(&mut self, rule: &TokenRule, is_whole: bool) -> bool {
        let Self { scanner, stream, usage } = self;
        let is_read = match stream {
            None => scanner.end(&rule.told, &mut |event| usage.hear_document(rule, event)),
            Some(Stream { events, event }) => {
                if is_whole {
                    events.end(&mut |piece| usage.hear_event(rule, piece, scanner, event));
                }
                true
            }
        };
        let is_over = usage.facts.is_over;
        // What half a document says, it says.
        usage.count(rule);
        is_over || (is_whole && is_read)
    }

    /// What was told.
    pub fn used(&self) -> Option<Used> {
        self.usage.used()
    }

    /// Whether it is read event by event.
    pub fn is_stream(&self) -> bool {
        self.stream.is_some()
    }

    /// Whether the answer is a document that tells of an error, and not a stream.
    pub fn is_error(&self) -> bool {
        !self.is_stream() && self.usage.facts.has_error
    }

    /// Whether it is a stream of which an event has come.
    pub fn has_streamed(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.event.has_come)
    }
}

fn scanner(rule: &TokenRule) -> Scanner {
    // That one streams a list, where it is not asked for events.
    let is_listed = rule.dialect == Some(Dialect::Gemini);
    Scanner::new(if is_listed { Shape::Lists } else { Shape::Many }, rule.told.len())
}

impl Usage {
    fn hear_document(&mut self, rule: &TokenRule, event: Event) {
        match event {
            Event::End => self.count(rule),
            Event::Found { path, is_exact: true, value } => self.hear(rule.tells.get(path), value),
            Event::Found { .. } => {}
        }
    }

    /// An event's data is a text of its own. What is no JSON is passed over.
    #[inline(never)]
    fn hear_event(&mut self, rule: &TokenRule, piece: Piece, scanner: &mut Scanner, event: &mut Begun) {
        let mut hear = |found: Event| {
            if let Event::Found { path, is_exact: true, value } = found {
                self.hear(rule.tells.get(path), value);
            }
        };
        match piece {
            Piece::Data(data) => {
                let room = (DONE.len() + 1).saturating_sub(event.data.len());
                event.data.extend(data.iter().take(room));
                scanner.feed(&rule.told, data, &mut hear);
            }
            Piece::End => {
                let is_json = scanner.end(&rule.told, &mut hear);
                *scanner = self::scanner(rule);
                if is_json {
                    self.count(rule);
                } else {
                    self.forget();
                }
                self.facts.is_over |= event.data == DONE;
                event.data.clear();
                event.has_come = true;
            }
        }
    }

    #[inline(never)]
    fn hear(&mut self, tells: Option<&Tells>, value: Value) {
        let part = match tells {
            Some(Tells::Kind) => {
                self.heard.is_over |= matches!(value, Value::Text(kind) if ENDS.contains(&kind));
                return;
            }
            Some(Tells::Error) => {
                self.heard.has_error |= value != Value::Null;
                return;
            }
            Some(Tells::Total) => MAX_PARTS,
            Some(Tells::Part(part) | Tells::Before(part)) => usize::from(*part),
            None => return,
        };
        let Some(slot) = self.slots.get_mut(part) else { return };
        match value {
            Value::Number(number) => {
                if let Ok(number) = u32::try_from(number) {
                    slot.told = slot.told.max(Some(number));
                    self.heard.has_answer |= !matches!(tells, Some(Tells::Before(_)));
                }
            }
            Value::Twice => slot.is_twice = true,
            _ => {}
        }
    }

    /// A document is over: what it tells counts from now on.
    ///
    /// Providers that define their numbers as totals are taken at their word: the largest counts. Elsewhere a number that
    /// falls shows that it is no running total, so what was told before counts beside it.
    #[inline(never)]
    fn count(&mut self, rule: &TokenRule) {
        let are_totals = matches!(rule.dialect, Some(Dialect::Anthropic | Dialect::Gemini));
        for slot in &mut self.slots {
            let told = slot.told.filter(|_| !slot.is_twice);
            if let Some(last) = slot.last.filter(|last| told.is_some_and(|told| told < *last) && !are_totals) {
                slot.before = slot.before.saturating_add(u64::from(last));
                slot.last = told;
            } else {
                slot.last = slot.last.max(told);
            }
        }
        self.facts.has_answer |= self.heard.has_answer;
        self.facts.is_over |= self.heard.is_over;
        self.facts.has_error |= self.heard.has_error;
        self.forget();
    }

    /// The next document tells nothing yet.
    fn forget(&mut self) {
        self.heard = Facts::default();
        for slot in &mut self.slots {
            (slot.told, slot.is_twice) = (None, false);
        }
    }

    fn used(&self) -> Option<Used> {
        let sum = |slot: &Slot| slot.last.map(|last| slot.before.saturating_add(u64::from(last)));
        let (total, parts) = self.slots.split_last()?;
        let (total, question) = (sum(total), parts.first().and_then(sum));
        let parts = parts.iter().filter_map(sum).reduce(u64::saturating_add);
        Some(Used {
            tokens: u32::try_from(total.max(parts)?).unwrap_or(u32::MAX),
            has_answer: self.facts.has_answer,
            has_question: total.or(question).is_some(),
        })
    }
}
