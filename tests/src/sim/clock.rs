//! What time does a simulated server start with, and what does it leave to the next? As `dhcp_userspace::clock`
//! does it on a real machine, over the simulated disk.

use dhcp_lease::clock::{self, BootId, ClockRecord, Clocks, Guard, Known, Place, Share, Word};
use dhcp_lease::{Binding, StoreHeader, Timestamp};
use dhcp_userspace::disk::{Disk, DiskFile};
use std::io;

const NAME: &str = "clock";
/// How often the record is written, and how often it is synced, in looks at the clocks.
const WRITE_LOOKS: u64 = 5;
const SYNC_LOOKS: u64 = 60;

/// For how long a machine may have been down: a wall clock that has jumped further is not believed where it would
/// end leases.
pub const DOWNTIME_SECONDS: u64 = 600;

/// One live lease is reason enough.
pub const GUARD: Guard = Guard {
    downtime_seconds: DOWNTIME_SECONDS,
    percent: 0,
};

/// The few clients of a run stand for many: below a hundred leases the guard would let any jump pass.
const LEASES_PER_CLIENT: u64 = clock::GUARDED_LEASES_MIN;

/// The clocks of the machine, in its n-th boot.
pub fn clocks(wall: Timestamp, boot_seconds: u64, boot: u64) -> Clocks {
    Clocks {
        wall,
        boot_seconds,
        boot: BootId(u128::from(boot + 1).to_be_bytes()),
    }
}

/// What an earlier life of the server wrote down, if it did.
///
/// # Errors
/// Those of the disk.
pub fn read(disk: &dyn Disk, header: &StoreHeader) -> io::Result<Option<ClockRecord>> {
    match disk.read_whole(NAME) {
        Ok(octets) => Ok(ClockRecord::read(&header.identity, &octets).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The time of a start. `bindings` reads the store, which is asked for only if the wall clock is far ahead.
pub fn start(
    clocks: &Clocks,
    record: Option<&ClockRecord>,
    bindings: impl Fn() -> Vec<Binding>,
) -> clock::Start {
    let known = record.map(|record| record.known);
    let latest = || {
        let moments = bindings().into_iter();
        let latest = moments.map(|binding| binding.last_transaction).max();
        latest.unwrap_or_default()
    };
    let share = |from, to| {
        let mut share = Share::default();
        for binding in bindings() {
            share.count(binding.state, binding.expires, from, to);
        }
        Share {
            live: share.live * LEASES_PER_CLIENT,
            ending: share.ending * LEASES_PER_CLIENT,
        }
    };
    clock::start(clocks, known.as_ref(), Word::None, &GUARD, latest, share)
}

/// Keeps the record while a server runs.
pub struct Keeper {
    file: Box<dyn DiskFile>,
    identity: [u8; 16],
    record: ClockRecord,
    /// The number of the record that is on stable storage.
    synced: u64,
    /// What the clocks said at the last look.
    seen: Clocks,
    looks: u64,
}

impl Keeper {
    /// Writes and syncs the record of a start.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn start(
        disk: &dyn Disk,
        header: &StoreHeader,
        before: Option<&ClockRecord>,
        known: Known,
    ) -> io::Result<Self> {
        let file = match disk.open(NAME) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                disk.create(NAME, ClockRecord::OCTETS as u64)?
            }
            Err(error) => return Err(error),
        };
        disk.sync_directory()?;
        let mut keeper = Self {
            file,
            identity: header.identity,
            record: ClockRecord {
                number: before.map_or(0, |record| record.number),
                known,
                place: Place::default(),
                ..ClockRecord::unknown(header.epoch)
            },
            synced: before.map_or(0, |record| record.number),
            seen: known.clocks,
            looks: 0,
        };
        keeper.write(known)?;
        keeper.sync()?;
        Ok(keeper)
    }

    /// Looks at the clocks, as is done each second. That the record cannot be written concerns no lease.
    pub fn look(&mut self, server: Timestamp, clocks: Clocks) {
        self.looks += 1;
        let offset = |clocks: Clocks| clocks.wall.0 as i64 - clocks.boot_seconds as i64;
        let is_set = offset(clocks).abs_diff(offset(self.seen)) > 1;
        self.seen = clocks;
        let known = Known {
            server,
            clocks,
            ..self.record.known
        };
        let is_synced = is_set || self.looks.is_multiple_of(SYNC_LOOKS);
        if is_synced || self.looks.is_multiple_of(WRITE_LOOKS) {
            let written = self.write(known);
            if is_synced && written.is_ok() {
                let _ = self.sync();
            }
        }
    }

    fn write(&mut self, known: Known) -> io::Result<()> {
        self.record.known = known;
        self.record.number = ClockRecord::next_number(self.record.number, self.synced);
        let octets = self.record.octets(&self.identity);
        self.file.write_at(&[&octets], self.record.offset())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.synced = self.record.number;
        Ok(())
    }
}
