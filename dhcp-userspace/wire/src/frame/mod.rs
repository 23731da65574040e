//! From Ethernet to UDP and back: which headers surround a DHCP message, and how they are written again.
//!
//! A datagram's [`Envelope`] is all that a reply needs to know of the frame that it answers.
//! [`Datagram::parse`] reads a frame, [`Envelope::emit`] writes the headers of one.

mod checksum;
mod emit;
pub mod header;
mod parse;
#[cfg(test)]
mod tests;

pub use checksum::Sum;
pub use parse::EXTENSION_HEADERS_MAX;

use core::net::{Ipv4Addr, Ipv6Addr};

/// Largest frame that is served: what a 2,048-octet UMEM chunk leaves after 256 octets of headroom.
pub const FRAME_SIZE_MAX: usize = 1792;

/// Shortest frame that Ethernet carries, without its checksum.
pub const FRAME_SIZE_MIN: usize = 60;

/// Most VLAN tags that a frame may have.
pub const TAGS_MAX: usize = 2;

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct MacAddress(pub [u8; 6]);

/// Up to two VLAN tags, outermost first, exactly as they stood in the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Tags {
    /// How many are in use: 0, 1 or 2.
    pub count: u8,
    /// Tag protocol identifier (0x8100, 0x88a8) and tag control information, in host order.
    pub tags: [(u16, u16); 2],
}

/// Source and destination of the IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// An IPv4 datagram.
    V4 {
        /// Source address.
        source: Ipv4Addr,
        /// Destination address.
        destination: Ipv4Addr,
    },
    /// An IPv6 datagram.
    V6 {
        /// Source address.
        source: Ipv6Addr,
        /// Destination address.
        destination: Ipv6Addr,
    },
}

/// Everything around a UDP payload: as it was received, or as it is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Ethernet source.
    pub source_mac: MacAddress,
    /// Ethernet destination.
    pub destination_mac: MacAddress,
    /// VLAN tags, answered as they came.
    pub tags: Tags,
    /// IP source and destination.
    pub addresses: Addresses,
    /// UDP source port.
    pub source_port: u16,
    /// UDP destination port.
    pub destination_port: u16,
}

/// A UDP payload and what surrounded it.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// The headers.
    pub envelope: Envelope,
    /// The UDP payload: exactly as long as the UDP header says.
    pub payload: &'a [u8],
}

/// Why a frame is no datagram that we understand, with what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A header is cut off.
    #[error("{got} octets where a header of {need} should be")]
    TooShort {
        /// Octets that are there.
        got: usize,
        /// Octets that the header has.
        need: usize,
    },
    /// More VLAN tags than we follow.
    #[error("more than {bound} VLAN tags")]
    TooManyTags {
        /// How many we follow.
        bound: usize,
    },
    /// Neither IPv4 nor IPv6.
    #[error("EtherType {got:#06x} is not IP")]
    EtherType {
        /// The EtherType.
        got: u16,
    },
    /// The IP version does not fit the EtherType, or the IPv4 header length is below 20.
    #[error("an IP header cannot begin with {first_octet:#04x}")]
    IpHeader {
        /// First octet of the packet.
        first_octet: u8,
    },
    /// A fragment of an IP packet.
    #[error("a fragment")]
    Fragment,
    /// A length field says more than there is (or less than the header itself takes).
    #[error("a length field says {said}, there are {there} octets")]
    Length {
        /// What the field says.
        said: usize,
        /// What is there.
        there: usize,
    },
    /// Not UDP, or behind an extension header that we do not know.
    #[error("protocol {protocol} is not UDP")]
    NotUdp {
        /// IP protocol or IPv6 next header.
        protocol: u8,
    },
    /// More IPv6 extension headers than we follow.
    #[error("more than {bound} IPv6 extension headers")]
    TooManyExtensions {
        /// How many we follow.
        bound: usize,
    },
    /// An IPv6 packet on its way through us to somewhere else.
    #[error("source routed with {segments_left} segments left")]
    Routed {
        /// Segments left.
        segments_left: u8,
    },
    /// The checksum of the IPv4 header or of UDP is wrong.
    #[error("wrong checksum")]
    Checksum,
}

/// A frame that does not fit into the buffer, or into the length fields of IP and UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {need} octets does not fit into {got}")]
pub struct NoRoom {
    /// Size of the buffer.
    pub got: usize,
    /// Size that the frame would have.
    pub need: usize,
}

impl MacAddress {
    /// All stations of a link.
    pub const BROADCAST: Self = Self([0xff; 6]);
}

impl core::fmt::Display for MacAddress {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        crate::octets::write_hex(f, &self.0)
    }
}

impl core::fmt::Debug for MacAddress {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        crate::octets::write_hex(f, &self.0)
    }
}
