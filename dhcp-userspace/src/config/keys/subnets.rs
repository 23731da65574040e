//! Links: subnets, shared networks and the relay agents that they are behind.

use super::classes::CLASS_NAMES;
use super::inherited::{
    ALLOCATION, BOOTSTRAP_V4, LIFETIMES, LIFETIMES_V4, LIFETIMES_V6, PD_ALLOCATOR, PROBE_V4,
    RESERVATION_MODES, RULES_V4,
};
use super::limits;
use super::{Key, TableKeys, key};

/// A DHCPv4 subnet.
pub(in crate::config) const SUBNET4: TableKeys = TableKeys {
    heading: "`[[subnet4]]`",
    meaning: "A DHCPv4 subnet, alone on its link. Subnets that share a link stand in a shared network, as `[[shared-networks.subnet4]]`.",
    groups: &[
        &[
            key(
                "subnet",
                "IPv4 prefix",
                "required",
                "The subnet. No two of them overlap.",
            ),
            SUBNET_ID,
            key(
                "pools",
                "list of texts or tables",
                "none",
                "What clients get addresses from: `\"FIRST-LAST\"`, a prefix, or a table, see `pools`.",
            ),
        ],
        LINK,
        CLASS_NAMES,
        LIFETIMES,
        ALLOCATION,
        LIFETIMES_V4,
        BOOTSTRAP_V4,
        RULES_V4,
        PROBE_V4,
        limits::LINE,
        &[limits::SUBNET],
        RESERVATION_MODES,
        &[key(
            "reservations",
            "list of tables",
            "none",
            "What is fixed for one client, see `reservations` (DHCPv4).",
        )],
    ],
};

/// A DHCPv6 subnet.
pub(in crate::config) const SUBNET6: TableKeys = TableKeys {
    heading: "`[[subnet6]]`",
    meaning: "A DHCPv6 subnet, alone on its link. Subnets that share a link stand in a shared network, as `[[shared-networks.subnet6]]`.",
    groups: &[
        &[
            key(
                "subnet",
                "IPv6 prefix",
                "required",
                "The subnet. No two of them overlap.",
            ),
            SUBNET_ID,
            key(
                "pools",
                "list of texts or tables",
                "none",
                "What clients get addresses from: `\"FIRST-LAST\"`, a prefix, or a table, see `pools`. The first address of the subnet belongs to its routers and is left out (RFC 4291 section 2.6.1).",
            ),
            key(
                "pd-pools",
                "list of tables",
                "none",
                "What prefixes are delegated from, see `pd-pools`.",
            ),
        ],
        LINK,
        CLASS_NAMES,
        &[INTERFACE_ID],
        LIFETIMES,
        ALLOCATION,
        &[PD_ALLOCATOR],
        LIFETIMES_V6,
        limits::LINE,
        limits::LINE_V6,
        &[limits::SUBNET, limits::SUBNET_V6],
        RESERVATION_MODES,
        &[key(
            "reservations",
            "list of tables",
            "none",
            "What is fixed for one client, see `reservations` (DHCPv6).",
        )],
    ],
};

/// A link with several subnets.
pub(in crate::config) const SHARED_NETWORK: TableKeys = TableKeys {
    heading: "`[[shared-networks]]`",
    meaning: "A link with several subnets: a client gets its lease from any of them. Its parameters hold for all its subnets that do not say otherwise.",
    groups: &[
        &[key(
            "name",
            "text",
            "required",
            "Its name, once in the file.",
        )],
        LINK,
        CLASS_NAMES,
        &[INTERFACE_ID],
        LIFETIMES,
        ALLOCATION,
        &[PD_ALLOCATOR],
        LIFETIMES_V4,
        LIFETIMES_V6,
        BOOTSTRAP_V4,
        RULES_V4,
        PROBE_V4,
        limits::LINE,
        limits::LINE_V6,
        RESERVATION_MODES,
        &[
            key(
                "subnet4",
                "list of tables",
                "none",
                "Its DHCPv4 subnets, see `[[subnet4]]`.",
            ),
            key(
                "subnet6",
                "list of tables",
                "none",
                "Its DHCPv6 subnets, see `[[subnet6]]`.",
            ),
        ],
    ],
};

/// Relay agents.
pub(in crate::config) const RELAY: TableKeys = TableKeys {
    heading: "`relay`",
    meaning: "The relay agents that a subnet or shared network is behind: `relay = { ip-addresses = [\"10.0.0.1\"] }`.",
    groups: &[&[key(
        "ip-addresses",
        "list of addresses",
        "required",
        "`giaddr` or link selection in DHCPv4, `link-address` in DHCPv6. In a shared network with subnets of both protocols the two may be mixed.",
    )]],
};

const LINK: &[Key] = &[
    key(
        "interface",
        "interface name",
        "the interface with an address in the subnet",
        "The interface whose clients on the link (without relay agent) it serves. It must be among `interfaces`.",
    ),
    key(
        "relay",
        "table",
        "none",
        "Relay agents that it is behind, besides those whose address lies in it, see `relay`.",
    ),
];

const SUBNET_ID: Key = key(
    "id",
    "1 to 4294967294",
    "its number in the order of the file, from 1",
    "Its number in leases, statistics and logs; once for each protocol. Without it, a subnet that is put in above others renumbers them and their leases.",
);

const INTERFACE_ID: Key = key(
    "interface-id",
    "text, or octets as `\"0x0102\"`",
    "none",
    "Serve clients behind the relay agent that sends this Interface-Id (option 18).",
);
