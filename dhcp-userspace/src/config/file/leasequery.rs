//! `[leasequery]`: who may ask for others' leases.

use super::values::ipv4;
use crate::config::keys;
use crate::config::notation::{self, Family};
use crate::config::reader::{Table, Value};
use crate::config::report::{At, Report};
use crate::leasequery::BulkSettings;
use dhcp_core::leasequery::{Leasequery, Requestors};
use dhcp_wire::v4::SERVER_PORT;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

/// Enough for any relay agent that has lost everything, and too little to keep a worker from its clients.
const RATE_MAX: u32 = 2000;
/// Of bulk leasequery, as RFC 6926 section 6.3 has them.
const CONNECTIONS_MAX: u32 = 10;
/// One for a bulk query, one for what changes, and one that is not known yet to be dead.
const CONNECTIONS_PER_REQUESTOR: u32 = 3;
const TIMEOUT_SECONDS: u32 = 300;
/// What says where a client is and how long it may stay there; names of routers and hosts.
const OPTIONS: [u8; 11] = [1, 3, 12, 51, 58, 59, 60, 61, 82, 91, 92];

/// Reads the table.
pub(super) fn read(table: &Table<'_>, report: &mut Report) -> Option<Leasequery> {
    let rate_max = table.read("rate-max", report, |value| value.whole_u32(1, 1_000_000));
    let options = table.get("options").map(|value| {
        let codes = value.list(report).into_iter();
        let code = |value: &Value<'_>| Ok(value.whole(1, 254)? as u8); // 254 at most
        let mut codes: Vec<u8> = codes
            .filter_map(|element| element.read(report, code))
            .map(|At { value, .. }| value)
            .collect();
        codes.sort_unstable();
        codes.dedup();
        codes
    });
    let requestors = table.require("requestors", report)?;
    let spot = requestors.spot.clone();
    let requestors: Vec<_> = requestors
        .list(report)
        .into_iter()
        .filter_map(|element| element.read(report, network))
        .map(|at| at.value)
        .collect();
    if requestors.is_empty() && !report.has_errors() {
        let message = "is empty; name who may ask, or leave [leasequery] out";
        report.error(&spot, message);
    }
    Some(Leasequery {
        requestors,
        rate_max: rate_max.map_or(RATE_MAX, |at| at.value),
        options: options.unwrap_or_else(|| OPTIONS.to_vec()).into(),
    })
}

/// Reads the table for bulk leasequery, if it is there.
pub(super) fn read_bulk(table: &Table<'_>, report: &mut Report) -> Option<BulkSettings> {
    let bulk = table.get("bulk")?.table(&keys::LEASEQUERY_BULK, report)?;
    let address = bulk.read("address", report, ipv4);
    let port = bulk.read("port", report, |value| value.whole_u32(1, 65_535));
    let connections_max = bulk.read("connections-max", report, |value| value.whole_u32(1, 1000));
    let per_requestor = bulk.read("connections-per-requestor", report, |value| {
        value.whole_u32(1, 1000)
    });
    let timeout = bulk.read("timeout", report, |value| value.whole_u32(1, 86_400));
    // RFC 6926 section 6.3 [bulk-port]: 67 unless the operator says otherwise.
    let port = port.map_or(SERVER_PORT, |at| at.value as u16); // 65,535 at most
    let address = address.map_or(Ipv4Addr::UNSPECIFIED, |at| at.value);
    Some(BulkSettings {
        listen: SocketAddrV4::new(address, port),
        connections_max: connections_max.map_or(CONNECTIONS_MAX, |at| at.value),
        connections_per_requestor: per_requestor.map_or(CONNECTIONS_PER_REQUESTOR, |at| at.value),
        timeout_seconds: timeout.map_or(TIMEOUT_SECONDS, |at| at.value),
    })
}

/// An address, or a prefix without bits after its length.
fn network(value: &Value<'_>) -> Result<Requestors, String> {
    let text = value.text()?;
    let prefix = match text.contains('/') {
        true => notation::prefix(Family::V4, text)?,
        false => notation::Prefix {
            address: notation::address(Family::V4, text)?,
            len: 32,
        },
    };
    match prefix.address {
        IpAddr::V4(network) => Ok(Requestors {
            network,
            prefix_len: prefix.len,
        }),
        IpAddr::V6(_) => Err(format!("\"{text}\" is not IPv4")),
    }
}
