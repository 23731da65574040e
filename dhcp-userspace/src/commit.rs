//! When is a promise on stable storage? Group commit: many change logs, one write, one sync.
//!
//! Workers submit their change logs; one thread gathers whatever is there, writes it and syncs once,
//! and hands the logs back to their workers, in order. Invariants:
//! - A log comes back marked durable only after the sync that covers it has returned without an error,
//!   with every octet of it written since the last sync that failed. The kernel reports a failure once
//!   and marks the pages clean: a second sync alone would claim a success that did not happen.
//! - While a group is not durable, none after it is written.
//! - No queue grows: there are as many places as there are logs.

use crate::wake::Waker;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use crossbeam::queue::ArrayQueue;
use crossbeam::utils::CachePadded;
use dhcp_lease::ChangeLog;
use dhcp_lease::journal::ALIGNMENT;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

mod state;

pub use state::{Cause, StoreState, StoreStatus, Trouble};

/// Most change logs that a worker has under way. Enough that it need not wait for the disk between
/// batches; more would only hold frames.
pub const LOGS_PER_WORKER: usize = 8;
/// How long after a failure the disk is tried again: often enough to go on within a second of its end.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// How soon to look for further logs while what cannot be written is given up.
const CLOSING_PAUSE: Duration = Duration::from_millis(1);
/// How often it is logged, at most, that something is still amiss.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);
/// How often it is logged, at most, that something is amiss anew.
const NEWS_INTERVAL: Duration = Duration::from_secs(1);

/// Stable storage for change logs: the journal file, or a stand-in in tests.
pub trait Storage: Send {
    /// Gives a log its place in the next group and its number, which [`Mailbox::settled`] will name.
    /// `None`: there is no room until a checkpoint has made some.
    fn place(&mut self, log: &mut ChangeLog) -> Option<u64>;

    /// Writes the logs that have a place, in order, and brings them to stable storage with one sync.
    ///
    /// # Errors
    /// [`Trouble`]. Nothing may be assumed about what was written. Call it again with the same group:
    /// it writes every octet anew.
    fn commit(&mut self, group: &[Submission]) -> Result<(), Trouble>;

    /// Called while no group is under way: time for a checkpoint, if one is due or `is_full` says that a
    /// log waits for room. `now` is how long it has been since any fixed moment. How soon it wants to be
    /// called again.
    ///
    /// # Errors
    /// [`Trouble`]; call it again, it goes on where it failed.
    fn between_groups(
        &mut self,
        settlements: &Settlements,
        is_full: bool,
        now: Duration,
    ) -> Result<Duration, Trouble>;

    /// What it suffers from while commits go on, as long as there is room.
    fn ailment(&self) -> Option<&Trouble> {
        None
    }

    /// How many octets of logs a group may have, roughly: the last log may go beyond.
    fn group_octets_max(&self) -> u64 {
        u64::MAX
    }

    /// Called at the end, when every log is settled.
    ///
    /// # Errors
    /// [`Trouble`]; the next start finds more to replay then.
    fn finish(&mut self) -> Result<(), Trouble>;
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

/// What every worker was given back, and what it has settled.
#[derive(Debug)]
pub struct Settlements {
    mailboxes: Vec<Arc<Mailbox>>,
    handed_back: Vec<u64>,
}

impl Settlements {
    /// For every worker the sequence number of the last log that it was given back durable.
    pub fn handed_back(&self) -> &[u64] {
        &self.handed_back
    }

    /// Whether every worker has settled all up to these sequence numbers.
    pub fn have_settled(&self, wanted: &[u64]) -> bool {
        let mut mailboxes = self.mailboxes.iter().zip(wanted);
        mailboxes.all(|(mailbox, wanted)| mailbox.settled.load(Ordering::Acquire) >= *wanted)
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
    /// back once the store works again.
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

    /// Whether the store takes no commits at the moment.
    pub fn is_suspended(&self) -> bool {
        self.state.is_suspended()
    }

    /// How often the store has ceased to take commits. When it grows, whoever waits for a log has waited
    /// too long.
    pub fn outages(&self) -> u64 {
        self.state.outages()
    }
}

/// What is to be done after [`Committer::step`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Call it again at once.
    Again,
    /// Call it again when somebody submitted a log, or after so long.
    Wait(Duration),
    /// Everybody is gone, and the storage is closed.
    Ended,
}

/// The journal's end.
#[derive(Debug)]
pub struct Committer {
    submissions: Receiver<Submission>,
    is_disconnected: bool,
    /// Logs without a place.
    queue: VecDeque<Submission>,
    /// Logs that have one and are not yet durable.
    group: Vec<Submission>,
    settlements: Settlements,
    state: Arc<StoreState>,
    /// While the store is suspended: when to try again.
    retry_at: Option<Duration>,
    /// When it was last logged that the journal is full, and that there is trouble.
    complained_full: Option<Duration>,
    complained_trouble: Option<Duration>,
    /// Whether the log says that there is trouble.
    is_complaining: bool,
    is_full: bool,
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
    let handles: Vec<_> = handles.collect();
    let logs = handles.len() * LOGS_PER_WORKER;
    let committer = Committer {
        submissions: receiver,
        is_disconnected: false,
        queue: VecDeque::with_capacity(logs),
        group: Vec::with_capacity(logs),
        settlements: Settlements {
            handed_back: vec![0; mailboxes.len()],
            mailboxes,
        },
        state: Arc::clone(state),
        retry_at: None,
        complained_full: None,
        complained_trouble: None,
        is_complaining: false,
        is_full: false,
    };
    (handles, committer)
}

impl Committer {
    /// Serves until every worker has dropped its handle, then closes the storage.
    pub fn run(mut self, mut storage: impl Storage) {
        let started = Instant::now();
        let time = || started.elapsed();
        loop {
            match self.step(&mut storage, &time) {
                Step::Again => {}
                Step::Wait(pause) => self.wait(pause),
                Step::Ended => return,
            }
        }
    }

    fn wait(&mut self, pause: Duration) {
        if self.is_disconnected {
            return std::thread::sleep(pause);
        }
        match self.submissions.recv_timeout(pause) {
            Ok(submission) => self.queue.push_back(submission),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.is_disconnected = true,
        }
    }

    /// Does what there is to do without waiting for anybody but the disk: at most one group, and a step
    /// of a checkpoint. `time` tells how long it has been since any fixed moment.
    pub fn step(&mut self, storage: &mut impl Storage, time: &dyn Fn() -> Duration) -> Step {
        self.gather();
        let now = time();
        let is_closing = self.state.is_closing();
        if let Some(at) = self.retry_at.filter(|at| *at > now && !is_closing) {
            return Step::Wait(at - now);
        }
        self.place(storage, now);
        let result = self
            .commit(storage, time)
            .and_then(|()| storage.between_groups(&self.settlements, self.is_full, now));
        let pause = match result {
            Ok(pause) => {
                self.report(storage.ailment(), now);
                pause
            }
            Err(trouble) if is_closing => {
                self.give_up(trouble);
                CLOSING_PAUSE
            }
            Err(trouble) => {
                let now = time();
                self.retry_at = Some(now + RETRY_PAUSE);
                self.suspend(trouble, now);
                return Step::Wait(RETRY_PAUSE);
            }
        };
        if self.is_full {
            return Step::Wait(pause);
        }
        match (self.queue.is_empty(), self.is_disconnected) {
            (false, _) => Step::Again,
            (true, false) => Step::Wait(pause),
            (true, true) => self.finish(storage),
        }
    }

    /// Takes all logs that are there.
    pub(crate) fn gather(&mut self) {
        loop {
            match self.submissions.try_recv() {
                Ok(next) => self.queue.push_back(next),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    self.is_disconnected = true;
                    return;
                }
            }
        }
    }

    /// Gives logs their places, until there is no room or the group is large enough. A group that failed
    /// stays as it is. How many logs are in the group.
    pub(crate) fn place(&mut self, storage: &mut impl Storage, now: Duration) -> usize {
        if !self.group.is_empty() {
            return self.group.len();
        }
        let octets_max = storage.group_octets_max();
        let mut octets = 0;
        let was_full = std::mem::replace(&mut self.is_full, false);
        while octets < octets_max
            && let Some(next) = self.queue.front_mut()
        {
            let Some(sequence) = storage.place(&mut next.log) else {
                self.is_full = true;
                break;
            };
            next.sequence = sequence;
            octets += next.log.octets().len().next_multiple_of(ALIGNMENT) as u64;
            self.group.extend(self.queue.pop_front());
        }
        if self.is_full && !was_full {
            self.state.count_wait();
            if is_due(&mut self.complained_full, now, COMPLAINT_INTERVAL) {
                tracing::warn!(
                    "the journal is full: the disk is slower than the clients, who wait until the lease \
                     tables are synced"
                );
            }
        }
        self.group.len()
    }

    fn commit(
        &mut self,
        storage: &mut impl Storage,
        time: &dyn Fn() -> Duration,
    ) -> Result<(), Trouble> {
        if self.group.is_empty() {
            return Ok(());
        }
        let started = time();
        storage.commit(&self.group)?;
        self.state
            .count(&self.group, time().saturating_sub(started));
        self.hand_back(true);
        Ok(())
    }

    pub(crate) fn hand_back(&mut self, is_durable: bool) {
        let Settlements {
            mailboxes,
            handed_back,
        } = &mut self.settlements;
        for Submission {
            worker,
            log,
            sequence,
        } in self.group.drain(..)
        {
            let Some(mailbox) = mailboxes.get(worker) else {
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
            if let Some(last) = handed_back.get_mut(worker).filter(|_| is_durable) {
                *last = sequence;
            }
        }
        for mailbox in mailboxes {
            if !mailbox.returned.is_empty() {
                mailbox.waker.wake();
            }
        }
    }

    /// Commits work, at least as long as there is room.
    fn report(&mut self, ailment: Option<&Trouble>, now: Duration) {
        self.retry_at = None;
        match ailment {
            Some(ailment) if self.is_full => self.suspend(ailment.clone(), now),
            Some(ailment) => {
                if self.may_complain(now) {
                    tracing::error!(
                        trouble = %ailment,
                        "the lease tables cannot be synced; leases are granted until the journal is full"
                    );
                }
                self.state.ail(ailment);
            }
            None => {
                self.state.resume();
                if std::mem::take(&mut self.is_complaining) {
                    tracing::info!(
                        "the lease store can be written again; leases are granted again"
                    );
                }
            }
        }
    }

    fn suspend(&mut self, trouble: Trouble, now: Duration) {
        if self.may_complain(now) {
            tracing::error!(
                %trouble,
                "the lease store cannot be written; nothing is promised until it can be"
            );
        }
        if self.state.suspend(trouble) {
            // They give up the replies that wait.
            for mailbox in &self.settlements.mailboxes {
                mailbox.waker.wake();
            }
        }
    }

    /// Whether it is to be logged that there is trouble: at its beginning, but for one that comes and goes,
    /// and then once in a while.
    fn may_complain(&mut self, now: Duration) -> bool {
        let interval = match self.is_complaining {
            true => COMPLAINT_INTERVAL,
            false => NEWS_INTERVAL,
        };
        let may = is_due(&mut self.complained_trouble, now, interval);
        self.is_complaining |= may;
        may
    }

    /// The server stops while the disk does not work: nobody was promised what is not durable.
    fn give_up(&mut self, trouble: Trouble) {
        tracing::error!(%trouble, "what was not yet promised is given up");
        self.state.suspend(trouble);
        self.gather();
        self.group.extend(self.queue.drain(..));
        self.is_full = false;
        self.hand_back(false);
    }

    fn finish(&mut self, storage: &mut impl Storage) -> Step {
        if self.state.is_suspended() {
            return Step::Ended;
        }
        if let Err(trouble) = storage.finish() {
            tracing::error!(
                %trouble,
                "the lease store is not closed in good order; the next start replays the journal"
            );
        }
        Step::Ended
    }
}

/// Whether something that was last logged `then` may be logged again.
fn is_due(then: &mut Option<Duration>, now: Duration, interval: Duration) -> bool {
    let is_due = then.is_none_or(|then| now.saturating_sub(then) >= interval);
    if is_due {
        *then = Some(now);
    }
    is_due
}
