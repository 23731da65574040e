//! Where do the slots lie? One partition's table over plain regions of octets.
//!
//! A header region (geometry, redo area), then segments of slots. Whoever holds a [`Table`] is the only
//! one who writes it.

use crate::format::{Checksum, EXTENSIONS_MAX, Image, SLOT_OCTETS, generation};
use core::fmt;
use core::sync::atomic::{Ordering, fence};

/// Memory that a table lies in: plain memory, or a mapped file of the shell's.
pub trait Region: Send {
    /// All octets.
    fn octets(&self) -> &[u8];
    /// All octets, to write.
    fn octets_mut(&mut self) -> &mut [u8];
}

impl Region for Vec<u8> {
    fn octets(&self) -> &[u8] {
        self
    }

    fn octets_mut(&mut self) -> &mut [u8] {
        self
    }
}

/// The slots of one partition.
pub struct Table {
    partition: u32,
    checksum: Checksum,
    header: Box<dyn Region>,
    segments: Vec<Box<dyn Region>>,
    slots_per_segment: u32,
    slots: u32,
}

/// The smallest page that a file is written in: what is stored once in every one dirties all.
const PAGE_OCTETS: usize = 4_096;
/// Slots in it.
pub(crate) const SLOTS_PER_PAGE: u32 = (PAGE_OCTETS / SLOT_OCTETS) as u32;
/// Octets of a table's header region.
pub const HEADER_OCTETS: usize = 16_384;
const REDO_OFFSET: usize = 8_192;
/// The redo area: how many entries are valid (8 octets), then the entries.
const REDO_ENTRY_OCTETS: usize = 8 + SLOT_OCTETS;

impl Table {
    /// A table over its regions. Octets after the last whole slot of a segment are not used.
    pub(crate) fn new(
        partition: u32,
        checksum: Checksum,
        slots_per_segment: u32,
        header: Box<dyn Region>,
        segments: Vec<Box<dyn Region>>,
    ) -> Self {
        let slots = segments.iter().map(|segment| {
            let slots = segment.octets().len() / SLOT_OCTETS;
            u32::try_from(slots)
                .unwrap_or(u32::MAX)
                .min(slots_per_segment)
        });
        let slots = slots.fold(0u32, u32::saturating_add).min(u32::MAX / 2);
        Self {
            partition,
            checksum,
            header,
            segments,
            slots_per_segment,
            slots,
        }
    }

    /// How many slots there are.
    pub fn slots(&self) -> u32 {
        self.slots
    }

    /// A slot's octets, in place.
    pub fn image(&self, slot: u32) -> Option<&Image> {
        let segment = self
            .segments
            .get((slot / self.slots_per_segment) as usize)?;
        let (images, _) = segment.octets().as_chunks::<SLOT_OCTETS>();
        images.get((slot % self.slots_per_segment) as usize)
    }

    /// Writes a slot. A reader of the file, or the kernel, may see it half done.
    pub(crate) fn store(&mut self, slot: u32, image: &Image) {
        let Some(segment) = self
            .segments
            .get_mut((slot / self.slots_per_segment) as usize)
        else {
            return;
        };
        let (images, _) = segment.octets_mut().as_chunks_mut::<SLOT_OCTETS>();
        if let Some(room) = images.get_mut((slot % self.slots_per_segment) as usize) {
            *room = *image;
        }
    }

    /// Writes a group of slots so that a reader of the file finds all of them or none, whenever the
    /// process is killed: first into the redo area, then into their places.
    pub(crate) fn commit(&mut self, images: &[(u32, Image)]) {
        self.redo(images);
        for (slot, image) in images {
            self.store(*slot, image);
        }
        self.set_redo_count(0);
    }

    /// Stores an image unless what is there is whole and at least as new. Whether it was stored.
    pub(crate) fn mend(&mut self, slot: u32, image: &Image) -> bool {
        let Some(there) = self.image(slot) else {
            return false;
        };
        let whole =
            there == &[0; SLOT_OCTETS] || self.checksum.is_right(there, self.partition, slot);
        if whole && generation(there) >= generation(image) {
            return false;
        }
        self.store(slot, image);
        true
    }

    /// As [`Table::mend`]; where there is nothing to mend, the slot is stored over itself. Either way its
    /// page is dirty afterwards, and the next sync must write it.
    pub(crate) fn renew(&mut self, slot: u32, image: &Image) -> bool {
        let is_mended = self.mend(slot, image);
        if !is_mended {
            self.touch_up(slot);
        }
        is_mended
    }

    /// Stores a slot over itself.
    pub(crate) fn touch_up(&mut self, slot: u32) {
        // Or else the compiler may see that nothing changes, and store nothing.
        if let Some(image) = core::hint::black_box(self.image(slot).copied()) {
            self.store(slot, &image);
        }
    }

    /// Stores the first octet of every page of the header region over itself.
    pub(crate) fn touch_up_header(&mut self) {
        for octet in self.header.octets_mut().iter_mut().step_by(PAGE_OCTETS) {
            *octet = core::hint::black_box(*octet);
        }
    }

    /// Finishes the group that a killed process was writing. How many slots that changed.
    pub(crate) fn finish_redo(&mut self) -> u64 {
        let header = self.header.octets();
        let entries: Vec<(u32, Image)> = redo_entries(header, self.partition, &self.checksum)
            .map(|(slot, image)| (slot, *image))
            .collect();
        let mut stored = 0;
        for (slot, image) in &entries {
            stored += u64::from(self.mend(*slot, image));
        }
        self.set_redo_count(0);
        stored
    }

    fn redo(&mut self, images: &[(u32, Image)]) {
        let area = self
            .header
            .octets_mut()
            .get_mut(REDO_OFFSET + 8..)
            .unwrap_or_default();
        let (entries, _) = area.as_chunks_mut::<REDO_ENTRY_OCTETS>();
        for (entry, (slot, image)) in entries.iter_mut().zip(images) {
            let (place, rest) = entry.split_at_mut(8);
            place.copy_from_slice(&u64::from(*slot).to_le_bytes());
            rest.copy_from_slice(image);
        }
        self.set_redo_count(images.len() as u64);
    }

    /// The fences keep the compiler and the processor from moving stores of before and after past the
    /// one that decides. The count is small, so its first octet alone changes: it cannot be half done.
    fn set_redo_count(&mut self, count: u64) {
        fence(Ordering::SeqCst);
        let area = self
            .header
            .octets_mut()
            .get_mut(REDO_OFFSET..)
            .unwrap_or_default();
        if let Some(place) = area.first_chunk_mut::<8>() {
            *place = count.to_le_bytes();
        }
        fence(Ordering::SeqCst);
    }
}

/// The group in a redo area: nothing unless all of it is whole.
pub(crate) fn redo_entries<'a>(
    header: &'a [u8],
    partition: u32,
    checksum: &Checksum,
) -> impl Iterator<Item = (u32, &'a Image)> + use<'a> {
    let area = header.get(REDO_OFFSET..).unwrap_or_default();
    let (count, entries) = area.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    let (entries, _) = entries.as_chunks::<REDO_ENTRY_OCTETS>();
    let count = usize::try_from(u64::from_le_bytes(*count)).unwrap_or(usize::MAX);
    let group = entries
        .get(..count)
        .filter(|group| group.len() <= 1 + EXTENSIONS_MAX);
    let whole = group.filter(|group| {
        group
            .iter()
            .filter_map(redo_entry)
            .all(|(slot, image)| checksum.is_right(image, partition, slot))
    });
    whole.unwrap_or_default().iter().filter_map(redo_entry)
}

fn redo_entry(entry: &[u8; REDO_ENTRY_OCTETS]) -> Option<(u32, &Image)> {
    let (slot, image) = entry.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*slot) as u32, image.first_chunk()?))
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("partition", &self.partition)
            .field("slots", &self.slots)
            .finish_non_exhaustive()
    }
}
