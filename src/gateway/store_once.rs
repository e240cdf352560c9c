//! Calls to the upstream that came with an `Idempotency-Key`, in the object of the credential that made them: each goes out
//! once. A call whose outcome nobody knows is recorded as that, and never made again here.

use super::store_answers::{Answer, Cause, Row, RunningCall, State};
use crate::{
    admission::{
        minute_counts::{self, Place},
        server_key::{KEY, KeyRecord},
    },
    audit::{Act, By, Entry},
    codec::time::Timestamp,
    error::Reason,
    gateway,
    machines::credential::REVOKED,
    object::{
        idempotency::{RetryKey, hex},
        machine::{Range, Turn},
    },
    wire,
};

const LEASES: &str = "once-lease/";

/// After so long a call that has not ended is lost: the longest that an upstream may take to answer is ten minutes.
pub const LEASE_SECONDS: u64 = 660;

/// Calls that one alarm gives up; and that the next call does where the alarm did not ring.
const LEASES_AT_ONCE: usize = 100;
const LEASES_BESIDE: usize = 4;

/// What the object can be asked.
pub enum Command {
    /// May this call go out?
    Begin(Begin),
    /// What came of the attempt of this name, with the key of this digest. Beside [`Outcome::Nothing`], the status of an answer
    /// that proves it; none: nothing went out. The previous build does not know that part, and frees the key either way.
    End([u8; 32], String, Outcome, Option<u16>),
}

wire!(enum Command { 0 Begin(a), 1 End(a, b, c, d) });

/// A call that is about to go out.
pub struct Begin {
    /// What tells it from others.
    pub retry: RetryKey,
    /// Who calls; the request's id is the name of the attempt.
    pub by: By,
    /// The route, as logs and the audit call it.
    pub route: String,
    /// Where it is told that its outcome is unknown.
    pub place: Place,
}

wire!(Begin { retry, by, route, place });

/// How an attempt ended.
#[derive(Clone)]
pub enum Outcome {
    /// The upstream answered.
    Answered(Answer),
    /// It answered with this status, and the answer is not kept.
    NotKept(u16, Cause),
    /// The call went out, and no answer came.
    Lost,
    /// Nothing was done.
    Nothing,
}

wire!(enum Outcome { 0 Answered(a), 1 NotKept(a, b), 2 Lost, 3 Nothing });

/// What the object answers.
pub enum Reply {
    /// It goes out now, and nobody else's.
    Go,
    /// It went before: this came of it.
    Replay(Answer),
    /// It does not go.
    Refused(Reason),
    /// Done.
    Done,
}

wire!(enum Reply { 0 Go, 1 Replay(a), 2 Refused(a), 3 Done });

/// Decides.
pub(crate) fn handle(command: Command, turn: &mut Turn) -> Result<Reply, Reason> {
    match command {
        Command::Begin(begin) => self::begin(begin, turn),
        Command::End(key, attempt, outcome, refused) => {
            end(&key, &attempt, outcome, refused, turn).map(|()| Reply::Done)
        }
    }
}

fn begin(begin: Begin, turn: &mut Turn) -> Result<Reply, Reason> {
    // It was admitted a moment ago: what is stored here is later than that.
    if turn.get::<Timestamp>(REVOKED)?.is_some() || turn.get::<KeyRecord>(KEY)?.is_some_and(|key| key.revoked) {
        return Err(Reason::CredentialRevoked);
    }
    give_up(LEASES_BESIDE, turn)?;
    let Begin { retry, by, route, place } = begin;
    let row = match gateway::store_answers::find(&retry, None, turn)? {
        Some(row) if !row.is_free() => row,
        found => {
            let until = turn.at().plus_seconds(LEASE_SECONDS);
            let attempt = by.request_id.clone();
            let running = State::Running(RunningCall { until, by, route, place });
            match found {
                Some(free) => gateway::store_answers::again(&retry.key, free, attempt, running, turn)?,
                None => gateway::store_answers::open(&retry, attempt, running, None, turn).map(drop)?,
            }
            turn.put(lease(&retry.key, until), &retry.key);
            turn.wake_at(until)?;
            return Ok(Reply::Go);
        }
    };
    match row.state {
        State::Running(ref call) if call.until <= turn.at() => {
            lose(&retry.key, row, turn)?;
            Ok(Reply::Refused(Reason::UpstreamLost))
        }
        // Not as errors, which change nothing: others may have been given up beside it.
        State::Running(_) => Ok(Reply::Refused(Reason::IdempotencyInProgress)),
        State::Unknown => Ok(Reply::Refused(Reason::UpstreamLost)),
        State::NotKept(status, cause) => Ok(Reply::Refused(Reason::Conflict(why(status, cause)))),
        State::Kept(_) => gateway::store_answers::answer(&retry.key, turn).map(Reply::Replay),
    }
}

/// What became of an attempt. It may be told twice, or after it was given up: an answer that comes late is still the answer.
fn end(key: &[u8; 32], attempt: &str, outcome: Outcome, refused: Option<u16>, turn: &mut Turn) -> Result<(), Reason> {
    let Some(row) = gateway::store_answers::get(key, turn)?.filter(|row| row.attempt == attempt) else { return Ok(()) };
    let is_running = match &row.state {
        State::Running(call) => {
            turn.delete(lease(key, call.until));
            true
        }
        State::Unknown => false,
        State::Kept(_) | State::NotKept(..) => return Ok(()),
    };
    match outcome {
        Outcome::Answered(answer) => gateway::store_answers::keep(key, row, &answer, turn)?,
        Outcome::NotKept(status, cause) => {
            gateway::store_answers::put(key, &row.in_state(State::NotKept(status, cause)), turn)
        }
        Outcome::Lost if is_running => lose(key, row, turn)?,
        // Also of an attempt that was given up: the proof came late, and is one all the same.
        Outcome::Nothing => match refused.or(row.freed) {
            Some(status) => gateway::store_answers::free(key, row, status, turn),
            None if is_running => gateway::store_answers::remove(key, &row, turn)?,
            None => {}
        },
        Outcome::Lost => {}
    }
    Ok(())
}

/// Nobody knows what came of it: stored, and told to the audit.
fn lose(key: &[u8; 32], row: Row, turn: &mut Turn) -> Result<(), Reason> {
    if let State::Running(RunningCall { until, by, route, place }) = row.state.clone() {
        turn.delete(lease(key, until));
        let entry = Entry::done(Act::UpstreamUnknown, by, &route, row.at);
        minute_counts::tell(place, Entry { outcome: "unknown".to_owned(), ..entry }, turn)?;
    }
    gateway::store_answers::put(key, &row.in_state(State::Unknown), turn);
    Ok(())
}

/// The alarm rang: gives up what has been under way for too long, and clears away what is over.
pub(crate) fn wake(turn: &mut Turn) -> Result<(), Reason> {
    if let Some(until) = give_up(LEASES_AT_ONCE, turn)? {
        turn.wake_at(until.max(turn.at().plus_seconds(1)))?;
    }
    gateway::store_answers::wake(turn)
}

/// Gives up at most so many calls that have been under way for too long. When that is due of the next one.
fn give_up(limit: usize, turn: &mut Turn) -> Result<Option<Timestamp>, Reason> {
    let range = Range { prefix: LEASES, after: None, reverse: false, limit: limit + 1 };
    for (number, (index, key)) in turn.list_readable::<[u8; 32]>(&range)?.into_iter().enumerate() {
        if number == limit {
            return Ok(Some(turn.at()));
        }
        let row = match gateway::store_answers::get(&key, turn) {
            // One that cannot be read stays closed, and must not hold up all others.
            Err(Reason::Unreadable(_)) => None,
            row => row?,
        };
        match row {
            Some(Row { state: State::Running(RunningCall { until, .. }), .. }) if until > turn.at() => {
                return Ok(Some(until));
            }
            Some(row @ Row { state: State::Running(_), .. }) => lose(&key, row, turn)?,
            _ => turn.delete(index),
        }
    }
    Ok(None)
}

fn lease(key: &[u8; 32], until: Timestamp) -> String {
    format!("{LEASES}{:015}/{}", until.0, hex(key))
}

/// Why an answer cannot be repeated, for people.
fn why(status: u16, cause: Cause) -> String {
    let cause = match cause {
        Cause::TooLong => "was too long to be kept",
        Cause::BrokeOff => "broke off before its end",
        Cause::NoRoom => "found no room to be kept",
    };
    format!("A request with this Idempotency-Key was answered with status {status}, and that answer {cause}.")
}
