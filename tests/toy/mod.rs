//! The toy world: the machines that the objects host, in maps, under a clock turned by hand, with dice that can be foretold.
#![allow(dead_code, reason = "no test needs all of it")]

mod crypto;
mod helpers;
mod rows;

pub use helpers::*;
pub use rows::*;

use claviger::{
    call::{
        config::Config,
        reply::{Body, Passing},
        request::Request,
    },
    codec::{cbor, time::Timestamp, work},
    conversations::store::Conversation,
    crypto::job::Job,
    error::Reason,
    machines::{credential::Credential, deployment::Deployment, workspace::Workspace},
    object::{
        host::{self, Decided, Delivery},
        machine::{Changes, Machine, Reading, World},
        outbox,
    },
    road::serve::serve,
    upstream::watch::{Ending, Watch},
    value::public_suffix,
    world::{
        fetch::{Fetched, Wanted},
        isolate::Isolate,
        upstream::{Incoming, Outgoing},
    },
};
use std::{
    any::Any,
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// Binding and name of an object.
pub type Name = (String, String);

/// The world; see the module.
pub struct Toy {
    pub config: Result<Config, Reason>,
    pub objects: RefCell<BTreeMap<Name, Object>>,
    pub faults: RefCell<BTreeMap<Name, Fault>>,
    /// Every secret that was handed out: none may ever stand in a log line or a row.
    pub issued: RefCell<Vec<String>>,
    /// What went to the upstream.
    pub forwarded: RefCell<Vec<Outgoing>>,
    /// What the upstream answers; where it stays silent, why.
    pub upstream: RefCell<Result<Incoming, Reason>>,
    /// The body of its answer, part by part, and how that ends: seen by whoever watches it.
    pub upstream_body: RefCell<(Vec<Vec<u8>>, Ending)>,
    /// The platform's cryptography: what it was asked to do, and whether it answers.
    pub jobs: RefCell<Vec<&'static str>>,
    pub has_crypto: Cell<bool>,
    /// Whether answers of the upstream stay under way until somebody has them pass; and those that do, the newest last.
    pub holds_answers: Cell<bool>,
    pub under_way: RefCell<Vec<Watch>>,
    /// The id of the next request.
    pub request_id: RefCell<String>,
    /// Documents of others, by URL: what comes of fetching each.
    pub documents: RefCell<BTreeMap<String, Result<Fetched, Reason>>>,
    /// What was fetched: each as the line that says what is wanted.
    pub fetched: RefCell<Vec<String>>,
    /// Whether what follows an answer could be done, of the last one that was watched.
    pub followed: Cell<bool>,
    /// What the isolate remembers.
    pub isolate: Isolate,
    /// What others remember, and which one is called: 0 is the one above.
    pub others: [Isolate; 3],
    pub chosen: Cell<usize>,
    /// How many milliseconds the clocks of isolates are ahead of those of objects.
    pub ahead: Cell<u64>,
    /// What the network makes of a reply on its way from an object.
    pub on_its_way: Cell<Option<OnItsWay>>,
    memory: RefCell<BTreeMap<Name, Box<dyn Any>>>,
    hops: Cell<usize>,
    /// Turns that wrote anything.
    pub commits: Cell<usize>,
    /// Rows that they wrote; an alarm that is set is one more.
    pub written: Cell<usize>,
    /// Reads of rows, and lists.
    pub reads: Rc<Cell<usize>>,
    clock: Cell<u64>,
    dice: Cell<u128>,
    /// What the dice will show: after so many throws, this.
    loaded: Cell<Option<(usize, u128)>>,
    headers: RefCell<Vec<(String, String)>>,
    body: RefCell<Vec<u8>>,
    /// Whether bodies come later than they are waited for at first.
    pub slow_bodies: Cell<bool>,
    /// The most bytes of a body that anybody asked for.
    pub most_read: Cell<usize>,
    /// What happens while the next body is still on its way.
    meanwhile: RefCell<Option<Meanwhile>>,
    /// And before an object is asked, after so many that are asked first.
    between: RefCell<Option<(usize, Meanwhile)>>,
}

type Meanwhile = Box<dyn FnOnce(&Toy)>;

/// What a reply becomes.
pub type OnItsWay = fn(Vec<u8>) -> Vec<u8>;

/// 2026-01-01T00:00:00Z.
pub const START: u64 = 1_767_225_600_000;

impl Toy {
    /// A world with these variables.
    pub fn with(variables: &[(&str, &str)]) -> Self {
        let config = Config::parse(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        });
        Self {
            config,
            objects: RefCell::default(),
            faults: RefCell::default(),
            issued: RefCell::default(),
            forwarded: RefCell::default(),
            upstream: RefCell::new(Ok(Incoming { status: 200, headers: Vec::new() })),
            upstream_body: RefCell::new((Vec::new(), Ending::Whole)),
            jobs: RefCell::default(),
            has_crypto: Cell::new(true),
            holds_answers: Cell::new(false),
            under_way: RefCell::default(),
            request_id: RefCell::new("req_toy".to_owned()),
            documents: RefCell::default(),
            fetched: RefCell::default(),
            followed: Cell::new(true),
            isolate: Isolate::default(),
            others: Default::default(),
            chosen: Cell::new(0),
            ahead: Cell::new(0),
            on_its_way: Cell::new(None),
            memory: RefCell::default(),
            hops: Cell::new(0),
            commits: Cell::new(0),
            written: Cell::new(0),
            reads: Rc::default(),
            clock: Cell::new(START),
            dice: Cell::new(1),
            loaded: Cell::new(None),
            headers: RefCell::default(),
            body: RefCell::default(),
            slow_bodies: Cell::new(false),
            most_read: Cell::new(0),
            meanwhile: RefCell::default(),
            between: RefCell::default(),
        }
    }

    /// The next body that is read is slow: all this happens before it has arrived.
    pub fn while_body_is_on_its_way(&self, meanwhile: impl FnOnce(&Self) + 'static) {
        *self.meanwhile.borrow_mut() = Some(Box::new(meanwhile));
    }

    /// All this happens before the next object but `hops` is asked.
    pub fn after_hops(&self, hops: usize, between: impl FnOnce(&Self) + 'static) {
        *self.between.borrow_mut() = Some((hops, Box::new(between)));
    }

    fn interrupt(&self, happening: impl FnOnce(&Self)) {
        let (headers, body) = (self.headers.borrow().clone(), self.body.borrow().clone());
        happening(self);
        (*self.headers.borrow_mut(), *self.body.borrow_mut()) = (headers, body);
    }

    /// Sends a request down the road. No answer, header or log line repeats a credential that was presented.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let answer = self.exchange(method, path, headers, body);
        let shown = format!("{}\n{:?}\n{}", answer.text, answer.headers, answer.log);
        for secret in presented(path, headers) {
            assert!(!shown.contains(&secret), "{method}: the answer repeats a credential:\n{shown}");
        }
        let issued = self.issued.borrow();
        let log = answer.log.to_string();
        assert!(!issued.iter().any(|secret| log.contains(secret)), "a secret in the log: {log}");
        answer
    }

    /// Sends a request down the road, whatever comes back.
    pub fn exchange(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut sent: Vec<(String, String)> =
            headers.iter().map(|(name, value)| (name.to_lowercase(), (*value).to_owned())).collect();
        if !body.is_empty() && !sent.iter().any(|(name, _)| name == "content-type") {
            sent.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        // Clients say how long a body is, but for those that send it as they make it.
        if !body.is_empty()
            && !sent.iter().any(|(name, _)| matches!(name.as_str(), "content-length" | "transfer-encoding"))
        {
            sent.push(("content-length".to_owned(), body.len().to_string()));
        }
        sent.retain(|(_, value)| !value.is_empty());
        let request = Request {
            id: self.request_id.borrow().clone(),
            method: method.to_owned(),
            url: format!("https://attacker.example{path}"),
            has_body: !body.is_empty(),
            // As they cross into the core: each name and each value with its line end.
            header_bytes: sent.iter().map(|(name, value)| name.len() + value.len() + 2).sum(),
        };
        *self.headers.borrow_mut() = sent;
        body.as_bytes().clone_into(&mut self.body.borrow_mut());
        let (hops, objects) = (self.hops.get(), self.objects.borrow().len());
        let (reply, rounds) = run(serve(&request, self.config.as_ref(), self));
        let names: BTreeSet<&str> = reply.headers.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), reply.headers.len(), "the entry keeps one header of each name: {:?}", reply.headers);
        let mut passed = Vec::new();
        let text = match reply.body {
            Body::Json(text) => text,
            Body::Empty => String::new(),
            Body::Asset(path) => format!("asset {path}"),
            Body::Lines(lines) => lines.into_iter().map(|line| line + "\n").collect(),
            Body::Upstream(Passing { headers, kept: Some(body), .. }) => {
                passed = headers;
                String::from_utf8(body).unwrap()
            }
            Body::Upstream(Passing { headers, watch, .. }) => {
                passed = headers;
                let (parts, ending) = self.upstream_body.borrow().clone();
                match watch {
                    Some(watch) if self.holds_answers.get() => self.under_way.borrow_mut().push(*watch),
                    Some(watch) => self.followed.set(self.pass(*watch, &parts, ending).is_ok()),
                    None => {}
                }
                if parts.is_empty() { "the API behind".to_owned() } else { String::from_utf8(parts.concat()).unwrap() }
            }
        };
        let answer = Answer {
            status: reply.status,
            json: serde_json::from_str(&text).unwrap_or_default(),
            log: serde_json::from_str(&reply.log).unwrap(),
            headers: reply.headers,
            passed,
            hops: self.hops.get() - hops,
            rounds,
            made: self.objects.borrow().len() - objects,
            text,
        };
        self.issued.borrow_mut().extend(answer.secrets());
        answer
    }

    /// An answer of the upstream passes, and then all that follows it.
    pub fn pass(&self, mut watch: Watch, parts: &[Vec<u8>], ending: Ending) -> Result<(), Reason> {
        parts.iter().for_each(|part| watch.feed(part));
        run(watch.end(ending, self)).0
    }

    /// Turns the clock, and lets every alarm ring on its way.
    pub fn advance(&self, seconds: u64) {
        self.advance_millis(seconds * 1_000);
    }

    /// The same, by the millisecond.
    pub fn advance_millis(&self, millis: u64) {
        let end = self.clock.get() + millis;
        loop {
            let objects = self.objects.borrow();
            let alarms = objects.iter().filter_map(|(name, object)| Some((object.alarm?, name.clone())));
            let Some((moment, name)) = alarms.min().filter(|(moment, _)| *moment <= end) else {
                break;
            };
            drop(objects);
            self.clock.set(self.clock.get().max(moment));
            self.ring(&name);
        }
        self.clock.set(end);
    }

    /// Foretells the dice: the throw after next is 2, and so on.
    pub fn load(&self, throws: usize, number: u128) {
        self.loaded.set(Some((throws, number)));
    }

    /// Turns the clock back: no alarm rings.
    pub fn step_back(&self, seconds: u64) {
        self.clock.set(self.clock.get() - seconds * 1_000);
    }

    /// Asks an object without a request: what only the command line does.
    pub fn tell<M: Machine>(&self, name: &str, command: M::Command) -> Result<M::Reply, Reason> {
        run(self.ask::<M>(name, command)).0
    }

    fn objects_now(&self) -> Timestamp {
        Timestamp(self.clock.get())
    }

    fn fault(&self, name: &Name) -> Option<Fault> {
        self.faults.borrow().get(name).copied()
    }

    fn stored(&self, name: &Name) -> Stored {
        let rows = self.objects.borrow().get(name).map(|object| object.rows.clone()).unwrap_or_default();
        Stored { rows, fails: self.fault(name) == Some(Fault::NoReads), reads: self.reads.clone() }
    }

    /// All changes, or none.
    fn commit(&self, name: &Name, changes: &Changes) -> Result<(), Reason> {
        if changes.rows.is_empty() {
            return Ok(());
        }
        if self.fault(name) == Some(Fault::NoWrites) {
            return Err(Reason::Unavailable);
        }
        self.commits.set(self.commits.get() + 1);
        self.written.set(self.written.get() + changes.rows.len() + usize::from(changes.alarm.is_some()));
        let mut objects = self.objects.borrow_mut();
        let object = objects.entry(name.clone()).or_default();
        for (key, value) in &changes.rows {
            match value {
                Some(value) => object.rows.insert(key.clone(), value.clone()),
                None => object.rows.remove(key),
            };
        }
        if let Some(Timestamp(moment)) = changes.alarm {
            object.alarm = Some(moment);
        }
        Ok(())
    }

    /// One call of an object, as the thin entry makes it: empty where it could not be reached.
    fn call(&self, name: &Name, command: &[u8]) -> Vec<u8> {
        if self.fault(name) == Some(Fault::Dead) {
            return Vec::new();
        }
        self.objects.borrow_mut().entry(name.clone()).or_default();
        let (reply, changes) = match name.0.as_str() {
            Conversation::BINDING => self.decide::<Conversation>(name, command),
            Credential::BINDING => self.decide::<Credential>(name, command),
            Deployment::BINDING => self.decide::<Deployment>(name, command),
            Workspace::BINDING => self.decide::<Workspace>(name, command),
            binding => panic!("there is no binding {binding}"),
        };
        if reply[0] == Delivery::Nothing as u8 {
            return reply;
        }
        self.deliver(name);
        let awaited = changes.awaited.iter().map(String::as_str);
        let arrived = outbox::are_delivered(&self.stored(name), awaited).unwrap_or(false);
        if reply[0] == Delivery::First as u8 && !arrived {
            return host::refuse(&Reason::DeliveryPending);
        }
        reply
    }

    fn decide<M: Machine + 'static>(&self, name: &Name, command: &[u8]) -> (Vec<u8>, Changes) {
        let mut memory = self.take_memory::<M>(name);
        let Decided { update, reply, changes } = {
            let tiers = self.config.as_ref().map_or(&[][..], |config| &config.policy.tiers);
            host::handle(&*memory, &self.stored(name), command, self.objects_now(), tiers, self.retention_seconds())
        };
        let written = self.commit(name, &changes);
        if let (Ok(()), Some(apply)) = (&written, update) {
            apply(&mut memory);
        }
        self.memory.borrow_mut().insert(name.clone(), memory);
        match written {
            Ok(()) => (reply, changes),
            Err(reason) => (host::refuse(&reason), Changes::default()),
        }
    }

    /// The alarm of an object; false where its changes could not be written.
    fn wake<M: Machine + 'static>(&self, name: &Name) -> bool {
        let mut memory = self.take_memory::<M>(name);
        let woken = outbox::wake(
            &*memory,
            &self.stored(name),
            self.objects_now(),
            self.config.as_ref().ok().map(|config| &config.ring),
            self.retention_seconds(),
        );
        let written = woken.and_then(|woken| self.commit(name, &woken.changes).map(|()| woken.update));
        let is_written = written.is_ok();
        if let Ok(Some(apply)) = written {
            apply(&mut memory);
        }
        self.memory.borrow_mut().insert(name.clone(), memory);
        is_written
    }

    fn retention_seconds(&self) -> Option<u64> {
        self.config.as_ref().ok()?.policy.retention_seconds()
    }

    fn take_memory<M: Machine + 'static>(&self, name: &Name) -> Box<M> {
        let kept = self.memory.borrow_mut().remove(name);
        kept.and_then(|memory| memory.downcast().ok()).unwrap_or_default()
    }

    /// Every object is evicted, or the process dies: rows stay, memory is gone.
    pub fn forget(&self) {
        self.memory.borrow_mut().clear();
    }

    fn ring(&self, name: &Name) {
        if let Some(object) = self.objects.borrow_mut().get_mut(name) {
            object.alarm = None;
        }
        let is_written = match name.0.as_str() {
            Conversation::BINDING => self.wake::<Conversation>(name),
            Credential::BINDING => self.wake::<Credential>(name),
            Deployment::BINDING => self.wake::<Deployment>(name),
            _ => self.wake::<Workspace>(name),
        };
        if is_written {
            self.deliver(name);
        } else if let Some(object) = self.objects.borrow_mut().get_mut(name) {
            // The platform tries a failed alarm six times more, each time later.
            object.failed_alarms += 1;
            let again = (object.failed_alarms <= 6).then(|| self.clock.get() + (1_000 << object.failed_alarms));
            object.alarm = again;
        }
    }

    /// In order per target; a target that does not answer holds up nobody else.
    fn deliver(&self, name: &Name) {
        let (mut heads, mut after) = (Vec::new(), String::new());
        while let Some(last) = outbox::heads(&self.stored(name), &after).unwrap_or_default().last().cloned() {
            heads.extend(outbox::heads(&self.stored(name), &after).unwrap_or_default());
            after = last.key;
        }
        for head in heads {
            let mut message = Some(head);
            while let Some(outbox::Message { key, binding, name: target }) = message {
                let Some(command) = self.stored(name).rows.get(&key).cloned() else { break };
                if !outbox::is_acknowledged(&self.call(&(binding, target), &command)) {
                    break;
                }
                message = outbox::next(&self.stored(name), &key).unwrap_or_default();
                let gone = Changes { rows: vec![(key, None)], ..Changes::default() };
                if self.commit(name, &gone).is_err() {
                    break;
                }
            }
        }
    }
}

impl World for Toy {
    fn now(&self) -> Timestamp {
        Timestamp(self.clock.get() + self.ahead.get())
    }

    fn random(&self) -> Result<[u8; 16], Reason> {
        if let Some((throws, number)) = self.loaded.get() {
            self.loaded.set((throws > 1).then_some((throws - 1, number)));
            if throws == 1 {
                return Ok(number.to_le_bytes());
            }
        }
        self.dice.set(self.dice.get().wrapping_mul(0xDA94_2042_E4DD_58B5).wrapping_add(0x9E37_79B9_7F4A_7C15));
        Ok(self.dice.get().to_le_bytes())
    }

    fn header(&self, name: &str) -> Option<String> {
        let headers = self.headers.borrow();
        // The core looks through all of them, as the real world does.
        work::charge(headers.iter().map(|(name, value)| name.len() + value.len()).sum());
        let values: Vec<&str> =
            headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    fn headers(&self) -> Vec<(String, String)> {
        let headers = self.headers.borrow().clone();
        work::charge(headers.iter().map(|(name, value)| name.len() + value.len()).sum());
        headers
    }

    async fn body(&self, reading: Reading<'_>) -> Result<Option<Vec<u8>>, Reason> {
        // A slow one lets nothing come before it is waited for.
        if self.slow_bodies.get() && reading.soon_millis < Reading::WHOLE_MILLIS {
            return Ok(None);
        }
        let came = self.body.borrow().len();
        self.most_read.set(self.most_read.get().max(came.min(reading.enough).min(reading.limit)));
        let meanwhile = self.meanwhile.borrow_mut().take();
        if let Some(meanwhile) = meanwhile {
            self.interrupt(meanwhile);
        }
        let body = self.body.borrow();
        if body.len() > reading.limit {
            return Err(Reason::BodyTooLarge(reading.limit));
        }
        if body.len() > reading.enough {
            return Ok(None);
        }
        if reading.share.come(body.len()) { Ok(Some(body.clone())) } else { Err(Reason::MemoryFull) }
    }

    async fn ask<M: Machine>(&self, name: &str, command: M::Command) -> Result<M::Reply, Reason> {
        let between = self.between.borrow_mut().take();
        match between {
            Some((0, between)) => self.interrupt(between),
            other => *self.between.borrow_mut() = other.map(|(hops, between)| (hops - 1, between)),
        }
        self.hops.set(self.hops.get() + 1);
        let reply = self.call(&(M::BINDING.to_owned(), name.to_owned()), &cbor::write(&command));
        // Answers once it was asked again: so hops that are made at once are told from hops one after the other.
        let mut asked = false;
        poll_fn(|_| if std::mem::replace(&mut asked, true) { Poll::Ready(()) } else { Poll::Pending }).await;
        host::read::<M>(&self.on_its_way.get().map_or(reply.clone(), |change| change(reply)))
    }

    async fn forward(&self, call: Outgoing) -> Result<Incoming, Reason> {
        self.forwarded.borrow_mut().push(call);
        self.upstream.borrow().clone()
    }

    async fn fetch(&self, wanted: Wanted<'_>) -> Result<Fetched, Reason> {
        self.fetched.borrow_mut().push(wanted.to_line());
        if wanted.url == public_suffix::PATH && !self.documents.borrow().contains_key(public_suffix::PATH) {
            return Ok(Fetched { status: 200, body: suffix_list() });
        }
        self.documents.borrow().get(wanted.url).cloned().unwrap_or(Err(Reason::Unavailable))
    }

    async fn crypto(&self, job: Job<'_>) -> Result<Vec<u8>, Reason> {
        self.jobs.borrow_mut().push(job.name());
        if self.has_crypto.get() { crypto::work(job) } else { Err(Reason::Unavailable) }
    }

    fn isolate(&self) -> &Isolate {
        self.chosen.get().checked_sub(1).map_or(&self.isolate, |other| &self.others[other])
    }
}

/// Runs to the end: the result, and how many times something from outside was waited for.
fn run<T>(future: impl Future<Output = T>) -> (T, usize) {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for rounds in 0..100 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return (value, rounds);
        }
    }
    panic!("nothing comes of this");
}
