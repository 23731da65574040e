//! What do the simulated clients put on the wire? Frames around messages, made with dhcp-wire.

use dhcp_wire::frame::{Addresses, Envelope, FRAME_SIZE_MAX, MacAddress, Tags};
use std::net::{Ipv4Addr, Ipv6Addr};

/// The server's IPv4 address, which is its identifier.
pub const SERVER_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// The server's Ethernet address.
pub const SERVER_MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
/// The server's link-local address.
pub const SERVER_LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// A DHCPv4 message of a client on the link, in its frame.
pub fn v4(
    mac: [u8; 6],
    source: Ipv4Addr,
    destination: Ipv4Addr,
    payload: impl FnOnce(&mut [u8]) -> usize,
) -> Vec<u8> {
    let addresses = Addresses::V4 {
        source,
        destination,
    };
    frame(mac, addresses, (68, 67), payload)
}

/// A DHCPv6 message of a client on the link, in its frame.
pub fn v6(mac: [u8; 6], payload: impl FnOnce(&mut [u8]) -> usize) -> Vec<u8> {
    let [.., a, b, c] = mac;
    let host = u16::from_be_bytes([b, c]);
    let addresses = Addresses::V6 {
        source: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, u16::from(a) + 1, host),
        destination: dhcp_wire::v6::ALL_RELAY_AGENTS_AND_SERVERS,
    };
    frame(mac, addresses, (546, 547), payload)
}

fn frame(
    mac: [u8; 6],
    addresses: Addresses,
    (source_port, destination_port): (u16, u16),
    payload: impl FnOnce(&mut [u8]) -> usize,
) -> Vec<u8> {
    let envelope = Envelope {
        source_mac: MacAddress(mac),
        destination_mac: MacAddress::BROADCAST,
        tags: Tags::default(),
        addresses,
        source_port,
        destination_port,
    };
    let mut frame = vec![0; FRAME_SIZE_MAX];
    let payload_len = payload(&mut frame[envelope.header_len()..]);
    let len = envelope.emit(&mut frame, payload_len).unwrap();
    frame.truncate(len);
    frame
}
