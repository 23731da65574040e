//! Which lease does an IA get?
//!
//! The order for an IA: its client's reservation, its live binding, its offer, a lease that the client
//! names, its former lease (these two the other way round if the operator says so), a new one. The first that is allowed on the link and free is chosen. While the
//! store is a restored copy, only what is the client's by the first three is: what is free may be somebody's.

use super::context::line;
use super::query::{IaKind, IaQuery, Query};
use crate::Policy;
use crate::class::Memberships;
use crate::limits;
use crate::own::OwnAddresses;
use crate::reservation::{Reservation, ReservedBy};
use crate::subnet::{Network, Preference, Subnet6};
use core::net::Ipv6Addr;
use dhcp_lease::{
    Bound, Claim, Context, Key, Lease, LeaseKind, Limits, Partition, PoolIndex, Pools, SlotNumber,
    SubnetId, Terms, Timestamp,
};

/// What the policy says of the client's link and of the client itself.
#[derive(Clone, Copy)]
pub(super) struct Link<'a> {
    pub(super) policy: &'a Policy,
    pub(super) network: &'a Network<Subnet6>,
    pub(super) selected: &'a Subnet6,
    /// The client's reservation, and the subnet in which it is.
    pub(super) reserved: Option<(&'a Subnet6, &'a Reservation)>,
    /// Our own addresses on the link.
    own: &'a OwnAddresses<Ipv6Addr>,
    /// The client's classes.
    pub(super) classes: &'a Memberships,
    /// What relay agents tell of it.
    context: &'a Context,
}

/// A lease for an IA, and by what the client has it so far.
#[derive(Clone, Copy)]
pub(super) struct Choice<'a> {
    pub(super) lease: Lease,
    pub(super) subnet: &'a Subnet6,
    pub(super) hold: Hold,
}

/// By what a chosen lease is kept from others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// The IA's binding.
    Binding,
    /// An offer that was made to the IA.
    Offer,
    /// The claim that was made just now; it must be held, committed or given back.
    Claim,
}

/// An IA's binding in the client's network, live or former.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) slot: SlotNumber,
    pub(super) terms: Terms,
}

impl<'a> Link<'a> {
    /// The client's link. `None` when the policy has no such network.
    pub(super) fn of(query: &'a Query, policy: &'a Policy) -> Option<Self> {
        let network = policy.networks_v6.get(query.network)?;
        let selected = network.subnets.get(query.subnet)?;
        let reserved = reservation(policy, network, selected, query)
            .filter(|(subnet, _)| subnet.access.guard.permits(&query.classes));
        Some(Self {
            policy,
            network,
            selected,
            reserved,
            own: &query.own,
            classes: &query.classes,
            context: &query.context,
        })
    }

    /// What a lease of one of its subnets counts against.
    pub(super) fn limits(
        &self,
        partition: &Partition,
        subnet: &Subnet6,
        kind: LeaseKind,
    ) -> Limits {
        let of_classes = (&self.policy.classes_v6, self.classes);
        let of_subnet = (subnet.id, &subnet.limits);
        let line = |key| line(self.context, key);
        limits::limits(partition, kind, of_subnet, line, of_classes)
    }

    /// Which limit stands against a lease of a subnet for the IA whose binding is in `slot`, as it looks at the
    /// moment.
    fn reached(
        &self,
        partition: &Partition,
        subnet: &Subnet6,
        kind: LeaseKind,
        slot: Option<SlotNumber>,
        now: Timestamp,
    ) -> Option<Bound> {
        if !partition.counts_leases() {
            return None;
        }
        partition.limit_reached(slot, &self.limits(partition, subnet, kind), now)
    }

    /// Which limit stands against a lease of any of its subnets that have pools for it, if one stands against all.
    pub(super) fn full(
        &self,
        partition: &Partition,
        kind: LeaseKind,
        slot: Option<SlotNumber>,
        now: Timestamp,
    ) -> Option<Bound> {
        let has_pools = |subnet: &&Subnet6| match kind {
            LeaseKind::Prefix => !subnet.pd_pools.is_empty(),
            LeaseKind::Address | LeaseKind::V4 => !subnet.pools.is_empty(),
        };
        let subnets = self.subnets().filter(has_pools);
        let reached = subnets.map(|subnet| self.reached(partition, subnet, kind, slot, now));
        reached.reduce(|one, other| one.and(other)).flatten()
    }

    pub(super) fn pools(&self) -> &'a Pools {
        &self.policy.pools
    }

    pub(super) fn has(&self, subnet: SubnetId) -> bool {
        self.network.subnets.iter().any(|known| known.id == subnet)
    }

    /// Whether an address or prefix is appropriate for the link (RFC 8415 section 18.3.4).
    pub(super) fn is_on_link(&self, lease: Lease) -> bool {
        let delegated = || self.pool_subnet(lease).is_some();
        match lease {
            Lease::Address(address) => self
                .network
                .subnets
                .iter()
                .any(|subnet| subnet.contains(address)),
            Lease::Prefix(..) => delegated() || self.is_reserved_for_client(lease),
            Lease::V4(_) => false,
        }
    }

    /// The subnet from which the client may have a lease: it is in a pool of the link and set apart for
    /// nobody else and not our own, or it is set apart for the client.
    fn allowed(&self, lease: Lease) -> Option<&'a Subnet6> {
        if self.is_reserved_for_client(lease) {
            return self.reserved.map(|(subnet, _)| subnet);
        }
        let pool = self.pools().pool_of(lease)?;
        self.pool_subnet(lease)
            .filter(|subnet| self.may_use(subnet, pool))
            .filter(|_| !self.pools().is_reserved(lease) && !self.is_own(lease))
    }

    /// Whether the client's classes let it have leases of a pool, which is of this subnet. A lease that the
    /// client got when they did is not extended any more.
    fn may_use(&self, subnet: &Subnet6, pool: PoolIndex) -> bool {
        subnet.access.guard.permits(self.classes)
            && self.policy.pool_guard(pool).permits(self.classes)
    }

    fn is_own(&self, lease: Lease) -> bool {
        matches!(lease, Lease::Address(address) if self.own.contains(&address))
    }

    fn is_reserved_for_client(&self, lease: Lease) -> bool {
        self.reserved.is_some_and(|(subnet, reservation)| {
            // A global reservation may be of an address elsewhere.
            let fits = match lease {
                Lease::Address(address) => subnet.contains(address),
                Lease::Prefix(..) => true,
                Lease::V4(_) => false,
            };
            fits && reservation.leases.contains(&lease)
        })
    }

    fn pool_subnet(&self, lease: Lease) -> Option<&'a Subnet6> {
        let pool = self.pools().pool_of(lease)?;
        self.network
            .subnets
            .iter()
            .find(|subnet| subnet.pools.contains(&pool) || subnet.pd_pools.contains(&pool))
    }

    /// The subnets of the link, the selected one first.
    fn subnets(&self) -> impl Iterator<Item = &'a Subnet6> + use<'a> {
        let selected = self.selected;
        let others = self
            .network
            .subnets
            .iter()
            .filter(move |other| !core::ptr::eq(*other, selected));
        core::iter::once(selected).chain(others)
    }
}

/// The client's reservation on the link, in the selected subnet before the others.
pub(super) fn reservation<'a>(
    policy: &'a Policy,
    network: &'a Network<Subnet6>,
    selected: &'a Subnet6,
    query: &Query,
) -> Option<(&'a Subnet6, &'a Reservation)> {
    let identifier = |by| match by {
        ReservedBy::Duid => query.client.as_slice(),
        ReservedBy::HardwareAddress => query.hardware.as_slice(),
        ReservedBy::FlexId => query.flexible.as_slice(),
        ReservedBy::CircuitId
        | ReservedBy::ClientId
        | ReservedBy::RemoteId
        | ReservedBy::SubscriberId => &[],
    };
    let hosts = &policy.hosts_v6;
    let in_subnet = |subnet: &'a Subnet6| {
        let host = hosts.find(&subnet.reservations, identifier)?;
        let reservation = hosts.reservation(&subnet.reservations, host)?;
        Some((subnet, reservation))
    };
    core::iter::once(selected)
        .chain(&network.subnets)
        .find_map(in_subnet)
}

/// The IA's binding on the link, live or former. Of several live ones (the client was moved from one lease to
/// another) it is the one that the client can keep, and if it can keep any, the one that it names.
pub(super) fn find(
    partition: &Partition,
    ia: &IaQuery,
    key: &Key<'_>,
    link: &Link<'_>,
) -> Option<Found> {
    let worth = |lease| {
        let is_named = ia.named().any(|named| named == lease);
        let is_allowed = link.allowed(lease).is_some();
        (link.is_reserved_for_client(lease), is_allowed, is_named)
    };
    let slot = partition.find_best(key, |subnet| link.has(subnet), worth)?;
    let terms = partition.terms(slot)?;
    Some(Found { slot, terms })
}

/// The IA's live binding of exactly this lease on the link.
pub(super) fn find_live(
    partition: &Partition,
    key: &Key<'_>,
    lease: Lease,
    link: &Link<'_>,
    now: Timestamp,
) -> Option<Found> {
    let slot = partition.find_lease(key, lease)?;
    let terms = partition.terms(slot)?;
    let found = Found { slot, terms };
    (terms.is_live(now) && link.has(terms.subnet)).then_some(found)
}

/// Chooses the lease for an IA. `None`: there is none to be had.
pub(super) fn choose<'a>(
    link: &Link<'a>,
    partition: &mut Partition,
    ia: &IaQuery,
    key: &Key<'_>,
    found: Option<&Found>,
    now: Timestamp,
) -> Option<Choice<'a>> {
    let live = found
        .filter(|found| found.terms.is_live(now))
        .map(|found| found.terms.lease);
    let former = found.filter(|found| !found.terms.is_live(now));
    let offer = partition
        .offer(key, |subnet| link.has(subnet), now)
        .map(|offer| offer.lease);
    let slot = found.map(|found| found.slot);
    let mut take = |lease: Lease| {
        let subnet = link.allowed(lease)?;
        if link
            .reached(partition, subnet, lease.kind(), slot, now)
            .is_some()
        {
            return None;
        }
        let hold = if live == Some(lease) {
            Hold::Binding
        } else if offer == Some(lease) {
            Hold::Offer
        } else if partition.claim(key, lease, link.pools(), now) == Claim::Claimed {
            Hold::Claim
        } else {
            return None;
        };
        Some(Choice {
            lease,
            subnet,
            hold,
        })
    };
    let reserved = link
        .reserved
        .iter()
        .flat_map(|(_, reservation)| &reservation.leases)
        .copied();
    let mut reserved = reserved
        .filter(|lease| Some(lease.kind()) == ia.kind.lease_kind())
        .filter(|lease| link.is_reserved_for_client(*lease));
    let former = former
        .map(|found| found.terms.lease)
        .filter(|lease| fits(*lease, ia));
    let allowed = |lease: &Lease| link.allowed(*lease).is_some();
    let own = reserved
        .find_map(&mut take)
        .or_else(|| live.filter(allowed).and_then(&mut take))
        .or_else(|| offer.filter(allowed).and_then(&mut take));
    // What a restored store believes free may be somebody's by now.
    if own.is_some() || link.pools().withholds(now) {
        return own;
    }
    let former = former.filter(allowed);
    // RFC 9915 section 21.6 leaves the order to us: requirements A10 and A11 have the hint first.
    let before = match link.policy.preference_v6 {
        Preference::Requested => None,
        Preference::Former => former.and_then(&mut take),
    };
    before
        .or_else(|| ia.named().filter(allowed).find_map(&mut take))
        .or_else(|| former.and_then(&mut take))
        .or_else(|| new_lease(link, partition, ia, slot, now))
}

/// Chooses the first free lease among those that the client names, for an IA that we do not know.
pub(super) fn choose_named<'a>(
    link: &Link<'a>,
    partition: &mut Partition,
    ia: &IaQuery,
    key: &Key<'_>,
    slot: Option<SlotNumber>,
    now: Timestamp,
) -> Option<Choice<'a>> {
    ia.named().find_map(|lease| {
        let subnet = link.allowed(lease)?;
        let reached = link.reached(partition, subnet, lease.kind(), slot, now);
        if reached.is_some() {
            return None;
        }
        // `claim` also takes over the client's own offer.
        let claim = partition.claim(key, lease, link.pools(), now);
        (claim == Claim::Claimed).then_some(Choice {
            lease,
            subnet,
            hold: Hold::Claim,
        })
    })
}

/// Whether a former prefix has the length that the client wishes for now.
fn fits(lease: Lease, ia: &IaQuery) -> bool {
    // RFC 8168 section 3.2 [length-hint-before-record]: a client that names a length only wants that
    // length, not necessarily what it had before.
    match (lease, ia.wished_len()) {
        (Lease::Prefix(_, len), Some(wished)) => len == wished,
        (Lease::Prefix(..) | Lease::Address(_) | Lease::V4(_), _) => true,
    }
}

/// A lease that nobody has, from the pools of the link in their order.
fn new_lease<'a>(
    link: &Link<'a>,
    partition: &Partition,
    ia: &IaQuery,
    slot: Option<SlotNumber>,
    now: Timestamp,
) -> Option<Choice<'a>> {
    let kind = ia.kind.lease_kind()?;
    let claim_next = |(subnet, pool): (&'a Subnet6, &'a PoolIndex)| {
        if !link.may_use(subnet, *pool)
            || link.reached(partition, subnet, kind, slot, now).is_some()
        {
            return None;
        }
        // An address of ours stays claimed, so each is met once.
        let mut next = core::iter::from_fn(|| link.pools().claim_next(*pool));
        let lease = next.find(|lease| !link.is_own(*lease))?;
        Some(Choice {
            lease,
            subnet,
            hold: Hold::Claim,
        })
    };
    let wished = ia.hints().iter().find_map(prefix_len);
    match (ia.kind, wished) {
        (IaKind::Addresses, _) => link.subnets().flat_map(pools).find_map(claim_next),
        (IaKind::Prefixes, None) => link.subnets().flat_map(pd_pools).find_map(claim_next),
        (IaKind::Prefixes, Some(wished)) => {
            let mut nearest = None;
            loop {
                let distance = next_distance(link, wished, nearest)?;
                let at = |(_, pool): &(&Subnet6, &PoolIndex)| {
                    pool_distance(link, **pool, wished) == Some(distance)
                };
                let choice = link
                    .subnets()
                    .flat_map(pd_pools)
                    .filter(at)
                    .find_map(claim_next);
                if choice.is_some() {
                    return choice;
                }
                nearest = Some(distance); // strictly grows, and there are 256 distances
            }
        }
        (IaKind::Temporary, _) => None,
    }
}

fn pools(subnet: &Subnet6) -> impl Iterator<Item = (&Subnet6, &PoolIndex)> {
    subnet.pools.iter().map(move |pool| (subnet, pool))
}

fn pd_pools(subnet: &Subnet6) -> impl Iterator<Item = (&Subnet6, &PoolIndex)> {
    subnet.pd_pools.iter().map(move |pool| (subnet, pool))
}

fn prefix_len(lease: &Lease) -> Option<u8> {
    match lease {
        Lease::Prefix(_, len) => Some(*len),
        Lease::Address(_) | Lease::V4(_) => None,
    }
}

/// The smallest distance beyond `nearest` that a pool of the link has from the wished length.
fn next_distance(link: &Link<'_>, wished: u8, nearest: Option<u16>) -> Option<u16> {
    let distances = link
        .subnets()
        .flat_map(pd_pools)
        .filter_map(|(_, pool)| pool_distance(link, *pool, wished))
        .filter(|distance| nearest.is_none_or(|nearest| *distance > nearest));
    distances.min()
}

/// How far a pool's prefixes are from the wished length; shorter ones are all nearer than longer ones.
fn pool_distance(link: &Link<'_>, pool: PoolIndex, wished: u8) -> Option<u16> {
    // RFC 8168 section 3.2 [length-hint-shorter-and-closest]
    let len = prefix_len(&link.pools().range(pool)?.first)?;
    Some(match wished.checked_sub(len) {
        Some(shorter_by) => u16::from(shorter_by),
        None => 128 + u16::from(len.saturating_sub(wished)),
    })
}
