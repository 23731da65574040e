//! Who has a state directory? A lock of the kernel, which ends with its holder however that ends.

use super::directory::FILE_MODE;
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
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
    /// Another server has one of the files, which are in its directory too.
    #[error(
        "{}: another server (process {holder}) has this very file, under another name; one lease store \
         cannot have two servers: stop that one, or give this one its own `state-dir`",
        path.display()
    )]
    FileInUse {
        /// The file, as it is called here.
        path: PathBuf,
        /// Process identifier of the holder.
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
                // The kernel knows best; what is written in the file may be of the holder before.
                let written = || {
                    let mut holder = String::new();
                    let _ = (&file).take(32).read_to_string(&mut holder);
                    holder.trim().to_owned()
                };
                return Err(LockError::InUse {
                    directory: directory.to_owned(),
                    holder: named(holder_of(&file).unwrap_or_else(written)),
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

/// Locks a file of the directory itself, for as long as it is open: the directory's lock says nothing to
/// who has the same file, by a hard link, in another one.
///
/// # Errors
/// [`LockError::FileInUse`] inside, or those of the system.
pub(crate) fn lock_file(file: &File, path: &Path) -> io::Result<()> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let in_use = LockError::FileInUse {
                path: path.to_owned(),
                holder: named(holder_of(file).unwrap_or_default()),
            };
            Err(io::Error::new(io::ErrorKind::ResourceBusy, in_use))
        }
        Err(error) => Err(error.into()),
    }
}

fn named(holder: String) -> String {
    match holder.as_str() {
        "" => "unknown".to_owned(),
        _ => holder,
    }
}

/// The process that holds the lock of a file, as the kernel lists it. `None`: it lives in another process
/// namespace, or has just let go.
fn holder_of(file: &File) -> Option<String> {
    let metadata = file.metadata().ok()?;
    let (major, minor) = (
        rustix::fs::major(metadata.dev()),
        rustix::fs::minor(metadata.dev()),
    );
    let ours = format!("{major:02x}:{minor:02x}:{}", metadata.ino());
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    // 1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF
    locks.lines().find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        match fields.as_slice() {
            [_, "FLOCK", _, _, holder, place, ..] if *place == ours && *holder != "0" => {
                Some((*holder).to_owned())
            }
            _ => None,
        }
    })
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
    fn who_holds_it_is_told_even_if_the_file_says_otherwise() {
        let directory = tempfile::tempdir().unwrap();
        let _lock = DirectoryLock::take(directory.path()).unwrap();
        std::fs::write(directory.path().join("lock"), "4194304999").unwrap();
        let refused = DirectoryLock::take(directory.path())
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains(&format!("process {}", std::process::id())),
            "{refused}"
        );
    }

    #[test]
    fn of_those_who_start_at_the_same_time_exactly_one_wins() {
        use std::sync::Barrier;
        const STARTERS: usize = 4;
        let directory = tempfile::tempdir().unwrap();
        // What a killed holder leaves behind is no obstacle.
        std::fs::write(directory.path().join("lock"), "1\n").unwrap();
        let barrier = Barrier::new(STARTERS);
        let race = || {
            barrier.wait();
            let lock = DirectoryLock::take(directory.path());
            // Nobody lets go before everybody has tried.
            barrier.wait();
            lock.is_ok()
        };
        let wins = std::thread::scope(|scope| {
            let starter = || (0..1_000).map(|_| race()).collect::<Vec<_>>();
            let starters: Vec<_> = (0..STARTERS).map(|_| scope.spawn(starter)).collect();
            let starters = starters.into_iter().map(|it| it.join().unwrap());
            starters.collect::<Vec<_>>()
        });
        for race in 0..1_000 {
            let winners = wins.iter().filter(|wins| wins[race]).count();
            assert_eq!(winners, 1, "race {race}");
        }
    }
}
