//! Which unit of a pool has been free for the longest time? All that are free in a list, in the order in which
//! they became it. Eight octets for each unit, whether it is in the list or not, and no others.

use super::bitmap::Bitmap;
use crate::binding::Timestamp;
use crate::wheel::Links;

/// The only list of the links.
const FREE: u32 = 0;

/// The free units of a pool, those first that have been free for the longest time.
#[derive(Debug)]
pub(super) struct Queue {
    links: Links,
}

impl Queue {
    /// What is free in a new pool, ascending.
    pub(super) fn new(bitmap: &Bitmap, count: u64) -> Self {
        let mut this = Self {
            links: Links::new(0, 1),
        };
        this.order(bitmap, count, Vec::new());
        this
    }

    /// Puts all that is free in order: what nobody had, as far as is known, ascending; then what is among
    /// `ended`, what ended first before what ended later.
    pub(super) fn order(&mut self, bitmap: &Bitmap, count: u64, mut ended: Vec<(Timestamp, u64)>) {
        // Of a unit that several had in turn, the last end counts.
        ended.retain(|&(_, unit)| bitmap.is_free(unit));
        ended.sort_unstable_by_key(|&(at, unit)| (unit, core::cmp::Reverse(at)));
        ended.dedup_by_key(|(_, unit)| *unit);
        let mut was_held = ended.iter().map(|&(_, unit)| unit).peekable();
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.links = Links::new(count, 1);
        for unit in 0..count {
            let is_among = was_held.next_if_eq(&u64::from(unit)).is_some();
            if !is_among && bitmap.is_free(u64::from(unit)) {
                self.links.push_back(FREE, unit);
            }
        }
        ended.sort_unstable();
        for (_, unit) in ended {
            self.push(unit);
        }
    }

    /// The unit that has been free for the longest time, out of the list.
    pub(super) fn pop(&mut self) -> Option<u64> {
        let unit = self.links.front(FREE)?;
        self.links.unlink(unit);
        Some(u64::from(unit))
    }

    /// A unit was claimed by name.
    pub(super) fn remove(&mut self, unit: u64) {
        if let Ok(unit) = u32::try_from(unit) {
            self.links.unlink(unit);
        }
    }

    /// A unit is free from now on.
    pub(super) fn push(&mut self, unit: u64) {
        if let Ok(unit) = u32::try_from(unit) {
            self.links.push_back(FREE, unit);
        }
    }
}
