//! The gateway's routes in a policy file: each must make sense, and each must be reachable.

use super::{
    Destination, Idempotency, Route, ScopeRule, TokenRule, UpstreamPolicy, answers, records,
    table::{Fault, Table, Text},
    upstream,
};
use crate::value::scope::Scope;
use std::sync::Arc;

/// Kinds that a route may accept: those that can reach an API at all.
const ACCEPTABLE: &[&str] =
    &["server_key", "service_token", "access_token", "extension_token", "user_jwt", "session", "deploy_key"];

/// Kinds that live in browsers and open nothing but the widget.
const BROWSER_SAFE: &[&str] = &["widget_key", "history_secret"];

/// More would be one too many for the audit, which counts the uses of a minute by route and tells of them at once; and each
/// is tried in turn.
const MAX_ROUTES: usize = 100;

/// It is part of a row's key in the audit, which may have 2 KiB.
const MAX_PATH_BYTES: usize = 512;

/// How long the upstream may take to begin its answer, where a route does not say. Most proxies wait as long.
const TIMEOUT_SECONDS: u32 = 60;

/// Reads every route.
pub fn read(tables: Vec<Table>, scopes: &[(Scope, ScopeRule)], upstream: &UpstreamPolicy) -> Result<Vec<Route>, Fault> {
    let mut routes: Vec<Route> = Vec::new();
    for table in tables {
        let span = table.span.clone();
        if routes.len() == MAX_ROUTES {
            return Err((span, format!("more than {MAX_ROUTES} routes: join some with a {{rest...}}")));
        }
        let mut route = route(table, scopes)?;
        if route.to == Destination::Upstream {
            route.own_header = route.own_header.or(upstream.own_header);
        }
        if upstream::is_closed(&route) {
            let own = route.own_header.unwrap_or_default();
            return Err((span, format!("nobody could use this route: no kind that it accepts is sent in {own}")));
        }
        if routes.iter().any(|other| other.method == route.method && shape(&other.path) == shape(&route.path)) {
            let why = format!(
                "no request can reach this route: an earlier one has {} {} too",
                route.method,
                shape(&route.path)
            );
            return Err((span, why));
        }
        if let Some(other) = routes.iter().find(|other| records::goes_around(&route, other)) {
            let why = format!(
                "{} and {} write to the same records, and only one of them with review: that would be a way around it",
                route.name(),
                other.name()
            );
            return Err((span, why));
        }
        routes.push(route);
    }
    Ok(routes)
}

fn route(table: Table, scopes: &[(Scope, ScopeRule)]) -> Result<Route, Fault> {
    let table = table.only(&[
        "match",
        "scope",
        "accept",
        "to",
        "review",
        "idempotency",
        "idempotency_frees",
        "errors",
        "tokens",
        "timeout_seconds",
        "own_header",
        "if_match",
    ])?;
    let line = table.required_text("match")?;
    let (method, path) = pattern(&line)?;
    let is_read = matches!(method.as_str(), "GET" | "HEAD");
    let accept = accept(&table, &line)?;
    let scope = match table.text("scope")? {
        None => None,
        Some(name) => {
            let known = scopes.iter().map(|(scope, _)| scope).find(|scope| scope.as_str() == name.text).cloned();
            let names: Vec<&str> = scopes.iter().map(|(scope, _)| scope.as_str()).collect();
            Some(known.ok_or_else(|| (name.span, unknown_scope(&name.text, &names)))?)
        }
    };
    let to = table.required_text("to")?;
    let to = match to.text.as_str() {
        "upstream" => Destination::Upstream,
        "records" => Destination::Records,
        _ => return Err((to.span, "`to` is \"upstream\" or \"records\"".to_owned())),
    };
    if to == Destination::Records
        && let Some(why) = records::fault(&method, &path)
    {
        return Err((line.span, format!("match: {why}")));
    }
    let (review, span) = table.flag("review")?;
    if review && is_read {
        return Err((span, "review on a read: there is nothing to approve".to_owned()));
    }
    let idempotency = idempotency(table.text("idempotency")?, is_read)?;
    let idempotency_frees = answers::frees(&table, idempotency, to)?;
    let errors = answers::errors(table.text("errors")?)?;
    let tokens = match table.table("tokens")? {
        None => None,
        Some(tokens) if to == Destination::Records || is_read => {
            return Err((tokens.span, "tokens are settled from an upstream's answer to a write".to_owned()));
        }
        Some(tokens) => Some(Arc::new(TokenRule::read(tokens, &path)?)),
    };
    let timeout_seconds = table.number("timeout_seconds", 1..=600)?;
    if timeout_seconds.is_some() && to == Destination::Records {
        return Err((line.span, "timeout_seconds: nobody behind is waited for where `to` is \"records\"".to_owned()));
    }
    let timeout_seconds = timeout_seconds.unwrap_or(TIMEOUT_SECONDS);
    let own_header = upstream::own_header(&table)?;
    if own_header.is_some() && to == Destination::Records {
        return Err((line.span, "own_header: nothing passes on to anybody where `to` is \"records\"".to_owned()));
    }
    let requires_condition = condition(table.text("if_match")?, &method, to)?;
    Ok(Route {
        method,
        path,
        scope,
        accept,
        to,
        review,
        idempotency,
        idempotency_frees,
        errors,
        tokens,
        timeout_seconds,
        own_header,
        requires_condition,
    })
}

fn accept(table: &Table, line: &Text) -> Result<Vec<String>, Fault> {
    let missing = || (line.span.clone(), "`accept` is missing: nobody could use this route".to_owned());
    let kinds = table.texts("accept")?.ok_or_else(missing)?;
    for kind in &kinds {
        let name = kind.text.as_str();
        if BROWSER_SAFE.contains(&name) {
            return Err((
                kind.span.clone(),
                format!("a {name} is safe in browsers because it opens nothing but the widget: no route can accept it"),
            ));
        }
        if !ACCEPTABLE.contains(&name) {
            return Err((
                kind.span.clone(),
                format!("unknown kind `{name}`, expected one of {}", ACCEPTABLE.join(", ")),
            ));
        }
    }
    if kinds.is_empty() {
        return Err((line.span.clone(), "`accept` names no kind: nobody could use this route".to_owned()));
    }
    Ok(kinds.into_iter().map(|kind| kind.text).collect())
}

/// Whether a write must be conditional. What makes a record finds nothing there, and a read overwrites nothing.
fn condition(rule: Option<Text>, method: &str, to: Destination) -> Result<bool, Fault> {
    match rule {
        None => Ok(false),
        Some(rule) if rule.text != "required" => Err((rule.span, "`if_match` is \"required\"".to_owned())),
        Some(rule) if matches!(method, "GET" | "HEAD") || to == Destination::Records && method == "POST" => {
            Err((rule.span, "if_match on a call that overwrites nothing".to_owned()))
        }
        Some(_) => Ok(true),
    }
}

fn idempotency(rule: Option<Text>, is_read: bool) -> Result<Idempotency, Fault> {
    match rule {
        None => Ok(Idempotency::Ignored),
        Some(rule) if is_read => Err((rule.span, "idempotency on a read: reads have no effect to repeat".to_owned())),
        Some(rule) => match rule.text.as_str() {
            "accepted" => Ok(Idempotency::Accepted),
            "required" => Ok(Idempotency::Required),
            _ => Err((rule.span, "`idempotency` is \"accepted\" or \"required\"".to_owned())),
        },
    }
}

/// That there is no such scope, and which there are.
pub(crate) fn unknown_scope(name: &str, known: &[&str]) -> String {
    match known {
        [] => format!("unknown scope `{name}`: the file has none"),
        known => format!("unknown scope `{name}`, expected one of {}", known.join(", ")),
    }
}

/// Paths that are answered here, with all below them, whatever a policy says.
const OURS: &[&str] = &[
    "/w",
    "/.well-known",
    "/auth.md",
    "/openapi.json",
    "/llms.txt",
    "/oauth",
    "/docs",
    "/healthz",
    "/widget.js",
    "/login",
    "/logout",
    "/console",
    "/agent",
    "/agent-auth",
    "/v1/whoami",
    "/v1/self",
    "/v1/workspaces",
    "/v1/credentials",
    "/v1/conversations",
    "/v1/verify",
    "/v1/members",
    "/v1/audit",
    "/v1/forward-auth",
    "/v1/leaks",
    "/v1/review",
    "/v1/session",
    "/v1/clients",
    "/v1/grants",
    "/v1/extension-tokens",
    "/v1/vault",
    "/v1/assertion-keys",
];

fn pattern(line: &Text) -> Result<(String, String), Fault> {
    let fault = |reason: &str| (line.span.clone(), format!("match: {reason}"));
    let (method, path) = line.text.split_once(' ').ok_or_else(|| fault("a method, a space and a path"))?;
    if !matches!(method, "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE") {
        return Err(fault("the method is GET, HEAD, POST, PUT, PATCH or DELETE"));
    }
    let segments: Vec<&str> =
        path.strip_prefix('/').ok_or_else(|| fault("the path starts with /"))?.split('/').collect();
    for (index, segment) in segments.iter().enumerate() {
        let variable = segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}'));
        let name = variable.map(|name| name.strip_suffix("...").unwrap_or(name));
        let rest = variable.is_some_and(|name| name.ends_with("..."));
        let sound = match name {
            Some(name) => !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'),
            // A slash at the end is a segment of no length: `/v1/mcp/` is another path than `/v1/mcp`.
            None if segment.is_empty() => index > 0 && index + 1 == segments.len(),
            None => {
                !matches!(*segment, "." | "..")
                    && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&b))
            }
        };
        if !sound || (rest && index + 1 != segments.len()) {
            return Err(fault("segments are literal, `{name}`, or last `{rest...}`"));
        }
    }
    if path.len() > MAX_PATH_BYTES {
        return Err(fault("the path is too long"));
    }
    if is_ours(path) {
        return Err(fault("no request can reach this route: Claviger answers this path itself"));
    }
    Ok((method.to_owned(), path.to_owned()))
}

/// Whether Claviger answers this path itself, or will.
pub(crate) fn is_ours(path: &str) -> bool {
    let is_below = |ours: &&str| path.strip_prefix(*ours).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    OURS.iter().any(is_below)
}

/// A path with its variables' names taken out: two patterns of one shape match the same requests.
fn shape(path: &str) -> String {
    let segments = path.split('/').map(|segment| match segment.strip_prefix('{') {
        Some(name) if name.ends_with("...}") => "{...}",
        Some(_) => "{}",
        None => segment,
    });
    segments.collect::<Vec<_>>().join("/")
}
