//! Tiers: how much a credential may use, by the name that the policy file gives it.

use super::window::Limit;
use crate::wire;

/// A lease lives for at most this part of a window.
const LEASES: u64 = 20;

/// How much a credential may use.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tier {
    /// Windows of requests, all of which must admit.
    pub requests: Vec<Limit>,
    /// Windows of tokens, all of which must admit.
    pub tokens: Vec<Limit>,
    /// The numbers come with each credential.
    pub custom: bool,
    /// Permits may be leased to isolates for so long: then this is the bound on revocation.
    pub lease_seconds: Option<u32>,
    /// A workspace's administrator may grant it, whatever the workspace's plan says.
    pub granted_by_admin: bool,
}

/// Every tier of a policy, by name.
pub type Tiers = [(String, Tier)];

/// The numbers of a credential whose tier takes them from there.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Numbers {
    /// Windows of requests, all of which must admit.
    pub requests: Vec<Limit>,
    /// Windows of tokens, all of which must admit.
    pub tokens: Vec<Limit>,
}

wire!(Numbers { requests, tokens });

impl Numbers {
    /// Whether whatever these admit, these here would admit too: each of their windows is kept by one of the others'.
    pub fn hold(&self, others: &Self) -> bool {
        let hold = |mine: &[Limit], others: &[Limit]| mine.iter().all(|mine| mine.is_kept_by(others));
        hold(&self.requests, &others.requests) && hold(&self.tokens, &others.tokens)
    }

    /// As people read them: `600 requests in 60 s`.
    pub fn words(&self) -> String {
        let words = |what, windows: &[Limit]| -> Vec<String> {
            windows.iter().map(|window| format!("{} {what} in {} s", window.limit, window.window_seconds)).collect()
        };
        [words("requests", &self.requests), words("tokens", &self.tokens)].concat().join(", ")
    }
}

/// The numbers of a credential under a policy that has no tiers and does not say that this is meant.
pub fn without_name() -> Numbers {
    Numbers {
        requests: vec![Limit { name: "requests".to_owned(), limit: 600, window_seconds: 60 }],
        tokens: Vec::new(),
    }
}

/// The tier of a credential that asks for none: the workspace's, where the policy has its numbers, else `free`.
pub fn ready<'a>(tiers: &'a Tiers, default_tier: Option<&str>) -> Option<&'a str> {
    let find = |name: &str| tiers.iter().find(|(known, tier)| known == name && !tier.custom);
    default_tier.and_then(find).or_else(|| find("free")).map(|(name, _)| name.as_str())
}

/// The windows that hold a credential.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits<'a> {
    /// Windows of requests, all of which must admit.
    pub requests: &'a [Limit],
    /// Windows of tokens, all of which must admit.
    pub tokens: &'a [Limit],
}

/// The windows of a credential in the tier `name`: its own numbers where the tier is custom. `None`: there is no such tier, or
/// its numbers are missing, so nothing is admitted.
pub fn limits<'a>(tiers: &'a Tiers, name: &str, own: Option<&'a Numbers>) -> Option<Limits<'a>> {
    let (_, tier) = tiers.iter().find(|(known, _)| known == name)?;
    if !tier.custom {
        return Some(Limits { requests: &tier.requests, tokens: &tier.tokens });
    }
    own.map(|own| Limits { requests: &own.requests, tokens: &own.tokens })
}

/// How long permits of the tier `name`, which has these windows, may be held: its `lease_seconds`, and at most a twentieth of the
/// shortest window. A permit counts until that is over, so a longer one would keep others out. `None`: nobody holds any.
pub fn lease_millis(tiers: &Tiers, name: &str, windows: &[Limit]) -> Option<u64> {
    let (_, tier) = tiers.iter().find(|(known, _)| known == name)?;
    let shortest = windows.iter().map(|window| window.window_seconds).min()?;
    Some(u64::from(tier.lease_seconds?) * 1_000).map(|millis| millis.min(u64::from(shortest) * 1_000 / LEASES))
}
