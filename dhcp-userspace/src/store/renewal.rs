//! How does a table get to the disk after it could not be synced?
//!
//! After a failed sync the system counts pages as clean that it has not written: syncing again proves
//! nothing, and at any time it may read such a page back as it was. So all that changed since the last
//! checkpoint is stored once more, and then synced. Under durability "power" it is in the journal, which
//! is on stable storage; under "process" there is only the memory, so every page is stored over itself.

use crate::disk::DiskFile;
use dhcp_lease::Partitions;
use dhcp_lease::headers::StoreHeader;
use dhcp_lease::journal::{Cursor, DATA_OFFSET, first_batch};
use std::io;

/// How much of the journal is read at once. No batch is as large, and commits wait no longer than it takes
/// to go through it.
const WINDOW_OCTETS: u64 = 4 << 20;
/// How many pages are stored under one lock, and how often before commits have their turn.
const PAGES_PER_LOCK: u32 = 64;
const LOCKS_PER_STEP: u32 = 16;

/// How far it has come.
pub(super) enum Renewal {
    /// Through the journal: the next batch, and where to end.
    Journal {
        position: u64,
        sequence: u64,
        end: u64,
    },
    /// Through the tables.
    Tables { partition: usize, slot: u32 },
}

impl Renewal {
    /// Of all batches from the tail on up to `end`.
    pub(super) fn through_journal(tail: Cursor, end: Cursor) -> Self {
        Self::Journal {
            position: tail.position,
            sequence: tail.sequence,
            end: end.sequence,
        }
    }

    /// Of all pages of all tables.
    pub(super) fn through_tables() -> Self {
        Self::Tables {
            partition: 0,
            slot: 0,
        }
    }

    /// Does a part. Whether it was the last.
    ///
    /// # Errors
    /// Those of reading the journal.
    pub(super) fn step(
        &mut self,
        journal: &dyn DiskFile,
        header: &StoreHeader,
        partitions: &Partitions,
    ) -> io::Result<bool> {
        match self {
            Self::Journal {
                position,
                sequence,
                end,
            } => {
                if sequence == end {
                    return Ok(true);
                }
                // Where the writer found no room before the end of the file, it went to the beginning.
                for place in [*position, DATA_OFFSET] {
                    let before = *sequence;
                    let octets = read_window(journal, place)?;
                    let mut rest = octets.as_slice();
                    while *sequence < *end
                        && let Some((batch, len)) = first_batch(header, rest)
                        && batch.sequence == *sequence
                    {
                        partitions.renew(&batch);
                        rest = rest.get(len..).unwrap_or_default();
                        *sequence += 1;
                    }
                    if *sequence > before {
                        *position = place + (octets.len() - rest.len()) as u64;
                        return Ok(sequence == end);
                    }
                }
                let lost = format!("batch {sequence} of the journal cannot be read back");
                Err(io::Error::new(io::ErrorKind::InvalidData, lost))
            }
            Self::Tables { partition, slot } => {
                for _ in 0..LOCKS_PER_STEP {
                    match partitions.touch_up(*partition, *slot, PAGES_PER_LOCK) {
                        Some(next) => *slot = next,
                        None => (*partition, *slot) = (*partition + 1, 0),
                    }
                }
                Ok(*partition >= partitions.len())
            }
        }
    }
}

fn read_window(journal: &dyn DiskFile, position: u64) -> io::Result<Vec<u8>> {
    let octets = journal.octets().saturating_sub(position).min(WINDOW_OCTETS);
    let mut window = vec![0; usize::try_from(octets).unwrap_or(0)];
    journal.read_at(&mut window, position)?;
    Ok(window)
}
