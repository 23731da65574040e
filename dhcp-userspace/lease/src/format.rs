//! How do records lie in the table and the journal? Every octet is in docs/lease-format.md.
//!
//! All structures are archived by rkyv with the features `little_endian` and `unaligned`: integers are
//! little-endian, there is no padding, and a record is read in place. rkyv proves that a structure is
//! valid, not that it is the one that was written; that is what the keyed checksums are for.

use crate::binding::{Binding, Lease, LeaseKind, State, SubnetId, Timestamp};
use crate::sip::Sip;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use dhcp_wire::id::{HardwareAddress, Iaid};
use rkyv::api::low;
use rkyv::rancor::{Failure, Strategy};
use rkyv::ser::allocator::SubAllocator;
use rkyv::ser::{Serializer, writer::Buffer};
use rkyv::{Archive, Serialize};
use siphasher::sip::SipHasher13;

/// The version of everything that lies on disk. A store with a higher one is refused.
pub const VERSION: u32 = 1;
/// Octets of a slot. It divides a sector, so no slot ever lies in two.
pub const SLOT_OCTETS: usize = 128;
/// Slots of a segment, unless the store says otherwise.
pub const SLOTS_PER_SEGMENT: u32 = 32_768;
/// Octets of an identity (hardware address, then client identifier) that the binding's own slot holds.
pub const INLINE_OCTETS: usize = 52;
/// Octets of an identity that one extension slot holds.
pub const EXTENSION_OCTETS: usize = 96;
/// Most extension slots of one binding: 16 octets of `chaddr` and 255 of client identifier fit.
pub const EXTENSIONS_MAX: usize = 3;
/// Stands for "no slot".
pub const NO_SLOT: u32 = u32::MAX;

/// A slot as it lies in the table.
pub type Image = [u8; SLOT_OCTETS];

const KIND_BLANK: u8 = 0;
const KIND_EXTENSION: u8 = 0xee;
const KIND_OFFSET: usize = 16;

/// A binding in its slot.
#[derive(Archive, Serialize, Debug)]
#[rkyv(derive(Debug))]
pub struct Record {
    /// SipHash-1-3 under the store's key over all that follows, the partition and the slot number.
    pub checksum: u64,
    /// Counts the commits of the partition; of two images of one slot the higher is the newer.
    pub generation: u64,
    /// `LeaseKind`: 4, 6, 7. (0: blank; 0xee: an extension.)
    pub kind: u8,
    /// `State`: 1, 2, 3.
    pub state: u8,
    /// Delegated length of a prefix, else 0.
    pub prefix_length: u8,
    /// Zero in this version.
    pub flags: u8,
    /// Hardware type.
    pub htype: u8,
    /// Octets of the hardware address.
    pub hlen: u8,
    /// Octets of the client identifier or DUID.
    pub client_len: u8,
    /// How many extension slots follow.
    pub extensions: u8,
    /// The address; IPv4 in the first four octets, then zeros.
    pub address: [u8; 16],
    /// Number of the subnet.
    pub subnet: u32,
    /// DHCPv6: the IA.
    pub iaid: u32,
    /// Seconds since 1970 when it ends; 2^64 - 1 never.
    pub expires: u64,
    /// Valid lifetime as granted, in seconds.
    pub valid: u32,
    /// Preferred lifetime as granted, in seconds.
    pub preferred: u32,
    /// Seconds since 1970 when the client was last answered.
    pub last_transaction: u64,
    /// The first extension slot, or 2^32 - 1.
    pub extension: u32,
    /// Hardware address, then client identifier: as much as fits, then zeros.
    pub identity: [u8; INLINE_OCTETS],
}

/// What did not fit into a binding's slot.
#[derive(Archive, Serialize, Debug)]
#[rkyv(derive(Debug))]
pub struct Extension {
    /// As in [`Record`].
    pub checksum: u64,
    /// That of the binding's slot: all its slots are written as one.
    pub generation: u64,
    /// 0xee.
    pub kind: u8,
    /// 1 for the first extension of a binding, 2 for the second, and so on.
    pub part: u8,
    /// Zero in this version.
    pub flags: u16,
    /// The binding's slot.
    pub head: u32,
    /// The next extension slot, or 2^32 - 1.
    pub next: u32,
    /// Zero in this version.
    pub reserved: u32,
    /// The identity goes on here.
    pub identity: [u8; EXTENSION_OCTETS],
}

const _: () = assert!(size_of::<ArchivedRecord>() == SLOT_OCTETS);
const _: () = assert!(size_of::<ArchivedExtension>() == SLOT_OCTETS);
const _: () = assert!(core::mem::offset_of!(ArchivedRecord, kind) == KIND_OFFSET);
const _: () = assert!(core::mem::offset_of!(ArchivedExtension, kind) == KIND_OFFSET);
const _: () = assert!(INLINE_OCTETS + EXTENSIONS_MAX * EXTENSION_OCTETS >= 16 + 255);

/// Archives a fixed-layout value into exactly `N` octets of stack.
pub(crate) fn archive<T, const N: usize>(value: &T) -> [u8; N]
where
    T: Archive + for<'a> Serialize<Strategy<Serializer<Buffer<'a>, SubAllocator<'a>, ()>, Failure>>,
{
    const { assert!(size_of::<T::Archived>() == N) };
    let mut octets = [0; N];
    let room = Buffer::from(&mut octets);
    let nothing = SubAllocator::new(&mut []);
    let written = low::to_bytes_in_with_alloc::<_, _, Failure>(value, room, nothing);
    assert!(
        written.is_ok_and(|buffer| buffer.len() == N),
        "a record of {N} octets did not fit"
    );
    octets
}

/// What a slot holds, read in place.
#[derive(Debug)]
pub enum Slot<'a> {
    /// Never written.
    Blank,
    /// A binding.
    Binding(&'a ArchivedRecord),
    /// The rest of a binding's identity.
    Extension(&'a ArchivedExtension),
}

/// Whether a slot was never written.
pub fn is_blank(image: &Image) -> bool {
    // One octet tells most others apart.
    image.get(KIND_OFFSET) == Some(&KIND_BLANK) && image == &[0; SLOT_OCTETS]
}

/// Reads a slot whose checksum is known to be right (or that is to be judged). `None`: no such kind.
pub fn slot(image: &Image) -> Option<Slot<'_>> {
    let [.., kind] = image.first_chunk::<{ KIND_OFFSET + 1 }>()?;
    match *kind {
        KIND_BLANK => Some(Slot::Blank),
        KIND_EXTENSION => Some(Slot::Extension(low::access::<_, Failure>(image).ok()?)),
        _ => Some(Slot::Binding(low::access::<_, Failure>(image).ok()?)),
    }
}

/// The binding in a slot, if it is one.
pub fn record(image: &Image) -> Option<&ArchivedRecord> {
    match slot(image)? {
        Slot::Binding(record) => Some(record),
        Slot::Blank | Slot::Extension(_) => None,
    }
}

/// The extension in a slot, if it is one.
pub fn extension(image: &Image) -> Option<&ArchivedExtension> {
    match slot(image)? {
        Slot::Extension(extension) => Some(extension),
        Slot::Blank | Slot::Binding(_) => None,
    }
}

/// The generation of an image; 0 of a blank one.
pub fn generation(image: &Image) -> u64 {
    let [_, generation, ..] = image.as_chunks::<8>().0 else {
        return 0;
    };
    u64::from_le_bytes(*generation)
}

impl ArchivedRecord {
    /// What it says of its lease, if it says a known thing.
    pub fn state(&self) -> Option<State> {
        [State::Leased, State::Released, State::Declined]
            .into_iter()
            .find(|&state| state as u8 == self.state)
    }

    /// The kind of lease.
    pub fn kind(&self) -> Option<LeaseKind> {
        [LeaseKind::V4, LeaseKind::Address, LeaseKind::Prefix]
            .into_iter()
            .find(|&kind| kind as u8 == self.kind)
    }

    /// The lease.
    pub fn lease(&self) -> Option<Lease> {
        let [a, b, c, d, ..] = self.address;
        Some(match self.kind()? {
            LeaseKind::V4 => Lease::V4(Ipv4Addr::new(a, b, c, d)),
            LeaseKind::Address => Lease::Address(Ipv6Addr::from(self.address)),
            LeaseKind::Prefix => Lease::Prefix(Ipv6Addr::from(self.address), self.prefix_length),
        })
    }

    /// When it ends.
    pub fn expires(&self) -> Timestamp {
        Timestamp(self.expires.to_native())
    }

    /// When the client was last answered.
    pub fn last_transaction(&self) -> Timestamp {
        Timestamp(self.last_transaction.to_native())
    }

    /// Octets of hardware address and client identifier together.
    pub fn identity_len(&self) -> usize {
        usize::from(self.hlen) + usize::from(self.client_len)
    }

    /// Whether all fields make sense together. Asserted before a record is written and asked after it
    /// is read.
    pub fn is_sound(&self) -> bool {
        self.kind().is_some()
            && self.state().is_some()
            && self.hlen <= 16
            && usize::from(self.extensions) == extensions_for(self.identity_len())
            && (self.extensions == 0) == (self.extension == NO_SLOT)
            && (self.kind == LeaseKind::Prefix as u8 || self.prefix_length == 0)
            && self.prefix_length <= 128
    }
}

/// How many extension slots an identity of so many octets takes.
pub fn extensions_for(identity_octets: usize) -> usize {
    identity_octets
        .saturating_sub(INLINE_OCTETS)
        .div_ceil(EXTENSION_OCTETS)
}

/// Octets of the longest identity, and a little more.
pub const IDENTITY_OCTETS: usize = INLINE_OCTETS + EXTENSIONS_MAX * EXTENSION_OCTETS;

/// A binding's identity octets from its slot and its extensions, then zeros.
pub fn gather<'a>(
    record: &ArchivedRecord,
    image: impl Fn(u32) -> Option<&'a Image>,
) -> [u8; IDENTITY_OCTETS] {
    let mut octets = [0; IDENTITY_OCTETS];
    let Some((first, rest)) = octets.split_first_chunk_mut::<INLINE_OCTETS>() else {
        return octets;
    };
    *first = record.identity;
    let (parts, _) = rest.as_chunks_mut::<EXTENSION_OCTETS>();
    let mut next = record.extension.to_native();
    for part in parts.iter_mut().take(usize::from(record.extensions)) {
        let Some(extension) = image(next).and_then(extension) else {
            break;
        };
        *part = extension.identity;
        next = extension.next.to_native();
    }
    octets
}

/// Overwrites `into` with a record. `identity` comes from [`gather`].
pub fn read(record: &ArchivedRecord, identity: &[u8; IDENTITY_OCTETS], into: &mut Binding) {
    let hlen = usize::from(record.hlen);
    let hardware = identity.get(..hlen).unwrap_or_default();
    let client = identity
        .get(hlen..record.identity_len())
        .unwrap_or_default();
    into.lease = record.lease().unwrap_or(into.lease);
    into.state = record.state().unwrap_or(into.state);
    into.subnet = SubnetId(record.subnet.to_native());
    into.hardware = HardwareAddress::new(record.htype, hardware).unwrap_or_default();
    into.client.clear();
    let fits = into.client.push_slice(client);
    assert!(
        fits.is_ok(),
        "a client identifier of {} octets",
        client.len()
    );
    into.iaid = Iaid(record.iaid.to_native());
    into.last_transaction = record.last_transaction();
    into.expires = record.expires();
    into.valid_seconds = record.valid.to_native();
    into.preferred_seconds = record.preferred.to_native();
}

/// The images of one binding: its slot, then its extensions. All of one generation.
#[derive(Debug)]
pub struct Group {
    images: [(u32, Image); 1 + EXTENSIONS_MAX],
    len: usize,
}

impl Group {
    /// Writes a binding for `slots` (its own, then its extensions', exactly as many as
    /// [`extensions_for`] says).
    pub fn new(
        binding: &Binding,
        slots: &[u32],
        generation: u64,
        partition: u32,
        checksum: &Checksum,
    ) -> Self {
        let hardware = binding.hardware.as_slice();
        let client = binding.client.as_slice();
        let mut rest = hardware.iter().chain(client).copied();
        let (head, extensions) = slots.split_first().unwrap_or((&NO_SLOT, &[]));
        assert!(
            extensions.len() == extensions_for(hardware.len() + client.len()),
            "an identity of {} octets in {} extensions",
            hardware.len() + client.len(),
            extensions.len()
        );
        let mut group = Self {
            images: [(NO_SLOT, [0; SLOT_OCTETS]); 1 + EXTENSIONS_MAX],
            len: 0,
        };
        let (address, prefix_length) = address_octets(binding.lease);
        let record = Record {
            checksum: 0,
            generation,
            kind: binding.lease.kind() as u8,
            state: binding.state as u8,
            prefix_length,
            flags: 0,
            htype: binding.hardware.htype(),
            hlen: hardware.len() as u8,
            client_len: client.len() as u8,
            extensions: extensions.len() as u8,
            address,
            subnet: binding.subnet.0,
            iaid: binding.iaid.0,
            expires: binding.expires.0,
            valid: binding.valid_seconds,
            preferred: binding.preferred_seconds,
            last_transaction: binding.last_transaction.0,
            extension: extensions.first().copied().unwrap_or(NO_SLOT),
            identity: take(&mut rest),
        };
        group.push(*head, checksum.signed(archive(&record), partition, *head));
        for (number, &slot) in extensions.iter().enumerate() {
            let extension = Extension {
                checksum: 0,
                generation,
                kind: KIND_EXTENSION,
                part: number as u8 + 1,
                flags: 0,
                head: *head,
                next: extensions.get(number + 1).copied().unwrap_or(NO_SLOT),
                reserved: 0,
                identity: take(&mut rest),
            };
            group.push(slot, checksum.signed(archive(&extension), partition, slot));
        }
        group
    }

    fn push(&mut self, slot: u32, image: Image) {
        if let Some(room) = self.images.get_mut(self.len) {
            *room = (slot, image);
            self.len += 1;
        }
    }

    /// Slot numbers with their images, the binding's own first.
    pub fn images(&self) -> &[(u32, Image)] {
        self.images.get(..self.len).unwrap_or_default()
    }
}

fn take<const N: usize>(octets: &mut impl Iterator<Item = u8>) -> [u8; N] {
    core::array::from_fn(|_| octets.next().unwrap_or(0))
}

fn address_octets(lease: Lease) -> ([u8; 16], u8) {
    let prefix_length = match lease {
        Lease::Prefix(_, length) => length,
        Lease::V4(_) | Lease::Address(_) => 0,
    };
    let octets = match lease.address() {
        IpAddr::V6(address) => address.octets(),
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
    };
    (octets, prefix_length)
}

/// The keyed checksum of a store. Clients choose what records say, so a checksum without a key could be
/// made to fit a half-written one.
#[derive(Clone, Copy)]
pub struct Checksum {
    key: [u64; 2],
}

impl Checksum {
    /// With the store's key.
    pub fn new(key: [u8; 16]) -> Self {
        let number = u128::from_le_bytes(key);
        Self {
            key: [number as u64, (number >> 64) as u64],
        }
    }

    /// A hasher for other structures of the store.
    pub(crate) fn hasher(&self) -> SipHasher13 {
        let [low, high] = self.key;
        SipHasher13::new_with_keys(low, high)
    }

    /// A hash of other structures of the store, in whole words.
    pub(crate) fn sip(&self) -> Sip {
        Sip::new(self.key)
    }

    /// The checksum that `image` must carry in slot `slot` of `partition`. The place is part of it, so
    /// a write that went astray is seen.
    pub fn of(&self, image: &Image, partition: u32, slot: u32) -> u64 {
        let (words, _) = image.as_chunks::<8>();
        let covered = words.iter().skip(1);
        covered
            .fold(Sip::new(self.key), |sip, word| {
                sip.word(u64::from_le_bytes(*word))
            })
            .word(u64::from(partition) << 32 | u64::from(slot))
            .last(SLOT_OCTETS, &[])
            .finish()
    }

    /// The image with its checksum filled in.
    pub fn signed(&self, mut image: Image, partition: u32, slot: u32) -> Image {
        let checksum = self.of(&image, partition, slot).to_le_bytes();
        if let Some(field) = image.first_chunk_mut::<8>() {
            *field = checksum;
        }
        image
    }

    /// Whether `image` was written for this place and is whole.
    pub fn is_right(&self, image: &Image, partition: u32, slot: u32) -> bool {
        image.first_chunk::<8>() == Some(&self.of(image, partition, slot).to_le_bytes())
    }
}

impl core::fmt::Debug for Checksum {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Checksum(secret)")
    }
}
