//! Server keys: `<brand>_<env>_<opaque>`, in `Authorization: Bearer` or `x-api-key`. One workspace, scopes, a tier.
//!
//! What it may do, its object knows.

use super::{Kind, Opaque};
use crate::{codec::secret::Secret, crypto::keyring::KeyRing, error::Reason, value::id::Environment};

/// A server key whose check was verified. Whether it is genuine and lives, its object knows.
#[derive(Debug)]
pub struct ServerKey {
    /// Live or test data.
    pub environment: Environment,
    /// Which one, and the secret.
    pub opaque: Opaque,
}

impl Kind for ServerKey {
    fn verify(text: &str, brand: &str, ring: &KeyRing) -> Option<Result<Self, Reason>> {
        let rest = text.strip_prefix(brand)?.strip_prefix('_')?;
        let (environment, body) = rest.split_once('_')?;
        let environment = Environment::parse(environment)?;
        let opaque = Opaque::verify(ring, &prefix(brand, environment), body);
        Some(opaque.map(|opaque| Self { environment, opaque }))
    }

    fn issue(&self, brand: &str, ring: &KeyRing) -> Result<Secret, Reason> {
        self.opaque.issue(ring, &prefix(brand, self.environment))
    }
}

fn prefix(brand: &str, environment: Environment) -> String {
    format!("{brand}_{}_", environment.as_str())
}
