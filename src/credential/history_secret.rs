//! History secrets: `<brand>_hs_<env>_<signed>`, a bearer token beside a widget key. Opens one conversation, nothing else.
//!
//! Signed fields: conversation id, generation, expiry. The conversation keeps the generation that lives.

use super::{Kind, signed};
use crate::{
    codec::{secret::Secret, time::Timestamp},
    crypto::keyring::{KeyRing, Purpose},
    error::Reason,
    value::id::{ConversationId, Environment},
};

/// A history secret whose tag was verified. Whether it lives, its conversation knows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HistorySecret {
    /// The one conversation it opens.
    pub conversation: ConversationId,
    /// Live or test data.
    pub environment: Environment,
    /// Which of the conversation's rotations.
    pub generation: u64,
    /// The moment from which it opens nothing.
    pub expires_at: Timestamp,
}

impl Kind for HistorySecret {
    fn verify(text: &str, brand: &str, ring: &KeyRing) -> Option<Result<Self, Reason>> {
        let (environment, body) = crate::credential::environment_and_body(text, brand, "hs")?;
        Some((|| {
            let prefix = prefix(brand, environment);
            let mut fields = signed::verify(ring, Purpose::HistorySecret, &prefix, body)?;
            let conversation = ConversationId::try_from(fields.text()?).map_err(|_| Reason::CredentialMalformed)?;
            let generation = fields.number()?;
            let expires_at = Timestamp(fields.number()?);
            fields.finish()?;
            Ok(Self { conversation, environment, generation, expires_at })
        })())
    }

    fn issue(&self, brand: &str, ring: &KeyRing) -> Result<Secret, Reason> {
        let fields: [&[u8]; 3] =
            [self.conversation.as_str().as_bytes(), &self.generation.to_be_bytes(), &self.expires_at.0.to_be_bytes()];
        signed::issue(ring, Purpose::HistorySecret, &prefix(brand, self.environment), &fields)
    }
}

fn prefix(brand: &str, environment: Environment) -> String {
    format!("{brand}_hs_{}_", environment.as_str())
}
