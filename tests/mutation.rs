//! Can damaged packets hurt us? Real clients' packets, damaged at random 200,000 times, go through the engine:
//! nothing panics, every answer is a sound frame, and no octet of an earlier frame is in it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

use dhcp_tests::engine::{Buffer, Engine};
use dhcp_tests::packet::{Packet, checksum};
use dhcp_tests::pcap::{Captured, committed};
use dhcp_tests::transcript::scene::{Config, Protocol};
use dhcp_wire::frame::FRAME_SIZE_MAX;

const PACKETS: u32 = 200_000;

/// The server and the networks of the captures, with room.
const V4: &[&str] = &[
    "interface name srv0 mac 02:00:00:77:00:01 address 10.77.0.1",
    "subnet 10.77.0.0/24 pool 10.77.0.100-10.77.0.250 rapid-commit dns-servers 10.77.0.53
     domain-name example.net boot-file-name x routers 10.77.0.1 classless-routes 10:0a:4d:0a:4d:00:01",
    "subnet 10.77.1.0/24 pool 10.77.1.100-10.77.1.250",
    "subnet 10.77.3.0/24 pool 10.77.3.100-10.77.3.250",
];
const V6: &[&str] = &[
    "interface name srv0 mac 02:00:00:77:00:01 address fd77::1 link-local fe80::ff:fe77:1",
    "server duid 00:02:00:00:7e:d9:00:77:aa:01",
    "subnet fd77::/64 rapid-commit pool fd77::100-fd77::ffff pd-pool fd77:100::/40 delegated 56
     dns-servers fd77::53 domain-search example.net",
    "subnet fd77:0:0:1::/64 pool fd77:0:0:1::100-fd77:0:0:1::ffff",
    "subnet fd77:0:0:3::/64 pool fd77:0:0:3::100-fd77:0:0:3::ffff pd-pool fd77:400::/40 delegated 56",
];

#[test]
fn damaged_packets_hurt_nobody() {
    let corpus: Vec<Captured> = committed()
        .into_iter()
        .flat_map(|(_, frames)| frames)
        .filter(|frame| matches!(frame.destination_port(), Some(67 | 547)))
        .collect();
    assert!(corpus.len() > 100, "{} frames", corpus.len());
    // Two engines live the same life. The buffer of the second one is overwritten between question and
    // answer: if their answers differ, one of them has octets that nobody wrote.
    let mut plain = [engine(Protocol::V4, V4), engine(Protocol::V4, V4)];
    let mut other = [engine(Protocol::V6, V6), engine(Protocol::V6, V6)];
    let mut random = Random(0x5eed);
    let mut answers = 0u32;
    let mut previous: Buffer = [0; FRAME_SIZE_MAX];
    for number in 0..PACKETS {
        let frame = &corpus[random.below(corpus.len())];
        let octets = damage(frame, &mut random);
        let engines = if frame.destination_port() == Some(67) {
            &mut plain
        } else {
            &mut other
        };
        let [first, second] = engines;
        if random.below(1000) == 0 {
            first.wait(60);
            second.wait(60);
        }
        let mut one = previous;
        one[..octets.len()].copy_from_slice(&octets);
        let mut two: Buffer = [0xc3; FRAME_SIZE_MAX];
        two[..octets.len()].copy_from_slice(&octets);
        let answered = first.serve(&mut one, octets.len());
        let again = second.serve_wiped(&mut two, octets.len(), |buffer| buffer.fill(0x3c));
        assert_eq!(answered, again, "packet {number}: {octets:02x?}");
        if let Ok(length) = answered {
            answers += 1;
            assert_eq!(
                one[..length],
                two[..length],
                "packet {number} is answered with octets of an earlier frame: {octets:02x?}"
            );
            Packet::parse(&one[..length])
                .unwrap_or_else(|wrong| panic!("packet {number}: {wrong}: {octets:02x?}"));
        }
        previous = one;
    }
    assert!(
        answers > PACKETS / 20,
        "only {answers} were answered: the damage is too great to test much"
    );
}

/// A frame with up to eight injuries. Most of the time its checksums are mended, for otherwise hardly
/// anything would get past them.
fn damage(frame: &Captured, random: &mut Random) -> Vec<u8> {
    let payload = frame.udp_payload().expect("the corpus is UDP");
    let mut octets = frame.octets.clone();
    let whole_frame = random.below(8) == 0;
    for _ in 0..random.below(9) {
        let start = if whole_frame { 0 } else { payload.start };
        let at = start + random.below((payload.end - start).max(1));
        match random.below(6) {
            0 => octets[at] ^= 1 << random.below(8),
            1 => octets[at] = random.below(256) as u8,
            2 => octets[at] = [0, 1, 0x7f, 0x80, 0xfe, 0xff][random.below(6)],
            // A length or code moved to a neighbour.
            3 => octets[at] = octets[start.max(at.saturating_sub(1))],
            4 => octets[at] = octets[at].wrapping_add(1),
            // Another client, so that tables fill up.
            _ => {
                if let Some(octet) = octets.get_mut(payload.start + 28 + random.below(6)) {
                    *octet = random.below(256) as u8;
                }
            }
        }
    }
    if random.below(16) == 0 {
        octets.truncate(random.below(octets.len()));
    }
    octets.truncate(FRAME_SIZE_MAX);
    if random.below(16) != 0 {
        mend(&mut octets, payload.start - 8);
    }
    octets
}

/// Writes correct lengths and checksums, if the headers are still there.
fn mend(octets: &mut [u8], udp: usize) {
    let length = octets.len().checked_sub(udp).filter(|length| *length >= 8);
    let Some(length) = length else { return };
    octets[udp + 4..udp + 6].copy_from_slice(&(length as u16).to_be_bytes());
    octets[udp + 6..udp + 8].copy_from_slice(&[0, 0]);
    let pseudo = if udp < 54 {
        let total = (octets.len() - 14) as u16;
        octets[16..18].copy_from_slice(&total.to_be_bytes());
        octets[24..26].copy_from_slice(&[0, 0]);
        let sum = checksum(&[&octets[14..udp]]);
        octets[24..26].copy_from_slice(&sum.to_be_bytes());
        octets[26..34].to_vec()
    } else {
        octets[18..20].copy_from_slice(&(length as u16).to_be_bytes());
        octets[22..54].to_vec()
    };
    let ends = [&[0, 17][..], &(length as u16).to_be_bytes()].concat();
    let sum = match checksum(&[&pseudo, &ends, &octets[udp..]]) {
        0 => 0xffff,
        sum => sum,
    };
    octets[udp + 6..udp + 8].copy_from_slice(&sum.to_be_bytes());
}

fn engine(protocol: Protocol, lines: &[&str]) -> Engine {
    let mut config = Config::new(protocol);
    for line in lines {
        config
            .line(line)
            .unwrap_or_else(|complaint| panic!("{line}: {complaint}"));
    }
    let built = config.build();
    Engine::new(built.policy, built.scene.interface, built.partitions)
}

/// Marsaglia's xorshift: enough disorder, the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}
