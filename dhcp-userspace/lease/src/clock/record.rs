//! The clock record as it lies in the file `clock`: two copies, written in turn. docs/lease-format.md has every
//! octet.

use super::{BootId, Clocks, Known};
use crate::binding::Timestamp;
use crate::format::{Checksum, archive};
use crate::headers::{COPY_DISTANCE, HeaderError};
use core::hash::Hasher;
use rkyv::api::low;
use rkyv::rancor::Failure;
use rkyv::{Archive, Serialize};

const MAGIC: [u8; 8] = *b"xdhcpd\0C";
/// The record's own version; it is written anew at every start, so it needs no upgrade.
const VERSION: u32 = 1;
const ACCEPT: u32 = 1;
const HELD: u32 = 2;
const WITHHELD: u32 = 4;
const CARRYING: u32 = 8;

/// How long after its last writing the clock file may say that it was changed. After a power cut the time of a
/// change may be on the disk and what was written not, for as long as the kernel keeps it back.
const CHANGE_SLACK_SECONDS: u64 = 300;

/// Octets of one copy, without the zeros up to the next one.
const COPY_OCTETS: usize = 256;

/// One copy.
#[derive(Archive, Serialize, Debug)]
#[rkyv(derive(Debug))]
struct Copy {
    checksum: u64,
    magic: [u8; 8],
    version: u32,
    flags: u32,
    identity: [u8; 16],
    number: u64,
    server: u64,
    boot_seconds: u64,
    boot: [u8; 16],
    wall: u64,
    held_since: u64,
    withheld_until: u64,
    stamp: u64,
    inode: u64,
    birth_seconds: u64,
    birth_nanos: u32,
    mode: u32,
    user: u32,
    group: u32,
    machine: u64,
    epoch: u32,
    reserved: [u8; 100],
}

const _: () = assert!(size_of::<ArchivedCopy>() == COPY_OCTETS);

/// What tells the clock file itself from a copy of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Place {
    /// Its inode.
    pub inode: u64,
    /// When it was made, as the file system has it: seconds and nanoseconds; zeros if it does not say. An inode's
    /// number may be given again, with its time of making it may not.
    pub birth: (u64, u32),
    /// When it was last changed, by the kernel's wall clock.
    pub changed: Timestamp,
    /// Mode, user and group: who changes these changes the file without copying it.
    pub owner: (u32, u32, u32),
    /// Stands for the machine; 0 if that is not known.
    pub machine: u64,
}

/// What a clock file is found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The one that was written last.
    Own,
    /// It too, but on another machine: a disk that moved, or a shared one.
    OtherMachine,
    /// A copy: another file than the one that was written.
    Copied,
    /// The file was written over after the server wrote it last: a copy was put in its place.
    Overwritten,
}

impl Place {
    /// What the file `found` is, if the record in it says that it is at `self`.
    pub fn judge(&self, found: &Self) -> Origin {
        let was_touched = found.changed.0 > self.changed.0.saturating_add(CHANGE_SLACK_SECONDS);
        if self.inode != found.inode || self.birth != found.birth {
            Origin::Copied
        } else if was_touched && self.owner == found.owner {
            Origin::Overwritten
        } else if self.machine != found.machine && self.machine != 0 && found.machine != 0 {
            Origin::OtherMachine
        } else {
            Origin::Own
        }
    }
}

/// What the server knows of the time and of its files' past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockRecord {
    /// Counts how often the record was written.
    pub number: u64,
    /// The time.
    pub known: Known,
    /// The operator has accepted the wall clock; the next start takes it over.
    pub accept: bool,
    /// Leases are being carried over to the wall clock's time: done if the store has another epoch by now.
    pub carrying: bool,
    /// The epoch of the store when the record was written.
    pub epoch: u32,
    /// Until when free leases are kept from clients that do not say they hold them, because the store is a
    /// restored copy.
    pub withheld_until: Option<Timestamp>,
    /// Which file it was written into, and when.
    pub place: Place,
}

impl ClockRecord {
    /// A record that says nothing of the past.
    pub fn unknown(epoch: u32) -> Self {
        let clocks = Clocks {
            wall: Timestamp(0),
            boot_seconds: 0,
            boot: BootId::UNKNOWN,
        };
        Self {
            number: 0,
            known: Known {
                server: Timestamp(0),
                clocks,
                held_since: None,
            },
            accept: false,
            carrying: false,
            epoch,
            withheld_until: None,
            place: Place::default(),
        }
    }

    /// Octets of the whole file.
    pub const OCTETS: usize = 2 * COPY_DISTANCE;

    /// One copy, with the zeros that follow it. It goes to [`ClockRecord::offset`].
    pub fn octets(&self, identity: &[u8; 16]) -> [u8; COPY_DISTANCE] {
        let flag = |is_set: bool, flag: u32| if is_set { flag } else { 0 };
        let Known {
            server,
            clocks,
            held_since,
        } = self.known;
        let (birth_seconds, birth_nanos) = self.place.birth;
        let (mode, user, group) = self.place.owner;
        let copy = Copy {
            checksum: 0,
            magic: MAGIC,
            version: VERSION,
            flags: flag(self.accept, ACCEPT)
                | flag(self.carrying, CARRYING)
                | flag(held_since.is_some(), HELD)
                | flag(self.withheld_until.is_some(), WITHHELD),
            identity: *identity,
            number: self.number,
            server: server.0,
            boot_seconds: clocks.boot_seconds,
            boot: clocks.boot.0,
            wall: clocks.wall.0,
            held_since: held_since.unwrap_or_default().0,
            withheld_until: self.withheld_until.unwrap_or_default().0,
            stamp: self.place.changed.0,
            inode: self.place.inode,
            birth_seconds,
            birth_nanos,
            mode,
            user,
            group,
            machine: self.place.machine,
            epoch: self.epoch,
            reserved: [0; 100],
        };
        let mut archived: [u8; COPY_OCTETS] = archive(&copy);
        let sum = sum(&archived, identity);
        if let Some(field) = archived.first_chunk_mut() {
            *field = sum;
        }
        let mut octets = [0; COPY_DISTANCE];
        if let Some(room) = octets.first_chunk_mut() {
            *room = archived;
        }
        octets
    }

    /// Where in the file this copy goes.
    pub fn offset(&self) -> u64 {
        (self.number % 2) * COPY_DISTANCE as u64
    }

    /// The number of the record that is written after number `last`, where number `synced` is known to be on stable
    /// storage: never at that one's place. Of the writes since then a power cut may leave none whole.
    pub fn next_number(last: u64, synced: u64) -> u64 {
        let next = last.wrapping_add(1);
        match next % 2 == synced % 2 {
            true => next.wrapping_add(1),
            false => next,
        }
    }

    /// The newer whole copy of a clock file.
    ///
    /// # Errors
    /// [`HeaderError`]: it is none, a later program's, another store's, or both copies are damaged.
    pub fn read(identity: &[u8; 16], octets: &[u8]) -> Result<Self, HeaderError> {
        let mut best: Option<Self> = None;
        let mut error = HeaderError::NotOurs;
        for place in [0, COPY_DISTANCE] {
            match octets
                .get(place..)
                .map(|octets| read_copy(identity, octets))
            {
                Some(Ok(copy)) if best.is_none_or(|best| best.number < copy.number) => {
                    best = Some(copy);
                }
                Some(Err(why)) if error == HeaderError::NotOurs => error = why,
                Some(Ok(_) | Err(_)) | None => {}
            }
        }
        best.ok_or(error)
    }
}

fn read_copy(identity: &[u8; 16], octets: &[u8]) -> Result<ClockRecord, HeaderError> {
    let octets = octets.first_chunk().ok_or(HeaderError::NotOurs)?;
    let copy = access(octets).filter(|copy| copy.magic == MAGIC);
    let copy = copy.ok_or(HeaderError::NotOurs)?;
    let version = copy.version.to_native();
    if version > VERSION {
        let known = VERSION;
        return Err(HeaderError::Newer {
            found: version,
            known,
        });
    }
    // Each store has its own key, so a copy of another store's is told from a damaged one by that.
    if octets.first_chunk() != Some(&sum(octets, &copy.identity)) {
        return Err(HeaderError::Damaged);
    }
    if copy.identity != *identity {
        return Err(HeaderError::Astray);
    }
    let flags = copy.flags.to_native();
    let moment = |flag: u32, seconds: u64| (flags & flag != 0).then_some(Timestamp(seconds));
    Ok(ClockRecord {
        number: copy.number.to_native(),
        known: Known {
            server: Timestamp(copy.server.to_native()),
            clocks: Clocks {
                wall: Timestamp(copy.wall.to_native()),
                boot_seconds: copy.boot_seconds.to_native(),
                boot: BootId(copy.boot),
            },
            held_since: moment(HELD, copy.held_since.to_native()),
        },
        accept: flags & ACCEPT != 0,
        carrying: flags & CARRYING != 0,
        epoch: copy.epoch.to_native(),
        withheld_until: moment(WITHHELD, copy.withheld_until.to_native()),
        place: Place {
            inode: copy.inode.to_native(),
            birth: (copy.birth_seconds.to_native(), copy.birth_nanos.to_native()),
            changed: Timestamp(copy.stamp.to_native()),
            owner: (
                copy.mode.to_native(),
                copy.user.to_native(),
                copy.group.to_native(),
            ),
            machine: copy.machine.to_native(),
        },
    })
}

fn access(octets: &[u8; COPY_OCTETS]) -> Option<&ArchivedCopy> {
    low::access::<ArchivedCopy, Failure>(octets).ok()
}

/// Nobody outside chooses what the record says, so its key need not be a secret.
fn sum(octets: &[u8; COPY_OCTETS], identity: &[u8; 16]) -> [u8; 8] {
    let mut hasher = Checksum::new(*identity).hasher();
    hasher.write(octets.get(8..).unwrap_or_default());
    hasher.finish().to_le_bytes()
}
