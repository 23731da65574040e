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
        key(
            "tls",
            "table",
            "none",
            "Certificates for what goes by TCP, see `[leasequery.tls]`. Without it TCP is not encrypted.",
        ),
        key(
            "active",
            "table",
            "none",
            "Whether requestors are told by TCP of every change (RFC 7724), see `[leasequery.active]`. Without it they are not.",
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

/// Certificates.
pub(in crate::config) const LEASEQUERY_TLS: TableKeys = TableKeys {
    heading: "`[leasequery.tls]`",
    meaning: "Encryption of all that goes by TCP. With it every connection must begin with DHCPTLS (RFC 7724), bulk queries too, and both sides show certificates. The files are read for each connection, so that renewed ones count at once.",
    groups: &[&[
        key(
            "certificate",
            "path",
            "required",
            "The server's certificate, then those between it and its authority, in PEM.",
        ),
        key("key", "path", "required", "Its private key, in PEM."),
        key(
            "client-ca",
            "path",
            "required",
            "The authorities of whom a requestor must have its certificate, in PEM. Take one that is for requestors alone: whoever has a certificate of it, and an address among `requestors`, is answered.",
        ),
    ]],
};

/// What changes.
pub(in crate::config) const LEASEQUERY_ACTIVE: TableKeys = TableKeys {
    heading: "`[leasequery.active]`",
    meaning: "Active leasequery (RFC 7724): a requestor that has asked once is told of every lease that is granted, extended, given back, declined or ends. It goes by the port of `[leasequery.bulk]` and is fed by the lease history. What it says is in force from a start on.",
    groups: &[&[
        key(
            "insecure",
            "boolean",
            "false",
            "Whether it goes without TLS. It must be one of the two: `[leasequery.tls]`, or this.",
        ),
        key(
            "changes-max",
            "1024 to 100000000",
            "1000000",
            "How many changes are remembered for requestors that were away or are slow, at 8 octets each. Who has missed more is told so and asks for all leases (bulk).",
        ),
        key(
            "send-timeout",
            "seconds, 1 to 86400",
            "120",
            "For how long a requestor may read nothing before its connection is closed.",
        ),
        key(
            "idle-timeout",
            "seconds, 1 to 86400",
            "60",
            "How often a requestor is told that its connection is alive when there is nothing else to tell.",
        ),
    ]],
};
