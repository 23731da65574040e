//! The journal: what changed since the tables were last known to be on stable storage.
//!
//! Pure arithmetic over positions and octets; the shell writes and syncs. Invariants:
//! - Batches are numbered without gaps, and each names the checksum of the one before: what an earlier
//!   round of the ring left behind never continues the chain.
//! - A batch begins and ends at a multiple of [`ALIGNMENT`], so writing one never touches an octet of
//!   another.
//! - The head never reaches the tail: nothing is overwritten that a checkpoint has not made needless.

use crate::binding::Lease;
use crate::counts::Tag;
use crate::format::{Checksum, Group, Image, SLOT_OCTETS, VERSION, archive};
use crate::headers::{COPY_DISTANCE, StoreHeader};
use core::hash::Hasher;
use rkyv::{Archive, Serialize};

mod mend;
mod replay;
mod ring;

pub use replay::{Batch, Damage, Replay, Resume, first_batch, replay};
pub use ring::{HeaderWrite, Journal, JournalFull, JournalTooSmall, Placed};

/// Batches lie at multiples of this: a page, which is also the largest physical sector in use. A power
/// cut may spoil the whole sector that is being written, so no other batch may lie in it.
pub const ALIGNMENT: usize = 4_096;
/// Where the first batch can lie: after the two copies of the header.
pub const DATA_OFFSET: u64 = 2 * COPY_DISTANCE as u64;
/// Octets of a record: partition, slot, image.
pub const RECORD_OCTETS: usize = 8 + SLOT_OCTETS;
/// Octets of a batch's header.
pub const BATCH_HEADER_OCTETS: usize = 64;

const BATCH_MAGIC: [u8; 4] = *b"xdJB";

/// The header of a batch.
#[derive(Archive, Serialize, Debug)]
#[rkyv(derive(Debug))]
struct BatchHeader {
    /// SipHash-1-3 under the store's key over the rest of the header, then of every record its
    /// partition, slot and the image's own checksum.
    checksum: u64,
    magic: [u8; 4],
    version: u32,
    identity: [u8; 16],
    sequence: u64,
    /// The checksum of the batch before.
    previous: u64,
    /// Which of the batches that were written together, from 0: all before the first of these were on stable
    /// storage by then. (Version 1 has the octets of the batch here, which no group is as large as.)
    place: u32,
    /// Records.
    count: u32,
    /// A random number of the run that wrote it: so no batch that an earlier run lost can follow, not even
    /// when this one says what the lost one's neighbour said.
    run: u64,
}

const _: () = assert!(size_of::<ArchivedBatchHeader>() == BATCH_HEADER_OCTETS);

/// The checksum of a batch, which the next one names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Chain(pub u64);

/// A place between two batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Octets from the beginning of the file.
    pub position: u64,
    /// The number of the batch that comes next.
    pub sequence: u64,
    /// The checksum of the batch that came last.
    pub chain: Chain,
}

/// The changes of one batch of packets, in the journal's own format, ready to be written.
///
/// A worker owns a few and fills one per batch. While it is empty after a batch, every reply of that
/// batch may leave at once; otherwise they wait until it is durable and settled.
#[derive(Debug, Default)]
pub struct ChangeLog {
    /// Room for the header, then records.
    octets: Vec<u8>,
    count: usize,
    capacity: usize,
    /// Leases to give back once all this is durable, with the partition that let go.
    freed_leases: Vec<(u32, Lease)>,
    /// Slots that are free once all this is durable.
    freed_slots: Vec<(u32, u32)>,
    /// What counts no longer once all this is durable.
    freed_tags: Vec<Tag>,
    /// Under durability "process", if somebody wants them: the records for the history. They are in the
    /// tables already and nothing waits for them.
    notes: Option<Vec<u8>>,
}

impl ChangeLog {
    /// Room for so many records. More are taken in too, at the price of an allocation: submit the log
    /// while [`ChangeLog::remaining`] is more than what one packet can change.
    pub fn with_capacity(records: usize) -> Self {
        let mut octets = Vec::with_capacity(padded(BATCH_HEADER_OCTETS + records * RECORD_OCTETS));
        octets.resize(BATCH_HEADER_OCTETS, 0);
        Self {
            octets,
            count: 0,
            capacity: records,
            freed_leases: Vec::with_capacity(records),
            freed_slots: Vec::with_capacity(records),
            freed_tags: Vec::with_capacity(2 * records),
            notes: None,
        }
    }

    /// From now on keeps what durability "process" writes into the tables, for the history: take it with
    /// [`ChangeLog::notes_mut`]. Room for so many records.
    pub fn take_notes(&mut self, records: usize) {
        self.notes = Some(Vec::with_capacity(records * RECORD_OCTETS));
    }

    /// The records for the history, [`RECORD_OCTETS`] each; whoever takes them empties it.
    pub fn notes_mut(&mut self) -> Option<&mut Vec<u8>> {
        self.notes.as_mut()
    }

    /// The records in their own format, [`RECORD_OCTETS`] each: for the history.
    pub fn record_octets(&self) -> &[u8] {
        let records = self.octets.get(BATCH_HEADER_OCTETS..).unwrap_or_default();
        records
            .get(..self.count * RECORD_OCTETS)
            .unwrap_or_default()
    }

    /// Whether nothing was changed.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// For how many records there is room without an allocation.
    pub fn remaining(&self) -> usize {
        self.capacity.saturating_sub(self.count)
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn push(&mut self, partition: u32, slot: u32, image: &Image) {
        if self.octets.len() < BATCH_HEADER_OCTETS {
            self.octets.resize(BATCH_HEADER_OCTETS, 0);
        }
        push_record(&mut self.octets, partition, slot, image);
        self.count += 1;
    }

    /// For the history alone.
    pub(crate) fn note(&mut self, partition: u32, group: &Group<'_>) {
        if let Some(notes) = &mut self.notes {
            for (slot, image) in group.images() {
                push_record(notes, partition, slot, &image);
            }
        }
    }

    pub(crate) fn free_lease(&mut self, partition: u32, lease: Lease) {
        self.freed_leases.push((partition, lease));
    }

    pub(crate) fn free_slot(&mut self, partition: u32, slot: u32) {
        self.freed_slots.push((partition, slot));
    }

    pub(crate) fn free_tag(&mut self, tag: Tag) {
        self.freed_tags.push(tag);
    }

    pub(crate) fn freed_tags(&self) -> &[Tag] {
        &self.freed_tags
    }

    pub(crate) fn freed_leases(&self) -> &[(u32, Lease)] {
        &self.freed_leases
    }

    pub(crate) fn freed_slots(&self) -> &[(u32, u32)] {
        &self.freed_slots
    }

    /// The records: partition, slot, image.
    pub(crate) fn records(&self) -> impl Iterator<Item = (u32, u32, &Image)> {
        let records = self.octets.get(BATCH_HEADER_OCTETS..).unwrap_or_default();
        split(records).take(self.count)
    }

    /// Turns it into a batch, to be written where [`Journal::append`] says. Returns its checksum.
    /// `run` is a random number of the run that writes it, `place` its place in its group.
    pub(crate) fn seal(
        &mut self,
        after: &Cursor,
        run: u64,
        place: u32,
        store: &StoreHeader,
    ) -> Chain {
        let length = padded(BATCH_HEADER_OCTETS + self.count * RECORD_OCTETS);
        self.octets.resize(length, 0);
        let header = BatchHeader {
            checksum: 0,
            magic: BATCH_MAGIC,
            version: VERSION,
            identity: store.identity,
            sequence: after.sequence,
            previous: after.chain.0,
            place,
            count: self.count as u32,
            run,
        };
        let header: [u8; BATCH_HEADER_OCTETS] = archive(&header);
        if let Some(room) = self.octets.first_chunk_mut() {
            *room = header;
        }
        let chain = batch_checksum(&header, self.records(), &store.checksum());
        if let Some(room) = self.octets.first_chunk_mut() {
            *room = chain.0.to_le_bytes();
        }
        chain
    }

    /// What is to be written: after [`Journal::append`] a whole batch.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// Empties it for the next batch.
    pub(crate) fn clear(&mut self) {
        self.octets.truncate(BATCH_HEADER_OCTETS);
        self.count = 0;
        self.freed_leases.clear();
        self.freed_slots.clear();
        self.freed_tags.clear();
    }
}

fn push_record(into: &mut Vec<u8>, partition: u32, slot: u32, image: &Image) {
    into.extend_from_slice(&partition.to_le_bytes());
    into.extend_from_slice(&slot.to_le_bytes());
    into.extend_from_slice(image);
}

/// Partition, slot and image of records as [`ChangeLog::record_octets`] has them.
pub fn split(records: &[u8]) -> impl Iterator<Item = (u32, u32, &Image)> {
    let (records, _) = records.as_chunks::<RECORD_OCTETS>();
    records.iter().filter_map(|record| {
        let (partition, rest) = record.split_first_chunk::<4>()?;
        let (slot, image) = rest.split_first_chunk::<4>()?;
        let image = image.first_chunk::<SLOT_OCTETS>()?;
        Some((
            u32::from_le_bytes(*partition),
            u32::from_le_bytes(*slot),
            image,
        ))
    })
}

fn padded(octets: usize) -> usize {
    octets.next_multiple_of(ALIGNMENT)
}

/// The images' own checksums stand for the images: they are keyed and cover every octet.
fn batch_checksum<'a>(
    header: &[u8; BATCH_HEADER_OCTETS],
    records: impl Iterator<Item = (u32, u32, &'a Image)>,
    checksum: &Checksum,
) -> Chain {
    let mut hasher = checksum.hasher();
    hasher.write(header.get(8..).unwrap_or_default());
    for (partition, slot, image) in records {
        hasher.write_u64(u64::from(partition) << 32 | u64::from(slot));
        hasher.write(image.get(..8).unwrap_or_default());
    }
    Chain(hasher.finish())
}

#[cfg(test)]
mod tests;
