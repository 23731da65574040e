//! Can a slot be trusted, and can it be mended?

use crate::binding::{Binding, Lease, State, Timestamp};
use crate::format::{self, ArchivedRecord, Checksum, Group, Image, SLOT_OCTETS, Slot};
use crate::partition::{Partition, Role};

/// What a slot is found to be.
pub(super) enum Verdict {
    /// Blank, or the rest of nothing.
    Nothing,
    /// A binding, whole.
    Binding(Found),
    /// An extension of this generation, whole; perhaps nobody's.
    Extension(u64),
    /// Not to be trusted.
    Damaged,
}

/// What counts of a binding when it is entered.
pub(super) struct Found {
    pub(super) lease: Lease,
    pub(super) state: State,
    pub(super) expires: Timestamp,
    pub(super) last_transaction: Timestamp,
    pub(super) generation: u64,
}

impl Found {
    pub(super) fn role(&self, now: Timestamp) -> Role {
        match self.state {
            State::Leased if Role::Live.ends(self.expires) > now => Role::Live,
            State::Leased | State::Released => Role::Former,
            State::Declined if self.expires > now => Role::Declined,
            State::Declined => Role::Free,
        }
    }

    pub(super) fn last_transaction_if_released(&self) -> Timestamp {
        match self.state {
            State::Released => self.last_transaction,
            State::Leased | State::Declined => Timestamp::NEVER,
        }
    }
}

impl Partition {
    pub(super) fn verdict(&self, slot: u32, checksum: &Checksum, now: Timestamp) -> Verdict {
        let Some(image) = self.table.image(slot) else {
            return Verdict::Damaged;
        };
        if image == &[0; SLOT_OCTETS] {
            return Verdict::Nothing;
        }
        if !checksum.is_right(image, self.number, slot) {
            return Verdict::Damaged;
        }
        match format::slot(image) {
            Some(Slot::Extension(extension)) => {
                Verdict::Extension(extension.generation.to_native())
            }
            Some(Slot::Binding(record)) => self
                .found(slot, record, checksum, now)
                .map_or(Verdict::Damaged, Verdict::Binding),
            Some(Slot::Blank) | None => Verdict::Damaged,
        }
    }

    pub(super) fn found(
        &self,
        slot: u32,
        record: &ArchivedRecord,
        checksum: &Checksum,
        now: Timestamp,
    ) -> Option<Found> {
        let mut next = record.extension.to_native();
        // A declined record that ended let its extensions go; others may have them.
        let is_over = record.state() == Some(State::Declined) && record.expires() <= now;
        let extensions = if is_over { 0 } else { record.extensions };
        for part in 1..=extensions {
            let image = self.table.image(next)?;
            let extension = format::extension(image)?;
            let ours = checksum.is_right(image, self.number, next)
                && extension.generation == record.generation
                && extension.head.to_native() == slot
                && extension.part == part;
            next = extension.next.to_native();
            if !ours {
                return None;
            }
        }
        record.is_sound().then_some(())?;
        Some(Found {
            lease: record.lease()?,
            state: record.state()?,
            expires: record.expires(),
            last_transaction: record.last_transaction(),
            generation: record.generation.to_native(),
        })
    }

    /// Tries to put wrong bits right, one in the slot and one in each of its extensions.
    pub(super) fn repair(&mut self, slot: u32, checksum: &Checksum) -> bool {
        if !self.repair_one(slot, checksum) {
            return false;
        }
        let Some(record) = self.record(slot) else {
            return true;
        };
        let mut next = record.extension.to_native();
        for _ in 0..record.extensions {
            if !self.repair_one(next, checksum) {
                return false;
            }
            let Some(extension) = self.image(next).and_then(format::extension) else {
                return false;
            };
            next = extension.next.to_native();
        }
        true
    }

    /// Tries to put one wrong bit right. Keyed checksums make it practically sure that the bit is the
    /// right one: any other would have to have the same 64 bits by chance.
    fn repair_one(&mut self, slot: u32, checksum: &Checksum) -> bool {
        let number = self.number;
        let is_right =
            |image: &Image| image == &[0; SLOT_OCTETS] || checksum.is_right(image, number, slot);
        let Some(image) = self.table.image(slot) else {
            return false;
        };
        if is_right(image) {
            return true;
        }
        let mended = mended(image, is_right);
        mended
            .inspect(|image| self.table.store(slot, image))
            .is_some()
    }

    /// Marks the extension slots of a binding as taken.
    pub(super) fn adopt_extensions(&mut self, head: u32) {
        let (extensions, owned) = self.extensions(head);
        for extension in extensions.into_iter().take(owned) {
            self.assign(extension, Role::Extension, Timestamp::NEVER);
        }
    }

    /// Records that hold their lease.
    pub(super) fn holders(&self) -> impl Iterator<Item = (u32, &ArchivedRecord)> {
        (0..self.table.slots())
            .filter(|&slot| matches!(self.role(slot), Role::Live | Role::Declined))
            .filter_map(|slot| Some((slot, self.record(slot)?)))
    }

    /// Makes a binding its client's former one.
    pub(super) fn demote(&mut self, slot: u32) {
        let mut binding = Binding::default();
        if !self.read_any(slot, &mut binding) {
            return;
        }
        let was_indexed = self.role(slot).is_indexed();
        if self.role(slot) == Role::Declined {
            self.forget_decline(slot);
        }
        binding.state = State::Released;
        self.rewrite(slot, &binding);
        self.assign(slot, Role::Former, Timestamp::NEVER);
        if let Some(digest) = self.digest_at(slot).filter(|_| !was_indexed) {
            self.enter(slot, digest);
        }
    }

    /// Writes a binding of the same identity over itself, into the table.
    fn rewrite(&mut self, slot: u32, binding: &Binding) {
        let (extensions, owned) = self.extensions(slot);
        let mut slots = vec![slot];
        slots.extend(extensions.iter().take(owned));
        self.generation += 1;
        let checksum = *self.checksum();
        let group = Group::new(
            binding,
            binding.context.as_octets(),
            &slots,
            self.generation,
            self.number,
            &checksum,
        );
        self.table.commit(&group);
    }

    /// Shelves every slot that is nothing else.
    pub(super) fn shelve_all_free(&mut self) {
        for slot in 0..self.table.slots() {
            if self.role(slot) == Role::Free {
                self.shelve_free(slot);
            }
        }
    }
}

/// The image with the one bit flipped that makes it right.
fn mended(image: &Image, is_right: impl Fn(&Image) -> bool) -> Option<Image> {
    let mut tried = *image;
    for octet in 0..SLOT_OCTETS {
        for bit in 0..8 {
            let mask = 1u8 << bit;
            *tried.get_mut(octet)? ^= mask;
            if is_right(&tried) {
                return Some(tried);
            }
            *tried.get_mut(octet)? ^= mask;
        }
    }
    None
}
