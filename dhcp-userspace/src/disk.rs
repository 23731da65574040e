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
