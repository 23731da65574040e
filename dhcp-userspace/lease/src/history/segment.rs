//! Segments: a header, then blocks, each chained to what comes before it.

use super::block::{BLOCK_OCTETS_MIN, Block};
use super::octets::Cursor;
use super::tracker::Tracker;
use super::{Hash, VERSION};
use crate::binding::Timestamp;

const MAGIC: [u8; 8] = *b"xdhcpd\0H";
/// Octets of a segment's header.
pub const SEGMENT_HEADER_OCTETS: usize = 136;

/// How a segment begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The store that it tells of.
    pub identity: [u8; 16],
    /// Its number, from 1.
    pub number: u64,
    /// When it was begun.
    pub created: Timestamp,
    /// The hash of the last block that counts in the segment before; zeros in the first.
    pub previous: Hash,
    /// Octets of the segment before that count: what may lie after them was being written in a crash.
    pub previous_octets: u64,
    /// The number of its first block.
    pub first_block: u64,
    /// Partitions of the store.
    pub partitions: u32,
}

impl SegmentHeader {
    /// As it lies in the file.
    pub fn octets(&self) -> [u8; SEGMENT_HEADER_OCTETS] {
        let mut octets = Vec::with_capacity(SEGMENT_HEADER_OCTETS);
        octets.extend_from_slice(&MAGIC);
        octets.extend_from_slice(&VERSION.to_le_bytes());
        octets.extend_from_slice(&self.partitions.to_le_bytes());
        octets.extend_from_slice(&self.identity);
        octets.extend_from_slice(&self.number.to_le_bytes());
        octets.extend_from_slice(&self.created.0.to_le_bytes());
        octets.extend_from_slice(&self.previous.0);
        octets.extend_from_slice(&self.previous_octets.to_le_bytes());
        octets.extend_from_slice(&self.first_block.to_le_bytes());
        octets.extend_from_slice(&[0; 8]);
        let hash = Hash::of(&octets);
        octets.extend_from_slice(&hash.0);
        octets.try_into().unwrap_or([0; SEGMENT_HEADER_OCTETS])
    }

    /// The header's own hash, from which the chain goes on.
    pub fn hash(&self) -> Hash {
        let octets = self.octets();
        Hash(octets.last_chunk().copied().unwrap_or_default())
    }

    /// Reads the beginning of a segment.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(octets: &[u8]) -> Result<Self, Fault> {
        let mut cursor = Cursor(octets);
        if cursor.array() != Some(MAGIC) {
            return Err(Fault::NoSegment);
        }
        match cursor.u32() {
            Some(VERSION) => {}
            Some(version) => return Err(Fault::Version(version)),
            None => return Err(Fault::NoSegment),
        }
        Self::take(&mut cursor)
            .filter(|header| octets.get(..SEGMENT_HEADER_OCTETS) == Some(&header.octets()))
            .ok_or(Fault::Header)
    }

    fn take(cursor: &mut Cursor<'_>) -> Option<Self> {
        let partitions = cursor.u32()?;
        Some(Self {
            partitions,
            identity: cursor.array()?,
            number: cursor.u64()?,
            created: Timestamp(cursor.u64()?),
            previous: Hash(cursor.array()?),
            previous_octets: cursor.u64()?,
            first_block: cursor.u64()?,
        })
    }
}

/// What is wrong with a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The file does not begin as a segment does.
    #[error("this is no segment of a lease history")]
    NoSegment,
    /// A later program wrote it.
    #[error(
        "written in version {0} of the format, this program reads {VERSION}: use the newer program"
    )]
    Version(u32),
    /// The header's hash is wrong.
    #[error("the segment's header is damaged or was changed")]
    Header,
    /// What should be a block is none, or its hash is wrong.
    #[error("block {0} is damaged, was changed, or is cut off")]
    Block(u64),
    /// A whole block, but not the one that belongs here.
    #[error(
        "block {0} does not continue the chain: something before it was changed, removed or put in"
    )]
    Chain(u64),
    /// A whole block in its place whose contents make no sense.
    #[error("block {0} holds what this program does not understand")]
    Contents(u64),
}

/// A fault and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("octet {offset}: {fault}")]
pub struct Broken {
    /// Octets from the beginning of the segment.
    pub offset: usize,
    /// What is wrong.
    pub fault: Fault,
}

/// Goes through the blocks of a segment as long as the chain holds.
#[derive(Clone, Debug)]
pub struct Walk<'a> {
    /// The segment's header.
    pub header: SegmentHeader,
    octets: &'a [u8],
    offset: usize,
    ordinal: u32,
    number: u64,
    previous: Hash,
    tracker: Tracker,
    position: u64,
    is_over: bool,
}

impl<'a> Walk<'a> {
    /// Begins with a segment's header.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(octets: &'a [u8]) -> Result<Self, Broken> {
        let header = SegmentHeader::read(octets).map_err(|fault| Broken { offset: 0, fault })?;
        Ok(Self {
            header,
            octets,
            offset: SEGMENT_HEADER_OCTETS,
            ordinal: 0,
            number: header.first_block,
            previous: header.hash(),
            tracker: Tracker::new(header.partitions.min(1 << 16)),
            position: 0,
            is_over: false,
        })
    }

    /// Octets of the header and of the blocks so far.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The hash of the last block so far, or of the header.
    pub fn hash(&self) -> Hash {
        self.previous
    }

    /// The number of the block that comes next.
    pub fn next_number(&self) -> u64 {
        self.number
    }

    /// How far the journal is in the history, as of the last block; `None` before the first.
    pub fn position(&self) -> Option<u64> {
        (self.ordinal > 0).then_some(self.position)
    }

    /// The commits in the history, as of the last block.
    pub fn tracker(&self) -> &Tracker {
        &self.tracker
    }

    fn step(&mut self) -> Result<Option<(u32, Block<'a>)>, Fault> {
        let rest = self.octets.get(self.offset..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(None);
        }
        let block = Block::parse(rest).ok_or(Fault::Block(self.number))?;
        if block.number != self.number || block.previous != self.previous {
            return Err(Fault::Chain(self.number));
        }
        if !block.is_sound() || !block.tell(&mut self.tracker) {
            return Err(Fault::Contents(self.number));
        }
        let ordinal = self.ordinal;
        self.offset += block.length;
        self.ordinal += 1;
        self.number += 1;
        self.previous = block.hash;
        self.position = block.position;
        Ok(Some((ordinal, block)))
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Result<(u32, Block<'a>), Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let offset = self.offset;
        let step = self.step();
        self.is_over = !matches!(step, Ok(Some(_)));
        step.map_err(|fault| Broken { offset, fault }).transpose()
    }
}

/// Whether a whole block lies anywhere after `offset`: then what is there was not cut off by a crash, for
/// nothing is written after a block before that block is written, but damaged or changed.
pub fn has_whole_block_after(octets: &[u8], offset: usize) -> bool {
    let rest = octets.get(offset + 1..).unwrap_or_default();
    let last = rest.len().saturating_sub(BLOCK_OCTETS_MIN - 1);
    (0..last).any(|start| {
        let block = rest.get(start..).filter(|rest| rest.starts_with(b"xdHB"));
        block.is_some_and(|block| Block::parse(block).is_some())
    })
}
