//! Octets to a query: what the client asks, from which link, and where the answer goes.

use super::choose::reservation;
use super::context::surroundings;
use super::packet::{Received, vendor_class};
use super::select;
use super::vendor::Vendors;
use crate::class::{ClassId, Memberships};
use crate::flexible::FLEXIBLE_OCTETS_MAX_V6;
use crate::own::OwnAddresses;
use crate::reservation::ReservedBy;
use crate::{Discard, Interface, Policy};
use core::net::Ipv6Addr;
use dhcp_lease::{Context, Key, Lease, LeaseKind};
use dhcp_wire::frame::{Addresses, Envelope, MacAddress, Tags};
use dhcp_wire::id::{ClientId, Duid, HardwareAddress, Iaid};
use dhcp_wire::v6::{
    self, Ia, IaAddress, IaPrefix, Malformed, Message, MessageType, OptionCode, Options, Packet,
    Relay, RelayChain, RelayHeader,
};
use dhcp_wire::{Octets, TooLong};

/// What stands before a flexible identifier in the place of a DUID: a type that no DUID has (RFC 9915 section 11.1).
const REPLACED_HEAD: [u8; 2] = [0, 0];

/// How many IAs of all kinds one message may have.
pub const IAS_MAX: usize = 8;

/// How many addresses or prefixes one IA may name.
pub const HINTS_MAX: usize = 4;

/// How many codes of an Option Request option count; those after them go unanswered.
pub const REQUESTED_MAX: usize = 64;

/// How many octets the relay messages around a message may have.
pub const RELAY_OCTETS_MAX: usize = 1200;

/// What kind of IA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IaKind {
    /// IA_NA: addresses.
    Addresses,
    /// IA_PD: delegated prefixes.
    Prefixes,
    /// IA_TA: temporary addresses, which no longer exist and are politely refused.
    Temporary,
}

/// What a client says about one of its IAs.
#[derive(Clone, Copy, Debug)]
pub(super) struct IaQuery {
    pub(super) kind: IaKind,
    pub(super) iaid: Iaid,
    hints: [Lease; HINTS_MAX],
    hint_count: usize,
}

/// To which server a message is addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Addressee {
    /// To this one, or to whoever hears it.
    Us,
    /// To another one.
    Other,
}

/// A message from a client, owned: the frame that it came in may be overwritten.
#[derive(Clone, Debug)]
pub struct Query {
    pub(super) message_type: MessageType,
    pub(super) transaction_id: [u8; 3],
    pub(super) addressee: Addressee,
    /// The DUID as it came.
    pub(super) client: Duid,
    /// Whose the bindings are: the client's by its DUID, or what an expression makes of the message, in the form of one.
    holder: Duid,
    /// What an expression makes of the message (`identifier-expression`), where that counts; empty if nothing.
    pub(super) flexible: ClientId,
    /// Whether an IAID says nothing where it is the only one of its kind (`ignore-iaid`).
    ignores_iaid: bool,
    pub(super) hardware: HardwareAddress,
    /// Index into `Policy::networks_v6`.
    pub(super) network: usize,
    /// Index of the selected subnet in its network.
    pub(super) subnet: usize,
    pub(super) rapid_commit: bool,
    pub(super) relays: RelayRecord,
    /// What is kept beside the leases.
    pub(super) context: Context,
    /// The vendors that it names.
    pub(super) vendors: Vendors,
    /// The client's classes.
    pub(super) classes: Memberships,
    /// The client's full name option.
    full_name: Octets<255>,
    /// The headers of the answer.
    pub(super) answer_envelope: Envelope,
    /// Our addresses on the client's link, which are no client's.
    pub(super) own: OwnAddresses<Ipv6Addr>,
    ias: [IaQuery; IAS_MAX],
    ia_count: usize,
    requested: [u16; REQUESTED_MAX],
    requested_count: usize,
}

impl Default for Query {
    fn default() -> Self {
        let nobody = Addresses::V6 {
            source: Ipv6Addr::UNSPECIFIED,
            destination: Ipv6Addr::UNSPECIFIED,
        };
        Self {
            message_type: MessageType::Solicit,
            transaction_id: [0; 3],
            addressee: Addressee::Us,
            client: Duid::EMPTY,
            holder: Duid::EMPTY,
            flexible: ClientId::EMPTY,
            ignores_iaid: false,
            hardware: HardwareAddress::NONE,
            network: 0,
            subnet: 0,
            rapid_commit: false,
            relays: RelayRecord::default(),
            context: Context::EMPTY,
            vendors: Vendors::default(),
            classes: Memberships::default(),
            full_name: Octets::EMPTY,
            answer_envelope: Envelope {
                source_mac: MacAddress::default(),
                destination_mac: MacAddress::default(),
                tags: Tags::default(),
                addresses: nobody,
                source_port: v6::SERVER_PORT,
                destination_port: v6::CLIENT_PORT,
            },
            own: OwnAddresses::none(Ipv6Addr::UNSPECIFIED),
            ias: [IaQuery::new(IaKind::Addresses, Iaid(0)); IAS_MAX],
            ia_count: 0,
            requested: [0; REQUESTED_MAX],
            requested_count: 0,
        }
    }
}

impl Query {
    /// By what the client's bindings are found and it is spread: mostly its DUID; empty if the message had none.
    pub fn client(&self) -> &[u8] {
        self.holder.as_slice()
    }

    /// Whose the bindings are, and what reservations by an expression are for.
    fn take_identity(&mut self, received: &Received<'_>, policy: &Policy) -> Result<(), Discard> {
        let flexible = &policy.flexible_v6;
        self.holder = self.client.clone();
        self.ignores_iaid = flexible.ignores_iaid;
        self.flexible.clear();
        if !flexible.is_given() || !(flexible.replaces_duid || self.knows_flexible(policy)) {
            return Ok(());
        }
        let (classes, most) = (self.classes.set(), FLEXIBLE_OCTETS_MAX_V6);
        let made = flexible.identify(received, classes, most, &mut self.flexible);
        if !flexible.replaces_duid {
            return Ok(());
        }
        made.map_err(|_| Discard::NoClient)?;
        if self.flexible.is_empty() {
            // A DUID of that type could pass for somebody whom the expression knows.
            return match self.client.as_slice().starts_with(&REPLACED_HEAD) {
                true => Err(Discard::NoClientKey),
                false => Ok(()),
            };
        }
        let taken = self.holder.set(&REPLACED_HEAD);
        taken
            .and_then(|()| self.holder.push_slice(self.flexible.as_slice()))
            .map_err(|_| Discard::NoClient)
    }

    /// Whether some reservation that counts on the link is for a flexible identifier.
    fn knows_flexible(&self, policy: &Policy) -> bool {
        let network = policy.networks_v6.get(self.network);
        let subnets = network.into_iter().flat_map(|network| &network.subnets);
        let of_subnets = subnets.map(|subnet| &subnet.reservations);
        let mut reservations = of_subnets.chain([&policy.hosts_v6.global]);
        reservations.any(|reservations| reservations.has(ReservedBy::FlexId))
    }

    /// The number of an IA as its binding has it.
    fn iaid(&self, ia: &IaQuery) -> Iaid {
        let is_only = || {
            let mut of_kind = self.ias().iter().filter(|it| it.kind == ia.kind);
            of_kind.next().is_some() && of_kind.next().is_none()
        };
        match self.ignores_iaid && is_only() {
            true => Iaid(0),
            false => ia.iaid,
        }
    }

    /// The keys of the bindings that [`super::decide`] will look for.
    pub fn keys(&self) -> impl Iterator<Item = Key<'_>> {
        self.ias().iter().filter_map(|ia| self.key(ia))
    }

    /// The type of the client's message.
    pub fn message_type(&self) -> MessageType {
        self.message_type
    }

    fn take_own(&mut self, interface: &Interface, policy: &Policy) {
        let network = policy.networks_v6.get(self.network);
        let subnets = network.map(|network| network.subnets.as_slice());
        let subnets = subnets.unwrap_or_default();
        let own = interface.v6.iter().copied();
        let on_link = own.filter(|own| subnets.iter().any(|subnet| subnet.contains(*own)));
        self.own.set(on_link);
    }

    /// The client's classes as far as the message tells them.
    fn begin_classes(&mut self, received: &Received<'_>, policy: &Policy) -> Result<(), Discard> {
        let vendor = vendor_class(received);
        let classes = &mut self.classes;
        policy.classes_v6.begin(received, vendor, None, classes);
        self.not_dropped()
    }

    /// The client's other classes, which may depend on whether it has a reservation on its link.
    fn complete_classes(
        &mut self,
        received: &Received<'_>,
        policy: &Policy,
    ) -> Result<(), Discard> {
        let classes = &policy.classes_v6;
        if classes.is_empty() {
            return Ok(());
        }
        let network = policy.networks_v6.get(self.network);
        let place = network.and_then(|network| Some((network, network.subnets.get(self.subnet)?)));
        let reserved =
            place.and_then(|(network, subnet)| reservation(policy, network, subnet, self));
        let of_reservation = reserved.into_iter().flat_map(|(_, it)| &it.classes);
        classes.complete(
            received,
            reserved.is_some(),
            of_reservation,
            &mut self.classes,
        );
        self.not_dropped()
    }

    fn not_dropped(&self) -> Result<(), Discard> {
        match self.classes.contains(ClassId::DROP) {
            true => Err(Discard::DropClass),
            false => Ok(()),
        }
    }

    pub(super) fn ias(&self) -> &[IaQuery] {
        self.ias.get(..self.ia_count).unwrap_or_default()
    }

    pub(super) fn has_requested(&self, code: u16) -> bool {
        self.requested
            .get(..self.requested_count)
            .unwrap_or_default()
            .contains(&code)
    }

    pub(super) fn key(&self, ia: &IaQuery) -> Option<Key<'_>> {
        let kind = ia.kind.lease_kind()?;
        let hardware = HardwareAddress::NONE;
        Some(Key {
            kind,
            client: self.client(),
            hardware,
            iaid: self.iaid(ia),
        })
    }

    fn push_ia(&mut self, ia: IaQuery) -> Result<(), Discard> {
        // One answer per IA: of two with the same number the first counts.
        if self
            .ias()
            .iter()
            .any(|known| known.kind == ia.kind && known.iaid == ia.iaid)
        {
            return Ok(());
        }
        *self.ias.get_mut(self.ia_count).ok_or(Discard::TooMany)? = ia;
        self.ia_count += 1;
        Ok(())
    }

    fn set_requested(&mut self, codes: impl Iterator<Item = u16>) {
        self.requested_count = 0;
        for (place, code) in self.requested.iter_mut().zip(codes) {
            *place = code;
            self.requested_count += 1;
        }
    }

    /// Takes over what the options of a message say. The server identifier comes back.
    fn read<'a>(&mut self, options: &Options<'a>) -> Result<Option<&'a [u8]>, Discard> {
        let mut server = None;
        for option in options.iter() {
            match option.code {
                OptionCode::CLIENT_ID if !self.client.is_empty() => {
                    return Err(Discard::MalformedV6);
                }
                OptionCode::CLIENT_ID => {
                    let duid = v6::duid(option.data).map_err(|_| Discard::NoClient)?;
                    self.client.set(duid).map_err(|_| Discard::NoClient)?;
                }
                OptionCode::SERVER_ID if server.is_some() => return Err(Discard::MalformedV6),
                OptionCode::SERVER_ID => server = Some(option.data),
                OptionCode::IA_NA => self.push_ia(IaQuery::addresses(option.data)?)?,
                OptionCode::IA_PD => self.push_ia(IaQuery::prefixes(option.data)?)?,
                OptionCode::IA_TA => {
                    let iaid = v6::ia_ta(option.data).map_err(malformed)?;
                    self.push_ia(IaQuery::new(IaKind::Temporary, iaid))?;
                }
                OptionCode::OPTION_REQUEST if self.requested_count == 0 => {
                    self.set_requested(v6::option_request(option.data));
                }
                // A name decides nothing: one that is too long is as if it were not there.
                OptionCode::CLIENT_FQDN => {
                    let _ = self.full_name.set(option.data);
                }
                OptionCode::VENDOR_CLASS | OptionCode::VENDOR_OPTIONS => {
                    self.vendors.take(option.code, option.data);
                }
                OptionCode::RAPID_COMMIT => self.rapid_commit = v6::rapid_commit(option.data),
                // RFC 8415 section 16 [unknown-options-ignored]: an option that we do not know, or do
                // not need, is as if it were not there.
                _ => {}
            }
        }
        Ok(server)
    }
}

impl IaQuery {
    fn new(kind: IaKind, iaid: Iaid) -> Self {
        let hints = [Lease::Address(Ipv6Addr::UNSPECIFIED); HINTS_MAX];
        Self {
            kind,
            iaid,
            hints,
            hint_count: 0,
        }
    }

    /// The leases that the client names. A prefix of `::` is a wish for its length only.
    pub(super) fn hints(&self) -> &[Lease] {
        self.hints.get(..self.hint_count).unwrap_or_default()
    }

    /// The length of prefix that the client wishes for (RFC 8168).
    pub(super) fn wished_len(&self) -> Option<u8> {
        self.hints().iter().find_map(|hint| match hint {
            Lease::Prefix(prefix, len) if prefix.is_unspecified() => Some(*len),
            Lease::Prefix(..) | Lease::Address(_) | Lease::V4(_) => None,
        })
    }

    /// The leases that the client names by value.
    pub(super) fn named(&self) -> impl Iterator<Item = Lease> + '_ {
        let is_named = |hint: &&Lease| !hint.address().is_unspecified();
        self.hints().iter().filter(is_named).copied()
    }

    fn addresses(data: &[u8]) -> Result<Self, Discard> {
        let ia = Ia::parse(OptionCode::IA_NA, data).map_err(malformed)?;
        let mut query = Self::new(IaKind::Addresses, ia.iaid);
        for option in ia
            .options
            .iter()
            .filter(|inner| inner.code == OptionCode::IA_ADDRESS)
        {
            // RFC 8415 section 21.6 [client-lifetimes-ignored]: lifetimes, like T1 and T2 above, are for
            // the server to say.
            let address = IaAddress::parse(option.data).map_err(malformed)?.address;
            if !address.is_unspecified() {
                query.push_hint(Lease::Address(address))?;
            }
        }
        Ok(query)
    }

    fn prefixes(data: &[u8]) -> Result<Self, Discard> {
        let ia = Ia::parse(OptionCode::IA_PD, data).map_err(malformed)?;
        let mut query = Self::new(IaKind::Prefixes, ia.iaid);
        for option in ia
            .options
            .iter()
            .filter(|inner| inner.code == OptionCode::IA_PREFIX)
        {
            let hint = IaPrefix::parse(option.data).map_err(malformed)?;
            if hint.prefix_len > 0 {
                query.push_hint(Lease::Prefix(hint.prefix, hint.prefix_len))?;
            }
        }
        Ok(query)
    }

    fn push_hint(&mut self, lease: Lease) -> Result<(), Discard> {
        *self
            .hints
            .get_mut(self.hint_count)
            .ok_or(Discard::TooMany)? = lease;
        self.hint_count += 1;
        Ok(())
    }
}

impl IaKind {
    pub(super) fn lease_kind(self) -> Option<LeaseKind> {
        match self {
            Self::Addresses => Some(LeaseKind::Address),
            Self::Prefixes => Some(LeaseKind::Prefix),
            Self::Temporary => None,
        }
    }
}

/// The relay messages around a message, without what they relay: each as its length and its octets.
#[derive(Clone, Debug, Default)]
pub(super) struct RelayRecord {
    octets: Octets<RELAY_OCTETS_MAX>,
}

impl RelayRecord {
    fn set(&mut self, chain: &RelayChain<'_>) -> Result<(), TooLong> {
        self.octets.clear();
        chain
            .outermost_first()
            .try_for_each(|relay| self.push(relay))
    }

    fn push(&mut self, relay: &Relay<'_>) -> Result<(), TooLong> {
        let kept = || {
            relay
                .options
                .iter()
                .filter(|option| option.code != OptionCode::RELAY_MESSAGE)
        };
        let len: usize = kept().map(|option| option.data.len() + 4).sum();
        let too_long = TooLong {
            got: len,
            bound: RELAY_OCTETS_MAX,
        };
        let len = u16::try_from(len).map_err(|_| too_long)?;
        let RelayHeader {
            msg_type,
            hop_count,
            link_address,
            peer_address,
        } = *relay.header;
        self.octets.push_slice(&len.to_be_bytes())?;
        self.octets.push_slice(&[msg_type, hop_count])?;
        self.octets.push_slice(&link_address)?;
        self.octets.push_slice(&peer_address)?;
        for option in kept() {
            self.octets.push_slice(&option.code.to_be_bytes())?;
            self.octets
                .push_slice(&(option.data.len() as u16).to_be_bytes())?; // was read from 16 bits
            self.octets.push_slice(option.data)?;
        }
        Ok(())
    }

    /// The levels, from the server's neighbour to the client's.
    pub(super) fn outermost_first(&self) -> impl Iterator<Item = (RelayHeader, Options<'_>)> {
        let mut rest = self.octets.as_slice();
        core::iter::from_fn(move || {
            let (len, after) = rest.split_first_chunk::<2>()?;
            let (types, after) = after.split_first_chunk::<2>()?;
            let (link_address, after) = after.split_first_chunk::<16>()?;
            let (peer_address, after) = after.split_first_chunk::<16>()?;
            let (options, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
            rest = after;
            let [msg_type, hop_count] = *types;
            let (link_address, peer_address) = (*link_address, *peer_address);
            let header = RelayHeader {
                msg_type,
                hop_count,
                link_address,
                peer_address,
            };
            Some((header, Options::parse(options).ok()?))
        })
    }
}

/// Reads a UDP payload into `query`, which is overwritten, and finds the client's link.
///
/// # Errors
/// The reason why the message is not answered (RFC 9915 section 16 and ours).
pub fn classify(
    payload: &[u8],
    envelope: &Envelope,
    interface: &Interface,
    policy: &Policy,
    query: &mut Query,
) -> Result<(), Discard> {
    let Addresses::V6 {
        source,
        destination,
    } = envelope.addresses
    else {
        return Err(Discard::NotForUs);
    };
    let outermost = payload.first().ok_or(Discard::MalformedV6)?;
    if known_type(*outermost)? != MessageType::RelayForward && !destination.is_multicast() {
        // RFC 9915 section 16 [unicast-from-client-discarded]: clients have no way to send to a server's
        // own address any more, whatever the message.
        return Err(Discard::Unicast);
    }
    let packet = Packet::parse(payload).map_err(malformed)?;
    query.message_type = known_type(packet.message.header.msg_type)?;
    read(&packet.message, policy, query)?;
    query
        .relays
        .set(&packet.relays)
        .map_err(|_| Discard::TooMany)?;
    query.hardware = hardware(&packet.relays, query.client.as_slice());
    let received = Received {
        packet: &packet,
        envelope,
        interface: &interface.name,
        payload_len: payload.len(),
    };
    query.begin_classes(&received, policy)?;
    let place = select::link(policy, &packet.relays, source, interface)?;
    let permitted = policy.networks_v6.permitted(place, &query.classes);
    let place = permitted.ok_or(Discard::NoSubnet)?;
    (query.network, query.subnet) = (place.network, place.subnet);
    query.take_identity(&received, policy)?;
    query.complete_classes(&received, policy)?;
    query.take_own(interface, policy);
    query.answer_envelope = select::answer_envelope(envelope, &packet.relays, interface)?;
    let Query {
        full_name, context, ..
    } = query;
    let (relays, name) = (&packet.relays, full_name.as_slice());
    surroundings(relays, source, &interface.name, name, context);
    Ok(())
}

fn malformed(_: Malformed) -> Discard {
    Discard::MalformedV6
}

/// The message type, if it is one that a server is sent.
fn known_type(number: u8) -> Result<MessageType, Discard> {
    // RFC 8415 section 16 [unknown-messages-discarded]
    match MessageType::of(number).ok_or(Discard::UnknownMessage)? {
        // RFC 8415 section 16.3 [server-messages-discarded]: also 16.10, 16.11 and 16.14.
        MessageType::Advertise
        | MessageType::Reply
        | MessageType::Reconfigure
        | MessageType::RelayReply => Err(Discard::FromServer),
        known @ (MessageType::Solicit
        | MessageType::Request
        | MessageType::Confirm
        | MessageType::Renew
        | MessageType::Rebind
        | MessageType::Release
        | MessageType::Decline
        | MessageType::InformationRequest
        | MessageType::RelayForward) => Ok(known),
    }
}

fn read(message: &Message<'_>, policy: &Policy, query: &mut Query) -> Result<(), Discard> {
    query.transaction_id = message.header.transaction_id;
    query.client.clear();
    query.ia_count = 0;
    query.requested_count = 0;
    query.rapid_commit = false;
    query.full_name.clear();
    query.vendors.clear();
    let server = query.read(&message.options)?;
    let ours = server.map(|server| server == policy.server_duid.as_slice());
    query.addressee = validate(query, ours)?;
    Ok(())
}

/// Which messages must have, and must not have, which identifiers (RFC 8415 section 16).
fn validate(query: &Query, server_is_us: Option<bool>) -> Result<Addressee, Discard> {
    let has_client = !query.client.is_empty();
    match query.message_type {
        // RFC 8415 section 16.2 [for-any-server]: with a client identifier, without a server identifier
        // (16.5 and 16.7 say the same).
        MessageType::Solicit | MessageType::Confirm | MessageType::Rebind => match server_is_us {
            Some(_) => Err(Discard::Invalid),
            None if !has_client => Err(Discard::NoClient),
            None => Ok(Addressee::Us),
        },
        // RFC 8415 section 16.4 [for-one-server]: with both (16.6, 16.8 and 16.9 say the same).
        MessageType::Request | MessageType::Renew | MessageType::Release | MessageType::Decline => {
            match server_is_us {
                None => Err(Discard::Invalid),
                Some(_) if !has_client => Err(Discard::NoClient),
                Some(true) => Ok(Addressee::Us),
                // It says that the client has chosen: `decide` takes back what we offered.
                Some(false) if query.message_type == MessageType::Request => Ok(Addressee::Other),
                Some(false) => Err(Discard::OtherServer),
            }
        }
        // RFC 8415 section 16.12 [information-request-validity]: without IAs, with our server identifier
        // or none.
        MessageType::InformationRequest => match server_is_us {
            _ if query.ia_count > 0 => Err(Discard::Invalid),
            Some(false) => Err(Discard::OtherServer),
            Some(true) | None => Ok(Addressee::Us),
        },
        MessageType::Advertise
        | MessageType::Reply
        | MessageType::Reconfigure
        | MessageType::RelayReply => Err(Discard::FromServer),
        // `Packet::parse` leaves no relay message as the innermost.
        MessageType::RelayForward => Err(Discard::MalformedV6),
    }
}

/// The client's link-layer address: as the relay agent next to it says, else as its DUID does.
fn hardware(relays: &RelayChain<'_>, client: &[u8]) -> HardwareAddress {
    // RFC 6939 section 6 [link-layer-address-option]: only the first relay agent may add it.
    let said = relays.innermost_first().next().and_then(|relay| {
        v6::link_layer_address(relay.options.find(OptionCode::CLIENT_LINK_LAYER_ADDRESS)?)
    });
    said.or_else(|| v6::duid_link_layer(client))
        .unwrap_or(HardwareAddress::NONE)
}
