//! The call that a proxy holds while it asks about it: in the `X-Forwarded-*` headers, which the proxy sets and no caller.

use crate::error::{Part, Reason};

/// The call that the proxy holds.
#[derive(Debug)]
pub struct Original {
    /// Its method.
    pub method: String,
    /// Its path and query, as they were sent.
    pub target: String,
}

impl Original {
    /// Reads what the proxy says; each once. What was sent twice arrives joined by `, `, which no method and no target holds.
    pub fn read(header: impl Fn(&str) -> Option<String>) -> Result<Self, Reason> {
        let required =
            |name: &str| header(name).ok_or_else(|| Reason::missing(Part::Header, name, "The proxy must send it."));
        let method = required("x-forwarded-method")?;
        let is_token = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if !(1..=40).contains(&method.len()) || !is_token(&method) {
            return Err(Reason::invalid("x-forwarded-method", "One method, as the caller sent it."));
        }
        let target = required("x-forwarded-uri")?;
        if !target.starts_with('/') || target.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(Reason::invalid("x-forwarded-uri", "One path with its query, as the caller sent them."));
        }
        // Nothing is decided by it. An odd one would have come through a proxy that is not sound.
        let is_host = |text: &str| {
            text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'[' | b']'))
        };
        if header("x-forwarded-host").is_some_and(|host| host.is_empty() || !is_host(&host)) {
            return Err(Reason::invalid("x-forwarded-host", "One name or address, and a port."));
        }
        Ok(Self { method, target })
    }
}
