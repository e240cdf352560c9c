//! Leases against a naive log of all that was admitted: random days of several isolates whose clocks differ, of isolates that die
//! with permits in hand, objects that crash or are evicted, clocks that step back, rotations, and tiers with and without leases.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod toy;

use claviger::{
    codec::cbor,
    machines::credential::{Credential, Reply},
    object::host,
    policy::parse,
};
use proptest::{
    prelude::*,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};
use serde_json::json;
use std::collections::BTreeMap;
use toy::{Answer, OnItsWay, START, Toy};

/// The limit and the seconds of each window.
type Windows = &'static [(u64, u64)];

/// Every tier of the two policies between which a deployment changes: its windows, and its `lease_seconds`.
const TIERS: [[(&str, Windows, u64); 4]; 2] = [
    [
        ("hot", &[(400, 10)], 60),
        ("two", &[(300, 5), (1_200, 30)], 3),
        ("wide", &[(2_000, 40)], 2),
        ("cool", &[(400, 10)], 0),
    ],
    [
        ("hot", &[(300, 10), (2_000, 60)], 1),
        ("two", &[(300, 5)], 0),
        ("wide", &[(1_000, 20)], 1),
        ("cool", &[(500, 10)], 5),
    ],
];

const ISOLATES: usize = 4;

/// No lease of theirs lives longer.
const LEASE_MILLIS: u64 = 2_000;

fn policy(number: usize) -> String {
    let tier = |(name, windows, lease): &(&str, Windows, u64)| {
        let window = |(limit, seconds): &(u64, u64)| format!("{{ limit = {limit}, window_seconds = {seconds} }}");
        let windows: Vec<String> = windows.iter().map(window).collect();
        let lease = if *lease > 0 { format!("lease_seconds = {lease}\n") } else { String::new() };
        format!("[tiers.{name}]\nrequests = [{}]\n{lease}", windows.join(", "))
    };
    let tiers: Vec<String> = TIERS[number].iter().map(tier).collect();
    format!("brand = \"gs\"\n[scopes]\nadmin = {{ says = \"All\", implies = \"*\" }}\n{}", tiers.concat())
}

/// A key, with all that was seen of it.
struct Key {
    id: String,
    secrets: Vec<String>,
    tier: usize,
    /// What is in force, and since when each of its windows counts, in true time.
    windows: Vec<(u64, u64)>,
    since: BTreeMap<u64, u64>,
    /// Windows that are in force no longer, and when they ended.
    ended: BTreeMap<u64, u64>,
    /// What was in force before, and until when an isolate may not know that it is no longer.
    before: Vec<(Vec<(u64, u64)>, u64)>,
    /// Admissions, in true time.
    log: Vec<u64>,
}

impl Key {
    /// The first of these windows that has admitted too much, with what it admitted.
    fn over(&self, windows: &[(u64, u64)], now: u64) -> Option<(u64, u64, u64)> {
        let inside = |(limit, seconds): &(u64, u64)| {
            let from = (now + 1).saturating_sub(seconds * 1_000).max(self.since[seconds]);
            (self.log.iter().rev().take_while(|at| **at >= from).count() as u64, *limit, *seconds)
        };
        windows.iter().map(inside).find(|(inside, limit, _)| inside > limit)
    }
}

/// A toy world under a clock that lies: `behind` is how far.
struct World {
    toy: Toy,
    behind: u64,
    policy: usize,
    keys: Vec<Key>,
    /// How far the clock of each isolate is ahead of the objects'.
    ahead: [u64; ISOLATES],
    leased: u64,
}

impl World {
    fn new(ahead: [u64; ISOLATES]) -> Self {
        let toy = Toy::changed(&[("POLICY_TOML", &policy(0))]);
        toy.workspace("acme");
        let key = |tier: usize| {
            let (name, windows, _) = TIERS[0][tier];
            let (id, secret) = toy.server_key("acme", "live", &json!({"tier": name}));
            let since = windows.iter().map(|(_, seconds)| (*seconds, 0)).collect();
            let (windows, ended, log, before) = (windows.to_vec(), BTreeMap::new(), Vec::new(), Vec::new());
            Key { id, secrets: vec![secret], tier, windows, since, ended, before, log }
        };
        let keys = vec![key(0), key(1)];
        Self { toy, behind: 0, policy: 0, keys, ahead, leased: 0 }
    }

    /// True time.
    fn now(&self) -> u64 {
        self.toy.now_millis() - self.toy.ahead.get() - START + self.behind
    }

    /// Other windows are in force. One that comes back within its own length had better remember.
    fn enforce(&mut self, number: usize) {
        let now = self.now();
        let key = &mut self.keys[number];
        key.before.push((key.windows.clone(), now + LEASE_MILLIS));
        for (_, seconds) in std::mem::take(&mut key.windows) {
            key.ended.insert(seconds, now);
        }
        let windows = TIERS[self.policy][key.tier].1;
        for (_, seconds) in windows {
            // What was in force until just now goes on.
            let is_fresh = key.ended.remove(seconds).is_none_or(|ended| now - ended > seconds * 1_000);
            if is_fresh {
                key.since.insert(*seconds, now);
            }
        }
        key.windows = windows.to_vec();
    }

    fn call(&mut self, isolate: usize, number: usize, secret: usize) -> Answer {
        self.toy.chosen.set(isolate);
        self.toy.ahead.set(self.ahead[isolate]);
        let now = self.now();
        let key = &mut self.keys[number];
        let answer = self.toy.whoami(&key.secrets[secret % key.secrets.len()]);
        self.toy.ahead.set(0);
        match answer.status {
            200 => {
                self.leased += u64::from(answer.hops == 0);
                key.log.push(now);
                let over = key.over(&key.windows, now);
                // A lease is held to the limits under which it was taken.
                key.before.retain(|(_, until)| now < *until);
                let is_held =
                    answer.hops == 0 && key.before.iter().any(|(windows, _)| key.over(windows, now).is_none());
                assert!(over.is_none() || is_held, "{over:?}: admitted, limit, seconds; at {now}");
            }
            401 | 429 => {}
            _ => panic!("{}", answer.text),
        }
        answer
    }

    fn patch(&mut self, number: usize, tier: usize) {
        let path = format!("/v1/credentials/{}", self.keys[number].id);
        self.toy.admin("PATCH", &path, &json!({"tier": TIERS[0][tier].0})).ok(200);
        self.keys[number].tier = tier;
        self.enforce(number);
    }

    fn look_everywhere(&mut self) {
        (0..ISOLATES).for_each(|isolate| drop(self.call(isolate, 0, 0)));
    }
}

#[derive(Clone, Debug)]
enum Event {
    /// Calls of a key, with a gap in milliseconds, in one isolate or in all in turn.
    Calls(usize, Option<usize>, u16, u64, u8),
    /// An isolate dies with all that it held.
    Death(usize),
    /// Objects lose their memory, whatever that knew.
    Crash,
    /// Idle for ten seconds: the alarms have rung, then the objects go.
    Eviction,
    /// Every clock steps back.
    Back(u64),
    /// The clock of one isolate is another.
    Ahead(usize, u64),
    Pause(u64),
    Rotate(usize, u64),
    Tier(usize, usize),
    Policy,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let (key, isolate) = (0usize..2, 0..ISOLATES);
    let event = prop_oneof![
        16 => (key.clone(), prop::option::of(isolate.clone()), 20u16..300, prop_oneof![Just(0u64), 0u64..6, 0u64..60], any::<u8>())
            .prop_map(|(key, isolate, count, gap, dice)| Event::Calls(key, isolate, count, gap, dice)),
        2 => isolate.clone().prop_map(Event::Death),
        1 => Just(Event::Crash),
        1 => Just(Event::Eviction),
        1 => prop_oneof![0u64..3, 0u64..7_200].prop_map(Event::Back),
        1 => (isolate, prop_oneof![0u64..3_000, 0u64..9_000_000]).prop_map(|(isolate, ahead)| Event::Ahead(isolate, ahead)),
        6 => prop_oneof![0u64..1_500, 0u64..12_000, 0u64..60_000].prop_map(Event::Pause),
        1 => (key.clone(), prop_oneof![Just(0u64), 1u64..600]).prop_map(|(key, overlap)| Event::Rotate(key, overlap)),
        2 => (key, 0usize..4).prop_map(|(key, tier)| Event::Tier(key, tier)),
        1 => Just(Event::Policy),
    ];
    proptest::collection::vec(event, 1..30)
}

fn live(ahead: [u64; ISOLATES], events: Vec<Event>, on_its_way: Option<OnItsWay>) -> u64 {
    let mut world = World::new(ahead);
    world.toy.on_its_way.set(on_its_way);
    for event in events {
        match event {
            Event::Calls(key, isolate, count, gap, dice) => {
                for call in 0..count {
                    world.toy.advance_millis(gap);
                    let isolate = isolate.unwrap_or(usize::from(call) % ISOLATES);
                    let newest = world.keys[key].secrets.len() - 1;
                    let secret = if call % 7 == 6 { usize::from(dice) } else { newest };
                    world.call(isolate, key, secret);
                }
            }
            Event::Death(0) => world.toy.isolate.forget(),
            Event::Death(other) => world.toy.others[other - 1].forget(),
            Event::Crash => world.toy.forget(),
            Event::Eviction => {
                world.toy.advance(10);
                world.toy.forget();
            }
            Event::Back(seconds) => {
                let seconds = seconds.min((world.toy.now_millis() - START) / 1_000);
                world.toy.step_back(seconds);
                world.behind += seconds * 1_000;
                // A clock that has caught up again before anybody looked cannot be found behind.
                world.look_everywhere();
            }
            Event::Ahead(isolate, ahead) => {
                world.ahead[isolate] = ahead;
                world.look_everywhere();
            }
            Event::Pause(millis) => world.toy.advance_millis(millis),
            Event::Rotate(key, overlap) => {
                let path = format!("/v1/credentials/{}/rotate", world.keys[key].id);
                let rotated = world.toy.admin("POST", &path, &json!({"overlap_seconds": overlap})).ok(201);
                world.keys[key].secrets.push(rotated.text_at("secret"));
            }
            Event::Tier(key, tier) => world.patch(key, tier),
            Event::Policy => {
                world.policy = 1 - world.policy;
                world.toy.config.as_mut().unwrap().policy = parse(&policy(world.policy)).unwrap();
                (0..world.keys.len()).for_each(|key| world.enforce(key));
            }
        }
    }
    world.leased
}

/// Clocks that differ by up to two hours and a half.
fn clocks() -> impl Strategy<Value = [u64; ISOLATES]> {
    prop::array::uniform4(prop_oneof![Just(0u64), 0u64..9_000_000])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn h_no_window_ever_admits_more_than_its_limit_whatever_isolates_hold(ahead in clocks(), events in events()) {
        live(ahead, events, None);
    }
}

/// What an object would answer that counts the permits of a lease where they are handed out, and not where they end.
fn too_early(reply: Vec<u8>) -> Vec<u8> {
    match host::read::<Credential>(&reply) {
        Ok(Reply::Admission(mut presented)) => {
            if let Some(lease) = &mut presented.lease {
                lease.millis += 8_000;
            }
            let mut changed = reply[..2].to_vec();
            changed.extend(cbor::write(&Reply::Admission(presented)));
            changed
        }
        _ => reply,
    }
}

#[test]
fn the_log_notices_an_object_that_counts_a_lease_before_its_end() {
    let config =
        ProptestConfig { cases: 200, failure_persistence: None, max_shrink_iters: 0, ..ProptestConfig::default() };
    // The same days each time.
    let dice = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let noticed = TestRunner::new_with_rng(config, dice).run(&(clocks(), events()), |(ahead, events)| {
        let day = std::panic::AssertUnwindSafe(|| live(ahead, events, Some(too_early)));
        std::panic::catch_unwind(day).map(drop).map_err(|_| TestCaseError::fail("over the limit"))
    });
    assert!(noticed.is_err(), "not in 200 days");
}

#[test]
fn permits_that_were_used_in_the_last_moment_of_a_lease_count_for_a_whole_window_from_there() {
    late(|_| {});
}

#[test]
fn an_object_that_crashes_right_after_it_handed_out_permits_admits_nothing_twice() {
    late(Toy::forget);
}

/// Isolates that take leases, with something that happens after every call, use them in the last moment, and then all that there is.
fn late(happening: fn(&Toy)) {
    let mut world = World::new([0; ISOLATES]);
    // 2,000 in 40 s, and leases of two seconds.
    world.patch(0, 2);
    for isolate in 0..ISOLATES {
        for _ in 0..80 {
            world.toy.advance_millis(2);
            world.call(isolate, 0, 0);
            happening(&world.toy);
        }
    }
    world.toy.advance_millis(1_300);
    let before = world.leased;
    for isolate in 0..ISOLATES {
        while world.call(isolate, 0, 0).hops == 0 {}
    }
    let late = world.leased - before;
    assert!(late > 50, "{late} were held for more than a second");
    // Whoever takes all that is left finds the windows full from there on: each admission is held against the log.
    let mut refused = 0;
    for _ in 0..45_000 / 10 {
        while world.call(0, 0, 0).status == 200 {}
        refused += 1;
        world.toy.advance_millis(10);
    }
    assert!(refused > 4_000);
}

#[test]
fn random_days_ride_on_leases_most_of_the_time() {
    let calls = (0..20).map(|round| Event::Calls(0, Some(round % ISOLATES), 100, 8, 0));
    let day = [Event::Tier(0, 2)].into_iter().chain(calls).collect();
    let leased = live([0, 3_600_000, 5, 0], day, None);
    assert!(leased > 1_000, "{leased}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// A permit counts for the window, a slot (a sixtieth of it) and a lease (a twentieth), so this is what a window admits.
    #[test]
    fn a_steady_caller_a_fourteenth_below_its_limits_is_never_refused(
        limit in 200u64..6_000, seconds in prop_oneof![Just(5u64), Just(10), Just(30)], lease in 1u64..60, offset in 0u64..60_000,
    ) {
        let policy = format!("brand = \"gs\"\n[tiers.hot]\nrequests = {{ limit = {limit}, window_seconds = {seconds} }}\nlease_seconds = {lease}\n");
        let toy = Toy::changed(&[("POLICY_TOML", &policy)]);
        toy.workspace("acme");
        toy.advance_millis(offset);
        let (_, key) = toy.server_key("acme", "live", &json!({"tier": "hot"}));
        let micros = seconds * 1_000_000 * 14 / 13 / limit + 1;
        let (mut past, mut hops) = (0, 0);
        let calls = limit * 2 + limit / 2;
        for call in 0..calls {
            let due = call * micros / 1_000;
            toy.advance_millis(due - past);
            past = due;
            let answer = toy.whoami(&key);
            hops += answer.hops;
            prop_assert_eq!(answer.status, 200, "call {} of {} in {} s", call, limit, seconds);
        }
        prop_assert!(hops < usize::try_from(calls).unwrap() || limit < 400, "{} hops for {}", hops, calls);
    }
}
