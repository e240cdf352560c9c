//! JSON objects whose members are asked for by name: each name once, and nothing chosen silently.

mod number;
mod scan;
#[cfg(test)]
mod tests;
mod text;
mod trail;

pub use scan::{Event, MAX_DEPTH, Path, Scanner, Shape, Value};

use crate::codec::work;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// More members than this has no object here; it bounds the search for doubled names.
const MAX_MEMBERS: usize = 64;

/// Up to here a double tells whole numbers apart (RFC 8259 §6): 2^53.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// The whole number that a double is, if it is one and not negative.
pub fn whole(number: f64) -> Option<u64> {
    let is_whole = number.is_sign_positive() && number <= MAX_EXACT && number.fract() == 0.0;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole and within bounds")]
    is_whole.then_some(number as u64)
}

/// Why an object is none that is taken here, for people.
const TWICE: &str = "An object has each member once: one stands there twice.";
const TOO_MANY: &str = "An object has at most 64 members.";

/// Why a text is not the object that was wanted, for people, without anything of it.
pub fn fault(error: &serde_json::Error) -> String {
    if !error.is_data() {
        return format!("The body is not well-formed JSON (line {}, column {}).", error.line(), error.column());
    }
    let said = error.to_string();
    let known = [TWICE, TOO_MANY].into_iter().find(|why| said.starts_with(why));
    known.unwrap_or("The body must be a JSON object.").to_owned()
}

/// The members of a JSON object; each name once.
#[derive(Default)]
pub struct Members(Vec<(String, Member)>);

/// A value as far as any reader here needs it.
pub enum Member {
    /// `null`.
    Null,
    /// `true` or `false`.
    Flag(bool),
    /// A whole number that is not negative, however it is written: `60`, `60.0` and `6e1` are one.
    Number(u64),
    /// Any other number.
    Decimal(f64),
    /// A text.
    Text(String),
    /// A list of texts; also an empty one.
    Texts(Vec<String>),
    /// A list of anything else.
    List(Vec<Member>),
    /// An object; each name once.
    Object(Members),
}

impl Members {
    /// Reads a text that is one object and nothing else.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        work::charge(text.len());
        serde_json::from_str(text)
    }

    /// The member `name`.
    pub fn get(&self, name: &str) -> Option<&Member> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Takes the member `name` out.
    pub fn take(&mut self, name: &str) -> Option<Member> {
        let place = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(place).1)
    }

    /// What is still there.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

fn read<'de, A: MapAccess<'de>>(mut map: A) -> Result<Members, A::Error> {
    let mut members: Vec<(String, Member)> = Vec::new();
    while let Some((name, value)) = map.next_entry::<String, Member>()? {
        work::charge(members.len());
        if members.iter().any(|(known, _)| *known == name) {
            return Err(A::Error::custom(TWICE));
        }
        if members.len() >= MAX_MEMBERS {
            return Err(A::Error::custom(TOO_MANY));
        }
        members.push((name, value));
    }
    Ok(Members(members))
}

impl<'de> Deserialize<'de> for Members {
    /// As a map, except that a name which comes twice is an error instead of a silent choice.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Members, A::Error> {
                read(map)
            }
        }

        deserializer.deserialize_map(Object)
    }
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Member;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Member, E> {
                Ok(Member::Flag(flag))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Member, E> {
                Ok(Member::Decimal(number as f64))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Member, E> {
                Ok(Member::Number(number))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Member, E> {
                Ok(whole(number).map_or(Member::Decimal(number), Member::Number))
            }

            fn visit_str<E>(self, text: &str) -> Result<Member, E> {
                Ok(Member::Text(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Member, E> {
                Ok(Member::Text(text))
            }

            fn visit_unit<E>(self) -> Result<Member, E> {
                Ok(Member::Null)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Member, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element::<Member>()? {
                    list.push(item);
                }
                if !list.iter().all(|item| matches!(item, Member::Text(_))) {
                    return Ok(Member::List(list));
                }
                let texts = list.into_iter().filter_map(|item| match item {
                    Member::Text(text) => Some(text),
                    _ => None,
                });
                Ok(Member::Texts(texts.collect()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Member, A::Error> {
                read(map).map(Member::Object)
            }
        }

        deserializer.deserialize_any(Any)
    }
}
