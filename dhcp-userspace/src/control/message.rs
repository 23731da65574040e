//! What is said on the control socket: plain structs, the only serialised form of anything.

use crate::counters::{MESSAGES_V6, RECEIVED_V4, SENT_V4, Totals};
use crate::io::PortStatistics;
use crate::leases::LeaseView;
use crate::leases::import::{Rule, SubnetFrom};
use dhcp_core::{Discard, Policy};
use dhcp_lease::{Binding, Bound, PoolIndex, State, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `GET /v1/status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Whether every interface is served.
    pub ready: bool,
    /// How long it has been running.
    pub uptime_seconds: u64,
    /// The configuration file in force.
    pub config: String,
    /// Where the lease tables live.
    pub state_dir: String,
    /// `power` or `process`.
    pub durability: String,
    /// How often the configuration was put in force, the first time included.
    pub generation: u64,
    /// Partitions of the lease store.
    pub partitions: u64,
    /// For how many bindings there is room.
    pub lease_capacity: u64,
    /// Leases that are granted at the moment.
    pub leases: u64,
    /// The server's DUID, in hexadecimal.
    pub server_duid: String,
    /// Time.
    #[serde(default)]
    pub clock: ClockStatus,
    /// Whether the lease store takes no commits at the moment, so that nobody gets a lease.
    #[serde(default)]
    pub store_suspended: bool,
    /// How often that has happened.
    #[serde(default)]
    pub store_outages: u64,
    /// What is wrong with its disk, by name, if anything is.
    #[serde(default)]
    pub store_trouble: Option<String>,
    /// Octets that are free on the file system of the state directory.
    #[serde(default)]
    pub state_dir_free_octets: u64,
    /// How often the journal was full, and the clients waited for a checkpoint.
    #[serde(default)]
    pub journal_waits: u64,
    /// Lines, classes and subnets that hold leases which count against a limit.
    #[serde(default)]
    pub limits_counted: u64,
    /// How often the journal was synced: one barrier for a group of changes.
    #[serde(default)]
    pub syncs: u64,
    /// Lease records in these groups.
    #[serde(default)]
    pub synced_records: u64,
    /// 99 of 100 syncs of the journal took at most this long, in microseconds.
    pub sync_p99_micros: u64,
    /// The longest took this long, in microseconds.
    pub sync_max_micros: u64,
    /// The lease history; nothing if none is kept.
    #[serde(default)]
    pub history: Option<HistoryStatus>,
    /// What is served and how.
    pub interfaces: Vec<InterfaceStatus>,
    /// How many pools run low (`low_water`), in how many subnets many leases are declined (`declined`).
    #[serde(default)]
    pub alarms: BTreeMap<String, u64>,
    /// Addresses that were to be probed before their first offer (`enable-ping-check`), by what came of it: `clear`,
    /// `in_use`, `failed` (the system did not send the request), `skipped` (too many at once).
    #[serde(default)]
    pub probes: BTreeMap<String, u64>,
    /// Requests that were sent for that: `arp`, `icmp`.
    #[serde(default)]
    pub probe_requests: BTreeMap<String, u64>,
    /// The clients of the FORCERENEW campaign that is running or was the last to run, by what became of them: `asked`
    /// (all), `answered`, `gone` (without a lease by now), `deaf`, `under_way`.
    #[serde(default)]
    pub forcerenew: BTreeMap<String, u64>,
    /// Whether it is running.
    #[serde(default)]
    pub forcerenew_running: bool,
    /// What an operator should know of: an interface that is down, a disk that refuses.
    pub problems: Vec<String>,
}

/// The lease history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HistoryStatus {
    /// Whether it can be written at the moment.
    pub writing: bool,
    /// Entries written since the start.
    pub entries: u64,
    /// Entries that are missing since the start; the history names the gaps.
    pub lost: u64,
    /// Octets written since the start.
    pub octets: u64,
    /// The number of the segment that is written.
    pub segment: u64,
    /// How many segments are kept.
    pub segments: u64,
    /// Octets of these with their indexes, as of the last rotation.
    pub segments_octets: u64,
    /// The second in which the oldest of them begins.
    pub oldest: Option<u64>,
    /// The hash of the last block on stable storage.
    pub hash: String,
}

/// Server time, and how the wall clock compares with it. All times of leases are server time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClockStatus {
    /// Server time, in seconds since 1970.
    pub server_time: u64,
    /// By how much the wall clock is ahead of it.
    pub offset_seconds: i64,
    /// Where server time came from at the start: `boot-clock`, `wall-clock`, `last-known` (the wall clock was
    /// behind), `held` (the wall clock was not believed), `accepted`.
    pub source: String,
    /// Whether a jump of the wall clock is still not believed.
    pub held: bool,
    /// Whether the operator has accepted the wall clock, from the next start on.
    pub accepted: bool,
    /// How often the wall clock was set since the start.
    pub steps: u64,
    /// Until when (server time) free leases are withheld because the lease store is a copy.
    pub withheld_until: Option<u64>,
}

/// The answer to `POST /v1/clock/accept` and `POST /v1/restore/accept` when all went well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Accepted {
    /// How things are now.
    pub clock: ClockStatus,
}

/// One interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct InterfaceStatus {
    /// Its name.
    pub name: String,
    /// Whether it is served.
    pub serving: bool,
    /// Receive queues.
    pub queues: u32,
    /// Worker threads.
    pub workers: u32,
    /// How the XDP program is attached: `native` or `generic`.
    pub xdp_mode: String,
    /// `zero-copy` or `copy`.
    pub copy_mode: String,
    /// Whether the kernel has to be woken to send and receive.
    pub need_wakeup: bool,
    /// Whether frames lie in huge pages.
    pub huge_pages: bool,
    /// Its addresses.
    pub addresses: Vec<String>,
}

/// `GET /v1/stats`: counters since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Stats {
    /// Frames received from the rings.
    pub frames_received: u64,
    /// Frames sent.
    pub frames_sent: u64,
    /// Batches of frames served.
    pub batches: u64,
    /// Replies that waited for the disk.
    pub replies_delayed: u64,
    /// Change logs handed to the journal.
    pub change_logs: u64,
    /// DHCPv4 replies without the relay agent's option, for which there was no room.
    pub agent_option_left_out: u64,
    /// Options that had no room in a DHCPv4 reply.
    pub options_left_out: u64,
    /// Leases that were refused because there are as many as there may be, by what has the limit.
    #[serde(default)]
    pub limit_refusals: BTreeMap<String, u64>,
    /// Frames that the kernel lost on their way, by reason.
    pub lost: BTreeMap<String, u64>,
    /// DHCPv4 messages received, by kind.
    pub received_v4: BTreeMap<String, u64>,
    /// DHCPv4 messages sent, by kind.
    pub sent_v4: BTreeMap<String, u64>,
    /// DHCPv6 messages received, by kind.
    pub received_v6: BTreeMap<String, u64>,
    /// DHCPv6 messages sent, by kind.
    pub sent_v6: BTreeMap<String, u64>,
    /// Frames that ended without a reply, by reason; all reasons are listed in docs/metrics.md.
    pub discards: BTreeMap<String, u64>,
    /// What the XDP program did with frames, by interface and outcome.
    pub xdp: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Stats {
    /// Counters under their names.
    pub fn new(totals: &Totals, xdp: Vec<(String, String, u64)>) -> Self {
        let mut by_interface: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for (interface, outcome, count) in xdp {
            by_interface
                .entry(interface)
                .or_default()
                .insert(outcome, count);
        }
        let reasons = Discard::ALL.iter();
        Self {
            frames_received: totals.frames,
            frames_sent: totals.sent,
            batches: totals.batches,
            replies_delayed: totals.parked,
            change_logs: totals.logs,
            agent_option_left_out: totals.agent_option_left_out,
            options_left_out: totals.options_left_out,
            limit_refusals: named(&Bound::ALL.map(Bound::name), &totals.limit_refusals),
            lost: LOST
                .iter()
                .map(|(name, count)| ((*name).to_owned(), count(&totals.port)))
                .collect(),
            received_v4: named(&RECEIVED_V4, &totals.received_v4),
            sent_v4: named(&SENT_V4, &totals.sent_v4),
            received_v6: named(&MESSAGES_V6, &totals.received_v6),
            sent_v6: named(&MESSAGES_V6, &totals.sent_v6),
            discards: reasons
                .map(|reason| (reason.name().to_owned(), totals.discarded(*reason)))
                .collect(),
            xdp: by_interface,
        }
    }
}

/// Where frames are lost between the device and us: names and counts.
type Lost = (&'static str, fn(&PortStatistics) -> u64);
const LOST: [Lost; 5] = [
    ("receive_dropped", |port| port.rx_dropped),
    ("receive_ring_full", |port| port.rx_ring_full),
    ("fill_ring_empty", |port| port.fill_ring_empty),
    ("transmit_invalid", |port| port.tx_invalid),
    ("transmit_ring_full", |port| port.tx_full),
];

fn named(names: &[&str], counts: &[u64]) -> BTreeMap<String, u64> {
    names
        .iter()
        .map(|name| (*name).to_owned())
        .zip(counts.iter().copied())
        .collect()
}

/// One pool in `GET /v1/pools`. The five counts after `size` add up to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PoolStatus {
    /// `v4`, `na` or `pd`.
    pub kind: String,
    /// Number of its subnet.
    pub subnet_id: u32,
    /// Its subnet.
    pub subnet: String,
    /// Its first address or prefix.
    pub first: String,
    /// How many leases it has.
    pub size: u64,
    /// Free for any client.
    pub assignable: u64,
    /// Granted at the moment.
    pub in_use: u64,
    /// Offered, or about to come back, at the moment.
    pub offered: u64,
    /// Found in use by somebody else.
    pub conflicting: u64,
    /// Set apart for clients with reservations that do not hold them at the moment.
    pub not_assignable: u64,
}

/// The pools of a policy, without the counts that take a walk through all bindings.
pub(super) fn pools(policy: &Policy) -> Vec<PoolStatus> {
    let pools_v4 = policy
        .networks_v4
        .iter()
        .flat_map(|network| &network.subnets)
        .flat_map(|it| {
            let subnet = format!("{}/{}", it.network, it.prefix_len);
            it.pools
                .iter()
                .map(move |pool| ("v4", *pool, it.id, subnet.clone()))
        });
    let pools_v6 = policy
        .networks_v6
        .iter()
        .flat_map(|network| &network.subnets)
        .flat_map(|it| {
            let subnet = format!("{}/{}", it.network, it.prefix_len);
            let addresses = it.pools.iter().map(|pool| ("na", *pool));
            let prefixes = it.pd_pools.iter().map(|pool| ("pd", *pool));
            addresses
                .chain(prefixes)
                .map(move |(kind, pool)| (kind, pool, it.id, subnet.clone()))
        });
    let mut all: Vec<_> = pools_v4.chain(pools_v6).collect();
    all.sort_by_key(|(_, index, ..)| *index);
    let status = |(kind, index, id, subnet): (&str, PoolIndex, dhcp_lease::SubnetId, String)| {
        let counts = policy.pools.counts(index);
        let first = policy
            .pools
            .range(index)
            .map(|range| range.first.to_string());
        PoolStatus {
            kind: kind.to_owned(),
            subnet_id: id.0,
            subnet,
            first: first.unwrap_or_default(),
            size: counts.size,
            assignable: policy.pools.free_count(index),
            in_use: counts.taken,
            conflicting: counts.declined,
            not_assignable: counts.reserved,
            ..PoolStatus::default()
        }
    };
    all.into_iter().map(status).collect()
}

/// Tells granted, offered and declined leases of each pool apart by walking through all bindings.
pub(super) fn count_bindings(
    pools: &mut [PoolStatus],
    policy: &Policy,
    now: Timestamp,
    for_each: impl FnOnce(&mut dyn FnMut(&Binding)),
) {
    for pool in pools.iter_mut() {
        pool.in_use = 0;
        pool.conflicting = 0;
    }
    for_each(&mut |binding| {
        let Some(pool) = policy.pools.pool_of(binding.lease) else {
            return;
        };
        let Some(pool) = pools.get_mut(pool.0 as usize) else {
            return;
        };
        match binding.state {
            State::Leased if binding.is_live(now) => pool.in_use += 1,
            State::Declined if binding.expires > now => pool.conflicting += 1,
            State::Leased | State::Declined | State::Released => {}
        }
    });
    for (index, pool) in (0..).map(PoolIndex).zip(pools.iter_mut()) {
        // Reserved leases that are held are in use; what else is claimed without a binding is offered.
        let known = pool.in_use + pool.conflicting;
        let taken = policy.pools.counts(index).taken.max(known);
        pool.offered = taken - known;
        let rest = pool.size.saturating_sub(taken);
        pool.assignable = pool.assignable.min(rest);
        pool.not_assignable = rest - pool.assignable;
    }
}

/// `GET /v1/leases`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Leases {
    /// By address.
    pub leases: Vec<LeaseView>,
    /// Whether there are more than were asked for.
    pub more: bool,
}

/// The body of `POST /v1/release`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Release {
    /// An address, or a prefix with its length.
    pub address: String,
}

/// The answer to `POST /v1/release` when all went well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Released {
    /// Whose it was.
    pub released: LeaseView,
}

/// The body of `POST /v1/declined/clear`: which declined leases are to be given back. All of them if it says
/// nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ClearDeclined {
    /// `v4` or `v6`.
    pub family: Option<String>,
    /// Number of a subnet.
    pub subnet_id: Option<u32>,
    /// An address, or a prefix with its length.
    pub address: Option<String>,
}

/// The answer when all went well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Cleared {
    /// What was given back.
    pub cleared: Vec<LeaseView>,
}

/// The body of `POST /v1/import`; the answer is [`Imported`](crate::leases::import::Imported).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Import {
    /// Which of two bindings counts.
    #[serde(default)]
    pub rule: Rule,
    /// By what a lease finds its subnet.
    #[serde(default)]
    pub subnets: SubnetFrom,
    /// Nothing is to be written.
    #[serde(default)]
    pub dry_run: bool,
    /// The leases; no two are the same.
    pub leases: Vec<LeaseView>,
}

/// The answer to `POST /v1/reload` when all went well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Reloaded {
    /// What is in force now.
    pub summary: String,
}

/// Any answer that is not a success.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Problem {
    /// What is wrong and what to do, a line each.
    pub errors: Vec<String>,
}
