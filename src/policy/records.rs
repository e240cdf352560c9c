//! Where the path of a route to the embedded records names the collection, and where the record.

use super::{Destination, Route};
use crate::protocol::record_name::Collection;

/// What a route's path leads to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Leads {
    /// Its last segment is the collection.
    Collection,
    /// Its last segment is the record, the one before it the collection.
    Record,
    /// Its `{rest...}` is the one or the other.
    Either,
}

/// What a pattern leads to, and the number of the segment that is the collection; or why it leads nowhere.
fn leads(pattern: &str) -> Result<(Leads, usize), &'static str> {
    let segments: Vec<&str> = pattern.split('/').skip(1).collect();
    let is_variable = |segment: &&str| segment.starts_with('{');
    let (last, before) = segments.split_last().ok_or("a path")?;
    let (leads, at) = match before.last() {
        _ if last.ends_with("...}") => (Leads::Either, before.len()),
        Some(name) if is_variable(last) && (is_variable(name) || *last == "{id}") => (Leads::Record, before.len() - 1),
        _ => (Leads::Collection, before.len()),
    };
    if segments.iter().take(at).any(is_variable) {
        return Err("only the collection and the record are variables of a path to records: before them it is literal");
    }
    match segments.get(at) {
        Some(name) if is_variable(name) || Collection::parse(name).is_ok() => Ok((leads, at)),
        _ => Err(Collection::RULE),
    }
}

/// Why a route with this method and path cannot lead to records, if it cannot.
pub(crate) fn fault(method: &str, pattern: &str) -> Option<&'static str> {
    let is_served = match leads(pattern) {
        Err(why) => return Some(why),
        Ok((Leads::Collection, _)) => matches!(method, "GET" | "HEAD" | "POST"),
        Ok((Leads::Record, _)) => matches!(method, "GET" | "HEAD" | "PUT" | "DELETE"),
        Ok((Leads::Either, _)) => method != "PATCH",
    };
    (!is_served).then_some("a collection of records takes GET and POST, a record takes GET, PUT and DELETE")
}

/// Whether what is written by one of these routes to records may lie where a write by the other waits for a person: then the
/// first is a way around that person.
pub(crate) fn goes_around(one: &Route, other: &Route) -> bool {
    let writes = |route: &Route| route.to == Destination::Records && !matches!(route.method.as_str(), "GET" | "HEAD");
    if !writes(one) || !writes(other) || one.review == other.review {
        return false;
    }
    match (collection(one), collection(other)) {
        (Some(one), Some(other)) => one == other,
        // A variable stands for any.
        _ => true,
    }
}

/// The one collection that a route's path spells out.
fn collection(route: &Route) -> Option<&str> {
    let (_, at) = leads(&route.path).ok()?;
    route.path.split('/').nth(1 + at).filter(|name| !name.starts_with('{'))
}

impl Route {
    /// The collection and the record that a path means, by a route to records; `None` where it means neither.
    pub fn record<'a>(&self, path: &'a str) -> Option<(&'a str, Option<&'a str>)> {
        let (_, at) = leads(&self.path).ok()?;
        let mut segments = path.split('/').skip(1 + at);
        match (segments.next()?, segments.next(), segments.next()) {
            (collection, id, None) => Some((collection, id)),
            _ => None,
        }
    }
}
