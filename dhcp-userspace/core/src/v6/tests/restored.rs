//! The store is a restored copy: what it believes free may have been granted since the copy was made.

use super::world::*;

#[test]
fn no_free_lease_is_given_but_to_who_says_that_it_holds_it() {
    let mut world = World::new();
    let alices = world.lease_of(ALICE);
    world.policy.pools.withhold_until(world.now.after(100));
    let free = address("2001:db8:1::10f");

    for ask in [Ask::solicit(BOB), Ask::request(BOB)] {
        let heard = world.ask(&ask.na(1, &[free]).pd(1, &[])).unwrap();
        let status: Vec<_> = heard.ias.iter().map(|ia| ia.status).collect();
        assert_eq!(
            status,
            [
                Some(StatusCode::NO_ADDRS_AVAIL),
                Some(StatusCode::NO_PREFIX_AVAIL)
            ]
        );
    }
    // What the copy knows goes on.
    let renew = |client: &[u8], lease| Ask::to_us(MessageType::Renew, client).na(1, &[lease]);
    let rebind = |client: &[u8], lease| Ask::to_any(MessageType::Rebind, client).na(1, &[lease]);
    for ask in [renew(ALICE, alices), rebind(ALICE, alices)] {
        assert_eq!(world.ask(&ask).unwrap().leases(), [alices]);
    }
    // Bob got his lease after the copy was made, and nobody else's.
    assert_eq!(
        world.ask(&renew(BOB, alices)).unwrap().ias[0].status,
        Some(StatusCode::NO_BINDING)
    );
    let bobs = world.ask(&renew(BOB, free)).unwrap();
    assert_eq!(bobs.ias[0].leases, [(free, 3000, 4000)]);
    // So did Alice, in place of what the copy has for her.
    let other = address("2001:db8:1::10e");
    let heard = world.ask(&rebind(ALICE, other)).unwrap();
    assert_eq!(
        heard.ias[0].leases,
        [(other, 3000, 4000), (alices, 0, 0)],
        "the client learns that the earlier one is not hers"
    );

    world.later(100);
    world.four_messages(b"\0\x03somebody new");
}
