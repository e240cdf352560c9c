//! The scopes that our own calls take, and what a policy calls them.

use super::{
    Policy, ScopeRule,
    table::{Fault, Table},
};
use crate::value::scope::Scope;

/// Every scope that a call outside the gateway's routes takes.
pub const OWN: [&str; 8] = [
    crate::policy::ADMIN,
    "conversations:read",
    "credentials:read",
    "messages:read",
    "messages:write",
    "verify",
    "workspaces:read",
    "workspaces:write",
];

/// Reads `[own]`: our names, and the policy's scope for each.
pub fn read(table: &Table, scopes: &[(Scope, ScopeRule)]) -> Result<Vec<(&'static str, Scope)>, Fault> {
    let mut own = Vec::new();
    for (name, _) in table.members() {
        let unknown = || {
            let names = OWN.join(", ");
            (name.span.clone(), format!("no call takes the scope `{}`, expected one of {names}", name.text))
        };
        let ours = OWN.into_iter().find(|ours| *ours == name.text).ok_or_else(unknown)?;
        let theirs = table.required_text(ours)?;
        let scope = scopes.iter().map(|(scope, _)| scope).find(|scope| scope.as_str() == theirs.text).cloned();
        own.push((ours, scope.ok_or_else(|| (theirs.span, format!("unknown scope `{}`", theirs.text)))?));
    }
    Ok(own)
}

impl Policy {
    /// What the policy calls the scope that has this name in our own calls.
    pub fn own<'a>(&'a self, ours: &'a str) -> &'a str {
        self.own.iter().find(|(name, _)| *name == ours).map_or(ours, |(_, theirs)| theirs.as_str())
    }
}
