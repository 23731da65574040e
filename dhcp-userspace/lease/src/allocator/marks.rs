//! Which leases does a part of the store hold? Noted apart while many threads look at their parts, and put
//! into the pools when all have looked: so the threads share no cache line, and what comes out does not
//! depend on who was first.

use super::{Place, Pool, Pools};
use crate::binding::Lease;

/// What one thread found to be held.
#[derive(Debug)]
pub(crate) struct Marks<'a> {
    pools: &'a Pools,
    /// Of each pool, then of the reservations outside them: one bit for each unit; empty: none is held.
    held: Vec<Vec<u64>>,
    /// What was marked twice.
    twice: Vec<Lease>,
    /// What is no unit of any pool, and no reservation.
    outside: Vec<Lease>,
}

/// The place of a lease in the pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Unit {
    /// Number of its pool; that of the reservations outside all pools comes after the last.
    pub(crate) pool: usize,
    pub(crate) offset: u64,
}

impl<'a> Marks<'a> {
    pub(crate) fn new(pools: &'a Pools) -> Self {
        Self {
            pools,
            held: vec![Vec::new(); pools.pools.len() + 1],
            twice: Vec::new(),
            outside: Vec::new(),
        }
    }

    /// Somebody holds a lease, whose place in the pools is `unit`. To be called once for each holder.
    pub(crate) fn mark(&mut self, lease: Lease, unit: Option<Unit>) {
        let Some(Unit { pool, offset }) = unit else {
            self.outside.push(lease);
            return;
        };
        let Some(words) = self.held.get_mut(pool) else {
            return;
        };
        if words.is_empty() {
            let units = self
                .pools
                .numbered(pool)
                .map_or(0, |pool| pool.range().count);
            *words = vec![0; units.div_ceil(64) as usize];
        }
        if let Some(word) = words.get_mut((offset / 64) as usize) {
            let mask = 1 << (offset % 64);
            if *word & mask != 0 {
                self.twice.push(lease);
            }
            *word |= mask;
        }
    }
}

impl Pools {
    /// The place of a lease, if it is a unit of a pool or a reservation.
    pub(crate) fn unit(&self, lease: Lease) -> Option<Unit> {
        let place = Place::of(lease);
        if let Some((index, offset)) = self.find(place) {
            let pool = index as usize;
            return Some(Unit { pool, offset });
        }
        let (_, offset) = self.single(place)?;
        let pool = self.pools.len();
        Some(Unit { pool, offset })
    }

    /// As [`Pools::mark`] for all that was noted. Returns, in order, what more than one holder has.
    pub(crate) fn mark_all(&self, all: Vec<Marks<'_>>) -> Vec<Lease> {
        let mut contested = Vec::new();
        let mut outside = Vec::new();
        for marks in all {
            for (number, words) in marks.held.iter().enumerate() {
                let again = |offset| contested.extend(self.lease_at(number, offset));
                if let Some(pool) = self.numbered(number) {
                    pool.mark_all(words, again);
                }
            }
            contested.extend(marks.twice);
            outside.extend(marks.outside);
        }
        outside.sort_unstable_by_key(|&lease| Place::of(lease));
        contested.extend(
            outside
                .array_windows()
                .filter(|[one, other]| one == other)
                .map(|[one, _]| *one),
        );
        for lease in outside {
            self.mark(lease);
        }
        contested.sort_unstable_by_key(|&lease| Place::of(lease));
        contested.dedup();
        contested
    }

    /// Whether the bits alone say who holds what: every pool is open, and no lease of another shape lies over
    /// its units.
    pub(crate) fn are_plain(&self) -> bool {
        let mut pools = (0..=self.pools.len()).filter_map(|number| self.numbered(number));
        pools.all(|pool| pool.is_plain())
    }

    /// Visits numbers that say what the units and reservations are: two configurations with the same
    /// numbers have the same bits.
    pub(crate) fn describe(&self, mut visit: impl FnMut(u64)) {
        let mut place = |place: Place| {
            visit(u64::from(place.class.0) << 8 | u64::from(place.class.1));
            visit(place.number as u64);
            visit((place.number >> 64) as u64);
        };
        for pool in &self.pools {
            place(Place::of(pool.range().first));
        }
        let singles = self.singles.as_deref();
        for &single in singles.map(|singles| &singles.places).into_iter().flatten() {
            place(single);
        }
        for number in 0..=self.pools.len() {
            let pool = self.numbered(number);
            visit(pool.map_or(0, |pool| pool.range().count));
            for offset in pool.into_iter().flat_map(Pool::reserved) {
                visit(offset);
            }
        }
    }

    /// How many words the bits of a pool have.
    pub(crate) fn words(&self, number: usize) -> usize {
        self.numbered(number)
            .map_or(0, |pool| pool.taken_words().count())
    }

    /// Where the next search in a pool begins.
    pub(crate) fn cursor(&self, number: usize) -> u64 {
        self.numbered(number).map_or(0, Pool::cursor)
    }

    /// Visits the bits of a pool.
    pub(crate) fn taken_words(&self, number: usize, visit: impl FnMut(u64)) {
        if let Some(pool) = self.numbered(number) {
            pool.taken_words().for_each(visit);
        }
    }

    /// Sets the bits of a pool and the place of its search to what they were.
    pub(crate) fn restore(&self, number: usize, cursor: u64, words: &[u64]) {
        if let Some(pool) = self.numbered(number) {
            pool.restore(cursor, words);
        }
    }

    /// A pool, or the reservations outside all of them, by the number that a [`Unit`] has.
    pub(super) fn numbered(&self, number: usize) -> Option<&Pool> {
        let singles = self.singles.as_deref().map(|singles| &singles.pool);
        match self.pools.get(number) {
            Some(pool) => Some(pool),
            None => singles.filter(|_| number == self.pools.len()),
        }
    }

    fn lease_at(&self, number: usize, offset: u64) -> Option<Lease> {
        match self.pools.get(number) {
            Some(pool) => pool.range().lease(offset),
            None => {
                let places = &self.singles.as_deref()?.places;
                places.get(usize::try_from(offset).ok()?)?.lease()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocator::PoolRange;
    use core::net::{Ipv4Addr, Ipv6Addr};
    use proptest::prelude::*;

    fn pools() -> Pools {
        let v4 = |last| Lease::V4(Ipv4Addr::new(10, 0, 0, last));
        let ranges = [
            PoolRange {
                first: v4(10),
                count: 150,
            },
            PoolRange {
                first: prefix(0),
                count: 8,
            },
        ];
        Pools::new(&ranges, &[v4(12), v4(200)])
    }

    fn prefix(number: u128) -> Lease {
        Lease::Prefix(Ipv6Addr::from(0x2001_0db8 << 96 | number << 72), 56)
    }

    fn lease(sort: u8, number: u8) -> Lease {
        match sort {
            0 => Lease::V4(Ipv4Addr::new(10, 0, 0, number)),
            1 => prefix(u128::from(number % 10)),
            // Of another length: no unit, but it overlaps some.
            _ => Lease::Prefix(
                Ipv6Addr::from(0x2001_0db8 << 96 | u128::from(number % 5) << 73),
                55,
            ),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// In parts and in any order or one by one: the pools are the same afterwards.
        #[test]
        fn parts_give_what_one_by_one_gives(
            held in proptest::collection::vec((0u8..3, any::<u8>(), 0usize..3), 0..200),
        ) {
            let (apart, together) = (pools(), pools());
            let mut parts = [(); 3].map(|()| Marks::new(&apart));
            for &(sort, number, part) in &held {
                let lease = lease(sort, number);
                parts[part].mark(lease, apart.unit(lease));
            }
            let contested = apart.mark_all(parts.into_iter().collect());
            // What overlaps comes last, for a unit is its holder's own before it is anything else.
            let (others, units): (Vec<_>, Vec<_>) =
                held.iter().map(|&(sort, number, _)| lease(sort, number)).partition(|&lease| together.unit(lease).is_none());
            let mut wanted: Vec<Lease> = units.into_iter().filter(|&lease| together.mark(lease) == Some(false)).collect();
            for (index, lease) in others.iter().enumerate() {
                together.mark(*lease);
                if others[..index].contains(lease) {
                    wanted.push(*lease);
                }
            }
            wanted.sort_unstable_by_key(|&lease| Place::of(lease));
            wanted.dedup();
            prop_assert_eq!(contested, wanted);
            for give_back in [false, true] {
                for number in 0..=255 {
                    for sort in 0..2 {
                        let lease = lease(sort, number);
                        prop_assert_eq!(apart.claim(lease), together.claim(lease), "{}", lease);
                    }
                    if give_back {
                        apart.give_back(lease(2, number));
                        together.give_back(lease(2, number));
                    }
                }
            }
        }
    }
}
