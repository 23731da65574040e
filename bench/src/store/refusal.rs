//! What does it cost to refuse a client when every address is taken? The whole data path of a DISCOVER, over
//! plain memory: read, classified, looked for, refused, counted.
//!
//! Full pools are asked by turns, for the machine's speed drifts: one of a thousand addresses, a large one, and one of a
//! thousand beside a large one. Of the pool a refusal looks at the count of free addresses and at nothing else, so that
//! the last two should cost the same. In the table it looks once for the client, at one cache line of an index that is
//! as large as the table: what the last two cost more than the first is the way of that line from memory.

use super::figures::Figures;
use crate::client::{Held, Identity};
use crate::exchange::Step;
use crate::v4;
use anyhow::{Context as _, Result, ensure};
use crossbeam::utils::CachePadded;
use dhcp_core::{Interface, Policy};
use dhcp_lease::{
    Binding, ChangeLog, Durability, Lease, Partitions, PoolIndex, State, SubnetId, Timestamp,
};
use dhcp_userspace::commit::{self, Handle, StoreState};
use dhcp_userspace::config;
use dhcp_userspace::counters::Counters;
use dhcp_userspace::datapath::{Context, Shard};
use dhcp_userspace::io::BATCH_FRAMES;
use dhcp_userspace::io::memory::{MemoryFrame, MemoryPort};
use dhcp_userspace::wake::Waker;
use dhcp_wire::frame::{Addresses, Envelope, FRAME_SIZE_MAX, MacAddress, Tags};
use dhcp_wire::id::{Duid, HardwareAddress};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Addresses of the small pool.
const SMALL: u64 = 1_000;
/// Clients refused in one turn.
const REFUSALS: u32 = 200_000;
/// As many as the server makes unless it is told otherwise.
const PARTITIONS: usize = 64;
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 0);
/// The first address of the pool beside.
const FIRST_BESIDE: Ipv4Addr = Ipv4Addr::new(11, 1, 0, 0);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const SERVER_MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
const NOW: Timestamp = Timestamp(1_800_000_000);
const ALLOCATORS: [&str; 3] = ["iterative", "random", "flq"];

/// Measures each allocator with a pool of `large` addresses, one of a thousand, and one of a thousand beside a large
/// one.
///
/// # Errors
/// When a pool cannot be filled, or a client is not refused.
pub fn measure(large: u64, turns: usize, figures: &mut Figures) -> Result<()> {
    for allocator in ALLOCATORS {
        let mut servers = [
            Server::full(allocator, SMALL, 0)?,
            Server::full(allocator, large, 0)?,
            Server::full(allocator, SMALL, large)?,
        ];
        let mut times = [const { Vec::new() }; 3];
        // The first turn warms up.
        for turn in 0..=turns {
            for (server, times) in servers.iter_mut().zip(&mut times) {
                let nanoseconds = server.refuse()?;
                if turn > 0 {
                    times.push(nanoseconds);
                }
            }
        }
        let [small, great, beside] = &times;
        let ratios = |others: &[f64]| -> Vec<f64> {
            let pairs = great.iter().zip(others);
            pairs.map(|(great, other)| great / other).collect()
        };
        let name = |what: &str| format!("store/refusal/{allocator}/{what}");
        figures.note(&name("pool of 1,000"), "ns", small);
        figures.note(&name("large pool"), "ns", great);
        figures.note(&name("pool of 1,000 beside a large one"), "ns", beside);
        let to_small = name("large pool to pool of 1,000");
        figures.note(&to_small, "ratio", &ratios(small));
        let to_beside = name("large pool to pool of 1,000 beside one");
        figures.note(&to_beside, "ratio", &ratios(beside));
    }
    Ok(())
}

/// A server without a free address.
struct Server {
    shard: Shard<MemoryFrame>,
    port: MemoryPort,
    policy: Policy,
    interface: Interface,
    handle: Handle,
    /// Number of the next client, whom it has never seen.
    next: u32,
}

impl Server {
    /// With a full pool of `count` addresses, and one of `beside` elsewhere.
    fn full(allocator: &str, count: u64, beside: u64) -> Result<Self> {
        let policy = policy(allocator, count, beside)?;
        let capacity = ((count + beside) as usize / PARTITIONS) * 5 / 4 + 256;
        let partitions = Partitions::in_memory(PARTITIONS, capacity, Durability::Process);
        fill(&partitions, &policy, PoolIndex(0), count)?;
        fill(&partitions, &policy, PoolIndex(1), beside)?;
        let (mut handles, _) = commit::connect(
            vec![Arc::new(Waker::new()?)],
            &Arc::new(StoreState::default()),
        );
        let counters = Arc::new(CachePadded::new(Counters::default()));
        Ok(Self {
            shard: Shard::new(Arc::new(partitions), counters),
            port: MemoryPort::new(),
            policy,
            interface: Interface {
                name: "lan0".to_owned(),
                mac: SERVER_MAC,
                v4: vec![SERVER],
                ..Interface::default()
            },
            handle: handles.pop().context("one worker has one handle")?,
            next: 0,
        })
    }

    /// Refuses some clients: nanoseconds for each, in the middle one of all batches.
    fn refuse(&mut self) -> Result<f64> {
        let before = self.port.discarded();
        let mut spent = Vec::with_capacity(REFUSALS as usize / BATCH_FRAMES);
        let mut frame = [0; FRAME_SIZE_MAX];
        let batches = REFUSALS / BATCH_FRAMES as u32;
        for _ in 0..batches {
            for _ in 0..BATCH_FRAMES {
                let len = discover(self.next, &mut frame).context("a DISCOVER fits a frame")?;
                self.port.arrive(frame.get(..len).unwrap_or_default());
                self.next += 1;
            }
            let context = Context {
                policy: &self.policy,
                interface: &self.interface,
                commit: &self.handle,
                now: NOW,
            };
            let started = Instant::now();
            self.shard.serve(&mut self.port, &context);
            spent.push(started.elapsed());
        }
        let refused = self.port.discarded() - before;
        let asked = u64::from(batches) * BATCH_FRAMES as u64;
        ensure!(refused == asked, "{refused} of {asked} were refused");
        spent.sort_unstable();
        let middle: Duration = *spent.get(spent.len() / 2).context("some batches")?;
        Ok(middle.as_nanos() as f64 / BATCH_FRAMES as f64)
    }
}

/// Clients on the link belong to the first subnet; the second one has the other pool, unless that has no address.
fn policy(allocator: &str, count: u64, beside: u64) -> Result<Policy> {
    let mut text = String::from("interfaces = ['lan0']\n");
    for (network, first, count) in [("10", FIRST, count), ("11", FIRST_BESIDE, beside)] {
        let Some(behind) = count.checked_sub(1) else {
            continue;
        };
        let last = Ipv4Addr::from_bits(first.to_bits() + u32::try_from(behind)?);
        text += &format!(
            "[[subnet4]]\nsubnet = '{network}.0.0.0/8'\npools = ['{first}-{last}']\n\
             allocator = '{allocator}'\n"
        );
    }
    let checked = config::check(Path::new("refusal.toml"), &text)
        .map_err(|findings| anyhow::anyhow!("{findings}"))?;
    Ok(checked.policy(
        &Duid::new(&[0, 3, 0, 1, 2, 0, 0, 0, 0, 1]).context("a DUID-LL")?,
        None,
    ))
}

/// Leases every address of a pool.
fn fill(partitions: &Partitions, policy: &Policy, pool: PoolIndex, count: u64) -> Result<()> {
    let holder = u8::try_from(pool.0)?;
    let mut log = ChangeLog::with_capacity(BATCH_FRAMES);
    for number in 0..u32::try_from(count)? {
        let Some(lease @ Lease::V4(_)) = policy.pools.claim_next(pool) else {
            anyhow::bail!("the pool was full after {number} leases");
        };
        let [a, b, c, d] = number.to_be_bytes();
        let binding = Binding {
            lease,
            state: State::Leased,
            subnet: SubnetId(pool.0 + 1),
            hardware: HardwareAddress::ethernet([6, holder, a, b, c, d]),
            last_transaction: NOW,
            expires: NOW.after(86_400),
            valid_seconds: 86_400,
            ..Binding::default()
        };
        let index = partitions.index_of(binding.hardware.as_slice());
        let mut partition = partitions
            .lock(index)
            .context("a partition of this index")?;
        partition.commit(None, &binding, &policy.pools, &mut log, NOW)?;
        drop(partition);
        partitions.settle(&mut log, &policy.pools);
    }
    ensure!(
        count == 0 || policy.pools.claim_next(pool).is_none(),
        "the pool has a free address"
    );
    Ok(())
}

/// The DISCOVER of a client: its length.
fn discover(number: u32, frame: &mut [u8]) -> Option<usize> {
    let identity = Identity::new(7, number);
    let question = v4::Question {
        step: Step::Discover,
        transaction: number & 0x00ff_ffff,
        client: number,
        identity,
        held: Held::default(),
        server_id: None,
        siaddr: None,
        secs: 0,
        relay: None,
        manner: &v4::Manner::default(),
    };
    let envelope = Envelope {
        source_mac: MacAddress(identity.mac),
        destination_mac: MacAddress::BROADCAST,
        tags: Tags::default(),
        addresses: Addresses::V4 {
            source: Ipv4Addr::UNSPECIFIED,
            destination: Ipv4Addr::BROADCAST,
        },
        source_port: 68,
        destination_port: 67,
    };
    let len = question.write(frame.get_mut(envelope.header_len()..)?)?;
    envelope.emit(frame, len).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_allocator_refuses_when_the_pool_is_full() {
        for allocator in ALLOCATORS {
            let mut server = Server::full(allocator, SMALL, SMALL / 2).unwrap();
            assert!(server.refuse().unwrap() > 0.0, "{allocator}");
        }
    }
}
