//! A client: it calls, writes down each call and its outcome, and knows three outcomes: an answer, a refusal, or unknown.

use crate::{
    http::{Answer, Connection, Request},
    log::Log,
    report::{Report, Violation},
};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

/// Nanoseconds since the run began, on the one monotonic clock of this machine.
pub type Moment = u64;

/// The site that every widget key lists.
pub const SITE: &str = "https://shop.example";

/// A worker that cannot be reached for so long will not come back.
const PATIENCE: Duration = Duration::from_secs(60);
/// So many refusals one after another are no passing trouble.
const REFUSALS: u32 = 200;
/// Between two attempts at what is not answered.
const PAUSE: Duration = Duration::from_millis(4);

/// What all clients of a run share.
pub struct World {
    pub address: SocketAddr,
    pub deploy_key: String,
    pub report: Report,
    pub folder: PathBuf,
    pub began: Instant,
    pub seed: u64,
    pub over: AtomicBool,
}

impl World {
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub fn now(&self) -> Moment {
        Moment::try_from(self.began.elapsed().as_nanos()).unwrap_or(Moment::MAX)
    }
}

/// One call with its moments.
pub struct Call {
    pub invoked: Moment,
    pub returned: Moment,
    /// `None`: the connection died, or the worker answered that it does not know (503).
    pub answer: Option<Answer>,
    /// Whether it answered so, and not because a delivery is on its way.
    is_refusing: bool,
}

/// One thread of the load.
pub struct Client<'a> {
    pub world: &'a World,
    pub dice: fastrand::Rng,
    name: String,
    connection: Option<Connection>,
    log: Log,
    calls: u64,
}

impl<'a> Client<'a> {
    pub fn new(world: &'a World, number: usize) -> Self {
        let name = format!("client-{number:02}");
        let log = Log::create(&log_file(&world.folder, &name)).expect("a log file");
        let dice = fastrand::Rng::with_seed(world.seed.wrapping_mul(1_000_003).wrapping_add(number as u64));
        Self { world, dice, name, connection: None, log, calls: 0 }
    }

    /// How many calls it made.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// Something that nobody else in this run is called.
    pub fn fresh(&mut self, what: &str) -> String {
        self.calls += 1;
        format!("{what}-{}-{}", self.name, self.calls)
    }

    /// A client address of a network that hardly anybody else has.
    pub fn network(&mut self) -> String {
        format!("{}.{}.{}.9", self.dice.u8(20..220), self.dice.u8(..), self.dice.u8(..))
    }

    /// One call, sent at most once.
    pub fn call(&mut self, request: &Request) -> Call {
        let mut connection = self.connect();
        self.calls += 1;
        let Request { method, path, body, .. } = request;
        self.log.announce(&json!({
            "call": self.calls, "event": "invoke", "at": self.world.now(), "method": method, "path": path, "body": body,
        }));
        let invoked = self.world.now();
        let exchanged = connection.exchange(request);
        let returned = self.world.now();
        let (event, detail) = match &exchanged {
            Err(error) => ("info", json!(error.to_string())),
            Ok(Answer { status: 503, body }) => ("info", body.clone()),
            Ok(Answer { status: 200..300, body }) => ("ok", body.clone()),
            Ok(Answer { body, .. }) => ("fail", body.clone()),
        };
        let status = exchanged.as_ref().map_or(0, |answer| answer.status);
        self.log.note(&json!({
            "call": self.calls, "event": event, "invoked": invoked, "returned": returned, "status": status, "body": detail,
        }));
        if exchanged.is_ok() {
            self.connection = Some(connection);
        }
        let answered = exchanged.ok();
        let is_refusing = answered.as_ref().is_some_and(|it| it.status == 503 && it.body["pending"] != true);
        let answer = answered.filter(|answer| answer.status != 503);
        self.count(request, event, answer.as_ref());
        Call { invoked, returned, answer, is_refusing }
    }

    fn count(&self, request: &Request, event: &str, answer: Option<&Answer>) {
        let mut tally = self.world.report.tally();
        tally.operations += 1;
        match event {
            "ok" => tally.acknowledged += 1,
            "info" => tally.unknown += 1,
            _ => tally.refused += 1,
        }
        drop(tally);
        if let Some(Answer { status: 500.., body }) = answer {
            self.surprise(request, body);
        }
    }

    /// An answer that nobody should get.
    pub fn surprise(&self, request: &Request, body: &Value) {
        let what = format!("{} call {}: {} {} got {body}", self.name, self.calls, request.method, request.path);
        self.world.report.violation(Violation::Surprise, what);
    }

    /// The same call again until its outcome is known: one operation over all attempts. `None`: it never is, though the
    /// worker answers, which a change of which only half is there may look like.
    pub fn resolve(&mut self, request: &Request) -> Option<(Moment, Moment, Answer)> {
        let Call { invoked, mut returned, mut answer, is_refusing } = self.call(request);
        let (patience, mut refusals) = (Instant::now(), u32::from(is_refusing));
        loop {
            if let Some(answer) = answer {
                return Some((invoked, returned, answer));
            }
            if refusals > REFUSALS || patience.elapsed() > PATIENCE {
                let what = format!("{}: {} {} is answered by nothing but 503", self.name, request.method, request.path);
                self.world.report.violation(Violation::Torn, what);
                return None;
            }
            sleep(PAUSE);
            let again = self.call(request);
            refusals += u32::from(again.is_refusing);
            (returned, answer) = (again.returned, again.answer);
        }
    }

    /// A connection that stands: waiting for the worker to come back is no part of a call.
    fn connect(&mut self) -> Connection {
        if let Some(connection) = self.connection.take().filter(Connection::is_alive) {
            return connection;
        }
        let patience = Instant::now();
        loop {
            match Connection::open(self.world.address) {
                Ok(connection) => return connection,
                Err(error) => assert!(patience.elapsed() < PATIENCE, "the worker cannot be reached: {error}"),
            }
            sleep(PAUSE);
        }
    }
}

/// Where somebody's log is.
pub fn log_file(folder: &Path, name: &str) -> PathBuf {
    folder.join("logs").join(format!("{name}.jsonl"))
}
