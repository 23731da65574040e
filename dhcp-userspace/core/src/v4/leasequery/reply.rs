//! How does the answer to a leasequery look on the wire, and where does it go?

use super::parse::{By, LeaseQuery};
use super::search::{Finding, LeaseAnswer};
use crate::discard::Discard;
use crate::leasequery::Leasequery;
use crate::options::OptionSet;
use crate::subnet::{Policy, Subnet4};
use crate::v4::AGENT_OCTETS_MAX;
use crate::v4::decide::reservation;
use crate::v4::query::Query;
use crate::v4::reply::timers;
use core::net::Ipv4Addr;
use dhcp_lease::context::ItemKind;
use dhcp_lease::{Binding, Lease, Timestamp};
use dhcp_wire::Octets;
use dhcp_wire::frame::{Addresses, Envelope};
use dhcp_wire::v4::{self, Builder, Header, MessageType, SERVER_PORT, code, payload_limit};

/// What the answer to a query without a parameter request list tells beside the configured options.
const UNASKED: [u8; 4] = [
    code::LEASE_TIME,
    code::RENEWAL_TIME,
    code::REBINDING_TIME,
    code::RELAY_AGENT,
];

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
    if finding.answer == LeaseAnswer::Active {
        Told::of(query, finding, policy, permission).push_all(&mut builder);
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

fn address(binding: &Binding) -> Ipv4Addr {
    match binding.lease {
        Lease::V4(address) => address,
        Lease::Address(_) | Lease::Prefix(..) => Ipv4Addr::UNSPECIFIED,
    }
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
            let is_asked = asked(query).contains(&code::RELAY_AGENT)
                || query.parameters.is_empty();
            match is_asked && permission.tells(code::RELAY_AGENT) {
                true => encoded(&finding.binding),
                false => Octets::EMPTY,
            }
        }
        // RFC 6148 section 4.3 [remote-id-unknown-echo]: the option of the query, and no other one.
        LeaseAnswer::Unknown if query.by == By::RemoteId => query.agent.clone(),
        LeaseAnswer::Unknown | LeaseAnswer::Unassigned => Octets::EMPTY,
    }
}

/// Option 82 as it came, in pieces of 255 octets.
fn encoded(binding: &Binding) -> Octets<AGENT_OCTETS_MAX> {
    let mut encoded = Octets::EMPTY;
    for data in binding.context.of_kind(ItemKind::AGENT) {
        for piece in data.chunks(255) {
            let head = [code::RELAY_AGENT, piece.len() as u8];
            let pushed = encoded.push_slice(&head);
            if pushed.and_then(|()| encoded.push_slice(piece)).is_err() {
                return Octets::EMPTY;
            }
        }
    }
    encoded
}

fn asked(query: &LeaseQuery) -> &[u8] {
    query.parameters.as_slice()
}

/// What an active lease's answer draws from.
struct Told<'a> {
    query: &'a LeaseQuery,
    finding: &'a Finding,
    permission: &'a Leasequery,
    subnet: Option<&'a Subnet4>,
    /// What the client is told, or would be.
    options: Option<&'a OptionSet>,
}

impl<'a> Told<'a> {
    fn of(
        query: &'a LeaseQuery,
        finding: &'a Finding,
        policy: &'a Policy,
        permission: &'a Leasequery,
    ) -> Self {
        let binding = &finding.binding;
        let mut subnets = policy.networks_v4.iter().flat_map(|it| &it.subnets);
        // The lease goes on though its subnet may be gone from the configuration.
        let subnet = subnets.find(|subnet| subnet.id == binding.subnet);
        let client = Query {
            client: binding.client.clone(),
            hardware: binding.hardware,
            ..Query::default()
        };
        let options = subnet.map(|subnet| {
            reservation(subnet, &client).map_or(&subnet.options, |it| &it.options)
        });
        Self {
            query,
            finding,
            permission,
            subnet,
            options,
        }
    }

    /// What does not fit is left out, and what comes after it may still fit.
    fn push_all(&self, builder: &mut Builder<'_>) {
        let _ = builder.push(code::SERVER_IDENTIFIER, &self.query.server.octets());
        self.push_associated(builder);
        let asked = asked(self.query);
        let mut done = [false; 256];
        let mut push = |code: u8| {
            let is_first = done
                .get_mut(usize::from(code))
                .is_some_and(|done| !core::mem::replace(done, true));
            // RFC 4388 section 6.4.2 [leasequery-non-sensitive]: what is not on the list is not told.
            if is_first && self.permission.tells(code) {
                self.push(builder, code);
            }
        };
        if !asked.is_empty() {
            return asked.iter().copied().for_each(push);
        }
        // RFC 4388 section 6.2 [leasequery-no-list]: what the client would be told.
        UNASKED.into_iter().for_each(&mut push);
        let configured = self.options.into_iter().flat_map(OptionSet::iter);
        configured
            .filter_map(|option| u8::try_from(option.code).ok())
            .for_each(push);
    }

    // RFC 4388 section 6.4.2 [leasequery-associated]: all addresses of the client if it has several, asked or
    // not. RFC 6148 section 4.3 [remote-id-associated]: all of the Remote-Id. As many as fit.
    fn push_associated(&self, builder: &mut Builder<'_>) {
        let all = self.finding.associated();
        let is_asked = asked(self.query).contains(&code::ASSOCIATED_IP);
        if self.query.by == By::Address || all.len() < 2 && !is_asked {
            return;
        }
        let mut octets = Octets::<{ 4 * super::ASSOCIATED_MAX }>::EMPTY;
        for address in all {
            // There is room for all that were kept.
            let _ = octets.push_slice(&address.octets());
        }
        let mut data = octets.as_slice();
        while builder.push(code::ASSOCIATED_IP, data).is_err() && data.len() > 4 {
            data = data.get(..data.len() - 4).unwrap_or_default();
        }
    }

    fn push(&self, builder: &mut Builder<'_>, code: u8) {
        let binding = &self.finding.binding;
        let now = self.finding.now;
        let of_kind = |kind| binding.context.of_kind(kind).next();
        let seconds = |seconds: u32| seconds.to_be_bytes();
        // What has no room is left out.
        let _ = match code {
            // RFC 4388 section 6.4.2 [leasequery-lease-time]: what is left of the lease.
            code::LEASE_TIME => builder.push(code, &seconds(binding.expires.seconds_left(now))),
            code::RENEWAL_TIME | code::REBINDING_TIME => match self.timer_left(code) {
                Some(left) => builder.push(code, &seconds(left)),
                None => Ok(()),
            },
            // RFC 4388 section 6.1 [last-transaction-time]: a duration, never a date.
            code::CLIENT_LAST_TRANSACTION_TIME => {
                let since = now.seconds_since(binding.last_transaction);
                builder.push(code, &seconds(since))
            }
            code::CLIENT_IDENTIFIER if !binding.client.is_empty() => {
                builder.push(code, binding.client.as_slice())
            }
            // Written by others, or nothing that an answer holds.
            code::PAD
            | code::END
            | code::OVERLOAD
            | code::MESSAGE_TYPE
            | code::SERVER_IDENTIFIER
            | code::RELAY_AGENT
            | code::ASSOCIATED_IP
            | code::CLIENT_IDENTIFIER => Ok(()),
            _ => match self.options.and_then(|options| options.find(u16::from(code))) {
                Some(option) => builder.push(code, &option.data),
                // RFC 4388 section 6.4.2 [leasequery-client-options]: else what the client itself had sent.
                None => match code {
                    code::HOST_NAME => push_some(builder, code, of_kind(ItemKind::HOST_NAME)),
                    code::VENDOR_CLASS => push_some(builder, code, of_kind(ItemKind::VENDOR_CLASS)),
                    _ => Ok(()),
                },
            },
        };
    }

    // RFC 4388 section 6.4.2 [leasequery-timers]: what is left until T1 or T2; nothing once it has passed.
    fn timer_left(&self, code: u8) -> Option<u32> {
        let Binding {
            expires,
            valid_seconds,
            ..
        } = self.finding.binding;
        let (renew, rebind) = timers(&self.subnet?.lifetimes, valid_seconds)?;
        let timer = match code {
            code::RENEWAL_TIME => renew,
            _ => rebind,
        };
        let granted = Timestamp(expires.0.checked_sub(u64::from(valid_seconds))?);
        let left = granted.after(timer).seconds_left(self.finding.now);
        (left > 0).then_some(left)
    }
}

fn push_some(builder: &mut Builder<'_>, code: u8, data: Option<&[u8]>) -> Result<(), v4::NoRoom> {
    data.map_or(Ok(()), |data| builder.push(code, data))
}
