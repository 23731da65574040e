//! A server process in simulation: the store opened on the simulated disk, the straight line on memory
//! ports, the committer stepped by hand. Dropping it is its death.

use super::client::Millis;
use super::clock::{self, Keeper};
use super::disk::SimDisk;
use super::layout::{self, Layout, VALID_SECONDS};
use crossbeam::utils::CachePadded;
use dhcp_core::{Interface, Policy};
use dhcp_lease::clock::{Clocks, Known, Source};
use dhcp_lease::recovery::Recovery;
use dhcp_lease::{Binding, Journal, Partitions, PoolIndex, Pools, Timestamp};
use dhcp_userspace::commit::{Committer, Handle, Step, StoreState, connect};
use dhcp_userspace::counters::Counters;
use dhcp_userspace::datapath::{Context, Shard};
use dhcp_userspace::history::HistorySettings;
use dhcp_userspace::io::memory::{MemoryFrame, MemoryPort};
use dhcp_userspace::settings::{Durability, Settings, XdpLog};
use dhcp_userspace::store::{JournalFile, OpenError, StateDirectory};
use dhcp_userspace::wake::Waker;
use dhcp_userspace::worker::{Round, tick_all};
use dhcp_wire::id::Duid;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// A process.
pub struct Server {
    /// What opening found.
    pub recovery: Recovery,
    /// A jump of the wall clock was refused.
    pub is_held: bool,
    /// All bindings.
    pub partitions: Arc<Partitions>,
    journal: JournalFile,
    committer: Committer,
    state: Arc<StoreState>,
    workers: Vec<Worker>,
    interface: Interface,
    /// The policy that comes next, until every worker has it and its pools are open.
    next: Option<Arc<Policy>>,
    round: Round,
    /// Server time when the simulated time was 0; it may lie before 1970.
    at_beginning: i64,
    keeper: Keeper,
    /// When the committer wants its next step.
    pub committer_due: Millis,
}

struct Worker {
    shard: Shard<MemoryFrame>,
    port: MemoryPort,
    handle: Handle,
    counters: Arc<CachePadded<Counters>>,
    policy: Arc<Policy>,
    arrived: u64,
}

/// How a process is set up.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// What an acknowledged lease survives.
    pub durability: Durability,
    /// Worker threads.
    pub workers: usize,
    /// Partitions of a new store.
    pub partitions: u32,
}

impl Server {
    /// Starts one. `clocks` are the machine's.
    ///
    /// # Errors
    /// Why the store does not open.
    pub fn start(
        disk: &SimDisk,
        setup: Setup,
        layout: &Layout,
        clocks: Clocks,
        now: Millis,
    ) -> Result<Self, StartError> {
        let directory = directory(disk);
        let interface = layout::interface();
        let duid = directory.duid(Some(interface.mac), clocks.wall)?;
        let settings = settings(setup);
        let policy = Arc::new(layout.policy(duid, None));
        let record = match directory.header()? {
            Some(header) => clock::read(disk, &header)?,
            None => None,
        };
        let bindings = || bindings_of_copy(disk, setup, layout);
        let start = clock::start(&clocks, record.as_ref(), bindings);
        let store = directory.store(&settings, &policy.pools, VALID_SECONDS, start.now)?;
        let time = start.now.max(store.recovery.latest);
        let known = Known {
            server: time,
            clocks,
            held_since: start.held_since,
        };
        policy
            .pools
            .record_anew_since(start.held_since.unwrap_or_default());
        let keeper = Keeper::start(disk, &store.header, record.as_ref(), known)?;
        let state = Arc::new(StoreState::default());
        let wakers = (0..setup.workers)
            .map(|_| Arc::new(Waker::new().unwrap()))
            .collect();
        let (handles, committer) = connect(wakers, &state);
        let workers = handles.into_iter().map(|handle| {
            let counters = Arc::new(CachePadded::new(Counters::default()));
            Worker {
                shard: Shard::new(Arc::clone(&store.partitions), Arc::clone(&counters)),
                port: MemoryPort::new(),
                handle,
                counters,
                policy: Arc::clone(&policy),
                arrived: 0,
            }
        });
        let workers = workers.collect();
        Ok(Self {
            at_beginning: time.0 as i64 - (now / 1000) as i64,
            keeper,
            is_held: matches!(start.source, Source::Held { .. }),
            recovery: store.recovery,
            partitions: store.partitions,
            journal: store.journal,
            committer,
            state,
            workers,
            interface,
            next: None,
            round: Round::default(),
            committer_due: now,
        })
    }

    /// Server time.
    pub fn now(&self, now: Millis) -> Timestamp {
        Timestamp((self.at_beginning + (now / 1000) as i64) as u64)
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Lets a frame arrive.
    pub fn arrive(&mut self, worker: usize, frame: &[u8]) {
        let worker = &mut self.workers[worker];
        worker.arrived += 1;
        worker.port.arrive(frame);
    }

    /// Whether a worker has something to do.
    pub fn has_work(&self) -> bool {
        self.next.is_some()
            || self
                .workers
                .iter()
                .any(|it| it.port.waiting() > 0 || it.shard.is_waiting())
    }

    /// Whether the store takes no commits.
    pub fn is_suspended(&self) -> bool {
        self.state.is_suspended()
    }

    /// One half of a worker's loop: what came back from the journal, or else what has arrived. Returns
    /// the replies.
    pub fn work(&mut self, number: usize, settle: bool, now: Millis) -> Vec<Vec<u8>> {
        let time = self.now(now);
        let worker = &mut self.workers[number];
        if let Some(next) = &self.next {
            worker.policy = Arc::clone(next);
        }
        let context = Context {
            policy: &worker.policy,
            interface: &self.interface,
            commit: &worker.handle,
            now: time,
        };
        if settle {
            worker.shard.settle(&mut worker.port, &context);
        } else if worker.shard.can_serve() {
            // As a worker does that has nothing more to do.
            if worker.shard.serve(&mut worker.port, &context) == 0 {
                worker.shard.submit(&context);
            }
        }
        let sent = std::iter::from_fn(|| worker.port.take_sent()).collect();
        self.open_pools();
        sent
    }

    fn open_pools(&mut self) {
        let Some(next) = &self.next else { return };
        if self
            .workers
            .iter()
            .all(|worker| Arc::ptr_eq(&worker.policy, next))
        {
            self.partitions.mark_held(&next.pools);
            self.next = None;
        }
    }

    /// One step of the committer.
    pub fn commit(&mut self, now: Millis) {
        let time = || Duration::from_millis(now);
        self.committer_due = match self.committer.step(&mut self.journal, &time) {
            Step::Again => now,
            Step::Wait(pause) => now + (pause.as_millis() as Millis).max(1),
            Step::Ended => Millis::MAX,
        };
    }

    /// Clears up what ended, and looks at the clocks.
    pub fn tick(&mut self, clocks: Clocks, now: Millis) {
        let time = self.now(now);
        self.keeper.look(time, clocks);
        let policy = Arc::clone(&self.workers[0].policy);
        tick_all(&self.round, &self.partitions, &policy, time);
    }

    /// Puts another configuration in force, unless one is still under way.
    pub fn reload(&mut self, layout: &Layout) -> bool {
        if self.next.is_some() {
            return false;
        }
        let before = &self.workers[0].policy;
        let policy = layout.policy(before.server_duid.clone(), Some(&before.pools));
        self.next = Some(Arc::new(policy));
        true
    }

    /// Ends in good order: every promise leaves, then the tables are synced. The last replies.
    pub fn stop(mut self, now: Millis) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        let mut later = now;
        for _ in 0..1_000 {
            self.commit(later);
            later += 1;
            for number in 0..self.workers.len() {
                sent.append(&mut self.work(number, true, now));
            }
            if !self.workers.iter().any(|worker| worker.shard.is_waiting()) {
                break;
            }
        }
        self.workers.clear();
        for _ in 0..1_000 {
            self.commit(later);
            later += 1;
            if self.committer_due == Millis::MAX {
                break;
            }
        }
        sent
    }

    /// All bindings.
    pub fn bindings(&self) -> Vec<Binding> {
        bindings(&self.partitions)
    }

    /// Whether the counters add up: every frame ended exactly once.
    ///
    /// # Errors
    /// Which do not.
    pub fn check_counters(&self) -> Result<(), String> {
        for (number, worker) in self.workers.iter().enumerate() {
            let totals = worker.counters.totals();
            let discarded: u64 = totals.discards.iter().sum();
            let waiting = worker.port.waiting() as u64;
            let known = totals.sent + discarded;
            let sent: u64 = totals.sent_v4.iter().sum::<u64>() + totals.sent_v6.iter().sum::<u64>();
            let is_quiet = !worker.shard.is_waiting();
            if totals.frames + waiting != worker.arrived
                || known > totals.frames
                || (is_quiet && known != totals.frames)
                || sent != totals.sent
                || discarded != worker.port.discarded()
            {
                return Err(format!(
                    "worker {number}: counters do not add up: {totals:?}"
                ));
            }
        }
        Ok(())
    }

    /// Whether the bits of the pools add up to what the partitions hold. `is_exact`: no pool was ever
    /// changed, so every lease is a unit of a pool.
    ///
    /// # Errors
    /// What does not.
    pub fn check_pools(&self, is_exact: bool) -> Result<(), String> {
        if self.next.is_some() {
            return Ok(());
        }
        let pools: &Pools = &self.workers[0].policy.pools;
        let taken: u64 = (0..pools.len() as u32)
            .map(|pool| pools.counts(PoolIndex(pool)).taken)
            .sum();
        let mut held = 0;
        for index in 0..self.partitions.len() {
            let occupancy = self.partitions.lock(index).unwrap().occupancy();
            held += u64::from(
                occupancy.live + occupancy.declined + occupancy.offers + occupancy.leaving,
            );
        }
        if is_exact && taken != held {
            return Err(format!(
                "{taken} leases are taken in the pools, and {held} are held"
            ));
        }
        Ok(())
    }
}

/// Why a server does not start, in words.
#[derive(Debug)]
pub struct StartError(pub String);

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> Self {
        Self(error.to_string())
    }
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self(format!("the clock record: {error}"))
    }
}

fn directory(disk: &SimDisk) -> StateDirectory {
    let octets = Journal::OCTETS_MIN;
    StateDirectory::on(Arc::new(disk.clone())).with_journal(octets..=octets)
}

fn settings(setup: Setup) -> Settings {
    Settings {
        interfaces: Vec::new(),
        state_dir: "/simulated".into(),
        socket: "/simulated/socket".into(),
        durability: setup.durability,
        journal_priority: Default::default(),
        lease_capacity: 16,
        partitions: setup.partitions,
        bulk_leasequery: None,
        history: HistorySettings {
            is_enabled: false, // its files are not on the simulated disk
            ..HistorySettings::default()
        },
        guard: clock::GUARD,
        accept_clock: false,
        xdp_log: XdpLog::Off,
    }
}

/// What a store holds that nobody has opened yet: read from a copy, for reading changes nothing.
fn bindings_of_copy(disk: &SimDisk, setup: Setup, layout: &Layout) -> Vec<Binding> {
    let directory = directory(&disk.fork());
    let policy = layout.policy(Duid::default(), None);
    let opened = directory.store(
        &settings(setup),
        &policy.pools,
        VALID_SECONDS,
        Timestamp::default(),
    );
    opened.map_or(Vec::new(), |store| bindings(&store.partitions))
}

fn bindings(partitions: &Partitions) -> Vec<Binding> {
    let mut bindings = Vec::new();
    partitions.for_each(|binding| bindings.push(binding.clone()));
    bindings
}
