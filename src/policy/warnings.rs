//! What a sound policy file says that its author may not have meant. `claviger policy check` tells it; nothing is refused for it.

use super::{Implies, Policy, Route, ScopeRule, own::OWN};

/// Why a file without `[tiers]` and without `unlimited = true` is not what anybody means.
pub const NO_LIMITS: &str = "no [tiers], and nothing says that keys are unlimited: new keys get 600 requests a minute. \
                             Add [tiers.free] with `requests = { limit = 600, window_seconds = 60 }`, or `unlimited = true`";

/// Kinds of credentials that have no scopes: a route's scope says nothing about them.
const WITHOUT_SCOPES: [&str; 1] = ["deploy_key"];

/// What may not be meant, and where the file says it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Warning {
    /// The table that it is about.
    pub table: &'static str,
    /// The member there; empty: the table itself.
    pub name: String,
    /// One sentence.
    pub text: String,
}

impl Policy {
    /// Whether nothing in the file says how much keys may use.
    pub fn has_no_limits(&self) -> bool {
        self.tiers.is_empty() && !self.unlimited
    }

    /// All of them.
    pub fn warnings(&self) -> Vec<Warning> {
        [self.useless_scopes(), self.missing_windows(), self.kept_for_ever()].concat()
    }

    /// Scopes that no call and no route takes, not even through another that they bring.
    fn useless_scopes(&self) -> Vec<Warning> {
        let takes = |route: &&Route| route.accept.iter().any(|kind| !WITHOUT_SCOPES.contains(&kind.as_str()));
        let routes = self.routes.iter().filter(takes).filter_map(|route| Some(route.scope.as_ref()?.as_str()));
        let needed = routes.chain(OWN.into_iter().map(|ours| self.own(ours)));
        let useful: Vec<String> = needed.flat_map(|needed| self.satisfying(needed)).collect();
        // What brings everything opens our own calls, whatever the policy calls theirs.
        let brings_all = |rule: &ScopeRule| rule.implies == Implies::All;
        let names = self.scopes.iter().filter(|(_, rule)| !brings_all(rule)).map(|(scope, _)| scope.as_str());
        let useless = names.filter(|name| !useful.iter().any(|useful| useful == name));
        let warn = |name: &str| Warning {
            table: "scopes",
            name: name.to_owned(),
            text: format!("the scope `{name}` opens nothing: no route takes it, and no call of Claviger's own"),
        };
        useless.map(warn).collect()
    }

    /// Tiers that leave something without a limit.
    fn missing_windows(&self) -> Vec<Warning> {
        let counted = self.counting_route();
        let mut warnings = Vec::new();
        for (name, tier) in &self.tiers {
            let mut warn = |text| warnings.push(Warning { table: "tiers", name: name.clone(), text });
            if tier.custom && tier.granted_by_admin {
                warn(format!(
                    "the tier `{name}` is custom and `granted_by = \"admin\"`: workspaces choose their own numbers, \
                     but for those whose plan has `custom_limits`"
                ));
            }
            if !tier.custom && tier.requests.is_empty() {
                warn(format!("the tier `{name}` has no `requests`: nothing limits the calls of its keys"));
            }
            if let Some(route) = counted.filter(|_| !tier.custom && tier.tokens.is_empty()) {
                warn(format!(
                    "the tier `{name}` has no `tokens`: nothing limits those of its keys on {}",
                    route.name()
                ));
            }
        }
        warnings
    }

    /// Conversations of which nothing is ever deleted.
    fn kept_for_ever(&self) -> Vec<Warning> {
        let is_forever = self.widget.as_ref().is_some_and(|widget| widget.retention_seconds.is_none());
        let text = "[widget] has no `retention_days`: conversations are kept for ever".to_owned();
        is_forever.then(|| Warning { table: "widget", name: String::new(), text }).into_iter().collect()
    }

    /// A route whose calls are counted in tokens, where there is one.
    pub fn counting_route(&self) -> Option<&Route> {
        self.routes.iter().find(|route| route.tokens.is_some())
    }
}
