//! The blocks of a snapshot: one for each partition, and one for the pools.

use super::octets::{Cut, Put};
use crate::allocator::Pools;
use crate::headers::StoreHeader;
use crate::index::{ClientIndex, LINE_OCTETS};
use crate::partition::{Partition, Role};
use crate::wheel::{LINK_OCTETS, Wheel};

/// What a partition has in memory about its slots.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) roles: Vec<Role>,
    pub(crate) wheel: Wheel,
    pub(crate) index: ClientIndex,
    /// The generation of the last commit.
    pub(crate) generation: u64,
}

/// Checksum, generation, time of the wheel, slots, links, lines.
const FIXED_OCTETS: usize = 48;

impl Memory {
    /// Of a table that nobody has looked at.
    pub(crate) fn blank(slots: u32, now: u64) -> Self {
        Self {
            roles: vec![Role::Free; slots as usize],
            wheel: Wheel::new(slots, now),
            index: ClientIndex::new(slots),
            generation: 0,
        }
    }
}

pub(super) fn partition_octets(partition: &Partition) -> usize {
    let octets = FIXED_OCTETS
        + partition.roles.len().next_multiple_of(8)
        + partition.wheel.links() * LINK_OCTETS
        + partition.index.lines() * LINE_OCTETS;
    octets.next_multiple_of(super::ALIGNMENT)
}

pub(super) fn put_partition(block: &mut [u8], partition: &Partition) {
    let mut put = Put::new(block);
    put.number(0); // the checksum
    put.number(partition.generation);
    put.number(partition.wheel.time());
    put.number(partition.roles.len() as u64);
    put.number(partition.wheel.links() as u64);
    put.number(partition.index.lines() as u64);
    let roles = put.space(partition.roles.len().next_multiple_of(8));
    for (place, role) in roles.iter_mut().zip(&partition.roles) {
        *place = *role as u8;
    }
    partition
        .wheel
        .write(put.space(partition.wheel.links() * LINK_OCTETS));
    partition
        .index
        .write(put.space(partition.index.lines() * LINE_OCTETS));
}

pub(super) fn cut_partition(block: &[u8], slots: u32) -> Option<Memory> {
    let mut cut = Cut::new(block);
    let [_checksum, generation, time, roles, links, lines] = numbers(&mut cut)?;
    if roles != u64::from(slots) {
        return None;
    }
    let octets = cut.octets((slots as usize).next_multiple_of(8))?;
    let roles: Option<Vec<Role>> = octets
        .iter()
        .take(slots as usize)
        .map(|&octet| Role::of(octet))
        .collect();
    let links = cut.octets(usize::try_from(links).ok()?.checked_mul(LINK_OCTETS)?)?;
    let lines = cut.octets(usize::try_from(lines).ok()?.checked_mul(LINE_OCTETS)?)?;
    Some(Memory {
        roles: roles?,
        wheel: Wheel::read(slots, time, links)?,
        index: ClientIndex::read(slots, lines)?,
        generation,
    })
}

/// Stands for all that the bits of the pools depend on.
pub(super) fn pools_digest(pools: &Pools, store: &StoreHeader) -> u64 {
    let mut sip = store.checksum().sip();
    pools.describe(|word| sip = sip.word(word));
    sip.finish()
}

pub(super) fn pools_octets(pools: &Pools) -> usize {
    let words: usize = (0..=pools.len()).map(|pool| 2 + pools.words(pool)).sum();
    (8 + 8 * words).next_multiple_of(super::ALIGNMENT)
}

pub(super) fn put_pools(block: &mut [u8], pools: &Pools) {
    let mut put = Put::new(block);
    put.number(0); // the checksum
    for pool in 0..=pools.len() {
        put.number(pools.cursor(pool));
        put.number(pools.words(pool) as u64);
        pools.taken_words(pool, |word| put.number(word));
    }
}

pub(super) fn cut_pools(block: &[u8], pools: &Pools) -> Option<()> {
    let mut cut = Cut::new(block);
    cut.number()?; // the checksum
    for pool in 0..=pools.len() {
        let cursor = cut.number()?;
        let words = usize::try_from(cut.number()?).ok()?;
        if words != pools.words(pool) {
            return None;
        }
        let (words, _) = cut.octets(8 * words)?.as_chunks::<8>();
        let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        pools.restore(pool, cursor, &words);
    }
    Some(())
}

fn numbers<const N: usize>(cut: &mut Cut<'_>) -> Option<[u64; N]> {
    let mut numbers = [0; N];
    for number in &mut numbers {
        *number = cut.number()?;
    }
    Some(numbers)
}
