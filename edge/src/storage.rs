//! An object's storage: rows in SQLite, read one by one and written in one synchronous transaction.

use crate::{
    codec::time::Timestamp,
    error::Reason,
    object::machine::{Changes, Range, Rows},
};
use js_sys::Uint8Array;
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

#[wasm_bindgen]
extern "C" {
    /// `Rows` of `object.js`.
    pub type Storage;
    #[wasm_bindgen(method, getter)]
    fn kv(this: &Storage) -> Kv;
    #[wasm_bindgen(method, getter)]
    fn storage(this: &Storage) -> Platform;
    #[wasm_bindgen(method, catch)]
    fn list(this: &Storage, prefix: &str, after: Option<&str>, reverse: bool, limit: u32) -> Result<Vec<u8>, JsValue>;

    /// `ctx.storage.kv`: synchronous, ordered by key.
    type Kv;
    #[wasm_bindgen(method, catch)]
    fn get(this: &Kv, key: &str) -> Result<Option<Vec<u8>>, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn put(this: &Kv, key: &str, value: Uint8Array) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch)]
    fn delete(this: &Kv, key: &str) -> Result<JsValue, JsValue>;

    /// `ctx.storage`.
    type Platform;
    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    fn transaction_sync(this: &Platform, write: &mut dyn FnMut() -> Result<(), JsValue>) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch, js_name = setAlarm)]
    fn set_alarm(this: &Platform, moment: f64) -> Result<JsValue, JsValue>;
}

/// The rows of one object.
pub struct Stored {
    lists: Storage,
    platform: Platform,
    kv: Kv,
    #[cfg(feature = "faults")]
    fails_half_way: std::cell::Cell<bool>,
    #[cfg(feature = "faults")]
    dead_until: std::cell::Cell<f64>,
}

impl Stored {
    /// The rows in `storage`.
    pub fn new(storage: Storage) -> Self {
        Self {
            kv: storage.kv(),
            platform: storage.storage(),
            lists: storage,
            #[cfg(feature = "faults")]
            fails_half_way: std::cell::Cell::new(false),
            #[cfg(feature = "faults")]
            dead_until: std::cell::Cell::new(0.0),
        }
    }

    /// Only in the module that the tests build to fail: the next commit throws after its first row.
    #[cfg(feature = "faults")]
    pub fn fail_half_way(&self, fails: bool) {
        self.fails_half_way.set(fails);
    }

    /// Only in the module that the tests build to fail: from now on no command is answered, for eight seconds.
    #[cfg(feature = "faults")]
    pub fn die(&self, now: f64) {
        self.dead_until.set(now + 8_000.0);
    }

    /// Whether it still does not answer.
    #[cfg(feature = "faults")]
    pub fn is_dead(&self, now: f64) -> bool {
        now < self.dead_until.get()
    }

    /// Writes all changes, or none: a throw in the middle rolls the transaction back.
    pub fn commit(&self, changes: &Changes) -> Result<(), Reason> {
        if changes.rows.is_empty() {
            return Ok(());
        }
        let mut write = || {
            for (key, value) in &changes.rows {
                match value {
                    // A copy: the platform would store all memory behind a view.
                    Some(value) => self.kv.put(key, Uint8Array::from(value.as_slice()))?,
                    None => self.kv.delete(key).map(drop)?,
                }
                #[cfg(feature = "faults")]
                if self.fails_half_way.get() {
                    return Err(JsValue::from_str("on purpose, half-way"));
                }
            }
            match changes.alarm {
                Some(Timestamp(moment)) => self.platform.set_alarm(moment as f64).map(drop),
                None => Ok(()),
            }
        };
        self.platform.transaction_sync(&mut write).map(drop).map_err(|_| Reason::Unavailable)
    }
}

impl Rows for Stored {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Reason> {
        self.kv.get(key).map_err(|_| Reason::Unavailable)
    }

    fn list(&self, range: &Range) -> Result<Vec<(String, Vec<u8>)>, Reason> {
        let limit = u32::try_from(range.limit).unwrap_or(u32::MAX);
        let packed = self.lists.list(range.prefix, range.after, range.reverse, limit);
        let packed = packed.map_err(|_| Reason::Unavailable)?;
        let (mut rest, mut rows) = (packed.as_slice(), Vec::new());
        while let Some((key, value)) = part(&mut rest).and_then(|key| Some((key, part(&mut rest)?))) {
            let key = std::str::from_utf8(key).map_err(|_| Reason::Unreadable(range.prefix.to_owned()))?;
            rows.push((key.to_owned(), value.to_vec()));
        }
        if rest.is_empty() { Ok(rows) } else { Err(Reason::Unavailable) }
    }
}

/// The next part of a packed list.
fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (part, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(part)
}

/// Milliseconds since the Unix epoch, as JavaScript counts them.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and NaN is 0")]
pub fn moment(millis: f64) -> Timestamp {
    Timestamp(millis as u64)
}
