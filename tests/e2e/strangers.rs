//! What strangers write about themselves reaches no terminal and ends no line: hostile names, identifiers and circuits
//! (S-19 of the list of hostile input) go over the wire, and everything that prints a client is looked at. And frames
//! that lie (S-20) or speak the other protocol (S-21) get no answer, are counted, and leave the server serving.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails panics"
)]

use dhcp_bench::link::{Link as _, Packet as Wire};
use dhcp_tests::lab::process::{PATIENCE, eventually, try_run};
use dhcp_tests::lab::server::{Server, binary};
use dhcp_tests::lab::{CLIENT_INTERFACE, Link};
use dhcp_tests::packet::{Packet, checksum};
use serde_json::Value;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

const CONFIG: &str = r#"
interfaces = ["srv0"]
durability = "process"

[[subnet4]]
subnet = "10.9.0.0/16"
pools = ["10.9.1.0-10.9.1.255"]
valid-lifetime = 600

[[subnet4]]
subnet = "10.8.0.0/16"
pools = ["10.8.1.0-10.8.1.255"]
valid-lifetime = 600
"#;

const RELAY: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 1);

/// What is done to terminals, log files, CSV, spreadsheets, JSON, HTML, shells and format strings.
fn evil() -> Vec<Vec<u8>> {
    let mut texts: Vec<Vec<u8>> = [
        "\x1b[2J\x1b]0;owned\x07",
        "line\r\nleases: all is well",
        "a\0b",
        "%s%n%x%1000000d",
        "=cmd|' /C calc'!A0",
        "\",\"state\":\"leased\",\"x\":\"",
        "a,b;c\td",
        "<script>alert(1)</script>",
        "$(reboot) `reboot` ; reboot",
        "\u{202e}drow\u{2066}",
        "'\"\\",
        "&#x1b",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    // 80 octets: three of them are one option 82.
    texts.push((0x80..=0xcf).collect());
    texts.push((0xb0..=0xff).collect());
    texts.push((0..=0x1f).chain([0x7f]).collect());
    texts.push(vec![0xc3]);
    texts.push(vec![0x9b, b'2', b'J']);
    texts
}

/// A client whose names, identifier, classes and (behind a relay agent) circuit are this text.
fn message(number: u8, kind: u8, text: &[u8], relayed: bool, address: Option<Ipv4Addr>) -> Packet {
    let mac = [2, 0, 0, 7, u8::from(relayed), number];
    let mut payload = vec![0; 240];
    payload[..3].copy_from_slice(&[1, 1, 6]);
    payload[4..8].copy_from_slice(&[7, kind, u8::from(relayed), number]);
    payload[28..34].copy_from_slice(&mac);
    payload[236..].copy_from_slice(&[99, 130, 83, 99]);
    let mut put = |code: u8, data: &[u8]| {
        payload.extend([code, data.len() as u8]);
        payload.extend(data);
    };
    put(53, &[kind]);
    if let Some(address) = address {
        put(50, &address.octets());
        put(54, &[10, 9, 0, 1]);
    }
    for code in [12, 15, 17, 56, 60, 66, 67, 77] {
        put(code, text);
    }
    put(81, &[&[0, 0, 0], text].concat());
    put(61, &[text, &[number]].concat());
    if relayed {
        let sub = |code: u8| [&[code, text.len() as u8][..], text].concat();
        put(82, &[sub(1), sub(2), sub(6)].concat());
        payload[24..28].copy_from_slice(&RELAY.octets());
    }
    payload.push(255);
    payload.resize(payload.len().max(300), 0);
    let (source, destination) = match relayed {
        true => ((RELAY, 67), Ipv4Addr::new(10, 9, 0, 1)),
        false => ((Ipv4Addr::UNSPECIFIED, 68), Ipv4Addr::BROADCAST),
    };
    Packet {
        source_mac: mac,
        destination_mac: [0xff; 6],
        tags: Vec::new(),
        source: source.into(),
        destination: (destination, 67).into(),
        payload,
    }
}

fn open(link: &Link) -> Wire {
    link.clients
        .within(|| Wire::open(CLIENT_INTERFACE).unwrap())
}

fn send(wire: &mut Wire, frame: &[u8]) {
    let sent = wire.send(&mut |room| {
        room[..frame.len()].copy_from_slice(frame);
        frame.len()
    });
    assert!(sent.unwrap());
}

/// The transaction and the address of each answer that has come.
fn answers(wire: &mut Wire) -> Vec<([u8; 4], Ipv4Addr)> {
    let mut found = Vec::new();
    let received = wire.receive(&mut |octets| {
        if let Ok(packet) = Packet::parse(octets)
            && [67, 547].contains(&packet.source.port())
        {
            let field = |at: usize| -> [u8; 4] { packet.payload[at..at + 4].try_into().unwrap() };
            found.push((field(4), Ipv4Addr::from(field(16))));
        }
    });
    received.unwrap();
    found
}

/// The address in the answer to this message, which is sent now.
fn ask(wire: &mut Wire, message: &Packet) -> Ipv4Addr {
    send(wire, &message.emit());
    let xid = message.payload[4..8].to_vec();
    eventually(PATIENCE, "an answer", || {
        wire.wait(Duration::from_millis(50)).unwrap();
        let found = answers(wire).into_iter().find(|(its, _)| *its == *xid);
        found.map(|(_, address)| address)
    })
}

/// Whether a text has nothing in it that is not printed: what is not ASCII must have been escaped.
fn assert_printable(what: &str, text: &str) {
    let foreign = text
        .bytes()
        .find(|octet| !matches!(octet, b' '..=b'~' | b'\n'));
    assert_eq!(foreign, None, "{what} prints an octet as it came:\n{text}");
}

#[test]
fn what_strangers_write_is_printed_escaped() {
    let link = Link::new(1);
    let mut server = Server::configured(&link.file("server"), CONFIG);
    // Everything that is ever logged of a client, one JSON object in each line.
    server.run_with(&["--log-format", "json", "--log", "trace"]);
    server.start(&link.server);
    let mut wire = open(&link);
    let mut held = Vec::new();
    for (number, text) in evil().iter().enumerate() {
        for relayed in [false, true] {
            let number = number as u8;
            let offered = ask(&mut wire, &message(number, 1, text, relayed, None));
            let request = message(number, 3, text, relayed, Some(offered));
            assert_eq!(ask(&mut wire, &request), offered);
            held.push(offered.to_string());
        }
    }
    let config = server.config();
    let run = |words: &[&str]| {
        let mut command = Command::new(binary("XDHCPD_BIN", "xdhcpd"));
        command.args(words).arg("--config").arg(&config);
        let (done, text) = try_run(&mut command);
        assert!(done, "{words:?}: {text}");
        assert_printable(&words.join(" "), &text);
        text
    };
    for (verb, format) in [
        ("list", "table"),
        ("list", "csv"),
        ("list", "kea-csv"),
        ("export", "csv"),
        ("export", "kea-csv"),
    ] {
        let text = run(&["leases", verb, "--format", format, "--family", "v4"]);
        // One lease, one line: no text of a stranger begins a line of its own.
        let is_of_lease = |line: &&str| line.contains("10.9.1.") || line.contains("10.8.1.");
        assert_eq!(
            text.lines().filter(is_of_lease).count(),
            held.len(),
            "{text}"
        );
        assert!(text.lines().count() <= held.len() + 3, "{text}");
    }
    for verb in ["list", "export"] {
        let text = run(&["leases", verb, "--format", "json"]);
        let value: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value.as_array().map(Vec::len), Some(held.len()), "{text}");
    }
    for address in &held {
        for format in ["table", "json"] {
            run(&["leases", "get", address, "--format", format]);
            run(&["leases", "history", address, "--format", format]);
        }
    }
    for words in [&["leases"][..], &["status"], &["stats"], &["pools"]] {
        let (done, text) = server.try_ctl(words);
        assert!(done, "{words:?}: {text}");
        assert_printable(&format!("ctl {words:?}"), &text);
        server.ctl(words);
    }
    let log = server.process().log();
    assert_printable("the log", &log);
    for line in log.lines().filter(|line| !line.trim().is_empty()) {
        let event: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(event["level"].is_string(), "{line}");
    }
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Answered,
    /// It is not for the server: the kernel's stack has it.
    Passed,
    /// Dropped, and counted under this name.
    Counted(&'static str),
}
use Fate::{Answered, Counted, Passed};

const IP: usize = 14;
const UDP: usize = IP + 20;

/// A frame whose IPv4 header was changed and has a right checksum again.
fn with_header(frame: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut frame = frame.to_vec();
    change(&mut frame);
    let end = IP + usize::from(frame[IP] & 0xf) * 4;
    frame[IP + 10..IP + 12].fill(0);
    let sum = checksum(&[&frame[IP..end]]);
    frame[IP + 10..IP + 12].copy_from_slice(&sum.to_be_bytes());
    frame
}

fn with(frame: &[u8], at: usize, octets: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[at..at + octets.len()].copy_from_slice(octets);
    frame
}

/// The frames of S-20 and S-21 for one client.
fn frames(number: u8) -> Vec<(&'static str, Fate, Vec<u8>)> {
    let discover = message(number, 1, b"frame", false, None);
    let good = discover.emit();
    let tagged = |count: u16| {
        let mut tagged = discover.clone();
        tagged.tags = (0..count).map(|tag| (0x8100, 7 + tag)).collect();
        tagged.emit()
    };
    let addressed = |port: u16| {
        let mut other = discover.clone();
        other.destination.set_port(port);
        other.emit()
    };
    let udp_len = (good.len() - UDP) as u16;
    let said = |len: u16| {
        let mut frame = with(&good, UDP + 4, &len.to_be_bytes());
        frame[UDP + 6..UDP + 8].fill(0);
        frame
    };
    let total = |len: usize| {
        with_header(&good, |frame| {
            frame[IP + 2..IP + 4].copy_from_slice(&(len as u16).to_be_bytes());
        })
    };
    let options = with_header(&good, |frame| {
        frame.splice(UDP..UDP, [1; 8]);
        frame[IP] = 0x47;
        let len = (frame.len() - IP) as u16;
        frame[IP + 2..IP + 4].copy_from_slice(&len.to_be_bytes());
    });
    let fragment = |bits: u16| {
        with_header(&good, |frame| {
            frame[IP + 6..IP + 8].copy_from_slice(&bits.to_be_bytes());
        })
    };
    let source = |source: [u8; 4]| {
        with_header(&good, |frame| {
            frame[IP + 12..IP + 16].copy_from_slice(&source);
            frame[UDP + 6..UDP + 8].fill(0);
        })
    };
    vec![
        ("as it should be", Answered, good.clone()),
        ("one VLAN tag", Answered, tagged(1)),
        ("two VLAN tags", Answered, tagged(2)),
        ("three VLAN tags", Passed, tagged(3)),
        ("IP options", Answered, options),
        ("no UDP checksum", Answered, with(&good, UDP + 6, &[0, 0])),
        ("not to be fragmented", Answered, fragment(0x4000)),
        (
            "octets behind the packet",
            Answered,
            [&good[..], &[0; 40]].concat(),
        ),
        (
            "time to live 0",
            Answered,
            with_header(&good, |frame| frame[IP + 8] = 0),
        ),
        ("from everybody", Answered, source([255; 4])),
        ("from a group", Answered, source([224, 0, 0, 1])),
        (
            "wrong UDP checksum",
            Counted("bad_checksum"),
            with(&good, UDP + 6, &[0x12, 0x34]),
        ),
        (
            "wrong IP checksum",
            Counted("bad_checksum"),
            with(&good, IP + 10, &[0x12, 0x34]),
        ),
        (
            "UDP longer than IP",
            Counted("malformed_frame"),
            said(udp_len + 1),
        ),
        (
            "UDP shorter than its header",
            Counted("malformed_frame"),
            said(7),
        ),
        ("UDP without payload", Counted("malformed_v4"), said(8)),
        (
            "IP longer than the frame",
            Counted("malformed_frame"),
            total(good.len() - IP + 1),
        ),
        ("IP shorter than UDP", Counted("malformed_frame"), total(20)),
        ("first fragment", Passed, fragment(0x2000)),
        ("last fragment", Passed, fragment(0x00b9)),
        ("version 6", Passed, with(&good, IP, &[0x65])),
        ("header of 16 octets", Passed, with(&good, IP, &[0x44])),
        ("TCP", Passed, with_header(&good, |frame| frame[IP + 9] = 6)),
        ("port 68", Passed, addressed(68)),
        ("DHCPv4 to DHCPv6's port", Passed, addressed(547)),
    ]
}

/// DHCPv6 to DHCPv4's port, and DHCPv4 inside of DHCPv6 (RFC 7341), which is not served.
fn other_protocol(number: u8) -> Vec<(&'static str, Fate, Vec<u8>)> {
    let discover = message(number, 1, b"frame", false, None);
    let over_v6 = |port: u16, payload: Vec<u8>| {
        let source = std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, u16::from(number));
        let servers = std::net::Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
        Packet {
            source: (source, 546).into(),
            destination: (servers, port).into(),
            destination_mac: [0x33, 0x33, 0, 1, 0, 2],
            payload,
            ..discover.clone()
        }
        .emit()
    };
    let solicit = [
        &[1, 0, 0, number, 0, 1, 0, 10, 0, 3, 0, 1][..],
        &discover.source_mac,
    ]
    .concat();
    let mut query = vec![20, 0, 0, 0, 0, 87];
    query.extend((discover.payload.len() as u16).to_be_bytes());
    query.extend(&discover.payload);
    let mut v6_in_v4 = discover.clone();
    v6_in_v4.payload.clone_from(&solicit);
    vec![
        ("DHCPv6 to DHCPv4's port", Passed, over_v6(67, solicit)),
        (
            "a DHCPv6 message over IPv4",
            Counted("malformed_v4"),
            v6_in_v4.emit(),
        ),
        ("DHCPv4 over DHCPv6", Passed, over_v6(547, query)),
    ]
}

#[test]
fn frames_that_lie_are_counted_and_forgotten() {
    let link = Link::new(1);
    let mut server = Server::configured(&link.file("server"), CONFIG);
    server.start(&link.server);
    let mut wire = open(&link);
    let discards = |server: &Server| server.ctl(&["stats"])["discards"].clone();
    let mut number = 0;
    for at in 0..frames(0).len() + other_protocol(0).len() {
        // A client of its own for each: an answer is to this frame and no other.
        number += 2;
        let all = [frames(number), other_protocol(number)].concat();
        let (name, fate, frame) = &all[at];
        let before = discards(&server);
        send(&mut wire, frame);
        let marker = message(number + 1, 1, b"marker", false, None);
        send(&mut wire, &marker.emit());
        let mut is_answered = false;
        eventually(PATIENCE, "the marker's answer", || {
            wire.wait(Duration::from_millis(20)).unwrap();
            let come = answers(&mut wire);
            is_answered |= come.iter().any(|(xid, _)| xid[3] == number);
            let is_over = come.iter().any(|(xid, _)| xid[3] == number + 1);
            is_over.then_some(())
        });
        assert_eq!(is_answered, *fate == Answered, "{name}");
        let counted = |name: &str| {
            let count = |stats: &Value| stats[name].as_u64().unwrap_or(0);
            count(&discards(&server)) - count(&before)
        };
        match fate {
            Counted(reason) => eventually(PATIENCE, name, || (counted(reason) == 1).then_some(())),
            Answered | Passed => assert_eq!(discards(&server), before, "{name}"),
        }
    }
    // Whatever is cut off or changed: silence or an answer, and the server goes on.
    let good = message(250, 1, b"good", false, None).emit();
    for cut in 14..good.len() {
        send(&mut wire, &good[..cut]);
    }
    for at in 12..60 {
        for octet in [0x00, 0x45, 0xff, good[at] ^ 0x01] {
            send(&mut wire, &with(&good, at, &[octet]));
        }
    }
    let after = ask(&mut wire, &message(252, 1, b"after", false, None));
    assert!(after.octets().starts_with(&[10, 9, 1]), "{after}");
    assert!(!server.process().has_ended());
}
