//! What is left after a crash? Opening a store: apply what was under way, replay the journal, judge every
//! slot, rebuild what lives in memory.
//!
//! Invariants:
//! - Opening twice gives the same as opening once: every write here is of an image that is newer than
//!   what it replaces, or mends it.
//! - A slot that cannot be trusted is never served; its lease is set aside, and the start goes on.

use crate::allocator::{Past, Pools};
use crate::binding::{Lease, Timestamp};
use crate::format::ArchivedRecord;
use crate::headers::{self, HeaderError, StoreHeader, TableHeader};
use crate::journal::{self, Damage, Resume};
use crate::partition::{Occupancy, Partition, Role, Room};
use crate::snapshot::{Memory, Snapshot};
use crate::store::{Durability, Partitions};
use crate::table::{HEADER_OCTETS, Region, Table};
use parking_lot::Mutex;
use std::collections::HashMap;

mod judge;
mod verdict;

use judge::Judge;

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
    /// The time; if somebody was answered later, it is that.
    pub now: Timestamp,
    /// The longest lifetime that the configuration grants: for so long the lease of a slot that cannot
    /// be trusted is set aside.
    pub quarantine_seconds: u32,
}

/// What opening found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// The server had stopped in good order and nothing has changed since: slots are looked at when they are
    /// first read.
    pub is_clean: bool,
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
    /// Tables of an earlier format, which are of the present one now.
    pub tables_upgraded: u64,
    /// Both copies of the journal's header were damaged.
    pub journal_headless: bool,
    /// Batches of the journal that were damaged on the disk.
    pub journal_damage: Damage,
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

/// Who judges the partitions: runs what it is given once on each of as many threads as it likes, at the
/// same time, and returns when all have returned.
pub type Crew<'a> = &'a dyn Fn(&(dyn Fn() + Sync));

impl Partitions {
    /// As [`Partitions::open_with`], on the caller's thread alone.
    ///
    /// # Errors
    /// The same.
    pub fn open(
        store: &StoreHeader,
        tables: Vec<TableRegions>,
        journal: &[u8],
        opening: &Opening,
        pools: &Pools,
    ) -> Result<(Self, Recovery), OpenError> {
        Self::open_with(store, tables, journal, opening, pools, None, &|_| ())
    }

    /// Opens a store over its files' contents. `journal` is the whole journal file, or empty.
    ///
    /// What the journal had is in the tables afterwards, but not synced: sync them, and only then let
    /// `Journal::restart` forget it. The partitions are judged by `crew`; what comes out does not depend on
    /// how many threads it has. With a snapshot that fits, slots are looked at when they are first read.
    ///
    /// # Errors
    /// [`OpenError`] when the files do not belong together, or are of a later format; nothing was written
    /// then. Damage to slots is never an error.
    pub fn open_with(
        store: &StoreHeader,
        tables: Vec<TableRegions>,
        journal: &[u8],
        opening: &Opening,
        pools: &Pools,
        snapshot: Option<&Snapshot<'_>>,
        crew: Crew<'_>,
    ) -> Result<(Self, Recovery), OpenError> {
        if tables.len() as u64 != u64::from(store.partitions) {
            return Err(OpenError::Tables {
                got: tables.len(),
                need: store.partitions,
            });
        }
        pools.set_secret(store.order_secret());
        let mut replay = journal::replay(store, journal).map_err(OpenError::Journal)?;
        let mut recovery = Recovery::new(replay.resume());
        recovery.journal_headless = replay.is_headless();
        // All of them are looked at before the first is written to.
        let checked = (0u32..)
            .zip(&tables)
            .map(|(number, regions)| check_table(store, number, regions));
        let checked: Vec<TableHeader> = checked.collect::<Result<_, _>>()?;
        let mut opened = Vec::with_capacity(tables.len());
        for (number, (regions, found)) in (0u32..).zip(tables.into_iter().zip(checked)) {
            opened.push(open_table(store, number, regions, found, &mut recovery));
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
        recovery.journal_damage = replay.damage();
        let is_untouched = recovery.batches == 0
            && recovery.redone == 0
            && recovery.headers_rewritten == 0
            && recovery.tables_upgraded == 0;
        let fits = |snapshot: &&Snapshot<'_>| {
            is_untouched && snapshot.fits(&recovery.resume, opening.now, pools)
        };
        let memories = snapshot
            .filter(fits)
            .and_then(|snapshot| remember(snapshot, &opened, pools, crew));
        if let Some(memories) = memories {
            let partition =
                |((number, table), memory)| Partition::over(number, table, memory, store, opening);
            let numbered = (0u32..).zip(opened).zip(memories);
            let mut partitions: Vec<Partition> = numbered.map(partition).collect();
            for partition in &mut partitions {
                partition.trust_later();
                recovery.add(&partition.occupancy());
            }
            recovery.is_clean = true;
            recovery.latest = snapshot.map_or(opening.now, Snapshot::taken_at);
            let opened = Self::of(partitions, store.spread_key, opening.durability);
            opened.tell(Past::of_all(pools));
            return Ok((opened, recovery));
        }
        let mut opening = *opening;
        let (mut partitions, judges) = loop {
            let (partitions, judges) = judge_all(store, opened, &opening, pools, crew);
            let latest = judges.iter().map(Judge::latest).max().unwrap_or_default();
            if latest <= opening.now {
                break (partitions, judges);
            }
            // It is later than we were told: who was answered last saw the end of leases whose addresses are
            // others' now, and of quarantines whose slots are.
            opening.now = latest;
            opened = partitions.into_iter().map(|it| it.table).collect();
        };
        put_together(&mut partitions, judges, &opening, pools, &mut recovery);
        let opened = Self::of(partitions, store.spread_key, opening.durability);
        opened.tell(Past::of_all(pools));
        Ok((opened, recovery))
    }
}

/// Has the crew judge every slot of all tables. The partitions in order, and what the judges noted.
fn judge_all<'p>(
    store: &StoreHeader,
    tables: Vec<Table>,
    opening: &Opening,
    pools: &'p Pools,
    crew: Crew<'_>,
) -> (Vec<Partition>, Vec<Judge<'p>>) {
    let queue = Mutex::new((0u32..).zip(tables));
    let judged = Mutex::new((Vec::new(), Vec::new()));
    let work = || {
        let mut judge = Judge::new(opening.now, pools);
        loop {
            let next = queue.lock().next();
            let Some((number, table)) = next else { break };
            let memory = Memory::blank(table.slots(), opening.now.0);
            let mut partition = Partition::over(number, table, memory, store, opening);
            judge.judge(&mut partition, &store.checksum());
            judged.lock().0.push(partition);
        }
        judged.lock().1.push(judge);
    };
    crew(&work);
    work(); // what a crew of none left undone
    let (mut partitions, judges) = judged.into_inner();
    partitions.sort_unstable_by_key(|partition: &Partition| partition.number);
    (partitions, judges)
}

/// What a snapshot says of every partition, if all of it is whole; then the pools have their bits.
fn remember(
    snapshot: &Snapshot<'_>,
    tables: &[Table],
    pools: &Pools,
    crew: Crew<'_>,
) -> Option<Vec<Memory>> {
    let slots: Vec<u32> = tables.iter().map(Table::slots).collect();
    let queue = Mutex::new((0u32..).zip(slots));
    let memories = Mutex::new(Vec::with_capacity(tables.len()));
    let work = || {
        loop {
            let next = queue.lock().next();
            let Some((number, slots)) = next else { break };
            let memory = snapshot.memory(number, slots);
            memories.lock().push((number, memory));
        }
    };
    crew(&work);
    work(); // what a crew of none left undone
    let mut memories = memories.into_inner();
    memories.sort_unstable_by_key(|(number, _)| *number);
    let memories: Option<Vec<Memory>> = memories.into_iter().map(|(_, memory)| memory).collect();
    memories.filter(|_| snapshot.restore_pools(pools))
}

impl Partition {
    fn over(
        number: u32,
        table: Table,
        memory: Memory,
        store: &StoreHeader,
        opening: &Opening,
    ) -> Self {
        let Opening {
            durability,
            room,
            now,
            ..
        } = *opening;
        Self::new(
            number,
            durability,
            store.checksum(),
            table,
            room,
            now,
            memory,
        )
    }
}

/// What concerns the store as a whole: who holds what, and what several claim. Nothing here depends on
/// which judge had which partition.
fn put_together(
    partitions: &mut [Partition],
    judges: Vec<Judge<'_>>,
    opening: &Opening,
    pools: &Pools,
    recovery: &mut Recovery,
) {
    judge::place_cursors(&judges, pools);
    let mut damaged = Vec::new();
    let mut marks = Vec::new();
    for judge in judges {
        judge.report(recovery);
        damaged.extend(judge.damaged);
        marks.push(judge.marks);
    }
    damaged.sort_unstable();
    let contested = pools.mark_all(marks);
    recovery.conflicts = settle_conflicts(contested, partitions, recovery);
    let until = opening.now.after(opening.quarantine_seconds);
    set_aside(&damaged, partitions, until, pools, recovery);
}

fn check_table(
    store: &StoreHeader,
    partition: u32,
    regions: &TableRegions,
) -> Result<TableHeader, OpenError> {
    let header = regions.header.octets();
    if header.len() < HEADER_OCTETS {
        return Err(OpenError::Short { partition });
    }
    headers::check_table(store, partition, header)
        .map_err(|error| OpenError::Table { partition, error })
}

fn open_table(
    store: &StoreHeader,
    partition: u32,
    mut regions: TableRegions,
    found: TableHeader,
    recovery: &mut Recovery,
) -> Table {
    match found {
        TableHeader::Whole | TableHeader::Blank => {}
        TableHeader::Damaged => recovery.headers_rewritten += 1,
        TableHeader::Earlier { .. } => recovery.tables_upgraded += 1,
    }
    if found != TableHeader::Whole {
        headers::mend_table(store, partition, found, regions.header.octets_mut());
    }
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
    table
}

impl Recovery {
    fn add(&mut self, occupancy: &Occupancy) {
        self.live += u64::from(occupancy.live);
        self.former += u64::from(occupancy.former);
        self.declined += u64::from(occupancy.declined);
    }

    fn new(resume: Resume) -> Self {
        Self {
            is_clean: false,
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
            tables_upgraded: 0,
            journal_headless: false,
            journal_damage: Damage::default(),
            latest: Timestamp(0),
            resume,
        }
    }
}

/// Of several records that hold one lease, the one last heard of keeps it; the others become their
/// clients' former bindings, in the table too. Returns those about which there was a conflict: a client may have
/// been granted a lease anew, in another slot, when it had just ended.
fn settle_conflicts(
    mut contested: Vec<Lease>,
    partitions: &mut [Partition],
    recovery: &mut Recovery,
) -> Vec<Lease> {
    if contested.is_empty() {
        return contested;
    }
    let mut best: HashMap<Lease, Option<(Timestamp, usize, u32)>> =
        contested.iter().map(|&lease| (lease, None)).collect();
    let mut losers = Vec::new();
    for (number, partition) in partitions.iter().enumerate() {
        for (slot, record) in partition.holders() {
            let Some(best) = record.lease().and_then(|lease| best.get_mut(&lease)) else {
                continue;
            };
            let this = Some((record.last_transaction(), number, slot));
            losers.extend((*best).min(this));
            *best = (*best).max(this);
        }
    }
    let mut in_conflict = Vec::new();
    for (_, number, slot) in losers {
        let Some(partition) = partitions.get_mut(number) else {
            continue;
        };
        let lease = partition.record(slot).and_then(ArchivedRecord::lease);
        let best = lease.and_then(|lease| *best.get(&lease)?);
        let since = best.map_or(Timestamp(0), |(since, ..)| since);
        let had_ended = |record: &ArchivedRecord| record.expires() <= since;
        let role = partition.role(slot);
        match role {
            Role::Live => recovery.live -= 1,
            _ => recovery.declined -= 1,
        }
        recovery.former += 1;
        if role == Role::Live && partition.record(slot).is_some_and(had_ended) {
            partition.assign(slot, Role::Former, Timestamp::NEVER);
        } else {
            partition.demote(slot);
            in_conflict.extend(lease);
        }
    }
    contested.retain(|lease| in_conflict.contains(lease));
    contested
}

/// Keeps the leases of damaged slots from everybody for as long as they might have been granted. A
/// lease that a sound record holds is that record's; the damaged slot is of no use then, but free.
fn set_aside(
    damaged: &[(u32, u32)],
    partitions: &mut [Partition],
    until: Timestamp,
    pools: &Pools,
    recovery: &mut Recovery,
) {
    for &(number, slot) in damaged {
        let Some(partition) = partitions.get_mut(number as usize) else {
            continue;
        };
        recovery.damaged += 1;
        partition.quarantine_end = until;
        let lease = partition.record(slot).and_then(ArchivedRecord::lease);
        if lease.is_none_or(|lease| pools.mark(lease) != Some(false)) {
            partition.assign(slot, Role::Damaged, until);
        } else {
            partition.shelve_free(slot);
        }
    }
}

#[cfg(test)]
mod tests;
