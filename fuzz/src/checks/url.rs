//! Methods, paths and queries: a path is taken as it was sent, has one spelling, and no parameter is chosen among two.
//!
//! The input is a method, a URL and the name of a parameter, each on a line.

use super::text;
use claviger::{
    call::request::Request,
    error::Reason,
    road::route::{CallKind, Route, route},
};

pub fn check(bytes: &[u8]) {
    let input = text(bytes);
    let mut lines = input.splitn(3, '\n');
    let mut line = || lines.next().unwrap_or_default().to_owned();
    let (method, url, name) = (line(), line(), line());
    let request = Request { id: String::new(), method, url, header_bytes: 0, has_body: false };
    let (path, query) = (request.path(), request.query());
    assert!(path.starts_with('/') && !path.contains(['?', '#']), "{path}");
    assert!(request.url.contains(path) || path == "/");
    assert!(query.is_empty() || request.url.contains(&format!("?{query}")), "{query}");
    let values: Vec<String> = form_urlencoded::parse(query.as_bytes())
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value.into_owned())
        .collect();
    match (request.parameter(&name), values.as_slice()) {
        (Ok(None), []) | (Err(Reason::InvalidRequest(..)), [_, _, ..]) => {}
        (Ok(Some(value)), [only]) => assert_eq!(value, *only),
        (other, values) => panic!("{other:?} of {values:?}"),
    }
    routed(&request);
}

/// What leads somewhere is spelled as the route's name says.
fn routed(request: &Request) {
    let (route, kind) = match route(&request.method, request.path()) {
        Ok(found) => found,
        Err(Reason::NotFound) => return,
        Err(Reason::MethodNotAllowed(allow)) => {
            assert!(!allow.split(", ").any(|method| method == request.method), "{allow}");
            return;
        }
        Err(reason) => panic!("{reason:?}"),
    };
    let (method, pattern) = route.name().split_once(' ').expect("a method and a path");
    match kind {
        CallKind::Call => assert!(request.method == method || (request.method == "HEAD" && method == "GET")),
        CallKind::Preflight => assert!(request.method == "OPTIONS" && !matches!(route, Route::Api(..))),
    }
    if pattern.ends_with("oauth-protected-resource") {
        return assert!(request.path().starts_with(pattern.trim_start_matches("GET ")));
    }
    let (ours, theirs): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), request.path().split('/').collect());
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.into_iter().zip(theirs) {
        assert!(ours == theirs || ours.starts_with('{'), "{pattern} and {}", request.path());
    }
}
