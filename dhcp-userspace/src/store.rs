//! Where do the lease tables live? The files of a state directory, opened, recovered and synced.
//!
//! ```text
//! lock          who has the directory (process identifier)
//! store         identity, keys, geometry; written last when a store is made, so it tells that all is there
//! table-0000 …  one table for each partition
//! journal       what the tables may lack after a power cut
//! duid          this server's DUID, for ever
//! ```

use crate::disk::{Directory, Disk, DiskFile};
use crate::settings::{Durability, Settings};
use create::{JOURNAL_OCTETS, create, make_journal, random};
use dhcp_lease::headers::StoreHeader;
use dhcp_lease::journal::Journal;
use dhcp_lease::recovery::{Opening, Recovery};
use dhcp_lease::{Partitions, Pools, Room, Timestamp};
use dhcp_wire::frame::MacAddress;
use dhcp_wire::id::Duid;
use error::file_error;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tables::open_tables;

mod create;
mod duid;
mod error;
mod journal_file;
mod tables;

pub use error::OpenError;
pub use journal_file::JournalFile;

pub(crate) const HEADER_NAME: &str = "store";
pub(crate) const JOURNAL_NAME: &str = "journal";

/// The file of a partition's table.
pub(crate) fn table_name(partition: u32) -> String {
    format!("table-{partition:04}")
}

/// The file of a partition's table.
pub fn table_path(directory: &Path, partition: u32) -> PathBuf {
    directory.join(table_name(partition))
}

/// The store's own file.
pub fn header_path(directory: &Path) -> PathBuf {
    directory.join(HEADER_NAME)
}

/// The journal.
pub fn journal_path(directory: &Path) -> PathBuf {
    directory.join(JOURNAL_NAME)
}

/// A state directory that is ours.
#[derive(Clone)]
pub struct StateDirectory {
    disk: Arc<dyn Disk>,
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
        Self { disk }
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
        let disk = &*self.disk;
        let header = match self.header()? {
            Some(header) => header,
            None => create(disk, settings)?,
        };
        let (tables, table_files) = open_tables(disk, &header, settings)?;
        let mut journal = self.journal_file(settings)?;
        let octets = journal.octets();
        let path = disk.path(JOURNAL_NAME);
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
                    .map_next(octets)
                    .map_err(file_error(&path, "cannot read the journal"))?,
            ),
        };
        let replayed = old.as_ref().map_or(&[][..], |old| old.octets());
        let (partitions, recovery) = Partitions::open(&header, tables, replayed, &opening, pools)
            .map_err(|source| OpenError::Contents {
            directory: disk.path(""),
            source,
        })?;
        drop(old);
        report(&recovery);

        // What the journal had is in the tables now; only when it is there for good may it be forgotten.
        for file in &table_files {
            file.sync_data()
                .map_err(file_error(file.path(), "cannot sync a lease table"))?;
        }
        if octets < *JOURNAL_OCTETS.start() {
            // A crash while it was made, or a partial restore.
            tracing::warn!(
                journal = %path.display(),
                octets,
                "the journal was cut short; what it had was replayed, and a new one is made"
            );
            disk.remove(JOURNAL_NAME).map_err(file_error(
                &path,
                "cannot remove the journal that was cut short",
            ))?;
            journal = make_journal(disk, settings)?;
        }
        let octets = journal.octets();
        let fresh = random(disk).map_err(file_error(&path, "cannot get random octets"))?;
        let (plan, write) =
            Journal::restart(&header, octets, recovery.resume, u64::from_ne_bytes(fresh))
                .map_err(io::Error::other)
                .map_err(file_error(&path, "cannot use the journal"))?;
        let disk = Arc::clone(&self.disk);
        let journal = JournalFile::new(disk, Arc::from(journal), plan, table_files);
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

    fn journal_file(&self, settings: &Settings) -> Result<Box<dyn DiskFile>, OpenError> {
        let path = self.disk.path(JOURNAL_NAME);
        match self.disk.open(JOURNAL_NAME) {
            Ok(file) => Ok(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Only somebody who removed it can be behind this; the tables are whole but for what was
                // under way at the last power cut.
                tracing::warn!(journal = %path.display(), "the journal is missing; a new one is made");
                make_journal(&*self.disk, settings)
            }
            Err(error) => Err(file_error(&path, "cannot open the journal")(error)),
        }
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

#[cfg(test)]
mod tests;
