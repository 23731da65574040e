//! What does the history cost? A stream of commits with durability "power", on real files, with it and
//! without it in turns.

use super::super::{HistorySettings, Keeper, Opened, list, start, verify};
use crate::clock::{self, Clock};
use crate::commit::{Handle, LOGS_PER_WORKER, StoreState, connect};
use crate::settings::{
    CopyMode, Durability, InterfaceSettings, JournalPriority, Settings, XdpLog, XdpMode,
};
use crate::store::StateDirectory;
use crate::wake::Waker;
use dhcp_lease::{
    Binding, ChangeLog, ItemKind, Lease, Partitions, PoolIndex, PoolRange, Pools, SlotNumber,
    State, SubnetId, Timestamp,
};
use dhcp_wire::id::{ClientId, HardwareAddress};
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const CLIENTS: usize = 4_096;
const ROUNDS: usize = 3;
const LOG_COMMITS: usize = 64;
/// Of the throughput without a history this must be left. (A loose bound: the machine may be busy with
/// other tests. docs/performance.md has figures from a quiet one.)
const RATIO_LEAST: f64 = 0.4;

fn settings(directory: &Path) -> Settings {
    Settings {
        interfaces: vec![InterfaceSettings {
            name: "test0".to_owned(),
            workers_per_queue: 1,
            mode: XdpMode::Auto,
            copy: CopyMode::Auto,
        }],
        state_dir: directory.to_owned(),
        socket: directory.join("socket"),
        durability: Durability::Power,
        journal_priority: JournalPriority::Normal,
        lease_capacity: 10_000,
        partitions: 16,
        history: HistorySettings::default(),
        bulk_leasequery: None,
        guard: dhcp_lease::clock::Guard {
            percent: 50,
            downtime_seconds: 86_400,
        },
        accept_clock: false,
        xdp_log: XdpLog::Off,
    }
}

/// A client as an access network has them: a MAC, a circuit and a name.
fn client(number: usize) -> Binding {
    let [.., high, low] = number.to_be_bytes();
    let mac = [2, 0, 0x5e, 0, high, low];
    let mut binding = Binding {
        state: State::Leased,
        subnet: SubnetId(7),
        client: ClientId::new(&[&[1], mac.as_slice()].concat()).unwrap(),
        hardware: HardwareAddress::ethernet(mac),
        valid_seconds: 3600,
        ..Binding::default()
    };
    let circuit = format!("olt{}-1-1/{}/{}:100", number % 7, number % 16, number % 128);
    let agent = [&[1, circuit.len() as u8], circuit.as_bytes(), &[2, 6], &mac].concat();
    binding.context.insert(ItemKind::GIADDR, &[10, 1, 0, 1]);
    binding.context.insert(ItemKind::AGENT, &agent);
    binding
        .context
        .insert(ItemKind::HOST_NAME, b"android-phone");
    binding
}

struct Stream<'a> {
    partitions: &'a Partitions,
    pools: &'a Pools,
    handle: Handle,
    spare: Vec<ChangeLog>,
}

impl Stream<'_> {
    fn settle(&mut self) {
        while let Some(returned) = self.handle.take_returned() {
            assert!(returned.is_durable);
            let mut log = returned.log;
            self.partitions.settle(&mut log, self.pools);
            self.handle.settled(returned.sequence);
            self.spare.push(log);
        }
    }

    /// An empty log; waits while all are under way.
    fn log(&mut self) -> ChangeLog {
        loop {
            self.settle();
            match self.spare.pop() {
                Some(log) => return log,
                None => std::thread::yield_now(),
            }
        }
    }
}

/// How long the stream took, and the octets of its history if it had one.
fn stream(has_history: bool) -> (Duration, Option<u64>) {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let range = PoolRange {
        first: Lease::V4(Ipv4Addr::new(10, 1, 0, 0)),
        count: 8_192,
    };
    let pools = Pools::new(&[range], &[]);
    let now = clock::wall();
    let state_directory = StateDirectory::open(directory.path()).unwrap();
    let mut keeper: Option<Keeper> = None;
    let store = state_directory.store_with(&settings, &pools, 3600, now, |found| {
        let opened = Opened {
            header: found.header,
            partitions: found.partitions,
            journal: found.journal,
            next_sequence: found.recovery.resume.next.sequence,
            clock: Clock::new(now, clock::clocks().boot_seconds),
        };
        keeper =
            has_history.then(|| start(directory.path(), &settings.history, 1, &opened).unwrap());
    });
    let mut store = store.unwrap();
    if let Some(keeper) = &keeper {
        store.journal.keep_history(Arc::clone(keeper.intake()));
    }
    let state = Arc::new(StoreState::default());
    let (mut handles, committer) = connect(vec![Arc::new(Waker::new().unwrap())], &state);
    let journal = store.journal;
    let journal = std::thread::spawn(move || committer.run(journal));
    let mut stream = Stream {
        partitions: &store.partitions,
        pools: &pools,
        handle: handles.pop().unwrap(),
        spare: (0..LOGS_PER_WORKER)
            .map(|_| ChangeLog::with_capacity(4 * LOG_COMMITS))
            .collect(),
    };
    let mut clients: Vec<(Binding, Option<SlotNumber>)> = (0..CLIENTS)
        .map(|number| {
            (
                Binding {
                    lease: pools.claim_next(PoolIndex(0)).unwrap(),
                    ..client(number)
                },
                None,
            )
        })
        .collect();
    let begun = Instant::now();
    for round in 0..ROUNDS as u64 {
        let now = Timestamp(now.0 + 1800 * round);
        for batch in clients.chunks_mut(LOG_COMMITS) {
            let mut log = stream.log();
            for (binding, slot) in batch {
                binding.last_transaction = now;
                binding.expires = now.after(3600);
                let index = store.partitions.index_of(binding.client.as_slice());
                let mut partition = store.partitions.lock(index).unwrap();
                let written = partition.commit(*slot, binding, &pools, &mut log, now);
                *slot = Some(written.unwrap());
            }
            stream.handle.submit(log);
        }
    }
    while stream.spare.len() < LOGS_PER_WORKER {
        stream.settle();
        std::thread::yield_now();
    }
    let took = begun.elapsed();
    drop(stream);
    journal.join().unwrap();
    let octets = keeper.is_some().then(|| {
        drop(keeper);
        let verified = verify(directory.path()).unwrap();
        assert_eq!(verified.broken, None);
        assert_eq!(verified.entries, (CLIENTS * ROUNDS) as u64);
        let names = list(&super::super::directory(directory.path())).unwrap();
        let indexes = names
            .iter()
            .map(|name| fs::metadata(name.index()).unwrap().len());
        println!(
            "{} entries: {} octets in segments, {} in indexes",
            verified.entries,
            verified.octets,
            indexes.sum::<u64>()
        );
        verified.octets
    });
    (took, octets)
}

#[test]
fn a_history_costs_a_part_of_the_throughput_and_few_octets() {
    let mut best = [Duration::MAX; 2];
    let mut octets = 0;
    for turn in 0..6 {
        let has_history = turn % 2 == 1;
        let (took, written) = stream(has_history);
        let place = &mut best[usize::from(has_history)];
        *place = took.min(*place);
        octets = written.unwrap_or(octets);
    }
    let [without, with] = best.map(|it| it.as_secs_f64());
    let ratio = without / with;
    let commits = (CLIENTS * ROUNDS) as f64;
    println!(
        "{:.0} commits a second without a history, {:.0} with it: {ratio:.2}; {:.1} octets per entry",
        commits / without,
        commits / with,
        octets as f64 / commits
    );
    assert!(ratio > RATIO_LEAST, "{ratio:.2}");
    assert!(
        (octets as f64) < 70.0 * commits,
        "{octets} octets for {commits} commits"
    );
}
