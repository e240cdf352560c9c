//! `cargo bench --locked --bench linear`: how long readers of what anybody may send take for twice as much. Steps are counted in
//! `tests/road_trust.rs`, which `make test` runs; this measures time, so it runs alone.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a measurement")]
#![allow(
    clippy::disallowed_methods,
    clippy::type_complexity,
    reason = "a bench has a clock, and lists what it measures"
)]

use claviger::{
    call::config::Config,
    json::Members,
    world::upstream::{Rules, forwarded},
};
use std::{
    hint::black_box,
    process::ExitCode,
    time::{Duration, Instant},
};

/// Twice as much takes twice as long, and what a machine does meanwhile comes on top.
const MOST: f64 = 2.7;

const SIZES: [usize; 3] = [8 << 10, 16 << 10, 32 << 10];

/// The growth from the smallest size to the largest, for each doubling: of the shortest run of each, in which nothing else
/// happened. All sizes take turns.
fn growth(name: &str, read: &dyn Fn(usize) -> Box<dyn FnMut()>) -> f64 {
    let mut runs = SIZES.map(read);
    let mut best = [Duration::MAX; 3];
    let until = Instant::now() + Duration::from_millis(1_500);
    let mut rounds = 0;
    while Instant::now() < until || rounds < 5 {
        for (run, best) in runs.iter_mut().zip(&mut best) {
            let began = Instant::now();
            run();
            *best = began.elapsed().min(*best);
        }
        rounds += 1;
    }
    let times = best.map(|time| time.as_secs_f64());
    let ratio = (times[2] / times[0]).sqrt();
    let micros = times.map(|seconds| format!("{:.1}", seconds * 1e6)).join(", ");
    println!("{name:<44} {micros} µs, × {ratio:.2} for each doubling");
    ratio
}

/// What looked for credentials before: the longest run behind every place where the brand stands.
fn old_is_like_credential(text: &str, brand: &str) -> bool {
    let longest_run = |text: &str| {
        let runs = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
        runs.map(str::len).max().unwrap_or_default()
    };
    let text = text.to_ascii_lowercase();
    text.match_indices(brand).any(|(at, found)| {
        let rest = text.get(at + found.len()..).and_then(|rest| rest.strip_prefix("_st_"));
        rest.is_some_and(|rest| longest_run(rest) >= 32)
    })
}

fn main() -> ExitCode {
    let variables = [
        ("ROOT_SECRETS", "r1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"),
        ("ORIGIN", "https://auth.example"),
        ("STAGE", "dev"),
        ("DEPLOYMENT", "local"),
    ];
    let config =
        Config::parse(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()));
    let config: &'static Config = Box::leak(Box::new(config.expect("the variables are sound")));
    let text = |size: usize| ".clv_st_".repeat(size / 8);
    let readers: [(&str, &dyn Fn(usize) -> Box<dyn FnMut()>); 5] = [
        ("is it like a credential: .clv_st_…", &|size| {
            let text = text(size);
            Box::new(move || {
                let _ = black_box(config.door().is_like_credential(&text));
            })
        }),
        ("is it like a secret: .clv_st_…", &|size| {
            let text = text(size);
            Box::new(move || {
                let _ = black_box(config.door().is_like_secret(&text));
            })
        }),
        ("a path: a/a/a…", &|size| {
            let path = format!("/{}", "a/".repeat(size / 2));
            Box::new(move || {
                let _ = black_box(config.policy.route("GET", &path));
            })
        }),
        ("headers beside what Connection lists", &|size| {
            let mut headers: Vec<(String, String)> =
                (0..size / 16).map(|number| (format!("x-{number:06}"), String::new())).collect();
            let listed: Vec<String> = (0..size / 32).map(|number| format!("y-{number:06}")).collect();
            headers.push(("connection".to_owned(), listed.join(",")));
            Box::new(move || {
                let _ = black_box(forwarded(headers.clone(), &Rules::default()));
            })
        }),
        ("JSON: objects of members", &|size| {
            let one = format!("{{{}}}", (0..60).map(|n| format!("\"m{n:02}\":1")).collect::<Vec<_>>().join(","));
            let text = format!("{{\"a\":[{}]}}", vec![one.clone(); size / one.len()].join(","));
            Box::new(move || {
                let _ = black_box(Members::parse(&text));
            })
        }),
    ];
    let mut is_linear = true;
    for (name, read) in readers {
        is_linear &= growth(name, read) <= MOST;
    }
    let old = growth("the control: the reader before, .clv_st_…", &|size| {
        let text = text(size);
        Box::new(move || {
            let _ = black_box(old_is_like_credential(&text, "clv"));
        })
    });
    if old <= MOST {
        println!("the control is not seen: these numbers say nothing");
    }
    if is_linear && old > MOST { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
