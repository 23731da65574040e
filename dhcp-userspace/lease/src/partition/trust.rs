//! Has what a slot holds been looked at since the store was opened?
//!
//! After a crash every slot is judged before anything is served. With a snapshot none is, so each is looked
//! at when it is first read, and the others by and by from the tick. What is not as it was written is never
//! served: it is mended if one bit is wrong; else it is set apart with its lease until the next start, where,
//! for want of a snapshot, all slots are judged.

use super::{Partition, Role, Ticked};
use crate::binding::Timestamp;
use crate::format::{self, ArchivedRecord};
use core::cell::{Cell, RefCell};

/// How many slots a tick looks at.
const SLOTS_PER_TICK: u32 = 512;
/// How many slots a tick tries to mend; each takes as long as looking at a thousand.
const MENDED_PER_TICK: usize = 4;

/// Which slots nobody has looked at.
#[derive(Debug)]
pub(crate) struct Unseen {
    /// One bit for each slot that was found right.
    seen: Vec<Cell<u64>>,
    /// From where the tick goes on.
    next: u32,
    /// What was found wrong, and is still to be dealt with.
    suspects: RefCell<Vec<u32>>,
}

impl Unseen {
    pub(crate) fn all(slots: u32) -> Self {
        Self {
            seen: vec![Cell::new(0); slots.div_ceil(64) as usize],
            next: 0,
            suspects: RefCell::default(),
        }
    }

    fn is_seen(&self, slot: u32) -> bool {
        let word = self.seen.get((slot / 64) as usize);
        word.is_some_and(|word| word.get() & 1 << (slot % 64) != 0)
    }

    fn set_seen(&self, slot: u32) {
        if let Some(word) = self.seen.get((slot / 64) as usize) {
            word.set(word.get() | 1 << (slot % 64));
        }
    }

    fn suspect(&self, slot: u32) {
        let mut suspects = self.suspects.borrow_mut();
        if !suspects.contains(&slot) {
            suspects.push(slot);
        }
    }
}

impl Partition {
    /// Whether the binding in a slot is what was written. One branch when all slots have been looked at.
    pub(super) fn is_trusted(&self, slot: u32) -> bool {
        let Some(unseen) = &self.unseen else {
            return true;
        };
        if unseen.is_seen(slot) || !self.role(slot).is_binding() {
            return true;
        }
        let is_whole = self.is_whole(slot);
        if is_whole {
            unseen.set_seen(slot);
        } else {
            unseen.suspect(slot);
        }
        is_whole
    }

    /// Whether a binding's slot and all its extensions are as they were written, together.
    fn is_whole(&self, head: u32) -> bool {
        let is_right = |slot: u32| {
            let image = self.image(slot)?;
            let checksum = &self.checksum;
            checksum.is_right(image, self.number, slot).then_some(image)
        };
        let Some(record) = is_right(head).and_then(format::record) else {
            return false;
        };
        let mut next = record.extension.to_native();
        for part in 1..=record.extensions {
            let Some(extension) = is_right(next).and_then(format::extension) else {
                return false;
            };
            let is_ours = extension.generation == record.generation
                && extension.head.to_native() == head
                && extension.part == part;
            if !is_ours {
                return false;
            }
            next = extension.next.to_native();
        }
        record.is_sound()
    }

    /// What a slot says, right or not.
    pub(super) fn record_as_it_is(&self, slot: u32) -> Option<&ArchivedRecord> {
        format::record(self.image(slot)?)
    }

    /// Looks at some slots that nobody has read yet, and deals with what was found wrong.
    pub(super) fn scrub(&mut self, ticked: &mut Ticked) {
        let Some(unseen) = &mut self.unseen else {
            return;
        };
        let slots = unseen.next..self.table.slots().min(unseen.next + SLOTS_PER_TICK);
        unseen.next = slots.end;
        for slot in slots {
            self.is_trusted(slot);
        }
        for _ in 0..MENDED_PER_TICK {
            let suspect = self
                .unseen
                .as_ref()
                .and_then(|unseen| unseen.suspects.borrow_mut().pop());
            let Some(slot) = suspect else { break };
            if self.mend(slot) {
                ticked.repaired += 1;
                self.count_mended(slot);
            } else {
                ticked.damaged += 1;
                self.set_apart(slot);
            }
        }
        let is_done = |unseen: &Unseen| {
            unseen.next >= self.table.slots() && unseen.suspects.borrow().is_empty()
        };
        if self.unseen.as_ref().is_some_and(is_done) {
            self.unseen = None;
        }
    }

    /// Tries to put wrong bits right, one in the slot and one in each of its extensions.
    fn mend(&mut self, head: u32) -> bool {
        let checksum = self.checksum;
        self.repair(head, &checksum);
        let Some(record) = self.record_as_it_is(head) else {
            return false;
        };
        let (mut next, count) = (record.extension.to_native(), record.extensions);
        for _ in 0..count {
            self.repair(next, &checksum);
            let Some(extension) = self.image(next).and_then(format::extension) else {
                return false;
            };
            next = extension.next.to_native();
        }
        self.is_whole(head)
    }

    /// What cannot be mended is nobody's. Its lease, if it held one, stays claimed: which one that was, only
    /// judging all slots can tell.
    fn set_apart(&mut self, slot: u32) {
        let role = self.role(slot);
        if role.is_indexed() {
            self.index.forget(slot);
        }
        if role.is_binding() {
            self.assign(slot, Role::Damaged, Timestamp::NEVER);
        }
    }
}
