//! How does the answer to a leasequery look on the wire, and where does it go?

use super::parse::{By, LeaseQuery};
use super::search::{Finding, LeaseAnswer};
use super::told::{Told, address, encoded_agent};
use crate::discard::Discard;
use crate::leasequery::Leasequery;
use crate::subnet::Policy;
use crate::v4::AGENT_OCTETS_MAX;
use dhcp_wire::Octets;
use dhcp_wire::frame::{Addresses, Envelope};
use dhcp_wire::v4::{self, Builder, Header, MessageType, SERVER_PORT, code, payload_limit};

/// Writes the whole frame, Ethernet to UDP payload, over the query; its length.
///
/// # Errors
/// [`Discard::ReplyTooLong`] when `frame` has no room for it, [`Discard::LeasequeryOff`] when `policy` is not
/// the one that `query` was classified with.
pub fn reply(
    query: &LeaseQuery,
    finding: &Finding,
    policy: &Policy,
    frame: &mut [u8],
) -> Result<usize, Discard> {
    let permission = policy.leasequery.as_ref().ok_or(Discard::LeasequeryOff)?;
    let envelope = envelope(query);
    let payload = frame
        .get_mut(envelope.header_len()..)
        .ok_or(Discard::ReplyTooLong)?;
    let limit = payload_limit(query.maximum_message_size);
    let header = header(query, finding);
    let agent = agent(query, finding, permission);
    let mut builder = Builder::new(payload, limit, &header).map_err(|_| Discard::ReplyTooLong)?;
    let MessageType(number) = message_type(finding.answer);
    builder
        .push(code::MESSAGE_TYPE, &[number])
        .map_err(|_| Discard::ReplyTooLong)?;
    // Left out where it does not fit whole.
    let _ = builder.reserve_last(agent.as_slice());
    // RFC 4388 section 6.4 [leasequery-unknown]: UNASSIGNED and UNKNOWN have no options.
    // RFC 4388 section 6.4.2 [leasequery-unassigned-bare].
    if finding.answer == LeaseAnswer::Active {
        // What does not fit is left out, and what comes after it may still fit.
        let _ = builder.push(code::SERVER_IDENTIFIER, &query.server.octets());
        push_associated(&mut builder, query, finding);
        let told = Told::of(&finding.binding, finding.now, policy, permission);
        told.push_all(&mut builder, asked(query));
    }
    let payload_len = builder.finish();
    envelope
        .emit(frame, payload_len)
        .map_err(|_| Discard::ReplyTooLong)
}

fn message_type(answer: LeaseAnswer) -> MessageType {
    match answer {
        LeaseAnswer::Unassigned => MessageType::LEASEUNASSIGNED,
        LeaseAnswer::Unknown => MessageType::LEASEUNKNOWN,
        LeaseAnswer::Active => MessageType::LEASEACTIVE,
    }
}

// RFC 4388 section 6.4.3 [leasequery-to-giaddr]: by unicast to giaddr; the neighbour that the query came from
// knows the way.
fn envelope(query: &LeaseQuery) -> Envelope {
    Envelope {
        source_mac: query.server_mac,
        destination_mac: query.envelope.source_mac,
        tags: query.envelope.tags,
        addresses: Addresses::V4 {
            source: query.server,
            destination: query.giaddr,
        },
        source_port: SERVER_PORT,
        destination_port: SERVER_PORT,
    }
}

fn header(query: &LeaseQuery, finding: &Finding) -> Header {
    let mut header = Header::new(v4::BOOTREPLY);
    header.xid.set(query.xid);
    header.flags.set(query.flags);
    header.giaddr = query.giaddr.octets();
    let hardware = match finding.answer {
        // RFC 4388 section 6.4.2 [leasequery-mac]: those of the lease's client.
        LeaseAnswer::Active => {
            header.ciaddr = address(&finding.binding).octets();
            finding.binding.hardware
        }
        LeaseAnswer::Unassigned | LeaseAnswer::Unknown => {
            // RFC 4388 section 6.4.1 [leasequery-ciaddr].
            header.ciaddr = query.address.octets();
            query.hardware
        }
    };
    header.htype = hardware.htype();
    header.hlen = hardware.as_slice().len() as u8;
    for (to, from) in header.chaddr.iter_mut().zip(hardware.as_slice()) {
        *to = *from;
    }
    header
}

/// The relay agent's option, whole, to stand last.
fn agent(
    query: &LeaseQuery,
    finding: &Finding,
    permission: &Leasequery,
) -> Octets<AGENT_OCTETS_MAX> {
    match finding.answer {
        // RFC 4388 section 6.4.2 [leasequery-relay-option]: the last one that came with the client's REQUEST.
        LeaseAnswer::Active => {
            let is_asked = asked(query).contains(&code::RELAY_AGENT) || query.parameters.is_empty();
            match is_asked && permission.tells(code::RELAY_AGENT) {
                true => encoded_agent(&finding.binding),
                false => Octets::EMPTY,
            }
        }
        // RFC 6148 section 4.3 [remote-id-unknown-echo]: the option of the query, and no other one.
        LeaseAnswer::Unknown if query.by == By::RemoteId => query.agent.clone(),
        LeaseAnswer::Unknown | LeaseAnswer::Unassigned => Octets::EMPTY,
    }
}

fn asked(query: &LeaseQuery) -> &[u8] {
    query.parameters.as_slice()
}

// RFC 4388 section 6.4.2 [leasequery-associated]: all addresses of the client if it has several, asked or
// not. RFC 6148 section 4.3 [remote-id-associated]: all of the Remote-Id. As many as fit.
fn push_associated(builder: &mut Builder<'_>, query: &LeaseQuery, finding: &Finding) {
    let all = finding.associated();
    let is_asked = asked(query).contains(&code::ASSOCIATED_IP);
    if query.by == By::Address || all.len() < 2 && !is_asked {
        return;
    }
    let mut octets = Octets::<{ 4 * super::ASSOCIATED_MAX }>::EMPTY;
    for address in all {
        // There is room for all that were kept.
        let _ = octets.push_slice(&address.octets());
    }
    let mut data = octets.as_slice();
    // RFC 4388 section 6.1 [associated-in-fours]: address by address.
    while builder.push(code::ASSOCIATED_IP, data).is_err() && data.len() > 4 {
        data = data.get(..data.len() - 4).unwrap_or_default();
    }
}
