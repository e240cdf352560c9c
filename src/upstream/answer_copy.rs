//! An answer of the upstream, copied as it passes: whoever repeats the request with its `Idempotency-Key` gets it again.

use crate::{
    codec::cbor::Bytes,
    error::Reason,
    gateway::{
        store_answers::{Answer, Cause},
        store_once::{Command, Outcome},
    },
    json::{Member, Members},
    machines::credential::{self, Credential},
    object::machine::World,
    policy::Route,
};

/// The longest body that is kept: 1 MiB.
pub const MAX_BYTES: usize = 1 << 20;

/// Statuses with which every upstream says that it did nothing: not authenticated, not allowed, too many requests.
const REFUSED: [u16; 3] = [401, 403, 429];

/// The state of the resource is in the way; or an earlier request with the same key is still under way.
const CONFLICT: u16 = 409;

/// Frees a key, where the route says so, only with a `Retry-After`: without one it may be a proxy that lost the upstream halfway.
const UNAVAILABLE: u16 = 503;

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
        drop(self.end(if is_lost { Outcome::Lost } else { Outcome::Nothing }, None, world).await);
    }

    /// It was answered with this status, which proves that nothing was done: the key is free for the same request.
    pub async fn refused(&self, status: u16, world: &impl World) {
        drop(self.end(Outcome::Nothing, Some(status), world).await);
    }

    /// Tells the object how it ended; once more where that did not arrive.
    async fn end(&self, outcome: Outcome, refused: Option<u16>, world: &impl World) -> Result<(), Reason> {
        let mut is_again = false;
        loop {
            let command = Command::End(self.key, self.id.clone(), outcome.clone(), refused);
            match world.ask::<Credential>(&self.object, credential::Command::Once(Box::new(command))).await {
                Err(Reason::Unavailable | Reason::ObjectFailed) if !is_again => is_again = true,
                told => return told.map(drop),
            }
        }
    }
}

/// What has passed so far.
#[derive(Debug)]
pub struct ResponseRecorder {
    attempt: Attempt,
    answer: Answer,
    is_too_long: bool,
    /// This isolate had no room for it.
    has_no_room: bool,
}

impl ResponseRecorder {
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
        let is_refused = answer.status == CONFLICT && !is_too_long && is_whole && says_in_progress(&answer.body.0);
        let refused = is_refused.then_some(answer.status);
        let outcome = match (is_too_long, is_whole) {
            _ if Route::is_unknown(answer.status) => Outcome::Lost,
            _ if is_refused => Outcome::Nothing,
            (true, _) => Outcome::NotKept(answer.status, Cause::TooLong),
            _ if has_no_room => Outcome::NotKept(answer.status, Cause::NoRoom),
            (false, false) => Outcome::NotKept(answer.status, Cause::BrokeOff),
            (false, true) => Outcome::Answered(answer),
        };
        attempt.end(outcome, refused, world).await
    }
}

/// Whether the head of an answer proves that the upstream did nothing.
pub fn is_refusal(status: u16, headers: &[(String, String)], route: &Route) -> bool {
    let says_when = || headers.iter().any(|(name, value)| name == "retry-after" && !value.trim().is_empty());
    match status {
        _ if Route::is_unknown(status) => false,
        status if REFUSED.contains(&status) => true,
        // Whoever says when the same request will do says that it was not done now.
        CONFLICT => says_when() || route.idempotency_frees.contains(&status),
        UNAVAILABLE => says_when() && route.idempotency_frees.contains(&status),
        status => route.idempotency_frees.contains(&status),
    }
}

/// Whether an error says, by a code or type that names the idempotency key, that an earlier request with it is under way: as in
/// `idempotency_key_in_use`, `IDEMPOTENCY_CONCURRENT_REQUEST` or "A request is outstanding for this Idempotency-Key".
fn says_in_progress(body: &[u8]) -> bool {
    const NAMES: [&str; 5] = ["code", "type", "name", "title", "error"];
    let members = std::str::from_utf8(body).ok().and_then(|text| Members::parse(text).ok());
    let Some(members) = members else { return false };
    let inner = match members.get("error") {
        Some(Member::Object(inner)) => Some(inner),
        _ => None,
    };
    let texts = [Some(&members), inner].into_iter().flatten().flat_map(|members| {
        NAMES.into_iter().filter_map(|name| match members.get(name) {
            Some(Member::Text(text)) => Some(text),
            _ => None,
        })
    });
    texts.into_iter().any(|text| {
        let words = words(text);
        let is_about_key = words.iter().any(|word| word.starts_with("idempoten"));
        let is_pair = words
            .iter()
            .zip(words.iter().skip(1))
            .any(|(one, next)| one == "in" && matches!(next.as_str(), "progress" | "use" | "flight"));
        let is_one = |word: &String| matches!(&**word, "concurrent" | "outstanding" | "pending" | "processing");
        is_about_key && (is_pair || words.iter().any(is_one))
    })
}

/// The words of a code, however it joins them: `in_use`, `IN_USE`, `in-use`, `InUse`.
fn words(code: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for character in code.chars() {
        let begins = character.is_ascii_uppercase() && was_lower;
        if begins || !character.is_ascii_alphanumeric() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| character.is_ascii_alphanumeric()) {
            word.push(character.to_ascii_lowercase());
        }
        was_lower = character.is_ascii_lowercase() || character.is_ascii_digit();
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::says_in_progress;

    #[test]
    fn f3_a_conflict_is_in_progress_only_by_a_code_that_names_the_key_and_says_so() {
        for body in [
            r#"{"error":{"type":"idempotency_error","code":"idempotency_key_in_use"}}"#,
            r#"{"success":false,"code":"idempotency_in_progress"}"#,
            r#"{"name":"concurrent_idempotent_requests"}"#,
            r#"{"error":{"code":"IDEMPOTENCY_CONCURRENT_REQUEST"}}"#,
            r#"{"type":"https://api.example/idempotency","title":"A request is outstanding for this Idempotency-Key"}"#,
            r#"{"error":"idempotency-key-in-use"}"#,
            r#"{"error":{"code":"IdempotencyKeyInUse"}}"#,
            r#"{"error":{"type":"idempotencyRequestInFlight"}}"#,
            r#"{"code":"idempotency_key_processing"}"#,
        ] {
            assert!(says_in_progress(body.as_bytes()), "{body}");
        }
        for body in [
            "",
            "idempotency_key_in_use",
            r#"["idempotency_key_in_use"]"#,
            r#"{"code":"conflict"}"#,
            r#"{"code":"in_progress"}"#,
            r#"{"code":"invalid_idempotent_request"}"#,
            r#"{"code":"idempotency_key_reused"}"#,
            r#"{"message":"idempotency_key_in_use"}"#,
            r#"{"order":{"code":"idempotency_key_in_use"}}"#,
            r#"{"code":"idempotency_key_in_use","code":"x"}"#,
        ] {
            assert!(!says_in_progress(body.as_bytes()), "{body}");
        }
    }
}
