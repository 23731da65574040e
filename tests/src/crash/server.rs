//! The server without a network: store, journal and data path as they are, in this process, with frames
//! in memory and a clock that the caller turns.

use super::clients::{SERVER_DUID, SERVER_MAC, SERVER_V4, SERVER_V6};
use crossbeam::utils::CachePadded;
use dhcp_core::{Interface, Policy};
use dhcp_lease::{ChangeLog, Partitions, Recovery, Timestamp};
use dhcp_userspace::commit::{
    Handle, Settlements, Storage, StoreState, StoreStatus, Submission, Trouble, connect,
};
use dhcp_userspace::counters::Counters;
use dhcp_userspace::datapath::{Context, Shard};
use dhcp_userspace::io::Port as _;
use dhcp_userspace::io::memory::{MemoryFrame, MemoryPort};
use dhcp_userspace::settings::Durability;
use dhcp_userspace::store::{JournalFile, OpenError, StateDirectory};
use dhcp_userspace::wake::Waker;
use dhcp_userspace::worker::{Round, tick_all};
use dhcp_wire::frame::MacAddress;
use dhcp_wire::id::Duid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a log may be under way before the server counts as stuck.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the disk may be in trouble before it counts as broken for ever: a disk that works again is
/// noticed within a fifth of a second.
const DISK_PATIENCE: Duration = Duration::from_secs(1);

/// Pools so small that leases soon go from hand to hand.
const CONFIG: &str = r#"
interfaces = ["test0"]
partitions = 2
lease-capacity = 1024
decline-probation-period = 40

[[subnet4]]
subnet = "10.9.0.0/24"
pools = ["10.9.0.10-10.9.0.61"]
valid-lifetime = 90
rapid-commit = true

[[subnet6]]
subnet = "fd09::/64"
interface = "test0"
pools = ["fd09::1:0-fd09::1:2f"]
pd-pools = [{ prefix = "fd09:100::/58", delegated-len = 64 }]
valid-lifetime = 90
preferred-lifetime = 60
"#;
/// More than any lifetime above.
const QUARANTINE_SECONDS: u32 = 100;

/// Where the store lies, and how large it is.
#[derive(Clone, Debug)]
pub struct Place {
    /// The state directory.
    pub directory: PathBuf,
    /// Bindings that it has room for.
    pub capacity: u64,
    /// Octets of the journal when it is made.
    pub journal_octets: u64,
    /// What an acknowledgement survives.
    pub durability: Durability,
}

/// One worker's share.
struct Worker {
    shard: Shard<MemoryFrame>,
    port: MemoryPort,
    commit: Handle,
    waker: Arc<Waker>,
    /// How many barriers there were when each log under way became durable.
    positions: Positions,
}

type Positions = Arc<Mutex<VecDeque<u64>>>;

/// A running server.
pub struct Server {
    policy: Policy,
    interface: Interface,
    partitions: Arc<Partitions>,
    /// What opening the store found.
    pub recovery: Recovery,
    state: Arc<StoreState>,
    workers: Vec<Worker>,
    journal: JoinHandle<()>,
    round: Round,
    now: Timestamp,
}

/// A store that was opened and serves nobody.
pub struct Opened {
    /// The policy with its pools, which know what is held.
    pub policy: Policy,
    /// The bindings.
    pub partitions: Arc<Partitions>,
    /// What opening found.
    pub recovery: Recovery,
    journal: JournalFile,
}

/// Opens a store as the server does, or makes one.
///
/// # Errors
/// Those of the store.
///
/// # Panics
/// When the configuration above is wrong.
pub fn open(place: &Place, now: u64) -> Result<Opened, OpenError> {
    let checked = dhcp_userspace::config::check(Path::new("crash.toml"), CONFIG);
    let checked = checked.unwrap_or_else(|findings| panic!("{findings}"));
    let policy = checked.policy(&Duid::new(&SERVER_DUID).unwrap(), None);
    let mut settings = checked.settings;
    settings.state_dir.clone_from(&place.directory);
    settings.lease_capacity = place.capacity;
    settings.durability = place.durability;
    let octets = place.journal_octets..=place.journal_octets;
    let directory = StateDirectory::open(&place.directory)?.with_journal(octets);
    let now = Timestamp(now);
    let store = directory.store(&settings, &policy.pools, QUARANTINE_SECONDS, now)?;
    Ok(Opened {
        policy,
        partitions: store.partitions,
        recovery: store.recovery,
        journal: store.journal,
    })
}

/// A journal that notes how many barriers the disk had seen when a group became durable.
struct Noted {
    journal: JournalFile,
    barriers: Option<File>,
    positions: Vec<Positions>,
}

impl Storage for Noted {
    fn place(&mut self, log: &mut ChangeLog) -> Option<u64> {
        self.journal.place(log)
    }

    fn commit(&mut self, group: &[Submission]) -> Result<(), Trouble> {
        self.journal.commit(group)?;
        let position = barriers(self.barriers.as_ref());
        for submission in group {
            let positions = &self.positions[submission.worker];
            positions.lock().unwrap().push_back(position);
        }
        Ok(())
    }

    fn between_groups(
        &mut self,
        settlements: &Settlements,
        is_full: bool,
        now: Duration,
    ) -> Result<Duration, Trouble> {
        self.journal.between_groups(settlements, is_full, now)
    }

    fn ailment(&self) -> Option<&Trouble> {
        self.journal.ailment()
    }

    fn group_octets_max(&self) -> u64 {
        self.journal.group_octets_max()
    }

    fn finish(&mut self) -> Result<(), Trouble> {
        self.journal.finish()
    }
}

/// How many barriers the disk has seen; 0 where nobody counts.
fn barriers(file: Option<&File>) -> u64 {
    let mut octets = [0; 8];
    if let Some(file) = file {
        file.read_exact_at(&mut octets, 0).unwrap();
    }
    u64::from_le_bytes(octets)
}

impl Server {
    /// Opens the store and starts so many workers. `position` is the file that counts barriers.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Panics
    /// When `position` cannot be opened.
    pub fn start(
        place: &Place,
        workers: usize,
        position: Option<&Path>,
        now: u64,
    ) -> Result<Self, OpenError> {
        let opened = open(place, now)?;
        let state = Arc::new(StoreState::default());
        let wakers: Vec<_> = (0..workers)
            .map(|_| Arc::new(Waker::new().unwrap()))
            .collect();
        let (handles, committer) = connect(wakers.clone(), &state);
        let positions: Vec<_> = (0..workers).map(|_| Positions::default()).collect();
        let storage = Noted {
            journal: opened.journal,
            barriers: position.map(|path| File::open(path).unwrap()),
            positions: positions.clone(),
        };
        let journal = std::thread::spawn(move || {
            committer.run(storage);
        });
        let counters: Arc<CachePadded<Counters>> = Arc::default();
        let parts = handles.into_iter().zip(wakers).zip(positions);
        let workers = parts
            .map(|((commit, waker), positions)| Worker {
                shard: Shard::new(Arc::clone(&opened.partitions), Arc::clone(&counters)),
                port: MemoryPort::new(),
                commit,
                waker,
                positions,
            })
            .collect();
        let interface = Interface {
            name: "test0".to_owned(),
            mac: MacAddress(SERVER_MAC),
            v4: vec![SERVER_V4],
            v6: Vec::new(),
            link_local: Some(SERVER_V6),
        };
        Ok(Self {
            policy: opened.policy,
            interface,
            partitions: opened.partitions,
            recovery: opened.recovery,
            state,
            workers,
            journal,
            round: Round::default(),
            now: Timestamp(now),
        })
    }

    /// Lets it be `now`, and clears up what ended.
    pub fn turn_clock(&mut self, now: u64) {
        self.now = Timestamp(now);
        tick_all(&self.round, &self.partitions, &self.policy, self.now);
    }

    /// Serves frames that arrive at one worker, at most a batch, once it has a log to write into.
    ///
    /// # Panics
    /// When its logs do not come back.
    pub fn serve(
        &mut self,
        worker: usize,
        frames: &[Vec<u8>],
        heard: &mut impl FnMut(&[u8], Option<u64>),
    ) {
        while !self.workers[worker].shard.can_serve() {
            self.wait(worker, heard);
            if self.is_suspended() {
                return;
            }
        }
        let (context, worker) = context(
            &self.policy,
            &self.interface,
            self.now,
            &mut self.workers[worker],
        );
        let Serving { shard, port, .. } = worker;
        for frame in frames {
            port.arrive(frame);
        }
        shard.serve(port, &context);
        shard.submit(&context);
        port.flush();
        // What leaves at once promises nothing but what is durable already.
        port.drain_sent(|frame| heard(frame, None));
    }

    /// Lets the replies of one worker leave whose logs came back: `heard` gets each, and how many barriers
    /// the disk had seen when it was durable. Whether others still wait.
    pub fn settle(&mut self, worker: usize, heard: &mut impl FnMut(&[u8], Option<u64>)) -> bool {
        let (context, worker) = context(
            &self.policy,
            &self.interface,
            self.now,
            &mut self.workers[worker],
        );
        let Serving {
            shard,
            port,
            positions,
        } = worker;
        let returned = shard.settle(port, &context);
        port.flush();
        let mut positions = positions.lock().unwrap();
        let count = returned.min(positions.len());
        let position = positions.drain(..count).max().unwrap_or(0);
        port.drain_sent(|frame| heard(frame, Some(position)));
        shard.is_waiting()
    }

    /// Waits until every log of one worker came back, or until the disk has not worked for so long that it
    /// will not work again.
    ///
    /// # Panics
    /// When that takes too long.
    pub fn wait(&mut self, worker: usize, heard: &mut impl FnMut(&[u8], Option<u64>)) {
        let start = Instant::now();
        while self.settle(worker, heard) {
            if self.is_suspended() && start.elapsed() > DISK_PATIENCE {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "a log does not come back");
            let Worker { commit, waker, .. } = &self.workers[worker];
            let limit = Timespec {
                tv_sec: 0,
                tv_nsec: 100_000_000,
            };
            waker.sleep(
                || commit.has_returned(),
                |event| {
                    let _ = poll(&mut [PollFd::new(&event, PollFlags::IN)], Some(&limit));
                },
            );
        }
    }

    /// Whether the store takes no commits at the moment.
    pub fn is_suspended(&self) -> bool {
        self.state.is_suspended()
    }

    /// Waits until the store takes commits, if it does within reasonable time.
    pub fn heals(&self) -> bool {
        let start = Instant::now();
        while self.is_suspended() && start.elapsed() < DISK_PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
        !self.is_suspended()
    }

    /// What the journal has done.
    pub fn status(&self) -> StoreStatus {
        self.state.status()
    }

    /// The bindings.
    pub fn partitions(&self) -> &Partitions {
        &self.partitions
    }

    /// Ends in an orderly way. Whether the store could still be written.
    ///
    /// # Panics
    /// When the journal's thread did.
    pub fn stop(self) -> bool {
        self.state.close();
        drop(self.workers);
        self.journal.join().unwrap();
        self.state.status().trouble.is_none()
    }
}

/// What serves frames of a worker, without its way to the journal.
struct Serving<'a> {
    shard: &'a mut Shard<MemoryFrame>,
    port: &'a mut MemoryPort,
    positions: &'a Positions,
}

fn context<'a>(
    policy: &'a Policy,
    interface: &'a Interface,
    now: Timestamp,
    worker: &'a mut Worker,
) -> (Context<'a>, Serving<'a>) {
    let Worker {
        shard,
        port,
        commit,
        positions,
        ..
    } = worker;
    let context = Context {
        policy,
        interface,
        commit,
        now,
    };
    (
        context,
        Serving {
            shard,
            port,
            positions,
        },
    )
}
