//! Which lease ends next? A hierarchical timing wheel with lazy re-arming, over lists that live in two
//! numbers per slot.
//!
//! Invariants:
//! - A slot is in at most one list: a bucket of the wheel, or a [`Shelf`].
//! - A slot in the wheel is looked at no later than the second it was armed for. A renewal that moves
//!   the end later touches no list: the slot is found early, looked at and armed again.

/// One per octet of a time in seconds: no end is out of reach.
const LEVELS: u32 = 8;
const BUCKETS: u32 = 256;
const BUCKET_BITS: u32 = 8;

/// Lists of slots that wait for no moment, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Shelf {
    /// Slots that hold nothing.
    Free = LEVELS * BUCKETS,
    /// Slots with former bindings.
    Former,
}
const LISTS: u32 = LEVELS * BUCKETS + 2;

/// Octets of a slot's two numbers in a snapshot.
pub(crate) const LINK_OCTETS: usize = 8;

/// Circular doubly linked lists: every list has a node of its own that stands for both its ends, so a
/// slot leaves its list without knowing which one it is.
#[derive(Debug, Default)]
pub(crate) struct Links {
    /// Previous and next, of the items and then of the lists.
    links: Vec<[u32; 2]>,
    items: u32,
}

impl Links {
    pub(crate) fn new(items: u32, lists: u32) -> Self {
        Self {
            links: (0..items + lists).map(|node| [node, node]).collect(),
            items,
        }
    }

    fn get(&self, node: u32) -> [u32; 2] {
        self.links
            .get(node as usize)
            .copied()
            .unwrap_or([node, node])
    }

    fn set(&mut self, node: u32, change: impl FnOnce(&mut [u32; 2])) {
        if let Some(link) = self.links.get_mut(node as usize) {
            change(link);
        }
    }

    /// Takes an item out of whatever list it is in.
    pub(crate) fn unlink(&mut self, item: u32) {
        let [before, after] = self.get(item);
        self.set(before, |[_, next]| *next = after);
        self.set(after, |[previous, _]| *previous = before);
        self.set(item, |link| *link = [item, item]);
    }

    /// Puts an item that is in no list at the end of `list`.
    pub(crate) fn push_back(&mut self, list: u32, item: u32) {
        let end = self.items + list;
        let [last, _] = self.get(end);
        self.set(last, |[_, next]| *next = item);
        self.set(item, |link| *link = [last, end]);
        self.set(end, |[previous, _]| *previous = item);
    }

    /// The first item of `list`.
    pub(crate) fn front(&self, list: u32) -> Option<u32> {
        let [_, first] = self.get(self.items + list);
        (first < self.items).then_some(first)
    }
}

/// The wheel and the shelves of one partition.
#[derive(Debug, Default)]
pub struct Wheel {
    links: Links,
    /// The next second to look at; all before it are done.
    time: u64,
}

impl Wheel {
    /// For so many slots, from `now` on.
    pub fn new(slots: u32, now: u64) -> Self {
        Self {
            links: Links::new(slots, LISTS),
            time: now,
        }
    }

    /// What [`Wheel::write`] wrote for so many slots.
    pub(crate) fn read(slots: u32, time: u64, octets: &[u8]) -> Option<Self> {
        let (links, _) = octets.as_chunks::<LINK_OCTETS>();
        let nodes = slots.checked_add(LISTS)?;
        (links.len() == nodes as usize).then(|| Self {
            links: Links {
                links: links
                    .iter()
                    .map(|&[a, b, c, d, e, f, g, h]| {
                        [
                            u32::from_le_bytes([a, b, c, d]),
                            u32::from_le_bytes([e, f, g, h]),
                        ]
                    })
                    .collect(),
                items: slots,
            },
            time,
        })
    }

    /// How many links there are, those of the lists included.
    pub(crate) fn links(&self) -> usize {
        self.links.links.len()
    }

    /// The next second to look at.
    pub(crate) fn time(&self) -> u64 {
        self.time
    }

    /// Writes all links, each into [`LINK_OCTETS`].
    pub(crate) fn write(&self, octets: &mut [u8]) {
        let (places, _) = octets.as_chunks_mut::<LINK_OCTETS>();
        for (place, [before, after]) in places.iter_mut().zip(&self.links.links) {
            *place = (u64::from(*after) << 32 | u64::from(*before)).to_le_bytes();
        }
    }

    /// Takes a slot out of its list, if it is in one.
    pub fn unlink(&mut self, slot: u32) {
        self.links.unlink(slot);
    }

    /// Puts a slot that is in no list on a shelf, last.
    pub fn shelve(&mut self, shelf: Shelf, slot: u32) {
        self.links.push_back(shelf as u32, slot);
    }

    /// The slot that has been on a shelf for the longest time.
    pub fn oldest(&self, shelf: Shelf) -> Option<u32> {
        self.links.front(shelf as u32)
    }

    /// Has a slot that is in no list looked at in second `at`, or soon if that has passed.
    pub fn arm(&mut self, slot: u32, at: u64) {
        let at = at.max(self.time);
        let level = (0..LEVELS - 1).find(|level| {
            let above = (level + 1) * BUCKET_BITS;
            at >> above == self.time >> above
        });
        self.links
            .push_back(bucket(level.unwrap_or(LEVELS - 1), at), slot);
    }

    /// Whether seconds up to `now` are still to be looked at.
    pub fn is_behind(&self, now: u64) -> bool {
        self.time <= now
    }

    /// The next slot to look at, out of its list. Whoever takes it arms it again, earliest for the next
    /// second, or shelves it. `None`: nothing up to `now` is left.
    pub fn next(&mut self, now: u64) -> Option<u32> {
        // The last second of all never ends.
        let now = now.min(u64::MAX - 1);
        while self.time <= now {
            if let Some(slot) = self.front_of_this_second() {
                self.links.unlink(slot);
                return Some(slot);
            }
            self.time = self.time.saturating_add(self.empty_seconds()).min(now + 1);
        }
        None
    }

    /// At the first second of a bucket of a higher level its slots are due for distribution.
    fn front_of_this_second(&self) -> Option<u32> {
        (0..LEVELS)
            .filter(|level| self.time.trailing_zeros() >= level * BUCKET_BITS)
            .find_map(|level| self.links.front(bucket(level, self.time)))
    }

    /// How many seconds from this one on, itself included, have nothing to look at: 1, or a power of
    /// 256 when whole levels are empty, so that a jump of years takes a thousand steps.
    fn empty_seconds(&self) -> u64 {
        let mut seconds = 1;
        for level in 0..LEVELS - 1 {
            let aligned = self.time.trailing_zeros() >= (level + 1) * BUCKET_BITS;
            let lists = level * BUCKETS..(level + 1) * BUCKETS;
            if !aligned
                || lists
                    .into_iter()
                    .any(|list| self.links.front(list).is_some())
            {
                break;
            }
            seconds <<= BUCKET_BITS;
        }
        seconds
    }
}

fn bucket(level: u32, at: u64) -> u32 {
    let digit = (at >> (level * BUCKET_BITS)) as u32 % BUCKETS;
    level * BUCKETS + digit
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Against a list of ends: nothing late, nothing early for good, nothing lost.
        #[test]
        fn every_slot_is_looked_at_when_it_ends(
            start in prop_oneof![Just(0u64), Just(1_790_000_000), Just(0xffff_fff0), Just(u64::MAX >> 8)],
            events in proptest::collection::vec(
                (0u32..8, prop_oneof![0u64..4, 0u64..600, 0u64..200_000, 0u64..40_000_000_000]),
                1..80,
            ),
        ) {
            let mut wheel = Wheel::new(8, start);
            let mut ends = [None; 8];
            let mut now = start;
            for (slot, ahead) in events {
                // An even draw arms or moves a slot; an odd one lets time pass.
                if ahead % 2 == 0 {
                    let end = now + 1 + ahead;
                    match ends[slot as usize] {
                        // What ends later stays where it is.
                        Some(earlier) if earlier <= end => {}
                        Some(_) | None => {
                            wheel.unlink(slot);
                            wheel.arm(slot, end);
                        }
                    }
                    ends[slot as usize] = Some(end);
                } else {
                    now += ahead;
                }
                while let Some(slot) = wheel.next(now) {
                    match ends[slot as usize] {
                        Some(end) if end <= now => ends[slot as usize] = None,
                        Some(end) => wheel.arm(slot, end),
                        None => prop_assert!(false, "slot {slot} was not armed"),
                    }
                }
                prop_assert!(!wheel.is_behind(now));
                prop_assert!(ends.iter().flatten().all(|&end| end > now), "{ends:?} at {now}");
            }
        }
    }

    #[test]
    fn shelves_keep_their_order() {
        let mut wheel = Wheel::new(4, 0);
        for slot in [2, 0, 3, 1] {
            wheel.shelve(Shelf::Former, slot);
        }
        wheel.unlink(0);
        for expected in [2, 3, 1] {
            assert_eq!(wheel.oldest(Shelf::Former), Some(expected));
            wheel.unlink(expected);
        }
        assert_eq!(wheel.oldest(Shelf::Former), None);
    }
}
