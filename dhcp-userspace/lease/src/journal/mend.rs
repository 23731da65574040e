//! One wrong bit in a batch that had been on stable storage: which one?
//!
//! A batch's checksum is keyed and has 64 bits, so a batch that fits after a bit was flipped is the one that was
//! written. What a power cut left half written does not come to fit that way.

use super::replay::{Found, whole_batch};
use super::{
    ArchivedBatchHeader, BATCH_HEADER_OCTETS, BATCH_MAGIC, Cursor, RECORD_OCTETS, padded, split,
};
use crate::format::Image;
use crate::headers::StoreHeader;
use core::ops::Range;
use rkyv::api::low;
use rkyv::rancor::Failure;

/// Where in a batch's header magic, identity, sequence number and chain stand: what is known of the next batch
/// before it is read.
const KNOWN: [Range<usize>; 2] = [8..12, 16..48];
/// The rest: checksum, version, place in the group, count, run.
const UNKNOWN: [Range<usize>; 3] = [0..8, 12..16, 48..64];

/// The batch at the beginning of `octets` with the one bit flipped that makes it the next one after `cursor`.
pub(super) fn mended<'a>(
    store: &StoreHeader,
    octets: &'a [u8],
    position: u64,
    cursor: &Cursor,
) -> Option<Found<'a>> {
    let (found, rest) = octets.split_first_chunk::<BATCH_HEADER_OCTETS>()?;
    let expected = expected(store, cursor, found);
    // Almost always the end of the journal, where something else lies: a look at the header is enough.
    let next = match differing_bits(found, &expected) {
        0 => flipped_in_header(store, found, rest, position)
            .or_else(|| flipped_in_records(store, found, rest, position))?,
        1 => whole_batch(store, &expected, rest, position)?,
        _ => return None,
    };
    next.follows(cursor).then_some(next)
}

/// The header with what is known of it in its place.
fn expected(
    store: &StoreHeader,
    cursor: &Cursor,
    found: &[u8; BATCH_HEADER_OCTETS],
) -> [u8; BATCH_HEADER_OCTETS] {
    let mut expected = *found;
    let sequence = cursor.sequence.to_le_bytes();
    let chain = cursor.chain.0.to_le_bytes();
    let known = BATCH_MAGIC.iter().chain(&store.identity);
    let known = known.chain(&sequence).chain(&chain);
    for (place, octet) in KNOWN.into_iter().flatten().zip(known) {
        if let Some(place) = expected.get_mut(place) {
            *place = *octet;
        }
    }
    expected
}

fn differing_bits(one: &[u8], other: &[u8]) -> u32 {
    let pairs = one.iter().zip(other);
    pairs.map(|(one, other)| (one ^ other).count_ones()).sum()
}

fn flipped_in_header<'a>(
    store: &StoreHeader,
    found: &[u8; BATCH_HEADER_OCTETS],
    rest: &'a [u8],
    position: u64,
) -> Option<Found<'a>> {
    let mut bits = UNKNOWN.into_iter().flatten().flat_map(bits_of);
    bits.find_map(|(octet, mask)| {
        let mut tried = *found;
        *tried.get_mut(octet)? ^= mask;
        whole_batch(store, &tried, rest, position)
    })
}

fn flipped_in_records<'a>(
    store: &StoreHeader,
    found: &[u8; BATCH_HEADER_OCTETS],
    rest: &'a [u8],
    position: u64,
) -> Option<Found<'a>> {
    let header = low::access::<ArchivedBatchHeader, Failure>(found).ok()?;
    let octets = (header.count.to_native() as usize).checked_mul(RECORD_OCTETS)?;
    let records = rest.get(..octets)?;
    let checksum = store.checksum();
    let is_right =
        |(partition, slot, image): (u32, u32, &Image)| checksum.is_right(image, partition, slot);
    let mut wrong = (0..)
        .zip(split(records))
        .filter(|(_, record)| !is_right(*record));
    let (number, _) = wrong.next()?;
    if wrong.next().is_some() {
        return None;
    }
    let mut tried = rest
        .get(..padded(BATCH_HEADER_OCTETS + octets) - BATCH_HEADER_OCTETS)?
        .to_vec();
    let record: Range<usize> = number * RECORD_OCTETS..(number + 1) * RECORD_OCTETS;
    for (octet, mask) in record.clone().flat_map(bits_of) {
        *tried.get_mut(octet)? ^= mask;
        if split(tried.get(record.clone())?).all(is_right) {
            break;
        }
        *tried.get_mut(octet)? ^= mask;
    }
    whole_batch(store, found, &tried, position).map(Found::into_owned)
}

fn bits_of(octet: usize) -> impl Iterator<Item = (usize, u8)> {
    (0..8).map(move |bit| (octet, 1 << bit))
}
