//! What does an operator change in the bindings? One change at a time, committed as a worker commits.
//!
//! Invariant: whoever submits a change log settles it, however long the disk takes. A checkpoint waits
//! for every log that was handed back; one that nobody settles would hold up the journal for ever. So
//! what was given up because of disk trouble is settled later, by [`Operator::settle`].

mod import;

pub use import::Target;

use crate::commit::{Handle, Returned};
use crate::wake::Waker;
use dhcp_lease::{Binding, ChangeLog, Lease, Partitions, Pools, SlotNumber, State, Timestamp};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::sync::Arc;

/// A binding and its extensions.
const LOG_RECORDS: usize = 4;
/// Longest sleep; it is woken before, so this is a safety net.
const SLEEP: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// Why a lease was not released. Each says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// There is nothing to release.
    #[error(
        "{lease}: nobody holds this address or prefix; `xdhcpd ctl leases` lists who holds what"
    )]
    NotHeld {
        /// What was asked for.
        lease: Lease,
    },
    /// Another change takes long.
    #[error(
        "another reload or release is under way; try again, and see `xdhcpd ctl status` for what holds it up"
    )]
    Busy,
    /// The journal takes nothing at the moment.
    #[error(
        "the lease store cannot be written; see `xdhcpd ctl status`, mend the disk, then look with `xdhcpd \
         ctl leases` what became of it"
    )]
    StoreFailed,
}

/// The operator's way to the journal.
#[derive(Debug)]
pub struct Operator {
    handle: Handle,
    waker: Arc<Waker>,
    /// Logs that are under way and that nobody waits for any more.
    given_up: usize,
}

impl Operator {
    /// With a handle of its own, whose waker this is.
    pub fn new(handle: Handle, waker: Arc<Waker>) -> Self {
        Self {
            handle,
            waker,
            given_up: 0,
        }
    }

    /// Lets what was given up, and has become durable since, count in the tables.
    pub fn settle(&mut self, partitions: &Partitions, pools: &Pools) {
        while self.given_up > 0
            && let Some(returned) = self.handle.take_returned()
        {
            self.given_up -= 1;
            self.count(returned, partitions, pools);
        }
    }

    /// Ends the binding that holds a lease, granted or declined, as if its client had released it:
    /// it stays the client's former one, and anybody may have the lease. Returns when that is as durable
    /// as every promise, with the binding as it is then. The client is not told; a DHCP client cannot be.
    ///
    /// # Errors
    /// [`ReleaseError`]. With [`ReleaseError::StoreFailed`] it is not known what a restart will find.
    pub fn release(
        &mut self,
        lease: Lease,
        partitions: &Partitions,
        pools: &Pools,
        now: Timestamp,
    ) -> Result<Binding, ReleaseError> {
        self.settle(partitions, pools);
        if self.handle.is_suspended() || self.given_up > 0 {
            return Err(ReleaseError::StoreFailed);
        }
        let (mut partition, slot) = partitions
            .lock_holder(lease)
            .ok_or(ReleaseError::NotHeld { lease })?;
        let mut binding = Binding::default();
        partition.read(slot, &mut binding);
        // It ended, and was not yet cleared up.
        if binding.expires <= now {
            return Err(ReleaseError::NotHeld { lease });
        }
        binding.state = State::Released;
        binding.expires = now;
        let mut log = ChangeLog::with_capacity(LOG_RECORDS);
        self.handle.prepare(&mut log, LOG_RECORDS);
        let committed = partition.commit(Some(slot), &binding, pools, &mut log, now);
        drop(partition);
        self.handle.hand_over(&mut log, true);
        // It needs no slot that it does not have.
        committed.map_err(|_full| ReleaseError::StoreFailed)?;
        if !log.is_empty() {
            drop(self.make_durable(log, partitions, pools)?);
        }
        tracing::info!(
            %lease,
            client = ?binding.client,
            hardware = ?binding.hardware,
            "the operator released a lease"
        );
        Ok(binding)
    }

    /// Gives back declined leases before their time, those that are wanted: whatever was wrong has been put right.
    /// The next quarantine of each is a first one. Returns them when all that is as durable as every promise.
    ///
    /// # Errors
    /// [`ReleaseError`]; some may have been given back then. With [`ReleaseError::StoreFailed`] it is not known
    /// what a restart will find of the last one.
    pub fn clear_declined(
        &mut self,
        wants: impl Fn(&Binding) -> bool,
        partitions: &Partitions,
        pools: &Pools,
        now: Timestamp,
    ) -> Result<Vec<Binding>, ReleaseError> {
        let mut cleared = Vec::new();
        let mut binding = Binding::default();
        for index in 0..partitions.len() {
            let mut from = SlotNumber(0);
            loop {
                self.settle(partitions, pools);
                if self.handle.is_suspended() || self.given_up > 0 {
                    return Err(ReleaseError::StoreFailed);
                }
                let Some(mut partition) = partitions.lock(index) else {
                    break;
                };
                let Some(slot) = partition.next_declined(from) else {
                    break;
                };
                from = SlotNumber(slot.0.saturating_add(1));
                partition.read(slot, &mut binding);
                if binding.state != State::Declined || !wants(&binding) {
                    continue;
                }
                binding.state = State::Released;
                binding.expires = now;
                let mut log = ChangeLog::with_capacity(LOG_RECORDS);
                self.handle.prepare(&mut log, LOG_RECORDS);
                let committed = partition.commit(Some(slot), &binding, pools, &mut log, now);
                drop(partition);
                self.handle.hand_over(&mut log, true);
                // It needs no slot that it does not have.
                committed.map_err(|_full| ReleaseError::StoreFailed)?;
                if !log.is_empty() {
                    drop(self.make_durable(log, partitions, pools)?);
                }
                pools.forgive(binding.lease);
                tracing::info!(lease = %binding.lease, "the operator gave back a declined lease");
                cleared.push(binding.clone());
            }
        }
        Ok(cleared)
    }

    /// Returns when a log is durable and counts in the tables, with the log, empty.
    fn make_durable(
        &mut self,
        log: ChangeLog,
        partitions: &Partitions,
        pools: &Pools,
    ) -> Result<ChangeLog, ReleaseError> {
        let outages = self.handle.outages();
        self.handle.submit(log);
        let Some(returned) = self.wait(outages) else {
            self.given_up += 1;
            return Err(ReleaseError::StoreFailed);
        };
        let is_durable = returned.is_durable;
        let log = self.count(returned, partitions, pools);
        is_durable.then_some(log).ok_or(ReleaseError::StoreFailed)
    }

    /// The log, empty if it is durable.
    fn count(&self, mut returned: Returned, partitions: &Partitions, pools: &Pools) -> ChangeLog {
        if returned.is_durable {
            partitions.settle(&mut returned.log, pools);
            self.handle.settled(returned.sequence);
        }
        returned.log
    }

    /// The log that was submitted; nothing once the store has ceased to take commits.
    fn wait(&self, outages: u64) -> Option<Returned> {
        loop {
            if let Some(returned) = self.handle.take_returned() {
                return Some(returned);
            }
            if self.handle.outages() != outages {
                return None;
            }
            let has_news = || self.handle.has_returned() || self.handle.outages() != outages;
            self.waker.sleep(has_news, |event| {
                // An interrupted sleep is a short one.
                let _ = poll(&mut [PollFd::new(&event, PollFlags::IN)], Some(&SLEEP));
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit::{Cause, Settlements, Storage, StoreState, Submission, Trouble, connect};
    use dhcp_lease::{Claim, Durability, PoolIndex, PoolRange, SubnetId};
    use dhcp_wire::id::HardwareAddress;
    use std::io;
    use std::net::Ipv4Addr;
    use std::path::Path;
    use std::thread::JoinHandle;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp(1_700_000_000);

    /// A disk that keeps nothing, and perhaps says so.
    struct Disk {
        works: bool,
    }

    impl Storage for Disk {
        fn place(&mut self, _: &mut ChangeLog) -> Option<u64> {
            Some(1)
        }

        fn commit(&mut self, _: &[Submission]) -> Result<(), Trouble> {
            let error = || io::Error::other("broken on purpose");
            let trouble = || Trouble::new(Cause::JournalSync, Path::new("journal"), &error());
            self.works.then_some(()).ok_or_else(trouble)
        }

        fn between_groups(
            &mut self,
            _: &Settlements,
            _: bool,
            _: Duration,
        ) -> Result<Duration, Trouble> {
            Ok(Duration::from_secs(1))
        }

        fn finish(&mut self) -> Result<(), Trouble> {
            Ok(())
        }
    }

    struct Bench {
        operator: Operator,
        partitions: Partitions,
        pools: Pools,
        journal: JoinHandle<Disk>,
    }

    fn lease(last: u8) -> Lease {
        Lease::V4(Ipv4Addr::new(10, 0, 0, last))
    }

    impl Bench {
        /// Ten clients with an hour's lease each.
        fn new(durability: Durability, works: bool) -> Self {
            let state = Arc::new(StoreState::default());
            let waker = Arc::new(Waker::new().unwrap());
            let (mut handles, committer) = connect(vec![Arc::clone(&waker)], &state);
            let operator = Operator::new(handles.pop().unwrap(), waker);
            let journal = std::thread::spawn(move || committer.run(Disk { works }));
            let partitions = Partitions::in_memory(4, 64, durability);
            let range = PoolRange {
                first: lease(0),
                count: 10,
            };
            let pools = Pools::new(&[range], &[]);
            let mut log = ChangeLog::default();
            for last in 0..10 {
                let binding = Binding {
                    lease: pools.claim_next(PoolIndex(0)).unwrap(),
                    state: State::Leased,
                    subnet: SubnetId(1),
                    hardware: HardwareAddress::ethernet([2, 0, 0, 0, 0, last]),
                    last_transaction: NOW,
                    expires: NOW.after(3600),
                    valid_seconds: 3600,
                    ..Binding::default()
                };
                let index = partitions.index_of(binding.hardware.as_slice());
                let mut partition = partitions.lock(index).unwrap();
                partition
                    .commit(None, &binding, &pools, &mut log, NOW)
                    .unwrap();
            }
            partitions.settle(&mut log, &pools);
            Self {
                operator,
                partitions,
                pools,
                journal,
            }
        }

        fn release(&mut self, last: u8, now: Timestamp) -> Result<Binding, ReleaseError> {
            self.operator
                .release(lease(last), &self.partitions, &self.pools, now)
        }
    }

    #[test]
    fn a_released_lease_is_anybody_s_and_its_client_s_former_one() {
        for durability in [Durability::Process, Durability::Power] {
            let mut bench = Bench::new(durability, true);
            let released = bench.release(4, NOW).unwrap();
            assert_eq!(released.state, State::Released);
            let mut states = Vec::new();
            bench
                .partitions
                .for_each(|binding| states.push((binding.lease, binding.state)));
            assert!(states.contains(&(lease(4), State::Released)));
            assert_eq!(states.len(), 10);
            assert_eq!(bench.pools.claim(lease(4)), Claim::Claimed);
            assert_eq!(bench.pools.claim(lease(5)), Claim::Taken);
            let unsettled: u32 = (0..4)
                .map(|index| bench.partitions.lock(index).unwrap().occupancy().unsettled)
                .sum();
            assert_eq!(unsettled, 0, "{durability:?}");
            drop(bench.operator);
            bench.journal.join().unwrap();
        }
    }

    /// Makes the clients of some leases decline them.
    fn decline(bench: &mut Bench, lasts: &[u8]) {
        let mut log = ChangeLog::default();
        for &last in lasts {
            let (mut partition, slot) = bench.partitions.lock_holder(lease(last)).unwrap();
            let mut binding = Binding::default();
            partition.read(slot, &mut binding);
            binding.state = State::Declined;
            binding.valid_seconds = bench.pools.quarantine_seconds(lease(last), 60, 600, NOW);
            binding.expires = NOW.after(binding.valid_seconds);
            partition
                .commit(Some(slot), &binding, &bench.pools, &mut log, NOW)
                .unwrap();
        }
        bench.partitions.settle(&mut log, &bench.pools);
    }

    #[test]
    fn declined_leases_are_given_back_and_no_others() {
        for durability in [Durability::Process, Durability::Power] {
            let mut bench = Bench::new(durability, true);
            decline(&mut bench, &[3, 4, 5]);
            let clear = |bench: &mut Bench, wants: fn(&Binding) -> bool| {
                let (partitions, pools) = (&bench.partitions, &bench.pools);
                let cleared = bench.operator.clear_declined(wants, partitions, pools, NOW);
                let mut leases: Vec<_> = cleared.unwrap().iter().map(|it| it.lease).collect();
                leases.sort_unstable_by_key(|lease| lease.address());
                leases
            };
            assert_eq!(clear(&mut bench, |it| it.lease == lease(4)), [lease(4)]);
            assert_eq!(bench.pools.declined_count(PoolIndex(0)), 2);
            assert_eq!(clear(&mut bench, |_| true), [3, 5].map(lease));
            assert!(clear(&mut bench, |_| true).is_empty());
            assert_eq!(bench.pools.declined_count(PoolIndex(0)), 0);
            for free in [3, 4, 5] {
                assert_eq!(bench.pools.claim(lease(free)), Claim::Claimed);
                assert_eq!(
                    bench.pools.quarantine_seconds(lease(free), 60, 600, NOW),
                    60
                );
            }
            assert_eq!(bench.pools.claim(lease(6)), Claim::Taken);
        }
    }

    #[test]
    fn declined_leases_that_the_disk_does_not_give_back_stay() {
        let mut bench = Bench::new(Durability::Power, false);
        decline(&mut bench, &[3]);
        let (partitions, pools) = (&bench.partitions, &bench.pools);
        let cleared = bench
            .operator
            .clear_declined(|_| true, partitions, pools, NOW);
        assert_eq!(cleared, Err(ReleaseError::StoreFailed));
        assert_eq!(bench.pools.claim(lease(3)), Claim::Taken);
    }

    #[test]
    fn what_nobody_holds_is_not_released() {
        for durability in [Durability::Process, Durability::Power] {
            let mut bench = Bench::new(durability, true);
            let not_held = |last| ReleaseError::NotHeld { lease: lease(last) };
            assert_eq!(bench.release(200, NOW), Err(not_held(200)));
            bench.release(4, NOW).unwrap();
            assert_eq!(bench.release(4, NOW), Err(not_held(4)), "once is enough");
            let ended = NOW.after(3600);
            assert_eq!(bench.release(5, ended), Err(not_held(5)));
        }
    }

    #[test]
    fn a_release_that_the_disk_did_not_take_is_no_success() {
        let mut bench = Bench::new(Durability::Power, false);
        for _ in 0..2 {
            assert_eq!(bench.release(4, NOW), Err(ReleaseError::StoreFailed));
        }
        assert_eq!(bench.pools.claim(lease(4)), Claim::Taken);
    }
}
