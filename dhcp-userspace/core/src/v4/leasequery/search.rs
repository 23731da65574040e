//! What is there? A [`LeaseQuery`] and the partitions to a [`Finding`].

use super::parse::{By, LeaseQuery};
use crate::discard::Discard;
use crate::subnet::Policy;
use core::net::Ipv4Addr;
use core::ops::ControlFlow;
use dhcp_lease::{Binding, Lease, Partitions, Timestamp};

/// How many addresses of one client, or behind one Remote-Id, an answer lists at most.
pub const ASSOCIATED_MAX: usize = 128;

/// Which message the answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseAnswer {
    /// DHCPLEASEUNASSIGNED.
    Unassigned,
    /// DHCPLEASEUNKNOWN.
    Unknown,
    /// DHCPLEASEACTIVE.
    Active,
}

/// What was found: owned, reusable, overwritten completely by [`search`].
#[derive(Clone, Debug)]
pub struct Finding {
    pub(super) answer: LeaseAnswer,
    /// The lease that is told of, if the answer is [`LeaseAnswer::Active`].
    pub(super) binding: Binding,
    pub(super) associated: [Ipv4Addr; ASSOCIATED_MAX],
    pub(super) associated_count: usize,
    pub(super) now: Timestamp,
}

impl Default for Finding {
    fn default() -> Self {
        Self {
            answer: LeaseAnswer::Unknown,
            binding: Binding::default(),
            associated: [Ipv4Addr::UNSPECIFIED; ASSOCIATED_MAX],
            associated_count: 0,
            now: Timestamp::default(),
        }
    }
}

impl Finding {
    /// Which message the answer is.
    pub fn answer(&self) -> LeaseAnswer {
        self.answer
    }

    /// The addresses that were found, no more than [`ASSOCIATED_MAX`].
    pub(super) fn associated(&self) -> &[Ipv4Addr] {
        self.associated
            .get(..self.associated_count)
            .unwrap_or_default()
    }

    fn associate(&mut self, address: Ipv4Addr) {
        if let Some(place) = self.associated.get_mut(self.associated_count) {
            *place = address;
            self.associated_count += 1;
        }
    }
}

// RFC 4388 section 6.3 [leasequery-giaddr-no-key]: wherever it is; giaddr has no say in it.
/// Looks for what is asked. Locks one partition at a time: that of the client identifier, or else each in turn.
///
/// # Errors
/// [`Discard::LeasequeryUnready`] while the leases are still being filed.
pub fn search(
    query: &LeaseQuery,
    policy: &Policy,
    partitions: &Partitions,
    now: Timestamp,
    finding: &mut Finding,
) -> Result<(), Discard> {
    finding.answer = LeaseAnswer::Unknown;
    finding.associated_count = 0;
    finding.now = now;
    match query.by {
        By::Client => {
            let index = partitions.index_of(query.client.as_slice());
            search_one(query, partitions, index, now, finding)?;
        }
        By::Address | By::Hardware | By::RemoteId => {
            for index in 0..partitions.len() {
                search_one(query, partitions, index, now, finding)?;
            }
        }
    }
    // RFC 4388 section 6.4 [leasequery-unassigned]: only of an address that is ours to give.
    if finding.answer == LeaseAnswer::Unknown && query.by == By::Address {
        let lease = Lease::V4(query.address);
        if policy.pools.pool_of(lease).is_some() || policy.pools.is_reserved(lease) {
            finding.answer = LeaseAnswer::Unassigned;
        }
    }
    Ok(())
}

fn search_one(
    query: &LeaseQuery,
    partitions: &Partitions,
    index: usize,
    now: Timestamp,
    finding: &mut Finding,
) -> Result<(), Discard> {
    let partition = partitions.lock(index).ok_or(Discard::StoreUnavailable)?;
    let mut best = None;
    let found = partition.seek(&query.sought(), now, |slot, terms| {
        if let Lease::V4(address) = terms.lease {
            finding.associate(address);
        }
        // RFC 4388 section 6.4.1 [leasequery-latest]: of several the one whose client was heard last.
        // RFC 6148 section 4.4 [remote-id-latest]: of several lines as well.
        let known = match finding.answer {
            LeaseAnswer::Active => Some(finding.binding.last_transaction),
            LeaseAnswer::Unknown | LeaseAnswer::Unassigned => None,
        };
        let known = best.map(|(_, when)| when).max(known);
        if known.is_none_or(|known| terms.last_transaction > known) {
            best = Some((slot, terms.last_transaction));
        }
        ControlFlow::Continue(())
    });
    found.map_err(|_| Discard::LeasequeryUnready)?;
    if let Some((slot, _)) = best {
        partition.read(slot, &mut finding.binding);
        // RFC 4388 section 6.4 [leasequery-active], section 6.4.1 [leasequery-clients-own].
        finding.answer = LeaseAnswer::Active;
    }
    Ok(())
}
