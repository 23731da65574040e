//! All partitions: which client goes where, and what concerns the store as a whole.

use crate::allocator::{Past, Pools};
use crate::binding::{Binding, Lease, Timestamp};
use crate::counts::Counters;
use crate::format::{SLOT_OCTETS, SLOTS_PER_SEGMENT};
use crate::headers::StoreHeader;
use crate::journal::{Batch, ChangeLog};
use crate::partition::{Partition, Room, SlotNumber};
use crate::recovery::{Opening, TableRegions};
use crate::table::{HEADER_OCTETS, Region, SLOTS_PER_PAGE};
use parking_lot::{Mutex, MutexGuard};
use std::sync::{Arc, OnceLock};

/// What a lease survives once its reply has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Durability {
    /// A power cut: replies wait until the change log is in the journal.
    #[default]
    Power,
    /// The death of the process: the table is memory that outlives it.
    Process,
}

/// All partitions. A client's partition follows from its identifier and never changes.
#[derive(Debug, Default)]
pub struct Partitions {
    partitions: Vec<Mutex<Partition>>,
    spread_key: u64,
    durability: Durability,
    /// How many leases lines, classes and subnets hold, once somebody wants to know.
    counters: OnceLock<Arc<Counters>>,
}

impl Partitions {
    /// Empty partitions in plain memory, for tests and simulation. The keys are known to everybody.
    pub fn in_memory(
        partitions: usize,
        capacity_per_partition: usize,
        durability: Durability,
    ) -> Self {
        let store = StoreHeader {
            identity: [0x5a; 16],
            spread_key: 0x5a5a,
            checksum_key: [0x5a; 16],
            partitions: partitions as u32,
            slots_per_segment: SLOTS_PER_SEGMENT,
            epoch: 0,
        };
        let tables = (0..partitions)
            .map(|_| blank_table(capacity_per_partition))
            .collect();
        let opening = Opening {
            durability,
            room: Room::default(),
            now: Timestamp(0),
            quarantine_seconds: 0,
        };
        let opened = Self::open(&store, tables, &[], &opening, &Pools::default());
        opened.map(|(partitions, _)| partitions).unwrap_or_default()
    }

    pub(crate) fn of(partitions: Vec<Partition>, spread_key: u64, durability: Durability) -> Self {
        let partitions = partitions.into_iter().map(Mutex::new).collect();
        Self {
            partitions,
            spread_key,
            durability,
            counters: OnceLock::new(),
        }
    }

    /// What a lease survives once its reply has left.
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.partitions.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// The secret by which clients are spread over partitions and workers.
    pub fn spread_key(&self) -> u64 {
        self.spread_key
    }

    /// The number of the partition of a client: the same hash that gave it its worker.
    pub fn index_of(&self, spread_octets: &[u8]) -> usize {
        let hash = dhcp_wire::id::spread(self.spread_key, spread_octets) as usize;
        hash % self.partitions.len().max(1)
    }

    /// Locks one. A thread locks one at a time.
    pub fn lock(&self, index: usize) -> Option<MutexGuard<'_, Partition>> {
        self.partitions.get(index).map(Mutex::lock)
    }

    /// Makes a change log that the journal has count in the tables, gives back what it let go, and
    /// empties it. To be called once for every log that is durable, in any order.
    pub fn settle(&self, log: &mut ChangeLog, pools: &Pools) {
        // Records of one partition lie together, for a worker serves a batch partition by partition:
        // so each is locked about once.
        let mut held: Option<(u32, MutexGuard<'_, Partition>)> = None;
        for (number, slot, image) in log.records() {
            if let Some(partition) = self.switch(&mut held, number) {
                partition.settle(slot, image);
            }
        }
        for &(number, lease) in log.freed_leases() {
            if let Some(partition) = self.switch(&mut held, number) {
                partition.leave(lease, pools);
            }
        }
        for &(number, slot) in log.freed_slots() {
            if let Some(partition) = self.switch(&mut held, number) {
                partition.shelve_free(slot);
            }
        }
        drop(held);
        if let Some(counters) = self.counters.get() {
            log.freed_tags()
                .iter()
                .for_each(|&tag| counters.remove(tag));
        }
        log.clear();
    }

    /// After a table could not be synced: makes sure that what a durable batch says is in the tables, and
    /// that the next sync writes it. What the failed sync may have dropped, or the system may have read
    /// back from the disk in its place, is written anew from the journal; what is newer stays.
    pub fn renew(&self, batch: &Batch<'_>) {
        let mut held: Option<(u32, MutexGuard<'_, Partition>)> = None;
        for (number, slot, image) in batch.records() {
            if let Some(partition) = self.switch(&mut held, number) {
                partition.table.renew(slot, image);
            }
        }
    }

    /// After a table could not be synced, and there is no journal to renew it from: stores some pages over
    /// themselves, so that the next sync writes them. From which slot to go on; `None`: all are done.
    pub fn touch_up(&self, partition: usize, first: u32, pages: u32) -> Option<u32> {
        let mut partition = self.lock(partition)?;
        if first == 0 {
            partition.table.touch_up_header();
        }
        let slots = partition.table.slots();
        let mut slot = first;
        for _ in 0..pages {
            if slot >= slots {
                return None;
            }
            partition.table.touch_up(slot);
            slot += SLOTS_PER_PAGE;
        }
        Some(slot)
    }

    /// Holds the lock of partition `number`, and of no other.
    fn switch<'a, 'b>(
        &'a self,
        held: &'b mut Option<(u32, MutexGuard<'a, Partition>)>,
        number: u32,
    ) -> Option<&'b mut Partition> {
        if held.as_ref().is_none_or(|(other, _)| *other != number) {
            *held = None;
            *held = self
                .lock(number as usize)
                .map(|partition| (number, partition));
        }
        held.as_mut().map(|(_, partition)| &mut **partition)
    }

    /// After a new configuration: sets the bits of everything that is held in pools which
    /// [`Pools::succeed`] left closed, and opens them. Call it when no thread works with the earlier
    /// pools any longer.
    pub fn mark_held(&self, pools: &Pools) {
        if !pools.has_closed() {
            return;
        }
        for partition in &self.partitions {
            partition.lock().mark_held(pools);
        }
        self.tell(Past::of_closed(pools));
        pools.open_all();
    }

    /// Tells pools whose bits are set what else the records say.
    pub(crate) fn tell(&self, mut past: Past<'_>) {
        for partition in &self.partitions {
            partition.lock().tell(&mut past);
        }
        past.tell();
    }

    /// Every binding, live, former or declined, the newest version of each. Partitions are locked one
    /// at a time and for a few slots each time, so nobody waits long; the whole is of no one moment.
    pub fn for_each(&self, mut visit: impl FnMut(&Binding)) {
        self.for_each_slot(|_, _, binding| visit(binding));
    }

    /// As [`Partitions::for_each`], with the number of the partition and the slot in it.
    pub fn for_each_slot(&self, mut visit: impl FnMut(usize, SlotNumber, &Binding)) {
        let mut binding = Binding::default();
        for (number, partition) in self.partitions.iter().enumerate() {
            let mut next = 0;
            loop {
                let locked = partition.lock();
                let slots = next..locked.table.slots().min(next + SLOTS_PER_VISIT);
                if slots.is_empty() {
                    break;
                }
                next = slots.end;
                for slot in slots {
                    if locked.read_any(slot, &mut binding) {
                        visit(number, SlotNumber(slot), &binding);
                    }
                }
            }
        }
    }

    /// Lets live DHCPv4 leases be found by address, hardware address and Remote-Id from now on
    /// ([`Partition::seek`]); all of them once this returns. A few slots are filed under each lock, while
    /// others go on. `is_over` is asked between; when it says so, the rest is left for another call. Costs
    /// some 44 octets of memory for each slot.
    pub fn file_all(&self, is_over: impl Fn() -> bool) {
        for partition in &self.partitions {
            let plan = partition.lock().directory_plan();
            if let Some(plan) = plan {
                // Made without the lock: it takes a while.
                let directory = plan();
                partition.lock().begin_filing(directory);
            }
            let mut next = Some(0);
            while let Some(slot) = next
                && !is_over()
            {
                next = partition.lock().file_slots(slot);
            }
        }
    }

    /// Counts from now on how many leases each line, class and subnet holds, as far as that is written beside the
    /// leases; all of them once this returns. To be called before a policy with such limits is in force; a second
    /// time it does nothing. A few slots are counted under each lock, while others go on. Costs some 40 octets of
    /// memory for each slot.
    pub fn count_leases(&self) {
        if self.counters.get().is_some() {
            return;
        }
        let slots = |partition: &Mutex<Partition>| partition.lock().table.slots() as usize;
        let slots: usize = self.partitions.iter().map(slots).sum();
        // As many leases as there are slots would all be without extensions, and each on a line of its own.
        let counters = Arc::new(Counters::new(self.spread_key, slots / 2));
        let counters = self.counters.get_or_init(|| counters);
        for partition in &self.partitions {
            partition.lock().begin_counting(Arc::clone(counters));
            while !partition.lock().count_slots() {}
        }
    }

    #[cfg(test)]
    pub(crate) fn counters(&self) -> Option<&Counters> {
        self.counters.get().map(|counters| &**counters)
    }

    /// How many different lines, classes and subnets hold leases that count against a limit. `None`: nothing is
    /// counted.
    pub fn counted(&self) -> Option<usize> {
        self.counters.get().map(|counters| counters.len())
    }

    /// The binding that keeps `lease` from everybody else, granted or declined, with its partition
    /// locked. Leases are found by their clients, so this goes through all slots, a few under each lock.
    pub fn lock_holder(&self, lease: Lease) -> Option<(MutexGuard<'_, Partition>, SlotNumber)> {
        self.partitions.iter().find_map(|partition| {
            let mut next = 0;
            loop {
                let locked = partition.lock();
                let mut slots = next..locked.table.slots().min(next + SLOTS_PER_VISIT);
                if slots.is_empty() {
                    return None;
                }
                next = slots.end;
                if let Some(slot) = slots.find(|&slot| locked.is_holder_of(slot, lease)) {
                    return Some((locked, SlotNumber(slot)));
                }
            }
        })
    }
}

/// A table without a binding, in plain memory.
pub fn blank_table(slots: usize) -> TableRegions {
    let segments = (0..slots.div_ceil(SLOTS_PER_SEGMENT as usize)).map(|segment| {
        let rest = slots - segment * SLOTS_PER_SEGMENT as usize;
        let octets = rest.min(SLOTS_PER_SEGMENT as usize) * SLOT_OCTETS;
        Box::new(vec![0u8; octets]) as Box<dyn Region>
    });
    TableRegions {
        header: Box::new(vec![0u8; HEADER_OCTETS]),
        segments: segments.collect(),
    }
}

/// How many slots are looked at under one lock, so that nobody waits long.
pub(crate) const SLOTS_PER_VISIT: u32 = 64;
