//! What should the operator know of how full pools are? Which pools run low, and in which subnets many leases
//! are declined.

use dhcp_lease::{PoolIndex, Pools};

/// Pools that are watched together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// What they are called: a pool's first lease, or a subnet.
    pub name: String,
    /// The pools.
    pub pools: Vec<PoolIndex>,
    /// The threshold, in percent of their leases.
    pub percent: u32,
}

/// What is watched.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Alarms {
    /// Pools, for when fewer of their leases than that are free for any client (`low-water-percent`).
    pub low_water: Vec<Watched>,
    /// Subnets, for when more of their leases than that are declined (`decline-alarm-percent`).
    pub declined: Vec<Watched>,
}

/// What is wrong with some pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Alarm {
    /// Few of their leases are free.
    LowWater,
    /// Many of their leases are declined.
    Declined,
}

/// One alarm that is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raised {
    /// Which.
    pub alarm: Alarm,
    /// What its pools are called.
    pub name: String,
    /// How many of their leases are free, or declined.
    pub count: u64,
    /// How many leases they have.
    pub size: u64,
}

impl Alarms {
    /// The alarms that are on now. One that was on (`before`) stays so until twice as many leases as the
    /// threshold asks for are free, or half as many as it allows are declined: so nothing that wavers about a
    /// threshold is told again and again.
    pub fn raised(&self, pools: &Pools, before: &[Raised]) -> Vec<Raised> {
        let was_on = |alarm: Alarm, name: &str| {
            let mut on = before.iter();
            on.any(|raised| raised.alarm == alarm && raised.name == name)
        };
        let low_water = self.low_water.iter().filter_map(|watched| {
            let (count, size) = watched.count(pools, Pools::free_count);
            let factor = if was_on(Alarm::LowWater, &watched.name) {
                2
            } else {
                1
            };
            // A pool that is free as a whole has no less than that.
            let least = (size * u64::from(watched.percent) * factor).min(size * 100);
            (count * 100 < least).then(|| watched.raise(Alarm::LowWater, count, size))
        });
        let declined = self.declined.iter().filter_map(|watched| {
            let (count, size) = watched.count(pools, Pools::declined_count);
            let factor = if was_on(Alarm::Declined, &watched.name) {
                2
            } else {
                1
            };
            let is_on = count * 100 * factor > size * u64::from(watched.percent);
            is_on.then(|| watched.raise(Alarm::Declined, count, size))
        });
        low_water.chain(declined).collect()
    }
}

impl Watched {
    /// How many leases of some sort the pools have, and how many in all.
    fn count(&self, pools: &Pools, of: impl Fn(&Pools, PoolIndex) -> u64) -> (u64, u64) {
        let size = |pool: &PoolIndex| pools.range(*pool).map_or(0, |range| range.count);
        let count = self.pools.iter().map(|pool| of(pools, *pool)).sum();
        (count, self.pools.iter().map(size).sum())
    }

    fn raise(&self, alarm: Alarm, count: u64, size: u64) -> Raised {
        Raised {
            alarm,
            name: self.name.clone(),
            count,
            size,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhcp_lease::{Lease, PoolRange};
    use std::net::Ipv4Addr;

    fn pools() -> Pools {
        let first = Lease::V4(Ipv4Addr::new(10, 0, 0, 0));
        Pools::new(&[PoolRange { first, count: 100 }], &[])
    }

    fn watched(percent: u32) -> Vec<Watched> {
        vec![Watched {
            name: "here".into(),
            pools: vec![PoolIndex(0)],
            percent,
        }]
    }

    #[test]
    fn a_pool_that_wavers_about_its_low_water_is_told_of_once() {
        let pools = pools();
        let alarms = Alarms {
            low_water: watched(10),
            ..Alarms::default()
        };
        let mut before = Vec::new();
        let mut leases = Vec::new();
        let mut raised = Vec::new();
        // Down to 9 free, up to 19, down again, up to 20.
        for free in [100u64, 10, 9, 19, 10, 20, 10, 9, 0] {
            while pools.free_count(PoolIndex(0)) > free {
                leases.extend(pools.claim_next(PoolIndex(0)));
            }
            while pools.free_count(PoolIndex(0)) < free {
                pools.give_back(leases.pop().unwrap());
            }
            before = alarms.raised(&pools, &before);
            raised.push((free, before.len()));
        }
        let expected = [
            (100, 0),
            (10, 0),
            (9, 1),
            (19, 1),
            (10, 1),
            (20, 0),
            (10, 0),
            (9, 1),
            (0, 1),
        ];
        assert_eq!(raised, expected);
        assert_eq!((before[0].count, before[0].size), (0, 100));
    }

    #[test]
    fn nothing_is_low_in_a_pool_that_nobody_uses() {
        let alarms = Alarms {
            low_water: watched(100),
            ..Alarms::default()
        };
        let pools = pools();
        assert!(alarms.raised(&pools, &[]).is_empty());
        pools.claim_next(PoolIndex(0));
        let on = alarms.raised(&pools, &[]);
        assert_eq!(on.len(), 1);
        pools.give_back(Lease::V4(Ipv4Addr::new(10, 0, 0, 0)));
        assert!(alarms.raised(&pools, &on).is_empty());
    }
}
