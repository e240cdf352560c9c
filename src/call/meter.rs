//! How much: the last step before acting. Only [`Admitted`] acts.

use crate::{
    error::Reason,
    limits::window::Quota,
    policy::{Action, Permit},
    principal::Principal,
};

/// A call with the whole road behind it: parsed, authenticated, authorized and metered.
#[derive(Debug)]
#[must_use]
pub struct Admitted {
    principal: Principal,
    action: Action,
    quotas: Vec<Quota>,
}

impl Admitted {
    /// Who.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// What.
    pub fn action(&self) -> Action {
        self.action
    }

    /// The limits as they stand.
    pub fn quotas(&self) -> &[Quota] {
        &self.quotas
    }
}

/// Whether the credential's object would grant them, of whom it was asked before its body is read. Nothing comes of it that could act.
pub fn would_admit(permit: Permit) -> Result<(), Reason> {
    let (principal, _) = permit.into_parts();
    principal.would_be_metered()
}

/// Takes the permits that the credential's object granted, or its refusal.
pub fn meter(permit: Permit) -> Result<Admitted, Reason> {
    let (principal, action) = permit.into_parts();
    let (principal, metered) = principal.into_metered();
    Ok(Admitted { principal, action, quotas: metered? })
}
