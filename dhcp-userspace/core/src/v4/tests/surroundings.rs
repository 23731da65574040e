//! What is kept beside a lease, and which requests are answered without writing.

use super::world::*;
use crate::subnet::LeaseCache;
use dhcp_lease::Context;
use dhcp_lease::context::{ItemKind, ReconfigureKey};
use dhcp_wire::v4::code;
use std::net::{IpAddr, Ipv4Addr};

const AGENT: &[u8] = &[1, 4, b'p', b'o', b'r', b't', 2, 2, 0xaa, 0xbb];

fn acked(world: &mut World, request: &Request) -> Reply {
    let reply = world.serve(&request.frame()).unwrap();
    assert_eq!(reply.message_type(), dhcp_wire::v4::MessageType::ACK);
    reply
}

fn context(world: &World, address: Ipv4Addr) -> Context {
    world.bindings()[&address].context.clone()
}

fn lease_seconds(reply: &Reply) -> u32 {
    u32::from_be_bytes(reply.options[&code::LEASE_TIME][..].try_into().unwrap())
}

fn agent(context: &Context) -> Option<&[u8]> {
    context.of_kind(ItemKind::AGENT).next()
}

#[test]
fn a_client_on_the_link_without_a_name_has_no_context() {
    let mut world = World::new();
    let address = world.lease(&Client::new(1));
    assert!(context(&world, address).is_empty());
}

#[test]
fn option_82_is_kept_when_a_relay_agent_can_have_put_it_there() {
    let mut world = World::new();
    let address = world.lease(&Client::new(1).behind(RELAY, AGENT));
    let kept = context(&world, address);
    assert_eq!((kept.giaddr(), agent(&kept)), (Some(RELAY), Some(AGENT)));
    assert_eq!(kept.relay_source(), None, "the same as giaddr");

    let mut forged = Client::new(2);
    forged.agent = AGENT.to_vec();
    let address = world.lease(&forged);
    assert!(context(&world, address).is_empty());
}

#[test]
fn what_belongs_to_one_message_is_not_kept() {
    let mut world = World::new();
    let sent = [&[8, 3, 1, 2, 3][..], AGENT, &[10, 1, 0x80]].concat();
    let address = world.lease(&Client::new(1).behind(RELAY, &sent));
    assert_eq!(agent(&context(&world, address)), Some(AGENT));
}

#[test]
fn the_relay_agents_address_is_kept_where_it_is_not_giaddr() {
    let mut world = World::new();
    let client = Client::new(1).behind(RELAY, &[]);
    let address = world.lease(&client);
    world.pass(100, true);
    let source = ip("10.3.0.200");
    acked(&mut world, &client.rebinding(address).unicast_from(source));
    let kept = context(&world, address);
    assert_eq!(kept.relay_source(), Some((IpAddr::V4(source), None)));
}

/// A renewal by unicast goes past the relay agent. If that erased what the relay agent had said, nobody
/// could tell an hour later on which port the client is.
#[test]
fn a_renewal_past_the_relay_agent_keeps_what_it_said() {
    let mut world = World::new();
    let relayed = Client::new(1).behind(RELAY, AGENT);
    let address = world.lease(&relayed);
    let before = context(&world, address);
    world.pass(1800, true);
    acked(&mut world, &Client::new(1).renewing(address));
    assert!(world.has_written);
    assert_eq!(context(&world, address), before);
    // Behind another port now.
    world.pass(1800, true);
    let moved = Client::new(1).behind(RELAY, &[1, 1, b'x']);
    acked(&mut world, &moved.rebinding(address));
    let kept = context(&world, address);
    assert_eq!(agent(&kept), Some(&[1, 1, b'x'][..]));
}

#[test]
fn a_key_of_ours_stays_with_a_live_lease() {
    let mut world = World::new();
    let client = Client::new(1);
    let address = world.lease(&client);
    let key = ReconfigureKey {
        key: [5; 16],
        replay: 7,
    };
    let mut binding = world.bindings()[&address].clone();
    binding.context.set_reconfigure_key(&key);
    world.write(&binding);
    world.pass(1800, true);
    acked(&mut world, &client.renewing(address));
    assert_eq!(context(&world, address).reconfigure_key(), Some(key));
    // The client that comes back after its lease has another key.
    world.pass(4000, true);
    world.lease(&client);
    assert_eq!(context(&world, address).reconfigure_key(), None);
}

#[test]
fn the_name_is_kept_the_full_one_if_there_is_one() {
    let mut world = World::new();
    let client = Client::new(1);
    let address = world.lease(&client);
    world.pass(100, true);
    let named = client
        .rebinding(address)
        .option(code::HOST_NAME, b"printer");
    acked(&mut world, &named);
    let kept = context(&world, address);
    let items: Vec<_> = kept
        .items()
        .map(|item| (item.kind, item.data.to_vec()))
        .collect();
    assert_eq!(items, [(ItemKind::HOST_NAME, b"printer".to_vec())]);
    let full = named.option(code::CLIENT_FQDN, b"\x01\xff\xffprinter.example");
    acked(&mut world, &full);
    let kept = context(&world, address);
    let items: Vec<_> = kept
        .items()
        .map(|item| (item.kind, item.data.to_vec()))
        .collect();
    assert_eq!(items, [(ItemKind::FQDN, b"\x01printer.example".to_vec())]);
}

// RFC 2132 section 2 [trailing-zero-deleted].
#[test]
fn a_name_loses_the_zeros_at_its_end() {
    for (sent, expected) in [
        (&b"win95\0"[..], Some(&b"win95"[..])),
        (b"a\0b\0\0", Some(b"a\0b")),
        (b"\0", None),
        (b"", None),
    ] {
        let mut world = World::new();
        let client = Client::new(1);
        let address = world.lease(&client);
        world.pass(100, true);
        let named = client.rebinding(address).option(code::HOST_NAME, sent);
        acked(&mut world, &named);
        let kept = context(&world, address);
        let names: Vec<_> = kept.items().map(|item| item.data.to_vec()).collect();
        assert_eq!(
            names,
            expected.map(<[u8]>::to_vec).into_iter().collect::<Vec<_>>()
        );
    }
}

/// Requirement F-60: a client that has no answer yet asks again, and that is not a second write.
#[test]
fn a_duplicate_is_answered_with_what_is_left_and_not_written() {
    let mut world = World::new();
    let client = Client::new(1).behind(RELAY, AGENT);
    let address = world.lease(&client);
    for (pass, left, written) in [
        (0, LEASE, false),
        (4, LEASE - 4, false),
        (5, LEASE - 9, false),
        (1, LEASE, true),
        (3, LEASE - 3, false),
    ] {
        world.pass(pass, true);
        let ack = acked(&mut world, &client.selecting(address));
        assert_eq!((lease_seconds(&ack), world.has_written), (left, written));
    }
}

#[test]
fn every_use_of_request_may_be_a_duplicate() {
    let mut world = World::new();
    let client = Client::new(1);
    let address = world.lease(&client);
    world.pass(5, true);
    for request in [
        client.selecting(address),
        client.init_reboot(address),
        client.renewing(address),
        client.rebinding(address),
    ] {
        assert_eq!(lease_seconds(&acked(&mut world, &request)), LEASE - 5);
        assert!(!world.has_written);
    }
}

#[test]
fn early_renewals_are_not_written_where_the_operator_says_so() {
    let mut world = World::new();
    world.subnet(0, 0).lifetimes.cache = LeaseCache {
        threshold_millionths: Some(250_000),
        age_seconds_max: None,
    };
    let client = Client::new(1);
    let address = world.lease(&client);
    world.pass(899, true);
    let ack = acked(&mut world, &client.renewing(address));
    assert_eq!(
        (lease_seconds(&ack), world.has_written),
        (LEASE - 899, false)
    );
    world.pass(1, true);
    let ack = acked(&mut world, &client.renewing(address));
    assert_eq!((lease_seconds(&ack), world.has_written), (LEASE, true));
}

#[test]
fn whatever_else_changed_is_written_however_early() {
    let change = |make: &dyn Fn(&Client, Ipv4Addr) -> Request| {
        let mut world = World::new();
        let client = Client::new(1).with_id(b"one").behind(RELAY, AGENT);
        let address = world.lease(&client);
        world.pass(2, true);
        acked(&mut world, &make(&client, address));
        world.has_written
    };
    assert!(!change(&|client, address| client.rebinding(address)));
    // Circuit, relay agent, hardware address, name, wished lifetime.
    assert!(change(&|client, address| client
        .clone()
        .behind(RELAY, &[1, 1, b'x'])
        .rebinding(address)));
    assert!(change(&|client, address| client
        .clone()
        .behind(ip("10.3.0.2"), AGENT)
        .rebinding(address)));
    assert!(change(&|client, address| {
        let mut other = client.clone();
        other.mac = mac(9);
        other.rebinding(address)
    }));
    assert!(change(&|client, address| client
        .rebinding(address)
        .option(code::HOST_NAME, b"new")));
    assert!(change(&|client, address| client
        .rebinding(address)
        .option(code::LEASE_TIME, &1000u32.to_be_bytes())));
}

#[test]
fn a_request_that_comes_again_before_the_first_is_durable_is_not_written_again() {
    let mut world = World::new();
    let client = Client::new(1);
    let address = world.lease(&client);
    world.pass(100, true);
    world.settles = false;
    acked(&mut world, &client.renewing(address));
    let kept = std::mem::take(&mut world.log);
    let again = client.renewing(address).frame();
    assert_eq!(silence(world.serve(&again)), crate::Discard::Duplicate);
    assert!(!world.has_written);
    // Another wish is no duplicate, nor is one that comes long after.
    let shorter = client
        .renewing(address)
        .option(code::LEASE_TIME, &1000u32.to_be_bytes());
    acked(&mut world, &shorter);
    assert!(
        world.has_written,
        "its own log tells when it may be promised"
    );
    world.log = kept;
    world.pass(10, false);
    world.log = dhcp_lease::ChangeLog::default();
    acked(&mut world, &shorter);
    assert!(world.has_written);
}
