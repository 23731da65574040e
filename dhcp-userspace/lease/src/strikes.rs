//! How often was a lease declined of late? Somebody sits on an address that is declined again and again, and each
//! time it is handed out costs a client ten seconds (RFC 2131 section 3.1): so it is kept back for longer each time.
//!
//! Bounded, whatever is declined: of more leases than there is room for, those whose quarantine ends last are
//! remembered.

use crate::binding::{Lease, Timestamp};
use core::net::IpAddr;
use parking_lot::Mutex;

/// For how long after the end of its quarantine a lease is remembered.
const MEMORY_SECONDS: u64 = 86_400;

const SETS: usize = 1_024;
const WAYS: usize = 4;

/// What is remembered of one lease.
#[derive(Clone, Copy, Debug)]
struct Strike {
    lease: Lease,
    /// How long its last quarantine was to be.
    seconds: u32,
    /// When that ends.
    until: Timestamp,
}

/// The leases that were declined of late.
#[derive(Debug)]
pub(crate) struct Strikes {
    sets: Mutex<Vec<[Option<Strike>; WAYS]>>,
}

impl Default for Strikes {
    fn default() -> Self {
        Self {
            sets: Mutex::new(vec![[None; WAYS]; SETS]),
        }
    }
}

impl Strikes {
    /// For how long a lease that is declined now is nobody's: `least` seconds, each time twice as long, `most`
    /// at most.
    pub(crate) fn add(&self, lease: Lease, least: u32, most: u32, now: Timestamp) -> u32 {
        let mut sets = self.sets.lock();
        let Some(set) = sets.get_mut(place(lease)) else {
            return least;
        };
        let known = set.iter().flatten().find(|strike| strike.lease == lease);
        let known = known.filter(|strike| now.0 <= strike.until.0.saturating_add(MEMORY_SECONDS));
        let seconds = known.map_or(least, |strike| {
            strike.seconds.saturating_mul(2).min(most).max(least)
        });
        let until = now.after(seconds);
        put(
            set,
            Strike {
                lease,
                seconds,
                until,
            },
        );
        seconds
    }

    /// What a record says of a lease that is declined.
    pub(crate) fn remember(&self, lease: Lease, seconds: u32, until: Timestamp) {
        if let Some(set) = self.sets.lock().get_mut(place(lease)) {
            put(
                set,
                Strike {
                    lease,
                    seconds,
                    until,
                },
            );
        }
    }

    /// Whatever was wrong with a lease has been put right.
    pub(crate) fn forget(&self, lease: Lease) {
        if let Some(set) = self.sets.lock().get_mut(place(lease)) {
            for strike in set {
                strike.take_if(|strike| strike.lease == lease);
            }
        }
    }
}

/// In the place of what is known of the same lease, else where nothing is, else where the quarantine ends first.
fn put(set: &mut [Option<Strike>; WAYS], new: Strike) {
    let rank = |strike: &Option<Strike>| match strike {
        Some(strike) if strike.lease == new.lease => (0, Timestamp(0)),
        None => (1, Timestamp(0)),
        Some(strike) => (2, strike.until),
    };
    if let Some(place) = set.iter_mut().min_by_key(|strike| rank(strike)) {
        *place = Some(new);
    }
}

fn place(lease: Lease) -> usize {
    let number = match lease.address() {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    };
    let folded = (number >> 64) as u64 ^ number as u64;
    let mixed = folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    mixed as usize % SETS
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const NOW: Timestamp = Timestamp(1_790_000_000);

    fn lease(number: u32) -> Lease {
        Lease::V4(Ipv4Addr::from_bits(0x0a00_0000 + number))
    }

    #[test]
    fn each_time_is_twice_as_long_up_to_the_most() {
        let strikes = Strikes::default();
        let mut now = NOW;
        for expected in [3600, 7200, 14_400, 20_000, 20_000] {
            assert_eq!(strikes.add(lease(1), 3600, 20_000, now), expected);
            now = now.after(expected);
        }
        assert_eq!(strikes.add(lease(2), 3600, 20_000, now), 3600, "another");
        assert_eq!(
            strikes.add(lease(1), 40_000, 20_000, now),
            40_000,
            "never below the least"
        );
    }

    #[test]
    fn a_lease_that_behaves_for_a_day_begins_anew_and_so_does_one_that_was_put_right() {
        let strikes = Strikes::default();
        let decline = |now| strikes.add(lease(1), 100, 1000, now);
        assert_eq!(decline(NOW), 100);
        let day_after = NOW.after(100 + 86_400);
        assert_eq!(decline(day_after), 200);
        assert_eq!(decline(day_after.after(200 + 86_401)), 100);
        strikes.forget(lease(1));
        assert_eq!(decline(day_after.after(200 + 86_402)), 100);
        strikes.remember(lease(1), 400, NOW);
        assert_eq!(decline(NOW), 800);
    }

    #[test]
    fn of_too_many_those_that_end_last_are_remembered() {
        let strikes = Strikes::default();
        let crowd: Vec<_> = (0..)
            .filter(|n| place(lease(*n)) == place(lease(0)))
            .take(6)
            .collect();
        for (number, age) in crowd.iter().zip(0..) {
            strikes.add(lease(*number), 100, 1000, NOW.after(age));
        }
        let now = NOW.after(50);
        assert_eq!(strikes.add(lease(crowd[5]), 100, 1000, now), 200);
        assert_eq!(
            strikes.add(lease(crowd[0]), 100, 1000, now),
            100,
            "pushed out"
        );
    }
}
