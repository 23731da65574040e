//! The journal as a file: what [`Journal`] plans is done here.
//!
//! Invariants:
//! - One thing at a time is written to the journal, a group or a copy of the header, and nothing else
//!   before it is on stable storage. So when a sync fails, all that is in doubt is that one thing, it is
//!   still in memory, and the next attempt writes every octet of it anew.
//! - The tail moves only when every table was synced without an error after the stores that it passes.

use crate::commit::{Cause, Settlements, Storage, Submission, Trouble};
use crate::disk::{Disk, DiskFile, NotSynced, Syncing, sync_all};
use dhcp_lease::ChangeLog;
use dhcp_lease::journal::{Cursor, HeaderWrite, Journal};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How soon to look again while a checkpoint is under way.
const CHECKPOINT_PAUSE: Duration = Duration::from_millis(1);
/// How soon to look again when nothing is.
const IDLE_PAUSE: Duration = Duration::from_secs(1);

/// The journal as a file, with the tables that its checkpoints sync.
pub struct JournalFile {
    disk: Arc<dyn Disk>,
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
}

impl JournalFile {
    /// A journal that goes on with `plan`, whose header is still to be written.
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        file: Arc<dyn DiskFile>,
        plan: Journal,
        tables: Vec<Arc<dyn DiskFile>>,
    ) -> Self {
        let head = plan.head();
        Self {
            disk,
            file,
            plan,
            tables,
            checkpoint: Checkpoint::Idle,
            handed_back: head,
            tail: head,
            places: Vec::new(),
        }
    }

    /// Writes and syncs a copy of the header.
    pub(super) fn write_header(&self, write: &HeaderWrite) -> io::Result<()> {
        self.file.write_at(&[&write.octets], write.position)?;
        self.file.sync_data()
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
    fn advance(&mut self, is_wanted: bool, settlements: &Settlements) -> Result<(), Trouble> {
        self.checkpoint = match std::mem::replace(&mut self.checkpoint, Checkpoint::Idle) {
            Checkpoint::Idle if is_wanted && self.handed_back != self.tail => {
                Checkpoint::Settling {
                    to: self.handed_back,
                    settled: settlements.handed_back().to_vec(),
                }
            }
            Checkpoint::Idle => Checkpoint::Idle,
            Checkpoint::Settling { to, settled } if settlements.have_settled(&settled) => {
                match self.disk.sync_beside(self.tables.clone()) {
                    Ok(syncing) => Checkpoint::Syncing { to, syncing },
                    Err(error) => {
                        return Err(Trouble::new(Cause::TableSync, self.file.path(), &error));
                    }
                }
            }
            Checkpoint::Syncing { to, mut syncing } => match syncing.outcome() {
                None => Checkpoint::Syncing { to, syncing },
                Some(Ok(())) => Checkpoint::Announcing { to },
                Some(Err(NotSynced { path, error })) => {
                    return Err(Trouble::new(Cause::TableSync, &path, &error));
                }
            },
            settling @ Checkpoint::Settling { .. } => settling,
            announcing @ Checkpoint::Announcing { .. } => announcing,
        };
        if let Checkpoint::Announcing { to } = self.checkpoint {
            let write = self.plan.checkpoint(to);
            self.write_header(&write)
                .map_err(self.trouble(Cause::JournalHeader))?;
            self.plan.advanced(to);
            self.tail = to;
            self.checkpoint = Checkpoint::Idle;
        }
        Ok(())
    }
}

impl Storage for JournalFile {
    fn place(&mut self, log: &mut ChangeLog) -> Option<u64> {
        let placed = self.plan.append(log).ok()?;
        self.places.push(placed.position);
        Some(placed.after.sequence)
    }

    fn commit(&mut self, group: &[Submission]) -> Result<(), Trouble> {
        let mut pieces: Vec<&[u8]> = Vec::with_capacity(group.len());
        let mut start = 0;
        let mut end = 0;
        for (submission, &position) in group.iter().zip(&self.places) {
            if position != end && !pieces.is_empty() {
                self.file
                    .write_at(&pieces, start)
                    .map_err(self.trouble(Cause::JournalWrite))?;
                pieces.clear();
            }
            if pieces.is_empty() {
                start = position;
            }
            let octets = submission.log.octets();
            end = position + octets.len() as u64;
            pieces.push(octets);
        }
        self.file
            .write_at(&pieces, start)
            .map_err(self.trouble(Cause::JournalWrite))?;
        self.file
            .sync_data()
            .map_err(self.trouble(Cause::JournalSync))?;
        self.places.clear();
        Ok(())
    }

    fn between_groups(
        &mut self,
        settlements: &Settlements,
        is_full: bool,
    ) -> Result<Duration, Trouble> {
        self.handed_back = self.plan.head();
        self.advance(is_full || self.plan.is_checkpoint_due(), settlements)?;
        Ok(match self.checkpoint {
            Checkpoint::Idle if !is_full => IDLE_PAUSE,
            _ => CHECKPOINT_PAUSE,
        })
    }

    /// A quarter of the ring: while there is no room for the next log, what was handed back before it is
    /// the most of the rest, and a checkpoint makes room.
    fn group_octets_max(&self) -> u64 {
        self.file.octets() / 4
    }

    fn finish(&mut self) -> Result<(), Trouble> {
        let not_synced = |NotSynced { path, error }| Trouble::new(Cause::TableSync, &path, &error);
        if let Checkpoint::Syncing { syncing, .. } =
            std::mem::replace(&mut self.checkpoint, Checkpoint::Idle)
        {
            syncing.wait().map_err(not_synced)?;
        }
        sync_all(&self.tables).map_err(not_synced)?;
        let to = self.plan.head();
        self.write_header(&self.plan.checkpoint(to))
            .map_err(self.trouble(Cause::JournalHeader))?;
        self.plan.advanced(to);
        Ok(())
    }
}
