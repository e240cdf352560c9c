//! The headers of a call on its way out: what passes of the caller's own, and what we know of the call, in the names that servers expect.

use super::header_family;
use crate::world::upstream::{passing, without_space};
use std::net::IpAddr;

/// The headers that can hold our credential, beside `X-Service-Name`.
pub const CREDENTIALS: [&str; 3] = ["authorization", "x-api-key", "x-service-token"];

/// What a policy and a deployment say about the headers of a call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules<'a> {
    /// The one header that our credential is read from, where the policy says so: then the others are the upstream's.
    pub own: Option<&'a str>,
    /// Headers that pass although they belong to a family.
    pub pass: &'a [String],
    /// Whether a proxy in front of us is trusted, so that what it says of the way so far goes on.
    pub appends: bool,
    /// The header that a proxy in front of us writes the client's address into.
    pub address_header: Option<&'a str>,
}

/// What is known of a call.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The client's address.
    pub address: Option<IpAddr>,
    /// Our own origin, as callers write it.
    pub origin: &'a str,
}

/// What goes out of a caller's headers: nothing that belongs to the connection, nothing that is a credential, and nothing that the
/// upstream would take for our word.
pub fn forwarded(headers: Vec<(String, String)>, rules: &Rules) -> Vec<(String, String)> {
    passing(headers, |read, name| {
        // Who is asked, and how long the body is, whoever sends it says anew.
        let is_framing = matches!(read, "host" | "content-length" | "expect") || (read != name && is_looked_at(read));
        is_framing || is_credential(read, name, rules.own) || (is_told(read, rules) && !is_let(name, rules))
    })
}

/// Whether it says how the body is to be read, or under which condition: that was looked at under its own name, and another spelling of
/// it must not say anything else to a server that takes one for the other.
fn is_looked_at(read: &str) -> bool {
    matches!(read, "accept-encoding" | "content-encoding" | "content-type" | "if-match" | "if-none-match")
}

/// Whether a header stays here because our credentials are sent in it.
fn is_credential(read: &str, name: &str, own: Option<&str>) -> bool {
    let is_one = matches!(read, "authorization" | "x-api-key" | "cookie") || read.starts_with("x-service-");
    // In another spelling it is nobody's.
    let is_theirs = own.is_some_and(|own| own != name) && matches!(name, "authorization" | "x-api-key");
    is_one && !is_theirs
}

/// Whether only a proxy can know what stands in a header of this name.
fn is_told(read: &str, rules: &Rules) -> bool {
    header_family::is_of_proxies(read) || rules.address_header.is_some_and(|name| header_family::read(name) == read)
}

/// Whether it passes all the same.
fn is_let(name: &str, rules: &Rules) -> bool {
    let is_chain = matches!(
        name,
        "forwarded"
            | "x-forwarded-for"
            | "x-forwarded-host"
            | "x-forwarded-port"
            | "x-forwarded-prefix"
            | "x-forwarded-proto"
    );
    rules.appends && is_chain || rules.pass.iter().any(|passed| passed == name)
}

/// Writes what is known: after what a trusted proxy said of the way so far, where that passed.
pub fn tell(headers: &mut Vec<(String, String)>, facts: &Facts) {
    let (scheme, host) = facts.origin.split_once("://").unwrap_or_default();
    let port = host.rsplit_once(':').map_or("", |(_, port)| port);
    let port = if port.is_empty() || port.ends_with(']') { if scheme == "https" { "443" } else { "80" } } else { port };
    let mut element = String::with_capacity(96);
    if let Some(address) = facts.address {
        element.push_str(&match address {
            IpAddr::V4(address) => format!("for={address};"),
            IpAddr::V6(address) => format!("for=\"[{address}]\";"),
        });
        append(headers, "x-forwarded-for", &address.to_string(), |_| true);
    }
    // A port, or an address in brackets, is no token (RFC 7239 §4).
    let quote = if host.contains(':') { "\"" } else { "" };
    element.extend(["host=", quote, host, quote, ";proto=", scheme]);
    append(headers, "forwarded", &element, has_whole_quotes);
    for (name, value) in [("x-forwarded-host", host), ("x-forwarded-port", port), ("x-forwarded-proto", scheme)] {
        if !headers.iter().any(|(known, _)| known == name) {
            headers.push((name.to_owned(), value.to_owned()));
        }
    }
}

/// Adds an element to a list. What was there is left out unless it is sound: an open quote would take in what comes after it.
fn append(headers: &mut Vec<(String, String)>, name: &str, element: &str, is_sound: fn(&str) -> bool) {
    let mut list = String::new();
    headers.retain(|(known, value)| {
        let is_other = known != name;
        if !is_other && is_sound(value) && !without_space(value).is_empty() {
            list.extend([value.as_str(), ", "]);
        }
        is_other
    });
    headers.push((name.to_owned(), list + element));
}

/// Whether every quoted string in it ends (RFC 9110 §5.6.4).
fn has_whole_quotes(value: &str) -> bool {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for byte in value.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            _ => {}
        }
    }
    !is_quoted
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::{Facts, Rules, forwarded, tell};
    use crate::upstream::answer_headers::tests::{HOPS, pairs};

    const FACTS: Facts = Facts { address: None, origin: "https://keys.example.com" };

    fn told(headers: &[(&str, &str)], rules: &Rules, facts: &Facts) -> Vec<(String, String)> {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut told = forwarded(headers, rules);
        tell(&mut told, facts);
        told.sort();
        told
    }

    fn owned(headers: &[(&str, &str)]) -> Vec<(String, String)> {
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_belongs_to_a_connection_ends_with_it() {
        assert_eq!(forwarded(pairs(&HOPS), &Rules::default()), []);
        let mut headers = pairs(&["x-a", "x-b", "x-c", "x-d"]);
        headers.push(("connection".to_owned(), "close, X-A ,\tx-b,,\u{a0}x-d".to_owned()));
        assert_eq!(forwarded(headers, &Rules::default()), pairs(&["x-c", "x-d"]));
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
            "x-original-url",
            "x-forwarded-for",
            "x_forwarded_for",
            "x-real-ip",
            "x-client",
            "x_client",
            "claviger-principal",
            "claviger-",
            "claviger_principal",
            "claviger.principal",
            "claviger~scopes",
            "claviger-scopes_",
            "claviger-anything-else",
        ] {
            let rules = Rules { address_header: Some("x-client"), ..Rules::default() };
            assert_eq!(forwarded(pairs(&[name]), &rules), [], "{name}");
        }
        let others = [
            "accept",
            "content-type",
            "user-agent",
            "x-claviger",
            "claviger",
            "x-apikey",
            "origin",
            "date",
            "x-client",
        ];
        assert_eq!(forwarded(pairs(&others), &Rules::default()), pairs(&others));
    }

    #[test]
    fn x_what_was_looked_at_here_does_not_pass_in_another_spelling_too() {
        let shadows =
            ["content_type", "content.type", "content_encoding", "if_match", "if~none~match", "accept_encoding"];
        assert_eq!(forwarded(pairs(&shadows), &Rules::default()), []);
        let plain =
            ["content-type", "content-encoding", "if-match", "if-none-match", "accept-encoding", "x_content_type"];
        assert_eq!(forwarded(pairs(&plain), &Rules::default()), pairs(&plain));
    }

    #[test]
    fn f6_what_is_known_of_a_call_is_written_anew() {
        let spoofed = [
            ("forwarded", "for=10.0.0.1"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-prefix", "/x"),
            ("x-forwarded-proto", "http"),
        ];
        let none = owned(&[
            ("forwarded", "host=keys.example.com;proto=https"),
            ("x-forwarded-host", "keys.example.com"),
            ("x-forwarded-port", "443"),
            ("x-forwarded-proto", "https"),
        ]);
        assert_eq!(told(&spoofed, &Rules::default(), &FACTS), none);
        let at = |address: &str, origin| Facts { address: Some(address.parse().unwrap()), origin };
        assert_eq!(
            told(&spoofed, &Rules::default(), &at("192.0.2.7", "http://localhost:8787")),
            owned(&[
                ("forwarded", "for=192.0.2.7;host=\"localhost:8787\";proto=http"),
                ("x-forwarded-for", "192.0.2.7"),
                ("x-forwarded-host", "localhost:8787"),
                ("x-forwarded-port", "8787"),
                ("x-forwarded-proto", "http"),
            ])
        );
        let v6 = told(&[], &Rules::default(), &at("2001:db8::7", "http://[::1]"));
        assert_eq!(v6[0].1, "for=\"[2001:db8::7]\";host=\"[::1]\";proto=http");
        assert_eq!((v6[1].1.as_str(), v6[3].1.as_str()), ("2001:db8::7", "80"));
    }

    #[test]
    fn f6_what_a_trusted_proxy_said_goes_on_and_ours_comes_after_it() {
        let rules = Rules { appends: true, ..Rules::default() };
        let facts = Facts { address: Some("192.0.2.7".parse().unwrap()), ..FACTS };
        let sent = [
            ("forwarded", "for=198.51.100.1;by=\"_a\\\"b\""),
            ("x-forwarded-for", "198.51.100.1"),
            ("x-forwarded-for", "203.0.113.2"),
            ("x-forwarded-host", "www.example.com"),
            ("x-forwarded-prefix", "/api"),
            ("x-forwarded-user", "root"),
            ("x-real-ip", "10.0.0.1"),
        ];
        let expected = [
            ("forwarded", "for=198.51.100.1;by=\"_a\\\"b\", for=192.0.2.7;host=keys.example.com;proto=https"),
            ("x-forwarded-for", "198.51.100.1, 203.0.113.2, 192.0.2.7"),
            ("x-forwarded-host", "www.example.com"),
            ("x-forwarded-port", "443"),
            ("x-forwarded-prefix", "/api"),
            ("x-forwarded-proto", "https"),
        ];
        assert_eq!(told(&sent, &rules, &facts), owned(&expected));
        // An open quote would take in what we say.
        let open = told(&[("forwarded", "for=\"10.0.0.1"), ("x-forwarded-for", " ")], &rules, &facts);
        assert_eq!(open[0].1, "for=192.0.2.7;host=keys.example.com;proto=https");
        assert_eq!(open[1].1, "192.0.2.7");
        // Where no address is known, the chain ends where the proxy ended it.
        assert_eq!(told(&sent[1..2], &rules, &FACTS)[1].1, "198.51.100.1");
    }

    #[test]
    fn f6_a_header_that_the_policy_names_passes_in_that_spelling_and_no_credential_does() {
        let pass = ["x-client-cert".to_owned(), "x-client".to_owned()];
        let rules = Rules { pass: &pass, address_header: Some("x-client"), ..Rules::default() };
        let names = ["x-client-cert", "x_client_cert", "x-client-cert-chain", "x-client", "authorization"];
        assert_eq!(forwarded(pairs(&names), &rules), pairs(&["x-client-cert", "x-client"]));
    }

    #[test]
    fn beside_the_one_header_of_ours_the_other_is_the_upstreams() {
        let names = ["authorization", "x-api-key", "x_api_key", "x-service-token", "x-service-name", "cookie"];
        for (own, passes) in [
            ("x-api-key", &["authorization"][..]),
            ("authorization", &["x-api-key"]),
            ("x-service-token", &["authorization", "x-api-key"]),
        ] {
            assert_eq!(forwarded(pairs(&names), &Rules { own: Some(own), ..Rules::default() }), pairs(passes), "{own}");
        }
    }
}
