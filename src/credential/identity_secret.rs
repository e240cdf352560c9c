//! Identity secrets: `<brand>_is_<43 characters>`. A customer's server signs with one who its visitors are; it opens no call.
//!
//! Nothing of it is stored: it is derived from a root secret, the workspace and its public id, the `kid`. The `kid` names
//! the root secret, so that no other has to be tried, and one that was demoted derives none.

use crate::{
    codec::secret::Secret,
    crypto::keyring::{KeyRing, Purpose},
    error::Reason,
    value::id::{IdentitySecretId, WorkspaceId},
};
use base64ct::{Base64UrlUnpadded, Encoding as _};

/// A secret that one workspace's servers sign with.
pub struct IdentitySecret {
    /// Its public id.
    pub kid: IdentitySecretId,
    /// The text whose bytes are the HS256 key, prefix and all.
    pub secret: Secret,
}

impl IdentitySecret {
    /// A new one under the root secret that signs.
    pub fn issue(
        workspace: &WorkspaceId,
        random: [u8; 16],
        brand: &str,
        ring: &KeyRing,
    ) -> Result<IdentitySecret, Reason> {
        let kid = IdentitySecretId::issue(ring.signing_id()?, random);
        Self::derive(workspace, kid, brand, ring).ok_or(Reason::Unavailable)
    }

    /// The secret of this `kid`; none where its root secret is gone or demoted. Whether it lives, its workspace knows.
    pub fn derive(workspace: &WorkspaceId, kid: IdentitySecretId, brand: &str, ring: &KeyRing) -> Option<Self> {
        // Each behind its length: no two pairs read alike.
        let length = |text: &str| u8::try_from(text.len()).ok().map(|length| [length]);
        let (place, name) = (workspace.as_str(), kid.as_str());
        let message: [&[u8]; 4] = [&length(place)?, place.as_bytes(), &length(name)?, name.as_bytes()];
        let key = ring.derive(Purpose::IdentitySecret, kid.key_id(), &message)?;
        let secret = Secret::new(format!("{brand}_is_{}", Base64UrlUnpadded::encode_string(&*key)));
        Some(Self { kid, secret })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::IdentitySecret;
    use crate::{
        crypto::keyring::KeyRing,
        value::id::{IdentitySecretId, WorkspaceId},
    };

    const ROOT: &str = "r1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    /// The first byte of SHA-256("r1").
    const KEY_ID: u8 = 0x82;
    const KID: &str = "is_ggkJCQkJCQkJCQkJCQkJCQk";

    fn derive(workspace: &str, kid: &str, roots: &str) -> Option<String> {
        let workspace: WorkspaceId = workspace.to_owned().try_into().unwrap();
        let kid: IdentitySecretId = kid.to_owned().try_into().unwrap();
        let made = IdentitySecret::derive(&workspace, kid, "clv", &KeyRing::parse(roots).unwrap());
        made.map(|made| made.secret.reveal().to_owned())
    }

    /// Made by another program. It must never change: customers' servers hold what was derived.
    #[test]
    fn a_secret_is_derived_from_its_root_its_workspace_and_its_kid_and_stays_what_it_was() {
        let made = derive("acme", KID, ROOT);
        assert_eq!(made.as_deref(), Some("clv_is_6RflgExqCPEN9DnLCGvLhJYbDlPIxHrmBwdFqcT1ofE"));
        assert_ne!(derive("acme2", KID, ROOT), made);
        assert_ne!(derive("acme", IdentitySecretId::issue(KEY_ID, [8; 16]).as_str(), ROOT), made);
        let newer = format!("r2:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE,{ROOT}");
        assert_eq!(derive("acme", KID, &newer), made);
        assert_eq!(derive("acme", KID, &format!("{newer}:check-only")), None);
        assert_eq!(derive("acme", KID, "r2:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"), None);
    }

    #[test]
    fn what_is_no_kid_is_refused() {
        for text in ["", "is_", "is_A", KID.trim_start_matches("is_"), &format!("{KID}A"), &format!("{KID}="), "IS_"] {
            assert!(IdentitySecretId::try_from(text.to_owned()).is_err(), "{text}");
        }
        // Spare bits: one spelling only.
        let other = format!("{}B", KID.split_at(KID.len() - 1).0);
        assert!(IdentitySecretId::try_from(other).is_err());
    }
}
