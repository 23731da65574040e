//! What need not be found out again after a stop in good order? Everything that lives in memory and follows
//! from the tables, written down beside them.
//!
//! Invariants:
//! - A snapshot counts only if it is whole, of this store, of these very files as they were when it was
//!   taken, of the journal that ended then and has nothing since, of the same pools, and not of the future.
//!   Any doubt, and the tables are judged slot by slot as after a crash: nothing is lost but time.
//! - It says what slots are for, not what is in them. A slot is trusted when its checksum was found right,
//!   at the latest when it is first read (`partition::trust`).

mod octets;
mod parts;

use crate::allocator::Pools;
use crate::binding::Timestamp;
use crate::headers::StoreHeader;
use crate::journal::{Chain, Cursor, Resume};
use crate::recovery::Crew;
use crate::sip::Sip;
use crate::store::Partitions;
use octets::{Cut, Put};
use parking_lot::Mutex;

pub(crate) use parts::Memory;

/// The version of the snapshot's own format; one of another version is not used.
const VERSION: u32 = 1;
const MAGIC: [u8; 8] = *b"xdhcpd\0M";
/// Octets of the header before the list of blocks.
const FIXED_OCTETS: usize = 104;
/// Blocks begin at multiples of this.
const ALIGNMENT: usize = 64;

/// What must be as it was for a snapshot to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circumstances {
    /// Stands for the table files as they are ([`files_digest`]).
    pub files: u64,
    /// The number of the journal's header that is in force.
    pub journal_header: u64,
    /// Where the journal begins and ends.
    pub journal: Cursor,
}

impl Circumstances {
    /// Those of a store that is being opened; `None` if its journal has anything to replay.
    fn of(files: u64, resume: &Resume) -> Option<Self> {
        (resume.next == resume.tail).then_some(Self {
            files,
            journal_header: resume.header_number,
            journal: resume.tail,
        })
    }
}

/// What stands for files: of each its size, its number, and when it and what is in it were last changed.
pub fn files_digest(store: &StoreHeader, files: &[[u64; 4]]) -> u64 {
    let words = files.iter().flatten();
    let sip = words.fold(store.checksum().sip(), |sip, &word| sip.word(word));
    sip.word(files.len() as u64).finish()
}

/// Writes down what is in memory, in one piece. Nobody may use the store any more; offers end. `None`: it is
/// in a state that only judging all slots can carry over (damaged slots, leases across changed pools, changes
/// that are not durable).
pub fn take(
    store: &StoreHeader,
    partitions: &Partitions,
    pools: &Pools,
    circumstances: &Circumstances,
    now: Timestamp,
    crew: Crew<'_>,
) -> Option<Vec<u8>> {
    let mut lengths = Vec::with_capacity(partitions.len() + 1);
    let mut all_at_rest = pools.are_plain();
    for number in 0..partitions.len() {
        let mut partition = partitions.lock(number)?;
        partition.end_offers(pools);
        all_at_rest &= partition.is_at_rest();
        lengths.push(parts::partition_octets(&partition));
    }
    lengths.push(parts::pools_octets(pools));
    if !all_at_rest {
        return None;
    }
    let header_octets = header_octets(lengths.len());
    let whole = header_octets + lengths.iter().sum::<usize>();
    let mut octets = vec![0; whole];
    let (header, blocks) = octets.split_at_mut_checked(header_octets)?;
    let seal = put_header(header, store, pools, circumstances, now, &lengths);
    let mut rest = blocks;
    let mut split = Vec::with_capacity(lengths.len());
    for length in lengths {
        let (block, after) = rest.split_at_mut_checked(length)?;
        rest = after;
        split.push(block);
    }
    let queue = Mutex::new((0usize..).zip(split));
    let work = || {
        loop {
            let next = queue.lock().next();
            let Some((number, block)) = next else { break };
            match partitions.lock(number) {
                Some(partition) => parts::put_partition(block, &partition),
                None => parts::put_pools(block, pools),
            }
            sign(block, store, seal, number);
        }
    };
    crew(&work);
    work(); // what a crew of none left undone
    Some(octets)
}

/// A snapshot whose header is whole.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    store: StoreHeader,
    octets: &'a [u8],
    circumstances: Circumstances,
    /// Stands for the files as they are now.
    files: u64,
    taken_at: Timestamp,
    pools: u64,
    seal: u64,
}

impl<'a> Snapshot<'a> {
    /// Reads what [`take`] wrote; `files` stands for the table files as they are now. `None`: its header is
    /// not whole, or another store's.
    pub fn read(store: &StoreHeader, octets: &'a [u8], files: u64) -> Option<Self> {
        let header = octets.get(..header_octets(store.partitions as usize + 1))?;
        let mut cut = Cut::new(header);
        let seal = cut.number()?;
        let ours = cut.take::<8>()? == &MAGIC
            && cut.number()? == u64::from(store.partitions) << 32 | u64::from(VERSION)
            && cut.take::<16>()? == &store.identity
            && seal == seal_of(header, store);
        let taken_at = Timestamp(cut.number()?);
        let circumstances = Circumstances {
            files: cut.number()?,
            journal_header: cut.number()?,
            journal: Cursor {
                position: cut.number()?,
                sequence: cut.number()?,
                chain: Chain(cut.number()?),
            },
        };
        let pools = cut.number()?;
        ours.then_some(Self {
            store: *store,
            octets,
            circumstances,
            files,
            taken_at,
            pools,
            seal,
        })
    }

    /// When it was taken.
    pub(crate) fn taken_at(&self) -> Timestamp {
        self.taken_at
    }

    /// Whether all is as it was when it was taken.
    pub(crate) fn fits(&self, resume: &Resume, now: Timestamp, pools: &Pools) -> bool {
        Circumstances::of(self.files, resume) == Some(self.circumstances)
            && now >= self.taken_at
            && self.pools == parts::pools_digest(pools, &self.store)
    }

    /// What a partition has in memory, if it is whole and for so many slots.
    pub(crate) fn memory(&self, partition: u32, slots: u32) -> Option<Memory> {
        parts::cut_partition(self.block(partition as usize)?, slots)
    }

    /// Sets the bits of the pools and the places where their searches go on. Whether they were whole.
    pub(crate) fn restore_pools(&self, pools: &Pools) -> bool {
        self.block(self.store.partitions as usize)
            .is_some_and(|block| parts::cut_pools(block, pools).is_some())
    }

    /// A block, if it is whole.
    fn block(&self, number: usize) -> Option<&'a [u8]> {
        let blocks = self.store.partitions as usize + 1;
        let lengths = self.octets.get(FIXED_OCTETS..header_octets(blocks))?;
        let (lengths, _) = lengths.as_chunks::<8>();
        let mut lengths = lengths.iter().map(|length| u64::from_le_bytes(*length));
        let mut start = header_octets(blocks) as u64;
        for length in lengths.by_ref().take(number) {
            start = start.checked_add(length)?;
        }
        let end = start.checked_add(lengths.next()?)?;
        let block = usize::try_from(start).ok()?..usize::try_from(end).ok()?;
        let block = self.octets.get(block)?;
        let sum = checksum(block, &self.store, self.seal, number).to_le_bytes();
        (block.first_chunk() == Some(&sum)).then_some(block)
    }
}

fn header_octets(blocks: usize) -> usize {
    (FIXED_OCTETS + 8 * blocks).next_multiple_of(ALIGNMENT)
}

/// Returns the header's checksum, which is part of that of every block: so no block of another snapshot
/// passes for one of this.
fn put_header(
    header: &mut [u8],
    store: &StoreHeader,
    pools: &Pools,
    circumstances: &Circumstances,
    now: Timestamp,
    lengths: &[usize],
) -> u64 {
    let Cursor {
        position,
        sequence,
        chain,
    } = circumstances.journal;
    let mut put = Put::new(header);
    put.number(0);
    put.octets(&MAGIC);
    put.number(u64::from(store.partitions) << 32 | u64::from(VERSION));
    put.octets(&store.identity);
    put.number(now.0);
    put.number(circumstances.files);
    put.number(circumstances.journal_header);
    put.number(position);
    put.number(sequence);
    put.number(chain.0);
    put.number(parts::pools_digest(pools, store));
    put.number(0);
    for &length in lengths {
        put.number(length as u64);
    }
    let seal = seal_of(header, store);
    if let Some(place) = header.first_chunk_mut() {
        *place = seal.to_le_bytes();
    }
    seal
}

fn seal_of(header: &[u8], store: &StoreHeader) -> u64 {
    let covered = header.get(8..).unwrap_or_default();
    store.checksum().sip().last(0, covered).finish()
}

fn checksum(block: &[u8], store: &StoreHeader, seal: u64, number: usize) -> u64 {
    let sip: Sip = store.checksum().sip().word(seal).word(number as u64);
    sip.last(16, block.get(8..).unwrap_or_default()).finish()
}

fn sign(block: &mut [u8], store: &StoreHeader, seal: u64, number: usize) {
    let sum = checksum(block, store, seal, number).to_le_bytes();
    if let Some(place) = block.first_chunk_mut() {
        *place = sum;
    }
}
