//! Genuine history secrets that are refused: told as a reply, because an error would undo the count.

use super::store::{Conversation, Reply};
use crate::{
    admission::minute_counts::Place,
    audit::{self, By},
    error::Reason,
    object::machine::{Step, Turn},
    value::id::ConversationId,
};

impl Conversation {
    /// What came of a visitor's command, counted where it was refused.
    pub(crate) fn record_refusal(
        &self,
        by: By,
        id: &ConversationId,
        outcome: Result<Reply, Reason>,
        turn: &mut Turn,
    ) -> Result<Step<Self>, Reason> {
        match outcome {
            // Decided before anything was changed.
            Err(reason @ (Reason::CredentialExpired | Reason::CredentialRevoked)) => {
                self.refuse(by, id, reason.clone(), Reply::Refused(reason), turn)
            }
            Ok(reply @ Reply::Limited(..)) => {
                let reason = Reason::RateLimited { retry_after_millis: 0, quotas: Vec::new() };
                self.refuse(by, id, reason, reply, turn)
            }
            Ok(reply) => Ok(Step::reply(reply)),
            Err(reason) => Err(reason),
        }
    }

    /// Counts a refusal, for the workspace's chain.
    pub(crate) fn refuse(
        &self,
        by: By,
        id: &ConversationId,
        reason: Reason,
        reply: Reply,
        turn: &mut Turn,
    ) -> Result<Step<Self>, Reason> {
        let Some(workspace) = id.workspace() else { return Ok(Step::reply(reply)) };
        let place = || Place { source: id.as_str().to_owned(), chain: audit::workspace(workspace.as_str()) };
        let counted = self.minute_counts.refuse(place, by, id.as_str(), &reason, turn)?;
        Ok(Step { update: Some(Box::new(|conversation| conversation.minute_counts.apply(counted))), reply })
    }
}
