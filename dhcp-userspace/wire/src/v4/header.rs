//! The fixed part of every message.

use core::net::Ipv4Addr;
use zerocopy::byteorder::big_endian::{U16, U32};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `op` of what clients send.
pub const BOOTREQUEST: u8 = 1;
/// `op` of what servers send.
pub const BOOTREPLY: u8 = 2;
/// The magic cookie that says: options follow (RFC 2131 section 3).
pub const COOKIE: u32 = 0x6382_5363;
/// The broadcast bit of `flags` (RFC 2131 section 2, figure 2).
pub const FLAG_BROADCAST: u16 = 0x8000;
/// UDP port of servers and relay agents.
pub const SERVER_PORT: u16 = 67;
/// UDP port of clients.
pub const CLIENT_PORT: u16 = 68;

/// RFC 2131 section 2, figure 1, with the magic cookie that begins the options field.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Header {
    /// [`BOOTREQUEST`] or [`BOOTREPLY`].
    pub op: u8,
    /// Hardware type of the client.
    pub htype: u8,
    /// Length of its hardware address, 16 at most.
    pub hlen: u8,
    /// Relay agents passed.
    pub hops: u8,
    /// The client's number for this exchange.
    pub xid: U32,
    /// Seconds since the client began.
    pub secs: U16,
    /// [`FLAG_BROADCAST`] and 15 bits that must be zero.
    pub flags: U16,
    /// The address that the client already has and answers ARP for.
    pub ciaddr: [u8; 4],
    /// "Your" address: what the server assigns.
    pub yiaddr: [u8; 4],
    /// The next server in bootstrap.
    pub siaddr: [u8; 4],
    /// The relay agent nearest to the client.
    pub giaddr: [u8; 4],
    /// The client's hardware address.
    pub chaddr: [u8; 16],
    /// Server host name, or options.
    pub sname: [u8; 64],
    /// Boot file name, or options.
    pub file: [u8; 128],
    /// [`COOKIE`].
    pub cookie: U32,
}

const _: () = assert!(size_of::<Header>() == 240);

impl Header {
    /// A header of zeros but for `op` and the cookie.
    pub fn new(op: u8) -> Self {
        Self {
            op,
            cookie: U32::new(COOKIE),
            ..Self::new_zeroed()
        }
    }

    /// `ciaddr` as an address.
    pub fn ciaddr(&self) -> Ipv4Addr {
        Ipv4Addr::from_octets(self.ciaddr)
    }

    /// `yiaddr` as an address.
    pub fn yiaddr(&self) -> Ipv4Addr {
        Ipv4Addr::from_octets(self.yiaddr)
    }

    /// `siaddr` as an address.
    pub fn siaddr(&self) -> Ipv4Addr {
        Ipv4Addr::from_octets(self.siaddr)
    }

    /// `giaddr` as an address.
    pub fn giaddr(&self) -> Ipv4Addr {
        Ipv4Addr::from_octets(self.giaddr)
    }
}
