//! Is an address probed before it is offered, and what becomes of one that is in use?

use super::*;
use crate::Discard;
use crate::probe::{Finding, Probe, Probes};
use dhcp_lease::State;
use dhcp_wire::v4::code;
use std::net::Ipv4Addr;
use std::sync::Arc;

const PROBE: Probe = Probe {
    requests: 1,
    reply_timeout_millis: 100,
    quiet_seconds: 60,
};

/// A server that probes on the interface's first subnet.
fn world() -> (World, Arc<Probes>) {
    let mut world = World::new();
    let probes = Arc::new(Probes::default());
    world.policy.probes = Some(Arc::clone(&probes));
    world.subnet(0, 0).probe = Some(PROBE);
    (world, probes)
}

/// What a DISCOVER comes to: the address, and whether the OFFER waits for it to be probed.
fn discover(world: &mut World, client: &Client) -> (Ipv4Addr, bool) {
    let reply = world.serve(&client.discover().frame()).unwrap();
    let waits = reply.answer.probed_until.is_some();
    (offered(Ok(reply)), waits)
}

/// Answers everything that is asked, as `is_used` says of each address. How much that was.
fn find_out(world: &World, probes: &Probes, is_used: impl Fn(Ipv4Addr) -> bool) -> usize {
    let mut asked = Vec::new();
    probes.asked(world.now, |address| asked.push(address));
    for &address in &asked {
        let finding = match is_used(address) {
            true => Finding::Used,
            false => Finding::Clear,
        };
        assert!(probes.answer(address, finding, world.now));
    }
    asked.len()
}

// RFC 2131 section 3.1 [probe-before-offer], RFC 2131 section 2.2 [probe-new-address]
#[test]
fn the_offer_of_a_new_address_waits_for_its_probe_and_nothing_else_does() {
    let (mut world, probes) = world();
    let client = Client::new(1);
    for _ in 0..2 {
        assert_eq!(discover(&mut world, &client), (ip("10.0.0.10"), true));
    }
    assert_eq!(find_out(&world, &probes, |_| false), 1, "once");
    assert_eq!(discover(&mut world, &client), (ip("10.0.0.10"), false));
    // RFC 2131 section 3.1 [no-probe-of-requests]
    let address = ip("10.0.0.10");
    assert_eq!(
        acked(world.serve(&client.selecting(address).frame())),
        address
    );
    world.pass(1000, true);
    assert_eq!(
        acked(world.serve(&client.renewing(address).frame())),
        address
    );
    assert_eq!(discover(&mut world, &client), (address, false));
    assert_eq!(find_out(&world, &probes, |_| false), 0);
}

#[test]
fn an_address_that_is_in_use_is_set_aside_and_the_next_one_probed() {
    let (mut world, probes) = world();
    let client = Client::new(1);
    discover(&mut world, &client);
    find_out(&world, &probes, |_| true);
    assert_eq!(discover(&mut world, &client), (ip("10.0.0.11"), true));
    assert!(world.has_written, "the first is declined, durably");
    let bindings = world.bindings();
    let declined = &bindings[&ip("10.0.0.10")];
    assert_eq!(declined.state, State::Declined);
    assert!(declined.client.is_empty() && declined.hardware.as_slice().is_empty());
    find_out(&world, &probes, |_| false);
    assert_eq!(discover(&mut world, &client), (ip("10.0.0.11"), false));
    // Nobody gets it while the quarantine lasts, not even who asks for it.
    let wanted = Client::new(2)
        .discover()
        .option(code::REQUESTED_ADDRESS, &ip("10.0.0.10").octets());
    assert_eq!(offered(world.serve(&wanted.frame())), ip("10.0.0.12"));
    world.pass(100_000, true);
    assert!(!world.bindings().contains_key(&ip("10.0.0.10")));
    assert_eq!(
        probes.known(ip("10.0.0.10"), world.now),
        None,
        "then it is probed anew"
    );
}

#[test]
fn a_pool_that_others_use_as_a_whole_is_no_pool() {
    let (mut world, probes) = world();
    // The second subnet of the link is not probed.
    let networks = &mut world.policy.networks_v4;
    networks.edit(|networks| networks[0].subnets.truncate(1));
    let client = Client::new(1);
    for _ in 0..4 {
        assert!(discover(&mut world, &client).1);
        find_out(&world, &probes, |_| true);
    }
    let discovered = world.serve(&client.discover().frame());
    assert_eq!(silence(discovered), Discard::NoAddress);
    assert_eq!(world.bindings().len(), 4);
}

/// One DISCOVER sets a few addresses aside and no more, however many are known to be in use.
#[test]
fn one_message_sets_a_few_addresses_aside() {
    let (mut world, probes) = world();
    for number in 1..5 {
        discover(&mut world, &Client::new(number));
    }
    assert_eq!(find_out(&world, &probes, |_| true), 4);
    world.pass(61, true);
    let client = Client::new(9);
    let discovered = world.serve(&client.discover().frame());
    assert_eq!(silence(discovered), Discard::ProbedInUse);
    assert_eq!(world.bindings().len(), 4);
    assert!(!discover(&mut world, &client).1, "of the second subnet");
}

#[test]
fn a_subnet_that_is_not_probed_offers_at_once() {
    let (mut world, probes) = world();
    let client = Client::new(1).behind(RELAY, &[]);
    assert_eq!(discover(&mut world, &client), (ip("10.3.0.10"), false));
    assert_eq!(find_out(&world, &probes, |_| false), 0);
}

/// The operator's word goes before what the wire says.
#[test]
fn a_reserved_address_is_not_probed() {
    let (mut world, probes) = world();
    world.reserve(
        crate::subnet::ReservedBy::HardwareAddress,
        &mac(1),
        "10.0.0.12",
    );
    let client = Client::new(1);
    assert_eq!(discover(&mut world, &client), (ip("10.0.0.12"), false));
    assert_eq!(find_out(&world, &probes, |_| false), 0);
}

/// Kea's `ping-cltt-secs`: who left a moment ago and comes back finds its address as it was.
#[test]
fn a_former_address_is_probed_when_its_client_was_away_for_long() {
    let (mut world, probes) = world();
    let client = Client::new(1);
    let (address, _) = discover(&mut world, &client);
    find_out(&world, &probes, |_| false);
    acked(world.serve(&client.selecting(address).frame()));
    silence(world.serve(&client.release(address).frame()));
    world.pass(59, true);
    assert_eq!(discover(&mut world, &client), (address, false));
    world.pass(62, true);
    assert_eq!(discover(&mut world, &client), (address, true));
    find_out(&world, &probes, |_| true);
    let (other, waits) = discover(&mut world, &client);
    assert!(waits && other != address);
    assert_eq!(world.bindings()[&address].state, State::Declined);
}

/// Rapid Commit takes two messages once the address is known to be clear, and four before.
#[test]
fn what_is_being_probed_is_offered_and_not_committed() {
    let (mut world, probes) = world();
    world.subnet(0, 0).rapid_commit = true;
    let request = Client::new(1).discover().option(code::RAPID_COMMIT, &[]);
    let first = world.serve(&request.frame()).unwrap();
    assert!(first.answer.probed_until.is_some());
    assert_eq!(offered(Ok(first)), ip("10.0.0.10"));
    assert!(!world.has_written);
    find_out(&world, &probes, |_| false);
    assert_eq!(acked(world.serve(&request.frame())), ip("10.0.0.10"));
}

/// The client went away while its address was probed: what was found out holds for the next one.
#[test]
fn what_is_known_of_an_address_holds_for_the_next_client() {
    let (mut world, probes) = world();
    let (address, _) = discover(&mut world, &Client::new(1));
    find_out(&world, &probes, |_| true);
    world.pass(61, true);
    let wanted = Client::new(2)
        .discover()
        .option(code::REQUESTED_ADDRESS, &address.octets());
    assert_ne!(offered(world.serve(&wanted.frame())), address);
    assert_eq!(world.bindings()[&address].state, State::Declined);
}

/// A flood of questions must not stand in the way of offers.
#[test]
fn without_room_for_a_question_the_offer_leaves_at_once() {
    let (mut world, _) = world();
    world.policy.probes = Some(Arc::new(Probes::with_entries(1)));
    assert!(discover(&mut world, &Client::new(1)).1);
    assert!(!discover(&mut world, &Client::new(2)).1);
}
