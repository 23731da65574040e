//! By what is a client found? A keyed digest of what identifies it, and a table from digests to slots.

use crate::binding::{Binding, Key, LeaseKind};
use crate::format::{ArchivedRecord, Checksum};
use crate::sip::Sip;
use core::hash::Hasher;
use dhcp_wire::id::{HardwareAddress, Iaid};
use hashbrown::HashTable;

mod lines;

pub(crate) use lines::{ClientIndex, LINE_OCTETS};

/// 128 bits that stand for a client, a kind of lease and an IA. Two identities have two digests: with a
/// key that strangers do not know, a collision would take them 2^64 attempts that they cannot check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digest {
    pub(crate) low: u64,
    pub(crate) high: u64,
}

/// Makes digests.
#[derive(Clone)]
pub(crate) struct Digester {
    /// With the key taken in already.
    start: Sip,
}

impl Digester {
    /// With a key of its own, derived from the store's.
    pub(crate) fn new(checksum: &Checksum) -> Self {
        let mut hasher = checksum.hasher();
        hasher.write(b"index");
        let low = hasher.finish();
        hasher.write(b"more");
        Self {
            start: Sip::wide([low, hasher.finish()]),
        }
    }

    pub(crate) fn of_key(&self, key: &Key<'_>) -> Digest {
        self.digest(key.kind, key.client, &key.hardware, key.iaid)
    }

    pub(crate) fn of_binding(&self, binding: &Binding) -> Digest {
        let client = binding.client.as_slice();
        self.digest(
            binding.lease.kind(),
            client,
            &binding.hardware,
            binding.iaid,
        )
    }

    /// What stands for a client, whatever it leases and in whichever IA.
    pub(crate) fn of_client(&self, key: &Key<'_>) -> u64 {
        let any = Key {
            iaid: Iaid(0),
            kind: LeaseKind::V4,
            ..*key
        };
        self.of_key(&any).high
    }

    #[inline]
    fn digest(
        &self,
        kind: LeaseKind,
        client: &[u8],
        hardware: &HardwareAddress,
        iaid: Iaid,
    ) -> Digest {
        let (htype, identity) = match client {
            [] => (u16::from(hardware.htype()), hardware.as_slice()),
            // No hardware type has this number, so the two sorts of identity never mix.
            client => (0xffff, client),
        };
        let [a, b] = htype.to_le_bytes();
        let [c, d, e, f] = iaid.0.to_le_bytes();
        let head = u64::from_le_bytes([kind as u8, identity.len() as u8, a, b, c, d, e, f]);
        let [low, high] = self.start.word(head).last(8, identity).finish_wide();
        Digest { low, high }
    }
}

impl core::fmt::Debug for Digester {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Digester(secret)")
    }
}

/// What identifies the client of a record, for comparing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Identity<'a> {
    /// A client identifier or DUID.
    Client(&'a [u8]),
    /// No client identifier: type and address.
    Hardware(u8, &'a [u8]),
}

impl<'a> Identity<'a> {
    pub(crate) fn of_key(key: &'a Key<'_>) -> Self {
        match key.client {
            [] => Self::Hardware(key.hardware.htype(), key.hardware.as_slice()),
            client => Self::Client(client),
        }
    }

    /// The octets, and how many of a record's identity octets (hardware, then client) come before them,
    /// if the record can be this client's at all.
    pub(crate) fn within(self, record: &ArchivedRecord) -> Option<(&'a [u8], usize)> {
        match self {
            Self::Client(client) => (usize::from(record.client_len) == client.len())
                .then_some((client, usize::from(record.hlen))),
            Self::Hardware(htype, address) => {
                let same = record.client_len == 0
                    && record.htype == htype
                    && usize::from(record.hlen) == address.len();
                same.then_some((address, 0))
            }
        }
    }
}

/// A hash table of so many entries that never allocates again. hashbrown rehashes in place when what
/// removed entries left behind fills it, but only while at most half of its capacity is in use.
pub(crate) fn table_for<T>(entries: usize) -> HashTable<T> {
    HashTable::with_capacity(2 * entries)
}
