use super::*;
use crate::allocator::{Claim, PoolIndex, PoolRange};
use crate::binding::{Binding, Key, LeaseKind, State, SubnetId};
use crate::context::{Context, ItemKind};
use crate::format::{Image, SLOT_OCTETS, SLOTS_PER_SEGMENT};
use crate::journal::ChangeLog;
use crate::reader::{Found as Read, Reader, Tally};
use core::net::{Ipv4Addr, Ipv6Addr};
use dhcp_wire::id::{ClientId, HardwareAddress, Iaid};
use std::sync::{Arc, Mutex};

const NOW: Timestamp = Timestamp(1_790_000_000);
const SLOTS: usize = 16;

/// Memory that is still there when the store is gone.
struct Kept {
    octets: Vec<u8>,
    outlives: Arc<Mutex<Vec<u8>>>,
}

impl Region for Kept {
    fn octets(&self) -> &[u8] {
        &self.octets
    }

    fn octets_mut(&mut self) -> &mut [u8] {
        &mut self.octets
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        *self.outlives.lock().unwrap() = std::mem::take(&mut self.octets);
    }
}

struct File(Arc<Mutex<Vec<u8>>>);

impl File {
    fn new(octets: usize) -> Self {
        Self(Arc::new(Mutex::new(vec![0; octets])))
    }

    fn region(&self) -> Box<dyn Region> {
        let octets = self.0.lock().unwrap().clone();
        Box::new(Kept {
            octets,
            outlives: Arc::clone(&self.0),
        })
    }

    fn flip(&self, bit: usize) {
        self.0.lock().unwrap()[bit / 8] ^= 1 << (bit % 8);
    }
}

fn store(partitions: u32) -> StoreHeader {
    StoreHeader {
        identity: [1; 16],
        spread_key: 2,
        checksum_key: [3; 16],
        partitions,
        slots_per_segment: SLOTS_PER_SEGMENT,
        epoch: 0,
    }
}

fn files(partitions: u32) -> Vec<[File; 2]> {
    let table = |_| [File::new(HEADER_OCTETS), File::new(SLOTS * SLOT_OCTETS)];
    (0..partitions).map(table).collect()
}

fn open_all(files: &[[File; 2]], pools: &Pools) -> Result<(Partitions, Recovery), OpenError> {
    open_at(files, pools, NOW)
}

fn open_at(
    files: &[[File; 2]],
    pools: &Pools,
    now: Timestamp,
) -> Result<(Partitions, Recovery), OpenError> {
    let opening = Opening {
        durability: Durability::Process,
        room: Room {
            offers: 4,
            unsettled: 4,
        },
        now,
        quarantine_seconds: 100,
    };
    let tables = files
        .iter()
        .map(|[header, slots]| TableRegions {
            header: header.region(),
            segments: vec![slots.region()],
        })
        .collect();
    Partitions::open(&store(files.len() as u32), tables, &[], &opening, pools)
}

fn address(last: u8) -> Lease {
    Lease::V4(Ipv4Addr::new(10, 0, 0, last))
}

fn pools() -> Pools {
    Pools::new(
        &[PoolRange {
            first: address(0),
            count: 100,
        }],
        &[],
    )
}

fn binding(number: u8, client_len: usize) -> Binding {
    Binding {
        lease: address(number),
        state: State::Leased,
        subnet: SubnetId(1),
        client: ClientId::new(&vec![number; client_len]).unwrap(),
        hardware: HardwareAddress::ethernet([2, 0, 0, 0, 0, number]),
        iaid: Iaid(0),
        last_transaction: NOW,
        expires: NOW.after(50),
        valid_seconds: 50,
        preferred_seconds: 0,
        context: Context::EMPTY,
    }
}

fn key(binding: &Binding) -> Key<'_> {
    Key {
        kind: LeaseKind::V4,
        client: binding.client.as_slice(),
        hardware: binding.hardware,
        iaid: Iaid(0),
    }
}

fn commit(partitions: &Partitions, index: usize, binding: &Binding, pools: &Pools) {
    let mut log = ChangeLog::default();
    let mut partition = partitions.lock(index).unwrap();
    pools.claim(binding.lease);
    partition
        .commit(None, binding, pools, &mut log, NOW)
        .unwrap();
}

/// Three bindings: in a slot, in two slots, in four.
fn filled() -> (Vec<[File; 2]>, [Binding; 3]) {
    let files = files(1);
    let pools = pools();
    let bindings = [binding(1, 0), binding(2, 100), binding(3, 255)];
    let (partitions, _) = open_all(&files, &pools).unwrap();
    for binding in &bindings {
        commit(&partitions, 0, binding, &pools);
    }
    drop(partitions);
    (files, bindings)
}

#[test]
fn every_flipped_bit_of_a_table_is_found_and_put_right() {
    let (files, bindings) = filled();
    let [_, slots] = &files[0];
    for bit in 0..SLOTS * SLOT_OCTETS * 8 {
        slots.flip(bit);
        let pools = pools();
        let (partitions, recovery) = open_all(&files, &pools).unwrap();
        assert_eq!(
            (recovery.repaired, recovery.damaged, recovery.live),
            (1, 0, 3),
            "bit {bit}"
        );
        let mut found = Vec::new();
        partitions.for_each(|binding| found.push(binding.clone()));
        found.sort_by_key(|binding| binding.hardware.mac());
        assert_eq!(found, bindings);
    }
}

#[test]
fn a_slot_that_cannot_be_mended_is_never_served_and_its_address_set_aside() {
    for bits in [[0, 1], [200, 300], [600, 601], [64, 1000]] {
        for (victim, first_slot) in [(0, 0), (1, 1), (2, 3)] {
            let (files, bindings) = filled();
            let [_, slots] = &files[0];
            bits.iter()
                .for_each(|bit| slots.flip(first_slot * SLOT_OCTETS * 8 + bit));
            let pools = pools();
            let (partitions, recovery) = open_all(&files, &pools).unwrap();
            assert_eq!((recovery.damaged, recovery.live), (1, 2));
            let mut partition = partitions.lock(0).unwrap();
            assert_eq!(partition.find(&key(&bindings[victim]), |_| true), None);
            let lease = bindings[victim].lease;
            // Bits 200 and 300 are in the address and the subnet.
            if bits[0] != 200 {
                assert_eq!(pools.claim(lease), Claim::Taken);
                partition.tick(NOW.after(99), 100, &pools);
                assert_eq!(pools.claim(lease), Claim::Taken, "before its time");
                partition.tick(NOW.after(100), 100, &pools);
                assert_eq!(pools.claim(lease), Claim::Claimed);
            }
        }
    }
}

#[test]
fn the_slot_of_a_damaged_record_is_used_again_after_its_time() {
    let (files, _) = filled();
    let [_, slots] = &files[0];
    (0..2).for_each(|bit| slots.flip(bit));
    let pools = pools();
    let (partitions, _) = open_all(&files, &pools).unwrap();
    partitions
        .lock(0)
        .unwrap()
        .tick(NOW.after(200), 100, &pools);
    for number in 10..26 {
        commit(&partitions, 0, &binding(number, 0), &pools);
    }
    drop(partitions);
    let (_, recovery) = open_all(&files, &self::pools()).unwrap();
    assert_eq!((recovery.damaged, recovery.live), (0, 16));
}

#[test]
fn records_in_each_others_places_are_not_trusted() {
    let (files, _) = filled();
    {
        let mut slots = files[0][1].0.lock().unwrap();
        let (first, second) = slots.split_at_mut(SLOT_OCTETS);
        first.swap_with_slice(&mut second[..SLOT_OCTETS]);
    }
    let (_, recovery) = open_all(&files, &pools()).unwrap();
    assert_eq!((recovery.damaged, recovery.live), (2, 1));
}

#[test]
fn of_two_holders_the_one_last_heard_of_stays_one() {
    let files = files(2);
    let lost = binding(1, 150);
    let kept = Binding {
        client: ClientId::new(&[9]).unwrap(),
        ..binding(1, 0)
    };
    let kept = Binding {
        last_transaction: NOW.after(1),
        ..kept
    };
    let pools = pools();
    let (partitions, _) = open_all(&files, &pools).unwrap();
    commit(&partitions, 0, &lost, &pools);
    commit(&partitions, 1, &kept, &pools);
    drop(partitions);
    for conflicts in [vec![address(1)], vec![]] {
        let pools = self::pools();
        let (partitions, recovery) = open_all(&files, &pools).unwrap();
        assert_eq!(recovery.conflicts, conflicts);
        assert_eq!((recovery.live, recovery.former), (1, 1));
        let mut read = Binding::default();
        for (index, binding, live) in [(0, &lost, false), (1, &kept, true)] {
            let partition = partitions.lock(index).unwrap();
            let slot = partition.find(&key(binding), |_| true).unwrap();
            partition.read(slot, &mut read);
            assert_eq!(read.is_live(NOW), live);
        }
        assert_eq!(pools.counts(PoolIndex(0)).taken, 1);
    }
}

/// After a power cut the clock record can be older than the last answer: an address that was given on when its lease
/// had ended looked as if two had it, and the extensions of a declined lease that had ended as if they were its own.
#[test]
fn it_is_never_earlier_than_the_last_answer() {
    let files = files(1);
    let ended = binding(1, 150);
    let later = ended.expires.after(5);
    let next = Binding {
        client: ClientId::new(&[9]).unwrap(),
        last_transaction: later,
        expires: later.after(150),
        ..binding(1, 0)
    };
    let pools = pools();
    let (partitions, _) = open_all(&files, &pools).unwrap();
    commit(&partitions, 0, &ended, &pools);
    commit(&partitions, 0, &next, &pools);
    drop(partitions);
    let (_, recovery) = open_all(&files, &self::pools()).unwrap();
    assert_eq!(recovery.latest, later);
    assert_eq!(recovery.conflicts, []);
    assert_eq!((recovery.live, recovery.former), (1, 1));
}

/// A client that was moved has two records; when the first lease had ended it could be granted it anew, in another slot.
#[test]
fn a_lease_that_its_client_has_anew_is_no_conflict() {
    let files = files(1);
    let ended = binding(1, 150);
    let anew = Binding {
        last_transaction: ended.expires,
        expires: ended.expires.after(150),
        ..ended.clone()
    };
    let pools = pools();
    let (partitions, _) = open_all(&files, &pools).unwrap();
    commit(&partitions, 0, &ended, &pools);
    commit(&partitions, 0, &anew, &pools);
    drop(partitions);
    let pools = self::pools();
    let (_, recovery) = open_all(&files, &pools).unwrap();
    assert_eq!(recovery.conflicts, []);
    assert_eq!((recovery.live, recovery.former), (1, 1));
    assert_eq!(pools.counts(PoolIndex(0)).taken, 1);
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let pair = files(2);
    drop(open_all(&pair, &pools()).unwrap());
    let [first, second] = <[_; 2]>::try_from(pair).ok().unwrap();
    let error = OpenError::Table {
        partition: 0,
        error: HeaderError::Astray,
    };
    assert_eq!(open_all(&[second, first], &pools()).err(), Some(error));
    let (files, _) = filled();
    let other = StoreHeader {
        identity: [9; 16],
        checksum_key: [4; 16],
        ..store(1)
    };
    let regions = || {
        vec![TableRegions {
            header: files[0][0].region(),
            segments: vec![],
        }]
    };
    let opening = Opening {
        durability: Durability::Power,
        room: Room::default(),
        now: NOW,
        quarantine_seconds: 0,
    };
    let error = OpenError::Table {
        partition: 0,
        error: HeaderError::Astray,
    };
    let opened = Partitions::open(&other, regions(), &[], &opening, &pools());
    assert_eq!(opened.err(), Some(error));
    let opened = Partitions::open(&store(2), regions(), &[], &opening, &pools());
    assert_eq!(opened.err(), Some(OpenError::Tables { got: 1, need: 2 }));
}

#[test]
fn a_table_without_its_header_is_served_all_the_same() {
    let (files, _) = filled();
    for copy in [0, headers::COPY_DISTANCE] {
        files[0][0].0.lock().unwrap()[copy..][..64].fill(0xaa);
    }
    let (_, recovery) = open_all(&files, &pools()).unwrap();
    assert_eq!((recovery.headers_rewritten, recovery.live), (1, 3));
    let (_, recovery) = open_all(&files, &pools()).unwrap();
    assert_eq!((recovery.headers_rewritten, recovery.live), (0, 3));
}

#[test]
fn the_store_header_survives_one_damaged_copy_and_refuses_later_formats() {
    let header = store(4);
    let octets = header.octets();
    assert_eq!(StoreHeader::read(&octets), Ok(header));
    for octet in 0..headers::HEADER_COPY_OCTETS {
        let mut damaged = octets;
        damaged[octet] ^= 4;
        assert_eq!(StoreHeader::read(&damaged), Ok(header));
        damaged[headers::COPY_DISTANCE + octet] ^= 4;
        assert!(StoreHeader::read(&damaged).is_err());
    }
    let mut newer = octets;
    for copy in [0, headers::COPY_DISTANCE] {
        newer[copy + 16] = 9;
    }
    let error = HeaderError::Newer { found: 9, known: 2 };
    assert_eq!(StoreHeader::read(&newer), Err(error));
    assert_eq!(StoreHeader::read(&[0; 8192]), Err(HeaderError::NotOurs));
    assert_eq!(StoreHeader::read(&[]), Err(HeaderError::NotOurs));
}

#[test]
fn a_reader_sees_what_is_there_and_outlasts_a_torn_slot() {
    let (files, bindings) = filled();
    let reader = Reader::new(&store(1), &[]).unwrap();
    let slots = files[0][1].0.lock().unwrap().clone();
    let mut attempts = 0;
    let fetch = |slot: u32, image: &mut Image| {
        image.copy_from_slice(&slots[slot as usize * SLOT_OCTETS..][..SLOT_OCTETS]);
        attempts += 1;
        // Every other time somebody is writing it just now.
        image[100] ^= (attempts % 2) as u8;
        true
    };
    let mut found = Vec::new();
    let tally = reader.read(0, SLOTS as u32, fetch, |read| match read {
        Read::Binding(binding) => found.push(binding.clone()),
        Read::Damaged { slot, .. } => panic!("slot {slot}"),
    });
    found.sort_by_key(|binding| binding.hardware.mac());
    assert_eq!(found, bindings);
    assert_eq!(
        tally,
        Tally {
            bindings: 3,
            extensions: 4,
            blank: 9,
            damaged: 0
        }
    );
}

/// When a quarantine ended its extension slots went to another client. The declined record was still in
/// the table, with the number of slots that were another's: the next start took them for its own again,
/// or called the record damaged and set a free address aside.
#[test]
fn the_record_of_an_ended_quarantine_claims_no_extensions() {
    let files = files(1);
    let pools = pools();
    let (partitions, _) = open_all(&files, &pools).unwrap();
    let declined = Binding {
        state: State::Declined,
        expires: NOW.after(20),
        ..binding(1, 200)
    };
    commit(&partitions, 0, &declined, &pools);
    drop(partitions);
    let (partitions, recovery) = open_all(&files, &self::pools()).unwrap();
    assert_eq!(recovery.declined, 1);
    let later = NOW.after(20);
    partitions.lock(0).unwrap().tick(later, 100, &pools);
    // Free slots are used in the order in which they became free.
    for number in 10..25 {
        commit(&partitions, 0, &binding(number, 0), &pools);
    }
    drop(partitions);
    let (partitions, recovery) = open_at(&files, &self::pools(), later).unwrap();
    assert_eq!((recovery.damaged, recovery.live), (0, 15));
    assert_eq!(partitions.lock(0).unwrap().occupancy().free, 1);
    drop(partitions);
    let reader = Reader::new(&store(1), &[]).unwrap();
    let slots = files[0][1].0.lock().unwrap().clone();
    let fetch = |slot: u32, image: &mut Image| {
        image.copy_from_slice(&slots[slot as usize * SLOT_OCTETS..][..SLOT_OCTETS]);
        true
    };
    let tally = reader.read(0, SLOTS as u32, fetch, |_| {});
    assert_eq!((tally.bindings, tally.blank, tally.damaged), (15, 1, 0));
}

/// After every restart the search began at the first address again, and gave the next clients what
/// others had given back a moment before.
#[test]
fn a_pool_goes_on_after_the_lease_last_heard_of() {
    let files = files(2);
    let pools = pools();
    let (partitions, _) = open_all(&files, &pools).unwrap();
    for (number, seconds, state) in [
        (30, 5, State::Leased),
        (40, 9, State::Released),
        (50, 7, State::Leased),
    ] {
        let binding = Binding {
            last_transaction: NOW.after(seconds),
            state,
            ..binding(number, 0)
        };
        commit(&partitions, usize::from(number / 10 % 2), &binding, &pools);
    }
    drop(partitions);
    let pools = self::pools();
    let _opened = open_all(&files, &pools).unwrap();
    assert_eq!(pools.claim_next(PoolIndex(0)), Some(address(41)));
}

/// We count a lease from before we send the reply and in whole seconds, the client from when it has it:
/// another client could get the address while the first still used it, and after a restart too.
#[test]
fn a_lease_that_ended_a_moment_ago_still_holds_its_address_after_a_restart() {
    let (files, bindings) = filled();
    for (seconds, claim, live) in [
        (50, Claim::Taken, 3),
        (51, Claim::Taken, 3),
        (52, Claim::Claimed, 0),
    ] {
        let (pools, now) = (pools(), NOW.after(seconds));
        let (partitions, recovery) = open_at(&files, &pools, now).unwrap();
        assert_eq!(
            (pools.claim(bindings[0].lease), recovery.live),
            (claim, live)
        );
        let ticked = partitions.lock(0).unwrap().tick(NOW.after(52), 100, &pools);
        assert_eq!(ticked.expired, live as usize);
    }
}

/// The operator changed the delegated length and restarted: a prefix inside of a live one was handed out.
#[test]
fn a_lease_of_another_shape_holds_what_it_overlaps_after_a_restart() {
    let files = files(1);
    let base = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0);
    let pd_pool = |length, count| {
        let first = Lease::Prefix(base, length);
        Pools::new(&[PoolRange { first, count }], &[])
    };
    let former = pd_pool(56, 2);
    let (partitions, _) = open_all(&files, &former).unwrap();
    let lease = former.claim_next(PoolIndex(0)).unwrap();
    let delegated = Binding {
        lease,
        ..binding(1, 20)
    };
    commit(&partitions, 0, &delegated, &former);
    drop(partitions);
    let changed = pd_pool(60, 32);
    let (partitions, recovery) = open_all(&files, &changed).unwrap();
    assert_eq!((recovery.live, recovery.conflicts.len()), (1, 0));
    assert_eq!(changed.free_count(PoolIndex(0)), 16);
    let after = Lease::Prefix(Ipv6Addr::new(0x2001, 0xdb8, 0, 0x100, 0, 0, 0, 0), 60);
    assert_eq!(changed.claim_next(PoolIndex(0)), Some(after));
    changed.give_back(after);
    partitions
        .lock(0)
        .unwrap()
        .tick(NOW.after(60), 100, &changed);
    assert_eq!(changed.free_count(PoolIndex(0)), 32);
}

/// What one judge finds and what many find at the same time is the same, to the last list.
#[test]
fn many_judges_come_to_the_conclusion_of_one() {
    const PARTITIONS: u32 = 8;
    let files = files(PARTITIONS);
    {
        let pools = pools();
        let (partitions, _) = open_all(&files, &pools).unwrap();
        let mut log = ChangeLog::default();
        for number in 0..60u8 {
            let mut binding = binding(number, usize::from(number));
            // Leases that several claim, ended, released, declined, outside every pool.
            binding.lease = match number % 10 {
                1 => address(0),
                2 => Lease::V4(Ipv4Addr::new(192, 0, 2, number / 20)),
                _ => address(number),
            };
            binding.last_transaction = Timestamp(NOW.0 - u64::from(number % 7));
            match number % 6 {
                3 => binding.state = State::Released,
                4 => binding.state = State::Declined,
                5 => binding.expires = Timestamp(NOW.0 - u64::from(number)),
                _ => {}
            }
            let mut partition = partitions.lock(usize::from(number) % 8).unwrap();
            let written = partition.commit(None, &binding, &Pools::default(), &mut log, NOW);
            written.unwrap();
        }
    }
    // Beyond repair: two bits.
    for partition in [2, 5] {
        files[partition][1].flip(8 * 40);
        files[partition][1].flip(8 * 90);
    }
    let kept: Vec<[Vec<u8>; 2]> = files
        .iter()
        .map(|table| table.each_ref().map(|file| file.0.lock().unwrap().clone()))
        .collect();
    let open = |crew: Crew<'_>| {
        let pools = pools();
        let tables = kept.iter().map(|[header, slots]| TableRegions {
            header: Box::new(header.clone()),
            segments: vec![Box::new(slots.clone())],
        });
        let opening = Opening {
            durability: Durability::Process,
            room: Room::default(),
            now: NOW,
            quarantine_seconds: 100,
        };
        let store = store(PARTITIONS);
        let opened =
            Partitions::open_with(&store, tables.collect(), &[], &opening, &pools, None, crew)
                .unwrap();
        let (partitions, recovery) = opened;
        let next: Vec<_> = core::iter::from_fn(|| pools.claim_next(PoolIndex(0))).collect();
        (recovery, next, format!("{partitions:?}"))
    };
    let alone = open(&|_| ());
    assert!(
        alone.0.conflicts.len() >= 2 && alone.0.damaged == 2,
        "{:?}",
        alone.0
    );
    for threads in [2, 5] {
        let together = open(&|work| {
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(work);
                }
            });
        });
        assert_eq!(together, alone);
    }
}

/// A binding of nine slots: whatever bit of them is wrong, it is found and mended; of two in one slot at least
/// the damage is seen, wherever in the chain that slot is.
#[test]
fn a_long_context_is_mended_or_set_aside_with_its_binding() {
    let files = files(1);
    let pools = pools();
    let (partitions, _) = open_all(&files, &pools).unwrap();
    let mut long = binding(1, 255);
    assert!(long.context.insert(ItemKind::AGENT, &[0xa5; 508]));
    commit(&partitions, 0, &long, &pools);
    commit(&partitions, 0, &binding(2, 0), &pools);
    assert_eq!(partitions.lock(0).unwrap().occupancy().extensions, 8);
    drop(partitions);
    let [_, slots] = &files[0];
    for bit in (0..10 * SLOT_OCTETS * 8).step_by(7) {
        slots.flip(bit);
        let (partitions, recovery) = open_all(&files, &self::pools()).unwrap();
        let Recovery {
            repaired,
            damaged,
            live,
            ..
        } = recovery;
        assert_eq!((repaired, damaged, live), (1, 0, 2), "bit {bit}");
        let mut found = Vec::new();
        partitions.for_each(|binding| found.push(binding.clone()));
        assert!(found.contains(&long), "bit {bit}");
    }
    let whole = slots.0.lock().unwrap().clone();
    for slot in 0..9 {
        *slots.0.lock().unwrap() = whole.clone();
        slots.flip(slot * SLOT_OCTETS * 8 + 700);
        slots.flip(slot * SLOT_OCTETS * 8 + 701);
        let pools = self::pools();
        let (partitions, recovery) = open_all(&files, &pools).unwrap();
        assert_eq!(recovery.live, 1, "slot {slot}");
        assert!(recovery.damaged > 0);
        let mut partition = partitions.lock(0).unwrap();
        assert_eq!(partition.find(&key(&long), |_| true), None);
        assert_eq!(pools.claim(long.lease), Claim::Taken);
        partition.tick(NOW.after(100), 100, &pools);
        assert_eq!(pools.claim(long.lease), Claim::Claimed);
    }
}
