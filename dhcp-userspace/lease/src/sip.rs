//! SipHash-1-3 (Aumasson and Bernstein) over what is known to be whole words.
//!
//! The published crate takes octets as they come and keeps a buffer for what is left over. Opening a store
//! hashes every slot, twice, and a slot is sixteen words: without the buffer that takes half the time. The
//! results are the same.

/// A hash under way.
#[derive(Clone, Copy)]
pub(crate) struct Sip([u64; 4]);

impl Sip {
    /// With 64 bits to come out of it.
    pub(crate) fn new([low, high]: [u64; 2]) -> Self {
        Self([
            low ^ 0x736f_6d65_7073_6575,
            high ^ 0x646f_7261_6e64_6f6d,
            low ^ 0x6c79_6765_6e65_7261,
            high ^ 0x7465_6462_7974_6573,
        ])
    }

    /// With 128 bits to come out of it.
    pub(crate) fn wide(key: [u64; 2]) -> Self {
        let Self([a, b, c, d]) = Self::new(key);
        Self([a, b ^ 0xee, c, d])
    }

    /// Eight octets, the first one lowest.
    #[inline]
    pub(crate) fn word(self, word: u64) -> Self {
        let Self([a, b, c, d]) = self;
        let Self([a, b, c, d]) = Self([a, b, c, d ^ word]).round();
        Self([a ^ word, b, c, d])
    }

    /// The last octets, after `before` others, a multiple of eight.
    #[inline]
    pub(crate) fn last(self, before: usize, octets: &[u8]) -> Self {
        let (words, rest) = octets.as_chunks::<8>();
        let sip = words
            .iter()
            .fold(self, |sip, word| sip.word(u64::from_le_bytes(*word)));
        let rest = rest
            .iter()
            .rev()
            .fold(0, |word, &octet| word << 8 | u64::from(octet));
        sip.word(((before + octets.len()) as u64) << 56 | rest)
    }

    #[inline]
    pub(crate) fn finish(self) -> u64 {
        self.end(0xff).sum()
    }

    #[inline]
    pub(crate) fn finish_wide(self) -> [u64; 2] {
        let low = self.end(0xee);
        let Self([a, b, c, d]) = low;
        let high = Self([a, b ^ 0xdd, c, d]).round().round().round();
        [low.sum(), high.sum()]
    }

    #[inline]
    fn end(self, mark: u64) -> Self {
        let Self([a, b, c, d]) = self;
        Self([a, b, c ^ mark, d]).round().round().round()
    }

    #[inline]
    fn sum(self) -> u64 {
        let Self([a, b, c, d]) = self;
        a ^ b ^ c ^ d
    }

    #[inline]
    fn round(self) -> Self {
        let Self([mut a, mut b, mut c, mut d]) = self;
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        Self([a, b, c, d])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::hash::Hasher;
    use proptest::prelude::*;
    use siphasher::sip128::Hasher128;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_is_the_published_hash(
            key in any::<[u64; 2]>(),
            first in any::<u64>(),
            octets in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let [low, high] = key;
            let mut narrow = siphasher::sip::SipHasher13::new_with_keys(low, high);
            let mut wide = siphasher::sip128::SipHasher13::new_with_keys(low, high);
            for octets in [first.to_le_bytes().as_slice(), &octets] {
                narrow.write(octets);
                wide.write(octets);
            }
            let ours = Sip::new(key).word(first).last(8, &octets);
            prop_assert_eq!(ours.finish(), narrow.finish());
            let ours = Sip::wide(key).word(first).last(8, &octets);
            let wide = wide.finish128();
            prop_assert_eq!(ours.finish_wide(), [wide.h1, wide.h2]);
        }
    }
}
