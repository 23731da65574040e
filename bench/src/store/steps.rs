//! What one process does and measures.

use super::world::World;
use anyhow::{Context, Result, ensure};
use clap::{Subcommand, ValueEnum};
use dhcp_lease::ChangeLog;
use dhcp_userspace::settings::Durability;
use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Records in one change log: a batch of the server's.
const BATCH: usize = 64;
/// Logs under way at a time, as many as a worker has.
const LOGS: usize = 8;

/// A step, in a process of its own.
#[derive(Subcommand)]
pub enum Step {
    /// Grant so many leases, then wait to be killed
    Fill {
        /// The store
        directory: PathBuf,
        /// How many
        leases: u64,
    },
    /// Open the store, say how long that took and what it costs, then end as `then` says
    Open {
        /// The store
        directory: PathBuf,
        /// How many leases it has
        leases: u64,
        /// How to end
        then: Then,
    },
    /// Renew leases for some seconds: how many commits a second, and how long each batch waits
    Commits {
        /// The store
        directory: PathBuf,
        /// How many leases it has
        leases: u64,
        /// What a commit is to survive
        durability: Survives,
        /// For how long
        seconds: f64,
    },
    /// Look up clients and change addresses, in a pool that is 1 % full and in one that is 99.99 % full
    Fullness {
        /// For two new stores
        directory: PathBuf,
        /// How many leases in each
        leases: u64,
        /// How many turns
        rounds: u32,
    },
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Then {
    /// It waits to be killed.
    Die,
    /// It renews every lease, and then waits to be killed: nearly every page is dirty.
    ChurnAndDie,
    /// In good order.
    Stop,
}

/// What a commit survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Survives {
    /// A power cut.
    Power,
    /// The death of the process.
    Process,
}

impl From<Survives> for Durability {
    fn from(survives: Survives) -> Self {
        match survives {
            Survives::Power => Self::Power,
            Survives::Process => Self::Process,
        }
    }
}

impl Step {
    /// Does it, and says what it measured.
    ///
    /// # Errors
    /// Those of the store.
    pub fn run(&self) -> Result<()> {
        match self {
            Self::Fill { directory, leases } => fill(directory, *leases),
            Self::Open {
                directory,
                leases,
                then,
            } => open(directory, *leases, *then),
            Self::Commits {
                directory,
                leases,
                durability,
                seconds,
            } => commits(directory, *leases, (*durability).into(), *seconds),
            Self::Fullness {
                directory,
                leases,
                rounds,
            } => fullness(directory, *leases, *rounds),
        }
    }
}

fn fill(directory: &Path, leases: u64) -> Result<()> {
    let world = World::open(directory, leases, leases, Durability::Process)?;
    let mut log = ChangeLog::default();
    let started = Instant::now();
    for number in 0..leases {
        world.grant(number, &mut log)?;
    }
    let seconds = started.elapsed().as_secs_f64();
    say(&json!({ "commits_per_second": leases as f64 / seconds, "memory": memory()? }))?;
    wait_to_be_killed()
}

fn open(directory: &Path, leases: u64, then: Then) -> Result<()> {
    let started = Instant::now();
    let world = World::open(directory, leases, leases, Durability::Process)?;
    let seconds = started.elapsed().as_secs_f64();
    ensure!(
        world.live == leases,
        "{} leases were found, and {leases} were granted",
        world.live
    );
    let mut said = json!({ "open_seconds": seconds, "memory": memory()? });
    match then {
        Then::Die => {}
        Then::ChurnAndDie => {
            let mut log = ChangeLog::default();
            for number in 0..leases {
                world.grant(number, &mut log)?;
            }
        }
        Then::Stop => {
            let started = Instant::now();
            world.stop()?;
            if let Some(said) = said.as_object_mut() {
                said.insert(
                    "stop_seconds".into(),
                    started.elapsed().as_secs_f64().into(),
                );
            }
            return say(&said);
        }
    }
    say(&said)?;
    let _world = world;
    wait_to_be_killed()
}

/// One worker that has always as many logs under way as it may, each of a batch of renewals.
fn commits(directory: &Path, leases: u64, durability: Durability, seconds: f64) -> Result<()> {
    let world = World::open(directory, leases, leases, durability)?;
    let handle = world.handle().context("a way to the journal")?;
    let mut idle: Vec<ChangeLog> = (0..LOGS).map(|_| ChangeLog::with_capacity(BATCH)).collect();
    let mut under_way: VecDeque<Instant> = VecDeque::new();
    let mut waits: Histogram<u64> = Histogram::new_with_bounds(1, 60_000_000_000, 3)?;
    let mut clients = Shuffle::new(leases);
    let (started, limit) = (Instant::now(), Duration::from_secs_f64(seconds));
    let mut count = 0;
    while started.elapsed() < limit || !under_way.is_empty() {
        if started.elapsed() < limit
            && let Some(mut log) = idle.pop()
        {
            let begun = Instant::now();
            for _ in 0..BATCH {
                world.grant(clients.next(), &mut log)?;
            }
            count += BATCH as u64;
            if log.is_empty() {
                waits.saturating_record(crate::clock::nanoseconds(begun.elapsed()));
                idle.push(log);
            } else {
                under_way.push_back(begun);
                handle.submit(log);
            }
        }
        while let Some(mut returned) = handle.take_returned() {
            ensure!(returned.is_durable, "the journal failed");
            world.store.settle(&mut returned.log, &world.pools);
            handle.settled(returned.sequence);
            idle.push(returned.log);
            if let Some(begun) = under_way.pop_front() {
                waits.saturating_record(crate::clock::nanoseconds(begun.elapsed()));
            }
        }
    }
    let per_second = count as f64 / started.elapsed().as_secs_f64();
    say(&json!({
        "commits_per_second": per_second,
        "batch_p50_seconds": waits.value_at_quantile(0.5) as f64 / 1e9,
        "batch_p99_seconds": waits.value_at_quantile(0.99) as f64 / 1e9,
    }))?;
    world.stop()
}

fn fullness(directory: &Path, leases: u64, rounds: u32) -> Result<()> {
    let mut pools = [
        Pool::open(&directory.join("sparse"), leases, leases * 100)?,
        Pool::open(&directory.join("full"), leases, leases * 10_000 / 9_999)?,
    ];
    for round in 0..rounds + 1 {
        for pool in &mut pools {
            let (find, commit) = (pool.find()?, pool.exchange()?);
            // The first turn warms the caches.
            if round > 0 {
                pool.find.push(find);
                pool.commit.push(commit);
            }
        }
    }
    let [sparse, full] = &pools;
    say(&json!({
        "find": { "sparse": sparse.find, "full": full.find },
        "commit": { "sparse": sparse.commit, "full": full.commit },
    }))
}

/// Operations between two looks at the clock.
const OPERATIONS_PER_ROUND: u32 = 50_000;

/// A store with one pool, and how many nanoseconds an operation took in each turn.
struct Pool {
    world: World,
    log: ChangeLog,
    clients: Shuffle,
    find: Vec<f64>,
    commit: Vec<f64>,
}

impl Pool {
    fn open(directory: &Path, leases: u64, addresses: u64) -> Result<Self> {
        let world = World::open(directory, leases, addresses, Durability::Process)?;
        let mut log = ChangeLog::default();
        for number in 0..leases {
            world.grant(number, &mut log)?;
        }
        Ok(Self {
            world,
            log,
            clients: Shuffle::new(leases),
            find: Vec::new(),
            commit: Vec::new(),
        })
    }

    fn find(&mut self) -> Result<f64> {
        let Self { world, clients, .. } = self;
        timed(|| {
            ensure!(world.is_found(clients.next())?, "a client is not found");
            Ok(())
        })
    }

    fn exchange(&mut self) -> Result<f64> {
        let Self {
            world,
            clients,
            log,
            ..
        } = self;
        timed(|| world.exchange(clients.next(), log))
    }
}

/// How many nanoseconds an operation takes, on the average of a turn.
fn timed(mut operation: impl FnMut() -> Result<()>) -> Result<f64> {
    let started = Instant::now();
    for _ in 0..OPERATIONS_PER_ROUND {
        operation()?;
    }
    Ok(started.elapsed().as_nanos() as f64 / f64::from(OPERATIONS_PER_ROUND))
}

/// Clients in an order that no cache can foretell: a full-period generator.
struct Shuffle {
    state: u64,
    count: u64,
}

impl Shuffle {
    fn new(count: u64) -> Self {
        Self { state: 1, count }
    }

    fn next(&mut self) -> u64 {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((u128::from(self.state) * u128::from(self.count)) >> 64) as u64
    }
}

/// Resident octets, by sort.
fn memory() -> Result<Value> {
    let status = std::fs::read_to_string("/proc/self/status").context("/proc/self/status")?;
    let mut memory = Map::new();
    for (name, key) in [("RssAnon", "anonymous"), ("RssFile", "file")] {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        let kilobytes = kilobytes.with_context(|| format!("no {name} in /proc/self/status"))?;
        memory.insert(key.to_owned(), (kilobytes * 1024).into());
    }
    Ok(memory.into())
}

fn say(what: &Value) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what}")?;
    out.flush().context("standard output")
}

/// Until the other end of standard input is gone, at the latest.
fn wait_to_be_killed() -> Result<()> {
    let read = std::io::stdin().lock().read_to_end(&mut Vec::new());
    read.map(|_| ()).context("standard input")
}
