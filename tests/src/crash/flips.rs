//! Every bit of a table of 1 MiB, flipped: is each found, is nothing wrong ever served, does it always open?
//!
//! First each bit alone, 8,388,608 of them: the slot's checksum must notice. Then all of them through
//! opening: a slot is judged by itself and by its extensions, so one opening tries the same bit of many slots
//! that have nothing to do with each other, and all must be as they were afterwards. Then two bits of a slot,
//! which cannot be mended: its lease must be nobody's and not served, and all others untouched.

use super::random::Random;
use dhcp_lease::format::{Checksum, SLOT_OCTETS, SLOTS_PER_SEGMENT};
use dhcp_lease::table::HEADER_OCTETS;
use dhcp_lease::{
    Binding, ChangeLog, Claim, Durability, Lease, Opening, Partitions, PoolRange, Pools, Recovery,
    Region, Room, State, StoreHeader, SubnetId, TableRegions, Timestamp,
};
use dhcp_wire::id::{ClientId, HardwareAddress};
use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Octets of the table, header region included.
const TABLE_OCTETS: usize = 1 << 20;
const SLOTS: usize = (TABLE_OCTETS - HEADER_OCTETS) / SLOT_OCTETS;
const NOW: Timestamp = Timestamp(1_790_000_000);
const POOL: u64 = 8192;
const FIRST: Lease = Lease::V4(Ipv4Addr::new(10, 0, 0, 0));
/// Slots that are so far apart belong to different bindings, whose slots lie side by side here.
const STRIDE: usize = 8;
/// Bits of a slot.
const BITS: usize = SLOT_OCTETS * 8;

/// What came out.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Bits that were flipped alone, each noticed by a checksum.
    pub noticed: u64,
    /// Bits of slots that were flipped before an opening, each mended.
    pub mended: u64,
    /// Bits of the header region that were flipped before an opening.
    pub header_bits: u64,
    /// Slots with two flipped bits.
    pub doubles: u64,
    /// What went wrong.
    pub violations: Vec<String>,
}

/// A region whose octets can be had after its table is gone.
struct Kept {
    octets: Vec<u8>,
    into: Arc<Mutex<Vec<u8>>>,
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
        *self.into.lock().unwrap() = std::mem::take(&mut self.octets);
    }
}

fn store() -> StoreHeader {
    StoreHeader {
        identity: [7; 16],
        spread_key: 1,
        checksum_key: [9; 16],
        partitions: 1,
        slots_per_segment: SLOTS_PER_SEGMENT,
        epoch: 0,
    }
}

fn pools() -> Pools {
    Pools::new(
        &[PoolRange {
            first: FIRST,
            count: POOL,
        }],
        &[],
    )
}

fn open(header: Box<dyn Region>, slots: Box<dyn Region>, pools: &Pools) -> (Partitions, Recovery) {
    let opening = Opening {
        durability: Durability::Process,
        room: Room {
            offers: 8,
            unsettled: 8,
        },
        now: NOW,
        quarantine_seconds: 3600,
    };
    let tables = vec![TableRegions {
        header,
        segments: vec![slots],
    }];
    Partitions::open(&store(), tables, &[], &opening, pools).unwrap()
}

/// The table: its header region, its slots, and what they say.
struct Table {
    header: Vec<u8>,
    slots: Vec<u8>,
    says: HashMap<Lease, Binding>,
}

fn snapshot(partitions: &Partitions) -> HashMap<Lease, Binding> {
    let mut says = HashMap::new();
    partitions.for_each(|binding| {
        let twice = says.insert(binding.lease, binding.clone());
        assert!(twice.is_none(), "{} twice", binding.lease);
    });
    says
}

/// Bindings of one to four slots, live, released and declined, until nearly all slots are taken.
fn table() -> Table {
    let kept = [Arc::default(), Arc::default()];
    let [header, slots] = [HEADER_OCTETS, SLOTS * SLOT_OCTETS]
        .into_iter()
        .zip(&kept)
        .map(|(octets, into)| {
            Box::new(Kept {
                octets: vec![0; octets],
                into: Arc::clone(into),
            })
        })
        .collect::<Vec<_>>()
        .try_into()
        .unwrap_or_else(|_| unreachable!("two regions"));
    let pools = pools();
    let (partitions, _) = open(header, slots, &pools);
    let mut log = ChangeLog::default();
    for number in 0u32.. {
        let lease = Lease::V4(Ipv4Addr::from_bits(0x0a00_0000 + number));
        let octets = [0, 7, 46, 47, 142, 143, 238, 255][number as usize % 8];
        let client: Vec<u8> = (0..octets)
            .map(|at| (at as u32 * 7 + number * 31) as u8)
            .collect();
        let [a, b, c, d] = number.to_be_bytes();
        let binding = Binding {
            lease,
            state: [
                State::Leased,
                State::Leased,
                State::Released,
                State::Declined,
            ][number as usize / 8 % 4],
            subnet: SubnetId(1),
            client: ClientId::new(&client).unwrap(),
            hardware: HardwareAddress::ethernet([6, 0, a, b, c, d]),
            last_transaction: NOW,
            expires: NOW.after(1000 + number),
            valid_seconds: 1000 + number,
            ..Binding::default()
        };
        let mut partition = partitions.lock(0).unwrap();
        if partition.occupancy().free < 64 {
            break;
        }
        assert_eq!(pools.claim(lease), Claim::Claimed);
        partition
            .commit(None, &binding, &pools, &mut log, NOW)
            .unwrap();
    }
    let says = snapshot(&partitions);
    drop(partitions);
    let [header, slots] = kept.map(|octets: Arc<Mutex<Vec<u8>>>| octets.lock().unwrap().clone());
    Table {
        header,
        slots,
        says,
    }
}

/// Runs it: of every `step`-th bit, on so many threads. `progress` is told how many of how many openings are
/// done.
///
/// # Panics
/// When the table cannot be made.
pub fn run(
    step: usize,
    threads: usize,
    seed: u64,
    progress: &(impl Fn(u64, u64) + Sync),
) -> Outcome {
    let table = table();
    let violations = Mutex::new(Vec::new());
    let noticed = notice_each(&table, &violations);
    let bits: Vec<usize> = (0..BITS).step_by(step).collect();
    let header_bits: Vec<usize> = (0..HEADER_OCTETS * 8).step_by(step).collect();
    let double_rounds = (256 / step as u64).max(1);
    let openings = (bits.len() * STRIDE) as u64;
    let (next, done) = (AtomicU64::new(0), AtomicU64::new(0));
    let (mended, doubles) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let job = next.fetch_add(1, Ordering::Relaxed);
                    if job < openings {
                        let (bit, first) = (bits[job as usize / STRIDE], job as usize % STRIDE);
                        mended.fetch_add(
                            mend_all(&table, bit, first, &violations),
                            Ordering::Relaxed,
                        );
                    } else if job < openings + double_rounds {
                        let count = two_bits(&table, seed ^ job, &violations);
                        doubles.fetch_add(count, Ordering::Relaxed);
                    } else {
                        return;
                    }
                    progress(
                        done.fetch_add(1, Ordering::Relaxed) + 1,
                        openings + double_rounds,
                    );
                }
            });
        }
    });
    header_bits
        .iter()
        .for_each(|bit| flip_header(&table, *bit, &violations));
    Outcome {
        noticed,
        mended: mended.into_inner(),
        header_bits: header_bits.len() as u64,
        doubles: doubles.into_inner(),
        violations: violations.into_inner().unwrap(),
    }
}

fn complain(violations: &Mutex<Vec<String>>, text: String) {
    violations.lock().unwrap().push(text);
}

/// Each bit of each slot, alone.
fn notice_each(table: &Table, violations: &Mutex<Vec<String>>) -> u64 {
    let checksum = Checksum::new(store().checksum_key);
    let (images, _) = table.slots.as_chunks::<SLOT_OCTETS>();
    let mut noticed = 0;
    for (slot, image) in images.iter().enumerate() {
        let mut image = *image;
        for bit in 0..BITS {
            image[bit / 8] ^= 1 << (bit % 8);
            let is_blank = image == [0; SLOT_OCTETS];
            if is_blank || checksum.is_right(&image, 0, slot as u32) {
                complain(violations, format!("slot {slot}, bit {bit}: not noticed"));
            }
            noticed += 1;
            image[bit / 8] ^= 1 << (bit % 8);
        }
    }
    noticed
}

/// The same bit of every eighth slot, then an opening: all is as it was.
fn mend_all(table: &Table, bit: usize, first: usize, violations: &Mutex<Vec<String>>) -> u64 {
    let mut slots = table.slots.clone();
    let places = (first..SLOTS).step_by(STRIDE);
    let flipped = places.clone().count() as u64;
    for slot in places {
        slots[slot * SLOT_OCTETS + bit / 8] ^= 1 << (bit % 8);
    }
    let (partitions, recovery) = open(Box::new(table.header.clone()), Box::new(slots), &pools());
    let is_right = recovery.repaired == flipped
        && recovery.damaged == 0
        && recovery.conflicts.is_empty()
        && snapshot(&partitions) == table.says;
    if !is_right {
        complain(
            violations,
            format!("bit {bit} of every slot {first} + 8 n: {recovery:?}"),
        );
    }
    flipped
}

/// Two bits of one slot cannot be mended.
fn two_bits(table: &Table, seed: u64, violations: &Mutex<Vec<String>>) -> u64 {
    const SLOTS_AT_ONCE: usize = 16;
    let mut random = Random(seed);
    let mut slots = table.slots.clone();
    let mut hit = HashSet::new();
    while hit.len() < SLOTS_AT_ONCE {
        let slot = random.below(SLOTS as u64) as usize;
        if !hit.insert(slot) {
            continue;
        }
        let one = random.below(BITS as u64) as usize;
        let other = (one + 1 + random.below(BITS as u64 - 1) as usize) % BITS;
        for bit in [one, other] {
            slots[slot * SLOT_OCTETS + bit / 8] ^= 1 << (bit % 8);
        }
    }
    let pools = pools();
    let (partitions, recovery) = open(Box::new(table.header.clone()), Box::new(slots), &pools);
    let says = snapshot(&partitions);
    let is_true = says
        .iter()
        .all(|(lease, binding)| table.says.get(lease) == Some(binding));
    let lost = table.says.len() - says.len();
    if !is_true || lost > SLOTS_AT_ONCE || recovery.damaged < lost as u64 {
        complain(
            violations,
            format!("two bits, seed {seed}: {lost} lost, {recovery:?}"),
        );
    }
    SLOTS_AT_ONCE as u64
}

/// A bit of the header region: copies of the header, and the redo area.
fn flip_header(table: &Table, bit: usize, violations: &Mutex<Vec<String>>) {
    // A few bindings that end with a whole one are enough.
    const FEW: usize = 20;
    let slots = table.slots[..FEW * SLOT_OCTETS].to_vec();
    let before = open(
        Box::new(table.header.clone()),
        Box::new(slots.clone()),
        &pools(),
    );
    let mut header = table.header.clone();
    header[bit / 8] ^= 1 << (bit % 8);
    let (partitions, recovery) = open(Box::new(header), Box::new(slots), &pools());
    let is_right = snapshot(&partitions) == snapshot(&before.0)
        && recovery.damaged == before.1.damaged
        && recovery.redone == 0;
    if !is_right {
        complain(
            violations,
            format!("bit {bit} of the header region: {recovery:?}"),
        );
    }
}
