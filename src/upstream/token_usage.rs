//! How many tokens a call has used, by what its answer says while it passes; and the settlement that follows.

use super::{
    usage_reader::{Reader, Used},
    watch::Ending,
};
use crate::{
    error::Reason,
    machines::credential::{Command, Credential},
    object::machine::World,
    policy::TokenRule,
};
use std::sync::Arc;

/// Refusals that somebody makes who has waited for the upstream, which may be at work all the same. So may it be behind most 5xx.
const AMBIGUOUS: [u16; 2] = [408, 499];

/// An upstream that says so, in its dialect, has turned the call away before it did anything.
const OVERLOADED: [u16; 2] = [503, 529];

/// An upstream that says so, in its dialect, has read the question, and generates no answer.
const FAILED: [u16; 2] = [500, 502];

/// What is held for a call, and where.
#[derive(Debug)]
pub struct TokenReservation {
    /// The name of the credential's object.
    pub object: String,
    /// The request.
    pub id: String,
    /// Tokens.
    pub amount: u32,
    /// How many of them stand for what the call sends.
    pub sent: u32,
    /// How the answer tells what was used.
    pub rule: Arc<TokenRule>,
}

impl TokenReservation {
    /// Settles the call: so many were used. Where nobody knows, all that was held counts.
    pub async fn settle(self, used: Option<u32>, world: &impl World) -> Result<(), Reason> {
        world.ask::<Credential>(&self.object, Command::Settle(self.id, used)).await.map(drop)
    }
}

/// An answer that is read for what it used; see the module.
#[derive(Debug)]
pub struct TokenUsage {
    held: TokenReservation,
    status: u16,
    /// None: it is in no form that is read.
    reader: Option<Reader>,
    /// Bytes that have come.
    came: usize,
}

/// So much of an error is read though its caller has gone.
const MAX_ERROR_BYTES: usize = 64 << 10;

impl TokenUsage {
    /// Reads an answer of this status, with these headers.
    pub fn new(held: TokenReservation, status: u16, headers: &[(String, String)]) -> Self {
        let header = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.trim());
        let is_packed = header("content-encoding").is_some_and(|coding| !coding.eq_ignore_ascii_case("identity"));
        let is_stream = header("content-type").and_then(form).filter(|_| !is_packed);
        let reader = is_stream.map(|is_stream| Reader::new(&held.rule, is_stream));
        Self { held, status, reader, came: 0 }
    }

    /// A part of the answer has come.
    pub fn feed(&mut self, part: &[u8]) {
        self.came = self.came.saturating_add(part.len());
        if let Some(reader) = &mut self.reader {
            reader.feed(&self.held.rule, part);
        }
    }

    /// Whether the rest is read to its end though the caller has gone: clients that try again do not wait for the end of an error,
    /// and what it says decides what counts.
    pub fn goes_on(&self) -> bool {
        let is_document = self.reader.as_ref().is_some_and(|reader| !reader.is_stream());
        self.status >= 400 && is_document && self.came < MAX_ERROR_BYTES
    }

    /// It is over, and the call is settled.
    pub async fn end(mut self, ending: Ending, world: &impl World) -> Result<(), Reason> {
        let used = self.used(ending);
        self.held.settle(used, world).await
    }

    /// How many were used; none where nobody knows.
    fn used(&mut self, ending: Ending) -> Option<u32> {
        let Self { held, reader, .. } = self;
        let is_read = reader.as_mut().is_some_and(|reader| reader.end(&held.rule, ending == Ending::Whole));
        match reader.as_ref().and_then(Reader::used) {
            Some(Used { tokens, has_answer, has_question }) => {
                let asked = if has_question || held.rule.dialect.is_none() { 0 } else { held.sent };
                let tokens = tokens.saturating_add(asked);
                // What the caller, or whoever else, has cut off may have said more.
                Some(if is_read && has_answer { tokens } else { tokens.max(held.amount) })
            }
            None => self.refused(),
        }
    }

    /// What counts for an answer that does not say what was used: nothing, where it says that nothing was generated.
    fn refused(&self) -> Option<u32> {
        let Self { held: TokenReservation { rule, sent, .. }, status, reader, .. } = self;
        if rule.refused_counts || reader.as_ref().is_some_and(Reader::has_streamed) {
            return None;
        }
        if (400..500).contains(status) {
            return (!AMBIGUOUS.contains(status)).then_some(0);
        }
        let is_said = rule.dialect.is_some() && reader.as_ref().is_some_and(Reader::is_error);
        match status {
            status if is_said && OVERLOADED.contains(status) => Some(0),
            status if is_said && FAILED.contains(status) => Some(*sent),
            _ => None,
        }
    }
}

/// Whether an answer of this `Content-Type` is a stream of events; none where it is no JSON either.
fn form(content_type: &str) -> Option<bool> {
    let media_type = content_type.split([';', ',']).next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.as_str() {
        "text/event-stream" => Some(true),
        json if json.ends_with("+json") => Some(false),
        other => JSON.contains(&other).then_some(false),
    }
}

/// JSON, and JSON texts one after the other.
const JSON: [&str; 9] = [
    "application/json",
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonl",
    "application/jsonlines",
    "application/x-jsonlines",
    "application/json-seq",
    "text/json",
];
