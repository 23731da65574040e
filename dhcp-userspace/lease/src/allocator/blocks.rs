//! Which units of a pool lie under somebody's lease that is not a unit of it?
//!
//! The operator may change a pd-pool's delegated length, or make an address pool of its range, while
//! leases of the former shape live on. Every unit that such a lease overlaps stays out of the pool until
//! the last of them has ended. There are none in a pool that was not changed so, and then this costs
//! nothing: eight octets per unit are taken when the first one appears.

use core::ops::RangeInclusive;
use core::sync::atomic::{AtomicBool, Ordering};
use parking_lot::Mutex;

/// What lies over one unit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unit {
    /// Leases of another shape.
    leases: u32,
    /// While there are some: whether the unit itself is somebody's too, who has yet to give it back.
    is_held: bool,
}

/// The units of one pool that leases of another shape overlap.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    any: AtomicBool,
    units: Mutex<Vec<Unit>>,
}

impl Blocks {
    /// Whether there ever was one.
    pub(super) fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// One more lease lies over these of a pool's `count` units. `take` takes a unit out of the pool and
    /// says whether it was there.
    pub(super) fn add(&self, units: RangeInclusive<u64>, count: u64, take: impl Fn(u64) -> bool) {
        let mut known = self.units.lock();
        if known.is_empty() {
            known.resize(usize::try_from(count).unwrap_or(0), Unit::default());
        }
        self.any.store(true, Ordering::Release);
        for (offset, unit) in within(&mut known, units) {
            if unit.leases == 0 {
                unit.is_held = !take(offset);
            }
            unit.leases = unit.leases.saturating_add(1);
        }
    }

    /// One lease less lies over these units. `free` puts a unit back into the pool.
    pub(super) fn remove(&self, units: RangeInclusive<u64>, free: impl Fn(u64)) {
        for (offset, unit) in within(&mut self.units.lock(), units) {
            let was_last = unit.leases == 1;
            unit.leases = unit.leases.saturating_sub(1);
            if was_last && !unit.is_held {
                free(offset);
            }
        }
    }

    /// Somebody holds a unit itself. `None`: no lease of another shape lies over it, so its bit tells.
    /// Otherwise whether he is the first.
    pub(super) fn hold(&self, offset: u64) -> Option<bool> {
        self.set_held(offset, true).map(|was_held| !was_held)
    }

    /// Gives a unit back; `free` is for one that nothing else lies over.
    pub(super) fn give_back(&self, offset: u64, free: impl Fn(u64)) {
        if self.set_held(offset, false).is_none() {
            free(offset);
        }
    }

    /// Whether it was held before, if it counts here.
    fn set_held(&self, offset: u64, is_held: bool) -> Option<bool> {
        let mut known = self.units.lock();
        let unit = known.get_mut(usize::try_from(offset).ok()?)?;
        (unit.leases > 0).then(|| core::mem::replace(&mut unit.is_held, is_held))
    }
}

fn within(
    known: &mut [Unit],
    units: RangeInclusive<u64>,
) -> impl Iterator<Item = (u64, &mut Unit)> {
    let (first, last) = units.into_inner();
    let skipped = usize::try_from(first).unwrap_or(usize::MAX);
    (first..=last).zip(known.iter_mut().skip(skipped))
}
