//! How is the store? Numbers and troubles, for `status`, the metrics and the workers.

use super::Submission;
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// What the store could not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Write a group of change logs.
    JournalWrite,
    /// Sync it.
    JournalSync,
    /// Write or sync a copy of the journal's header.
    JournalHeader,
    /// Sync a table.
    TableSync,
    /// Read the journal, to store anew what a table lacks on the disk.
    JournalRead,
    /// Find a file under its name: it was moved, removed or replaced.
    FileGone,
    /// Find a file as long as it was: it was cut short. There is no way back from that.
    FileShort,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::JournalWrite,
        Self::JournalSync,
        Self::JournalHeader,
        Self::TableSync,
        Self::JournalRead,
        Self::FileGone,
        Self::FileShort,
    ];

    /// Whether the process must end, because it would be ended by a signal sooner or later.
    pub fn is_final(self) -> bool {
        self == Self::FileShort
    }

    /// As it is called in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::JournalWrite => "journal_write",
            Self::JournalSync => "journal_sync",
            Self::JournalHeader => "journal_header",
            Self::TableSync => "table_sync",
            Self::JournalRead => "journal_read",
            Self::FileGone => "file_gone",
            Self::FileShort => "file_short",
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::JournalWrite => "cannot write the journal",
            Self::JournalSync => "cannot sync the journal",
            Self::JournalHeader => "cannot write the journal's header",
            Self::TableSync => "cannot sync a lease table",
            Self::JournalRead => "cannot read the journal",
            Self::FileGone => "a file of the lease store is not in its place",
            Self::FileShort => "a file of the lease store lacks its end",
        }
    }
}

/// What is wrong with the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What could not be done.
    pub cause: Cause,
    path: PathBuf,
    error: String,
}

impl Trouble {
    /// What could not be done, with which file, and what the system says.
    pub fn new(cause: Cause, path: &Path, error: &io::Error) -> Self {
        Self {
            cause,
            path: path.to_owned(),
            error: error.to_string(),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cause, path, error } = self;
        write!(f, "{}: {}: {error}", path.display(), cause.what())
    }
}

/// What the journal has done so far, and whether it works.
#[derive(Debug)]
pub struct StoreState {
    is_suspended: AtomicBool,
    is_closing: AtomicBool,
    trouble: Mutex<Option<Trouble>>,
    outages: AtomicU64,
    groups: AtomicU64,
    logs: AtomicU64,
    records: AtomicU64,
    waits: AtomicU64,
    latency: Mutex<Option<Histogram<u64>>>,
}

/// Numbers of the journal for `status`. Latencies are those of write and sync together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreStatus {
    /// What is wrong with the disk.
    pub trouble: Option<Trouble>,
    /// Whether the store takes no commits at the moment, because of it.
    pub is_suspended: bool,
    /// How often it has taken none for a while.
    pub outages: u64,
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
            is_suspended: AtomicBool::new(false),
            is_closing: AtomicBool::new(false),
            trouble: Mutex::new(None),
            outages: AtomicU64::new(0),
            groups: AtomicU64::new(0),
            logs: AtomicU64::new(0),
            records: AtomicU64::new(0),
            waits: AtomicU64::new(0),
            latency: Mutex::new(latency),
        }
    }
}

impl StoreState {
    /// Whether the store takes no commits at the moment.
    pub fn is_suspended(&self) -> bool {
        self.is_suspended.load(Ordering::Acquire)
    }

    /// How often it has taken none for a while: what was promised before the last of these has to wait
    /// no longer.
    pub fn outages(&self) -> u64 {
        self.outages.load(Ordering::Acquire)
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
            trouble: self.trouble.lock().clone(),
            is_suspended: self.is_suspended(),
            outages: self.outages(),
            groups: self.groups.load(Ordering::Relaxed),
            logs: self.logs.load(Ordering::Relaxed),
            records: self.records.load(Ordering::Relaxed),
            waits: self.waits.load(Ordering::Relaxed),
            latency_p50_micros: quantile(0.5),
            latency_p99_micros: quantile(0.99),
            latency_max_micros: latency.as_ref().map_or(0, Histogram::max),
        }
    }

    /// The server is stopping: what cannot be made durable now is given up, not tried for ever.
    pub fn close(&self) {
        self.is_closing.store(true, Ordering::Release);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }

    /// No commits for now. Whether that is news.
    pub(crate) fn suspend(&self, trouble: Trouble) -> bool {
        *self.trouble.lock() = Some(trouble);
        let is_news = !self.is_suspended();
        if is_news {
            self.outages.fetch_add(1, Ordering::Release);
        }
        self.is_suspended.store(true, Ordering::Release);
        is_news
    }

    /// All is well.
    pub(crate) fn resume(&self) {
        *self.trouble.lock() = None;
        self.is_suspended.store(false, Ordering::Release);
    }

    /// Something is wrong, but commits work.
    pub(super) fn ail(&self, trouble: &Trouble) {
        let mut known = self.trouble.lock();
        if known.as_ref() != Some(trouble) {
            *known = Some(trouble.clone());
        }
        self.is_suspended.store(false, Ordering::Release);
    }

    /// What the process must end for, if there is such a trouble.
    pub fn end(&self) -> Option<Trouble> {
        let trouble = self.trouble.lock();
        trouble.clone().filter(|trouble| trouble.cause.is_final())
    }

    pub(super) fn count_wait(&self) {
        self.waits.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count(&self, group: &[Submission], took: Duration) {
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
