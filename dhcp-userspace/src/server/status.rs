//! What is there to know of a running server?

use crate::clock::ClockStatus;
use crate::commit::StoreStatus;
use crate::counters::Totals;
use crate::history::HistoryStatus;
use crate::probe::ProbeStatus;
use crate::settings::Durability;
use dhcp_core::Interface;
use dhcp_core::alarms::Raised;
use dhcp_ebpf::Outcome;
use dhcp_lease::PoolCounts;
use dhcp_lease::recovery::Recovery;
use std::time::Duration;

/// Everything about a running server at one moment.
#[derive(Clone, Debug)]
pub struct Status {
    /// How long it has been running.
    pub uptime: Duration,
    /// Server time, and how the wall clock compares with it.
    pub clock: ClockStatus,
    /// Why the lease tables are not as the configuration wants them.
    pub geometry_problem: Option<String>,
    /// What an acknowledged lease survives.
    pub durability: Durability,
    /// The DUID, in hexadecimal digits.
    pub server_duid: String,
    /// The interfaces.
    pub interfaces: Vec<InterfaceStatus>,
    /// All workers' counters added up.
    pub totals: Totals,
    /// The journal.
    pub store: StoreStatus,
    /// The lease history, if one is kept.
    pub history: Option<HistoryStatus>,
    /// Octets that are free on the file system of the state directory, if that can be told.
    pub free_octets: Option<u64>,
    /// What opening the store found and did.
    pub recovery: Recovery,
    /// Number of partitions of the store.
    pub partitions: usize,
    /// How many lines, classes and subnets hold leases that count against a limit.
    pub limits_counted: usize,
    /// How full each pool is, in the order of the policy's pools.
    pub pools: Vec<PoolCounts>,
    /// What is wrong with pools, as of a second ago.
    pub alarms: Vec<Raised>,
    /// What was found out by asking whether addresses are in use.
    pub probes: ProbeStatus,
}

/// One interface at one moment.
#[derive(Clone, Debug)]
pub struct InterfaceStatus {
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub interface: Interface,
    /// What is in force; `None` while the interface is down or away.
    pub link: Option<LinkStatus>,
    /// Why it is not served.
    pub trouble: Option<String>,
    /// How many receive queues are served.
    pub queues: u32,
    /// How many workers each has.
    pub workers_per_queue: u32,
    /// Each worker's counters.
    pub workers: Vec<WorkerStatus>,
}

/// How an interface is served.
#[derive(Clone, Debug)]
pub struct LinkStatus {
    /// The XDP program runs in the driver; else in the network stack.
    pub is_native: bool,
    /// Frames are not copied between kernel and user space.
    pub zero_copy: bool,
    /// The kernel says when it must be woken.
    pub need_wakeup: bool,
    /// Frames lie in huge pages.
    pub huge_pages: bool,
    /// Frames per system call when sending, if the kernel takes the option.
    pub tx_budget: Option<u32>,
    /// What the XDP program did with the frames.
    pub outcomes: Vec<(Outcome, u64)>,
}

/// One worker at one moment.
#[derive(Clone, Debug)]
pub struct WorkerStatus {
    /// Its receive queue.
    pub queue: u32,
    /// Which of the workers of that queue.
    pub number: u32,
    /// Its counters.
    pub totals: Totals,
}
