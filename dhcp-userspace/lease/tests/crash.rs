//! Whatever moment the process dies or the power fails at: every durable binding is there, and no lease
//! has two holders. Random histories against snapshots of the running store.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests say what they expect"
)]

use dhcp_lease::context::ItemKind;
use dhcp_lease::format::{SLOT_OCTETS, SLOTS_PER_SEGMENT};
use dhcp_lease::journal::Cursor;
use dhcp_lease::table::HEADER_OCTETS;
use dhcp_lease::{
    Binding, ChangeLog, Claim, Context, Durability, Journal, Key, Lease, LeaseKind, Offer, Opening,
    Partitions, PoolIndex, PoolRange, Pools, Recovery, Region, Room, State, StoreHeader, SubnetId,
    TableRegions, Timestamp,
};
use dhcp_wire::id::{ClientId, HardwareAddress, Iaid};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

const START: Timestamp = Timestamp(1_790_000_000);
const SLOTS: usize = 24;
const POOL: u64 = 20;

/// SplitMix64: a history is a function of its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// One store into a region: the octets before and after.
#[derive(Clone)]
struct Stored {
    region: usize,
    before: Vec<u8>,
    after: Vec<u8>,
}

#[derive(Default)]
struct Tape {
    /// In the order of the calls of `octets_mut`; what was stored is known at the region's next call.
    stores: Vec<Option<Stored>>,
    /// Per region its octets as last noted, and which store is still to be noted.
    regions: BTreeMap<usize, (Vec<u8>, Option<usize>)>,
}

/// Memory that writes down every store into it.
struct Recorded {
    region: usize,
    octets: Vec<u8>,
    tape: Arc<Mutex<Tape>>,
}

impl Recorded {
    fn note(&self) {
        let mut tape = self.tape.lock().unwrap();
        let Tape { stores, regions } = &mut *tape;
        let (noted, pending) = regions.get_mut(&self.region).unwrap();
        if let Some(pending) = pending.take() {
            let after = self.octets.clone();
            let before = std::mem::replace(noted, after.clone());
            stores[pending] = Some(Stored {
                region: self.region,
                before,
                after,
            });
        }
    }
}

impl Region for Recorded {
    fn octets(&self) -> &[u8] {
        self.note();
        &self.octets
    }

    fn octets_mut(&mut self) -> &mut [u8] {
        self.note();
        let mut tape = self.tape.lock().unwrap();
        let pending = tape.stores.len();
        tape.stores.push(None);
        tape.regions.get_mut(&self.region).unwrap().1 = Some(pending);
        &mut self.octets
    }
}

fn header(partitions: usize) -> StoreHeader {
    StoreHeader {
        identity: [7; 16],
        spread_key: 1,
        checksum_key: [9; 16],
        partitions: partitions as u32,
        slots_per_segment: SLOTS_PER_SEGMENT,
        epoch: 0,
    }
}

fn pools() -> Pools {
    let first = Lease::V4(Ipv4Addr::new(10, 0, 0, 0));
    Pools::new(
        &[PoolRange { first, count: POOL }],
        &[Lease::V4(Ipv4Addr::new(10, 0, 0, 3))],
    )
}

/// The regions of the tables: header, slots, header, slots.
type Disk = Vec<Vec<u8>>;

fn blank(partitions: usize) -> Disk {
    let table = || [vec![0; HEADER_OCTETS], vec![0; SLOTS * SLOT_OCTETS]];
    (0..partitions).flat_map(|_| table()).collect()
}

/// The tables as last noted.
fn noted(tape: &Mutex<Tape>) -> Disk {
    tape.lock()
        .unwrap()
        .regions
        .values()
        .map(|(octets, _)| octets.clone())
        .collect()
}

fn tables(disk: &Disk, tape: &Arc<Mutex<Tape>>) -> Vec<TableRegions> {
    let region = |region: usize| {
        tape.lock()
            .unwrap()
            .regions
            .insert(region, (disk[region].clone(), None));
        let octets = disk[region].clone();
        Box::new(Recorded {
            region,
            octets,
            tape: Arc::clone(tape),
        }) as Box<dyn Region>
    };
    (0..disk.len() / 2)
        .map(|table| TableRegions {
            header: region(2 * table),
            segments: vec![region(2 * table + 1)],
        })
        .collect()
}

fn open(
    disk: &Disk,
    journal: &[u8],
    durability: Durability,
    now: Timestamp,
    pools: &Pools,
    tape: &Arc<Mutex<Tape>>,
) -> (Partitions, Recovery) {
    let room = Room {
        offers: 8,
        unsettled: 64,
    };
    let opening = Opening {
        durability,
        room,
        now,
        quarantine_seconds: 3600,
    };
    Partitions::open(
        &header(disk.len() / 2),
        tables(disk, tape),
        journal,
        &opening,
        pools,
    )
    .unwrap()
}

/// Everything that the store has.
fn snapshot(partitions: &Partitions) -> Vec<Binding> {
    let mut bindings = Vec::new();
    partitions.for_each(|binding| bindings.push(binding.clone()));
    bindings
}

/// What of it counts at `now`, in order.
fn at(now: Timestamp, bindings: &[Binding]) -> BTreeSet<String> {
    let mut holders = HashSet::new();
    let counts = bindings
        .iter()
        .filter(|b| b.state != State::Declined || b.expires > now);
    counts
        .map(|binding| {
            let holds = binding.state == State::Declined || binding.is_live(now);
            assert!(
                !holds || holders.insert(binding.lease),
                "two holders of {}",
                binding.lease
            );
            format!("{binding:?}")
        })
        .collect()
}

fn client(number: u64) -> (ClientId, HardwareAddress) {
    // Inline, one, two and three slots.
    let len = [0, 7, 46, 47, 142, 143, 238, 255][number as usize % 8];
    let octets: Vec<u8> = (0..len)
        .map(|at| (at as u64 * 7 + number * 31) as u8)
        .collect();
    let mac = [2, 0, 0, 0, 0, number as u8];
    (
        ClientId::new(&octets).unwrap(),
        HardwareAddress::ethernet(mac),
    )
}

/// Often nothing, sometimes more than there is room for.
fn context(random: &mut Random) -> Context {
    let mut context = Context::EMPTY;
    for _ in 0..random.below(4) {
        let len = [0, 4, 30, 120, 254, 255, 400][random.below(7) as usize];
        let data: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
        context.insert(ItemKind(1 + random.below(12) as u8), &data);
    }
    context
}

/// One random event, as an engine would carry it out.
fn step(
    random: &mut Random,
    partitions: &Partitions,
    pools: &Pools,
    log: &mut ChangeLog,
    now: &mut Timestamp,
) {
    let (id, hardware) = client(random.below(16));
    let key = Key {
        kind: LeaseKind::V4,
        client: id.as_slice(),
        hardware,
        iaid: Iaid(0),
    };
    let index = partitions.index_of(key.spread_octets());
    let mut partition = partitions.lock(index).unwrap();
    let slot = partition.find(&key, |_| true);
    let mut binding = Binding::default();
    if let Some(slot) = slot {
        partition.read(slot, &mut binding);
    }
    let live = slot.is_some() && binding.is_live(*now);
    match random.below(10) {
        0..3 => {
            let former = slot.filter(|_| !live).map(|_| binding.lease);
            let lease = match former {
                Some(former) if partition.claim(&key, former, pools, *now) == Claim::Claimed => {
                    Some(former)
                }
                _ if live => None,
                _ => pools.claim_next(PoolIndex(0)),
            };
            if let Some(lease) = lease {
                let offer = Offer {
                    lease,
                    subnet: SubnetId(1),
                    deadline: now.after(10),
                };
                partition.hold(&key, offer, pools);
            }
        }
        3..7 => {
            let offered = partition
                .offer(&key, |_| true, *now)
                .map(|offer| offer.lease);
            let Some(lease) = offered.or(live.then_some(binding.lease)) else {
                return;
            };
            let expires = now.after([5, 60, 600][random.below(3) as usize]);
            let new = Binding {
                lease,
                state: State::Leased,
                subnet: SubnetId(1),
                client: id.clone(),
                hardware,
                iaid: Iaid(0),
                last_transaction: *now,
                expires,
                valid_seconds: random.next() as u32,
                preferred_seconds: 0,
                context: context(random),
            };
            match partition.commit(slot, &new, pools, log, *now) {
                Ok(_) => {}
                Err(_) if live => {}
                Err(_) => assert!(partition.withdraw(&key, |_| true, pools)),
            }
        }
        7 if live => {
            binding.state = State::Released;
            binding.last_transaction = *now;
            partition.commit(slot, &binding, pools, log, *now).unwrap();
        }
        8 if live => {
            binding.state = State::Declined;
            binding.expires = now.after(30);
            partition.commit(slot, &binding, pools, log, *now).unwrap();
        }
        _ => {
            now.0 += random.below(6);
            drop(partition);
            for index in 0..partitions.len() {
                partitions.lock(index).unwrap().tick(*now, 1000, pools);
            }
        }
    }
}

/// Every bit that is set belongs to somebody.
fn assert_bits_add_up(partitions: &Partitions, pools: &Pools) {
    let mut held = 0;
    for index in 0..partitions.len() {
        let occupancy = partitions.lock(index).unwrap().occupancy();
        held += occupancy.live + occupancy.declined + occupancy.offers + occupancy.leaving;
        assert_eq!(occupancy.damaged, 0);
    }
    assert_eq!(pools.counts(PoolIndex(0)).taken, u64::from(held));
}

fn assert_recovered(recovery: &Recovery, partitions: &Partitions, pools: &Pools) {
    assert_eq!(
        (recovery.damaged, recovery.conflicts.len()),
        (0, 0),
        "{recovery:?}"
    );
    assert_bits_add_up(partitions, pools);
}

/// `before` with some of what `after` changed, in steps of `grain` octets.
fn torn(random: &mut Random, before: &[u8], after: &[u8], grain: usize) -> Vec<u8> {
    let mut torn = before.to_vec();
    for (old, new) in torn.chunks_mut(grain).zip(after.chunks(grain)) {
        if old != new && random.below(2) == 0 {
            old.copy_from_slice(new);
        }
    }
    torn
}

#[test]
fn a_process_killed_in_the_middle_of_any_store_loses_nothing() {
    let mut crashes = 0;
    let mut longest = 0;
    for seed in 0..12 {
        let mut random = Random(seed);
        let tape = Arc::new(Mutex::new(Tape::default()));
        let running = pools();
        let mut now = START;
        let (partitions, _) = open(&blank(1), &[], Durability::Process, now, &running, &tape);
        let mut log = ChangeLog::default();
        let mut disk = noted(&tape);
        let mut done = tape.lock().unwrap().stores.len();
        for _ in 0..250 {
            let before = snapshot(&partitions);
            step(&mut random, &partitions, &running, &mut log, &mut now);
            assert!(log.is_empty());
            assert_bits_add_up(&partitions, &running);
            let after = snapshot(&partitions);
            let lengths = after.iter().map(|b| b.context.as_octets().len());
            longest = lengths.max().unwrap_or(0).max(longest);
            let after = at(now, &after);
            let before = at(now, &before);
            let stores: Vec<Stored> = {
                let tape = tape.lock().unwrap();
                tape.stores[done..].iter().map_while(Clone::clone).collect()
            };
            done += stores.len();
            for store in stores {
                for _ in 0..2 {
                    let mut cut = disk.clone();
                    cut[store.region] = torn(&mut random, &store.before, &store.after, 8);
                    let scratch = Arc::new(Mutex::new(Tape::default()));
                    let fresh = pools();
                    let (recovered, recovery) =
                        open(&cut, &[], Durability::Process, now, &fresh, &scratch);
                    assert_recovered(&recovery, &recovered, &fresh);
                    let found = at(now, &snapshot(&recovered));
                    assert!(
                        found == before || found == after,
                        "seed {seed}: {found:#?}\nis neither {before:#?}\nnor {after:#?}"
                    );
                    crashes += 1;
                }
                disk[store.region] = store.after;
            }
        }
    }
    assert!(crashes > 3_000, "{crashes}");
    assert!(longest > 400, "contexts of many slots: {longest} octets");
}

#[test]
fn a_power_cut_at_any_moment_loses_nothing_durable() {
    let mut crashes = 0;
    for seed in 100..130 {
        let mut random = Random(seed);
        let tape = Arc::new(Mutex::new(Tape::default()));
        let running = pools();
        let mut now = START;
        let mut journal_file = vec![0u8; Journal::OCTETS_MIN as usize];
        let octets = journal_file.len() as u64;
        let (partitions, recovery) = open(
            &blank(2),
            &journal_file,
            Durability::Power,
            now,
            &running,
            &tape,
        );
        let (mut journal, write) =
            Journal::restart(&header(2), octets, recovery.resume, seed).unwrap();
        put(&mut journal_file, write.position, &write.octets);
        let mut synced = noted(&tape);
        let mut durable = snapshot(&partitions);
        let mut settled: Option<Cursor> = None;
        let mut flying: Option<(ChangeLog, Vec<Binding>, u64, Cursor)> = None;
        let mut spare = ChangeLog::with_capacity(64);
        for _ in 0..80 {
            let mut filling = std::mem::take(&mut spare);
            for _ in 0..random.below(12) {
                step(&mut random, &partitions, &running, &mut filling, &mut now);
                assert_bits_add_up(&partitions, &running);
            }
            let filled = snapshot(&partitions);
            // The batch in flight becomes durable, or the power fails while it is written.
            if let Some((mut log, expected, position, after)) = flying.take() {
                for _ in 0..4 {
                    let mut cut_journal = journal_file.clone();
                    let mut whole = cut_journal.clone();
                    put(&mut whole, position, log.octets());
                    cut_journal = torn(&mut random, &cut_journal, &whole, 512);
                    let grains = [8, 64, 512];
                    let grain = grains[random.below(3) as usize];
                    let running_disk = noted(&tape);
                    let pages = synced.iter().zip(&running_disk);
                    let cut: Disk = pages
                        .map(|(old, new)| torn(&mut random, old, new, grain))
                        .collect();
                    let fresh = pools();
                    let scratch = Arc::new(Mutex::new(Tape::default()));
                    let (recovered, recovery) =
                        open(&cut, &cut_journal, Durability::Power, now, &fresh, &scratch);
                    assert_recovered(&recovery, &recovered, &fresh);
                    let found = at(now, &snapshot(&recovered));
                    // All octets of the batch may have reached the disk before the power failed, or all but one
                    // bit.
                    let is_mended = recovery.journal_damage.mended > 0;
                    let counts = if cut_journal == whole || is_mended {
                        &expected
                    } else {
                        &durable
                    };
                    assert_eq!(found, at(now, counts), "seed {seed}, {recovery:?}");
                    crashes += 1;
                }
                put(&mut journal_file, position, log.octets());
                durable = expected;
                partitions.settle(&mut log, &running);
                assert_bits_add_up(&partitions, &running);
                settled = Some(after);
                spare = log;
            }
            if filling.is_empty() {
                spare = filling;
                durable = filled;
                continue;
            }
            if journal.is_checkpoint_due()
                && let Some(to) = settled
            {
                // Reading has the last stores noted.
                snapshot(&partitions);
                synced = noted(&tape);
                let write = journal.checkpoint(to);
                put(&mut journal_file, write.position, &write.octets);
                journal.advanced(to);
            }
            let placed = journal.append(&mut filling).unwrap();
            flying = Some((filling, filled, placed.position, placed.after));
            if spare.remaining() == 0 {
                spare = ChangeLog::with_capacity(64);
            }
        }
    }
    assert!(crashes > 2_000, "{crashes}");
}

fn put(file: &mut [u8], position: u64, octets: &[u8]) {
    file[position as usize..][..octets.len()].copy_from_slice(octets);
}
