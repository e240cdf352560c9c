//! Server-sent events against a reader of the whole text: any text, in any parts, and at the edges of what is kept.
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

use claviger::sse::MAX_EVENT_BYTES;
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
fn an_event_is_kept_up_to_its_limit_and_one_that_is_longer_takes_no_other_with_it() {
    let fill = |bytes: usize| "x".repeat(bytes);
    let long = [
        format!("data: {}\n\n", fill(MAX_EVENT_BYTES)),
        format!("data:{}\n\n", fill(MAX_EVENT_BYTES + 1)),
        format!("data: {}\n\n", fill(MAX_EVENT_BYTES + 1)),
        format!("data: {}\ndata\n\n", fill(MAX_EVENT_BYTES - 1)),
        format!("data: {}\ndata\n\n", fill(MAX_EVENT_BYTES)),
        format!("data: {}\ndata: y\n\n", fill(MAX_EVENT_BYTES * 2)),
        format!("data: y\ndata: {}\r\n\r\n", fill(MAX_EVENT_BYTES - 2)),
        format!("data: y\ndata: {}\r\rdata: z", fill(MAX_EVENT_BYTES - 1)),
        // A long line that is no data takes no event with it.
        format!("data: y\n: {}\nid: {}\ndata: z\n\n", fill(MAX_EVENT_BYTES * 3), fill(MAX_EVENT_BYTES * 2)),
        format!("{}\n\n", fill(MAX_EVENT_BYTES * 2)),
    ];
    for text in &long {
        for text in [text.clone(), format!("data: before\n\n{text}data: after\n\n")] {
            let whole = naive(text.as_bytes());
            for size in [1_000, 4_096, MAX_EVENT_BYTES, text.len()] {
                let parts: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
                assert!(read(&parts) == whole, "{} bytes in parts of {size}", text.len());
            }
        }
    }
    let all = long.concat();
    assert_eq!(naive(all.as_bytes()).len(), 4, "the naive reader knows the limit too");
    assert!(read(&[all.as_bytes()]) == naive(all.as_bytes()));
}
