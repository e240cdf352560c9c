//! Bodies: JSON objects whose members are asked for by name. What nobody asked for is refused.

use super::header_list;
use crate::{
    codec::{secret::Secret, time::Timestamp},
    credential::Door,
    error::{Part, Reason},
    json::{self, Member, Members},
    object::machine::World,
};

/// The longest body that is read: 1 MiB.
pub const MAX_BYTES: usize = 1 << 20;

/// The members of a JSON object; each name once.
#[derive(Default)]
pub struct Fields {
    members: Members,
    /// The names that were asked for: all that this call takes.
    known: Vec<String>,
}

/// The bytes of a body, and its members; or why there are none.
pub type Read = Result<(Vec<u8>, Fields), Reason>;

/// The bytes of a body with its members. No body is an empty object.
pub fn read(bytes: Result<Vec<u8>, Reason>) -> Read {
    let bytes = bytes?;
    let fields = if bytes.is_empty() { Fields::default() } else { Fields::parse(&bytes)? };
    Ok((bytes, fields))
}

/// Whether the head says that what is sent is no JSON: refused before it is read.
pub fn is_other_than_json(declared: Option<usize>, world: &impl World) -> bool {
    let is_empty = declared == Some(0);
    let says = world.header("content-type").map(|content_type| is_json(&content_type));
    // Without any word and without a length there may be no body at all.
    says == Some(false) && !is_empty || says.is_none() && declared.is_some_and(|length| length > 0) || is_coded(world)
}

/// Whether the head says that it is JSON.
pub fn says_json(world: &impl World) -> bool {
    world.header("content-type").is_some_and(|content_type| is_json(&content_type))
}

/// Refuses a body that is not JSON by its headers.
pub fn require_json(world: &impl World) -> Result<(), Reason> {
    if says_json(world) && !is_coded(world) { Ok(()) } else { Err(Reason::UnsupportedMediaType) }
}

/// RFC 9110 §8.4: a coding that is not undone must not be ignored either. An empty list names none.
fn is_coded(world: &impl World) -> bool {
    let coding = world.header("content-encoding").unwrap_or_default();
    header_list::items(&coding).into_iter().any(|coding| !coding.eq_ignore_ascii_case("identity"))
}

/// `application/json`, with UTF-8 or no `charset` (RFC 8259 §8.1).
fn is_json(content_type: &str) -> bool {
    let (media_type, parameters) = header_list::media_type(content_type);
    let is_unfit = |(name, value): &(String, String)| name == "charset" && !value.eq_ignore_ascii_case("utf-8");
    media_type == "application/json" && !parameters.iter().any(is_unfit)
}

impl Fields {
    /// Parses a body. The reasons never repeat what was sent.
    pub fn parse(bytes: &[u8]) -> Result<Self, Reason> {
        let text = std::str::from_utf8(bytes).map_err(|_| Reason::invalid("", "The body is not well-formed UTF-8."))?;
        let read = Members::parse(text).map(|members| Self { members, known: Vec::new() });
        read.map_err(|error| Reason::invalid("", &json::fault(&error)))
    }

    /// A text that must be there, of 1 to `max` characters without control characters.
    pub fn text(&mut self, name: &str, max: usize) -> Result<String, Reason> {
        required(name, self.optional_text(name, max)?, &texts_rule(max))
    }

    /// A text that may be missing or `null`.
    pub fn optional_text(&mut self, name: &str, max: usize) -> Result<Option<String>, Reason> {
        let why = texts_rule(max);
        match self.take(name) {
            None => Ok(None),
            Some(Member::Text(text)) => {
                let sound = !text.is_empty() && text.chars().count() <= max && !text.chars().any(char::is_control);
                if sound { Ok(Some(text)) } else { Err(Reason::invalid(name, &why)) }
            }
            Some(_) => Err(Reason::invalid(name, &why)),
        }
    }

    /// One of a few words; may be missing or `null`. Anything else is told which there are.
    pub fn one_of<T>(
        &mut self,
        name: &str,
        rule: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Reason> {
        let value = match self.take(name) {
            None => return Ok(None),
            Some(Member::Text(text)) => parse(&text),
            Some(_) => None,
        };
        value.map(Some).ok_or_else(|| Reason::invalid(name, rule))
    }

    /// What people call a thing, or say of it; may be missing. It is kept and shown, so nothing like a secret.
    pub fn label(&mut self, name: &str, max: usize, door: &Door) -> Result<Option<String>, Reason> {
        let text = self.optional_text(name, max)?;
        if text.as_deref().is_some_and(|text| door.is_like_secret(text)) {
            return Err(Reason::invalid(
                name,
                "This looks like a secret, which has no place here: treat it as leaked.",
            ));
        }
        Ok(text)
    }

    /// The same, which must be there.
    pub fn required_label(&mut self, name: &str, max: usize, door: &Door) -> Result<String, Reason> {
        required(name, self.label(name, max, door)?, &texts_rule(max))
    }

    /// A text of any characters that must be there; empty ones are not.
    pub fn prose(&mut self, name: &str, max_bytes: usize) -> Result<String, Reason> {
        const RULE: &str = "A text that is not empty.";
        match self.take(name) {
            None => Err(Reason::missing(Part::Member, name, RULE)),
            Some(Member::Text(text)) if text.len() > max_bytes => Err(Reason::BodyTooLarge(max_bytes)),
            Some(Member::Text(text)) if !text.trim().is_empty() => Ok(text),
            Some(_) => Err(Reason::invalid(name, RULE)),
        }
    }

    /// A token that may be missing or `null`: any text, also an empty one, since its own reader says what is sound.
    pub fn optional_token(&mut self, name: &str) -> Result<Option<Secret>, Reason> {
        match self.take(name) {
            None => Ok(None),
            Some(Member::Text(text)) => Ok(Some(Secret::new(text))),
            Some(_) => Err(Reason::invalid(name, "A text.")),
        }
    }

    /// A whole number within bounds that may be missing or `null`.
    pub fn optional_number(&mut self, name: &str, min: u64, max: u64) -> Result<Option<u64>, Reason> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        match value {
            Member::Number(number) if (min..=max).contains(&number) => Ok(Some(number)),
            _ => Err(Reason::invalid(name, &format!("A whole number from {min} to {max}."))),
        }
    }

    /// `true` or `false`; may be missing or `null`.
    pub fn optional_flag(&mut self, name: &str) -> Result<Option<bool>, Reason> {
        match self.take(name) {
            None => Ok(None),
            Some(Member::Flag(flag)) => Ok(Some(flag)),
            Some(_) => Err(Reason::invalid(name, "Either true or false.")),
        }
    }

    /// A list of texts that may be missing or `null`.
    pub fn optional_texts(&mut self, name: &str, max: usize) -> Result<Option<Vec<String>>, Reason> {
        match self.take(name) {
            None => Ok(None),
            Some(Member::Texts(texts)) if texts.len() <= max => Ok(Some(texts)),
            Some(_) => Err(Reason::invalid(name, &format!("A list of at most {max} texts."))),
        }
    }

    /// A member of any shape that may be missing or `null`.
    pub fn take_member(&mut self, name: &str) -> Option<Member> {
        self.take(name)
    }

    /// Whether the member is there and `null`; takes it then.
    pub fn take_null(&mut self, name: &str) -> bool {
        self.knows(name);
        matches!(self.members.get(name), Some(Member::Null)) && self.members.take(name).is_some()
    }

    /// These are not for this call: they were looked for only to say so.
    pub fn forget(&mut self, names: &[&str]) {
        self.known.retain(|known| !names.contains(&known.as_str()));
    }

    /// Nothing may be left: what nobody asked for is refused, with all that was.
    pub fn finish(self) -> Result<(), Reason> {
        let known: Vec<&str> = self.known.iter().map(String::as_str).collect();
        match self.members.names().next() {
            None => Ok(()),
            Some(name) => Err(Reason::unknown(Part::Member, name, &known)),
        }
    }

    fn take(&mut self, name: &str) -> Option<Member> {
        self.knows(name);
        self.members.take(name).filter(|value| !matches!(value, Member::Null))
    }

    fn knows(&mut self, name: &str) {
        if !self.known.iter().any(|known| known == name) {
            self.known.push(name.to_owned());
        }
    }
}

fn texts_rule(max: usize) -> String {
    format!("A text of 1 to {max} characters without control characters.")
}

/// Reads a moment.
pub fn moment(name: &str, text: Option<String>) -> Result<Option<Timestamp>, Reason> {
    let unfit = || Reason::invalid(name, "A moment as RFC 3339 writes it, like 2026-01-31T12:00:00Z.");
    text.map(|text| Timestamp::parse_rfc3339(&text).ok_or_else(unfit)).transpose()
}

/// The member, which must be there; else the answer says what it should be.
pub fn required<T>(name: &str, member: Option<T>, wanted: &str) -> Result<T, Reason> {
    member.ok_or_else(|| Reason::missing(Part::Member, name, wanted))
}

#[cfg(test)]
mod tests {
    use super::Fields;

    #[test]
    fn a27_what_is_not_one_sound_object_is_refused_without_repeating_it() {
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let deep_member = format!("{{\"text\":{deep}}}");
        for body in [
            "",
            "{",
            "[]",
            "1",
            "null",
            "\"secret\"",
            "{\"a\":1,\"a\":2}",
            "{\"a\":NaN}",
            "{\"a\":1e400}",
            "{\"a\":\"\\ud800\"}",
            "{} x",
            "\u{feff}{}",
            &deep,
            &deep_member,
        ] {
            let refused = Fields::parse(body.as_bytes()).err().map(|reason| format!("{reason:?}"));
            assert!(refused.is_some_and(|reason| !reason.contains("secret")), "{}", body.len());
        }
        assert!(Fields::parse(b"{\"a\":\"\xff\"}").is_err());
    }

    #[test]
    fn a_member_nobody_asked_for_is_named() {
        let fields = Fields::parse(b"{\"is_admin\":true}");
        let reason = fields.and_then(Fields::finish).err().map(|reason| format!("{reason:?}"));
        assert!(reason.is_some_and(|reason| reason.contains("is_admin")));
    }
}
