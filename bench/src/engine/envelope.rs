//! Where do questions go, and did the answers come to the right place?

use super::clients::Clients;
use crate::check::{Fault, Objection, Violation};
use crate::client::Held;
use crate::exchange::Exchange;
use crate::{v4, v6};
use dhcp_wire::frame::{Addresses, Envelope, MacAddress};
use dhcp_wire::id::Duid;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const ALL_AGENTS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
const ALL_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 1, 3);

impl Clients {
    pub(super) fn envelope_v4(&self, question: &v4::Question<'_>, exchange: &Exchange) -> Envelope {
        let broadcast = (MacAddress::BROADCAST, Ipv4Addr::BROADCAST);
        let neighbour = self.neighbour(exchange);
        let (source_mac, source, source_port, (destination_mac, destination)) =
            match (question.relay(), question.is_unicast()) {
                (Some(relay), _) => {
                    let server = (neighbour, v4_of(self.settings.server));
                    (relay.mac(), v4_of(Some(relay.address)), 67, server)
                }
                (None, true) => {
                    let server = (neighbour, server_address(question.server_id));
                    (self.mac_on_link(question), question.ciaddr(), 68, server)
                }
                (None, false) => (question.identity.mac, question.ciaddr(), 68, broadcast),
            };
        Envelope {
            source_mac: MacAddress(source_mac),
            destination_mac,
            tags: self.settings.tags,
            addresses: Addresses::V4 {
                source,
                destination,
            },
            source_port,
            destination_port: 67,
        }
    }

    /// A client behind a relay agent reaches the server through that router even when it sends for
    /// itself.
    fn mac_on_link(&self, question: &v4::Question<'_>) -> [u8; 6] {
        question
            .relay
            .map_or(question.identity.mac, |relay| relay.mac())
    }

    pub(super) fn envelope_v6(&self, question: &v6::Question<'_>) -> Envelope {
        let (source_mac, source, source_port, destination) = match question.relay {
            Some(relay) => {
                let server = self.settings.server.unwrap_or(IpAddr::V6(ALL_SERVERS));
                (relay.mac(), v6_of(relay.address), 547, v6_of(server))
            }
            None => (
                question.identity.mac,
                question.identity.link_local(),
                546,
                ALL_AGENTS,
            ),
        };
        // RFC 2464 section 7: the last four octets of a multicast address name its Ethernet group.
        let [.., a, b, c, d] = destination.octets();
        let destination_mac = match destination.is_multicast() {
            true => MacAddress([0x33, 0x33, a, b, c, d]),
            false => self.any_server_mac(),
        };
        Envelope {
            source_mac: MacAddress(source_mac),
            destination_mac,
            tags: self.settings.tags,
            addresses: Addresses::V6 {
                source,
                destination,
            },
            source_port,
            destination_port: 547,
        }
    }

    fn neighbour(&self, exchange: &Exchange) -> MacAddress {
        self.server_of(exchange)
            .map_or_else(|| self.any_server_mac(), |server| server.mac)
    }

    /// As told on the command line, else learned, else everybody's.
    fn any_server_mac(&self) -> MacAddress {
        let learned = || self.servers.first().map(|server| server.mac);
        self.settings
            .server_mac
            .or_else(learned)
            .unwrap_or(MacAddress::BROADCAST)
    }

    /// Whether an answer comes from a server and goes to who asked, and adds to `faults` if not.
    pub(super) fn inspect_envelope_v4(
        &self,
        envelope: &Envelope,
        question: &v4::Question<'_>,
        answer: &v4::Answer<'_>,
        faults: &mut Vec<Fault>,
    ) {
        let everybody = Ipv4Addr::BROADCAST;
        let (mac, port, address) = match (question.relay(), question.ciaddr()) {
            (Some(relay), _) => (relay.mac(), 67, v4_of(Some(relay.address))),
            (None, Ipv4Addr::UNSPECIFIED) => (question.identity.mac, 68, answer.yiaddr()),
            (None, ciaddr) => (self.mac_on_link(question), 68, ciaddr),
        };
        let (source, destination) = match envelope.addresses {
            Addresses::V4 {
                source,
                destination,
            } => (source, destination),
            Addresses::V6 { .. } => (Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED),
        };
        let is_direct = question.relay().is_none();
        // RFC 2131 section 4.1: a NAK, and what is asked for so, goes to everybody on the link.
        let must_be_broadcast = is_direct && (answer.is_nak() || question.flags() != 0);
        let right_address = (destination == address && !must_be_broadcast)
            || (is_direct && destination == everybody);
        let right = right_address && envelope.destination_port == port;
        if let Err(Objection::Violation(kind, text)) = self.judge_ethernet(envelope, mac, right) {
            faults.push((kind, text));
        }
        let is_host = !source.is_unspecified() && !source.is_broadcast() && !source.is_multicast();
        if !is_host || envelope.source_port != 67 {
            faults.push((Violation::WrongSource, format!("{envelope:?}")));
        }
    }

    pub(super) fn judge_envelope_v6(
        &self,
        envelope: &Envelope,
        question: &v6::Question<'_>,
    ) -> Result<(), Objection> {
        let (mac, port, address) = match question.relay {
            Some(relay) => (relay.mac(), 547, v6_of(relay.address)),
            None => (question.identity.mac, 546, question.identity.link_local()),
        };
        let Addresses::V6 { destination, .. } = envelope.addresses else {
            return Err(misdirected(envelope));
        };
        let right = destination == address && envelope.destination_port == port;
        self.judge_ethernet(envelope, mac, right)
    }

    fn judge_ethernet(
        &self,
        envelope: &Envelope,
        mac: [u8; 6],
        right_so_far: bool,
    ) -> Result<(), Objection> {
        let right_mac =
            [MacAddress(mac), MacAddress::BROADCAST].contains(&envelope.destination_mac);
        let right_tags = !self.settings.check_tags || envelope.tags == self.settings.tags;
        match right_so_far && right_mac && right_tags {
            true => Ok(()),
            false => Err(misdirected(envelope)),
        }
    }

    pub(super) fn judge_place(&self, held: &Held) -> Result<(), Objection> {
        let expected = &self.settings.expected;
        let prefix = held.prefix.map(|(prefix, _)| IpAddr::V6(prefix));
        let outside = held.address.into_iter().chain(prefix).find(|lease| {
            !expected.is_empty() && !expected.iter().any(|place| contains(*place, *lease))
        });
        match outside {
            None => Ok(()),
            Some(lease) => {
                let text = format!("{lease} is in none of the expected prefixes");
                Err(Objection::violation(Violation::UnexpectedPrefix, text))
            }
        }
    }
}

fn misdirected(envelope: &Envelope) -> Objection {
    Objection::violation(Violation::WrongDestination, format!("{envelope:?}"))
}

fn contains((prefix, length): (IpAddr, u8), lease: IpAddr) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    };
    let different = bits(prefix) ^ bits(lease);
    prefix.is_ipv4() == lease.is_ipv4()
        && different
            .checked_shr(128_u32.saturating_sub(length.into()))
            .unwrap_or(0)
            == 0
}

fn server_address(server_id: Option<&Duid>) -> Ipv4Addr {
    let octets = server_id.and_then(|id| id.as_slice().first_chunk::<4>());
    octets.map_or(Ipv4Addr::BROADCAST, |octets| (*octets).into())
}

fn v4_of(address: Option<IpAddr>) -> Ipv4Addr {
    match address {
        Some(IpAddr::V4(address)) => address,
        Some(IpAddr::V6(_)) | None => Ipv4Addr::BROADCAST,
    }
}

fn v6_of(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V6(address) => address,
        IpAddr::V4(address) => address.to_ipv6_mapped(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_contains_what_it_should() {
        let place = ("10.0.0.0".parse().unwrap(), 8);
        assert!(contains(place, "10.255.0.1".parse().unwrap()));
        assert!(!contains(place, "11.0.0.1".parse().unwrap()));
        assert!(!contains(place, "a00::1".parse().unwrap()));
        assert!(contains(
            ("::".parse().unwrap(), 0),
            "2001:db8::".parse().unwrap()
        ));
    }
}
