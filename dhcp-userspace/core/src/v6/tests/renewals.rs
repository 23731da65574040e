//! What becomes of leases that clients have: renewed, moved, released, declined.

use super::world::*;

// RFC 8415 section 18.3.4 [renew-extends]
// RFC 8415 section 21.6 [client-lifetimes-ignored]
#[test]
fn renew_and_rebind_give_new_lifetimes_to_the_same_lease() {
    let mut world = World::new();
    let first = world
        .ask(&Ask::request(ALICE).na(1, &[]).pd(1, &[]))
        .unwrap();
    for kind in [MessageType::Renew, MessageType::Rebind] {
        world.later(1500);
        let mut ask = Ask::to_any(kind, ALICE).na(1, &[first.leases()[0]]);
        ask = ask.pd(1, &[first.leases()[1]]);
        if kind == MessageType::Renew {
            ask = ask.option(OptionCode::SERVER_ID, SERVER);
        }
        let heard = world.ask(&ask).unwrap();
        assert_eq!(heard.ias, first.ias, "{kind:?}");
        assert!(heard.changed);
    }
    world.later(3999);
    assert_ne!(
        world.lease_of(BOB),
        first.leases()[0],
        "it is still Alice's"
    );
}

// RFC 8415 section 18.3.2 [no-cached-replies]
#[test]
fn a_retransmitted_request_is_answered_anew() {
    let mut world = World::new();
    let request = Ask::request(ALICE).na(1, &[]);
    let first = world.ask(&request).unwrap();
    world.later(3000);
    assert_eq!(world.ask(&request).unwrap(), first);
    world.later(3999);
    let bobs = world
        .ask(&Ask::request(BOB).na(1, &first.leases()))
        .unwrap();
    assert_ne!(
        bobs.leases(),
        first.leases(),
        "the lease counts from the second answer"
    );
}

// RFC 8415 section 18.3.4 [renew-may-create]
// RFC 8415 section 18.3.4 [leases-of-other-links-end]
// RFC 8415 section 18.3.5 [rebind-creates-with-rapid-commit]
// RFC 8415 section 18.3.5 [rebind-nothing-to-say]
#[test]
fn leases_that_we_do_not_know_are_taken_over_or_refused() {
    let (free, bobs, elsewhere, no_pool) = (
        address("2001:db8:1::10f"),
        address("2001:db8:1::100"),
        address("2001:db8:2::100"),
        address("2001:db8:1::ffff"),
    );
    let granted = |lease| (vec![(lease, 3000, 4000)], None);
    let ended = |lease| (vec![(lease, 0, 0)], None);
    let unknown = || (vec![], Some(StatusCode::NO_BINDING));
    let renew = || Ask::to_us(MessageType::Renew, ALICE);
    let rebind = || Ask::to_any(MessageType::Rebind, ALICE);
    let first_free = address("2001:db8:1::101");
    let table = [
        (renew().na(1, &[free]), false, granted(free)),
        (rebind().na(1, &[free]), false, granted(free)),
        (renew().na(1, &[bobs]), false, unknown()),
        (rebind().na(1, &[bobs]), true, unknown()),
        (renew().na(1, &[no_pool]), false, unknown()),
        (renew().na(1, &[elsewhere]), false, ended(elsewhere)),
        (rebind().na(1, &[elsewhere]), true, ended(elsewhere)),
        (renew().na(1, &[]), false, granted(first_free)),
        (rebind().na(1, &[]), false, unknown()),
        (rebind().na(1, &[]), true, granted(first_free)),
    ];
    for (ask, rapid_commit, (leases, status)) in table {
        let mut world = World::new();
        world.own().rapid_commit = rapid_commit;
        assert_eq!(world.lease_of(BOB), bobs);
        let heard = world.ask(&ask).unwrap();
        assert_eq!(
            (&heard.ias[0].leases, heard.ias[0].status),
            (&leases, status),
            "{ask:?}"
        );
    }
    assert_eq!(World::new().ask(&rebind()), Err(Discard::UnknownBinding));
    assert!(World::new().ask(&renew()).is_ok());
}

#[test]
fn a_renewed_ia_loses_what_is_not_its_own() {
    let mut world = World::new();
    let own = world.lease_of(ALICE);
    let bobs = world.lease_of(BOB);
    let elsewhere = address("2001:db8:2::7");
    let ask = Ask::to_us(MessageType::Renew, ALICE).na(1, &[bobs, own, elsewhere]);
    let heard = world.ask(&ask).unwrap();
    assert_eq!(
        heard.ias[0].leases,
        [(own, 3000, 4000), (bobs, 0, 0), (elsewhere, 0, 0)]
    );
    assert_eq!(
        world
            .ask(&Ask::to_us(MessageType::Renew, BOB).na(1, &[bobs]))
            .unwrap()
            .leases(),
        [bobs]
    );
}

// RFC 8415 section 18.3.4 [renew-extends]: renumbering, seen by one client.
#[test]
fn a_lease_whose_pool_is_gone_ends_and_another_one_comes_with_it() {
    let mut world = World::new();
    let old = world.lease_of(ALICE);
    world.ranges[0].first = address("2001:db8:1::200");
    world.set_pools(&[]);
    let heard = world
        .ask(&Ask::to_us(MessageType::Renew, ALICE).na(1, &[old]))
        .unwrap();
    let new = address("2001:db8:1::200");
    assert_eq!(heard.ias[0].leases, [(new, 3000, 4000), (old, 0, 0)]);
    let again = world
        .ask(&Ask::to_us(MessageType::Renew, ALICE).na(1, &[new]))
        .unwrap();
    assert_eq!(again.ias[0].leases, [(new, 3000, 4000)]);
    // Also when the client names as many others as it may.
    world.ranges[0].first = address("2001:db8:1::300");
    world.set_pools(&[]);
    let others = ["::1", "::2", "::3", "::4"].map(|host| address(&format!("2001:db8:2{host}")));
    let renew = Ask::to_us(MessageType::Renew, ALICE).na(1, &others);
    let ended: Vec<_> = world.ask(&renew).unwrap().ias[0].leases[1..]
        .iter()
        .map(|lease| lease.0)
        .collect();
    assert_eq!(ended, [&[new], &others[..]].concat());
}

#[test]
fn a_lease_that_cannot_be_replaced_ends_all_the_same() {
    let mut world = World::new();
    let old = world.lease_of(ALICE);
    world.own().pools.clear();
    let renew = Ask::to_us(MessageType::Renew, ALICE).na(1, &[old]);
    assert_eq!(world.ask(&renew).unwrap().ias[0].leases, [(old, 0, 0)]);
    let advertise = world.ask(&Ask::solicit(ALICE).na(1, &[old])).unwrap();
    assert_eq!(advertise.ias[0].status, Some(StatusCode::NO_ADDRS_AVAIL));
}

#[test]
fn a_lease_reserved_while_somebody_has_it_moves_when_it_has_ended() {
    let mut world = World::new();
    let lease = world.lease_of(ALICE);
    world.reserve(ReservedBy::Duid, BOB, &[lease]);
    // Bob has to do with another one as long as Alice has his.
    let for_now = world.lease_of(BOB);
    assert_ne!(for_now, lease);
    let renewed = world
        .ask(&Ask::to_us(MessageType::Renew, ALICE).na(1, &[lease]))
        .unwrap();
    assert_eq!(renewed.ias[0].leases[1], (lease, 0, 0));
    assert_ne!(renewed.ias[0].leases[0].0, lease);
    // Alice may not have heard of that.
    let renew = Ask::to_us(MessageType::Renew, BOB).na(1, &[for_now]);
    assert_eq!(world.ask(&renew).unwrap().leases(), [for_now]);
    world.later(3000);
    assert_eq!(world.ask(&renew).unwrap().leases(), [for_now]);
    world.later(1003);
    let renewed = world
        .ask(&Ask::to_us(MessageType::Renew, BOB).na(1, &[for_now]))
        .unwrap();
    assert_eq!(
        renewed.ias[0].leases,
        [(lease, 3000, 4000), (for_now, 0, 0)]
    );
}

// RFC 8415 section 18.3.7 [release-by-holder]
#[test]
fn release_is_for_the_holder_and_always_succeeds() {
    let mut world = World::new();
    let lease = world.lease_of(ALICE);
    let unknown = Some(StatusCode::NO_BINDING);
    for (client, iaid) in [(BOB, 1), (ALICE, 2)] {
        let release = Ask::to_us(MessageType::Release, client).na(iaid, &[lease]);
        let heard = world.ask(&release).unwrap();
        assert_eq!(
            (heard.status, heard.ias[0].status),
            (Some(StatusCode::SUCCESS), unknown)
        );
        assert!(!heard.changed);
    }
    let not_hers = Ask::to_us(MessageType::Release, ALICE).na(1, &[address("2001:db8:1::10b")]);
    let heard = world.ask(&not_hers).unwrap();
    assert!(heard.ias.is_empty() && !heard.changed);
    let release = Ask::to_us(MessageType::Release, ALICE).na(1, &[lease]);
    let heard = world.ask(&release).unwrap();
    assert!(heard.ias.is_empty() && heard.changed);
    assert_eq!(heard.status, Some(StatusCode::SUCCESS));
    assert_eq!(
        world.ask(&release).unwrap().ias[0].status,
        unknown,
        "a second time"
    );
    // It is her former lease now, and everybody's.
    assert_ne!(
        world.lease_of(BOB),
        lease,
        "the search goes on from where it ended"
    );
    assert_eq!(world.lease_of(ALICE), lease);
}

// RFC 8415 section 18.3.8 [decline-by-holder]
#[test]
fn a_declined_address_is_nobodys_until_its_probation_ends() {
    let mut world = World::new();
    let lease = world.lease_of(ALICE);
    let by_bob = Ask::to_us(MessageType::Decline, BOB).na(1, &[lease]);
    let heard = world.ask(&by_bob).unwrap();
    assert_eq!(heard.ias[0].status, Some(StatusCode::NO_BINDING));
    assert!(!heard.changed);
    let heard = world
        .ask(&Ask::to_us(MessageType::Decline, ALICE).na(1, &[lease]))
        .unwrap();
    assert_eq!(
        (heard.status, heard.changed),
        (Some(StatusCode::SUCCESS), true)
    );
    assert!(heard.ias.is_empty());
    assert_ne!(
        world
            .ask(&Ask::solicit(ALICE).na(1, &[lease]))
            .unwrap()
            .leases(),
        [lease]
    );
    let all: Vec<_> = (0..20u8)
        .map(|number| world.ask(&Ask::request(&[0, 9, number]).na(1, &[])))
        .collect();
    let given = all.iter().flatten().flat_map(Heard::leases);
    assert!(given.clone().all(|given| given != lease));
    assert_eq!(
        given.count(),
        14,
        "all but the declined one and Alice's offer"
    );
    world.later(3601);
    assert_eq!(
        world
            .ask(&Ask::request(BOB).na(1, &[]))
            .unwrap()
            .leases()
            .len(),
        1
    );
    // RFC 8415 section 21.21: prefixes cannot be declined.
    let delegated = world.ask(&Ask::request(CAROL).pd(1, &[])).unwrap().leases();
    let heard = world
        .ask(&Ask::to_us(MessageType::Decline, CAROL).pd(1, &delegated))
        .unwrap();
    assert!(heard.ias.is_empty() && !heard.changed);
}
