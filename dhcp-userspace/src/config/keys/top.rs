//! What stands at the top of the file: the top itself, interfaces, the lease history.

use super::{TableKeys, key};

/// The top of the file.
pub(in crate::config) const TOP: TableKeys = TableKeys {
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
            "journal-priority",
            "`\"realtime\"` or `\"normal\"`",
            "`\"realtime\"`",
            "Whether the thread that writes the journal, for which every acknowledgement waits under durability `\"power\"`, goes ahead of all ordinary threads (scheduled first in, first out, at the lowest real-time priority; it runs for microseconds at a time). It matters where the server has fewer processors than threads. Without the right to (`CAP_SYS_NICE`) it is an ordinary thread, and the log says so.",
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
pub(in crate::config) const INTERFACE: TableKeys = TableKeys {
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
pub(in crate::config) const HISTORY: TableKeys = TableKeys {
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
