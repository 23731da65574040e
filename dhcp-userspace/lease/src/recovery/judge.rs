//! What does each slot of a partition hold, and what follows from it in memory?
//!
//! A judge works alone on whole partitions and notes apart what concerns the store as a whole. What all
//! judges noted is put together when they are done, so the result does not depend on which of them had
//! which partition.

use super::Recovery;
use super::verdict::{Found, Verdict};
use crate::allocator::{Marks, Pools, Unit};
use crate::binding::Timestamp;
use crate::format::Checksum;
use crate::index::Digest;
use crate::partition::{Partition, Role};

/// A slot is repaired by trying every bit; that is for a bad bit, not for a bad disk.
const REPAIRS_MAX: u64 = 1_024;

/// How many index entries are loaded at a time. The index of a partition is larger than the cache next to
/// the processor; one after the other, they would take a third of the time.
const ENTRIES_AHEAD: usize = 16;

/// Goes through all slots of some partitions.
pub(super) struct Judge<'a> {
    now: Timestamp,
    pools: &'a Pools,
    pub(super) marks: Marks<'a>,
    /// Partition and slot of what cannot be trusted.
    pub(super) damaged: Vec<(u32, u32)>,
    /// Of each pool what was last heard of, held or not.
    last_heard: Vec<Option<Heard>>,
    tally: Tally,
    /// Bindings that are yet to be entered into the index of their partition.
    entering: Vec<(u32, Digest)>,
}

/// When a lease was last heard of, and in which commit; of two, the later one counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Heard {
    at: Timestamp,
    generation: u64,
    unit: Unit,
}

#[derive(Clone, Copy, Default)]
struct Tally {
    live: u64,
    former: u64,
    declined: u64,
    repaired: u64,
    latest: Timestamp,
}

/// One bit for each slot.
struct SlotSet {
    words: Vec<u64>,
}

impl SlotSet {
    fn new(slots: u32) -> Self {
        let words = vec![0; slots.div_ceil(64) as usize];
        Self { words }
    }

    fn insert(&mut self, slot: u32) {
        if let Some(word) = self.words.get_mut((slot / 64) as usize) {
            *word |= 1 << (slot % 64);
        }
    }

    fn contains(&self, slot: u32) -> bool {
        let word = self.words.get((slot / 64) as usize).copied();
        word.unwrap_or(0) & 1 << (slot % 64) != 0
    }
}

impl<'a> Judge<'a> {
    pub(super) fn new(now: Timestamp, pools: &'a Pools) -> Self {
        Self {
            now,
            pools,
            marks: Marks::new(pools),
            damaged: Vec::new(),
            last_heard: vec![None; pools.len()],
            tally: Tally::default(),
            entering: Vec::with_capacity(ENTRIES_AHEAD),
        }
    }

    /// Gives every slot of a partition its role but the damaged ones. Reads each slot once, in order; only
    /// bindings of several slots are looked at again when it is known which extensions are whole.
    pub(super) fn judge(&mut self, partition: &mut Partition, checksum: &Checksum) {
        let number = partition.number;
        let mut former: Vec<(Timestamp, u32)> = Vec::new();
        let mut damaged: Vec<u32> = Vec::new();
        let mut extended: Vec<u32> = Vec::new();
        let mut extensions = SlotSet::new(partition.table.slots());
        let mut repairs = 0;
        for slot in 0..partition.table.slots() {
            let mut verdict = partition.verdict(slot, checksum);
            if matches!(verdict, Verdict::Damaged) && repairs < REPAIRS_MAX {
                repairs += 1;
                if partition.repair(slot, checksum) {
                    self.tally.repaired += 1;
                    verdict = partition.verdict(slot, checksum);
                }
            }
            match verdict {
                Verdict::Nothing => {}
                Verdict::Damaged => damaged.push(slot),
                Verdict::Extended => extended.push(slot),
                Verdict::Extension(generation) => {
                    extensions.insert(slot);
                    partition.generation = partition.generation.max(generation);
                }
                Verdict::Binding(found) => self.enter(partition, slot, &found, &mut former),
            }
        }
        for slot in extended {
            let is_whole = |slot| extensions.contains(slot);
            match partition.found_extended(slot, self.now, is_whole) {
                Some(found) => self.enter(partition, slot, &found, &mut former),
                None => damaged.push(slot),
            }
        }
        self.fill_index(partition);
        former.sort_unstable();
        self.tally.former += former.len() as u64;
        for (_, slot) in former {
            partition.assign_first(slot, Role::Former, Timestamp::NEVER);
        }
        damaged.sort_unstable();
        partition.shelve_rest(&damaged);
        self.damaged
            .extend(damaged.into_iter().map(|slot| (number, slot)));
    }

    fn enter(
        &mut self,
        partition: &mut Partition,
        slot: u32,
        found: &Found,
        former: &mut Vec<(Timestamp, u32)>,
    ) {
        partition.generation = partition.generation.max(found.generation);
        self.tally.latest = self.tally.latest.max(found.last_transaction);
        let unit = self.pools.unit(found.lease);
        if let Some(unit) = unit {
            self.hear_of(unit, found);
        }
        let role = found.role(self.now);
        match role {
            Role::Live => self.tally.live += 1,
            Role::Declined => self.tally.declined += 1,
            Role::Former => {
                let ended = found.expires.min(found.last_transaction_if_released());
                former.push((ended, slot));
            }
            Role::Free | Role::Extension | Role::Damaged => {}
        }
        // Those of a declined record that ended were free with it, and may be others' now.
        if found.is_extended && role != Role::Free {
            partition.adopt_extensions(slot);
        }
        if matches!(role, Role::Live | Role::Declined) {
            self.marks.mark(found.lease, unit);
            partition.assign_first(slot, role, role.ends(found.expires));
        }
        if role == Role::Declined {
            partition.count_decline(slot, found.expires);
        }
        if role.is_indexed() {
            partition.touch_index(found.digest);
            self.entering.push((slot, found.digest));
            if self.entering.len() >= ENTRIES_AHEAD {
                self.fill_index(partition);
            }
        }
    }

    fn fill_index(&mut self, partition: &mut Partition) {
        for (slot, digest) in self.entering.drain(..) {
            partition.enter(slot, digest);
        }
    }

    fn hear_of(&mut self, unit: Unit, found: &Found) {
        let this = Heard {
            at: found.last_transaction,
            generation: found.generation,
            unit,
        };
        if let Some(last) = self.last_heard.get_mut(unit.pool) {
            *last = (*last).max(Some(this));
        }
    }

    /// When somebody was answered last.
    pub(super) fn latest(&self) -> Timestamp {
        self.tally.latest
    }

    /// Adds what this judge counted.
    pub(super) fn report(&self, recovery: &mut Recovery) {
        let Tally {
            live,
            former,
            declined,
            repaired,
            latest,
        } = self.tally;
        recovery.live += live;
        recovery.former += former;
        recovery.declined += declined;
        recovery.repaired += repaired;
        recovery.latest = recovery.latest.max(latest);
    }
}

/// A restart must not hand the addresses that were given back last to the next clients (requirement
/// A12), so each pool goes on after the lease last heard of. The place of the search itself is not
/// recorded: a renewal moves it back to an earlier one, which costs the order and nothing else.
pub(super) fn place_cursors(judges: &[Judge<'_>], pools: &Pools) {
    for pool in 0..pools.len() {
        let heard = judges
            .iter()
            .filter_map(|judge| *judge.last_heard.get(pool)?)
            .max();
        if let Some(heard) = heard {
            pools.go_on_after(heard.unit);
        }
    }
}
