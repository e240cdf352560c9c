//! `[upstream]` in a policy file: what the upstream is told of a call's way so far, and which header is ours.

use super::{
    Route,
    table::{Fault, Table, Text},
};
use crate::{upstream::header_family, world::upstream::CREDENTIALS};

/// What a policy says about the headers of every call to the upstream.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct UpstreamPolicy {
    /// A proxy in front of us is trusted: what it says of the way so far goes on, and ours comes after it.
    pub appends: bool,
    /// Headers, in lower case, that pass although only a proxy can know what stands in them.
    pub pass: Vec<String>,
    /// The one header that a credential of ours is read from, on routes that do not say it themselves.
    pub own_header: Option<&'static str>,
    /// The longest path and query of a call to a route.
    pub max_url_bytes: Option<usize>,
}

/// What a policy may say of the longest URL. The bare runtime itself takes little more.
const URL_BYTES: std::ops::RangeInclusive<u32> = 1_024..=65_536;

/// Reads the table.
pub fn read(table: Table) -> Result<UpstreamPolicy, Fault> {
    let table = table.only(&["forwarded", "pass", "own_header", "max_url_bytes"])?;
    let appends = match table.text("forwarded")? {
        None => false,
        Some(text) if text.text == "anew" => false,
        Some(text) if text.text == "append" => true,
        Some(text) => return Err((text.span, "`forwarded` is \"anew\" or \"append\"".to_owned())),
    };
    let pass = table.texts("pass")?.unwrap_or_default().into_iter().map(passed).collect::<Result<_, _>>()?;
    let own_header = own_header(&table)?;
    let max_url_bytes = table.number("max_url_bytes", URL_BYTES)?.and_then(|bytes| usize::try_from(bytes).ok());
    Ok(UpstreamPolicy { appends, pass, own_header, max_url_bytes })
}

/// `own_header` of this table, or of a route.
pub fn own_header(table: &Table) -> Result<Option<&'static str>, Fault> {
    let Some(name) = table.text("own_header")? else { return Ok(None) };
    let known = CREDENTIALS.into_iter().find(|known| name.text.eq_ignore_ascii_case(known));
    known.map(Some).ok_or_else(|| (name.span, format!("`own_header` is one of {}", CREDENTIALS.join(", "))))
}

/// A header that passes although it belongs to a family.
fn passed(name: Text) -> Result<String, Fault> {
    let lower = name.text.to_ascii_lowercase();
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let why = if lower.is_empty() || !lower.bytes().all(is_token) {
        "is no name of a header"
    } else if header_family::names_other_call(&header_family::read(&lower)) {
        "would have the upstream take another method or path than the policy was asked about"
    } else if matches!(
        &*lower,
        "forwarded" | "x-forwarded-for" | "x-forwarded-host" | "x-forwarded-port" | "x-forwarded-proto"
    ) {
        "is written by Claviger: `forwarded = \"append\"` keeps what a trusted proxy says there"
    } else if is_never_passed(&lower) {
        "never passes: it is a credential, belongs to the connection, or speaks in Claviger's name"
    } else {
        return Ok(lower);
    };
    Err((name.span, format!("pass: `{}` {why}", name.text)))
}

fn is_never_passed(name: &str) -> bool {
    let read = header_family::read(name);
    CREDENTIALS.contains(&&*read)
        || read.starts_with("x-service-")
        || read.starts_with("claviger-")
        || crate::world::upstream::is_hop_by_hop(&read)
        || matches!(&*read, "cookie" | "host" | "content-length" | "expect")
}

/// Whether a route takes no credential that could come in its one header.
pub fn is_closed(route: &Route) -> bool {
    let comes = |kind: &String| match route.own_header {
        None => true,
        Some("x-service-token") => kind == "service_token",
        Some("x-api-key") => kind == "server_key",
        Some(_) => kind != "service_token",
    };
    !route.accept.iter().any(comes)
}

/// What `policy check` tells about a policy that is sound: what only the deployment's variables can make true.
pub fn hints(upstream: &UpstreamPolicy, routes: &[Route]) -> Vec<String> {
    let mut hints = Vec::new();
    if routes.iter().any(|route| route.to == crate::policy::Destination::Upstream) {
        hints.push(
            "the upstream is told the client's address only where the variable CLIENT_ADDRESS_HEADER is set: without it, no \
             X-Forwarded-For goes out"
                .to_owned(),
        );
    }
    if upstream.appends {
        hints.push(
            "forwarded = \"append\" believes every client that reaches Claviger: let nobody but your proxy, which overwrites Forwarded and \
             X-Forwarded-*"
                .to_owned(),
        );
    }
    hints
}
