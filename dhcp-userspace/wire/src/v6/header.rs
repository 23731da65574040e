//! The fixed parts of messages and options, exactly as they lie on the wire.

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The fixed part of a message between client and server (RFC 9915 section 8).
#[derive(
    FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug, PartialEq, Eq,
)]
#[repr(C)]
pub struct Header {
    /// Message type, see [`crate::v6::MessageType`].
    pub msg_type: u8,
    /// Chosen by the client; the answer has the same.
    pub transaction_id: [u8; 3],
}

/// The fixed part of a Relay-forward or Relay-reply message (RFC 9915 section 9).
#[derive(
    FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug, PartialEq, Eq,
)]
#[repr(C)]
pub struct RelayHeader {
    /// 12 for Relay-forward, 13 for Relay-reply.
    pub msg_type: u8,
    /// How many relay agents had relayed the message before.
    pub hop_count: u8,
    /// An address of the link that the client is on, or zero.
    pub link_address: [u8; 16],
    /// From whom the relay agent had the message.
    pub peer_address: [u8; 16],
}

/// What precedes the data of every option (RFC 9915 section 21.1).
#[derive(
    FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug, PartialEq, Eq,
)]
#[repr(C)]
pub struct OptionHeader {
    /// Option code.
    pub code: U16,
    /// Length of its data in octets.
    pub len: U16,
}

/// The fixed part of IA_NA and IA_PD (RFC 9915 sections 21.4 and 21.21); options follow.
#[derive(
    FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug, PartialEq, Eq,
)]
#[repr(C)]
pub struct IaHeader {
    /// The number that tells this IA from the client's others of the same kind.
    pub iaid: U32,
    /// When to renew, in seconds from now.
    pub t1: U32,
    /// When to rebind, in seconds from now.
    pub t2: U32,
}

/// The fixed part of IA Address (RFC 9915 section 21.6); options follow.
#[derive(
    FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug, PartialEq, Eq,
)]
#[repr(C)]
pub struct IaAddressHeader {
    /// The address.
    pub address: [u8; 16],
    /// Preferred lifetime in seconds.
    pub preferred_lifetime: U32,
    /// Valid lifetime in seconds.
    pub valid_lifetime: U32,
}

/// The fixed part of IA Prefix (RFC 9915 section 21.22); options follow.
#[derive(
    FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug, PartialEq, Eq,
)]
#[repr(C)]
pub struct IaPrefixHeader {
    /// Preferred lifetime in seconds.
    pub preferred_lifetime: U32,
    /// Valid lifetime in seconds.
    pub valid_lifetime: U32,
    /// Length of the prefix in bits.
    pub prefix_len: u8,
    /// The prefix.
    pub prefix: [u8; 16],
}

const _: () = assert!(size_of::<Header>() == 4);
const _: () = assert!(size_of::<RelayHeader>() == 34);
const _: () = assert!(size_of::<OptionHeader>() == 4);
const _: () = assert!(size_of::<IaHeader>() == 12);
const _: () = assert!(size_of::<IaAddressHeader>() == 24);
const _: () = assert!(size_of::<IaPrefixHeader>() == 25);
