//! The frames on which the rule is tested: on the host, and once more in the kernel.
//!
//! A table of what arrives and what is to become of it. Checksums are zero: the rule reads none.

use crate::{Outcome, Settings};
use Expected::{Pass, Take};
use std::vec;
use std::vec::Vec;

/// A frame and what is to become of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// What is special about it.
    pub name: &'static str,
    /// From the Ethernet header on, without frame check sequence.
    pub frame: Vec<u8>,
    /// What the rule says with [`SETTINGS`].
    pub expected: Expected,
}

/// What is to become of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It passes.
    Pass(Outcome),
    /// It is taken, for the worker of the client with these octets as identifier.
    Take(Outcome, Vec<u8>),
}

/// Under these settings the table holds; several workers, so that all clients are looked for.
pub const SETTINGS: Settings = Settings {
    key: 0x0123_4567_89ab_cdef,
    workers_per_queue: 7,
    serves_v4: true,
    serves_v6: true,
    logs: false,
};
/// 192.0.2.1, the only IPv4 address that is served.
pub const SERVED_V4: [u8; 4] = [192, 0, 2, 1];
/// 2001:db8::1, the only IPv6 address that is served.
pub const SERVED_V6: [u8; 16] = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

const BROADCAST: [u8; 4] = [255; 4];
const NEIGHBOUR_V4: [u8; 4] = [192, 0, 2, 9];
const AGENTS_AND_SERVERS: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2];
const SERVERS: [u8; 16] = [0xff, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 3];
const ALL_ROUTERS: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
const SOLICITED_NODE: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 9];
const ALL_NODES: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const SOURCE_V6: [u8; 16] = [
    0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x78, 0x64, 0xff, 0xfe, 0, 0, 7,
];

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const ARP: u16 = 0x0806;
const CUSTOMER: u16 = 0x8100;
const SERVICE: u16 = 0x88a8;
const OLD_OUTER: u16 = 0x9100;

const TCP: u8 = 6;
const ICMPV6: u8 = 58;
const UDP: u8 = 17;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

const MORE_FRAGMENTS: u16 = 0x2000;
const DONT_FRAGMENT: u16 = 0x4000;
const NOT_FRAGMENTED: u16 = 0;

const MAC: [u8; 6] = [2, 0x78, 0x64, 0, 0, 7];
const DUID: [u8; 10] = [0, 3, 0, 1, 2, 0x78, 0x64, 0, 0, 7];

/// All cases.
pub fn cases() -> Vec<Case> {
    [
        families(),
        tags(),
        headers_v4(),
        headers_v6(),
        clients_v4(),
        clients_v6(),
    ]
    .concat()
}

fn case(name: &'static str, expected: Expected, frame: Vec<u8>) -> Case {
    Case {
        name,
        frame,
        expected,
    }
}

fn taken_v4(client: &[u8]) -> Expected {
    Take(Outcome::TakenV4, client.to_vec())
}

fn taken_v6(client: &[u8]) -> Expected {
    Take(Outcome::TakenV6, client.to_vec())
}

/// Addresses, ports and protocols.
fn families() -> Vec<Case> {
    let discover = |to, port| {
        ethernet(
            &[],
            IPV4,
            v4(to, &[], NOT_FRAGMENTED, UDP, udp(port, bootp(&[]))),
        )
    };
    let solicit = |to, port| ethernet(&[], IPV6, v6(to, UDP, udp(port, client_v6(&DUID))));
    let ssh = [[0xd4, 0x31, 0, 22].as_slice(), &[0; 16]].concat();
    vec![
        case(
            "DHCPv4 to everyone",
            taken_v4(&MAC),
            discover(BROADCAST, 67),
        ),
        case("DHCPv4 to us", taken_v4(&MAC), discover(SERVED_V4, 67)),
        case(
            "DHCPv4 to a neighbour",
            Pass(Outcome::PassAddress),
            discover(NEIGHBOUR_V4, 67),
        ),
        case(
            "DHCPv4 for a client here",
            Pass(Outcome::PassPort),
            discover(BROADCAST, 68),
        ),
        case(
            "DNS to us",
            Pass(Outcome::PassPort),
            discover(SERVED_V4, 53),
        ),
        case(
            "port 547 is nothing in IPv4",
            Pass(Outcome::PassPort),
            discover(SERVED_V4, 547),
        ),
        case(
            "DHCPv6 to agents and servers",
            taken_v6(&DUID),
            solicit(AGENTS_AND_SERVERS, 547),
        ),
        case("DHCPv6 to servers", taken_v6(&DUID), solicit(SERVERS, 547)),
        case("DHCPv6 to us", taken_v6(&DUID), solicit(SERVED_V6, 547)),
        case(
            "DHCPv6 to a neighbour",
            Pass(Outcome::PassAddress),
            solicit(SOURCE_V6, 547),
        ),
        case(
            "DHCPv6 to all nodes",
            Pass(Outcome::PassAddress),
            solicit(ALL_NODES, 547),
        ),
        case(
            "DHCPv6 for a client here",
            Pass(Outcome::PassPort),
            solicit(SERVED_V6, 546),
        ),
        case(
            "port 67 is nothing in IPv6",
            Pass(Outcome::PassPort),
            solicit(SERVED_V6, 67),
        ),
        case(
            "ssh to us over IPv4",
            Pass(Outcome::PassNotUdp),
            ethernet(
                &[],
                IPV4,
                v4(SERVED_V4, &[], DONT_FRAGMENT, TCP, ssh.clone()),
            ),
        ),
        case(
            "ssh to us over IPv6",
            Pass(Outcome::PassNotUdp),
            ethernet(&[], IPV6, v6(SERVED_V6, TCP, ssh)),
        ),
        case(
            "a host looks for a router",
            Pass(Outcome::PassNotUdp),
            discovery(ALL_ROUTERS, 133),
        ),
        case(
            "a router announces itself",
            Pass(Outcome::PassNotUdp),
            discovery(ALL_NODES, 134),
        ),
        case(
            "a host asks whether its address is a duplicate",
            Pass(Outcome::PassNotUdp),
            discovery(SOLICITED_NODE, 135),
        ),
        case(
            "another host says that it is",
            Pass(Outcome::PassNotUdp),
            discovery(ALL_NODES, 136),
        ),
        case(
            "ARP",
            Pass(Outcome::PassNotIp),
            ethernet(&[], ARP, vec![0; 46]),
        ),
        case(
            "Ethernet alone",
            Pass(Outcome::PassTruncated),
            ethernet(&[], IPV4, vec![]),
        ),
        case("no Ethernet", Pass(Outcome::PassTruncated), vec![0xff; 13]),
        case("no frame", Pass(Outcome::PassTruncated), vec![]),
    ]
}

/// VLAN tags.
fn tags() -> Vec<Case> {
    let discover = || v4(BROADCAST, &[], NOT_FRAGMENTED, UDP, udp(67, bootp(&[])));
    let solicit = || v6(AGENTS_AND_SERVERS, UDP, udp(547, client_v6(&DUID)));
    vec![
        case(
            "a tag",
            taken_v4(&MAC),
            ethernet(&[CUSTOMER], IPV4, discover()),
        ),
        case(
            "a service tag",
            taken_v4(&MAC),
            ethernet(&[SERVICE], IPV4, discover()),
        ),
        case(
            "two tags",
            taken_v4(&MAC),
            ethernet(&[SERVICE, CUSTOMER], IPV4, discover()),
        ),
        case(
            "two tags, the outer one of a type that the server does not read",
            Pass(Outcome::PassNotIp),
            ethernet(&[OLD_OUTER, CUSTOMER], IPV4, discover()),
        ),
        case(
            "two tags, IPv6",
            taken_v6(&DUID),
            ethernet(&[CUSTOMER, CUSTOMER], IPV6, solicit()),
        ),
        case(
            "three tags",
            Pass(Outcome::PassVlanTags),
            ethernet(&[SERVICE, CUSTOMER, CUSTOMER], IPV4, discover()),
        ),
        case(
            "a tag and ARP",
            Pass(Outcome::PassNotIp),
            ethernet(&[CUSTOMER], ARP, vec![0; 46]),
        ),
        case(
            "ends in a tag",
            Pass(Outcome::PassTruncated),
            [&[0; 12], &[0x81, 0, 0, 1, 8][..]].concat(),
        ),
    ]
}

/// IPv4 headers.
fn headers_v4() -> Vec<Case> {
    let frame = |packet| ethernet(&[], IPV4, packet);
    let discover = || udp(67, bootp(&[]));
    let version = |first: u8| {
        let packet = v4(BROADCAST, &[], NOT_FRAGMENTED, UDP, discover());
        frame([&[first], packet.get(1..).unwrap_or_default()].concat())
    };
    let fragment = |bits| frame(v4(BROADCAST, &[], bits, UDP, discover()));
    let ends_after = |len| {
        let whole = frame(v4(BROADCAST, &[], NOT_FRAGMENTED, UDP, discover()));
        whole.get(..len).unwrap_or_default().to_vec()
    };
    vec![
        case(
            "an option",
            taken_v4(&MAC),
            frame(v4(BROADCAST, &[1; 4], NOT_FRAGMENTED, UDP, discover())),
        ),
        case(
            "most options",
            taken_v4(&MAC),
            frame(v4(BROADCAST, &[1; 40], NOT_FRAGMENTED, UDP, discover())),
        ),
        case(
            "must not be fragmented",
            taken_v4(&MAC),
            fragment(DONT_FRAGMENT),
        ),
        case(
            "first fragment",
            Pass(Outcome::PassFragmentV4),
            fragment(MORE_FRAGMENTS),
        ),
        case(
            "middle fragment",
            Pass(Outcome::PassFragmentV4),
            fragment(MORE_FRAGMENTS | 185),
        ),
        case(
            "last fragment",
            Pass(Outcome::PassFragmentV4),
            fragment(185),
        ),
        case(
            "version 6 in IPv4",
            Pass(Outcome::PassIpHeader),
            version(0x65),
        ),
        case("version 0", Pass(Outcome::PassIpHeader), version(0x05)),
        case(
            "header of 16 octets",
            Pass(Outcome::PassIpHeader),
            version(0x44),
        ),
        case(
            "ends in the IPv4 header",
            Pass(Outcome::PassTruncated),
            ends_after(14 + 9),
        ),
        case(
            "ends before UDP",
            Pass(Outcome::PassTruncated),
            ends_after(14 + 20),
        ),
        case(
            "ends in UDP's port",
            Pass(Outcome::PassTruncated),
            ends_after(14 + 20 + 3),
        ),
    ]
}

/// IPv6 headers.
fn headers_v6() -> Vec<Case> {
    let frame = |next, payload| ethernet(&[], IPV6, v6(AGENTS_AND_SERVERS, next, payload));
    let solicit = || udp(547, client_v6(&DUID));
    let two = extension(DESTINATION_OPTIONS, 0, extension(UDP, 0, solicit()));
    let four = extension(DESTINATION_OPTIONS, 0, extension(ROUTING, 0, two.clone()));
    let five = extension(DESTINATION_OPTIONS, 0, four.clone());
    let long = extension(UDP, 31, solicit());
    let mut stop = extension(UDP, 2, solicit());
    if let Some(segments_left) = stop.get_mut(3) {
        *segments_left = 1;
    }
    vec![
        case(
            "hop-by-hop options",
            taken_v6(&DUID),
            frame(HOP_BY_HOP, extension(UDP, 0, solicit())),
        ),
        case(
            "256 octets of options",
            taken_v6(&DUID),
            frame(DESTINATION_OPTIONS, long),
        ),
        case(
            "routing header at its end",
            taken_v6(&DUID),
            frame(ROUTING, extension(UDP, 2, solicit())),
        ),
        case(
            "routing header on its way",
            Pass(Outcome::PassExtensionHeaders),
            frame(ROUTING, stop),
        ),
        case("two headers", taken_v6(&DUID), frame(HOP_BY_HOP, two)),
        case("four headers", taken_v6(&DUID), frame(HOP_BY_HOP, four)),
        case(
            "five headers",
            Pass(Outcome::PassExtensionHeaders),
            frame(HOP_BY_HOP, five),
        ),
        case(
            "fragment",
            Pass(Outcome::PassFragmentV6),
            frame(FRAGMENT, extension(UDP, 0, solicit())),
        ),
        case(
            "fragment behind options",
            Pass(Outcome::PassFragmentV6),
            frame(
                HOP_BY_HOP,
                extension(FRAGMENT, 0, extension(UDP, 0, solicit())),
            ),
        ),
        case(
            "authentication header",
            Pass(Outcome::PassNotUdp),
            frame(AUTHENTICATION, extension(UDP, 1, solicit())),
        ),
        case(
            "header past the end",
            Pass(Outcome::PassTruncated),
            frame(HOP_BY_HOP, vec![UDP, 255, 0, 0]),
        ),
        case(
            "ends before UDP over IPv6",
            Pass(Outcome::PassTruncated),
            frame(UDP, vec![]),
        ),
        case(
            "version 4 in IPv6",
            Pass(Outcome::PassIpHeader),
            ethernet(
                &[],
                IPV6,
                v4(BROADCAST, &[], NOT_FRAGMENTED, UDP, solicit()),
            ),
        ),
    ]
}

/// By what a DHCPv4 client is known.
fn clients_v4() -> Vec<Case> {
    let frame = |message| {
        ethernet(
            &[],
            IPV4,
            v4(BROADCAST, &[], NOT_FRAGMENTED, UDP, udp(67, message)),
        )
    };
    let with = |options: &[u8]| frame(bootp(options));
    let message_type = [53, 1, 1];
    let ethernet_id = [[1].as_slice(), &MAC].concat();
    let rfc4361: Vec<u8> = (0..=254).collect();
    let found = |id: &[u8]| [&message_type, &[61, id.len() as u8][..], id, &[255]].concat();
    let hlen = |hlen: u8| {
        let mut message = bootp(&[]);
        if let Some(octet) = message.get_mut(2) {
            *octet = hlen;
        }
        frame(message)
    };
    let chaddr_field = [MAC.as_slice(), &[0; 10]].concat();
    let pads = |count| [vec![0; count], vec![61, 1, 9, 255]].concat();
    vec![
        case(
            "client identifier",
            taken_v4(&ethernet_id),
            with(&found(&ethernet_id)),
        ),
        case(
            "client identifier of 8 octets",
            taken_v4(&[8; 8]),
            with(&found(&[8; 8])),
        ),
        case(
            "client identifier of 64 octets",
            taken_v4(&[9; 64]),
            with(&found(&[9; 64])),
        ),
        case(
            "64 octets count",
            taken_v4(&rfc4361),
            with(&found(&rfc4361)),
        ),
        case(
            "client identifier of one octet",
            taken_v4(&[7]),
            with(&found(&[7])),
        ),
        case(
            "client identifier without contents",
            taken_v4(&MAC),
            with(&found(&[])),
        ),
        case(
            "client identifier behind pads",
            taken_v4(&[9]),
            with(&pads(63)),
        ),
        case(
            "client identifier after 64 options",
            taken_v4(&MAC),
            with(&pads(64)),
        ),
        case(
            "client identifier behind the end",
            taken_v4(&MAC),
            with(&[255, 61, 1, 9]),
        ),
        case(
            "client identifier cut off",
            taken_v4(&MAC),
            with(&[61, 7, 1, 2]),
        ),
        case("options cut off", taken_v4(&MAC), with(&[53, 200, 1])),
        case("no options", taken_v4(&MAC), with(&[])),
        case(
            "no hardware address",
            Take(Outcome::TakenV4, vec![]),
            hlen(0),
        ),
        case(
            "hardware address of 16 octets",
            taken_v4(&chaddr_field),
            hlen(16),
        ),
        case(
            "impossible length of hardware address",
            taken_v4(&chaddr_field),
            hlen(255),
        ),
        case("no message", Take(Outcome::TakenV4, vec![]), frame(vec![])),
    ]
}

/// By what a DHCPv6 client is known.
fn clients_v6() -> Vec<Case> {
    let frame = |message| ethernet(&[], IPV6, v6(SERVERS, UDP, udp(547, message)));
    let solicit = |options: Vec<u8>| [vec![1, 0, 0, 1], options].concat();
    let elapsed = || option_v6(8, &[0, 0]);
    let long: Vec<u8> = (0..130).collect();
    let late = |before: usize| [elapsed().repeat(before), option_v6(1, &DUID)].concat();
    let relayed =
        |levels: usize| (0..levels).fold(client_v6(&DUID), |message, _| relay(&[], &message));
    let interface_id = option_v6(18, b"ge-0/0/1.100");
    vec![
        case(
            "DUID behind another option",
            taken_v6(&DUID),
            frame(solicit(late(1))),
        ),
        case("long DUID", taken_v6(&long), frame(client_v6(&long))),
        case(
            "DUID as the 64th option",
            taken_v6(&DUID),
            frame(solicit(late(63))),
        ),
        case(
            "DUID as the 65th option",
            taken_v6(&SOURCE_V6),
            frame(solicit(late(64))),
        ),
        case("no DUID", taken_v6(&SOURCE_V6), frame(solicit(elapsed()))),
        case(
            "DUID without contents",
            taken_v6(&SOURCE_V6),
            frame(client_v6(&[])),
        ),
        case(
            "DUID cut off",
            taken_v6(&SOURCE_V6),
            frame(solicit(vec![0, 1, 0, 10, 0, 3])),
        ),
        case("relayed once", taken_v6(&DUID), frame(relayed(1))),
        case("relayed nine times", taken_v6(&DUID), frame(relayed(9))),
        case(
            "relayed, with the interface before the message",
            taken_v6(&DUID),
            frame(relay(&interface_id, &client_v6(&DUID))),
        ),
        case(
            "a relay agent's option 1 is nobody's DUID",
            taken_v6(&DUID),
            frame(relay(&option_v6(1, &[9; 10]), &client_v6(&DUID))),
        ),
        case(
            "relayed nothing",
            taken_v6(&SOURCE_V6),
            frame(relay(&[], &[])),
        ),
        case(
            "DHCPv6 without message",
            taken_v6(&SOURCE_V6),
            frame(vec![]),
        ),
    ]
}

fn ethernet(tags: &[u16], ethertype: u16, packet: Vec<u8>) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend(MAC);
    for tag in tags {
        frame.extend(tag.to_be_bytes());
        frame.extend([0, 100]);
    }
    frame.extend(ethertype.to_be_bytes());
    frame.extend(packet);
    frame
}

fn v4(
    destination: [u8; 4],
    options: &[u8],
    fragment: u16,
    protocol: u8,
    payload: Vec<u8>,
) -> Vec<u8> {
    let header_len = 20 + options.len();
    let mut packet = vec![0x40 | (header_len / 4) as u8, 0];
    packet.extend(((header_len + payload.len()) as u16).to_be_bytes());
    packet.extend([0, 1]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, protocol, 0, 0, 0, 0, 0, 0]);
    packet.extend(destination);
    packet.extend(options);
    packet.extend(payload);
    packet
}

fn v6(destination: [u8; 16], next_header: u8, payload: Vec<u8>) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([next_header, 64]);
    packet.extend(SOURCE_V6);
    packet.extend(destination);
    packet.extend(payload);
    packet
}

/// A message of Neighbour Discovery (RFC 4861 section 4): the kernel's, whatever it says.
fn discovery(destination: [u8; 16], kind: u8) -> Vec<u8> {
    let mut message = vec![0; 32];
    message[0] = kind;
    ethernet(&[], IPV6, v6(destination, ICMPV6, message))
}

/// An IPv6 extension header of `8 + 8 * units` octets before the payload.
fn extension(next_header: u8, units: u8, payload: Vec<u8>) -> Vec<u8> {
    let mut header = vec![next_header, units];
    header.resize(8 + 8 * usize::from(units), 0);
    header.extend(payload);
    header
}

fn udp(destination_port: u16, payload: Vec<u8>) -> Vec<u8> {
    let mut datagram = vec![0xc0, 0x01];
    datagram.extend(destination_port.to_be_bytes());
    datagram.extend(((8 + payload.len()) as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    datagram
}

/// A DHCPv4 message of the client with [`MAC`].
fn bootp(options: &[u8]) -> Vec<u8> {
    let mut message = vec![1, 1, 6, 0];
    message.resize(28, 0);
    message.extend(MAC);
    message.resize(236, 0);
    message.extend([99, 130, 83, 99]);
    message.extend(options);
    message
}

/// A Solicit with nothing but a DUID.
fn client_v6(duid: &[u8]) -> Vec<u8> {
    [vec![1, 0, 0, 1], option_v6(1, duid)].concat()
}

/// A Relay-forward of a message, behind other options.
fn relay(options: &[u8], message: &[u8]) -> Vec<u8> {
    let mut relayed = vec![12, 0];
    relayed.extend(SERVED_V6);
    relayed.extend(SOURCE_V6);
    relayed.extend(options);
    relayed.extend(option_v6(9, message));
    relayed
}

fn option_v6(code: u16, contents: &[u8]) -> Vec<u8> {
    let mut option = code.to_be_bytes().to_vec();
    option.extend((contents.len() as u16).to_be_bytes());
    option.extend(contents);
    option
}
