//! Clients who ask for leases, renew them, give them back and decline them, by chance and one thing at a
//! time; in frames that the data path serves as it serves those of a network.

use super::random::Random;
use crate::packet::Packet;
use dhcp_lease::{Binding, Lease, LeaseKind};
use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// The server's addresses.
pub const SERVER_V4: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
/// Its link-local one.
pub const SERVER_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
/// Its Ethernet address.
pub const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// Its DUID.
pub const SERVER_DUID: [u8; 10] = [0, 4, 1, 2, 3, 4, 5, 6, 7, 8];

const IAID: u32 = 1;
/// Identifiers that take one, two, three and four slots of a table, so long as these hold 52 octets and
/// then 96.
const CLIENT_ID_OCTETS: [usize; 8] = [0, 7, 46, 47, 142, 143, 238, 255];
const DUID_OCTETS: [usize; 4] = [8, 18, 60, 128];

/// What a client may want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// A lease.
    Obtain,
    /// To keep the one it has.
    Renew,
    /// To give it back.
    Release,
    /// To complain that somebody else uses it.
    Decline,
}

impl Want {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Obtain, Self::Renew, Self::Release, Self::Decline];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Obtain => "obtain",
            Self::Renew => "renew",
            Self::Release => "release",
            Self::Decline => "decline",
        }
    }

    /// Whether the client has no lease afterwards.
    pub fn ends(self) -> bool {
        matches!(self, Self::Release | Self::Decline)
    }
}

/// A message of a client.
#[derive(Debug)]
pub struct Request {
    /// Who asks.
    pub client: usize,
    /// For what.
    pub want: Want,
    /// The lease that it is about, if there is one.
    pub lease: Option<Lease>,
    /// As it arrives.
    pub frame: Vec<u8>,
}

/// What a client was promised, or that its wish was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promise {
    /// Who.
    pub client: usize,
    /// What it had asked for.
    pub want: Want,
    /// The lease and when it ends; `None`: it has none any more.
    pub lease: Option<(Lease, u64)>,
}

#[derive(Clone, Debug)]
struct Client {
    held: Option<(Lease, u64)>,
    asks: bool,
}

/// All clients.
#[derive(Clone, Debug)]
pub struct Clients {
    clients: Vec<Client>,
    /// What is asked and since when, by transaction.
    asked: HashMap<u32, (usize, Want, u64)>,
    transaction: u32,
    random: Random,
}

/// What a client leases: a third of them each kind.
fn kind(client: usize) -> LeaseKind {
    [LeaseKind::V4, LeaseKind::Address, LeaseKind::Prefix][client % 3]
}

/// A client's identifier, which has its number in it; empty: it is known by its hardware address.
fn identifier(client: usize) -> Vec<u8> {
    let octets = match kind(client) {
        LeaseKind::V4 => CLIENT_ID_OCTETS[client / 3 % CLIENT_ID_OCTETS.len()],
        LeaseKind::Address | LeaseKind::Prefix => DUID_OCTETS[client / 3 % DUID_OCTETS.len()],
    };
    let mut identifier = vec![0, 4];
    identifier.extend((client as u32).to_be_bytes());
    identifier.extend((0..255).map(|at: u32| (at * 7 + client as u32) as u8));
    identifier.truncate(octets);
    identifier
}

fn mac(client: usize) -> [u8; 6] {
    let [a, b, c, d] = (client as u32).to_be_bytes();
    [6, 0, a, b, c, d]
}

/// Whose binding this is.
pub fn owner(binding: &Binding) -> Option<usize> {
    let number = match binding.client.as_slice() {
        [] => binding.hardware.as_slice().get(2..6)?,
        identifier => identifier.get(2..6)?,
    };
    let client = u32::from_be_bytes(number.try_into().ok()?) as usize;
    let is_whole =
        binding.client.as_slice() == identifier(client) && binding.lease.kind() == kind(client);
    is_whole.then_some(client)
}

impl Clients {
    /// So many clients without leases.
    pub fn new(count: usize, seed: u64) -> Self {
        let client = Client {
            held: None,
            asks: false,
        };
        Self {
            clients: vec![client; count],
            asked: HashMap::new(),
            transaction: 0,
            random: Random(seed),
        }
    }

    /// Clients who hold what was promised to them.
    pub fn holding(count: usize, held: &[(usize, Lease, u64)]) -> Self {
        let mut clients = Self::new(count, 0);
        for &(client, lease, expires) in held {
            clients.clients[client].held = Some((lease, expires));
        }
        clients
    }

    /// What some client wants next; `None` if the one that was thought of waits for an answer. Those
    /// whose number divided by `shares` leaves `share` are asked.
    pub fn ask(&mut self, now: u64, share: usize, shares: usize) -> Option<Request> {
        let count = (self.clients.len() - share).div_ceil(shares);
        let number = self.random.below(count as u64) as usize * shares + share;
        let dice = self.random.below(16);
        let client = &mut self.clients[number];
        if client.asks {
            return None;
        }
        if client.held.is_some_and(|(_, expires)| expires <= now) {
            client.held = None;
        }
        let want = match (client.held, dice) {
            (None, _) => Want::Obtain,
            (Some(_), 0..=2) => Want::Release,
            // RFC 9915 section 18.2.8: a delegated prefix is in nobody else's use.
            (Some((Lease::V4(_) | Lease::Address(_), _)), 3) => Want::Decline,
            (Some(_), _) => Want::Renew,
        };
        Some(self.request(number, want, now))
    }

    /// A message of one client.
    pub fn request(&mut self, number: usize, want: Want, now: u64) -> Request {
        self.transaction = (self.transaction + 1) & 0x00ff_ffff;
        let transaction = self.transaction;
        let client = &mut self.clients[number];
        let lease = client.held.map(|(lease, _)| lease);
        if want.ends() {
            client.held = None;
        }
        client.asks = true;
        self.asked.insert(transaction, (number, want, now));
        let frame = match kind(number) {
            LeaseKind::V4 => frame_v4(number, want, lease, transaction),
            LeaseKind::Address | LeaseKind::Prefix => frame_v6(number, want, lease, transaction),
        };
        Request {
            client: number,
            want,
            lease,
            frame,
        }
    }

    /// Hears an answer. Lifetimes count from when it was asked for: here the clock may be turned by
    /// seconds while a reply waits for the disk, which elsewhere takes a thousandth of one.
    ///
    /// # Panics
    /// When it is no answer.
    pub fn hear(&mut self, frame: &[u8]) -> Option<Promise> {
        let packet = Packet::parse(frame).unwrap();
        let octets = &packet.payload;
        let (transaction, lease) = match packet.destination.port() {
            68 => (u32_at(octets, 4), lease_v4(octets)),
            _ => (u32_at(octets, 0) & 0x00ff_ffff, lease_v6(octets)),
        };
        let (client, want, asked) = self.asked.remove(&transaction)?;
        let lease = lease.map(|(lease, lifetime)| (lease, asked + u64::from(lifetime)));
        self.clients[client].asks = false;
        // A refusal promises nothing; only where an end was asked for, no lease is what was wanted.
        if lease.is_none() && !want.ends() {
            return None;
        }
        self.clients[client].held = lease;
        Some(Promise {
            client,
            want,
            lease,
        })
    }

    /// Nobody of a share waits for an answer any longer.
    pub fn give_up(&mut self, share: usize, shares: usize) {
        let clients = self.clients.iter_mut().skip(share).step_by(shares);
        clients.for_each(|client| client.asks = false);
        self.asked
            .retain(|_, (client, ..)| *client % shares != share);
    }
}

fn frame_v4(client: usize, want: Want, lease: Option<Lease>, transaction: u32) -> Vec<u8> {
    let address = match lease {
        Some(Lease::V4(address)) => address,
        _ => Ipv4Addr::UNSPECIFIED,
    };
    let mut payload = vec![1, 1, 6, 0];
    payload.extend(transaction.to_be_bytes());
    payload.extend([0, 0, 0x80, 0]);
    let is_configured = matches!(want, Want::Renew | Want::Release);
    let source = if is_configured {
        address
    } else {
        Ipv4Addr::UNSPECIFIED
    };
    payload.extend(source.octets());
    payload.extend([0; 12]);
    payload.extend(mac(client));
    payload.resize(236, 0);
    payload.extend([99, 130, 83, 99]);
    let mut option = |code: u8, octets: &[u8]| {
        payload.extend([code, octets.len() as u8]);
        payload.extend(octets);
    };
    match want {
        Want::Obtain => {
            option(53, &[1]);
            option(80, &[]);
        }
        Want::Renew => option(53, &[3]),
        Want::Release => {
            option(53, &[7]);
            option(54, &SERVER_V4.octets());
        }
        Want::Decline => {
            option(53, &[4]);
            option(54, &SERVER_V4.octets());
            option(50, &address.octets());
        }
    }
    if !identifier(client).is_empty() {
        option(61, &identifier(client));
    }
    payload.push(255);
    let destination = if is_configured {
        SERVER_V4
    } else {
        Ipv4Addr::BROADCAST
    };
    let destination_mac = if is_configured { SERVER_MAC } else { [0xff; 6] };
    Packet {
        source_mac: mac(client),
        destination_mac,
        tags: Vec::new(),
        source: SocketAddr::new(source.into(), 68),
        destination: SocketAddr::new(destination.into(), 67),
        payload,
    }
    .emit()
}

fn lease_v4(octets: &[u8]) -> Option<(Lease, u32)> {
    let address = Ipv4Addr::from_bits(u32_at(octets, 16));
    let mut options = octets.get(240..)?;
    let mut lifetime = None;
    while let [code, length, rest @ ..] = options {
        let (value, rest) = rest.split_at_checked(usize::from(*length))?;
        match (code, value) {
            (53, [5]) => {}
            (53, _) => return None,
            (51, value) => lifetime = Some(u32_at(value, 0)),
            _ => {}
        }
        options = rest;
    }
    Some((Lease::V4(address), lifetime?))
}

fn option_v6(code: u16, octets: &[u8]) -> Vec<u8> {
    let header = [code.to_be_bytes(), (octets.len() as u16).to_be_bytes()];
    [header.as_flattened(), octets].concat()
}

fn frame_v6(client: usize, want: Want, lease: Option<Lease>, transaction: u32) -> Vec<u8> {
    let message: u32 = match want {
        Want::Obtain => 3,
        Want::Renew => 5,
        Want::Release => 8,
        Want::Decline => 9,
    };
    let mut payload = (message << 24 | transaction).to_be_bytes().to_vec();
    payload.extend(option_v6(1, &identifier(client)));
    payload.extend(option_v6(2, &SERVER_DUID));
    let mut ia = IAID.to_be_bytes().to_vec();
    ia.extend([0; 8]);
    match lease {
        Some(Lease::Address(address)) => {
            ia.extend(option_v6(5, &[&address.octets()[..], &[0; 8]].concat()));
        }
        Some(Lease::Prefix(prefix, length)) => {
            let octets = [&[0; 8][..], &[length], &prefix.octets()].concat();
            ia.extend(option_v6(26, &octets));
        }
        Some(Lease::V4(_)) | None => {}
    }
    let code = if kind(client) == LeaseKind::Prefix {
        25
    } else {
        3
    };
    payload.extend(option_v6(code, &ia));
    let own = Ipv6Addr::from_bits(0xfe80 << 112 | 0x1_0000 | client as u128);
    Packet {
        source_mac: mac(client),
        destination_mac: [0x33, 0x33, 0, 1, 0, 2],
        tags: Vec::new(),
        source: SocketAddr::new(own.into(), 546),
        destination: "[ff02::1:2]:547".parse().unwrap(),
        payload,
    }
    .emit()
}

/// The options of a DHCPv6 message or of one of its options.
fn options_v6(mut octets: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let [a, b, c, d, rest @ ..] = octets else {
            return None;
        };
        let length = u16::from_be_bytes([*c, *d]);
        let (value, rest) = rest.split_at_checked(usize::from(length))?;
        octets = rest;
        Some((u16::from_be_bytes([*a, *b]), value))
    })
}

fn lease_v6(octets: &[u8]) -> Option<(Lease, u32)> {
    let (_, ia) = options_v6(&octets[4..]).find(|(code, _)| matches!(code, 3 | 25))?;
    let leases = options_v6(ia.get(12..)?).filter_map(|(code, value)| match code {
        5 => {
            let address = Ipv6Addr::from(*value.first_chunk::<16>()?);
            Some((Lease::Address(address), u32_at(value, 20)))
        }
        26 => {
            let prefix = Ipv6Addr::from(*value.get(9..)?.first_chunk::<16>()?);
            Some((Lease::Prefix(prefix, value[8]), u32_at(value, 4)))
        }
        _ => None,
    });
    let valid = leases.filter(|(_, lifetime)| *lifetime > 0);
    valid.last()
}

fn u32_at(octets: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(octets[at..at + 4].try_into().unwrap())
}
