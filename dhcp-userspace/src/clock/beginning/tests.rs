use super::*;
use crate::settings::Durability;
use crate::store::tests::{binding, commit, pools, settings};
use dhcp_lease::ChangeLog;
use dhcp_lease::clock::{BootId, Known, Place};

const LONGEST: u32 = 3600;

struct Scene {
    directory: tempfile::TempDir,
    settings: Settings,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        let mut settings = settings(directory.path(), Durability::Process);
        settings.lease_capacity = 1000;
        Self {
            directory,
            settings,
        }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn begin(&self) -> (Begun, Pools) {
        let state = StateDirectory::open(self.path()).unwrap();
        let pools = pools();
        let begun = begin(&state, &self.settings, &pools, LONGEST, |_, _| {}).unwrap();
        (begun, pools)
    }

    /// Two hundred leases, all from the time of the tests' bindings, which is long ago.
    fn fill(&self) {
        let (begun, pools) = self.begin();
        let mut log = ChangeLog::default();
        for number in 0..200 {
            commit(&begun.store.partitions, &pools, number, &mut log);
        }
    }

    /// Writes a record as an earlier life may have left it.
    fn record(&self, change: impl FnOnce(&mut ClockRecord)) {
        let identity = self.identity();
        let past = Past::read(self.path(), &identity).unwrap();
        let mut record = past.record.unwrap();
        change(&mut record);
        let mut file = ClockFile::open(self.path(), &identity, &past).unwrap();
        file.write(&record).unwrap();
    }

    fn identity(&self) -> [u8; 16] {
        let state = StateDirectory::open(self.path()).unwrap();
        state.header().unwrap().unwrap().identity
    }
}

/// The clock stood at `server` a moment ago, in another boot, and the wall clock with it.
fn long_ago(server: Timestamp) -> Known {
    Known {
        server,
        clocks: Clocks {
            wall: server,
            boot_seconds: 0,
            boot: BootId([1; 16]),
        },
        held_since: None,
    }
}

#[test]
fn a_jump_that_would_end_everything_is_held_and_stays_so_until_the_operator_accepts() {
    let mut scene = Scene::new();
    scene.fill();
    let granted = binding(0).last_transaction;
    scene.record(|record| record.known = long_ago(granted));
    let (begun, pools) = scene.begin();
    let status = begun.keeper.status();
    assert!(matches!(status.source, Source::Held { .. }), "{status:?}");
    assert_eq!(Some(pools.recorded_since()), status.held_since);
    assert_eq!(begun.store.recovery.live, 200);
    assert!(begun.clock.now().0 <= granted.0 + 60);
    // One client renews meanwhile.
    let renewed = dhcp_lease::Binding {
        last_transaction: begun.clock.now(),
        expires: begun.clock.now().after(LONGEST),
        ..binding(7)
    };
    let key = dhcp_lease::Key {
        kind: renewed.lease.kind(),
        client: &[],
        hardware: renewed.hardware,
        iaid: renewed.iaid,
    };
    let partitions = &begun.store.partitions;
    let index = partitions.index_of(renewed.hardware.as_slice());
    let mut partition = partitions.lock(index).unwrap();
    let slot = partition.find(&key, |_| true);
    let mut log = ChangeLog::default();
    let now = begun.clock.now();
    partition
        .commit(slot, &renewed, &pools, &mut log, now)
        .unwrap();
    drop(partition);
    begun.keeper.accept_clock().unwrap();
    drop(begun);

    let (begun, _) = scene.begin();
    assert_eq!(begun.keeper.status().source, Source::Accepted);
    assert_eq!(begun.store.header.epoch, 1);
    let wall = super::super::wall();
    assert!(begun.clock.now().0.abs_diff(wall.0) <= 2);
    let mut live = Vec::new();
    begun.store.partitions.for_each(|binding| {
        if binding.is_live(begun.clock.now()) {
            live.push((
                binding.lease,
                binding.expires.0.abs_diff(wall.0 + 3600) <= 5,
            ));
        }
    });
    assert_eq!(
        live,
        [(renewed.lease, true)],
        "with all the time that is left of it"
    );
    drop(begun);

    // And once more, as if the record of that had not been written any more.
    scene.record(|record| {
        record.known = long_ago(granted);
        record.accept = true;
        record.carrying = true;
        record.epoch = 0;
    });
    scene.settings.accept_clock = true;
    let (begun, _) = scene.begin();
    assert_eq!(begun.store.header.epoch, 1, "it is not done twice");
    let mut expires = None;
    begun.store.partitions.for_each(|binding| {
        if binding.lease == renewed.lease {
            expires = Some(binding.expires);
        }
    });
    assert!(expires.unwrap().0.abs_diff(wall.0 + 3600) <= 5);
}

#[test]
fn a_copy_withholds_free_leases_over_restarts_until_the_operator_accepts_it() {
    let scene = Scene::new();
    scene.fill();
    let copy = Scene::new();
    let now = Timestamp(super::super::wall().0);
    scene.record(|record| record.known = long_ago(Timestamp(now.0 - 60)));
    for entry in std::fs::read_dir(scene.path()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    for _ in 0..2 {
        let (begun, pools) = copy.begin();
        let until = begun.keeper.status().withheld_until.unwrap();
        assert!(until.seconds_left(begun.clock.now()) > LONGEST - 60);
        assert!(pools.withholds(begun.clock.now()));
    }
    let (begun, pools) = copy.begin();
    begun.keeper.accept_restored(&pools).unwrap();
    assert!(!pools.withholds(begun.clock.now()));
    drop(begun);
    let (begun, pools) = copy.begin();
    assert!(!pools.withholds(begun.clock.now()));
    drop(begun);

    // Without a record nobody knows; a new store has nothing to lose.
    std::fs::remove_file(copy.path().join("clock")).unwrap();
    assert!(copy.begin().0.keeper.status().withheld_until.is_some());
    assert_eq!(Scene::new().begin().0.keeper.status().withheld_until, None);
    // On a stopped server the same word.
    assert!(adopt(copy.path()).unwrap());
    assert!(!adopt(copy.path()).unwrap());
    assert_eq!(copy.begin().0.keeper.status().withheld_until, None);
    // The original was never in doubt.
    assert_eq!(scene.begin().0.keeper.status().withheld_until, None);
}

#[test]
fn somebody_who_only_reads_sees_server_time() {
    let scene = Scene::new();
    scene.fill();
    let ahead = Timestamp(1 << 40);
    scene.record(|record| {
        record.known = Known {
            server: ahead,
            clocks: clocks(),
            held_since: None,
        };
        record.place = Place::default();
    });
    assert!(time_of(scene.path()).0.abs_diff(ahead.0) <= 2);
    let elsewhere = tempfile::tempdir().unwrap();
    assert!(time_of(elsewhere.path()).0.abs_diff(super::super::wall().0) <= 2);
}
