//! In what surroundings does a client ask? What of its message is kept beside its lease.

use super::agent::server_override;
use super::query::Query;
use crate::surroundings::Way;
use core::net::Ipv4Addr;
use dhcp_lease::Context;
use dhcp_lease::context::ItemKind;
use dhcp_wire::Octets;
use dhcp_wire::v4::{SERVER_PORT, code};

/// Octets of the client's full name option before the name: flags and two that mean nothing (RFC 4702
/// section 2).
const FQDN_FLAGS: usize = 1;
const FQDN_HEAD: usize = 3;

// RFC 3046 section 2.2 [relay-option-in-unicast]: it may be there or not.
// RFC 3046 section 3.1 [circuit-id-opaque], section 3.2 [remote-id-opaque]: circuit and remote identifier are not read, only kept.
/// Overwrites `into` with what the query tells. `source` is who sent the datagram. A client that has no
/// relay agent and no name has no context. The order is that of the kinds.
pub(super) fn surroundings(query: &Query, source: Ipv4Addr, into: &mut Context) {
    into.clear();
    // What does not fit is left out, so that a client gets its lease all the same.
    if query.is_relayed() {
        into.insert(ItemKind::GIADDR, &query.giaddr.octets());
        let port = Some(query.relay_port).filter(|port| *port != SERVER_PORT);
        if source != query.giaddr || port.is_some() {
            into.insert_relay_source(source.into(), port);
        }
    }
    // RFC 4388 section 6.7 [leasequery-storage]: kept with the lease.
    // RFC 6925 section 5 [relay-id]: with who the relay agent is, for those who ask by that.
    // Of a message that was not relayed only where the operator trusts it: otherwise it is forgotten by now.
    let agent = query.agent.kept(|code| !OF_ONE_MESSAGE.contains(&code));
    if !agent.is_empty() {
        into.insert(ItemKind::AGENT, agent.as_slice());
    }
    let full = query.full_name.as_slice();
    match (full.get(..FQDN_FLAGS), full.get(FQDN_HEAD..)) {
        (Some(flags), Some(name)) if !name.is_empty() => {
            let mut kept = Octets::<255>::EMPTY;
            // Two octets less than there were.
            let _ = kept.push_slice(flags).and_then(|()| kept.push_slice(name));
            into.insert(ItemKind::FQDN, kept.as_slice());
        }
        _ => {
            let name = without_zeros(query.host_name.as_slice());
            if !name.is_empty() {
                into.insert(ItemKind::HOST_NAME, name);
            }
        }
    }
}

/// Sub-options that say how one message came, and not who the client is.
const OF_ONE_MESSAGE: [u8; 4] = [
    code::AGENT_AUTHENTICATION,
    code::AGENT_FLAGS,
    code::AGENT_SOURCE_PORT,
    code::AGENT_VPN_CONTROL,
];

// RFC 2132 section 2 [trailing-zero-deleted] and [trailing-zero-not-needed]: some clients end their texts as C does.
fn without_zeros(text: &[u8]) -> &[u8] {
    let last = text.iter().rposition(|octet| *octet != 0);
    let end = last.map_or(0, |last| last + 1);
    text.get(..end).unwrap_or_default()
}

/// Whether the query tells by which way it came.
pub(super) fn way(query: &Query) -> Way {
    match query.kind() {
        // RFC 3046 section 2.2 [relay-option-unicast]: unless a relay agent that watches unicast says so.
        super::query::Kind::Renewing if !query.is_relayed() && query.agent.echo().is_empty() => {
            Way::Unknown
        }
        _ => Way::Known,
    }
}

/// What the relay agent gave for our identifier, by what is kept of its option.
pub(super) fn recorded_override(context: &Context) -> Option<Ipv4Addr> {
    let agent = context.of_kind(ItemKind::AGENT).next()?;
    server_override(agent)
}
