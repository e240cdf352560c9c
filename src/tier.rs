//! Tiers: how much a credential may use, by the name that the policy file gives it.

use crate::{limit::Limit, wire};

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
