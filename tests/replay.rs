//! Real clients' packets, as captured in front of Kea 2.2.0: what Kea answered we answer with the same type of
//! message.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that fails panics"
)]

use dhcp_tests::engine::Engine;
use dhcp_tests::lab::capture::{innermost, message};
use dhcp_tests::pcap::{Captured, committed};
use dhcp_tests::transcript::scene::{Config, Protocol};
use std::time::Duration;

/// Kea's interface in the captures.
const SERVER_MAC: [u8; 6] = [2, 0, 0, 0x77, 0, 1];

/// Kea's configuration, as its answers show it.
const V4: &[&str] = &[
    "interface name srv0 mac 02:00:00:77:00:01 address 10.77.0.1",
    "subnet 10.77.0.0/24 lifetime 1200 POOL",
    "subnet 10.77.1.0/24 lifetime 1200 pool 10.77.1.100-10.77.1.199",
    "subnet 10.77.3.0/24 lifetime 1200 pool 10.77.3.100-10.77.3.199",
];
const V6: &[&str] = &[
    "interface name srv0 mac 02:00:00:77:00:01 address fd77::1 link-local fe80::ff:fe77:1",
    "server duid 00:02:00:00:7e:d9:00:77:aa:01",
    "subnet fd77::/64 lifetime 1800 preferred 1200 POOL pd-pool fd77:100::/40 delegated 56",
    "subnet fd77:0:0:1::/64 lifetime 1800 preferred 1200 pool fd77:0:0:1::100-fd77:0:0:1::199",
    "subnet fd77:0:0:3::/64 lifetime 1800 preferred 1200 pool fd77:0:0:3::100-fd77:0:0:3::199
     pd-pool fd77:400::/40 delegated 56",
];

/// Captures for which Kea had another pool than the usual hundred addresses, in DHCPv4 and DHCPv6.
const POOLS: &[(&str, &str)] = &[
    ("v4-decline-dhcpcd", "pool 10.77.0.100-10.77.0.101"),
    // Kea gives the lowest free address, we the next one; in a pool of one these are the same.
    ("v4-release-udhcpc", "pool 10.77.0.100"),
    ("v6-release-dibbler", "pool fd77::100"),
    ("v6-decline-dhclient", "pool fd77::100-fd77::101"),
    (
        "v6-rapid-commit-networkd",
        "pool fd77::100-fd77::199 rapid-commit",
    ),
];

/// Answers of Kea that ours need not be like: capture, number of the answer, why.
const EXCEPTIONS: &[(&str, usize, &str)] = &[
    (
        "v4-pool-change-networkd",
        3,
        "Kea's pool was moved in between, ours was not",
    ),
    (
        "v4-pool-change-networkd",
        4,
        "Kea's pool was moved in between, ours was not",
    ),
];

#[test]
fn real_clients_are_answered_as_kea_answered_them() {
    let captures = committed();
    assert!(captures.len() > 40, "{} captures", captures.len());
    let mut complaints = Vec::new();
    let mut compared = 0;
    for (name, frames) in &captures {
        let replayed = replay(name, frames);
        let last = replayed.len();
        for (number, question, kea, ours) in replayed {
            // scapy damaged all DISCOVERs but the last; we need not guess like Kea what they meant.
            let excepted = EXCEPTIONS
                .iter()
                .any(|(file, at, _)| file == name && *at == number)
                || (name == "scapy4-junk" && number != last);
            compared += usize::from(!excepted);
            if kea != ours && !excepted {
                complaints.push(format!(
                    "{name}: answer {number}, to {question}: {ours}, Kea: {kea}"
                ));
            }
        }
    }
    assert!(
        complaints.is_empty(),
        "{} of {compared}:\n{}",
        complaints.len(),
        complaints.join("\n")
    );
    assert!(compared >= 100, "only {compared} answers were compared");
}

/// For every answer of Kea: its number, the question, Kea's answer, ours.
fn replay(name: &str, frames: &[Captured]) -> Vec<(usize, &'static str, &'static str, String)> {
    let mut engines = [
        engine(Protocol::V4, V4, name),
        engine(Protocol::V6, V6, name),
    ];
    let mut waiting: Vec<(Duration, Vec<u8>, &'static str, String)> = Vec::new();
    let mut compared = Vec::new();
    let mut clock = frames.first().map(|frame| frame.time).unwrap_or_default();
    for frame in frames {
        let Some(kind) = message(frame) else { continue };
        let transaction = transaction(frame);
        if frame.source_mac() == SERVER_MAC {
            // Answers come in the order of the questions of one transaction, and at once: what was asked
            // a second ago and is asked again was not answered.
            waiting.retain(|(asked, ..)| frame.time - *asked < Duration::from_secs(1));
            let place = waiting
                .iter()
                .position(|(_, known, ..)| *known == transaction);
            let place = place.expect("a capture holds the questions too");
            let (_, _, question, ours) = waiting.remove(place);
            compared.push((compared.len() + 1, question, kind, ours));
            continue;
        }
        let [v4, v6] = &mut engines;
        let engine = if frame.destination_port() == Some(67) {
            v4
        } else {
            v6
        };
        let passed = frame.time.saturating_sub(clock);
        if passed.as_secs() > 0 {
            clock = frame.time;
            engine.wait(passed.as_secs());
        }
        let ours = match engine.exchange(&frame.octets) {
            Ok(octets) => {
                let answer = Captured {
                    time: frame.time,
                    octets,
                };
                message(&answer).unwrap_or("no DHCP at all").to_owned()
            }
            Err(reason) => format!("nothing ({})", reason.name()),
        };
        waiting.push((frame.time, transaction, kind, ours));
    }
    compared
}

fn engine(protocol: Protocol, lines: &[&str], name: &str) -> Engine {
    let usual = match protocol {
        Protocol::V4 => "pool 10.77.0.100-10.77.0.199",
        Protocol::V6 => "pool fd77::100-fd77::199",
    };
    let family = |pool: &str| pool.contains("fd77") == (protocol == Protocol::V6);
    let special = POOLS
        .iter()
        .find(|(file, pool)| *file == name && family(pool));
    let pool = special.map_or(usual, |(_, pool)| pool);
    let mut config = Config::new(protocol);
    for line in lines {
        config
            .line(&line.replace("POOL", pool))
            .unwrap_or_else(|complaint| panic!("{line}: {complaint}"));
    }
    let built = config.build();
    Engine::new(built.policy, built.scene.interface, built.partitions)
}

/// The octets by which an answer belongs to its question.
fn transaction(frame: &Captured) -> Vec<u8> {
    let payload = frame
        .udp_payload()
        .and_then(|range| frame.octets.get(range))
        .unwrap_or_default();
    let octets = match frame.destination_port() {
        Some(67 | 68) => payload.get(4..8),
        _ => innermost(payload).and_then(|message| message.get(1..4)),
    };
    octets.unwrap_or_default().to_vec()
}
