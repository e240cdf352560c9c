//! What a workspace's own credentials may grant: what its plan holds, and nothing that is wider than they are themselves.
//!
//! Only a deploy key stands above a workspace: what it grants, the plan does not bound. Both are decided in the turn that
//! grants, by what is stored then.

use crate::{
    admission::server_key::Needs,
    audit::By,
    codec::{kind::CredentialKind, time::Timestamp},
    error::Reason,
    limits::tier::{self, Numbers, Tiers},
    machines::{deployment::WorkspaceRecord, workspace},
    object::machine::Turn,
    protocol::credential_record::{CredentialRecord, KeyPart},
    value::{address::AddressRange, id::CredentialId},
    wire,
};

/// A row of its own: a version that knows no plans leaves it alone, whatever else it changes of the workspace.
pub(crate) const PLAN: &str = "plan";

/// What a workspace's own credentials may grant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WorkspacePlan {
    /// Tiers, by the policy's names.
    pub tiers: Vec<String>,
    /// The largest numbers of a custom tier; none: no numbers can be granted.
    pub custom: Option<Numbers>,
}

wire!(WorkspacePlan { tiers, custom });

/// What becomes of a plan.
#[derive(Clone, Debug)]
pub enum PlanChange {
    /// This one from now on.
    Set(WorkspacePlan),
    /// None of its own: the tier of credentials that ask for none is the plan.
    Default,
    /// Nothing: this is what was shown where it has none of its own.
    Shown(WorkspacePlan),
}

wire!(enum PlanChange { 0 Set(a), 1 Default, 2 Shown(a) });

impl WorkspacePlan {
    /// The plan of a workspace that has none of its own.
    pub fn otherwise(default_tier: Option<&str>, tiers: &Tiers) -> Self {
        Self { tiers: tier::ready(tiers, default_tier).into_iter().map(str::to_owned).collect(), custom: None }
    }

    /// Whether it lets the tier of this name be granted.
    pub(crate) fn has_tier(&self, name: &str, tiers: &Tiers) -> bool {
        self.tiers.iter().any(|known| known == name) || granted_by_admin(name, tiers)
    }

    /// What it holds, for people.
    fn words(&self) -> String {
        match self.tiers.as_slice() {
            [] => "It grants no tier.".to_owned(),
            [tier] => format!("It grants the tier {tier}."),
            tiers => format!("It grants the tiers {}.", tiers.join(", ")),
        }
    }

    /// The reason against a workspace's own credential that changes it.
    pub(crate) fn refuse_change(&self) -> Reason {
        Reason::PlanExceeded("Only a deploy key changes a workspace's plan.".to_owned(), self.words())
    }

    /// The reason against what it does not hold.
    pub(crate) fn refuse(&self, what: &str) -> Reason {
        Reason::PlanExceeded(format!("The workspace's plan does not grant {what}."), self.words())
    }
}

fn granted_by_admin(name: &str, tiers: &Tiers) -> bool {
    tiers.iter().any(|(known, tier)| known == name && tier.granted_by_admin)
}

/// The plan that stands in the workspace's own row.
pub(crate) fn stored(turn: &Turn) -> Result<Option<WorkspacePlan>, Reason> {
    turn.get(PLAN)
}

/// A deploy key does it, which stands above the workspace.
pub(crate) fn is_above(by: &By) -> bool {
    by.actor.split_once(':').is_some_and(|(kind, _)| kind == CredentialKind::DeployKey.as_str())
}

/// The workspace's own credential that does it; none: somebody else.
fn own(by: &By, turn: &Turn) -> Result<Option<CredentialRecord>, Reason> {
    let id = by.actor.split_once(':').and_then(|(_, id)| CredentialId::try_from(id.to_owned()).ok());
    id.filter(|id| id.workspace().is_some()).map(|id| workspace::find(&id, turn)).transpose()
}

/// Whether this credential may be made. Where nothing is said of its end or its addresses, it gets those of its maker.
pub(crate) fn create(
    record: &mut CredentialRecord,
    by: &By,
    info: &WorkspaceRecord,
    turn: &Turn,
) -> Result<(), Reason> {
    if is_above(by) {
        return Ok(());
    }
    granted(None, record.key.as_ref(), info, turn)?;
    let Some(own) = own(by, turn)? else { return Ok(()) };
    if own.environment != record.environment {
        return Err(Reason::EnvironmentMismatch);
    }
    record.expires_at = record.expires_at.or(own.ends_at());
    if let Some(key) = record.key.as_mut().filter(|key| key.addresses.is_empty()) {
        key.addresses = addresses(&own).to_vec();
    }
    ends(&own, None, record)?;
    is_reachable(&own, None, record)
}

/// Whether this change may be made.
pub(crate) fn change(
    before: &CredentialRecord,
    after: &CredentialRecord,
    needs: &[Needs],
    by: &By,
    info: &WorkspaceRecord,
    turn: &Turn,
) -> Result<(), Reason> {
    if is_above(by) {
        return Ok(());
    }
    granted(before.key.as_ref(), after.key.as_ref(), info, turn)?;
    let Some(own) = own(by, turn)? else { return Ok(()) };
    if own.environment != after.environment {
        return Err(Reason::EnvironmentMismatch);
    }
    ends(&own, Some(before), after)?;
    is_reachable(&own, Some(before), after)?;
    if own.id == after.id { holds_scopes(&own, after, needs) } else { Ok(()) }
}

/// Whether another secret of this credential may be handed out: the caller then has all that it opens.
pub(crate) fn hand_out(record: &CredentialRecord, by: &By, turn: &Turn) -> Result<(), Reason> {
    // The text of a widget key is in every page that has the widget.
    let is_public = record.key.is_none();
    if is_above(by) || is_public {
        return Ok(());
    }
    let Some(own) = own(by, turn)? else { return Ok(()) };
    if own.environment != record.environment {
        return Err(Reason::EnvironmentMismatch);
    }
    if own.id != record.id {
        ends(&own, None, record)?;
        return is_reachable(&own, None, record);
    }
    match own.current.until {
        // Its finder would get another, which lives on.
        Some(_) => Err(beyond("A secret that leaked does not replace itself.")),
        None => Ok(()),
    }
}

/// Tier and numbers: as they were, less of the same, or within the plan.
fn granted(
    before: Option<&KeyPart>,
    after: Option<&KeyPart>,
    info: &WorkspaceRecord,
    turn: &Turn,
) -> Result<(), Reason> {
    let Some(after) = after else { return Ok(()) };
    let is_new = before.is_none();
    if let Some(before) = before.filter(|before| before.tier == after.tier) {
        let is_less = match (&before.numbers, &after.numbers) {
            (Some(before), Some(after)) => before.hold(after),
            (None, None) => true,
            // Without a tier and without numbers, nothing limited it.
            (None, Some(_)) => before.tier.is_none(),
            (Some(_), None) => false,
        };
        if is_less {
            return Ok(());
        }
    }
    let tiers = turn.tiers();
    let otherwise = || WorkspacePlan::otherwise(info.default_tier.as_deref(), tiers);
    let plan = stored(turn)?.unwrap_or_else(otherwise);
    let most = match &after.tier {
        Some(name) if !plan.has_tier(name, tiers) => return Err(plan.refuse(&format!("the tier {name}"))),
        // Of a tier that the policy lets administrators grant, the numbers are theirs too, unless the plan bounds them.
        Some(name) if plan.custom.is_none() && granted_by_admin(name, tiers) => return Ok(()),
        Some(_) => plan.custom.clone(),
        None => Some(plan.custom.clone().unwrap_or_else(tier::without_name)),
    };
    match (&after.numbers, most) {
        (None, _) if after.tier.is_some() || is_new && tiers.is_empty() => Ok(()),
        (Some(numbers), Some(most)) if most.hold(numbers) => Ok(()),
        (Some(_), Some(most)) => Err(plan.refuse(&format!("limits beyond {}", most.words()))),
        _ => Err(plan.refuse("limits of a credential's own")),
    }
}

/// The end: no later than that of the caller, or than it was.
fn ends(own: &CredentialRecord, before: Option<&CredentialRecord>, after: &CredentialRecord) -> Result<(), Reason> {
    let is_by = |end: Option<Timestamp>| end.is_none_or(|end| after.expires_at.is_some_and(|at| at <= end));
    match own.ends_at() {
        Some(end) if !is_by(Some(end)) && !before.is_some_and(|before| is_by(before.expires_at)) => {
            Err(beyond(&format!("It would live on after {}, when the credential that asks ends.", end.rfc3339())))
        }
        _ => Ok(()),
    }
}

/// The addresses: none from which neither the caller nor the credential itself was usable.
fn is_reachable(
    own: &CredentialRecord,
    before: Option<&CredentialRecord>,
    after: &CredentialRecord,
) -> Result<(), Reason> {
    let Some(key) = &after.key else { return Ok(()) };
    let (asks, known) = (addresses(own), before.map(addresses));
    let is_anywhere = asks.is_empty() || known.is_some_and(<[AddressRange]>::is_empty);
    let is_known = |range: &AddressRange| asks.iter().chain(known.unwrap_or_default()).any(|known| known.holds(range));
    if is_anywhere || !key.addresses.is_empty() && key.addresses.iter().all(is_known) {
        return Ok(());
    }
    let ranges = asks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Err(beyond(&format!("It would be usable from beyond {ranges}, where the credential that asks is not.")))
}

fn addresses(record: &CredentialRecord) -> &[AddressRange] {
    record.key.as_ref().map(|key| key.addresses.as_slice()).unwrap_or_default()
}

/// Its own scopes: those that it has, and what they bring.
fn holds_scopes(own: &CredentialRecord, after: &CredentialRecord, needs: &[Needs]) -> Result<(), Reason> {
    let known = own.key.as_ref().map(|key| key.scopes.as_slice()).unwrap_or_default();
    let asked = after.key.as_ref().map(|key| key.scopes.as_slice()).unwrap_or_default();
    let is_brought = |name: &str| {
        let enough = needs.iter().filter(|needs| needs.scope == name).flat_map(|needs| &needs.enough);
        enough.into_iter().any(|enough| known.iter().any(|held| held.as_str() == enough))
    };
    let beyond = asked.iter().filter(|scope| !known.contains(scope) && !is_brought(scope.as_str()));
    let beyond: Vec<String> = beyond.map(|scope| scope.as_str().to_owned()).collect();
    if beyond.is_empty() { Ok(()) } else { Err(Reason::InsufficientScope(beyond)) }
}

fn beyond(what: &str) -> Reason {
    Reason::CallerExceeded(what.to_owned())
}
