//! The names of records and of the collections that they are in.

use crate::{
    codec::{
        base62,
        cbor::{Malformed, Reader, Wire, Writer},
        time::Timestamp,
    },
    error::Reason,
};

/// Which collection: in a path, so it needs no encoding.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Collection(String);

/// Which record of a collection: made here, or chosen by whoever puts it there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RecordId(String);

impl Collection {
    /// What may be one, for people.
    pub const RULE: &str = "A collection's name is 1 to 64 of a-z, 0-9, _ and -.";

    /// Reads a segment of a path.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        let of = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
        let is_sound = (1..=64).contains(&text.len()) && text.bytes().all(of);
        if is_sound { Ok(Self(text.to_owned())) } else { Err(Reason::invalid("collection", Self::RULE)) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl RecordId {
    /// Reads a segment of a path.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        let of = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        let is_sound = (1..=128).contains(&text.len()) && text.bytes().all(of);
        let rule = "A record's id is 1 to 128 of a-z, A-Z, 0-9, _, - and dots.";
        if is_sound { Ok(Self(text.to_owned())) } else { Err(Reason::invalid("id", rule)) }
    }

    /// A fresh one, which sorts by time.
    pub fn issue(at: Timestamp, random: [u8; 16]) -> Self {
        let (at, random) = (base62::encode(u128::from(at.0), 7), base62::encode(u128::from_le_bytes(random), 13));
        Self(format!("rec_{at}{random}"))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Wire for Collection {
    fn put(&self, writer: &mut Writer) {
        self.0.put(writer);
    }

    fn take(reader: &mut Reader) -> Result<Self, Malformed> {
        Self::parse(&String::take(reader)?).map_err(|_| Malformed)
    }
}

impl Wire for RecordId {
    fn put(&self, writer: &mut Writer) {
        self.0.put(writer);
    }

    fn take(reader: &mut Reader) -> Result<Self, Malformed> {
        Self::parse(&String::take(reader)?).map_err(|_| Malformed)
    }
}
