//! Entries in blocks: how they are written one behind the other, sealed, and read again.

use super::entry::{Entry, Event, Gap, Mark};
use super::octets::{Cursor, put_counted, put_difference, put_number};
use super::tracker::Tracker;
use super::{Hash, SegmentHeader};
use crate::binding::Timestamp;

const MAGIC: [u8; 4] = *b"xdHB";
/// Octets of a block before its entries.
pub(super) const HEADER_OCTETS: usize = 96;
/// Octets of a block after its generations: its hash.
pub(super) const HASH_OCTETS: usize = 32;
/// The largest block. A writer seals long before that.
pub const BLOCK_OCTETS_MAX: usize = 1 << 20;
/// The shortest: no entry, no generations.
pub(super) const BLOCK_OCTETS_MIN: usize = HEADER_OCTETS + HASH_OCTETS;

const KIND_EXTENDED: u8 = 0x10;
/// How many entries a writer remembers, to refer to them. Those of more leases than that are written as
/// a whole again and again.
const REMEMBERED: usize = 1 << 17;

/// Where an entry is in its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    /// Which block, from 0.
    pub block: u32,
    /// Octets from the beginning of the block's entries.
    pub offset: u32,
}

/// What lies between two places of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// An entry that says everything.
    Full(Entry),
    /// The same lease of the same holder, extended.
    Extended {
        /// When.
        time: Timestamp,
        /// Until when.
        expires: Timestamp,
        /// The number of the commit.
        generation: u64,
        /// Where the entry is that says the rest.
        whole: Place,
    },
    /// Something is missing.
    Gap(Gap),
    /// Something happened to the history.
    Mark(Mark),
    /// A later version wrote something that this one does not know.
    Unknown(u8),
}

impl Record {
    /// The entry, with the rest taken from the whole one that it refers to.
    pub fn entry(&self, find: impl FnOnce(Place) -> Option<Entry>) -> Option<Entry> {
        match self {
            Self::Full(entry) => Some(entry.clone()),
            Self::Extended {
                time,
                expires,
                generation,
                whole,
            } => Some(Entry {
                time: *time,
                event: Event::Leased,
                expires: *expires,
                generation: *generation,
                ..find(*whole)?
            }),
            Self::Gap(_) | Self::Mark(_) | Self::Unknown(_) => None,
        }
    }
}

/// A block that was found whole.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// Its number, from the beginning of the history.
    pub number: u64,
    /// The hash of what comes before it.
    pub previous: Hash,
    /// Its own.
    pub hash: Hash,
    /// The journal's batches before this one are in the history.
    pub position: u64,
    /// The earliest time that is told of.
    pub first: Timestamp,
    /// The latest.
    pub last: Timestamp,
    /// Octets, all in all.
    pub length: usize,
    base: u64,
    count: u32,
    entries: &'a [u8],
    generations: &'a [u8],
}

impl<'a> Block<'a> {
    /// The block at the beginning of `octets`, if there is a whole one: its own hash is right.
    pub fn parse(octets: &'a [u8]) -> Option<Self> {
        let block = Self::parse_trusted(octets)?;
        let hashed = octets.get(..block.length - HASH_OCTETS)?;
        (Hash::of(hashed) == block.hash).then_some(block)
    }

    /// As [`Block::parse`], of octets whose hash was found right before.
    pub fn parse_trusted(octets: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor(octets);
        (cursor.array()? == MAGIC).then_some(())?;
        let length = cursor.u32()? as usize;
        if !(BLOCK_OCTETS_MIN..=BLOCK_OCTETS_MAX).contains(&length) {
            return None;
        }
        let number = cursor.u64()?;
        let previous = Hash(cursor.array()?);
        let position = cursor.u64()?;
        let base = cursor.u64()?;
        let (first, last) = (cursor.u64()?, cursor.u64()?);
        let entries_octets = cursor.u32()? as usize;
        let count = cursor.u32()?;
        let reserved = cursor.u64()?;
        let entries = cursor.octets(entries_octets)?;
        let generations = cursor.octets(length.checked_sub(BLOCK_OCTETS_MIN + entries_octets)?)?;
        let hash = Hash(cursor.array()?);
        (reserved == 0).then_some(Self {
            number,
            previous,
            hash,
            position,
            first: Timestamp(first),
            last: Timestamp(last),
            length,
            base,
            count,
            entries,
            generations,
        })
    }

    /// Everything in it, in order, with the place of each in the block. Ends early if it makes no sense;
    /// see [`Block::is_sound`].
    pub fn records(&self) -> impl Iterator<Item = (u32, Record)> + use<'a> {
        let (base, all) = (self.base, self.entries.len());
        let mut cursor = Cursor(self.entries);
        std::iter::from_fn(move || {
            let offset = (all - cursor.0.len()) as u32;
            let octets = cursor.counted()?;
            Some((offset, take(octets, base)?))
        })
    }

    /// What lies at a place of the block.
    pub fn record_at(&self, offset: u32) -> Option<Record> {
        let mut cursor = Cursor(self.entries.get(offset as usize..)?);
        take(cursor.counted()?, self.base)
    }

    /// Whether everything in it can be read. A hash proves that nothing was changed, not that it was
    /// written by a program that knows the format.
    pub fn is_sound(&self) -> bool {
        let mut cursor = Cursor(self.entries);
        let mut count = 0u32;
        while let Some(octets) = cursor.counted() {
            if take(octets, self.base).is_none() {
                return false;
            }
            count += 1;
        }
        cursor.0.is_empty() && count == self.count
    }

    /// Takes over which commits are in the history. Whether that made sense.
    pub fn tell(&self, tracker: &mut Tracker) -> bool {
        tracker.take(&mut Cursor(self.generations)).is_some()
    }
}

fn take(octets: &[u8], base: u64) -> Option<Record> {
    let mut cursor = Cursor(octets);
    let kind = cursor.octet()?;
    if let Some(event) = Event::of_octet(kind) {
        return Entry::take(event, &mut cursor, base).map(Record::Full);
    }
    let record = match kind {
        KIND_EXTENDED => {
            let time = cursor.difference(base)?;
            Record::Extended {
                time: Timestamp(time),
                generation: cursor.number()?,
                expires: Timestamp(cursor.difference(time)?),
                whole: Place {
                    block: cursor.number32()?,
                    offset: cursor.number32()?,
                },
            }
        }
        _ => {
            let gap = Gap::take(kind, &mut cursor.clone(), base).map(Record::Gap);
            let mark = || Mark::take(kind, &mut cursor, base).map(Record::Mark);
            return Some(gap.or_else(mark).unwrap_or(Record::Unknown(kind)));
        }
    };
    cursor.0.is_empty().then_some(record)
}

#[derive(Clone, Copy, Debug, Default)]
struct Remembered {
    identity: [u8; 16],
    whole: Place,
}

/// Writes the blocks of a history, one segment after the other.
#[derive(Debug)]
pub struct BlockWriter {
    number: u64,
    /// Of the segment: how many blocks it has.
    ordinal: u32,
    previous: Hash,
    base: u64,
    first: u64,
    last: u64,
    count: u32,
    entries: Vec<u8>,
    one: Vec<u8>,
    remembered: Vec<Remembered>,
}

impl BlockWriter {
    /// Goes on in a new segment, with an empty block.
    pub fn new(header: &SegmentHeader) -> Self {
        Self {
            number: header.first_block,
            ordinal: 0,
            previous: header.hash(),
            base: 0,
            first: u64::MAX,
            last: 0,
            count: 0,
            entries: Vec::new(),
            one: Vec::new(),
            remembered: vec![Remembered::default(); REMEMBERED],
        }
    }

    /// The hash of the last sealed block, or of the segment's header.
    pub fn hash(&self) -> Hash {
        self.previous
    }

    /// The number of the next block to be sealed.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// How many blocks of this segment are sealed.
    pub fn sealed(&self) -> u32 {
        self.ordinal
    }

    /// Whether nothing was pushed since the last seal.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Octets of entries that wait to be sealed.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Adds an entry: as a whole, or, if the segment has one that differs in its times only, in short.
    pub fn push(&mut self, entry: &Entry) {
        self.begin(entry.time);
        let identity = entry.identity();
        let [low, ..] = identity.as_chunks::<8>().0 else {
            return;
        };
        let place = u64::from_le_bytes(*low) as usize % REMEMBERED;
        let remembered = self.remembered.get(place).copied().unwrap_or_default();
        self.one.clear();
        if entry.event == Event::Leased && remembered.identity == identity {
            self.one.push(KIND_EXTENDED);
            put_difference(&mut self.one, entry.time.0, self.base);
            put_number(&mut self.one, entry.generation);
            put_difference(&mut self.one, entry.expires.0, entry.time.0);
            put_number(&mut self.one, u64::from(remembered.whole.block));
            put_number(&mut self.one, u64::from(remembered.whole.offset));
        } else {
            entry.put(&mut self.one, self.base);
            let whole = Place {
                block: self.ordinal,
                offset: self.entries.len() as u32,
            };
            if let Some(room) = self.remembered.get_mut(place) {
                *room = Remembered { identity, whole };
            }
        }
        self.end(entry.time);
    }

    /// Adds that something is missing.
    pub fn push_gap(&mut self, gap: &Gap) {
        self.begin(gap.from);
        self.one.clear();
        gap.put(&mut self.one, self.base);
        self.end(gap.from);
        self.last = self.last.max(gap.to.0);
    }

    /// Adds what happened to the history.
    pub fn push_mark(&mut self, mark: &Mark) {
        self.begin(mark.time());
        self.one.clear();
        mark.put(&mut self.one, self.base);
        self.end(mark.time());
    }

    fn begin(&mut self, time: Timestamp) {
        if self.count == 0 {
            self.base = time.0;
        }
    }

    fn end(&mut self, time: Timestamp) {
        put_counted(&mut self.entries, &self.one);
        self.count += 1;
        self.first = self.first.min(time.0);
        self.last = self.last.max(time.0);
    }

    /// Appends the block with everything that was pushed. `position` is how far the journal is in the
    /// history with it; the tracker has its commits.
    pub fn seal(&mut self, position: u64, tracker: &mut Tracker, into: &mut Vec<u8>) {
        let mut generations = std::mem::take(&mut self.one);
        generations.clear();
        tracker.put(&mut generations, self.ordinal == 0);
        let length = BLOCK_OCTETS_MIN + self.entries.len() + generations.len();
        assert!(
            length <= BLOCK_OCTETS_MAX,
            "a history block of {length} octets"
        );
        let start = into.len();
        into.extend_from_slice(&MAGIC);
        into.extend_from_slice(&(length as u32).to_le_bytes());
        into.extend_from_slice(&self.number.to_le_bytes());
        into.extend_from_slice(&self.previous.0);
        for number in [position, self.base, self.first, self.last] {
            into.extend_from_slice(&number.to_le_bytes());
        }
        into.extend_from_slice(&(self.entries.len() as u32).to_le_bytes());
        into.extend_from_slice(&self.count.to_le_bytes());
        into.extend_from_slice(&0u64.to_le_bytes());
        into.extend_from_slice(&self.entries);
        into.extend_from_slice(&generations);
        self.previous = Hash::of(into.get(start..).unwrap_or_default());
        into.extend_from_slice(&self.previous.0);
        self.one = generations;
        self.entries.clear();
        self.count = 0;
        (self.first, self.last) = (u64::MAX, 0);
        self.number += 1;
        self.ordinal += 1;
    }
}
