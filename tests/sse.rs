//! Server-sent events against a reader of the whole text: any text, in any parts, and of any length.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

#[path = "../fuzz/src/checks/sse.rs"]
mod sse;

use proptest::prelude::*;
use sse::{check, naive, read};

/// What streams are made of, and what comes near it.
const PIECES: [&str; 22] = [
    "data: ",
    "data:",
    "data",
    "\n",
    "\n\n",
    "\r",
    "\r\n",
    "\r\n\r\n",
    ":",
    " ",
    "event: usage\n",
    "id: 1\r",
    "retry: 5\n",
    "x",
    "{\"usage\":{\"total\":7}}",
    "{\"usage\":",
    "{\"total\":12}}",
    "[DONE]",
    "\u{feff}",
    "é",
    ": data: x\n",
    "\0",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn events_come_out_the_same_however_they_are_cut(
        pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..40),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let text = pieces.concat().into_bytes();
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).chain([0, text.len()]).collect();
        places.sort_unstable();
        let parts: Vec<&[u8]> = places.windows(2).map(|ends| &text[ends[0]..ends[1]]).collect();
        prop_assert_eq!(read(&parts), naive(&text));
        check(&[&[3], text.as_slice()].concat());
    }
}

#[test]
fn an_event_of_any_length_is_read() {
    let fill = |bytes: usize| "x".repeat(bytes);
    let long = [
        format!("data: {}\n\n", fill(1 << 18)),
        format!("data:{}\ndata\n\n", fill(1 << 20)),
        format!("data: y\ndata: {}\r\r", fill(1 << 20)),
        format!("data: y\n: {}\nid: {}\ndata: z\n\n", fill(1 << 20), fill(1 << 19)),
        format!("{}\n\n", fill(1 << 20)),
    ]
    .concat();
    let whole = naive(long.as_bytes());
    assert_eq!(whole.len(), 4);
    for size in [1_000, 4_096, 1 << 18, long.len()] {
        let parts: Vec<&[u8]> = long.as_bytes().chunks(size).collect();
        assert!(read(&parts) == whole, "in parts of {size}");
    }
}
