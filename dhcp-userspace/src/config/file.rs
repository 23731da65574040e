//! What is written: the file as values with their places, before it is asked whether it makes sense.
//!
//! Every value that can be judged alone (an address, a number, the data of an option) is judged here;
//! what takes two values to judge is judged in `checked`. A value that is wrong is reported and then
//! missing, so that the rest can still be judged.

mod classes;
mod flexible;
mod hosts;
mod leasequery;
mod option_data;
mod option_def;
mod reservation;
mod subnet;
mod values;

pub(super) use classes::{ClassNames, ClientClass};
pub(super) use flexible::Flexible;
pub(super) use hosts::Hosts;
pub(super) use option_data::OptionData;
pub(super) use option_def::OptionDef;
pub(super) use reservation::Reservation;
pub(super) use subnet::{HandingOut, PdPool, Subnet};

use super::keys::{self, TableKeys};
use super::notation::{Family, Prefix};
use super::reader::{Table, Value};
use super::report::{At, Report, Spot};
use crate::leasequery::BulkSettings;
use crate::settings::{CopyMode, Durability, JournalPriority, XdpMode};
use dhcp_core::leasequery::Leasequery;
use dhcp_core::limits::LineKey;
use dhcp_core::subnet::{ClientKey, Preference};
use dhcp_lease::Allocator;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use toml::de::DeValue;
use values::{
    allocator, allowed_relays, client_key, interface_name, ipv4, line_key, path, percent,
    preference, relays, server_address, text_or_octets, vpn,
};

/// The whole file.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) interfaces: Vec<Interface>,
    pub(super) interfaces_spot: Spot,
    pub(super) state_dir: Option<At<PathBuf>>,
    pub(super) socket: Option<At<PathBuf>>,
    pub(super) durability: Option<At<Durability>>,
    pub(super) journal_priority: Option<At<JournalPriority>>,
    pub(super) workers: Option<At<u32>>,
    pub(super) lease_capacity: Option<At<u64>>,
    pub(super) partitions: Option<At<u32>>,
    pub(super) expiry_guard_percent: Option<At<u64>>,
    pub(super) expiry_guard_downtime_seconds: Option<At<u64>>,
    pub(super) offer_lifetime: Option<At<u32>>,
    pub(super) decline_probation_period: Option<At<u32>>,
    pub(super) decline_probation_max: Option<At<u32>>,
    /// DHCPv4, DHCPv6.
    pub(super) prefer: [Option<At<Preference>>; 2],
    pub(super) exclude_first_last_24: Option<At<bool>>,
    pub(super) release_without_server_id: Option<At<bool>>,
    pub(super) ignore_link_selection: Option<At<bool>>,
    pub(super) forcerenew_nonce: Option<At<bool>>,
    pub(super) allowed_relays: Option<Vec<At<Prefix>>>,
    pub(super) subnet_selection: Option<At<bool>>,
    pub(super) history: History,
    pub(super) leasequery: Option<Leasequery>,
    pub(super) bulk_leasequery: Option<BulkSettings>,
    pub(super) option_defs_v4: Vec<OptionDef>,
    pub(super) option_defs_v6: Vec<OptionDef>,
    pub(super) classes4: Vec<ClientClass>,
    pub(super) classes6: Vec<ClientClass>,
    pub(super) dhcp4: Parameters,
    pub(super) dhcp6: Parameters,
    pub(super) hosts4: Hosts,
    pub(super) hosts6: Hosts,
    pub(super) flexible4: Flexible,
    pub(super) flexible6: Flexible,
    /// Subnets that stand alone, DHCPv4 first.
    pub(super) subnets: Vec<Subnet>,
    pub(super) networks: Vec<SharedNetwork>,
}

/// The lease history.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) enabled: Option<At<bool>>,
    pub(super) required: Option<At<bool>>,
    pub(super) retention_days: Option<At<u32>>,
    pub(super) size_max_mib: Option<At<u64>>,
    pub(super) segment_size_mib: Option<At<u64>>,
}

impl History {
    fn read(table: &Table<'_>, report: &mut Report) -> Self {
        Self {
            enabled: table.read("enabled", report, Value::boolean),
            required: table.read("required", report, Value::boolean),
            retention_days: table.read("retention-days", report, |value| {
                value.whole_u32(1, super::checked::RETENTION_DAYS_MAX)
            }),
            size_max_mib: table.read("size-max-mib", report, |value| {
                value.whole(1, super::checked::HISTORY_MIB_MAX)
            }),
            segment_size_mib: table.read("segment-size-mib", report, |value| value.whole(1, 1024)),
        }
    }
}

/// An interface to serve.
#[derive(Debug)]
pub(super) struct Interface {
    pub(super) name: At<String>,
    pub(super) workers_per_queue: Option<At<u32>>,
    pub(super) xdp_mode: Option<At<XdpMode>>,
    pub(super) copy_mode: Option<At<CopyMode>>,
    pub(super) accept_relayed: Option<At<bool>>,
}

/// What inner levels inherit from outer ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Parameters {
    pub(super) valid_lifetime: Option<At<u32>>,
    pub(super) min_valid_lifetime: Option<At<u32>>,
    pub(super) max_valid_lifetime: Option<At<u32>>,
    pub(super) preferred_lifetime: Option<At<u32>>,
    pub(super) renew_timer: Option<At<u32>>,
    pub(super) rebind_timer: Option<At<u32>>,
    /// In millionths.
    pub(super) cache_threshold: Option<At<u32>>,
    pub(super) cache_max_age: Option<At<u32>>,
    pub(super) rapid_commit: Option<At<bool>>,
    pub(super) allocator: Option<At<Allocator>>,
    pub(super) pd_allocator: Option<At<Allocator>>,
    /// In millionths.
    pub(super) adaptive_threshold: Option<At<u32>>,
    pub(super) low_water_percent: Option<At<u32>>,
    pub(super) decline_alarm_percent: Option<At<u32>>,
    pub(super) authoritative: Option<At<bool>>,
    pub(super) match_client_id: Option<At<bool>>,
    pub(super) echo_client_id: Option<At<bool>>,
    pub(super) bootp: Option<At<bool>>,
    pub(super) bootp_lifetime: Option<At<u32>>,
    pub(super) preference: Option<At<u8>>,
    pub(super) next_server: Option<At<Ipv4Addr>>,
    pub(super) server_hostname: Option<At<String>>,
    pub(super) boot_file_name: Option<At<String>>,
    pub(super) server_identifier: Option<At<Ipv4Addr>>,
    pub(super) trust_option_82: Option<At<bool>>,
    /// Type and information (RFC 6607).
    pub(super) vpn: Option<At<Vec<u8>>>,
    pub(super) client_key: Option<At<ClientKey>>,
    pub(super) line_key: Option<At<LineKey>>,
    /// Of each line.
    pub(super) line_limit: Limit,
    pub(super) reservations_global: Option<At<bool>>,
    pub(super) reservations_in_subnet: Option<At<bool>>,
    pub(super) reservations_out_of_pool: Option<At<bool>>,
    pub(super) enable_ping_check: Option<At<bool>>,
    pub(super) min_ping_requests: Option<At<u32>>,
    pub(super) reply_timeout: Option<At<u32>>,
    pub(super) ping_cltt_secs: Option<At<u32>>,
    /// Of this level alone.
    pub(super) options: Vec<OptionData>,
}

/// How many leases something may hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Limit {
    pub(super) addresses: Option<At<u32>>,
    pub(super) prefixes: Option<At<u32>>,
}

impl Limit {
    /// Those of a subnet or class.
    fn read(table: &Table<'_>, family: Family, report: &mut Report) -> Self {
        let mut this = Self {
            addresses: table.read("address-limit", report, leases),
            prefixes: None,
        };
        if family == Family::V6 {
            this.prefixes = table.read("prefix-limit", report, leases);
        }
        this
    }
}

fn leases(value: &Value<'_>) -> Result<u32, String> {
    value.whole_u32(0, u32::MAX)
}

impl Parameters {
    /// These, where they say something; else the outer ones.
    pub(super) fn within(&self, outer: &Self) -> Self {
        fn either<T: Clone>(inner: &Option<T>, outer: &Option<T>) -> Option<T> {
            inner.as_ref().or(outer.as_ref()).cloned()
        }
        Self {
            valid_lifetime: either(&self.valid_lifetime, &outer.valid_lifetime),
            min_valid_lifetime: either(&self.min_valid_lifetime, &outer.min_valid_lifetime),
            max_valid_lifetime: either(&self.max_valid_lifetime, &outer.max_valid_lifetime),
            preferred_lifetime: either(&self.preferred_lifetime, &outer.preferred_lifetime),
            renew_timer: either(&self.renew_timer, &outer.renew_timer),
            rebind_timer: either(&self.rebind_timer, &outer.rebind_timer),
            cache_threshold: either(&self.cache_threshold, &outer.cache_threshold),
            cache_max_age: either(&self.cache_max_age, &outer.cache_max_age),
            rapid_commit: either(&self.rapid_commit, &outer.rapid_commit),
            allocator: either(&self.allocator, &outer.allocator),
            pd_allocator: either(&self.pd_allocator, &outer.pd_allocator),
            adaptive_threshold: either(&self.adaptive_threshold, &outer.adaptive_threshold),
            low_water_percent: either(&self.low_water_percent, &outer.low_water_percent),
            decline_alarm_percent: either(
                &self.decline_alarm_percent,
                &outer.decline_alarm_percent,
            ),
            authoritative: either(&self.authoritative, &outer.authoritative),
            match_client_id: either(&self.match_client_id, &outer.match_client_id),
            echo_client_id: either(&self.echo_client_id, &outer.echo_client_id),
            bootp: either(&self.bootp, &outer.bootp),
            bootp_lifetime: either(&self.bootp_lifetime, &outer.bootp_lifetime),
            preference: either(&self.preference, &outer.preference),
            next_server: either(&self.next_server, &outer.next_server),
            server_hostname: either(&self.server_hostname, &outer.server_hostname),
            boot_file_name: either(&self.boot_file_name, &outer.boot_file_name),
            server_identifier: either(&self.server_identifier, &outer.server_identifier),
            trust_option_82: either(&self.trust_option_82, &outer.trust_option_82),
            vpn: either(&self.vpn, &outer.vpn),
            client_key: either(&self.client_key, &outer.client_key),
            enable_ping_check: either(&self.enable_ping_check, &outer.enable_ping_check),
            min_ping_requests: either(&self.min_ping_requests, &outer.min_ping_requests),
            reply_timeout: either(&self.reply_timeout, &outer.reply_timeout),
            ping_cltt_secs: either(&self.ping_cltt_secs, &outer.ping_cltt_secs),
            line_key: either(&self.line_key, &outer.line_key),
            line_limit: Limit {
                addresses: either(&self.line_limit.addresses, &outer.line_limit.addresses),
                prefixes: either(&self.line_limit.prefixes, &outer.line_limit.prefixes),
            },
            reservations_global: either(&self.reservations_global, &outer.reservations_global),
            reservations_in_subnet: either(
                &self.reservations_in_subnet,
                &outer.reservations_in_subnet,
            ),
            reservations_out_of_pool: either(
                &self.reservations_out_of_pool,
                &outer.reservations_out_of_pool,
            ),
            options: self.options.clone(),
        }
    }

    /// `replace-client-id` is `client-key = "flex-id"` for all subnets that have no other.
    fn default_client_key(&mut self, flexible: &Flexible) {
        let replaces = flexible.replace_client_id.as_ref();
        if let (None, Some(replaces)) = (&self.client_key, replaces.filter(|it| it.value)) {
            self.client_key = Some(At {
                spot: replaces.spot.clone(),
                value: ClientKey::Flexible,
            });
        }
    }
}

/// Subnets on one link.
#[derive(Debug)]
pub(super) struct SharedNetwork {
    pub(super) spot: Spot,
    pub(super) name: Option<At<String>>,
    pub(super) interface: Option<At<String>>,
    pub(super) interface_id: Option<At<Vec<u8>>>,
    pub(super) relays: Vec<At<IpAddr>>,
    pub(super) class_names: ClassNames,
    pub(super) parameters: Parameters,
    pub(super) subnets: Vec<Subnet>,
}

impl File {
    /// Reads the whole document.
    pub(super) fn read(top: &Table<'_>, report: &mut Report) -> Self {
        let section = |name: &'static str, keys: &'static TableKeys, report: &mut Report| {
            top.get(name).and_then(|value| value.table(keys, report))
        };
        let dhcp4 = section("dhcp4", &keys::DHCP4, report);
        let dhcp6 = section("dhcp6", &keys::DHCP6, report);
        let compatibility = dhcp4
            .as_ref()
            .and_then(|table| table.get("compatibility"))
            .and_then(|value| value.table(&keys::COMPATIBILITY, report));
        let history = section("history", &keys::HISTORY, report)
            .map(|table| History::read(&table, report))
            .unwrap_or_default();
        let has_history = history.enabled.as_ref().is_none_or(|at| at.value);
        let leasequery = section("leasequery", &keys::LEASEQUERY, report);
        let interfaces = top.require("interfaces", report);
        let mut subnets = Subnet::list(top, Family::V4, report);
        subnets.extend(Subnet::list(top, Family::V6, report));
        let networks = top.tables("shared-networks", &keys::SHARED_NETWORK, report);
        let flexible4 = Flexible::read(dhcp4.as_ref(), Family::V4, report);
        let mut for_v4 = Parameters::of_table(dhcp4.as_ref(), &[Family::V4], &[Family::V4], report);
        for_v4.default_client_key(&flexible4);
        Self {
            interfaces_spot: interfaces
                .as_ref()
                .map(|it| it.spot.clone())
                .unwrap_or_default(),
            interfaces: interfaces
                .map(|it| Interface::list(it, report))
                .unwrap_or_default(),
            state_dir: top.read("state-dir", report, path),
            socket: top.read("socket", report, path),
            durability: top.read("durability", report, |value| {
                value.word(&[
                    ("power", Durability::Power),
                    ("process", Durability::Process),
                ])
            }),
            journal_priority: top.read("journal-priority", report, |value| {
                value.word(&[
                    ("realtime", JournalPriority::Realtime),
                    ("normal", JournalPriority::Normal),
                ])
            }),
            workers: top.read("workers", report, |value| value.whole_u32(1, 64)),
            lease_capacity: top.read("lease-capacity", report, |value| {
                value.whole(1024, super::checked::LEASE_CAPACITY_MAX)
            }),
            partitions: top.read("partitions", report, |value| value.whole_u32(1, 256)),
            expiry_guard_percent: top
                .read("expiry-guard-percent", report, |value| value.whole(0, 100)),
            expiry_guard_downtime_seconds: top.read(
                "expiry-guard-downtime-seconds",
                report,
                |value| value.whole(0, u64::from(u32::MAX)),
            ),
            offer_lifetime: top.read("offer-lifetime", report, |value| value.whole_u32(1, 3600)),
            decline_probation_period: top.read("decline-probation-period", report, |value| {
                value.whole_u32(1, 31_536_000)
            }),
            decline_probation_max: top.read("decline-probation-max", report, |value| {
                value.whole_u32(1, 31_536_000)
            }),
            prefer: [&dhcp4, &dhcp6].map(|table| {
                let table = table.as_ref();
                table.and_then(|table| table.read("prefer", report, preference))
            }),
            exclude_first_last_24: compatibility
                .as_ref()
                .and_then(|table| table.read("exclude-first-last-24", report, Value::boolean)),
            release_without_server_id: compatibility
                .as_ref()
                .and_then(|table| table.read("release-without-server-id", report, Value::boolean)),
            ignore_link_selection: compatibility
                .as_ref()
                .and_then(|table| table.read("ignore-rai-link-selection", report, Value::boolean)),
            forcerenew_nonce: dhcp4
                .as_ref()
                .and_then(|table| table.read("forcerenew-nonce", report, Value::boolean)),
            allowed_relays: dhcp4
                .as_ref()
                .and_then(|table| allowed_relays(table, report)),
            subnet_selection: dhcp4
                .as_ref()
                .and_then(|table| table.read("subnet-selection", report, Value::boolean)),
            bulk_leasequery: leasequery
                .as_ref()
                .and_then(|table| leasequery::read_bulk(table, has_history, report)),
            history,
            leasequery: leasequery.and_then(|table| leasequery::read(&table, report)),
            option_defs_v4: option_defs(dhcp4.as_ref(), report),
            option_defs_v6: option_defs(dhcp6.as_ref(), report),
            classes4: ClientClass::list(dhcp4.as_ref(), Family::V4, report),
            classes6: ClientClass::list(dhcp6.as_ref(), Family::V6, report),
            dhcp4: for_v4,
            dhcp6: Parameters::of_table(dhcp6.as_ref(), &[Family::V6], &[Family::V6], report),
            hosts4: Hosts::read(dhcp4.as_ref(), Family::V4, report),
            hosts6: Hosts::read(dhcp6.as_ref(), Family::V6, report),
            flexible4,
            flexible6: Flexible::read(dhcp6.as_ref(), Family::V6, report),
            subnets,
            networks: networks
                .iter()
                .map(|table| SharedNetwork::read(table, report))
                .collect(),
        }
    }
}

fn option_defs(table: Option<&Table<'_>>, report: &mut Report) -> Vec<OptionDef> {
    let list = table.map(|table| OptionDef::list(table, report));
    list.unwrap_or_default()
}

/// The state directory and the control socket of a file, for commands that need nothing else of it.
pub(super) fn paths(top: &Table<'_>, report: &mut Report) -> (Option<PathBuf>, Option<PathBuf>) {
    let state_dir = top.read("state-dir", report, path);
    let socket = top.read("socket", report, path);
    (state_dir.map(|it| it.value), socket.map(|it| it.value))
}

impl Interface {
    fn list(value: Value<'_>, report: &mut Report) -> Vec<Self> {
        let elements = value.list(report);
        elements
            .into_iter()
            .filter_map(|element| Self::read(element, report))
            .collect()
    }

    fn read(element: Value<'_>, report: &mut Report) -> Option<Self> {
        if let DeValue::String(_) = element.value {
            let name = element.read(report, interface_name)?;
            let (workers_per_queue, xdp_mode, copy_mode) = (None, None, None);
            return Some(Self {
                name,
                workers_per_queue,
                xdp_mode,
                copy_mode,
                accept_relayed: None,
            });
        }
        let table = element.table(&keys::INTERFACE, report)?;
        let workers_per_queue =
            table.read("workers-per-queue", report, |value| value.whole_u32(1, 64));
        let xdp_mode = table.read("xdp-mode", report, |value| {
            value.word(&[
                ("auto", XdpMode::Auto),
                ("native", XdpMode::Native),
                ("generic", XdpMode::Generic),
            ])
        });
        let copy_mode = table.read("copy-mode", report, |value| {
            value.word(&[
                ("auto", CopyMode::Auto),
                ("zero-copy", CopyMode::ZeroCopy),
                ("copy", CopyMode::Copy),
            ])
        });
        let accept_relayed = table.read("accept-relayed", report, Value::boolean);
        let name = table
            .require("name", report)?
            .read(report, interface_name)?;
        Some(Self {
            name,
            workers_per_queue,
            xdp_mode,
            copy_mode,
            accept_relayed,
        })
    }
}

impl Parameters {
    /// Parameters of `families` and options of the protocols `spaces`.
    fn of_table(
        table: Option<&Table<'_>>,
        families: &[Family],
        spaces: &[Family],
        report: &mut Report,
    ) -> Self {
        let Some(table) = table else {
            return Self::default();
        };
        let (v4, v6) = (
            families.contains(&Family::V4),
            families.contains(&Family::V6),
        );
        let lifetime = |value: &Value<'_>| value.whole_u32(1, u32::MAX);
        let timer = |value: &Value<'_>| value.whole_u32(1, u32::MAX - 1);
        let mut this = Self {
            valid_lifetime: table.read("valid-lifetime", report, lifetime),
            renew_timer: table.read("renew-timer", report, timer),
            rebind_timer: table.read("rebind-timer", report, timer),
            cache_threshold: table.read("cache-threshold", report, Value::millionths),
            cache_max_age: table.read("cache-max-age", report, |value| {
                value.whole_u32(0, u32::MAX)
            }),
            rapid_commit: table.read("rapid-commit", report, Value::boolean),
            allocator: table.read("allocator", report, allocator),
            adaptive_threshold: table.read(
                "adaptive-lease-time-threshold",
                report,
                Value::millionths,
            ),
            low_water_percent: table.read("low-water-percent", report, percent),
            decline_alarm_percent: table.read("decline-alarm-percent", report, percent),
            min_valid_lifetime: table.read("min-valid-lifetime", report, lifetime),
            line_key: table.read("line-key", report, |value| line_key(value, families)),
            line_limit: Limit {
                addresses: table.read("line-address-limit", report, leases),
                prefixes: None,
            },
            reservations_global: table.read("reservations-global", report, Value::boolean),
            reservations_in_subnet: table.read("reservations-in-subnet", report, Value::boolean),
            reservations_out_of_pool: table.read(
                "reservations-out-of-pool",
                report,
                Value::boolean,
            ),
            options: OptionData::list(table, spaces, report),
            ..Self::default()
        };
        if v4 {
            this.max_valid_lifetime = table.read("max-valid-lifetime", report, lifetime);
            this.authoritative = table.read("authoritative", report, Value::boolean);
            this.match_client_id = table.read("match-client-id", report, Value::boolean);
            this.echo_client_id = table.read("echo-client-id", report, Value::boolean);
            this.bootp = table.read("bootp", report, Value::boolean);
            this.bootp_lifetime = table.read("bootp-lifetime", report, lifetime);
            this.next_server = table.read("next-server", report, ipv4);
            this.server_hostname =
                table.read("server-hostname", report, |value| value.text_within(63));
            this.boot_file_name =
                table.read("boot-file-name", report, |value| value.text_within(127));
            this.server_identifier = table.read("server-identifier", report, server_address);
            this.trust_option_82 = table.read("trust-option-82", report, Value::boolean);
            this.vpn = table.read("vpn", report, vpn);
            this.client_key = table.read("client-key", report, client_key);
            this.enable_ping_check = table.read("enable-ping-check", report, Value::boolean);
            this.min_ping_requests =
                table.read("min-ping-requests", report, |value| value.whole_u32(1, 10));
            this.reply_timeout =
                table.read("reply-timeout", report, |value| value.whole_u32(1, 10_000));
            this.ping_cltt_secs = table.read("ping-cltt-secs", report, |value| {
                value.whole_u32(0, u32::MAX)
            });
        }
        if v6 {
            this.line_limit.prefixes = table.read("line-prefix-limit", report, leases);
            this.pd_allocator = table.read("pd-allocator", report, allocator);
            this.preferred_lifetime = table.read("preferred-lifetime", report, lifetime);
            this.preference = table.read("preference", report, |value| {
                Ok(value.whole(0, 255)? as u8) // 255 at most
            });
        }
        this
    }
}

impl SharedNetwork {
    fn read(table: &Table<'_>, report: &mut Report) -> Self {
        let mut subnets = Subnet::list(table, Family::V4, report);
        subnets.extend(Subnet::list(table, Family::V6, report));
        let mut families: Vec<_> = subnets.iter().map(|subnet| subnet.family).collect();
        families.dedup();
        if families.is_empty() {
            families = vec![Family::V4, Family::V6];
        }
        let name = table.require("name", report);
        // Timers of the other protocol hurt nobody here: all are read, whatever the subnets.
        let both = [Family::V4, Family::V6];
        Self {
            spot: table.spot.clone(),
            name: name.and_then(|it| it.read(report, |value| value.text_within(128))),
            interface: table.read("interface", report, interface_name),
            interface_id: table.read("interface-id", report, text_or_octets),
            relays: relays(table, &both, report),
            class_names: ClassNames::read(table, report),
            parameters: Parameters::of_table(Some(table), &both, &families, report),
            subnets,
        }
    }
}
