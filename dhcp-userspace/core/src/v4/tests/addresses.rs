//! Which address a DISCOVER gets, reservations, and how leases end.

use super::*;
use crate::Discard;
use crate::subnet::ReservedBy;
use crate::v4::Refusal;
use dhcp_lease::State;
use dhcp_wire::v4::{MessageType, code};

// RFC 2131 section 3.1 [commit-before-ack]
// RFC 2131 section 4.3.2 [request-selecting]
#[test]
fn four_messages_give_an_address_and_a_binding() {
    let mut world = World::new();
    let client = Client::new(1);
    let address = world.lease(&client);
    assert_eq!(address, ip("10.0.0.10"));
    let binding = &world.bindings()[&address];
    assert_eq!(binding.hardware.mac(), Some(mac(1)));
    assert_eq!(binding.expires, world.now.after(LEASE));
    assert_eq!((binding.subnet.0, binding.valid_seconds), (1, LEASE));
}

#[test]
fn a_discover_that_is_repeated_gets_the_same_offer() {
    let mut world = World::new();
    let client = Client::new(1);
    let first = offered(world.serve(&client.discover().frame()));
    world.pass(50, true);
    assert_eq!(offered(world.serve(&client.discover().frame())), first);
    world.pass(50, true);
    assert_eq!(
        acked(world.serve(&client.selecting(first).frame())),
        first,
        "held anew"
    );
}

// RFC 2131 section 4.3.1 [choice-order]
#[test]
fn the_current_address_goes_before_the_requested_one() {
    let mut world = World::new();
    let client = Client::new(1);
    let address = world.lease(&client);
    let other = client
        .discover()
        .option(code::REQUESTED_ADDRESS, &[10, 0, 0, 12]);
    assert_eq!(offered(world.serve(&other.frame())), address);
}

// RFC 2131 section 4.3.1 [choice-order]
#[test]
fn the_former_address_goes_before_the_requested_one_unless_it_is_taken() {
    for (released, tick) in [(true, true), (false, true), (false, false)] {
        let mut world = World::new();
        let client = Client::new(1);
        let former = world.lease(&client);
        if released {
            assert_eq!(
                silence(world.serve(&client.release(former).frame())),
                Discard::Released
            );
        } else {
            world.pass(u64::from(LEASE) + 1, tick);
        }
        let other = client
            .discover()
            .option(code::REQUESTED_ADDRESS, &[10, 0, 0, 12]);
        assert_eq!(offered(world.serve(&other.frame())), former);
        world.pass(61, true);
        if !tick {
            continue;
        }
        let taker = Client::new(2)
            .discover()
            .option(code::REQUESTED_ADDRESS, &former.octets());
        assert_eq!(offered(world.serve(&taker.frame())), former);
        assert_eq!(offered(world.serve(&other.frame())), ip("10.0.0.12"));
    }
}

// RFC 2131 section 4.3.1 [choice-order]
#[test]
fn a_requested_address_is_given_if_it_is_free_and_in_a_pool_of_the_network() {
    let mut world = World::new();
    let cases = [
        ("10.0.0.12", "10.0.0.12"),
        ("10.0.1.11", "10.0.1.11"), // the other subnet of the shared network
        ("10.0.0.99", "10.0.0.10"), // no pool
        ("10.3.0.10", "10.0.0.11"), // another network
        ("10.0.0.12", "10.0.0.13"), // taken
    ];
    for (number, (requested, given)) in cases.into_iter().enumerate() {
        let discover = Client::new(number as u8).discover();
        let discover = discover.option(code::REQUESTED_ADDRESS, &ip(requested).octets());
        assert_eq!(
            offered(world.serve(&discover.frame())),
            ip(given),
            "{requested}"
        );
    }
}

#[test]
fn every_last_address_of_the_network_is_given_and_then_there_is_silence() {
    let mut world = World::new();
    let given: Vec<_> = (1..=6)
        .map(|number| world.lease(&Client::new(number)))
        .collect();
    assert_eq!(given[5], ip("10.0.1.11"));
    assert_eq!(world.bindings().len(), 6);
    let late = Client::new(7);
    assert_eq!(
        silence(world.serve(&late.discover().frame())),
        Discard::NoAddress
    );
    silence(world.serve(&Client::new(3).release(given[2]).frame()));
    assert_eq!(world.lease(&late), given[2]);
}

#[test]
fn an_offer_that_lapses_frees_its_address() {
    let mut world = World::new();
    for number in 1..=6 {
        offered(world.serve(&Client::new(number).discover().frame()));
    }
    let late = Client::new(7);
    assert_eq!(
        silence(world.serve(&late.discover().frame())),
        Discard::NoAddress
    );
    world.pass(61, true);
    offered(world.serve(&late.discover().frame()));
}

#[test]
fn one_client_identifier_is_one_client_whatever_its_hardware_address() {
    let mut world = World::new();
    let address = world.lease(&Client::new(1).with_id(b"\x01abc"));
    assert_eq!(world.lease(&Client::new(2).with_id(b"\x01abc")), address);
    assert_ne!(
        world.lease(&Client::new(1)),
        address,
        "without the identifier it is another"
    );
}

#[test]
fn the_same_client_on_two_networks_has_two_leases() {
    let mut world = World::new();
    let here = world.lease(&Client::new(1));
    let there = world.lease(&Client::new(1).behind(RELAY, &[]));
    assert_eq!((here, there), (ip("10.0.0.10"), ip("10.3.0.10")));
    assert_eq!(world.bindings().len(), 2);
}

// RFC 4039 section 3.1 [rapid-commit]
// RFC 4039 section 4 [rapid-commit-echo]
#[test]
fn rapid_commit_needs_the_client_and_the_operator() {
    let mut world = World::new();
    let rapid = |number| {
        Client::new(number)
            .discover()
            .option(code::RAPID_COMMIT, &[])
    };
    let offer = world.serve(&rapid(1).frame()).unwrap();
    assert_eq!(offer.message_type(), MessageType::OFFER);
    assert!(!offer.options.contains_key(&code::RAPID_COMMIT));

    world.subnet(0, 0).rapid_commit = true;
    let ack = world.serve(&rapid(2).frame()).unwrap();
    assert_eq!(ack.message_type(), MessageType::ACK);
    assert_eq!(ack.options[&code::RAPID_COMMIT], []);
    assert_eq!(
        world.bindings()[&ack.yiaddr()].expires,
        world.now.after(LEASE)
    );
    assert_eq!(
        acked(world.serve(&rapid(2).frame())),
        ack.yiaddr(),
        "once more, the same"
    );
    offered(world.serve(&Client::new(3).discover().frame()));
}

// RFC 4361 section 6.3 [client-id-duid]
#[test]
fn a_reservation_is_found_by_hardware_address_client_identifier_and_duid() {
    let mut world = World::new();
    world.reserve(ReservedBy::HardwareAddress, &mac(1), "10.0.0.50");
    world.reserve(ReservedBy::ClientId, b"\x00client", "10.0.0.51");
    world.reserve(
        ReservedBy::Duid,
        &[0, 3, 0, 1, 2, 2, 2, 2, 2, 2],
        "10.0.0.52",
    );
    assert_eq!(world.lease(&Client::new(1)), ip("10.0.0.50"));
    assert_eq!(
        world.lease(&Client::new(2).with_id(b"\x00client")),
        ip("10.0.0.51")
    );
    let rfc4361 = [255, 0, 0, 0, 7, 0, 3, 0, 1, 2, 2, 2, 2, 2, 2];
    assert_eq!(
        world.lease(&Client::new(3).with_id(&rfc4361)),
        ip("10.0.0.52")
    );
}

#[test]
fn nobody_else_gets_a_reserved_address() {
    let mut world = World::new();
    world.reserve(ReservedBy::HardwareAddress, &mac(9), "10.0.0.10");
    let asks = Client::new(1)
        .discover()
        .option(code::REQUESTED_ADDRESS, &[10, 0, 0, 10]);
    assert_eq!(offered(world.serve(&asks.frame())), ip("10.0.0.11"));
    for number in 2..=5 {
        world.lease(&Client::new(number));
    }
    assert_eq!(
        silence(world.serve(&Client::new(6).discover().frame())),
        Discard::NoAddress
    );
    let selecting = Client::new(6).selecting(ip("10.0.0.10"));
    assert_eq!(
        refusal(world.serve(&selecting.frame())),
        Refusal::NotPermitted
    );
    assert_eq!(world.lease(&Client::new(9)), ip("10.0.0.10"));
}

/// The operator adds a reservation for a client that has another lease.
#[test]
fn a_client_with_a_lease_moves_to_its_new_reservation() {
    let mut world = World::new();
    let client = Client::new(1);
    let old = world.lease(&client);
    world.reserve(ReservedBy::HardwareAddress, &mac(1), "10.0.0.50");
    assert_eq!(
        refusal(world.serve(&client.renewing(old).frame())),
        Refusal::Reserved
    );
    assert_eq!(
        refusal(world.serve(&client.init_reboot(old).frame())),
        Refusal::Reserved
    );
    assert_eq!(world.lease(&client), ip("10.0.0.50"));
    assert_eq!(world.bindings().len(), 1, "the old lease has ended");
    assert_eq!(
        acked(world.serve(&client.renewing(ip("10.0.0.50")).frame())),
        ip("10.0.0.50")
    );
}

/// The operator reserves an address that another client has at the moment.
#[test]
fn a_reserved_address_in_use_leaves_its_owner_a_dynamic_one_until_it_is_free() {
    let mut world = World::new();
    let (holder, owner) = (Client::new(1), Client::new(2));
    let address = world.lease(&holder);
    world.reserve(ReservedBy::HardwareAddress, &mac(2), "10.0.0.10");
    let dynamic = world.lease(&owner);
    assert_ne!(dynamic, address);
    assert_eq!(
        acked(world.serve(&owner.renewing(dynamic).frame())),
        dynamic
    );

    assert_eq!(
        refusal(world.serve(&holder.renewing(address).frame())),
        Refusal::NotPermitted
    );
    assert_ne!(world.lease(&holder), address);
    assert_eq!(
        refusal(world.serve(&owner.renewing(dynamic).frame())),
        Refusal::Reserved
    );
    assert_eq!(world.lease(&owner), address);
}

// RFC 2131 section 4.3.4 [release]
#[test]
fn a_release_counts_only_from_its_holder() {
    let mut world = World::new();
    let address = world.lease(&Client::new(1));
    let cases = [
        (Client::new(2).release(address), Discard::ReleaseNotHolder),
        (
            Client::new(1).with_id(b"\x00x").release(address),
            Discard::ReleaseNotHolder,
        ),
        (
            Client::new(1).release(ip("10.0.0.11")),
            Discard::ReleaseNotHolder,
        ),
    ];
    for (release, expected) in cases {
        assert_eq!(silence(world.serve(&release.frame())), expected);
        assert!(world.bindings().contains_key(&address));
    }
    assert_eq!(
        silence(world.serve(&Client::new(1).release(address).frame())),
        Discard::Released
    );
    assert!(world.bindings().is_empty());
    let again = world.serve(&Client::new(1).release(address).frame());
    assert_eq!(silence(again), Discard::ReleaseNotHolder);
}

// RFC 2131 section 4.3.3 [decline]
#[test]
fn a_declined_address_is_nobodys_for_its_quarantine() {
    let mut world = World::new();
    let client = Client::new(1);
    let address = world.lease(&client);
    let stranger = Client::new(2).decline(address);
    assert_eq!(
        silence(world.serve(&stranger.frame())),
        Discard::DeclineNotHolder
    );
    assert_eq!(
        silence(world.serve(&client.decline(address).frame())),
        Discard::Declined
    );
    assert_eq!(world.bindings()[&address].state, State::Declined);

    let asks = client
        .discover()
        .option(code::REQUESTED_ADDRESS, &address.octets());
    assert_ne!(offered(world.serve(&asks.frame())), address);
    assert_eq!(
        silence(world.serve(&client.decline(address).frame())),
        Discard::DeclineNotHolder
    );
    let asks = Client::new(3)
        .discover()
        .option(code::REQUESTED_ADDRESS, &address.octets());
    world.pass(598, true);
    assert_ne!(offered(world.serve(&asks.frame())), address);
    world.pass(61, true);
    assert_eq!(offered(world.serve(&asks.frame())), address);
}

#[test]
fn a_client_that_declines_whatever_it_gets_does_not_set_the_pool_aside() {
    let mut world = World::new();
    let client = Client::new(1).behind(RELAY, &[]);
    for _ in 0..dhcp_lease::DECLINES_MAX {
        let address = world.lease(&client);
        let declined = world.serve(&client.decline(address).frame());
        assert_eq!(silence(declined), Discard::Declined);
    }
    let address = world.lease(&client);
    let declined = world.serve(&client.decline(address).frame());
    assert_eq!(silence(declined), Discard::DeclineOverLimit);
    let other = Client::new(2).behind(RELAY, &[]);
    let asks = other.discover().option(50, &address.octets());
    assert_eq!(offered(world.serve(&asks.frame())), address);
}

// RFC 2131 section 4.4.1 [decline-release-need-server-id]
#[test]
fn decline_and_release_name_this_server_and_an_address() {
    let mut world = World::new();
    let client = Client::new(1);
    let address = world.lease(&client);
    let other = [192, 0, 2, 1];
    let ask = |message_type| client.ask(message_type).unicast_from(address);
    let decline = || ask(MessageType::DECLINE);
    let release = || ask(MessageType::RELEASE);
    let cases = [
        (decline().option(50, &address.octets()), Discard::Invalid),
        (decline().option(54, &SERVER.octets()), Discard::Invalid),
        (
            decline().option(54, &other).option(50, &address.octets()),
            Discard::OtherServer,
        ),
        (release().ciaddr(address), Discard::Invalid),
        (release().option(54, &SERVER.octets()), Discard::Invalid),
        (
            release().option(54, &other).ciaddr(address),
            Discard::OtherServer,
        ),
    ];
    for (request, expected) in cases {
        assert_eq!(silence(world.serve(&request.frame())), expected);
    }
    assert_eq!(world.bindings()[&address].state, State::Leased);
}

#[test]
fn a_full_table_gives_no_lease_and_keeps_no_address() {
    let mut world = World::new();
    world.partitions = dhcp_lease::Partitions::in_memory(1, 1, dhcp_lease::Durability::Power);
    world.lease(&Client::new(1));
    let offer = offered(world.serve(&Client::new(2).discover().frame()));
    let request = Client::new(2).selecting(offer);
    assert_eq!(silence(world.serve(&request.frame())), Discard::TableFull);
    world.pass(61, true);
    let request = Client::new(3).selecting(offer);
    assert_eq!(silence(world.serve(&request.frame())), Discard::TableFull);
    let discover = Client::new(4).discover().option(50, &offer.octets());
    assert_eq!(offered(world.serve(&discover.frame())), offer, "given back");
}

#[test]
fn an_address_of_the_interface_is_nobodys_lease() {
    let mut world = World::new();
    world.interface.v4 = vec![SERVER, ip("10.0.0.10"), ip("10.0.0.12"), ip("10.0.1.10")];
    let client = Client::new(1);
    let named = client.discover().option(50, &[10, 0, 0, 12]);
    assert_eq!(offered(world.serve(&named.frame())), ip("10.0.0.11"));
    assert_eq!(world.lease(&client), ip("10.0.0.11"));
    assert_eq!(world.lease(&Client::new(2)), ip("10.0.0.13"));
    assert_eq!(world.lease(&Client::new(3)), ip("10.0.1.11"));
    let late = world.serve(&Client::new(4).discover().frame());
    assert_eq!(silence(late), Discard::NoAddress);
    // A client that had the address before the interface got it must let it go.
    world.interface.v4.push(ip("10.0.0.11"));
    let refused = refusal(world.serve(&client.init_reboot(ip("10.0.0.11")).frame()));
    assert_eq!(refused, Refusal::NotPermitted);
}
