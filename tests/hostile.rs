//! What hostile hosts send, by the generators S-01 to S-07, S-11, S-12, S-14 to S-17, S-20 and S-21 of the
//! project's list of hostile input: each invalid kind is discarded under its own reason, what is merely odd is answered,
//! and nobody else notices.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

use dhcp_core::Discard;
use dhcp_tests::engine::{Buffer, Engine};
use dhcp_tests::packet::Packet;
use dhcp_tests::pcap::committed;
use dhcp_tests::transcript::scene::{Config, Protocol};
use dhcp_wire::frame::FRAME_SIZE_MAX;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 3, 0, 2);
const RELAY: Ipv4Addr = Ipv4Addr::new(10, 4, 0, 1);
const DISCOVER: u8 = 1;
const REQUEST: u8 = 3;
const DECLINE: u8 = 4;
const RELEASE: u8 = 7;

const CONFIG: &[&str] = &[
    "server offer-lifetime 60 partitions 4",
    "subnet 10.3.0.0/24 pool 10.3.0.10-10.3.0.250 lifetime 3600 min-lifetime 60 max-lifetime 7200
     dns-servers 10.3.0.53 domain-name example.net routers 10.3.0.1",
    "subnet 10.4.0.0/24 pool 10.4.0.10-10.4.0.250",
];

/// Two engines that live the same life, with other octets in their buffers: an answer that differs holds octets
/// that nobody wrote.
struct Twins([Engine; 2]);

impl Twins {
    fn new() -> Self {
        Self([engine(), engine()])
    }

    /// The answer, or why there is none.
    fn ask(&mut self, packet: &Packet) -> Result<Packet, Discard> {
        self.ask_octets(&packet.emit())
    }

    fn ask_octets(&mut self, octets: &[u8]) -> Result<Packet, Discard> {
        let [first, second] = &mut self.0;
        let mut one: Buffer = [0xa5; FRAME_SIZE_MAX];
        let mut two: Buffer = [0x5a; FRAME_SIZE_MAX];
        if octets.len() > FRAME_SIZE_MAX {
            return Err(Discard::Frame);
        }
        one[..octets.len()].copy_from_slice(octets);
        two[..octets.len()].copy_from_slice(octets);
        let answered = first.serve(&mut one, octets.len());
        let again = second.serve_wiped(&mut two, octets.len(), |buffer| buffer.fill(0x3c));
        assert_eq!(answered, again, "{octets:02x?}");
        let length = answered?;
        assert_eq!(one[..length], two[..length], "stale octets: {octets:02x?}");
        Ok(Packet::parse(&one[..length]).unwrap_or_else(|wrong| panic!("{wrong}: {octets:02x?}")))
    }

    fn wait(&mut self, seconds: u64) {
        self.0.iter_mut().for_each(|engine| engine.wait(seconds));
    }

    fn leases(&self) -> usize {
        self.0[0].leases().len()
    }

    /// A well-behaved client gets an address: whatever happened, others are served.
    fn obtains(&mut self, client: u32) -> Option<Ipv4Addr> {
        let offer = self
            .ask(&Message::new(DISCOVER).client(client).packet())
            .ok()?;
        let address = yiaddr(&offer);
        let request = Message::new(REQUEST)
            .client(client)
            .option(50, &address.octets())
            .option(54, &SERVER.octets());
        let ack = self.ask(&request.packet()).ok()?;
        assert_eq!(find(&ack, 53), Some(vec![5]));
        Some(address)
    }
}

fn engine() -> Engine {
    let mut config = Config::new(Protocol::V4);
    for line in CONFIG {
        config
            .line(line)
            .unwrap_or_else(|complaint| panic!("{line}: {complaint}"));
    }
    let built = config.build();
    Engine::new(built.policy, built.scene.interface, built.partitions)
}

/// A message in the making.
#[derive(Clone)]
struct Message {
    header: [u8; 240],
    options: Vec<u8>,
    end: bool,
}

impl Message {
    fn new(kind: u8) -> Self {
        let mut this = Self::untyped();
        this.options.extend([53, 1, kind]);
        this
    }

    /// One without a message type.
    fn untyped() -> Self {
        let mut header = [0; 240];
        header[..3].copy_from_slice(&[1, 1, 6]);
        header[4..8].copy_from_slice(&[7; 4]);
        header[28..34].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
        header[236..].copy_from_slice(&[99, 130, 83, 99]);
        Self {
            header,
            options: Vec::new(),
            end: true,
        }
    }

    fn client(mut self, number: u32) -> Self {
        self.header[30..34].copy_from_slice(&number.to_be_bytes());
        self
    }

    fn giaddr(mut self, address: Ipv4Addr) -> Self {
        self.header[24..28].copy_from_slice(&address.octets());
        self
    }

    fn ciaddr(mut self, address: Ipv4Addr) -> Self {
        self.header[12..16].copy_from_slice(&address.octets());
        self
    }

    /// An option, in as many pieces as its length needs.
    fn option(mut self, code: u8, data: &[u8]) -> Self {
        let pieces: Vec<&[u8]> = match data {
            [] => vec![&[]],
            data => data.chunks(255).collect(),
        };
        for piece in pieces {
            self.options.extend([code, piece.len() as u8]);
            self.options.extend(piece);
        }
        self
    }

    /// Octets as they are.
    fn raw(mut self, octets: &[u8]) -> Self {
        self.options.extend(octets);
        self
    }

    /// The last octet of the datagram is the last one of `options`.
    fn without_end(mut self) -> Self {
        self.end = false;
        self
    }

    fn packet(&self) -> Packet {
        let giaddr = Ipv4Addr::from(<[u8; 4]>::try_from(&self.header[24..28]).unwrap());
        let ciaddr = Ipv4Addr::from(<[u8; 4]>::try_from(&self.header[12..16]).unwrap());
        let (source, destination) = match (giaddr.is_unspecified(), ciaddr.is_unspecified()) {
            (false, _) => ((giaddr, 67), SERVER),
            (true, false) => ((ciaddr, 68), SERVER),
            (true, true) => ((Ipv4Addr::UNSPECIFIED, 68), Ipv4Addr::BROADCAST),
        };
        let mut payload = [&self.header[..], &self.options].concat();
        if self.end {
            payload.push(255);
        }
        Packet {
            source_mac: self.header[28..34].try_into().unwrap(),
            destination_mac: [2, 0, 0, 0, 0, 0xfe],
            tags: Vec::new(),
            source: source.into(),
            destination: (destination, 67).into(),
            payload,
        }
    }
}

fn yiaddr(packet: &Packet) -> Ipv4Addr {
    <[u8; 4]>::try_from(&packet.payload[16..20]).unwrap().into()
}

/// Codes and data of the options field, in order.
fn options(packet: &Packet) -> Vec<(u8, Vec<u8>)> {
    let mut found = Vec::new();
    let mut rest = &packet.payload[240..];
    while let [code, after @ ..] = rest {
        match code {
            0 => rest = after,
            255 => break,
            _ => {
                let (data, behind) = after[1..].split_at(usize::from(after[0]));
                found.push((*code, data.to_vec()));
                rest = behind;
            }
        }
    }
    found
}

fn find(packet: &Packet, code: u8) -> Option<Vec<u8>> {
    let mut joined: Option<Vec<u8>> = None;
    for (found, data) in options(packet) {
        if found == code {
            joined.get_or_insert_default().extend(data);
        }
    }
    joined
}

/// S-01: every code, every declared length, with fewer, as many and more octets behind it.
#[test]
fn options_whose_length_lies() {
    let mut twins = Twins::new();
    let mut reasons = BTreeMap::<&str, u32>::new();
    let mut answers = 0u32;
    for code in 1..=254u8 {
        for declared in (0..=255u8).step_by(if code < 90 { 1 } else { 5 }) {
            for there in [
                usize::from(declared).saturating_sub(1),
                usize::from(declared),
                usize::from(declared) + 1,
            ] {
                let message = Message::new(DISCOVER)
                    .raw(&[code, declared])
                    .raw(&vec![0; there])
                    .without_end();
                // Every other identifier is another client: the pool is for 241 of them at a time.
                if answers.is_multiple_of(100) {
                    twins.wait(61);
                }
                let outcome = twins.ask(&message.packet());
                if there < usize::from(declared) {
                    assert_eq!(outcome, Err(Discard::MalformedV4), "{code} {declared}");
                }
                match outcome {
                    Ok(_) => answers += 1,
                    Err(reason) => *reasons.entry(reason.name()).or_default() += 1,
                }
            }
        }
    }
    // What decides (50, 53, 54) must have its length; hints and strangers' options do not.
    assert!(answers > 40_000, "{answers} answers, {reasons:?}");
    let known = [
        "malformed_v4",
        "no_client",
        "unknown_message",
        "from_server",
        "invalid_message",
    ];
    assert!(
        reasons.keys().all(|reason| known.contains(reason)),
        "{reasons:?}"
    );
}

/// S-02: what real clients and relay agents sent, cut at every octet.
#[test]
fn real_messages_cut_anywhere() {
    let mut twins = Twins::new();
    let mut cuts = 0u32;
    for (_, frames) in committed() {
        for frame in frames
            .iter()
            .filter(|frame| frame.destination_port() == Some(67))
        {
            let Ok(whole) = Packet::parse(&frame.octets) else {
                continue;
            };
            for length in 0..whole.payload.len().min(420) {
                let mut cut = whole.clone();
                cut.payload.truncate(length);
                let outcome = twins.ask(&cut);
                if length < 240 {
                    assert_eq!(outcome, Err(Discard::MalformedV4), "{length} octets");
                }
                cuts += 1;
            }
        }
    }
    assert!(cuts > 10_000, "{cuts} cuts");
}

/// S-03: PAD in front, no END at all, END at each place with options behind it.
#[test]
fn padding_and_ends_anywhere() {
    let mut twins = Twins::new();
    for pads in 0..=1200usize {
        let message = Message::untyped()
            .raw(&vec![0; pads])
            .raw(&[53, 1, DISCOVER]);
        for message in [message.clone(), message.without_end()] {
            assert!(twins.ask(&message.packet()).is_ok(), "{pads} octets of PAD");
        }
    }
    let tail = [
        12, 4, b'h', b'o', b's', b't', 50, 4, 10, 3, 0, 77, 55, 2, 1, 3,
    ];
    let whole_options = [0usize, 6, 12, 16];
    for end in 0..=tail.len() {
        let message = Message::new(DISCOVER)
            .client(end as u32 + 9)
            .raw(&tail[..end])
            .raw(&[255])
            .raw(&tail[end..]);
        let outcome = twins.ask(&message.packet());
        if whole_options.contains(&end) {
            let address = yiaddr(&outcome.unwrap());
            let asked = Ipv4Addr::new(10, 3, 0, 77);
            // The wish counts in front of END only; the first one that says it gets the address.
            assert_eq!(address == asked, end == 12, "END at {end}");
        }
    }
}

/// S-04: overload of every value, inside the fields that it names too: each is read once, in order.
#[test]
fn overload_reads_three_fields_once_each() {
    for value in 0..=255u8 {
        let mut twins = Twins::new();
        let mut message = Message::new(DISCOVER)
            .option(61, b"op")
            .option(52, &[value]);
        // file: more of the identifier, and overload once more; sname likewise.
        message.header[108..121]
            .copy_from_slice(&[61, 2, b'f', b'i', 52, 1, 3, 52, 1, 2, 0, 0, 255]);
        message.header[44..53].copy_from_slice(&[61, 2, b's', b'n', 52, 1, 1, 255, 61]);
        let offer = twins.ask(&message.packet()).unwrap();
        let expected: &[u8] = match value {
            1 => b"opfi",
            2 => b"opsn",
            3 => b"opfisn",
            _ => b"op",
        };
        assert_eq!(
            find(&offer, 61).as_deref(),
            Some(expected),
            "overload {value}"
        );
    }
    // Fields full of overload options end where they end.
    let mut twins = Twins::new();
    let mut message = Message::new(DISCOVER).option(52, &[3]);
    for chunk in message.header[44..236].chunks_exact_mut(3) {
        chunk.copy_from_slice(&[52, 1, 3]);
    }
    // 64 octets are no multiple of three: the last option of sname runs out of its field.
    assert_eq!(twins.ask(&message.packet()), Err(Discard::MalformedV4));
}

/// S-05: one option in 2 to 100 parts with others in between, and more of it than there is room for.
#[test]
fn long_options_in_many_parts() {
    let mut twins = Twins::new();
    for parts in 2..=100usize {
        let mut message = Message::new(DISCOVER).client(parts as u32);
        let mut whole = Vec::new();
        for part in 0..parts {
            let piece = [part as u8, parts as u8];
            whole.extend(piece);
            message = message.option(61, &piece).option(55, &[1]).option(12, b"");
        }
        let message = message.option(57, &1500u16.to_be_bytes());
        let offer = twins.ask(&message.packet()).unwrap();
        assert_eq!(find(&offer, 61), Some(whole), "{parts} parts");
    }
    let identity = |length: usize| Message::new(DISCOVER).option(61, &vec![7; length]);
    assert!(
        twins
            .ask(&identity(255).option(57, &[5, 220]).packet())
            .is_ok()
    );
    for length in [256, 300, 512, 1000] {
        assert_eq!(
            twins.ask(&identity(length).packet()),
            Err(Discard::NoClient),
            "identifier of {length} octets"
        );
    }
    // A parameter list as long as the frame is cut; a name as well; neither costs the answer.
    let lists = Message::new(DISCOVER)
        .client(999)
        .option(55, &[1; 600])
        .option(12, &[b'x'; 500]);
    assert!(twins.ask(&lists.packet()).is_ok());
    let agent = |length: usize| {
        let data = vec![9; length];
        Message::new(DISCOVER).giaddr(RELAY).option(82, &data)
    };
    assert_eq!(twins.ask(&agent(700).packet()), Err(Discard::TooMany));
}

/// S-06: option 82 goes back octet by octet as the last one, whatever is in it; of a client that is behind no relay
/// agent it does not.
#[test]
fn option_82_of_every_kind_comes_back() {
    let mut twins = Twins::new();
    let sub = |code: u8, data: &[u8]| [&[code, data.len() as u8][..], data].concat();
    let every = [1u8, 2, 5, 6, 9, 11, 12, 151, 152, 200, 254, 255, 0];
    let mut contents: Vec<Vec<u8>> = every
        .iter()
        .flat_map(|code| [sub(*code, b""), sub(*code, b"x"), sub(*code, &[0xff; 40])])
        .collect();
    contents.extend([
        vec![],
        vec![1],
        vec![1, 9, 0],
        vec![255; 3],
        [sub(1, b"a"), sub(1, b"b"), sub(2, b"")].concat(),
    ]);
    for (number, data) in contents.iter().enumerate() {
        for giaddr in [Ipv4Addr::UNSPECIFIED, RELAY] {
            // Link selection of another link, server override: their own tests judge these.
            if [5, 11].contains(data.first().unwrap_or(&0)) && !giaddr.is_unspecified() {
                continue;
            }
            let message = Message::new(DISCOVER)
                .client(number as u32 + 7)
                .giaddr(giaddr)
                .option(82, data);
            let Ok(offer) = twins.ask(&message.packet()) else {
                // Virtual subnets that we do not have (RFC 6607).
                assert!(matches!(data.first(), Some(151 | 152)), "{data:02x?}");
                continue;
            };
            let mut options = options(&offer);
            if giaddr.is_unspecified() {
                assert!(options.iter().all(|(code, _)| *code != 82));
                continue;
            }
            assert_eq!(options.pop().unwrap(), (82, data.clone()));
        }
    }
}

/// S-07: which identities are clients and which are nobody.
#[test]
fn identities_and_their_limits() {
    let mut twins = Twins::new();
    let mut ask = |chaddr: [u8; 6], hlen: u8, identifier: Option<&[u8]>| {
        let mut message = Message::new(DISCOVER).option(57, &1500u16.to_be_bytes());
        message.header[2] = hlen;
        message.header[28..34].copy_from_slice(&chaddr);
        if let Some(identifier) = identifier {
            message = message.option(61, identifier);
        }
        twins.ask(&message.packet()).map(|offer| find(&offer, 61))
    };
    let good = [2, 0, 0, 0, 0, 1];
    for nobody in [
        [0; 6],
        [0xff; 6],
        [1, 0, 0x5e, 0, 0, 1],
        [0x33, 0x33, 0, 0, 0, 1],
    ] {
        assert_eq!(
            ask(nobody, 6, None),
            Err(Discard::NoClient),
            "{nobody:02x?}"
        );
        assert!(ask(nobody, 6, Some(b"id")).is_ok(), "{nobody:02x?}");
    }
    for hlen in 0..=255u8 {
        let expected = match hlen {
            0 => Err(Discard::NoClient),
            1..=16 => Ok(None),
            17.. => Err(Discard::NoClient),
        };
        assert_eq!(ask(good, hlen, None), expected, "hlen {hlen}");
        let identified = ask(good, hlen, Some(b"id"));
        assert_eq!(
            identified.is_ok(),
            hlen <= 16,
            "hlen {hlen} with an identifier"
        );
    }
    assert_eq!(
        ask(good, 6, Some(b"")),
        Ok(None),
        "an empty identifier is none"
    );
    for length in [1usize, 2, 254, 255] {
        let identifier = vec![3; length];
        let echoed = ask(good, 6, Some(&identifier));
        assert_eq!(echoed, Ok(Some(identifier)), "{length} octets");
    }
    assert_eq!(ask(good, 6, Some(&[3; 256])), Err(Discard::NoClient));
}

/// S-11: names that are none, in options 12, 15, 81 and 119 of a client: no pointer is followed, no answer lost.
#[test]
fn names_that_are_none() {
    let mut twins = Twins::new();
    let label = |length: usize| [&[length as u8][..], &vec![b'a'; length]].concat();
    let names: Vec<Vec<u8>> = vec![
        vec![],
        vec![0],
        vec![0xc0, 0],
        vec![0xc0, 3],
        vec![0xc0, 255],
        vec![0x40, 1],
        label(63),
        label(64),
        [label(63), label(63), label(63), label(61), vec![0]].concat(),
        [label(63), label(63), label(63), label(62), vec![0]].concat()[..255].to_vec(),
        [label(3), vec![0], label(3), vec![0]].concat(),
        vec![255; 255],
        b"\x1b[2J\r\n\0%s".to_vec(),
        (0x80..=0xff).collect(),
    ];
    for (number, name) in names.iter().enumerate() {
        for code in [12u8, 15, 81, 119] {
            for flags in [&[][..], &[0, 0, 0], &[4, 0, 0]] {
                let data = [flags, name].concat();
                let message = Message::new(DISCOVER)
                    .client(number as u32)
                    .option(code, &data);
                assert!(twins.ask(&message.packet()).is_ok(), "{code}: {data:02x?}");
            }
        }
    }
}

/// S-12: lifetimes at the ends of their range, asked for and configured, over more than a century.
#[test]
fn lifetimes_at_the_ends_of_their_range() {
    let values = [0, 1, (1 << 31) - 1, 1 << 31, u32::MAX - 1, u32::MAX];
    for (number, asked) in values.into_iter().enumerate() {
        let mut twins = Twins::new();
        let request = Message::new(REQUEST)
            .client(number as u32)
            .option(50, &[10, 3, 0, 99])
            .option(54, &SERVER.octets())
            .option(51, &asked.to_be_bytes());
        let ack = twins.ask(&request.packet()).unwrap();
        let time = |code| u32::from_be_bytes(find(&ack, code).unwrap().try_into().unwrap());
        assert_eq!(time(51), asked.clamp(60, 7200), "{asked} asked");
        assert!(time(58) < time(59) && time(59) < time(51));
        assert_eq!(twins.leases(), 1);
        twins.wait(u64::from(time(51)));
        assert_eq!(twins.leases(), 0, "{asked} asked: it ended");
        twins.wait(u64::from(u32::MAX) * 3);
        assert!(twins.obtains(77).is_some());
    }
}

/// S-14: one port makes up clients without end: nobody who has a lease loses it, and the pool is whole again when the
/// offers have lapsed.
#[test]
fn made_up_clients_take_nothing_from_those_who_are_there() {
    let mut twins = Twins::new();
    let address = twins.obtains(1).unwrap();
    let mut refused = 0;
    for client in 1000..6000 {
        let message = Message::new(DISCOVER)
            .client(client)
            .option(12, &client.to_be_bytes())
            .option(61, &[&[0][..], &client.to_be_bytes()].concat());
        match twins.ask(&message.packet()) {
            Ok(_) => {}
            Err(Discard::NoAddress) => refused += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(
        refused,
        5000 - 240,
        "the rest of the pool is offered, no more"
    );
    let renewal = Message::new(REQUEST).client(1).ciaddr(address);
    let ack = twins.ask(&renewal.packet()).unwrap();
    assert_eq!((yiaddr(&ack), find(&ack, 53)), (address, Some(vec![5])));
    assert_eq!(twins.obtains(2), None, "full for now");
    twins.wait(61);
    for client in 2..=241 {
        assert!(twins.obtains(client).is_some(), "client {client}");
    }
    assert_eq!(twins.leases(), 241, "every address of the pool");
}

/// S-15: DISCOVER after DISCOVER without a REQUEST: nothing is written.
#[test]
fn offers_cost_no_durable_write() {
    let mut twins = Twins::new();
    for client in 0..20_000 {
        let _ = twins.ask(&Message::new(DISCOVER).client(client).packet());
        assert!(!twins.0[0].has_written(), "client {client}");
        if client % 200 == 0 {
            twins.wait(61);
        }
    }
    assert_eq!(twins.leases(), 0);
    assert!(twins.obtains(30_000).is_some());
}

/// S-16: one that declines whatever it gets, one that releases and declines what others hold.
#[test]
fn decline_and_release_are_no_weapons() {
    let mut twins = Twins::new();
    let held: Vec<Ipv4Addr> = (1..=50)
        .map(|client| twins.obtains(client).unwrap())
        .collect();
    for address in &held {
        for (kind, reason) in [
            (DECLINE, Discard::DeclineNotHolder),
            (RELEASE, Discard::ReleaseNotHolder),
        ] {
            let message = Message::new(kind)
                .client(666)
                .option(54, &SERVER.octets())
                .ciaddr(*address);
            let message = match kind {
                DECLINE => message.option(50, &address.octets()),
                _ => message,
            };
            assert_eq!(twins.ask(&message.packet()), Err(reason), "{address}");
        }
    }
    assert_eq!(twins.leases(), 50);
    let mut declined = 0;
    for _ in 0..300 {
        let Some(address) = twins.obtains(666) else {
            break;
        };
        let decline = Message::new(DECLINE)
            .client(666)
            .option(50, &address.octets())
            .option(54, &SERVER.octets());
        match twins.ask(&decline.packet()) {
            Err(Discard::Declined) => declined += 1,
            Err(Discard::DeclineOverLimit) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(declined <= 32, "one client set {declined} addresses aside");
    assert!(twins.obtains(2000).is_some(), "others are served");
}

/// S-17: relay agents that are none.
#[test]
fn relay_agents_that_are_none() {
    let mut twins = Twins::new();
    let ask = |twins: &mut Twins, giaddr: [u8; 4]| {
        let message = Message::new(DISCOVER).giaddr(giaddr.into());
        twins.ask(&message.packet()).map(|offer| offer.destination)
    };
    for (giaddr, reason) in [
        ([192, 0, 2, 1], Discard::NoSubnet),
        ([10, 3, 0, 2], Discard::GiaddrOurs),
        ([10, 9, 9, 9], Discard::NoSubnet),
        ([127, 0, 0, 1], Discard::NoSubnet),
        ([224, 0, 0, 9], Discard::NoSubnet),
        ([255, 255, 255, 255], Discard::NoSubnet),
    ] {
        assert_eq!(ask(&mut twins, giaddr), Err(reason), "giaddr {giaddr:?}");
    }
    // The source differs from giaddr: a relay agent with several interfaces. The answer goes to giaddr.
    let mut packet = Message::new(DISCOVER).giaddr(RELAY).packet();
    packet.source = (Ipv4Addr::new(192, 0, 2, 66), 67).into();
    let offer = twins.ask(&packet).unwrap();
    assert_eq!(offer.destination, std::net::SocketAddr::from((RELAY, 67)));
}

/// S-20: frames that lie below UDP.
#[test]
fn frames_that_lie() {
    let mut twins = Twins::new();
    let packet = Message::new(DISCOVER).packet();
    let frame = packet.emit();
    let injured = |at: usize, octet: u8| {
        let mut frame = frame.clone();
        frame[at] = octet;
        frame
    };
    let resummed = |at: usize, octets: &[u8]| {
        let mut frame = frame.clone();
        frame[at..at + octets.len()].copy_from_slice(octets);
        frame[24..26].copy_from_slice(&[0, 0]);
        let sum = dhcp_tests::packet::checksum(&[&frame[14..34]]);
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
        frame
    };
    for (what, octets, reason) in [
        ("IP checksum", injured(24, frame[24] ^ 1), Discard::Checksum),
        (
            "UDP checksum",
            injured(40, frame[40] ^ 1),
            Discard::Checksum,
        ),
        ("version 5", resummed(14, &[0x55]), Discard::Frame),
        ("header of 16 octets", resummed(14, &[0x44]), Discard::Frame),
        (
            "header beyond the packet",
            resummed(14, &[0x4f]),
            Discard::Checksum,
        ),
        (
            "IP length beyond the frame",
            resummed(16, &[0xff, 0xff]),
            Discard::Frame,
        ),
        (
            "IP length of nothing",
            resummed(16, &[0, 0]),
            Discard::Frame,
        ),
        ("more fragments", resummed(20, &[0x20, 0]), Discard::Frame),
        ("a later fragment", resummed(20, &[0, 1]), Discard::Frame),
        ("TCP", resummed(23, &[6]), Discard::Frame),
        (
            "UDP length beyond the packet",
            injured(38, 0xff),
            Discard::Frame,
        ),
        (
            "UDP length of nothing",
            resummed(38, &[0, 0]),
            Discard::Frame,
        ),
        ("ARP", injured(13, 6), Discard::Frame),
        (
            "an IPv6 EtherType",
            resummed(12, &[0x86, 0xdd]),
            Discard::Frame,
        ),
    ] {
        assert_eq!(twins.ask_octets(&octets), Err(reason), "{what}");
    }
    for length in 0..frame.len() {
        assert!(
            twins.ask_octets(&frame[..length]).is_err(),
            "cut to {length}"
        );
    }
    for tags in 0..=3u16 {
        let mut tagged = packet.clone();
        tagged.tags = (0..tags).map(|tag| (0x8100, tag + 100)).collect();
        let outcome = twins.ask(&tagged);
        match tags {
            0..=2 => assert_eq!(outcome.unwrap().tags, tagged.tags),
            _ => assert_eq!(outcome, Err(Discard::Frame), "three tags"),
        }
    }
    // A jumbo frame is more than any buffer holds; TTL 0 arrived all the same; a broadcast source is no host's, and
    // the answer does not go there.
    let jumbo = Message::new(DISCOVER).raw(&[0; 8000]);
    assert_eq!(twins.ask(&jumbo.packet()), Err(Discard::Frame));
    assert!(twins.ask_octets(&resummed(22, &[0])).is_ok());
    let mut source = packet.clone();
    source.source = (Ipv4Addr::BROADCAST, 68).into();
    let offer = twins.ask(&source).unwrap();
    assert_ne!(offer.destination.ip(), Ipv4Addr::BROADCAST);
    source.payload = Message::new(8).packet().payload;
    assert_eq!(
        twins.ask(&source),
        Err(Discard::BadDestination),
        "an INFORM of everybody"
    );
}

/// S-21: one protocol's message at the other's port.
#[test]
fn messages_of_the_other_protocol() {
    let mut twins = Twins::new();
    let mut packet = Message::new(DISCOVER).packet();
    // A Solicit with a client identifier.
    packet.payload = [
        &[1, 0, 0, 7, 0, 1, 0, 10, 0, 3, 0, 1][..],
        &[2; 6],
        &[0; 300],
    ]
    .concat();
    assert_eq!(twins.ask(&packet), Err(Discard::MalformedV4));
    let v6 = |port: u16, payload: Vec<u8>| Packet {
        source_mac: [2, 0, 0, 0, 0, 1],
        destination_mac: [0x33, 0x33, 0, 1, 0, 2],
        tags: Vec::new(),
        source: "[fe80::1]:546".parse().unwrap(),
        destination: format!("[ff02::1:2]:{port}").parse().unwrap(),
        payload,
    };
    let discover = Message::new(DISCOVER).packet().payload;
    assert_eq!(twins.ask(&v6(67, discover.clone())), Err(Discard::NotForUs));
    let mut other_port = Message::new(DISCOVER).packet();
    other_port.destination.set_port(547);
    assert_eq!(twins.ask(&other_port), Err(Discard::NotForUs));
    // 1, 1, 6, 0: read as a Solicit, it has no client identifier. DHCPV4-QUERY (RFC 7341) is not ours.
    let as_v6 = twins.ask(&v6(547, discover.clone())).unwrap_err();
    assert!(
        [Discard::MalformedV6, Discard::Invalid].contains(&as_v6),
        "{as_v6:?}"
    );
    let query = [
        &[20, 0, 0, 0, 0, 87][..],
        &(discover.len() as u16).to_be_bytes(),
        &discover,
    ];
    assert_eq!(
        twins.ask(&v6(547, query.concat())),
        Err(Discard::UnknownMessage)
    );
}
