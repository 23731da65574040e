//! Which slots may hold the bindings of a client? A hash table in cache lines, made for exactly one question.
//!
//! A line has ten short tags and the slots that they stand for; whoever finds a tag compares the identity
//! in the slot. An entry lies in the line that its digest names, or if that is full in the first one after
//! it that has room. Invariants:
//! - The lines are as many as the slots need at most, so they are allocated once and never moved, and
//!   there is always room.
//! - `passed` of a line counts the entries that had to go on to a later line. So a search ends at the first
//!   line that nobody passed, and an entry that is removed leaves nothing behind.

use super::Digest;

const ENTRIES: usize = 10;
/// How many slots there are for every two lines: three quarters of the entries, when every slot holds a
/// binding. At that load one search in twelve goes on to a second line.
const SLOTS_PER_TWO_LINES: usize = 15;

/// One cache line, so that a search waits for the memory once. All zeros: nothing in it.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
struct Line {
    passed: u32,
    tags: [u16; ENTRIES],
    /// Slots plus one; 0 for none.
    slots: [u32; ENTRIES],
}

/// Octets of a line, in memory and in a snapshot.
pub(crate) const LINE_OCTETS: usize = 64;
const _: () = assert!(size_of::<Line>() == LINE_OCTETS);

impl Line {
    /// One bit for each entry with this tag.
    fn matches(&self, tag: u16) -> u16 {
        let mut mask = 0;
        for (entry, (&other, &slot)) in self.tags.iter().zip(&self.slots).enumerate() {
            mask |= u16::from(other == tag && slot != 0) << entry;
        }
        mask
    }

    fn write(&self, octets: &mut [u8; LINE_OCTETS]) {
        let Self {
            passed,
            tags,
            slots,
        } = self;
        let (tag_octets, rest) = octets.split_at_mut(2 * ENTRIES);
        let (slot_octets, passed_octets) = rest.split_at_mut(4 * ENTRIES);
        for (place, tag) in tag_octets.as_chunks_mut().0.iter_mut().zip(tags) {
            *place = tag.to_le_bytes();
        }
        for (place, slot) in slot_octets.as_chunks_mut().0.iter_mut().zip(slots) {
            *place = slot.to_le_bytes();
        }
        passed_octets.copy_from_slice(&passed.to_le_bytes());
    }

    fn read(octets: &[u8; LINE_OCTETS]) -> Self {
        let mut line = Self::default();
        let (tag_octets, rest) = octets.split_at(2 * ENTRIES);
        let (slot_octets, passed_octets) = rest.split_at(4 * ENTRIES);
        for (tag, octets) in line.tags.iter_mut().zip(tag_octets.as_chunks().0) {
            *tag = u16::from_le_bytes(*octets);
        }
        for (slot, octets) in line.slots.iter_mut().zip(slot_octets.as_chunks().0) {
            *slot = u32::from_le_bytes(*octets);
        }
        line.passed = passed_octets
            .first_chunk()
            .map_or(0, |octets| u32::from_le_bytes(*octets));
        line
    }

    fn slot(&self, entry: usize) -> Option<u32> {
        self.slots.get(entry)?.checked_sub(1)
    }

    /// Whether there was room.
    fn put(&mut self, tag: u16, slot: u32) -> bool {
        // No branch but one on what was found: where the first room is nobody can foretell.
        let mut rooms = 0u16;
        for (entry, &other) in self.slots.iter().enumerate() {
            rooms |= u16::from(other == 0) << entry;
        }
        let entry = rooms.trailing_zeros() as usize;
        let room = self.tags.get_mut(entry).zip(self.slots.get_mut(entry));
        room.map(|place| (*place.0, *place.1) = (tag, slot + 1))
            .is_some()
    }

    /// Whether it was there.
    fn clear(&mut self, tag: u16, slot: u32) -> bool {
        let entries = self.tags.iter_mut().zip(&mut self.slots);
        for (other, place) in entries {
            if *place == slot + 1 && *other == tag {
                (*other, *place) = (0, 0);
                return true;
            }
        }
        false
    }
}

/// The client index of one partition.
#[derive(Debug)]
pub(crate) struct ClientIndex {
    lines: Vec<Line>,
}

impl ClientIndex {
    /// For so many slots, each of which is in it at most once.
    pub(crate) fn new(slots: u32) -> Self {
        Self {
            lines: vec![Line::default(); lines_for(slots)],
        }
    }

    /// What [`ClientIndex::write`] wrote, if it was for so many slots.
    pub(crate) fn read(slots: u32, octets: &[u8]) -> Option<Self> {
        let (lines, _) = octets.as_chunks();
        (lines.len() == lines_for(slots)).then(|| Self {
            lines: lines.iter().map(Line::read).collect(),
        })
    }

    /// How many lines there are.
    pub(crate) fn lines(&self) -> usize {
        self.lines.len()
    }

    /// Writes all lines, each into [`LINE_OCTETS`].
    pub(crate) fn write(&self, octets: &mut [u8]) {
        let (places, _) = octets.as_chunks_mut();
        for (place, line) in places.iter_mut().zip(&self.lines) {
            line.write(place);
        }
    }

    /// The slots that were entered under this digest, and now and then one of another.
    pub(crate) fn candidates(&self, digest: Digest) -> Candidates<'_> {
        let home = self.home(digest);
        let line = self.lines.get(home);
        Candidates {
            lines: &self.lines,
            line,
            next: home + 1,
            left: self.lines.len(),
            tag: tag(digest),
            mask: line.map_or(0, |line| line.matches(tag(digest))),
        }
    }

    /// Begins loading the line of a digest.
    pub(crate) fn touch(&self, digest: Digest) {
        core::hint::black_box(self.lines.get(self.home(digest)).map(|line| line.passed));
    }

    /// Enters a slot.
    pub(crate) fn insert(&mut self, digest: Digest, slot: u32) {
        let home = self.home(digest);
        let (before, from) = self.lines.split_at_mut(home);
        let is_placed = from.iter_mut().chain(before).any(|line| {
            let is_placed = line.put(tag(digest), slot);
            line.passed += u32::from(!is_placed);
            is_placed
        });
        assert!(is_placed, "no room for slot {slot} in the client index");
    }

    /// Removes a slot that was entered under this digest. Whether it was there.
    pub(crate) fn remove(&mut self, digest: Digest, slot: u32) -> bool {
        let home = self.home(digest);
        let (before, from) = self.lines.split_at_mut(home);
        let mut passed = 0;
        let mut is_found = false;
        for line in from.iter_mut().chain(before.iter_mut()) {
            is_found = line.clear(tag(digest), slot);
            if is_found || line.passed == 0 {
                break;
            }
            passed += 1;
        }
        if is_found {
            for line in from.iter_mut().chain(before).take(passed) {
                line.passed -= 1;
            }
        }
        is_found
    }

    /// Removes a slot whose digest nobody knows any more. It looks at every line, and leaves counts behind
    /// that are too high, which costs searches a line and nothing else.
    pub(crate) fn forget(&mut self, slot: u32) {
        for line in &mut self.lines {
            for (tag, place) in line.tags.iter_mut().zip(&mut line.slots) {
                if *place == slot + 1 {
                    (*tag, *place) = (0, 0);
                }
            }
        }
    }

    /// The line in which an entry lies if it has room. The tag comes from other bits.
    fn home(&self, digest: Digest) -> usize {
        ((u128::from(digest.low) * self.lines.len() as u128) >> 64) as usize
    }
}

fn lines_for(slots: u32) -> usize {
    2 * slots as usize / SLOTS_PER_TWO_LINES + 1
}

fn tag(digest: Digest) -> u16 {
    digest.low as u16
}

/// See [`ClientIndex::candidates`].
#[derive(Debug)]
pub(crate) struct Candidates<'a> {
    lines: &'a [Line],
    line: Option<&'a Line>,
    next: usize,
    /// How many lines, this one included, may still be looked at.
    left: usize,
    tag: u16,
    mask: u16,
}

impl Iterator for Candidates<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        loop {
            let line = self.line?;
            if self.mask != 0 {
                let entry = self.mask.trailing_zeros() as usize;
                self.mask &= self.mask - 1;
                return line.slot(entry);
            }
            if line.passed == 0 || self.left <= 1 {
                self.line = None;
                return None;
            }
            self.left -= 1;
            self.line = self.lines.get(self.next).or_else(|| self.lines.first());
            self.next = if self.next < self.lines.len() {
                self.next + 1
            } else {
                1
            };
            self.mask = self.line?.matches(self.tag);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeSet, HashMap};

    fn digest(low: u64) -> Digest {
        Digest { low, high: 0 }
    }

    /// Numbers whose bits look random.
    fn mix(number: u64) -> u64 {
        let number = (number ^ number >> 31).wrapping_mul(0x7fb5_d329_728e_a185);
        let number = (number ^ number >> 27).wrapping_mul(0x81da_def4_bc2d_d44d);
        number ^ number >> 33
    }

    fn found(index: &ClientIndex, low: u64) -> BTreeSet<u32> {
        index.candidates(digest(low)).collect()
    }

    impl ClientIndex {
        fn passed(&self) -> u64 {
            self.lines.iter().map(|line| u64::from(line.passed)).sum()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Against a map: nothing that was entered is ever missed, nothing that was removed is found.
        #[test]
        fn it_finds_what_a_map_finds(
            slots in 1u32..120,
            // Few digests, in few lines: full lines and equal tags are the rule.
            steps in proptest::collection::vec((0u32..120, 0u64..24, any::<bool>()), 1..400),
        ) {
            let mut index = ClientIndex::new(slots);
            let mut model: HashMap<u32, u64> = HashMap::new();
            for (slot, client, at_the_end) in steps {
                let slot = slot % slots;
                let low = if at_the_end { u64::MAX - client } else { mix(client) };
                match model.remove(&slot) {
                    Some(low) => prop_assert!(index.remove(digest(low), slot)),
                    None => {
                        index.insert(digest(low), slot);
                        model.insert(slot, low);
                    }
                }
                prop_assert!(!index.remove(digest(low), slots));
                for &low in model.values() {
                    let found = found(&index, low);
                    let wanted = model.iter().filter(|(_, other)| **other == low);
                    prop_assert!(wanted.clone().all(|(slot, _)| found.contains(slot)));
                    prop_assert!(found.iter().all(|slot| model.contains_key(slot)));
                }
            }
            for (slot, low) in model {
                prop_assert!(index.remove(digest(low), slot));
            }
            prop_assert_eq!(index.passed(), 0);
        }
    }

    /// Every slot holds a binding of the same client, or of clients that nobody can tell apart by tag:
    /// slow, but nothing is lost, and nothing remains of it.
    #[test]
    fn a_full_table_of_one_digest_loses_nothing() {
        let mut index = ClientIndex::new(5_000);
        for slot in 0..5_000 {
            index.insert(digest(u64::MAX / 3), slot);
        }
        assert_eq!(found(&index, u64::MAX / 3).len(), 5_000);
        assert!(!index.remove(digest(u64::MAX / 3), 5_000));
        for slot in 0..5_000 {
            assert!(index.remove(digest(u64::MAX / 3), slot));
        }
        assert_eq!(index.passed(), 0);
    }

    #[test]
    fn a_full_table_is_searched_in_little_more_than_one_line() {
        const SLOTS: u32 = 100_000;
        let mut index = ClientIndex::new(SLOTS);
        for slot in 0..SLOTS {
            index.insert(digest(mix(u64::from(slot))), slot);
        }
        assert!(
            index.passed() * 8 < u64::from(SLOTS),
            "{} entries lie too far",
            index.passed()
        );
        let octets = index.lines.len() * size_of::<Line>();
        assert!(octets * 100 <= SLOTS as usize * 854, "{octets} octets");
        // One that is not there: hardly ever a slot to compare.
        let strangers = (1u64 << 32..).take(SLOTS as usize);
        let compared: usize = strangers
            .map(|number| index.candidates(digest(mix(number))).count())
            .sum();
        assert!(compared < 100, "{compared} false tags");
    }
}
