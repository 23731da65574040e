//! Numbers of any size in few octets, and a careful reader.

/// Most octets of a number: 64 bits in sevens.
const NUMBER_OCTETS_MAX: usize = 10;

/// Appends a number: seven bits in each octet, the lowest first; the highest bit says that more follow.
pub(super) fn put_number(into: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

/// Appends a difference: small ones in few octets, whatever their sign. Wraps around, so that every pair
/// of numbers has one.
pub(super) fn put_difference(into: &mut Vec<u8>, number: u64, from: u64) {
    let difference = number.wrapping_sub(from) as i64;
    put_number(into, ((difference << 1) ^ (difference >> 63)) as u64);
}

/// Appends octets after their count.
pub(super) fn put_counted(into: &mut Vec<u8>, octets: &[u8]) {
    put_number(into, octets.len() as u64);
    into.extend_from_slice(octets);
}

/// Takes things from the front. Everything is `None` once the octets run out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn octets(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(super) fn octet(&mut self) -> Option<u8> {
        self.array::<1>().map(|[octet]| octet)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A number as [`put_number`] writes it: the shortest form only, so that there is one.
    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for place in 0..NUMBER_OCTETS_MAX {
            let octet = self.octet()?;
            let bits = u64::from(octet & 0x7f);
            if place == NUMBER_OCTETS_MAX - 1 && bits > 1 {
                return None;
            }
            number |= bits << (7 * place);
            if octet & 0x80 == 0 {
                return (place == 0 || octet != 0).then_some(number);
            }
        }
        None
    }

    pub(super) fn number32(&mut self) -> Option<u32> {
        self.number().and_then(|number| u32::try_from(number).ok())
    }

    pub(super) fn difference(&mut self, from: u64) -> Option<u64> {
        let folded = self.number()?;
        let difference = (folded >> 1) as i64 ^ -((folded & 1) as i64);
        Some(from.wrapping_add(difference as u64))
    }

    pub(super) fn counted(&mut self) -> Option<&'a [u8]> {
        let count = usize::try_from(self.number()?).ok()?;
        self.octets(count)
    }
}
