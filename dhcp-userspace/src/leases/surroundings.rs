//! From where was a lease asked for? The context of a binding, for people and programs.
//!
//! Clients and strangers choose most of it. So nothing of it is shown as it came: a text of printable ASCII
//! stands between apostrophes, as the configuration has it, everything else in hexadecimal.

use crate::config::notation;
use dhcp_lease::Context;
use dhcp_lease::context::ItemKind;
use dhcp_wire::v4::{SubOptions, code};
use serde::{Deserialize, Serialize};

/// The context of a binding as it is shown; what is not known is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct ContextView {
    /// The name that the client gave itself: of letters, digits, `-`, `_` and `.` as it is, else quoted or
    /// in hexadecimal.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// DHCPv4: address of the relay agent.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub giaddr: String,
    /// From where the relay agent next to the server sent; DHCPv4 only if that is not `giaddr`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub relay_source: String,
    /// The server's interface, where the relay agent's address means nothing without.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub interface: String,
    /// DHCPv4: sub-option 1 of option 82.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub circuit_id: String,
    /// DHCPv4: sub-option 2 of option 82.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remote_id: String,
    /// DHCPv4: sub-option 6 of option 82.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subscriber_id: String,
    /// DHCPv4: all sub-options of option 82, in hexadecimal.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub agent_information: String,
    /// DHCPv6: the relay agents, the server's neighbour first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub relay_path: Vec<RelayView>,
    /// What kind of client it says it is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub vendor_class: String,
    /// All of it as it is recorded, in hexadecimal, but for the client's key: what an import reads.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub octets: String,
}

/// A relay agent of DHCPv6.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct RelayView {
    /// Its link-address.
    pub link_address: String,
    /// From whom it had the message.
    pub peer_address: String,
    /// What it calls the port.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub interface_id: String,
    /// Its Remote-Id: enterprise number and identifier.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remote_id: String,
    /// Its Subscriber-Id.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subscriber_id: String,
}

impl ContextView {
    /// What is shown of a context.
    pub fn new(context: &Context) -> Self {
        let mut view = Self {
            giaddr: context
                .giaddr()
                .map(|giaddr| giaddr.to_string())
                .unwrap_or_default(),
            relay_path: relay_path(context),
            ..Self::default()
        };
        if let Some((address, port)) = context.relay_source() {
            let port = port.map(|port| format!(" port {port}")).unwrap_or_default();
            view.relay_source = format!("{address}{port}");
        }
        let mut known = context.clone();
        // What it counts against says nothing outside of its store.
        let inner = [
            ItemKind::RECONFIGURE_KEY,
            ItemKind::TRANSACTION,
            ItemKind::COUNTED,
        ];
        known.retain(|kind| !inner.contains(&kind));
        if !known.is_empty() {
            view.octets = notation::hex(known.as_octets());
        }
        for item in context.items() {
            match item.kind {
                ItemKind::INTERFACE => view.interface = name(item.data),
                ItemKind::AGENT => view.take_agent(item.data),
                ItemKind::FQDN => view.hostname = full_name(item.data, context),
                ItemKind::HOST_NAME => view.hostname = name(item.data),
                ItemKind::VENDOR_CLASS => view.vendor_class = shown(item.data),
                // The key is nobody's to see.
                _ => {}
            }
        }
        view
    }

    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    // RFC 3046 section 3.1 [circuit-id-reported], section 3.2 [remote-id-reported]: with giaddr, which stands beside them.
    fn take_agent(&mut self, sub_options: &[u8]) {
        self.agent_information = notation::hex(sub_options);
        for sub_option in SubOptions::new(sub_options) {
            match sub_option.code {
                code::AGENT_CIRCUIT_ID => self.circuit_id = shown(sub_option.data),
                code::AGENT_REMOTE_ID => self.remote_id = shown(sub_option.data),
                code::AGENT_SUBSCRIBER_ID => self.subscriber_id = shown(sub_option.data),
                _ => {}
            }
        }
    }

    /// All relay agents in one cell.
    pub(super) fn way(&self) -> String {
        let of_v4 = [
            ("", &self.giaddr),
            ("circuit ", &self.circuit_id),
            ("remote ", &self.remote_id),
            ("subscriber ", &self.subscriber_id),
        ];
        let of_relay = |relay: &RelayView| {
            words(&[
                ("", &relay.link_address),
                ("port ", &relay.interface_id),
                ("remote ", &relay.remote_id),
                ("subscriber ", &relay.subscriber_id),
            ])
        };
        let relays: Vec<_> = self.relay_path.iter().map(of_relay).collect();
        match relays.is_empty() {
            true => words(&of_v4),
            false => relays.join(" > "),
        }
    }
}

/// What there is, with its name before it.
fn words(named: &[(&str, &String)]) -> String {
    let known = named.iter().filter(|(_, value)| !value.is_empty());
    let words: Vec<_> = known
        .map(|(name, value)| format!("{name}{value}"))
        .collect();
    words.join(" ")
}

fn relay_path(context: &Context) -> Vec<RelayView> {
    let hops = context.relay_path().map(|hop| RelayView {
        link_address: hop.link_address.to_string(),
        peer_address: hop.peer_address.to_string(),
        interface_id: shown(hop.interface_id),
        ..RelayView::default()
    });
    let mut path: Vec<_> = hops.collect();
    for item in context.items() {
        let Some((place, said)) = item.data.split_first() else {
            continue;
        };
        let Some(relay) = path.get_mut(usize::from(*place)) else {
            continue;
        };
        match item.kind {
            ItemKind::REMOTE_ID => relay.remote_id = remote_id(said),
            ItemKind::SUBSCRIBER_ID => relay.subscriber_id = shown(said),
            _ => {}
        }
    }
    path
}

/// Enterprise number and identifier (RFC 4649 section 3).
fn remote_id(said: &[u8]) -> String {
    match said.split_first_chunk::<4>() {
        Some((enterprise, id)) => {
            format!("{} {}", u32::from_be_bytes(*enterprise), shown(id))
        }
        None => notation::hex(said),
    }
}

/// Octets as the configuration writes them: `'text'`, or hexadecimal.
fn shown(octets: &[u8]) -> String {
    let is_plain = |octet: &u8| matches!(octet, b' '..=b'~') && *octet != b'\'';
    match std::str::from_utf8(octets) {
        Ok(text) if !text.is_empty() && octets.iter().all(is_plain) => format!("'{text}'"),
        _ => notation::hex(octets),
    }
}

/// A name as it is if it is one. Some clients end theirs with a zero.
fn name(octets: &[u8]) -> String {
    let octets = octets.strip_suffix(&[0]).unwrap_or(octets);
    let is_plain = |octet: &u8| octet.is_ascii_alphanumeric() || b"-_.".contains(octet);
    match std::str::from_utf8(octets) {
        Ok(text) if octets.iter().all(is_plain) => text.to_owned(),
        _ => shown(octets),
    }
}

/// Flags, then labels with their lengths, or from old DHCPv4 clients (without flag E, RFC 4702 section 2.1)
/// text.
fn full_name(item: &[u8], context: &Context) -> String {
    const ENCODED: u8 = 4;
    let Some((flags, written)) = item.split_first() else {
        return String::new();
    };
    // DHCPv6 has labels always, and bit 4 is the client's N flag there. Only DHCPv4 names can be texts: those
    // do not read as labels.
    let is_text = flags & ENCODED == 0 && context.relay_path().next().is_none();
    match labels(written) {
        Some(labels) if !labels.is_empty() => name(labels.as_bytes()),
        _ if is_text => name(written),
        _ => shown(written),
    }
}

/// The client's full name as octets, if it gave one that can be read.
pub(super) fn full_name_of(context: &Context) -> Option<Vec<u8>> {
    let item = context.of_kind(ItemKind::FQDN).next()?;
    let (_, written) = item.split_first()?;
    let labels = labels(written).filter(|labels| !labels.is_empty());
    labels.map(String::into_bytes)
}

/// Labels joined with dots, if they are whole and printable.
fn labels(mut octets: &[u8]) -> Option<String> {
    let mut labels = Vec::new();
    while let Some((&length, rest)) = octets.split_first() {
        if length == 0 {
            octets = rest;
            break;
        }
        let (label, rest) = rest.split_at_checked(usize::from(length))?;
        let is_plain = |octet: &u8| octet.is_ascii_graphic() && *octet != b'.';
        if length > 63 || !label.iter().all(is_plain) {
            return None;
        }
        labels.push(std::str::from_utf8(label).ok()?);
        octets = rest;
    }
    octets.is_empty().then(|| labels.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhcp_lease::context::{Hop, ReconfigureKey};
    use proptest::prelude::*;

    // RFC 3046 section 3.1 [circuit-id-reported], section 3.2 [remote-id-reported].
    #[test]
    fn a_relayed_client_is_shown_with_its_circuit() {
        let mut context = Context::EMPTY;
        context.insert(ItemKind::GIADDR, &[10, 3, 0, 1]);
        context.insert_relay_source("192.0.2.1".parse().unwrap(), None);
        let agent = [&[1, 8][..], b"eth0/1:7", &[2, 3, 0, 1, 0xff]].concat();
        context.insert(ItemKind::AGENT, &agent);
        context.insert(ItemKind::HOST_NAME, b"printer-7\0");
        let view = ContextView::new(&context);
        assert_eq!(view.hostname, "printer-7");
        assert_eq!(view.relay_source, "192.0.2.1");
        assert_eq!(view.way(), "10.3.0.1 circuit 'eth0/1:7' remote 00:01:ff");
    }

    #[test]
    fn a_path_through_relay_agents_is_shown_from_the_server_outwards() {
        let mut context = Context::EMPTY;
        let hop = |link: &str, interface_id| Hop {
            link_address: link.parse().unwrap(),
            peer_address: "fe80::1".parse().unwrap(),
            interface_id,
        };
        context.insert_relay_path([hop("2001:db8::1", &b""[..]), hop("::", b"ge-0/1")].into_iter());
        let remote = [&[1, 0, 0, 0, 9][..], b"mac"].concat();
        context.insert(ItemKind::REMOTE_ID, &remote);
        context.insert(ItemKind::SUBSCRIBER_ID, b"\x01alice");
        let view = ContextView::new(&context);
        assert_eq!(
            view.way(),
            "2001:db8::1 > :: port 'ge-0/1' remote 9 'mac' subscriber 'alice'"
        );
    }

    #[test]
    fn names_are_read_in_both_forms() {
        for (item, shown) in [
            (
                &b"\x05\x04host\x07example\x03net\x00"[..],
                "host.example.net",
            ),
            (b"\x01host.example.net", "host.example.net"),
            (b"\x00\x04host", "host"),
            (b"\x01evil\x1b[2J", "65:76:69:6c:1b:5b:32:4a"),
            (b"\x01a\"b,c", "'a\"b,c'"),
            (b"\x01it's", "69:74:27:73"),
            (b"", ""),
        ] {
            let mut context = Context::EMPTY;
            context.insert(ItemKind::FQDN, item);
            assert_eq!(ContextView::new(&context).hostname, shown, "{item:?}");
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        let mut context = Context::EMPTY;
        context.set_reconfigure_key(&ReconfigureKey {
            key: [7; 16],
            replay: 1,
        });
        assert!(ContextView::new(&context).is_empty());
    }

    proptest! {
        /// No octets that a stranger sends reach a terminal or end a line, and JSON gives them back.
        #[test]
        fn whatever_strangers_say_is_printable(
            items in prop::collection::vec((1u8..13, prop::collection::vec(any::<u8>(), 0..80)), 0..8),
        ) {
            let mut context = Context::EMPTY;
            for (kind, data) in &items {
                context.insert(ItemKind(*kind), data);
            }
            let view = ContextView::new(&context);
            let json = serde_json::to_string(&view).unwrap();
            prop_assert!(json.bytes().all(|octet| matches!(octet, b' '..=b'~')), "{json}");
            prop_assert_eq!(serde_json::from_str::<ContextView>(&json).unwrap(), view);
        }
    }
}
