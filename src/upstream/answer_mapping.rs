//! The way back as the mirror of the way out: the caller asked us and we asked the upstream, so where its answer names it, it names us.

use crate::world::upstream::percent_decoded;
use std::net::Ipv6Addr;

/// The upstream's origin, and ours, which takes its place in answers.
#[derive(Clone, Debug)]
pub struct Mirror {
    scheme: String,
    host: String,
    /// None where it is the scheme's own.
    port: Option<u16>,
    ours: String,
    our_host: String,
}

impl Mirror {
    /// Both as sound origins: scheme, host in lower case, and a port where that is not the scheme's own.
    pub fn new(upstream: &str, ours: &str) -> Option<Self> {
        let (scheme, authority) = upstream.split_once("://")?;
        let (host, port) = host_and_port(authority)?;
        let (our_host, _) = host_and_port(ours.split_once("://")?.1)?;
        let port = port.filter(|port| *port != default_port(scheme));
        Some(Self {
            scheme: scheme.to_owned(),
            host: host.to_owned(),
            port,
            ours: ours.to_owned(),
            our_host: our_host.to_owned(),
        })
    }

    /// The value of a header of an answer, as it goes on; `None` where that is as it came.
    pub fn reflect(&self, name: &str, value: &str) -> Option<String> {
        match name {
            "location" | "content-location" => self.reference(value),
            "set-cookie" => self.cookie(value),
            _ => self.within(value),
        }
    }

    /// One URI-reference, read as leniently as browsers do (WHATWG URL): user names, backslashes and missing slashes included.
    fn reference(&self, value: &str) -> Option<String> {
        let text = value.trim_matches(|c: char| c <= ' ').replace(['\t', '\r', '\n'], "");
        let is_slash = |c: char| matches!(c, '/' | '\\');
        let (scheme, rest) = match text.split_once(':').filter(|(scheme, _)| is_web(scheme)) {
            Some((scheme, rest)) => (Some(scheme), rest),
            None if text.starts_with(is_slash) && text.get(1..)?.starts_with(is_slash) => (None, text.as_str()),
            None => return None,
        };
        let rest = rest.trim_start_matches(is_slash);
        let (authority, path) = rest.split_at(rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len()));
        self.is_named(scheme, authority).then(|| format!("{}{path}", self.in_our_name(scheme)))
    }

    /// Every URL of the upstream that stands in a text: `Link: <http://…>; rel=next`, `Refresh: 5; url=http://…` and others.
    fn within(&self, text: &str) -> Option<String> {
        let mut reflected = String::new();
        let mut done = 0;
        for (at, slashes) in text.match_indices("//") {
            let before = text.get(done..at).unwrap_or_default();
            let scheme = before.strip_suffix(':').map(|before| {
                let start = before.rfind(|c: char| !c.is_ascii_alphanumeric()).map_or(0, |at| at + 1);
                before.get(start..).unwrap_or_default()
            });
            let start = match scheme {
                Some(scheme) if is_web(scheme) => at - scheme.len() - 1,
                Some(_) => continue,
                // `//host/path` is a reference only where one begins.
                None if at > 0 && !before.ends_with(|c| " \t<>\"'=,;(".contains(c)) => continue,
                None => at,
            };
            let rest = text.get(at + slashes.len()..).unwrap_or_default();
            let ends = |c: char| c.is_ascii_whitespace() || "/\\?#\"'<>,;)".contains(c);
            let authority = rest.split(ends).next().unwrap_or_default();
            if self.is_named(scheme, authority) {
                reflected.push_str(text.get(done..start).unwrap_or_default());
                reflected.push_str(&self.in_our_name(scheme));
                done = at + slashes.len() + authority.len();
            }
        }
        (done > 0).then(|| reflected + text.get(done..).unwrap_or_default())
    }

    /// A cookie for the upstream's host is one for ours: then no `Domain` says anything else. One that covers both stays.
    fn cookie(&self, value: &str) -> Option<String> {
        let domain = |attribute: &str| {
            let (name, value) = attribute.split_once('=')?;
            let is_domain = name.trim().eq_ignore_ascii_case("domain");
            is_domain.then(|| {
                value.trim().trim_matches('"').trim_start_matches('.').trim_end_matches('.').to_ascii_lowercase()
            })
        };
        let is_theirs = |attribute: &str| {
            domain(attribute).is_some_and(|domain| {
                let host = host_and_port(&domain).map_or(domain.as_str(), |(host, _)| host);
                is_covered(&self.host, host) && !is_covered(&self.our_host, host)
            })
        };
        if !value.split(';').skip(1).any(is_theirs) {
            return None;
        }
        let mut parts = value.split(';');
        let pair = parts.next().unwrap_or_default();
        let kept = parts.filter(|attribute| domain(attribute).is_none()).map(|attribute| format!(";{attribute}"));
        Some(pair.to_owned() + &kept.collect::<String>())
    }

    /// Whether an authority, user names and all, is the upstream's. Its scheme counts only for the port: a server that is told that the
    /// caller came by `https` writes that before its own name and port.
    fn is_named(&self, scheme: Option<&str>, authority: &str) -> bool {
        let authority = authority.rsplit('@').next().unwrap_or_default();
        let Some((host, port)) = host_and_port(authority) else { return false };
        let scheme = scheme.map_or_else(|| self.scheme.clone(), str::to_ascii_lowercase);
        let usual = default_port(&scheme);
        let named = port.filter(|port| *port != usual);
        let is_port = named == self.port || port.unwrap_or(usual) == self.port.unwrap_or(default_port(&self.scheme));
        is_port && self.is_host(host)
    }

    fn is_host(&self, host: &str) -> bool {
        if host.eq_ignore_ascii_case(&self.host) {
            return true;
        }
        if let Some(address) = address_of(host) {
            return address_of(&self.host) == Some(address);
        }
        let decoded = percent_decoded(host);
        let host = decoded.as_deref().unwrap_or(host);
        host.strip_suffix('.').unwrap_or(host).eq_ignore_ascii_case(&self.host)
    }

    /// Our origin; for a URL of a WebSocket as one.
    fn in_our_name(&self, scheme: Option<&str>) -> String {
        match scheme {
            Some(scheme) if scheme.to_ascii_lowercase().starts_with("ws") => self.ours.replacen("http", "ws", 1),
            _ => self.ours.clone(),
        }
    }
}

fn is_web(scheme: &str) -> bool {
    ["http", "https", "ws", "wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

fn default_port(scheme: &str) -> u16 {
    if matches!(scheme, "https" | "wss") { 443 } else { 80 }
}

fn address_of(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

/// Host, and the port where one is named.
fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let start = if authority.starts_with('[') { authority.find(']')? } else { 0 };
    match authority.get(start..)?.rfind(':') {
        None => Some((authority, None)),
        Some(at) => {
            let (host, port) = (authority.get(..start + at)?, authority.get(start + at + 1..)?);
            let port = if port.is_empty() { None } else { Some(port.parse().ok()?) };
            Some((host, port))
        }
    }
}

/// Whether a cookie of this domain is sent to the host (RFC 6265 §5.1.3).
fn is_covered(host: &str, domain: &str) -> bool {
    let is_below = || {
        host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')) && host.parse::<std::net::Ipv4Addr>().is_err()
    };
    !domain.is_empty() && (host == domain || is_below())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::Mirror;

    const OURS: &str = "https://keys.example.com";

    fn mirror(upstream: &str) -> Mirror {
        Mirror::new(upstream, OURS).unwrap()
    }

    #[test]
    fn f7_where_an_answer_leads_to_the_upstream_it_leads_to_us() {
        let at = |upstream: &str, value: &str| mirror(upstream).reflect("location", value);
        let http = "http://api.internal:8080";
        for (value, path) in [
            ("http://api.internal:8080/v1/a/?b#c", "/v1/a/?b#c"),
            ("http://api.internal:8080", ""),
            ("http://api.internal:8080?x", "?x"),
            ("HTTP://API.Internal:8080/a", "/a"),
            ("//api.internal:8080/a", "/a"),
            ("\\\\api.internal:8080\\a", "\\a"),
            ("/\\api.internal:8080/a", "/a"),
            ("http:/api.internal:8080/a", "/a"),
            ("http:///api.internal:8080/a", "/a"),
            ("http:\\\\api.internal:8080/a", "/a"),
            ("http://user:secret@api.internal:8080/a", "/a"),
            ("http://a@b@api.internal:8080/a", "/a"),
            ("http://api.internal.:8080/a", "/a"),
            ("http://api%2Einternal:8080/a", "/a"),
            ("http://api.internal:08080/a", "/a"),
            ("  http://api.internal:8080/a\t", "/a"),
            ("ht\ttp://api.internal:8080/a", "/a"),
            // It was told that the caller came by https, and wrote that before its own name.
            ("https://api.internal:8080/a", "/a"),
        ] {
            assert_eq!(at(http, value), Some(format!("{OURS}{path}")), "{value}");
        }
        for (upstream, value) in [
            ("http://api.internal", "http://api.internal:80/a"),
            ("http://api.internal", "http://api.internal:/a"),
            ("http://api.internal", "https://api.internal/a"),
            ("http://api.internal", "https://api.internal:443/a"),
            ("https://api.internal", "https://api.internal:443/a"),
            ("https://api.internal", "http://api.internal/a"),
            ("https://api.internal", "http://api.internal:443/a"),
            ("https://api.internal", "//api.internal/a"),
            ("http://[::1]:9000", "http://[0:0:0:0:0:0:0:1]:9000/a"),
            ("http://127.0.0.1:9", "http://127.0.0.1:9/a"),
        ] {
            assert_eq!(at(upstream, value), Some(format!("{OURS}/a")), "{upstream} {value}");
        }
        assert_eq!(at(http, "wss://api.internal:8080/a"), Some("wss://keys.example.com/a".to_owned()));
        for value in [
            "",
            "/",
            "/v1/a",
            "v1/a",
            "?a",
            "#a",
            "../a",
            "/http://api.internal:8080/",
            "?next=http://api.internal:8080/",
            "http://api.internal/a",
            "http://api.internal:8081/a",
            "http://api.internal.evil.example:8080/a",
            "http://evil.example/http://api.internal:8080/",
            "http://api.internal:8080@evil.example/a",
            "//evil.example/a",
            "http://xapi.internal:8080/",
            "http://internal:8080/",
            "mailto:a@api.internal",
            "ftp://api.internal:8080/",
            "data:text/plain,http://api.internal:8080/",
            "http://api.internal:x/",
            "http://",
            "//",
            "http://[::1/",
        ] {
            assert_eq!(at(http, value), None, "{value}");
        }
    }

    #[test]
    fn f7_urls_of_the_upstream_name_us_in_any_other_header_too() {
        let mirror = mirror("http://api.internal:8080");
        for (name, value, expected) in [
            ("link", "<http://api.internal:8080/a>; rel=next", "<https://keys.example.com/a>; rel=next"),
            (
                "link",
                "</a>; rel=prev, <//API.internal:8080/b>;rel=\"next\", <http://other.example/>; anchor=\"http://api.internal:8080/c\"",
                "</a>; rel=prev, <https://keys.example.com/b>;rel=\"next\", <http://other.example/>; anchor=\"https://keys.example.com/c\"",
            ),
            ("refresh", "0;url=http://api.internal:8080/a", "0;url=https://keys.example.com/a"),
            ("refresh", "5; URL='http://api.internal:8080/a'", "5; URL='https://keys.example.com/a'"),
            ("refresh", "5;//api.internal:8080/a", "5;https://keys.example.com/a"),
            (
                "www-authenticate",
                "Bearer resource_metadata=\"http://api.internal:8080/.well-known/oauth-protected-resource\"",
                "Bearer resource_metadata=\"https://keys.example.com/.well-known/oauth-protected-resource\"",
            ),
            ("operation-location", "http://api.internal:8080/jobs/1", "https://keys.example.com/jobs/1"),
            ("sourcemap", "//api.internal:8080/a.map", "https://keys.example.com/a.map"),
            (
                "content-security-policy",
                "connect-src http://api.internal:8080;",
                "connect-src https://keys.example.com;",
            ),
            (
                "x-next",
                "http://api.internal:8080/a?b=http://api.internal:8080/c",
                "https://keys.example.com/a?b=https://keys.example.com/c",
            ),
        ] {
            assert_eq!(mirror.reflect(name, value).as_deref(), Some(expected), "{value}");
        }
        for (name, value) in [
            ("link", "</a>; rel=next"),
            ("link", "<http://api.internal:80801/a>"),
            ("link", "<http://other.example//api.internal:8080/a>"),
            ("refresh", "5"),
            ("etag", "\"a//b\""),
            ("x", "xhttp://api.internal:8080/"),
            ("access-control-allow-origin", "*"),
            ("access-control-allow-origin", "https://shop.example"),
            ("access-control-allow-headers", "x-a, x-b"),
        ] {
            assert_eq!(mirror.reflect(name, value), None, "{value}");
        }
    }

    #[test]
    fn x_who_may_read_an_answer_is_not_told_by_the_upstreams_name() {
        let allows =
            mirror("http://api.internal:8080").reflect("access-control-allow-origin", "http://api.internal:8080");
        assert_eq!(allows.as_deref(), Some(OURS));
    }

    #[test]
    fn f7_a_cookie_for_the_upstreams_host_is_one_for_ours() {
        let cookie =
            |upstream: &str, ours: &str, value: &str| Mirror::new(upstream, ours).unwrap().reflect("set-cookie", value);
        let there = |value: &str| cookie("http://api.backend.internal:8080", OURS, value);
        for (value, expected) in [
            ("a=b; Domain=api.backend.internal; Path=/", "a=b; Path=/"),
            ("a=b;domain=.API.Backend.internal", "a=b"),
            ("a=b; DOMAIN = backend.internal ;Secure", "a=b;Secure"),
            ("a=b; Domain=other.example; Domain=api.backend.internal", "a=b"),
            ("a=b; Domain=api.backend.internal:8080", "a=b"),
            ("a=b; Domain=api.backend.internal.", "a=b"),
            ("a=b; Domain=\"api.backend.internal\"; Path=/", "a=b; Path=/"),
        ] {
            assert_eq!(there(value).as_deref(), Some(expected), "{value}");
        }
        for value in [
            "a=b",
            "domain=api.backend.internal",
            "a=b; Domain=other.example",
            "a=b; Domain=pi.backend.internal",
            "a=b; Domain=",
        ] {
            assert_eq!(there(value), None, "{value}");
        }
        assert!(cookie("http://127.0.0.1:9", OURS, "a=b; Domain=127.0.0.1").is_some());
        assert_eq!(cookie("http://127.0.0.1:9", OURS, "a=b; Domain=0.0.1"), None);
        // Of a domain that both are below, it is the upstream's to say so.
        assert_eq!(cookie("https://api.example.com", OURS, "a=b; Domain=example.com"), None);
        assert!(cookie("https://api.example.com", OURS, "a=b; Domain=api.example.com").is_some());
    }
}
