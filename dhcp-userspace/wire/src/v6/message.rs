//! Messages, and the relay messages around them.

use super::header::{Header, RelayHeader};
use super::option::{OptionCode, Options};
use super::{HOP_COUNT_LIMIT, Malformed};
use core::net::Ipv6Addr;
use zerocopy::FromBytes;

/// The message types that we know (RFC 9915 section 7.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are those of the RFC")]
pub enum MessageType {
    #[default]
    Solicit = 1,
    Advertise = 2,
    Request = 3,
    Confirm = 4,
    Renew = 5,
    Rebind = 6,
    Reply = 7,
    Release = 8,
    Decline = 9,
    Reconfigure = 10,
    InformationRequest = 11,
    RelayForward = 12,
    RelayReply = 13,
}

impl MessageType {
    /// All of them, by their numbers from 1 on.
    pub const ALL: [Self; 13] = [
        Self::Solicit,
        Self::Advertise,
        Self::Request,
        Self::Confirm,
        Self::Renew,
        Self::Rebind,
        Self::Reply,
        Self::Release,
        Self::Decline,
        Self::Reconfigure,
        Self::InformationRequest,
        Self::RelayForward,
        Self::RelayReply,
    ];

    /// The type with this number, if we know it.
    pub fn of(number: u8) -> Option<Self> {
        let place = usize::from(number).checked_sub(1)?;
        Self::ALL.get(place).copied()
    }
}

/// A message between client and server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The fixed part.
    pub header: &'a Header,
    /// The options, each whole; their contents are checked as they are viewed.
    pub options: Options<'a>,
}

impl<'a> Message<'a> {
    /// Views a message that is not a relay message.
    ///
    /// # Errors
    /// [`Malformed::TooShort`] and those of [`Options::parse`].
    pub fn parse(octets: &'a [u8]) -> Result<Self, Malformed> {
        let (header, options) =
            Header::ref_from_prefix(octets).map_err(|_| Malformed::TooShort {
                got: octets.len(),
                need: size_of::<Header>(),
            })?;
        Ok(Self {
            header,
            options: Options::parse(options)?,
        })
    }

    /// Its type, if we know it.
    pub fn message_type(&self) -> Option<MessageType> {
        MessageType::of(self.header.msg_type)
    }
}

/// One level of relay encapsulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relay<'a> {
    /// The fixed part.
    pub header: &'a RelayHeader,
    /// Its options, the Relay Message option among them.
    pub options: Options<'a>,
}

impl<'a> Relay<'a> {
    /// The address that tells the client's link, or `::`.
    pub fn link_address(&self) -> Ipv6Addr {
        self.header.link_address.into()
    }

    /// From whom the relay agent had the message.
    pub fn peer_address(&self) -> Ipv6Addr {
        self.header.peer_address.into()
    }

    /// The Interface-Id option, which a reply must carry too (RFC 9915 section 21.18).
    pub fn interface_id(&self) -> Option<&'a [u8]> {
        self.options.find(OptionCode::INTERFACE_ID)
    }
}

/// The relay messages around a message, outermost first; empty for one that came directly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct RelayChain<'a> {
    levels: [Option<Relay<'a>>; HOP_COUNT_LIMIT],
}

impl<'a> RelayChain<'a> {
    /// From the server's neighbour to the client's.
    pub fn outermost_first(&self) -> impl DoubleEndedIterator<Item = &Relay<'a>> {
        self.levels.iter().flatten()
    }

    /// From the client's neighbour to the server's.
    pub fn innermost_first(&self) -> impl DoubleEndedIterator<Item = &Relay<'a>> {
        self.outermost_first().rev()
    }

    /// Whether the message came directly.
    pub fn is_empty(&self) -> bool {
        self.outermost_first().next().is_none()
    }

    /// How many levels there are.
    pub fn len(&self) -> usize {
        self.outermost_first().count()
    }
}

/// A UDP payload: a message and the relay messages around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// All levels are Relay-forward, or all are Relay-reply.
    pub relays: RelayChain<'a>,
    /// What the client or the server said.
    pub message: Message<'a>,
}

impl<'a> Packet<'a> {
    /// Views a payload: peels off at most [`HOP_COUNT_LIMIT`] relay messages, then views the message.
    ///
    /// # Errors
    /// [`Malformed::TooDeep`], [`Malformed::TooShort`], [`Malformed::MixedRelay`],
    /// [`Malformed::NoRelayMessage`], [`Malformed::Repeated`] for two Relay Message options in one level,
    /// and those of [`Options::parse`].
    pub fn parse(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut relays = RelayChain::default();
        let mut octets = payload;
        for level in &mut relays.levels {
            let Some(kind) = relay_type(octets) else {
                break;
            };
            if relay_type(payload) != Some(kind) {
                return Err(Malformed::MixedRelay { got: kind });
            }
            let (header, options) =
                RelayHeader::ref_from_prefix(octets).map_err(|_| Malformed::TooShort {
                    got: octets.len(),
                    need: size_of::<RelayHeader>(),
                })?;
            let options = Options::parse(options)?;
            let inner = options.find_only(OptionCode::RELAY_MESSAGE)?;
            octets = inner.ok_or(Malformed::NoRelayMessage)?;
            *level = Some(Relay { header, options });
        }
        // RFC 8415 section 7.6 [hop-count-limit]: HOP_COUNT_LIMIT levels at most.
        if relay_type(octets).is_some() {
            return Err(Malformed::TooDeep);
        }
        Ok(Self {
            relays,
            message: Message::parse(octets)?,
        })
    }
}

/// The message type, if it is that of a relay message.
fn relay_type(octets: &[u8]) -> Option<u8> {
    const FORWARD: u8 = MessageType::RelayForward as u8;
    const REPLY: u8 = MessageType::RelayReply as u8;
    octets
        .first()
        .copied()
        .filter(|kind| matches!(*kind, FORWARD | REPLY))
}
