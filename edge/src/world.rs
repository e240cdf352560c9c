//! The real [`World`]: what a request needs from outside becomes lines of text for `entry.js`.

use crate::{
    codec::{cbor, time::Timestamp},
    crypto::job::Job,
    error::Reason,
    object::{
        host,
        machine::{Machine, Reading, World},
    },
    world::{
        fetch::{Fetched, Wanted},
        isolate::Isolate,
        memory_budget::Share,
        upstream::{Incoming, Outgoing, Sent, Silence},
    },
};
use std::{cell::RefCell, future::poll_fn, rc::Rc, task::Poll};

/// What was asked for, and what came back.
#[derive(Default)]
pub struct Exchange {
    /// One for every ask so far.
    slots: Vec<Slot>,
    /// How many of them were handed out.
    handed_out: usize,
    asks: String,
    /// The moment at which the request arrived, and then its body, and then the answer of the upstream.
    now: Timestamp,
    /// What counts the body that is being read.
    share: Option<Share>,
}

enum Slot {
    Asked(Vec<u8>),
    Came(Came),
    Taken,
}

/// A request's body as it came.
pub enum Body {
    /// All of it.
    Whole(Vec<u8>),
    /// It broke off.
    Broken,
    /// It is longer than allowed.
    TooLong,
    /// It took too long.
    TooSlow,
    /// There was no room for it.
    NoRoom,
    /// It is left where it stands, for now.
    Later,
}

impl Body {
    /// One that did not come whole, by the entry's word for why.
    pub fn missing(why: &str) -> Self {
        match why {
            "long" => Self::TooLong,
            "slow" => Self::TooSlow,
            "full" => Self::NoRoom,
            "later" => Self::Later,
            _ => Self::Broken,
        }
    }
}

enum Came {
    Body(Body),
    Reply(Vec<u8>),
}

impl Exchange {
    /// The asks since the last time: two lines each.
    pub fn take_asks(&mut self) -> String {
        std::mem::take(&mut self.asks)
    }

    /// The command of the ask `number` since the last time.
    pub fn take_command(&mut self, number: usize) -> Vec<u8> {
        match self.slots.get_mut(self.handed_out + number) {
            Some(Slot::Asked(command)) => std::mem::take(command),
            _ => Vec::new(),
        }
    }

    /// The reply to the ask `number` since the last time.
    pub fn supply_reply(&mut self, number: usize, reply: Vec<u8>) {
        if let Some(slot) = self.slots.get_mut(self.handed_out + number) {
            *slot = Slot::Came(Came::Reply(reply));
        }
    }

    /// So many bytes more of the body have come; whether there is room for them.
    pub fn holds(&self, bytes: usize) -> bool {
        self.share.as_ref().is_some_and(|share| share.come(bytes))
    }

    /// The body that was asked for, which came at `now`: whoever sends it decides how long that takes.
    pub fn supply_body(&mut self, body: Body, now: f64) {
        self.share = None;
        self.now = super::storage::moment(now);
        if let Some(slot) = self.slots.get_mut(self.handed_out) {
            *slot = Slot::Came(Came::Body(body));
        }
    }

    /// The latest moment that it was told of.
    pub fn moment(&self) -> Timestamp {
        self.now
    }

    /// Time has passed since the request arrived: the upstream took it to answer, or its answer to pass.
    pub fn goes_on_at(&mut self, now: f64) {
        self.now = super::storage::moment(now);
    }

    fn ask(&mut self, binding: &str, name: &str, command: Vec<u8>) -> usize {
        if self.asks.is_empty() {
            self.handed_out = self.slots.len();
        }
        for line in [binding, name] {
            self.asks.push('\n');
            self.asks.push_str(line);
        }
        self.slots.push(Slot::Asked(command));
        self.slots.len() - 1
    }

    fn take(&mut self, slot: usize) -> Option<Came> {
        let slot = self.slots.get_mut(slot).filter(|slot| matches!(slot, Slot::Came(_)))?;
        match std::mem::replace(slot, Slot::Taken) {
            Slot::Came(came) => Some(came),
            Slot::Asked(_) | Slot::Taken => None,
        }
    }
}

/// One request's world.
pub struct Edge {
    /// Name and value of each, a line each: every crossing costs, so all of them come in one.
    headers: String,
    exchange: Rc<RefCell<Exchange>>,
    isolate: &'static Isolate,
}

impl Edge {
    /// The world of a request that arrived at `now`, milliseconds since the Unix epoch.
    pub fn new(headers: String, now: f64, exchange: Rc<RefCell<Exchange>>, isolate: &'static Isolate) -> Self {
        exchange.borrow_mut().now = super::storage::moment(now);
        Self { headers, exchange, isolate }
    }

    /// Bytes of all headers, each name and each value with its line end.
    pub fn header_bytes(&self) -> usize {
        self.headers.len()
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut lines = self.headers.split('\n');
        std::iter::from_fn(move || Some((lines.next()?, lines.next()?)))
    }

    async fn exchange(&self, binding: &str, name: &str, command: Vec<u8>) -> Came {
        let slot = self.exchange.borrow_mut().ask(binding, name, command);
        poll_fn(|_| match self.exchange.borrow_mut().take(slot) {
            Some(came) => Poll::Ready(came),
            None => Poll::Pending,
        })
        .await
    }

    async fn ask_object<M: Machine>(
        &self,
        binding: &str,
        name: &str,
        command: &M::Command,
    ) -> Result<M::Reply, Reason> {
        let command = cbor::write(command);
        #[cfg(feature = "faults")]
        let command = [self.fault_of_object(M::BINDING), &command].concat();
        match self.exchange(binding, name, command).await {
            Came::Reply(reply) => host::read::<M>(&reply),
            Came::Body(_) => Err(Reason::Unavailable),
        }
    }

    /// Only in the module that the tests build to fail.
    #[cfg(feature = "faults")]
    #[allow(clippy::panic, reason = "on purpose")]
    pub fn fail_on_purpose(&self) {
        match self.header("claviger-fault").as_deref() {
            Some("panic") => panic!("on purpose, at the edge"),
            Some("overflow") => {
                let _ = overflow(1);
            }
            _ => {}
        }
    }
}

#[cfg(feature = "faults")]
#[allow(unconditional_recursion, reason = "on purpose")]
fn overflow(depth: u64) -> u64 {
    let room = [depth; 64];
    overflow(std::hint::black_box(room).iter().sum()) + depth
}

impl World for Edge {
    fn now(&self) -> Timestamp {
        self.exchange.borrow().now
    }

    fn random(&self) -> Result<[u8; 16], Reason> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|_| Reason::Unavailable)?;
        Ok(bytes)
    }

    fn header(&self, name: &str) -> Option<String> {
        self.pairs().find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
    }

    fn headers(&self) -> Vec<(String, String)> {
        self.pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    async fn body(&self, reading: Reading<'_>) -> Result<Option<Vec<u8>>, Reason> {
        self.exchange.borrow_mut().share = Some(reading.share.clone());
        match self.exchange("", &reading.to_line(), Vec::new()).await {
            Came::Body(Body::Whole(body)) => Ok(Some(body)),
            Came::Body(Body::Later) => Ok(None),
            Came::Body(Body::Broken) => Err(Reason::invalid("", "The body broke off: send it whole.")),
            Came::Body(Body::TooLong) => Err(Reason::BodyTooLarge(reading.limit)),
            Came::Body(Body::TooSlow) => Err(Reason::BodyTooSlow),
            Came::Body(Body::NoRoom) => Err(Reason::MemoryFull),
            Came::Reply(_) => Err(Reason::Unavailable),
        }
    }

    async fn ask<M: Machine>(&self, name: &str, command: M::Command) -> Result<M::Reply, Reason> {
        self.ask_object::<M>(M::BINDING, name, &command).await
    }

    async fn ask_within<M: Machine>(&self, name: &str, command: M::Command, millis: u32) -> Result<M::Reply, Reason> {
        self.ask_object::<M>(&format!("{}@{millis}", M::BINDING), name, &command).await
    }

    async fn forward(&self, call: Outgoing) -> Result<Incoming, Reason> {
        let lines = call.to_lines();
        let body = if let Sent::Bytes(body) = call.body { body } else { Vec::new() };
        match self.exchange(UPSTREAM, &lines, body).await {
            Came::Reply(head) => Incoming::parse(&head).map_err(|silence| match silence {
                Silence::Failed => Reason::UpstreamFailed,
                Silence::Gone => Reason::invalid("", "The caller has gone before the answer came."),
                Silence::TimedOut => Reason::UpstreamTimedOut,
            }),
            Came::Body(_) => Err(Reason::Unavailable),
        }
    }

    async fn fetch(&self, wanted: Wanted<'_>) -> Result<Fetched, Reason> {
        match self.exchange(FETCH, &wanted.to_line(), Vec::new()).await {
            Came::Reply(answer) => Fetched::parse(&answer).ok_or(Reason::Unavailable),
            Came::Body(_) => Err(Reason::Unavailable),
        }
    }

    async fn crypto(&self, job: Job<'_>) -> Result<Vec<u8>, Reason> {
        match self.exchange(CRYPTO, job.name(), job.to_bytes()).await {
            Came::Reply(answer) if !answer.is_empty() => Ok(answer),
            _ => Err(Reason::Unavailable),
        }
    }

    fn isolate(&self) -> &Isolate {
        self.isolate
    }
}

/// An ask under this name is for the upstream: the lines after it say what goes out.
const UPSTREAM: &str = "UPSTREAM";

/// And one under this name is for the platform's cryptography: the line after it says which job.
const CRYPTO: &str = "CRYPTO";

/// And one under this name for a document of somebody else's: the line after it says which, and its limits.
const FETCH: &str = "FETCH";

#[cfg(feature = "faults")]
impl Edge {
    /// A prefix that makes the object fail, if the request asks for that.
    fn fault_of_object(&self, binding: &str) -> &'static [u8] {
        match self.header("claviger-fault").as_deref() {
            Some("object-panic") => b"panic ",
            Some("object-half") => b"half ",
            Some("object-dead") => b"dead ",
            Some("workspace-half") if binding == "WORKSPACE" => b"half ",
            _ => b"",
        }
    }
}
