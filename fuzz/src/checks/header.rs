//! Credentials in headers: exactly one, in one header, once, behind the scheme of its kind; everything else is refused.
//!
//! The input is lines of a head; `{0}` … `{8}` stand for the signed credentials that were issued, `{a}` … `{d}` for the opaque
//! ones: two server keys and two service tokens. Every value is tried as a bare credential too.

use super::{
    credential::{ISSUED, RING},
    opaque, text,
};
use crate::{lawful::BRAND, opaque::SHAPES};
use claviger::{
    codec::{secret::Secret, time::Timestamp},
    credential::{CredentialKind, Door},
    crypto::job::Job,
    error::Reason,
    introspection::forwarded_call::Original,
    object::machine::{Machine, Reading, World},
    world::{
        fetch::{Fetched, Wanted},
        isolate::Isolate,
        upstream::{Incoming, Outgoing},
    },
};

const SCHEMES: [&str; 2] = ["Convex", "Deploy"];

/// A request of nothing but headers.
struct Head(Vec<(String, String)>, Isolate);

pub fn check(bytes: &[u8]) {
    let mut input = text(bytes).into_owned();
    for (number, issued) in ISSUED.iter().enumerate() {
        input = input.replace(&format!("{{{number}}}"), issued);
    }
    for (letter, issued) in ["{a}", "{b}", "{c}", "{d}"].into_iter().zip(opaque::ISSUED.iter()) {
        input = input.replace(letter, issued);
    }
    let line = |line: &str| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_lowercase(), value.to_owned())).filter(|(_, value)| !value.is_empty())
    };
    let head = Head(input.split('\n').filter_map(line).collect(), Isolate::default());
    let schemes = SCHEMES.map(str::to_owned);
    let found = Door { ring: &RING, brand: BRAND, deploy_schemes: &schemes }.in_headers(&head);
    let found = found.map(|found| found.map(|verified| verified.kind()));
    assert_eq!(found.ok(), expected(&head), "{input}");
    for (_, value) in &head.0 {
        let bare = Door { ring: &RING, brand: BRAND, deploy_schemes: &schemes }.bare(&Secret::new(value.clone()), None);
        let issued = opaque::ISSUED.iter().chain(ISSUED.iter()).any(|issued| issued == value);
        assert_eq!(bare.is_ok(), issued, "{value}");
    }
    // What a proxy says of the call that it holds: one call, or none.
    if let Ok(Original { method, target }) = Original::read(|name| head.header(name)) {
        let lines =
            |name: &str, said: &str| head.0.iter().filter(|line| **line == (name.to_owned(), said.to_owned())).count();
        assert_eq!((lines("x-forwarded-method", &method), lines("x-forwarded-uri", &target)), (1, 1), "{input}");
        assert!(target.starts_with('/') && !target.contains(char::is_whitespace) && !method.contains(','), "{input}");
    }
}

/// The same, read naively.
fn expected(head: &Head) -> Option<Option<CredentialKind>> {
    let ours = ["authorization", "x-api-key", "x-service-token"];
    let ours: Vec<_> = head.0.iter().filter(|(name, _)| ours.contains(&name.as_str())).collect();
    let [(name, value)] = ours.as_slice() else {
        return ours.is_empty().then_some(None);
    };
    let drawn = |token: &str| Some(SHAPES[opaque::ISSUED.iter().position(|issued| issued == token)?].0);
    let kind = |token: &str| {
        if let Some(kind) = drawn(token) {
            return Some(kind).filter(|kind| *kind == CredentialKind::ServerKey);
        }
        ISSUED.iter().position(|issued| issued == token).map(|place| match place % 3 {
            0 => CredentialKind::WidgetKey,
            1 => CredentialKind::HistorySecret,
            _ => CredentialKind::DeployKey,
        })
    };
    let is = |scheme: &str, known: &str| scheme.eq_ignore_ascii_case(known);
    match (name.as_str(), value.split_once(' ')) {
        ("x-api-key", None) => {
            kind(value).filter(|kind| matches!(kind, CredentialKind::WidgetKey | CredentialKind::ServerKey)).map(Some)
        }
        ("x-service-token", None) => {
            let names: Vec<_> = head.0.iter().filter(|(name, _)| name == "x-service-name").collect();
            let is_one = names.len() < 2 && !names.iter().any(|(_, name)| name.contains(','));
            drawn(value).filter(|kind| is_one && *kind == CredentialKind::ServiceToken).map(Some)
        }
        ("authorization", Some((scheme, token))) if is(scheme, "bearer") => {
            kind(token).filter(|kind| *kind != CredentialKind::DeployKey).map(Some)
        }
        ("authorization", Some((scheme, token))) if SCHEMES.iter().any(|known| is(scheme, known)) => {
            kind(token).filter(|kind| *kind == CredentialKind::DeployKey).map(Some)
        }
        _ => None,
    }
}

impl World for Head {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }

    fn random(&self) -> Result<[u8; 16], Reason> {
        Err(Reason::Unavailable)
    }

    fn header(&self, name: &str) -> Option<String> {
        let values: Vec<&str> =
            self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    fn headers(&self) -> Vec<(String, String)> {
        self.0.clone()
    }

    async fn body(&self, _: Reading<'_>) -> Result<Option<Vec<u8>>, Reason> {
        Err(Reason::Unavailable)
    }

    async fn ask<M: Machine>(&self, _: &str, _: M::Command) -> Result<M::Reply, Reason> {
        Err(Reason::Unavailable)
    }

    async fn forward(&self, _: Outgoing) -> Result<Incoming, Reason> {
        Err(Reason::Unavailable)
    }

    async fn fetch(&self, _: Wanted<'_>) -> Result<Fetched, Reason> {
        Err(Reason::Unavailable)
    }

    async fn crypto(&self, _: Job<'_>) -> Result<Vec<u8>, Reason> {
        Err(Reason::Unavailable)
    }

    fn isolate(&self) -> &Isolate {
        &self.1
    }
}
