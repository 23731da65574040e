//! What is kept beside leases, and which requests are answered without writing.

use super::world::*;
use crate::subnet::LeaseCache;
use dhcp_lease::Binding;
use dhcp_lease::context::{Hop, ItemKind};

fn bindings(world: &World) -> Vec<Binding> {
    let mut bindings = Vec::new();
    world
        .partitions
        .for_each(|binding| bindings.push(binding.clone()));
    bindings.sort_by_key(|binding| binding.lease);
    bindings
}

#[test]
fn a_client_on_the_link_without_a_name_has_no_context() {
    let mut world = World::new();
    world
        .ask(&Ask::request(ALICE).na(1, &[]).pd(1, &[]))
        .unwrap();
    let kept = bindings(&world);
    assert_eq!(kept.len(), 2);
    assert!(kept.iter().all(|binding| binding.context.is_empty()));
}

#[test]
fn every_relay_agent_is_kept_with_each_lease() {
    let mut world = World::new();
    let mut ask = Ask::request(ALICE)
        .na(1, &[])
        .pd(1, &[])
        .option(OptionCode::CLIENT_FQDN, b"\x01\x05alice\x00")
        .via("2001:db8:2::1", "fe80::a", Some(b"port 7"))
        .via("::", "2001:db8:9::9", None);
    ask.relays[1]
        .1
        .push((OptionCode::REMOTE_ID, vec![0, 0, 0, 9, 1, 2]));
    ask.relays[0].1.push((OptionCode::SUBSCRIBER_ID, vec![7]));
    world.ask(&ask).unwrap();
    let kept = bindings(&world);
    assert_eq!(kept.len(), 2);
    for Binding { context, .. } in &kept {
        let hops = [
            Hop {
                link_address: v6("::"),
                peer_address: v6("2001:db8:9::9"),
                interface_id: b"",
            },
            Hop {
                link_address: v6("2001:db8:2::1"),
                peer_address: v6("fe80::a"),
                interface_id: b"port 7",
            },
        ];
        assert_eq!(context.relay_path().collect::<Vec<_>>(), hops);
        let source = v6("2001:db8:ffff::5");
        assert_eq!(context.relay_source(), Some((source.into(), None)));
        let one = |kind| context.of_kind(kind).next().map(<[u8]>::to_vec);
        assert_eq!(one(ItemKind::INTERFACE), None);
        assert_eq!(one(ItemKind::REMOTE_ID), Some(vec![1, 0, 0, 0, 9, 1, 2]));
        assert_eq!(one(ItemKind::SUBSCRIBER_ID), Some(vec![0, 7]));
        assert_eq!(one(ItemKind::FQDN), Some(b"\x01\x05alice\x00".to_vec()));
    }
}

#[test]
fn the_interface_is_kept_where_the_relay_agent_is_link_local() {
    let mut world = World::new();
    let ask = Ask::request(ALICE)
        .na(1, &[])
        .via("2001:db8:2::1", "fe80::a", None)
        .addressed("fe80::9", ALL_RELAY_AGENTS_AND_SERVERS);
    world.ask(&ask).unwrap();
    let kept = bindings(&world);
    let interface = kept[0].context.of_kind(ItemKind::INTERFACE).next();
    assert_eq!(interface, Some(&b"eth0"[..]));
}

/// Relay agents can write more than there is room for beside a lease; the client is served all the same.
#[test]
fn what_has_no_room_is_left_out_and_the_lease_granted() {
    let mut world = World::new();
    let long = [7; 200];
    let ask = Ask::request(ALICE)
        .na(1, &[])
        .via("2001:db8:2::1", "fe80::a", Some(&long))
        .via("2001:db8:2::2", "fe80::b", Some(&long))
        .via("2001:db8:2::3", "fe80::c", Some(&long));
    let heard = world.ask(&ask).unwrap();
    assert_eq!(heard.leases().len(), 1);
    let kept = bindings(&world);
    assert_eq!(kept[0].context.relay_path().count(), 0);
    assert!(kept[0].context.relay_source().is_some());
}

fn valid_and_preferred(heard: &Heard) -> Vec<(u32, u32)> {
    let leases = heard.ias.iter().flat_map(|ia| &ia.leases);
    leases
        .map(|(_, preferred, valid)| (*valid, *preferred))
        .collect()
}

/// Requirement F-60: a client that has no answer yet asks again, and that is not a second write.
#[test]
fn a_duplicate_is_answered_with_what_is_left_and_not_written() {
    let mut world = World::new();
    let ask = Ask::request(ALICE).na(1, &[]).pd(1, &[]);
    assert!(world.ask(&ask).unwrap().changed);
    world.later(9);
    let again = world.ask(&ask).unwrap();
    assert!(!again.changed);
    assert_eq!(valid_and_preferred(&again), [(3991, 2991); 2]);
    assert_eq!((again.ias[0].t1, again.ias[0].t2), (1495, 2392));
    for kind in [MessageType::Renew, MessageType::Rebind] {
        let ask = match kind {
            MessageType::Renew => Ask::to_us(kind, ALICE),
            _ => Ask::to_any(kind, ALICE),
        };
        let heard = world.ask(&ask.na(1, &[])).unwrap();
        assert!(!heard.changed);
        assert_eq!(valid_and_preferred(&heard), [(3991, 2991)]);
    }
    world.later(1);
    let late = world.ask(&ask).unwrap();
    assert!(late.changed);
    assert_eq!(valid_and_preferred(&late), [(4000, 3000); 2]);
}

#[test]
fn early_renewals_are_not_written_where_the_operator_says_so() {
    let mut world = World::new();
    world.own().lifetimes.cache = LeaseCache {
        threshold_millionths: Some(500_000),
        age_seconds_max: Some(1000),
    };
    world.own().lifetimes.renew = Some(2900);
    world.ask(&Ask::request(ALICE).na(1, &[])).unwrap();
    let renew = Ask::to_us(MessageType::Renew, ALICE).na(1, &[]);
    world.later(999);
    let early = world.ask(&renew).unwrap();
    assert!(!early.changed);
    assert_eq!(valid_and_preferred(&early), [(3001, 2001)]);
    assert!(
        early.ias[0].t1 < 2001,
        "before the address is deprecated, whatever is configured for a whole lease"
    );
    world.later(1);
    assert!(world.ask(&renew).unwrap().changed);
}

#[test]
fn whatever_else_changed_is_written_however_early() {
    let mut world = World::new();
    let ask = |link, port: &[u8]| {
        Ask::request(ALICE)
            .na(1, &[])
            .via(link, "fe80::a", Some(port))
    };
    let (first, second) = (
        ask("2001:db8:2::1", b"port 7"),
        ask("2001:db8:2::2", b"port 7"),
    );
    for (asked, changed) in [
        (&first, true),
        (&first, false),
        (&ask("2001:db8:2::1", b"port 8"), true),
        (&second, true),
        (&second, false),
        (
            &second.clone().option(OptionCode::CLIENT_FQDN, b"\0\x01a\0"),
            true,
        ),
    ] {
        assert_eq!(world.ask(asked).unwrap().changed, changed);
    }
    world.subnet(1).lifetimes.valid = 5000;
    assert!(world.ask(&second).unwrap().changed);
}
