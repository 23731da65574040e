//! Which keys are there? Every key of every table, once: the reader refuses what is not here, and
//! docs/configuration.md is made from it.

/// A table of the file.
#[derive(Debug)]
pub(super) struct TableKeys {
    /// How it is written, as `[[subnet4]]`.
    pub(super) heading: &'static str,
    /// What it is.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "documentation is made from it by a test")
    )]
    pub(super) meaning: &'static str,
    /// Groups of keys, which tables share.
    pub(super) groups: &'static [&'static [Key]],
}

impl TableKeys {
    /// All its keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = &'static Key> {
        self.groups.iter().copied().flatten()
    }
}

/// A key.
#[derive(Debug)]
pub(super) struct Key {
    /// Its name: Kea's, where Kea has one.
    pub(super) name: &'static str,
    /// What may stand there, with its unit.
    pub(super) value: &'static str,
    /// What holds without it.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "documentation is made from it by a test")
    )]
    pub(super) default: &'static str,
    /// What it does.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "documentation is made from it by a test")
    )]
    pub(super) meaning: &'static str,
}

const fn key(
    name: &'static str,
    value: &'static str,
    default: &'static str,
    meaning: &'static str,
) -> Key {
    Key {
        name,
        value,
        default,
        meaning,
    }
}

/// All tables, in the order of the document.
pub(super) const TABLES: &[&TableKeys] = &[
    &TOP,
    &INTERFACE,
    &HISTORY,
    &LEASEQUERY,
    &LEASEQUERY_BULK,
    &DHCP4,
    &COMPATIBILITY,
    &DHCP6,
    &CLIENT_CLASS4,
    &CLIENT_CLASS6,
    &SUBNET4,
    &SUBNET6,
    &POOL,
    &PD_POOL,
    &SHARED_NETWORK,
    &RELAY,
    &OPTION_DATA,
    &OPTION_DEF,
    &RESERVATION4,
    &RESERVATION6,
    &RESERVATION_LINE4,
    &RESERVATION_LINE6,
];

const SECONDS: &str = "seconds, 1 to 4294967295 (4294967295: for ever)";
const TIMER: &str = "seconds, 1 to 4294967294";

/// The top of the file.
pub(super) const TOP: TableKeys = TableKeys {
    heading: "Top of the file",
    meaning: "The process itself. These keys stand before the first `[table]`.",
    groups: &[&[
        key(
            "interfaces",
            "list of names or `interfaces` tables",
            "required",
            "The interfaces to serve.",
        ),
        key(
            "state-dir",
            "path",
            "`/var/lib/xdhcpd`",
            "Where the lease tables and the server's DUID live. `XDHCPD_STATE_DIR` and `--state-dir` win over it.",
        ),
        key(
            "socket",
            "path",
            "`/run/xdhcpd/control.sock`",
            "The control socket. `XDHCPD_SOCKET` and `--socket` win over it.",
        ),
        key(
            "durability",
            "`\"power\"` or `\"process\"`",
            "`\"power\"`",
            "What an acknowledged lease survives: a power cut (the acknowledgement leaves after its lease is on stable storage), or the death of the process (once it is in the memory-mapped table).",
        ),
        key(
            "workers",
            "1 to 64",
            "1",
            "Worker threads per receive queue. More than one shares out a queue on which all broadcasts arrive; a client always goes to the same worker.",
        ),
        key(
            "lease-capacity",
            "leases, 1024 to 268435456",
            "from the pools",
            "For how many leases the lease tables have room, former ones included. A lease with a long identifier, or of a client behind DHCPv6 relay agents, counts as two or more. Without it: twice for every lease of all pools and every reservation, where an IPv6 pool counts as 1048576 at most; at least 65536, at most 33554432. Tables grow with it at the next start; they are made smaller when they are a quarter too large.",
        ),
        key(
            "partitions",
            "1 to 256",
            "16",
            "Into how many parts, each with a lock of its own, the lease store is divided; rounded up to a power of two. When it is changed, the next start makes the tables anew and moves all leases, see docs/operating.md.",
        ),
        key(
            "expiry-guard-percent",
            "0 to 100",
            "50",
            "A start whose wall clock would end more than so many of a hundred live leases at once (of at least 100 leases), after a jump that is longer than `expiry-guard-downtime-seconds`, goes on from the last known time instead, until the operator accepts the clock. 100: never. See docs/operating.md.",
        ),
        key(
            "expiry-guard-downtime-seconds",
            "seconds, 0 to 4294967295",
            "86400",
            "How long the server may plausibly have been down: up to here the wall clock is believed at a start.",
        ),
        key(
            "offer-lifetime",
            "seconds, 1 to 3600",
            "60",
            "How long an offered lease is held for its client, in both protocols.",
        ),
        key(
            "decline-probation-period",
            "seconds, 1 to 31536000",
            "3600",
            "How long a lease that a client found in use by somebody else is nobody's, in both protocols. When that happens to the same lease again within a day after it came back, it is nobody's for twice as long, each time, up to `decline-probation-max`.",
        ),
        key(
            "decline-probation-max",
            "seconds, 1 to 31536000",
            "86400",
            "How long such a lease is nobody's at most. `xdhcpd ctl declined` lists them all and gives them back before their time.",
        ),
        key(
            "history",
            "table",
            "",
            "The record of who had which address when, see `[history]`.",
        ),
        key(
            "leasequery",
            "table",
            "none",
            "Who may ask whose leases are whose (RFC 4388), see `[leasequery]`. Without it nobody may.",
        ),
        key(
            "dhcp4",
            "table",
            "",
            "Parameters of all DHCPv4 subnets, see `[dhcp4]`.",
        ),
        key(
            "dhcp6",
            "table",
            "",
            "Parameters of all DHCPv6 subnets, see `[dhcp6]`.",
        ),
        key(
            "subnet4",
            "list of tables",
            "none",
            "DHCPv4 subnets, see `[[subnet4]]`.",
        ),
        key(
            "subnet6",
            "list of tables",
            "none",
            "DHCPv6 subnets, see `[[subnet6]]`.",
        ),
        key(
            "shared-networks",
            "list of tables",
            "none",
            "Links with several subnets, see `[[shared-networks]]`.",
        ),
    ]],
};

/// One interface with settings of its own.
pub(super) const INTERFACE: TableKeys = TableKeys {
    heading: "`interfaces` as tables",
    meaning: "An interface is its name, or `{ name = \"eth1\", ... }`. What is in force in the end is in `xdhcpd ctl status`.",
    groups: &[&[
        key("name", "interface name", "required", "The interface."),
        key(
            "workers-per-queue",
            "1 to 64",
            "`workers`",
            "Worker threads per receive queue of this interface.",
        ),
        key(
            "xdp-mode",
            "`\"auto\"`, `\"native\"` or `\"generic\"`",
            "`\"auto\"`",
            "Where the XDP program runs: in the driver if it can, else in the network stack (`auto`); in the driver or not at all (`native`); in the network stack (`generic`).",
        ),
        key(
            "copy-mode",
            "`\"auto\"`, `\"zero-copy\"` or `\"copy\"`",
            "`\"auto\"`",
            "Whether frames are copied between kernel and user space: not if the driver can do without (`auto`), never or refuse to start (`zero-copy`), always (`copy`).",
        ),
        key(
            "accept-relayed",
            "boolean",
            "true",
            "Whether DHCPv4 relay agents are behind the interface. `false`: a message with a `giaddr` that comes from there is a forged one, dropped and counted (`relay_refused`).",
        ),
    ]],
};

/// The lease history.
pub(super) const HISTORY: TableKeys = TableKeys {
    heading: "`[history]`",
    meaning: "The lease history in `state-dir`: who had which address or prefix at which second, for `xdhcpd leases history`. What is kept about whom and for how long is a matter of law; see docs/operating.md.",
    groups: &[&[
        key("enabled", "boolean", "true", "Whether a history is kept."),
        key(
            "required",
            "boolean",
            "false",
            "Whether leases are granted and extended only while the history can be written. Without it, trouble with the history's disk never stops the service: what is missing then is named in the history as a gap.",
        ),
        key(
            "retention-days",
            "days, 1 to 73000",
            "365",
            "For how long a segment is kept after it was ended; then it is deleted, the oldest first.",
        ),
        key(
            "size-max-mib",
            "MiB, 1 to 1073741824",
            "16384",
            "How large the history may become: what is more is deleted, the oldest first, also before its days are over. An entry takes 15 to 150 octets.",
        ),
        key(
            "segment-size-mib",
            "MiB, 1 to 1024",
            "32",
            "After how much a new segment (a file) is begun; at midnight UTC and at a start one is begun too. What is deleted is deleted by segments.",
        ),
    ]],
};

/// Who may ask for others' leases.
pub(super) const LEASEQUERY: TableKeys = TableKeys {
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
pub(super) const LEASEQUERY_BULK: TableKeys = TableKeys {
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

const LIFETIMES: &[Key] = &[
    key("valid-lifetime", SECONDS, "7200", "Lifetime of a lease."),
    key(
        "renew-timer",
        TIMER,
        "half the lifetime",
        "T1: when a client begins to ask its server for an extension. Without it DHCPv4 takes half of the valid lifetime, DHCPv6 half of the preferred one.",
    ),
    key(
        "rebind-timer",
        TIMER,
        "7/8 (v4), 0.8 (v6)",
        "T2: when a client begins to ask any server. Without it DHCPv4 takes 7/8 of the valid lifetime, DHCPv6 0.8 of the preferred one.",
    ),
    key(
        "cache-threshold",
        "share of `valid-lifetime`, 0 to 1",
        "none",
        "Until this share of a lease has passed, a renewal that changes nothing is answered with what is left of it and not written down: for clients that renew far too often. 0.25 is a good value. Without it and `cache-max-age` only requests that are repeated within ten seconds are answered so; 0 turns that off too.",
    ),
    key(
        "cache-max-age",
        "seconds, 0 to 4294967295",
        "none",
        "Until a lease is so old, a renewal that changes nothing is not written down. With `cache-threshold` the earlier of both counts. 0: everything is written down, requests that are repeated at once too.",
    ),
    key(
        "rapid-commit",
        "boolean",
        "false",
        "Answer a client that asks for it in two messages (RFC 4039; RFC 9915 section 18.3.1). With several servers on a link each answer takes a lease.",
    ),
    key(
        "option-data",
        "list of tables",
        "none",
        "Options for clients, see `option-data`.",
    ),
];

const ALLOCATION: &[Key] = &[
    key(
        "allocator",
        ALLOCATORS,
        "`\"iterative\"`",
        "In which order pools hand out free addresses: ascending from where the last search ended, and round again (`iterative`); in an order that only this store's secret tells, so that nobody can guess addresses, as RFC 9915 section 13.1 asks for hosts (`random`); what has been free for the longest time first, so that former clients find their address free for long (`flq`: eight octets of memory for each address; a start, and a reload that changes the pool, read all former leases). All take the same time in a full pool as in an empty one. A pool whose allocator is changed keeps its leases.",
    ),
    key(
        "adaptive-lease-time-threshold",
        "share of the subnet's leases, 0 to 1",
        "none",
        "When more than this share of a subnet's pools is taken, leases get `min-valid-lifetime`, or what is left of the lease that a client has if that is longer, so that what nobody uses comes back soon. It works with every allocator.",
    ),
    key(
        "low-water-percent",
        "percent of a pool, 0 to 100",
        "0",
        "When fewer of a pool's leases are free for any client than this, `xdhcpd ctl status` says so, and the log does once; again only after twice as many were free. 0: never.",
    ),
    key(
        "decline-alarm-percent",
        "percent of a subnet's leases, 0 to 100",
        "10",
        "When more of the leases of a subnet's pools than this are declined, `xdhcpd ctl status` says so, and the log does once. 0: never.",
    ),
    SHORTEST_LIFETIME,
];

const SHORTEST_LIFETIME: Key = key(
    "min-valid-lifetime",
    SECONDS,
    "`valid-lifetime`",
    "Shortest lifetime that a DHCPv4 client may ask for, and what both protocols grant beyond `adaptive-lease-time-threshold`.",
);

const ALLOCATORS: &str = "`\"iterative\"`, `\"random\"` or `\"flq\"`";

const PD_ALLOCATOR: Key = key(
    "pd-allocator",
    ALLOCATORS,
    "`\"iterative\"`",
    "The same for the prefixes of pd-pools (DHCPv6).",
);

const RULES_V4: &[Key] = &[
    key(
        "authoritative",
        "boolean",
        "true",
        "Whether our configuration is the last word on the link: a client that asks for an address of another network gets a NAK also when we do not know the client (RFC 2131 section 4.3.2; DHCPv4).",
    ),
    key(
        "match-client-id",
        "boolean",
        "true",
        "Whether the client identifier (option 61) says who a client is. `false`: its hardware address does, and the identifier is not recorded: for machines that boot in stages with different identifiers (DHCPv4). Reservations by client identifier work all the same.",
    ),
    key(
        "echo-client-id",
        "boolean",
        "true",
        "Whether the client identifier is sent back, as RFC 6842 asks; `false` for clients that were made before it and refuse such an answer (DHCPv4).",
    ),
    key(
        "bootp",
        "boolean",
        "false",
        "Whether BOOTP clients, whose messages have no message type, get an address (RFC 1534; DHCPv4).",
    ),
    key(
        "bootp-lifetime",
        SECONDS,
        "4294967295",
        "For how long a BOOTP client's address is its own after it has booted. BOOTP knows no leases: the client uses the address for ever, whatever stands here.",
    ),
];

const LIFETIMES_V4: &[Key] = &[key(
    "max-valid-lifetime",
    SECONDS,
    "`valid-lifetime`",
    "Longest lifetime that a DHCPv4 client may ask for.",
)];

const LIFETIMES_V6: &[Key] = &[
    key(
        "preferred-lifetime",
        SECONDS,
        "5/8 of `valid-lifetime`",
        "How long addresses and prefixes are preferred (DHCPv6).",
    ),
    key(
        "preference",
        "0 to 255",
        "0",
        "Sent in Advertise when not 0; a client takes the server with the highest, and 255 without waiting for others (DHCPv6).",
    ),
];

const BOOTSTRAP_V4: &[Key] = &[
    key(
        "next-server",
        "IPv4 address",
        "none",
        "`siaddr`: the server that a booting client fetches its file from (DHCPv4).",
    ),
    key(
        "server-hostname",
        "text, at most 63 octets",
        "none",
        "`sname`: the name of the server that a booting client fetches its file from (DHCPv4).",
    ),
    key(
        "boot-file-name",
        "text, at most 127 octets",
        "none",
        "`file`: what a booting client fetches (DHCPv4).",
    ),
    key(
        "server-identifier",
        "IPv4 address",
        "the interface's first address",
        "Server identifier of DHCPv4, to which clients send their renewals: it must reach this server.",
    ),
    key(
        "trust-option-82",
        "boolean",
        "false",
        "Whether the relay agent's option counts, and is given back, in messages without `giaddr` too: for links on which a switch, DSLAM or OLT puts it in. Without it, in such messages it is the client's own invention, and neither believed nor echoed (RFC 3046 section 2.1).",
    ),
    key(
        "client-key",
        "`\"client-id\"`, `\"circuit-id\"`, `\"remote-id\"` or `\"subscriber-id\"`",
        "`\"client-id\"`",
        "Whose a lease is: the client's, by its client identifier or else its hardware address, or the line's, by what the relay agent's option says of it (sub-option 1, 2 or 6), whatever is plugged in; a swapped router gets its line's address. See docs/operating.md. The same on the whole of a shared network (DHCPv4).",
    ),
    key(
        "vpn",
        "text, or an identifier of RFC 2685 as `\"0x00005e00000001\"`",
        "the global VPN",
        "The VPN that the subnet belongs to: it serves clients whose relay agent names it (RFC 6607, sub-option 151 of option 82) and no others. The same on the whole of a shared network (DHCPv4).",
    ),
];

const RESERVATION_MODES: &[Key] = &[
    key(
        "reservations-in-subnet",
        "boolean",
        "true",
        "Whether the `reservations` of the subnet count.",
    ),
    key(
        "reservations-out-of-pool",
        "boolean",
        "false",
        "Whether all addresses are reserved outside of the pools: one inside is not reserved then, the rest of its reservation counts. Looking costs nothing here; it is for configurations of Kea.",
    ),
    key(
        "reservations-global",
        "boolean",
        "false",
        "Whether the reservations of no subnet, in `[dhcp4]` or `[dhcp6]`, count too, after those of the subnet.",
    ),
];

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
        "hw-address, duid, circuit-id, client-id, remote-id, subscriber-id",
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
        "hw-address, duid",
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

/// Parameters of all DHCPv4 subnets.
pub(super) const DHCP4: TableKeys = TableKeys {
    heading: "`[dhcp4]`",
    meaning: "Parameters of all DHCPv4 subnets. A shared network, a subnet and a reservation each override what stands outside of them.",
    groups: &[
        LIFETIMES,
        ALLOCATION,
        LIFETIMES_V4,
        BOOTSTRAP_V4,
        RULES_V4,
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
        RESERVATION_MODES,
        HOSTS_V4,
    ],
};

/// Parameters of all DHCPv6 subnets.
pub(super) const DHCP6: TableKeys = TableKeys {
    heading: "`[dhcp6]`",
    meaning: "Parameters of all DHCPv6 subnets, overridden in the same way.",
    groups: &[
        LIFETIMES,
        ALLOCATION,
        &[PD_ALLOCATOR],
        LIFETIMES_V6,
        &[key(
            "prefer",
            PREFERENCES,
            "`\"requested\"`",
            "Which lease an IA without one gets if it had one before and names another, and both are free: the `former` or the `requested` one.",
        )],
        RESERVATION_MODES,
        HOSTS_V6,
        &[DEFINITIONS],
        &[CLASSES_V6],
    ],
};

/// Kea's switches for old habits.
pub(super) const COMPATIBILITY: TableKeys = TableKeys {
    heading: "`compatibility`",
    meaning: "Inside of `[dhcp4]`: `compatibility = { exclude-first-last-24 = true }`.",
    groups: &[&[key(
        "exclude-first-last-24",
        "boolean",
        "false",
        "Hand out no address that ends in .0 or .255, of subnets of /24 and shorter prefixes: some clients and routers refuse them although they are ordinary addresses there.",
    )]],
};

const PREFERENCES: &str = "`\"former\"` or `\"requested\"`";
const CLASSES_V4: Key = key(
    "client-classes",
    "list of tables",
    "none",
    "The classes of DHCPv4 clients, see `[[dhcp4.client-classes]]`.",
);

const CLASSES_V6: Key = key(
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

/// A class of DHCPv4 clients.
pub(super) const CLIENT_CLASS4: TableKeys = TableKeys {
    heading: "`[[dhcp4.client-classes]]`",
    meaning: "DHCPv4 clients that something holds for. Classes are looked at in their order. Built in are `ALL`, `KNOWN` and `UNKNOWN` (with and without reservation), `VENDOR_CLASS_` with what option 60 says, and `DROP`. There may be 256, the built-in ones included.",
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
    ],
};

/// A class of DHCPv6 clients.
pub(super) const CLIENT_CLASS6: TableKeys = TableKeys {
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
    ],
};

/// Where clients are told apart by their classes.
const CLASS_NAMES: &[Key] = &[
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

const RESERVED_CLASSES: Key = key(
    "client-classes",
    "list of class names",
    "none",
    "Classes that the client is in besides.",
);

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

/// A DHCPv4 subnet.
pub(super) const SUBNET4: TableKeys = TableKeys {
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
        RESERVATION_MODES,
        &[key(
            "reservations",
            "list of tables",
            "none",
            "What is fixed for one client, see `reservations` (DHCPv4).",
        )],
    ],
};

const INTERFACE_ID: Key = key(
    "interface-id",
    "text, or octets as `\"0x0102\"`",
    "none",
    "Serve clients behind the relay agent that sends this Interface-Id (option 18).",
);

/// A DHCPv6 subnet.
pub(super) const SUBNET6: TableKeys = TableKeys {
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
        RESERVATION_MODES,
        &[key(
            "reservations",
            "list of tables",
            "none",
            "What is fixed for one client, see `reservations` (DHCPv6).",
        )],
    ],
};

const OPTIONS_OF_POOL: Key = key(
    "option-data",
    "list of tables",
    "none",
    "Options for clients with a lease of this pool, see `option-data`.",
);

/// A pool of addresses.
pub(super) const POOL: TableKeys = TableKeys {
    heading: "`pools`",
    meaning: "A pool is a text, or a table as in Kea: `{ pool = \"192.0.2.10-192.0.2.200\" }`. The first 16777216 addresses of a pool are handed out, the whole of a /8; what lies beyond is not.",
    groups: &[
        &[
            key(
                "pool",
                "text",
                "required",
                "First and last address, or a prefix.",
            ),
            key(
                "allocator",
                ALLOCATORS,
                "the subnet's",
                "In which order it hands out free addresses, see `allocator` in `[[subnet4]]`.",
            ),
            key(
                "low-water-percent",
                "percent of the pool, 0 to 100",
                "the subnet's",
                "When to warn that it is nearly full.",
            ),
            OPTIONS_OF_POOL,
        ],
        CLASS_NAMES,
    ],
};

/// A pool of prefixes.
pub(super) const PD_POOL: TableKeys = TableKeys {
    heading: "`pd-pools`",
    meaning: "Prefixes that are delegated to routers of clients, each of the same length. The first 16777216 of a pool are handed out.",
    groups: &[
        &[
            key(
                "prefix",
                "IPv6 prefix or address",
                "required",
                "What is cut up. No two pd-pools overlap.",
            ),
            key(
                "prefix-len",
                "0 to 128",
                "from `prefix`",
                "Length of `prefix`, if that is an address.",
            ),
            key(
                "delegated-len",
                "`prefix-len` to 128",
                "required",
                "Length of each delegated prefix.",
            ),
            key(
                "pd-allocator",
                ALLOCATORS,
                "the subnet's",
                "In which order it hands out free prefixes.",
            ),
            key(
                "low-water-percent",
                "percent of the pool, 0 to 100",
                "the subnet's",
                "When to warn that it is nearly full.",
            ),
            OPTIONS_OF_POOL,
        ],
        CLASS_NAMES,
    ],
};

/// A link with several subnets.
pub(super) const SHARED_NETWORK: TableKeys = TableKeys {
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
pub(super) const RELAY: TableKeys = TableKeys {
    heading: "`relay`",
    meaning: "The relay agents that a subnet or shared network is behind: `relay = { ip-addresses = [\"10.0.0.1\"] }`.",
    groups: &[&[key(
        "ip-addresses",
        "list of addresses",
        "required",
        "`giaddr` or link selection in DHCPv4, `link-address` in DHCPv6. In a shared network with subnets of both protocols the two may be mixed.",
    )]],
};

/// One option.
pub(super) const OPTION_DATA: TableKeys = TableKeys {
    heading: "`option-data`",
    meaning: "One option, by `name` or by `code`: `{ name = \"domain-name-servers\", data = \"192.0.2.53, 192.0.2.54\" }`. An inner level replaces the same option of an outer one. The subnet mask is sent without being configured.",
    groups: &[&[
        key(
            "name",
            "option name",
            "from `code`",
            "Its name, see the tables below.",
        ),
        key(
            "code",
            "1 to 254 (v4), 1 to 65535 (v6); 0 to 255 inside of an option of DHCPv4",
            "from `name`",
            "Its code.",
        ),
        key(
            "data",
            "text, number, boolean, or a list of them",
            "required unless the option is empty",
            "Its contents in the form that the tables below name.",
        ),
        key(
            "csv-format",
            "boolean",
            "true",
            "`false`: `data` is the octets themselves in hexadecimal, `\"c0000201\"` or `\"c0:00:02:01\"`, or a text in single quotes. An option that the tables below do not have needs it.",
        ),
        key(
            "space",
            "name of a space",
            "`dhcp4` or `dhcp6`, the protocol around it",
            "The space that it is in: one of the tables below, `vendor-NUMBER` for what one vendor's clients get in option 125 (DHCPv4) or 17 (DHCPv6), or one of `option-def`. Needed in a shared network with subnets of both protocols.",
        ),
        key(
            "always-send",
            "boolean",
            "false",
            "Send it also to clients that do not ask for it. One level that says so is enough.",
        ),
        key(
            "never-send",
            "boolean",
            "false",
            "Send it to nobody, whatever other levels say.",
        ),
    ]],
};

/// An option of the operator's own.
pub(super) const OPTION_DEF: TableKeys = TableKeys {
    heading: "`option-def`",
    meaning: "An option that is not in the tables below, so that `option-data` can name it and write its data as text: `{ name = \"acs-url\", code = 1, space = \"vendor-3561\", type = \"string\" }`. Names and types are Kea's.",
    groups: &[&[
        key(
            "name",
            "letters, digits, hyphens, underscores",
            "required",
            "Its name.",
        ),
        key(
            "code",
            "1 to 254 (v4), 1 to 65535 (v6); 0 to 255 inside of an option of DHCPv4",
            "required",
            "Its code. Codes that have a form already cannot be defined again, except 43 and 224 to 254 of DHCPv4.",
        ),
        key(
            "type",
            "`\"binary\"`, `\"boolean\"`, `\"int8\"`, `\"int16\"`, `\"int32\"`, `\"uint8\"`, `\"uint16\"`, `\"uint32\"`, `\"ipv4-address\"`, `\"ipv6-address\"`, `\"ipv6-prefix\"`, `\"psid\"`, `\"tuple\"`, `\"fqdn\"`, `\"string\"`, `\"record\"` or `\"empty\"`",
            "required",
            "What its data is.",
        ),
        key(
            "array",
            "boolean",
            "false",
            "Whether its data is any number of values of the type; in a record the last field is.",
        ),
        key(
            "record-types",
            "types with commas between",
            "required for `record`",
            "The fields of a record, as `\"uint8, ipv4-address\"`.",
        ),
        key(
            "space",
            "name of a space",
            "`dhcp4` or `dhcp6`",
            "The space that it is in.",
        ),
        key(
            "encapsulate",
            "name of a space",
            "none",
            "The space whose options stand inside of it as sub-options, after its own data.",
        ),
    ]],
};

/// Where `option-def` stands.
const DEFINITIONS: Key = key(
    "option-def",
    "list of tables",
    "none",
    "Options of your own, see `option-def`.",
);

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

/// A DHCPv4 reservation.
pub(super) const RESERVATION4: TableKeys = TableKeys {
    heading: "`reservations` (DHCPv4)",
    meaning: "What is fixed for one client of the subnet, found by exactly one identifier. Octets are written as `\"02:00:5e\"`, `\"02005e\"` or, as text, `\"'port 7'\"`. What relay agents tell is remembered for renewals, which go past them.",
    groups: &[IDENTIFIERS, RESERVED_V4],
};

/// A DHCPv6 reservation.
pub(super) const RESERVATION6: TableKeys = TableKeys {
    heading: "`reservations` (DHCPv6)",
    meaning: "What is fixed for one client of the subnet.",
    groups: &[IDENTIFIERS, RESERVED_V6],
};

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

/// A line of the file of DHCPv4 reservations.
pub(super) const RESERVATION_LINE4: TableKeys = TableKeys {
    heading: "`reservations-file` (DHCPv4)",
    meaning: "One JSON object in each line, as `{\"subnet-id\": 1, \"hw-address\": \"02:00:5e:00:53:01\", \"ip-address\": \"192.0.2.5\"}`; empty lines and lines that begin with `#` or `//` are left out. The keys are those of `reservations` and Kea's, so the hosts of Kea's answer to `reservation-get-all` can be written into it line by line; empty texts and lists count as left out. Every mistake is reported with its line and column, and one mistake keeps the whole new configuration from being used.",
    groups: &[RESERVATION_LINE, IDENTIFIERS, RESERVED_V4],
};

/// A line of the file of DHCPv6 reservations.
pub(super) const RESERVATION_LINE6: TableKeys = TableKeys {
    heading: "`reservations-file` (DHCPv6)",
    meaning: "The same for DHCPv6.",
    groups: &[RESERVATION_LINE, IDENTIFIERS, RESERVED_V6],
};
