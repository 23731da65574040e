//! When is a promise on stable storage? Group commit: many change logs, one write, one sync.
//!
//! Workers submit their change logs; one thread gathers whatever is there, writes it and syncs once,
//! and hands the logs back to their workers, in order. Invariants:
//! - A log comes back marked durable only after the sync that covers it has returned without an error.
//! - After a failed write or sync nothing is written any more. The kernel reports such an error once and
//!   marks the pages clean: a second sync would claim a success that did not happen.
//! - No queue grows: there are as many places as there are logs.

use crate::wake::Waker;
use crossbeam::channel::{Receiver, Sender, TryRecvError, bounded};
use crossbeam::queue::ArrayQueue;
use crossbeam::utils::CachePadded;
use dhcp_lease::ChangeLog;
use dhcp_lease::journal::ALIGNMENT;
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Most change logs that a worker has under way. Enough that it need not wait for the disk between
/// batches; more would only hold frames.
pub const LOGS_PER_WORKER: usize = 8;

/// Stable storage for change logs: the journal file, or a stand-in in tests.
pub trait Storage: Send {
    /// Writes logs in order and brings them to stable storage with one sync. Stores for each the
    /// sequence number that [`Mailbox::settled`] will name.
    ///
    /// # Errors
    /// Those of the system. Nothing may be assumed about what was written; there is no second try.
    fn commit(
        &mut self,
        group: &mut [Submission],
        handed_back: &[u64],
        mailboxes: &[Arc<Mailbox>],
    ) -> io::Result<()>;

    /// Called between groups: time for a checkpoint, if one is due. `handed_back` is, for every worker,
    /// the sequence number of the last log that it was given back durable.
    ///
    /// # Errors
    /// As in [`Storage::commit`].
    fn between_groups(&mut self, handed_back: &[u64], mailboxes: &[Arc<Mailbox>])
    -> io::Result<()>;

    /// How many octets of logs a group may have, roughly: the last log may go beyond.
    fn group_octets_max(&self) -> u64 {
        u64::MAX
    }

    /// How often a group had to wait for a checkpoint, because there was no room.
    fn waits(&self) -> u64 {
        0
    }

    /// Called at the end, when every log is settled.
    ///
    /// # Errors
    /// As in [`Storage::commit`].
    fn finish(&mut self) -> io::Result<()>;
}

/// A change log on its way to stable storage.
#[derive(Debug)]
pub struct Submission {
    /// Whose it is.
    pub worker: usize,
    /// The changes.
    pub log: ChangeLog,
    /// Its number in the journal, once it has one.
    pub sequence: u64,
}

/// A change log on its way back.
#[derive(Debug)]
pub struct Returned {
    /// The changes, for [`Partitions::settle`](dhcp_lease::Partitions::settle).
    pub log: ChangeLog,
    /// Its number in the journal.
    pub sequence: u64,
    /// Whether it is on stable storage. If not, nothing that it promised may be said.
    pub is_durable: bool,
}

/// Where one worker finds its logs again.
#[derive(Debug)]
pub struct Mailbox {
    returned: ArrayQueue<Returned>,
    waker: Arc<Waker>,
    /// The sequence number of the last log that the worker has settled.
    settled: CachePadded<AtomicU64>,
}

impl Mailbox {
    /// The sequence number of the last log that the worker has settled.
    pub fn settled(&self) -> u64 {
        self.settled.load(Ordering::Acquire)
    }
}

/// What the journal has done so far, and whether it still works.
#[derive(Debug)]
pub struct StoreState {
    is_failed: AtomicBool,
    failure: Mutex<Option<String>>,
    groups: AtomicU64,
    logs: AtomicU64,
    records: AtomicU64,
    waits: AtomicU64,
    latency: Mutex<Option<Histogram<u64>>>,
}

/// Numbers of the journal for `status`. Latencies are those of write and sync together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreStatus {
    /// Why the store takes no commits any more; `None`: it does.
    pub failure: Option<String>,
    /// Syncs.
    pub groups: u64,
    /// Change logs in them.
    pub logs: u64,
    /// Records in these.
    pub records: u64,
    /// How often the journal was full, and the clients waited for a checkpoint.
    pub waits: u64,
    /// Half of all syncs took at most this long, in microseconds.
    pub latency_p50_micros: u64,
    /// 99 of 100 took at most this long, in microseconds.
    pub latency_p99_micros: u64,
    /// The longest, in microseconds.
    pub latency_max_micros: u64,
}

impl Default for StoreState {
    fn default() -> Self {
        // From a microsecond to a minute, to two digits.
        let latency = Histogram::new_with_bounds(1, 60_000_000, 2).ok();
        Self {
            is_failed: AtomicBool::new(false),
            failure: Mutex::new(None),
            groups: AtomicU64::new(0),
            logs: AtomicU64::new(0),
            records: AtomicU64::new(0),
            waits: AtomicU64::new(0),
            latency: Mutex::new(latency),
        }
    }
}

impl StoreState {
    /// Whether the store takes no commits any more.
    pub fn is_failed(&self) -> bool {
        self.is_failed.load(Ordering::Acquire)
    }

    /// Numbers of this moment.
    pub fn status(&self) -> StoreStatus {
        let latency = self.latency.lock();
        let quantile = |quantile| {
            latency
                .as_ref()
                .map_or(0, |it| it.value_at_quantile(quantile))
        };
        StoreStatus {
            failure: self.failure.lock().clone(),
            groups: self.groups.load(Ordering::Relaxed),
            logs: self.logs.load(Ordering::Relaxed),
            records: self.records.load(Ordering::Relaxed),
            waits: self.waits.load(Ordering::Relaxed),
            latency_p50_micros: quantile(0.5),
            latency_p99_micros: quantile(0.99),
            latency_max_micros: latency.as_ref().map_or(0, Histogram::max),
        }
    }

    /// Puts an end to all commits. The first reason stays.
    pub fn fail(&self, error: &io::Error) {
        let mut failure = self.failure.lock();
        if failure.is_none() {
            tracing::error!(
                %error,
                "the lease store cannot be written; nothing is promised any more: mend the disk, then restart"
            );
            *failure = Some(error.to_string());
        }
        self.is_failed.store(true, Ordering::Release);
    }

    fn count(&self, group: &[Submission], took: Duration) {
        self.groups.fetch_add(1, Ordering::Relaxed);
        self.logs.fetch_add(group.len() as u64, Ordering::Relaxed);
        let records: usize = group.iter().map(|submission| submission.log.len()).sum();
        self.records.fetch_add(records as u64, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(latency) = self.latency.lock().as_mut() {
            latency.saturating_record(micros);
        }
    }
}

/// A worker's end.
#[derive(Debug)]
pub struct Handle {
    worker: usize,
    submissions: Sender<Submission>,
    mailbox: Arc<Mailbox>,
    state: Arc<StoreState>,
}

impl Handle {
    /// Sends a log on its way. There is always a place for it. After a failure of the store it comes
    /// back unwritten.
    pub fn submit(&self, log: ChangeLog) {
        let submission = Submission {
            worker: self.worker,
            log,
            sequence: 0,
        };
        let result = self.submissions.try_send(submission);
        assert!(
            result.is_ok(),
            "worker {}: the journal's queue has a place for every log, or its thread is gone",
            self.worker
        );
    }

    /// The next log that came back; they come in the order in which they were submitted.
    pub fn take_returned(&self) -> Option<Returned> {
        self.mailbox.returned.pop()
    }

    /// Whether a log waits to be taken.
    pub fn has_returned(&self) -> bool {
        !self.mailbox.returned.is_empty()
    }

    /// A log that came back counts in the tables now.
    pub fn settled(&self, sequence: u64) {
        self.mailbox.settled.store(sequence, Ordering::Release);
    }

    /// Whether the store takes no commits any more.
    pub fn is_failed(&self) -> bool {
        self.state.is_failed()
    }
}

/// The journal's end.
#[derive(Debug)]
pub struct Committer {
    submissions: Receiver<Submission>,
    mailboxes: Vec<Arc<Mailbox>>,
    handed_back: Vec<u64>,
    state: Arc<StoreState>,
}

/// Connects workers, each with its waker, to one journal.
pub fn connect(wakers: Vec<Arc<Waker>>, state: &Arc<StoreState>) -> (Vec<Handle>, Committer) {
    let (sender, receiver) = bounded(wakers.len().max(1) * LOGS_PER_WORKER);
    let mailboxes: Vec<_> = wakers
        .into_iter()
        .map(|waker| {
            let returned = ArrayQueue::new(LOGS_PER_WORKER);
            Arc::new(Mailbox {
                returned,
                waker,
                settled: CachePadded::default(),
            })
        })
        .collect();
    let handles = mailboxes
        .iter()
        .enumerate()
        .map(|(worker, mailbox)| Handle {
            worker,
            submissions: sender.clone(),
            mailbox: Arc::clone(mailbox),
            state: Arc::clone(state),
        });
    let handles = handles.collect();
    let handed_back = vec![0; mailboxes.len()];
    (
        handles,
        Committer {
            submissions: receiver,
            mailboxes,
            handed_back,
            state: Arc::clone(state),
        },
    )
}

impl Committer {
    /// Serves until every worker has dropped its handle, then closes the storage.
    pub fn run(mut self, mut storage: impl Storage) {
        let mut group = Vec::with_capacity(self.mailboxes.len() * LOGS_PER_WORKER);
        while self.gather(&mut group, storage.group_octets_max()) {
            let is_durable = self.commit(&mut storage, &mut group);
            self.hand_back(&mut group, is_durable);
            if !self.state.is_failed()
                && let Err(error) = storage.between_groups(&self.handed_back, &self.mailboxes)
            {
                self.state.fail(&error);
            }
        }
        if !self.state.is_failed()
            && let Err(error) = storage.finish()
        {
            self.state.fail(&error);
        }
    }

    /// Waits for a log and takes all that are there, until they have `octets_max`. `false`: nobody will
    /// submit any more.
    pub(crate) fn gather(&self, group: &mut Vec<Submission>, octets_max: u64) -> bool {
        let Ok(mut next) = self.submissions.recv() else {
            return false;
        };
        let mut octets = 0;
        loop {
            octets += next.log.octets().len().next_multiple_of(ALIGNMENT) as u64;
            group.push(next);
            if octets >= octets_max {
                return true;
            }
            next = match self.submissions.try_recv() {
                Ok(next) => next,
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return true,
            };
        }
    }

    fn commit(&self, storage: &mut impl Storage, group: &mut [Submission]) -> bool {
        if self.state.is_failed() {
            return false;
        }
        let started = Instant::now();
        let result = storage.commit(group, &self.handed_back, &self.mailboxes);
        self.state.waits.store(storage.waits(), Ordering::Relaxed);
        match result {
            Ok(()) => {
                self.state.count(group, started.elapsed());
                true
            }
            Err(error) => {
                self.state.fail(&error);
                false
            }
        }
    }

    pub(crate) fn hand_back(&mut self, group: &mut Vec<Submission>, is_durable: bool) {
        for Submission {
            worker,
            log,
            sequence,
        } in group.drain(..)
        {
            let Some(mailbox) = self.mailboxes.get(worker) else {
                continue;
            };
            let result = mailbox.returned.push(Returned {
                log,
                sequence,
                is_durable,
            });
            assert!(
                result.is_ok(),
                "worker {worker} has more than {LOGS_PER_WORKER} logs"
            );
            if let Some(last) = self.handed_back.get_mut(worker) {
                *last = sequence;
            }
        }
        for mailbox in &self.mailboxes {
            if !mailbox.returned.is_empty() {
                mailbox.waker.wake();
            }
        }
    }
}
