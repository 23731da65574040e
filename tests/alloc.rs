//! No heap per packet: once the server runs, no exchange of any kind allocates or frees anything.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that fails panics"
)]

use counting::calls as count;
use dhcp_tests::engine::{Buffer, Engine};
use dhcp_tests::transcript::scene::{Config, Protocol, Scene};
use dhcp_tests::transcript::{v4, v6};
use dhcp_wire::frame::FRAME_SIZE_MAX;

mod counting;

#[test]
fn the_counter_counts() {
    let before = count();
    drop(std::hint::black_box(Box::new(7)));
    assert_eq!(count() - before, 2);
}

/// What a relay agent calls a port, longer than there is room for beside a lease in its slot.
const LONG: &str = "01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f:10:11:12:13:14:15:16:17:18:19:1a:1b:1c:1d:1e:1f:\
                    21:22:23:24:25:26:27:28:29:2a:2b:2c:2d:2e:2f:30:31:32:33:34:35:36:37:38:39:3a:3b:3c:3d:3e:3f";

#[test]
fn no_dhcpv4_exchange_uses_the_heap() {
    let config = [
        "server forcerenew yes",
        "subnet 10.3.0.0/16 pool 10.3.1.0-10.3.16.255 dns-servers 10.3.0.53 routers 10.3.0.1
         domain-name example.net next-server 10.3.0.69 server-hostname boot reservations-global
         vendor 4491 2 0a:03:00:45",
        "pool 10.3.1.0-10.3.16.255 ntp-servers 10.3.0.123",
        "global always mtu 1492 never option-43 01:02 always vendor 3561 1 61:63:73",
        // Every identifier is looked for, and what relay agents told is read back for renewals.
        "reservation circuit-id 77 address 10.3.0.200 hostname seven",
        "reservation global client-id 01:aa hostname nobody",
        "reservation global hw-address 02:00:00:01:00:07 hostname seven dns-servers 10.3.0.54",
        "leasequery requestor 10.3.0.1",
    ];
    let (mut engine, scene) = server(Protocol::V4, &config);
    let mut frames = Vec::new();
    for client in 0..500u32 {
        let [.., a, b] = client.to_be_bytes();
        let mac = format!("02:00:00:01:{a:02x}:{b:02x}");
        let address = format!("10.3.{}.{b}", u32::from(a) + 1);
        for text in [
            format!("DISCOVER chaddr {mac} requested {address} parameters 1,3,6,15"),
            format!("REQUEST chaddr {mac} requested {address} server-id us parameters 1,3,6,15"),
            format!("REQUEST chaddr {mac} ciaddr {address}"),
            format!("REQUEST chaddr {mac} ciaddr {address} forcerenew-capable 01"),
            format!("REQUEST chaddr {mac} requested {address} forcerenew-capable 01"),
            format!("REQUEST chaddr {mac} requested {address}"),
            format!(
                "REQUEST chaddr {mac} ciaddr {address} giaddr 10.3.0.1 agent circuit-id {LONG}"
            ),
            format!("REQUEST chaddr {mac} ciaddr {address} giaddr 10.3.0.1 agent circuit-id 01"),
            format!("REQUEST chaddr {mac} ciaddr {address} giaddr 10.3.0.1 agent remote-id 0a:0b"),
            format!("REQUEST chaddr {mac} requested 192.0.2.1"),
            format!("INFORM chaddr {mac} ciaddr {address}"),
            format!("DISCOVER chaddr {mac} giaddr 10.3.0.1 agent circuit-id 01:02"),
            format!("LEASEQUERY ciaddr {address} giaddr 10.3.0.1 parameters 51,58,82,91,3"),
            format!("LEASEQUERY chaddr {mac} giaddr 10.3.0.1 parameters 51"),
            "LEASEQUERY giaddr 10.3.0.1 agent remote-id 0a:0b parameters 51,92".to_owned(),
            format!("RELEASE chaddr {mac} ciaddr {address} server-id us"),
            format!("LEASEQUERY chaddr {mac} giaddr 10.3.0.1 parameters 51"),
            format!(
                "DISCOVER chaddr {mac} hostname Name-{client} option-81 05:00:00:04:68:6f:73:74"
            ),
            format!(
                "DISCOVER chaddr {mac} hostname Name-{client} parameters 43,12,125,1,3,42 \
                 option-124 00:00:0d:e9:00 option-125 00:00:11:8b:03:01:01:02"
            ),
            format!("DISCOVER chaddr {mac} cookie 00:00:00:00"),
        ] {
            let line = v4::GRAMMAR.parse(&text, |form| scene.us(Protocol::V4, form));
            let packet = line.and_then(|line| v4::encode(&line, &scene));
            frames.push(
                packet
                    .unwrap_or_else(|complaint| panic!("{text}: {complaint}"))
                    .emit(),
            );
        }
    }
    assert_no_heap(&mut engine, &frames, 5000);
}

/// Classes of every kind: tests that fail, that make texts, that match a pattern; templates; guards.
const CLASSES: [&str; 24] = [
    "toml [[dhcp4.client-classes]]",
    "toml name = 'long'",
    "toml test = \"option[82].option[1].hex + option[82].option[1].hex == relay4[1].hex\"",
    "toml [[dhcp4.client-classes]]",
    "toml name = 'texts'",
    "toml test = \"match('0[1-9a-f:]+', lcase(hexstring(pkt4.mac, ':'))) or addrtotext(option[61].hex) == ''\"",
    "toml [[dhcp4.client-classes]]",
    "toml name = 'line'",
    "toml template-test = \"hexstring(relay4[1].hex, '')\"",
    "toml [[dhcp4.client-classes]]",
    "toml name = 'late'",
    "toml test = \"unknown and member('texts') and not member('SPAWN_line_01')\"",
    "toml valid-lifetime = 1800",
    "toml next-server = '10.3.0.9'",
    "toml [[dhcp4.client-classes]]",
    "toml name = 'DROP'",
    "toml test = \"split(option[60].text, '/', 2) == 'drop'\"",
    "toml [[dhcp4.client-classes]]",
    "toml name = 'asked'",
    "toml test = \"ifelse(known, '', 'x') == 'x'\"",
    "toml only-in-additional-list = true",
    "toml [[subnet4]]",
    "toml subnet = '10.3.0.0/16'",
    "toml pools = [{ pool = '10.3.1.0-10.3.16.255', client-classes = ['texts', 'SPAWN_line_01'], evaluate-additional-classes = ['asked'] }]",
];

#[test]
fn classes_use_no_heap() {
    let (mut engine, scene) = server(Protocol::V4, &CLASSES);
    let mut frames = Vec::new();
    for client in 0..500u32 {
        let [.., a, b] = client.to_be_bytes();
        let mac = format!("02:00:00:01:{a:02x}:{b:02x}");
        let address = format!("10.3.{}.{b}", u32::from(a) + 1);
        for text in [
            format!("DISCOVER chaddr {mac} requested {address} vendor-class any"),
            format!("REQUEST chaddr {mac} requested {address} server-id us client-id 01:02:03"),
            format!("REQUEST chaddr {mac} requested {address} server-id us"),
            format!("REQUEST chaddr {mac} ciaddr {address}"),
            format!(
                "REQUEST chaddr {mac} ciaddr {address} giaddr 10.3.0.1 agent circuit-id {LONG}"
            ),
            format!("REQUEST chaddr {mac} ciaddr {address} giaddr 10.3.0.1 agent circuit-id 01"),
            format!("DISCOVER chaddr {mac} vendor-class a/drop"),
            format!("RELEASE chaddr {mac} ciaddr {address} server-id us"),
        ] {
            let line = v4::GRAMMAR.parse(&text, |form| scene.us(Protocol::V4, form));
            let packet = line.and_then(|line| v4::encode(&line, &scene));
            frames.push(
                packet
                    .unwrap_or_else(|complaint| panic!("{text}: {complaint}"))
                    .emit(),
            );
        }
    }
    assert_no_heap(&mut engine, &frames, 1000);
}

/// Limits of every kind, reached and not: what counts changes with grants, releases and clients that move.
#[test]
fn limits_of_leases_use_no_heap() {
    let config = [
        "toml [[dhcp4.client-classes]]",
        "toml name = 'even'",
        "toml test = \"option[60].text == 'even'\"",
        "toml address-limit = 200",
        "toml [[subnet4]]",
        "toml subnet = '10.3.0.0/16'",
        "toml pools = ['10.3.1.0-10.3.16.255']",
        "toml address-limit = 400",
        "toml line-address-limit = 2",
    ];
    let (mut engine, scene) = server(Protocol::V4, &config);
    let mut frames = Vec::new();
    for client in 0..500u32 {
        let [.., a, b] = client.to_be_bytes();
        let mac = format!("02:00:00:01:{a:02x}:{b:02x}");
        let address = format!("10.3.{}.{b}", u32::from(a) + 1);
        let line = format!("giaddr 10.3.0.1 agent circuit-id 0{}:{:02x}", a % 2, b / 3);
        let class = if client % 2 == 0 { "even" } else { "odd" };
        for text in [
            format!("DISCOVER chaddr {mac} requested {address} vendor-class {class} {line}"),
            format!("REQUEST chaddr {mac} requested {address} server-id us {line}"),
            format!("REQUEST chaddr {mac} ciaddr {address} vendor-class {class} {line}"),
            format!("REQUEST chaddr {mac} ciaddr {address}"),
            format!(
                "REQUEST chaddr {mac} ciaddr {address} giaddr 10.3.0.1 agent circuit-id {LONG}"
            ),
            format!("RELEASE chaddr {mac} ciaddr {address} server-id us"),
            format!("DISCOVER chaddr {mac} {line}"),
            format!("REQUEST chaddr {mac} requested {address} server-id us {line}"),
        ] {
            let line = v4::GRAMMAR.parse(&text, |form| scene.us(Protocol::V4, form));
            let packet = line.and_then(|line| v4::encode(&line, &scene));
            frames.push(
                packet
                    .unwrap_or_else(|complaint| panic!("{text}: {complaint}"))
                    .emit(),
            );
        }
    }
    assert_no_heap(&mut engine, &frames, 1000);
}

/// What depends on how a subnet is configured: every allocator, DECLINE, BOOTP, leases by hardware address.
#[test]
fn no_way_to_hand_out_addresses_uses_the_heap() {
    for allocator in ["iterative", "random", "flq"] {
        let config = format!(
            "subnet 10.3.0.0/16 pool 10.3.1.0-10.3.2.255 lifetime 600 min-lifetime 60 adaptive-threshold 10
             allocator {allocator} bootp 4294967295 no-match-client-id rapid-commit"
        );
        let (mut engine, scene) = server(Protocol::V4, &[&config]);
        let mut frames = Vec::new();
        for client in 0..300u32 {
            let [.., a, b] = client.to_be_bytes();
            let mac = format!("02:00:00:01:{a:02x}:{b:02x}");
            let address = format!("10.3.{}.{b}", u32::from(a) + 1);
            for text in [
                format!("DISCOVER chaddr {mac} client-id 00:01"),
                format!("DISCOVER chaddr {mac} requested {address} client-id 00:02"),
                format!("REQUEST chaddr {mac} requested {address} server-id us"),
                format!("DECLINE chaddr {mac} requested {address} server-id us"),
                format!("DISCOVER chaddr {mac} rapid-commit"),
                format!("BOOTP chaddr 02:00:00:02:{a:02x}:{b:02x}"),
                format!("BOOTP chaddr 02:00:00:02:{a:02x}:{b:02x}"),
            ] {
                let line = v4::GRAMMAR.parse(&text, |form| scene.us(Protocol::V4, form));
                let packet = line.and_then(|line| v4::encode(&line, &scene));
                frames.push(
                    packet
                        .unwrap_or_else(|complaint| panic!("{text}: {complaint}"))
                        .emit(),
                );
            }
        }
        assert_no_heap(&mut engine, &frames, 800);
    }
}

/// OFFERs of addresses that are probed first, half of which somebody uses.
#[test]
fn no_probed_exchange_uses_the_heap() {
    let config =
        ["subnet 10.3.0.0/16 pool 10.3.1.0-10.3.4.255 lifetime 600 rapid-commit ping-check"];
    let (mut engine, scene) = server(Protocol::V4, &config);
    let mut frames = Vec::new();
    for client in 0..300u32 {
        let [.., a, b] = client.to_be_bytes();
        let mac = format!("02:00:00:01:{a:02x}:{b:02x}");
        let address = format!("10.3.{}.{b}", u32::from(a) + 1);
        if client % 2 == 0 {
            engine.squat(address.parse().expect("an address"));
        }
        for text in [
            format!("DISCOVER chaddr {mac} requested {address}"),
            format!("DISCOVER chaddr {mac} requested {address}"),
            format!("DISCOVER chaddr {mac} rapid-commit"),
            format!("REQUEST chaddr {mac} requested {address} server-id us"),
        ] {
            let line = v4::GRAMMAR.parse(&text, |form| scene.us(Protocol::V4, form));
            let packet = line.and_then(|line| v4::encode(&line, &scene));
            frames.push(
                packet
                    .unwrap_or_else(|complaint| panic!("{text}: {complaint}"))
                    .emit(),
            );
        }
    }
    assert_no_heap(&mut engine, &frames, 600);
}

#[test]
fn no_relayed_exchange_uses_the_heap() {
    let config = [
        "server subnet-selection allowed-relay 10.3.0.0/16",
        "subnet 10.2.0.0/24",
        "subnet 10.3.0.0/16 pool 10.3.1.0-10.3.16.255 client-key circuit-id",
        "subnet 10.4.0.0/16 vpn 00:72:65:64 relay 10.3.0.1 pool 10.4.1.0-10.4.16.255",
    ];
    let (mut engine, scene) = server(Protocol::V4, &config);
    let mut frames = Vec::new();
    for client in 0..500u32 {
        let [.., a, b] = client.to_be_bytes();
        let mac = format!("02:00:00:01:{a:02x}:{b:02x}");
        let (line, other) = (format!("10.3.{}.{b}", a + 1), format!("10.4.{}.{b}", a + 1));
        let agent = format!("giaddr 10.3.0.1 agent circuit-id {a:02x}:{b:02x}");
        let red = "giaddr 10.3.0.1 agent vpn 00:72:65:64 vpn-control server-override 10.3.0.1";
        for text in [
            format!("DISCOVER chaddr {mac} requested {line} {agent}"),
            format!("REQUEST chaddr {mac} requested {line} server-id us {agent} relay-port"),
            // Another router on the same line.
            format!("DISCOVER chaddr 02:00:00:02:{a:02x}:{b:02x} {agent}"),
            format!("REQUEST chaddr 02:00:00:02:{a:02x}:{b:02x} ciaddr {line} {agent}"),
            format!("DISCOVER chaddr {mac} requested {other} {red}"),
            format!("REQUEST chaddr {mac} requested {other} server-id 10.3.0.1 {red}"),
            format!("DISCOVER chaddr {mac} subnet-selection 10.3.0.0 {agent}"),
            format!("DISCOVER chaddr {mac} vpn-option 00:72:65:64 giaddr 10.3.0.1"),
            format!("DISCOVER chaddr {mac} giaddr 10.3.0.1 agent vpn 00:67"),
            format!("DISCOVER chaddr {mac} giaddr 10.3.0.1"),
            format!("DISCOVER chaddr {mac} giaddr 192.0.2.1"),
            format!("RELEASE chaddr {mac} ciaddr {line} server-id us {agent}"),
        ] {
            let line = v4::GRAMMAR.parse(&text, |form| scene.us(Protocol::V4, form));
            let packet = line.and_then(|line| v4::encode(&line, &scene));
            frames.push(
                packet
                    .unwrap_or_else(|complaint| panic!("{text}: {complaint}"))
                    .emit(),
            );
        }
    }
    assert_no_heap(&mut engine, &frames, 3500);
}

/// Identifiers that expressions put together, of both protocols, as the keys of leases and of reservations.
#[test]
fn no_flexible_identifier_uses_the_heap() {
    let v4 = [
        "toml [dhcp4]",
        "toml identifier-expression = \"ucase(hexstring(relay4[1].hex, ':')) + relay4[2].text + \
         ifelse(member('a') and match('0[0-9a-f]+', hexstring(relay4[1].hex, '')), '/1', '/2')\"",
        "toml replace-client-id = true",
        "toml [[dhcp4.client-classes]]",
        "toml name = \"a\"",
        "toml test = \"substring(pkt4.mac, 3, 1) == 0x01\"",
        "toml [[subnet4]]",
        "toml id = 1",
        "toml subnet = \"10.3.0.0/16\"",
        "toml pools = [\"10.3.1.0-10.3.16.255\"]",
        "toml reservations = [{ flex-id = \"'00:01/1'\", ip-address = \"10.3.200.1\" }]",
        "toml [[subnet4]]",
        "toml id = 2",
        "toml subnet = \"10.4.0.0/16\"",
        "toml client-key = \"client-id\"",
        "toml pools = [\"10.4.1.0-10.4.16.255\"]",
        "toml reservations = [{ flex-id = \"'00:01/1'\", ip-address = \"10.4.200.1\" }]",
    ];
    let (mut engine, scene) = server(Protocol::V4, &v4);
    let mut frames = Vec::new();
    for client in 0..300u32 {
        let [.., a, b] = client.to_be_bytes();
        let mac = format!("02:00:00:01:{a:02x}:{b:02x}");
        for (net, remote) in [(3, "-"), (3, LONG_IDENTIFIER), (4, "-")] {
            let agent =
                format!("giaddr 10.{net}.0.1 agent circuit-id {a:02x}:{b:02x} remote-id {remote}");
            for text in [
                format!("DISCOVER chaddr {mac} {agent}"),
                format!("REQUEST chaddr {mac} requested 10.{net}.1.{b} server-id us {agent}"),
                format!("REQUEST chaddr {mac} requested 10.{net}.200.1 server-id us {agent}"),
                format!("REQUEST chaddr {mac} ciaddr 10.{net}.1.{b} to us"),
                format!("REQUEST chaddr {mac} ciaddr 10.{net}.200.1 to us"),
                format!("DISCOVER chaddr {mac} client-id 00:{b:02x} giaddr 10.{net}.0.1"),
            ] {
                let line = v4::GRAMMAR.parse(&text, |form| scene.us(Protocol::V4, form));
                let packet = line.and_then(|line| v4::encode(&line, &scene));
                frames.push(
                    packet
                        .unwrap_or_else(|complaint| panic!("{text}: {complaint}"))
                        .emit(),
                );
            }
        }
    }
    assert_no_heap(&mut engine, &frames, 2000);
    let v6 = [
        "toml [dhcp6]",
        "toml identifier-expression = \"hexstring(relay6[0].option[18].hex, '-')\"",
        "toml replace-client-id = true",
        "toml ignore-iaid = true",
        "toml [[subnet6]]",
        "toml subnet = \"2001:db8::/64\"",
        "toml pools = [\"2001:db8::1:0-2001:db8::1:ffff\"]",
        "toml reservations = [{ flex-id = \"'00-01'\", ip-addresses = [\"2001:db8::1\"] }]",
    ];
    let (mut engine, scene) = server(Protocol::V6, &v6);
    let mut frames = Vec::new();
    for client in 0..300u32 {
        let [.., a, b] = client.to_be_bytes();
        let duid = format!("00:03:00:01:02:00:00:02:{a:02x}:{b:02x}");
        let agent = format!("relay 2001:db8::9 interface-id {a:02x}:{b:02x}");
        for text in [
            format!("SOLICIT client-id {duid} ia-na {client} {agent}"),
            format!("REQUEST client-id {duid} server-id us ia-na {client} ia-pd 2 {agent}"),
            format!("SOLICIT client-id {duid} ia-na 1 ia-na 2 {agent}"),
            format!("SOLICIT client-id 00:00:{a:02x}:{b:02x} ia-na 1"),
            format!(
                "SOLICIT client-id {duid} ia-na 1 relay 2001:db8::9 interface-id {LONG_IDENTIFIER}"
            ),
        ] {
            let line = v6::GRAMMAR.parse(&text, |form| scene.us(Protocol::V6, form));
            let packet = line.and_then(|line| v6::encode(&line, &scene));
            frames.push(
                packet
                    .unwrap_or_else(|complaint| panic!("{text}: {complaint}"))
                    .emit(),
            );
        }
    }
    assert_no_heap(&mut engine, &frames, 800);
}

#[test]
fn no_dhcpv6_exchange_uses_the_heap() {
    let config = [
        "subnet 2001:db8::/64 pool 2001:db8::1:0-2001:db8::1:ffff
         pd-pool 2001:db8:8000::/40 delegated 56 dns-servers 2001:db8::53",
        "pool 2001:db8::1:0-2001:db8::1:ffff sntp-servers 2001:db8::9",
        "global never option-59 61 always vendor 3561 1 61:63:73",
    ];
    let (mut engine, scene) = server(Protocol::V6, &config);
    let mut frames = Vec::new();
    for client in 0..500u32 {
        let [.., a, b] = client.to_be_bytes();
        let duid = format!("00:03:00:01:02:00:00:02:{a:02x}:{b:02x}");
        let address = format!("2001:db8::1:{client:x}");
        for text in [
            format!("SOLICIT client-id {duid} oro 23 ia-na 1 address {address} ia-pd 1"),
            format!(
                "REQUEST client-id {duid} server-id us oro 23 ia-na 1 address {address} ia-pd 1"
            ),
            format!("RENEW client-id {duid} server-id us ia-na 1 address {address}"),
            format!("REBIND client-id {duid} ia-na 1 address {address}"),
            format!(
                "RENEW client-id {duid} server-id us ia-na 1 address {address} ia-pd 1 \
                 relay 2001:db8::9 interface-id {LONG} relay 2001:db8::a interface-id {LONG}"
            ),
            format!(
                "RENEW client-id {duid} server-id us ia-na 1 address {address} \
                 relay 2001:db8::9 interface-id 01"
            ),
            format!("CONFIRM client-id {duid} ia-na 1 address {address}"),
            format!("INFORMATION-REQUEST client-id {duid} oro 23"),
            format!("SOLICIT client-id {duid} ia-na 1 relay 2001:db8::9 interface-id 01"),
            format!("RELEASE client-id {duid} server-id us ia-na 1 address {address}"),
            format!("SOLICIT client-id {duid} oro 23,31,59 option-17 00:00:0d:e9 ia-na 1"),
            format!("SOLICIT client-id {duid} raw 00:01"),
        ] {
            let line = v6::GRAMMAR.parse(&text, |form| scene.us(Protocol::V6, form));
            let packet = line.and_then(|line| v6::encode(&line, &scene));
            frames.push(
                packet
                    .unwrap_or_else(|complaint| panic!("{text}: {complaint}"))
                    .emit(),
            );
        }
    }
    assert_no_heap(&mut engine, &frames, 3000);
}

/// Sixty octets.
const LONG_IDENTIFIER: &str = "61:61:61:61:61:61:61:61:61:61:61:61:61:61:61:61:61:61:61:61:61:61:61:61:61:61:61:61:61:61:\
     61:61:61:61:61:61:61:61:61:61:61:61:61:61:61:61:61:61:61:61:61:61:61:61:61:61:61:61:61:61";

fn server(protocol: Protocol, lines: &[&str]) -> (Engine, Scene) {
    let mut config = Config::new(protocol);
    for line in lines {
        config
            .line(line)
            .unwrap_or_else(|complaint| panic!("{line}: {complaint}"));
    }
    let built = config.build();
    let engine = Engine::new(
        built.policy,
        built.scene.interface.clone(),
        built.partitions,
    );
    (engine, built.scene)
}

/// Serves all frames: most are answered, and none of them touches the heap, the first one included.
fn assert_no_heap(engine: &mut Engine, frames: &[Vec<u8>], answers_min: u32) {
    let mut buffer: Buffer = [0; FRAME_SIZE_MAX];
    let mut answers = 0;
    for (number, frame) in frames.iter().enumerate() {
        buffer
            .get_mut(..frame.len())
            .expect("frames fit")
            .copy_from_slice(frame);
        let before = count();
        let answered = engine.serve(&mut buffer, frame.len());
        let used = count() - before;
        assert_eq!(
            used, 0,
            "frame {number} ({answered:?}) used the heap {used} times"
        );
        answers += u32::from(answered.is_ok());
    }
    assert!(
        answers >= answers_min,
        "only {answers} of {} were answered",
        frames.len()
    );
}
