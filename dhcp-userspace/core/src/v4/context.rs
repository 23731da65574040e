//! In what surroundings does a client ask? What of its message is kept beside its lease.

use super::query::{AGENT_OCTETS_MAX, Query};
use crate::surroundings::Way;
use core::net::Ipv4Addr;
use dhcp_lease::Context;
use dhcp_lease::context::ItemKind;
use dhcp_wire::Octets;
use dhcp_wire::v4::{SubOptions, code};

/// Octets of the client's full name option before the name: flags and two that mean nothing (RFC 4702
/// section 2).
const FQDN_FLAGS: usize = 1;
const FQDN_HEAD: usize = 3;

/// Overwrites `into` with what the query tells. `source` is who sent the datagram. A client that has no
/// relay agent and no name has no context. The order is that of the kinds.
pub(super) fn surroundings(query: &Query, source: Ipv4Addr, into: &mut Context) {
    into.clear();
    // What does not fit is left out, so that a client gets its lease all the same.
    if query.is_relayed() {
        into.insert(ItemKind::GIADDR, &query.giaddr.octets());
        if source != query.giaddr {
            into.insert_relay_source(source.into(), None);
        }
        // RFC 4388 section 6.7 [leasequery-storage]: kept with the lease.
        // Only a relay agent's: in a message that was not relayed anybody may have put it there.
        let agent = agent_information(query);
        if !agent.is_empty() {
            into.insert(ItemKind::AGENT, agent.as_slice());
        }
    }
    let full = query.full_name.as_slice();
    match (full.get(..FQDN_FLAGS), full.get(FQDN_HEAD..)) {
        (Some(flags), Some(name)) if !name.is_empty() => {
            let mut kept = Octets::<255>::EMPTY;
            // Two octets less than there were.
            let _ = kept.push_slice(flags).and_then(|()| kept.push_slice(name));
            into.insert(ItemKind::FQDN, kept.as_slice());
        }
        _ if !query.host_name.is_empty() => {
            into.insert(ItemKind::HOST_NAME, query.host_name.as_slice());
        }
        _ => {}
    }
}

/// The sub-options that say who the client is, not how this one message came.
fn agent_information(query: &Query) -> Octets<AGENT_OCTETS_MAX> {
    let mut kept = Octets::EMPTY;
    for piece in SubOptions::new(query.agent.as_slice()) {
        for sub_option in SubOptions::new(piece.data) {
            let of_message = [code::AGENT_AUTHENTICATION, code::AGENT_FLAGS];
            if !of_message.contains(&sub_option.code) {
                let head = [sub_option.code, sub_option.data.len() as u8];
                // A part of what is there.
                let _ = kept
                    .push_slice(&head)
                    .and_then(|()| kept.push_slice(sub_option.data));
            }
        }
    }
    kept
}

/// Whether the query tells by which way it came.
pub(super) fn way(query: &Query) -> Way {
    match query.kind() {
        super::query::Kind::Renewing if !query.is_relayed() => Way::Unknown,
        _ => Way::Known,
    }
}
