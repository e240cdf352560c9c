//! Whole requests, one after the other, in the toy world: every one is answered as documented, and none repeats a secret.
//!
//! The input is requests as HTTP writes them, apart by lines of `---`; `{key}`, `{secret}`, `{deploy}`, `{id}`, `{server}`, `{server_id}`,
//! `{service}` and `{conversation}` stand for what is genuine in the scene, `{made}` for the secret that was handed out last, `{identity}` for
//! a token signed with that. A line `+60` lets a minute pass.

use super::{scene, text};
use crate::tokens::sign;
use serde_json::json;

/// More requests than this tell nothing new.
const REQUESTS: usize = 8;

pub fn check(bytes: &[u8]) {
    scene::with(|scene| {
        for request in text(bytes).split("\n---\n").take(REQUESTS) {
            let made = scene.toy.issued.borrow().last().cloned().unwrap_or_default();
            let now = scene.toy.now_millis() / 1_000;
            let identity = sign(&made, &json!({"sub": "user-7", "aud": "acme", "iat": now, "exp": now + 600}));
            let request = scene.fill(request).replace("{made}", &made).replace("{identity}", &identity);
            if let Some(seconds) = request.strip_prefix('+').and_then(|text| text.trim().parse::<u32>().ok()) {
                scene.toy.advance(seconds.into());
                continue;
            }
            let (head, body) = request.split_once("\n\n").unwrap_or((&request, ""));
            let (first, lines) = head.split_once('\n').unwrap_or((head, ""));
            let (method, path) = first.split_once(' ').unwrap_or((first, ""));
            let headers: Vec<(String, &str)> = lines.lines().filter_map(header).collect();
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), *value)).collect();
            let answer = scene.toy.exchange(method, path, &headers, body);
            scene.keeps_its_promises(&answer, &headers);
            assert!(!format!("{}{}", answer.text, answer.log).contains(&identity), "the token: {}", answer.text);
        }
    });
}

fn header(line: &str) -> Option<(String, &str)> {
    let (name, value) = line.split_once(": ")?;
    Some((name.to_lowercase(), value))
}
