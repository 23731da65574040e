//! A file as a region of octets: the one place that maps a file.
//!
//! Invariants: a mapped file has all its blocks and its final size before it is mapped, and nobody but
//! the process that holds the state directory's lock changes it; a mapping holds that lock. So no access
//! ends in SIGBUS for want of space, and no other process writes under our references.
#![expect(
    unsafe_code,
    reason = "mapping a file into memory is a promise about other processes"
)]

use crate::disk::{
    DiskFile,
    directory::FILE_MODE,
    lock::{DirectoryLock, lock_file},
};
use dhcp_lease::table::Region;
use memmap2::{Advice, MmapMut, MmapOptions};
use rustix::fs::{FallocateFlags, OFlags, SeekFrom, fallocate};
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// How much is written at once when a new file is filled with zeros.
const ZEROS_OCTETS: usize = 1 << 20;

/// A file whose blocks are all there, open to read and write.
#[derive(Debug)]
pub(crate) struct WholeFile {
    file: File,
    /// The same file past the system's cache, once it is wanted, where the file system has that.
    direct: OnceLock<Option<File>>,
    path: PathBuf,
    /// Held by each file and each mapping, so it outlives them all.
    lock: Arc<DirectoryLock>,
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
    pub(crate) fn create(path: &Path, octets: u64, lock: &Arc<DirectoryLock>) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(path)?;
        lock_file(&file, path)?;
        if let Err(error) = fill(&file, 0, octets) {
            let _ = std::fs::remove_file(path);
            return Err(error);
        }
        Ok(Self::new(file, path, lock, octets))
    }

    /// Opens a file made by [`WholeFile::create`].
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn open(path: &Path, lock: &Arc<DirectoryLock>) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        lock_file(&file, path)?;
        let octets = file.metadata()?.len();
        // A copy of a store may have holes; a hole on a full file system would be a SIGBUS later. A file
        // without holes is left alone: allocating would change its times, by which a snapshot knows it.
        let first_hole = rustix::fs::seek(&file, SeekFrom::Hole(0));
        if first_hole.is_ok_and(|hole| hole < octets) {
            allocate(&file, octets)?;
        }
        Ok(Self::new(file, path, lock, octets))
    }

    fn new(file: File, path: &Path, lock: &Arc<DirectoryLock>, octets: u64) -> Self {
        Self {
            file,
            direct: OnceLock::new(),
            path: path.to_owned(),
            lock: Arc::clone(lock),
            octets,
            mapped_until: 0,
        }
    }
}

impl DiskFile for WholeFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn octets(&self) -> u64 {
        self.octets
    }

    fn read_at(&self, octets: &mut [u8], position: u64) -> io::Result<()> {
        self.file.read_exact_at(octets, position)
    }

    fn check(&self) -> io::Result<()> {
        let ours = self.file.metadata()?;
        if ours.len() < self.octets {
            let short = format!("it was cut short to {} octets", ours.len());
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, short));
        }
        let is_ours = match std::fs::metadata(&self.path) {
            Ok(named) => named.ino() == ours.ino() && named.dev() == ours.dev(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        is_ours.then_some(()).ok_or_else(|| {
            let gone =
                "it was moved, removed or replaced; put the one back that the server has open";
            io::Error::new(io::ErrorKind::NotFound, gone)
        })
    }

    fn stamp(&self) -> io::Result<[u64; 4]> {
        let metadata = self.file.metadata()?;
        let nanoseconds = |seconds: i64, rest: i64| {
            (seconds as u64)
                .wrapping_mul(1_000_000_000)
                .wrapping_add(rest as u64)
        };
        Ok([
            metadata.len(),
            metadata.ino(),
            nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        ])
    }

    fn write_at(&self, pieces: &[&[u8]], position: u64) -> io::Result<()> {
        write_run(&self.file, pieces, position)
    }

    fn write_pages(&self, octets: &[u8], position: u64) -> io::Result<()> {
        let direct = self.direct.get_or_init(|| self.open_direct());
        let Some(direct) = direct else {
            return self.write_at(&[octets], position);
        };
        match write_run(direct, &[octets], position) {
            // A disk with larger sectors, or a file system that took the flag and does not know it.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                self.write_at(&[octets], position)
            }
            result => result,
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn grow(&mut self, octets: u64) -> io::Result<()> {
        fill(&self.file, self.octets, octets)?;
        self.octets = self.octets.max(octets);
        Ok(())
    }

    fn map_next(&mut self, octets: u64) -> io::Result<Box<dyn Region>> {
        Ok(Box::new(self.map(octets)?))
    }

    fn map_loaded(&mut self, octets: u64) -> io::Result<Box<dyn Region>> {
        let mapping = self.map(octets)?;
        mapping.load()?;
        Ok(Box::new(mapping))
    }
}

impl WholeFile {
    /// Opens the same file once more, to be written past the system's cache.
    fn open_direct(&self) -> Option<File> {
        let flags = i32::try_from(OFlags::DIRECT.bits()).ok()?;
        let file = OpenOptions::new()
            .write(true)
            .custom_flags(flags)
            .open(&self.path);
        let file = file.ok()?;
        // Its name may be another file's by now.
        let (ours, found) = (self.file.metadata().ok()?, file.metadata().ok()?);
        let is_ours = ours.ino() == found.ino() && ours.dev() == found.dev();
        is_ours.then_some(file)
    }

    fn map(&mut self, octets: u64) -> io::Result<Mapping> {
        let out_of_range =
            || io::Error::new(io::ErrorKind::InvalidInput, "beyond the end of the file");
        let offset = self.mapped_until;
        let end = offset.checked_add(octets).filter(|end| *end <= self.octets);
        let end = end.ok_or_else(out_of_range)?;
        let len = usize::try_from(octets).map_err(|_| out_of_range())?;
        let mut options = MmapOptions::new();
        options.offset(offset).len(len);
        // SAFETY: `map_mut` asks that nobody changes or truncates the file while it is mapped. File and
        // mapping hold the lock of the directory, which every process takes before it changes a file in
        // it; the range lies in the file (checked), and this type has no way to shrink it. Within the
        // process no octet is mapped twice: `mapped_until` only grows, and `create` and `open` are called
        // once for each file while it is in use (`store`).
        let mapping = unsafe { options.map_mut(&self.file)? };
        self.mapped_until = end;
        Ok(Mapping {
            mapping,
            _lock: Arc::clone(&self.lock),
        })
    }
}

/// Most pieces that Linux takes in one call.
const PIECES_MAX: usize = 1024;

/// Writes pieces one behind the other.
fn write_run(file: &File, pieces: &[&[u8]], mut position: u64) -> io::Result<()> {
    for pieces in pieces.chunks(PIECES_MAX) {
        let vectors: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let all: usize = pieces.iter().map(|piece| piece.len()).sum();
        let written = loop {
            match rustix::io::pwritev(file, &vectors, position) {
                Err(rustix::io::Errno::INTR) => {}
                result => break result?,
            }
        };
        if written < all {
            // Cut short, by a disk that is nearly full: again, piece by piece, until it says what is wrong.
            let mut at = position;
            for piece in pieces {
                file.write_all_at(piece, at)?;
                at += piece.len() as u64;
            }
        }
        position += all as u64;
    }
    Ok(())
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
/// after [`DiskFile::sync_data`].
#[derive(Debug)]
struct Mapping {
    mapping: MmapMut,
    _lock: Arc<DirectoryLock>,
}

impl Mapping {
    /// Has all of it in memory, so that the first to touch a page need not wait, and what cannot be read is
    /// an error here and not a signal later.
    ///
    /// # Errors
    /// Those of the system: "bad address" for a page that cannot be read.
    fn load(&self) -> io::Result<()> {
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

    fn locked(directory: &Path) -> Arc<DirectoryLock> {
        Arc::new(DirectoryLock::take(directory).unwrap())
    }

    #[test]
    fn what_one_mapping_writes_the_next_one_reads() {
        let directory = tempfile::tempdir().unwrap();
        let lock = locked(directory.path());
        let path = directory.path().join("table");
        let mut file = WholeFile::create(&path, 3 << 12, &lock).unwrap();
        file.map_next(1 << 12).unwrap();
        let mut mapping = file.map_next(2 << 12).unwrap();
        assert!(mapping.octets().iter().all(|octet| *octet == 0));
        mapping.octets_mut()[7] = 7;
        drop((mapping, file));
        let mut file = WholeFile::open(&path, &lock).unwrap();
        assert_eq!(file.octets(), 3 << 12);
        assert_eq!(file.map_next(3 << 12).unwrap().octets()[(1 << 12) + 7], 7);
        assert!(file.map_next(1 << 12).is_err());
    }

    #[test]
    fn a_mapping_keeps_the_directory_locked() {
        let directory = tempfile::tempdir().unwrap();
        let lock = locked(directory.path());
        let path = directory.path().join("table");
        let mut file = WholeFile::create(&path, 1 << 12, &lock).unwrap();
        let mapping = file.map_next(1 << 12).unwrap();
        drop((lock, file));
        assert!(DirectoryLock::take(directory.path()).is_err());
        drop(mapping);
        assert!(DirectoryLock::take(directory.path()).is_ok());
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_no_signal() {
        let directory = tempfile::tempdir().unwrap();
        let lock = locked(directory.path());
        let path = directory.path().join("table");
        let mut file = WholeFile::create(&path, 4 << 12, &lock).unwrap();
        file.map_loaded(1 << 12).unwrap();
        // What a page does that the disk cannot read, a page does that is no longer there.
        file.file.set_len(2 << 12).unwrap();
        let error = file.map_loaded(3 << 12).err().unwrap();
        assert_eq!(error.raw_os_error(), Some(libc::EFAULT), "{error}");
    }

    #[test]
    fn a_file_that_does_not_fit_is_an_error_and_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("table");
        assert!(WholeFile::create(&path, 1 << 60, &locked(directory.path())).is_err());
        assert!(!path.exists());
    }

    #[test]
    fn a_file_has_all_its_blocks() {
        use std::os::unix::fs::MetadataExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("table");
        WholeFile::create(&path, 5 << 20, &locked(directory.path())).unwrap();
        assert!(path.metadata().unwrap().blocks() * 512 >= 5 << 20);
    }
}
