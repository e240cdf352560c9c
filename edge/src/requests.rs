//! The requests of this isolate that wait for something from outside, and the answers that are watched on their way.

use super::{
    storage,
    world::{Edge, Exchange},
};
use crate::{call::reply::Reply, codec::time::Timestamp, upstream::watch::Watch};
use std::{cell::RefCell, collections::BTreeMap, future::Future, pin::Pin, rc::Rc};

/// A request that waits for something from outside.
pub struct Running {
    /// The road.
    pub future: Pin<Box<dyn Future<Output = Reply>>>,
    /// What it asks for, and what came.
    pub exchange: Rc<RefCell<Exchange>>,
    /// Its world.
    pub world: Rc<Edge>,
}

/// An answer of the upstream that is watched on its way to the caller.
pub struct Watched {
    /// What is watched for.
    pub watch: Watch,
    /// What it asks for, and what came.
    pub exchange: Rc<RefCell<Exchange>>,
    /// Its world.
    pub world: Rc<Edge>,
}

/// All of them in this isolate.
#[derive(Default)]
pub struct Requests {
    next: u32,
    /// By their numbers: what one of them costs does not grow with how many others there are.
    pub running: BTreeMap<u32, Running>,
    /// By theirs.
    pub watched: BTreeMap<u32, Watched>,
    /// Bodies that were kept, by theirs.
    pub kept: BTreeMap<u32, Vec<u8>>,
    /// When it was looked for those that were left behind.
    swept_at: Timestamp,
}

/// So many entries are no sign of anything: it is not looked for those that were left behind.
const SWEEP_THRESHOLD: usize = 500;

/// And no more often than this: many that wait may all be alive.
const SWEEP_MILLIS: u64 = 10_000;

/// The platform gives up tasks whose caller has gone, and tells nobody. Whatever has not moved for so long was left behind: a call is
/// waited for 10 minutes, a key of a request lasts 11, and tokens are held for 15.
const ABANDONED_AFTER_MILLIS: u64 = 20 * 60_000;

impl Requests {
    /// Gives back the memory of what was left behind.
    pub fn sweep(&mut self, now: f64) {
        if self.running.len() + self.watched.len() < SWEEP_THRESHOLD && self.kept.len() < SWEEP_THRESHOLD {
            return;
        }
        let now = storage::moment(now);
        if self.swept_at <= now && now.millis_since(self.swept_at) < SWEEP_MILLIS {
            return;
        }
        self.swept_at = now;
        let is_alive =
            |exchange: &RefCell<Exchange>| now.millis_since(exchange.borrow().moment()) < ABANDONED_AFTER_MILLIS;
        self.running.retain(|_, running| is_alive(&running.exchange));
        self.watched.retain(|_, watched| is_alive(&watched.exchange));
        // Each of these is fetched in the step that kept it.
        self.kept.clear();
    }

    /// Another number.
    pub fn next(&mut self) -> u32 {
        self.next = self.next.wrapping_add(1);
        self.next
    }
}
