//! What a workspace is told of conversations, and pages of what it knows, newest first.

use super::{
    record::CredentialRecord,
    workspace::{CONVERSATIONS, CREDENTIALS, ConversationNote, ListCredentials, Reply},
};
use crate::{
    error::Reason,
    id::{ConversationId, Environment},
    machine::{Range, Turn},
    time::Timestamp,
};

/// Rows that one page of a filtered listing looks through at most.
pub(super) const LOOK: usize = 1_000;

/// How the ids of a workspace's credentials begin.
const KINDS: [&str; 3] = ["sk_", "st_", "wk_"];

/// Credentials, newest first. Their rows stand by kind, and within a kind by time: the kinds are merged.
pub fn credentials(list: &ListCredentials, turn: &Turn) -> Result<Reply, Reason> {
    let after = list.after.as_ref().map(|id| made(id.as_str()));
    let at = turn.at();
    let mut rows: Vec<CredentialRecord> = Vec::new();
    for kind in KINDS {
        let prefix = format!("{CREDENTIALS}{kind}");
        let after = after.map(|made| format!("{prefix}{made}"));
        let range = Range { prefix: &prefix, after: after.as_deref(), reverse: true, limit: LOOK };
        rows.extend(turn.list_readable::<CredentialRecord>(&range)?.into_iter().map(|(_, record)| record));
    }
    rows.sort_by(|a, b| made(b.id.as_str()).cmp(made(a.id.as_str())));
    rows.truncate(LOOK);
    let (items, next) = page(rows, list.limit, |record| {
        list.status.as_deref().is_none_or(|status| record.status(at).as_str() == status)
            && list.kind.is_none_or(|kind| record.kind() == kind)
            && list.environment.is_none_or(|environment| record.environment == environment)
    });
    Ok(Reply::Credentials(items, next.map(|record| record.id)))
}

/// An id without its kind: it begins with the moment when the credential was made.
fn made(id: &str) -> &str {
    id.split_once('_').map_or(id, |(_, made)| made)
}

/// Conversations, newest first.
pub fn conversations(
    environment: Option<Environment>,
    after: Option<ConversationId>,
    limit: usize,
    turn: &Turn,
) -> Result<Reply, Reason> {
    let after = after.map(|id| format!("{CONVERSATIONS}{id}"));
    let range = Range { prefix: CONVERSATIONS, after: after.as_deref(), reverse: true, limit: LOOK };
    let rows = turn.list_readable::<ConversationNote>(&range)?.into_iter().map(|(_, note)| note);
    let (items, next) =
        page(rows.collect(), limit, |note| environment.is_none_or(|environment| note.environment == environment));
    Ok(Reply::Conversations(items, next.map(|note| note.id)))
}

/// A conversation began, or changed its state.
pub fn note(note: ConversationNote, turn: &mut Turn) -> Result<Reply, Reason> {
    let key = format!("{CONVERSATIONS}{}", note.id);
    let known: Option<ConversationNote> = turn.get(&key)?;
    let wrote = known.as_ref().and_then(|known| known.last_message_at);
    if known.is_none_or(|known| known.version < note.version) {
        turn.put(key, &ConversationNote { last_message_at: note.last_message_at.max(wrote), ..note });
    }
    Ok(Reply::Done)
}

/// A conversation is gone. Whether it stood in the list: a message that comes twice finds it there once.
pub fn forget(id: &ConversationId, turn: &mut Turn) -> Result<bool, Reason> {
    let key = format!("{CONVERSATIONS}{id}");
    let is_listed = turn.has(&key)?;
    turn.delete(key);
    Ok(is_listed)
}

/// Visitors wrote in these conversations.
pub fn note_writers(wrote: Vec<(ConversationId, Timestamp)>, turn: &mut Turn) -> Result<Reply, Reason> {
    for (id, at) in wrote {
        let key = format!("{CONVERSATIONS}{id}");
        // One that is not listed yet will be, with the moment of its own latest message.
        let known = turn.get::<ConversationNote>(&key)?;
        if let Some(known) = known.filter(|known| known.status == "open" && known.last_message_at < Some(at)) {
            turn.put(key, &ConversationNote { last_message_at: Some(at), ..known });
        }
    }
    Ok(Reply::Done)
}

/// The first `limit` of `rows` that are wanted, and the row after which the next page begins, if there may be one.
pub(super) fn page<T: Clone>(rows: Vec<T>, limit: usize, wanted: impl Fn(&T) -> bool) -> (Vec<T>, Option<T>) {
    let (looked, mut items, mut last) = (rows.len(), Vec::new(), None);
    for (index, row) in rows.into_iter().enumerate() {
        last = Some(row.clone());
        if wanted(&row) {
            items.push(row);
        }
        if items.len() == limit {
            let more = index + 1 < looked || looked == LOOK;
            return (items, last.filter(|_| more));
        }
    }
    (items, last.filter(|_| looked == LOOK))
}
