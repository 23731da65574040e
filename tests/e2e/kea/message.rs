//! A question as octets: which addresses it names, its options, its header, the frame that brings it.

use super::client::{Network, WISHES};
use super::question::{Kind, Question, Told};
use super::rig::SERVER_MAC;
use dhcp_tests::packet::Packet;
use std::net::Ipv4Addr;

pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const RELAY_MAC: [u8; 6] = [2, 0, 0, 0, 0xff, 1];

impl Question {
    fn addresses(&self, told: Told) -> (u8, [Option<Ipv4Addr>; 3]) {
        let client = &self.client;
        let of_pool = |number| client.network.of_pool(client.vendor, client.number, number);
        let another = of_pool(client.another());
        let offered = told.offered.unwrap_or(another);
        let held = told.held.unwrap_or(another);
        let elsewhere = Ipv4Addr::new(192, 0, 2, 7);
        let other_server = Ipv4Addr::new(10, 9, 0, 7);
        // Message type; ciaddr, option 50, option 54.
        match self.kind {
            Kind::Discover => (1, [None, self.wish.map(|it| of_pool(it % WISHES)), None]),
            Kind::DiscoverWithCiaddr => (1, [Some(held), None, None]),
            Kind::Select => (3, [None, Some(offered), Some(SERVER)]),
            Kind::SelectAnother => (3, [None, Some(another), Some(SERVER)]),
            Kind::SelectElsewhere => (3, [None, Some(offered), Some(other_server)]),
            Kind::SelectNothing => (3, [None, None, Some(SERVER)]),
            Kind::RequestNothing => (3, [None, None, None]),
            Kind::Reboot => (3, [None, Some(held), None]),
            Kind::RebootElsewhere => (3, [None, Some(elsewhere), None]),
            Kind::RebootAnother => (3, [None, Some(another), None]),
            Kind::Renew | Kind::Rebind => (3, [Some(held), None, None]),
            Kind::RebindAnother => (3, [Some(another), None, None]),
            Kind::RebindElsewhere => (3, [Some(elsewhere), None, None]),
            Kind::Release => (7, [Some(held), None, Some(SERVER)]),
            Kind::ReleaseUnnamed => (7, [Some(held), None, None]),
            Kind::ReleaseElsewhere => (7, [Some(held), None, Some(other_server)]),
            Kind::Decline => (4, [None, Some(held), Some(SERVER)]),
            Kind::DeclineUnnamed => (4, [None, Some(held), None]),
            Kind::DeclineAnother => (4, [None, Some(another), Some(SERVER)]),
            Kind::Inform => {
                let [first, second] = client.network.prefix(client.vendor);
                (
                    8,
                    [
                        Some(Ipv4Addr::new(first, second, 3, client.number)),
                        None,
                        None,
                    ],
                )
            }
            Kind::InformWithoutCiaddr => (8, [None, None, None]),
            Kind::Bootp => (0, [None, None, None]),
            Kind::OfferOfAServer => (2, [None, self.wish.map(of_pool), Some(SERVER)]),
            Kind::NoSuchType => (200, [None, None, None]),
        }
    }

    /// The message for a server that told the client this.
    pub(crate) fn packet(&self, xid: u32, told: Told) -> Packet {
        let (message, [ciaddr, requested, server]) = self.addresses(told);
        let mut payload = self.header(xid, ciaddr);
        let mut put = |code: u8, data: &[u8]| {
            payload.extend([code, data.len() as u8]);
            payload.extend(data);
        };
        if message != 0 {
            put(53, &[message]);
        }
        if let Some(identifier) = self.client.identifier() {
            put(61, &identifier);
        }
        for (code, address) in [(50, requested), (54, server)] {
            if let Some(address) = address {
                put(code, &address.octets());
            }
        }
        for (code, data) in self.options() {
            put(code, &data);
        }
        if let Some(agent) = &self.agent {
            put(82, agent);
        }
        payload.push(255);
        payload.resize(payload.len().max(300), 0);
        self.sent(ciaddr, payload)
    }

    fn options(&self) -> Vec<(u8, Vec<u8>)> {
        let mut options = Vec::new();
        let mut put = |code: u8, data: Option<Vec<u8>>| options.extend(data.map(|it| (code, it)));
        put(55, self.parameters.clone());
        put(51, self.lifetime.map(|it| it.to_be_bytes().into()));
        put(57, self.size_max.map(|it| it.to_be_bytes().into()));
        put(80, self.rapid.then(Vec::new));
        put(12, self.host_name.map(Into::into));
        let fqdn = |(flags, name): (u8, &[u8])| [&[flags, 0, 0][..], name].concat();
        put(81, self.fqdn.map(fqdn));
        put(77, self.user_class.map(Into::into));
        let vendor = self.client.vendor;
        put(60, (!vendor.is_empty()).then(|| vendor.into()));
        options.extend(self.noise.clone());
        options
    }

    fn header(&self, xid: u32, ciaddr: Option<Ipv4Addr>) -> Vec<u8> {
        let mut header = vec![0; 240];
        header[..3].copy_from_slice(&[1, 1, self.client.hlen]);
        header[4..8].copy_from_slice(&xid.to_be_bytes());
        header[8..10].copy_from_slice(&self.secs.to_be_bytes());
        header[10] = if self.broadcast { 0x80 } else { 0 };
        if let Some(ciaddr) = ciaddr {
            header[12..16].copy_from_slice(&ciaddr.octets());
        }
        if !self.is_direct()
            && let Some(giaddr) = self.client.network.giaddr()
        {
            header[3] = 1;
            header[24..28].copy_from_slice(&giaddr.octets());
        }
        let client = &self.client;
        let mut hardware = match client.hlen {
            // Cut off, the usual one would be that of many.
            ..6 => vec![client.number << 1, client.generation, 1, 1, 1],
            _ => client.mac().to_vec(),
        };
        hardware.resize(16, 0x5a);
        if self.is_dropped {
            hardware[..2].copy_from_slice(&[6, 0x66]);
        }
        hardware[usize::from(self.client.hlen.min(16))..].fill(0);
        header[28..44].copy_from_slice(&hardware);
        header[236..].copy_from_slice(&[99, 130, 83, 99]);
        header
    }

    /// The frame that brings it.
    fn sent(&self, ciaddr: Option<Ipv4Addr>, payload: Vec<u8>) -> Packet {
        let by_unicast = matches!(
            self.kind,
            Kind::Renew | Kind::Release | Kind::ReleaseUnnamed | Kind::Inform
        );
        let relay = self.client.network.giaddr().filter(|_| !self.is_direct());
        let (source, destination) = match (relay, ciaddr) {
            (Some(relay), _) => ((relay, 67), SERVER),
            (None, Some(ciaddr)) if by_unicast => ((ciaddr, 68), SERVER),
            (None, Some(ciaddr)) => ((ciaddr, 68), Ipv4Addr::BROADCAST),
            (None, None) => ((Ipv4Addr::UNSPECIFIED, 68), Ipv4Addr::BROADCAST),
        };
        let is_on_link = self.client.network == Network::Direct;
        Packet {
            source_mac: if is_on_link {
                self.client.mac()
            } else {
                RELAY_MAC
            },
            destination_mac: match destination {
                Ipv4Addr::BROADCAST => [0xff; 6],
                _ => SERVER_MAC,
            },
            tags: Vec::new(),
            source: source.into(),
            destination: (destination, 67).into(),
            payload,
        }
    }
}
