//! Documents for anybody: no credential, CORS `*`, and only what the policy switches on.

use super::health;
use crate::{
    assertion,
    call::{
        config::Config,
        reply::{Body, Reply},
        request::Request,
    },
    conversations::cors,
    error::Reason,
    object::machine::World,
};
use serde::Serialize;

/// What a page may do: nothing. The digest is that of its `<style>`; `tests/errors.rs` knows when it is another.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'sha256-HVoEpG0nG0/YO1QkBvepBgg8r1ug3kHgUXcB6yRG4Rg='; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// A document for anybody.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Document<'a> {
    /// `/docs`: which documents there are.
    Docs,
    /// `/`: the same, for who opens the address of a deployment in a browser.
    Home,
    /// `/docs/errors`: every code, what brings it about and how to mend it.
    Errors,
    /// `/healthz`.
    Health,
    /// `/.well-known/jwks.json`: the keys that verify assertions.
    KeySet,
    /// `/.well-known/oauth-protected-resource`, and the resource's path behind it (RFC 9728 §3.1).
    ProtectedResource(&'a str),
    /// `/widget.js`.
    Widget,
}

impl Document<'_> {
    /// What logs call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Docs => "GET /docs",
            Self::Home => "GET /",
            Self::Errors => "GET /docs/errors",
            Self::Health => "GET /healthz",
            Self::KeySet => "GET /.well-known/jwks.json",
            Self::ProtectedResource(_) => "GET /.well-known/oauth-protected-resource",
            Self::Widget => "GET /widget.js",
        }
    }
}

/// RFC 9728 §2.
#[derive(Serialize)]
struct ProtectedResource<'a> {
    resource: String,
    scopes_supported: Vec<&'a str>,
    bearer_methods_supported: [&'static str; 1],
}

/// Answers with a document.
pub async fn serve(
    document: Document<'_>,
    request: &Request,
    config: &Config,
    world: &impl World,
) -> Result<Reply, Reason> {
    let reply = match document {
        Document::Docs | Document::Home => page("/docs/index.html"),
        Document::Errors => page("/docs/errors.html"),
        Document::Health => health::own()?,
        Document::KeySet => assertion::key_cache::document(request, config, world).await?,
        Document::ProtectedResource(path) => {
            // The suffix comes from a stranger and is repeated: only what a path can be made of.
            let sound = path.len() <= 512 && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~".contains(&b));
            // Least of all a secret that was pasted into the path.
            let has_secret = || path.split('/').any(|segment| config.door().is_like_secret(segment));
            if !sound || path.contains("//") || path.contains("/.") || has_secret() {
                return Err(Reason::NotFound);
            }
            let document = ProtectedResource {
                resource: format!("{}{path}", config.origin),
                scopes_supported: config.policy.scopes.iter().map(|(scope, _)| scope.as_str()).collect(),
                bearer_methods_supported: ["header"],
            };
            Reply::json(200, &document)?
        }
        Document::Widget => {
            config.widget()?;
            let mut reply = Reply::empty(200)
                .with("content-type", "text/javascript; charset=utf-8")
                .with("cache-control", "public, max-age=300")
                .with("cross-origin-resource-policy", "cross-origin");
            reply.body = Body::Asset("/widget.js");
            reply
        }
    };
    Ok(reply)
}

/// A page of `www/docs/`: text and links, no script, and no style but its own.
fn page(file: &'static str) -> Reply {
    let mut reply = Reply::empty(200)
        .with("content-type", "text/html; charset=utf-8")
        .with("cache-control", "public, max-age=300")
        .with("content-security-policy", PAGE_POLICY)
        .with("referrer-policy", "no-referrer");
    reply.body = Body::Asset(file);
    reply
}

/// Answers a browser that asks whether it may ask.
pub fn preflight(config: &Config, world: &impl World) -> Reply {
    let reply =
        Reply::empty(204).with("access-control-allow-methods", "GET, HEAD").with("access-control-max-age", "7200");
    match cors::document_headers(world.header("access-control-request-headers").as_deref(), &config.door()) {
        Some(names) => reply.with("access-control-allow-headers", names),
        None => reply,
    }
}
