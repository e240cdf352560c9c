//! A visitor's identity: who a customer's server says that the visitor of its page is, by a token it signed.

use super::IdentitySecret;
use crate::{
    codec::time::Timestamp,
    crypto::{
        jwt::{Claims, Jws, Unfit},
        keyring::KeyRing,
    },
    error::{IdentityFault, Reason},
    value::id::{IdentitySecretId, WorkspaceId},
};

/// Somebody whom a customer's server vouches for. Only [`Identity::verify`] makes one.
#[derive(Debug)]
pub struct Identity(String);

impl Identity {
    /// Reads the shape, before anybody is asked.
    pub fn parse(text: &str) -> Result<Jws<'_>, Reason> {
        Jws::parse(text).ok_or(Reason::Identity(IdentityFault::Malformed))
    }

    /// Believes a token that a secret of `live` signed for this workspace. What is wrong with its claims is told only to
    /// whoever has that secret.
    pub fn verify(
        token: &Jws,
        live: Vec<IdentitySecretId>,
        workspace: &WorkspaceId,
        at: Timestamp,
        brand: &str,
        ring: &KeyRing,
    ) -> Result<Self, Reason> {
        let named = |kid: &IdentitySecretId| token.kid().is_none_or(|name| name == kid.as_str());
        let mut secrets = live
            .into_iter()
            .filter(named)
            .filter_map(|kid| IdentitySecret::derive(workspace, kid, brand, ring))
            .peekable();
        if secrets.peek().is_none() {
            return Err(Reason::Identity(IdentityFault::SecretUnknown));
        }
        // The key is the secret's whole text, as every JWT library takes a text.
        let payload = secrets.find_map(|candidate| token.verify(candidate.secret.reveal().as_bytes()));
        let payload = payload.ok_or(Reason::Identity(IdentityFault::Forged))?;
        let subject = Claims::parse(&payload).and_then(|claims| claims.subject_for(workspace.as_str(), at));
        subject.map(Self).map_err(|unfit| match unfit {
            Unfit::Audience => Reason::Identity(IdentityFault::Elsewhere),
            Unfit::Expired => Reason::Identity(IdentityFault::Expired),
            Unfit::Unsound(why) => Reason::invalid("identity", why),
        })
    }

    /// Their name in the customer's own world: the token's `sub`.
    pub fn into_subject(self) -> String {
        self.0
    }
}
