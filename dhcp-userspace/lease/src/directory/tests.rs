use super::*;
use crate::binding::{State, SubnetId, Timestamp};
use crate::{Durability, Lease, Partitions, Pools, SlotNumber};
use core::ops::ControlFlow;
use dhcp_wire::id::ClientId;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp(1_790_000_000);

fn hardware(number: u8) -> HardwareAddress {
    HardwareAddress::ethernet([2, 0, 0, 0, 0, number])
}

fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, number)
}

fn context(remote: u8) -> Context {
    let mut context = Context::EMPTY;
    context.insert(
        ItemKind::AGENT,
        &[1, 1, 7, code::AGENT_REMOTE_ID, 2, 0xaa, remote],
    );
    context
}

/// One that asks, for one of 12 clients, which have four hardware addresses and three Remote-Ids among them.
fn lease(client: u8, last: u8, seconds: u32) -> Binding {
    Binding {
        lease: Lease::V4(address(last)),
        state: State::Leased,
        subnet: SubnetId(1),
        client: ClientId::new(&[client; 3]).unwrap(),
        hardware: hardware(client % 4),
        last_transaction: NOW,
        expires: NOW.after(seconds),
        valid_seconds: seconds,
        context: if client < 9 {
            context(client % 3)
        } else {
            Context::EMPTY
        },
        ..Binding::default()
    }
}

fn found(
    partitions: &Partitions,
    sought: &Sought<'_>,
    now: Timestamp,
) -> Result<Vec<Ipv4Addr>, NotFiled> {
    let mut all = Vec::new();
    for index in 0..partitions.len() {
        let partition = partitions.lock(index).unwrap();
        partition.seek(sought, now, |_, terms| {
            if let Lease::V4(address) = terms.lease {
                all.push(address);
            }
            ControlFlow::Continue(())
        })?;
    }
    all.sort_unstable();
    Ok(all)
}

#[test]
fn without_a_directory_only_client_identifiers_are_found() {
    let partitions = Partitions::in_memory(2, 64, Durability::Process);
    let sought = Sought::Address(address(1));
    assert_eq!(found(&partitions, &sought, NOW), Err(NotFiled));
    assert_eq!(
        found(&partitions, &Sought::Client(&[1; 3]), NOW),
        Ok(vec![])
    );
    partitions.file_all(|| true);
    assert_eq!(
        found(&partitions, &sought, NOW),
        Err(NotFiled),
        "it was broken off"
    );
    partitions.file_all(|| false);
    assert_eq!(found(&partitions, &sought, NOW), Ok(vec![]));
}

#[test]
fn a_search_ends_after_its_bound() {
    let partitions = Partitions::in_memory(1, 8192, Durability::Process);
    let pools = Pools::default();
    let mut log = crate::ChangeLog::default();
    partitions.file_all(|| false);
    let mut partition = partitions.lock(0).unwrap();
    for number in 0..2000u32 {
        let binding = Binding {
            lease: Lease::V4(Ipv4Addr::from(number)),
            client: ClientId::new(&number.to_be_bytes()).unwrap(),
            context: context(1),
            ..lease(0, 0, 3600)
        };
        partition
            .commit(None, &binding, &pools, &mut log, NOW)
            .unwrap();
    }
    drop(partition);
    let all = found(&partitions, &Sought::RemoteId(&[0xaa, 1]), NOW).unwrap();
    assert_eq!(all.len(), crate::SEEK_ENTRIES_MAX);
}

/// What happens to the leases of the 12 clients.
#[derive(Clone, Copy, Debug)]
enum Event {
    Grant { client: u8, last: u8, seconds: u32 },
    Release { client: u8 },
    Wait(u64),
    File,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0u8..12, 0u8..20, 1u32..300)
            .prop_map(|(client, last, seconds)| Event::Grant { client, last, seconds }),
        2 => (0u8..12).prop_map(|client| Event::Release { client }),
        1 => (0u64..200).prop_map(Event::Wait),
        1 => Just(Event::File),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens, and whenever the filing began: what is found is what a look at every binding finds.
    #[test]
    fn what_is_found_is_what_is_live(
        events in proptest::collection::vec(event(), 1..120),
        power in any::<bool>(),
    ) {
        let durability = if power { Durability::Power } else { Durability::Process };
        let partitions = Partitions::in_memory(2, 24, durability);
        let pools = Pools::default();
        let mut log = crate::ChangeLog::default();
        let mut now = NOW;
        for event in events {
            match event {
                Event::Grant { client, last, seconds } => {
                    let mut binding = lease(client, last, seconds);
                    binding.last_transaction = now;
                    binding.expires = now.after(seconds);
                    let index = partitions.index_of(binding.client.as_slice());
                    let mut partition = partitions.lock(index).unwrap();
                    let slot = own(&partition, client);
                    let _ = partition.commit(slot, &binding, &pools, &mut log, now);
                }
                Event::Release { client } => {
                    let index = partitions.index_of(&[client; 3]);
                    let mut partition = partitions.lock(index).unwrap();
                    if let Some(slot) = own(&partition, client) {
                        let mut binding = Binding::default();
                        partition.read(slot, &mut binding);
                        binding.state = if client % 2 == 0 { State::Released } else { State::Declined };
                        binding.expires = now.after(60);
                        partition.commit(Some(slot), &binding, &pools, &mut log, now).unwrap();
                    }
                }
                Event::Wait(seconds) => {
                    now = Timestamp(now.0 + seconds);
                    partitions.settle(&mut log, &pools);
                    for index in 0..2 {
                        while partitions.lock(index).unwrap().tick(now, 4, &pools).more {}
                    }
                }
                Event::File => partitions.file_all(|| false),
            }
        }
        partitions.file_all(|| false);
        let mut live = Vec::new();
        partitions.for_each(|binding| live.extend(binding.is_live(now).then(|| binding.clone())));
        let wanted = |is_it: &dyn Fn(&Binding) -> bool| {
            let mut all: Vec<_> = live
                .iter()
                .filter(|binding| is_it(binding))
                .filter_map(|binding| match binding.lease {
                    Lease::V4(address) => Some(address),
                    _ => None,
                })
                .collect();
            all.sort_unstable();
            Ok(all)
        };
        let mut recorded = Vec::new();
        partitions.for_each(|binding| recorded.push((binding.lease, binding.state, binding.expires)));
        let mut by_address = Vec::new();
        for (index, number) in (0..2).flat_map(|index| (0..20).map(move |number| (index, number))) {
            let partition = partitions.lock(index).unwrap();
            let visit = |_, terms: &crate::Terms| by_address.push((terms.lease, terms.state, terms.expires));
            partition.seek_address(address(number), visit).unwrap();
        }
        recorded.sort_unstable_by_key(|(lease, state, expires)| (*lease, *state as u8, *expires));
        by_address.sort_unstable_by_key(|(lease, state, expires)| (*lease, *state as u8, *expires));
        prop_assert_eq!(by_address, recorded);
        for number in 0..20 {
            let by_address = found(&partitions, &Sought::Address(address(number)), now);
            prop_assert_eq!(by_address, wanted(&|it| it.lease == Lease::V4(address(number))));
            let by_hardware = found(&partitions, &Sought::Hardware(hardware(number)), now);
            prop_assert_eq!(by_hardware, wanted(&|it| it.hardware == hardware(number)));
            let by_client = found(&partitions, &Sought::Client(&[number; 3]), now);
            prop_assert_eq!(by_client, wanted(&|it| it.client.as_slice() == [number; 3]));
            let id = [0xaa, number];
            let by_remote_id = found(&partitions, &Sought::RemoteId(&id), now);
            prop_assert_eq!(by_remote_id, wanted(&|it| remote_id(&it.context) == Some(&id[..])));
        }
    }
}

fn own(partition: &crate::Partition, client: u8) -> Option<SlotNumber> {
    let octets = [client; 3];
    let key = crate::Key {
        kind: crate::LeaseKind::V4,
        client: &octets,
        hardware: hardware(client % 4),
        iaid: dhcp_wire::id::Iaid(0),
    };
    partition.find(&key, |_| true)
}
