//! A workspace's plan as it is sent and shown: what its own credentials may grant.

use super::store_plan::{PlanChange, WorkspacePlan};
use crate::{
    call::body::Fields,
    credentials::{
        self,
        view::{Limits, limits},
    },
    error::Reason,
    json::Member,
    limits::tier::Tiers,
    machines::deployment::WorkspaceRecord,
    road::dispatch::Asked,
};
use serde::Serialize;

/// A plan as it is shown.
#[derive(Serialize)]
pub struct Shown {
    tiers: Vec<String>,
    custom_limits: Option<Limits>,
    /// The workspace has none of its own: this is its default tier.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    default: bool,
}

/// What a workspace's own credentials may grant.
pub fn effective(record: &WorkspaceRecord, tiers: &Tiers) -> WorkspacePlan {
    let otherwise = || WorkspacePlan::otherwise(record.default_tier.as_deref(), tiers);
    record.plan.clone().unwrap_or_else(otherwise)
}

/// Shows the plan of a workspace, its own or the one that holds otherwise.
pub fn shown(record: &WorkspaceRecord, tiers: &Tiers) -> Shown {
    let plan = effective(record, tiers);
    let custom_limits = plan.custom.as_ref().map(limits);
    Shown { tiers: plan.tiers, custom_limits, default: record.plan.is_none() }
}

/// The member `plan`: `{"tiers": ["free"], "custom_limits": null}`, or `null`, which takes the workspace's own away.
pub fn change(fields: &mut Fields, asked: &Asked<'_>) -> Result<Option<PlanChange>, Reason> {
    if fields.take_null("plan") {
        return Ok(Some(PlanChange::Default));
    }
    let Some(member) = fields.take_member("plan") else { return Ok(None) };
    let tiers = &asked.config.policy.tiers;
    let unfit = || {
        let names = tiers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        let why = "An object with `tiers`, a list of tiers of the policy, each once, and `custom_limits`, which is null or \
                   as the `limits` of a credential.";
        Reason::invalid("plan", &format!("{why} The policy has these tiers: {names}."))
    };
    let Member::Object(mut members) = member else { return Err(unfit()) };
    let Some(Member::Texts(names)) = members.take("tiers") else { return Err(unfit()) };
    // In the policy's order: so the same plan is always the same list.
    let known = tiers.iter().map(|(name, _)| name).filter(|name| names.contains(name));
    let known: Vec<String> = known.cloned().collect();
    if known.len() != names.len() {
        return Err(unfit());
    }
    let custom = match members.take("custom_limits") {
        None | Some(Member::Null) => None,
        Some(numbers) => Some(credentials::fields::numbers("plan.custom_limits", numbers, asked, None)?),
    };
    let is_default = match members.take("default") {
        None | Some(Member::Null | Member::Flag(false)) => false,
        Some(Member::Flag(true)) => true,
        Some(_) => return Err(unfit()),
    };
    if members.names().next().is_some() {
        return Err(unfit());
    }
    let plan = WorkspacePlan { tiers: known, custom };
    Ok(Some(if is_default { PlanChange::Shown(plan) } else { PlanChange::Set(plan) }))
}
