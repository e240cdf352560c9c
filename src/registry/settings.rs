//! What can be changed of a workspace itself: its name, and the tier of credentials that ask for none.

use super::{
    deployment::{self, Deployment, WorkspaceRecord},
    workspace::{DEPLOYMENT, INFO},
};
use crate::{
    audit::{self, Act, By, Entry},
    error::Reason,
    machine::{Turn, next},
    wire,
};

/// What changes; `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What people call it.
    pub name: Option<String>,
    /// The tier of credentials that ask for none.
    pub default_tier: Option<DefaultTier>,
}

wire!(Settings { name, default_tier });

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
pub(super) fn change(
    settings: Settings,
    info: &WorkspaceRecord,
    by: By,
    turn: &mut Turn,
) -> Result<WorkspaceRecord, Reason> {
    let mut record = info.clone();
    let mut members = Vec::new();
    if let Some(name) = settings.name.filter(|name| *name != record.name) {
        record.name = name;
        members.push("name");
    }
    let default_tier = settings.default_tier.map(|tier| match tier {
        DefaultTier::Named(name) => Some(name),
        DefaultTier::None => None,
    });
    if let Some(tier) = default_tier.filter(|tier| *tier != record.default_tier) {
        record.default_tier = tier;
        members.push("default_tier");
    }
    if !members.is_empty() {
        record.version = Some(next(record.version.unwrap_or_default())?);
        turn.put(INFO, &record);
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
