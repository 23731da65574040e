//! The keys of `[dhcp4]` and `[dhcp6]`: what holds for all subnets.

use super::classes::{CLASSES_V4, CLASSES_V6};
use super::inherited::{
    ALLOCATION, BOOTSTRAP_V4, LIFETIMES, LIFETIMES_V4, LIFETIMES_V6, PD_ALLOCATOR, PROBE_V4,
    RESERVATION_MODES, RULES_V4,
};
use super::limits;
use super::options::DEFINITIONS;
use super::{Key, TableKeys, key};

/// Parameters of all DHCPv4 subnets.
pub(in crate::config) const DHCP4: TableKeys = TableKeys {
    heading: "`[dhcp4]`",
    meaning: "Parameters of all DHCPv4 subnets. A shared network, a subnet and a reservation each override what stands outside of them.",
    groups: &[
        LIFETIMES,
        ALLOCATION,
        LIFETIMES_V4,
        BOOTSTRAP_V4,
        RULES_V4,
        PROBE_V4,
        limits::LINE,
        &[DEFINITIONS],
        &[CLASSES_V4],
        &[
            key(
                "prefer",
                PREFERENCES,
                "`\"former\"`",
                "Which address a client without a lease gets if it had one before and asks for another, and both are free: the `former` (RFC 2131 section 4.3.1) or the `requested` one. A reservation and a live lease go before both, a new address comes after both.",
            ),
            key(
                "compatibility",
                "table",
                "none",
                "Kea's switches for old habits, see `compatibility`.",
            ),
            key(
                "forcerenew-nonce",
                "boolean",
                "true",
                "Whether a client that says it can (option 145) gets a nonce with its lease, by which it knows a FORCERENEW of `xdhcpd ctl reconfigure` (RFC 6704). Without it no client can be told to renew.",
            ),
            key(
                "allowed-relays",
                "list of IPv4 addresses and prefixes",
                "all",
                "Relay agents that may speak to us, by `giaddr`, besides those that a subnet or shared network lists in `relay`. Messages of others are dropped and counted (`unknown_relay`); `[]` allows the listed ones alone.",
            ),
            key(
                "subnet-selection",
                "boolean",
                "false",
                "Whether clients may say themselves on which subnet (option 118, RFC 3011) and in which VPN (option 221, RFC 6607) they are, in messages with a `giaddr`. A relay agent's link selection (RFC 3527) and VPN go before. Anybody behind a relay agent can then have addresses of every subnet: only for access servers that ask for their clients.",
            ),
        ],
        FLEXIBLE_V4,
        RESERVATION_MODES,
        HOSTS_V4,
    ],
};

/// Parameters of all DHCPv6 subnets.
pub(in crate::config) const DHCP6: TableKeys = TableKeys {
    heading: "`[dhcp6]`",
    meaning: "Parameters of all DHCPv6 subnets, overridden in the same way.",
    groups: &[
        LIFETIMES,
        ALLOCATION,
        &[PD_ALLOCATOR],
        LIFETIMES_V6,
        limits::LINE,
        limits::LINE_V6,
        &[key(
            "prefer",
            PREFERENCES,
            "`\"requested\"`",
            "Which lease an IA without one gets if it had one before and names another, and both are free: the `former` or the `requested` one.",
        )],
        FLEXIBLE_V6,
        RESERVATION_MODES,
        HOSTS_V6,
        &[DEFINITIONS],
        &[CLASSES_V6],
    ],
};

/// Kea's switches for old habits.
pub(in crate::config) const COMPATIBILITY: TableKeys = TableKeys {
    heading: "`compatibility`",
    meaning: "Inside of `[dhcp4]`: `compatibility = { exclude-first-last-24 = true }`.",
    groups: &[&[
        key(
            "exclude-first-last-24",
            "boolean",
            "false",
            "Hand out no address that ends in .0 or .255, of subnets of /24 and shorter prefixes: some clients and routers refuse them although they are ordinary addresses there.",
        ),
        key(
            "release-without-server-id",
            "boolean",
            "false",
            "Whether a RELEASE that was sent to this server's own address counts although it does not name the server (option 54), which RFC 2131 table 5 asks for: systemd-networkd 252 sends such. Whoever knows a client's hardware address and lease could make one up; so could he with the option.",
        ),
        key(
            "ignore-rai-link-selection",
            "boolean",
            "false",
            "Take no notice of link selection (RFC 3527, sub-option 5 of option 82): `giaddr` says which link a client is on, and the sub-option goes back as it came. For relay agents that name there an address which is none of the client's link.",
        ),
    ]],
};

const FLEXIBLE_V4: &[Key] = &[
    EXPRESSION,
    key(
        "replace-client-id",
        "boolean",
        "false",
        "Whether leases too are found by the flexible identifier: the same as `client-key = \"flex-id\"` for all subnets that have no other `client-key`. In the place of the client identifier stand the octet 00 and the value; the client is given its own back. A message of which the expression makes nothing counts for the client itself. See docs/operating.md.",
    ),
];

const FLEXIBLE_V6: &[Key] = &[
    EXPRESSION,
    key(
        "replace-client-id",
        "boolean",
        "false",
        "Whether leases too are found by the flexible identifier: in the place of the DUID stand the octets 00:00 and the value, at most 128; the client is given its own back. A message of which the expression makes nothing counts for the client itself.",
    ),
    key(
        "ignore-iaid",
        "boolean",
        "false",
        "Whether a client's IA_NA counts as number 0 if it is its only one, and its IA_PD as well: for routers that change their IAIDs. The client is given its own number back. Against RFC 9915.",
    ),
];

const EXPRESSION: Key = key(
    "identifier-expression",
    "expression",
    "none",
    "What makes a client's flexible identifier of its message, in Kea's expression language (docs/client-classes.md), as `\"relay4[1].hex + relay4[2].hex\"`: reservations by `flex-id` are found by it. What the message does not have is empty, and so is a value that cannot be computed. It may ask for classes that depend on no reservation.",
);

const PREFERENCES: &str = "`\"former\"` or `\"requested\"`";

const HOSTS_FILE: Key = key(
    "reservations-file",
    "path, from the directory of this file",
    "none",
    "A file of further reservations, one JSON object in each line, see `reservations-file`. A reload reads it again.",
);

const HOSTS_V4: &[Key] = &[
    key(
        "host-reservation-identifiers",
        "list of identifiers",
        "hw-address, duid, circuit-id, client-id, flex-id, remote-id, subscriber-id",
        "By what clients with reservations are known; of two reservations for one client that counts whose identifier is named first, and what is not named is never looked for.",
    ),
    key(
        "reservations",
        "list of tables",
        "none",
        "Reservations of no subnet, see `reservations` (DHCPv4): for subnets with `reservations-global`. An address counts where it lies in the subnet.",
    ),
    HOSTS_FILE,
];

const HOSTS_V6: &[Key] = &[
    key(
        "host-reservation-identifiers",
        "list of identifiers",
        "hw-address, duid, flex-id",
        "By what clients with reservations are known, the first counts.",
    ),
    key(
        "reservations",
        "list of tables",
        "none",
        "Reservations of no subnet, see `reservations` (DHCPv6): for subnets with `reservations-global`. An address counts where it lies in the subnet.",
    ),
    HOSTS_FILE,
];
