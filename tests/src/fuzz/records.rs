//! Octets of the lease history and of what is kept beside a binding. Blocks are chained by hashes, so what
//! looks like a segment is chained anew first; docs/history-format.md says how, not the code under test.

use dhcp_lease::context::{CONTEXT_OCTETS_MAX, Context, ItemKind};
use dhcp_lease::history::{
    BlockWriter, Entry, Event, Hash, Holder, Index, Item, Place, SEGMENT_HEADER_OCTETS, Scope,
    SegmentHeader, Tracker, Walk, build_index, has_whole_block_after, holdings,
};
use dhcp_lease::{Lease, SubnetId, Timestamp};
use dhcp_wire::id::{HardwareAddress, Iaid};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Octets of a block before its entries, and of the hash at its end.
const BLOCK_HEADER_OCTETS: usize = 96;
const HASH_OCTETS: usize = 32;

/// Any octets as a segment: what counts is read, the index finds all of it, and answers are made of it.
pub(super) fn segment(octets: &[u8]) {
    walk(octets);
    let _ = has_whole_block_after(octets, SEGMENT_HEADER_OCTETS);
    let mut chained = octets.to_vec();
    chain(&mut chained);
    walk(&chained);
}

/// Gives the header and every block behind it the hashes that belong there.
fn chain(segment: &mut [u8]) {
    let Some((header, blocks)) = segment.split_at_mut_checked(SEGMENT_HEADER_OCTETS) else {
        return;
    };
    let (fields, hash) = header.split_at_mut(SEGMENT_HEADER_OCTETS - HASH_OCTETS);
    fields[96..].fill(0); // reserved
    let mut previous = Hash::of(fields).0;
    hash.copy_from_slice(&previous);
    let mut number = u64::from_le_bytes(fields[88..96].try_into().unwrap_or_default());
    let mut rest = blocks;
    while rest.len() >= BLOCK_HEADER_OCTETS + HASH_OCTETS && rest.starts_with(b"xdHB") {
        let length = u32::from_le_bytes([rest[4], rest[5], rest[6], rest[7]]) as usize;
        let length = length.clamp(BLOCK_HEADER_OCTETS + HASH_OCTETS, rest.len());
        let (block, after) = rest.split_at_mut(length);
        let (hashed, hash) = block.split_at_mut(length - HASH_OCTETS);
        hashed[4..8].copy_from_slice(&(length as u32).to_le_bytes());
        hashed[8..16].copy_from_slice(&number.to_le_bytes());
        hashed[16..48].copy_from_slice(&previous);
        previous = Hash::of(hashed).0;
        hash.copy_from_slice(&previous);
        number = number.wrapping_add(1);
        rest = after;
    }
}

fn walk(octets: &[u8]) {
    let Ok(mut walk) = Walk::new(octets) else {
        assert!(build_index(octets).is_err(), "an index of no segment");
        return;
    };
    let mut known: HashMap<Place, Entry> = HashMap::new();
    let mut is_whole = true;
    for step in walk.by_ref() {
        let Ok((number, block)) = step else {
            is_whole = false;
            break;
        };
        for (offset, record) in block.records() {
            assert_eq!(block.record_at(offset).as_ref(), Some(&record));
            let place = Place {
                block: number,
                offset,
            };
            if let Some(entry) = record.entry(|whole| known.get(&whole).cloned()) {
                known.insert(place, entry);
            }
        }
    }
    assert!(walk.offset() <= octets.len());
    let index = build_index(octets);
    assert_eq!(index.is_ok(), is_whole);
    if let Ok(index) = index {
        let index = Index::read(index.as_slice()).expect("an index that was just made");
        assert_eq!(index.hash(), walk.hash());
        for (place, entry) in &known {
            let found = index.find(&scope(entry.lease)).expect("it is whole");
            let places = found.iter().filter(|(lease, _)| *lease == entry.lease);
            let is_found = places.flat_map(|(_, places)| places).any(|it| it == place);
            assert!(is_found, "{} at {place:?} is not in the index", entry.lease);
        }
        assert!(index.others().is_some());
    }
    for holding in holdings(known.into_values().collect()) {
        let _ = (
            holding.is_at(Timestamp(0)),
            holding.is_at(Timestamp(u64::MAX)),
        );
    }
}

fn scope(lease: Lease) -> Scope {
    match lease {
        Lease::V4(address) => Scope::Address(address.into()),
        Lease::Address(address) => Scope::Address(address.into()),
        Lease::Prefix(address, length) => Scope::Prefix(address.into(), length),
    }
}

/// Any octets as an index: damage is an answer, too.
pub(super) fn index(octets: &[u8]) {
    let Ok(index) = Index::read(octets) else {
        return;
    };
    let _ = (index.others(), index.start(0), index.start(u32::MAX));
    for address in [
        IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    ] {
        for length in [0, 8, 32, 128] {
            let _ = index.find(&Scope::Prefix(address, length));
        }
        let _ = index.find(&Scope::Address(address));
    }
}

/// Any octets as a context: it reads the same again, and every change leaves it in order.
pub(super) fn context(octets: &[u8]) {
    let mut context = Context::parse(octets);
    in_order(&context);
    let room = octets.first().map_or(0, |octet| usize::from(*octet) * 2);
    let fitting = context.fitting(room);
    assert!(fitting.len() <= room);
    assert_eq!(Context::parse(fitting).as_octets(), fitting);

    let before = context.clone();
    let end = octets.len().min(300);
    let kind = ItemKind(octets.last().copied().unwrap_or_default());
    let has_room = context.insert(kind, &octets[..end]);
    match has_room {
        true => assert!(context.of_kind(kind).any(|data| data == &octets[..end])),
        false => assert_eq!(context, before, "refused, and yet changed"),
    }
    in_order(&context);
    context.retain(|other| other != kind);
    assert_eq!(context.of_kind(kind).count(), 0);
    in_order(&context);
}

fn in_order(context: &Context) {
    assert!(context.as_octets().len() <= CONTEXT_OCTETS_MAX);
    assert_eq!(&Context::parse(context.as_octets()), context);
    assert!(context.items().map(|item| item.kind.rank()).is_sorted());
    let octets: usize = context.items().map(|item| item.emitted_len()).sum();
    assert_eq!(octets, context.as_octets().len());
    let _ = (context.giaddr(), context.relay_source());
    let hops = context.relay_path().map(|hop| hop.interface_id.len() + 33);
    assert!(hops.sum::<usize>() <= CONTEXT_OCTETS_MAX);
    let shown = format!("{context:?}");
    assert!(shown.is_ascii(), "a log line in a stranger's letters");
    if let Some(key) = context.reconfigure_key() {
        let mut changed = context.clone();
        changed.set_reconfigure_key(&key);
        assert_eq!(changed.reconfigure_key(), Some(key));
    }
}

/// A segment of three blocks: all kinds of leases and events, entries in full and in short.
pub(super) fn segment_seeds() -> Vec<Vec<u8>> {
    let header = SegmentHeader {
        identity: [3; 16],
        number: 5,
        created: Timestamp(1_000),
        previous: Hash::of(b"before"),
        previous_octets: 4711,
        first_block: 90,
        partitions: 4,
    };
    let mut octets = header.octets().to_vec();
    let mut writer = BlockWriter::new(&header);
    let mut tracker = Tracker::new(header.partitions);
    for block in 0..3u64 {
        for (number, entry) in (0..).zip(entries()) {
            let entry = Entry {
                time: Timestamp(2_000 + block),
                generation: block * 10 + number,
                ..entry
            };
            tracker.add(entry.partition, entry.generation);
            writer.push(&entry);
        }
        writer.seal(block + 1, &mut tracker, &mut octets);
    }
    vec![octets]
}

fn entries() -> Vec<Entry> {
    let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0);
    let leases = [
        (Lease::V4(Ipv4Addr::new(10, 0, 0, 7)), Event::Leased),
        (Lease::Address(v6), Event::Released),
        (Lease::Prefix(v6, 56), Event::Leased),
        (Lease::Prefix(v6, 60), Event::Superseded),
        (Lease::V4(Ipv4Addr::new(10, 0, 0, 8)), Event::Declined),
    ];
    let entry = |(lease, event)| Entry {
        time: Timestamp(2_000),
        event,
        lease,
        expires: Timestamp(5_600),
        partition: 1,
        generation: 1,
        holder: Holder {
            subnet: SubnetId(7),
            client: vec![1, 2, 0, 0, 0, 0, 9],
            hardware: HardwareAddress::ethernet([2, 0, 0, 0, 0, 9]),
            iaid: Iaid(3),
            items: vec![Item {
                tag: ItemKind::AGENT,
                octets: b"\x01\x04port".to_vec(),
            }],
        },
    };
    leases.map(entry).to_vec()
}

/// The indexes of the segments above.
pub(super) fn index_seeds() -> Vec<Vec<u8>> {
    let segments = segment_seeds();
    let indexes = segments.iter().map(|segment| build_index(segment));
    indexes
        .map(|index| index.expect("the seed is a segment"))
        .collect()
}

/// A context with an item of every kind.
pub(super) fn context_seeds() -> Vec<Vec<u8>> {
    let mut context = Context::EMPTY;
    for kind in 1..=13 {
        let octets = [kind; 40];
        let length = match ItemKind(kind) {
            ItemKind::RECONFIGURE_KEY => 24,
            ItemKind::GIADDR | ItemKind::RELAY_SOURCE | ItemKind::TRANSACTION => 4,
            _ => usize::from(kind) * 3,
        };
        context.insert(ItemKind(kind), &octets[..length]);
    }
    let mut long = Context::EMPTY;
    long.insert(ItemKind::AGENT, &[7; 260]); // a length in two octets
    long.insert(ItemKind::HOST_NAME, b"cpe");
    vec![context.as_octets().to_vec(), long.as_octets().to_vec()]
}
