//! What does the store say, to somebody who does not own it? Reading tables and journal of a running or
//! stopped server, without locks and without changing anything.

use crate::binding::{Binding, Lease, State};
use crate::format::{self, ArchivedExtension, ArchivedRecord, Checksum, Image, SLOT_OCTETS, Slot};
use crate::headers::{HeaderError, StoreHeader};
use crate::journal::{self, Damage};
use crate::table;
use core::ops::Range;
use std::collections::HashMap;

/// How often a slot is read anew that looks torn, and a binding whose slots do not belong together: their
/// owner may be writing them just now.
const ATTEMPTS_MAX: usize = 8;

/// What a slot turned out to hold.
#[derive(Debug)]
pub enum Found<'a> {
    /// A binding, live, former or declined.
    Binding(&'a Binding),
    /// Octets that cannot be trusted, and the lease that they name if they name one.
    Damaged {
        /// In which slot.
        slot: u32,
        /// The lease, to be doubted.
        lease: Option<Lease>,
    },
}

impl core::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.bindings += other.bindings;
        self.extensions += other.extensions;
        self.blank += other.blank;
        self.damaged += other.damaged;
    }
}

/// How many slots of what sort were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Tally {
    /// Bindings.
    pub bindings: u64,
    /// Extensions of bindings, or of nothing any more.
    pub extensions: u64,
    /// Never written.
    pub blank: u64,
    /// Not to be trusted.
    pub damaged: u64,
}

/// Reads the tables of one store.
#[derive(Debug)]
pub struct Reader {
    checksum: Checksum,
    /// By partition and slot, what the journal or a redo area has that the table may lack.
    newer: HashMap<(u32, u32), Image>,
    journal: JournalTally,
}

/// What a journal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct JournalTally {
    /// Batches in an unbroken chain from the tail.
    pub batches: u64,
    /// Their records.
    pub records: u64,
    /// Both copies of the header are damaged.
    pub is_headless: bool,
    /// Batches that were damaged on the disk.
    pub damage: Damage,
}

impl Reader {
    /// With the contents of the journal file, or nothing.
    ///
    /// Of a running server read the journal first and the tables after it: what is settled in between is
    /// then seen twice rather than not at all.
    ///
    /// # Errors
    /// [`HeaderError`] if the journal is another store's or a later program's.
    pub fn new(store: &StoreHeader, journal: &[u8]) -> Result<Self, HeaderError> {
        let mut reader = Self {
            checksum: store.checksum(),
            newer: HashMap::new(),
            journal: JournalTally::default(),
        };
        let mut replay = journal::replay(store, journal)?;
        reader.journal.is_headless = replay.is_headless();
        for batch in &mut replay {
            reader.journal.batches += 1;
            reader.journal.records += batch.records().count() as u64;
            for (partition, slot, image) in batch.records() {
                reader.add(partition, slot, image);
            }
        }
        reader.journal.damage = replay.damage();
        Ok(reader)
    }

    /// What the journal has.
    pub fn journal(&self) -> JournalTally {
        self.journal
    }

    /// Adds what a killed process was writing, from a table's header region.
    pub fn add_redo(&mut self, partition: u32, header: &[u8]) {
        for (slot, image) in table::redo_entries(header, partition, &self.checksum) {
            self.add(partition, slot, image);
        }
    }

    fn add(&mut self, partition: u32, slot: u32, image: &Image) {
        let place = self
            .newer
            .entry((partition, slot))
            .or_insert([0; SLOT_OCTETS]);
        if format::generation(place) < format::generation(image) {
            *place = *image;
        }
    }

    /// Visits what the slots of a partition hold. `fetch` reads the octets of one slot, each time anew,
    /// and says whether it could.
    pub fn read(
        &self,
        partition: u32,
        slots: u32,
        fetch: impl FnMut(u32, &mut Image) -> bool,
        visit: impl FnMut(Found<'_>),
    ) -> Tally {
        self.read_some(partition, 0..slots, fetch, visit)
    }

    /// As [`Reader::read`], but only some slots: for whoever wants to stop on the way.
    pub fn read_some(
        &self,
        partition: u32,
        slots: Range<u32>,
        mut fetch: impl FnMut(u32, &mut Image) -> bool,
        mut visit: impl FnMut(Found<'_>),
    ) -> Tally {
        let mut tally = Tally::default();
        let mut binding = Binding::default();
        for slot in slots {
            let mut image = [0; SLOT_OCTETS];
            let found = (0..ATTEMPTS_MAX).find_map(|_| {
                image = self.whole(partition, slot, &mut fetch)?;
                self.judge(partition, &image, &mut fetch, &mut binding)
            });
            match found {
                Some(Sort::Blank) => tally.blank += 1,
                Some(Sort::Extension) => tally.extensions += 1,
                Some(Sort::Binding) => {
                    tally.bindings += 1;
                    visit(Found::Binding(&binding));
                }
                None => {
                    tally.damaged += 1;
                    fetch(slot, &mut image);
                    let lease = format::record(&image).and_then(ArchivedRecord::lease);
                    visit(Found::Damaged { slot, lease });
                }
            }
        }
        tally
    }

    /// The newest image of a slot that is whole.
    fn whole(
        &self,
        partition: u32,
        slot: u32,
        fetch: &mut impl FnMut(u32, &mut Image) -> bool,
    ) -> Option<Image> {
        let mut image = [0; SLOT_OCTETS];
        let read = (0..ATTEMPTS_MAX).any(|_| {
            fetch(slot, &mut image)
                && (image == [0; SLOT_OCTETS] || self.checksum.is_right(&image, partition, slot))
        });
        match self.newer.get(&(partition, slot)) {
            Some(newer) if !read || format::generation(newer) > format::generation(&image) => {
                Some(*newer)
            }
            Some(_) | None => read.then_some(image),
        }
    }

    fn judge(
        &self,
        partition: u32,
        image: &Image,
        fetch: &mut impl FnMut(u32, &mut Image) -> bool,
        binding: &mut Binding,
    ) -> Option<Sort> {
        let record = match format::slot(image)? {
            Slot::Blank => return Some(Sort::Blank),
            Slot::Extension(_) => return Some(Sort::Extension),
            Slot::Binding(record) => record,
        };
        let mut extensions = [[0; SLOT_OCTETS]; format::EXTENSIONS_MAX];
        let mut numbers = [format::NO_SLOT; format::EXTENSIONS_MAX];
        let mut next = record.extension.to_native();
        let places = extensions.iter_mut().zip(&mut numbers);
        for (place, number) in places.take(usize::from(record.extensions)) {
            *number = next;
            *place = self.whole(partition, next, fetch)?;
            let own = |extension: &&ArchivedExtension| extension.generation == record.generation;
            let Some(extension) = format::extension(place).filter(own) else {
                // The extensions of a declined record are others' once its time is over.
                let is_over = record.state() == Some(State::Declined);
                return is_over.then_some(Sort::Blank);
            };
            next = extension.next.to_native();
        }
        record.is_sound().then_some(())?;
        let pieces = format::pieces(record, |slot| {
            let place = numbers.iter().position(|&number| number == slot)?;
            extensions.get(place)
        });
        format::read(record, &format::gather(pieces), binding);
        Some(Sort::Binding)
    }
}

enum Sort {
    Blank,
    Extension,
    Binding,
}
