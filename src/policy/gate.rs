//! Whether a principal may use a route of the policy: its kind must be accepted, and a scope must be enough.

use super::{Action, Permit, Policy, Route};
use crate::{
    admission::server_key::Needs, credential::CredentialKind, error::Reason, principal::Principal, value::scope::Scope,
};

impl Route {
    /// Whether a credential of this kind can ever use this route; asked before anything is read from storage.
    pub fn admits(&self, kind: CredentialKind) -> Result<(), Reason> {
        let accepted = self.accept.iter().any(|name| name == kind.as_str());
        if accepted { Ok(()) } else { Err(Reason::KindNotAllowed(kind.as_str().to_owned())) }
    }

    /// What the call needs of a credential of this kind; none: it needs no scope.
    pub fn needs(&self, kind: CredentialKind, policy: &Policy) -> Option<Needs> {
        let has_scopes = matches!(kind, CredentialKind::ServerKey | CredentialKind::ServiceToken);
        let scope = self.scope.as_ref().filter(|_| has_scopes)?.as_str();
        Some(Needs { scope: scope.to_owned(), enough: policy.satisfying(scope) })
    }

    /// What logs and the audit call it: the policy's words, and never a path that was sent.
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// Whether `principal` may use the route of this number. The permit is for that route alone.
pub fn authorize_route(principal: Principal, number: usize, policy: &Policy) -> Result<Permit, Reason> {
    let route = policy.routes.get(number).ok_or(Reason::NotFound)?;
    route.admits(principal.kind())?;
    match &route.scope {
        Some(scope) if !holds(&principal, scope, policy) => {
            Err(Reason::InsufficientScope(vec![scope.as_str().to_owned()]))
        }
        _ => Ok(Permit { principal, action: Action::Forward(number) }),
    }
}

fn holds(principal: &Principal, scope: &Scope, policy: &Policy) -> bool {
    match principal.kind() {
        // It administers the stage and has no scopes: a route that accepts it takes it as it is.
        CredentialKind::DeployKey => true,
        CredentialKind::ServerKey | CredentialKind::ServiceToken => policy.covers(principal.scopes(), scope),
        CredentialKind::HistorySecret | CredentialKind::WidgetKey => false,
    }
}
