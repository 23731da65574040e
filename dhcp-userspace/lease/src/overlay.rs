//! What is newest? Images that are promised to nobody yet because the journal does not have them.
//!
//! Under durability "power" a commit goes here and into the change log, and into the table only when
//! the journal has it: so whatever a power cut makes of a page of the table, the journal can mend it.

use crate::format::{Image, SLOT_OCTETS};
use crate::index::table_for;
use hashbrown::HashTable;

#[derive(Debug)]
pub(crate) struct Overlay {
    index: HashTable<u32>,
    entries: Vec<(u32, Image)>,
    free: Vec<u32>,
}

impl Overlay {
    /// Room for so many images. More are taken in too, at the price of an allocation.
    pub(crate) fn new(images: usize) -> Self {
        Self {
            index: table_for(images),
            entries: vec![(0, [0; SLOT_OCTETS]); images],
            free: (0..images as u32).rev().collect(),
        }
    }

    pub(crate) fn image(&self, slot: u32) -> Option<&Image> {
        // Under durability "process", and when all is settled, this is the whole cost.
        if self.index.is_empty() {
            return None;
        }
        let &place = self
            .index
            .find(hash(slot), |&place| self.slot_at(place) == Some(slot))?;
        self.entries.get(place as usize).map(|(_, image)| image)
    }

    pub(crate) fn store(&mut self, slot: u32, image: &Image) {
        let entries = &self.entries;
        let same = |&place: &u32| {
            entries
                .get(place as usize)
                .is_some_and(|(at, _)| *at == slot)
        };
        let place = match self.index.find(hash(slot), same) {
            Some(&place) => place,
            None => self.place_for(slot),
        };
        if let Some(entry) = self.entries.get_mut(place as usize) {
            *entry = (slot, *image);
        }
    }

    /// Forgets the image of a slot if it is of this generation.
    pub(crate) fn settle(&mut self, slot: u32, generation: u64) {
        let entries = &self.entries;
        let settled = |&place: &u32| {
            entries.get(place as usize).is_some_and(|(at, image)| {
                *at == slot && crate::format::generation(image) == generation
            })
        };
        if let Ok(entry) = self.index.find_entry(hash(slot), settled) {
            let (place, _) = entry.remove();
            self.free.push(place);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    fn slot_at(&self, place: u32) -> Option<u32> {
        self.entries.get(place as usize).map(|(slot, _)| *slot)
    }

    fn place_for(&mut self, slot: u32) -> u32 {
        let place = self.free.pop().unwrap_or_else(|| {
            self.entries.push((0, [0; SLOT_OCTETS]));
            self.entries.len() as u32 - 1
        });
        let entries = &self.entries;
        let rehash = |&other: &u32| entries.get(other as usize).map_or(0, |(at, _)| hash(*at));
        self.index.insert_unique(hash(slot), place, rehash);
        place
    }
}

/// Slot numbers are ours, so a multiplication spreads them well enough.
fn hash(slot: u32) -> u64 {
    u64::from(slot)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(32)
}
