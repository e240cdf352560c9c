//! Tokens against a naive log of all calls: 64 at a time whose answers stream, with amounts, lengths, lost settlements, evictions and
//! clocks that step back by the dice. Never over, whenever within a call its tokens were used, and exact to the token.
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
    admission::token_holds::HOLD_MILLIS,
    upstream::watch::{Ending, Watch},
    world::upstream::Incoming,
};
use serde_json::{Value, json};
use toy::{Answer, START, Toy};

const POLICY: &str = r#"
brand = "gs"
[scopes]
admin = { says = "All", implies = "*" }
[tiers.free]
requests = { limit = 1_000_000, window_seconds = 60 }
tokens = { limit = 40_000, window_seconds = 60 }
[tiers.two]
requests = { limit = 1_000_000, window_seconds = 60 }
tokens = [{ limit = 3_000, window_seconds = 10 }, { limit = 12_000, window_seconds = 120 }]
[tiers.both]
requests = { limit = 400, window_seconds = 10 }
tokens = { limit = 3_000, window_seconds = 10 }
[[routes]]
match = "POST /v1/chat/completions"
accept = ["server_key"]
to = "upstream"
tokens = { reserve = "max_tokens", settle = "usage.total_tokens" }
"#;

/// Limit and seconds of each window.
type Windows = &'static [(u64, u64)];

/// Numbers that the seed foretells.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }
}

/// A call that was admitted, in true time.
#[derive(Clone)]
struct Call {
    from: u64,
    /// What was held, and what it used at most.
    held: u64,
    used: u64,
    /// When that was known; none: it is not yet.
    until: Option<u64>,
}

/// A client that has a call under way, or waits to make one.
struct Client {
    next: u64,
    /// Which call, its answer, and what that will say.
    under_way: Option<(usize, Watch, Option<u64>, Ending)>,
}

struct World {
    toy: Toy,
    id: String,
    key: String,
    windows: Windows,
    dice: Dice,
    /// How far the clock is behind.
    behind: u64,
    log: Vec<Call>,
    made: u64,
    refused: u64,
    /// Whether the clock has never stepped: then the log foretells every number.
    is_exact: bool,
}

impl World {
    fn new(tier: &str, windows: Windows, seed: u64) -> Self {
        let toy = Toy::changed(&[("POLICY_TOML", POLICY), ("UPSTREAM", "https://api.example")]);
        toy.workspace("acme");
        let (id, key) = toy.server_key("acme", "live", &json!({"tier": tier}));
        toy.holds_answers.set(true);
        let headers = vec![("content-type".to_owned(), "text/event-stream".to_owned())];
        *toy.upstream.borrow_mut() = Ok(Incoming { status: 200, headers });
        let dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        Self { toy, id, key, windows, dice, behind: 0, log: Vec::new(), made: 0, refused: 0, is_exact: true }
    }

    /// True time.
    fn now(&self) -> u64 {
        self.toy.now_millis() + self.behind - START
    }

    fn turn_to(&mut self, moment: u64) {
        let millis = moment.saturating_sub(self.now());
        self.toy.advance_millis(millis);
    }

    /// What is left, by the log: what is held counts, and what was used until a window after the slot in which that was known.
    fn left(&self, (limit, seconds): (u64, u64)) -> i64 {
        let slot = (seconds * 1_000).div_ceil(60);
        let now = START + self.now();
        let counts = |call: &Call| match call.until {
            None => call.held,
            Some(until) if ((START + until) / slot + 1) * slot + seconds * 1_000 > now => call.used,
            Some(_) => 0,
        };
        limit as i64 - self.log.iter().map(counts).sum::<u64>() as i64
    }

    fn least_left(&self) -> i64 {
        self.windows.iter().map(|window| self.left(*window)).min().unwrap()
    }

    /// A call, and what it would hold.
    fn call(&mut self, most: u64) -> (Answer, u64) {
        let body = json!({"max_tokens": most});
        self.made += 1;
        *self.toy.request_id.borrow_mut() = format!("req_{}", self.made);
        let answer = self.toy.server(&self.key, "POST", "/v1/chat/completions", &body);
        (answer, most + body.to_string().len().div_ceil(4) as u64)
    }

    fn begin(&mut self, client: &mut Client) {
        let most = self.dice.below(self.windows[0].0 / 8) + 1;
        let expected = self.least_left();
        let (answer, held) = self.call(most);
        if self.is_exact {
            assert_eq!(answer.status == 200, expected >= held as i64, "{held} of {expected}: {}", answer.text);
        }
        if answer.status == 429 {
            assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);
            self.refused += 1;
            client.next = self.now() + 50 + self.dice.below(2_000);
            return;
        }
        assert_eq!(answer.status, 200, "{}", answer.text);
        let used = match self.dice.below(8) {
            0 => held,
            1 => 0,
            _ => self.dice.below(held + 1),
        };
        let from = self.now();
        // Of some calls nobody ever says what they used.
        let (said, ending) = match self.dice.below(12) {
            0 => (None, Ending::Whole),
            1 => (None, Ending::Cut),
            2 => (Some(used), Ending::Cut),
            _ => (Some(used), Ending::Whole),
        };
        // What is cut short counts what was held, since less was told.
        let counts = said.filter(|_| ending == Ending::Whole).unwrap_or(held);
        self.log.push(Call { from, held, used: counts, until: None });
        if self.is_exact {
            let left: i64 = answer.header("x-ratelimit-remaining-tokens").unwrap().parse().unwrap();
            assert_eq!(left, self.least_left());
        }
        let watch = self.toy.under_way.borrow_mut().pop().unwrap();
        client.under_way = Some((self.log.len() - 1, watch, said, ending));
        client.next = from + 20 + if self.dice.one_in(10) { self.dice.below(45_000) } else { self.dice.below(9_000) };
    }

    /// The answer of a call ends; or it is lost, as by a crash of whoever would have settled it.
    fn end(&mut self, client: &mut Client, loses: bool) {
        let (number, watch, said, ending) = client.under_way.take().unwrap();
        client.next = self.now() + self.dice.below(300);
        if loses && self.dice.one_in(15) {
            self.log[number].used = self.log[number].held;
            return;
        }
        let text = said.map(|used| format!("data: {{\"usage\":{{\"total_tokens\":{used}}}}}\n\n"));
        let parts: Vec<Vec<u8>> = text.iter().map(|text| text.clone().into_bytes()).collect();
        self.toy.pass(watch, &parts, ending).unwrap();
        self.log[number].until = Some(self.now());
    }

    /// In no window more than the limit, though every call used its tokens when that is worst.
    fn check(&self) {
        for (limit, seconds) in self.windows {
            let (mut most, mut at) = (0, 0);
            for call in &self.log {
                let start = (call.from + 1).saturating_sub(seconds * 1_000);
                // One that is never settled may be at work until it is given up.
                let over = |other: &Call| other.until.unwrap_or(other.from + HOLD_MILLIS) < start;
                let inside = self.log.iter().filter(|other| other.from <= call.from && !over(other));
                let sum: u64 = inside.map(|other| other.used).sum();
                if sum > most {
                    (most, at) = (sum, call.from);
                }
            }
            assert!(most <= *limit, "{most} of {limit} in {seconds} s, until {at}");
            assert!(most > limit * 8 / 10, "only {most} of {limit} in {seconds} s: it was never tight");
        }
    }

    fn total(&self) -> u64 {
        let usage = self.toy.admin("GET", &format!("/v1/credentials/{}/usage", self.id), &Value::Null).ok(200);
        usage.json["tokens"]["used"].as_u64().unwrap()
    }
}

/// So many clients for so long.
fn run(world: &mut World, clients: u64, millis: u64, loses: bool, steps: bool) {
    let mut clients: Vec<Client> =
        (0..clients).map(|n| Client { next: world.now() + n * 7, under_way: None }).collect();
    let end = world.now() + millis;
    loop {
        let number = (0..clients.len()).min_by_key(|number| clients[*number].next).unwrap();
        if clients[number].next >= end {
            break;
        }
        world.turn_to(clients[number].next);
        let client = &mut clients[number];
        if client.under_way.is_some() {
            world.end(client, loses)
        } else {
            world.begin(client)
        }
        if world.dice.one_in(40) {
            world.toy.forget();
        }
        if steps && world.dice.one_in(400) {
            let far = world.dice.one_in(3);
            let seconds = 1 + world.dice.below(if far { 3_600 } else { 30 });
            world.toy.step_back(seconds);
            (world.behind, world.is_exact) = (world.behind + seconds * 1_000, false);
        }
    }
    // What is still under way ends.
    for client in clients.iter_mut().filter(|client| client.under_way.is_some()) {
        world.end(client, false);
    }
}

#[test]
fn sixty_four_streams_against_40_000_a_minute_for_3_windows_are_never_over_and_exact_to_the_token() {
    for seed in 1..=3 {
        let mut world = World::new("free", &[(40_000, 60)], seed);
        run(&mut world, 64, 180_000, false, false);
        assert!(
            world.log.len() > 100 && world.refused > 100,
            "{} admitted, {} refused",
            world.log.len(),
            world.refused
        );
        world.check();
        assert_eq!(
            world.toy.whoami(&world.key).header("x-ratelimit-remaining-tokens").unwrap(),
            world.least_left().to_string()
        );
        assert_eq!(world.total(), world.log.iter().map(|call| call.used).sum::<u64>());
        world.toy.advance(61);
        assert_eq!(world.toy.whoami(&world.key).header("x-ratelimit-remaining-tokens"), Some("40000"));
    }
}

#[test]
fn lost_settlements_evictions_and_clocks_that_step_back_never_let_more_through() {
    for seed in 1..=4 {
        let mut world = World::new("two", &[(3_000, 10), (12_000, 120)], seed);
        run(&mut world, 16, 240_000, true, seed % 2 == 0);
        world.check();
        assert!(world.log.iter().any(|call| call.until.is_none()), "none was lost");
        // In the end all of them are given up: everything was counted once, and everything has left.
        world.toy.advance_millis(HOLD_MILLIS + 125_000);
        assert_eq!(world.toy.whoami(&world.key).header("x-ratelimit-remaining-tokens"), Some("3000"));
        assert_eq!(world.total(), world.log.iter().map(|call| call.used).sum::<u64>());
    }
}

#[test]
fn requests_from_blocks_and_calls_that_hold_tokens_share_a_row_and_neither_loses_the_others() {
    for seed in 1..=3 {
        let mut world = World::new("both", &[(3_000, 10)], seed);
        let (mut client, mut requests) = (Client { next: 0, under_way: None }, Vec::new());
        for _ in 0..6_000 {
            let moment = world.now() + world.dice.below(20);
            world.turn_to(moment);
            let before = world.log.len();
            let was_admitted = match world.dice.below(8) {
                0 if client.under_way.is_some() => {
                    world.end(&mut client, false);
                    false
                }
                0 => {
                    world.is_exact = false; // it may be the requests that are used up
                    world.begin(&mut client);
                    world.log.len() > before
                }
                _ => world.toy.whoami(&world.key).status == 200,
            };
            if was_admitted {
                requests.push(world.now());
                let start = (world.now() + 1).saturating_sub(10_000);
                let inside = requests.iter().rev().take_while(|at| **at >= start).count();
                assert!(inside <= 400, "{inside} of 400 requests");
            }
            if world.dice.one_in(300) {
                world.toy.forget();
            }
        }
        if client.under_way.is_some() {
            world.end(&mut client, false);
        }
        let tight = requests.iter().filter(|at| (10_000..20_000).contains(*at)).count();
        assert!(tight > 300, "only {tight} requests in 10 s");
        let over = world.windows.iter().all(|window| world.left(*window) >= 0);
        assert!(over && world.total() == world.log.iter().map(|call| call.used).sum::<u64>());
        world.toy.advance(12);
        let answer = world.toy.whoami(&world.key);
        let left = ["x-ratelimit-remaining-tokens", "x-ratelimit-remaining"].map(|name| answer.header(name).unwrap());
        assert_eq!(left, ["3000", "399"]);
    }
}

/// The check itself, on a log that is over by one token in one window.
#[test]
fn the_check_sees_one_token_too_many() {
    let call = |from, used, until| Call { from, held: used, used, until: Some(until) };
    let with = |log: Vec<Call>| {
        let mut world = World::new("free", &[(40_000, 60)], 1);
        world.log = log;
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.check())).is_ok()
    };
    assert!(with(vec![call(0, 39_000, 100), call(200, 1_000, 300), call(60_100, 1_000, 60_200)]));
    assert!(
        !with(vec![call(0, 39_000, 100), call(200, 1_000, 300), call(60_099, 1_000, 60_200)]),
        "one is used as it ends"
    );
    assert!(!with(vec![call(0, 39_000, 100), call(200, 1_001, 300)]));
}
