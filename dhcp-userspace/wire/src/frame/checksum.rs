//! The Internet checksum (RFC 1071), fast enough to run over every packet twice.

use core::net::{Ipv4Addr, Ipv6Addr};

/// A ones' complement sum that is still being added to.
///
/// The words are added in the machine's own order, four octets at a time, into 64 bits: that is what
/// the compiler turns into vector instructions. RFC 1071 section 2 (B) is why the order does not
/// matter until the end. 2^32 groups would have to be added before the 64 bits overflow; a frame has 500.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// Nothing added yet.
    pub const ZERO: Self = Self(0);

    /// Adds octets that begin at an even offset of what is summed; an odd last one is padded with zero.
    #[must_use]
    #[inline]
    pub fn octets(self, octets: &[u8]) -> Self {
        let (groups, rest) = octets.as_chunks::<4>();
        let mut sum = self.0;
        for group in groups {
            sum += u64::from(u32::from_ne_bytes(*group));
        }
        let mut last = [0; 4];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        Self(sum + u64::from(u32::from_ne_bytes(last)))
    }

    /// Adds a 16-bit word, given in host order.
    #[must_use]
    #[inline]
    pub fn word(self, word: u16) -> Self {
        Self(self.0 + u64::from(word.to_be()))
    }

    /// The pseudo-header of UDP over IPv4 (RFC 768).
    #[inline]
    pub fn pseudo_v4(source: Ipv4Addr, destination: Ipv4Addr, udp_len: u16) -> Self {
        Self::ZERO
            .octets(&source.octets())
            .octets(&destination.octets())
            .udp(udp_len)
    }

    /// The pseudo-header of UDP over IPv6 (RFC 8200 section 8.1).
    #[inline]
    pub fn pseudo_v6(source: Ipv6Addr, destination: Ipv6Addr, udp_len: u16) -> Self {
        Self::ZERO
            .octets(&source.octets())
            .octets(&destination.octets())
            .udp(udp_len)
    }

    fn udp(self, udp_len: u16) -> Self {
        self.word(u16::from(super::header::PROTOCOL_UDP))
            .word(udp_len)
    }

    /// The sum in 16 bits, in host order, not complemented. Over octets that contain their own
    /// checksum it is 0xffff when they are intact.
    #[inline]
    pub fn fold(self) -> u16 {
        let mut sum = self.0;
        sum = (sum & 0xffff_ffff) + (sum >> 32);
        sum = (sum & 0xffff_ffff) + (sum >> 32);
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        u16::from_be(sum as u16) // fits: two folds of 32 bits leave 16
    }

    /// What belongs into a checksum field, in host order.
    #[inline]
    pub fn checksum(self) -> u16 {
        !self.fold()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// The definition, word by word.
    fn naive(octets: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in octets.chunks(2) {
            let low = pair.get(1).copied().unwrap_or(0);
            sum += u32::from(u16::from_be_bytes([pair[0], low]));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }

    proptest! {
        #[test]
        fn the_fast_sum_is_the_plain_sum(octets in prop::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert_eq!(Sum::ZERO.octets(&octets).fold(), naive(&octets));
        }

        #[test]
        fn sums_of_parts_are_the_sum_of_the_whole(
            first in prop::collection::vec(any::<[u8; 2]>(), 0..40),
            second in prop::collection::vec(any::<u8>(), 0..40),
            word: u16,
        ) {
            let mut whole: Vec<u8> = first.concat();
            whole.extend(word.to_be_bytes());
            whole.extend(&second);
            let parts = Sum::ZERO.octets(&first.concat()).word(word).octets(&second);
            prop_assert_eq!(parts.fold(), naive(&whole));
        }
    }

    #[test]
    fn the_example_of_rfc_1071_section_3() {
        let sum = Sum::ZERO.octets(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.fold(), 0xddf2);
    }

    #[test]
    fn the_largest_datagram_of_ones_does_not_overflow() {
        assert_eq!(
            Sum::ZERO.octets(&[0xff; 65_535]).fold(),
            naive(&[0xff; 65_535])
        );
    }
}
