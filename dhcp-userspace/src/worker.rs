//! One thread per socket: receive, serve, send, and sleep when there is nothing to do.

mod round;

pub use round::Round;

use crate::clock::Clock;
use crate::commit::Handle;
use crate::counters::Counters;
use crate::datapath::{Context, Shard};
use crate::io::{Port, PortStatistics};
use crate::snapshot::{Shared, View};
use crate::wake::Waker;
use crossbeam::utils::CachePadded;
use dhcp_core::{Interface, Policy};
use dhcp_lease::{Partitions, Timestamp};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How often a worker that has just been busy looks again before it sleeps. About ten microseconds: a
/// wake-up costs more than that, and under load the next batch is there by then.
const SPINS_BEFORE_SLEEP: u32 = 200;
/// Longest sleep: often enough to tick the partitions once a second.
const SLEEP_MILLIS: i64 = 250;
/// Longest sleep while the link has not taken all our replies yet.
const SLEEP_SENDING_MILLIS: i64 = 1;
/// How much a partition may clear up at once. The rest is done between the next batches.
const TICK_BUDGET: usize = 256;

/// How often a worker without a device looks for logs that came back.
const SETTLE_PAUSE: Duration = Duration::from_millis(1);

/// What ends a sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Frames, and the worker's event.
    Frames,
    /// The worker's event only: there is no room for frames until the journal has caught up, and if
    /// those that wait already ended the sleep, the worker would run in circles.
    Event,
}

/// A port that a thread can wait on.
pub trait Wait: Port {
    /// Sleeps until `event` is readable, frames arrive (if these are wanted), or `millis` have passed.
    /// Whether the device is still there.
    fn wait(&mut self, event: BorrowedFd<'_>, wanted: Wanted, millis: i64) -> bool;

    /// Whether frames that were sent have not left yet.
    fn is_sending(&mut self) -> bool;

    /// What was dropped so far, if that can be known.
    fn statistics(&self) -> Option<PortStatistics>;
}

/// What a worker shares with the rest of the server.
#[derive(Debug)]
pub struct Surroundings {
    /// The policy in force.
    pub policy: Arc<Shared<Policy>>,
    /// The interface's addresses.
    pub interface: Arc<Shared<Interface>>,
    /// All bindings.
    pub partitions: Arc<Partitions>,
    /// Server time.
    pub clock: Clock,
    /// Which partition is to be cleared up next, for all workers together.
    pub round: Arc<Round>,
}

/// Clears up all that is due, for a server none of whose workers is running.
pub fn tick_all(round: &Round, partitions: &Partitions, policy: &Policy, now: Timestamp) {
    while let Some(index) = round.take(now, partitions.len()) {
        while tick(partitions, index, policy, now) {}
    }
}

/// Clears up a part of a partition. Whether there is more to be done in it.
fn tick(partitions: &Partitions, index: usize, policy: &Policy, now: Timestamp) -> bool {
    let Some(mut partition) = partitions.lock(index) else {
        return false;
    };
    let ticked = partition.tick(now, TICK_BUDGET, &policy.pools);
    drop(partition);
    if ticked.repaired > 0 {
        tracing::warn!(
            count = ticked.repaired,
            "lease records had a wrong bit, and are right again"
        );
    }
    if ticked.damaged > 0 {
        tracing::error!(
            count = ticked.damaged,
            "damaged lease records were found and set aside; their addresses are nobody's until the next start"
        );
    }
    ticked.more
}

/// The thread's remote control: signals to it, and what it reports.
#[derive(Debug)]
pub struct Control {
    /// Wakes it.
    pub waker: Arc<Waker>,
    /// Its counters.
    pub counters: Arc<CachePadded<Counters>>,
    stop: AtomicBool,
    is_gone: AtomicBool,
    policy_generation: AtomicU64,
    /// How often the loop has begun anew.
    rounds: CachePadded<AtomicU64>,
}

impl Control {
    /// The control of a thread that has not started.
    ///
    /// # Errors
    /// Those of the system: too many open files.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            waker: Arc::new(Waker::new()?),
            counters: Arc::default(),
            stop: AtomicBool::new(false),
            is_gone: AtomicBool::new(false),
            policy_generation: AtomicU64::new(0),
            rounds: CachePadded::default(),
        })
    }

    /// Asks the thread to end once every promise it has made has left.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Whether the device has gone away under the thread.
    pub fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Acquire)
    }

    /// The policy that the thread works with; no earlier one is used any more.
    pub fn policy_generation(&self) -> u64 {
        self.policy_generation.load(Ordering::Acquire)
    }

    /// How often the thread has gone round its loop: at least four times a second unless it is stuck.
    pub fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    fn works_with(&self, policy: &View<Policy>) {
        self.policy_generation
            .store(policy.generation(), Ordering::Release);
    }

    fn begin_round(&self) {
        // Only this thread writes it.
        let rounds = self.rounds.load(Ordering::Relaxed);
        self.rounds.store(rounds.wrapping_add(1), Ordering::Relaxed);
    }

    /// Makes it fit for a new thread on a new device.
    pub fn reset(&self) {
        self.stop.store(false, Ordering::Release);
        self.is_gone.store(false, Ordering::Release);
    }
}

/// Runs a worker until it is stopped or its device is gone. The way to the journal comes back for its
/// successor.
pub fn run(
    mut port: impl Wait,
    commit: Handle,
    surroundings: &Surroundings,
    control: &Control,
) -> Handle {
    let Surroundings {
        partitions, clock, ..
    } = surroundings;
    let mut shard = Shard::new(Arc::clone(partitions), Arc::clone(&control.counters));
    let mut policy = surroundings.policy.view();
    let mut interface = surroundings.interface.view();
    let mut ticker = Ticker::default();
    let mut idle = 0;
    // What is there may be of a predecessor, from before it went away.
    control.works_with(&policy);
    loop {
        control.begin_round();
        if policy.refresh(&surroundings.policy) {
            control.works_with(&policy);
        }
        interface.refresh(&surroundings.interface);
        let now = clock.now();
        let context = Context {
            policy: &policy,
            interface: &interface,
            commit: &commit,
            now,
        };

        let is_stopping = control.stop.load(Ordering::Acquire);
        let returned = shard.settle(&mut port, &context);
        let may_serve = shard.can_serve() && !is_stopping;
        let served = if may_serve {
            shard.serve(&mut port, &context)
        } else {
            0
        };
        port.flush();
        let is_new_second = ticker.is_new_second(now);
        if is_new_second && let Some(statistics) = port.statistics() {
            control.counters.port(&statistics);
        }
        let more = ticker.tick(surroundings, &policy);
        // Clearing up may take long, and nobody comes meanwhile to share the write.
        if is_stopping || (more && served == 0) {
            shard.submit(&context);
        }

        if is_stopping && !shard.is_waiting() {
            shard.hand_over(&commit);
            return commit;
        }
        if returned + served > 0 || more {
            idle = 0;
            continue;
        }
        idle += 1;
        if idle <= SPINS_BEFORE_SLEEP {
            std::hint::spin_loop();
            continue;
        }
        // Nobody else comes to share the write.
        shard.submit(&context);
        let millis = if port.is_sending() {
            SLEEP_SENDING_MILLIS
        } else {
            SLEEP_MILLIS
        };
        let has_work = || {
            commit.has_returned()
                || control.stop.load(Ordering::Acquire) != is_stopping
                || is_newer(&policy, &surroundings.policy)
        };
        let is_ready = shard.can_serve() && !is_stopping;
        let wanted = if is_ready {
            Wanted::Frames
        } else {
            Wanted::Event
        };
        let mut is_there = true;
        control.waker.sleep(has_work, |event| {
            is_there = port.wait(event, wanted, millis)
        });
        if !is_there {
            control.is_gone.store(true, Ordering::Release);
            settle_without_device(&mut shard, &mut port, &commit, surroundings, control);
            shard.hand_over(&commit);
            return commit;
        }
    }
}

/// The device is gone and the frames with it; the promises that wait are not made, but their leases count.
/// The policy may be replaced meanwhile: what becomes free goes back to the pools in force.
fn settle_without_device<P: Port>(
    shard: &mut Shard<P::Frame>,
    port: &mut P,
    commit: &Handle,
    surroundings: &Surroundings,
    control: &Control,
) {
    while shard.is_waiting() {
        let policy = surroundings.policy.view();
        control.works_with(&policy);
        let interface = surroundings.interface.view();
        let context = Context {
            policy: &policy,
            interface: &interface,
            commit,
            now: surroundings.clock.now(),
        };
        shard.submit(&context);
        if shard.settle(port, &context) == 0 {
            std::thread::sleep(SETTLE_PAUSE);
        }
    }
}

fn is_newer(policy: &View<Policy>, shared: &Shared<Policy>) -> bool {
    shared.generation() != policy.generation()
}

/// Clears up what ended, a little at a time.
#[derive(Debug, Default)]
struct Ticker {
    now: Timestamp,
    /// The partition to go on with.
    current: Option<usize>,
}

impl Ticker {
    /// Whether a second has passed.
    fn is_new_second(&mut self, now: Timestamp) -> bool {
        now > std::mem::replace(&mut self.now, now)
    }

    /// Does a part of what is due. Whether there is more to be done at once.
    fn tick(&mut self, surroundings: &Surroundings, policy: &Policy) -> bool {
        let Surroundings {
            partitions, round, ..
        } = surroundings;
        let next = || round.take(self.now, partitions.len());
        let Some(index) = self.current.take().or_else(next) else {
            return false;
        };
        if tick(partitions, index, policy, self.now) {
            self.current = Some(index);
        }
        true
    }
}

#[cfg(feature = "afxdp")]
impl Wait for crate::io::afxdp::Socket {
    fn wait(&mut self, event: BorrowedFd<'_>, wanted: Wanted, millis: i64) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let limit = Timespec {
            tv_sec: millis / 1000,
            tv_nsec: (millis % 1000) * 1_000_000,
        };
        let socket = self.fd();
        let frames = match wanted {
            Wanted::Frames => PollFlags::IN,
            Wanted::Event => PollFlags::empty(), // errors are reported all the same
        };
        let mut events = [
            PollFd::new(&socket, frames),
            PollFd::new(&event, PollFlags::IN),
        ];
        // An interrupted sleep is a short one.
        let _ = poll(&mut events, Some(&limit));
        let gone = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
        let [socket_events, _] = &events;
        !socket_events.revents().intersects(gone)
    }

    fn is_sending(&mut self) -> bool {
        Self::is_sending(self)
    }

    fn statistics(&self) -> Option<PortStatistics> {
        Self::statistics(self).ok()
    }
}
