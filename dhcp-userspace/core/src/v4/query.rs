//! What does the client want? Octets of a message to a [`Query`] that owns all that the answer needs.

use super::agent::{self, AgentOption, is_host};
use super::context::{surroundings, way};
use super::forcerenew;
use super::identify::Identifiers;
use super::packet::{Received, vendor_class};
use super::select::{Arrival, FoundBy, select};
use crate::class::{ClassId, Memberships};
use crate::discard::Discard;
use crate::expression::{SCRATCH_OCTETS, Scratch};
use crate::flexible::FLEXIBLE_OCTETS_MAX_V4;
use crate::networks::Place;
use crate::own::OwnAddresses;
use crate::reservation::Reservations;
use crate::subnet::{
    ClientKey, Interface, Network, Policy, RelayPolicy, ReservedBy, Rules, Subnet4,
};
use crate::surroundings::Way;
use core::net::Ipv4Addr;
use dhcp_lease::context::ItemKind;
use dhcp_lease::{Context, Key, LeaseKind};
use dhcp_wire::Octets;
use dhcp_wire::frame::{Addresses, Envelope, MacAddress, Tags};
use dhcp_wire::id::{ClientId, HardwareAddress};
use dhcp_wire::v4::{self, Header, Malformed, Message, MessageType, Region, code};

/// First octet of a client identifier that stands for what a relay agent says or an expression makes: no hardware
/// address (RFC 2132 section 9.14). Kea's flexible identifier, put in the place of a client's, begins so too.
pub(super) const LINE_HEAD: u8 = 0;

/// Bound on what a client says to vendors in one option.
const VENDOR_OCTETS_MAX: usize = 512;

/// What a message asks for; the four uses of REQUEST are told apart (RFC 2131 section 4.3.2, table 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// DISCOVER.
    Discover,
    /// REQUEST for what we offered.
    Selecting,
    /// REQUEST for what another server offered: ours is declined.
    NotChosen,
    /// REQUEST of a client that restarts and wants to keep its address.
    InitReboot,
    /// REQUEST to extend a lease, sent to us.
    Renewing,
    /// REQUEST to extend a lease, sent to whoever is there.
    Rebinding,
    /// DECLINE.
    Decline,
    /// RELEASE.
    Release,
    /// INFORM.
    Inform,
    /// A BOOTP request (RFC 951), which has no message type.
    Bootp,
}

/// A message, classified: owned, reusable, overwritten completely by [`classify`].
#[derive(Clone, Debug)]
pub struct Query {
    pub(super) kind: Kind,
    pub(super) place: Place,
    pub(super) found_by: FoundBy,
    /// The address that the message is about: requested, renewed, declined or released; unspecified in
    /// a DISCOVER without option 50.
    pub(super) address: Ipv4Addr,
    /// The client identifier as it came.
    pub(super) client: ClientId,
    /// Whether it says who the client is.
    pub(super) matches_client: bool,
    /// An address that is reserved for the client's hardware address, where the client has another name besides:
    /// see [`find_name`](super::find_name).
    pub(super) machine_address: Option<Ipv4Addr>,
    /// Whether it is echoed.
    pub(super) echoes_client: bool,
    pub(super) hardware: HardwareAddress,
    /// Option 51.
    pub(super) lease_seconds: Option<u32>,
    /// Option 57.
    pub(super) maximum_message_size: Option<u16>,
    /// Option 55.
    pub(super) parameters: Octets<255>,
    /// The line that the client is on, in the place of a client identifier; empty where it counts by itself.
    pub(super) line: ClientId,
    /// Whether it is on a line that is still to be found, see [`find_line`](super::find_line).
    pub(super) lacks_line: bool,
    /// What an expression makes of the message (`identifier-expression`), where that counts; empty if nothing.
    pub(super) flexible: ClientId,
    /// Option 82, as far as it is believed and echoed.
    pub(super) agent: AgentOption,
    /// Option 118, if it is to be given back.
    pub(super) subnet_selection: Option<[u8; 4]>,
    /// Option 221 as it is to be given back; empty: not.
    pub(super) vpn_option: Octets<255>,
    /// At which port the relay agent listens.
    pub(super) relay_port: u16,
    /// Option 12.
    pub(super) host_name: Octets<255>,
    /// Option 81.
    pub(super) full_name: Octets<255>,
    /// Options 124 and 125, as far as they fit.
    pub(super) vendor_classes: Octets<VENDOR_OCTETS_MAX>,
    pub(super) vendor_options: Octets<VENDOR_OCTETS_MAX>,
    /// What is kept beside the lease.
    pub(super) context: Context,
    /// The client's classes.
    pub(super) classes: Memberships,
    pub(super) rapid_commit: bool,
    /// Option 145 names the algorithm that we have.
    pub(super) is_forcerenew_capable: bool,
    /// Header fields, as they came.
    pub(super) hlen: u8,
    pub(super) xid: u32,
    pub(super) flags: u16,
    pub(super) ciaddr: Ipv4Addr,
    pub(super) giaddr: Ipv4Addr,
    pub(super) chaddr: [u8; 16],
    /// How it came.
    pub(super) envelope: Envelope,
    /// Who we are towards this client.
    pub(super) server_identifier: Ipv4Addr,
    pub(super) source: Ipv4Addr,
    /// Our addresses on the client's network, which are no client's.
    pub(super) own: OwnAddresses<Ipv4Addr>,
    pub(super) source_mac: MacAddress,
}

impl Default for Query {
    fn default() -> Self {
        let none = Ipv4Addr::UNSPECIFIED;
        Self {
            kind: Kind::Discover,
            place: Place::default(),
            found_by: FoundBy::default(),
            address: none,
            client: ClientId::EMPTY,
            matches_client: true,
            machine_address: None,
            echoes_client: true,
            hardware: HardwareAddress::NONE,
            lease_seconds: None,
            maximum_message_size: None,
            parameters: Octets::EMPTY,
            line: ClientId::EMPTY,
            lacks_line: false,
            flexible: ClientId::EMPTY,
            agent: AgentOption::EMPTY,
            subnet_selection: None,
            vpn_option: Octets::EMPTY,
            relay_port: v4::SERVER_PORT,
            host_name: Octets::EMPTY,
            full_name: Octets::EMPTY,
            vendor_classes: Octets::EMPTY,
            vendor_options: Octets::EMPTY,
            context: Context::EMPTY,
            classes: Memberships::default(),
            rapid_commit: false,
            is_forcerenew_capable: false,
            hlen: 0,
            xid: 0,
            flags: 0,
            ciaddr: none,
            giaddr: none,
            chaddr: [0; 16],
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
            server_identifier: none,
            source: none,
            own: OwnAddresses::none(none),
            source_mac: MacAddress::default(),
        }
    }
}

impl Query {
    // RFC 4361 section 5 [older-clients], section 6.5 [client-id-any-length]: of whatever form.
    // RFC 4361 section 6.3 [client-id-identifies], RFC 4361 section 6.4 [chaddr-without-client-id]; the octets are
    // opaque (RFC 2132 section 9.14 [client-id-opaque]).
    /// By what the client's binding is found.
    pub fn key(&self) -> Key<'_> {
        let iaid = dhcp_wire::id::Iaid(0);
        Key {
            kind: LeaseKind::V4,
            client: self.holder().as_slice(),
            hardware: self.hardware,
            iaid,
        }
    }

    /// Whose the binding is: the line's, or the client's by its identifier. Empty: the client's by its hardware
    /// address.
    pub(super) fn holder(&self) -> &ClientId {
        match (self.line.is_empty(), self.matches_client) {
            (true, true) => &self.client,
            (true, false) => &ClientId::EMPTY,
            (false, _) => &self.line,
        }
    }

    /// A sub-option of the relay agent's option (RFC 3046), as far as that is believed.
    pub fn agent_sub_option(&self, code: u8) -> Option<&[u8]> {
        self.agent.find(code)
    }

    /// What is asked for.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether the message came through a relay agent.
    pub fn is_relayed(&self) -> bool {
        !self.giaddr.is_unspecified()
    }

    /// The client's network, from the policy it was classified with.
    pub(super) fn network<'p>(&self, policy: &'p Policy) -> Option<&'p Network<Subnet4>> {
        policy.networks_v4.get(self.place.network)
    }
}

/// Reads a message into `query`, which is overwritten, and finds the client's subnet.
///
/// # Errors
/// Why it is not answered. `query` holds nothing useful then.
pub fn classify(
    payload: &[u8],
    envelope: &Envelope,
    interface: &Interface,
    policy: &Policy,
    query: &mut Query,
) -> Result<(), Discard> {
    let Addresses::V4 {
        source,
        destination,
    } = envelope.addresses
    else {
        return Err(Discard::MalformedV4);
    };
    let message = Message::parse(payload).map_err(malformed)?;
    match message.header.op {
        v4::BOOTREQUEST => {}
        v4::BOOTREPLY => return Err(Discard::FromServer),
        _ => return Err(Discard::MalformedV4),
    }
    query.take_header(message.header, envelope);
    if query.is_relayed() {
        agent::admit(query.giaddr, interface, policy)?;
    }
    let scalars = query.take_options(&message)?;
    let message_type = scalars.message_type.exact(code::MESSAGE_TYPE)?;
    let message_type = message_type.map(client_message).transpose()?;
    let requested = scalars
        .requested
        .exact(code::REQUESTED_ADDRESS)?
        .map(Ipv4Addr::from_octets);
    let server = scalars
        .server
        .exact(code::SERVER_IDENTIFIER)?
        .map(Ipv4Addr::from_octets);
    let to_us = interface.v4.contains(&destination);
    if message_type == Some(MessageType::INFORM)
        && query.ciaddr.is_unspecified()
        && !query.is_relayed()
    {
        // RFC 2131 section 4.3.5 [inform-to-ciaddr]: clients must fill in `ciaddr`; the source address of
        // one that forgets it is the same.
        query.ciaddr = source;
    }
    let arrival = if query.is_relayed() {
        query.relayed_arrival(scalars.subnet.lenient(), &policy.relays_v4)?
    } else if to_us && message_type.is_some_and(may_be_routed) && !query.ciaddr.is_unspecified() {
        Arrival::Routed {
            ciaddr: query.ciaddr,
        }
    } else {
        Arrival::OnLink
    };
    let networks = &policy.networks_v4;
    let (place, found_by) = select(networks, interface, arrival).ok_or(Discard::NoSubnet)?;
    // RFC 3046 section 2.1 [relay-option-untrusted]: a client may not choose its classes by an option 82 of its own.
    let is_trusted = |subnet: &Subnet4| subnet.agents.trusts_unrelayed;
    let received = Received {
        message: &message,
        envelope,
        interface: &interface.name,
        payload_len: payload.len(),
        trusts_agent: query.is_relayed() || networks.subnet(place).is_some_and(is_trusted),
    };
    query.begin_classes(&received, message_type, policy)?;
    let permitted = networks.permitted(place, &query.classes);
    (query.place, query.found_by) = (permitted.ok_or(Discard::NoSubnet)?, found_by);
    let subnet = networks.subnet(query.place).ok_or(Discard::NoSubnet)?;
    if !query.is_relayed() {
        query.forget_relay(subnet);
    }
    let is_routed = matches!(arrival, Arrival::Routed { .. });
    query.take_rules(subnet.rules);
    query.take_flexible(&received, subnet, policy)?;
    query.take_identity(message_type, subnet, policy, is_routed)?;
    query.take_server(interface, subnet, policy, destination)?;

    let unicast = if query.is_relayed() {
        query.agent.client_sent_unicast()
    } else {
        to_us
    };
    // RFC 5107 section 4 [server-id-override-accepted]: what the relay agent gives for our identifier names us,
    // as do the ones that we gave before it did.
    let named = server.map(|server| {
        server == query.server_identifier
            || subnet.server_identifier == Some(server)
            || interface.v4.contains(&server)
    });
    let is_release = message_type == Some(MessageType::RELEASE);
    let named = match is_release && unicast && policy.release_without_server_id {
        // systemd-networkd 252 forgets to name us. It speaks to us alone all the same.
        true => named.or(Some(true)),
        false => named,
    };
    (query.kind, query.address) = match message_type {
        Some(message_type) => {
            kind_and_address(message_type, query.ciaddr, requested, named, unicast)?
        }
        None => bootp(query.ciaddr, subnet.rules)?,
    };
    query.complete_classes(&received, policy)?;
    query.machine_address = query.reserved_for_machine(policy);
    query.check_destination(interface, policy)?;
    query.take_surroundings(source, policy);
    Ok(())
}

fn malformed(_: Malformed) -> Discard {
    Discard::MalformedV4
}

// RFC 2131 section 4.4.1, table 5: only these may have an address in `ciaddr`. What stands there
// in a DISCOVER or DECLINE names no link, or anybody who can send us a datagram could hold addresses of
// any pool without ever seeing an answer.
fn may_be_routed(message_type: MessageType) -> bool {
    matches!(
        message_type,
        MessageType::REQUEST | MessageType::RELEASE | MessageType::INFORM
    )
}

// RFC 1534 section 2 [bootp-by-missing-type]: a message without a message type is of a BOOTP client. One that
// knows its address wants its file's name and server only.
fn bootp(ciaddr: Ipv4Addr, rules: Rules) -> Result<(Kind, Ipv4Addr), Discard> {
    match rules.bootp_seconds {
        Some(_) => Ok((Kind::Bootp, ciaddr)),
        None => Err(Discard::Bootp),
    }
}

/// Sorts out what no client sends.
fn client_message([number]: [u8; 1]) -> Result<MessageType, Discard> {
    match MessageType(number) {
        known @ (MessageType::DISCOVER
        | MessageType::REQUEST
        | MessageType::DECLINE
        | MessageType::RELEASE
        | MessageType::INFORM) => Ok(known),
        MessageType::OFFER | MessageType::ACK | MessageType::NAK | MessageType::FORCERENEW => {
            Err(Discard::FromServer)
        }
        // No client's: whoever serves leasequery goes on with `leasequery::classify`.
        MessageType::LEASEQUERY => Err(Discard::LeasequeryOff),
        MessageType::LEASEUNASSIGNED | MessageType::LEASEUNKNOWN | MessageType::LEASEACTIVE => {
            Err(Discard::FromServer)
        }
        _ => Err(Discard::UnknownMessage),
    }
}

/// What is asked for, and about which address. `named_us` is whether option 54 names us, if it is there.
fn kind_and_address(
    message_type: MessageType,
    ciaddr: Ipv4Addr,
    requested: Option<Ipv4Addr>,
    named_us: Option<bool>,
    unicast: bool,
) -> Result<(Kind, Ipv4Addr), Discard> {
    let has_ciaddr = !ciaddr.is_unspecified();
    match message_type {
        MessageType::DISCOVER => Ok((Kind::Discover, requested.unwrap_or(Ipv4Addr::UNSPECIFIED))),
        MessageType::REQUEST if named_us == Some(false) => {
            Ok((Kind::NotChosen, requested.unwrap_or(ciaddr)))
        }
        MessageType::REQUEST => match (has_ciaddr, requested, named_us.is_some()) {
            // RFC 2131 section 4.3.2 [request-selecting]: server identifier and requested address.
            (false, Some(address), true) => Ok((Kind::Selecting, address)),
            // RFC 2131 section 4.3.2 [request-init-reboot]: requested address alone.
            (false, Some(address), false) => Ok((Kind::InitReboot, address)),
            // RFC 2131 section 4.3.2 [request-needs-address]: neither option 50 nor `ciaddr` asks for
            // nothing.
            (false, None, _) => Err(Discard::Invalid),
            // RFC 2131 section 4.3.2 [request-extend]: `ciaddr` alone; sent to us it renews, else it
            // rebinds. Some clients add option 50 or 54 (dhcping the former), which must not be there:
            // harmless as long as it says the same.
            (true, Some(address), _) if address != ciaddr => Err(Discard::Invalid),
            (true, _, _) if unicast => Ok((Kind::Renewing, ciaddr)),
            (true, _, _) => Ok((Kind::Rebinding, ciaddr)),
        },
        // RFC 2131 section 4.4.1 [decline-release-need-server-id]: table 5 asks for the server identifier in
        // both, for option 50 in a DECLINE and for `ciaddr` in a RELEASE.
        MessageType::DECLINE => match (named_us, requested) {
            (Some(true), Some(address)) => Ok((Kind::Decline, address)),
            (Some(false), _) => Err(Discard::OtherServer),
            (Some(true) | None, _) => Err(Discard::Invalid),
        },
        MessageType::RELEASE => match named_us {
            Some(true) if has_ciaddr => Ok((Kind::Release, ciaddr)),
            Some(false) => Err(Discard::OtherServer),
            Some(true) | None => Err(Discard::Invalid),
        },
        MessageType::INFORM => Ok((Kind::Inform, ciaddr)),
        _ => Err(Discard::UnknownMessage),
    }
}

impl Query {
    fn take_header(&mut self, header: &Header, envelope: &Envelope) {
        self.envelope = *envelope;
        self.hlen = header.hlen;
        self.xid = header.xid.get();
        self.flags = header.flags.get();
        self.ciaddr = header.ciaddr();
        self.giaddr = header.giaddr();
        self.chaddr = header.chaddr;
        self.relay_port = v4::SERVER_PORT;
        let address = header
            .chaddr
            .get(..usize::from(header.hlen))
            .unwrap_or_default();
        self.hardware = HardwareAddress::new(header.htype, address).unwrap_or_default();
    }

    // RFC 3396 section 7 [pieces-joined] and [pieces-in-order], RFC 3396 section 4 [every-option-joined]: pieces are appended in the order of
    // reading. RFC 2132 section 8.4 [vendor-information-ignored], RFC 2132 section 9.13 [vendor-class-ignored]: what
    // is not named here is nothing to us.
    /// Keeps what the answer needs of the options. Split ones are put together (RFC 3396 section 7).
    ///
    /// Policies for what is wrong: hints (options 51, 57, 80) of a wrong length are ignored, options 50,
    /// 53 and 54 of a wrong length make the message malformed, a parameter request list beyond 255 codes
    /// is cut, a client identifier beyond 255 octets is no identity.
    fn take_options(&mut self, message: &Message<'_>) -> Result<Scalars, Discard> {
        let mut scalars = Scalars::default();
        // RFC 6842 section 3 [client-id-not-invented].
        self.client.clear();
        self.parameters.clear();
        self.agent.clear();
        self.subnet_selection = None;
        self.vpn_option.clear();
        self.host_name.clear();
        self.full_name.clear();
        self.vendor_classes.clear();
        self.vendor_options.clear();
        self.rapid_commit = false;
        self.is_forcerenew_capable = false;
        for piece in message.options() {
            let piece = piece.map_err(malformed)?;
            match piece.code {
                code::MESSAGE_TYPE => scalars.message_type.push(piece.data),
                code::REQUESTED_ADDRESS => scalars.requested.push(piece.data),
                code::SERVER_IDENTIFIER => scalars.server.push(piece.data),
                code::LEASE_TIME => scalars.lease.push(piece.data),
                code::MAXIMUM_MESSAGE_SIZE => scalars.size.push(piece.data),
                code::RAPID_COMMIT => self.rapid_commit = piece.data.is_empty(),
                // RFC 6704 section 3.1.1 [forcerenew-capable-option]: a list of algorithms.
                code::FORCERENEW_NONCE_CAPABLE => {
                    self.is_forcerenew_capable |= piece.data.contains(&forcerenew::ALGORITHM);
                }
                code::PARAMETER_REQUEST_LIST => {
                    let room = 255usize.saturating_sub(self.parameters.len());
                    let kept = piece.data.get(..room).unwrap_or(piece.data);
                    self.parameters
                        .push_slice(kept)
                        .map_err(|_| Discard::TooMany)?;
                }
                // Names decide nothing: of one that is too long the pieces that fit are kept.
                code::HOST_NAME => {
                    let _ = self.host_name.push_slice(piece.data);
                }
                code::CLIENT_FQDN => {
                    let _ = self.full_name.push_slice(piece.data);
                }
                // A vendor that does not fit is one that is not answered.
                code::VENDOR_CLASS => {
                    let _ = self.vendor_classes.push_slice(piece.data);
                }
                code::VENDOR_OPTIONS => {
                    let _ = self.vendor_options.push_slice(piece.data);
                }
                code::CLIENT_IDENTIFIER => {
                    self.client
                        .push_slice(piece.data)
                        .map_err(|_| Discard::NoClient)?;
                }
                // RFC 3046 section 2.1 [relay-option-place]: relay agents put theirs into the options field
                // and never into `file` or `sname`; what stands there is the client's own invention.
                code::RELAY_AGENT if piece.region == Region::Options => {
                    self.agent.push(piece.data)?;
                }
                code::SUBNET_SELECTION => scalars.subnet.push(piece.data),
                code::VPN => {
                    self.vpn_option
                        .push_slice(piece.data)
                        .map_err(|_| Discard::TooMany)?;
                }
                _ => {}
            }
        }
        self.lease_seconds = scalars.lease.lenient().map(u32::from_be_bytes);
        self.maximum_message_size = scalars.size.lenient().map(u16::from_be_bytes);
        Ok(scalars)
    }

    /// The client's classes as far as the message tells them.
    fn begin_classes(
        &mut self,
        received: &Received<'_>,
        message_type: Option<MessageType>,
        policy: &Policy,
    ) -> Result<(), Discard> {
        let classes = &policy.classes_v4;
        if classes.is_empty() {
            self.classes.clear();
            return Ok(());
        }
        let mut block = [0; SCRATCH_OCTETS];
        let vendor = vendor_class(received, &mut Scratch::new(&mut block));
        // As Kea's hook for BOOTP has it, before any test.
        let given = message_type.is_none().then_some(ClassId::BOOTP);
        classes.begin(received, vendor, given, &mut self.classes);
        self.not_dropped()
    }

    /// The client's other classes, which may depend on whether it has a reservation on its link.
    fn complete_classes(
        &mut self,
        received: &Received<'_>,
        policy: &Policy,
    ) -> Result<(), Discard> {
        let classes = &policy.classes_v4;
        if classes.is_empty() {
            return Ok(());
        }
        let network = self.network(policy).ok_or(Discard::NoSubnet)?;
        let identifiers = Identifiers::of(self, policy, network, |_| false);
        // What is reserved in a subnet that is not for the client is not reserved for it.
        let of_client = |subnet: &&Subnet4| subnet.access.guard.permits(&self.classes);
        let mut subnets = network.subnets.iter().filter(of_client);
        let reserved = subnets.find_map(|subnet| {
            let host = identifiers.host(policy, subnet)?;
            policy.hosts_v4.reservation(&subnet.reservations, host)
        });
        let of_reservation = reserved.into_iter().flat_map(|it| &it.classes);
        classes.complete(
            received,
            reserved.is_some(),
            of_reservation,
            &mut self.classes,
        );
        self.not_dropped()
    }

    /// What is reserved for the client by its hardware address alone, if that is not its only name.
    fn reserved_for_machine(&self, policy: &Policy) -> Option<Ipv4Addr> {
        let has_names = self.matches_client
            && !self.client.is_empty()
            && self.line.is_empty()
            && !self.lacks_line
            && has_own_address(&self.hardware);
        if !has_names || self.kind == Kind::Inform {
            return None;
        }
        let network = self.network(policy)?;
        let is_by_hardware =
            |reservations: &Reservations| reservations.has(ReservedBy::HardwareAddress);
        let mut of_subnets = network.subnets.iter().map(|subnet| &subnet.reservations);
        if !is_by_hardware(&policy.hosts_v4.global) && !of_subnets.any(is_by_hardware) {
            return None;
        }
        let identifiers = Identifiers::of(self, policy, network, |_| false);
        let (subnet, address, host) = identifiers.reserved(policy, network)?;
        let subnet = network.subnets.get(subnet)?;
        identifiers
            .is_of_hardware(policy, subnet, host)
            .then_some(address)
    }

    fn not_dropped(&self) -> Result<(), Discard> {
        match self.classes.contains(ClassId::DROP) {
            true => Err(Discard::DropClass),
            false => Ok(()),
        }
    }

    fn take_surroundings(&mut self, source: Ipv4Addr, policy: &Policy) {
        let mut context = core::mem::take(&mut self.context);
        surroundings(self, source, &mut context);
        // For renewals past the relay agent, which do not tell it. A line's key says it already.
        let is_of_agent = policy.flexible_v4.is_of_relay_agent() && self.line.is_empty();
        if is_of_agent && !self.flexible.is_empty() && way(self) == Way::Known {
            context.insert(ItemKind::FLEXIBLE, self.flexible.as_slice());
        }
        self.context = context;
    }

    /// Where a relayed message says that its client is. `selection` is the client's option 118.
    fn relayed_arrival(
        &mut self,
        selection: Option<[u8; 4]>,
        policy: &RelayPolicy,
    ) -> Result<Arrival, Discard> {
        let vpn = agent::vpn_of(&mut self.agent, &mut self.vpn_option, policy)?;
        // RFC 3011 section 2 [subnet-selection-switch]: who is configured to ignore the option does, and does
        // not give it back.
        self.subnet_selection = selection.filter(|_| policy.client_selects);
        // RFC 3527 section 3 [link-selection-first]: the relay agent's word goes before the client's.
        let by_client = self.subnet_selection.map(Ipv4Addr::from_octets);
        let by_agent = self.agent.link_selection();
        let by_agent = by_agent.filter(|_| !policy.ignores_link_selection);
        // RFC 8357 section 5.1 [relay-port]: a relay agent that says so is answered at the port that it sent
        // from, any other at the server port.
        let port = self.envelope.source_port;
        let says_so = self.agent.find(code::AGENT_SOURCE_PORT).is_some();
        if says_so && port != 0 {
            self.relay_port = port;
        }
        Ok(Arrival::Relayed {
            giaddr: self.giaddr,
            selected: by_agent.or(by_client),
            vpn,
        })
    }

    /// In a message that was not relayed, what relay agents say is the client's own invention, unless the
    /// operator knows who puts option 82 into the messages of this subnet.
    ///
    /// RFC 3046 section 2.1 [relay-option-untrusted]: what comes from an untrusted circuit is not a relay
    /// agent's; here it is not echoed either.
    fn forget_relay(&mut self, subnet: &Subnet4) {
        self.vpn_option.clear();
        if !subnet.agents.trusts_unrelayed {
            self.agent.clear();
        }
    }

    // RFC 2131 section 4.2 [client-identity]: the client identifier if there is one, else `chaddr`. An empty
    // identifier is none (it made a server loop once, CVE-2012-3571); nor is an address that many
    // stations share or that no header can hold.
    fn take_identity(
        &mut self,
        message_type: Option<MessageType>,
        subnet: &Subnet4,
        policy: &Policy,
        is_routed: bool,
    ) -> Result<(), Discard> {
        self.line.clear();
        self.lacks_line = false;
        if usize::from(self.hlen) > self.chaddr.len() {
            return Err(Discard::NoClient);
        }
        match subnet.agents.client_key {
            ClientKey::Agent(code) => self.take_line(message_type, code, is_routed),
            // Kea's hook puts the client identifier in its place, which does not count there.
            ClientKey::Flexible if subnet.rules.match_client_id => {
                // RFC 3046 section 2.2 [relay-option-unicast]: what came past the relay agent lacks its words, or has
                // the client's own in their place.
                self.lacks_line = is_routed
                    && self.agent.echo().is_empty()
                    && policy.flexible_v4.is_of_relay_agent()
                    && message_type != Some(MessageType::INFORM);
                match self.lacks_line {
                    true => Ok(()),
                    false => self.take_replaced(),
                }
            }
            ClientKey::Client | ClientKey::Flexible => self.check_own(),
        }
    }

    /// The client says itself who it is.
    fn check_own(&self) -> Result<(), Discard> {
        match self.client.is_empty() && !has_own_address(&self.hardware) {
            true => Err(Discard::NoClient),
            false => Ok(()),
        }
    }

    /// What the expression makes of the message, in the place of the client identifier; the client itself where
    /// that is nothing.
    fn take_replaced(&mut self) -> Result<(), Discard> {
        if !self.flexible.is_empty() {
            // Kea gives the client its own back, whatever `echo-client-id` says.
            self.echoes_client = true;
            let taken = self.line.set(&[LINE_HEAD]);
            return taken
                .and_then(|()| self.line.push_slice(self.flexible.as_slice()))
                .map_err(|_| Discard::NoClient);
        }
        if self.client.as_slice().first() == Some(&LINE_HEAD) {
            // It could pass for somebody whom the expression knows.
            self.matches_client = false;
            return match has_own_address(&self.hardware) {
                true => Ok(()),
                false => Err(Discard::NoClientKey),
            };
        }
        self.check_own()
    }

    /// What the expression makes of the message, where somebody is known by that.
    fn take_flexible(
        &mut self,
        received: &Received<'_>,
        subnet: &Subnet4,
        policy: &Policy,
    ) -> Result<(), Discard> {
        let replaces = subnet.agents.client_key == ClientKey::Flexible;
        self.flexible.clear();
        let network = self.network(policy).ok_or(Discard::NoSubnet)?;
        if !policy.flexible_v4.is_given() || !(replaces || knows_flexible(network, policy)) {
            return Ok(());
        }
        let classes = self.classes.set();
        let most = FLEXIBLE_OCTETS_MAX_V4;
        let made = policy
            .flexible_v4
            .identify(received, classes, most, &mut self.flexible);
        match made {
            Err(_) if replaces => Err(Discard::NoClient),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The line, by a sub-option of the relay agent's option.
    /// RFC 3993 section 5 [subscriber-id]: that may be its subscriber.
    fn take_line(
        &mut self,
        message_type: Option<MessageType>,
        code: u8,
        is_routed: bool,
    ) -> Result<(), Discard> {
        match self.agent.find(code) {
            Some(line) if !line.is_empty() => {
                let taken = self.line.set(&[LINE_HEAD]);
                taken
                    .and_then(|()| self.line.push_slice(line))
                    .map_err(|_| Discard::NoClient)
            }
            // It gets parameters and no lease.
            _ if message_type == Some(MessageType::INFORM) => Ok(()),
            // RFC 3046 section 2.2 [relay-option-unicast]: it came past the relay agent.
            _ if is_routed => {
                self.lacks_line = true;
                Ok(())
            }
            _ => Err(Discard::NoClientKey),
        }
    }

    /// The flexible identifier again, of a line that was found by its address.
    pub(super) fn take_flexible_of_line(&mut self, policy: &Policy) {
        let subnet = policy.networks_v4.subnet(self.place);
        let is_flexible = subnet.is_some_and(|it| it.agents.client_key == ClientKey::Flexible);
        if let (true, [LINE_HEAD, value @ ..]) = (is_flexible, self.line.as_slice()) {
            // One octet less than there is.
            let _ = self.flexible.set(value);
        }
    }

    /// What of the client counts where it is.
    fn take_rules(&mut self, rules: Rules) {
        // A client without a hardware address of its own has nothing else to be known by.
        // RFC 4361 section 6.3 [hardware-by-operator-only]: a switch, on as the RFC has it.
        self.matches_client = rules.match_client_id || !has_own_address(&self.hardware);
        self.echoes_client = rules.echo_client_id;
    }

    /// Who we are towards this client, and from which address we answer.
    fn take_server(
        &mut self,
        interface: &Interface,
        subnet: &Subnet4,
        policy: &Policy,
        destination: Ipv4Addr,
    ) -> Result<(), Discard> {
        let place = self.place;
        // RFC 2131 section 4.1 [server-id-reachable]: the address that we use on the client's subnet, else
        // the interface's first.
        let on_link = |address: &&Ipv4Addr| policy.networks_v4.is_in_network(place, **address);
        let own = interface
            .v4
            .iter()
            .find(on_link)
            .or(interface.v4.first())
            .copied();
        // RFC 5107 section 4 [server-id-override]: the relay agent's word goes before all of that.
        let by_relay = self.agent.server_override().filter(|_| self.is_relayed());
        let identifier = by_relay.or(subnet.server_identifier).or(own);
        self.server_identifier = identifier.ok_or(Discard::NoSubnet)?;
        self.own.set(interface.v4.iter().filter(on_link).copied());
        let is_ours = |address: Ipv4Addr| interface.v4.contains(&address).then_some(address);
        let source = is_ours(destination)
            .or(is_ours(self.server_identifier))
            .or(own);
        self.source = source.unwrap_or(self.server_identifier);
        self.source_mac = interface.mac;
        Ok(())
    }

    /// Refuses to answer to addresses that are no client's and no relay agent's.
    fn check_destination(&self, interface: &Interface, policy: &Policy) -> Result<(), Discard> {
        let is_good = |address: Ipv4Addr| is_host(address) && !interface.v4.contains(&address);
        let in_network = || policy.networks_v4.is_in_network(self.place, self.ciaddr);
        let good = match self.kind {
            Kind::Decline | Kind::Release | Kind::NotChosen => true,
            // RFC 2131 section 3.4 [inform-address-checked].
            // The answer goes to an address that we did not assign: at least it lies on the link.
            Kind::Inform if !self.ciaddr.is_unspecified() => is_good(self.ciaddr) && in_network(),
            _ if self.is_relayed() => is_good(self.giaddr),
            Kind::Renewing | Kind::Rebinding => is_good(self.ciaddr),
            Kind::Bootp if !self.ciaddr.is_unspecified() => is_good(self.ciaddr) && in_network(),
            Kind::Discover | Kind::Selecting | Kind::InitReboot | Kind::Bootp => true,
            Kind::Inform => false,
        };
        if good {
            Ok(())
        } else {
            Err(Discard::BadDestination)
        }
    }
}

/// Whether some reservation that counts in a network is for a flexible identifier.
pub(super) fn knows_flexible(network: &Network<Subnet4>, policy: &Policy) -> bool {
    let of_subnets = network.subnets.iter().map(|subnet| &subnet.reservations);
    let mut reservations = of_subnets.chain([&policy.hosts_v4.global]);
    reservations.any(|reservations| reservations.has(ReservedBy::FlexId))
}

/// Whether a hardware address is one station's.
pub(super) fn has_own_address(hardware: &HardwareAddress) -> bool {
    let is_zero = hardware.as_slice().iter().all(|&octet| octet == 0);
    !is_zero && !is_group(hardware)
}

/// Whether an Ethernet address stands for several stations.
pub(super) fn is_group(hardware: &HardwareAddress) -> bool {
    hardware.htype() == 1
        && hardware
            .as_slice()
            .first()
            .is_some_and(|first| first & 1 == 1)
}

/// Options of a fixed length.
#[derive(Default)]
struct Scalars {
    message_type: Scalar<1>,
    requested: Scalar<4>,
    server: Scalar<4>,
    lease: Scalar<4>,
    size: Scalar<2>,
    subnet: Scalar<4>,
}

/// An option that must have `N` octets, put together from its pieces.
struct Scalar<const N: usize> {
    octets: [u8; N],
    /// Octets seen, which may be more than `N`; `None` before the first piece.
    len: Option<usize>,
}

impl<const N: usize> Default for Scalar<N> {
    fn default() -> Self {
        Self {
            octets: [0; N],
            len: None,
        }
    }
}

impl<const N: usize> Scalar<N> {
    fn push(&mut self, data: &[u8]) {
        let len = self.len.unwrap_or(0);
        for (to, from) in self.octets.iter_mut().skip(len).zip(data) {
            *to = *from;
        }
        self.len = Some(len + data.len());
    }

    /// The value; a wrong length makes the message malformed.
    fn exact(&self, code: u8) -> Result<Option<[u8; N]>, Discard> {
        match self.len {
            None => Ok(None),
            Some(len) if len == N => Ok(Some(self.octets)),
            // RFC 2132 section 9.1 [exact-lengths].
            Some(got) => Err(malformed(Malformed::BadLength { code, got })),
        }
    }

    /// The value; a wrong length is as good as none.
    fn lenient(&self) -> Option<[u8; N]> {
        self.exact(0).ok().flatten()
    }
}
