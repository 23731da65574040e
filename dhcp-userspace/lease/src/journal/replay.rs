//! Which batches of a journal file count?

use super::mend::mended;
use super::{
    ALIGNMENT, ArchivedBatchHeader, BATCH_HEADER_OCTETS, BATCH_MAGIC, Chain, Cursor, DATA_OFFSET,
    RECORD_OCTETS, batch_checksum, padded, split,
};
use crate::format::{Image, VERSION};
use crate::headers::{HeaderError, JournalHeader, StoreHeader};
use rkyv::api::low;
use rkyv::rancor::Failure;
use std::borrow::Cow;

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

/// What was wrong with batches that had been on stable storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Damage {
    /// Batches with one wrong bit, which were read as they had been written.
    pub mended: u64,
    /// Batches that are lost, with leases that had been acknowledged.
    pub lost: u64,
}

/// A batch that was found whole.
#[derive(Clone, Debug)]
pub struct Batch<'a> {
    /// Its number.
    pub sequence: u64,
    /// Where it begins.
    pub position: u64,
    pub(super) records: Cow<'a, [u8]>,
}

impl Batch<'_> {
    /// Its records: partition, slot, image. Every image's checksum was found right.
    pub fn records(&self) -> impl Iterator<Item = (u32, u32, &Image)> {
        split(&self.records)
    }
}

/// A batch with what stands around it.
pub(super) struct Found<'a> {
    pub(super) batch: Batch<'a>,
    /// After it.
    pub(super) after: Cursor,
    /// The chain that it continues.
    previous: Chain,
    /// The number of the first batch of its group; `None`: it does not say.
    group: Option<u64>,
}

impl Found<'_> {
    /// Whether it is the one that comes next.
    pub(super) fn follows(&self, cursor: &Cursor) -> bool {
        self.batch.sequence == cursor.sequence && self.previous == cursor.chain
    }

    /// The same, of octets that stay here.
    pub(super) fn into_owned(self) -> Found<'static> {
        let Batch {
            sequence,
            position,
            records,
        } = self.batch;
        Found {
            batch: Batch {
                sequence,
                position,
                records: Cow::Owned(records.into_owned()),
            },
            after: self.after,
            previous: self.previous,
            group: self.group,
        }
    }

    /// Whether the batch with this number was on stable storage before it was written.
    fn proves(&self, sequence: u64) -> bool {
        self.group.is_some_and(|first| first > sequence)
    }
}

/// The batches that count, in order, from the tail on. Stops where the chain does, unless what follows proves
/// that it went on: then a batch was damaged, and is left out or mended.
#[derive(Clone, Debug)]
pub struct Replay<'a> {
    octets: &'a [u8],
    store: StoreHeader,
    next: Cursor,
    tail: Cursor,
    header_number: u64,
    damage: Damage,
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
        damage: Damage::default(),
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
        let found = self
            .chained()
            .or_else(|| self.mended())
            .or_else(|| self.beyond_damage())?;
        self.next = found.after;
        Some(found.batch)
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

    /// What was wrong, once this has returned `None`.
    pub fn damage(&self) -> Damage {
        self.damage
    }

    /// Whether both copies of the header are damaged, and the file is not blank.
    pub fn is_headless(&self) -> bool {
        let header = self.octets.get(..DATA_OFFSET as usize).unwrap_or_default();
        self.scan && header.iter().any(|&octet| octet != 0)
    }

    /// The writer goes back to the beginning when a batch does not fit before the end.
    fn places(&self) -> [u64; 2] {
        [self.next.position, DATA_OFFSET]
    }

    fn chained(&self) -> Option<Found<'a>> {
        let mut found = self.places().into_iter().filter_map(|at| self.batch(at));
        found.find(|found| found.follows(&self.next))
    }

    /// The next batch, if one bit of it is wrong.
    fn mended(&mut self) -> Option<Found<'a>> {
        let found = self
            .places()
            .into_iter()
            .find_map(|at| mended(&self.store, self.octets_at(at)?, at, &self.next))?;
        self.damage.mended += 1;
        Some(found)
    }

    /// The first batch after those that are missing, if they are missing by damage: a later one was written
    /// when they were on stable storage. What a power cut left of the last group proves nothing of that kind.
    fn beyond_damage(&mut self) -> Option<Found<'a>> {
        let missing = self.next.sequence;
        let places = (DATA_OFFSET..self.octets.len() as u64).step_by(ALIGNMENT);
        // What earlier rounds left is not worth a look at its records.
        let later = places.filter(|&at| self.number_at(at).is_some_and(|number| number > missing));
        let mut later: Vec<Found<'a>> = later.filter_map(|at| self.batch(at)).collect();
        later.sort_unstable_by_key(|found| found.batch.sequence);
        let first = later
            .into_iter()
            .find(|found| self.proves(found, missing))?;
        self.damage.lost += first.batch.sequence - missing;
        Some(first)
    }

    /// Whether a batch, or one that follows it, proves that one before it was on stable storage.
    fn proves(&self, found: &Found<'a>, missing: u64) -> bool {
        if found.proves(missing) {
            return true;
        }
        let mut on = Replay {
            next: found.after,
            ..self.clone()
        };
        while let Some(next) = on.chained() {
            if next.proves(missing) {
                return true;
            }
            on.next = next.after;
        }
        false
    }

    fn next_anywhere(&mut self) -> Option<Batch<'a>> {
        while self.next.position < self.octets.len() as u64 {
            let position = self.next.position;
            self.next.position += ALIGNMENT as u64;
            if let Some(Found { batch, .. }) = self.batch(position) {
                self.next.sequence = self.next.sequence.max(batch.sequence + 1);
                return Some(batch);
            }
        }
        None
    }

    /// The batch at a position if it is whole.
    fn batch(&self, position: u64) -> Option<Found<'a>> {
        let (head, rest) = self.octets_at(position)?.split_first_chunk()?;
        whole_batch(&self.store, head, rest, position)
    }

    /// The number of a batch that may be there.
    fn number_at(&self, position: u64) -> Option<u64> {
        let head: &[u8; BATCH_HEADER_OCTETS] = self.octets_at(position)?.first_chunk()?;
        let header = low::access::<ArchivedBatchHeader, Failure>(head).ok()?;
        (header.magic == BATCH_MAGIC).then(|| header.sequence.to_native())
    }

    fn octets_at(&self, position: u64) -> Option<&'a [u8]> {
        self.octets.get(usize::try_from(position).ok()?..)
    }
}

/// The batch at the beginning of `octets` if it is whole, and how many of them it takes: for a reader who
/// does not have the whole journal in memory.
pub fn first_batch<'a>(store: &StoreHeader, octets: &'a [u8]) -> Option<(Batch<'a>, usize)> {
    let (head, rest) = octets.split_first_chunk()?;
    let Found { batch, after, .. } = whole_batch(store, head, rest, 0)?;
    Some((batch, usize::try_from(after.position).ok()?))
}

/// The batch that begins with `head` and goes on with `rest`, if it is whole.
pub(super) fn whole_batch<'a>(
    store: &StoreHeader,
    head: &[u8; BATCH_HEADER_OCTETS],
    rest: &'a [u8],
    position: u64,
) -> Option<Found<'a>> {
    let header = low::access::<ArchivedBatchHeader, Failure>(head).ok()?;
    let version = header.version.to_native();
    let ours = header.magic == BATCH_MAGIC
        && (1..=VERSION).contains(&version)
        && header.identity == store.identity;
    let octets = (header.count.to_native() as usize).checked_mul(RECORD_OCTETS)?;
    let length = padded(octets.checked_add(BATCH_HEADER_OCTETS)?);
    if !ours || rest.len() < length - BATCH_HEADER_OCTETS {
        return None;
    }
    let records = rest.get(..octets)?;
    let checksum = store.checksum();
    let chain = batch_checksum(head, split(records), &checksum);
    let whole = chain.0 == header.checksum.to_native()
        && split(records).all(|(partition, slot, image)| checksum.is_right(image, partition, slot));
    if !whole {
        return None;
    }
    let sequence = header.sequence.to_native();
    let place = u64::from(header.place.to_native());
    Some(Found {
        batch: Batch {
            sequence,
            position,
            records: Cow::Borrowed(records),
        },
        after: Cursor {
            position: position + length as u64,
            sequence: sequence + 1,
            chain,
        },
        previous: Chain(header.previous.to_native()),
        group: (version > 1).then(|| sequence.saturating_sub(place)),
    })
}
