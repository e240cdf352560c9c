//! Events and usage: however the bytes of an answer arrive, its events are those that a reader of the whole text finds, and the usage
//! is the last one among them.
//!
//! The first byte says in how large parts the others arrive.

use claviger::{
    json::{Found, find},
    sse::{Events, MAX_EVENT_BYTES},
};

pub fn check(bytes: &[u8]) {
    let Some((size, text)) = bytes.split_first() else { return };
    let whole = naive(text);
    for size in [usize::from(*size).max(1), 1, text.len().max(1)] {
        let parts: Vec<&[u8]> = text.chunks(size).collect();
        assert_eq!(read(&parts), whole, "in parts of {size}");
    }
    for event in &whole {
        assert!(event.len() <= MAX_EVENT_BYTES);
        usage(event);
    }
}

/// The events, as they come out part by part.
pub fn read(parts: &[&[u8]]) -> Vec<Vec<u8>> {
    let (mut events, mut found) = (Events::default(), Vec::new());
    let mut keep = |data: &[u8]| found.push(data.to_vec());
    parts.iter().for_each(|part| events.feed(part, &mut keep));
    events.end(&mut keep);
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
    found.retain(|data| data.chars().count() <= MAX_EVENT_BYTES);
    found.into_iter().map(|data| data.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()).collect()
}

/// What stands in an event is what a reader of all of its members finds, where each of them is there once.
fn usage(event: &[u8]) {
    let Ok(text) = std::str::from_utf8(event) else { return };
    let (found, value) = (find(text, "usage.total"), serde_json::from_str::<serde_json::Value>(text));
    match (found, value) {
        // The naive reader gives up on what is very deep, or on numbers that are too large for it.
        (Ok(Found::Number(number)), Ok(value)) => assert_eq!(value["usage"]["total"].as_u64(), Some(number)),
        (Ok(Found::Missing), Ok(value)) => {
            assert!(
                value.is_null() || value.get("usage").is_none_or(|usage| usage.is_null() || usage["total"].is_null())
            );
        }
        (Err(_), Ok(_)) => panic!("the naive reader reads it"),
        (Ok(Found::Unfit) | Err(_), _) | (Ok(_), Err(_)) => {}
    }
}
