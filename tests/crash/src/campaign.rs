//! One campaign: a fresh worker, teams of clients at work on it, and the nemesis in their midst.

use crate::{
    client::{Client, World},
    control_plane::ControlPlane,
    limits::{self, Limits},
    messages::Messages,
    nemesis,
    records::{self, Records},
    report::{Report, Tally, Violation},
    revocation::{Revocation, Subject},
    rotation::Rotation,
    server_keys::{self, ServerKeys},
    team,
    worker::{Worker, claviger},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

/// What a team works on.
#[derive(Clone, Copy)]
pub enum Work {
    Messages,
    Revocation,
    Rotation,
    Limits,
    ControlPlane,
    ServerKeys,
    Records,
}

impl Work {
    /// All, and how many clients such a team has.
    pub const ALL: &'static [(Self, usize)] = &[
        (Self::Messages, 3),
        (Self::Revocation, 3),
        (Self::Rotation, 2),
        (Self::Limits, 2),
        (Self::ControlPlane, 3),
        (Self::ServerKeys, 2),
        (Self::Records, 2),
    ];
}

/// One team for each work.
pub const LEAST_CLIENTS: usize = 17;

/// Uses of a key after its revocation, where nothing is killed.
const USES: usize = 4;

/// What is to be done.
pub struct Plan<'a> {
    pub build: &'a Path,
    pub kills: u64,
    pub seed: u64,
    pub clients: usize,
    /// One team for each of these; further ones, where clients are left, for the first.
    pub work: &'a [(Work, usize)],
    /// It ends early when one of these is seen, or any violation where none is named.
    pub wanted: &'a [Violation],
    pub time: Duration,
    /// Whether violations are told when they are seen.
    pub aloud: bool,
}

/// A campaign that is over.
pub struct Outcome {
    pub tally: Tally,
    /// State and logs.
    pub folder: PathBuf,
}

/// Kills.
pub fn run(plan: &Plan) -> io::Result<Outcome> {
    let (world, mut worker) = begin(plan)?;
    thread::scope(|scope| {
        let mut next = 0;
        for (work, size) in plan.work.iter().chain(plan.work.iter().take(1).cycle()) {
            let members = next..(next + size).min(plan.clients);
            if members.is_empty() {
                break;
            }
            next = members.end;
            match work {
                Work::Messages => team::start(scope, &world, Messages::default(), members),
                Work::Revocation => team::start(scope, &world, Revocation, members),
                Work::Rotation => team::start(scope, &world, Rotation::default(), members),
                Work::Limits => team::start(scope, &world, Limits, members),
                Work::ControlPlane => team::start(scope, &world, ControlPlane, members),
                Work::ServerKeys => team::start(scope, &world, ServerKeys, members),
                Work::Records => team::start(scope, &world, Records, members),
            }
        }
        let nemesis = nemesis::run(&mut worker, &world, plan.kills, plan.wanted, plan.time);
        world.over.store(true, Ordering::Relaxed);
        nemesis
    })?;
    Ok(end(&world))
}

/// Kills nothing: revokes so many keys, and uses each of them at once.
pub fn run_pairs(plan: &Plan, pairs: u64) -> io::Result<Outcome> {
    let (world, _worker) = begin(plan)?;
    let taken = AtomicU64::new(0);
    thread::scope(|scope| {
        for number in 0..plan.clients {
            let (world, taken) = (&world, &taken);
            scope.spawn(move || {
                let mut client = Client::new(world, number);
                let workspace = client.fresh("pairs");
                client.workspace(&workspace)?;
                while taken.fetch_add(1, Ordering::Relaxed) < pairs {
                    let subject = Subject::make(&mut client, &workspace)?;
                    subject.visit(&mut client);
                    subject.revoke(&mut client);
                    (0..USES).for_each(|_| subject.visit(&mut client));
                    subject.judge(&client);
                    client.world.report.tally().lives += 1;
                }
                Some(())
            });
        }
    });
    Ok(end(&world))
}

/// Where runs keep their state: in memory if the machine offers that. For a killed process it makes no difference, since
/// the page cache outlives it, and a slow disk would make most of a run waiting. `CRASH_DIR` takes another place.
pub fn scratch() -> PathBuf {
    let memory = Path::new("/dev/shm");
    match std::env::var_os("CRASH_DIR").filter(|folder| !folder.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None if memory.is_dir() => memory.to_owned(),
        None => std::env::temp_dir(),
    }
}

fn begin(plan: &Plan) -> io::Result<(World, Worker)> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let name = format!("claviger-crash-{}-{}", process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let folder = scratch().join(name);
    fs::create_dir_all(folder.join("logs"))?;
    fs::create_dir_all(folder.join("state"))?;

    let secrets = claviger(&["root-secrets", "make"], "")?;
    let deploy_key = claviger(&["deploy-key", "--stage", "dev", "--deployment", "local"], &secrets)?;
    let mut worker = Worker::new(plan.build, &folder, &secrets, &policy())?;
    worker.start()?;
    nemesis::await_answer(worker.address, &deploy_key)?;
    let world = World {
        address: worker.address,
        deploy_key,
        report: Report::new(plan.aloud),
        folder,
        began: Instant::now(),
        seed: plan.seed,
        over: AtomicBool::new(false),
    };
    let mut client = Client::new(&world, plan.clients);
    for workspace in ["messages", "rotation", "limits", records::WORKSPACE] {
        client.workspace(workspace).ok_or_else(|| io::Error::other("no workspace could be made"))?;
    }
    drop(client);
    Ok((world, worker))
}

fn end(world: &World) -> Outcome {
    Outcome { tally: world.report.tally().clone(), folder: world.folder.clone() }
}

fn policy() -> String {
    format!(
        "brand = \"clv\"\n[widget]\nmessages_per_minute = {}\nmessages_per_minute_per_conversation = {}\n\
         conversations_per_hour = {}\nconversations_per_hour_per_key = 1_000_000\npage = 500\n\
         messages_per_hour_per_key = 4_000_000_000\nmessages_per_conversation = 1_000_000\n\
         bytes_per_conversation = 1_073_741_824\n\
         [tiers.calls]\nrequests = {{ limit = {}, window_seconds = {} }}\n{}",
        limits::NETWORK,
        limits::CONVERSATION,
        limits::OPENINGS,
        server_keys::LIMIT,
        server_keys::WINDOW_SECONDS,
        records::ROUTES,
    )
}
