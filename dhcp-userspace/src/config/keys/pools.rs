//! What clients get addresses and prefixes from.

use super::classes::CLASS_NAMES;
use super::inherited::ALLOCATORS;
use super::{Key, TableKeys, key};

/// A pool of addresses.
pub(in crate::config) const POOL: TableKeys = TableKeys {
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
pub(in crate::config) const PD_POOL: TableKeys = TableKeys {
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

const OPTIONS_OF_POOL: Key = key(
    "option-data",
    "list of tables",
    "none",
    "Options for clients with a lease of this pool, see `option-data`.",
);
