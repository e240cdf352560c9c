//! The object of one conversation: its messages, the generation of the one secret that opens it, its own limit, and its end.

pub use crate::protocol::conversation::{Append, Command, Message, Open, Party, Reply, Room};

use super::store_record::{RECORD, Record};
use crate::{
    admission::minute_counts::{self, MinuteCounts, Place},
    audit::{self, Act},
    codec::time::Timestamp,
    conversations,
    error::Reason,
    leaks::store::Found,
    limits::window::{Counter, Pace, Verdict, admit},
    object::{
        idempotency,
        machine::{Machine, MemoryUpdate, Range, Step, Turn, next},
    },
};

pub(super) const MESSAGES: &str = "message/";

/// A page ends where its texts are longer than this, however few they are: an answer stays bounded.
const MAX_PAGE_BYTES: usize = 256 * 1_024;

/// The secret before the last rotation may repeat that one call for so long, and gets the same answer.
const ROTATION_RETRY_SECONDS: u64 = 60;

/// The workspace's list learns of new messages at most this often.
const NOTE_SECONDS: u64 = 10;

/// See the module.
#[derive(Default)]
pub struct Conversation {
    pub(super) minute_counts: MinuteCounts,
}

impl Machine for Conversation {
    const BINDING: &'static str = "CONVERSATION";
    type Command = Command;
    type Reply = Reply;

    fn handle(&self, command: Command, turn: &mut Turn) -> Result<Step<Self>, Reason> {
        let record: Option<Record> = match turn.get(RECORD) {
            // It is closed for somebody to look at; the workspace need not ask it again.
            Err(Reason::Unreadable(_)) if matches!(command, Command::Sweep(..)) => {
                return Ok(Step::reply(Reply::Noted));
            }
            record => record?,
        };
        match (command, record) {
            (command, Some(record)) if record.gone().is_some() => {
                conversations::store_ending::after(command, &record, turn).map(Step::reply)
            }
            (Command::Sweep(id, _), None) => {
                conversations::store_ending::forget(&id, None, false, turn).map(|()| Step::reply(Reply::Noted))
            }
            (Command::Sweep(_, seconds), Some(record)) => self.sweep(record, seconds, turn).map(Step::reply),
            (Command::Delete(party, by), Some(record)) => self.delete(record, party, by, turn).map(Step::reply),
            (Command::Visited(by, command), Some(record)) => {
                let id = record.open.id.clone();
                let outcome = decide(*command, Some(record), turn);
                self.record_refusal(by, &id, outcome, turn)
            }
            (Command::Refused(by, reason), Some(record)) => {
                self.refuse(by, &record.open.id, reason.clone(), Reply::Refused(reason), turn)
            }
            (command, record) => decide(command, record, turn).map(Step::reply),
        }
    }

    /// The secret's time is over: the list says so. What is left of a conversation that is gone, goes.
    fn wake(&self, turn: &mut Turn) -> Result<MemoryUpdate<Self>, Reason> {
        match turn.get::<Record>(RECORD)? {
            Some(record) if record.gone().is_some() => conversations::store_ending::wake(&record, turn)?,
            Some(mut record) => {
                if record.ended.is_none() && record.expires_at <= turn.at() {
                    record.ended = Some((record.expires_at, "expired".to_owned()));
                    record.note(turn)?;
                    turn.put(RECORD, &record);
                }
                match record.ended {
                    Some(_) => self.sweep_unused(record, turn)?,
                    None => turn.wake_at(record.expires_at)?,
                }
            }
            None => {}
        }
        self.minute_counts.wake(turn)?;
        Ok(None)
    }
}

fn decide(command: Command, record: Option<Record>, turn: &mut Turn) -> Result<Reply, Reason> {
    match (command, record) {
        (Command::Open(_), Some(_)) => {
            Err(Reason::Conflict("There is a conversation with this id already.".to_owned()))
        }
        (Command::Open(open), None) => self::open(open, turn),
        (Command::Read(by, after, limit), Some(record)) => read(record, by, after, limit, turn),
        (Command::Append(append), Some(record)) => self::append(record, append, turn),
        (Command::Rotate(generation, seconds), Some(record)) => rotate(record, generation, seconds, turn),
        (Command::Close(generation), Some(record)) => close(record, generation, turn),
        (Command::NoteUse(generation), Some(record)) => {
            record.note_use(Party::Visitor(generation), turn);
            Ok(Reply::Noted)
        }
        (Command::Leaked(generation, found), Some(record)) => leaked(record, generation, &found, turn),
        (Command::Visited(..) | Command::Refused(..) | Command::Sweep(..) | Command::Delete(..), _) | (_, None) => {
            Err(Reason::NotFound)
        }
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
        window: None,
        noted_at: turn.at(),
        version: 0,
        bytes: Some(0),
        open,
    };
    record.note(turn)?;
    turn.wake_at(record.expires_at)?;
    turn.put(RECORD, &record);
    Ok(Reply::Opened)
}

fn read(record: Record, by: Party, after: u64, limit: usize, turn: &mut Turn) -> Result<Reply, Reason> {
    record.admits(by, turn.at())?;
    let subject = record.open.subject.clone();
    // A read is asked for beside the admission, so it changes nothing: whoever was admitted says so afterwards.
    let is_first_use = record.is_first_use(by);
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
    Ok(Reply::Page(messages, more, subject, Some(is_first_use)))
}

fn append(mut record: Record, append: Append, turn: &mut Turn) -> Result<Reply, Reason> {
    record.admits(append.by, turn.at())?;
    if record.is_over(turn.at()) {
        return Err(Reason::Gone("This conversation has ended.".to_owned()));
    }
    let mut quotas = Vec::new();
    if let Some(limit) = &append.limit {
        let mut counters = [(limit, Counter::new(record.window.take().unwrap_or_default()))];
        let verdict = admit(&mut counters, 1, Pace::Single, turn.at());
        let [(_, counter)] = counters;
        record.window = Some(counter.row(limit));
        if counter.must_store() {
            turn.put(RECORD, &record);
        }
        match verdict {
            Verdict::Admitted(now) => quotas = now,
            Verdict::Refused { retry_after_millis, quotas } => {
                return Ok(Reply::Limited(retry_after_millis, quotas));
            }
        }
    }
    if let Some(made) = append.retry.as_ref().map(|key| idempotency::find(key, turn)).transpose()?.flatten() {
        let message = turn.get(&made)?.ok_or(Reason::Unreadable(made))?;
        record.note_use(append.by, turn);
        return Ok(Reply::Appended(message, true, quotas));
    }
    let by_operator = matches!(append.by, Party::Operator(_));
    let (messages, bytes) = (next(record.messages)?, record.bytes.unwrap_or_default() + append.text.len() as u64);
    if append.room.is_some_and(|room| !room.holds(messages, bytes, by_operator)) {
        // What its limit counted stands, which an error would undo.
        return Ok(Reply::Refused(Reason::ConversationFull));
    }
    (record.messages, record.bytes) = (messages, Some(bytes));
    record.used |= append.by == Party::Visitor(record.generation);
    record.last_message_at = Some(turn.at());
    let message = Message { sequence: record.messages, at: turn.at(), by_operator, text: append.text };
    if let Some(key) = append.retry {
        idempotency::remember(&key, message_key(message.sequence), turn)?;
    }
    // Of a visitor's message the shard that admitted it tells the workspace.
    if by_operator && record.noted_at.plus_seconds(NOTE_SECONDS) <= turn.at() {
        record.note(turn)?;
    }
    turn.put(message_key(message.sequence), &message);
    turn.put(RECORD, &record);
    Ok(Reply::Appended(message, false, quotas))
}

/// A retry of the last rotation gets the same answer; anything else makes the next generation.
fn rotate(mut record: Record, presented: u64, seconds: u64, turn: &mut Turn) -> Result<Reply, Reason> {
    if may_repeat(&record, presented, turn.at()) && record.ended.is_none() {
        return Ok(Reply::Rotated(record.generation, record.expires_at));
    }
    record.admits(Party::Visitor(presented), turn.at())?;
    record.generation = next(record.generation)?;
    record.expires_at = turn.at().plus_seconds(seconds);
    record.rotated_at = Some(turn.at());
    record.used = false;
    record.note(turn)?;
    turn.wake_at(record.expires_at)?;
    turn.put(RECORD, &record);
    Ok(Reply::Rotated(record.generation, record.expires_at))
}

/// Whether the secret before the one that lives may still fetch that.
fn may_repeat(record: &Record, presented: u64, at: Timestamp) -> bool {
    presented.checked_add(1) == Some(record.generation)
        && !record.used
        && record.rotated_at.is_some_and(|rotated_at| at < rotated_at.plus_seconds(ROTATION_RETRY_SECONDS))
}

/// A secret was found. It opens what one visitor wrote, and whoever has it could turn it over: it ends at once, with its
/// conversation, unless it lives no more.
fn leaked(mut record: Record, generation: u64, found: &Found, turn: &mut Turn) -> Result<Reply, Reason> {
    let opens = generation == record.generation || may_repeat(&record, generation, turn.at());
    if opens && !record.is_over(turn.at()) {
        record.ended = Some((turn.at(), "closed".to_owned()));
        record.note(turn)?;
        turn.put(RECORD, &record);
        let id = &record.open.id;
        let chain = id.workspace().map(|workspace| audit::workspace(workspace.as_str())).unwrap_or_default();
        let entry = found.entry(Act::HistorySecretRevoke, id.as_str(), turn.at());
        minute_counts::tell(Place { source: id.as_str().to_owned(), chain }, entry, turn)?;
    }
    Ok(Reply::Noted)
}

fn close(mut record: Record, presented: u64, turn: &mut Turn) -> Result<Reply, Reason> {
    record.admits(Party::Visitor(presented), turn.at())?;
    record.ended = Some((turn.at(), "closed".to_owned()));
    record.note(turn)?;
    turn.put(RECORD, &record);
    if record.messages == 0 {
        turn.wake_at(turn.at().plus_seconds(conversations::store_ending::UNUSED_SECONDS))?;
    }
    Ok(Reply::Closed(turn.at()))
}

fn message_key(sequence: u64) -> String {
    format!("{MESSAGES}{sequence:010}")
}
