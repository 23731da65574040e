//! A subnet with its pools and reservations.

use super::values::{allocator, interface_name, percent, relays, text_or_octets};
use super::{ClassNames, Limit, OptionData, Parameters, Reservation};
use crate::config::keys;
use crate::config::notation::{self, Family, Prefix, Range};
use crate::config::reader::{Table, Value};
use crate::config::report::{At, Report, Spot};
use dhcp_lease::Allocator;
use std::net::IpAddr;
use toml::de::DeValue;

/// A subnet of either protocol.
#[derive(Debug)]
pub(in crate::config) struct Subnet {
    pub(in crate::config) family: Family,
    pub(in crate::config) spot: Spot,
    pub(in crate::config) id: Option<At<u32>>,
    /// Missing when it was wrong.
    pub(in crate::config) subnet: Option<At<Prefix>>,
    pub(in crate::config) pools: Vec<At<Range>>,
    /// How each of the pools is handed out, in the same order.
    pub(in crate::config) handing_out: Vec<HandingOut>,
    pub(in crate::config) pd_pools: Vec<At<PdPool>>,
    /// Options of those pools and pd-pools that have any.
    pub(in crate::config) pool_options: Vec<(Range, Vec<OptionData>)>,
    pub(in crate::config) interface: Option<At<String>>,
    pub(in crate::config) interface_id: Option<At<Vec<u8>>>,
    pub(in crate::config) relays: Vec<At<IpAddr>>,
    pub(in crate::config) class_names: ClassNames,
    /// The same of those pools and pd-pools that name any.
    pub(in crate::config) pool_class_names: Vec<(Range, ClassNames)>,
    /// Of itself.
    pub(in crate::config) limit: Limit,
    pub(in crate::config) parameters: Parameters,
    pub(in crate::config) reservations: Vec<Reservation>,
}

/// Prefixes to delegate.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) struct PdPool {
    pub(in crate::config) prefix: Prefix,
    pub(in crate::config) delegated_len: u8,
    pub(in crate::config) handing_out: HandingOut,
}

/// How a pool is handed out, where it says something of its own.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::config) struct HandingOut {
    pub(in crate::config) allocator: Option<Allocator>,
    pub(in crate::config) low_water_percent: Option<u32>,
}

impl HandingOut {
    fn read(table: &Table<'_>, name: &'static str, report: &mut Report) -> Self {
        let allocator = table.read(name, report, allocator);
        let low_water = table.read("low-water-percent", report, percent);
        Self {
            allocator: allocator.map(|it| it.value),
            low_water_percent: low_water.map(|it| it.value),
        }
    }
}

impl Subnet {
    pub(super) fn list(outer: &Table<'_>, family: Family, report: &mut Report) -> Vec<Self> {
        let tables = match family {
            Family::V4 => outer.tables("subnet4", &keys::SUBNET4, report),
            Family::V6 => outer.tables("subnet6", &keys::SUBNET6, report),
        };
        tables
            .iter()
            .map(|table| Self::read(table, family, report))
            .collect()
    }

    fn read(table: &Table<'_>, family: Family, report: &mut Report) -> Self {
        let subnet = table.require("subnet", report);
        let pools = table.list("pools", report);
        let (mut pd_pools, mut interface_id) = (Vec::new(), None);
        let (mut pool_options, mut pool_class_names) = (Vec::new(), Vec::new());
        if family == Family::V6 {
            let tables = table.tables("pd-pools", &keys::PD_POOL, report);
            for table in &tables {
                let options = OptionData::list(table, &[family], report);
                let class_names = ClassNames::read(table, report);
                if let Some(pool) = PdPool::read(table, report) {
                    pool_options.push((pool.value.prefix.range(), options));
                    pool_class_names.push((pool.value.prefix.range(), class_names));
                    pd_pools.push(pool);
                }
            }
            interface_id = table.read("interface-id", report, text_or_octets);
        }
        let (pools, handing_out) = pools
            .into_iter()
            .filter_map(|it| pool(it, family, &mut pool_options, &mut pool_class_names, report))
            .unzip();
        Self {
            family,
            spot: table.spot.clone(),
            id: table.read("id", report, |value| value.whole_u32(1, u32::MAX - 1)),
            subnet: subnet
                .and_then(|it| it.read(report, |value| notation::prefix(family, value.text()?))),
            pools,
            handing_out,
            pd_pools,
            pool_options,
            class_names: ClassNames::read(table, report),
            pool_class_names,
            interface: table.read("interface", report, interface_name),
            interface_id,
            relays: relays(table, &[family], report),
            limit: Limit::read(table, family, report),
            parameters: Parameters::of_table(Some(table), &[family], &[family], report),
            reservations: Reservation::list(table, family, report),
        }
    }
}

/// A pool is a text, or a table with a text in it as Kea has it.
fn pool(
    value: Value<'_>,
    family: Family,
    pool_options: &mut Vec<(Range, Vec<OptionData>)>,
    pool_class_names: &mut Vec<(Range, ClassNames)>,
    report: &mut Report,
) -> Option<(At<Range>, HandingOut)> {
    let mut handing_out = HandingOut::default();
    let (mut options, mut class_names) = (Vec::new(), ClassNames::default());
    let value = match value.value {
        DeValue::Table(_) => {
            let table = value.table(&keys::POOL, report)?;
            handing_out = HandingOut::read(&table, "allocator", report);
            options = OptionData::list(&table, &[family], report);
            class_names = ClassNames::read(&table, report);
            table.require("pool", report)?
        }
        _ => value,
    };
    let pool = value.read(report, |value| notation::range(family, value.text()?))?;
    pool_options.push((pool.value, options));
    pool_class_names.push((pool.value, class_names));
    Some((pool, handing_out))
}

impl PdPool {
    fn read(table: &Table<'_>, report: &mut Report) -> Option<At<Self>> {
        let handing_out = HandingOut::read(table, "pd-allocator", report);
        let len = table.get("prefix-len");
        let len = len.map(|it| it.read(report, |value| value.whole_u32(0, 128)));
        let delegated = table.require("delegated-len", report);
        let delegated = delegated.and_then(|it| it.read(report, |value| value.whole_u32(1, 128)));
        let prefix = table.require("prefix", report)?.read(report, |value| {
            let text = value.text()?;
            match (&len, text.contains('/')) {
                (None, false) => Err("has no length; write it as \"2001:db8::/40\"".to_owned()),
                (None, true) => notation::prefix(Family::V6, text).map(Some),
                (Some(None), _) => Ok(None), // the length is wrong, and reported
                (Some(Some(len)), true) => Err(format!(
                    "has a length of its own; leave `prefix-len` out (it says {})",
                    len.value
                )),
                (Some(Some(len)), false) => {
                    notation::prefix(Family::V6, &format!("{text}/{}", len.value)).map(Some)
                }
            }
        })?;
        let (prefix, delegated) = (prefix.value?, delegated?);
        if delegated.value < u32::from(prefix.len) {
            let message = format!(
                "{} is shorter than the pool's own length, {}; it must be {} to 128",
                delegated.value, prefix.len, prefix.len
            );
            report.error(&delegated.spot, message);
            return None;
        }
        let delegated_len = delegated.value as u8; // 128 at most
        Some(At {
            spot: table.spot.clone(),
            value: Self {
                prefix,
                delegated_len,
                handing_out,
            },
        })
    }
}
