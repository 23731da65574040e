//! Bounds, damage and malice: silence or a right answer, and never one lease for two.

use super::world::*;
use proptest::prelude::*;

#[test]
fn a_full_table_promises_nothing() {
    let mut world = World::new();
    world.partitions = Partitions::in_memory(1, 1, Durability::Power);
    let first = world.lease_of(ALICE);
    assert_eq!(
        world.ask(&Ask::request(BOB).na(1, &[])),
        Err(Discard::TableFull)
    );
    // What was claimed for Bob is free again.
    for number in 1..16u8 {
        let heard = world
            .ask(&Ask::solicit(&[0, 2, number]).na(1, &[]))
            .unwrap();
        assert!(!heard.leases().is_empty() && heard.leases() != [first]);
    }
}

#[test]
fn what_is_more_than_the_bounds_is_refused() {
    let many = |count: u32| (0..count).fold(Ask::request(ALICE), |ask, iaid| ask.na(iaid, &[]));
    assert_eq!(World::new().ask(&many(8)).unwrap().leases().len(), 8);
    assert_eq!(World::new().ask(&many(9)), Err(Discard::TooMany));
    let mixed = (0..5).fold(many(4), |ask, iaid| ask.pd(iaid, &[]));
    assert_eq!(World::new().ask(&mixed), Err(Discard::TooMany));
    // The same IA again is the same IA.
    let same = (0..50).fold(Ask::request(ALICE), |ask, _| ask.na(1, &[]).pd(1, &[]));
    assert_eq!(World::new().ask(&same).unwrap().ias.len(), 2);
    let hints = |count| vec![address("2001:db8:1::105"); count];
    assert!(
        World::new()
            .ask(&Ask::request(ALICE).na(1, &hints(4)))
            .is_ok()
    );
    assert_eq!(
        World::new().ask(&Ask::request(ALICE).na(1, &hints(5))),
        Err(Discard::TooMany)
    );
    let relayed = |len| {
        let ask = Ask::solicit(ALICE).na(1, &[]);
        ask.via("2001:db8:2::1", "fe80::9", Some(&vec![7; len]))
    };
    assert!(World::new().ask(&relayed(1100)).is_ok());
    assert_eq!(World::new().ask(&relayed(1200)), Err(Discard::TooMany));
    let codes: Vec<u16> = (1000..1200).chain([23]).collect();
    assert!(
        World::new()
            .ask(&Ask::solicit(ALICE).na(1, &[]).requesting(&codes))
            .is_ok()
    );
    // RFC 8415 section 11.1 [duid-length]
    for len in 0..=200 {
        let heard = World::new().ask(&Ask::solicit(&vec![7; len]).na(1, &[]));
        assert_eq!(
            heard.err(),
            Some(Discard::NoClient).filter(|_| !(3..=130).contains(&len))
        );
    }
    let twice = Ask::solicit(ALICE).option(OptionCode::CLIENT_ID, BOB);
    assert_eq!(World::new().ask(&twice), Err(Discard::MalformedV6));
}

// CVE-2018-15688 is a server identifier so long that the rest no longer fits.
#[test]
fn a_reply_that_does_not_fit_is_not_sent() {
    let mut world = World::new();
    world.own().options =
        OptionSet::layered([option(100, &[1; 700], true), option(101, &[1; 700], false)]);
    let ask = Ask::solicit(&[9; 130])
        .na(1, &[])
        .via("2001:db8:1::1", "fe80::9", Some(&[7; 500]));
    assert!(world.ask(&ask).is_ok());
    for len in 0..300 {
        world.frame = vec![0; len];
        assert_eq!(world.ask(&ask), Err(Discard::ReplyTooLong));
    }
}

// The leases are committed by then: a client that never hears of them would go on asking.
#[test]
fn a_configured_option_that_does_not_fit_is_left_out_and_the_next_one_may_fit() {
    let mut world = World::new();
    world.own().options = OptionSet::layered([
        option(100, &[1; 700], true),
        option(101, &[1; 700], false),
        option(102, &[1; 7], false),
    ]);
    let offered = world.ask(&Ask::solicit(ALICE).na(1, &[])).unwrap().ias[0].leases[0].0;
    let ask = Ask::request(ALICE)
        .na(1, &[offered])
        .via("2001:db8:1::1", "fe80::9", Some(&[7; 500]))
        .requesting(&[101, 102]);
    let reply = world.ask(&ask).unwrap();
    assert_eq!(reply.ias[0].leases[0].0, offered);
    assert!(reply.option(100).is_some() && reply.option(102).is_some());
    assert_eq!(reply.option(101), None);
}

/// A random message of a client that may know everything that is to know.
fn ask() -> impl Strategy<Value = Ask> {
    let client = prop_oneof![Just(ALICE), Just(BOB), Just(CAROL), Just(&[1u8, 2][..])];
    let server = prop_oneof![8 => Just(SERVER), 1 => Just(OTHER_SERVER), 1 => Just(&[][..])];
    let address = (1..3u16, 0..20u16).prop_map(|(subnet, host)| {
        Lease::Address(Ipv6Addr::new(
            0x2001,
            0xdb8,
            subnet,
            0,
            0,
            0,
            0,
            0xfc + host,
        ))
    });
    let prefix = (
        0..6u16,
        prop_oneof![Just(56u8), Just(48), Just(0), Just(128)],
    )
        .prop_map(|(number, len)| {
            Lease::Prefix(
                Ipv6Addr::new(0x2001, 0xdb8, 0x100, number << 8, 0, 0, 0, 0),
                len,
            )
        });
    let nas = proptest::collection::vec((0..3u32, proptest::collection::vec(address, 0..3)), 0..3);
    let pds = proptest::collection::vec((0..3u32, proptest::collection::vec(prefix, 0..3)), 0..3);
    let relays = 0..3usize;
    let kind =
        prop_oneof![9 => proptest::sample::select(&[1u8, 3, 4, 5, 6, 8, 9][..]), 1 => 1..=11u8];
    // Mostly a server identifier where there should be one.
    let is_odd = proptest::bool::weighted(0.1);
    (
        kind,
        client,
        is_odd,
        server,
        nas,
        pds,
        relays,
        any::<bool>(),
    )
        .prop_map(|(kind, client, is_odd, server, nas, pds, relays, rapid)| {
            let mut ask = Ask {
                kind,
                ..Ask::solicit(client)
            };
            if matches!(kind, 3 | 5 | 8 | 9) != is_odd {
                ask = ask.option(OptionCode::SERVER_ID, server);
            }
            if rapid {
                ask = ask.option(OptionCode::RAPID_COMMIT, &[]);
            }
            ask = nas
                .iter()
                .fold(ask, |ask, (iaid, leases)| ask.na(*iaid, leases));
            ask = pds
                .iter()
                .fold(ask, |ask, (iaid, leases)| ask.pd(*iaid, leases));
            (0..relays).fold(ask, |ask, level| {
                let link = if level == 0 { "2001:db8:2::1" } else { "::" };
                ask.via(link, "fe80::9", Some(b"port"))
            })
        })
}

proptest! {
    #[test]
    fn no_octets_do_harm(
        ask in ask(),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<proptest::sample::Index>(),
        noise in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut payload = ask.payload();
        let mut worlds = [World::new(), World::new()];
        worlds[1].frame.fill(0x11);
        worlds.iter_mut().for_each(|world| world.own().rapid_commit = true);
        let mut serve = |payload: &[u8]| {
            let [one, two] = worlds.each_mut().map(|world| world.serve(&ask.envelope, payload));
            // What the frame held before never shows.
            assert_eq!(one, two);
        };
        serve(&payload);
        for (at, octet) in damage {
            *at.get_mut(&mut payload) = octet;
            serve(&payload);
        }
        payload.truncate(cut.index(payload.len()));
        serve(&payload);
        serve(&noise);
    }

    #[test]
    fn no_lease_has_two_holders(
        asks in proptest::collection::vec((ask(), 0..2000u64), 1..60),
    ) {
        let mut world = World::new();
        world.own().rapid_commit = true;
        // Lease to client, IAID and end: as the clients believe.
        let mut holders = std::collections::HashMap::new();
        for (ask, seconds) in asks {
            world.later(seconds);
            let client = ask.options[0].1.clone();
            let released = ask.kind == 8 || ask.kind == 9;
            let Ok(heard) = world.ask(&ask) else { continue };
            prop_assert!(heard.changed || heard.message_type == MessageType::Advertise
                || heard.leases().is_empty());
            for ia in &heard.ias {
                for &(lease, preferred, valid) in &ia.leases {
                    prop_assert!(preferred <= valid);
                    if valid > 0 {
                        let earlier = holders.get(&lease);
                        let is_own = |(holder, iaid, until): &(Vec<u8>, u32, u64)| {
                            (holder == &client && *iaid == ia.iaid) || *until <= world.now.0
                        };
                        prop_assert!(earlier.is_none_or(is_own), "{lease} to two: {earlier:?}");
                    }
                    if heard.message_type == MessageType::Reply {
                        let until = world.now.0 + u64::from(valid);
                        let mine = holders.get(&lease).is_none_or(|(holder, ..)| holder == &client);
                        if valid > 0 || mine {
                            holders.insert(lease, (client.clone(), ia.iaid, until));
                        }
                    }
                }
                // A reply that gives an IA another lease ends the earlier one.
                if heard.message_type == MessageType::Reply && ia.leases.iter().any(|lease| lease.2 > 0) {
                    let kind = ia.leases[0].0.kind();
                    holders.retain(|lease, (holder, iaid, _)| {
                        holder != &client || *iaid != ia.iaid || lease.kind() != kind
                            || ia.leases.iter().any(|(own, _, valid)| own == lease && *valid > 0)
                            || !same_link(*lease, ia.leases[0].0)
                    });
                }
            }
            if released {
                holders.retain(|_, (holder, ..)| holder != &client);
            }
        }
    }
}

/// Whether two leases are of the same of the two links.
fn same_link(one: Lease, other: Lease) -> bool {
    let number = |lease: Lease| match lease {
        Lease::Address(address) => address.segments()[2],
        Lease::Prefix(prefix, _) => prefix.segments()[2] >> 8,
        Lease::V4(_) => 0,
    };
    number(one) == number(other)
}
