use super::*;
use crate::allocator::{Allocator, PoolIndex, PoolRange};
use crate::binding::LeaseKind;
use crate::context::{CONTEXT_OCTETS_MAX, Context, ItemKind};
use crate::store::Partitions;
use core::net::{Ipv4Addr, Ipv6Addr};
use dhcp_wire::id::{ClientId, HardwareAddress, Iaid};

const NOW: Timestamp = Timestamp(1_790_000_000);

pub(crate) fn address(last: u32) -> Lease {
    Lease::V4(Ipv4Addr::from(0x0a00_0000 + last))
}

fn pools(count: u64) -> Pools {
    Pools::new(
        &[PoolRange {
            first: address(0),
            count,
        }],
        &[],
    )
}

fn hardware(number: u32) -> HardwareAddress {
    let [a, b, c, d] = number.to_be_bytes();
    HardwareAddress::ethernet([2, 0, a, b, c, d])
}

fn key(client: &ClientId, number: u32) -> Key<'_> {
    Key {
        kind: LeaseKind::V4,
        client: client.as_slice(),
        hardware: hardware(number),
        iaid: Iaid(0),
    }
}

fn binding(lease: Lease, client: &ClientId, number: u32) -> Binding {
    Binding {
        lease,
        state: State::Leased,
        subnet: SubnetId(1),
        client: client.clone(),
        hardware: hardware(number),
        iaid: Iaid(0),
        last_transaction: NOW,
        expires: NOW.after(3600),
        valid_seconds: 3600,
        preferred_seconds: 0,
        context: Context::EMPTY,
    }
}

fn client(len: usize, number: u32) -> ClientId {
    let octets: Vec<u8> = (0..len)
        .map(|i| (i as u32).wrapping_mul(number + 3).wrapping_add(number) as u8)
        .collect();
    ClientId::new(&octets).unwrap()
}

#[test]
fn identities_of_every_length_are_found_and_read_back() {
    for durability in [Durability::Process, Durability::Power] {
        let partitions = Partitions::in_memory(1, 2000, durability);
        let pools = pools(1000);
        let mut log = ChangeLog::with_capacity(2000);
        for number in 0..256u32 {
            let mut partition = partitions.lock(0).unwrap();
            let id = client(number as usize, number);
            assert_eq!(partition.find(&key(&id, number), |_| true), None);
            let lease = pools.claim_next(PoolIndex(0)).unwrap();
            let wanted = binding(lease, &id, number);
            partition
                .commit(None, &wanted, &pools, &mut log, NOW)
                .unwrap();
        }
        assert_eq!(log.is_empty(), durability == Durability::Process);
        for settled in [false, true] {
            for number in 0..256u32 {
                let partition = partitions.lock(0).unwrap();
                let id = client(number as usize, number);
                let slot = partition
                    .find(&key(&id, number), |subnet| subnet == SubnetId(1))
                    .unwrap();
                let mut read = Binding::default();
                partition.read(slot, &mut read);
                assert_eq!(read, binding(address(number), &id, number));
                assert_eq!(
                    partition.find(&key(&id, number), |subnet| subnet == SubnetId(2)),
                    None
                );
            }
            if !settled {
                partitions.settle(&mut log, &pools);
                assert!(log.is_empty());
            }
        }
        assert_eq!(partitions.lock(0).unwrap().occupancy().unsettled, 0);
    }
}

/// One partition, one pool, a log: what most tests need.
struct Bench {
    partitions: Partitions,
    pools: Pools,
    log: ChangeLog,
}

impl Bench {
    fn new(slots: usize, addresses: u64, durability: Durability) -> Self {
        let partitions = Partitions::in_memory(1, slots, durability);
        Self {
            partitions,
            pools: pools(addresses),
            log: ChangeLog::with_capacity(64),
        }
    }

    fn hold(&self, number: u32, lease: Lease, seconds: u32) {
        let offer = Offer {
            lease,
            subnet: SubnetId(1),
            deadline: NOW.after(seconds),
        };
        let none = ClientId::default();
        self.partitions
            .lock(0)
            .unwrap()
            .hold(&key(&none, number), offer, &self.pools);
    }

    fn offered(&self, number: u32, now: Timestamp) -> Option<Lease> {
        let partition = self.partitions.lock(0).unwrap();
        partition
            .offer(&key(&ClientId::default(), number), |_| true, now)
            .map(|offer| offer.lease)
    }

    fn find(&self, number: u32) -> Option<SlotNumber> {
        let partition = self.partitions.lock(0).unwrap();
        partition.find(&key(&ClientId::default(), number), |_| true)
    }

    fn commit(
        &mut self,
        number: u32,
        lease: Lease,
        change: impl Fn(&mut Binding),
    ) -> Result<SlotNumber, TableFull> {
        let slot = self.find(number);
        let mut binding = binding(lease, &ClientId::default(), number);
        change(&mut binding);
        let mut partition = self.partitions.lock(0).unwrap();
        let slot = partition.commit(slot, &binding, &self.pools, &mut self.log, NOW);
        partition.occupancy(); // compares its counts with the roles
        slot
    }

    fn claim(&self, number: u32, lease: Lease, now: Timestamp) -> Claim {
        let mut partition = self.partitions.lock(0).unwrap();
        partition.claim(&key(&ClientId::default(), number), lease, &self.pools, now)
    }

    fn tick(&self, now: Timestamp, budget: usize) -> Ticked {
        let mut partition = self.partitions.lock(0).unwrap();
        let ticked = partition.tick(now, budget, &self.pools);
        partition.occupancy(); // compares its counts with the roles
        ticked
    }

    fn occupancy(&self) -> Occupancy {
        self.partitions.lock(0).unwrap().occupancy()
    }
}

#[test]
fn an_offer_is_held_replaced_and_lapses() {
    let bench = Bench::new(8, 4, Durability::Process);
    let [first, second] = [0, 1].map(|_| bench.pools.claim_next(PoolIndex(0)).unwrap());
    bench.hold(1, first, 10);
    assert_eq!(bench.offered(1, NOW), Some(first));
    assert_eq!(bench.offered(2, NOW), None);
    bench.hold(1, second, 12);
    assert_eq!(bench.offered(1, NOW), Some(second));
    assert_eq!(bench.pools.claim(first), Claim::Claimed);
    assert_eq!(bench.offered(1, NOW.after(12)), None);
    assert_eq!(
        bench.pools.claim(second),
        Claim::Taken,
        "until it is cleared up"
    );
    assert_eq!(bench.tick(NOW.after(12), 10).lapsed_offers, 1);
    assert_eq!(bench.pools.claim(second), Claim::Claimed);
}

#[test]
fn a_late_client_takes_over_its_own_lapsed_offer_and_its_own_ended_lease() {
    let mut bench = Bench::new(8, 4, Durability::Process);
    let lease = bench.pools.claim_next(PoolIndex(0)).unwrap();
    bench.hold(1, lease, 10);
    let late = NOW.after(11);
    assert_eq!(bench.claim(2, lease, late), Claim::Taken);
    assert_eq!(bench.claim(1, lease, late), Claim::Claimed);
    assert_eq!(
        bench.claim(1, lease, late),
        Claim::Taken,
        "the caller has it now"
    );
    bench.commit(1, lease, |_| {}).unwrap();
    assert_eq!(
        bench.claim(1, lease, late),
        Claim::Taken,
        "it is the client's own already"
    );
    let ended = NOW.after(3600);
    assert_eq!(bench.claim(2, lease, ended), Claim::Taken);
    assert_eq!(bench.claim(1, lease, ended), Claim::Claimed);
    assert_eq!(bench.tick(ended, 10).expired, 0, "it no longer holds it");
    bench.pools.give_back(lease);
    assert_eq!(bench.pools.free_count(PoolIndex(0)), 4);
}

#[test]
fn when_the_offers_are_full_the_oldest_gives_way() {
    let count = Room::default().offers;
    let bench = Bench::new(8, u64::from(count) + 10, Durability::Process);
    for number in 0..count + 3 {
        bench.hold(number, bench.pools.claim_next(PoolIndex(0)).unwrap(), 10);
    }
    assert_eq!(bench.offered(2, NOW), None);
    assert_eq!(bench.offered(3, NOW), Some(address(3)));
    assert_eq!(bench.occupancy().offers, count);
    assert_eq!(bench.pools.counts(PoolIndex(0)).taken, u64::from(count));
}

#[test]
fn a_lease_that_is_bound_is_never_given_back_by_an_offer_of_it() {
    let mut bench = Bench::new(8, 4, Durability::Process);
    let lease = bench.pools.claim_next(PoolIndex(0)).unwrap();
    bench.commit(1, lease, |_| {}).unwrap();
    bench.hold(1, lease, 10);
    bench.tick(NOW.after(60), 100);
    assert_eq!(bench.pools.claim(lease), Claim::Taken);
}

#[test]
fn an_ended_lease_goes_back_once_and_stays_its_clients_former_one() {
    let mut bench = Bench::new(8, 4, Durability::Process);
    let lease = bench.pools.claim_next(PoolIndex(0)).unwrap();
    bench.commit(1, lease, |_| {}).unwrap();
    bench
        .commit(1, lease, |binding| binding.expires = NOW.after(5000))
        .unwrap();
    assert_eq!(bench.tick(NOW.after(4999), 10), Ticked::default());
    assert_eq!(bench.tick(NOW.after(5001), 10).expired, 0, "not at once");
    assert_eq!(bench.tick(NOW.after(5002), 10).expired, 1);
    assert_eq!(
        bench.pools.claim(lease),
        Claim::Claimed,
        "somebody else's now"
    );
    assert!(bench.find(1).is_some());
    bench
        .commit(1, lease, |binding| binding.state = State::Released)
        .unwrap();
    assert_eq!(
        bench.pools.claim(lease),
        Claim::Taken,
        "not the former holder's to give back"
    );
    assert_eq!(bench.tick(Timestamp(u64::MAX), 100).expired, 0);
}

#[test]
fn a_lease_that_never_ends_is_left_alone() {
    let mut bench = Bench::new(8, 4, Durability::Process);
    let lease = bench.pools.claim_next(PoolIndex(0)).unwrap();
    bench
        .commit(1, lease, |binding| binding.expires = Timestamp::NEVER)
        .unwrap();
    assert_eq!(bench.tick(Timestamp(u64::MAX - 1), 100), Ticked::default());
    bench
        .commit(1, lease, |binding| binding.expires = NOW.after(9))
        .unwrap();
    assert_eq!(bench.pools.free_count(PoolIndex(0)), 3);
}

#[test]
fn a_declined_lease_is_nobodys_until_its_time_is_over() {
    let mut bench = Bench::new(8, 4, Durability::Process);
    let lease = bench.pools.claim_next(PoolIndex(0)).unwrap();
    bench.commit(1, lease, |_| {}).unwrap();
    let declined = |binding: &mut Binding| {
        binding.state = State::Declined;
        binding.expires = NOW.after(86_400);
    };
    bench.commit(1, lease, declined).unwrap();
    assert_eq!(bench.find(1), None);
    assert_eq!(bench.pools.declined_count(PoolIndex(0)), 1);
    bench.tick(NOW.after(86_399), 100);
    assert_eq!(bench.pools.claim(lease), Claim::Taken);
    assert_eq!(bench.tick(NOW.after(86_400), 100).expired, 1);
    assert_eq!(bench.pools.declined_count(PoolIndex(0)), 0);
    assert_eq!(bench.pools.claim(lease), Claim::Claimed);
    assert_eq!(bench.occupancy().free, 8);
}

/// Free, granted, offered, declined: together they are the pool, after a change of its allocator too.
#[test]
fn the_counts_of_a_pool_add_up_to_its_size() {
    let mut bench = Bench::new(64, 10, Durability::Process);
    let mut leases = Vec::new();
    for client in 1..=4 {
        let lease = bench.pools.claim_next(PoolIndex(0)).unwrap();
        bench.commit(client, lease, |_| {}).unwrap();
        leases.push(lease);
    }
    for client in [1, 2] {
        let declined = |binding: &mut Binding| {
            binding.state = State::Declined;
            binding.valid_seconds = 3600;
            binding.expires = NOW.after(3600);
        };
        bench
            .commit(client, leases[client as usize - 1], declined)
            .unwrap();
    }
    bench.hold(7, bench.pools.claim_next(PoolIndex(0)).unwrap(), 10);
    let counts = |bench: &Bench| {
        let counts = bench.pools.counts(PoolIndex(0));
        let free = bench.pools.free_count(PoolIndex(0));
        (counts.size, free, counts.taken, counts.declined)
    };
    assert_eq!(counts(&bench), (10, 5, 5, 2));
    let ranges = [bench.pools.range(PoolIndex(0)).unwrap()];
    bench.pools = Pools::succeed_with(&bench.pools, &ranges, &[Allocator::FreeLeaseQueue], &[]);
    bench.partitions.mark_held(&bench.pools);
    assert_eq!(
        counts(&bench),
        (10, 5, 5, 2),
        "a pool that is new in memory only"
    );
    // An operator gives one of the declined back.
    let mut partition = bench.partitions.lock(0).unwrap();
    let slot = partition.next_declined(SlotNumber(0)).unwrap();
    let mut declined = Binding::default();
    partition.read(slot, &mut declined);
    declined.state = State::Released;
    declined.expires = NOW;
    partition
        .commit(Some(slot), &declined, &bench.pools, &mut bench.log, NOW)
        .unwrap();
    let other = partition.next_declined(SlotNumber(0)).unwrap();
    assert_eq!(partition.next_declined(SlotNumber(other.0 + 1)), None);
    drop(partition);
    assert_eq!(counts(&bench), (10, 6, 4, 1));
}

/// What a free lease queue begins with: nobody's addresses, then those that ended first.
#[test]
fn a_queue_that_is_made_anew_is_in_the_order_in_which_leases_ended() {
    let mut bench = Bench::new(64, 6, Durability::Process);
    let leases: Vec<_> = (0..4)
        .map(|_| bench.pools.claim_next(PoolIndex(0)).unwrap())
        .collect();
    for (client, ends) in [(1, 300), (2, 100), (3, 200), (4, 4000)] {
        let lease = leases[client as usize - 1];
        let leased = |binding: &mut Binding| binding.expires = NOW.after(ends);
        bench.commit(client, lease, leased).unwrap();
    }
    bench.tick(NOW.after(1000), 100);
    let ranges = [bench.pools.range(PoolIndex(0)).unwrap()];
    bench.pools = Pools::succeed_with(&bench.pools, &ranges, &[Allocator::FreeLeaseQueue], &[]);
    bench.partitions.mark_held(&bench.pools);
    let next: Vec<_> = core::iter::from_fn(|| bench.pools.claim_next(PoolIndex(0))).collect();
    assert_eq!(
        next,
        [address(4), address(5), leases[1], leases[2], leases[0]]
    );
}

#[test]
fn the_holder_of_a_lease_is_found_and_no_former_one() {
    for durability in [Durability::Process, Durability::Power] {
        let mut bench = Bench::new(300, 100, durability);
        let leases: Vec<_> = (0..100)
            .map(|_| bench.pools.claim_next(PoolIndex(0)).unwrap())
            .collect();
        for (number, &lease) in (0..).zip(&leases) {
            bench.commit(number, lease, |_| {}).unwrap();
        }
        bench
            .commit(7, leases[7], |binding| binding.state = State::Released)
            .unwrap();
        bench
            .commit(8, leases[8], |binding| binding.state = State::Declined)
            .unwrap();
        for (number, &lease) in (0u32..).zip(&leases) {
            let holder = bench.partitions.lock_holder(lease);
            let found = holder.map(|(partition, slot)| {
                let mut read = Binding::default();
                partition.read(slot, &mut read);
                (read.lease, read.hardware)
            });
            let expected = (number != 7).then_some((lease, hardware(number)));
            assert_eq!(found, expected, "{number}");
        }
        let Occupancy {
            live,
            former,
            declined,
            ..
        } = bench.occupancy();
        assert_eq!((live, former, declined), (98, 1, 1));
    }
}

#[test]
fn a_full_table_forgets_the_oldest_former_binding_and_no_other() {
    let mut bench = Bench::new(4, 100, Durability::Process);
    for number in 0..4 {
        let lease = bench.pools.claim_next(PoolIndex(0)).unwrap();
        bench.commit(number, lease, |_| {}).unwrap();
    }
    let lease = bench.pools.claim_next(PoolIndex(0)).unwrap();
    assert_eq!(bench.commit(9, lease, |_| {}), Err(TableFull));
    for number in [2, 1] {
        bench
            .commit(number, address(number), |binding| {
                binding.state = State::Released
            })
            .unwrap();
    }
    bench.commit(9, lease, |_| {}).unwrap();
    let found = [0, 1, 2, 3, 9].map(|number| bench.find(number).is_some());
    assert_eq!(found, [true, true, false, true, true]);
}

#[test]
fn under_power_a_lease_goes_back_when_its_release_is_durable() {
    let mut bench = Bench::new(8, 4, Durability::Power);
    let lease = bench.pools.claim_next(PoolIndex(0)).unwrap();
    bench.commit(1, lease, |_| {}).unwrap();
    bench
        .commit(1, lease, |binding| binding.state = State::Released)
        .unwrap();
    assert_eq!(bench.pools.claim(lease), Claim::Taken);
    assert_eq!(bench.log.len(), 2);
    bench.partitions.settle(&mut bench.log, &bench.pools);
    assert_eq!(bench.pools.claim(lease), Claim::Claimed);
}

#[test]
fn logs_settle_in_any_order() {
    let mut bench = Bench::new(8, 8, Durability::Power);
    let leases = [0, 1, 2].map(|_| bench.pools.claim_next(PoolIndex(0)).unwrap());
    let mut logs: Vec<ChangeLog> = leases
        .into_iter()
        .map(|lease| {
            bench.commit(1, lease, |_| {}).unwrap();
            std::mem::replace(&mut bench.log, ChangeLog::with_capacity(4))
        })
        .collect();
    for (log, expected_free) in [(1, 6), (0, 6), (2, 7)] {
        bench.partitions.settle(&mut logs[log], &bench.pools);
        assert_eq!(bench.pools.free_count(PoolIndex(0)), expected_free);
    }
    let mut read = Binding::default();
    let slot = bench.find(1).unwrap();
    bench.partitions.lock(0).unwrap().read(slot, &mut read);
    assert_eq!((read.lease, bench.occupancy().unsettled), (leases[2], 0));
}

#[test]
fn a_tick_does_no_more_than_its_budget() {
    let mut bench = Bench::new(64, 64, Durability::Process);
    for number in 0..50 {
        let lease = bench.pools.claim_next(PoolIndex(0)).unwrap();
        bench.commit(number, lease, |_| {}).unwrap();
    }
    let ended = NOW.after(3600 + GRACE_SECONDS);
    let mut expired = 0;
    let mut calls = 0;
    loop {
        let ticked = bench.tick(ended, 7);
        assert!(ticked.expired <= 7);
        expired += ticked.expired;
        calls += 1;
        if !ticked.more {
            break;
        }
    }
    assert_eq!(expired, 50);
    assert!(calls < 40, "{calls}");
    assert_eq!(bench.pools.free_count(PoolIndex(0)), 64);
}

#[test]
fn a_new_pool_is_marked_with_everything_that_is_held_in_it() {
    let mut bench = Bench::new(16, 10, Durability::Power);
    for number in 0..3 {
        let lease = bench.pools.claim_next(PoolIndex(0)).unwrap();
        bench.commit(number, lease, |_| {}).unwrap();
    }
    bench
        .commit(1, address(1), |binding| binding.state = State::Released)
        .unwrap();
    bench.hold(7, bench.pools.claim_next(PoolIndex(0)).unwrap(), 10);
    let ranges = [PoolRange {
        first: address(0),
        count: 20,
    }];
    let grown = Pools::succeed(&bench.pools, &ranges, &[]);
    assert_eq!(grown.claim_next(PoolIndex(0)), None);
    bench.partitions.mark_held(&grown);
    assert_eq!(
        grown.counts(PoolIndex(0)).taken,
        4,
        "the released one is not durable yet"
    );
    assert_eq!(grown.claim_next(PoolIndex(0)), Some(address(4)));
    bench.partitions.settle(&mut bench.log, &grown);
    assert_eq!(grown.claim(address(1)), Claim::Claimed);
}

#[test]
fn a_slot_that_is_let_go_is_not_reused_before_that_is_durable() {
    let mut bench = Bench::new(3, 8, Durability::Power);
    let [first, second, third] = [0, 1, 2].map(|_| bench.pools.claim_next(PoolIndex(0)).unwrap());
    let long = |binding: &mut Binding| binding.client = client(100, 1);
    let slot = bench.commit(1, first, long).unwrap();
    bench.commit(2, second, |_| {}).unwrap();
    assert_eq!(bench.commit(3, third, |_| {}), Err(TableFull));
    bench.partitions.settle(&mut bench.log, &bench.pools);
    // The client's identity is short now. Until the journal has that, the long one may come back.
    let short = binding(first, &ClientId::default(), 1);
    let mut partition = bench.partitions.lock(0).unwrap();
    partition
        .commit(Some(slot), &short, &bench.pools, &mut bench.log, NOW)
        .unwrap();
    assert!(!partition.is_durable(slot));
    drop(partition);
    assert_eq!(bench.commit(3, third, |_| {}), Err(TableFull));
    bench.partitions.settle(&mut bench.log, &bench.pools);
    assert!(bench.partitions.lock(0).unwrap().is_durable(slot));
    assert_eq!(bench.find(1), Some(slot));
    bench.commit(3, third, |_| {}).unwrap();
}

/// A client counts its lease from when it has the reply, we from before we send it and in whole seconds:
/// another client could get the address while the first still used it.
#[test]
fn an_ended_lease_is_kept_from_others_for_a_moment_and_not_from_its_client() {
    let mut bench = Bench::new(8, 1, Durability::Process);
    let lease = bench.pools.claim_next(PoolIndex(0)).unwrap();
    bench.commit(1, lease, |_| {}).unwrap();
    bench
        .commit(1, lease, |binding| binding.expires = NOW.after(5000))
        .unwrap();
    for second in [5000, 5001] {
        let now = NOW.after(second);
        assert_eq!(bench.tick(now, 10).expired, 0);
        assert_eq!(bench.pools.claim_next(PoolIndex(0)), None);
        assert_eq!(bench.claim(2, lease, now), Claim::Taken);
    }
    assert_eq!(bench.claim(1, lease, NOW.after(5001)), Claim::Claimed);
    bench
        .commit(1, lease, |binding| binding.expires = NOW.after(6000))
        .unwrap();
    assert_eq!(bench.tick(NOW.after(6002), 10).expired, 1);
    assert_eq!(bench.claim(2, lease, NOW.after(6002)), Claim::Claimed);
}

/// The operator reloaded with delegated length 60 instead of 56 on one range: prefixes inside of live
/// ones were handed out. Offers and releases that wait for the journal hold what they overlap too.
#[test]
fn leases_of_another_shape_hold_what_they_overlap_after_a_reload() {
    let pd_pool = |length, count| {
        let first = Lease::Prefix(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), length);
        [PoolRange { first, count }]
    };
    let mut bench = Bench::new(8, 0, Durability::Power);
    bench.pools = Pools::new(&pd_pool(56, 4), &[]);
    let [live, released, offered] = [0, 1, 2].map(|number| {
        let lease = bench.pools.claim_next(PoolIndex(0)).unwrap();
        if number == 2 {
            bench.hold(number, lease, 10);
        } else {
            bench.commit(number, lease, |_| {}).unwrap();
        }
        lease
    });
    let slot = bench.partitions.lock_holder(released).unwrap().1;
    let let_go = Binding {
        state: State::Released,
        ..binding(released, &ClientId::default(), 1)
    };
    let mut partition = bench.partitions.lock(0).unwrap();
    partition
        .commit(Some(slot), &let_go, &bench.pools, &mut bench.log, NOW)
        .unwrap();
    drop(partition);
    bench.pools = Pools::succeed(&bench.pools, &pd_pool(60, 64), &[]);
    bench.partitions.mark_held(&bench.pools);
    let free = |bench: &Bench| bench.pools.free_count(PoolIndex(0));
    assert_eq!(free(&bench), 16, "{live}, {released}, {offered}");
    bench.partitions.settle(&mut bench.log, &bench.pools);
    assert_eq!(free(&bench), 32);
    assert_eq!(bench.tick(NOW.after(60), 10).lapsed_offers, 1);
    assert_eq!(free(&bench), 48);
    assert_eq!(bench.tick(NOW.after(4000), 10).expired, 1);
    assert_eq!(free(&bench), 64);
}

/// A client with an identifier of 200 octets declined what it got, day after day, each time from another
/// IA. Its head slot was freed when the quarantine ended, its two extension slots never were: after a
/// while the table was full of extensions of nothing and nobody got a lease any more.
#[test]
fn the_extensions_of_a_declined_lease_are_free_when_its_quarantine_ends() {
    for durability in [Durability::Process, Durability::Power] {
        let mut bench = Bench::new(8, 4, durability);
        for round in 0..20 {
            let lease = bench.pools.claim_next(PoolIndex(0)).unwrap();
            let end = NOW.after(86_400 * (round + 1));
            let declined = |binding: &mut Binding| {
                binding.client = client(200, 1);
                binding.state = State::Declined;
                binding.expires = end;
            };
            bench.commit(1, lease, declined).unwrap();
            bench.partitions.settle(&mut bench.log, &bench.pools);
            assert_eq!(bench.occupancy().extensions, 2);
            assert_eq!(bench.tick(end, 100).expired, 1);
            let Occupancy {
                extensions, free, ..
            } = bench.occupancy();
            assert_eq!((extensions, free), (0, 8), "round {round}");
        }
    }
}

/// A DECLINE takes an address from everybody for a day, and any client can send it: one that declined
/// all it was offered emptied the pool.
#[test]
fn a_client_has_no_more_than_a_few_leases_in_quarantine() {
    let mut bench = Bench::new(64, 64, Durability::Process);
    let may = |bench: &Bench, number, iaid, now| {
        let none = ClientId::default();
        let key = Key {
            iaid: Iaid(iaid),
            ..key(&none, number)
        };
        bench.partitions.lock(0).unwrap().may_decline(&key, now)
    };
    let end = NOW.after(60);
    for count in 0..crate::DECLINES_MAX {
        assert!(may(&bench, 1, count, NOW));
        let lease = bench.pools.claim_next(PoolIndex(0)).unwrap();
        let declined = |binding: &mut Binding| {
            binding.iaid = Iaid(count);
            binding.state = State::Declined;
            binding.expires = end;
        };
        bench.commit(1, lease, declined).unwrap();
    }
    assert!(!may(&bench, 1, 99, NOW), "not under another IA either");
    assert!(may(&bench, 2, 0, NOW), "another client may");
    assert!(may(&bench, 1, 0, end), "not cleared up yet, but over");
    // An operator frees one of them.
    let (mut partition, slot) = bench.partitions.lock_holder(address(3)).unwrap();
    let mut declined = Binding::default();
    partition.read(slot, &mut declined);
    declined.state = State::Released;
    partition
        .commit(Some(slot), &declined, &bench.pools, &mut bench.log, NOW)
        .unwrap();
    drop(partition);
    assert!(may(&bench, 1, 0, NOW));
    bench.tick(end, 100);
    let lease = bench.pools.claim_next(PoolIndex(0)).unwrap();
    let declined = |binding: &mut Binding| {
        binding.state = State::Declined;
        binding.expires = end.after(60);
    };
    bench.commit(1, lease, declined).unwrap();
    assert!(may(&bench, 1, 0, end), "those that ended count no longer");
}

/// A context of one item, so many octets in all.
fn context(len: usize) -> Context {
    let mut context = Context::EMPTY;
    let head = if len < 257 { 2 } else { 4 };
    if len >= head {
        let data: Vec<u8> = (0..len - head).map(|at| at as u8 ^ 0x5a).collect();
        assert!(context.insert(ItemKind::AGENT, &data));
    }
    context
}

#[test]
fn contexts_of_every_length_grow_and_shrink_beside_every_identity() {
    for durability in [Durability::Process, Durability::Power] {
        for client_len in [0, 7, 46, 142, 255] {
            let mut bench = Bench::new(100, 4, durability);
            let lease = bench.pools.claim_next(PoolIndex(0)).unwrap();
            let mut slot = None;
            // Up and down in steps that cross each slot's bounds.
            for step in 0..80 {
                let len = step * 173 % (CONTEXT_OCTETS_MAX + 1);
                let mut wanted = binding(lease, &client(client_len, 1), 1);
                wanted.context = context(len);
                let (pools, log) = (&bench.pools, &mut bench.log);
                let mut partition = bench.partitions.lock(0).unwrap();
                let committed = partition.commit(slot, &wanted, pools, log, NOW).unwrap();
                assert!(slot.is_none_or(|slot| slot == committed));
                slot = Some(committed);
                drop(partition);
                if step % 3 == 0 {
                    bench.partitions.settle(&mut bench.log, &bench.pools);
                }
                let mut read = Binding::default();
                let partition = bench.partitions.lock(0).unwrap();
                partition.read(committed, &mut read);
                assert_eq!(read, wanted);
                let mut alone = Context::EMPTY;
                assert_eq!(partition.context(committed, &mut alone), len >= 2);
                assert_eq!(alone, wanted.context);
                let octets = 6 + client_len + alone.as_octets().len();
                let record = partition.record(committed.0).unwrap();
                let extensions = octets.saturating_sub(52).div_ceil(96);
                assert_eq!(usize::from(record.extensions), extensions);
            }
            bench.partitions.settle(&mut bench.log, &bench.pools);
            let Occupancy {
                live,
                extensions,
                free,
                ..
            } = bench.occupancy();
            assert_eq!(live + extensions + free, 100, "no slot was lost");
        }
    }
}

/// Relay agents with long identifiers must not fill the table with what they say.
#[test]
fn a_context_gives_way_to_leases_when_the_table_is_nearly_full() {
    let mut bench = Bench::new(80, 100, Durability::Process);
    for number in 0..70 {
        let lease = bench.pools.claim_next(PoolIndex(0)).unwrap();
        let with = |binding: &mut Binding| binding.context = context(100);
        if bench.commit(number, lease, with).is_err() {
            panic!("no lease for client {number}");
        }
        if bench.occupancy().free == 0 {
            break;
        }
    }
    let Occupancy {
        live,
        extensions,
        free,
        ..
    } = bench.occupancy();
    assert_eq!((live, extensions, free), (50, 30, 0));
    // Those who have a long one keep it, and may change it.
    let slot = bench
        .commit(0, address(0), |binding| binding.context = context(90))
        .unwrap();
    let mut kept = Context::EMPTY;
    bench.partitions.lock(0).unwrap().context(slot, &mut kept);
    assert_eq!(kept, context(90));
    let slot = bench
        .commit(49, address(49), |binding| {
            binding.context = context(30);
            assert!(binding.context.insert(ItemKind::HOST_NAME, &[b'x'; 60]));
        })
        .unwrap();
    bench.partitions.lock(0).unwrap().context(slot, &mut kept);
    assert_eq!(kept, context(30), "as much of it as fits, whole");
}

/// Former bindings stay until their slots are needed, so after some weeks no slot is free. What relay agents
/// say is worth more than who had an address last year.
#[test]
fn a_context_takes_the_slots_of_former_bindings() {
    let mut bench = Bench::new(80, 200, Durability::Process);
    for number in 0..79 {
        let lease = bench.pools.claim_next(PoolIndex(0)).unwrap();
        bench.commit(number, lease, |_| {}).unwrap();
        bench
            .commit(number, lease, |binding| binding.state = State::Released)
            .unwrap();
    }
    let lease = bench.pools.claim_next(PoolIndex(0)).unwrap();
    let slot = bench
        .commit(100, lease, |binding| binding.context = context(400))
        .unwrap();
    let mut kept = Context::EMPTY;
    bench.partitions.lock(0).unwrap().context(slot, &mut kept);
    assert_eq!(kept, context(400));
}

#[test]
fn only_times_make_no_difference() {
    let mut bench = Bench::new(80, 100, Durability::Power);
    let lease = bench.pools.claim_next(PoolIndex(0)).unwrap();
    let with = |binding: &mut Binding| {
        binding.client = client(50, 1);
        binding.context = context(60);
    };
    let slot = bench.commit(1, lease, with).unwrap();
    let mut known = binding(lease, &client(50, 1), 1);
    known.context = context(60);
    let is_known = |bench: &Bench, binding: &Binding| {
        bench.partitions.lock(0).unwrap().is_known(slot, binding)
    };
    assert!(!is_known(&bench, &known), "not durable yet");
    bench.partitions.settle(&mut bench.log, &bench.pools);
    assert!(is_known(&bench, &known));
    let later = Binding {
        last_transaction: NOW.after(100),
        expires: NOW.after(3700),
        ..known.clone()
    };
    assert!(is_known(&bench, &later));
    let changes: [fn(&mut Binding); 12] = [
        |binding| binding.lease = address(7),
        |binding| binding.state = State::Released,
        |binding| binding.subnet = SubnetId(2),
        |binding| binding.client = client(50, 2),
        |binding| binding.client = client(49, 1),
        |binding| binding.hardware = hardware(2),
        |binding| binding.hardware = HardwareAddress::NONE,
        |binding| binding.iaid = Iaid(1),
        |binding| binding.valid_seconds += 1,
        |binding| binding.preferred_seconds += 1,
        |binding| binding.context = context(59),
        |binding| binding.context.clear(),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut changed = known.clone();
        change(&mut changed);
        assert!(!is_known(&bench, &changed), "change {number}");
    }
}

// RFC 2131 section 2.2 [no-reallocation-within-the-lease]
/// A client whose lease was put elsewhere may never hear of it, so what it has stays its own.
#[test]
fn a_lease_that_a_client_is_moved_from_stays_its_own_until_it_ends() {
    for durability in [Durability::Process, Durability::Power] {
        let mut bench = Bench::new(8, 4, durability);
        let [old, new] = [0, 1].map(|_| bench.pools.claim_next(PoolIndex(0)).unwrap());
        let earlier = bench.commit(1, old, |_| {}).unwrap();
        bench.partitions.settle(&mut bench.log, &bench.pools);
        let none = ClientId::default();
        let moved = Binding {
            expires: NOW.after(7200),
            ..binding(new, &none, 1)
        };
        let beside = {
            let (pools, log) = (&bench.pools, &mut bench.log);
            let mut partition = bench.partitions.lock(0).unwrap();
            let limits = &Limits::NONE;
            partition.commit_beside(earlier, &moved, limits, pools, log, NOW)
        };
        let beside = beside.unwrap();
        bench.partitions.settle(&mut bench.log, &bench.pools);
        assert_eq!(bench.find(1), Some(beside), "the one that was written last");
        {
            let partition = bench.partitions.lock(0).unwrap();
            let by_worth =
                |wanted| partition.find_best(&key(&none, 1), |_| true, |lease| lease == wanted);
            assert_eq!([old, new].map(by_worth), [earlier, beside].map(Some));
            assert_eq!(partition.find_lease(&key(&none, 1), old), Some(earlier));
            assert_eq!(partition.occupancy().live, 2);
        }
        assert_eq!(bench.pools.claim(old), Claim::Taken);
        bench.tick(NOW.after(3600 + 1), 100);
        assert_eq!(
            bench.claim(2, old, NOW.after(3601)),
            Claim::Taken,
            "{durability:?}"
        );
        bench.tick(NOW.after(3600 + 2), 100);
        assert_eq!(bench.claim(2, old, NOW.after(3602)), Claim::Claimed);
        assert_eq!(bench.find(1), Some(beside));
    }
}

#[test]
fn where_there_is_no_slot_beside_it_nobody_is_moved() {
    let mut bench = Bench::new(1, 4, Durability::Process);
    let [old, new] = [0, 1].map(|_| bench.pools.claim_next(PoolIndex(0)).unwrap());
    let earlier = bench.commit(1, old, |_| {}).unwrap();
    let moved = binding(new, &ClientId::default(), 1);
    let (pools, log) = (&bench.pools, &mut bench.log);
    let mut partition = bench.partitions.lock(0).unwrap();
    let refused = partition.commit_beside(earlier, &moved, &Limits::NONE, pools, log, NOW);
    assert_eq!(refused, Err(NotCommitted::TableFull(TableFull)));
    assert_eq!(partition.terms(earlier).unwrap().lease, old);
}
