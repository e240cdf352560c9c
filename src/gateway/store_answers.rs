//! What came of requests with an `Idempotency-Key`: a row for each, for a day, in the object that answers for them.

use crate::{
    admission::minute_counts::Place,
    audit::By,
    codec::{cbor::Bytes, time::Timestamp},
    credentials::store::BOTH,
    error::Reason,
    object::{
        idempotency::{RetryKey, hex},
        machine::{Range, Turn},
    },
    wire,
};

const ROWS: &str = "once/";
const ANSWERS: &str = "once-answer/";
/// All rows by time. The previous build knows no other index, so every row stands here.
const BY_TIME: &str = "once-at/";
/// Rows by time of one owner: how long it waits for room is not told by another's rows, nor is its own room cleared behind them.
const BY_OWNER: &str = "once-at-";
/// How many rows there are, and how many bytes of answers; of each owner.
const USE: &str = "once-use";

/// A key is remembered for a day.
const SECONDS: u64 = 86_400;

/// Keys that one object remembers: more than one a second, all day.
pub const MAX_ROWS: usize = 100_000;
/// And bytes of their answers: 256 MiB.
pub const MAX_BYTES: usize = 256 << 20;

/// And what the last of them may be above that.
const MARGIN_BYTES: usize = 2 << 20;

/// Rows whose day is over that one request clears away.
const SWEEP_ROWS: usize = 8;
/// And one alarm; it rings this long after the first of them, so that it finds many.
const ALARM_ROWS: usize = 500;
const ALARM_SECONDS: u64 = 3_600;

/// An answer, as whoever repeats the request gets it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

wire!(Answer { status, headers, body });

impl Answer {
    fn bytes(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len());
        headers.fold(self.body.0.len(), usize::saturating_add)
    }
}

/// Why an answer is not there to be repeated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cause {
    /// It was longer than what is kept.
    TooLong,
    /// It broke off before its end.
    BrokeOff,
    /// As much as one credential may have is kept already.
    NoRoom,
}

wire!(enum Cause { 0 TooLong, 1 BrokeOff, 2 NoRoom });

/// A call that is under way.
#[derive(Clone, Debug)]
pub struct RunningCall {
    /// From then on nobody knows any more what came of it.
    pub until: Timestamp,
    /// Who called.
    pub by: By,
    /// The route, as logs and the audit call it.
    pub route: String,
    /// Where it is told that its outcome is unknown.
    pub place: Place,
}

wire!(RunningCall { until, by, route, place });

/// Where a request stands.
#[derive(Clone, Debug)]
pub enum State {
    /// It is under way.
    Running(RunningCall),
    /// Its answer is kept: so many bytes.
    Kept(usize),
    /// It was answered with this status, and the answer is not kept.
    NotKept(u16, Cause),
    /// It went out, and nobody knows what came of it.
    Unknown,
}

wire!(enum State { 0 Running(a), 1 Kept(a), 2 NotKept(a, b), 3 Unknown });

/// One request.
#[derive(Clone, Debug)]
pub struct Row {
    /// The digest of what tells it from another with the same key.
    pub request: [u8; 32],
    /// When it came first.
    pub at: Timestamp,
    /// The attempt that went, by the id of its request.
    pub attempt: String,
    /// Where it stands.
    pub state: State,
    /// Whose room it takes, where several share the object.
    pub owner: Option<String>,
    /// The status of an answer that proved that an attempt did nothing. While the row is [`State::NotKept`] beside it, the key
    /// is free for the same request. The previous build does not know this part: it answers such a row with a conflict, so it
    /// neither repeats the refusal nor makes the call again.
    pub freed: Option<u16>,
}

wire!(Row { request, at, attempt, state, owner, freed });

impl Row {
    /// Whether the same request may go out: what went before was refused, and proven to have done nothing.
    pub fn is_free(&self) -> bool {
        self.freed.is_some() && matches!(self.state, State::NotKept(..))
    }

    /// This row in another state, which no earlier refusal belongs to any more.
    pub(crate) fn in_state(self, state: State) -> Self {
        Self { state, freed: None, ..self }
    }
}

/// The row of a key, if its day is not over; refused where it was used for another request.
pub(crate) fn find(retry: &RetryKey, owner: Option<&str>, turn: &mut Turn) -> Result<Option<Row>, Reason> {
    if let Some(owner) = owner {
        sweep(&by_owner(owner), SWEEP_ROWS, turn)?;
    }
    sweep(BY_TIME, SWEEP_ROWS, turn)?;
    match get(&retry.key, turn)? {
        Some(row) if row.at.plus_seconds(SECONDS) <= turn.at() => remove(&retry.key, &row, turn).map(|()| None),
        Some(row) if row.request != retry.body => Err(Reason::IdempotencyKeyReused),
        found => Ok(found),
    }
}

/// The row of a key, whatever it stands for.
pub(crate) fn get(key: &[u8; 32], turn: &Turn) -> Result<Option<Row>, Reason> {
    turn.get(&format!("{ROWS}{}", hex(key)))
}

/// The answer of a row that has one.
pub(crate) fn answer(key: &[u8; 32], turn: &Turn) -> Result<Answer, Reason> {
    let name = format!("{ANSWERS}{}", hex(key));
    turn.get(&name)?.ok_or(Reason::Unreadable(name))
}

/// Makes the row of a key that has none; refused where there is no room.
pub(crate) fn open(
    retry: &RetryKey,
    attempt: String,
    state: State,
    owner: Option<&str>,
    turn: &mut Turn,
) -> Result<Row, Reason> {
    let (rows, bytes) = used(owner, turn)?;
    if rows >= MAX_ROWS || bytes >= MAX_BYTES {
        return Err(Reason::IdempotencyKeysFull(wait(owner, turn)?));
    }
    let row = Row { request: retry.body, at: turn.at(), attempt, state, owner: owner.map(str::to_owned), freed: None };
    turn.put(use_of(owner), &(rows + 1, bytes));
    index(&retry.key, &row, turn)?;
    put(&retry.key, &row, turn);
    Ok(row)
}

/// The key is free: the attempt was answered with this status, which proves that it did nothing. What its request was is
/// remembered until its day is over.
pub(crate) fn free(key: &[u8; 32], row: Row, status: u16, turn: &mut Turn) {
    put(key, &Row { state: State::NotKept(status, Cause::NoRoom), freed: Some(status), ..row }, turn);
}

/// Another attempt of a request whose key is free. Its day begins anew: what comes of it is remembered for a day.
pub(crate) fn again(key: &[u8; 32], row: Row, attempt: String, state: State, turn: &mut Turn) -> Result<(), Reason> {
    if used(row.owner.as_deref(), turn)?.1 >= MAX_BYTES {
        return Err(Reason::IdempotencyKeysFull(wait(row.owner.as_deref(), turn)?));
    }
    unlist(&hex(key), &row, turn);
    let row = Row { at: turn.at(), attempt, state, ..row };
    index(key, &row, turn)?;
    put(key, &row, turn);
    Ok(())
}

/// So that the row is found when its day is over.
fn index(key: &[u8; 32], row: &Row, turn: &mut Turn) -> Result<(), Reason> {
    let name = hex(key);
    for prefix in prefixes(row) {
        turn.put(by_time(&prefix, &name, row.at), &name);
    }
    turn.wake_at(row.at.plus_seconds(SECONDS + ALARM_SECONDS))
}

fn unlist(name: &str, row: &Row, turn: &mut Turn) {
    for prefix in prefixes(row) {
        turn.delete(by_time(&prefix, name, row.at));
    }
}

/// Stores where a request stands now.
pub(crate) fn put(key: &[u8; 32], row: &Row, turn: &mut Turn) {
    turn.put(format!("{ROWS}{}", hex(key)), row);
}

/// Keeps the answer of a request; what has no room is only known to be answered.
pub(crate) fn keep(key: &[u8; 32], row: Row, answer: &Answer, turn: &mut Turn) -> Result<(), Reason> {
    let (rows, bytes) = used(row.owner.as_deref(), turn)?;
    let all = bytes.saturating_add(answer.bytes());
    let state = if all > MAX_BYTES + MARGIN_BYTES {
        State::NotKept(answer.status, Cause::NoRoom)
    } else {
        turn.put(use_of(row.owner.as_deref()), &(rows, all));
        turn.put(format!("{ANSWERS}{}", hex(key)), answer);
        State::Kept(answer.bytes())
    };
    put(key, &row.in_state(state), turn);
    Ok(())
}

/// Forgets a request, as if it had never come.
pub(crate) fn remove(key: &[u8; 32], row: &Row, turn: &mut Turn) -> Result<(), Reason> {
    forget(&hex(key), row, turn)
}

/// The alarm rang: clears away what is over, and asks for the next one where anything is left.
pub(crate) fn wake(turn: &mut Turn) -> Result<(), Reason> {
    for environment in BOTH {
        sweep(&by_owner(environment.as_str()), ALARM_ROWS, turn)?;
    }
    match sweep(BY_TIME, ALARM_ROWS, turn)? {
        Some(first) => turn.wake_at(first.plus_seconds(SECONDS + ALARM_SECONDS).max(turn.at().plus_seconds(1))),
        None => Ok(()),
    }
}

/// Clears away at most so many rows whose day is over. When the first one came that is left.
fn sweep(prefix: &str, limit: usize, turn: &mut Turn) -> Result<Option<Timestamp>, Reason> {
    let range = Range { prefix, after: None, reverse: false, limit: limit + 1 };
    for (number, (index, name)) in turn.list_readable::<String>(&range)?.into_iter().enumerate() {
        let at = moment(&index);
        if number == limit || at.plus_seconds(SECONDS) > turn.at() {
            return Ok(Some(at));
        }
        match turn.get::<Row>(&format!("{ROWS}{name}")) {
            // One that cannot be read stands for nothing, and must not hold up all others.
            Err(Reason::Unreadable(_)) => turn.delete(format!("{ROWS}{name}")),
            row => match row? {
                Some(row) if row.at == at => forget(&name, &row, turn)?,
                _ => {}
            },
        }
        turn.delete(index);
    }
    Ok(None)
}

fn forget(name: &str, row: &Row, turn: &mut Turn) -> Result<(), Reason> {
    let (rows, bytes) = used(row.owner.as_deref(), turn)?;
    let own = if let State::Kept(bytes) = row.state { bytes } else { 0 };
    turn.put(use_of(row.owner.as_deref()), &(rows.saturating_sub(1), bytes.saturating_sub(own)));
    turn.delete(format!("{ROWS}{name}"));
    turn.delete(format!("{ANSWERS}{name}"));
    unlist(name, row, turn);
    Ok(())
}

fn used(owner: Option<&str>, turn: &Turn) -> Result<(usize, usize), Reason> {
    Ok(turn.get(&use_of(owner))?.unwrap_or_default())
}

fn use_of(owner: Option<&str>) -> String {
    owner.map_or_else(|| USE.to_owned(), |owner| format!("{USE}/{owner}"))
}

/// Milliseconds until the first day of this owner's rows is over; where all of them are of an earlier build, of all rows.
fn wait(owner: Option<&str>, turn: &Turn) -> Result<u64, Reason> {
    let own = owner.map(by_owner);
    for prefix in own.iter().map(String::as_str).chain([BY_TIME]) {
        let first = turn.list_keys(&Range { prefix, after: None, reverse: false, limit: 1 })?;
        if let Some(index) = first.first() {
            return Ok(moment(index).plus_seconds(SECONDS).millis_since(turn.at()));
        }
    }
    Ok(1_000)
}

/// Where a row is listed.
fn prefixes(row: &Row) -> impl Iterator<Item = String> {
    [BY_TIME.to_owned()].into_iter().chain(row.owner.as_deref().map(by_owner))
}

fn by_owner(owner: &str) -> String {
    format!("{BY_OWNER}{owner}/")
}

fn by_time(prefix: &str, name: &str, at: Timestamp) -> String {
    format!("{prefix}{:015}/{name}", at.0)
}

/// The moment in the key of a row by time.
fn moment(index: &str) -> Timestamp {
    let digits = index.split('/').nth(1);
    Timestamp(digits.and_then(|digits| digits.parse().ok()).unwrap_or_default())
}
