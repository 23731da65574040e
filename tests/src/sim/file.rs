//! What does the disk really have of a file? One simulated file: the page cache, what is durable, and
//! what lies in between.
//!
//! The unit of loss is [`UNIT`] octets. A unit is *dirty* when the page cache has something newer than
//! the disk and a sync would bring it there; it is *stale* when the disk lost it and the kernel believes
//! it clean (a sync that failed): no later sync writes it, and when its page is evicted it is gone.

use super::random::Random;

/// The step at which writes tear.
pub const UNIT: usize = 64;
/// The system keeps and writes pages.
pub const PAGE: usize = 4096;
const UNITS_PER_PAGE: usize = PAGE / UNIT;

/// Bits, one for each unit.
#[derive(Clone, Debug, Default)]
struct Units {
    words: Vec<u64>,
}

impl Units {
    fn set(&mut self, unit: usize) {
        if self.words.len() <= unit / 64 {
            self.words.resize(unit / 64 + 1, 0);
        }
        self.words[unit / 64] |= 1 << (unit % 64);
    }

    fn clear(&mut self, unit: usize) {
        if let Some(word) = self.words.get_mut(unit / 64) {
            *word &= !(1 << (unit % 64));
        }
    }

    fn has(&self, unit: usize) -> bool {
        let word = self.words.get(unit / 64).copied();
        word.unwrap_or(0) & 1 << (unit % 64) != 0
    }

    fn all(&self) -> Vec<usize> {
        let mut units = Vec::new();
        for (index, &word) in self.words.iter().enumerate() {
            let mut rest = word;
            while rest != 0 {
                units.push(index * 64 + rest.trailing_zeros() as usize);
                rest &= rest - 1;
            }
        }
        units
    }

    fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    fn reset(&mut self) {
        self.words.clear();
    }
}

/// A file.
#[derive(Clone, Debug, Default)]
pub struct SimFile {
    cache: Vec<u8>,
    durable: Vec<u8>,
    /// Octets of the file that are sure to be there after a power cut; `durable` may be longer.
    durable_len: usize,
    dirty: Units,
    stale: Units,
    /// Written past the page cache: it never has what the disk lost.
    direct: Units,
}

/// How what was not synced comes through a power cut.
#[derive(Clone, Copy, Debug)]
pub struct Tear {
    /// What is written as one piece.
    pub grain: usize,
    /// Of a thousand pieces, how many reached the disk.
    pub survives_per_mille: u64,
    /// Of a thousand pages that were being written, how many are spoilt as a whole.
    pub spoils_per_mille: u64,
}

impl SimFile {
    /// What processes see.
    pub fn octets(&self) -> &[u8] {
        &self.cache
    }

    /// Its size as processes see it.
    pub fn len(&self) -> usize {
        self.cache.len()
    }

    /// Whether it has no octets.
    pub fn is_empty(&self) -> bool {
        self.cache.is_empty()
    }

    /// Changes the size; new octets are zeros.
    pub fn resize(&mut self, len: usize) {
        let before = self.cache.len();
        self.cache.resize(len, 0);
        if self.durable.len() < len {
            self.durable.resize(len, 0);
        }
        self.durable[len.min(before)..].fill(0);
    }

    /// Writes into the page cache.
    pub fn write(&mut self, at: usize, octets: &[u8]) {
        let end = at + octets.len();
        if end > self.cache.len() {
            self.resize(end);
        }
        self.cache[at..end].copy_from_slice(octets);
        if !octets.is_empty() {
            for unit in at / UNIT..=(end - 1) / UNIT {
                self.dirty.set(unit);
                self.stale.clear(unit);
                self.direct.clear(unit);
            }
        }
    }

    /// Takes over the units of `octets` (of the range that begins at `at`) that differ from the cache.
    /// Calls `changed` for each, and returns their pages.
    pub fn take_over(
        &mut self,
        at: usize,
        octets: &[u8],
        mut changed: impl FnMut(&mut Self, usize),
    ) -> Vec<usize> {
        let mut pages = Vec::new();
        for page in (0..octets.len()).step_by(PAGE) {
            let page_end = (page + PAGE).min(octets.len());
            if octets[page..page_end] == self.cache[at + page..at + page_end] {
                continue;
            }
            pages.push((at + page) / PAGE);
            for from in (page..page_end).step_by(UNIT) {
                let to = (from + UNIT).min(page_end);
                if octets[from..to] != self.cache[at + from..at + to] {
                    self.cache[at + from..at + to].copy_from_slice(&octets[from..to]);
                    let unit = (at + from) / UNIT;
                    self.dirty.set(unit);
                    self.stale.clear(unit);
                    changed(self, unit);
                }
            }
        }
        pages
    }

    /// Brings one unit to the disk.
    pub fn harden(&mut self, unit: usize) {
        let range = self.range(unit);
        self.durable[range.clone()].copy_from_slice(&self.cache[range]);
        self.dirty.clear(unit);
    }

    /// Loses one unit: the kernel believes that it is on the disk. What was written past the page cache is read
    /// as the disk has it from then on.
    pub fn forget(&mut self, unit: usize) {
        self.dirty.clear(unit);
        if self.direct.has(unit) {
            let range = self.range(unit);
            self.cache[range.clone()].copy_from_slice(&self.durable[range]);
        } else {
            self.stale.set(unit);
        }
    }

    /// As [`SimFile::write`], past the page cache.
    pub fn write_direct(&mut self, at: usize, octets: &[u8]) {
        self.write(at, octets);
        for unit in at / UNIT..(at + octets.len()).div_ceil(UNIT) {
            self.direct.set(unit);
        }
    }

    /// What a failed sync lost of some pages is to be written by the next one. Which units that are.
    pub fn dirty_again(&mut self, is_stored_to: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut units = self.stale.all();
        units.retain(|unit| is_stored_to(unit / UNITS_PER_PAGE));
        for &unit in &units {
            self.stale.clear(unit);
            self.dirty.set(unit);
        }
        units
    }

    fn range(&self, unit: usize) -> std::ops::Range<usize> {
        unit * UNIT..((unit + 1) * UNIT).min(self.cache.len())
    }

    /// A sync that succeeds: everything dirty is durable, and the size.
    pub fn sync(&mut self) {
        for unit in self.dirty.all() {
            if unit * UNIT < self.cache.len() {
                self.harden(unit);
            }
        }
        self.dirty.reset();
        self.durable_len = self.cache.len();
    }

    /// A sync that fails: some of it reached the disk, and the rest is marked clean all the same.
    pub fn sync_failing(&mut self, random: &mut Random) {
        for unit in self.dirty.all() {
            if unit * UNIT >= self.cache.len() || random.chance(500) {
                self.forget(unit);
            } else {
                self.harden(unit);
            }
        }
    }

    /// The kernel writes back some of what is dirty, of its own accord.
    pub fn write_back(&mut self, random: &mut Random) {
        if self.dirty.is_empty() {
            return;
        }
        let share = *random.pick(&[100, 500, 1000]);
        for unit in self.dirty.all() {
            if unit * UNIT < self.cache.len() && random.chance(share) {
                self.harden(unit);
            }
        }
    }

    /// The process died and the kernel lives: the page cache stays, but for pages believed clean that
    /// are evicted by and by.
    pub fn evict(&mut self, random: &mut Random) {
        for unit in self.stale.all() {
            if random.chance(500) {
                let range = self.range(unit);
                self.cache[range.clone()].copy_from_slice(&self.durable[range]);
                self.stale.clear(unit);
            }
        }
    }

    /// The power failed: what is left.
    pub fn cut_power(&mut self, tear: Tear, random: &mut Random) {
        let (dirty, stale) = (self.dirty.all(), self.stale.all());
        let per_piece = tear.grain / UNIT;
        let mut piece = usize::MAX;
        let mut survives = false;
        for &unit in &dirty {
            if unit / per_piece != piece {
                piece = unit / per_piece;
                survives = random.chance(tear.survives_per_mille);
            }
            let range = self.range(unit);
            if survives && !range.is_empty() {
                self.durable[range.clone()].copy_from_slice(&self.cache[range]);
            }
        }
        if tear.spoils_per_mille > 0 {
            self.spoil(&dirty, tear.spoils_per_mille, random);
        }
        for unit in dirty.into_iter().chain(stale) {
            let range = self.range(unit);
            self.cache[range.clone()].copy_from_slice(&self.durable[range]);
        }
        self.dirty.reset();
        self.stale.reset();
        if self.durable_len != self.cache.len() {
            let (short, long) = (
                self.durable_len.min(self.cache.len()),
                self.durable_len.max(self.cache.len()),
            );
            let between = short + random.below((long - short + 1) as u64) as usize;
            let len = *random.pick(&[self.durable_len, self.cache.len(), between]);
            self.durable.resize(len.max(self.durable.len()), 0);
            self.cache.resize(len, 0);
            self.cache.copy_from_slice(&self.durable[..len]);
            self.durable_len = len;
        }
    }

    /// Whole pages that were being written become nonsense.
    fn spoil(&mut self, dirty: &[usize], per_mille: u64, random: &mut Random) {
        let mut pages: Vec<usize> = dirty.iter().map(|unit| unit / UNITS_PER_PAGE).collect();
        pages.dedup();
        for page in pages {
            if random.chance(per_mille) {
                for unit in page * UNITS_PER_PAGE..(page + 1) * UNITS_PER_PAGE {
                    let range = self.range(unit);
                    if !range.is_empty() {
                        random.fill(&mut self.durable[range.clone()]);
                        self.cache[range.clone()].copy_from_slice(&self.durable[range]);
                    }
                }
            }
        }
    }

    /// Flips one bit of what is on the disk, and in the cache.
    pub fn flip(&mut self, bit: usize) {
        let mask = 1 << (bit % 8);
        self.durable[bit / 8] ^= mask;
        self.cache[bit / 8] ^= mask;
    }

    /// Puts octets on the disk and into the cache, past everything.
    pub fn plant(&mut self, at: usize, octets: &[u8]) {
        self.cache[at..at + octets.len()].copy_from_slice(octets);
        self.durable[at..at + octets.len()].copy_from_slice(octets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> SimFile {
        let mut file = SimFile::default();
        file.write(0, &[1; 8192]);
        file.sync();
        file
    }

    const NOTHING: Tear = Tear {
        grain: 64,
        survives_per_mille: 0,
        spoils_per_mille: 0,
    };
    const HALF: Tear = Tear {
        grain: 512,
        survives_per_mille: 500,
        spoils_per_mille: 0,
    };

    #[test]
    fn what_was_synced_survives_and_what_was_not_may_be_lost() {
        let mut random = Random::new(1);
        let mut file = written();
        file.write(100, &[2; 200]);
        file.cut_power(NOTHING, &mut random);
        assert_eq!(file.octets(), [1; 8192]);
        file.write(100, &[2; 200]);
        file.sync();
        file.cut_power(NOTHING, &mut random);
        assert_eq!(file.octets()[100..300], [2; 200]);
    }

    #[test]
    fn writes_tear_at_the_grain() {
        let mut random = Random::new(1);
        let mut file = written();
        file.write(0, &[2; 8192]);
        file.cut_power(HALF, &mut random);
        let pieces: Vec<bool> = file
            .octets()
            .chunks(512)
            .map(|piece| piece == [2; 512])
            .collect();
        assert!(pieces.contains(&true) && pieces.contains(&false));
        assert!(
            file.octets()
                .chunks(512)
                .all(|piece| piece == [1; 512] || piece == [2; 512])
        );
    }

    #[test]
    fn a_sync_that_failed_loses_what_the_next_one_does_not_bring_back() {
        let mut random = Random::new(1);
        let mut file = written();
        file.write(0, &[2; 8192]);
        file.sync_failing(&mut random);
        assert_eq!(file.octets(), [2; 8192], "the page cache still has it");
        file.sync();
        file.cut_power(NOTHING, &mut random);
        assert!(file.octets().contains(&1) && file.octets().contains(&2));
    }

    #[test]
    fn a_size_that_was_not_synced_is_any_size() {
        let mut lens = std::collections::BTreeSet::new();
        for seed in 0..20 {
            let mut file = written();
            file.resize(16384);
            file.cut_power(NOTHING, &mut Random::new(seed));
            assert!((8192..=16384).contains(&file.len()));
            lens.insert(file.len());
        }
        assert!(lens.len() > 2);
    }
}
