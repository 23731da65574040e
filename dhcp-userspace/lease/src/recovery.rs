//! What is left after a crash? Opening a store: apply what was under way, replay the journal, judge every
//! slot, rebuild what lives in memory.
//!
//! Invariants:
//! - Opening twice gives the same as opening once: every write here is of an image that is newer than
//!   what it replaces, or mends it.
//! - A slot that cannot be trusted is never served; its lease is set aside, and the start goes on.

use crate::allocator::{PoolIndex, Pools};
use crate::binding::{Lease, Timestamp};
use crate::format::{ArchivedRecord, Checksum};
use crate::headers::{self, HeaderError, StoreHeader};
use crate::journal::{self, Resume};
use crate::partition::{Partition, Role, Room};
use crate::store::{Durability, Partitions};
use crate::table::{HEADER_OCTETS, Region, Table};
use std::collections::{HashMap, HashSet};

mod verdict;
use verdict::{Found, Verdict};

/// What one table lies in.
pub struct TableRegions {
    /// At least `table::HEADER_OCTETS` octets.
    pub header: Box<dyn Region>,
    /// All of the store's `slots_per_segment`; the last may be shorter.
    pub segments: Vec<Box<dyn Region>>,
}

/// How to open a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// What a lease survives once its reply has left.
    pub durability: Durability,
    /// Room in memory.
    pub room: Room,
    /// The time.
    pub now: Timestamp,
    /// The longest lifetime that the configuration grants: for so long the lease of a slot that cannot
    /// be trusted is set aside.
    pub quarantine_seconds: u32,
}

/// What opening found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Leases that are somebody's.
    pub live: u64,
    /// Former ones.
    pub former: u64,
    /// Declined ones whose time is not over.
    pub declined: u64,
    /// Slots that cannot be trusted, their leases set aside where they can be read.
    pub damaged: u64,
    /// Slots in which one bit was wrong and is right again.
    pub repaired: u64,
    /// Slots that a killed process was writing and that were finished.
    pub redone: u64,
    /// Batches of the journal that count.
    pub batches: u64,
    /// Their records that were newer than the tables.
    pub replayed: u64,
    /// Leases that two records claimed; the one last heard of has it.
    pub conflicts: Vec<Lease>,
    /// Table headers that were damaged twice and were written anew.
    pub headers_rewritten: u64,
    /// Both copies of the journal's header were damaged.
    pub journal_headless: bool,
    /// The latest moment that any record tells of: the clock was there once.
    pub latest: Timestamp,
    /// From where the journal goes on: for `Journal::restart`, after the tables are synced.
    pub resume: Resume,
}

/// Why a store cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Not as many tables as the store has partitions.
    #[error("{got} lease tables, but the store has {need}: restore the missing files")]
    Tables {
        /// How many there are.
        got: usize,
        /// How many the store says.
        need: u32,
    },
    /// A table's header region is too short.
    #[error("lease table {partition} is shorter than its header: restore it from a backup")]
    Short {
        /// Which one.
        partition: u32,
    },
    /// A table is not this store's.
    #[error("lease table {partition}: {error}")]
    Table {
        /// Which one.
        partition: u32,
        /// Why.
        error: HeaderError,
    },
    /// The journal is not this store's.
    #[error("journal: {0}")]
    Journal(HeaderError),
}

/// A slot is repaired by trying every bit; that is for a bad bit, not for a bad disk.
const REPAIRS_MAX: u64 = 1_024;

impl Partitions {
    /// Opens a store over its files' contents. `journal` is the whole journal file, or empty.
    ///
    /// What the journal had is in the tables afterwards, but not synced: sync them, and only then let
    /// `Journal::restart` forget it.
    ///
    /// # Errors
    /// [`OpenError`] when the files do not belong together; nothing was written then but perhaps headers
    /// of blank tables. Damage to slots is never an error.
    pub fn open(
        store: &StoreHeader,
        tables: Vec<TableRegions>,
        journal: &[u8],
        opening: &Opening,
        pools: &Pools,
    ) -> Result<(Self, Recovery), OpenError> {
        if tables.len() as u64 != u64::from(store.partitions) {
            return Err(OpenError::Tables {
                got: tables.len(),
                need: store.partitions,
            });
        }
        let mut replay = journal::replay(store, journal).map_err(OpenError::Journal)?;
        let mut recovery = Recovery::new(replay.resume());
        recovery.journal_headless = replay.is_headless();
        let mut opened = Vec::with_capacity(tables.len());
        for (number, regions) in (0u32..).zip(tables) {
            opened.push(open_table(store, number, regions, &mut recovery)?);
        }
        // What is whole and new enough is stored over itself: the process before may have died after a sync
        // that failed, and then a page that is right in memory is not on the disk, and counts as clean.
        for batch in &mut replay {
            recovery.batches += 1;
            for (number, slot, image) in batch.records() {
                let table = opened.get_mut(number as usize);
                recovery.replayed += u64::from(table.is_some_and(|table| table.renew(slot, image)));
            }
        }
        recovery.resume = replay.resume();
        let mut judge = Judge::new(opening.now, pools);
        let mut partitions = Vec::with_capacity(opened.len());
        for (number, table) in (0u32..).zip(opened) {
            let checksum = store.checksum();
            let Opening {
                durability,
                room,
                now,
                ..
            } = *opening;
            let mut partition = Partition::new(number, durability, checksum, table, room, now);
            judge.judge(&mut partition, &checksum, &mut recovery);
            partitions.push(partition);
        }
        judge.settle_conflicts(&mut partitions, &mut recovery);
        let until = opening.now.after(opening.quarantine_seconds);
        judge.set_aside(&mut partitions, until, &mut recovery);
        judge.place_cursors();
        for partition in &mut partitions {
            partition.shelve_all_free();
        }
        Ok((
            Self::of(partitions, store.spread_key, opening.durability),
            recovery,
        ))
    }
}

fn open_table(
    store: &StoreHeader,
    partition: u32,
    mut regions: TableRegions,
    recovery: &mut Recovery,
) -> Result<Table, OpenError> {
    let header = regions.header.octets_mut();
    if header.len() < HEADER_OCTETS {
        return Err(OpenError::Short { partition });
    }
    let damaged = headers::check_table(store, partition, header)
        .map_err(|error| OpenError::Table { partition, error })?;
    recovery.headers_rewritten += u64::from(damaged);
    let TableRegions { header, segments } = regions;
    let slots_per_segment = store.slots_per_segment;
    let mut table = Table::new(
        partition,
        store.checksum(),
        slots_per_segment,
        header,
        segments,
    );
    recovery.redone += table.finish_redo();
    Ok(table)
}

impl Recovery {
    fn new(resume: Resume) -> Self {
        Self {
            live: 0,
            former: 0,
            declined: 0,
            damaged: 0,
            repaired: 0,
            redone: 0,
            batches: 0,
            replayed: 0,
            conflicts: Vec::new(),
            headers_rewritten: 0,
            journal_headless: false,
            latest: Timestamp(0),
            resume,
        }
    }
}

/// Goes through all slots of all partitions.
struct Judge<'a> {
    now: Timestamp,
    pools: &'a Pools,
    /// Leases outside every pool that somebody holds.
    outside: HashSet<Lease>,
    contested: HashSet<Lease>,
    /// Partition and slot of what cannot be trusted.
    damaged: Vec<(usize, u32)>,
    /// Of each pool the lease last heard of, held or not: when, and in which commit.
    last_heard: HashMap<PoolIndex, (Timestamp, u64, Lease)>,
}

impl<'a> Judge<'a> {
    fn new(now: Timestamp, pools: &'a Pools) -> Self {
        Self {
            now,
            pools,
            outside: HashSet::new(),
            contested: HashSet::new(),
            damaged: Vec::new(),
            last_heard: HashMap::new(),
        }
    }

    /// A restart must not hand the addresses that were given back last to the next clients (requirement
    /// A12), so each pool goes on after the lease last heard of. The place of the search itself is not
    /// recorded: a renewal moves it back to an earlier one, which costs the order and nothing else.
    fn place_cursors(&self) {
        for &(_, _, lease) in self.last_heard.values() {
            self.pools.go_on_after(lease);
        }
    }

    fn hear_of(&mut self, found: &Found) {
        if let Some(pool) = self.pools.pool_of(found.lease) {
            let this = (found.last_transaction, found.generation, found.lease);
            let last = self.last_heard.entry(pool).or_insert(this);
            if (last.0, last.1) < (this.0, this.1) {
                *last = this;
            }
        }
    }

    /// Gives every slot of a partition its role but the free and the damaged ones.
    fn judge(&mut self, partition: &mut Partition, checksum: &Checksum, recovery: &mut Recovery) {
        let mut former: Vec<(Timestamp, u32)> = Vec::new();
        let mut repairs = 0;
        for slot in 0..partition.table.slots() {
            let mut found = partition.verdict(slot, checksum, self.now);
            if matches!(found, Verdict::Damaged) && repairs < REPAIRS_MAX {
                repairs += 1;
                if partition.repair(slot, checksum) {
                    recovery.repaired += 1;
                    found = partition.verdict(slot, checksum, self.now);
                }
            }
            match found {
                Verdict::Nothing => {}
                Verdict::Extension(generation) => {
                    partition.generation = partition.generation.max(generation);
                }
                Verdict::Damaged => self.damaged.push((partition.number as usize, slot)),
                Verdict::Binding(found) => {
                    partition.generation = partition.generation.max(found.generation);
                    recovery.latest = recovery.latest.max(found.last_transaction);
                    self.hear_of(&found);
                    let role = found.role(self.now);
                    // Those of a declined record that ended were free with it, and may be others' now.
                    if role != Role::Free {
                        partition.adopt_extensions(slot);
                    }
                    self.enter(partition, slot, role, &found, recovery);
                    if role == Role::Former {
                        let ended = found.expires.min(found.last_transaction_if_released());
                        former.push((ended, slot));
                    }
                }
            }
        }
        former.sort_unstable();
        recovery.former += former.len() as u64;
        for (_, slot) in former {
            partition.assign(slot, Role::Former, Timestamp::NEVER);
        }
    }

    fn enter(
        &mut self,
        partition: &mut Partition,
        slot: u32,
        role: Role,
        found: &Found,
        recovery: &mut Recovery,
    ) {
        match role {
            Role::Live => recovery.live += 1,
            Role::Declined => recovery.declined += 1,
            Role::Free | Role::Former | Role::Extension | Role::Damaged => {}
        }
        if role == Role::Live || role == Role::Declined {
            let first = self
                .pools
                .mark(found.lease)
                .unwrap_or_else(|| self.outside.insert(found.lease));
            if !first {
                self.contested.insert(found.lease);
            }
            partition.assign(slot, role, role.ends(found.expires));
        }
        if role == Role::Declined {
            partition.count_decline(slot, found.expires);
        }
        if let Some(digest) = partition.digest_at(slot).filter(|_| role.is_indexed()) {
            partition.enter(slot, digest);
        }
    }

    /// Of several records that hold one lease, the one last heard of keeps it; the others become their
    /// clients' former bindings, in the table too.
    fn settle_conflicts(&mut self, partitions: &mut [Partition], recovery: &mut Recovery) {
        if self.contested.is_empty() {
            return;
        }
        let mut best: HashMap<Lease, (Timestamp, usize, u32)> = HashMap::new();
        let mut losers = Vec::new();
        for (number, partition) in partitions.iter().enumerate() {
            for (slot, record) in partition.holders() {
                let Some(lease) = record
                    .lease()
                    .filter(|lease| self.contested.contains(lease))
                else {
                    continue;
                };
                let this = (record.last_transaction(), number, slot);
                match best.insert(lease, this) {
                    Some(other) if other > this => {
                        best.insert(lease, other);
                        losers.push(this);
                    }
                    Some(other) => losers.push(other),
                    None => {}
                }
            }
        }
        for (_, number, slot) in losers {
            if let Some(partition) = partitions.get_mut(number) {
                match partition.role(slot) {
                    Role::Live => recovery.live -= 1,
                    _ => recovery.declined -= 1,
                }
                partition.demote(slot);
                recovery.former += 1;
            }
        }
        recovery.conflicts.extend(self.contested.drain());
    }

    /// Keeps the leases of damaged slots from everybody for as long as they might have been granted. A
    /// lease that a sound record holds is that record's; the damaged slot is of no use then.
    fn set_aside(
        &mut self,
        partitions: &mut [Partition],
        until: Timestamp,
        recovery: &mut Recovery,
    ) {
        for &(number, slot) in &self.damaged {
            let Some(partition) = partitions.get_mut(number) else {
                continue;
            };
            recovery.damaged += 1;
            partition.quarantine_end = until;
            let lease = partition.record(slot).and_then(ArchivedRecord::lease);
            if lease.is_none_or(|lease| self.pools.mark(lease) != Some(false)) {
                partition.assign(slot, Role::Damaged, until);
            }
        }
    }
}

#[cfg(test)]
mod tests;
