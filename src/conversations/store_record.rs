//! What is known of a conversation itself: who may still come in, and what its workspace is told.

use super::store::{Open, Party};
use crate::{
    codec::time::Timestamp,
    error::Reason,
    limits::window::Window,
    machines::workspace::{self, ConversationNote, Workspace},
    object::machine::{Turn, next},
    wire,
};

/// The row of the conversation itself.
pub const RECORD: &str = "record";

/// How a conversation ended that somebody deleted.
pub const DELETED: &str = "deleted";
/// How one ended that was not kept any longer.
pub const SWEPT: &str = "swept";

/// What is known of the conversation itself.
pub struct Record {
    /// How it began.
    pub open: Open,
    /// When it began.
    pub created_at: Timestamp,
    /// The generation of the secret that lives.
    pub generation: u64,
    /// When that secret ends.
    pub expires_at: Timestamp,
    /// When it was last rotated.
    pub rotated_at: Option<Timestamp>,
    /// Whether the secret of `generation` was seen: then no older one may repeat the rotation.
    pub used: bool,
    /// When it ended, and how: `closed` or `expired`; [`DELETED`] or [`SWEPT`], where this is all that is left of it.
    pub ended: Option<(Timestamp, String)>,
    /// How many messages there are.
    pub messages: u64,
    /// When the workspace's list last heard of it.
    pub noted_at: Timestamp,
    /// Grows with every note to that list.
    pub version: u64,
    /// When somebody last wrote.
    pub last_message_at: Option<Timestamp>,
    /// What was written lately, for the conversation's own limit.
    pub window: Option<Window>,
    /// Bytes of all texts. None: it was written in by a version that did not count them, and they count from now on.
    pub bytes: Option<u64>,
}

wire!(Record {
    open,
    created_at,
    generation,
    expires_at,
    rotated_at,
    used,
    ended,
    messages,
    noted_at,
    version,
    last_message_at,
    window,
    bytes,
});

impl Record {
    /// Whether it is over, also where no alarm has said so yet.
    pub fn is_over(&self, at: Timestamp) -> bool {
        self.ended.is_some() || self.expires_at <= at
    }

    /// When it was deleted or swept, and which of the two: this is only its tombstone then.
    pub fn gone(&self) -> Option<(Timestamp, &str)> {
        let (at, how) = self.ended.as_ref()?;
        matches!(how.as_str(), DELETED | SWEPT).then_some((*at, how))
    }

    /// Whether this party may still come in.
    pub fn admits(&self, by: Party, at: Timestamp) -> Result<(), Reason> {
        let generation = match by {
            Party::Visitor(generation) => generation,
            Party::Operator(Some(bound)) if bound != self.open.environment => {
                return Err(Reason::EnvironmentMismatch);
            }
            Party::Operator(_) => return Ok(()),
        };
        match &self.ended {
            Some((_, status)) if status == "expired" => Err(Reason::CredentialExpired),
            Some(_) => Err(Reason::CredentialRevoked),
            None if generation != self.generation => Err(Reason::CredentialRevoked),
            None if self.expires_at <= at => Err(Reason::CredentialExpired),
            None => Ok(()),
        }
    }

    /// Whether a rotated secret is seen for the first time.
    pub fn is_first_use(&self, by: Party) -> bool {
        !self.used && by == Party::Visitor(self.generation) && self.rotated_at.is_some()
    }

    /// The first use of a rotated secret ends the older one's right to repeat the rotation.
    pub fn note_use(mut self, by: Party, turn: &mut Turn) {
        if self.is_first_use(by) {
            self.used = true;
            turn.put(RECORD, &self);
        }
    }

    /// Tells the workspace's list.
    pub fn note(&mut self, turn: &mut Turn) -> Result<(), Reason> {
        self.version = next(self.version)?;
        self.noted_at = turn.at();
        let note = ConversationNote {
            id: self.open.id.clone(),
            environment: self.open.environment,
            status: self.ended.as_ref().map_or_else(|| "open".to_owned(), |(_, status)| status.clone()),
            verified: self.open.subject.is_some(),
            created_at: self.created_at,
            expires_at: self.expires_at,
            last_message_at: self.last_message_at,
            version: self.version,
            subject: self.open.subject.clone(),
        };
        if let Some(workspace) = self.open.id.workspace() {
            turn.send::<Workspace>(workspace.as_str(), &workspace::Command::NoteConversation(note))?;
        }
        Ok(())
    }
}
