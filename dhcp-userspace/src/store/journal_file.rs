//! The journal as a file: what [`Journal`] plans is done here.
//!
//! Invariants:
//! - One thing at a time is written to the journal, a group or a copy of the header, and nothing else
//!   before it is on stable storage. So when a sync fails, all that is in doubt is that one thing, it is
//!   still in memory, and the next attempt writes every octet of it anew.
//! - The tail moves only when every table was synced without an error after the stores that it passes.

use super::renewal::Renewal;
use super::{crew, snapshot};
use crate::commit::{Cause, Settlements, Storage, Submission, Trouble};
use crate::disk::{Disk, DiskFile, NotSynced, Pages, Syncing, sync_all};
use crate::history::Intake;
use dhcp_lease::headers::StoreHeader;
use dhcp_lease::journal::{Cursor, HeaderWrite, Journal};
use dhcp_lease::snapshot::{Circumstances, take};
use dhcp_lease::{ChangeLog, Durability, Partitions, Pools, Timestamp};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How soon to look again while a checkpoint is under way.
const CHECKPOINT_PAUSE: Duration = Duration::from_millis(1);
/// How long the end of the server waits for the history. If it takes longer, the tail stays where it is
/// and the next start finds in the journal what the history lacks.
const HISTORY_PATIENCE: Duration = Duration::from_secs(10);
/// How soon to look again when nothing is.
const IDLE_PAUSE: Duration = Duration::from_secs(1);
/// How often it is looked whether the files are still those of their names.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// How long after a table could not be synced it is tried again. Each time that it was stored anew in
/// vain, twice as long, up to the second.
const AILING_PAUSE: Duration = Duration::from_millis(200);
const AILING_PAUSE_MAX: Duration = Duration::from_secs(10);
/// Under durability "process": how often the tables are synced. The system writes them in the same time
/// anyway; a sync says whether it could.
const SYNC_INTERVAL: Duration = Duration::from_secs(30);

/// The journal as a file, with the tables that its checkpoints sync.
pub struct JournalFile {
    disk: Arc<dyn Disk>,
    header: StoreHeader,
    partitions: Arc<Partitions>,
    file: Arc<dyn DiskFile>,
    plan: Journal,
    tables: Vec<Arc<dyn DiskFile>>,
    checkpoint: Checkpoint,
    /// After the last group that was handed back: what lies beyond is not yet written, or nobody had a
    /// chance to settle it, and no checkpoint may pass it.
    handed_back: Cursor,
    /// Where the last checkpoint moved the tail.
    tail: Cursor,
    /// Where each log of the group under way goes.
    places: Vec<u64>,
    /// What is being written, in one piece.
    pages: Pages,
    /// Who keeps the history, if anybody: no tail moves past what it does not have.
    history: Option<Arc<Intake>>,
    /// Why the tables are not synced at the moment. Commits go on as long as there is room.
    ailment: Option<Trouble>,
    /// How often the tables were stored anew in vain.
    renewals: u32,
    checked_at: Duration,
    synced_at: Duration,
    /// Everything is on stable storage, and nothing more will come.
    is_closed: bool,
}

/// How far a checkpoint has come.
enum Checkpoint {
    /// None is under way.
    Idle,
    /// Every worker has still to settle what it was given back until then.
    Settling { to: Cursor, settled: Vec<u64> },
    /// The tables are being synced.
    Syncing {
        to: Cursor,
        syncing: Box<dyn Syncing>,
    },
    /// They are; the new header is to be written.
    Announcing { to: Cursor },
    /// They could not be synced; it is no use to try before this.
    Ailing { until: Duration },
    /// A page of each is being synced, to see whether the disk works again.
    Probing { syncing: Box<dyn Syncing> },
    /// It does; what changed since the last checkpoint is stored anew.
    Renewing(Renewal),
}

impl JournalFile {
    /// A journal that goes on with `plan`, whose header is still to be written.
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        header: StoreHeader,
        partitions: Arc<Partitions>,
        file: Arc<dyn DiskFile>,
        plan: Journal,
        tables: Vec<Arc<dyn DiskFile>>,
    ) -> Self {
        let (head, tail) = (plan.head(), plan.tail());
        Self {
            disk,
            header,
            partitions,
            file,
            plan,
            tables,
            // What opening stored into the tables is not synced yet, and nobody waits for that.
            checkpoint: Checkpoint::Settling {
                to: head,
                settled: Vec::new(),
            },
            handed_back: head,
            tail,
            places: Vec::new(),
            pages: Pages::default(),
            history: None,
            ailment: None,
            renewals: 0,
            checked_at: Duration::ZERO,
            synced_at: Duration::ZERO,
            is_closed: false,
        }
    }

    /// From now on gives the history what is durable, and waits for it before the tail moves.
    pub fn keep_history(&mut self, history: Arc<Intake>) {
        self.history = Some(history);
    }

    fn is_in_history(&self, to: Cursor) -> bool {
        let history = self.history.as_ref();
        history.is_none_or(|history| history.covers(to.sequence))
    }

    /// Writes and syncs a copy of the header.
    pub(super) fn write_header(&self, write: &HeaderWrite) -> io::Result<()> {
        self.file.write_at(&[&write.octets], write.position)?;
        self.file.sync_data()
    }

    /// After the end: spares the next start the look at every slot. Nobody may use the store any more, and
    /// offers end. Without a snapshot the next start takes longer, and that is all.
    pub fn keep_snapshot(&self, pools: &Pools, now: Timestamp) {
        if !self.is_closed {
            return;
        }
        let crew = |work: &(dyn Fn() + Sync)| crew::run(self.disk.threads(), work);
        let Ok(files) = snapshot::stamp(&self.header, &self.tables) else {
            return;
        };
        let circumstances = Circumstances {
            files,
            journal_header: self.plan.header_number(),
            journal: self.plan.head(),
        };
        let (header, partitions) = (&self.header, &self.partitions);
        let taken = take(header, partitions, pools, &circumstances, now, &crew);
        let Some(octets) = taken else { return };
        if let Err(error) = self.disk.write_whole(snapshot::NAME, &octets) {
            tracing::warn!(%error, "no snapshot was kept; the next start looks at every slot");
        }
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> u64 {
        self.plan.used()
    }

    fn trouble(&self, cause: Cause) -> impl FnOnce(io::Error) -> Trouble {
        let path = self.file.path();
        move |error| Trouble::new(cause, path, &error)
    }

    /// Brings the checkpoint on by whatever is ready; begins one if `is_wanted`.
    fn advance(
        &mut self,
        is_wanted: bool,
        settlements: &Settlements,
        now: Duration,
    ) -> Result<(), Trouble> {
        let checkpoint = std::mem::replace(&mut self.checkpoint, Checkpoint::Idle);
        self.checkpoint = match checkpoint {
            Checkpoint::Idle if is_wanted => Checkpoint::Settling {
                to: self.handed_back,
                settled: settlements.handed_back().to_vec(),
            },
            Checkpoint::Settling { to, settled }
                if settlements.have_settled(&settled) && self.is_in_history(to) =>
            {
                match self.sync_tables() {
                    Ok(syncing) => Checkpoint::Syncing { to, syncing },
                    Err(trouble) => self.ail(trouble, now),
                }
            }
            Checkpoint::Syncing { to, mut syncing } => match syncing.outcome() {
                None => Checkpoint::Syncing { to, syncing },
                Some(Ok(())) => Checkpoint::Announcing { to },
                Some(Err(error)) => self.ail(not_synced(error), now),
            },
            Checkpoint::Ailing { until } if now >= until => self.probe(now),
            Checkpoint::Probing { mut syncing } => match syncing.outcome() {
                None => Checkpoint::Probing { syncing },
                Some(Ok(())) => Checkpoint::Renewing(self.renewal()),
                Some(Err(error)) => self.ail(not_synced(error), now),
            },
            Checkpoint::Renewing(renewal) => self.renew(renewal, settlements, now),
            other @ (Checkpoint::Idle
            | Checkpoint::Settling { .. }
            | Checkpoint::Announcing { .. }
            | Checkpoint::Ailing { .. }) => other,
        };
        if let Checkpoint::Announcing { to } = self.checkpoint {
            self.announce(to)?;
            self.checkpoint = Checkpoint::Idle;
            self.ailment = None;
            self.renewals = 0;
            self.synced_at = now;
        }
        Ok(())
    }

    fn sync_tables(&self) -> Result<Box<dyn Syncing>, Trouble> {
        let no_thread = |error| Trouble::new(Cause::TableSync, &self.disk.path(""), &error);
        self.disk
            .sync_beside(self.tables.clone())
            .map_err(no_thread)
    }

    /// Moves the tail: the tables have all that lies before it.
    fn announce(&mut self, to: Cursor) -> Result<(), Trouble> {
        // What was synced must also be what the next start finds.
        self.check_files()?;
        if to != self.tail {
            let write = self.plan.checkpoint(to);
            self.write_header(&write)
                .map_err(self.trouble(Cause::JournalHeader))?;
            self.plan.advanced(to);
            self.tail = to;
        }
        Ok(())
    }

    fn ail(&mut self, trouble: Trouble, now: Duration) -> Checkpoint {
        self.ailment = Some(trouble);
        let pause = AILING_PAUSE * 2u32.saturating_pow(self.renewals.min(16));
        Checkpoint::Ailing {
            until: now + pause.min(AILING_PAUSE_MAX),
        }
    }

    /// Storing everything anew is much work: first it is tried with a page of each table.
    fn probe(&mut self, now: Duration) -> Checkpoint {
        for partition in 0..self.partitions.len() {
            self.partitions.touch_up(partition, 0, 1);
        }
        match self.sync_tables() {
            Ok(syncing) => Checkpoint::Probing { syncing },
            Err(trouble) => self.ail(trouble, now),
        }
    }

    fn renewal(&mut self) -> Renewal {
        self.renewals += 1;
        match self.partitions.durability() {
            Durability::Power => Renewal::through_journal(self.tail, self.handed_back),
            Durability::Process => Renewal::through_tables(),
        }
    }

    fn renew(
        &mut self,
        mut renewal: Renewal,
        settlements: &Settlements,
        now: Duration,
    ) -> Checkpoint {
        match renewal.step(&*self.file, &self.header, &self.partitions) {
            Ok(false) => Checkpoint::Renewing(renewal),
            // What is settled from now on is stored after the sync that failed.
            Ok(true) => Checkpoint::Settling {
                to: self.handed_back,
                settled: settlements.handed_back().to_vec(),
            },
            Err(error) => self.ail(self.trouble(Cause::JournalRead)(error), now),
        }
    }

    fn is_checkpoint_wanted(&self, is_full: bool, now: Duration) -> bool {
        match self.partitions.durability() {
            Durability::Power => {
                (is_full || self.plan.is_checkpoint_due()) && self.handed_back != self.tail
            }
            Durability::Process => now.saturating_sub(self.synced_at) >= SYNC_INTERVAL,
        }
    }

    /// Whether all files are still those of their names, and as long as they should be.
    fn check_files(&self) -> Result<(), Trouble> {
        check(&*self.file)?;
        self.tables.iter().try_for_each(|table| check(&**table))
    }
}

fn check(file: &dyn DiskFile) -> Result<(), Trouble> {
    file.check().map_err(|error| {
        let cause = match error.kind() {
            io::ErrorKind::UnexpectedEof => Cause::FileShort,
            _ => Cause::FileGone,
        };
        Trouble::new(cause, file.path(), &error)
    })
}

fn not_synced(NotSynced { path, error }: NotSynced) -> Trouble {
    Trouble::new(Cause::TableSync, &path, &error)
}

impl Storage for JournalFile {
    fn place(&mut self, log: &mut ChangeLog) -> Option<u64> {
        let placed = self.plan.append(log).ok()?;
        self.places.push(placed.position);
        Some(placed.after.sequence)
    }

    fn commit(&mut self, group: &[Submission]) -> Result<(), Trouble> {
        // Where the ring ends, the rest of a group goes to its beginning.
        let mut logs = group.iter().zip(&self.places).peekable();
        while let Some(&(_, &start)) = logs.peek() {
            let mut end = start;
            let follows = |(submission, position): &(&Submission, &u64)| {
                let is_next = **position == end;
                end += submission.log.octets().len() as u64;
                is_next
            };
            let run = logs.clone().take_while(follows).count();
            let octets = logs.clone().take(run);
            self.pages
                .fill(octets.map(|(submission, _)| submission.log.octets()));
            self.file
                .write_pages(self.pages.octets(), start)
                .map_err(self.trouble(Cause::JournalWrite))?;
            logs.by_ref().take(run).for_each(drop);
        }
        self.file
            .sync_data()
            .map_err(self.trouble(Cause::JournalSync))?;
        // What was written to a file that nobody will find again is not durable.
        check(&*self.file)?;
        self.plan.all_is_durable();
        self.places.clear();
        if let Some(history) = &self.history {
            history.take(group);
        }
        Ok(())
    }

    fn between_groups(
        &mut self,
        settlements: &Settlements,
        is_full: bool,
        now: Duration,
    ) -> Result<Duration, Trouble> {
        self.handed_back = self.plan.head();
        if now.saturating_sub(self.checked_at) >= CHECK_INTERVAL {
            self.check_files()?;
            self.checked_at = now;
        }
        self.advance(self.is_checkpoint_wanted(is_full, now), settlements, now)?;
        Ok(match self.checkpoint {
            Checkpoint::Idle if !is_full => IDLE_PAUSE,
            Checkpoint::Renewing(_) => Duration::ZERO,
            Checkpoint::Ailing { until } => until.saturating_sub(now),
            _ => CHECKPOINT_PAUSE,
        })
    }

    fn ailment(&self) -> Option<&Trouble> {
        self.ailment.as_ref()
    }

    /// A quarter of the ring: while there is no room for the next log, what was handed back before it is
    /// the most of the rest, and a checkpoint makes room.
    fn group_octets_max(&self) -> u64 {
        self.file.octets() / 4
    }

    fn finish(&mut self) -> Result<(), Trouble> {
        if let Some(ailment) = &self.ailment {
            return Err(ailment.clone());
        }
        if let Checkpoint::Syncing { syncing, .. } =
            std::mem::replace(&mut self.checkpoint, Checkpoint::Idle)
        {
            syncing.wait().map_err(not_synced)?;
        }
        sync_all(&self.tables).map_err(not_synced)?;
        let to = self.plan.head();
        let deadline = Instant::now() + HISTORY_PATIENCE;
        while !self.is_in_history(to) {
            if Instant::now() > deadline {
                tracing::warn!("the lease history is behind; the next start completes it");
                return Ok(());
            }
            std::thread::sleep(CHECKPOINT_PAUSE);
        }
        self.announce(to)?;
        self.is_closed = true;
        Ok(())
    }
}
