//! Parameters that one level of the file inherits from the level around it.

use super::{Key, SECONDS, TIMER, key};

pub(super) const LIFETIMES: &[Key] = &[
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

pub(super) const ALLOCATION: &[Key] = &[
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

pub(super) const ALLOCATORS: &str = "`\"iterative\"`, `\"random\"` or `\"flq\"`";

pub(super) const PD_ALLOCATOR: Key = key(
    "pd-allocator",
    ALLOCATORS,
    "`\"iterative\"`",
    "The same for the prefixes of pd-pools (DHCPv6).",
);

pub(super) const RULES_V4: &[Key] = &[
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

pub(super) const LIFETIMES_V4: &[Key] = &[key(
    "max-valid-lifetime",
    SECONDS,
    "`valid-lifetime`",
    "Longest lifetime that a DHCPv4 client may ask for.",
)];

pub(super) const LIFETIMES_V6: &[Key] = &[
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

pub(super) const BOOTSTRAP_V4: &[Key] = &[
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
        "`\"client-id\"`, `\"circuit-id\"`, `\"remote-id\"`, `\"subscriber-id\"` or `\"flex-id\"`",
        "`\"client-id\"`",
        "Whose a lease is: the client's, by its client identifier or else its hardware address, or the line's, by what the relay agent's option says of it (sub-option 1, 2 or 6), whatever is plugged in; a swapped router gets its line's address. With `\"flex-id\"` it is whose `identifier-expression` says. See docs/operating.md. The same on the whole of a shared network (DHCPv4).",
    ),
    key(
        "vpn",
        "text, or an identifier of RFC 2685 as `\"0x00005e00000001\"`",
        "the global VPN",
        "The VPN that the subnet belongs to: it serves clients whose relay agent names it (RFC 6607, sub-option 151 of option 82) and no others. The same on the whole of a shared network (DHCPv4).",
    ),
];

pub(super) const PROBE_V4: &[Key] = &[
    key(
        "enable-ping-check",
        "boolean",
        "false",
        "Whether an address is probed before it is offered (RFC 2131 section 3.1): by ARP where it lies on a link of this machine, by ICMP echo elsewhere. The OFFER waits for that; an address for which somebody answers is declined, and its client gets another one when it asks again. Not probed: what the client holds, what is reserved for it, what was probed within the last minute. See docs/operating.md (DHCPv4).",
    ),
    key(
        "min-ping-requests",
        "1 to 10",
        "1",
        "How many requests an address is sent before it counts as free (DHCPv4).",
    ),
    key(
        "reply-timeout",
        "milliseconds, 1 to 10000",
        "100",
        "How long each request waits for its answer; all of them together 10 seconds at most (DHCPv4).",
    ),
    key(
        "ping-cltt-secs",
        "seconds, 0 to 4294967295",
        "60",
        "For how long after a client was last heard its former address is offered to it without a probe (DHCPv4).",
    ),
];

pub(super) const RESERVATION_MODES: &[Key] = &[
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
