//! The lease store of a state directory, read without owning it: its server may be running or stopped.

use crate::store::{header_path, journal_path, table_path};
use dhcp_lease::format::SLOT_OCTETS;
use dhcp_lease::headers::{HeaderError, StoreHeader};
use dhcp_lease::reader::{Found, Reader, Tally};
use dhcp_lease::table::HEADER_OCTETS;
use dhcp_lease::{Binding, Lease};
use std::fs::{self, File};
use std::io;
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
    /// A file is not what it should be.
    #[error("{}: {source}; restore the state directory from a backup", path.display())]
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

/// Visits every binding in the store of a state directory, live, former or declined.
///
/// # Errors
/// [`ReadError`]. Damaged records are no error: they are in the summary.
pub fn for_each(directory: &Path, mut visit: impl FnMut(&Binding)) -> Result<Summary, ReadError> {
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
    let mut summary = Summary {
        partitions: header.partitions,
        ..Summary::default()
    };
    for partition in 0..header.partitions {
        let path = table_path(directory, header.epoch, partition);
        read_table(&path, partition, &mut reader, &mut visit, &mut summary)
            .map_err(|source| ReadError::File { path, source })?;
    }
    Ok(summary)
}

fn read_table(
    path: &Path,
    partition: u32,
    reader: &mut Reader,
    visit: &mut impl FnMut(&Binding),
    summary: &mut Summary,
) -> io::Result<()> {
    let file = File::open(path)?;
    let mut beginning = vec![0; HEADER_OCTETS];
    file.read_exact_at(&mut beginning, 0)?;
    reader.add_redo(partition, &beginning);
    let slots = (file.metadata()?.len().saturating_sub(HEADER_OCTETS as u64)) / SLOT_OCTETS as u64;
    let slots = u32::try_from(slots).unwrap_or(u32::MAX);
    let mut window = Window::new(&file);
    let tally = reader.read(
        partition,
        slots,
        |slot, image| window.fetch(slot, image),
        |found| match found {
            Found::Binding(binding) => visit(binding),
            Found::Damaged { slot, lease } => {
                summary.damage.push(Damage {
                    partition,
                    slot,
                    lease,
                });
            }
        },
    );
    summary.tally.bindings += tally.bindings;
    summary.tally.extensions += tally.extensions;
    summary.tally.blank += tally.blank;
    summary.tally.damaged += tally.damaged;
    Ok(())
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
    const SLOTS: u32 = 512;

    fn new(file: &'f File) -> Self {
        Self {
            file,
            octets: Vec::new(),
            first: 0,
            seen: 0,
        }
    }

    fn fetch(&mut self, slot: u32, image: &mut [u8; SLOT_OCTETS]) -> bool {
        let position = |slot: u32| HEADER_OCTETS as u64 + u64::from(slot) * SLOT_OCTETS as u64;
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
            let got = self
                .file
                .read_at(&mut self.octets, position(slot))
                .unwrap_or(0);
            self.octets.truncate(got);
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
