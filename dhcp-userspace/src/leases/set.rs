//! Which leases were seen? A set of many leases in little memory, for those that lie close together.

use dhcp_lease::Lease;
use std::collections::HashMap;
use std::net::IpAddr;

/// Members of a chunk that are kept one by one; a bitmap takes no more room than so many.
const FEW_MAX: usize = 4_096;
const WORDS: usize = 65_536 / 64;

/// A set of leases: about a bit for each in a full pool, two octets and a share of a chunk for stragglers.
#[derive(Debug, Default)]
pub(super) struct LeaseSet {
    /// By kind, prefix length and all but the last 16 bits of the number.
    chunks: HashMap<(u8, u8, u128), Chunk>,
}

/// Leases whose numbers differ in the last 16 bits only.
#[derive(Debug)]
enum Chunk {
    /// In order.
    Few(Vec<u16>),
    /// A bit each.
    Many(Box<[u64; WORDS]>),
}

impl LeaseSet {
    /// Adds a lease; whether it was not there before.
    pub(super) fn insert(&mut self, lease: Lease) -> bool {
        let (kind, length, number) = place(lease);
        let chunk = self
            .chunks
            .entry((kind, length, number >> 16))
            .or_insert_with(|| Chunk::Few(Vec::new()));
        chunk.insert(number as u16)
    }

    /// Whether a lease is in it.
    pub(super) fn contains(&self, lease: Lease) -> bool {
        let (kind, length, number) = place(lease);
        let chunk = self.chunks.get(&(kind, length, number >> 16));
        chunk.is_some_and(|chunk| chunk.contains(number as u16))
    }
}

impl Chunk {
    fn contains(&self, number: u16) -> bool {
        match self {
            Self::Few(few) => few.binary_search(&number).is_ok(),
            Self::Many(words) => words
                .get(usize::from(number / 64))
                .is_some_and(|word| word >> (number % 64) & 1 == 1),
        }
    }

    fn insert(&mut self, number: u16) -> bool {
        match self {
            Self::Few(few) => {
                let Err(at) = few.binary_search(&number) else {
                    return false;
                };
                few.insert(at, number);
                if few.len() > FEW_MAX {
                    let mut words = Box::new([0; WORDS]);
                    for &number in few.iter() {
                        set(&mut words, number);
                    }
                    *self = Self::Many(words);
                }
                true
            }
            Self::Many(words) => set(words, number),
        }
    }
}

/// Whether the bit was clear.
fn set(words: &mut [u64; WORDS], number: u16) -> bool {
    let Some(word) = words.get_mut(usize::from(number / 64)) else {
        return false;
    };
    let bit = 1 << (number % 64);
    let was_clear = *word & bit == 0;
    *word |= bit;
    was_clear
}

/// Neighbours in a pool have numbers that differ by one.
fn place(lease: Lease) -> (u8, u8, u128) {
    let number = match lease.address() {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    };
    match lease {
        Lease::V4(_) => (4, 0, number),
        Lease::Address(_) => (6, 0, number),
        Lease::Prefix(_, length) => {
            let host_bits = 128 - u32::from(length.min(128));
            (7, length, number.checked_shr(host_bits).unwrap_or(0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn lease() -> impl Strategy<Value = Lease> {
        prop_oneof![
            (0u32..100_000).prop_map(|number| Lease::V4(Ipv4Addr::from(0x0a00_0000 + number))),
            (0u128..50).prop_map(|number| Lease::Address(Ipv6Addr::from((0x2001 << 112) + number))),
            (0u128..50, 48u8..=64).prop_map(|(number, length)| {
                Lease::Prefix(Ipv6Addr::from(number << (128 - u32::from(length))), length)
            }),
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_set(leases in proptest::collection::vec(lease(), 0..20_000)) {
            let mut model = HashSet::new();
            let mut set = LeaseSet::default();
            for lease in leases {
                prop_assert_eq!(set.contains(lease), model.contains(&lease));
                prop_assert_eq!(set.insert(lease), model.insert(lease));
            }
        }
    }

    #[test]
    fn a_full_pool_takes_bits() {
        let mut set = LeaseSet::default();
        for number in 0..65_536u32 {
            assert!(set.insert(Lease::V4(Ipv4Addr::from(number))));
        }
        assert!(matches!(set.chunks[&(4, 0, 0)], Chunk::Many(_)));
        assert!(!set.insert(Lease::V4(Ipv4Addr::from(7))));
    }
}
