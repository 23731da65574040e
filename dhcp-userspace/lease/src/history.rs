//! Who had this address at that second? The lease history: entries in hash-chained blocks in segments.
//!
//! Only the format and what can be said from it, over plain octets; the shell has the files and the
//! thread. Every octet is in docs/history-format.md. Invariants:
//! - An entry is written once: what the journal or the tables tell again is known by partition and
//!   generation ([`Tracker`]).
//! - A block names the SHA-256 of what comes before it, so nothing can be changed, left out or put in
//!   between without changing the hash of everything that follows.
//! - A segment can be understood alone: what an entry refers to lies in the same segment.

mod block;
mod entry;
mod index;
mod octets;
mod records;
mod segment;
mod timeline;
mod tracker;

pub use block::{BLOCK_OCTETS_MAX, Block, BlockWriter, Place, Record};
pub use entry::{Entry, Event, Gap, Holder, Item, Mark, Reason};
pub use index::{Index, IndexBroken, ReadAt, build as build_index};
pub use records::{Recorded, count_generations, for_each as for_each_entry};
pub use segment::{
    Broken, Fault, SEGMENT_HEADER_OCTETS, SegmentHeader, Walk, has_whole_block_after,
};
pub use timeline::{Ending, Holding, Scope, holdings};
pub use tracker::Tracker;

use sha2::{Digest, Sha256};

/// The version of segments and indexes. A later one is refused.
pub const VERSION: u32 = 1;

/// A SHA-256, by which the chain goes on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Of some octets.
    pub fn of(octets: &[u8]) -> Self {
        Self(Sha256::digest(octets).into())
    }
}

impl core::fmt::Display for Hash {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl core::fmt::Debug for Hash {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests;
