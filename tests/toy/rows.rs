//! What one object of the toy world keeps, and what may be wrong with it.

use claviger::{
    error::Reason,
    object::machine::{Range, Rows},
};
use std::{cell::Cell, collections::BTreeMap, rc::Rc};

/// What is wrong with an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// It does not answer.
    Dead,
    /// Its storage cannot be read.
    NoReads,
    /// Its storage takes nothing in.
    NoWrites,
}

/// What an object keeps.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Object {
    pub rows: BTreeMap<String, Vec<u8>>,
    pub alarm: Option<u64>,
    pub failed_alarms: u32,
}

/// One object's rows, as they are when its command begins.
#[derive(Default)]
pub struct Stored {
    pub rows: BTreeMap<String, Vec<u8>>,
    pub fails: bool,
    pub reads: Rc<Cell<usize>>,
}

impl Rows for Stored {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Reason> {
        self.reads.set(self.reads.get() + 1);
        if self.fails { Err(Reason::Unavailable) } else { Ok(self.rows.get(key).cloned()) }
    }

    fn list(&self, range: &Range) -> Result<Vec<(String, Vec<u8>)>, Reason> {
        self.reads.set(self.reads.get() + 1);
        if self.fails {
            return Err(Reason::Unavailable);
        }
        let wanted = |key: &str| {
            key.starts_with(range.prefix)
                && range.after.is_none_or(|after| if range.reverse { key < after } else { key > after })
        };
        let rows = self.rows.iter().filter(|(key, _)| wanted(key)).map(|(key, row)| (key.clone(), row.clone()));
        let mut rows: Vec<_> = rows.collect();
        if range.reverse {
            rows.reverse();
        }
        rows.truncate(range.limit);
        Ok(rows)
    }
}
