//! The files of a running server copied piece by piece, in any order, while leases come and go: whatever mix of
//! moments the copy is, it opens, and no lease in it has two holders or one that never had it.

use super::tests::{NOW, binding, settings};
use super::*;
use crate::commit::{Committer, Handle, Step, StoreState, connect};
use crate::wake::Waker;
use dhcp_lease::{Binding, ChangeLog, Lease, PoolIndex, PoolRange, SlotNumber, State};
use dhcp_wire::id::HardwareAddress;
use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

const JOURNAL: RangeInclusive<u64> = 1 << 20..=1 << 20;
const CLIENTS: u64 = 64;

/// Hardly more addresses than clients, so that what one gives back is soon another's.
fn pools() -> Pools {
    let first = binding(0).lease;
    Pools::new(&[PoolRange { first, count: 72 }], &[])
}

/// Numbers from a seed (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// A server without its network: clients come, renew, and go.
struct Load {
    partitions: Arc<Partitions>,
    pools: Pools,
    journal: JournalFile,
    handle: Handle,
    committer: Committer,
    clients: Vec<Option<(SlotNumber, Lease)>>,
    /// Who ever had what.
    granted: HashSet<(HardwareAddress, Lease)>,
    now: Timestamp,
    /// Logs that are not settled.
    under_way: usize,
}

impl Load {
    fn new(store: Store, pools: Pools) -> Self {
        let waker = Arc::new(Waker::new().unwrap());
        let (mut handles, committer) = connect(vec![waker], &Arc::new(StoreState::default()));
        Self {
            partitions: store.partitions,
            pools,
            journal: store.journal,
            handle: handles.pop().unwrap(),
            committer,
            clients: vec![None; CLIENTS as usize],
            granted: HashSet::new(),
            now: NOW,
            under_way: 0,
        }
    }

    /// One client does something, and some of what is durable is settled.
    fn step(&mut self, numbers: &mut Numbers) {
        self.now = Timestamp(self.now.0 + 1);
        let client = numbers.below(CLIENTS) as u16;
        let held = self.clients[usize::from(client)];
        let lease = match held {
            Some((_, lease)) => lease,
            None => self.pools.claim_next(PoolIndex(0)).unwrap(),
        };
        let is_end = held.is_some() && numbers.below(2) == 0;
        let binding = Binding {
            lease,
            state: if is_end {
                State::Released
            } else {
                State::Leased
            },
            last_transaction: self.now,
            expires: match is_end {
                true => self.now,
                false => self.now.after(100_000),
            },
            ..binding(client)
        };
        self.granted.insert((binding.hardware, lease));
        let index = self.partitions.index_of(binding.hardware.as_slice());
        let mut partition = self.partitions.lock(index).unwrap();
        let mut log = ChangeLog::default();
        let key = dhcp_lease::Key {
            kind: lease.kind(),
            client: &[],
            hardware: binding.hardware,
            iaid: binding.iaid,
        };
        let slot = partition.find(&key, |_| true);
        let committed = partition.commit(slot, &binding, &self.pools, &mut log, self.now);
        let slot = committed.unwrap();
        drop(partition);
        self.clients[usize::from(client)] = (!is_end).then_some((slot, lease));
        self.handle.submit(log);
        self.under_way += 1;
        self.commit();
        while numbers.below(4) > 0 && self.settle_one() {}
        // There is a place for so many; they may wait for a checkpoint.
        while self.under_way >= crate::commit::LOGS_PER_WORKER - 1 {
            self.commit();
            if !self.settle_one() {
                std::thread::yield_now();
            }
        }
    }

    fn commit(&mut self) {
        let time = || Duration::ZERO;
        while self.committer.step(&mut self.journal, &time) == Step::Again {}
    }

    fn settle_one(&mut self) -> bool {
        let Some(mut returned) = self.handle.take_returned() else {
            return false;
        };
        assert!(returned.is_durable);
        self.partitions.settle(&mut returned.log, &self.pools);
        self.handle.settled(returned.sequence);
        self.under_way -= 1;
        true
    }
}

/// How much of the copy had to be set right.
fn copy_under_load(seed: u64) -> u64 {
    let [from, to] = [(); 2].map(|()| tempfile::tempdir_in("/dev/shm").unwrap());
    let mut settings = settings(from.path(), Durability::Power);
    settings.lease_capacity = 600;
    let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let state = StateDirectory::open(from.path())
        .unwrap()
        .with_journal(JOURNAL);
    let pools = pools();
    let store = state.store(&settings, &pools, 3600, NOW).unwrap();
    let mut load = Load::new(store, pools);
    (0..300).for_each(|_| load.step(&mut numbers));

    let mut names: Vec<_> = state.disk.list().unwrap();
    names.retain(|name| name != "lock");
    while !names.is_empty() {
        let name = names.swap_remove(numbers.below(names.len() as u64) as usize);
        let source = File::open(from.path().join(&name)).unwrap();
        let copy = File::create(to.path().join(&name)).unwrap();
        let octets = source.metadata().unwrap().len();
        let mut at = 0;
        while at < octets {
            // A copy may see half of what is being written; here it sees any state of any 4 KiB.
            let mut piece = vec![0; (octets - at).min(4096 << numbers.below(5)) as usize];
            source.read_exact_at(&mut piece, at).unwrap();
            copy.write_all_at(&piece, at).unwrap();
            at += piece.len() as u64;
            (0..numbers.below(6)).for_each(|_| load.step(&mut numbers));
        }
    }
    let copied = StateDirectory::open(to.path())
        .unwrap()
        .with_journal(JOURNAL);
    let pools = self::pools();
    let store = copied.store(&settings, &pools, 3600, load.now).unwrap();
    let mut holders = HashSet::new();
    store.partitions.for_each(|binding| {
        let whose = (binding.hardware, binding.lease);
        assert!(load.granted.contains(&whose), "seed {seed}: {binding:?}");
        if binding.is_live(load.now) {
            assert!(holders.insert(binding.lease), "seed {seed}: {binding:?}");
            assert_eq!(pools.claim(binding.lease), dhcp_lease::Claim::Taken);
        }
    });
    assert!(holders.len() > 10, "seed {seed}: {} leases", holders.len());
    store.recovery.conflicts.len() as u64 + store.recovery.damaged
}

#[test]
fn a_copy_of_many_moments_has_no_lease_with_two_holders() {
    let set_right: u64 = (1..=40).map(copy_under_load).sum();
    assert!(set_right > 0, "every copy was of one moment");
}

#[test]
fn files_of_two_stores_are_told_apart() {
    let [first, second] = [(); 2].map(|()| tempfile::tempdir_in("/dev/shm").unwrap());
    let settings = settings(first.path(), Durability::Power);
    for directory in [&first, &second] {
        let state = StateDirectory::open(directory.path()).unwrap();
        state.store(&settings, &pools(), 3600, NOW).unwrap();
    }
    for name in ["table-0001", "journal", "store"] {
        let mixed = tempfile::tempdir_in("/dev/shm").unwrap();
        for entry in fs::read_dir(first.path()).unwrap() {
            let entry = entry.unwrap();
            let from = match entry.file_name() == name {
                true => second.path().join(name),
                false => entry.path(),
            };
            fs::copy(from, mixed.path().join(entry.file_name())).unwrap();
        }
        let state = StateDirectory::open(mixed.path()).unwrap();
        let refused = state.store(&settings, &pools(), 3600, NOW).err();
        let refused = refused.unwrap_or_else(|| panic!("{name} of another store was taken"));
        assert!(
            refused.to_string().contains("another lease store"),
            "{refused}"
        );
    }
}
