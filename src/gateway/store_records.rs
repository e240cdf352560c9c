//! The embedded records of a workspace: JSON documents in collections, live and test apart. A write and what an
//! `Idempotency-Key` remembers of it are one transaction.

pub use super::store_record_room::{MAX_BYTES, MAX_RECORDS};

use super::store_answers::{Answer, State};
use crate::{
    audit::By,
    codec::{cbor::Bytes, time::Timestamp},
    error::Reason,
    gateway,
    object::{
        idempotency::RetryKey,
        machine::{Range, Turn, next},
    },
    protocol::record_name::{Collection, RecordId},
    value::id::Environment,
    wire,
};

pub(crate) const RECORDS: &str = "record/";
/// The id of a record, by when that was made: what a page is read from.
const BY_TIME: &str = "record-at/";

/// A page ends before its documents are longer than this, however few they are: 1 MiB.
const MAX_PAGE_BYTES: usize = 1 << 20;

/// Where documents are.
#[derive(Clone, Debug)]
pub struct Place {
    /// Live or test data.
    pub environment: Environment,
    /// The collection.
    pub collection: Collection,
}

wire!(Place { environment, collection });

/// A document.
#[derive(Clone, Debug)]
pub struct Record {
    /// Which one.
    pub id: RecordId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// From 1; grows with every change.
    pub version: u64,
    /// The members that were sent, as JSON, without braces.
    pub text: String,
    /// Which of all that were ever made: a moment may have seen two of one id.
    pub serial: Option<u64>,
}

wire!(Record { id, created_at, updated_at, version, text, serial });

/// The members that a document has from here; what is sent under these names is not looked at.
pub const OURS: [&str; 4] = ["id", "created_at", "updated_at", "version"];

impl Record {
    /// As it is shown.
    pub fn json(&self) -> String {
        let (created, updated) = (self.created_at.rfc3339(), self.updated_at.rfc3339());
        let comma = if self.text.is_empty() { "" } else { "," };
        format!(
            "{{\"id\":\"{}\",\"created_at\":\"{created}\",\"updated_at\":\"{updated}\",\"version\":{}{comma}{}}}",
            self.id.as_str(),
            self.version,
            self.text
        )
    }

    /// Its entity tag (RFC 9110 §8.8.3): one that was deleted and made anew has another.
    pub fn etag(&self) -> String {
        format!("\"{}-{}-{}\"", self.created_at.0, self.serial.unwrap_or_default(), self.version)
    }
}

/// What must be there for a write to be done.
#[derive(Clone, Debug)]
pub enum Expects {
    /// Whatever there is.
    Anything,
    /// No record.
    Nothing,
    /// Some record.
    Something,
    /// A record of one of these entity tags.
    OneOf(Vec<String>),
}

wire!(enum Expects { 0 Anything, 1 Nothing, 2 Something, 3 OneOf(a) });

/// What the object can be asked.
pub enum Command {
    /// One record.
    Read(Place, RecordId),
    /// Records, newest first; behind this one; at most so many.
    List(Place, Option<(Timestamp, RecordId)>, usize),
    /// Make a record, replace or delete one.
    Write(Box<Write>),
}

wire!(enum Command { 0 Read(a, b), 1 List(a, b, c), 2 Write(a) });

/// A write.
pub struct Write {
    /// Where.
    pub place: Place,
    /// Which record.
    pub id: RecordId,
    /// Its members; none: it is deleted.
    pub text: Option<String>,
    /// What must be there.
    pub expects: Expects,
    /// The `Idempotency-Key`, if there was one.
    pub retry: Option<RetryKey>,
    /// Who writes.
    pub by: By,
}

wire!(Write { place, id, text, expects, retry, by });

/// What the object answers.
pub enum Reply {
    /// One record.
    One(Record),
    /// Records, and whether there are more.
    Page(Vec<Record>, bool),
    /// To a write; and whether that was done before.
    Written(Answer, bool),
}

wire!(enum Reply { 0 One(a), 1 Page(a, b), 2 Written(a, b) });

/// Decides.
pub(crate) fn handle(command: Command, turn: &mut Turn) -> Result<Reply, Reason> {
    match command {
        Command::Read(place, id) => turn.get(&key(&place, &id))?.map(Reply::One).ok_or(Reason::NotFound),
        Command::List(place, after, limit) => list(&place, after, limit, turn),
        Command::Write(write) => self::write(*write, turn),
    }
}

fn list(place: &Place, after: Option<(Timestamp, RecordId)>, limit: usize, turn: &mut Turn) -> Result<Reply, Reason> {
    let prefix = format!("{BY_TIME}{}/{}/", place.environment.as_str(), place.collection.as_str());
    let after = after.map(|(at, id)| by_time(place, at, &id));
    let range = Range { prefix: &prefix, after: after.as_deref(), reverse: true, limit: limit + 1 };
    let found = turn.list::<RecordId>(&range)?;
    let (mut records, mut bytes) = (Vec::new(), 0);
    for (_, id) in found.iter().take(limit) {
        let name = key(place, id);
        let record: Record = turn.get(&name)?.ok_or(Reason::Unreadable(name))?;
        bytes += record.text.len();
        if bytes > MAX_PAGE_BYTES && !records.is_empty() {
            break;
        }
        records.push(record);
    }
    let more = records.len() < found.len();
    Ok(Reply::Page(records, more))
}

fn write(write: Write, turn: &mut Turn) -> Result<Reply, Reason> {
    let Write { place, id, text, expects, retry, by } = write;
    if let Some(retry) = &retry
        && gateway::store_answers::find(retry, Some(place.environment.as_str()), turn)?.is_some()
    {
        return Ok(Reply::Written(gateway::store_answers::answer(&retry.key, turn)?, true));
    }
    let known: Option<Record> = turn.get(&key(&place, &id))?;
    expects.of(known.as_ref())?;
    let answer = match text {
        Some(text) => put(&place, id, text, known, turn)?,
        None => delete(&place, &known.ok_or(Reason::NotFound)?, turn)?,
    };
    if let Some(retry) = &retry {
        // What is for trying things out takes no room of what is live.
        let row =
            gateway::store_answers::open(retry, by.request_id, State::Unknown, Some(place.environment.as_str()), turn)?;
        gateway::store_answers::keep(&retry.key, row, &answer, turn)?;
    }
    Ok(Reply::Written(answer, false))
}

fn put(place: &Place, id: RecordId, text: String, known: Option<Record>, turn: &mut Turn) -> Result<Answer, Reason> {
    let at = turn.at();
    let goes = known.as_ref().map(|known| known.text.len());
    gateway::store_record_room::change(place.environment, &key(place, &id), goes, Some(text.len()), turn)?;
    let status = if known.is_some() { 200 } else { 201 };
    let (created_at, version, serial) = match known {
        Some(known) => (known.created_at, known.version, known.serial),
        None => (at, 0, Some(gateway::store_record_room::serial(place.environment, turn)?)),
    };
    let record = Record { id, created_at, updated_at: at, version: next(version)?, text, serial };
    turn.put(by_time(place, record.created_at, &record.id), &record.id);
    turn.put(key(place, &record.id), &record);
    let headers = vec![("etag".to_owned(), record.etag())];
    Ok(Answer { status, headers, body: Bytes(record.json().into_bytes()) })
}

fn delete(place: &Place, known: &Record, turn: &mut Turn) -> Result<Answer, Reason> {
    gateway::store_record_room::change(place.environment, &key(place, &known.id), Some(known.text.len()), None, turn)?;
    turn.delete(by_time(place, known.created_at, &known.id));
    turn.delete(key(place, &known.id));
    Ok(Answer { status: 204, headers: Vec::new(), body: Bytes::default() })
}

impl Expects {
    fn of(&self, known: Option<&Record>) -> Result<(), Reason> {
        let unlike = |why: &str| Err(Reason::Conflict(why.to_owned()));
        match (self, known) {
            (Self::Nothing, Some(_)) => unlike("There is a record with this id already."),
            (Self::Something | Self::OneOf(_), None) => unlike("There is no such record any more."),
            (Self::OneOf(tags), Some(known)) if !tags.contains(&known.etag()) => {
                unlike("This record was changed meanwhile: its ETag is another now.")
            }
            _ => Ok(()),
        }
    }
}

fn key(place: &Place, id: &RecordId) -> String {
    format!("{RECORDS}{}/{}/{}", place.environment.as_str(), place.collection.as_str(), id.as_str())
}

fn by_time(place: &Place, at: Timestamp, id: &RecordId) -> String {
    format!("{BY_TIME}{}/{}/{:015}/{}", place.environment.as_str(), place.collection.as_str(), at.0, id.as_str())
}
