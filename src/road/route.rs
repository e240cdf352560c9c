//! The table of paths: which there are, which methods they take, and what each one is.

use super::public::Document;
use crate::{codec::work, error::Reason, policy::Action};

/// Where a request leads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Route<'a> {
    /// `/v1/…`: a credential in the headers; the id in the path, if it has one.
    Api(Action, &'a str),
    /// What GitHub found where anybody can read it.
    Leaks,
    /// `/v1/forward-auth`: a proxy asks about a call of the policy's routes.
    ForwardAuth,
    /// A document for anybody.
    Public(Document<'a>),
    /// `/w/{widget_key}/…`: the key, what is to be done, and the conversation, if the path has one.
    Widget(&'a str, Action, &'a str),
}

impl Route<'_> {
    /// What logs call it: never the path itself, which may hold a credential.
    pub fn name(self) -> &'static str {
        match self {
            Self::Leaks => "POST /v1/leaks/github",
            Self::ForwardAuth => "GET /v1/forward-auth",
            Self::Public(document) => document.name(),
            Self::Api(action, _) | Self::Widget(_, action, _) => name(action),
        }
    }
}

/// What a request wants of a route.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CallKind {
    /// The call itself.
    Call,
    /// Permission for a browser to make it (the CORS preflight).
    Preflight,
}

/// Finds the route of a path as sent. What is spelled differently is not there.
pub fn route<'a>(method: &str, path: &'a str) -> Result<(Route<'a>, CallKind), Reason> {
    let routes = routes(path).ok_or(Reason::NotFound)?;
    let wanted = if method == "HEAD" { "GET" } else { method };
    if let Some((_, route)) = routes.iter().find(|(method, _)| *method == wanted) {
        return Ok((*route, CallKind::Call));
    }
    match routes.first() {
        Some((_, route @ (Route::Public(_) | Route::Widget(..)))) if method == "OPTIONS" => {
            Ok((*route, CallKind::Preflight))
        }
        _ => Err(Reason::MethodNotAllowed(allow(&routes))),
    }
}

fn routes(path: &str) -> Option<Vec<(&'static str, Route<'_>)>> {
    use Action as A;
    let api = |action, id| Route::Api(action, id);
    work::charge(path.len());
    let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    Some(match *segments {
        [""] => vec![("GET", Route::Public(Document::Home))],
        ["docs"] => vec![("GET", Route::Public(Document::Docs))],
        ["docs", "errors"] => vec![("GET", Route::Public(Document::Errors))],
        ["healthz"] => vec![("GET", Route::Public(Document::Health))],
        [".well-known", "jwks.json"] => vec![("GET", Route::Public(Document::KeySet))],
        ["widget.js"] => vec![("GET", Route::Public(Document::Widget))],
        [".well-known", "oauth-protected-resource", ..] => {
            let resource = path.strip_prefix("/.well-known/oauth-protected-resource")?;
            vec![("GET", Route::Public(Document::ProtectedResource(resource)))]
        }
        ["v1", "whoami"] => vec![("GET", api(A::Whoami, ""))],
        ["v1", "workspaces"] => vec![("GET", api(A::ListWorkspaces, "")), ("POST", api(A::CreateWorkspace, ""))],
        ["v1", "workspaces", id] => vec![("GET", api(A::ReadWorkspace, id)), ("PATCH", api(A::ChangeWorkspace, id))],
        ["v1", "workspaces", id, "identity-secrets"] => {
            vec![("GET", api(A::ListIdentitySecrets, id)), ("POST", api(A::CreateIdentitySecret, id))]
        }
        ["v1", "workspaces", id, "credentials", "revoke"] => vec![("POST", api(A::RevokeCredentials, id))],
        ["v1", "workspaces", _, "identity-secrets", _, "revoke"] => {
            let both = path.strip_prefix("/v1/workspaces/")?.strip_suffix("/revoke")?;
            vec![("POST", api(A::RevokeIdentitySecret, both))]
        }
        ["v1", "credentials"] => vec![("GET", api(A::ListCredentials, "")), ("POST", api(A::CreateCredential, ""))],
        ["v1", "credentials", id] => vec![("GET", api(A::ReadCredential, id)), ("PATCH", api(A::ChangeCredential, id))],
        ["v1", "self", "revoke"] => vec![("POST", api(A::RevokeSelf, ""))],
        ["v1", "credentials", id, "rotate", "finish"] => vec![("POST", api(A::FinishRotation, id))],
        ["v1", "credentials", id, "usage"] => vec![("GET", api(A::ReadUsage, id))],
        ["v1", "credentials", id, "rotate"] => vec![("POST", api(A::RotateCredential, id))],
        ["v1", "credentials", id, "revoke"] => vec![("POST", api(A::RevokeCredential, id))],
        ["v1", "assertion-keys", "rotate"] => vec![("POST", api(A::RotateAssertionKey, ""))],
        ["v1", "leaks", "github"] => vec![("POST", Route::Leaks)],
        ["v1", "verify"] => vec![("POST", api(A::Verify, ""))],
        ["v1", "forward-auth"] => vec![("GET", Route::ForwardAuth)],
        ["v1", "audit"] => vec![("GET", api(A::ReadAudit, ""))],
        ["v1", "audit", "export"] => vec![("GET", api(A::ExportAudit, ""))],
        ["v1", "audit", "verify"] => vec![("GET", api(A::VerifyAudit, ""))],
        ["v1", "conversations"] => vec![("GET", api(A::ListConversations, ""))],
        ["v1", "conversations", id] => vec![("DELETE", api(A::DeleteConversation, id))],
        ["v1", "conversations", id, "messages"] => vec![("GET", api(A::ReadMessages, id)), ("POST", api(A::Reply, id))],
        ["w", key, "conversations"] => vec![("POST", Route::Widget(key, A::OpenConversation, ""))],
        ["w", key, "conversations", id, "messages"] => {
            vec![("GET", Route::Widget(key, A::ReadHistory, id)), ("POST", Route::Widget(key, A::Write, id))]
        }
        ["w", key, "conversations", id, "secret", "rotate"] => {
            vec![("POST", Route::Widget(key, A::RotateHistorySecret, id))]
        }
        ["w", key, "conversations", id, "close"] => vec![("POST", Route::Widget(key, A::CloseConversation, id))],
        _ => return None,
    })
}

fn allow(routes: &[(&'static str, Route)]) -> String {
    let mut methods: Vec<&str> = routes.iter().map(|(method, _)| *method).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    if routes.iter().any(|(_, route)| matches!(route, Route::Public(_) | Route::Widget(..))) {
        methods.push("OPTIONS");
    }
    methods.join(", ")
}

/// The name of an action's route.
pub fn name(action: Action) -> &'static str {
    match action {
        Action::ChangeCredential => "PATCH /v1/credentials/{id}",
        Action::ChangeWorkspace => "PATCH /v1/workspaces/{id}",
        Action::CloseConversation => "POST /w/{widget_key}/conversations/{id}/close",
        Action::CreateCredential => "POST /v1/credentials",
        Action::CreateIdentitySecret => "POST /v1/workspaces/{id}/identity-secrets",
        Action::CreateWorkspace => "POST /v1/workspaces",
        Action::FinishRotation => "POST /v1/credentials/{id}/rotate/finish",
        Action::ReadUsage => "GET /v1/credentials/{id}/usage",
        Action::RevokeSelf => "POST /v1/self/revoke",
        Action::DeleteConversation => "DELETE /v1/conversations/{id}",
        Action::ExportAudit => "GET /v1/audit/export",
        // Each has a name of its own in the policy.
        Action::Forward(_) => "a route of the policy",
        Action::ListConversations => "GET /v1/conversations",
        Action::ListCredentials => "GET /v1/credentials",
        Action::ListIdentitySecrets => "GET /v1/workspaces/{id}/identity-secrets",
        Action::ListWorkspaces => "GET /v1/workspaces",
        Action::OpenConversation => "POST /w/{widget_key}/conversations",
        Action::ReadAudit => "GET /v1/audit",
        Action::ReadCredential => "GET /v1/credentials/{id}",
        Action::ReadHistory => "GET /w/{widget_key}/conversations/{id}/messages",
        Action::ReadMessages => "GET /v1/conversations/{id}/messages",
        Action::ReadWorkspace => "GET /v1/workspaces/{id}",
        Action::Reply => "POST /v1/conversations/{id}/messages",
        Action::RevokeCredential => "POST /v1/credentials/{id}/revoke",
        Action::RevokeCredentials => "POST /v1/workspaces/{id}/credentials/revoke",
        Action::RevokeIdentitySecret => "POST /v1/workspaces/{id}/identity-secrets/{kid}/revoke",
        Action::RotateAssertionKey => "POST /v1/assertion-keys/rotate",
        Action::RotateCredential => "POST /v1/credentials/{id}/rotate",
        Action::RotateHistorySecret => "POST /w/{widget_key}/conversations/{id}/secret/rotate",
        Action::Verify => "POST /v1/verify",
        Action::VerifyAudit => "GET /v1/audit/verify",
        Action::Whoami => "GET /v1/whoami",
        Action::Write => "POST /w/{widget_key}/conversations/{id}/messages",
    }
}

#[cfg(test)]
mod tests {
    use super::{CallKind, Route, route};
    use crate::{error::Reason, policy::Action, road::public::Document};

    #[test]
    fn a22_a_path_spelled_in_any_other_way_is_not_there() {
        for path in [
            "/v1/../v1/whoami",
            "/v1/%77hoami",
            "/v1%2fwhoami",
            "/v1/%2e/whoami",
            "//v1/whoami",
            "/v1//whoami",
            "/v1/whoami/",
            "/V1/whoami",
            "/v1/whoami;x",
            "/v1/whoami%00",
            "\\v1\\whoami",
            "/v1/./whoami",
            "",
            "/v1/%252e/whoami",
            "http://do/state",
        ] {
            assert_eq!(route("GET", path), Err(Reason::NotFound), "{path}");
        }
    }

    #[test]
    fn a23_a_known_path_says_which_methods_it_takes() {
        assert_eq!(route("DELETE", "/v1/credentials"), Err(Reason::MethodNotAllowed("GET, POST, HEAD".to_owned())));
        assert_eq!(route("get", "/healthz"), Err(Reason::MethodNotAllowed("GET, HEAD, OPTIONS".to_owned())));
        assert_eq!(route("OPTIONS", "/v1/whoami"), Err(Reason::MethodNotAllowed("GET, HEAD".to_owned())));
        assert_eq!(route("HEAD", "/v1/whoami"), Ok((Route::Api(Action::Whoami, ""), CallKind::Call)));
        assert_eq!(route("OPTIONS", "/healthz"), Ok((Route::Public(Document::Health), CallKind::Preflight)));
    }
}
