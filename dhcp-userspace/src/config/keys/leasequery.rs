//! Who may ask whose leases are whose.

use super::{TableKeys, key};

/// Who may ask for others' leases.
pub(in crate::config) const LEASEQUERY: TableKeys = TableKeys {
    heading: "`[leasequery]`",
    meaning: "Answers to relay agents and other systems that ask whose leases are whose, for DHCPv4 (RFC 4388, RFC 6148). Off unless this table is there. It tells who is where: see docs/leasequery.md.",
    groups: &[&[
        key(
            "requestors",
            "list of IPv4 addresses and prefixes",
            "required",
            "Who may ask. Both the sender of a query and its `giaddr`, where the answer goes, must be among them; anybody else is refused and counted (`leasequery_refused`).",
        ),
        key(
            "rate-max",
            "queries per second, 1 to 1000000",
            "2000",
            "How many queries each worker answers in a second; what is more is dropped and counted (`leasequery_rate`), and asked again by the requestor.",
        ),
        key(
            "options",
            "list of option codes, 1 to 254",
            "1, 3, 12, 51, 58, 59, 60, 61, 82, 91, 92",
            "Which options are told to a requestor that asks for them (the non-sensitive options of RFC 4388). Addresses and hardware addresses are told in any case.",
        ),
        key(
            "bulk",
            "table",
            "none",
            "Whether requestors may ask for many leases at once by TCP (RFC 6926), see `[leasequery.bulk]`. Without it they may not.",
        ),
    ]],
};

/// Many leases at once.
pub(in crate::config) const LEASEQUERY_BULK: TableKeys = TableKeys {
    heading: "`[leasequery.bulk]`",
    meaning: "Bulk leasequery by TCP (RFC 6926), for the same requestors. `[leasequery.bulk]` alone switches it on; what it says is in force from a start on. It is not encrypted: see docs/leasequery.md.",
    groups: &[&[
        key(
            "address",
            "IPv4 address",
            "`0.0.0.0`",
            "The address of this machine at which connections are accepted.",
        ),
        key("port", "1 to 65535", "67", "The TCP port."),
        key(
            "connections-max",
            "1 to 1000",
            "10",
            "How many connections there may be at one time; more are closed at once.",
        ),
        key(
            "connections-per-requestor",
            "1 to 1000",
            "3",
            "How many of them may come from one address.",
        ),
        key(
            "timeout",
            "seconds, 1 to 86400",
            "300",
            "For how long a connection may make no progress before it is closed: without a query, or without reading its answer.",
        ),
    ]],
};
