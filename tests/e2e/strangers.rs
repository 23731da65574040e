//! What strangers write about themselves reaches no terminal and ends no line: hostile names, identifiers and
//! circuits (S-19 of the list of hostile input) go over the wire, and everything that prints a client is looked at. And
//! frames that lie (S-20), over the wire too, are counted and leave the server serving.
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
use dhcp_tests::lab::{CLIENT_INTERFACE, Link, SERVER_INTERFACE};
use dhcp_tests::packet::Packet;
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
    texts.push((0x80..=0xff).collect());
    texts.push((0..=0x1f).chain([0x7f]).collect());
    texts.push(vec![0xc3]);
    texts.push(vec![0x9b, b'2', b'J']);
    texts
}

/// A client whose name, identifier, vendor class and (behind a relay agent) circuit are this text.
fn message(number: u8, kind: u8, text: &[u8], relayed: bool, address: Option<Ipv4Addr>) -> Packet {
    let relay = Ipv4Addr::new(10, 8, 0, 1);
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
    for code in [12, 60, 15, 77] {
        put(code, text);
    }
    put(61, &[text, &[number]].concat());
    if relayed {
        let sub = |code: u8| [&[code, text.len() as u8][..], text].concat();
        put(
            82,
            &[sub(1), sub(2), sub(6)].concat()[..]
                .chunks(255)
                .next()
                .unwrap_or_default(),
        );
        payload[24..28].copy_from_slice(&relay.octets());
    }
    payload.push(255);
    payload.resize(payload.len().max(300), 0);
    Packet {
        source_mac: mac,
        destination_mac: [0xff; 6],
        tags: Vec::new(),
        source: if relayed {
            (relay, 67).into()
        } else {
            (Ipv4Addr::UNSPECIFIED, 68).into()
        },
        destination: if relayed {
            (Ipv4Addr::new(10, 9, 0, 1), 67).into()
        } else {
            (Ipv4Addr::BROADCAST, 67).into()
        },
        payload,
    }
}

fn send(wire: &mut Wire, frame: &[u8]) {
    let sent = wire.send(&mut |room| {
        room[..frame.len()].copy_from_slice(frame);
        frame.len()
    });
    assert!(sent.unwrap());
}

/// The address in the answer to the message just sent.
fn answer(wire: &mut Wire, asked: &Packet) -> Option<Ipv4Addr> {
    let mut found = None;
    for _ in 0..40 {
        wire.wait(Duration::from_millis(50)).unwrap();
        wire.receive(&mut |octets| {
            if let Ok(packet) = Packet::parse(octets)
                && packet.source.port() == 67
                && packet.payload.get(4..8) == asked.payload.get(4..8)
            {
                let octets: Option<[u8; 4]> =
                    packet.payload.get(16..20).and_then(|it| it.try_into().ok());
                found = octets.map(Ipv4Addr::from);
            }
        })
        .unwrap();
        if found.is_some() {
            break;
        }
    }
    found
}

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
    server.start(&link.server);
    let mut wire = link
        .clients
        .within(|| Wire::open(CLIENT_INTERFACE).unwrap());
    let mut held = Vec::new();
    for (number, text) in evil().iter().enumerate() {
        for relayed in [false, true] {
            let number = number as u8;
            let text = &text[..text.len().min(80)];
            let discover = message(number, 1, text, relayed, None);
            send(&mut wire, &discover.emit());
            let offered = answer(&mut wire, &discover).expect("an OFFER");
            let request = message(number, 3, text, relayed, Some(offered));
            send(&mut wire, &request.emit());
            assert_eq!(answer(&mut wire, &request), Some(offered));
            held.push(offered.to_string());
        }
    }
    let config = server.config();
    let run = |words: &[&str]| {
        let mut command = Command::new(binary("XDHCPD_BIN", "xdhcpd"));
        command.args(words).arg("--config").arg(&config);
        let (done, text) = try_run(&mut command);
        assert!(done, "{words:?}: {text}");
        text
    };
    for format in ["table", "json", "csv", "kea-csv"] {
        for verb in ["list", "export"] {
            let text = run(&["leases", verb, "--format", format]);
            let what = format!("leases {verb} --format {format}");
            assert_printable(&what, &text);
            // One lease, one line: no text of a stranger begins a line of its own.
            if format != "json" {
                let lines = text.lines().filter(|line| !line.trim().is_empty());
                let with_address = lines
                    .clone()
                    .filter(|line| line.contains("10.9.1.") || line.contains("10.8.1."));
                assert_eq!(with_address.count(), held.len(), "{what}:\n{text}");
                assert!(lines.count() <= held.len() + 3, "{what}:\n{text}");
            } else {
                let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
                assert_eq!(value.as_array().map(Vec::len), Some(held.len()), "{what}");
            }
        }
    }
    for address in &held {
        for format in ["table", "json"] {
            assert_printable(
                "leases get",
                &run(&["leases", "get", address, "--format", format]),
            );
        }
        for format in ["table", "json"] {
            let text = run(&["leases", "history", address, "--format", format]);
            assert_printable("leases history", &text);
        }
    }
    for words in [&["leases"][..], &["status"], &["stats"], &["pools"]] {
        let (_, text) = server.try_ctl(words);
        assert_printable(&format!("ctl {words:?}"), &text);
    }
    assert_printable("the log", &server.process().log());
}

#[test]
fn frames_that_lie_are_counted_and_forgotten() {
    let link = Link::new(1);
    let mut server = Server::configured(&link.file("server"), CONFIG);
    server.start(&link.server);
    let mut wire = link
        .clients
        .within(|| Wire::open(CLIENT_INTERFACE).unwrap());
    let good = message(1, 1, b"good", false, None);
    let frame = good.emit();
    let mut bad: Vec<Vec<u8>> = (14..frame.len())
        .step_by(7)
        .map(|cut| frame[..cut].to_vec())
        .collect();
    for at in 12..60 {
        for octet in [0x00, 0x45, 0xff, frame[at] ^ 0x01] {
            let mut injured = frame.clone();
            injured[at] = octet;
            bad.push(injured);
        }
    }
    for tags in 1..=3u16 {
        let mut tagged = good.clone();
        tagged.tags = (0..tags).map(|tag| (0x8100, tag)).collect();
        bad.push(tagged.emit());
    }
    for injured in &bad {
        send(&mut wire, injured);
    }
    let after = message(2, 1, b"after", false, None);
    eventually(PATIENCE, "an OFFER after all of it", || {
        send(&mut wire, &after.emit());
        answer(&mut wire, &after)
    });
    let stats = server.ctl(&["stats"]).to_string();
    assert!(
        stats.contains("malformed") || stats.contains("checksum"),
        "nothing was counted on {SERVER_INTERFACE}: {stats}"
    );
    assert!(!server.process().has_ended());
}
