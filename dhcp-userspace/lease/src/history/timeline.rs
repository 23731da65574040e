//! From entries to an answer: who held what, from when to when, and how it ended.
//!
//! All times are whole seconds. A lease that ends by itself at `expires` is no longer held in that second.
//! One that ends before its time is still held in the second in which that happens, for part of it: so in
//! a second in which an address changes hands both holders are named.

use super::entry::{Entry, Event, Holder};
use crate::binding::{Lease, Timestamp};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// An address: leases of it, and delegated prefixes that it lies in.
    Address(IpAddr),
    /// All addresses that begin with these bits; of IPv6 also delegated prefixes that lie in it or
    /// that it lies in.
    Prefix(IpAddr, u8),
}

const V6_BITS: u8 = 128;

fn mask_v6(length: u8) -> u128 {
    let host = u32::from(V6_BITS.saturating_sub(length));
    u128::MAX.checked_shl(host).unwrap_or(0)
}

fn mask_v4(length: u8) -> u32 {
    u32::MAX
        .checked_shl(32u32.saturating_sub(u32::from(length)))
        .unwrap_or(0)
}

fn contains_v6(prefix: Ipv6Addr, length: u8, address: Ipv6Addr) -> bool {
    (prefix.to_bits() ^ address.to_bits()) & mask_v6(length) == 0
}

impl Scope {
    /// Whether a lease is asked for.
    pub fn has(&self, lease: Lease) -> bool {
        match (*self, lease) {
            (Self::Address(address), Lease::V4(_) | Lease::Address(_)) => {
                lease.address() == address
            }
            (Self::Address(IpAddr::V6(address)), Lease::Prefix(prefix, length)) => {
                contains_v6(prefix, length, address)
            }
            (Self::Prefix(IpAddr::V4(prefix), length), Lease::V4(address)) => {
                (prefix.to_bits() ^ address.to_bits()) & mask_v4(length) == 0
            }
            (Self::Prefix(IpAddr::V6(prefix), length), Lease::Address(address)) => {
                contains_v6(prefix, length, address)
            }
            (Self::Prefix(IpAddr::V6(prefix), length), Lease::Prefix(other, other_length)) => {
                contains_v6(prefix, length.min(other_length), other)
            }
            (Self::Address(IpAddr::V4(_)), Lease::Prefix(..))
            | (Self::Prefix(IpAddr::V4(_), _), Lease::Address(_) | Lease::Prefix(..))
            | (Self::Prefix(IpAddr::V6(_), _), Lease::V4(_)) => false,
        }
    }

    /// First and last of ranges, in the order of an index, that hold every lease which is asked for. No
    /// lease lies in two. `has_length` says which lengths of delegated prefixes there are.
    pub(super) fn ranges(&self, has_length: impl Fn(u8) -> bool) -> Vec<(Lease, Lease)> {
        let around = |address: Ipv6Addr, below: u8| {
            let lengths = (0..below).filter(|&length| has_length(length));
            lengths.map(move |length| {
                let prefix = Ipv6Addr::from_bits(address.to_bits() & mask_v6(length));
                let lease = Lease::Prefix(prefix, length);
                (lease, lease)
            })
        };
        match *self {
            Self::Address(IpAddr::V4(address)) => vec![(Lease::V4(address), Lease::V4(address))],
            Self::Address(IpAddr::V6(address)) => {
                let own = (Lease::Address(address), Lease::Address(address));
                std::iter::once(own)
                    .chain(around(address, V6_BITS + 1))
                    .collect()
            }
            Self::Prefix(IpAddr::V4(prefix), length) => {
                let first = prefix.to_bits() & mask_v4(length);
                let last = Ipv4Addr::from_bits(first | !mask_v4(length));
                vec![(Lease::V4(Ipv4Addr::from_bits(first)), Lease::V4(last))]
            }
            Self::Prefix(IpAddr::V6(prefix), length) => {
                let first = Ipv6Addr::from_bits(prefix.to_bits() & mask_v6(length));
                let last = Ipv6Addr::from_bits(first.to_bits() | !mask_v6(length));
                let mut ranges: Vec<_> = vec![
                    (Lease::Address(first), Lease::Address(last)),
                    (Lease::Prefix(first, length), Lease::Prefix(last, V6_BITS)),
                ];
                // Shorter ones with the same first address lie before that range.
                ranges.extend(around(first, length));
                ranges
            }
        }
    }
}

/// How a holding ended, or is going to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// Its lifetime was over.
    Expiry,
    /// The client gave it back.
    Released,
    /// An operator took it away.
    OperatorReleased,
    /// The client got another lease instead.
    Superseded,
    /// The client found it in use by somebody else.
    Declined,
    /// The same client goes on, but something else that is known of it has changed.
    Changed,
    /// Another client was granted it; why the first one no longer had it is not in the history.
    Reassigned,
}

/// Somebody held a lease for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// What.
    pub lease: Lease,
    /// Who.
    pub holder: Holder,
    /// The first second.
    pub since: Timestamp,
    /// The end. With [`Ending::Expiry`] the first second in which it was no longer held, else the last
    /// one in which it was.
    pub until: Timestamp,
    /// How it ended.
    pub ending: Ending,
    /// How often it was extended.
    pub extensions: u64,
    /// When it was last granted or extended.
    pub last_extended: Timestamp,
}

impl Holding {
    /// Whether the lease was held in a second, or in part of it.
    pub fn is_at(&self, time: Timestamp) -> bool {
        let is_before_end = match self.ending {
            Ending::Expiry => time < self.until,
            Ending::Released
            | Ending::OperatorReleased
            | Ending::Superseded
            | Ending::Declined
            | Ending::Changed
            | Ending::Reassigned => time <= self.until,
        };
        self.since <= time && is_before_end
    }

    /// Whether it was held at some time from one second to another, both included.
    pub fn is_within(&self, from: Timestamp, to: Timestamp) -> bool {
        self.since <= to && (self.until > from || self.is_at(from))
    }

    fn end(&mut self, time: Timestamp, ending: Ending) {
        self.until = time.max(self.since);
        self.ending = ending;
    }
}

/// What entries of one lease, in the order of the chain, say about who held it.
pub fn holdings(mut entries: Vec<Entry>) -> Vec<Holding> {
    put_in_order(&mut entries);
    let mut holdings: Vec<Holding> = Vec::new();
    for entry in entries {
        match entry.event {
            Event::Leased => lease(&mut holdings, entry),
            Event::Released => end(&mut holdings, &entry, Ending::Released),
            Event::OperatorReleased => end(&mut holdings, &entry, Ending::OperatorReleased),
            Event::Superseded => end(&mut holdings, &entry, Ending::Superseded),
            Event::Declined => end(&mut holdings, &entry, Ending::Declined),
        }
    }
    holdings
}

fn lease(holdings: &mut Vec<Holding>, entry: Entry) {
    let mut extensions = 0;
    if let Some(last) = holdings.last_mut() {
        let goes_on = last.ending == Ending::Expiry && last.until >= entry.time;
        if goes_on && last.holder == entry.holder {
            last.until = entry.expires;
            last.extensions += 1;
            last.last_extended = entry.time;
            return;
        }
        if goes_on && last.holder.is_same_client(&entry.holder) {
            last.end(entry.time, Ending::Changed);
            extensions = 1;
        } else if goes_on && last.until > entry.time {
            last.end(entry.time, Ending::Reassigned);
        }
    }
    holdings.push(Holding {
        lease: entry.lease,
        since: entry.time,
        until: entry.expires,
        ending: Ending::Expiry,
        extensions,
        last_extended: entry.time,
        holder: entry.holder,
    });
}

/// Ends the client's holding: the last one, or the one before if another client was granted the lease in
/// the same second and that came to the history first.
fn end(holdings: &mut [Holding], entry: &Entry, ending: Ending) {
    let own = |holding: &&mut Holding| holding.holder.is_same_client(&entry.holder);
    let Some(holding) = holdings.iter_mut().rev().take(2).find(own) else {
        return;
    };
    let is_open = holding.ending == Ending::Expiry && holding.until > entry.time;
    let was_cut = holding.ending == Ending::Reassigned && holding.until == entry.time;
    if is_open || was_cut {
        holding.end(entry.time, ending);
    }
}

/// By time; in one second the entries of one partition by their generations, in the places that these
/// entries have in the chain. With durability "process" threads hand over one after the other what they
/// did at the same time.
fn put_in_order(entries: &mut [Entry]) {
    entries.sort_by_key(|entry| entry.time);
    for second in entries.chunk_by_mut(|one, other| one.time == other.time) {
        for place in 1..second.len() {
            let mut at = place;
            // Insertion, past entries of other partitions.
            while let Some(before) = earlier_of_same_partition(second, at) {
                let is_later = second.get(before).map(|entry| entry.generation)
                    > second.get(at).map(|entry| entry.generation);
                if !is_later {
                    break;
                }
                second.swap(before, at);
                at = before;
            }
        }
    }
}

fn earlier_of_same_partition(entries: &[Entry], at: usize) -> Option<usize> {
    let partition = entries.get(at)?.partition;
    let before = entries.get(..at)?;
    before
        .iter()
        .rposition(|entry| entry.partition == partition)
}
