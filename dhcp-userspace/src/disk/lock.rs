//! Who has a state directory? A lock of the kernel, which ends with its holder however that ends.

use super::directory::FILE_MODE;
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

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
pub(crate) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes the lock, or says at once who has it.
    ///
    /// # Errors
    /// [`LockError`].
    pub(crate) fn take(directory: &Path) -> Result<Self, LockError> {
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
        Ok(Self { _file: file })
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
}
