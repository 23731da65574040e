//! DHCPv6 messages (RFC 9915): header, options, relay encapsulation, replies.
//!
//! Views borrow the octets of a received message and copy nothing. [`Packet::parse`] checks the relay
//! encapsulation, the header and the option list of the message; what lies inside an option is checked
//! when that option is viewed ([`Ia::parse`], [`IaAddress::parse`], ...). [`Builder`] writes messages in
//! place.
//!
//! Policies, so that every defect has one stated outcome:
//! - An option that reaches beyond the list it stands in makes the message [`Malformed`], at each level.
//! - Options that name somebody or something (client and server identifier, IA, IA Address, IA Prefix,
//!   Relay Message) make the message malformed when they are too short or stand twice where only one
//!   can be meant. IAs and their leases may of course stand several times.
//! - Other options of fixed length that have another length count as absent ([`rapid_commit`],
//!   [`option_request`], [`link_layer_address`]); of several, the first counts.
//! - Unknown options are passed over.
//! - More than [`HOP_COUNT_LIMIT`] levels of relay encapsulation are refused. Hop counts are mirrored and
//!   otherwise not believed.

mod builder;
mod header;
mod message;
mod option;

#[cfg(test)]
mod tests;

pub use builder::{Builder, Mark, NoRoom};
pub use header::{Header, IaAddressHeader, IaHeader, IaPrefixHeader, OptionHeader, RelayHeader};
pub use message::{Message, MessageType, Packet, Relay, RelayChain};
pub use option::{
    Ia, IaAddress, IaPrefix, OptionCode, Options, RawOption, Status, StatusCode, duid,
    duid_link_layer, ia_ta, link_layer_address, option_request, rapid_commit,
};

use core::net::Ipv6Addr;

/// The UDP port of clients (RFC 9915 section 7.2).
pub const CLIENT_PORT: u16 = 546;

/// The UDP port of servers and relay agents (RFC 9915 section 7.2).
pub const SERVER_PORT: u16 = 547;

/// All_DHCP_Relay_Agents_and_Servers (RFC 9915 section 7.1).
pub const ALL_RELAY_AGENTS_AND_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);

/// All_DHCP_Servers (RFC 9915 section 7.1).
pub const ALL_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 1, 3);

/// HOP_COUNT_LIMIT (RFC 9915 section 7.6): so many levels of relay encapsulation at most.
pub const HOP_COUNT_LIMIT: usize = 8;

/// The longest DUID: two octets of type and 128 more (RFC 9915 section 11.1).
pub const DUID_LEN_MAX: usize = 130;

/// The shortest DUID: two octets of type and one more.
pub const DUID_LEN_MIN: usize = 3;

/// What is wrong with the octets of a DHCPv6 message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The message, or the message inside a Relay Message option, ends inside its fixed part.
    #[error("{got} octets where the fixed part alone has {need}")]
    TooShort {
        /// Octets found.
        got: usize,
        /// Octets of the fixed part.
        need: usize,
    },
    /// Octets are left after the last option that are no option header.
    #[error("{left} octets after the last option")]
    OptionHeader {
        /// Octets found.
        left: usize,
    },
    /// An option says that it is longer than what is left of the list.
    #[error("option {code} of {len} octets where {left} are left")]
    OptionTruncated {
        /// Its code.
        code: u16,
        /// Its length, as it says.
        len: usize,
        /// What is left of the list.
        left: usize,
    },
    /// An option is shorter than its fixed part.
    #[error("option {code} of {len} octets")]
    OptionLength {
        /// Its code.
        code: u16,
        /// Its length.
        len: usize,
    },
    /// An option that can stand once only stands twice.
    #[error("option {code} twice")]
    Repeated {
        /// Its code.
        code: u16,
    },
    /// A Relay-forward or Relay-reply carries no message.
    #[error("no Relay Message option in a relay message")]
    NoRelayMessage,
    /// A Relay-forward inside a Relay-reply, or the other way round.
    #[error("message type {got} inside the other kind of relay message")]
    MixedRelay {
        /// The message type found.
        got: u8,
    },
    /// More than [`HOP_COUNT_LIMIT`] levels of relay encapsulation.
    #[error("more than {HOP_COUNT_LIMIT} levels of relay messages")]
    TooDeep,
    /// A prefix longer than 128 bits.
    #[error("a prefix of {got} bits")]
    PrefixLength {
        /// The length found.
        got: u8,
    },
    /// A DUID that is too short or too long.
    #[error("a DUID of {got} octets")]
    DuidLength {
        /// The length found.
        got: usize,
    },
}
