//! How do the messages of a connection look? Each is appended to a buffer with its length before it.

use super::look::{AddressState, Holding};
use super::parse::{Refusal, Wishes};
use crate::leasequery::Leasequery;
use crate::subnet::Policy;
use crate::v4::leasequery::told::{Told, encoded_agent};
use core::net::Ipv4Addr;
use dhcp_lease::{Binding, Timestamp};
use dhcp_wire::v4::{self, Builder, Header, MessageType, SubOptions, code};

/// Octets of the length before each message.
pub const LENGTH_OCTETS: usize = 2;
/// Longest message that is written. A lease's options take some hundred octets.
const MESSAGE_OCTETS_MAX: usize = 4096;

/// How a query went (RFC 6926 section 6.2.2, RFC 7724 section 5.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// Something went wrong.
    Unspecified = 1,
    /// Cannot go on.
    Terminated = 2,
    /// Not understood.
    Malformed = 3,
    /// Understood, but not allowed.
    NotAllowed = 4,
    /// What is asked for is not remembered any more.
    DataMissing = 5,
    /// Nothing has changed, and the connection is alive.
    ConnectionActive = 6,
    /// All that was remembered has been told.
    CatchUpComplete = 7,
    /// There is no TLS here.
    TlsRefused = 8,
}

// RFC 6926 section 8.3 [bulk-wishes]: the parameter request list holds for each answer.
/// Appends the message about one address. The first one of an answer names the server.
pub fn answer(
    wishes: &Wishes,
    holding: &Holding,
    server: Option<Ipv4Addr>,
    policy: &Policy,
    now: Timestamp,
    into: &mut Vec<u8>,
) {
    let mut header = Header::new(v4::BOOTREPLY);
    header.xid.set(wishes.xid);
    header.ciaddr = holding.address.octets();
    if let Some(binding) = &holding.binding {
        let hardware = binding.hardware;
        header.htype = hardware.htype();
        header.hlen = hardware.as_slice().len() as u8;
        for (to, from) in header.chaddr.iter_mut().zip(hardware.as_slice()) {
            *to = *from;
        }
    }
    // RFC 6926 section 8.3 [bulk-message-type]: as the state is.
    let kind = match holding.state == AddressState::Active {
        true => MessageType::LEASEACTIVE,
        false => MessageType::LEASEUNASSIGNED,
    };
    message(kind, &header, server, into, |builder| {
        push_times(builder, wishes, holding, now);
        match holding.binding.as_deref() {
            Some(binding) if holding.state == AddressState::Active => {
                push_active(builder, wishes, binding, policy, now);
            }
            Some(binding) => push_former(builder, wishes, holding.state, binding, now),
            None => {}
        }
    });
}

fn push_times(builder: &mut Builder<'_>, wishes: &Wishes, holding: &Holding, now: Timestamp) {
    // RFC 6926 section 8.3 [bulk-base-time]: what all the other times count from.
    if wishes.have(code::BASE_TIME) {
        push_base_time(builder, now);
    }
    if wishes.have(code::DHCP_STATE) {
        let _ = builder.push(code::DHCP_STATE, &[holding.state as u8]);
    }
    // RFC 6926 section 8.3 [bulk-start-time]: as far as it is known.
    if wishes.have(code::START_TIME_OF_STATE)
        && let Some(changed) = holding.changed()
    {
        push_seconds(
            builder,
            code::START_TIME_OF_STATE,
            now.seconds_since(changed),
        );
    }
}

fn push_active(
    builder: &mut Builder<'_>,
    wishes: &Wishes,
    binding: &Binding,
    policy: &Policy,
    now: Timestamp,
) {
    let nothing = Leasequery::default();
    let permission = policy.leasequery.as_ref().unwrap_or(&nothing);
    // RFC 6926 section 5 [bulk-no-associated], RFC 7724 section 7.4 [active-no-associated]: each address has a
    // message of its own instead.
    // RFC 7724 section 8.2 [active-items]: what the operator does not want to be told is not told.
    Told::of(binding, now, policy, permission).push_all(builder, &wishes.parameters);
    let is_told = wishes.parameters.is_empty() || wishes.have(code::RELAY_AGENT);
    if is_told && permission.tells(code::RELAY_AGENT) {
        for piece in SubOptions::new(encoded_agent(binding).as_slice()) {
            // What does not fit is left out.
            let _ = builder.push(piece.code, piece.data);
        }
    }
}

fn push_former(
    builder: &mut Builder<'_>,
    wishes: &Wishes,
    state: AddressState,
    binding: &Binding,
    now: Timestamp,
) {
    // RFC 6926 section 8.3 [bulk-lease-time]: for a state that ends by itself.
    if wishes.have(code::LEASE_TIME) && state == AddressState::Abandoned {
        push_seconds(builder, code::LEASE_TIME, binding.expires.seconds_left(now));
    }
    // RFC 6926 section 8.3 [bulk-last-transaction]: wherever it is known.
    if wishes.have(code::CLIENT_LAST_TRANSACTION_TIME) {
        let since = now.seconds_since(binding.last_transaction);
        push_seconds(builder, code::CLIENT_LAST_TRANSACTION_TIME, since);
    }
}

fn push_seconds(builder: &mut Builder<'_>, code: u8, seconds: u32) {
    let _ = builder.push(code, &seconds.to_be_bytes());
}

fn push_base_time(builder: &mut Builder<'_>, now: Timestamp) {
    push_seconds(builder, code::BASE_TIME, now.0 as u32); // until 2106
}

/// Appends the message that ends an answer (RFC 6926 section 8.2 [bulk-done]).
pub fn done(
    xid: u32,
    server: Option<Ipv4Addr>,
    trouble: Option<(Status, &str)>,
    into: &mut Vec<u8>,
) {
    of_connection(MessageType::LEASEQUERYDONE, xid, server, into, |builder| {
        if let Some((status, words)) = trouble {
            push_status(builder, status, words);
        }
    });
}

/// Appends the message that tells how an active leasequery goes (RFC 7724 section 5.2).
pub fn status(
    xid: u32,
    server: Option<Ipv4Addr>,
    (status, words): (Status, &str),
    now: Timestamp,
    into: &mut Vec<u8>,
) {
    let kind = MessageType::LEASEQUERYSTATUS;
    of_connection(kind, xid, server, into, |builder| {
        push_status(builder, status, words);
        push_base_time(builder, now);
    });
}

/// Appends what is answered to a query that is refused.
pub fn refuse(refusal: &Refusal, server: Ipv4Addr, now: Timestamp, into: &mut Vec<u8>) {
    let Refusal {
        xid,
        kind,
        status: number,
        words,
    } = *refusal;
    match kind {
        MessageType::LEASEQUERYSTATUS => status(xid, Some(server), (number, words), now, into),
        _ => done(xid, Some(server), Some((number, words)), into),
    }
}

/// Appends the answer to DHCPTLS: that TLS begins now, or that it does not.
pub fn tls(xid: u32, refused: Option<&str>, into: &mut Vec<u8>) {
    of_connection(MessageType::TLS, xid, None, into, |builder| {
        if let Some(words) = refused {
            push_status(builder, Status::TlsRefused, words);
        }
    });
}

fn push_status(builder: &mut Builder<'_>, status: Status, words: &str) {
    let data = [&[status as u8], words.as_bytes()].concat();
    let _ = builder.push(code::STATUS_CODE, &data);
}

fn of_connection(
    kind: MessageType,
    xid: u32,
    server: Option<Ipv4Addr>,
    into: &mut Vec<u8>,
    fill: impl FnOnce(&mut Builder<'_>),
) {
    let mut header = Header::new(v4::BOOTREPLY);
    header.xid.set(xid);
    message(kind, &header, server, into, fill);
}

// RFC 6926 section 6.1 [bulk-framing]: the length, then the message.
fn message(
    kind: MessageType,
    header: &Header,
    server: Option<Ipv4Addr>,
    into: &mut Vec<u8>,
    fill: impl FnOnce(&mut Builder<'_>),
) {
    let start = into.len();
    into.resize(start + LENGTH_OCTETS + MESSAGE_OCTETS_MAX, 0);
    let room = into.get_mut(start..).unwrap_or_default();
    let Some((length, room)) = room.split_first_chunk_mut::<LENGTH_OCTETS>() else {
        return;
    };
    let mut len = 0;
    if let Ok(mut builder) = Builder::new(room, MESSAGE_OCTETS_MAX, header) {
        // There is room for these.
        let _ = builder.push(code::MESSAGE_TYPE, &[kind.0]);
        if let Some(server) = server {
            let _ = builder.push(code::SERVER_IDENTIFIER, &server.octets());
        }
        fill(&mut builder);
        len = builder.finish();
    }
    *length = (len as u16).to_be_bytes(); // MESSAGE_OCTETS_MAX at most
    into.truncate(start + LENGTH_OCTETS + len);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subnet::{Network, Subnet4};
    use crate::v4::tests::bare_subnet;
    use dhcp_lease::{Lease, State, SubnetId};
    use std::time::{Duration, Instant};

    const SUBNETS: u32 = 5_000;
    const ANSWERS: u32 = 2_000;

    /// How long messages about leases of one subnet take, the shortest of some rounds.
    fn cost(policy: &Policy, id: u32) -> Duration {
        let wishes = Wishes {
            xid: 1,
            parameters: Box::default(),
        };
        let now = Timestamp(1_700_000_000);
        let holding = Holding {
            address: Ipv4Addr::from_bits((10 << 24) + id * 256 + 9),
            state: AddressState::Active,
            binding: Some(Box::new(Binding {
                lease: Lease::V4(Ipv4Addr::from_bits((10 << 24) + id * 256 + 9)),
                state: State::Leased,
                subnet: SubnetId(id),
                expires: now.after(3600),
                valid_seconds: 3600,
                ..Binding::default()
            })),
        };
        let mut into = Vec::new();
        let mut round = || {
            let start = Instant::now();
            for _ in 0..ANSWERS {
                into.clear();
                answer(&wishes, &holding, None, policy, now, &mut into);
            }
            start.elapsed()
        };
        let least = (0..5).map(|_| round()).min();
        assert!(into.windows(11).any(|octets| octets == b"example.net"));
        least.unwrap() / ANSWERS
    }

    /// A message about a lease costs the same wherever its subnet stands among thousands.
    #[test]
    fn the_number_of_subnets_costs_nothing() {
        let networks = (1..=SUBNETS).map(|id| Network {
            name: String::new(),
            subnets: vec![Subnet4 {
                id: SubnetId(id),
                network: Ipv4Addr::from_bits((10 << 24) + id * 256),
                ..bare_subnet()
            }],
            options: Default::default(),
            access: Default::default(),
        });
        let policy = Policy {
            networks_v4: networks.collect::<Vec<_>>().into(),
            leasequery: Some(Leasequery {
                options: Box::new([1, 3, 6, 15, 42, 51, 58, 59]),
                ..Leasequery::default()
            }),
            ..Policy::default()
        };
        let (first, last) = (cost(&policy, 1), cost(&policy, SUBNETS));
        println!("the first subnet of {SUBNETS}: {first:?}, the last: {last:?}");
        assert!(last < first * 3, "the first: {first:?}, the last: {last:?}");
    }
}
