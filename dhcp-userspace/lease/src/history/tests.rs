//! Does the format keep its promises: any octets are read without harm, what is written is read again,
//! every change is seen, and the answers are those of a naive model?

use super::octets::Cursor;
use super::*;
use crate::binding::{Lease, SubnetId, Timestamp};
use crate::context::ItemKind;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use dhcp_wire::id::{HardwareAddress, Iaid};
use proptest::prelude::*;
use std::collections::HashMap;

fn v4(last: u8) -> Lease {
    Lease::V4(Ipv4Addr::new(10, 0, 0, last))
}

fn holder(client: u8) -> Holder {
    Holder {
        subnet: SubnetId(7),
        client: vec![1, 2, 0, 0, 0, 0, client],
        hardware: HardwareAddress::ethernet([2, 0, 0, 0, 0, client]),
        iaid: Iaid(0),
        items: Vec::new(),
    }
}

fn entry(time: u64, lease: Lease, client: u8, generation: u64) -> Entry {
    Entry {
        time: Timestamp(time),
        event: Event::Leased,
        lease,
        expires: Timestamp(time + 3600),
        partition: 0,
        generation,
        holder: holder(client),
    }
}

fn header() -> SegmentHeader {
    SegmentHeader {
        identity: [3; 16],
        number: 5,
        created: Timestamp(1_000),
        previous: Hash::of(b"before"),
        previous_octets: 4711,
        first_block: 90,
        partitions: 4,
    }
}

/// A segment of blocks with these entries, and where each block begins.
fn segment(blocks: &[Vec<Entry>]) -> Vec<u8> {
    let mut octets = header().octets().to_vec();
    let mut writer = BlockWriter::new(&header());
    let mut tracker = Tracker::new(4);
    for (number, entries) in blocks.iter().enumerate() {
        for entry in entries {
            tracker.add(entry.partition, entry.generation);
            writer.push(entry);
        }
        writer.seal(number as u64 + 1, &mut tracker, &mut octets);
    }
    octets
}

/// All entries of a segment, in order.
fn entries_of(octets: &[u8]) -> Vec<Entry> {
    let mut whole = HashMap::new();
    let mut all = Vec::new();
    for step in Walk::new(octets).unwrap() {
        let (block, read) = step.unwrap();
        for (offset, record) in read.records() {
            if let Some(entry) = record.entry(|place| whole.get(&place).cloned()) {
                whole.insert(Place { block, offset }, entry.clone());
                all.push(entry);
            }
        }
    }
    all
}

fn any_lease() -> impl Strategy<Value = Lease> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| Lease::V4(octets.into())),
        any::<[u8; 16]>().prop_map(|octets| Lease::Address(octets.into())),
        (any::<u128>(), 0..=128u8).prop_map(|(bits, length)| {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            Lease::Prefix(Ipv6Addr::from_bits(bits & mask), length)
        }),
    ]
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let items = prop::collection::vec(
        (any::<u8>(), prop::collection::vec(any::<u8>(), 0..40)),
        0..4,
    );
    let holder = (
        any::<u32>(),
        prop::collection::vec(any::<u8>(), 0..=255),
        any::<u8>(),
        any::<u32>(),
        items,
    );
    let holder = holder.prop_map(|(subnet, client, htype, iaid, items)| Holder {
        subnet: SubnetId(subnet),
        hardware: HardwareAddress::new(htype, client.get(..client.len().min(16)).unwrap()).unwrap(),
        client,
        iaid: Iaid(iaid),
        items: items
            .into_iter()
            .map(|(tag, octets)| Item {
                tag: ItemKind(tag),
                octets,
            })
            .collect(),
    });
    let event = (1..=5u8).prop_map(|octet| Event::of_octet(octet).unwrap());
    (
        any::<u64>(),
        event,
        any_lease(),
        any::<u64>(),
        0..4u32,
        1..u64::MAX,
        holder,
    )
        .prop_map(
            |(time, event, lease, expires, partition, generation, holder)| Entry {
                time: Timestamp(time),
                event,
                lease,
                expires: Timestamp(expires),
                partition,
                generation,
                holder,
            },
        )
}

proptest! {
    #[test]
    fn a_damaged_index_is_read_without_harm(
        leases in prop::collection::vec(any_entry(), 1..8),
        place in any::<prop::sample::Index>(),
        octet in any::<u8>(),
    ) {
        let mut index = build_index(&segment(&[leases])).unwrap();
        let place = place.index(index.len());
        index[place] = octet;
        if let Ok(index) = Index::read(index.as_slice()) {
            let _ = index.others();
            for address in [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)] {
                let _ = index.find(&Scope::Prefix(address, 0));
            }
            let _ = index.start(u32::from(octet));
        }
    }

    #[test]
    fn what_is_written_is_read_again(blocks in prop::collection::vec(prop::collection::vec(any_entry(), 0..6), 1..4)) {
        let octets = segment(&blocks);
        prop_assert_eq!(entries_of(&octets), blocks.concat());
    }

    #[test]
    fn repeated_entries_are_short_and_read_as_if_they_were_whole(
        entries in prop::collection::vec((any_entry(), 0..5u64), 1..5),
    ) {
        let mut blocks = Vec::new();
        for round in 0..3u64 {
            let again = entries.iter().map(|(entry, step)| Entry {
                event: Event::Leased,
                time: Timestamp(entry.time.0.wrapping_add(round * step)),
                generation: round * 100 + 1 + step,
                ..entry.clone()
            });
            blocks.push(again.collect::<Vec<_>>());
        }
        let octets = segment(&blocks);
        prop_assert_eq!(entries_of(&octets), blocks.concat());
        let shorts = Walk::new(&octets).unwrap().flat_map(|step| {
            let records: Vec<_> = step.unwrap().1.records().collect();
            records
        });
        let shorts = shorts.filter(|(_, record)| matches!(record, Record::Extended { .. })).count();
        prop_assert!(shorts >= 2 * entries.len(), "{} of {}", shorts, entries.len());
    }

    #[test]
    fn any_octets_are_read_without_harm(octets in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = SegmentHeader::read(&octets);
        let _ = Block::parse(&octets);
        let _ = Block::parse_trusted(&octets);
        if let Ok(index) = Index::read(octets.as_slice()) {
            let _ = index.find(&Scope::Prefix(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0));
        }
        let _ = has_whole_block_after(&octets, 0);
        let mut tracker = Tracker::new(4);
        let _ = tracker.take(&mut Cursor(&octets));
    }

    #[test]
    fn octets_in_a_block_that_is_hashed_right_are_read_without_harm(
        entries in prop::collection::vec(any::<u8>(), 0..200),
        generations in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        // As somebody would write it who knows SHA-256 and not the rest.
        let mut octets = header().octets().to_vec();
        let start = octets.len();
        let length = 96 + entries.len() + generations.len() + 32;
        octets.extend_from_slice(b"xdHB");
        octets.extend_from_slice(&(length as u32).to_le_bytes());
        octets.extend_from_slice(&90u64.to_le_bytes());
        octets.extend_from_slice(&header().hash().0);
        octets.extend_from_slice(&[0; 32]);
        octets.extend_from_slice(&(entries.len() as u32).to_le_bytes());
        octets.extend_from_slice(&1u32.to_le_bytes());
        octets.extend_from_slice(&[0; 8]);
        octets.extend_from_slice(&entries);
        octets.extend_from_slice(&generations);
        let hash = Hash::of(&octets[start..]);
        octets.extend_from_slice(&hash.0);
        prop_assert!(Block::parse(&octets[start..]).is_some());
        for (_, block) in Walk::new(&octets).unwrap().flatten() {
            for (offset, record) in block.records() {
                prop_assert_eq!(block.record_at(offset), Some(record));
            }
        }
        let _ = build_index(&octets);
    }

    #[test]
    fn an_index_finds_what_reading_everything_finds(
        blocks in prop::collection::vec(prop::collection::vec((0..40u8, any::<bool>()), 0..12), 1..6),
        asked in 0..60u8,
        length in 0..=128u8,
    ) {
        let lease = |number: u8| match number % 3 {
            0 => v4(number),
            1 => Lease::Address(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(number))),
            _ => {
                let bits = Ipv6Addr::new(0x2001, 0xdb8, u16::from(number / 6), 0, 0, 0, 0, 0);
                Lease::Prefix(bits, if number.is_multiple_of(2) { 48 } else { 56 })
            }
        };
        let mut generation = 0;
        let blocks: Vec<Vec<Entry>> = blocks.iter().map(|block| {
            block.iter().map(|(number, other)| {
                generation += 1;
                entry(1000 + generation, lease(*number), u8::from(*other), generation)
            }).collect()
        }).collect();
        let octets = segment(&blocks);
        let index = build_index(&octets).unwrap();
        let index = Index::read(index.as_slice()).unwrap();
        let scopes = [
            Scope::Address(lease(asked).address()),
            Scope::Prefix(IpAddr::V4(Ipv4Addr::new(10, 0, 0, asked)), length % 33),
            Scope::Prefix(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, u16::from(asked / 6), 0, 0, 0, 0, 0)), length),
            Scope::Address(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, u16::from(asked / 6), 1, 0, 0, 0, 9))),
        ];
        for scope in scopes {
            let mut scanned = Vec::new();
            let mut whole = HashMap::new();
            for step in Walk::new(&octets).unwrap() {
                let (block, read) = step.unwrap();
                for (offset, record) in read.records() {
                    let place = Place { block, offset };
                    let entry = record.entry(|place| whole.get(&place).cloned()).unwrap();
                    if scope.has(entry.lease) {
                        scanned.push((entry.lease, place));
                    }
                    whole.insert(place, entry);
                }
            }
            scanned.sort_unstable();
            let mut found: Vec<_> = index
                .find(&scope)
                .unwrap()
                .into_iter()
                .flat_map(|(lease, places)| places.into_iter().map(move |place| (lease, place)))
                .collect();
            found.sort_unstable();
            prop_assert_eq!(found, scanned, "{:?}", scope);
        }
        prop_assert_eq!(index.hash(), Walk::new(&octets).map(|mut walk| { walk.by_ref().for_each(drop); walk.hash() }).unwrap());
    }

    #[test]
    fn a_tracker_knows_exactly_what_it_was_told(told in prop::collection::vec((0..2u32, 1..60u64), 0..80)) {
        let mut tracker = Tracker::new(2);
        let mut model = std::collections::BTreeSet::new();
        let mut kept = Tracker::new(2);
        for (partition, generation) in told {
            prop_assert_eq!(tracker.is_new(partition, generation), !model.contains(&(partition, generation)));
            tracker.add(partition, generation);
            model.insert((partition, generation));
            let mut octets = Vec::new();
            tracker.put(&mut octets, false);
            kept.take(&mut Cursor(&octets)).unwrap();
        }
        for partition in 0..2 {
            for generation in 1..70 {
                let is_new = !model.contains(&(partition, generation));
                prop_assert_eq!(tracker.is_new(partition, generation), is_new);
                prop_assert_eq!(kept.is_new(partition, generation), is_new);
            }
            let missing = (1..=65).filter(|it| !model.contains(&(partition, *it))).count() as u64;
            prop_assert_eq!(tracker.settle(partition, 65), missing);
            prop_assert!(tracker.has_all(partition, 65));
        }
    }
}

/// What a naive server would say: for every second, who held the address in it or in part of it.
#[derive(Default)]
struct Model {
    held: HashMap<u64, Vec<u8>>,
}

impl Model {
    fn hold(&mut self, client: u8, seconds: impl Iterator<Item = u64>) {
        for second in seconds {
            let holders = self.held.entry(second).or_default();
            if !holders.contains(&client) {
                holders.push(client);
            }
        }
    }

    /// The client no longer holds it after this second.
    fn end(&mut self, client: u8, after: u64) {
        for (second, holders) in &mut self.held {
            if *second > after {
                holders.retain(|holder| *holder != client);
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(u64),
    Ask(u8, u64),
    GiveBack(u8, Event),
}

fn any_step() -> impl Strategy<Value = Step> {
    let ending = prop_oneof![
        Just(Event::Released),
        Just(Event::OperatorReleased),
        Just(Event::Superseded),
        Just(Event::Declined)
    ];
    prop_oneof![
        (0..12u64).prop_map(Step::Wait),
        (0..3u8, 1..20u64).prop_map(|(client, lifetime)| Step::Ask(client, lifetime)),
        (0..3u8, ending).prop_map(|(client, event)| Step::GiveBack(client, event)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 2_000 }))]

    /// One address, three clients in two partitions. In one second commits of different partitions may
    /// come to the chain in any order.
    #[test]
    fn who_held_an_address_is_right_in_every_second(
        steps in prop::collection::vec(any_step(), 1..40),
        turns in prop::collection::vec(any::<bool>(), 40),
    ) {
        let mut model = Model::default();
        let mut entries: Vec<Entry> = Vec::new();
        let (mut now, mut current, mut generations) = (100u64, None::<(u8, u64)>, [0u64; 2]);
        let mut quarantined_until = 0;
        let mut push = |time: u64, client: u8, event, expires: u64| {
            let partition = u32::from(client % 2);
            generations[partition as usize] += 1;
            entries.push(Entry {
                time: Timestamp(time),
                event,
                lease: v4(1),
                expires: Timestamp(expires),
                partition,
                generation: generations[partition as usize],
                holder: holder(client),
            });
        };
        for step in steps {
            match step {
                Step::Wait(seconds) => now += seconds,
                Step::Ask(client, lifetime) => {
                    let is_free = current.is_none_or(|(holder, until)| {
                        holder == client || until + 2 <= now
                    });
                    if is_free && now >= quarantined_until {
                        let until = now + lifetime;
                        model.end(client, now);
                        model.hold(client, now..until);
                        push(now, client, Event::Leased, until);
                        current = Some((client, until));
                    }
                }
                Step::GiveBack(client, event) => {
                    if let Some((holder, until)) = current && holder == client && until > now {
                        model.end(client, now);
                        let expires = if event == Event::Declined { now + 5 } else { now };
                        push(now, client, event, expires);
                        current = None;
                        quarantined_until = if event == Event::Declined { now + 5 } else { 0 };
                    }
                }
            }
        }
        // Threads hand over what they did in the same second in any order.
        for (place, turn) in turns.iter().enumerate() {
            let pair = entries.get_mut(place..).and_then(|it| it.get_mut(..2));
            if let Some([one, other]) = pair
                && one.time == other.time && *turn
                && one.partition != other.partition
            {
                std::mem::swap(one, other);
            }
        }
        let said = holdings(entries.clone());
        for second in 90..now + 40 {
            let mut expected = model.held.get(&second).cloned().unwrap_or_default();
            expected.sort_unstable();
            let mut holders: Vec<u8> = said
                .iter()
                .filter(|holding| holding.is_at(Timestamp(second)))
                .map(|holding| holding.holder.client[6])
                .collect();
            holders.sort_unstable();
            holders.dedup();
            prop_assert_eq!(holders, expected, "second {} of {:#?}", second, &entries);
        }
    }
}

#[test]
fn every_octet_that_is_changed_is_found() {
    let blocks: Vec<Vec<Entry>> = (0..3u64)
        .map(|block| {
            (0..3)
                .map(|it| entry(1000 + block, v4(it), it, block * 3 + u64::from(it) + 1))
                .collect()
        })
        .collect();
    let octets = segment(&blocks);
    let last = Walk::new(&octets).map(|mut walk| {
        walk.by_ref().for_each(|step| {
            step.unwrap();
        });
        walk.hash()
    });
    let step = if cfg!(miri) { 97 } else { 1 };
    for place in (0..octets.len()).step_by(step) {
        for bit in [0x01, 0x80] {
            let mut changed = octets.clone();
            changed[place] ^= bit;
            let hash = Walk::new(&changed).and_then(|mut walk| {
                for step in walk.by_ref() {
                    step?;
                }
                Ok(walk.hash())
            });
            assert!(
                hash.is_err() && hash != last,
                "octet {place} was changed and nobody saw it"
            );
        }
    }
}

#[test]
fn blocks_that_are_left_out_or_change_places_are_found() {
    let blocks: Vec<Vec<Entry>> = (0..3)
        .map(|it| vec![entry(1000, v4(it), it, u64::from(it) + 1)])
        .collect();
    let octets = segment(&blocks);
    let mut starts = Vec::new();
    let mut walk = Walk::new(&octets).unwrap();
    loop {
        starts.push(walk.offset());
        if walk.next().is_none() {
            break;
        }
    }
    let [first, second, third, end] = *starts else {
        panic!("{starts:?}")
    };
    let join = |parts: &[std::ops::Range<usize>]| {
        let parts: Vec<_> = parts.iter().map(|part| &octets[part.clone()]).collect();
        parts.concat()
    };
    let fault = |octets: &[u8]| {
        Walk::new(octets)
            .unwrap()
            .find_map(Result::err)
            .map(|it| it.fault)
    };
    let without = join(&[0..second, third..end]);
    assert_eq!(fault(&without), Some(Fault::Chain(91)));
    let exchanged = join(&[0..first, second..third, first..second, third..end]);
    assert_eq!(fault(&exchanged), Some(Fault::Chain(90)));
    assert!(
        has_whole_block_after(&octets, first),
        "the blocks after a damaged one are seen"
    );
    assert!(!has_whole_block_after(&octets, third));
}

#[test]
fn an_extension_of_a_lease_takes_few_octets() {
    let whole: Vec<Entry> = (0..100)
        .map(|it| entry(1000, v4(it), it, u64::from(it) + 1))
        .collect();
    let again: Vec<Entry> = (0..100)
        .map(|it| entry(2800, v4(it), it, u64::from(it) + 101))
        .collect();
    let one = segment(std::slice::from_ref(&whole)).len();
    let both = segment(&[whole, again]).len();
    let (whole, short) = ((one - 136 - 128) / 100, (both - one - 128) / 100);
    println!("an entry takes {whole} octets, an extension {short}");
    assert!(short <= 12 && whole <= 40, "{whole} and {short} octets");
}

#[test]
fn a_change_of_the_circuit_ends_one_holding_and_begins_another() {
    let item = |circuit: &[u8]| Item {
        tag: ItemKind(6),
        octets: circuit.to_vec(),
    };
    let at = |time, circuit: &[u8], generation| {
        let mut entry = entry(time, v4(1), 1, generation);
        entry.holder.items.push(item(circuit));
        entry
    };
    let said = holdings(vec![
        at(1000, b"olt1/3", 1),
        at(2000, b"olt1/3", 2),
        at(3000, b"olt2/7", 3),
    ]);
    let [first, second] = said.as_slice() else {
        panic!("{said:?}")
    };
    assert_eq!(
        (first.since.0, first.until.0, first.ending, first.extensions),
        (1000, 3000, Ending::Changed, 1)
    );
    assert_eq!(
        (second.since.0, second.until.0, second.ending),
        (3000, 6600, Ending::Expiry)
    );
    assert!(
        !first.is_at(Timestamp(3001))
            && second.is_at(Timestamp(6599))
            && !second.is_at(Timestamp(6600))
    );
}
