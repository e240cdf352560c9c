//! Service tokens: `<brand>_st_<env>_<opaque>`, in `X-Service-Token` beside the `X-Service-Name` that they are for.
//!
//! What it may do, its object knows.

use super::{Kind, Opaque};
use crate::{codec::secret::Secret, crypto::keyring::KeyRing, error::Reason, value::id::Environment};

/// A service token whose check was verified. Whether it is genuine and lives, its object knows.
#[derive(Debug)]
pub struct ServiceToken {
    /// Live or test data.
    pub environment: Environment,
    /// Which one, and the secret.
    pub opaque: Opaque,
}

impl Kind for ServiceToken {
    fn verify(text: &str, brand: &str, ring: &KeyRing) -> Option<Result<Self, Reason>> {
        let rest = text.strip_prefix(brand)?.strip_prefix("_st_")?;
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
    format!("{brand}_st_{}_", environment.as_str())
}
