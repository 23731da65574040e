//! Is everything in the history once, whatever happens to its files and its server?

mod cost;

use super::*;
use crate::clock::{self, Clock};
use crate::commit::Submission;
use crossbeam::sync::Parker;
use dhcp_lease::history::{Ending, Mark, Record, SEGMENT_HEADER_OCTETS, Scope, Walk};
use dhcp_lease::recovery::Opening;
use dhcp_lease::store::blank_table;
use dhcp_lease::{
    Binding, ChangeLog, Durability, ItemKind, Journal, Lease, Partitions, Pools, Room, SlotNumber,
    State, StoreHeader, SubnetId, Timestamp,
};
use dhcp_wire::id::{ClientId, HardwareAddress};
use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

const PARTITIONS: u32 = 4;
const PATIENCE: Duration = Duration::from_secs(20);
const JOURNAL_OCTETS: usize = 1 << 20;

/// A store without files: partitions in memory, and the journal as it would lie in its file.
struct Bench {
    store: StoreHeader,
    partitions: Arc<Partitions>,
    pools: Pools,
    plan: Journal,
    journal: Vec<u8>,
    slots: HashMap<u8, SlotNumber>,
    durability: Durability,
    now: u64,
}

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

/// Option 82 of a client's circuit, long enough for extension slots.
fn agent(client: u8) -> Vec<u8> {
    let circuit = format!("olt-{client}/{:0>120}", client);
    [&[1, circuit.len() as u8], circuit.as_bytes()].concat()
}

impl Bench {
    fn new(durability: Durability) -> Self {
        let store = StoreHeader {
            identity: [7; 16],
            spread_key: 1,
            checksum_key: [9; 16],
            partitions: PARTITIONS,
            slots_per_segment: 32_768,
            epoch: 0,
        };
        let opening = Opening {
            durability,
            room: Room::default(),
            now: Timestamp(1),
            quarantine_seconds: 0,
        };
        let pools = Pools::new(&[], &[]);
        let tables = (0..PARTITIONS).map(|_| blank_table(256)).collect();
        let (partitions, recovery) =
            Partitions::open(&store, tables, &[], &opening, &pools).unwrap();
        let mut journal = vec![0; JOURNAL_OCTETS];
        let octets = JOURNAL_OCTETS as u64;
        let (plan, write) = Journal::restart(&store, octets, recovery.resume, 4711).unwrap();
        let at = write.position as usize;
        journal[at..at + write.octets.len()].copy_from_slice(&write.octets);
        Self {
            store,
            partitions: Arc::new(partitions),
            pools,
            plan,
            journal,
            slots: HashMap::new(),
            durability,
            now: clock::wall().0,
        }
    }

    fn clock(&self) -> Clock {
        Clock::new(clock::wall(), clock::clocks().boot_seconds)
    }

    fn opened(&self) -> Opened<'_> {
        Opened {
            header: &self.store,
            partitions: &self.partitions,
            journal: &self.journal,
            next_sequence: self.plan.head().sequence,
            clock: self.clock(),
        }
    }

    /// What a client is granted or gives back, as a log. Under "power" it is in the journal then.
    fn change(&mut self, client: u8, last: u8, state: State) -> Submission {
        let mut log = ChangeLog::with_capacity(16);
        log.take_notes(16);
        let binding = Binding {
            lease: Lease::V4(address(last)),
            state,
            subnet: SubnetId(1),
            client: ClientId::new(&[client; 7]).unwrap(),
            hardware: HardwareAddress::ethernet([2, 0, 0, 0, 0, client]),
            last_transaction: Timestamp(self.now),
            expires: Timestamp(self.now + if state == State::Leased { 3600 } else { 0 }),
            valid_seconds: 3600,
            ..Binding::default()
        };
        let mut binding = binding;
        binding
            .context
            .insert(ItemKind::RECONFIGURE_KEY, &[0x5e; 24]);
        binding.context.insert(ItemKind::GIADDR, &[10, 0, 0, 1]);
        binding.context.insert(ItemKind::AGENT, &agent(client));
        let index = self.partitions.index_of(binding.client.as_slice());
        let slot = self.slots.get(&client).copied();
        let mut partition = self.partitions.lock(index).unwrap();
        let now = Timestamp(self.now);
        let slot = partition.commit(slot, &binding, &self.pools, &mut log, now);
        drop(partition);
        self.slots.insert(client, slot.unwrap());
        let mut sequence = 0;
        if self.durability == Durability::Power {
            let placed = self.plan.append(&mut log).unwrap();
            let at = placed.position as usize;
            let octets = log.octets();
            self.journal[at..at + octets.len()].copy_from_slice(octets);
            sequence = placed.after.sequence;
            let mut copy = ChangeLog::default();
            std::mem::swap(&mut copy, &mut log);
            let submission = Submission {
                worker: 0,
                log: copy,
                sequence,
            };
            return submission;
        }
        Submission {
            worker: 0,
            log,
            sequence,
        }
    }

    /// The same, handed over to the history.
    fn hand_over(&mut self, keeper: &Keeper, client: u8, last: u8, state: State) {
        let mut submission = self.change(client, last, state);
        match self.durability {
            Durability::Process => {
                let notes = submission.log.notes_mut().unwrap();
                keeper.intake().take_notes(notes, true);
                assert!(notes.is_empty(), "there was a buffer");
            }
            Durability::Power => {
                keeper.intake().take(std::slice::from_ref(&submission));
                self.partitions.settle(&mut submission.log, &self.pools);
            }
        }
    }
}

fn settings() -> HistorySettings {
    HistorySettings::default()
}

fn begin(directory: &Path, bench: &Bench, settings: &HistorySettings) -> Keeper {
    let keeper = start(directory, settings, 1, &bench.opened()).unwrap();
    keeper.intake().make_buffers();
    keeper
}

fn asked(last: u8) -> Asked {
    Asked {
        scope: Scope::Address(IpAddr::V4(address(last))),
        from: Timestamp(0),
        to: Timestamp::NEVER,
        client: None,
    }
}

/// How often each commit is in the history.
fn commits(directory: &Path) -> HashMap<(u32, u64), u32> {
    let mut commits = HashMap::new();
    let mut whole = HashMap::new();
    let names = list(&super::directory(directory)).unwrap();
    for (place, name) in names.iter().enumerate() {
        let mut octets = fs::read(&name.path).unwrap();
        if let Some(next) = names.get(place + 1) {
            let next = Walk::new(&fs::read(&next.path).unwrap()).unwrap().header;
            octets.truncate(next.previous_octets as usize);
        }
        whole.clear();
        for step in Walk::new(&octets).unwrap() {
            let Ok((block, read)) = step else { break };
            for (offset, record) in read.records() {
                let entry = record.entry(|place| whole.get(&place).cloned());
                if let Some(entry) = entry {
                    *commits
                        .entry((entry.partition, entry.generation))
                        .or_default() += 1;
                    whole.insert(dhcp_lease::history::Place { block, offset }, entry);
                }
            }
        }
    }
    commits
}

fn wait(mut is_over: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_over() {
        assert!(begun.elapsed() < PATIENCE, "it did not come to pass");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn a_lease_is_in_the_history_with_its_end() {
    for durability in [Durability::Power, Durability::Process] {
        let directory = tempfile::tempdir().unwrap();
        let mut bench = Bench::new(durability);
        let keeper = begin(directory.path(), &bench, &settings());
        let begun = bench.now;
        bench.hand_over(&keeper, 1, 17, State::Leased);
        bench.now += 600;
        bench.hand_over(&keeper, 1, 17, State::Leased);
        bench.now += 60;
        bench.hand_over(&keeper, 1, 17, State::Released);
        bench.now += 5;
        bench.hand_over(&keeper, 2, 17, State::Leased);
        // The same client goes on to another address: the first one is let go.
        bench.now += 5;
        bench.hand_over(&keeper, 2, 18, State::Leased);
        drop(keeper);
        let answer = query(directory.path(), &asked(17)).unwrap();
        let [first, second] = answer.holdings.as_slice() else {
            panic!("{durability:?}: {answer:#?}");
        };
        assert_eq!(first.holder.client, [1; 7]);
        let items: Vec<_> = first
            .holder
            .items
            .iter()
            .map(|it| (it.tag, it.octets.clone()))
            .collect();
        let giaddr = (ItemKind::GIADDR, vec![10, 0, 0, 1]);
        assert_eq!(items, [giaddr, (ItemKind::AGENT, agent(1))], "and no key");
        assert_eq!(second.holder.items[1].octets, agent(2));
        assert_eq!((first.since.0, first.until.0), (begun, begun + 660));
        assert_eq!((first.ending, first.extensions), (Ending::Released, 1));
        assert_eq!(second.holder.client, [2; 7]);
        assert_eq!(
            (second.since.0, second.until.0, second.ending),
            (begun + 665, begun + 670, Ending::Superseded)
        );
        assert_eq!(answer.gaps, []);
        let verified = verify(directory.path()).unwrap();
        assert_eq!(verified.broken, None);
        assert_eq!(verified.notes, [""; 0]);
        assert!(commits(directory.path()).values().all(|times| *times == 1));
    }
}

/// A crash may leave of the open segment any part from its beginning. What it lost is found again in the
/// journal, once.
#[test]
fn a_segment_cut_at_any_octet_goes_on_without_loss_or_twice() {
    let directory = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(Durability::Power);
    let keeper = begin(directory.path(), &bench, &settings());
    for round in 0..4u8 {
        for client in 0..3 {
            bench.hand_over(&keeper, client, client, State::Leased);
        }
        bench.now += 10;
        let _ = keeper.intake().covers(u64::MAX);
        wait(|| keeper.intake().covers(bench.plan.head().sequence));
        assert!(round < 4);
    }
    let names = list(&super::directory(directory.path())).unwrap();
    let [name] = names.as_slice() else {
        panic!("{names:?}");
    };
    let octets = fs::read(&name.path).unwrap();
    let all: u64 = (0..PARTITIONS as usize)
        .map(|number| bench.partitions.lock(number).unwrap().generation())
        .sum();
    drop(keeper);
    for cut in 0..=octets.len() {
        let crashed = tempfile::tempdir().unwrap();
        let history = super::directory(crashed.path());
        fs::create_dir_all(&history).unwrap();
        fs::write(history.join(name.path.file_name().unwrap()), &octets[..cut]).unwrap();
        drop(begin(crashed.path(), &bench, &settings()));
        let commits = commits(crashed.path());
        assert_eq!(commits.len() as u64, all, "cut at {cut}");
        assert!(
            commits.values().all(|times| *times == 1),
            "cut at {cut}: {commits:?}"
        );
        let verified = verify(crashed.path()).unwrap();
        assert_eq!(verified.broken, None, "cut at {cut}");
        assert_eq!(verified.gaps, [], "cut at {cut}");
        let answer = query(crashed.path(), &asked(2)).unwrap();
        assert_eq!(answer.holdings.len(), 1, "cut at {cut}");
        assert_eq!(answer.holdings[0].extensions, 3, "cut at {cut}");
    }
}

/// kill -9 under durability "process": what was in no block is found in the tables, and what was written
/// over there is a gap.
#[test]
fn what_a_killed_process_had_not_written_is_found_in_the_tables() {
    let directory = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(Durability::Process);
    let keeper = begin(directory.path(), &bench, &settings());
    bench.hand_over(&keeper, 1, 1, State::Leased);
    wait(|| commits(directory.path()).len() == 1);
    let killed = tempfile::tempdir().unwrap();
    copy(
        &super::directory(directory.path()),
        &super::directory(killed.path()),
    );
    drop(keeper);
    // Two more clients, and the first one twice: of its two commits the tables know the last.
    bench.now += 10;
    for (client, last) in [(2, 2), (3, 3), (1, 1)] {
        bench.change(client, last, State::Leased);
    }
    bench.now += 10;
    bench.change(1, 1, State::Leased);
    drop(begin(killed.path(), &bench, &settings()));
    for last in 1..=3 {
        let answer = query(killed.path(), &asked(last)).unwrap();
        assert_eq!(answer.holdings.len(), 1, "{last}");
        assert_eq!(answer.gaps.len(), 1, "{answer:#?}");
        assert_eq!(answer.gaps[0].gap.commits, 1);
    }
    let commits = commits(killed.path());
    assert_eq!(commits.len(), 4, "{commits:?}");
    assert!(commits.values().all(|times| *times == 1), "{commits:?}");
    // Said once: the next start has nothing to add.
    drop(begin(killed.path(), &bench, &settings()));
    assert_eq!(verify(killed.path()).unwrap().gaps.len(), 1);
}

#[test]
fn a_history_that_is_begun_late_has_what_the_store_holds() {
    let directory = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(Durability::Process);
    for client in 1..=40 {
        bench.change(client, client, State::Leased);
    }
    let keeper = begin(directory.path(), &bench, &settings());
    wait(|| commits(directory.path()).len() == 40);
    drop(keeper);
    let verified = verify(directory.path()).unwrap();
    assert_eq!((verified.entries, verified.gaps), (40, vec![]));
}

#[test]
fn a_store_that_was_restored_from_a_backup_is_told_anew() {
    let directory = tempfile::tempdir().unwrap();
    let mut later = Bench::new(Durability::Process);
    for client in 1..=40 {
        later.change(client, client, State::Leased);
    }
    drop(begin(directory.path(), &later, &settings()));
    let mut earlier = Bench::new(Durability::Process);
    earlier.change(41, 1, State::Leased);
    let keeper = begin(directory.path(), &earlier, &settings());
    wait(|| verify(directory.path()).unwrap().entries == 41);
    drop(keeper);
    let answer = query(directory.path(), &asked(1)).unwrap();
    let clients: Vec<_> = answer
        .holdings
        .iter()
        .map(|it| it.holder.client[0])
        .collect();
    assert_eq!(clients, [1, 41]);
    assert_eq!(verify(directory.path()).unwrap().broken, None);
}

#[test]
fn a_disk_that_takes_nothing_stops_nobody_and_leaves_a_gap_that_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(Durability::Process);
    // A file where the directory should be.
    fs::write(super::directory(directory.path()), b"in the way").unwrap();
    let required = HistorySettings {
        is_required: true,
        ..settings()
    };
    for settings in [settings(), required] {
        let keeper = begin(directory.path(), &bench, &settings);
        assert!(keeper.intake().status().trouble.is_some());
        assert_eq!(keeper.intake().is_blocking(), settings.is_required);
        assert_eq!(keeper.intake().covers(1_000_000), !settings.is_required);
    }
    let keeper = begin(directory.path(), &bench, &settings());
    for client in 1..=3 {
        bench.hand_over(&keeper, client, client, State::Leased);
    }
    fs::remove_file(super::directory(directory.path())).unwrap();
    wait(|| keeper.intake().status().trouble.is_none());
    bench.hand_over(&keeper, 4, 4, State::Leased);
    drop(keeper);
    let commits = commits(directory.path());
    assert_eq!(commits.len(), 4, "{commits:?}");
    assert!(commits.values().all(|times| *times == 1));
    assert_eq!(verify(directory.path()).unwrap().broken, None);
}

#[test]
fn segments_follow_each_other_and_old_ones_are_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(Durability::Process);
    let small = HistorySettings {
        segment_octets: 1,
        octets_max: 4_000,
        ..settings()
    };
    let keeper = begin(directory.path(), &bench, &small);
    for client in 0..12 {
        bench.now += 1;
        bench.hand_over(&keeper, client, client, State::Leased);
        wait(|| keeper.intake().status().entries > u64::from(client));
        wait(|| keeper.intake().status().segments > 0);
        parked(&keeper);
    }
    drop(keeper);
    let names = list(&super::directory(directory.path())).unwrap();
    let first = names.first().unwrap().number;
    assert!(first > 1 && names.len() > 1, "{names:?}");
    let verified = verify(directory.path()).unwrap();
    assert_eq!(verified.broken, None);
    assert_eq!(verified.first_segment, first);
    // The youngest is found by its index as well as without any.
    let found = query(directory.path(), &asked(11)).unwrap();
    assert_eq!(found.holdings.len(), 1);
    for name in &names {
        let _ = fs::remove_file(name.index());
    }
    let scanned = query(directory.path(), &asked(11)).unwrap();
    assert_eq!(found.holdings, scanned.holdings);
    // A segment that somebody takes away is missed, the first as well as any other.
    for name in &names[..names.len() - 1] {
        let less = tempfile::tempdir().unwrap();
        copy(
            &super::directory(directory.path()),
            &super::directory(less.path()),
        );
        let file = name.path.file_name().unwrap();
        fs::remove_file(super::directory(less.path()).join(file)).unwrap();
        assert!(verify(less.path()).unwrap().broken.is_some(), "{name:?}");
    }
}

/// Lets the thread go round once more.
fn parked(keeper: &Keeper) {
    let segments = keeper.intake().status().segment;
    wait(|| keeper.intake().status().segment > segments || !keeper.intake().covers(u64::MAX));
}

#[test]
fn every_octet_of_an_ended_history_that_is_changed_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(Durability::Process);
    for _ in 0..2 {
        let keeper = begin(directory.path(), &bench, &settings());
        bench.hand_over(&keeper, 1, 1, State::Leased);
        bench.now += 10;
        drop(keeper);
    }
    assert_eq!(verify(directory.path()).unwrap().broken, None);
    let names = list(&super::directory(directory.path())).unwrap();
    for path in names
        .iter()
        .flat_map(|name| [name.path.clone(), name.index()])
    {
        let octets = fs::read(&path).unwrap();
        for place in 0..octets.len() {
            let mut changed = octets.clone();
            changed[place] ^= 0x10;
            fs::write(&path, &changed).unwrap();
            let verified = verify(directory.path()).unwrap();
            assert!(
                verified.broken.is_some(),
                "octet {place} of {}",
                path.display()
            );
        }
        fs::write(&path, &octets).unwrap();
    }
    assert_eq!(verify(directory.path()).unwrap().broken, None);
}

#[test]
fn damage_in_the_middle_of_the_open_segment_is_no_torn_end() {
    let directory = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(Durability::Process);
    let keeper = begin(directory.path(), &bench, &settings());
    for client in 1..=3 {
        bench.hand_over(&keeper, client, client, State::Leased);
        wait(|| commits(directory.path()).len() == usize::from(client));
    }
    let killed = tempfile::tempdir().unwrap();
    copy(
        &super::directory(directory.path()),
        &super::directory(killed.path()),
    );
    drop(keeper);
    let names = list(&super::directory(killed.path())).unwrap();
    let path = &names[0].path;
    let mut octets = fs::read(path).unwrap();
    let mut walk = Walk::new(&octets).unwrap();
    let _ = walk.next();
    let damaged = walk.offset() + 100;
    octets[damaged] ^= 1;
    fs::write(path, &octets).unwrap();
    assert!(verify(killed.path()).unwrap().broken.is_some());
    drop(begin(killed.path(), &bench, &settings()));
    let verified = verify(killed.path()).unwrap();
    assert_eq!(verified.gaps.len(), 1, "{verified:?}");
    // The tables had it all.
    let commits = commits(killed.path());
    assert_eq!(commits.len(), 3, "{commits:?}");
}

#[test]
fn buffers_are_bounded_and_what_has_no_room_is_counted() {
    let parker = Parker::new();
    let intake = Intake::new(1, &settings(), parker.unparker().clone());
    let mut bench = Bench::new(Durability::Power);
    let submission = bench.change(1, 1, State::Leased);
    let group = std::slice::from_ref(&submission);
    let octets = submission.log.record_octets().len();
    let room = intake::PENDING_OCTETS_MAX / octets;
    for _ in 0..room + 10 {
        intake.take(group);
    }
    let pending = intake.collect(Vec::new());
    assert_eq!(pending.lost, 10);
    assert_eq!(pending.records.len(), room * octets);
    assert_eq!(pending.position, Some(submission.sequence));
}

/// A worker that is idle between two frames, again and again, must not use up the buffers that it needs
/// when it is busy; and a busy one need not wait for the history's time.
#[test]
fn idle_moments_leave_buffers_for_busy_ones_which_wake_the_history() {
    let parker = Parker::new();
    let intake = Intake::new(1, &settings(), parker.unparker().clone());
    intake.make_buffers();
    let mut bench = Bench::new(Durability::Process);
    let mut submission = bench.change(1, 1, State::Leased);
    let octets: &[u8] = submission.log.notes_mut().unwrap();
    let hand_over = |octets: &[u8], is_idle| {
        let mut notes = octets.to_vec();
        intake.take_notes(&mut notes, is_idle);
        notes.is_empty()
    };
    let idle = (0..1_000).filter(|_| hand_over(octets, true)).count();
    let many = octets.repeat(intake::NOTES_OCTETS.div_ceil(octets.len()));
    let busy = (0..1_000).filter(|_| hand_over(&many, false)).count();
    assert_eq!((idle, busy), (8, 8));
    parker.park(); // for ever, if nobody woke it
    let pending = intake.collect(Vec::new());
    assert_eq!(pending.records.len(), 8 * octets.len() + 8 * many.len());
    assert_eq!(pending.lost, 0);
    assert!(hand_over(octets, true), "the buffers are empty again");
}

/// The end of a server is in the history, and its absence too.
#[test]
fn a_good_end_is_marked() {
    let directory = tempfile::tempdir().unwrap();
    let bench = Bench::new(Durability::Process);
    drop(begin(directory.path(), &bench, &settings()));
    let names = list(&super::directory(directory.path())).unwrap();
    let octets = fs::read(&names[0].path).unwrap();
    assert!(octets.len() > SEGMENT_HEADER_OCTETS);
    let marks: Vec<_> = Walk::new(&octets)
        .unwrap()
        .flat_map(|step| step.unwrap().1.records().map(|it| it.1).collect::<Vec<_>>())
        .collect();
    assert!(
        matches!(
            marks.as_slice(),
            [
                Record::Mark(Mark::Started { .. }),
                Record::Mark(Mark::Stopped { .. })
            ]
        ),
        "{marks:?}"
    );
}
