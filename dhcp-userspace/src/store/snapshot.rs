//! Where does the snapshot of a stop in good order lie, and when does it count?
//!
//! It is written when everything is on stable storage, and is gone for good before anything is promised
//! again. It names the table files as they were: a file that was written, restored or replaced since has
//! another time or number, and then the snapshot is not used.

use crate::disk::{Disk, DiskFile};
use dhcp_lease::headers::StoreHeader;
use dhcp_lease::snapshot::{Snapshot, files_digest};
use dhcp_lease::table::Region;
use std::io;
use std::sync::Arc;

/// The file.
pub(crate) const NAME: &str = "snapshot";

/// A snapshot that was found.
pub(super) struct Kept {
    region: Box<dyn Region>,
    files: u64,
}

impl Kept {
    /// What it says, if its header is whole.
    pub(super) fn read(&self, header: &StoreHeader) -> Option<Snapshot<'_>> {
        let snapshot = Snapshot::read(header, self.region.octets(), self.files);
        if snapshot.is_none() {
            tracing::warn!("the snapshot of the last stop is damaged; every slot is looked at");
        }
        snapshot
    }
}

/// The files of snapshots, those that were never finished included.
///
/// # Errors
/// Those of the system.
pub(super) fn files(disk: &dyn Disk) -> io::Result<Vec<String>> {
    let names = disk.list()?.into_iter();
    Ok(names.filter(|name| name.starts_with(NAME)).collect())
}

/// The snapshot among these files, if there is one. Nothing has been written to the tables yet.
pub(super) fn find(
    disk: &dyn Disk,
    files: &[String],
    header: &StoreHeader,
    tables: &[Arc<dyn DiskFile>],
) -> Option<Kept> {
    // A server that was killed leaves none.
    if !files.iter().any(|name| name == NAME) {
        return None;
    }
    let open = || -> io::Result<Kept> {
        let mut file = disk.open(NAME)?;
        let region = file.map_loaded(file.octets())?;
        let files = stamp(header, tables)?;
        Ok(Kept { region, files })
    };
    open()
        .inspect_err(|error| {
            tracing::warn!(%error, "the snapshot of the last stop cannot be read; every slot is looked at");
        })
        .ok()
}

/// Removes these files, for good.
///
/// # Errors
/// Those of the system.
pub(super) fn discard(disk: &dyn Disk, files: &[String]) -> io::Result<()> {
    for name in files {
        disk.remove(name)?;
    }
    if files.is_empty() {
        return Ok(());
    }
    disk.sync_directory()
}

/// Stands for the table files as they are. On a disk whose files have no times there are no snapshots.
pub(super) fn stamp(header: &StoreHeader, tables: &[Arc<dyn DiskFile>]) -> io::Result<u64> {
    let stamps: io::Result<Vec<_>> = tables.iter().map(|table| table.stamp()).collect();
    Ok(files_digest(header, &stamps?))
}
