//! Which batches of a journal file count?

use super::{
    ALIGNMENT, ArchivedBatchHeader, BATCH_HEADER_OCTETS, BATCH_MAGIC, Chain, Cursor, DATA_OFFSET,
    RECORD_OCTETS, batch_checksum, padded, split,
};
use crate::format::{Image, VERSION};
use crate::headers::{HeaderError, JournalHeader, StoreHeader};
use rkyv::api::low;
use rkyv::rancor::Failure;

/// From where a journal goes on after it was replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    /// After the last batch that counts.
    pub next: Cursor,
    /// Before the first batch that counts.
    pub tail: Cursor,
    /// The number of the header that was in force.
    pub header_number: u64,
}

/// A batch that was found whole.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Its number.
    pub sequence: u64,
    /// Where it begins.
    pub position: u64,
    records: &'a [u8],
}

impl<'a> Batch<'a> {
    /// Its records: partition, slot, image. Every image's checksum was found right.
    pub fn records(&self) -> impl Iterator<Item = (u32, u32, &'a Image)> + use<'a> {
        split(self.records)
    }
}

/// The batches that count, in order, from the tail on. Stops where the chain does.
#[derive(Clone, Debug)]
pub struct Replay<'a> {
    octets: &'a [u8],
    store: StoreHeader,
    next: Cursor,
    tail: Cursor,
    header_number: u64,
    /// Both copies of the header are lost: every whole batch counts, wherever it lies.
    scan: bool,
}

/// Reads a journal file: all of it, or what there is.
///
/// When both copies of the header are damaged, every whole batch in the file is returned, not in order;
/// those from before the last checkpoint do no harm, for they are older than what the tables have.
///
/// # Errors
/// [`HeaderError`] if the file is another store's or a later program's.
pub fn replay<'a>(store: &StoreHeader, octets: &'a [u8]) -> Result<Replay<'a>, HeaderError> {
    let start = Cursor {
        position: DATA_OFFSET,
        sequence: 1,
        chain: Chain::default(),
    };
    let replay = Replay {
        octets,
        store: *store,
        next: start,
        tail: start,
        header_number: 0,
        scan: false,
    };
    match JournalHeader::read(store, octets) {
        Ok(header) => Ok(Replay {
            next: header.tail,
            tail: header.tail,
            header_number: header.number,
            ..replay
        }),
        Err(HeaderError::Damaged | HeaderError::NotOurs) => Ok(Replay {
            scan: true,
            ..replay
        }),
        Err(error) => Err(error),
    }
}

impl<'a> Iterator for Replay<'a> {
    type Item = Batch<'a>;

    fn next(&mut self) -> Option<Batch<'a>> {
        if self.scan {
            return self.next_anywhere();
        }
        // The writer goes back to the beginning when a batch does not fit before the end.
        [self.next.position, DATA_OFFSET]
            .into_iter()
            .find_map(|position| {
                let (batch, after, previous) = self.batch(position)?;
                let chained = batch.sequence == self.next.sequence && previous == self.next.chain;
                chained.then(|| {
                    self.next = after;
                    batch
                })
            })
    }
}

impl<'a> Replay<'a> {
    /// From where the journal goes on, once this has returned `None`.
    pub fn resume(&self) -> Resume {
        Resume {
            next: self.next,
            tail: self.tail,
            header_number: self.header_number,
        }
    }

    /// Whether both copies of the header are damaged, and the file is not blank.
    pub fn is_headless(&self) -> bool {
        let header = self.octets.get(..DATA_OFFSET as usize).unwrap_or_default();
        self.scan && header.iter().any(|&octet| octet != 0)
    }

    fn next_anywhere(&mut self) -> Option<Batch<'a>> {
        while self.next.position < self.octets.len() as u64 {
            let position = self.next.position;
            self.next.position += ALIGNMENT as u64;
            if let Some((batch, ..)) = self.batch(position) {
                self.next.sequence = self.next.sequence.max(batch.sequence + 1);
                return Some(batch);
            }
        }
        None
    }

    /// The batch at a position if it is whole, the cursor after it, and the chain that it continues.
    fn batch(&self, position: u64) -> Option<(Batch<'a>, Cursor, Chain)> {
        let octets = self.octets.get(usize::try_from(position).ok()?..)?;
        whole_batch(&self.store, octets, position)
    }
}

/// The batch at the beginning of `octets` if it is whole, and how many of them it takes: for a reader who
/// does not have the whole journal in memory.
pub fn first_batch<'a>(store: &StoreHeader, octets: &'a [u8]) -> Option<(Batch<'a>, usize)> {
    let (batch, after, _) = whole_batch(store, octets, 0)?;
    Some((batch, usize::try_from(after.position).ok()?))
}

fn whole_batch<'a>(
    store: &StoreHeader,
    octets: &'a [u8],
    position: u64,
) -> Option<(Batch<'a>, Cursor, Chain)> {
    let head: &[u8; BATCH_HEADER_OCTETS] = octets.first_chunk()?;
    let header = low::access::<ArchivedBatchHeader, Failure>(head).ok()?;
    let length = header.length.to_native() as usize;
    let count = header.count.to_native() as usize;
    let ours = header.magic == BATCH_MAGIC
        && (1..=VERSION).contains(&header.version.to_native())
        && header.identity == store.identity;
    let needed = count
        .checked_mul(RECORD_OCTETS)?
        .checked_add(BATCH_HEADER_OCTETS)?;
    if !ours || padded(needed) != length || octets.len() < length {
        return None;
    }
    let records = octets.get(BATCH_HEADER_OCTETS..needed)?;
    let checksum = store.checksum();
    let chain = batch_checksum(head, split(records), &checksum);
    let whole = chain.0 == header.checksum.to_native()
        && split(records).all(|(partition, slot, image)| checksum.is_right(image, partition, slot));
    if !whole {
        return None;
    }
    let sequence = header.sequence.to_native();
    let after = Cursor {
        position: position + length as u64,
        sequence: sequence + 1,
        chain,
    };
    let previous = Chain(header.previous.to_native());
    let batch = Batch {
        sequence,
        position,
        records,
    };
    Some((batch, after, previous))
}
