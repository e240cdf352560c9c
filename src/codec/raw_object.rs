//! A JSON object that is kept as it was sent: its members in their order, each name once, and every value to the letter.

use super::work;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::{collections::BTreeSet, fmt};

/// The members of a sound object, without its braces and without space between tokens: it has no line ends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Document(String);

impl Document {
    /// Reads an object, and leaves out the members of these names.
    pub fn parse(text: &str, without: &[&str]) -> Result<Self, serde_json::Error> {
        work::charge(text.len());
        let Members(members) = serde_json::from_str(text)?;
        let mut kept = Vec::new();
        for (name, value) in members {
            // A value as it is written was only skipped over: numbers, texts, depth and doubled names are looked at here.
            work::charge(2 * value.get().len());
            serde_json::from_str::<Sound>(value.get())?;
            if !without.contains(&name.as_str()) {
                kept.push(format!("{}:{}", serde_json::to_string(&name)?, without_space(value.get())));
            }
        }
        Ok(Self(kept.join(",")))
    }

    /// The members as one text, as they are stored.
    pub fn into_text(self) -> String {
        self.0
    }
}

/// Sound JSON without what stands between its tokens.
fn without_space(json: &str) -> String {
    let mut short = String::with_capacity(json.len());
    let (mut is_text, mut is_escaped) = (false, false);
    for character in json.chars() {
        if is_text {
            is_text = is_escaped || character != '"';
            is_escaped = !is_escaped && character == '\\';
        } else if character.is_ascii_whitespace() {
            continue;
        } else {
            is_text = character == '"';
        }
        short.push(character);
    }
    short
}

/// The members of an object, each name once.
struct Members(Vec<(String, Box<RawValue>)>);

/// A value that is sound at every depth.
struct Sound;

/// Every member, each name once.
fn members<'de, T: Deserialize<'de>, A: MapAccess<'de>>(mut map: A) -> Result<Vec<(String, T)>, A::Error> {
    let (mut members, mut names) = (Vec::new(), BTreeSet::new());
    while let Some((name, value)) = map.next_entry::<String, T>()? {
        if !names.insert(name.clone()) {
            return Err(A::Error::custom("a member twice"));
        }
        members.push((name, value));
    }
    Ok(members)
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Members, A::Error> {
                members(map).map(Members)
            }
        }

        deserializer.deserialize_map(Object)
    }
}

impl<'de> Deserialize<'de> for Sound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Sound;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_bool<E>(self, _: bool) -> Result<Sound, E> {
                Ok(Sound)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Sound, E> {
                Ok(Sound)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Sound, E> {
                Ok(Sound)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Sound, E> {
                Ok(Sound)
            }

            fn visit_str<E>(self, _: &str) -> Result<Sound, E> {
                Ok(Sound)
            }

            fn visit_unit<E>(self) -> Result<Sound, E> {
                Ok(Sound)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Sound, A::Error> {
                while items.next_element::<Sound>()?.is_some() {}
                Ok(Sound)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Sound, A::Error> {
                members::<Sound, A>(map).map(|_| Sound)
            }
        }

        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::Document;

    fn kept(text: &str) -> Option<String> {
        Document::parse(text, &["id", "version"]).ok().map(Document::into_text)
    }

    #[test]
    fn a_document_is_kept_to_the_letter_without_space_and_without_what_is_ours() {
        for (sent, stored) in [
            ("{}", ""),
            (" {\r\n\t} ", ""),
            ("{\"b\": 1.50, \"a\" : [ 1 , 2e+2,\n{ } ] }", "\"b\":1.50,\"a\":[1,2e+2,{}]"),
            ("{\"n\":123456789012345678901234567890}", "\"n\":123456789012345678901234567890"),
            ("{\"a\":\" x \\\" y \\\\\", \"b\":\"\\n {\"}", "\"a\":\" x \\\" y \\\\\",\"b\":\"\\n {\""),
            ("{\"id\":\"x\",\"a\":{\"id\":1},\"version\":null}", "\"a\":{\"id\":1}"),
            ("{\"\\u0069d\":1,\"\\u0061\":\"\\u00e4ä\"}", "\"a\":\"\\u00e4ä\""),
            ("{\"\":\"\"}", "\"\":\"\""),
        ] {
            assert_eq!(kept(sent).as_deref(), Some(stored), "{sent}");
        }
    }

    #[test]
    fn a27_what_is_not_one_sound_object_is_refused() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(200), "]".repeat(200));
        let deeper = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        for text in [
            "",
            "[]",
            "null",
            "\"a\"",
            "{",
            "{} {}",
            "{\"a\":1,\"a\":2}",
            "{\"a\":1,\"\\u0061\":2}",
            "{\"a\":{\"b\":1,\"b\":2}}",
            "{\"a\":[{\"b\":1,\"b\":2}]}",
            "{\"a\":NaN}",
            "{\"a\":1e400}",
            "{\"a\":01}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":\"\n\"}",
            "{\"id\":{\"b\":1,\"b\":2}}",
            &deep,
            &deeper,
        ] {
            assert_eq!(kept(text), None, "{}", text.get(..40).unwrap_or(text));
        }
        let sound = format!("{{\"a\":{}1{}}}", "[".repeat(100), "]".repeat(100));
        assert!(kept(&sound).is_some());
    }
}
