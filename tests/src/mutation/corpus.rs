//! Packets that are worth damaging, and the servers that they were meant for.

use crate::pcap;
use crate::sim::random::Random;
use crate::transcript::scene::Protocol;
use crate::transcript::{Scenario, files};
use std::ops::Range;
use std::path::Path;

/// One visit of so many goes to the network of the captures.
const CAPTURES_SHARE: u64 = 16;
/// In so many of a thousand cases a packet belongs to another world.
const STRANGERS: u64 = 250;

/// The server and the networks of the captures, with room.
const CAPTURES_V4: &[&str] = &[
    "interface name srv0 mac 02:00:00:77:00:01 address 10.77.0.1",
    "server forcerenew yes",
    "subnet 10.77.0.0/24 pool 10.77.0.100-10.77.0.250 rapid-commit dns-servers 10.77.0.53
     domain-name example.net boot-file-name x routers 10.77.0.1 classless-routes 10:0a:4d:0a:4d:00:01",
    "subnet 10.77.1.0/24 pool 10.77.1.100-10.77.1.250",
    "subnet 10.77.3.0/24 pool 10.77.3.100-10.77.3.250",
    "leasequery requestor 10.0.0.0/8",
];
const CAPTURES_V6: &[&str] = &[
    "interface name srv0 mac 02:00:00:77:00:01 address fd77::1 link-local fe80::ff:fe77:1",
    "server duid 00:02:00:00:7e:d9:00:77:aa:01",
    "subnet fd77::/64 rapid-commit pool fd77::100-fd77::ffff pd-pool fd77:100::/40 delegated 56
     dns-servers fd77::53 domain-search example.net",
    "subnet fd77:0:0:1::/64 pool fd77:0:0:1::100-fd77:0:0:1::ffff",
    "subnet fd77:0:0:3::/64 pool fd77:0:0:3::100-fd77:0:0:3::ffff pd-pool fd77:400::/40 delegated 56",
];

/// All worlds: those of the captures first, one of each family.
pub(super) struct Corpus {
    pub(super) worlds: Vec<Home>,
}

/// A server, and the packets that were written for it.
pub(super) struct Home {
    pub(super) scenario: Scenario,
    pub(super) samples: Vec<Sample>,
}

/// A packet, and where its parts begin.
pub(super) struct Sample {
    pub(super) octets: Vec<u8>,
    /// Where the IP header begins, after Ethernet and tags.
    pub(super) ip: usize,
    pub(super) payload: Range<usize>,
}

impl Corpus {
    /// Reads the committed captures and transcripts.
    pub(super) fn read() -> Self {
        let captured: Vec<Sample> = pcap::committed()
            .into_iter()
            .flat_map(|(_, frames)| frames)
            .filter(|frame| matches!(frame.destination_port(), Some(67 | 547)))
            .filter_map(|frame| Sample::new(frame.octets))
            .collect();
        let (v4, v6) = captured.into_iter().partition(Sample::is_v4);
        let captures = |protocol, lines: &[&str], samples: Vec<Sample>| Home {
            scenario: Scenario::new(
                "the captures",
                protocol,
                lines.iter().map(|line| (*line).to_owned()).collect(),
            ),
            samples,
        };
        let mut worlds = vec![
            captures(Protocol::V4, CAPTURES_V4, v4),
            captures(Protocol::V6, CAPTURES_V6, v6),
        ];
        let room = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
        for (folder, protocol) in [("v4", Protocol::V4), ("v6", Protocol::V6)] {
            let files = files(&room.join(folder));
            let homes = files
                .iter()
                .map(|file| Home::new(Scenario::read(file, protocol)));
            worlds.extend(homes.filter(|home| !home.samples.is_empty()));
        }
        Self { worlds }
    }

    /// Where a visit goes to: now and then to the captures, otherwise to one transcript after the other.
    pub(super) fn place(&self, number: u64) -> usize {
        let (round, step) = (number / CAPTURES_SHARE, number % CAPTURES_SHARE);
        let transcripts = self.worlds.len() as u64 - 2;
        match step {
            0 => (round % 2) as usize,
            _ => 2 + ((round * (CAPTURES_SHARE - 1) + step - 1) % transcripts) as usize,
        }
    }

    /// A packet for this world.
    pub(super) fn sample<'a>(&'a self, home: &'a Home, random: &mut Random) -> &'a Sample {
        if !random.chance(STRANGERS) {
            return random.pick(&home.samples);
        }
        let stranger = random.pick(&self.worlds);
        if stranger.scenario.protocol == home.scenario.protocol {
            random.pick(&stranger.samples)
        } else {
            random.pick(&home.samples)
        }
    }
}

impl Home {
    fn new(mut scenario: Scenario) -> Self {
        let frames = std::mem::take(&mut scenario.frames);
        Self {
            scenario,
            samples: frames.into_iter().filter_map(Sample::new).collect(),
        }
    }
}

impl Sample {
    /// A UDP datagram with a payload.
    fn new(octets: Vec<u8>) -> Option<Self> {
        let field = |at: usize| {
            let field = octets.get(at..at + 2)?;
            Some(u16::from_be_bytes(field.try_into().ok()?))
        };
        let mut ethertype = 12;
        while let 0x8100 | 0x88a8 = field(ethertype)? {
            ethertype += 4;
        }
        let ip = ethertype + 2;
        let udp = match field(ethertype)? {
            0x0800 if *octets.get(ip + 9)? == 17 => ip + usize::from(octets.get(ip)? & 15) * 4,
            0x86dd if *octets.get(ip + 6)? == 17 => ip + 40,
            _ => return None,
        };
        let payload = udp + 8..udp + usize::from(field(udp + 4)?);
        (payload.end <= octets.len() && !payload.is_empty()).then_some(Self {
            octets,
            ip,
            payload,
        })
    }

    pub(super) fn is_v4(&self) -> bool {
        self.octets[self.ip] >> 4 == 4
    }

    pub(super) fn udp(&self) -> usize {
        self.payload.start - 8
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.octets[self.payload.clone()]
    }
}
