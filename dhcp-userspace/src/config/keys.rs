//! Which keys are there? Every key of every table, once: the reader refuses what is not here, and
//! docs/configuration.md is made from it. The tables stand by subject in the files beside this one.

mod classes;
mod dhcp;
mod inherited;
mod leasequery;
mod limits;
mod options;
mod pools;
mod reservations;
mod subnets;
mod top;

pub(super) use classes::{CLIENT_CLASS4, CLIENT_CLASS6};
pub(super) use dhcp::{COMPATIBILITY, DHCP4, DHCP6};
pub(super) use leasequery::{LEASEQUERY, LEASEQUERY_ACTIVE, LEASEQUERY_BULK, LEASEQUERY_TLS};
pub(super) use options::{OPTION_DATA, OPTION_DEF};
pub(super) use pools::{PD_POOL, POOL};
pub(super) use reservations::{RESERVATION_LINE4, RESERVATION_LINE6, RESERVATION4, RESERVATION6};
pub(super) use subnets::{RELAY, SHARED_NETWORK, SUBNET4, SUBNET6};
pub(super) use top::{HISTORY, INTERFACE, TOP};

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
    &LEASEQUERY_TLS,
    &LEASEQUERY_ACTIVE,
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
