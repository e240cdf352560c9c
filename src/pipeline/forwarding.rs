//! The call to the API behind: what goes out with it, once, and how its answer begins.

use super::{body::MAX_BYTES, config::Config};
use crate::{
    error::Reason,
    id::WorkspaceId,
    machine::World,
    meter::Admitted,
    request::Request,
    scope::Scope,
    upstream::{Incoming, Outgoing, Sent, forwarded},
};

/// The body of a call that must be read here, before it goes on: at most 1 MiB, as it came.
pub async fn read(world: &impl World) -> Result<Vec<u8>, Reason> {
    let declared = world.header("content-length").and_then(|length| length.parse::<usize>().ok());
    if declared.is_some_and(|length| length > MAX_BYTES) {
        return Err(Reason::BodyTooLarge(MAX_BYTES));
    }
    world.body(MAX_BYTES).await
}

/// The `Idempotency-Key` that goes out.
pub enum Key {
    /// The caller's, if there is one: the route does not look at it.
    Theirs,
    /// Ours, if there is one.
    Ours(Option<String>),
}

/// Forwards the call, once: with the body that was read here, or else with the request's as it comes.
pub async fn forward(
    admitted: &Admitted,
    body: Option<Vec<u8>>,
    key: Key,
    request: &Request,
    config: &Config,
    world: &impl World,
) -> Result<Incoming, Reason> {
    let origin = config.upstream.as_deref().ok_or(Reason::UpstreamMissing)?;
    let is_read = matches!(request.method.as_str(), "GET" | "HEAD");
    let has_body = world.header("transfer-encoding").is_some()
        || world.header("content-length").is_some_and(|length| length.trim() != "0");
    if is_read && has_body {
        return Err(Reason::invalid("", "A GET or HEAD has no body here: ask in the path and in the query."));
    }
    let mut headers = forwarded(world.headers());
    if let Key::Ours(id) = key {
        // In any spelling: servers of the CGI family read `_` as `-`.
        headers.retain(|(name, _)| name.replace('_', "-") != "idempotency-key");
        headers.extend(id.map(|id| ("idempotency-key".to_owned(), id)));
    }
    headers.extend(vouched(admitted, request));
    let url = format!("{origin}{}", request.target());
    let body = match body {
        _ if is_read => Sent::Nothing,
        Some(bytes) => Sent::Bytes(bytes),
        None => Sent::Stream,
    };
    world.forward(Outgoing { method: request.method.clone(), url, body, headers }).await
}

/// Who is asking, in our word: what comes in under these names never passes. What the principal has not is left out.
pub fn vouched(admitted: &Admitted, request: &Request) -> Vec<(String, String)> {
    let principal = admitted.principal();
    let scopes: Vec<&str> = principal.scopes().iter().map(Scope::as_str).collect();
    let scopes = scopes.join(" ");
    let facts = [
        ("claviger-principal", Some(principal.id().as_str())),
        ("claviger-kind", Some(principal.kind().as_str())),
        ("claviger-workspace", principal.workspace().map(WorkspaceId::as_str)),
        ("claviger-environment", principal.environment().map(|environment| environment.as_str())),
        ("claviger-scopes", Some(scopes.as_str()).filter(|scopes| !scopes.is_empty())),
        ("claviger-request-id", Some(request.id.as_str())),
    ];
    facts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect()
}
