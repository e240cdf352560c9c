//! Objects: each hosts one machine. Read, decide, write, answer; and not one decision here.

use super::{
    config,
    storage::{Storage, Stored, moment},
};
use crate::{
    call::config::Config,
    conversations::store::Conversation,
    error::Reason,
    machines::{credential::Credential, deployment::Deployment, workspace::Workspace},
    object::{
        host::{self, Decided, Delivery},
        machine::{Machine, Rows as _, Turn},
        outbox::{self, Message},
    },
};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

/// One object, as its class in `object.js` holds it.
#[wasm_bindgen]
pub struct HostedObject {
    rows: Stored,
    /// What signs the heads of audit chains, the tiers, and how long conversations are kept; none where the variables are not sound.
    config: Option<&'static Config>,
    hosted: Box<dyn Host>,
    awaited: String,
}

/// A machine with its memory.
trait Host {
    fn handle(&mut self, rows: &Stored, command: &[u8], now: f64, config: Option<&Config>) -> (Vec<u8>, Vec<String>);
    fn wake(&mut self, rows: &Stored, now: f64, config: Option<&Config>) -> Result<(), Reason>;
}

impl<M: Machine> Host for M {
    fn handle(&mut self, rows: &Stored, command: &[u8], now: f64, config: Option<&Config>) -> (Vec<u8>, Vec<String>) {
        #[cfg(feature = "faults")]
        let command = fail_on_purpose(command, rows, now);
        #[cfg(feature = "faults")]
        if rows.is_dead(now) {
            return (host::refuse(&Reason::Unavailable), Vec::new());
        }
        let tiers = config.map_or(&[][..], |config| &config.policy.tiers);
        let decided = host::handle(self, rows, command, moment(now), tiers, retention(config));
        let decided = match rows.commit(&decided.changes) {
            Ok(()) => decided,
            Err(reason) => host::refused(&reason),
        };
        let Decided { update, reply, changes } = decided;
        if let Some(apply) = update {
            apply(self);
        }
        (reply, changes.awaited)
    }

    fn wake(&mut self, rows: &Stored, now: f64, config: Option<&Config>) -> Result<(), Reason> {
        let ring = config.map(|config| &config.ring);
        let decided = outbox::wake(self, rows, moment(now), ring, retention(config))?;
        rows.commit(&decided.changes)?;
        if let Some(apply) = decided.update {
            apply(self);
        }
        Ok(())
    }
}

#[wasm_bindgen]
impl HostedObject {
    /// The object of the class `class`, on this storage.
    #[wasm_bindgen(constructor)]
    pub fn new(class: &str, storage: Storage, env: &JsValue) -> Self {
        let hosted: Box<dyn Host> = match class {
            "Credential" => Box::new(Credential::default()),
            "Conversation" => Box::new(Conversation::default()),
            "Deployment" => Box::new(Deployment),
            _ => Box::new(Workspace),
        };
        let config = config(env).as_ref().ok();
        Self { rows: Stored::new(storage), config, hosted, awaited: String::new() }
    }

    /// One command: the reply; its first byte says what must be delivered before it goes.
    pub fn handle(&mut self, command: &[u8], now: f64) -> Vec<u8> {
        let (reply, awaited) = self.hosted.handle(&self.rows, command, now, self.config);
        self.awaited = awaited.join("\n");
        reply
    }

    /// The messages that must arrive before the reply to the last command goes.
    pub fn awaited(&mut self) -> String {
        std::mem::take(&mut self.awaited)
    }

    /// Whether all these messages arrived.
    pub fn are_delivered(&self, awaited: &str) -> bool {
        outbox::are_delivered(&self.rows, awaited.split('\n')).unwrap_or(false)
    }

    /// The reply instead of one whose messages have not all arrived in time.
    pub fn pending(&self) -> Vec<u8> {
        host::refuse(&Reason::DeliveryPending)
    }

    /// The alarm. False: try again.
    pub fn wake(&mut self, now: f64) -> bool {
        self.hosted.wake(&self.rows, now, self.config).is_ok()
    }

    /// The first message for each of the next targets beyond that of the row `after`: key, binding and name, a line each.
    pub fn heads(&self, after: &str) -> String {
        let heads = outbox::heads(&self.rows, after).unwrap_or_default();
        heads.iter().map(lines).collect::<Vec<_>>().join("\n")
    }

    /// The command of a message.
    pub fn message(&self, key: &str) -> Option<Vec<u8>> {
        self.rows.get(key).ok().flatten()
    }

    /// What the target of this message answered: the next message for it, or nothing if it did not take this one in.
    pub fn answered(&mut self, key: &str, reply: &[u8], now: f64) -> String {
        if !outbox::is_acknowledged(reply) {
            return String::new();
        }
        let next = outbox::next(&self.rows, key).ok().flatten();
        let mut turn = Turn::new(&self.rows, moment(now));
        turn.delete(key);
        match self.rows.commit(&turn.finish()) {
            Ok(()) => next.as_ref().map(lines).unwrap_or_default(),
            Err(_) => String::new(),
        }
    }
}

/// The reply instead of an object that failed on its way: its first byte says so to the entry too.
#[wasm_bindgen]
pub fn failed() -> Vec<u8> {
    let mut reply = host::refuse(&Reason::ObjectFailed);
    if let Some(first) = reply.first_mut() {
        *first = Delivery::Failed as u8;
    }
    reply
}

fn retention(config: Option<&Config>) -> Option<u64> {
    config?.policy.retention_seconds()
}

fn lines(message: &Message) -> String {
    format!("{}\n{}\n{}", message.key, message.binding, message.name)
}

/// Only in the module that the tests build to fail: the command without the prefix that asks for that.
#[cfg(feature = "faults")]
#[allow(clippy::panic, reason = "on purpose")]
fn fail_on_purpose<'a>(command: &'a [u8], rows: &Stored, now: f64) -> &'a [u8] {
    if command.starts_with(b"dead ") {
        rows.die(now);
    }
    if command.starts_with(b"panic ") {
        panic!("on purpose, in an object");
    }
    rows.fail_half_way(command.starts_with(b"half "));
    command.strip_prefix(b"half ").unwrap_or(command)
}
