//! Genuine history secrets that are refused: told as a reply, because an error would undo the count.

use super::{Command, Conversation, RECORD, Record, Reply};
use crate::{
    audit::{self, By},
    error::Reason,
    id::ConversationId,
    machine::{Machine as _, Step, Turn},
    registry::tally::Place,
};

impl Conversation {
    /// Does what the visitor asks, and counts it where that is refused.
    pub(super) fn visited(&self, by: By, command: Command, turn: &mut Turn) -> Result<Step<Self>, Reason> {
        let Some(record) = turn.get::<Record>(RECORD)? else {
            return Err(Reason::NotFound);
        };
        let id = record.open.id;
        match self.handle(command, turn) {
            // Decided before anything was changed.
            Err(reason @ (Reason::CredentialExpired | Reason::CredentialRevoked)) => {
                self.refuse(by, &id, reason.clone(), Reply::Refused(reason), turn)
            }
            Ok(Step { lesson, reply: reply @ Reply::Limited(..) }) => {
                let reason = Reason::RateLimited { retry_after_millis: 0, quotas: Vec::new() };
                let step = self.refuse(by, &id, reason, reply, turn)?;
                Ok(Step { lesson: both(lesson, step.lesson), reply: step.reply })
            }
            other => other,
        }
    }

    /// Counts a refusal, for the workspace's chain.
    pub(super) fn refuse(
        &self,
        by: By,
        id: &ConversationId,
        reason: Reason,
        reply: Reply,
        turn: &mut Turn,
    ) -> Result<Step<Self>, Reason> {
        let Some(workspace) = id.workspace() else { return Ok(Step::reply(reply)) };
        let place = || Place { source: id.as_str().to_owned(), chain: audit::workspace(workspace.as_str()) };
        let counted = self.tallies.refuse(place, by, id.as_str(), &reason, turn)?;
        Ok(Step { lesson: Some(Box::new(|conversation| conversation.tallies.learn(counted))), reply })
    }
}

/// Memory learns one after the other.
fn both(first: Lesson, second: Lesson) -> Lesson {
    match (first, second) {
        (Some(first), Some(second)) => Some(Box::new(|conversation| {
            first(conversation);
            second(conversation);
        })),
        (first, second) => first.or(second),
    }
}

type Lesson = crate::machine::Lesson<Conversation>;
