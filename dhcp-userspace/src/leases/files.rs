//! The lease store of a state directory, read without owning it: its server may be running or stopped.

use crate::clock::{self, Clock};
use crate::store::{header_path, journal_path, table_path};
use dhcp_lease::format::SLOT_OCTETS;
use dhcp_lease::headers::{HeaderError, StoreHeader, judge_table};
use dhcp_lease::reader::{Found, JournalTally, Reader, Tally};
use dhcp_lease::table::HEADER_OCTETS;
use dhcp_lease::{Binding, Lease};
use rustix::fs::{Advice, fadvise};
use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Why a store could not be read. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is none.
    #[error(
        "{}: there is no lease store; name the state directory with --state-dir, or its configuration \
         with --config", directory.display()
    )]
    NoStore {
        /// Where it was looked for.
        directory: PathBuf,
    },
    /// A file could not be read.
    #[error("{}: cannot be read: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file is not what it should be, or is of a later format.
    #[error("{}: {source}", path.display())]
    Header {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: HeaderError,
    },
}

/// Octets that cannot be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// In which partition.
    pub partition: u32,
    /// In which slot.
    pub slot: u32,
    /// The lease that they name, if they name one.
    pub lease: Option<Lease>,
}

/// What was found in all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Partitions.
    pub partitions: u32,
    /// Slots by what they hold.
    pub tally: Tally,
    /// Every damaged slot.
    pub damage: Vec<Damage>,
}

/// How far reading has come, told after every piece; it says whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Slots that were looked at.
    pub done: u64,
    /// Slots that there are.
    pub all: u64,
}

/// Visits every binding in the store of a state directory, live, former or declined.
///
/// # Errors
/// [`ReadError`]. Damaged records are no error: they are in the summary.
pub fn for_each(directory: &Path, mut visit: impl FnMut(&Binding)) -> Result<Summary, ReadError> {
    let mut files = Files::open(directory)?;
    files.for_each(&mut visit, |_| ControlFlow::Continue(()))
}

/// The files of a store, open to read. Nothing is locked and nothing is mapped: what is read passes through
/// a buffer of ours, a piece at a time, so the server's pages stay where they are.
#[derive(Debug)]
pub struct Files {
    header: StoreHeader,
    reader: Reader,
    tables: Vec<Table>,
    damaged_headers: u32,
    clock: Clock,
}

#[derive(Debug)]
struct Table {
    file: File,
    slots: u32,
    /// Whether the file ends inside a page, which no table does.
    is_cut: bool,
}

/// Tables are made of whole pages.
const PAGE_OCTETS: u64 = 4_096;

impl Files {
    /// Opens them, and reads what the journal has.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn open(directory: &Path) -> Result<Self, ReadError> {
        let path = header_path(directory);
        let header = match fs::read(&path) {
            Ok(octets) => {
                StoreHeader::read(&octets).map_err(|source| ReadError::Header { path, source })?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ReadError::NoStore {
                    directory: directory.to_owned(),
                });
            }
            Err(source) => return Err(ReadError::File { path, source }),
        };
        // The journal first, the tables after it: what is settled in between is seen twice, not never.
        let path = journal_path(directory, header.epoch);
        let journal = match fs::read(&path) {
            Ok(octets) => octets,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(ReadError::File { path, source }),
        };
        let mut reader =
            Reader::new(&header, &journal).map_err(|source| ReadError::Header { path, source })?;
        drop(journal);
        let mut tables = Vec::new();
        let mut damaged_headers = 0;
        for partition in 0..header.partitions {
            let path = table_path(directory, header.epoch, partition);
            let (table, beginning) = match open_table(&path) {
                Ok(opened) => opened,
                Err(source) => return Err(ReadError::File { path, source }),
            };
            reader.add_redo(partition, &beginning);
            let is_damaged = judge_table(&header, partition, &beginning)
                .map_err(|source| ReadError::Header { path, source })?;
            damaged_headers += u32::from(is_damaged);
            tables.push(table);
        }
        Ok(Self {
            header,
            reader,
            tables,
            damaged_headers,
            clock: clock::of_store(directory),
        })
    }

    /// Server time, as the store's server has it or would have it.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Slots of all tables.
    pub fn slots(&self) -> u64 {
        self.tables.iter().map(|table| u64::from(table.slots)).sum()
    }

    /// Visits every binding. `between` is called after every piece.
    ///
    /// # Errors
    /// [`ReadError`]. Damaged records are no error: they are in the summary.
    pub fn for_each(
        &mut self,
        visit: &mut impl FnMut(&Binding),
        mut between: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Summary, ReadError> {
        let mut summary = Summary {
            partitions: self.header.partitions,
            ..Summary::default()
        };
        let mut progress = Progress {
            done: 0,
            all: self.slots(),
        };
        for (partition, table) in (0..).zip(&self.tables) {
            let mut window = Window::new(&table.file);
            for first in (0..table.slots).step_by(Window::SLOTS as usize) {
                let slots = first..table.slots.min(first.saturating_add(Window::SLOTS));
                progress.done += u64::from(slots.end - slots.start);
                summary.tally += self.reader.read_some(
                    partition,
                    slots,
                    |slot, image| window.fetch(slot, image),
                    |found| match found {
                        Found::Binding(binding) => visit(binding),
                        Found::Damaged { slot, lease } => summary.damage.push(Damage {
                            partition,
                            slot,
                            lease,
                        }),
                    },
                );
                if between(progress).is_break() {
                    return Ok(summary);
                }
            }
        }
        Ok(summary)
    }

    /// Reads one slot anew: the binding in it, if there is one.
    pub fn binding_at(&self, partition: u32, slot: u32) -> Option<Binding> {
        let table = self.tables.get(partition as usize)?;
        let mut found = None;
        self.reader.read_some(
            partition,
            slot..slot + 1,
            |slot, image| table.file.read_exact_at(image, position(slot)).is_ok(),
            |read| {
                if let Found::Binding(binding) = read {
                    found = Some(binding.clone());
                }
            },
        );
        found
    }

    /// Where the bindings of some leases are: partition and slot.
    pub fn find(&self, wanted: &HashSet<Lease>) -> Vec<(Lease, u32, u32)> {
        let mut found = Vec::new();
        for (partition, table) in (0..).zip(&self.tables) {
            let mut window = Window::new(&table.file);
            for slot in 0..table.slots {
                self.reader.read_some(
                    partition,
                    slot..slot + 1,
                    |slot, image| window.fetch(slot, image),
                    |read| match read {
                        Found::Binding(binding) if wanted.contains(&binding.lease) => {
                            found.push((binding.lease, partition, slot));
                        }
                        Found::Binding(_) | Found::Damaged { .. } => {}
                    },
                );
            }
        }
        found
    }

    /// Whether a slot still cannot be trusted.
    pub fn is_damaged(&self, partition: u32, slot: u32) -> bool {
        let Some(table) = self.tables.get(partition as usize) else {
            return true;
        };
        let read = |slot: u32, image: &mut [u8; SLOT_OCTETS]| {
            table.file.read_exact_at(image, position(slot)).is_ok()
        };
        let tally = self
            .reader
            .read_some(partition, slot..slot + 1, read, |_| {});
        tally.damaged > 0
    }

    /// What the journal has.
    pub fn journal(&self) -> JournalTally {
        self.reader.journal()
    }

    /// How many tables have lost both copies of their header.
    pub fn damaged_headers(&self) -> u32 {
        self.damaged_headers
    }

    /// The partitions whose tables end where no table ends.
    pub fn cut_tables(&self) -> Vec<u32> {
        let tables = (0..).zip(&self.tables);
        tables
            .filter(|(_, table)| table.is_cut)
            .map(|(partition, _)| partition)
            .collect()
    }
}

/// A table, and what its header region holds.
fn open_table(path: &Path) -> io::Result<(Table, Vec<u8>)> {
    let file = File::open(path)?;
    // Advice, and no more: read far ahead, and do not take what is read here for what is much used.
    for advice in [Advice::Sequential, Advice::NoReuse] {
        let _ = fadvise(&file, 0, None, advice);
    }
    let mut beginning = vec![0; HEADER_OCTETS];
    file.read_exact_at(&mut beginning, 0)?;
    let octets = file.metadata()?.len();
    let slots = octets.saturating_sub(HEADER_OCTETS as u64) / SLOT_OCTETS as u64;
    let table = Table {
        file,
        slots: u32::try_from(slots).unwrap_or(u32::MAX),
        is_cut: !octets.is_multiple_of(PAGE_OCTETS),
    };
    Ok((table, beginning))
}

fn position(slot: u32) -> u64 {
    HEADER_OCTETS as u64 + u64::from(slot) * SLOT_OCTETS as u64
}

/// Reads slots in order with few system calls, and any slot again with one of its own: the second look at
/// a slot that a running server is writing must not be at a copy of the first.
struct Window<'f> {
    file: &'f File,
    octets: Vec<u8>,
    first: u32,
    /// Slots below this have been read once.
    seen: u32,
}

impl<'f> Window<'f> {
    /// A mebibyte: large enough that a system call costs nothing, small enough to stay in the cache.
    const SLOTS: u32 = 8_192;

    fn new(file: &'f File) -> Self {
        Self {
            file,
            octets: Vec::new(),
            first: 0,
            seen: 0,
        }
    }

    fn fetch(&mut self, slot: u32, image: &mut [u8; SLOT_OCTETS]) -> bool {
        if slot < self.seen {
            return self.file.read_exact_at(image, position(slot)).is_ok();
        }
        let has = |window: &Self| {
            let start = (slot.checked_sub(window.first)?) as usize * SLOT_OCTETS;
            window
                .octets
                .get(start..start + SLOT_OCTETS)?
                .try_into()
                .ok()
        };
        let found: Option<[u8; SLOT_OCTETS]> = has(self).or_else(|| {
            self.octets.resize(Self::SLOTS as usize * SLOT_OCTETS, 0);
            // What cannot be read here is tried slot by slot, so only those that are lost count as damaged.
            let got = self.file.read_at(&mut self.octets, position(slot));
            self.octets.truncate(got.unwrap_or(0));
            self.first = slot;
            has(self)
        });
        self.seen = slot + 1;
        match found {
            Some(octets) => {
                *image = octets;
                true
            }
            None => self.file.read_exact_at(image, position(slot)).is_ok(),
        }
    }
}
