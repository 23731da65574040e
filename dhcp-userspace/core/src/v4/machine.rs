//! By which of its names does a machine have what is reserved for its hardware address? Its boot ROM, its installer and
//! its system each send a client identifier of their own, or none.

use super::context::way;
use super::query::{Kind, Query};
use crate::subnet::{Network, Policy, ReservedBy, Subnet4};
use crate::surroundings::Way;
use core::net::Ipv4Addr;
use dhcp_lease::{Key, Lease, Partitions, SubnetId, Timestamp};

/// Has a client for whose hardware address an address is reserved count by that, whatever client identifier it sends:
/// the operator named the machine, and all that boots on it is one client with one lease. To be called after
/// `classify` and before the query's key is asked for.
///
/// It goes on under its identifier while it has the address under that one (it was reserved when the client had it
/// already), while somebody else has the address, and where its lease under the identifier counts against a limit.
///
/// One partition is locked at a time, two at most; no heap.
// RFC 4361 section 6.3 [hardware-by-operator-only]: the operator's word, here for one machine.
pub fn find_name(query: &mut Query, policy: &Policy, partitions: &Partitions, now: Timestamp) {
    let (Some(reserved), Some(network)) = (query.machine_address, query.network(policy)) else {
        return;
    };
    let by_client = query.key();
    let by_hardware = Key {
        client: &[],
        ..by_client
    };
    let of_hardware = Holding::of(&by_hardware, network, partitions, now);
    if of_hardware.title(reserved) == Title::Present {
        query.matches_client = false;
        return;
    }
    let of_client = Holding::of(&by_client, network, partitions, now);
    let (of_machine, of_name) = (of_hardware.title(reserved), of_client.title(reserved));
    query.matches_client = match policy.pools.is_taken(Lease::V4(reserved)) {
        true => of_name > of_machine || of_machine == Title::None,
        false => {
            let is_counted = of_client.is_live && of_client.counts;
            is_counted || of_client.renews(query, network)
        }
    };
}

/// What a name has to do with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Title {
    None,
    /// It had it.
    Former,
    /// It has it, or was offered it.
    Present,
}

/// What is held under one name in a network.
struct Holding {
    lease: Option<Lease>,
    is_live: bool,
    offered: Option<Lease>,
    /// Whether leases are counted at all.
    counts: bool,
}

impl Holding {
    fn of(
        key: &Key<'_>,
        network: &Network<Subnet4>,
        partitions: &Partitions,
        now: Timestamp,
    ) -> Self {
        let within = |id: SubnetId| network.subnets.iter().any(|subnet| subnet.id == id);
        let partition = partitions.lock(partitions.index_of(key.spread_octets()));
        let partition = partition.as_deref();
        let terms = partition.and_then(|it| it.terms(it.find(key, within)?));
        let offer = partition.and_then(|it| it.offer(key, within, now));
        Self {
            lease: terms.map(|terms| terms.lease),
            is_live: terms.is_some_and(|terms| terms.is_live(now)),
            offered: offer.map(|offer| offer.lease),
            counts: partition.is_some_and(dhcp_lease::Partition::counts_leases),
        }
    }

    fn title(&self, address: Ipv4Addr) -> Title {
        let address = Some(Lease::V4(address));
        match self.lease == address {
            _ if self.offered == address => Title::Present,
            true if self.is_live => Title::Present,
            true => Title::Former,
            false => Title::None,
        }
    }

    /// Whether this is the renewal of its lease past the relay agents, where what those tell may have another address
    /// reserved: the message does not say.
    fn renews(&self, query: &Query, network: &Network<Subnet4>) -> bool {
        let mut reservations = network.subnets.iter().map(|subnet| &subnet.reservations);
        query.kind() == Kind::Renewing
            && way(query) == Way::Unknown
            && self.is_live
            && self.lease == Some(Lease::V4(query.ciaddr))
            && reservations.any(|it| it.has_any_of_relay_agent() || it.has(ReservedBy::FlexId))
    }
}
