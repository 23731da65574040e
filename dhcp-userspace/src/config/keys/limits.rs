//! How many leases something may hold.

use super::{Key, key};

const NUMBER: &str = "leases, 0 to 4294967295";

/// Of each line; inherited.
pub(super) const LINE: &[Key] = &[
    key(
        "line-key",
        "`\"circuit-id\"` (DHCPv4), `\"interface-id\"` (DHCPv6), `\"remote-id\"` or `\"subscriber-id\"`",
        "`\"circuit-id\"`, `\"interface-id\"`",
        "What a line is, for `line-address-limit` and `line-prefix-limit`: all clients of which relay agents say the same. Circuit-Id (sub-option 1 of option 82) and Interface-Id (option 18) mean something to one relay agent, so `giaddr` or the link-address belongs to them; Remote-Id (sub-option 2, option 37) and Subscriber-Id (sub-option 6, option 38) mean the same everywhere. Of several DHCPv6 relay agents the one nearest to the client counts.",
    ),
    key(
        "line-address-limit",
        NUMBER,
        "any number",
        "How many leases of addresses a line may hold. A client beyond that gets no answer to a DISCOVER, a NAK to a REQUEST, `NoAddrsAvail` to a DHCPv6 message (counted: `xdhcpd_lease_limit_refusals_total`). What a client holds it may extend, also when the limit is lowered; a lease from before there was a limit counts from its next renewal on. A client of whose line nothing is told has no limit. See docs/operating.md.",
    ),
];

/// The same for prefixes.
pub(super) const LINE_V6: &[Key] = &[key(
    "line-prefix-limit",
    NUMBER,
    "any number",
    "How many delegated prefixes a line may hold (DHCPv6).",
)];

/// Of a subnet.
pub(super) const SUBNET: Key = key(
    "address-limit",
    NUMBER,
    "any number",
    "How many leases of addresses the subnet may hold, as with Kea's `limits` hook library; what is said of `line-address-limit` holds. In a shared network the next subnet is tried.",
);

/// The same for prefixes.
pub(super) const SUBNET_V6: Key = key(
    "prefix-limit",
    NUMBER,
    "any number",
    "How many delegated prefixes the subnet may hold.",
);

/// Of a class.
pub(super) const CLASS: Key = key(
    "address-limit",
    NUMBER,
    "any number",
    "How many leases of addresses all its members together may hold, as with Kea's `limits` hook library; what is said of `line-address-limit` holds. Of a client's classes with limits the first eight count.",
);

/// The same for prefixes.
pub(super) const CLASS_V6: Key = key(
    "prefix-limit",
    NUMBER,
    "any number",
    "How many delegated prefixes all its members together may hold.",
);
