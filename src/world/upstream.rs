//! A call to the upstream and the head of its answer, as they cross to the platform and back; and which headers pass.

pub use crate::upstream::{
    answer_headers::{reflect, returned},
    answer_mapping::Mirror,
    query::{percent_decoded, without_other_method},
    request_headers::{CREDENTIALS, Facts, Rules, forwarded, tell},
};

use crate::{codec::work, upstream::header_family};
use std::borrow::Cow;

/// A call to the upstream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outgoing {
    /// The method as it was sent.
    pub method: String,
    /// The whole URL: the origin is ours, path and query are as they were sent.
    pub url: String,
    /// What goes with it.
    pub body: Sent,
    /// Names in lower case, and values: these, and no others.
    pub headers: Vec<(String, String)>,
    /// For so long it is waited for the head of the answer; then the call is broken off. A body that is still on its way counts.
    pub timeout_seconds: u32,
    /// Whether it goes on though the caller has gone: what comes of it must be known here.
    pub outlives_caller: bool,
}

/// The body of a call to the upstream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Sent {
    /// None.
    Nothing,
    /// The request's, as a stream that never comes here.
    Stream,
    /// These bytes, which were read here.
    Bytes(Vec<u8>),
}

impl Outgoing {
    /// As text for whoever sends it: method, URL, kind of body, milliseconds, with whom it ends, then names and values, one a
    /// line. HTTP lets no line end in.
    pub fn to_lines(&self) -> String {
        let body = match self.body {
            Sent::Nothing => "",
            Sent::Stream => "stream",
            Sent::Bytes(_) => "bytes",
        };
        let millis = (u64::from(self.timeout_seconds) * 1_000).to_string();
        let end = if self.outlives_caller { "" } else { "caller" };
        let mut lines = vec![self.method.as_str(), self.url.as_str(), body, millis.as_str(), end];
        lines.extend(self.headers.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]));
        lines.join("\n")
    }
}

/// The head of an answer; its body is a stream that never comes here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Incoming {
    /// The status, 200 to 599, or 101.
    pub status: u16,
    /// Names in lower case, and values. `set-cookie` comes once for each cookie.
    pub headers: Vec<(String, String)>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Silence {
    /// The upstream could not be reached, broke off, or said nothing that could be passed on.
    Failed,
    /// The caller has gone, so nobody waited for one.
    Gone,
    /// The time was over.
    TimedOut,
}

impl Incoming {
    /// Reads the status, names and values, one a line; or one word that says why there are none.
    pub fn parse(bytes: &[u8]) -> Result<Self, Silence> {
        match bytes {
            b"gone" => Err(Silence::Gone),
            b"late" => Err(Silence::TimedOut),
            _ => Self::read(bytes).ok_or(Silence::Failed),
        }
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(bytes).ok()?.split('\n');
        let status = lines.next()?.parse().ok().filter(|status| matches!(status, 101 | 200..=599))?;
        let mut headers = Vec::new();
        while let Some(name) = lines.next() {
            headers.push((name.to_owned(), lines.next()?.to_owned()));
        }
        Some(Self { status, headers })
    }
}

/// The headers that do not end with the connection, speak in our name or stay for another reason: that is asked of the name as
/// servers may read it, and of the name itself.
pub(crate) fn passing(headers: Vec<(String, String)>, stays: impl Fn(&str, &str) -> bool) -> Vec<(String, String)> {
    let lists = headers.iter().filter(|(name, _)| name == "connection");
    let mut listed: Vec<String> = lists
        .flat_map(|(_, value)| value.split(','))
        .map(|name| {
            work::charge(name.len());
            without_space(name).to_ascii_lowercase()
        })
        .collect();
    // Sorted: a caller may list as many as it likes, beside as many headers.
    listed.sort();
    let ends = |name: &str| listed.binary_search_by(|listed| listed.as_str().cmp(name)).is_ok();
    let passes = |name: &str| {
        work::charge(name.len());
        let read: Cow<str> = header_family::read(name);
        !is_hop_by_hop(&read) && !read.starts_with("claviger-") && !stays(&read, name) && !ends(name)
    };
    headers.into_iter().filter(|(name, _)| passes(name)).collect()
}

/// Without optional white space around it (RFC 9110 §5.6.3): spaces and tabs, and nothing else that looks like them.
pub fn without_space(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// RFC 9110 §7.6.1, and what RFC 2616 §13.5.1 and RFC 7540 §3.2.1 counted in.
pub fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}
