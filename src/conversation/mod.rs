//! The object of one conversation: its messages, the generation of the one secret that opens it, and its own limit.

mod record;
mod refused;

use crate::{
    audit::By,
    error::Reason,
    id::{ConversationId, CredentialId, Environment},
    limit::{Limit, Quota, Verdict, Window, admit},
    machine::{Lesson, Machine, Range, Step, Turn},
    registry::tally::Tallies,
    replay::{self, RetryKey},
    time::Timestamp,
    wire,
};

use record::{RECORD, Record};

const MESSAGES: &str = "message/";
const WINDOW: &str = "window";

/// A page ends where its texts are longer than this, however few they are: an answer stays bounded.
const MAX_PAGE_BYTES: usize = 256 * 1_024;

/// The secret before the last rotation may repeat that one call for so long, and gets the same answer.
const ROTATION_RETRY_SECONDS: u64 = 60;

/// The workspace's list learns of new messages at most this often.
const NOTE_SECONDS: u64 = 10;

/// See the module.
#[derive(Default)]
pub struct Conversation {
    tallies: Tallies,
}

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
}

wire!(enum Command {
    0 Open(a), 1 Read(a, b, c), 2 Append(a), 3 Rotate(a, b), 4 Close(a), 5 Visited(a, b), 6 Refused(a, b) });

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
}

wire!(Open { id, environment, widget_key, expires_at });

/// Who reads or writes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Party {
    /// The customer's people, by way of a server's credential.
    Operator,
    /// The visitor, with the history secret of this generation.
    Visitor(u64),
}

wire!(enum Party { 0 Operator, 1 Visitor(a) });

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
}

wire!(Append { by, text, retry, limit });

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
    /// Messages, and whether there are more.
    Page(Vec<Message>, bool),
    /// The message as stored; whether it was stored before; the conversation's limit.
    Appended(Message, bool, Vec<Quota>),
    /// Too many messages: milliseconds until one would be stored, and the conversation's limit.
    Limited(u64, Vec<Quota>),
    /// The generation that lives now, and until when.
    Rotated(u64, Timestamp),
    /// No; and that was counted, which an error would have undone.
    Refused(Reason),
}

wire!(enum Reply {
    0 Opened, 1 Closed(a), 2 Page(a, b), 3 Appended(a, b, c), 4 Rotated(a, b), 5 Limited(a, b), 6 Refused(a) });

impl Machine for Conversation {
    const BINDING: &'static str = "CONVERSATION";
    type Command = Command;
    type Reply = Reply;

    fn handle(&self, command: Command, turn: &mut Turn) -> Result<Step<Self>, Reason> {
        let record: Option<Record> = turn.get(RECORD)?;
        let reply = match (command, record) {
            (Command::Visited(by, command), Some(_)) => return self.visited(by, *command, turn),
            (Command::Refused(by, reason), Some(record)) => {
                return self.refuse(by, &record.open.id, reason.clone(), Reply::Refused(reason), turn);
            }
            (Command::Open(_), Some(_)) => {
                return Err(Reason::Conflict("There is a conversation with this id already.".to_owned()));
            }
            (Command::Open(open), None) => self::open(open, turn)?,
            (_, None) => return Err(Reason::NotFound),
            (Command::Read(by, after, limit), Some(record)) => read(record, by, after, limit, turn)?,
            (Command::Append(append), Some(record)) => self::append(record, append, turn)?,
            (Command::Rotate(generation, seconds), Some(record)) => rotate(record, generation, seconds, turn)?,
            (Command::Close(generation), Some(record)) => close(record, generation, turn)?,
        };
        Ok(Step::reply(reply))
    }

    /// The secret's time is over: the list says so.
    fn wake(&self, turn: &mut Turn) -> Result<Lesson<Self>, Reason> {
        if let Some(mut record) = turn.get::<Record>(RECORD)?.filter(|record| record.ended.is_none()) {
            if record.expires_at <= turn.at() {
                record.ended = Some((record.expires_at, "expired".to_owned()));
                record.note(turn)?;
                turn.put(RECORD, &record);
            } else {
                turn.wake_at(record.expires_at)?;
            }
        }
        self.tallies.wake(turn)?;
        Ok(None)
    }
}

fn open(open: Open, turn: &mut Turn) -> Result<Reply, Reason> {
    let mut record = Record {
        created_at: turn.at(),
        generation: 1,
        expires_at: open.expires_at,
        rotated_at: None,
        used: false,
        ended: None,
        messages: 0,
        last_message_at: None,
        noted_at: turn.at(),
        version: 0,
        open,
    };
    record.note(turn)?;
    turn.wake_at(record.expires_at)?;
    turn.put(RECORD, &record);
    Ok(Reply::Opened)
}

fn read(record: Record, by: Party, after: u64, limit: usize, turn: &mut Turn) -> Result<Reply, Reason> {
    record.admits(by, turn.at())?;
    record.note_use(by, turn);
    let after = message_key(after);
    let range = Range { prefix: MESSAGES, after: Some(&after), reverse: false, limit: limit + 1 };
    let mut messages: Vec<Message> = turn.list(&range)?.into_iter().map(|(_, message)| message).collect();
    let (all, mut bytes) = (messages.len(), 0);
    let fits = messages.iter().take(limit).take_while(|message| {
        let first = bytes == 0;
        bytes += message.text.len();
        first || bytes <= MAX_PAGE_BYTES
    });
    let count = fits.count();
    messages.truncate(count);
    let more = count < all;
    Ok(Reply::Page(messages, more))
}

fn append(mut record: Record, append: Append, turn: &mut Turn) -> Result<Reply, Reason> {
    record.admits(append.by, turn.at())?;
    if record.is_over(turn.at()) {
        return Err(Reason::Gone("This conversation has ended.".to_owned()));
    }
    let mut quotas = Vec::new();
    if let Some(limit) = &append.limit {
        match meter(limit, turn)? {
            Verdict::Admitted(now) => quotas = now,
            Verdict::Refused { retry_after_millis, quotas, .. } => {
                return Ok(Reply::Limited(retry_after_millis, quotas));
            }
        }
    }
    if let Some(made) = append.retry.as_ref().map(|key| replay::find(key, turn)).transpose()?.flatten() {
        let message = turn.get(&made)?.ok_or(Reason::Unreadable(made))?;
        record.note_use(append.by, turn);
        return Ok(Reply::Appended(message, true, quotas));
    }
    record.messages += 1;
    record.used |= append.by == Party::Visitor(record.generation);
    record.last_message_at = Some(turn.at());
    let message = Message {
        sequence: record.messages,
        at: turn.at(),
        by_operator: append.by == Party::Operator,
        text: append.text,
    };
    if let Some(key) = append.retry {
        replay::remember(&key, message_key(message.sequence), turn)?;
    }
    if record.noted_at.plus_seconds(NOTE_SECONDS) <= turn.at() || record.messages == 1 {
        record.note(turn)?;
    }
    turn.put(message_key(message.sequence), &message);
    turn.put(RECORD, &record);
    Ok(Reply::Appended(message, false, quotas))
}

/// Counts the message in the conversation's own window, or not at all.
fn meter(limit: &Limit, turn: &mut Turn) -> Result<Verdict, Reason> {
    let mut windows = [(limit, turn.get::<Window>(WINDOW)?.unwrap_or_default())];
    let verdict = admit(&mut windows, 1, turn.at());
    if !matches!(verdict, Verdict::Refused { moved: false, .. }) {
        let [(_, window)] = windows;
        turn.put(WINDOW, &window);
    }
    Ok(verdict)
}

/// A retry of the last rotation gets the same answer; anything else makes the next generation.
fn rotate(mut record: Record, presented: u64, seconds: u64, turn: &mut Turn) -> Result<Reply, Reason> {
    let retry = presented + 1 == record.generation
        && !record.used
        && record.rotated_at.is_some_and(|at| turn.at() < at.plus_seconds(ROTATION_RETRY_SECONDS));
    if retry && record.ended.is_none() {
        return Ok(Reply::Rotated(record.generation, record.expires_at));
    }
    record.admits(Party::Visitor(presented), turn.at())?;
    record.generation += 1;
    record.expires_at = turn.at().plus_seconds(seconds);
    record.rotated_at = Some(turn.at());
    record.used = false;
    record.note(turn)?;
    turn.wake_at(record.expires_at)?;
    turn.put(RECORD, &record);
    Ok(Reply::Rotated(record.generation, record.expires_at))
}

fn close(mut record: Record, presented: u64, turn: &mut Turn) -> Result<Reply, Reason> {
    record.admits(Party::Visitor(presented), turn.at())?;
    record.ended = Some((turn.at(), "closed".to_owned()));
    record.note(turn)?;
    turn.put(RECORD, &record);
    Ok(Reply::Closed(turn.at()))
}

fn message_key(sequence: u64) -> String {
    format!("{MESSAGES}{sequence:010}")
}
