//! What becomes of leases that come from elsewhere? The rule for conflicts, and which entry of a file counts.

use super::source::{Item, SourceFormat};
use dhcp_lease::{Binding, GRACE_SECONDS, Key, Lease, State, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Which of two bindings counts: that of the file, or another one that the store has for the same lease, or
/// for the same client on the same link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The one whose client was heard last; the store's, if that was in the same second.
    #[default]
    Newer,
    /// The store's, always.
    Keep,
    /// The file's, always.
    Replace,
}

impl Rule {
    /// Whether the file's binding counts.
    pub fn takes(self, from_file: &Binding, from_store: &Binding) -> bool {
        match self {
            Self::Newer => from_file.last_transaction > from_store.last_transaction,
            Self::Keep => false,
            Self::Replace => true,
        }
    }
}

/// By what a lease finds its subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum SubnetFrom {
    /// Its address, in the configuration; outside every subnet the number in the file.
    #[default]
    Address,
    /// The number in the file.
    File,
}

/// How leases are imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct How {
    /// Which of two bindings counts.
    pub rule: Rule,
    /// By what a lease finds its subnet.
    pub subnets: SubnetFrom,
    /// Nothing is written; only what would become of each lease is told.
    pub is_dry_run: bool,
}

/// What became of one lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was not there; it is now.
    Added,
    /// The client's binding was older; it is this one now.
    Updated,
    /// Another client's binding of the lease was older; it is that client's former one now.
    Replaced,
    /// It was there already.
    Unchanged,
    /// The store's own binding of this client counts.
    Kept,
    /// A quarantine that is over.
    Ended,
    /// Another client has it, by a binding that counts.
    Held,
    /// It is on offer to another client at this moment, or comes back to its pool.
    Offered,
    /// It has addresses in common with units of a pool, but is none.
    Astride,
    /// The table is full.
    Full,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Added,
        Self::Updated,
        Self::Replaced,
        Self::Unchanged,
        Self::Kept,
        Self::Ended,
        Self::Held,
        Self::Offered,
        Self::Astride,
        Self::Full,
    ];

    /// As it is counted.
    pub fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Updated => "updated",
            Self::Replaced => "replaced",
            Self::Unchanged => "unchanged",
            Self::Kept => "kept",
            Self::Ended => "ended",
            Self::Held => "held",
            Self::Offered => "offered",
            Self::Astride => "astride",
            Self::Full => "full",
        }
    }

    /// Why the lease is not in the store and what to do, if somebody must do something.
    pub fn trouble(self) -> Option<&'static str> {
        match self {
            Self::Added
            | Self::Updated
            | Self::Replaced
            | Self::Unchanged
            | Self::Kept
            | Self::Ended => None,
            Self::Held => Some("another client was granted it later; --replace takes it away"),
            Self::Offered => {
                Some("the server has it on offer to another client just now; import again")
            }
            Self::Astride => Some(
                "it overlaps a pool that hands out prefixes of another length, or addresses; make \
                 the pool fit, or exclude that range from it",
            ),
            Self::Full => Some("the lease table is full; raise `lease-capacity` and restart"),
        }
    }
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Imported {
    /// Of each lease, in order.
    pub outcomes: Vec<Outcome>,
    /// How many lie in no pool and are no reservation; they live until they end.
    pub outside_pools: u64,
    /// How many lie in no subnet.
    pub outside_subnets: u64,
}

/// By what the server finds this binding.
pub fn key(binding: &Binding) -> Key<'_> {
    Key {
        kind: binding.lease.kind(),
        client: binding.client.as_slice(),
        hardware: binding.hardware,
        iaid: binding.iaid,
    }
}

/// Whether a binding keeps its lease from everybody else.
pub fn holds(binding: &Binding, now: Timestamp) -> bool {
    match binding.state {
        State::Leased => binding.expires.after(GRACE_SECONDS) > now,
        State::Declined => binding.expires > now,
        State::Released => false,
    }
}

/// Of every lease in a sequence of files, which entry is the last: that one counts.
///
/// Some 20 octets for an IPv4 lease, 50 for an IPv6 one, so that files of many millions can be read twice
/// instead of kept.
#[derive(Debug)]
pub struct LastEntries {
    now: Timestamp,
    v4: HashMap<u32, u32>,
    v6: HashMap<([u8; 16], u8), u32>,
    count: u32,
    earlier: u64,
}

impl LastEntries {
    /// Of no file yet.
    pub fn new(now: Timestamp) -> Self {
        Self {
            now,
            v4: HashMap::new(),
            v6: HashMap::new(),
            count: 0,
            earlier: 0,
        }
    }

    /// Takes the next entry of a file of this format.
    pub fn add(&mut self, item: &Item, format: SourceFormat) {
        let number = self.count;
        self.count = self.count.saturating_add(1);
        let Some(lease) = self.decides(item, format) else {
            return;
        };
        let before = match place(lease) {
            Place::V4(address) => self.v4.insert(address, number),
            Place::V6(address) => self.v6.insert(address, number),
        };
        self.earlier += u64::from(before.is_some());
    }

    /// Whether the entry with this number counts, because none after it is of the same lease.
    pub fn is_last(&self, item: &Item, format: SourceFormat, number: u32) -> bool {
        let last = match self.decides(item, format).map(place) {
            Some(Place::V4(address)) => self.v4.get(&address),
            Some(Place::V6(address)) => self.v6.get(&address),
            None => None,
        };
        last.is_none_or(|&last| last == number)
    }

    /// The lease of which an entry says how it is. Kea's and ISC's files are journals, and every entry does.
    /// Ours list former clients beside the holder, and of these entries none takes another's place.
    fn decides(&self, item: &Item, format: SourceFormat) -> Option<Lease> {
        match (item, format) {
            (Item::Lease(binding), SourceFormat::Csv | SourceFormat::Json) => {
                holds(binding, self.now).then_some(binding.lease)
            }
            (Item::Lease(binding), SourceFormat::KeaCsv | SourceFormat::Isc) => Some(binding.lease),
            (Item::Gone(lease), _) => Some(*lease),
            (
                Item::Registered
                | Item::Failover
                | Item::NoLease
                | Item::UnknownColumns(_)
                | Item::Truncated,
                _,
            ) => None,
        }
    }

    /// How many entries there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// How many do not count, because a later one does.
    pub fn earlier(&self) -> u64 {
        self.earlier
    }
}

enum Place {
    V4(u32),
    V6(([u8; 16], u8)),
}

fn place(lease: Lease) -> Place {
    match lease {
        Lease::V4(address) => Place::V4(address.to_bits()),
        // No prefix has the length 255.
        Lease::Address(address) => Place::V6((address.octets(), u8::MAX)),
        Lease::Prefix(address, length) => Place::V6((address.octets(), length)),
    }
}
