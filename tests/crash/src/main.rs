//! The crash campaign: kills the runtime under load, again and again, and checks everything that it had answered.

mod admin;
mod audit;
mod campaign;
mod check;
mod client;
mod control_plane;
mod controls;
mod http;
mod limits;
mod log;
mod messages;
mod nemesis;
mod records;
mod report;
mod revocation;
mod rotation;
mod server_keys;
mod team;
mod worker;

use campaign::{LEAST_CLIENTS, Outcome, Plan, Work};
use controls::CONTROLS;
use report::Tally;
use std::{
    fs, io, panic,
    path::Path,
    process::{self, ExitCode},
    time::{Duration, Instant},
};

/// After so many kills a run goes on with a fresh worker, on an empty disk.
const KILLS_AT_ONCE: u64 = 1_000;
/// The same for revocations: each key is 17 objects, and a workspace holds 10,000 keys.
const PAIRS_AT_ONCE: u64 = 1_000;
/// A control that was not caught by then never will be.
const CONTROL_TIME: Duration = Duration::from_secs(60);
/// Two teams.
const CONTROL_CLIENTS: usize = 6;

fn main() -> ExitCode {
    // A client that panics would leave its team waiting for ever: everything ends instead, the worker too.
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |what| {
        tell(what);
        process::exit(101);
    }));
    let command = std::env::args().nth(1).unwrap_or_default();
    let passed = match command.as_str() {
        "kills" => kills(),
        "pairs" => pairs(),
        "controls" => controls(),
        _ => Err(io::Error::other("what? `kills`, `pairs` or `controls`")),
    };
    match passed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("crash: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A number from the environment.
fn number(name: &str, default: u64) -> io::Result<u64> {
    match std::env::var(name).unwrap_or_default().as_str() {
        "" => Ok(default),
        text => text.parse().map_err(|_| io::Error::other(format!("{name} is a number, not `{text}`"))),
    }
}

fn plan(build: &Path) -> io::Result<Plan<'_>> {
    let clients = usize::try_from(number("CLIENTS", 18)?).unwrap_or_default();
    if clients < LEAST_CLIENTS {
        return Err(io::Error::other(format!("CLIENTS is at least {LEAST_CLIENTS}: each workload has its own")));
    }
    let seed = number("SEED", fastrand::u64(1..1_000_000_000))?;
    let kills = number("KILLS", 200)?;
    Ok(Plan { build, kills, seed, clients, work: Work::ALL, wanted: &[], time: Duration::MAX, aloud: true })
}

fn kills() -> io::Result<bool> {
    let build = worker::root().join("build");
    let plan = plan(&build)?;
    let place = campaign::scratch();
    println!("{} kills, {} clients, SEED={}, state below {}", plan.kills, plan.clients, plan.seed, place.display());
    let (began, mut all) = (Instant::now(), Tally::default());
    let mut left = plan.kills;
    while left > 0 {
        let part = Plan { kills: left.min(KILLS_AT_ONCE), seed: plan.seed + all.kills, ..plan };
        left -= part.kills;
        let outcome = campaign::run(&part)?;
        let failed = !outcome.tally.violations.is_empty();
        all.add(outcome.tally.clone());
        if failed {
            print!("{all}");
            return failure(&outcome, part.seed);
        }
        fs::remove_dir_all(outcome.folder)?;
    }
    print!("{all}");
    println!("  {:<20} {:.0} s", "time", began.elapsed().as_secs_f64());
    let unfilled: Vec<_> = limits::NAMES.iter().filter(|name| !all.saturated.contains_key(*name)).collect();
    if !unfilled.is_empty() {
        println!("PROVED NOTHING about limits: no call was refused for {unfilled:?}; take more KILLS");
    }
    Ok(unfilled.is_empty())
}

fn pairs() -> io::Result<bool> {
    let build = worker::root().join("build");
    let plan = plan(&build)?;
    let pairs = number("REVOCATIONS", 1_000)?;
    println!("{pairs} revocations, {} clients, SEED={}", plan.clients, plan.seed);
    let (began, mut all) = (Instant::now(), Tally::default());
    while all.lives < pairs {
        let part = Plan { seed: plan.seed + all.lives, ..plan };
        let outcome = campaign::run_pairs(&part, (pairs - all.lives).min(PAIRS_AT_ONCE))?;
        let failed = !outcome.tally.violations.is_empty();
        all.add(outcome.tally.clone());
        if failed {
            print!("{all}");
            return failure(&outcome, part.seed);
        }
        fs::remove_dir_all(outcome.folder)?;
    }
    print!("{all}");
    println!("  {:<20} {:.0} s", "time", began.elapsed().as_secs_f64());
    Ok(true)
}

fn failure(outcome: &Outcome, seed: u64) -> io::Result<bool> {
    println!("FAILED. Again: make crash SEED={seed}; logs and state: {}", outcome.folder.display());
    Ok(false)
}

/// Each fault must be found.
fn controls() -> io::Result<bool> {
    let folder = campaign::scratch().join(format!("claviger-crash-controls-{}", process::id()));
    let mut all_caught = true;
    for control in CONTROLS {
        let build = control.build(&folder)?;
        let plan = Plan {
            kills: u64::MAX,
            clients: CONTROL_CLIENTS,
            work: &[control.work],
            wanted: control.seen_as,
            time: CONTROL_TIME,
            aloud: false,
            ..plan(&build)?
        };
        let began = Instant::now();
        let Outcome { tally, folder } = campaign::run(&plan)?;
        let kind = control.seen_as.iter().find(|kind| tally.count(**kind) > 0);
        let seconds = began.elapsed().as_secs_f64();
        match kind {
            Some(kind) => println!(
                "caught in {seconds:.1} s and {} kills, as {kind:?}: {} ({})",
                tally.kills, control.name, control.fault
            ),
            None => println!("NOT CAUGHT in {seconds:.0} s, SEED={}: {} ({})", plan.seed, control.name, control.fault),
        }
        all_caught &= kind.is_some();
        fs::remove_dir_all(folder)?;
    }
    fs::remove_dir_all(folder)?;
    Ok(all_caught)
}
