//! What does the lease store ask of stable storage? The files of one directory, or a stand-in for them.
//!
//! The store (`store`, `commit`) reaches files, random numbers and work beside the commits through
//! [`Disk`] alone. So the very same code runs over a simulated disk, on one thread, as a function of a seed.

use dhcp_lease::table::Region;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) mod directory;
pub(crate) mod lock;

pub use directory::Directory;
pub use lock::LockError;

/// The files of one directory that is ours alone. Names are plain file names.
pub trait Disk: Send + Sync {
    /// What to call a file when something is wrong with it.
    fn path(&self, name: &str) -> PathBuf;

    /// Opens a file made by [`Disk::create`]. All its blocks are there afterwards.
    ///
    /// # Errors
    /// Those of the system; `NotFound` if there is none.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// Makes a file of exactly `octets` zeros, on stable storage but for its name in the directory.
    ///
    /// # Errors
    /// Those of the system, above all "no space left on device"; no file is left behind then.
    fn create(&self, name: &str, octets: u64) -> io::Result<Box<dyn DiskFile>>;

    /// All that is in a file.
    ///
    /// # Errors
    /// Those of the system; `NotFound` if there is none.
    fn read_whole(&self, name: &str) -> io::Result<Vec<u8>>;

    /// Writes a small file so that it is there whole or not at all, its name on stable storage too.
    ///
    /// # Errors
    /// Those of the system; what was there before may be there still, or not.
    fn write_whole(&self, name: &str, octets: &[u8]) -> io::Result<()>;

    /// Gives a file another name, in place of whatever had it. It lasts after [`Disk::sync_directory`].
    ///
    /// # Errors
    /// Those of the system.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file; one that is not there is no error.
    ///
    /// # Errors
    /// Those of the system.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// The names of all files, in no order.
    ///
    /// # Errors
    /// Those of the system.
    fn list(&self) -> io::Result<Vec<String>>;

    /// How many octets there is still room for, as far as that is known.
    ///
    /// # Errors
    /// Those of the system.
    fn free_octets(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    /// Brings the names of the files to stable storage.
    ///
    /// # Errors
    /// Those of the system.
    fn sync_directory(&self) -> io::Result<()>;

    /// Octets that nobody can guess: the keys of a store, the beginning of a chain.
    ///
    /// # Errors
    /// Those of the system.
    fn random(&self, octets: &mut [u8]) -> io::Result<()>;

    /// How many threads may use the disk at the same time while a store is opened. Where a run is to be a
    /// function of a seed, it is one.
    fn threads(&self) -> usize {
        1
    }

    /// Syncs files one after the other, beside whatever goes on: on a thread, or whenever a simulation
    /// gets to it.
    ///
    /// # Errors
    /// Those of the system: no thread. Nothing was synced then.
    fn sync_beside(&self, files: Vec<Arc<dyn DiskFile>>) -> io::Result<Box<dyn Syncing>>;
}

/// A file of a fixed size whose blocks are all there.
pub trait DiskFile: Send + Sync {
    /// What to call it when something is wrong with it.
    fn path(&self) -> &Path;

    /// Its size.
    fn octets(&self) -> u64;

    /// Fills `octets` with what lies at a position.
    ///
    /// # Errors
    /// Those of the system.
    fn read_at(&self, octets: &mut [u8], position: u64) -> io::Result<()>;

    /// Writes pieces one behind the other, all of them.
    ///
    /// # Errors
    /// Those of the system. Any part may have been written.
    fn write_at(&self, pieces: &[&[u8]], position: u64) -> io::Result<()>;

    /// Writes whole pages from a position that is a multiple of [`PAGE_OCTETS`], past the system's cache where
    /// that can be had: it costs less there, no later read finds what the disk never got, and an error is
    /// told by the very call. `octets` begin at such an address; see [`Pages`].
    ///
    /// # Errors
    /// As [`DiskFile::write_at`].
    fn write_pages(&self, octets: &[u8], position: u64) -> io::Result<()> {
        self.write_at(&[octets], position)
    }

    /// Brings everything that was written, mapped regions included, to stable storage.
    ///
    /// # Errors
    /// Those of the system. After one, nothing is known about what was written since the last success,
    /// and a second call alone proves nothing: the system reports a loss once. Write it all again.
    fn sync_data(&self) -> io::Result<()>;

    /// Whether it is still the file of its name, and as long as it should be. Costs two system calls.
    ///
    /// # Errors
    /// `NotFound`: its name is another file's, or nobody's; what is written goes nowhere.
    /// `UnexpectedEof`: it was cut short; whoever touches what was mapped there is ended by a signal.
    /// And those of the system.
    fn check(&self) -> io::Result<()>;

    /// What tells whether it is the file that it was, with the same contents: its size, its number, and when
    /// contents and file were last changed, in nanoseconds.
    ///
    /// # Errors
    /// Those of the system; `Unsupported` where files have no times.
    fn stamp(&self) -> io::Result<[u64; 4]> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Makes it longer, with zeros that are on stable storage. What is mapped stays as it is.
    ///
    /// # Errors
    /// Those of the system; the file may be longer then, but counts as it was.
    fn grow(&mut self, octets: u64) -> io::Result<()>;

    /// Maps the next `octets` of it (a multiple of the page size, but for the last) into memory.
    ///
    /// # Errors
    /// Those of the system; `InvalidInput` when the file is not that long.
    fn map_next(&mut self, octets: u64) -> io::Result<Box<dyn Region>>;

    /// As [`DiskFile::map_next`], with all of it read already, where that can be had: what cannot be read
    /// is an error here and not a signal later.
    ///
    /// # Errors
    /// As in [`DiskFile::map_next`].
    fn map_loaded(&mut self, octets: u64) -> io::Result<Box<dyn Region>> {
        self.map_next(octets)
    }
}

/// What a write past the system's cache must be a multiple of, in place, length and address: enough for every
/// disk with sectors of up to this size.
pub const PAGE_OCTETS: usize = 4_096;

/// Octets that begin at a multiple of [`PAGE_OCTETS`] in memory.
#[derive(Debug, Default)]
pub struct Pages {
    room: Vec<u8>,
    start: usize,
    len: usize,
}

impl Pages {
    /// Makes them pieces, one behind the other. Allocates only for more than ever before.
    pub fn fill<'a>(&mut self, pieces: impl Iterator<Item = &'a [u8]> + Clone) {
        let len = pieces.clone().map(<[u8]>::len).sum();
        if self.room.len() < len + PAGE_OCTETS {
            self.room = vec![0; 2 * len + PAGE_OCTETS];
            self.start = self.room.as_ptr().align_offset(PAGE_OCTETS);
        }
        self.len = len;
        let mut rest = self.room.get_mut(self.start..).unwrap_or_default();
        for piece in pieces {
            let Some((here, after)) = rest.split_at_mut_checked(piece.len()) else {
                return; // there is room for all of them
            };
            here.copy_from_slice(piece);
            rest = after;
        }
    }

    /// What they were made.
    pub fn octets(&self) -> &[u8] {
        self.room
            .get(self.start..self.start + self.len)
            .unwrap_or_default()
    }
}

/// Files that are being synced.
pub trait Syncing: Send {
    /// What came of it; `None` while it is under way, and after it was told.
    fn outcome(&mut self) -> Option<Result<(), NotSynced>>;

    /// Waits for it.
    fn wait(self: Box<Self>) -> Result<(), NotSynced>;
}

/// A file that was not synced.
#[derive(Debug)]
pub struct NotSynced {
    /// Which one.
    pub path: PathBuf,
    /// What the system says.
    pub error: io::Error,
}

/// Syncs every file, also after one that failed, so that no error is left to be told to the next sync,
/// which might take it for one of its own.
///
/// # Errors
/// The first.
pub fn sync_all(files: &[Arc<dyn DiskFile>]) -> Result<(), NotSynced> {
    let mut result = Ok(());
    for file in files {
        let synced = file.sync_data().map_err(|error| NotSynced {
            path: file.path().to_owned(),
            error,
        });
        result = result.and(synced);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_hold_pieces_at_an_address_that_a_disk_takes() {
        let mut pages = Pages::default();
        assert_eq!(pages.octets(), b"");
        let long = [7; 3 * PAGE_OCTETS];
        let cases: [&[&[u8]]; 3] = [&[b"one", b"", b"three"], &[&long], &[b"1"]];
        for pieces in cases {
            pages.fill(pieces.iter().copied());
            assert_eq!(pages.octets(), pieces.concat());
            assert_eq!(pages.octets().as_ptr().align_offset(PAGE_OCTETS), 0);
        }
    }
}
