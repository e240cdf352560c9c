//! What holding a scope means: which other scopes come with it, and which names a policy knows at all.

use super::{Implies, Policy};
use crate::{
    error::{
        Reason,
        refusal::{nearest, plain},
    },
    value::scope::Scope,
};

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
    /// What the policy does not know may be anything, a secret that was pasted too: it is repeated only where it can be none.
    pub fn resolve(&self, names: &[String]) -> Result<Vec<Scope>, Reason> {
        if names.len() > MAX_SCOPES {
            return Err(Reason::invalid("scopes", &format!("A list of at most {MAX_SCOPES} scopes.")));
        }
        for (place, name) in names.iter().enumerate() {
            let field = format!("scopes[{place}]");
            if self.scope(name).is_none() {
                return Err(Reason::invalid(&field, &self.no_such_scope(name)));
            }
            if names.iter().take(place).any(|other| other == name) {
                let why = format!("{name} stands in the list twice: once is enough.");
                return Err(Reason::invalid(&field, &why));
            }
        }
        let is_named = |scope: &&Scope| names.iter().any(|name| name == scope.as_str());
        Ok(self.scopes.iter().map(|(scope, _)| scope).filter(is_named).cloned().collect())
    }

    /// That there is no such scope, and which there are.
    pub fn no_such_scope(&self, name: &str) -> String {
        let known: Vec<&str> = self.scopes.iter().map(|(scope, _)| scope.as_str()).collect();
        let what = plain(name).map_or("no such scope".to_owned(), |name| format!("no scope `{name}`"));
        let meant = nearest(name, &known).map(|meant| format!(" Did you mean `{meant}`?")).unwrap_or_default();
        match known.as_slice() {
            [] => format!("There is {what}: this policy has none."),
            known => format!("There is {what}.{meant} This policy has: {}.", known.join(", ")),
        }
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
