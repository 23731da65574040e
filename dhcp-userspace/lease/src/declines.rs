//! How many leases has a client had set aside?
//!
//! A DECLINE takes an address from everybody for a day (RFC 2131 section 4.3.3), and nothing in it is
//! authenticated: without a bound one client could empty a pool. Counting needs no room per client, for
//! clients share a fixed number of counters, chosen by a keyed hash. Sharing can only count too many, and
//! nobody can tell with whom he shares.

use crate::binding::Timestamp;

/// How many leases of one client may be in quarantine at a time. A client behind a duplicated address
/// needs one or two; one that declines more is broken or hostile.
pub const DECLINES_MAX: u32 = 8;

/// Even with thousands of quarantined leases in one partition, strangers rarely fill a counter.
const COUNTERS: usize = 4_096;

/// What the clients that share a counter have in quarantine.
#[derive(Clone, Copy, Debug, Default)]
struct Counter {
    leases: u32,
    /// When the last of them ends.
    until: Timestamp,
}

/// The counters of one partition. They follow from its table.
#[derive(Debug)]
pub(crate) struct Declines {
    counters: Box<[Counter]>,
}

impl Declines {
    pub(crate) fn new() -> Self {
        Self {
            counters: vec![Counter::default(); COUNTERS].into_boxed_slice(),
        }
    }

    /// Whether one more lease may be set aside for this client.
    pub(crate) fn has_room(&self, client: u64, now: Timestamp) -> bool {
        self.counters
            .get(place(client))
            .is_none_or(|counter| counter.leases < DECLINES_MAX || counter.until <= now)
    }

    pub(crate) fn add(&mut self, client: u64, until: Timestamp) {
        if let Some(counter) = self.counters.get_mut(place(client)) {
            counter.leases = counter.leases.saturating_add(1);
            counter.until = counter.until.max(until);
        }
    }

    pub(crate) fn remove(&mut self, client: u64) {
        if let Some(counter) = self.counters.get_mut(place(client)) {
            counter.leases = counter.leases.saturating_sub(1);
        }
    }
}

fn place(client: u64) -> usize {
    client as usize % COUNTERS
}
