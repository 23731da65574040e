//! What a client asks, in terms that hold for both servers: an address is "what was offered", "what is held".

use super::rig::{Random, SERVER_MAC};
use dhcp_tests::packet::Packet;
use std::net::Ipv4Addr;

pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
/// The client whose INFORM marks the end of what came before it.
const MARKER: u8 = 0xee;
/// Clients whose number is below have reservations, or stay who they are for other reasons.
pub(crate) const SETTLED: u8 = 0x18;
const CLIENTS: usize = 0x30;
const RELAY_MAC: [u8; 6] = [2, 0, 0, 0, 0xff, 1];

/// Where a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Network {
    /// On the link.
    Direct,
    /// Behind a relay agent whose address is of the subnet.
    Access,
    /// Behind one that a shared network names, as a modem or as what is behind one.
    Metro,
    /// Where the hardware address says who a client is.
    Lab,
    /// Behind a relay agent that no subnet has.
    Nowhere,
}

impl Network {
    pub(crate) fn giaddr(self) -> Option<Ipv4Addr> {
        match self {
            Self::Direct => None,
            Self::Access => Some(Ipv4Addr::new(10, 8, 0, 1)),
            Self::Metro => Some(Ipv4Addr::new(10, 7, 0, 1)),
            Self::Lab => Some(Ipv4Addr::new(10, 6, 0, 1)),
            Self::Nowhere => Some(Ipv4Addr::new(10, 5, 0, 1)),
        }
    }

    /// The first octets of the subnet that a client of this vendor belongs to.
    fn prefix(self, vendor: &str) -> [u8; 2] {
        match self {
            Self::Direct => [10, 9],
            Self::Access => [10, 8],
            Self::Metro if vendor.starts_with("docsis") => [10, 20],
            Self::Metro => [10, 21],
            Self::Lab => [10, 6],
            Self::Nowhere => [10, 5],
        }
    }

    /// An address of the pool that this client may use, of which nobody but it ever speaks.
    fn of_pool(self, vendor: &str, client: u8, number: u8) -> Ipv4Addr {
        let [first, second] = self.prefix(vendor);
        let third = if (self, vendor) == (Self::Direct, "voice") {
            40
        } else {
            24
        };
        Ipv4Addr::new(first, second, third + number % 8, client)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Discover,
    /// A DISCOVER with the address that is held in `ciaddr`, which table 5 of RFC 2131 forbids.
    DiscoverWithCiaddr,
    /// REQUEST for what was offered.
    Select,
    /// REQUEST for another free address than was offered.
    SelectAnother,
    /// REQUEST that names another server.
    SelectElsewhere,
    /// REQUEST with a server identifier and no address.
    SelectNothing,
    /// REQUEST with neither an address nor a server identifier.
    RequestNothing,
    /// INIT-REBOOT for what is held, for an address of another network, for one that nobody has.
    Reboot,
    RebootElsewhere,
    RebootAnother,
    /// By unicast, past the relay agent.
    Renew,
    /// By broadcast, through it.
    Rebind,
    /// Of an address that the client does not hold.
    RebindAnother,
    RebindElsewhere,
    Release,
    ReleaseUnnamed,
    ReleaseElsewhere,
    Decline,
    DeclineUnnamed,
    DeclineAnother,
    Inform,
    InformWithoutCiaddr,
    Bootp,
    OfferOfAServer,
    NoSuchType,
}

const KINDS: [Kind; 25] = [
    Kind::Discover,
    Kind::DiscoverWithCiaddr,
    Kind::Select,
    Kind::SelectAnother,
    Kind::SelectElsewhere,
    Kind::SelectNothing,
    Kind::RequestNothing,
    Kind::Reboot,
    Kind::RebootElsewhere,
    Kind::RebootAnother,
    Kind::Renew,
    Kind::Rebind,
    Kind::RebindAnother,
    Kind::RebindElsewhere,
    Kind::Release,
    Kind::ReleaseUnnamed,
    Kind::ReleaseElsewhere,
    Kind::Decline,
    Kind::DeclineUnnamed,
    Kind::DeclineAnother,
    Kind::Inform,
    Kind::InformWithoutCiaddr,
    Kind::Bootp,
    Kind::OfferOfAServer,
    Kind::NoSuchType,
];

impl Kind {
    /// Whether it has no answer that would say what the server made of it.
    pub(crate) fn is_unsettling(self) -> bool {
        matches!(
            self,
            Self::ReleaseUnnamed
                | Self::ReleaseElsewhere
                | Self::DeclineUnnamed
                | Self::DeclineAnother
        )
    }

    /// What must have come before, for a client that behaves.
    fn lacks(self, told: Told) -> Option<Self> {
        match self {
            Self::Select if told.offered.is_none() => Some(Self::Discover),
            Self::Reboot | Self::Renew | Self::Rebind | Self::Release | Self::Decline
                if told.held.is_none() =>
            {
                Some(match told.offered {
                    Some(_) => Self::Select,
                    None => Self::Discover,
                })
            }
            _ => None,
        }
    }
}

/// What is in option 61.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Identifier {
    None,
    /// 01 and the hardware address.
    Hardware,
    /// RFC 4361: ff, an IAID and a DUID-LL.
    Duid,
    /// A text of its own.
    Text,
    /// Too short: RFC 2132 section 9.14 wants two octets.
    OneOctet,
    Empty,
}

impl Identifier {
    /// Whether it has less than the two octets of RFC 2132 section 9.14.
    pub(crate) fn is_short(self) -> bool {
        matches!(self, Self::OneOctet | Self::Empty)
    }
}

/// Who asks. Two messages with the same of these are from the same client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Client {
    pub(crate) number: u8,
    /// How often the client of this number was thrown away and replaced.
    pub(crate) generation: u8,
    pub(crate) network: Network,
    pub(crate) identifier: Identifier,
    pub(crate) vendor: &'static str,
    pub(crate) hlen: u8,
}

/// What a client sends, as far as both servers are told the same.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) kind: Kind,
    pub(crate) client: Client,
    pub(crate) broadcast: bool,
    pub(crate) parameters: Option<Vec<u8>>,
    pub(crate) lifetime: Option<u32>,
    pub(crate) wish: Option<u8>,
    /// Option 82, as it goes onto the wire.
    pub(crate) agent: Option<Vec<u8>>,
    pub(crate) rapid: bool,
    pub(crate) size_max: Option<u16>,
    pub(crate) host_name: Option<&'static str>,
    pub(crate) fqdn: Option<(u8, &'static [u8])>,
    pub(crate) user_class: Option<&'static str>,
    pub(crate) secs: u16,
    pub(crate) is_dropped: bool,
    /// Options that change nothing: code and data.
    pub(crate) noise: Vec<(u8, Vec<u8>)>,
}

/// What a server told a client.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    pub(crate) held: Option<Ipv4Addr>,
    pub(crate) offered: Option<Ipv4Addr>,
}

impl Client {
    /// One of a number: the number says what is usual for it.
    pub(crate) fn usual(number: u8, generation: u8) -> Self {
        let network = match number % 8 {
            _ if number == 0x16 => Network::Metro,
            0..=2 => Network::Direct,
            3 | 4 => Network::Access,
            5 => Network::Metro,
            6 => Network::Lab,
            _ if number == 0x2f => Network::Nowhere,
            _ => Network::Access,
        };
        let identifier = match (number, number % 5) {
            (8, _) => Identifier::Hardware,
            (9, _) => Identifier::Duid,
            (_, 0 | 1) => Identifier::None,
            (_, 2) => Identifier::Hardware,
            (_, 3) => Identifier::Duid,
            _ => Identifier::Text,
        };
        let vendor = match (network, number % 3) {
            (Network::Metro, _) if number == 0x16 => "docsis3.1:0123",
            (Network::Metro, 0) => "docsis3.0",
            (Network::Direct, 0) => "voice",
            (_, 1) => "",
            _ => "MSFT 5.0",
        };
        Self {
            number,
            generation,
            network,
            identifier,
            vendor,
            hlen: 6,
        }
    }

    pub(crate) fn mac(&self) -> [u8; 6] {
        [2, 0, 0, 0, self.generation, self.number]
    }

    /// Whether an address is reserved for it by one of its own identifiers.
    pub(crate) fn has_address(&self) -> bool {
        self.generation == 0 && [1, 2, 8, 9, 0xb, 0x16].contains(&self.number)
    }

    /// Whether a reservation of the configuration names it.
    pub(crate) fn has_name(&self) -> bool {
        self.generation == 0 && [6, 8, 10, 0x16].contains(&self.number)
    }

    fn identifier(&self) -> Option<Vec<u8>> {
        let mac = self.mac();
        Some(match self.identifier {
            Identifier::None => return None,
            Identifier::Hardware => [&[1][..], &mac].concat(),
            Identifier::Duid => [&[255, 0, 0, 0, 1, 0, 3, 0, 1][..], &mac].concat(),
            Identifier::Text => format!("\0client-{}-{}", self.number, self.generation).into(),
            Identifier::OneOctet => vec![self.number],
            Identifier::Empty => Vec::new(),
        })
    }
}

impl Question {
    /// What is asked next; `generations` says who is behind each number.
    pub(crate) fn random(random: &mut Random, generations: &[u8]) -> Self {
        // Half of everything is the ordinary way to a lease, or there would be none to ask about.
        let kind = match random.below(8) {
            0 | 1 => Kind::Discover,
            2 | 3 => Kind::Select,
            4 => random.of(&[Kind::Renew, Kind::Rebind, Kind::Reboot]),
            _ => random.of(&KINDS),
        };
        let number = 1 + random.below(CLIENTS - 1) as u8;
        let mut client = Client::usual(number, generations[usize::from(number)]);
        if random.one_in(16) {
            client.network = random.of(&[
                Network::Direct,
                Network::Access,
                Network::Metro,
                Network::Lab,
                Network::Nowhere,
            ]);
        }
        // One machine under two names holds what is reserved for it from itself: docs/kea-differences.md.
        let is_settled = number < SETTLED;
        if !is_settled && random.one_in(12) {
            client.identifier = random.of(&[
                Identifier::None,
                Identifier::Hardware,
                Identifier::Duid,
                Identifier::Text,
                Identifier::OneOctet,
                Identifier::Empty,
            ]);
        }
        if random.one_in(24) {
            client.vendor = random.of(&["", "voice", "docsis2.0", "PXEClient:Arch:00007"]);
        }
        if !is_settled && random.one_in(12) {
            client.hlen = random.below(18) as u8;
        }
        Self {
            kind,
            client,
            broadcast: random.one_in(4),
            parameters: parameters(random),
            lifetime: random
                .one_in(5)
                .then(|| random.of(&[0, 60, 900, 1800, 7200, 100_000, u32::MAX])),
            wish: random.one_in(4).then(|| random.below(8) as u8),
            agent: agent(random, client),
            rapid: random.one_in(10),
            size_max: random
                .one_in(3)
                .then(|| random.of(&[0, 300, 548, 576, 590, 1200, 1472, 1500, 65535])),
            host_name: random
                .one_in(5)
                .then(|| random.of(&["laptop", "a.b.example", "under_score", "-", "x y", ""])),
            fqdn: random.one_in(10).then(|| {
                random.of(&[
                    (0, &b"host"[..]),
                    (1, b"host.example.com"),
                    (4, b"\x04host"),
                    (5, b"\x04host\x07example\x03org\x00"),
                    (8, b"host.example.com"),
                    (4, b""),
                ])
            }),
            user_class: random.one_in(6).then(|| random.of(&["long", "iPXE"])),
            secs: random.of(&[0, 0, 1, 300]),
            is_dropped: random.one_in(100),
            noise: noise(random),
        }
    }

    /// Makes most questions those of a client that behaves: what comes out of the blue is rarer.
    pub(crate) fn make_usual(&mut self, random: &mut Random, told: Told) {
        if let Some(kind) = self.kind.lacks(told)
            && !random.one_in(6)
        {
            self.kind = kind;
        }
        // Kea believes it, and sets aside what is reserved: the two would never agree on that client again.
        if self.client.number < SETTLED && self.kind == Kind::DeclineUnnamed {
            self.kind = Kind::ReleaseUnnamed;
        }
    }

    /// The one that is always answered, on the link, by an address that nobody gets.
    pub(crate) fn marker() -> Self {
        Self {
            kind: Kind::Inform,
            client: Client {
                number: MARKER,
                generation: 0,
                network: Network::Direct,
                identifier: Identifier::None,
                vendor: "",
                hlen: 6,
            },
            broadcast: false,
            parameters: Some(vec![1]),
            lifetime: None,
            wish: None,
            agent: None,
            rapid: false,
            size_max: None,
            host_name: None,
            fqdn: None,
            user_class: None,
            secs: 0,
            is_dropped: false,
            noise: Vec::new(),
        }
    }

    /// Whether the client is not who it usually is: another identifier, another place.
    pub(crate) fn is_in_disguise(&self) -> bool {
        self.client != Client::usual(self.client.number, self.client.generation) || self.is_dropped
    }

    /// Whether the relay agent names a link that no subnet has.
    pub(crate) fn has_foreign_link(&self) -> bool {
        let names_link = |agent: &Vec<u8>| agent.windows(6).any(|it| it == [5, 4, 10, 7, 0, 9]);
        self.agent.as_ref().is_some_and(names_link)
    }

    /// Whether it goes past the relay agent.
    pub(crate) fn is_direct(&self) -> bool {
        self.client.network == Network::Direct
            || matches!(
                self.kind,
                Kind::Renew | Kind::Release | Kind::ReleaseUnnamed
            )
    }

    fn addresses(&self, told: Told) -> (u8, [Option<Ipv4Addr>; 3]) {
        let client = &self.client;
        let of_pool = |number| client.network.of_pool(client.vendor, client.number, number);
        let another = of_pool(client.generation | 4);
        let offered = told.offered.unwrap_or(another);
        let held = told.held.unwrap_or(another);
        let elsewhere = Ipv4Addr::new(192, 0, 2, 7);
        let other_server = Ipv4Addr::new(10, 9, 0, 7);
        // Message type; ciaddr, option 50, option 54.
        match self.kind {
            Kind::Discover => (1, [None, self.wish.map(|it| of_pool(it % 4)), None]),
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
        let mut hardware = self.client.mac().to_vec();
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

fn parameters(random: &mut Random) -> Option<Vec<u8>> {
    Some(match random.below(12) {
        0 | 1 => return None,
        // Windows, dhclient, udhcpc, a set-top box, PXE.
        2 => vec![1, 15, 3, 6, 44, 46, 47, 31, 33, 121, 249, 252, 43],
        3 => vec![1, 28, 2, 3, 15, 6, 119, 12, 44, 47, 26, 121, 42],
        4 => vec![1, 3, 6, 12, 15, 28, 42],
        5 => vec![125, 43, 1, 3, 6, 224, 225],
        6 => vec![66, 67, 43, 60, 128, 129],
        7 => vec![1],
        8 => vec![42, 3, 1, 51, 58, 59, 54, 53, 61, 82],
        9 => vec![6, 6, 12, 12, 81, 17, 69, 70, 71, 72],
        10 => Vec::new(),
        _ => (0..random.below(30))
            .map(|_| random.below(256) as u8)
            .collect(),
    })
}

fn agent(random: &mut Random, client: Client) -> Option<Vec<u8>> {
    let circuit = |text: &str| [&[1, text.len() as u8][..], text.as_bytes()].concat();
    // On the link option 82 is a client's own invention: rare, but there.
    if client.network == Network::Direct && !random.one_in(20) {
        return None;
    }
    let of_client = circuit(&format!("port/{}", client.number));
    Some(match random.below(12) {
        0..=2 => return None,
        3..=5 => of_client,
        6 => [of_client, vec![2, 6, 2, 0, 0, 0, 9, 9]].concat(),
        7 => vec![2, 3, 7, 7, 7],
        8 => [circuit("line"), vec![9, 4, 1, 2, 3, 4, 151, 1, 255]].concat(),
        9 => Vec::new(),
        // The length of its sub-option goes beyond it.
        10 if random.one_in(2) => vec![1, 9, b'x'],
        10 => {
            let [first, second, ..] = client.network.giaddr()?.octets();
            [of_client, vec![5, 4, first, second, 0, 9]].concat()
        }
        _ => [of_client, vec![6, 3, b's', b'u', b'b', 12, 0]].concat(),
    })
}

fn noise(random: &mut Random) -> Vec<(u8, Vec<u8>)> {
    let mut noise = Vec::new();
    while random.one_in(6) {
        noise.push(random.of(&[
            (93, &[0u8, 7][..]),
            (94, &[1, 3, 16]),
            (
                97,
                &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
            ),
            (116, &[1]),
            (124, &[0, 0, 0x0d, 0xe9, 2, 1, b'x']),
            (125, &[0, 0, 0x0d, 0xe9, 4, 1, 2, b'x', b'y']),
            (200, b"something"),
            (43, &[1, 2, 3, 4, 255]),
            (19, &[1]),
        ]));
    }
    noise
        .into_iter()
        .map(|(code, data)| (code, data.to_vec()))
        .collect()
}
