//! A disk that loses, tears, reorders and refuses: the simulated `Disk` under the lease store.
//!
//! Every call, and every store into a mapped region, is an *operation*. A crash strikes at the operation
//! it was set for, in the middle of it; from then on the doomed process gets errors and nothing that it
//! does counts. What is left is worked out when all of the process is gone ([`SimDisk::restart`]),
//! because only then is every store into mapped memory known.

use super::file::{PAGE, SimFile, Tear};
use super::random::Random;
use dhcp_lease::Region;
use dhcp_userspace::disk::{Disk, DiskFile, NotSynced, Syncing, sync_all};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// What dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process: what it has written is in the page cache.
    Process,
    /// The machine: what was not synced is lost, in any mixture.
    Power,
}

/// What goes wrong, call by call, while the disk is ailing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ailment {
    /// Any call may fail, and a sync that fails loses what it was to bring to the disk.
    Io,
    /// Whatever needs space fails, writes after a part of them.
    NoSpace,
}

/// The disk, which outlives processes.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

struct State {
    random: Random,
    files: BTreeMap<u64, SimFile>,
    next_file: u64,
    /// The names as processes see them, and as they are on the disk.
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    maps: BTreeMap<u64, Mapped>,
    next_map: u64,
    operations: u64,
    strikes_at: Option<(u64, Crash)>,
    struck: Option<Crash>,
    ailment: Option<(Ailment, u64)>,
    /// How many calls were made to fail.
    failed_calls: u64,
}

/// A mapped region. Its memory is the process's own; it becomes known at the next access.
struct Mapped {
    file: u64,
    at: usize,
    /// The store of the last access is not known yet.
    is_pending: bool,
    /// A sync came after that store.
    synced: Option<Synced>,
    /// The crash struck in the middle of that store.
    is_torn: bool,
    /// What the crash left is known; later stores do not count.
    is_frozen: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Synced {
    Well,
    InVain,
}

impl SimDisk {
    /// An empty one.
    pub fn new(random: Random) -> Self {
        let state = State {
            random,
            files: BTreeMap::new(),
            next_file: 0,
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            maps: BTreeMap::new(),
            next_map: 0,
            operations: 0,
            strikes_at: None,
            struck: None,
            ailment: None,
            failed_calls: 0,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A copy with files of its own, to try something on. No process may be using this one.
    pub fn fork(&self) -> Self {
        let mut state = self.lock();
        assert!(state.maps.is_empty(), "a process is still there");
        let copy = State {
            random: state.random.fork(),
            files: state.files.clone(),
            next_file: state.next_file,
            names: state.names.clone(),
            durable_names: state.durable_names.clone(),
            maps: BTreeMap::new(),
            next_map: 0,
            operations: 0,
            strikes_at: None,
            struck: None,
            ailment: None,
            failed_calls: 0,
        };
        Self {
            state: Arc::new(Mutex::new(copy)),
        }
    }

    /// Lets a crash strike at so many operations from now.
    pub fn strike_after(&self, operations: u64, crash: Crash) {
        let mut state = self.lock();
        state.strikes_at = Some((state.operations + operations, crash));
    }

    /// Lets a crash strike now, between two operations.
    pub fn strike(&self, crash: Crash) {
        self.lock().struck.get_or_insert(crash);
    }

    /// Whether a crash has struck.
    pub fn has_struck(&self) -> Option<Crash> {
        self.lock().struck
    }

    /// How many operations there have been.
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// How many calls were made to fail.
    pub fn failed_calls(&self) -> u64 {
        self.lock().failed_calls
    }

    /// Makes the disk ail: so many of a thousand calls fail. `None`: it is well.
    pub fn ail(&self, ailment: Option<(Ailment, u64)>) {
        self.lock().ailment = ailment;
    }

    /// Whether it ails.
    pub fn is_ailing(&self) -> bool {
        self.lock().ailment.is_some()
    }

    /// The kernel writes back some dirty pages of some file.
    pub fn write_back(&self) {
        let state = &mut *self.lock();
        if state.struck.is_some() {
            return;
        }
        let place = state.random.below(state.files.len().max(1) as u64) as usize;
        if let Some(file) = state.files.values_mut().nth(place) {
            file.write_back(&mut state.random);
        }
    }

    /// After every part of the process is gone: leaves what the crash leaves. Without a crash the
    /// process ended in good order.
    pub fn restart(&self) {
        let state = &mut *self.lock();
        assert!(state.maps.is_empty(), "a mapping outlived its process");
        match state.struck.take() {
            Some(Crash::Power) => state.cut_power(),
            Some(Crash::Process) | None => {
                for file in state.files.values_mut() {
                    file.evict(&mut state.random);
                }
            }
        }
        state.strikes_at = None;
        let State {
            files,
            names,
            durable_names,
            ..
        } = state;
        files.retain(|id, _| {
            names
                .values()
                .chain(durable_names.values())
                .any(|used| used == id)
        });
    }

    /// The octets of a file.
    pub fn octets(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.lock();
        let id = state.names.get(name)?;
        Some(state.files.get(id)?.octets().to_vec())
    }

    /// Changes what lies on the disk, past everything.
    pub fn damage(&self, name: &str, change: impl FnOnce(&mut SimFile)) {
        let state = &mut *self.lock();
        if let Some(file) = state.names.get(name).and_then(|id| state.files.get_mut(id)) {
            change(file);
        }
    }
}

impl State {
    /// Begins an operation. Whether the crash struck just now.
    fn begin(&mut self) -> io::Result<bool> {
        if self.struck.is_some() {
            return Err(io::Error::other("the machine has crashed"));
        }
        self.operations += 1;
        if let Some((at, crash)) = self.strikes_at
            && self.operations >= at
        {
            self.struck = Some(crash);
            return Ok(true);
        }
        Ok(false)
    }

    /// A call that can fail. `needs_space`: also for want of it.
    fn call(&mut self, needs_space: bool) -> io::Result<bool> {
        let is_struck = self.begin()?;
        if let Some((ailment, per_mille)) = self.ailment
            && (ailment == Ailment::Io || needs_space)
            && self.random.chance(per_mille)
        {
            self.failed_calls += 1;
            return Err(match ailment {
                Ailment::Io => io::Error::from_raw_os_error(5),
                Ailment::NoSpace => io::Error::from_raw_os_error(28),
            });
        }
        Ok(is_struck)
    }

    fn cut_power(&mut self) {
        let random = &mut self.random;
        // Without a sync of the directory a name may be the old or the new one, each for itself.
        let mut all: Vec<String> = self
            .names
            .keys()
            .chain(self.durable_names.keys())
            .cloned()
            .collect();
        all.sort();
        all.dedup();
        for name in all {
            if self.names.get(&name) != self.durable_names.get(&name) && random.chance(500) {
                match self.names.get(&name) {
                    Some(&file) => self.durable_names.insert(name, file),
                    None => self.durable_names.remove(&name),
                };
            }
        }
        self.names = self.durable_names.clone();
        let used: Vec<u64> = self.names.values().copied().collect();
        self.files.retain(|file, _| used.contains(file));
        let tear = Tear {
            grain: *random.pick(&[64, 64, 512, 4096]),
            survives_per_mille: *random.pick(&[0, 20, 500, 500, 900, 1000]),
            spoils_per_mille: *random.pick(&[0, 0, 300]),
        };
        for (id, file) in &mut self.files {
            // The sectors of mapped tables are assumed to be written or not (docs/lease-format.md).
            let is_table = self
                .names
                .iter()
                .any(|(name, file)| file == id && name.starts_with("table"));
            let spoils_per_mille = if is_table { 0 } else { tear.spoils_per_mille };
            file.cut_power(
                Tear {
                    spoils_per_mille,
                    ..tear
                },
                random,
            );
        }
    }

    /// A mapping's memory is known: takes over what was stored into it.
    fn learn(&mut self, number: u64, own: &[u8]) {
        let Some(map) = self.maps.get_mut(&number) else {
            return;
        };
        let is_struck = self.struck.is_some();
        if !map.is_pending || map.is_frozen {
            map.is_pending = false;
            map.is_frozen |= is_struck && !map.is_torn;
            return;
        }
        map.is_pending = false;
        let synced = map.synced.take();
        let Some(file) = self.files.get_mut(&map.file) else {
            return;
        };
        let random = &mut self.random;
        let torn;
        let mut own = own;
        if map.is_torn {
            // Half done: some of its octets are there and some are not, eight by eight.
            let before = &file.octets()[map.at..map.at + own.len()];
            let mixed = before.chunks(8).zip(own.chunks(8)).flat_map(|(old, new)| {
                let differs = old != new;
                if differs && random.chance(500) {
                    old
                } else {
                    new
                }
            });
            torn = mixed.copied().collect::<Vec<u8>>();
            own = &torn;
        }
        let pages = file.take_over(map.at, own, |file, unit| match synced {
            Some(Synced::Well) => file.harden(unit),
            Some(Synced::InVain) if random.chance(500) => file.forget(unit),
            Some(Synced::InVain) => file.harden(unit),
            None => {}
        });
        if synced != Some(Synced::InVain) {
            // A page is written as a whole. Where the same octets were stored once more, it cannot be seen which
            // pages that concerned.
            let mapped = map.at / PAGE..(map.at + own.len()).div_ceil(PAGE);
            let again = match pages.is_empty() {
                true => file.dirty_again(|page| mapped.contains(&page)),
                false => file.dirty_again(|page| pages.contains(&page)),
            };
            // The sync that succeeded since then has written them, too.
            if synced == Some(Synced::Well) {
                again.into_iter().for_each(|unit| file.harden(unit));
            }
        }
        map.is_frozen = is_struck;
    }

    fn sync(&mut self, id: u64) -> io::Result<()> {
        let outcome = self.call(false);
        let synced = match &outcome {
            Ok(false) => Synced::Well,
            // In the middle of it: some of it.
            Ok(true) => {
                if let Some(file) = self.files.get_mut(&id) {
                    file.write_back(&mut self.random);
                }
                return Err(io::Error::other("the machine has crashed"));
            }
            Err(_) if self.struck.is_some() => return outcome.map(|_| ()),
            Err(_) => Synced::InVain,
        };
        for map in self
            .maps
            .values_mut()
            .filter(|map| map.file == id && map.is_pending)
        {
            map.synced = Some(synced);
        }
        if let Some(file) = self.files.get_mut(&id) {
            match synced {
                Synced::Well => file.sync(),
                Synced::InVain => file.sync_failing(&mut self.random),
            }
        }
        outcome.map(|_| ())
    }

    fn file(&mut self, id: u64) -> io::Result<&mut SimFile> {
        self.files
            .get_mut(&id)
            .ok_or_else(|| io::Error::other("no such file"))
    }
}

fn not_found() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

fn crashed(is_struck: bool) -> io::Result<()> {
    match is_struck {
        true => Err(io::Error::other("the machine has crashed")),
        false => Ok(()),
    }
}

impl Disk for SimDisk {
    fn path(&self, name: &str) -> PathBuf {
        Path::new("/simulated").join(name)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.lock();
        crashed(state.call(true)?)?;
        let id = *state.names.get(name).ok_or_else(not_found)?;
        Ok(self.handle(id, name))
    }

    fn create(&self, name: &str, octets: u64) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.lock();
        crashed(state.call(true)?)?;
        if state.names.contains_key(name) {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        let id = state.next_file;
        state.next_file += 1;
        let mut file = SimFile::default();
        file.resize(octets as usize);
        state.files.insert(id, file);
        state.names.insert(name.to_owned(), id);
        // It is filled and then synced; a crash or an error can come between.
        if let Err(error) = state.sync(id) {
            if state.struck.is_none() {
                state.names.remove(name);
            }
            return Err(error);
        }
        Ok(self.handle(id, name))
    }

    fn read_whole(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut state = self.lock();
        crashed(state.call(false)?)?;
        let id = *state.names.get(name).ok_or_else(not_found)?;
        Ok(state.file(id)?.octets().to_vec())
    }

    fn write_whole(&self, name: &str, octets: &[u8]) -> io::Result<()> {
        let temporary = format!("{name}.new");
        {
            let mut state = self.lock();
            crashed(state.call(true)?)?;
            let id = state.next_file;
            state.next_file += 1;
            let mut file = SimFile::default();
            file.write(0, octets);
            state.files.insert(id, file);
            state.names.insert(temporary.clone(), id);
            state.sync(id)?;
        }
        self.rename(&temporary, name)?;
        self.sync_directory()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.lock();
        crashed(state.call(false)?)?;
        let id = state.names.remove(from).ok_or_else(not_found)?;
        state.names.insert(to.to_owned(), id);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.lock();
        crashed(state.call(false)?)?;
        state.names.remove(name);
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut state = self.lock();
        crashed(state.call(false)?)?;
        Ok(state.names.keys().cloned().collect())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut state = self.lock();
        crashed(state.call(false)?)?;
        state.durable_names = state.names.clone();
        Ok(())
    }

    fn random(&self, octets: &mut [u8]) -> io::Result<()> {
        self.lock().random.fill(octets);
        Ok(())
    }

    fn sync_beside(&self, files: Vec<Arc<dyn DiskFile>>) -> io::Result<Box<dyn Syncing>> {
        let (is_early, polls) = {
            let mut state = self.lock();
            (state.random.chance(500), state.random.below(4))
        };
        // What it promises is what was written before it began; when it is done is another matter.
        let result = is_early.then(|| sync_all(&files));
        Ok(Box::new(SyncBeside {
            files,
            result,
            polls,
            is_told: false,
        }))
    }
}

impl SimDisk {
    fn handle(&self, id: u64, name: &str) -> Box<dyn DiskFile> {
        Box::new(Handle {
            disk: self.clone(),
            id,
            path: self.path(name),
            mapped_until: 0,
        })
    }
}

struct SyncBeside {
    files: Vec<Arc<dyn DiskFile>>,
    result: Option<Result<(), NotSynced>>,
    polls: u64,
    is_told: bool,
}

impl Syncing for SyncBeside {
    fn outcome(&mut self) -> Option<Result<(), NotSynced>> {
        if self.is_told {
            return None;
        }
        if self.polls > 0 {
            self.polls -= 1;
            return None;
        }
        self.is_told = true;
        Some(self.result.take().unwrap_or_else(|| sync_all(&self.files)))
    }

    fn wait(mut self: Box<Self>) -> Result<(), NotSynced> {
        self.polls = 0;
        self.outcome().unwrap_or(Ok(()))
    }
}

/// An open file.
struct Handle {
    disk: SimDisk,
    id: u64,
    path: PathBuf,
    mapped_until: u64,
}

impl Handle {
    fn write_by(
        &self,
        write: impl FnOnce(&mut SimFile, usize, &[u8]),
        pieces: &[&[u8]],
        position: u64,
    ) -> io::Result<()> {
        let state = &mut *self.disk.lock();
        let outcome = if state.struck.is_some() {
            return crashed(true);
        } else {
            state.call(true)
        };
        let octets = pieces.concat();
        let whole = matches!(outcome, Ok(false));
        // Cut short by whatever it was.
        let len = match whole {
            true => octets.len(),
            false => state.random.below(octets.len() as u64 + 1) as usize,
        };
        write(state.file(self.id)?, position as usize, &octets[..len]);
        outcome.and_then(crashed)
    }
}

impl DiskFile for Handle {
    fn path(&self) -> &Path {
        &self.path
    }

    fn octets(&self) -> u64 {
        self.disk
            .lock()
            .files
            .get(&self.id)
            .map_or(0, |file| file.len() as u64)
    }

    fn read_at(&self, octets: &mut [u8], position: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        crashed(state.call(false)?)?;
        let at = position as usize;
        let file = state.file(self.id)?;
        let there = file.octets().get(at..at + octets.len());
        octets.copy_from_slice(there.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, pieces: &[&[u8]], position: u64) -> io::Result<()> {
        self.write_by(SimFile::write, pieces, position)
    }

    fn write_pages(&self, octets: &[u8], position: u64) -> io::Result<()> {
        self.write_by(SimFile::write_direct, &[octets], position)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.lock().sync(self.id)
    }

    fn check(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        crashed(state.call(false)?)
    }

    fn grow(&mut self, octets: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        crashed(state.call(true)?)?;
        state.file(self.id)?.resize(octets as usize);
        state.sync(self.id)
    }

    fn map_next(&mut self, octets: u64) -> io::Result<Box<dyn Region>> {
        let mut state = self.disk.lock();
        let (from, to) = (
            self.mapped_until as usize,
            (self.mapped_until + octets) as usize,
        );
        let own = state.file(self.id)?.octets().get(from..to);
        let own = own.ok_or(io::ErrorKind::InvalidInput)?.to_vec();
        self.mapped_until = to as u64;
        let number = state.next_map;
        state.next_map += 1;
        let mapped = Mapped {
            file: self.id,
            at: from,
            is_pending: false,
            synced: None,
            is_torn: false,
            is_frozen: state.struck.is_some(),
        };
        state.maps.insert(number, mapped);
        drop(state);
        Ok(Box::new(Memory {
            disk: self.disk.clone(),
            number,
            own,
            is_pending: Cell::new(false),
        }))
    }
}

/// The memory of a mapped region.
struct Memory {
    disk: SimDisk,
    number: u64,
    own: Vec<u8>,
    is_pending: Cell<bool>,
}

impl Memory {
    fn learn(&self) {
        if self.is_pending.replace(false) {
            self.disk.lock().learn(self.number, &self.own);
        }
    }
}

impl Region for Memory {
    fn octets(&self) -> &[u8] {
        self.learn();
        &self.own
    }

    fn octets_mut(&mut self) -> &mut [u8] {
        let state = &mut *self.disk.lock();
        state.learn(self.number, &self.own);
        let strikes = state.begin().unwrap_or(false);
        if let Some(map) = state.maps.get_mut(&self.number) {
            map.is_pending = true;
            map.is_torn |= strikes;
        }
        self.is_pending.set(true);
        &mut self.own
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.learn();
        self.disk.lock().maps.remove(&self.number);
    }
}
