//! A request as it arrived: believed by nobody yet. Headers and body are asked of the world, only where they are needed.

use crate::{
    codec::work,
    error::{Part, Reason},
};
use std::borrow::Cow;

const TWICE: &str = "This parameter stands in the query twice: once is enough.";

/// What exists before any header or body is read.
pub struct Request {
    /// `req_…`: in every answer, log line and audit row.
    pub id: String,
    /// Upper-case method, as sent.
    pub method: String,
    /// The whole URL; its host is never believed.
    pub url: String,
    /// Bytes of all headers together, names and values.
    pub header_bytes: usize,
    /// Whether a body comes with it, said by the transport: HTTP/2 needs no header for that.
    pub has_body: bool,
}

impl Request {
    /// The path exactly as sent: never decoded and never normalized, so that nothing can be hidden in it.
    pub fn path(&self) -> &str {
        self.target().split('?').next().unwrap_or_default()
    }

    /// The query as sent, without its `?`; empty where there is none.
    pub fn query(&self) -> &str {
        self.target().split_once('?').map_or("", |(_, query)| query)
    }

    /// The parameter `name` of the query; refused where it comes twice.
    pub fn parameter(&self, name: &str) -> Result<Option<String>, Reason> {
        let mut values = pairs(self.query()).filter(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(Reason::invalid(name, TWICE)),
        }
    }

    /// Refuses a query that has any other parameter than these, or one of them twice.
    pub fn only(&self, known: &[&str]) -> Result<(), Reason> {
        let mut seen: Vec<Cow<'_, str>> = Vec::new();
        for (name, _) in pairs(self.query()) {
            if !known.contains(&name.as_ref()) {
                return Err(Reason::unknown(Part::Parameter, &name, known));
            }
            if seen.contains(&name) {
                return Err(Reason::invalid(&name, TWICE));
            }
            seen.push(name);
        }
        Ok(())
    }

    /// The parameter `limit` of the query: 1 to 100, 50 where it is missing.
    pub fn limit(&self) -> Result<usize, Reason> {
        let Some(text) = self.parameter("limit")? else {
            return Ok(50);
        };
        let digits = Some(&text).filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        let limit = digits.and_then(|text| text.parse().ok()).filter(|limit| (1..=100).contains(limit));
        limit.ok_or_else(|| Reason::invalid("limit", "A whole number from 1 to 100."))
    }

    /// Path and query as sent, without scheme, host and fragment.
    pub fn target(&self) -> &str {
        work::charge(self.url.len());
        let rest = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        let target = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/");
        target.split('#').next().unwrap_or("/")
    }
}

/// The names and values of a query, decoded.
pub fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    work::charge(query.len());
    form_urlencoded::parse(query.as_bytes())
}

/// The longest header that is taken: 8 KiB.
pub const MAX_HEADER_BYTES: usize = 8 * 1_024;
