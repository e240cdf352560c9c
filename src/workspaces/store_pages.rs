//! Pages of what a workspace knows, newest first, and what it is told of conversations. A page of one environment reads no row of the
//! other: each has an index of its own.

use crate::{
    codec::time::Timestamp,
    credentials::{store::BOTH, store_pages::LOOK},
    error::Reason,
    machines::workspace::{self, CONVERSATIONS, ConversationNote, ListCredentials, Reply},
    object::machine::{Range, Turn},
    protocol::credential_record::CredentialRecord,
    value::id::{ConversationId, CredentialId, Environment},
    wire,
};

/// Ids of conversations, by environment.
const BY_ENVIRONMENT: &str = "conversation-of/";
/// How far the rows of an earlier version are in that index.
const INDEX: &str = "conversation-index";

/// Rows of an earlier version that one turn puts into the index.
const INDEXED_ROWS: usize = 250;
/// While a deployment goes out, an earlier version may note conversations for so long, and keeps no index: a day.
const ROLLING_SECONDS: u64 = 86_400;

/// How far the index is.
#[derive(Default)]
struct Index {
    /// The last row that was put into it; none once all are.
    indexed: Option<String>,
    /// When all rows are looked through once more.
    again: Option<Timestamp>,
}

wire!(Index { indexed, again });

/// Credentials, newest first.
pub fn credentials(list: ListCredentials, turn: &Turn) -> Result<Reply, Reason> {
    let ListCredentials { status, after, limit, kind, environment, is_plain } = list;
    let at = turn.at();
    let wanted = |record: &CredentialRecord| {
        status.as_deref().is_none_or(|status| record.status(at).as_str() == status)
            && kind.is_none_or(|kind| record.kind() == kind)
            && environment.is_none_or(|environment| record.environment == environment)
    };
    // A cursor of an earlier version: the caller may have made it up.
    if let Some(id) = after.as_ref().filter(|_| is_plain == Some(true)) {
        let known = workspace::find(id, turn).ok();
        known.filter(|record| environment.is_none_or(|own| record.environment == own)).ok_or_else(stale_cursor)?;
    }
    let environments = environment.as_ref().map_or(&BOTH[..], std::slice::from_ref);
    let (items, next) = workspace::ROOM.page(environments, after, limit, turn, wanted)?;
    Ok(Reply::Credentials(items, next))
}

/// Why a cursor opens no page.
pub fn stale_cursor() -> Reason {
    Reason::invalid(
        "cursor",
        "Use next_cursor of the page before with the same parameters, or begin anew without a cursor.",
    )
}

/// Conversations, newest first.
pub fn conversations(
    environment: Option<Environment>,
    after: Option<ConversationId>,
    limit: usize,
    is_plain: bool,
    turn: &mut Turn,
) -> Result<Reply, Reason> {
    let wanted = |note: &ConversationNote| environment.is_none_or(|environment| note.environment == environment);
    if let Some(id) = after.as_ref().filter(|_| is_plain) {
        let known = turn.get::<ConversationNote>(&row(id)).ok().flatten();
        known.filter(wanted).ok_or_else(stale_cursor)?;
    }
    let environments = environment.as_ref().map_or(&BOTH[..], std::slice::from_ref);
    let mut notes = Vec::new();
    for environment in environments {
        let prefix = format!("{BY_ENVIRONMENT}{}/", environment.as_str());
        let after = after.as_ref().map(|id| format!("{prefix}{id}"));
        let range = Range { prefix: &prefix, after: after.as_deref(), reverse: true, limit: limit + 1 };
        for (_, id) in turn.list_readable::<ConversationId>(&range)? {
            notes.extend(turn.get::<ConversationNote>(&row(&id)).ok().flatten());
        }
    }
    let rolling = index(turn)?;
    let mut beyond = None;
    if rolling.indexed.is_some() || rolling.again.is_some() {
        // Not all of them are in the index.
        let after = after.as_ref().map(row);
        let range = Range { prefix: CONVERSATIONS, after: after.as_deref(), reverse: true, limit: LOOK };
        let rows = turn.list_readable::<ConversationNote>(&range)?;
        beyond = rows.last().filter(|_| rows.len() == LOOK).map(|(_, note)| note.id.clone());
        notes.retain(|note| beyond.as_ref().is_none_or(|last| note.id >= *last));
        notes.extend(rows.into_iter().map(|(_, note)| note).filter(wanted));
    }
    notes.sort_by(|one, other| other.id.cmp(&one.id));
    notes.dedup_by(|one, other| one.id == other.id);
    let more = notes.len() > limit;
    notes.truncate(limit);
    let shown = notes.last().map(|note| note.id.clone());
    let next = match beyond.and_then(|last| last.of_its_moment()) {
        _ if more => shown,
        // Where none of those that were looked at may be named, their moment is.
        Some(moment) => Some(shown.filter(|shown| *shown < moment).unwrap_or(moment)),
        None => None,
    };
    Ok(Reply::Conversations(notes, next))
}

/// How far the index is; begun where it was not.
fn index(turn: &mut Turn) -> Result<Index, Reason> {
    if let Some(index) = turn.get::<Index>(INDEX)? {
        return Ok(index);
    }
    let again = Some(turn.at().plus_seconds(ROLLING_SECONDS));
    let index = Index { indexed: Some(CONVERSATIONS.to_owned()), again };
    turn.put(INDEX, &index);
    turn.wake_at(turn.at())?;
    Ok(index)
}

/// A workspace begins: there is no conversation yet.
pub fn begin(turn: &mut Turn) {
    turn.put(INDEX, &Index::default());
}

/// The alarm rang: puts some more rows of an earlier version into the index.
pub fn wake(turn: &mut Turn) -> Result<(), Reason> {
    let mut index = index(turn)?;
    if index.indexed.is_none() && index.again.is_some_and(|again| again <= turn.at()) {
        index = Index { indexed: Some(CONVERSATIONS.to_owned()), again: None };
    }
    let Some(from) = index.indexed.take() else {
        return index.again.map_or(Ok(()), |again| turn.wake_at(again));
    };
    let range = Range { prefix: CONVERSATIONS, after: Some(&from), reverse: false, limit: INDEXED_ROWS };
    let mut keys = turn.list_keys(&range)?;
    for key in &keys {
        if let Ok(Some(note)) = turn.get::<ConversationNote>(key) {
            turn.put(by_environment(&note), &note.id);
        }
    }
    index.indexed = keys.pop().filter(|_| keys.len() + 1 >= INDEXED_ROWS);
    turn.put(INDEX, &index);
    match (&index.indexed, index.again) {
        (Some(_), _) => turn.wake_at(turn.at()),
        (None, Some(again)) => turn.wake_at(again),
        (None, None) => Ok(()),
    }
}

/// A conversation began, or changed its state.
pub fn note(note: ConversationNote, turn: &mut Turn) -> Result<Reply, Reason> {
    let key = row(&note.id);
    let known: Option<ConversationNote> = turn.get(&key)?;
    let wrote = known.as_ref().and_then(|known| known.last_message_at);
    if known.is_none() {
        turn.put(by_environment(&note), &note.id);
    }
    if known.is_none_or(|known| known.version < note.version) {
        turn.put(key, &ConversationNote { last_message_at: note.last_message_at.max(wrote), ..note });
    }
    Ok(Reply::Done)
}

/// A conversation is gone. Whether it stood in the list: a message that comes twice finds it there once.
pub fn forget(id: &ConversationId, turn: &mut Turn) -> Result<bool, Reason> {
    let key = row(id);
    let is_listed = turn.has(&key)?;
    turn.delete(key);
    for environment in BOTH {
        turn.delete(format!("{BY_ENVIRONMENT}{}/{id}", environment.as_str()));
    }
    Ok(is_listed)
}

/// The environment of a credential of this workspace, by how the audit names it: `<kind>:<id>`, or `history_secret:<conversation>`.
pub fn environment_of(actor: &str, turn: &Turn) -> Option<Environment> {
    let (_, id) = actor.split_once(':')?;
    if let Ok(id) = CredentialId::try_from(id.to_owned()) {
        return workspace::find(&id, turn).ok().map(|record| record.environment);
    }
    let id = ConversationId::try_from(id.to_owned()).ok()?;
    turn.get::<ConversationNote>(&row(&id)).ok()?.map(|note| note.environment)
}

/// Visitors wrote in these conversations.
pub fn note_writers(wrote: Vec<(ConversationId, Timestamp)>, turn: &mut Turn) -> Result<Reply, Reason> {
    for (id, at) in wrote {
        let key = row(&id);
        // One that is not listed yet will be, with the moment of its own latest message.
        let known = turn.get::<ConversationNote>(&key)?;
        if let Some(known) = known.filter(|known| known.status == "open" && known.last_message_at < Some(at)) {
            turn.put(key, &ConversationNote { last_message_at: Some(at), ..known });
        }
    }
    Ok(Reply::Done)
}

fn row(id: &ConversationId) -> String {
    format!("{CONVERSATIONS}{id}")
}

fn by_environment(note: &ConversationNote) -> String {
    format!("{BY_ENVIRONMENT}{}/{}", note.environment.as_str(), note.id)
}
