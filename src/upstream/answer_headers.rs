//! The headers of an answer on its way back: nothing of the connection, nothing in our name, and nothing that speaks for our origin.

use crate::world::upstream::{Mirror, passing};

/// What passes of the headers of an answer. Where they name the upstream, they name us.
pub fn returned(headers: Vec<(String, String)>, mirror: Option<&Mirror>) -> Vec<(String, String)> {
    let mut headers = passing(headers, |read, _| {
        read == "idempotent-replayed"
            || read.starts_with("ratelimit")
            || read.starts_with("x-ratelimit-")
            || SPEAKS_FOR_ORIGIN.binary_search(&read).is_ok()
    });
    headers.retain(|(name, value)| name != "set-cookie" || !sets_our_cookie(value));
    if let Some(mirror) = mirror {
        reflect(&mut headers, mirror);
    }
    vary_by_caller(&mut headers);
    headers
}

/// The headers with every name of the upstream turned into ours.
pub fn reflect(headers: &mut [(String, String)], mirror: &Mirror) {
    for (name, value) in headers {
        if let Some(reflected) = mirror.reflect(name, value) {
            *value = reflected;
        }
    }
}

/// What a browser remembers for our whole origin, or does to it, beyond the one answer: other routes, the pages under `/docs` and
/// whoever is signed in here live there too. Advice about connections is of the connection to the upstream. In order, for the search.
const SPEAKS_FOR_ORIGIN: &[&str] = &[
    "accept-ch",
    "alt-svc",
    "clear-site-data",
    "critical-ch",
    "expect-ct",
    "nel",
    "origin-agent-cluster",
    "public-key-pins",
    "public-key-pins-report-only",
    "report-to",
    "service-worker-allowed",
    "set-login",
    "strict-transport-security",
    "use-as-dictionary",
];

/// What an answer depends on beside the URL: a cache in front of us knows of `Authorization` (RFC 9111 §3.5), and of no other header
/// that says who is calling.
const CALLER: &str = "Authorization, X-Api-Key, X-Service-Token";

fn vary_by_caller(headers: &mut Vec<(String, String)>) {
    match headers.iter_mut().find(|(name, _)| name == "vary") {
        Some((_, value)) if value.split(',').any(|item| crate::world::upstream::without_space(item) == "*") => {}
        Some((_, value)) if crate::world::upstream::without_space(value).is_empty() => *value = CALLER.to_owned(),
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
pub(crate) mod tests {
    use super::{SPEAKS_FOR_ORIGIN, returned};
    use crate::world::upstream::Mirror;

    pub fn pairs(names: &[&str]) -> Vec<(String, String)> {
        names.iter().map(|name| ((*name).to_owned(), "v".to_owned())).collect()
    }

    pub const HOPS: [&str; 10] = [
        "connection",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];

    /// What comes back beside the word that it depends on the caller.
    fn back(headers: Vec<(String, String)>) -> Vec<(String, String)> {
        let mut headers = returned(headers, None);
        assert_eq!(headers.pop(), Some(("vary".to_owned(), "Authorization, X-Api-Key, X-Service-Token".to_owned())));
        headers
    }

    #[test]
    fn no_answer_is_for_another_caller_and_none_speaks_of_our_limits_or_of_our_memory() {
        let vary = |value: &str| returned(vec![("vary".to_owned(), value.to_owned())], None);
        for all in ["*", "Accept, *"] {
            assert_eq!(vary(all), [("vary".to_owned(), all.to_owned())]);
        }
        let both = "Accept, Authorization, X-Api-Key, X-Service-Token".to_owned();
        assert_eq!(vary("Accept"), [("vary".to_owned(), both)]);
        assert_eq!(vary(""), [("vary".to_owned(), super::CALLER.to_owned())]);
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

    #[test]
    fn what_belongs_to_a_connection_ends_with_it() {
        assert_eq!(back(pairs(&HOPS)), []);
        let mut headers = pairs(&["x-a", "x-b", "x-c"]);
        headers.push(("connection".to_owned(), "close, X-A ,x-b".to_owned()));
        assert_eq!(back(headers), pairs(&["x-c"]));
    }

    #[test]
    fn f7_no_upstream_speaks_for_our_whole_origin() {
        assert!(SPEAKS_FOR_ORIGIN.is_sorted());
        assert_eq!(back(pairs(SPEAKS_FOR_ORIGIN)), []);
        for name in ["claviger-principal", "claviger_principal", "claviger~scopes"] {
            assert_eq!(back(pairs(&[name])), [], "{name}");
        }
        let others = [
            "content-length",
            "server",
            "location",
            "www-authenticate",
            "authorization",
            "expect",
            "content-security-policy",
            "cross-origin-opener-policy",
            "permissions-policy",
            "reporting-endpoints",
            "server-timing",
            "timing-allow-origin",
            "access-control-allow-origin",
            "x-forwarded-for",
            "x-accel-buffering",
        ];
        assert_eq!(back(pairs(&others)), pairs(&others));
    }

    #[test]
    fn f7_every_header_of_an_answer_is_reflected_and_no_body_is() {
        let mirror = Mirror::new("http://api.internal:8080", "https://keys.example.com").unwrap();
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let theirs = vec![
            header("location", "http://api.internal:8080/a"),
            header("set-cookie", "a=1; Domain=api.internal"),
            header("set-cookie", "b=1"),
            header("vary", "*"),
        ];
        let ours = [
            header("location", "https://keys.example.com/a"),
            header("set-cookie", "a=1"),
            header("set-cookie", "b=1"),
            header("vary", "*"),
        ];
        assert_eq!(returned(theirs, Some(&mirror)), ours);
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
