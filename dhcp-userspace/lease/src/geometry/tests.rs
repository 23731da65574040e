use super::*;
use crate::binding::SubnetId;
use crate::context::{Context, ItemKind};
use crate::headers::StoreHeader;
use crate::recovery::{Opening, Recovery};
use crate::store::blank_table;
use crate::{Durability, Room};
use dhcp_wire::id::{ClientId, Iaid};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

const NOW: Timestamp = Timestamp(1_795_000_000);

fn header(partitions: u32) -> StoreHeader {
    StoreHeader {
        identity: [1; 16],
        spread_key: 2,
        checksum_key: [3; 16],
        partitions,
        slots_per_segment: crate::format::SLOTS_PER_SEGMENT,
        epoch: 0,
    }
}

fn open(partitions: u32, slots: usize, now: Timestamp) -> (Partitions, Recovery) {
    let tables = (0..partitions).map(|_| blank_table(slots)).collect();
    let opening = Opening {
        durability: Durability::Process,
        room: Room::default(),
        now,
        quarantine_seconds: 7200,
    };
    let header = header(partitions);
    Partitions::open(&header, tables, &[], &opening, &Pools::default()).unwrap()
}

/// One binding of each sort in turn; long identifiers have extensions.
fn binding(number: u32) -> Binding {
    let state = match number % 4 {
        0 | 1 => State::Leased,
        2 => State::Released,
        _ => State::Declined,
    };
    let lease = match number % 3 {
        0 => Lease::V4(Ipv4Addr::from(0x0a00_0000 + number)),
        1 => Lease::Address(Ipv6Addr::from(0x2001_0db8 << 96 | u128::from(number))),
        _ => Lease::Prefix(
            Ipv6Addr::from(0x2001_0db8 << 96 | u128::from(number) << 72),
            56,
        ),
    };
    let mut client = number.to_be_bytes().to_vec();
    client.resize([4, 20, 130, 250][number as usize % 5 % 4], 7);
    Binding {
        lease,
        state,
        subnet: SubnetId(number % 7),
        client: ClientId::new(&client).unwrap(),
        hardware: HardwareAddress::ethernet([2, 0, 0, 0, 0, number as u8]),
        iaid: Iaid(number % 2),
        last_transaction: Timestamp(NOW.0 - u64::from(number)),
        expires: match number % 8 {
            1 => Timestamp::NEVER,
            _ => Timestamp(NOW.0 + 3600 - u64::from(number % 100)),
        },
        valid_seconds: 3600,
        preferred_seconds: number % 3600,
        context: context(number),
    }
}

/// None, or up to two slots of it.
fn context(number: u32) -> Context {
    let mut context = Context::default();
    if number.is_multiple_of(3) {
        let circuit = vec![number as u8; number as usize % 180];
        context.insert(ItemKind::AGENT, &circuit);
    }
    context
}

fn fill(store: &Partitions, numbers: impl Iterator<Item = u32>) {
    let (pools, mut log) = (Pools::default(), ChangeLog::default());
    for number in numbers {
        let binding = binding(number);
        let mut partition = store.lock(store.index_of(spread_octets(&binding))).unwrap();
        let committed = partition.commit(None, &binding, &pools, &mut log, NOW);
        committed.unwrap();
    }
}

fn all(store: &Partitions) -> BTreeMap<String, Binding> {
    let mut found = BTreeMap::new();
    store.for_each(|binding| {
        let twice = found.insert(binding.lease.to_string(), binding.clone());
        assert!(twice.is_none(), "{} twice", binding.lease);
    });
    found
}

fn move_to(from: &Partitions, to: &Partitions, carry: Option<Carry>) -> Result<Moved, TableFull> {
    move_all(from, to, carry, NOW, &mut |_| {})
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None, cases: 40, ..ProptestConfig::default()
    })]

    /// Whatever the sequence of numbers of partitions: nothing is lost, nothing is there twice, and every
    /// client finds what is its own.
    #[test]
    fn moving_again_and_again_changes_no_binding(
        count in 0u32..400,
        partitions in proptest::collection::vec(0u32..6, 1..5),
    ) {
        let (mut store, _) = open(4, 2000, NOW);
        fill(&store, 0..count);
        let before = all(&store);
        for exponent in partitions {
            let (next, _) = open(1 << exponent, 2000, NOW);
            let moved = move_to(&store, &next, None).unwrap();
            prop_assert_eq!(moved.held + moved.former, u64::from(count));
            store = next;
            prop_assert_eq!(&all(&store), &before);
        }
        for number in (0..count).filter(|number| number % 4 != 3) {
            let binding = binding(number);
            let key = Key {
                kind: binding.lease.kind(),
                client: binding.client.as_slice(),
                hardware: binding.hardware,
                iaid: binding.iaid,
            };
            let partition = store.lock(store.index_of(key.spread_octets())).unwrap();
            prop_assert!(partition.find(&key, |subnet| subnet == binding.subnet).is_some());
        }
    }
}

#[test]
fn the_latest_former_bindings_are_kept_when_there_is_less_room() {
    let (from, _) = open(2, 2000, NOW);
    let former = |number: &u32| number % 4 == 2;
    // Short identifiers and no context: a slot each.
    let is_short = |number: &u32| number % 5 % 4 < 2 && !number.is_multiple_of(3);
    let numbers = || (0..1_600).filter(former).filter(is_short);
    fill(&from, numbers());
    let (to, _) = open(1, 100, NOW);
    let moved = move_to(&from, &to, None).unwrap();
    assert_eq!(moved.former + moved.former_left, numbers().count() as u64);
    assert!((90..100).contains(&moved.former), "{moved:?}");
    let kept = all(&to);
    let oldest = kept.values().map(ended).min().unwrap();
    let left = all(&from);
    let mut left = left
        .values()
        .filter(|it| !kept.contains_key(&it.lease.to_string()));
    assert!(left.all(|binding| ended(binding) <= oldest));
}

#[test]
fn tables_that_cannot_hold_what_is_held_are_refused() {
    let (from, _) = open(2, 2000, NOW);
    fill(&from, 0..800);
    let (to, _) = open(1, 100, NOW);
    assert_eq!(move_to(&from, &to, None), Err(TableFull));
    assert_eq!(all(&from).len(), 800);
}

#[test]
fn leases_granted_since_a_moment_are_carried_over_and_no_others() {
    let (from, _) = open(2, 2000, NOW);
    fill(&from, 0..400);
    let carry = Carry {
        since: Timestamp(NOW.0 - 100),
        seconds: 1_000_000,
    };
    let (to, _) = open(4, 2000, NOW);
    move_to(&from, &to, Some(carry)).unwrap();
    let before = all(&from);
    for (lease, after) in all(&to) {
        let before = &before[&lease];
        let is_carried = before.last_transaction >= carry.since;
        let seconds = if is_carried { 1_000_000 } else { 0 };
        assert_eq!(
            after.last_transaction.0,
            before.last_transaction.0 + seconds
        );
        match before.expires {
            Timestamp::NEVER => assert_eq!(after.expires, Timestamp::NEVER),
            Timestamp(expires) => assert_eq!(after.expires.0, expires + seconds),
        }
    }
}

#[test]
fn the_lease_of_a_damaged_slot_stays_nobody_s_unless_somebody_holds_it() {
    let lease = |last| Lease::V4(Ipv4Addr::new(10, 0, 0, last));
    let mut table = blank_table(64);
    let segment = table.segments[0].octets_mut();
    let checksum = header(1).checksum();
    let put = |segment: &mut [u8], slot: u32, lease: Lease, spoilt: bool| {
        let binding = Binding {
            lease,
            state: State::Leased,
            expires: NOW.after(60),
            hardware: HardwareAddress::ethernet([2, 0, 0, 0, 0, slot as u8]),
            ..Binding::default()
        };
        let slots = [slot];
        let group = crate::format::Group::new(&binding, &[], &slots, 1, 0, &checksum);
        let (_, mut image) = group.images().next().unwrap();
        image[100] ^= if spoilt { 0x3c } else { 0 };
        segment[slot as usize * 128..][..128].copy_from_slice(&image);
    };
    put(segment, 3, lease(1), false);
    put(segment, 4, lease(1), true);
    put(segment, 5, lease(2), true);
    let opening = Opening {
        durability: Durability::Process,
        room: Room::default(),
        now: NOW,
        quarantine_seconds: 7200,
    };
    let opened = Partitions::open(&header(1), vec![table], &[], &opening, &Pools::default());
    let (from, recovery) = opened.unwrap();
    assert_eq!((recovery.live, recovery.damaged), (1, 2));

    let (to, _) = open(4, 64, NOW);
    let moved = move_to(&from, &to, None).unwrap();
    assert_eq!((moved.held, moved.set_aside), (1, 1));
    let found = all(&to);
    assert_eq!(found["10.0.0.1"].state, State::Leased);
    let aside = &found["10.0.0.2"];
    assert_eq!(
        (aside.state, aside.expires),
        (State::Declined, NOW.after(7200))
    );
}
