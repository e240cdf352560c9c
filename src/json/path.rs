//! One whole number in a text of JSON, by the path of its member: everything else is only looked over.

use crate::work;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// What stands at a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Found {
    /// Nothing, or `null`.
    Missing,
    /// A whole number, not negative, and written as one.
    Number(u64),
    /// Anything else; also what stands there twice, since nobody knows which of the two another reader takes.
    Unfit,
}

/// Looks for the number at `path`, names with dots between them. The text is one JSON value and nothing else, of any depth.
pub fn find(text: &str, path: &str) -> Result<Found, serde_json::Error> {
    work::charge(text.len());
    let mut reader = serde_json::Deserializer::from_str(text);
    let found = Seek(path).deserialize(&mut reader)?;
    reader.end()?;
    Ok(found)
}

/// What is left of the path; empty where the number must be.
struct Seek<'p>(&'p str);

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Found, E> {
        Ok(Found::Unfit)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Found, E> {
        Ok(Found::Unfit)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Found, E> {
        Ok(if self.0.is_empty() { Found::Number(number) } else { Found::Unfit })
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Found, E> {
        Ok(Found::Unfit)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Found, E> {
        Ok(Found::Unfit)
    }

    fn visit_unit<E: Error>(self) -> Result<Found, E> {
        Ok(Found::Missing)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Found, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Found::Unfit)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let (first, rest) = self.0.split_once('.').unwrap_or((self.0, ""));
        let mut found = None;
        while let Some(name) = map.next_key::<String>()? {
            if name == first && !first.is_empty() {
                let value = map.next_value_seed(Seek(rest))?;
                found = Some(if found.is_none() { value } else { Found::Unfit });
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(if first.is_empty() { Found::Unfit } else { found.unwrap_or(Found::Missing) })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{Found, find};

    #[test]
    fn a_number_is_found_where_the_path_leads_and_nowhere_else() {
        for (text, path, found) in [
            ("{\"max_tokens\":7}", "max_tokens", Found::Number(7)),
            ("{\"max\\u005ftokens\":7}", "max_tokens", Found::Number(7)),
            ("{\"a\":{\"b\":{\"c\":0}},\"c\":1}", "a.b.c", Found::Number(0)),
            ("{\"u\":18446744073709551615}", "u", Found::Number(u64::MAX)),
            ("{\"a\":[{\"b\":1}],\"b\":2}", "a.b", Found::Unfit),
            ("{\"b\":{\"a\":1}}", "a", Found::Missing),
            ("{\"a\":{\"c\":1}}", "a.b", Found::Missing),
            ("{\"a\":null}", "a.b", Found::Missing),
            ("{\"a\":{\"b\":null}}", "a.b", Found::Missing),
            ("{\"a\":1,\"a\":2}", "a", Found::Unfit),
            ("{\"a\":null,\"a\":2}", "a", Found::Unfit),
            ("{\"a\":{\"b\":1},\"a\":{}}", "a.b", Found::Unfit),
            ("null", "a", Found::Missing),
        ] {
            assert_eq!(find(text, path).unwrap(), found, "{text} {path}");
        }
        for value in ["-1", "-0", "1.0", "1e3", "18446744073709551616", "\"7\"", "true", "[7]", "{\"b\":7}", "[]", "{}"]
        {
            assert_eq!(find(&format!("{{\"a\":{value}}}"), "a").unwrap(), Found::Unfit, "{value}");
        }
        for value in ["1", "\"x\"", "[]", "[{\"a\":1}]"] {
            assert_eq!(find(value, "a").unwrap(), Found::Unfit, "{value}");
        }
        let deep = format!("{{\"x\":{}{},\"a\":3}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(find(&deep, "a").unwrap(), Found::Number(3));
        for text in ["", "[", "{} {}", "{\"a\":1,}", "{\"a\":01}", "{\"a\":1}x", "[DONE]"] {
            assert!(find(text, "a").is_err(), "{text}");
        }
    }
}
