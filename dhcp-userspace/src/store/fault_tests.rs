//! The store on a disk that fails, at every call once and for ever, and forgets what a failed sync covered.

use super::tests::{NOW, binding, commit, pools, settings};
use super::*;
use crate::commit::{Committer, Handle, Step, StoreState, connect};
use crate::disk::{NotSynced, Syncing, sync_all};
use crate::wake::Waker;
use dhcp_lease::table::Region;
use dhcp_lease::{ChangeLog, Lease};
use parking_lot::Mutex;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Which calls fail, and how.
#[derive(Clone, Copy, Debug)]
struct Fault {
    /// The first call that fails.
    first: u64,
    /// How many do.
    count: u64,
    errno: i32,
    /// A write that fails has written half.
    is_short: bool,
}

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;

/// A directory that counts calls and fails as it is told. What was written since the last sync is gone
/// after a sync that failed, from the files and from what is mapped, as after a power cut: a real system
/// may do that at any time, and it shows whether somebody relies on the opposite.
struct FaultyDisk {
    inner: Directory,
    control: Arc<FaultControl>,
}

#[derive(Default)]
struct FaultControl {
    calls: AtomicU64,
    /// Every sync of a table fails.
    are_tables_bad: AtomicBool,
    fault: Mutex<Option<Fault>>,
    files: Mutex<Vec<Arc<FaultyFile>>>,
}

impl FaultControl {
    fn call(&self) -> io::Result<()> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let fault = *self.fault.lock();
        let hit = |fault: &Fault| call >= fault.first && call - fault.first < fault.count;
        match fault.filter(hit) {
            Some(fault) => Err(io::Error::from_raw_os_error(fault.errno)),
            None => Ok(()),
        }
    }

    fn is_short(&self) -> bool {
        self.fault.lock().is_some_and(|fault| fault.is_short)
    }

    /// The power fails: only what was synced is left, and nobody has the files any more.
    fn cut(&self) {
        let files = std::mem::take(&mut *self.files.lock());
        files.iter().for_each(|file| file.forget());
    }
}

/// A file of which the test knows what is on stable storage.
struct FaultyFile {
    inner: Mutex<Box<dyn DiskFile>>,
    path: PathBuf,
    control: Arc<FaultControl>,
    /// What `write_at` overwrote since the last sync, oldest first.
    undo: Mutex<Vec<(u64, Vec<u8>)>>,
    /// Of a mapped file, what is on stable storage.
    durable: Mutex<Option<Vec<u8>>>,
}

impl FaultyFile {
    fn contents(&self) -> Vec<u8> {
        let inner = self.inner.lock();
        let mut octets = vec![0; inner.octets() as usize];
        inner.read_at(&mut octets, 0).unwrap();
        octets
    }

    fn forget(&self) {
        let undo = std::mem::take(&mut *self.undo.lock());
        for (position, octets) in undo.into_iter().rev() {
            self.inner.lock().write_at(&[&octets], position).unwrap();
        }
        if let Some(durable) = &*self.durable.lock() {
            self.inner.lock().write_at(&[durable], 0).unwrap();
        }
    }
}

/// What the store holds; the other end is the test's.
struct Held(Arc<FaultyFile>);

impl DiskFile for Held {
    fn path(&self) -> &Path {
        &self.0.path
    }

    fn octets(&self) -> u64 {
        self.0.inner.lock().octets()
    }

    fn read_at(&self, octets: &mut [u8], position: u64) -> io::Result<()> {
        self.0.control.call()?;
        self.0.inner.lock().read_at(octets, position)
    }

    fn write_at(&self, pieces: &[&[u8]], position: u64) -> io::Result<()> {
        let whole = pieces.concat();
        let result = self.0.control.call();
        let written = match (&result, self.0.control.is_short()) {
            (Ok(()), _) => whole.as_slice(),
            (Err(_), true) => &whole[..whole.len() / 2],
            (Err(_), false) => &[],
        };
        let inner = self.0.inner.lock();
        let mut before = vec![0; written.len()];
        inner.read_at(&mut before, position)?;
        self.0.undo.lock().push((position, before));
        inner.write_at(&[written], position)?;
        result
    }

    fn sync_data(&self) -> io::Result<()> {
        let is_table = self.0.durable.lock().is_some();
        let control = &self.0.control;
        let result = match is_table && control.are_tables_bad.load(Ordering::Relaxed) {
            true => Err(io::Error::from_raw_os_error(EIO)),
            false => control.call(),
        };
        if result.is_err() {
            self.0.forget();
            return result;
        }
        self.0.undo.lock().clear();
        let contents = self.0.durable.lock().is_some().then(|| self.0.contents());
        *self.0.durable.lock() = contents;
        Ok(())
    }

    fn check(&self) -> io::Result<()> {
        self.0.control.call()?;
        self.0.inner.lock().check()
    }

    fn grow(&mut self, octets: u64) -> io::Result<()> {
        self.0.control.call()?;
        self.0.inner.lock().grow(octets)
    }

    fn map_next(&mut self, octets: u64) -> io::Result<Box<dyn Region>> {
        self.0.control.call()?;
        let region = self.0.inner.lock().map_next(octets)?;
        // The journal is mapped once and then only written: for that `undo` is enough, and cheaper.
        if !self.0.path.ends_with("journal") {
            *self.0.durable.lock() = Some(self.0.contents());
        }
        Ok(region)
    }
}

impl FaultyDisk {
    fn hold(&self, inner: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        let file = Arc::new(FaultyFile {
            path: inner.path().to_owned(),
            inner: Mutex::new(inner),
            control: Arc::clone(&self.control),
            undo: Mutex::default(),
            durable: Mutex::default(),
        });
        self.control.files.lock().push(Arc::clone(&file));
        Box::new(Held(file))
    }
}

impl Disk for FaultyDisk {
    fn path(&self, name: &str) -> PathBuf {
        self.inner.path(name)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.control.call()?;
        // Who made it has closed it; a file is open once at most.
        let path = self.path(name);
        self.control.files.lock().retain(|file| file.path != path);
        Ok(self.hold(self.inner.open(name)?))
    }

    fn create(&self, name: &str, octets: u64) -> io::Result<Box<dyn DiskFile>> {
        self.control.call()?;
        Ok(self.hold(self.inner.create(name, octets)?))
    }

    fn read_whole(&self, name: &str) -> io::Result<Vec<u8>> {
        self.control.call()?;
        self.inner.read_whole(name)
    }

    fn write_whole(&self, name: &str, octets: &[u8]) -> io::Result<()> {
        self.control.call()?;
        self.inner.write_whole(name, octets)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.control.call()?;
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.control.call()?;
        self.inner.remove(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.control.call()?;
        self.inner.list()
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.control.call()?;
        self.inner.sync_directory()
    }

    fn random(&self, octets: &mut [u8]) -> io::Result<()> {
        self.inner.random(octets)
    }

    fn sync_beside(&self, files: Vec<Arc<dyn DiskFile>>) -> io::Result<Box<dyn Syncing>> {
        self.control.call()?;
        Ok(Box::new(Done(Some(sync_all(&files)))))
    }
}

/// Files that were synced at once.
struct Done(Option<Result<(), NotSynced>>);

impl Syncing for Done {
    fn outcome(&mut self) -> Option<Result<(), NotSynced>> {
        self.0.take()
    }

    fn wait(mut self: Box<Self>) -> Result<(), NotSynced> {
        self.0.take().unwrap_or(Ok(()))
    }
}

/// A store on such a disk with one worker, all on the test's thread.
struct Run {
    control: Arc<FaultControl>,
    partitions: Arc<Partitions>,
    pools: Pools,
    handle: Handle,
    committer: Committer,
    journal: JournalFile,
    state: Arc<StoreState>,
    time: Cell<Duration>,
    /// Numbers of the clients in each log under way.
    waiting: std::collections::VecDeque<Vec<u16>>,
    next_client: u16,
    acknowledged: BTreeSet<Lease>,
}

/// How long the test lets pass between two steps.
const STEP: Duration = Duration::from_millis(50);
const CLIENTS_PER_LOG: u16 = 20;

fn directory_with(path: &Path, control: &Arc<FaultControl>) -> StateDirectory {
    let inner = Directory::open(path).unwrap();
    let control = Arc::clone(control);
    let octets = Journal::OCTETS_MIN;
    StateDirectory::on(Arc::new(FaultyDisk { inner, control })).with_journal(octets..=octets)
}

fn small(path: &Path, durability: Durability) -> Settings {
    Settings {
        lease_capacity: 3_000,
        ..settings(path, durability)
    }
}

impl Run {
    fn start(path: &Path, durability: Durability, fault: Option<Fault>) -> Result<Self, OpenError> {
        let control = Arc::new(FaultControl::default());
        *control.fault.lock() = fault;
        let pools = pools();
        let opened =
            directory_with(path, &control).store(&small(path, durability), &pools, 3600, NOW);
        let store = opened.inspect_err(|_| control.cut())?;
        let state = Arc::new(StoreState::default());
        let (mut handles, committer) = connect(vec![Arc::new(Waker::new().unwrap())], &state);
        Ok(Self {
            control,
            partitions: store.partitions,
            pools,
            handle: handles.pop().unwrap(),
            committer,
            journal: store.journal,
            state,
            time: Cell::default(),
            waiting: std::collections::VecDeque::new(),
            next_client: 0,
            acknowledged: BTreeSet::new(),
        })
    }

    /// Some clients ask, unless the store says that it can promise nothing.
    fn ask(&mut self) {
        if self.state.is_suspended() || self.waiting.len() >= 2 {
            return;
        }
        let clients: Vec<_> = (self.next_client..self.next_client + CLIENTS_PER_LOG).collect();
        self.next_client += CLIENTS_PER_LOG;
        let mut log = ChangeLog::default();
        for &client in &clients {
            commit(&self.partitions, &self.pools, client, &mut log);
        }
        self.handle.submit(log);
        self.waiting.push_back(clients);
    }

    fn step(&mut self) {
        let time = || self.time.get();
        while self.committer.step(&mut self.journal, &time) == Step::Again {}
        self.time.set(self.time.get() + STEP);
        while let Some(mut returned) = self.handle.take_returned() {
            assert!(returned.is_durable);
            let clients = self.waiting.pop_front().unwrap();
            let leases = clients.into_iter().map(|client| binding(client).lease);
            self.acknowledged.extend(leases);
            self.partitions.settle(&mut returned.log, &self.pools);
            self.handle.settled(returned.sequence);
        }
    }

    /// The power fails. What is there after it must have every lease that was acknowledged.
    fn cut_and_reopen(self, path: &Path, what: &dyn std::fmt::Debug) {
        let Self {
            control,
            partitions,
            journal,
            acknowledged,
            ..
        } = self;
        control.cut();
        drop((partitions, journal));
        let found = leases(path);
        let lost: Vec<_> = acknowledged.difference(&found).take(3).collect();
        assert!(lost.is_empty(), "{what:?}: lost {lost:?} …");
    }
}

/// All leases of the store in a directory, opened without a fault.
fn leases(path: &Path) -> BTreeSet<Lease> {
    let control = Arc::default();
    let state = directory_with(path, &control);
    let store = state.store(&small(path, Durability::Power), &pools(), 3600, NOW);
    control.cut();
    let mut found = BTreeSet::new();
    store.unwrap().partitions.for_each(|binding| {
        found.insert(binding.lease);
    });
    found
}

/// How many rounds it takes that the journal goes round and checkpoints are made.
const ROUNDS: u32 = 80;

/// How many calls a run makes in which nothing fails: while it is opened, and in all.
fn calls() -> (u64, u64) {
    let directory = tempfile::tempdir().unwrap();
    let mut run = Run::start(directory.path(), Durability::Power, None).unwrap();
    let at_start = run.control.calls.load(Ordering::Relaxed);
    for _ in 0..ROUNDS {
        run.ask();
        run.step();
    }
    let all = run.control.calls.load(Ordering::Relaxed);
    assert_eq!(run.acknowledged.len(), usize::from(run.next_client));
    run.cut_and_reopen(directory.path(), &"no fault");
    (at_start, all)
}

#[test]
fn a_start_on_a_disk_that_fails_ends_with_an_error_and_the_next_start_works() {
    let (at_start, _) = calls();
    assert!(at_start > 20);
    for first in 0..at_start {
        for (errno, count, is_short) in [
            (EIO, 1, false),
            (ENOSPC, u64::MAX, true),
            (EROFS, u64::MAX, false),
        ] {
            let fault = Fault {
                first,
                count,
                errno,
                is_short,
            };
            let directory = tempfile::tempdir().unwrap();
            let error = Run::start(directory.path(), Durability::Power, Some(fault)).err();
            // A file that is not there to be removed is the only call whose failure may be overlooked.
            let error = error
                .unwrap_or_else(|| panic!("{fault:?}: no error"))
                .to_string();
            assert!(error.contains("os error"), "{fault:?}: {error}");
            assert!(leases(directory.path()).is_empty());
        }
    }
}

#[test]
fn a_restart_on_a_disk_that_fails_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let fresh = |path: &Path| {
        let mut run = Run::start(path, Durability::Power, None).unwrap();
        for _ in 0..50 {
            run.ask();
            run.step();
        }
        let acknowledged = run.acknowledged.clone();
        run.cut_and_reopen(path, &"fresh");
        acknowledged
    };
    let acknowledged = fresh(directory.path());
    let run = Run::start(directory.path(), Durability::Power, None).unwrap();
    let at_start = run.control.calls.load(Ordering::Relaxed);
    run.control.cut();
    drop(run);
    for first in 0..at_start {
        for (errno, count, is_short) in [(EIO, 1, false), (ENOSPC, 1, true), (EIO, u64::MAX, false)]
        {
            let fault = Fault {
                first,
                count,
                errno,
                is_short,
            };
            // The batches that a crash left are there each time.
            let directory = tempfile::tempdir().unwrap();
            let mut run = Run::start(directory.path(), Durability::Power, None).unwrap();
            for _ in 0..3 {
                run.ask();
                run.step();
            }
            let acknowledged = run.acknowledged.clone();
            run.control.cut();
            drop(run);
            let refused = Run::start(directory.path(), Durability::Power, Some(fault)).err();
            assert!(refused.is_some(), "{fault:?}");
            let found = leases(directory.path());
            assert!(acknowledged.is_subset(&found), "{fault:?}");
        }
    }
    assert!(acknowledged.is_subset(&leases(directory.path())));
}

#[test]
fn a_disk_that_fails_once_delays_and_loses_nothing() {
    let (at_start, all) = calls();
    for first in at_start..all {
        for (errno, is_short) in [(EIO, false), (ENOSPC, true)] {
            let fault = Fault {
                first,
                count: 1,
                errno,
                is_short,
            };
            let directory = tempfile::tempdir().unwrap();
            let mut run = Run::start(directory.path(), Durability::Power, Some(fault)).unwrap();
            let mut troubles = 0;
            for _ in 0..ROUNDS + 20 {
                run.ask();
                run.step();
                troubles += u32::from(run.state.status().trouble.is_some());
            }
            assert!(troubles > 0, "{fault:?}: nobody was told");
            // A second after the fault all is well again.
            assert!(troubles <= 20, "{fault:?}: {troubles} steps");
            let status = run.state.status();
            assert_eq!(
                (&status.trouble, status.is_suspended),
                (&None, false),
                "{fault:?}"
            );
            assert_eq!(
                run.acknowledged.len(),
                usize::from(run.next_client),
                "{fault:?}"
            );
            run.cut_and_reopen(directory.path(), &fault);
        }
    }
}

#[test]
fn a_disk_that_fails_for_long_acknowledges_nothing_unbacked_and_heals_within_a_second() {
    let (at_start, all) = calls();
    for first in at_start..all {
        let fault = Fault {
            first,
            count: u64::MAX,
            errno: EIO,
            is_short: false,
        };
        let directory = tempfile::tempdir().unwrap();
        let mut run = Run::start(directory.path(), Durability::Power, Some(fault)).unwrap();
        for _ in 0..ROUNDS {
            run.ask();
            run.step();
        }
        let status = run.state.status();
        assert!(status.trouble.is_some() && status.is_suspended, "{fault:?}");
        let before = run.acknowledged.len();
        for _ in 0..10 {
            run.ask();
            run.step();
        }
        assert_eq!(run.acknowledged.len(), before, "{fault:?}");
        if first % 2 == 0 {
            // The power fails before the disk is mended.
            run.cut_and_reopen(directory.path(), &fault);
            continue;
        }
        *run.control.fault.lock() = None;
        for _ in 0..20 {
            run.step();
        }
        assert!(!run.state.is_suspended(), "{fault:?}");
        assert_eq!(
            run.acknowledged.len(),
            usize::from(run.next_client),
            "{fault:?}"
        );
        for _ in 0..10 {
            run.ask();
            run.step();
        }
        assert_eq!(run.state.status().trouble, None, "{fault:?}");
        run.cut_and_reopen(directory.path(), &fault);
    }
}

#[test]
fn with_durability_process_a_failed_sync_is_told_and_made_up_for() {
    // The next calls check the files, then sync the tables.
    for later in 0..10 {
        let directory = tempfile::tempdir().unwrap();
        let mut run = Run::start(directory.path(), Durability::Process, None).unwrap();
        run.step();
        let fault = Fault {
            first: run.control.calls.load(Ordering::Relaxed) + later,
            count: 1,
            errno: EIO,
            is_short: false,
        };
        *run.control.fault.lock() = Some(fault);
        run.time.set(Duration::from_secs(31));
        let mut troubles = 0;
        for _ in 0..40 {
            run.step();
            troubles += u32::from(run.state.status().trouble.is_some());
        }
        assert!((1..=20).contains(&troubles), "{fault:?}: {troubles} steps");
    }
}

#[test]
fn while_tables_cannot_be_synced_leases_are_granted_until_the_journal_is_full() {
    let directory = tempfile::tempdir().unwrap();
    let mut run = Run::start(directory.path(), Durability::Power, None).unwrap();
    run.control.are_tables_bad.store(true, Ordering::Relaxed);
    let mut granted_in_trouble = 0;
    let mut before = 0;
    for _ in 0..ROUNDS {
        run.ask();
        run.step();
        let status = run.state.status();
        if status.trouble.is_some() && !status.is_suspended {
            granted_in_trouble += run.acknowledged.len() - before;
        }
        before = run.acknowledged.len();
    }
    assert!(granted_in_trouble > 0);
    let status = run.state.status();
    assert!(status.is_suspended, "the ring is full");
    assert_eq!(
        status.trouble.unwrap().cause,
        crate::commit::Cause::TableSync
    );
    run.control.are_tables_bad.store(false, Ordering::Relaxed);
    for _ in 0..20 {
        run.step();
    }
    let status = run.state.status();
    assert_eq!((&status.trouble, status.is_suspended), (&None, false));
    for _ in 0..20 {
        run.ask();
        run.step();
    }
    assert_eq!(run.acknowledged.len(), usize::from(run.next_client));
    run.cut_and_reopen(directory.path(), &"bad tables");
}
