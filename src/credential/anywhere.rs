//! A credential of ours by its form, wherever it stands and however it is packed: plain, percent-encoded or in base64.

use super::{Door, OPAQUE_CHARACTERS};
use crate::{codec::work, world::upstream::percent_decoded};
use std::borrow::Cow;

/// A URL within a URL within a header; beyond that nobody unpacks it by accident.
const PERCENT_LAYERS: usize = 3;

/// The shortest credential in base64: brand of two characters, `_st_`, and what follows.
const SHORTEST_PACKED: usize = (2 + 4 + OPAQUE_CHARACTERS) * 4 / 3;

impl Door<'_> {
    /// Whether something that looks like a credential of ours stands anywhere in a text.
    pub fn holds_credential(&self, text: &str) -> bool {
        let mut layer = Cow::Borrowed(text);
        for _ in 0..PERCENT_LAYERS {
            if self.holds_layer(&layer) {
                return true;
            }
            match percent_decoded(&layer) {
                Some(decoded) => layer = decoded.into(),
                None => return false,
            }
        }
        self.holds_layer(&layer)
    }

    /// As it stands, or in base64.
    fn holds_layer(&self, text: &str) -> bool {
        work::charge(text.len());
        if self.says_brand(text.as_bytes()) && self.is_within(text) {
            return true;
        }
        if text.len() < SHORTEST_PACKED {
            return false;
        }
        let runs = text.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '+' | '/' | '-' | '_'));
        runs.filter(|run| run.len() >= SHORTEST_PACKED).any(|run| {
            // What stands before it may be of the same letters: then it begins at another place.
            (0..4).any(|start| {
                let bytes = unpacked(run.as_bytes().get(start..).unwrap_or_default());
                self.says_brand(&bytes) && self.is_within(&String::from_utf8_lossy(&bytes))
            })
        })
    }

    /// Whether as much of a credential stands in it that it could be one: an id or a name may begin like one.
    fn is_within(&self, text: &str) -> bool {
        self.is_like_credential(&format!(" {text}"))
    }

    /// Whether the brand stands before a `_` in it, in any case: hardly anything that is no credential has that.
    fn says_brand(&self, text: &[u8]) -> bool {
        work::charge(text.len());
        let brand = self.brand.as_bytes();
        let mut places = text.iter().enumerate().filter(|(_, byte)| **byte == b'_').map(|(at, _)| at);
        places.any(|at| {
            let before = at.checked_sub(brand.len()).and_then(|start| text.get(start..at));
            before.is_some_and(|before| before.eq_ignore_ascii_case(brand))
        })
    }
}

/// The bytes of base64 in either alphabet, as far as it goes.
fn unpacked(text: &[u8]) -> Vec<u8> {
    work::charge(text.len());
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            _ => 63,
        };
        (bits, count) = (bits << 6 | u32::from(value), count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xFF).unwrap_or_default());
        }
    }
    bytes
}
