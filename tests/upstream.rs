//! A call to the upstream and the head of its answer, as the lines in which they cross to the platform and back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

use claviger::world::upstream::{Incoming, Mirror, Outgoing, Sent, Silence, without_other_method};
use proptest::prelude::*;

#[test]
fn what_crosses_is_lines() {
    let call = Outgoing {
        method: "POST".to_owned(),
        url: "https://api.example/a?b".to_owned(),
        body: Sent::Stream,
        headers: vec![("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())],
        timeout_seconds: 7,
        outlives_caller: false,
    };
    assert_eq!(call.to_lines(), "POST\nhttps://api.example/a?b\nstream\n7000\ncaller\na\n1\nb\n");
    let stays = Outgoing { outlives_caller: true, ..call.clone() };
    assert_eq!(stays.to_lines(), "POST\nhttps://api.example/a?b\nstream\n7000\n\na\n1\nb\n");
    for (body, line) in [(Sent::Nothing, ""), (Sent::Bytes(vec![b'x']), "bytes")] {
        assert_eq!(Outgoing { body, ..call.clone() }.to_lines().lines().nth(2), Some(line));
    }
    let read = Incoming::parse(b"404\nset-cookie\na=1\nset-cookie\n\nx\n\xc3\xa9").unwrap();
    let headers = [("set-cookie", "a=1"), ("set-cookie", ""), ("x", "é")];
    assert_eq!((read.status, read.headers), (404, headers.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec()));
    for edge in ["101", "200", "599"] {
        assert!(Incoming::parse(edge.as_bytes()).is_ok(), "{edge}");
    }
    let unfit: [&[u8]; 9] = [b"", b"x", b"199", b"600", b"100", b"200\n", b"200\na", b"200\na\n1\nb", b"200\na\n\xff"];
    for bytes in unfit {
        assert_eq!(Incoming::parse(bytes), Err(Silence::Failed), "{bytes:?}");
    }
    assert_eq!(Incoming::parse(b"late"), Err(Silence::TimedOut));
    assert_eq!(Incoming::parse(b"gone"), Err(Silence::Gone));
}

proptest! {
    #[test]
    fn f7_whatever_stands_around_it_no_url_of_the_upstream_is_left_and_nothing_else_changes(
        before in "([ -~]{0,12}[ <\"=,;(])?",
        scheme in "[hH][tT][tT][pP][sS]?|[wW][sS]{1,2}",
        user in "([a-z:]{0,5}@)?",
        path in "([/?#][ -~]{0,20})?",
        name in prop_oneof![Just("link"), Just("refresh"), Just("x-anything"), Just("www-authenticate")],
    ) {
        let mirror = Mirror::new("http://api.internal:8080", "https://keys.example.com").unwrap();
        let theirs = format!("{scheme}://{user}API.internal:8080");
        let came = mirror.reflect(name, &format!("{before}{theirs}{path}")).unwrap();
        let left = |text: &str| text.to_ascii_lowercase().contains("//api.internal:8080/");
        prop_assert!(!left(&came) || left(&before) || left(&path), "{came}");
        let ours = if scheme.to_ascii_lowercase().starts_with("ws") { "wss://keys.example.com" } else { "https://keys.example.com" };
        prop_assert_eq!(&came, &format!("{}{ours}{}", mirror.reflect(name, &before).unwrap_or(before), mirror.reflect(name, &path).unwrap_or(path)));
        prop_assert_eq!(mirror.reflect(name, &came), None);
        // As the whole of a reference, too.
        let whole = mirror.reflect("location", &format!("{theirs}/v1")).unwrap();
        prop_assert_eq!(whole, format!("{ours}/v1"));
    }

    #[test]
    fn f7_any_text_at_all_is_read_once_and_what_came_of_it_stays(value in "\\PC{0,60}", name in prop_oneof![Just("location"), Just("link"), Just("set-cookie")]) {
        let mirror = Mirror::new("http://a", "http://b").unwrap();
        if let Some(reflected) = mirror.reflect(name, &value) {
            prop_assert_eq!(mirror.reflect(name, &reflected), None);
        }
    }

    #[test]
    fn a10_what_is_left_of_a_query_names_no_method_and_is_part_of_it(pairs in prop::collection::vec("_method=x|[a-z%0-9=+ ]{0,6}|%5FMethod", 0..6)) {
        let query = pairs.join("&");
        let kept = without_other_method(&query).unwrap_or(query);
        prop_assert_eq!(without_other_method(&kept), None);
        let others: Vec<&str> = pairs.iter().map(String::as_str).filter(|pair| !pair.to_ascii_lowercase().replace("%5f", "_").starts_with("_method")).collect();
        prop_assert_eq!(kept, others.join("&"));
    }
}
