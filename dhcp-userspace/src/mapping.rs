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
use memmap2::{MmapMut, MmapOptions};
use rustix::fs::{FallocateFlags, fallocate};
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How much is written at once when a new file is filled with zeros.
const ZEROS_OCTETS: usize = 1 << 20;

/// A file whose blocks are all there, open to read and write.
#[derive(Debug)]
pub(crate) struct WholeFile {
    file: File,
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
        // A copy of a store may have holes; a hole on a full file system would be a SIGBUS later. For
        // blocks that are there this does nothing.
        allocate(&file, octets)?;
        Ok(Self::new(file, path, lock, octets))
    }

    fn new(file: File, path: &Path, lock: &Arc<DirectoryLock>, octets: u64) -> Self {
        Self {
            file,
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

    fn write_at(&self, pieces: &[&[u8]], position: u64) -> io::Result<()> {
        write_run(&self.file, pieces, position)
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
        Ok(Box::new(Mapping {
            mapping,
            _lock: Arc::clone(&self.lock),
        }))
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
