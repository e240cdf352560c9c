//! What can be changed of a workspace itself: its name, the tier of credentials that ask for none, and its plan.

use super::store_plan::{PlanChange, WorkspacePlan};
use crate::{
    audit::{self, Act, By, Entry},
    error::Reason,
    limits::tier::{self, Tiers},
    machines::{
        deployment::{self, Deployment, WorkspaceRecord},
        workspace::{DEPLOYMENT, INFO},
    },
    object::machine::{Turn, next},
    wire, workspaces,
};

/// What changes; `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What people call it.
    pub name: Option<String>,
    /// The tier of credentials that ask for none.
    pub default_tier: Option<DefaultTier>,
    /// What its own credentials may grant.
    pub plan: Option<PlanChange>,
}

wire!(Settings { name, default_tier, plan });

/// Which tier is taken where none is asked for.
#[derive(Clone, Debug)]
pub enum DefaultTier {
    /// Of this name.
    Named(String),
    /// The policy's.
    None,
}

wire!(enum DefaultTier { 0 Named(a), 1 None });

/// Changes the workspace, records which members became others, and tells the deployment's list before the answer goes.
pub(crate) fn change(
    settings: Settings,
    info: &WorkspaceRecord,
    by: By,
    turn: &mut Turn,
) -> Result<WorkspaceRecord, Reason> {
    let mut record = WorkspaceRecord { plan: workspaces::store_plan::stored(turn)?, ..info.clone() };
    let before = record.clone();
    let bounded = Bounded { before: &before, is_above: workspaces::store_plan::is_above(&by), tiers: turn.tiers() };
    bounded.change_plan(settings.plan, &mut record)?;
    bounded.change_default_tier(settings.default_tier, &mut record)?;
    if record.plan != before.plan || record.default_tier != before.default_tier {
        bounded.has_default_tier(&record)?;
    }
    if let Some(name) = settings.name {
        record.name = name;
    }
    let members = [
        (record.name != before.name).then_some("name"),
        (record.default_tier != before.default_tier).then_some("default_tier"),
        (record.plan != before.plan).then_some("plan"),
    ];
    let members: Vec<&str> = members.into_iter().flatten().collect();
    if !members.is_empty() {
        record.version = Some(next(record.version.unwrap_or_default())?);
        turn.put(INFO, &WorkspaceRecord { plan: None, ..record.clone() });
        match &record.plan {
            Some(plan) => turn.put(workspaces::store_plan::PLAN, plan),
            None => turn.delete(workspaces::store_plan::PLAN),
        }
        let entry = Entry::done(Act::WorkspaceChange, by, record.id.as_str(), turn.at());
        let entry = Entry { reason: Some(members.join(", ")), ..entry };
        audit::record(&audit::workspace(record.id.as_str()), entry, turn)?;
    }
    // Told again where nothing changed: an earlier answer may have gone before the list knew.
    if let Some(deployment) = turn.get::<String>(DEPLOYMENT)? {
        turn.send::<Deployment>(&deployment, &deployment::Command::Register(record.clone(), None))?;
        turn.await_delivery();
    }
    Ok(record)
}

/// Who may move the plan, and the tier that is one where there is no other.
struct Bounded<'a> {
    before: &'a WorkspaceRecord,
    is_above: bool,
    tiers: &'a Tiers,
}

impl Bounded<'_> {
    /// What the workspace's own credentials may grant as things stand.
    fn plan(&self) -> WorkspacePlan {
        let otherwise = || WorkspacePlan::otherwise(self.before.default_tier.as_deref(), self.tiers);
        self.before.plan.clone().unwrap_or_else(otherwise)
    }

    /// What is sent back as it was shown changes nothing, whoever sends it.
    fn change_plan(&self, change: Option<PlanChange>, record: &mut WorkspaceRecord) -> Result<(), Reason> {
        let plan = match change {
            None => return Ok(()),
            Some(PlanChange::Shown(shown)) if record.plan.is_none() && shown == self.plan() => return Ok(()),
            Some(PlanChange::Set(plan)) if !self.is_above && plan == self.plan() => return Ok(()),
            Some(PlanChange::Default) if record.plan.is_none() => return Ok(()),
            Some(_) if !self.is_above => return Err(self.plan().refuse_change()),
            Some(PlanChange::Shown(_)) => {
                return Err(Reason::Conflict("The workspace's plan is another by now.".to_owned()));
            }
            Some(PlanChange::Set(plan)) => Some(plan),
            Some(PlanChange::Default) => None,
        };
        record.plan = plan;
        Ok(())
    }

    fn change_default_tier(&self, change: Option<DefaultTier>, record: &mut WorkspaceRecord) -> Result<(), Reason> {
        let tier = match change {
            None => return Ok(()),
            Some(DefaultTier::Named(name)) => Some(name),
            Some(DefaultTier::None) => None,
        };
        if tier == record.default_tier {
            return Ok(());
        }
        if !self.is_above {
            let plan = self.plan();
            if let Some(name) = tier::ready(self.tiers, tier.as_deref()).filter(|name| !plan.has_tier(name, self.tiers))
            {
                return Err(plan.refuse(&format!("the tier {name}")));
            }
            // Where the default tier is the plan, the plan stays what it was.
            record.plan = Some(plan)
                .filter(|plan| record.plan.is_some() || *plan != WorkspacePlan::otherwise(tier.as_deref(), self.tiers));
        }
        record.default_tier = tier;
        Ok(())
    }

    /// A plan that leaves out what new keys get is a mistake.
    fn has_default_tier(&self, record: &WorkspaceRecord) -> Result<(), Reason> {
        let Some((plan, name)) = record.plan.as_ref().zip(record.default_tier.as_deref()) else { return Ok(()) };
        if plan.has_tier(name, self.tiers) {
            return Ok(());
        }
        let why = format!("It leaves out the default tier {name}: name that too, or change `default_tier` with it.");
        Err(Reason::invalid("plan", &why))
    }
}
