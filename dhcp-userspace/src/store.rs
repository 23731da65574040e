//! Where do the lease tables live? The files of a state directory, opened, recovered and synced.
//!
//! ```text
//! lock          who has the directory (process identifier)
//! store         identity, keys, geometry; written last when a store is made, so it tells that all is there
//! table-0000 …  one table for each partition; table-1-0000 … after the geometry changed once
//! journal       what the tables may lack after a power cut; journal-1 …
//! clock         the time, and by what the files are told from a copy of them
//! duid          this server's DUID, for ever
//! ```

use crate::disk::{Directory, Disk, DiskFile};
use crate::settings::{Durability, Settings};
use create::{JOURNAL_OCTETS, create, make_journal, random};
use dhcp_lease::format::VERSION;
use dhcp_lease::headers::StoreHeader;
use dhcp_lease::journal::{Damage, Journal};
use dhcp_lease::recovery::{Opening, Recovery};
use dhcp_lease::{Partitions, Pools, Room, Timestamp};
use dhcp_wire::frame::MacAddress;
use dhcp_wire::id::Duid;
use error::file_error;
use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tables::{map_tables, open_files, refuse_newer};

mod create;
mod crew;
mod duid;
mod error;
mod geometry;
mod journal_file;
mod renewal;
mod snapshot;
mod tables;

pub use error::OpenError;
pub use geometry::{FitError, Fitted};
pub use journal_file::JournalFile;

pub(crate) const HEADER_NAME: &str = "store";

/// The file of a partition's table. Those of a later epoch have other names than those they replace.
pub(crate) fn table_name(epoch: u32, partition: u32) -> String {
    match epoch {
        0 => format!("table-{partition:04}"),
        epoch => format!("table-{epoch}-{partition:04}"),
    }
}

/// The journal of an epoch's tables.
pub(crate) fn journal_name(epoch: u32) -> String {
    match epoch {
        0 => "journal".to_owned(),
        epoch => format!("journal-{epoch}"),
    }
}

/// The file of a partition's table.
pub fn table_path(directory: &Path, epoch: u32, partition: u32) -> PathBuf {
    directory.join(table_name(epoch, partition))
}

/// The store's own file.
pub fn header_path(directory: &Path) -> PathBuf {
    directory.join(HEADER_NAME)
}

/// The journal.
pub fn journal_path(directory: &Path, epoch: u32) -> PathBuf {
    directory.join(journal_name(epoch))
}

/// A store whose journal is still as it was found. Whoever keeps a history looks at it now: what the
/// tables have taken over of the journal is forgotten after this.
pub struct Found<'a> {
    /// Its secrets and geometry.
    pub header: &'a StoreHeader,
    /// All bindings.
    pub partitions: &'a Arc<Partitions>,
    /// What opening found and did.
    pub recovery: &'a Recovery,
    /// The journal file as it was found.
    pub journal: &'a [u8],
}

/// A state directory that is ours.
#[derive(Clone)]
pub struct StateDirectory {
    disk: Arc<dyn Disk>,
    journal_octets: RangeInclusive<u64>,
}

/// Whether the tables must be on stable storage before anything is promised. Otherwise they are synced while
/// the server serves: the journal keeps what it had until then.
fn must_sync_first(recovery: &Recovery, is_journal_short: bool) -> bool {
    let is_written_beside_the_journal =
        recovery.repaired > 0 || recovery.tables_upgraded > 0 || !recovery.conflicts.is_empty();
    let has_header = recovery.resume.header_number > 0 && !recovery.journal_headless;
    is_journal_short || !has_header || is_written_beside_the_journal
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
        Ok(Self::on(Arc::new(Directory::open(path)?)))
    }

    /// One on any disk.
    pub fn on(disk: Arc<dyn Disk>) -> Self {
        Self {
            disk,
            journal_octets: JOURNAL_OCTETS,
        }
    }

    /// With other bounds on the journal: in simulation one that is soon full, so that checkpoints are
    /// many.
    pub fn with_journal(self, octets: RangeInclusive<u64>) -> Self {
        Self {
            journal_octets: octets,
            ..self
        }
    }

    /// This server's DUID: made once, then kept for ever.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn duid(&self, mac: Option<MacAddress>, now: Timestamp) -> Result<Duid, OpenError> {
        duid::duid(&*self.disk, mac, now)
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
        self.store_with(settings, pools, quarantine_seconds, now, |_| {})
    }

    /// As [`StateDirectory::store`], and lets `look` see what was found before the journal begins anew.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn store_with(
        &self,
        settings: &Settings,
        pools: &Pools,
        quarantine_seconds: u32,
        now: Timestamp,
        look: impl FnOnce(&Found<'_>),
    ) -> Result<Store, OpenError> {
        let header = match self.header()? {
            Some(header) => header,
            None => create(&*self.disk, settings, &self.journal_octets)?,
        };
        let disk = &*self.disk;
        let snapshots = snapshot::files(disk).map_err(file_error(
            &disk.path(""),
            "cannot list the state directory",
        ))?;
        let opening = Opening {
            durability: settings.durability.into(),
            room: Room::default(),
            now,
            quarantine_seconds,
        };
        let Opened {
            partitions,
            recovery,
            tables,
            mut journal,
        } = self.recover(&header, settings, &opening, pools, &snapshots, look)?;
        report(&recovery);

        let octets = journal.octets();
        let path = journal.path().to_owned();
        let fresh = random(disk).map_err(file_error(&path, "cannot get random octets"))?;
        let fresh = u64::from_ne_bytes(fresh);
        let is_short = octets < *self.journal_octets.start();
        let must_sync = must_sync_first(&recovery, is_short);
        if must_sync {
            // What the journal had is in the tables now; only when it is there for good may it be forgotten.
            for file in &tables {
                file.sync_data()
                    .map_err(file_error(file.path(), "cannot sync a lease table"))?;
            }
        }
        if is_short {
            // A crash while it was made, or a partial restore.
            tracing::warn!(
                journal = %path.display(),
                octets,
                "the journal was cut short; what it had was replayed, and a new one is made"
            );
            self.disk
                .remove(&journal_name(header.epoch))
                .map_err(file_error(
                    &path,
                    "cannot remove the journal that was cut short",
                ))?;
            journal = make_journal(&*self.disk, header.epoch, settings, &self.journal_octets)?;
        }
        let octets = journal.octets();
        let (plan, write) = if must_sync || recovery.is_clean {
            Journal::restart(&header, octets, recovery.resume, fresh)
        } else {
            Journal::go_on(&header, octets, recovery.resume, fresh)
        }
        .map_err(io::Error::other)
        .map_err(file_error(&path, "cannot use the journal"))?;
        let journal = JournalFile::new(
            Arc::clone(&self.disk),
            header,
            Arc::clone(&partitions),
            Arc::from(journal),
            plan,
            tables,
        );
        journal
            .write_header(&write)
            .map_err(file_error(&path, "cannot write the journal"))?;
        // Last, when all other files are of the present format: as long as it is not, the next start does
        // over whatever was left undone.
        self.bring_up_to_date(&header)?;
        snapshot::discard(disk, &snapshots).map_err(file_error(
            &disk.path(snapshot::NAME),
            "cannot remove the snapshot of the last stop",
        ))?;
        Ok(Store {
            partitions,
            recovery,
            header,
            journal,
        })
    }

    /// Writes the store's own file anew if it is of an earlier format or a copy in it is damaged.
    fn bring_up_to_date(&self, header: &StoreHeader) -> Result<(), OpenError> {
        let path = self.disk.path(HEADER_NAME);
        let octets = self
            .disk
            .read_whole(HEADER_NAME)
            .map_err(file_error(&path, "cannot read the lease store"))?;
        if header.is_current(&octets) {
            return Ok(());
        }
        self.disk
            .write_whole(HEADER_NAME, &header.octets())
            .map_err(file_error(&path, "cannot bring the lease store up to date"))?;
        tracing::info!(
            format = VERSION,
            "the lease store is of the present format now"
        );
        Ok(())
    }

    /// Opens the files of a store and recovers what is in them, with one of `snapshots` if it fits.
    /// Nothing is synced.
    fn recover(
        &self,
        header: &StoreHeader,
        settings: &Settings,
        opening: &Opening,
        pools: &Pools,
        snapshots: &[String],
        look: impl FnOnce(&Found<'_>),
    ) -> Result<Opened, OpenError> {
        let disk = &*self.disk;
        let files = open_files(disk, header)?;
        let mut journal = self.journal_file(header, settings)?;
        refuse_newer(&*journal, header)?;
        let (tables, files) = map_tables(disk, files, header, settings)?;
        // A process that was killed between writing and syncing left a batch in the page cache alone. Its
        // images may go into the tables only when it is durable, or a power cut during this opening could
        // leave pieces of them there and nothing to mend them with.
        journal
            .sync_data()
            .map_err(file_error(journal.path(), "cannot sync the journal"))?;
        let octets = journal.octets();
        let unread = "cannot read the journal";
        let old = match octets {
            0 => None,
            octets => {
                let mapped = journal.map_next(octets);
                Some(mapped.map_err(file_error(journal.path(), unread))?)
            }
        };
        let replayed = old.as_ref().map_or(&[][..], |old| old.octets());
        let crew = |work: &(dyn Fn() + Sync)| crew::run(disk.threads(), work);
        let kept = snapshot::find(disk, snapshots, header, &files);
        let snapshot = kept.as_ref().and_then(|kept| kept.read(header));
        let snapshot = snapshot.as_ref();
        let opened =
            Partitions::open_with(header, tables, replayed, opening, pools, snapshot, &crew);
        let (partitions, recovery) = opened.map_err(|source| OpenError::Contents {
            directory: disk.path(""),
            source,
        })?;
        let partitions = Arc::new(partitions);
        look(&Found {
            header,
            partitions: &partitions,
            recovery: &recovery,
            journal: replayed,
        });
        Ok(Opened {
            partitions,
            recovery,
            tables: files,
            journal,
        })
    }

    /// What the store says of itself; `None`: there is none yet.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn header(&self) -> Result<Option<StoreHeader>, OpenError> {
        let path = self.disk.path(HEADER_NAME);
        match self.disk.read_whole(HEADER_NAME) {
            Ok(octets) => match StoreHeader::read(&octets) {
                Ok(header) => Ok(Some(header)),
                Err(source) => Err(OpenError::Header { path, source }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(file_error(&path, "cannot read the lease store")(error)),
        }
    }

    fn journal_file(
        &self,
        header: &StoreHeader,
        settings: &Settings,
    ) -> Result<Box<dyn DiskFile>, OpenError> {
        let name = journal_name(header.epoch);
        let path = self.disk.path(&name);
        match self.disk.open(&name) {
            Ok(file) => Ok(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Only somebody who removed it can be behind this; the tables are whole but for what was
                // under way at the last power cut.
                tracing::warn!(journal = %path.display(), "the journal is missing; a new one is made");
                make_journal(&*self.disk, header.epoch, settings, &self.journal_octets)
            }
            Err(error) => Err(file_error(&path, "cannot open the journal")(error)),
        }
    }
}

/// What the files of a store hold.
struct Opened {
    partitions: Arc<Partitions>,
    recovery: Recovery,
    tables: Vec<Arc<dyn DiskFile>>,
    journal: Box<dyn DiskFile>,
}

impl From<Durability> for dhcp_lease::Durability {
    fn from(durability: Durability) -> Self {
        match durability {
            Durability::Power => Self::Power,
            Durability::Process => Self::Process,
        }
    }
}

fn report(recovery: &Recovery) {
    let Recovery {
        is_clean,
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
        is_clean,
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
    let Damage { mended, lost } = recovery.journal_damage;
    if mended > 0 {
        tracing::warn!(
            mended,
            "batches of the journal had a wrong bit each, and were read as they were written"
        );
    }
    if lost > 0 {
        tracing::error!(
            lost,
            "batches of the journal were damaged on the disk, and acknowledged leases are lost with them; look \
             after the disk"
        );
    }
    if recovery.journal_headless {
        tracing::warn!("both copies of the journal's header were damaged; all of it was read");
    }
    for lease in &recovery.conflicts {
        tracing::error!(%lease, "two records held one lease; the one last heard of keeps it");
    }
}

#[cfg(test)]
mod copy_tests;
#[cfg(test)]
mod fault_tests;
#[cfg(test)]
pub(crate) mod tests;
