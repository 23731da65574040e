//! Where do the lease tables live? The files of a state directory, opened, recovered and synced.
//!
//! ```text
//! lock          who has the directory (process identifier)
//! store         identity, keys, geometry; written last when a store is made, so it tells that all is there
//! table-0000 …  one table for each partition
//! journal       what the tables may lack after a power cut
//! duid          this server's DUID, for ever
//! ```

use crate::commit::{Mailbox, Storage, Submission};
use crate::mapping::{DirectoryLock, LockError, WholeFile};
use crate::settings::{Durability, Settings};
use dhcp_lease::format::{SLOT_OCTETS, SLOTS_PER_SEGMENT};
use dhcp_lease::headers::StoreHeader;
use dhcp_lease::journal::{Cursor, HeaderWrite, Journal, Placed};
use dhcp_lease::recovery::{Opening, Recovery, TableRegions};
use dhcp_lease::table::{HEADER_OCTETS, Region};
use dhcp_lease::{ChangeLog, Partitions, Pools, Room, Timestamp};
use dhcp_wire::frame::MacAddress;
use dhcp_wire::id::Duid;
use std::fs::{self, File};
use std::io::{self, IoSlice, Write};
use std::ops::RangeInclusive;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Bounds on the journal. Between them it is as large as the tables: the larger, the fewer pages of the
/// tables must be written at each checkpoint.
const JOURNAL_OCTETS: RangeInclusive<u64> = 64 << 20..=1 << 30;
/// How long a group without room waits before it looks again.
const FULL_PAUSE: Duration = Duration::from_millis(1);
/// How often it is logged, at most, that there is no room.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);
/// Seconds from 1970 to 2000, where the time of a DUID-LLT begins (RFC 9915 section 11.2).
const DUID_EPOCH_SECONDS: u64 = 946_684_800;

/// Why a store could not be opened. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another server has it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A file could not be made, read or written.
    #[error("{}: {what}: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What was tried, and what to do if that is not plain.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The store's own file is not to be read.
    #[error("{}: {source}", path.display())]
    Header {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: dhcp_lease::headers::HeaderError,
    },
    /// There are tables but not the file that says how to read them.
    #[error(
        "{}: the file `store` is missing beside the lease tables; restore it from a backup, or remove the \
         tables to begin anew", directory.display()
    )]
    HeaderMissing {
        /// The state directory.
        directory: PathBuf,
    },
    /// The files do not belong together.
    #[error("{}: {source}", directory.display())]
    Contents {
        /// The state directory.
        directory: PathBuf,
        /// Why.
        source: dhcp_lease::recovery::OpenError,
    },
    /// The kept DUID is not one.
    #[error(
        "{}: not a DUID in hexadecimal digits; restore it, or remove it and let clients see a new server",
        path.display()
    )]
    Duid {
        /// The file.
        path: PathBuf,
    },
}

/// A state directory that is ours.
#[derive(Debug)]
pub struct StateDirectory {
    lock: DirectoryLock,
    path: PathBuf,
    journal_octets: RangeInclusive<u64>,
}

/// An open store.
pub struct Store {
    /// All bindings.
    pub partitions: Arc<Partitions>,
    /// What opening found and did.
    pub recovery: Recovery,
    /// Its secrets and geometry.
    pub header: StoreHeader,
    /// The journal, for the commit thread.
    pub journal: JournalFile,
}

fn file_error(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    move |source| OpenError::File { path, what, source }
}

/// The file of a partition's table.
pub fn table_path(directory: &Path, partition: u32) -> PathBuf {
    directory.join(format!("table-{partition:04}"))
}

/// The store's own file.
pub fn header_path(directory: &Path) -> PathBuf {
    directory.join("store")
}

/// The journal.
pub fn journal_path(directory: &Path) -> PathBuf {
    directory.join("journal")
}

impl StateDirectory {
    /// Makes the directory if need be, and locks it.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(path)
            .map_err(file_error(path, "cannot create the state directory"))?;
        let lock = DirectoryLock::take(path)?;
        Ok(Self {
            lock,
            path: path.to_owned(),
            journal_octets: JOURNAL_OCTETS,
        })
    }

    /// Puts other bounds on the size of the journal: one of a few pages has its checkpoints often enough
    /// for a test to see what a crash makes of them. At least [`Journal::OCTETS_MIN`].
    #[must_use]
    pub fn with_journal_octets(self, journal_octets: RangeInclusive<u64>) -> Self {
        Self {
            journal_octets,
            ..self
        }
    }

    /// This server's DUID: made once, then kept for ever.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn duid(&self, mac: Option<MacAddress>, now: Timestamp) -> Result<Duid, OpenError> {
        let path = self.path.join("duid");
        match fs::read_to_string(&path) {
            Ok(text) => {
                let octets = from_hex(text.trim()).filter(|octets| octets.len() > 2);
                let duid = octets.and_then(|octets| Duid::new(&octets).ok());
                duid.ok_or(OpenError::Duid { path })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let octets =
                    new_duid(mac, now).map_err(file_error(&path, "cannot get random octets"))?;
                let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
                self.write_whole("duid", format!("{hex}\n").as_bytes())
                    .map_err(file_error(&path, "cannot keep the server's DUID"))?;
                Duid::new(&octets).map_err(|_| OpenError::Duid { path })
            }
            Err(error) => Err(file_error(&path, "cannot read the server's DUID")(error)),
        }
    }

    /// Writes a small file so that it is there whole or not at all.
    fn write_whole(&self, name: &str, octets: &[u8]) -> io::Result<()> {
        let temporary = self.path.join(format!("{name}.new"));
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o640)
            .open(&temporary)?;
        file.write_all(octets)?;
        file.sync_all()?;
        fs::rename(&temporary, self.path.join(name))?;
        File::open(&self.path)?.sync_all()
    }

    /// Opens the store in it, or makes one; recovers what a crash left. The pools learn what is held.
    ///
    /// # Errors
    /// [`OpenError`]. Damaged records are no error; they are in [`Recovery`].
    pub fn store(
        &self,
        settings: &Settings,
        pools: &Pools,
        quarantine_seconds: u32,
        now: Timestamp,
    ) -> Result<Store, OpenError> {
        let header = match self.header()? {
            Some(header) => header,
            None => self.create(settings)?,
        };
        let (tables, table_files) = self.tables(&header, settings)?;
        let mut journal = self.journal_file(settings)?;
        let octets = journal.octets();
        let path = journal_path(&self.path);
        let opening = Opening {
            durability: settings.durability.into(),
            room: Room::default(),
            now,
            quarantine_seconds,
        };
        let old = match octets {
            0 => None,
            octets => Some(
                journal
                    .map_next(&self.lock, octets)
                    .map_err(file_error(&path, "cannot read the journal"))?,
            ),
        };
        let replayed = old.as_ref().map_or(&[][..], |old| old.octets());
        let (partitions, recovery) = Partitions::open(&header, tables, replayed, &opening, pools)
            .map_err(|source| OpenError::Contents {
            directory: self.path.clone(),
            source,
        })?;
        drop(old);
        report(&recovery);

        // What the journal had is in the tables now; only when it is there for good may it be forgotten.
        for file in &table_files {
            file.sync_data()
                .map_err(file_error(&self.path, "cannot sync the lease tables"))?;
        }
        if octets < *self.journal_octets.start() {
            // A crash while it was made, or a partial restore.
            tracing::warn!(
                journal = %path.display(),
                octets,
                "the journal was cut short; what it had was replayed, and a new one is made"
            );
            fs::remove_file(&path).map_err(file_error(
                &path,
                "cannot remove the journal that was cut short",
            ))?;
            journal = self.make_journal(settings)?;
        }
        let octets = journal.octets();
        let fresh = random().map_err(file_error(&path, "cannot get random octets"))?;
        let (plan, write) =
            Journal::restart(&header, octets, recovery.resume, u64::from_ne_bytes(fresh))
                .map_err(io::Error::other)
                .map_err(file_error(&path, "cannot use the journal"))?;
        let journal = JournalFile::new(journal, plan, table_files);
        journal
            .write_header(&write)
            .map_err(file_error(&path, "cannot write the journal"))?;
        Ok(Store {
            partitions: Arc::new(partitions),
            recovery,
            header,
            journal,
        })
    }

    fn header(&self) -> Result<Option<StoreHeader>, OpenError> {
        let path = header_path(&self.path);
        match fs::read(&path) {
            Ok(octets) => match StoreHeader::read(&octets) {
                Ok(header) => Ok(Some(header)),
                Err(source) => Err(OpenError::Header { path, source }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(file_error(&path, "cannot read the lease store")(error)),
        }
    }

    /// Makes a store. A crash on the way leaves `store.making`, and the next start begins anew.
    fn create(&self, settings: &Settings) -> Result<StoreHeader, OpenError> {
        let making = self.path.join("store.making");
        let has_table = table_path(&self.path, 0).exists();
        if has_table && !making.exists() {
            return Err(OpenError::HeaderMissing {
                directory: self.path.clone(),
            });
        }
        let failed = |what| file_error(&making, what);
        let random = || -> io::Result<StoreHeader> {
            Ok(StoreHeader {
                identity: random()?,
                spread_key: u64::from_ne_bytes(random()?),
                checksum_key: random()?,
                partitions: settings.partitions.clamp(1, 1 << 12).next_power_of_two(),
                slots_per_segment: SLOTS_PER_SEGMENT,
            })
        };
        let header = random().map_err(failed("cannot get random octets"))?;
        self.write_whole("store.making", &[])
            .map_err(failed("cannot begin a lease store"))?;
        for partition in 0..header.partitions {
            let path = table_path(&self.path, partition);
            let _ = fs::remove_file(&path);
            WholeFile::create(
                &path,
                table_octets(settings.lease_capacity, header.partitions),
            )
            .map_err(file_error(
                &path,
                "cannot make a lease table; free some space, or lower `lease-capacity`",
            ))?;
        }
        let _ = fs::remove_file(journal_path(&self.path));
        self.make_journal(settings)?;
        self.write_whole("store", &header.octets())
            .map_err(failed("cannot finish the lease store"))?;
        let _ = fs::remove_file(&making);
        tracing::info!(
            directory = %self.path.display(),
            partitions = header.partitions,
            capacity = settings.lease_capacity,
            "a new lease store was made"
        );
        Ok(header)
    }

    fn make_journal(&self, settings: &Settings) -> Result<WholeFile, OpenError> {
        let path = journal_path(&self.path);
        let like_tables = settings.lease_capacity.saturating_mul(SLOT_OCTETS as u64);
        let octets = like_tables.clamp(*self.journal_octets.start(), *self.journal_octets.end());
        let octets = octets.next_multiple_of(4096);
        let made = WholeFile::create(&path, octets).and_then(|file| {
            File::open(&self.path)?.sync_all()?;
            Ok(file)
        });
        made.map_err(file_error(
            &path,
            "cannot make the journal; free some space",
        ))
    }

    fn journal_file(&self, settings: &Settings) -> Result<WholeFile, OpenError> {
        let path = journal_path(&self.path);
        if !path.exists() {
            // Only somebody who removed it can be behind this; the tables are whole but for what was
            // under way at the last power cut.
            tracing::warn!(journal = %path.display(), "the journal is missing; a new one is made");
            return self.make_journal(settings);
        }
        WholeFile::open(&path).map_err(file_error(&path, "cannot open the journal"))
    }

    fn tables(
        &self,
        header: &StoreHeader,
        settings: &Settings,
    ) -> Result<(Vec<TableRegions>, Vec<File>), OpenError> {
        let wanted = table_octets(settings.lease_capacity, header.partitions);
        let mut tables = Vec::new();
        let mut files = Vec::new();
        for partition in 0..header.partitions {
            let path = table_path(&self.path, partition);
            let failed = |what| file_error(&path, what);
            let mut file = WholeFile::open(&path).map_err(failed(
                "cannot open a lease table; restore it from a backup",
            ))?;
            if file.octets() < wanted {
                file.grow(wanted).map_err(failed(
                    "cannot enlarge a lease table; free some space, or lower `lease-capacity`",
                ))?;
            }
            let unmapped = |error| failed("cannot map a lease table")(error);
            let region = file.map_next(&self.lock, HEADER_OCTETS as u64);
            let first: Box<dyn Region> = Box::new(region.map_err(unmapped)?);
            let mut segments: Vec<Box<dyn Region>> = Vec::new();
            let mut left = file.octets() - HEADER_OCTETS as u64;
            let segment_octets = u64::from(header.slots_per_segment) * SLOT_OCTETS as u64;
            while left > 0 {
                let octets = left.min(segment_octets);
                let region = file.map_next(&self.lock, octets);
                segments.push(Box::new(
                    region.map_err(|error| failed("cannot map a lease table")(error))?,
                ));
                left -= octets;
            }
            tables.push(TableRegions {
                header: first,
                segments,
            });
            files.push(
                file.file()
                    .try_clone()
                    .map_err(failed("cannot open a lease table once more"))?,
            );
        }
        Ok((tables, files))
    }
}

impl From<Durability> for dhcp_lease::Durability {
    fn from(durability: Durability) -> Self {
        match durability {
            Durability::Power => Self::Power,
            Durability::Process => Self::Process,
        }
    }
}

/// Octets of one table. Clients are spread by a hash, so partitions fill unevenly: eight standard
/// deviations, and an eighth for long identifiers, stand between a full pool and a full partition.
fn table_octets(capacity: u64, partitions: u32) -> u64 {
    let mean = capacity.div_ceil(u64::from(partitions.max(1)));
    let slots = mean + mean / 8 + 8 * mean.isqrt() + 64;
    HEADER_OCTETS as u64 + (slots * SLOT_OCTETS as u64).next_multiple_of(4096)
}

fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut octets = [0; N];
    getrandom::fill(&mut octets).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(octets)
}

/// A DUID-LLT of an interface (RFC 9915 section 11.2), or else a DUID-UUID (section 11.5).
fn new_duid(mac: Option<MacAddress>, now: Timestamp) -> io::Result<Vec<u8>> {
    let Some(mac) = mac.filter(|mac| *mac != MacAddress::default()) else {
        let mut uuid: [u8; 16] = random()?;
        let [_, _, _, _, _, _, version, _, variant, ..] = &mut uuid;
        *version = *version & 0x0f | 0x40; // RFC 9562 section 5.4: version 4
        *variant = *variant & 0x3f | 0x80;
        return Ok([&[0, 4], uuid.as_slice()].concat());
    };
    let time = now.0.saturating_sub(DUID_EPOCH_SECONDS) as u32; // modulo 2^32, as the RFC says
    Ok([&[0, 1, 0, 1], time.to_be_bytes().as_slice(), &mac.0].concat())
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|digit| *digit != b':').collect();
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let octet = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.iter().map(octet).collect()
}

fn report(recovery: &Recovery) {
    let Recovery {
        live,
        former,
        declined,
        damaged,
        repaired,
        redone,
        batches,
        replayed,
        ..
    } = recovery;
    tracing::info!(
        live,
        former,
        declined,
        damaged,
        repaired,
        redone,
        batches,
        replayed,
        "the lease store is open"
    );
    if *damaged > 0 {
        tracing::warn!(
            damaged,
            "damaged lease records were set aside; their addresses are nobody's for now"
        );
    }
    if recovery.journal_headless {
        tracing::warn!("both copies of the journal's header were damaged; all of it was read");
    }
    for lease in &recovery.conflicts {
        tracing::error!(%lease, "two records held one lease; the one last heard of keeps it");
    }
}

/// The journal as a file: what [`Journal`] plans is done here.
#[derive(Debug)]
pub struct JournalFile {
    file: Arc<WholeFile>,
    plan: Journal,
    tables: Arc<Vec<File>>,
    checkpoint: Checkpoint,
    /// After the last group that was handed back: what lies beyond is not yet written, or nobody had a
    /// chance to settle it, and no checkpoint may pass it.
    handed_back: Cursor,
    /// Where the last checkpoint moved the tail.
    tail: Cursor,
    /// Where each log of a group goes; kept for its room.
    places: Vec<u64>,
    /// How often a group had to wait for a checkpoint, and when that was last logged.
    waits: u64,
    complained: Option<Instant>,
}

/// How far a checkpoint has come.
#[derive(Debug)]
enum Checkpoint {
    /// None is under way.
    Idle,
    /// Every worker has still to settle what it was given back until then.
    Settling { to: Cursor, settled: Vec<u64> },
    /// The tables are being synced, then the new header.
    Syncing {
        to: Cursor,
        thread: JoinHandle<io::Result<()>>,
    },
}

impl JournalFile {
    fn new(file: WholeFile, plan: Journal, tables: Vec<File>) -> Self {
        let (file, tables) = (Arc::new(file), Arc::new(tables));
        let head = plan.head();
        Self {
            file,
            plan,
            tables,
            checkpoint: Checkpoint::Idle,
            handed_back: head,
            tail: head,
            places: Vec::new(),
            waits: 0,
            complained: None,
        }
    }

    fn write_header(&self, write: &HeaderWrite) -> io::Result<()> {
        write_header(&self.file, write)
    }

    /// Brings the checkpoint on by whatever is ready; begins one if `is_wanted`.
    fn advance(
        &mut self,
        is_wanted: bool,
        handed_back: &[u64],
        mailboxes: &[Arc<Mailbox>],
    ) -> io::Result<()> {
        self.checkpoint = match std::mem::replace(&mut self.checkpoint, Checkpoint::Idle) {
            Checkpoint::Idle if is_wanted && self.handed_back != self.tail => {
                Checkpoint::Settling {
                    to: self.handed_back,
                    settled: handed_back.to_vec(),
                }
            }
            Checkpoint::Idle => Checkpoint::Idle,
            Checkpoint::Settling { to, settled } => {
                let is_settled = mailboxes
                    .iter()
                    .zip(&settled)
                    .all(|(mailbox, wanted)| mailbox.settled() >= *wanted);
                if is_settled {
                    self.sync(to)?
                } else {
                    Checkpoint::Settling { to, settled }
                }
            }
            Checkpoint::Syncing { to, thread } if thread.is_finished() => {
                match thread.join() {
                    Ok(result) => result?,
                    Err(_) => return Err(io::Error::other("the checkpoint's thread panicked")),
                }
                self.plan.advanced(to);
                self.tail = to;
                Checkpoint::Idle
            }
            syncing @ Checkpoint::Syncing { .. } => syncing,
        };
        Ok(())
    }

    /// The place of a log. When the disk is slower than the clients, they wait here for a checkpoint.
    fn place(
        &mut self,
        log: &mut ChangeLog,
        handed_back: &[u64],
        mailboxes: &[Arc<Mailbox>],
    ) -> io::Result<Placed> {
        if let Ok(placed) = self.plan.append(log) {
            return Ok(placed);
        }
        self.waits += 1;
        let is_news = |then: Instant| then.elapsed() >= COMPLAINT_INTERVAL;
        if self.complained.is_none_or(is_news) {
            self.complained = Some(Instant::now());
            tracing::warn!(
                waits = self.waits,
                "the journal is full: the disk is slower than the clients, who wait until the lease tables \
                 are synced"
            );
        }
        loop {
            self.advance(true, handed_back, mailboxes)?;
            if let Ok(placed) = self.plan.append(log) {
                return Ok(placed);
            }
            if matches!(self.checkpoint, Checkpoint::Idle) && self.handed_back == self.tail {
                return Err(io::Error::other(
                    "a group of changes is larger than the journal",
                ));
            }
            std::thread::sleep(FULL_PAUSE);
        }
    }

    /// Syncs the tables and then the header, beside the commits that go on.
    fn sync(&self, to: Cursor) -> io::Result<Checkpoint> {
        let write = self.plan.checkpoint(to);
        let (file, tables) = (Arc::clone(&self.file), Arc::clone(&self.tables));
        let run = move || {
            for table in tables.iter() {
                table.sync_data()?;
            }
            write_header(&file, &write)
        };
        let thread = std::thread::Builder::new()
            .name("checkpoint".to_owned())
            .spawn(run)?;
        Ok(Checkpoint::Syncing { to, thread })
    }
}

fn write_header(file: &WholeFile, write: &HeaderWrite) -> io::Result<()> {
    file.file().write_all_at(&write.octets, write.position)?;
    file.file().sync_data()
}

/// Most pieces that Linux takes in one call.
const PIECES_MAX: usize = 1024;

/// Writes pieces one behind the other.
fn write_run(file: &File, pieces: &[&[u8]], mut position: u64) -> io::Result<()> {
    for pieces in pieces.chunks(PIECES_MAX) {
        let vectors: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let all: usize = pieces.iter().map(|piece| piece.len()).sum();
        let written = loop {
            match rustix::io::pwritev(file, &vectors, position) {
                Err(rustix::io::Errno::INTR) => {}
                result => break result?,
            }
        };
        if written < all {
            // Cut short, by a disk that is nearly full: again, piece by piece, until it says what is wrong.
            let mut at = position;
            for piece in pieces {
                file.write_all_at(piece, at)?;
                at += piece.len() as u64;
            }
        }
        position += all as u64;
    }
    Ok(())
}

impl Storage for JournalFile {
    fn commit(
        &mut self,
        group: &mut [Submission],
        handed_back: &[u64],
        mailboxes: &[Arc<Mailbox>],
    ) -> io::Result<()> {
        self.places.clear();
        for submission in &mut *group {
            let placed = self.place(&mut submission.log, handed_back, mailboxes)?;
            submission.sequence = placed.after.sequence;
            self.places.push(placed.position);
        }
        let mut pieces: Vec<&[u8]> = Vec::with_capacity(group.len());
        let mut start = 0;
        let mut end = 0;
        for (submission, &position) in group.iter().zip(&self.places) {
            if position != end && !pieces.is_empty() {
                write_run(self.file.file(), &pieces, start)?;
                pieces.clear();
            }
            if pieces.is_empty() {
                start = position;
            }
            let octets = submission.log.octets();
            end = position + octets.len() as u64;
            pieces.push(octets);
        }
        write_run(self.file.file(), &pieces, start)?;
        self.file.file().sync_data()
    }

    fn between_groups(
        &mut self,
        handed_back: &[u64],
        mailboxes: &[Arc<Mailbox>],
    ) -> io::Result<()> {
        self.handed_back = self.plan.head();
        self.advance(self.plan.is_checkpoint_due(), handed_back, mailboxes)
    }

    /// A quarter of the ring: while a group waits for room, what was handed back before it is the most
    /// of the rest, and a checkpoint makes room.
    fn group_octets_max(&self) -> u64 {
        self.file.octets() / 4
    }

    fn waits(&self) -> u64 {
        self.waits
    }

    fn finish(&mut self) -> io::Result<()> {
        if let Checkpoint::Syncing { thread, .. } =
            std::mem::replace(&mut self.checkpoint, Checkpoint::Idle)
        {
            thread
                .join()
                .map_err(|_| io::Error::other("the checkpoint's thread panicked"))??;
        }
        for table in self.tables.iter() {
            table.sync_data()?;
        }
        let to = self.plan.head();
        self.write_header(&self.plan.checkpoint(to))?;
        self.plan.advanced(to);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
