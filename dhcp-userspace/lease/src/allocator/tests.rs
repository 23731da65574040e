use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

const POOL: PoolIndex = PoolIndex(0);

fn v4(last: u32) -> Lease {
    Lease::V4(Ipv4Addr::from(0x0a00_0000 + last))
}

fn prefix(number: u64, length: u8) -> Lease {
    let shift = 128 - u32::from(length);
    let base = u128::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0)) >> shift;
    Lease::Prefix(Ipv6Addr::from((base + u128::from(number)) << shift), length)
}

#[test]
fn a_pool_hands_out_every_last_address_in_order_and_then_none() {
    // Miri takes a second for a thousand of them.
    let counts: &[u64] = match cfg!(miri) {
        true => &[1, 2, 63, 64, 65, 130],
        false => &[1, 2, 63, 64, 65, 4096, 4097, 300_000],
    };
    for &count in counts {
        let pools = Pools::new(
            &[PoolRange {
                first: v4(7),
                count,
            }],
            &[],
        );
        for offset in 0..count {
            assert_eq!(pools.claim_next(POOL), Some(v4(7 + offset as u32)));
        }
        assert_eq!(pools.claim_next(POOL), None);
        assert_eq!(pools.free_count(POOL), 0);
        pools.give_back(v4(7 + count as u32 / 2));
        assert_eq!(pools.claim_next(POOL), Some(v4(7 + count as u32 / 2)));
    }
}

#[test]
fn the_search_goes_on_after_the_last_one_and_comes_round() {
    let pools = Pools::new(
        &[PoolRange {
            first: v4(0),
            count: 3,
        }],
        &[],
    );
    assert_eq!(pools.claim_next(POOL), Some(v4(0)));
    pools.give_back(v4(0));
    assert_eq!(pools.claim_next(POOL), Some(v4(1)));
    assert_eq!(pools.claim_next(POOL), Some(v4(2)));
    assert_eq!(pools.claim_next(POOL), Some(v4(0)));
}

#[test]
fn prefixes_of_every_length_are_counted_among_their_own() {
    for length in [1, 32, 48, 56, 64, 127, 128] {
        let range = PoolRange {
            first: prefix(0, length),
            count: 2,
        };
        let pools = Pools::new(&[range], &[]);
        let first = pools.claim_next(POOL).unwrap();
        assert_eq!(first, prefix(0, length));
        assert_eq!(pools.pool_of(first), Some(POOL));
        let Lease::Prefix(address, _) = first else {
            panic!("{first}")
        };
        assert_eq!(pools.pool_of(Lease::Address(address)), None);
        assert_eq!(
            pools.pool_of(Lease::Prefix(address, length % 128 + 1)),
            None
        );
        assert_eq!(pools.claim_next(POOL), Some(prefix(1, length)));
        assert_eq!(pools.claim_next(POOL), None);
    }
}

#[test]
#[cfg_attr(miri, ignore = "Miri takes minutes for a pool of 2^24 units")]
fn ranges_are_cut_to_the_address_space_and_to_the_bound() {
    let last = Lease::V4(Ipv4Addr::BROADCAST);
    let pools = Pools::new(
        &[
            PoolRange {
                first: last,
                count: 10,
            },
            PoolRange {
                first: prefix(0, 64),
                count: u64::MAX,
            },
            PoolRange {
                first: Lease::Address(Ipv6Addr::from(u128::MAX)),
                count: u64::MAX,
            },
        ],
        &[],
    );
    assert_eq!(pools.claim_next(PoolIndex(0)), Some(last));
    assert_eq!(pools.claim_next(PoolIndex(0)), None);
    assert_eq!(pools.free_count(PoolIndex(1)), PoolRange::COUNT_MAX);
    assert_eq!(pools.free_count(PoolIndex(2)), 1);
}

#[test]
fn reserved_leases_are_claimed_by_name_only() {
    let reserved = [v4(1), v4(100), prefix(5, 56)];
    let pools = Pools::new(
        &[PoolRange {
            first: v4(0),
            count: 3,
        }],
        &reserved,
    );
    assert_eq!(pools.free_count(POOL), 2);
    assert_eq!(pools.claim_next(POOL), Some(v4(0)));
    assert_eq!(pools.claim_next(POOL), Some(v4(2)));
    assert_eq!(pools.claim_next(POOL), None);
    for lease in reserved {
        assert!(pools.is_reserved(lease));
        assert_eq!(pools.claim(lease), Claim::Claimed);
        assert_eq!(pools.claim(lease), Claim::Taken);
        pools.give_back(lease);
        assert_eq!(pools.claim(lease), Claim::Claimed);
    }
    assert_eq!(pools.claim(v4(50)), Claim::Outside);
    assert!(!pools.is_reserved(v4(0)));
    assert_eq!(
        pools.counts(POOL),
        PoolCounts {
            size: 3,
            taken: 3,
            declined: 0,
            reserved: 1
        }
    );
}

#[test]
fn an_unchanged_pool_goes_on_and_a_changed_one_waits_to_be_marked() {
    let same = PoolRange {
        first: v4(0),
        count: 10,
    };
    let old = Pools::new(
        &[
            PoolRange {
                first: v4(100),
                count: 10,
            },
            same,
        ],
        &[v4(500)],
    );
    assert_eq!(old.claim(v4(3)), Claim::Claimed);
    assert_eq!(old.claim(v4(500)), Claim::Claimed);
    let grown = PoolRange {
        first: v4(100),
        count: 20,
    };
    let new = Pools::succeed(&old, &[same, grown], &[v4(500)]);
    assert_eq!(new.claim(v4(3)), Claim::Taken);
    assert_eq!(new.claim(v4(500)), Claim::Taken);
    assert_eq!(new.claim_next(PoolIndex(0)), Some(v4(0)));
    assert_eq!(new.claim_next(PoolIndex(1)), None);
    assert_eq!(new.claim(v4(100)), Claim::Taken);
    assert_eq!(new.mark(v4(100)), Some(true));
    new.open_pool(PoolIndex(1));
    assert_eq!(new.claim_next(PoolIndex(1)), Some(v4(101)));
    let reserved = Pools::succeed(&new, &[same, grown], &[v4(500), v4(7)]);
    assert_eq!(
        reserved.claim_next(PoolIndex(0)),
        None,
        "its reservations changed"
    );
    assert_eq!(reserved.claim_next(PoolIndex(1)), Some(v4(102)));
}

#[test]
fn threads_share_out_a_pool_without_loss_or_duplicate() {
    const COUNT: u64 = if cfg!(miri) { 130 } else { 20_000 };
    let pools = Pools::new(
        &[PoolRange {
            first: v4(0),
            count: COUNT,
        }],
        &[v4(9)],
    );
    let claimed: Vec<Vec<Lease>> = std::thread::scope(|scope| {
        let work = || std::iter::from_fn(|| pools.claim_next(POOL)).collect();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let all: Vec<Lease> = claimed.concat();
    let different: std::collections::HashSet<Lease> = all.iter().copied().collect();
    assert_eq!(
        (all.len() as u64, different.len() as u64),
        (COUNT - 1, COUNT - 1)
    );
}

/// The hints are set and taken away all the time when a pool is all but full.
#[test]
fn threads_that_take_and_give_back_in_a_full_pool_find_what_there_is() {
    const FULL_COUNT: u64 = if cfg!(miri) { 67 } else { 64 * 64 + 3 };
    let pools = Pools::new(
        &[PoolRange {
            first: v4(0),
            count: FULL_COUNT,
        }],
        &[],
    );
    while pools.claim_next(POOL).is_some() {}
    for spare in 0..4 {
        pools.give_back(v4(FULL_COUNT as u32 / 4 * spare));
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..if cfg!(miri) { 30 } else { 20_000 } {
                    // As many leases as threads: one is always there.
                    let lease = pools.claim_next(POOL).expect("a lease is free");
                    pools.give_back(lease);
                }
            });
        }
    });
    for _ in 0..4 {
        assert!(pools.claim_next(POOL).is_some());
    }
    assert_eq!(pools.claim_next(POOL), None);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 48 }) })]

    #[test]
    fn a_pool_does_what_a_set_does(
        count in prop_oneof![1u64..130, if cfg!(miri) { 130u64..132 } else { 4000..4200 }],
        reserved in proptest::collection::btree_set(0u32..130, 0..20),
        events in proptest::collection::vec((0u8..4, any::<u32>()), 1..if cfg!(miri) { 30 } else { 300 }),
    ) {
        let reserved: Vec<Lease> = reserved.into_iter().map(v4).collect();
        let pools = Pools::new(&[PoolRange { first: v4(0), count }], &reserved);
        let known = |lease: Lease| pools.pool_of(lease).is_some() || reserved.contains(&lease);
        let mut held = BTreeSet::new();
        let mut cursor = 0;
        for (event, number) in events {
            let number = number % (count as u32 + 3);
            let lease = v4(number);
            match event {
                0 => {
                    let expected = match held.contains(&number) {
                        _ if !known(lease) => Claim::Outside,
                        true => Claim::Taken,
                        false => Claim::Claimed,
                    };
                    prop_assert_eq!(pools.claim(lease), expected);
                    if expected == Claim::Claimed {
                        held.insert(number);
                    }
                }
                1 => {
                    pools.give_back(lease);
                    held.remove(&number);
                }
                _ => {
                    let free = |n: &u32| !held.contains(n) && !reserved.contains(&v4(*n));
                    let count = count as u32;
                    let expected = (cursor..count).chain(0..cursor).find(free);
                    prop_assert_eq!(pools.claim_next(POOL), expected.map(v4));
                    if let Some(number) = expected {
                        held.insert(number);
                        cursor = (number + 1) % count;
                    }
                }
            }
            let inside = held.iter().filter(|&&n| u64::from(n) < count);
            let free = (0..count as u32).filter(|n| !held.contains(n) && !reserved.contains(&v4(*n)));
            prop_assert_eq!(pools.counts(POOL).taken, inside.count() as u64);
            prop_assert_eq!(pools.free_count(POOL), free.count() as u64);
        }
    }
}

/// The operator changed a pd-pool from /56 to /60 prefixes. A live /56 is no unit of the new pool, so
/// nothing was marked: the server delegated sixteen /60 out of the /56 of somebody else.
#[test]
fn a_lease_of_another_shape_keeps_what_it_overlaps_out_of_the_pool_until_it_ends() {
    let range = |first, count| [PoolRange { first, count }];
    let inside = |lease: Lease| match lease {
        Lease::Prefix(address, _) => Lease::Address(address),
        Lease::V4(_) | Lease::Address(_) => lease,
    };
    // The pool, leases of other shapes, and which units these take.
    let cases: [(_, &[Lease], &[u64]); 5] = [
        (
            range(prefix(0, 60), 18),
            &[prefix(0, 56)],
            &(0..16).collect::<Vec<_>>(),
        ),
        (
            range(prefix(8, 60), 16),
            &[prefix(0, 56)],
            &(0..8).collect::<Vec<_>>(),
        ),
        (
            range(prefix(0, 56), 3),
            &[prefix(17, 60), prefix(31, 60)],
            &[1],
        ),
        (
            range(inside(prefix(0, 64)), 5),
            &[prefix(0, 126)],
            &[0, 1, 2, 3],
        ),
        (range(prefix(0, 64), 4), &[inside(prefix(2, 64))], &[2]),
    ];
    for (ranges, leases, blocked) in cases {
        let pools = Pools::new(&ranges, &[]);
        for &lease in leases {
            assert_eq!(pools.mark(lease), None);
            assert_eq!(pools.claim(lease), Claim::Outside);
        }
        let count = ranges[0].count;
        for (ended, &lease) in (0..).zip(leases) {
            let taken = pools.counts(POOL).taken;
            assert_eq!(taken, blocked.len() as u64, "{ended} ended of {leases:?}");
            for &offset in blocked {
                let unit = ranges[0].lease(offset).unwrap();
                assert_eq!(pools.claim(unit), Claim::Taken, "{unit} and {leases:?}");
            }
            pools.give_back(lease);
        }
        assert_eq!(pools.free_count(POOL), count);
        assert!((0..count).all(|_| pools.claim_next(POOL).is_some()));
    }
}

/// Both were delegated before the rule above: whichever ends first, the unit waits for the other.
#[test]
fn a_unit_that_is_held_and_overlapped_is_free_when_both_have_ended() {
    let range = PoolRange {
        first: prefix(0, 60),
        count: 20,
    };
    let held = [prefix(0, 56), prefix(3, 60)];
    for (marked, ended) in [
        (held, held),
        (held, [held[1], held[0]]),
        ([held[1], held[0]], held),
    ] {
        let pools = Pools::new(&[range], &[]);
        for lease in marked {
            assert_ne!(
                pools.mark(lease),
                Some(false),
                "no second holder of {lease}"
            );
        }
        assert_eq!(pools.mark(held[1]), Some(false));
        pools.give_back(ended[0]);
        assert_eq!(pools.claim(held[1]), Claim::Taken);
        pools.give_back(ended[1]);
        assert_eq!(pools.free_count(POOL), 20);
        assert_eq!(pools.claim(held[1]), Claim::Claimed);
    }
}

/// A prefix was reserved around delegated ones: its client must wait until they have ended.
#[test]
fn a_reservation_waits_for_the_leases_of_another_shape_inside_of_it() {
    let old = [PoolRange {
        first: prefix(0, 60),
        count: 16,
    }];
    let pools = Pools::succeed(&Pools::new(&old, &[]), &[], &[prefix(0, 56), prefix(9, 56)]);
    pools.mark_in_closed(prefix(5, 60));
    pools.open_all();
    assert_eq!(pools.claim(prefix(0, 56)), Claim::Taken);
    assert_eq!(pools.claim(prefix(9, 56)), Claim::Claimed);
    pools.give_back(prefix(5, 60));
    assert_eq!(pools.claim(prefix(0, 56)), Claim::Claimed);
}
