//! The store is a restored copy: what it believes free may have been granted since the copy was made.

use super::*;
use crate::Discard;
use crate::subnet::ReservedBy;
use crate::v4::Refusal;
use dhcp_wire::v4::code;

/// Client 1 holds 10.0.0.10; client 2's lease of 10.0.0.11 has ended.
fn world() -> World {
    let mut world = World::new();
    let ended = Client::new(2);
    assert_eq!(world.lease(&Client::new(9)), ip("10.0.0.10"));
    silence(world.serve(&Client::new(9).release(ip("10.0.0.10")).frame()));
    assert_eq!(world.lease(&ended), ip("10.0.0.11"));
    world.pass(u64::from(LEASE) + 3, true);
    world.pass(0, true);
    let requested = Client::new(1)
        .discover()
        .option(code::REQUESTED_ADDRESS, &[10, 0, 0, 10]);
    assert_eq!(offered(world.serve(&requested.frame())), ip("10.0.0.10"));
    let held = Client::new(1).selecting(ip("10.0.0.10"));
    assert_eq!(acked(world.serve(&held.frame())), ip("10.0.0.10"));
    world.policy.pools.withhold_until(world.now.after(1000));
    world
}

#[test]
fn no_free_address_is_offered_until_the_time_is_over() {
    let mut world = world();
    // A new client, one that wishes for an address, one whose lease has ended.
    let wish = Client::new(3)
        .discover()
        .option(code::REQUESTED_ADDRESS, &[10, 0, 0, 12]);
    for request in [Client::new(3).discover(), wish, Client::new(2).discover()] {
        assert_eq!(silence(world.serve(&request.frame())), Discard::Withheld);
    }
    // Nobody offered it here.
    let selecting = Client::new(3).selecting(ip("10.0.0.12"));
    assert_eq!(
        refusal(world.serve(&selecting.frame())),
        Refusal::NotOffered
    );
    world.pass(1000, true);
    assert_eq!(world.lease(&Client::new(2)), ip("10.0.0.11"));
    assert_eq!(world.lease(&Client::new(3)), ip("10.0.0.12"));
}

#[test]
fn the_operator_s_word_ends_it() {
    let mut world = world();
    world.policy.pools.withhold_until(Default::default());
    assert_eq!(world.lease(&Client::new(2)), ip("10.0.0.11"));
}

#[test]
fn who_holds_a_lease_in_the_copy_goes_on_with_it() {
    let mut world = world();
    let client = Client::new(1);
    let held = ip("10.0.0.10");
    assert_eq!(offered(world.serve(&client.discover().frame())), held);
    for request in [
        client.renewing(held),
        client.rebinding(held),
        client.init_reboot(held),
    ] {
        assert_eq!(acked(world.serve(&request.frame())), held);
    }
}

#[test]
fn a_client_that_says_it_holds_an_address_is_believed_unless_another_has_it() {
    for (client, asked) in [
        (Client::new(3), ip("10.0.0.12")), // of whom the copy knows nothing
        (Client::new(2), ip("10.0.0.12")), // whose former address was another
        (Client::new(2), ip("10.0.0.11")), // whose former address it was
        (Client::new(1), ip("10.0.0.13")), // who has another one in the copy
    ] {
        let kinds = [Client::init_reboot, Client::rebinding];
        for kind in kinds {
            let mut world = world();
            assert_eq!(acked(world.serve(&kind(&client, asked).frame())), asked);
            assert_eq!(world.bindings()[&asked].hardware.mac(), Some(client.mac));
            // And now it is known: nobody else can have it.
            let other = Client::new(7).rebinding(asked);
            assert_eq!(refusal(world.serve(&other.frame())), Refusal::InUse);
        }
    }
    let mut world = world();
    let taken = Client::new(3).init_reboot(ip("10.0.0.10"));
    assert_eq!(refusal(world.serve(&taken.frame())), Refusal::InUse);
}

#[test]
fn what_comes_by_unicast_from_anywhere_is_neither_believed_nor_refused() {
    let mut world = world();
    // Behind a relay agent, renewing by unicast: it asks again by its link before its lease ends.
    let asked = ip("10.3.0.12");
    let far = Client::new(4).behind(RELAY, b"");
    let renewing = Client::new(4).renewing(asked);
    assert!(matches!(
        silence(world.serve(&renewing.frame())),
        Discard::Withheld | Discard::UnknownBinding
    ));
    assert_eq!(acked(world.serve(&far.rebinding(asked).frame())), asked);
}

#[test]
fn a_reservation_is_the_operator_s_word_and_is_served() {
    let mut world = world();
    world.reserve(ReservedBy::HardwareAddress, &mac(5), "10.0.0.50");
    world.policy.pools.withhold_until(world.now.after(1000));
    assert_eq!(world.lease(&Client::new(5)), ip("10.0.0.50"));
}
