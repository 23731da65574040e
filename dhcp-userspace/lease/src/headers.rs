//! What do the files say of themselves? The store's own file, the beginning of each table and of the
//! journal.
//!
//! Every header is there twice, 4,096 octets apart so that one torn write cannot spoil both. Of two whole
//! copies the one with the higher number counts.

use crate::format::{Checksum, VERSION, archive};
use crate::journal::{Chain, Cursor};
use core::hash::Hasher;
use core::sync::atomic::{Ordering, fence};
use rkyv::api::low;
use rkyv::rancor::Failure;
use rkyv::{Archive, Serialize};

/// Octets of one copy of a header, without the zeros up to [`COPY_DISTANCE`].
pub const HEADER_COPY_OCTETS: usize = 128;
/// From one copy to the other.
pub const COPY_DISTANCE: usize = 4_096;

const STORE_MAGIC: [u8; 8] = *b"xdhcpd\0S";
const TABLE_MAGIC: [u8; 8] = *b"xdhcpd\0T";
const JOURNAL_MAGIC: [u8; 8] = *b"xdhcpd\0J";

/// Why a file is not the one that was meant, or not to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// No copy has the magic number.
    #[error("not a lease store of xdhcpd; is `state-dir` right?")]
    NotOurs,
    /// Written by a later xdhcpd.
    #[error(
        "lease store format {found}, this xdhcpd knows formats up to {known}: run the newer one"
    )]
    Newer {
        /// The format's version.
        found: u32,
        /// The highest that this program knows.
        known: u32,
    },
    /// Both copies are damaged.
    #[error("both copies of the header are damaged: restore it from a backup")]
    Damaged,
    /// It belongs to another store, or to another partition of this one.
    #[error("this file belongs to another lease store or to another place in this one")]
    Astray,
}

/// What every header begins with.
#[derive(Archive, Serialize, Debug)]
#[rkyv(derive(Debug))]
struct Header {
    /// SipHash-1-3 over the rest; the store's own with a key of zeros, the others with the store's key.
    checksum: u64,
    magic: [u8; 8],
    version: u32,
    /// Table: its partition. Otherwise 0.
    partition: u32,
    /// Which store this is: 16 random octets.
    identity: [u8; 16],
    /// Counts how often the header was written.
    number: u64,
    body: Body,
}

/// What each sort of header says; unused octets are zero.
#[derive(Archive, Serialize, Debug)]
#[rkyv(derive(Debug))]
struct Body {
    /// Store: the checksum key. Otherwise zero.
    checksum_key: [u8; 16],
    /// Store: the spread key. Journal: position of the tail.
    first: u64,
    /// Store: partitions, then slots per segment, four octets each. Table: slots per segment. Journal:
    /// sequence of the batch at the tail.
    second: u64,
    /// Store: the epoch. Journal: checksum of the batch before the tail. Otherwise 0.
    third: u64,
    /// Zero in this version.
    reserved: [u8; 40],
}

const _: () = assert!(size_of::<ArchivedHeader>() == HEADER_COPY_OCTETS);

type Copy = [u8; HEADER_COPY_OCTETS];

/// The store's own file: who it is, its keys, its geometry. Written when the store is made, and replaced when its
/// geometry changes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StoreHeader {
    /// 16 random octets that tie the files of a store together.
    pub identity: [u8; 16],
    /// The secret of `dhcp_wire::id::spread`.
    pub spread_key: u64,
    /// The secret of all checksums, 16 random octets.
    pub checksum_key: [u8; 16],
    /// How many tables there are: a power of two.
    pub partitions: u32,
    /// Slots of every segment of a table but perhaps the last.
    pub slots_per_segment: u32,
    /// How often the tables were made anew with another geometry; their files carry it in their names.
    pub epoch: u32,
}

impl StoreHeader {
    /// Octets of the store's own file.
    pub const OCTETS: usize = 2 * COPY_DISTANCE;

    /// The contents of the store's own file.
    pub fn octets(&self) -> [u8; Self::OCTETS] {
        let header = Header {
            checksum: 0,
            magic: STORE_MAGIC,
            version: VERSION,
            partition: 0,
            identity: self.identity,
            number: 1,
            body: Body {
                checksum_key: self.checksum_key,
                first: self.spread_key,
                second: u64::from(self.slots_per_segment) << 32 | u64::from(self.partitions),
                third: u64::from(self.epoch),
                reserved: [0; 40],
            },
        };
        let copy = signed(&header, &Checksum::new([0; 16]));
        let mut octets = [0; Self::OCTETS];
        put(&mut octets, 0, &copy);
        put(&mut octets, 1, &copy);
        octets
    }

    /// Reads the store's own file.
    ///
    /// # Errors
    /// [`HeaderError`] when it is not one, newer, or damaged twice.
    pub fn read(octets: &[u8]) -> Result<Self, HeaderError> {
        let (_, header) = newest(octets, STORE_MAGIC, &Checksum::new([0; 16]))?;
        let second = header.body.second.to_native();
        let read = Self {
            identity: header.identity,
            spread_key: header.body.first.to_native(),
            checksum_key: header.body.checksum_key,
            partitions: second as u32,
            slots_per_segment: (second >> 32) as u32,
            epoch: header.body.third.to_native() as u32,
        };
        let sound = read.partitions.is_power_of_two() && read.slots_per_segment.is_power_of_two();
        sound.then_some(read).ok_or(HeaderError::Damaged)
    }

    /// Whether the store's own file is whole and of the present version: both copies of it.
    pub fn is_current(&self, octets: &[u8]) -> bool {
        octets == self.octets()
    }

    /// The checksums of this store.
    pub fn checksum(&self) -> Checksum {
        Checksum::new(self.checksum_key)
    }

    /// What pools with a random order make it from: it follows from the store's own secret, and tells nothing
    /// about it.
    pub(crate) fn order_secret(&self) -> [u64; 2] {
        [0, 1].map(|half| self.checksum().sip().word(half).finish())
    }
}

impl core::fmt::Debug for StoreHeader {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("StoreHeader")
            .field("identity", &self.identity)
            .field("partitions", &self.partitions)
            .field("slots_per_segment", &self.slots_per_segment)
            .finish_non_exhaustive()
    }
}

/// What a table's header turns out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TableHeader {
    /// As it should be.
    Whole,
    /// Of an earlier version.
    Earlier {
        /// Its number and the place of a copy that is whole.
        number: u64,
        whole: usize,
    },
    /// Never written.
    Blank,
    /// Both copies are damaged. That the slots are this store's is told by their own checksums.
    Damaged,
}

/// Checks the header of the table of `partition`. Changes nothing.
pub(crate) fn check_table(
    store: &StoreHeader,
    partition: u32,
    octets: &[u8],
) -> Result<TableHeader, HeaderError> {
    match newest(octets, TABLE_MAGIC, &store.checksum()) {
        Ok((_, found)) if found.identity != store.identity || found.partition != partition => {
            Err(HeaderError::Astray)
        }
        Ok((place, found)) if found.version.to_native() < VERSION => Ok(TableHeader::Earlier {
            number: found.number.to_native(),
            whole: place,
        }),
        Ok(_) => Ok(TableHeader::Whole),
        Err(HeaderError::NotOurs | HeaderError::Damaged) => {
            let copies = || [0, 1].into_iter().map(|place| copy(octets, place));
            // A table of another store has another key, so here it looks damaged.
            let astray = copies().flatten().all(|copy| {
                access(&copy).is_some_and(|other| {
                    other.magic == TABLE_MAGIC && is_another(store, &other.identity)
                })
            });
            if astray {
                return Err(HeaderError::Astray);
            }
            if copies().all(|copy| copy == Some([0; HEADER_COPY_OCTETS])) {
                return Ok(TableHeader::Blank);
            }
            Ok(TableHeader::Damaged)
        }
        Err(error) => Err(error),
    }
}

/// Looks at the header of the table of `partition` as it lies in its file. Whether both copies are damaged,
/// which costs nothing: the next start writes them anew.
///
/// # Errors
/// [`HeaderError`] if it is another store's or partition's, or a later program's.
pub fn judge_table(
    store: &StoreHeader,
    partition: u32,
    octets: &[u8],
) -> Result<bool, HeaderError> {
    refuse_newer(store, octets)?;
    Ok(matches!(
        check_table(store, partition, octets)?,
        TableHeader::Damaged
    ))
}

/// Writes what is not as it should be. Of an earlier version's header one copy stays whole at any moment.
pub(crate) fn mend_table(
    store: &StoreHeader,
    partition: u32,
    found: TableHeader,
    octets: &mut [u8],
) {
    let (number, first) = match found {
        TableHeader::Whole => return,
        TableHeader::Earlier { number, whole } => (number + 1, 1 - whole),
        TableHeader::Blank | TableHeader::Damaged => (1, 0),
    };
    let header = Header {
        checksum: 0,
        magic: TABLE_MAGIC,
        version: VERSION,
        partition,
        identity: store.identity,
        number,
        body: Body {
            checksum_key: [0; 16],
            first: 0,
            second: u64::from(store.slots_per_segment),
            third: 0,
            reserved: [0; 40],
        },
    };
    let copy = signed(&header, &store.checksum());
    put(octets, first, &copy);
    // The compiler must not turn the two around: the region outlives the process, whenever that dies.
    fence(Ordering::SeqCst);
    put(octets, 1 - first, &copy);
}

/// The journal's header: from where on it must be replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JournalHeader {
    pub(crate) number: u64,
    pub(crate) tail: Cursor,
}

impl JournalHeader {
    /// One copy. It goes to [`JournalHeader::offset`].
    pub(crate) fn octets(&self, store: &StoreHeader) -> Copy {
        let header = Header {
            checksum: 0,
            magic: JOURNAL_MAGIC,
            version: VERSION,
            partition: 0,
            identity: store.identity,
            number: self.number,
            body: Body {
                checksum_key: [0; 16],
                first: self.tail.position,
                second: self.tail.sequence,
                third: self.tail.chain.0,
                reserved: [0; 40],
            },
        };
        signed(&header, &store.checksum())
    }

    /// Where in the file this copy goes: the places alternate, so the one in force is never written.
    pub(crate) fn offset(&self) -> u64 {
        (self.number % 2) * COPY_DISTANCE as u64
    }

    pub(crate) fn read(store: &StoreHeader, octets: &[u8]) -> Result<Self, HeaderError> {
        let (_, header) = newest(octets, JOURNAL_MAGIC, &store.checksum()).map_err(|error| {
            match is_of_another_store(store, octets) {
                true => HeaderError::Astray,
                false => error,
            }
        })?;
        if header.identity != store.identity {
            return Err(HeaderError::Astray);
        }
        Ok(Self {
            number: header.number.to_native(),
            tail: Cursor {
                position: header.body.first.to_native(),
                sequence: header.body.second.to_native(),
                chain: Chain(header.body.third.to_native()),
            },
        })
    }
}

/// Another store's journal has another key, so here it looks damaged; but whatever copies there are name that
/// store, and no other.
fn is_of_another_store(store: &StoreHeader, octets: &[u8]) -> bool {
    let identity = |place| {
        let copy = copy(octets, place)?;
        let header = access(&copy).filter(|header| header.magic == JOURNAL_MAGIC)?;
        Some(header.identity)
    };
    let mut named = [0, 1].into_iter().filter_map(identity);
    let first = named.next();
    first.is_some_and(|first| is_another(store, &first) && named.all(|other| other == first))
}

/// Whether an identity is another store's, and not what a write that was cut short left of this one's: some of its
/// octets, and zeros.
fn is_another(store: &StoreHeader, identity: &[u8; 16]) -> bool {
    let mut octets = identity.iter().zip(&store.identity);
    !octets.all(|(found, own)| found == own || *found == 0)
}

fn signed(header: &Header, checksum: &Checksum) -> Copy {
    let mut copy: Copy = archive(header);
    let sum = sum(&copy, checksum);
    if let Some(field) = copy.first_chunk_mut::<8>() {
        *field = sum;
    }
    copy
}

fn sum(copy: &Copy, checksum: &Checksum) -> [u8; 8] {
    let mut hasher = checksum.hasher();
    hasher.write(copy.get(8..).unwrap_or_default());
    hasher.finish().to_le_bytes()
}

fn access(copy: &Copy) -> Option<&ArchivedHeader> {
    low::access::<ArchivedHeader, Failure>(copy).ok()
}

fn copy(octets: &[u8], number: usize) -> Option<Copy> {
    octets.get(number * COPY_DISTANCE..)?.first_chunk().copied()
}

fn put(octets: &mut [u8], number: usize, copy: &Copy) {
    let room = octets.get_mut(number * COPY_DISTANCE..).unwrap_or_default();
    if let Some(room) = room.first_chunk_mut() {
        *room = *copy;
    }
}

/// The whole copy with the highest number: its place and its header. A whole copy of a later version goes
/// before all others, whatever its number: a later program has begun with this file.
fn newest<'a>(
    octets: &'a [u8],
    magic: [u8; 8],
    checksum: &Checksum,
) -> Result<(usize, &'a ArchivedHeader), HeaderError> {
    let mut best: Option<(usize, &ArchivedHeader)> = None;
    let mut error = HeaderError::NotOurs;
    for place in [0, 1] {
        let copy = octets
            .get(place * COPY_DISTANCE..)
            .and_then(<[u8]>::first_chunk);
        let Some((copy, header)) = copy.and_then(|copy| Some((copy, access(copy)?))) else {
            continue;
        };
        if header.magic != magic {
            continue;
        }
        let is_whole = copy.first_chunk() == Some(&sum(copy, checksum));
        let found = header.version.to_native();
        let newer = HeaderError::Newer {
            found,
            known: VERSION,
        };
        match (found > VERSION, is_whole) {
            (true, true) => return Err(newer),
            (true, false) => error = newer,
            (false, false) if error == HeaderError::NotOurs => error = HeaderError::Damaged,
            (false, false) => {}
            (false, true) => {
                let number = |header: &ArchivedHeader| header.number.to_native();
                if best.is_none_or(|(_, best)| number(best) < number(header)) {
                    best = Some((place, header));
                }
            }
        }
    }
    best.ok_or(error)
}

/// Refuses a table or journal of which a later program has made its own, by the first octets of the file.
/// Anything else is judged when the store is opened.
///
/// # Errors
/// [`HeaderError::Newer`].
pub fn refuse_newer(store: &StoreHeader, octets: &[u8]) -> Result<(), HeaderError> {
    let judged = [TABLE_MAGIC, JOURNAL_MAGIC]
        .map(|magic| newest(octets, magic, &store.checksum()))
        .into_iter();
    let newer = |error: &HeaderError| matches!(error, HeaderError::Newer { .. });
    match judged.filter_map(Result::err).find(newer) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}
