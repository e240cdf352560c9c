//! Events: however the bytes of an answer arrive, its events are those that a reader of the whole text finds.
//!
//! The first byte says in how large parts the others arrive.

use claviger::codec::sse::{Events, Piece};

pub fn check(bytes: &[u8]) {
    let Some((size, text)) = bytes.split_first() else { return };
    let whole = naive(text);
    for size in [usize::from(*size).max(1), 1, text.len().max(1)] {
        let parts: Vec<&[u8]> = text.chunks(size).collect();
        assert_eq!(read(&parts), whole, "in parts of {size}");
    }
}

/// The events, as they come out part by part.
pub fn read(parts: &[&[u8]]) -> Vec<Vec<u8>> {
    let (mut events, mut found, mut data) = (Events::default(), Vec::new(), Vec::new());
    let mut keep = |piece: Piece| match piece {
        Piece::Data(bytes) => data.extend_from_slice(bytes),
        Piece::End => found.push(std::mem::take(&mut data)),
    };
    parts.iter().for_each(|part| events.feed(part, &mut keep));
    events.end(&mut keep);
    assert!(data.is_empty(), "data of no event");
    found
}

/// What the specification says, read from the whole text: lines, fields, and events at empty lines or at the end.
pub fn naive(text: &[u8]) -> Vec<Vec<u8>> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    // One byte is one character here, so that any bytes are text.
    let text: String = text.iter().map(|byte| char::from(*byte)).collect();
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let (mut found, mut data): (Vec<String>, Vec<&str>) = (Vec::new(), Vec::new());
    for line in text.split('\n').chain([""]) {
        match line.split_once(':').unwrap_or((line, "")) {
            ("", "") if line.is_empty() && !data.is_empty() => found.push(std::mem::take(&mut data).join("\n")),
            ("data", value) => data.push(value.strip_prefix(' ').unwrap_or(value)),
            _ => {}
        }
    }
    found.into_iter().map(|data| data.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()).collect()
}
