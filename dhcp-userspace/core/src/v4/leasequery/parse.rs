//! What is asked? Octets of a DHCPLEASEQUERY to a [`LeaseQuery`] that owns all that the answer needs.

use crate::discard::Discard;
use crate::subnet::{Interface, Policy};
use crate::v4::AGENT_OCTETS_MAX;
use core::net::Ipv4Addr;
use dhcp_lease::Sought;
use dhcp_wire::Octets;
use dhcp_wire::frame::{Addresses, Envelope, MacAddress, Tags};
use dhcp_wire::id::{ClientId, HardwareAddress};
use dhcp_wire::v4::{self, Malformed, Message, MessageType, Region, SubOptions, code};

/// By what is sought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Address,
    Hardware,
    Client,
    RemoteId,
}

/// A leasequery, classified: owned, reusable, overwritten completely by [`classify`].
#[derive(Clone, Debug)]
pub struct LeaseQuery {
    pub(super) by: By,
    pub(super) address: Ipv4Addr,
    pub(super) hardware: HardwareAddress,
    pub(super) client: ClientId,
    pub(super) remote_id: Octets<255>,
    /// Option 55.
    pub(super) parameters: Octets<255>,
    /// Option 82 with codes and lengths, every piece of it.
    pub(super) agent: Octets<AGENT_OCTETS_MAX>,
    /// Option 57.
    pub(super) maximum_message_size: Option<u16>,
    /// Header fields, as they came.
    pub(super) xid: u32,
    pub(super) flags: u16,
    pub(super) giaddr: Ipv4Addr,
    /// How it came.
    pub(super) envelope: Envelope,
    /// Who we are towards the requestor.
    pub(super) server: Ipv4Addr,
    pub(super) server_mac: MacAddress,
}

impl Default for LeaseQuery {
    fn default() -> Self {
        let none = Ipv4Addr::UNSPECIFIED;
        Self {
            by: By::Address,
            address: none,
            hardware: HardwareAddress::NONE,
            client: ClientId::EMPTY,
            remote_id: Octets::EMPTY,
            parameters: Octets::EMPTY,
            agent: Octets::EMPTY,
            maximum_message_size: None,
            xid: 0,
            flags: 0,
            giaddr: none,
            envelope: Envelope {
                source_mac: MacAddress::default(),
                destination_mac: MacAddress::default(),
                tags: Tags::default(),
                addresses: Addresses::V4 {
                    source: none,
                    destination: none,
                },
                source_port: 0,
                destination_port: 0,
            },
            server: none,
            server_mac: MacAddress::default(),
        }
    }
}

impl LeaseQuery {
    /// What is sought.
    pub fn sought(&self) -> Sought<'_> {
        match self.by {
            By::Address => Sought::Address(self.address),
            By::Hardware => Sought::Hardware(self.hardware),
            By::Client => Sought::Client(self.client.as_slice()),
            By::RemoteId => Sought::RemoteId(self.remote_id.as_slice()),
        }
    }
}

/// Reads a DHCPLEASEQUERY into `query`, which is overwritten.
///
/// # Errors
/// Why it is not answered. `query` holds nothing useful then.
pub fn classify(
    payload: &[u8],
    envelope: &Envelope,
    interface: &Interface,
    policy: &Policy,
    query: &mut LeaseQuery,
) -> Result<(), Discard> {
    let Addresses::V4 {
        source,
        destination,
    } = envelope.addresses
    else {
        return Err(Discard::MalformedV4);
    };
    let message = Message::parse(payload).map_err(malformed)?;
    let header = message.header;
    if header.op != v4::BOOTREQUEST {
        return Err(Discard::FromServer);
    }
    // RFC 4388 section 5 [leasequery-off-is-silent].
    let permission = policy.leasequery.as_ref().ok_or(Discard::LeasequeryOff)?;
    query.giaddr = header.giaddr();
    // RFC 4388 section 6.4.3 [leasequery-giaddr]: without giaddr there is nobody to answer.
    if query.giaddr.is_unspecified() {
        return Err(Discard::LeasequeryInvalid);
    }
    // RFC 4388 section 7 [leasequery-requestors]: the sender and the address that is answered, which need not
    // be the same address of the requestor.
    if !permission.permits(query.giaddr) || !permission.permits(source) {
        return Err(Discard::LeasequeryRefused);
    }
    // The operator may have named a network in which we are, or one that is too large.
    let [first, ..] = query.giaddr.octets();
    if matches!(first, 0 | 127 | 224..) || interface.v4.contains(&query.giaddr) {
        return Err(Discard::BadDestination);
    }
    query.envelope = *envelope;
    query.xid = header.xid.get();
    query.flags = header.flags.get();
    let is_ours = interface.v4.contains(&destination);
    let server = is_ours
        .then_some(destination)
        .or(interface.v4.first().copied());
    query.server = server.ok_or(Discard::NoSubnet)?;
    query.server_mac = interface.mac;
    query.take_options(&message)?;
    query.take_sought(header)
}

fn malformed(_: Malformed) -> Discard {
    Discard::MalformedV4
}

impl LeaseQuery {
    fn take_options(&mut self, message: &Message<'_>) -> Result<(), Discard> {
        self.client.clear();
        self.remote_id.clear();
        self.parameters.clear();
        self.agent.clear();
        self.maximum_message_size = None;
        let mut message_type = None;
        for piece in message.options() {
            let piece = piece.map_err(malformed)?;
            match piece.code {
                code::MESSAGE_TYPE => message_type = piece.data.first().copied(),
                code::MAXIMUM_MESSAGE_SIZE => {
                    self.maximum_message_size = piece.data.try_into().ok().map(u16::from_be_bytes);
                }
                code::PARAMETER_REQUEST_LIST => {
                    let room = 255usize.saturating_sub(self.parameters.len());
                    let kept = piece.data.get(..room).unwrap_or(piece.data);
                    // It fits: that much was asked for.
                    let _ = self.parameters.push_slice(kept);
                }
                code::CLIENT_IDENTIFIER => {
                    let pushed = self.client.push_slice(piece.data);
                    pushed.map_err(|_| Discard::LeasequeryInvalid)?;
                }
                code::RELAY_AGENT if piece.region == Region::Options => {
                    let head = [piece.code, piece.data.len() as u8];
                    let pushed = self.agent.push_slice(&head);
                    let pushed = pushed.and_then(|()| self.agent.push_slice(piece.data));
                    pushed.map_err(|_| Discard::TooMany)?;
                }
                _ => {}
            }
        }
        match message_type.map(MessageType) {
            Some(MessageType::LEASEQUERY) => Ok(()),
            _ => Err(Discard::UnknownMessage),
        }
    }

    // RFC 4388 section 6.3 [leasequery-regimes]: by address, by hardware address, by client identifier.
    // RFC 4388 section 6.3 [leasequery-one-key]: exactly one of ciaddr, hardware address and client identifier.
    // RFC 6148 section 4.1 [remote-id-query]: or none of these, and a Remote-Id in the relay agent's option,
    // which says otherwise only who asks.
    fn take_sought(&mut self, header: &v4::Header) -> Result<(), Discard> {
        self.address = header.ciaddr();
        let octets = header.chaddr.get(..usize::from(header.hlen));
        let octets = octets.ok_or(Discard::LeasequeryInvalid)?;
        let has_hardware = octets.iter().any(|&octet| octet != 0);
        self.hardware = match has_hardware {
            true => HardwareAddress::new(header.htype, octets)
                .map_err(|_| Discard::LeasequeryInvalid)?,
            false => HardwareAddress::NONE,
        };
        let has_address = !self.address.is_unspecified();
        self.by = match (has_address, has_hardware, !self.client.is_empty()) {
            (true, false, false) => By::Address,
            (false, true, false) => By::Hardware,
            (false, false, true) => By::Client,
            (false, false, false) if self.take_remote_id() => By::RemoteId,
            _ => return Err(Discard::LeasequeryInvalid),
        };
        Ok(())
    }

    /// Whether there is one. An empty one names nobody.
    fn take_remote_id(&mut self) -> bool {
        let mut joined = Octets::<AGENT_OCTETS_MAX>::EMPTY;
        for piece in SubOptions::new(self.agent.as_slice()) {
            // What was kept has at most as many octets.
            let _ = joined.push_slice(piece.data);
        }
        let mut all = SubOptions::new(joined.as_slice());
        let found = all.find(|sub_option| sub_option.code == code::AGENT_REMOTE_ID);
        let kept = found.is_some_and(|it| self.remote_id.set(it.data).is_ok());
        kept && !self.remote_id.is_empty()
    }
}
