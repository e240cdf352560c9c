//! A call as the API behind gets it, and its answer as the caller gets it: which headers pass, and which never do.

use crate::work;
use std::collections::BTreeSet;

/// A call to the API behind.
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

/// The body of a call to the API behind.
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
    /// The API behind could not be reached, broke off, or said nothing that could be passed on.
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

/// What passes of a caller's headers: nothing that belongs to the connection, nothing that is a credential, and nothing
/// that the API behind would take for our word.
pub fn forwarded(headers: Vec<(String, String)>) -> Vec<(String, String)> {
    passing(headers, |name| {
        // Who is asked, and how long the body is, whoever sends it says anew.
        let is_framing = matches!(name, "host" | "content-length" | "expect");
        // The policy was asked about the method and the path that were sent: these would have the API behind take others.
        let is_other_call = matches!(
            name,
            "x-http-method-override" | "x-http-method" | "x-method-override" | "x-original-url" | "x-rewrite-url"
        );
        let is_credential = matches!(name, "authorization" | "x-api-key" | "cookie") || name.starts_with("x-service-");
        is_framing || is_other_call || is_credential
    })
}

/// What passes of the headers of an answer: nothing that belongs to the connection, nothing in our name, and not our cookie.
pub fn returned(headers: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut headers = passing(headers, |name| {
        name == "idempotent-replayed" || name.starts_with("ratelimit") || name.starts_with("x-ratelimit-")
    });
    headers.retain(|(name, value)| name != "set-cookie" || !sets_our_cookie(value));
    vary_by_caller(&mut headers);
    headers
}

/// What an answer depends on beside the URL: a cache in front of us knows of `Authorization` (RFC 9111 §3.5), and of no other header
/// that says who is calling.
const CALLER: &str = "Authorization, X-Api-Key, X-Service-Token";

fn vary_by_caller(headers: &mut Vec<(String, String)>) {
    match headers.iter_mut().find(|(name, _)| name == "vary") {
        Some((_, value)) if value.trim() == "*" => {}
        Some((_, value)) => *value = format!("{value}, {CALLER}"),
        None => headers.push(("vary".to_owned(), CALLER.to_owned())),
    }
}

/// The cookie of people who are signed in here.
const COOKIE: &str = "__Host-claviger";

/// Whether a browser might take this for our cookie. One without a name is stored as `=value`, and sent as `value`.
fn sets_our_cookie(value: &str) -> bool {
    let pair = value.trim_start_matches(|c: char| c == '=' || c.is_ascii_whitespace());
    let name = pair.split(['=', ';']).next().unwrap_or_default();
    name.trim().eq_ignore_ascii_case(COOKIE)
}

fn passing(headers: Vec<(String, String)>, stays: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let connection = headers.iter().filter(|(name, _)| name == "connection");
    // A set: a caller may list as many as it likes, beside as many headers.
    let listed: BTreeSet<String> = connection
        .flat_map(|(_, value)| value.split(','))
        .map(|name| {
            work::charge(name.len());
            name.trim().to_ascii_lowercase()
        })
        .collect();
    let passes = |name: &str| {
        // Servers of the CGI family read `_`, and some of them `.` and others too, as `-`: what is spelled so must not become one
        // of these behind our back.
        work::charge(name.len());
        let read = name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        !is_hop_by_hop(&read) && !read.starts_with("claviger-") && !stays(&read) && !listed.contains(name)
    };
    headers.into_iter().filter(|(name, _)| passes(name)).collect()
}

/// RFC 9110 §7.6.1, and what RFC 2616 §13.5.1 counted in.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{forwarded, returned};

    fn pairs(names: &[&str]) -> Vec<(String, String)> {
        names.iter().map(|name| ((*name).to_owned(), "v".to_owned())).collect()
    }

    /// What comes back beside the word that it depends on the caller.
    fn back(headers: Vec<(String, String)>) -> Vec<(String, String)> {
        let mut headers = returned(headers);
        assert_eq!(headers.pop(), Some(("vary".to_owned(), "Authorization, X-Api-Key, X-Service-Token".to_owned())));
        headers
    }

    #[test]
    fn no_answer_is_for_another_caller_and_none_speaks_of_our_limits_or_of_our_memory() {
        let vary = |value: &str| returned(vec![("vary".to_owned(), value.to_owned())]);
        assert_eq!(vary("*"), [("vary".to_owned(), "*".to_owned())]);
        let both = "Accept, Authorization, X-Api-Key, X-Service-Token".to_owned();
        assert_eq!(vary("Accept"), [("vary".to_owned(), both)]);
        for name in [
            "idempotent-replayed",
            "ratelimit",
            "ratelimit-policy",
            "x-ratelimit-remaining-tokens",
            "x_ratelimit_limit",
        ] {
            assert_eq!(back(pairs(&[name])), [], "{name}");
        }
    }

    const HOPS: [&str; 9] = [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];

    #[test]
    fn what_belongs_to_a_connection_ends_with_it() {
        assert_eq!(forwarded(pairs(&HOPS)), []);
        assert_eq!(back(pairs(&HOPS)), []);
        let mut headers = pairs(&["x-a", "x-b", "x-c"]);
        headers.push(("connection".to_owned(), "close, X-A ,x-b".to_owned()));
        assert_eq!(forwarded(headers.clone()), pairs(&["x-c"]));
        assert_eq!(back(headers), pairs(&["x-c"]));
    }

    #[test]
    fn no_credential_and_nothing_in_our_name_passes_however_it_is_spelled() {
        for name in [
            "authorization",
            "x-api-key",
            "x_api_key",
            "x.api.key",
            "x-service-token",
            "x-service-name",
            "x_service_token",
            "cookie",
            "host",
            "content-length",
            "expect",
            "x-http-method-override",
            "x_http_method_override",
            "x-http-method",
            "x-method-override",
            "x-original-url",
            "x-rewrite-url",
        ] {
            assert_eq!(forwarded(pairs(&[name])), [], "{name}");
        }
        for name in [
            "claviger-principal",
            "claviger-",
            "claviger_principal",
            "claviger.principal",
            "claviger~scopes",
            "claviger-scopes_",
            "claviger-anything-else",
        ] {
            assert_eq!((forwarded(pairs(&[name])), back(pairs(&[name]))), (vec![], vec![]), "{name}");
        }
        let others = ["accept", "content-type", "user-agent", "x-claviger", "claviger", "x-apikey", "origin", "date"];
        assert_eq!(forwarded(pairs(&others)), pairs(&others));
        let others = ["content-length", "server", "location", "www-authenticate", "authorization", "expect"];
        assert_eq!(back(pairs(&others)), pairs(&others));
    }

    #[test]
    fn every_cookie_passes_but_ours() {
        let cookie = |value: &str| vec![("set-cookie".to_owned(), value.to_owned())];
        for value in
            ["a=b", "__Host-claviger2=a", "x__Host-claviger=a", "a=__Host-claviger", "", "=", "__Host-other=a; Path=/"]
        {
            assert_eq!(back(cookie(value)), cookie(value), "{value}");
        }
        for value in [
            "__Host-claviger=a",
            "__host-CLAVIGER=a; Path=/",
            " __Host-claviger =a",
            "=__Host-claviger=a",
            "\t= =__Host-claviger=a",
            "__Host-claviger",
            "__Host-claviger; Secure",
        ] {
            assert_eq!(back(cookie(value)), [], "{value}");
        }
        let both = [cookie("a=1"), cookie("__Host-claviger=x"), cookie("b=2")].concat();
        assert_eq!(back(both), [cookie("a=1"), cookie("b=2")].concat());
    }
}
