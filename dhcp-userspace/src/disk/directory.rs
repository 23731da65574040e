//! A state directory on a real file system, locked.

use super::lock::DirectoryLock;
use super::{Disk, DiskFile, LockError, NotSynced, Syncing, sync_all};
use crate::mapping::WholeFile;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

/// Owner reads and writes, the group reads: leases are nobody else's business.
pub(crate) const FILE_MODE: u32 = 0o640;

/// A state directory that is ours: until it, its files and their mappings are dropped.
#[derive(Debug)]
pub struct Directory {
    lock: Arc<DirectoryLock>,
    path: PathBuf,
}

impl Directory {
    /// Locks a directory, or says at once who has it.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn open(path: &Path) -> Result<Self, LockError> {
        Ok(Self {
            lock: Arc::new(DirectoryLock::take(path)?),
            path: path.to_owned(),
        })
    }
}

impl Disk for Directory {
    fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = WholeFile::open(&self.path(name), &self.lock)?;
        Ok(Box::new(file))
    }

    fn create(&self, name: &str, octets: u64) -> io::Result<Box<dyn DiskFile>> {
        let file = WholeFile::create(&self.path(name), octets, &self.lock)?;
        Ok(Box::new(file))
    }

    fn read_whole(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.path(name))
    }

    fn write_whole(&self, name: &str, octets: &[u8]) -> io::Result<()> {
        let temporary = format!("{name}.new");
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(FILE_MODE)
            .open(self.path(&temporary))?;
        file.write_all(octets)?;
        file.sync_all()?;
        self.rename(&temporary, name)?;
        self.sync_directory()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(&self.path)?;
        entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn free_octets(&self) -> io::Result<u64> {
        let found = rustix::fs::statvfs(&self.path)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    fn random(&self, octets: &mut [u8]) -> io::Result<()> {
        getrandom::fill(octets).map_err(|error| io::Error::other(error.to_string()))
    }

    fn sync_beside(&self, files: Vec<Arc<dyn DiskFile>>) -> io::Result<Box<dyn Syncing>> {
        let thread = std::thread::Builder::new()
            .name("checkpoint".to_owned())
            .spawn(move || sync_all(&files))?;
        Ok(Box::new(SyncThread(Some(thread))))
    }
}

/// A thread that syncs files.
struct SyncThread(Option<JoinHandle<Result<(), NotSynced>>>);

impl Syncing for SyncThread {
    fn outcome(&mut self) -> Option<Result<(), NotSynced>> {
        let thread = self.0.take_if(|thread| thread.is_finished())?;
        Some(join(thread))
    }

    fn wait(mut self: Box<Self>) -> Result<(), NotSynced> {
        self.0.take().map_or(Ok(()), join)
    }
}

fn join(thread: JoinHandle<Result<(), NotSynced>>) -> Result<(), NotSynced> {
    // It does nothing that can panic; if it does, so must whoever counts on what it synced.
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
