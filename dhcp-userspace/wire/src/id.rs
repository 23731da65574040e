//! Who is speaking? The identifiers by which DHCP knows clients.

use crate::octets::{Octets, TooLong, write_hex};
use core::fmt;

/// A link-layer address with its hardware type: `htype`, `hlen` and `chaddr` of DHCPv4
/// (RFC 2131 section 2), or option 79 of DHCPv6 (RFC 6939).
///
/// Octets after the address are zero, so equality of values is equality of addresses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct HardwareAddress {
    htype: u8,
    len: u8,
    octets: [u8; 16],
}

impl HardwareAddress {
    /// No address at all.
    pub const NONE: Self = Self {
        htype: 0,
        len: 0,
        octets: [0; 16],
    };

    /// An address of hardware type `htype` (IANA "Hardware Types"; 1 is Ethernet).
    ///
    /// # Errors
    /// [`TooLong`] when it has more than 16 octets, the size of `chaddr`.
    pub fn new(htype: u8, address: &[u8]) -> Result<Self, TooLong> {
        let mut octets = [0; 16];
        let room = octets.get_mut(..address.len());
        room.ok_or(TooLong {
            got: address.len(),
            bound: 16,
        })?
        .copy_from_slice(address);
        Ok(Self {
            htype,
            len: address.len() as u8,
            octets,
        })
    }

    /// An Ethernet address.
    pub fn ethernet(mac: [u8; 6]) -> Self {
        let [a, b, c, d, e, f] = mac;
        Self {
            htype: 1,
            len: 6,
            octets: [a, b, c, d, e, f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        }
    }

    /// The hardware type.
    pub fn htype(&self) -> u8 {
        self.htype
    }

    /// The address without padding.
    pub fn as_slice(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The address as Ethernet's six octets, if it has six.
    pub fn mac(&self) -> Option<[u8; 6]> {
        self.as_slice().try_into().ok()
    }
}

impl fmt::Display for HardwareAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, self.as_slice())
    }
}

impl fmt::Debug for HardwareAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{self}", self.htype)
    }
}

/// A DHCPv4 client identifier, option 61 (RFC 2132 section 9.14, RFC 4361): any octets, 255 at most.
pub type ClientId = Octets<255>;

/// A DHCP unique identifier (RFC 8415 section 11): a 2-octet type and up to 128 octets.
pub type Duid = Octets<130>;

/// The number that tells one IA of a client from another (RFC 8415 section 12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Iaid(pub u32);

impl fmt::Display for Iaid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// How many octets of an identifier count for [`spread`]. The XDP program runs the same hash, and its
/// verifier wants a bound; two identifiers that first differ after so many octets merely share a worker.
pub const SPREAD_OCTETS_MAX: usize = 64;

/// The keyed hash that gives every client its worker and its partition.
///
/// It runs in the XDP program and in user space alike, so it is made of 64-bit multiplication, shifts
/// and xor only. It spreads; it does not identify: nothing relies on two clients having two hashes.
/// The key keeps strangers from aiming all their identifiers at one worker.
#[derive(Clone, Copy)]
pub struct Spread(u64);

impl Spread {
    /// Starts with the secret of this lease store.
    pub const fn new(key: u64) -> Self {
        Self(key ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// Takes the next eight octets as a little-endian number; a last group is filled with zeros.
    #[must_use]
    #[inline(always)]
    pub const fn push(self, group: u64) -> Self {
        let mixed = (self.0 ^ group).wrapping_mul(0xff51_afd7_ed55_8ccd);
        Self(mixed ^ (mixed >> 32))
    }

    /// Ends with the number of octets that were taken.
    #[must_use]
    #[inline(always)]
    pub const fn finish(self, len: u64) -> u32 {
        let mixed = (self.0 ^ len).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        (mixed >> 32) as u32
    }
}

/// [`Spread`] over the first [`SPREAD_OCTETS_MAX`] octets of an identifier: the client identifier or
/// else `chaddr` in DHCPv4, the DUID in DHCPv6.
pub fn spread(key: u64, identifier: &[u8]) -> u32 {
    let counted = identifier.get(..SPREAD_OCTETS_MAX).unwrap_or(identifier);
    let (groups, rest) = counted.as_chunks::<8>();
    let mut hash = Spread::new(key);
    for group in groups {
        hash = hash.push(u64::from_le_bytes(*group));
    }
    if !rest.is_empty() {
        let mut group = [0; 8];
        for (to, from) in group.iter_mut().zip(rest) {
            *to = *from;
        }
        hash = hash.push(u64::from_le_bytes(group));
    }
    hash.finish(counted.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_shares_a_million_clients_evenly() {
        let mut shares = [0u32; 16];
        for number in 0..1_000_000u32 {
            let [a, b, c, d] = number.to_be_bytes();
            let mac = [0x02, 0x00, a, b, c, d];
            shares[(spread(0x1234, &mac) % 16) as usize] += 1;
        }
        for share in shares {
            assert!((60_000..65_000).contains(&share), "uneven: {shares:?}");
        }
    }

    #[test]
    fn identifiers_that_differ_in_length_only_differ_in_spread() {
        assert_ne!(spread(7, &[0; 6]), spread(7, &[0; 7]));
    }
}
