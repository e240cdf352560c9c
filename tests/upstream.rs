//! A call to the API behind and the head of its answer, as the lines in which they cross to the platform and back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

use claviger::upstream::{Incoming, Outgoing, Sent, Silence};

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
