//! A store with its pools, and clients by number.

use anyhow::Result;
use dhcp_lease::clock::Guard;
use dhcp_lease::{
    Binding, ChangeLog, Key, Lease, LeaseKind, PoolIndex, PoolRange, Pools, State, SubnetId,
    Timestamp,
};
use dhcp_userspace::commit::{self, Handle, StoreState};
use dhcp_userspace::history::HistorySettings;
use dhcp_userspace::settings::{Durability, JournalPriority, Settings, XdpLog};
use dhcp_userspace::store::{JournalFile, StateDirectory, Store};
use dhcp_userspace::wake::Waker;
use dhcp_wire::id::{HardwareAddress, Iaid};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};

/// As many as the server makes unless it is told otherwise.
const PARTITIONS: u32 = 64;
/// The longest lifetime that is granted.
const LIFETIME_SECONDS: u32 = 86_400;
const SUBNET: SubnetId = SubnetId(1);
/// The only pool.
pub const POOL: PoolIndex = PoolIndex(0);

/// An open store, and what makes commits to it durable.
pub struct World {
    /// All bindings.
    pub store: Arc<dhcp_lease::Partitions>,
    /// One pool.
    pub pools: Pools,
    /// What opening found.
    pub live: u64,
    /// When it was opened.
    pub now: Timestamp,
    handle: Option<Handle>,
    journal: Option<JoinHandle<JournalFile>>,
}

impl World {
    /// Opens or makes the store in `directory`, for `leases` leases in a pool of `pool` addresses.
    ///
    /// # Errors
    /// Those of the store.
    pub fn open(directory: &Path, leases: u64, pool: u64, durability: Durability) -> Result<Self> {
        let settings = Settings {
            interfaces: Vec::new(),
            state_dir: directory.to_owned(),
            socket: directory.join("socket"),
            durability,
            journal_priority: JournalPriority::default(),
            lease_capacity: leases,
            partitions: PARTITIONS,
            bulk_leasequery: None,
            history: HistorySettings {
                is_enabled: false, // the store alone is measured
                ..HistorySettings::default()
            },
            guard: Guard {
                percent: 100,
                downtime_seconds: 0,
            },
            accept_clock: false,
            xdp_log: XdpLog::Off,
        };
        let first = Lease::V4(Ipv4Addr::new(10, 0, 0, 0));
        let pools = Pools::new(&[PoolRange { first, count: pool }], &[]);
        let now = Timestamp(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs());
        let state_directory = StateDirectory::open(directory)?;
        let opened = state_directory.store(&settings, &pools, LIFETIME_SECONDS, now)?;
        let Store {
            partitions,
            recovery,
            journal,
            ..
        } = opened;
        let state = Arc::new(StoreState::default());
        let (mut handles, committer) = commit::connect(vec![Arc::new(Waker::new()?)], &state);
        let thread = Builder::new().name("journal".to_owned()).spawn(move || {
            let _directory = state_directory;
            committer.run(journal)
        })?;
        Ok(Self {
            store: partitions,
            pools,
            live: recovery.live,
            now,
            handle: handles.pop(),
            journal: Some(thread),
        })
    }

    /// Grants or renews the lease of client `number`, the `number`-th of the pool. The record is in `log`,
    /// if it is to be journalled.
    ///
    /// # Errors
    /// The table is full, or there is no such partition.
    pub fn grant(&self, number: u64, log: &mut ChangeLog) -> Result<()> {
        let binding = self.binding(number)?;
        let index = self.store.index_of(binding.hardware.as_slice());
        let Some(mut partition) = self.store.lock(index) else {
            anyhow::bail!("no partition {index}");
        };
        let slot = partition.find(&key(&binding), |_| true);
        if slot.is_none() {
            self.pools.claim(binding.lease);
        }
        partition.commit(slot, &binding, &self.pools, log, self.now)?;
        Ok(())
    }

    /// Ends what client `number` has, and grants him the next free address.
    ///
    /// # Errors
    /// As in [`World::grant`], or the pool is full.
    pub fn exchange(&self, number: u64, log: &mut ChangeLog) -> Result<()> {
        let mut binding = self.binding(number)?;
        let index = self.store.index_of(binding.hardware.as_slice());
        let Some(mut partition) = self.store.lock(index) else {
            anyhow::bail!("no partition {index}");
        };
        let Some(lease) = self.pools.claim_next(POOL) else {
            anyhow::bail!("the pool is full");
        };
        let slot = partition.find(&key(&binding), |_| true);
        binding.lease = lease;
        partition.commit(slot, &binding, &self.pools, log, self.now)?;
        Ok(())
    }

    /// Whether client `number` is found.
    ///
    /// # Errors
    /// There is no such client or partition.
    pub fn is_found(&self, number: u64) -> Result<bool> {
        let binding = self.binding(number)?;
        let index = self.store.index_of(binding.hardware.as_slice());
        let partition = self.store.lock(index);
        Ok(partition.is_some_and(|partition| partition.find(&key(&binding), |_| true).is_some()))
    }

    fn binding(&self, number: u64) -> Result<Binding> {
        let number = u32::try_from(number)?;
        let [a, b, c, d] = number.to_be_bytes();
        Ok(Binding {
            lease: Lease::V4(Ipv4Addr::from(0x0a00_0000 + number)),
            state: State::Leased,
            subnet: SUBNET,
            hardware: HardwareAddress::ethernet([2, 0, a, b, c, d]),
            last_transaction: self.now,
            // Not all at the same moment, and none while it is measured.
            expires: self
                .now
                .after(LIFETIME_SECONDS / 2 + number % (LIFETIME_SECONDS / 2)),
            valid_seconds: LIFETIME_SECONDS,
            ..Binding::default()
        })
    }

    /// The way to the journal.
    pub fn handle(&self) -> Option<&Handle> {
        self.handle.as_ref()
    }

    /// Stops in good order.
    ///
    /// # Errors
    /// The journal's thread panicked.
    pub fn stop(mut self) -> Result<()> {
        drop(self.handle.take()); // with the last handle the journal's thread ends
        let journal = self.journal.take().map(JoinHandle::join);
        let Some(Ok(journal)) = journal else {
            anyhow::bail!("the journal's thread panicked");
        };
        journal.keep_snapshot(&self.pools, self.now);
        Ok(())
    }
}

fn key(binding: &Binding) -> Key<'_> {
    Key {
        kind: LeaseKind::V4,
        client: binding.client.as_slice(),
        hardware: binding.hardware,
        iaid: Iaid(0),
    }
}
