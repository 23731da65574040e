//! What a client asks, in terms that hold for both servers: an address is "what was offered", "what is held".

use super::client::{CLIENTS, Client, Identifier, Network, SETTLED};
use super::rig::Random;
use std::net::Ipv4Addr;

/// The client whose INFORM marks the end of what came before it.
const MARKER: u8 = 0xee;

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

    /// Whether it has no answer, whatever came of it.
    fn is_answerless(self) -> bool {
        matches!(self, Self::Release | Self::Decline) || self.is_unsettling()
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
        let is_settled = number < SETTLED;
        let another = random.of(&[
            Identifier::None,
            Identifier::Hardware,
            Identifier::Duid,
            Identifier::Text,
            Identifier::OneOctet,
            Identifier::Empty,
        ]);
        // Who is reserved for by another identifier would be somebody else.
        if random.one_in(12) && (!is_settled || client.is_machine()) {
            client.identifier = another;
        }
        if random.one_in(24) {
            client.vendor = random.of(&["", "voice", "docsis2.0", "PXEClient:Arch:00007"]);
        }
        let hlen = random.of(&[0, 2, 3, 4, 5, 7, 8, 15, 16, 17]);
        if random.one_in(12) && !is_settled {
            client.hlen = hlen;
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
        let is_blue = random.one_in(6);
        if let Some(kind) = self.kind.lacks(told)
            && !is_blue
        {
            self.kind = kind;
        }
        if self.kind == Kind::Reboot && told.held.is_none() {
            self.kind = Kind::RebootAnother;
        }
        // Kea believes it, and sets aside what is reserved: the two would never agree on that client again.
        if self.client.number < SETTLED && self.kind == Kind::DeclineUnnamed {
            self.kind = Kind::ReleaseUnnamed;
        }
        // Kea drops it whatever it says, and where there is no answer nobody would see that.
        if self.kind.is_answerless() && self.parameters.as_ref().is_some_and(Vec::is_empty) {
            self.parameters = None;
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
