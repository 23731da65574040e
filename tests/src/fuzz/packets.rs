//! Octets off the network.

use crate::engine::{Buffer, Engine};
use crate::packet::Packet;
use crate::transcript::scene::{Config, Protocol};
use crate::transcript::v4 as v4_words;
use dhcp_core::Discard;
use dhcp_wire::frame::FRAME_SIZE_MAX;
use dhcp_wire::{v4, v6};
use std::net::SocketAddr;

/// Messages of one conversation, at most.
const MESSAGES_MAX: usize = 16;

/// Walks all that a DHCPv4 message may hold.
pub(super) fn v4_message(octets: &[u8]) {
    let Ok(message) = v4::Message::parse(octets) else {
        return;
    };
    let _ = message.message_type();
    let mut pieces = 0;
    let mut total = 0;
    for piece in message.options() {
        let Ok(piece) = piece else { break };
        pieces += 1;
        total += piece.data.len();
        let inside = v4::SubOptions::new(piece.data).map(|sub_option| 2 + sub_option.data.len());
        assert!(
            inside.sum::<usize>() <= piece.data.len(),
            "sub-options overlap"
        );
    }
    // Each octet is read once: three regions, no cycles.
    assert!(pieces <= octets.len(), "{pieces} options");
    assert!(total <= octets.len(), "options of {total} octets");
}

/// Walks all that a DHCPv6 message may hold.
pub(super) fn v6_message(octets: &[u8]) {
    let Ok(packet) = v6::Packet::parse(octets) else {
        return;
    };
    let _ = packet.message.message_type();
    for relay in packet.relays.outermost_first() {
        let _ = (relay.link_address(), relay.interface_id());
    }
    for option in packet.message.options.iter() {
        ia(option.code, option.data);
        let _ = v6::ia_ta(option.data);
        let _ = v6::duid(option.data);
        let _ = v6::duid_link_layer(option.data);
        let _ = v6::link_layer_address(option.data);
        assert!(v6::option_request(option.data).count() <= option.data.len() / 2);
    }
}

/// Walks an IA, and what may be in it.
fn ia(code: u16, data: &[u8]) {
    let Ok(ia) = v6::Ia::parse(code, data) else {
        return;
    };
    for option in ia.options.iter() {
        if let Ok(address) = v6::IaAddress::parse(option.data) {
            let _ = address.options.status();
        }
        if let Ok(prefix) = v6::IaPrefix::parse(option.data) {
            let _ = prefix.options.status();
        }
    }
}

/// A server for the captured clients, DHCPv4.
fn server_v4() -> Engine {
    engine(
        Protocol::V4,
        &[
            "interface name srv0 mac 02:00:00:77:00:01 address 10.77.0.1",
            "subnet 10.77.0.0/24 pool 10.77.0.100-10.77.0.110 rapid-commit dns-servers 10.77.0.53
             domain-name example.net boot-file-name x routers 10.77.0.1",
            "subnet 10.77.1.0/24 pool 10.77.1.100-10.77.1.104",
            "leasequery requestor 0.0.0.0/0",
        ],
    )
}

/// Leasequeries of each kind.
pub(super) fn leasequeries() -> Vec<Vec<u8>> {
    let scene = Config::new(Protocol::V4).build().scene;
    let lines = [
        "LEASEQUERY giaddr 10.77.0.2 ciaddr 10.77.0.100 parameters 51,58,59,61,82,91,92",
        "LEASEQUERY giaddr 10.77.0.2 chaddr 1 parameters 51,1,3,6",
        "LEASEQUERY giaddr 10.77.0.2 client-id 01:02 max-size 1500",
        "LEASEQUERY giaddr 10.77.0.2 agent remote-id 0a:0b parameters 92",
    ];
    let payloads = lines.map(|text| {
        let line = v4_words::GRAMMAR.parse(text, |form| scene.us(Protocol::V4, form));
        let packet = line.and_then(|line| v4_words::encode(&line, &scene));
        let payload = packet
            .unwrap_or_else(|complaint| panic!("{text}: {complaint}"))
            .payload;
        [&(payload.len() as u16).to_be_bytes(), payload.as_slice()].concat()
    });
    vec![payloads.concat()]
}

/// A server for the captured clients, DHCPv6.
fn server_v6() -> Engine {
    engine(
        Protocol::V6,
        &[
            "interface name srv0 mac 02:00:00:77:00:01 address fd77::1 link-local fe80::ff:fe77:1",
            "server duid 00:02:00:00:7e:d9:00:77:aa:01",
            "subnet fd77::/64 rapid-commit pool fd77::100-fd77::10f pd-pool fd77:100::/52 delegated 56
             dns-servers fd77::53 domain-search example.net",
        ],
    )
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

/// Serves messages as DHCPv4.
pub(super) fn engine_v4(octets: &[u8]) {
    converse(octets, server_v4(), |payload| Packet {
        source_mac: [2, 0, 0, 0, 0, 9],
        destination_mac: [0xff; 6],
        tags: Vec::new(),
        source: SocketAddr::from(([0, 0, 0, 0], 68)),
        destination: SocketAddr::from(([255, 255, 255, 255], 67)),
        payload,
    });
}

/// Serves messages as DHCPv6.
pub(super) fn engine_v6(octets: &[u8]) {
    let client = [0xfe80, 0, 0, 0, 0, 0, 0, 9];
    let servers = [0xff02, 0, 0, 0, 0, 0, 1, 2];
    converse(octets, server_v6(), |payload| Packet {
        source_mac: [2, 0, 0, 0, 0, 9],
        destination_mac: [0x33, 0x33, 0, 1, 0, 2],
        tags: Vec::new(),
        source: SocketAddr::from((client, 546)),
        destination: SocketAddr::from((servers, 547)),
        payload,
    });
}

/// Serves the messages of an input one after the other. Each answer is a sound frame, and no address has
/// two holders at the end.
fn converse(octets: &[u8], mut engine: Engine, envelope: impl Fn(Vec<u8>) -> Packet) {
    let mut rest = octets;
    for _ in 0..MESSAGES_MAX {
        let Some((length, after)) = rest.split_first_chunk::<2>() else {
            break;
        };
        let length = u16::from_be_bytes(*length);
        let payload = &after[..after.len().min(usize::from(length & 0x7ff))];
        rest = &after[payload.len()..];
        // The upper bits let time pass: none, or up to some hours.
        engine.wait(u64::from(length >> 11) * 600);
        serve(&mut engine, &envelope(payload.to_vec()).emit());
    }
    one_holder_each(&engine);
}

/// Serves a frame as it is, by both servers.
pub(super) fn frame(octets: &[u8]) {
    for mut engine in [server_v4(), server_v6()] {
        serve(&mut engine, octets);
    }
}

fn serve(engine: &mut Engine, octets: &[u8]) {
    let mut buffer: Buffer = [0xa5; FRAME_SIZE_MAX];
    let Some(room) = buffer.get_mut(..octets.len()) else {
        return;
    };
    room.copy_from_slice(octets);
    let answered: Result<usize, Discard> = engine.serve(&mut buffer, octets.len());
    if let Ok(length) = answered {
        let sound = Packet::parse(&buffer[..length]);
        assert!(sound.is_ok(), "a damaged answer: {:?}", sound.err());
    }
}

fn one_holder_each(engine: &Engine) {
    let leases = engine.leases();
    for pair in leases.windows(2) {
        if let [one, other] = pair {
            assert_ne!(one.lease, other.lease, "two holders");
        }
    }
}
