//! How is a store made? Its files, of their final sizes; `store` last.

use super::error::{OpenError, file_error};
use super::{HEADER_NAME, journal_name, table_name};
use crate::disk::{Disk, DiskFile};
use crate::settings::Settings;
use dhcp_lease::format::{SLOT_OCTETS, SLOTS_PER_SEGMENT};
use dhcp_lease::headers::StoreHeader;
use dhcp_lease::table::HEADER_OCTETS;
use std::io;
use std::ops::RangeInclusive;

/// Bounds on the journal. Between them it is as large as the tables: the larger, the fewer pages of the
/// tables must be written at each checkpoint.
pub(super) const JOURNAL_OCTETS: RangeInclusive<u64> = 64 << 20..=1 << 30;
/// Tells that a store is being made.
const MAKING_NAME: &str = "store.making";

/// Makes a store. A crash on the way leaves `store.making`, and the next start begins anew.
pub(super) fn create(
    disk: &dyn Disk,
    settings: &Settings,
    journal_octets: &RangeInclusive<u64>,
) -> Result<StoreHeader, OpenError> {
    let making = disk.path(MAKING_NAME);
    let failed = |what| file_error(&making, what);
    let exists = |name: &str| disk.list().map(|names| names.iter().any(|it| it == name));
    let has_table = exists(&table_name(0, 0)).map_err(failed("cannot list the state directory"))?;
    if has_table && !exists(MAKING_NAME).map_err(failed("cannot list the state directory"))? {
        return Err(OpenError::HeaderMissing {
            directory: disk.path(""),
        });
    }
    let header = new_header(disk, settings).map_err(failed("cannot get random octets"))?;
    disk.write_whole(MAKING_NAME, &[])
        .map_err(failed("cannot begin a lease store"))?;
    for partition in 0..header.partitions {
        let name = table_name(header.epoch, partition);
        let octets = table_octets(settings.lease_capacity, header.partitions);
        disk.remove(&name)
            .and_then(|()| disk.create(&name, octets))
            .map_err(file_error(
                &disk.path(&name),
                "cannot make a lease table; free some space, or lower `lease-capacity`",
            ))?;
    }
    let journal = journal_name(header.epoch);
    disk.remove(&journal).map_err(file_error(
        &disk.path(&journal),
        "cannot remove the journal",
    ))?;
    make_journal(disk, header.epoch, settings, journal_octets)?;
    disk.write_whole(HEADER_NAME, &header.octets())
        .map_err(failed("cannot finish the lease store"))?;
    disk.remove(MAKING_NAME)
        .map_err(failed("cannot finish the lease store"))?;
    tracing::info!(
        directory = %disk.path("").display(),
        partitions = header.partitions,
        capacity = settings.lease_capacity,
        "a new lease store was made"
    );
    Ok(header)
}

fn new_header(disk: &dyn Disk, settings: &Settings) -> io::Result<StoreHeader> {
    Ok(StoreHeader {
        identity: random(disk)?,
        spread_key: u64::from_ne_bytes(random(disk)?),
        checksum_key: random(disk)?,
        partitions: partitions(settings),
        slots_per_segment: SLOTS_PER_SEGMENT,
        epoch: 0,
    })
}

/// Into how many partitions the configuration divides a store.
pub(super) fn partitions(settings: &Settings) -> u32 {
    settings.partitions.clamp(1, 1 << 12).next_power_of_two()
}

/// Octets of the journal.
pub(super) fn journal_size(settings: &Settings, bounds: &RangeInclusive<u64>) -> u64 {
    let like_tables = settings.lease_capacity.saturating_mul(SLOT_OCTETS as u64);
    let octets = like_tables.clamp(*bounds.start(), *bounds.end());
    octets.next_multiple_of(4096)
}

/// Makes the journal, its name on stable storage.
pub(super) fn make_journal(
    disk: &dyn Disk,
    epoch: u32,
    settings: &Settings,
    journal_octets: &RangeInclusive<u64>,
) -> Result<Box<dyn DiskFile>, OpenError> {
    let name = journal_name(epoch);
    let octets = journal_size(settings, journal_octets);
    let made = disk.create(&name, octets).and_then(|file| {
        disk.sync_directory()?;
        Ok(file)
    });
    made.map_err(file_error(
        &disk.path(&name),
        "cannot make the journal; free some space",
    ))
}

/// Octets of one table. Clients are spread by a hash, so partitions fill unevenly: eight standard
/// deviations, and a thirty-second for some long identifiers, stand between a full pool and a full
/// partition. (Without `lease-capacity` there is room for two slots a lease; more here would cost memory
/// for each lease and be of use to few.)
pub(super) fn table_octets(capacity: u64, partitions: u32) -> u64 {
    let mean = capacity.div_ceil(u64::from(partitions.max(1)));
    let slots = mean + mean / 32 + 8 * mean.isqrt() + 64;
    HEADER_OCTETS as u64 + (slots * SLOT_OCTETS as u64).next_multiple_of(4096)
}

pub(super) fn random<const N: usize>(disk: &dyn Disk) -> io::Result<[u8; N]> {
    let mut octets = [0; N];
    disk.random(&mut octets)?;
    Ok(octets)
}
