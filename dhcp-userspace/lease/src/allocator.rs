//! The search for a free address or prefix: per pool one hierarchical bitmap of atomics, shared by all
//! partitions, so that any pool hands out its every last address whatever the number of workers.
//!
//! Invariants:
//! - A lease whose bit is set belongs to exactly one holder: a binding, an offer, a caller in between,
//!   or a record that lets go and is not durable yet.
//! - A pool that this configuration made new hands out nothing before [`Pools::open_pool`], because its
//!   bits do not yet tell who holds what.

mod bitmap;

use crate::binding::{Lease, LeaseKind};
use bitmap::Bitmap;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::collections::HashMap;
use std::sync::Arc;

/// A range to allocate from, as configured. Ranges do not overlap (the configuration checks that).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolRange {
    /// First lease: an address, or the first delegated prefix (its length is the delegated length).
    pub first: Lease,
    /// How many addresses, or prefixes of that length. At most [`PoolRange::COUNT_MAX`].
    pub count: u64,
}

impl PoolRange {
    /// Bound on one pool: 2^24 leases, the whole of a /8 (2 MiB of bitmap). What lies beyond in a larger
    /// IPv6 range is not handed out.
    pub const COUNT_MAX: u64 = 1 << 24;

    /// The lease at an offset.
    fn lease(&self, offset: u64) -> Option<Lease> {
        let Place { class, number } = Place::of(self.first);
        let number = number.checked_add(u128::from(offset))?;
        Some(match class.kind() {
            LeaseKind::V4 => Lease::V4(Ipv4Addr::from(u32::try_from(number).ok()?)),
            LeaseKind::Address => Lease::Address(Ipv6Addr::from(number)),
            LeaseKind::Prefix => {
                let address = number << (128 - u32::from(class.length().clamp(1, 128)));
                Lease::Prefix(Ipv6Addr::from(address), class.length())
            }
        })
    }

    /// The range cut to what a pool can be and to the end of the address space.
    fn bounded(self) -> Self {
        let Place { class, number } = Place::of(self.first);
        let space = match class.kind() {
            LeaseKind::V4 => u128::from(u32::MAX),
            LeaseKind::Address => u128::MAX,
            LeaseKind::Prefix => u128::MAX >> (128 - u32::from(class.length().clamp(1, 128))),
        };
        let rest = u64::try_from(space - number.min(space)).unwrap_or(u64::MAX);
        Self {
            first: self.first,
            count: self.count.min(Self::COUNT_MAX).min(rest.saturating_add(1)),
        }
    }
}

/// What leases are counted among: those of one kind, prefixes of one length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Class(LeaseKindOrder, u8);

/// `LeaseKind` has no order of its own; searching wants one.
type LeaseKindOrder = u8;

impl Class {
    fn kind(self) -> LeaseKind {
        match self.0 {
            4 => LeaseKind::V4,
            6 => LeaseKind::Address,
            _ => LeaseKind::Prefix,
        }
    }

    fn length(self) -> u8 {
        self.1
    }
}

/// A lease as a number in its class, in which neighbours differ by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    class: Class,
    number: u128,
}

impl Place {
    fn of(lease: Lease) -> Self {
        let (length, shift) = match lease {
            // A prefix of length 0 would be the whole of IPv6; nobody delegates it.
            Lease::Prefix(_, length) => (length, 128 - u32::from(length.clamp(1, 128))),
            Lease::V4(_) | Lease::Address(_) => (0, 0),
        };
        let number = match lease.address() {
            IpAddr::V4(address) => u128::from(u32::from(address)),
            IpAddr::V6(address) => u128::from(address) >> shift,
        };
        Self {
            class: Class(lease.kind() as u8, length),
            number,
        }
    }
}

/// The number of a pool within one [`Pools`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolIndex(pub u32);

/// What became of the wish for one particular lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It was free and is the caller's now.
    Claimed,
    /// Somebody holds it (perhaps the caller's own earlier claim).
    Taken,
    /// It lies in no pool and is no reservation.
    Outside,
}

/// How full a pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct PoolCounts {
    /// Leases in its range.
    pub size: u64,
    /// Of these, claimed: bound, offered, declined or set aside.
    pub taken: u64,
    /// Of these, reserved for one client each, claimed or not.
    pub reserved: u64,
}

/// One pool with its bitmap.
#[derive(Debug)]
pub struct Pool {
    range: PoolRange,
    bitmap: Bitmap,
    /// Where the next search begins.
    cursor: AtomicU64,
    open: AtomicBool,
}

impl Pool {
    fn new(range: PoolRange, reserved: impl Iterator<Item = u64>, open: bool) -> Self {
        Self {
            range,
            bitmap: Bitmap::new(range.count, reserved),
            cursor: AtomicU64::new(0),
            open: AtomicBool::new(open),
        }
    }

    fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    fn claim_next(&self) -> Option<u64> {
        if !self.is_open() {
            return None;
        }
        let offset = self
            .bitmap
            .claim_next(self.cursor.load(Ordering::Relaxed))?;
        let after = offset + 1;
        self.cursor.store(
            if after < self.range.count { after } else { 0 },
            Ordering::Relaxed,
        );
        Some(offset)
    }
}

/// Reserved leases that lie in no pool.
#[derive(Debug)]
struct Singles {
    /// In order, without duplicates.
    places: Vec<Place>,
    pool: Pool,
}

/// All pools and reserved leases of a configuration.
#[derive(Debug, Default)]
pub struct Pools {
    pools: Vec<Arc<Pool>>,
    /// Where each pool begins, in order.
    starts: Vec<(Place, u32)>,
    singles: Option<Arc<Singles>>,
}

impl Pools {
    /// Pools numbered as given, all open. `reserved` leases, inside or outside the ranges, are never
    /// found by [`Pools::claim_next`]; their clients claim them by name.
    pub fn new(ranges: &[PoolRange], reserved: &[Lease]) -> Self {
        Self::build(&Self::default(), ranges, reserved, true)
    }

    /// The pools of a new configuration. A pool whose range and reservations stayed as they were goes on
    /// with its bits; any other begins closed. Once no thread works with `previous` any longer, call
    /// `Partitions::mark_held`, which sets the bits of the closed pools and opens them.
    #[must_use]
    pub fn succeed(previous: &Self, ranges: &[PoolRange], reserved: &[Lease]) -> Self {
        Self::build(previous, ranges, reserved, false)
    }

    fn build(previous: &Self, ranges: &[PoolRange], reserved: &[Lease], open: bool) -> Self {
        let mut places: Vec<Place> = reserved.iter().map(|&lease| Place::of(lease)).collect();
        places.sort_unstable();
        places.dedup();
        let kept: HashMap<Lease, &Arc<Pool>> = previous
            .pools
            .iter()
            .map(|pool| (pool.range.first, pool))
            .collect();
        let mut starts = Vec::with_capacity(ranges.len());
        let mut pools = Vec::with_capacity(ranges.len());
        for (&range, index) in ranges.iter().zip(0u32..) {
            let range = range.bounded();
            let start = Place::of(range.first);
            starts.push((start, index));
            let inside = inside(&places, start, range.count);
            let kept = kept.get(&range.first).filter(|pool| {
                let reserved = inside.iter().map(|place| offset(start, *place));
                pool.range == range && pool.bitmap.reserved().eq(reserved)
            });
            pools.push(kept.map_or_else(
                || {
                    Arc::new(Pool::new(
                        range,
                        inside.iter().map(|p| offset(start, *p)),
                        open,
                    ))
                },
                |pool| Arc::clone(pool),
            ));
        }
        starts.sort_unstable();
        let mut built = Self {
            pools,
            starts,
            singles: None,
        };
        places.retain(|&place| built.find(place).is_none());
        built.singles = match &previous.singles {
            Some(singles) if singles.places == places => Some(Arc::clone(singles)),
            Some(_) | None if places.is_empty() => None,
            Some(_) | None => Some(Arc::new(Singles::new(places, open))),
        };
        built
    }

    /// Claims one particular lease: the former, the requested, the reserved one. Constant time but for
    /// the binary search of the pool. In a pool that is not open yet everything is [`Claim::Taken`].
    ///
    /// The client's own lapsed offer or ended binding may still be what holds it;
    /// `Partition::claim` sees through that.
    pub fn claim(&self, lease: Lease) -> Claim {
        match self.bit(lease) {
            None => Claim::Outside,
            Some((pool, offset)) if pool.is_open() && pool.bitmap.claim(offset) => Claim::Claimed,
            Some(_) => Claim::Taken,
        }
    }

    /// Claims the next free lease in ascending order from where the last search ended, cyclic
    /// (requirements A12). Constant time at every fill level. `None`: every last one is taken.
    pub fn claim_next(&self, pool: PoolIndex) -> Option<Lease> {
        let pool = self.pool(pool)?;
        pool.range.lease(pool.claim_next()?)
    }

    /// Gives back a lease that the caller had claimed. Leases outside every pool are ignored.
    pub fn give_back(&self, lease: Lease) {
        if let Some((pool, offset)) = self.bit(lease) {
            pool.bitmap.give_back(offset);
        }
    }

    /// Sets the bit of a lease that a record or offer holds, in closed pools too. Whether it was clear.
    /// `None`: it lies in no pool and is no reservation.
    pub(crate) fn mark(&self, lease: Lease) -> Option<bool> {
        let (pool, offset) = self.bit(lease)?;
        Some(pool.bitmap.claim(offset))
    }

    /// Whether `lease` lies in a pool (or among the reservations) whose bits are still to be set.
    pub(crate) fn is_closed(&self, lease: Lease) -> bool {
        self.bit(lease).is_some_and(|(pool, _)| !pool.is_open())
    }

    /// Whether anything is still to be opened.
    pub(crate) fn has_closed(&self) -> bool {
        let singles = self.singles.iter().map(|singles| &singles.pool);
        self.pools
            .iter()
            .map(Arc::as_ref)
            .chain(singles)
            .any(|pool| !pool.is_open())
    }

    /// Lets a new pool hand out leases: all that are held in it have been marked.
    pub fn open_pool(&self, pool: PoolIndex) {
        if let Some(pool) = self.pool(pool) {
            pool.open.store(true, Ordering::Release);
        }
    }

    /// Opens all pools, and the reservations outside them.
    pub fn open_all(&self) {
        let singles = self.singles.iter().map(|singles| &singles.pool);
        for pool in self.pools.iter().map(Arc::as_ref).chain(singles) {
            pool.open.store(true, Ordering::Release);
        }
    }

    /// The pool in which a lease lies (a prefix: of exactly that pool's delegated length).
    pub fn pool_of(&self, lease: Lease) -> Option<PoolIndex> {
        self.find(Place::of(lease))
            .map(|(index, _)| PoolIndex(index))
    }

    /// Whether a lease is set apart for one client.
    pub fn is_reserved(&self, lease: Lease) -> bool {
        match self.find(Place::of(lease)) {
            Some((index, offset)) => self
                .pool(PoolIndex(index))
                .is_some_and(|pool| pool.bitmap.is_reserved(offset)),
            None => self.single(Place::of(lease)).is_some(),
        }
    }

    /// How many leases of a pool are not claimed and not reserved.
    pub fn free_count(&self, pool: PoolIndex) -> u64 {
        self.pool(pool).map_or(0, |pool| pool.bitmap.free_count())
    }

    /// How full a pool is. Reads its whole bitmap.
    pub fn counts(&self, pool: PoolIndex) -> PoolCounts {
        self.pool(pool)
            .map_or(PoolCounts::default(), |pool| PoolCounts {
                size: pool.range.count,
                taken: pool.bitmap.taken_count(),
                reserved: pool.bitmap.reserved_count(),
            })
    }

    /// The range of a pool, cut to what is handed out.
    pub fn range(&self, pool: PoolIndex) -> Option<PoolRange> {
        self.pool(pool).map(|pool| pool.range)
    }

    /// How many pools there are.
    pub fn len(&self) -> usize {
        self.pools.len()
    }

    /// Whether there is no pool.
    pub fn is_empty(&self) -> bool {
        self.pools.is_empty()
    }

    fn pool(&self, index: PoolIndex) -> Option<&Pool> {
        self.pools.get(index.0 as usize).map(Arc::as_ref)
    }

    fn bit(&self, lease: Lease) -> Option<(&Pool, u64)> {
        let place = Place::of(lease);
        match self.find(place) {
            Some((index, offset)) => Some((self.pool(PoolIndex(index))?, offset)),
            None => self.single(place),
        }
    }

    fn find(&self, place: Place) -> Option<(u32, u64)> {
        let after = self.starts.partition_point(|(start, _)| *start <= place);
        let &(start, index) = self.starts.get(after.checked_sub(1)?)?;
        let inside = start.class == place.class;
        let count = self.pool(PoolIndex(index))?.range.count;
        let offset = u64::try_from(place.number.checked_sub(start.number)?).ok()?;
        (inside && offset < count).then_some((index, offset))
    }

    fn single(&self, place: Place) -> Option<(&Pool, u64)> {
        let singles = self.singles.as_deref()?;
        let offset = singles.places.binary_search(&place).ok()?;
        Some((&singles.pool, offset as u64))
    }
}

impl Singles {
    fn new(places: Vec<Place>, open: bool) -> Self {
        // Their bits are found through `places`; the range only says how many there are.
        let count = places.len() as u64;
        let range = PoolRange {
            first: Lease::V4(Ipv4Addr::UNSPECIFIED),
            count,
        };
        Self {
            places,
            pool: Pool::new(range, 0..count, open),
        }
    }
}

/// The part of the ordered `places` that lies in the range.
fn inside(places: &[Place], start: Place, count: u64) -> &[Place] {
    let from = places.partition_point(|place| *place < start);
    let rest = places.get(from..).unwrap_or_default();
    let len = rest.partition_point(|place| {
        place.class == start.class && place.number - start.number < u128::from(count)
    });
    rest.get(..len).unwrap_or_default()
}

fn offset(start: Place, place: Place) -> u64 {
    (place.number - start.number) as u64
}

#[cfg(test)]
mod tests;
