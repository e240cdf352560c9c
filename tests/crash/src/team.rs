//! Teams: a few clients share one small object for a short life, then look at all that happened to it, and begin anew.

use crate::client::{Client, World};
use std::{
    sync::{Arc, Barrier, Mutex},
    thread::Scope,
};

/// One kind of object, what is done to it, and what must hold afterwards.
pub trait Workload: Send + Sync {
    /// The object, with everything that was seen of it.
    type Object: Send + Sync;

    /// A fresh object; `None` where that failed for good, which is a violation told already.
    fn prepare(&self, client: &mut Client) -> Option<Self::Object>;

    /// One member's part of its life.
    fn play(&self, object: &Self::Object, member: usize, client: &mut Client);

    /// Looks at its whole life.
    fn check(&self, object: &Self::Object, client: &mut Client);
}

/// Starts a team with clients of these numbers. It ends with the life during which the run was over.
pub fn start<'scope, W: Workload + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    world: &'scope World,
    workload: W,
    numbers: std::ops::Range<usize>,
) {
    let barrier = Arc::new(Barrier::new(numbers.len()));
    let slot = Arc::new(Mutex::new(None::<Arc<W::Object>>));
    let workload = Arc::new(workload);
    for (member, number) in numbers.enumerate() {
        let (barrier, slot, workload) = (barrier.clone(), slot.clone(), workload.clone());
        scope.spawn(move || {
            let mut client = Client::new(world, number);
            loop {
                if member == 0 {
                    let object = if world.is_over() { None } else { workload.prepare(&mut client) };
                    *slot.lock().expect("no member panics") = object.map(Arc::new);
                }
                barrier.wait();
                let Some(object) = slot.lock().expect("no member panics").clone() else {
                    return;
                };
                workload.play(&object, member, &mut client);
                barrier.wait();
                if member == 0 {
                    workload.check(&object, &mut client);
                    world.report.tally().lives += 1;
                }
            }
        });
    }
}
