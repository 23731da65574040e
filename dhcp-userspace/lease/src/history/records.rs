//! From the records of change logs to entries.

use super::entry::Entry;
use crate::binding::{Binding, Timestamp};
use crate::format::{self, Image};
use core::cell::Cell;

/// What was found in a change log's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Recorded {
    /// Bindings.
    pub bindings: u64,
    /// Records that are no binding, nor the rest of one.
    pub unknown: u64,
}

/// Visits what records (partition, slot, image) say, in their order: a binding's image and, right behind
/// it, the images of its extensions.
pub fn for_each<'a>(
    records: impl Iterator<Item = (u32, u32, &'a Image)>,
    now: Timestamp,
    mut visit: impl FnMut(Entry),
) -> Recorded {
    let mut recorded = Recorded::default();
    let mut binding = Binding::default();
    let mut rest: Vec<(u32, &Image)> = records.map(|(at, _, image)| (at, image)).collect();
    rest.reverse();
    while let Some((partition, image)) = rest.pop() {
        let Some(record) = format::record(image).filter(|record| record.is_sound()) else {
            recorded.unknown += 1;
            continue;
        };
        let extensions = usize::from(record.extensions);
        if !belong_together(image, partition, &rest, extensions) {
            recorded.unknown += 1;
            continue;
        }
        // They follow in order, so which slot is asked for does not matter.
        let next = Cell::new(rest.len());
        let pieces = format::pieces(record, |_| {
            next.set(next.get().checked_sub(1)?);
            rest.get(next.get()).map(|(_, image)| *image)
        });
        let octets = format::gather(pieces);
        rest.truncate(rest.len() - extensions);
        format::read(record, &octets, &mut binding);
        recorded.bindings += 1;
        visit(Entry::of_binding(
            &binding,
            partition,
            format::generation(image),
            now,
        ));
    }
    recorded
}

fn belong_together(
    head: &Image,
    partition: u32,
    rest: &[(u32, &Image)],
    extensions: usize,
) -> bool {
    let generation = format::generation(head);
    let Some(start) = rest.len().checked_sub(extensions) else {
        return false;
    };
    rest.get(start..)
        .unwrap_or_default()
        .iter()
        .all(|(at, image)| {
            *at == partition
                && format::generation(image) == generation
                && format::extension(image).is_some()
        })
}

/// How many commits are in records, for a count of what was lost: extensions are no commits of their own.
pub fn count_generations<'a>(records: impl Iterator<Item = (u32, u32, &'a Image)>) -> u64 {
    let heads = records.filter(|(_, _, image)| format::record(image).is_some());
    heads.count() as u64
}
