//! An event in its chain, and the hash that ties it to the one before: over text, so that any language can check it.

use super::act::Entry;
use crate::wire;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// What stands for the hash before the first event: 64 zeros.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// One event, as it is stored, shown and exported.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Its place in the chain, from 1.
    pub seq: u64,
    /// When it happened, RFC 3339; the first, where `count` says that there were several.
    pub at: String,
    /// By whom: `<kind>:<id>`.
    pub actor: String,
    /// What.
    pub action: String,
    /// To what.
    pub target: String,
    /// `done` or `refused`.
    pub outcome: String,
    /// Why it was refused; or what was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The request; the first, where there were several.
    pub request_id: String,
    /// The client's network, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// How many of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The hash of the event before.
    pub prev: String,
    /// The hash of all this.
    pub hash: String,
}

wire!(Event { seq, at, actor, action, target, outcome, reason, request_id, network, count, prev, hash });

impl Event {
    /// The event number `seq`, after the one whose hash is `prev`.
    pub fn new(seq: u64, prev: String, entry: Entry) -> Self {
        let Entry { at, by, action, target, outcome, reason, count } = entry;
        let mut event = Self {
            seq,
            at: at.rfc3339(),
            actor: by.actor,
            action,
            target,
            outcome,
            reason,
            request_id: by.request_id,
            network: by.network,
            count,
            prev,
            hash: String::new(),
        };
        event.hash = event.digest();
        event
    }

    /// What its hash must be: SHA-256, in lower-case hex, of `prev` and then of every member in this order, each behind its
    /// length in bytes and a colon; `-` for one that is absent.
    pub fn digest(&self) -> String {
        let (seq, count) = (self.seq.to_string(), self.count.map(|count| count.to_string()));
        let members = [
            Some(seq.as_str()),
            Some(&self.at),
            Some(&self.actor),
            Some(&self.action),
            Some(&self.target),
            Some(&self.outcome),
            self.reason.as_deref(),
            Some(&self.request_id),
            self.network.as_deref(),
            count.as_deref(),
        ];
        let mut text = self.prev.clone();
        for member in members {
            match member {
                Some(member) => text.extend([member.len().to_string().as_str(), ":", member]),
                None => text.push('-'),
            }
        }
        hex(&Sha256::digest(text))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
