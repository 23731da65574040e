//! A bitmap that finds its next clear bit in constant time, for many threads at once.
//!
//! `taken` is the truth: whoever turns a bit from 0 to 1 by `fetch_or` has it. Above it lie levels of
//! hints, one bit per word below: "this word is full". A hint may be missing, which costs the search a
//! look at a full word. A hint that lies, once everybody is done, would hide a free bit for ever; that
//! cannot happen:
//! - The filler of a word sets the hint and *then* reads the word again; if it is no longer full it
//!   clears the hint.
//! - The one who gives back clears the bit and *then* the hint.
//!
//! All of these are sequentially consistent, so they have one order. Take the last clearing of a bit of
//! a word that stays not full. A hint set before the giver's clearing of it is cleared there. A hint set
//! after it was set by a filler whose second look comes later still, sees the clear bit, and takes the
//! hint away. One level up the same holds of the hints themselves.
//!
//! While such a race goes on a search can pass by a bit that was just given back. `free` is therefore
//! counted: a search that finds nothing though there should be something looks at every word.

use crate::sync::{AtomicI64, AtomicU64, Ordering::SeqCst, ROUNDS_MAX};

const WORD_BITS: u64 = 64;
const FULL: u64 = u64::MAX;

#[derive(Debug)]
pub(super) struct Bitmap {
    taken: Box<[AtomicU64]>,
    /// Bits that a search does not find. Those after the end are among them.
    reserved: Box<[u64]>,
    /// From fine to coarse; the last has one word.
    hints: Vec<Box<[AtomicU64]>>,
    count: u64,
    /// Bits neither taken nor reserved. Briefly too low or below zero while somebody is at work.
    free: AtomicI64,
}

impl Bitmap {
    /// `reserved` ascending, below `count`.
    pub(super) fn new(count: u64, reserved: impl Iterator<Item = u64>) -> Self {
        let words = usize::try_from(count.div_ceil(WORD_BITS)).unwrap_or(usize::MAX);
        let mut masks = vec![0u64; words].into_boxed_slice();
        let mut reserved_count = 0;
        for bit in reserved {
            set(&mut masks, bit);
            reserved_count += 1;
        }
        for bit in count..words as u64 * WORD_BITS {
            set(&mut masks, bit);
        }
        let mut hints: Vec<Box<[AtomicU64]>> = Vec::new();
        let mut below: Vec<u64> = masks.to_vec();
        while below.len() > 1 || hints.is_empty() {
            let level: Vec<u64> = below.chunks(WORD_BITS as usize).map(full_words).collect();
            hints.push(level.iter().map(|&word| AtomicU64::new(word)).collect());
            below = level;
        }
        Self {
            taken: masks.iter().map(|_| AtomicU64::new(0)).collect(),
            reserved: masks,
            hints,
            count,
            free: AtomicI64::new(count as i64 - reserved_count),
        }
    }

    /// Takes one bit, reserved or not. Whether it was clear.
    pub(super) fn claim(&self, bit: u64) -> bool {
        let claimed = self.take(bit);
        if claimed && !self.is_reserved(bit) {
            self.free.fetch_sub(1, SeqCst);
        }
        claimed
    }

    /// Takes every bit that is set in `wanted`; `taken_before` has those that were not clear.
    pub(super) fn take_all(&self, wanted: &[u64], mut taken_before: impl FnMut(u64)) {
        let mut claimed_free = 0;
        let words = wanted.iter().zip(&self.taken).zip(&self.reserved);
        for (word, ((&mask, taken), &reserved)) in words.enumerate() {
            if mask == 0 {
                continue;
            }
            let before = taken.fetch_or(mask, SeqCst);
            claimed_free += i64::from((mask & !before & !reserved).count_ones());
            if before | mask | reserved == FULL {
                self.hint(0, word as u64);
            }
            let first = word as u64 * WORD_BITS;
            ones(&[before & mask]).for_each(|bit| taken_before(first + bit));
        }
        self.free.fetch_sub(claimed_free, SeqCst);
    }

    /// Takes the first clear bit that is not reserved, from `from` on, cyclic.
    pub(super) fn claim_next(&self, from: u64) -> Option<u64> {
        // Taking a number from the count first makes sure that a bit is there to be found.
        self.free
            .fetch_update(SeqCst, SeqCst, |free| (free > 0).then(|| free - 1))
            .ok()?;
        let found = self
            .search(from)
            .or_else(|| (0..ROUNDS_MAX).find_map(|_| self.search_every_word()));
        if found.is_none() {
            self.free.fetch_add(1, SeqCst);
        }
        found
    }

    /// Clears a bit; whether a search may find it now. Giving back what nobody holds changes nothing.
    pub(super) fn give_back(&self, bit: u64) -> bool {
        let (word, mask) = split(bit);
        let Some(taken) = self.taken.get(word) else {
            return false;
        };
        if taken.fetch_and(!mask, SeqCst) & mask == 0 || self.is_reserved(bit) {
            return false;
        }
        let mut index = bit / WORD_BITS;
        for level in &self.hints {
            let (word, mask) = split(index);
            if let Some(hint) = level.get(word) {
                hint.fetch_and(!mask, SeqCst);
            }
            index /= WORD_BITS;
        }
        self.free.fetch_add(1, SeqCst);
        true
    }

    /// Whether a search would find it: neither taken nor reserved.
    pub(super) fn is_free(&self, bit: u64) -> bool {
        let (word, mask) = split(bit);
        let taken = self.taken.get(word).map(|taken| taken.load(SeqCst));
        bit < self.count && taken.is_some_and(|taken| taken & mask == 0) && !self.is_reserved(bit)
    }

    pub(super) fn is_taken(&self, bit: u64) -> bool {
        let (word, mask) = split(bit);
        let taken = self.taken.get(word).map(|taken| taken.load(SeqCst));
        taken.is_some_and(|taken| taken & mask != 0)
    }

    pub(super) fn is_reserved(&self, bit: u64) -> bool {
        let (word, mask) = split(bit);
        bit < self.count
            && self
                .reserved
                .get(word)
                .is_some_and(|reserved| reserved & mask != 0)
    }

    /// The reserved bits, ascending.
    pub(super) fn reserved(&self) -> impl Iterator<Item = u64> {
        (0..)
            .zip(&self.reserved)
            .flat_map(|(word, &mask)| {
                (0..WORD_BITS)
                    .filter(move |bit| mask & (1 << bit) != 0)
                    .map(move |bit| word * WORD_BITS + bit)
            })
            .take_while(|&bit| bit < self.count)
    }

    pub(super) fn reserved_count(&self) -> u64 {
        let beyond = self.reserved.len() as u64 * WORD_BITS - self.count;
        self.reserved
            .iter()
            .map(|word| u64::from(word.count_ones()))
            .sum::<u64>()
            - beyond
    }

    pub(super) fn taken_words(&self) -> impl Iterator<Item = u64> {
        self.taken.iter().map(|word| word.load(SeqCst))
    }

    pub(super) fn taken_count(&self) -> u64 {
        self.taken
            .iter()
            .map(|word| u64::from(word.load(SeqCst).count_ones()))
            .sum()
    }

    pub(super) fn free_count(&self) -> u64 {
        u64::try_from(self.free.load(SeqCst)).unwrap_or(0)
    }

    /// Takes what the hints lead to.
    pub(super) fn search(&self, from: u64) -> Option<u64> {
        let from = if from < self.count { from } else { 0 };
        self.search_from(from).or_else(|| self.search_from(0))
    }

    fn search_from(&self, from: u64) -> Option<u64> {
        let mut from = from;
        loop {
            let word = usize::try_from(from / WORD_BITS).ok()?;
            if let Some(bit) = self.take_in_word(word, from % WORD_BITS) {
                return Some(bit);
            }
            from = self.next_not_full(0, from / WORD_BITS + 1)? * WORD_BITS;
        }
    }

    fn search_every_word(&self) -> Option<u64> {
        (0..self.taken.len()).find_map(|word| self.take_in_word(word, 0))
    }

    /// Takes the first clear bit of a word from `first` on.
    fn take_in_word(&self, word: usize, first: u64) -> Option<u64> {
        let reserved = *self.reserved.get(word)?;
        loop {
            let taken = self.taken.get(word)?.load(SeqCst);
            let open = !(taken | reserved) & (FULL << first);
            if open == 0 {
                return None;
            }
            let bit = word as u64 * WORD_BITS + u64::from(open.trailing_zeros());
            if self.take(bit) {
                return Some(bit);
            }
        }
    }

    /// The first word from `index` on that `hints[level]` does not call full (of level 0: a word of
    /// bits; of level 1: a word of hints of level 0; and so on).
    fn next_not_full(&self, level: usize, index: u64) -> Option<u64> {
        let hints = self.hints.get(level)?;
        let mut index = index;
        loop {
            let (word, _) = split(index);
            let hint = hints.get(word)?.load(SeqCst);
            let open = !hint & (FULL << (index % WORD_BITS));
            if open != 0 {
                return Some(word as u64 * WORD_BITS + u64::from(open.trailing_zeros()));
            }
            index = self.next_not_full(level + 1, word as u64 + 1)? * WORD_BITS;
        }
    }

    /// Turns a bit from 0 to 1, and leaves the hints if that filled its word.
    fn take(&self, bit: u64) -> bool {
        let (word, mask) = split(bit);
        let Some(taken) = self.taken.get(word) else {
            return false;
        };
        let before = taken.fetch_or(mask, SeqCst);
        if before & mask == 0 && self.is_word_full(word) {
            self.hint(0, word as u64);
        }
        before & mask == 0
    }

    fn is_word_full(&self, word: usize) -> bool {
        let taken = self
            .taken
            .get(word)
            .map_or(FULL, |taken| taken.load(SeqCst));
        taken | self.reserved.get(word).copied().unwrap_or(FULL) == FULL
    }

    /// Says that a word is full, then makes sure that it still is.
    fn hint(&self, level: usize, index: u64) {
        let (word, mask) = split(index);
        let Some(hint) = self.hints.get(level).and_then(|hints| hints.get(word)) else {
            return;
        };
        let after = hint.fetch_or(mask, SeqCst) | mask;
        if after == FULL {
            self.hint(level + 1, word as u64);
        }
        if !self.is_full(level, index) {
            hint.fetch_and(!mask, SeqCst);
            self.unhint_above(level + 1, word as u64);
        }
    }

    fn unhint_above(&self, level: usize, index: u64) {
        let mut index = index;
        for hints in self.hints.iter().skip(level) {
            let (word, mask) = split(index);
            if let Some(hint) = hints.get(word) {
                hint.fetch_and(!mask, SeqCst);
            }
            index = word as u64;
        }
    }

    /// Whether what hint `index` of `level` stands for is full.
    fn is_full(&self, level: usize, index: u64) -> bool {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        match level.checked_sub(1) {
            None => self.is_word_full(index),
            Some(below) => {
                let word = self.hints.get(below).and_then(|hints| hints.get(index));
                word.is_none_or(|word| word.load(SeqCst) == FULL)
            }
        }
    }
}

fn split(bit: u64) -> (usize, u64) {
    (
        usize::try_from(bit / WORD_BITS).unwrap_or(usize::MAX),
        1 << (bit % WORD_BITS),
    )
}

fn set(words: &mut [u64], bit: u64) {
    let (word, mask) = split(bit);
    if let Some(word) = words.get_mut(word) {
        *word |= mask;
    }
}

/// One bit per word that is full; words that do not exist are full.
fn full_words(words: &[u64]) -> u64 {
    let mut hint = 0;
    for index in 0..WORD_BITS {
        let full = words.get(index as usize).is_none_or(|&word| word == FULL);
        hint |= u64::from(full) << index;
    }
    hint
}

/// The numbers of the bits that are set, ascending.
pub(super) fn ones(words: &[u64]) -> impl Iterator<Item = u64> {
    (0u64..).zip(words).flat_map(|(number, &word)| {
        let mut left = word;
        core::iter::from_fn(move || {
            let bit = (left != 0).then(|| left.trailing_zeros())?;
            left &= left - 1;
            Some(64 * number + u64::from(bit))
        })
    })
}
