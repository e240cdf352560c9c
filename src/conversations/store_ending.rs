//! A conversation that goes: deleted by somebody who may, or not kept any longer. One turn ends it, and tells its workspace;
//! its rows go with that turn, and where they are many, with the next rings of the alarm. A tombstone stays for a while.

use super::{
    store::{Command, Conversation, MESSAGES, Party, Reply},
    store_record::{DELETED, RECORD, Record, SWEPT},
};
use crate::{
    admission::minute_counts,
    audit::{self, Act, By, Entry, Report},
    error::Reason,
    machines::workspace::{self, Workspace},
    object::{
        idempotency,
        machine::{Range, Turn},
    },
    value::id::ConversationId,
};

/// Rows that go at once: with the longest messages, 16 MiB that are listed.
const ERASE_ROWS: usize = 250;

/// A deletion that is repeated within so long is answered the same: 30 days. No secret outlives its tombstone either.
const TOMBSTONE_SECONDS: u64 = 30 * 86_400;

/// One in which nobody ever wrote is kept for so long after its end: a week.
pub(crate) const UNUSED_SECONDS: u64 = 7 * 86_400;

impl Conversation {
    /// Deletes it, and answers once the list and the audit of its workspace say so.
    pub(crate) fn delete(&self, record: Record, party: Party, by: By, turn: &mut Turn) -> Result<Reply, Reason> {
        record.admits(party, turn.at())?;
        let entry = Entry::done(Act::ConversationDelete, by, record.open.id.as_str(), turn.at());
        self.end(record, DELETED, Some(entry), turn)?;
        turn.await_delivery();
        Ok(Reply::Deleted)
    }

    /// Is not kept any longer, if really nobody has written for so long: the workspace's list may be behind, and is told then.
    pub(crate) fn sweep(&self, mut record: Record, seconds: u64, turn: &mut Turn) -> Result<Reply, Reason> {
        let idle_since = record.last_message_at.unwrap_or(record.created_at);
        if idle_since.plus_seconds(seconds) > turn.at() {
            record.note(turn)?;
            turn.put(RECORD, &record);
        } else {
            self.end(record, SWEPT, None, turn)?;
        }
        Ok(Reply::Noted)
    }

    /// One that has ended and in which nobody ever wrote is not kept for long, where the policy sweeps anything.
    pub(crate) fn sweep_unused(&self, record: Record, turn: &mut Turn) -> Result<(), Reason> {
        let Some((ended_at, _)) = record.ended.as_ref().filter(|_| record.messages == 0) else { return Ok(()) };
        let Some(seconds) = turn.retention_seconds() else { return Ok(()) };
        let due = ended_at.plus_seconds(seconds.min(UNUSED_SECONDS));
        if turn.at() < due {
            return turn.wake_at(due);
        }
        self.end(record, SWEPT, None, turn)
    }

    fn end(&self, record: Record, how: &str, entry: Option<Entry>, turn: &mut Turn) -> Result<(), Reason> {
        // Refusals that were counted and not told yet: after this, nobody tells them.
        self.minute_counts.tell_all(turn)?;
        let id = record.open.id.clone();
        let report = |entry| Report::new(chain(&id), id.as_str().to_owned(), entry, turn);
        let report = entry.map(report).transpose()?;
        forget(&id, report, how == SWEPT, turn)?;
        let mut tombstone = Record {
            ended: Some((turn.at(), how.to_owned())),
            messages: 0,
            last_message_at: None,
            window: None,
            bytes: None,
            ..record
        };
        tombstone.open.subject = None;
        turn.put(RECORD, &tombstone);
        wake(&tombstone, turn)
    }
}

/// What is asked of a conversation that is gone.
pub(crate) fn after(command: Command, record: &Record, turn: &mut Turn) -> Result<Reply, Reason> {
    let party = match command {
        Command::Open(_) => {
            return Err(Reason::Conflict("There is a conversation with this id already.".to_owned()));
        }
        Command::Read(party, ..) => party,
        Command::Append(append) => append.by,
        Command::Rotate(generation, _) | Command::Close(generation) => Party::Visitor(generation),
        // Not counted: that would leave rows in the workspace for what is no more.
        Command::Visited(_, command) => return after(*command, record, turn),
        Command::Refused(_, reason) => return Ok(Reply::Refused(reason)),
        Command::NoteUse(_) | Command::Leaked(..) => return Ok(Reply::Noted),
        Command::Sweep(id, _) => return forget(&id, None, false, turn).map(|()| Reply::Noted),
        Command::Delete(party, _) => {
            record.admits(party, turn.at())?;
            // Told again: the first answer may have been that delivery goes on.
            forget(&record.open.id, None, false, turn)?;
            turn.await_delivery();
            return Ok(Reply::Deleted);
        }
    };
    record.admits(party, turn.at())?;
    Err(Reason::Gone(match record.gone() {
        Some((_, DELETED)) => "This conversation was deleted.".to_owned(),
        _ => "This conversation was idle for longer than the policy keeps one.".to_owned(),
    }))
}

/// The alarm rang: the next rows go, and at last the tombstone.
pub(crate) fn wake(record: &Record, turn: &mut Turn) -> Result<(), Reason> {
    if !erase(turn)? {
        return turn.wake_at(turn.at().plus_seconds(1));
    }
    let (ended_at, _) = record.gone().unwrap_or_default();
    let until = record.expires_at.max(ended_at.plus_seconds(TOMBSTONE_SECONDS));
    if turn.at() < until {
        return turn.wake_at(until);
    }
    // What still waits for the workspace has an alarm of its own.
    if turn.close_outbox()? {
        audit::forget_sent(turn);
        turn.delete(RECORD);
    }
    Ok(())
}

/// Deletes the next rows of messages and of idempotency keys. Whether none is left.
fn erase(turn: &mut Turn) -> Result<bool, Reason> {
    let mut left = ERASE_ROWS;
    for prefix in [MESSAGES, idempotency::ROWS, minute_counts::TOLD] {
        let keys = turn.list_keys(&Range { prefix, after: None, reverse: false, limit: left })?;
        left = left.saturating_sub(keys.len());
        keys.into_iter().for_each(|key| turn.delete(key));
    }
    Ok(left > 0)
}

/// Has the workspace forget it: what is recorded of that, and whether it counts as swept.
pub(crate) fn forget(id: &ConversationId, report: Option<Report>, swept: bool, turn: &mut Turn) -> Result<(), Reason> {
    let Some(workspace) = id.workspace() else { return Ok(()) };
    let forget = workspace::Command::ForgetConversation { id: id.clone(), report, swept };
    turn.send::<Workspace>(workspace.as_str(), &forget)
}

fn chain(id: &ConversationId) -> String {
    id.workspace().map(|workspace| audit::workspace(workspace.as_str())).unwrap_or_default()
}
