//! The room of the embedded records: how many of them each environment has, and how many bytes. `test` records take none of the room of
//! `live` ones.
//!
//! Earlier versions know one number for both, which is kept beside. Where it is not the one that was written here last, the `test` records
//! are counted, some at a time; all others are `live`.

use super::store_records::Record;
use crate::{
    error::Reason,
    object::machine::{Range, Turn, next},
    value::id::Environment,
    wire,
};

/// How many records there are in all, and how many bytes of documents.
const TOTAL: &str = "record-use";
/// How many of them are `test`.
const OF_TEST: &str = "record-use-test";
/// How many records were ever made in all, as earlier versions count them; and in each environment.
const SERIAL: &str = "record-serial";

/// Records that each environment of a workspace has room for, and bytes of their documents: 1 GiB.
pub const MAX_RECORDS: usize = 100_000;
/// See above.
pub const MAX_BYTES: usize = 1 << 30;

/// Rows of an earlier version that one turn counts: each may have 1 MiB.
const COUNTED_ROWS: usize = 16;

/// How much of the room is `test`.
#[derive(Default)]
struct Room {
    test: (usize, usize),
    /// The total that was written with it.
    total: (usize, usize),
    /// The last row that was counted; none once all were.
    counted: Option<String>,
}

wire!(Room { test, total, counted });

impl Room {
    fn of(turn: &Turn) -> Result<Self, Reason> {
        let total = turn.get::<(usize, usize)>(TOTAL)?.unwrap_or_default();
        let known = turn.get::<Self>(OF_TEST)?.filter(|room| room.total == total);
        Ok(known.unwrap_or_else(|| Self { total, counted: Some(rows_of_test()), ..Self::default() }))
    }

    fn put(&self, turn: &mut Turn) {
        turn.put(TOTAL, &self.total);
        turn.put(OF_TEST, self);
    }

    /// Counts some rows of an earlier version, if there are any.
    fn count(turn: &mut Turn) -> Result<Self, Reason> {
        let mut room = Self::of(turn)?;
        let Some(counted) = room.counted.take() else { return Ok(room) };
        let prefix = rows_of_test();
        let range = Range { prefix: &prefix, after: Some(&counted), reverse: false, limit: COUNTED_ROWS };
        let rows = turn.list_readable::<Record>(&range)?;
        room.test = rows.iter().fold(room.test, |(count, bytes), (_, record)| (count + 1, bytes + record.text.len()));
        room.counted = rows.into_iter().last().map(|(key, _)| key);
        if room.counted.is_some() {
            turn.wake_at(turn.at())?;
        }
        room.put(turn);
        Ok(room)
    }
}

/// Nothing is here yet.
pub(crate) fn begin(turn: &mut Turn) {
    turn.put(OF_TEST, &Room::default());
}

/// The alarm rang: goes on counting.
pub(crate) fn wake(turn: &mut Turn) -> Result<(), Reason> {
    Room::count(turn).map(|_| ())
}

/// A document comes into the row `row`, another one goes: each by its length. Refused where its environment has no room.
pub(crate) fn change(
    environment: Environment,
    row: &str,
    goes: Option<usize>,
    comes: Option<usize>,
    turn: &mut Turn,
) -> Result<(), Reason> {
    let mut room = Room::count(turn)?;
    let changed = |(count, bytes): (usize, usize)| {
        let count = (count + usize::from(comes.is_some())).saturating_sub(usize::from(goes.is_some()));
        (count, bytes.saturating_add(comes.unwrap_or_default()).saturating_sub(goes.unwrap_or_default()))
    };
    room.total = changed(room.total);
    // A row beyond those that were counted will be.
    if environment == Environment::Test && room.counted.as_ref().is_none_or(|counted| row <= counted.as_str()) {
        room.test = changed(room.test);
    }
    let (count, bytes) = match (environment, &room.counted) {
        (Environment::Test, None) => room.test,
        (Environment::Live, None) => {
            (room.total.0.saturating_sub(room.test.0), room.total.1.saturating_sub(room.test.1))
        }
        // Nobody knows yet whose they are: there is room for both.
        (_, Some(_)) => (room.total.0 / 2, room.total.1 / 2),
    };
    let is_more = comes > goes;
    if is_more && (goes.is_none() && count > MAX_RECORDS || bytes > MAX_BYTES) {
        return Err(Reason::Conflict(format!(
            "This workspace has no room for more `{}` records: delete some first.",
            environment.as_str()
        )));
    }
    room.put(turn);
    Ok(())
}

/// The number of the next record of this environment.
pub(crate) fn serial(environment: Environment, turn: &mut Turn) -> Result<u64, Reason> {
    let row = |environment: Environment| format!("{SERIAL}/{}", environment.as_str());
    let all = turn.get::<u64>(SERIAL)?.unwrap_or_default();
    let own = match turn.get::<u64>(&row(environment))? {
        Some(own) => own,
        // Both go on from where an earlier version stood, and then apart.
        None => {
            turn.put(row(Environment::Live), &all);
            turn.put(row(Environment::Test), &all);
            all
        }
    };
    let serial = next(own)?;
    turn.put(row(environment), &serial);
    turn.put(SERIAL, &all.max(serial));
    Ok(serial)
}

fn rows_of_test() -> String {
    format!("{}{}/", super::store_records::RECORDS, Environment::Test.as_str())
}
