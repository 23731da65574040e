//! One pool: its bits, which say who has what, and the order in which it hands out what is free.

use super::bitmap::{Bitmap, ones};
use super::blocks::Blocks;
use super::permutation::{Permutation, Secret};
use super::queue::Queue;
use super::{Allocator, PoolCounts, PoolRange};
use crate::binding::Timestamp;
use core::net::IpAddr;
use core::ops::RangeInclusive;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use parking_lot::Mutex;
use std::sync::Arc;

/// One pool with its bitmap.
#[derive(Debug)]
pub struct Pool {
    range: PoolRange,
    bitmap: Bitmap,
    /// Where the next search begins: a unit, or with [`Allocator::Random`] a place in the order.
    cursor: AtomicU64,
    allocator: Allocator,
    secret: Arc<Secret>,
    /// What is free, in order, with [`Allocator::FreeLeaseQueue`]. Whoever changes a bit of such a pool does
    /// it under this lock, so the list and the bits always say the same. It is held for a few steps and
    /// never with another pool's; renewals have no use for it.
    queue: Option<Mutex<Queue>>,
    open: AtomicBool,
    blocks: Blocks,
    declined: AtomicU64,
}

impl Pool {
    pub(super) fn new(
        range: PoolRange,
        allocator: Allocator,
        secret: Arc<Secret>,
        reserved: impl Iterator<Item = u64>,
        open: bool,
    ) -> Self {
        let bitmap = Bitmap::new(range.count, reserved);
        let queue = match allocator {
            Allocator::Iterative | Allocator::Random => None,
            Allocator::FreeLeaseQueue => Some(Mutex::new(Queue::new(&bitmap, range.count))),
        };
        Self {
            range,
            bitmap,
            cursor: AtomicU64::new(0),
            allocator,
            secret,
            queue,
            open: AtomicBool::new(open),
            blocks: Blocks::default(),
            declined: AtomicU64::new(0),
        }
    }

    /// Whether a pool of the next configuration is this one.
    pub(super) fn is_same(
        &self,
        range: PoolRange,
        allocator: Allocator,
        reserved: impl Iterator<Item = u64>,
    ) -> bool {
        self.range == range && self.allocator == allocator && self.bitmap.reserved().eq(reserved)
    }

    pub(super) fn range(&self) -> PoolRange {
        self.range
    }

    pub(super) fn allocator(&self) -> Allocator {
        self.allocator
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    pub(super) fn open(&self) {
        self.open.store(true, Ordering::Release);
    }

    /// Whether the bits alone say who holds what.
    pub(super) fn is_plain(&self) -> bool {
        self.is_open() && !self.blocks.any()
    }

    pub(super) fn counts(&self) -> PoolCounts {
        PoolCounts {
            size: self.range.count,
            taken: self.bitmap.taken_count(),
            declined: self.declined_count(),
            reserved: self.bitmap.reserved_count(),
        }
    }

    pub(super) fn free_count(&self) -> u64 {
        self.bitmap.free_count()
    }

    pub(super) fn declined_count(&self) -> u64 {
        self.declined.load(Ordering::Relaxed)
    }

    pub(super) fn count_declined(&self, is_declined: bool) {
        match is_declined {
            true => self.declined.fetch_add(1, Ordering::Relaxed),
            false => self.declined.fetch_sub(1, Ordering::Relaxed),
        };
    }

    pub(super) fn is_taken(&self, offset: u64) -> bool {
        self.bitmap.is_taken(offset)
    }

    pub(super) fn is_reserved(&self, offset: u64) -> bool {
        self.bitmap.is_reserved(offset)
    }

    pub(super) fn reserved(&self) -> impl Iterator<Item = u64> {
        self.bitmap.reserved()
    }

    pub(super) fn taken_words(&self) -> impl Iterator<Item = u64> {
        self.bitmap.taken_words()
    }

    /// The next free unit in the order of the allocator.
    pub(super) fn claim_next(&self) -> Option<u64> {
        if !self.is_open() {
            return None;
        }
        match &self.queue {
            Some(queue) => {
                let mut queue = queue.lock();
                let units = core::iter::from_fn(|| queue.pop());
                // The first is free, for the list has what is free and nothing else.
                let mut free = units.filter(|&unit| self.bitmap.claim(unit));
                free.next()
            }
            None if self.allocator == Allocator::Random => self.claim_anywhere(),
            None => {
                let offset = self
                    .bitmap
                    .claim_next(self.cursor.load(Ordering::Relaxed))?;
                self.go_on_after(offset);
                Some(offset)
            }
        }
    }

    /// The first free unit from the next place of the order on. In a pool with room that is the place itself;
    /// in a full one it is found as fast, where a walk from place to place would take as long as the pool.
    fn claim_anywhere(&self) -> Option<u64> {
        if self.bitmap.free_count() == 0 {
            return None;
        }
        let place = self.cursor.fetch_add(1, Ordering::Relaxed);
        self.bitmap.claim_next(self.order().unit(place))
    }

    fn order(&self) -> Permutation {
        let number = match self.range.first.address() {
            IpAddr::V4(address) => u128::from(address.to_bits()),
            IpAddr::V6(address) => address.to_bits(),
        };
        let tweak = (number >> 64) as u64 ^ number as u64;
        Permutation::new(&self.secret, tweak, self.range.count)
    }

    /// Has the next search begin after a unit.
    pub(super) fn go_on_after(&self, offset: u64) {
        let place = match self.allocator {
            Allocator::Iterative | Allocator::FreeLeaseQueue => offset,
            Allocator::Random => self.order().place(offset),
        };
        let after = place + 1;
        self.cursor.store(
            if after < self.range.count { after } else { 0 },
            Ordering::Relaxed,
        );
    }

    pub(super) fn cursor(&self) -> u64 {
        self.cursor.load(Ordering::Relaxed)
    }

    /// Takes one unit. Whether it was free.
    pub(super) fn claim(&self, offset: u64) -> bool {
        let Some(queue) = &self.queue else {
            return self.bitmap.claim(offset);
        };
        let mut queue = queue.lock();
        let claimed = self.bitmap.claim(offset);
        if claimed {
            queue.remove(offset);
        }
        claimed
    }

    fn put_back(&self, offset: u64) {
        let Some(queue) = &self.queue else {
            self.bitmap.give_back(offset);
            return;
        };
        let mut queue = queue.lock();
        if self.bitmap.give_back(offset) {
            queue.push(offset);
        }
    }

    /// Whether the bit of a unit that somebody holds was clear before.
    pub(super) fn mark(&self, offset: u64) -> bool {
        self.blocks
            .hold(offset)
            .unwrap_or_else(|| self.claim(offset))
    }

    /// Marks the units whose bits are set; `again` has those that were marked before.
    pub(super) fn mark_all(&self, words: &[u64], mut again: impl FnMut(u64)) {
        if !self.blocks.any() && self.queue.is_none() {
            return self.bitmap.take_all(words, again);
        }
        for offset in ones(words) {
            if !self.mark(offset) {
                again(offset);
            }
        }
    }

    /// Sets the bits of a new pool and the place of its search to what they were.
    pub(super) fn restore(&self, cursor: u64, words: &[u64]) {
        self.mark_all(words, |_| ());
        self.cursor.store(cursor, Ordering::Relaxed);
    }

    /// Tells when the units that are free became it, as far as is known.
    pub(super) fn order_by_end(&self, ended: Vec<(Timestamp, u64)>) {
        if let Some(queue) = &self.queue {
            queue.lock().order(&self.bitmap, self.range.count, ended);
        }
    }

    pub(super) fn give_back(&self, offset: u64) {
        // Only a closed pool, or one that nobody works with yet, gets blocks.
        if self.is_plain() {
            self.put_back(offset);
        } else {
            self.blocks
                .give_back(offset, |offset| self.put_back(offset));
        }
    }

    pub(super) fn block(&self, units: RangeInclusive<u64>) {
        self.blocks
            .add(units, self.range.count, |offset| self.claim(offset));
    }

    /// While the pool is closed it is not known whether the lease that ends was counted already. Its
    /// units stay out then; that is a moment during a reload, and safe.
    pub(super) fn unblock(&self, units: RangeInclusive<u64>) {
        if self.is_open() && self.blocks.any() {
            self.blocks.remove(units, |offset| self.put_back(offset));
        }
    }
}
