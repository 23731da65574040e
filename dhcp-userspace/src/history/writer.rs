//! From records to files: blocks, segments, syncs, rotation, retention. No thread and no clock of its own.
//!
//! Invariants:
//! - What was written since the last sync is kept in memory as records. After any error of the system
//!   nothing is believed of it: the segment is given up where the last sync left it, and the next one
//!   goes on from there, with those records once more.
//! - The tracker knows exactly the commits in the blocks that were written.

use super::HistorySettings;
use super::files::{self, SegmentName};
use super::intake::{self, HistoryStatus, PENDING_OCTETS_MAX, Pending};
use dhcp_lease::Timestamp;
use dhcp_lease::history::{
    BlockWriter, Entry, Gap, Hash, Mark, SEGMENT_HEADER_OCTETS, SegmentHeader, Tracker,
    count_generations, for_each_entry,
};
use dhcp_lease::journal::split;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

/// Octets of entries after which a block is sealed.
const BLOCK_OCTETS: usize = 64 << 10;
/// Records that wait for a sync, at most: then one is due.
const UNSYNCED_OCTETS_MAX: usize = 16 << 20;
const DAY_SECONDS: u64 = 86_400;

/// Where the chain goes on.
#[derive(Clone, Debug)]
pub(super) struct End {
    /// The number of the next segment.
    pub(super) segment: u64,
    /// The number of the next block.
    pub(super) block: u64,
    /// The hash of the last block that counts.
    pub(super) hash: Hash,
    /// Octets of the last segment that count.
    pub(super) octets: u64,
    /// The journal's batches before this one are in the history.
    pub(super) position: u64,
    /// The commits in the history.
    pub(super) tracker: Tracker,
    /// The latest time that is told of.
    pub(super) last: Timestamp,
}

struct Open {
    name: SegmentName,
    file: File,
    blocks: BlockWriter,
    octets: u64,
    created: Timestamp,
}

/// Writes one history.
pub(super) struct Writer {
    directory: PathBuf,
    identity: [u8; 16],
    settings: HistorySettings,
    /// As of the last sync.
    synced: End,
    open: Option<Open>,
    /// As of the blocks that were written.
    tracker: Tracker,
    position: u64,
    /// What the last block says of that; `None`: the segment has no block.
    sealed_position: Option<u64>,
    last: Timestamp,
    /// Records that are in blocks since the last sync, then those that are in none.
    records: Vec<u8>,
    /// Entries and marks that no records stand for, since the last sync.
    extra: Vec<Extra>,
    /// How many octets of `records` and how many of `extra` are in blocks.
    done: (usize, usize),
    /// The position when all of `records` is in blocks.
    target: u64,
    lost: u64,
    lost_since: Timestamp,
    status: HistoryStatus,
}

/// What does not come as a record of a change log.
#[derive(Clone, Debug)]
pub(super) enum Extra {
    Entry(Box<Entry>),
    Gap(Gap),
    Mark(Mark),
}

impl Writer {
    pub(super) fn new(
        directory: PathBuf,
        identity: [u8; 16],
        settings: HistorySettings,
        end: End,
    ) -> Self {
        Self {
            directory,
            identity,
            settings,
            open: None,
            tracker: end.tracker.clone(),
            position: end.position,
            sealed_position: None,
            last: end.last,
            records: Vec::new(),
            extra: Vec::new(),
            done: (0, 0),
            target: end.position,
            lost: 0,
            lost_since: end.last,
            status: HistoryStatus::default(),
            synced: end,
        }
    }

    pub(super) fn status(&self) -> HistoryStatus {
        HistoryStatus {
            hash: self.synced.hash.to_string(),
            segment: self.synced.segment.saturating_sub(1),
            ..self.status.clone()
        }
    }

    pub(super) fn set_trouble(&mut self, trouble: Option<String>) {
        self.status.trouble = trouble;
    }

    pub(super) fn is_new(&self, partition: u32, generation: u64) -> bool {
        self.tracker.is_new(partition, generation)
    }

    pub(super) fn tracker_mut(&mut self) -> &mut Tracker {
        &mut self.tracker
    }

    pub(super) fn tracker(&self) -> &Tracker {
        &self.tracker
    }

    /// The batches before this one are in the history, on stable storage.
    pub(super) fn covered(&self) -> u64 {
        self.synced.position
    }

    /// Whether something was handed over that is not on stable storage.
    pub(super) fn is_unsynced(&self) -> bool {
        !self.records.is_empty() || !self.extra.is_empty() || self.target != self.synced.position
    }

    pub(super) fn is_sync_due(&self) -> bool {
        self.records.len() >= UNSYNCED_OCTETS_MAX
    }

    /// Takes what was handed over; as much as there is room for, if the disk does not take it.
    pub(super) fn take(&mut self, pending: &Pending, now: Timestamp) {
        let mut lost = pending.lost;
        if self.records.len() + pending.records.len() > PENDING_OCTETS_MAX {
            lost += count_generations(split(&pending.records));
        } else {
            self.records.extend_from_slice(&pending.records);
        }
        if let Some(position) = pending.position {
            self.target = position;
        }
        if lost > 0 {
            if self.lost == 0 {
                self.lost_since = self.last.min(now);
            }
            self.lost += lost;
            self.status.lost += lost;
        }
    }

    /// The journal goes on from here, whatever it was before.
    pub(super) fn set_position(&mut self, position: u64) {
        self.target = position;
    }

    /// Takes what no record stands for.
    pub(super) fn take_extra(&mut self, extra: Extra) {
        self.extra.push(extra);
    }

    /// Whether commits were lost and that is not said yet.
    pub(super) fn has_lost(&self) -> bool {
        self.lost > 0
    }

    /// Puts what was handed over into blocks and writes them.
    ///
    /// # Errors
    /// Those of the system; then call [`Writer::give_up`].
    pub(super) fn write(&mut self, now: Timestamp) -> io::Result<()> {
        if self.open.is_none() {
            self.begin_segment(now)?;
        }
        if self.lost > 0 {
            let gap = intake::gap(self.lost, self.lost_since, now);
            self.extra.push(Extra::Gap(gap));
            self.lost = 0;
        }
        let mut octets = Vec::new();
        for place in self.done.1..self.extra.len() {
            self.push_extra(place, &mut octets);
        }
        self.push_records(&mut octets);
        self.done = (self.records.len(), self.extra.len());
        self.position = self.target;
        self.seal(&mut octets);
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        open.file.write_all(&octets)?;
        open.octets += octets.len() as u64;
        self.status.octets += octets.len() as u64;
        Ok(())
    }

    fn push_extra(&mut self, place: usize, octets: &mut Vec<u8>) {
        let Some(extra) = self.extra.get(place).cloned() else {
            return;
        };
        match &extra {
            Extra::Entry(entry) => self.push(entry, octets),
            Extra::Gap(gap) => {
                if let Some(open) = &mut self.open {
                    open.blocks.push_gap(gap);
                }
            }
            Extra::Mark(mark) => {
                if let Some(open) = &mut self.open {
                    open.blocks.push_mark(mark);
                }
            }
        }
    }

    /// In the order of time, and in one second in that of each partition's commits: records of one
    /// partition come from several workers, and the tracker is to see as few of them as possible out of
    /// their order.
    fn push_records(&mut self, octets: &mut Vec<u8>) {
        let mut entries = Vec::new();
        let fresh = self.records.get(self.done.0..).unwrap_or_default();
        for_each_entry(split(fresh), Timestamp::NEVER, |entry| entries.push(entry));
        entries.sort_by_key(|entry| (entry.time, entry.partition, entry.generation));
        for entry in &entries {
            self.push(entry, octets);
        }
    }

    fn push(&mut self, entry: &Entry, octets: &mut Vec<u8>) {
        if !self.tracker.is_new(entry.partition, entry.generation) {
            return;
        }
        let Some(open) = &mut self.open else { return };
        self.tracker.add(entry.partition, entry.generation);
        open.blocks.push(entry);
        self.last = self.last.max(entry.time);
        self.status.entries += 1;
        if open.blocks.len() >= BLOCK_OCTETS {
            self.seal(octets);
        }
    }

    fn seal(&mut self, octets: &mut Vec<u8>) {
        let Some(open) = &mut self.open else { return };
        if open.blocks.is_empty() && self.sealed_position == Some(self.position) {
            return;
        }
        open.blocks.seal(self.position, &mut self.tracker, octets);
        self.sealed_position = Some(self.position);
        self.status.blocks += 1;
    }

    /// Brings everything to stable storage that was written.
    ///
    /// # Errors
    /// As for [`Writer::write`].
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        open.file.sync_data()?;
        self.synced = End {
            segment: open.name.number + 1,
            block: open.blocks.number(),
            hash: open.blocks.hash(),
            octets: open.octets,
            position: self.position,
            tracker: self.tracker.clone(),
            last: self.last,
        };
        self.records.drain(..self.done.0);
        self.extra.drain(..self.done.1);
        self.done = (0, 0);
        Ok(())
    }

    /// The disk did not take something: nothing is believed that was not synced.
    pub(super) fn give_up(&mut self) {
        self.open = None;
        self.done = (0, 0);
        self.tracker = self.synced.tracker.clone();
        self.position = self.synced.position;
    }

    fn begin_segment(&mut self, now: Timestamp) -> io::Result<()> {
        files::make_directory(&self.directory)?;
        let header = SegmentHeader {
            identity: self.identity,
            number: self.synced.segment,
            created: now,
            previous: self.synced.hash,
            previous_octets: self.synced.octets,
            first_block: self.synced.block,
            partitions: self.tracker.partitions(),
        };
        let name = SegmentName::new(&self.directory, &header);
        // An attempt of a moment ago may have failed half way; nothing in it counts.
        let stale = files::list(&self.directory)?;
        for stale in stale.iter().filter(|it| it.number == name.number) {
            files::remove(stale)?;
        }
        let mut file = files::create(&name.path)?;
        file.write_all(&header.octets())?;
        file.sync_all()?;
        files::sync_directory(&self.directory)?;
        // From here on there is a segment of this number; one that is given up is followed by the next.
        self.synced.segment += 1;
        self.synced.hash = header.hash();
        self.synced.octets = SEGMENT_HEADER_OCTETS as u64;
        self.sealed_position = None;
        self.open = Some(Open {
            name,
            file,
            blocks: BlockWriter::new(&header),
            octets: SEGMENT_HEADER_OCTETS as u64,
            created: now,
        });
        Ok(())
    }

    /// Whether the segment is large or of another day.
    pub(super) fn is_rotation_due(&self, now: Timestamp) -> bool {
        self.open.as_ref().is_some_and(|open| {
            open.octets >= self.settings.segment_octets
                || (open.blocks.sealed() > 1 && open.created.0 / DAY_SECONDS != now.0 / DAY_SECONDS)
        })
    }

    /// Ends the segment, after a sync: it gets its index, and its last hash goes to the log, which is best
    /// kept elsewhere.
    ///
    /// # Errors
    /// Those of the system. The segment is ended all the same; the next start makes its index.
    pub(super) fn end_segment(&mut self) -> io::Result<()> {
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        tracing::info!(
            segment = open.name.number,
            block = self.synced.block.saturating_sub(1),
            hash = %self.synced.hash,
            octets = open.octets,
            "a segment of the lease history is complete"
        );
        let octets = open.name.read()?;
        if let Err(broken) = files::write_index(&open.name, &octets)? {
            return Err(io::Error::other(format!(
                "{}: {broken}, right after it was written",
                open.name.path.display()
            )));
        }
        files::sync_directory(&self.directory)
    }

    /// Deletes segments that are older than the operator keeps them, or more than he has room for, the
    /// oldest first. That they were deleted is in the chain before they are.
    ///
    /// # Errors
    /// Those of the system.
    pub(super) fn retain(&mut self, now: Timestamp) -> io::Result<()> {
        let segments = files::list(&self.directory)?;
        let mut sizes = Vec::new();
        for segment in &segments {
            let index = std::fs::metadata(segment.index()).map_or(0, |it| it.len());
            sizes.push(std::fs::metadata(&segment.path)?.len() + index);
        }
        let mut all: u64 = sizes.iter().sum();
        let keep_from = now
            .0
            .saturating_sub(u64::from(self.settings.retention_days) * DAY_SECONDS);
        let mut old = 0;
        let mut begun = None;
        for (place, size) in sizes.iter().enumerate() {
            // A segment ends where the next one begins. The last one is being written.
            let Some(next) = segments.get(place + 1) else {
                break;
            };
            let ended = next.header()?.map_or(u64::MAX, |header| header.created.0);
            if ended >= keep_from && all <= self.settings.octets_max {
                break;
            }
            all -= size;
            old = place + 1;
        }
        let (old, kept) = segments.split_at_checked(old).unwrap_or_default();
        if let (Some(last), Some(next)) = (old.last(), kept.first())
            && let Ok(header) = next.header()?
        {
            self.extra.push(Extra::Mark(Mark::Pruned {
                time: now,
                segment: last.number,
                hash: header.previous,
            }));
            self.write(now)?;
            self.sync()?;
            for segment in old {
                files::remove(segment)?;
            }
            tracing::info!(
                segments = old.len(),
                last = last.number,
                "old segments of the lease history were deleted"
            );
        }
        if let Some(first) = kept.first() {
            begun = first.header()?.ok().map(|header| header.created);
        }
        self.status.segments = kept.len() as u64;
        self.status.segments_octets = all;
        self.status.oldest = begun;
        Ok(())
    }
}
