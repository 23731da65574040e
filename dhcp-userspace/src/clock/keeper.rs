//! The thread that looks after time: it writes the clock record, and notices when the wall clock is set.
//!
//! Workers and commits never wait for it. If the record cannot be written, leases are not concerned: the next
//! start then knows the time a little less well.

use super::{Clock, ClockFile, clocks, wall_since_epoch};
use dhcp_lease::clock::{ClockRecord, Known, Place, Source};
use dhcp_lease::{Pools, Timestamp};
use parking_lot::{Condvar, Mutex};
use rustix::time::{ClockId, clock_gettime};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// How often the clocks are compared.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often the record is written, in looks.
const WRITE_LOOKS: u64 = 5;
/// How often it is synced, in looks: after a power cut it is at most so old, and the store's latest
/// transaction makes up for that.
const SYNC_LOOKS: u64 = 60;
/// By so much the wall clock must have been set at once to be worth a word. (A leap second is not.)
const STEP_MILLIS: i128 = 2_000;
/// How often steps are logged, at most: two programs that fight over the clock are not to fill the disk.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);

/// What is known of time at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockStatus {
    /// Server time.
    pub now: Timestamp,
    /// By how much the wall clock is ahead of it.
    pub offset_seconds: i64,
    /// Where server time came from at the start.
    pub source: Source,
    /// Since when, in server time, a jump of the wall clock has been refused.
    pub held_since: Option<Timestamp>,
    /// The operator has accepted the wall clock, from the next start on.
    pub is_accepted: bool,
    /// How often the wall clock was set since the start.
    pub steps: u64,
    /// Until when free leases are withheld because the store is a restored copy.
    pub withheld_until: Option<Timestamp>,
    /// Why the record cannot be written.
    pub failure: Option<String>,
}

/// The thread, as long as it lives.
#[derive(Debug)]
pub struct Keeper {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    source: Source,
    held_since: Option<Timestamp>,
    epoch: u32,
    file: Mutex<ClockFile>,
    offset_seconds: AtomicI64,
    steps: AtomicU64,
    is_accepted: AtomicBool,
    /// 0: not.
    withheld_until: AtomicU64,
    failure: Mutex<Option<String>>,
    stop: Mutex<bool>,
    stopped: Condvar,
}

/// With what a keeper begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beginning {
    /// Server time.
    pub(crate) clock: Clock,
    /// Where it came from.
    pub(crate) source: Source,
    /// Since when a jump has been refused.
    pub(crate) held_since: Option<Timestamp>,
    /// The epoch of the store.
    pub(crate) epoch: u32,
    /// The operator's word was given, but could not be followed yet.
    pub(crate) is_accepted: bool,
    /// Until when free leases are withheld.
    pub(crate) withheld_until: Option<Timestamp>,
}

impl Keeper {
    /// Writes and syncs the record of this start, then keeps it.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn start(file: ClockFile, beginning: &Beginning) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            clock: beginning.clock,
            source: beginning.source,
            held_since: beginning.held_since,
            epoch: beginning.epoch,
            file: Mutex::new(file),
            offset_seconds: AtomicI64::new(0),
            steps: AtomicU64::new(0),
            is_accepted: AtomicBool::new(beginning.is_accepted),
            withheld_until: AtomicU64::new(beginning.withheld_until.unwrap_or_default().0),
            failure: Mutex::new(None),
            stop: Mutex::new(false),
            stopped: Condvar::new(),
        });
        shared.write()?;
        let given = Arc::clone(&shared);
        let thread = Builder::new()
            .name("clock".to_owned())
            .spawn(move || given.keep())?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// What is known now.
    pub fn status(&self) -> ClockStatus {
        let shared = &self.shared;
        let now = shared.clock.now();
        ClockStatus {
            now,
            offset_seconds: shared.offset_seconds.load(Ordering::Relaxed),
            source: shared.source,
            held_since: shared.held_since,
            is_accepted: shared.is_accepted.load(Ordering::Relaxed),
            steps: shared.steps.load(Ordering::Relaxed),
            withheld_until: shared.withheld_until().filter(|until| *until > now),
            failure: shared.failure.lock().clone(),
        }
    }

    /// The operator's word that the wall clock is right: the next start takes it over. Durable when this
    /// returns.
    ///
    /// # Errors
    /// Those of the system; the word is not kept then.
    pub fn accept_clock(&self) -> io::Result<()> {
        let before = self.shared.is_accepted.swap(true, Ordering::Relaxed);
        let written = self.shared.write();
        if written.is_err() {
            self.shared.is_accepted.store(before, Ordering::Relaxed);
        }
        written
    }

    /// The operator's word that the store is the newest there is: free leases are not withheld any more.
    ///
    /// # Errors
    /// Those of the system; they are withheld as before then.
    pub fn accept_restored(&self, pools: &Pools) -> io::Result<()> {
        let before = self.shared.withheld_until.swap(0, Ordering::Relaxed);
        match self.shared.write() {
            Ok(()) => pools.withhold_until(Timestamp(0)),
            Err(error) => {
                self.shared.withheld_until.store(before, Ordering::Relaxed);
                return Err(error);
            }
        }
        Ok(())
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        *self.shared.stop.lock() = true;
        self.shared.stopped.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn keep(&self) {
        let mut steps = Steps::new();
        let mut stop = self.stop.lock();
        for look in 1.. {
            self.stopped.wait_for(&mut stop, LOOK_INTERVAL);
            let is_last = *stop;
            parking_lot::MutexGuard::unlocked(&mut stop, || {
                // A record from before the wall clock was set, and the wall clock of after it, tell nothing of how
                // long the machine was down.
                let is_set = self.look(&mut steps);
                let written = match look {
                    _ if is_set || is_last || look % SYNC_LOOKS == 0 => self.write(),
                    _ if look % WRITE_LOOKS == 0 => self.write_unsynced(&mut self.file.lock()),
                    _ => Ok(()),
                };
                self.note(written.err());
            });
            if is_last {
                return;
            }
        }
    }

    /// Whether the wall clock was set since the last look.
    fn look(&self, steps: &mut Steps) -> bool {
        let now = i128::from(self.clock.now().0);
        let offset = i128::from(super::wall().0) - now;
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        self.offset_seconds.store(offset, Ordering::Relaxed);
        let Some(step_millis) = steps.look() else {
            return false;
        };
        let count = self.steps.fetch_add(1, Ordering::Relaxed) + 1;
        if steps.may_complain() {
            tracing::warn!(
                step_seconds = i64::try_from(step_millis / 1000).unwrap_or(i64::MAX),
                offset_seconds = offset,
                steps = count,
                "the wall clock was set; leases go on by the boot clock"
            );
        }
        true
    }

    fn withheld_until(&self) -> Option<Timestamp> {
        let until = self.withheld_until.load(Ordering::Relaxed);
        (until > 0).then_some(Timestamp(until))
    }

    fn write_unsynced(&self, file: &mut ClockFile) -> io::Result<()> {
        let clocks = clocks();
        file.write(&ClockRecord {
            number: 0,
            known: Known {
                server: self.clock.at(clocks.boot_seconds),
                clocks,
                held_since: self.held_since,
            },
            accept: self.is_accepted.load(Ordering::Relaxed),
            carrying: false,
            epoch: self.epoch,
            withheld_until: self.withheld_until(),
            place: Place::default(),
        })
    }

    fn write(&self) -> io::Result<()> {
        let mut file = self.file.lock();
        self.write_unsynced(&mut file)?;
        file.sync()
    }

    /// Says once that the record cannot be written, and once that it can.
    fn note(&self, error: Option<io::Error>) {
        let error = error.map(|error| error.to_string());
        let mut failure = self.failure.lock();
        match (&*failure, &error) {
            (None, Some(error)) => tracing::error!(error, "the clock record cannot be written"),
            (Some(_), None) => tracing::info!("the clock record can be written again"),
            (None, None) | (Some(_), Some(_)) => {}
        }
        *failure = error;
    }
}

/// Finds out when the wall clock is set, by the boot clock.
#[derive(Debug)]
struct Steps {
    difference_millis: i128,
    complained: Option<Instant>,
}

impl Steps {
    fn new() -> Self {
        Self {
            difference_millis: difference_millis(),
            complained: None,
        }
    }

    /// By how much it was set since the last look.
    fn look(&mut self) -> Option<i128> {
        let difference = difference_millis();
        let step = difference - std::mem::replace(&mut self.difference_millis, difference);
        (step.abs() >= STEP_MILLIS).then_some(step)
    }

    fn may_complain(&mut self) -> bool {
        let may = self
            .complained
            .is_none_or(|then| then.elapsed() >= COMPLAINT_INTERVAL);
        if may {
            self.complained = Some(Instant::now());
        }
        may
    }
}

/// By how much the wall clock is ahead of the boot clock.
fn difference_millis() -> i128 {
    let boot = clock_gettime(ClockId::Boottime);
    let boot = i128::from(boot.tv_sec) * 1000 + i128::from(boot.tv_nsec) / 1_000_000;
    i128::try_from(wall_since_epoch().as_millis()).unwrap_or(i128::MAX) - boot
}

#[cfg(test)]
mod tests {
    use super::super::Past;
    use super::*;

    #[test]
    fn the_operator_s_words_are_in_the_record_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let identity = [5; 16];
        let read = || Past::read(directory.path(), &identity).unwrap().record;
        let file = ClockFile::open(directory.path(), &identity, &Past::NONE).unwrap();
        let clock = Clock::new(Timestamp(1 << 33), clocks().boot_seconds);
        let beginning = Beginning {
            clock,
            source: Source::HighWater,
            held_since: Some(Timestamp(77)),
            epoch: 0,
            is_accepted: false,
            withheld_until: Some(Timestamp(1 << 34)),
        };
        let keeper = Keeper::start(file, &beginning).unwrap();
        let record = read().unwrap();
        assert!((1 << 33..(1 << 33) + 5).contains(&record.known.server.0));
        assert_eq!(record.known.held_since, Some(Timestamp(77)));
        assert_eq!(record.withheld_until, Some(Timestamp(1 << 34)));
        assert!(!record.accept);

        keeper.accept_clock().unwrap();
        assert!(read().unwrap().accept);
        let pools = Pools::default();
        pools.withhold_until(Timestamp(1 << 34));
        keeper.accept_restored(&pools).unwrap();
        assert!(!pools.withholds(clock.now()));
        assert_eq!(read().unwrap().withheld_until, None);
        let status = keeper.status();
        assert_eq!((status.is_accepted, status.withheld_until), (true, None));
        let number = read().unwrap().number;
        drop(keeper);
        assert!(read().unwrap().number > number, "a clean stop writes it");
    }

    #[test]
    fn a_step_is_seen_once() {
        let mut steps = Steps::new();
        assert_eq!(steps.look(), None);
        steps.difference_millis -= 3_600_000;
        assert!(steps.look().is_some_and(|step| step / 1000 == 3600));
        assert_eq!(steps.look(), None);
        assert!(steps.may_complain() && !steps.may_complain());
    }
}
