//! What the operator decided about the process itself (the policy is `dhcp_core::Policy`).

use crate::history::HistorySettings;
use crate::leasequery::BulkSettings;
use dhcp_lease::clock::Guard;
use std::path::PathBuf;

/// What an acknowledged lease survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Durability {
    /// A power cut: the acknowledgement leaves after its lease is on stable storage.
    #[default]
    Power,
    /// The death of the process: the acknowledgement leaves once its lease is in the memory-mapped table.
    Process,
}

/// How soon the thread runs that writes the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum JournalPriority {
    /// As soon as it can: ahead of every thread that is not real-time.
    #[default]
    Realtime,
    /// In its turn.
    Normal,
}

/// How an interface is to be served. What is in force in the end is in `status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceSettings {
    /// The interface's name.
    pub name: String,
    /// Worker threads per receive queue; more than one shares out a single hot queue by client.
    pub workers_per_queue: u32,
    /// How the XDP program is attached.
    pub mode: XdpMode,
    /// Whether frames are copied between kernel and user space.
    pub copy: CopyMode,
}

/// Where in the kernel the XDP program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum XdpMode {
    /// In the driver if it can, else generic.
    #[default]
    Auto,
    /// In the driver, or refuse to start.
    Native,
    /// In the network stack, for any device.
    Generic,
}

/// Whether frames are copied between kernel and user space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CopyMode {
    /// Not if the driver can do without.
    #[default]
    Auto,
    /// Never, or refuse to start.
    ZeroCopy,
    /// Always.
    Copy,
}

/// Whether the XDP program tells of each frame for a DHCP server, in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum XdpLog {
    /// It only counts them.
    #[default]
    Off,
    /// It does; that costs time for each frame.
    On,
}

/// Settings of the process, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Interfaces to serve.
    pub interfaces: Vec<InterfaceSettings>,
    /// Where the lease tables live.
    pub state_dir: PathBuf,
    /// The control socket.
    pub socket: PathBuf,
    /// What an acknowledged lease survives.
    pub durability: Durability,
    /// Whether the journal's thread goes ahead of the others.
    pub journal_priority: JournalPriority,
    /// How many bindings the lease tables have room for, former ones included.
    pub lease_capacity: u64,
    /// Into how many partitions the lease store is divided.
    pub partitions: u32,
    /// The lease history.
    pub history: HistorySettings,
    /// Bulk leasequery, if it is wanted.
    pub bulk_leasequery: Option<BulkSettings>,
    /// When a jump of the wall clock at a start is not believed.
    pub guard: Guard,
    /// The operator's word that the wall clock is right; a command-line option, not in the file.
    pub accept_clock: bool,
    /// Whether the XDP program logs; a command-line option, not in the file.
    pub xdp_log: XdpLog,
}
