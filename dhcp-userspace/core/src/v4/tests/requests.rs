//! The four uses of REQUEST, INFORM, and who the client is.

use super::*;
use crate::Discard;
use crate::v4::Refusal;
use dhcp_wire::v4::{MessageType, code};

const OTHER_SERVER: [u8; 4] = [192, 0, 2, 1];

fn other_server(client: &Client, address: std::net::Ipv4Addr) -> Request {
    client
        .init_reboot(address)
        .option(code::SERVER_IDENTIFIER, &OTHER_SERVER)
}

// RFC 2131 section 4.3.2 [selecting-matches-offer]
#[test]
fn a_request_for_another_address_than_the_offered_one_is_refused() {
    let mut world = World::new();
    let client = Client::new(1);
    offered(world.serve(&client.discover().frame()));
    let request = client.selecting(ip("10.0.0.12"));
    assert_eq!(refusal(world.serve(&request.frame())), Refusal::NotOffered);
    assert!(world.bindings().is_empty());
}

// RFC 2131 section 3.1 [not-chosen]
#[test]
fn a_request_to_another_server_withdraws_the_offer_and_no_lease() {
    let mut world = World::new();
    let client = Client::new(1);
    let offer = offered(world.serve(&client.discover().frame()));
    let elsewhere = other_server(&client, ip("10.0.0.99"));
    assert_eq!(
        silence(world.serve(&elsewhere.frame())),
        Discard::OtherServer
    );
    let asks = Client::new(2)
        .discover()
        .option(code::REQUESTED_ADDRESS, &offer.octets());
    assert_eq!(offered(world.serve(&asks.frame())), offer, "free again");

    let address = world.lease(&client);
    assert_eq!(
        silence(world.serve(&elsewhere.frame())),
        Discard::OtherServer
    );
    assert!(world.bindings().contains_key(&address));
}

#[test]
fn a_request_after_the_offer_lapsed_is_granted_if_the_address_is_still_free() {
    for tick in [true, false] {
        let mut world = World::new();
        let client = Client::new(1);
        let offer = offered(world.serve(&client.discover().frame()));
        world.pass(61, tick);
        assert_eq!(acked(world.serve(&client.selecting(offer).frame())), offer);
    }
    let mut world = World::new();
    let client = Client::new(1);
    let offer = offered(world.serve(&client.discover().frame()));
    world.pass(61, true);
    world.lease(&Client::new(2));
    world.lease(&Client::new(3));
    world.lease(&Client::new(4));
    world.lease(&Client::new(5));
    assert_eq!(
        refusal(world.serve(&client.selecting(offer).frame())),
        Refusal::InUse
    );
}

#[test]
fn a_repeated_request_gets_its_ack_again() {
    let mut world = World::new();
    let client = Client::new(1);
    let address = world.lease(&client);
    assert_eq!(
        acked(world.serve(&client.selecting(address).frame())),
        address
    );
    let other = client.selecting(ip("10.0.0.12"));
    assert_eq!(refusal(world.serve(&other.frame())), Refusal::NotOffered);
    assert!(world.bindings().contains_key(&address));
}

// RFC 2131 section 4.3.2 [init-reboot-unknown]
#[test]
fn init_reboot_of_an_unknown_client_is_met_with_silence() {
    let mut world = World::new();
    let request = Client::new(1).init_reboot(ip("10.0.0.10"));
    assert_eq!(
        silence(world.serve(&request.frame())),
        Discard::UnknownBinding
    );
}

// RFC 2131 section 4.3.2 [request-init-reboot]
#[test]
fn init_reboot_confirms_the_address_or_says_that_it_is_another() {
    let mut world = World::new();
    let client = Client::new(1);
    let address = world.lease(&client);
    world.pass(100, true);
    assert_eq!(
        acked(world.serve(&client.init_reboot(address).frame())),
        address
    );
    assert_eq!(world.bindings()[&address].expires, world.now.after(LEASE));
    let other = client.init_reboot(ip("10.0.0.12"));
    assert_eq!(refusal(world.serve(&other.frame())), Refusal::OtherAddress);
}

// RFC 2131 section 4.3.2 [wrong-network]
#[test]
fn a_client_on_the_wrong_network_is_told_so() {
    let mut world = World::new();
    let known = Client::new(1);
    world.lease(&known);
    let address = ip("198.51.100.7");
    for authoritative in [true, false] {
        world.set_rules(|rules| rules.authoritative = authoritative);
        for request in [known.init_reboot(address), known.rebinding(address)] {
            assert_eq!(
                refusal(world.serve(&request.frame())),
                Refusal::WrongNetwork
            );
        }
    }
    let stranger = Client::new(2);
    for request in [stranger.init_reboot(address), stranger.rebinding(address)] {
        world.set_rules(|rules| rules.authoritative = false);
        assert_eq!(
            silence(world.serve(&request.frame())),
            Discard::UnknownBinding
        );
        world.set_rules(|rules| rules.authoritative = true);
        assert_eq!(
            refusal(world.serve(&request.frame())),
            Refusal::WrongNetwork
        );
    }
}

// RFC 2131 section 4.3.2 [request-extend]
#[test]
fn renewing_and_rebinding_extend_the_lease() {
    let mut world = World::new();
    let client = Client::new(1);
    let address = world.lease(&client);
    for request in [client.renewing(address), client.rebinding(address)] {
        world.pass(1000, true);
        assert_eq!(acked(world.serve(&request.frame())), address);
        assert_eq!(world.bindings()[&address].expires, world.now.after(LEASE));
    }
    let other = client.renewing(ip("10.0.0.11"));
    assert_eq!(refusal(world.serve(&other.frame())), Refusal::OtherAddress);
}

// RFC 2131 section 4.3.2 [renewing-trusts-ciaddr]
#[test]
fn a_renewal_comes_straight_from_a_client_behind_a_relay_agent() {
    let mut world = World::new();
    let client = Client::new(1).behind(RELAY, &[]);
    let address = world.lease(&client);
    let direct = Client::new(1);
    let reply = world.serve(&direct.renewing(address).frame()).unwrap();
    assert_eq!(reply.message_type(), MessageType::ACK);
    assert_eq!(reply.yiaddr(), address);
    assert_eq!(
        silence(world.serve(&direct.release(address).frame())),
        Discard::Released
    );
}

// RFC 2131 section 4.4.1, table 5
#[test]
fn a_discover_is_not_placed_by_the_address_that_it_claims_to_have() {
    let mut world = World::new();
    world.subnet(1, 0).rapid_commit = true;
    let forged = Client::new(1)
        .discover()
        .option(80, &[])
        .ciaddr(ip("10.3.0.200"))
        .unicast_from(ip("10.3.0.200"));
    // The client is where its message was heard.
    assert_eq!(offered(world.serve(&forged.frame())), ip("10.0.0.10"));
    assert!(world.bindings().is_empty());
}

#[test]
fn a_renewal_after_the_end_is_granted_if_the_address_is_still_free() {
    for tick in [true, false] {
        for rebinding in [true, false] {
            let mut world = World::new();
            let client = Client::new(1);
            let address = world.lease(&client);
            world.pass(u64::from(LEASE) + 1, tick);
            let request = if rebinding {
                client.rebinding(address)
            } else {
                client.renewing(address)
            };
            assert_eq!(acked(world.serve(&request.frame())), address);
        }
    }
    let mut world = World::new();
    let client = Client::new(1);
    let address = world.lease(&client);
    world.pass(u64::from(LEASE + dhcp_lease::GRACE_SECONDS), true);
    let taker = Client::new(2);
    let asks = taker
        .discover()
        .option(code::REQUESTED_ADDRESS, &address.octets());
    assert_eq!(offered(world.serve(&asks.frame())), address);
    assert_eq!(
        refusal(world.serve(&client.renewing(address).frame())),
        Refusal::InUse
    );
}

/// Renewals of clients that the server has no record of, after the loss of its leases.
#[test]
fn an_unknown_renewal_is_granted_if_free_and_an_unknown_rebinding_is_left_to_others() {
    let mut world = World::new();
    let client = Client::new(1);
    let address = ip("10.0.0.12");
    assert_eq!(
        silence(world.serve(&client.rebinding(address).frame())),
        Discard::UnknownBinding
    );
    world.set_rules(|rules| rules.authoritative = false);
    assert_eq!(
        silence(world.serve(&client.renewing(address).frame())),
        Discard::UnknownBinding
    );
    world.set_rules(|rules| rules.authoritative = true);
    assert_eq!(
        acked(world.serve(&client.renewing(address).frame())),
        address
    );
    let thief = Client::new(2).renewing(address);
    assert_eq!(refusal(world.serve(&thief.frame())), Refusal::InUse);
    let far = Client::new(3).renewing(ip("10.3.0.20"));
    assert_eq!(
        silence(world.serve(&far.frame())),
        Discard::UnknownBinding,
        "anybody can say so"
    );
    let outside = Client::new(2).renewing(ip("10.0.0.200"));
    assert_eq!(
        refusal(world.serve(&outside.frame())),
        Refusal::NotPermitted
    );
}

// RFC 2131 section 4.3.2 [request-needs-address]
#[test]
fn a_request_for_nothing_or_for_two_things_is_invalid() {
    let mut world = World::new();
    let client = Client::new(1);
    let address = world.lease(&client);
    let request = || client.ask(MessageType::REQUEST);
    let invalid = [
        request(),
        request().option(code::SERVER_IDENTIFIER, &SERVER.octets()),
        client.init_reboot(ip("10.0.0.12")).ciaddr(address),
        client.selecting(ip("10.0.0.12")).ciaddr(address),
    ];
    for request in invalid {
        assert_eq!(silence(world.serve(&request.frame())), Discard::Invalid);
    }
    // dhcping sends both, with the same address.
    let both = client
        .init_reboot(address)
        .ciaddr(address)
        .unicast_from(address);
    assert_eq!(acked(world.serve(&both.frame())), address);
}

// RFC 5010 section 5 [relay-flags]
#[test]
fn a_relay_agent_may_say_that_the_client_sent_unicast() {
    let address = ip("10.3.0.10");
    for (flags, renewing) in [(0x80, true), (0x00, false), (0x7f, false)] {
        let client = Client::new(1).behind(RELAY, &[10, 1, flags]);
        let outcome = World::new().serve(&client.rebinding(address).frame());
        if renewing {
            assert_eq!(acked(outcome), address);
        } else {
            assert_eq!(silence(outcome), Discard::UnknownBinding);
        }
    }
}

// RFC 2131 section 4.3.5 [inform-to-ciaddr]
// RFC 2131 section 4.3.5 [inform-no-lease]
#[test]
fn inform_gets_parameters_and_no_lease() {
    let mut world = World::new();
    let address = ip("10.0.1.200");
    let client = Client::new(1);
    let inform = || {
        client
            .ask(MessageType::INFORM)
            .option(code::PARAMETER_REQUEST_LIST, &[3, 6])
    };
    let forgot = inform().unicast_from(address);
    for request in [inform().ciaddr(address), forgot] {
        let reply = world.serve(&request.frame()).unwrap();
        assert_eq!(reply.message_type(), MessageType::ACK);
        assert_eq!(reply.yiaddr(), NONE);
        assert_eq!(reply.header.ciaddr(), address);
        assert_eq!(reply.order, [53, 54, 3, 6, 15, 42]);
        assert_eq!(
            reply.options[&3],
            [10, 0, 1, 1],
            "of the subnet that it is in"
        );
        let (to, to_mac, port) = reply.to();
        assert_eq!((to, to_mac.0, port), (address, mac(1), 68));
    }
    assert!(world.bindings().is_empty());
    let relayed = client.clone().behind(RELAY, &[]).ask(MessageType::INFORM);
    let reply = world.serve(&relayed.frame()).unwrap();
    assert_eq!(
        (reply.to(), reply.header.flags.get()),
        ((RELAY, RELAY_MAC, 67), 0x8000)
    );
    let elsewhere = inform().ciaddr(ip("198.51.100.7"));
    assert_eq!(
        silence(world.serve(&elsewhere.frame())),
        Discard::BadDestination
    );
}

// RFC 2131 section 4.2 [client-identity]
// CVE-2012-3571: an empty client identifier made a server loop.
#[test]
fn who_is_a_client_and_who_is_not() {
    let ok = None;
    type Case = (u8, u8, [u8; 6], &'static [u8], Option<Discard>);
    let cases: [Case; 12] = [
        (1, 6, mac(1), b"", ok),
        (1, 6, [0; 6], b"", Some(Discard::NoClient)),
        (1, 6, [0xff; 6], b"", Some(Discard::NoClient)),
        (1, 6, [1, 0, 0x5e, 0, 0, 1], b"", Some(Discard::NoClient)),
        (1, 0, mac(1), b"", Some(Discard::NoClient)),
        (1, 17, mac(1), b"", Some(Discard::NoClient)),
        (1, 255, mac(1), b"id", Some(Discard::NoClient)),
        (1, 16, mac(1), b"", ok),
        (32, 0, [0; 6], b"id", ok), // IPoIB, RFC 4390
        (1, 6, [0; 6], b"id", ok),
        (6, 6, [1; 6], b"", ok),
        (1, 6, [0xff; 6], b"\x00", ok),
    ];
    for (htype, hlen, chaddr, id, expected) in cases {
        let mut world = World::new();
        let mut discover = Client::new(1).with_id(id).discover();
        (discover.header.htype, discover.header.hlen) = (htype, hlen);
        discover.header.chaddr[..6].copy_from_slice(&chaddr);
        let outcome = world.serve(&discover.frame());
        assert_eq!(outcome.err(), expected, "{htype} {hlen} {chaddr:?} {id:?}");
    }
}

#[test]
fn client_identifiers_of_every_length_are_kept_apart() {
    let mut world = World::new();
    for len in [1, 2, 3, 64, 254, 255] {
        let client = Client::new(1).with_id(&vec![7; len]).behind(RELAY, &[]);
        let address = world.lease(&client);
        assert_eq!(
            acked(world.serve(&client.rebinding(address).frame())),
            address
        );
    }
    assert_eq!(world.bindings().len(), 6);
    let empty = Client::new(2)
        .discover()
        .option(code::CLIENT_IDENTIFIER, &[]);
    let reply = world.serve(&empty.frame()).unwrap();
    assert!(!reply.options.contains_key(&code::CLIENT_IDENTIFIER));
    let long = Client::new(2).with_id(&[7; 256]).discover();
    assert_eq!(silence(world.serve(&long.frame())), Discard::NoClient);
}

#[test]
fn the_lifetime_is_the_configured_one_or_the_asked_one_within_bounds() {
    let cases = [
        (None, 3600, Some((1800, 3150))),
        (Some(0), 600, Some((300, 525))),
        (Some(1), 600, Some((300, 525))),
        (Some(1000), 1000, Some((500, 875))),
        (Some(0x7fff_ffff), 7200, Some((3600, 6300))),
        (Some(0xffff_ffff), 7200, Some((3600, 6300))),
    ];
    for (asked, seconds, timers) in cases {
        check_lifetime(&mut World::new(), asked, seconds, timers);
    }
    let mut forever = World::new();
    let mut subnet = forever.subnet(0, 0);
    (subnet.lifetimes.valid, subnet.lifetimes.valid_max) = (u32::MAX, u32::MAX);
    drop(subnet);
    check_lifetime(&mut forever, None, u32::MAX, None);
    let mut configured = World::new();
    let mut subnet = configured.subnet(0, 0);
    (subnet.lifetimes.renew, subnet.lifetimes.rebind) = (Some(1000), Some(2000));
    drop(subnet);
    check_lifetime(&mut configured, None, 3600, Some((1000, 2000)));
    check_lifetime(&mut configured, Some(900), 900, Some((450, 787)));
}

// RFC 2131 section 4.4.5 [t1-t2]
fn check_lifetime(world: &mut World, asked: Option<u32>, seconds: u32, timers: Option<(u32, u32)>) {
    let mut discover = Client::new(1).discover();
    if let Some(asked) = asked {
        discover = discover.option(code::LEASE_TIME, &asked.to_be_bytes());
    }
    let offer = world.serve(&discover.frame()).unwrap();
    assert_eq!(offer.seconds(code::LEASE_TIME), seconds, "asked {asked:?}");
    match timers {
        Some((renew, rebind)) => {
            assert_eq!(offer.seconds(code::RENEWAL_TIME), renew);
            assert_eq!(offer.seconds(code::REBINDING_TIME), rebind);
        }
        None => assert!(!offer.options.contains_key(&code::RENEWAL_TIME)),
    }
}
