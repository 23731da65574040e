//! Where do the tables lie? Each partition's file, opened, grown if the configuration wants more, mapped.

use super::create::table_octets;
use super::crew;
use super::error::{OpenError, file_error};
use super::table_name;
use crate::disk::{Disk, DiskFile};
use crate::settings::Settings;
use dhcp_lease::format::SLOT_OCTETS;
use dhcp_lease::headers::{self, COPY_DISTANCE, StoreHeader};
use dhcp_lease::recovery::TableRegions;
use dhcp_lease::table::{HEADER_OCTETS, Region};
use std::io;
use std::sync::Arc;

/// The tables in memory, and their files to be synced.
pub(super) type Tables = (Vec<TableRegions>, Vec<Arc<dyn DiskFile>>);

/// Opens the files of all tables, and changes nothing.
pub(super) fn open_files(
    disk: &dyn Disk,
    header: &StoreHeader,
) -> Result<Vec<Box<dyn DiskFile>>, OpenError> {
    crew::make_all(disk.threads(), 0..header.partitions, |partition| {
        let name = table_name(header.epoch, partition);
        let file = disk.open(&name).map_err(file_error(
            &disk.path(&name),
            "cannot open a lease table; restore it from a backup",
        ))?;
        refuse_newer(&*file, header)?;
        Ok(file)
    })
}

/// A later program that was interrupted in its upgrade may have changed some files and not yet the store's
/// own: then nothing is touched.
pub(super) fn refuse_newer(file: &dyn DiskFile, header: &StoreHeader) -> Result<(), OpenError> {
    let path = file.path();
    let octets = file.octets().min(2 * COPY_DISTANCE as u64);
    let mut beginning = vec![0; usize::try_from(octets).unwrap_or(0)];
    file.read_at(&mut beginning, 0)
        .map_err(file_error(path, "cannot be read"))?;
    headers::refuse_newer(header, &beginning).map_err(|source| OpenError::Header {
        path: path.to_owned(),
        source,
    })
}

/// Makes the tables as long as the configuration wants them, and maps them.
pub(super) fn map_tables(
    disk: &dyn Disk,
    files: Vec<Box<dyn DiskFile>>,
    header: &StoreHeader,
    settings: &Settings,
) -> Result<Tables, OpenError> {
    let wanted = table_octets(settings.lease_capacity, header.partitions);
    let tables = crew::make_all(disk.threads(), files, |mut file| {
        let path = file.path().to_owned();
        let failed = |what| file_error(&path, what);
        if file.octets() < wanted {
            file.grow(wanted).map_err(failed(
                "cannot enlarge a lease table; free some space, or lower `lease-capacity`",
            ))?;
        }
        let regions = map(&mut *file, header).map_err(failed(
            "cannot read a lease table; replace the disk and restore it from a backup",
        ))?;
        Ok::<_, OpenError>((regions, Arc::from(file)))
    })?;
    Ok(tables.into_iter().unzip())
}

pub(super) fn map(file: &mut dyn DiskFile, header: &StoreHeader) -> io::Result<TableRegions> {
    let first = file.map_loaded(HEADER_OCTETS as u64)?;
    let mut segments: Vec<Box<dyn Region>> = Vec::new();
    let mut left = file.octets() - HEADER_OCTETS as u64;
    let segment_octets = u64::from(header.slots_per_segment) * SLOT_OCTETS as u64;
    while left > 0 {
        let octets = left.min(segment_octets);
        segments.push(file.map_loaded(octets)?);
        left -= octets;
    }
    Ok(TableRegions {
        header: first,
        segments,
    })
}
