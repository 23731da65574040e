//! The thread that writes the history, from the start of the server to its end.

use super::files;
use super::intake::Intake;
use super::recover::{self, Recovered};
use super::writer::{Extra, Writer};
use super::{HistorySettings, directory};
use crate::clock::Clock;
use crossbeam::sync::Parker;
use dhcp_lease::history::{Entry, Gap, Mark, Reason, for_each_entry};
use dhcp_lease::{Partitions, StoreHeader, Timestamp, journal};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often what was handed over goes into a block and to the system: what the death of the process
/// cannot undo.
const WRITE_INTERVAL: Duration = Duration::from_millis(250);
/// How often it goes to stable storage, if no checkpoint asks before.
const SYNC_INTERVAL: Duration = Duration::from_secs(5);
/// How long after a failure the disk is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// How often retention looks.
const RETAIN_INTERVAL: Duration = Duration::from_secs(600);
/// How often it is logged, at most, that something is still amiss.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);
/// Slots that a search looks at under one lock.
const SLOTS_PER_VISIT: u32 = 64;
/// Slots that a search in the background looks at between two writes.
const SLOTS_PER_STEP: u32 = 1 << 16;
/// Entries that a search or a replay finds before they are written.
const FOUND_MAX: usize = 1 << 16;

/// What the history needs of a store that was just opened and has not begun to serve.
#[derive(Clone, Copy, Debug)]
pub struct Opened<'a> {
    /// Its identity.
    pub header: &'a StoreHeader,
    /// Its bindings, recovered.
    pub partitions: &'a Arc<Partitions>,
    /// The journal as it was found.
    pub journal: &'a [u8],
    /// The number of the journal's next batch.
    pub next_sequence: u64,
    /// Server time.
    pub clock: Clock,
}

/// The thread, for its owner.
#[derive(Debug)]
pub struct Keeper {
    intake: Arc<Intake>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Where commits go.
    pub fn intake(&self) -> &Arc<Intake> {
        &self.intake
    }
}

impl Drop for Keeper {
    /// Ends the history in good order.
    fn drop(&mut self) {
        self.intake.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Begins to write the history of a store: first what it lacks of what the store has, and returns when
/// that is on stable storage. A history that is only just begun, with all that the store holds, is
/// written while the server serves. `workers` is how many threads commit.
///
/// # Errors
/// Those of the system when there is no thread. A disk that does not take the history is no error: that
/// is in the status, and tried again.
pub fn start(
    state_dir: &Path,
    settings: &HistorySettings,
    workers: usize,
    opened: &Opened<'_>,
) -> io::Result<Keeper> {
    let parker = Parker::new();
    let intake = Arc::new(Intake::new(workers, settings, parker.unparker().clone()));
    let mut history = History {
        directory: directory(state_dir),
        settings: settings.clone(),
        identity: opened.header.identity,
        partitions: Arc::clone(opened.partitions),
        intake: Arc::clone(&intake),
        clock: opened.clock,
        writer: None,
        search: None,
        synced: Instant::now(),
        retained: None,
        retry_at: None,
        complained: None,
        spare: Vec::new(),
    };
    if let Err(error) = history.open(Some(opened)) {
        history.fail(&error);
    }
    history.tell();
    let thread = std::thread::Builder::new()
        .name("history".to_owned())
        .spawn(move || history.run(&parker))?;
    Ok(Keeper {
        intake,
        thread: Some(thread),
    })
}

/// A search of the tables for commits that the history does not have.
#[derive(Clone, Debug)]
struct Search {
    partition: u32,
    slot: u32,
    /// Where each partition was when it began.
    generations: Vec<u64>,
    /// Why what is not found is missing; `None`: it is older than the history.
    missing: Option<Reason>,
}

struct History {
    directory: PathBuf,
    settings: HistorySettings,
    identity: [u8; 16],
    partitions: Arc<Partitions>,
    intake: Arc<Intake>,
    clock: Clock,
    writer: Option<Writer>,
    search: Option<Search>,
    synced: Instant,
    retained: Option<Instant>,
    retry_at: Option<Instant>,
    complained: Option<Instant>,
    spare: Vec<u8>,
}

impl History {
    /// Finds where the history goes on. With `opened`, brings it up to what the store has.
    fn open(&mut self, opened: Option<&Opened<'_>>) -> io::Result<()> {
        let now = self.clock.now();
        let partitions = self.partitions.len() as u32;
        files::make_directory(&self.directory)?;
        let mut recovered = recover::recover(&self.directory, self.identity, partitions, now)?;
        let generations = self.generations();
        let is_ahead =
            |(number, generation): (u32, &u64)| recovered.end.tracker.top(number) > *generation;
        if (0..).zip(&generations).any(is_ahead) {
            recovered.goes_back(partitions, now);
        }
        let Recovered {
            end,
            is_first,
            was_stopped,
            extra,
        } = recovered;
        let directory = self.directory.clone();
        let since = end.last;
        let mut writer = Writer::new(directory, self.identity, self.settings.clone(), end);
        writer.take_extra(Extra::Mark(Mark::Started { time: now }));
        extra.into_iter().for_each(|it| writer.take_extra(it));
        if let Some(opened) = opened {
            replay(&mut writer, opened, now)?;
            writer.set_position(opened.next_sequence);
        }
        let missing = match (is_first, was_stopped) {
            (true, _) => None,
            (false, true) => Some(Reason::Unrecorded),
            (false, false) => Some(Reason::Overwritten),
        };
        let has_all = (0..)
            .zip(&generations)
            .all(|(number, generation)| writer.tracker().has_all(number, *generation));
        self.writer = Some(writer);
        self.search = (!has_all).then_some(Search {
            partition: 0,
            slot: 0,
            generations,
            missing,
        });
        while opened.is_some() && !is_first && self.search.is_some() {
            self.search(since)?;
        }
        self.write_and_sync()
    }

    fn generations(&self) -> Vec<u64> {
        let all = 0..self.partitions.len();
        all.map(|number| self.partitions.lock(number).map_or(0, |it| it.generation()))
            .collect()
    }

    fn run(mut self, parker: &Parker) {
        loop {
            let is_closing = self.intake.is_closing();
            match self.step(is_closing) {
                Ok(has_tried) if has_tried => self.recovered(),
                Ok(_) => {}
                Err(error) => self.fail(&error),
            }
            self.tell();
            if is_closing {
                return;
            }
            parker.park_timeout(WRITE_INTERVAL);
        }
    }

    /// Takes what was handed over and writes what is due. Whether the disk was tried.
    fn step(&mut self, is_closing: bool) -> io::Result<bool> {
        let now = self.clock.now();
        let is_wanted = self.intake.is_wanted();
        let is_early = self.retry_at.is_some_and(|at| at > Instant::now());
        if is_early && !is_closing {
            self.collect(now);
            return Ok(false);
        }
        if self.writer.is_none() {
            self.open(None)?;
        }
        self.collect(now);
        if self.search.is_some() && self.retry_at.is_none() {
            self.search(now)?;
        }
        let Some(writer) = &mut self.writer else {
            return Ok(false);
        };
        if writer.has_lost() && self.search.is_none() {
            // The tables have of it what was not changed since.
            self.search = Some(Search {
                partition: 0,
                slot: 0,
                generations: Vec::new(),
                missing: None,
            });
        }
        if is_closing {
            writer.take_extra(Extra::Mark(Mark::Stopped { time: now }));
            self.write_and_sync()?;
            self.writer.as_mut().map_or(Ok(()), Writer::end_segment)?;
            return Ok(true);
        }
        if writer.is_unsynced() {
            writer.write(now)?;
        }
        let is_due = is_wanted || writer.is_sync_due() || self.synced.elapsed() >= SYNC_INTERVAL;
        if is_due && writer.is_unsynced() {
            self.write_and_sync()?;
        }
        self.rotate(now)?;
        Ok(true)
    }

    fn collect(&mut self, now: Timestamp) {
        let Some(writer) = &mut self.writer else {
            return;
        };
        let pending = self.intake.collect(std::mem::take(&mut self.spare));
        writer.take(&pending, now);
        self.intake.tell_feed(&pending, self.clock.now());
        self.spare = pending.records;
    }

    fn write_and_sync(&mut self) -> io::Result<()> {
        let now = self.clock.now();
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        writer.write(now)?;
        writer.sync()?;
        self.synced = Instant::now();
        self.intake.cover(writer.covered());
        Ok(())
    }

    fn rotate(&mut self, now: Timestamp) -> io::Result<()> {
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        let is_over = writer.is_rotation_due(now);
        if is_over {
            self.write_and_sync()?;
            self.writer.as_mut().map_or(Ok(()), Writer::end_segment)?;
        }
        if is_over
            || self
                .retained
                .is_none_or(|at| at.elapsed() >= RETAIN_INTERVAL)
        {
            self.retained = Some(Instant::now());
            let retained = self.writer.as_mut().map_or(Ok(()), |it| it.retain(now));
            retained?;
        }
        Ok(())
    }

    /// Looks at some slots for commits that the history does not have.
    fn search(&mut self, since: Timestamp) -> io::Result<()> {
        let now = self.clock.now();
        let (Some(search), Some(writer)) = (&mut self.search, &mut self.writer) else {
            return Ok(());
        };
        let mut found: Vec<Entry> = Vec::new();
        let mut looked = 0;
        while looked < SLOTS_PER_STEP && found.len() < FOUND_MAX {
            let Some(partition) = self.partitions.lock(search.partition as usize) else {
                break;
            };
            let slots = search.slot..search.slot + SLOTS_PER_VISIT;
            search.slot = slots.end;
            looked += SLOTS_PER_VISIT;
            // A record of a moment ago may be of a clock that is a second ahead of this one.
            let limit = now.after(2);
            let more = partition.unrecorded(slots, writer.tracker(), limit, |entry| {
                found.push(entry);
            });
            if !more {
                search.partition += 1;
                search.slot = 0;
            }
        }
        found.sort_by_key(|entry| (entry.time, entry.partition, entry.generation));
        for entry in found {
            writer.take_extra(Extra::Entry(Box::new(entry)));
        }
        writer.write(now)?;
        if search.partition < self.partitions.len() as u32 {
            return Ok(());
        }
        let mut commits = 0;
        for (number, generation) in (0..).zip(&search.generations) {
            commits += writer.tracker_mut().settle(number, *generation);
        }
        if let Some(reason) = search.missing.filter(|_| commits > 0) {
            tracing::warn!(commits, "commits are missing in the lease history");
            writer.take_extra(Extra::Gap(Gap {
                from: since,
                to: now,
                reason,
                commits,
            }));
        }
        self.search = None;
        Ok(())
    }

    fn fail(&mut self, error: &io::Error) {
        self.retry_at = Some(Instant::now() + RETRY_INTERVAL);
        if self
            .complained
            .is_none_or(|at| at.elapsed() >= COMPLAINT_INTERVAL)
        {
            self.complained = Some(Instant::now());
            tracing::error!(
                directory = %self.directory.display(),
                %error,
                is_required = self.settings.is_required,
                "the lease history cannot be written"
            );
        }
        if let Some(writer) = &mut self.writer {
            writer.give_up();
            writer.set_trouble(Some(error.to_string()));
        } else {
            let trouble = Some(error.to_string());
            self.intake.tell(super::HistoryStatus {
                trouble,
                ..self.intake.status()
            });
        }
    }

    fn recovered(&mut self) {
        self.retry_at = None;
        if let Some(writer) = &mut self.writer
            && writer.status().trouble.is_some()
        {
            self.complained = None;
            writer.set_trouble(None);
            tracing::info!("the lease history can be written again");
        }
    }

    fn tell(&self) {
        if let Some(writer) = &self.writer {
            self.intake.tell(writer.status());
        }
    }
}

/// What the journal has and the history does not.
fn replay(writer: &mut Writer, opened: &Opened<'_>, now: Timestamp) -> io::Result<()> {
    let batches = journal::replay(opened.header, opened.journal).map_err(io::Error::other)?;
    let mut found = Vec::new();
    let mut since_write = 0;
    for batch in batches {
        // Of these each was durable, so none is of a clock that has not been.
        for_each_entry(batch.records(), Timestamp::NEVER, |entry| found.push(entry));
        for entry in found.drain(..) {
            if writer.is_new(entry.partition, entry.generation) {
                writer.take_extra(Extra::Entry(Box::new(entry)));
                since_write += 1;
            }
        }
        if since_write >= FOUND_MAX {
            since_write = 0;
            writer.write(now)?;
            writer.sync()?;
        }
    }
    writer.write(now)
}
