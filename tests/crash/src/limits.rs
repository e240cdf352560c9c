//! Workload: windows. However often the runtime is killed, no window of a limit admits more than the limit.

use crate::{
    admin::{Key, Visitor, opening},
    client::{Call, Client, Moment},
    http::Request,
    report::Violation,
    team::Workload,
};
use std::{
    sync::Mutex,
    thread::sleep,
    time::{Duration, Instant},
};

/// The policy's `messages_per_minute`: per widget key and network.
pub const NETWORK: usize = 120;
/// The policy's `messages_per_minute_per_conversation`.
pub const CONVERSATION: usize = 60;
/// The policy's `conversations_per_hour`: per widget key and network.
pub const OPENINGS: usize = 30;

const MINUTE: Moment = 60_000_000_000;
/// Long enough that a window ends and fills again.
const LIFE: Duration = Duration::from_secs(150);
/// How often what was seen is looked through.
const LOOK: Duration = Duration::from_secs(2);
/// After a refusal.
const PAUSE: Duration = Duration::from_millis(15);

/// What the limits are called.
pub const NAMES: [&str; 4] =
    ["messages of a network", "messages of a conversation", "openings of a network", "calls with a server key"];

/// From call to answer of something admitted.
pub type Admission = (Moment, Moment);

/// The most admissions that lie wholly in any one window.
pub fn most(admissions: &[Admission], window: Moment) -> usize {
    let mut by_answer = admissions.to_vec();
    by_answer.sort_unstable_by_key(|(_, returned)| *returned);
    // A window may as well begin with the call of something in it.
    let starts = admissions.iter().map(|(invoked, _)| *invoked);
    let inside = |start: Moment| {
        let end = by_answer.partition_point(|(_, returned)| *returned <= start + window);
        by_answer[..end].iter().filter(|(invoked, _)| *invoked >= start).count()
    };
    starts.map(inside).max().unwrap_or_default()
}

/// One limit, as it is seen from outside.
struct Gauge {
    name: &'static str,
    limit: usize,
    window: Moment,
    seen: Mutex<(Vec<Admission>, u64)>,
}

impl Gauge {
    fn new(name: &'static str, limit: usize, window: Moment) -> Self {
        Self { name, limit, window, seen: Mutex::default() }
    }

    fn ask(&self, client: &mut Client, request: &Request) {
        let Call { invoked, returned, answer: Some(answer), .. } = client.call(request) else {
            return;
        };
        let mut seen = self.seen.lock().expect("no client panics");
        match answer.status {
            201 => seen.0.push((invoked, returned)),
            429 => {
                seen.1 += 1;
                drop(seen);
                *client.world.report.tally().saturated.entry(self.name).or_default() += 1;
                sleep(PAUSE);
            }
            _ => client.surprise(request, &answer.body),
        }
    }

    fn look(&self, client: &Client) {
        let most = most(&self.seen.lock().expect("no client panics").0, self.window);
        if most > self.limit {
            let what = format!("{}: {most} admitted in a window of {}", self.name, self.limit);
            client.world.report.violation(Violation::Overshoot, what);
        }
    }
}

/// See the module.
pub struct Limits;

/// One key with its three limits.
pub struct Windows {
    key: Key,
    /// Several conversations from one network: that network's limit is reached first.
    visitors: Vec<Visitor>,
    /// One conversation from many networks.
    wanderer: Visitor,
    network: Gauge,
    conversation: Gauge,
    openings: Gauge,
    began: Instant,
}

impl Workload for Limits {
    type Object = Windows;

    fn prepare(&self, client: &mut Client) -> Option<Windows> {
        let (key, _) = client.key("limits")?;
        let network = client.network();
        let visitors = (0..4).map(|_| Some(Visitor { network: network.clone(), ..client.conversation(&key)? }));
        Some(Windows {
            visitors: visitors.collect::<Option<_>>()?,
            wanderer: client.conversation(&key)?,
            key,
            network: Gauge::new(NAMES[0], NETWORK, MINUTE),
            conversation: Gauge::new(NAMES[1], CONVERSATION, MINUTE),
            openings: Gauge::new(NAMES[2], OPENINGS, 60 * MINUTE),
            began: Instant::now(),
        })
    }

    fn play(&self, windows: &Windows, member: usize, client: &mut Client) {
        let mut looked = Instant::now();
        while windows.began.elapsed() < LIFE && !client.world.is_over() {
            let text = client.fresh("text");
            match client.dice.u8(..8) {
                0 => windows.openings.ask(client, &opening(&windows.key.secret, &windows.visitors[0].network)),
                1..4 => {
                    let network = client.network();
                    let wanderer = Visitor { network, ..windows.wanderer.clone() };
                    windows.conversation.ask(client, &wanderer.writing(&text));
                }
                _ => {
                    let visitor = &windows.visitors[client.dice.usize(..windows.visitors.len())];
                    windows.network.ask(client, &visitor.writing(&text));
                }
            }
            if member == 0 && looked.elapsed() > LOOK {
                self.check(windows, client);
                looked = Instant::now();
            }
        }
    }

    fn check(&self, windows: &Windows, client: &mut Client) {
        for gauge in [&windows.network, &windows.conversation, &windows.openings] {
            gauge.look(client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::most;

    #[test]
    fn only_what_lies_wholly_in_a_window_counts() {
        assert_eq!(most(&[], 60), 0);
        assert_eq!(most(&[(0, 1), (10, 11), (59, 60)], 60), 3);
        // Answered after the window's end: it may have been admitted there too.
        assert_eq!(most(&[(0, 1), (10, 11), (59, 61)], 60), 2);
        // One that began long ago does not count against those that came while it was out.
        assert_eq!(most(&[(0, 100), (50, 51), (52, 53)], 60), 2);
    }

    #[test]
    fn an_overshoot_over_the_edge_of_two_windows_is_seen() {
        let late: Vec<_> = (55..60).map(|at| (at, at)).collect();
        let early: Vec<_> = (61..66).map(|at| (at, at)).collect();
        assert_eq!(most(&[late, early].concat(), 60), 10);
    }
}
