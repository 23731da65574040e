//! By what else than its client is a lease found? By address, and while it is live by hardware address and
//! Remote-Id, for the questions of relay agents (RFC 4388, RFC 6148, RFC 6926).
//!
//! A directory is there only where somebody asked for one ([`Partitions::file_all`]): a server without
//! leasequery pays nothing. Invariants:
//! - Once it is whole, every DHCPv4 binding of its partition is in it under its address, every live one under
//!   its other keys too, and nothing else is. What stands in an entry tells how to take it out again, whatever the slot says by then.
//! - Putting in and taking out take constant time, however many bindings have the same key: a relay agent that
//!   says the same Remote-Id for each of its ports costs no more than any other.
//!
//! [`Partitions::file_all`]: crate::Partitions::file_all

use crate::binding::{Binding, Lease};
use crate::context::{Context, ItemKind};
use crate::format::Checksum;
use crate::sip::Sip;
use core::hash::Hasher;
use core::net::Ipv4Addr;
use dhcp_wire::id::HardwareAddress;
use dhcp_wire::v4::{SubOptions, code};

/// Keys of one binding: address, hardware address, Remote-Id.
const KEYS: usize = 3;

/// By what a live lease is sought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sought<'a> {
    /// By its address.
    Address(Ipv4Addr),
    /// By the hardware address of its client, whether or not the client has an identifier besides.
    Hardware(HardwareAddress),
    /// By the Remote-Id that the relay agent told (RFC 3046 section 3.2).
    RemoteId(&'a [u8]),
    /// By the identifier of its client.
    Client(&'a [u8]),
}

/// There is no directory, or not everything is in it yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the leases are not filed by address, hardware address and Remote-Id (yet)")]
pub struct NotFiled;

/// The place of a binding among those of one key. 0 in a link is none; else it is a node's number plus one.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// 0: the binding has no such key, or is not filed.
    digest: u32,
    next: u32,
    previous: u32,
}

/// The directory of one partition: hash chains with a link back.
pub(crate) struct Directory {
    /// With the key taken in already.
    start: Sip,
    buckets: Vec<u32>,
    entries: Vec<[Entry; KEYS]>,
    is_whole: bool,
}

impl Directory {
    /// For so many slots; nothing is filed.
    pub(crate) fn new(slots: u32, checksum: &Checksum) -> Self {
        let mut hasher = checksum.hasher();
        hasher.write(b"directory");
        let low = hasher.finish();
        hasher.write(b"more");
        Self {
            start: Sip::new([low, hasher.finish()]),
            buckets: vec![0; (slots as usize).next_power_of_two()],
            entries: vec![[Entry::default(); KEYS]; slots as usize],
            is_whole: false,
        }
    }

    pub(crate) fn set_whole(&mut self) {
        self.is_whole = true;
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Files a binding under its keys, instead of those that its slot had before.
    pub(crate) fn file(&mut self, slot: u32, binding: &Binding, is_live: bool) {
        let digests = self.digests(binding, is_live);
        for (key, digest) in digests.into_iter().enumerate() {
            let filed = self.entry(slot, key).map_or(0, |entry| entry.digest);
            if filed != digest {
                self.take_out(slot, key);
                self.put_in(slot, key, digest);
            }
        }
    }

    /// A binding is not live any more: only its address tells of it.
    pub(crate) fn end(&mut self, slot: u32) {
        for key in 1..KEYS {
            self.take_out(slot, key);
        }
    }

    /// Takes a slot out, if it is filed.
    pub(crate) fn forget(&mut self, slot: u32) {
        for key in 0..KEYS {
            self.take_out(slot, key);
        }
    }

    /// The slots that were filed under this, the last one first, and now and then one of another.
    pub(crate) fn candidates(&self, sought: &Sought<'_>) -> impl Iterator<Item = u32> {
        let digest = self.digest(sought);
        let mut next = self.buckets.get(self.bucket(digest)).copied();
        core::iter::from_fn(move || {
            loop {
                let (slot, key) = place(next.filter(|_| digest != 0)?)?;
                let entry = self.entry(slot, key)?;
                next = Some(entry.next);
                if entry.digest == digest {
                    return Some(slot);
                }
            }
        })
    }

    fn digests(&self, binding: &Binding, is_live: bool) -> [u32; KEYS] {
        let Lease::V4(address) = binding.lease else {
            return [0; KEYS];
        };
        if !is_live {
            return [self.digest(&Sought::Address(address)), 0, 0];
        }
        let remote_id = remote_id(&binding.context).map(|id| self.digest(&Sought::RemoteId(id)));
        [
            self.digest(&Sought::Address(address)),
            self.digest(&Sought::Hardware(binding.hardware)),
            remote_id.unwrap_or(0),
        ]
    }

    /// Never 0 but for what nothing is filed under.
    fn digest(&self, sought: &Sought<'_>) -> u32 {
        let of = |kind: u64, octets: &[u8]| {
            let sip = self.start.word(kind).last(8, octets);
            (sip.finish() as u32).max(1)
        };
        match sought {
            Sought::Address(address) => of(0, &address.octets()),
            Sought::Hardware(hardware) if hardware.as_slice().is_empty() => 0,
            Sought::Hardware(hardware) => {
                of(1 << 8 | u64::from(hardware.htype()), hardware.as_slice())
            }
            Sought::RemoteId(id) => of(2 << 8, id),
            // Found by the client index.
            Sought::Client(_) => 0,
        }
    }

    fn bucket(&self, digest: u32) -> usize {
        digest as usize & (self.buckets.len() - 1)
    }

    fn entry(&self, slot: u32, key: usize) -> Option<&Entry> {
        self.entries.get(slot as usize)?.get(key)
    }

    fn entry_mut(&mut self, slot: u32, key: usize) -> Option<&mut Entry> {
        self.entries.get_mut(slot as usize)?.get_mut(key)
    }

    fn linked(&mut self, link: u32) -> Option<&mut Entry> {
        let (slot, key) = place(link)?;
        self.entry_mut(slot, key)
    }

    fn put_in(&mut self, slot: u32, key: usize, digest: u32) {
        if digest == 0 {
            return;
        }
        let bucket = self.bucket(digest);
        let own = link(slot, key);
        let Some(head) = self.buckets.get_mut(bucket) else {
            return;
        };
        let next = core::mem::replace(head, own);
        if let Some(entry) = self.linked(next) {
            entry.previous = own;
        }
        if let Some(entry) = self.entry_mut(slot, key) {
            *entry = Entry {
                digest,
                next,
                previous: 0,
            };
        }
    }

    fn take_out(&mut self, slot: u32, key: usize) {
        let Some(entry) = self.entry_mut(slot, key) else {
            return;
        };
        let Entry {
            digest,
            next,
            previous,
        } = core::mem::take(entry);
        if digest == 0 {
            return;
        }
        if let Some(entry) = self.linked(next) {
            entry.previous = previous;
        }
        let bucket = self.bucket(digest);
        match self.linked(previous) {
            Some(entry) => entry.next = next,
            None => {
                if let Some(head) = self.buckets.get_mut(bucket) {
                    *head = next;
                }
            }
        }
    }
}

impl core::fmt::Debug for Directory {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Directory")
            .field("slots", &self.entries.len())
            .field("is_whole", &self.is_whole)
            .finish_non_exhaustive()
    }
}

/// The Remote-Id in the relay agent's option, the first if there are several.
pub fn remote_id(context: &Context) -> Option<&[u8]> {
    sub_option(context, code::AGENT_REMOTE_ID)
}

/// The first sub-option with this code in the relay agent's option.
pub fn sub_option(context: &Context, code: u8) -> Option<&[u8]> {
    let mut agents = context.of_kind(ItemKind::AGENT).flat_map(SubOptions::new);
    let found = agents.find(|sub_option| sub_option.code == code)?;
    Some(found.data)
}

fn link(slot: u32, key: usize) -> u32 {
    // A partition has fewer than 2^28 slots.
    slot * KEYS as u32 + key as u32 + 1
}

fn place(link: u32) -> Option<(u32, usize)> {
    let node = link.checked_sub(1)?;
    Some((node / KEYS as u32, node as usize % KEYS))
}

#[cfg(test)]
mod tests;
