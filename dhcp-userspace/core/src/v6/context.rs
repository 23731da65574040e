//! In what surroundings does a client ask? What of its message is kept beside its leases.

use crate::limits::{Line, LineKey};
use core::net::Ipv6Addr;
use dhcp_lease::Context;
use dhcp_lease::context::{Hop, ItemKind};
use dhcp_wire::Octets;
use dhcp_wire::v6::{OptionCode, RelayChain};

/// Overwrites `into` with what the relay agents and the client tell. `source` is who sent the datagram, on
/// `interface`. A client that has no relay agent and no name has no context. The order is that of the
/// kinds.
pub(super) fn surroundings(
    relays: &RelayChain<'_>,
    source: Ipv6Addr,
    interface: &str,
    full_name: &[u8],
    into: &mut Context,
) {
    into.clear();
    // What does not fit is left out, so that a client gets its leases all the same.
    if !relays.is_empty() {
        let hops = relays.outermost_first().map(|relay| Hop {
            link_address: relay.link_address(),
            peer_address: relay.peer_address(),
            interface_id: relay.interface_id().unwrap_or_default(),
        });
        into.insert_relay_path(hops);
        into.insert_relay_source(source.into(), None);
        if source.is_unicast_link_local() {
            into.insert(ItemKind::INTERFACE, interface.as_bytes());
        }
        insert_all(relays, OptionCode::REMOTE_ID, ItemKind::REMOTE_ID, into);
        insert_all(
            relays,
            OptionCode::SUBSCRIBER_ID,
            ItemKind::SUBSCRIBER_ID,
            into,
        );
    }
    // Flags and a name (RFC 4704 section 4.1).
    if full_name.len() > 1 {
        into.insert(ItemKind::FQDN, full_name);
    }
}

/// The client's line, as its relay agents name it, the innermost that does: that is the one nearest to the client.
pub(super) fn line(context: &Context, key: LineKey) -> Option<Line<'_>> {
    let everywhere = |kind| {
        // Behind the relay agent's place: the innermost comes last.
        let (_, name) = context.of_kind(kind).last()?.split_first()?;
        let agent = [0; 16];
        (!name.is_empty()).then_some(Line { agent, name })
    };
    match key {
        LineKey::Port => {
            let named = context
                .relay_path()
                .filter(|hop| !hop.interface_id.is_empty());
            let name = named.last()?.interface_id;
            // A relay agent inside the link says no link-address; what is around it does.
            let links = context.relay_path().map(|hop| hop.link_address);
            let link = links.filter(|link| !link.is_unspecified()).last();
            let agent = link.map_or([0; 16], |link| link.octets());
            Some(Line { agent, name })
        }
        LineKey::Remote => everywhere(ItemKind::REMOTE_ID),
        LineKey::Subscriber => everywhere(ItemKind::SUBSCRIBER_ID),
    }
}

/// What each relay agent says in one option, with its place in the path.
fn insert_all(relays: &RelayChain<'_>, code: u16, kind: ItemKind, into: &mut Context) {
    for (place, relay) in (0u8..).zip(relays.outermost_first()) {
        let Some(said) = relay.options.find(code) else {
            continue;
        };
        let mut octets = Octets::<255>::EMPTY;
        let fits = octets
            .push_slice(&[place])
            .and_then(|()| octets.push_slice(said));
        if fits.is_ok() {
            into.insert(kind, octets.as_slice());
        }
    }
}
