//! What if the configuration wants other tables than there are? They are made anew under the names of the next
//! epoch, filled with all that counts, synced; then the file `store`, which names the epoch, is replaced.
//!
//! Invariants:
//! - At every moment the file `store` names a whole set of files. Whatever is there of another epoch counts for
//!   nothing, and goes with the next start.
//! - Nothing of the old set is removed before the new name is on stable storage.

use super::create::{journal_size, partitions, random, table_octets};
use super::tables::map;
use super::{HEADER_NAME, OpenError, StateDirectory, journal_name, table_name};
use crate::disk::{Disk, DiskFile};
use crate::settings::{Durability, Settings};
use dhcp_lease::clock::Carry;
use dhcp_lease::geometry::{Moved, move_all};
use dhcp_lease::headers::StoreHeader;
use dhcp_lease::journal::Journal;
use dhcp_lease::recovery::{Opening, Recovery};
use dhcp_lease::{Partitions, Pools, Room, TableFull, Timestamp};
use std::io;

/// Tables are made smaller only when they are larger than wanted by this part of themselves, so that a pool
/// more or less is not worth making a store anew.
const SHRINK_PART: u64 = 4;
/// What must be left on the disk besides the new files.
const SPARE_OCTETS: u64 = 16 << 20;

/// What became of the wish for other tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fitted {
    /// They are as they should be, or there are none yet.
    AsTheyAre,
    /// They were made anew.
    Anew(Moved),
}

/// Why the tables stay as they are. Nothing of theirs was changed; the server can serve with them.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    /// The store cannot be opened at all, or it is not known which of two sets of files counts.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Not enough room for a second set of files.
    #[error(
        "other lease tables need {need} octets beside those there are, and {free} are free: free some space \
         and restart; until then the tables stay as they are"
    )]
    Space {
        /// How much is needed.
        need: u64,
        /// How much there is.
        free: u64,
    },
    /// The wanted tables are too small.
    #[error(
        "tables for `lease-capacity` {capacity} have no room for the {held} leases that are held: raise it \
         and restart; until then the tables stay as they are"
    )]
    TooSmall {
        /// What the configuration wants.
        capacity: u64,
        /// Leases that are somebody's, declined ones included.
        held: u64,
    },
    /// A file could not be made, written or synced.
    #[error(
        "cannot make lease tables anew: {0}; mend that and restart; until then they stay as they are"
    )]
    Disk(#[source] io::Error),
}

impl StateDirectory {
    /// Makes the tables anew if the configuration wants another number of partitions or much smaller tables,
    /// or if leases are to be carried over to another time. To be called before [`StateDirectory::store`];
    /// `now` is the time by which it is judged which leases are live. An interruption at any point loses
    /// nothing: the next call begins again.
    ///
    /// # Errors
    /// [`FitError`]. All but [`FitError::Open`] leave a store that can be opened as it was.
    pub fn fit(
        &self,
        settings: &Settings,
        quarantine_seconds: u32,
        now: Timestamp,
        carry: Option<Carry>,
    ) -> Result<Fitted, FitError> {
        let disk = &*self.disk;
        let Some(old) = self.header()? else {
            return Ok(Fitted::AsTheyAre);
        };
        remove_others(disk, old.epoch).map_err(FitError::Disk)?;
        let are_others_wanted = partitions(settings) != old.partitions
            || are_too_large(disk, &old, settings).map_err(FitError::Disk)?;
        if !are_others_wanted && carry.is_none() {
            return Ok(Fitted::AsTheyAre);
        }
        let new = StoreHeader {
            partitions: partitions(settings),
            epoch: old.epoch.wrapping_add(1).max(1),
            // Nothing that was signed for the old tables can be taken for a part of the new ones.
            checksum_key: random(disk).map_err(FitError::Disk)?,
            ..old
        };
        tracing::info!(
            partitions_before = old.partitions,
            partitions = new.partitions,
            capacity = settings.lease_capacity,
            "the lease tables are made anew"
        );
        let moved = self.fill(&old, &new, settings, quarantine_seconds, now, carry);
        let moved = moved.inspect_err(|_| {
            // What cannot be removed now goes with the next start.
            let _ = remove_others(disk, old.epoch);
        })?;
        self.switch(&new)?;
        if let Err(error) = remove_others(disk, new.epoch) {
            tracing::warn!(%error, "the former lease tables cannot be removed; the next start tries again");
        }
        let Moved {
            held,
            former,
            former_left,
            set_aside,
        } = moved;
        tracing::info!(
            held,
            former,
            former_left,
            set_aside,
            "the lease tables were made anew"
        );
        Ok(Fitted::Anew(moved))
    }

    /// Makes the new files and moves into them what counts in the old ones. All of it is on stable storage
    /// afterwards.
    fn fill(
        &self,
        old: &StoreHeader,
        new: &StoreHeader,
        settings: &Settings,
        quarantine_seconds: u32,
        now: Timestamp,
        carry: Option<Carry>,
    ) -> Result<Moved, FitError> {
        let disk = &*self.disk;
        let table = table_octets(settings.lease_capacity, new.partitions);
        let tables = table.saturating_mul(u64::from(new.partitions));
        let journal = journal_size(settings, &self.journal_octets);
        let need = tables + journal + SPARE_OCTETS;
        let free = disk.free_octets().map_err(FitError::Disk)?;
        if free < need {
            return Err(FitError::Space { need, free });
        }
        let opening = Opening {
            durability: Durability::Process.into(),
            room: Room::default(),
            now,
            quarantine_seconds,
        };
        // Without pools: which address is free is asked when the new tables are opened. And not larger than
        // they are.
        let as_they_are = Settings {
            lease_capacity: 0,
            ..settings.clone()
        };
        let from = self.open_files(old, &as_they_are, &opening, &Pools::default(), |_| {})?;
        let (to, recovery, files) = make_tables(disk, new, table, &opening)?;
        let held = from.recovery.live + from.recovery.declined;
        let mut progress = |moved: u64| tracing::info!(moved, held, "moving leases");
        let moved = move_all(&from.partitions, &to, carry, now, &mut progress);
        let capacity = settings.lease_capacity;
        let moved = moved.map_err(|TableFull| FitError::TooSmall { capacity, held })?;
        drop(to);
        make_journal(disk, new, journal, &recovery)
            .and_then(|journal| {
                files.iter().try_for_each(|file| file.sync_data())?;
                journal.sync_data()?;
                disk.sync_directory()
            })
            .map_err(FitError::Disk)?;
        Ok(moved)
    }

    /// From here on the new files count. If it is not sure that they do, nobody may serve: the next start sees.
    fn switch(&self, new: &StoreHeader) -> Result<(), FitError> {
        let written = self.disk.write_whole(HEADER_NAME, &new.octets());
        let Err(source) = written else {
            return Ok(());
        };
        let counts_still = |header: StoreHeader| header.epoch != new.epoch;
        if self.header()?.is_some_and(counts_still) {
            let _ = remove_others(&*self.disk, new.epoch - 1);
            return Err(FitError::Disk(source));
        }
        let path = self.disk.path(HEADER_NAME);
        let what = "cannot put other lease tables in force; restart";
        Err(FitError::Open(OpenError::File { path, what, source }))
    }
}

/// Whether the tables are much larger than the configuration wants them.
fn are_too_large(disk: &dyn Disk, header: &StoreHeader, settings: &Settings) -> io::Result<bool> {
    let wanted = table_octets(settings.lease_capacity, header.partitions);
    for partition in 0..header.partitions {
        let octets = match disk.open(&table_name(header.epoch, partition)) {
            Ok(file) => file.octets(),
            // Whoever opens the store says what is to be done about it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if octets.saturating_sub(octets / SHRINK_PART) <= wanted {
            return Ok(false);
        }
    }
    Ok(true)
}

type Tables = (Partitions, Recovery, Vec<Box<dyn DiskFile>>);

fn make_tables(
    disk: &dyn Disk,
    header: &StoreHeader,
    octets: u64,
    opening: &Opening,
) -> Result<Tables, FitError> {
    let mut files = Vec::new();
    let mut tables = Vec::new();
    for partition in 0..header.partitions {
        let name = table_name(header.epoch, partition);
        let made = disk.create(&name, octets).and_then(|mut file| {
            let regions = map(&mut *file, header)?;
            Ok((file, regions))
        });
        let (file, regions) = made.map_err(FitError::Disk)?;
        files.push(file);
        tables.push(regions);
    }
    let opened = Partitions::open(header, tables, &[], opening, &Pools::default());
    let (partitions, recovery) = opened.map_err(|source| OpenError::Contents {
        directory: disk.path(""),
        source,
    })?;
    Ok((partitions, recovery, files))
}

/// The journal of tables that have everything already.
fn make_journal(
    disk: &dyn Disk,
    header: &StoreHeader,
    octets: u64,
    recovery: &Recovery,
) -> io::Result<Box<dyn DiskFile>> {
    let file = disk.create(&journal_name(header.epoch), octets)?;
    let fresh = u64::from_ne_bytes(random(disk)?);
    let (_, write) =
        Journal::restart(header, octets, recovery.resume, fresh).map_err(io::Error::other)?;
    file.write_at(&[&write.octets], write.position)?;
    Ok(file)
}

/// Removes the tables and journals of every other epoch than this one, whose name is made sure of first.
fn remove_others(disk: &dyn Disk, epoch: u32) -> io::Result<()> {
    let is_other = |name: &String| epoch_of(name).is_some_and(|other| other != epoch);
    let others: Vec<_> = disk.list()?.into_iter().filter(is_other).collect();
    if others.is_empty() {
        return Ok(());
    }
    disk.sync_directory()?;
    for name in others {
        disk.remove(&name)?;
    }
    Ok(())
}

/// The epoch to which a file belongs by its name, if it is a table or a journal.
fn epoch_of(name: &str) -> Option<u32> {
    let number = |digits: &str| digits.parse::<u32>().ok();
    let found = match name.split('-').collect::<Vec<_>>().as_slice() {
        ["journal"] => Some((0, journal_name(0))),
        ["journal", epoch] => number(epoch).map(|epoch| (epoch, journal_name(epoch))),
        ["table", partition] => number(partition).map(|number| (0, table_name(0, number))),
        ["table", epoch, partition] => number(epoch)
            .zip(number(partition))
            .map(|(epoch, number)| (epoch, table_name(epoch, number))),
        _ => None,
    };
    // Only a name that we would give ourselves: what else lies there is not ours.
    found.filter(|(_, own)| own == name).map(|(epoch, _)| epoch)
}

#[cfg(test)]
mod tests;
