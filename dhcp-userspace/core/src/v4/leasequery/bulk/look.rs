//! What is known of addresses? The partitions to [`Holding`]s, some at a time.

use super::parse::{BulkQuery, Primary};
use crate::subnet::Policy;
use core::net::Ipv4Addr;
use core::ops::ControlFlow;
use dhcp_lease::{
    Binding, Lease, NotFiled, Partitions, SEEK_ENTRIES_MAX, Sought, State, Timestamp,
};

/// The addresses that a query may be about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets {
    /// First addresses and how many follow each, the first included.
    ranges: Vec<(Ipv4Addr, u64)>,
    range: usize,
    offset: u64,
}

impl Targets {
    fn of(ranges: Vec<(Ipv4Addr, u64)>) -> Self {
        Self {
            ranges,
            range: 0,
            offset: 0,
        }
    }

    /// Puts up to `count_max` further addresses into `into`, which is emptied first; none: that was all.
    pub fn next(&mut self, count_max: usize, into: &mut Vec<Ipv4Addr>) {
        into.clear();
        while into.len() < count_max
            && let Some(&(first, count)) = self.ranges.get(self.range)
        {
            if self.offset >= count {
                (self.range, self.offset) = (self.range + 1, 0);
                continue;
            }
            // A pool has fewer addresses than there are.
            into.push(Ipv4Addr::from_bits(
                first.to_bits().wrapping_add(self.offset as u32),
            ));
            self.offset += 1;
        }
    }
}

/// Which addresses a query may be about: all that are configured, or the few that a client has now.
///
/// # Errors
/// [`NotFiled`].
pub fn targets(
    query: &BulkQuery,
    policy: &Policy,
    partitions: &Partitions,
    now: Timestamp,
) -> Result<Targets, NotFiled> {
    // RFC 6926 section 8.2 [bulk-all], section 8.2 [bulk-once]: each address lies in one range.
    let all = || Ok(Targets::of(policy.pools.v4_ranges()));
    let sought = match &query.primary {
        Primary::All | Primary::RelayId(_) => return all(),
        Primary::Hardware(hardware) => Sought::Hardware(*hardware),
        Primary::Client(client) => Sought::Client(client),
        Primary::RemoteId(id) => Sought::RemoteId(id),
    };
    let mut addresses = Vec::new();
    for index in 0..partitions.len() {
        let mut visited = 0;
        if let Some(partition) = partitions.lock(index) {
            partition.seek(&sought, now, |_, terms| {
                if let Lease::V4(address) = terms.lease {
                    addresses.push(address);
                }
                visited += 1;
                ControlFlow::Continue(())
            })?;
        }
        // There may be more than a search shows.
        if visited >= SEEK_ENTRIES_MAX / 2 {
            return all();
        }
    }
    addresses.sort_unstable();
    addresses.dedup();
    Ok(Targets::of(
        addresses.into_iter().map(|it| (it, 1)).collect(),
    ))
}

/// What an address is at the moment (RFC 6926 section 6.2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum AddressState {
    /// Nobody's, and nobody is known to have had it.
    Available = 1,
    /// A client's.
    Active = 2,
    /// A client's until its lease ended.
    Expired = 3,
    /// Given back.
    Released = 4,
    /// Declined, and nobody's for a while.
    Abandoned = 5,
}

/// An address and the last that is known of it.
#[derive(Clone, Debug)]
pub struct Holding {
    /// The address.
    pub address: Ipv4Addr,
    /// Its state.
    pub state: AddressState,
    /// The last binding of it, if it is known.
    pub binding: Option<Box<Binding>>,
}

impl Holding {
    /// When it came into its state, or was last heard of in it; `None`: that is not known.
    pub fn changed(&self) -> Option<Timestamp> {
        let binding = self.binding.as_ref()?;
        Some(match self.state {
            AddressState::Expired | AddressState::Released => binding.expires,
            AddressState::Available | AddressState::Active | AddressState::Abandoned => {
                binding.last_transaction
            }
        })
    }
}

/// Reads what is known of some addresses. Each partition is locked once.
///
/// # Errors
/// [`NotFiled`].
pub fn look(
    partitions: &Partitions,
    addresses: &[Ipv4Addr],
    now: Timestamp,
) -> Result<Vec<Holding>, NotFiled> {
    let mut best: Vec<(Rank, Holding)> = addresses
        .iter()
        .map(|&address| {
            let state = AddressState::Available;
            let binding = None;
            (
                Rank::default(),
                Holding {
                    address,
                    state,
                    binding,
                },
            )
        })
        .collect();
    for index in 0..partitions.len() {
        let Some(partition) = partitions.lock(index) else {
            continue;
        };
        for (best, holding) in &mut best {
            let mut found = None;
            partition.seek_address(holding.address, |slot, terms| {
                let (rank, state) = rank(terms.state, terms.expires, terms.last_transaction, now);
                if rank > *best {
                    (*best, found) = (rank, Some((slot, state)));
                }
            })?;
            if let Some((slot, state)) = found {
                let binding = holding.binding.get_or_insert_default();
                partition.read(slot, binding);
                holding.state = state;
            }
        }
    }
    Ok(best.into_iter().map(|(_, holding)| holding).collect())
}

/// What counts most of what is known of one address: who has it, that nobody may have it, who had it last.
type Rank = (u8, Timestamp);

fn rank(
    state: State,
    expires: Timestamp,
    heard: Timestamp,
    now: Timestamp,
) -> (Rank, AddressState) {
    match state {
        State::Leased if expires > now => ((3, heard), AddressState::Active),
        State::Leased => ((1, expires), AddressState::Expired),
        State::Released => ((1, expires), AddressState::Released),
        State::Declined if expires > now => ((2, heard), AddressState::Abandoned),
        State::Declined => ((1, expires), AddressState::Expired),
    }
}
