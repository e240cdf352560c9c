//! An object's storage: rows in SQLite, read one by one and written in one synchronous transaction.

use crate::{
    error::Reason,
    machine::{Changes, Range, Rows},
    time::Timestamp,
};
use js_sys::{Array, Object, Reflect, Uint8Array};
use wasm_bindgen::{JsCast as _, JsValue, prelude::wasm_bindgen};

#[wasm_bindgen]
extern "C" {
    /// `ctx.storage`.
    #[wasm_bindgen(typescript_type = "DurableObjectStorage")]
    pub type Storage;
    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    fn transaction_sync(this: &Storage, write: &mut dyn FnMut() -> Result<(), JsValue>) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch, js_name = setAlarm)]
    fn set_alarm(this: &Storage, moment: f64) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, getter)]
    fn kv(this: &Storage) -> Kv;

    /// `ctx.storage.kv`: synchronous, ordered by key.
    type Kv;
    #[wasm_bindgen(method, catch)]
    fn get(this: &Kv, key: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn put(this: &Kv, key: &str, value: Uint8Array) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch)]
    fn delete(this: &Kv, key: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn list(this: &Kv, options: &Object) -> Result<JsValue, JsValue>;
}

/// The rows of one object.
pub struct Stored {
    storage: Storage,
    kv: Kv,
    #[cfg(feature = "faults")]
    fails_half_way: std::cell::Cell<bool>,
}

impl Stored {
    /// The rows in `storage`.
    pub fn new(storage: Storage) -> Self {
        let kv = storage.kv();
        Self {
            storage,
            kv,
            #[cfg(feature = "faults")]
            fails_half_way: std::cell::Cell::new(false),
        }
    }

    /// Only in the module that the tests build to fail: the next commit throws after its first row.
    #[cfg(feature = "faults")]
    pub fn fail_half_way(&self, fails: bool) {
        self.fails_half_way.set(fails);
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
                Some(Timestamp(moment)) => self.storage.set_alarm(moment as f64).map(drop),
                None => Ok(()),
            }
        };
        self.storage.transaction_sync(&mut write).map(drop).map_err(|_| Reason::Unavailable)
    }
}

impl Rows for Stored {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Reason> {
        let value = self.kv.get(key).map_err(|_| Reason::Unavailable)?;
        if value.is_undefined() {
            return Ok(None);
        }
        bytes(value).map(Some).ok_or_else(|| Reason::Unreadable(key.to_owned()))
    }

    fn list(&self, range: &Range) -> Result<Vec<(String, Vec<u8>)>, Reason> {
        let options = Object::new();
        let set = |name: &str, value: JsValue| {
            Reflect::set(&options, &JsValue::from_str(name), &value).map_err(|_| Reason::Unavailable)
        };
        set("prefix", range.prefix.into())?;
        set("limit", u32::try_from(range.limit).unwrap_or(u32::MAX).into())?;
        set("reverse", range.reverse.into())?;
        if let Some(after) = range.after {
            // `startAfter` and `end` leave the key itself out.
            set(if range.reverse { "end" } else { "startAfter" }, after.into())?;
        }
        let listed = self.kv.list(&options).map_err(|_| Reason::Unavailable)?;
        let pairs = js_sys::try_iter(&listed).ok().flatten().ok_or(Reason::Unavailable)?;
        pairs
            .map(|pair| {
                let pair = pair.ok().and_then(|pair| pair.dyn_into::<Array>().ok());
                let pair = pair.ok_or(Reason::Unavailable)?;
                let (key, value) = (pair.get(0).as_string(), bytes(pair.get(1)));
                key.zip(value).ok_or_else(|| Reason::Unreadable(range.prefix.to_owned()))
            })
            .collect()
    }
}

fn bytes(value: JsValue) -> Option<Vec<u8>> {
    value.dyn_into::<Uint8Array>().ok().map(|bytes| bytes.to_vec())
}

/// Milliseconds since the Unix epoch, as JavaScript counts them.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and NaN is 0")]
pub fn moment(millis: f64) -> Timestamp {
    Timestamp(millis as u64)
}
