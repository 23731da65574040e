use super::*;
use crate::sync::steps;
use proptest::prelude::*;
use std::collections::{BTreeSet, HashSet};

const POOL: PoolIndex = PoolIndex(0);
const ALL: [Allocator; 3] = [
    Allocator::Iterative,
    Allocator::Random,
    Allocator::FreeLeaseQueue,
];

fn v4(last: u64) -> Lease {
    Lease::V4(Ipv4Addr::from(0x0a00_0000 + last as u32))
}

fn offset(lease: Lease) -> u64 {
    let IpAddr::V4(address) = lease.address() else {
        panic!("{lease}")
    };
    u64::from(address.to_bits() - 0x0a00_0000)
}

fn pools(allocator: Allocator, count: u64, reserved: &[Lease]) -> Pools {
    let first = v4(0);
    let pools = Pools::with_allocators(&[PoolRange { first, count }], &[allocator], reserved);
    pools.set_secret([7, 11]);
    pools
}

fn rest(pools: &Pools) -> Vec<u64> {
    core::iter::from_fn(|| pools.claim_next(POOL))
        .map(offset)
        .collect()
}

#[test]
fn every_allocator_hands_out_every_last_address_and_then_none() {
    let counts: &[u64] = match cfg!(miri) {
        true => &[1, 2, 65],
        false => &[1, 2, 3, 63, 64, 65, 4097, 65_536, 70_000],
    };
    for allocator in ALL {
        for &count in counts {
            let pools = pools(allocator, count, &[]);
            let mut all = rest(&pools);
            all.sort_unstable();
            assert!(all.into_iter().eq(0..count), "{allocator:?} of {count}");
            pools.give_back(v4(count / 2));
            assert_eq!(rest(&pools), [count / 2], "{allocator:?} of {count}");
        }
    }
}

/// 65,536 addresses, eight workers, 65,537 clients: exactly 65,536 are served.
#[test]
fn eight_threads_share_out_a_pool_with_every_allocator() {
    const COUNT: u64 = if cfg!(miri) { 130 } else { 65_536 };
    for allocator in ALL {
        let pools = pools(allocator, COUNT, &[]);
        let claimed: Vec<Vec<u64>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| rest(&pools))).collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().unwrap();
            threads.into_iter().map(join).collect()
        });
        let all = claimed.concat();
        let different: HashSet<u64> = all.iter().copied().collect();
        assert_eq!(all.len() as u64, COUNT, "{allocator:?}");
        assert_eq!(different.len() as u64, COUNT, "{allocator:?}");
        assert_eq!(pools.claim_next(POOL), None);
    }
}

/// By order, by name and back, from all sides, in a pool that is all but full.
#[test]
fn threads_that_claim_by_name_too_lose_nothing() {
    const COUNT: u64 = if cfg!(miri) { 67 } else { 64 * 64 + 3 };
    const TURNS: u64 = if cfg!(miri) { 20 } else { 10_000 };
    for allocator in ALL {
        let pools = pools(allocator, COUNT, &[]);
        while pools.free_count(POOL) > 8 {
            pools.claim_next(POOL).unwrap();
        }
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let pools = &pools;
                scope.spawn(move || {
                    for turn in 0..TURNS {
                        let wanted = v4((turn * 31 + thread * 7) % COUNT);
                        let by_name = pools.claim(wanted) == Claim::Claimed;
                        // Others hold at most six of the eight.
                        let next = pools.claim_next(POOL).expect("an address is free");
                        if by_name {
                            assert_ne!(next, wanted);
                            pools.give_back(wanted);
                        }
                        pools.give_back(next);
                    }
                });
            }
        });
        assert_eq!(pools.free_count(POOL), 8);
        assert_eq!(rest(&pools).len(), 8, "{allocator:?}");
    }
}

/// A refusal, and the search for the only free address, in pools of all sizes. Counted in looks at shared
/// words, so it does not depend on the machine.
#[test]
#[cfg_attr(miri, ignore = "Miri takes minutes for a pool of ten million units")]
fn refusing_takes_as_long_with_ten_million_addresses_as_with_a_thousand() {
    for allocator in ALL {
        let cost = |count: u64| {
            let pools = pools(allocator, count, &[]);
            let words = vec![u64::MAX; (count / 64) as usize];
            let pool = pools.numbered(0).unwrap();
            pool.mark_all(&words, |_| panic!("was marked"));
            assert_eq!(pools.free_count(POOL), 0);
            let before = steps();
            assert_eq!(pools.claim_next(POOL), None);
            let refused = steps() - before;
            pools.give_back(v4(count - 1));
            let before = steps();
            assert_eq!(pools.claim_next(POOL), Some(v4(count - 1)));
            (refused, steps() - before)
        };
        let (refused, _) = cost(1024);
        let (refused_large, found_large) = cost(10_000_000);
        assert_eq!(refused_large, refused, "{allocator:?}");
        assert!(refused <= 1, "{allocator:?}: {refused}");
        // Down and up the four levels of hints, twice: before and after the end of the pool.
        assert!(found_large <= 40, "{allocator:?}: {found_large}");
    }
}

#[test]
fn a_random_pool_goes_on_in_its_order_after_a_restart() {
    let count = 1000;
    let before = pools(Allocator::Random, count, &[]);
    let order = rest(&before);
    assert_ne!(order[..8], [0, 1, 2, 3, 4, 5, 6, 7]);
    let after = pools(Allocator::Random, count, &[]);
    let unit = after.unit(v4(order[41])).unwrap();
    after.go_on_after(unit);
    assert_eq!(after.claim_next(POOL), Some(v4(order[42])));
    let other = pools(Allocator::Random, count, &[]);
    other.set_secret([7, 12]);
    assert_ne!(
        rest(&other)[..8],
        order[..8],
        "another store, another order"
    );
}

#[test]
fn a_random_pool_repeats_no_address_before_the_round_is_over() {
    let pools = pools(Allocator::Random, 100, &[]);
    let mut seen = HashSet::new();
    for _ in 0..100 {
        let lease = pools.claim_next(POOL).unwrap();
        pools.give_back(lease);
        assert!(seen.insert(lease));
    }
}

#[test]
fn the_queue_hands_out_what_has_been_free_longest() {
    let pools = pools(Allocator::FreeLeaseQueue, 6, &[v4(3)]);
    // Never held, ascending; the reserved one is not among them.
    assert_eq!(
        [0; 3].map(|_| pools.claim_next(POOL).unwrap()),
        [0, 1, 2].map(v4)
    );
    assert_eq!(pools.claim(v4(5)), Claim::Claimed);
    for freed in [1, 5, 0] {
        pools.give_back(v4(freed));
    }
    // Whoever asks for one by name gets it, and it is last when it comes back.
    assert_eq!(pools.claim(v4(5)), Claim::Claimed);
    pools.give_back(v4(5));
    // Given back twice: nothing happens.
    pools.give_back(v4(1));
    assert_eq!(rest(&pools), [4, 1, 0, 5]);
    assert_eq!(pools.claim(v4(3)), Claim::Claimed);
    pools.give_back(v4(3));
    assert_eq!(rest(&pools), [0u64; 0], "reserved ones are never found");
}

#[test]
fn the_queue_is_put_in_order_by_the_ends_of_leases() {
    let pools = pools(Allocator::FreeLeaseQueue, 8, &[v4(7)]);
    assert_eq!(pools.mark(v4(2)), Some(true));
    let mut past = Past::of_all(&pools);
    assert!(past.wants_ends());
    for (unit, at) in [
        (5, 300),
        (0, 100),
        (6, 200),
        (0, 400),
        (2, 50),
        (7, 60),
        (99, 1),
    ] {
        past.ended(v4(unit), Timestamp(at));
    }
    past.tell();
    assert_eq!(rest(&pools), [1, 3, 4, 6, 5, 0]);
}

#[test]
fn a_pool_with_another_allocator_is_a_new_pool_with_the_same_holders() {
    let first = pools(Allocator::Iterative, 4, &[]);
    assert_eq!(first.claim_next(POOL), Some(v4(0)));
    let ranges = [first.range(POOL).unwrap()];
    for allocator in [Allocator::Random, Allocator::FreeLeaseQueue] {
        let second = Pools::succeed_with(&first, &ranges, &[allocator], &[]);
        assert_eq!(
            second.claim_next(POOL),
            None,
            "until it is known who holds what"
        );
        second.mark_in_closed(v4(0));
        second.open_all();
        let mut others = rest(&second);
        others.sort_unstable();
        assert_eq!(others, [1, 2, 3]);
    }
    let same = Pools::succeed(&first, &ranges, &[]);
    assert_eq!(same.claim_next(POOL), Some(v4(1)));
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 48 })
    })]

    /// Against a set: what is found is free, what is free is found. The queue against a list, in order.
    #[test]
    fn every_allocator_does_what_a_set_does(
        allocator in prop::sample::select(&ALL[..]),
        count in prop_oneof![1u64..130, if cfg!(miri) { 130u64..132 } else { 4000..4200 }],
        reserved in proptest::collection::btree_set(0u64..130, 0..20),
        events in proptest::collection::vec((0u8..4, any::<u64>()), 1..if cfg!(miri) { 30 } else { 300 }),
    ) {
        let leases: Vec<Lease> = reserved.iter().copied().map(v4).collect();
        let pools = pools(allocator, count, &leases);
        let mut held = BTreeSet::new();
        let mut queue: Vec<u64> = (0..count).filter(|unit| !reserved.contains(unit)).collect();
        for (event, number) in events {
            let number = number % count;
            match event {
                0 => {
                    let claimed = pools.claim(v4(number)) == Claim::Claimed;
                    prop_assert_eq!(claimed, held.insert(number));
                    queue.retain(|&unit| unit != number);
                }
                1 => {
                    pools.give_back(v4(number));
                    if held.remove(&number) && !reserved.contains(&number) {
                        queue.push(number);
                    }
                }
                _ => {
                    let found = pools.claim_next(POOL).map(offset);
                    prop_assert_eq!(found.is_none(), queue.is_empty());
                    if let Some(unit) = found {
                        prop_assert!(queue.contains(&unit));
                        if allocator == Allocator::FreeLeaseQueue {
                            prop_assert_eq!(unit, queue[0]);
                        }
                        queue.retain(|&other| other != unit);
                        held.insert(unit);
                    }
                }
            }
            prop_assert_eq!(pools.free_count(POOL), queue.len() as u64);
        }
        let mut left = rest(&pools);
        if allocator != Allocator::FreeLeaseQueue {
            left.sort_unstable();
            queue.sort_unstable();
        }
        prop_assert_eq!(left, queue);
    }
}
