//! The call to the upstream: what goes out with it, once, and how its answer begins.

use crate::{
    assertion::sign::assert,
    call::{config::Config, meter::Admitted, network::address, request::Request},
    credential::Door,
    error::Reason,
    object::machine::World,
    policy::{Action, Route},
    upstream::{
        circuit_breaker::{Caller, Circuit},
        header_family,
        websocket::{self, SWITCHING_PROTOCOLS},
    },
    value::{
        id::{Environment, WorkspaceId},
        scope::Scope,
    },
    world::upstream::{Facts, Incoming, Outgoing, Rules, Sent, forwarded, tell, without_other_method, without_space},
};

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
    route: &Route,
    body: Option<Vec<u8>>,
    key: Key,
    request: &Request,
    config: &Config,
    world: &impl World,
) -> Result<Incoming, Reason> {
    let origin = config.upstream.as_deref().ok_or(Reason::UpstreamMissing)?;
    let is_read = matches!(request.method.as_str(), "GET" | "HEAD");
    // HTTP/2 needs neither header for a body.
    let has_length = match world.header("content-length") {
        Some(length) => length.trim() != "0",
        None => request.has_body,
    };
    let has_body = has_length || world.header("transfer-encoding").is_some();
    if is_read && has_body {
        return Err(Reason::invalid("", "A GET or HEAD has no body here: ask in the path and in the query."));
    }
    let sent = world.headers();
    let is_websocket = body.is_none() && websocket::is_wanted(&request.method, &sent);
    if is_websocket && !websocket::is_sound(&sent) {
        return Err(Reason::invalid("sec-websocket-key", "One key of 16 bytes in base64, and version 13 (RFC 6455)."));
    }
    let upstream = &config.policy.upstream;
    let rules = Rules {
        own: route.own_header,
        pass: &upstream.pass,
        appends: upstream.appends,
        address_header: config.client_address_header.as_deref(),
    };
    let facts = Facts { address: address(config, world), origin: &config.origin };
    let mut headers = without_credentials(forwarded(sent, &rules), &config.door());
    tell(&mut headers, &facts);
    if is_websocket {
        headers = websocket::passing(headers);
        headers.push(("upgrade".to_owned(), "websocket".to_owned()));
    }
    // A call whose body was read here has its answer read here, too: that must come as it is, and even if nobody waits for it.
    let is_read_here = body.is_some();
    if is_read_here {
        headers.retain(|(name, _)| name != "accept-encoding");
        headers.push(("accept-encoding".to_owned(), "identity".to_owned()));
    }
    if let Key::Ours(id) = key {
        // In any spelling: see `upstream`.
        headers.retain(|(name, _)| header_family::read(name) != "idempotency-key");
        headers.extend(id.map(|id| ("idempotency-key".to_owned(), id)));
    }
    headers.extend(vouched(admitted, request).into_iter().map(|(name, value)| (name.to_owned(), value)));
    let assertion = assert(admitted.principal(), origin, request, config, world).await?;
    headers.push(("claviger-assertion".to_owned(), assertion));
    let url = match without_other_method(request.query()) {
        None => format!("{origin}{}", request.target()),
        Some(query) if query.is_empty() => format!("{origin}{}", request.path()),
        Some(query) => format!("{origin}{}?{query}", request.path()),
    };
    let body = match body {
        _ if is_read => Sent::Nothing,
        Some(bytes) => Sent::Bytes(bytes),
        None => Sent::Stream,
    };
    // Whoever sends a body as slowly as they like, or half of it, must not be able to make the upstream look dead.
    let counts_as_failure = !has_body || is_read_here;
    let call = Outgoing {
        method: request.method.clone(),
        url,
        body,
        headers,
        timeout_seconds: route.timeout_seconds,
        outlives_caller: is_read_here,
    };
    let Action::Forward(number) = admitted.action() else { return Err(Reason::NotFound) };
    let principal = admitted.principal();
    let caller = Caller {
        route: number,
        is_test: principal.environment() == Some(Environment::Test),
        workspace: principal.workspace().map_or("", WorkspaceId::as_str),
    };
    through_circuit(call, caller, counts_as_failure, world).await
}

/// Calls the upstream unless it is left alone for now, and remembers how that went.
async fn through_circuit(
    call: Outgoing,
    caller: Caller<'_>,
    counts_as_failure: bool,
    world: &impl World,
) -> Result<Incoming, Reason> {
    let pass = world.isolate().with(|circuit: &mut Circuit| circuit.pass(caller, world.now(), counts_as_failure));
    let pass = pass.map_err(Reason::UpstreamDown)?;
    let is_websocket = call.headers.iter().any(|(name, _)| name == "upgrade");
    let answer = match world.forward(call).await {
        // Nobody asked it to speak anything but HTTP.
        Ok(answer) if answer.status == SWITCHING_PROTOCOLS && !is_websocket => Err(Reason::UpstreamFailed),
        answer => answer,
    };
    world.isolate().with(|circuit: &mut Circuit| match &answer {
        Ok(_) => circuit.answered(&pass, world.now()),
        Err(Reason::UpstreamFailed | Reason::UpstreamTimedOut) => circuit.failed(&pass, world.now()),
        Err(_) => circuit.dropped(&pass, world.now()),
    });
    answer
}

/// The headers without those in which a credential of ours stands, under whatever name. Of a list of subprotocols the others stay.
fn without_credentials(headers: Vec<(String, String)>, door: &Door) -> Vec<(String, String)> {
    let passes = |(name, mut value): (String, String)| {
        if door.holds_credential(&name) {
            return None;
        }
        if !door.holds_credential(&value) {
            return Some((name, value));
        }
        if name != "sec-websocket-protocol" {
            return None;
        }
        value =
            value.split(',').filter(|item| !door.holds_credential(without_space(item))).collect::<Vec<_>>().join(",");
        (!without_space(&value).is_empty()).then_some((name, value))
    };
    headers.into_iter().filter_map(passes).collect()
}

/// Who is asking, in our word: what comes in under these names never passes. What the principal has not is left out.
pub fn vouched(admitted: &Admitted, request: &Request) -> Vec<(&'static str, String)> {
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
    facts.into_iter().filter_map(|(name, value)| Some((name, value?.to_owned()))).collect()
}
