//! In which order does [`Allocator::Random`](super::Allocator::Random) go through a pool? A keyed permutation
//! of its units: every unit once in a round, no list of what is left, and nothing to be seen of what comes next
//! without the key.
//!
//! A Feistel network over the smallest even number of bits that holds the pool, with SipHash as its round
//! function; what falls outside of the pool is put through it again ("cycle walking"), which three of four
//! steps at worst do.

use crate::sip::Sip;
use core::sync::atomic::{AtomicU64, Ordering};

/// With a strong round function, four rounds are a permutation that cannot be told from a random one by
/// whoever chooses what goes in and out (Luby and Rackoff).
const ROUNDS: u64 = 4;

/// Steps of a walk. At worst three quarters of the places lie outside, so a walk is longer once in a hundred
/// million; then a unit comes twice in a round, which costs the order and nothing else.
const WALK_MAX: u32 = 64;

/// What the order is made from: the store's, so that it is another one for each, and the same after a restart.
#[derive(Debug, Default)]
pub(super) struct Secret([AtomicU64; 2]);

impl Secret {
    pub(super) fn set(&self, secret: [u64; 2]) {
        for (place, word) in self.0.iter().zip(secret) {
            place.store(word, Ordering::Relaxed);
        }
    }

    fn words(&self) -> [u64; 2] {
        self.0.each_ref().map(|word| word.load(Ordering::Relaxed))
    }
}

/// An order of the numbers below a count.
#[derive(Clone, Copy)]
pub(super) struct Permutation {
    key: [u64; 2],
    /// The pool, so that pools of one size have different orders.
    tweak: u64,
    count: u64,
    half_bits: u32,
}

impl Permutation {
    /// `count` at least 1, at most 2^62.
    pub(super) fn new(secret: &Secret, tweak: u64, count: u64) -> Self {
        let bits = u64::BITS - count.saturating_sub(1).leading_zeros();
        Self {
            key: secret.words(),
            tweak,
            count: count.max(1),
            half_bits: bits.div_ceil(2).max(1),
        }
    }

    /// The unit at a place of the order.
    pub(super) fn unit(&self, place: u64) -> u64 {
        self.walk(place, |number| {
            let rounds = 0..ROUNDS;
            let [left, right] = rounds.fold(self.halves(number), |[left, right], round| {
                [right, left ^ self.mix(round, right)]
            });
            left << self.half_bits | right
        })
    }

    /// The place at which a unit comes.
    pub(super) fn place(&self, unit: u64) -> u64 {
        self.walk(unit, |number| {
            let rounds = (0..ROUNDS).rev();
            let [left, right] = rounds.fold(self.halves(number), |[left, right], round| {
                [right ^ self.mix(round, left), left]
            });
            left << self.half_bits | right
        })
    }

    fn walk(&self, from: u64, step: impl Fn(u64) -> u64) -> u64 {
        let mut number = from % self.count;
        for _ in 0..WALK_MAX {
            number = step(number);
            if number < self.count {
                return number;
            }
        }
        number % self.count
    }

    fn halves(&self, number: u64) -> [u64; 2] {
        [number >> self.half_bits, number & self.mask()]
    }

    fn mix(&self, round: u64, half: u64) -> u64 {
        let sip = Sip::new(self.key).word(self.tweak);
        sip.word(round << 32 | half).finish() & self.mask()
    }

    fn mask(&self) -> u64 {
        (1 << self.half_bits) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn order(key: [u64; 2], tweak: u64, count: u64) -> Permutation {
        let secret = Secret::default();
        secret.set(key);
        Permutation::new(&secret, tweak, count)
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            cases: if cfg!(miri) { 4 } else { 256 },
            ..ProptestConfig::default()
        })]

        /// Whatever the key and the size: every unit comes once, and each knows its place.
        #[test]
        fn a_round_meets_every_unit_once(key: [u64; 2], tweak: u64, count in 1u64..600) {
            let order = order(key, tweak, count);
            let mut units: Vec<u64> = (0..count).map(|place| order.unit(place)).collect();
            for (place, &unit) in (0..).zip(&units) {
                prop_assert_eq!(order.place(unit), place);
            }
            units.sort_unstable();
            prop_assert!(units.into_iter().eq(0..count));
        }
    }

    #[test]
    fn a_large_pool_is_gone_through_in_a_round_too() {
        let count = if cfg!(miri) { 300 } else { 100_003 };
        let order = order([1, 2], 3, count);
        let mut seen = vec![false; count as usize];
        for place in 0..count {
            assert!(!std::mem::replace(
                &mut seen[order.unit(place) as usize],
                true
            ));
        }
    }

    #[test]
    fn stores_and_pools_have_orders_of_their_own_and_none_is_ascending() {
        let first = |key, tweak| {
            let order = order(key, tweak, 1 << 16);
            (0..32).map(|place| order.unit(place)).collect::<Vec<_>>()
        };
        let one = first([1, 2], 1);
        assert_ne!(one, first([1, 3], 1));
        assert_ne!(one, first([1, 2], 2));
        let steps = one.array_windows().filter(|[a, b]| a + 1 == *b).count();
        assert!(steps <= 1, "{one:?}");
    }
}
