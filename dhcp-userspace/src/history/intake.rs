//! How do commits come to the history? Into memory of a fixed size, without anybody waiting.

use super::HistorySettings;
use crate::commit::Submission;
use crate::leasequery::Feed;
use crossbeam::queue::ArrayQueue;
use crossbeam::sync::Unparker;
use dhcp_lease::Timestamp;
use dhcp_lease::format::{self, ArchivedRecord};
use dhcp_lease::history::{Gap, Reason, count_generations};
use dhcp_lease::journal::{RECORD_OCTETS, split};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Octets of records that wait for the history, at most: half a million commits.
pub(super) const PENDING_OCTETS_MAX: usize = 64 << 20;
/// From so many on the history does not wait for its time: it goes through them while a cache holds them.
const PENDING_OCTETS_WORTH_WAKING: usize = 1 << 20;
/// How many buffers of notes there are for each worker: with what they hold, some hundred milliseconds of
/// its commits at the rate at which it can make them.
const NOTES_PER_WORKER: usize = 16;
/// Notes that are worth handing over while there is something else to do.
pub(super) const NOTES_OCTETS: usize = 256 << 10;
/// Room for these and for what one batch adds.
const NOTES_CAPACITY: usize = NOTES_OCTETS + 64 * 4 * RECORD_OCTETS;
/// A worker that finds no buffer keeps so much, and then lets it go.
const NOTES_OCTETS_MAX: usize = 1 << 20;

/// What was handed over.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Records as change logs have them.
    pub(super) records: Vec<u8>,
    /// The journal's batches before this one were handed over.
    pub(super) position: Option<u64>,
    /// Commits for which there was no room.
    pub(super) lost: u64,
}

/// The history's end of every commit.
#[derive(Debug)]
pub struct Intake {
    pending: Mutex<Pending>,
    full: ArrayQueue<Vec<u8>>,
    spare: ArrayQueue<Vec<u8>>,
    lost_notes: AtomicU64,
    /// Batches before this one are in the history, on stable storage.
    covered: AtomicU64,
    /// Somebody waits for more than that.
    is_wanted: AtomicBool,
    is_closing: AtomicBool,
    is_troubled: AtomicBool,
    is_required: bool,
    unparker: Unparker,
    status: Mutex<HistoryStatus>,
    /// Who wants to know which leases have changed.
    feed: OnceLock<Arc<Feed>>,
}

/// The history in numbers, for `status`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryStatus {
    /// Why it cannot be written at the moment; `None`: it can.
    pub trouble: Option<String>,
    /// Entries written since the start.
    pub entries: u64,
    /// Octets written since the start.
    pub octets: u64,
    /// Blocks written since the start.
    pub blocks: u64,
    /// Commits that are missing since the start.
    pub lost: u64,
    /// The number of the segment that is written.
    pub segment: u64,
    /// How many segments there are.
    pub segments: u64,
    /// Octets of all of them.
    pub segments_octets: u64,
    /// The earliest second that the history tells of.
    pub oldest: Option<Timestamp>,
    /// The hash of the last block, in hexadecimal.
    pub hash: String,
}

impl Intake {
    pub(super) fn new(workers: usize, settings: &HistorySettings, unparker: Unparker) -> Self {
        let buffers = workers.max(1) * NOTES_PER_WORKER;
        Self {
            pending: Mutex::default(),
            full: ArrayQueue::new(buffers),
            spare: ArrayQueue::new(buffers),
            lost_notes: AtomicU64::new(0),
            covered: AtomicU64::new(0),
            is_wanted: AtomicBool::new(false),
            is_closing: AtomicBool::new(false),
            is_troubled: AtomicBool::new(false),
            is_required: settings.is_required,
            unparker,
            status: Mutex::default(),
            feed: OnceLock::new(),
        }
    }

    /// From now on what is durable goes to a feed too. The first one stays.
    pub fn feed(&self, feed: Arc<Feed>) {
        let _ = self.feed.set(feed);
    }

    // RFC 7724 section 8.2 [active-not-delayed]: by the history's thread, when everybody has been answered.
    /// Tells the feed, if there is one, of what was collected. `now` is not before any of it.
    pub(super) fn tell_feed(&self, pending: &Pending, now: Timestamp) {
        let Some(feed) = self.feed.get() else {
            return;
        };
        let records = split(&pending.records);
        let records = records.filter_map(|(_, _, image)| format::record(image));
        feed.note(records.filter_map(ArchivedRecord::lease), now);
        if pending.lost > 0 {
            feed.gap(now);
        }
    }

    /// Makes the buffers that workers put their notes into (durability "process").
    pub fn make_buffers(&self) {
        while !self.spare.is_full() {
            let _ = self.spare.push(Vec::with_capacity(NOTES_CAPACITY));
        }
    }

    /// Takes the records of logs that are durable now. For the journal's thread alone.
    pub fn take(&self, group: &[Submission]) {
        let mut pending = self.pending.lock();
        let octets_before = pending.records.len();
        for Submission { log, sequence, .. } in group {
            let records = log.record_octets();
            if pending.records.len() + records.len() > PENDING_OCTETS_MAX {
                pending.lost += count_generations(split(records));
            } else {
                pending.records.extend_from_slice(records);
            }
            pending.position = Some(*sequence);
        }
        let worth_waking = octets_before..=pending.records.len();
        drop(pending);
        if worth_waking.contains(&PENDING_OCTETS_WORTH_WAKING) {
            self.unparker.unpark();
        }
    }

    /// Takes a worker's notes when there are many of them, or when it `is_idle`, if there is a buffer to
    /// give for it; else they stay where they are. Half of the buffers are for many: moments of idleness
    /// between two frames would fill them all with a note each, and more notes than a worker keeps come
    /// before the history looks again.
    pub fn take_notes(&self, notes: &mut Vec<u8>, is_idle: bool) {
        let half = self.full.capacity() / 2;
        let is_worth_it = notes.len() >= NOTES_OCTETS || (is_idle && self.full.len() < half);
        if notes.is_empty() || !is_worth_it {
            return;
        }
        if let Some(mut empty) = self.spare.pop() {
            std::mem::swap(notes, &mut empty);
            // There are as many places as buffers.
            let _ = self.full.push(empty);
            if self.full.len() > half {
                self.unparker.unpark();
            }
        } else if notes.len() >= NOTES_OCTETS_MAX {
            let lost = count_generations(split(notes));
            self.lost_notes.fetch_add(lost, Ordering::Relaxed);
            notes.clear();
        }
    }

    /// Everything that was handed over. `records` gives its room for what comes next.
    pub(super) fn collect(&self, mut records: Vec<u8>) -> Pending {
        records.clear();
        let mut pending = self.pending.lock();
        let next = Pending {
            records,
            position: None,
            lost: 0,
        };
        let mut taken = std::mem::replace(&mut *pending, next);
        drop(pending);
        while let Some(mut notes) = self.full.pop() {
            taken.records.extend_from_slice(&notes);
            notes.clear();
            let _ = self.spare.push(notes);
        }
        taken.lost += self.lost_notes.swap(0, Ordering::Relaxed);
        taken
    }

    /// Whether the history has the journal's batches before this one on stable storage, or need not have
    /// them for the journal to go on. If not, it hurries.
    pub fn covers(&self, position: u64) -> bool {
        if self.covered.load(Ordering::Acquire) >= position {
            return true;
        }
        if self.is_troubled() && !self.is_required {
            return true;
        }
        if !self.is_wanted.swap(true, Ordering::AcqRel) {
            self.unparker.unpark();
        }
        false
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.is_wanted.swap(false, Ordering::AcqRel)
    }

    pub(super) fn cover(&self, position: u64) {
        self.covered.store(position, Ordering::Release);
    }

    /// Whether the history cannot be written at the moment.
    pub fn is_troubled(&self) -> bool {
        self.is_troubled.load(Ordering::Acquire)
    }

    /// Whether nothing may be promised, because the history cannot be written and the operator said that
    /// it must be.
    pub fn is_blocking(&self) -> bool {
        self.is_required && self.is_troubled()
    }

    pub(super) fn close(&self) {
        self.is_closing.store(true, Ordering::Release);
        self.unparker.unpark();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }

    /// Numbers of this moment.
    pub fn status(&self) -> HistoryStatus {
        self.status.lock().clone()
    }

    pub(super) fn tell(&self, status: HistoryStatus) {
        self.is_troubled
            .store(status.trouble.is_some(), Ordering::Release);
        *self.status.lock() = status;
    }
}

/// The gap that commits leave for which there was no room.
pub(super) fn gap(lost: u64, from: Timestamp, to: Timestamp) -> Gap {
    Gap {
        from,
        to,
        reason: Reason::Disk,
        commits: lost,
    }
}
