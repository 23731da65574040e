//! What is meant: the configuration as types that cannot be wrong.
//!
//! Everything that takes two values to judge is judged here, and all of it before anything is refused.

mod classes;
mod flexible;
mod lifetimes;
mod limits;
mod links;
mod options;
mod placed;
mod pools;
mod probes;
mod relays;
mod reservations;
mod subnets;

use super::file::File;
use super::notation::Family;
use super::options::Definitions;
use super::report::{At, Findings, Report, Spot, plural};
use crate::history::HistorySettings;
use crate::settings::{
    CopyMode, Durability, InterfaceSettings, JournalPriority, Settings, XdpLog, XdpMode,
};
use classes::Book;
use dhcp_core::Policy;
use dhcp_core::alarms::Alarms;
use dhcp_core::class::{Access, Classes};
use dhcp_core::flexible::Flexible;
use dhcp_core::leasequery::Leasequery;
use dhcp_core::networks::Networks;
use dhcp_core::options::OptionSet;
use dhcp_core::reservation::Hosts;
use dhcp_core::subnet::{Preference, RelayPolicy, Subnet4, Subnet6};
use dhcp_core::v4::NonceSecret;
use dhcp_lease::clock::Guard;
use dhcp_lease::{Allocator, Lease, PoolRange, Pools};
use dhcp_wire::id::Duid;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

/// Most leases that a table may be asked to have room for: a quarter of a billion, some 60 GB.
pub(super) const LEASE_CAPACITY_MAX: u64 = 1 << 28;

/// For how long a history can be asked to be kept: two hundred years.
pub(super) const RETENTION_DAYS_MAX: u32 = 73_000;
/// How large a history can be asked to become: a pebibyte.
pub(super) const HISTORY_MIB_MAX: u64 = 1 << 30;

/// Defaults that more than one place needs; docs/configuration.md repeats them.
mod default {
    /// As Kea's.
    pub(super) const VALID_LIFETIME: u32 = 7200;
    /// A client that has not asked within a minute has taken another offer or gone.
    pub(super) const OFFER_LIFETIME: u32 = 60;
    /// An hour (requirements, decision 9): a day of quarantine empties a pool for one bad client.
    pub(super) const DECLINE_PROBATION: u32 = 3600;
    /// A day: who sits on an address that long is there for good, and then the operator is told.
    pub(super) const DECLINE_PROBATION_MAX: u32 = 86_400;
    /// A tenth of a subnet is more than a forgotten printer.
    pub(super) const DECLINE_ALARM_PERCENT: u32 = 10;
    /// Enough locks for as many threads as a machine of this decade gives one server.
    pub(super) const PARTITIONS: u32 = 16;
    /// When half of the leases would end at once it is more likely the clock than the clients.
    pub(super) const EXPIRY_GUARD_PERCENT: u64 = 50;
    /// A day: power cuts are shorter, and what a battery that is empty or a mistyped year makes is longer.
    pub(super) const EXPIRY_GUARD_DOWNTIME_SECONDS: u64 = 86_400;
    /// A small configuration may grow into its table without a new one.
    pub(super) const LEASE_CAPACITY_LEAST: u64 = 1 << 16;
    /// What nobody asked for in numbers does not take more than a few gigabytes of disk.
    pub(super) const LEASE_CAPACITY_MOST: u64 = 1 << 25;
    /// A relayed DHCPv6 client has an extension; with as many again every lease has a slot even if each
    /// takes three (docs/lease-format.md).
    pub(super) const SLOTS_PER_LEASE: u64 = 2;
    /// Of an IPv6 pool so many leases count for the capacity: who has more clients says so.
    pub(super) const IPV6_POOL_COUNTED: u64 = 1 << 20;
    /// Where the lease tables live.
    pub(super) const STATE_DIR: &str = "/var/lib/xdhcpd";
    /// The control socket.
    pub(super) const SOCKET: &str = "/run/xdhcpd/control.sock";
}

/// The state directory unless somebody names another.
pub const STATE_DIR: &str = default::STATE_DIR;
/// The control socket unless somebody names another.
pub const SOCKET: &str = default::SOCKET;

/// A configuration without errors.
#[derive(Debug)]
pub struct Checked {
    /// Settings of the process.
    pub settings: Settings,
    /// What is legal but suspicious.
    pub warnings: Findings,
    networks_v4: Networks<Subnet4>,
    networks_v6: Networks<Subnet6>,
    classes_v4: Classes,
    classes_v6: Classes,
    pool_access: Vec<Access>,
    relays_v4: RelayPolicy,
    options_v4: OptionSet,
    options_v6: OptionSet,
    ranges: Vec<PoolRange>,
    allocators: Vec<Allocator>,
    reserved: Vec<Lease>,
    withheld: Vec<Lease>,
    alarms: Alarms,
    offer_lifetime_seconds: u32,
    decline_probation_seconds: u32,
    decline_probation_seconds_max: u32,
    preference_v4: Preference,
    preference_v6: Preference,
    leasequery: Option<Leasequery>,
    forcerenew_nonce: bool,
    release_without_server_id: bool,
    hosts_v4: Hosts,
    hosts_v6: Hosts,
    flexible_v4: Flexible,
    flexible_v6: Flexible,
}

impl Checked {
    /// The policy, for a server with this DUID. After a reload the pools of the `previous` policy go on
    /// with what is claimed of them.
    pub fn policy(&self, duid: &Duid, previous: Option<&Policy>) -> Policy {
        let reserved = [&self.reserved[..], &self.withheld].concat();
        let (ranges, allocators) = (&self.ranges, &self.allocators);
        let pools = match previous {
            Some(previous) => Pools::succeed_with(&previous.pools, ranges, allocators, &reserved),
            None => Pools::with_allocators(ranges, allocators, &reserved),
        };
        Policy {
            networks_v4: self.networks_v4.clone(),
            networks_v6: self.networks_v6.clone(),
            options_v4: self.options_v4.clone(),
            options_v6: self.options_v6.clone(),
            pools,
            pool_access: self.pool_access.clone(),
            classes_v4: self.classes_v4.clone(),
            classes_v6: self.classes_v6.clone(),
            server_duid: duid.clone(),
            offer_lifetime_seconds: self.offer_lifetime_seconds,
            decline_probation_seconds: self.decline_probation_seconds,
            decline_probation_seconds_max: self.decline_probation_seconds_max,
            preference_v4: self.preference_v4,
            preference_v6: self.preference_v6,
            alarms: self.alarms.clone(),
            leasequery: self.leasequery.clone(),
            forcerenew: self.nonce_secret(previous),
            probes: self.probes(previous),
            release_without_server_id: self.release_without_server_id,
            relays_v4: self.relays_v4.clone(),
            hosts_v4: self.hosts_v4.clone(),
            hosts_v6: self.hosts_v6.clone(),
            flexible_v4: self.flexible_v4.clone(),
            flexible_v6: self.flexible_v6.clone(),
        }
    }

    /// From what nonces are made: what they were made from before, or else 128 random bits.
    fn nonce_secret(&self, previous: Option<&Policy>) -> Option<NonceSecret> {
        if !self.forcerenew_nonce {
            return None;
        }
        previous.and_then(|policy| policy.forcerenew).or_else(|| {
            let mut secret = [0; 16];
            // Without random numbers there are no nonces, and leases all the same.
            getrandom::fill(&mut secret)
                .inspect_err(
                    |error| tracing::error!(%error, "no random numbers; no client gets a nonce"),
                )
                .ok()
                .map(|()| NonceSecret(secret))
        })
    }

    /// The pools of the whole configuration, in the order of their [`PoolIndex`].
    pub fn pool_ranges(&self) -> &[PoolRange] {
        &self.ranges
    }

    /// Addresses and prefixes that are fixed for one client.
    pub fn reserved(&self) -> &[Lease] {
        &self.reserved
    }

    /// `2 subnet4, 1 subnet6, 5 pools, 12 reserved leases`.
    pub fn summary(&self) -> String {
        fn subnets<S>(networks: &Networks<S>) -> usize {
            networks.iter().map(|network| network.subnets.len()).sum()
        }
        format!(
            "{} subnet4, {} subnet6, {}, {}",
            subnets(&self.networks_v4),
            subnets(&self.networks_v6),
            plural(self.ranges.len(), "pool"),
            plural(self.reserved.len(), "reserved lease")
        )
    }
}

/// Checks a whole file.
pub(super) fn check(file: &File, mut report: Report) -> Result<Checked, Findings> {
    let mut checker = Checker {
        report: &mut report,
        ranges: Vec::new(),
        allocators: Vec::new(),
        reserved: Vec::new(),
        withheld: Vec::new(),
        alarms: Alarms::default(),
        excludes_first_last_24: value_or(&file.exclude_first_last_24, false),
        definitions: Definitions::default(),
        classes_v4: Book::new(Family::V4),
        classes_v6: Book::new(Family::V6),
        pool_access: Vec::new(),
    };
    checker.define(file);
    let (decline_probation_seconds, decline_probation_seconds_max) = checker.quarantine(file);
    let interfaces = checker.interfaces(file);
    checker.classes(&file.classes4, Family::V4);
    checker.classes(&file.classes6, Family::V6);
    let mut placed = checker.placed(file);
    checker.ids(&placed);
    checker.subnet_overlaps(&placed);
    checker.links(file, &placed);
    checker.pd_pool_overlaps(&placed);
    checker.distribute(file, &mut placed);
    checker.reserved_twice(file, &placed);
    let hosts_v4 = checker.hosts(&file.hosts4, Family::V4, &placed);
    let hosts_v6 = checker.hosts(&file.hosts6, Family::V6, &placed);
    let options_v4 = checker.level(&file.dhcp4.options, Family::V4);
    let options_v6 = checker.level(&file.dhcp6.options, Family::V6);
    let mut networks_v4 = Vec::new();
    let mut networks_v6 = Vec::new();
    let mut relays_v4 = checker.relays(file);
    checker.client_keys(&placed);
    let flexible_v4 = checker.flexible_v4(file, &placed);
    let flexible_v6 = checker.flexible_v6(file, &placed);
    let mut by_name = subnets::ByName::default();
    for placed in &placed {
        match placed.written.family {
            Family::V4 => {
                let subnet = checker.subnet4(placed, &options_v4, &mut relays_v4.vpns);
                let access = checker.network_access(placed);
                let options = checker.network_options(placed);
                by_name.add(&mut networks_v4, placed, access, subnet, options);
            }
            Family::V6 => {
                let subnet = checker.subnet6(placed);
                let access = checker.network_access(placed);
                let options = checker.network_options(placed);
                by_name.add(&mut networks_v6, placed, access, subnet, options);
            }
        }
    }
    let Checker {
        ranges,
        allocators,
        reserved,
        withheld,
        alarms,
        classes_v4,
        classes_v6,
        pool_access,
        ..
    } = checker;
    if report.has_errors() {
        return Err(report.finish());
    }
    let capacity = file.lease_capacity.as_ref().map(|it| it.value);
    let path = |written: &Option<At<PathBuf>>, default: &str| {
        written
            .as_ref()
            .map_or_else(|| PathBuf::from(default), |it| it.value.clone())
    };
    let settings = Settings {
        interfaces,
        state_dir: path(&file.state_dir, default::STATE_DIR),
        socket: path(&file.socket, default::SOCKET),
        durability: value_or(&file.durability, Durability::default()),
        journal_priority: value_or(&file.journal_priority, JournalPriority::default()),
        lease_capacity: capacity.unwrap_or_else(|| default_capacity(&ranges, reserved.len())),
        partitions: value_or(&file.partitions, default::PARTITIONS),
        history: history(&file.history),
        bulk_leasequery: file.bulk_leasequery.clone(),
        guard: Guard {
            percent: value_or(&file.expiry_guard_percent, default::EXPIRY_GUARD_PERCENT),
            downtime_seconds: value_or(
                &file.expiry_guard_downtime_seconds,
                default::EXPIRY_GUARD_DOWNTIME_SECONDS,
            ),
        },
        accept_clock: false,
        xdp_log: XdpLog::Off,
    };
    let [prefer_v4, prefer_v6] = &file.prefer;
    Ok(Checked {
        settings,
        warnings: report.finish(),
        networks_v4: networks_v4.into(),
        networks_v6: networks_v6.into(),
        classes_v4: classes_v4.finish(),
        classes_v6: classes_v6.finish(),
        pool_access,
        relays_v4,
        options_v4,
        options_v6,
        ranges,
        allocators,
        reserved,
        withheld,
        alarms,
        offer_lifetime_seconds: value_or(&file.offer_lifetime, default::OFFER_LIFETIME),
        decline_probation_seconds,
        decline_probation_seconds_max,
        preference_v4: value_or(prefer_v4, Preference::Former),
        preference_v6: value_or(prefer_v6, Preference::Requested),
        leasequery: file.leasequery.clone(),
        forcerenew_nonce: value_or(&file.forcerenew_nonce, true),
        release_without_server_id: value_or(&file.release_without_server_id, false),
        hosts_v4,
        hosts_v6,
        flexible_v4,
        flexible_v6,
    })
}

fn history(written: &super::file::History) -> HistorySettings {
    let default = HistorySettings::default();
    let octets = |mib: &Option<At<u64>>, default| mib.as_ref().map_or(default, |it| it.value << 20);
    HistorySettings {
        is_enabled: value_or(&written.enabled, default.is_enabled),
        is_required: value_or(&written.required, default.is_required),
        retention_days: value_or(&written.retention_days, default.retention_days),
        octets_max: octets(&written.size_max_mib, default.octets_max),
        segment_octets: octets(&written.segment_size_mib, default.segment_octets),
    }
}

fn value_or<T: Copy>(written: &Option<At<T>>, otherwise: T) -> T {
    written.as_ref().map_or(otherwise, |it| it.value)
}

/// Room for every lease, in slots: a long identifier or what relay agents say takes another one. (That clients spread unevenly over the partitions is the store's own business.)
/// IPv6 ranges are as large as nobody's clientele: of each only so much counts as clients may come.
fn default_capacity(ranges: &[PoolRange], reserved: usize) -> u64 {
    let counted = |range: &PoolRange| match range.first {
        Lease::V4(_) => range.count,
        Lease::Address(_) | Lease::Prefix(..) => range.count.min(default::IPV6_POOL_COUNTED),
    };
    let pools = ranges.iter().map(counted).fold(0, u64::saturating_add);
    let leases = pools.saturating_add(reserved as u64);
    leases
        .saturating_mul(default::SLOTS_PER_LEASE)
        .clamp(default::LEASE_CAPACITY_LEAST, default::LEASE_CAPACITY_MOST)
}

struct Checker<'r> {
    report: &'r mut Report,
    ranges: Vec<PoolRange>,
    /// Of each range.
    allocators: Vec<Allocator>,
    reserved: Vec<Lease>,
    /// Addresses in the pools that are for no client at all.
    withheld: Vec<Lease>,
    alarms: Alarms,
    excludes_first_last_24: bool,
    /// The options that the operator defines.
    definitions: Definitions,
    classes_v4: Book,
    classes_v6: Book,
    /// Who may use the pools, by their numbers.
    pool_access: Vec<Access>,
}

impl Checker<'_> {
    /// Reports what stands a second time, in words made from the place of the first.
    fn once<'f, K: Eq + Hash>(
        &mut self,
        seen: &mut HashMap<K, &'f Spot>,
        key: K,
        spot: &'f Spot,
        words: impl FnOnce(&str) -> String,
    ) {
        match seen.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(spot);
            }
            Entry::Occupied(first) => {
                let message = words(&self.report.name(first.get()));
                self.report.error(spot, message);
            }
        }
    }

    /// How long a declined lease is nobody's: the first time, and at most.
    fn quarantine(&mut self, file: &File) -> (u32, u32) {
        let first = value_or(&file.decline_probation_period, default::DECLINE_PROBATION);
        let longest = file.decline_probation_max.as_ref();
        if let Some(longest) = longest.filter(|longest| longest.value < first) {
            let message = format!(
                "{} is below `decline-probation-period`, {first}; raise it",
                longest.value
            );
            self.report.error(&longest.spot, message);
        }
        let longest = longest.map_or(default::DECLINE_PROBATION_MAX, |it| it.value);
        (first, longest.max(first))
    }

    fn interfaces(&mut self, file: &File) -> Vec<InterfaceSettings> {
        let mut seen: HashMap<&str, &Spot> = HashMap::new();
        if file.interfaces.is_empty() && !self.report.has_errors() {
            let message = "is empty; name at least one interface to serve";
            self.report.error(&file.interfaces_spot, message);
        }
        for interface in &file.interfaces {
            let name = &interface.name;
            self.once(&mut seen, &name.value, &name.spot, |first| {
                format!("{} is {first} too; keep one", name.value)
            });
        }
        let workers = value_or(&file.workers, 1);
        let settings = |interface: &super::file::Interface| InterfaceSettings {
            name: interface.name.value.clone(),
            workers_per_queue: value_or(&interface.workers_per_queue, workers),
            mode: value_or(&interface.xdp_mode, XdpMode::default()),
            copy: value_or(&interface.copy_mode, CopyMode::default()),
        };
        file.interfaces.iter().map(settings).collect()
    }
}

fn ipv4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

fn ipv6(address: IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(address),
    }
}
