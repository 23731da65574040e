//! Where do the fields stand that the rule reads?
//!
//! The headers as they lie on the wire; only their offsets are used, so that none is typed by hand.
//! All fields are octets: no padding, no alignment.

/// Ethernet without tags.
#[repr(C)]
pub(crate) struct Ethernet {
    pub(crate) destination: [u8; 6],
    pub(crate) source: [u8; 6],
    pub(crate) ethertype: [u8; 2],
}

/// A VLAN tag's control information and the type that follows it (IEEE 802.1Q).
#[repr(C)]
pub(crate) struct Tag {
    pub(crate) control: [u8; 2],
    pub(crate) ethertype: [u8; 2],
}

/// IPv4 without options (RFC 791 section 3.1).
#[repr(C)]
pub(crate) struct Ipv4 {
    pub(crate) version_and_length: u8,
    pub(crate) service: u8,
    pub(crate) total_length: [u8; 2],
    pub(crate) identification: [u8; 2],
    pub(crate) fragment: [u8; 2],
    pub(crate) time_to_live: u8,
    pub(crate) protocol: u8,
    pub(crate) checksum: [u8; 2],
    pub(crate) source: [u8; 4],
    pub(crate) destination: [u8; 4],
}

/// IPv6 (RFC 8200 section 3).
#[repr(C)]
pub(crate) struct Ipv6 {
    pub(crate) version_and_flow: [u8; 4],
    pub(crate) payload_length: [u8; 2],
    pub(crate) next_header: u8,
    pub(crate) hop_limit: u8,
    pub(crate) source: [u8; 16],
    pub(crate) destination: [u8; 16],
}

/// The start of every IPv6 extension header that the rule steps over (RFC 8200 section 4).
#[repr(C)]
pub(crate) struct Extension {
    pub(crate) next_header: u8,
    /// In units of eight octets, not counting the first eight.
    pub(crate) length: u8,
    pub(crate) routing_type: u8,
    pub(crate) segments_left: u8,
}

/// UDP (RFC 768).
#[repr(C)]
pub(crate) struct Udp {
    pub(crate) source_port: [u8; 2],
    pub(crate) destination_port: [u8; 2],
    pub(crate) length: [u8; 2],
    pub(crate) checksum: [u8; 2],
}

/// DHCPv4 with its cookie, up to the options (RFC 2131 section 2).
#[repr(C)]
pub(crate) struct Dhcpv4 {
    pub(crate) op: u8,
    pub(crate) htype: u8,
    pub(crate) hlen: u8,
    pub(crate) hops: u8,
    pub(crate) xid: [u8; 4],
    pub(crate) secs: [u8; 2],
    pub(crate) flags: [u8; 2],
    pub(crate) ciaddr: [u8; 4],
    pub(crate) yiaddr: [u8; 4],
    pub(crate) siaddr: [u8; 4],
    pub(crate) giaddr: [u8; 4],
    pub(crate) chaddr: [u8; 16],
    pub(crate) sname: [u8; 64],
    pub(crate) file: [u8; 128],
    pub(crate) cookie: [u8; 4],
}

/// A DHCPv6 message of a client, up to the options (RFC 9915 section 8).
#[repr(C)]
pub(crate) struct Dhcpv6 {
    pub(crate) msg_type: u8,
    pub(crate) transaction_id: [u8; 3],
}

/// A DHCPv6 message of a relay agent, up to the options (RFC 9915 section 9).
#[repr(C)]
pub(crate) struct Dhcpv6Relay {
    pub(crate) msg_type: u8,
    pub(crate) hop_count: u8,
    pub(crate) link_address: [u8; 16],
    pub(crate) peer_address: [u8; 16],
}

/// A DHCPv6 option's head (RFC 9915 section 21.1), read as one number.
#[repr(C)]
pub(crate) struct Dhcpv6Option {
    pub(crate) code: [u8; 2],
    pub(crate) length: [u8; 2],
}

const _: () = {
    assert!(size_of::<Ethernet>() == 14 && size_of::<Tag>() == 4);
    assert!(size_of::<Ipv4>() == 20 && size_of::<Ipv6>() == 40 && size_of::<Udp>() == 8);
    assert!(size_of::<Dhcpv4>() == 240 && size_of::<Dhcpv6>() == 4);
    assert!(size_of::<Dhcpv6Relay>() == 34 && size_of::<Dhcpv6Option>() == 4);
};
