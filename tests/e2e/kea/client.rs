//! Who asks: where it is, what it calls itself, which vendor it is of.

use std::net::Ipv4Addr;

/// Clients whose number is below have reservations, or stay who they are for other reasons.
pub(crate) const SETTLED: u8 = 0x18;
/// So many addresses of a pool are wished for by whoever has a number.
pub(crate) const WISHES: u8 = 4;
/// How many numbers there are.
pub(crate) const CLIENTS: usize = 0x30;

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
    pub(crate) fn prefix(self, vendor: &str) -> [u8; 2] {
        match self {
            Self::Direct => [10, 9],
            Self::Access => [10, 8],
            Self::Metro if vendor.starts_with("docsis") => [10, 20],
            Self::Metro => [10, 21],
            Self::Lab => [10, 6],
            Self::Nowhere => [10, 5],
        }
    }

    /// An address of the pool that this client may use, of which nobody but it ever speaks: 60 for each.
    pub(crate) fn of_pool(self, vendor: &str, client: u8, number: u8) -> Ipv4Addr {
        let [first, second] = self.prefix(vendor);
        let third = if (self, vendor) == (Self::Direct, "voice") {
            36
        } else {
            20
        };
        let fourth = client.wrapping_add(CLIENTS as u8 * (number / 12 % 5));
        Ipv4Addr::new(first, second, third + number % 12, fourth)
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

    /// The number of an address of which no other of its number ever speaks, by name at least.
    pub(crate) fn another(&self) -> u8 {
        let is_usual = *self == Self::usual(self.number, self.generation);
        WISHES + self.generation % 28 + if is_usual { 0 } else { 28 }
    }

    /// Whether a machine for whose hardware address something is reserved calls itself otherwise than usual.
    pub(crate) fn has_another_name(&self) -> bool {
        let usual = Self::usual(self.number, self.generation);
        self.is_machine() && self.identifier != usual.identifier
    }

    pub(crate) fn mac(&self) -> [u8; 6] {
        [2, 0, 0, 0, self.generation, self.number]
    }

    /// Whether an address is reserved for it by one of its own identifiers.
    pub(crate) fn has_address(&self) -> bool {
        self.is_machine() || self.generation == 0 && [8, 9].contains(&self.number)
    }

    /// Whether its hardware address has one: whatever it calls itself.
    pub(crate) fn is_machine(&self) -> bool {
        self.generation == 0 && [1, 2, 0xb, 0x16].contains(&self.number)
    }

    /// Whether a reservation of the configuration names it.
    pub(crate) fn has_name(&self) -> bool {
        self.generation == 0 && [6, 8, 10, 0x16].contains(&self.number)
    }

    pub(crate) fn identifier(&self) -> Option<Vec<u8>> {
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
