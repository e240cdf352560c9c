//! Widget keys: `<brand>_wk_<env>_<signed>`, in the path of every widget call. Public, and good for nothing but the widget.
//!
//! Signed fields: credential id, serial. The serial tells the at most two live keys of one identity apart.

use super::{Kind, signed};
use crate::{
    codec::secret::Secret,
    crypto::keyring::{KeyRing, Purpose},
    error::Reason,
    value::id::{CredentialId, Environment},
};

/// A widget key whose tag was verified. Whether it lives, and for which origins, its shard knows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WidgetKey {
    /// Which widget key; names the workspace.
    pub id: CredentialId,
    /// Live or test data.
    pub environment: Environment,
    /// Which of the key's rotations.
    pub serial: u64,
}

impl Kind for WidgetKey {
    fn verify(text: &str, brand: &str, ring: &KeyRing) -> Option<Result<Self, Reason>> {
        let (environment, body) = crate::credential::environment_and_body(text, brand, "wk")?;
        Some((|| {
            let prefix = prefix(brand, environment);
            let mut fields = signed::verify(ring, Purpose::WidgetKey, &prefix, body)?;
            let id = CredentialId::try_from(fields.text()?).map_err(|_| Reason::CredentialMalformed)?;
            let serial = fields.number()?;
            fields.finish()?;
            Ok(Self { id, environment, serial })
        })())
    }

    fn issue(&self, brand: &str, ring: &KeyRing) -> Result<Secret, Reason> {
        let fields: [&[u8]; 2] = [self.id.as_str().as_bytes(), &self.serial.to_be_bytes()];
        signed::issue(ring, Purpose::WidgetKey, &prefix(brand, self.environment), &fields)
    }
}

fn prefix(brand: &str, environment: Environment) -> String {
    format!("{brand}_wk_{}_", environment.as_str())
}
