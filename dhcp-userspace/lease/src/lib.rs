//! Who holds which address, until when?
//!
//! Lease tables, journal and allocators over plain regions of octets: no files, no clock, no threads.
//! Invariants:
//! - The table holds only what was promised to a client and is durable; offers live in memory.
//! - An address or prefix of a pool is held by at most one binding or offer: its bit in [`Pools`] is
//!   claimed before a record names it, and given back only after the record that lets go is durable.
//! - A thread holds at most one partition lock.
#![forbid(unsafe_code)]

pub mod allocator;
pub mod binding;
pub mod clock;
pub mod context;
pub mod counts;
pub mod format;
pub mod geometry;
pub mod headers;
pub mod history;
pub mod journal;
pub mod offers;
pub mod partition;
pub mod reader;
pub mod recovery;
pub mod snapshot;
pub mod store;
pub mod table;
pub mod wheel;

mod declines;
mod directory;
mod index;
mod overlay;
mod sip;
mod strikes;
mod sync;

pub use allocator::{Allocator, Claim, Pool, PoolCounts, PoolIndex, PoolRange, Pools};
pub use binding::{
    Binding, GRACE_SECONDS, Key, Lease, LeaseKind, State, SubnetId, Terms, Timestamp,
};
pub use context::{Context, ItemKind};
pub use counts::{Bound, Limited, Limits, TAGS_MAX, Tag, Tags};
pub use declines::DECLINES_MAX;
pub use directory::{NotFiled, Sought, remote_id, sub_option};
pub use headers::{HeaderError, StoreHeader};
pub use journal::{ChangeLog, Journal};
pub use offers::Offer;
pub use partition::{
    NotCommitted, Occupancy, Partition, Room, SEEK_ENTRIES_MAX, SlotNumber, TableFull, Ticked,
};
pub use recovery::{OpenError, Opening, Recovery, TableRegions};
pub use store::{Durability, Partitions};
pub use table::Region;
