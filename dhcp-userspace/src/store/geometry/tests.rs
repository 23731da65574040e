use super::super::tests::{NOW, binding, commit, pools, settings};
use super::*;
use crate::disk::{Directory, NotSynced, Syncing};
use dhcp_lease::table::Region;
use dhcp_lease::{Binding, ChangeLog};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A disk on which the call with this number fails, and in the end every later one: the process was killed.
struct Faulty {
    disk: Directory,
    fault: Arc<Fault>,
}

struct Fault {
    calls: AtomicUsize,
    at: usize,
    is_death: bool,
}

impl Fault {
    fn step(&self) -> io::Result<()> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let fails = call == self.at || self.is_death && call > self.at;
        match fails {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }

    /// A call can fail before or after it did its work.
    fn around<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.step()?;
        let done = work()?;
        self.step()?;
        Ok(done)
    }
}

struct FaultyFile {
    file: Box<dyn DiskFile>,
    fault: Arc<Fault>,
}

impl Disk for Faulty {
    fn path(&self, name: &str) -> PathBuf {
        self.disk.path(name)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let (file, fault) = (self.disk.open(name)?, Arc::clone(&self.fault));
        Ok(Box::new(FaultyFile { file, fault }))
    }

    fn create(&self, name: &str, octets: u64) -> io::Result<Box<dyn DiskFile>> {
        let file = self.fault.around(|| self.disk.create(name, octets))?;
        let fault = Arc::clone(&self.fault);
        Ok(Box::new(FaultyFile { file, fault }))
    }

    fn read_whole(&self, name: &str) -> io::Result<Vec<u8>> {
        self.disk.read_whole(name)
    }

    fn write_whole(&self, name: &str, octets: &[u8]) -> io::Result<()> {
        self.fault.around(|| self.disk.write_whole(name, octets))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.fault.around(|| self.disk.rename(from, to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.fault.around(|| self.disk.remove(name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.fault.around(|| self.disk.sync_directory())
    }

    fn random(&self, octets: &mut [u8]) -> io::Result<()> {
        self.disk.random(octets)
    }

    fn sync_beside(&self, files: Vec<Arc<dyn DiskFile>>) -> io::Result<Box<dyn Syncing>> {
        struct Done(Option<Result<(), NotSynced>>);
        impl Syncing for Done {
            fn outcome(&mut self) -> Option<Result<(), NotSynced>> {
                self.0.take()
            }

            fn wait(mut self: Box<Self>) -> Result<(), NotSynced> {
                self.0.take().unwrap_or(Ok(()))
            }
        }
        Ok(Box::new(Done(Some(crate::disk::sync_all(&files)))))
    }
}

impl DiskFile for FaultyFile {
    fn path(&self) -> &Path {
        self.file.path()
    }

    fn octets(&self) -> u64 {
        self.file.octets()
    }

    fn write_at(&self, pieces: &[&[u8]], position: u64) -> io::Result<()> {
        self.fault.around(|| self.file.write_at(pieces, position))
    }

    fn read_at(&self, octets: &mut [u8], position: u64) -> io::Result<()> {
        self.file.read_at(octets, position)
    }

    fn check(&self) -> io::Result<()> {
        self.file.check()
    }

    fn sync_data(&self) -> io::Result<()> {
        self.fault.around(|| self.file.sync_data())
    }

    fn grow(&mut self, octets: u64) -> io::Result<()> {
        self.file.grow(octets)
    }

    fn map_next(&mut self, octets: u64) -> io::Result<Box<dyn Region>> {
        self.file.map_next(octets)
    }
}

/// In memory where there is such a place: journals are large.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

fn all(directory: &Path, settings: &Settings) -> BTreeMap<String, Binding> {
    let state = StateDirectory::open(directory).unwrap();
    let pools = pools();
    let store = state.store(settings, &pools, 3600, NOW).unwrap();
    assert_eq!(store.recovery.damaged, 0);
    assert!(store.recovery.conflicts.is_empty());
    let (mut found, mut keys) = (BTreeMap::new(), Vec::new());
    store.partitions.for_each(|binding| {
        let twice = found.insert(binding.lease.to_string(), binding.clone());
        assert!(twice.is_none(), "{} twice", binding.lease);
        // Every client's partition is the one of its hash.
        let index = store.partitions.index_of(binding.hardware.as_slice());
        keys.push((index, binding.hardware, binding.lease.kind(), binding.iaid));
    });
    for (index, hardware, kind, iaid) in keys {
        let key = dhcp_lease::Key {
            kind,
            client: &[],
            hardware,
            iaid,
        };
        let partition = store.partitions.lock(index).unwrap();
        assert!(partition.find(&key, |_| true).is_some(), "{hardware:?}");
    }
    found
}

fn fill(directory: &Path, settings: &Settings, clients: u16) {
    let state = StateDirectory::open(directory).unwrap();
    let pools = pools();
    let store = state.store(settings, &pools, 3600, NOW).unwrap();
    let mut log = ChangeLog::default();
    for number in 0..clients {
        commit(&store.partitions, &pools, number, &mut log);
    }
}

fn fit(directory: &Path, settings: &Settings) -> Result<Fitted, FitError> {
    let state = StateDirectory::open(directory).unwrap();
    state.fit(settings, 3600, NOW, None)
}

/// Names of tables and journals.
fn files(directory: &Path) -> Vec<String> {
    let state = StateDirectory::open(directory).unwrap();
    let mut names = state.disk.list().unwrap();
    names.retain(|name| epoch_of(name).is_some());
    names.sort();
    names
}

#[test]
fn other_partitions_and_another_capacity_lose_no_lease() {
    let directory = directory();
    let mut settings = settings(directory.path(), Durability::Process);
    settings.partitions = 2;
    fill(directory.path(), &settings, 500);
    let before = all(directory.path(), &settings);
    assert_eq!(before.len(), 500);
    assert_eq!(fit(directory.path(), &settings).unwrap(), Fitted::AsTheyAre);
    for (partitions, capacity) in [(8, 10_000), (1, 10_000), (1, 2_000), (3, 600), (8, 50_000)] {
        settings.partitions = partitions;
        settings.lease_capacity = capacity;
        let fitted = fit(directory.path(), &settings).unwrap();
        assert!(
            matches!(fitted, Fitted::Anew(moved) if moved.held == 500),
            "{fitted:?}"
        );
        assert_eq!(all(directory.path(), &settings), before);
        assert_eq!(fit(directory.path(), &settings).unwrap(), Fitted::AsTheyAre);
    }
    let files = files(directory.path());
    assert_eq!((files.len(), files[0].as_str()), (9, "journal-5"));
    assert!(files[1..].iter().all(|name| name.starts_with("table-5-")));
}

#[test]
fn a_capacity_below_what_is_held_leaves_everything_as_it_is() {
    let directory = directory();
    let mut settings = settings(directory.path(), Durability::Process);
    fill(directory.path(), &settings, 500);
    let (before, names) = (all(directory.path(), &settings), files(directory.path()));
    settings.lease_capacity = 10;
    let refused = fit(directory.path(), &settings).unwrap_err();
    assert!(
        matches!(refused, FitError::TooSmall { held: 500, .. }),
        "{refused}"
    );
    assert_eq!(files(directory.path()), names);
    assert_eq!(all(directory.path(), &settings), before);
}

#[test]
fn whichever_call_fails_and_whether_or_not_it_is_the_last_nothing_is_lost() {
    let directory = directory();
    let mut settings = settings(directory.path(), Durability::Process);
    settings.partitions = 2;
    settings.lease_capacity = 1_000;
    fill(directory.path(), &settings, 200);
    let before = all(directory.path(), &settings);
    let mut faults = 0;
    for is_death in [true, false] {
        for at in 0.. {
            settings.partitions = 6 - settings.partitions; // 2 and 4 in turn
            let fault = Arc::new(Fault {
                calls: AtomicUsize::new(0),
                at,
                is_death,
            });
            let disk = Directory::open(directory.path()).unwrap();
            let faulty = Faulty {
                disk,
                fault: Arc::clone(&fault),
            };
            let state = StateDirectory::on(Arc::new(faulty));
            let outcome = state.fit(&settings, 3600, NOW, None);
            drop(state);
            // The next life serves with whatever counts, and tries again.
            assert_eq!(all(directory.path(), &settings), before, "at call {at}");
            fit(directory.path(), &settings).unwrap();
            assert_eq!(all(directory.path(), &settings), before, "after call {at}");
            let tables = settings.partitions as usize;
            assert_eq!(files(directory.path()).len(), tables + 1, "call {at}");
            if fault.calls.load(Ordering::Relaxed) <= at {
                assert!(outcome.is_ok());
                break;
            }
            faults += 1;
        }
    }
    assert!(faults > 40, "{faults}");
}

#[test]
fn without_room_for_a_second_set_of_files_nothing_is_begun() {
    struct Full(Directory);
    impl Disk for Full {
        fn free_octets(&self) -> io::Result<u64> {
            Ok(1 << 20)
        }
        fn path(&self, name: &str) -> PathBuf {
            self.0.path(name)
        }
        fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
            self.0.open(name)
        }
        fn create(&self, name: &str, _: u64) -> io::Result<Box<dyn DiskFile>> {
            panic!("{name} was made")
        }
        fn read_whole(&self, name: &str) -> io::Result<Vec<u8>> {
            self.0.read_whole(name)
        }
        fn write_whole(&self, name: &str, _: &[u8]) -> io::Result<()> {
            panic!("{name} was written")
        }
        fn rename(&self, from: &str, _: &str) -> io::Result<()> {
            panic!("{from} was renamed")
        }
        fn remove(&self, name: &str) -> io::Result<()> {
            panic!("{name} was removed")
        }
        fn list(&self) -> io::Result<Vec<String>> {
            self.0.list()
        }
        fn sync_directory(&self) -> io::Result<()> {
            self.0.sync_directory()
        }
        fn random(&self, octets: &mut [u8]) -> io::Result<()> {
            self.0.random(octets)
        }
        fn sync_beside(&self, files: Vec<Arc<dyn DiskFile>>) -> io::Result<Box<dyn Syncing>> {
            self.0.sync_beside(files)
        }
    }
    let directory = directory();
    let mut settings = settings(directory.path(), Durability::Process);
    fill(directory.path(), &settings, 10);
    settings.partitions = 8;
    let state = StateDirectory::on(Arc::new(Full(Directory::open(directory.path()).unwrap())));
    let refused = state.fit(&settings, 3600, NOW, None).unwrap_err();
    assert!(matches!(refused, FitError::Space { .. }), "{refused}");
    assert!(refused.to_string().contains("free some space"));
}

#[test]
fn leases_that_only_the_journal_has_are_moved_too() {
    let directory = directory();
    let mut settings = settings(directory.path(), Durability::Power);
    {
        let state = StateDirectory::open(directory.path()).unwrap();
        let pools = pools();
        let mut store = state.store(&settings, &pools, 3600, NOW).unwrap();
        let mut log = ChangeLog::with_capacity(64);
        (0..50).for_each(|number| commit(&store.partitions, &pools, number, &mut log));
        super::super::tests::write_to_journal(&mut store, log);
    }
    settings.partitions = 16;
    let fitted = fit(directory.path(), &settings).unwrap();
    assert!(
        matches!(fitted, Fitted::Anew(moved) if moved.held == 50),
        "{fitted:?}"
    );
    let found = all(directory.path(), &settings);
    assert_eq!(found.len(), 50);
    assert_eq!(found["10.0.0.49"], binding(49));
}

#[test]
fn only_names_that_are_ours_belong_to_an_epoch() {
    for (name, epoch) in [
        ("table-0000", Some(0)),
        ("table-0015", Some(0)),
        ("table-7-0000", Some(7)),
        ("journal", Some(0)),
        ("journal-12", Some(12)),
        ("table-0-0000", None),
        ("table-15", None),
        ("table-0000.bak", None),
        ("journal-0", None),
        ("journal-old", None),
        ("store", None),
        ("store.new", None),
        ("table-1-2-3", None),
    ] {
        assert_eq!(epoch_of(name), epoch, "{name}");
    }
}
