//! The nemesis: kills the worker at moments that the seed chooses, and starts it again on the same state.

use crate::{
    client::{World, log_file},
    http::{Connection, Request},
    log::Log,
    report::Violation,
    worker::Worker,
};
use serde_json::json;
use std::{
    io,
    net::SocketAddr,
    sync::atomic::Ordering,
    thread::sleep,
    time::{Duration, Instant},
};

/// Milliseconds between the first answer after a start and the next kill.
const LIFE_MILLIS: std::ops::RangeInclusive<u64> = 50..=300;
/// Between two looks whether it answers.
const PAUSE: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(60);

/// Kills so often, or until one of the violations that are looked for was seen, or this time is over.
pub fn run(worker: &mut Worker, world: &World, kills: u64, wanted: &[Violation], time: Duration) -> io::Result<()> {
    let mut log = Log::create(&log_file(&world.folder, "nemesis"))?;
    let mut dice = fastrand::Rng::with_seed(world.seed);
    for number in 1..=kills {
        let life = Duration::from_millis(dice.u64(LIFE_MILLIS));
        sleep(life);
        if world.report.tally().has_seen(wanted) || world.began.elapsed() > time {
            break;
        }
        log.announce(&json!({"kill": number, "after_millis": life.as_millis() as u64, "at": world.now()}));
        let killed = Instant::now();
        worker.kill()?;
        worker.start()?;
        await_answer(world.address, &world.deploy_key)?;
        let recovery = u64::try_from(killed.elapsed().as_millis()).unwrap_or(u64::MAX);
        log.note(&json!({"kill": number, "recovered_after_millis": recovery, "at": world.now()}));
        let mut tally = world.report.tally();
        tally.kills += 1;
        tally.recoveries_millis.push(recovery);
    }
    let traps = worker.traps.load(Ordering::Relaxed);
    if traps > 0 {
        world.report.violation(Violation::Surprise, format!("{traps} panics: see worker.log"));
    }
    Ok(())
}

/// Waits until a call that needs two objects is answered.
pub fn await_answer(address: SocketAddr, deploy_key: &str) -> io::Result<()> {
    let request = Request::get("/v1/whoami").with("Authorization", format!("Convex {deploy_key}"));
    let began = Instant::now();
    loop {
        let answer = Connection::open(address).and_then(|mut connection| connection.exchange(&request));
        if matches!(&answer, Ok(answer) if answer.status == 200) {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            return Err(io::Error::other(match answer {
                Ok(answer) => format!("the worker answers {}: {}", answer.status, answer.body),
                Err(error) => format!("the worker cannot be reached: {error}"),
            }));
        }
        sleep(PAUSE);
    }
}
