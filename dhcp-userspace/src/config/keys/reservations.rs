//! What is fixed for one client: in the configuration, and in a file of its own.

use super::classes::RESERVED_CLASSES;
use super::{Key, TableKeys, key};

/// A DHCPv4 reservation.
pub(in crate::config) const RESERVATION4: TableKeys = TableKeys {
    heading: "`reservations` (DHCPv4)",
    meaning: "What is fixed for one client of the subnet, found by exactly one identifier. Octets are written as `\"02:00:5e\"`, `\"02005e\"` or, as text, `\"'port 7'\"`. What relay agents tell is remembered for renewals, which go past them.",
    groups: &[IDENTIFIERS, RESERVED_V4],
};

/// A DHCPv6 reservation.
pub(in crate::config) const RESERVATION6: TableKeys = TableKeys {
    heading: "`reservations` (DHCPv6)",
    meaning: "What is fixed for one client of the subnet.",
    groups: &[IDENTIFIERS, RESERVED_V6],
};

/// A line of the file of DHCPv4 reservations.
pub(in crate::config) const RESERVATION_LINE4: TableKeys = TableKeys {
    heading: "`reservations-file` (DHCPv4)",
    meaning: "One JSON object in each line, as `{\"subnet-id\": 1, \"hw-address\": \"02:00:5e:00:53:01\", \"ip-address\": \"192.0.2.5\"}`; empty lines and lines that begin with `#` or `//` are left out. The keys are those of `reservations` and Kea's, so the hosts of Kea's answer to `reservation-get-all` can be written into it line by line; empty texts and lists count as left out. Every mistake is reported with its line and column, and one mistake keeps the whole new configuration from being used.",
    groups: &[RESERVATION_LINE, IDENTIFIERS, RESERVED_V4],
};

/// A line of the file of DHCPv6 reservations.
pub(in crate::config) const RESERVATION_LINE6: TableKeys = TableKeys {
    heading: "`reservations-file` (DHCPv6)",
    meaning: "The same for DHCPv6.",
    groups: &[RESERVATION_LINE, IDENTIFIERS, RESERVED_V6],
};

const IDENTIFIERS: &[Key] = &[
    key(
        "hw-address",
        "octets",
        "one identifier is required",
        "The client by its hardware address, as `\"02:00:5e:00:53:01\"`.",
    ),
    key(
        "duid",
        "octets",
        "",
        "The client by its DUID, as `\"00:03:00:01:02:00:5e:00:53:01\"`.",
    ),
    key(
        "flex-id",
        "octets",
        "",
        "The client by what `identifier-expression` makes of its messages.",
    ),
];

const RESERVED_V4: &[Key] = &[
    key(
        "client-id",
        "octets",
        "",
        "The client by its client identifier (option 61).",
    ),
    key(
        "circuit-id",
        "octets",
        "",
        "The client by the port that its relay agent names (option 82, sub-option 1), whatever device is there.",
    ),
    key(
        "remote-id",
        "octets",
        "",
        "The client by the line that its relay agent names (option 82, sub-option 2).",
    ),
    key(
        "subscriber-id",
        "octets",
        "",
        "The client by the subscriber that its relay agent names (option 82, sub-option 6).",
    ),
    key(
        "ip-address",
        "IPv4 address",
        "none",
        "Its address, inside the subnet; in a pool or not.",
    ),
    key(
        "hostname",
        "text, at most 255 octets",
        "none",
        "Its name (option 12).",
    ),
    key(
        "next-server",
        "IPv4 address",
        "the subnet's",
        "`siaddr` for it alone.",
    ),
    key(
        "server-hostname",
        "text, at most 63 octets",
        "the subnet's",
        "`sname` for it alone.",
    ),
    key(
        "boot-file-name",
        "text, at most 127 octets",
        "the subnet's",
        "`file` for it alone.",
    ),
    RESERVED_CLASSES,
    RESERVED_OPTIONS,
];

const RESERVED_V6: &[Key] = &[
    key(
        "ip-addresses",
        "list of IPv6 addresses",
        "none",
        "Its addresses, inside the subnet; in a pool or not.",
    ),
    key(
        "prefixes",
        "list of IPv6 prefixes",
        "none",
        "The prefixes delegated to it; in a pd-pool (then of its delegated length) or not.",
    ),
    RESERVED_CLASSES,
    RESERVED_OPTIONS,
];

const RESERVED_OPTIONS: Key = key(
    "option-data",
    "list of tables",
    "none",
    "Options for it alone.",
);

const RESERVATION_LINE: &[Key] = &[
    key(
        "subnet-id",
        "0 to 4294967294",
        "the subnet in which the address lies",
        "The `id` of its subnet; 0: of none, see `reservations-global`.",
    ),
    key(
        "user-context",
        "anything",
        "none",
        "For other programs; not looked at.",
    ),
];
