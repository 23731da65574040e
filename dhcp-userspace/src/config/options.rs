//! The options that can be configured: name (as in Kea), code, and what their data looks like.

mod catalogue;
mod definitions;
mod encode;
mod field;
mod resolver;
mod spaces;
mod special;

pub(super) use catalogue::{catalogue, refusal};
pub(super) use definitions::Definitions;
pub(super) use encode::encode;
pub(super) use field::Field;
#[cfg(test)]
pub(super) use spaces::standard_spaces;
pub(super) use spaces::{enterprise, family_of, top_space};

use super::notation::Family;
use std::borrow::Cow;

/// An option that we know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Definition {
    pub(super) code: u16,
    pub(super) name: Cow<'static, str>,
    pub(super) kind: Kind,
    /// The space whose options it holds as sub-options; empty: none.
    pub(super) encapsulates: Cow<'static, str>,
}

/// What an option's data looks like in the file, and on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing: the option itself says it, or its sub-options do.
    Empty,
    /// One field after the other.
    Fields(Cow<'static, [Field]>),
    /// The same, and the last of them any number of times, at least once.
    Array(Cow<'static, [Field]>),
    /// Pairs of IPv4 addresses.
    Ipv4Pairs,
    /// Destination and router of each route, as hosts and classes of old (RFC 2132 section 5.8).
    StaticRoutes,
    /// MTU sizes from small to large (RFC 2132 section 4.7).
    MtuTable,
    /// IPv4 addresses, or none to say that there are none (RFC 2132 section 8.13).
    HomeAgents,
    /// One domain name as text.
    DomainText,
    /// Text, not empty, without NUL.
    Text,
    /// Unsigned numbers; the range is inclusive.
    Uint8(u8, u8),
    /// Two octets.
    Uint16(u16, u16),
    /// Four octets.
    Uint32(u32, u32),
    /// Octets in hexadecimal.
    Binary,
    /// Domain names, compressed where that is shorter (RFC 3397 section 2, RFC 1035 section 4.1.4).
    DomainSearch,
    /// Destination and router pairs (RFC 3442).
    ClasslessRoutes,
    /// NTP servers in sub-options (RFC 5908).
    NtpServers,
    /// SIP servers, all by name or all by address (RFC 3361).
    SipServers,
    /// A civic address (RFC 4776).
    CivicAddress,
    /// URIs, each with its length in two octets (RFC 8572 section 8).
    Uris,
    /// Encrypted resolvers (RFC 9463).
    Resolvers,
    /// A vendor with texts (RFC 3925 section 3, RFC 8415 section 21.16).
    VendorClass,
    /// A vendor whose sub-options stand in its space (RFC 3925 section 4).
    VendorOptions,
    /// A server by name or address (RFC 3495 section 5.2).
    ProvisioningServer,
}

impl Kind {
    /// How its data is written, for documentation.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "documentation is made from it by a test")
    )]
    pub(super) fn notation(&self) -> String {
        let list = |fields: &[Field]| {
            let names: Vec<_> = fields.iter().map(|field| field.notation()).collect();
            names.join(", ")
        };
        let text = match self {
            Self::Empty => "nothing",
            Self::Fields(fields) => return list(fields),
            Self::Array(fields) => return format!("{}, ...", list(fields)),
            Self::Ipv4Pairs | Self::StaticRoutes => "pairs of IPv4 addresses",
            Self::MtuTable => "number, 16 bits, ...",
            Self::HomeAgents => "IPv4 address, ... or nothing",
            Self::DomainText => "domain name",
            Self::Text => "text",
            Self::Uint8(..) => "number, 8 bits",
            Self::Uint16(..) => "number, 16 bits",
            Self::Uint32(..) => "number, 32 bits",
            Self::Binary => "octets in hexadecimal",
            Self::DomainSearch => "domain name, ...",
            Self::ClasslessRoutes => "routes, as `10.0.0.0/8 - 192.0.2.1`, ...",
            Self::NtpServers => "IPv6 addresses or domain names, ...",
            Self::SipServers => "IPv4 addresses or else domain names, ...",
            Self::CivicAddress => {
                "what it is the address of (0 server, 1 network element, 2 client), country, \
                 elements as `3 Springfield`, ..."
            }
            Self::Uris => "URI, ...",
            Self::Resolvers => {
                "priority, domain name, addresses with spaces between, parameters as \
                 `alpn=dot\\\\,doq port=8530`; several of DHCPv4 with ` | ` between"
            }
            Self::VendorClass => "enterprise number, text, ...",
            Self::VendorOptions => "enterprise number (sub-options: space `vendor-NUMBER`)",
            Self::ProvisioningServer => "IPv4 address or domain name",
        };
        text.to_owned()
    }

    /// Whether its data may be left out.
    pub(super) fn may_be_empty(&self) -> bool {
        matches!(self, Self::Empty | Self::HomeAgents)
    }

    /// What is wrong with data of so many octets that was written in hexadecimal, where the kind alone tells the
    /// length.
    pub(super) fn wrong_length(&self, got: usize) -> Option<String> {
        let (octets, is_list) = match self {
            Self::HomeAgents if got == 0 => return None,
            Self::Ipv4Pairs | Self::StaticRoutes => (8, true),
            Self::MtuTable => (2, true),
            Self::HomeAgents => (4, true),
            Self::Uint8(..) => (1, false),
            Self::Uint16(..) => (2, false),
            Self::Uint32(..) => (4, false),
            Self::Fields(fields) => {
                let sizes = fields.iter().map(|field| field.octets());
                (sizes.sum::<Option<usize>>()?, false)
            }
            Self::Array(fields) => match fields[..] {
                [field] => (field.octets()?, true),
                _ => return None,
            },
            Self::Empty
            | Self::DomainText
            | Self::Text
            | Self::Binary
            | Self::DomainSearch
            | Self::ClasslessRoutes
            | Self::NtpServers
            | Self::SipServers
            | Self::CivicAddress
            | Self::Uris
            | Self::Resolvers
            | Self::VendorClass
            | Self::VendorOptions
            | Self::ProvisioningServer => return None,
        };
        match is_list {
            true if got > 0 && got.is_multiple_of(octets) => None,
            true => Some(format!("has {got} octets; write {octets} for each value")),
            false if got == octets => None,
            false => Some(format!("has {got} octets; the option has {octets}")),
        }
    }

    /// Whether a comma in its data is one, and separates nothing.
    fn is_undivided(&self) -> bool {
        matches!(self, Self::Text | Self::Binary)
    }
}

/// Octets of the code and of the length of a sub-option, and the largest code.
pub(super) fn code_max(family: Family, is_top: bool) -> u16 {
    match family {
        // RFC 2132 section 2: 0 and 255 are PAD and END; inside of options they are codes like any other.
        Family::V4 if is_top => 254,
        Family::V4 => 255,
        Family::V6 => u16::MAX,
    }
}
