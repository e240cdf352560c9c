//! What a genuine token says: of whom, for whom, and for how long (RFC 7519 §4.1).

use super::Payload;
use crate::{
    json::{Member, Members},
    time::Timestamp,
};

/// The longest life, from `iat` to `exp`.
pub const MAX_LIFE_SECONDS: u64 = 3_600;

/// How far the clock of whoever signed may be ahead.
pub const SKEW_SECONDS: u64 = 60;

/// The longest `sub`, in characters.
const MAX_SUBJECT: usize = 255;

/// The claims of a token that are sound in themselves.
#[derive(Debug)]
pub struct Claims {
    subject: String,
    audience: Vec<String>,
    issued_at: u64,
    not_before: u64,
    expires_at: u64,
}

/// Why a genuine token proves nothing here and now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unfit {
    /// It is for somebody else.
    Audience,
    /// Its time is over.
    Expired,
    /// Whoever signs makes it wrong; for people: what would be right.
    Unsound(&'static str),
}

impl Claims {
    /// Reads the claims; each name once, and none of another type.
    pub fn parse(payload: &Payload) -> Result<Self, Unfit> {
        let text = std::str::from_utf8(payload.bytes()).ok();
        let mut members = text.and_then(|text| Members::parse(text).ok()).ok_or(Unfit::Unsound(
            "The token's payload must be a JSON object in UTF-8 that has each member once, and at most 64.",
        ))?;
        let subject = match members.take("sub") {
            Some(Member::Text(text)) if is_subject(&text) => text,
            _ => {
                return Err(Unfit::Unsound("`sub` must be a text of 1 to 255 characters without control characters."));
            }
        };
        let audience = match members.take("aud") {
            Some(Member::Text(text)) => vec![text],
            Some(Member::Texts(texts)) => texts,
            _ => return Err(Unfit::Unsound("`aud` must be the workspace's id, or a list of texts with it.")),
        };
        let (Some(Member::Number(issued_at)), Some(Member::Number(expires_at))) =
            (members.take("iat"), members.take("exp"))
        else {
            return Err(Unfit::Unsound("`iat` and `exp` must be whole numbers: seconds since 1970."));
        };
        let not_before = match members.take("nbf") {
            None => 0,
            Some(Member::Number(seconds)) => seconds,
            Some(_) => return Err(Unfit::Unsound("`nbf` must be a whole number: seconds since 1970.")),
        };
        Ok(Self { subject, audience, issued_at, not_before, expires_at })
    }

    /// Of whom, if the token is for `audience` and holds at this moment.
    pub fn subject_for(self, audience: &str, at: Timestamp) -> Result<String, Unfit> {
        if !self.audience.iter().any(|one| one == audience) {
            return Err(Unfit::Audience);
        }
        match self.expires_at.checked_sub(self.issued_at) {
            None | Some(0) => return Err(Unfit::Unsound("`exp` must be later than `iat`.")),
            Some(life) if life > MAX_LIFE_SECONDS => {
                return Err(Unfit::Unsound("`exp` may be at most 3600 seconds after `iat`; both are in seconds."));
            }
            Some(_) => {}
        }
        let ahead = Timestamp::default().plus_seconds(self.issued_at.max(self.not_before));
        if ahead > at.plus_seconds(SKEW_SECONDS) {
            return Err(Unfit::Unsound("`iat` or `nbf` lies ahead: is the clock of your server right?"));
        }
        if Timestamp::default().plus_seconds(self.expires_at) <= at {
            return Err(Unfit::Expired);
        }
        Ok(self.subject)
    }
}

fn is_subject(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= MAX_SUBJECT && !text.chars().any(char::is_control)
}
