//! On which link is the client? From how its message arrived to a network and a subnet.

use crate::class::Memberships;
use crate::subnet::{Interface, Policy, Subnet4};
use core::net::Ipv4Addr;

/// A subnet of the policy: positions in `networks_v4` and in the network's `subnets`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Place {
    pub(super) network: usize,
    pub(super) subnet: usize,
}

/// How a client's subnet was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum FoundBy {
    /// By the link from which the message came, ours or a relay agent's.
    #[default]
    Link,
    /// Only by the address that the client says it has. Anybody who reaches us by unicast can say that.
    Address,
}

/// What a message says of where its client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Through a relay agent, which may name the client's link apart from its own address.
    Relayed {
        giaddr: Ipv4Addr,
        link_selection: Option<Ipv4Addr>,
    },
    /// Straight from the client, which is on the link of the interface.
    OnLink,
    /// From the client to our own address, with the address it has: routers may lie between.
    Routed { ciaddr: Ipv4Addr },
}

/// The client's subnet, among those that its classes let it use; all subnets of its network are on the same
/// link.
pub(super) fn select(
    policy: &Policy,
    interface: &Interface,
    arrival: Arrival,
    classes: &Memberships,
) -> Option<(Place, FoundBy)> {
    let place = match arrival {
        // RFC 3527 section 3 [link-selection]: the sub-option alone decides on which link the address
        // lies; when we do not serve that link, nothing is offered.
        Arrival::Relayed {
            link_selection: Some(link),
            ..
        } => containing(policy, classes, link),
        // RFC 2131 section 4.3.1 [subnet-by-giaddr]: a relayed client is on the relay agent's link.
        Arrival::Relayed {
            giaddr,
            link_selection: None,
        } => first(policy, classes, |subnet| subnet.relays.contains(&giaddr))
            .or_else(|| containing(policy, classes, giaddr)),
        // RFC 2131 section 4.3.1 [subnet-by-interface]: one that is not is on ours.
        Arrival::OnLink => on_link(policy, classes, interface),
        // RFC 2131 section 4.3.2 [renewing-trusts-ciaddr]: a renewal comes straight from a client that may
        // be behind a relay agent, which then has no part in it; its address says where it is.
        Arrival::Routed { ciaddr } => {
            let here = on_link(policy, classes, interface);
            if !here.is_some_and(|place| network_contains(policy, place, ciaddr))
                && let Some(place) = containing(policy, classes, ciaddr)
            {
                return Some((place, FoundBy::Address));
            }
            here
        }
    };
    place.map(|place| (place, FoundBy::Link))
}

/// The subnet bound to the interface by name, else the one in which an address of the interface lies.
fn on_link(policy: &Policy, classes: &Memberships, interface: &Interface) -> Option<Place> {
    let by_name = first(policy, classes, |subnet| {
        subnet.interface.as_ref() == Some(&interface.name)
    });
    by_name.or_else(|| {
        let mut addresses = interface.v4.iter();
        addresses.find_map(|&address| {
            longest(policy, classes, |subnet| {
                subnet.interface.is_none() && subnet.contains(address)
            })
        })
    })
}

fn containing(policy: &Policy, classes: &Memberships, address: Ipv4Addr) -> Option<Place> {
    longest(policy, classes, |subnet| subnet.contains(address))
}

fn network_contains(policy: &Policy, place: Place, address: Ipv4Addr) -> bool {
    let network = policy.networks_v4.get(place.network);
    network.is_some_and(|network| {
        network
            .subnets
            .iter()
            .any(|subnet| subnet.contains(address))
    })
}

/// The subnets that the client may use, each with its place.
fn places<'p>(
    policy: &'p Policy,
    classes: &'p Memberships,
) -> impl Iterator<Item = (Place, &'p Subnet4)> {
    let networks = policy.networks_v4.iter().enumerate();
    let networks = networks.filter(|(_, entry)| entry.access.guard.permits(classes));
    let all = networks.flat_map(|(network, entry)| {
        let subnets = entry.subnets.iter().enumerate();
        subnets.map(move |(subnet, entry)| (Place { network, subnet }, entry))
    });
    all.filter(|(_, subnet)| subnet.access.guard.permits(classes))
}

fn first(
    policy: &Policy,
    classes: &Memberships,
    is_it: impl Fn(&Subnet4) -> bool,
) -> Option<Place> {
    places(policy, classes)
        .find(|(_, subnet)| is_it(subnet))
        .map(|(place, _)| place)
}

/// The one with the longest prefix, the first among equals.
fn longest(
    policy: &Policy,
    classes: &Memberships,
    is_it: impl Fn(&Subnet4) -> bool,
) -> Option<Place> {
    let mut best: Option<(Place, &Subnet4)> = None;
    for (place, subnet) in places(policy, classes).filter(|(_, subnet)| is_it(subnet)) {
        if best.is_none_or(|(_, known)| subnet.prefix_len > known.prefix_len) {
            best = Some((place, subnet));
        }
    }
    best.map(|(place, _)| place)
}
