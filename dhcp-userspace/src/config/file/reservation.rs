//! What is fixed for one client, as it is written.

use super::OptionData;
use super::classes::names;
use super::values::ipv4;
use crate::config::keys;
use crate::config::notation::{self, Family, Prefix};
use crate::config::reader::{Table, Value};
use crate::config::report::{At, Report, Spot};
use dhcp_core::flexible::{FLEXIBLE_OCTETS_MAX_V4, FLEXIBLE_OCTETS_MAX_V6};
use dhcp_core::reservation::ReservedBy;
use std::net::{IpAddr, Ipv4Addr};

/// What is fixed for one client.
#[derive(Debug)]
pub(in crate::config) struct Reservation {
    pub(in crate::config) spot: Spot,
    pub(in crate::config) family: Family,
    /// Missing when it was wrong.
    pub(in crate::config) identifier: Option<At<(ReservedBy, Vec<u8>)>>,
    pub(in crate::config) addresses: Vec<At<IpAddr>>,
    pub(in crate::config) prefixes: Vec<At<Prefix>>,
    pub(in crate::config) hostname: Option<At<String>>,
    pub(in crate::config) next_server: Option<At<Ipv4Addr>>,
    pub(in crate::config) server_hostname: Option<At<String>>,
    pub(in crate::config) boot_file_name: Option<At<String>>,
    pub(in crate::config) classes: Vec<At<String>>,
    pub(in crate::config) options: Vec<OptionData>,
}

/// An identifier that a reservation may have: its key, and how many octets it has at most.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) struct Identifier {
    pub(in crate::config) name: &'static str,
    pub(in crate::config) by: ReservedBy,
    octets_max: usize,
}

impl Identifier {
    const fn new(name: &'static str, by: ReservedBy, octets_max: usize) -> Self {
        Self {
            name,
            by,
            octets_max,
        }
    }

    /// Those of a protocol.
    pub(in crate::config) fn all(family: Family) -> &'static [Self] {
        const HARDWARE: Identifier = Identifier::new("hw-address", ReservedBy::HardwareAddress, 16);
        const DUID: Identifier = Identifier::new("duid", ReservedBy::Duid, 130);
        const V4: [Identifier; 7] = [
            HARDWARE,
            DUID,
            Identifier::new("circuit-id", ReservedBy::CircuitId, 255),
            Identifier::new("client-id", ReservedBy::ClientId, 255),
            Identifier::new("flex-id", ReservedBy::FlexId, FLEXIBLE_OCTETS_MAX_V4),
            Identifier::new("remote-id", ReservedBy::RemoteId, 255),
            Identifier::new("subscriber-id", ReservedBy::SubscriberId, 255),
        ];
        const V6: [Identifier; 3] = [
            HARDWARE,
            DUID,
            Identifier::new("flex-id", ReservedBy::FlexId, FLEXIBLE_OCTETS_MAX_V6),
        ];
        match family {
            Family::V4 => &V4,
            Family::V6 => &V6,
        }
    }
}

impl Reservation {
    /// Those of a table.
    pub(super) fn list(table: &Table<'_>, family: Family, report: &mut Report) -> Vec<Self> {
        let tables = match family {
            Family::V4 => table.tables("reservations", &keys::RESERVATION4, report),
            Family::V6 => table.tables("reservations", &keys::RESERVATION6, report),
        };
        tables
            .iter()
            .map(|it| Self::read(it, family, report))
            .collect()
    }

    /// One.
    pub(super) fn read(table: &Table<'_>, family: Family, report: &mut Report) -> Self {
        let mut this = Self {
            spot: table.spot.clone(),
            family,
            identifier: identifier(table, family, report),
            addresses: Vec::new(),
            prefixes: Vec::new(),
            hostname: None,
            next_server: None,
            server_hostname: None,
            boot_file_name: None,
            classes: table
                .get("client-classes")
                .map(|value| names(value, report))
                .unwrap_or_default(),
            options: OptionData::list(table, &[family], report),
        };
        match family {
            Family::V4 => this.read_v4(table, report),
            Family::V6 => this.read_v6(table, report),
        }
        this
    }

    fn read_v4(&mut self, table: &Table<'_>, report: &mut Report) {
        self.addresses
            .extend(table.read("ip-address", report, |value| {
                notation::address(Family::V4, value.text()?)
            }));
        self.hostname = table.read("hostname", report, |value| value.text_within(255));
        self.next_server = table.read("next-server", report, ipv4);
        self.server_hostname = table.read("server-hostname", report, |value| value.text_within(63));
        self.boot_file_name = table.read("boot-file-name", report, |value| value.text_within(127));
    }

    fn read_v6(&mut self, table: &Table<'_>, report: &mut Report) {
        let address = |value: &Value<'_>| notation::address(Family::V6, value.text()?);
        let written = table.list("ip-addresses", report).into_iter();
        self.addresses
            .extend(written.filter_map(|it| it.read(report, address)));
        let prefix = |value: &Value<'_>| notation::prefix(Family::V6, value.text()?);
        let written = table.list("prefixes", report).into_iter();
        self.prefixes
            .extend(written.filter_map(|it| it.read(report, prefix)));
    }

    /// Whether it fixes nothing.
    pub(in crate::config) fn is_empty(&self) -> bool {
        self.addresses.is_empty()
            && self.prefixes.is_empty()
            && self.options.is_empty()
            && self.hostname.is_none()
            && self.classes.is_empty()
            && self.next_server.is_none()
            && self.server_hostname.is_none()
            && self.boot_file_name.is_none()
    }
}

fn identifier(
    table: &Table<'_>,
    family: Family,
    report: &mut Report,
) -> Option<At<(ReservedBy, Vec<u8>)>> {
    let identifiers = Identifier::all(family);
    let written = |it: &Identifier| Some((table.get(it.name)?, *it));
    let mut all = identifiers.iter().filter_map(written);
    let names = || {
        let quoted = identifiers.iter().map(|it| format!("`{}`", it.name));
        quoted.collect::<Vec<_>>().join(", ")
    };
    let Some((value, identifier)) = all.next() else {
        let message = format!("names no client; add one of {}", names());
        report.error(&table.spot, message);
        return None;
    };
    if let Some((second, _)) = all.next() {
        let message = format!("is a second identifier; keep one of {}", names());
        report.error(&second.spot, message);
        return None;
    }
    value.read(report, |value| match notation::octets(value.text()?)? {
        octets if octets.is_empty() => Err("is empty".to_owned()),
        octets if octets.len() > identifier.octets_max => Err(format!(
            "has {} octets; at most {} are possible",
            octets.len(),
            identifier.octets_max
        )),
        octets => Ok((identifier.by, octets)),
    })
}
