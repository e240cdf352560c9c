//! One file for each parser, by the name of its target. What a check promises stands above it; `ALL` is all of them.

pub mod arguments;
pub mod body;
pub mod chain;
pub mod credential;
pub mod document;
pub mod header;
pub mod id;
pub mod idempotency;
pub mod jws;
pub mod leaks;
pub mod limit;
pub mod opaque;
pub mod order;
pub mod origin;
pub mod policy;
pub mod road;
pub mod root_secrets;
pub mod row;
pub mod scan;
pub mod scene;
pub mod sse;
pub mod time;
pub mod url;
pub mod wire;

use std::borrow::Cow;

/// Panics where a promise is broken.
pub type Check = fn(&[u8]);

/// Every check, by the name of its target and of its folder in `fuzz/corpus/`.
pub const ALL: [(&str, Check); 23] = [
    ("arguments", arguments::check),
    ("body", body::check),
    ("chain", chain::check),
    ("credential", credential::check),
    ("document", document::check),
    ("header", header::check),
    ("id", id::check),
    ("idempotency", idempotency::check),
    ("jws", jws::check),
    ("leaks", leaks::check),
    ("limit", limit::check),
    ("opaque", opaque::check),
    ("order", order::check),
    ("origin", origin::check),
    ("policy", policy::check),
    ("road", road::check),
    ("root_secrets", root_secrets::check),
    ("row", row::check),
    ("scan", scan::check),
    ("sse", sse::check),
    ("time", time::check),
    ("url", url::check),
    ("wire", wire::check),
];

/// Bytes as the platform hands them on: what is no UTF-8 is replaced.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// Bytes taken off the front, as numbers; zeros after the end.
struct Dice<'a>(&'a [u8]);

impl Dice<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// A number of two bytes.
    fn pair(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
