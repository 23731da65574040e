//! What is there to hand out? Pools that lie in their subnets, no two of them over one address.

use super::placed::Placed;
use super::{Checker, default, ipv6, value_or};
use crate::config::file::{HandingOut, PdPool};
use crate::config::notation::{self, Family, Prefix, Range};
use crate::config::report::{At, Spot};
use dhcp_core::alarms::Watched;
use dhcp_lease::{Allocator, Lease, PoolIndex, PoolRange};
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::ops::RangeInclusive;

/// What is to be done about subnets of two VPNs with common addresses.
const OTHER_VPN: &str = "they are of different VPNs, but a lease is known by its address alone; give one of them other \
                         addresses, or a server of its own";

/// What the IANA registries of special-purpose addresses keep from hosts for good (RFC 6890; RFC 1112;
/// RFC 4291 sections 2.5 and 2.7).
const UNUSABLE: [(&str, &str); 8] = [
    ("0.0.0.0/8", "\"this network\""),
    ("127.0.0.0/8", "loopback"),
    ("224.0.0.0/4", "multicast"),
    ("255.255.255.255/32", "the limited broadcast"),
    ("::/128", "the unspecified address"),
    ("::1/128", "loopback"),
    ("fe80::/10", "link-local"),
    ("ff00::/8", "multicast"),
];

/// Interface identifiers that belong to no host (RFC 5453): of the routers' anycast address
/// (RFC 4291 section 2.6.1), of IANA's own Ethernet block, and of the anycast addresses of RFC 2526.
const RESERVED_IDENTIFIERS: [(u128, u128); 3] = [
    (0, 0),
    (0x0200_5eff_fe00_0000, 0x0200_5eff_fe00_5213),
    (0xfdff_ffff_ffff_ff80, 0xfdff_ffff_ffff_ffff),
];
/// How many bits an interface identifier has.
const IDENTIFIER_BITS: u32 = 64;
/// How many anycast addresses end a subnet (RFC 2526 section 2), and the longest prefix of a subnet that
/// has others besides them.
const ANYCAST_COUNT: u128 = 128;
const ANYCAST_PREFIX_MAX: u8 = 120;

/// An address as a lease.
pub(super) fn address_lease(address: IpAddr) -> Lease {
    match address {
        IpAddr::V4(address) => Lease::V4(address),
        IpAddr::V6(address) => Lease::Address(address),
    }
}

impl Checker<'_> {
    pub(super) fn subnet_overlaps(&mut self, subnets: &[Placed<'_>]) {
        let range = |placed: &Placed<'_>| {
            let subnet = placed.written.subnet.clone()?;
            Some(At {
                value: subnet.value.range(),
                spot: subnet.spot,
            })
        };
        let all: Vec<_> = subnets.iter().filter_map(range).collect();
        let vpn = |placed: &Placed<'_>| {
            let place = placed.written.subnet.as_ref()?.spot.offset;
            let vpn = placed.parameters.vpn.as_ref().map(|it| it.value.clone());
            Some((place, vpn))
        };
        let vpns: HashMap<_, _> = subnets.iter().filter_map(vpn).collect();
        // A lease is known by its address, in the store and to whoever asks for it.
        let advice =
            |one: &Spot, other: &Spot| match vpns.get(&one.offset) == vpns.get(&other.offset) {
                true => None,
                false => Some(OTHER_VPN),
            };
        self.overlaps_advising(&all, advice);
    }

    pub(super) fn pd_pool_overlaps(&mut self, subnets: &[Placed<'_>]) {
        let pd_pools = subnets.iter().flat_map(|placed| &placed.written.pd_pools);
        let mut all: Vec<At<Range>> = pd_pools
            .map(|it| At {
                spot: it.spot.clone(),
                value: it.value.prefix.range(),
            })
            .collect();
        let pools = subnets
            .iter()
            .filter(|placed| placed.written.family == Family::V6);
        if !all.is_empty() {
            all.extend(pools.flat_map(|placed| &placed.written.pools).cloned());
        }
        self.overlaps(&all);
    }

    /// Reports every range that overlaps one before it. Sorting finds all in one pass.
    pub(super) fn overlaps(&mut self, all: &[At<Range>]) {
        self.overlaps_advising(all, |_, _| None);
    }

    /// The same; `advice` says what to do about two of them.
    fn overlaps_advising(
        &mut self,
        all: &[At<Range>],
        advice: impl Fn(&Spot, &Spot) -> Option<&'static str>,
    ) {
        let mut sorted: Vec<_> = all.iter().collect();
        sorted.sort_by_key(|it| (it.value.family, it.value.first, it.spot.offset));
        let mut widest: Option<&At<Range>> = None;
        for this in sorted {
            let other = widest.filter(|it| it.value.family == this.value.family);
            if let Some(other) = other.filter(|it| it.value.last >= this.value.first) {
                let (later, earlier) = match this.spot.offset > other.spot.offset {
                    true => (this, other),
                    false => (other, this),
                };
                let place = self.report.name(&earlier.spot);
                let (later_range, earlier_range) = (later.value, earlier.value);
                let advice = advice(&later.spot, &earlier.spot);
                let message =
                    if later_range.holds(&earlier_range) && earlier_range.holds(&later_range) {
                        let advice = advice.unwrap_or("keep one");
                        format!("{later_range} is {place} too; {advice}")
                    } else {
                        let advice = advice.unwrap_or("shrink one of them");
                        format!("{later_range} overlaps {place}, {earlier_range}; {advice}")
                    };
                self.report.error(&later.spot, message);
            }
            if other.is_none_or(|it| it.value.last < this.value.last) {
                widest = Some(this);
            }
        }
    }

    pub(super) fn address_pools(&mut self, placed: &Placed<'_>, subnet: Prefix) -> Vec<PoolIndex> {
        let pools = &placed.written.pools;
        if placed.written.pd_pools.is_empty() {
            // With pd-pools, `pd_pool_overlaps` has compared all at once.
            self.overlaps(pools);
        }
        if pools.is_empty()
            && placed.written.pd_pools.is_empty()
            && placed.reservations.is_empty()
            && !value_or(&placed.parameters.reservations_global, false)
        {
            let message = "has neither pools nor reservations; nobody gets a lease from it";
            self.report.warn(&placed.written.spot, message);
        }
        let handing_out = &placed.written.handing_out;
        let all: Vec<PoolIndex> = pools
            .iter()
            .zip(handing_out)
            .filter_map(|(pool, own)| self.address_pool(pool, own, placed, subnet))
            .collect();
        self.watch_declined(placed, &all);
        all
    }

    /// Has the declined leases of a subnet's pools watched.
    fn watch_declined(&mut self, placed: &Placed<'_>, pools: &[PoolIndex]) {
        let written = &placed.parameters.decline_alarm_percent;
        let percent = value_or(written, default::DECLINE_ALARM_PERCENT);
        if let Some(subnet) = placed.written.subnet.as_ref().filter(|_| percent > 0) {
            self.alarms.declined.push(Watched {
                name: subnet.value.to_string(),
                pools: pools.to_vec(),
                percent,
            });
        }
    }

    fn address_pool(
        &mut self,
        pool: &At<Range>,
        own: &HandingOut,
        placed: &Placed<'_>,
        subnet: Prefix,
    ) -> Option<PoolIndex> {
        let range = pool.value;
        let mut first = range.first;
        if !subnet.range().holds(&range) {
            let message =
                format!("{range} is not inside of its subnet, {subnet}; correct one of the two");
            self.report.error(&pool.spot, message);
            return None;
        }
        self.unusable(&pool.spot, &range);
        match range.family {
            Family::V4 => self.edges_v4(&pool.spot, &range, subnet),
            // RFC 4291 section 2.6.1: the first address of a subnet is its routers' anycast address.
            Family::V6 if subnet.len < 127 && range.first == subnet.range().first => {
                if range.first == range.last {
                    let message = "holds nothing but the anycast address of the subnet's routers \
                                   (RFC 4291 section 2.6.1)";
                    self.report.error(&pool.spot, message);
                    return None;
                }
                first += 1;
            }
            Family::V6 => {}
        }
        let count = (range.last - first).saturating_add(1);
        if range.family == Family::V6 {
            let handed_out = first.saturating_add(u128::from(PoolRange::COUNT_MAX) - 1);
            self.withhold(&pool.spot, first..=range.last.min(handed_out), subnet);
        } else if self.excludes_first_last_24 && subnet.len <= 24 {
            let edges = (first..=range.last).filter(|address| matches!(address & 0xff, 0 | 0xff));
            let edges = edges.map(|address| address_lease(range.family.address(address)));
            self.withheld.extend(edges);
        }
        let first = address_lease(range.family.address(first));
        let inherited = (
            &placed.parameters.allocator,
            &placed.parameters.low_water_percent,
        );
        Some(self.add_pool(&pool.spot, first, count, own, inherited))
    }

    // RFC 9915 section 13.1: what is reserved for another purpose must not be assigned. A pool is no longer
    // than 2^24 addresses, so it lies in two blocks of interface identifiers at most.
    fn withhold(&mut self, spot: &Spot, pool: RangeInclusive<u128>, subnet: Prefix) {
        let mut reserved = Vec::new();
        if subnet.len <= ANYCAST_PREFIX_MAX {
            let last = subnet.range().last;
            reserved.push((last - (ANYCAST_COUNT - 1), last));
        }
        if u32::from(subnet.len) <= IDENTIFIER_BITS {
            let block = |address: &u128| address >> IDENTIFIER_BITS << IDENTIFIER_BITS;
            let blocks = [block(pool.start()), block(pool.end())];
            let in_block =
                |block| RESERVED_IDENTIFIERS.map(|(first, last)| (block | first, block | last));
            reserved.extend(blocks.into_iter().flat_map(in_block));
        }
        let in_pool =
            |(first, last): (u128, u128)| first.max(*pool.start())..=last.min(*pool.end());
        let withheld: BTreeSet<u128> = reserved.into_iter().flat_map(in_pool).collect();
        if !withheld.is_empty() {
            let message = format!(
                "holds addresses that IPv6 keeps from hosts in every subnet (RFC 2526, RFC 5453); {} of \
                 them are not handed out",
                withheld.len()
            );
            self.report.warn(spot, message);
        }
        let leases = withheld.into_iter().map(Ipv6Addr::from_bits);
        self.withheld.extend(leases.map(Lease::Address));
    }

    pub(super) fn pd_pools(&mut self, placed: &Placed<'_>) -> Vec<PoolIndex> {
        let pools = placed.written.pd_pools.iter();
        let all: Vec<PoolIndex> = pools.map(|pool| self.pd_pool(pool, placed)).collect();
        if !all.is_empty() {
            self.watch_declined(placed, &all);
        }
        all
    }

    fn pd_pool(&mut self, pool: &At<PdPool>, placed: &Placed<'_>) -> PoolIndex {
        let PdPool {
            prefix,
            delegated_len,
            handing_out,
        } = pool.value;
        let address = ipv6(prefix.address).unwrap_or(Ipv6Addr::UNSPECIFIED); // IPv6: read as such
        let bits = u32::from(delegated_len.saturating_sub(prefix.len));
        let count = 1u128.checked_shl(bits).unwrap_or(u128::MAX);
        let first = Lease::Prefix(address, delegated_len);
        let inherited = (
            &placed.parameters.pd_allocator,
            &placed.parameters.low_water_percent,
        );
        self.add_pool(&pool.spot, first, count, &handing_out, inherited)
    }

    fn add_pool(
        &mut self,
        spot: &Spot,
        first: Lease,
        count: u128,
        own: &HandingOut,
        (allocator, low_water): (&Option<At<Allocator>>, &Option<At<u32>>),
    ) -> PoolIndex {
        let most = PoolRange::COUNT_MAX;
        if count > u128::from(most) {
            let message = format!(
                "has more than {most} leases; the first {most} are handed out, the rest is not \
                 (several smaller pools reach further)"
            );
            self.report.warn(spot, message);
        }
        let index = PoolIndex(u32::try_from(self.ranges.len()).unwrap_or(u32::MAX));
        let count = u64::try_from(count).unwrap_or(most).min(most);
        self.ranges.push(PoolRange { first, count });
        let allocator = own
            .allocator
            .unwrap_or(value_or(allocator, Allocator::Iterative));
        self.allocators.push(allocator);
        let percent = own.low_water_percent.unwrap_or(value_or(low_water, 0));
        if percent > 0 {
            self.alarms.low_water.push(Watched {
                name: first.to_string(),
                pools: vec![index],
                percent,
            });
        }
        index
    }

    /// Reports addresses among these that no client can have, whatever the network.
    pub(super) fn unusable(&mut self, spot: &Spot, range: &Range) {
        for (block, what) in UNUSABLE {
            let Ok(unusable) = notation::range(range.family, block) else {
                continue; // of the other family
            };
            if unusable.overlaps(range) {
                let verb = if range.first == range.last {
                    "lies in"
                } else {
                    "overlaps"
                };
                let message = format!(
                    "{range} {verb} {block} ({what}), of which no client can have an address"
                );
                self.report.error(spot, message);
            }
        }
    }

    /// Many clients refuse the first and last address of an IPv4 subnet, and routers drop them.
    pub(super) fn edges_v4(&mut self, spot: &Spot, range: &Range, subnet: Prefix) {
        if subnet.len >= 31 {
            return; // RFC 3021: a /31 has hosts only
        }
        let whole = subnet.range();
        for (edge, name) in [(whole.first, "network"), (whole.last, "broadcast")] {
            let address = Family::V4.address(edge);
            if range.contains(address) {
                let verb = if range.first == range.last {
                    "is"
                } else {
                    "contains"
                };
                let message = format!(
                    "{verb} the {name} address of its subnet, {address}; many clients refuse it"
                );
                self.report.warn(spot, message);
            }
        }
    }
}
