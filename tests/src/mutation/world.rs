//! One worker's share of a server, over plain memory, with a journal that is always quick.

use crate::transcript::Scenario;
use crossbeam::utils::CachePadded;
use dhcp_core::v4::NonceSecret;
use dhcp_core::{Interface, Policy};
use dhcp_lease::{ChangeLog, Durability, Partitions, PoolIndex, State, Timestamp};
use dhcp_userspace::commit::{
    Committer, Handle, Settlements, Storage, Submission, Trouble, connect,
};
use dhcp_userspace::counters::Counters;
use dhcp_userspace::datapath::{Context, Shard};
use dhcp_userspace::io::{BATCH_FRAMES, Port};
use dhcp_userspace::wake::Waker;
use dhcp_userspace::worker::{Round, tick_all};
use dhcp_wire::frame::FRAME_SIZE_MAX;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// When every world begins.
const BEGINNING: Timestamp = Timestamp(1_800_000_000);
/// Records that each partition has room for.
const CAPACITY: usize = 4096;
/// Buffers for frames: those that arrive together, and those of two logs that wait.
const FRAMES: usize = 6 * BATCH_FRAMES;

/// A server with one worker.
pub(super) struct World {
    pub(super) port: PoisonPort,
    shard: Shard<Chunk>,
    handle: Handle,
    committer: Committer,
    counters: Arc<CachePadded<Counters>>,
    partitions: Arc<Partitions>,
    policy: Policy,
    interface: Interface,
    round: Round,
    now: Timestamp,
    /// Whether a batch's changes wait for the journal.
    is_behind: bool,
}

impl World {
    /// A server without leases. With a `poison` the room for a reply is filled with it first.
    pub(super) fn new(scenario: &Scenario, poison: Option<u8>) -> Self {
        let mut built = scenario.build();
        if let Some(secret) = &mut built.policy.forcerenew {
            // Nonces that are the same in both worlds.
            *secret = NonceSecret([0x5e; 16]);
        }
        let partitions = Partitions::in_memory(built.partitions, CAPACITY, Durability::Power);
        if built.policy.leasequery.is_some() {
            partitions.file_all(|| false);
        }
        let partitions = Arc::new(partitions);
        let waker = Waker::new().expect("an event descriptor is to be had");
        let (mut handles, committer) = connect(vec![Arc::new(waker)], &Arc::default());
        let counters = Arc::new(CachePadded::new(Counters::default()));
        Self {
            port: PoisonPort::new(poison),
            shard: Shard::new(Arc::clone(&partitions), Arc::clone(&counters)),
            handle: handles.pop().expect("one worker has one handle"),
            committer,
            counters,
            partitions,
            policy: built.policy,
            interface: built.scene.interface,
            round: Round::default(),
            now: BEGINNING,
            is_behind: false,
        }
    }

    /// Serves all that has arrived. When the journal `is_late`, replies to changes wait until the next call.
    pub(super) fn serve(&mut self, is_late: bool) {
        let context = Context {
            policy: &self.policy,
            interface: &self.interface,
            commit: &self.handle,
            now: self.now,
        };
        let time = || Duration::ZERO;
        if self.is_behind {
            self.committer.step(&mut Nowhere, &time);
            self.shard.settle(&mut self.port, &context);
        }
        while self.shard.serve(&mut self.port, &context) > 0 {}
        self.shard.submit(&context);
        if !is_late {
            self.committer.step(&mut Nowhere, &time);
            self.shard.settle(&mut self.port, &context);
        }
        self.shard.release(&mut self.port, &context);
        self.is_behind = is_late;
    }

    /// Lets time pass, and clears up what ended.
    pub(super) fn wait(&mut self, seconds: u64) {
        self.now = Timestamp(self.now.0 + seconds);
        tick_all(&self.round, &self.partitions, &self.policy, self.now);
    }

    /// What must hold when nothing is under way. Nobody probes any more for the OFFERs that wait.
    pub(super) fn check(&mut self, arrived: u64) {
        self.shard.dismiss(&mut self.port);
        let totals = self.counters.totals();
        let discarded: u64 = totals.discards.iter().sum();
        assert!(!self.shard.is_waiting(), "a reply waits for ever");
        assert_eq!(totals.frames, arrived, "frames counted");
        assert_eq!(totals.sent + discarded, arrived, "each frame ends once");
        assert_eq!(self.port.spare.len(), FRAMES, "buffers at the end");
        self.check_leases();
    }

    fn check_leases(&self) {
        let mut live = Vec::new();
        self.partitions.for_each(|binding| {
            let declined = binding.state == State::Declined && binding.expires > self.now;
            if binding.is_live(self.now) || declined {
                live.push(binding.lease);
            }
        });
        live.sort_unstable();
        for pair in live.windows(2) {
            // Networks of VPNs may have the same addresses.
            if let [one, other] = pair
                && self.policy.relays_v4.vpns.is_empty()
            {
                assert_ne!(one, other, "two holders");
            }
        }
        let pools = &self.policy.pools;
        let pool_indexes = (0..pools.len() as u32).map(PoolIndex);
        let taken: u64 = pool_indexes.map(|pool| pools.counts(pool).taken).sum();
        let held: u64 = (0..self.partitions.len())
            .filter_map(|index| Some(self.partitions.lock(index)?.occupancy()))
            .map(|of| u64::from(of.live + of.declined + of.offers + of.leaving))
            .sum();
        // The server's own addresses are taken for good, and in no table.
        let own = (self.interface.v4.len() + self.interface.v6.len()) as u64;
        assert!(taken <= held + own, "{taken} taken in pools, {held} held");
    }
}

/// A journal that is on stable storage at once.
struct Nowhere;

impl Storage for Nowhere {
    fn place(&mut self, _: &mut ChangeLog) -> Option<u64> {
        Some(1)
    }

    fn commit(&mut self, _: &[Submission]) -> Result<(), Trouble> {
        Ok(())
    }

    fn between_groups(
        &mut self,
        _: &Settlements,
        _: bool,
        _: Duration,
    ) -> Result<Duration, Trouble> {
        Ok(Duration::ZERO)
    }

    fn finish(&mut self) -> Result<(), Trouble> {
        Ok(())
    }
}

/// A port without a device, with so many buffers and no more.
pub(super) struct PoisonPort {
    poison: Option<u8>,
    arrived: VecDeque<Chunk>,
    sent: VecDeque<Chunk>,
    spare: Vec<Chunk>,
    /// The reply that was looked at last.
    shown: Option<Chunk>,
}

/// A buffer as large as a UMEM chunk leaves it.
pub(super) struct Chunk {
    octets: Box<[u8; FRAME_SIZE_MAX]>,
    len: usize,
}

impl PoisonPort {
    fn new(poison: Option<u8>) -> Self {
        let octet = poison.unwrap_or(0xa5);
        let chunk = || Chunk {
            octets: Box::new([octet; FRAME_SIZE_MAX]),
            len: 0,
        };
        Self {
            poison,
            arrived: VecDeque::with_capacity(FRAMES),
            sent: VecDeque::with_capacity(FRAMES),
            spare: (0..FRAMES).map(|_| chunk()).collect(),
            shown: None,
        }
    }

    /// Lets a frame arrive, over what is left of one before.
    pub(super) fn arrive(&mut self, octets: &[u8]) {
        let mut chunk = self.spare.pop().expect("buffers have leaked");
        chunk.len = octets.len();
        chunk.octets[..octets.len()].copy_from_slice(octets);
        self.arrived.push_back(chunk);
    }

    /// The next reply of this port, and that of the `other`.
    pub(super) fn next_sent<'a>(&'a mut self, other: &'a mut Self) -> Option<(&'a [u8], &'a [u8])> {
        match (self.show_next(), other.show_next()) {
            (Some(one), Some(other)) => Some((one, other)),
            (None, None) => None,
            (one, other) => panic!("only one server answers: {one:02x?} {other:02x?}"),
        }
    }

    fn show_next(&mut self) -> Option<&[u8]> {
        self.spare.extend(self.shown.take());
        self.shown = self.sent.pop_front();
        let Chunk { octets, len } = self.shown.as_ref()?;
        Some(&octets[..*len])
    }
}

impl Port for PoisonPort {
    type Frame = Chunk;

    fn receive(&mut self, into: &mut Vec<Chunk>) -> usize {
        let count = self.arrived.len().min(BATCH_FRAMES);
        into.extend(self.arrived.drain(..count));
        count
    }

    fn octets<'a>(&'a self, frame: &'a Chunk) -> &'a [u8] {
        &frame.octets[..frame.len]
    }

    fn overwrite<R>(&mut self, frame: &mut Chunk, write: impl FnOnce(&mut [u8]) -> R) -> R {
        if let Some(poison) = self.poison {
            frame.octets.fill(poison);
        }
        write(frame.octets.as_mut_slice())
    }

    fn send(&mut self, mut frame: Chunk, len: usize) {
        assert!(len <= FRAME_SIZE_MAX, "a frame of {len} octets was sent");
        frame.len = len;
        self.sent.push_back(frame);
    }

    fn discard(&mut self, frame: Chunk) {
        self.spare.push(frame);
    }

    fn flush(&mut self) {}
}
