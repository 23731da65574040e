//! How replies look and where they go.

use super::*;
use crate::Discard;
use crate::subnet::ReservedBy;
use crate::v4::Refusal;
use dhcp_wire::frame::{Addresses, MacAddress, Tags};
use dhcp_wire::v4::{MessageType, code};
use std::net::Ipv4Addr;

const EVERYBODY: (Ipv4Addr, MacAddress, u16) = (Ipv4Addr::BROADCAST, MacAddress::BROADCAST, 68);
/// Circuit id and remote id.
const CIRCUIT: &[u8] = b"\x01\x04eth7\x02\x06\xaa\xbb\xcc\xdd\xee\xff";

// RFC 2131 section 4.1 [relayed-reply-to-giaddr]
// RFC 2131 section 4.1 [nak-broadcast]
// RFC 2131 section 4.1 [reply-to-ciaddr]
// RFC 2131 section 4.1 [broadcast-bit]
// RFC 2131 section 4.1 [unicast-to-yiaddr]
#[test]
fn every_reply_goes_where_the_client_can_hear_it() {
    let mut world = World::new();
    let client = Client::new(1);
    let address = world.lease(&client);
    let relayed = Client::new(1).behind(RELAY, CIRCUIT);
    world.lease(&relayed);
    let station = MacAddress(mac(1));
    let wrong = ip("10.0.0.12");
    let cases = [
        (client.discover(), (address, station, 68)),
        (client.discover().broadcast_bit(), EVERYBODY),
        (client.discover().ciaddr(wrong), (address, station, 68)),
        (client.selecting(address), (address, station, 68)),
        (client.selecting(address).broadcast_bit(), EVERYBODY),
        (client.init_reboot(address), (address, station, 68)),
        (client.rebinding(address), (address, station, 68)),
        (
            client.rebinding(address).broadcast_bit(),
            (address, station, 68),
        ),
        (client.renewing(address), (address, station, 68)),
        (client.init_reboot(wrong), EVERYBODY),
        (client.renewing(wrong), EVERYBODY),
        (relayed.discover(), (RELAY, RELAY_MAC, 67)),
        (relayed.discover().broadcast_bit(), (RELAY, RELAY_MAC, 67)),
        (relayed.rebinding(ip("10.3.0.10")), (RELAY, RELAY_MAC, 67)),
        (relayed.init_reboot(wrong), (RELAY, RELAY_MAC, 67)),
    ];
    for (number, (request, expected)) in cases.into_iter().enumerate() {
        let reply = world.serve(&request.frame()).unwrap();
        assert_eq!(reply.to(), expected, "case {number}: {reply:?}");
        assert_eq!(reply.header.xid.get(), 0x1234_5678);
        assert_eq!(reply.header.giaddr, request.header.giaddr);
        assert_eq!(reply.header.chaddr, request.header.chaddr);
    }
}

#[test]
fn a_client_without_an_ethernet_address_is_answered_by_broadcast() {
    let mut world = World::new();
    let mut infiniband = Client::new(1).with_id(b"\x00guid").discover();
    (infiniband.header.htype, infiniband.header.hlen) = (32, 0);
    infiniband.header.chaddr = [0; 16];
    let reply = world.serve(&infiniband.frame()).unwrap();
    assert_eq!(reply.to(), EVERYBODY);
    assert_eq!((reply.header.htype, reply.header.hlen), (32, 0));
}

#[test]
fn vlan_tags_are_answered_as_they_came() {
    let mut world = World::new();
    let mut discover = Client::new(1).discover();
    discover.envelope.tags = Tags {
        count: 2,
        tags: [(0x88a8, 100), (0x8100, 0x6007)],
    };
    let reply = world.serve(&discover.frame()).unwrap();
    assert_eq!(reply.envelope.tags, discover.envelope.tags);
}

#[test]
fn nothing_is_sent_to_addresses_that_are_no_hosts() {
    for address in [
        "224.0.0.1",
        "127.0.0.1",
        "255.255.255.255",
        "0.0.0.1",
        "240.1.2.3",
        "10.0.0.1",
    ] {
        let mut world = World::new();
        for network in 0..2 {
            let mut subnet = world.subnet(network, 0);
            (subnet.network, subnet.prefix_len) = (NONE, 0);
        }
        let relayed = Client::new(1).behind(ip(address), &[]).discover();
        let expected = match address {
            "10.0.0.1" => Discard::GiaddrOurs,
            _ => Discard::BadDestination,
        };
        assert_eq!(
            silence(world.serve(&relayed.frame())),
            expected,
            "{address}"
        );
        let renewing = Client::new(1).renewing(ip(address));
        assert_eq!(
            silence(world.serve(&renewing.frame())),
            Discard::BadDestination,
            "{address}"
        );
    }
}

// RFC 2131 section 4.3.1 [nak-options]
// RFC 2131 section 4.3.2 [relayed-nak-broadcast]
// RFC 6842 section 3 [client-id-echo]
#[test]
fn a_nak_says_who_to_whom_and_why_and_nothing_else() {
    let mut world = World::new();
    world.subnet(0, 0).next_server = ip("10.0.0.77");
    world.subnet(0, 0).server_hostname = b"server"[..].into();
    world.subnet(0, 0).boot_file_name = b"boot"[..].into();
    let client = Client::new(1).with_id(b"\x01identity");
    let wrong = ip("198.51.100.1");
    let nak = world.serve(&client.init_reboot(wrong).frame()).unwrap();
    assert_eq!(nak.order, [53, 54, 61, 56]);
    assert_eq!(nak.options[&61], b"\x01identity");
    assert_eq!(nak.options[&56], b"wrong network");
    assert_eq!(nak.header.flags.get(), 0);

    let relayed = client.behind(RELAY, CIRCUIT);
    let nak = world.serve(&relayed.rebinding(wrong).frame()).unwrap();
    assert_eq!(nak.order, [53, 54, 61, 56, 82]);
    assert_eq!(nak.header.flags.get(), 0x8000);
    let header = nak.header;
    assert_eq!(
        [header.ciaddr(), header.yiaddr(), header.siaddr()],
        [NONE; 3]
    );
    assert!(
        header
            .file
            .iter()
            .chain(&header.sname)
            .all(|&octet| octet == 0)
    );
}

// RFC 6842 section 3 [client-id-echo]
#[test]
fn the_client_identifier_is_echoed_in_every_answer() {
    let mut world = World::new();
    let client = Client::new(1).with_id(b"\xff\x00\x01");
    let offer = world.serve(&client.discover().frame()).unwrap();
    let ack = world
        .serve(&client.selecting(offer.yiaddr()).frame())
        .unwrap();
    let nak = world
        .serve(&client.init_reboot(ip("10.0.0.13")).frame())
        .unwrap();
    assert_eq!(nak.message_type(), MessageType::NAK);
    for reply in [offer, ack, nak] {
        assert_eq!(reply.options[&code::CLIENT_IDENTIFIER], client.id);
    }
}

// RFC 3046 section 2.2 [relay-option-echo]
// RFC 3046 section 2.2 [relay-option-last]
#[test]
fn the_relay_agents_option_is_echoed_whole_and_last() {
    let mut world = World::new();
    let long = [&[9, 253][..], &[0xab; 253]].concat();
    for agent in [CIRCUIT, b"\x00\x00\xff\x01", b"\x01\xffcut", &long] {
        let client = Client::new(1).behind(RELAY, agent);
        let offer = world.serve(&client.discover().frame()).unwrap();
        let ack = world
            .serve(&client.selecting(offer.yiaddr()).frame())
            .unwrap();
        let nak = world
            .serve(&client.init_reboot(ip("10.3.0.99")).frame())
            .unwrap();
        for reply in [offer, ack, nak] {
            assert_eq!(reply.options[&82], agent);
            assert_eq!(reply.order.iter().filter(|&&code| code == 82).count(), 1);
            let end = [agent, &[255]].concat();
            let at = reply
                .payload
                .windows(end.len())
                .position(|window| window == end)
                .unwrap();
            assert!(
                reply.payload[at + end.len()..]
                    .iter()
                    .all(|&octet| octet == 0)
            );
        }
    }
}

/// Two relay agents that both add their option (capture v4-relay2-two-option82).
#[test]
fn two_relay_agents_get_both_their_options_back() {
    let mut world = World::new();
    let discover = Client::new(1).behind(RELAY, CIRCUIT).discover();
    let discover = discover.option(code::RELAY_AGENT, b"\x01\x01x");
    let reply = world.serve(&discover.frame()).unwrap();
    let both = [&b"\x52\x03\x01\x01x"[..], b"\x52\x0e", CIRCUIT, b"\xff"].concat();
    assert!(
        reply
            .payload
            .windows(both.len())
            .any(|window| window == both)
    );
    let too_much = discover
        .option(code::RELAY_AGENT, &[7; 255])
        .option(code::RELAY_AGENT, &[7; 255]);
    assert_eq!(silence(world.serve(&too_much.frame())), Discard::TooMany);
}

#[test]
fn an_option_82_that_does_not_fit_is_left_out() {
    let mut world = World::new();
    let client = Client::new(1).with_id(&[5; 200]).behind(RELAY, &[9; 100]);
    let offer = world.serve(&client.discover().frame()).unwrap();
    assert!(!offer.options.contains_key(&82));
    assert!(offer.payload.len() <= 548);
    let roomy = client
        .discover()
        .option(code::MAXIMUM_MESSAGE_SIZE, &1500u16.to_be_bytes());
    assert_eq!(world.serve(&roomy.frame()).unwrap().options[&82], [9; 100]);
}

// RFC 3046 section 2.1 [relay-option-place]
#[test]
fn an_option_82_in_file_is_no_relay_agents() {
    let mut world = World::new();
    let mut discover = Client::new(1)
        .behind(RELAY, &[])
        .discover()
        .option(code::OVERLOAD, &[1]);
    discover.header.file[..9].copy_from_slice(b"\x52\x06\x05\x04\x0a\x00\x00\x00\xff");
    let reply = world.serve(&discover.frame()).unwrap();
    assert_eq!(reply.yiaddr(), ip("10.3.0.10"));
    assert!(!reply.options.contains_key(&82));
}

// RFC 3527 section 3 [link-selection]
#[test]
fn link_selection_decides_over_giaddr_and_does_not_redirect_the_reply() {
    let mut world = World::new();
    let link = b"\x05\x04\x0a\x03\x00\x00";
    let far = Client::new(1).behind(ip("192.0.2.77"), link);
    let reply = world.serve(&far.discover().frame()).unwrap();
    assert_eq!(reply.yiaddr(), ip("10.3.0.10"));
    assert_eq!(reply.to(), (ip("192.0.2.77"), RELAY_MAC, 67));

    let unknown = Client::new(2).behind(RELAY, b"\x05\x04\xc0\x00\x02\x00");
    assert_eq!(
        silence(world.serve(&unknown.discover().frame())),
        Discard::NoSubnet
    );
    let malformed = Client::new(3).behind(RELAY, b"\x05\x03\x0a\x00\x00");
    assert_eq!(
        offered(world.serve(&malformed.discover().frame())),
        ip("10.3.0.11")
    );
    let unrelayed = Client::new(4).discover().option(code::RELAY_AGENT, link);
    let reply = world.serve(&unrelayed.frame()).unwrap();
    assert_eq!(reply.yiaddr(), ip("10.0.0.10"), "not believed");
    assert!(!reply.options.contains_key(&82), "nor echoed");
}

// RFC 2131 section 4.3.1 [subnet-by-giaddr]
#[test]
fn a_relay_agent_is_known_by_its_subnet_or_by_name() {
    let mut world = World::new();
    for giaddr in ["10.3.0.1", "10.3.0.254", "192.0.2.9"] {
        let discover = Client::new(1).behind(ip(giaddr), &[]).discover();
        assert_eq!(offered(world.serve(&discover.frame())), ip("10.3.0.10"));
    }
    let stranger = Client::new(1).behind(ip("192.0.2.10"), &[]).discover();
    assert_eq!(silence(world.serve(&stranger.frame())), Discard::NoSubnet);
}

// RFC 2131 section 4.3.1 [subnet-by-interface]
#[test]
fn a_direct_client_is_on_the_subnet_of_the_interface_by_name_first() {
    let mut world = World::new();
    world.subnet(1, 0).interface = Some("eth0".into());
    assert_eq!(world.lease(&Client::new(1)), ip("10.3.0.10"));
    world.interface.name = "eth1".into();
    assert_eq!(world.lease(&Client::new(2)), ip("10.0.0.10"));
    world.interface.v4 = vec![ip("203.0.113.1")];
    let lost = Client::new(3).discover();
    assert_eq!(silence(world.serve(&lost.frame())), Discard::NoSubnet);
}

// RFC 5107 section 4 [server-id-override]
#[test]
fn the_relay_agent_may_stand_in_for_the_server() {
    let mut world = World::new();
    let relay_id = [10, 3, 0, 254];
    let client = Client::new(1).behind(RELAY, &[&b"\x0b\x04"[..], &relay_id].concat());
    let offer = world.serve(&client.discover().frame()).unwrap();
    assert_eq!(offer.options[&54], relay_id);
    let address = offer.yiaddr();
    let request = client.init_reboot(address).option(54, &relay_id);
    let ack = world.serve(&request.frame()).unwrap();
    assert_eq!(
        (ack.yiaddr(), &ack.options[&54][..]),
        (address, &relay_id[..])
    );
    let release = client
        .ask(MessageType::RELEASE)
        .ciaddr(address)
        .option(54, &relay_id);
    assert_eq!(silence(world.serve(&release.frame())), Discard::Released);

    let without = Client::new(1)
        .behind(RELAY, &[])
        .init_reboot(address)
        .option(54, &relay_id);
    assert_eq!(silence(world.serve(&without.frame())), Discard::OtherServer);
}

// RFC 2131 section 4.1 [server-id-reachable]
// RFC 2131 section 4.3.1 [server-id-always]
#[test]
fn the_server_identifier_is_the_address_on_the_clients_subnet() {
    let mut world = World::new();
    world.interface.v4 = vec![ip("192.0.2.1"), SERVER];
    let offer = world.serve(&Client::new(1).discover().frame()).unwrap();
    assert_eq!(offer.options[&54], SERVER.octets());
    let by_the_other = Client::new(1)
        .init_reboot(offer.yiaddr())
        .option(54, &[192, 0, 2, 1]);
    assert_eq!(acked(world.serve(&by_the_other.frame())), offer.yiaddr());

    world.subnet(0, 0).server_identifier = Some(ip("10.0.0.5"));
    let offer = world.serve(&Client::new(2).discover().frame()).unwrap();
    assert_eq!(offer.options[&54], [10, 0, 0, 5]);
    let request = Client::new(2)
        .init_reboot(offer.yiaddr())
        .option(54, &[10, 0, 0, 5]);
    assert_eq!(acked(world.serve(&request.frame())), offer.yiaddr());
}

// RFC 2131 section 4.3.1 [parameters-requested]
// RFC 2132 section 3.3 [mask-before-routers]
#[test]
fn parameters_come_in_the_clients_order_each_once() {
    let cases: [(&[u8], &[u8]); 6] = [
        (&[6, 3, 1, 15], &[6, 1, 3, 15, 42]),
        (&[15, 15, 6, 6, 200], &[15, 6, 1, 3, 42]),
        (&[42, 3], &[42, 1, 3, 6, 15]),
        (&[3], &[1, 3, 6, 15, 42]),
        (
            &[53, 54, 51, 58, 61, 82, 0, 255, 52, 50, 80],
            &[1, 3, 6, 15, 42],
        ),
        (&[], &[1, 3, 6, 15, 42]),
    ];
    for (asked, sent) in cases {
        let mut world = World::new();
        let mut discover = Client::new(1).discover();
        if !asked.is_empty() {
            discover = discover.option(code::PARAMETER_REQUEST_LIST, asked);
        }
        let offer = world.serve(&discover.frame()).unwrap();
        assert_eq!(offer.order[..5], [53, 54, 51, 58, 59]);
        assert_eq!(offer.order[5..], *sent, "asked {asked:?}");
    }
}

#[test]
fn what_does_not_fit_overflows_and_what_has_no_room_is_left_out() {
    let mut world = World::new();
    let big = [7u8; 120];
    let list: Vec<_> = (224..232).map(|code| (code, &big[..], false)).collect();
    world.subnet(0, 0).options = options(&list);
    let asked: Vec<u8> = (224..232).collect();
    let discover = Client::new(1)
        .discover()
        .option(code::PARAMETER_REQUEST_LIST, &asked);
    let small = world.serve(&discover.frame()).unwrap();
    assert!(small.payload.len() <= 548);
    let held = small.order.iter().filter(|&&code| code >= 224).count();
    assert_eq!(held, 3, "two in the options field, one in `file`");
    for limit in [0u16, 575, 576] {
        let same = discover
            .clone()
            .option(code::MAXIMUM_MESSAGE_SIZE, &limit.to_be_bytes());
        assert_eq!(world.serve(&same.frame()).unwrap().order, small.order);
    }
    for limit in [1500u16, 65535] {
        let roomy = discover
            .clone()
            .option(code::MAXIMUM_MESSAGE_SIZE, &limit.to_be_bytes());
        let reply = world.serve(&roomy.frame()).unwrap();
        assert_eq!(reply.order.iter().filter(|&&code| code >= 224).count(), 8);
        assert!(reply.payload.len() <= 1472);
    }
}

#[test]
fn bootstrap_fields_and_the_clients_name_are_filled_in() {
    let mut world = World::new();
    world.reserve(ReservedBy::HardwareAddress, &mac(1), "10.0.0.50");
    world.subnet(0, 0).next_server = ip("10.0.0.77");
    world.subnet(0, 0).server_hostname = b"server"[..].into();
    world.subnet(0, 0).boot_file_name = b"pxelinux.0"[..].into();
    for list in [&[12, 3][..], &[3], &[]] {
        let discover = Client::new(1)
            .discover()
            .option(code::PARAMETER_REQUEST_LIST, list);
        let offer = world.serve(&discover.frame()).unwrap();
        assert_eq!(offer.header.siaddr(), ip("10.0.0.77"));
        assert_eq!(offer.header.file[..11], *b"pxelinux.0\0");
        assert_eq!(offer.header.sname[..7], *b"server\0");
        assert_eq!(offer.options[&12], b"named");
    }
    let other = world.serve(&Client::new(2).discover().frame()).unwrap();
    assert!(!other.options.contains_key(&12));
}

// RFC 2131 section 4.3.1 [header-fields]
#[test]
fn ciaddr_is_echoed_in_an_ack_and_nowhere_else() {
    let mut world = World::new();
    let client = Client::new(1);
    let address = world.lease(&client);
    let ack = world.serve(&client.renewing(address).frame()).unwrap();
    assert_eq!(ack.header.ciaddr(), address);
    let offer = world
        .serve(&client.discover().ciaddr(address).frame())
        .unwrap();
    assert_eq!(offer.header.ciaddr(), NONE);
    let nak = world
        .serve(&client.renewing(ip("10.0.0.12")).frame())
        .unwrap();
    assert_eq!(refusal(Ok(nak)), Refusal::OtherAddress);
}

#[test]
fn a_frame_without_room_is_no_reason_to_panic() {
    let mut world = World::new();
    let request = Client::new(1).discover().frame();
    let offer = world.serve(&request).unwrap();
    let mut query = crate::v4::Query::default();
    let datagram = dhcp_wire::frame::Datagram::parse(&request).unwrap();
    let World {
        policy, interface, ..
    } = &world;
    crate::v4::classify(
        datagram.payload,
        &datagram.envelope,
        interface,
        policy,
        &mut query,
    )
    .unwrap();
    for len in 0..342 {
        let mut frame = vec![0; len];
        let outcome = crate::v4::reply(&query, &offer.answer, policy, &mut frame);
        assert_eq!(outcome, Err(Discard::ReplyTooLong), "{len}");
    }
    assert!(matches!(offer.envelope.addresses, Addresses::V4 { .. }));
}
