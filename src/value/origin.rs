//! Web origins (RFC 6454) that a widget key may be used from: exact scheme, host and port, or one leading `*.` label.

use super::id::Environment;
use crate::{error::Reason, wire};
use std::net::{Ipv4Addr, Ipv6Addr};

/// An origin on a widget key's list, in the one spelling that browsers send.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Origin(String);

wire!(Origin(String));

/// Suffixes under which strangers get names, whether or not the Public Suffix List has them: `*.` of these would let anybody in.
/// The whole list is a file of the deployment (`value/public_suffix.rs`).
const SHARED: &[&str] = &[
    "amazonaws.com",
    "app.github.dev",
    "appspot.com",
    "azurestaticapps.net",
    "azurewebsites.net",
    "blogspot.com",
    "cloudfront.net",
    "co.jp",
    "co.nz",
    "co.uk",
    "co.za",
    "codesandbox.io",
    "com.au",
    "com.br",
    "com.cn",
    "com.mx",
    "com.tr",
    "deno.dev",
    "firebaseapp.com",
    "fly.dev",
    "ghost.io",
    "github.io",
    "gitlab.io",
    "gitpod.io",
    "glitch.me",
    "googleusercontent.com",
    "herokuapp.com",
    "lhr.life",
    "loca.lt",
    "modal.run",
    "myshopify.com",
    "netlify.app",
    "ngrok-free.app",
    "ngrok.io",
    "nip.io",
    "onrender.com",
    "org.uk",
    "pages.dev",
    "railway.app",
    "repl.co",
    "replit.dev",
    "serveo.net",
    "sslip.io",
    "stackblitz.io",
    "substack.com",
    "surge.sh",
    "traefik.me",
    "trycloudflare.com",
    "tumblr.com",
    "vercel.app",
    "web.app",
    "webcontainer.io",
    "webflow.io",
    "weebly.com",
    "wixsite.com",
    "wordpress.com",
    "workers.dev",
    "xip.io",
];

impl Origin {
    /// Reads one entry of a list. `http:` is for loopback and `test` keys only; `null` is nobody's origin.
    pub fn parse(text: &str, environment: Environment) -> Result<Self, Reason> {
        let refuse = |why: &str| Err(Reason::invalid("origins", why));
        let plain = text.replacen("://*.", "://", 1);
        let Some((scheme, host)) = split(&plain) else {
            return refuse(
                "Write each origin as browsers send it: https://host or https://host:port, in lower case and punycode, without a path, a slash at the end or the default port.",
            );
        };
        if scheme == "http" && !(is_loopback(host) && environment == Environment::Test) {
            return refuse("http: is for loopback and test keys only; use https:.");
        }
        if plain != text {
            let is_address = host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok();
            if is_address || !host.contains('.') || SHARED.contains(&host) {
                return refuse(&shared(host, "our own list"));
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether the header `Origin: header` is this one.
    pub fn admits(&self, header: &str) -> bool {
        let Some((scheme, rest)) = self.0.split_once("://*") else {
            return self.0 == header;
        };
        let label = header
            .strip_prefix(scheme)
            .and_then(|header| header.strip_prefix("://"))
            .and_then(|host| host.strip_suffix(rest));
        label.is_some_and(|label| {
            !label.is_empty()
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
        })
    }

    /// The host behind `*.`, of a wildcard.
    pub fn wildcard(&self) -> Option<&str> {
        split(&self.0.replacen("://*.", "://", 1))?;
        let host = self.0.split_once("://*.")?.1;
        Some(host.split(':').next().unwrap_or(host))
    }

    /// As it was listed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why no wildcard under this host is taken.
pub fn shared(host: &str, list: &str) -> String {
    format!("Strangers can get names under `{host}` (by {list}): list the exact origins instead.")
}

/// Scheme and host of an `http` or `https` origin in the serialization of RFC 6454 §6.2; `None` for any other spelling.
pub fn split(origin: &str) -> Option<(&str, &str)> {
    let (scheme, authority) = origin.split_once("://")?;
    let default_port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let after_host = if authority.starts_with('[') { authority.find(']')? + 1 } else { 0 };
    let (host, port) = match authority.get(after_host..)?.find(':') {
        Some(at) => (authority.get(..after_host + at)?, authority.get(after_host + at + 1..)),
        None => (authority, None),
    };
    if let Some(port) = port {
        let number: u16 = port.parse().ok().filter(|number| *number != 0 && *number != default_port)?;
        if number.to_string() != port {
            return None;
        }
    }
    is_host(host).then_some((scheme, host))
}

/// A domain in lower case, or an address in its one canonical spelling.
fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let parsed = address.parse::<Ipv6Addr>();
        return parsed.is_ok_and(|parsed| parsed.to_ipv4_mapped().is_none() && parsed.to_string() == address);
    }
    let labels = || host.split('.');
    // A last label that is a number makes browsers read an IPv4 address (WHATWG URL, "ends in a number").
    let last = labels().next_back().unwrap_or_default();
    if last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x") {
        return host.parse::<Ipv4Addr>().is_ok_and(|parsed| parsed.to_string() == host);
    }
    let sound = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
    };
    host.len() <= 253 && labels().all(sound)
}

/// Whether the host is this very machine.
pub fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host == "[::1]"
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::Origin;
    use crate::value::id::Environment::{Live, Test};

    #[test]
    fn b20_only_the_exact_origin_is_admitted() {
        let origin = Origin::parse("https://good.com", Live).unwrap();
        assert!(origin.admits("https://good.com"));
        for header in [
            "https://good.com.evil.com",
            "https://evilgood.com",
            "https://good.com.",
            "http://good.com",
            "https://good.com:8443",
            "https://good.com@evil.com",
            "https://GOOD.com",
            "https://xn--good.com",
            "https://good.com/",
            "null",
            "",
            "https://good.com, https://evil.com",
            "file://",
        ] {
            assert!(!origin.admits(header), "{header}");
        }
    }

    #[test]
    fn b22_a_wildcard_is_one_label_of_a_domain_that_strangers_cannot_join() {
        let origin = Origin::parse("https://*.good.com:8443", Live).unwrap();
        for header in ["https://a.good.com:8443", "https://4.good.com:8443", "https://xn--b-1_c.good.com:8443"] {
            assert!(origin.admits(header), "{header}");
        }
        for header in [
            "https://good.com:8443",
            "https://a.b.good.com:8443",
            "https://.good.com:8443",
            "https://A.good.com:8443",
            "https://a%.good.com:8443",
            "https://a.good.com",
            "https://evil.com/.good.com:8443",
        ] {
            assert!(!origin.admits(header), "{header}");
        }
        for text in [
            "https://*.com",
            "https://*.github.io",
            "https://*.127.0.0.1",
            "https://*",
            "https://a.*.com",
            "https://*.*.good.com",
            "*",
            "https://*.co.uk",
        ] {
            assert!(Origin::parse(text, Live).is_err(), "{text}");
        }
    }

    #[test]
    fn x_where_strangers_get_names_though_no_list_says_so_no_wildcard_is_taken() {
        for host in ["nip.io", "sslip.io", "app.github.dev", "codesandbox.io", "replit.dev", "gitpod.io", "loca.lt"] {
            assert!(Origin::parse(&format!("https://*.{host}"), Live).is_err(), "{host}");
            assert!(Origin::parse(&format!("https://*.shop.{host}"), Live).is_ok(), "{host}");
        }
    }

    #[test]
    fn b19_null_and_schemes_that_are_not_the_web_cannot_be_listed() {
        for text in [
            "null",
            "",
            "good.com",
            "file://",
            "data:text/html",
            "ftp://good.com",
            "https://good.com/",
            "https://Good.com",
            "https://good.com:443",
            "https://u@good.com",
            "https://ä.com",
            "https://good.com\n",
            "https://0x7f.1",
            "https://127.1",
            "https://2130706433",
            "https://[::0]",
            "https://[::ffff:1.2.3.4]",
            "https://good.com:0443",
            "https://good.com:0",
            "https://good.com:65536",
            "https://good.com:",
            "https://",
            "https://a..b",
            "https://good.com?x",
            "https://good com",
        ] {
            assert!(Origin::parse(text, Test).is_err(), "{text}");
        }
    }

    #[test]
    fn plain_http_is_for_loopback_and_test_keys() {
        for text in ["http://localhost:8788", "http://127.0.0.1:8788", "http://[::1]:8788"] {
            assert!(Origin::parse(text, Test).is_ok(), "{text}");
            assert!(Origin::parse(text, Live).is_err(), "{text}");
        }
        assert!(Origin::parse("http://good.com", Test).is_err());
        assert!(Origin::parse("http://localhost.evil.com", Test).is_err());
    }
}
