//! Where in a segment is an address? Sorted, so that nothing has to be read but what is asked for.
//!
//! An index can be made anew from its segment at any time, octet for octet; it proves nothing.

use super::block::{Place, Record};
use super::octets::{Cursor, put_number};
use super::segment::{Broken, Walk};
use super::timeline::Scope;
use super::{Hash, VERSION};
use crate::binding::{Lease, LeaseKind};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::collections::HashMap;

const MAGIC: [u8; 8] = *b"xdhcpd\0I";
const HEADER_OCTETS: usize = 128;
const ROW_OCTETS: usize = 24;
const BLOCK_OCTETS: usize = 4;
/// One bit for each length that a delegated prefix can have.
const LENGTHS_OCTETS: usize = 17;

/// A lease in the order of the index: kind, address, length.
type Key = (u8, [u8; 16], u8);

/// The row of everything that tells of no lease: gaps and marks.
const OTHERS: Key = (0, [0; 16], 0);

fn key(lease: Lease) -> Key {
    let octets = match lease.address() {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(address) => address.octets(),
    };
    let length = match lease {
        Lease::Prefix(_, length) => length,
        Lease::V4(_) | Lease::Address(_) => 0,
    };
    (lease.kind() as u8, octets, length)
}

/// What makes an index useless; make it anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the index is damaged, or another segment's")]
pub struct IndexBroken;

/// Makes the index of a segment from as many of its octets as count.
///
/// # Errors
/// The first fault of the segment.
pub fn build(segment: &[u8]) -> Result<Vec<u8>, Broken> {
    let mut walk = Walk::new(segment)?;
    let mut whole: HashMap<Place, Lease> = HashMap::new();
    let mut found: Vec<(Key, Place)> = Vec::new();
    let mut starts: Vec<u32> = Vec::new();
    loop {
        let start = walk.offset() as u32;
        let Some(step) = walk.next() else { break };
        let (ordinal, block) = step?;
        starts.push(start);
        for (offset, record) in block.records() {
            let place = Place {
                block: ordinal,
                offset,
            };
            let key = match record {
                Record::Full(entry) => {
                    whole.insert(place, entry.lease);
                    Some(key(entry.lease))
                }
                Record::Extended { whole: at, .. } => whole.get(&at).copied().map(key),
                Record::Gap(_) | Record::Mark(_) => Some(OTHERS),
                Record::Unknown(_) => None,
            };
            found.extend(key.map(|key| (key, place)));
        }
    }
    drop(whole);
    found.sort_unstable();
    Ok(write(walk.hash(), &starts, &found))
}

fn write(hash: Hash, starts: &[u32], found: &[(Key, Place)]) -> Vec<u8> {
    let mut rows = Vec::new();
    let mut postings = Vec::new();
    let mut lengths = [0u8; LENGTHS_OCTETS];
    let mut count = 0u32;
    for group in found.chunk_by(|(one, _), (other, _)| one == other) {
        let Some(((kind, address, length), _)) = group.first() else {
            continue;
        };
        if *kind == LeaseKind::Prefix as u8
            && let Some(octet) = lengths.get_mut(usize::from(length / 8))
        {
            *octet |= 1 << (length % 8);
        }
        rows.extend_from_slice(address);
        rows.extend_from_slice(&[*kind, *length, 0, 0]);
        rows.extend_from_slice(&(postings.len() as u32).to_le_bytes());
        count += 1;
        put_number(&mut postings, group.len() as u64);
        let mut block = 0;
        for (_, place) in group {
            put_number(&mut postings, u64::from(place.block - block));
            put_number(&mut postings, u64::from(place.offset));
            block = place.block;
        }
    }
    let mut octets = Vec::with_capacity(HEADER_OCTETS + rows.len() + postings.len());
    octets.extend_from_slice(&MAGIC);
    octets.extend_from_slice(&VERSION.to_le_bytes());
    octets.extend_from_slice(&(starts.len() as u32).to_le_bytes());
    octets.extend_from_slice(&count.to_le_bytes());
    octets.extend_from_slice(&(postings.len() as u32).to_le_bytes());
    octets.extend_from_slice(&hash.0);
    octets.extend_from_slice(&lengths);
    octets.resize(HEADER_OCTETS, 0);
    for start in starts {
        octets.extend_from_slice(&start.to_le_bytes());
    }
    octets.extend_from_slice(&rows);
    octets.extend_from_slice(&postings);
    octets
}

/// Octets that can be read anywhere: an index in memory, or in a file of which little is wanted.
pub trait ReadAt {
    /// How many octets there are.
    fn octets(&self) -> u64;

    /// Reads as many octets as there is room for. `None`: there are not so many, or they cannot be read.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Option<()>;
}

impl ReadAt for &[u8] {
    fn octets(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Option<()> {
        let start = usize::try_from(offset).ok()?;
        let octets = self.get(start..start.checked_add(into.len())?)?;
        into.copy_from_slice(octets);
        Some(())
    }
}

/// An index, of which as much is read as is asked for.
#[derive(Clone, Debug)]
pub struct Index<S> {
    source: S,
    hash: Hash,
    lengths: [u8; LENGTHS_OCTETS],
    starts: u32,
    rows: u32,
    postings: u32,
}

impl<S: ReadAt> Index<S> {
    /// Reads the beginning of an index.
    ///
    /// # Errors
    /// [`IndexBroken`].
    pub fn read(source: S) -> Result<Self, IndexBroken> {
        Self::take(source).ok_or(IndexBroken)
    }

    fn take(source: S) -> Option<Self> {
        let mut header = [0; HEADER_OCTETS];
        source.read_at(0, &mut header)?;
        let mut cursor = Cursor(&header);
        let is_ours = cursor.array() == Some(MAGIC) && cursor.u32() == Some(VERSION);
        is_ours.then_some(())?;
        let (starts, rows, postings) = (cursor.u32()?, cursor.u32()?, cursor.u32()?);
        let hash = Hash(cursor.array()?);
        let lengths = cursor.array()?;
        let this = Self {
            source,
            hash,
            lengths,
            starts,
            rows,
            postings,
        };
        let octets = this.postings_offset() + u64::from(postings);
        (this.source.octets() == octets).then_some(this)
    }

    fn rows_offset(&self) -> u64 {
        HEADER_OCTETS as u64 + u64::from(self.starts) * BLOCK_OCTETS as u64
    }

    fn postings_offset(&self) -> u64 {
        self.rows_offset() + u64::from(self.rows) * ROW_OCTETS as u64
    }

    /// The hash of the last block of the segment that it was made from.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Octets from the beginning of the segment to a block.
    pub fn start(&self, block: u32) -> Option<u64> {
        (block < self.starts).then_some(())?;
        let mut start = [0; BLOCK_OCTETS];
        let offset = HEADER_OCTETS as u64 + u64::from(block) * BLOCK_OCTETS as u64;
        self.source.read_at(offset, &mut start)?;
        Some(u64::from(u32::from_le_bytes(start)))
    }

    /// The leases that are asked for, each with the places of its entries, in their order. `None`: the
    /// index is damaged.
    pub fn find(&self, scope: &Scope) -> Option<Vec<(Lease, Vec<Place>)>> {
        let ranges = scope.ranges(|length| {
            let octet = self.lengths.get(usize::from(length / 8));
            octet.is_some_and(|octet| octet & 1 << (length % 8) != 0)
        });
        let mut found = Vec::new();
        for (first, last) in ranges {
            let (first, last) = (key(first), key(last));
            let mut number = self.first_from(first)?;
            while number < self.rows {
                let row = self.row(number)?;
                if row_key(&row) > last {
                    break;
                }
                let lease = row_lease(&row)?;
                if scope.has(lease) {
                    found.push((lease, self.places(number, &row)?));
                }
                number += 1;
            }
        }
        Some(found)
    }

    /// The places of gaps and marks, in their order. `None`: the index is damaged.
    pub fn others(&self) -> Option<Vec<Place>> {
        if self.rows == 0 {
            return Some(Vec::new());
        }
        let row = self.row(0)?;
        if row_key(&row) == OTHERS {
            self.places(0, &row)
        } else {
            Some(Vec::new())
        }
    }

    fn row(&self, number: u32) -> Option<[u8; ROW_OCTETS]> {
        let mut row = [0; ROW_OCTETS];
        let offset = self.rows_offset() + u64::from(number) * ROW_OCTETS as u64;
        self.source.read_at(offset, &mut row)?;
        Some(row)
    }

    /// The first row that is not before `wanted`.
    fn first_from(&self, wanted: Key) -> Option<u32> {
        let (mut low, mut high) = (0, self.rows);
        while low < high {
            let middle = low + (high - low) / 2;
            if row_key(&self.row(middle)?) < wanted {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Some(low)
    }

    /// The postings of a row end where those of the next one begin.
    fn places(&self, number: u32, row: &[u8; ROW_OCTETS]) -> Option<Vec<Place>> {
        let start = postings_of(row)?;
        let end = match number + 1 < self.rows {
            true => postings_of(&self.row(number + 1)?)?,
            false => self.postings,
        };
        (start <= end && end <= self.postings).then_some(())?;
        let mut octets = vec![0; (end - start) as usize];
        let offset = self.postings_offset() + u64::from(start);
        self.source.read_at(offset, &mut octets)?;
        let mut cursor = Cursor(&octets);
        let count = cursor.number()?;
        let mut block = 0u32;
        let mut places = Vec::new();
        for _ in 0..count {
            block = block.checked_add(cursor.number32()?)?;
            let offset = cursor.number32()?;
            places.push(Place { block, offset });
        }
        cursor.0.is_empty().then_some(places)
    }
}

fn postings_of(row: &[u8; ROW_OCTETS]) -> Option<u32> {
    row.last_chunk().copied().map(u32::from_le_bytes)
}

fn row_key(row: &[u8; ROW_OCTETS]) -> Key {
    let mut cursor = Cursor(row);
    let address = cursor.array().unwrap_or_default();
    let kind = cursor.octet().unwrap_or_default();
    (kind, address, cursor.octet().unwrap_or_default())
}

fn row_lease(row: &[u8; ROW_OCTETS]) -> Option<Lease> {
    let (kind, address, length) = row_key(row);
    let [a, b, c, d, ..] = address;
    match kind {
        4 => Some(Lease::V4(Ipv4Addr::new(a, b, c, d))),
        6 => Some(Lease::Address(Ipv6Addr::from(address))),
        7 => Some(Lease::Prefix(Ipv6Addr::from(address), length)),
        _ => None,
    }
}
