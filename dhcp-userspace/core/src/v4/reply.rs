//! How does the answer look on the wire, and where does it go?

use super::decide::{Answer, Refusal, Verdict};
use super::forcerenew;
use super::parameters::Parameters;
use super::query::{Kind, Query, is_group};
use crate::discard::Discard;
use crate::subnet::{Lifetimes, Policy};
use core::net::Ipv4Addr;
use dhcp_wire::frame::{Addresses, Envelope, MacAddress};
use dhcp_wire::v4::{
    self, Builder, CLIENT_PORT, FLAG_BROADCAST, Header, MessageType, PAYLOAD_SIZE_MIN, SERVER_PORT,
    code, payload_limit,
};

/// A reply that was written, and what had no room in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Octets of the whole frame.
    pub len: usize,
    /// How many options that the client would have got were left out.
    pub options_left_out: u16,
    /// Whether the relay agent's option was left out.
    pub lacks_agent_option: bool,
}

/// Writes the whole frame, Ethernet to UDP payload, over the one it answers.
///
/// What goes first when not everything fits: message type, server identifier, client identifier and times,
/// without which there is no reply; the relay agent's option; the options of the configuration.
///
/// # Errors
/// [`Discard::ReplyTooLong`] when `frame` has no room for it, [`Discard::NoSubnet`] when `query` and
/// `policy` do not belong together.
pub fn reply(
    query: &Query,
    answer: &Answer,
    policy: &Policy,
    frame: &mut [u8],
) -> Result<Written, Discard> {
    let network = query.network(policy).ok_or(Discard::NoSubnet)?;
    let subnet = network
        .subnets
        .get(answer.subnet)
        .ok_or(Discard::NoSubnet)?;
    let envelope = envelope(query, answer);
    let payload = frame
        .get_mut(envelope.header_len()..)
        .ok_or(Discard::ReplyTooLong)?;
    // RFC 1534 section 2 [bootp-reply]: a BOOTP client takes the 300 octets of BOOTP and no more.
    let limit = match answer.verdict {
        Verdict::BootReply => PAYLOAD_SIZE_MIN,
        _ => payload_limit(query.maximum_message_size),
    };
    let begin = |header: &Header, payload| {
        Builder::new(payload, limit, header).map_err(|_| Discard::ReplyTooLong)
    };
    let lacks_agent_option;
    let mut options_left_out = 0;
    let payload_len = match answer.verdict {
        Verdict::Nak(refusal) => {
            let mut builder = begin(&header(query, answer), payload)?;
            lacks_agent_option = push_refusal(&mut builder, query, answer, refusal)?;
            builder.finish()
        }
        Verdict::BootReply => {
            let parameters = Parameters::of(query, answer, policy, network, subnet);
            let mut header = header(query, answer);
            boot(&mut header, &parameters);
            let mut builder = begin(&header, payload)?;
            // It knows neither option 52 nor what is of DHCP alone: lease time, server identifier, timers.
            builder.forbid_overload();
            lacks_agent_option = builder.reserve_last(query.agent.echo()).is_err();
            options_left_out = parameters.push(&mut builder, query);
            builder.finish()
        }
        Verdict::Offer | Verdict::Ack | Verdict::RapidAck | Verdict::InformAck => {
            let parameters = Parameters::of(query, answer, policy, network, subnet);
            let mut header = header(query, answer);
            boot(&mut header, &parameters);
            let mut builder = begin(&header, payload)?;
            lacks_agent_option = push_promised(&mut builder, query, answer, &subnet.lifetimes)?;
            push_forcerenew(&mut builder, query, answer, policy)?;
            options_left_out = parameters.push(&mut builder, query);
            builder.finish()
        }
    };
    let len = envelope
        .emit(frame, payload_len)
        .map_err(|_| Discard::ReplyTooLong)?;
    Ok(Written {
        len,
        options_left_out,
        lacks_agent_option,
    })
}

// RFC 2131 section 4.3.1 [header-fields]: table 3. What it does not name is zero.
fn header(query: &Query, answer: &Answer) -> Header {
    let mut header = Header::new(v4::BOOTREPLY);
    header.htype = query.hardware.htype();
    header.hlen = query.hlen;
    header.xid.set(query.xid);
    header.flags.set(query.flags);
    header.giaddr = query.giaddr.octets();
    header.chaddr = query.chaddr;
    if let Verdict::Nak(_) = answer.verdict {
        // RFC 2131 section 4.3.2 [relayed-nak-broadcast]: the relay agent is to broadcast it, for the client
        // may not have the address that it uses.
        if query.is_relayed() {
            header.flags.set(query.flags | FLAG_BROADCAST);
        }
        return header;
    }
    // A relay agent can only broadcast what is for a client without a known address.
    if answer.verdict == Verdict::InformAck && query.ciaddr.is_unspecified() {
        header.flags.set(query.flags | FLAG_BROADCAST);
    }
    // RFC 2131 section 3.1 [ack-agrees-with-offer]: an ACK is written by the same lines as an OFFER.
    header.yiaddr = answer.address.octets();
    if query.kind != Kind::Discover {
        header.ciaddr = query.ciaddr.octets();
    }
    header
}

/// What a booting client is told. The last octet of both names stays zero: they are strings of C.
fn boot(header: &mut Header, parameters: &Parameters<'_>) {
    header.siaddr = parameters.next_server().octets();
    copy(parameters.server_hostname(), header.sname.split_last_mut());
    copy(parameters.boot_file_name(), header.file.split_last_mut());
}

fn copy(name: &[u8], field: Option<(&mut u8, &mut [u8])>) {
    let field = field.map(|(_, field)| field).unwrap_or_default();
    for (to, from) in field.iter_mut().zip(name) {
        *to = *from;
    }
}

/// Where the answer goes: at the IP layer as RFC 2131 section 4.1 says, at the Ethernet layer to the
/// neighbour that the request came from, except where the client is addressed by its `chaddr`.
fn envelope(query: &Query, answer: &Answer) -> Envelope {
    let neighbour = query.envelope.source_mac;
    let (destination, destination_mac, port) = destination(query, answer, neighbour);
    Envelope {
        source_mac: query.source_mac,
        destination_mac,
        tags: query.envelope.tags,
        addresses: Addresses::V4 {
            source: query.source,
            destination,
        },
        source_port: SERVER_PORT,
        destination_port: port,
    }
}

fn destination(
    query: &Query,
    answer: &Answer,
    neighbour: MacAddress,
) -> (Ipv4Addr, MacAddress, u16) {
    // RFC 2131 section 4.1 [client-port].
    let everybody = (Ipv4Addr::BROADCAST, MacAddress::BROADCAST, CLIENT_PORT);
    // RFC 2131 section 4.3.5 [inform-to-ciaddr]: directly to the client, also when its message was relayed.
    if answer.verdict == Verdict::InformAck && !query.ciaddr.is_unspecified() {
        return (query.ciaddr, neighbour, CLIENT_PORT);
    }
    // RFC 2131 section 4.1 [relayed-reply-to-giaddr]: through a relay agent, answer its server port.
    if query.is_relayed() {
        return (query.giaddr, neighbour, query.relay_port);
    }
    // RFC 2131 section 3.2 [nak-to-giaddr]: a relayed NAK has gone by now.
    // RFC 2131 section 4.1 [nak-broadcast]: a NAK that is not relayed is broadcast, whatever the client says.
    if let Verdict::Nak(_) = answer.verdict {
        return everybody;
    }
    // RFC 2131 section 4.1 [reply-to-ciaddr]: a client that has its address is answered there. A DISCOVER
    // must not have one (table 5): whatever stands there, the client is found as if it had none.
    if query.kind != Kind::Discover && !query.ciaddr.is_unspecified() {
        return (query.ciaddr, neighbour, CLIENT_PORT);
    }
    // RFC 2131 section 2 [reserved-flags-ignored]: of the flags this one is looked at.
    // RFC 2131 section 4.1 [broadcast-bit]: a client that cannot take unicast yet says so; one whose hardware
    // address is no Ethernet station's cannot be sent any.
    if query.flags & FLAG_BROADCAST != 0 {
        return everybody;
    }
    let usable = query.hardware.htype() == 1 && !is_group(&query.hardware);
    match query.hardware.mac().filter(|mac| usable && *mac != [0; 6]) {
        // RFC 2131 section 4.1 [unicast-to-yiaddr]: without ARP, which the client would not answer yet.
        Some(mac) => (answer.address, MacAddress(mac), CLIENT_PORT),
        None => everybody,
    }
}

fn message_type(verdict: Verdict) -> Option<MessageType> {
    match verdict {
        Verdict::Offer => Some(MessageType::OFFER),
        Verdict::Ack | Verdict::RapidAck | Verdict::InformAck => Some(MessageType::ACK),
        Verdict::Nak(_) => Some(MessageType::NAK),
        Verdict::BootReply => None,
    }
}

/// Message type, server identifier and what else must be there, in front of all that may be left out.
fn push_identity(
    builder: &mut Builder<'_>,
    query: &Query,
    answer: &Answer,
) -> Result<(), v4::NoRoom> {
    // RFC 2131 section 3 [message-type-always].
    if let Some(MessageType(number)) = message_type(answer.verdict) {
        builder.push(code::MESSAGE_TYPE, &[number])?;
    }
    // RFC 2131 section 4.3.1 [server-id-always]: table 3 asks for it in OFFER, ACK and NAK.
    let identifier = answer.server_override.unwrap_or(query.server_identifier);
    builder.push(code::SERVER_IDENTIFIER, &identifier.octets())?;
    // RFC 6842 section 3 [client-id-echo]: as it came, in a NAK too; not when the client sent none.
    if !query.client.is_empty() && query.echoes_client {
        builder.push(code::CLIENT_IDENTIFIER, query.client.as_slice())?;
    }
    Ok(())
}

// RFC 2131 section 4.3.1 [nak-options]: type, server identifier, message, client identifier (and the relay
// agent's option) are all that a NAK may hold, and `file` and `sname` stay unused.
fn push_refusal<'q>(
    builder: &mut Builder<'q>,
    query: &'q Query,
    answer: &Answer,
    refusal: Refusal,
) -> Result<bool, Discard> {
    builder.forbid_overload();
    push_identity(builder, query, answer).map_err(|_| Discard::ReplyTooLong)?;
    // Either may lack the room: the relay agent's option goes first, for without it the NAK may be lost.
    let lacks_agent_option = builder.reserve_last(query.agent.echo()).is_err();
    let _ = builder.push(code::MESSAGE, refusal.message().as_bytes());
    Ok(lacks_agent_option)
}

fn push_promised<'q>(
    builder: &mut Builder<'q>,
    query: &'q Query,
    answer: &Answer,
    lifetimes: &Lifetimes,
) -> Result<bool, Discard> {
    push_promise(builder, query, answer, lifetimes).map_err(|_| Discard::ReplyTooLong)?;
    // RFC 3046 section 2.2 [relay-option-echo]: in every answer.
    // RFC 3046 section 2.2 [relay-option-left-out]: not, and counted, where it does not fit whole.
    Ok(builder.reserve_last(query.agent.echo()).is_err())
}

fn push_promise(
    builder: &mut Builder<'_>,
    query: &Query,
    answer: &Answer,
    lifetimes: &Lifetimes,
) -> Result<(), v4::NoRoom> {
    push_identity(builder, query, answer)?;
    // RFC 3011 section 2 [subnet-selection-echo]: an identical copy, asked for or not.
    if let Some(subnet) = query.subnet_selection {
        builder.push(code::SUBNET_SELECTION, &subnet)?;
    }
    // RFC 6607 section 7.1 [vss-option-echo]: the VPN that was used, asked for or not.
    if !query.vpn_option.is_empty() {
        builder.push(code::VPN, query.vpn_option.as_slice())?;
    }
    // RFC 4039 section 4 [rapid-commit-echo]: the option says which kind of ACK this is.
    if answer.verdict == Verdict::RapidAck {
        builder.push(code::RAPID_COMMIT, &[])?;
    }
    // RFC 2131 section 4.3.5 [inform-no-lease]: no lease time for a client that has its address elsewhere.
    if answer.verdict == Verdict::InformAck {
        return Ok(());
    }
    // RFC 2131 section 4.3.1 [lease-time-in-promises].
    builder.push(code::LEASE_TIME, &answer.lease_seconds.to_be_bytes())?;
    // RFC 2131 section 4.4.5 [t1-t2]: half and seven eighths of the lease unless configured.
    if let Some((renew, rebind)) = timers(lifetimes, answer.lease_seconds) {
        builder.push(code::RENEWAL_TIME, &renew.to_be_bytes())?;
        builder.push(code::REBINDING_TIME, &rebind.to_be_bytes())?;
    }
    Ok(())
}

/// That a FORCERENEW of ours can be told from others', and by what.
fn push_forcerenew(
    builder: &mut Builder<'_>,
    query: &Query,
    answer: &Answer,
    policy: &Policy,
) -> Result<(), Discard> {
    // RFC 6704 section 3.1.3 [capable-in-offer]
    // RFC 6704 section 3.1.3 [offer-only-if-capable]: to a client that can, and to no other.
    let is_offered = answer.verdict == Verdict::Offer && query.is_forcerenew_capable;
    // RFC 6704 section 3.1.1 [capable-ignored-when-off].
    if is_offered && policy.forcerenew.is_some() {
        builder
            .push(code::FORCERENEW_NONCE_CAPABLE, &[forcerenew::ALGORITHM])
            .map_err(|_| Discard::ReplyTooLong)?;
    }
    // RFC 6704 section 3.1.3 [nonce-in-ack]: a client that was promised one takes no ACK without.
    if let Some(key) = &answer.nonce {
        builder
            .push(code::AUTHENTICATION, &forcerenew::nonce_option(key))
            .map_err(|_| Discard::ReplyTooLong)?;
    }
    Ok(())
}

/// T1 and T2 of a lease, in this order: T1 <= T2 <= lease. Configured ones that do not fit a lease that
/// the client asked to be short are computed instead. A lease for ever has none.
pub(super) fn timers(lifetimes: &Lifetimes, lease_seconds: u32) -> Option<(u32, u32)> {
    // RFC 2131 section 3.3 [infinity]: for ever.
    if lease_seconds == u32::MAX {
        return None;
    }
    // RFC 2131 section 4.4.5 [timers-of-what-is-left], RFC 2131 section 4.4.5 [timers-in-order].
    let fits = |timer: &u32| *timer < lease_seconds;
    let renew = lifetimes.renew.filter(fits).unwrap_or(lease_seconds / 2);
    let seven_eighths = lease_seconds - lease_seconds.div_ceil(8);
    let rebind = lifetimes
        .rebind
        .filter(fits)
        .filter(|rebind| *rebind >= renew);
    Some((renew, rebind.unwrap_or(seven_eighths.max(renew))))
}
