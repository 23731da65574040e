//! Octets off a disk that lies. Checksums are keyed, so no fuzzer would ever get past one: what looks like
//! a header, a batch or a slot gets a right checksum first, made here after docs/lease-format.md and not by
//! the code under test.

use dhcp_lease::clock::ClockRecord;
use dhcp_lease::format::{Image, SLOT_OCTETS, SLOTS_PER_SEGMENT};
use dhcp_lease::headers::{COPY_DISTANCE, HEADER_COPY_OCTETS};
use dhcp_lease::journal::{self, ALIGNMENT, BATCH_HEADER_OCTETS, DATA_OFFSET, RECORD_OCTETS};
use dhcp_lease::reader::Reader;
use dhcp_lease::store::blank_table;
use dhcp_lease::{
    Binding, ChangeLog, Durability, Journal, Lease, Opening, Partitions, PoolRange, Pools,
    Recovery, Room, State, StoreHeader, SubnetId, Timestamp,
};
use dhcp_wire::id::{ClientId, HardwareAddress};
use siphasher::sip::SipHasher13;
use std::collections::BTreeSet;
use std::hash::Hasher;
use std::net::Ipv4Addr;

const NOW: Timestamp = Timestamp(1_800_000_000);
const KEY: [u8; 16] = [0x77; 16];
const PARTITIONS: u32 = 2;
const SLOTS: usize = 32;
/// Octets of a copy of the clock record.
const CLOCK_COPY_OCTETS: usize = 256;

const STORE: StoreHeader = StoreHeader {
    identity: [0x5a; 16],
    spread_key: 0x5a5a,
    checksum_key: KEY,
    partitions: PARTITIONS,
    slots_per_segment: SLOTS_PER_SEGMENT,
    epoch: 0,
};

fn hasher() -> SipHasher13 {
    SipHasher13::new_with_key(&KEY)
}

fn pools() -> Pools {
    let first = Lease::V4(Ipv4Addr::new(10, 0, 0, 0));
    Pools::new(&[PoolRange { first, count: 64 }], &[])
}

/// The checksum of a slot: all but the checksum itself, then the place.
fn sign_slot(image: &mut Image, partition: u32, slot: u32) {
    let mut hasher = hasher();
    hasher.write(&image[8..]);
    hasher.write(&(u64::from(partition) << 32 | u64::from(slot)).to_le_bytes());
    image[..8].copy_from_slice(&hasher.finish().to_le_bytes());
}

/// A store's file with any contents is a store or refused with a reason.
pub(super) fn header(octets: &[u8]) {
    if let Ok(header) = StoreHeader::read(octets) {
        assert!(header.partitions.is_power_of_two());
        assert_eq!(StoreHeader::read(&header.octets()), Ok(header));
    }
    let mut signed = octets.to_vec();
    for at in [0, COPY_DISTANCE] {
        if let Some(copy) = signed.get_mut(at..at + HEADER_COPY_OCTETS) {
            let mut hasher = SipHasher13::new_with_key(&[0; 16]);
            hasher.write(&copy[8..]);
            copy[..8].copy_from_slice(&hasher.finish().to_le_bytes());
        }
    }
    if let Ok(header) = StoreHeader::read(&signed) {
        assert!(header.slots_per_segment.is_power_of_two());
    }
}

pub(super) fn header_seeds() -> Vec<Vec<u8>> {
    vec![STORE.octets().to_vec()]
}

/// A clock file with any contents is a record or refused with a reason, and a record reads as it was written.
pub(super) fn clock(octets: &[u8]) {
    let mut signed = octets.to_vec();
    for at in [0, COPY_DISTANCE] {
        if let Some(copy) = signed.get_mut(at..at + CLOCK_COPY_OCTETS) {
            copy[24..40].copy_from_slice(&STORE.identity);
            let mut hasher = SipHasher13::new_with_key(&STORE.identity);
            hasher.write(&copy[8..]);
            copy[..8].copy_from_slice(&hasher.finish().to_le_bytes());
        }
    }
    for octets in [octets, &signed] {
        if let Ok(record) = ClockRecord::read(&STORE.identity, octets) {
            let written = record.octets(&STORE.identity);
            assert_eq!(ClockRecord::read(&STORE.identity, &written), Ok(record));
        }
    }
}

pub(super) fn clock_seeds() -> Vec<Vec<u8>> {
    let seed = ClockRecord::unknown(1).octets(&STORE.identity);
    assert!(ClockRecord::read(&STORE.identity, &seed).is_ok());
    vec![seed.to_vec(), seed.repeat(2)]
}

/// Any octets as a journal: what counts is whole, and the store opens, twice with the same result.
pub(super) fn journal(octets: &[u8]) {
    let mut file = octets.to_vec();
    file.resize(file.len().next_multiple_of(ALIGNMENT), 0);
    let raw = file.clone();
    seal_headers(&mut file);
    seal_batches(&mut file);
    for file in [raw, file] {
        let _ = Reader::new(&STORE, &file);
        let tables = (0..PARTITIONS).map(|_| blank_table(SLOTS)).collect();
        if let Ok((partitions, recovery)) =
            Partitions::open(&STORE, tables, &file, &opening(), &pools())
        {
            sound(&partitions, &recovery);
            let octets = file.len() as u64;
            let _ = Journal::restart(&STORE, octets, recovery.resume, 1);
        }
    }
}

fn seal_headers(file: &mut [u8]) {
    for at in [0, COPY_DISTANCE] {
        let Some(copy) = file.get_mut(at..at + HEADER_COPY_OCTETS) else {
            return;
        };
        copy[24..40].copy_from_slice(&STORE.identity);
        let mut hasher = hasher();
        hasher.write(&copy[8..]);
        copy[..8].copy_from_slice(&hasher.finish().to_le_bytes());
    }
}

/// Wherever there is the magic number of a batch, its images and it get right checksums. Whether it
/// follows on the one before is left as it is: the fuzzer sees both.
fn seal_batches(file: &mut [u8]) {
    let mut previous: Option<u64> = None;
    for at in (DATA_OFFSET as usize..file.len()).step_by(ALIGNMENT) {
        let Some(batch) = file.get_mut(at..) else {
            return;
        };
        if batch.len() < BATCH_HEADER_OCTETS || batch[8..12] != *b"xdJB" {
            continue;
        }
        batch[16..32].copy_from_slice(&STORE.identity);
        if let (Some(previous), 0) = (previous, batch[56] & 1) {
            batch[40..48].copy_from_slice(&previous.to_le_bytes());
        }
        let count = u32::from_le_bytes([batch[52], batch[53], batch[54], batch[55]]);
        let mut hasher = hasher();
        hasher.write(&batch[8..BATCH_HEADER_OCTETS]);
        let (_, records) = batch.split_at_mut(BATCH_HEADER_OCTETS);
        for record in records.chunks_exact_mut(RECORD_OCTETS).take(count as usize) {
            let (place, image) = record.split_at_mut(8);
            let number = |octets: &[u8]| u32::from_le_bytes(octets.try_into().unwrap());
            let (partition, slot) = (number(&place[..4]), number(&place[4..]));
            sign_slot(image.try_into().unwrap(), partition, slot);
            hasher.write(&(u64::from(partition) << 32 | u64::from(slot)).to_le_bytes());
            hasher.write(&image[..8]);
        }
        let checksum = hasher.finish();
        batch[..8].copy_from_slice(&checksum.to_le_bytes());
        previous = Some(checksum);
    }
}

/// Any octets as slots: the store opens, serves nothing that it cannot trust, and opens again the same.
pub(super) fn table(octets: &[u8]) {
    let tables = || {
        let mut tables: Vec<_> = (0..PARTITIONS).map(|_| blank_table(SLOTS)).collect();
        for (number, slot) in octets.chunks(SLOT_OCTETS).enumerate().take(2 * SLOTS) {
            let (partition, place) = (number % 2, number / 2);
            let mut image: Image = [0; SLOT_OCTETS];
            image[..slot.len()].copy_from_slice(slot);
            // By one bit of the input, so that the fuzzer chooses.
            if image[0] & 1 == 0 && image[8..] != [0; SLOT_OCTETS - 8] {
                sign_slot(&mut image, partition as u32, place as u32);
            }
            let segment = tables[partition].segments[0].octets_mut();
            segment[place * SLOT_OCTETS..][..SLOT_OCTETS].copy_from_slice(&image);
        }
        tables
    };
    let open = || Partitions::open(&STORE, tables(), &[], &opening(), &pools());
    let (Ok((one, recovery)), Ok((other, again))) = (open(), open()) else {
        panic!("damage to slots is never an error");
    };
    assert_eq!(recovery, again);
    assert_eq!(sound(&one, &recovery), sound(&other, &again));
}

/// Nothing is held twice, and what is counted is there. What is held.
fn sound(partitions: &Partitions, recovery: &Recovery) -> BTreeSet<Lease> {
    let mut held = BTreeSet::new();
    // It is not earlier than when somebody was answered.
    let mut now = NOW;
    partitions.for_each(|binding| now = now.max(binding.last_transaction));
    partitions.for_each(|binding| {
        let holds = match binding.state {
            State::Leased => binding.expires.after(2) > now,
            State::Declined => binding.expires > now,
            State::Released => false,
        };
        if holds {
            assert!(held.insert(binding.lease), "{}: two holders", binding.lease);
        }
    });
    assert_eq!(held.len() as u64, recovery.live + recovery.declined);
    held
}

fn opening() -> Opening {
    Opening {
        durability: Durability::Power,
        room: Room::default(),
        now: NOW,
        quarantine_seconds: 3600,
    }
}

fn binding(number: u8, client: &[u8]) -> Binding {
    Binding {
        lease: Lease::V4(Ipv4Addr::new(10, 0, 0, number)),
        state: State::Leased,
        subnet: SubnetId(1),
        client: ClientId::new(client).unwrap_or_default(),
        hardware: HardwareAddress::ethernet([2, 0, 0, 0, 0, number]),
        last_transaction: NOW,
        expires: NOW.after(3600),
        valid_seconds: 3600,
        ..Binding::default()
    }
}

/// A journal of three batches, with identities of all lengths.
pub(super) fn journal_seeds() -> Vec<Vec<u8>> {
    let tables = (0..PARTITIONS).map(|_| blank_table(SLOTS)).collect();
    let pools = pools();
    let opened = Partitions::open(&STORE, tables, &[], &opening(), &pools);
    let (partitions, recovery) = opened.expect("a blank store opens");
    let octets = Journal::OCTETS_MIN;
    let (mut plan, write) =
        Journal::restart(&STORE, octets, recovery.resume, 7).expect("it is large enough");
    let mut file = vec![0; octets as usize];
    file[write.position as usize..][..write.octets.len()].copy_from_slice(&write.octets);
    let mut end = 0;
    for batch in 0..3u8 {
        let mut log = ChangeLog::with_capacity(16);
        for number in 0..3 {
            let client = vec![number; usize::from(batch) * 100];
            let binding = binding(batch * 3 + number, &client);
            let mut partition = partitions
                .lock(usize::from(number % 2))
                .expect("it is there");
            let committed = partition.commit(None, &binding, &pools, &mut log, NOW);
            committed.expect("there is room");
        }
        let placed = plan.append(&mut log).expect("there is room");
        let at = placed.position as usize;
        file[at..][..log.octets().len()].copy_from_slice(log.octets());
        end = at + log.octets().len();
        partitions.settle(&mut log, &pools);
    }
    file.truncate(end);
    let replayed = journal::replay(&STORE, &file).map(|replay| replay.count());
    assert_eq!(replayed, Ok(3), "the seed is a journal");
    vec![file]
}

/// Slots of a table with leases, long identities and blanks.
pub(super) fn table_seeds() -> Vec<Vec<u8>> {
    let [journal] = journal_seeds().try_into().unwrap_or_default();
    let mut octets = vec![0; 2 * 12 * SLOT_OCTETS];
    let replay = journal::replay(&STORE, &journal).expect("it is a journal");
    for batch in replay {
        for (partition, slot, image) in batch.records() {
            let at = (slot as usize * 2 + partition as usize) * SLOT_OCTETS;
            if let Some(room) = octets.get_mut(at..at + SLOT_OCTETS) {
                room.copy_from_slice(image);
                room[0] &= !1; // sign it
            }
        }
    }
    vec![octets]
}
