//! The search for a free address or prefix: per pool one hierarchical bitmap of atomics, shared by all
//! partitions, so that any pool hands out its every last address whatever the number of workers.
//!
//! Invariants:
//! - A lease whose bit is set belongs to exactly one holder: a binding, an offer, a caller in between,
//!   or a record that lets go and is not durable yet.
//! - A lease that is no unit of any pool, because pools were changed, keeps every unit that it overlaps out
//!   of its pool until it ends.
//! - A pool that this configuration made new hands out nothing before [`Pools::open_pool`], because its
//!   bits do not yet tell who holds what.

mod bitmap;
mod blocks;
mod marks;
mod past;
mod permutation;
mod pool;
mod queue;

use crate::binding::{Lease, LeaseKind, Timestamp};
use crate::strikes::Strikes;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::ops::RangeInclusive;
use core::sync::atomic::{AtomicU64, Ordering};
use permutation::Secret;
use std::collections::HashMap;
use std::sync::Arc;

pub(crate) use marks::{Marks, Unit};
pub(crate) use past::Past;
pub use pool::Pool;

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
        Place { class, number }.lease()
    }

    /// The range cut to what a pool can be and to the end of the address space.
    fn bounded(self) -> Self {
        let Place { class, number } = Place::of(self.first);
        let space = match class.kind() {
            LeaseKind::V4 => u128::from(u32::MAX),
            LeaseKind::Address => u128::MAX,
            LeaseKind::Prefix => u128::MAX >> class.shift(),
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

    /// How many bits of an address tell places within one lease apart.
    fn shift(self) -> u32 {
        match self.kind() {
            // A prefix of length 0 would be the whole of IPv6; nobody delegates it.
            LeaseKind::Prefix => 128 - u32::from(self.length().clamp(1, 128)),
            LeaseKind::V4 | LeaseKind::Address => 0,
        }
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
        let length = match lease {
            Lease::Prefix(_, length) => length,
            Lease::V4(_) | Lease::Address(_) => 0,
        };
        let class = Class(lease.kind() as u8, length);
        let number = match lease.address() {
            IpAddr::V4(address) => u128::from(u32::from(address)),
            IpAddr::V6(address) => u128::from(address) >> class.shift(),
        };
        Self { class, number }
    }

    fn lease(self) -> Option<Lease> {
        let Self { class, number } = self;
        Some(match class.kind() {
            LeaseKind::V4 => Lease::V4(Ipv4Addr::from(u32::try_from(number).ok()?)),
            LeaseKind::Address => Lease::Address(Ipv6Addr::from(number)),
            LeaseKind::Prefix => {
                let address = number << class.shift();
                Lease::Prefix(Ipv6Addr::from(address), class.length())
            }
        })
    }

    /// The first and the last place of another class of IPv6 that have an address in common with it.
    fn seen_as(self, class: Class) -> [Self; 2] {
        let first = self.number << self.class.shift();
        let last = first | ((1 << self.class.shift()) - 1);
        [first, last].map(|address| Self {
            class,
            number: address >> class.shift(),
        })
    }
}

/// The number of a pool within one [`Pools`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolIndex(pub u32);

/// In which order a pool hands out what is free. Whatever the order, every last lease is found, and that
/// none is left is known at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Allocator {
    /// Ascending from where the last search ended, and round again (requirements A12).
    #[default]
    Iterative,
    /// From one place after the other of an order that only the store's secret tells, the next free one from
    /// there: addresses cannot be predicted (RFC 9915 section 13.1).
    Random,
    /// What has been free for the longest time (Kea's "free lease queue"): what was never held, ascending,
    /// then what ended first.
    FreeLeaseQueue,
}

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
    /// Of these, declined: found in use by somebody else, and nobody's for a while.
    pub declined: u64,
    /// Leases of the range that are reserved for one client each, claimed or not.
    pub reserved: u64,
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
    /// The classes of IPv6 that pools and reservations have.
    classes: Vec<Class>,
    singles: Option<Arc<Singles>>,
    /// Seconds of server time until when free leases are withheld; the same for all that succeed each other.
    withheld_until: Arc<AtomicU64>,
    /// What makes the order of [`Allocator::Random`]; the same for all that succeed each other.
    secret: Arc<Secret>,
    /// What was declined of late; the same for all that succeed each other.
    strikes: Arc<Strikes>,
    /// Seconds of server time: what was recorded earlier must be recorded anew before it is promised again; the
    /// same for all that succeed each other.
    recorded_since: Arc<AtomicU64>,
}

impl Pools {
    /// Pools numbered as given, all open. `reserved` leases, inside or outside the ranges, are never
    /// found by [`Pools::claim_next`]; their clients claim them by name.
    pub fn new(ranges: &[PoolRange], reserved: &[Lease]) -> Self {
        Self::with_allocators(ranges, &[], reserved)
    }

    /// As [`Pools::new`], each pool with its allocator; those that `allocators` is too short for are iterative.
    pub fn with_allocators(
        ranges: &[PoolRange],
        allocators: &[Allocator],
        reserved: &[Lease],
    ) -> Self {
        Self::build(&Self::default(), ranges, allocators, reserved, true)
    }

    /// As [`Pools::succeed_with`], all pools iterative.
    #[must_use]
    pub fn succeed(previous: &Self, ranges: &[PoolRange], reserved: &[Lease]) -> Self {
        Self::succeed_with(previous, ranges, &[], reserved)
    }

    /// The pools of a new configuration. A pool whose range, allocator and reservations stayed as they were
    /// goes on with its bits; any other begins closed. Once no thread works with `previous` any longer, call
    /// `Partitions::mark_held`, which sets the bits of the closed pools and opens them.
    #[must_use]
    pub fn succeed_with(
        previous: &Self,
        ranges: &[PoolRange],
        allocators: &[Allocator],
        reserved: &[Lease],
    ) -> Self {
        Self::build(previous, ranges, allocators, reserved, false)
    }

    fn build(
        previous: &Self,
        ranges: &[PoolRange],
        allocators: &[Allocator],
        reserved: &[Lease],
        open: bool,
    ) -> Self {
        let mut places: Vec<Place> = reserved.iter().map(|&lease| Place::of(lease)).collect();
        places.sort_unstable();
        places.dedup();
        let kept: HashMap<Lease, &Arc<Pool>> = previous
            .pools
            .iter()
            .map(|pool| (pool.range().first, pool))
            .collect();
        let mut allocators = allocators.iter().copied();
        let mut starts = Vec::with_capacity(ranges.len());
        let mut pools = Vec::with_capacity(ranges.len());
        for (&range, index) in ranges.iter().zip(0u32..) {
            let range = range.bounded();
            let start = Place::of(range.first);
            starts.push((start, index));
            let inside = inside(&places, start, range.count);
            let allocator = allocators.next().unwrap_or_default();
            let reserved = || inside.iter().map(|place| offset(start, *place));
            let kept = kept
                .get(&range.first)
                .filter(|pool| pool.is_same(range, allocator, reserved()));
            pools.push(kept.map_or_else(
                || {
                    let secret = Arc::clone(&previous.secret);
                    Arc::new(Pool::new(range, allocator, secret, reserved(), open))
                },
                |pool| Arc::clone(pool),
            ));
        }
        starts.sort_unstable();
        let all = starts.iter().map(|(start, _)| start).chain(&places);
        let mut classes: Vec<Class> = all.map(|place| place.class).collect();
        classes.retain(|class| class.kind() != LeaseKind::V4);
        classes.sort_unstable();
        classes.dedup();
        let mut built = Self {
            pools,
            starts,
            classes,
            singles: None,
            withheld_until: Arc::clone(&previous.withheld_until),
            secret: Arc::clone(&previous.secret),
            strikes: Arc::clone(&previous.strikes),
            recorded_since: Arc::clone(&previous.recorded_since),
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
            Some((pool, offset)) if pool.is_open() && pool.claim(offset) => Claim::Claimed,
            Some(_) => Claim::Taken,
        }
    }

    /// Claims the next free lease in the order of the pool's [`Allocator`]. Constant time at every fill
    /// level. `None`: every last one is taken.
    pub fn claim_next(&self, pool: PoolIndex) -> Option<Lease> {
        let pool = self.pool(pool)?;
        pool.range().lease(pool.claim_next()?)
    }

    /// Gives the order of [`Allocator::Random`] its secret. Before anything is handed out.
    pub(crate) fn set_secret(&self, secret: [u64; 2]) {
        self.secret.set(secret);
    }

    /// One more, or one less, of a pool's leases is declined.
    pub(crate) fn count_declined(&self, lease: Lease, is_declined: bool) {
        if let Some((pool, _)) = self.bit(lease) {
            pool.count_declined(is_declined);
        }
    }

    /// For how long a lease that is declined now is nobody's: `least` seconds; twice as long each time that
    /// this happens again within a day of the end of the last one; `most` at most. Remembers it.
    pub fn quarantine_seconds(&self, lease: Lease, least: u32, most: u32, now: Timestamp) -> u32 {
        self.strikes.add(lease, least, most, now)
    }

    /// Whatever was wrong with a declined lease has been put right: its next quarantine is a first one.
    pub fn forgive(&self, lease: Lease) {
        self.strikes.forget(lease);
    }

    /// How many leases of a pool are declined.
    pub fn declined_count(&self, pool: PoolIndex) -> u64 {
        self.pool(pool).map_or(0, Pool::declined_count)
    }

    /// In which order a pool hands out what is free.
    pub fn allocator(&self, pool: PoolIndex) -> Option<Allocator> {
        self.pool(pool).map(Pool::allocator)
    }

    /// Has the next search in a pool begin after a unit of it.
    pub(crate) fn go_on_after(&self, unit: Unit) {
        if let Some(pool) = self.pools.get(unit.pool) {
            pool.go_on_after(unit.offset);
        }
    }

    /// Gives back a lease that the caller had claimed. One outside every pool gives back the units of
    /// pools that only it overlapped.
    pub fn give_back(&self, lease: Lease) {
        match self.bit(lease) {
            Some((pool, offset)) => pool.give_back(offset),
            None => self.overlapped(lease, Pool::unblock),
        }
    }

    /// Sets the bit of a lease that a record or offer holds, in closed pools too. Whether it was clear.
    /// `None`: it lies in no pool and is no reservation; then every unit that it overlaps is taken out of
    /// its pool until the lease is given back. To be called once for each holder.
    pub(crate) fn mark(&self, lease: Lease) -> Option<bool> {
        let Some((pool, offset)) = self.bit(lease) else {
            self.overlapped(lease, Pool::block);
            return None;
        };
        Some(pool.mark(offset))
    }

    /// Whether a lease is no unit of any pool and no reservation, yet has addresses in common with one.
    pub fn is_astride(&self, lease: Lease) -> bool {
        let found = core::cell::Cell::new(false);
        if self.bit(lease).is_none() {
            self.overlapped(lease, |_, _| found.set(true));
        }
        found.get()
    }

    /// As [`Pools::mark`], but only in pools whose bits are still to be set.
    pub(crate) fn mark_in_closed(&self, lease: Lease) {
        match self.bit(lease) {
            Some((pool, _)) if pool.is_open() => {}
            Some((pool, offset)) => {
                pool.mark(offset);
            }
            None => self.overlapped(lease, |pool, units| {
                if !pool.is_open() {
                    pool.block(units);
                }
            }),
        }
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
            pool.open();
        }
    }

    /// Opens all pools, and the reservations outside them.
    pub fn open_all(&self) {
        let singles = self.singles.iter().map(|singles| &singles.pool);
        for pool in self.pools.iter().map(Arc::as_ref).chain(singles) {
            pool.open();
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
                .is_some_and(|pool| pool.is_reserved(offset)),
            None => self.single(Place::of(lease)).is_some(),
        }
    }

    /// Whether somebody has a lease at this moment, if only as an offer, or it is set aside. What nobody can have is
    /// nobody's.
    pub fn is_taken(&self, lease: Lease) -> bool {
        self.bit(lease)
            .is_some_and(|(pool, offset)| pool.is_taken(offset))
    }

    /// All IPv4 addresses that are configured, in pools and reserved outside of them: the first of each run,
    /// and how many there are. No address is in two runs.
    pub fn v4_ranges(&self) -> Vec<(Ipv4Addr, u64)> {
        let address = |lease: Lease| match lease {
            Lease::V4(address) => Some(address),
            Lease::Address(_) | Lease::Prefix(..) => None,
        };
        let pools = self.pools.iter().filter_map(|pool| {
            let first = address(pool.range().first)?;
            Some((first, pool.range().count))
        });
        let singles = self.singles.as_deref();
        let singles = singles.into_iter().flat_map(|singles| &singles.places);
        let singles = singles.filter_map(|place| Some((address(place.lease()?)?, 1)));
        let mut ranges: Vec<_> = pools.chain(singles).collect();
        ranges.sort_unstable();
        ranges
    }

    /// How many leases of a pool are not claimed and not reserved.
    pub fn free_count(&self, pool: PoolIndex) -> u64 {
        self.pool(pool).map_or(0, Pool::free_count)
    }

    /// How full a pool is. Reads its whole bitmap.
    pub fn counts(&self, pool: PoolIndex) -> PoolCounts {
        self.pool(pool).map_or(PoolCounts::default(), Pool::counts)
    }

    /// The range of a pool, cut to what is handed out.
    pub fn range(&self, pool: PoolIndex) -> Option<PoolRange> {
        self.pool(pool).map(Pool::range)
    }

    /// Keeps free leases until then from clients that do not say that they hold them: the store is a restored
    /// copy, and what it believes free may have been granted since it was made. [`Timestamp`] 0 ends that.
    /// The pools only remember it; who decides asks [`Pools::withholds`].
    pub fn withhold_until(&self, until: Timestamp) {
        self.withheld_until.store(until.0, Ordering::Release);
    }

    /// Whether free leases are withheld at this moment.
    pub fn withholds(&self, now: Timestamp) -> bool {
        self.withheld_until.load(Ordering::Acquire) > now.0
    }

    /// Asks for a new record of each lease that is promised again and was recorded before: server time goes on
    /// from a moment that the wall clock has left behind, and only what is recorded since is carried over when
    /// the operator accepts the wall clock. The pools only remember it, as for [`Pools::withhold_until`].
    pub fn record_anew_since(&self, since: Timestamp) {
        self.recorded_since.store(since.0, Ordering::Release);
    }

    /// Since when a record is good for another promise without being written again.
    pub fn recorded_since(&self) -> Timestamp {
        Timestamp(self.recorded_since.load(Ordering::Acquire))
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
        let count = self.pool(PoolIndex(index))?.range().count;
        let offset = u64::try_from(place.number.checked_sub(start.number)?).ok()?;
        (inside && offset < count).then_some((index, offset))
    }

    /// Visits what has addresses in common with a lease that is no unit of any pool: a prefix of another
    /// length, an address in what is a pd-pool now, a prefix of what is an address pool now. Pools of one
    /// class do not overlap each other, so each class is searched for the first, and gone on from there.
    fn overlapped(&self, lease: Lease, visit: impl Fn(&Pool, RangeInclusive<u64>)) {
        // IPv4 addresses have no other shape.
        let classes = match lease.kind() {
            LeaseKind::V4 => &[][..],
            LeaseKind::Address | LeaseKind::Prefix => &self.classes,
        };
        for &class in classes {
            let [first, last] = Place::of(lease).seen_as(class);
            let after = self.starts.partition_point(|(start, _)| *start <= first);
            let from = self.starts.get(after.saturating_sub(1)..);
            let up_to_last = from.unwrap_or_default().iter();
            for &(start, index) in up_to_last.take_while(|(start, _)| *start <= last) {
                let pool = self.pool(PoolIndex(index)).filter(|_| start.class == class);
                let Some((pool, units)) = pool
                    .and_then(|pool| Some((pool, common(start, pool.range().count, first, last)?)))
                else {
                    continue;
                };
                visit(pool, units);
            }
            if let Some(singles) = self.singles.as_deref() {
                let from = singles.places.partition_point(|place| *place < first) as u64;
                let to = singles.places.partition_point(|place| *place <= last) as u64;
                if from < to {
                    visit(&singles.pool, from..=to - 1);
                }
            }
        }
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
            // Claimed by name only, so in no order.
            pool: Pool::new(range, Allocator::Iterative, Arc::default(), 0..count, open),
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

/// The units of a pool from `first` to `last`, if it has some of them.
fn common(start: Place, count: u64, first: Place, last: Place) -> Option<RangeInclusive<u64>> {
    let from = first.number.saturating_sub(start.number);
    let to = last.number.checked_sub(start.number)?;
    let from = u64::try_from(from).ok().filter(|from| *from < count)?;
    let to = u64::try_from(to).unwrap_or(u64::MAX).min(count - 1);
    Some(from..=to)
}

fn offset(start: Place, place: Place) -> u64 {
    (place.number - start.number) as u64
}

#[cfg(test)]
mod order_tests;
#[cfg(test)]
mod tests;
