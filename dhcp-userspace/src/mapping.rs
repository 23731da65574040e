//! A file as a region of octets: the one place that maps a file.
//!
//! Invariants: a mapped file has all its blocks and its final size before it is mapped, and nobody but
//! the process that holds the state directory's lock changes it. So no access ends in SIGBUS for want of
//! space, and no other process writes under our references.
#![expect(
    unsafe_code,
    reason = "mapping a file into memory is a promise about other processes"
)]

use dhcp_lease::table::Region;
use memmap2::{Advice, MmapMut, MmapOptions};
use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Owner reads and writes, the group reads: leases are nobody else's business.
const FILE_MODE: u32 = 0o640;
/// How much is written at once when a new file is filled with zeros.
const ZEROS_OCTETS: usize = 1 << 20;

/// Why a state directory could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another server has it.
    #[error(
        "state directory {} is in use by another server (process {holder}); stop that one, or give this \
         one its own `state-dir`",
        directory.display()
    )]
    InUse {
        /// The state directory.
        directory: PathBuf,
        /// Process identifier of the holder, as it wrote it down.
        holder: String,
    },
    /// The lock file could not be made or locked.
    #[error("{}: cannot lock the state directory: {source}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// The right to change what lies in a state directory, as long as it lives.
///
/// It is a lock of the kernel on the file's inode, not the file's existence: it ends with its holder,
/// however that ends, and it holds through bind mounts and hard links.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
    directory: PathBuf,
}

impl DirectoryLock {
    /// Takes the lock, or says at once who has it.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn take(directory: &Path) -> Result<Self, LockError> {
        let path = directory.join("lock");
        let failed = |source| LockError::Io {
            path: path.clone(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(&path)
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                let _ = (&file).take(32).read_to_string(&mut holder);
                let holder = match holder.trim() {
                    "" => "unknown".to_owned(),
                    holder => holder.to_owned(),
                };
                return Err(LockError::InUse {
                    directory: directory.to_owned(),
                    holder,
                });
            }
            Err(error) => return Err(failed(error.into())),
        }
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(file, "{}", std::process::id()))
            .map_err(failed)?;
        Ok(Self {
            _file: file,
            directory: directory.to_owned(),
        })
    }

    /// The directory that is locked.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

/// A file whose blocks are all there, open to read and write.
#[derive(Debug)]
pub struct WholeFile {
    file: File,
    octets: u64,
    /// What lies before has been mapped already.
    mapped_until: u64,
}

impl WholeFile {
    /// Makes a file of exactly `octets` zeros, on stable storage but for its name in the directory.
    ///
    /// The zeros are written, not only reserved: a write into a reserved block changes the file's
    /// extents, and every group commit would pay a second barrier for that.
    ///
    /// # Errors
    /// Those of the system, above all "no space left on device"; the file is removed then.
    pub fn create(path: &Path, octets: u64) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(path)?;
        if let Err(error) = fill(&file, 0, octets) {
            let _ = std::fs::remove_file(path);
            return Err(error);
        }
        Ok(Self {
            file,
            octets,
            mapped_until: 0,
        })
    }

    /// Opens a file made by [`WholeFile::create`].
    ///
    /// # Errors
    /// Those of the system.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let octets = file.metadata()?.len();
        // A copy of a store may have holes; a hole on a full file system would be a SIGBUS later. For
        // blocks that are there this does nothing.
        allocate(&file, octets)?;
        Ok(Self {
            file,
            octets,
            mapped_until: 0,
        })
    }

    /// Makes it longer, with zeros. What is mapped stays as it is.
    ///
    /// # Errors
    /// Those of the system; the file may be longer then, but counts as it was.
    pub fn grow(&mut self, octets: u64) -> io::Result<()> {
        fill(&self.file, self.octets, octets)?;
        self.octets = self.octets.max(octets);
        Ok(())
    }

    /// Its size.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// The file, to write and to bring to stable storage.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Maps the next `octets` of it (a multiple of the page size, but for the last) into memory. The
    /// holder of `lock` alone may do so.
    ///
    /// # Errors
    /// Those of the system; `InvalidInput` when the file is not that long.
    pub fn map_next(&mut self, _lock: &DirectoryLock, octets: u64) -> io::Result<Mapping> {
        let out_of_range =
            || io::Error::new(io::ErrorKind::InvalidInput, "beyond the end of the file");
        let offset = self.mapped_until;
        let end = offset.checked_add(octets).filter(|end| *end <= self.octets);
        let end = end.ok_or_else(out_of_range)?;
        let len = usize::try_from(octets).map_err(|_| out_of_range())?;
        let mut options = MmapOptions::new();
        options.offset(offset).len(len);
        // SAFETY: `map_mut` asks that nobody changes or truncates the file while it is mapped. The caller
        // holds the lock of the directory, which every process takes before it changes a file in it; the
        // range lies in the file (checked), and this type has no way to shrink it. Within the process no
        // octet is mapped twice: `mapped_until` only grows, and `create` and `open` are called once for
        // each file (`store::open`).
        let mapping = unsafe { options.map_mut(&self.file)? };
        self.mapped_until = end;
        Ok(Mapping { mapping })
    }
}

/// Allocates the blocks of a file, so that a lack of space is an error here and not a signal later.
fn allocate(file: &File, octets: u64) -> io::Result<()> {
    if octets == 0 {
        return Ok(()); // the system call takes that for a mistake
    }
    match fallocate(file, FallocateFlags::empty(), 0, octets) {
        Ok(()) => Ok(()),
        // A file system without that operation: the zeros, where they are written, allocate.
        Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Writes zeros from `at` until the file has `octets`.
fn fill(file: &File, mut at: u64, octets: u64) -> io::Result<()> {
    if octets <= at {
        return Ok(());
    }
    allocate(file, octets)?;
    let zeros = vec![0; ZEROS_OCTETS];
    while at < octets {
        let len = usize::try_from(octets - at)
            .unwrap_or(usize::MAX)
            .min(zeros.len());
        file.write_all_at(zeros.get(..len).unwrap_or_default(), at)?;
        at += len as u64;
    }
    file.sync_all()
}

/// A part of a file in memory. What is written here survives the process; it survives the power only
/// after [`Mapping::flush`].
#[derive(Debug)]
pub struct Mapping {
    mapping: MmapMut,
}

impl Mapping {
    /// Brings what was written to stable storage.
    ///
    /// # Errors
    /// Those of the system. After one, nothing is known about what is on the disk.
    pub fn flush(&self) -> io::Result<()> {
        self.mapping.flush()
    }
}

impl Mapping {
    /// Has all of it in memory, so that the first to touch a page need not wait, and what cannot be read is
    /// an error here and not a signal later.
    ///
    /// # Errors
    /// Those of the system: "bad address" for a page that cannot be read.
    pub fn load(&self) -> io::Result<()> {
        match self.mapping.advise(Advice::PopulateRead) {
            // Before Linux 5.14 pages come when they are touched.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            result => result,
        }
    }
}

impl Region for Mapping {
    fn octets(&self) -> &[u8] {
        &self.mapping
    }

    fn octets_mut(&mut self) -> &mut [u8] {
        &mut self.mapping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_and_told_who_has_it() {
        let directory = tempfile::tempdir().unwrap();
        let lock = DirectoryLock::take(directory.path()).unwrap();
        let started = std::time::Instant::now();
        let refused = DirectoryLock::take(directory.path())
            .unwrap_err()
            .to_string();
        assert!(started.elapsed().as_millis() < 100);
        assert!(
            refused.contains(&format!("process {}", std::process::id())),
            "{refused}"
        );
        drop(lock);
        DirectoryLock::take(directory.path()).unwrap();
    }

    #[test]
    fn what_one_mapping_writes_the_next_one_reads() {
        let directory = tempfile::tempdir().unwrap();
        let lock = DirectoryLock::take(directory.path()).unwrap();
        let path = directory.path().join("table");
        let mut file = WholeFile::create(&path, 3 << 12).unwrap();
        file.map_next(&lock, 1 << 12).unwrap();
        let mut mapping = file.map_next(&lock, 2 << 12).unwrap();
        assert!(mapping.octets().iter().all(|octet| *octet == 0));
        mapping.octets_mut()[7] = 7;
        drop((mapping, file));
        let mut file = WholeFile::open(&path).unwrap();
        assert_eq!(file.octets(), 3 << 12);
        assert_eq!(
            file.map_next(&lock, 3 << 12).unwrap().octets()[(1 << 12) + 7],
            7
        );
        assert!(file.map_next(&lock, 1 << 12).is_err());
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_no_signal() {
        let directory = tempfile::tempdir().unwrap();
        let lock = DirectoryLock::take(directory.path()).unwrap();
        let path = directory.path().join("table");
        let mut file = WholeFile::create(&path, 4 << 12).unwrap();
        let mapping = file.map_next(&lock, 4 << 12).unwrap();
        mapping.load().unwrap();
        // What a page does that the disk cannot read, a page does that is no longer there.
        file.file().set_len(2 << 12).unwrap();
        let error = mapping.load().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EFAULT), "{error}");
    }

    #[test]
    fn a_file_that_does_not_fit_is_an_error_and_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("table");
        assert!(WholeFile::create(&path, 1 << 60).is_err());
        assert!(!path.exists());
    }

    #[test]
    fn a_file_has_all_its_blocks() {
        use std::os::unix::fs::MetadataExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("table");
        WholeFile::create(&path, 5 << 20).unwrap();
        assert!(path.metadata().unwrap().blocks() * 512 >= 5 << 20);
    }
}
