//! The headers as they lie in a frame: big-endian fields, no offset typed by hand.

use core::mem::size_of;
use zerocopy::byteorder::big_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// EtherType of IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// EtherType of IPv6.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;
/// Tag protocol identifier of a customer tag (802.1Q).
pub const TPID_8021Q: u16 = 0x8100;
/// Tag protocol identifier of a service tag (802.1ad).
pub const TPID_8021AD: u16 = 0x88a8;

/// IP protocol number of UDP.
pub const PROTOCOL_UDP: u8 = 17;
/// IPv6 next header: hop-by-hop options.
pub const NEXT_HOP_BY_HOP: u8 = 0;
/// IPv6 next header: routing.
pub const NEXT_ROUTING: u8 = 43;
/// IPv6 next header: fragment.
pub const NEXT_FRAGMENT: u8 = 44;
/// IPv6 next header: destination options.
pub const NEXT_DESTINATION: u8 = 60;

/// Ethernet II without the EtherType, which stands behind the VLAN tags.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
pub struct Ethernet {
    /// Destination address.
    pub destination: [u8; 6],
    /// Source address.
    pub source: [u8; 6],
}
const _: () = assert!(size_of::<Ethernet>() == 12);

/// One VLAN tag (802.1Q section 9.3).
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
pub struct VlanTag {
    /// Tag protocol identifier.
    pub tpid: U16,
    /// Priority, drop eligibility, VLAN identifier.
    pub tci: U16,
}
const _: () = assert!(size_of::<VlanTag>() == 4);

/// IPv4 (RFC 791 section 3.1) without options.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
pub struct Ipv4 {
    /// Version in the high half, header length in 32-bit words in the low half.
    pub version_ihl: u8,
    /// Differentiated services and congestion notification.
    pub traffic_class: u8,
    /// Length of header and payload.
    pub total_len: U16,
    /// Identification of fragments.
    pub identification: U16,
    /// Flags in the high three bits, fragment offset below.
    pub flags_fragment: U16,
    /// Time to live.
    pub ttl: u8,
    /// Protocol of the payload.
    pub protocol: u8,
    /// Checksum of the header.
    pub checksum: U16,
    /// Source address.
    pub source: [u8; 4],
    /// Destination address.
    pub destination: [u8; 4],
}
const _: () = assert!(size_of::<Ipv4>() == 20);

/// The IPv4 flag "don't fragment".
pub const IPV4_DONT_FRAGMENT: u16 = 0x4000;
/// The IPv4 bits that only a fragment has: "more fragments" and the offset.
pub const IPV4_FRAGMENT_MASK: u16 = 0x3fff;

/// IPv6 (RFC 8200 section 3).
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
pub struct Ipv6 {
    /// Version, traffic class, flow label.
    pub version_class_flow: U32,
    /// Length of all that follows this header.
    pub payload_len: U16,
    /// What follows.
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Source address.
    pub source: [u8; 16],
    /// Destination address.
    pub destination: [u8; 16],
}
const _: () = assert!(size_of::<Ipv6>() == 40);

/// The common start of hop-by-hop options, destination options and routing headers (RFC 8200
/// section 4). All are at least eight octets long.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
pub struct Extension {
    /// What follows.
    pub next_header: u8,
    /// Length in units of eight octets, not counting the first eight.
    pub len_words: u8,
    /// Routing header: its type. Else options.
    pub routing_type: u8,
    /// Routing header: segments left. Else options.
    pub segments_left: u8,
    /// Options or addresses.
    pub rest: [u8; 4],
}
const _: () = assert!(size_of::<Extension>() == 8);

/// UDP (RFC 768).
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
pub struct Udp {
    /// Source port.
    pub source_port: U16,
    /// Destination port.
    pub destination_port: U16,
    /// Length of header and payload.
    pub len: U16,
    /// Checksum over pseudo-header, header and payload; 0: none.
    pub checksum: U16,
}
const _: () = assert!(size_of::<Udp>() == 8);
