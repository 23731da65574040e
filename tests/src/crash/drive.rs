//! A run of the server with its clients, who write down what they ask and what they are promised.

use super::clients::{Clients, Promise};
use super::ledger::line;
use super::random::Random;
use super::server::{Place, Server};
use rustix::fs::{Advice, fadvise};
use std::fs::File;
use std::io::Write;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How many clients there are: more than leases.
pub const CLIENTS: usize = 180;
/// When the first life of a store begins.
pub const BEGINNING: u64 = 1_790_000_000;

/// What a run is made of.
#[derive(Clone, Debug)]
pub struct Run {
    /// The store.
    pub place: Place,
    /// What everything follows from, but for the threads' timing.
    pub seed: u64,
    /// How often every worker serves a batch.
    pub rounds: u64,
    /// How many workers there are. With one, a batch waits for the one before: then every run with the
    /// same seed makes the same system calls.
    pub workers: usize,
    /// The file that counts barriers.
    pub position: Option<PathBuf>,
    /// The time at the beginning.
    pub now: u64,
    /// Most clients in a batch.
    pub batch_max: u64,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ran {
    /// The time at the end.
    pub now: u64,
    /// Group commits.
    pub groups: u64,
    /// Barriers that the disk saw from the first group to the last one before the first checkpoint, and
    /// the groups in that time.
    pub steady: (u64, u64),
    /// Whether all could be written to the end.
    pub is_whole: bool,
}

/// Reads how many barriers the disk has seen.
fn barriers(position: Option<&File>) -> u64 {
    let mut octets = [0; 8];
    if let Some(file) = position {
        file.read_exact_at(&mut octets, 0).unwrap();
    }
    u64::from_le_bytes(octets)
}

impl Run {
    /// Opens the store and serves; the ledger goes to `out`, each line before what it tells of has an
    /// effect outside. With `is_stopped` it ends in an orderly way, otherwise the server is left running:
    /// the caller is to end the process.
    ///
    /// # Errors
    /// When the store does not open.
    ///
    /// # Panics
    /// When the server does not do as it must.
    pub fn run(&self, out: &mut impl Write, is_stopped: bool) -> Result<Ran, String> {
        let position = self.position.as_ref().map(|path| File::open(path).unwrap());
        let mut write = |text: &str| out.write_all(text.as_bytes()).unwrap();
        write(&line::life(
            self.place.capacity,
            barriers(position.as_ref()),
        ));
        write(&line::round(self.now, barriers(position.as_ref())));
        let mut random = Random(self.seed);
        let mut now = self.now;
        let server = Server::start(&self.place, self.workers, self.position.as_deref(), now);
        let mut server = server.map_err(|error| error.to_string())?;
        let mut clients = Clients::new(CLIENTS, random.number());
        let is_over = AtomicBool::new(false);
        let mut steady = Steady::new(barriers(position.as_ref()));
        let ran = std::thread::scope(|scope| {
            if self.workers > 1 {
                let (seed, is_over) = (random.number(), &is_over);
                scope.spawn(move || write_back(&self.place.directory, seed, is_over));
            }
            for _ in 0..self.rounds {
                if random.once_in(4) {
                    now += random.below(6);
                    server.turn_clock(now);
                }
                for worker in 0..self.workers {
                    let at = barriers(position.as_ref());
                    let mut text = line::round(now, at);
                    let asked = 1 + random.below(self.batch_max);
                    let requests =
                        (0..asked).filter_map(|_| clients.ask(now, worker, self.workers));
                    let requests: Vec<_> = requests.collect();
                    text.extend(requests.iter().map(|request| line::ask(request, at)));
                    write(&text);
                    let frames: Vec<_> =
                        requests.into_iter().map(|request| request.frame).collect();
                    let mut acks = Vec::new();
                    let mut hear = |frame: &[u8], durable: Option<u64>| {
                        acks.extend(clients.hear(frame).map(|ack| (ack, durable.unwrap_or(at))));
                    };
                    server.serve(worker, &frames, &mut hear);
                    if self.workers == 1 || steady.is_counting() || random.once_in(3) {
                        server.wait(worker, &mut hear);
                        clients.give_up(worker, self.workers);
                    } else {
                        server.settle(worker, &mut hear);
                    }
                    write(&told(&acks));
                }
                if !server.heals() {
                    break;
                }
                steady.look(server.status().groups, || barriers(position.as_ref()));
            }
            for worker in 0..self.workers {
                let mut acks = Vec::new();
                server.wait(worker, &mut |frame, durable| {
                    let ack = clients.hear(frame);
                    acks.extend(ack.zip(durable));
                });
                write(&told(&acks));
            }
            is_over.store(true, Ordering::Relaxed);
            Ran {
                now,
                groups: server.status().groups,
                steady: steady.figures(),
                is_whole: true,
            }
        });
        if !is_stopped {
            std::mem::forget(server);
            return Ok(ran);
        }
        let is_whole = server.stop();
        Ok(Ran { is_whole, ..ran })
    }
}

fn told(acks: &[(Promise, u64)]) -> String {
    acks.iter().map(|(ack, at)| line::ack(ack, *at)).collect()
}

/// Counts barriers and groups while no checkpoint can be under way: until a quarter of the smallest
/// journal is used.
struct Steady {
    begin: u64,
    last: (u64, u64),
}

impl Steady {
    const GROUPS: u64 = 16;

    fn new(begin: u64) -> Self {
        Self {
            begin,
            last: (0, 0),
        }
    }

    /// While it counts, nothing may be under way when it looks.
    fn is_counting(&self) -> bool {
        self.last.1 < Self::GROUPS
    }

    fn look(&mut self, groups: u64, barriers: impl FnOnce() -> u64) {
        if self.is_counting() && groups > self.last.1 {
            self.last = (barriers() - self.begin, groups);
        }
    }

    fn figures(&self) -> (u64, u64) {
        self.last
    }
}

/// Has the kernel write back pages of the tables at any moment, as it does when memory is short: advice that
/// a range is not needed any more starts that, without a barrier.
fn write_back(directory: &Path, seed: u64, is_over: &AtomicBool) {
    let mut random = Random(seed);
    let tables: Vec<_> = (0..2)
        .map(|number| File::open(dhcp_userspace::store::table_path(directory, 0, number)).unwrap())
        .collect();
    while !is_over.load(Ordering::Relaxed) {
        let table = &tables[random.below(2) as usize];
        let pages = table.metadata().unwrap().len() / 4096;
        let octets = NonZeroU64::new(4096 * (1 + random.below(8)));
        let _ = fadvise(table, 4096 * random.below(pages), octets, Advice::DontNeed);
        std::thread::sleep(Duration::from_micros(random.below(1000)));
    }
}
