//! How do records lie in the table and the journal? Every octet is in docs/lease-format.md.
//!
//! All structures are archived by rkyv with the features `little_endian` and `unaligned`: integers are
//! little-endian, there is no padding, and a record is read in place. rkyv proves that a structure is
//! valid, not that it is the one that was written; that is what the keyed checksums are for.

use crate::binding::{Binding, Lease, LeaseKind, State, SubnetId, Terms, Timestamp};
use crate::context::CONTEXT_OCTETS_MAX;
use core::hash::Hasher;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use dhcp_wire::id::{HardwareAddress, Iaid};
use rkyv::api::low;
use rkyv::rancor::{Failure, Strategy};
use rkyv::ser::allocator::SubAllocator;
use rkyv::ser::{Serializer, writer::Buffer};
use rkyv::{Archive, Serialize};
use siphasher::sip::SipHasher13;

/// The version of everything that lies on disk. A store with a higher one is refused; one with a lower one
/// is brought up to it when it is opened.
///
/// 1: without contexts, three extensions at most. All its records mean the same in 2.
pub const VERSION: u32 = 2;
/// Octets of a slot. It divides a sector, so no slot ever lies in two.
pub const SLOT_OCTETS: usize = 128;
/// Slots of a segment, unless the store says otherwise.
pub const SLOTS_PER_SEGMENT: u32 = 32_768;
/// Octets of identity (hardware address, then client identifier) and context that the binding's own slot
/// holds.
pub const INLINE_OCTETS: usize = 52;
/// Octets of identity and context that one extension slot holds.
pub const EXTENSION_OCTETS: usize = 96;
/// Most extension slots of one binding: the longest identity and the longest context fit.
pub const EXTENSIONS_MAX: usize = 8;
/// Octets of the longest identity: 16 of `chaddr` and 255 of client identifier.
pub const IDENTITY_OCTETS_MAX: usize = 16 + 255;
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
    /// Hardware address, client identifier, context: as much as fits, then zeros.
    pub octets: [u8; INLINE_OCTETS],
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
    /// Identity and context go on here.
    pub octets: [u8; EXTENSION_OCTETS],
}

const _: () = assert!(size_of::<ArchivedRecord>() == SLOT_OCTETS);
const _: () = assert!(size_of::<ArchivedExtension>() == SLOT_OCTETS);
const _: () = assert!(core::mem::offset_of!(ArchivedRecord, kind) == KIND_OFFSET);
const _: () = assert!(core::mem::offset_of!(ArchivedExtension, kind) == KIND_OFFSET);
const _: () = assert!(OCTETS_MAX >= IDENTITY_OCTETS_MAX + CONTEXT_OCTETS_MAX);

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
    /// The rest of a binding's identity and context.
    Extension(&'a ArchivedExtension),
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

    /// What it says but whose it is and in what surroundings, if it is sound.
    pub fn terms(&self) -> Option<Terms> {
        Some(Terms {
            lease: self.lease()?,
            state: self.state()?,
            subnet: SubnetId(self.subnet.to_native()),
            last_transaction: self.last_transaction(),
            expires: self.expires(),
            valid_seconds: self.valid.to_native(),
            preferred_seconds: self.preferred.to_native(),
        })
    }

    /// Whether all fields make sense together. Asserted before a record is written and asked after it
    /// is read.
    pub fn is_sound(&self) -> bool {
        self.kind().is_some()
            && self.state().is_some()
            && self.hlen <= 16
            && usize::from(self.extensions) >= extensions_for(self.identity_len())
            && usize::from(self.extensions) <= EXTENSIONS_MAX
            && (self.extensions == 0) == (self.extension == NO_SLOT)
            && (self.kind == LeaseKind::Prefix as u8 || self.prefix_length == 0)
            && self.prefix_length <= 128
    }
}

/// How many extension slots so many octets of identity and context take.
pub fn extensions_for(octets: usize) -> usize {
    octets
        .saturating_sub(INLINE_OCTETS)
        .div_ceil(EXTENSION_OCTETS)
}

/// Octets of identity and context for which a binding with so many extension slots has room.
pub fn room_in(extensions: usize) -> usize {
    INLINE_OCTETS + extensions * EXTENSION_OCTETS
}

/// Octets of identity and context that a binding has room for.
pub const OCTETS_MAX: usize = INLINE_OCTETS + EXTENSIONS_MAX * EXTENSION_OCTETS;

/// The octets of a binding's identity and context in the pieces in which they lie: its slot's, then its
/// extensions'. Ends early if an extension is none.
pub fn pieces<'a>(
    record: &'a ArchivedRecord,
    image: impl Fn(u32) -> Option<&'a Image>,
) -> impl Iterator<Item = &'a [u8]> {
    let mut next = record.extension.to_native();
    let extensions = (0..record.extensions).map_while(move |_| {
        let extension = extension(image(next)?)?;
        next = extension.next.to_native();
        Some(extension.octets.as_slice())
    });
    core::iter::once(record.octets.as_slice()).chain(extensions)
}

/// As many octets of a binding as `N`, put together from their [`pieces`]; zeros where there are no more.
pub fn gather<'a, const N: usize>(pieces: impl Iterator<Item = &'a [u8]>) -> [u8; N] {
    let mut octets = [0; N];
    let mut room = octets.as_mut_slice();
    for piece in pieces {
        let (here, rest) = room.split_at_mut(piece.len().min(room.len()));
        here.copy_from_slice(piece.get(..here.len()).unwrap_or_default());
        if rest.is_empty() {
            break;
        }
        room = rest;
    }
    octets
}

/// Whether [`pieces`] hold `parts` one behind the other, then zeros.
pub fn consist_of<'a>(pieces: impl Iterator<Item = &'a [u8]>, parts: [&[u8]; 3]) -> bool {
    let mut start = 0;
    for piece in pieces {
        let (mut left, mut skip) = (piece, start);
        for part in parts {
            let part_left = part.get(skip..).unwrap_or_default();
            skip = skip.saturating_sub(part.len());
            let (here, rest) = left.split_at(part_left.len().min(left.len()));
            if part_left.get(..here.len()) != Some(here) {
                return false;
            }
            left = rest;
        }
        if left.iter().any(|&octet| octet != 0) {
            return false;
        }
        start += piece.len();
    }
    start >= parts.iter().map(|part| part.len()).sum()
}

/// Overwrites `into` with a record. `octets` comes from [`gather`].
pub fn read(record: &ArchivedRecord, octets: &[u8; OCTETS_MAX], into: &mut Binding) {
    let hlen = usize::from(record.hlen);
    let (hardware, rest) = octets.split_at_checked(hlen).unwrap_or_default();
    let client_len = usize::from(record.client_len);
    let (client, context) = rest.split_at_checked(client_len).unwrap_or_default();
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
    into.context.set(context);
}

/// The images of one binding: its slot, then its extensions. All of one generation.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a> {
    binding: &'a Binding,
    context: &'a [u8],
    slots: &'a [u32],
    generation: u64,
    partition: u32,
    checksum: &'a Checksum,
}

impl<'a> Group<'a> {
    /// Writes a binding for `slots`: its own, then its extensions', as many as [`extensions_for`] says at
    /// least. `context` is what of the binding's context is kept ([`Context::fitting`]).
    ///
    /// [`Context::fitting`]: crate::Context::fitting
    pub fn new(
        binding: &'a Binding,
        context: &'a [u8],
        slots: &'a [u32],
        generation: u64,
        partition: u32,
        checksum: &'a Checksum,
    ) -> Self {
        let octets = binding.identity_len() + context.len();
        assert!(
            slots.len() > extensions_for(octets) && slots.len() <= 1 + EXTENSIONS_MAX,
            "{octets} octets in {} slots",
            slots.len()
        );
        Self {
            binding,
            context,
            slots,
            generation,
            partition,
            checksum,
        }
    }

    /// Slot numbers with their images, the binding's own first. Made as they are asked for: most groups
    /// have one image and none is kept.
    pub fn images(&self) -> impl Iterator<Item = (u32, Image)> + use<'a> {
        let this = *self;
        let slots = this.slots.iter().enumerate();
        slots.map(move |(number, &slot)| {
            let image = match number {
                0 => archive(&this.record()),
                part => archive(&this.extension(part)),
            };
            (slot, this.checksum.signed(image, this.partition, slot))
        })
    }

    fn record(&self) -> Record {
        let binding = self.binding;
        let (address, prefix_length) = address_octets(binding.lease);
        Record {
            checksum: 0,
            generation: self.generation,
            kind: binding.lease.kind() as u8,
            state: binding.state as u8,
            prefix_length,
            flags: 0,
            htype: binding.hardware.htype(),
            hlen: binding.hardware.as_slice().len() as u8,
            client_len: binding.client.len() as u8,
            extensions: (self.slots.len() - 1) as u8,
            address,
            subnet: binding.subnet.0,
            iaid: binding.iaid.0,
            expires: binding.expires.0,
            valid: binding.valid_seconds,
            preferred: binding.preferred_seconds,
            last_transaction: binding.last_transaction.0,
            extension: self.slot(1),
            octets: self.octets_from(0),
        }
    }

    fn extension(&self, part: usize) -> Extension {
        Extension {
            checksum: 0,
            generation: self.generation,
            kind: KIND_EXTENSION,
            part: part as u8,
            flags: 0,
            head: self.slot(0),
            next: self.slot(part + 1),
            reserved: 0,
            octets: self.octets_from(room_in(part - 1)),
        }
    }

    fn slot(&self, number: usize) -> u32 {
        self.slots.get(number).copied().unwrap_or(NO_SLOT)
    }

    /// `N` octets of hardware address, client identifier and context, which lie one behind the other, from
    /// `start` on; then zeros.
    fn octets_from<const N: usize>(&self, start: usize) -> [u8; N] {
        let mut octets = [0; N];
        let mut room = octets.as_mut_slice();
        let mut skip = start;
        let Binding {
            hardware, client, ..
        } = self.binding;
        for piece in [hardware.as_slice(), client.as_slice(), self.context] {
            let left = piece.get(skip..).unwrap_or_default();
            skip = skip.saturating_sub(piece.len());
            let (here, rest) = room.split_at_mut(left.len().min(room.len()));
            here.copy_from_slice(left.get(..here.len()).unwrap_or_default());
            room = rest;
        }
        octets
    }
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

    /// The checksum that `image` must carry in slot `slot` of `partition`. The place is part of it, so
    /// a write that went astray is seen.
    pub fn of(&self, image: &Image, partition: u32, slot: u32) -> u64 {
        let mut hasher = self.hasher();
        hasher.write(image.get(8..).unwrap_or_default());
        hasher.write_u64(u64::from(partition) << 32 | u64::from(slot));
        hasher.finish()
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
