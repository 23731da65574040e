//! What do the records tell pools whose bits were set from them? How many leases are declined, and when those
//! that are free became it.

use super::{Allocator, Pools};
use crate::binding::{Lease, Timestamp};

/// What is told to the pools that are new, noted while the records are gone through.
#[derive(Debug)]
pub(crate) struct Past<'a> {
    pools: &'a Pools,
    /// Whether to tell pools that are open too: when the store is opened all are new.
    tells_open: bool,
    /// Of each pool when its units became free, if it wants to know.
    ended: Vec<Option<Vec<(Timestamp, u64)>>>,
}

impl<'a> Past<'a> {
    /// To tell all pools.
    pub(crate) fn of_all(pools: &'a Pools) -> Self {
        Self::new(pools, true)
    }

    /// To tell those that are not open yet.
    pub(crate) fn of_closed(pools: &'a Pools) -> Self {
        Self::new(pools, false)
    }

    fn new(pools: &'a Pools, tells_open: bool) -> Self {
        let wants = |pool: &super::Pool| {
            let is_told = tells_open || !pool.is_open();
            is_told && pool.allocator() == Allocator::FreeLeaseQueue
        };
        let list = |pool: &std::sync::Arc<super::Pool>| wants(pool).then(Vec::new);
        Self {
            pools,
            tells_open,
            ended: pools.pools.iter().map(list).collect(),
        }
    }

    /// Whether any pool wants to know when leases ended.
    pub(crate) fn wants_ends(&self) -> bool {
        self.ended.iter().any(Option::is_some)
    }

    /// A lease is declined, for so many seconds, until then.
    pub(crate) fn declined(&self, lease: Lease, seconds: u32, until: Timestamp) {
        if self.tells_open {
            self.pools.strikes.remember(lease, seconds, until);
        }
        let pool = self.pools.unit(lease);
        let pool = pool.and_then(|unit| self.pools.numbered(unit.pool));
        if let Some(pool) = pool.filter(|pool| self.tells_open || !pool.is_open()) {
            pool.count_declined(true);
        }
    }

    /// A lease ended at some time. It may be somebody else's now.
    pub(crate) fn ended(&mut self, lease: Lease, at: Timestamp) {
        if let Some(unit) = self.pools.unit(lease)
            && let Some(Some(ended)) = self.ended.get_mut(unit.pool)
        {
            ended.push((at, unit.offset));
        }
    }

    /// All has been gone through, and the bits are set.
    pub(crate) fn tell(self) {
        for (pool, ended) in self.pools.pools.iter().zip(self.ended) {
            if let Some(ended) = ended {
                pool.order_by_end(ended);
            }
        }
    }
}
