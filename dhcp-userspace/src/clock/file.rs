//! The file `clock` in the state directory: what one life of the server tells the next about time, and by what
//! the files are told from a copy of them.

use dhcp_lease::HeaderError;
use dhcp_lease::Timestamp;
use dhcp_lease::clock::{ClockRecord, Origin, Place};
use rustix::fs::{AtFlags, StatxFlags, statx};
use rustix::time::{ClockId, clock_gettime};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Stands for the machine, in most distributions.
const MACHINE_ID: &str = "/etc/machine-id";
/// By what its number is made from it.
const MACHINE_KEY: u64 = 0x7864_6863_7064_6d69;
/// As every file of the store.
const FILE_MODE: u32 = 0o640;

/// Why the clock file of a state directory is not to be used. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It could not be read or made.
    #[error("{}: cannot use the clock record: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A later program wrote it.
    #[error("{}: {source}", path.display())]
    Newer {
        /// Which one.
        path: PathBuf,
        /// Which format.
        source: HeaderError,
    },
}

/// What is found of an earlier life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Past {
    /// The record; `None`: there is none that can be read.
    pub record: Option<ClockRecord>,
    /// Whether the file is the one that was written; `None` without a record.
    pub origin: Option<Origin>,
    /// Why there is none although there is a file.
    pub trouble: Option<HeaderError>,
}

impl Past {
    /// Nothing is known.
    pub const NONE: Self = Self {
        record: None,
        origin: None,
        trouble: None,
    };

    /// Reads the record of a store. Changes nothing.
    ///
    /// # Errors
    /// [`ReadError`]. A missing or damaged file is none.
    pub fn read(directory: &Path, identity: &[u8; 16]) -> Result<Self, ReadError> {
        let path = path(directory);
        let failed = |source| ReadError::File {
            path: path.clone(),
            source,
        };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::NONE),
            Err(error) => return Err(failed(error)),
        };
        let found = place_of(&file).map_err(failed)?;
        let mut octets = Vec::new();
        let limit = ClockRecord::OCTETS as u64;
        file.take(limit).read_to_end(&mut octets).map_err(failed)?;
        match ClockRecord::read(identity, &octets) {
            Ok(record) => Ok(Self {
                record: Some(record),
                origin: Some(record.place.judge(&found)),
                trouble: None,
            }),
            Err(source @ HeaderError::Newer { .. }) => Err(ReadError::Newer { path, source }),
            Err(trouble) => Ok(Self {
                trouble: Some(trouble),
                ..Self::NONE
            }),
        }
    }
}

/// The clock file of a store that is ours.
#[derive(Debug)]
pub struct ClockFile {
    file: File,
    identity: [u8; 16],
    number: u64,
    /// The number of the record that is on stable storage.
    synced: u64,
}

impl ClockFile {
    /// Opens or makes the file; what it says is as before until [`ClockFile::write`]. The caller holds the lock
    /// of the directory.
    ///
    /// # Errors
    /// Those of the system.
    pub fn open(directory: &Path, identity: &[u8; 16], past: &Past) -> Result<Self, ReadError> {
        let path = path(directory);
        let opened = open(&path).and_then(|file| {
            // Blocks for both copies, so that no later write can find the disk full.
            if file.metadata()?.len() < ClockRecord::OCTETS as u64 {
                file.write_all_at(&[0; ClockRecord::OCTETS], 0)?;
            }
            file.sync_all()?;
            File::open(directory)?.sync_all()?;
            Ok(file)
        });
        let number = past.record.map_or(0, |record| record.number);
        Ok(Self {
            file: opened.map_err(|source| ReadError::File { path, source })?,
            identity: *identity,
            number,
            synced: number,
        })
    }

    /// Writes a record, whose number and place are filled in; the copy that was synced last stays whole.
    ///
    /// # Errors
    /// Those of the system.
    pub fn write(&mut self, record: &ClockRecord) -> io::Result<()> {
        self.number = ClockRecord::next_number(self.number, self.synced);
        let now = clock_gettime(ClockId::Realtime).tv_sec;
        let mut place = place_of(&self.file)?;
        place.changed = Timestamp(u64::try_from(now).unwrap_or(0));
        let record = ClockRecord {
            number: self.number,
            place,
            ..*record
        };
        self.file
            .write_all_at(&record.octets(&self.identity), record.offset())
    }

    /// Brings what was written to stable storage.
    ///
    /// # Errors
    /// Those of the system.
    pub fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.synced = self.number;
        Ok(())
    }
}

fn path(directory: &Path) -> PathBuf {
    directory.join("clock")
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(path)
}

/// What the file system says of the file. (Its own clock, so also the kernel's in `write`: no program can be
/// made to see another one, and both agree however the clock is set.)
fn place_of(file: &File) -> io::Result<Place> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    let found = statx(file, "", AtFlags::EMPTY_PATH, wanted)?;
    let has_birth = found.stx_mask & StatxFlags::BTIME.bits() != 0;
    let seconds = |seconds: i64| u64::try_from(seconds).unwrap_or(0);
    Ok(Place {
        inode: found.stx_ino,
        birth: match has_birth {
            true => (seconds(found.stx_btime.tv_sec), found.stx_btime.tv_nsec),
            false => (0, 0),
        },
        changed: Timestamp(seconds(found.stx_ctime.tv_sec)),
        owner: (u32::from(found.stx_mode), found.stx_uid, found.stx_gid),
        machine: machine(),
    })
}

/// A number that stands for the machine without telling which it is.
fn machine() -> u64 {
    match std::fs::read(MACHINE_ID) {
        Ok(id) if !id.trim_ascii().is_empty() => {
            u64::from(dhcp_wire::id::spread(MACHINE_KEY, id.trim_ascii()))
        }
        Ok(_) | Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhcp_lease::clock::Known;
    use std::fs;

    const IDENTITY: [u8; 16] = [9; 16];

    fn record() -> ClockRecord {
        ClockRecord {
            number: 0,
            known: Known {
                server: Timestamp(1_795_000_000),
                clocks: super::super::clocks(),
                held_since: None,
            },
            accept: false,
            carrying: false,
            epoch: 0,
            withheld_until: Some(Timestamp(7)),
            place: Place::default(),
        }
    }

    fn written(directory: &Path) -> ClockFile {
        let past = Past::read(directory, &IDENTITY).unwrap();
        let mut file = ClockFile::open(directory, &IDENTITY, &past).unwrap();
        file.write(&record()).unwrap();
        file.sync().unwrap();
        file
    }

    #[test]
    fn what_one_life_writes_the_next_one_reads() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Past::read(directory.path(), &IDENTITY).unwrap(), Past::NONE);
        for number in 1..4 {
            drop(written(directory.path()));
            let past = Past::read(directory.path(), &IDENTITY).unwrap();
            let record = past.record.unwrap();
            assert_eq!((record.number, past.origin), (number, Some(Origin::Own)));
            assert_eq!(record.known.server, Timestamp(1_795_000_000));
            assert_eq!(record.withheld_until, Some(Timestamp(7)));
        }
        let other = Past::read(directory.path(), &[8; 16]).unwrap();
        assert_eq!(other.trouble, Some(HeaderError::Astray));
    }

    /// Of what was written since the last sync a power cut may leave nothing whole.
    #[test]
    fn the_record_that_was_synced_last_is_not_written_over() {
        let directory = tempfile::tempdir().unwrap();
        let past = Past::read(directory.path(), &IDENTITY).unwrap();
        let mut file = ClockFile::open(directory.path(), &IDENTITY, &past).unwrap();
        for round in 0..3 {
            file.write(&record()).unwrap();
            file.sync().unwrap();
            let synced = fs::read(path(directory.path())).unwrap();
            let number = ClockRecord::read(&IDENTITY, &synced).unwrap().number;
            for _ in 0..=round {
                file.write(&record()).unwrap();
            }
            let mut octets = fs::read(path(directory.path())).unwrap();
            let latest = ClockRecord::read(&IDENTITY, &octets).unwrap();
            assert!(latest.number > number);
            let at = latest.offset() as usize;
            octets[at..at + 64].fill(0x5e);
            assert_eq!(
                ClockRecord::read(&IDENTITY, &octets).unwrap().number,
                number
            );
        }
    }

    #[test]
    fn a_copy_is_known_as_one_until_it_is_written() {
        let [first, second] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        drop(written(first.path()));
        let (from, to) = (first.path().join("clock"), second.path().join("clock"));
        fs::copy(&from, &to).unwrap();
        let origin = |directory: &Path| Past::read(directory, &IDENTITY).unwrap().origin;
        assert_eq!(origin(second.path()), Some(Origin::Copied));
        drop(written(second.path()));
        assert_eq!(origin(second.path()), Some(Origin::Own));
        // Given another name it is the same file.
        let moved = first.path().join("moved");
        fs::create_dir(&moved).unwrap();
        fs::rename(&to, moved.join("clock")).unwrap();
        assert_eq!(origin(&moved), Some(Origin::Own));
    }

    #[test]
    fn damage_is_told_from_absence() {
        let directory = tempfile::tempdir().unwrap();
        for octets in [&b""[..], b"no clock", &[0; 10_000]] {
            fs::write(directory.path().join("clock"), octets).unwrap();
            let past = Past::read(directory.path(), &IDENTITY).unwrap();
            assert_eq!(past.trouble, Some(HeaderError::NotOurs));
            drop(written(directory.path()));
            let past = Past::read(directory.path(), &IDENTITY).unwrap();
            assert!(past.record.is_some());
            fs::remove_file(directory.path().join("clock")).unwrap();
        }
    }
}
