//! `Idempotency-Key`: what the header's specification takes for a key is one, bare or quoted, and stands for one message.

use super::{scene, text};

pub fn check(bytes: &[u8]) {
    let header = text(bytes);
    if header.is_empty() {
        return;
    }
    scene::with(|scene| {
        let send = |header: &str, text: &str| {
            let headers = [("idempotency-key", header)];
            scene.toy.visit_with(&scene.visitor, "POST", "messages", &headers, &format!("{{\"text\":\"{text}\"}}"))
        };
        if header.len() > 8_192 {
            send(&header, "a").refused(431, "header_too_large");
            return;
        }
        let Some(key) = naive(&header) else {
            send(&header, "a").refused(400, "idempotency_key_invalid");
            return;
        };
        let first = send(&header, "a").ok(201);
        assert_eq!(first.header("idempotent-replayed"), None);
        let quoted = format!("\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\""));
        for same in [&*header, &quoted] {
            let again = send(same, "a").ok(201);
            assert_eq!((again.header("idempotent-replayed"), &again.text), (Some("true"), &first.text), "{same}");
            send(same, "b").refused(422, "idempotency_key_reused");
        }
        // Another key, however near.
        if key.len() < 255 {
            let other = format!("\"x{}", &quoted[1..]);
            assert_ne!(send(&other, "a").ok(201).text, first.text);
        }
        assert_eq!(scene.toy.hear(&scene.visitor).len(), 2 + usize::from(key.len() < 255));
    });
}

/// RFC 9651 §3.3.3, or a word without quotes; 1 to 255 characters, and no trace of two header lines that were joined.
fn naive(header: &str) -> Option<String> {
    let key = match header.strip_prefix('"') {
        None if header.contains(['"', ' ']) => return None,
        None => header.to_owned(),
        Some(rest) => {
            let inside = rest.strip_suffix('"')?;
            let mut parts = inside.split("\\\\").map(|part| part.replace("\\\"", "\0"));
            if parts.clone().any(|part| part.contains(['"', '\\'])) || inside.contains('\0') {
                return None;
            }
            let first = parts.next()?;
            parts.fold(first, |key, part| format!("{key}\\{part}")).replace('\0', "\"")
        }
    };
    let sound = (1..=255).contains(&key.len()) && !key.contains(", ") && key.bytes().all(|b| (0x20..0x7F).contains(&b));
    sound.then_some(key)
}
