//! On the same configuration the answers are Kea's: thousands of generated messages go to both, over real
//! interfaces, and every difference is one of docs/kea-differences.md.
//!
//! Both live through the same messages. Where a message refers to an earlier answer, it refers to that of the server
//! it goes to: which free address a server picks is its own affair, from which pool is not.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails panics"
)]

use dhcp_bench::link::{Link as _, Packet as Wire};
use dhcp_tests::lab::namespace::Namespace;
use dhcp_tests::lab::process::{Process, eventually};
use dhcp_tests::lab::server::Server;
use dhcp_tests::lab::{CLIENT_INTERFACE, Link, SERVER_INTERFACE};
use dhcp_tests::packet::Packet;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

const EXCHANGES: usize = 3000;
const CLIENTS: usize = 24;
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const RELAY: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 1);
const SERVER_MAC: &str = "02:00:00:00:00:fe";
/// The client whose INFORM marks the end of what came before it.
const MARKER: usize = 999;

const OURS: &str = r#"
interfaces = ["srv0"]
durability = "process"
authoritative = true
offer-lifetime = 1
valid-lifetime = 3600
min-valid-lifetime = 600
max-valid-lifetime = 7200
renew-timer = 1800
rebind-timer = 3000

[[subnet4]]
id = 1
subnet = "10.9.0.0/16"
pools = ["10.9.1.0-10.9.1.63"]
option-data = [
    { name = "routers", data = "10.9.0.1" },
    { name = "domain-name-servers", data = "10.9.0.53, 10.9.0.54" },
    { name = "domain-name", data = "example.net", always-send = true },
    { name = "ntp-servers", data = "10.9.0.123" },
]
reservations = [
    { hw-address = "02:00:00:00:00:03", ip-address = "10.9.2.3" },
    { hw-address = "02:00:00:00:00:04", ip-address = "10.9.1.60", option-data = [{ name = "ntp-servers", data = "10.9.0.99" }] },
]

[[subnet4]]
id = 2
subnet = "10.8.0.0/16"
pools = ["10.8.1.0-10.8.1.63"]
next-server = "10.8.0.69"
boot-file-name = "boot.bin"
option-data = [{ name = "routers", data = "10.8.0.1" }]
"#;

const KEA: &str = r#"{ "Dhcp4": {
  "interfaces-config": { "interfaces": ["srv0"], "dhcp-socket-type": "raw" },
  "lease-database": { "type": "memfile", "persist": false },
  "authoritative": true,
  "valid-lifetime": 3600, "min-valid-lifetime": 600, "max-valid-lifetime": 7200,
  "renew-timer": 1800, "rebind-timer": 3000,
  "loggers": [ { "name": "kea-dhcp4", "severity": "WARN", "output_options": [ { "output": "stdout" } ] } ],
  "subnet4": [
    { "id": 1, "subnet": "10.9.0.0/16", "pools": [ { "pool": "10.9.1.0-10.9.1.63" } ],
      "option-data": [
        { "name": "routers", "data": "10.9.0.1" },
        { "name": "domain-name-servers", "data": "10.9.0.53, 10.9.0.54" },
        { "name": "domain-name", "data": "example.net", "always-send": true },
        { "name": "ntp-servers", "data": "10.9.0.123" } ],
      "reservations": [
        { "hw-address": "02:00:00:00:00:03", "ip-address": "10.9.2.3" },
        { "hw-address": "02:00:00:00:00:04", "ip-address": "10.9.1.60",
          "option-data": [ { "name": "ntp-servers", "data": "10.9.0.99" } ] } ] },
    { "id": 2, "subnet": "10.8.0.0/16", "pools": [ { "pool": "10.8.1.0-10.8.1.63" } ],
      "next-server": "10.8.0.69", "boot-file-name": "boot.bin",
      "option-data": [ { "name": "routers", "data": "10.8.0.1" } ] } ] } }"#;

/// What a client sends, as far as both servers are told the same.
#[derive(Clone, Debug)]
struct Question {
    kind: Kind,
    client: usize,
    relayed: bool,
    broadcast: bool,
    identified: bool,
    parameters: Option<Vec<u8>>,
    lifetime: Option<u32>,
    /// Option 50 of a DISCOVER: a number below a subnet's first pool address.
    wish: Option<u8>,
    agent: bool,
    rapid: bool,
    long: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Discover,
    /// REQUEST for what was offered.
    Select,
    /// REQUEST for another address of the pool than was offered.
    SelectAnother,
    /// REQUEST that names another server.
    SelectElsewhere,
    /// REQUEST with a server identifier and no address.
    SelectNothing,
    /// INIT-REBOOT for what is held, for another network's address, for another client's.
    Reboot,
    RebootElsewhere,
    Renew,
    Rebind,
    /// A renewal of an address that the client does not hold.
    RebindAnother,
    Release,
    ReleaseUnnamed,
    Decline,
    DeclineUnnamed,
    Inform,
    Bootp,
    OfferOfAServer,
}

const KINDS: [Kind; 17] = [
    Kind::Discover,
    Kind::Select,
    Kind::SelectAnother,
    Kind::SelectElsewhere,
    Kind::SelectNothing,
    Kind::Reboot,
    Kind::RebootElsewhere,
    Kind::Renew,
    Kind::Rebind,
    Kind::RebindAnother,
    Kind::Release,
    Kind::ReleaseUnnamed,
    Kind::Decline,
    Kind::DeclineUnnamed,
    Kind::Inform,
    Kind::Bootp,
    Kind::OfferOfAServer,
];

/// What is compared of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer {
    kind: u8,
    /// From which pool or reservation `yiaddr` is.
    from: String,
    destination: String,
    flags: u16,
    siaddr: Ipv4Addr,
    file: String,
    options: BTreeMap<u8, Vec<u8>>,
}

/// A server with its link, and what it told each client.
struct Side {
    name: &'static str,
    link: Link,
    wire: Wire,
    held: BTreeMap<(usize, bool, bool), Ipv4Addr>,
    offered: BTreeMap<(usize, bool, bool), Ipv4Addr>,
}

impl Side {
    fn new(name: &'static str, link: Link) -> Self {
        let wire = link
            .clients
            .within(|| Wire::open(CLIENT_INTERFACE).unwrap());
        Self {
            name,
            link,
            wire,
            held: BTreeMap::new(),
            offered: BTreeMap::new(),
        }
    }

    /// Sends a question in this server's terms; the answer, if there is one before the marker's.
    fn ask(&mut self, number: u32, question: &Question) -> Option<Packet> {
        let asked = self.write(number, question);
        self.send(&asked);
        let marker = Question {
            kind: Kind::Inform,
            client: MARKER,
            relayed: false,
            broadcast: false,
            identified: false,
            parameters: None,
            lifetime: None,
            wish: None,
            agent: false,
            rapid: false,
            long: false,
        };
        let marker = self.write(number | 1 << 31, &marker);
        self.send(&marker);
        let mut found = None;
        let mut ended = false;
        let deadline = Instant::now() + Duration::from_secs(10);
        while !ended {
            assert!(
                Instant::now() < deadline,
                "{} does not answer the marker after {question:?}",
                self.name
            );
            self.wire.wait(Duration::from_millis(50)).unwrap();
            self.wire
                .receive(&mut |octets| {
                    let Ok(packet) = Packet::parse(octets) else {
                        return;
                    };
                    if packet.source.port() != 67 || packet.payload.len() < 240 {
                        return;
                    }
                    let xid = word(&packet.payload, 4);
                    ended |= xid == number | 1 << 31;
                    if xid == number {
                        found = Some(packet);
                    }
                })
                .unwrap();
        }
        self.note(question, found.as_ref());
        found
    }

    fn send(&mut self, packet: &Packet) {
        let frame = packet.emit();
        let sent = self.wire.send(&mut |room| {
            room[..frame.len()].copy_from_slice(&frame);
            frame.len()
        });
        assert!(sent.unwrap());
    }

    fn key(question: &Question) -> (usize, bool, bool) {
        (question.client, question.relayed, question.identified)
    }

    fn note(&mut self, question: &Question, answer: Option<&Packet>) {
        let key = Self::key(question);
        match (answer.map(kind), question.kind) {
            (Some(2), _) => {
                let address = answer.map(|packet| address(&packet.payload, 16));
                self.offered.extend(address.map(|address| (key, address)));
            }
            (Some(5), kind) if kind != Kind::Inform => {
                let address = answer.map(|packet| address(&packet.payload, 16));
                self.held.extend(address.map(|address| (key, address)));
                self.offered.remove(&key);
            }
            (Some(6), _)
            | (None, Kind::Release | Kind::ReleaseUnnamed | Kind::Decline | Kind::DeclineUnnamed) =>
            {
                self.held.remove(&key);
                self.offered.remove(&key);
            }
            _ => {}
        }
    }

    fn write(&self, number: u32, question: &Question) -> Packet {
        let key = Self::key(question);
        let base = if question.relayed {
            Ipv4Addr::new(10, 8, 1, 0)
        } else {
            Ipv4Addr::new(10, 9, 1, 0)
        };
        let offered = self.offered.get(&key).copied().unwrap_or(base);
        let held = self.held.get(&key).copied();
        let another = Ipv4Addr::from_bits(base.to_bits() + 62);
        let mac = [
            2,
            0,
            0,
            0,
            (question.client >> 8) as u8,
            question.client as u8,
        ];
        let mut header = vec![0; 240];
        header[..4].copy_from_slice(&[1, 1, 6, u8::from(question.relayed)]);
        header[4..8].copy_from_slice(&number.to_be_bytes());
        header[10] = if question.broadcast { 0x80 } else { 0 };
        header[28..34].copy_from_slice(&mac);
        header[236..].copy_from_slice(&[99, 130, 83, 99]);
        if question.relayed {
            header[24..28].copy_from_slice(&RELAY.octets());
        }
        let (message, ciaddr, requested, server): (u8, _, Option<Ipv4Addr>, Option<Ipv4Addr>) =
            match question.kind {
                Kind::Discover => {
                    let wish = question.wish;
                    let wish = wish.map(|low| Ipv4Addr::from_bits(base.to_bits() + u32::from(low)));
                    (1, None, wish, None)
                }
                Kind::Select => (3, None, Some(offered), Some(SERVER)),
                Kind::SelectAnother => (3, None, Some(another), Some(SERVER)),
                Kind::SelectElsewhere => (3, None, Some(offered), Some(Ipv4Addr::new(10, 9, 0, 7))),
                Kind::SelectNothing => (3, None, None, Some(SERVER)),
                Kind::Reboot => (3, None, Some(held.unwrap_or(another)), None),
                Kind::RebootElsewhere => (3, None, Some(Ipv4Addr::new(192, 0, 2, 7)), None),
                Kind::Renew | Kind::Rebind => (3, Some(held.unwrap_or(another)), None, None),
                Kind::RebindAnother => (3, Some(another), None, None),
                Kind::Release => (7, Some(held.unwrap_or(another)), None, Some(SERVER)),
                Kind::ReleaseUnnamed => (7, Some(held.unwrap_or(another)), None, None),
                Kind::Decline => (4, None, Some(held.unwrap_or(another)), Some(SERVER)),
                Kind::DeclineUnnamed => (4, None, Some(held.unwrap_or(another)), None),
                Kind::Inform => {
                    let low = question.client as u8;
                    let address =
                        Ipv4Addr::from_bits((base.to_bits() & !0xffff) + 0x0300 + u32::from(low));
                    (8, Some(address), None, None)
                }
                Kind::Bootp => (0, None, None, None),
                Kind::OfferOfAServer => (2, None, None, None),
            };
        let mut options = Vec::new();
        let mut put = |code: u8, data: &[u8]| {
            options.extend([code, data.len() as u8]);
            options.extend(data);
        };
        if message != 0 {
            put(53, &[message]);
        }
        if question.identified {
            put(61, &[&[1][..], &mac].concat());
        }
        for (code, address) in [(50, requested), (54, server)] {
            if let Some(address) = address {
                put(code, &address.octets());
            }
        }
        if let Some(ciaddr) = ciaddr {
            header[12..16].copy_from_slice(&ciaddr.octets());
        }
        if let Some(parameters) = &question.parameters {
            put(55, parameters);
        }
        if let Some(lifetime) = question.lifetime {
            put(51, &lifetime.to_be_bytes());
        }
        if question.long {
            put(57, &1500u16.to_be_bytes());
        }
        if question.rapid {
            put(80, &[]);
        }
        if question.relayed && question.agent {
            put(82, &[1, 4, b'p', b'o', b'r', b't', 2, 2, 7, 7]);
        }
        options.push(255);
        let mut payload = [header, options].concat();
        payload.resize(payload.len().max(300), 0);
        let unicast = matches!(question.kind, Kind::Renew | Kind::Release | Kind::Inform);
        let (source, destination) = match (question.relayed, ciaddr) {
            (true, _) => ((RELAY, 67), SERVER),
            (false, Some(ciaddr)) if unicast => ((ciaddr, 68), SERVER),
            (false, Some(ciaddr)) => ((ciaddr, 68), Ipv4Addr::BROADCAST),
            (false, None) => ((Ipv4Addr::UNSPECIFIED, 68), Ipv4Addr::BROADCAST),
        };
        Packet {
            source_mac: if question.relayed {
                [2, 0, 0, 0, 0xff, 1]
            } else {
                mac
            },
            destination_mac: if destination == Ipv4Addr::BROADCAST {
                [0xff; 6]
            } else {
                [2, 0, 0, 0, 0, 0xfe]
            },
            tags: Vec::new(),
            source: source.into(),
            destination: (destination, 67).into(),
            payload,
        }
    }
}

fn word(octets: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(octets[at..at + 4].try_into().unwrap())
}

fn address(octets: &[u8], at: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(word(octets, at))
}

fn options(payload: &[u8]) -> BTreeMap<u8, Vec<u8>> {
    let mut found: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    let mut rest = &payload[240..];
    while let [code, after @ ..] = rest {
        match (code, after) {
            (0, _) => rest = after,
            (255, _) | (_, []) => break,
            (_, [length, behind @ ..]) => {
                let (data, behind) = behind.split_at(usize::from(*length));
                found.entry(*code).or_default().extend(data);
                rest = behind;
            }
        }
    }
    found
}

fn kind(packet: &Packet) -> u8 {
    let options = options(&packet.payload);
    options
        .get(&53)
        .and_then(|data| data.first())
        .copied()
        .unwrap_or(0)
}

fn judged(packet: &Packet) -> Answer {
    let yiaddr = address(&packet.payload, 16);
    let ip = match packet.destination.ip() {
        std::net::IpAddr::V4(ip) => ip,
        std::net::IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    };
    let ciaddr = address(&packet.payload, 12);
    let destination = match ip {
        Ipv4Addr::BROADCAST => "everybody",
        RELAY => "giaddr",
        ip if ip == yiaddr => "yiaddr",
        ip if ip == ciaddr => "ciaddr",
        _ => "elsewhere",
    };
    let from = match yiaddr.octets() {
        [0, 0, 0, 0] => "none".to_owned(),
        [10, subnet @ (8 | 9), 1, low @ 0..=63] if low != 60 => format!("pool of 10.{subnet}"),
        _ => yiaddr.to_string(),
    };
    let text = |range: std::ops::Range<usize>| {
        let octets = packet.payload[range]
            .iter()
            .take_while(|octet| **octet != 0);
        octets.map(|octet| char::from(*octet)).collect()
    };
    Answer {
        kind: kind(packet),
        from,
        destination: format!("{destination}:{}", packet.destination.port()),
        flags: word(&packet.payload, 8) as u16,
        siaddr: address(&packet.payload, 20),
        file: text(108..236),
        options: options(&packet.payload),
    }
}

/// A difference that is ours on purpose: the words in bold of its paragraph in docs/kea-differences.md. What it explains
/// is made equal in both answers, so that nothing else hides behind it.
fn explain(
    question: &Question,
    kea: &mut Option<Answer>,
    ours: &mut Option<Answer>,
) -> Vec<&'static str> {
    let mut reasons = Vec::new();
    let _ = (question, &kea, &ours);
    if let (Some(kea), Some(ours)) = (kea.as_mut(), ours.as_mut())
        && (kea.kind, ours.kind) == (6, 6)
        && ours.options.remove(&56).is_some()
    {
        reasons.push("A NAK says why");
    }
    reasons
}

/// A server process, one of two.
enum Program {
    Kea(Process),
    Ours(Server),
}

fn kea(folder: &Path, namespace: &Namespace) -> Process {
    std::fs::create_dir_all(folder).unwrap();
    let file = folder.join("kea.json");
    std::fs::write(&file, KEA).unwrap();
    let mut command = namespace.command("env");
    for variable in ["KEA_PIDFILE_DIR", "KEA_LOCKFILE_DIR"] {
        command.arg(format!("{variable}={}", folder.display()));
    }
    command.args(["kea-dhcp4", "-c"]).arg(&file);
    Process::start(&mut command, folder, "kea")
}

fn link() -> Link {
    let link = Link::new(1);
    link.server.sh(&format!(
        "ip link set {SERVER_INTERFACE} address {SERVER_MAC}"
    ));
    link
}

/// Marsaglia's xorshift: the same questions in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn question(&mut self) -> Question {
        // Half of everything is the ordinary way to a lease, or there would be none to ask about.
        let kind = match self.below(4) {
            0 => Kind::Discover,
            1 => Kind::Select,
            _ => KINDS[self.below(KINDS.len())],
        };
        let lists: [&[u8]; 5] = [
            &[1, 3, 6, 15],
            &[1],
            &[42, 3, 1, 51, 58, 59],
            &[66, 67, 43],
            &[6, 6, 12],
        ];
        Question {
            kind,
            client: 1 + self.below(CLIENTS),
            relayed: self.one_in(3),
            broadcast: self.one_in(4),
            identified: self.one_in(4),
            parameters: (!self.one_in(5)).then(|| lists[self.below(lists.len())].to_vec()),
            lifetime: self
                .one_in(5)
                .then(|| [0, 60, 900, 7200, 100_000, u32::MAX][self.below(6)]),
            wish: self.one_in(3).then(|| self.below(64) as u8),
            agent: self.one_in(2),
            rapid: self.one_in(8),
            long: self.one_in(2),
        }
    }
}

#[test]
fn answers_are_kea_s_or_explained() {
    let (kea_link, our_link) = (link(), link());
    let mut programs = vec![Program::Kea(kea(&kea_link.file("kea"), &kea_link.server))];
    let mut server = Server::configured(&our_link.file("server"), OURS);
    server.start(&our_link.server);
    programs.push(Program::Ours(server));
    let mut kea_side = Side::new("Kea", kea_link);
    let mut our_side = Side::new("xdhcpd", our_link);
    // Kea is there when it answers.
    eventually(Duration::from_secs(20), "Kea", || {
        let probe = Random(77).question();
        let probe = Question {
            kind: Kind::Inform,
            client: MARKER,
            relayed: false,
            ..probe
        };
        let packet = kea_side.write(1, &probe);
        kea_side.send(&packet);
        kea_side.wire.wait(Duration::from_millis(200)).unwrap();
        let mut seen = 0;
        kea_side
            .wire
            .receive(&mut |octets| {
                seen += usize::from(
                    Packet::parse(octets).is_ok_and(|packet| packet.source.port() == 67),
                );
            })
            .unwrap();
        (seen > 0).then_some(())
    });
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/kea-differences.md");
    let document = std::fs::read_to_string(document).unwrap();
    let mut random = Random(0x6b65_6121);
    let mut explained: BTreeMap<&str, usize> = BTreeMap::new();
    let mut unexplained: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let (mut answers, mut silences) = (0, 0);
    for number in 100..100 + EXCHANGES as u32 {
        let question = random.question();
        let mut theirs = kea_side
            .ask(number, &question)
            .map(|packet| judged(&packet));
        let mut ours = our_side
            .ask(number, &question)
            .map(|packet| judged(&packet));
        match &ours {
            Some(_) => answers += 1,
            None => silences += 1,
        }
        let before = format!("{number}: {question:?}\n  Kea    {theirs:?}\n  xdhcpd {ours:?}");
        for reason in explain(&question, &mut theirs, &mut ours) {
            *explained.entry(reason).or_default() += 1;
        }
        if theirs != ours {
            let class = difference(&question, theirs.as_ref(), ours.as_ref());
            let entry = unexplained.entry(class).or_insert((0, before));
            entry.0 += 1;
        }
    }
    println!("{answers} answers, {silences} silences; explained: {explained:#?}");
    for reason in explained.keys() {
        assert!(
            document.contains(&format!("**{reason}")),
            "docs/kea-differences.md lacks \"{reason}\""
        );
    }
    let list: Vec<String> = unexplained
        .iter()
        .map(|(class, (count, first))| format!("{count} times {class}; first\n  {first}"))
        .collect();
    assert!(list.is_empty(), "not explained:\n{}", list.join("\n"));
    assert!(answers > EXCHANGES / 2 && silences > EXCHANGES / 20);
    drop(programs);
}

/// In which way two answers differ, in few words.
fn difference(question: &Question, kea: Option<&Answer>, ours: Option<&Answer>) -> String {
    let name = |answer: Option<&Answer>| match answer.map(|answer| answer.kind) {
        None => "silence",
        Some(2) => "OFFER",
        Some(5) => "ACK",
        Some(6) => "NAK",
        Some(_) => "something else",
    };
    let mut words = vec![format!(
        "{:?}: {} / {}",
        question.kind,
        name(kea),
        name(ours)
    )];
    if let (Some(kea), Some(ours)) = (kea, ours)
        && kea.kind == ours.kind
    {
        let fields = [
            ("from", kea.from == ours.from),
            ("destination", kea.destination == ours.destination),
            ("flags", kea.flags == ours.flags),
            ("siaddr", kea.siaddr == ours.siaddr),
            ("file", kea.file == ours.file),
        ];
        words.extend(
            fields
                .iter()
                .filter(|(_, same)| !same)
                .map(|(name, _)| (*name).to_owned()),
        );
        for code in 0..=255u8 {
            if kea.options.get(&code) != ours.options.get(&code) {
                words.push(format!("option {code}"));
            }
        }
    }
    words.join(", ")
}
