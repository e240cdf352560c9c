//! Deploy keys: `<stage>:<deployment>|<brand>_dk_<signed>`, behind the scheme `Convex` (or another that the policy names).
//!
//! Signed fields: credential id, time of issue, expiry. Made offline by the CLI; administers one stage of one deployment.

use super::{Kind, signed};
use crate::{
    codec::{secret::Secret, time::Timestamp},
    crypto::keyring::{KeyRing, Purpose},
    error::Reason,
    value::id::{CredentialId, Stage, is_deployment_name},
};

/// The longest life of a deploy key: a year.
pub const MAX_LIFE_SECONDS: u64 = 366 * 86_400;

/// A deploy key whose tag was verified. Whether it was revoked, its object knows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeployKey {
    /// Which deploy key.
    pub id: CredentialId,
    /// The stage it administers.
    pub stage: Stage,
    /// The deployment it administers.
    pub deployment: String,
    /// When it was made.
    pub issued_at: Timestamp,
    /// The moment from which it opens nothing.
    pub expires_at: Timestamp,
}

impl Kind for DeployKey {
    fn verify(text: &str, brand: &str, ring: &KeyRing) -> Option<Result<Self, Reason>> {
        let (place, token) = text.split_once('|')?;
        let body = token.strip_prefix(brand)?.strip_prefix("_dk_")?;
        Some((|| {
            let (stage, deployment) = place.split_once(':').ok_or(Reason::CredentialMalformed)?;
            let stage = Stage::parse_signed(stage).ok_or(Reason::CredentialMalformed)?;
            if !is_deployment_name(deployment) {
                return Err(Reason::CredentialMalformed);
            }
            let prefix = prefix(brand, stage, deployment);
            let mut fields = signed::verify(ring, Purpose::DeployKey, &prefix, body)?;
            let id = CredentialId::try_from(fields.text()?).map_err(|_| Reason::CredentialMalformed)?;
            let issued_at = Timestamp(fields.number()?);
            let expires_at = Timestamp(fields.number()?);
            fields.finish()?;
            Ok(Self { id, stage, deployment: deployment.to_owned(), issued_at, expires_at })
        })())
    }

    fn issue(&self, brand: &str, ring: &KeyRing) -> Result<Secret, Reason> {
        let fields: [&[u8]; 3] =
            [self.id.as_str().as_bytes(), &self.issued_at.0.to_be_bytes(), &self.expires_at.0.to_be_bytes()];
        let prefix = prefix(brand, self.stage, &self.deployment);
        signed::issue(ring, Purpose::DeployKey, &prefix, &fields)
    }
}

fn prefix(brand: &str, stage: Stage, deployment: &str) -> String {
    format!("{}:{deployment}|{brand}_dk_", stage.as_str())
}
