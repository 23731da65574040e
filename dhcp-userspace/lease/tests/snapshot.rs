//! A restart after a stop in good order gives the same answers as one after a crash.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests say what they expect"
)]

use dhcp_lease::headers::StoreHeader;
use dhcp_lease::journal::{Journal, replay};
use dhcp_lease::recovery::{Opening, Recovery, TableRegions};
use dhcp_lease::snapshot::{Circumstances, Snapshot, take};
use dhcp_lease::table::HEADER_OCTETS;
use dhcp_lease::{
    Binding, ChangeLog, Claim, Durability, Key, Lease, LeaseKind, Offer, Partitions, PoolIndex,
    PoolRange, Pools, Region, Room, State, SubnetId, Timestamp,
};
use dhcp_wire::id::{ClientId, HardwareAddress, Iaid};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

const NOW: Timestamp = Timestamp(1_790_000_000);
const PARTITIONS: u32 = 2;
const SLOTS: usize = 40;
const POOL: u8 = 60;
/// Stands for the table files, which nobody touches here.
const FILES: u64 = 4711;

fn store() -> StoreHeader {
    StoreHeader {
        identity: [1; 16],
        spread_key: 2,
        checksum_key: [3; 16],
        partitions: PARTITIONS,
        slots_per_segment: 32_768,
        epoch: 0,
    }
}

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

/// Table files and a journal without a batch.
struct Files {
    tables: Vec<[Arc<Mutex<Vec<u8>>>; 2]>,
    journal: Vec<u8>,
}

impl Files {
    fn new() -> Self {
        let file = |octets| Arc::new(Mutex::new(vec![0; octets]));
        let mut journal = vec![0; Journal::OCTETS_MIN as usize];
        let resume = replay(&store(), &journal).unwrap().resume();
        let restarted = Journal::restart(&store(), Journal::OCTETS_MIN, resume, 7);
        let (_, write) = restarted.unwrap();
        journal[write.position as usize..][..write.octets.len()].copy_from_slice(&write.octets);
        Self {
            tables: (0..PARTITIONS)
                .map(|_| [file(HEADER_OCTETS), file(SLOTS * 128)])
                .collect(),
            journal,
        }
    }

    fn copy(&self) -> Self {
        let copy = |file: &Arc<Mutex<Vec<u8>>>| Arc::new(Mutex::new(file.lock().unwrap().clone()));
        Self {
            tables: self
                .tables
                .iter()
                .map(|table| table.each_ref().map(copy))
                .collect(),
            journal: self.journal.clone(),
        }
    }

    fn circumstances(&self) -> Circumstances {
        let resume = replay(&store(), &self.journal).unwrap().resume();
        Circumstances {
            files: FILES,
            journal_header: resume.header_number,
            journal: resume.tail,
        }
    }

    fn open(&self, now: Timestamp, snapshot: Option<&[u8]>) -> World {
        let region = |file: &Arc<Mutex<Vec<u8>>>| -> Box<dyn Region> {
            Box::new(Kept {
                octets: file.lock().unwrap().clone(),
                outlives: Arc::clone(file),
            })
        };
        let tables = self.tables.iter().map(|[header, slots]| TableRegions {
            header: region(header),
            segments: vec![region(slots)],
        });
        let opening = Opening {
            durability: Durability::Process,
            room: Room::default(),
            now,
            quarantine_seconds: 100,
        };
        let pools = pools();
        let store = store();
        let snapshot = snapshot.and_then(|octets| Snapshot::read(&store, octets, FILES));
        let opened = Partitions::open_with(
            &store,
            tables.collect(),
            &self.journal,
            &opening,
            &pools,
            snapshot.as_ref(),
            &|_| (),
        );
        let (partitions, recovery) = opened.unwrap();
        World {
            partitions,
            pools,
            recovery,
        }
    }
}

fn address(last: u8) -> Lease {
    Lease::V4(Ipv4Addr::new(10, 0, 0, last))
}

fn pools() -> Pools {
    let range = PoolRange {
        first: address(0),
        count: u64::from(POOL),
    };
    Pools::new(&[range], &[address(3), address(200)])
}

struct World {
    partitions: Partitions,
    pools: Pools,
    recovery: Recovery,
}

fn hardware(client: u8) -> HardwareAddress {
    HardwareAddress::ethernet([2, 0, 0, 0, 0, client])
}

/// Some identities take extension slots.
fn identity(client: u8) -> ClientId {
    let len = if client.is_multiple_of(5) {
        40 + usize::from(client) * 2
    } else {
        0
    };
    ClientId::new(&vec![client; len]).unwrap()
}

fn key(id: &ClientId, client: u8) -> Key<'_> {
    Key {
        kind: LeaseKind::V4,
        client: id.as_slice(),
        hardware: hardware(client),
        iaid: Iaid(0),
    }
}

impl World {
    /// What a client does: grant, renew, release, decline, ask for an offer.
    fn act(&self, client: u8, deed: u8, now: Timestamp, seconds: u32) {
        let id = identity(client);
        let key = key(&id, client);
        let index = self.partitions.index_of(key.spread_octets());
        let mut partition = self.partitions.lock(index).unwrap();
        let slot = partition.find(&key, |_| true);
        let mut binding = Binding {
            client: id.clone(),
            hardware: hardware(client),
            subnet: SubnetId(1),
            ..Binding::default()
        };
        let mut log = ChangeLog::default();
        if let Some(slot) = slot {
            partition.read(slot, &mut binding);
        }
        let holds = slot.is_some() && binding.is_live(now);
        if !holds {
            let Some(lease) = self.pools.claim_next(PoolIndex(0)) else {
                return;
            };
            if deed == 0 {
                let offer = Offer {
                    lease,
                    subnet: SubnetId(1),
                    deadline: now.after(60),
                };
                return partition.hold(&key, offer, &self.pools);
            }
            binding.lease = lease;
        }
        binding.state = match deed {
            1 if holds => State::Released,
            2 => State::Declined,
            _ => State::Leased,
        };
        binding.last_transaction = now;
        binding.expires = now.after(seconds);
        binding.valid_seconds = seconds;
        let lease = binding.lease;
        let written = partition.commit(slot, &binding, &self.pools, &mut log, now);
        if written.is_err() && !holds {
            self.pools.give_back(lease);
        }
    }

    fn tick(&self, now: Timestamp) {
        for index in 0..self.partitions.len() {
            while self
                .partitions
                .lock(index)
                .unwrap()
                .tick(now, 8, &self.pools)
                .more
            {}
        }
    }

    /// Everything that somebody outside can find out, in words.
    fn told(&self, now: Timestamp) -> Vec<String> {
        let mut told = vec![
            format!("{:?}", self.pools.counts(PoolIndex(0))),
            format!("{} free", self.pools.free_count(PoolIndex(0))),
        ];
        let mut bindings = BTreeSet::new();
        self.partitions.for_each(|binding| {
            bindings.insert(format!("{binding:?}"));
        });
        told.extend(bindings);
        for index in 0..self.partitions.len() {
            told.push(format!(
                "{:?}",
                self.partitions.lock(index).unwrap().occupancy()
            ));
        }
        for client in 0..90 {
            let id = identity(client);
            let key = key(&id, client);
            let index = self.partitions.index_of(key.spread_octets());
            let partition = self.partitions.lock(index).unwrap();
            let mut binding = Binding::default();
            let found = partition.find(&key, |_| true);
            if let Some(slot) = found {
                partition.read(slot, &mut binding);
                told.push(format!("{client}: {binding:?}"));
            }
            told.push(format!("{client}: {}", partition.may_decline(&key, now)));
        }
        for last in 0..=255 {
            let claim = self.pools.claim(address(last));
            if claim == Claim::Claimed {
                self.pools.give_back(address(last));
            }
            told.push(format!("{last}: {claim:?}"));
        }
        told
    }
}

fn snapshot_of(world: &World, files: &Files, now: Timestamp) -> Option<Vec<u8>> {
    let circumstances = files.circumstances();
    take(
        &store(),
        &world.partitions,
        &world.pools,
        &circumstances,
        now,
        &|_| (),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The same files opened both ways, looked at then and whenever something ends.
    #[test]
    fn a_clean_restart_gives_the_answers_of_a_crash(
        deeds in proptest::collection::vec((0u8..90, 0u8..6, 0u64..40, 1u32..900), 0..160),
        asleep in 0u64..1500,
        later in proptest::collection::vec((0u8..90, 0u8..6, 0u64..200, 1u32..900), 0..30),
    ) {
        let files = Files::new();
        let mut now = NOW;
        let snapshot = {
            let world = files.open(now, None);
            for (client, deed, seconds, lifetime) in deeds {
                now = Timestamp(now.0 + seconds);
                world.tick(now);
                world.act(client, deed, now, lifetime);
            }
            world.tick(now);
            snapshot_of(&world, &files, now).unwrap()
        };
        now = Timestamp(now.0 + asleep);
        let clean = files.copy().open(now, Some(&snapshot));
        let crashed = files.copy().open(now, None);
        prop_assert!(clean.recovery.is_clean && !crashed.recovery.is_clean);
        prop_assert!(crashed.recovery.latest <= clean.recovery.latest);
        // The place of the search is not the same: the crash has only the lease last heard of.
        for (client, _, seconds, lifetime) in later.into_iter().chain([(0, 0, 2000, 1)]) {
            clean.tick(now);
            crashed.tick(now);
            prop_assert_eq!(clean.told(now), crashed.told(now));
            // Only renewals: what is new depends on the place of the search.
            let id = identity(client);
            let key = key(&id, client);
            let index = clean.partitions.index_of(key.spread_octets());
            let found = clean.partitions.lock(index).unwrap().find(&key, |_| true);
            let mut binding = Binding::default();
            if let Some(slot) = found {
                clean.partitions.lock(index).unwrap().read(slot, &mut binding);
            }
            if binding.is_live(now) {
                clean.act(client, 3, now, lifetime);
                crashed.act(client, 3, now, lifetime);
            }
            now = Timestamp(now.0 + seconds);
        }
    }
}

/// A store with something of everything, and its snapshot.
fn filled() -> (Files, Vec<u8>) {
    let files = Files::new();
    let world = files.open(NOW, None);
    for client in 0..40 {
        world.act(client, client % 6, NOW, 3600);
    }
    let snapshot = snapshot_of(&world, &files, NOW).unwrap();
    drop(world);
    (files, snapshot)
}

#[test]
fn a_snapshot_with_any_octet_changed_is_not_used() {
    let (files, snapshot) = filled();
    assert!(files.copy().open(NOW, Some(&snapshot)).recovery.is_clean);
    let whole = files.copy().open(NOW, None).told(NOW);
    for octet in 0..snapshot.len() {
        // Every octet of the header and every 61st after it.
        if octet > 128 && !octet.is_multiple_of(61) {
            continue;
        }
        let mut changed = snapshot.clone();
        changed[octet] ^= 0x10;
        let world = files.copy().open(NOW, Some(&changed));
        // What lies between two blocks means nothing.
        let is_padding = octet > 128 && world.recovery.is_clean;
        assert!(!is_padding, "octet {octet}");
        assert!(!world.recovery.is_clean, "octet {octet}");
        assert_eq!(world.told(NOW), whole, "octet {octet}");
    }
    for len in [0, 7, 103, snapshot.len() / 2, snapshot.len() - 1] {
        assert!(
            !files
                .copy()
                .open(NOW, Some(&snapshot[..len]))
                .recovery
                .is_clean
        );
    }
}

#[test]
fn a_snapshot_of_other_times_files_and_pools_is_not_used() {
    let (files, snapshot) = filled();
    let before = Timestamp(NOW.0 - 1);
    assert!(!files.copy().open(before, Some(&snapshot)).recovery.is_clean);

    let snapshot_for = |circumstances: &Circumstances, pools: &Pools| {
        let world = files.copy().open(NOW, None);
        take(
            &store(),
            &world.partitions,
            pools,
            circumstances,
            NOW,
            &|_| (),
        )
        .unwrap()
    };
    let right = files.circumstances();
    let mut later_journal = right;
    later_journal.journal_header += 1;
    let mut other_chain = right;
    other_chain.journal.chain.0 ^= 1;
    let mut other_files = right;
    other_files.files += 1;
    for wrong in [later_journal, other_chain, other_files] {
        let snapshot = snapshot_for(&wrong, &pools());
        assert!(
            !files.copy().open(NOW, Some(&snapshot)).recovery.is_clean,
            "{wrong:?}"
        );
    }
    let range = |count| PoolRange {
        first: address(0),
        count,
    };
    for other in [
        Pools::new(&[range(61)], &[address(3), address(200)]),
        Pools::new(&[range(60)], &[address(4), address(200)]),
        Pools::new(&[range(60)], &[address(3)]),
    ] {
        let snapshot = snapshot_for(&right, &other);
        assert!(!files.copy().open(NOW, Some(&snapshot)).recovery.is_clean);
    }
    let snapshot = snapshot_for(&right, &pools());
    assert!(files.copy().open(NOW, Some(&snapshot)).recovery.is_clean);
}

#[test]
fn a_slot_that_changed_behind_a_snapshot_is_never_served() {
    let (files, snapshot) = filled();
    let whole: BTreeSet<String> = files.copy().open(NOW, None).told(NOW).into_iter().collect();
    for flipped in [&[7][..], &[7, 90]] {
        for slot in 0..SLOTS {
            let damaged = files.copy();
            let is_binding = {
                let mut table = damaged.tables[0][1].lock().unwrap();
                for octet in flipped {
                    table[slot * 128 + octet] ^= 1;
                }
                matches!(table[slot * 128 + 16], 4 | 6 | 7)
            };
            let world = damaged.open(NOW, Some(&snapshot));
            assert!(world.recovery.is_clean);
            let before = world.pools.free_count(PoolIndex(0));
            // Nothing is told that is not so, not even before a tick has been there.
            let told = |world: &World| {
                let told = world.told(NOW).into_iter();
                told.filter(|line| line.contains("Binding {"))
                    .collect::<BTreeSet<_>>()
            };
            assert!(told(&world).is_subset(&whole), "slot {slot}");
            let (mut repaired, mut set_apart) = (0, 0);
            for index in 0..world.partitions.len() {
                for _ in 0..4 {
                    let ticked = world
                        .partitions
                        .lock(index)
                        .unwrap()
                        .tick(NOW, 8, &world.pools);
                    repaired += ticked.repaired;
                    set_apart += ticked.damaged;
                }
            }
            assert!(repaired + set_apart <= 1, "slot {slot}");
            assert!(told(&world).is_subset(&whole), "slot {slot}");
            if repaired == 1 {
                assert_eq!(
                    told(&world),
                    told(&files.copy().open(NOW, None)),
                    "slot {slot}"
                );
            }
            // Whose the lease is nobody can tell now, so it is nobody else's.
            assert_eq!(world.pools.free_count(PoolIndex(0)), before, "slot {slot}");
            assert!(!is_binding || repaired + set_apart == 1, "slot {slot}");
            let next = snapshot_of(&world, &damaged, NOW);
            assert_eq!(next.is_none(), set_apart == 1, "slot {slot}");
        }
    }
}
