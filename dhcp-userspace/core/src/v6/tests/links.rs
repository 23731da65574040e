//! On which link a client is, and where its answer goes.

use super::world::*;

// RFC 8415 section 18.3.10 [answer-to-source]
#[test]
fn a_direct_client_is_answered_where_it_spoke_from() {
    let mut world = World::new();
    let ask = Ask::solicit(ALICE).na(1, &[]);
    let heard = world.ask(&ask).unwrap();
    let expected = Envelope {
        source_mac: world.interface.mac,
        destination_mac: ask.envelope.source_mac,
        tags: ask.envelope.tags,
        addresses: Addresses::V6 {
            source: v6(LINK_LOCAL),
            destination: v6("fe80::9"),
        },
        source_port: 547,
        destination_port: 546,
    };
    assert_eq!(heard.envelope, expected);
    for source in ["::", "::1", "ff02::1:2", LINK_LOCAL, GLOBAL] {
        let spoofed = ask.clone().addressed(source, ALL_RELAY_AGENTS_AND_SERVERS);
        assert_eq!(
            world.ask(&spoofed),
            Err(Discard::BadDestination),
            "{source}"
        );
    }
    let mut from_group = ask.clone();
    from_group.envelope.source_mac = MacAddress([0x33, 0x33, 0, 0, 0, 1]);
    assert_eq!(world.ask(&from_group), Err(Discard::BadDestination));
}

// RFC 9915 section 16 [unicast-from-client-discarded]
#[test]
fn unicast_is_for_relay_agents_only() {
    for kind in [1u8, 3, 4, 5, 6, 8, 9, 11] {
        let ask = Ask {
            kind,
            ..Ask::to_us(MessageType::Renew, ALICE).na(1, &[])
        };
        let unicast = ask.addressed("fe80::9", v6(GLOBAL));
        assert_eq!(World::new().ask(&unicast), Err(Discard::Unicast));
    }
    let relayed = Ask::solicit(ALICE)
        .na(1, &[])
        .via("2001:db8:2::1", "fe80::9", None);
    assert!(World::new().ask(&relayed).is_ok());
}

// RFC 8415 section 13.1 [link-address-innermost]
// RFC 8415 section 13.1 [direct-link-by-interface]
#[test]
fn the_link_is_that_of_the_relay_agent_next_to_the_client_that_can_tell() {
    let solicit = || Ask::solicit(ALICE).na(1, &[]);
    let from_link = |ask: Ask| ask.addressed("fe80::5", ALL_RELAY_AGENTS_AND_SERVERS);
    let port = Some(&b"port 7"[..]);
    let one = Ok("2001:db8:1::100");
    let two = Ok("2001:db8:2::100");
    let nowhere = Err(Discard::NoSubnet);
    let table = [
        (solicit(), one),
        (solicit().via("2001:db8:2::1", "fe80::9", None), two),
        (solicit().via("2001:db8:99::1", "fe80::9", None), nowhere),
        // From the inside out: a relay agent in the link (RFC 6221), then one that can tell.
        (
            solicit()
                .via("::", "fe80::9", port)
                .via("2001:db8:2::1", "fe80::5", None),
            two,
        ),
        (
            solicit()
                .via("2001:db8:2::1", "fe80::9", None)
                .via("2001:db8:1::1", "fd00::1", None),
            two,
        ),
        (
            solicit()
                .via("2001:db8:2::1", "fe80::9", None)
                .via("::", "fe80::5", None),
            two,
        ),
        (solicit().via("::", "fe80::9", None), nowhere),
        (from_link(solicit().via("::", "fe80::9", None)), one),
        (
            from_link(
                solicit()
                    .via("::", "fe80::9", port)
                    .via("::", "fe80::9", None),
            ),
            one,
        ),
        (
            solicit()
                .via("::", "fe80::9", Some(b"port 2"))
                .via("::", "fe80::5", port),
            two,
        ),
        (
            solicit()
                .via("::", "fe80::9", port)
                .via("::", "fe80::5", Some(b"port 2")),
            two,
        ),
        // Listed for the subnet, though not in its prefix.
        (solicit().via("2001:db8:77::1", "fe80::9", None), two),
        (solicit().via("ff02::1", "fe80::9", None), nowhere),
        (solicit().via("::ffff:10.0.0.1", "fe80::9", None), nowhere),
        (solicit().via("fe80::1", "fe80::9", None), nowhere),
        (
            solicit().via("2001:db8:99::1", "fe80::9", Some(b"port 2")),
            two,
        ),
    ];
    for (ask, expected) in table {
        let mut world = World::new();
        let mut behind = world.subnet(1);
        behind.relays.push(v6("2001:db8:77::1"));
        behind.interface_id = Some(b"port 2".as_slice().into());
        drop(behind);
        let got = world.ask(&ask).map(|heard| heard.leases());
        assert_eq!(got, expected.map(|text| vec![address(text)]), "{ask:?}");
    }
    let mut world = World::new();
    world.subnet(1).interface = Some("eth0".into());
    assert_eq!(
        world.ask(&solicit()).unwrap().leases(),
        [address("2001:db8:2::100")]
    );
    world.interface = Interface {
        name: "eth1".into(),
        ..world.interface
    };
    assert_eq!(
        world.ask(&solicit()).unwrap().leases(),
        [address("2001:db8:1::100")]
    );
    world.interface.v6.clear();
    assert_eq!(world.ask(&solicit()), Err(Discard::NoSubnet));
}

// RFC 8415 section 19.3 [relay-reply-mirrors]
// RFC 8415 section 21.18 [interface-id-echoed]
#[test]
fn relay_agents_get_back_what_they_sent_level_by_level() {
    for depth in 1..=8u8 {
        let mut ask =
            Ask::solicit(ALICE)
                .na(1, &[])
                .via("2001:db8:2::1", "fe80::9", Some(b"\0\x07"));
        for level in 1..depth {
            let id: Option<&[u8]> = if level % 2 == 0 { Some(b"") } else { None };
            ask = ask.via("::", &format!("2001:db8::{level}"), id);
            ask.relays[0]
                .1
                .push((OptionCode::REMOTE_ID, vec![level; 20]));
        }
        let heard = World::new().ask(&ask).unwrap();
        assert_eq!(heard.relays.len(), usize::from(depth));
        for ((got, id), (sent, options)) in heard.relays.iter().zip(&ask.relays) {
            assert_eq!(
                *got,
                RelayHeader {
                    msg_type: 13,
                    ..*sent
                }
            );
            let sent_id = options
                .iter()
                .find(|(code, _)| *code == OptionCode::INTERFACE_ID);
            assert_eq!(id.as_ref(), sent_id.map(|(_, id)| id));
        }
        let envelope = heard.envelope;
        assert_eq!(
            (envelope.source_port, envelope.destination_port),
            (547, 547)
        );
        let addresses = Addresses::V6 {
            source: v6(GLOBAL),
            destination: v6("2001:db8:ffff::5"),
        };
        assert_eq!(envelope.addresses, addresses);
    }
    let ask = Ask::solicit(ALICE)
        .na(1, &[])
        .via("2001:db8:2::1", "fe80::9", None);
    for (source, own) in [("fe80::5", LINK_LOCAL), ("2001:db8::5", GLOBAL)] {
        let heard = World::new()
            .ask(&ask.clone().addressed(source, ALL_SERVERS))
            .unwrap();
        let expected = Addresses::V6 {
            source: v6(own),
            destination: v6(source),
        };
        assert_eq!(heard.envelope.addresses, expected);
    }
}

/// A Request through a dibbler relay agent and dhcrelay, as on the wire (captured with real software).
const CAPTURED: &str = "0c01fd770000000000090000000000000001fd770000000000090000000000000002\
    0012000403000000000900cd\
    0c00fd770000000000030000000000000001fe80000000000000000000fffe77aa01001200040000139c0009009f\
    0378edd00001000a0003000102000077aa010002000a000200007ed90077aa01\
    0003002800000001000000000000000000050018fd770000000000030000000000000100000004b000000708\
    00190029000000020000000000000000001a0019000004b00000070838fd770400000000000000000000000000\
    0006000a00170018001f00520053000800020000\
    0010000e00007ed90008636c69656e742d61";

#[test]
fn a_captured_request_through_two_relay_agents_gets_its_leases() {
    let octet = |at| u8::from_str_radix(&CAPTURED[at..at + 2], 16).unwrap();
    let payload: Vec<u8> = (0..CAPTURED.len()).step_by(2).map(octet).collect();
    let mut world = World::new();
    world.policy.server_duid = Duid::new(&[0, 2, 0, 0, 0x7e, 0xd9, 0, 0x77, 0xaa, 1]).unwrap();
    world.ranges[0].first = address("fd77:0:0:3::100");
    world.ranges[1].first = prefix("fd77:400::/56");
    world.set_pools(&[]);
    world.own().network = v6("fd77:0:0:3::");
    let envelope = Ask::solicit(ALICE).via("::", "::", None).envelope;
    let heard = world.serve(&envelope, &payload).unwrap();
    assert_eq!(
        heard.leases(),
        [address("fd77:0:0:3::100"), prefix("fd77:400::/56")]
    );
    let levels: Vec<_> = heard
        .relays
        .iter()
        .map(|(header, id)| (header.hop_count, id))
        .collect();
    assert_eq!(
        levels,
        [
            (1, &Some(vec![3, 0, 0, 0])),
            (0, &Some(vec![0, 0, 0x13, 0x9c]))
        ]
    );
}
