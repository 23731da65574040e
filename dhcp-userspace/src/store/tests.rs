use super::*;
use crate::commit::{Step, Storage, StoreState, Submission, connect};
use crate::settings::{InterfaceSettings, XdpMode};
use crate::wake::Waker;
use dhcp_lease::format::SLOT_OCTETS;
use dhcp_lease::headers::COPY_DISTANCE;
use dhcp_lease::table::HEADER_OCTETS;
use dhcp_lease::{Binding, ChangeLog, Lease, PoolRange, State, SubnetId};
use dhcp_wire::id::HardwareAddress;
use std::fs::File;
use std::net::Ipv4Addr;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000);

pub(crate) fn settings(directory: &Path, durability: Durability) -> Settings {
    Settings {
        interfaces: vec![InterfaceSettings {
            name: "test0".to_owned(),
            workers_per_queue: 1,
            mode: XdpMode::Auto,
            copy: crate::settings::CopyMode::Auto,
        }],
        state_dir: directory.to_owned(),
        socket: directory.join("socket"),
        durability,
        journal_priority: crate::settings::JournalPriority::Normal,
        lease_capacity: 10_000,
        history: Default::default(),
        bulk_leasequery: None,
        partitions: 4,
        guard: dhcp_lease::clock::Guard {
            percent: 50,
            downtime_seconds: 86_400,
        },
        accept_clock: false,
        xdp_log: crate::settings::XdpLog::Off,
    }
}

pub(crate) fn pools() -> Pools {
    let first = Lease::V4(Ipv4Addr::new(10, 0, 0, 0));
    Pools::new(
        &[PoolRange {
            first,
            count: 65_536,
        }],
        &[],
    )
}

pub(crate) fn binding(number: u16) -> Binding {
    let [high, low] = number.to_be_bytes();
    Binding {
        lease: Lease::V4(Ipv4Addr::new(10, 0, high, low)),
        state: State::Leased,
        subnet: SubnetId(1),
        hardware: HardwareAddress::ethernet([2, 0, 0, 0, high, low]),
        last_transaction: NOW,
        expires: NOW.after(3600),
        valid_seconds: 3600,
        ..Binding::default()
    }
}

/// Commits a binding and returns without letting it count.
pub(crate) fn commit(partitions: &Partitions, pools: &Pools, number: u16, log: &mut ChangeLog) {
    let binding = binding(number);
    pools.claim(binding.lease);
    let index = partitions.index_of(binding.hardware.as_slice());
    let mut partition = partitions.lock(index).unwrap();
    partition.commit(None, &binding, pools, log, NOW).unwrap();
}

fn count(partitions: &Partitions) -> usize {
    let mut count = 0;
    partitions.for_each(|_| count += 1);
    count
}

#[test]
fn what_the_journal_has_is_there_after_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), Durability::Power);
    {
        let state = StateDirectory::open(directory.path()).unwrap();
        let pools = pools();
        let mut store = state.store(&settings, &pools, 3600, NOW).unwrap();
        assert_eq!(store.recovery.live, 0);
        let mut group = Vec::new();
        for number in 0..3 {
            let mut log = ChangeLog::with_capacity(64);
            for client in 0..50 {
                commit(&store.partitions, &pools, number * 50 + client, &mut log);
            }
            group.push(Submission {
                worker: 0,
                log,
                sequence: 0,
            });
        }
        write(&mut store.journal, &mut group);
        assert!(group[0].sequence < group[2].sequence);
        // Never settled, never synced, never finished: the process is killed here.
    }
    for _ in 0..2 {
        let state = StateDirectory::open(directory.path()).unwrap();
        let pools = pools();
        let store = state.store(&settings, &pools, 3600, NOW).unwrap();
        assert_eq!(store.recovery.live, 150);
        assert_eq!(count(&store.partitions), 150);
        assert_eq!(pools.claim(binding(149).lease), dhcp_lease::Claim::Taken);
    }
}

/// Opens the store, commits some bindings, and ends in good order.
fn run_and_stop(settings: &Settings, numbers: std::ops::Range<u16>, now: Timestamp) -> Recovery {
    let state = StateDirectory::open(&settings.state_dir).unwrap();
    let pools = pools();
    let store = state.store(settings, &pools, 3600, now).unwrap();
    let mut log = ChangeLog::with_capacity(64);
    for number in numbers {
        commit(&store.partitions, &pools, number, &mut log);
    }
    let mut journal = store.journal;
    assert!(log.is_empty());
    journal.finish().unwrap();
    journal.keep_snapshot(&pools, now);
    store.recovery
}

#[test]
fn a_stop_in_good_order_spares_the_next_start_the_look_at_every_slot() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), Durability::Process);
    let snapshot = directory.path().join("snapshot");
    assert!(!run_and_stop(&settings, 0..500, NOW).is_clean);
    for (round, numbers) in [500..600, 600..700].into_iter().enumerate() {
        assert!(snapshot.exists());
        let recovery = run_and_stop(&settings, numbers, NOW);
        assert!(recovery.is_clean);
        assert_eq!(recovery.live, 500 + 100 * round as u64);
    }
    // Killed: there is none any more, from the first moment on.
    let state = StateDirectory::open(directory.path()).unwrap();
    let store = state.store(&settings, &pools(), 3600, NOW).unwrap();
    assert!(store.recovery.is_clean && !snapshot.exists());
    drop((store, state));
    let recovery = run_and_stop(&settings, 700..701, NOW);
    assert!(!recovery.is_clean);
    assert_eq!(recovery.live, 700);
}

/// Whatever happened to the files in between: every slot is looked at.
#[test]
fn a_snapshot_of_files_that_were_touched_since_is_not_used() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), Durability::Process);
    let table = table_path(directory.path(), 0, 1);
    let snapshot = directory.path().join("snapshot");
    let copy = directory.path().join("copy");
    let touch: [&dyn Fn(); 6] = [
        // Written to, be it with what it had.
        &|| {
            let octets = std::fs::read(&table).unwrap();
            std::fs::write(&table, octets).unwrap();
        },
        // Restored, with the time of the original.
        &|| {
            std::fs::copy(&table, &copy).unwrap();
            let modified = table.metadata().unwrap().modified().unwrap();
            std::fs::File::options()
                .append(true)
                .open(&copy)
                .unwrap()
                .set_modified(modified)
                .unwrap();
            std::fs::rename(&copy, &table).unwrap();
        },
        // The journal of another time.
        &|| std::fs::remove_file(journal_path(directory.path(), 0)).unwrap(),
        // The snapshot itself: damaged, cut short, emptied.
        &|| {
            let mut octets = std::fs::read(&snapshot).unwrap();
            let middle = octets.len() / 2;
            octets[middle] ^= 1;
            std::fs::write(&snapshot, octets).unwrap();
        },
        &|| {
            let octets = std::fs::read(&snapshot).unwrap();
            std::fs::write(&snapshot, &octets[..octets.len() / 2]).unwrap();
        },
        &|| std::fs::write(&snapshot, []).unwrap(),
    ];
    run_and_stop(&settings, 0..100, NOW);
    for (number, touch) in touch.into_iter().enumerate() {
        assert!(
            run_and_stop(&settings, 0..0, NOW).is_clean,
            "before {number}"
        );
        touch();
        let recovery = run_and_stop(&settings, 0..0, NOW);
        assert!(!recovery.is_clean, "{number}");
        assert_eq!(recovery.live, 100, "{number}");
    }
    // The clock went back.
    let before = Timestamp(NOW.0 - 10);
    assert!(!run_and_stop(&settings, 0..0, before).is_clean);
}

/// A snapshot that is put back later, when the server has run and was killed since.
#[test]
fn a_stale_snapshot_is_not_used() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), Durability::Process);
    run_and_stop(&settings, 0..100, NOW);
    let snapshot = directory.path().join("snapshot");
    let stale = std::fs::read(&snapshot).unwrap();
    {
        let state = StateDirectory::open(directory.path()).unwrap();
        let pools = pools();
        let store = state.store(&settings, &pools, 3600, NOW).unwrap();
        let mut log = ChangeLog::with_capacity(64);
        commit(&store.partitions, &pools, 100, &mut log);
    }
    std::fs::write(&snapshot, stale).unwrap();
    let recovery = run_and_stop(&settings, 0..0, NOW);
    assert!(!recovery.is_clean);
    assert_eq!(recovery.live, 101);
}

/// The server does not wait for the tables to be synced after a crash: until they are, the journal keeps
/// what it had, and what it gets. So a second crash, before anything was synced, loses nothing.
#[test]
fn what_was_replayed_stays_in_the_journal_until_the_tables_are_synced() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), Durability::Power);
    let blank = || std::fs::read(table_path(directory.path(), 0, 0)).unwrap();
    let mut before = Vec::new();
    for round in 0..3 {
        let state = StateDirectory::open(directory.path()).unwrap();
        let pools = pools();
        let mut store = state.store(&settings, &pools, 3600, NOW).unwrap();
        assert_eq!(store.recovery.live, round * 50);
        if round == 0 {
            before = blank();
        }
        let mut log = ChangeLog::with_capacity(64);
        for client in 0..50 {
            let number = round as u16 * 50 + client;
            commit(&store.partitions, &pools, number, &mut log);
        }
        let submission = Submission {
            worker: 0,
            log,
            sequence: 0,
        };
        write(&mut store.journal, &mut [submission]);
        drop((store, state));
        // A power cut: nothing of this table ever reached the disk.
        std::fs::write(table_path(directory.path(), 0, 0), &before).unwrap();
    }
    let state = StateDirectory::open(directory.path()).unwrap();
    let store = state.store(&settings, &pools(), 3600, NOW).unwrap();
    assert_eq!((store.recovery.batches, store.recovery.live), (3, 150));
}

#[test]
fn a_killed_process_keeps_what_it_wrote_into_the_tables() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), Durability::Process);
    {
        let state = StateDirectory::open(directory.path()).unwrap();
        let pools = pools();
        let store = state.store(&settings, &pools, 3600, NOW).unwrap();
        let mut log = ChangeLog::with_capacity(64);
        for number in 0..1000 {
            commit(&store.partitions, &pools, number, &mut log);
        }
        assert!(log.is_empty());
    }
    let state = StateDirectory::open(directory.path()).unwrap();
    let store = state.store(&settings, &pools(), 3600, NOW).unwrap();
    assert_eq!(store.recovery.live, 1000);
}

#[test]
fn logs_go_round_through_the_journal_s_thread_and_checkpoints() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), Durability::Power);
    let state = StateDirectory::open(directory.path()).unwrap();
    let pools = pools();
    let store = state.store(&settings, &pools, 3600, NOW).unwrap();
    let store_state = Arc::new(StoreState::default());
    let waker = Arc::new(Waker::new().unwrap());
    let (mut handles, committer) = connect(vec![waker], &store_state);
    let handle = handles.pop().unwrap();
    let Store {
        journal,
        partitions,
        ..
    } = store;
    let thread = std::thread::spawn(move || committer.run(journal));
    // 64 MiB of journal go round twice, in logs of 512 records of 136 octets.
    let mut binding = binding(7);
    pools.claim(binding.lease);
    let index = partitions.index_of(binding.hardware.as_slice());
    let mut log = ChangeLog::with_capacity(512);
    let mut slot = None;
    let logs = 2 * (64 << 20) / (512 * 136) + 1;
    for number in 0..logs {
        binding.last_transaction = Timestamp(NOW.0 + number);
        let mut partition = partitions.lock(index).unwrap();
        for _ in 0..512 {
            slot = Some(
                partition
                    .commit(slot, &binding, &pools, &mut log, NOW)
                    .unwrap(),
            );
        }
        drop(partition);
        handle.submit(std::mem::take(&mut log));
        let mut returned = loop {
            match handle.take_returned() {
                Some(returned) => break returned,
                None => std::thread::yield_now(),
            }
        };
        assert!(returned.is_durable, "{:?}", store_state.status());
        partitions.settle(&mut returned.log, &pools);
        handle.settled(returned.sequence);
        log = returned.log;
    }
    drop(handle);
    thread.join().unwrap();
    let status = store_state.status();
    assert_eq!((status.trouble, status.logs), (None, logs));
    drop((state, partitions));

    let state = StateDirectory::open(directory.path()).unwrap();
    let store = state.store(&settings, &self::pools(), 3600, NOW).unwrap();
    assert_eq!(store.recovery.live, 1);
    assert_eq!(store.recovery.latest, Timestamp(NOW.0 + logs - 1));
    assert_eq!(
        store.recovery.batches, 0,
        "a clean stop leaves nothing to replay"
    );
}

#[test]
fn a_store_grows_with_its_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(directory.path(), Durability::Process);
    settings.lease_capacity = 100;
    let before = {
        let state = StateDirectory::open(directory.path()).unwrap();
        state.store(&settings, &pools(), 3600, NOW).unwrap();
        table_path(directory.path(), 0, 0).metadata().unwrap().len()
    };
    settings.lease_capacity = 300_000;
    let state = StateDirectory::open(directory.path()).unwrap();
    let pools = pools();
    let store = state.store(&settings, &pools, 3600, NOW).unwrap();
    assert!(table_path(directory.path(), 0, 0).metadata().unwrap().len() > before);
    let mut log = ChangeLog::default();
    for number in 0..2_000 {
        commit(&store.partitions, &pools, number, &mut log);
    }
}

#[test]
fn a_store_whose_making_was_interrupted_is_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), Durability::Power);
    fs::write(directory.path().join("store.making"), "").unwrap();
    fs::write(table_path(directory.path(), 0, 0), "half").unwrap();
    let state = StateDirectory::open(directory.path()).unwrap();
    state.store(&settings, &pools(), 3600, NOW).unwrap();
    assert!(!directory.path().join("store.making").exists());
}

#[test]
fn tables_without_their_store_file_are_not_thrown_away() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), Durability::Power);
    fs::write(table_path(directory.path(), 0, 0), "precious").unwrap();
    let state = StateDirectory::open(directory.path()).unwrap();
    let refused = state.store(&settings, &pools(), 3600, NOW).err().unwrap();
    assert!(
        matches!(refused, OpenError::HeaderMissing { .. }),
        "{refused}"
    );
    assert_eq!(
        fs::read(table_path(directory.path(), 0, 0)).unwrap(),
        b"precious"
    );
}

#[test]
fn the_duid_stays_for_ever() {
    let directory = tempfile::tempdir().unwrap();
    let state = StateDirectory::open(directory.path()).unwrap();
    let first = state
        .duid(Some(MacAddress([2, 0, 0, 0, 0, 1])), NOW)
        .unwrap();
    assert_eq!(first.as_slice()[..4], [0, 1, 0, 1]);
    assert_eq!(state.duid(None, Timestamp(0)).unwrap(), first);
    fs::write(directory.path().join("duid"), "nonsense").unwrap();
    assert!(matches!(state.duid(None, NOW), Err(OpenError::Duid { .. })));
    fs::remove_file(directory.path().join("duid")).unwrap();
    let uuid = state.duid(None, NOW).unwrap();
    assert_eq!((uuid.len(), &uuid.as_slice()[..2]), (18, &[0, 4][..]));
}

#[test]
fn files_are_not_for_everybody_to_read() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), Durability::Power);
    let state = StateDirectory::open(directory.path()).unwrap();
    state.duid(None, NOW).unwrap();
    state.store(&settings, &pools(), 3600, NOW).unwrap();
    for entry in fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o027, 0, "{:?} has mode {mode:o}", entry.path());
    }
}

/// Brings a log into the journal of a store, and no further.
pub(super) fn write_to_journal(store: &mut Store, log: ChangeLog) {
    let submission = Submission {
        worker: 0,
        log,
        sequence: 0,
    };
    write(&mut store.journal, &mut [submission]);
}

/// Gives a group its places, and commits it.
fn write(journal: &mut JournalFile, group: &mut [Submission]) {
    for submission in &mut *group {
        submission.sequence = journal.place(&mut submission.log).unwrap();
    }
    journal.commit(group).unwrap();
}

/// A journal of 64 pages beside an open store; every log that the tests make takes whole pages.
fn small_journal(state: &StateDirectory, store: &Store) -> JournalFile {
    let octets = Journal::OCTETS_MIN;
    let file = state.disk.create("small", octets).unwrap();
    let (plan, write) = Journal::restart(&store.header, octets, store.recovery.resume, 1).unwrap();
    let disk = Arc::clone(&state.disk);
    let partitions = Arc::clone(&store.partitions);
    let file = Arc::from(file);
    let journal = JournalFile::new(disk, store.header, partitions, file, plan, Vec::new());
    journal.write_header(&write).unwrap();
    journal
}

/// A log of some hundred records for one client.
fn large_log(partitions: &Partitions, pools: &Pools) -> ChangeLog {
    let mut log = ChangeLog::default();
    let binding = binding(7);
    pools.claim(binding.lease);
    let index = partitions.index_of(binding.hardware.as_slice());
    let mut partition = partitions.lock(index).unwrap();
    let mut slot = None;
    for _ in 0..140 {
        slot = Some(
            partition
                .commit(slot, &binding, pools, &mut log, NOW)
                .unwrap(),
        );
    }
    log
}

#[test]
fn a_checkpoint_never_passes_what_was_not_settled() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), Durability::Power);
    let state = StateDirectory::open(directory.path()).unwrap();
    let pools = pools();
    let store = state.store(&settings, &pools, 3600, NOW).unwrap();
    let mut journal = small_journal(&state, &store);
    let store_state = Arc::new(StoreState::default());
    let (handles, mut committer) = connect(vec![Arc::new(Waker::new().unwrap())], &store_state);
    let time = || Duration::ZERO;
    let mut hand_in = |count: usize| {
        for _ in 0..count {
            handles[0].submit(large_log(&store.partitions, &pools));
        }
        while committer.step(&mut journal, &time) == Step::Again {}
        journal.used()
    };
    let settle = || {
        while let Some(mut returned) = handles[0].take_returned() {
            store.partitions.settle(&mut returned.log, &pools);
            handles[0].settled(returned.sequence);
        }
    };
    let first = hand_in(2);
    settle();
    let all = hand_in(6);
    assert!(all > first, "both groups are in the ring");
    // One is due now; but the second group is in the hands of its worker, and nothing moves.
    for _ in 0..10 {
        assert_eq!(hand_in(0), all);
    }
    settle();
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while hand_in(0) != 0 {
        assert!(std::time::Instant::now() < deadline, "no checkpoint");
    }
}

#[test]
fn who_finds_the_journal_full_waits_until_others_have_settled() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), Durability::Power);
    let state = StateDirectory::open(directory.path()).unwrap();
    let pools = pools();
    let store = state.store(&settings, &pools, 3600, NOW).unwrap();
    let journal = small_journal(&state, &store);
    let store_state = Arc::new(StoreState::default());
    let waker = Arc::new(Waker::new().unwrap());
    let (mut handles, committer) = connect(vec![waker], &store_state);
    let handle = handles.pop().unwrap();
    let thread = std::thread::spawn(move || committer.run(journal));
    let submit = || {
        for _ in 0..crate::commit::LOGS_PER_WORKER {
            handle.submit(large_log(&store.partitions, &pools));
        }
    };
    let take = || loop {
        match handle.take_returned() {
            Some(returned) => break returned,
            None => std::thread::yield_now(),
        }
    };
    let settle = |mut returned: crate::commit::Returned| {
        assert!(returned.is_durable, "{:?}", store_state.status());
        store.partitions.settle(&mut returned.log, &pools);
        handle.settled(returned.sequence);
    };
    let logs = crate::commit::LOGS_PER_WORKER;
    submit();
    let first: Vec<_> = std::iter::repeat_with(take).take(logs).collect();
    submit();
    // Nothing can be freed before these are settled; it is long enough for the thread to find that out.
    std::thread::sleep(Duration::from_millis(100));
    first.into_iter().for_each(settle);
    std::iter::repeat_with(take).take(logs).for_each(settle);
    drop(handle);
    thread.join().unwrap();
    let status = store_state.status();
    assert_eq!((status.trouble, status.logs), (None, 2 * logs as u64));
    assert!(status.waits > 0);
}

#[test]
fn a_journal_that_was_cut_short_is_replayed_and_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), Durability::Power);
    {
        let state = StateDirectory::open(directory.path()).unwrap();
        let pools = pools();
        let mut store = state.store(&settings, &pools, 3600, NOW).unwrap();
        let mut log = ChangeLog::default();
        commit(&store.partitions, &pools, 7, &mut log);
        let submission = Submission {
            worker: 0,
            log,
            sequence: 0,
        };
        write(&mut store.journal, &mut [submission]);
    }
    let path = journal_path(directory.path(), 0);
    let whole = path.metadata().unwrap().len();
    for octets in [1 << 20, 100, 0] {
        let journal = fs::OpenOptions::new().write(true).open(&path).unwrap();
        journal.set_len(octets).unwrap();
        let state = StateDirectory::open(directory.path()).unwrap();
        let store = state.store(&settings, &pools(), 3600, NOW).unwrap();
        assert_eq!(store.recovery.live, 1, "{octets}");
        assert_eq!(path.metadata().unwrap().len(), whole, "{octets}");
    }
}

/// The files that the last program of format 1 left (dhcp-userspace/lease/tests/data/v1), in a directory.
fn of_format_1(directory: &Path) {
    macro_rules! octets {
        ($name:literal) => {
            include_bytes!(concat!("../../lease/tests/data/v1/", $name)).as_slice()
        };
    }
    let table = |header: &[u8], slots: &[u8]| {
        let mut octets = header.to_vec();
        octets.resize(HEADER_OCTETS, 0);
        octets.extend_from_slice(slots);
        octets.resize(HEADER_OCTETS + 96 * SLOT_OCTETS, 0);
        octets
    };
    let mut store = octets!("store").to_vec();
    store.resize(StoreHeader::OCTETS, 0);
    let first = table(octets!("header-0"), octets!("slots-0"));
    let second = table(octets!("header-1"), octets!("slots-1"));
    let journal = File::create(journal_path(directory, 0)).unwrap();
    journal.write_all_at(octets!("journal"), 0).unwrap();
    journal.set_len(*JOURNAL_OCTETS.start()).unwrap();
    fs::write(table_path(directory, 0, 0), first).unwrap();
    fs::write(table_path(directory, 0, 1), second).unwrap();
    fs::write(header_path(directory), store).unwrap();
}

#[test]
fn a_store_of_format_1_opens_as_one_of_format_2_and_stays_one() {
    let now = Timestamp(1_790_000_000);
    let directory = tempfile::tempdir().unwrap();
    of_format_1(directory.path());
    let settings = settings(directory.path(), Durability::Power);
    let before = crate::leases::for_each(directory.path(), |_| {}).unwrap();
    assert_eq!(before.tally.bindings, 33);
    for upgraded in [2, 0] {
        let state = StateDirectory::open(directory.path()).unwrap();
        let store = state.store(&settings, &pools(), 3600, now).unwrap();
        let recovery = &store.recovery;
        assert_eq!((recovery.tables_upgraded, recovery.damaged), (upgraded, 0));
        assert_eq!(count(&store.partitions), 33);
        let octets = fs::read(header_path(directory.path())).unwrap();
        assert!(store.header.is_current(&octets));
    }
    let after = crate::leases::for_each(directory.path(), |_| {}).unwrap();
    assert_eq!(
        (
            after.tally.bindings,
            after.tally.extensions,
            after.tally.damaged
        ),
        (33, before.tally.extensions, 0)
    );
}

#[test]
fn a_later_format_is_refused_by_name_and_nothing_is_touched() {
    let all = |directory: &Path| {
        let mut files: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| !path.ends_with("lock"))
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect();
        files.sort();
        files
    };
    let paths = |directory: &Path| {
        let table = table_path(directory, 0, 1);
        [header_path(directory), table, journal_path(directory, 0)]
    };
    for file in 0..3 {
        let directory = tempfile::tempdir().unwrap();
        of_format_1(directory.path());
        let path = &paths(directory.path())[file];
        let written = fs::OpenOptions::new().write(true).open(path).unwrap();
        // A copy that is not whole, but says so twice, is believed too.
        for place in [0, COPY_DISTANCE as u64] {
            written
                .write_all_at(&fs::read(path).unwrap()[4096..4224], place)
                .unwrap();
            written.write_all_at(&[3], place + 16).unwrap();
        }
        let before = all(directory.path());
        let settings = settings(directory.path(), Durability::Power);
        let state = StateDirectory::open(directory.path()).unwrap();
        let error = state.store(&settings, &pools(), 3600, NOW).err().unwrap();
        let expected = format!(
            "{}: lease store format 3, this xdhcpd knows formats up to 2: run the newer one",
            path.display()
        );
        assert_eq!(error.to_string(), expected);
        let error = crate::leases::for_each(directory.path(), |_| {}).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert!(all(directory.path()) == before, "{}", path.display());
    }
}

#[test]
fn a_second_server_on_hard_links_of_the_files_is_refused() {
    let first = tempfile::tempdir().unwrap();
    let second = tempfile::tempdir_in(first.path().parent().unwrap()).unwrap();
    let settings = settings(first.path(), Durability::Power);
    let state = StateDirectory::open(first.path()).unwrap();
    let store = state.store(&settings, &pools(), 3600, NOW).unwrap();
    let link = |which: &dyn Fn(&str) -> bool| {
        for name in state.disk.list().unwrap().iter().filter(|name| which(name)) {
            fs::hard_link(first.path().join(name), second.path().join(name)).unwrap();
        }
    };
    let refused = |because: &str| {
        let started = std::time::Instant::now();
        let second = StateDirectory::open(second.path());
        let refused = second.and_then(|state| state.store(&settings, &pools(), 3600, NOW));
        let refused = refused.err().unwrap().to_string();
        assert!(started.elapsed() < Duration::from_millis(100));
        let holder = format!("process {}", std::process::id());
        assert!(
            refused.contains(because) && refused.contains(&holder),
            "{refused}"
        );
    };
    // Without the lock file, and then with all of them.
    link(&|name| name != "lock");
    refused("another server");
    fs::remove_file(second.path().join("lock")).unwrap();
    link(&|name| name == "lock");
    refused("in use by another server");
    drop((store, state));
    let state = StateDirectory::open(second.path()).unwrap();
    state.store(&settings, &pools(), 3600, NOW).unwrap();
}
