//! An answer of the API behind, copied as it passes: whoever repeats the request with its `Idempotency-Key` gets it again.

use crate::{
    error::Reason,
    machine::World,
    registry::{
        credential::{self, Credential},
        kept::{Answer, Cause},
        once::{Command, Outcome},
    },
    wire::Bytes,
};

/// The longest body that is kept: 1 MiB.
pub const MAX_BYTES: usize = 1 << 20;
/// Statuses of somebody in between who gave up waiting for the API (RFC 9110 §15.6.5, and those of a well-known edge): nobody knows
/// whether it has done what was asked.
const GAVE_UP: [std::ops::RangeInclusive<u16>; 2] = [504..=504, 520..=527];

/// The longest headers.
const MAX_HEADER_BYTES: usize = 64 << 10;

/// The one attempt of a request that went out.
#[derive(Debug)]
pub struct Attempt {
    /// The object of the credential that made it.
    pub object: String,
    /// The digest of the key.
    pub key: [u8; 32],
    /// The id of the request.
    pub id: String,
}

impl Attempt {
    /// It ended without an answer, for this reason. Where its object cannot be told, that gives it up by itself.
    pub async fn failed(&self, reason: &Reason, world: &impl World) {
        // Whatever else is refused is refused before anything goes out.
        let is_lost = matches!(reason, Reason::UpstreamFailed | Reason::UpstreamTimedOut);
        drop(self.end(if is_lost { Outcome::Lost } else { Outcome::Nothing }, world).await);
    }

    /// Tells the object how it ended; once more where that did not arrive.
    async fn end(&self, outcome: Outcome, world: &impl World) -> Result<(), Reason> {
        let mut is_again = false;
        loop {
            let command = Command::End(self.key, self.id.clone(), outcome.clone());
            match world.ask::<Credential>(&self.object, credential::Command::Once(Box::new(command))).await {
                Err(Reason::Unavailable | Reason::ObjectFailed) if !is_again => is_again = true,
                told => return told.map(drop),
            }
        }
    }
}

/// What has passed so far.
#[derive(Debug)]
pub struct Keeping {
    attempt: Attempt,
    answer: Answer,
    is_too_long: bool,
    /// This isolate had no room for it.
    has_no_room: bool,
}

impl Keeping {
    /// An answer of this status, with those of its headers that pass. Its cookies are for the one who got them.
    pub fn new(attempt: Attempt, status: u16, headers: &[(String, String)]) -> Self {
        // How long it is and how it is coded on its way, whoever sends it says anew.
        let stays = |name: &str| !matches!(name, "set-cookie" | "content-length");
        let headers: Vec<_> = headers.iter().filter(|(name, _)| stays(name)).cloned().collect();
        let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        let answer = Answer { status, headers, body: Bytes::default() };
        Self { attempt, answer, is_too_long: bytes > MAX_HEADER_BYTES, has_no_room: false }
    }

    /// A part of the body has come.
    pub fn feed(&mut self, part: &[u8]) {
        let body = &mut self.answer.body.0;
        self.is_too_long |= body.len().saturating_add(part.len()) > MAX_BYTES;
        if self.is_too_long || self.has_no_room {
            *body = Vec::new();
        } else {
            body.extend(part);
        }
    }

    /// Bytes that are held so far.
    pub fn held_bytes(&self) -> usize {
        self.answer.body.0.len()
    }

    /// There is no room to hold more: it is not kept.
    pub fn give_up(&mut self) {
        self.has_no_room = true;
        self.answer.body.0 = Vec::new();
    }

    /// Whether the rest must be read, for whoever asks again.
    pub fn goes_on(&self) -> bool {
        !self.is_too_long && !self.has_no_room
    }

    /// It is over: kept, or known to be answered.
    pub async fn end(self, is_whole: bool, world: &impl World) -> Result<(), Reason> {
        let Self { attempt, answer, is_too_long, has_no_room } = self;
        let outcome = match (is_too_long, is_whole) {
            _ if GAVE_UP.iter().any(|statuses| statuses.contains(&answer.status)) => Outcome::Lost,
            (true, _) => Outcome::NotKept(answer.status, Cause::TooLong),
            _ if has_no_room => Outcome::NotKept(answer.status, Cause::NoRoom),
            (false, false) => Outcome::NotKept(answer.status, Cause::BrokeOff),
            (false, true) => Outcome::Answered(answer),
        };
        attempt.end(outcome, world).await
    }
}
