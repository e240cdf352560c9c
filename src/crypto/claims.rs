//! What a genuine token says: of whom, for whom, and for how long (RFC 7519 §4.1).

use super::jwt::Payload;
use crate::{
    codec::time::Timestamp,
    json::{Member, Members},
};

/// The longest life, from `iat` to `exp`.
pub const MAX_LIFE_SECONDS: u64 = 3_600;

/// How far the clock of whoever signed may be ahead.
pub const SKEW_SECONDS: u64 = 60;

/// The claims of a token that is not one object: also what has more members than any of ours, as `docs/identity.md` says.
const NO_OBJECT: &str = "The token's payload must be a JSON object in UTF-8 that has each member once, and at most 64; so must each object in it.";

/// The longest `sub`, in characters.
const MAX_SUBJECT: usize = 255;

/// The claims of a token that are sound in themselves.
#[derive(Debug)]
pub struct Claims {
    subject: String,
    audience: Vec<String>,
    /// Milliseconds since 1970, as the others.
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
        let mut members = text.and_then(|text| Members::parse(text).ok()).ok_or(Unfit::Unsound(NO_OBJECT))?;
        let subject = match members.take("sub") {
            None => return Err(Unfit::Unsound("The claim `sub` is missing: your own id of whoever is signed in.")),
            Some(Member::Text(text)) if is_subject(&text) => text,
            Some(_) => {
                return Err(Unfit::Unsound("`sub` must be a text of 1 to 255 characters without control characters."));
            }
        };
        let audience = match members.take("aud") {
            None => return Err(Unfit::Unsound("The claim `aud` is missing: the workspace's id.")),
            Some(Member::Text(text)) => vec![text],
            Some(Member::Texts(texts)) => texts,
            _ => return Err(Unfit::Unsound("`aud` must be the workspace's id, or a list of texts with it.")),
        };
        let issued_at = members.take("iat").ok_or(Unfit::Unsound("The claim `iat` is missing: seconds since 1970."))?;
        let expires_at =
            members.take("exp").ok_or(Unfit::Unsound("The claim `exp` is missing: seconds since 1970."))?;
        let (Some(issued_at), Some(expires_at)) = (millis(&issued_at), millis(&expires_at)) else {
            return Err(Unfit::Unsound("`iat` and `exp` must be numbers: seconds since 1970."));
        };
        let not_before = match members.take("nbf").map(|nbf| millis(&nbf)) {
            None => 0,
            Some(Some(moment)) => moment,
            Some(None) => return Err(Unfit::Unsound("`nbf` must be a number: seconds since 1970.")),
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
            Some(life) if life > MAX_LIFE_SECONDS * 1_000 => {
                return Err(Unfit::Unsound("`exp` may be at most 3600 seconds after `iat`; both are in seconds."));
            }
            Some(_) => {}
        }
        let ahead = Timestamp(self.issued_at.max(self.not_before));
        if ahead > at.plus_seconds(SKEW_SECONDS) {
            return Err(Unfit::Unsound("`iat` or `nbf` lies ahead: is the clock of your server right?"));
        }
        if Timestamp(self.expires_at) <= at {
            return Err(Unfit::Expired);
        }
        Ok(self.subject)
    }
}

/// A NumericDate (RFC 7519 §2): seconds since 1970, whole or with a fraction, which counts to the millisecond.
fn millis(date: &Member) -> Option<u64> {
    match date {
        Member::Number(seconds) => Some(seconds.saturating_mul(1_000)),
        // Whole and fraction apart, so that two dates an hour apart are that to the millisecond. What is too long for a number
        // becomes the longest one.
        Member::Decimal(seconds) if *seconds >= 0.0 => {
            let (whole, fraction) = (seconds.trunc() as u64, (seconds.fract() * 1_000.0).round() as u64);
            Some(whole.saturating_mul(1_000).saturating_add(fraction))
        }
        _ => None,
    }
}

fn is_subject(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= MAX_SUBJECT && !text.chars().any(char::is_control)
}
