//! What the leases of this partition count against: their share of what all partitions count together.

use super::commit::Place;
use super::{Partition, Role, SlotNumber};
use crate::binding::{Binding, LeaseKind, Timestamp};
use crate::context::Context;
use crate::counts::{Bound, Counters, LetGo, Limited, Limits, Tag, Tags};
use crate::journal::ChangeLog;
use crate::store::{Durability, SLOTS_PER_VISIT};
use std::sync::Arc;

/// How far this partition has been counted.
#[derive(Debug)]
pub(super) struct Counting {
    counters: Arc<Counters>,
    /// What is in slots before this one counts. `None`: all does.
    next: Option<u32>,
}

impl Partition {
    /// What stands for something that may hold only so many leases of a kind. `None`: nothing is counted, so
    /// there are no limits.
    pub fn tag(&self, kind: LeaseKind, limited: &Limited<'_>) -> Option<Tag> {
        let counting = self.counting.as_ref()?;
        Some(counting.counters.tag(kind, limited))
    }

    /// Whether leases are counted, so that there may be limits.
    pub fn counts_leases(&self) -> bool {
        self.counting.is_some()
    }

    /// Which limit stands against a lease for a client, whose binding so far is in `slot`, as it looks at the
    /// moment: what counts in the end is [`Partition::commit_within`].
    pub fn limit_reached(
        &self,
        slot: Option<SlotNumber>,
        limits: &Limits,
        now: Timestamp,
    ) -> Option<Bound> {
        let counters = &self.counting.as_ref()?.counters;
        if limits.is_empty() {
            return None;
        }
        match slot.map_or(Before::Nothing, |SlotNumber(slot)| self.before(slot, now)) {
            Before::Nothing => counters.reached(&Tags::NONE, false, limits),
            Before::Counted(tags) => {
                let terms = slot.and_then(|slot| self.terms(slot));
                let is_live = terms.is_some_and(|terms| terms.is_live(now));
                counters.reached(&tags, is_live, limits)
            }
            Before::Uncounted => None,
        }
    }

    /// From now on what is in slots that were counted counts.
    pub(crate) fn begin_counting(&mut self, counters: Arc<Counters>) {
        self.counting.get_or_insert(Counting {
            counters,
            next: Some(0),
        });
    }

    /// Counts what some slots hold; whether these were the last.
    pub(crate) fn count_slots(&mut self) -> bool {
        let slots = self.table.slots();
        let Some(counting) = &self.counting else {
            return true;
        };
        let Some(first) = counting.next else {
            return true;
        };
        let end = slots.min(first.saturating_add(SLOTS_PER_VISIT));
        for slot in first..end {
            let tags = self.tags_at(slot);
            tags.iter().for_each(|tag| counting.counters.add_any(tag));
        }
        let is_over = end == slots;
        if let Some(counting) = &mut self.counting {
            counting.next = (!is_over).then_some(end);
        }
        is_over
    }

    /// What the live binding in a slot counts against.
    fn tags_at(&self, slot: u32) -> Tags {
        let mut context = Context::EMPTY;
        if self.role(slot) == Role::Live
            && let Some(record) = self.record(slot)
        {
            self.read_context(record, &mut context);
        }
        context.tags()
    }

    fn before(&self, slot: u32, now: Timestamp) -> Before {
        if self.role(slot) != Role::Live {
            return Before::Nothing;
        }
        match self.tags_at(slot) {
            tags if tags.is_empty() => match self.terms(SlotNumber(slot)) {
                Some(terms) if terms.is_live(now) => Before::Uncounted,
                Some(_) | None => Before::Nothing,
            },
            tags => Before::Counted(tags),
        }
    }

    /// Counts what a binding that is about to be written counts against, unless that is too much. `None`: it is to
    /// be counted when its slot is known, or not at all.
    ///
    /// # Errors
    /// Which limit was reached; nothing has changed then.
    pub(super) fn recount(
        &self,
        place: Place,
        binding: &Binding,
        is_live: bool,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Option<LetGo>, Bound> {
        let Some(counting) = &self.counting else {
            return Ok(None);
        };
        let is_counted = |SlotNumber(slot)| counting.next.is_none_or(|next| slot < next);
        if counting.next.is_some() && !place.overwritten().is_some_and(is_counted) {
            return Ok(None);
        }
        // While the others are still being counted nobody knows of limits.
        let limits = match counting.next {
            None => limits,
            Some(_) => &Limits::NONE,
        };
        let after = tags_of(binding, is_live);
        let counters = &counting.counters;
        let before = match place {
            Place::New => Before::Nothing,
            Place::Over(SlotNumber(slot)) | Place::Beside(SlotNumber(slot)) => {
                self.before(slot, now)
            }
        };
        let counted = match before {
            Before::Nothing => counters.admit(Tags::NONE, after, limits),
            Before::Counted(before) => counters.admit(before, after, limits),
            Before::Uncounted => counters.admit(Tags::NONE, after, &Limits::NONE),
        }?;
        match place {
            Place::New | Place::Over(_) => Ok(Some(counted)),
            // What is beside it goes on to count.
            Place::Beside(_) => {
                counted.kept().for_each(|tag| counters.add_any(tag));
                Ok(Some(LetGo::NOTHING))
            }
        }
    }

    /// Counts a binding that was written into a slot which was not known before.
    pub(super) fn count_late(&self, slot: u32, binding: &Binding, is_live: bool) {
        let Some(counting) = &self.counting else {
            return;
        };
        if counting.next.is_some_and(|next| slot < next) {
            let tags = tags_of(binding, is_live);
            tags.iter().for_each(|tag| counting.counters.add_any(tag));
        }
    }

    /// Counts a binding that nobody could read until it was mended.
    pub(super) fn count_mended(&self, slot: u32) {
        let Some(counting) = &self.counting else {
            return;
        };
        if counting.next.is_none_or(|next| slot < next) {
            let tags = self.tags_at(slot);
            tags.iter().for_each(|tag| counting.counters.add_any(tag));
        }
    }

    /// What a commit let go counts no longer once it is durable.
    pub(super) fn let_count_go(&self, counted: &LetGo, log: &mut ChangeLog) {
        let Some(counting) = &self.counting else {
            return;
        };
        for tag in counted.tags() {
            match self.durability {
                Durability::Process => counting.counters.remove(tag),
                Durability::Power => log.free_tag(tag),
            }
        }
    }

    /// The lease in a slot has ended, and that is durable: it counts no longer. To be called while the slot
    /// still says what it held.
    pub(super) fn uncount(&self, slot: u32) {
        let Some(counting) = &self.counting else {
            return;
        };
        if counting.next.is_none_or(|next| slot < next) {
            let tags = self.tags_at(slot);
            tags.iter().for_each(|tag| counting.counters.remove(tag));
        }
    }
}

fn tags_of(binding: &Binding, is_live: bool) -> Tags {
    match is_live {
        true => binding.context.tags(),
        false => Tags::NONE,
    }
}

/// What a slot counted against before a commit.
enum Before {
    /// It held nobody's lease.
    Nothing,
    /// It holds a lease from a time without limits.
    Uncounted,
    /// These.
    Counted(Tags),
}
