//! What holding a scope means: which other scopes come with it, and which names a policy knows at all.

use super::{Implies, Policy};
use crate::{error::Reason, scope::Scope};

/// More than any policy has use for: a list longer than this was not written by a person.
const MAX_SCOPES: usize = 100;

impl Policy {
    /// Every scope that is enough for what needs `needed`: itself, and whatever brings it, however far around; in the
    /// policy's order. None where the policy has no such scope, so that nothing is enough for it.
    pub fn satisfying(&self, needed: &str) -> Vec<String> {
        self.enough(needed).into_iter().map(|scope| scope.as_str().to_owned()).collect()
    }

    /// Whether a credential with the scopes `held` may do what needs `wanted`. A scope that the policy has no longer brings
    /// nothing, not even itself.
    pub fn covers(&self, held: &[Scope], wanted: &Scope) -> bool {
        self.enough(wanted.as_str()).into_iter().any(|scope| held.contains(scope))
    }

    /// The scopes that a request names, in the policy's order: so the same set is always the same list.
    ///
    /// The reasons name only scopes of the policy. What it does not know may be anything, a secret that was pasted too.
    pub fn resolve(&self, names: &[String]) -> Result<Vec<Scope>, Reason> {
        if names.len() > MAX_SCOPES {
            return Err(Reason::invalid("scopes", &format!("A list of at most {MAX_SCOPES} scopes.")));
        }
        if let Some(place) = names.iter().position(|name| self.scope(name).is_none()) {
            let why = format!("The policy has no scope like number {} of the list: take one that it has.", place + 1);
            return Err(Reason::invalid("scopes", &why));
        }
        let named = |scope: &&Scope| names.iter().filter(|name| *name == scope.as_str()).count();
        let scopes = self.scopes.iter().map(|(scope, _)| scope);
        if let Some(doubled) = scopes.clone().find(|scope| named(scope) > 1) {
            return Err(Reason::invalid("scopes", &format!("{doubled} stands in the list twice: once is enough.")));
        }
        Ok(scopes.filter(|scope| named(scope) == 1).cloned().collect())
    }

    fn scope(&self, name: &str) -> Option<&Scope> {
        self.scopes.iter().map(|(scope, _)| scope).find(|scope| scope.as_str() == name)
    }

    fn enough(&self, needed: &str) -> Vec<&Scope> {
        let Some(needed) = self.scope(needed) else {
            return Vec::new();
        };
        let mut enough = vec![needed];
        // Each round takes in what brings something that was taken in before. A circle ends: nothing is taken in twice.
        loop {
            let more = self.scopes.iter().filter(|(scope, rule)| {
                let brings = match &rule.implies {
                    Implies::All => true,
                    Implies::Only(implied) => implied.iter().any(|scope| enough.contains(&scope)),
                };
                brings && !enough.contains(&scope)
            });
            let more: Vec<&Scope> = more.map(|(scope, _)| scope).collect();
            if more.is_empty() {
                break;
            }
            enough.extend(more);
        }
        self.scopes.iter().map(|(scope, _)| scope).filter(|scope| enough.contains(scope)).collect()
    }
}
