//! On which link is the client, and where does the answer go?

use crate::networks::{Networks, Place, VpnNumber};
use crate::subnet::Subnet6;
use crate::{Discard, Interface, Policy};
use core::net::Ipv6Addr;
use dhcp_wire::frame::{Addresses, Envelope};
use dhcp_wire::v6::{self, RelayChain};

/// The client's link, by the subnet that tells it. `peer` is who sent the datagram.
///
/// # Errors
/// [`Discard::NoSubnet`].
pub(super) fn link(
    policy: &Policy,
    relays: &RelayChain<'_>,
    peer: Ipv6Addr,
    interface: &Interface,
) -> Result<Place, Discard> {
    // RFC 8415 section 13.1 [link-address-innermost]: the innermost link-address that is not zero; zero
    // is of a relay agent inside the link (RFC 6221), which cannot say.
    let link_address = relays
        .innermost_first()
        .map(|relay| relay.link_address())
        .find(|at| !at.is_unspecified());
    let networks = &policy.networks_v6;
    let global = VpnNumber::GLOBAL;
    let place = by_port(networks, relays).or_else(|| match link_address {
        Some(at) => networks
            .of_relay(global, at)
            .or_else(|| networks.containing(global, at)),
        // RFC 8415 section 13.1 [direct-link-by-interface]: a client, or a relay agent inside its link,
        // that speaks from a link-local address is on the link of the interface that heard it. A relay
        // agent elsewhere that does not say where (CVE-2010-3611) cannot be helped.
        None if relays.is_empty() || peer.is_unicast_link_local() => {
            by_interface(networks, interface)
        }
        None => None,
    });
    place.ok_or(Discard::NoSubnet)
}

/// By what a relay agent calls the client's port, innermost first: where a subnet is configured by it,
/// that is more precise than the link-address, which several ports share.
fn by_port(networks: &Networks<Subnet6>, relays: &RelayChain<'_>) -> Option<Place> {
    let mut ports = relays
        .innermost_first()
        .filter_map(|relay| relay.interface_id());
    ports.find_map(|port| networks.of_port(port))
}

/// By the interface: the subnet that is bound to it, else one in which it has an address.
fn by_interface(networks: &Networks<Subnet6>, interface: &Interface) -> Option<Place> {
    networks.of_interface(&interface.name).or_else(|| {
        let mut addresses = interface.v6.iter();
        addresses.find_map(|&own| networks.unbound_containing(VpnNumber::GLOBAL, own))
    })
}

/// The headers of the answer: to the neighbour that the message came from, tags as they came.
///
/// # Errors
/// [`Discard::BadDestination`] when that is nobody who can be answered.
pub(super) fn answer_envelope(
    received: &Envelope,
    relays: &RelayChain<'_>,
    interface: &Interface,
) -> Result<Envelope, Discard> {
    let Addresses::V6 {
        source: peer,
        destination,
    } = received.addresses
    else {
        return Err(Discard::NotForUs);
    };
    let is_ours =
        |address| interface.link_local == Some(address) || interface.v6.contains(&address);
    let is_group = received
        .source_mac
        .0
        .first()
        .is_some_and(|first| first & 1 == 1);
    if peer.is_multicast()
        || peer.is_unspecified()
        || peer.is_loopback()
        || is_ours(peer)
        || is_group
    {
        return Err(Discard::BadDestination);
    }
    // RFC 8415 section 18.3.10 [answer-to-source]: to the address that the message came from; a relay
    // agent listens on the server port (section 7.2), a client on the client port.
    let destination_port = if relays.is_empty() {
        v6::CLIENT_PORT
    } else {
        v6::SERVER_PORT
    };
    let own = if destination.is_multicast() {
        own_address(interface, peer).ok_or(Discard::BadDestination)?
    } else {
        // A relay agent expects its answer from the address that it wrote to.
        destination
    };
    Ok(Envelope {
        source_mac: interface.mac,
        destination_mac: received.source_mac,
        tags: received.tags,
        addresses: Addresses::V6 {
            source: own,
            destination: peer,
        },
        source_port: v6::SERVER_PORT,
        destination_port,
    })
}

/// The address to speak from: of the scope of the peer's where there is one.
fn own_address(interface: &Interface, peer: Ipv6Addr) -> Option<Ipv6Addr> {
    let global = interface.v6.first().copied();
    if peer.is_unicast_link_local() {
        interface.link_local.or(global)
    } else {
        global.or(interface.link_local)
    }
}
