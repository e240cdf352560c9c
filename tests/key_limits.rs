//! Server keys against a naive log of all that was admitted: random days of calls, crashes, evictions, clocks that step back,
//! rotations, changed tiers and changed policies; and each fault that such a day has found, by itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod toy;

use claviger::policy::parse;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use toy::{Answer, START, Toy};

/// The limit and the seconds of each window.
type Windows<'a> = &'a [(u64, u64)];

/// The tiers before and after a change of the policy.
const POLICIES: [[(&str, Windows); 3]; 2] = [
    [("free", &[(30, 10)]), ("two", &[(20, 5), (60, 20)]), ("slow", &[(6, 20)])],
    [("free", &[(12, 10), (70, 30)]), ("two", &[(25, 5), (40, 20)]), ("slow", &[(9, 20)])],
];

/// Numbers of keys of the custom tier.
const NUMBERS: [Windows; 3] = [&[(40, 10), (90, 30)], &[(200, 20)], &[(3, 1), (50, 60)]];

fn policy(number: usize) -> String {
    let tier = |(name, windows): &(&str, Windows)| {
        let window = |(limit, seconds): &(u64, u64)| format!("{{ limit = {limit}, window_seconds = {seconds} }}");
        let windows: Vec<String> = windows.iter().map(window).collect();
        format!("[tiers.{name}]\nrequests = [{}]\n", windows.join(", "))
    };
    let tiers: Vec<String> = POLICIES[number].iter().map(tier).collect();
    let scopes = "\"conversations:read\" = \"Read\"\nadmin = { says = \"All\", implies = \"*\" }\n";
    format!("brand = \"gs\"\n[scopes]\n{scopes}{}[tiers.custom]\ncustom = true\n", tiers.concat())
}

fn limits(windows: Windows) -> Value {
    let window = |(limit, seconds): &(u64, u64)| json!({"limit": limit, "window_seconds": seconds});
    json!({"requests": windows.iter().map(window).collect::<Vec<_>>()})
}

/// A key, with all that was seen of it.
struct Key {
    id: String,
    /// Oldest first.
    secrets: Vec<String>,
    /// What is in force, and since when each of its windows counts, in true time.
    windows: Vec<(u64, u64)>,
    since: BTreeMap<u64, u64>,
    /// Windows that are in force no longer, and when they ended.
    ended: BTreeMap<u64, u64>,
    /// Both, as they were before the windows that are in force; and whether these have counted a call since.
    before: (BTreeMap<u64, u64>, BTreeMap<u64, u64>),
    counted: bool,
    tier: Option<&'static str>,
    /// Admissions, in true time.
    log: Vec<u64>,
    by_secret: BTreeMap<String, u64>,
    scoped: u64,
    denied: u64,
}

/// A toy world under a clock that lies: `behind` is how far.
struct World {
    toy: Toy,
    behind: u64,
    policy: usize,
    keys: Vec<Key>,
    crashed: bool,
}

impl World {
    fn new() -> Self {
        let toy = Toy::changed(&[("POLICY_TOML", &policy(0))]);
        toy.workspace("acme");
        let key = |environment| {
            let (id, secret) = toy.server_key("acme", environment, &json!({"scopes": ["conversations:read"]}));
            let windows = POLICIES[0][0].1.to_vec();
            let since = windows.iter().map(|(_, seconds)| (*seconds, 0)).collect();
            Key {
                id,
                secrets: vec![secret],
                windows,
                since,
                ended: BTreeMap::new(),
                before: Default::default(),
                counted: false,
                tier: Some("free"),
                log: Vec::new(),
                by_secret: BTreeMap::new(),
                scoped: 0,
                denied: 0,
            }
        };
        let keys = vec![key("live"), key("test"), key("live")];
        Self { toy, behind: 0, policy: 0, keys, crashed: false }
    }

    /// True time.
    fn now(&self) -> u64 {
        self.toy.now_millis() - START + self.behind
    }

    /// Other windows are in force. One that comes back within its own length had better remember; one that counted no call was never
    /// seen, since a key's object reads its tier with each call.
    fn enforce(&mut self, number: usize, windows: Windows) {
        let now = self.now();
        let key = &mut self.keys[number];
        if key.counted {
            key.ended.extend(key.windows.iter().map(|(_, seconds)| (*seconds, now)));
        } else {
            (key.since, key.ended) = key.before.clone();
        }
        key.before = (key.since.clone(), key.ended.clone());
        key.counted = false;
        for (_, seconds) in windows {
            let is_fresh = key.ended.remove(seconds).is_none_or(|ended| now - ended > seconds * 1_000);
            if is_fresh {
                key.since.insert(*seconds, now);
            }
        }
        key.windows = windows.to_vec();
    }

    fn call(&mut self, number: usize, secret: usize, what: u8) -> Answer {
        let now = self.now();
        let key = &mut self.keys[number];
        let text = key.secrets[secret % key.secrets.len()].clone();
        let bearer = format!("Bearer {text}");
        let auth = ("authorization", bearer.as_str());
        let answer = match what {
            0 => self.toy.send("GET", "/v1/whoami", &[auth, ("origin", "https://leaky.example")], ""),
            1 => self.toy.send("GET", "/v1/audit", &[auth], ""),
            2..6 => self.toy.send("GET", "/v1/conversations", &[auth], ""),
            _ => self.toy.whoami(&text),
        };
        key.counted |= matches!(answer.status, 200 | 429);
        match answer.status {
            200 => {
                key.log.push(now);
                key.scoped += u64::from(what < 6);
                *key.by_secret.entry(format!("gs_{}_…{}", &text[3..7], &text[36..])).or_default() += 1;
                for (limit, seconds) in &key.windows {
                    let from = (now + 1).saturating_sub(seconds * 1_000).max(key.since[seconds]);
                    let inside = key.log.iter().rev().take_while(|at| **at >= from).count() as u64;
                    assert!(inside <= *limit, "{inside} of {limit} in {seconds} s, at {now}");
                }
            }
            429 | 403 => key.denied += 1,
            401 => {
                answer.refused(401, "revoked_credential");
                key.denied += 1;
            }
            _ => panic!("{}", answer.text),
        }
        answer
    }

    fn patch(&mut self, number: usize, tier: &'static str, numbers: Option<Windows>) {
        let body = match numbers {
            Some(numbers) => json!({"tier": tier, "limits": limits(numbers)}),
            None => json!({"tier": tier}),
        };
        let path = format!("/v1/credentials/{}", self.keys[number].id);
        self.toy.admin("PATCH", &path, &body).ok(200);
        self.keys[number].tier = numbers.is_none().then_some(tier);
        let known = POLICIES[self.policy].iter().find(|(name, _)| *name == tier).map(|(_, windows)| *windows);
        self.enforce(number, numbers.or(known).unwrap());
    }

    fn change_policy(&mut self) {
        self.policy = 1 - self.policy;
        self.toy.config.as_mut().unwrap().policy = parse(&policy(self.policy)).unwrap();
        for number in 0..self.keys.len() {
            let tier = self.keys[number].tier;
            if let Some((_, windows)) = POLICIES[self.policy].iter().find(|(name, _)| Some(*name) == tier) {
                self.enforce(number, windows);
            }
        }
    }

    fn usage(&self, number: usize, bucket: &str) -> Value {
        // Wide enough, wherever the clock stands.
        let days = |at: u64| claviger::codec::time::Timestamp(at).rfc3339();
        let now = self.toy.now_millis();
        let (back, ahead) = if bucket == "minute" { (40_000_000, 40_000_000) } else { (864_000_000, 864_000_000) };
        let span = format!("from={}&to={}", days(now - back), days(now + ahead));
        let path = format!("/v1/credentials/{}/usage?bucket={bucket}&{span}", self.keys[number].id);
        self.toy.admin("GET", &path, &Value::Null).ok(200).json
    }

    /// The usage against the log.
    fn check_usage(&self) {
        for (number, key) in self.keys.iter().enumerate() {
            let usage = self.usage(number, "day");
            let sum = |list: &str, member: &str| -> u64 {
                usage[list].as_array().unwrap().iter().map(|part| part[member].as_u64().unwrap()).sum()
            };
            let (total, denied) = (usage["total"].as_u64().unwrap(), usage["denied"].as_u64().unwrap());
            let admitted = key.log.len() as u64;
            assert_eq!(sum("by_secret", "total"), total);
            assert_eq!((sum("series", "total"), sum("series", "denied")), (total, denied));
            assert!(total <= admitted && denied <= key.denied, "{usage} of {admitted} and {}", key.denied);
            assert!(sum("by_scope", "total") <= key.scoped);
            if self.crashed {
                continue;
            }
            assert_eq!((total, denied, sum("by_scope", "total")), (admitted, key.denied, key.scoped));
            for part in usage["by_secret"].as_array().unwrap() {
                let counted = key.by_secret.get(part["hint"].as_str().unwrap()).copied().unwrap_or_default();
                assert_eq!(part["total"], counted);
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Event {
    /// Calls of a key, with a gap in milliseconds, mostly with its newest secret.
    Calls(usize, u8, u64, u8),
    /// Memory is lost, whatever it knew.
    Crash,
    /// Idle for ten seconds: the alarms have rung, then the object goes.
    Eviction,
    Back(u64),
    Pause(u64),
    Rotate(usize, u64),
    Finish(usize),
    Tier(usize, usize),
    Numbers(usize, usize),
    Policy,
    Usage,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let key = 0usize..3;
    let event = prop_oneof![
        12 => (key.clone(), 1u8..60, prop_oneof![Just(0u64), 0u64..20, 0u64..400], any::<u8>())
            .prop_map(|(key, count, gap, dice)| Event::Calls(key, count, gap, dice)),
        2 => Just(Event::Crash),
        1 => Just(Event::Eviction),
        1 => prop_oneof![0u64..3, 0u64..7_200].prop_map(Event::Back),
        4 => prop_oneof![0u64..1_500, 0u64..25_000, 0u64..4_000_000].prop_map(Event::Pause),
        1 => (key.clone(), prop_oneof![Just(0u64), 1u64..600]).prop_map(|(key, overlap)| Event::Rotate(key, overlap)),
        1 => key.clone().prop_map(Event::Finish),
        2 => (key.clone(), 0usize..3).prop_map(|(key, tier)| Event::Tier(key, tier)),
        2 => (key, 0usize..3).prop_map(|(key, numbers)| Event::Numbers(key, numbers)),
        1 => Just(Event::Policy),
        1 => Just(Event::Usage),
    ];
    proptest::collection::vec(event, 1..60)
}

fn live(events: Vec<Event>) {
    let mut world = World::new();
    for event in events {
        match event {
            Event::Calls(key, count, gap, dice) => {
                for call in 0..count {
                    world.toy.advance_millis(gap);
                    let what = dice.wrapping_mul(31).wrapping_add(call.wrapping_mul(7)) % 16;
                    let newest = world.keys[key].secrets.len() - 1;
                    let secret = if call % 5 == 4 { usize::from(dice) } else { newest };
                    let is_newest = secret % world.keys[key].secrets.len() == newest;
                    let answer = world.call(key, secret, what);
                    assert!(!is_newest || answer.status != 401, "the newest secret lives");
                }
            }
            Event::Crash => {
                world.toy.forget();
                world.crashed = true;
            }
            Event::Eviction => {
                world.toy.advance(10);
                world.toy.forget();
            }
            Event::Back(seconds) => {
                let seconds = seconds.min((world.toy.now_millis() - START) / 1_000);
                world.toy.step_back(seconds);
                world.behind += seconds * 1_000;
                // What waits for a clock that stands an hour behind may be lost in an eviction.
                world.crashed |= seconds > 0;
            }
            Event::Pause(millis) => world.toy.advance_millis(millis),
            Event::Rotate(key, overlap) => {
                let path = format!("/v1/credentials/{}/rotate", world.keys[key].id);
                let rotated = world.toy.admin("POST", &path, &json!({"overlap_seconds": overlap})).ok(201);
                world.keys[key].secrets.push(rotated.text_at("secret"));
            }
            Event::Finish(key) => {
                let path = format!("/v1/credentials/{}/rotate/finish", world.keys[key].id);
                world.toy.admin("POST", &path, &Value::Null).ok(200);
            }
            Event::Tier(key, tier) => world.patch(key, POLICIES[0][tier].0, None),
            Event::Numbers(key, numbers) => world.patch(key, "custom", Some(NUMBERS[numbers])),
            Event::Policy => world.change_policy(),
            Event::Usage => world.check_usage(),
        }
    }
    world.check_usage();
}

#[test]
fn h_a_window_that_no_call_met_is_new_when_it_comes_back() {
    let calls = |count, gap, dice| Event::Calls(2, count, gap, dice);
    live(vec![
        calls(21, 0, 0),
        Event::Policy,
        Event::Policy,
        calls(47, 289, 49),
        calls(21, 0, 0),
        Event::Policy,
        calls(40, 372, 0),
    ]);
    // And one that did is remembered: the two calls are beside one another in a window of 30 s.
    live(vec![
        calls(12, 0, 3),
        Event::Policy,
        calls(1, 0, 3),
        Event::Policy,
        calls(47, 289, 49),
        Event::Policy,
        calls(40, 372, 0),
    ]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn h_no_window_of_a_server_key_ever_admits_more_than_its_limit(events in events()) {
        live(events);
    }

    #[test]
    fn usage_is_exact_where_nothing_crashed(events in events()) {
        let events = events.into_iter().filter(|event| !matches!(event, Event::Crash | Event::Back(_))).collect();
        live(events);
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    /// One slot's worth below the limit, in any rhythm, with evictions whenever it is idle for long enough.
    #[test]
    fn a_steady_caller_a_sixtieth_below_its_limits_is_never_refused(
        most in prop_oneof![2u64..20, 2u64..900], seconds in prop_oneof![Just(1u64), Just(10), Just(60)], offset in 0u64..60_000, longer in any::<bool>(),
    ) {
        let toy = Toy::changed(&[("POLICY_TOML", &policy(0))]);
        toy.workspace("acme");
        toy.advance_millis(offset);
        let mut windows = vec![(most, seconds)];
        windows.extend(longer.then_some((most * 7, seconds * 7)));
        let (_, key) = toy.server_key("acme", "live", &json!({"tier": "custom", "limits": limits(&windows)}));
        let micros = seconds * 61_020_000 / 60 / most + 1_000;
        let mut past = 0;
        for call in 0..(3 * most).min(450) {
            let due = call * micros / 1_000;
            if micros > 11_000_000 && call > 0 {
                toy.advance_millis(due - past - 1_000);
                toy.forget();
                past = due - 1_000;
            }
            toy.advance_millis(due - past);
            past = due;
            prop_assert_eq!(toy.whoami(&key).status, 200, "call {} of {} in {} s", call, most, seconds);
        }
    }
}

fn custom(windows: Windows) -> (Toy, String, String) {
    let toy = Toy::changed(&[("POLICY_TOML", &policy(0))]);
    toy.workspace("acme");
    let (id, key) = toy.server_key("acme", "live", &json!({"tier": "custom", "limits": limits(windows)}));
    (toy, id, key)
}

fn admitted(toy: &Toy, key: &str, calls: usize) -> usize {
    (0..calls).filter(|_| toy.whoami(key).status == 200).count()
}

fn change(toy: &Toy, id: &str, windows: Windows) {
    let body = json!({"tier": "custom", "limits": limits(windows)});
    toy.admin("PATCH", &format!("/v1/credentials/{id}"), &body).ok(200);
}

#[test]
fn keys_of_live_and_test_and_of_one_name_share_no_window_and_no_usage() {
    let toy = Toy::changed(&[("POLICY_TOML", &policy(0))]);
    toy.workspace("acme");
    let make = |environment| toy.server_key("acme", environment, &json!({"tier": "free"}));
    let keys = [make("live"), make("live"), make("test")];
    for (used, (_, key)) in keys.iter().enumerate() {
        assert_eq!(admitted(&toy, key, 40), 30);
        for (id, other) in &keys[used + 1..] {
            let usage = toy.admin("GET", &format!("/v1/credentials/{id}/usage"), &Value::Null).ok(200).json;
            assert_eq!((&usage["total"], other != key), (&json!(0), true));
        }
    }
}

#[test]
fn a_tier_with_other_windows_finds_what_was_admitted_before() {
    let (toy, id, key) = custom(&[(10, 60)]);
    assert_eq!(admitted(&toy, &key, 20), 10);
    change(&toy, &id, &[(10, 30)]);
    assert_eq!(admitted(&toy, &key, 20), 0, "all ten were in these thirty seconds");
    toy.advance(33);
    assert_eq!(admitted(&toy, &key, 20), 10);
    change(&toy, &id, &[(20, 60)]);
    assert_eq!(admitted(&toy, &key, 20), 0, "all twenty were in this minute");
}

#[test]
fn tiers_that_are_changed_back_and_forth_reset_nothing() {
    let (toy, id, key) = custom(&[(10, 60)]);
    assert_eq!(admitted(&toy, &key, 20), 10);
    let mut others = 0;
    for _ in 0..4 {
        change(&toy, &id, &[(5, 10)]);
        toy.advance(12);
        others += admitted(&toy, &key, 20);
        change(&toy, &id, &[(10, 60)]);
        toy.whoami(&key).refused(429, "rate_limited");
    }
    assert_eq!(others, 20);
    // The first ten have left this minute; the twenty that came meanwhile have not.
    toy.advance(14);
    toy.whoami(&key).refused(429, "rate_limited");
}

#[test]
fn a_block_that_was_open_when_the_tier_changed_gives_back_what_was_left() {
    let (toy, id, key) = custom(&[(1_000, 60)]);
    assert_eq!(admitted(&toy, &key, 180), 180);
    change(&toy, &id, &[(500, 60)]);
    let answer = toy.whoami(&key).ok(200);
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("319"));
    change(&toy, &id, &[(400, 30)]);
    let answer = toy.whoami(&key).ok(200);
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("218"));
    toy.advance(5);
    toy.forget();
    change(&toy, &id, &[(500, 60)]);
    let answer = toy.whoami(&key).ok(200);
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("317"));
}

#[test]
fn reading_the_usage_in_a_new_hour_neither_hides_the_one_before_nor_counts_it_twice() {
    let (toy, id, key) = custom(&[(10_000, 60)]);
    let series = || -> u64 {
        let read = toy.admin("GET", &format!("/v1/credentials/{id}/usage"), &Value::Null).ok(200).json;
        let sum = read["series"].as_array().unwrap().iter().map(|step| step["total"].as_u64().unwrap()).sum();
        assert_eq!(read["total"], sum);
        sum
    };
    toy.advance(3_600 - 5);
    admitted(&toy, &key, 20);
    toy.advance_millis(4_500);
    // A block that reaches into the next hour: what is used of it there, memory alone knows.
    assert_eq!(admitted(&toy, &key, 20), 20);
    toy.advance_millis(550);
    toy.server(&key, "GET", "/v1/whoami", &Value::Null).ok(200);
    assert_eq!(series(), 41);
    assert_eq!(series(), 41);
    toy.forget();
    let after = series();
    assert!((20..=41).contains(&after), "{after} of 41");
}

#[test]
fn by_secret_tells_of_the_newest_secrets_however_often_a_key_was_rotated() {
    let (toy, id, mut key) = custom(&[(10_000, 60)]);
    for _ in 0..140 {
        toy.whoami(&key).ok(200);
        toy.advance(3);
        let path = format!("/v1/credentials/{id}/rotate");
        key = toy.admin("POST", &path, &json!({"overlap_seconds": 0})).ok(201).text_at("secret");
    }
    toy.whoami(&key).ok(200);
    let usage = toy.admin("GET", &format!("/v1/credentials/{id}/usage"), &Value::Null).ok(200).json;
    assert_eq!(usage["by_secret"][0]["total"], 1, "{}", usage["by_secret"][0]);
}

#[test]
fn a_secret_that_was_ended_at_once_stays_dead_though_the_clock_steps_back() {
    let (toy, id, old) = custom(&[(10_000, 60)]);
    toy.advance(7_200);
    let rotate = |overlap: u64| {
        let path = format!("/v1/credentials/{id}/rotate");
        toy.admin("POST", &path, &json!({"overlap_seconds": overlap})).ok(201).text_at("secret")
    };
    let second = rotate(0);
    toy.step_back(60);
    toy.whoami(&old).refused(401, "revoked_credential");
    let third = rotate(600);
    toy.whoami(&second).ok(200);
    toy.admin("POST", &format!("/v1/credentials/{id}/rotate/finish"), &Value::Null).ok(200);
    toy.step_back(60);
    toy.whoami(&second).refused(401, "revoked_credential");
    toy.whoami(&third).ok(200);
}

#[test]
fn a_widget_key_that_was_rotated_without_overlap_stays_dead_though_the_clock_steps_back() {
    let toy = Toy::new("default");
    let (id, old) = toy.shop();
    let open =
        |key: &str| toy.send("POST", &format!("/w/{key}/conversations"), &[("origin", toy::ORIGIN)], "{}").status;
    toy.admin("POST", &format!("/v1/credentials/{id}/rotate"), &json!({"overlap_seconds": 0})).ok(201);
    assert_eq!(open(&old), 401);
    toy.step_back(60);
    assert_eq!(open(&old), 401);
}

#[test]
fn usage_is_stored_before_long_though_the_clock_steps_back_or_an_alarm_is_lost() {
    let toy = Toy::changed(&[("POLICY_TOML", "brand = \"gs\"\n[scopes]\nadmin = \"All\"\n")]);
    toy.workspace("acme");
    let (id, key) = toy.server_key("acme", "live", &Value::Null);
    let total = || toy.admin("GET", &format!("/v1/credentials/{id}/usage"), &Value::Null).ok(200).json["total"].clone();
    toy.advance(7_200);
    toy.whoami(&key).ok(200);
    toy.step_back(3_600);
    toy.whoami(&key).ok(200);
    toy.advance(3);
    toy.forget();
    assert_eq!(total(), 2);
    toy.whoami(&key).ok(200);
    // The platform gives an alarm up after six failures.
    toy.objects.borrow_mut().values_mut().for_each(|object| object.alarm = None);
    toy.advance(70);
    toy.whoami(&key).ok(200);
    toy.advance(3);
    toy.forget();
    assert_eq!(total(), 4);
}
