//! Which commits are in the history? Per partition, by their generations.
//!
//! Every commit of a partition has the next generation. They come nearly in order: a worker hands over
//! its commits later than another, or something is lost. So what is known is the highest generation and
//! the ranges below it that are missing.

use super::octets::{Cursor, put_number};

/// Most ranges that a partition keeps in mind; the oldest are given up first.
const RANGES_MAX: usize = 128;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    top: u64,
    /// First and last of each missing range, ascending.
    missing: Vec<(u64, u64)>,
    is_changed: bool,
}

/// The commits that are in the history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tracker {
    partitions: Vec<Known>,
    /// Commits whose ranges were given up.
    given_up: u64,
}

impl Tracker {
    /// Nothing is known of so many partitions.
    pub fn new(partitions: u32) -> Self {
        Self {
            partitions: vec![Known::default(); partitions as usize],
            given_up: 0,
        }
    }

    /// For how many partitions it is.
    pub fn partitions(&self) -> u32 {
        self.partitions.len() as u32
    }

    /// Whether this commit is not in the history.
    pub fn is_new(&self, partition: u32, generation: u64) -> bool {
        self.partitions
            .get(partition as usize)
            .is_some_and(|known| {
                let within = |&(first, last): &(u64, u64)| (first..=last).contains(&generation);
                generation > known.top || known.missing.iter().any(within)
            })
    }

    /// A commit is in the history now.
    pub fn add(&mut self, partition: u32, generation: u64) {
        let Some(known) = self.partitions.get_mut(partition as usize) else {
            return;
        };
        known.is_changed = true;
        if generation > known.top {
            if generation > known.top + 1 {
                known.missing.push((known.top + 1, generation - 1));
            }
            known.top = generation;
            if known.missing.len() > RANGES_MAX {
                let (first, last) = known.missing.remove(0);
                self.given_up += last - first + 1;
            }
            return;
        }
        let within = |&(first, last): &(u64, u64)| (first..=last).contains(&generation);
        let Some(place) = known.missing.iter().position(within) else {
            return;
        };
        let (first, last) = known.missing.remove(place);
        let parts = [(first, generation - 1), (generation + 1, last)];
        let parts = parts.into_iter().filter(|(first, last)| first <= last);
        known.missing.splice(place..place, parts);
    }

    /// The highest commit that is known of a partition.
    pub fn top(&self, partition: u32) -> u64 {
        self.partitions
            .get(partition as usize)
            .map_or(0, |known| known.top)
    }

    /// Whether everything up to a generation is in the history.
    pub fn has_all(&self, partition: u32, generation: u64) -> bool {
        self.partitions
            .get(partition as usize)
            .is_some_and(|known| known.top >= generation && known.missing.is_empty())
    }

    /// The store itself is at this generation now: what is missing until then is nowhere any more. How
    /// many commits these were.
    pub fn settle(&mut self, partition: u32, generation: u64) -> u64 {
        let lost = std::mem::take(&mut self.given_up);
        let Some(known) = self.partitions.get_mut(partition as usize) else {
            return lost;
        };
        let beyond = generation.saturating_sub(known.top);
        let missing: u64 = known
            .missing
            .drain(..)
            .map(|(first, last)| last - first + 1)
            .sum();
        known.is_changed |= beyond + missing > 0;
        known.top = known.top.max(generation);
        lost + beyond + missing
    }

    /// Appends what changed since the last call, or all.
    pub(super) fn put(&mut self, into: &mut Vec<u8>, all: bool) {
        let changed = |known: &&mut Known| all || known.is_changed;
        let count = self.partitions.iter_mut().filter(changed).count();
        put_number(into, count as u64);
        for (number, known) in self.partitions.iter_mut().enumerate() {
            if !(all || known.is_changed) {
                continue;
            }
            known.is_changed = false;
            put_number(into, number as u64);
            put_number(into, known.top);
            put_number(into, known.missing.len() as u64);
            for (first, last) in &known.missing {
                put_number(into, *first);
                put_number(into, last - first);
            }
        }
    }

    /// Takes over what a block says. `None` if that makes no sense; some of it may be taken over then.
    pub(super) fn take(&mut self, cursor: &mut Cursor<'_>) -> Option<()> {
        let count = cursor.number()?;
        for _ in 0..count {
            let number = cursor.number()? as usize;
            let top = cursor.number()?;
            let ranges = cursor.number()?;
            let mut missing = Vec::new();
            let mut least = 1;
            for _ in 0..ranges {
                let first = cursor.number()?;
                let last = first.checked_add(cursor.number()?)?;
                if first < least || last > top || missing.len() > RANGES_MAX {
                    return None;
                }
                least = last + 1;
                missing.push((first, last));
            }
            *self.partitions.get_mut(number)? = Known {
                top,
                missing,
                is_changed: false,
            };
        }
        cursor.0.is_empty().then_some(())
    }
}
