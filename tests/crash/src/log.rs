//! One client's log: what it is about to do is on disk before it is done, and what came of it before anything else is.

use serde_json::Value;
use std::{
    fs::File,
    io::{self, Write as _},
    path::Path,
};

/// A file of JSON lines.
pub struct Log(File);

impl Log {
    pub fn create(path: &Path) -> io::Result<Self> {
        File::create(path).map(Self)
    }

    /// One line, and all before it: on disk when this returns.
    pub fn announce(&mut self, event: &Value) {
        self.note(event);
        self.0.sync_data().expect("the log can be synced");
    }

    /// One line, on disk before the next one that is announced.
    pub fn note(&mut self, event: &Value) {
        self.0.write_all(format!("{event}\n").as_bytes()).expect("the log can be written");
    }
}
