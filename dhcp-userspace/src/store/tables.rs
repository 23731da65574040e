//! Where do the tables lie? Each partition's file, opened, grown if the configuration wants more, mapped.

use super::create::table_octets;
use super::error::{OpenError, file_error};
use super::table_name;
use crate::disk::{Disk, DiskFile};
use crate::settings::Settings;
use dhcp_lease::format::SLOT_OCTETS;
use dhcp_lease::headers::StoreHeader;
use dhcp_lease::recovery::TableRegions;
use dhcp_lease::table::{HEADER_OCTETS, Region};
use std::io;
use std::sync::Arc;

/// The tables in memory, and their files to be synced.
pub(super) type Tables = (Vec<TableRegions>, Vec<Arc<dyn DiskFile>>);

pub(super) fn open_tables(
    disk: &dyn Disk,
    header: &StoreHeader,
    settings: &Settings,
) -> Result<Tables, OpenError> {
    let wanted = table_octets(settings.lease_capacity, header.partitions);
    let mut tables = Vec::new();
    let mut files = Vec::new();
    for partition in 0..header.partitions {
        let name = table_name(header.epoch, partition);
        let path = disk.path(&name);
        let failed = |what| file_error(&path, what);
        let mut file = disk.open(&name).map_err(failed(
            "cannot open a lease table; restore it from a backup",
        ))?;
        if file.octets() < wanted {
            file.grow(wanted).map_err(failed(
                "cannot enlarge a lease table; free some space, or lower `lease-capacity`",
            ))?;
        }
        let regions = map(&mut *file, header).map_err(failed("cannot map a lease table"))?;
        tables.push(regions);
        files.push(Arc::from(file));
    }
    Ok((tables, files))
}

pub(super) fn map(file: &mut dyn DiskFile, header: &StoreHeader) -> io::Result<TableRegions> {
    let first = file.map_next(HEADER_OCTETS as u64)?;
    let mut segments: Vec<Box<dyn Region>> = Vec::new();
    let mut left = file.octets() - HEADER_OCTETS as u64;
    let segment_octets = u64::from(header.slots_per_segment) * SLOT_OCTETS as u64;
    while left > 0 {
        let octets = left.min(segment_octets);
        segments.push(file.map_next(octets)?);
        left -= octets;
    }
    Ok(TableRegions {
        header: first,
        segments,
    })
}
