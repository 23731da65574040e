//! Classes of clients: how one is written, and where it counts.

use super::inherited::LIFETIMES_V4;
use super::limits;
use super::{Key, SECONDS, TableKeys, key};

/// A class of DHCPv4 clients.
pub(in crate::config) const CLIENT_CLASS4: TableKeys = TableKeys {
    heading: "`[[dhcp4.client-classes]]`",
    meaning: "DHCPv4 clients that something holds for. Classes are looked at in their order. Built in are `ALL`, `KNOWN` and `UNKNOWN` (with and without reservation), `VENDOR_CLASS_` with what option 60 says, `BOOTP` with clients that speak that, and `DROP`. There may be 256, the built-in ones included.",
    groups: &[
        CLASS,
        LIFETIMES_V4,
        &[
            key(
                "min-valid-lifetime",
                SECONDS,
                "that of the subnet",
                "Shortest lifetime that its members may ask for.",
            ),
            key(
                "next-server",
                "IPv4 address",
                "that of the subnet",
                "`siaddr` for its members.",
            ),
            key(
                "server-hostname",
                "text, at most 63 octets",
                "none",
                "`sname` for its members.",
            ),
            key(
                "boot-file-name",
                "text, at most 127 octets",
                "that of the subnet",
                "`file` for its members.",
            ),
        ],
        &[limits::CLASS],
        &[key(
            "option-def",
            "list of tables",
            "none",
            "Options that its `option-data` means by these names and codes, see `option-def`; they go before those of `[dhcp4]`. At the top 43 and 224 to 254 may be defined, in other spaces anything.",
        )],
    ],
};

/// A class of DHCPv6 clients.
pub(in crate::config) const CLIENT_CLASS6: TableKeys = TableKeys {
    heading: "`[[dhcp6.client-classes]]`",
    meaning: "DHCPv6 clients that something holds for; `VENDOR_CLASS_` with the first data of option 16.",
    groups: &[
        CLASS,
        &[key(
            "preferred-lifetime",
            SECONDS,
            "that of the subnet",
            "Preferred lifetime of its members' leases.",
        )],
        &[limits::CLASS, limits::CLASS_V6],
    ],
};

/// Where clients are told apart by their classes.
pub(super) const CLASS_NAMES: &[Key] = &[
    key(
        "client-classes",
        "list of class names",
        "everybody",
        "Only members of one of these classes get leases from it. A lease whose client is no member any more is not extended.",
    ),
    key(
        "client-class",
        "class name",
        "everybody",
        "The same with a single class, as Kea 2 has it.",
    ),
    key(
        "evaluate-additional-classes",
        "list of class names",
        "none",
        "Classes that clients with a lease of it may be in besides: those with `only-in-additional-list`, and those without a test, which then hold for all.",
    ),
    key(
        "require-client-classes",
        "list of class names",
        "none",
        "The former name of `evaluate-additional-classes`.",
    ),
];

pub(super) const RESERVED_CLASSES: Key = key(
    "client-classes",
    "list of class names",
    "none",
    "Classes that the client is in besides.",
);

pub(super) const CLASSES_V4: Key = key(
    "client-classes",
    "list of tables",
    "none",
    "The classes of DHCPv4 clients, see `[[dhcp4.client-classes]]`.",
);

pub(super) const CLASSES_V6: Key = key(
    "client-classes",
    "list of tables",
    "none",
    "The classes of DHCPv6 clients, see `[[dhcp6.client-classes]]`.",
);

const CLASS: &[Key] = &[
    key(
        "name",
        "text, at most 255 octets",
        "required",
        "Its name, once in the protocol. `DROP`: its members get no answer.",
    ),
    key(
        "test",
        "expression",
        "none",
        "Who is in it, in Kea's expression language, see docs/client-classes.md. Without a test: clients whose reservation names it.",
    ),
    key(
        "template-test",
        "expression",
        "none",
        "Instead of `test`: a value. Whoever it is not empty for is in the class, and in the class `SPAWN_NAME_VALUE`.",
    ),
    key(
        "only-in-additional-list",
        "boolean",
        "false",
        "Look at it only where `evaluate-additional-classes` names it: for its options, when a lease has been chosen.",
    ),
    key(
        "only-if-required",
        "boolean",
        "false",
        "The former name of `only-in-additional-list`.",
    ),
    key(
        "valid-lifetime",
        SECONDS,
        "that of the subnet",
        "Lifetime of its members' leases. Of several classes the first that has one counts; it wins over subnet and shared network.",
    ),
    key(
        "option-data",
        "list of tables",
        "none",
        "Options for its members, see `option-data`. They replace global ones; shared networks, subnets, pools and reservations replace them.",
    ),
];
