//! What a conversation tells its workspace of itself.

use crate::{
    codec::time::Timestamp,
    value::id::{ConversationId, Environment},
    wire,
};

/// A conversation as its workspace lists it.
#[derive(Clone, Debug)]
pub struct ConversationNote {
    /// Which one.
    pub id: ConversationId,
    /// Live or test data.
    pub environment: Environment,
    /// `open`, `closed` or `expired`.
    pub status: String,
    /// Whether the visitor's identity was verified.
    pub verified: bool,
    /// When it began.
    pub created_at: Timestamp,
    /// When its history secret ends, unless it is rotated.
    pub expires_at: Timestamp,
    /// When somebody last wrote, to about ten seconds.
    pub last_message_at: Option<Timestamp>,
    /// Grows with every note; an older one is ignored.
    pub version: u64,
    /// Who the visitor is, where that was verified.
    pub subject: Option<String>,
}

wire!(ConversationNote {
    id,
    environment,
    status,
    verified,
    created_at,
    expires_at,
    last_message_at,
    version,
    subject
});
