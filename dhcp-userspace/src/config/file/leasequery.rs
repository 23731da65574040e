//! `[leasequery]`: who may ask for others' leases.

use super::values::{ipv4, path};
use crate::config::keys;
use crate::config::notation::{self, Family};
use crate::config::reader::{Table, Value};
use crate::config::report::{At, Report};
use crate::leasequery::{ActiveSettings, BulkSettings, TlsFiles};
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
/// Of active leasequery, as RFC 7724 section 5.3 has them.
const SEND_TIMEOUT_SECONDS: u32 = 120;
const IDLE_TIMEOUT_SECONDS: u32 = 60;
/// Of a million clients with leases of four hours, what half an hour of renewals changes.
const CHANGES_MAX: u32 = 1_000_000;
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

/// Reads what goes by TCP, if it is there. Changes are told from the history, so there must be one.
pub(super) fn read_bulk(
    table: &Table<'_>,
    has_history: bool,
    report: &mut Report,
) -> Option<BulkSettings> {
    let mut of = |name, keys| table.get(name).and_then(|value| value.table(keys, report));
    let bulk = of("bulk", &keys::LEASEQUERY_BULK);
    let tls = of("tls", &keys::LEASEQUERY_TLS);
    let active = of("active", &keys::LEASEQUERY_ACTIVE);
    // RFC 7724 section 8 [active-with-bulk]: there is no active leasequery without the other.
    if bulk.is_none() {
        for other in [&tls, &active].into_iter().flatten() {
            let message = "is of no use without a port; add [leasequery.bulk], or leave it out";
            report.error(&other.spot, message);
        }
    }
    let settings = Bulk {
        tls: tls.as_ref().and_then(|tls| read_tls(tls, report)),
        active: active.as_ref().map(|active| {
            if !has_history {
                let message = "is fed by the lease history; set `history.enabled`, or leave it out";
                report.error(&active.spot, message);
            }
            read_active(active, tls.is_some(), report)
        }),
    };
    Some(settings.with_port(&bulk?, report))
}

/// What there is beside the port.
struct Bulk {
    tls: Option<TlsFiles>,
    active: Option<ActiveSettings>,
}

impl Bulk {
    fn with_port(self, bulk: &Table<'_>, report: &mut Report) -> BulkSettings {
        let address = bulk.read("address", report, ipv4);
        let port = bulk.read("port", report, |value| value.whole_u32(1, 65_535));
        let connections_max =
            bulk.read("connections-max", report, |value| value.whole_u32(1, 1000));
        let per_requestor = bulk.read("connections-per-requestor", report, |value| {
            value.whole_u32(1, 1000)
        });
        let timeout = bulk.read("timeout", report, |value| value.whole_u32(1, 86_400));
        // RFC 6926 section 6.3 [bulk-port]: 67 unless the operator says otherwise.
        let port = port.map_or(SERVER_PORT, |at| at.value as u16); // 65,535 at most
        let address = address.map_or(Ipv4Addr::UNSPECIFIED, |at| at.value);
        BulkSettings {
            listen: SocketAddrV4::new(address, port),
            connections_max: connections_max.map_or(CONNECTIONS_MAX, |at| at.value),
            connections_per_requestor: per_requestor
                .map_or(CONNECTIONS_PER_REQUESTOR, |at| at.value),
            timeout_seconds: timeout.map_or(TIMEOUT_SECONDS, |at| at.value),
            tls: self.tls,
            active: self.active,
        }
    }
}

fn read_tls(table: &Table<'_>, report: &mut Report) -> Option<TlsFiles> {
    let mut file = |name| {
        let value = table.require(name, report)?;
        value.read(report, path).map(|at| at.value)
    };
    let (certificate, key, client_ca) = (file("certificate"), file("key"), file("client-ca"));
    Some(TlsFiles {
        certificate: certificate?,
        key: key?,
        client_ca: client_ca?,
    })
}

// RFC 7724 section 8.1 [active-insecure-off]: it takes a word of its own to do without TLS.
fn read_active(table: &Table<'_>, has_tls: bool, report: &mut Report) -> ActiveSettings {
    let insecure = table.read("insecure", report, Value::boolean);
    match insecure {
        Some(At { value: true, spot }) if has_tls => {
            let message = "there is [leasequery.tls]; leave out one of them";
            report.error(&spot, message);
        }
        Some(At { value: true, .. }) => {}
        Some(_) | None if has_tls => {}
        Some(_) | None => {
            let message = "is not encrypted; add [leasequery.tls], or `insecure = true` within a network of yours";
            report.error(&table.spot, message);
        }
    }
    let changes = table.read("changes-max", report, |value| {
        value.whole_u32(1024, 100_000_000)
    });
    let mut seconds = |name, default| {
        let read = table.read(name, report, |value| value.whole_u32(1, 86_400));
        read.map_or(default, |at| at.value)
    };
    ActiveSettings {
        send_timeout_seconds: seconds("send-timeout", SEND_TIMEOUT_SECONDS),
        idle_timeout_seconds: seconds("idle-timeout", IDLE_TIMEOUT_SECONDS),
        changes_max: changes.map_or(CHANGES_MAX, |at| at.value),
    }
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
