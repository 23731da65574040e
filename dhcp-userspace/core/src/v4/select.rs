//! On which link is the client? From how its message arrived to a network and a subnet.

use crate::networks::{Networks, Place, VpnNumber};
use crate::subnet::{Interface, Subnet4};
use core::net::Ipv4Addr;

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
        /// An address of the link, as the relay agent or, if it may, the client names it.
        selected: Option<Ipv4Addr>,
        vpn: VpnNumber,
    },
    /// Straight from the client, which is on the link of the interface.
    OnLink,
    /// From the client to our own address, with the address it has: routers may lie between.
    Routed { ciaddr: Ipv4Addr },
}

/// The client's subnet; all subnets of its network are on the same link.
pub(super) fn select(
    networks: &Networks<Subnet4>,
    interface: &Interface,
    arrival: Arrival,
) -> Option<(Place, FoundBy)> {
    let place = match arrival {
        // RFC 3527 section 3 [link-selection]: what selects a link alone decides on which link the address
        // lies; when we do not serve that link, nothing is offered. RFC 3011 section 2 [subnet-selection]:
        // the same holds for the client's own option.
        Arrival::Relayed {
            selected: Some(link),
            vpn,
            ..
        } => networks
            .containing(vpn, link)
            .or_else(|| networks.of_relay(vpn, link)),
        // RFC 2131 section 4.3.1 [subnet-by-giaddr]: a relayed client is on the relay agent's link.
        Arrival::Relayed {
            giaddr,
            selected: None,
            vpn,
        } => networks
            .of_relay(vpn, giaddr)
            .or_else(|| networks.containing(vpn, giaddr)),
        // RFC 2131 section 4.3.1 [subnet-by-interface]: one that is not is on ours.
        Arrival::OnLink => on_link(networks, interface),
        // RFC 2131 section 4.3.2 [renewing-trusts-ciaddr]: a renewal comes straight from a client that may
        // be behind a relay agent, which then has no part in it; its address says where it is. It cannot
        // say in which VPN: one in another than the global one renews through its relay agent (RFC 5107).
        Arrival::Routed { ciaddr } => {
            let here = on_link(networks, interface);
            if !here.is_some_and(|place| networks.is_in_network(place, ciaddr))
                && let Some(place) = networks.containing(VpnNumber::GLOBAL, ciaddr)
            {
                return Some((place, FoundBy::Address));
            }
            here
        }
    };
    place.map(|place| (place, FoundBy::Link))
}

/// The subnet bound to the interface by name, else the one in which an address of the interface lies.
fn on_link(networks: &Networks<Subnet4>, interface: &Interface) -> Option<Place> {
    networks.of_interface(&interface.name).or_else(|| {
        let mut addresses = interface.v4.iter();
        addresses.find_map(|&address| networks.unbound_containing(VpnNumber::GLOBAL, address))
    })
}
