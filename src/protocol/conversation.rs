//! What a conversation is asked, and what it answers.

use crate::{
    audit::By,
    codec::time::Timestamp,
    error::Reason,
    leaks::store::Found,
    limits::window::{Limit, Quota},
    object::idempotency::RetryKey,
    value::id::{ConversationId, CredentialId, Environment},
    wire,
};

/// What the object can be asked.
pub enum Command {
    /// Begin.
    Open(Open),
    /// A page of messages after this one.
    Read(Party, u64, usize),
    /// Write a message.
    Append(Append),
    /// Hand out another secret that lives for so many seconds.
    Rotate(u64, u64),
    /// End it; the secret dies.
    Close(u64),
    /// The same, by a visitor: what is refused is counted.
    Visited(By, Box<Command>),
    /// A genuine secret of this conversation was refused before it was asked.
    Refused(By, Reason),
    /// The secret of this generation was used in a read that was admitted.
    NoteUse(u64),
    /// The secret of this generation was found where anybody can read it.
    Leaked(u64, Found),
    /// Nobody may have written in the conversation of this id for so many seconds: then it is not kept any longer. The
    /// workspace asks that (`conversations/store_retention.rs`).
    Sweep(ConversationId, u64),
    /// Delete it, for this party, by the one who is named.
    Delete(Party, By),
}

wire!(enum Command {
    0 Open(a), 1 Read(a, b, c), 2 Append(a), 3 Rotate(a, b), 4 Close(a), 5 Visited(a, b), 6 Refused(a, b),
    7 NoteUse(a), 8 Leaked(a, b), 9 Sweep(a, b), 10 Delete(a, b) });

/// The beginning of a conversation.
pub struct Open {
    /// Which one.
    pub id: ConversationId,
    /// Live or test data.
    pub environment: Environment,
    /// The widget key it was opened with.
    pub widget_key: CredentialId,
    /// When its first secret ends.
    pub expires_at: Timestamp,
    /// Who the visitor is, where that was verified: for good, since nothing changes how a conversation began.
    pub subject: Option<String>,
}

wire!(Open { id, environment, widget_key, expires_at, subject });

/// Who reads or writes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Party {
    /// The customer's people, by way of a server's credential: of one environment, where it is bound to one.
    Operator(Option<Environment>),
    /// The visitor, with the history secret of this generation.
    Visitor(u64),
}

wire!(enum Party { 0 Operator(a), 1 Visitor(a) });

/// A message to write.
pub struct Append {
    /// Who writes.
    pub by: Party,
    /// What.
    pub text: String,
    /// The `Idempotency-Key`, if there was one.
    pub retry: Option<RetryKey>,
    /// The conversation's own limit; operators are not held to it.
    pub limit: Option<Limit>,
    /// What the conversation holds at most.
    pub room: Option<Room>,
}

wire!(Append { by, text, retry, limit, room });

/// What one conversation holds at most.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Room {
    /// Messages.
    pub messages: u64,
    /// Bytes of their texts.
    pub bytes: u64,
}

wire!(Room { messages, bytes });

impl Room {
    /// Whether so many messages of so many bytes have room. An operator's have an eighth more: a visitor who fills a
    /// conversation does not keep the answer out.
    pub fn holds(self, messages: u64, bytes: u64, by_operator: bool) -> bool {
        let most = |number: u64| if by_operator { number.saturating_add(number / 8) } else { number };
        messages <= most(self.messages) && bytes <= most(self.bytes)
    }
}

/// A stored message.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its place, from 1.
    pub sequence: u64,
    /// When it was written.
    pub at: Timestamp,
    /// Whether the operator wrote it.
    pub by_operator: bool,
    /// What was written.
    pub text: String,
}

wire!(Message { sequence, at, by_operator, text });

/// What the object answers.
pub enum Reply {
    /// It has begun.
    Opened,
    /// It has ended.
    Closed(Timestamp),
    /// Messages, whether there are more, and who the visitor is, where that was verified.
    Page(Vec<Message>, bool, Option<String>, Option<bool>),
    /// The message as stored; whether it was stored before; the conversation's limit.
    Appended(Message, bool, Vec<Quota>),
    /// Too many messages: milliseconds until one would be stored, and the conversation's limit.
    Limited(u64, Vec<Quota>),
    /// The generation that lives now, and until when.
    Rotated(u64, Timestamp),
    /// No; and that was counted, which an error would have undone.
    Refused(Reason),
    /// Done.
    Noted,
    /// It was deleted, now or before.
    Deleted,
}

wire!(enum Reply {
    0 Opened, 1 Closed(a), 2 Page(a, b, c, d), 3 Appended(a, b, c), 4 Rotated(a, b), 5 Limited(a, b), 6 Refused(a),
    7 Noted, 8 Deleted });
