//! Which lease an IA gets, and when it gets none.

use super::world::*;

// RFC 8415 section 18.3.9 [advertise-what-will-be-given]
#[test]
fn the_reply_gives_what_the_advertise_offered_and_only_the_reply_is_written() {
    let mut world = World::new();
    let asked = Ask::solicit(ALICE).na(1, &[]).pd(1, &[]);
    let advertise = world.ask(&asked).unwrap();
    assert_eq!(advertise.message_type, MessageType::Advertise);
    assert_eq!(advertise.transaction_id, [0xaa, 0xbb, 0xcc]);
    assert!(!advertise.changed, "a Solicit costs no durable write");
    // RFC 8415 section 18.3 [both-identifiers]
    assert_eq!(advertise.option(OptionCode::SERVER_ID), Some(SERVER));
    assert_eq!(advertise.option(OptionCode::CLIENT_ID), Some(ALICE));
    // Others come in between; the offer holds.
    assert_ne!(world.lease_of(BOB), advertise.leases()[0]);
    let reply = world
        .ask(
            &Ask {
                kind: 3,
                ..asked.clone()
            }
            .option(2, SERVER),
        )
        .unwrap();
    assert_eq!(reply.message_type, MessageType::Reply);
    assert_eq!(reply.leases(), advertise.leases());
    assert_eq!(
        reply.leases(),
        [address("2001:db8:1::100"), prefix("2001:db8:100::/56")]
    );
    assert!(reply.changed);
    assert_eq!(
        reply.ias[0].leases[0],
        (address("2001:db8:1::100"), 3000, 4000)
    );
}

// RFC 8415 section 18.3.2 [same-timers-in-all-ias]
// RFC 8415 section 18.3.9 [no-addrs-avail-in-ia]
#[test]
fn an_ia_without_lease_says_so_and_the_others_keep_theirs() {
    let mut world = World::new();
    let all = Ask::request(BOB)
        .pd(1, &[])
        .pd(2, &[])
        .pd(3, &[])
        .pd(4, &[]);
    assert_eq!(world.ask(&all).unwrap().leases().len(), 4);
    for ask in [Ask::solicit(ALICE), Ask::request(ALICE)] {
        let heard = world.ask(&ask.na(1, &[]).pd(7, &[]).na(2, &[])).unwrap();
        let told: Vec<_> = heard
            .ias
            .iter()
            .map(|ia| (ia.leases.len(), ia.status))
            .collect();
        assert_eq!(
            told,
            [(1, None), (0, Some(StatusCode::NO_PREFIX_AVAIL)), (1, None)]
        );
        assert!(
            heard.ias.iter().all(|ia| (ia.t1, ia.t2) == (1500, 2400)),
            "{heard:?}"
        );
        assert_eq!(heard.status, None);
    }
}

#[test]
fn reservations_are_found_by_duid_and_by_link_layer_address() {
    let reserved = address("2001:db8:1::10a");
    for (by, identifier) in [
        (ReservedBy::Duid, ALICE),
        (ReservedBy::HardwareAddress, &ALICE[4..]),
    ] {
        let mut world = World::new();
        world.reserve(by, identifier, &[reserved]);
        let bobs = world.lease_of(BOB);
        assert_eq!(bobs, address("2001:db8:1::100"));
        assert_eq!(world.lease_of(ALICE), reserved, "{by:?}");
        let two = world
            .ask(&Ask::request(ALICE).na(1, &[]).na(2, &[]))
            .unwrap();
        assert_eq!(
            two.leases(),
            [reserved, address("2001:db8:1::101")],
            "only one has it"
        );
    }
    // RFC 6939 section 6 [link-layer-address-option]: what the first relay agent says is believed.
    let mut world = World::new();
    let reserved = address("2001:db8:1::20a");
    world.reserve(
        ReservedBy::HardwareAddress,
        &[2, 0, 0, 0, 7, 7],
        &[reserved],
    );
    let mut ask = Ask::request(CAROL)
        .na(1, &[])
        .via("2001:db8:1::1", "fe80::9", None);
    let said = (
        OptionCode::CLIENT_LINK_LAYER_ADDRESS,
        vec![0, 1, 2, 0, 0, 0, 7, 7],
    );
    ask.relays[0].1.push(said);
    assert_eq!(world.ask(&ask).unwrap().leases(), [reserved]);
}

#[test]
fn a_reserved_lease_is_for_nobody_else_in_any_way() {
    let reserved = address("2001:db8:1::100");
    let mut world = World::new();
    world.reserve(ReservedBy::Duid, BOB, &[reserved]);
    let asks = [
        Ask::solicit(ALICE).na(1, &[reserved]),
        Ask::request(ALICE).na(1, &[reserved]),
        Ask::to_us(MessageType::Renew, CAROL).na(1, &[reserved]),
        Ask::to_any(MessageType::Rebind, CAROL).na(1, &[reserved]),
    ];
    for ask in asks {
        let heard = world.ask(&ask).unwrap();
        assert!(!heard.leases().contains(&reserved), "{ask:?}");
    }
    assert_eq!(world.lease_of(BOB), reserved);
}

// RFC 8415 section 16.4 [request-for-other-server]
#[test]
fn a_request_for_another_server_frees_the_offer_and_no_lease() {
    let mut world = World::new();
    let held = world.lease_of(ALICE);
    let offered = world.ask(&Ask::solicit(ALICE).na(2, &[])).unwrap().leases();
    let ask = Ask::to_any(MessageType::Request, ALICE).option(OptionCode::SERVER_ID, OTHER_SERVER);
    let ask = ask.na(1, &[]).na(2, &offered);
    assert_eq!(world.ask(&ask), Err(Discard::OtherServer));
    let hint = world.ask(&Ask::request(BOB).na(1, &offered)).unwrap();
    assert_eq!(hint.leases(), offered, "free again");
    let renewed = world
        .ask(&Ask::to_us(MessageType::Renew, ALICE).na(1, &[held]))
        .unwrap();
    assert_eq!(renewed.leases(), [held]);
}

// RFC 8415 section 18.3.2 [request-not-on-link]
#[test]
fn a_request_for_an_address_of_another_link_is_told_so() {
    let mut world = World::new();
    let ask = Ask::request(ALICE)
        .na(1, &[address("2001:db8:2::100")])
        .na(2, &[]);
    let heard = world.ask(&ask).unwrap();
    assert_eq!(heard.ias[0].status, Some(StatusCode::NOT_ON_LINK));
    assert!(heard.ias[0].leases.is_empty());
    assert_eq!(heard.ias[1].leases.len(), 1);
}

#[test]
fn the_live_binding_goes_before_the_hint_and_the_hint_before_the_former_lease() {
    let mut world = World::new();
    let first = world.lease_of(ALICE);
    let hint = address("2001:db8:1::10c");
    let with_hint = Ask::solicit(ALICE).na(1, &[hint]);
    assert_eq!(world.ask(&with_hint).unwrap().leases(), [first], "live");
    world.later(4001);
    assert_eq!(world.ask(&with_hint).unwrap().leases(), [hint], "hint");
    world.later(61);
    assert_eq!(
        world.ask(&Ask::solicit(ALICE).na(1, &[])).unwrap().leases(),
        [first],
        "former"
    );
    let other_link = address("2001:db8:2::100");
    let ask = Ask::solicit(BOB).na(1, &[other_link, address("2001:db8:1::1")]);
    assert_eq!(
        world.ask(&ask).unwrap().leases(),
        [address("2001:db8:1::101")],
        "new"
    );
}

// RFC 8168 section 3.2 [length-hint-before-record]
// RFC 8168 section 3.2 [length-hint-shorter-and-closest]
#[test]
fn a_wish_for_a_length_is_met_as_well_as_the_pools_allow() {
    let mut world = World::new();
    let mut add = |first: &str| {
        world.ranges.push(PoolRange {
            first: prefix(first),
            count: 1,
        });
        PoolIndex(world.ranges.len() as u32 - 1)
    };
    let more = [
        add("2001:db8:4000::/48"),
        add("2001:db8:5000::/60"),
        add("2001:db8:6000::/64"),
    ];
    world.own().pd_pools.extend(more);
    world.set_pools(&[]);
    let wish = |len| [Lease::Prefix(Ipv6Addr::UNSPECIFIED, len)];
    let lens = |world: &mut World, wished: u8| {
        let ask = Ask::solicit(ALICE).pd(u32::from(wished), &wish(wished));
        match world.ask(&ask).unwrap().leases()[0] {
            Lease::Prefix(_, len) => len,
            other => panic!("{other}"),
        }
    };
    assert_eq!(lens(&mut world, 60), 60);
    assert_eq!(
        lens(&mut world, 61),
        56,
        "shorter and closest, the /60 is taken"
    );
    assert_eq!(lens(&mut world, 52), 48);
    assert_eq!(
        lens(&mut world, 20),
        56,
        "nothing shorter: the closest longer"
    );
    // A former prefix of another length does not stand in the way, one of that length is kept.
    let former = world.ask(&Ask::request(BOB).pd(1, &[])).unwrap().leases();
    assert_eq!(former, [prefix("2001:db8:100:200::/56")]);
    world.later(4001);
    let ask = |len| Ask::solicit(BOB).pd(1, &wish(len));
    assert_eq!(
        world.ask(&ask(64)).unwrap().leases(),
        [prefix("2001:db8:6000::/64")]
    );
    world.later(61);
    assert_eq!(world.ask(&ask(56)).unwrap().leases(), former);
}

#[test]
fn every_last_address_is_given_and_then_none() {
    let mut world = World::new();
    let mut given = std::collections::HashSet::new();
    for number in 0..16u8 {
        assert!(given.insert(world.lease_of(&[0, 2, number])));
    }
    let heard = world.ask(&Ask::solicit(ALICE).na(1, &[])).unwrap();
    assert_eq!(heard.message_type, MessageType::Advertise);
    assert_eq!(heard.ias[0].status, Some(StatusCode::NO_ADDRS_AVAIL));
    // Also for a second subnet of the same link.
    let (mut more, ranges) = subnet(3, 4);
    more.options = OptionSet::layered([option(99, b"three", true)]);
    world.ranges.extend(ranges);
    world.set_pools(&[]);
    let networks = &mut world.policy.networks_v6;
    networks.edit(|networks| networks[0].subnets.push(more));
    let heard = world.ask(&Ask::solicit(ALICE).na(1, &[])).unwrap();
    assert_eq!(heard.leases(), [address("2001:db8:3::100")]);
    assert_eq!(
        heard.option(99),
        Some(&b"three"[..]),
        "the options of the subnet of the lease"
    );
}

#[test]
fn an_address_of_the_interface_is_nobodys_lease() {
    let mut world = World::new();
    world.interface.v6 = vec![v6("2001:db8:1::100"), v6("2001:db8:1::101")];
    let own = address("2001:db8:1::100");
    let named = world.ask(&Ask::solicit(ALICE).na(1, &[own])).unwrap();
    assert_eq!(named.ias[0].leases[0].0, address("2001:db8:1::102"));
    let given: Vec<_> = (0..13)
        .map(|number| world.lease_of(&[0, 3, 0, 1, number]))
        .collect();
    assert!(given.iter().all(|lease| *lease != own));
}

#[test]
fn a_client_that_declines_whatever_it_gets_does_not_set_the_pool_aside() {
    let mut world = World::new();
    let mut declined = Vec::new();
    for _ in 0..=dhcp_lease::DECLINES_MAX {
        let lease = world.lease_of(ALICE);
        let heard = world
            .ask(&Ask::to_us(MessageType::Decline, ALICE).na(1, &[lease]))
            .unwrap();
        assert_eq!(heard.status, Some(0));
        declined.push(lease);
    }
    let last = declined.pop().unwrap();
    let mut offered = |client, lease| {
        let ask = Ask::solicit(client).na(1, &[lease]);
        world.ask(&ask).unwrap().ias[0].leases[0].0
    };
    assert_eq!(offered(BOB, last), last);
    assert_ne!(offered(CAROL, declined[0]), declined[0]);
}
